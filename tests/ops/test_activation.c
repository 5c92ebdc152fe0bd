/* test_activation.c - activations against their formulas and published values. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { N = 12, LARGE = 200000 };

static double value_at(gr_tensor *(*op)(gr_tensor *), gr_dtype dtype, double x)
{
    return gr_item(op(gr_scalar(g, dtype, x)));
}

/* --- values and derivatives --- */

static gr_tensor *leaky(gr_tensor *x) { return gr_leaky_relu(x, 0.125); }
static gr_tensor *falling(gr_tensor *x) { return gr_leaky_relu(x, -0.5); }

static double relu(double x) { return x > 0 ? x : 0; }
static double relu_slope(double x) { return x > 0; }
static double leaky_value(double x) { return x > 0 ? x : 0.125 * x; }
static double leaky_slope(double x) { return x > 0 ? 1 : 0.125; }
static double falling_value(double x) { return x > 0 ? x : -0.5 * x; }
static double falling_slope(double x) { return x > 0 ? 1 : -0.5; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double sigmoid_slope(double x) { return exp(-x) / ((1 + exp(-x)) * (1 + exp(-x))); }
static double tanh_slope(double x) { return 1 / (cosh(x) * cosh(x)); }
static double softplus(double x) { return log(1 + exp(x)); }
static double gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2))); }
static double gelu_slope(double x)
{
    return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(8 * atan(1));
}

static const struct function {
    const char *name;
    gr_tensor *(*op)(gr_tensor *);
    double (*y)(double), (*dy)(double);
} functions[] = {
    {"relu", gr_relu, relu, relu_slope},
    {"leaky_relu", leaky, leaky_value, leaky_slope},
    {"leaky_relu falling", falling, falling_value, falling_slope},
    {"sigmoid", gr_sigmoid, sigmoid, sigmoid_slope},
    {"tanh", gr_tanh, tanh, tanh_slope},
    {"softplus", gr_softplus, softplus, sigmoid},
    {"gelu", gr_gelu, gelu, gelu_slope},
};

enum { FUNCTIONS = sizeof functions / sizeof *functions };

static const double points[N] = {-3.1, -2.2, -1.4, -0.9, -0.6, -0.05,
                                 0.04, 0.3,  0.7,  1.2,  2.5,  3.7};

static void check_function(const struct function *f, gr_dtype dtype, double tolerance)
{
    gr_tensor *x = make(dtype, points, GR_SHAPE(4, 3)), *d, *y = f->op(x);
    ck_assert_int_eq(gr_dtype_of(y), dtype);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const double *got = values(y), *slope = values(d);
    for (int i = 0; i < N; i++) {
        double want = f->y(points[i]), want_slope = f->dy(points[i]);
        ck_assert_msg(fabs(got[i] - want) <= tolerance, "%s(%g): %.9g, expected %.9g", f->name,
                      points[i], got[i], want);
        ck_assert_msg(fabs(slope[i] - want_slope) <= tolerance, "%s'(%g): %.9g, expected %.9g",
                      f->name, points[i], slope[i], want_slope);
    }
    gr_graph_reset(g);
}

START_TEST(values_and_derivatives_agree_with_calculus)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        check_function(&functions[i], GR_F64, 2e-15);
        check_function(&functions[i], GR_F32, 6e-7);
    }
}
END_TEST

START_TEST(derivatives_of_any_order_agree_with_differences)
{
    for (int i = 0; i < FUNCTIONS; i++)
        derivative_check(g, functions[i].name, functions[i].op, GR_SHAPE(N), points, 3);
}
END_TEST

START_TEST(gelu_has_its_published_values)
{
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F64, 1), 0.84134474606854293, 3e-16);
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F64, -1), -0.15865525393145707, 1e-16);
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F64, 2), 1.9544997361036416, 1e-15);
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F64, -6), -5.9195258702261676e-9, 1e-23);
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F32, 1), 0.84134474606854293, 1e-7);
    ck_assert_double_eq_tol(value_at(gr_gelu, GR_F32, -6), -5.9195258702261676e-9, 1e-13);
}
END_TEST

