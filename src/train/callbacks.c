/* callbacks.c - what can be done while a network is trained: stop early, log, lower the rate, show. */
/* SPDX-License-Identifier: MIT */
#include "fit.h"
#include "progress.h"
#include "snapshot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A callback that owns `bytes` zeroed bytes of state, which `free` gives back. */
static gr_callback make(const char *name, size_t bytes)
{
    gr_callback c = {.name = name, .free = gr__free};
    c.self = gr__calloc(bytes);
    if (!c.self) snprintf(c.problem, sizeof c.problem, "out of memory");
    return c;
}

/* --- early stopping --- */

typedef struct early_stop {
    gr_early_stop_options o;
    gr__snapshot best;
    double least;
    int64_t since, taken; /* epochs since the best one; whether there was one */
} early_stop;

static gr_status stop_begin(void *self, gr_training *run)
{
    early_stop *s = self;
    return s->o.keep_last ? GR_OK : gr__snapshot_init(&s->best, gr_module_model(run->net));
}

static gr_status stop_epoch(void *self, gr_training *run)
{
    early_stop *s = self;
    double value = gr__watched(run, run->history->n - 1);
    if (!s->taken || value < s->least - s->o.min_delta) {
        s->least = value;
        s->since = 0;
        s->taken = 1;
        if (!s->o.keep_last) gr__snapshot_take(&s->best);
    } else s->since++;
    if (s->since < s->o.patience) return GR_OK;
    run->stop = gr__fit_of(run)->history.stopped = true;
    return GR_OK;
}

/* A training that was interrupted goes on later, and so keeps its weights. */
static gr_status stop_end(void *self, gr_training *run, gr_status status)
{
    early_stop *s = self;
    gr_history *h = &gr__fit_of(run)->history;
    if (status || h->interrupted || s->o.keep_last || !s->taken || s->since == 0) return GR_OK;
    gr__snapshot_restore(&s->best);
    h->restored = true;
    return GR_OK;
}

static gr_status stop_states(void *self, gr_visit *visit, void *user)
{
    early_stop *s = self;
    gr_status status = visit(user, "least", GR_F64, &GR_SCALAR, &s->least);
    if (!status) status = visit(user, "since", GR_I64, &GR_SCALAR, &s->since);
    if (!status) status = visit(user, "taken", GR_I64, &GR_SCALAR, &s->taken);
    if (status || s->o.keep_last) return status;
    return visit(user, "best", GR_U8, &GR_SHAPE((int64_t)s->best.bytes), s->best.data);
}

static void stop_free(void *self)
{
    early_stop *s = self;
    if (s) gr__snapshot_release(&s->best);
    gr__free(s);
}

/* Stops when so many epochs in a row were no better than the best one, and gives the model the
 * weights of that epoch again. What counts is the validation loss, without validation data the
 * training loss. */
gr_callback gr_early_stop(gr_early_stop_options o)
{
    gr_callback c = make("early_stop", sizeof(early_stop));
    c.begin = stop_begin;
    c.epoch = stop_epoch;
    c.end = stop_end;
    c.states = stop_states;
    c.free = stop_free;
    if (o.patience == 0) o.patience = 5;
    if (o.patience < 0 || !(o.min_delta >= 0))
        snprintf(c.problem, sizeof c.problem,
                 "expected a patience and a min_delta of 0 or more, got %d and %g", o.patience,
                 o.min_delta);
    if (c.self) ((early_stop *)c.self)->o = o;
    return c;
}

/* --- the history as a file --- */

static gr_status csv_epoch(void *self, gr_training *run)
{
    return gr__history_csv(run->history, run->options->metrics, self);
}

/* Writes the history so far, with a column for each metric, to a CSV file after each epoch: complete
 * at any time. path is copied. */
gr_callback gr_csv_log(const char *path)
{
    gr_callback c = {.name = "csv_log", .epoch = csv_epoch, .free = gr__free};
    c.self = path ? gr__strdup(path) : NULL;
    if (!path || !*path) snprintf(c.problem, sizeof c.problem, "expected a path");
    else if (!c.self) snprintf(c.problem, sizeof c.problem, "out of memory");
    return c;
}

/* --- lower rates --- */

typedef struct plateau {
    gr_plateau p;
    int64_t begun; /* p.now.begun, as a number that a file can hold */
} plateau;

static gr_status plateau_epoch(void *self, gr_training *run)
{
    plateau *s = self;
    s->p.now.begun = s->begun != 0;
    gr_status status = gr_plateau_step(&s->p, run->opt, gr__watched(run, run->history->n - 1));
    s->begun = s->p.now.begun;
    return status;
}

