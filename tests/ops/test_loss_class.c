/* test_loss_class.c - losses of one class among many against plain loops and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "loss_case.h"
#include "suite.h"

enum { ROWS = 3, CLASSES = 4, ALL = ROWS * CLASSES };

static const double scores[ALL] = {0.3, -1.2, 2.5,  0.0, -0.4, 1.1,
                                   0.7, -2.0, 1.9, 0.2, -0.6, 0.5};
static const double class_weights[CLASSES] = {0.5, 2, 1, 0.3};
static const double shares[ALL] = {0.1, 0.2, 0.3, 0.4, 0.7, 0.1, 0.1, 0.1, 0, 1, 0, 0};
static const int64_t labels[ROWS] = {2, 1, 3};

static void teardown(void)
{
    gr__kernels_force(NULL);
    loss_teardown();
}

/* --- against PyTorch 1.13 --- */

typedef struct call {
    gr_tensor *x, *t, *image, *pixels, *weight, *shares;
} call;

static gr_tensor *plain(const call *c)
{
    return gr_cross_entropy(c->x, c->t);
}

static gr_tensor *weighted(const call *c)
{
    return gr_cross_entropy_loss(c->x, c->t, c->weight, (gr_cross_entropy_options){0});
}

static gr_tensor *ignoring(const call *c)
{
    gr_cross_entropy_options o = {.ignore = true, .ignore_index = 1};
    return gr_cross_entropy_loss(c->x, c->t, NULL, o);
}

static gr_tensor *smoothed(const call *c)
{
    gr_cross_entropy_options o = {.label_smoothing = 0.2};
    return gr_cross_entropy_loss(c->x, c->t, NULL, o);
}

static const gr_cross_entropy_options all_options = {GR_REDUCTION_MEAN, true, 1, 0.2};

static gr_tensor *everything(const call *c)
{
    return gr_cross_entropy_loss(c->x, c->t, c->weight, all_options);
}

static gr_tensor *images(const call *c)
{
    return gr_cross_entropy(c->image, c->pixels);
}

static gr_tensor *images_everything(const call *c)
{
    return gr_cross_entropy_loss(c->image, c->pixels, c->weight, all_options);
}

static gr_tensor *soft(const call *c)
{
    return gr_cross_entropy(c->x, c->shares);
}

static gr_tensor *soft_everything(const call *c)
{
    gr_cross_entropy_options o = {.label_smoothing = 0.2};
    return gr_cross_entropy_loss(c->x, c->shares, c->weight, o);
}

static gr_tensor *nll(const call *c)
{
    return gr_nll(c->x, c->t);
}

static gr_tensor *nll_everything(const call *c)
{
    return gr_nll_loss(c->x, c->t, c->weight, (gr_nll_options){GR_REDUCTION_MEAN, true, 1});
}

static gr_tensor *nll_images(const call *c)
{
    return gr_nll_loss(c->image, c->pixels, c->weight, (gr_nll_options){0});
}

static gr_tensor *margins(const call *c)
{
    return gr_multi_margin(c->x, c->t);
}

static gr_tensor *margins_everything(const call *c)
{
    gr_multi_margin_options o = {GR_REDUCTION_MEAN, 2, 0.7};
    return gr_multi_margin_loss(c->x, c->t, c->weight, o);
}

