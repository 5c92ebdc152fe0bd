/* recurrent_rnn.c - a plain recurrent network over a whole sequence.
 *
 *   for each step t:   h_t = f(a_t + W_hh h_{t-1})     y_t = h_t          f = tanh or relu
 *   backwards:         da_t = (dy_t + W_hh^T da_{t+1}) f'                 1 - y_t^2, or [y_t > 0]
 *   all at once:       dW_hh = sum_t da_t h_{t-1}^T
 *
 * a = W_ih x + b_ih + b_hh is one matrix product over all steps. Steps beyond a row's length change
 * nothing: y is 0 there. In reverse t runs from the last step, or a row's own end, to the first.
 */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

#include <math.h>

#define S3(t, n, h) {.shape = {3, {t, n, h}}}
#define MAT(m, n) {.shape = {2, {m, n}}}
#define ROW(n) {.shape = {1, {n}}}
#define LENGTHS(n, ...) {.shape = {1, {n}}, .integer = true, .values = (const int64_t[]){__VA_ARGS__}}
#define TANH .attrs = &(const gr__recurrent_attrs){GR_RNN_TANH, false}
#define RELU .attrs = &(const gr__recurrent_attrs){GR_RNN_RELU, false}
#define TANH_BACK .attrs = &(const gr__recurrent_attrs){GR_RNN_TANH, true}
#define RELU_BACK .attrs = &(const gr__recurrent_attrs){GR_RNN_RELU, true}

static bool is_relu(const void *attrs)
{
    return ((const gr__recurrent_attrs *)attrs)->nonlinearity == GR_RNN_RELU;
}

static double real_at(const gr_value *v, int64_t i)
{
    return gr__get_scalar((const char *)v->data + (size_t)i * gr_dtype_size(v->dtype), v->dtype);
}

/* --- rnn_sequence_grad: (y, w_hh, dy, dh_n[, lengths]) -> da, dh0 --- */

enum { GRAD_INPUTS = 4 };

static bool grad_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "y of [T,N,H]", 1, 1, GRAD_INPUTS, &s)) return false;
    c->shape[1] = GR_SHAPE(s.batch, s.hidden);
    return gr__expect_input(c, 2, "dy", c->shape[0]) &&
           gr__expect_input(c, 3, "dh_n", c->shape[1]);
}

static gr_status grad_forward(gr_exec *e)
{
    gr__recurrence_grad g = {
        .dy = e->in[2].data, .da = e->out[0].data, .dh = e->out[1].data};
    gr_status status = gr__sequence_of(e, GRAD_INPUTS, &g.of);
    if (status) return status;
    g.of.y = e->in[0].data;
    gr__copy_value(&e->in[3], &e->out[1]);
    gr__rnn_backward(&g);
    return GR_OK;
}

static gr_tensor *through(gr_tensor *y, gr_tensor *dh, bool relu)
{
    gr_tensor *zero = gr_zeros(gr_graph_of(y), gr_dtype_of(y), *gr_shape_of(y));
    return relu ? gr_where(gr_greater(y, zero), dh, zero) : gr_sub(dh, gr_mul(dh, gr_square(y)));
}

static void grad_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    gr__unrolled u = gr__unroll(x, n, GRAD_INPUTS, attrs);
    gr_tensor *w = x[1], *dh = x[3];
    for (int64_t k = u.size.steps - 1; k >= 0; k--) {
        const int64_t t = gr__unrolled_step(&u, k);
        gr_tensor *da = through(gr__step(x[0], t), gr_add(dh, gr__step(x[2], t)), is_relu(attrs));
        u.first[t] = gr__if_active(&u, t, da, NULL);
        dh = gr__if_active(&u, t, gr_matmul(da, w), dh);
    }
    y[0] = gr__stack(&u, u.first, 1);
    y[1] = dh;
}

static void grad_vjp(gr_pullback *p)
{
    gr__vjp_by_parts(p, grad_parts, 0);
}

/* A relu that gave exactly 0 stays closed; how far it was from opening rnn_sequence tells. */
static void grad_branch(const gr_exec *e, gr_branch *b)
{
    if (!is_relu(e->attrs)) return;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        double y = real_at(&e->in[0], i);
        gr_branch_add(b, y > 0, y == 0 ? INFINITY : fabs(y));
    }
}

