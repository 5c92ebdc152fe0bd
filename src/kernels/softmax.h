/* softmax.h - softmax along one axis, its gradient, and the cross-entropy of rows. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SOFTMAX_H
#define GR__SOFTMAX_H

#include <stdbool.h>
#include <stdint.h>

/* x and y are [outer, n, inner], row-major; each (outer, inner) is a softmax over n. */
typedef struct gr__softmax {
    int64_t outer, n, inner;
    const void *x;
    void *y;
    bool log; /* the logarithm of it */
} gr__softmax;

/* dx from y and dy, all [outer, n, inner]. */
typedef struct gr__softmax_grad {
    int64_t outer, n, inner;
    const void *dy, *y;
    void *dx;
    bool log; /* y is the logarithm */
} gr__softmax_grad;

/* Row by row, the loss is -sum_j q_j log softmax(x)_j with q = (1 - smoothing) onehot(target) +
 * smoothing / classes; 0 where the target is *ignored. */
typedef struct gr__cross_entropy {
    int64_t rows, classes;
    void *x;                /* [rows, classes]; backwards its gradient takes its place */
    const int64_t *target;  /* [rows], each within [0, classes) or ignored */
    const int64_t *ignored; /* NULL: none */
    double smoothing;
} gr__cross_entropy;

#endif
