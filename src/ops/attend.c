/* attend.c - the shapes of attention and its gradient, and what their kernels are given. */
/* SPDX-License-Identifier: MIT */
#include "attend.h"
#include "random.h"
#include "strided.h"

#include <math.h>

const gr_field gr__attend_fields[] = {
    GR_FIELD(gr__attend_attrs, scale, GR_FIELD_F64),
    GR_FIELD(gr__attend_attrs, dropout, GR_FIELD_F64),
    GR_FIELD(gr__attend_attrs, causal, GR_FIELD_BOOL),
    GR_FIELD(gr__attend_attrs, seed, GR_FIELD_I64),
    {0},
};

/* --- shapes --- */

static bool same_batch(const gr_shape *a, const gr_shape *b)
{
    if (a->rank < 2 || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank - 2; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

/* [...,L,S] */
static gr_shape scores_shape(const gr_tensor *q, const gr_tensor *k)
{
    gr_shape s = *gr_shape_of(q);
    s.dim[s.rank - 1] = gr__attend_size(k, 2);
    return s;
}

gr_shape gr__attend_rows(const gr_tensor *q)
{
    gr_shape s = *gr_shape_of(q);
    s.rank--;
    return s;
}

static bool check_mask(gr_infer *c, int i, gr_shape scores)
{
    const gr_shape *m = gr_shape_of(c->in[i]);
    const gr_dtype dtype = gr_dtype_of(c->in[i]), want = gr_dtype_of(c->in[0]);
    char text[GR_SHAPE_TEXT];
    gr_shape joined;
    if (dtype != GR_BOOL && dtype != want)
        return gr_infer_fail(c, "expected a mask of bool or %s, got %s", gr_dtype_name(want),
                             gr_dtype_name(dtype));
    if (gr__shape_broadcast(&scores, m, &joined) && gr_shape_equal(&joined, &scores)) return true;
    return gr_infer_fail(c, "the mask %s does not stretch to the scores %s", gr_infer_shape(c, i),
                         gr_shape_text(&scores, text));
}

/* q, k, v are inputs first, first + 1, first + 2. */
static bool check_operands(gr_infer *c, int first)
{
    const gr__attend_attrs *a = c->attrs;
    const gr_tensor *q = c->in[first + GR__Q], *k = c->in[first + GR__K], *v = c->in[first + GR__V];
    for (int i = 0; i < 3; i++)
        if (!gr__same_dtype(c, 0, first + i)) return false;
    if (!same_batch(gr_shape_of(q), gr_shape_of(k)) ||
        !same_batch(gr_shape_of(q), gr_shape_of(v)) ||
        gr__attend_size(q, 1) != gr__attend_size(k, 1) ||
        gr__attend_size(k, 2) != gr__attend_size(v, 2))
        return gr_infer_fail(c,
                             "expected q [...,L,E], k [...,S,E] and v [...,S,V], got %s, %s "
                             "and %s",
                             gr_infer_shape(c, first + GR__Q), gr_infer_shape(c, first + GR__K),
                             gr_infer_shape(c, first + GR__V));
    if (!(a->dropout >= 0 && a->dropout <= 1))
        return gr_infer_fail(c, "dropout is %g, expected a probability, 0 <= p <= 1", a->dropout);
    if (isfinite(a->scale)) return true;
    return gr_infer_fail(c, "scale is %g, expected a finite number", a->scale);
}

bool gr__attend_check(gr_infer *c, int first, int mask)
{
    return check_operands(c, first) &&
           (c->n_in <= mask ||
            check_mask(c, mask, scores_shape(c->in[first + GR__Q], c->in[first + GR__K])));
}

/* --- the kernel's view --- */

double gr__attend_scale(const gr__attend_attrs *a, int64_t depth)
{
    if (a->scale != 0 || depth == 0) return a->scale;
    return 1 / sqrt((double)depth);
}

const void *gr__attend_packed(gr_exec *e, int i)
{
    const gr_value *v = &e->in[i];
    const gr__strided s = gr__strided_of(v);
    if (gr__strided_contiguous(&s)) return v->data;
    void *data = gr_exec_scratch(e, (size_t)gr_shape_numel(v->shape) * s.size + 1);
    if (data) gr__pack(v, data);
    return data;
}

/* Packed where elements of a row lie apart. */
gr__attention_matrix gr__attend_matrix(gr_exec *e, int i)
{
    const gr_value *v = &e->in[i];
    const int rank = v->shape->rank;
    int64_t dense[GR_MAX_RANK];
    gr__shape_strides(v->shape, dense);
    const bool lies = !v->strides || v->shape->dim[rank - 1] == 1 || v->strides[rank - 1] == 1;
    const int64_t *stride = lies && v->strides ? v->strides : dense;
    gr__attention_matrix m = {lies ? v->data : gr__attend_packed(e, i), stride[rank - 2], {0}};
    for (int k = 0; k < rank - 2; k++) m.batch[k] = stride[k];
    return m;
}

/* Input i; an axis that it lacks or that is 1 has stride 0. */
static gr__attention_mask mask_of(gr_exec *e, int i, const gr_shape *scores)
{
    const gr_value *m = &e->in[i];
    gr__attention_mask mask = {.boolean = m->dtype == GR_BOOL, .x.data = gr__attend_packed(e, i)};
    int64_t stride[GR_MAX_RANK] = {0}, step = 1;
    const int extra = scores->rank - m->shape->rank;
    for (int k = scores->rank - 1; k >= extra; k--) {
        const int64_t size = m->shape->dim[k - extra];
        stride[k] = size == 1 ? 0 : step;
        step *= size;
    }
    for (int k = 0; k < scores->rank - 2; k++) mask.x.batch[k] = stride[k];
    mask.x.row = stride[scores->rank - 2];
    mask.column = stride[scores->rank - 1];
    return mask;
}

/* x times its factors: dropout's own tile, from element `first` of the whole on. */
static void drop(const void *ctx, int64_t first, int64_t n, const void *x, void *y)
{
    const gr_exec *e = ctx;
    const gr__attend_attrs *a = e->attrs;
    const gr__dropout_attrs attrs = {a->dropout, a->seed};
    gr__dropout_op.tile[e->in[0].dtype](
        &(gr_tile){n, first, (const void *const[]){x}, y, &attrs});
}

bool gr__attend_problem(gr_exec *e, int first, int mask, gr__attention *p)
{
    const gr__attend_attrs *a = e->attrs;
    const gr_shape *q = e->in[first + GR__Q].shape, *k = e->in[first + GR__K].shape;
    const int rank = q->rank;
    *p = (gr__attention){
        .batch = 1,
        .rows = q->dim[rank - 2],
        .keys = k->dim[rank - 2],
        .depth = q->dim[rank - 1],
        .width = e->in[first + GR__V].shape->dim[rank - 1],
        .n_dims = rank - 2,
        .scale = gr__attend_scale(a, q->dim[rank - 1]),
        .causal = a->causal,
        .drop = a->dropout > 0 ? drop : NULL,
        .drop_ctx = e,
        .q = gr__attend_matrix(e, first + GR__Q),
        .k = gr__attend_matrix(e, first + GR__K),
        .v = gr__attend_matrix(e, first + GR__V),
    };
    for (int i = 0; i < rank - 2; i++) p->batch *= p->dim[i] = q->dim[i];
    if (e->n_in > mask) {
        gr_shape scores = *q;
        scores.dim[rank - 1] = p->keys;
        p->mask = mask_of(e, mask, &scores);
        if (!p->mask.x.data) return false;
    }
    p->rounds = gr__exec_rounds(e) && gr__attention_rounding_pays(p);
    return p->q.data && p->k.data && p->v.data;
}
