/* measure.h - metrics of predictions, a verdict on a fit, and the search for hyperparameters. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_MEASURE_H
#define GRADUS_MEASURE_H

#include <gradus/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- metrics of what lies in memory; NaN where there is nothing to measure --- */

GR_API double gr_accuracy(const int64_t *predicted, const int64_t *truth, int64_t n);
GR_API double gr_top_k(const float *scores, const int64_t *truth, int64_t n, int classes, int k); /* scores [n, classes] */
GR_API void gr_confusion(const int64_t *predicted, const int64_t *truth, int64_t n, int classes, int64_t *confusion); /* [classes, classes] */

/* A class that is never predicted has precision 0, one that never occurs recall 0. */
typedef struct gr_score {
    double precision; /* of what was said to be the class, the part that is */
    double recall;    /* of the class, the part that was found */
    double f1;        /* 2 precision recall / (precision + recall) */
    int64_t support;  /* how many there are */
} gr_score;
typedef struct gr_scores {
    double accuracy;
    gr_score macro;    /* means over the classes */
    gr_score weighted; /* means over the classes by support */
} gr_scores;
GR_API gr_scores gr_class_scores(const int64_t *confusion, int classes, gr_score *each); /* each: NULL or [classes] */

typedef struct gr_regression {
    double mse, mae;
    double r2; /* 1 - sum (t - y)^2 / sum (t - mean t)^2 */
} gr_regression;
GR_API gr_regression gr_regression_scores(const float *predicted, const float *truth, int64_t n);

GR_API double gr_perplexity(double loss); /* exp of a cross-entropy in nats */

/* A sentence of token numbers. */
typedef struct gr_sentence {
    const int64_t *tokens;
    int64_t n;
} gr_sentence;
typedef struct gr_bleu {
    double score;        /* 0 .. 1: brevity exp(mean of log precision) */
    double precision[4]; /* of 1, 2, 3 and 4 tokens */
    double brevity;      /* exp(1 - r/c) where what was said, c, is shorter than the references, r */
} gr_bleu;
/* Of a whole corpus, n sentences with `references` each, in [n, references]; Papineni et al. 2002, without smoothing. */
GR_API gr_bleu gr_corpus_bleu(const gr_sentence *said, const gr_sentence *truth, int64_t n, int references);

/* --- does it underfit, does it overfit? --- */

typedef struct gr_fit_report {
    gr_evaluation train, validation, test; /* n 0: not given */
    double bias;     /* error on the training data beyond the one aimed at */
    double variance; /* error on the validation data (test data without it) beyond that on the training data */
    char verdict[400];
} gr_fit_report;
typedef struct gr_report_options {
    double goal;      /* 0: the error (1 - accuracy) that can be reached, such as a person's */
    double tolerance; /* 0.02: less bias or variance is none */
} gr_report_options;
GR_API gr_status gr_report_fit(gr_module *net, const gr_dataset *train, const gr_dataset *validation, const gr_dataset *test, gr_report_options o, gr_fit_report *r); /* data sets may be NULL, but for train */
GR_API size_t gr_fit_report_text(const gr_fit_report *r, char *text, size_t size);  /* a table and the verdict; as snprintf */
GR_API gr_status gr_history_csv(const gr_history *h, const char *path);
GR_API gr_status gr_history_plot(const gr_history *h, const char *title, const char *path); /* learning curves, SVG */

/* --- search --- */

#define GR_DIMENSIONS 12

typedef struct gr_dimension {
    const char *name;
    double low, high;     /* both included */
    bool log;             /* equal ratios are equally likely: learning rates */
    bool whole;           /* whole numbers */
    const double *values; /* or one of these n */
    int n;                /* of values; else points of a grid, 0 counts as 3 */
} gr_dimension;

typedef enum gr_search_kind {
    GR_SEARCH_RANDOM, /* `trials` points; Bergstra, Bengio 2012 */
    GR_SEARCH_GRID,   /* every combination */
    GR_SEARCH_HALVING /* `trials` points with a small budget, the best 1/eta of them with eta times as much, ...; Jamieson, Talwalkar 2016 */
} gr_search_kind;

/* Trains with x [n] and this budget (epochs, say), gives what is to be small. A failure or a NaN counts as the worst. */
typedef gr_status gr_trial_fn(void *user, const double *x, int budget, double *score);

typedef struct gr_search_options {
    gr_search_kind kind;
    int trials;      /* 16 */
    int budget;      /* 1: the most for one trial */
    int eta;         /* 3 */
    uint64_t seed;
    bool progress;
} gr_search_options;

typedef struct gr_trial {
    double x[GR_DIMENSIONS];
    int budget;
    double score; /* NaN: it failed */
    double seconds;
} gr_trial;
typedef struct gr_search_results {
    const gr_dimension *space; /* the caller's */
    int dimensions;
    int n, best;     /* best: -1 when all failed */
    gr_trial *trials; /* in the order of their running */
} gr_search_results;

GR_API gr_status gr_search(const gr_dimension *space, int dimensions, gr_trial_fn *trial, void *user, gr_search_options o, gr_search_results *r);
GR_API void gr_search_release(gr_search_results *r);
GR_API size_t gr_search_text(const gr_search_results *r, char *text, size_t size); /* a table, the best first; as snprintf */
GR_API gr_status gr_search_save(const gr_search_results *r, const char *path);     /* .json, .csv or .svg */

#ifdef __cplusplus
}
#endif
#endif
