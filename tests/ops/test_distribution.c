/* test_distribution.c - distributions with parameters, their gradients, choices by weight. */
/* SPDX-License-Identifier: MIT */
#include "counting.h"
#include "drawn.h"
#include "suite.h"

enum { LARGE = 200000 };

static gr_graph *g;

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_seed(g, 2025);
}

static void teardown(void)
{
    gr_graph_free(g);
}

static gr_tensor *full(gr_dtype dtype, double value)
{
    return gr_full(g, dtype, GR_SHAPE(LARGE), value);
}

START_TEST(parameters_shape_the_moments)
{
    const struct {
        const char *name;
        gr_tensor *y;
        double mean, variance;
    } cases[] = {
        {"bernoulli", gr_bernoulli(full(GR_F32, 0.3)), 0.3, 0.21},
        {"uniform", gr_uniform(full(GR_F32, -1), full(GR_F32, 3)), 1, 16.0 / 12},
        {"normal", gr_normal(full(GR_F32, 2), full(GR_F32, 0.5)), 2, 0.25},
        {"normal, broadcast", gr_normal(full(GR_F64, 0), gr_scalar(g, GR_F64, 3)), 0, 9},
        {"exponential", gr_exponential(full(GR_F32, 4)), 0.25, 1.0 / 16},
        {"gumbel", gr_gumbel(full(GR_F64, 1), full(GR_F64, 2)), 1 + 2 * 0.57721566490153286, 4 * 1.6449340668482264},
    };
    for (int k = 0; k < 6; k++) {
        const drawn_moments m = drawn_measure(drawn_values(cases[k].y), LARGE);
        ck_assert_msg(fabs(m.mean - cases[k].mean) < 5 * sqrt(cases[k].variance / LARGE), "%s: mean %g", cases[k].name, m.mean);
        ck_assert_msg(fabs(m.variance / cases[k].variance - 1) < 0.03, "%s: variance %g", cases[k].name, m.variance);
        ck_assert_msg(fabs(m.neighbours) < 5 / sqrt(LARGE), "%s: %g", cases[k].name, m.neighbours);
    }
}
END_TEST

START_TEST(chances_of_0_and_1_are_certain)
{
    for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
        const double *never = drawn_values(gr_bernoulli(full(dtype, 0)));
        const double *always = drawn_values(gr_bernoulli(full(dtype, 1)));
        for (int i = 0; i < LARGE; i++) ck_assert(never[i] == 0 && always[i] == 1);
    }
}
END_TEST

START_TEST(what_is_no_probability_is_an_error)
{
    static const double bad[] = {-0.1, 1.5, NAN};
    static const char *const texts[] = {"p is -0.1", "p is 1.5", "p is nan"};
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_null(gr_data(gr_bernoulli(full(GR_F64, bad[i]))));
        counting_error(g, texts[i]);
    }
}
END_TEST

/* Between 1 and the next float32 only 1 lies; rounding alone would give the upper end half the time. */
START_TEST(the_upper_end_of_a_uniform_never_comes_up)
{
    const double next = (double)nextafterf(1, 2), far = 16777216;
    const double *near = drawn_values(gr_uniform(full(GR_F32, 1), full(GR_F32, next)));
    const double *coarse = drawn_values(gr_uniform(full(GR_F32, far - 4), full(GR_F32, far)));
    const double *same = drawn_values(gr_uniform(full(GR_F64, 0.1), full(GR_F64, 0.1)));
    for (int i = 0; i < LARGE; i++)
        ck_assert(near[i] == 1 && coarse[i] >= far - 4 && coarse[i] < far && same[i] == 0.1);
}
END_TEST

