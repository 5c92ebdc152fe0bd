/* test_unary.c - functions of one variable against libm and calculus. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 12, LARGE = 200000 };

/* --- values and derivatives --- */

static double square(double x) { return x * x; }
static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
static double one_over(double x) { return 1 / x; }
static double half_over_sqrt(double x) { return 0.5 / sqrt(x); }
static double twice(double x) { return 2 * x; }
static double zero(double x) { return (void)x, 0; }
static double minus_sin(double x) { return -sin(x); }
static double bell(double x) { return 1.1283791670955126 * exp(-x * x); }
static double minus_bell(double x) { return -bell(x); }
static double minus_square(double x) { return -1 / (x * x); }
static double one_over_sqrt(double x) { return 1 / sqrt(x); }
static double minus_half(double x) { return -0.5 / (x * sqrt(x)); }
static double exp2_slope(double x) { return exp2(x) * log(2); }
static double log1p_slope(double x) { return 1 / (1 + x); }
static double logit(double x) { return 2 * atanh(2 * x - 1); }
static double logit_slope(double x) { return 1 / (x * (1 - x)); }
static double log2_slope(double x) { return 1 / (x * log(2)); }
static double log10_slope(double x) { return 1 / (x * log(10)); }
static double tan_slope(double x) { return 1 / (cos(x) * cos(x)); }
static double asin_slope(double x) { return 1 / sqrt((1 - x) * (1 + x)); }
static double acos_slope(double x) { return -1 / sqrt((1 - x) * (1 + x)); }
static double atan_slope(double x) { return 1 / (1 + x * x); }
static double asinh_slope(double x) { return 1 / sqrt(1 + x * x); }
static double acosh_slope(double x) { return 1 / sqrt((x - 1) * (x + 1)); }
static double atanh_slope(double x) { return 1 / ((1 - x) * (1 + x)); }

static const struct function {
    const char *name;
    gr_tensor *(*op)(gr_tensor *);
    double (*y)(double), (*dy)(double);
    double low, high;
} functions[] = {
    {"exp", gr_exp, exp, exp, -2.75, 2.75},
    {"log", gr_log, log, one_over, 0.125, 5.625},
    {"sqrt", gr_sqrt, sqrt, half_over_sqrt, 0.125, 5.625},
    {"square", gr_square, square, twice, -2.75, 2.75},
    {"abs", gr_abs, fabs, sign, -2.75, 2.75},
    {"sign", gr_sign, sign, zero, -2.75, 2.75},
    {"sin", gr_sin, sin, cos, -2.75, 2.75},
    {"cos", gr_cos, cos, minus_sin, -2.75, 2.75},
    {"erf", gr_erf, erf, bell, -2.75, 2.75},
    {"erfc", gr_erfc, erfc, minus_bell, -2.75, 2.75},
    {"rsqrt", gr_rsqrt, one_over_sqrt, minus_half, 0.125, 5.625},
    {"reciprocal", gr_reciprocal, one_over, minus_square, -2.75, 2.75},
    {"expm1", gr_expm1, expm1, exp, -2.75, 2.75},
    {"exp2", gr_exp2, exp2, exp2_slope, -2.75, 2.75},
    {"log1p", gr_log1p, log1p, log1p_slope, -0.5, 5},
    {"log2", gr_log2, log2, log2_slope, 0.125, 5.625},
    {"log10", gr_log10, log10, log10_slope, 0.125, 5.625},
    {"logit", gr_logit, logit, logit_slope, 0.0625, 0.9375},
    {"tan", gr_tan, tan, tan_slope, -1.375, 1.375},
    {"asin", gr_asin, asin, asin_slope, -0.875, 0.875},
    {"acos", gr_acos, acos, acos_slope, -0.875, 0.875},
    {"atan", gr_atan, atan, atan_slope, -2.75, 2.75},
    {"sinh", gr_sinh, sinh, cosh, -2.75, 2.75},
    {"cosh", gr_cosh, cosh, sinh, -2.75, 2.75},
    {"asinh", gr_asinh, asinh, asinh_slope, -2.75, 2.75},
    {"acosh", gr_acosh, acosh, acosh_slope, 1.5, 7},
    {"atanh", gr_atanh, atanh, atanh_slope, -0.875, 0.875},
};

enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* N points from low to high. In float32 too: multiples of 2^-10. */
static const double *points(const struct function *f)
{
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = rint((f->low + (f->high - f->low) * i / (N - 1)) * 1024) / 1024;
    return x;
}

