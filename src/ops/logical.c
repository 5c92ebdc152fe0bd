/* logical.c - truth values: what kind of number, and, or, not. */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"

#include <math.h>

/* Truth values of x. */
#define TEST(NAME, T, suffix, expr)                                                                \
    GR__CLONES static void NAME##_##suffix(const gr_tile *t)                                       \
    {                                                                                              \
        const T *restrict px = t->x[0];                                                            \
        uint8_t *restrict py = t->y;                                                               \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T x = px[i];                                                                     \
            py[i] = (expr) ? 1 : 0;                                                                \
        }                                                                                          \
    }

static bool truth_infer(gr_infer *c)
{
    c->dtype[0] = GR_BOOL;
    return true;
}

/* --- kinds of numbers --- */

static const gr_sample number_samples[] = SMOOTH(-1, 1);

/* One test of floats: its tiles and its op. */
#define KIND(NAME, expr, FORMULA)                                                                  \
    TEST(NAME, float, f32, expr)                                                                   \
    TEST(NAME, double, f64, expr)                                                                  \
    static const gr_op NAME##_op = {                                                               \
        .name = #NAME,                                                                             \
        .family = "logical",                                                                       \
        .formula = FORMULA,                                                                        \
        .derivation = "a truth value does not move with x: no gradient",                           \
        .n_in = 1,                                                                                 \
        .flags = GR_OP_CONSTANT,                                                                   \
        .infer = truth_infer,                                                                      \
        .tile = GR__TILES(NAME),                                                                   \
        .samples = number_samples,                                                                 \
    };

KIND(isnan, x != x, "y = [x is not a number]")
KIND(isinf, fabs(x) == INFINITY, "y = [x is Inf or -Inf]")
KIND(isfinite, fabs(x) < INFINITY, "y = [x is neither Inf nor NaN]")

gr_tensor *gr_isnan(gr_tensor *x)
{
    return gr__unary(&isnan_op, x, NULL, GR_HERE);
}

gr_tensor *gr_isinf(gr_tensor *x)
{
    return gr__unary(&isinf_op, x, NULL, GR_HERE);
}

gr_tensor *gr_isfinite(gr_tensor *x)
{
    return gr__unary(&isfinite_op, x, NULL, GR_HERE);
}

/* --- and, or, exclusive or, not --- */

#define TRUTHS {.shape = {2, {3, 4}}, .boolean = true}
#define TRUTH_ROW {.shape = {1, {4}}, .boolean = true}
#define NO_TRUTHS {.shape = {2, {0, 4}}, .boolean = true}

static const gr_sample pair_samples[] = {
    {.name = "matrix", .in = {TRUTHS, TRUTHS}, .n_in = 2},
    {.name = "row broadcast", .in = {TRUTHS, TRUTH_ROW}, .n_in = 2},
    {.name = "empty", .in = {NO_TRUTHS, TRUTH_ROW}, .n_in = 2},
    {.name = "floats", .in = {M34, M34}, .n_in = 2, .error = "not defined for float64"},
    {.name = "mixed", .in = {TRUTHS, WHOLE}, .n_in = 2, .error = "cannot mix"},
    {0},
};

static const gr_sample not_samples[] = {
    {.name = "matrix", .in = {TRUTHS}, .n_in = 1},
    {.name = "scalar", .in = {{.boolean = true}}, .n_in = 1},
    {.name = "empty", .in = {NO_TRUTHS}, .n_in = 1},
    {.name = "floats", .in = {M34}, .n_in = 1, .error = "not defined for float64"},
    {0},
};

/* One function of two truth values: its tile and its op. */
#define LOGICAL(NAME, expr, FORMULA)                                                               \
    GR__TILE2(NAME, uint8_t, uint8_t, u8, expr)                                                    \
    static const gr_op NAME##_op = {                                                               \
        .name = #NAME,                                                                             \
        .family = "logical",                                                                       \
        .formula = FORMULA,                                                                        \
        .derivation = "a truth value: no gradient",                                                \
        .n_in = 2,                                                                                 \
        .flags = GR_OP_CONSTANT,                                                                   \
        .tile = {[GR_BOOL] = NAME##_u8},                                                           \
        .samples = pair_samples,                                                                   \
    };

LOGICAL(logical_and, a &b, "y = a and b")
LOGICAL(logical_or, a | b, "y = a or b")
LOGICAL(logical_xor, a ^ b, "y = [a != b]")
TEST(logical_not, uint8_t, u8, !x)

static const gr_op logical_not_op = {
    .name = "logical_not",
    .family = "logical",
    .formula = "y = not x",
    .derivation = "a truth value: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = {[GR_BOOL] = logical_not_u8},
    .samples = not_samples,
};

/* All four take and give bool; other dtypes become truth values by gr_cast. */
gr_tensor *gr_logical_and(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&logical_and_op, a, b, GR_HERE);
}

gr_tensor *gr_logical_or(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&logical_or_op, a, b, GR_HERE);
}

gr_tensor *gr_logical_xor(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&logical_xor_op, a, b, GR_HERE);
}

gr_tensor *gr_logical_not(gr_tensor *x)
{
    return gr__unary(&logical_not_op, x, NULL, GR_HERE);
}

const gr_op *const gr__logical_ops[] = {
    &isnan_op,      &isinf_op,       &isfinite_op,    &logical_and_op,
    &logical_or_op, &logical_xor_op, &logical_not_op, NULL,
};
