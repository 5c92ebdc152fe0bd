/* test_loader.c - batches: their sizes, order and shifts. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <string.h>

enum { N = 10, MOST = 1000 };

/* n samples [1,3,4] whose elements are 100 i + 1 and up, labels i. */
static gr_dataset *numbered(int64_t n)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(1, 3, 4), n, (int)n + 1);
    ck_assert_ptr_nonnull(d);
    for (int64_t i = 0; i < n * 12; i++) d->x[i] = (float)(100 * (i / 12) + i % 12 + 1);
    for (int64_t i = 0; i < n; i++) d->y[i] = i;
    return d;
}

/* The labels of one pass; gives their number. */
static int64_t draw_pass(gr_loader *l, int64_t labels[MOST])
{
    int64_t n = 0;
    for (gr_batch b; gr_next(l, &b); n += b.n) {
        ck_assert_int_le(n + b.n, MOST);
        memcpy(labels + n, b.y, (size_t)b.n * sizeof *labels);
    }
    return n;
}

START_TEST(a_pass_has_every_sample_once_in_order)
{
    gr_dataset *d = numbered(N);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 4});
    static const int64_t sizes[] = {4, 4, 2};
    ck_assert_int_eq(gr_loader_batches(l), 3);
    for (int pass = 0; pass < 3; pass++) {
        gr_batch b;
        for (int64_t i = 0, at = 0; i < 3; at += b.n, i++) {
            ck_assert(gr_next(l, &b));
            ck_assert_int_eq(b.n, sizes[i]);
            ck_assert_mem_eq(b.x, d->x + at * 12, (size_t)b.n * 12 * sizeof(float));
            ck_assert_mem_eq(b.y, d->y + at, (size_t)b.n * sizeof(int64_t));
        }
        ck_assert(!gr_next(l, &b));
        ck_assert_int_eq(b.n, 0);
    }
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(a_smaller_last_batch_can_be_dropped)
{
    gr_dataset *d = numbered(N);
    int64_t labels[MOST];
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 4, .drop_last = true});
    ck_assert_int_eq(gr_loader_batches(l), 2);
    ck_assert_int_eq(draw_pass(l, labels), 8);
    gr_loader_free(l);
    l = gr_loader_new(d, (gr_loader_options){.batch = 5, .drop_last = true});
    ck_assert_int_eq(gr_loader_batches(l), 2);
    ck_assert_int_eq(draw_pass(l, labels), 10);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(shuffled_passes_are_different_orders_of_all_samples)
{
    gr_dataset *d = numbered(500);
    int64_t labels[2][MOST];
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 7, .shuffle = true, .seed = 3});
    for (int pass = 0; pass < 2; pass++) {
        bool seen[500] = {false};
        ck_assert_int_eq(draw_pass(l, labels[pass]), 500);
        for (int i = 0; i < 500; i++) {
            ck_assert(!seen[labels[pass][i]]);
            seen[labels[pass][i]] = true;
        }
    }
    ck_assert_mem_ne(labels[0], labels[1], sizeof(int64_t) * 500);
    ck_assert_mem_ne(labels[0], d->y, sizeof(int64_t) * 500);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(samples_keep_their_labels_when_shuffled)
{
    gr_dataset *d = numbered(50);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 8, .shuffle = true});
    for (gr_batch b; gr_next(l, &b);)
        for (int64_t i = 0; i < b.n; i++)
            ck_assert_mem_eq(b.x + i * 12, d->x + b.y[i] * 12, 12 * sizeof(float));
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

/* 3 elements have 6 orders; each is expected 1000 times of 6000, deviation 29. */
START_TEST(every_order_is_equally_likely)
{
    gr_dataset *d = numbered(3);
    int counts[27] = {0}, orders = 0;
    for (uint64_t seed = 0; seed < 6000; seed++) {
        int64_t labels[MOST];
        gr_loader *l = gr_loader_new(d, (gr_loader_options){.shuffle = true, .seed = seed});
        ck_assert_int_eq(draw_pass(l, labels), 3);
        counts[labels[0] * 9 + labels[1] * 3 + labels[2]]++;
        gr_loader_free(l);
    }
    for (int i = 0; i < 27; i++) {
        if (!counts[i]) continue;
        orders++;
        ck_assert_int_ge(counts[i], 850);
        ck_assert_int_le(counts[i], 1150);
    }
    ck_assert_int_eq(orders, 6);
    gr_dataset_free(d);
}
END_TEST

START_TEST(order_depends_on_seed_and_pass_and_not_on_the_batch)
{
    gr_dataset *d = numbered(100);
    int64_t a[MOST], b[MOST], c[MOST];
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 32, .shuffle = true, .seed = 1});
    gr_loader *same = gr_loader_new(d, (gr_loader_options){.batch = 3, .shuffle = true, .seed = 1});
    gr_loader *other = gr_loader_new(d,
                                     (gr_loader_options){.batch = 3, .shuffle = true, .seed = 2});
    for (int pass = 0; pass < 3; pass++) {
        draw_pass(l, a);
        draw_pass(same, b);
        draw_pass(other, c);
        ck_assert_mem_eq(a, b, 100 * sizeof *a);
        ck_assert_mem_ne(a, c, 100 * sizeof *a);
    }
    gr_loader_free(l);
    gr_loader_free(same);
    gr_loader_free(other);
    gr_dataset_free(d);
}
END_TEST

