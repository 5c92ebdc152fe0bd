/* attention.c - scaled dot-product attention.
 *
 *   s = c q k^T + mask     p = exp(s - lse), lse_i = log sum_j exp(s_ij)     y = (p f) v
 *
 * with f the factors of dropout. Backwards, with g = f (dy v^T) and delta_i = sum_c dy_ic y_ic,
 *
 *   dv = (p f)^T dy     ds = p (g - delta)     dq = c ds k     dk = c ds^T q     dmask = ds
 *
 * since sum_j p_ij g_ij = delta_i: the row sum in softmax's backward needs no p. Neither s nor p is
 * ever whole in memory: forwards and backwards go block by block, and only lse is kept.
 */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "random.h"
#include "strided.h"

#include <math.h>

enum { Y, LSE };
enum { Q, K, V, MASK };                                                    /* of attention */
enum { GRAD_DY, GRAD_Q, GRAD_K, GRAD_V, GRAD_LSE, GRAD_DELTA, GRAD_MASK }; /* of its gradient */

typedef struct attention_attrs {
    double scale, dropout;
    bool causal;
    int64_t seed;
} attention_attrs;

static const gr_field attention_fields[] = {
    GR_FIELD(attention_attrs, scale, GR_FIELD_F64),
    GR_FIELD(attention_attrs, dropout, GR_FIELD_F64),
    GR_FIELD(attention_attrs, causal, GR_FIELD_BOOL),
    GR_FIELD(attention_attrs, seed, GR_FIELD_I64),
    {0},
};

static const gr_op grad_op;

/* --- shapes --- */

/* Size of axis i from the end, 1 being the last. */
static int64_t dim(const gr_tensor *t, int i)
{
    return gr_shape_of(t)->dim[gr_shape_of(t)->rank - i];
}

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
    s.dim[s.rank - 1] = dim(k, 2);
    return s;
}

/* [...,L] */
static gr_shape rows_shape(const gr_tensor *q)
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
    const attention_attrs *a = c->attrs;
    const gr_tensor *q = c->in[first + Q], *k = c->in[first + K], *v = c->in[first + V];
    for (int i = 0; i < 3; i++)
        if (gr_dtype_of(c->in[first + i]) != gr_dtype_of(c->in[0]))
            return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast",
                                 gr_dtype_name(gr_dtype_of(c->in[0])),
                                 gr_dtype_name(gr_dtype_of(c->in[first + i])));
    if (!same_batch(gr_shape_of(q), gr_shape_of(k)) || !same_batch(gr_shape_of(q), gr_shape_of(v)) ||
        dim(q, 1) != dim(k, 1) || dim(k, 2) != dim(v, 2))
        return gr_infer_fail(c, "expected q [...,L,E], k [...,S,E] and v [...,S,V], got %s, %s "
                             "and %s", gr_infer_shape(c, first + Q), gr_infer_shape(c, first + K),
                             gr_infer_shape(c, first + V));
    if (!(a->dropout >= 0 && a->dropout <= 1))
        return gr_infer_fail(c, "dropout is %g, expected a probability, 0 <= p <= 1", a->dropout);
    if (isfinite(a->scale)) return true;
    return gr_infer_fail(c, "scale is %g, expected a finite number", a->scale);
}

/* --- the kernel's view --- */

static double scale_of(const attention_attrs *a, int64_t depth)
{
    if (a->scale != 0 || depth == 0) return a->scale;
    return 1 / sqrt((double)depth);
}

/* Input i row-major; NULL: out of memory. */
static const void *packed(gr_exec *e, int i)
{
    const gr_value *v = &e->in[i];
    const gr__strided s = gr__strided_of(v);
    if (gr__strided_contiguous(&s)) return v->data;
    void *data = gr_exec_scratch(e, (size_t)gr_shape_numel(v->shape) * s.size + 1);
    if (data) gr__pack(v, data);
    return data;
}

