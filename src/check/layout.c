/* layout.c - row-major, transposed, sliced and expanded inputs. */
/* SPDX-License-Identifier: MIT */
#include "layout.h"

/* --- row-major --- */

static bool plain_leaf(const gr_shape *shape, gr_shape *leaf)
{
    *leaf = *shape;
    return true;
}

static gr_tensor *plain_view(gr_tensor *leaf, const gr_shape *shape)
{
    (void)shape;
    return leaf;
}

/* --- transposed: the axes of the leaf in reverse --- */

static bool transposed_leaf(const gr_shape *shape, gr_shape *leaf)
{
    leaf->rank = shape->rank;
    for (int i = 0; i < shape->rank; i++) leaf->dim[i] = shape->dim[shape->rank - 1 - i];
    return shape->rank > 1;
}

static gr_tensor *transposed_view(gr_tensor *leaf, const gr_shape *shape)
{
    gr_axes axes = {.n = shape->rank};
    for (int i = 0; i < shape->rank; i++) axes.axis[i] = shape->rank - 1 - i;
    return gr_permute(leaf, axes);
}

/* --- sliced: every second element along the last axis --- */

static bool sliced_leaf(const gr_shape *shape, gr_shape *leaf)
{
    *leaf = *shape;
    if (shape->rank == 0) return false;
    leaf->dim[shape->rank - 1] *= 2;
    return true;
}

static gr_tensor *sliced_view(gr_tensor *leaf, const gr_shape *shape)
{
    int64_t size = shape->dim[shape->rank - 1];
    return gr_slice(leaf, -1, 1, 2 * size, 2);
}

/* --- expanded: stride 0 along the first axis longer than 1 --- */

static bool expanded_leaf(const gr_shape *shape, gr_shape *leaf)
{
    *leaf = *shape;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] <= 1) continue;
        leaf->dim[i] = 1;
        return true;
    }
    return false;
}

static gr_tensor *expanded_view(gr_tensor *leaf, const gr_shape *shape)
{
    return gr_expand(leaf, *shape);
}

const gr__layout gr__layouts[] = {
    {"row-major", plain_leaf, plain_view},
    {"transposed", transposed_leaf, transposed_view},
    {"sliced", sliced_leaf, sliced_view},
    {"expanded", expanded_leaf, expanded_view},
    {0},
};
