/* test_elementary.c - float32 functions against libm's in float64, over all of float32. */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "suite.h"
#include <gradus/gradus.h>

#include <math.h>
#include <string.h>

enum { CHUNK = 65536, STEP = 1021 }; /* of the 2^32 patterns of bits, every 1021st */

static gr_graph *g;

static void setup(void)
{
    g = gr_graph_new();
}

static void teardown(void)
{
    gr_graph_free(g);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double exp_term(double x) { return fabs(x) > 86.5 ? 0 : exp(-fabs(x)); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double normal_cdf(double x) { return 0.5 * erfc(-x * sqrt(0.5)); }
static double normal_pdf(double x) { return exp(-0.5 * x * x) / sqrt(8 * atan(1)); }
static double gelu(double x) { return x * normal_cdf(x); }

/* The code itself, as compiled for any processor. */
static float plain_exp(float x) { return gr__exp(x); }
static float plain_exp_term(float x) { return gr__exp_term(-fabsf(x)); }
static float plain_expm1(float x) { return gr__expm1(x); }
static float plain_exp2(float x) { return gr__exp2(x); }
static float plain_log(float x) { return gr__log(x); }
static float plain_log1p(float x) { return gr__log1p(x); }
static float plain_log2(float x) { return gr__log2(x); }
static float plain_tanh(float x) { return gr__tanh(x); }
static float plain_erf(float x) { return gr__erf(x); }
static float plain_sigmoid(float x) { return gr__sigmoid(x); }
static float plain_softplus(float x) { return gr__softplus(x); }
static float plain_cdf(float x) { return gr__normal_cdf(x); }
static float plain_pdf(float x) { return gr__normal_pdf(x); }

typedef struct function {
    const char *name;
    gr_tensor *(*op)(gr_tensor *); /* NULL: none */
    float (*plain)(float);
    double (*want)(double);
    double ulp;
} function;

static const function functions[] = {
    {"exp", gr_exp, plain_exp, exp, 1},
    {"exp_term", NULL, plain_exp_term, exp_term, 1},
    {"expm1", gr_expm1, plain_expm1, expm1, 1.5},
    {"exp2", gr_exp2, plain_exp2, exp2, 1.5},
    {"log", gr_log, plain_log, log, 1},
    {"log1p", gr_log1p, plain_log1p, log1p, 2},
    {"log2", gr_log2, plain_log2, log2, 2},
    {"tanh", gr_tanh, plain_tanh, tanh, 1.5},
    {"erf", gr_erf, plain_erf, erf, 1.5},
    {"sigmoid", gr_sigmoid, plain_sigmoid, sigmoid, 2},
    {"softplus", gr_softplus, plain_softplus, softplus, 2},
    {"sin", gr_sin, NULL, sin, 2},
    {"cos", gr_cos, NULL, cos, 2},
    {"tan", gr_tan, NULL, tan, 2},
    {"normal_cdf", NULL, plain_cdf, normal_cdf, 5},
    {"normal_pdf", NULL, plain_pdf, normal_pdf, 2},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* The distance of y from the exact value in units of its last place; numbers beyond the largest
 * count as the next power of two. */
static double ulps(float y, double want)
{
    const double most = 0x1p128, got = isinf(y) ? copysign(most, (double)y) : (double)y;
    if (isnan(want) || isnan(y)) return isnan(want) && isnan(y) ? 0 : INFINITY;
    if (fabs(want) > most) want = copysign(most, want);
    const double unit = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want) - 23);
    return fabs(got - want) / unit;
}

static void fill(float *x, uint64_t first)
{
    for (int i = 0; i < CHUNK; i++) {
        const uint32_t bits = (uint32_t)(first + (uint64_t)i * STEP);
        memcpy(&x[i], &bits, sizeof bits);
    }
}

/* Check's assertions cost more than the functions: only the worst is shown to them. */
static void expect_close(const function *f, const char *by, const float *x, const float *y,
                         double ulp)
{
    double most = -1;
    int at = 0;
    for (int i = 0; i < CHUNK; i++) {
        const double off = ulps(y[i], f->want((double)x[i]));
        if (off > most) most = off, at = i;
    }
    ck_assert_msg(most <= ulp, "%s by %s at %a: got %a, expected %a, %.2f ulp off", f->name, by,
                  (double)x[at], (double)y[at], f->want((double)x[at]), most);
}

/* Denormals, infinities, NaN and both zeros are among them. */
START_TEST(float32_is_within_the_stated_bounds_everywhere)
{
    static float x[CHUNK], y[CHUNK];
    for (uint64_t first = 0; first < UINT64_C(1) << 32; first += (uint64_t)CHUNK * STEP) {
        fill(x, first);
        gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(CHUNK), x);
        for (const function *f = functions; f < functions + FUNCTIONS; f++) {
            if (f->op) expect_close(f, "the op", x, gr_data(f->op(in)), f->ulp);
            if (!f->plain) continue;
            for (int i = 0; i < CHUNK; i++) y[i] = f->plain(x[i]);
            expect_close(f, "plain code", x, y, f->ulp);
        }
        gr_graph_reset(g);
    }
}
END_TEST

