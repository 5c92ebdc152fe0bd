/* test_checkpoint.c - a training that was put down goes on to the same bits. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"
#include "toy.h"

#include <math.h>
#include <string.h>

static gr_dataset *data;

static void setup(void)
{
    scratch_begin();
    data = toy_stripes(300);
}

static void teardown(void)
{
    gr_dataset_free(data);
    scratch_end();
}

/* --- a training in parts --- */

typedef struct stop_at {
    int64_t step;
} stop_at;

static gr_status stop_batch(void *self, gr_training *run)
{
    const stop_at *s = self;
    if (run->step == s->step) run->stop = true;
    return GR_OK;
}

static gr_callback stopping(stop_at *s)
{
    return (gr_callback){.name = "stopping", .batch = stop_batch, .self = s};
}

static gr_metric metrics[2]; /* the second ends the list */

static gr_fit_options options(int epochs)
{
    metrics[0] = gr_metric_top_k(2);
    return (gr_fit_options){.epochs = epochs,
                            .seed = 3,
                            .validation_split = 0.2,
                            .accumulate = 2,
                            .gradient_noise = 1e-4,
                            .metrics = metrics};
}

static gr_callback keeping(void)
{
    return gr_checkpoint(scratch_path("c.safetensors"), (gr_checkpoint_options){0});
}

static gr_callback patient(void)
{
    return gr_early_stop((gr_early_stop_options){.patience = 100});
}

static void expect_equal(const gr_model *a, const gr_model *b)
{
    for (int i = 0; i < gr_model_params(a); i++) {
        const gr_param *p = gr_model_param(a, i), *q = gr_model_param(b, i);
        size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) * sizeof(float);
        ck_assert_msg(!memcmp(gr_param_data(p), gr_param_data(q), bytes), "parameter %d differs",
                      i);
    }
}

static void expect_ok(gr_status status)
{
    ck_assert_msg(status == GR_OK, "expected no error, got '%s'", gr_last_error());
}

static void expect_same_history(const gr_history *a, const gr_history *b)
{
    ck_assert_int_eq(a->n, b->n);
    ck_assert_int_eq(a->best, b->best);
    for (int i = 0; i < a->n; i++) {
        const gr_epoch *e = &a->epochs[i], *f = &b->epochs[i];
        ck_assert_int_eq(f->epoch, i + 1);
        ck_assert_double_eq(e->loss, f->loss);
        ck_assert_double_eq(e->accuracy, f->accuracy);
        ck_assert_double_eq(e->val_loss, f->val_loss);
        ck_assert_double_eq(e->lr, f->lr);
        ck_assert_double_eq(e->metric[0], f->metric[0]);
        ck_assert_double_eq(e->val_metric[0], f->val_metric[0]);
    }
}

/* Trains at once, and in two parts that meet after `step` updates, with other first weights in the
 * second. */
static void compare(gr_fit_options o, int64_t step)
{
    toy a = toy_new(1, 0.02), b = toy_new(1, 0.02), c = toy_new(2, 0.05);
    gr_history whole, first, second;
    stop_at never = {0}, there = {step};
    o.callbacks = GR_CALLBACKS(stopping(&never), patient(), keeping());
    expect_ok(gr_fit(a.net, a.opt, data, o, &whole));
    o.callbacks = GR_CALLBACKS(stopping(&there), patient(), keeping());
    expect_ok(gr_fit(b.net, b.opt, data, o, &first));
    ck_assert(first.interrupted);
    ck_assert_int_eq(gr_optimizer_steps(b.opt), step);
    o.callbacks = GR_CALLBACKS(stopping(&never), patient(), keeping());
    o.resume = scratch_path("c.safetensors");
    expect_ok(gr_fit(c.net, c.opt, data, o, &second));
    expect_equal(a.model, c.model);
    expect_same_history(&whole, &second);
    gr_history_release(&whole);
    gr_history_release(&first);
    gr_history_release(&second);
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}

START_TEST(a_training_goes_on_from_the_end_of_an_epoch)
{
    compare(options(6), 3 * 4);
}
END_TEST

START_TEST(a_training_goes_on_from_the_middle_of_an_epoch)
{
    compare(options(6), 3 * 4 + 1);
}
END_TEST

START_TEST(a_schedule_goes_on)
{
    gr_fit_options o = options(6);
    o.one_cycle = true;
    compare(o, 10);
}
END_TEST

START_TEST(ten_epochs_and_ten_more_are_twenty)
{
    toy a = toy_new(1, 0.02), b = toy_new(1, 0.02), c = toy_new(1, 0.02);
    gr_fit_options o = options(20);
    expect_ok(gr_fit(a.net, a.opt, data, o, NULL));
    o.epochs = 10;
    o.callbacks = GR_CALLBACKS(keeping());
    expect_ok(gr_fit(b.net, b.opt, data, o, NULL));
    o = options(20);
    o.resume = scratch_path("c.safetensors");
    expect_ok(gr_fit(c.net, c.opt, data, o, NULL));
    expect_equal(a.model, c.model);
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}
END_TEST

