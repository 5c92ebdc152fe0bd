/* test_loss_ctc.c - ctc against the enumeration of all paths, and against PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "loss_case.h"
#include "suite.h"

enum { STEPS = 5, BATCH = 3, CLASSES = 4, WIDTH = 2, ALL = STEPS * BATCH * CLASSES };

static const int64_t targets[BATCH * WIDTH] = {1, 2, 3, 3, 2, 99}; /* the last is padding */
static const int64_t lengths[BATCH] = {5, 4, 3}, sizes[BATCH] = {2, 2, 1};

static double score(int i)
{
    return 2 * sin(1.3 * i + fmod(0.2 * i * i, 7));
}

static gr_tensor *scores(gr_dtype dtype)
{
    double x[ALL];
    for (int i = 0; i < ALL; i++) x[i] = score(i);
    return make(dtype, x, GR_SHAPE(STEPS, BATCH, CLASSES));
}

static gr_tensor *ints(gr_shape shape, const int64_t *x)
{
    return gr_from_data(g, GR_I64, shape, x);
}

static gr_tensor *ctc(gr_tensor *x, const int64_t *target, const int64_t *steps, gr_ctc_options o)
{
    return gr_ctc_loss(x, ints(GR_SHAPE(BATCH, WIDTH), target), ints(GR_SHAPE(BATCH), steps),
                       ints(GR_SHAPE(BATCH), sizes), o);
}

/* --- against PyTorch 1.13, after log_softmax --- */

static const double mean_grad[ALL] = {
    -0.007001196695155064, -0.009734080384115275, 0.010768003190549299, 0.005967273888721041,
    -0.08832781467397274, 0.002188474340758253, 0.09117908098674313, -0.0050397406535286375,
    -0.0678071560229048, 0.26264650717881316, -0.20018104090428845, 0.005341689748380093,
    -0.005093110188816412, -0.08556546669180264, 0.04507655354345686, 0.045582023337162186,
    0.0031758253029622436, 0.002940656758484379, 0.02219466738638051, -0.02831114944782713,
    0.01063162428303702, 0.12777970160405444, -0.16748186547867236, 0.029070539591580923,
    -0.02422960624874998, 0.008061562669356107, -0.006268959880692908, 0.02243700346008678,
    -0.04721544063453943, 0.024175962218295606, 0.016805114632471713, 0.006234363783772112,
    -0.03619563839836961, 0.01814278699442364, -0.21530661248704452, 0.23335946389099052,
    0.009434478883540471, 0.0023168587808760958, -0.02125658707147519, 0.009505249407058625,
    0.05038334673600056, 0.017550808980378845, 0.09510679805847554, -0.16304095377485495,
    0, 0, 0, 0, -0.04509539044684943, 0.03044674049550679, -0.04795131602977617,
    0.06259996598111882, 0, 0, 0, 0, 0, 0, 0, 0};

