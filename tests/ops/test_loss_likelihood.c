/* test_loss_likelihood.c - negative log-likelihoods against their formulas and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "loss_case.h"
#include "suite.h"

#define X {0.3, -1.2, 2.5, 0.0, -0.4, 1.1}
#define T {0.8, -0.7, 0.4, 1.3, 2.9, 1.6}
#define P {0.3, 0.9, 0.05, 0.6, 0.75, 0.5}
#define Q {0, 1, 0.2, 1, 0, 0.7}
#define V {0.5, 1.2, 2, 0.1, 0.7, 3}

static const double HALF_LOG_TWO_PI = 0.91893853320467274178;

static gr_tensor *poisson(gr_tensor *const *in, gr_reduction r)
{
    return gr_poisson_nll_loss(in[0], in[1], (gr_poisson_nll_options){.reduction = r});
}

static gr_tensor *poisson_full(gr_tensor *const *in, gr_reduction r)
{
    return gr_poisson_nll_loss(in[0], in[1], (gr_poisson_nll_options){r, .full = true});
}

static gr_tensor *poisson_rate(gr_tensor *const *in, gr_reduction r)
{
    gr_poisson_nll_options o = {r, .plain_rate = true, .eps = 0.01};
    return gr_poisson_nll_loss(in[0], in[1], o);
}

static gr_tensor *gauss(gr_tensor *const *in, gr_reduction r)
{
    return gr_gaussian_nll_loss(in[0], in[1], in[2], (gr_gaussian_nll_options){.reduction = r});
}

static gr_tensor *gauss_full(gr_tensor *const *in, gr_reduction r)
{
    return gr_gaussian_nll_loss(in[0], in[1], in[2], (gr_gaussian_nll_options){r, .full = true});
}

static gr_tensor *kl(gr_tensor *const *in, gr_reduction r)
{
    return gr_kl_div_loss(in[0], in[1], (gr_kl_div_options){.reduction = r});
}

static gr_tensor *kl_log(gr_tensor *const *in, gr_reduction r)
{
    return gr_kl_div_loss(in[0], in[1], (gr_kl_div_options){r, .log_target = true});
}

static double poisson_of(double x, double t, double u)
{
    (void)u;
    return exp(x) - t * x;
}

static double poisson_full_of(double x, double t, double u)
{
    double stirling = t > 1 ? t * log(t) - t + 0.5 * log(t) + HALF_LOG_TWO_PI : 0;
    return poisson_of(x, t, u) + stirling;
}

static double poisson_rate_of(double x, double t, double u)
{
    (void)u;
    return x - t * log(x + 0.01);
}

static double gauss_of(double x, double t, double v)
{
    return 0.5 * (log(v) + (x - t) * (x - t) / v);
}

static double gauss_full_of(double x, double t, double v)
{
    return gauss_of(x, t, v) + HALF_LOG_TWO_PI;
}

static double kl_of(double x, double t, double u)
{
    (void)u;
    return (t == 0 ? 0 : t * log(t)) - t * x;
}

static double kl_log_of(double x, double t, double u)
{
    (void)u;
    return exp(t) * (t - x);
}

static const loss_case cases[] = {
    {"poisson_nll", poisson, poisson_of, 2, {X, T}, 2.638005508362292,
     {0.09164313459600051, 0.16686570198536702, 1.9637489934505787, -0.05000000000000002,
      -0.37161332566072675, 0.23402767065773883}},
    {"poisson_nll, full", poisson_full, poisson_full_of, 2, {X, T}, 2.977354742169926,
     {0.09164313459600051, 0.16686570198536702, 1.9637489934505787, -0.05000000000000002,
      -0.37161332566072675, 0.23402767065773883}},
    {"poisson_nll, rate", poisson_rate, poisson_rate_of, 2, {P, T}, 1.268682758732141,
     {-0.26344086021505375, 0.2948717948717948, -0.9444444444444443, -0.18852459016393444,
      -0.4692982456140351, -0.35620915032679745}},
    {"gaussian_nll", gauss, gauss_of, 3, {X, T, V}, 2.8396236110282342,
     {-0.16666666666666666, -0.06944444444444445, 0.175, -2.1666666666666665, -0.7857142857142857,
      -0.027777777777777776}},
    {"gaussian_nll, full", gauss_full, gauss_full_of, 3, {X, T, V}, 3.7585621442329065,
     {-0.16666666666666666, -0.06944444444444445, 0.175, -2.1666666666666665, -0.7857142857142857,
      -0.027777777777777776}},
    {"kl_div", kl, kl_of, 2, {X, Q}, -0.10692667387398884,
     {0, -0.16666666666666666, -0.03333333333333333, -0.16666666666666666, 0,
      -0.11666666666666665}},
    {"kl_div, log_target", kl_log, kl_log_of, 2, {X, T}, 10.908252141726656,
     {-0.370923488082078, -0.08276421729856825, -0.2486374496068784, -0.6115494446032074,
      -3.0290242282405098, -0.8255054040658525}},
};

enum { CASES = sizeof cases / sizeof *cases };

START_TEST(means_and_gradients_are_those_of_pytorch)
{
    for (int i = 0; i < CASES; i++) {
        loss_check_published(&cases[i], GR_F64, 1e-14);
        loss_check_published(&cases[i], GR_F32, 2e-6);
    }
}
END_TEST

START_TEST(every_element_and_reduction_follows_the_formula)
{
    for (int i = 0; i < CASES; i++) {
        loss_check_formula(&cases[i], GR_F64, 1e-13);
        loss_check_formula(&cases[i], GR_F32, 2e-5);
    }
}
END_TEST

START_TEST(short_forms_take_the_mean)
{
    const double x0[6] = X, t0[6] = T, v0[6] = V, q0[6] = Q;
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *t = make(GR_F64, t0, GR_SHAPE(2, 3));
    gr_tensor *v = make(GR_F64, v0, GR_SHAPE(2, 3)), *q = make(GR_F64, q0, GR_SHAPE(2, 3));
    ck_assert_double_eq_tol(gr_item(gr_poisson_nll(x, t)), cases[0].mean, 1e-14);
    ck_assert_double_eq_tol(gr_item(gr_gaussian_nll(x, t, v)), cases[3].mean, 1e-14);
    ck_assert_double_eq_tol(gr_item(gr_kl_div(x, q)), cases[5].mean, 1e-14);
    gr_kl_div_options batch = {.batch_mean = true}; /* PyTorch's "batchmean" */
    ck_assert_double_eq_tol(gr_item(gr_kl_div_loss(x, q, batch)), -0.3207800216219665, 1e-14);
}
END_TEST

