/* conv_real.h - what the kernels of convolutions share, in terms of REAL. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CONV_REAL_H
#define GR__CONV_REAL_H

#include "conv.h"
#include "instance.h"

static inline void fill_zero(REAL *y, int64_t n)
{
    memset(y, 0, (size_t)n * sizeof *y);
}

static inline int64_t block_from(int64_t first, int64_t size, int64_t channels)
{
    return channels - first < size ? channels - first : size;
}

#endif