START_TEST(losses_and_gradients_are_those_of_pytorch)
{
    static const double each[BATCH] = {2.541391415147645, 5.218421074580098, 3.791427512393047};
    const double mean = 2.557111252418973, sum = 11.55124000212079;
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        const double tolerance = dtype == GR_F32 ? 1e-6 : 1e-14;
        gr_tensor *x = scores((gr_dtype)dtype), *log_p = gr_log_softmax(x, 2), *d;
        gr_tensor *y = ctc(log_p, targets, lengths, (gr_ctc_options){0});
        ck_assert_double_eq_tol(gr_item(y), mean, 3 * tolerance);
        ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
        assert_close("gradient", values(d), mean_grad, ALL, tolerance);
        gr_ctc_options o = {.reduction = GR_REDUCTION_NONE};
        assert_close("none", values(ctc(log_p, targets, lengths, o)), each, BATCH, tolerance);
        o.reduction = GR_REDUCTION_SUM;
        ck_assert_double_eq_tol(gr_item(ctc(log_p, targets, lengths, o)), sum, 20 * tolerance);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(any_class_may_be_the_blank)
{
    static const int64_t other[BATCH * WIDTH] = {1, 2, 0, 0, 2, 1};
    static const double each[BATCH] = {2.566667377611474, 2.472745464342605, 2.553911339242139};
    gr_ctc_options o = {.reduction = GR_REDUCTION_NONE, .blank = 3};
    gr_tensor *log_p = gr_log_softmax(scores(GR_F64), 2);
    assert_close("blank 3", values(ctc(log_p, other, lengths, o)), each, BATCH, 1e-14);
}
END_TEST

/* --- against all paths --- */

typedef struct paths {
    int steps, classes, size, blank;
    const double *x; /* [steps,classes] */
    const int64_t *target;
    double total, *share; /* [steps,classes] */
} paths;

static bool becomes_target(const paths *p, const int *path)
{
    int n = 0;
    for (int t = 0; t < p->steps; t++) {
        if (path[t] == p->blank || (t > 0 && path[t] == path[t - 1])) continue;
        if (n == p->size || p->target[n] != path[t]) return false;
        n++;
    }
    return n == p->size;
}

/* The sum of exp over all paths that become the target, and the part through each class. */
static void enumerate(paths *p)
{
    int path[8] = {0}, count = 1;
    p->total = 0;
    for (int t = 0; t < p->steps; t++) count *= p->classes;
    for (int k = 0; k < count; k++) {
        double sum = 0;
        int rest = k;
        for (int t = 0; t < p->steps; t++, rest /= p->classes) path[t] = rest % p->classes;
        if (!becomes_target(p, path)) continue;
        for (int t = 0; t < p->steps; t++) sum += p->x[t * p->classes + path[t]];
        p->total += exp(sum);
        for (int t = 0; t < p->steps; t++) p->share[t * p->classes + path[t]] += exp(sum);
    }
}

static void check_paths(int steps, int classes, int blank, int64_t size, const int64_t *target)
{
    double x[64], share[64] = {0}, want;
    const int64_t n_steps = steps, none = 0;
    paths p = {steps, classes, (int)size, blank, x, target, 0, share};
    int n = steps * classes;
    for (int i = 0; i < n; i++) x[i] = score(i);
    enumerate(&p);
    gr_tensor *in = make(GR_F64, x, GR_SHAPE(steps, 1, classes)), *d;
    gr_ctc_options o = {.reduction = GR_REDUCTION_SUM, .blank = blank};
    gr_tensor *y = gr_ctc_loss(in, ints(GR_SHAPE(1, size), size ? target : &none),
                               ints(GR_SHAPE(1), &n_steps), ints(GR_SHAPE(1), &size), o);
    want = -log(p.total);
    double got = gr_item(y);
    if (p.total == 0) {
        ck_assert(got == INFINITY);
        gr_graph_reset(g);
        return;
    }
    assert_close("loss", &got, &want, 1, 1e-13);
    ck_assert_int_eq(gr_grad(y, &in, 1, &d), GR_OK);
    for (int i = 0; i < n; i++) share[i] /= -p.total;
    assert_close("gradient", values(d), share, n, 1e-13);
    gr_graph_reset(g);
}

START_TEST(loss_and_gradient_are_sums_over_all_paths)
{
    static const int64_t words[][4] = {{1, 2, 1, 2}, {1, 1, 1, 1}, {2, 2, 1, 0}, {0, 2, 0, 2}};
    for (int steps = 1; steps <= 7; steps++)
        for (int64_t size = 0; size <= 4; size++)
            for (int w = 0; w < 4; w++) {
                if (w < 2) check_paths(steps, 3, 0, size, words[w]);
                if (w == 2 && size < 4) check_paths(steps, 4, 3, size, words[w]);
                if (w == 3) check_paths(steps, 3, 1, size, words[w]);
            }
}
END_TEST

/* --- higher derivatives --- */

static gr_tensor *each_loss(gr_tensor *x)
{
    static const int64_t t[4] = {1, 2, 2, 2}, n[2] = {4, 3}, size[2] = {2, 2};
    gr_ctc_options o = {.reduction = GR_REDUCTION_NONE};
    return gr_ctc_loss(gr_log_softmax(x, 2), ints(GR_SHAPE(2, 2), t), ints(GR_SHAPE(2), n),
                       ints(GR_SHAPE(2), size), o);
}

START_TEST(derivatives_of_three_orders_agree_with_differences)
{
    double x[24];
    for (int i = 0; i < 24; i++) x[i] = score(i);
    derivative_check(g, "ctc", each_loss, GR_SHAPE(4, 2, 3), x, 3);
}
END_TEST

/* --- edges --- */

START_TEST(an_impossible_target_is_infinite_or_counts_nothing)
{
    static const int64_t short_of[BATCH] = {3, 2, 3}; /* 3, blank, 3 takes three steps */
    gr_tensor *x = scores(GR_F64), *d, *dd;
    gr_ctc_options o = {.reduction = GR_REDUCTION_NONE};
    const double *each = values(ctc(x, targets, short_of, o));
    ck_assert(isfinite(each[0]) && each[1] == INFINITY && isfinite(each[2]));
    o.zero_infinity = true;
    gr_tensor *y = ctc(x, targets, short_of, o);
    ck_assert_double_eq(values(y)[1], 0);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    ck_assert_int_eq(gr_grad(gr_square(d), &x, 1, &dd), GR_OK);
    for (int t = 0; t < STEPS; t++)
        for (int c = 0; c < CLASSES; c++) {
            int at = (t * BATCH + 1) * CLASSES + c;
            ck_assert_double_eq(values(d)[at], 0);
            ck_assert_double_eq(values(dd)[at], 0);
        }
    o.zero_infinity = false;
    gr_grad(ctc(x, targets, short_of, o), &x, 1, &d);
    ck_assert(isnan(values(d)[(0 * BATCH + 1) * CLASSES]));
}
END_TEST

START_TEST(a_class_of_probability_0_is_avoided)
{
    double x0[6] = {log(0.5), -INFINITY, log(0.5), log(0.25), log(0.25), log(0.5)};
    const int64_t one = 1, two = 2;
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 1, 3)), *d; /* blank then 1 is the only path */
    gr_tensor *y = gr_ctc(x, ints(GR_SHAPE(1, 1), &one), ints(GR_SHAPE(1), &two),
                          ints(GR_SHAPE(1), &one));
    ck_assert_double_eq_tol(gr_item(y), -log(0.125), 1e-15);
    const double want[6] = {-1, 0, 0, 0, -1, 0};
    gr_grad(y, &x, 1, &d);
    assert_close("gradient", values(d), want, 6, 1e-15);
}
END_TEST