/* --- precision and special values --- */

START_TEST(large_arguments_neither_overflow_nor_vanish)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_dtype t = (gr_dtype)dtype;
        double close = t == GR_F32 ? 4e-7 : 1e-15;
        ck_assert_double_eq(value_at(gr_sigmoid, t, 1000), 1);
        ck_assert_double_eq(value_at(gr_sigmoid, t, -1000), 0);
        ck_assert_double_eq_tol(value_at(gr_sigmoid, t, -80) / exp(-80), 1, close);
        ck_assert_double_eq(value_at(gr_softplus, t, 1000), 1000);
        ck_assert_double_eq(value_at(gr_softplus, t, -1000), 0);
        ck_assert_double_eq_tol(value_at(gr_softplus, t, -80) / exp(-80), 1, close);
        ck_assert_double_eq(value_at(gr_tanh, t, 1000), 1);
        ck_assert_double_eq(value_at(gr_tanh, t, -1000), -1);
        ck_assert_double_eq_tol(value_at(gr_tanh, t, 1e-6) / tanh(1e-6), 1, close);
        ck_assert_double_eq(value_at(gr_gelu, t, 1000), 1000);
    }
}
END_TEST

START_TEST(nan_and_infinity_propagate)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_dtype t = (gr_dtype)dtype;
        for (int i = 0; i < FUNCTIONS; i++) {
            ck_assert_msg(isnan(value_at(functions[i].op, t, NAN)), "%s", functions[i].name);
            double top = functions[i].op == gr_sigmoid || functions[i].op == gr_tanh ? 1 : INFINITY;
            ck_assert_msg(value_at(functions[i].op, t, INFINITY) == top, "%s", functions[i].name);
        }
        ck_assert_double_eq(value_at(gr_relu, t, -INFINITY), 0);
        ck_assert_double_eq(value_at(gr_sigmoid, t, -INFINITY), 0);
        ck_assert_double_eq(value_at(gr_tanh, t, -INFINITY), -1);
        ck_assert_double_eq(value_at(gr_softplus, t, -INFINITY), 0);
    }
}
END_TEST

static double tanh_of(double x) { return tanh(x); }
static double softplus_of(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

START_TEST(float32_stays_within_three_ulp)
{
    static float x[LARGE];
    static const struct function checked[] = {
        {"sigmoid", gr_sigmoid, sigmoid, NULL},
        {"tanh", gr_tanh, tanh_of, NULL},
        {"softplus", gr_softplus, softplus_of, NULL},
    };
    for (int i = 0; i < LARGE; i++) /* all sizes from 1e-40 to 80, both signs */
        x[i] = (float)pow(10, -40 + 41.9 * i / LARGE) * (i % 2 ? -1 : 1);
    for (int k = 0; k < 3; k++) {
        const float *y = gr_data(checked[k].op(gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x)));
        ck_assert_ptr_nonnull(y);
        for (int i = 0; i < LARGE; i++) {
            double want = checked[k].y((double)x[i]);
            double unit = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want) - 23);
            ck_assert_msg(fabs((double)y[i] - want) < 3 * unit, "%s(%.9g): %.9g, expected %.9g",
                          checked[k].name, (double)x[i], (double)y[i], want);
        }
        gr_graph_reset(g);
    }
}
END_TEST

/* --- ties --- */

START_TEST(relu_has_the_slope_zero_at_zero)
{
    const double x0[3] = {0, -0.0, 1};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(3)), *d[2];
    gr_grad(gr_relu(x), &x, 1, &d[0]);
    gr_grad(gr_leaky_relu(x, 0.25), &x, 1, &d[1]);
    ck_assert(values(d[0])[0] == 0 && values(d[0])[1] == 0 && values(d[0])[2] == 1);
    ck_assert(values(d[1])[0] == 0.25 && values(d[1])[1] == 0.25 && values(d[1])[2] == 1);
}
END_TEST

