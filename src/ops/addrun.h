/* addrun.h - adding a run of floating elements into places a fixed step apart. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ADDRUN_H
#define GR__ADDRUN_H

#include "family.h"

/* y[k stride] += x[k] for k < n; size tells float32 (4 bytes) from float64. */
static inline void gr__add_run(void *y, int64_t stride, const void *x, int64_t n, size_t size)
{
    const float *x4 = x;
    const double *x8 = x;
    float *y4 = y;
    double *y8 = y;
    if (size == sizeof *y4)
        for (int64_t k = 0; k < n; k++) y4[k * stride] += x4[k];
    else
        for (int64_t k = 0; k < n; k++) y8[k * stride] += x8[k];
}

#endif
