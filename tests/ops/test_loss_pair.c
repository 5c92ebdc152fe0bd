/* test_loss_pair.c - distances, and losses of pairs, against plain loops and PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "loss_case.h"
#include "suite.h"

enum { ROWS = 3, SIZE = 4, ALL = ROWS * SIZE };

static const double first[ALL] = {0.3, -1.2, 2.5, 0.1, -0.4, 1.1, 0.7, -2.0, 1.9, 0.2, -0.6, 0.5};
static const double second[ALL] = {1.3, 0.4, -0.5, 0.9, -0.6, 1.0, 0.2, -1.5, -0.1, 0.7, 0.8, -1.1};
static const double third[ALL] = {0.2, -0.9, 1.5, 0.6, 2.4, 0.3, -0.8, 1.0, 1.2, 0.6, -0.4, 0.7};
static const double sides[ROWS] = {1, -1, -1}, unlike[ROWS] = {0, 1, 1};

typedef struct call {
    gr_tensor *a, *b, *c, *sides, *unlike;
} call;

static call inputs(gr_dtype dtype)
{
    gr_shape s = GR_SHAPE(ROWS, SIZE);
    return (call){make(dtype, first, s), make(dtype, second, s), make(dtype, third, s),
                  make(dtype, sides, GR_SHAPE(ROWS)), make(dtype, unlike, GR_SHAPE(ROWS))};
}

/* --- against PyTorch 1.13 --- */

static gr_tensor *cosine(const call *c)
{
    return gr_mean_all(gr_cosine_similarity(c->a, c->b, 1, 0));
}

static gr_tensor *cosine_down(const call *c)
{
    return gr_mean_all(gr_cosine_similarity(c->a, c->b, 0, 0));
}

static gr_tensor *euclid(const call *c)
{
    return gr_mean_all(gr_pairwise_distance(c->a, c->b, (gr_distance_options){0}));
}

static gr_tensor *blocks(const call *c)
{
    return gr_mean_all(gr_pairwise_distance(c->a, c->b, (gr_distance_options){1, 0.01, true}));
}

static gr_tensor *cubic(const call *c)
{
    return gr_mean_all(gr_pairwise_distance(c->a, c->b, (gr_distance_options){.p = 3}));
}

static gr_tensor *embedding(const call *c)
{
    return gr_cosine_embedding(c->a, c->b, c->sides);
}

static gr_tensor *embedding_margin(const call *c)
{
    gr_margin_options o = {.margin = -0.3};
    return gr_cosine_embedding_loss(c->a, c->b, c->sides, o);
}

static gr_tensor *contrastive(const call *c)
{
    return gr_contrastive_loss(c->a, c->b, c->unlike, (gr_hinge_options){.margin = 1.5});
}

static gr_tensor *triplet(const call *c)
{
    return gr_triplet_margin(c->a, c->b, c->c);
}

static gr_tensor *triplet_swap(const call *c)
{
    gr_triplet_options o = {.margin = 2, .p = 3, .swap = true};
    return gr_triplet_margin_loss(c->a, c->b, c->c, o);
}

/* Noise: the third vectors, and half of the second ones. */
static gr_tensor *sampling(const call *c)
{
    gr_shape one = GR_SHAPE(ROWS, 1, SIZE);
    gr_tensor *noise[2] = {gr_reshape(c->c, one), gr_reshape(gr_scale(c->b, 0.5), one)};
    return gr_negative_sampling(c->a, c->b, gr_concat(noise, 2, 1));
}

static gr_tensor *nce(const call *c)
{
    return gr_info_nce_loss(c->a, c->b, (gr_info_nce_options){.temperature = 0.5});
}

