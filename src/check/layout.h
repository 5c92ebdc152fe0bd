/* layout.h - one tensor in different arrangements in memory. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LAYOUT_H
#define GR__LAYOUT_H

#include <gradus/ops.h>

typedef struct gr__layout {
    const char *name;
    /* The shape of the leaf to be given; false where the layout does not suit the shape. */
    bool (*leaf)(const gr_shape *shape, gr_shape *leaf);
    gr_tensor *(*view)(gr_tensor *leaf, const gr_shape *shape);
} gr__layout;

/* Row-major comes first; the list ends with a NULL name. */
extern const gr__layout gr__layouts[];

#endif