START_TEST(one_variance_may_serve_a_row)
{
    const double x0[6] = X, t0[6] = T, v0[2] = {0.5, 2};
    const double all[6] = {0.5, 0.5, 0.5, 2, 2, 2};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *t = make(GR_F64, t0, GR_SHAPE(2, 3));
    double shared = gr_item(gr_gaussian_nll(x, t, make(GR_F64, v0, GR_SHAPE(2, 1))));
    double each = gr_item(gr_gaussian_nll(x, t, make(GR_F64, all, GR_SHAPE(2, 3))));
    ck_assert_double_eq_tol(shared, each, 1e-15);
}
END_TEST

START_TEST(a_variance_below_eps_counts_as_eps)
{
    gr_tensor *x = gr_scalar(g, GR_F64, 1), *v = gr_scalar(g, GR_F64, 0), *d;
    gr_tensor *y = gr_gaussian_nll(x, gr_scalar(g, GR_F64, 0.999), v);
    ck_assert_double_eq_tol(gr_item(y), 0.5 * (log(1e-6) + 1), 1e-9);
    gr_grad(y, &v, 1, &d);
    ck_assert_double_eq(gr_item(d), 0);
}
END_TEST

START_TEST(a_target_probability_of_0_costs_nothing)
{
    gr_tensor *in[2] = {gr_scalar(g, GR_F32, -3), gr_scalar(g, GR_F32, 0)}, *d[2];
    gr_tensor *y = gr_kl_div(in[0], in[1]);
    ck_assert_double_eq(gr_item(y), 0);
    ck_assert_int_eq(gr_grad(y, in, 2, d), GR_OK);
    ck_assert_double_eq(gr_item(d[0]), 0);
    ck_assert_double_eq(gr_item(d[1]), 3); /* -x, that of t log t counts as 0 */
    in[1] = gr_scalar(g, GR_F32, -1);
    ck_assert(isnan(gr_item(gr_kl_div(in[0], in[1]))));
}
END_TEST

START_TEST(counts_of_0_and_1_have_no_factorial)
{
    double dx;
    for (int t = 0; t <= 1; t++) {
        double y = loss_at(poisson_full, GR_F64, 0.5, t, &dx);
        ck_assert_double_eq_tol(y, exp(0.5) - 0.5 * t, 1e-15);
        ck_assert_double_eq_tol(dx, exp(0.5) - t, 1e-15);
    }
    gr_tensor *in[2] = {gr_scalar(g, GR_F64, 0.5), gr_scalar(g, GR_F64, 0)}, *d;
    gr_grad(poisson_full(in, GR_REDUCTION_MEAN), &in[1], 1, &d);
    ck_assert_double_eq(gr_item(d), -0.5);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), *one = gr_ones(g, GR_F32, GR_SHAPE(2, 1));
    gr_poisson_nll(x, one);
    assert_error("poisson_nll: expected a target of the shape of x, [2,3], got [2,1]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(2, 3));
    gr_gaussian_nll(x, x, gr_ones(g, GR_F32, GR_SHAPE(3)));
    assert_error("gaussian_nll: expected a variance of the shape of x, [2,3], or with a last size "
                 "of 1, got [3]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(2, 3));
    gr_gaussian_nll_loss(x, x, x, (gr_gaussian_nll_options){.eps = -1});
    assert_error("gaussian_nll: eps must be positive, got -1");
}
END_TEST

SUITE("loss_likelihood", loss_setup, loss_teardown, means_and_gradients_are_those_of_pytorch,
      every_element_and_reduction_follows_the_formula, short_forms_take_the_mean,
      one_variance_may_serve_a_row, a_variance_below_eps_counts_as_eps,
      a_target_probability_of_0_costs_nothing, counts_of_0_and_1_have_no_factorial,
      what_does_not_fit_is_named)