static void check_function(const struct function *f, gr_dtype dtype, double tolerance)
{
    const double *x0 = points(f);
    gr_tensor *x = make(dtype, x0, GR_SHAPE(3, 4)), *d, *y = f->op(x);
    ck_assert_int_eq(gr_dtype_of(y), dtype);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const double *got = values(y), *slope = values(d);
    for (int i = 0; i < N; i++) {
        double want = f->y(x0[i]), want_slope = f->dy(x0[i]);
        ck_assert_msg(fabs(got[i] - want) <= tolerance * fabs(want), "%s(%g): %.9g, expected %.9g",
                      f->name, x0[i], got[i], want);
        ck_assert_msg(fabs(slope[i] - want_slope) <= 4 * tolerance * fabs(want_slope),
                      "%s'(%g): %.9g, expected %.9g", f->name, x0[i], slope[i], want_slope);
    }
    gr_graph_reset(g);
}

START_TEST(values_and_derivatives_agree_with_calculus)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        check_function(&functions[i], GR_F64, 5e-16);
        check_function(&functions[i], GR_F32, 4e-7);
    }
}
END_TEST

START_TEST(derivatives_of_any_order_agree_with_differences)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        double x[N];
        for (int j = 0; j < N; j++) x[j] = points(&functions[i])[j] * 0.9 + 0.03;
        derivative_check(g, functions[i].name, functions[i].op, GR_SHAPE(N), x, 3);
    }
}
END_TEST

/* --- precision and special values --- */

static double ulps(float got, double want)
{
    double unit = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want) - 23);
    return isfinite(want) && fabs(want) <= 0x1.fffffep127 ? fabs((double)got - want) / unit : 0;
}

