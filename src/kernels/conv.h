/* conv.h - 2-D convolution and its two adjoints, over row-major arrays.
 *
 * No matrix of patches is made. A piece of an image (the rows that a band of results reads) is
 * copied with its padding into planes: one per channel and per remainder of the tap positions by
 * the stride, so that in a plane every tap is a fixed shift and results that are neighbours read
 * neighbours. With rows of `pitch` elements a whole band then is one flat run:
 *
 *   y[o][i]  = sum_k w[o][k] plane[offset_k + i]           i = row * pitch + column
 *   dx[c][i] = sum_k w'[c][k] dy[offset_k + i]             the same loop, offsets reversed
 *   dw[o][k] = sum_i dy[o][i] plane[offset_k + i]
 *
 * The `reach` columns at the end of each row are no results: they are dropped, or masked.
 *
 * Groups of small images lie in the lanes of vectors: conv_lanes.c.
 * In float32 most convolutions with 3x3 weights go another way, by Winograd's algorithm:
 * conv_winograd.c.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CONV_H
#define GR__CONV_H

#include <gradus/base.h>

/* --- geometry --- */

typedef struct gr__conv_axis {
    int64_t in, taps, out;
    int64_t stride, padding, dilation; /* padding: zeros before the first element */
    int64_t planes; /* remainders of tap * dilation by stride; tap t lies in plane t % planes */
    int64_t reach;  /* the largest shift, tap * dilation / stride, of a tap within its plane */
} gr__conv_axis;

typedef struct gr__conv {
    int64_t batch, groups, in, out; /* channels are those of one group */
    gr__conv_axis h, w;
} gr__conv;

/* All sizes are non-negative, taps, stride and dilation at least 1; `out` is derived: below 1
 * where the kernel is larger than the input padded before and after. Sizes below 2^31 cannot
 * overflow. */
gr__conv_axis gr__conv_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t before,
                               int64_t after, int64_t dilation);

/* --- running --- */

typedef enum gr__conv_kind {
    GR__CONV_FORWARD,     /* a = x,  b = w  -> y */
    GR__CONV_INPUT_GRAD,  /* a = dy, b = w  -> dx */
    GR__CONV_WEIGHT_GRAD, /* a = x,  b = dy -> dw */
    GR__CONV_KINDS
} gr__conv_kind;

enum {
    GR__CONV_SLACK = 16,      /* elements that a vector may reach beyond a run */
    GR__CONV_MAX_ROWS = 8,    /* result channels computed at a time, at most */
    GR__CONV_MAX_PIECES = 16, /* pieces of images that a weight gradient holds at a time */
    GR__CONV_TURNED = 16      /* channels whose weights are turned into lanes at a time */
};

/* Height and width of the images that are read, and of those that are written. */
typedef struct gr__winograd_plane {
    int64_t height, width;
} gr__winograd_plane;

/* How Winograd's algorithm cuts a convolution; see conv_winograd.c. */
typedef struct gr__winograd {
    int64_t tile, points; /* results of a tile along an axis, 0: not used; points in all */
    int64_t step;         /* elements read between tiles */
    int64_t spread;  /* of what is read: 2 has a zero between elements, for the dx of a stride */
    int64_t in, out; /* channels read and written; for dw: of x and of dy */
    gr__winograd_plane read, written;
    int64_t padding_h, padding_w; /* zeros before the first element that is read */
    int64_t down, across, strips; /* tiles of an image; a strip is a row of tiles */
    int64_t per_block, blocks;    /* strips of a block */
    int64_t block_tiles;          /* tiles of a block, and some more to fill registers */
    int64_t pitch;                /* elements of a transformed row */
    int64_t in_lanes;             /* channels read, and some more to fill vectors */
    int64_t in_step, in_point;    /* elements between tiles, between points */
    int64_t out_step, out_point;  /* the same of the tiles of dy, or of a panel of results */
    int64_t out_size;             /* elements of these */
    int64_t panel, panels;        /* channels of results at a time */
    int64_t weights_point;        /* elements between points of a panel's weights */
    int64_t height, heights;      /* for dw: channels of x at a time */
    int64_t per_chunk, chunks;    /* for dw by blocks: blocks of a partial sum */
    bool fixed;                   /* products of integers, for operands that may be rounded */
    bool by_panels;               /* tasks are panels of results, else blocks of tiles */
    int64_t round, first;         /* blocks at a time, the first of them */
    /* in elements: of a block's tiles, a panel's weights, what is shared, a task's space */
    int64_t tiles_size, weights_size, shared_size, space_size;
    void *shared; /* tiles of all blocks, or weights of all panels, or partial sums */
} gr__winograd;

typedef struct gr__conv_job {
    gr__conv c;
    gr__conv_kind kind;
    gr_dtype dtype;
    const void *a, *b, *bias; /* bias: of the forward pass, or NULL */
    void *y;

    int64_t pitch;              /* elements of a row of a plane */
    int64_t first_row, end_row; /* that are cut into bands: of y, or for dx of planes */
    int64_t rows, bands;        /* rows of a band, the last may have fewer */
    int64_t plane;              /* elements of a plane of a piece */
    int64_t tasks, task_work;   /* multiply-adds of a task */
    bool exceptional;           /* w holds Inf or NaN: dx takes the plain loops */
    bool in_lanes;              /* images lie in the lanes: conv_lanes.c */
    int64_t lanes;              /* elements between neighbours of a plane: 1, or the lanes */

    /* dw: batch * bands pieces in chunks, each a partial sum; out channels in splits */
    int64_t chunks, per_chunk, splits, split_rows;
    int64_t pieces, run; /* pieces at a time, elements of a run of dy in one */

    int64_t packed_size, partial_size, offset_count, mask_size, space_size; /* in elements */
    void *packed;    /* weights, in the order of use */
    void *partial;   /* [chunks][the shape of dw] */
    int64_t *offset; /* of each tap in the planes of a piece */
    void *mask;      /* of the columns of a run that are results: full bands, then the last */

    gr__winograd winograd; /* another way to do all that, where tile is not 0 */
} gr__conv_job;

/* What each instance computes of a kind of job. */
typedef struct gr__conv_kernels {
    void (*prepare)(gr__conv_job *job, int64_t begin, int64_t end); /* rows of weights, or masks */
    void (*task)(const gr__conv_job *job, int64_t task, void *space);
    void (*finish)(const gr__conv_job *job, int64_t begin, int64_t end); /* NULL: nothing */
} gr__conv_kernels;

typedef void gr__winograd_fn(gr__conv_job *job, int64_t i, void *space);
typedef struct gr__winograd_kernels {
    gr__winograd_fn *prepare, *task, *finish;
} gr__winograd_kernels;

/* Cuts the work; the cut depends on shapes alone. */
gr__conv_job gr__conv_plan(const gr__conv *c, gr__conv_kind kind, gr_dtype dtype);
/* Lets the operands be rounded, to no less than what bfloat16 keeps, where that is faster. */
void gr__conv_round(gr__conv_job *job);
/* Bytes of scratch for gr__conv_run with the present number of threads. */
size_t gr__conv_scratch(const gr__conv_job *job);
/* False: y is to be computed again, in another way; the job has changed to that, and wants other
 * scratch. */
bool gr__conv_run(gr__conv_job *job, const void *a, const void *b, const void *bias, void *y,
                  void *scratch);

#endif