/* Input i as matrices: where it lies, unless elements of a row lie apart. data NULL: out of memory. */
static gr__attention_matrix matrix_of(gr_exec *e, int i)
{
    const gr_value *v = &e->in[i];
    const int rank = v->shape->rank;
    int64_t dense[GR_MAX_RANK];
    gr__shape_strides(v->shape, dense);
    const bool lies = !v->strides || v->shape->dim[rank - 1] == 1 || v->strides[rank - 1] == 1;
    const int64_t *stride = lies && v->strides ? v->strides : dense;
    gr__attention_matrix m = {lies ? v->data : packed(e, i), stride[rank - 2], {0}};
    for (int k = 0; k < rank - 2; k++) m.batch[k] = stride[k];
    return m;
}

/* Input i; an axis that it lacks or that is 1 has stride 0. */
static gr__attention_mask mask_of(gr_exec *e, int i, const gr_shape *scores)
{
    const gr_value *m = &e->in[i];
    gr__attention_mask mask = {.boolean = m->dtype == GR_BOOL, .x.data = packed(e, i)};
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
    const gr_tile *t = ctx;
    gr__dropout_op.tile[t->n](&(gr_tile){n, first, (const void *const[]){x}, y, t->attrs});
}

/* Whether the problem could be described; false: out of memory. */
static bool problem_of(gr_exec *e, int first, int mask, gr__attention *p)
{
    const attention_attrs *a = e->attrs;
    const gr_shape *q = e->in[first + Q].shape, *k = e->in[first + K].shape;
    const int rank = q->rank;
    *p = (gr__attention){
        .batch = 1, .rows = q->dim[rank - 2], .keys = k->dim[rank - 2], .depth = q->dim[rank - 1],
        .width = e->in[first + V].shape->dim[rank - 1], .n_dims = rank - 2,
        .scale = scale_of(a, q->dim[rank - 1]), .causal = a->causal,
        .q = matrix_of(e, first + Q), .k = matrix_of(e, first + K), .v = matrix_of(e, first + V),
    };
    for (int i = 0; i < rank - 2; i++) p->batch *= p->dim[i] = q->dim[i];
    if (e->n_in > mask) {
        gr_shape scores = *q;
        scores.dim[rank - 1] = p->keys;
        p->mask = mask_of(e, mask, &scores);
        if (!p->mask.x.data) return false;
    }
    return p->q.data && p->k.data && p->v.data;
}

/* --- in primitives: [...,L,S] as a whole, for the derivatives of the gradient --- */

static gr_tensor *turned(gr_tensor *x)
{
    return gr_transpose(x, -1, -2);
}

/* One per row, beside a matrix of rows. */
static gr_tensor *column(gr_tensor *x)
{
    gr_shape s = *gr_shape_of(x);
    s.dim[s.rank++] = 1;
    return gr_reshape(x, s);
}

/* j <= i as [L,S]; NULL, and the graph in error, without memory. */
static gr_tensor *causal_mask(gr_graph *g, int64_t rows, int64_t keys)
{
    const int64_t n = rows > keys ? rows : keys;
    int64_t *count = gr__alloc((size_t)(n + 1) * sizeof *count);
    if (!count) return gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "attention_grad: out of memory");
    for (int64_t i = 0; i < n; i++) count[i] = i;
    gr_tensor *row = gr_from_data(g, GR_I64, GR_SHAPE(rows, 1), count);
    gr_tensor *key = gr_from_data(g, GR_I64, GR_SHAPE(keys), count);
    gr__free(count);
    return gr_less_equal(key, row);
}

/* p = exp(s - lse) */
static gr_tensor *probabilities(const attention_attrs *a, gr_tensor *q, gr_tensor *k,
                                gr_tensor *lse, gr_tensor *mask)
{
    gr_graph *g = gr_graph_of(q);
    gr_tensor *s = gr_scale(gr_matmul(q, turned(k)), scale_of(a, dim(q, 1)));
    gr_tensor *never = gr_scalar(g, gr_dtype_of(q), -INFINITY);
    if (mask) s = gr_dtype_of(mask) == GR_BOOL ? gr_where(mask, s, never) : gr_add(s, mask);
    if (a->causal) s = gr_where(causal_mask(g, dim(q, 2), dim(k, 2)), s, never);
    return gr_exp(gr_sub(s, column(lse)));
}

/* x f */
static gr_tensor *factored(const attention_attrs *a, gr_tensor *x)
{
    const gr__dropout_attrs attrs = {a->dropout, a->seed};
    return a->dropout > 0 ? gr_apply(NULL, &gr__dropout_op, &x, 1, &attrs) : x;
}

