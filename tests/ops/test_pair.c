/* test_pair.c - functions of two and three variables, rounding and logic, element by element. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { N = 8 };

/* --- two variables --- */

static double logaddexp(double a, double b)
{
    return log(exp(a) + exp(b));
}
static double logaddexp2(double a, double b)
{
    return log2(exp2(a) + exp2(b));
}
static double xlogy(double a, double b)
{
    return a * log(b);
}
static double squared(double a, double b)
{
    return (a - b) * (a - b);
}
static double remainder_of(double a, double b)
{
    return a - b * floor(a / b);
}

static const struct pair {
    const char *name;
    gr_tensor *(*op)(gr_tensor *, gr_tensor *);
    double (*y)(double, double);
    bool positive; /* b > 0 */
} pairs[] = {
    {"atan2", gr_atan2, atan2, false},
    {"hypot", gr_hypot, hypot, false},
    {"logaddexp", gr_logaddexp, logaddexp, false},
    {"logaddexp2", gr_logaddexp2, logaddexp2, false},
    {"xlogy", gr_xlogy, xlogy, true},
    {"squared_difference", gr_squared_difference, squared, false},
    {"copysign", gr_copysign, copysign, false},
    {"remainder", gr_remainder, remainder_of, false},
    {"fmod", gr_fmod, fmod, false},
};

enum { PAIRS = sizeof pairs / sizeof *pairs };

static const double first[N] = {-3.5, -1.25, -0.375, 0.75, 1.5, 2.625, 4.25, -2.5};
static const double second[N] = {1.125, -2.25, 0.8125, -0.5625, 1.0625, 3.5, -1.75, 0.4375};

static double second_at(const struct pair *f, int i)
{
    return f->positive ? fabs(second[i]) : second[i];
}

static void check_pair(const struct pair *f, gr_dtype dtype, double tolerance, double slopes)
{
    const double h = 1e-6;
    double b0[N];
    for (int i = 0; i < N; i++) b0[i] = second_at(f, i);
    gr_tensor *in[2] = {make(dtype, first, GR_SHAPE(N)), make(dtype, b0, GR_SHAPE(N))}, *d[2];
    gr_tensor *y = f->op(in[0], in[1]);
    ck_assert_int_eq(gr_grad(y, in, 2, d), GR_OK);
    for (int i = 0; i < N; i++) {
        const double a = first[i], b = b0[i], want = f->y(a, b);
        const double da = (f->y(a + h, b) - f->y(a - h, b)) / (2 * h);
        const double db = (f->y(a, b + h) - f->y(a, b - h)) / (2 * h);
        ck_assert_msg(fabs(values(y)[i] - want) <= tolerance * (1 + fabs(want)),
                      "%s(%g, %g): %.17g, expected %.17g", f->name, a, b, values(y)[i], want);
        ck_assert_msg(fabs(values(d[0])[i] - da) <= slopes * (1 + fabs(da)), "%s in a: %g, not %g",
                      f->name, values(d[0])[i], da);
        ck_assert_msg(fabs(values(d[1])[i] - db) <= slopes * (1 + fabs(db)), "%s in b: %g, not %g",
                      f->name, values(d[1])[i], db);
    }
    gr_graph_reset(g);
}

START_TEST(values_and_derivatives_agree_with_calculus)
{
    for (int i = 0; i < PAIRS; i++) {
        check_pair(&pairs[i], GR_F64, 1e-15, 1e-8);
        check_pair(&pairs[i], GR_F32, 5e-7, 2e-6);
    }
}
END_TEST

START_TEST(broadcasting_stretches_both)
{
    for (int k = 0; k < PAIRS; k++) {
        gr_tensor *a = make(GR_F64, first, GR_SHAPE(4, 1)), *y;
        gr_tensor *b = gr_abs(make(GR_F64, second, GR_SHAPE(3)));
        y = pairs[k].op(a, b);
        ck_assert(gr_shape_of(y)->dim[0] == 4 && gr_shape_of(y)->dim[1] == 3);
        for (int i = 0; i < 12; i++)
            ck_assert_double_eq_tol(values(y)[i], pairs[k].y(first[i / 3], fabs(second[i % 3])),
                                    1e-14);
        gr_graph_reset(g);
    }
}
END_TEST

