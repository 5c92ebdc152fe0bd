/* test_reduce.c - sums, means, products, counts and maxima against loops in double. */
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

/* The result of reducing a row-major array of three axes over those in mask, by plain loops. */
static void naive(const double *x, const int64_t d[3], unsigned mask, bool max, double *y)
{
    int64_t n = 0;
    for (int64_t i = 0; i < (mask & 1 ? 1 : d[0]); i++)
        for (int64_t j = 0; j < (mask & 2 ? 1 : d[1]); j++)
            for (int64_t k = 0; k < (mask & 4 ? 1 : d[2]); k++) {
                double total = max ? -INFINITY : 0;
                for (int64_t a = mask & 1 ? 0 : i; a < (mask & 1 ? d[0] : i + 1); a++)
                    for (int64_t b = mask & 2 ? 0 : j; b < (mask & 2 ? d[1] : j + 1); b++)
                        for (int64_t c = mask & 4 ? 0 : k; c < (mask & 4 ? d[2] : k + 1); c++) {
                            double v = x[(a * d[1] + b) * d[2] + c];
                            total = max ? fmax(total, v) : total + v;
                        }
                y[n++] = total;
            }
}

static gr_axes axes_of(unsigned mask)
{
    gr_axes axes = {0, {0}};
    for (int i = 0; i < 3; i++)
        if (mask & 1u << i) axes.axis[axes.n++] = i % 2 ? i : i - 3;
    return axes;
}

/* layout 0: row-major; 1: a permuted view; 2: a slice with steps */
static gr_tensor *laid_out(gr_dtype dtype, const double *x, const int64_t d[3], int layout)
{
    gr_shape shape = GR_SHAPE(d[0], d[1], d[2]);
    gr_tensor *t = gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
    if (layout == 1) { /* stored with the last axis first */
        gr_tensor *stored = gr_keep(gr_add(gr_permute(t, GR_AXES(2, 0, 1)), gr_zeros(g, dtype, GR_SHAPE(1))));
        return gr_permute(stored, GR_AXES(1, 2, 0));
    }
    if (layout == 2) {
        gr_tensor *pair = gr_concat((gr_tensor *[]){gr_reshape(t, GR_SHAPE(d[0], d[1], d[2], 1)),
                                                    gr_ones(g, dtype, GR_SHAPE(d[0], d[1], d[2], 1))}, 2, 3);
        return gr_slice(gr_reshape(pair, GR_SHAPE(d[0], d[1], 2 * d[2])), 2, 0, 2 * d[2], 2);
    }
    return t;
}

static void check_sums(gr_dtype dtype, const int64_t d[3], double tolerance)
{
    int64_t n = d[0] * d[1] * d[2];
    double *x = calloc((size_t)n + 1, sizeof *x), *y = calloc((size_t)n + 1, sizeof *y);
    for (int64_t i = 0; i < n; i++) x[i] = dtype == GR_F32 ? (double)(float)number(i) : number(i);
    for (unsigned mask = 1; mask < 8; mask++)
        for (int layout = 0; layout < 3; layout++) {
            gr_tensor *t = laid_out(dtype, x, d, layout);
            gr_tensor *sum = gr_cast(gr_sum(t, axes_of(mask), mask == 5), GR_F64);
            gr_tensor *max = gr_cast(gr_max(t, axes_of(mask), false), GR_F64);
            const double *s = gr_data(sum), *m = gr_data(max);
            ck_assert_msg(s && m, "%s", gr_graph_error(g));
            naive(x, d, mask, false, y);
            for (int64_t i = 0; i < gr_numel(sum); i++)
                if (!(fabs(s[i] - y[i]) < tolerance))
                    ck_abort_msg("sum, axes %u, layout %d, [%d]: %g for %g", mask, layout, (int)i, s[i], y[i]);
            naive(x, d, mask, true, y);
            ck_assert_mem_eq(m, y, (size_t)gr_numel(max) * sizeof *y);
            gr_graph_reset(g);
        }
    free(x);
    free(y);
}

START_TEST(sums_and_maxima_over_any_axes_of_any_layout)
{
    const int64_t shapes[][3] = {{2, 3, 4}, {1, 5, 1}, {7, 1, 33}, {10, 20, 30}, {3, 300, 20}, {1, 1, 140000}, {130, 2, 270}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_sums(GR_F64, shapes[i], 1e-9);
        check_sums(GR_F32, shapes[i], 2e-2);
    }
}
END_TEST

START_TEST(float32_sums_keep_their_precision)
{
    enum { N = 4000000 };
    float *x = malloc(N * sizeof *x);
    for (int i = 0; i < N; i++) x[i] = 0.1f;
    double sum = gr_item(gr_sum_all(gr_borrow(g, GR_F32, GR_SHAPE(N), x)));
    double rows = gr_item(gr_slice(gr_sum(gr_borrow(g, GR_F32, GR_SHAPE(N / 4, 4), x), GR_AXES(0), false), 0, 1, 2, 1));
    ck_assert_double_eq_tol(sum / ((double)0.1f * N), 1, 1e-6);
    ck_assert_double_eq_tol(rows / ((double)0.1f * N / 4), 1, 1e-6);
    gr_graph_reset(g);
    free(x);
}
END_TEST

