/* scores.c - metrics of predictions that lie in memory. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <gradus/measure.h>
#include <math.h>
#include <string.h>

/* Whether there is nothing to count: no samples, or an array is missing, which is said. */
static bool nothing(const char *who, const void *predicted, const void *truth, int64_t n)
{
    return n < 1 || gr__need(who, predicted, "array of predictions") ||
           gr__need(who, truth, "array of truths");
}

/* --- classes --- */

/* The part of predictions that is right; NaN when there are none. */
double gr_accuracy(const int64_t *predicted, const int64_t *truth, int64_t n)
{
    int64_t hits = 0;
    if (nothing("gr_accuracy", predicted, truth, n)) return NAN;
    for (int64_t i = 0; i < n; i++) hits += predicted[i] == truth[i];
    return (double)hits / (double)n;
}

/* How many classes score higher than `at`; of equals the one that comes first is higher. */
static int rank_of(const float *scores, int classes, int64_t at)
{
    int rank = 0;
    for (int64_t c = 0; c < classes; c++)
        rank += scores[c] > scores[at] || (scores[c] == scores[at] && c < at);
    return rank;
}

/* The part of samples whose class is among the k with the highest scores [n, classes]. Of equal
 * scores the first class is the higher. A label out of range, or with a NaN as its score, is a miss. */
double gr_top_k(const float *scores, const int64_t *truth, int64_t n, int classes, int k)
{
    int64_t hits = 0;
    if (nothing("gr_top_k", scores, truth, n)) return NAN;
    for (int64_t i = 0; i < n; i++) {
        const float *row = scores + i * classes;
        bool valid = truth[i] >= 0 && truth[i] < classes && !isnan(row[truth[i]]);
        hits += valid && rank_of(row, classes, truth[i]) < k;
    }
    return (double)hits / (double)n;
}

/* Counts, rows the true class, columns the predicted one; samples with one out of range are left out.
 *
 * confusion  [classes, classes] that gets them */
void gr_confusion(const int64_t *predicted, const int64_t *truth, int64_t n, int classes,
                  int64_t *confusion)
{
    if (gr__need_array("gr_confusion", confusion, classes, "matrix")) return;
    memset(confusion, 0, (size_t)classes * (size_t)classes * sizeof *confusion);
    if (nothing("gr_confusion", predicted, truth, n)) return;
    for (int64_t i = 0; i < n; i++) {
        int64_t p = predicted[i], t = truth[i];
        if (p >= 0 && p < classes && t >= 0 && t < classes) confusion[t * classes + p]++;
    }
}

static double ratio(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static gr_score score_of(const int64_t *confusion, int classes, int c)
{
    int64_t said = 0, is = 0, right = confusion[c * classes + c];
    for (int i = 0; i < classes; i++) {
        said += confusion[i * classes + c];
        is += confusion[c * classes + i];
    }
    return (gr_score){ratio(right, said), ratio(right, is), ratio(2 * right, said + is), is};
}

static void add(gr_score *sum, const gr_score *s, double weight)
{
    sum->precision += weight * s->precision;
    sum->recall += weight * s->recall;
    sum->f1 += weight * s->f1;
    sum->support += s->support;
}

/* Precision, recall and F1 of every class and their means, from a confusion matrix [classes,
 * classes] as gr_evaluate and gr_confusion give it. In the macro means a class that never occurs
 * counts as 0. All NaN for an empty matrix.
 *
 * each  [classes] that gets those of every class; or NULL */
gr_scores gr_class_scores(const int64_t *confusion, int classes, gr_score *each)
{
    gr_scores s = {0};
    int64_t n = 0, right = 0;
    if (gr__need_array("gr_class_scores", confusion, classes, "matrix")) classes = 0;
    for (int i = 0; i < classes * classes; i++) n += confusion[i];
    if (n == 0) return (gr_scores){NAN, {NAN, NAN, NAN, 0}, {NAN, NAN, NAN, 0}};
    for (int c = 0; c < classes; c++) {
        gr_score one = score_of(confusion, classes, c);
        right += confusion[c * classes + c];
        add(&s.macro, &one, 1.0 / classes);
        add(&s.weighted, &one, (double)one.support / (double)n);
        if (each) each[c] = one;
    }
    s.accuracy = (double)right / (double)n;
    return s;
}

/* --- numbers --- */

/* Mean squared and absolute error, and the share of the variance that is explained: 1 is perfect, 0
 * as good as the mean. r2 is NaN where all truths are the same. */
gr_regression gr_regression_scores(const float *predicted, const float *truth, int64_t n)
{
    double mean = 0, squares = 0, absolute = 0, around = 0;
    if (nothing("gr_regression_scores", predicted, truth, n)) return (gr_regression){NAN, NAN, NAN};
    for (int64_t i = 0; i < n; i++) mean += (double)truth[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double off = (double)predicted[i] - (double)truth[i], from = (double)truth[i] - mean;
        squares += off * off;
        absolute += fabs(off);
        around += from * from;
    }
    return (gr_regression){squares / (double)n, absolute / (double)n,
                           around > 0 ? 1 - squares / around : NAN};
}

/* How many equally likely choices a cross-entropy in nats is worth. */
double gr_perplexity(double loss)
{
    return exp(loss);
}