START_TEST(a_closed_relu_stops_infinite_cotangents)
{
    const double x0[2] = {-1, 1}, dy0[2] = {INFINITY, INFINITY};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2)), *dy = make(GR_F64, dy0, GR_SHAPE(2)), *d;
    gr_tensor *y = gr_relu(x);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &d), GR_OK);
    ck_assert_double_eq(values(d)[0], 0);
    ck_assert_double_eq(values(d)[1], INFINITY);
}
END_TEST

static gr_branch branch_of(const char *name, double x)
{
    gr_shape shape = GR_SCALAR;
    gr_value in[2] = {{GR_F64, &shape, NULL, &x}, {GR_F64, &shape, NULL, &x}};
    gr_exec e = {.op = gr_op_find(name), .in = in, .n_in = 2};
    gr_branch b = {0, INFINITY};
    ck_assert_ptr_nonnull(e.op);
    e.op->branch(&e, &b);
    return b;
}

START_TEST(the_signature_tells_sides_and_distance)
{
    static const char *const names[] = {"relu", "leaky_relu", "gate"};
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq(branch_of(names[i], -0.5).gap, 0.5);
        ck_assert_uint_eq(branch_of(names[i], -0.5).hash, branch_of(names[i], -2).hash);
        ck_assert_uint_ne(branch_of(names[i], -0.5).hash, branch_of(names[i], 0.5).hash);
    }
}
END_TEST

/* --- layouts, sizes, threads, errors --- */

/* --- the backward of sigmoid and tanh, ops of their own --- */

static gr_tensor *apply(const char *name, gr_tensor *dy, gr_tensor *y)
{
    gr_tensor *in[2] = {dy, y};
    return gr_apply(NULL, gr_op_find(name), in, 2, NULL);
}

static gr_tensor *sigmoid_grad(gr_tensor *dy, gr_tensor *y) { return apply("sigmoid_grad", dy, y); }
static gr_tensor *tanh_grad(gr_tensor *dy, gr_tensor *y) { return apply("tanh_grad", dy, y); }
static double sigmoid_rule(double dy, double y) { return dy * y * (1 - y); }
static double tanh_rule(double dy, double y) { return dy * (1 - y * y); }

static const struct rule {
    const char *name;
    gr_tensor *(*op)(gr_tensor *dy, gr_tensor *y);
    double (*z)(double dy, double y);
} rules[] = {
    {"sigmoid_grad", sigmoid_grad, sigmoid_rule},
    {"tanh_grad", tanh_grad, tanh_rule},
};

/* dy [3,4] turned, y one row of every second element of eight. */
static void check_rule(const struct rule *r, gr_dtype dtype, double tolerance)
{
    gr_tensor *dy = gr_transpose(make(dtype, points, GR_SHAPE(4, 3)), 0, 1);
    gr_tensor *y = gr_slice(gr_tanh(make(dtype, points, GR_SHAPE(8))), 0, 0, 8, 2);
    const double *a = values(dy), *b = values(y), *z = values(r->op(dy, y));
    for (int i = 0; i < N; i++) {
        const double want = r->z(a[i], b[i % 4]);
        ck_assert_msg(fabs(z[i] - want) <= tolerance, "%s(%g, %g): expected %.12g, got %.12g",
                      r->name, a[i], b[i % 4], want, z[i]);
    }
    gr_tensor *none = r->op(gr_zeros(g, dtype, GR_SHAPE(0, 4)), gr_zeros(g, dtype, GR_SHAPE(4)));
    ck_assert_int_eq(gr_numel(none), 0);
    ck_assert_ptr_nonnull(gr_data(none));
    gr_graph_reset(g);
}