START_TEST(sums_do_not_depend_on_the_number_of_threads)
{
    enum { N = 300, M = 1000 };
    static float x[N * M], y[2][N + M + 1];
    for (int i = 0; i < N * M; i++) x[i] = (float)number(i);
    for (int threads = 1; threads <= 2; threads++) {
        float *out = y[threads - 1];
        gr_set_threads(threads);
        gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(N, M), x);
        memcpy(out, gr_data(gr_sum(t, GR_AXES(0), false)), M * sizeof *out);
        memcpy(out + M, gr_data(gr_sum(t, GR_AXES(1), false)), N * sizeof *out);
        out[N + M] = (float)gr_item(gr_sum_all(t));
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(y[0], y[1], sizeof y[0]);
}
END_TEST

START_TEST(means_divide_by_the_count)
{
    gr_tensor *x = gr_full(g, GR_F64, GR_SHAPE(4, 5), 3), *d;
    gr_tensor *m = gr_mean(x, GR_AXES(0), true);
    ck_assert(gr_shape_equal(gr_shape_of(m), &GR_SHAPE(1, 5)));
    ck_assert_double_eq_tol(gr_item(gr_mean_all(x)), 3, 1e-15);
    gr_grad(gr_mean_all(x), &x, 1, &d);
    ck_assert_double_eq_tol(((const double *)gr_data(d))[7], 0.05, 1e-16);
}
END_TEST

START_TEST(nothing_sums_to_zero_and_has_no_maximum)
{
    gr_tensor *none = gr_ones(g, GR_F32, GR_SHAPE(0, 3));
    const float *s = gr_data(gr_sum(none, GR_AXES(0), false));
    for (int i = 0; i < 3; i++) ck_assert_float_eq(s[i], 0);
    ck_assert_double_nan(gr_item(gr_mean_all(none)));
    gr_max(none, GR_AXES(0), false);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "no elements"));
}
END_TEST

START_TEST(equal_maxima_share_the_gradient)
{
    const double x0[6] = {1, 5, 5, 2, 2, 2};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 3), x0), *d;
    gr_grad(gr_max(x, GR_AXES(1), false), &x, 1, &d);
    const double want[6] = {0, 0.5, 0.5, 1 / 3.0, 1 / 3.0, 1 / 3.0}, *got = gr_data(d);
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-15);
}
END_TEST

START_TEST(a_nan_is_the_maximum)
{
    const float x0[6] = {1, NAN, 3, 4, 5, 6};
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(2, 3), x0);
    for (int axis = 0; axis < 2; axis++) {
        const float *m = gr_data(gr_max(x, GR_AXES(axis), false));
        ck_assert_float_nan(m[axis == 0 ? 1 : 0]);
        ck_assert_float_eq(m[axis == 0 ? 2 : 1], 6);
    }
    ck_assert_int_eq(((const int64_t *)gr_data(gr_argmax(x, 1)))[0], 1);
}
END_TEST

START_TEST(argmax_takes_the_first_of_equals)
{
    const double x0[8] = {1, 7, 7, 0, -1, -1, -2, -1};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 4), x0);
    const int64_t *rows = gr_data(gr_argmax(x, 1)), *columns = gr_data(gr_argmax(x, 0));
    ck_assert(rows[0] == 1 && rows[1] == 0);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(columns[i], 0);
    const int64_t *turned = gr_data(gr_argmax(gr_transpose(x, 0, 1), 0));
    ck_assert(turned[0] == 1 && turned[1] == 0);
}
END_TEST

START_TEST(truth_values_are_counted_exactly)
{
    enum { N = 20000 };
    gr_tensor *all = gr_equal(gr_ones(g, GR_F32, GR_SHAPE(N, 3)), gr_scalar(g, GR_F32, 1));
    gr_tensor *count = gr_sum_all(all);
    ck_assert_int_eq(gr_dtype_of(count), GR_I64);
    ck_assert_double_eq(gr_item(count), 3 * N);
    ck_assert_int_eq(((const int64_t *)gr_data(gr_sum(all, GR_AXES(0), false)))[2], N);
}
END_TEST

/* --- prod --- */

static void check_product(gr_dtype dtype, unsigned mask, int layout)
{
    const int64_t d[3] = {3, 5, 19};
    double x[285], y[285];
    for (int i = 0; i < 285; i++) x[i] = dtype == GR_F32 ? (double)(float)(1 + 0.1 * number(i)) : 1 + 0.1 * number(i);
    gr_tensor *prod = gr_cast(gr_prod(laid_out(dtype, x, d, layout), axes_of(mask), false), GR_F64);
    for (int i = 0; i < 285; i++) x[i] = log(x[i]);
    naive(x, d, mask, false, y);
    const double *got = gr_data(prod);
    for (int64_t i = 0; i < gr_numel(prod); i++)
        ck_assert_double_eq_tol(got[i] / exp(y[i]), 1, dtype == GR_F32 ? 2e-7 : 1e-12);
    gr_graph_reset(g);
}

