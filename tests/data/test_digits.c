/* test_digits.c - the digits that come with the library. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>

START_TEST(there_are_1797_labelled_digits)
{
    /* How many there are of each, as the data set's documentation says. */
    static const int expected[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    int counts[10] = {0};
    gr_dataset *d = gr_digits();
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 1797);
    ck_assert_int_eq(d->classes, 10);
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(1, 8, 8)));
    ck_assert_str_eq(d->name, "digits");
    for (int64_t i = 0; i < d->n; i++) counts[d->y[i]]++;
    for (int c = 0; c < 10; c++) ck_assert_int_eq(counts[c], expected[c]);
    gr_dataset_free(d);
}
END_TEST

START_TEST(pixels_are_sixteenths)
{
    static const float first_row[8] = {0, 0, 5, 13, 9, 1, 0, 0};
    gr_dataset *d = gr_digits();
    ck_assert_ptr_nonnull(d);
    for (int i = 0; i < 8; i++) ck_assert_float_eq(d->x[i], first_row[i] / 16);
    for (int64_t i = 0; i < d->n * 64; i++) ck_assert(d->x[i] >= 0 && d->x[i] <= 1);
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_dataset *d = gr_digits();
        done = !inject_happened();
        ck_assert_int_eq(d != NULL, done);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("digits", NULL, NULL, there_are_1797_labelled_digits, pixels_are_sixteenths,
      every_failed_allocation_is_an_error_without_a_leak)
