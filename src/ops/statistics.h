/* statistics.h - what normalisations share: checks, second derivatives, standardize. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STATISTICS_H
#define GR__STATISTICS_H

#include "family.h"

/* eps 0 stands for `usual`. */
static inline double gr__norm_eps(double eps, double usual)
{
    return eps == 0 ? usual : eps;
}

/* For a shape rule; !(eps >= 0) holds for NaN too. */
static inline bool gr__infer_eps(gr_infer *c, double eps)
{
    return eps >= 0 || gr_infer_fail(c, "eps is %g, expected at least 0", eps);
}

/* Whether in[i] is of this shape and of the dtype of in[0]. */
bool gr__infer_operand(gr_infer *c, int i, const char *name, gr_shape shape);

/* How the statistics and the weights of a normalisation stretch to the shape of x. */
typedef struct gr__norm_shapes {
    gr_shape statistics, weight;
    bool rms; /* the mean counts as 0 */
} gr__norm_shapes;

/* The VJP of dx, dw, db = op(dy, x, mean, rstd, w), w left out or not. */
void gr__norm_grad_vjp(gr_pullback *p, const gr_op *op, gr__norm_shapes s);

/* standardize: x [N,groups,channels,span], w and b [groups,channels], in rows of the last two. */
typedef struct gr__standardize_attrs {
    double eps; /* 0: 1e-5 */
    bool rms;
} gr__standardize_attrs;

extern const gr_op gr__standardize_op;

#endif
