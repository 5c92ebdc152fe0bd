/* scan.h - running totals along an axis. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SCAN_H
#define GR__SCAN_H

#include <stdbool.h>
#include <stdint.h>

/* Arrays are [outer, n, inner]; what runs is carried along n, from its end if `reverse`. */
typedef struct gr__scan {
    int64_t outer, n, inner;
    bool reverse;
    bool exclusive; /* sum, product: y_i is what was before x_i */
    bool lag;       /* linear: the factor is a_{i-1} */
    bool least;     /* extreme: the smallest so far, not the largest */
    const void *a;  /* linear: the factors */
    const void *x;
    void *y;
    int64_t *index; /* extreme: where along n it lies */
} gr__scan;

#endif