static const gr_sample grad_samples[] = {
    {.name = "tanh", .in = {S3(3, 2, 3), MAT(3, 3), S3(3, 2, 3), MAT(2, 3)}, .n_in = 4, TANH},
    {.name = "relu", .in = {S3(3, 2, 3), MAT(3, 3), S3(3, 2, 3), MAT(2, 3)}, .n_in = 4, RELU},
    {.name = "reverse", .in = {S3(3, 1, 2), MAT(2, 2), S3(3, 1, 2), MAT(1, 2)}, .n_in = 4, TANH_BACK},
    {.name = "lengths", .in = {S3(3, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2), LENGTHS(2, 3, 1)}, .n_in = 5, RELU},
    {.name = "lengths in reverse", .in = {S3(3, 3, 1), MAT(1, 1), S3(3, 3, 1), MAT(3, 1), LENGTHS(3, 1, 0, 3)}, .n_in = 5, TANH_BACK},
    {.name = "no steps", .in = {S3(0, 2, 3), MAT(3, 3), S3(0, 2, 3), MAT(2, 3)}, .n_in = 4, TANH},
    {.name = "other y", .in = {S3(3, 2, 2), MAT(3, 3), S3(3, 2, 3), MAT(2, 3)}, .n_in = 4, TANH, .error = "of [3,2,3], got [3,2,2]"},
    {.name = "other dy", .in = {S3(3, 2, 3), MAT(3, 3), S3(3, 1, 3), MAT(2, 3)}, .n_in = 4, TANH, .error = "expected dy of [3,2,3], got [3,1,3]"},
    {.name = "other dh_n", .in = {S3(3, 2, 3), MAT(3, 3), S3(3, 2, 3), MAT(3, 2)}, .n_in = 4, TANH, .error = "expected dh_n of [2,3], got [3,2]"},
    {.name = "too long", .in = {S3(3, 2, 2), MAT(2, 2), S3(3, 2, 2), MAT(2, 2), LENGTHS(2, 3, 9)}, .n_in = 5, TANH, .error = "lengths[1] is 9, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op rnn_sequence_grad_op = {
    .name = "rnn_sequence_grad",
    .family = "recurrent",
    .formula = "from the last step to the first: da_t = (dy_t + dh) f', dh = W_hh^T da_t, with f' = "
               "1 - y_t^2 of tanh, [y_t > 0] of relu",
    .derivation = "differentiated as it is recorded step by step from products",
    .ties = "relu with y = 0: f' is 0",
    .n_in = 5,
    .n_out = 2,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4),
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__rnn_fields,
    .infer = grad_infer,
    .forward = {[GR_F32] = grad_forward, [GR_F64] = grad_forward},
    .vjp = grad_vjp,
    .flops = gr__sequence_flops,
    .branch = grad_branch,
    .samples = grad_samples,
};

/* --- rnn_sequence: (a, w_hh, h0[, lengths]) -> y, h_n --- */

enum { INPUTS = 3 };

static bool sequence_infer(gr_infer *c)
{
    gr__sizes s;
    if (!gr__sequence_infer(c, "a of [T,N,H]", 1, 1, INPUTS, &s)) return false;
    c->shape[1] = GR_SHAPE(s.batch, s.hidden);
    return gr__expect_input(c, 2, "h0", c->shape[1]);
}

static gr_status sequence_forward(gr_exec *e)
{
    gr__recurrence r;
    gr_status status = gr__sequence_of(e, INPUTS, &r);
    if (status) return status;
    r.a = e->in[0].data;
    r.y = e->out[0].data;
    r.h = e->out[1].data;
    gr__copy_value(&e->in[2], &e->out[1]);
    gr__rnn_forward(&r);
    return GR_OK;
}

static void sequence_vjp(gr_pullback *p)
{
    gr_tensor *in[GRAD_INPUTS + 1] = {p->y[0], p->x[1], gr__cotangent(p, 0), gr__cotangent(p, 1)};
    if (p->n_in > INPUTS) in[GRAD_INPUTS] = p->x[INPUTS];
    gr_tensor *da = gr_apply(p->graph, &rnn_sequence_grad_op, in,
                             p->n_in > INPUTS ? GRAD_INPUTS + 1 : GRAD_INPUTS, p->attrs);
    p->dx[0] = da;
    p->dx[2] = gr_output(da, 1);
    if (p->wants[1]) p->dx[1] = gr__weight_cotangent(p, da, p->y[0], p->x[2], INPUTS);
}

