/* test_cifar.c - CIFAR-10 records: what is read and what is refused. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "suite.h"

#include <gradus/data.h>
#include <stdio.h>

enum { RECORD = 3073 };

static unsigned char records[2 * RECORD];

/* Labels 3 and 9; bytes count up. */
static void begin(void)
{
    scratch_begin();
    for (int i = 0; i < 2 * RECORD; i++) records[i] = (unsigned char)(i % 251);
    records[0] = 3;
    records[RECORD] = 9;
}

START_TEST(records_become_planes_of_pixels_with_named_classes)
{
    gr_dataset *d = gr_cifar10_file(scratch_write("a.bin", records, sizeof records));
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 2);
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(3, 32, 32)));
    ck_assert_int_eq(d->y[0], 3);
    ck_assert_str_eq(d->class_names[d->y[0]], "cat");
    ck_assert_str_eq(d->class_names[d->y[1]], "truck");
    for (int i = 0; i < 3072; i++)
        ck_assert_float_eq(d->x[3072 + i], (float)records[RECORD + 1 + i] / 255);
    gr_dataset_free(d);
}
END_TEST

START_TEST(the_files_of_a_part_are_joined_in_order)
{
    char name[32];
    for (int i = 1; i <= 5; i++) {
        records[0] = (unsigned char)i;
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        scratch_write(name, records, i == 2 ? 2 * RECORD : RECORD);
    }
    gr_dataset *d = gr_cifar10(scratch_folder(), true);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    static const int64_t expected[] = {1, 2, 9, 3, 4, 5};
    ck_assert_int_eq(d->n, 6);
    ck_assert_mem_eq(d->y, expected, sizeof expected);
    gr_dataset_free(d);
    ck_assert_ptr_null(gr_cifar10(scratch_folder(), false));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "test_batch.bin: cannot open"));
}
END_TEST

START_TEST(damage_is_named_with_its_place)
{
    ck_assert_ptr_null(gr_cifar10_file(scratch_write("a.bin", records, RECORD + 5)));
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(), "a.bin: expected records of 3073 bytes, got 3078 bytes"));
    ck_assert_ptr_null(gr_cifar10_file(scratch_write("a.bin", records, 0)));
    records[RECORD] = 10;
    ck_assert_ptr_null(gr_cifar10_file(scratch_write("a.bin", records, sizeof records)));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "byte 3073: expected a label of 0 to 9, got 10"));
}
END_TEST

static bool reads(const char *path)
{
    gr_dataset *d = gr_cifar10_file(path);
    bool taken = d != NULL;
    gr_dataset_free(d);
    return taken;
}

START_TEST(damaged_files_are_survived)
{
    fuzz("a.bin", records, sizeof records, reads);
}
END_TEST

SUITE("cifar", begin, scratch_end, records_become_planes_of_pixels_with_named_classes,
      the_files_of_a_part_are_joined_in_order, damage_is_named_with_its_place,
      damaged_files_are_survived)
