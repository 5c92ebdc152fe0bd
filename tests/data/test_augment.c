/* test_augment.c - images changed on the fly: what each change does, and that it replays. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <math.h>
#include <string.h>

enum { N = 200, SIDE = 9, PLANE = SIDE * SIDE, SIZE = 2 * PLANE };

/* [2, 9, 9]: plane 0 a slope to the right and down, plane 1 its negative; labels alternate. */
static gr_dataset *slopes(void)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(2, SIDE, SIDE), N, 2);
    ck_assert_ptr_nonnull(d);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < PLANE; k++) {
            d->x[i * SIZE + k] = (float)(10 * (k / SIDE) + k % SIDE + 100);
            d->x[i * SIZE + PLANE + k] = -d->x[i * SIZE + k];
        }
        d->y[i] = i % 2;
    }
    return d;
}

static gr_loader *loader(const gr_dataset *d, gr_augment a)
{
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = N, .augment = a, .fill = 0});
    ck_assert_msg(l != NULL, "%s", gr_last_error());
    return l;
}

static gr_batch draw(gr_loader *l)
{
    gr_batch b;
    ck_assert(gr_next(l, &b));
    return b;
}

START_TEST(half_of_the_images_are_mirrored_exactly)
{
    gr_dataset *d = slopes();
    gr_loader *l = loader(d, (gr_augment){.flip = 0.5});
    gr_batch b = draw(l);
    int flipped = 0;
    for (int i = 0; i < N; i++) {
        bool mirrored = b.x[i * SIZE] != d->x[0];
        flipped += mirrored;
        for (int k = 0; k < SIZE; k++) {
            int row = k / SIDE * SIDE, column = k % SIDE;
            ck_assert_float_eq(b.x[i * SIZE + k],
                               d->x[row + (mirrored ? SIDE - 1 - column : column)]);
        }
    }
    ck_assert_int_ge(flipped, 70);
    ck_assert_int_le(flipped, 130);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

/* In the middle of a slope everything that is turned or enlarged stays a slope of less steepness. */
START_TEST(a_crop_is_a_part_enlarged_to_the_whole)
{
    gr_dataset *d = slopes();
    gr_loader *l = loader(d, (gr_augment){.crop = 0.5});
    gr_batch b = draw(l);
    double least = 1, most = 0;
    for (int i = 0; i < N; i++) {
        const float *x = b.x + i * SIZE;
        double share = (double)(x[SIDE - 1] - x[0]) / (SIDE - 1);
        least = fmin(least, share);
        most = fmax(most, share);
        for (int k = 0; k < PLANE; k++) {
            double expected = (double)x[0] + share * (10 * (k / SIDE) + k % SIDE);
            ck_assert_double_eq_tol((double)x[k], expected, 1e-3);
            ck_assert_float_eq(x[PLANE + k], -x[k]);
        }
        ck_assert(x[0] >= 100 - 1e-4f && x[PLANE - 1] <= 188 + 1e-4f);
    }
    ck_assert(least >= 0.5 - 1e-5 && least < 0.55 && most > 0.95 && most <= 1 + 1e-5);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(a_rotation_turns_about_the_centre)
{
    gr_dataset *d = slopes();
    gr_loader *l = loader(d, (gr_augment){.rotate = 30});
    gr_batch b = draw(l);
    double most = 0;
    for (int i = 0; i < N; i++) {
        const float *x = b.x + i * SIZE, *centre = x + PLANE / 2;
        double right = (double)(centre[1] - centre[0]), down = (double)(centre[SIDE] - centre[0]);
        ck_assert_double_eq_tol((double)centre[0], 144, 1e-4);
        ck_assert_double_eq_tol(hypot(right, down), hypot(1, 10), 1e-3);
        double angle = atan2(down, right) - atan2(10, 1);
        most = fmax(most, fabs(angle) * 180 / 3.14159265358979);
    }
    ck_assert(most > 25 && most <= 30.01);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(an_elastic_image_is_bent_by_about_so_many_pixels)
{
    gr_dataset *d = slopes();
    gr_loader *l = loader(d, (gr_augment){.elastic = 0.5, .smooth = 2});
    gr_batch b = draw(l);
    double squares = 0;
    for (int i = 0; i < N; i++) {
        double off = (double)b.x[i * SIZE + PLANE / 2] - 144;
        squares += off * off;
        ck_assert_float_eq(b.x[i * SIZE + PLANE + 5], -b.x[i * SIZE + 5]);
    }
    double rms = sqrt(squares / N); /* 10 rows' slope times half a pixel, less at the edge */
    ck_assert_msg(rms > 2.5 && rms < 10, "expected a deviation of about 5, got %g", rms);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(noise_has_its_deviation)
{
    gr_dataset *d = slopes();
    gr_loader *l = loader(d, (gr_augment){.noise = 3});
    gr_batch b = draw(l);
    double sum = 0, squares = 0, n = N * SIZE;
    for (int i = 0; i < N * SIZE; i++) {
        double off = (double)(b.x[i] - d->x[i]);
        sum += off;
        squares += off * off;
    }
    ck_assert_double_eq_tol(sum / n, 0, 0.07);
    ck_assert_double_eq_tol(sqrt(squares / n), 3, 0.05);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(mixup_mixes_samples_and_labels_in_one_ratio)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(1), 4, 4);
    for (int i = 0; i < 4; i++) d->x[i] = (float)(d->y[i] = i);
    double mean = 0;
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 4, .augment = {.mixup = 0.4}});
    for (int pass = 0; pass < 500; pass++) {
        gr_batch b;
        ck_assert(gr_next(l, &b) && b.soft);
        double share = (double)b.soft[0];
        mean += share / 500;
        ck_assert(share >= 0 && share <= 1);
        ck_assert_float_eq_tol(b.soft[3], 1 - b.soft[0], 1e-6f);
        ck_assert_float_eq_tol(b.x[0], 3 * b.soft[3], 1e-5f);
        ck_assert_float_eq_tol(b.x[1], b.soft[5] + 2 * b.soft[6], 1e-5f);
        ck_assert_float_eq_tol(b.soft[5], b.soft[0], 1e-6f);
        ck_assert(!gr_next(l, &b));
    }
    ck_assert_double_eq_tol(mean, 0.5, 0.06);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_change_replays_from_the_seed_whatever_the_batch)
{
    const gr_augment all = {.flip = 0.5, .crop = 0.8, .rotate = 10, .elastic = 1, .noise = 0.1};
    gr_dataset *d = slopes();
    static float first[N * SIZE];
    for (int round = 0; round < 2; round++) {
        gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = round ? 7 : N,
                                                            .seed = 5,
                                                            .shift = 2,
                                                            .prefetch = round,
                                                            .augment = all});
        int64_t at = 0;
        for (gr_batch b; gr_next(l, &b); at += b.n)
            if (!round) memcpy(first, b.x, sizeof first);
            else ck_assert_mem_eq(b.x, first + at * SIZE, (size_t)b.n * SIZE * sizeof *first);
        if (!round) ck_assert_mem_ne(draw(l).x, first, sizeof first); /* the next pass differs */
        gr_loader_free(l);
    }
    gr_dataset_free(d);
}
END_TEST

