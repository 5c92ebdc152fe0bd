/* test_third.c - derivatives up to the third of every smooth function of one variable. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

enum { N = 6 };

static gr_tensor *trigamma(gr_tensor *x)
{
    return gr_polygamma(1, x);
}
static gr_tensor *fourth(gr_tensor *x)
{
    return gr_polygamma(4, x);
}
static gr_tensor *elu_below(gr_tensor *x)
{
    return gr_elu(x, 1.5);
}
static gr_tensor *celu_below(gr_tensor *x)
{
    return gr_celu(x, 0.75);
}

static const struct smooth {
    const char *name;
    gr_tensor *(*op)(gr_tensor *);
    double low, high;
} functions[] = {
    {"sqrt", gr_sqrt, 0.6, 2},
    {"rsqrt", gr_rsqrt, 0.8, 2},
    {"reciprocal", gr_reciprocal, 0.8, 2},
    {"reciprocal below 0", gr_reciprocal, -2, -0.8},
    {"square", gr_square, -2, 2},
    {"exp", gr_exp, -1.5, 1.2},
    {"expm1", gr_expm1, -1.5, 1.2},
    {"exp2", gr_exp2, -2, 1.5},
    {"log", gr_log, 0.7, 3},
    {"log1p", gr_log1p, -0.3, 2},
    {"logit", gr_logit, 0.1, 0.9},
    {"log2", gr_log2, 0.7, 3},
    {"log10", gr_log10, 0.7, 3},
    {"sin", gr_sin, -3, 3},
    {"cos", gr_cos, -3, 3},
    {"tan", gr_tan, -0.8, 0.8},
    {"asin", gr_asin, -0.6, 0.6},
    {"acos", gr_acos, -0.6, 0.6},
    {"atan", gr_atan, -2, 2},
    {"sinh", gr_sinh, -1.2, 1.2},
    {"cosh", gr_cosh, -1.2, 1.2},
    {"tanh", gr_tanh, -2, 2},
    {"asinh", gr_asinh, -2, 2},
    {"acosh", gr_acosh, 1.6, 3},
    {"atanh", gr_atanh, -0.6, 0.6},
    {"erf", gr_erf, -2, 2},
    {"erfc", gr_erfc, -2, 2},
    {"lgamma", gr_lgamma, 0.9, 4},
    {"lgamma between poles", gr_lgamma, -1.7, -1.4},
    {"digamma", gr_digamma, 1.1, 4},
    {"trigamma", trigamma, 1.5, 4},
    {"polygamma 4", fourth, 3, 6},
    {"sigmoid", gr_sigmoid, -3, 3},
    {"softplus", gr_softplus, -3, 3},
    {"logsigmoid", gr_logsigmoid, -3, 3},
    {"softsign above 0", gr_softsign, 0.2, 3},
    {"softsign below 0", gr_softsign, -3, -0.2},
    {"gelu", gr_gelu, -3, 3},
    {"gelu_tanh", gr_gelu_tanh, -3, 3},
    {"silu", gr_silu, -3, 3},
    {"mish", gr_mish, -3, 3},
    {"tanhshrink", gr_tanhshrink, -2, 2},
    {"elu below 0", elu_below, -2, -0.1},
    {"celu below 0", celu_below, -2, -0.1},
    {"selu below 0", gr_selu, -2, -0.1},
};

START_TEST(third_derivatives_agree_with_differences_of_the_second)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const struct smooth *f = &functions[i];
        double x[N];
        for (int j = 0; j < N; j++) x[j] = f->low + (f->high - f->low) * (j + 0.5) / N;
        derivative_check(g, f->name, f->op, GR_SHAPE(N), x, 3);
    }
}
END_TEST

SUITE("third", setup, teardown, third_derivatives_agree_with_differences_of_the_second)
