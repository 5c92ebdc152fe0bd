/* test_layer_norm.c - normalisations against plain loops in double and against their parts. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void reset(void)
{
    gr__kernels_force(NULL);
    teardown();
}

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

/* Numbers around `mean` without a pattern. */
static void fill(double *x, int64_t n, double mean, double size)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = mean + size * sin(2.3 * (double)i + 0.1 * sqrt((double)i));
}

static const char *const sets[] = {"baseline", "avx2", "avx512"};

/* --- values: x as [outer, groups, channels, span] --- */

typedef enum kind { LAYER, RMS, GROUP, INSTANCE, BATCH } kind;

typedef struct norm_case {
    kind kind;
    gr_shape x;
    gr_shape w;
    int64_t view[4];
} norm_case;

static const norm_case cases[] = {
    {LAYER, {2, {5, 7}}, {1, {7}}, {5, 1, 7, 1}},
    {LAYER, {3, {3, 4, 50}}, {2, {4, 50}}, {3, 1, 200, 1}},
    {LAYER, {2, {3, 2500}}, {1, {2500}}, {3, 1, 2500, 1}}, /* several pieces */
    {LAYER, {2, {300, 33}}, {1, {33}}, {300, 1, 33, 1}},   /* several chunks of rows */
    {RMS, {2, {9, 65}}, {1, {65}}, {9, 1, 65, 1}},
    {GROUP, {4, {3, 6, 4, 5}}, {1, {6}}, {3, 2, 3, 20}},
    {GROUP, {3, {2, 4, 700}}, {1, {4}}, {2, 2, 2, 700}},
    {GROUP, {2, {70, 8}}, {1, {8}}, {70, 2, 4, 1}},
    {INSTANCE, {3, {5, 3, 37}}, {1, {3}}, {5, 3, 1, 37}},
    {BATCH, {2, {90, 70}}, {1, {70}}, {90, 1, 70, 1}}, /* columns in pieces both ways */
    {BATCH, {3, {6, 3, 35}}, {1, {3}}, {6, 1, 3, 35}},
    {BATCH, {4, {3, 2, 5, 300}}, {1, {2}}, {3, 1, 2, 1500}},
};
enum { CASES = sizeof cases / sizeof *cases, MOST = 10000 };

static gr_tensor *apply(const norm_case *c, gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps)
{
    switch (c->kind) {
    case LAYER: return gr_layer_norm(x, c->w, w, b, eps);
    case RMS: return gr_rms_norm(x, c->w, w, eps);
    case GROUP: return gr_group_norm(x, 2, w, b, eps);
    case INSTANCE: return gr_instance_norm(x, w, b, eps);
    default: return gr_batch_norm(x, w, b, eps);
    }
}

/* What shares statistics with element i: its row, or of a batch its channel. */
static int64_t set_of(const norm_case *c, int64_t i)
{
    const int64_t K = c->view[2], L = c->view[3];
    return c->kind == BATCH ? i / L % K : i / (K * L);
}

static void by_definition(const norm_case *c, const double *x, const double *w, const double *b,
                          double eps, double *y)
{
    static long double mean[MOST], square[MOST], count[MOST];
    const int64_t n = gr_shape_numel(&c->x), K = c->view[2], L = c->view[3];
    for (int64_t i = 0; i < n; i++) mean[i] = square[i] = count[i] = 0;
    for (int64_t i = 0; i < n; i++) mean[set_of(c, i)] += x[i], count[set_of(c, i)]++;
    for (int64_t k = 0; k < n; k++)
        mean[k] = c->kind == RMS || count[k] == 0 ? 0 : mean[k] / count[k];
    for (int64_t i = 0; i < n; i++) {
        const long double d = x[i] - mean[set_of(c, i)];
        square[set_of(c, i)] += d * d;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = set_of(c, i), weight = i / (K * L) % c->view[1] * K + i / L % K;
        y[i] = (double)((x[i] - mean[k]) / sqrtl(square[k] / count[k] + eps)) *
                   (w ? w[weight] : 1) + (b ? b[weight] : 0);
    }
}

