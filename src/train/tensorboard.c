/* tensorboard.c - the history, and histograms of the weights, for TensorBoard. */
/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "events.h"
#include "fit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct tensorboard {
    gr_tensorboard_options o;
    char path[4096]; /* of the folder, then of the file in it */
    bool named;
} tensorboard;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Files of one folder are read in the order of the times in their names. */
static void name_file(tensorboard *b, gr__text *out)
{
    size_t n = strlen(b->path);
    if (b->named) return;
    snprintf(b->path + n, sizeof b->path - n, "/events.out.tfevents.%010lld.%ld.gradus",
             (long long)time(NULL), (long)getpid());
    b->named = true;
    gr__event_version(out, now());
}

static void add_scalars(gr__text *out, const gr_training *run)
{
    const gr_epoch *e = &run->history->epochs[run->history->n - 1];
    const gr_metric *m = run->options->metrics;
    const struct {
        const char *tag;
        double value;
    } rows[] = {{"loss/train", e->loss},
                {"loss/validation", e->val_loss},
                {"accuracy/train", e->accuracy},
                {"accuracy/validation", e->val_accuracy},
                {"learning_rate", e->lr}};
    double time = now();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!isnan(rows[i].value))
            gr__event_scalar(out, time, e->epoch, rows[i].tag, rows[i].value);
    for (int i = 0; m && m[i].name; i++) {
        char tag[160];
        snprintf(tag, sizeof tag, "%s/train", m[i].name);
        gr__event_scalar(out, time, e->epoch, tag, e->metric[i]);
        snprintf(tag, sizeof tag, "%s/validation", m[i].name);
        if (!isnan(e->val_loss)) gr__event_scalar(out, time, e->epoch, tag, e->val_metric[i]);
    }
}

static void add_histograms(gr__text *out, const gr_training *run)
{
    gr_model *m = gr_module_model(run->net);
    for (int i = 0; i < gr_model_params(m); i++) {
        const gr_param *p = gr_model_param(m, i);
        const char *name = gr_model_param_name(m, i);
        out->failed |= !*name; /* memory ran out while it was put together */
        gr__event_histogram(out, now(), run->history->n, name, gr_param_dtype(p), gr_param_data(p),
                            gr_shape_numel(gr_param_shape(p)));
    }
}

static gr_status write_epoch(void *self, gr_training *run)
{
    tensorboard *b = self;
    gr__text out = {0};
    name_file(b, &out);
    add_scalars(&out, run);
    if (b->o.histograms > 0 && run->history->n % b->o.histograms == 0) add_histograms(&out, run);
    gr_status status = out.failed ? GR_ERR_MEMORY : gr__file_append(b->path, out.data, out.len);
    gr__text_release(&out);
    return status;
}

/* Writes an event file into a folder, which must be there: loss, accuracy, rate and metrics after
 * each epoch, and histograms of all weights where asked for. `tensorboard --logdir folder` shows
 * them while the training goes on. */
gr_callback gr_tensorboard(const char *folder, gr_tensorboard_options o)
{
    gr_callback c = {.name = "tensorboard", .epoch = write_epoch, .free = gr__free};
    tensorboard *b = gr__calloc(sizeof *b);
    size_t n = folder ? strlen(folder) : 0;
    c.self = b;
    if (n == 0) snprintf(c.problem, sizeof c.problem, "expected a folder");
    else if (!b) snprintf(c.problem, sizeof c.problem, "out of memory");
    else if (n + 80 > sizeof b->path) snprintf(c.problem, sizeof c.problem, "the path is too long");
    else {
        memcpy(b->path, folder, n);
        b->o = o;
    }
    return c;
}
