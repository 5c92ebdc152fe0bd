/* rounded.h - numbers, and what they are as bfloat16, for tests of products that round. */
/* SPDX-License-Identifier: MIT */
#ifndef ROUNDED_H
#define ROUNDED_H

#include "fixture.h"
#include "kernels.h"
#include "onednn.h"

#include <math.h>
#include <stdlib.h>

/* The nearest bfloat16, ties to even, by its definition. */
static inline double rounded(double x)
{
    int exponent;
    double mantissa = frexp((double)(float)x, &exponent);
    return ldexp(nearbyint(ldexp(mantissa, 8)), exponent - 8);
}

static inline void bfloat16(void)
{
    gr_graph_set_precision(g, GR_PRECISION_BFLOAT16);
}

static inline void restore(void)
{
    gr__kernels_force(NULL);
    gr__onednn_force(false);
    gr_set_threads(0);
    teardown();
}

static inline gr_tensor *numbers(gr_dtype dtype, gr_shape shape, double phase)
{
    int64_t n = gr_shape_numel(&shape);
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = sin((double)i * 0.7 + phase);
    gr_tensor *t = make(dtype, x, shape);
    gr_eval(&t, 1);
    free(x);
    return t;
}

#endif
