/* jacobian.c - all derivatives of y by x: one VJP for each element of y, which gives a row, or one
 * JVP for each element of x, which gives a column, whichever are fewer.
 *
 *   J[i..., j...] = d y[i...] / d x[j...]        H[i..., j...] = d^2 y / dx[i...] dx[j...]
 */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <gradus/ops.h>
#include <gradus/transform.h>
#include <string.h>

/* Element i moves by 1, the others stay. */
static gr_tensor *unit(gr_tensor *eye, int64_t i, gr_tensor *like)
{
    return gr_reshape(gr_select(eye, 0, i), *gr_shape_of(like));
}

static gr_tensor *flat(gr_tensor *x)
{
    return gr_reshape(x, GR_SHAPE(gr_numel(x)));
}

/* n tensors of a graph, for as long as its tape; NULL, and the graph in error, without memory. */
static gr_tensor **room(gr_graph *g, int64_t n)
{
    gr_tensor **t = gr__arena_alloc(&g->nodes, (size_t)n * sizeof *t);
    if (!t) gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_jacobian: out of memory");
    return t;
}

/* [n_y, n_x]: n VJPs of `back` by x, whose cotangents are the n unit vectors of back's elements,
 * stacked along axis. */
static gr_tensor *sweep(gr_tensor *back, gr_tensor *x, int axis)
{
    gr_graph *g = back->graph;
    const int64_t n = gr_numel(back);
    gr_tensor **part = room(g, n), *eye = gr_eye(g, gr_dtype_of(back), n, n);
    for (int64_t i = 0; part && i < n; i++) {
        gr_tensor *seed = unit(eye, i, back);
        if (gr_vjp(&back, &seed, 1, &x, 1, &part[i])) return &g->nil;
        part[i] = flat(part[i]);
    }
    return part ? gr_stack(part, (int)n, axis) : &g->nil;
}

/* The VJP is linear in its cotangent v; its own VJPs by v are JVPs. */
static gr_tensor *columns(gr_tensor *y, gr_tensor *x)
{
    gr_tensor *v = gr_zeros(y->graph, gr_dtype_of(y), *gr_shape_of(y)), *back;
    if (gr_vjp(&y, &v, 1, &x, 1, &back)) return &y->graph->nil;
    return sweep(back, v, 1);
}

static bool join(const gr_shape *y, const gr_shape *x, gr_shape *shape)
{
    *shape = *y;
    if (y->rank + x->rank > GR_MAX_RANK) return false;
    memcpy(shape->dim + y->rank, x->dim, (size_t)x->rank * sizeof *x->dim);
    shape->rank += x->rank;
    return gr__shape_valid(shape);
}

static gr_tensor *jacobian(gr_tensor *y, gr_tensor *x, const char *name, const void *site)
{
    gr_graph *g = y->graph;
    gr_shape shape;
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (!join(y->shape, x->shape, &shape))
        return gr__fail_at(g, GR_ERR_ARGUMENT, site,
                           "%s: derivatives of %s by %s are too many, or of more than %d axes",
                           name, gr_shape_text(y->shape, a), gr_shape_text(x->shape, b),
                           GR_MAX_RANK);
    if (gr_shape_numel(&shape) == 0) return gr_zeros(g, gr_dtype_of(y), shape);
    gr_tensor *matrix = gr_numel(x) < gr_numel(y) ? columns(y, x) : sweep(y, x, 0);
    if (gr_dtype_of(matrix) != gr_dtype_of(y)) matrix = gr_cast(matrix, gr_dtype_of(y));
    return gr_reshape(matrix, shape);
}

/* The graph of y and x; NULL after an error. */
static gr_graph *usable(gr_tensor *y, gr_tensor *x, const char *name, const void *site)
{
    gr_graph *g = y ? y->graph : NULL;
    if (!y) gr__fail(GR_ERR_ARGUMENT, "%s: output 0 is NULL", name);
    if (!g || g->status) return NULL;
    if (gr__check_tensors(g, &y, 1, "output", name, site) ||
        gr__check_tensors(g, &x, 1, "input", name, site))
        return NULL;
    return g;
}

static gr_tensor *nothing(gr_tensor *y)
{
    return y && y->graph ? &y->graph->nil : &gr__nil;
}

/* All derivatives of y's elements by x's: [y's shape..., x's shape...], of y's dtype, zero where y
 * does not depend on x; the two have at most 8 axes together. A tensor of the graph: it can be
 * differentiated again, by gr_jacobian too. Costs as many VJPs, or JVPs, as the smaller of y and x
 * has elements. On failure inert, and the graph in error. */
gr_tensor *gr_jacobian(gr_tensor *y, gr_tensor *x)
{
    gr_graph *g = usable(y, x, "gr_jacobian", GR_HERE);
    if (!g) return nothing(y);
    gr_site_begin(g, GR_HERE);
    gr_tensor *j = jacobian(y, x, "gr_jacobian", GR_HERE);
    gr_site_end(g);
    return j;
}

/* All second derivatives of y, which has one element: [x's shape..., x's shape...], the Jacobian of
 * the gradient. gr_hvp gives products with it at a few gradients' cost. */
gr_tensor *gr_hessian(gr_tensor *y, gr_tensor *x)
{
    char text[GR_SHAPE_TEXT];
    gr_tensor *dx;
    gr_graph *g = usable(y, x, "gr_hessian", GR_HERE);
    if (!g) return nothing(y);
    if (gr_numel(y) != 1)
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                           "gr_hessian: expected an output of one element, got %s",
                           gr_shape_text(y->shape, text));
    gr_site_begin(g, GR_HERE);
    gr_tensor *h = gr_grad(y, &x, 1, &dx) ? &g->nil : jacobian(dx, x, "gr_hessian", GR_HERE);
    gr_site_end(g);
    return h;
}
