/* derivative.h - derivatives by central differences in float64, against those of the graph. */
/* SPDX-License-Identifier: MIT */
#ifndef DERIVATIVE_H
#define DERIVATIVE_H

#include <check.h>
#include <gradus/gradus.h>
#include <math.h>

/* What is to be differentiated; makes its constants in gr_graph_of(x). */
typedef gr_tensor *derivative_fn(gr_tensor *x);

enum { DERIVATIVE_MOST = 64 }; /* elements */

/* Numbers between -1 and 1 without a pattern that a wrong derivative could share. */
static inline gr_tensor *derivative_weights(gr_tensor *like)
{
    double w[4096];
    int64_t n = gr_numel(like);
    ck_assert_int_le(n, 4096);
    for (int64_t i = 0; i < n; i++) w[i] = sin(1.7 * (double)i + 0.4);
    return gr_from_data(gr_graph_of(like), GR_F64, *gr_shape_of(like), w);
}

/* order 1: a weighted sum of y + y^2, so that cotangents depend on x too; order k: a weighted sum
 * of the gradient of the one before. */
static inline gr_tensor *derivative_objective(derivative_fn *f, gr_tensor *x, int order)
{
    gr_tensor *y = f(x);
    gr_tensor *s = gr_sum_all(gr_mul(derivative_weights(y), gr_add(y, gr_square(y))));
    for (int k = 1; k < order; k++) {
        gr_tensor *d;
        gr_grad(s, &x, 1, &d);
        s = gr_sum_all(gr_mul(derivative_weights(d), d));
    }
    return s;
}

static inline double derivative_value(gr_graph *g, derivative_fn *f, gr_shape shape,
                                      const double *x, int order)
{
    gr_tensor *in = gr_from_data(g, GR_F64, shape, x);
    double value = gr_item(derivative_objective(f, in, order));
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
    gr_graph_reset(g);
    return value;
}

/* Derivatives of f at x of the orders 1 to `orders`, each by differences of the one below. The
 * graph is reset. */
static inline void derivative_check(gr_graph *g, const char *name, derivative_fn *f, gr_shape shape,
                                    const double *x, int orders)
{
    const double h = 1e-5;
    int64_t n = gr_shape_numel(&shape);
    double at[DERIVATIVE_MOST], want[DERIVATIVE_MOST];
    ck_assert_int_le(n, DERIVATIVE_MOST);
    for (int order = 1; order <= orders; order++) {
        gr_tensor *in = gr_from_data(g, GR_F64, shape, x), *d;
        gr_grad(derivative_objective(f, in, order), &in, 1, &d);
        const double *got = gr_data(d);
        ck_assert_msg(got != NULL, "%s: %s", name, gr_graph_error(g));
        for (int64_t i = 0; i < n; i++) want[i] = got[i];
        gr_graph_reset(g);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < n; j++) at[j] = x[j];
            at[i] = x[i] + h;
            double up = derivative_value(g, f, shape, at, order);
            at[i] = x[i] - h;
            double numeric = (up - derivative_value(g, f, shape, at, order)) / (2 * h);
            ck_assert_msg(fabs(numeric - want[i]) <= 1e-7 * (1 + fabs(want[i])),
                          "%s, order %d, element %d: graph %.12g, differences %.12g", name, order,
                          (int)i, want[i], numeric);
        }
    }
}

#endif
