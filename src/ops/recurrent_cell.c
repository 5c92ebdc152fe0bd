/* recurrent_cell.c - one step of a recurrent network, with its matrix products.
 *
 *   h' = cell(W_ih x + b_ih, W_hh h + b_hh, state)
 *
 * The cells are recorded from gr_linear and from what recurrent_gates.c has.
 */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

/* The inputs of a cell: x, h, `states` - 1 further states, w_ih, w_hh, then both biases or none. */
typedef struct cell {
    gr_tensor *a, *s, *h, *c, *failure; /* a = W_ih x + b_ih, s = W_hh h + b_hh */
} cell;

/* x and the states agree in all axes but the last. */
static gr_tensor *expect_states(const char *op, int states, gr_tensor *const *x)
{
    gr_shape h = *gr_shape_of(x[1]), like = *gr_shape_of(x[0]);
    if (h.rank < 1 || like.rank < 1)
        return gr_fail(gr_graph_of(x[0]), "%s: expected x of [...,in] and h of [...,H], got scalars",
                       op);
    like.dim[like.rank - 1] = h.dim[h.rank - 1];
    gr_tensor *failure = gr__expect(op, x[1], "h", like);
    return failure || states == 1 ? failure : gr__expect(op, x[2], "c", like);
}

static cell cell_of(const char *op, int gates, int states, gr_tensor *const *x, int n)
{
    gr_tensor *const *w = x + 1 + states;
    const int n_w = n - 1 - states;
    cell l = {.h = x[1], .c = states == 2 ? x[2] : NULL};
    l.failure = expect_states(op, states, x);
    if (l.failure) return l;
    const gr_shape *in = gr_shape_of(x[0]), *h = gr_shape_of(x[1]);
    l.failure = gr__expect_weights(op, gates, in->dim[in->rank - 1], h->dim[h->rank - 1], w, n_w);
    if (l.failure) return l;
    l.a = gr_linear(x[0], w[0], n_w > 2 ? w[2] : NULL);
    l.s = gr_linear(x[1], w[1], n_w > 2 ? w[3] : NULL);
    return l;
}

/* The inputs of a cell's op in their order; returns how many. */
static int cell_inputs(gr_tensor **in, gr_tensor *x, gr_tensor *h, gr_tensor *c,
                       const gr_rnn_weights *w)
{
    int n = 0;
    in[n++] = x;
    in[n++] = h;
    if (c) in[n++] = c;
    in[n++] = w->w_ih;
    in[n++] = w->w_hh;
    if (w->b_ih) in[n++] = w->b_ih;
    if (w->b_hh) in[n++] = w->b_hh;
    return n;
}

#define MAT(m, n) {.shape = {2, {m, n}}}
#define ROW(n) {.shape = {1, {n}}}

/* --- rnn_cell --- */

static gr_tensor *rnn_cell_define(gr_tensor *const *x, int n, const void *attrs)
{
    cell l = cell_of("rnn_cell", 1, 1, x, n);
    if (l.failure) return l.failure;
    gr_tensor *sum = gr_add(l.a, l.s);
    bool relu = ((const gr__recurrent_attrs *)attrs)->nonlinearity == GR_RNN_RELU;
    return relu ? gr_relu(sum) : gr_tanh(sum);
}

#define TANH .attrs = &(const gr__recurrent_attrs){GR_RNN_TANH, false}
#define RELU .attrs = &(const gr__recurrent_attrs){GR_RNN_RELU, false}

