/* verdict.h - a function checked at given or drawn inputs, and what its report has to say. */
/* SPDX-License-Identifier: MIT */
#ifndef VERDICT_H
#define VERDICT_H

#include "base.h"
#include "expect.h"

#include <math.h>
#include <string.h>

enum { MOST = 4096 };

static double store[4][MOST];

/* Input i: values in (-1, 1). */
static inline gr_check_input drawn(int i, gr_shape shape, uint64_t seed)
{
    for (int64_t k = 0; k < gr_shape_numel(&shape); k++)
        store[i][k] = 2 * gr__random_uniform(seed * 16 + (uint64_t)i, (uint64_t)k) - 1;
    return (gr_check_input){.dtype = GR_F64, .shape = shape, .data = store[i]};
}

static inline gr_check_input valued(int i, int64_t n, const double *values)
{
    memcpy(store[i], values, (size_t)n * sizeof *values);
    return (gr_check_input){.name = "x", .dtype = GR_F64, .shape = {1, {n}}, .data = store[i]};
}

static inline gr_verdict check(gr_check_fn *f, void *user, const gr_check_input *in, int n,
                               gr_check_options o)
{
    return gr_gradcheck(f, user, in, n, o, &report);
}

static inline gr_verdict check_one(gr_check_fn *f, gr_check_input in)
{
    return check(f, NULL, &in, 1, (gr_check_options){0});
}

#endif