static bool is_checked(const gr_op *op)
{
    static const char *const families[] = {"activation", "exponential", "gelu", "special",
                                           "trigonometric"};
    for (int i = 0; i < 5; i++)
        if (op->tile[GR_F32] && !op->attrs_size && op->n_in == 1 &&
            strcmp(op->family, families[i]) == 0)
            return true;
    return false;
}

/* Vector code and what is left at the end of a loop must round alike: pieces begin anywhere. */
START_TEST(an_element_alone_has_the_bits_it_has_among_others)
{
    enum { N = 4096 };
    static float x[N], whole[N];
    int checked = 0;
    for (int i = 0; i < N; i++) x[i] = (float)(i * 7919 % N - N / 2) / 227;
    for (int k = 0; k < gr_op_count(); k++) {
        const gr_op *op = gr_op_at(k);
        if (!is_checked(op)) continue;
        checked++;
        op->tile[GR_F32](&(gr_tile){N, 0, (const void *[]){x}, whole, NULL});
        for (int i = 0; i < N; i++) {
            float alone;
            op->tile[GR_F32](&(gr_tile){1, i, (const void *[]){&x[i]}, &alone, NULL});
            if (memcmp(&alone, &whole[i], sizeof alone) != 0 && !isnan(alone))
                ck_abort_msg("%s(%a): %a alone, %a among others", op->name, (double)x[i],
                             (double)alone, (double)whole[i]);
        }
    }
    ck_assert_int_ge(checked, 20);
}
END_TEST

/* Where it is neither 0 nor x. */
START_TEST(gelu_keeps_its_digits_in_the_lower_tail)
{
    static float x[CHUNK];
    const function f = {"gelu", gr_gelu, NULL, gelu, 6};
    for (int i = 0; i < CHUNK; i++) x[i] = -12.5f + 18.5f * (float)i / CHUNK;
    expect_close(&f, "the op", x, gr_data(gr_gelu(gr_from_data(g, GR_F32, GR_SHAPE(CHUNK), x))),
                 f.ulp);
}
END_TEST

/* Angles next to multiples of pi/2, where all leading digits cancel, near and far. */
START_TEST(sine_is_right_next_to_its_zeros)
{
    static float x[CHUNK];
    for (int i = 0; i < CHUNK; i++) x[i] = (float)((double)(i * 5) * 1.5707963267948966);
    const function waves[] = {{"sin", gr_sin, NULL, sin, 2},
                              {"cos", gr_cos, NULL, cos, 2},
                              {"tan", gr_tan, NULL, tan, 2}};
    for (const function *f = waves; f < waves + 3; f++) {
        gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(CHUNK), x);
        expect_close(f, "the op", x, gr_data(f->op(in)), f->ulp);
    }
}
END_TEST

START_TEST(zeros_keep_their_sign)
{
    gr_tensor *(*const odd[])(gr_tensor *) = {gr_sin,   gr_tan,  gr_tanh, gr_erf,
                                              gr_expm1, gr_log1p, gr_gelu};
    for (int k = 0; k < 7; k++) {
        const float *y = gr_data(odd[k](gr_from_data(g, GR_F32, GR_SHAPE(1), (float[]){-0.0f})));
        ck_assert_msg(y[0] == 0 && signbit(y[0]), "%d of the list: got %g, expected -0", k,
                      (double)y[0]);
    }
}
END_TEST

SUITE("elementary", setup, teardown, float32_is_within_the_stated_bounds_everywhere,
      an_element_alone_has_the_bits_it_has_among_others,
      gelu_keeps_its_digits_in_the_lower_tail, sine_is_right_next_to_its_zeros,
      zeros_keep_their_sign)
