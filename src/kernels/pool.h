/* pool.h - pooling over windows of volumes, plane by plane: images are volumes of depth 1, rows
 * images of height 1. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__POOL_H
#define GR__POOL_H

#include <gradus/base.h>

/* Window i has the elements i stride + tap dilation - padding, as far as they exist. An adaptive
 * axis cuts `in` into `out` windows instead, from floor(i in / out) to ceil((i + 1) in / out). */
typedef struct gr__pool_axis {
    int64_t in, taps, out;
    int64_t stride, padding, dilation;
    bool adaptive;
} gr__pool_axis;

/* Every window holds an element. The elements that a window reaches over are below 2^31. */
typedef struct gr__pooling {
    int64_t planes; /* batch * channels */
    gr__pool_axis d, h, w;
    bool exclude_padding; /* from the count of a mean */
} gr__pooling;

/* All positive but padding; `out` is derived, 0 where the window is larger than the padded input.
 * ceil_mode: so many windows as begin within the input or the padding before it. */
gr__pool_axis gr__pool_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t padding,
                               int64_t dilation, bool ceil_mode);
gr__pool_axis gr__pool_axis_adaptive(int64_t in, int64_t out);
gr__pool_axis gr__pool_axis_none(void); /* one element, one window */

/* One plane: x is read, y written; index is written by max_pool, read by unpool and pick. */
typedef void gr__pool_fn(const gr__pooling *p, const void *x, int64_t *index, void *y);

/* All planes; x_size and y_size are elements of a plane, outputs that of the index. */
void gr__pool_run(const gr__pooling *p, gr__pool_fn *plane, gr_dtype dtype, const void *x,
                  int64_t *index, void *y, int64_t x_size, int64_t y_size, int64_t outputs);

#endif
