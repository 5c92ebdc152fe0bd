/* recurrent_network.h - recurrent networks, and the same unrolled row by row from primitive ops. */
/* SPDX-License-Identifier: MIT */
#ifndef RECURRENT_NETWORK_H
#define RECURRENT_NETWORK_H

#include "fixture.h"
#include "kernels.h"

#include <gradus/gradus.h>
#include <math.h>

static inline void reset(void)
{
    gr__kernels_force(NULL);
    gr_set_threads(0);
    teardown();
}

/* The j-th array of the tests: a formula, so that other programs can make the same numbers. */
static inline gr_tensor *fill(gr_dtype dtype, int j, gr_shape shape)
{
    static double x[20000];
    int64_t n = gr_shape_numel(&shape);
    ck_assert_int_le(n, 20000);
    for (int64_t k = 0; k < n; k++) x[k] = 0.8 * sin(1.3 * (double)k + 0.7 * j + 0.2);
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

static inline void assert_close(const char *name, const char *what, gr_tensor *got, gr_tensor *want,
                                double tolerance)
{
    ck_assert_msg(gr_shape_equal(gr_shape_of(got), gr_shape_of(want)), "%s: shape of %s: %s", name,
                  what, gr_graph_error(g));
    const double *a = values(got), *b = values(want);
    double most = 0;
    for (int64_t i = 0; i < gr_numel(want); i++) most = fmax(most, fabs(b[i]));
    for (int64_t i = 0; i < gr_numel(want); i++)
        if (!(fabs(a[i] - b[i]) <= tolerance * most))
            ck_abort_msg("%s (%s): element %lld of %s: expected %.17g, got %.17g", name,
                         gr__isa_name(), (long long)i, what, b[i], a[i]);
}

/* --- networks --- */

typedef enum flavour { TANH, RELU, LSTM, GRU } flavour;
static const int gates_of[] = {1, 1, 4, 3};

enum { MOST_LAYERS = 6, MOST_ROWS = 32, MOST_INPUTS = 3 + 4 * MOST_LAYERS };

/* What a network is made of; in[] lists all that can be differentiated by. */
typedef struct network {
    flavour kind;
    int64_t steps, batch, in, hidden;
    gr_rnn_options o;
    const int64_t *lengths; /* NULL: all steps */
    gr_tensor *x, *h0, *c0;
    gr_rnn_weights w[MOST_LAYERS];
    gr_tensor *inputs[MOST_INPUTS];
    int n_inputs;
} network;

static inline int directions(const network *m)
{
    return m->o.bidirectional ? 2 : 1;
}

static inline int layers(const network *m)
{
    return directions(m) * (m->o.layers ? m->o.layers : 1);
}

static inline gr_tensor *input(network *m, gr_dtype dtype, int j, gr_shape shape)
{
    return m->inputs[m->n_inputs++] = fill(dtype, j, shape);
}

static inline void network_make(network *m, gr_dtype dtype, bool states, bool biases)
{
    const int64_t rows = gates_of[m->kind] * m->hidden;
    gr_shape state = GR_SHAPE(layers(m), m->batch, m->hidden);
    m->n_inputs = 0;
    m->x = input(m, dtype, 0,
                 m->o.batch_first ? GR_SHAPE(m->batch, m->steps, m->in)
                                  : GR_SHAPE(m->steps, m->batch, m->in));
    m->h0 = states ? input(m, dtype, 1, state) : NULL;
    m->c0 = states && m->kind == LSTM ? input(m, dtype, 2, state) : NULL;
    for (int i = 0, j = 10; i < layers(m); i++, j += 4) {
        int64_t in = i < directions(m) ? m->in : directions(m) * m->hidden;
        m->w[i] = (gr_rnn_weights){input(m, dtype, j, GR_SHAPE(rows, in)),
                                   input(m, dtype, j + 1, GR_SHAPE(rows, m->hidden)), NULL, NULL};
        if (!biases) continue;
        m->w[i].b_ih = input(m, dtype, j + 2, GR_SHAPE(rows));
        m->w[i].b_hh = input(m, dtype, j + 3, GR_SHAPE(rows));
    }
}

static inline gr_recurrent run(const network *m)
{
    gr_rnn_options o = m->o;
    gr_tensor *lengths = m->lengths ? gr_from_data(g, GR_I64, GR_SHAPE(m->batch), m->lengths)
                                    : NULL;
    if (m->kind == LSTM) return gr_lstm(m->x, m->h0, m->c0, lengths, m->w, o);
    if (m->kind == GRU) return gr_gru(m->x, m->h0, lengths, m->w, o);
    o.nonlinearity = m->kind == RELU ? GR_RNN_RELU : GR_RNN_TANH;
    return gr_rnn(m->x, m->h0, lengths, m->w, o);
}

/* --- the same, unrolled row by row from primitive ops --- */

typedef struct state {
    gr_tensor *h, *c;
} state;

static inline gr_tensor *part(gr_tensor *x, int64_t i, int64_t width)
{
    return gr_slice(x, -1, i * width, (i + 1) * width, 1);
}

static inline void plain_step(flavour kind, gr_tensor *x, const gr_rnn_weights *w, state *s)
{
    gr_tensor *a = gr_linear(x, w->w_ih, w->b_ih), *b = gr_linear(s->h, w->w_hh, w->b_hh);
    const int64_t n = gr_shape_of(s->h)->dim[1];
    if (kind == TANH) s->h = gr_tanh(gr_add(a, b));
    if (kind == RELU) s->h = gr_relu(gr_add(a, b));
    if (kind == LSTM) {
        gr_tensor *sum = gr_add(a, b), *i = gr_sigmoid(part(sum, 0, n));
        gr_tensor *f = gr_sigmoid(part(sum, 1, n)), *o = gr_sigmoid(part(sum, 3, n));
        s->c = gr_add(gr_mul(f, s->c), gr_mul(i, gr_tanh(part(sum, 2, n))));
        s->h = gr_mul(o, gr_tanh(s->c));
    }
    if (kind == GRU) {
        gr_tensor *r = gr_sigmoid(gr_add(part(a, 0, n), part(b, 0, n)));
        gr_tensor *z = gr_sigmoid(gr_add(part(a, 1, n), part(b, 1, n)));
        gr_tensor *fresh = gr_tanh(gr_add(part(a, 2, n), gr_mul(r, part(b, 2, n))));
        s->h = gr_add(gr_mul(gr_shift(gr_neg(z), 1), fresh), gr_mul(z, s->h));
    }
}

/* Row n of layer i over x [T,N,in]: its outputs [T,1,H], the last state in s. */
static inline gr_tensor *plain_row(const network *m, int i, gr_tensor *x, int64_t n, state *s)
{
    gr_tensor *y[16];
    const bool reverse = i % directions(m) == 1;
    const int64_t end = m->lengths ? m->lengths[n] : m->steps, in = gr_shape_of(x)->dim[2];
    gr_shape one = GR_SHAPE(1, 1, m->hidden);
    ck_assert_int_le(m->steps, 16);
    for (int64_t t = 0; t < m->steps; t++) y[t] = gr_zeros(g, gr_dtype_of(x), one);
    for (int64_t k = 0; k < end; k++) {
        const int64_t t = reverse ? end - 1 - k : k;
        gr_tensor *now = gr_slice(gr_slice(x, 0, t, t + 1, 1), 1, n, n + 1, 1);
        plain_step(m->kind, gr_reshape(now, GR_SHAPE(1, in)), &m->w[i], s);
        y[t] = gr_reshape(s->h, one);
    }
    return gr_concat(y, (int)m->steps, 0);
}

static inline gr_tensor *plain_first(const network *m, gr_tensor *all, int i, int64_t n)
{
    gr_shape shape = GR_SHAPE(1, m->hidden);
    if (!all) return gr_zeros(g, gr_dtype_of(m->x), shape);
    return gr_reshape(gr_slice(gr_slice(all, 0, i, i + 1, 1), 1, n, n + 1, 1), shape);
}

static inline gr_recurrent run_plain(const network *m)
{
    gr_tensor *x = m->o.batch_first ? gr_transpose(m->x, 0, 1) : m->x;
    gr_tensor *h[MOST_LAYERS], *c[MOST_LAYERS], *y[2];
    gr_shape one = GR_SHAPE(1, m->batch, m->hidden);
    for (int i = 0; i < layers(m); i++) {
        gr_tensor *rows[MOST_ROWS], *hs[MOST_ROWS], *cs[MOST_ROWS];
        ck_assert_int_le(m->batch, MOST_ROWS);
        for (int64_t n = 0; n < m->batch; n++) {
            state s = {plain_first(m, m->h0, i, n), plain_first(m, m->c0, i, n)};
            rows[n] = plain_row(m, i, x, n, &s);
            hs[n] = s.h;
            cs[n] = s.c;
        }
        y[i % directions(m)] = gr_concat(rows, (int)m->batch, 1);
        h[i] = gr_reshape(gr_concat(hs, (int)m->batch, 0), one);
        c[i] = gr_reshape(gr_concat(cs, (int)m->batch, 0), one);
        if (i % directions(m) == directions(m) - 1) x = gr_concat(y, directions(m), -1);
    }
    return (gr_recurrent){m->o.batch_first ? gr_transpose(x, 0, 1) : x, gr_concat(h, layers(m), 0),
                          m->kind == LSTM ? gr_concat(c, layers(m), 0) : NULL};
}

static const int64_t short_and_long[] = {2, 4};

static inline network small_network(flavour kind)
{
    network m = {.kind = kind, .steps = 4, .batch = 2, .in = 3, .hidden = 2};
    m.o.bidirectional = true;
    m.lengths = short_and_long;
    return m;
}

/* --- asking --- */

static inline void differentiate(const network *m, gr_recurrent r, gr_tensor **d)
{
    gr_tensor *y[3] = {r.y, r.h, r.c}, *dy[3];
    const int n = m->kind == LSTM ? 3 : 2;
    for (int i = 0; i < n; i++) dy[i] = fill(gr_dtype_of(m->x), 3 + i, *gr_shape_of(y[i]));
    ck_assert_msg(gr_vjp(y, dy, n, m->inputs, m->n_inputs, d) == GR_OK, "%s", gr_graph_error(g));
}

/* Element (i, j, k) of three axes, (i, j) of two, i of one. */
static inline double at(gr_tensor *t, int64_t i, int64_t j, int64_t k)
{
    const gr_shape *s = gr_shape_of(t);
    int64_t offset = s->rank == 3   ? (i * s->dim[1] + j) * s->dim[2] + k
                     : s->rank == 2 ? i * s->dim[1] + j
                                    : i;
    return values(t)[offset];
}

#endif
