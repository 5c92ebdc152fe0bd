/* types.c - gradients of another shape or dtype, or wrong in float32 alone. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>

static bool any_wanted(const rule *right)
{
    for (int i = 0; i < right->p.n_in; i++)
        if (rule_wants(right, i)) return true;
    return false;
}

/* An axis too many. */
static void reshape(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) {
        gr_shape shape = *gr_shape_of(r->x[i]);
        if (!rule_wants(r, i)) continue;
        shape.dim[shape.rank++] = 1;
        r->dx[i] = gr_reshape(r->dx[i], shape);
    }
}

static void change_dtype(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i))
            r->dx[i] = gr_cast(r->dx[i], gr_dtype_of(r->x[i]) == GR_F64 ? GR_F32 : GR_F64);
}

static void spoil_float32(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i) && gr_dtype_of(r->dx[i]) == GR_F32)
            r->dx[i] = gr_scale(r->dx[i], 1 + 1e-3);
}

const mutation type_mutations[] = {
    {"wrong shape", "its VJP gave", .after = reshape, .lives = any_wanted},
    {"wrong dtype", "its VJP gave", .after = change_dtype, .lives = any_wanted},
    {"float32 off by 1e-3", "float32", .after = spoil_float32},
    {0},
};