/* --- scaled_dot_product_attention --- */

static bool attention_infer(gr_infer *c)
{
    if (!check_operands(c, 0)) return false;
    if (c->n_in > MASK && !check_mask(c, MASK, scores_shape(c->in[Q], c->in[K]))) return false;
    c->shape[Y].dim[c->shape[Y].rank - 1] = dim(c->in[V], 1);
    c->shape[LSE] = rows_shape(c->in[Q]);
    return true;
}

static gr_status attention_forward(gr_exec *e)
{
    const attention_attrs *a = e->attrs;
    const gr_dtype dtype = e->in[0].dtype;
    const gr__dropout_attrs attrs = {a->dropout, a->seed};
    const gr_tile dropping = {.n = dtype, .attrs = &attrs};
    gr__attention p;
    if (!problem_of(e, 0, MASK, &p)) return GR_ERR_MEMORY;
    p.scratch = gr_exec_scratch(e, gr__attention_scratch(&p) + 1);
    if (!p.scratch) return GR_ERR_MEMORY;
    if (a->dropout > 0) p.drop = drop;
    p.drop_ctx = &dropping;
    p.y = e->out[Y].data;
    p.lse = e->out[LSE].data;
    gr__kernels_for(dtype)->attention(&p);
    return GR_OK;
}

/* ds = p (g - delta), over what the mask was stretched along. */
static gr_tensor *mask_grad(const gr_pullback *p, gr_tensor *dy, gr_tensor *delta)
{
    const attention_attrs *a = p->attrs;
    gr_tensor *prob = probabilities(a, p->x[Q], p->x[K], p->y[LSE], p->x[MASK]);
    gr_tensor *g = factored(a, gr_matmul(dy, turned(p->x[V])));
    return gr_sum_to(gr_mul(prob, gr_sub(g, column(delta))), *gr_shape_of(p->x[MASK]));
}

/* A cotangent of lse adds itself to ds / p. */
static void attention_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[Y], *dy = p->dy[Y];
    if (!dy) dy = gr_zeros(p->graph, gr_dtype_of(y), *gr_shape_of(y));
    gr_tensor *delta = gr_sum(gr_mul(dy, y), GR_AXES(-1), false);
    if (p->dy[LSE]) delta = gr_sub(delta, p->dy[LSE]);
    gr_tensor *in[7] = {dy, p->x[Q], p->x[K], p->x[V], p->y[LSE], delta};
    if (p->n_in > MASK) in[GRAD_MASK] = p->x[MASK];
    if (p->wants[Q] || p->wants[K] || p->wants[V]) {
        gr_tensor *dq = gr_apply(p->graph, &grad_op, in, p->n_in > MASK ? 7 : 6, p->attrs);
        for (int i = 0; i < 3; i++) p->dx[i] = gr_output(dq, i);
    }
    if (p->n_in > MASK && p->wants[MASK]) p->dx[MASK] = mask_grad(p, dy, delta);
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define BOOL2(a, b) {.shape = {2, {a, b}}, .boolean = true}
#define OPTIONS(...) .attrs = &(const attention_attrs){__VA_ARGS__}

/* y alone: lse is infinite where a mask leaves a row nothing. */
static int record_y(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    y[0] = gr_apply(NULL, op, x, s->n_in, s->attrs);
    return 1;
}

