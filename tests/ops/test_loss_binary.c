/* test_loss_binary.c - losses of decisions between two against their formulas and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "loss_case.h"
#include "suite.h"

#define X {0.3, -1.2, 2.5, 0.0, -0.4, 1.1}
#define P {0.3, 0.9, 0.05, 0.6, 0.75, 0.5}
#define Q {0, 1, 0.2, 1, 0, 0.7}
#define W {0.5, 2, 1, 0.3, 1.5, 0.8}

static gr_tensor *bce(gr_tensor *const *in, gr_reduction r)
{
    return gr_bce_loss(in[0], in[1], NULL, (gr_loss_options){r});
}

static gr_tensor *bce_weighted(gr_tensor *const *in, gr_reduction r)
{
    return gr_bce_loss(in[0], in[1], in[2], (gr_loss_options){r});
}

static gr_tensor *logits(gr_tensor *const *in, gr_reduction r)
{
    return gr_bce_with_logits_loss(in[0], in[1], NULL, NULL, (gr_loss_options){r});
}

static gr_tensor *logits_weighted(gr_tensor *const *in, gr_reduction r)
{
    return gr_bce_with_logits_loss(in[0], in[1], in[2], NULL, (gr_loss_options){r});
}

static gr_tensor *logits_positives(gr_tensor *const *in, gr_reduction r)
{
    return gr_bce_with_logits_loss(in[0], in[1], NULL, in[2], (gr_loss_options){r});
}

static gr_tensor *focal(gr_tensor *const *in, gr_reduction r)
{
    return gr_focal_loss(in[0], in[1], (gr_focal_options){.reduction = r});
}

static double bce_of(double x, double t, double u)
{
    (void)u;
    return -t * log(x) - (1 - t) * log(1 - x);
}

static double bce_weighted_of(double x, double t, double w)
{
    return w * bce_of(x, t, 0);
}

static double logits_of(double x, double t, double u)
{
    return bce_of(1 / (1 + exp(-x)), t, u);
}

static double logits_weighted_of(double x, double t, double w)
{
    return w * logits_of(x, t, 0);
}

static double logits_positives_of(double x, double t, double w)
{
    double p = 1 / (1 + exp(-x));
    return -w * t * log(p) - (1 - t) * log(1 - p);
}

static double focal_of(double x, double t, double u)
{
    double p = 1 / (1 + exp(-x)), right = p * t + (1 - p) * (1 - t);
    (void)u;
    return (0.25 * t + 0.75 * (1 - t)) * bce_of(p, t, 0) * (1 - right) * (1 - right);
}

static const loss_case cases[] = {
    {"bce", bce, bce_of, 2, {P, Q}, 0.6154139525438707,
     {0.2380952380952381, -0.1851851851851852, -0.5263157894736843, -0.2777777777777778,
      0.6666666666666666, -0.1333333333333333}},
    {"bce, weighted", bce_weighted, bce_weighted_of, 3, {P, Q, W}, 0.6360744277939079,
     {0.11904761904761905, -0.3703703703703704, -0.5263157894736843, -0.08333333333333333, 1.0,
      -0.10666666666666665}},
    {"bce_with_logits", logits, logits_of, 2, {X, Q}, 1.036670867362406,
     {0.09574041946860984, -0.12808746391650294, 0.12069030332979276, -0.08333333333333333,
      0.066885389981258, 0.008376684265852955}},
    {"bce_with_logits, weighted", logits_weighted, logits_weighted_of, 3, {X, Q, W},
     1.150661264010522,
     {0.04787020973430492, -0.2561749278330059, 0.12069030332979276, -0.024999999999999998,
      0.100328084971887, 0.006701347412682365}},
    {"bce_with_logits, pos_weight", logits_positives, logits_positives_of, 3, {X, Q, W},
     1.1929796166007243,
     {0.09574041946860984, -0.2561749278330059, 0.12069030332979276, -0.024999999999999994,
      0.066885389981258, 0.014203948468633562}},
    {"focal", focal, focal_of, 2, {X, Q}, 0.22358279392810695, /* torchvision's formula */
     {0.05368830857321881, -0.03558429776629003, 0.05895116381539092, -0.012428616464166096,
      0.02044518063251996, -0.0019311568537222312}},
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

/* Probabilities of the large test may leave [0,1]: bce is left to the logits. */
START_TEST(every_element_and_reduction_follows_the_formula)
{
    for (int i = 2; i < CASES; i++) {
        loss_check_formula(&cases[i], GR_F64, 1e-13);
        loss_check_formula(&cases[i], GR_F32, 2e-5);
    }
}
END_TEST

START_TEST(short_forms_take_the_mean)
{
    const double x0[6] = X, p0[6] = P, q0[6] = Q;
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(6)), *q = make(GR_F64, q0, GR_SHAPE(6));
    gr_tensor *p = make(GR_F64, p0, GR_SHAPE(6));
    ck_assert_double_eq_tol(gr_item(gr_bce(p, q)), cases[0].mean, 1e-14);
    ck_assert_double_eq_tol(gr_item(gr_bce_with_logits(x, q)), cases[2].mean, 1e-14);
    ck_assert_double_eq_tol(gr_item(gr_focal(x, q)), cases[5].mean, 1e-14);
}
END_TEST