static const gr_sample rnn_cell_samples[] = {
    {.name = "tanh", .in = {MAT(2, 3), MAT(2, 4), MAT(4, 3), MAT(4, 4), ROW(4), ROW(4)}, .n_in = 6, TANH},
    {.name = "relu", .in = {MAT(2, 3), MAT(2, 4), MAT(4, 3), MAT(4, 4), ROW(4), ROW(4)}, .n_in = 6, RELU},
    {.name = "without bias", .in = {MAT(3, 2), MAT(3, 1), MAT(1, 2), MAT(1, 1)}, .n_in = 4, TANH},
    {.name = "one row", .in = {ROW(3), ROW(2), MAT(2, 3), MAT(2, 2)}, .n_in = 4, TANH},
    {.name = "empty", .in = {MAT(0, 3), MAT(0, 2), MAT(2, 3), MAT(2, 2)}, .n_in = 4, TANH},
    {.name = "other h", .in = {MAT(2, 3), MAT(3, 4), MAT(4, 3), MAT(4, 4)}, .n_in = 4, TANH, .error = "expected h of [2,4], got [3,4]"},
    {.name = "other w_ih", .in = {MAT(2, 3), MAT(2, 4), MAT(3, 4), MAT(4, 4)}, .n_in = 4, TANH, .error = "expected w_ih of [4,3], got [3,4]"},
    {.name = "other w_hh", .in = {MAT(2, 3), MAT(2, 4), MAT(4, 3), MAT(4, 3)}, .n_in = 4, TANH, .error = "expected w_hh of [4,4], got [4,3]"},
    {.name = "one bias", .in = {MAT(2, 3), MAT(2, 4), MAT(4, 3), MAT(4, 4), ROW(4)}, .n_in = 5, TANH, .error = "expected both biases or none"},
    {.name = "other bias", .in = {MAT(2, 3), MAT(2, 4), MAT(4, 3), MAT(4, 4), ROW(4), ROW(3)}, .n_in = 6, TANH, .error = "expected b_hh of [4], got [3]"},
    {.name = "scalars", .in = {{.shape = {0, {0}}}, {.shape = {0, {0}}}, MAT(1, 1), MAT(1, 1)}, .n_in = 4, TANH, .error = "expected x of [...,in]"},
    {0},
};

static const gr_op rnn_cell_op = {
    .name = "rnn_cell",
    .family = "recurrent",
    .formula = "h' = f(W_ih x + b_ih + W_hh h + b_hh), f being tanh or relu",
    .derivation = "through its parts: with d = dh' f', dx = W_ih^T d, dh = W_hh^T d, dW_ih = d x^T, "
                  "dW_hh = d h^T and both biases get d",
    .ties = "relu at 0: the derivative is 0 (PyTorch's choice)",
    .n_in = 6,
    .optional = 2,
    .attrs_size = sizeof(gr__recurrent_attrs),
    .fields = gr__nonlinearity_fields,
    .define = rnn_cell_define,
    .samples = rnn_cell_samples,
};

/* The next state of a plain recurrent network, PyTorch's RNNCell: x [...,in], h [...,H], weights
 * with G = 1. */
gr_tensor *gr_rnn_cell(gr_tensor *x, gr_tensor *h, gr_rnn_weights w, gr_rnn_nonlinearity f)
{
    gr_tensor *in[6];
    int n = cell_inputs(in, x, h, NULL, &w);
    return gr__apply(NULL, &rnn_cell_op, in, n, &(gr__recurrent_attrs){f, false}, GR_HERE);
}

/* --- lstm_cell --- */

static gr_tensor *lstm_cell_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)attrs;
    cell l = cell_of("lstm_cell", 4, 2, x, n);
    return l.failure ? l.failure : gr__lstm_gates(gr_add(l.a, l.s), l.c);
}

static const gr_sample lstm_cell_samples[] = {
    {.name = "batch", .in = {MAT(2, 4), MAT(2, 3), MAT(2, 3), MAT(12, 4), MAT(12, 3), ROW(12), ROW(12)}, .n_in = 7},
    {.name = "without bias", .in = {MAT(3, 2), MAT(3, 1), MAT(3, 1), MAT(4, 2), MAT(4, 1)}, .n_in = 5},
    {.name = "one row", .in = {ROW(3), ROW(2), ROW(2), MAT(8, 3), MAT(8, 2)}, .n_in = 5},
    {.name = "empty", .in = {MAT(0, 3), MAT(0, 2), MAT(0, 2), MAT(8, 3), MAT(8, 2)}, .n_in = 5},
    {.name = "other c", .in = {MAT(2, 4), MAT(2, 3), MAT(2, 4), MAT(12, 4), MAT(12, 3)}, .n_in = 5, .error = "expected c of [2,3], got [2,4]"},
    {.name = "other w_ih", .in = {MAT(2, 4), MAT(2, 3), MAT(2, 3), MAT(9, 4), MAT(12, 3)}, .n_in = 5, .error = "expected w_ih of [12,4], got [9,4]"},
    {.name = "one bias", .in = {MAT(2, 4), MAT(2, 3), MAT(2, 3), MAT(12, 4), MAT(12, 3), ROW(12)}, .n_in = 6, .error = "expected both biases or none"},
    {0},
};