START_TEST(float32_stays_within_three_ulp)
{
    static float x[LARGE];
    static const int checked[] = {0, 1, 8, 12}; /* exp, log, erf, expm1 */
    for (int k = 0; k < 4; k++) {
        const struct function *f = &functions[checked[k]];
        for (int i = 0; i < LARGE; i++) { /* all sizes from 1e-42 to 1e2, both signs */
            double size = pow(10, -42 + 44.0 * i / LARGE);
            x[i] = (float)(i % 2 && f->low < 0 ? -size : size);
        }
        const float *y = gr_data(f->op(gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x)));
        ck_assert_ptr_nonnull(y);
        for (int i = 0; i < LARGE; i++)
            ck_assert_msg(ulps(y[i], f->y((double)x[i])) < 3, "%s(%.9g): %.9g, expected %.9g",
                          f->name, (double)x[i], (double)y[i], f->y((double)x[i]));
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(nan_and_infinity_propagate)
{
    static const struct {
        gr_tensor *(*op)(gr_tensor *);
        double x, want;
    } cases[] = {
        {gr_exp, INFINITY, INFINITY}, {gr_exp, -INFINITY, 0},      {gr_exp, NAN, NAN},
        {gr_exp, 1000, INFINITY},     {gr_exp, -1000, 0},          {gr_exp, 0, 1},
        {gr_log, 0, -INFINITY},       {gr_log, -1, NAN},           {gr_log, INFINITY, INFINITY},
        {gr_log, NAN, NAN},           {gr_log, -INFINITY, NAN},    {gr_log, 1, 0},
        {gr_sqrt, -1, NAN},           {gr_sqrt, 0, 0},             {gr_sqrt, INFINITY, INFINITY},
        {gr_square, -INFINITY, INFINITY}, {gr_square, NAN, NAN},   {gr_abs, -INFINITY, INFINITY},
        {gr_abs, NAN, NAN},           {gr_sign, NAN, NAN},         {gr_sign, -0.0, 0},
        {gr_sign, -INFINITY, -1},     {gr_sin, INFINITY, NAN},     {gr_cos, NAN, NAN},
        {gr_erf, INFINITY, 1},        {gr_erf, -INFINITY, -1},     {gr_erf, NAN, NAN},
        {gr_erfc, INFINITY, 0},       {gr_erfc, -INFINITY, 2},     {gr_erfc, NAN, NAN},
        {gr_rsqrt, 0, INFINITY},      {gr_rsqrt, INFINITY, 0},     {gr_rsqrt, -1, NAN},
        {gr_reciprocal, 0, INFINITY}, {gr_reciprocal, -0.0, -INFINITY},
        {gr_reciprocal, -INFINITY, 0}, {gr_reciprocal, NAN, NAN},  {gr_expm1, NAN, NAN},
        {gr_expm1, -INFINITY, -1},    {gr_expm1, 1000, INFINITY},  {gr_expm1, -1000, -1},
        {gr_exp2, -INFINITY, 0},      {gr_exp2, 2000, INFINITY},   {gr_exp2, NAN, NAN},
        {gr_log1p, -1, -INFINITY},    {gr_log1p, -2, NAN},         {gr_log1p, INFINITY, INFINITY},
        {gr_logit, 0, -INFINITY},     {gr_logit, 1, INFINITY},     {gr_logit, 0.5, 0},
        {gr_logit, -0.5, NAN},        {gr_logit, 1.5, NAN},
        {gr_log2, 0, -INFINITY},      {gr_log2, -1, NAN},          {gr_log2, 8, 3},
        {gr_log10, 0, -INFINITY},     {gr_log10, -1, NAN},         {gr_log10, 1000, 3},
        {gr_tan, INFINITY, NAN},      {gr_tan, NAN, NAN},          {gr_asin, 1.5, NAN},
        {gr_acos, -1.5, NAN},         {gr_acos, 1, 0},             {gr_atan, NAN, NAN},
        {gr_sinh, -INFINITY, -INFINITY}, {gr_cosh, -INFINITY, INFINITY}, {gr_sinh, NAN, NAN},
        {gr_asinh, -INFINITY, -INFINITY}, {gr_acosh, 0.5, NAN},    {gr_acosh, 1, 0},
        {gr_acosh, INFINITY, INFINITY}, {gr_atanh, 1, INFINITY},   {gr_atanh, -1, -INFINITY},
        {gr_atanh, 2, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            double x[40]; /* as many as vector code takes at once, and some more */
            for (int j = 0; j < 40; j++) x[j] = cases[i].x;
            const double *y = values(cases[i].op(make((gr_dtype)dtype, x, GR_SHAPE(40))));
            for (int j = 0; j < 40; j += 39)
                ck_assert_msg(y[j] == cases[i].want || (isnan(y[j]) && isnan(cases[i].want)),
                              "case %d: f(%g) = %g, expected %g", (int)i, x[j], y[j],
                              cases[i].want);
        }
}
END_TEST

/* --- edges of domains, ties --- */

static double slope_at(gr_tensor *(*op)(gr_tensor *), double x0)
{
    gr_tensor *x = gr_scalar(g, GR_F64, x0), *d;
    ck_assert_int_eq(gr_grad(op(x), &x, 1, &d), GR_OK);
    return gr_item(d);
}

START_TEST(derivatives_at_the_edges_of_domains)
{
    static const struct {
        gr_tensor *(*op)(gr_tensor *);
        double x, want;
    } cases[] = {
        {gr_sqrt, 0, INFINITY},      {gr_rsqrt, 0, -INFINITY},       {gr_rsqrt, INFINITY, 0},
        {gr_reciprocal, 0, -INFINITY}, {gr_log1p, -1, INFINITY},     {gr_asin, 1, INFINITY},
        {gr_asin, -1, INFINITY},     {gr_asin, 2, NAN},              {gr_acos, 1, -INFINITY},
        {gr_acosh, 1, INFINITY},     {gr_acosh, 0.5, NAN},           {gr_acosh, -2, NAN},
        {gr_atanh, 1, INFINITY},     {gr_atan, INFINITY, 0},         {gr_asinh, INFINITY, 0},
        {gr_erfc, INFINITY, 0},      {gr_expm1, -INFINITY, 0},       {gr_expm1, -40, 4.248354255291589e-18},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double got = slope_at(cases[i].op, cases[i].x), want = cases[i].want;
        bool alike = got == want || (isnan(got) && isnan(want)) || fabs(got - want) < 1e-15 * want;
        ck_assert_msg(alike, "case %d at %g: %g, expected %g", (int)i, cases[i].x, got, want);
    }
}
END_TEST

START_TEST(abs_and_sign_choose_zero_at_zero)
{
    const double x0[3] = {-2, 0, 3};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(3)), *d;
    const double *s = values(gr_sign(x));
    ck_assert(s[0] == -1 && s[1] == 0 && s[2] == 1);
    gr_grad(gr_abs(x), &x, 1, &d);
    const double *slope = values(d);
    ck_assert(slope[0] == -1 && slope[1] == 0 && slope[2] == 1);
}
END_TEST

START_TEST(no_gradient_flows_through_sign)
{
    const double x0[2] = {-2, 3};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2)), *d;
    ck_assert_int_eq(gr_grad(gr_mul(gr_sign(x), x), &x, 1, &d), GR_OK);
    ck_assert(values(d)[0] == -1 && values(d)[1] == 1);
}
END_TEST

