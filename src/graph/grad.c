/* grad.c - derivatives as tensors: gr_grad, gr_vjp, gr_jvp, gr_hvp. */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <gradus/transform.h>

/* --- checks --- */

/* Why t cannot be used in a call on g, NULL when it can. */
static const char *unusable(const gr_graph *g, const gr_tensor *t)
{
    if (!t) return "NULL";
    if (gr__is_nil(t)) return "inert: an earlier call failed";
    if (t->graph != g) return "a tensor of another graph";
    if (t->generation != g->generation) return "stale: its graph was reset after it was recorded";
    return NULL;
}

gr_status gr__check_tensors(gr_graph *g, gr_tensor *const *t, int n, const char *what,
                            const char *name, const void *site)
{
    if (!t && n > 0)
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: the array of %ss is NULL", name, what);
    for (int i = 0; i < n && !g->status; i++) {
        const char *problem = unusable(g, t[i]);
        if (problem)
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s %d is %s", name, what, i, problem);
        else if (!gr__is_float((gr_dtype)t[i]->dtype))
            gr__fail_at(g, GR_ERR_ARGUMENT, site,
                        "%s: %s %d is %s; only float32 and float64 have "
                        "derivatives",
                        name, what, i, gr_dtype_name((gr_dtype)t[i]->dtype));
    }
    return g->status;
}

/* Whether v[i] is like t[i]: what and that name the two. */
static gr_status check_alike(gr_graph *g, gr_tensor *const *t, gr_tensor *const *v, int n,
                             const char *what, const char *that, const char *name, const void *site)
{
    if (gr__check_tensors(g, v, n, that, name, site)) return g->status;
    for (int i = 0; i < n; i++) {
        char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
        if (v[i]->dtype == t[i]->dtype && gr_shape_equal(v[i]->shape, t[i]->shape)) continue;
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s %d is %s %s, its %s %s %s", name, what, i,
                    gr_dtype_name((gr_dtype)t[i]->dtype), gr_shape_text(t[i]->shape, a), that,
                    gr_dtype_name((gr_dtype)v[i]->dtype), gr_shape_text(v[i]->shape, b));
        return g->status;
    }
    return GR_OK;
}

/* The graph of a call that differentiates n_y tensors y by n_x tensors x; NULL after an error. The
 * n results are inert until there are better ones. */
static gr_graph *begin(gr_tensor *const *y, int n_y, gr_tensor *const *x, int n_x,
                       gr_tensor **results, int n, const char *name, const void *site)
{
    gr_graph *g = n_y > 0 && y && y[0] ? y[0]->graph : NULL;
    for (int i = 0; i < n && results; i++) results[i] = g ? &g->nil : &gr__nil;
    if (g && !results && n > 0)
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: the array of results is NULL", name);
    if (!g) gr__fail(GR_ERR_ARGUMENT, "%s: no output to differentiate", name);
    if (!g || g->status) return NULL;
    if (gr__check_tensors(g, y, n_y, "output", name, site) ||
        gr__check_tensors(g, x, n_x, "input", name, site))
        return NULL;
    for (int i = 0; i < n_x; i++) {
        if (x[i]->node->id < g->sweep_from)
            gr__fail_at(g, GR_ERR_STATE, site,
                        "%s: input %d was recorded before the backward rule "
                        "or hook that asks; these differentiate what they record",
                        name, i);
        else if (g->sections) gr__section_hold(g, x[i], name, i, site);
        if (g->status) return NULL;
    }
    return g;
}

static gr_status status_of(gr_tensor *const *y, int n_y)
{
    return n_y > 0 && y && y[0] && y[0]->graph ? y[0]->graph->status : GR_ERR_ARGUMENT;
}

/* --- sweeps --- */

/* Of checked arguments. A tensor that no y depends on gets zeros. */
static gr_status pull(gr_graph *g, gr_tensor *const *y, gr_tensor *const *dy, int n_y,
                      gr_tensor *const *x, int n_x, gr_tensor **dx)
{
    gr__sweep(g, y, dy, n_y, x, n_x, dx);
    for (int i = 0; i < n_x; i++) {
        if (g->status) dx[i] = &g->nil;
        else if (!dx[i])
            dx[i] = gr__fill(g, (gr_dtype)x[i]->dtype, x[i]->shape, 0, x[i]->node->site);
    }
    return g->status;
}

/* Room for n tensors until the reset; NULL, with the error set, without memory or after an error. */
static gr_tensor **take_tensors(gr_graph *g, int n, const char *name)
{
    if (g->status) return NULL;
    gr_tensor **t = gr__arena_alloc(&g->nodes, (size_t)n * sizeof *t);
    if (!t) gr__fail_at(g, GR_ERR_MEMORY, NULL, "%s: out of memory", name);
    return t;
}