static gr_status fail_batch(void *self, gr_training *run)
{
    const stop_at *s = self;
    return run->step == s->step ? GR_ERR_STATE : GR_OK;
}

START_TEST(a_training_that_failed_goes_on_from_the_last_few_steps)
{
    toy a = toy_new(1, 0.02), b = toy_new(1, 0.02), c = toy_new(2, 0.02);
    stop_at seventh = {7};
    gr_callback crash = {.name = "crash", .batch = fail_batch, .self = &seventh};
    gr_checkpoint_options often = {.epochs = -1, .steps = 3};
    gr_fit_options o = {.epochs = 2, .seed = 3};
    expect_ok(gr_fit(a.net, a.opt, data, o, NULL));
    o.callbacks = GR_CALLBACKS(gr_checkpoint(scratch_path("c.safetensors"), often), crash);
    ck_assert_int_eq(gr_fit(b.net, b.opt, data, o, NULL), GR_ERR_STATE);
    o = (gr_fit_options){.epochs = 2, .seed = 3, .resume = scratch_path("c.safetensors")};
    expect_ok(gr_fit(c.net, c.opt, data, o, NULL));
    ck_assert_int_eq(gr_optimizer_steps(c.opt), 20);
    expect_equal(a.model, c.model);
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}
END_TEST

START_TEST(a_checkpoint_of_the_best_epoch_stays_at_that)
{
    toy t = toy_new(1, 0.5);
    gr_history h, again;
    gr_checkpoint_options best = {.best = true};
    gr_fit_options o = options(12);
    o.callbacks = GR_CALLBACKS(gr_checkpoint(scratch_path("c.safetensors"), best));
    expect_ok(gr_fit(t.net, t.opt, data, o, &h));
    o = options(h.best + 1);
    o.resume = scratch_path("c.safetensors");
    expect_ok(gr_fit(t.net, t.opt, data, o, &again)); /* nothing is left to do */
    ck_assert_int_eq(again.n, h.best + 1);
    ck_assert_double_eq(again.epochs[h.best].val_loss, h.epochs[h.best].val_loss);
    gr_history_release(&h);
    gr_history_release(&again);
    toy_free(&t);
}
END_TEST

/* --- what cannot go on --- */

static void save_two_epochs(void)
{
    toy t = toy_new(1, 0.02);
    gr_fit_options o = options(2);
    o.callbacks = GR_CALLBACKS(keeping());
    expect_ok(gr_fit(t.net, t.opt, data, o, NULL));
    toy_free(&t);
}

static float *weights_of(const toy *t)
{
    return (float *)gr_param_data(gr_model_param(t->model, 0));
}

static void expect_error(gr_fit_options o, const char *text)
{
    toy t = toy_new(9, 0.02);
    float before = weights_of(&t)[0];
    gr_history h;
    o.resume = o.resume ? o.resume : scratch_path("c.safetensors");
    ck_assert_int_ne(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_msg(strstr(gr_last_error(), text), "expected '%s', got '%s'", text, gr_last_error());
    ck_assert_int_eq(h.n, 0);
    ck_assert_float_eq(weights_of(&t)[0], before);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 0);
    gr_history_release(&h);
    toy_free(&t);
}

START_TEST(other_options_are_named)
{
    save_two_epochs();
    gr_fit_options o = options(4);
    o.batch = 64;
    expect_error(o, "was made with batches of 32, got 64");
    o = options(4);
    o.seed = 4;
    expect_error(o, "was made with seed 3, got 4");
    o = options(4);
    o.validation_split = 0.5;
    expect_error(o, "was made with samples: 240, got 150");
    expect_error(options(1), "has 2 epochs, expected at most 1");
}
END_TEST

START_TEST(what_is_no_checkpoint_is_refused)
{
    toy t = toy_new(1, 0.02);
    gr_fit_options o = options(2);
    o.resume = scratch_path("none");
    expect_error(o, "none: cannot open");
    o.resume = scratch_write("text", "hello", 5);
    expect_error(o, "text: ");
    ck_assert_int_eq(gr_save(t.model, scratch_path("weights"), NULL), GR_OK);
    o.resume = scratch_path("weights");
    expect_error(o, "is no checkpoint of a training");
    toy_free(&t);
}
END_TEST

