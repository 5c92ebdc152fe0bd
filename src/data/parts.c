/* parts.c - a data set divided into parts for training, validation and test.
 *
 * Samples are put into a random order; stratified, those of one class follow each other in it. A
 * split cuts each group (all samples, or those of one class) in proportion; fold f of k takes
 * every k-th place.
 */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "shuffle.h"

#include <stdio.h>
#include <string.h>

enum { STREAM = 0x70617274 }; /* keeps it apart from other uses of the same seed */

typedef enum part { TRAIN, VALIDATION, TEST, PARTS } part;

typedef struct division {
    const char *who; /* in errors */
    const gr_dataset *d;
    const int64_t *y;    /* labels; NULL without classes */
    int64_t *held;       /* when they had to be read */
    int64_t *order;      /* [n] */
    unsigned char *part; /* [n], of each sample */
} division;

/* --- the order --- */

static gr_status division_init(division *v, const char *who, const gr_dataset *d,
                               const gr_split_options *o)
{
    *v = (division){.who = who, .d = d};
    if (gr__need(who, d, "data set")) return GR_ERR_ARGUMENT;
    if (d->n < 1) return gr__fail(GR_ERR_ARGUMENT, "%s: the data set is empty", who);
    if (o->stratified && d->classes < 1)
        return gr__fail(GR_ERR_ARGUMENT, "%s: stratified, but the data set has no classes", who);
    v->y = d->classes ? gr__labels(d, &v->held) : NULL;
    if (d->classes && !v->y) return GR_ERR_MEMORY;
    v->order = gr__alloc((size_t)d->n * sizeof *v->order);
    v->part = gr__calloc((size_t)d->n);
    if (!v->order || !v->part) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < d->n; i++) v->order[i] = i;
    gr__shuffle(gr__hash_join(o->seed, STREAM), v->order, d->n);
    return GR_OK;
}

static void division_release(division *v)
{
    gr__free(v->held);
    gr__free(v->order);
    gr__free(v->part);
}

/* Brings the samples of one class together, which keep their random order. */
static gr_status group(division *v)
{
    int64_t n = v->d->n, at = 0;
    int64_t *grouped = gr__alloc((size_t)n * sizeof *grouped);
    int64_t *next = gr__calloc(((size_t)v->d->classes + 1) * sizeof *next);
    if (grouped && next) {
        for (int64_t i = 0; i < n; i++) next[v->y[i] + 1]++;
        for (int c = 0; c < v->d->classes; c++) next[c + 1] += next[c];
        for (; at < n; at++) grouped[next[v->y[v->order[at]]]++] = v->order[at];
        memcpy(v->order, grouped, (size_t)n * sizeof *grouped);
    }
    gr__free(grouped);
    gr__free(next);
    return at == n ? GR_OK : GR_ERR_MEMORY;
}

/* --- parts --- */

/* Cuts a group of n in proportion; one sample at least is for training. */
static void cut(division *v, const int64_t *group_order, int64_t n, const gr_split_options *o)
{
    int64_t test = (int64_t)((double)n * o->test + 0.5);
    if (test >= n) test = n - 1;
    int64_t validation = (int64_t)((double)n * o->validation + 0.5);
    if (test + validation >= n) validation = n - 1 - test;
    for (int64_t i = 0; i < test + validation; i++)
        v->part[group_order[i]] = i < test ? TEST : VALIDATION;
}

static void cut_groups(division *v, const gr_split_options *o)
{
    int64_t n = v->d->n;
    for (int64_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n; end++)
            if (o->stratified && v->y[v->order[end]] != v->y[v->order[begin]]) break;
        cut(v, v->order + begin, end - begin, o);
    }
}

/* What was never trained on cannot be recognised. */
static gr_status check_classes(const division *v)
{
    char text[128];
    if (!v->y) return GR_OK;
    int64_t(*counts)[2] = gr__calloc((size_t)v->d->classes * sizeof *counts);
    if (!counts) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < v->d->n; i++) counts[v->y[i]][v->part[i] != TRAIN]++;
    gr_status status = GR_OK;
    for (int c = 0; c < v->d->classes && !status; c++)
        if (!counts[c][0] && counts[c][1])
            status = gr__fail(GR_ERR_ARGUMENT,
                              "%s: class %s is missing from training: all %lld of its samples"
                              " fell to other parts (stratified, every class is trained on)",
                              v->who, gr__class_text(v->d, c, text), (long long)counts[c][1]);
    gr__free(counts);
    return status;
}

