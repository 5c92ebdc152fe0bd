/* test_evaluate.c - evaluation and prediction count what the network says. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"
#include "toy.h"

#include <math.h>
#include <string.h>

enum { N = 700 }; /* more than one batch */

static gr_dataset *data;
static toy t;

static void setup(void)
{
    data = toy_stripes(N);
    t = toy_new(1, 0.02);
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, (gr_fit_options){.epochs = 5}, NULL), GR_OK);
}

static void teardown(void)
{
    toy_free(&t);
    gr_dataset_free(data);
}

START_TEST(evaluation_agrees_with_prediction)
{
    int64_t classes[N], confusion[9], hits = 0, total = 0;
    gr_evaluation e;
    ck_assert_int_eq(gr_evaluate(t.net, data, &e, confusion), GR_OK);
    ck_assert_int_eq(gr_predict(t.net, data, classes, NULL), GR_OK);
    for (int64_t i = 0; i < N; i++) {
        hits += classes[i] == data->y[i];
        confusion[3 * data->y[i] + classes[i]]--;
    }
    for (int i = 0; i < 9; i++) total += confusion[i] != 0;
    ck_assert_int_eq(total, 0);
    ck_assert_int_eq(e.n, N);
    ck_assert_double_eq_tol(e.accuracy, (double)hits / N, 1e-12);
    ck_assert(hits > 0 && hits < N);
}
END_TEST

START_TEST(the_loss_is_the_mean_over_samples)
{
    gr_evaluation e;
    double probability[N], sum = 0;
    int64_t classes[N];
    ck_assert_int_eq(gr_predict(t.net, data, classes, probability), GR_OK);
    memcpy(data->y, classes, sizeof classes); /* so that every label is the chosen class */
    for (int64_t i = 0; i < N; i++) sum -= log(probability[i]);
    ck_assert_int_eq(gr_evaluate(t.net, data, &e, NULL), GR_OK);
    ck_assert_double_eq_tol(e.loss, sum / N, 1e-5);
    ck_assert_double_eq(e.accuracy, 1);
}
END_TEST

START_TEST(evaluation_is_in_evaluation_mode_and_leaves_no_trace)
{
    gr_evaluation a, b;
    gr_model_set_training(t.model, true);
    ck_assert_int_eq(gr_evaluate(t.net, data, &a, NULL), GR_OK);
    ck_assert_int_eq(gr_evaluate(t.net, data, &b, NULL), GR_OK);
    ck_assert_double_eq(a.loss, b.loss); /* dropout would differ */
    ck_assert(gr_model_training(t.model));
    for (int i = 0; i < gr_model_params(t.model); i++)
        ck_assert_ptr_null(gr_param_grad(gr_model_param(t.model, i)));
}
END_TEST

START_TEST(what_cannot_be_evaluated_says_so)
{
    gr_evaluation e;
    int64_t classes[N];
    gr_dataset *wide = gr_dataset_new(GR_SHAPE(5), 10, 3);
    ck_assert_int_ne(gr_evaluate(t.net, wide, &e, NULL), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_evaluate: linear '0': expected [..., 2]"));
    ck_assert_int_ne(gr_predict(t.net, wide, classes, NULL), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_predict: linear '0': expected [..., 2]"));
    ck_assert_int_ne(gr_evaluate(t.net, NULL, &e, NULL), GR_OK);
    float outputs[1];
    ck_assert_int_ne(gr_predict_outputs(t.net, data, outputs, 7), GR_OK);
    ck_assert_msg(strstr(gr_last_error(), "expected 7 numbers for each") &&
                      strstr(gr_last_error(), "(at test_evaluate.c:"),
                  "got '%s'", gr_last_error());
    gr_dataset_free(wide);
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        double probability[N];
        int64_t classes[N], before = inject_live();
        gr_evaluation e;
        inject_allocation(n);
        gr_status status = gr_evaluate(t.net, data, &e, NULL);
        if (!status) status = gr_predict(t.net, data, classes, probability);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert_int_eq(inject_live(), before);
    }
    inject_end();
}
END_TEST

SUITE("evaluate", setup, teardown, evaluation_agrees_with_prediction,
      the_loss_is_the_mean_over_samples, evaluation_is_in_evaluation_mode_and_leaves_no_trace,
      what_cannot_be_evaluated_says_so, memory_that_runs_out_is_an_error_and_no_leak)
