/* test_fit.c - training: it learns, stops, repeats itself, allocates nothing, says what is wrong. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"
#include "toy.h"

#include <math.h>
#include <string.h>

static gr_dataset *data;

static void setup(void)
{
    data = toy_stripes(300);
}

static void teardown(void)
{
    gr_dataset_free(data);
}

/* --- learning --- */

START_TEST(a_network_learns)
{
    toy t = toy_new(1, 0.02);
    gr_history h;
    gr_fit_options o = {.epochs = 40, .seed = 1, .one_cycle = true};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(h.n, 40);
    ck_assert_int_eq(h.epochs[39].epoch, 40);
    ck_assert_double_lt(h.epochs[39].loss, h.epochs[0].loss / 3);
    ck_assert(isnan(h.epochs[39].val_loss) && isnan(h.epochs[39].val_accuracy));
    gr_evaluation e;
    ck_assert_int_eq(gr_evaluate(t.net, data, &e, NULL), GR_OK);
    ck_assert_double_gt(e.accuracy, 0.95);
    ck_assert_double_eq_tol(h.epochs[39].lr, 0.02 / 25 / 1e4, 1e-12);
    ck_assert_double_eq(gr_optimizer_lr(t.opt), 0.02); /* the schedule ends with the training */
    gr_history_release(&h);
    toy_free(&t);
}
END_TEST

START_TEST(zero_options_mean_the_defaults)
{
    toy t = toy_new(1, 0.01);
    gr_history h;
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, (gr_fit_options){0}, &h), GR_OK);
    ck_assert_int_eq(h.n, 10);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 10 * 10); /* 300 samples, 32 at a time */
    gr_history_release(&h);
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, (gr_fit_options){.epochs = 1}, NULL), GR_OK);
    toy_free(&t);
}
END_TEST

START_TEST(the_training_flag_is_as_before)
{
    toy t = toy_new(1, 0.01);
    for (int training = 0; training < 2; training++) {
        gr_model_set_training(t.model, training);
        gr_fit(t.net, t.opt, data, (gr_fit_options){.epochs = 1, .validation_split = 0.2}, NULL);
        ck_assert_int_eq(gr_model_training(t.model), training);
    }
    toy_free(&t);
}
END_TEST

/* --- validation and early stopping --- */

START_TEST(a_split_is_validated_on_and_not_trained_on)
{
    toy t = toy_new(1, 0.01);
    gr_history h;
    gr_fit_options o = {.epochs = 2, .batch = 1, .validation_split = 0.25};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 2 * 225);
    ck_assert(h.epochs[1].val_loss > 0 && h.epochs[1].val_accuracy > 0);
    gr_history_release(&h);
    toy_free(&t);
}
END_TEST

/* Labels that nothing can predict: what is learned makes the validation worse. */
START_TEST(early_stopping_goes_back_to_the_best_weights)
{
    toy t = toy_new(1, 0.2);
    gr_history h;
    gr_evaluation e;
    gr_dataset *other = toy_stripes(200);
    for (int64_t i = 0; i < other->n; i++) other->y[i] = (other->y[i] + 1 + i % 2) % 3;
    gr_fit_options o = {.epochs = 100, .validation = other, .patience = 4};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert(h.stopped && h.restored);
    ck_assert_int_eq(h.n, h.best + 1 + 4);
    for (int i = 0; i < h.n; i++)
        ck_assert_double_ge(h.epochs[i].val_loss, h.epochs[h.best].val_loss);
    ck_assert_int_eq(gr_evaluate(t.net, other, &e, NULL), GR_OK);
    ck_assert_double_eq(e.loss, h.epochs[h.best].val_loss);
    gr_history_release(&h);
    gr_dataset_free(other);
    toy_free(&t);
}
END_TEST

/* --- the same bits --- */

static gr_model *train_once(uint64_t seed, toy *t)
{
    *t = toy_new(7, 0.02);
    gr_fit_options o = {.epochs = 3, .seed = seed, .validation_split = 0.2};
    ck_assert_int_eq(gr_fit(t->net, t->opt, data, o, NULL), GR_OK);
    return t->model;
}

static bool equal(const gr_model *a, const gr_model *b)
{
    bool same = true;
    for (int i = 0; i < gr_model_params(a); i++) {
        const gr_param *p = gr_model_param(a, i), *q = gr_model_param(b, i);
        size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) * sizeof(float);
        same &= !memcmp(gr_param_data(p), gr_param_data(q), bytes);
    }
    return same;
}

