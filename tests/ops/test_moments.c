/* test_moments.c - variances and standard deviations against loops in double. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void check_columns(gr_dtype dtype, int correction)
{
    enum { N = 40, M = 21 };
    double x[N * M];
    for (int i = 0; i < N * M; i++) x[i] = 100 + (double)(float)(i % M + sin(1.7 * i)); /* exact in float32 or nearly */
    for (int i = 0; i < N * M; i++) x[i] = (double)(float)x[i];
    gr_tensor *t = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(N, M), x), dtype);
    gr_tensor *v = gr_var(t, GR_AXES(0), false, correction), *s = gr_std(t, GR_AXES(0), true, correction);
    ck_assert(gr_shape_equal(gr_shape_of(s), &GR_SHAPE(1, M)));
    const double *var = gr_data(gr_cast(v, GR_F64)), *std = gr_data(gr_cast(s, GR_F64));
    const double *mean = gr_data(gr_cast(gr_output(v, 1), GR_F64));
    for (int c = 0; c < M; c++) {
        double m = 0, sum = 0;
        for (int i = 0; i < N; i++) m += x[i * M + c] / N;
        for (int i = 0; i < N; i++) sum += (x[i * M + c] - m) * (x[i * M + c] - m);
        double want = sum / (N - correction), tolerance = dtype == GR_F32 ? 2e-7 : 1e-12;
        ck_assert_double_eq_tol(mean[c] / m, 1, tolerance);
        ck_assert_double_eq_tol(var[c] / want, 1, tolerance);
        ck_assert_double_eq_tol(std[c] / sqrt(want), 1, tolerance);
    }
}

START_TEST(variances_deviations_and_means)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (int correction = 0; correction < 3; correction++) check_columns((gr_dtype)dtype, correction);
}
END_TEST

static gr_tensor *sample_variance(gr_tensor *x) { return gr_var(x, GR_AXES(0), false, 1); }
static gr_tensor *own_deviation(gr_tensor *x) { return gr_std(x, GR_AXES(-1), true, 0); }
static gr_tensor *both_moments(gr_tensor *x)
{
    gr_tensor *v = gr_var(x, GR_ALL, false, 0);
    return gr_mul(v, gr_output(v, 1));
}

START_TEST(derivatives_agree_with_differences)
{
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = sin(2.3 * i) + 0.1 * i;
    derivative_check(g, "var", sample_variance, GR_SHAPE(4, 3), x, 2);
    derivative_check(g, "std", own_deviation, GR_SHAPE(3, 4), x, 2);
    derivative_check(g, "var and mean", both_moments, GR_SHAPE(3, 4), x, 2);
}
END_TEST

START_TEST(the_deviation_of_equals_has_gradient_zero)
{
    gr_tensor *x = gr_full(g, GR_F64, GR_SHAPE(2, 3), 0.3), *d, *dd;
    gr_tensor *s = gr_std(x, GR_AXES(1), false, 1);
    gr_grad(s, &x, 1, &d);
    gr_grad(d, &x, 1, &dd);
    for (int i = 0; i < 6; i++) {
        ck_assert_double_eq(((const double *)gr_data(s))[i / 3], 0);
        ck_assert_double_eq(((const double *)gr_data(d))[i], 0);
        ck_assert_double_eq(((const double *)gr_data(dd))[i], 0);
    }
}
END_TEST

START_TEST(a_large_mean_costs_no_precision)
{
    enum { N = 300000 };
    double *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++) x[i] = 1e9 + (i % 2 ? 1 : -1);
    ck_assert_double_eq_tol(gr_item(gr_var(gr_borrow(g, GR_F64, GR_SHAPE(N), x), GR_ALL, false, 0)), 1, 1e-12);
    gr_graph_reset(g);
    free(x);
}
END_TEST

START_TEST(too_few_elements_have_no_variance)
{
    gr_tensor *one = gr_full(g, GR_F32, GR_SHAPE(2, 1), 3);
    ck_assert_float_nan(((const float *)gr_data(gr_var(one, GR_AXES(1), false, 1)))[1]);
    ck_assert_float_eq(((const float *)gr_data(gr_std(one, GR_AXES(1), false, 0)))[1], 0);
    ck_assert_double_nan(gr_item(gr_var(gr_zeros(g, GR_F32, GR_SHAPE(0)), GR_ALL, false, 0)));
    const float x0[3] = {1, NAN, 2};
    ck_assert_double_nan(gr_item(gr_std(gr_from_data(g, GR_F32, GR_SHAPE(3), x0), GR_ALL, false, 1)));
    gr_var(one, GR_ALL, false, -1);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "var: correction -1 must not be negative"));
}
END_TEST

SUITE("moments", setup, teardown, variances_deviations_and_means, derivatives_agree_with_differences,
      the_deviation_of_equals_has_gradient_zero, a_large_mean_costs_no_precision,
      too_few_elements_have_no_variance)