/* The last four by PyTorch's operations where it has no such function. */
static const struct {
    const char *name;
    gr_tensor *(*record)(const call *c);
    double mean, grad[ALL];
} published[] = {
    {"cosine_similarity", cosine, 0.12160251961941367,
     {0.09438393467244748, 0.01452337063708581, -0.006920170414948062, 0.06413290400138881,
      -0.02120426145221988, 0.011463092618021406, -0.024156130795916386, 0.002090907451785015,
      0.04021156323557284, 0.07908768710169863, 0.0682557899939613, -0.10253206714310273}},
    {"cosine_similarity, axis 0", cosine_down, 0.12338917328491311,
     {0.11222223249985423, 0.0876972543613405, 0.0058237126931896255, 0.04926003308008521,
      -0.049151776002801476, 0.08178607122028433, 0.034709327651410195, -0.01802531936729375,
      -0.028067042184777298, 0.07636013445647907, 0.0647596851482687, -0.08195328408519205}},
    {"pairwise_distance", euclid, 2.445406573698411,
     {-0.09174689146041126, -0.14679508138484795, 0.2752410413691666, -0.07339749481893237,
      0.0898937154284247, 0.0449470824473773, 0.22473361437156703, -0.22473271543890744,
      0.22511740673899294, -0.05627921098643936, -0.15758199336759499, 0.18009394790292377}},
    {"pairwise_distance, p 1", blocks, 4.3999999999999995,
     {-0.3333333333333333, -0.3333333333333333, 0.3333333333333333, -0.3333333333333333,
      0.3333333333333333, 0.3333333333333333, 0.3333333333333333, -0.3333333333333333,
      0.3333333333333333, -0.3333333333333333, -0.3333333333333333, 0.3333333333333333}},
    {"pairwise_distance, p 3", cubic, 2.09883600016116,
     {-0.032658405262149304, -0.0836055801753148, 0.2939264311623764, -0.020901368917076727,
      0.03281530177599971, 0.00820390748204929, 0.20509440553418024, -0.2050927647854991,
      0.21956061451824496, -0.013722469794818342, -0.107584439837098, 0.14051882842135974}},
    {"cosine_embedding", embedding, 0.7437416753219002,
     {-0.09438393467242477, -0.014523370637084114, 0.006920170414950043, -0.06413290400137352,
      -0.02120426145221893, 0.011463092618029205, -0.024156130795904437, 0.0020909074517657666, 0,
      0, 0, 0}},
    {"cosine_embedding, margin -0.3", embedding_margin, 0.8437416753219001,
     {-0.09438393467242477, -0.014523370637084114, 0.006920170414950043, -0.06413290400137352,
      -0.02120426145221893, 0.011463092618029205, -0.024156130795904437, 0.0020909074517657666, 0,
      0, 0, 0}},
    {"triplet_margin", triplet, 2.192767982769139,
     {-0.12043593750014352, -0.06072909081601725, -0.011646837039832325, 0.07004601405417982, 0, 0,
      0, 0, -0.0479790309321943, 0.09977528318147928, -0.07955494135224106, 0.2581209999182777}},
    {"triplet_margin, swap", triplet_swap, 2.61993661472637,
     {-0.035689973778816435, -0.05632219108962851, -0.009224963760129878, 0.054886025087594284, 0,
      0, 0, 0, -0.07029517182754483, 0.08092357393259243, -0.08392304721294787,
      0.1641802210455099}},
    {"contrastive", contrastive, 2.295856742311884,
     {-0.3333333333333333, -0.5333333333333333, 1.0, -0.26666666666666666, -0.06817330582598176,
      -0.034086652912990914, -0.1704332645649544, 0.17043326456495442, 0, 0, 0, 0}},
    {"negative_sampling", sampling, 4.717021153409302,
     {-0.19509239966367758, -0.37828689632119716, 0.5969794220071221, 0.0177000945166855,
      -0.05650214092379978, 0.15084965222936553, 0.01883404697459993, -0.20716165156108768,
      0.3995947971335562, 0.059197350515349856, -0.27692275927486765, 0.42837480951044704}},
    {"info_nce", nce, 1.6605176226528229,
     {-0.17867324687277666, 0.07636764950739666, 0.06780579939071384, -0.24271345006075598,
      0.03854211220101814, -0.005887153375324123, 0.05620251176332282, 0.008724522320531084,
      -0.10163364765056326, -0.09679152770875063, -0.13357298818700736, 0.26463688633123195}},
};

