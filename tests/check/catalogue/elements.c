/* elements.c - one element of the gradient wrong: the one that matters most at this x.
 *
 * Which one that is follows from the gradient for a fixed cotangent, so that the damaged rule stays
 * linear in the cotangent. A fixed place would often hold 0 in a sparse gradient.
 */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>
#include <math.h>
#include <stdlib.h>

/* The place of the largest gradient of input i; -1 where all is zero. */
static int64_t peak(const rule *r, int i)
{
    int64_t at = -1;
    double most = 0, *values = rule_sensitivity(r, i);
    for (int64_t k = 0; values && k < gr_numel(r->x[i]); k++) {
        if (!(fabs(values[k]) > most)) continue;
        most = fabs(values[k]);
        at = k;
    }
    free(values);
    return at;
}

/* dx but for the element at the peak, which becomes `factor` times what it was. */
static void change_peak(rule *r, double factor)
{
    for (int i = 0; i < r->p.n_in; i++) {
        if (!rule_wants(r, i)) continue;
        int64_t n = gr_numel(r->x[i]), at = peak(r, i);
        double *factors = malloc((size_t)n * sizeof *factors);
        for (int64_t k = 0; factors && k < n; k++) factors[k] = k == at ? factor : 1;
        gr_tensor *f = gr_from_data(r->p.graph, GR_F64, *gr_shape_of(r->x[i]), factors);
        r->dx[i] = gr_mul(r->dx[i], gr_cast(f, gr_dtype_of(r->dx[i])));
        free(factors);
    }
}

static void zero_peak(rule *r)
{
    change_peak(r, 0);
}

static void negate_peak(rule *r)
{
    change_peak(r, -1);
}

static void shift_peak(rule *r)
{
    change_peak(r, 1 + 1e-3);
}

static void break_peak(rule *r)
{
    change_peak(r, NAN);
}

/* flat[order], order being 0, 1, 2, ... but for the peak and its neighbour. */
static gr_tensor *swapped(gr_tensor *dx, int64_t at)
{
    int64_t n = gr_numel(dx), other = at + 1 < n ? at + 1 : at - 1;
    int64_t *order = malloc((size_t)n * sizeof *order);
    for (int64_t k = 0; order && k < n; k++) order[k] = k == at ? other : k == other ? at : k;
    gr_tensor *index = gr_from_data(gr_graph_of(dx), GR_I64, GR_SHAPE(n), order);
    free(order);
    gr_tensor *flat = gr_reshape(dx, GR_SHAPE(n));
    return gr_reshape(gr_gather(flat, 0, index), *gr_shape_of(dx));
}

static void swap_two(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) {
        int64_t at = rule_wants(r, i) && gr_numel(r->x[i]) > 1 ? peak(r, i) : -1;
        if (at >= 0) r->dx[i] = swapped(r->dx[i], at);
    }
}

/* Elements without gradient get a share of the whole cotangent. */
static void fill_zeros(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) {
        double *values = rule_wants(r, i) && r->dy[0] ? rule_sensitivity(r, i) : NULL;
        if (!values) continue;
        for (int64_t k = 0; k < gr_numel(r->x[i]); k++) values[k] = values[k] == 0 ? 0.1 : 0;
        gr_tensor *share = gr_from_data(r->p.graph, GR_F64, *gr_shape_of(r->x[i]), values);
        gr_dtype dtype = gr_dtype_of(r->dx[i]);
        gr_tensor *total = gr_sum_all(gr_mul(r->dy[0], rule_weights(r->dy[0])));
        r->dx[i] = gr_add(r->dx[i], gr_mul(gr_cast(share, dtype), gr_cast(total, dtype)));
        free(values);
    }
}

/* What is flat lets the cotangent through. */
static void pass_through(rule *r)
{
    bool same = r->dy[0] && gr_dtype_of(r->dy[0]) == gr_dtype_of(r->x[0]) &&
                gr_shape_equal(gr_shape_of(r->dy[0]), gr_shape_of(r->x[0]));
    if (same && r->p.wants[0]) r->dx[0] = r->dy[0];
}

const mutation element_mutations[] = {
    {"one element zeroed", "alone is wrong", .after = zero_peak},
    {"one element negated", "alone is wrong", .after = negate_peak},
    {"one element changed", "alone is wrong", .after = shift_peak},
    {"one element NaN", "not finite", .after = break_peak},
    {"two elements swapped", "are swapped", .after = swap_two},
    {"gradient where it is zero", "should be zero", .after = fill_zeros},
    {"gradient of a step", "should be zero", .after = pass_through, .constant = true},
    {0},
};