START_TEST(gradients_follow_the_numbers_drawn)
{
    const double low0[3] = {-1, 0, 2}, high0[3] = {1, 5, 2.5};
    gr_tensor *low = gr_from_data(g, GR_F64, GR_SHAPE(3), low0);
    gr_tensor *high = gr_from_data(g, GR_F64, GR_SHAPE(3), high0), *x[2] = {low, high}, *d[2];
    gr_tensor *y = gr_uniform(low, high);
    ck_assert_int_eq(gr_grad(y, x, 2, d), GR_OK);
    const double *v = drawn_data(y), *dlow = drawn_data(d[0]), *dhigh = drawn_data(d[1]);
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq_tol(dhigh[i], (v[i] - low0[i]) / (high0[i] - low0[i]), 1e-12);
        ck_assert_double_eq_tol(dlow[i] + dhigh[i], 1, 1e-15);
    }
    gr_tensor *(*const pairs[2])(gr_tensor *, gr_tensor *) = {gr_normal, gr_gumbel};
    for (int k = 0; k < 2; k++) {
        y = pairs[k](low, high);
        ck_assert_int_eq(gr_grad(y, x, 2, d), GR_OK);
        v = drawn_data(y), dlow = drawn_data(d[0]), dhigh = drawn_data(d[1]);
        for (int i = 0; i < 3; i++) {
            ck_assert(dlow[i] == 1);
            ck_assert_double_eq_tol(dhigh[i], (v[i] - low0[i]) / high0[i], 1e-12);
        }
    }
    y = gr_exponential(high);
    ck_assert_int_eq(gr_grad(y, &high, 1, d), GR_OK);
    v = drawn_data(y), dhigh = drawn_data(d[0]);
    for (int i = 0; i < 3; i++) ck_assert_double_eq_tol(dhigh[i], -v[i] / high0[i], 1e-12);
}
END_TEST

/* --- choices --- */

static gr_tensor *logits(int rows)
{
    static float x0[3 * LARGE / 10];
    for (int i = 0; i < 3 * rows; i++) x0[i] = logf((float)(1 + i % 3)); /* 1/6, 2/6, 3/6 */
    return gr_from_data(g, GR_F32, GR_SHAPE(rows, 3), x0);
}

START_TEST(hard_choices_come_with_the_probabilities_of_softmax)
{
    enum { ROWS = LARGE / 10 };
    const float *y = drawn_data(gr_gumbel_softmax(logits(ROWS), 1, 0.5, true));
    double share[3] = {0};
    for (int i = 0; i < ROWS; i++) {
        ck_assert(y[3 * i] + y[3 * i + 1] + y[3 * i + 2] == 1);
        for (int k = 0; k < 3; k++) {
            ck_assert(y[3 * i + k] == 0 || y[3 * i + k] == 1);
            share[k] += y[3 * i + k] / ROWS;
        }
    }
    for (int k = 0; k < 3; k++) ck_assert_double_eq_tol(share[k], (k + 1) / 6.0, 5 * 0.5 / sqrt(ROWS));
}
END_TEST

START_TEST(a_hard_choice_has_the_gradient_of_the_soft_one)
{
    const double w0[12] = {1, -2, 3, 0.5, 2, 2, -1, 0, 1, 4, 5, 6};
    const void *grads[2], *soft = NULL;
    for (int hard = 0; hard < 2; hard++) {
        gr_graph_seed(g, 3);
        gr_tensor *x = logits(4), *w = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(4, 3), w0), GR_F32), *d;
        gr_tensor *y = gr_gumbel_softmax(x, -1, 0.7, hard);
        ck_assert_int_eq(gr_vjp(&y, &w, 1, &x, 1, &d), GR_OK);
        grads[hard] = drawn_data(d);
        const float *v = drawn_data(y);
        if (!hard) soft = v;
        for (int i = 0; i < 4 && hard; i++) /* 1 where the soft one is largest */
            for (int k = 0; k < 3; k++) {
                const float *row = (const float *)soft + 3 * i;
                const bool largest = row[k] >= row[0] && row[k] >= row[1] && row[k] >= row[2];
                ck_assert(v[3 * i + k] == (largest ? 1 : 0));
            }
    }
    ck_assert(memcmp(grads[0], grads[1], 12 * sizeof(float)) == 0);
}
END_TEST

START_TEST(indices_come_by_their_weights)
{
    const double w0[4] = {2, 0, 5, 3};
    gr_tensor *w = gr_from_data(g, GR_F64, GR_SHAPE(1, 4), w0);
    gr_tensor *once = gr_multinomial(gr_expand(w, GR_SHAPE(LARGE, 4)), 1, false);
    gr_tensor *many = gr_multinomial(gr_cast(w, GR_F32), LARGE, true);
    const int64_t *drawn[2] = {drawn_data(once), drawn_data(many)};
    for (int k = 0; k < 2; k++) {
        double share[4] = {0};
        for (int i = 0; i < LARGE; i++) share[drawn[k][i]] += 1.0 / LARGE;
        ck_assert(share[1] == 0);
        for (int c = 0; c < 4; c++) ck_assert_double_eq_tol(share[c], w0[c] / 10, 5 * 0.5 / sqrt(LARGE));
    }
}
END_TEST

