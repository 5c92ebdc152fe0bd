/* test_recurrent.c - recurrent layers against the same networks unrolled from primitive ops. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "inject.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void reset(void)
{
    gr__kernels_force(NULL);
    gr_set_threads(0);
    teardown();
}

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

/* The j-th array of the tests: a formula, so that other programs can make the same numbers. */
static gr_tensor *fill(gr_dtype dtype, int j, gr_shape shape)
{
    static double x[20000];
    int64_t n = gr_shape_numel(&shape);
    ck_assert_int_le(n, 20000);
    for (int64_t k = 0; k < n; k++) x[k] = 0.8 * sin(1.3 * (double)k + 0.7 * j + 0.2);
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

static void assert_close(const char *name, const char *what, gr_tensor *got, gr_tensor *want,
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

static int directions(const network *m)
{
    return m->o.bidirectional ? 2 : 1;
}

static int layers(const network *m)
{
    return directions(m) * (m->o.layers ? m->o.layers : 1);
}

static gr_tensor *input(network *m, gr_dtype dtype, int j, gr_shape shape)
{
    return m->inputs[m->n_inputs++] = fill(dtype, j, shape);
}

static void network_make(network *m, gr_dtype dtype, bool states, bool biases)
{
    const int64_t rows = gates_of[m->kind] * m->hidden;
    gr_shape state = GR_SHAPE(layers(m), m->batch, m->hidden);
    m->n_inputs = 0;
    m->x = input(m, dtype, 0, m->o.batch_first ? GR_SHAPE(m->batch, m->steps, m->in)
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

static gr_recurrent run(const network *m)
{
    gr_rnn_options o = m->o;
    gr_tensor *lengths =
        m->lengths ? gr_from_data(g, GR_I64, GR_SHAPE(m->batch), m->lengths) : NULL;
    if (m->kind == LSTM) return gr_lstm(m->x, m->h0, m->c0, lengths, m->w, o);
    if (m->kind == GRU) return gr_gru(m->x, m->h0, lengths, m->w, o);
    o.nonlinearity = m->kind == RELU ? GR_RNN_RELU : GR_RNN_TANH;
    return gr_rnn(m->x, m->h0, lengths, m->w, o);
}

/* --- the same, unrolled row by row from primitive ops --- */

typedef struct state {
    gr_tensor *h, *c;
} state;

static gr_tensor *part(gr_tensor *x, int64_t i, int64_t width)
{
    return gr_slice(x, -1, i * width, (i + 1) * width, 1);
}

static void plain_step(flavour kind, gr_tensor *x, const gr_rnn_weights *w, state *s)
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
static gr_tensor *plain_row(const network *m, int i, gr_tensor *x, int64_t n, state *s)
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

static gr_tensor *plain_first(const network *m, gr_tensor *all, int i, int64_t n)
{
    gr_shape shape = GR_SHAPE(1, m->hidden);
    if (!all) return gr_zeros(g, gr_dtype_of(m->x), shape);
    return gr_reshape(gr_slice(gr_slice(all, 0, i, i + 1, 1), 1, n, n + 1, 1), shape);
}

static gr_recurrent run_plain(const network *m)
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

/* --- comparing --- */

static void differentiate(const network *m, gr_recurrent r, gr_tensor **d)
{
    gr_tensor *y[3] = {r.y, r.h, r.c}, *dy[3];
    const int n = m->kind == LSTM ? 3 : 2;
    for (int i = 0; i < n; i++) dy[i] = fill(gr_dtype_of(m->x), 3 + i, *gr_shape_of(y[i]));
    ck_assert_msg(gr_vjp(y, dy, n, m->inputs, m->n_inputs, d) == GR_OK, "%s", gr_graph_error(g));
}

static void compare(const char *name, const network *m, double tolerance)
{
    gr_recurrent got = run(m), want = run_plain(m);
    gr_tensor *d[MOST_INPUTS], *e[MOST_INPUTS];
    char what[20];
    assert_close(name, "y", got.y, want.y, tolerance);
    assert_close(name, "h", got.h, want.h, tolerance);
    if (m->kind == LSTM) assert_close(name, "c", got.c, want.c, tolerance);
    else ck_assert_ptr_null(got.c);
    differentiate(m, got, d);
    differentiate(m, want, e);
    for (int i = 0; i < m->n_inputs; i++) {
        snprintf(what, sizeof what, "gradient %d", i);
        assert_close(name, what, d[i], e[i], tolerance);
    }
    gr_graph_reset(g);
}

static const int64_t odd_lengths[] = {4, 5, 1}, with_zero[] = {0, 5, 3};

static const struct {
    const char *name;
    gr_rnn_options o;
    const int64_t *lengths;
    bool no_states, no_biases;
} cases[] = {
    {"plain", {.layers = 1}, NULL, false, false},
    {"no state, no bias", {.layers = 0}, NULL, true, true},
    {"batch first", {.batch_first = true}, NULL, false, false},
    {"lengths", {.layers = 1}, odd_lengths, false, false},
    {"bidirectional", {.bidirectional = true}, NULL, false, false},
    {"bidirectional with lengths", {.bidirectional = true}, with_zero, false, false},
    {"two layers", {.layers = 2}, odd_lengths, true, false},
    {"all together",
     {.layers = 3, .bidirectional = true, .batch_first = true},
     odd_lengths,
     false,
     false},
};

static void compare_all(gr_dtype dtype, double tolerance)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int kind = TANH; kind <= GRU; kind++) {
            network m = {.kind = (flavour)kind, .steps = 5, .batch = 3, .in = 4, .hidden = 3};
            char name[60];
            m.o = cases[i].o;
            m.lengths = cases[i].lengths;
            snprintf(name, sizeof name, "%s, kind %d", cases[i].name, kind);
            network_make(&m, dtype, !cases[i].no_states, !cases[i].no_biases);
            compare(name, &m, tolerance);
        }
}

static const char *const sets[] = {"baseline", "avx2", "avx512"};

START_TEST(layers_equal_the_network_unrolled_from_primitives)
{
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        compare_all(GR_F64, 1e-12);
        compare_all(GR_F32, 1e-5);
    }
}
END_TEST

static void compare_wide(flavour kind, int64_t batch)
{
    network m = {.kind = kind, .steps = 3, .batch = batch, .in = 20, .hidden = 37};
    char name[60];
    snprintf(name, sizeof name, "wide, kind %d, %d rows", kind, (int)batch);
    network_make(&m, GR_F64, true, true);
    compare(name, &m, 1e-11);
    network_make(&m, GR_F32, true, true);
    compare(name, &m, 1e-5);
}

/* The batch goes through the steps in pieces of at most 16 rows. */
START_TEST(wide_layers_equal_the_network_unrolled_from_primitives)
{
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int kind = TANH; kind <= GRU; kind++) compare_wide((flavour)kind, 5);
        compare_wide(LSTM, 1);
        compare_wide(LSTM, 13);
        compare_wide(GRU, 29);
    }
}
END_TEST