START_TEST(the_same_seed_gives_the_same_bits)
{
    toy a, b, c;
    train_once(3, &a);
    train_once(3, &b);
    train_once(4, &c);
    ck_assert(equal(a.model, b.model));
    ck_assert(!equal(a.model, c.model));
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}
END_TEST

START_TEST(threads_do_not_change_the_bits)
{
    toy a, b;
    gr_set_threads(1);
    train_once(3, &a);
    gr_set_threads(2);
    train_once(3, &b);
    ck_assert(equal(a.model, b.model));
    toy_free(&a);
    toy_free(&b);
}
END_TEST

/* --- precision --- */

static gr_status keep_precision(void *self, gr_training *run)
{
    *(gr_precision *)self = gr_graph_precision(run->graph);
    return GR_OK;
}

/* A network with a product that is large enough to be rounded. */
static gr_model *train_wide(gr_precision asked, gr_precision *used)
{
    gr_model *m = gr_model_new();
    gr_model_seed(m, 1);
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 64), gr_tanh_layer(m),
                                              gr_linear_layer(m, 64, 64), gr_tanh_layer(m),
                                              gr_linear_layer(m, 64, 3)));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.01});
    const gr_callback look = {.name = "look", .batch = keep_precision, .self = used};
    gr_fit_options o = {.epochs = 20,
                        .batch = 50,
                        .precision = asked,
                        .callbacks = GR_CALLBACKS(look)};
    gr_evaluation e = {.accuracy = 0};
    ck_assert_msg(!gr_fit(net, opt, data, o, NULL), "%s", gr_last_error());
    ck_assert_int_eq(gr_evaluate(net, data, &e, NULL), GR_OK);
    ck_assert_msg(e.accuracy > 0.9, "expected an accuracy above 0.9, got %g", e.accuracy);
    gr_optimizer_free(opt);
    return m;
}

START_TEST(products_are_of_the_precision_asked_for)
{
    gr_precision used[2] = {GR_PRECISION_BFLOAT16, GR_PRECISION_FLOAT32};
    gr_model *plain = train_wide(GR_PRECISION_FLOAT32, &used[0]);
    gr_model *rounded = train_wide(GR_PRECISION_BFLOAT16, &used[1]);
    ck_assert_int_eq(used[0], GR_PRECISION_FLOAT32);
    ck_assert_int_eq(used[1], gr_has_bfloat16() ? GR_PRECISION_BFLOAT16 : GR_PRECISION_FLOAT32);
    ck_assert(equal(plain, rounded) == !gr_has_bfloat16());
    gr_model_free(plain);
    gr_model_free(rounded);
}
END_TEST

/* --- one update for several batches, noise --- */

/* Without dropout, whose masks follow the batches. */
static void train_linear(gr_fit_options o, float weight[6])
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 3)));
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.5});
    ck_assert_msg(!gr_fit(net, opt, data, o, NULL), "%s", gr_last_error());
    memcpy(weight, gr_param_data(gr_model_param(m, 0)), 6 * sizeof *weight);
    gr_optimizer_free(opt);
    gr_model_free(m);
}

START_TEST(accumulated_batches_are_one_large_batch)
{
    float large[6], parts[6];
    train_linear((gr_fit_options){.epochs = 3, .batch = 64, .seed = 2}, large);
    train_linear((gr_fit_options){.epochs = 3, .batch = 16, .seed = 2, .accumulate = 4}, parts);
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol((double)large[i], (double)parts[i], 1e-5);
}
END_TEST

START_TEST(noise_of_gradients_has_the_size_asked_for)
{
    float plain[6], noisy[6], again[6];
    gr_fit_options o = {.epochs = 1, .batch = 300};
    train_linear(o, plain);
    o.gradient_noise =
        0.04; /* deviation 0.2 at the first step, of which 0.5 goes into the weight */
    train_linear(o, noisy);
    train_linear(o, again);
    double squares = 0;
    for (int i = 0; i < 6; i++) {
        squares += pow((double)noisy[i] - (double)plain[i], 2) / 6;
        ck_assert_float_eq(noisy[i], again[i]);
    }
    ck_assert_double_gt(sqrt(squares), 0.1 / 3);
    ck_assert_double_lt(sqrt(squares), 0.1 * 3);
}
END_TEST