static void check_case(const norm_case *c, gr_dtype dtype, double mean, double tolerance)
{
    static double x[MOST], w[MOST], b[MOST], want[MOST];
    const int64_t n = gr_shape_numel(&c->x), m = gr_shape_numel(&c->w);
    ck_assert_int_le(n, MOST);
    fill(x, n, mean, 2);
    fill(w, m, 1, 0.7);
    fill(b, m, 0.1, 0.3);
    for (int64_t i = 0; i < n && dtype == GR_F32; i++) x[i] = (double)(float)x[i];
    for (int affine = 0; affine < 4; affine++) {
        if (c->kind == RMS && affine & 2) continue;
        const double *weight = affine & 1 ? w : NULL, *bias = affine & 2 ? b : NULL;
        by_definition(c, x, weight, bias, 1e-3, want);
        const double *y = values(apply(c, make(dtype, x, c->x), weight ? make(dtype, w, c->w) : NULL,
                                       bias ? make(dtype, b, c->w) : NULL, 1e-3));
        for (int64_t i = 0; i < n; i++)
            ck_assert_msg(fabs(y[i] - want[i]) <= tolerance, "case %d, affine %d, element %d: %.12g "
                          "for %.12g", (int)(c - cases), affine, (int)i, y[i], want[i]);
        gr_graph_reset(g);
    }
}

START_TEST(values_follow_the_definition_in_every_instruction_set)
{
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int i = 0; i < CASES; i++) {
            check_case(&cases[i], GR_F64, 0.5, 1e-13);
            check_case(&cases[i], GR_F32, 0.5, 2e-6);
        }
    }
}
END_TEST

START_TEST(a_large_mean_costs_no_digits)
{
    for (int i = 0; i < CASES; i++) {
        if (cases[i].kind == RMS) continue;
        check_case(&cases[i], GR_F32, 1e4, 3e-6);
        check_case(&cases[i], GR_F64, 1e8, 1e-7);
    }
}
END_TEST

/* --- gradients against those of the same thing made of parts --- */

static gr_tensor *in_parts(const norm_case *c, gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps)
{
    const int64_t *v = c->view;
    const gr_axes axes = c->kind == BATCH ? GR_AXES(0, 3) : GR_AXES(2, 3);
    gr_tensor *t = gr_reshape(x, GR_SHAPE(v[0], v[1], v[2], v[3]));
    gr_tensor *centred = c->kind == RMS ? t : gr_sub(t, gr_mean(t, axes, true));
    gr_tensor *variance = gr_mean(gr_square(centred), axes, true);
    t = gr_div(centred, gr_sqrt(gr_shift(variance, eps)));
    const gr_shape weight = GR_SHAPE(1, v[1], v[2], 1);
    t = gr_mul(t, gr_reshape(w, weight));
    if (b) t = gr_add(t, gr_reshape(b, weight));
    return gr_reshape(t, c->x);
}

static void assert_close(const norm_case *c, const char *what, gr_tensor *got, gr_tensor *want,
                         double tolerance)
{
    const double *a = values(got), *b = values(want);
    for (int64_t i = 0, n = gr_numel(want); i < n; i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= tolerance * (1 + fabs(b[i])),
                      "case %d, %s, element %d: %.12g for %.12g", (int)(c - cases), what, (int)i,
                      a[i], b[i]);
}

static void gradients(const norm_case *c, gr_dtype dtype, bool parts, gr_tensor **d)
{
    static double x[MOST], w[MOST], b[MOST];
    const int64_t n = gr_shape_numel(&c->x), m = gr_shape_numel(&c->w);
    fill(x, n, 0.5, 2);
    fill(w, m, 1, 0.7);
    fill(b, m, 0.1, 0.3);
    gr_tensor *in[3] = {make(dtype, x, c->x), make(dtype, w, c->w), make(dtype, b, c->w)};
    gr_tensor *bias = c->kind == RMS ? NULL : in[2];
    gr_tensor *y = (parts ? in_parts : apply)(c, in[0], in[1], bias, 1e-3);
    fill(x, n, 0.2, 1);
    ck_assert_int_eq(gr_grad(gr_mul(y, make(dtype, x, c->x)), in, 3, d), GR_OK);
}

START_TEST(gradients_equal_those_of_the_parts)
{
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int i = 0; i < CASES; i++) {
            gr_tensor *want[3], *f64[3], *f32[3];
            static const char *const names[3] = {"dx", "dw", "db"};
            gradients(&cases[i], GR_F64, true, want);
            gradients(&cases[i], GR_F64, false, f64);
            gradients(&cases[i], GR_F32, false, f32);
            for (int k = 0; k < 3; k++) {
                assert_close(&cases[i], names[k], f64[k], want[k], 1e-11);
                assert_close(&cases[i], names[k], f32[k], want[k], 2e-5);
            }
            gr_graph_reset(g);
        }
    }
}
END_TEST

