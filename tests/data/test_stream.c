/* test_stream.c - samples read on demand, prefetched, drawn by weight, resumed. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <math.h>
#include <string.h>

enum { FAILS_AT = 70 };

/* Sample i is [i, i + 1/2], label i % 3, target [-i]; user: where reading fails, or NULL. */
static gr_status make_sample(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    const int64_t *fails = user;
    if (fails && index == *fails) return GR_ERR_FILE;
    x[0] = (float)index;
    x[1] = (float)index + 0.5f;
    if (y) *y = index % 3;
    if (target) target[0] = (float)-index;
    return GR_OK;
}

static gr_dataset *stream(int64_t n, int64_t *fails)
{
    gr_dataset *d = gr_dataset_stream(GR_SHAPE(2), n, 3, make_sample, fails);
    ck_assert_ptr_nonnull(d);
    return d;
}

/* A sum over a pass that depends on the order. */
static double fingerprint(gr_loader *l)
{
    double sum = 0;
    for (gr_batch b; gr_next(l, &b);)
        for (int64_t i = 0; i < b.n; i++) {
            ck_assert_int_eq(b.y[i], b.index[i] % 3);
            ck_assert_float_eq(b.x[2 * i], (float)b.index[i]);
            sum = fmod(1.000001 * sum + (double)b.x[2 * i + 1], 1e6);
        }
    ck_assert_msg(!gr_loader_status(l), "%s", gr_last_error());
    return sum;
}

START_TEST(a_stream_gives_what_the_same_samples_in_memory_give)
{
    gr_dataset *d = stream(100, NULL), *memory = gr_dataset_new(GR_SHAPE(2), 100, 3);
    for (int64_t i = 0; i < 100; i++) make_sample(NULL, i, memory->x + 2 * i, memory->y + i, NULL);
    const gr_loader_options o = {.batch = 7, .shuffle = true, .seed = 2};
    gr_loader *a = gr_loader_new(d, o), *b = gr_loader_new(memory, o);
    for (int pass = 0; pass < 2; pass++) ck_assert_double_eq(fingerprint(a), fingerprint(b));
    gr_loader_free(a);
    gr_loader_free(b);
    gr_dataset_free(d);
    gr_dataset_free(memory);
}
END_TEST

/* 10^9 samples would be 8 GB; an order is not kept without shuffling. */
START_TEST(memory_stays_flat_however_many_samples_there_are)
{
    inject_begin();
    gr_dataset *d = stream(1000000000, NULL);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 1000});
    gr_batch b;
    double sum = 0;
    int64_t before = inject_live_bytes(), allocations = inject_allocations();
    for (int i = 0; i < 2000; i++) {
        ck_assert(gr_next(l, &b));
        sum += (double)b.x[0];
    }
    ck_assert_double_eq(sum, 1000.0 * 2000 * 1999 / 2);
    ck_assert_int_eq(inject_live_bytes(), before);
    ck_assert_int_eq(inject_allocations(), allocations);
    ck_assert_int_lt(before, 100000);
    gr_loader_free(l);
    gr_dataset_free(d);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(prefetching_gives_the_same_batches_and_allocates_nothing_more)
{
    gr_dataset *d = stream(103, NULL);
    gr_loader_options o = {.batch = 10, .shuffle = true, .seed = 9};
    gr_loader *plain = gr_loader_new(d, o);
    o.prefetch = true;
    inject_begin();
    gr_loader *ahead = gr_loader_new(d, o);
    int64_t allocations = 0;
    for (int pass = 0; pass < 4; pass++) {
        ck_assert_double_eq(fingerprint(ahead), fingerprint(plain));
        if (pass) ck_assert_int_eq(inject_allocations(), allocations);
        allocations = inject_allocations();
    }
    gr_loader_free(ahead);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    gr_loader_free(plain);
    gr_dataset_free(d);
}
END_TEST

START_TEST(a_sample_that_cannot_be_read_ends_the_pass_for_good)
{
    int64_t fails = FAILS_AT;
    for (int prefetch = 0; prefetch < 2; prefetch++) {
        gr_dataset *d = stream(100, &fails);
        gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 20, .prefetch = prefetch});
        gr_batch b;
        for (int i = 0; i < 3; i++) ck_assert(gr_next(l, &b));
        gr_clear_error();
        for (int i = 0; i < 3; i++) ck_assert(!gr_next(l, &b));
        ck_assert_int_eq(b.n, 0);
        ck_assert_int_eq(gr_loader_status(l), GR_ERR_FILE);
        ck_assert_str_eq(gr_last_error(), "dataset: sample 70 could not be read");
        gr_loader_free(l);
        gr_dataset_free(d);
    }
}
END_TEST

START_TEST(a_loader_goes_on_where_another_one_stopped)
{
    gr_dataset *d = stream(50, NULL);
    const gr_augment noisy = {.noise = 0.1};
    for (int prefetch = 0; prefetch < 2; prefetch++) {
        const gr_loader_options o = {
            .batch = 8, .shuffle = true, .seed = 1, .augment = noisy, .prefetch = prefetch};
        gr_loader *first = gr_loader_new(d, o), *second = gr_loader_new(d, o);
        gr_batch a, b;
        for (int i = 0; i < 8 + 3; i++) gr_next(first, &a); /* a pass, its end, three batches */
        ck_assert(gr_next(second, &b));
        ck_assert(!gr_loader_seek(second, 1, 3));
        for (int i = 0; i < 12; i++) {
            bool more = gr_next(first, &a);
            ck_assert_int_eq(gr_next(second, &b), more);
            ck_assert_int_eq(b.n, a.n);
            if (more) ck_assert_mem_eq(a.x, b.x, (size_t)a.n * 2 * sizeof *a.x);
        }
        ck_assert_int_eq(gr_loader_seek(second, 0, 8), GR_ERR_ARGUMENT);
        gr_loader_free(first);
        gr_loader_free(second);
    }
    gr_dataset_free(d);
}
END_TEST

