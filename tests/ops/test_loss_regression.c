/* test_loss_regression.c - losses between numbers against their formulas and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "loss_case.h"
#include "suite.h"

#define X {0.3, -1.2, 2.5, 0.0, -0.4, 1.1}
#define T {0.8, -0.7, 0.4, 1.3, 2.9, 1.6}

static gr_tensor *mse(gr_tensor *const *in, gr_reduction r)
{
    return gr_mse_loss(in[0], in[1], (gr_loss_options){r});
}

static gr_tensor *l1(gr_tensor *const *in, gr_reduction r)
{
    return gr_l1_loss(in[0], in[1], (gr_loss_options){r});
}

static gr_tensor *huber(gr_tensor *const *in, gr_reduction r)
{
    return gr_huber_loss(in[0], in[1], (gr_huber_options){r, .delta = 0.75});
}

static gr_tensor *smooth_l1(gr_tensor *const *in, gr_reduction r)
{
    return gr_smooth_l1_loss(in[0], in[1], (gr_smooth_l1_options){r, .beta = 0.75});
}

static double mse_of(double x, double t, double u)
{
    (void)u;
    return (x - t) * (x - t);
}

static double l1_of(double x, double t, double u)
{
    (void)u;
    return fabs(x - t);
}

static double huber_of(double x, double t, double u)
{
    double d = fabs(x - t);
    (void)u;
    return d < 0.75 ? d * d / 2 : 0.75 * (d - 0.375);
}

static double smooth_l1_of(double x, double t, double u)
{
    double d = fabs(x - t);
    (void)u;
    return d < 0.75 ? d * d / 1.5 : d - 0.375;
}

static const loss_case cases[] = {
    {"mse", mse, mse_of, 2, {X, T}, 2.9566666666666666,
     {-0.16666666666666666, -0.16666666666666666, 0.7, -0.43333333333333335, -1.0999999999999999,
      -0.16666666666666666}},
    {"l1", l1, l1_of, 2, {X, T}, 1.366666666666667,
     {-0.16666666666666666, -0.16666666666666666, 0.16666666666666666, -0.16666666666666666,
      -0.16666666666666666, -0.16666666666666666}},
    {"huber", huber, huber_of, 2, {X, T}, 0.759375,
     {-0.08333333333333333, -0.08333333333333333, 0.125, -0.125, -0.125, -0.08333333333333333}},
    {"smooth_l1", smooth_l1, smooth_l1_of, 2, {X, T}, 1.0125,
     {-0.1111111111111111, -0.1111111111111111, 0.16666666666666666, -0.16666666666666666,
      -0.16666666666666666, -0.1111111111111111}},
};

enum { CASES = sizeof cases / sizeof *cases };

START_TEST(means_and_gradients_are_those_of_pytorch)
{
    for (int i = 0; i < CASES; i++) {
        loss_check_published(&cases[i], GR_F64, 1e-14);
        loss_check_published(&cases[i], GR_F32, 1e-6);
    }
}
END_TEST

START_TEST(every_element_and_reduction_follows_the_formula)
{
    for (int i = 0; i < CASES; i++) {
        loss_check_formula(&cases[i], GR_F64, 1e-13);
        loss_check_formula(&cases[i], GR_F32, 1e-5);
    }
}
END_TEST

START_TEST(short_forms_take_the_mean_and_bend_at_1)
{
    const double x0[2] = {0, 3}, t0[2] = {0.5, 0};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2)), *t = make(GR_F64, t0, GR_SHAPE(2));
    ck_assert_double_eq(gr_item(gr_mse(x, t)), (0.25 + 9) / 2);
    ck_assert_double_eq(gr_item(gr_l1(x, t)), 3.5 / 2);
    ck_assert_double_eq(gr_item(gr_huber(x, t)), (0.125 + 2.5) / 2);
    ck_assert_double_eq(gr_item(gr_smooth_l1(x, t)), (0.125 + 2.5) / 2);
}
END_TEST

/* Up to 4096 bytes go as one node. */
START_TEST(mse_is_the_same_of_few_and_of_many)
{
    enum { FEW = 512, MOST = FEW + 1 };
    double x0[MOST], t0[MOST];
    for (int i = 0; i < MOST; i++) {
        x0[i] = sin(0.7 * i);
        t0[i] = cos(0.3 * i);
    }
    for (int n = FEW; n <= MOST; n++)
        for (int r = GR_REDUCTION_MEAN; r <= GR_REDUCTION_SUM; r++) {
            gr_tensor *in[2] = {make(GR_F64, x0, GR_SHAPE(n)), make(GR_F64, t0, GR_SHAPE(n))}, *d[2];
            gr_tensor *y = mse(in, (gr_reduction)r);
            gr_grad(y, in, 2, d);
            const double *dx = values(d[0]), *dt = values(d[1]);
            const double factor = r == GR_REDUCTION_MEAN ? 1.0 / n : 1;
            double want = 0;
            for (int i = 0; i < n; i++) {
                const double e = x0[i] - t0[i];
                want += factor * e * e;
                ck_assert_double_eq_tol(dx[i], 2 * factor * e, 1e-14);
                ck_assert_double_eq_tol(dt[i], -2 * factor * e, 1e-14);
            }
            ck_assert_double_eq_tol(gr_item(y), want, 1e-12 * want);
        }
}
END_TEST

