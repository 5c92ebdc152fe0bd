/* train.h - training with one call: fit, evaluate, predict; what is measured, watched and saved. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_TRAIN_H
#define GRADUS_TRAIN_H

#include <gradus/data.h>
#include <gradus/io.h>
#include <gradus/optim.h>
#include <gradus/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- what is minimised, and what is measured besides --- */

typedef gr_tensor *gr_loss_fn(gr_tensor *output, gr_tensor *target); /* a mean over the batch: gr_cross_entropy, gr_mse, one of yours */

#define GR_METRICS 4 /* at most so many at a time */

/* A mean over samples, recorded beside the loss. */
typedef struct gr_metric gr_metric;
struct gr_metric {
    const char *name;
    gr_tensor *(*record)(const gr_metric *self, gr_tensor *output, gr_tensor *target); /* one element: the mean over the batch */
    double (*finish)(double mean); /* of the mean over all samples; NULL: as it is */
    int k;                         /* of top_k */
};
GR_API gr_metric gr_metric_accuracy(void);   /* the largest output is the class */
GR_API gr_metric gr_metric_top_k(int k);     /* the class is among the k largest */
GR_API gr_metric gr_metric_perplexity(void); /* exp of the mean cross-entropy */
GR_API gr_metric gr_metric_mse(void);
GR_API gr_metric gr_metric_mae(void);
#ifndef __cplusplus
#define GR_MEASURE(...) ((const gr_metric[]){__VA_ARGS__, {0}}) /* .metrics = GR_MEASURE(gr_metric_top_k(5)) */
#endif

/* --- fit --- */

/* What one epoch measured; accuracies are fractions, losses means per sample. */
typedef struct gr_epoch {
    int epoch; /* 1 is the first */
    double loss, accuracy;         /* over the training batches, as they were trained on */
    double val_loss, val_accuracy; /* NaN without validation data */
    double lr;                     /* at the end of the epoch */
    double seconds;
    double metric[GR_METRICS], val_metric[GR_METRICS];
} gr_epoch;

typedef struct gr_history {
    int n;
    gr_epoch *epochs;
    int best;         /* index of the epoch with the lowest val_loss (loss without validation data) */
    bool stopped;     /* by early stopping */
    bool restored;    /* the weights are those of `best` */
    bool interrupted; /* a callback set `stop`, as at Ctrl-C */
} gr_history;

typedef struct gr_callback gr_callback;

/* Cross-entropy of classes or tokens, the squared error of targets, unless `loss` says otherwise. */
typedef struct gr_fit_options {
    int epochs;                   /* 10 */
    int64_t batch;                /* 32 */
    uint64_t seed;                /* of order, augmentation and dropout */
    double validation_split;      /* this fraction, taken at random, is validated on and not trained on */
    const gr_dataset *validation; /* instead of validation_split */
    gr_loss_fn *loss;             /* NULL: gr_cross_entropy of logits, gr_mse of targets */
    double label_smoothing;       /* of that cross-entropy */
    const gr_metric *metrics;     /* GR_MEASURE(...) */
    int accumulate;               /* one step for so many batches; 0 counts as 1 */
    double gradient_noise;        /* eta: N(0, eta / (1 + t)^0.55) is added to gradients at step t; Neelakantan et al. 2015 */
    int patience;                 /* gr_early_stop; 0: none */
    int shift;                    /* random shifts by up to so many pixels */
    double fill;                  /* what enters at the edge then; 0 */
    gr_loader_options loader;     /* augment, weights, bucket, scaler, prefetch, drop_last; the rest is taken from here */
    gr_precision precision;       /* of products; float32; without fast bfloat16 always that */
    bool one_cycle;               /* the optimizer's rate is the peak of a one-cycle schedule */
    bool progress;                /* gr_progress */
    const gr_callback *callbacks; /* GR_CALLBACKS(...), called in this order; gr_fit frees them */
    gr_profile *profile;          /* counts what is computed; NULL: nobody does */
    const char *resume;           /* goes on from this checkpoint; NULL: from the start */
} gr_fit_options;

GR_API gr_status gr_fit(gr_module *net, gr_optimizer *opt, const gr_dataset *train, gr_fit_options o, gr_history *history); /* history may be NULL */
GR_API void gr_history_release(gr_history *h);

