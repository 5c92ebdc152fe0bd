/* test_loss_margin.c - margin losses against their formulas and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "loss_case.h"
#include "suite.h"

#define X {0.3, -1.2, 2.5, 0.0, -0.4, 1.1}
#define T {0.8, -0.7, 0.4, 1.3, 2.9, 1.6}
#define S {1, -1, -1, 1, 1, -1}

static gr_tensor *soft_margin(gr_tensor *const *in, gr_reduction r)
{
    return gr_soft_margin_loss(in[0], in[1], (gr_loss_options){r});
}

static gr_tensor *hinge(gr_tensor *const *in, gr_reduction r)
{
    return gr_hinge_loss(in[0], in[1], (gr_hinge_options){r, .margin = 0.5});
}

static gr_tensor *squared_hinge(gr_tensor *const *in, gr_reduction r)
{
    return gr_squared_hinge_loss(in[0], in[1], (gr_hinge_options){r, .margin = 0.5});
}

static gr_tensor *ranking(gr_tensor *const *in, gr_reduction r)
{
    return gr_margin_ranking_loss(in[0], in[1], in[2], (gr_margin_options){r, .margin = 0.2});
}

static double soft_margin_of(double x, double t, double u)
{
    (void)u;
    return log(1 + exp(-t * x));
}

static double hinge_of(double x, double t, double u)
{
    (void)u;
    return fmax(0, 0.5 - t * x);
}

static double squared_hinge_of(double x, double t, double u)
{
    return hinge_of(x, t, u) * hinge_of(x, t, u);
}

static double ranking_of(double a, double b, double t)
{
    return fmax(0, 0.2 - t * (a - b));
}

/* hinge and squared_hinge, which PyTorch lacks, as max(0, 0.5 - t x): [0.2, 0, 3, 0.5, 0.9, 1.6] */
static const loss_case cases[] = {
    {"soft_margin", soft_margin, soft_margin_of, 2, {X, S}, 1.0650042006957394,
     {-0.07092624719805683, 0.03857920275016373, 0.15402363666312607, -0.08333333333333333,
      -0.09978127668540866, 0.12504335093251956}},
    {"hinge", hinge, hinge_of, 2, {X, S}, 6.2 / 6,
     {-1 / 6.0, 0, 1 / 6.0, -1 / 6.0, -1 / 6.0, 1 / 6.0}},
    {"squared_hinge", squared_hinge, squared_hinge_of, 2, {X, S}, 12.66 / 6,
     {-0.4 / 6, 0, 1, -1 / 6.0, -0.3, 3.2 / 6}},
    {"margin_ranking", ranking, ranking_of, 3, {X, T, S}, 1.3333333333333333,
     {-0.16666666666666666, 0, 0.16666666666666666, -0.16666666666666666, -0.16666666666666666, 0}},
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

START_TEST(short_forms_have_the_margin_1_or_none)
{
    const double x0[2] = {0.25, -3}, s0[2] = {1, -1};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2)), *t = make(GR_F64, s0, GR_SHAPE(2));
    gr_tensor *zero = gr_zeros(g, GR_F64, GR_SHAPE(2));
    ck_assert_double_eq(gr_item(gr_hinge(x, t)), 0.375);
    ck_assert_double_eq(gr_item(gr_squared_hinge(x, t)), 0.5625 / 2);
    ck_assert_double_eq(gr_item(gr_margin_ranking(zero, x, t)), 3.25 / 2);
    ck_assert_double_eq_tol(gr_item(gr_soft_margin(x, t)),
                            (log(1 + exp(-0.25)) + log(1 + exp(-3))) / 2, 1e-15);
}
END_TEST

START_TEST(ties_and_extremes)
{
    double dx;
    ck_assert_double_eq(loss_at(hinge, GR_F64, 0.5, 1, &dx), 0);
    ck_assert_double_eq(dx, 0);
    ck_assert_double_eq(loss_at(squared_hinge, GR_F64, -0.5, -1, &dx), 0);
    ck_assert_double_eq(dx, 0);
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        ck_assert_double_eq(loss_at(soft_margin, (gr_dtype)dtype, -1000, 1, &dx), 1000);
        ck_assert_double_eq(dx, -1);
        ck_assert_double_eq(loss_at(soft_margin, (gr_dtype)dtype, 1000, 1, &dx), 0);
        ck_assert_double_eq(dx, 0);
        for (int i = 0; i < 3; i++)
            ck_assert(isnan(loss_at(cases[i].record, (gr_dtype)dtype, NAN, 1, NULL)));
    }
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(3)), *one = gr_ones(g, GR_F32, GR_SHAPE(1));
    gr_hinge(x, one);
    assert_error("hinge: expected a target of the shape of x, [3], got [1]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(3));
    gr_margin_ranking(x, x, gr_ones(g, GR_F32, GR_SHAPE(1)));
    assert_error("margin_ranking: expected a target of the shape of x, [3], got [1]");
}
END_TEST

SUITE("loss_margin", loss_setup, loss_teardown, means_and_gradients_are_those_of_pytorch,
      every_element_and_reduction_follows_the_formula, short_forms_have_the_margin_1_or_none,
      ties_and_extremes, what_does_not_fit_is_named)
