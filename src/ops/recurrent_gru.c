/* recurrent_gru.c - gated recurrent units over a whole sequence.
 *
 *   for each step t:   s = W_hh h_{t-1} + b_hh     h_t = gru_gates(a_t, s, h_{t-1})     y_t = h_t
 *   backwards:         dh_t = dy_t + what step t + 1 gave;  da_t, ds_t as gru_gates' backward
 *                      dh_{t-1} = dh_t z + W_hh^T ds_t
 *   all at once:       dW_hh = sum_t ds_t h_{t-1}^T         db_hh = sum_t ds_t
 *
 * a = W_ih x + b_ih is one matrix product over all steps. Steps beyond a row's length change
 * nothing: y is 0 there. In reverse t runs from the last step, or a row's own end, to the first.
 */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

enum { GATES = 3, SAVED = 4 }; /* widths in H: r z n; and s_n behind them */

#define S3(t, n, h) {.shape = {3, {t, n, h}}}
#define MAT(m, n) {.shape = {2, {m, n}}}
#define ROW(n) {.shape = {1, {n}}}
#define LENGTHS(n, ...) {.shape = {1, {n}}, .integer = true, .values = (const int64_t[]){__VA_ARGS__}}
#define AHEAD .attrs = &(const gr__recurrent_attrs){.reverse = false}
#define BACK .attrs = &(const gr__recurrent_attrs){.reverse = true}

/* --- gru_sequence_grad: (saved, w_hh, y, h0, dy, dh_n[, lengths]) -> da, ds, dh0 --- */

enum { GRAD_INPUTS = 6 };

static bool grad_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "saved of [T,N,4 H]", SAVED, GATES, GRAD_INPUTS, &s)) return false;
    const gr_shape state = GR_SHAPE(s.batch, s.hidden), y = GR_SHAPE(s.steps, s.batch, s.hidden);
    if (!gr__expect_input(c, 2, "y", y) || !gr__expect_input(c, 3, "h0", state) ||
        !gr__expect_input(c, 4, "dy", y) || !gr__expect_input(c, 5, "dh_n", state))
        return false;
    c->shape[0] = c->shape[1] = GR_SHAPE(s.steps, s.batch, GATES * s.hidden);
    c->shape[2] = state;
    return true;
}

static gr_status grad_forward(gr_exec *e)
{
    gr__recurrence_grad g = {.dy = e->in[4].data,
                             .h0 = e->in[3].data,
                             .da = e->out[0].data,
                             .ds = e->out[1].data,
                             .dh = e->out[2].data};
    gr_status status = gr__sequence_of(e, GRAD_INPUTS, &g.of);
    if (status) return status;
    g.of.saved = e->in[0].data;
    g.of.y = e->in[2].data;
    gr__copy_value(&e->in[5], &e->out[2]);
    gr__gru_backward(&g);
    return GR_OK;
}

static void grad_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    gr__unrolled u = gr__unroll(x, n, GRAD_INPUTS, attrs);
    gr_tensor *saved = x[0], *w = x[1], *dh = x[5];
    for (int64_t k = u.size.steps - 1; k >= 0; k--) {
        const int64_t t = gr__unrolled_step(&u, k);
        gr_tensor *da = gr__gru_gates_grad(gr__step(saved, t),
                                           gr__state_before(&u, t, x[2], 0, x[3]),
                                           gr_add(dh, gr__step(x[4], t)));
        gr_tensor *ds = gr_output(da, 1);
        u.first[t] = gr__if_active(&u, t, da, NULL);
        u.second[t] = gr__if_active(&u, t, ds, NULL);
        dh = gr__if_active(&u, t, gr_add(gr_output(da, 2), gr_matmul(ds, w)), dh);
    }
    y[0] = gr__stack(&u, u.first, GATES);
    y[1] = gr__stack(&u, u.second, GATES);
    y[2] = dh;
}

static void grad_vjp(gr_pullback *p)
{
    gr__vjp_by_parts(p, grad_parts, 0);
}

#define GATE(t, n, h) {.shape = {3, {t, n, h}}, .low = 0.1, .high = 0.9}

