/* test_norm.c - norms and logsumexp against loops in double, and where they are not smooth. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static gr_tensor *vector(const double *x, int64_t n)
{
    return gr_from_data(g, GR_F64, GR_SHAPE(n), x);
}

static void assert_gradient(gr_tensor *y, gr_tensor *x, const double *want)
{
    gr_tensor *d;
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const double *got = gr_data(d);
    for (int64_t i = 0; i < gr_numel(x); i++)
        ck_assert_msg(fabs(got[i] - want[i]) < 1e-15 || (isnan(got[i]) && isnan(want[i])),
                      "[%d]: %g for %g", (int)i, got[i], want[i]);
}

static double naive_norm(const double *x, int64_t n, int64_t stride, double p)
{
    double total = p == -INFINITY ? INFINITY : 0;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(x[i * stride]);
        if (p == INFINITY) total = fmax(total, v);
        else if (p == -INFINITY) total = fmin(total, v);
        else total += p == 0 ? v != 0 : pow(v, p);
    }
    return isinf(p) || p == 0 ? total : pow(total, 1 / p);
}

START_TEST(norms_of_every_p_in_both_dtypes)
{
    enum { N = 300, M = 40 };
    static double x[N * M];
    const double powers[] = {2, 1, 0, 3, 0.5, -1.5, INFINITY, -INFINITY};
    for (int i = 0; i < N * M; i++) x[i] = (double)(float)(sin(1.7 * i + 0.3) + 0.01 * (i % 13));
    for (size_t k = 0; k < sizeof powers / sizeof *powers; k++)
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            gr_tensor *t = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(N, M), x), (gr_dtype)dtype);
            gr_tensor *rows = gr_norm(t, powers[k], GR_AXES(1), false);
            gr_tensor *columns = gr_norm(t, powers[k], GR_AXES(0), true);
            const double *r = gr_data(gr_cast(rows, GR_F64)), *c = gr_data(gr_cast(columns, GR_F64));
            double tolerance = dtype == GR_F32 ? 1e-7 : 1e-12;
            for (int i = 0; i < N; i++)
                ck_assert_double_eq_tol(r[i] / naive_norm(x + i * M, M, 1, powers[k]), 1, tolerance);
            for (int i = 0; i < M; i++)
                ck_assert_double_eq_tol(c[i] / naive_norm(x + i, N, M, powers[k]), 1, tolerance);
            gr_graph_reset(g);
        }
}
END_TEST

START_TEST(a_long_norm_is_the_same_from_one_thread_and_two)
{
    enum { N = 500000 };
    float *x = malloc(N * sizeof *x);
    double y[2];
    for (int i = 0; i < N; i++) x[i] = sinf((float)i);
    for (int threads = 1; threads <= 2; threads++) {
        gr_set_threads(threads);
        y[threads - 1] = gr_item(gr_norm(gr_borrow(g, GR_F32, GR_SHAPE(N), x), 2, GR_ALL, false));
        gr_graph_reset(g);
    }
    ck_assert(y[0] == y[1]);
    ck_assert_double_eq_tol(y[0] / sqrt(N / 2.0), 1, 1e-4);
    free(x);
}
END_TEST

START_TEST(the_norm_of_zeros_has_gradient_zero)
{
    const double zeros[3] = {0, 0, 0}, powers[] = {2, 1, 3, 1.5, 0.5, -1, 0, INFINITY, -INFINITY};
    for (size_t k = 0; k < sizeof powers / sizeof *powers; k++) {
        gr_tensor *x = vector(zeros, 3), *y = gr_norm(x, powers[k], GR_ALL, false), *d, *dd;
        ck_assert_double_eq(gr_item(y), 0);
        ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
        ck_assert_int_eq(gr_grad(d, &x, 1, &dd), GR_OK);
        for (int i = 0; i < 3; i++) {
            ck_assert_double_eq(((const double *)gr_data(d))[i], 0);
            ck_assert_double_eq(((const double *)gr_data(dd))[i], 0);
        }
    }
}
END_TEST

START_TEST(single_zeros_and_equal_extremes)
{
    const double x0[4] = {3, 0, -4, 4};
    gr_tensor *x = vector(x0, 4);
    gr_tensor *three = gr_slice(x, 0, 0, 3, 1);
    assert_gradient(gr_norm(three, 2, GR_ALL, false), x, (const double[4]){0.6, 0, -0.8, 0});
    assert_gradient(gr_norm(three, 1, GR_ALL, false), x, (const double[4]){1, 0, -1, 0});
    assert_gradient(gr_norm(x, INFINITY, GR_ALL, false), x, (const double[4]){0, 0, -0.5, 0.5});
    assert_gradient(gr_norm(x, 0, GR_ALL, false), x, (const double[4]){0, 0, 0, 0});
    double s = sqrt(3) + 2;
    assert_gradient(gr_norm(three, 0.5, GR_ALL, false), x, (const double[4]){s / sqrt(3), 0, -s / 2, 0});
}
END_TEST

static gr_tensor *cubic(gr_tensor *x) { return gr_norm(x, 3, GR_AXES(1), false); }
static gr_tensor *soft_max(gr_tensor *x) { return gr_logsumexp(x, GR_AXES(0, 2), true); }

START_TEST(derivatives_agree_with_differences)
{
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = sin(2.3 * i + 0.4) + 0.1 * i;
    derivative_check(g, "norm", cubic, GR_SHAPE(3, 4), x, 2);
    derivative_check(g, "logsumexp", soft_max, GR_SHAPE(2, 3, 2), x, 3);
}
END_TEST

START_TEST(nan_and_bad_norms)
{
    const double x0[3] = {1, NAN, 2}, powers[] = {2, 1, 3, INFINITY, -INFINITY};
    for (size_t k = 0; k < sizeof powers / sizeof *powers; k++)
        ck_assert_double_nan(gr_item(gr_norm(vector(x0, 3), powers[k], GR_ALL, false)));
    ck_assert_double_eq(gr_item(gr_norm(gr_zeros(g, GR_F32, GR_SHAPE(0)), 2, GR_ALL, false)), 0);
    gr_norm(vector(x0, 3), NAN, GR_ALL, false);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "norm: p is NaN"));
    gr_graph_reset(g);
    gr_norm(gr_zeros(g, GR_F32, GR_SHAPE(2, 0)), INFINITY, GR_AXES(1), false);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "norm: [2,0] has no elements"));
}
END_TEST

/* --- logsumexp --- */