/* P(first a, then b) = w_a w_b / (1 - w_a), and no index twice. */
START_TEST(what_was_drawn_is_not_put_back)
{
    const double w0[3] = {0.2, 0.5, 0.3};
    gr_tensor *w = gr_expand(gr_from_data(g, GR_F64, GR_SHAPE(1, 3), w0), GR_SHAPE(LARGE, 3));
    const int64_t *y = drawn_data(gr_multinomial(w, 2, false));
    double share[3][3] = {{0}};
    for (int i = 0; i < LARGE; i++) share[y[2 * i]][y[2 * i + 1]] += 1.0 / LARGE;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            const double want = a == b ? 0 : w0[a] * w0[b] / (1 - w0[a]);
            ck_assert_double_eq_tol(share[a][b], want, 5 * sqrt(want / LARGE) + 1e-12);
        }
    static int64_t seen[1000];
    y = drawn_data(gr_multinomial(gr_rand(g, GR_F32, GR_SHAPE(1000)), 900, false));
    for (int i = 0; i < 900; i++) ck_assert(seen[y[i]]++ == 0);
}
END_TEST

START_TEST(weights_without_sense_are_errors)
{
    static const struct {
        double w[3];
        bool replacement;
        const char *error;
    } cases[] = {
        {{1, -1, 1}, true, "weight 1 of row 0 is -1"},
        {{1, 1, NAN}, true, "weight 2 of row 0 is nan"},
        {{INFINITY, 1, 1}, true, "weight 0 of row 0 is inf"},
        {{1e308, 1e308, 1}, true, "the weights of row 0 add up to inf"},
        {{0, 0, 0}, true, "2 are to be drawn of row 0, which has 0 positive weights"},
        {{0, 1, 0}, false, "2 are to be drawn of row 0, which has 1 positive weights"},
    };
    for (int i = 0; i < 6; i++) {
        gr_tensor *w = gr_from_data(g, GR_F64, GR_SHAPE(3), cases[i].w);
        ck_assert_ptr_null(gr_data(gr_multinomial(w, 2, cases[i].replacement)));
        counting_error(g, cases[i].error);
    }
}
END_TEST

/* --- dropout's relatives --- */

START_TEST(channels_are_dropped_as_a_whole)
{
    enum { N = 400, C = 50, SIZE = 6 };
    const float *y = drawn_data(gr_dropout_channels(gr_ones(g, GR_F32, GR_SHAPE(N, C, 2, 3)), 0.25));
    double dropped = 0;
    for (int i = 0; i < N * C; i++) {
        ck_assert(y[i * SIZE] == 0 || y[i * SIZE] == (float)(1 / 0.75));
        for (int k = 1; k < SIZE; k++) ck_assert(y[i * SIZE + k] == y[i * SIZE]);
        dropped += y[i * SIZE] == 0;
    }
    ck_assert_double_eq_tol(dropped / (N * C), 0.25, 5 * sqrt(0.25 * 0.75 / (N * C)));
}
END_TEST

START_TEST(alpha_dropout_keeps_mean_and_variance)
{
    static const double ps[] = {0.05, 0.3, 0.8};
    for (int k = 0; k < 3; k++)
        for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
            gr_tensor *x = gr_randn(g, dtype, GR_SHAPE(LARGE));
            const drawn_moments m = drawn_measure(drawn_values(gr_alpha_dropout(x, ps[k])), LARGE);
            ck_assert_double_eq_tol(m.mean, 0, 5 / sqrt(LARGE));
            ck_assert_double_eq_tol(m.variance, 1, 0.03);
        }
}
END_TEST

START_TEST(alpha_dropout_at_its_ends)
{
    const double x0[3] = {1, -2, 3};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(3), x0);
    const counting_case cases[] = {
        {"none", gr_alpha_dropout(x, 0), GR_SHAPE(3), {1, -2, 3}},
        {"all", gr_alpha_dropout(x, 1), GR_SHAPE(3), {0, 0, 0}},
    };
    COUNTING_VERIFY(g, cases);
    gr_alpha_dropout(x, 1.5);
    counting_error(g, "alpha_dropout: p is 1.5, expected a probability");
}
END_TEST

SUITE("distribution", setup, teardown, parameters_shape_the_moments, chances_of_0_and_1_are_certain,
      what_is_no_probability_is_an_error, the_upper_end_of_a_uniform_never_comes_up,
      gradients_follow_the_numbers_drawn, hard_choices_come_with_the_probabilities_of_softmax,
      a_hard_choice_has_the_gradient_of_the_soft_one, indices_come_by_their_weights,
      what_was_drawn_is_not_put_back, weights_without_sense_are_errors,
      channels_are_dropped_as_a_whole, alpha_dropout_keeps_mean_and_variance,
      alpha_dropout_at_its_ends)
