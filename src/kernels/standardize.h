/* standardize.h - taking off the mean and dividing by the deviation, forwards and backwards. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STANDARDIZE_H
#define GR__STANDARDIZE_H

#include <stdbool.h>
#include <stdint.h>

/* x is [outer, groups, channels, span], row-major. Two ways to take statistics: over a row, which
 * is the last two axes; or, with groups 1, over a channel, which is the first and the last axis.
 * w and b, NULL for none, are [groups, channels]. */
typedef struct gr__standardize {
    int64_t outer, groups, channels, span;
    double eps;
    bool rms; /* the mean counts as 0; of rows only */
    const void *x, *w, *b;
    void *y, *mean, *rstd; /* mean and rstd: one per row or channel */
    void *variance;        /* of channels only: divided by their elements less one */
} gr__standardize;

/* dx, dw and db from dy. Rows are worked on in chunks of `chunk` outer ones; each has its own sums
 * of dw and db in partial, [chunks][2][groups * channels]. */
typedef struct gr__standardize_grad {
    int64_t outer, groups, channels, span;
    bool rms;
    int64_t chunk;
    const void *dy, *x, *mean, *rstd, *w;
    void *dx, *dw, *db, *partial;
} gr__standardize_grad;

#endif