static const gr_sample attention_samples[] = {
    {.name = "plain", .in = {S2(3, 4), S2(5, 4), S2(5, 2)}, .n_in = 3, OPTIONS(.seed = 7)},
    {.name = "heads", .in = {S4(2, 2, 3, 2), S4(2, 2, 4, 2), S4(2, 2, 4, 3)}, .n_in = 3, OPTIONS(.scale = 1.5)},
    {.name = "causal", .in = {S3(2, 4, 3), S3(2, 4, 3), S3(2, 4, 2)}, .n_in = 3, OPTIONS(.causal = true)},
    {.name = "causal, more keys", .in = {S2(2, 3), S2(5, 3), S2(5, 2)}, .n_in = 3, OPTIONS(.causal = true)},
    {.name = "dropout", .in = {S3(2, 4, 3), S3(2, 5, 3), S3(2, 5, 2)}, .n_in = 3, OPTIONS(.dropout = 0.3, .seed = 7)},
    {.name = "mask", .in = {S2(3, 2), S2(4, 2), S2(4, 3), S2(3, 4)}, .n_in = 4, OPTIONS(.seed = 7)},
    {.name = "mask of keys, dropout", .in = {S3(2, 3, 2), S3(2, 4, 2), S3(2, 4, 1), S3(2, 1, 4)}, .n_in = 4, OPTIONS(.dropout = 0.5, .causal = true, .seed = 3)},
    {.name = "bool mask of rows", .in = {S3(2, 5, 2), S3(2, 4, 2), S3(2, 4, 1), BOOL2(5, 1)}, .n_in = 4, OPTIONS(.scale = 2), .record = record_y},
    {.name = "bool mask", .in = {S3(2, 4, 2), S3(2, 5, 2), S3(2, 5, 3), BOOL2(4, 5)}, .n_in = 4, OPTIONS(.seed = 7), .record = record_y},
    {.name = "bool mask of keys", .in = {S2(4, 2), S2(6, 2), S2(6, 3), {.shape = {1, {6}}, .boolean = true}}, .n_in = 4, OPTIONS(.causal = true), .record = record_y},
    {.name = "no rows", .in = {S2(0, 4), S2(5, 4), S2(5, 2)}, .n_in = 3, OPTIONS(.seed = 7)},
    {.name = "no keys", .in = {S2(3, 4), S2(0, 4), S2(0, 2)}, .n_in = 3, OPTIONS(.seed = 7), .record = record_y},
    {.name = "no batch", .in = {S3(0, 3, 4), S3(0, 5, 4), S3(0, 5, 2)}, .n_in = 3, OPTIONS(.seed = 7)},
    {.name = "other depth", .in = {S2(3, 4), S2(5, 3), S2(5, 2)}, .n_in = 3, OPTIONS(.seed = 7), .error = "expected q [...,L,E], k [...,S,E] and v [...,S,V], got [3,4], [5,3] and [5,2]"},
    {.name = "other keys", .in = {S2(3, 4), S2(5, 4), S2(4, 2)}, .n_in = 3, OPTIONS(.seed = 7), .error = "got [3,4], [5,4] and [4,2]"},
    {.name = "other batch", .in = {S3(2, 3, 4), S3(1, 5, 4), S3(2, 5, 2)}, .n_in = 3, OPTIONS(.seed = 7), .error = "got [2,3,4], [1,5,4] and [2,5,2]"},
    {.name = "vectors", .in = {S1(4), S1(4), S1(4)}, .n_in = 3, OPTIONS(.seed = 7), .error = "expected q [...,L,E]"},
    {.name = "other mask", .in = {S2(3, 4), S2(5, 4), S2(5, 2), S2(5, 3)}, .n_in = 4, OPTIONS(.seed = 7), .error = "the mask [5,3] does not stretch to the scores [3,5]"},
    {.name = "integer mask", .in = {S2(3, 4), S2(5, 4), S2(5, 2), {.shape = {2, {3, 5}}, .integer = true, .high = 2}}, .n_in = 4, OPTIONS(.seed = 7), .error = "expected a mask of bool or float64, got int64"},
    {.name = "no probability", .in = {S2(3, 4), S2(5, 4), S2(5, 2)}, .n_in = 3, OPTIONS(.dropout = 1.5), .error = "dropout is 1.5, expected a probability"},
    {.name = "infinite scale", .in = {S2(3, 4), S2(5, 4), S2(5, 2)}, .n_in = 3, OPTIONS(.scale = INFINITY), .error = "scale is inf, expected a finite number"},
    {0},
};

/* Products with k and with v, by q (or dq, [...,L,E]) and y (or dy, [...,L,V]). */
static double products(const gr_shape *k, const gr_shape *q, double n_q, const gr_shape *y,
                       double n_y)
{
    double keys = (double)k->dim[k->rank - 2];
    return 2 * keys * (n_q * (double)gr_shape_numel(q) + n_y * (double)gr_shape_numel(y));
}

static double attention_flops(const gr_exec *e)
{
    return products(e->in[K].shape, e->in[Q].shape, 1, e->out[Y].shape, 1);
}