START_TEST(label_smoothing_raises_the_loss_of_the_sure)
{
    toy t = toy_new(1, 0.02);
    gr_history plain, smooth;
    gr_fit_options o = {.epochs = 30};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &plain), GR_OK);
    o.epochs = 1;
    o.label_smoothing = 0.3;
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &smooth), GR_OK);
    ck_assert_double_gt(smooth.epochs[0].loss, plain.epochs[29].loss + 0.2);
    gr_history_release(&plain);
    gr_history_release(&smooth);
    toy_free(&t);
}
END_TEST

/* --- memory --- */

static int64_t allocations_of(int epochs)
{
    toy t = toy_new(1, 0.01);
    int64_t before = inject_allocations();
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, (gr_fit_options){.epochs = epochs}, NULL), GR_OK);
    int64_t n = inject_allocations() - before;
    toy_free(&t);
    return n;
}

START_TEST(steps_after_the_first_epoch_allocate_nothing)
{
    inject_begin();
    ck_assert_int_eq(allocations_of(20), allocations_of(1));
    inject_end();
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        int64_t before = inject_live();
        toy t = toy_new(1, 0.01);
        gr_history h;
        inject_allocation(n);
        gr_fit_options o = {.epochs = 2, .validation_split = 0.2, .patience = 1};
        gr_status status = gr_fit(t.net, t.opt, data, o, &h);
        done = !inject_happened();
        inject_none();
        ck_assert_msg((status == GR_OK) == done, "allocation %d: status %d", (int)n, (int)status);
        ck_assert(done || strstr(gr_last_error(), "out of memory"));
        gr_history_release(&h);
        toy_free(&t);
        ck_assert_int_eq(inject_live(), before);
    }
    inject_end();
}
END_TEST

/* --- errors --- */

static void expect_error(toy *t, const gr_dataset *d, gr_fit_options o, const char *text)
{
    gr_history h;
    ck_assert_int_ne(gr_fit(t->net, t->opt, d, o, &h), GR_OK);
    ck_assert_msg(strstr(gr_last_error(), text), "expected '%s', got '%s'", text, gr_last_error());
    gr_history_release(&h);
}

START_TEST(options_that_cannot_be_are_refused)
{
    toy t = toy_new(1, 0.01);
    gr_dataset *empty = toy_stripes(0);
    expect_error(&t, data, (gr_fit_options){.epochs = -1}, "expected 1 to 1000000 epochs, got -1");
    expect_error(&t, data, (gr_fit_options){.batch = -5}, "expected a batch of at least 1, got -5");
    expect_error(&t, data, (gr_fit_options){.validation_split = 1}, "0 <= split < 1, got 1");
    expect_error(&t, data, (gr_fit_options){.patience = -1}, "patience of 0 or more, got -1");
    expect_error(&t, data, (gr_fit_options){.accumulate = -1}, "accumulate 1 to 1000000 batches");
    expect_error(&t, data, (gr_fit_options){.gradient_noise = -1}, "gradient_noise of 0 or more");
    expect_error(&t, data, (gr_fit_options){.precision = (gr_precision)9}, "no precision 9");
    expect_error(&t, data, (gr_fit_options){.shift = 1}, "cannot shift samples [2]");
    expect_error(&t, data, (gr_fit_options){.validation = empty},
                 "validation: the data set is empty");
    expect_error(&t, empty, (gr_fit_options){0}, "gr_fit: the data set is empty");
    gr_dataset_free(empty);
    toy_free(&t);
}
END_TEST

START_TEST(a_label_out_of_range_is_named)
{
    toy t = toy_new(1, 0.01);
    data->y[17] = 3;
    expect_error(&t, data, (gr_fit_options){0}, "gr_fit: label 17 is 3, expected 0 to 2");
    toy_free(&t);
}
END_TEST

START_TEST(a_wrong_shape_names_layer_epoch_and_batch)
{
    toy t = toy_new(1, 0.01);
    gr_dataset *wide = gr_dataset_new(GR_SHAPE(5), 10, 3);
    expect_error(&t, wide, (gr_fit_options){0},
                 "gr_fit: epoch 1, batch 1: linear '0': expected [..., 2], got [10,5]");
    gr_dataset_free(wide);
    toy_free(&t);
}
END_TEST

