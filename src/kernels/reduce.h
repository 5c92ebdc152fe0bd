/* reduce.h - sums and maxima over any axes of an array of any strides. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__REDUCE_H
#define GR__REDUCE_H

#include <gradus/op.h>

enum {
    GR__REDUCTION_BLOCK = 32768, /* terms at most of one partial result: longer runs are cut */
    GR__SUM_STRETCH = 256,       /* terms of a run that are added in REAL */
    GR__SUM_ROWS = 128,          /* rows that are added in REAL */
    GR__SUM_LANES = 16           /* partial sums that a run is shared out to in turn */
};

/* How an array falls apart into kept axes (the result, row-major) and reduced ones. */
typedef struct gr__reduction {
    int n_kept, n_reduced;
    int64_t kept[GR_MAX_RANK], kept_stride[GR_MAX_RANK];
    int64_t reduced[GR_MAX_RANK], reduced_stride[GR_MAX_RANK];
    int64_t outputs, count; /* results, and elements that go into each */
    int64_t block, blocks;  /* elements of a partial result, and how many of these make a result */
    int64_t pieces, length; /* fixed cut of the blocks: so many pieces of so many for each result */
    const void *x;
} gr__reduction;

/* axes: bit i for axis i. */
gr__reduction gr__reduction_of(const gr_value *x, unsigned axes);
/* Doubles of scratch that the kernels need. */
int64_t gr__reduction_scratch(const gr__reduction *r);

/* --- sums of what passes by --- */

/* A sum over an array, row-major, that comes piece by piece while it is in the cache. Each unit of
 * it is summed up by itself, from its first element on; the bits are those of the whole at once. */
typedef struct gr__stream {
    gr__reduction r;
    bool by_rows;  /* a unit is some rows, all of whose columns are kept; else part of one run */
    int64_t unit;  /* elements */
    int64_t chunk; /* so many whole units are worth a thread's while */
    void *partial; /* the sum of each unit: doubles of runs, rows of REAL */
} gr__stream;

/* False: the sum is not of a kind that can come so, or would not gain by it. */
bool gr__stream_of(gr__stream *s, gr_dtype dtype, const gr_shape *x, unsigned axes);
size_t gr__stream_bytes(const gr__stream *s, gr_dtype dtype); /* of `partial` */
/* How many elements, n at most, the piece from `first` may have. */
static inline int64_t gr__stream_piece(const gr__stream *s, int64_t first, int64_t n)
{
    if (s->by_rows) return n;
    if (s->unit <= n) return n / s->unit * s->unit;
    int64_t rest = s->unit - first % s->unit;
    return rest < n ? rest : n;
}

#endif
