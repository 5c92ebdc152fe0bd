/* fit.h - a fit that is going on: what the files of src/train share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FIT_H
#define GR__FIT_H

#include "evaluate.h"

/* Sums over the samples of the running epoch; an array of numbers in a checkpoint. */
typedef struct gr__sums {
    double loss, hits, count, n, metric[GR_METRICS]; /* means are over count; n: samples drawn */
} gr__sums;

/* Where a run is: "fit.place" of a checkpoint. What it depends on is there to be compared. */
typedef struct gr__place {
    int64_t epochs, batch, step, best, samples, batch_size, accumulate, seed;
} gr__place;

typedef struct gr__fit {
    gr_training run; /* the first member: callbacks hold a pointer to it */
    gr_fit_options o;
    gr_history history;
    gr__measures measures;
    const void *site;
    const gr_dataset *train, *validation; /* validation NULL: none */
    gr_parts parts;                       /* of a split */
    gr_loader *loader;
    gr_loader *val_loader;
    gr_graph *graph;
    gr_callback *callbacks;
    int n_callbacks;
    gr__sums sums;
    gr__place place; /* as it is saved */
    bool loading;    /* a checkpoint is being read */
} gr__fit;

static inline gr__fit *gr__fit_of(gr_training *run)
{
    return (gr__fit *)run;
}

/* What early stopping and the best epoch go by: val_loss, without validation data loss. */
double gr__watched(const gr_training *run, int epoch);

/* --- step.c --- */

/* Draws batches up to one update; *more is false at the end of the epoch. */
gr_status gr__fit_step(gr__fit *f, bool *more);

/* The first parameter that holds a NaN or an infinity; NULL: none. */
const char *gr__spoiled_param(gr_model *m);

/* --- checkpoint.c --- */

/* Goes on from a checkpoint, or leaves everything as it is and says why it cannot. */
gr_status gr__resume(gr__fit *f, const char *path);

/* --- report.c --- */

/* gr_history_csv with two more columns for each metric; metrics may be NULL. */
gr_status gr__history_csv(const gr_history *h, const gr_metric *metrics, const char *path);

#endif