/* --- callbacks --- */

/* A fit that is going on. */
typedef struct gr_training {
    gr_module *net;
    gr_optimizer *opt;
    gr_graph *graph;            /* holds the last batch until the next */
    const gr_fit_options *options;
    const gr_history *history;  /* of finished epochs */
    gr_epoch now;              /* of the running epoch: means so far */
    int64_t batch, batches;     /* done in this epoch, and all of it */
    int64_t step;               /* updates since the first epoch */
    bool stop;                  /* set it, and training ends after this step */
} gr_training;

GR_API gr_status gr_save_training(gr_training *run, const char *path); /* all that going on takes; in `batch`, `epoch` and `end` */

/* Any function may be NULL; all but `end` and `free` end the training by anything but GR_OK. */
struct gr_callback {
    const char *name; /* "early_stop" */
    gr_status (*begin)(void *self, gr_training *run); /* before the first batch, and before a checkpoint is read */
    gr_status (*batch)(void *self, gr_training *run); /* after each update */
    gr_status (*epoch)(void *self, gr_training *run); /* after an epoch and its validation: the last of the history */
    gr_status (*end)(void *self, gr_training *run, gr_status status); /* of the training */
    gr_status (*states)(void *self, gr_visit *visit, void *user); /* what a checkpoint is to hold of it */
    void (*free)(void *self);
    void *self;
    char problem[GR_PROBLEM]; /* "": none; else gr_fit refuses it */
};
#ifndef __cplusplus
#define GR_CALLBACKS(...) ((const gr_callback[]){__VA_ARGS__, {0}})
#endif

typedef struct gr_early_stop_options {
    int patience;      /* 5: epochs without a better val_loss (loss without validation data) that are borne */
    double min_delta;  /* 0: less is not better */
    bool keep_last;    /* else the best weights are restored */
} gr_early_stop_options;
GR_API gr_callback gr_early_stop(gr_early_stop_options o);

typedef struct gr_checkpoint_options {
    int epochs;     /* 1: every so many; negative: only at the end */
    int64_t steps;  /* 0; every so many besides */
    bool best;      /* only after the best epoch so far */
} gr_checkpoint_options;
GR_API gr_callback gr_checkpoint(const char *path, gr_checkpoint_options o); /* one file, replaced whole; also when training is stopped */
GR_API gr_callback gr_stop_on_interrupt(void);     /* Ctrl-C: the step is finished, run->stop; a second one kills */
GR_API gr_callback gr_csv_log(const char *path);   /* the history, after each epoch */
GR_API gr_callback gr_progress(void);              /* a bar on standard error (plain lines where that is no terminal) */
GR_API gr_callback gr_on_plateau(gr_plateau p);    /* gr_plateau_step of the val_loss */

typedef struct gr_tensorboard_options {
    int histograms; /* of all weights, every so many epochs; 0: none */
} gr_tensorboard_options;
GR_API gr_callback gr_tensorboard(const char *folder, gr_tensorboard_options o); /* an event file for TensorBoard */

/* --- evaluate, predict --- */

typedef struct gr_evaluation {
    double loss, accuracy;
    int64_t n;
    double metric[GR_METRICS];
} gr_evaluation;
/* confusion: NULL, or [classes, classes] counts, rows the true class, columns the predicted. */
GR_API gr_status gr_evaluate(gr_module *net, const gr_dataset *d, gr_evaluation *e, int64_t *confusion);

typedef struct gr_evaluate_options {
    gr_loss_fn *loss;
    const gr_metric *metrics;
    int64_t *confusion;
} gr_evaluate_options;
GR_API gr_status gr_evaluate_with(gr_module *net, const gr_dataset *d, gr_evaluate_options o, gr_evaluation *e);

/* classes: [n]; probability: NULL, or [n] of the chosen class. */
GR_API gr_status gr_predict(gr_module *net, const gr_dataset *d, int64_t *classes, double *probability);
GR_API gr_status gr_predict_outputs(gr_module *net, const gr_dataset *d, float *outputs, int64_t size); /* [n, size]: all that the network gives */

#ifdef __cplusplus
}
#endif
#endif