/* Which shift (down, right), each -1..1, makes `moved` of `from`; -1 when none does. */
static int shift_of(const float *from, const float *moved, float fill)
{
    for (int s = 0; s < 9; s++) {
        int down = s / 3 - 1, right = s % 3 - 1, equal = 0;
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 4; c++) {
                int row = r - down, column = c - right;
                bool inside = row >= 0 && row < 3 && column >= 0 && column < 4;
                float expected = inside ? from[row * 4 + column] : fill;
                equal += !memcmp(&moved[r * 4 + c], &expected, sizeof expected);
            }
        if (equal == 12) return s;
    }
    return -1;
}

START_TEST(images_are_shifted_in_every_direction_and_filled)
{
    gr_dataset *d = numbered(200);
    int counts[9] = {0};
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.shift = 1, .fill = -5});
    for (gr_batch b; gr_next(l, &b);)
        for (int64_t i = 0; i < b.n; i++) {
            int s = shift_of(d->x + b.y[i] * 12, b.x + i * 12, -5);
            ck_assert_msg(s >= 0, "sample %d is not a shifted image", (int)b.y[i]);
            counts[s]++;
        }
    for (int s = 0; s < 9; s++) ck_assert_int_ge(counts[s], 8); /* 22 expected, deviation 4.4 */
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(shifts_depend_on_seed_pass_and_sample_and_not_on_the_order)
{
    gr_dataset *d = numbered(64);
    gr_loader *plain = gr_loader_new(d, (gr_loader_options){.batch = 64, .shift = 1, .seed = 5});
    gr_loader *mixed =
        gr_loader_new(d, (gr_loader_options){.batch = 64, .shift = 1, .seed = 5, .shuffle = true});
    float first[64 * 12];
    for (int pass = 0; pass < 2; pass++) {
        gr_batch a, b;
        ck_assert(gr_next(plain, &a) && gr_next(mixed, &b));
        for (int64_t i = 0; i < 64; i++)
            ck_assert_mem_eq(b.x + i * 12, a.x + b.y[i] * 12, 12 * sizeof(float));
        if (pass == 0) memcpy(first, a.x, sizeof first);
        else ck_assert_mem_ne(first, a.x, sizeof first);
        ck_assert(!gr_next(plain, &a) && !gr_next(mixed, &b));
    }
    gr_loader_free(plain);
    gr_loader_free(mixed);
    gr_dataset_free(d);
}
END_TEST

START_TEST(unusable_options_are_errors)
{
    gr_dataset *d = numbered(N), *flat = gr_dataset_new(GR_SHAPE(12), 1, 1);
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.batch = -1}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "batch of at least 1, got -1"));
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.shift = -1}));
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.shift = 3}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "cannot shift samples [1,3,4] by up to 3"));
    ck_assert_ptr_null(gr_loader_new(flat, (gr_loader_options){.shift = 1}));
    gr_loader_free(NULL);
    gr_dataset_free(d);
    gr_dataset_free(flat);
}
END_TEST

START_TEST(a_set_that_is_empty_or_smaller_than_a_full_batch_is_an_error)
{
    gr_dataset *empty = numbered(0), *few = numbered(N);
    ck_assert_ptr_null(gr_loader_new(empty, (gr_loader_options){.shuffle = true}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "is empty"));
    ck_assert_ptr_null(gr_loader_new(few, (gr_loader_options){.drop_last = true}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "has 10 samples, fewer than a batch of 32"));
    gr_dataset_free(empty);
    gr_dataset_free(few);
}
END_TEST

START_TEST(what_a_failed_source_gave_is_refused_with_its_reason)
{
    gr_parts parts;
    gr_batch b;
    const gr_dataset *none = gr_dataset_new(GR_SHAPE(2), -1, 2);
    ck_assert_ptr_null(gr_loader_new(none, (gr_loader_options){0}));
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(),
               "loader: the data set is NULL; before: dataset: cannot make -1 samples"));
    ck_assert_ptr_null(gr_scaler_fit(none, GR_Z_SCORE, GR_PER_SET));
    ck_assert_ptr_null(gr_dataset_subset(none, NULL, 0));
    ck_assert_int_eq(gr_split_dataset(none, (gr_split_options){0}, &parts), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_k_fold(none, 2, 0, (gr_split_options){0}, &parts), GR_ERR_ARGUMENT);
    ck_assert(!gr_next(NULL, &b));
    ck_assert_int_eq(gr_loader_status(NULL), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_loader_batches(NULL), 0);
}
END_TEST

START_TEST(drawing_allocates_nothing)
{
    gr_dataset *d = numbered(100);
    int64_t labels[MOST];
    inject_begin();
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.shuffle = true, .shift = 1});
    int64_t before = inject_allocations();
    for (int pass = 0; pass < 3; pass++) draw_pass(l, labels);
    ck_assert_int_eq(inject_allocations(), before);
    gr_loader_free(l);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    gr_dataset *d = numbered(N);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_loader *l = gr_loader_new(d, (gr_loader_options){.shuffle = true, .shift = 1});
        done = !inject_happened();
        ck_assert_int_eq(l != NULL, done);
        gr_loader_free(l);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    gr_dataset_free(d);
}
END_TEST

SUITE("loader", NULL, NULL, a_pass_has_every_sample_once_in_order,
      a_smaller_last_batch_can_be_dropped, shuffled_passes_are_different_orders_of_all_samples,
      samples_keep_their_labels_when_shuffled, every_order_is_equally_likely,
      order_depends_on_seed_and_pass_and_not_on_the_batch,
      images_are_shifted_in_every_direction_and_filled,
      shifts_depend_on_seed_pass_and_sample_and_not_on_the_order, unusable_options_are_errors,
      a_set_that_is_empty_or_smaller_than_a_full_batch_is_an_error,
      what_a_failed_source_gave_is_refused_with_its_reason, drawing_allocates_nothing,
      every_failed_allocation_is_an_error_without_a_leak)