START_TEST(means_and_gradients_are_those_of_pytorch)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
            call c = inputs((gr_dtype)dtype);
            double tolerance = dtype == GR_F32 ? 2e-6 : 1e-11; /* cosine_embedding's 1e-12 */
            gr_tensor *y = published[i].record(&c), *d;
            double mean = gr_item(y);
            assert_close(published[i].name, &mean, &published[i].mean, 1, tolerance);
            ck_assert_int_eq(gr_grad(y, &c.a, 1, &d), GR_OK);
            assert_close(published[i].name, values(d), published[i].grad, ALL, tolerance);
            gr_graph_reset(g);
        }
}
END_TEST

/* --- against plain loops --- */

static double naive_dot(const double *a, const double *b)
{
    double sum = 0;
    for (int j = 0; j < SIZE; j++) sum += a[j] * b[j];
    return sum;
}

static double naive_distance(const double *a, const double *b)
{
    double sum = 0;
    for (int j = 0; j < SIZE; j++) sum += (a[j] - b[j] + 1e-6) * (a[j] - b[j] + 1e-6);
    return sqrt(sum);
}

START_TEST(each_row_is_one_pair)
{
    double cosines[ROWS], distances[ROWS], triplets[ROWS], nces[ROWS];
    call c = inputs(GR_F64);
    for (int i = 0; i < ROWS; i++) {
        const double *a = first + i * SIZE, *b = second + i * SIZE;
        double total = 0;
        cosines[i] = naive_dot(a, b) / sqrt(naive_dot(a, a) * naive_dot(b, b));
        distances[i] = naive_distance(a, b);
        triplets[i] = fmax(0, distances[i] - naive_distance(a, third + i * SIZE) + 1);
        for (int k = 0; k < ROWS; k++) {
            const double *key = second + k * SIZE;
            total += exp(naive_dot(a, key) / sqrt(naive_dot(a, a) * naive_dot(key, key)) / 0.1);
        }
        nces[i] = log(total) - cosines[i] / 0.1;
    }
    gr_triplet_options t = {.reduction = GR_REDUCTION_NONE};
    gr_info_nce_options n = {.reduction = GR_REDUCTION_NONE};
    assert_close("cosine", values(gr_cosine_similarity(c.a, c.b, -1, 0)), cosines, ROWS, 1e-14);
    assert_close("distance", values(gr_pairwise_distance(c.a, c.b, (gr_distance_options){0})),
                 distances, ROWS, 1e-14);
    gr_tensor *triplet_rows = gr_triplet_margin_loss(c.a, c.b, c.c, t);
    assert_close("triplet", values(triplet_rows), triplets, ROWS, 1e-14);
    assert_close("info_nce", values(gr_info_nce_loss(c.a, c.b, n)), nces, ROWS, 1e-13);
}
END_TEST

START_TEST(one_vector_may_be_held_against_many)
{
    call c = inputs(GR_F64);
    gr_tensor *row = gr_slice(c.b, 0, 1, 2, 1);
    const double *cosines = values(gr_cosine_similarity(c.a, row, 1, 0));
    const double *lengths = values(gr_pairwise_distance(c.a, row, (gr_distance_options){0}));
    for (int i = 0; i < ROWS; i++) {
        const double *a = first + i * SIZE, *b = second + SIZE;
        double want = naive_dot(a, b) / sqrt(naive_dot(a, a) * naive_dot(b, b));
        ck_assert_double_eq_tol(cosines[i], want, 1e-15);
        ck_assert_double_eq_tol(lengths[i], naive_distance(a, b), 1e-14);
    }
}
END_TEST

START_TEST(targets_of_integers_choose_the_side)
{
    const int64_t t0[ROWS] = {1, -1, -1};
    call c = inputs(GR_F64);
    gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(ROWS), t0);
    double want = gr_item(gr_cosine_embedding(c.a, c.b, c.sides));
    ck_assert_double_eq(gr_item(gr_cosine_embedding(c.a, c.b, t)), want);
}
END_TEST

/* --- edges --- */

