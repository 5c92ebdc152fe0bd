/* test_scan.c - running totals against plain loops, in every direction and layout. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void reset(void)
{
    gr__kernels_force(NULL);
    teardown();
}

enum { N = 3 * 7 * 150 };

static double number(int64_t i)
{
    return (double)(float)(1 + 0.3 * sin((double)i * 1.7));
}

typedef enum total { SUM, PRODUCT, LINEAR, LOG, TOTALS } total;

static const char *const names[TOTALS] = {"cumsum", "cumprod", "linear_scan", "logcumsumexp"};

static double advance(total t, double carried, double a, double x)
{
    return t == SUM ? carried + x : t == PRODUCT ? carried * x : t == LINEAR ? a * carried + x
                                                                            : log(exp(carried) + exp(x));
}

/* By definition, of [outer, n, inner]. */
static void naive(total t, const int64_t d[3], gr_scan_options o, const double *a, const double *x,
                  double *y)
{
    const double start = t == PRODUCT ? 1 : t == LOG ? -INFINITY : 0;
    for (int64_t line = 0; line < d[0] * d[2]; line++) {
        double carried = start;
        for (int64_t i = 0; i < d[1]; i++) {
            int64_t k = o.reverse ? d[1] - 1 - i : i;
            int64_t at = (line / d[2] * d[1] + k) * d[2] + line % d[2];
            double next = advance(t, carried, a[at], x[at]);
            y[at] = o.exclusive ? carried : next;
            carried = next;
        }
    }
}

static gr_tensor *record(total t, gr_tensor *a, gr_tensor *x, gr_scan_options o)
{
    return t == SUM       ? gr_cumsum(x, 1, o)
           : t == PRODUCT ? gr_cumprod(x, -2, o)
           : t == LINEAR  ? gr_linear_scan(a, x, 1, o.reverse)
                          : gr_logcumsumexp(x, 1);
}

static void check_totals(total t, gr_dtype dtype, const int64_t d[3], gr_scan_options o)
{
    static double a0[N], x0[N], y[N];
    for (int i = 0; i < N; i++) {
        x0[i] = number(i);
        a0[i] = number(i + 1000) - 0.5;
    }
    gr_shape shape = GR_SHAPE(d[0], d[1], d[2]);
    gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, shape, x0), dtype);
    gr_tensor *a = gr_cast(gr_from_data(g, GR_F64, shape, a0), dtype);
    if (dtype == GR_F32)
        for (int i = 0; i < N; i++) a0[i] = (double)(float)a0[i];
    naive(t, d, o, a0, x0, y);
    const double *got = gr_data(gr_cast(record(t, a, x, o), GR_F64));
    ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
    for (int i = 0; i < N; i++)
        ck_assert_msg(fabs(got[i] - y[i]) <= (dtype == GR_F32 ? 1e-7 : 1e-13) * (1 + fabs(y[i])),
                      "%s [%d]: %.17g for %.17g", names[t], i, got[i], y[i]);
    gr_graph_reset(g);
}

START_TEST(running_totals_of_every_kind_dtype_and_direction)
{
    static const char *const sets[] = {"baseline", "avx2", "avx512"};
    const int64_t shapes[][3] = {{3, 7, 150}, {45, 70, 1}, {1, 21, 150}, {3150, 1, 1}};
    for (int set = 0; set < 3; set++)
        for (int t = 0; t < TOTALS && gr__kernels_force(sets[set]); t++)
            for (int k = 0; k < 4 * 4 * 2; k++) {
                gr_scan_options o = {.reverse = k & 1, .exclusive = k >> 1 & 1};
                if ((t == LOG && o.reverse) || (t >= LINEAR && o.exclusive)) continue;
                check_totals((total)t, k >> 4 ? GR_F64 : GR_F32, shapes[k >> 2 & 3], o);
            }
}
END_TEST

START_TEST(long_float32_sums_keep_their_precision)
{
    enum { LONG = 1000000 };
    float *x = malloc(LONG * sizeof *x);
    for (int i = 0; i < LONG; i++) x[i] = 0.1f;
    const float *y = gr_data(gr_cumsum(gr_borrow(g, GR_F32, GR_SHAPE(LONG), x), 0, (gr_scan_options){0}));
    ck_assert_double_eq_tol((double)y[LONG - 1] / ((double)0.1f * LONG), 1, 1e-6);
    gr_graph_reset(g);
    free(x);
}
END_TEST

static gr_tensor *products(gr_tensor *x) { return gr_cumprod(x, 1, (gr_scan_options){0}); }
static gr_tensor *products_before(gr_tensor *x)
{
    return gr_cumprod(x, 0, (gr_scan_options){.exclusive = true, .reverse = true});
}