/* T steps of equal probabilities for one label: T (T + 1) / 2 of the 2^T paths become it. */
START_TEST(long_sequences_neither_overflow_nor_depend_on_threads)
{
    enum { LONG = 2000, MANY = 8 };
    static float x[LONG * MANY * 2], dx[2][LONG * MANY * 2];
    int64_t label[MANY], steps[MANY], one[MANY];
    int threads = gr_threads();
    for (int i = 0; i < LONG * MANY * 2; i++) x[i] = logf(0.5f);
    for (int n = 0; n < MANY; n++) label[n] = one[n] = 1, steps[n] = LONG - n;
    for (int k = 0; k < 2; k++) {
        gr_set_threads(k + 1);
        gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(LONG, MANY, 2), x), *d;
        gr_ctc_options o = {.reduction = GR_REDUCTION_NONE};
        gr_tensor *y = gr_ctc_loss(in, ints(GR_SHAPE(MANY, 1), label), ints(GR_SHAPE(MANY), steps),
                                   ints(GR_SHAPE(MANY), one), o);
        for (int n = 0; n < MANY; n++) {
            double t = (double)steps[n], want = -log(t * (t + 1) / 2) - t * (double)logf(0.5f);
            ck_assert_double_eq_tol(((const float *)gr_data(y))[n], want, 2e-4);
        }
        gr_grad(y, &in, 1, &d);
        memcpy(dx[k], gr_data(d), sizeof dx[k]);
        gr_graph_reset(g);
    }
    gr_set_threads(threads);
    ck_assert_mem_eq(dx[0], dx[1], sizeof dx[0]);
    for (int t = 0; t < LONG - MANY; t++) /* each step's shares add up to 1 */
        ck_assert_double_eq_tol(dx[0][t * MANY * 2] + dx[0][t * MANY * 2 + 1], -1, 1e-5);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    static const int64_t long_run[BATCH] = {5, 6, 3}, bad[BATCH * WIDTH] = {1, 2, 3, 4, 2, 0};
    gr_item(ctc(scores(GR_F32), targets, long_run, (gr_ctc_options){0}));
    assert_error("input_lengths[1] is 6, expected 0 <= input_lengths < 6");
    gr_item(ctc(scores(GR_F32), bad, lengths, (gr_ctc_options){0}));
    assert_error("targets[1,1] is 4, expected 0 <= targets < 4");
    ctc(scores(GR_F32), targets, lengths, (gr_ctc_options){.blank = 4});
    assert_error("the blank, 4, is none of 4 classes");
    ctc(gr_select(scores(GR_F32), 1, 0), targets, lengths, (gr_ctc_options){0});
    assert_error("expected log-probabilities [T,N,C], got [5,4]");
    gr_tensor *x = scores(GR_F32), *t = ints(GR_SHAPE(BATCH), lengths);
    gr_ctc(x, t, t, t);
    assert_error("expected targets [N,S] for a batch of 3, got [3]");
    ctc(scores(GR_F32), targets, lengths, (gr_ctc_options){.reduction = (gr_reduction)5});
    assert_error("ctc: reduction 5 is not mean, sum or none");
}
END_TEST

SUITE("loss_ctc", loss_setup, loss_teardown, losses_and_gradients_are_those_of_pytorch,
      any_class_may_be_the_blank, loss_and_gradient_are_sums_over_all_paths,
      derivatives_of_three_orders_agree_with_differences,
      an_impossible_target_is_infinite_or_counts_nothing, a_class_of_probability_0_is_avoided,
      long_sequences_neither_overflow_nor_depend_on_threads, what_does_not_fit_is_named)
