/* test_arithmetic.c - arithmetic and choosing ops against loops in double. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { R = 3, C = 5 };

static gr_graph *g;
static double a0[R * C], b0[R * C];

static void setup(void)
{
    g = gr_graph_new();
    for (int i = 0; i < R * C; i++) {
        a0[i] = 0.3 + fmod(i * 0.37, 1.9);
        b0[i] = 1.7 - fmod(i * 0.53, 1.5);
    }
}

static void teardown(void)
{
    gr_graph_free(g);
}

static gr_tensor *make(gr_dtype dtype, const double *x, gr_shape shape)
{
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

static double value(gr_tensor *t, int64_t i)
{
    ck_assert_msg(gr_data(t) != NULL, "%s", gr_graph_error(g));
    gr_tensor *wide = gr_cast(t, GR_F64);
    return ((const double *)gr_data(wide))[i];
}

typedef struct binary {
    const char *name;
    gr_tensor *(*op)(gr_tensor *, gr_tensor *);
    double (*y)(double, double), (*da)(double, double), (*db)(double, double);
} binary;

static double add(double a, double b) { return a + b; }
static double sub(double a, double b) { return a - b; }
static double mul(double a, double b) { return a * b; }
static double quotient(double a, double b) { return a / b; }
static double one(double a, double b) { return (void)a, (void)b, 1; }
static double minus_one(double a, double b) { return (void)a, (void)b, -1; }
static double first(double a, double b) { return (void)b, a; }
static double second(double a, double b) { return (void)a, b; }
static double div_a(double a, double b) { return (void)a, 1 / b; }
static double div_b(double a, double b) { return -a / (b * b); }
static double pow_a(double a, double b) { return b * pow(a, b - 1); }
static double pow_b(double a, double b) { return pow(a, b) * log(a); }
static double max_a(double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; }
static double max_b(double a, double b) { return b > a ? 1 : a == b ? 0.5 : 0; }
static double min_a(double a, double b) { return a < b ? 1 : a == b ? 0.5 : 0; }
static double min_b(double a, double b) { return b < a ? 1 : a == b ? 0.5 : 0; }

static const binary binaries[] = {
    {"add", gr_add, add, one, one},        {"sub", gr_sub, sub, one, minus_one},
    {"mul", gr_mul, mul, second, first},   {"div", gr_div, quotient, div_a, div_b},
    {"pow", gr_pow, pow, pow_a, pow_b},    {"maximum", gr_maximum, fmax, max_a, max_b},
    {"minimum", gr_minimum, fmin, min_a, min_b},
};

static void check_binary(const binary *f, gr_dtype dtype, double tolerance)
{
    a0[4] = b0[4]; /* a tie */
    gr_tensor *a = make(dtype, a0, GR_SHAPE(R, C)), *b = make(dtype, b0, GR_SHAPE(R, C));
    gr_tensor *in[2] = {a, b}, *d[2], *y = f->op(a, b);
    ck_assert_int_eq(gr_grad(y, in, 2, d), GR_OK);
    for (int i = 0; i < R * C; i++) {
        ck_assert_msg(fabs(value(y, i) - f->y(a0[i], b0[i])) < tolerance, "%s[%d]", f->name, i);
        ck_assert_msg(fabs(value(d[0], i) - f->da(a0[i], b0[i])) < tolerance, "%s da[%d]", f->name, i);
        ck_assert_msg(fabs(value(d[1], i) - f->db(a0[i], b0[i])) < tolerance, "%s db[%d]", f->name, i);
    }
}

