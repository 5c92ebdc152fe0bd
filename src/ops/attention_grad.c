/* attention_grad.c - the gradient of attention, from dy, q, k, v, lse, delta and the mask.
 *
 *   p = exp(c q k^T + mask - lse)     t = p (f (dy v^T) - delta)
 *
 *   dq = c t k      dk = c t^T q      dv = (p f)^T dy
 *
 * One node computes all three, block by block. Their derivatives, and the gradient by the mask, are
 * made of other ops, with [...,L,S] as a whole.
 */
/* SPDX-License-Identifier: MIT */
#include "attend.h"
#include "random.h"

#include <math.h>

enum { DY, Q, K, V, LSE, DELTA, MASK };

/* --- in primitives --- */

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
static gr_tensor *probabilities(const gr__attend_attrs *a, gr_tensor *q, gr_tensor *k,
                                gr_tensor *lse, gr_tensor *mask)
{
    gr_graph *g = gr_graph_of(q);
    gr_tensor *s = gr_scale(gr_matmul(q, turned(k)), gr__attend_scale(a, gr__attend_size(q, 1)));
    gr_tensor *never = gr_scalar(g, gr_dtype_of(q), -INFINITY);
    if (mask) s = gr_dtype_of(mask) == GR_BOOL ? gr_where(mask, s, never) : gr_add(s, mask);
    if (a->causal)
        s = gr_where(causal_mask(g, gr__attend_size(q, 2), gr__attend_size(k, 2)), s, never);
    return gr_exp(gr_sub(s, column(lse)));
}

/* x f */
static gr_tensor *factored(const gr__attend_attrs *a, gr_tensor *x)
{
    const gr__dropout_attrs attrs = {a->dropout, a->seed};
    return a->dropout > 0 ? gr_apply(NULL, &gr__dropout_op, &x, 1, &attrs) : x;
}

/* ds = p (g - delta), over what the mask was stretched along. */
gr_tensor *gr__attend_mask_grad(const gr_pullback *p, gr_tensor *dy, gr_tensor *delta)
{
    const gr__attend_attrs *a = p->attrs;
    gr_tensor *prob = probabilities(a, p->x[GR__Q], p->x[GR__K], p->y[1], p->x[GR__MASK]);
    gr_tensor *g = factored(a, gr_matmul(dy, turned(p->x[GR__V])));
    return gr_sum_to(gr_mul(prob, gr_sub(g, column(delta))), *gr_shape_of(p->x[GR__MASK]));
}

/* --- attention_grad --- */

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
    if (!gr__attend_check(c, Q, MASK)) return false;
    gr_shape y = *gr_shape_of(c->in[Q]), rows = gr__attend_rows(c->in[Q]);
    y.dim[y.rank - 1] = gr__attend_size(c->in[V], 1);
    if (!check_shape(c, DY, "dy", y) || !check_shape(c, LSE, "lse", rows) ||
        !check_shape(c, DELTA, "delta", rows))
        return false;
    for (int i = 0; i < 3; i++) c->shape[i] = *gr_shape_of(c->in[Q + i]);
    return true;
}

static gr_status grad_forward(gr_exec *e)
{
    gr__attention_grad g = {.dy = gr__attend_matrix(e, DY),
                            .delta = gr__attend_packed(e, DELTA),
                            .dq = e->out[GR__Q].data,
                            .dk = e->out[GR__K].data,
                            .dv = e->out[GR__V].data};
    void *lse = (void *)gr__attend_packed(e, LSE);
    if (!gr__attend_problem(e, Q, MASK, &g.a) || !g.dy.data || !g.delta || !lse)
        return GR_ERR_MEMORY;
    g.a.lse = lse;
    g.a.scratch = gr_exec_scratch(e, gr__attention_grad_scratch(&g.a) + 1);
    if (!g.a.scratch) return GR_ERR_MEMORY;
    gr__kernels_for(e->in[0].dtype)->attention_grad(&g);
    return GR_OK;
}

/* a, b, z: the cotangents of dq, dk, dv, none of them missing. With t = p (g - delta) and
 *     h = c (a k^T + q b^T)           the cotangent of t
 *     w = h p                         that of g / f, before f
 *     r = p (h (g - delta) + f (dy z^T))      that of s
 * dq, dk, dv being c t k, c t^T q, (p f)^T dy. */
