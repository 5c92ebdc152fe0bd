/* test_dataset.c - samples in memory: making, choosing, normalising. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <string.h>

/* Four samples [2] with elements 0..7 and labels 0..3. */
static gr_dataset *sample(void)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(2), 4, 4);
    ck_assert_ptr_nonnull(d);
    for (int i = 0; i < 8; i++) d->x[i] = (float)i;
    for (int i = 0; i < 4; i++) d->y[i] = i;
    strcpy(d->name, "sample");
    return d;
}

START_TEST(a_new_data_set_is_zero)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(2, 3), 5, 2);
    ck_assert_ptr_nonnull(d);
    for (int i = 0; i < 30; i++) ck_assert_float_eq(d->x[i], 0);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(d->y[i], 0);
    gr_dataset_free(d);
    d = gr_dataset_new(GR_SCALAR, 0, 1);
    ck_assert_ptr_nonnull(d);
    gr_dataset_free(d);
    gr_dataset_free(NULL);
}
END_TEST

START_TEST(impossible_sizes_are_errors)
{
    ck_assert_ptr_null(gr_dataset_new(GR_SHAPE(2), -1, 2));
    ck_assert_ptr_null(gr_dataset_new(GR_SHAPE(-2), 1, 2));
    ck_assert_ptr_null(gr_dataset_new(GR_SHAPE(2), 1, 0));
    ck_assert_ptr_null(gr_dataset_new(GR_SHAPE(INT64_MAX / 4), 100, 2));
    ck_assert_ptr_null(gr_dataset_new(GR_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), 1, 2));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "[1,1,1,1,1,1,1,1] (rank at most 7)"));
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_dataset *d = gr_dataset_new(GR_SHAPE(2), 4, 4);
        gr_dataset *part = d ? gr_dataset_subset(d, (int64_t[]){1}, 1) : NULL;
        done = !inject_happened();
        ck_assert_int_eq(part != NULL, done);
        if (!done) ck_assert_ptr_nonnull(strstr(gr_last_error(), "out of memory"));
        gr_dataset_free(part);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(a_subset_copies_rows_in_order)
{
    gr_dataset *d = sample();
    gr_dataset *part = gr_dataset_subset(d, (int64_t[]){3, 0, 3}, 3);
    ck_assert_ptr_nonnull(part);
    static const float expected[] = {6, 7, 0, 1, 6, 7};
    ck_assert_mem_eq(part->x, expected, sizeof expected);
    ck_assert_int_eq(part->y[0], 3);
    ck_assert_int_eq(part->y[1], 0);
    ck_assert_str_eq(part->name, "sample");
    gr_dataset_free(d);
    gr_dataset_free(part);
}
END_TEST

START_TEST(a_subset_out_of_range_is_an_error)
{
    gr_dataset *d = sample();
    ck_assert_ptr_null(gr_dataset_subset(d, (int64_t[]){0, 4}, 2));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "index 1 of the subset is 4, expected 0 to 3"));
    ck_assert_ptr_null(gr_dataset_subset(d, (int64_t[]){-1}, 1));
    ck_assert_ptr_null(gr_dataset_subset(d, NULL, -1));
    gr_dataset_free(d);
}
END_TEST

START_TEST(normalised_data_has_mean_0_and_deviation_1)
{
    gr_dataset *d = sample();
    double mean, std;
    gr_dataset_mean_std(d, &mean, &std);
    ck_assert_double_eq_tol(mean, 3.5, 1e-12);
    ck_assert_double_eq_tol(std, 2.29128784747792, 1e-12); /* sqrt(21/4) */
    gr_dataset_normalize(d, mean, std);
    gr_dataset_mean_std(d, &mean, &std);
    ck_assert_double_eq_tol(mean, 0, 1e-6);
    ck_assert_double_eq_tol(std, 1, 1e-6);
    gr_dataset_free(d);
}
END_TEST

START_TEST(constant_data_becomes_zeros_and_empty_data_has_no_deviation)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(2), 2, 1);
    double mean, std;
    for (int i = 0; i < 4; i++) d->x[i] = 7;
    gr_dataset_mean_std(d, &mean, &std);
    ck_assert_double_eq(std, 0);
    gr_dataset_normalize(d, mean, std);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(d->x[i], 0);
    gr_dataset_free(d);
    d = gr_dataset_new(GR_SHAPE(2), 0, 1);
    gr_dataset_mean_std(d, &mean, &std);
    ck_assert_double_eq(mean, 0);
    ck_assert_double_eq(std, 0);
    gr_dataset_free(d);
}
END_TEST

SUITE("dataset", NULL, NULL, a_new_data_set_is_zero, impossible_sizes_are_errors,
      every_failed_allocation_is_an_error_without_a_leak, a_subset_copies_rows_in_order,
      a_subset_out_of_range_is_an_error, normalised_data_has_mean_0_and_deviation_1,
      constant_data_becomes_zeros_and_empty_data_has_no_deviation)