static const struct {
    const char *name;
    gr_tensor *(*record)(const call *c);
    double mean, grad[ALL];
} published[] = {
    {"plain", plain, 0.8906063381889227,
     {0.030333468890449647, 0.006768311771383443, -0.059573367112360234, 0.022471586450527152,
      0.03836819331508102, -0.1613790207045167, 0.11526442275737504, 0.007746404632060671,
      0.22055110844113837, 0.040291053723763987, 0.0181039374328902, -0.27894609959779254}},
    {"weight", weighted, 0.6256435487947857,
     {0.02757588080949968, 0.006153010701257676, -0.054157606465782035, 0.020428714955024685,
      0.0697603514819655, -0.2934164012809395, 0.20957167774068192, 0.014084372058292131,
      0.06015030230212865, 0.01098846919739018, 0.004937437481697328, -0.07607620898121616}},
    {"ignore_index 1", ignoring, 1.0049524207653788,
     {0.04550020333567447, 0.010152467657075165, -0.08936005066854036, 0.03370737967579073, 0, 0, 0,
      0, 0.33082666266170757, 0.06043658058564599, 0.0271559061493353, -0.4184191493966889}},
    {"label_smoothing 0.2", smoothed, 1.113939671522256,
     {0.013666802223782979, -0.009898354895283224, -0.009573367112360247, 0.0058049197838604865,
      0.021701526648414352, -0.1113790207045167, 0.09859775609070838, -0.008920262034605995,
      0.2038844417744717, 0.023624387057097324, 0.0014372707662235337, -0.22894609959779258}},
    {"all three", everything, 1.1438601629626628,
     {0.05006954046510419, -0.06146008772230091, -0.02840992332593074, 0.03980047058312742, 0, 0, 0,
      0, 0.19962379222236043, -0.03694195438180342, -0.02049686208582434, -0.14218497575473266}},
    {"[1,4,3] with [1,3]", images, 1.5273975934969581,
     {0.08056433051876985, 0.06063926123002511, 0.172645028800193, 0.059683523985328904,
      -0.19837817559236595, 0.042573739941738804, -0.21314547531649813, 0.027246976433320778,
      0.09474960071933422, 0.07289762081239937, 0.11049193792902004, -0.30996836946126605}},
    {"[1,4,3] with [1,3], all three", images_everything, 1.5848349409558509,
     {0.16482773972365114, 0, 0.1520862208863454, 0.0594308201818668, 0, -0.03467682728858226,
      -0.37926312437692267, 0, 0.05555921917533936, 0.1550045644714047, 0, -0.1729686127731025}},
    {"probabilities", soft, 2.110606338188923,
     {-0.0029998644428836825, -0.05989835489528322, 0.17375996622097314, -0.11086174688280617,
      -0.1949651400182523, 0.13862097929548328, 0.0819310894240417, -0.02558692870127266,
      0.22055110844113837, -0.2930422796095693, 0.0181039374328902, 0.05438723373554075}},
    {"probabilities, weight, label_smoothing", soft_everything, 2.3468283103102787,
     {0.00520878677027172, -0.1340032757705543, 0.14588466340511552, -0.017090174404832945,
      -0.07350441277339718, 0.03954779880288474, 0.04127075297057995, -0.007314139000067466,
      0.3864531507763044, -0.4945456805011291, 0.015739381338206793, 0.09235314838661796}},
    {"nll", nll, -1.3666666666666665,
     {0, 0, -0.3333333333333333, 0, 0, -0.3333333333333333, 0, 0, 0, 0, 0, -0.3333333333333333}},
    {"nll, weight, ignore_index 1", nll_everything, -2.0384615384615383,
     {0, 0, -0.7692307692307692, 0, 0, 0, 0, 0, 0, 0, 0, -0.23076923076923073}},
    {"nll [1,4,3] with [1,3], weight", nll_images, -0.015151515151515133,
     {0, 0, 0, 0, -0.6060606060606061, 0, -0.30303030303030304, 0, 0, 0, 0, -0.09090909090909091}},
    {"multi_margin", margins, 0.3083333333333333,
     {0, 0, 0, 0, 0, -0.08333333333333333, 0.08333333333333333, 0, 0.08333333333333333,
      0.08333333333333333, 0, -0.16666666666666666}},
    {"multi_margin, p 2, margin 0.7, weight", margins_everything, 0.12924999999999995,
     {0, 0, 0, 0, 0, -0.09999999999999994, 0.09999999999999994, 0, 0.10499999999999997,
      0.019999999999999993, 0, -0.12499999999999996}},
};