/* Whether the op gives y, da and db at (a, b), NaN equal to NaN, in both dtypes. */
static bool alike(double got, double want)
{
    return (isnan(got) && isnan(want)) || got == want || fabs(got - want) < 1e-6 * fabs(want);
}

START_TEST(edges_and_ties)
{
    const double inf = INFINITY;
    const struct {
        gr_tensor *(*op)(gr_tensor *, gr_tensor *);
        double a, b, y, da, db;
    } cases[] = {
        /* where PyTorch 1.13 gives NaN gradients: the origin, equal infinities */
        {gr_atan2, 0, 0, 0, 0, 0},
        {gr_hypot, 0, 0, 0, 0, 0},
        {gr_logaddexp, -inf, -inf, -inf, 0.5, 0.5},
        {gr_logaddexp, inf, inf, inf, 0.5, 0.5},
        {gr_logaddexp2, -inf, -inf, -inf, 0.5, 0.5},
        {gr_xlogy, 0, 0, 0, 0, 0},
        /* as PyTorch 1.13 */
        {gr_atan2, 1, 0, 1.5707963267948966, 0, -1},
        {gr_atan2, -0.0, -1, -3.1415926535897931, -1, 0},
        {gr_logaddexp, -inf, 2, 2, 0, 1},
        {gr_logaddexp, 1, 1, 1.6931471805599453, 0.5, 0.5},
        {gr_logaddexp, 1000, 0, 1000, 1, 0},
        {gr_logaddexp2, 1, 1, 2, 0.5, 0.5},
        {gr_xlogy, 0, -1, 0, 0, 0},
        {gr_xlogy, 0, 2, 0, 0.69314718055994531, 0},
        {gr_xlogy, 1, 0, -inf, -inf, inf},
        {gr_xlogy, 0, NAN, NAN, NAN, NAN},
        {gr_copysign, 0, -1, 0, 0, 0},
        {gr_copysign, 2, -0.0, -2, -1, 0},
        {gr_copysign, -3, 0, 3, -1, 0},
        {gr_copysign, inf, -1, -inf, -1, 0},
        {gr_remainder, 5, 3, 2, 1, -1},
        {gr_remainder, -5, 3, 1, 1, 2},
        {gr_remainder, 5, -3, -1, 1, 2},
        {gr_remainder, 6, 3, 0, 1, -2},
        {gr_remainder, -1, inf, inf, 1, NAN},
        {gr_fmod, 5, -3, 2, 1, 1},
        {gr_fmod, -5, 3, -2, 1, 1},
        {gr_fmod, 6, 3, 0, 1, -2},
        {gr_fmod, -1, inf, -1, 1, 0},
        {gr_hypot, 3e-30, 4e-30, 5e-30, 0.6, 0.8},
        {gr_hypot, 3e30, 4e30, 5e30, 0.6, 0.8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int t = GR_F32; t <= GR_F64; t++) {
            gr_tensor *in[2], *d[2];
            in[0] = gr_scalar(g, (gr_dtype)t, cases[i].a);
            in[1] = gr_scalar(g, (gr_dtype)t, cases[i].b);
            gr_tensor *y = cases[i].op(in[0], in[1]);
            ck_assert_int_eq(gr_grad(y, in, 2, d), GR_OK);
            ck_assert_msg(alike(gr_item(y), cases[i].y) && alike(gr_item(d[0]), cases[i].da) &&
                              alike(gr_item(d[1]), cases[i].db),
                          "case %d, %s: %g with %g, %g, expected %g with %g, %g", (int)i,
                          gr_dtype_name((gr_dtype)t), gr_item(y), gr_item(d[0]), gr_item(d[1]),
                          cases[i].y, cases[i].da, cases[i].db);
        }
}
END_TEST

START_TEST(division_by_zero_leaves_nan)
{
    gr_tensor *a = gr_scalar(g, GR_F64, 3), *zero = gr_scalar(g, GR_F64, 0);
    ck_assert(isnan(gr_item(gr_remainder(a, zero))) && isnan(gr_item(gr_fmod(a, zero))));
    gr_tensor *nan = gr_scalar(g, GR_F32, NAN), *inf = gr_scalar(g, GR_F32, INFINITY);
    ck_assert(gr_item(gr_hypot(inf, nan)) == INFINITY && gr_item(gr_hypot(nan, inf)) == INFINITY);
    for (int k = 0; k < PAIRS; k++) {
        gr_tensor *one = gr_scalar(g, GR_F32, 1);
        ck_assert_msg(isnan(gr_item(pairs[k].op(nan, one))), "%s", pairs[k].name);
    }
}
END_TEST

/* --- three variables --- */

START_TEST(blends_of_three)
{
    double w0[N], da[N];
    for (int i = 0; i < N; i++) w0[i] = 0.25 * i - 0.5;
    gr_tensor *in[3] = {make(GR_F64, first, GR_SHAPE(N)), make(GR_F64, second, GR_SHAPE(N)),
                        make(GR_F64, w0, GR_SHAPE(N))};
    gr_tensor *lerp = gr_lerp(in[0], in[1], in[2]), *d[3];
    gr_tensor *product = gr_addcmul(in[2], in[0], in[1], -1.5);
    gr_tensor *quotient = gr_addcdiv(in[2], in[0], in[1], 2);
    ck_assert_int_eq(gr_grad(lerp, in, 3, d), GR_OK);
    for (int i = 0; i < N; i++) {
        const double a = first[i], b = second[i], w = w0[i];
        da[i] = values(d[0])[i];
        ck_assert_double_eq_tol(values(lerp)[i], a + w * (b - a), 1e-14);
        ck_assert_double_eq_tol(values(product)[i], w - 1.5 * a * b, 1e-14);
        ck_assert_double_eq_tol(values(quotient)[i], w + 2 * a / b, 1e-14);
        ck_assert(da[i] == 1 - w && values(d[1])[i] == w && values(d[2])[i] == b - a);
    }
    ck_assert_double_eq(values(lerp)[6], second[6]); /* w = 1 is exact */
    ck_assert_int_eq(gr_grad(quotient, in, 3, d), GR_OK);
    for (int i = 0; i < N; i++) {
        const double a = first[i], b = second[i];
        ck_assert_double_eq_tol(values(d[0])[i], 2 / b, 1e-14);
        ck_assert_double_eq_tol(values(d[1])[i], -2 * a / (b * b), 1e-13);
        ck_assert_double_eq(values(d[2])[i], 1);
    }
}
END_TEST

/* --- rounding --- */

START_TEST(rounding_to_integers)
{
    static const double x[N] = {-2.5, -1.5, -0.4, 0.5, 1.5, 2.5, 3.6, -7};
    static const struct {
        gr_tensor *(*op)(gr_tensor *);
        double y[N];
    } ways[] = {
        {gr_floor, {-3, -2, -1, 0, 1, 2, 3, -7}},
        {gr_ceil, {-2, -1, 0, 1, 2, 3, 4, -7}},
        {gr_round, {-2, -2, 0, 0, 2, 2, 4, -7}},
        {gr_trunc, {-2, -1, 0, 0, 1, 2, 3, -7}},
    };
    for (int t = GR_F32; t <= GR_F64; t++)
        for (int k = 0; k < 4; k++) {
            gr_tensor *in = make((gr_dtype)t, x, GR_SHAPE(N)), *y = ways[k].op(in), *d;
            for (int i = 0; i < N; i++) ck_assert_double_eq(values(y)[i], ways[k].y[i]);
            ck_assert_int_eq(gr_grad(gr_mul(y, in), &in, 1, &d), GR_OK);
            for (int i = 0; i < N; i++) ck_assert_double_eq(values(d)[i], ways[k].y[i]);
            gr_tensor *inf = gr_scalar(g, (gr_dtype)t, -INFINITY);
            ck_assert(gr_item(ways[k].op(inf)) == -INFINITY);
            ck_assert(isnan(gr_item(ways[k].op(gr_scalar(g, (gr_dtype)t, NAN)))));
        }
}
END_TEST

static gr_branch branch_of(const char *name, double a, double b)
{
    gr_shape shape = GR_SCALAR;
    double y = hypot(a, b);
    gr_value in[2] = {{GR_F64, &shape, NULL, &a}, {GR_F64, &shape, NULL, &b}};
    gr_value out = {GR_F64, &shape, NULL, &y};
    gr_exec e = {.op = gr_op_find(name), .in = in, .out = &out, .n_in = 2, .n_out = 1};
    gr_branch branch = {0, INFINITY};
    ck_assert_ptr_nonnull(e.op);
    e.op->branch(&e, &branch);
    return branch;
}

START_TEST(the_signature_tells_sides_and_distance)
{
    ck_assert_double_eq(branch_of("floor", 1.75, 0).gap, 0.25);
    ck_assert_double_eq(branch_of("round", 1.75, 0).gap, 0.25);
    ck_assert_double_eq(branch_of("remainder", 5, 2).gap, 1);
    ck_assert_double_eq(branch_of("atan2", 0.5, -3).gap, 0.5);
    ck_assert_double_eq(branch_of("atan2", 4, 3).gap, 5);
    ck_assert_double_eq(branch_of("hypot", 3, 4).gap, 5);
    ck_assert_uint_eq(branch_of("floor", 1.75, 0).hash, branch_of("floor", 1.25, 0).hash);
    ck_assert_uint_ne(branch_of("round", 1.75, 0).hash, branch_of("round", 1.25, 0).hash);
    ck_assert_uint_ne(branch_of("remainder", 5, 2).hash, branch_of("remainder", 3, 2).hash);
    ck_assert_uint_ne(branch_of("atan2", 1, -3).hash, branch_of("atan2", -1, -3).hash);
    ck_assert_uint_eq(branch_of("atan2", 1, 3).hash, branch_of("atan2", -1, 3).hash);
}
END_TEST

/* --- truth values --- */

static const uint8_t *truths(gr_tensor *t)
{
    ck_assert_int_eq(gr_dtype_of(t), GR_BOOL);
    const uint8_t *data = gr_data(t);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    return data;
}

START_TEST(truth_tables)
{
    const uint8_t a0[4] = {0, 0, 1, 1}, b0[4] = {0, 1, 0, 1};
    gr_tensor *a = gr_from_data(g, GR_BOOL, GR_SHAPE(4), a0);
    gr_tensor *b = gr_from_data(g, GR_BOOL, GR_SHAPE(4), b0);
    const uint8_t *both = truths(gr_logical_and(a, b)), *any = truths(gr_logical_or(a, b));
    const uint8_t *one = truths(gr_logical_xor(a, b)), *no = truths(gr_logical_not(a));
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(both[i], a0[i] && b0[i]);
        ck_assert_int_eq(any[i], a0[i] || b0[i]);
        ck_assert_int_eq(one[i], a0[i] != b0[i]);
        ck_assert_int_eq(no[i], !a0[i]);
    }
    gr_tensor *column = gr_reshape(a, (gr_shape){2, {4, 1}});
    const uint8_t *outer = truths(gr_logical_and(column, b));
    for (int i = 0; i < 16; i++) ck_assert_int_eq(outer[i], a0[i / 4] && b0[i % 4]);
}
END_TEST

START_TEST(kinds_of_numbers)
{
    const double x0[5] = {NAN, INFINITY, -INFINITY, 0, 3e38};
    for (int t = GR_F32; t <= GR_F64; t++) {
        gr_tensor *x = make((gr_dtype)t, x0, GR_SHAPE(5));
        const uint8_t *nan = truths(gr_isnan(x)), *inf = truths(gr_isinf(x));
        const uint8_t *finite = truths(gr_isfinite(x));
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(nan[i], i == 0);
            ck_assert_int_eq(inf[i], i == 1 || i == 2);
            ck_assert_int_eq(finite[i], i > 2);
        }
    }
}
END_TEST

START_TEST(logic_of_floats_is_refused)
{
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(2));
    gr_logical_and(x, x);
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, "logical_and: not defined for float32"), "%s", error);
}
END_TEST

SUITE("pair", setup, teardown, values_and_derivatives_agree_with_calculus,
      broadcasting_stretches_both, edges_and_ties, division_by_zero_leaves_nan, blends_of_three,
      rounding_to_integers, the_signature_tells_sides_and_distance, truth_tables, kinds_of_numbers,
      logic_of_floats_is_refused)