/* What goes into the function of unit i of row n at step t. */
static double argument_at(const gr_exec *e, int64_t t, int64_t n, int64_t i)
{
    const int64_t steps = e->in[0].shape->dim[0], batch = e->in[0].shape->dim[1];
    const int64_t hidden = e->in[1].shape->dim[1];
    const bool reverse = ((const gr__recurrent_attrs *)e->attrs)->reverse;
    const int64_t *lengths = e->n_in > INPUTS ? e->in[INPUTS].data : NULL;
    const int64_t before = reverse ? t + 1 : t - 1, end = lengths ? lengths[n] : steps;
    const bool first = before < 0 || before >= end;
    double sum = real_at(&e->in[0], (t * batch + n) * hidden + i);
    for (int64_t j = 0; j < hidden; j++)
        sum += real_at(&e->in[1], i * hidden + j) *
               (first ? real_at(&e->in[2], n * hidden + j)
                      : real_at(&e->out[0], (before * batch + n) * hidden + j));
    return sum;
}

static void sequence_branch(const gr_exec *e, gr_branch *b)
{
    const gr_shape *s = e->in[0].shape;
    const int64_t *lengths = e->n_in > INPUTS ? e->in[INPUTS].data : NULL;
    if (!is_relu(e->attrs)) return;
    for (int64_t t = 0; t < s->dim[0]; t++)
        for (int64_t n = 0; n < s->dim[1]; n++)
            for (int64_t i = 0; i < s->dim[2] && (!lengths || t < lengths[n]); i++) {
                double a = argument_at(e, t, n, i);
                gr_branch_add(b, a > 0 ? 1 : a < 0 ? 2 : 3, fabs(a));
            }
}

static const gr_sample sequence_samples[] = {
    {.name = "tanh", .in = {S3(3, 2, 3), MAT(3, 3), MAT(2, 3)}, .n_in = 3, TANH},
    {.name = "relu", .in = {S3(3, 2, 3), MAT(3, 3), MAT(2, 3)}, .n_in = 3, RELU},
    {.name = "reverse", .in = {S3(3, 1, 2), MAT(2, 2), MAT(1, 2)}, .n_in = 3, TANH_BACK},
    {.name = "lengths", .in = {S3(3, 2, 2), MAT(2, 2), MAT(2, 2), LENGTHS(2, 1, 3)}, .n_in = 4, TANH},
    {.name = "lengths in reverse", .in = {S3(3, 3, 2), MAT(2, 2), MAT(3, 2), LENGTHS(3, 2, 0, 3)}, .n_in = 4, RELU_BACK},
    {.name = "no steps", .in = {S3(0, 2, 3), MAT(3, 3), MAT(2, 3)}, .n_in = 3, TANH},
    {.name = "no rows", .in = {S3(3, 0, 3), MAT(3, 3), MAT(0, 3)}, .n_in = 3, RELU},
    {.name = "a matrix", .in = {MAT(3, 3), MAT(3, 3), MAT(2, 3)}, .n_in = 3, TANH, .error = "expected a of [T,N,H], got [3,3]"},
    {.name = "other w_hh", .in = {S3(3, 2, 3), MAT(3, 2), MAT(2, 3)}, .n_in = 3, TANH, .error = "expected w_hh of [1 H,H], got [3,2]"},
    {.name = "other h0", .in = {S3(3, 2, 3), MAT(3, 3), MAT(2, 2)}, .n_in = 3, TANH, .error = "expected h0 of [2,3], got [2,2]"},
    {.name = "too long", .in = {S3(3, 2, 2), MAT(2, 2), MAT(2, 2), LENGTHS(2, 4, 3)}, .n_in = 4, TANH, .error = "lengths[0] is 4, expected 0 <= lengths < 4"},
    {0},
};

static const gr_op rnn_sequence_op = {
    .name = "rnn_sequence",
    .family = "recurrent",
    .formula = "for each step: h = f(a_t + W_hh h), f being tanh or relu; y_t = h",
    .derivation = "from the last step back: h_t gets dy_t and what step t + 1 sends through W_hh, so "
                  "da_t = (dy_t + W_hh^T da_{t+1}) f'; all steps share W_hh: "
                  "dW_hh = sum_t da_t h_{t-1}^T",
    .ties = "relu at 0: the derivative is 0 (PyTorch's choice)",
    .n_in = 4,
    .n_out = 2,
    .optional = 1,
    .reads = GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_OUT(0),
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__rnn_fields,
    .infer = sequence_infer,
    .forward = {[GR_F32] = sequence_forward, [GR_F64] = sequence_forward},
    .vjp = sequence_vjp,
    .flops = gr__sequence_flops,
    .branch = sequence_branch,
    .samples = sequence_samples,
};

/* --- rnn: one layer in one direction --- */

