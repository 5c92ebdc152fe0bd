/* rounding.c - integers nearby, and what division leaves.
 *
 *   floor, ceil, round, trunc    dx = 0 wherever y does not jump
 *   y = a - b floor(a / b)       da = dy    db = -dy floor(a / b)
 *   y = a - b trunc(a / b)       da = dy    db = -dy trunc(a / b)
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kink.h"

#include <tgmath.h>

/* Between which integers q lies, or on which; the distance to the nearest in units of `unit`. */
static void add_integer(gr_branch *b, double q, double unit)
{
    const bool known = fabs(q) < 0x1p52;
    const int64_t below = known ? (int64_t)floor(q) : 0;
    const double gap = known ? fabs(q - nearbyint(q)) * fabs(unit) : INFINITY;
    gr_branch_add(b, 2 * (uint64_t)below + (q == floor(q)), gap);
}

/* --- floor, ceil, round, trunc --- */

static void integer_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        add_integer(b, gr__element(&e->in[0], i), 1);
}

static void half_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        add_integer(b, gr__element(&e->in[0], i) + 0.5, 1);
}

static const gr_sample step_samples[] = {
    MATRIX("between integers", 0.1, 0.4, NULL),
    MATRIX("wide", -4, 4, NULL),
    SCALAR(-0.9, -0.6, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

GR__UNARY(floor, floor(x))

static const gr_op floor_op = {
    .name = "floor",
    .family = "rounding",
    .formula = "y = the largest integer <= x",
    .derivation = "y does not move with x, save for its jumps: dx = 0",
    .ties = "x an integer, where y jumps: the derivative is 0 as everywhere (PyTorch's choice)",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = GR__TILES(floor),
    .branch = integer_branch,
    .samples = step_samples,
};

/* The largest integer not above x; no gradient flows. */
gr_tensor *gr_floor(gr_tensor *x)
{
    return gr__unary(&floor_op, x, NULL, GR_HERE);
}

GR__UNARY(ceil, ceil(x))

static const gr_op ceil_op = {
    .name = "ceil",
    .family = "rounding",
    .formula = "y = the least integer >= x",
    .derivation = "y does not move with x, save for its jumps: dx = 0",
    .ties = "x an integer, where y jumps: the derivative is 0 as everywhere (PyTorch's choice)",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = GR__TILES(ceil),
    .branch = integer_branch,
    .samples = step_samples,
};

/* The least integer not below x; no gradient flows. */
gr_tensor *gr_ceil(gr_tensor *x)
{
    return gr__unary(&ceil_op, x, NULL, GR_HERE);
}

GR__UNARY(round, rint(x))

static const gr_op round_op = {
    .name = "round",
    .family = "rounding",
    .formula = "y = the integer nearest to x, the even one of two",
    .derivation = "y does not move with x, save for its jumps: dx = 0",
    .ties = "x halfway between integers: y is the even one; the derivative is 0 as everywhere "
            "(PyTorch's choice)",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = GR__TILES(round),
    .branch = half_branch,
    .samples = step_samples,
};

/* The nearest integer, the even one of two equally near (0.5 gives 0, 1.5 gives 2); no gradient
 * flows. */
gr_tensor *gr_round(gr_tensor *x)
{
    return gr__unary(&round_op, x, NULL, GR_HERE);
}

GR__UNARY(trunc, trunc(x))

static const gr_op trunc_op = {
    .name = "trunc",
    .family = "rounding",
    .formula = "y = x without its fraction",
    .derivation = "y does not move with x, save for its jumps: dx = 0",
    .ties = "x an integer, where y jumps: the derivative is 0 as everywhere (PyTorch's choice)",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = GR__TILES(trunc),
    .branch = integer_branch,
    .samples = step_samples,
};

/* x without its fraction, rounded towards 0; no gradient flows. */
gr_tensor *gr_trunc(gr_tensor *x)
{
    return gr__unary(&trunc_op, x, NULL, GR_HERE);
}

/* --- remainder, fmod --- */

/* Quotients stay away from the integers. */
#define NEAR_1 RANGE(0.95, 1.05)

static const gr_sample pair_samples[] = {
    {.name = "positive", .in = {RANGE(2.25, 2.75), NEAR_1}, .n_in = 2},
    {.name = "negative a", .in = {RANGE(-2.75, -2.25), NEAR_1}, .n_in = 2},
    {.name = "negative b", .in = {RANGE(3.25, 3.7), RANGE(-1.05, -0.95)}, .n_in = 2},
    {.name = "both negative",
     .in = {RANGE(-2.75, -2.25), {.shape = {1, {4}}, .low = -1.05, .high = -0.95}},
     .n_in = 2},
    {.name = "small a", .in = {RANGE(-0.7, -0.2), NEAR_1}, .n_in = 2},
    {.name = "scalars",
     .in = {{.shape = {0, {0}}, .low = 1.2, .high = 1.4},
            {.shape = {0, {0}}, .low = 0.8, .high = 1}},
     .n_in = 2},
    {.name = "empty", .in = {EMPTY, ROW}, .n_in = 2},
    NO_FLOATS,
    MIXED,
    NO_COMMON_SHAPE,
    {0},
};

static void quotient_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        const double divisor = gr__element(&e->in[1], i);
        add_integer(b, gr__element(&e->in[0], i) / divisor, divisor);
    }
}

/* The integer quotient is (a - y) / b up to rounding. */
static void quotient_vjp(gr_pullback *p)
{
    gr_tensor *a = p->x[0], *b = p->x[1], *dy = p->dy[0];
    p->dx[0] = dy;
    if (p->wants[1]) p->dx[1] = gr_neg(gr_mul(dy, gr_round(gr_div(gr_sub(a, p->y[0]), b))));
}

#define TURNED(r, b) ((r) != 0 && ((r) < 0) != ((b) < 0) ? (r) + (b) : (r))

GR__BINARY(remainder, TURNED(fmod(a, b), b))

static const gr_op remainder_op = {
    .name = "remainder",
    .family = "rounding",
    .formula = "y = a - b floor(a / b)",
    .derivation = "floor(a/b) does not move, save for its jumps: da = dy, db = -dy floor(a/b)",
    .ties = "a a multiple of b, where y jumps: the derivative of the line that starts there "
            "(PyTorch's choice)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(0),
    .tile = GR__TILES(remainder),
    .vjp = quotient_vjp,
    .branch = quotient_branch,
    .samples = pair_samples,
};

/* What division by b leaves, with the sign of b: Python's %, NaN for b = 0. */
gr_tensor *gr_remainder(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&remainder_op, a, b, GR_HERE);
}

GR__BINARY(fmod, fmod(a, b))

static const gr_op fmod_op = {
    .name = "fmod",
    .family = "rounding",
    .formula = "y = a - b trunc(a / b)",
    .derivation = "trunc(a/b) does not move, save for its jumps: da = dy, db = -dy trunc(a/b)",
    .ties = "a a multiple of b, where y jumps: the derivative of the line that starts there "
            "(PyTorch's choice)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(0),
    .tile = GR__TILES(fmod),
    .vjp = quotient_vjp,
    .branch = quotient_branch,
    .samples = pair_samples,
};

/* What division by b leaves, with the sign of a: C's fmod, NaN for b = 0. */
gr_tensor *gr_fmod(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&fmod_op, a, b, GR_HERE);
}

const gr_op *const gr__rounding_ops[] = {
    &floor_op, &ceil_op, &round_op, &trunc_op, &remainder_op, &fmod_op, NULL,
};
