/* bf16_conv.h - 2-D convolution and its adjoints with operands rounded to bfloat16; see bf16.h.
 *
 * Images are read into padded planes of units, as conv.h has planes of numbers: a unit is the same
 * element of two neighbouring channels, or for dw of two neighbouring images. Every tap is then a
 * fixed offset, and what a block of results reads is gathered, without padding, next to the cache:
 *
 *   y[o][i]     = sum over k = (pair of channels, tap)   w[o][k] . planes[offset_k + i]
 *   dw[o][c, t] = sum over i = (pair of images, element) dy[o][i] . planes[offset_(c,t) + i]
 *
 * dx at stride 1 is a convolution of dy padded by what is left, its offsets reversed.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BF16_CONV_H
#define GR__BF16_CONV_H

#include "bf16.h"
#include "conv.h"
#include "spaces.h"

typedef struct gr__bf16_conv {
    gr__conv c; /* dx: of the convolution of dy */
    gr__conv_kind kind;
    const float *a, *b, *bias;
    float *y;
    const gr__bf16_kernels *kernels;

    int64_t pitch, plane, set; /* units of a plane's row, of a plane, of the planes of one pair */
    int64_t sets;              /* one per pair and what is not paired */
    int64_t pairs;             /* of channels, or of images */
    int64_t terms;             /* rows of a gather */
    int64_t blocks;            /* of results: y: columns of tiles; dw: out channels */
    int64_t chunks, per_chunk; /* dw: pairs of images that are summed apart, in order */
    int64_t tasks;
    bool infinite; /* atomic: dx: some weight is; zeros around dy would make it NaN elsewhere */

    uint32_t *planes, *panels; /* of a, of the weights */
    int64_t *offset;           /* of each term in the planes */
    float *partial;            /* dw: [chunks][groups][blocks][terms][GR__BF16_COLUMNS] */
    gr__spaces spaces;         /* of the tasks */
} gr__bf16_conv;

/* Whether there is such a path and it is faster than float32, which is by Winograd's algorithm or
 * not; by the sizes alone. */
bool gr__bf16_conv_pays(const gr__conv *c, gr__conv_kind kind, bool winograd);
gr__bf16_conv gr__bf16_conv_plan(const gr__conv *c, gr__conv_kind kind);
/* Bytes of scratch with the present number of threads. */
size_t gr__bf16_conv_scratch(const gr__bf16_conv *job);
/* As gr__conv_run. False: y is not computed, because zeros times Inf would reach too far. */
bool gr__bf16_conv_run(gr__bf16_conv *job, const float *a, const float *b, const float *bias,
                       float *y, void *scratch);

/* --- between its files --- */

enum {
    GR__BF16_SLACK = 2 * GR__BF16_LANES /* units that a vector may reach beyond its row */
};

/* Of a thread: what it gathers, then the sums of a task or the panels of dy. */
typedef struct gr__bf16_space {
    uint32_t *gathered;
    union {
        float *sum;
        uint32_t *dy;
    };
} gr__bf16_space;

static inline int64_t gr__bf16_taps(const gr__conv *c)
{
    return c->h.taps * c->w.taps;
}

static inline int64_t gr__bf16_results(const gr__conv *c)
{
    return c->h.out * c->w.out;
}

/* bf16_planes.c: finds the offset of every term; reads a into the planes; gives the segments of the
 * results [first, first + n) of all images (pairs of them in dw), which lie `image` units apart. */
void gr__bf16_find_offsets(gr__bf16_conv *job);
void gr__bf16_read_planes(const gr__bf16_conv *job);
int64_t gr__bf16_segments(const gr__bf16_conv *job, int64_t first, int64_t n, int64_t image,
                          gr__bf16_segment *s);

/* bf16_conv_tasks.c: packs the weights (false: some are not finite); a task of y and dx, of dw; adds
 * up what the tasks of dw have computed. */
bool gr__bf16_pack_weights(gr__bf16_conv *job);
void gr__bf16_results_task(const gr__bf16_conv *job, int64_t task, const gr__bf16_space *s);
void gr__bf16_weights_task(const gr__bf16_conv *job, int64_t task, const gr__bf16_space *s);
void gr__bf16_finish_weights(const gr__bf16_conv *job);

#endif
