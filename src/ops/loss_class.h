/* loss_class.h - what the losses of classes share: x [N,C,...] with a target [N,...], or [C] with
 * a scalar. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LOSS_CLASS_H
#define GR__LOSS_CLASS_H

#include "loss.h"

/* --- shapes --- */

static inline int gr__class_axis(const gr_shape *x)
{
    return x->rank == 1 ? 0 : 1;
}

/* The shape of x without the axis of the classes. */
static inline gr_shape gr__class_rows(const gr_shape *x)
{
    gr_shape rows = {0, {0}};
    for (int i = 0; i < x->rank; i++)
        if (i != gr__class_axis(x)) rows.dim[rows.rank++] = x->dim[i];
    return rows;
}

/* x with one class: what broadcasts along them. */
static inline gr_shape gr__class_single(const gr_shape *x)
{
    gr_shape single = *x;
    if (x->rank) single.dim[gr__class_axis(x)] = 1;
    return single;
}

/* False, with the graph in error: "op: expected ...". */
bool gr__class_rows_fit(const char *op, gr_tensor *x, gr_tensor *target);
bool gr__class_weights_fit(const char *op, gr_tensor *x, gr_tensor *weight);

/* --- targets --- */

/* A NULL weight: all count the same. */
typedef struct gr__class_targets {
    gr_tensor *index;  /* like the target; 0 where it is ignored */
    gr_tensor *kept;   /* bool; NULL: all */
    gr_tensor *weight; /* of each target, 0 where it is ignored */
} gr__class_targets;

/* weight: [C] or NULL. */
gr__class_targets gr__class_targets_of(gr_tensor *x, gr_tensor *target, gr_tensor *weight,
                                       const gr_nll_options *o);
/* -x at each target, 0 where it is ignored; without the weights. */
gr_tensor *gr__class_taken(const gr__class_targets *r, gr_tensor *x);
/* The mean divides by the sum of the weights. */
gr_tensor *gr__class_reduce(const char *op, const gr__class_targets *r, gr_tensor *loss,
                            gr_reduction reduction);

/* --- cross-entropy of indices, without class weights (loss_cross_entropy.c) --- */

gr_tensor *gr__cross_entropy_of_indices(gr_tensor *logits, gr_tensor *target,
                                        gr_cross_entropy_options o, const void *site);

#endif
