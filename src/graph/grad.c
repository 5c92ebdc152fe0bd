/* grad.c - derivatives as tensors: gr_grad, gr_vjp, gr_jvp, gr_hvp. */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

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
    for (int i = 0; i < n; i++) {
        const char *problem = unusable(g, t[i]);
        if (problem)
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s %d is %s", name, what, i, problem);
        else if (!gr__is_float((gr_dtype)t[i]->dtype))
            gr__fail_at(g, GR_ERR_ARGUMENT, site,
                        "%s: %s %d is %s; only float32 and float64 have "
                        "derivatives",
                        name, what, i, gr_dtype_name((gr_dtype)t[i]->dtype));
        if (g->status) return g->status;
    }
    return GR_OK;
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
    gr_graph *g = n_y > 0 && y[0] ? y[0]->graph : NULL;
    for (int i = 0; i < n; i++) results[i] = g ? &g->nil : &gr__nil;
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
    return n_y > 0 && y[0] && y[0]->graph ? y[0]->graph->status : GR_ERR_ARGUMENT;
}

/* --- sweeps --- */

/* Of checked arguments. A tensor that no y depends on gets zeros. */
static gr_status pull(gr_graph *g, gr_tensor *const *y, gr_tensor *const *dy, int n_y,
                      gr_tensor *const *x, int n_x, gr_tensor **dx)
{
    gr__sweep(g, y, dy, n_y, x, n_x, dx);
    for (int i = 0; i < n_x; i++) {
        if (g->status) dx[i] = &g->nil;
        else if (!dx[i]) dx[i] = gr_zeros(g, (gr_dtype)x[i]->dtype, *x[i]->shape);
        else dx[i]->node->flags |= GR__USER;
    }
    return g->status;
}

/* Vector-Jacobian products: dx[i] = sum_j dy[j] . (d y[j] / d x[i]), as tensors of the graph that
 * can be differentiated again. dy[j] has the shape and dtype of y[j]; dx[i] gets those of x[i],
 * and is zero where no y depends on x[i]. On failure every dx is inert and the graph in error. */
gr_status gr_vjp(gr_tensor *const *y, gr_tensor *const *dy, int n_y, gr_tensor *const *x, int n_x,
                 gr_tensor **dx)
{
    gr_graph *g = begin(y, n_y, x, n_x, dx, n_x, "gr_vjp", GR_HERE);
    if (!g || check_alike(g, y, dy, n_y, "output", "cotangent", "gr_vjp", GR_HERE))
        return status_of(y, n_y);
    return pull(g, y, dy, n_y, x, n_x, dx);
}

static gr_status grad(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx, const char *name,
                      const void *site)
{
    gr_graph *g = begin(&y, 1, x, n, dx, n, name, site);
    if (!g) return status_of(&y, 1);
    gr_tensor *one = gr_ones(g, (gr_dtype)y->dtype, *y->shape);
    return g->status ? g->status : pull(g, &y, &one, 1, x, n, dx);
}

/* Gradients of the sum of y's elements: dx[i] = d sum(y) / d x[i]; see gr_vjp. */
gr_status gr_grad(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx)
{
    return grad(y, x, n, dx, "gr_grad", GR_HERE);
}

/* Of checked arguments; the VJP's own VJP with respect to its cotangent v. */
static gr_status push(gr_graph *g, gr_tensor *const *y, int n_y, gr_tensor *const *x,
                      gr_tensor *const *dx, int n_x, gr_tensor **dy, const char *name)
{
    size_t n = (size_t)n_y + (size_t)n_x;
    gr_tensor **v = gr__arena_alloc(&g->nodes, n * sizeof *v);
    if (!v) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "%s: out of memory", name);
        return g->status;
    }
    gr_tensor **back = v + n_y;
    for (int j = 0; j < n_y; j++) v[j] = gr_zeros(g, (gr_dtype)y[j]->dtype, *y[j]->shape);
    if (g->status || pull(g, y, v, n_y, x, n_x, back)) return g->status;
    return pull(g, back, dx, n_x, v, n_y, dy);
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
    return push(g, y, n_y, x, dx, n_x, dy, "gr_jvp");
}