static const gr_sample grad_samples[] = {
    {.name = "ahead", .in = {GATE(3, 2, 8), MAT(6, 2), S3(3, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2)}, .n_in = 6, AHEAD},
    {.name = "reverse", .in = {GATE(2, 1, 12), MAT(9, 3), S3(2, 1, 3), MAT(1, 3), S3(2, 1, 3), MAT(1, 3)}, .n_in = 6, BACK},
    {.name = "lengths", .in = {GATE(3, 2, 4), MAT(3, 1), S3(3, 2, 1), MAT(2, 1), S3(3, 2, 1), MAT(2, 1), LENGTHS(2, 3, 1)}, .n_in = 7, AHEAD},
    {.name = "lengths in reverse", .in = {GATE(3, 3, 4), MAT(3, 1), S3(3, 3, 1), MAT(3, 1), S3(3, 3, 1), MAT(3, 1), LENGTHS(3, 1, 0, 3)}, .n_in = 7, BACK},
    {.name = "no steps", .in = {S3(0, 2, 4), MAT(3, 1), S3(0, 2, 1), MAT(2, 1), S3(0, 2, 1), MAT(2, 1)}, .n_in = 6, AHEAD},
    {.name = "other saved", .in = {S3(3, 2, 6), MAT(6, 2), S3(3, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2)}, .n_in = 6, AHEAD, .error = "expected saved of [T,N,4 H] of [3,2,8], got [3,2,6]"},
    {.name = "other y", .in = {S3(3, 2, 8), MAT(6, 2), S3(2, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2)}, .n_in = 6, AHEAD, .error = "expected y of [3,2,2], got [2,2,2]"},
    {.name = "other dh_n", .in = {S3(3, 2, 8), MAT(6, 2), S3(3, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(3, 2)}, .n_in = 6, AHEAD, .error = "expected dh_n of [2,2], got [3,2]"},
    {.name = "too long", .in = {S3(3, 2, 4), MAT(3, 1), S3(3, 2, 1), MAT(2, 1), S3(3, 2, 1), MAT(2, 1), LENGTHS(2, 3, -1)}, .n_in = 7, AHEAD, .error = "lengths[1] is -1, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op gru_sequence_grad_op = {
    .name = "gru_sequence_grad",
    .family = "recurrent",
    .formula = "from the last step to the first: dh += dy_t; da_t, ds_t, dh = gru_gates_grad(gates_t, "
               "h_{t-1}, dh); dh += W_hh^T ds_t",
    .derivation = "differentiated as it is recorded step by step from gru_gates_grad and products",
    .n_in = 7,
    .n_out = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4) |
             GR_READS_IN(5) | GR_READS_IN(6),
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__direction_fields,
    .infer = grad_infer,
    .forward = {[GR_F32] = grad_forward, [GR_F64] = grad_forward},
    .vjp = grad_vjp,
    .flops = gr__sequence_flops,
    .samples = grad_samples,
};

/* --- gru_sequence: (a, w_hh, h0, b_hh[, lengths]) -> y, h_n, saved --- */

enum { INPUTS = 4 };

static bool sequence_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "a of [T,N,3 H]", GATES, GATES, INPUTS, &s)) return false;
    const gr_shape state = GR_SHAPE(s.batch, s.hidden);
    if (!gr__expect_input(c, 2, "h0", state) ||
        !gr__expect_input(c, 3, "b_hh", GR_SHAPE(GATES * s.hidden)))
        return false;
    c->shape[0] = GR_SHAPE(s.steps, s.batch, s.hidden);
    c->shape[1] = state;
    c->shape[2] = GR_SHAPE(s.steps, s.batch, SAVED * s.hidden);
    return true;
}

static gr_status sequence_forward(gr_exec *e)
{
    gr__recurrence r;
    gr_status status = gr__sequence_of(e, INPUTS, &r);
    if (status) return status;
    r.a = e->in[0].data;
    r.b = e->in[3].data;
    r.y = e->out[0].data;
    r.h = e->out[1].data;
    r.saved = e->out[2].data;
    gr__copy_value(&e->in[2], &e->out[1]);
    gr__gru_forward(&r);
    return GR_OK;
}