/* The samples of one part, in the order of the data set. */
static gr_status gather(const division *v, part which, gr_dataset **to)
{
    static const char *const names[PARTS] = {"training", "validation", "test"};
    int64_t n = 0;
    int64_t *index = v->order; /* no longer needed */
    for (int64_t i = 0; i < v->d->n; i++)
        if (v->part[i] == which) index[n++] = i;
    if (n == 0)
        return gr__fail(GR_ERR_ARGUMENT, "%s: no samples for %s: there are only %lld", v->who,
                        names[which], (long long)v->d->n);
    *to = gr_dataset_subset(v->d, index, n);
    return *to ? GR_OK : GR_ERR_MEMORY;
}

static gr_status gather_all(const division *v, bool validation, bool test, gr_parts *parts)
{
    gr_status status = check_classes(v);
    if (!status) status = gather(v, TRAIN, &parts->train);
    if (!status && validation) status = gather(v, VALIDATION, &parts->validation);
    if (!status && test) status = gather(v, TEST, &parts->test);
    return status;
}

/* Frees all parts. */
void gr_parts_release(gr_parts *parts)
{
    if (!parts) return;
    gr_dataset_free(parts->train);
    gr_dataset_free(parts->validation);
    gr_dataset_free(parts->test);
    *parts = (gr_parts){0};
}

/* Divides a data set at random into copies of its samples, each part in the order of d.
 *
 * o  validation, test  fractions, each 0 <= f and together below 1; a part of 0 stays NULL
 *    stratified        every class in proportion, rounded, and at least one of each in training
 *    seed              the same seed gives the same parts
 *
 * Parts of a data set that is read on demand still read from d, which must outlive them. Errors: a
 * fraction out of range, a part without samples, a class that training would not see; *parts is
 * then empty. Otherwise it is the caller's, to be freed with gr_parts_release. */
gr_status gr_split_dataset(const gr_dataset *d, gr_split_options o, gr_parts *parts)
{
    division v;
    if (gr__need("split", parts, "place for the parts")) return GR_ERR_ARGUMENT;
    *parts = (gr_parts){0};
    if (!(o.validation >= 0 && o.test >= 0 && o.validation + o.test < 1))
        return gr__fail(GR_ERR_ARGUMENT,
                        "split: expected fractions of at least 0 that leave some for training,"
                        " got %g for validation and %g for test",
                        o.validation, o.test);
    gr_status status = division_init(&v, "split", d, &o);
    if (!status && o.stratified) status = group(&v);
    if (!status) cut_groups(&v, &o);
    if (!status) status = gather_all(&v, o.validation > 0, o.test > 0, parts);
    division_release(&v);
    if (status) gr_parts_release(parts);
    return status;
}

/* One of `folds` divisions in which every sample is validated on exactly once: fold 0, 1, ...
 * take what the others train on. o.seed and o.stratified as in gr_split_dataset, errors too. */
gr_status gr_k_fold(const gr_dataset *d, int folds, int fold, gr_split_options o, gr_parts *parts)
{
    division v;
    if (gr__need("k-fold", parts, "place for the parts")) return GR_ERR_ARGUMENT;
    *parts = (gr_parts){0};
    if (gr__need("k-fold", d, "data set")) return GR_ERR_ARGUMENT;
    if (folds < 2 || folds > d->n || fold < 0 || fold >= folds)
        return gr__fail(GR_ERR_ARGUMENT,
                        "k-fold: expected 2 to %lld folds (a sample for each) and a fold below"
                        " that, got fold %d of %d",
                        (long long)d->n, fold, folds);
    gr_status status = division_init(&v, "k-fold", d, &o);
    if (!status && o.stratified) status = group(&v);
    for (int64_t i = fold; i < d->n && !status; i += folds) v.part[v.order[i]] = VALIDATION;
    if (!status) status = gather_all(&v, true, false, parts);
    division_release(&v);
    if (status) gr_parts_release(parts);
    return status;
}

/* Weights for gr_loader_options with which every class is drawn equally often: 1 over the number
 * of samples of the class. weights [n]. GR_ERR_ARGUMENT without classes. */
gr_status gr_class_weights(const gr_dataset *d, double *weights)
{
    int64_t *held = NULL;
    if (gr__need("class weights", d, "data set") ||
        gr__need_array("class weights", weights, d->n, "array of weights"))
        return GR_ERR_ARGUMENT;
    if (d->classes < 1)
        return gr__fail(GR_ERR_ARGUMENT, "class weights: the data set has no classes");
    const int64_t *y = gr__labels(d, &held);
    int64_t *counts = y ? gr__calloc((size_t)d->classes * sizeof *counts) : NULL;
    for (int64_t i = 0; counts && i < d->n; i++) counts[y[i]]++;
    for (int64_t i = 0; counts && i < d->n; i++) weights[i] = 1 / (double)counts[y[i]];
    gr_status status = counts ? GR_OK : GR_ERR_MEMORY;
    gr__free(counts);
    gr__free(held);
    return status;
}