/* At d = 0 and at the bend; NaN and Inf. */
START_TEST(edges_and_ties)
{
    static const struct {
        gr_tensor *(*record)(gr_tensor *const *, gr_reduction);
        double x, y, dx;
    } edges[] = {
        {l1, 0, 0, 0},          {huber, 0, 0, 0},     {huber, 0.75, 0.28125, 0.75},
        {huber, -0.75, 0.28125, -0.75}, {smooth_l1, 0.75, 0.375, 1}, {mse, 0, 0, 0},
        {huber, INFINITY, INFINITY, 0.75}, {smooth_l1, -INFINITY, INFINITY, -1},
        {l1, INFINITY, INFINITY, 1}, {mse, INFINITY, INFINITY, INFINITY},
    };
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            double dx, y = loss_at(edges[i].record, (gr_dtype)dtype, edges[i].x, 0, &dx);
            ck_assert_msg(y == edges[i].y && dx == edges[i].dx, "%d: %g, %g", (int)i, y, dx);
        }
    for (int i = 0; i < CASES; i++)
        ck_assert(isnan(loss_at(cases[i].record, GR_F32, NAN, 0, NULL)));
}
END_TEST

START_TEST(the_second_derivative_of_huber_is_1_within_the_bend)
{
    const double x0[4] = {0, 0.5, 0.75, -2}, want[4] = {1, 1, 0, 0};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(4)), *d, *dd;
    gr_tensor *in[2] = {x, gr_zeros(g, GR_F64, GR_SHAPE(4))};
    gr_grad(huber(in, GR_REDUCTION_SUM), &x, 1, &d);
    gr_grad(d, &x, 1, &dd);
    assert_close("second derivative", values(dd), want, 4, 0);
}
END_TEST

START_TEST(nothing_has_the_sum_0_and_no_mean)
{
    gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(0, 3)), *in[2] = {none, none};
    for (int i = 0; i < CASES; i++) {
        ck_assert_double_eq(gr_item(cases[i].record(in, GR_REDUCTION_SUM)), 0);
        ck_assert(isnan(gr_item(cases[i].record(in, GR_REDUCTION_MEAN))));
        ck_assert_int_eq(gr_numel(cases[i].record(in, GR_REDUCTION_NONE)), 0);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(6, 1));
    ck_assert_ptr_eq(gr_graph_of(gr_l1(x, gr_zeros(g, GR_F32, GR_SHAPE(6)))), g);
    assert_error("l1: expected a target of the shape of x, [6,1], got [6]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(6));
    gr_huber_loss(x, x, (gr_huber_options){.delta = -2});
    assert_error("huber: delta must be positive, got -2");
    x = gr_zeros(g, GR_F32, GR_SHAPE(6));
    gr_smooth_l1_loss(x, x, (gr_smooth_l1_options){.beta = NAN});
    assert_error("smooth_l1: beta must be positive, got nan");
    x = gr_zeros(g, GR_F32, GR_SHAPE(6));
    gr_mse_loss(x, x, (gr_loss_options){(gr_reduction)9});
    assert_error("mse: reduction 9 is not mean, sum or none");
    gr_mse(gr_zeros(g, GR_F32, GR_SHAPE(6)), gr_zeros(g, GR_F64, GR_SHAPE(6)));
    assert_error("cannot mix float32 and float64");
}
END_TEST

SUITE("loss_regression", loss_setup, loss_teardown, means_and_gradients_are_those_of_pytorch,
      every_element_and_reduction_follows_the_formula, short_forms_take_the_mean_and_bend_at_1,
      mse_is_the_same_of_few_and_of_many,
      edges_and_ties, the_second_derivative_of_huber_is_1_within_the_bend,
      nothing_has_the_sum_0_and_no_mean, what_does_not_fit_is_named)
