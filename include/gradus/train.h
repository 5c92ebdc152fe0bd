/* train.h - training with one call: fit, evaluate, predict. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_TRAIN_H
#define GRADUS_TRAIN_H

#include <gradus/data.h>
#include <gradus/optim.h>
#include <gradus/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one epoch measured; accuracies are fractions, losses means per sample. */
typedef struct gr_epoch {
    int epoch; /* 1 is the first */
    double loss, accuracy;         /* over the training batches, as they were trained on */
    double val_loss, val_accuracy; /* NaN without validation data */
    double lr;                     /* at the end of the epoch */
    double seconds;
} gr_epoch;

typedef struct gr_history {
    int n;
    gr_epoch *epochs;
    int best;       /* index of the epoch with the lowest val_loss (loss without validation data) */
    bool stopped;   /* by early stopping */
    bool restored;  /* the weights are those of `best` */
} gr_history;

/* Classification with cross-entropy. */
typedef struct gr_fit_options {
    int epochs;                   /* 10 */
    int64_t batch;                /* 32 */
    uint64_t seed;                /* of order, augmentation and dropout */
    double validation_split;      /* this fraction, taken at random, is validated on and not trained on */
    const gr_dataset *validation; /* instead of validation_split */
    int patience;                 /* stop after so many epochs without a better val_loss, and go back to the best weights; 0: neither */
    int shift;                    /* random shifts by up to so many pixels */
    double fill;                  /* what enters at the edge then; 0 */
    bool one_cycle;               /* the optimizer's rate is the peak of a one-cycle schedule */
    bool progress;                /* a bar on standard error (plain lines where that is no terminal) */
    gr_profile *profile;          /* counts what is computed; NULL: nobody does */
    void (*on_epoch)(void *user, const gr_epoch *e);
    void *user;
} gr_fit_options;

GR_API gr_status gr_fit(gr_module *net, gr_optimizer *opt, const gr_dataset *train, gr_fit_options o, gr_history *history); /* history may be NULL */
GR_API void gr_history_release(gr_history *h);

typedef struct gr_evaluation {
    double loss, accuracy;
    int64_t n;
} gr_evaluation;
/* confusion: NULL, or [classes, classes] counts, rows the true class, columns the predicted. */
GR_API gr_status gr_evaluate(gr_module *net, const gr_dataset *d, gr_evaluation *e, int64_t *confusion);
/* classes: [n]; probability: NULL, or [n] of the chosen class. */
GR_API gr_status gr_predict(gr_module *net, const gr_dataset *d, int64_t *classes, double *probability);

#ifdef __cplusplus
}
#endif
#endif
