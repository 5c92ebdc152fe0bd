/* loss_case.h - element-wise losses against a formula of one element and published numbers. */
/* SPDX-License-Identifier: MIT */
#ifndef LOSS_CASE_H
#define LOSS_CASE_H

#include <check.h>
#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { LOSS_N = 6, LOSS_LARGE = 3000 };

typedef struct loss_case {
    const char *name;
    gr_tensor *(*record)(gr_tensor *const *in, gr_reduction r);
    double (*formula)(double x, double t, double u); /* the loss of one element */
    int n_in;
    double in[3][LOSS_N];  /* x, t and a third, as [2,3] */
    double mean;           /* of these, by PyTorch 1.13 */
    double grad[LOSS_N];   /* the gradient of the mean by x, by PyTorch 1.13 */
} loss_case;

static gr_graph *g;

static inline void loss_setup(void)
{
    g = gr_graph_new();
}

static inline void loss_teardown(void)
{
    gr_graph_free(g);
}

static inline gr_tensor *make(gr_dtype dtype, const double *x, gr_shape shape)
{
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

static inline const double *values(gr_tensor *t)
{
    const double *data = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    return data;
}

static inline void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

static inline void assert_close(const char *name, const double *got, const double *want, int n,
                                double tolerance)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i])),
                      "%s [%d]: expected %.17g, got %.17g", name, i, want[i], got[i]);
}

/* Mean and gradient for [2,3] against the numbers of the case. */
static inline void loss_check_published(const loss_case *c, gr_dtype dtype, double tolerance)
{
    gr_tensor *in[3], *d;
    for (int i = 0; i < c->n_in; i++) in[i] = make(dtype, c->in[i], GR_SHAPE(2, 3));
    gr_tensor *y = c->record(in, GR_REDUCTION_MEAN);
    double mean = gr_item(y);
    assert_close(c->name, &mean, &c->mean, 1, tolerance);
    ck_assert_int_eq(gr_grad(y, in, 1, &d), GR_OK);
    assert_close(c->name, values(d), c->grad, LOSS_N, tolerance);
    gr_graph_reset(g);
}

/* Each element, the sum and the mean of many against the formula. */
static inline void loss_check_formula(const loss_case *c, gr_dtype dtype, double tolerance)
{
    static double x[3][LOSS_LARGE], want[LOSS_LARGE];
    gr_tensor *in[3];
    double sum = 0, mean, got;
    for (int k = 0; k < c->n_in; k++) {
        for (int i = 0; i < LOSS_LARGE; i++)
            x[k][i] = c->in[k][i % LOSS_N] * (1 + 0.3 * sin(0.7 * i * (k + 1) / LOSS_N));
        in[k] = make(dtype, x[k], GR_SHAPE(30, LOSS_LARGE / 30));
    }
    for (int i = 0; i < LOSS_LARGE; i++) sum += want[i] = c->formula(x[0][i], x[1][i], x[2][i]);
    mean = sum / LOSS_LARGE;
    gr_tensor *each = c->record(in, GR_REDUCTION_NONE);
    ck_assert(gr_shape_equal(gr_shape_of(each), &GR_SHAPE(30, LOSS_LARGE / 30)));
    assert_close(c->name, values(each), want, LOSS_LARGE, tolerance);
    got = gr_item(c->record(in, GR_REDUCTION_MEAN));
    assert_close(c->name, &got, &mean, 1, tolerance);
    got = gr_item(c->record(in, GR_REDUCTION_SUM));
    assert_close(c->name, &got, &sum, 1, tolerance);
    gr_graph_reset(g);
}

/* One element of the formula at x, by a call: for edges. */
static inline double loss_at(gr_tensor *(*record)(gr_tensor *const *, gr_reduction), gr_dtype dtype,
                             double x, double t, double *dx)
{
    gr_tensor *in[2] = {gr_scalar(g, dtype, x), gr_scalar(g, dtype, t)}, *d;
    gr_tensor *y = record(in, GR_REDUCTION_MEAN);
    ck_assert_int_eq(gr_grad(y, in, 1, &d), GR_OK);
    if (dx) *dx = gr_item(d);
    return gr_item(y);
}

#endif
