/* arrangement.c - the right numbers in the wrong places. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>
#include <stdlib.h>

static void transpose(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) {
        int rank = gr_shape_of(r->x[i])->rank;
        if (!rule_wants(r, i) || rank < 2) continue;
        r->dx[i] = gr_reshape(gr_transpose(r->dx[i], rank - 2, rank - 1), *gr_shape_of(r->x[i]));
    }
}

/* The first row along an axis set to zero. */
static gr_tensor *without_border(gr_tensor *dx, int axis)
{
    int64_t size = gr_shape_of(dx)->dim[axis];
    gr_tensor *border = gr_slice(dx, axis, 0, 1, 1);
    gr_tensor *both[] = {gr_scale(border, 0), gr_slice(dx, axis, 1, size, 1)};
    return gr_concat(both, 2, axis);
}

static void clear_border(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) {
        const gr_shape *s = gr_shape_of(r->x[i]);
        int axis = s->rank > 1 ? s->rank - 2 : 0;
        if (!rule_wants(r, i) || s->rank == 0 || s->dim[axis] < 2) continue;
        r->dx[i] = without_border(r->dx[i], axis);
    }
}

/* As read from one element further on: the last element comes first. */
static gr_tensor *turned(gr_tensor *dx)
{
    int64_t n = gr_numel(dx);
    gr_tensor *flat = gr_reshape(dx, GR_SHAPE(n));
    gr_tensor *both[] = {gr_slice(flat, 0, n - 1, n, 1), gr_slice(flat, 0, 0, n - 1, 1)};
    return gr_reshape(gr_concat(both, 2, 0), *gr_shape_of(dx));
}

static void shift_by_one(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i) && gr_numel(r->x[i]) > 1) r->dx[i] = turned(r->dx[i]);
}

static bool is_view(const gr_tensor *t)
{
    const gr_node *node = gr_node_of(t);
    return node && gr_node_op(node)->view;
}

/* Shifted where the input is transposed, sliced or expanded, right where it is row-major. */
static void misread_views(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i) && gr_numel(r->x[i]) > 1 && is_view(r->x[i]))
            r->dx[i] = turned(r->dx[i]);
}

static bool has_more_inputs(const gr_op *op)
{
    return op->n_in != 1 && !op->define; /* of a definition one input is seen at a time */
}

/* The first two wanted inputs of one shape get each other's gradient. */
static void exchange(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        for (int j = i + 1; j < r->p.n_in; j++) {
            if (!rule_wants(r, i) || !rule_wants(r, j)) continue;
            if (!gr_shape_equal(gr_shape_of(r->x[i]), gr_shape_of(r->x[j]))) continue;
            gr_tensor *first = r->dx[i];
            r->dx[i] = r->dx[j];
            r->dx[j] = first;
            return;
        }
}

const mutation arrangement_mutations[] = {
    {"transposed", "is transposed", .after = transpose},
    {"border zeroed", "the border", .after = clear_border},
    {"shifted by one", "is shifted", .after = shift_by_one},
    {"views misread", "a stride is ignored", .after = misread_views},
    {"another input's", "another input's gradient", has_more_inputs, .after = exchange},
    {0},
};