START_TEST(logsumexp_of_any_size_of_numbers)
{
    const double levels[] = {0, 1000, -1000, 1e30};
    for (size_t k = 0; k < 4; k++)
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            double x0[3] = {levels[k], levels[k], levels[k]};
            gr_tensor *x = gr_cast(vector(x0, 3), (gr_dtype)dtype);
            double want = levels[k] + log(3), got = gr_item(gr_logsumexp(x, GR_AXES(0), false));
            ck_assert_double_eq_tol(got, want, fabs(want) * (dtype == GR_F32 ? 1e-7 : 1e-15));
        }
}
END_TEST

START_TEST(logsumexp_at_infinities)
{
    const double none[2] = {-INFINITY, -INFINITY}, some[2] = {-INFINITY, 2}, most[2] = {INFINITY, 1};
    gr_tensor *x = vector(none, 2), *y = gr_logsumexp(x, GR_ALL, false);
    ck_assert(gr_item(y) == -INFINITY);
    assert_gradient(y, x, (const double[2]){0, 0});
    x = vector(some, 2);
    y = gr_logsumexp(x, GR_ALL, false);
    ck_assert_double_eq(gr_item(y), 2);
    assert_gradient(y, x, (const double[2]){0, 1});
    x = vector(most, 2);
    y = gr_logsumexp(x, GR_ALL, false);
    ck_assert(gr_item(y) == INFINITY);
    assert_gradient(y, x, (const double[2]){NAN, 0});
    ck_assert(gr_item(gr_logsumexp(gr_zeros(g, GR_F64, GR_SHAPE(0)), GR_ALL, false)) == -INFINITY);
}
END_TEST

SUITE("norm", setup, teardown, norms_of_every_p_in_both_dtypes,
      a_long_norm_is_the_same_from_one_thread_and_two, the_norm_of_zeros_has_gradient_zero,
      single_zeros_and_equal_extremes, derivatives_agree_with_differences, nan_and_bad_norms,
      logsumexp_of_any_size_of_numbers, logsumexp_at_infinities)