static void sequence_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    gr__unrolled u = gr__unroll(x, n, INPUTS, attrs);
    gr_tensor *h = x[2];
    for (int64_t k = 0; k < u.size.steps; k++) {
        const int64_t t = gr__unrolled_step(&u, k);
        gr_tensor *next = gr__gru_gates(gr__step(x[0], t), gr_linear(h, x[1], x[3]), h);
        u.first[t] = gr__if_active(&u, t, next, NULL);
        u.second[t] = gr__if_active(&u, t, gr_output(next, 1), NULL);
        h = gr__if_active(&u, t, next, h);
    }
    y[0] = gr__stack(&u, u.first, 1);
    y[1] = h;
    y[2] = gr__stack(&u, u.second, SAVED);
}

/* Only a second derivative gives `saved` a cotangent. That part reads a and b_hh too, which are
 * computed again if they were let go. */
static void sequence_vjp(gr_pullback *p)
{
    gr_tensor *in[GRAD_INPUTS + 1] = {p->y[2], p->x[1], p->y[0], p->x[2], gr__cotangent(p, 0),
                                      gr__cotangent(p, 1)};
    if (p->n_in > INPUTS) in[GRAD_INPUTS] = p->x[INPUTS];
    gr_tensor *da = gr_apply(p->graph, &gru_sequence_grad_op, in,
                             p->n_in > INPUTS ? GRAD_INPUTS + 1 : GRAD_INPUTS, p->attrs);
    gr_tensor *ds = gr_output(da, 1);
    p->dx[0] = da;
    p->dx[2] = gr_output(da, 2);
    if (p->wants[1]) p->dx[1] = gr__weight_cotangent(p, ds, p->y[0], p->x[2], INPUTS);
    if (p->wants[3]) p->dx[3] = gr_sum(ds, GR_AXES(0, 1), false);
    if (p->dy[2]) gr__vjp_by_parts(p, sequence_parts, 2);
}

static const gr_sample sequence_samples[] = {
    {.name = "ahead", .in = {S3(3, 2, 6), MAT(6, 2), MAT(2, 2), ROW(6)}, .n_in = 4, AHEAD},
    {.name = "reverse", .in = {S3(2, 1, 9), MAT(9, 3), MAT(1, 3), ROW(9)}, .n_in = 4, BACK},
    {.name = "lengths", .in = {S3(3, 2, 3), MAT(3, 1), MAT(2, 1), ROW(3), LENGTHS(2, 1, 3)}, .n_in = 5, AHEAD},
    {.name = "lengths in reverse", .in = {S3(3, 3, 3), MAT(3, 1), MAT(3, 1), ROW(3), LENGTHS(3, 2, 0, 3)}, .n_in = 5, BACK},
    {.name = "no steps", .in = {S3(0, 2, 3), MAT(3, 1), MAT(2, 1), ROW(3)}, .n_in = 4, AHEAD},
    {.name = "no rows", .in = {S3(3, 0, 3), MAT(3, 1), MAT(0, 1), ROW(3)}, .n_in = 4, BACK},
    {.name = "a matrix", .in = {MAT(3, 6), MAT(6, 2), MAT(2, 2), ROW(6)}, .n_in = 4, AHEAD, .error = "expected a of [T,N,3 H], got [3,6]"},
    {.name = "other w_hh", .in = {S3(3, 2, 6), MAT(8, 2), MAT(2, 2), ROW(6)}, .n_in = 4, AHEAD, .error = "expected w_hh of [3 H,H], got [8,2]"},
    {.name = "other h0", .in = {S3(3, 2, 6), MAT(6, 2), MAT(3, 2), ROW(6)}, .n_in = 4, AHEAD, .error = "expected h0 of [2,2], got [3,2]"},
    {.name = "other b_hh", .in = {S3(3, 2, 6), MAT(6, 2), MAT(2, 2), ROW(2)}, .n_in = 4, AHEAD, .error = "expected b_hh of [6], got [2]"},
    {.name = "too long", .in = {S3(3, 2, 3), MAT(3, 1), MAT(2, 1), ROW(3), LENGTHS(2, 4, 3)}, .n_in = 5, AHEAD, .error = "lengths[0] is 4, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op gru_sequence_op = {
    .name = "gru_sequence",
    .family = "recurrent",
    .formula = "for each step: h, gates = gru_gates(a_t, W_hh h + b_hh, h); y_t = h; saved_t = gates",
    .derivation = "from the last step back: h_t gets dy_t and what step t + 1 sends; gru_gates' rule "
                  "makes da_t, ds_t and part of dh_{t-1} of it, W_hh^T ds_t is the rest; all steps "
                  "share W_hh and b_hh: dW_hh = sum_t ds_t h_{t-1}^T, db_hh = sum_t ds_t",
    .n_in = 5,
    .n_out = 3,
    .optional = 1,
    .reads = GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(4) | GR_READS_OUT(0) | GR_READS_OUT(2),
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__direction_fields,
    .infer = sequence_infer,
    .forward = {[GR_F32] = sequence_forward, [GR_F64] = sequence_forward},
    .vjp = sequence_vjp,
    .flops = gr__sequence_flops,
    .samples = sequence_samples,
};

/* --- gru: one layer in one direction --- */

static gr_tensor *gru_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr__layer l = gr__layer_of("gru", GATES, 1, x, n);
    if (l.failure) return l.failure;
    gr_tensor *b = l.b_hh;
    if (!b)
        b = gr_zeros(gr_graph_of(l.x), gr_dtype_of(l.x), GR_SHAPE(gr_shape_of(l.w_hh)->dim[0]));
    gr_tensor *in[INPUTS + 1] = {gr_linear(l.x, l.w_ih, l.b_ih), l.w_hh, l.h0, b, l.lengths};
    return gr_apply(NULL, &gru_sequence_op, in, l.lengths ? INPUTS + 1 : INPUTS, attrs);
}

