/* test_extreme.c - minima, their places, and extremes so far, against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static double number(int64_t i)
{
    return sin((double)i * 1.7) + 0.01 * (double)(i % 13);
}

START_TEST(minima_are_maxima_turned_round)
{
    double x0[210];
    const gr_axes axes[] = {{0, {0}}, {1, {0}}, {1, {1}}, {1, {-1}}, {2, {0, 2}}};
    for (int i = 0; i < 210; i++) x0[i] = number(i);
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t a = 0; a < sizeof axes / sizeof *axes; a++) {
            gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(5, 6, 7), x0), (gr_dtype)dtype);
            x = gr_transpose(x, 0, 2);
            gr_tensor *low = gr_min(x, axes[a], false), *high = gr_neg(gr_max(gr_neg(x), axes[a], false));
            ck_assert_int_eq(gr_dtype_of(low), dtype);
            ck_assert_mem_eq(gr_data(low), gr_data(high), (size_t)gr_numel(low) * gr_dtype_size((gr_dtype)dtype));
        }
    const int64_t *least = gr_data(gr_argmin(gr_from_data(g, GR_F64, GR_SHAPE(5, 42), x0), 1));
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 42; k++) ck_assert(x0[i * 42 + least[i]] <= x0[i * 42 + k]);
}
END_TEST

START_TEST(equal_minima_share_the_gradient_and_the_first_is_named)
{
    const double x0[6] = {1, -5, -5, 2, 2, 2}, want[6] = {0, 0.5, 0.5, 1 / 3.0, 1 / 3.0, 1 / 3.0};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 3), x0), *d;
    gr_grad(gr_min(x, GR_AXES(1), false), &x, 1, &d);
    const double *got = gr_data(d);
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-15);
    const int64_t *at = gr_data(gr_argmin(x, 1));
    ck_assert(at[0] == 1 && at[1] == 0);
}
END_TEST

START_TEST(a_nan_is_the_minimum)
{
    const float x0[6] = {1, NAN, 3, 4, 5, 6};
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(2, 3), x0);
    const float *m = gr_data(gr_min(x, GR_AXES(1), false));
    ck_assert_float_nan(m[0]);
    ck_assert_float_eq(m[1], 4);
    ck_assert_int_eq(((const int64_t *)gr_data(gr_argmin(x, 1)))[0], 1);
}
END_TEST

START_TEST(of_nothing_there_is_no_extreme)
{
    gr_tensor *(*const extremes[])(gr_tensor *, gr_axes, bool) = {gr_max, gr_min};
    for (int i = 0; i < 2; i++) {
        extremes[i](gr_ones(g, GR_F32, GR_SHAPE(0, 3)), GR_AXES(0), false);
        ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "[0,3] has no elements to choose from"));
        gr_graph_reset(g);
    }
    gr_argmin(gr_ones(g, GR_F32, GR_SHAPE(0, 3)), 0);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "no elements"));
}
END_TEST

/* --- so far --- */

/* By definition, of [outer, n, inner]; the last of equals. */
static void naive(const double *x, const int64_t d[3], bool least, double *y, int64_t *index)
{
    for (int64_t i = 0; i < d[0] * d[1] * d[2]; i++) {
        int64_t k = i / d[2] % d[1], at = i - k * d[2], best = 0;
        for (int64_t j = 1; j <= k; j++) {
            double v = x[at + j * d[2]], most = x[at + best * d[2]];
            if (isnan(v) || (least ? v <= most : v >= most)) best = j;
        }
        index[i] = best;
        y[i] = x[at + best * d[2]];
    }
}

START_TEST(extremes_so_far_and_which_they_are)
{
    enum { N = 2 * 7 * 150 };
    static double x[N], y[N];
    static int64_t index[N];
    const int64_t shapes[][3] = {{2, 7, 150}, {300, 7, 1}, {1, 14, 150}, {2100, 1, 1}};
    for (int i = 0; i < N; i++) x[i] = i % 97 == 50 ? (double)NAN : floor(4 * number(i)) / 4; /* many equal */
    for (size_t s = 0; s < 4; s++)
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
            for (int least = 0; least < 2; least++) {
                const int64_t *d = shapes[s];
                gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(d[0], d[1], d[2]), x);
                t = gr_cast(t, (gr_dtype)dtype);
                t = least ? gr_cummin(t, 1) : gr_cummax(t, -2);
                naive(x, d, least, y, index);
                const double *got = gr_data(gr_cast(t, GR_F64));
                const int64_t *at = gr_data(gr_output(t, 1));
                for (int i = 0; i < N; i++) {
                    ck_assert_msg(got[i] == y[i] || (isnan(got[i]) && isnan(y[i])), "%d: %g for %g", i, got[i], y[i]);
                    ck_assert_int_eq(at[i], index[i]);
                }
                gr_graph_reset(g);
            }
}
END_TEST

static gr_tensor *highest(gr_tensor *x) { return gr_cummax(x, 0); }
static gr_tensor *lowest(gr_tensor *x) { return gr_cummin(x, 1); }

START_TEST(each_extreme_so_far_passes_its_gradient_back)
{
    const double x0[6] = {2, 1, 2, 3, 3, 0}, want[6] = {2, 0, 1, 1, 2, 0};
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = number(i);
    derivative_check(g, "cummax", highest, GR_SHAPE(4, 3), x, 2);
    derivative_check(g, "cummin", lowest, GR_SHAPE(3, 4), x, 2);
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(6), x0), *d;
    gr_grad(gr_cummax(t, 0), &t, 1, &d); /* of equals the last one counts from there on */
    ck_assert_mem_eq(gr_data(d), want, sizeof want);
}
END_TEST

SUITE("extreme", setup, teardown, minima_are_maxima_turned_round,
      equal_minima_share_the_gradient_and_the_first_is_named, a_nan_is_the_minimum,
      of_nothing_there_is_no_extreme, extremes_so_far_and_which_they_are,
      each_extreme_so_far_passes_its_gradient_back)
