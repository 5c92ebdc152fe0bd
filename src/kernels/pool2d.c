/* pool2d.c - pooling runs plane by plane. */
/* SPDX-License-Identifier: MIT */
#include "pool2d.h"
#include "base.h"

enum { GRAIN = 32768 }; /* elements read that are worth a task of their own */

gr__pool2d_axis gr__pool2d_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t padding)
{
    int64_t room = in + 2 * padding - taps;
    return (gr__pool2d_axis){in, taps, room < 0 ? 0 : room / stride + 1, stride, padding};
}

typedef struct running {
    const gr__pool2d *p;
    gr__pool2d_fn *plane;
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

void gr__pool2d_run(const gr__pool2d *p, gr__pool2d_fn *plane, gr_dtype dtype, const void *x,
                    int64_t *index, void *y, int64_t x_size, int64_t y_size)
{
    int64_t size = (int64_t)gr_dtype_size(dtype), work = x_size + y_size + 1;
    running r = {p, plane, x, index, y, x_size * size, y_size * size, p->h.out * p->w.out};
    gr__parallel_for(p->planes, GRAIN / work + 1, planes, &r);
}