START_TEST(running_products_have_right_derivatives_of_any_order_at_zeros)
{
    const double x[12] = {1.5, -2, 0.5, 3, 0, 2, -1.5, 0.5, 0, 2.5, 0, -1}; /* none, one, two zeros */
    derivative_check(g, "cumprod", products, GR_SHAPE(3, 4), x, 3);
    derivative_check(g, "cumprod", products_before, GR_SHAPE(6, 2), x, 3);
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(3, 4), x), *d;
    gr_grad(products(t), &t, 1, &d);
    /* d/dx_j of the sum of products of 0 2 -1.5 0.5: 1 + 2 - 3 - 1.5, 0, 0, 0 */
    const double *got = gr_data(d);
    ck_assert_double_eq_tol(got[4], -1.5, 1e-15);
    for (int i = 5; i < 8; i++) ck_assert_double_eq(got[i], 0);
}
END_TEST

static gr_tensor *recurrence(gr_tensor *x)
{
    return gr_linear_scan(gr_slice(x, 0, 0, 3, 1), gr_slice(x, 0, 3, 6, 1), 1, false);
}
static gr_tensor *sums(gr_tensor *x) { return gr_cumsum(x, 0, (gr_scan_options){.reverse = true}); }
static gr_tensor *logs(gr_tensor *x) { return gr_logcumsumexp(x, 1); }

START_TEST(derivatives_agree_with_differences)
{
    double x[24];
    for (int i = 0; i < 24; i++) x[i] = sin(2.3 * i) + 0.05 * i;
    derivative_check(g, "linear_scan", recurrence, GR_SHAPE(6, 4), x, 3);
    derivative_check(g, "cumsum", sums, GR_SHAPE(6, 4), x, 2);
    derivative_check(g, "logcumsumexp", logs, GR_SHAPE(6, 4), x, 3);
}
END_TEST

START_TEST(logcumsumexp_at_infinities_and_far_from_zero)
{
    const double x0[5] = {-INFINITY, -INFINITY, 1000, 1000, -1000};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(5), x0), *y = gr_logcumsumexp(x, 0), *d;
    const double *v = gr_data(y), want[5] = {0, 0, 2, 1, 0};
    ck_assert(v[0] == -INFINITY && v[1] == -INFINITY && v[2] == 1000);
    ck_assert_double_eq_tol(v[4], 1000 + log(2), 1e-12);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    for (int i = 0; i < 5; i++) ck_assert_double_eq_tol(((const double *)gr_data(d))[i], want[i], 1e-12);
    const double up[3] = {1, INFINITY, 2}, nan[3] = {1, NAN, 2};
    v = gr_data(gr_logcumsumexp(gr_from_data(g, GR_F64, GR_SHAPE(3), up), 0));
    ck_assert(v[0] == 1 && v[1] == INFINITY && v[2] == INFINITY);
    v = gr_data(gr_logcumsumexp(gr_from_data(g, GR_F64, GR_SHAPE(3), nan), 0));
    ck_assert(v[0] == 1 && isnan(v[1]) && isnan(v[2]));
}
END_TEST

START_TEST(the_first_factor_of_a_recurrence_is_not_used)
{
    const double a0[3] = {INFINITY, 2, 3}, b0[3] = {1, 1, 1}, want[3] = {1, 3, 10};
    gr_tensor *a = gr_from_data(g, GR_F64, GR_SHAPE(3), a0), *b = gr_from_data(g, GR_F64, GR_SHAPE(3), b0);
    gr_tensor *x[2] = {a, b}, *d[2], *y = gr_linear_scan(a, b, 0, false);
    ck_assert_mem_eq(gr_data(y), want, sizeof want);
    ck_assert_int_eq(gr_grad(y, x, 2, d), GR_OK);
    const double da[3] = {0, 4, 3}, db[3] = {9, 4, 1};
    ck_assert_mem_eq(gr_data(d[0]), da, sizeof da);
    ck_assert_mem_eq(gr_data(d[1]), db, sizeof db);
}
END_TEST

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float x[400 * 300], y[2][400 * 300];
    for (int i = 0; i < 400 * 300; i++) x[i] = sinf((float)i);
    for (int threads = 1; threads <= 2; threads++) {
        gr_set_threads(threads);
        gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(20, 20, 300), x);
        memcpy(y[threads - 1], gr_data(gr_cumsum(t, 1, (gr_scan_options){0})), sizeof y[0]);
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(y[0], y[1], sizeof y[0]);
}
END_TEST

SUITE("scan", setup, reset, running_totals_of_every_kind_dtype_and_direction,
      long_float32_sums_keep_their_precision,
      running_products_have_right_derivatives_of_any_order_at_zeros,
      derivatives_agree_with_differences, logcumsumexp_at_infinities_and_far_from_zero,
      the_first_factor_of_a_recurrence_is_not_used, the_same_bits_from_one_thread_and_two)