static const gr_op attention_op = {
    .name = "scaled_dot_product_attention",
    .family = "attention",
    .formula = "y = softmax(c q k^T + mask) v, with c = 1/sqrt(E) unless given",
    .derivation =
        "with p the softmax, y = p v gives dv = p^T dy and dp = dy v^T; softmax gives ds = p (dp - "
        "delta), delta_i = sum_j p_ij dp_ij = sum_c dy_ic y_ic; s = c q k^T gives dq = c ds k and "
        "dk = c ds^T q. Dropout multiplies p and dp by its factors",
    .n_in = 4,
    .n_out = 2,
    .optional = 1,
    .flags = GR_OP_RANDOM | GR_OP_STRIDED,
    .reads = GR_READS_IN(Q) | GR_READS_IN(K) | GR_READS_IN(V) | GR_READS_IN(MASK) |
             GR_READS_OUT(Y) | GR_READS_OUT(LSE),
    .attrs_size = sizeof(attention_attrs),
    .fields = attention_fields,
    .infer = attention_infer,
    .forward = {[GR_F32] = attention_forward, [GR_F64] = attention_forward},
    .vjp = attention_vjp,
    .flops = attention_flops,
    .samples = attention_samples,
};

/* Attention of rows q, [...,L,E], to keys k, [...,S,E], with values v, [...,S,V], all of one batch
 * shape and one floating dtype: [...,L,V]. The mask (NULL: none) stretches to [...,L,S]; it is added
 * to the scores, or is bool, true where a key takes part. Dropout acts on the weights and draws
 * from the graph's seed. Output 1 of the node is lse, [...,L], the logarithm of the sum of
 * exponentials of each row's scores.
 *
 * Memory, backward included, is linear in L and S: weights are made block by block and made again
 * backwards. It is quadratic where the gradient of a mask or a second derivative is asked for. A row
 * whose keys are all masked gets 0, passes no gradient, and has lse = +Inf (PyTorch 1.13 gives NaN).
 * NaN in a row of q stays in that row. Errors: shapes that do not fit, dropout outside [0, 1].
 * Vaswani et al., "Attention is all you need", 2017; Dao et al., "FlashAttention", 2022. */
gr_tensor *gr_scaled_dot_product_attention(gr_tensor *q, gr_tensor *k, gr_tensor *v,
                                           gr_tensor *mask, gr_attention_options o)
{
    gr_tensor *in[4] = {q, k, v, mask};
    attention_attrs attrs = {o.scale, o.dropout, o.causal, 0};
    if (o.dropout > 0) attrs.seed = (int64_t)gr_next_seed(q ? gr_graph_of(q) : NULL);
    return gr__apply(NULL, &attention_op, in, mask ? 4 : 3, &attrs, GR_HERE);
}

/* --- attention_grad: (dy, q, k, v, lse, delta, mask) -> dq, dk, dv --- */

static bool check_shape(gr_infer *c, int i, const char *name, gr_shape shape)
{
    char text[GR_SHAPE_TEXT];
    if (gr_shape_equal(gr_shape_of(c->in[i]), &shape) &&
        gr_dtype_of(c->in[i]) == gr_dtype_of(c->in[0]))
        return true;
    return gr_infer_fail(c, "expected %s of %s %s, got %s %s", name,
                         gr_dtype_name(gr_dtype_of(c->in[0])), gr_shape_text(&shape, text),
                         gr_dtype_name(gr_dtype_of(c->in[i])), gr_infer_shape(c, i));
}

static bool grad_infer(gr_infer *c)
{
    if (!check_operands(c, GRAD_Q)) return false;
    const gr_tensor *q = c->in[GRAD_Q], *k = c->in[GRAD_K];
    gr_shape y = *gr_shape_of(q);
    y.dim[y.rank - 1] = dim(c->in[GRAD_V], 1);
    if (!check_shape(c, GRAD_DY, "dy", y) || !check_shape(c, GRAD_LSE, "lse", rows_shape(q)) ||
        !check_shape(c, GRAD_DELTA, "delta", rows_shape(q)) ||
        (c->n_in > GRAD_MASK && !check_mask(c, GRAD_MASK, scores_shape(q, k))))
        return false;
    for (int i = 0; i < 3; i++) c->shape[i] = *gr_shape_of(c->in[GRAD_Q + i]);
    return true;
}

