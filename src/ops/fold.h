/* fold.h - reductions in double, a piece of what goes into a result at a time: for whatever does
 * not need the speed of the kernels of sum and max. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FOLD_H
#define GR__FOLD_H

#include "axes.h"

/* Changes n terms in place; c is the constant of their result. */
typedef void gr__fold_map(double *x, int64_t n, double c);
/* The total so far and n more terms. */
typedef double gr__fold_join(double total, const double *x, int64_t n);

typedef struct gr__fold {
    gr__fold_map *map; /* NULL: the terms are the elements */
    gr__fold_join *join;
    double start;            /* the result of nothing */
    double constant;         /* c of every result ... */
    const double *constants; /* ... or, not NULL, of each */
} gr__fold;

gr__fold_join gr__fold_sum, gr__fold_product, gr__fold_max, gr__fold_min; /* NaN wins */

/* Reduces in[0], float32 or float64 of any strides, over the axes of gr__axes_attrs: one double per
 * result, in scratch of e; NULL when memory is out. */
double *gr__fold_run(gr_exec *e, const gr__fold *f);
/* To out[output], in its dtype. */
void gr__fold_store(const gr_exec *e, int output, const double *y);

#endif