START_TEST(products_over_any_axes_of_any_layout)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (unsigned mask = 1; mask < 8; mask++)
            for (int layout = 0; layout < 3; layout++) check_product((gr_dtype)dtype, mask, layout);
    ck_assert_double_eq(gr_item(gr_prod(gr_zeros(g, GR_F32, GR_SHAPE(0, 3)), GR_ALL, false)), 1);
}
END_TEST

START_TEST(long_products_do_not_depend_on_the_number_of_threads)
{
    enum { N = 400000 };
    double *x = malloc(N * sizeof *x), y[2];
    for (int i = 0; i < N; i++) x[i] = 1 + 1e-3 * number(i);
    for (int threads = 1; threads <= 2; threads++) {
        gr_set_threads(threads);
        y[threads - 1] = gr_item(gr_prod(gr_borrow(g, GR_F64, GR_SHAPE(N), x), GR_ALL, false));
        gr_graph_reset(g);
    }
    double log_sum = 0;
    for (int i = 0; i < N; i++) log_sum += log(x[i]);
    ck_assert(y[0] == y[1]);
    ck_assert_double_eq_tol(y[0] / exp(log_sum), 1, 1e-9);
    free(x);
}
END_TEST

static gr_tensor *row_products(gr_tensor *x) { return gr_prod(x, GR_AXES(1), false); }
static gr_tensor *outer_products(gr_tensor *x) { return gr_prod(x, GR_AXES(0, 2), true); }

START_TEST(products_have_right_derivatives_of_any_order_at_zeros)
{
    const double x[12] = {1.5, -2, 0.5, 3, 0, 2, -1.5, 0.5, 0, 2.5, 0, -1}; /* none, one, two zeros */
    derivative_check(g, "prod", row_products, GR_SHAPE(3, 4), x, 3);
    derivative_check(g, "prod", outer_products, GR_SHAPE(2, 3, 2), x, 3);
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(3, 4), x), *d;
    gr_grad(row_products(t), &t, 1, &d);
    const double want[12] = {-3, 2.25, -9, -1.5, -1.5, 0, 0, 0, 0, 0, 0, 0}, *got = gr_data(d);
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-15);
}
END_TEST

/* --- counts and truth --- */

START_TEST(counts_and_truth_of_every_dtype)
{
    const double x0[8] = {0, 1, NAN, -2, 0, 0, -0.0, 0};
    const int64_t counts[2] = {3, 0};
    for (int dtype = 0; dtype < GR_DTYPES; dtype++) {
        gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(2, 4), x0), (gr_dtype)dtype);
        gr_tensor *n = gr_count_nonzero(x, GR_AXES(1), true);
        ck_assert_int_eq(gr_dtype_of(n), GR_I64);
        ck_assert(gr_shape_equal(gr_shape_of(n), &GR_SHAPE(2, 1)));
        bool positive = dtype == GR_U8, nan = dtype == GR_F32 || dtype == GR_F64 || dtype == GR_BOOL;
        ck_assert_int_eq(((const int64_t *)gr_data(n))[0], counts[0] - positive - !nan);
        ck_assert_int_eq(((const int64_t *)gr_data(n))[1], counts[1]);
        const uint8_t *any = gr_data(gr_any(x, GR_AXES(-1), false));
        const uint8_t *all = gr_data(gr_all(gr_slice(x, 1, 1, 2, 1), GR_AXES(-1), false));
        ck_assert(any[0] == 1 && any[1] == 0);
        ck_assert(all[0] == 1 && all[1] == 0);
        ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
    }
}
END_TEST

START_TEST(nothing_is_all_true_and_not_any)
{
    gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(2, 0));
    ck_assert_double_eq(gr_item(gr_any(none, GR_ALL, false)), 0);
    ck_assert_double_eq(gr_item(gr_all(none, GR_ALL, false)), 1);
    ck_assert_double_eq(gr_item(gr_count_nonzero(none, GR_ALL, false)), 0);
    ck_assert_int_eq(gr_numel(gr_all(none, GR_AXES(0), false)), 0);
}
END_TEST

SUITE("reduce", setup, teardown, sums_and_maxima_over_any_axes_of_any_layout,
      float32_sums_keep_their_precision, sums_do_not_depend_on_the_number_of_threads,
      means_divide_by_the_count, nothing_sums_to_zero_and_has_no_maximum,
      equal_maxima_share_the_gradient, a_nan_is_the_maximum, argmax_takes_the_first_of_equals,
      truth_values_are_counted_exactly, products_over_any_axes_of_any_layout,
      long_products_do_not_depend_on_the_number_of_threads,
      products_have_right_derivatives_of_any_order_at_zeros, counts_and_truth_of_every_dtype,
      nothing_is_all_true_and_not_any)