static gr_status grad_forward(gr_exec *e)
{
    const attention_attrs *a = e->attrs;
    const gr_dtype dtype = e->in[0].dtype;
    const gr__dropout_attrs attrs = {a->dropout, a->seed};
    const gr_tile dropping = {.n = dtype, .attrs = &attrs};
    gr__attention_grad g = {
        .dy = matrix_of(e, GRAD_DY), .delta = packed(e, GRAD_DELTA),
        .dq = e->out[Q].data, .dk = e->out[K].data, .dv = e->out[V].data,
    };
    void *lse = (void *)packed(e, GRAD_LSE);
    if (!problem_of(e, GRAD_Q, GRAD_MASK, &g.a) || !g.dy.data || !g.delta || !lse)
        return GR_ERR_MEMORY;
    g.a.lse = lse;
    g.a.scratch = gr_exec_scratch(e, gr__attention_grad_scratch(&g.a) + 1);
    if (!g.a.scratch) return GR_ERR_MEMORY;
    if (a->dropout > 0) g.a.drop = drop;
    g.a.drop_ctx = &dropping;
    gr__kernels_for(dtype)->attention_grad(&g);
    return GR_OK;
}

/* a, b, z: the cotangents of dq, dk, dv, none of them missing. With t = p (g - delta) and
 *     h = c (a k^T + q b^T)           the cotangent of t
 *     w = h p                         that of g / f, before f
 *     r = p (h (g - delta) + f (dy z^T))      that of s
 * dq, dk, dv being c t k, c t^T q, (p f)^T dy. */
static void grad_vjp(gr_pullback *p)
{
    const attention_attrs *at = p->attrs;
    gr_tensor *dy = p->x[GRAD_DY], *q = p->x[GRAD_Q], *k = p->x[GRAD_K], *v = p->x[GRAD_V];
    gr_tensor *mask = p->n_in > GRAD_MASK ? p->x[GRAD_MASK] : NULL, *u[3];
    for (int i = 0; i < 3; i++) {
        gr_tensor *like = p->x[GRAD_Q + i];
        u[i] = p->dy[i] ? p->dy[i] : gr_zeros(p->graph, gr_dtype_of(like), *gr_shape_of(like));
    }
    const double c = scale_of(at, dim(q, 1));
    gr_tensor *prob = probabilities(at, q, k, p->x[GRAD_LSE], mask);
    gr_tensor *g = factored(at, gr_matmul(dy, turned(v)));
    gr_tensor *rest = gr_sub(g, column(p->x[GRAD_DELTA])), *t = gr_scale(gr_mul(prob, rest), c);
    gr_tensor *h = gr_scale(gr_add(gr_matmul(u[Q], turned(k)), gr_matmul(q, turned(u[K]))), c);
    gr_tensor *w = gr_mul(h, prob), *wf = factored(at, w);
    gr_tensor *r = gr_mul(prob, gr_add(gr_mul(h, rest), factored(at, gr_matmul(dy, turned(u[V])))));
    gr_tensor *rc = gr_scale(r, c);
    p->dx[GRAD_DY] = gr_add(gr_matmul(wf, v), gr_matmul(factored(at, prob), u[V]));
    p->dx[GRAD_Q] = gr_add(gr_matmul(rc, k), gr_matmul(t, u[K]));
    p->dx[GRAD_K] = gr_add(gr_matmul(turned(rc), q), gr_matmul(turned(t), u[Q]));
    p->dx[GRAD_V] = gr_matmul(turned(wf), dy);
    p->dx[GRAD_LSE] = gr_neg(gr_sum(r, GR_AXES(-1), false));
    p->dx[GRAD_DELTA] = gr_neg(gr_sum(w, GR_AXES(-1), false));
    if (mask && p->wants[GRAD_MASK]) p->dx[GRAD_MASK] = gr_sum_to(r, *gr_shape_of(mask));
}

