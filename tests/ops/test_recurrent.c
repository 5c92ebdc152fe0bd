/* test_recurrent.c - recurrent layers against the same networks unrolled from primitive ops. */
/* SPDX-License-Identifier: MIT */
#include "recurrent_network.h"
#include "suite.h"

#include <stdio.h>

/* --- comparing --- */

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

/* Two layers in both directions, lengths 2 and 4; the loss weighs y, h and c by fill. Numbers of
 * PyTorch 1.13 with the same weights and packed sequences. */
START_TEST(values_and_gradients_are_those_of_pytorch)
{
    static const struct {
        double loss, y, h, c, dx, dh0, dw_hh, dw_ih, db_hh;
    } want[] = {
        [TANH] = {-1.295980379576362, -0.5003051415223821, -0.7388434848546362, 0,
                  0.001046553550923529, 0.0287051624604335, 0.3402363407910479, -0.4962410017589976,
                  0.191605526933459},
        [RELU] = {-0.2350094362898623, 0, 0, 0, 0.2061709803665428, -0.1968680165095124, 0, 0,
                  0.3670489346237102},
        [LSTM] = {1.076713388932337, 0.2874353925995206, 0.09994120584074664, -0.8903961329135692,
                  0.0748299183329475, 0.03939548083730627, -0.3379166684305484, 0.03135131143252305,
                  -0.08797873554681426},
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
            gr_tensor *term = gr_sum_all(gr_mul(out[i], fill(GR_F64, 3 + i, *gr_shape_of(out[i]))));
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

SUITE("recurrent", setup, reset, layers_equal_the_network_unrolled_from_primitives,
      wide_layers_equal_the_network_unrolled_from_primitives,
      second_derivatives_equal_those_of_the_unrolled_network, second_derivatives_reach_parameters,
      values_and_gradients_are_those_of_pytorch, cells_equal_their_formulas)
