/* test_sort.c - order, the first few and the middle, against insertion sort. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

/* Many equals, both zeros, infinities and NaN. */
static double number(int64_t i)
{
    if (i % 41 == 7) return i % 2 ? INFINITY : -INFINITY;
    if (i % 53 == 11) return NAN;
    if (i % 29 == 3) return i % 2 ? 0.0 : -0.0;
    return floor(40 * sin((double)i * 1.7)) / 8;
}

/* NaN is above all numbers. */
static bool above(double a, double b)
{
    return isnan(a) ? !isnan(b) : a > b;
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* The order of n numbers `step` apart, by insertion. */
static void naive_order(const double *x, int64_t n, int64_t step, bool descending, int64_t *order)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t j = i;
        for (; j > 0; j--) {
            double before = x[order[j - 1] * step], v = x[i * step];
            if (!(descending ? above(v, before) : above(before, v))) break;
            order[j] = order[j - 1];
        }
        order[j] = i;
    }
}

enum { N = 2 * 300 * 3 };

static void check_sort(gr_dtype dtype, const int64_t d[3], bool descending)
{
    static double x0[N];
    static int64_t order[N];
    for (int i = 0; i < N; i++) x0[i] = number(i);
    gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(d[0], d[1], d[2]), x0), dtype);
    gr_tensor *y = gr_sort(x, 1, descending);
    const double *v = gr_data(gr_cast(y, GR_F64));
    const int64_t *from = gr_data(gr_output(y, 1)), *argsort = gr_data(gr_argsort(x, -2, descending));
    ck_assert_mem_eq(from, argsort, N * sizeof *from);
    for (int64_t line = 0; line < d[0] * d[2]; line++) {
        int64_t start = line / d[2] * d[1] * d[2] + line % d[2];
        naive_order(x0 + start, d[1], d[2], descending, order);
        for (int64_t k = 0; k < d[1]; k++) {
            ck_assert_int_eq(from[start + k * d[2]], order[k]);
            ck_assert(same(v[start + k * d[2]], x0[start + order[k] * d[2]]));
        }
    }
    gr_graph_reset(g);
}

START_TEST(sorts_stably_along_any_axis_in_both_directions)
{
    const int64_t shapes[][3] = {{2, 300, 3}, {6, 300, 1}, {1, 1800, 1}, {60, 30, 1}, {1, 5, 360}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int k = 0; k < 4; k++) check_sort(k & 1 ? GR_F64 : GR_F32, shapes[s], k >> 1);
}
END_TEST

START_TEST(a_long_line_is_sorted)
{
    enum { LONG = 300000 };
    float *x = malloc(LONG * sizeof *x);
    for (int i = 0; i < LONG; i++) x[i] = sinf((float)i) * expf((float)(i % 41) - 20);
    gr_tensor *y = gr_sort(gr_borrow(g, GR_F32, GR_SHAPE(LONG), x), 0, false);
    const float *v = gr_data(y);
    const int64_t *from = gr_data(gr_output(y, 1));
    for (int i = 0; i < LONG; i++) {
        ck_assert(x[from[i]] == v[i]);
        ck_assert(i == 0 || v[i - 1] < v[i] || (v[i - 1] == v[i] && from[i - 1] < from[i]));
    }
    gr_graph_reset(g);
    free(x);
}
END_TEST

START_TEST(topk_is_the_head_of_the_order)
{
    double x0[120];
    for (int i = 0; i < 120; i++) x0[i] = number(i);
    for (int smallest = 0; smallest < 2; smallest++)
        for (int64_t k = 0; k <= 8; k += 4) {
            gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(5, 8, 3), x0);
            gr_tensor *top = gr_topk(x, k, 1, smallest), *all = gr_sort(x, 1, !smallest);
            ck_assert(gr_shape_equal(gr_shape_of(top), &GR_SHAPE(5, k, 3)));
            const int64_t *got = gr_data(gr_output(top, 1));
            const int64_t *want = gr_data(gr_slice(gr_output(all, 1), 1, 0, k, 1));
            const double *v = gr_data(top), *w = gr_data(gr_slice(all, 1, 0, k, 1));
            for (int64_t i = 0; i < 15 * k; i++) ck_assert(got[i] == want[i] && same(v[i], w[i]));
        }
}
END_TEST

