/* factors.c - the whole gradient, or that of one input, times a constant. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>

static void scale_all(rule *r, double factor)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) r->dx[i] = gr_scale(r->dx[i], factor);
}

#define FACTOR(NAME, VALUE)   \
    static void NAME(rule *r) \
    {                         \
        scale_all(r, VALUE);  \
    }
FACTOR(negate, -1)
FACTOR(twice, 2)
FACTOR(half, 0.5)
FACTOR(off_by_1e_2, 1 + 1e-2)
FACTOR(off_by_1e_3, 1 + 1e-3)
FACTOR(off_by_1e_4, 1 + 1e-4)
FACTOR(off_by_1e_5, 1 + 1e-5)
FACTOR(off_by_1e_6, 1 + 1e-6)

static void nothing(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) r->dx[i] = NULL;
}

static bool has_more_inputs(const gr_op *op)
{
    return op->n_in != 1;
}

static int last_wanted(const rule *r)
{
    int last = -1;
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) last = i;
    return last;
}

static void forget_last(rule *r)
{
    int last = last_wanted(r);
    if (last >= 0) r->dx[last] = NULL;
}

static void negate_last(rule *r)
{
    int last = last_wanted(r);
    if (last >= 0) r->dx[last] = gr_neg(r->dx[last]);
}

const mutation factor_mutations[] = {
    {"negated", "sign is wrong", .after = negate},
    {"factor 2", "2 times what it should be", .after = twice},
    {"factor 1/2", "0.5 times what it should be", .after = half},
    {"factor 1 + 1e-2", "1.01 times", .after = off_by_1e_2},
    {"factor 1 + 1e-3", "1.001 times", .after = off_by_1e_3},
    {"factor 1 + 1e-4", "1.0001 times", .after = off_by_1e_4},
    {"factor 1 + 1e-5", "1.00001 times", .after = off_by_1e_5},
    {"factor 1 + 1e-6", "1.000001 times", .after = off_by_1e_6},
    {"zero", "gradient is zero", .after = nothing},
    {"zero for one input", "gradient is zero", has_more_inputs, .after = forget_last},
    {"negated for one input", "sign is wrong", has_more_inputs, .after = negate_last},
    {0},
};
