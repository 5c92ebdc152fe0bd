/* network.c - random networks: products, convolutions, norms, recurrences, and functions between. */
/* SPDX-License-Identifier: MIT */
#include "network.h"
#include "draw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ELEMENTS = 40000 };

static int64_t draw(network *net, int64_t n)
{
    return draw_below(&net->state, n);
}

/* Sizes about those of vectors, of tiles, and of what is computed when recorded. */
static int64_t draw_size(network *net)
{
    static const int64_t sizes[] = {1, 2, 5, 8, 16, 17, 24, 33, 48, 64, 100, 130, 257};
    return sizes[draw(net, sizeof sizes / sizeof *sizes)];
}

static int64_t rows_of(const gr_tensor *x)
{
    return gr_shape_of(x)->dim[0];
}

static int64_t columns_of(const gr_tensor *x)
{
    return gr_shape_of(x)->dim[1];
}

/* --- weights --- */

/* Uniform within 1 / sqrt(fan). */
static gr_param *new_weight(network *net, gr_shape shape, int64_t fan)
{
    const int64_t n = gr_shape_numel(&shape);
    uint64_t state = net->seed + 1000003 * (uint64_t)net->n_weights;
    gr_param *p = gr_param_new("w", net->dtype, shape, NULL);
    void *data = gr_param_write(p);
    for (int64_t i = 0; i < n; i++) {
        const float w = (float)(draw_unit(&state) / sqrt((double)fan)); /* exact in any dtype */
        if (net->dtype == GR_F64) ((double *)data)[i] = (double)w;
        else ((float *)data)[i] = w;
    }
    return p;
}

static gr_tensor *weight(network *net, gr_shape shape, int64_t fan)
{
    if (net->used == net->n_weights) net->weight[net->n_weights++] = new_weight(net, shape, fan);
    return gr_use(net->g, net->weight[net->used++]);
}

/* --- steps: each makes a matrix of a matrix, or gives NULL where it does not apply --- */

typedef gr_tensor *step_fn(network *net, gr_tensor *x);

static gr_tensor *function(network *net, gr_tensor *x)
{
    static gr_tensor *(*const functions[])(gr_tensor * x) = {
        gr_tanh,   gr_sigmoid,  gr_gelu, gr_silu,  gr_softplus, gr_sin,
        gr_square, gr_softsign, gr_erf,  gr_expm1, gr_relu,     gr_abs,
    };
    return functions[draw(net, sizeof functions / sizeof *functions)](gr_tanh(x));
}

/* With another matrix, a row, a column, or itself. */
static gr_tensor *pair(network *net, gr_tensor *x)
{
    static gr_tensor *(*const pairs[])(gr_tensor * a, gr_tensor * b) = {gr_add, gr_sub, gr_mul,
                                                                        gr_maximum};
    const int64_t shape = draw(net, 4), other = draw(net, net->n);
    gr_tensor *y = x;
    if (shape == 0) y = weight(net, GR_SHAPE(1, columns_of(x)), 1);
    if (shape == 1) y = weight(net, GR_SHAPE(rows_of(x), 1), 1);
    if (shape == 2 && gr_shape_equal(gr_shape_of(net->x[other]), gr_shape_of(x))) y = net->x[other];
    return pairs[draw(net, 4)](x, y);
}

static gr_tensor *product(network *net, gr_tensor *x)
{
    const bool turned = draw(net, 2), across = draw(net, 2);
    const int64_t n = draw_size(net), k = turned ? rows_of(x) : columns_of(x);
    if (turned) x = gr_transpose(x, 0, 1);
    gr_tensor *w = across ? gr_transpose(weight(net, GR_SHAPE(n, k), k), 0, 1)
                          : weight(net, GR_SHAPE(k, n), k);
    return gr_matmul(x, w);
}

static gr_tensor *layer(network *net, gr_tensor *x, int64_t out)
{
    const int64_t in = columns_of(x);
    gr_tensor *w = weight(net, GR_SHAPE(out, in), in);
    return gr_linear(x, w, draw(net, 2) ? weight(net, GR_SHAPE(out), in) : NULL);
}

static gr_tensor *linear(network *net, gr_tensor *x)
{
    return layer(net, x, draw_size(net));
}

static gr_tensor *probabilities(network *net, gr_tensor *x)
{
    const int axis = (int)draw(net, 2);
    return draw(net, 2) ? gr_softmax(x, axis) : gr_log_softmax(x, axis);
}