/* Weights 1, 2, 3 and 4 of 10: 4000 draws each pass. */
START_TEST(samples_are_drawn_in_proportion_and_weighted_back_to_the_mean)
{
    gr_dataset *d = stream(4, NULL);
    const double weights[] = {1, 2, 3, 4};
    double counts[4] = {0}, mean = 0, draws = 0;
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 4, .weights = weights});
    for (int pass = 0; pass < 10000; pass++)
        for (gr_batch b; gr_next(l, &b);)
            for (int64_t i = 0; i < b.n; i++, draws++) {
                counts[b.index[i]]++;
                mean += (double)b.weight[i] * (double)b.x[2 * i];
                ck_assert_float_eq_tol(b.weight[i], 2.5f / (float)weights[b.index[i]], 1e-6f);
            }
    for (int i = 0; i < 4; i++) ck_assert_double_eq_tol(counts[i] / draws, weights[i] / 10, 0.012);
    ck_assert_double_eq_tol(mean / draws, 1.5, 0.03);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(unusable_weights_are_errors_and_weightless_samples_are_never_drawn)
{
    gr_dataset *d = stream(3, NULL);
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.weights = (double[]){1, -1, 1}}));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "weight 1 is -1"));
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.weights = (double[]){0, 0, 0}}));
    ck_assert_ptr_null(gr_loader_new(d, (gr_loader_options){.weights = (double[]){1, NAN, 0}}));
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.weights = (double[]){0, 1, 0}});
    for (int pass = 0; pass < 100; pass++)
        for (gr_batch b; gr_next(l, &b);)
            for (int64_t i = 0; i < b.n; i++) ck_assert_int_eq(b.index[i], 1);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(targets_come_with_their_samples)
{
    gr_dataset *d = gr_dataset_stream(GR_SHAPE(2), 9, 0, make_sample, NULL);
    d->has_target = true;
    d->target_shape = GR_SHAPE(1);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 4, .shuffle = true});
    int64_t seen = 0;
    for (gr_batch b; gr_next(l, &b); seen += b.n) {
        ck_assert_ptr_null(b.y);
        for (int64_t i = 0; i < b.n; i++) ck_assert_float_eq(b.target[i], -b.x[2 * i]);
    }
    ck_assert_int_eq(seen, 9);
    gr_loader_free(l);
    gr_dataset_free(d);
}
END_TEST

START_TEST(parts_of_a_stream_read_from_it)
{
    gr_parts parts;
    gr_dataset *d = stream(30, NULL);
    gr_split_options o = {.test = .3, .stratified = true};
    ck_assert_msg(!gr_split_dataset(d, o, &parts), "%s", gr_last_error());
    ck_assert_int_eq(parts.test->n, 9);
    gr_loader *l = gr_loader_new(parts.test, (gr_loader_options){.batch = 9});
    gr_batch b;
    ck_assert(gr_next(l, &b));
    for (int64_t i = 0; i < 9; i++) ck_assert_int_eq((int64_t)b.x[2 * i] % 3, b.y[i]);
    gr_loader_free(l);
    gr_scaler *s = gr_scaler_fit(parts.train, GR_MIN_MAX, GR_PER_ELEMENT);
    ck_assert_int_eq(gr_scaler_apply(s, parts.train), GR_ERR_ARGUMENT);
    l = gr_loader_new(parts.train, (gr_loader_options){.batch = 32, .scaler = s});
    ck_assert(gr_next(l, &b));
    for (int64_t i = 0; i < 42; i++) ck_assert(b.x[i] >= 0 && b.x[i] <= 1);
    gr_loader_free(l);
    gr_scaler_free(s);
    gr_parts_release(&parts);
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    gr_dataset *d = stream(10, NULL);
    const double weights[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_loader *l = gr_loader_new(d, (gr_loader_options){.weights = weights,
                                                            .prefetch = true,
                                                            .augment = {.noise = 1}});
        gr_batch b;
        bool drawn = l && gr_next(l, &b);
        done = !inject_happened();
        ck_assert_int_eq(drawn, done);
        gr_loader_free(l);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    gr_dataset_free(d);
}
END_TEST

SUITE("stream", NULL, NULL, a_stream_gives_what_the_same_samples_in_memory_give,
      memory_stays_flat_however_many_samples_there_are,
      prefetching_gives_the_same_batches_and_allocates_nothing_more,
      a_sample_that_cannot_be_read_ends_the_pass_for_good,
      a_loader_goes_on_where_another_one_stopped,
      samples_are_drawn_in_proportion_and_weighted_back_to_the_mean,
      unusable_weights_are_errors_and_weightless_samples_are_never_drawn,
      targets_come_with_their_samples, parts_of_a_stream_read_from_it,
      every_failed_allocation_is_an_error_without_a_leak)
