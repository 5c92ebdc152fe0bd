/* test_images.c - folders of pictures: what is read, resized and refused. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "pictures.h"
#include "suite.h"

#include <gradus/data.h>
#include <math.h>

enum { HEIGHT = 4, WIDTH = 6, PIXELS = HEIGHT * WIDTH };

/* cat/1.jpg, cat/2.png, dog/1.png */
static void begin(void)
{
    scratch_begin();
    scratch_make_folder("cat");
    scratch_make_folder("dog");
    scratch_write("dog/1.png", png, sizeof png);
    scratch_write("cat/2.png", png, sizeof png);
    scratch_write("cat/1.jpg", jpeg, sizeof jpeg);
}

/* Whether the build has both libraries; what it says if not is checked. */
static bool built_in(void)
{
    gr_dataset *d = gr_image_folder(scratch_folder(), (gr_images_options){0});
    if (!d) ck_assert_msg(strstr(gr_last_error(), "built without") != NULL, "%s", gr_last_error());
    gr_dataset_free(d);
    return d != NULL;
}

static double expected(int channel, int pixel)
{
    int r = pixel / WIDTH, c = pixel % WIDTH;
    return (channel == 0 ? 40 * c : channel == 1 ? 60 * r : 255 - 40 * c) / 255.0;
}

static void is_picture(const float *x, double tolerance)
{
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < PIXELS; i++)
            ck_assert_msg(fabs((double)x[k * PIXELS + i] - expected(k, i)) <= tolerance,
                          "channel %d, pixel %d: expected %g, got %g", k, i, expected(k, i),
                          (double)x[k * PIXELS + i]);
}

START_TEST(folders_are_classes_and_files_samples)
{
    if (!built_in()) return;
    gr_dataset *d = gr_image_folder(scratch_folder(), (gr_images_options){0});
    static const int64_t labels[] = {0, 0, 1};
    ck_assert_int_eq(d->n, 3);
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(3, HEIGHT, WIDTH)));
    ck_assert_mem_eq(d->y, labels, sizeof labels);
    ck_assert_str_eq(d->class_names[1], "dog");
    is_picture(d->x, 0.04); /* JPEG is not exact */
    is_picture(d->x + 3 * PIXELS, 1e-6);
    is_picture(d->x + 6 * PIXELS, 1e-6);
    gr_dataset_free(d);
}
END_TEST

START_TEST(a_stream_reads_the_same_pictures_when_they_are_needed)
{
    if (!built_in()) return;
    gr_dataset *d = gr_image_folder(scratch_folder(), (gr_images_options){.stream = true});
    ck_assert_msg(d && !d->x, "%s", gr_last_error());
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 2, .prefetch = true});
    gr_batch b;
    ck_assert(gr_next(l, &b));
    is_picture(b.x + 3 * PIXELS, 1e-6);
    gr_loader_free(l);
    scratch_write("dog/1.png", png, sizeof png / 2);
    l = gr_loader_new(d, (gr_loader_options){.batch = 2});
    ck_assert(gr_next(l, &b) && !gr_next(l, &b));
    ck_assert_int_eq(gr_loader_status(l), GR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "dog/1.png: damaged PNG"));
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(pictures_are_resized_by_averaging_and_made_grey)
{
    if (!built_in()) return;
    const gr_images_options o = {.height = 1, .width = 1, .grey = true};
    gr_dataset *d = gr_image_folder(scratch_folder(), o);
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert(gr_shape_equal(&d->shape, &GR_SHAPE(1, 1, 1)));
    double mean = (0.299 * 100 + 0.587 * 90 + 0.114 * 155) / 255;
    ck_assert_double_eq_tol((double)d->x[1], mean, 1e-6);
    gr_dataset_free(d);
    d = gr_image_folder(scratch_folder(), (gr_images_options){.height = 8, .width = 12});
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_float_eq_tol(d->x[3 * 96 + 1], 10 / 255.0f, 1e-5f); /* a quarter from 0 to 40 */
    gr_dataset_free(d);
}
END_TEST

static void is_refused(gr_images_options o, const char *part)
{
    ck_assert_ptr_null(gr_image_folder(scratch_folder(), o));
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected '%s', got '%s'", part,
                  gr_last_error());
}

START_TEST(what_is_wrong_is_named_with_its_file)
{
    if (!built_in()) return;
    const gr_images_options plain = {0};
    unsigned char other[sizeof png];
    is_refused((gr_images_options){.height = 4}, "expected both height and width, or neither");
    scratch_write("dog/2.txt", "hello", 5);
    is_refused(plain, "dog/2.txt: neither a PNG nor a JPEG file");
    memcpy(other, png, sizeof other);
    other[sizeof png / 2] ^= 0x55;
    scratch_write("dog/2.txt", other, sizeof other);
    is_refused(plain, "dog/2.txt: damaged PNG");
    scratch_write("dog/2.txt", jpeg, sizeof jpeg - 20);
    is_refused(plain, "dog/2.txt: damaged JPEG");
    scratch_write("dog/2.txt", png, sizeof png);
    scratch_make_folder("empty");
    is_refused(plain, "empty: no pictures of this class");
    scratch_write("file", "", 0);
    scratch_write("empty/1.png", png, sizeof png);
    is_refused(plain, "file: cannot list this folder");
    ck_assert_ptr_null(gr_image_folder(scratch_path("absent"), plain));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "absent: cannot list this folder"));
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    if (!built_in()) return;
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_dataset *d = gr_image_folder(scratch_folder(), (gr_images_options){0});
        done = !inject_happened();
        ck_assert_int_eq(d != NULL, done);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_file(INJECT_LIST, 1);
    ck_assert_ptr_null(gr_image_folder(scratch_folder(), (gr_images_options){0}));
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

/* `path` is the damaged picture, the only one of its class. */
static bool reads(const char *path)
{
    (void)path;
    const gr_images_options o = {.height = HEIGHT, .width = WIDTH};
    gr_dataset *d = gr_image_folder(scratch_folder(), o);
    bool taken = d != NULL;
    gr_dataset_free(d);
    return taken;
}

START_TEST(damaged_pictures_are_survived)
{
    if (!built_in()) return;
    fuzz("dog/1.png", png, sizeof png, reads);
    fuzz("dog/1.png", jpeg, sizeof jpeg, reads);
}
END_TEST

SUITE("images", begin, scratch_end, folders_are_classes_and_files_samples,
      a_stream_reads_the_same_pictures_when_they_are_needed,
      pictures_are_resized_by_averaging_and_made_grey, what_is_wrong_is_named_with_its_file,
      every_failed_allocation_is_an_error_without_a_leak, damaged_pictures_are_survived)