/* --- second derivatives --- */

/* sum of |g|^2 over the gradients g of sum y^2 + sum h: a function of second derivatives alone. */
static gr_tensor *gradient_size(const network *m, gr_recurrent r)
{
    gr_tensor *loss = gr_add(gr_sum_all(gr_square(r.y)), gr_sum_all(r.h)), *d[MOST_INPUTS];
    ck_assert_int_eq(gr_grad(loss, m->inputs, m->n_inputs, d), GR_OK);
    gr_tensor *size = gr_sum_all(gr_square(d[0]));
    for (int i = 1; i < m->n_inputs; i++) size = gr_add(size, gr_sum_all(gr_square(d[i])));
    return size;
}

static const int64_t short_and_long[] = {2, 4};

static network small_network(flavour kind)
{
    network m = {.kind = kind, .steps = 4, .batch = 2, .in = 3, .hidden = 2};
    m.o.bidirectional = true;
    m.lengths = short_and_long;
    return m;
}

START_TEST(second_derivatives_equal_those_of_the_unrolled_network)
{
    for (int kind = TANH; kind <= GRU; kind++) {
        network m = small_network((flavour)kind);
        gr_tensor *d[MOST_INPUTS], *e[MOST_INPUTS];
        network_make(&m, GR_F64, true, true);
        gr_tensor *got = gradient_size(&m, run(&m)), *want = gradient_size(&m, run_plain(&m));
        assert_close("second order", "size", got, want, 1e-12);
        ck_assert_int_eq(gr_grad(got, m.inputs, m.n_inputs, d), GR_OK);
        ck_assert_int_eq(gr_grad(want, m.inputs, m.n_inputs, e), GR_OK);
        for (int i = 0; i < m.n_inputs; i++)
            assert_close("second order", "a gradient", d[i], e[i], 1e-11);
        gr_graph_reset(g);
    }
}
END_TEST

