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
#include "attend.h"

#include <math.h>

enum { Y, LSE };

static bool attention_infer(gr_infer *c)
{
    if (!gr__attend_check(c, 0, GR__MASK)) return false;
    c->shape[Y].dim[c->shape[Y].rank - 1] = gr__attend_size(c->in[GR__V], 1);
    c->shape[LSE] = gr__attend_rows(c->in[GR__Q]);
    return true;
}

static gr_status attention_forward(gr_exec *e)
{
    gr__attention p;
    if (!gr__attend_problem(e, 0, GR__MASK, &p)) return GR_ERR_MEMORY;
    p.scratch = gr_exec_scratch(e, gr__attention_scratch(&p) + 1);
    if (!p.scratch) return GR_ERR_MEMORY;
    p.y = e->out[Y].data;
    p.lse = e->out[LSE].data;
    gr__kernels_for(e->in[0].dtype)->attention(&p);
    return GR_OK;
}

/* A cotangent of lse adds itself to ds / p. */
static void attention_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[Y], *dy = p->dy[Y];
    if (!dy) dy = gr_zeros(p->graph, gr_dtype_of(y), *gr_shape_of(y));
    gr_tensor *delta = gr_sum(gr_mul(dy, y), GR_AXES(-1), false);
    if (p->dy[LSE]) delta = gr_sub(delta, p->dy[LSE]);
    if (p->wants[GR__Q] || p->wants[GR__K] || p->wants[GR__V]) {
        gr_tensor *dq = gr__attend_grad(p, dy, delta);
        for (int i = 0; i < 3; i++) p->dx[i] = gr_output(dq, i);
    }
    if (p->n_in > GR__MASK && p->wants[GR__MASK])
        p->dx[GR__MASK] = gr__attend_mask_grad(p, dy, delta);
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define BOOL2(a, b) {.shape = {2, {a, b}}, .boolean = true}
#define OPTIONS(...) .attrs = &(const gr__attend_attrs){__VA_ARGS__}

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

static double attention_flops(const gr_exec *e)
{
    return gr__attend_flops(e->in[GR__K].shape, e->in[GR__Q].shape, 1, e->out[Y].shape, 1);
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
    .reads = GR_READS_IN(GR__Q) | GR_READS_IN(GR__K) | GR_READS_IN(GR__V) |
             GR_READS_IN(GR__MASK) | GR_READS_OUT(Y) | GR_READS_OUT(LSE),
    .attrs_size = sizeof(gr__attend_attrs),
    .fields = gr__attend_fields,
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
    gr__attend_attrs attrs = {o.scale, o.dropout, o.causal, 0};
    if (o.dropout > 0) attrs.seed = (int64_t)gr_next_seed(q ? gr_graph_of(q) : NULL);
    return gr__apply(NULL, &attention_op, in, mask ? 4 : 3, &attrs, GR_HERE);
}

const gr_op *const gr__attention_ops[] = {&attention_op, NULL};