START_TEST(unusable_changes_are_errors)
{
    static const gr_augment bad[] = {{.flip = 1.5},         {.flip = NAN},
                                     {.crop = -1},          {.rotate = 181},
                                     {.elastic = INFINITY}, {.smooth = -1, .elastic = 1},
                                     {.noise = -1},         {.mixup = -1}};
    gr_dataset *d = slopes(), *flat = gr_dataset_new(GR_SHAPE(4), 2, 1);
    gr_dataset *numbers = gr_dataset_new_targets(GR_SHAPE(4), 2, GR_SHAPE(1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!gr_loader_new(d, (gr_loader_options){.augment = bad[i]}), "case %d", (int)i);
    ck_assert_ptr_null(gr_loader_new(flat, (gr_loader_options){.augment = {.rotate = 1}}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "need samples [..., height, width], got [4]"));
    ck_assert_ptr_null(gr_loader_new(numbers, (gr_loader_options){.augment = {.mixup = 1}}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "mixup needs classes"));
    gr_dataset_free(d);
    gr_dataset_free(flat);
    gr_dataset_free(numbers);
}
END_TEST

START_TEST(changing_images_allocates_nothing)
{
    const gr_augment all = {.flip = 0.5, .crop = 0.8, .elastic = 1, .noise = 0.1, .mixup = 1};
    gr_dataset *d = slopes();
    inject_begin();
    gr_loader *l = loader(d, all);
    int64_t before = inject_allocations();
    draw(l);
    ck_assert_int_eq(inject_allocations(), before);
    gr_loader_free(l);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    gr_dataset_free(d);
}
END_TEST

SUITE("augment", NULL, NULL, half_of_the_images_are_mirrored_exactly,
      a_crop_is_a_part_enlarged_to_the_whole, a_rotation_turns_about_the_centre,
      an_elastic_image_is_bent_by_about_so_many_pixels, noise_has_its_deviation,
      mixup_mixes_samples_and_labels_in_one_ratio,
      every_change_replays_from_the_seed_whatever_the_batch, unusable_changes_are_errors,
      changing_images_allocates_nothing)
