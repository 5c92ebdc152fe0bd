/* loss.h - what the losses share: from a loss per element to the result. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LOSS_H
#define GR__LOSS_H

#include "family.h"

/* In the order of gr_reduction. */
static const char *const gr__reductions[] = {"mean", "sum", "none", NULL};

static inline gr_tensor *gr__loss(const gr_op *op, gr_tensor *x, gr_tensor *target,
                                  const void *attrs, const void *site)
{
    gr_tensor *in[2] = {x, target};
    return gr__apply(NULL, op, in, 2, attrs, site);
}

/* What a definition returns when its graph is in error. */
static inline gr_tensor *gr__loss_failed(gr_tensor *x)
{
    return &gr_graph_of(x)->nil;
}

/* Broadcasting [N,1] against [N] would compare all with all: an error instead. */
static inline bool gr__loss_alike(const char *op, gr_tensor *x, gr_tensor *target)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (gr_shape_equal(gr_shape_of(x), gr_shape_of(target))) return true;
    gr_fail(gr_graph_of(x), "%s: expected a target of the shape of x, %s, got %s", op,
            gr_shape_text(gr_shape_of(x), a), gr_shape_text(gr_shape_of(target), b));
    return false;
}

static inline bool gr__loss_positive(const char *op, gr_tensor *x, const char *name, double value)
{
    if (value > 0) return true;
    gr_fail(gr_graph_of(x), "%s: %s must be positive, got %g", op, name, value);
    return false;
}

/* A constant that broadcasts, in the dtype of `like`, which is an input and so not inert. */
static inline gr_tensor *gr__loss_number(gr_tensor *like, double value)
{
    return gr_scalar(gr_graph_of(like), gr_dtype_of(like), value);
}

/* Weights are stretched to the loss, never the loss to its weights. */
static inline gr_tensor *gr__loss_weigh(const char *op, gr_tensor *loss, gr_tensor *weight)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    gr_tensor *y = gr_mul(loss, weight);
    if (gr__is_nil(y) || gr_shape_equal(gr_shape_of(y), gr_shape_of(loss))) return y;
    return gr_fail(gr_graph_of(loss), "%s: cannot stretch the weight, %s, to %s", op,
                   gr_shape_text(gr_shape_of(weight), a), gr_shape_text(gr_shape_of(loss), b));
}

static inline gr_tensor *gr__loss_reduce(const char *op, gr_tensor *loss, gr_reduction reduction)
{
    if (gr__is_nil(loss) || reduction == GR_REDUCTION_NONE) return loss;
    if (reduction == GR_REDUCTION_MEAN) return gr_mean_all(loss);
    if (reduction == GR_REDUCTION_SUM) return gr_sum_all(loss);
    return gr_fail(gr_graph_of(loss), "%s: reduction %d is not mean, sum or none", op,
                   (int)reduction);
}

#endif