static gr_tensor *layer_of(gr_tensor *x) { return gr_layer_norm(x, GR_SHAPE(4), NULL, NULL, 0); }
static gr_tensor *rms_of(gr_tensor *x) { return gr_rms_norm(x, GR_SHAPE(4), NULL, 0.1); }
static gr_tensor *group_of(gr_tensor *x) { return gr_group_norm(x, 2, NULL, NULL, 0); }
static gr_tensor *batch_of(gr_tensor *x) { return gr_batch_norm(x, NULL, NULL, 0.1); }
static gr_tensor *variance_of(gr_tensor *x) { return gr_output(gr_batch_norm(x, NULL, NULL, 0), 2); }
static gr_tensor *mean_of(gr_tensor *x) { return gr_output(gr_batch_norm(x, NULL, NULL, 0), 1); }

START_TEST(derivatives_agree_with_differences)
{
    double x[24];
    fill(x, 24, 0.3, 1);
    derivative_check(g, "layer_norm", layer_of, GR_SHAPE(2, 4), x, 3);
    derivative_check(g, "rms_norm", rms_of, GR_SHAPE(2, 4), x, 3);
    derivative_check(g, "group_norm", group_of, GR_SHAPE(2, 4, 3), x, 2);
    derivative_check(g, "batch_norm", batch_of, GR_SHAPE(3, 2, 2), x, 3);
    derivative_check(g, "batch_norm of columns", batch_of, GR_SHAPE(4, 3), x, 2);
    derivative_check(g, "variance", variance_of, GR_SHAPE(4, 3), x, 2);
    derivative_check(g, "mean", mean_of, GR_SHAPE(4, 3), x, 2);
}
END_TEST

/* --- special values --- */

START_TEST(nan_stays_in_its_sample_and_constants_give_the_bias)
{
    const double x[8] = {1, NAN, 2, 3, 5, 5, 5, 5}, w[4] = {1, 2, 3, 4}, b[4] = {-1, 0, 1, 2};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *in = make((gr_dtype)dtype, x, GR_SHAPE(2, 4));
        gr_tensor *weight = make((gr_dtype)dtype, w, GR_SHAPE(4));
        gr_tensor *bias = make((gr_dtype)dtype, b, GR_SHAPE(4));
        const double *y = values(gr_layer_norm(in, GR_SHAPE(4), weight, bias, 0));
        for (int i = 0; i < 4; i++) ck_assert(isnan(y[i]) && y[4 + i] == b[i]);
    }
}
END_TEST

START_TEST(zeros_have_a_finite_gradient)
{
    gr_tensor *x = gr_zeros(g, GR_F64, GR_SHAPE(2, 4)), *d;
    ck_assert_int_eq(gr_grad(gr_rms_norm(x, GR_SHAPE(4), NULL, 0.25), &x, 1, &d), GR_OK);
    for (int i = 0; i < 8; i++) ck_assert_double_eq(values(d)[i], 2); /* 1 / sqrt(0.25) */
}
END_TEST

START_TEST(strided_inputs_and_nothing)
{
    double x[12], want[12];
    static const norm_case rows = {LAYER, {2, {3, 4}}, {1, {4}}, {3, 1, 4, 1}};
    fill(x, 12, 1, 2);
    gr_tensor *t = gr_transpose(make(GR_F64, x, GR_SHAPE(4, 3)), 0, 1), *d;
    double turned[12];
    for (int i = 0; i < 12; i++) turned[i] = x[i % 4 * 3 + i / 4];
    by_definition(&rows, turned, NULL, NULL, 1e-5, want);
    const double *y = values(gr_layer_norm(t, GR_SHAPE(4), NULL, NULL, 0));
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(y[i], want[i], 1e-13);
    gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(3, 0));
    ck_assert_int_eq(gr_grad(gr_layer_norm(none, GR_SHAPE(0), NULL, NULL, 0), &none, 1, &d), GR_OK);
    ck_assert_ptr_nonnull(gr_data(d));
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(2, 4, 3));
    gr_layer_norm(x, GR_SHAPE(4), NULL, NULL, 0);
    assert_error("layer_norm: expected x to end in the axes [4], got [2,4,3]");
    x = gr_zeros(g, GR_F32, GR_SHAPE(2, 4, 3));
    gr_layer_norm(x, GR_SHAPE(3), gr_ones(g, GR_F64, GR_SHAPE(3)), NULL, 0);
    assert_error("layer_norm: cannot mix float32 and float64; use gr_cast");
    x = gr_zeros(g, GR_F32, GR_SHAPE(2, 4, 3));
    gr_group_norm(x, 3, NULL, NULL, 0);
    assert_error("group_norm: 3 groups do not divide 4 channels");
    x = gr_zeros(g, GR_F32, GR_SHAPE(1, 4));
    gr_batch_norm(x, NULL, NULL, 0);
    assert_error("batch_norm: a channel of [1,4] has fewer than 2 values");
    x = gr_zeros(g, GR_F32, GR_SHAPE(2, 4));
    gr_batch_norm(x, NULL, NULL, NAN);
    assert_error("batch_norm: eps is nan, expected at least 0");
    gr_layer_norm(NULL, GR_SHAPE(4), NULL, NULL, 0);
    gr_batch_norm(NULL, NULL, NULL, 0);
}
END_TEST

