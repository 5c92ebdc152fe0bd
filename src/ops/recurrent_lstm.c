/* recurrent_lstm.c - a long short-term memory over a whole sequence.
 *
 *   for each step t:   [i f g o] = lstm_gates' functions of a_t + W_hh h_{t-1}
 *                      c_t = f c_{t-1} + i g     h_t = o tanh c_t     y_t = h_t
 *   backwards:         dh_t = dy_t + W_hh^T da_{t+1},  da_t and dc_{t-1} as lstm_gates' backward
 *   all at once:       dW_hh = sum_t da_t h_{t-1}^T
 *
 * a = W_ih x + b_ih + b_hh is one matrix product over all steps. Steps beyond a row's length change
 * nothing: y is 0 there. In reverse t runs from the last step, or a row's own end, to the first.
 */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

enum { GATES = 4, SAVED = 5 }; /* widths in H: i f g o; and c_t behind them */

#define S3(t, n, h) {.shape = {3, {t, n, h}}}
#define MAT(m, n) {.shape = {2, {m, n}}}
#define ROW(n) {.shape = {1, {n}}}
#define LENGTHS(n, ...) {.shape = {1, {n}}, .integer = true, .values = (const int64_t[]){__VA_ARGS__}}
#define AHEAD .attrs = &(const gr__recurrent_attrs){.reverse = false}
#define BACK .attrs = &(const gr__recurrent_attrs){.reverse = true}

/* --- lstm_sequence_grad: (saved, w_hh, c0, dy, dh_n, dc_n[, lengths]) -> da, dh0, dc0 --- */

enum { GRAD_INPUTS = 6 };

static bool grad_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "saved of [T,N,5 H]", SAVED, GATES, GRAD_INPUTS, &s)) return false;
    const gr_shape state = GR_SHAPE(s.batch, s.hidden), a = GR_SHAPE(s.steps, s.batch, GATES * s.hidden);
    if (!gr__expect_input(c, 2, "c0", state) ||
        !gr__expect_input(c, 3, "dy", GR_SHAPE(s.steps, s.batch, s.hidden)) ||
        !gr__expect_input(c, 4, "dh_n", state) || !gr__expect_input(c, 5, "dc_n", state))
        return false;
    c->shape[0] = a;
    c->shape[1] = c->shape[2] = state;
    return true;
}

static gr_status grad_forward(gr_exec *e)
{
    gr__recurrence_grad g = {.dy = e->in[3].data,
                             .c0 = e->in[2].data,
                             .da = e->out[0].data,
                             .dh = e->out[1].data,
                             .dc = e->out[2].data};
    gr_status status = gr__sequence_of(e, GRAD_INPUTS, &g.of);
    if (status) return status;
    g.of.saved = e->in[0].data;
    gr__copy_value(&e->in[4], &e->out[1]);
    gr__copy_value(&e->in[5], &e->out[2]);
    gr__lstm_backward(&g);
    return GR_OK;
}

static void grad_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    gr__unrolled u = gr__unroll(x, n, GRAD_INPUTS, attrs);
    const int64_t h = u.size.hidden;
    gr_tensor *saved = x[0], *w = x[1], *dh = x[4], *dc = x[5];
    for (int64_t k = u.size.steps - 1; k >= 0; k--) {
        const int64_t t = gr__unrolled_step(&u, k);
        gr_tensor *now = gr__step(saved, t);
        gr_tensor *in[5] = {gr__piece(now, 0, GATES * h),
                            gr__state_before(&u, t, saved, GATES * h, x[2]),
                            gr__piece(now, GATES * h, h), gr_add(dh, gr__step(x[3], t)), dc};
        gr_tensor *da = gr__lstm_gates_grad(in);
        u.first[t] = gr__if_active(&u, t, da, NULL);
        dh = gr__if_active(&u, t, gr_matmul(da, w), dh);
        dc = gr__if_active(&u, t, gr_output(da, 1), dc);
    }
    y[0] = gr__stack(&u, u.first, GATES);
    y[1] = dh;
    y[2] = dc;
}

static void grad_vjp(gr_pullback *p)
{
    gr__vjp_by_parts(p, grad_parts, 0);
}

#define GATE(t, n, h) {.shape = {3, {t, n, h}}, .low = 0.1, .high = 0.9}