static call inputs(gr_dtype dtype)
{
    return (call){
        .x = make(dtype, scores, GR_SHAPE(ROWS, CLASSES)),
        .t = gr_from_data(g, GR_I64, GR_SHAPE(ROWS), labels),
        .image = make(dtype, scores, GR_SHAPE(1, CLASSES, ROWS)),
        .pixels = gr_from_data(g, GR_I64, GR_SHAPE(1, ROWS), labels),
        .weight = make(dtype, class_weights, GR_SHAPE(CLASSES)),
        .shares = make(dtype, shares, GR_SHAPE(ROWS, CLASSES)),
    };
}

START_TEST(means_and_gradients_are_those_of_pytorch)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
            call c = inputs((gr_dtype)dtype);
            double tolerance = dtype == GR_F32 ? 1e-6 : 1e-14;
            gr_tensor *both[2] = {c.x, c.image}, *d[2];
            gr_tensor *y = published[i].record(&c);
            double mean = gr_item(y);
            assert_close(published[i].name, &mean, &published[i].mean, 1, tolerance);
            ck_assert_int_eq(gr_grad(y, both, 2, d), GR_OK);
            double sum[ALL];
            const double *a = values(d[0]), *b = values(d[1]);
            for (int k = 0; k < ALL; k++) sum[k] = a[k] + b[k]; /* one of them is 0 */
            assert_close(published[i].name, sum, published[i].grad, ALL, tolerance);
            gr_graph_reset(g);
        }
}
END_TEST

/* --- against plain loops --- */

enum { MOST = 40000 };

typedef struct naive {
    int64_t n, classes, inner;
    const double *x, *weight;
    const int64_t *t;
    gr_cross_entropy_options o;
} naive;

/* The loss of row (i, k), 0 if ignored; its weight. */
static double naive_row(const naive *c, int64_t i, int64_t k, double *weight)
{
    const double *x = c->x + i * c->classes * c->inner + k;
    const int64_t t = c->t[i * c->inner + k];
    double total = 0, loss = 0;
    *weight = 0;
    if (c->o.ignore && t == c->o.ignore_index) return 0;
    for (int64_t j = 0; j < c->classes; j++) total += exp(x[j * c->inner]);
    for (int64_t j = 0; j < c->classes; j++) {
        double even = c->o.label_smoothing / (double)c->classes;
        double q = even + (j == t) * (1 - c->o.label_smoothing);
        loss -= q * (c->weight ? c->weight[j] : 1) * (x[j * c->inner] - log(total));
    }
    *weight = c->weight ? c->weight[t] : 1;
    return loss;
}

static void check_cross_entropy(naive *c, gr_dtype dtype, double tolerance)
{
    static double each[MOST];
    gr_shape shape = GR_SHAPE(c->n, c->classes, c->inner), rows = GR_SHAPE(c->n, c->inner);
    double sum = 0, weights = 0, weight;
    int64_t r = 0;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t k = 0; k < c->inner; k++) {
            sum += each[r++] = naive_row(c, i, k, &weight);
            weights += weight;
        }
    const double want[2] = {sum / weights, sum};
    gr_tensor *x = make(dtype, c->x, shape), *t = gr_from_data(g, GR_I64, rows, c->t);
    gr_tensor *w = c->weight ? make(dtype, c->weight, GR_SHAPE(c->classes)) : NULL;
    for (int reduction = GR_REDUCTION_MEAN; reduction <= GR_REDUCTION_NONE; reduction++) {
        c->o.reduction = (gr_reduction)reduction;
        const double *y = values(gr_cross_entropy_loss(x, t, w, c->o));
        bool none = reduction == GR_REDUCTION_NONE;
        const double *right = none ? each : &want[reduction];
        assert_close("cross_entropy", y, right, none ? (int)r : 1, tolerance);
    }
    gr_graph_reset(g);
}

