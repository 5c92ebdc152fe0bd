/* second.c - rules with the right values that cannot be differentiated again. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>
#include <math.h>
#include <stdlib.h>

static bool floats(const gr_tensor *t)
{
    return gr_dtype_of(t) == GR_F64 || gr_dtype_of(t) == GR_F32;
}

static double norm(gr_tensor *t)
{
    double sum = 0, *values = rule_values(t);
    for (int64_t i = 0; values && i < gr_numel(t); i++) sum += values[i] * values[i];
    free(values);
    return sqrt(sum);
}

/* --- all of dx --- */

static void detach_gradient(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) r->dx[i] = gr_detach(r->dx[i]);
}

/* dx of a linear map of dy is worth differentiating unless it is zero. */
static bool any_gradient(const rule *right)
{
    for (int i = 0; i < right->p.n_in; i++)
        if (rule_wants(right, i) && norm(right->dx[i]) > 0) return true;
    return false;
}

/* --- what the rule reads --- */

static bool reads_values(const gr_op *op)
{
    return op->vjp && op->reads != 0;
}

static void detach_values(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (floats(r->x[i])) r->x[i] = gr_detach(r->x[i]);
    for (int i = 0; i < r->p.n_out; i++)
        if (floats(r->y[i])) r->y[i] = gr_detach(r->y[i]);
}

/* t itself, with a derivative that is a millionth too large. */
static gr_tensor *steeper(gr_tensor *t)
{
    gr_tensor *fixed = gr_detach(t);
    return gr_add(fixed, gr_scale(gr_sub(t, fixed), 1 + 1e-6));
}

static void steepen_values(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (floats(r->x[i])) r->x[i] = steeper(r->x[i]);
    for (int i = 0; i < r->p.n_out; i++)
        if (floats(r->y[i])) r->y[i] = steeper(r->y[i]);
}

/* The same call on tensors of its own, recorded last, so that a sweep stays among them. */
static rule afresh(const rule *right)
{
    rule r = rule_copy(right);
    for (int i = 0; i < r.p.n_in; i++)
        if (floats(r.x[i])) r.x[i] = gr_scale(r.x[i], 1);
    const void *attrs = r.op->attrs_size ? r.attrs : NULL;
    gr_tensor *y = gr_apply(r.p.graph, r.op, r.x, r.p.n_in, attrs);
    for (int i = 0; i < r.p.n_out; i++) r.y[i] = r.p.n_out > 1 ? gr_output(y, i) : y;
    rule_call(&r);
    return r;
}

/* Whether dx depends on x: d <w, dx> / dx is not zero. */
static bool second_derivative(const rule *right)
{
    rule r = afresh(right);
    gr_tensor *x[RULE_INPUTS], *d[RULE_INPUTS];
    int n = 0;
    for (int i = 0; i < r.p.n_in; i++)
        if (floats(r.x[i])) x[n++] = r.x[i];
    for (int i = 0; i < r.p.n_in; i++) {
        if (!rule_wants(&r, i)) continue;
        gr_tensor *w = rule_weights(r.dx[i]);
        if (gr_vjp(&r.dx[i], &w, 1, x, n, d)) return false;
        for (int k = 0; k < n; k++)
            if (norm(d[k]) > 1e-7 * norm(r.dx[i])) return true;
    }
    return false;
}

const mutation second_mutations[] = {
    {"gradient detached", "second derivative is missing", .after = detach_gradient, .order = 2,
     .lives = any_gradient},
    {"values detached", "second derivative is missing", reads_values, .before = detach_values,
     .order = 2, .lives = second_derivative},
    {"values 1e-6 too steep", "1.000001 times", reads_values, .before = steepen_values, .order = 2,
     .lives = second_derivative},
    {0},
};