/* gr_backward records its rules for no further derivative; those that differentiate must all the
 * same. */
START_TEST(second_derivatives_reach_parameters)
{
    for (int kind = TANH; kind <= GRU; kind++) {
        network m = small_network((flavour)kind);
        network_make(&m, GR_F64, true, true);
        gr_param *p = gr_param_new("x", GR_F64, *gr_shape_of(m.x), gr_data(m.x));
        m.inputs[0] = m.x = gr_use(g, p);
        gr_tensor *want;
        gr_tensor *size = gradient_size(&m, run_plain(&m));
        ck_assert_int_eq(gr_grad(size, &m.x, 1, &want), GR_OK);
        ck_assert_int_eq(gr_backward(gradient_size(&m, run(&m))), GR_OK);
        gr_tensor *got = gr_from_data(g, GR_F64, *gr_shape_of(m.x), gr_param_grad(p));
        assert_close("backward", "a parameter", got, want, 1e-11);
        gr_graph_reset(g);
        gr_param_release(p);
    }
}
END_TEST

/* --- PyTorch --- */

static double at(gr_tensor *t, int64_t i, int64_t j, int64_t k)
{
    const gr_shape *s = gr_shape_of(t);
    int64_t offset = s->rank == 3   ? (i * s->dim[1] + j) * s->dim[2] + k
                     : s->rank == 2 ? i * s->dim[1] + j
                                    : i;
    return values(t)[offset];
}

/* Two layers in both directions, lengths 2 and 4; the loss weighs y, h and c by fill. Numbers of
 * PyTorch 1.13 with the same weights and packed sequences. */
