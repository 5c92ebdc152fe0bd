/* kink.h - branch signatures of ops whose kinks lie at known points. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__KINK_H
#define GR__KINK_H

#include "family.h"

#include <math.h>

/* Element i of a row-major array. */
static inline double gr__element(const gr_value *v, int64_t i)
{
    return gr__get_scalar((const char *)v->data + (size_t)i * gr_dtype_size(v->dtype), v->dtype);
}

/* The sign of each element of in[input], and the least |x|. */
static inline void gr__branch_at_zero(const gr_exec *e, int input, gr_branch *b)
{
    const gr_value *v = &e->in[input];
    for (int64_t i = 0, n = gr_shape_numel(v->shape); i < n; i++) {
        double x = gr__element(v, i);
        gr_branch_add(b, x > 0 ? 1 : x < 0 ? 2 : 3, fabs(x));
    }
}

/* Between which of the n ascending points each element of in[input] lies, or on which. */
static inline void gr__branch_at(const gr_exec *e, int input, const double *points, int n,
                                 gr_branch *b)
{
    const gr_value *v = &e->in[input];
    for (int64_t i = 0, count = gr_shape_numel(v->shape); i < count; i++) {
        double x = gr__element(v, i), gap = INFINITY;
        uint64_t side = 1;
        for (int k = 0; k < n; k++) {
            side += x > points[k] ? 2 : x == points[k] ? 1 : 0;
            gap = fmin(gap, fabs(x - points[k]));
        }
        gr_branch_add(b, side, gap);
    }
}

#endif