static const gr_sample gru_samples[] = {
    {.name = "all inputs", .in = {S3(3, 2, 3), MAT(6, 3), MAT(6, 2), MAT(2, 2), ROW(6), ROW(6), LENGTHS(2, 3, 2)}, .n_in = 7, AHEAD},
    {.name = "reverse", .in = {S3(2, 3, 2), MAT(3, 2), MAT(3, 1), MAT(3, 1), ROW(3), ROW(3)}, .n_in = 6, BACK},
    {.name = "without bias", .in = {S3(2, 1, 2), MAT(3, 2), MAT(3, 1), MAT(1, 1)}, .n_in = 4, AHEAD},
    {.name = "a matrix", .in = {MAT(3, 2), MAT(6, 3), MAT(6, 2), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "expected x of [T,N,in], got [3,2]"},
    {.name = "other w_hh", .in = {S3(3, 2, 3), MAT(6, 3), MAT(2, 2), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "expected w_hh of [6,2], got [2,2]"},
    {.name = "other lengths", .in = {S3(3, 2, 3), MAT(6, 3), MAT(6, 2), MAT(2, 2), LENGTHS(1, 1)}, .n_in = 5, AHEAD, .error = "expected lengths of [2], got [1]"},
    {.name = "one bias", .in = {S3(3, 2, 3), MAT(6, 3), MAT(6, 2), MAT(2, 2), ROW(6)}, .n_in = 5, AHEAD, .error = "expected both biases or none"},
    {0},
};

static const gr_op gru_op = {
    .name = "gru",
    .family = "recurrent",
    .formula = "y, h_n = gru_sequence(W_ih x + b_ih, W_hh, h0, b_hh, lengths)",
    .derivation = "through its parts: gru_sequence gives da for all steps, then dx = W_ih^T da, "
                  "dW_ih = sum_t da_t x_t^T and db_ih = sum_t da_t",
    .n_in = 7,
    .n_out = 2,
    .optional = 3,
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__direction_fields,
    .define = gru_define,
    .samples = gru_samples,
};

/* A GRU over a sequence, PyTorch's GRU; see gr_rnn for shapes, options and errors. Gates are in the
 * order r, z, n; the reset gate is applied after the product with W_hh, b_hh included. */
gr_recurrent gr_gru(gr_tensor *x, gr_tensor *h0, gr_tensor *lengths, const gr_rnn_weights *w,
                    gr_rnn_options o)
{
    return gr__layers(&gru_op, 1, x, h0, NULL, lengths, w, &o, GR_HERE);
}

const gr_op *const gr__recurrent_gru_ops[] = {
    &gru_sequence_grad_op, &gru_sequence_op, &gru_op, NULL,
};
