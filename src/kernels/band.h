/* band.h - weighted sums of neighbours along one axis. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BAND_H
#define GR__BAND_H

#include <stdint.h>

/* x: [outer, n, inner], y: [outer, m, inner]. Sum i has the elements from begin[i] on, with the
 * weights from at[i] to at[i + 1]; none gives 0. Sums are kept in float64. */
typedef struct gr__band {
    int64_t outer, n, m, inner;
    const int64_t *begin, *at;
    const double *weight;
    const void *x;
    void *y;
} gr__band;

#endif
