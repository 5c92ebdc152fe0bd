/* test_parts.c - splits, folds, and what training may not miss. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <string.h>

/* n samples whose element is their place; class 0 has the first `rare`, the others share the rest. */
static gr_dataset *sample(int64_t n, int classes, int64_t rare)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(1), n, classes);
    ck_assert_ptr_nonnull(d);
    for (int64_t i = 0; i < n; i++) {
        d->x[i] = (float)i;
        d->y[i] = i < rare ? 0 : 1 + i % (classes - 1);
    }
    return d;
}

static void count(const gr_dataset *part, int *seen, int64_t *classes)
{
    float last = -1;
    for (int64_t i = 0; part && i < part->n; i++) {
        ck_assert_msg(part->x[i] > last, "a part keeps the order of the data set");
        last = part->x[i];
        seen[(int)last]++;
        classes[part->y[i]]++;
    }
}

START_TEST(every_sample_is_in_one_part_and_the_parts_have_their_sizes)
{
    int seen[100] = {0};
    int64_t classes[4] = {0};
    gr_parts parts;
    gr_dataset *d = sample(100, 4, 25);
    gr_split_options o = {.validation = .2, .test = .1, .seed = 4};
    ck_assert_msg(!gr_split_dataset(d, o, &parts), "%s", gr_last_error());
    ck_assert_int_eq(parts.train->n, 70);
    ck_assert_int_eq(parts.validation->n, 20);
    ck_assert_int_eq(parts.test->n, 10);
    count(parts.train, seen, classes);
    count(parts.validation, seen, classes);
    count(parts.test, seen, classes);
    for (int i = 0; i < 100; i++) ck_assert_int_eq(seen[i], 1);
    gr_parts_release(&parts);
    ck_assert_ptr_null(parts.train);
    gr_dataset_free(d);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_parts_and_another_one_others)
{
    gr_parts a, b, c;
    gr_dataset *d = sample(100, 3, 30);
    ck_assert(!gr_split_dataset(d, (gr_split_options){.test = .3, .seed = 1}, &a));
    ck_assert(!gr_split_dataset(d, (gr_split_options){.test = .3, .seed = 1}, &b));
    ck_assert(!gr_split_dataset(d, (gr_split_options){.test = .3, .seed = 2}, &c));
    ck_assert_ptr_null(a.validation);
    ck_assert_mem_eq(a.test->x, b.test->x, 30 * sizeof(float));
    ck_assert_mem_ne(a.test->x, c.test->x, 30 * sizeof(float));
    gr_parts_release(&a);
    gr_parts_release(&b);
    gr_parts_release(&c);
    gr_dataset_free(d);
}
END_TEST

START_TEST(stratified_parts_have_every_class_in_proportion)
{
    int seen[100] = {0};
    gr_parts parts;
    gr_dataset *d = sample(100, 3, 10);
    gr_split_options o = {.validation = .2, .test = .1, .stratified = true};
    ck_assert_msg(!gr_split_dataset(d, o, &parts), "%s", gr_last_error());
    int64_t train[3] = {0}, validation[3] = {0}, test[3] = {0};
    count(parts.train, seen, train);
    count(parts.validation, seen, validation);
    count(parts.test, seen, test);
    ck_assert_int_eq(train[0], 7);
    ck_assert_int_eq(validation[0], 2);
    ck_assert_int_eq(test[0], 1);
    for (int c = 1; c < 3; c++) ck_assert_int_eq(validation[c], 9);
    gr_parts_release(&parts);
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_sample_is_validated_on_in_one_fold)
{
    for (int stratified = 0; stratified < 2; stratified++) {
        int validated[52] = {0};
        gr_dataset *d = sample(52, 3, 10);
        for (int fold = 0; fold < 5; fold++) {
            gr_parts parts;
            int both[52] = {0};
            int64_t classes[3] = {0}, trained[3] = {0};
            ck_assert(!gr_k_fold(d, 5, fold, (gr_split_options){.stratified = stratified}, &parts));
            count(parts.validation, validated, classes);
            count(parts.validation, both, trained);
            count(parts.train, both, trained);
            for (int i = 0; i < 52; i++) ck_assert_int_eq(both[i], 1);
            if (stratified) ck_assert_int_eq(classes[0], 2);
            gr_parts_release(&parts);
        }
        for (int i = 0; i < 52; i++) ck_assert_int_eq(validated[i], 1);
        gr_dataset_free(d);
    }
}
END_TEST

