/* reduce.c - how a reduction falls apart; the loops are in reduce_real.c. */
/* SPDX-License-Identifier: MIT */
#include "reduce.h"

enum { PIECE = 65536 }; /* elements of one piece of a long reduction */

/* Appends an axis, joined to the one before where memory continues. */
static void append(int64_t *dim, int64_t *stride, int *n, int64_t size, int64_t step)
{
    if (size == 1) return;
    if (*n && stride[*n - 1] == size * step) {
        dim[*n - 1] *= size;
        stride[*n - 1] = step;
    } else {
        dim[*n] = size;
        stride[(*n)++] = step;
    }
}

gr__reduction gr__reduction_of(const gr_value *x, unsigned axes)
{
    gr__reduction r = {.outputs = 1, .count = 1, .x = x->data};
    for (int i = 0; i < x->shape->rank; i++) {
        int64_t size = x->shape->dim[i], step = x->strides[i];
        if (axes & 1u << i) {
            append(r.reduced, r.reduced_stride, &r.n_reduced, size, step);
            r.count *= size;
        } else {
            append(r.kept, r.kept_stride, &r.n_kept, size, step);
            r.outputs *= size;
        }
    }
    /* The cut depends on shapes alone, so that the bits do not depend on the threads. */
    r.pieces = r.outputs >= 64 || r.count < 2 * PIECE ? 1 : (r.count + PIECE - 1) / PIECE;
    return r;
}

int64_t gr__reduction_scratch(const gr__reduction *r)
{
    return r->outputs * r->pieces;
}