static gr_tensor *norm(network *net, gr_tensor *x)
{
    const int64_t n = columns_of(x), kind = draw(net, rows_of(x) > 1 ? 3 : 2);
    gr_tensor *w = weight(net, GR_SHAPE(n), 1), *b = weight(net, GR_SHAPE(n), 1);
    if (kind == 0) return gr_layer_norm(x, GR_SHAPE(n), w, b, 0.1);
    return kind == 1 ? gr_rms_norm(x, GR_SHAPE(n), w, 0.1) : gr_batch_norm(x, w, b, 0.1);
}

/* Sums over an axis, and back to all of x. */
static gr_tensor *centred(network *net, gr_tensor *x)
{
    const gr_axes axes = draw(net, 3) ? GR_AXES((int)draw(net, 2)) : GR_ALL;
    gr_tensor *size = gr_shift(gr_mean(gr_square(x), axes, true), 0.5);
    return gr_mul(gr_sub(x, gr_mean(x, axes, true)), gr_rsqrt(size));
}

static gr_tensor *rearranged(network *net, gr_tensor *x)
{
    const int axis = (int)draw(net, 2);
    const int64_t rows = rows_of(x), columns = columns_of(x), n = gr_shape_of(x)->dim[axis];
    gr_tensor *both[] = {x, gr_flip(x, GR_AXES(axis))};
    switch (draw(net, 5)) {
    case 0: return gr_transpose(x, 0, 1);
    case 1: return columns % 2 ? NULL : gr_reshape(x, GR_SHAPE(2 * rows, columns / 2));
    case 2: return gr_slice(x, axis, n / 3, n, 1 + draw(net, 2));
    case 3: return gr_concat(both, 2, axis);
    default: return gr_scale(gr_cumsum(x, axis, (gr_scan_options){0}), 1 / (double)n);
    }
}

static gr_tensor *convolution(network *net, gr_tensor *x)
{
    static const int64_t channels[] = {1, 3, 16, 20};
    const int64_t in = channels[draw(net, 4)], out = channels[draw(net, 4)],
                  taps = 1 + draw(net, 3);
    const int64_t height = taps + draw(net, 4), width = taps + draw(net, 6), batch = rows_of(x);
    const int stride = 1 + (int)draw(net, 2), padding = (int)draw(net, 2);
    if (batch * in * height * width > MOST_ELEMENTS) return NULL;
    x = gr_reshape(layer(net, x, in * height * width), GR_SHAPE(batch, in, height, width));
    gr_tensor *w = weight(net, GR_SHAPE(out, in, taps, taps), in * taps * taps);
    gr_tensor *y = gr_conv2d(x, w, draw(net, 2) ? weight(net, GR_SHAPE(out), 1) : NULL,
                             (gr_conv2d_options){.stride = {stride, stride},
                                                 .padding = {padding, padding}});
    return gr_flatten(y, 1);
}

static gr_tensor *pool(network *net, gr_tensor *x)
{
    const int64_t rows = rows_of(x), columns = columns_of(x);
    const gr_pool2d_options o = {.kernel = {2, 2}, .stride = {1 + (int)draw(net, 2), 2}};
    if (rows < 2 || columns < 2) return NULL;
    x = gr_reshape(x, GR_SHAPE(1, 1, rows, columns));
    x = draw(net, 2) ? gr_max_pool2d(x, o) : gr_avg_pool2d(x, o);
    return gr_reshape(x, GR_SHAPE(gr_shape_of(x)->dim[2], gr_shape_of(x)->dim[3]));
}

/* [n, 2 e] as two heads [2, n, e] */
static gr_tensor *heads(network *net, gr_tensor *x, int64_t e)
{
    return gr_transpose(gr_reshape(layer(net, x, 2 * e), GR_SHAPE(rows_of(x), 2, e)), 0, 1);
}

static gr_tensor *attention(network *net, gr_tensor *x)
{
    const int64_t e = 1 + draw(net, 40);
    const gr_attention_options o = {.causal = draw(net, 2)};
    gr_tensor *q = heads(net, x, e), *k = heads(net, x, e), *v = heads(net, x, e);
    gr_tensor *y = gr_scaled_dot_product_attention(q, k, v, NULL, o);
    return gr_reshape(gr_transpose(y, 0, 1), GR_SHAPE(rows_of(x), 2 * e));
}