START_TEST(backward_rules_are_those_of_the_derivation)
{
    for (int i = 0; i < 2; i++) {
        check_rule(&rules[i], GR_F64, 1e-15);
        check_rule(&rules[i], GR_F32, 1e-6);
    }
}
END_TEST

/* Of both inputs at once: the cotangent x, the value tanh(x) / 2. */
static gr_tensor *sigmoid_grad_of(gr_tensor *x) { return sigmoid_grad(x, gr_scale(gr_tanh(x), 0.5)); }
static gr_tensor *tanh_grad_of(gr_tensor *x) { return tanh_grad(x, gr_scale(gr_tanh(x), 0.5)); }

START_TEST(backward_rules_can_be_differentiated_again)
{
    derivative_check(g, "sigmoid_grad", sigmoid_grad_of, GR_SHAPE(4, 3), points, 2);
    derivative_check(g, "tanh_grad", tanh_grad_of, GR_SHAPE(4, 3), points, 2);
}
END_TEST

START_TEST(infinite_cotangents_stay_infinite)
{
    for (int i = 0; i < 2; i++)
        for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
            gr_tensor *dy = gr_full(g, dtype, GR_SHAPE(5), -INFINITY);
            const double *z = values(rules[i].op(dy, gr_full(g, dtype, GR_SHAPE(5), 0.25)));
            for (int k = 0; k < 5; k++)
                ck_assert_msg(z[k] == -INFINITY, "%s: expected -inf, got %g", rules[i].name, z[k]);
        }
}
END_TEST

START_TEST(strided_inputs_and_cotangents)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        gr_tensor *x = make(GR_F64, points, GR_SHAPE(4, 3)), *d;
        gr_tensor *y = gr_transpose(functions[i].op(gr_transpose(x, 0, 1)), 0, 1);
        gr_grad(gr_slice(y, 1, 0, 3, 2), &x, 1, &d);
        const double *got = values(y), *slope = values(d);
        for (int j = 0; j < N; j++) {
            ck_assert_double_eq_tol(got[j], functions[i].y(points[j]), 1e-15);
            double want = j % 3 == 1 ? 0 : functions[i].dy(points[j]);
            ck_assert_double_eq_tol(slope[j], want, 1e-15);
        }
    }
}
END_TEST

START_TEST(scalars_and_nothing)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        gr_tensor *x = gr_scalar(g, GR_F64, 0.5), *d, *none = gr_zeros(g, GR_F32, GR_SHAPE(0, 4));
        ck_assert_int_eq(gr_grad(functions[i].op(x), &x, 1, &d), GR_OK);
        ck_assert_double_eq_tol(gr_item(d), functions[i].dy(0.5), 1e-15);
        ck_assert_int_eq(gr_grad(functions[i].op(none), &none, 1, &d), GR_OK);
        ck_assert_int_eq(gr_numel(d), 0);
    }
}
END_TEST

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float x[LARGE], y[LARGE];
    int threads = gr_threads();
    for (int i = 0; i < LARGE; i++) x[i] = -4 + 8 * (float)i / LARGE;
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
    gr_relu(gr_from_data(g, GR_I64, GR_SHAPE(2), x));
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, "relu: not defined for int64"), "%s", error);
}
END_TEST

SUITE("activation", setup, teardown, values_and_derivatives_agree_with_calculus,
      derivatives_of_any_order_agree_with_differences, gelu_has_its_published_values,
      large_arguments_neither_overflow_nor_vanish, nan_and_infinity_propagate,
      float32_stays_within_three_ulp, relu_has_the_slope_zero_at_zero,
      a_closed_relu_stops_infinite_cotangents, the_signature_tells_sides_and_distance,
      backward_rules_are_those_of_the_derivation, backward_rules_can_be_differentiated_again,
      infinite_cotangents_stay_infinite, strided_inputs_and_cotangents, scalars_and_nothing, the_same_bits_from_one_thread_and_two,
      integers_are_refused_by_name)