START_TEST(values_and_gradients_are_those_of_pytorch)
{
    static const struct {
        double loss, y, h, c, dx, dh0, dw_hh, dw_ih, db_hh;
    } want[] = {
        [TANH] = {-1.295980379576362, -0.5003051415223821, -0.7388434848546362, 0,
                  0.001046553550923529, 0.0287051624604335, 0.3402363407910479,
                  -0.4962410017589976, 0.191605526933459},
        [RELU] = {-0.2350094362898623, 0, 0, 0, 0.2061709803665428, -0.1968680165095124, 0, 0,
                  0.3670489346237102},
        [LSTM] = {1.076713388932337, 0.2874353925995206, 0.09994120584074664, -0.8903961329135692,
                  0.0748299183329475, 0.03939548083730627, -0.3379166684305484,
                  0.03135131143252305, -0.08797873554681426},
        [GRU] = {1.751237733249665, 0.091725784422936, 0.9076152760035101, 0, 0.1368286018536251,
                 -0.5925767009280583, -0.03518785728354041, -0.008997832514665169,
                 0.03756491218083777},
    };
    for (int kind = TANH; kind <= GRU; kind++) {
        network m = small_network((flavour)kind);
        m.o.layers = 2;
        network_make(&m, GR_F64, true, true);
        gr_recurrent r = run(&m);
        gr_tensor *out[3] = {r.y, r.h, r.c}, *loss = NULL, *d[MOST_INPUTS];
        for (int i = 0; i < (kind == LSTM ? 3 : 2); i++) {
            gr_tensor *term =
                gr_sum_all(gr_mul(out[i], fill(GR_F64, 3 + i, *gr_shape_of(out[i]))));
            loss = loss ? gr_add(loss, term) : term;
        }
        ck_assert_int_eq(gr_grad(loss, m.inputs, m.n_inputs, d), GR_OK);
        gr_tensor **dw = d + (kind == LSTM ? 3 : 2); /* w_ih, w_hh, b_ih, b_hh of each */
        ck_assert_double_eq_tol(gr_item(loss), want[kind].loss, 1e-12);
        ck_assert_double_eq_tol(at(r.y, 3, 1, 2), want[kind].y, 1e-12);
        ck_assert_double_eq_tol(at(r.h, 2, 0, 1), want[kind].h, 1e-12);
        if (kind == LSTM) ck_assert_double_eq_tol(at(r.c, 1, 1, 0), want[kind].c, 1e-12);
        ck_assert_double_eq_tol(at(d[0], 1, 0, 2), want[kind].dx, 1e-12);
        ck_assert_double_eq_tol(at(d[1], 3, 1, 1), want[kind].dh0, 1e-12);
        ck_assert_double_eq_tol(at(dw[4 * 1 + 1], 0, 1, 0), want[kind].dw_hh, 1e-12);
        ck_assert_double_eq_tol(at(dw[4 * 2], 1, 2, 0), want[kind].dw_ih, 1e-12);
        ck_assert_double_eq_tol(at(dw[3], gr_numel(dw[3]) - 1, 0, 0), want[kind].db_hh, 1e-12);
        gr_graph_reset(g);
    }
}
END_TEST

/* --- cells --- */

static gr_tensor *cell(flavour kind, gr_tensor *x, state *s, gr_rnn_weights w)
{
    if (kind == LSTM) return gr_lstm_cell(x, s->h, s->c, w);
    if (kind == GRU) return gr_gru_cell(x, s->h, w);
    return gr_rnn_cell(x, s->h, w, kind == RELU ? GR_RNN_RELU : GR_RNN_TANH);
}

START_TEST(cells_equal_their_formulas)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (int kind = TANH; kind <= GRU; kind++) {
            network m = {.kind = (flavour)kind, .steps = 1, .batch = 4, .in = 3, .hidden = 5};
            double tolerance = dtype == GR_F32 ? 1e-5 : 1e-13;
            network_make(&m, (gr_dtype)dtype, true, true);
            state s = {gr_reshape(m.h0, GR_SHAPE(4, 5)), NULL}, plain;
            s.c = m.c0 ? gr_reshape(m.c0, GR_SHAPE(4, 5)) : NULL;
            plain = s;
            gr_tensor *x = gr_reshape(m.x, GR_SHAPE(4, 3)), *d[MOST_INPUTS], *e[MOST_INPUTS];
            gr_tensor *h = cell((flavour)kind, x, &s, m.w[0]);
            plain_step((flavour)kind, x, &m.w[0], &plain);
            assert_close("cell", "h", h, plain.h, tolerance);
            if (kind == LSTM) assert_close("cell", "c", gr_output(h, 1), plain.c, tolerance);
            gr_grad(gr_square(h), m.inputs, m.n_inputs, d);
            gr_grad(gr_square(plain.h), m.inputs, m.n_inputs, e);
            for (int i = 0; i < m.n_inputs; i++)
                assert_close("cell", "a gradient", d[i], e[i], tolerance);
            gr_graph_reset(g);
        }
}
END_TEST

/* --- odd values --- */