static void assert_finite(const char *name, gr_tensor *y, gr_tensor *x, bool zero)
{
    gr_tensor *d;
    ck_assert_msg(isfinite(gr_item(y)), "%s: %g", name, gr_item(y));
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const double *dx = values(d);
    for (int i = 0; i < gr_numel(x); i++)
        ck_assert_msg(zero ? dx[i] == 0 : isfinite(dx[i]), "%s: d[%d] = %g", name, i, dx[i]);
}

START_TEST(zero_and_equal_vectors_have_finite_gradients)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *zero = gr_zeros(g, (gr_dtype)dtype, GR_SHAPE(1, 3));
        gr_tensor *x = gr_ones(g, (gr_dtype)dtype, GR_SHAPE(1, 3));
        gr_tensor *one = gr_ones(g, (gr_dtype)dtype, GR_SHAPE(1));
        gr_tensor *same = gr_detach(x), *d;
        gr_tensor *similar = gr_cosine_similarity(zero, x, 1, 0);
        ck_assert_double_eq(gr_item(similar), 0);
        gr_grad(similar, &zero, 1, &d);
        ck_assert_double_eq_tol(values(d)[0] * 1e-8, 1 / sqrt(3), 1e-6); /* v / eps */
        assert_finite("contrastive", gr_contrastive(x, same, one), x, true);
        assert_finite("triplet_margin", gr_triplet_margin(x, same, same), x, true);
        assert_finite("pairwise_distance", gr_pairwise_distance(x, same, (gr_distance_options){0}),
                      x, false);
        assert_finite("cosine_embedding", gr_cosine_embedding(zero, x, one), zero, false);
        assert_finite("info_nce", gr_info_nce(x, zero), x, true);
    }
}
END_TEST

START_TEST(far_scores_stay_finite)
{
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(2, 3), 1e4), *d;
    gr_tensor *noise = gr_full(g, GR_F32, GR_SHAPE(2, 1, 3), -1e4);
    ck_assert_double_eq(gr_item(gr_negative_sampling(x, x, noise)), 0);
    gr_tensor *y = gr_negative_sampling(x, gr_neg(x), gr_neg(noise));
    ck_assert_double_eq_tol(gr_item(y) / 6e8, 1, 1e-6);
    gr_grad(y, &x, 1, &d);
    ck_assert_double_eq_tol(values(d)[0], 1.5e4, 1e-2); /* (2 x + noise) / 2 */
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    call c = inputs(GR_F32);
    gr_cosine_embedding(c.a, c.b, c.a);
    assert_error("cosine_embedding: expected [...,D] twice with a target [...], got [3,4], [3,4] "
                 "and [3,4]");
    c = inputs(GR_F32);
    gr_pairwise_distance(c.a, c.b, (gr_distance_options){.p = 0.5});
    assert_error("pairwise_distance: p must be at least 1, got 0.5");
    c = inputs(GR_F32);
    gr_triplet_margin(c.a, c.b, c.sides);
    assert_error("triplet_margin: expected three times [...,D], got [3,4], [3,4] and [3]");
    c = inputs(GR_F32);
    gr_negative_sampling(c.a, c.b, c.c);
    assert_error("negative_sampling: expected [N,D] twice and noise [N,K,D], got [3,4], [3,4] and "
                 "[3,4]");
    c = inputs(GR_F32);
    gr_info_nce_loss(c.a, c.b, (gr_info_nce_options){.temperature = -1});
    assert_error("info_nce: temperature must be positive, got -1");
    c = inputs(GR_F32);
    gr_cosine_similarity(c.a, c.sides, 0, 0);
    assert_error("cosine_similarity: expected vectors of one shape, got [3,4] and [3]");
}
END_TEST

SUITE("loss_pair", loss_setup, loss_teardown, means_and_gradients_are_those_of_pytorch,
      each_row_is_one_pair, one_vector_may_be_held_against_many,
      targets_of_integers_choose_the_side, zero_and_equal_vectors_have_finite_gradients,
      far_scores_stay_finite, what_does_not_fit_is_named)