START_TEST(another_architecture_is_refused_and_nothing_changed)
{
    save_two_epochs();
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 3)));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    float before[6];
    memcpy(before, gr_param_data(gr_model_param(m, 0)), sizeof before);
    gr_fit_options o = options(4);
    o.resume = scratch_path("c.safetensors");
    ck_assert_int_eq(gr_fit(net, opt, data, o, NULL), GR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "'model.0.weight' is F32 [16,2] in the file, "
                                                  "expected F32 [3,2]"));
    ck_assert_mem_eq(before, gr_param_data(gr_model_param(m, 0)), sizeof before);
    ck_assert_int_eq(gr_optimizer_steps(opt), 0);
    gr_optimizer_free(opt);
    gr_model_free(m);
}
END_TEST

/* --- what is kept when a training fails --- */

typedef struct spoiler {
    int epoch;
} spoiler;

static gr_status spoil(void *self, gr_training *run)
{
    const spoiler *s = self;
    if (run->history->n == s->epoch) data->x[100] = NAN;
    return GR_OK;
}

START_TEST(the_last_good_checkpoint_stays)
{
    toy t = toy_new(1, 0.02), again = toy_new(1, 0.02);
    spoiler s = {2};
    gr_callback bad = {.name = "spoiler", .epoch = spoil, .self = &s};
    gr_fit_options o = {.epochs = 5, .seed = 3, .callbacks = GR_CALLBACKS(keeping(), bad)};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_fit: epoch 3, batch "));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the loss is"));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "of the batch holds"));
    data->x[100] = 0.5f;
    o = (gr_fit_options){.epochs = 5, .seed = 3, .resume = scratch_path("c.safetensors")};
    gr_history h;
    expect_ok(gr_fit(again.net, again.opt, data, o, &h));
    ck_assert_int_eq(h.n, 5);
    ck_assert(isfinite(h.epochs[4].loss));
    gr_history_release(&h);
    toy_free(&t);
    toy_free(&again);
}
END_TEST

static gr_status spoil_weight(void *self, gr_training *run)
{
    (void)self;
    gr_param *p = gr_model_param(gr_module_model(run->net), 1);
    ((float *)gr_param_write(p))[0] = NAN;
    gr_status status = gr_save_training(run, scratch_path("c.safetensors"));
    ck_assert_int_eq(status, GR_ERR_STATE);
    return status;
}

START_TEST(weights_that_are_not_finite_are_not_saved)
{
    toy t = toy_new(1, 0.02);
    gr_callback bad = {.name = "spoiler", .epoch = spoil_weight};
    gr_fit_options o = {.epochs = 1, .callbacks = GR_CALLBACKS(bad)};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "not saved: 0.bias holds values"));
    ck_assert_int_eq(scratch_files(), 0);
    toy_free(&t);
}
END_TEST

START_TEST(a_checkpoint_that_cannot_be_written_ends_the_training)
{
    inject_begin();
    toy t = toy_new(1, 0.02);
    gr_fit_options o = {.epochs = 2, .callbacks = GR_CALLBACKS(keeping())};
    inject_file(INJECT_WRITE, 0);
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_FILE);
    inject_none();
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "c.safetensors: cannot write"));
    ck_assert_int_eq(scratch_files(), 0);
    toy_free(&t);
    inject_end();
}
END_TEST

START_TEST(memory_that_runs_out_while_going_on_is_an_error_and_no_leak)
{
    save_two_epochs();
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        int64_t before = inject_live();
        toy t = toy_new(1, 0.02);
        gr_fit_options o = options(3);
        inject_allocation(n);
        o.resume = scratch_path("c.safetensors");
        o.callbacks = GR_CALLBACKS(
            gr_checkpoint(scratch_path("d.safetensors"), (gr_checkpoint_options){0}));
        gr_status status = gr_fit(t.net, t.opt, data, o, NULL);
        done = !inject_happened();
        inject_none();
        ck_assert_msg((status == GR_OK) == done, "allocation %d: status %d", (int)n, (int)status);
        toy_free(&t);
        ck_assert_int_eq(inject_live(), before);
    }
    inject_end();
}
END_TEST

SUITE("checkpoint", setup, teardown, a_training_goes_on_from_the_end_of_an_epoch,
      a_training_goes_on_from_the_middle_of_an_epoch, a_schedule_goes_on,
      ten_epochs_and_ten_more_are_twenty, a_training_that_failed_goes_on_from_the_last_few_steps,
      a_checkpoint_of_the_best_epoch_stays_at_that, other_options_are_named,
      what_is_no_checkpoint_is_refused, another_architecture_is_refused_and_nothing_changed,
      the_last_good_checkpoint_stays, weights_that_are_not_finite_are_not_saved,
      a_checkpoint_that_cannot_be_written_ends_the_training,
      memory_that_runs_out_while_going_on_is_an_error_and_no_leak)