/* The VJP's own VJP with respect to its cotangent v. */
static gr_status push(gr_graph *g, gr_tensor *const *y, int n_y, gr_tensor *const *x,
                      gr_tensor *const *dx, int n_x, gr_tensor **dy)
{
    gr_tensor **v = take_tensors(g, n_y, "gr_jvp"), **back = take_tensors(g, n_x, "gr_jvp");
    for (int j = 0; back && j < n_y; j++)
        v[j] = gr__fill(g, (gr_dtype)y[j]->dtype, y[j]->shape, 0, y[j]->node->site);
    if (g->status || pull(g, y, v, n_y, x, n_x, back)) return g->status;
    return pull(g, back, dx, n_x, v, n_y, dy);
}

/* The sum of y's elements differentiated. */
static gr_status pull_one(gr_graph *g, gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx)
{
    gr_tensor *one = gr__fill(g, (gr_dtype)y->dtype, y->shape, 1, y->node->site);
    return g->status ? g->status : pull(g, &y, &one, 1, x, n, dx);
}

/* The results belong to the user: gr_backward computes them, whether anything reads them or not.
 * After an error all are inert. */
static gr_status hand_over(gr_graph *g, gr_tensor **results, int n)
{
    for (int i = 0; i < n; i++) {
        if (g->status) results[i] = &g->nil;
        else results[i]->node->flags |= GR__USER;
    }
    return g->status;
}

/* --- what users call --- */

/* Vector-Jacobian products: dx[i] = sum_j dy[j] . (d y[j] / d x[i]), as tensors of the graph that
 * can be differentiated again. dy[j] has the shape and dtype of y[j]; dx[i] gets those of x[i],
 * and is zero where no y depends on x[i]. On failure every dx is inert and the graph in error. */
gr_status gr_vjp(gr_tensor *const *y, gr_tensor *const *dy, int n_y, gr_tensor *const *x, int n_x,
                 gr_tensor **dx)
{
    gr_graph *g = begin(y, n_y, x, n_x, dx, n_x, "gr_vjp", GR_HERE);
    if (!g || check_alike(g, y, dy, n_y, "output", "cotangent", "gr_vjp", GR_HERE))
        return status_of(y, n_y);
    pull(g, y, dy, n_y, x, n_x, dx);
    return hand_over(g, dx, n_x);
}

/* Gradients of the sum of y's elements: dx[i] = d sum(y) / d x[i]; see gr_vjp. */
gr_status gr_grad(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx)
{
    gr_graph *g = begin(&y, 1, x, n, dx, n, "gr_grad", GR_HERE);
    if (!g) return status_of(&y, 1);
    pull_one(g, y, x, n, dx);
    return hand_over(g, dx, n);
}

/* Jacobian-vector products, forward mode: dy[j] = sum_i (d y[j] / d x[i]) . dx[i], as tensors of
 * the graph. The VJP is linear in its cotangent v, and its own VJP with respect to v is the JVP:
 * so every op that can be differentiated twice has one. dx[i] is like x[i], dy[j] like y[j]; an op
 * whose backward is a C function is an error. */
gr_status gr_jvp(gr_tensor *const *y, int n_y, gr_tensor *const *x, gr_tensor *const *dx, int n_x,
                 gr_tensor **dy)
{
    gr_graph *g = begin(y, n_y, x, n_x, dy, n_y, "gr_jvp", GR_HERE);
    if (!g || check_alike(g, x, dx, n_x, "input", "tangent", "gr_jvp", GR_HERE))
        return status_of(y, n_y);
    push(g, y, n_y, x, dx, n_x, dy);
    return hand_over(g, dy, n_y);
}

/* Products of the Hessian of y, which has one element, and a direction: hv[i] is the derivative of
 * d y / d x[i] along v, where x[j] moves by v[j]. The Hessian is symmetric, so that is the gradient
 * of the gradient's product with v: a few gradients' cost, however many elements there are
 * (Pearlmutter, "Fast exact multiplication by the Hessian", 1994, does the same in forward mode,
 * which takes as long on large tensors and half as long again on small ones). v[i] and hv[i] are
 * like x[i]; on failure every hv is inert and the graph in error. */
gr_status gr_hvp(gr_tensor *y, gr_tensor *const *x, gr_tensor *const *v, int n, gr_tensor **hv)
{
    char text[GR_SHAPE_TEXT];
    gr_graph *g = begin(&y, 1, x, n, hv, n, "gr_hvp", GR_HERE);
    if (!g || check_alike(g, x, v, n, "input", "direction", "gr_hvp", GR_HERE))
        return status_of(&y, 1);
    if (gr_shape_numel(y->shape) != 1)
        gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                    "gr_hvp: expected an output of one element, got %s",
                    gr_shape_text(y->shape, text));
    gr_tensor **dx = take_tensors(g, n, "gr_hvp");
    if (dx && !pull_one(g, y, x, n, dx)) pull(g, dx, v, n, x, n, hv);
    return hand_over(g, hv, n);
}