static const gr_sample grad_samples[] = {
    {.name = "plain", .in = {S2(3, 2), S2(3, 4), S2(5, 4), S2(5, 2), S1(3), S1(3)}, .n_in = 6, OPTIONS(.seed = 7)},
    {.name = "heads", .in = {S3(2, 3, 3), S3(2, 3, 2), S3(2, 4, 2), S3(2, 4, 3), S2(2, 3), S2(2, 3)}, .n_in = 6, OPTIONS(.scale = 1.5)},
    {.name = "causal", .in = {S2(4, 2), S2(4, 3), S2(3, 3), S2(3, 2), S1(4), S1(4)}, .n_in = 6, OPTIONS(.causal = true)},
    {.name = "dropout", .in = {S3(2, 3, 2), S3(2, 3, 3), S3(2, 4, 3), S3(2, 4, 2), S2(2, 3), S2(2, 3)}, .n_in = 6, OPTIONS(.dropout = 0.4, .seed = 7)},
    {.name = "mask", .in = {S2(3, 3), S2(3, 2), S2(4, 2), S2(4, 3), S1(3), S1(3), S2(3, 4)}, .n_in = 7, OPTIONS(.dropout = 0.2, .seed = 7)},
    {.name = "mask of keys", .in = {S3(2, 3, 1), S3(2, 3, 2), S3(2, 4, 2), S3(2, 4, 1), S2(2, 3), S2(2, 3), S3(2, 1, 4)}, .n_in = 7, OPTIONS(.causal = true)},
    {.name = "bool mask", .in = {S2(3, 3), S2(3, 2), S2(4, 2), S2(4, 3), S1(3), S1(3), BOOL2(3, 4)}, .n_in = 7, OPTIONS(.seed = 7)},
    {.name = "no keys", .in = {S2(3, 2), S2(3, 4), S2(0, 4), S2(0, 2), S1(3), S1(3)}, .n_in = 6, OPTIONS(.seed = 7)},
    {.name = "other cotangent", .in = {S2(3, 3), S2(3, 4), S2(5, 4), S2(5, 2), S1(3), S1(3)}, .n_in = 6, OPTIONS(.seed = 7), .error = "expected dy of float64 [3,2], got float64 [3,3]"},
    {.name = "other lse", .in = {S2(3, 2), S2(3, 4), S2(5, 4), S2(5, 2), S1(5), S1(3)}, .n_in = 6, OPTIONS(.seed = 7), .error = "expected lse of float64 [3], got float64 [5]"},
    {.name = "other delta", .in = {S2(3, 2), S2(3, 4), S2(5, 4), S2(5, 2), S1(3), S2(3, 1)}, .n_in = 6, OPTIONS(.seed = 7), .error = "expected delta of float64 [3], got float64 [3,1]"},
    {.name = "other depth", .in = {S2(3, 2), S2(3, 4), S2(5, 3), S2(5, 2), S1(3), S1(3)}, .n_in = 6, OPTIONS(.seed = 7), .error = "expected q [...,L,E]"},
    {0},
};

/* The scores again, dq and dk; dy v^T and dv. */
static double grad_flops(const gr_exec *e)
{
    return products(e->in[GRAD_K].shape, e->in[GRAD_Q].shape, 3, e->in[GRAD_DY].shape, 2);
}

static const gr_op grad_op = {
    .name = "attention_grad",
    .family = "attention",
    .formula = "p = exp(c q k^T + mask - lse), t = p (dy v^T - delta): dq = c t k, dk = c t^T q, "
               "dv = p^T dy",
    .derivation = "with cotangents a, b, z of dq, dk, dv: t gets h = c (a k^T + q b^T), dy v^T gets "
                  "h p, and the scores r = p (h (dy v^T - delta) + dy z^T); so dy gets (h p) v + "
                  "p z, q c r k + c t b, k c r^T q + c t^T a, v (h p)^T dy, lse and delta minus "
                  "the row sums of r and h p, the mask r",
    .n_in = 7,
    .n_out = 3,
    .optional = 1,
    .flags = GR_OP_RANDOM | GR_OP_STRIDED,
    .reads = 0x7f, /* all inputs */
    .attrs_size = sizeof(attention_attrs),
    .fields = attention_fields,
    .infer = grad_infer,
    .forward = {[GR_F32] = grad_forward, [GR_F64] = grad_forward},
    .vjp = grad_vjp,
    .flops = grad_flops,
    .samples = grad_samples,
};

const gr_op *const gr__attention_ops[] = {&attention_op, &grad_op, NULL};
