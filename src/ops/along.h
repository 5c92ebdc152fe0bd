/* along.h - an array seen along one axis, as [outer, n, inner]; and indices into such an axis. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ALONG_H
#define GR__ALONG_H

#include "family.h"

typedef struct gr__along {
    int64_t outer, n, inner;
} gr__along;

/* A scalar counts as an array of one element. The axis is in range. */
static inline gr__along gr__along_axis(const gr_shape *shape, int axis)
{
    gr__along a = {1, 1, 1};
    if (shape->rank == 0 || !gr__axis(&axis, shape->rank)) return a;
    a.n = shape->dim[axis];
    for (int i = 0; i < axis; i++) a.outer *= shape->dim[i];
    for (int i = axis + 1; i < shape->rank; i++) a.inner *= shape->dim[i];
    return a;
}

/* For a shape rule; a scalar takes the axes 0 and -1, as in PyTorch. */
static inline bool gr__along_infer(gr_infer *c, int axis)
{
    int within = axis, rank = gr_shape_of(c->in[0])->rank;
    if (gr__axis(&within, rank ? rank : 1)) return true;
    return gr_infer_fail(c, "axis %d is out of range for %s", axis, gr_infer_shape(c, 0));
}

/* For a kernel: whether all of in[input], int64 and row-major, lies in [0, limit); index.c.
 * The error reads "NAME[2,3] is 12, expected 0 <= NAME < 10". */
gr_status gr__check_index(gr_exec *e, int input, const char *name, int64_t limit);
/* The same, but for elements that equal *exempt; NULL: none. */
gr_status gr__check_index_but(gr_exec *e, int input, const char *name, int64_t limit,
                              const int64_t *exempt);
/* For a shape rule: whether in[input] is int64. */
bool gr__infer_index(gr_infer *c, int input, const char *name);
/* For a shape rule: whether in[1] has the shape of in[0] but for the size along the axis. */
bool gr__infer_alike(gr_infer *c, int axis);
/* Adds dy, picked along an axis of size n by index, back to where it came from. */
gr_tensor *gr__gather_grad(gr_tensor *dy, gr_tensor *index, int axis, int64_t n);

#endif