static void grad_vjp(gr_pullback *p)
{
    const gr__attend_attrs *at = p->attrs;
    gr_tensor *dy = p->x[DY], *q = p->x[Q], *k = p->x[K], *v = p->x[V];
    gr_tensor *mask = p->n_in > MASK ? p->x[MASK] : NULL, *u[3];
    for (int i = 0; i < 3; i++) {
        gr_tensor *like = p->x[Q + i];
        u[i] = p->dy[i] ? p->dy[i] : gr_zeros(p->graph, gr_dtype_of(like), *gr_shape_of(like));
    }
    const double c = gr__attend_scale(at, gr__attend_size(q, 1));
    gr_tensor *prob = probabilities(at, q, k, p->x[LSE], mask);
    gr_tensor *g = factored(at, gr_matmul(dy, turned(v)));
    gr_tensor *rest = gr_sub(g, column(p->x[DELTA])), *t = gr_scale(gr_mul(prob, rest), c);
    gr_tensor *h = gr_scale(gr_add(gr_matmul(u[GR__Q], turned(k)), gr_matmul(q, turned(u[GR__K]))),
                            c);
    gr_tensor *w = gr_mul(h, prob), *wf = factored(at, w);
    gr_tensor *r = gr_mul(prob,
                          gr_add(gr_mul(h, rest), factored(at, gr_matmul(dy, turned(u[GR__V])))));
    gr_tensor *rc = gr_scale(r, c);
    p->dx[DY] = gr_add(gr_matmul(wf, v), gr_matmul(factored(at, prob), u[GR__V]));
    p->dx[Q] = gr_add(gr_matmul(rc, k), gr_matmul(t, u[GR__K]));
    p->dx[K] = gr_add(gr_matmul(turned(rc), q), gr_matmul(turned(t), u[GR__Q]));
    p->dx[V] = gr_matmul(turned(wf), dy);
    p->dx[LSE] = gr_neg(gr_sum(r, GR_AXES(-1), false));
    p->dx[DELTA] = gr_neg(gr_sum(w, GR_AXES(-1), false));
    if (mask && p->wants[MASK]) p->dx[MASK] = gr_sum_to(r, *gr_shape_of(mask));
}

#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define BOOL2(a, b) {.shape = {2, {a, b}}, .boolean = true}
#define OPTIONS(...) .attrs = &(const gr__attend_attrs){__VA_ARGS__}

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
    return gr__attend_flops(e->in[K].shape, e->in[Q].shape, 3, e->in[DY].shape, 2);
}

static const gr_op grad_op = {
    .name = "attention_grad",
    .family = "attention",
    .formula = "p = exp(c q k^T + mask - lse), t = p (dy v^T - delta): dq = c t k, dk = c t^T q, "
               "dv = p^T dy",
    .derivation =
        "with cotangents a, b, z of dq, dk, dv: t gets h = c (a k^T + q b^T), dy v^T gets "
        "h p, and the scores r = p (h (dy v^T - delta) + dy z^T); so dy gets (h p) v + "
        "p z, q c r k + c t b, k c r^T q + c t^T a, v (h p)^T dy, lse and delta minus "
        "the row sums of r and h p, the mask r",
    .n_in = 7,
    .n_out = 3,
    .optional = 1,
    .flags = GR_OP_RANDOM | GR_OP_STRIDED,
    .reads = 0x7f, /* all inputs */
    .attrs_size = sizeof(gr__attend_attrs),
    .fields = gr__attend_fields,
    .infer = grad_infer,
    .forward = {[GR_F32] = grad_forward, [GR_F64] = grad_forward},
    .vjp = grad_vjp,
    .flops = grad_flops,
    .samples = grad_samples,
};

gr_tensor *gr__attend_grad(const gr_pullback *p, gr_tensor *dy, gr_tensor *delta)
{
    gr_tensor *lse = p->y[1];
    gr_tensor *in[7] = {dy, p->x[GR__Q], p->x[GR__K], p->x[GR__V], lse, delta};
    if (p->n_in > GR__MASK) in[MASK] = p->x[GR__MASK];
    return gr_apply(p->graph, &grad_op, in, p->n_in > GR__MASK ? 7 : 6, p->attrs);
}

const gr_op *const gr__attention_grad_ops[] = {&grad_op, NULL};
