/* test_callbacks.c - what is called when, and what the built-in callbacks do. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"
#include "toy.h"

#include <math.h>
#include <signal.h>
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

/* --- order of calls --- */

typedef struct calls {
    int begin, batch, epoch, end, freed;
    int stop_at; /* batches; 0: never */
    gr_status fail_at_epoch;
    gr_status ended; /* what `end` was told */
    double loss;     /* as the last batch saw it */
} calls;

static gr_status on_begin(void *self, gr_training *run)
{
    calls *c = self;
    c->begin++;
    return run->history->n == 0 && run->batches == 10 ? GR_OK : GR_ERR_STATE;
}

static gr_status on_batch(void *self, gr_training *run)
{
    calls *c = self;
    ck_assert_int_eq(run->step, ++c->batch);
    ck_assert_int_eq(run->batch, (c->batch - 1) % 10 + 1);
    c->loss = run->now.loss;
    if (c->batch == c->stop_at) run->stop = true;
    return GR_OK;
}

static gr_status on_epoch(void *self, gr_training *run)
{
    calls *c = self;
    ck_assert_int_eq(run->history->n, ++c->epoch);
    ck_assert_double_eq(run->history->epochs[c->epoch - 1].loss, c->loss);
    return c->fail_at_epoch;
}

static gr_status on_end(void *self, gr_training *run, gr_status status)
{
    calls *c = self;
    (void)run;
    c->end++;
    c->ended = status;
    return GR_OK;
}

static void on_free(void *self)
{
    ((calls *)self)->freed++;
}

static gr_callback counting(calls *c)
{
    return (gr_callback){.name = "counting",
                         .begin = on_begin,
                         .batch = on_batch,
                         .epoch = on_epoch,
                         .end = on_end,
                         .free = on_free,
                         .self = c};
}

START_TEST(every_part_of_a_training_is_told)
{
    toy t = toy_new(1, 0.01);
    calls c = {0};
    gr_fit_options o = {.epochs = 3, .callbacks = GR_CALLBACKS(counting(&c))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_OK);
    ck_assert_int_eq(c.begin, 1);
    ck_assert_int_eq(c.batch, 30);
    ck_assert_int_eq(c.epoch, 3);
    ck_assert_int_eq(c.end, 1);
    ck_assert_int_eq(c.freed, 1);
    toy_free(&t);
}
END_TEST

START_TEST(a_callback_stops_after_the_step)
{
    toy t = toy_new(1, 0.01);
    gr_history h;
    calls c = {.stop_at = 13};
    gr_fit_options o = {.epochs = 3, .callbacks = GR_CALLBACKS(counting(&c))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 13);
    ck_assert_int_eq(h.n, 1);
    ck_assert(h.interrupted && !h.stopped);
    ck_assert_int_eq(c.end, 1);
    gr_history_release(&h);
    toy_free(&t);
}
END_TEST

START_TEST(a_failing_callback_ends_the_training)
{
    toy t = toy_new(1, 0.01);
    calls c = {.fail_at_epoch = GR_ERR_STATE};
    gr_fit_options o = {.epochs = 3, .callbacks = GR_CALLBACKS(counting(&c))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_STATE);
    ck_assert_int_eq(c.epoch, 1);
    ck_assert_int_eq(c.ended, GR_ERR_STATE);
    ck_assert_int_eq(c.freed, 1);
    toy_free(&t);
}
END_TEST

START_TEST(callbacks_are_freed_when_options_are_refused)
{
    toy t = toy_new(1, 0.01);
    calls c = {0};
    gr_fit_options o = {.epochs = -1, .callbacks = GR_CALLBACKS(counting(&c))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_ARGUMENT);
    ck_assert_int_eq(c.freed, 1);
    ck_assert_int_eq(c.begin + c.end, 0);
    toy_free(&t);
}
END_TEST

/* --- built in --- */

static void expect_refused(gr_callback c, const char *text)
{
    toy t = toy_new(1, 0.01);
    gr_fit_options o = {.epochs = 1, .callbacks = GR_CALLBACKS(c)};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_ERR_ARGUMENT);
    ck_assert_msg(strstr(gr_last_error(), text), "expected '%s', got '%s'", text, gr_last_error());
    toy_free(&t);
}

START_TEST(callbacks_that_cannot_be_are_refused)
{
    expect_refused(gr_early_stop((gr_early_stop_options){.patience = -1}),
                   "gr_fit: early_stop: expected a patience");
    expect_refused(gr_csv_log(""), "gr_fit: csv_log: expected a path");
    expect_refused(gr_csv_log(NULL), "csv_log: expected a path");
    expect_refused(gr_checkpoint(NULL, (gr_checkpoint_options){0}), "checkpoint: expected a path");
    expect_refused(gr_tensorboard("", (gr_tensorboard_options){0}),
                   "tensorboard: expected a folder");
}
END_TEST

