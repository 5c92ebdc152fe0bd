/* reduce.h - sums and maxima over any axes of an array of any strides. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__REDUCE_H
#define GR__REDUCE_H

#include <gradus/op.h>

/* How an array falls apart into kept axes (the result, row-major) and reduced ones. */
typedef struct gr__reduction {
    int n_kept, n_reduced;
    int64_t kept[GR_MAX_RANK], kept_stride[GR_MAX_RANK];
    int64_t reduced[GR_MAX_RANK], reduced_stride[GR_MAX_RANK];
    int64_t outputs, count; /* results, and elements that go into each */
    int64_t pieces;         /* fixed cut of the reduced range: partial results per output */
    const void *x;
} gr__reduction;

/* axes: bit i for axis i. */
gr__reduction gr__reduction_of(const gr_value *x, unsigned axes);
/* Doubles of scratch that the kernels need. */
int64_t gr__reduction_scratch(const gr__reduction *r);

#endif
