/* pool2d.h - pooling over windows of images, plane by plane. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__POOL2D_H
#define GR__POOL2D_H

#include <gradus/base.h>

typedef struct gr__pool2d_axis {
    int64_t in, taps, out;
    int64_t stride, padding;
} gr__pool2d_axis;

/* Every window holds an element of the image: padding is at most half of the window. A row of a
 * window, taps * width elements, is below 2^31. */
typedef struct gr__pool2d {
    int64_t planes; /* batch * channels */
    gr__pool2d_axis h, w;
} gr__pool2d;

gr__pool2d_axis gr__pool2d_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t padding);

/* One plane: x is read, y written; index is written by max_pool, read by the other two. */
typedef void gr__pool2d_fn(const gr__pool2d *p, const void *x, int64_t *index, void *y);

/* All planes; x_size and y_size are elements of a plane. */
void gr__pool2d_run(const gr__pool2d *p, gr__pool2d_fn *plane, gr_dtype dtype, const void *x,
                    int64_t *index, void *y, int64_t x_size, int64_t y_size);

#endif
