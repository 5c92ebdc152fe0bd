/* cotangents.c - rules that use their cotangent wrongly. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>

/* All dy are 1. */
static void ignore(rule *r)
{
    for (int i = 0; i < r->p.n_out; i++)
        if (r->dy[i]) r->dy[i] = gr_ones(r->p.graph, gr_dtype_of(r->y[i]), *gr_shape_of(r->y[i]));
}

/* Only its size counts. */
static void drop_sign(rule *r)
{
    for (int i = 0; i < r->p.n_out; i++)
        if (r->dy[i]) r->dy[i] = gr_abs(r->dy[i]);
}

static void square(rule *r)
{
    for (int i = 0; i < r->p.n_out; i++)
        if (r->dy[i]) r->dy[i] = gr_mul(gr_abs(r->dy[i]), r->dy[i]);
}

/* Divided by its norm and multiplied again: right, but 0/0 for a zero cotangent. */
static void normalise(rule *r)
{
    for (int i = 0; i < r->p.n_out; i++) {
        if (!r->dy[i] || gr_numel(r->dy[i]) == 0) continue;
        gr_tensor *size = gr_sum_all(gr_abs(r->dy[i]));
        r->dy[i] = gr_mul(r->dy[i], gr_div(size, size));
    }
}

/* Different numbers at every call. */
static void drift(rule *r)
{
    static int64_t calls;
    double factor = 1 + 1e-6 * (double)(++calls % 1000);
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) r->dx[i] = gr_scale(r->dx[i], factor);
}

const mutation cotangent_mutations[] = {
    {"cotangent ignored", "cotangent is ignored", .before = ignore},
    {"cotangent without sign", "not linear in the cotangent", .before = drop_sign},
    {"cotangent squared", "not linear in the cotangent", .before = square},
    {"NaN for zero cotangent", "zero cotangent gives", .before = normalise},
    {"not deterministic", "not deterministic", .after = drift},
    {0},
};
