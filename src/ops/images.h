/* images.h - what the ops over [N,C,...] share that are given by a definition. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__IMAGES_H
#define GR__IMAGES_H

#include "family.h"

/* Whether t is of that rank; false with the error set: "NAME: expected WHAT, got [2,3]". */
static inline bool gr__has_rank(gr_tensor *t, int rank, const char *name, const char *what)
{
    char text[GR_SHAPE_TEXT];
    if (gr_shape_of(t)->rank == rank) return true;
    gr_fail(gr_graph_of(t), "%s: expected %s, got %s", name, what,
            gr_shape_text(gr_shape_of(t), text));
    return false;
}

/* [N,C,L] as images of height 1, and back. */
static inline gr_tensor *gr__as_rows(gr_tensor *x)
{
    const gr_shape *s = gr_shape_of(x);
    return gr_reshape(x, GR_SHAPE(s->dim[0], s->dim[1], 1, s->dim[2]));
}

static inline gr_tensor *gr__from_rows(gr_tensor *y)
{
    const gr_shape *s = gr_shape_of(y);
    return gr_reshape(y, GR_SHAPE(s->dim[0], s->dim[1], s->dim[3]));
}

#endif