START_TEST(cross_entropy_of_any_shape_weight_and_option)
{
    static const int64_t shapes[][3] = {{7, 300, 1}, {3, 5, 40}, {20, 3, 7}, {1, 1, 4}};
    static double x[MOST], w[300];
    static int64_t t[MOST];
    for (int i = 0; i < MOST; i++) x[i] = 4 * sin(2.3 * i + 0.1 * sqrt(i));
    for (int i = 0; i < 300; i++) w[i] = 1.2 + sin(i);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int option = 0; option < 8; option++) {
            naive c = {shapes[s][0], shapes[s][1], shapes[s][2], x, option & 1 ? w : NULL, t, {0}};
            for (int64_t i = 0; i < c.n * c.inner; i++) t[i] = i * 7 % c.classes;
            if (option & 2) c.o.label_smoothing = 0.3;
            if (option & 4) {
                c.o.ignore = true;
                c.o.ignore_index = -100;
                t[1] = -100;
            }
            check_cross_entropy(&c, GR_F64, 1e-13);
            check_cross_entropy(&c, GR_F32, 3e-6);
        }
}
END_TEST

START_TEST(smoothing_and_ignoring_in_every_instruction_set)
{
    static const char *const sets[] = {"baseline", "avx2", "avx512"};
    static double x[9 * 50];
    static int64_t t[9] = {3, 49, 0, 0, 12, 7, 7, 31, 2};
    for (int i = 0; i < 9 * 50; i++) x[i] = 3 * cos(1.1 * i);
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        naive c = {9, 50, 1, x, NULL, t, {0, true, 7, 0.1}};
        check_cross_entropy(&c, GR_F64, 1e-13);
        check_cross_entropy(&c, GR_F32, 3e-6);
    }
}
END_TEST

/* --- edges --- */

START_TEST(far_logits_stay_finite_however_given)
{
    const double x0[4] = {-1e4, 1e4, 1e4, -1e4}, sure[4] = {1, 0, 1, 0};
    const int64_t t0[2] = {0, 0};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *x = make((gr_dtype)dtype, x0, GR_SHAPE(2, 2)), *d;
        gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(2), t0);
        gr_tensor *kinds[3] = {
            gr_cross_entropy(x, t),
            gr_cross_entropy_loss(x, t, gr_ones(g, (gr_dtype)dtype, GR_SHAPE(2)),
                                  (gr_cross_entropy_options){0}),
            gr_cross_entropy(x, make((gr_dtype)dtype, sure, GR_SHAPE(2, 2)))};
        for (int i = 0; i < 3; i++) {
            ck_assert_double_eq_tol(gr_item(kinds[i]), 1e4, 1e-3);
            ck_assert_int_eq(gr_grad(kinds[i], &x, 1, &d), GR_OK);
            const double want[4] = {-0.5, 0.5, 0, 0};
            assert_close("far", values(d), want, 4, 0);
        }
    }
}
END_TEST

START_TEST(a_mean_of_none_but_ignored_is_nan_and_passes_nothing_back)
{
    const int64_t t0[2] = {-100, -100};
    gr_cross_entropy_options o = {.ignore = true, .ignore_index = -100};
    gr_tensor *x = gr_zeros(g, GR_F64, GR_SHAPE(2, 3)), *d;
    gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(2), t0);
    gr_tensor *y = gr_cross_entropy_loss(x, t, NULL, o);
    ck_assert(isnan(gr_item(y)));
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(values(d)[i], 0);
    ck_assert(isnan(gr_item(gr_nll_loss(x, t, NULL, (gr_nll_options){0, true, -100}))));
    o.reduction = GR_REDUCTION_SUM;
    ck_assert_double_eq(gr_item(gr_cross_entropy_loss(x, t, NULL, o)), 0);
}
END_TEST

