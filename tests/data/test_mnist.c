/* test_mnist.c - MNIST's four files, made here; the real ones where GRADUS_DATA has them. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/data.h>
#include <stdio.h>
#include <string.h>

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2,   0,  0,
                                       0, 1, 0, 0, 0, 2, 0, 255, 51, 102};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 0};

static void write_images(const void *data, size_t n)
{
    scratch_write("train-images-idx3-ubyte", data, n);
}

static void write_labels(const void *data, size_t n)
{
    scratch_write("train-labels-idx1-ubyte", data, n);
}

static void begin(void)
{
    scratch_begin();
    write_images(images, sizeof images);
    write_labels(labels, sizeof labels);
}

static void fails_with(const char *part)
{
    gr_dataset *d = gr_mnist(scratch_folder(), true);
    ck_assert_ptr_eq(d, NULL);
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected '%s', got '%s'", part,
                  gr_last_error());
}

START_TEST(images_and_labels_become_a_data_set)
{
    gr_dataset *d = gr_mnist(scratch_folder(), true);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 2);
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(1, 1, 2)));
    ck_assert_float_eq(d->x[1], 1);
    ck_assert_float_eq(d->x[2], 0.2f);
    ck_assert_int_eq(d->y[0], 9);
    ck_assert_int_eq(d->classes, 10);
    ck_assert_str_eq(d->name, "mnist-train");
    gr_dataset_free(d);
}
END_TEST

START_TEST(missing_files_are_named)
{
    remove(scratch_path("train-labels-idx1-ubyte"));
    fails_with("train-labels-idx1-ubyte: cannot open it, nor with .gz: No such file");
    ck_assert_ptr_eq(gr_mnist(scratch_folder(), false), NULL);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "t10k-images-idx3-ubyte"));
}
END_TEST

START_TEST(an_endless_path_is_an_error)
{
    char folder[5000];
    memset(folder, 'x', sizeof folder - 1);
    folder[sizeof folder - 1] = 0;
    ck_assert_ptr_eq(gr_mnist(folder, true), NULL);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "path too long"));
}
END_TEST

START_TEST(arrays_of_another_kind_are_rejected)
{
    write_images(labels, sizeof labels);
    fails_with("expected uint8 of rank 3, got uint8 [2]");
    static const unsigned char signs[] = {0, 0, 9, 1, 0, 0, 0, 2, 9, 0};
    write_images(images, sizeof images);
    write_labels(signs, sizeof signs);
    fails_with("expected uint8 of rank 1, got int64 [2]");
}
END_TEST

START_TEST(labels_and_images_must_be_equally_many)
{
    static const unsigned char three[] = {0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 1};
    write_labels(three, sizeof three);
    fails_with("expected a label for each of the 2 images");
}
END_TEST

START_TEST(labels_must_be_digits)
{
    static const unsigned char ten[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 10};
    write_labels(ten, sizeof ten);
    fails_with("label 1: expected 0 to 9, got 10");
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_dataset *d = gr_mnist(scratch_folder(), true);
        done = !inject_happened();
        ck_assert_int_eq(d != NULL, done);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(every_failed_read_is_an_error_without_a_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_file(INJECT_READ, n);
        gr_dataset *d = gr_mnist(scratch_folder(), true);
        done = !inject_happened();
        ck_assert_int_eq(d != NULL, done);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
}
END_TEST

/* The known facts: 60,000 and 10,000 images; mean 0.1307, deviation 0.3081; the first label 5. */
START_TEST(the_real_files_have_their_known_mean_and_deviation)
{
    const char *folder = getenv("GRADUS_DATA");
    char path[4096];
    double mean, std;
    if (!folder) return;
    snprintf(path, sizeof path, "%s/mnist", folder);
    gr_dataset *d = gr_mnist(path, true);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, 60000);
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(1, 28, 28)));
    ck_assert_int_eq(d->y[0], 5);
    gr_dataset_mean_std(d, &mean, &std);
    ck_assert_double_eq_tol(mean, 0.1307, 5e-5);
    ck_assert_double_eq_tol(std, 0.3081, 5e-5);
    gr_dataset_free(d);
    d = gr_mnist(path, false);
    ck_assert_msg(d != NULL && d->n == 10000 && d->y[0] == 7, "%s", gr_last_error());
    gr_dataset_free(d);
}
END_TEST

SUITE("mnist", begin, scratch_end, images_and_labels_become_a_data_set, missing_files_are_named,
      an_endless_path_is_an_error, arrays_of_another_kind_are_rejected,
      labels_and_images_must_be_equally_many, labels_must_be_digits,
      every_failed_allocation_is_an_error_without_a_leak,
      every_failed_read_is_an_error_without_a_leak,
      the_real_files_have_their_known_mean_and_deviation)