static gr_branch branch_of(const char *name, gr_dtype dtype, const void *x, int64_t n)
{
    gr_shape shape = GR_SHAPE(n);
    int64_t stride = 1;
    gr_value in = {dtype, &shape, &stride, (void *)(uintptr_t)x};
    gr_exec e = {.op = gr_op_find(name), .in = &in, .n_in = 1};
    gr_branch b = {0, INFINITY};
    ck_assert_ptr_nonnull(e.op);
    e.op->branch(&e, &b);
    return b;
}

START_TEST(the_signature_tells_sides_and_distance)
{
    const double x[3] = {-2, 0.25, 3}, same[3] = {-1, 0.5, 9}, other[3] = {-2, -0.25, 3};
    const float narrow[3] = {-2, 0.25f, 3};
    static const char *const names[] = {"abs", "sign"};
    for (int i = 0; i < 2; i++) {
        gr_branch b = branch_of(names[i], GR_F64, x, 3);
        ck_assert_double_eq(b.gap, 0.25);
        ck_assert_uint_eq(b.hash, branch_of(names[i], GR_F64, same, 3).hash);
        ck_assert_uint_eq(b.hash, branch_of(names[i], GR_F32, narrow, 3).hash);
        ck_assert_uint_ne(b.hash, branch_of(names[i], GR_F64, other, 3).hash);
    }
}
END_TEST

/* --- layouts, sizes, threads, errors --- */

/* The same bits as from a contiguous input, whose values are tested above. */
START_TEST(strided_and_expanded_inputs)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        gr_tensor *x = make(GR_F64, points(&functions[i]), GR_SHAPE(2, 3));
        const double *y = values(functions[i].op(x));
        const double *turned = values(functions[i].op(gr_transpose(x, 0, 1)));
        gr_tensor *row = gr_slice(x, 1, 0, 3, 2); /* 0 2 | 3 5 */
        const double *sliced = values(functions[i].op(row));
        gr_tensor *one = gr_expand(gr_slice(x, 1, 1, 2, 1), GR_SHAPE(2, 4));
        const double *wide = values(functions[i].op(one));
        for (int j = 0; j < 6; j++) ck_assert_double_eq(turned[j], y[j % 2 * 3 + j / 2]);
        for (int j = 0; j < 4; j++) ck_assert_double_eq(sliced[j], y[j / 2 * 3 + j % 2 * 2]);
        for (int j = 0; j < 8; j++) ck_assert_double_eq(wide[j], y[j / 4 * 3 + 1]);
    }
}
END_TEST

START_TEST(scalars_and_nothing)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        const double at = points(&functions[i])[N / 2];
        gr_tensor *x = gr_scalar(g, GR_F64, at), *d;
        ck_assert_int_eq(gr_grad(functions[i].op(x), &x, 1, &d), GR_OK);
        ck_assert_double_eq_tol(gr_item(d), functions[i].dy(at), 2e-14);
        gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(0, 4));
        ck_assert_int_eq(gr_grad(functions[i].op(none), &none, 1, &d), GR_OK);
        ck_assert_int_eq(gr_numel(d), 0);
        ck_assert_ptr_null(gr_graph_error(g));
    }
}
END_TEST

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float x[LARGE], y[LARGE];
    int threads = gr_threads();
    for (int i = 0; i < LARGE; i++) x[i] = 0.001f + 4 * (float)i / LARGE;
    for (int i = 0; i < FUNCTIONS; i++) {
        gr_set_threads(1);
        memcpy(y, gr_data(functions[i].op(gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x))), sizeof y);
        gr_graph_reset(g);
        gr_set_threads(2);
        const void *again = gr_data(functions[i].op(gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x)));
        ck_assert_msg(memcmp(y, again, sizeof y) == 0, "%s", functions[i].name);
        gr_graph_reset(g);
    }
    gr_set_threads(threads);
}
END_TEST

START_TEST(integers_are_refused_by_name)
{
    const int64_t x[2] = {1, 2};
    for (int i = 0; i < FUNCTIONS; i++) {
        char want[64];
        snprintf(want, sizeof want, "%s: not defined for int64", functions[i].name);
        functions[i].op(gr_from_data(g, GR_I64, GR_SHAPE(2), x));
        const char *error = gr_graph_error(g);
        ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
        gr_graph_reset(g);
    }
}
END_TEST

SUITE("unary", setup, teardown, values_and_derivatives_agree_with_calculus,
      derivatives_of_any_order_agree_with_differences, float32_stays_within_three_ulp,
      nan_and_infinity_propagate, derivatives_at_the_edges_of_domains,
      abs_and_sign_choose_zero_at_zero, no_gradient_flows_through_sign,
      the_signature_tells_sides_and_distance, strided_and_expanded_inputs, scalars_and_nothing,
      the_same_bits_from_one_thread_and_two, integers_are_refused_by_name)