static const gr_op lstm_cell_op = {
    .name = "lstm_cell",
    .family = "recurrent",
    .formula = "h', c' = lstm_gates(W_ih x + b_ih + W_hh h + b_hh, c)",
    .derivation = "through its parts: lstm_gates gives d for the sum, then dx = W_ih^T d, "
                  "dh = W_hh^T d, dW_ih = d x^T, dW_hh = d h^T and both biases get d",
    .n_in = 7,
    .n_out = 2,
    .optional = 2,
    .define = lstm_cell_define,
    .samples = lstm_cell_samples,
};

/* The next h of an LSTM, PyTorch's LSTMCell; gr_output(h, 1) is the next c. x [...,in], h and c
 * [...,H], weights with G = 4 in the order i, f, g, o.
 * Hochreiter and Schmidhuber, "Long short-term memory", 1997; with forget gates: Gers, Schmidhuber,
 * Cummins, "Learning to forget", 2000. */
gr_tensor *gr_lstm_cell(gr_tensor *x, gr_tensor *h, gr_tensor *c, gr_rnn_weights w)
{
    gr_tensor *in[7];
    int n = cell_inputs(in, x, h, c, &w);
    return gr__apply(NULL, &lstm_cell_op, in, n, NULL, GR_HERE);
}

/* --- gru_cell --- */

static gr_tensor *gru_cell_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)attrs;
    cell l = cell_of("gru_cell", 3, 1, x, n);
    return l.failure ? l.failure : gr__gru_gates(l.a, l.s, l.h);
}

static const gr_sample gru_cell_samples[] = {
    {.name = "batch", .in = {MAT(2, 4), MAT(2, 3), MAT(9, 4), MAT(9, 3), ROW(9), ROW(9)}, .n_in = 6},
    {.name = "without bias", .in = {MAT(3, 2), MAT(3, 1), MAT(3, 2), MAT(3, 1)}, .n_in = 4},
    {.name = "one row", .in = {ROW(3), ROW(2), MAT(6, 3), MAT(6, 2)}, .n_in = 4},
    {.name = "empty", .in = {MAT(0, 3), MAT(0, 2), MAT(6, 3), MAT(6, 2)}, .n_in = 4},
    {.name = "other h", .in = {MAT(2, 4), MAT(1, 3), MAT(9, 4), MAT(9, 3)}, .n_in = 4, .error = "expected h of [2,3], got [1,3]"},
    {.name = "other w_hh", .in = {MAT(2, 4), MAT(2, 3), MAT(9, 4), MAT(3, 3)}, .n_in = 4, .error = "expected w_hh of [9,3], got [3,3]"},
    {.name = "other b_ih", .in = {MAT(2, 4), MAT(2, 3), MAT(9, 4), MAT(9, 3), ROW(3), ROW(9)}, .n_in = 6, .error = "expected b_ih of [9], got [3]"},
    {0},
};

static const gr_op gru_cell_op = {
    .name = "gru_cell",
    .family = "recurrent",
    .formula = "h' = gru_gates(W_ih x + b_ih, W_hh h + b_hh, h)",
    .derivation = "through its parts: gru_gates gives da and ds for the two sums, then "
                  "dx = W_ih^T da, dW_ih = da x^T, db_ih = da and dW_hh = ds h^T, db_hh = ds; h gets "
                  "W_hh^T ds besides what the gates give",
    .n_in = 6,
    .optional = 2,
    .define = gru_cell_define,
    .samples = gru_cell_samples,
};

/* The next h of a GRU, PyTorch's GRUCell: x [...,in], h [...,H], weights with G = 3 in the order
 * r, z, n. The reset gate is applied after the product with W_hh, b_hh included.
 * Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014. */
gr_tensor *gr_gru_cell(gr_tensor *x, gr_tensor *h, gr_rnn_weights w)
{
    gr_tensor *in[6];
    int n = cell_inputs(in, x, h, NULL, &w);
    return gr__apply(NULL, &gru_cell_op, in, n, NULL, GR_HERE);
}

const gr_op *const gr__recurrent_cell_ops[] = {&rnn_cell_op, &lstm_cell_op, &gru_cell_op, NULL};