/* One sample of a class: some seed gives it away, and stratified none does. */
START_TEST(a_class_that_training_would_miss_is_an_error_and_stratified_it_is_kept)
{
    int refused = 0;
    gr_parts parts;
    gr_dataset *d = sample(20, 3, 1);
    for (uint64_t seed = 0; seed < 30; seed++) {
        if (gr_split_dataset(d, (gr_split_options){.test = .4, .seed = seed}, &parts)) {
            refused++;
            ck_assert_ptr_nonnull(strstr(gr_last_error(), "class 0 is missing from training"));
            ck_assert_ptr_null(parts.test);
        }
        gr_parts_release(&parts);
        gr_split_options o = {.test = .4, .seed = seed, .stratified = true};
        ck_assert_msg(!gr_split_dataset(d, o, &parts), "%s", gr_last_error());
        gr_parts_release(&parts);
    }
    ck_assert_int_gt(refused, 3);
    gr_dataset_free(d);
}
END_TEST

START_TEST(unusable_requests_are_errors)
{
    gr_parts parts;
    gr_dataset *d = sample(3, 2, 1), *empty = gr_dataset_new(GR_SHAPE(1), 0, 1);
    gr_dataset *numbers = gr_dataset_new_targets(GR_SHAPE(1), 4, GR_SHAPE(1));
    ck_assert(gr_split_dataset(d, (gr_split_options){.test = .6, .validation = .4}, &parts));
    ck_assert(gr_split_dataset(d, (gr_split_options){.test = -1}, &parts));
    ck_assert(gr_split_dataset(d, (gr_split_options){.test = .1}, &parts));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "no samples for test: there are only 3"));
    ck_assert(gr_split_dataset(empty, (gr_split_options){.test = .1}, &parts));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the data set is empty"));
    ck_assert(
        gr_split_dataset(numbers, (gr_split_options){.test = .5, .stratified = true}, &parts));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "has no classes"));
    ck_assert(gr_k_fold(d, 4, 0, (gr_split_options){0}, &parts));
    ck_assert(gr_k_fold(d, 2, 2, (gr_split_options){0}, &parts));
    d->y[1] = 7;
    ck_assert(gr_k_fold(d, 2, 0, (gr_split_options){0}, &parts));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "label 1 is 7, expected 0 to 1"));
    gr_dataset_free(d);
    gr_dataset_free(empty);
    gr_dataset_free(numbers);
}
END_TEST

START_TEST(class_weights_make_the_classes_equally_heavy)
{
    double weights[20], sums[3] = {0};
    gr_dataset *d = sample(20, 3, 2);
    ck_assert(!gr_class_weights(d, weights));
    for (int i = 0; i < 20; i++) sums[d->y[i]] += weights[i];
    for (int c = 0; c < 3; c++) ck_assert_double_eq_tol(sums[c], 1, 1e-12);
    gr_dataset_free(d);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    gr_dataset *d = sample(20, 3, 5);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_parts parts;
        inject_allocation(n);
        gr_status status = gr_split_dataset(
            d, (gr_split_options){.test = .2, .validation = .2, .stratified = true}, &parts);
        done = !inject_happened();
        ck_assert_int_eq(status == GR_OK, done);
        gr_parts_release(&parts);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    gr_dataset_free(d);
}
END_TEST

SUITE("parts", NULL, NULL, every_sample_is_in_one_part_and_the_parts_have_their_sizes,
      the_same_seed_gives_the_same_parts_and_another_one_others,
      stratified_parts_have_every_class_in_proportion, every_sample_is_validated_on_in_one_fold,
      a_class_that_training_would_miss_is_an_error_and_stratified_it_is_kept,
      unusable_requests_are_errors, class_weights_make_the_classes_equally_heavy,
      every_failed_allocation_is_an_error_without_a_leak)