/* The gradient takes the storage of logits that nobody else reads; kept, they are copied. */
START_TEST(logits_are_the_same_after_their_gradient_kept_or_not)
{
    enum { WIDE = 700 };
    static double x[ROWS * WIDE], first[ROWS * WIDE];
    for (int i = 0; i < ROWS * WIDE; i++) x[i] = sin(i);
    gr_param *p = gr_param_new("x", GR_F64, GR_SHAPE(ROWS, WIDE), x);
    for (int kept = 0; kept < 2; kept++) {
        gr_tensor *z = gr_scale(gr_use(g, p), 2);
        if (kept) gr_keep(z);
        gr_tensor *loss = gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SHAPE(ROWS), labels));
        ck_assert_int_eq(gr_backward(loss), GR_OK);
        const double *grad = gr_param_grad(p), *after = values(z);
        for (int i = 0; i < ROWS * WIDE; i++) ck_assert_double_eq(after[i], 2 * x[i]);
        if (!kept) memcpy(first, grad, sizeof first);
        else ck_assert_int_eq(memcmp(first, grad, sizeof first), 0);
        gr_param_clear_grad(p);
        gr_graph_reset(g);
    }
    gr_param_release(p);
}
END_TEST

START_TEST(a_list_of_scores_has_one_target)
{
    const int64_t label = 2;
    gr_tensor *x = make(GR_F64, scores, GR_SHAPE(CLASSES));
    gr_tensor *t = gr_from_data(g, GR_I64, GR_SCALAR, &label);
    double want = -log(exp(2.5) / (exp(0.3) + exp(-1.2) + exp(2.5) + 1));
    gr_tensor *w = make(GR_F64, class_weights, GR_SHAPE(CLASSES));
    ck_assert_double_eq_tol(gr_item(gr_cross_entropy(x, t)), want, 1e-15);
    ck_assert_double_eq_tol(gr_item(gr_cross_entropy_loss(x, t, w, (gr_cross_entropy_options){0})),
                            want, 1e-15);
    ck_assert_double_eq(gr_item(gr_nll(x, t)), -2.5);
    ck_assert_double_eq(gr_item(gr_multi_margin(x, t)), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    const int64_t bad[ROWS] = {0, 4, 1};
    call c = inputs(GR_F32);
    gr_item(gr_nll(c.x, gr_from_data(g, GR_I64, GR_SHAPE(ROWS), bad)));
    assert_error("target[1] is 4, expected 0 <= target < 4");
    c = inputs(GR_F32);
    gr_cross_entropy_loss(c.x, c.t, gr_ones(g, GR_F32, GR_SHAPE(3)), (gr_cross_entropy_options){0});
    assert_error("weighted_cross_entropy: expected a weight for each of 4 classes, got [3]");
    c = inputs(GR_F32);
    gr_cross_entropy_loss(c.x, c.shares, NULL, (gr_cross_entropy_options){.ignore = true});
    assert_error("cross_entropy: ignore_index 0 needs a target of class indices");
    c = inputs(GR_F32);
    gr_cross_entropy_loss(c.x, c.t, NULL, (gr_cross_entropy_options){.label_smoothing = NAN});
    assert_error("cross_entropy: label_smoothing nan is not within [0,1]");
    c = inputs(GR_F32);
    gr_multi_margin(c.image, c.pixels);
    assert_error("multi_margin: expected [N,C] or [C], got [1,4,3]");
    gr_nll(gr_zeros(g, GR_F32, GR_SCALAR), gr_zeros(g, GR_I64, GR_SCALAR));
    assert_error("nll: expected [N,C,...] with a target [N,...]");
}
END_TEST

SUITE("loss_class", loss_setup, teardown, means_and_gradients_are_those_of_pytorch,
      cross_entropy_of_any_shape_weight_and_option, smoothing_and_ignoring_in_every_instruction_set,
      far_logits_stay_finite_however_given,
      a_mean_of_none_but_ignored_is_nan_and_passes_nothing_back,
      logits_are_the_same_after_their_gradient_kept_or_not, a_list_of_scores_has_one_target,
      what_does_not_fit_is_named)