START_TEST(extreme_logits_are_exact)
{
    static const struct {
        double x, t, y, dx;
    } edges[] = {
        {1000, 0, 1000, 1}, {1000, 1, 0, 0},  {-1000, 1, 1000, -1},         {-1000, 0, 0, 0},
        {1e30, 0, 1e30, 1}, {-1e30, 0, 0, 0}, {40, 1, 4.2483542552915889e-18, 0},
        {-40, 0, 4.2483542552915889e-18, 4.2483542552915889e-18},
        {INFINITY, 0, INFINITY, 1},
    };
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
            double dx, y = loss_at(logits, (gr_dtype)dtype, edges[i].x, edges[i].t, &dx);
            double ulps = dtype == GR_F32 ? 1e-6 : 1e-15;
            ck_assert_msg(y == edges[i].y || fabs(y - edges[i].y) <= ulps * fabs(edges[i].y),
                          "y at %g, %g: %.17g", edges[i].x, edges[i].t, y);
            ck_assert_msg(fabs(dx - edges[i].dx) <= ulps * fabs(edges[i].dx), "dx at %g: %.17g",
                          edges[i].x, dx);
        }
    ck_assert(isnan(loss_at(logits, GR_F32, NAN, 0, NULL)));
}
END_TEST

/* PyTorch 1.13 gives 100 and -1e12 for x = 0, t = 1. */
START_TEST(bce_cuts_its_logarithms_at_minus_100)
{
    double dx;
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        ck_assert_double_eq(loss_at(bce, (gr_dtype)dtype, 0, 1, &dx), 100);
        ck_assert_double_eq_tol(dx, -1e12, 1e5);
        ck_assert_double_eq(loss_at(bce, (gr_dtype)dtype, 1, 0, &dx), 100);
        ck_assert_double_eq_tol(dx, 1e12, 1e5);
        ck_assert_double_eq(loss_at(bce, (gr_dtype)dtype, 1, 1, &dx), 0);
        ck_assert_double_eq(dx, -1);
        ck_assert_double_eq(loss_at(bce, (gr_dtype)dtype, 0, 0, &dx), 0);
        ck_assert_double_eq(dx, 1);
    }
    ck_assert(isnan(loss_at(bce, GR_F64, -0.1, 1, NULL)));
    ck_assert(isnan(loss_at(bce, GR_F64, 1.1, 0.5, NULL)));
}
END_TEST

START_TEST(weights_broadcast_along_rows)
{
    const double x0[6] = X, q0[6] = Q, w0[3] = {0.5, 2, 1}, all[6] = {0.5, 2, 1, 0.5, 2, 1};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *q = make(GR_F64, q0, GR_SHAPE(2, 3));
    gr_tensor *row = make(GR_F64, w0, GR_SHAPE(3)), *full = make(GR_F64, all, GR_SHAPE(2, 3));
    gr_loss_options o = {.reduction = GR_REDUCTION_MEAN};
    double want = gr_item(gr_bce_with_logits_loss(x, q, full, full, o));
    ck_assert_double_eq_tol(gr_item(gr_bce_with_logits_loss(x, q, row, row, o)), want, 1e-15);
}
END_TEST

START_TEST(dice_is_1_less_the_overlap)
{
    const double x0[6] = {1, 1, 0, 0.5, 0, 0}, t0[6] = {1, 0, 0, 0, 0, 0};
    const double want[2] = {1 - 3 / 4.0, 1 - 1 / 1.5};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *t = make(GR_F64, t0, GR_SHAPE(2, 3));
    gr_dice_options each = {.reduction = GR_REDUCTION_NONE};
    assert_close("dice", values(gr_dice_loss(x, t, each)), want, 2, 1e-15);
    ck_assert_double_eq_tol(gr_item(gr_dice(x, t)), (want[0] + want[1]) / 2, 1e-15);
    gr_tensor *image = gr_reshape(x, GR_SHAPE(2, 1, 3)), *mask = gr_reshape(t, GR_SHAPE(2, 1, 3));
    assert_close("dice", values(gr_dice_loss(image, mask, each)), want, 2, 1e-15);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(3));
    gr_bce_with_logits(x, gr_zeros(g, GR_F32, GR_SHAPE(1)));
    assert_error("bce_with_logits: expected a target of the shape of x, [3], got [1]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(3));
    gr_bce_loss(x, x, gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), (gr_loss_options){GR_REDUCTION_MEAN});
    assert_error("bce: cannot stretch the weight, [2,3], to [3]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(3));
    gr_dice(x, x);
    assert_error("dice: expected [N,...], got [3]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(3));
    gr_focal_loss(x, x, (gr_focal_options){.gamma = -1});
    assert_error("focal: gamma must be positive, got -1");
}
END_TEST

SUITE("loss_binary", loss_setup, loss_teardown, means_and_gradients_are_those_of_pytorch,
      every_element_and_reduction_follows_the_formula, short_forms_take_the_mean,
      extreme_logits_are_exact, bce_cuts_its_logarithms_at_minus_100, weights_broadcast_along_rows,
      dice_is_1_less_the_overlap, what_does_not_fit_is_named)
