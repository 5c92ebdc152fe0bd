/* test_recurrent_edges.c - recurrent layers: odd values, nothing at all, threads, memory, errors. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "recurrent_network.h"
#include "suite.h"

#include <string.h>

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

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

START_TEST(an_infinite_cotangent_stays_infinite)
{
    network m = {.kind = TANH, .steps = 1, .batch = 1, .in = 1, .hidden = 3};
    gr_tensor *db;
    network_make(&m, GR_F64, true, true);
    gr_tensor *y = run(&m).y, *dy = gr_full(g, GR_F64, *gr_shape_of(y), INFINITY);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, &m.w[0].b_ih, 1, &db), GR_OK);
    for (int i = 0; i < 3; i++) ck_assert_double_eq(values(db)[i], INFINITY);
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

static void check_threads(flavour kind, int64_t batch)
{
    static double first[MOST_INPUTS + 1][20000];
    for (int threads = 1; threads <= 3; threads++) {
        network m = {.kind = kind, .steps = 3, .batch = batch, .in = 50, .hidden = 60};
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

/* Whatever the pieces: of 16 rows, two of which one thread takes at once; with a single row left. */
START_TEST(bits_do_not_depend_on_threads)
{
    for (int kind = TANH; kind <= GRU; kind++) {
        check_threads((flavour)kind, 32);
        check_threads((flavour)kind, 33);
        check_threads((flavour)kind, 50);
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

SUITE("recurrent edges", setup, reset, relu_at_zero_has_the_derivative_zero,
      nan_stays_in_its_row_and_behind_the_end_reaches_nothing, nan_behind_the_end_is_in_no_gradient,
      saturated_gates_give_finite_values_and_gradients, an_infinite_cotangent_stays_infinite,
      without_steps_rows_or_units_the_state_stays, dropout_is_between_layers_and_can_be_replayed,
      bits_do_not_depend_on_threads, a_training_step_allocates_nothing_once_warm,
      what_does_not_fit_is_named, a_length_beyond_the_steps_is_an_error_when_computed)
