/* attention.h - scaled dot-product attention, block by block. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ATTENTION_H
#define GR__ATTENTION_H

#include <gradus/base.h>

enum { GR__ATTENTION_ROWS = 32, GR__ATTENTION_KEYS = 128 }; /* of a block of scores */

/* Factors of dropout for n elements of the probabilities, [batch, rows, keys] in row-major order,
 * from `first` on: x times them to y. */
typedef void gr__attention_drop(const void *ctx, int64_t first, int64_t n, const void *x, void *y);

/* Added to the scores, or bool: true where a key takes part. data NULL: none. Element (b, i, j) is
 * data[offset of b + i * row + j * column], column being 0 or 1. */
typedef struct gr__attention_mask {
    const void *data;
    bool boolean;
    int n_batch;
    int64_t batch[GR_MAX_RANK], batch_stride[GR_MAX_RANK];
    int64_t row, column;
} gr__attention_mask;

/* q [batch, rows, depth], k [batch, keys, depth], v [batch, keys, width]. lse is the logarithm of
 * the sum of exp(scores), one per row; +Inf for a row without keys, so that exp(score - lse) is 0. */
typedef struct gr__attention {
    int64_t batch, rows, keys, depth, width;
    double scale;
    bool causal; /* key j takes part in row i if j <= i */
    gr__attention_mask mask;
    gr__attention_drop *drop; /* NULL: none */
    const void *drop_ctx;
    const void *q, *k, *v;
    void *y, *lse;
    void *scratch;
} gr__attention;

/* dq, dk, dv from dy; delta is one per row, sum dy y less the cotangent of lse. */
typedef struct gr__attention_grad {
    gr__attention a; /* y is not used */
    const void *dy, *delta;
    void *dq, *dk, *dv;
} gr__attention_grad;

/* Elements of scratch. */
int64_t gr__attention_scratch(const gr__attention *a);
int64_t gr__attention_grad_scratch(const gr__attention *a);

#endif