static const gr_sample grad_samples[] = {
    {.name = "ahead", .in = {GATE(3, 2, 10), MAT(8, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 6, AHEAD},
    {.name = "reverse", .in = {GATE(2, 1, 15), MAT(12, 3), MAT(1, 3), S3(2, 1, 3), MAT(1, 3), MAT(1, 3)}, .n_in = 6, BACK},
    {.name = "lengths", .in = {GATE(3, 2, 5), MAT(4, 1), MAT(2, 1), S3(3, 2, 1), MAT(2, 1), MAT(2, 1), LENGTHS(2, 3, 1)}, .n_in = 7, AHEAD},
    {.name = "lengths in reverse", .in = {GATE(3, 3, 5), MAT(4, 1), MAT(3, 1), S3(3, 3, 1), MAT(3, 1), MAT(3, 1), LENGTHS(3, 1, 0, 3)}, .n_in = 7, BACK},
    {.name = "no steps", .in = {S3(0, 2, 5), MAT(4, 1), MAT(2, 1), S3(0, 2, 1), MAT(2, 1), MAT(2, 1)}, .n_in = 6, AHEAD},
    {.name = "other saved", .in = {S3(3, 2, 8), MAT(8, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 6, AHEAD, .error = "expected saved of [T,N,5 H] of [3,2,10], got [3,2,8]"},
    {.name = "other c0", .in = {S3(3, 2, 10), MAT(8, 2), MAT(3, 2), S3(3, 2, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 6, AHEAD, .error = "expected c0 of [2,2], got [3,2]"},
    {.name = "other dy", .in = {S3(3, 2, 10), MAT(8, 2), MAT(2, 2), S3(2, 2, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 6, AHEAD, .error = "expected dy of [3,2,2], got [2,2,2]"},
    {.name = "too long", .in = {S3(3, 2, 5), MAT(4, 1), MAT(2, 1), S3(3, 2, 1), MAT(2, 1), MAT(2, 1), LENGTHS(2, 3, 4)}, .n_in = 7, AHEAD, .error = "lengths[1] is 4, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op lstm_sequence_grad_op = {
    .name = "lstm_sequence_grad",
    .family = "recurrent",
    .formula = "from the last step to the first: dh += dy_t; da_t, dc = lstm_gates_grad(gates_t, "
               "c_{t-1}, c_t, dh, dc); dh = W_hh^T da_t",
    .derivation = "differentiated as it is recorded step by step from lstm_gates_grad and products",
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

/* --- lstm_sequence: (a, w_hh, h0, c0[, lengths]) -> y, h_n, c_n, saved --- */

enum { INPUTS = 4 };

static bool sequence_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "a of [T,N,4 H]", GATES, GATES, INPUTS, &s)) return false;
    const gr_shape state = GR_SHAPE(s.batch, s.hidden);
    if (!gr__expect_input(c, 2, "h0", state) || !gr__expect_input(c, 3, "c0", state)) return false;
    c->shape[0] = GR_SHAPE(s.steps, s.batch, s.hidden);
    c->shape[1] = c->shape[2] = state;
    c->shape[3] = GR_SHAPE(s.steps, s.batch, SAVED * s.hidden);
    return true;
}

static gr_status sequence_forward(gr_exec *e)
{
    gr__recurrence r;
    gr_status status = gr__sequence_of(e, INPUTS, &r);
    if (status) return status;
    r.a = e->in[0].data;
    r.y = e->out[0].data;
    r.h = e->out[1].data;
    r.c = e->out[2].data;
    r.saved = e->out[3].data;
    gr__copy_value(&e->in[2], &e->out[1]);
    gr__copy_value(&e->in[3], &e->out[2]);
    gr__lstm_forward(&r);
    return GR_OK;
}

static void sequence_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    gr__unrolled u = gr__unroll(x, n, INPUTS, attrs);
    gr_tensor *w = gr_transpose(x[1], 0, 1), *h = x[2], *c = x[3];
    for (int64_t k = 0; k < u.size.steps; k++) {
        const int64_t t = gr__unrolled_step(&u, k);
        gr_tensor *next = gr__lstm_gates(gr_add(gr__step(x[0], t), gr_matmul(h, w)), c);
        gr_tensor *saved[2] = {gr_output(next, 2), gr_output(next, 1)};
        u.first[t] = gr__if_active(&u, t, next, NULL);
        u.second[t] = gr__if_active(&u, t, gr_concat(saved, 2, -1), NULL);
        h = gr__if_active(&u, t, next, h);
        c = gr__if_active(&u, t, saved[1], c);
    }
    y[0] = gr__stack(&u, u.first, 1);
    y[1] = h;
    y[2] = c;
    y[3] = gr__stack(&u, u.second, SAVED);
}

/* Only a second derivative gives `saved` a cotangent. That part reads a too, which is computed
 * again if it was let go. */
static void sequence_vjp(gr_pullback *p)
{
    gr_tensor *in[GRAD_INPUTS + 1] = {p->y[3], p->x[1], p->x[3], gr__cotangent(p, 0),
                                      gr__cotangent(p, 1), gr__cotangent(p, 2)};
    if (p->n_in > INPUTS) in[GRAD_INPUTS] = p->x[INPUTS];
    gr_tensor *da = gr_apply(p->graph, &lstm_sequence_grad_op, in,
                             p->n_in > INPUTS ? GRAD_INPUTS + 1 : GRAD_INPUTS, p->attrs);
    p->dx[0] = da;
    p->dx[2] = gr_output(da, 1);
    p->dx[3] = gr_output(da, 2);
    if (p->wants[1]) p->dx[1] = gr__weight_cotangent(p, da, p->y[0], p->x[2], INPUTS);
    if (p->dy[3]) gr__vjp_by_parts(p, sequence_parts, 3);
}

static const gr_sample sequence_samples[] = {
    {.name = "ahead", .in = {S3(3, 2, 8), MAT(8, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 4, AHEAD},
    {.name = "reverse", .in = {S3(2, 1, 12), MAT(12, 3), MAT(1, 3), MAT(1, 3)}, .n_in = 4, BACK},
    {.name = "lengths", .in = {S3(3, 2, 4), MAT(4, 1), MAT(2, 1), MAT(2, 1), LENGTHS(2, 1, 3)}, .n_in = 5, AHEAD},
    {.name = "lengths in reverse", .in = {S3(3, 3, 4), MAT(4, 1), MAT(3, 1), MAT(3, 1), LENGTHS(3, 2, 0, 3)}, .n_in = 5, BACK},
    {.name = "no steps", .in = {S3(0, 2, 4), MAT(4, 1), MAT(2, 1), MAT(2, 1)}, .n_in = 4, AHEAD},
    {.name = "no rows", .in = {S3(3, 0, 4), MAT(4, 1), MAT(0, 1), MAT(0, 1)}, .n_in = 4, BACK},
    {.name = "a matrix", .in = {MAT(3, 8), MAT(8, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "expected a of [T,N,4 H], got [3,8]"},
    {.name = "other a", .in = {S3(3, 2, 6), MAT(8, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "of [3,2,8], got [3,2,6]"},
    {.name = "other w_hh", .in = {S3(3, 2, 8), MAT(6, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "expected w_hh of [4 H,H], got [6,2]"},
    {.name = "other h0", .in = {S3(3, 2, 8), MAT(8, 2), MAT(2, 3), MAT(2, 2)}, .n_in = 4, AHEAD, .error = "expected h0 of [2,2], got [2,3]"},
    {.name = "other c0", .in = {S3(3, 2, 8), MAT(8, 2), MAT(2, 2), ROW(2)}, .n_in = 4, AHEAD, .error = "expected c0 of [2,2], got [2]"},
    {.name = "float lengths", .in = {S3(3, 2, 4), MAT(4, 1), MAT(2, 1), MAT(2, 1), ROW(2)}, .n_in = 5, AHEAD, .error = "the lengths is float64, expected int64"},
    {.name = "other lengths", .in = {S3(3, 2, 4), MAT(4, 1), MAT(2, 1), MAT(2, 1), LENGTHS(3, 1, 2, 3)}, .n_in = 5, AHEAD, .error = "expected lengths of [2], got [3]"},
    {.name = "too long", .in = {S3(3, 2, 4), MAT(4, 1), MAT(2, 1), MAT(2, 1), LENGTHS(2, 4, 3)}, .n_in = 5, AHEAD, .error = "lengths[0] is 4, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op lstm_sequence_op = {
    .name = "lstm_sequence",
    .family = "recurrent",
    .formula = "for each step: h, c, gates = lstm_gates(a_t + W_hh h, c); y_t = h; saved_t = gates, c",
    .derivation = "from the last step back: h_t gets dy_t and what step t + 1 sends through W_hh, "
                  "dh_t = dy_t + W_hh^T da_{t+1}; lstm_gates' rule makes da_t and dc_{t-1} of it; "
                  "all steps share W_hh: dW_hh = sum_t da_t h_{t-1}^T",
    .n_in = 5,
    .n_out = 4,
    .optional = 1,
    .reads = GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4) | GR_READS_OUT(0) |
             GR_READS_OUT(3),
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__direction_fields,
    .infer = sequence_infer,
    .forward = {[GR_F32] = sequence_forward, [GR_F64] = sequence_forward},
    .vjp = sequence_vjp,
    .flops = gr__sequence_flops,
    .samples = sequence_samples,
};

/* --- lstm: one layer in one direction --- */

static gr_tensor *lstm_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr__layer l = gr__layer_of("lstm", GATES, 2, x, n);
    if (l.failure) return l.failure;
    gr_tensor *bias = l.b_ih ? gr_add(l.b_ih, l.b_hh) : NULL;
    gr_tensor *in[INPUTS + 1] = {gr_linear(l.x, l.w_ih, bias), l.w_hh, l.h0, l.c0, l.lengths};
    return gr_apply(NULL, &lstm_sequence_op, in, l.lengths ? INPUTS + 1 : INPUTS, attrs);
}

static const gr_sample lstm_samples[] = {
    {.name = "all inputs", .in = {S3(3, 2, 3), MAT(8, 3), MAT(8, 2), MAT(2, 2), MAT(2, 2), ROW(8), ROW(8), LENGTHS(2, 3, 2)}, .n_in = 8, AHEAD},
    {.name = "reverse", .in = {S3(2, 3, 2), MAT(4, 2), MAT(4, 1), MAT(3, 1), MAT(3, 1), ROW(4), ROW(4)}, .n_in = 7, BACK},
    {.name = "without bias", .in = {S3(2, 1, 2), MAT(4, 2), MAT(4, 1), MAT(1, 1), MAT(1, 1)}, .n_in = 5, AHEAD},
    {.name = "a matrix", .in = {MAT(3, 2), MAT(8, 3), MAT(8, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 5, AHEAD, .error = "expected x of [T,N,in], got [3,2]"},
    {.name = "other w_ih", .in = {S3(3, 2, 3), MAT(8, 2), MAT(8, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 5, AHEAD, .error = "expected w_ih of [8,3], got [8,2]"},
    {.name = "other h0", .in = {S3(3, 2, 3), MAT(8, 3), MAT(8, 2), MAT(3, 2), MAT(2, 2)}, .n_in = 5, AHEAD, .error = "expected h0 of [2,H], got [3,2]"},
    {.name = "other c0", .in = {S3(3, 2, 3), MAT(8, 3), MAT(8, 2), MAT(2, 2), MAT(2, 3)}, .n_in = 5, AHEAD, .error = "expected c0 of [2,2], got [2,3]"},
    {.name = "no c0", .in = {S3(3, 2, 3), MAT(8, 3), MAT(8, 2), MAT(2, 2), LENGTHS(2, 1, 2)}, .n_in = 5, AHEAD, .error = "expected 5 inputs before the lengths, got 4"},
    {.name = "one bias", .in = {S3(3, 2, 3), MAT(8, 3), MAT(8, 2), MAT(2, 2), MAT(2, 2), ROW(8)}, .n_in = 6, AHEAD, .error = "expected both biases or none"},
    {0},
};

static const gr_op lstm_op = {
    .name = "lstm",
    .family = "recurrent",
    .formula = "y, h_n, c_n = lstm_sequence(W_ih x + b_ih + b_hh, W_hh, h0, c0, lengths)",
    .derivation = "through its parts: lstm_sequence gives da for all steps, then dx = W_ih^T da, "
                  "dW_ih = sum_t da_t x_t^T and both biases get sum_t da_t",
    .n_in = 8,
    .n_out = 3,
    .optional = 3,
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__direction_fields,
    .define = lstm_define,
    .samples = lstm_samples,
};

/* An LSTM over a sequence, PyTorch's LSTM without projections; see gr_rnn for shapes, options and
 * errors. Gates are in the order i, f, g, o; c is the last state of the cells. */
gr_recurrent gr_lstm(gr_tensor *x, gr_tensor *h0, gr_tensor *c0, gr_tensor *lengths,
                     const gr_rnn_weights *w, gr_rnn_options o)
{
    return gr__layers(&lstm_op, 2, x, h0, c0, lengths, w, &o, GR_HERE);
}

const gr_op *const gr__recurrent_lstm_ops[] = {
    &lstm_sequence_grad_op, &lstm_sequence_op, &lstm_op, NULL,
};