static gr_tensor *recurrence(network *net, gr_tensor *x)
{
    enum { RNN, GRU, LSTM, KINDS };
    static const int64_t gates[KINDS] = {1, 3, 4};
    const int64_t kind = draw(net, KINDS), rows = rows_of(x), in = columns_of(x);
    const int64_t batch = rows % 8 ? 1 : 8, hidden = 1 + draw(net, 20), n = gates[kind] * hidden;
    const gr_rnn_weights w = {weight(net, GR_SHAPE(n, in), in), weight(net, GR_SHAPE(n, hidden), n),
                              weight(net, GR_SHAPE(n), 1), weight(net, GR_SHAPE(n), 1)};
    const gr_rnn_options o = {.layers = 1};
    x = gr_reshape(x, GR_SHAPE(rows / batch, batch, in));
    gr_tensor *y = kind == RNN   ? gr_rnn(x, NULL, NULL, &w, o).y
                   : kind == GRU ? gr_gru(x, NULL, NULL, &w, o).y
                                 : gr_lstm(x, NULL, NULL, NULL, &w, o).y;
    return gr_reshape(y, GR_SHAPE(rows, hidden));
}

/* Rows of a table beside x. */
static gr_tensor *lookup(network *net, gr_tensor *x)
{
    enum { MOST = 64, TABLE = 300 };
    const int64_t rows = rows_of(x), columns = columns_of(x);
    int64_t index[MOST];
    if (rows > MOST) return NULL;
    for (int64_t i = 0; i < rows; i++) index[i] = draw(net, TABLE);
    gr_tensor *at = gr_from_data(net->g, GR_I64, GR_SHAPE(rows), index);
    return gr_add(x, gr_embedding(weight(net, GR_SHAPE(TABLE, columns), 1), at));
}

static gr_tensor *dropout(network *net, gr_tensor *x)
{
    (void)net;
    return gr_dropout(x, 0.25);
}

static const struct step {
    const char *name;
    step_fn *record;
} steps[] = {
    {"function", function},
    {"function", function},
    {"pair", pair},
    {"pair", pair},
    {"product", product},
    {"linear", linear},
    {"softmax", probabilities},
    {"norm", norm},
    {"centred", centred},
    {"rearranged", rearranged},
    {"rearranged", rearranged},
    {"convolution", convolution},
    {"pool", pool},
    {"attention", attention},
    {"recurrence", recurrence},
    {"lookup", lookup},
    {"dropout", dropout},
};

/* --- the whole --- */

static void keep(network *net, const char *name, gr_tensor *x)
{
    char shape[GR_SHAPE_TEXT];
    const size_t at = strlen(net->text);
    snprintf(net->text + at, sizeof net->text - at, "%s%s ", name,
             gr_shape_text(gr_shape_of(x), shape));
    net->x[net->n++] = x;
}

static void take_step(network *net)
{
    const struct step *s = &steps[draw(net, sizeof steps / sizeof *steps)];
    const int64_t recent = net->n > 3 ? 3 : net->n;
    gr_tensor *x = net->x[net->n - 1 - draw(net, recent)];
    const bool stop = draw(net, 3) == 0;
    gr_tensor *y = s->record(net, x);
    if (!y || gr_numel(y) == 0 || gr_numel(y) > MOST_ELEMENTS) return;
    if (stop && net->stops) gr_eval(&y, 1);
    keep(net, s->name, y);
}

/* The mean squares of the last values, and the cross-entropy of one of them. */
static gr_tensor *loss_of(network *net)
{
    enum { MOST = 1024 };
    gr_tensor *loss = gr_mean_all(gr_square(net->x[net->n - 1]));
    int64_t target[MOST];
    for (int i = net->n - 2; i > 0 && i >= net->n - 4; i--) {
        gr_tensor *x = net->x[i];
        loss = gr_add(loss, gr_mean_all(gr_square(x)));
        if (rows_of(x) > MOST || draw(net, 2)) continue;
        for (int64_t k = 0; k < rows_of(x); k++) target[k] = draw(net, columns_of(x));
        gr_tensor *t = gr_from_data(net->g, GR_I64, GR_SHAPE(rows_of(x)), target);
        loss = gr_add(loss, gr_cross_entropy(x, t));
    }
    return loss;
}

gr_tensor *network_record(network *net)
{
    net->state = net->seed;
    net->n = net->used = 0;
    net->text[0] = 0;
    gr_graph_seed(net->g, net->seed);
    const int64_t rows = draw_size(net), n = 4 + draw(net, 14);
    keep(net, "input", weight(net, GR_SHAPE(rows, draw_size(net)), 1));
    for (int64_t i = 0; i < n && net->used < MOST_WEIGHTS - 8; i++) take_step(net);
    return loss_of(net);
}

void network_release(network *net)
{
    for (int i = 0; i < net->n_weights; i++) gr_param_release(net->weight[i]);
    net->n_weights = 0;
}
