/* patches.h - the patches of images as columns, and their sum back into images. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PATCHES_H
#define GR__PATCHES_H

#include "pool.h"

/* Planes [H,W] of images and, of each, the columns [taps of h][taps of w][out of h][out of w]. */
typedef struct gr__patches {
    gr__pooling p; /* its windows are the patches */
    const void *x;
    void *y;
} gr__patches;

#endif