/* --- running statistics --- */

static gr_tensor *moved(gr_param *p, gr_tensor *to)
{
    return gr_add(gr_scale(gr_use(g, p), 0.9), gr_scale(to, 0.1));
}

START_TEST(running_statistics_are_assigned_and_used_in_evaluation)
{
    const double x[6] = {1, 10, 2, 20, 6, 60}, zero[2] = {0, 0}, one[2] = {1, 1};
    gr_param *mean = gr_param_new("mean", GR_F64, GR_SHAPE(2), zero);
    gr_param *variance = gr_param_new("variance", GR_F64, GR_SHAPE(2), one);
    gr_tensor *y = gr_batch_norm(make(GR_F64, x, GR_SHAPE(3, 2)), NULL, NULL, 0);
    gr_assign(mean, moved(mean, gr_output(y, 1)));
    gr_assign(variance, moved(variance, gr_output(y, 2)));
    ck_assert_int_eq(gr_commit(g), GR_OK);
    const double *m = gr_param_data(mean), *v = gr_param_data(variance);
    ck_assert_double_eq_tol(m[0], 0.3, 1e-15); /* the batch: mean 3, variance 14/2 */
    ck_assert_double_eq_tol(m[1], 3, 1e-14);
    ck_assert_double_eq_tol(v[0], 0.9 + 0.7, 1e-15);
    ck_assert_double_eq_tol(v[1], 0.9 + 70, 1e-13);
    gr_graph_reset(g);
    y = gr_batch_norm_inference(make(GR_F64, x, GR_SHAPE(3, 2)), gr_use(g, mean),
                                gr_use(g, variance), NULL, NULL, 0);
    ck_assert_double_eq_tol(values(y)[5], (60 - 3) / sqrt(70.9 + 1e-5), 1e-13);
    gr_param_release(mean);
    gr_param_release(variance);
}
END_TEST

/* --- threads --- */

enum { MANY = 200, WIDE = 500 };

static void run_large(int threads, float *out)
{
    static float x[MANY * WIDE];
    for (int i = 0; i < MANY * WIDE; i++) x[i] = sinf((float)i * 0.7f) * 5;
    gr_set_threads(threads);
    gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(MANY, WIDE), x);
    gr_tensor *w = gr_slice(gr_reshape(in, GR_SHAPE(MANY * WIDE)), 0, 0, WIDE, 1), *d[4];
    gr_tensor *layer = gr_layer_norm(in, GR_SHAPE(WIDE), w, NULL, 0);
    gr_tensor *batch = gr_batch_norm(in, w, NULL, 0);
    gr_grad(gr_square(layer), (gr_tensor *[]){in, w}, 2, d);
    gr_grad(gr_square(batch), (gr_tensor *[]){in, w}, 2, d + 2);
    for (int i = 0; i < 4; i += 2, out += MANY * WIDE + WIDE) {
        memcpy(out, gr_data(d[i]), sizeof x);
        memcpy(out + MANY * WIDE, gr_data(d[i + 1]), WIDE * sizeof *x);
    }
    gr_graph_reset(g);
}

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[2 * (MANY + 1) * WIDE], two[2 * (MANY + 1) * WIDE];
    int threads = gr_threads();
    run_large(1, one);
    run_large(2, two);
    gr_set_threads(threads);
    ck_assert(memcmp(one, two, sizeof one) == 0);
}
END_TEST

SUITE("layer_norm", setup, reset, values_follow_the_definition_in_every_instruction_set,
      a_large_mean_costs_no_digits, gradients_equal_those_of_the_parts,
      derivatives_agree_with_differences, nan_stays_in_its_sample_and_constants_give_the_bias,
      zeros_have_a_finite_gradient, strided_inputs_and_nothing, what_does_not_fit_is_named,
      running_statistics_are_assigned_and_used_in_evaluation,
      the_same_bits_from_one_thread_and_two)