START_TEST(relu_at_zero_has_the_derivative_zero)
{
    network m = {.kind = RELU, .steps = 2, .batch = 1, .in = 1, .hidden = 1};
    gr_tensor *d[2];
    network_make(&m, GR_F64, false, false);
    m.x = m.inputs[0] = gr_zeros(g, GR_F64, GR_SHAPE(2, 1, 1));
    gr_recurrent r = run(&m);
    ck_assert_int_eq(gr_grad(r.y, m.inputs, 2, d), GR_OK);
    ck_assert_double_eq(values(r.y)[1], 0);
    ck_assert_double_eq(values(d[0])[0], 0);
    ck_assert_double_eq(values(d[1])[0], 0);
}
END_TEST

/* NaN behind a row's end reaches nothing; NaN within a row reaches that row from there on. */
START_TEST(nan_stays_in_its_row_and_behind_the_end_reaches_nothing)
{
    static const int64_t lengths[3] = {2, 4, 4};
    for (int kind = TANH; kind <= GRU; kind++) {
        network m = {.kind = (flavour)kind, .steps = 4, .batch = 3, .in = 1, .hidden = 2};
        double x[12] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, NAN, NAN, 0.7, NAN, 0.8, 0.9};
        m.lengths = lengths;
        network_make(&m, GR_F64, true, true);
        m.x = gr_from_data(g, GR_F64, GR_SHAPE(4, 3, 1), x);
        gr_recurrent r = run(&m);
        for (int64_t t = 0; t < 4; t++)
            for (int64_t n = 0; n < 3; n++) {
                double y = at(r.y, t, n, 1);
                ck_assert_msg((n == 1 && t >= 2) == (isnan(y) != 0), "kind %d: y[%d,%d] = %g", kind,
                              (int)t, (int)n, y);
                if (t >= lengths[n]) ck_assert_double_eq(y, 0);
            }
        ck_assert(!isnan(at(r.h, 0, 0, 0)) && isnan(at(r.h, 0, 1, 0)) && !isnan(at(r.h, 0, 2, 0)));
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(nan_behind_the_end_is_in_no_gradient)
{
    for (int kind = TANH; kind <= GRU; kind++) {
        network m = small_network((flavour)kind);
        gr_tensor *d[MOST_INPUTS];
        double x[24];
        network_make(&m, GR_F64, true, true);
        memcpy(x, values(m.x), sizeof x);
        for (int i = 0; i < 3; i++) x[(2 * 2 + 0) * 3 + i] = x[(3 * 2 + 0) * 3 + i] = NAN;
        m.x = m.inputs[0] = gr_from_data(g, GR_F64, GR_SHAPE(4, 2, 3), x);
        differentiate(&m, run(&m), d);
        for (int i = 0; i < m.n_inputs; i++)
            for (int64_t k = 0; k < gr_numel(d[i]); k++)
                ck_assert_msg(isfinite(values(d[i])[k]), "kind %d, gradient %d", kind, i);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(saturated_gates_give_finite_values_and_gradients)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (int kind = LSTM; kind <= GRU; kind++) {
            network m = {.kind = (flavour)kind, .steps = 3, .batch = 2, .in = 3, .hidden = 4};
            gr_tensor *d[MOST_INPUTS];
            network_make(&m, (gr_dtype)dtype, true, true);
            m.x = m.inputs[0] = gr_scale(m.x, 1e4);
            differentiate(&m, run(&m), d);
            for (int i = 0; i < m.n_inputs; i++)
                for (int64_t k = 0; k < gr_numel(d[i]); k++)
                    ck_assert_msg(isfinite(values(d[i])[k]), "kind %d, gradient %d", kind, i);
            gr_graph_reset(g);
        }
}
END_TEST

/* --- empty --- */

START_TEST(without_steps_rows_or_units_the_state_stays)
{
    static const int64_t sizes[][3] = {{0, 2, 3}, {3, 0, 2}, {2, 3, 0}};
    for (int kind = TANH; kind <= GRU; kind++)
        for (int i = 0; i < 3; i++) {
            network m = {.kind = (flavour)kind, .in = 2};
            m.steps = sizes[i][0], m.batch = sizes[i][1], m.hidden = sizes[i][2];
            gr_tensor *d[MOST_INPUTS];
            network_make(&m, GR_F64, true, true);
            gr_recurrent r = run(&m);
            assert_close("empty", "h", r.h, m.h0, 0);
            ck_assert_int_eq(gr_numel(r.y), 0);
            differentiate(&m, r, d);
            for (int k = 0; k < m.n_inputs; k++) ck_assert_ptr_nonnull(values(d[k]));
            gr_graph_reset(g);
        }
}
END_TEST

/* --- dropout --- */

START_TEST(dropout_is_between_layers_and_can_be_replayed)
{
    network m = {.kind = LSTM, .steps = 4, .batch = 2, .in = 3, .hidden = 8};
    gr_tensor *y[4];
    m.o = (gr_rnn_options){.layers = 2, .dropout = 0.5};
    network_make(&m, GR_F64, false, true);
    for (int i = 0; i < 3; i++) {
        gr_graph_seed(g, i == 1 ? 8 : 7);
        y[i] = run(&m).y;
    }
    m.o.dropout = 0;
    y[3] = run(&m).y;
    const size_t bytes = (size_t)gr_numel(y[0]) * sizeof(double);
    ck_assert_int_eq(memcmp(values(y[0]), values(y[2]), bytes), 0);
    ck_assert_int_ne(memcmp(values(y[0]), values(y[1]), bytes), 0);
    ck_assert_int_ne(memcmp(values(y[0]), values(y[3]), bytes), 0);
    m.o = (gr_rnn_options){.layers = 1, .dropout = 0.5};
    gr_tensor *one = run(&m).y;
    m.o.dropout = 0;
    ck_assert_int_eq(memcmp(values(one), values(run(&m).y), bytes), 0);
}
END_TEST

/* --- threads --- */

START_TEST(bits_do_not_depend_on_threads)
{
    static double first[MOST_INPUTS + 1][20000];
    for (int kind = TANH; kind <= GRU; kind++)
        for (int threads = 1; threads <= 3; threads++) {
            network m = {.kind = (flavour)kind, .steps = 3, .batch = 33, .in = 50, .hidden = 60};
            gr_tensor *d[MOST_INPUTS + 1];
            gr_set_threads(threads);
            network_make(&m, GR_F32, true, true);
            gr_recurrent r = run(&m);
            differentiate(&m, r, d);
            d[m.n_inputs] = r.y;
            for (int i = 0; i <= m.n_inputs; i++) {
                const size_t bytes = (size_t)gr_numel(d[i]) * sizeof(double);
                if (threads == 1) memcpy(first[i], values(d[i]), bytes);
                else ck_assert_int_eq(memcmp(first[i], values(d[i]), bytes), 0);
            }
            gr_graph_reset(g);
        }
}
END_TEST

/* --- memory --- */

static void training_step(gr_graph *graph, gr_param *const *p)
{
    static const int64_t lengths[3] = {6, 2, 4};
    static const float x[6 * 3 * 20];
    gr_graph_reset(graph);
    gr_tensor *in = gr_from_data(graph, GR_F32, GR_SHAPE(6, 3, 20), x);
    gr_tensor *length = gr_from_data(graph, GR_I64, GR_SHAPE(3), lengths);
    gr_rnn_weights w[2];
    for (int i = 0; i < 2; i++)
        w[i] = (gr_rnn_weights){gr_use(graph, p[4 * i]), gr_use(graph, p[4 * i + 1]),
                                gr_use(graph, p[4 * i + 2]), gr_use(graph, p[4 * i + 3])};
    gr_recurrent r = gr_lstm(in, NULL, NULL, length, w, (gr_rnn_options){.bidirectional = true});
    gr_backward(gr_add(gr_sum_all(gr_square(r.y)), gr_sum_all(r.c)));
}

START_TEST(a_training_step_allocates_nothing_once_warm)
{
    gr_param *p[8];
    int64_t count[6];
    inject_begin();
    gr_graph *graph = gr_graph_new();
    for (int i = 0; i < 8; i++) {
        gr_shape shape = i % 4 < 2 ? GR_SHAPE(120, i % 4 ? 30 : 20) : GR_SHAPE(120);
        p[i] = gr_param_new("p", GR_F32, shape, NULL);
    }
    for (int step = 0; step < 6; step++) {
        training_step(graph, p);
        count[step] = inject_allocations();
    }
    const bool fine = gr_graph_error(graph) == NULL;
    gr_graph_free(graph);
    for (int i = 0; i < 8; i++) gr_param_release(p[i]);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    ck_assert(fine);
    ck_assert_int_eq(count[5], count[1]);
}
END_TEST

/* --- errors --- */

static network valid_network(void)
{
    network m = {.kind = LSTM, .steps = 3, .batch = 2, .in = 4, .hidden = 5};
    network_make(&m, GR_F64, true, true);
    return m;
}

START_TEST(what_does_not_fit_is_named)
{
    network m = valid_network();
    m.o.layers = -1;
    run(&m);
    assert_error("lstm: -1 layers, expected 1 to 65536");
    m = valid_network();
    m.o.dropout = 1.5;
    run(&m);
    assert_error("lstm: dropout is 1.5, expected a probability");
    m = valid_network();
    m.x = gr_zeros(g, GR_F64, GR_SHAPE(3, 4));
    run(&m);
    assert_error("lstm: expected x of [T,N,in], got [3,4]");
    m = valid_network();
    m.w[0].w_hh = NULL;
    run(&m);
    assert_error("lstm: expected w_hh of [G H,H]");
    m = valid_network();
    m.w[0].w_ih = NULL;
    run(&m);
    assert_error("lstm: an input is NULL");
    m = valid_network();
    m.w[0].b_ih = NULL;
    run(&m);
    assert_error("lstm: expected both biases or none");
    m = valid_network();
    m.o.batch_first = true;
    run(&m);
    assert_error("lstm: expected h0 of [1,3,5], got [1,2,5]");
    m = valid_network();
    m.c0 = gr_zeros(g, GR_F64, GR_SHAPE(2, 5));
    run(&m);
    assert_error("lstm: expected c0 of [1,2,5], got [2,5]");
    m = valid_network();
    m.w[0].w_hh = fill(GR_F32, 0, GR_SHAPE(20, 5));
    run(&m);
    assert_error("w_hh is float32, expected float64");
    m = valid_network();
    gr_recurrent r = gr_lstm(m.x, NULL, NULL, NULL, NULL, m.o);
    assert_error("lstm: expected w_hh of [G H,H]");
    r = gr_gru(NULL, NULL, NULL, m.w, m.o);
    ck_assert(r.y && r.h && !r.c);
    r = gr_lstm(NULL, NULL, NULL, NULL, NULL, m.o);
    ck_assert(r.y && r.h && r.c);
}
END_TEST

START_TEST(a_length_beyond_the_steps_is_an_error_when_computed)
{
    network m = valid_network();
    m.lengths = (const int64_t[]){2, 4};
    gr_recurrent r = run(&m);
    ck_assert_ptr_null(gr_data(r.y));
    assert_error("lstm_sequence: lengths[1] is 4, expected 0 <= lengths < 4");
}
END_TEST

SUITE("recurrent", setup, reset, layers_equal_the_network_unrolled_from_primitives,
      wide_layers_equal_the_network_unrolled_from_primitives,
      second_derivatives_equal_those_of_the_unrolled_network, second_derivatives_reach_parameters,
      values_and_gradients_are_those_of_pytorch, cells_equal_their_formulas,
      relu_at_zero_has_the_derivative_zero,
      nan_stays_in_its_row_and_behind_the_end_reaches_nothing,
      nan_behind_the_end_is_in_no_gradient, saturated_gates_give_finite_values_and_gradients,
      without_steps_rows_or_units_the_state_stays,
      dropout_is_between_layers_and_can_be_replayed, bits_do_not_depend_on_threads,
      a_training_step_allocates_nothing_once_warm, what_does_not_fit_is_named,
      a_length_beyond_the_steps_is_an_error_when_computed)