START_TEST(values_and_derivatives_agree_with_calculus)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++) {
        check_binary(&binaries[i], GR_F64, 1e-13);
        gr_graph_reset(g);
        check_binary(&binaries[i], GR_F32, 2e-5);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(a_broadcast_row_meets_a_strided_matrix)
{
    for (size_t k = 0; k < sizeof binaries / sizeof *binaries; k++) {
        gr_tensor *a = gr_transpose(make(GR_F64, a0, GR_SHAPE(C, R)), 0, 1);
        gr_tensor *b = gr_slice(make(GR_F64, b0, GR_SHAPE(2 * C)), 0, 1, 2 * C, 2), *d;
        gr_tensor *y = binaries[k].op(a, b);
        gr_grad(y, &b, 1, &d);
        for (int j = 0; j < C; j++) {
            double sum = 0, right = b0[1 + 2 * j];
            for (int i = 0; i < R; i++) {
                double left = a0[j * R + i];
                ck_assert_double_eq_tol(value(y, i * C + j), binaries[k].y(left, right), 1e-13);
                sum += binaries[k].db(left, right);
            }
            ck_assert_double_eq_tol(value(d, j), sum, 1e-12);
        }
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(power_is_right_at_zero)
{
    const double a[4] = {0, 0, 0, 2}, b[4] = {0, 2, 1, 0};
    gr_tensor *x = make(GR_F64, a, GR_SHAPE(4)), *p = make(GR_F64, b, GR_SHAPE(4));
    gr_tensor *in[2] = {x, p}, *d[2], *y = gr_pow(x, p);
    gr_grad(y, in, 2, d);
    const double want[4] = {1, 0, 0, 1}, da[4] = {0, 0, 1, 0};
    for (int i = 0; i < 4; i++) {
        ck_assert_double_eq(value(y, i), want[i]);
        ck_assert_double_eq(value(d[0], i), da[i]);
    }
    ck_assert_double_eq(value(d[1], 1), 0);
    ck_assert_double_eq_tol(value(d[1], 3), log(2), 1e-15);
}
END_TEST

START_TEST(nan_and_infinity_go_through)
{
    const double a[3] = {NAN, INFINITY, 1}, b[3] = {1, 0, NAN};
    gr_tensor *x = make(GR_F64, a, GR_SHAPE(3)), *y = make(GR_F64, b, GR_SHAPE(3));
    ck_assert_double_nan(value(gr_maximum(x, y), 0));
    ck_assert_double_nan(value(gr_maximum(x, y), 2));
    ck_assert_double_nan(value(gr_minimum(x, y), 2));
    ck_assert_double_nan(value(gr_mul(x, y), 1));
    ck_assert_double_infinite(value(gr_div(x, y), 1));
    ck_assert_double_eq(value(gr_equal(x, x), 0), 0);
}
END_TEST

START_TEST(comparisons_give_truth_for_every_dtype)
{
    const double a[3] = {1, 2, 3}, b[3] = {2, 2, 2};
    gr_tensor *(*const ops[6])(gr_tensor *, gr_tensor *) = {
        gr_equal, gr_not_equal, gr_less, gr_less_equal, gr_greater, gr_greater_equal};
    const int truth[6][3] = {{0, 1, 0}, {1, 0, 1}, {1, 0, 0}, {1, 1, 0}, {0, 0, 1}, {0, 1, 1}};
    for (int dtype = GR_F32; dtype <= GR_U8; dtype++)
        for (int k = 0; k < 6; k++) {
            gr_tensor *t = ops[k](make((gr_dtype)dtype, a, GR_SHAPE(3)), make((gr_dtype)dtype, b, GR_SHAPE(3)));
            ck_assert_int_eq(gr_dtype_of(t), GR_BOOL);
            for (int i = 0; i < 3; i++) ck_assert_double_eq(value(t, i), truth[k][i]);
        }
}
END_TEST

START_TEST(where_chooses_and_its_gradient_follows)
{
    gr_tensor *a = make(GR_F64, a0, GR_SHAPE(R, C)), *b = gr_scalar(g, GR_F64, -1);
    gr_tensor *c = gr_greater(a, gr_scalar(g, GR_F64, 1)), *y = gr_where(c, a, b), *in[2] = {a, b}, *d[2];
    gr_grad(y, in, 2, d);
    double others = 0;
    for (int i = 0; i < R * C; i++) {
        ck_assert_double_eq(value(y, i), a0[i] > 1 ? a0[i] : -1);
        ck_assert_double_eq(value(d[0], i), a0[i] > 1);
        others += a0[i] <= 1;
    }
    ck_assert_double_eq(gr_item(d[1]), others);
}
END_TEST

START_TEST(casts_cut_to_the_range)
{
    const double x[6] = {-3.7, 300.2, NAN, 1e300, -1e300, 0.5};
    gr_tensor *t = make(GR_F64, x, GR_SHAPE(6));
    const int64_t *i = gr_data(gr_cast(t, GR_I64));
    const uint8_t *u = gr_data(gr_cast(t, GR_U8)), *b = gr_data(gr_cast(t, GR_BOOL));
    ck_assert_int_eq(i[0], -3);
    ck_assert_int_eq(i[2], 0);
    ck_assert(i[3] == INT64_MAX && i[4] == INT64_MIN);
    ck_assert(u[0] == 0 && u[1] == 255 && u[2] == 0 && u[5] == 0);
    ck_assert(b[0] == 1 && b[2] == 1 && b[5] == 1);
}
END_TEST

START_TEST(integers_are_negated_and_wrap)
{
    const int64_t x[3] = {7, -2, INT64_MIN};
    const int64_t *y = gr_data(gr_neg(gr_from_data(g, GR_I64, GR_SHAPE(3), x)));
    ck_assert(y && y[0] == -7 && y[1] == 2 && y[2] == INT64_MIN);
}
END_TEST

START_TEST(a_cast_between_floats_passes_the_gradient)
{
    gr_tensor *x = make(GR_F64, a0, GR_SHAPE(R, C)), *d;
    gr_grad(gr_square(gr_cast(x, GR_F32)), &x, 1, &d);
    ck_assert_int_eq(gr_dtype_of(d), GR_F64);
    for (int i = 0; i < R * C; i++) ck_assert_double_eq_tol(value(d, i), 2 * a0[i], 1e-6);
}
END_TEST

/* Large enough for several threads and several tiles. */
START_TEST(large_results_do_not_depend_on_the_number_of_threads)
{
    enum { N = 200003 };
    static float x[N], y[2][N];
    for (int i = 0; i < N; i++) x[i] = (float)sin(i);
    for (int threads = 1; threads <= 2; threads++) {
        gr_set_threads(threads);
        gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(N), x);
        memcpy(y[threads - 1], gr_data(gr_mul(gr_add(t, gr_scale(t, 0.3)), gr_full(g, GR_F32, GR_SHAPE(1), 1.1))), sizeof x);
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(y[0], y[1], sizeof x);
    for (int i = 0; i < N; i++) ck_assert_float_eq_tol(y[0][i], (float)(sin(i) * 1.3 * 1.1), 1e-5f);
}
END_TEST

SUITE("arithmetic", setup, teardown, values_and_derivatives_agree_with_calculus,
      a_broadcast_row_meets_a_strided_matrix, power_is_right_at_zero, nan_and_infinity_go_through,
      comparisons_give_truth_for_every_dtype, where_chooses_and_its_gradient_follows,
      integers_are_negated_and_wrap, casts_cut_to_the_range, a_cast_between_floats_passes_the_gradient,
      large_results_do_not_depend_on_the_number_of_threads)