START_TEST(a_network_needs_one_logit_per_class)
{
    toy t = toy_new(1, 0.01);
    gr_dataset *more = gr_dataset_new(GR_SHAPE(2), 10, 7);
    expect_error(&t, more, (gr_fit_options){0}, "the network gives [10,3], expected [10,7]");
    gr_dataset_free(more);
    toy_free(&t);
}
END_TEST

static gr_tensor *no_loss(gr_tensor *output, gr_tensor *target)
{
    (void)output;
    (void)target;
    return NULL;
}

static gr_tensor *no_mean(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    (void)self;
    return no_loss(output, target);
}

START_TEST(a_loss_or_metric_that_is_no_tensor_is_named)
{
    toy t = toy_new(1, 0.01);
    const gr_metric hollow = {.name = "hollow", .record = no_mean};
    expect_error(&t, data, (gr_fit_options){.loss = no_loss},
                 "gr_fit: epoch 1, batch 1: the function of the loss gave NULL");
    expect_error(&t, data, (gr_fit_options){.metrics = GR_MEASURE(hollow)},
                 "gr_fit: epoch 1, batch 1: the function of hollow gave NULL");
    toy_free(&t);
}
END_TEST

START_TEST(a_loss_that_is_not_finite_stops_before_the_weights)
{
    toy t = toy_new(1, 0.01);
    data->x[100] = INFINITY;
    expect_error(&t, data, (gr_fit_options){.batch = 300}, "epoch 1, batch 1: the loss is");
    for (int i = 0; i < gr_model_params(t.model); i++) {
        const float *w = gr_param_data(gr_model_param(t.model, i));
        int64_t n = gr_shape_numel(gr_param_shape(gr_model_param(t.model, i)));
        for (int64_t k = 0; k < n; k++) ck_assert(isfinite(w[k]));
    }
    toy_free(&t);
}
END_TEST

/* Reads the stripes one by one; user: the sample that cannot be read, or NULL. */
static gr_status read_stripe(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    const int64_t *broken = user;
    (void)target;
    if (broken && index == *broken) return GR_ERR_FILE;
    memcpy(x, data->x + 2 * index, 2 * sizeof *x);
    *y = data->y[index];
    return GR_OK;
}

START_TEST(a_stream_is_trained_and_evaluated_on_as_if_it_were_in_memory)
{
    gr_evaluation e[2];
    gr_dataset *stream = gr_dataset_stream(data->shape, data->n, 3, read_stripe, NULL);
    for (int i = 0; i < 2; i++) {
        toy t = toy_new(1, 0.01);
        const gr_dataset *d = i ? stream : data;
        gr_status status = gr_fit(t.net, t.opt, d, (gr_fit_options){.epochs = 2, .seed = 3}, NULL);
        ck_assert_msg(!status && !gr_evaluate(t.net, d, &e[i], NULL), "%s", gr_last_error());
        toy_free(&t);
    }
    ck_assert_double_eq(e[0].loss, e[1].loss);
    gr_dataset_free(stream);
}
END_TEST

START_TEST(a_sample_that_cannot_be_read_is_named)
{
    int64_t broken = 5;
    toy t = toy_new(1, 0.01);
    gr_dataset *stream = gr_dataset_stream(data->shape, 10, 3, read_stripe, &broken);
    expect_error(&t, stream, (gr_fit_options){.batch = 10},
                 "gr_fit: epoch 1, batch 1: dataset: sample 5 could not be read");
    gr_dataset_free(stream);
    toy_free(&t);
}
END_TEST

SUITE("fit", setup, teardown, a_network_learns, zero_options_mean_the_defaults,
      the_training_flag_is_as_before, a_split_is_validated_on_and_not_trained_on,
      early_stopping_goes_back_to_the_best_weights, the_same_seed_gives_the_same_bits,
      threads_do_not_change_the_bits, products_are_of_the_precision_asked_for,
      accumulated_batches_are_one_large_batch, noise_of_gradients_has_the_size_asked_for,
      label_smoothing_raises_the_loss_of_the_sure, steps_after_the_first_epoch_allocate_nothing,
      memory_that_runs_out_is_an_error_and_no_leak, options_that_cannot_be_are_refused,
      a_label_out_of_range_is_named, a_wrong_shape_names_layer_epoch_and_batch,
      a_network_needs_one_logit_per_class, a_loss_or_metric_that_is_no_tensor_is_named,
      a_loss_that_is_not_finite_stops_before_the_weights,
      a_stream_is_trained_and_evaluated_on_as_if_it_were_in_memory,
      a_sample_that_cannot_be_read_is_named)