START_TEST(the_median_is_the_lower_one_and_nan_wins)
{
    const double x0[16] = {5, 1, 3, 3, 2, 2, 2, 9, 4, NAN, 1, NAN, INFINITY, 0, -1, -INFINITY};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(4, 4), x0), *m = gr_median(x, 1, false);
    const double *v = gr_data(m);
    const int64_t *at = gr_data(gr_output(m, 1));
    ck_assert(v[0] == 3 && v[1] == 2 && isnan(v[2]) && v[3] == -1);
    ck_assert(at[0] == 2 && at[1] == 0 && at[2] == 1 && at[3] == 2);
    gr_tensor *odd = gr_median(gr_slice(x, 0, 0, 3, 1), 0, true);
    ck_assert(gr_shape_equal(gr_shape_of(odd), &GR_SHAPE(1, 4)));
    v = gr_data(odd);
    ck_assert(v[0] == 4 && isnan(v[1]) && v[2] == 2 && isnan(v[3]));
    ck_assert_double_eq(gr_item(gr_median(gr_scalar(g, GR_F32, 7), 0, false)), 7);
}
END_TEST

static gr_tensor *sorted(gr_tensor *x) { return gr_sort(x, 1, true); }
static gr_tensor *top(gr_tensor *x) { return gr_topk(x, 2, 0, false); }
static gr_tensor *middle(gr_tensor *x) { return gr_median(x, -1, false); }

START_TEST(gradients_go_back_to_where_values_came_from)
{
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = sin(2.3 * i + 0.4) + 0.1 * i;
    derivative_check(g, "sort", sorted, GR_SHAPE(3, 4), x, 2);
    derivative_check(g, "topk", top, GR_SHAPE(4, 3), x, 2);
    derivative_check(g, "median", middle, GR_SHAPE(3, 4), x, 2);
    const double ties[4] = {2, 1, 2, 2}, want[4] = {1, 0, 1, 0};
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(4), ties), *d;
    gr_grad(gr_topk(t, 2, 0, false), &t, 1, &d); /* of equals the first */
    ck_assert_mem_eq(gr_data(d), want, sizeof want);
}
END_TEST

START_TEST(what_cannot_be_ordered_is_named)
{
    gr_topk(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 4, 1, false);
    assert_error("topk: cannot take 4 of the 3 elements along axis 1 of [2,3]");
    gr_topk(gr_zeros(g, GR_F32, GR_SCALAR), 2, 0, false);
    assert_error("topk: cannot take 2 of the 1 elements");
    gr_median(gr_zeros(g, GR_F32, GR_SHAPE(2, 0)), 1, false);
    assert_error("median: [2,0] has no elements to choose from");
    gr_sort(gr_zeros(g, GR_I64, GR_SHAPE(2)), 0, false);
    assert_error("sort: not defined for int64");
    gr_sort(gr_zeros(g, GR_F32, GR_SHAPE(2)), 1, false);
    assert_error("sort: axis 1 is out of range for [2]");
}
END_TEST

START_TEST(the_same_order_from_one_thread_and_two)
{
    static float x[300 * 200];
    static int64_t order[2][300 * 200];
    for (int i = 0; i < 300 * 200; i++) x[i] = (float)number(i);
    for (int threads = 1; threads <= 2; threads++) {
        gr_set_threads(threads);
        gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(300, 200), x);
        memcpy(order[threads - 1], gr_data(gr_argsort(t, 0, false)), sizeof order[0]);
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(order[0], order[1], sizeof order[0]);
}
END_TEST

SUITE("sort", setup, teardown, sorts_stably_along_any_axis_in_both_directions, a_long_line_is_sorted,
      topk_is_the_head_of_the_order, the_median_is_the_lower_one_and_nan_wins,
      gradients_go_back_to_where_values_came_from, what_cannot_be_ordered_is_named,
      the_same_order_from_one_thread_and_two)
