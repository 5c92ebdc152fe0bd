/* grad.c - derivatives as tensors: gr_grad, gr_vjp, gr_jvp. */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

gr_status gr__check_tensors(gr_graph *g, gr_tensor *const *t, int n, const char *what,
                            const char *name, const void *site)
{
    for (int i = 0; i < n; i++) {
        if (!t[i] || t[i]->graph != g || gr__is_nil(t[i]) || t[i]->generation != g->generation)
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s %d is not a tensor of this graph", name,
                        what, i);
        else if (!gr__is_float((gr_dtype)t[i]->dtype))
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s %d is %s; only float32 and float64 have "
                        "derivatives", name, what, i, gr_dtype_name((gr_dtype)t[i]->dtype));
        if (g->status) return g->status;
    }
    return GR_OK;
}

static gr_status check_seeds(gr_graph *g, gr_tensor *const *y, gr_tensor *const *dy, int n,
                             const void *site)
{
    for (int i = 0; i < n; i++) {
        char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
        if (dy[i]->dtype == y[i]->dtype && gr_shape_equal(dy[i]->shape, y[i]->shape)) continue;
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "gr_vjp: output %d is %s %s, its cotangent %s %s", i,
                    gr_dtype_name((gr_dtype)y[i]->dtype), gr_shape_text(y[i]->shape, a),
                    gr_dtype_name((gr_dtype)dy[i]->dtype), gr_shape_text(dy[i]->shape, b));
        return g->status;
    }
    return GR_OK;
}

static gr_status vjp(gr_tensor *const *y, gr_tensor *const *dy, int n_y, gr_tensor *const *x,
                     int n_x, gr_tensor **dx, const char *name, const void *site)
{
    gr_graph *g = n_y > 0 && y[0] ? y[0]->graph : NULL;
    for (int i = 0; i < n_x; i++) dx[i] = g ? &g->nil : &gr__nil;
    if (!g) return gr__fail(GR_ERR_ARGUMENT, "%s: no output to differentiate", name);
    if (g->status) return g->status;
    if (gr__check_tensors(g, y, n_y, "output", name, site) ||
        gr__check_tensors(g, x, n_x, "input", name, site) ||
        gr__check_tensors(g, dy, n_y, "cotangent", name, site) || check_seeds(g, y, dy, n_y, site))
        return g->status;
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
    return vjp(y, dy, n_y, x, n_x, dx, "gr_vjp", GR_HERE);
}

/* Gradients of the sum of y's elements: dx[i] = d sum(y) / d x[i]; see gr_vjp. */
gr_status gr_grad(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx)
{
    if (!y) return gr__fail(GR_ERR_ARGUMENT, "gr_grad: y is NULL");
    gr_tensor *one = y->graph ? gr_ones(y->graph, (gr_dtype)y->dtype, *y->shape) : &gr__nil;
    return vjp(&y, &one, 1, x, n, dx, "gr_grad", GR_HERE);
}

/* Jacobian-vector products, forward mode: dy[j] = sum_i (d y[j] / d x[i]) . dx[i], as tensors of
 * the graph. The VJP is linear in its cotangent v, and its own VJP with respect to v is the JVP:
 * so every op that can be differentiated twice has one. dx[i] is like x[i], dy[j] like y[j]; an op
 * whose backward is a C function is an error. */
gr_status gr_jvp(gr_tensor *const *y, int n_y, gr_tensor *const *x, gr_tensor *const *dx, int n_x,
                 gr_tensor **dy)
{
    gr_graph *g = n_y > 0 && y[0] ? y[0]->graph : NULL;
    for (int j = 0; j < n_y; j++) dy[j] = g ? &g->nil : &gr__nil;
    if (!g) return gr__fail(GR_ERR_ARGUMENT, "gr_jvp: no output to differentiate");
    if (g->status || gr__check_tensors(g, y, n_y, "output", "gr_jvp", GR_HERE)) return g->status;
    gr_tensor **v = gr__arena_alloc(&g->nodes, (size_t)(n_y + n_x) * sizeof *v), **back = v + n_y;
    if (!v) {
        gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "gr_jvp: out of memory");
        return g->status;
    }
    for (int j = 0; j < n_y; j++) v[j] = gr_zeros(g, (gr_dtype)y[j]->dtype, *y[j]->shape);
    if (vjp(y, v, n_y, x, n_x, back, "gr_jvp", GR_HERE)) return g->status;
    return vjp(back, dx, n_x, v, n_y, dy, "gr_jvp", GR_HERE);
}
