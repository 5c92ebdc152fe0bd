/* pool.c - the windows of pooling; it runs plane by plane. */
/* SPDX-License-Identifier: MIT */
#include "pool.h"
#include "base.h"

enum { GRAIN = 32768 }; /* elements read that are worth a task of their own */

gr__pool_axis gr__pool_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t padding,
                               int64_t dilation, bool ceil_mode)
{
    int64_t room = in + 2 * padding - (taps - 1) * dilation - 1, out = 0;
    if (room >= 0) out = (ceil_mode ? room + stride - 1 : room) / stride + 1;
    if (ceil_mode && out > 1 && (out - 1) * stride >= in + padding) out--; /* of zeros alone */
    return (gr__pool_axis){in, taps, out, stride, padding, dilation, false};
}

gr__pool_axis gr__pool_axis_adaptive(int64_t in, int64_t out)
{
    if (out > 0 && in % out == 0 && in > 0)
        return gr__pool_axis_of(in, in / out, in / out, 0, 1, false);
    return (gr__pool_axis){in, 0, out, 1, 0, 1, true};
}

gr__pool_axis gr__pool_axis_none(void)
{
    return gr__pool_axis_of(1, 1, 1, 0, 1, false);
}

typedef struct running {
    const gr__pooling *p;
    gr__pool_fn *plane;
    const char *x;
    int64_t *index;
    char *y;
    int64_t x_bytes, y_bytes, outputs; /* per plane */
} running;

static void planes(void *ctx, int64_t begin, int64_t end)
{
    const running *r = ctx;
    for (int64_t i = begin; i < end; i++)
        r->plane(r->p, r->x + i * r->x_bytes, r->index ? r->index + i * r->outputs : NULL,
                 r->y + i * r->y_bytes);
}

void gr__pool_run(const gr__pooling *p, gr__pool_fn *plane, gr_dtype dtype, const void *x,
                  int64_t *index, void *y, int64_t x_size, int64_t y_size, int64_t outputs)
{
    int64_t size = (int64_t)gr_dtype_size(dtype), work = x_size + y_size + 1;
    running r = {p, plane, x, index, y, x_size * size, y_size * size, outputs};
    gr__parallel_for(p->planes, GRAIN / work + 1, planes, &r);
}
