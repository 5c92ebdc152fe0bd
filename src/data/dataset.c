/* dataset.c - samples and labels in memory. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <gradus/data.h>
#include <math.h>
#include <string.h>

/* The batch axis comes before those of a sample. */
static bool fits(const gr_shape *sample, int64_t n)
{
    if (sample->rank < 0 || sample->rank >= GR_MAX_RANK) return false;
    gr_shape all = {.rank = sample->rank + 1, .dim = {n}};
    memcpy(all.dim + 1, sample->dim, sizeof(int64_t) * (size_t)sample->rank);
    return gr__shape_valid(&all);
}

static int64_t sample_numel(const gr_dataset *d)
{
    return gr_shape_numel(&d->shape);
}

/* Makes a data set of zeros, whose x and y are then to be filled.
 *
 * sample   shape of one sample, rank 0 to 7
 * n        number of samples, 0 or more
 * classes  number of classes, 1 or more; labels are 0 <= y < classes
 *
 * NULL on failure (a negative or too large size, or no memory). The caller frees it with
 * gr_dataset_free. */
gr_dataset *gr_dataset_new(gr_shape sample, int64_t n, int classes)
{
    if (!fits(&sample, n) || classes < 1) {
        char text[GR_SHAPE_TEXT];
        gr__fail(GR_ERR_ARGUMENT,
                 "dataset: cannot make %lld samples %s (rank at most %d) of %d"
                 " classes",
                 (long long)n, gr_shape_text(&sample, text), GR_MAX_RANK - 1, classes);
        return NULL;
    }
    gr_dataset *d = gr__calloc(sizeof *d);
    if (!d) return NULL;
    *d = (gr_dataset){.n = n, .shape = sample, .classes = classes};
    d->x = gr__calloc((size_t)(n * sample_numel(d)) * sizeof *d->x);
    d->y = gr__calloc((size_t)n * sizeof *d->y);
    if (d->x && d->y) return d;
    gr_dataset_free(d);
    return NULL;
}

/* Frees a data set with its samples; NULL is fine. Loaders of it must be freed before. */
void gr_dataset_free(gr_dataset *d)
{
    if (!d) return;
    gr__free(d->x);
    gr__free(d->y);
    gr__free(d);
}

/* Copies some samples, in the order given, repeated ones repeatedly.
 *
 * index  [n] of 0 <= index < d->n
 *
 * NULL on failure: an index out of range, or no memory. The result is the caller's and does not
 * depend on d. */
gr_dataset *gr_dataset_subset(const gr_dataset *d, const int64_t *index, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= d->n) {
            gr__fail(GR_ERR_ARGUMENT,
                     "dataset: index %lld of the subset is %lld, expected 0 to %lld", (long long)i,
                     (long long)index[i], (long long)d->n - 1);
            return NULL;
        }
    gr_dataset *part = gr_dataset_new(d->shape, n, d->classes);
    if (!part) return NULL;
    size_t size = (size_t)sample_numel(d);
    for (int64_t i = 0; i < n; i++) {
        memcpy(part->x + (size_t)i * size, d->x + (size_t)index[i] * size, size * sizeof *d->x);
        part->y[i] = d->y[index[i]];
    }
    memcpy(part->name, d->name, sizeof part->name);
    return part;
}

/* Mean and standard deviation (divided by n, not n - 1) over all elements of all samples,
 * computed in double precision in two passes; 0 and 0 of an empty set. */
void gr_dataset_mean_std(const gr_dataset *d, double *mean, double *std)
{
    int64_t n = d->n * sample_numel(d);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)d->x[i];
    *mean = n ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) {
        double off = (double)d->x[i] - *mean;
        squares += off * off;
    }
    *std = n ? sqrt(squares / (double)n) : 0;
}

/* Replaces every element by (x - mean) / std; a std of 0 counts as 1, so that constant data
 * becomes zeros and not NaN. */
void gr_dataset_normalize(gr_dataset *d, double mean, double std)
{
    int64_t n = d->n * sample_numel(d);
    double scale = std > 0 ? 1 / std : 1;
    for (int64_t i = 0; i < n; i++) d->x[i] = (float)(((double)d->x[i] - mean) * scale);
}
