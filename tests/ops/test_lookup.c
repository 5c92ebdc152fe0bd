/* test_lookup.c - unit vectors, places in sorted lists, masks. */
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

START_TEST(labels_become_unit_vectors_of_any_dtype)
{
    const int64_t labels[4] = {2, 0, 1, 2};
    for (int dtype = 0; dtype < GR_DTYPES; dtype++) {
        gr_tensor *index = gr_transpose(gr_from_data(g, GR_I64, GR_SHAPE(2, 2), labels), 0, 1);
        gr_tensor *y = gr_one_hot(index, 3, (gr_dtype)dtype);
        ck_assert_int_eq(gr_dtype_of(y), dtype);
        ck_assert(gr_shape_equal(gr_shape_of(y), &GR_SHAPE(2, 2, 3)));
        const double want[12] = {0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 1};
        ck_assert_mem_eq(gr_data(gr_cast(y, GR_F64)), want, sizeof want);
    }
}
END_TEST

START_TEST(bad_labels_are_named)
{
    const int64_t labels[3] = {0, 3, 1};
    ck_assert_ptr_null(gr_data(gr_one_hot(gr_from_data(g, GR_I64, GR_SHAPE(3), labels), 3, GR_F32)));
    assert_error("one_hot: index[1] is 3, expected 0 <= index < 3");
    gr_one_hot(gr_zeros(g, GR_I64, GR_SHAPE(3)), -1, GR_F32);
    assert_error("one_hot: -1 classes; expected at least 1");
    gr_one_hot(gr_zeros(g, GR_F32, GR_SHAPE(3)), 3, GR_F32);
    assert_error("one_hot: the index is float32, expected int64");
}
END_TEST

/* By definition: how many come before x. */
static int64_t naive_place(const double *sorted, int n, double x, bool right)
{
    int64_t place = 0;
    for (int i = 0; i < n; i++) place += isnan(x) || (right ? sorted[i] <= x : sorted[i] < x);
    return place;
}

START_TEST(places_in_one_list_and_in_lists)
{
    const double lists[12] = {-INFINITY, -1, -1, 0, 2, INFINITY, 1, 1, 1, 1, 3, 4};
    const double x0[8] = {-1, 0.5, INFINITY, NAN, 1, 5, -INFINITY, 2};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (int right = 0; right < 2; right++) {
            gr_tensor *all = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(2, 6), lists), (gr_dtype)dtype);
            gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(2, 4), x0), (gr_dtype)dtype);
            gr_tensor *first = gr_reshape(gr_slice(all, 0, 0, 1, 1), GR_SHAPE(6));
            const int64_t *one = gr_data(gr_searchsorted(first, x, right));
            const int64_t *two = gr_data(gr_searchsorted(all, x, right));
            for (int i = 0; i < 8; i++) {
                ck_assert_int_eq(one[i], naive_place(lists, 6, x0[i], right));
                ck_assert_int_eq(two[i], naive_place(lists + i / 4 * 6, 6, x0[i], right));
            }
        }
    gr_searchsorted(gr_zeros(g, GR_F32, GR_SHAPE(3, 5)), gr_zeros(g, GR_F32, GR_SHAPE(2, 4)), false);
    assert_error("searchsorted: expected one sorted list [n], or one for each row of the values, got [3,5] with [2,4]");
}
END_TEST

static gr_tensor *masked(gr_tensor *x)
{
    const uint8_t mask[3] = {0, 1, 0};
    return gr_masked_fill(gr_square(x), gr_from_data(gr_graph_of(x), GR_BOOL, GR_SHAPE(3), mask), -INFINITY);
}

static gr_tensor *masked_softmax(gr_tensor *x) { return gr_softmax(masked(x), -1); }

START_TEST(masked_values_are_replaced_and_pass_no_gradient)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6}, want[6] = {1, -INFINITY, 9, 16, -INFINITY, 36};
    const double slope[6] = {2, 0, 6, 8, 0, 12};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 3), x0), *y = masked(x), *d;
    ck_assert_mem_eq(gr_data(y), want, sizeof want);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    ck_assert_mem_eq(gr_data(d), slope, sizeof slope);
    gr_graph_reset(g);
    derivative_check(g, "masked softmax", masked_softmax, GR_SHAPE(2, 3), (const double[6]){0.1, 2, 0.3, -0.4, 5, 0.6}, 2);
}
END_TEST

START_TEST(bad_masks_are_named)
{
    gr_masked_fill(gr_zeros(g, GR_F32, GR_SHAPE(3)), gr_zeros(g, GR_BOOL, GR_SHAPE(2, 3)), 0);
    assert_error("masked_fill: a mask of [2,3] does not stretch to [3]");
    gr_masked_fill(gr_zeros(g, GR_F32, GR_SHAPE(3)), gr_zeros(g, GR_F32, GR_SHAPE(3)), 0);
    assert_error("masked_fill: the mask is float32, expected bool");
}
END_TEST

SUITE("lookup", setup, teardown, labels_become_unit_vectors_of_any_dtype, bad_labels_are_named,
      places_in_one_list_and_in_lists, masked_values_are_replaced_and_pass_no_gradient,
      bad_masks_are_named)
