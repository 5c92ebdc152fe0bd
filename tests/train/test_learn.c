/* test_learn.c - what can be learned besides classes: tokens, targets, mixed and weighted samples. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "toy.h"

#include <gradus/measure.h>
#include <math.h>
#include <string.h>

static void expect_ok(gr_status status)
{
    ck_assert_msg(status == GR_OK, "expected no error, got '%s'", gr_last_error());
}

/* --- tokens --- */

enum { LENGTH = 6, KINDS = 5 };

/* Counting round a circle: each token tells the next one. */
static gr_dataset *circle(int64_t n)
{
    int64_t ids[600];
    for (int64_t i = 0; i < n; i++) ids[i] = i % KINDS;
    return gr_text_windows(ids, n, LENGTH, KINDS);
}

static gr_module *next_token(gr_model *m)
{
    return gr_sequential(m, GR_LIST(gr_embedding_layer(m, KINDS, 8, (gr_embedding_options){0}),
                                    gr_linear_layer(m, 8, KINDS)));
}

START_TEST(tokens_are_learned_and_counted_one_by_one)
{
    gr_dataset *data = circle(301);
    gr_model *m = gr_model_new();
    gr_module *net = next_token(m);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.1});
    gr_history h;
    gr_evaluation e;
    expect_ok(gr_fit(net, opt, data, (gr_fit_options){.epochs = 8, .batch = 8}, &h));
    ck_assert_double_lt(h.epochs[7].loss, 0.1);
    ck_assert_double_gt(h.epochs[0].loss, 0.3);
    ck_assert_double_eq(h.epochs[7].accuracy, 1);
    expect_ok(gr_evaluate(net, data, &e, NULL));
    ck_assert_double_eq(e.accuracy, 1);
    ck_assert_int_eq(e.n, 50);
    int64_t classes[64];
    ck_assert_int_ne(gr_predict(net, data, classes, NULL), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "expected one logit per class"));
    gr_history_release(&h);
    gr_optimizer_free(opt);
    gr_model_free(m);
    gr_dataset_free(data);
}
END_TEST

/* Rows of 1 and 3 tokens, the shorter one padded with a token that would be wrong. */
START_TEST(padding_does_not_count)
{
    gr_rows *in = gr_rows_new(2, 4, KINDS), *out = gr_rows_new(2, 4, KINDS);
    const int64_t begin[] = {0, 1, 4}, ids[] = {1, 2, 3, 4};
    for (int i = 0; i < 3; i++) in->begin[i] = out->begin[i] = begin[i];
    for (int i = 0; i < 4; i++) in->ids[i] = out->ids[i] = ids[i];
    gr_dataset *data = gr_dataset_rows(in, out, 2);
    gr_model *m = gr_model_new();
    gr_module *net = gr_embedding_layer(m, KINDS, KINDS, (gr_embedding_options){0});
    float *w = gr_param_write(
        gr_model_param(m, 0)); /* token i says i, but 0, the padding, says 1 */
    memset(w, 0, sizeof(float) * KINDS * KINDS);
    for (int i = 1; i < KINDS; i++) w[i * KINDS + i] = 2;
    w[1] = 9;
    gr_evaluation e;
    expect_ok(gr_evaluate(net, data, &e, NULL));
    ck_assert_double_eq_tol(e.loss, log(exp(2) + 4) - 2, 1e-6);
    ck_assert_double_eq(e.accuracy, 1);
    gr_model_free(m);
    gr_dataset_free(data);
}
END_TEST

/* --- targets --- */

START_TEST(targets_are_learned_by_their_squared_error)
{
    float outputs[100];
    gr_dataset *data = gr_dataset_new_targets(GR_SHAPE(2), 100, GR_SHAPE(1));
    for (int i = 0; i < 100; i++) {
        data->x[2 * i] = (float)(i % 10) / 10;
        data->x[2 * i + 1] = (float)(i / 10) / 10;
        data->target[i] = 3 * data->x[2 * i] - data->x[2 * i + 1] + 0.5f;
    }
    gr_model *m = gr_model_new();
    gr_module *net = gr_linear_layer(m, 2, 1);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.05});
    gr_history h;
    gr_fit_options o = {.epochs = 60, .batch = 20, .metrics = GR_MEASURE(gr_metric_mae())};
    expect_ok(gr_fit(net, opt, data, o, &h));
    ck_assert(isnan(h.epochs[59].accuracy));
    ck_assert_double_lt(h.epochs[59].loss, 1e-2);
    expect_ok(gr_predict_outputs(net, data, outputs, 1));
    ck_assert_double_gt(gr_regression_scores(outputs, data->target, 100).r2, 0.98);
    gr_evaluation e;
    int64_t confusion[1];
    ck_assert_int_ne(gr_evaluate(net, data, &e, confusion), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "a confusion matrix of data without classes"));
    gr_history_release(&h);
    gr_optimizer_free(opt);
    gr_model_free(m);
    gr_dataset_free(data);
}
END_TEST

/* --- what the loader does --- */

static double accuracy_with(gr_loader_options loader)
{
    gr_dataset *data = toy_stripes(300);
    toy t = toy_new(1, 0.02);
    gr_evaluation e;
    gr_fit_options o = {.epochs = 40, .one_cycle = true, .loader = loader};
    expect_ok(gr_fit(t.net, t.opt, data, o, NULL));
    expect_ok(gr_evaluate(t.net, data, &e, NULL));
    toy_free(&t);
    gr_dataset_free(data);
    return e.accuracy;
}

START_TEST(mixed_samples_are_learned_by_their_shares)
{
    ck_assert_double_gt(accuracy_with((gr_loader_options){.augment.mixup = 0.2}), 0.9);
}
END_TEST

START_TEST(weighted_samples_keep_the_mean_of_all)
{
    double weights[300];
    for (int i = 0; i < 300; i++) weights[i] = i % 3 ? 1 : 4;
    ck_assert_double_gt(accuracy_with((gr_loader_options){.weights = weights}), 0.9);
}
END_TEST

START_TEST(batches_may_be_made_ahead_and_all_of_a_size)
{
    ck_assert_double_gt(accuracy_with((gr_loader_options){.prefetch = true, .drop_last = true}),
                        0.9);
}
END_TEST

START_TEST(data_that_does_not_fill_a_batch_is_refused)
{
    gr_dataset *data = toy_stripes(10);
    toy t = toy_new(1, 0.02);
    gr_fit_options o = {.batch = 11, .loader.drop_last = true};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "10 samples"));
    toy_free(&t);
    gr_dataset_free(data);
}
END_TEST

START_TEST(data_with_nothing_to_learn_is_refused)
{
    gr_dataset *data = toy_stripes(10);
    toy t = toy_new(1, 0.02);
    data->classes = 0;
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, (gr_fit_options){0}, NULL), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "has no classes, targets or tokens"));
    toy_free(&t);
    gr_dataset_free(data);
}
END_TEST

SUITE("learn", NULL, NULL, tokens_are_learned_and_counted_one_by_one, padding_does_not_count,
      targets_are_learned_by_their_squared_error, mixed_samples_are_learned_by_their_shares,
      weighted_samples_keep_the_mean_of_all, batches_may_be_made_ahead_and_all_of_a_size,
      data_that_does_not_fill_a_batch_is_refused, data_with_nothing_to_learn_is_refused)