static gr_status plateau_states(void *self, gr_visit *visit, void *user)
{
    plateau *s = self;
    gr_status status = visit(user, "begun", GR_I64, &GR_SCALAR, &s->begun);
    if (!status) status = visit(user, "best", GR_F64, &GR_SCALAR, &s->p.now.best);
    if (!status) status = visit(user, "bad", GR_I64, &GR_SCALAR, &s->p.now.bad);
    if (!status) status = visit(user, "cooling", GR_I64, &GR_SCALAR, &s->p.now.cooling);
    return status;
}

/* Lowers the optimizer's rates by gr_plateau_step, told the validation loss after each epoch (the
 * training loss without validation data). */
gr_callback gr_on_plateau(gr_plateau p)
{
    gr_callback c = make("plateau", sizeof(plateau));
    c.epoch = plateau_epoch;
    c.states = plateau_states;
    if (c.self) ((plateau *)c.self)->p = p;
    return c;
}

/* --- progress --- */

typedef struct progress {
    gr__progress bar;
    char title[64];
    bool begun;
} progress;

static void show_metrics(const gr_training *run, const double *values, const char *prefix,
                         char *text, size_t size)
{
    const gr_metric *m = run->options->metrics;
    size_t used = strlen(text);
    for (int i = 0; m && m[i].name && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "  %s%s %.4g", prefix, m[i].name,
                                 values[i]);
}

static void describe(const gr_training *run, const gr_epoch *e, bool whole, char *text, size_t size)
{
    int n = snprintf(text, size, "loss %.4f", e->loss);
    if (!isnan(e->accuracy))
        snprintf(text + n, size - (size_t)n, "  accuracy %.2f%%", 100 * e->accuracy);
    show_metrics(run, e->metric, "", text, size);
    if (!whole || isnan(e->val_loss)) return;
    size_t used = strlen(text);
    used += (size_t)snprintf(text + used, size - used, "  val_loss %.4f", e->val_loss);
    if (!isnan(e->val_accuracy) && used < size)
        snprintf(text + used, size - used, "  val_accuracy %.2f%%", 100 * e->val_accuracy);
    show_metrics(run, e->val_metric, "val_", text, size);
}

/* A class that is never seen cannot be learned: worth a line before the first epoch. */
static gr_status progress_begin(void *self, gr_training *run)
{
    const gr_dataset *d = gr__fit_of(run)->train;
    (void)self;
    if (!d->y || d->classes < 2) return GR_OK;
    int64_t *count = gr__calloc((size_t)d->classes * sizeof *count);
    int missing = 0, first = 0;
    if (!count) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < d->n; i++) count[d->y[i]]++;
    for (int c = d->classes - 1; c >= 0; c--) {
        if (count[c]) continue;
        missing++;
        first = c;
    }
    gr__free(count);
    if (missing == 1) fprintf(stderr, "no training sample is of class %d\n", first);
    if (missing > 1)
        fprintf(stderr, "no training sample is of class %d, nor of %d others\n", first,
                missing - 1);
    return GR_OK;
}

static gr_status progress_batch(void *self, gr_training *run)
{
    progress *p = self;
    char note[400];
    if (!p->begun) {
        int digits = snprintf(NULL, 0, "%d", run->options->epochs);
        snprintf(p->title, sizeof p->title, "epoch %*d/%d", digits, run->now.epoch,
                 run->options->epochs);
        gr__progress_begin(&p->bar, stderr, p->title, run->batches);
        p->begun = true;
    }
    if (!gr__progress_due(&p->bar)) return GR_OK;
    describe(run, &run->now, false, note, sizeof note);
    gr__progress_show(&p->bar, run->batch, "%s", note);
    return GR_OK;
}

static gr_status progress_epoch(void *self, gr_training *run)
{
    progress *p = self;
    char note[800];
    describe(run, &run->history->epochs[run->history->n - 1], true, note, sizeof note);
    if (p->begun) gr__progress_end(&p->bar, "%s", note);
    p->begun = false;
    return GR_OK;
}

static gr_status progress_end(void *self, gr_training *run, gr_status status)
{
    progress *p = self;
    char note[400];
    if (!p->begun) return GR_OK;
    describe(run, &run->now, false, note, sizeof note);
    gr__progress_end(&p->bar, "%s  %s", status ? "failed" : "stopped", note);
    return GR_OK;
}

/* On standard error a bar with step, rate, time left, loss and metrics; where that is no terminal, a
 * plain line per epoch. NO_COLOR and TERM=dumb are respected. Classes that no training sample has are
 * named first. */
gr_callback gr_progress(void)
{
    gr_callback c = make("progress", sizeof(progress));
    c.begin = progress_begin;
    c.batch = progress_batch;
    c.epoch = progress_epoch;
    c.end = progress_end;
    return c;
}