static gr_tensor *rnn_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr__layer l = gr__layer_of("rnn", 1, 1, x, n);
    if (l.failure) return l.failure;
    gr_tensor *bias = l.b_ih ? gr_add(l.b_ih, l.b_hh) : NULL;
    gr_tensor *in[INPUTS + 1] = {gr_linear(l.x, l.w_ih, bias), l.w_hh, l.h0, l.lengths};
    return gr_apply(NULL, &rnn_sequence_op, in, l.lengths ? INPUTS + 1 : INPUTS, attrs);
}

static const gr_sample rnn_samples[] = {
    {.name = "all inputs", .in = {S3(3, 2, 3), MAT(2, 3), MAT(2, 2), MAT(2, 2), ROW(2), ROW(2), LENGTHS(2, 3, 2)}, .n_in = 7, TANH},
    {.name = "relu", .in = {S3(3, 2, 2), MAT(3, 2), MAT(3, 3), MAT(2, 3), ROW(3), ROW(3)}, .n_in = 6, RELU},
    {.name = "reverse", .in = {S3(2, 3, 2), MAT(1, 2), MAT(1, 1), MAT(3, 1), ROW(1), ROW(1)}, .n_in = 6, TANH_BACK},
    {.name = "without bias", .in = {S3(2, 1, 2), MAT(3, 2), MAT(3, 3), MAT(1, 3)}, .n_in = 4, TANH},
    {.name = "a matrix", .in = {MAT(3, 2), MAT(2, 3), MAT(2, 2), MAT(2, 2)}, .n_in = 4, TANH, .error = "expected x of [T,N,in], got [3,2]"},
    {.name = "other w_ih", .in = {S3(3, 2, 3), MAT(2, 2), MAT(2, 2), MAT(2, 2)}, .n_in = 4, TANH, .error = "expected w_ih of [2,3], got [2,2]"},
    {.name = "other bias", .in = {S3(3, 2, 3), MAT(2, 3), MAT(2, 2), MAT(2, 2), ROW(3), ROW(2)}, .n_in = 6, TANH, .error = "expected b_ih of [2], got [3]"},
    {.name = "one bias", .in = {S3(3, 2, 3), MAT(2, 3), MAT(2, 2), MAT(2, 2), ROW(2)}, .n_in = 5, TANH, .error = "expected both biases or none"},
    {0},
};

static const gr_op rnn_op = {
    .name = "rnn",
    .family = "recurrent",
    .formula = "y, h_n = rnn_sequence(W_ih x + b_ih + b_hh, W_hh, h0, lengths)",
    .derivation = "through its parts: rnn_sequence gives da for all steps, then dx = W_ih^T da, "
                  "dW_ih = sum_t da_t x_t^T and both biases get sum_t da_t",
    .ties = "relu at 0: the derivative is 0 (PyTorch's choice)",
    .n_in = 7,
    .n_out = 2,
    .optional = 3,
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__rnn_fields,
    .define = rnn_define,
    .samples = rnn_samples,
};

/* A plain recurrent network over a sequence, PyTorch's RNN.
 *
 * x: [T,N,in], or [N,T,in] with o.batch_first. w: the weights of each layer, forward before reverse,
 * D = 1 or 2 for each: w_ih [G H,in] ([G H,D H] above the first layer), w_hh [G H,H] and the biases
 * [G H], both or none. h0: [L D,N,H], NULL for zeros. lengths: int64 [N], each from 0 to T, NULL for T:
 * steps beyond change no state and give y = 0, as PyTorch's packed sequences do; the reverse
 * direction starts at a row's own end; what x holds beyond does not matter. x, the states and the
 * weights are of one dtype, float32 or float64.
 *
 * The result: y [T,N,D H] (or [N,T,D H]), of the last layer; h [L D,N,H], the states at the rows'
 * ends. With o.dropout, elements of what goes from a layer to the next are dropped, drawn anew at
 * each call from the graph's seed; leave it 0 when not training.
 *
 * Errors, besides shapes and dtypes: a negative number of layers, a dropout outside [0, 1]; a length
 * outside [0, T], when the value is computed. */
gr_recurrent gr_rnn(gr_tensor *x, gr_tensor *h0, gr_tensor *lengths, const gr_rnn_weights *w,
                    gr_rnn_options o)
{
    return gr__layers(&rnn_op, 1, x, h0, NULL, lengths, w, &o, GR_HERE);
}

const gr_op *const gr__recurrent_rnn_ops[] = {
    &rnn_sequence_grad_op, &rnn_sequence_op, &rnn_op, NULL,
};