START_TEST(an_improvement_below_the_least_does_not_count)
{
    toy t = toy_new(1, 0.001);
    gr_history h;
    gr_early_stop_options early = {.patience = 2, .min_delta = 1000, .keep_last = true};
    gr_fit_options o = {.epochs = 20, .callbacks = GR_CALLBACKS(gr_early_stop(early))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(h.n, 3);
    ck_assert(h.stopped && !h.restored && !h.interrupted);
    gr_history_release(&h);
    toy_free(&t);
}
END_TEST

START_TEST(the_log_has_a_row_per_epoch)
{
    toy t = toy_new(1, 0.01);
    gr_fit_options o = {.epochs = 3,
                        .validation_split = 0.2,
                        .metrics = GR_MEASURE(gr_metric_top_k(3)),
                        .callbacks = GR_CALLBACKS(gr_csv_log(scratch_path("log.csv")))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_OK);
    size_t bytes;
    char *text = scratch_read("log.csv", &bytes);
    ck_assert_ptr_nonnull(text);
    static const char head[] = "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,"
                               "top_k,val_top_k\n1,";
    ck_assert_int_eq(strncmp(text, head, sizeof head - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, ",1,1\n2,")); /* one of three classes is among three */
    int rows = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++) rows++;
    ck_assert_int_eq(rows, 4);
    free(text);
    toy_free(&t);
}
END_TEST

START_TEST(a_plateau_lowers_the_rate)
{
    toy t = toy_new(1, 0.01);
    gr_plateau p = {.threshold = 1000, .absolute = true, .patience = 1, .factor = 0.5};
    gr_fit_options o = {.epochs = 4, .callbacks = GR_CALLBACKS(gr_on_plateau(p))};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_OK);
    ck_assert_double_eq(gr_optimizer_lr(t.opt), 0.005);
    toy_free(&t);
}
END_TEST

static gr_status raise_interrupt(void *self, gr_training *run)
{
    (void)self;
    if (run->step == 7) raise(SIGINT);
    return GR_OK;
}

START_TEST(an_interrupt_finishes_the_step)
{
    toy t = toy_new(1, 0.01);
    gr_history h;
    struct sigaction before, after;
    signal(SIGINT, SIG_DFL); /* a script's background job begins with it ignored */
    sigaction(SIGINT, NULL, &before);
    gr_callback press = {.name = "press", .batch = raise_interrupt};
    gr_fit_options o = {.epochs = 3, .callbacks = GR_CALLBACKS(press, gr_stop_on_interrupt())};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 7);
    ck_assert(h.interrupted);
    sigaction(SIGINT, NULL, &after);
    ck_assert(after.sa_handler == before.sa_handler);
    gr_history_release(&h);
    toy_free(&t);
}
END_TEST

START_TEST(an_interrupt_that_is_ignored_stays_ignored)
{
    toy t = toy_new(1, 0.01);
    gr_callback press = {.name = "press", .batch = raise_interrupt};
    signal(SIGINT, SIG_IGN);
    gr_fit_options o = {.epochs = 3, .callbacks = GR_CALLBACKS(press, gr_stop_on_interrupt())};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_OK);
    ck_assert_int_eq(gr_optimizer_steps(t.opt), 30);
    toy_free(&t);
}
END_TEST

/* --- failures --- */

static gr_status fit_with_all(toy *t)
{
    const char *folder = scratch_folder();
    gr_fit_options o = {.epochs = 2,
                        .validation_split = 0.2,
                        .callbacks = GR_CALLBACKS(
                            gr_stop_on_interrupt(), gr_early_stop((gr_early_stop_options){0}),
                            gr_on_plateau((gr_plateau){0}), gr_csv_log(scratch_path("log.csv")),
                            gr_tensorboard(folder, (gr_tensorboard_options){.histograms = 1}),
                            gr_checkpoint(scratch_path("c"), (gr_checkpoint_options){0}))};
    return gr_fit(t->net, t->opt, data, o, NULL);
}

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        int64_t before = inject_live();
        toy t = toy_new(1, 0.01);
        inject_allocation(n);
        gr_status status = fit_with_all(&t);
        done = !inject_happened();
        inject_none();
        ck_assert_msg((status == GR_OK) == done, "allocation %d: status %d", (int)n, (int)status);
        toy_free(&t);
        ck_assert_int_eq(inject_live(), before);
    }
    inject_end();
}
END_TEST

static void fail_files(inject_call call, const char *text)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        toy t = toy_new(1, 0.01);
        inject_file(call, n);
        gr_status status = fit_with_all(&t);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_FILE);
        ck_assert(done || strstr(gr_last_error(), text));
        toy_free(&t);
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
}

START_TEST(logs_that_cannot_be_written_end_the_training)
{
    fail_files(INJECT_WRITE, "cannot write");
    fail_files(INJECT_SHORT_WRITE, "cannot write");
}
END_TEST

SUITE("callbacks", setup, teardown, every_part_of_a_training_is_told,
      a_callback_stops_after_the_step, a_failing_callback_ends_the_training,
      callbacks_are_freed_when_options_are_refused, callbacks_that_cannot_be_are_refused,
      an_improvement_below_the_least_does_not_count, the_log_has_a_row_per_epoch,
      a_plateau_lowers_the_rate, an_interrupt_finishes_the_step,
      an_interrupt_that_is_ignored_stays_ignored, memory_that_runs_out_is_an_error_and_no_leak,
      logs_that_cannot_be_written_end_the_training)
