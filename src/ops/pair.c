/* pair.c - functions of two variables, element by element.
 *
 *   y = atan2(a, b)           da = dy b / (a^2 + b^2)     db = -dy a / (a^2 + b^2)
 *   y = sqrt(a^2 + b^2)       da = dy a / y               db = dy b / y
 *   y = log(e^a + e^b)        da = dy sigmoid(a - b)      db = dy sigmoid(b - a)
 *   y = a log b               da = dy log b               db = dy a / b
 *   y = (a - b)^2             da = 2 dy (a - b)           db = -da
 *   y = |a| with b's sign     da = dy sign(a) sign(y)     db = 0
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"
#include "kink.h"

#include <tgmath.h>

#define AWAY RANGE(0.3, 2)
#define LEFT RANGE(-2, -0.3)
#define AWAY_ROW {.shape = {1, {4}}, .low = 0.3, .high = 2}
#define AWAY_COLUMN {.shape = {2, {3, 1}}, .low = 0.3, .high = 2}
#define AWAY_ONE {.shape = {0, {0}}, .low = 0.3, .high = 2}
#define COMMON                                                                                     \
    {.name = "row broadcast", .in = {AWAY, AWAY_ROW}, .n_in = 2},                                  \
    {.name = "outer broadcast", .in = {AWAY_COLUMN, AWAY_ROW}, .n_in = 2},                         \
    {.name = "scalars", .in = {AWAY_ONE, AWAY_ONE}, .n_in = 2},                                    \
    {.name = "empty", .in = {EMPTY, ROW}, .n_in = 2}, NO_FLOATS, MIXED, NO_COMMON_SHAPE, {0}

static const gr_sample pair_samples[] = {
    {.name = "right", .in = {AWAY, AWAY}, .n_in = 2},
    {.name = "left", .in = {LEFT, AWAY}, .n_in = 2},
    {.name = "below", .in = {AWAY, LEFT}, .n_in = 2},
    {.name = "left below", .in = {LEFT, LEFT}, .n_in = 2},
    COMMON,
};

static const gr_sample second_positive_samples[] = {
    {.name = "right", .in = {AWAY, AWAY}, .n_in = 2},
    {.name = "left", .in = {LEFT, AWAY_ROW}, .n_in = 2},
    COMMON,
};

/* x where `cond` is false, the number elsewhere. */
static gr_tensor *number_where(gr_tensor *cond, double number, gr_tensor *x)
{
    return gr_where(cond, gr_scalar(gr_graph_of(x), gr_dtype_of(x), number), x);
}

static gr_tensor *is_zero(gr_tensor *x)
{
    return gr_equal(x, gr_scalar(gr_graph_of(x), gr_dtype_of(x), 0));
}

/* --- atan2, hypot --- */

/* On which side of the cut, the negative half of the axis of b, and how far from it. */
static void atan2_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        const double y = gr__element(&e->in[0], i), x = gr__element(&e->in[1], i);
        const uint64_t side = x > 0 ? 1 : y > 0 ? 2 : y < 0 ? 3 : 4;
        gr_branch_add(b, side, x > 0 ? hypot(x, y) : fabs(y));
    }
}

/* The tip of the cone. */
static void hypot_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n; i++) {
        const double y = gr__element(&e->out[0], i);
        gr_branch_add(b, y > 0, y);
    }
}

GR__BINARY(atan2, atan2(a, b))

/* Divided by the radius twice: its square could overflow. */
static void atan2_vjp(gr_pullback *p)
{
    gr_tensor *a = p->x[0], *b = p->x[1], *h = gr_hypot(a, b);
    gr_tensor *radius = number_where(is_zero(h), 1, h), *slope = gr_div(p->dy[0], radius);
    if (p->wants[0]) p->dx[0] = gr_mul(slope, gr_div(b, radius));
    if (p->wants[1]) p->dx[1] = gr_neg(gr_mul(slope, gr_div(a, radius)));
}

static const gr_op atan2_op = {
    .name = "atan2",
    .family = "pair",
    .formula = "y = atan2(a, b), the angle of the point (b, a)",
    .derivation =
        "the angle moves with what is across the radius r: da = dy (b/r) / r, db = -dy (a/r) / r",
    .ties = "a = b = 0: the derivative is 0 (PyTorch 1.13 gives NaN); a = 0 > b, where y jumps: as "
            "beside it",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(atan2),
    .vjp = atan2_vjp,
    .branch = atan2_branch,
    .samples = pair_samples,
};

/* The angle between -pi and pi of the point with the abscissa b and the ordinate a, in radians:
 * torch.atan2(a, b). */
gr_tensor *gr_atan2(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&atan2_op, a, b, GR_HERE);
}

GR__BINARY(hypot, gr__hypot(a, b))

static void hypot_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0], *radius = number_where(is_zero(y), 1, y);
    if (p->wants[0]) p->dx[0] = gr_mul(p->dy[0], gr_div(p->x[0], radius));
    if (p->wants[1]) p->dx[1] = gr_mul(p->dy[0], gr_div(p->x[1], radius));
}

static const gr_op hypot_op = {
    .name = "hypot",
    .family = "pair",
    .formula = "y = sqrt(a^2 + b^2)",
    .derivation = "y^2 = a^2 + b^2 gives 2 y dy = 2 a da + 2 b db, so da = dy a/y, db = dy b/y",
    .ties = "a = b = 0: the derivative is 0, a subgradient (PyTorch 1.13 gives NaN)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(0),
    .tile = GR__TILES(hypot),
    .vjp = hypot_vjp,
    .branch = hypot_branch,
    .samples = pair_samples,
};

/* The length of (a, b); no square overflows on the way. Infinite where one of the two is. */
gr_tensor *gr_hypot(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&hypot_op, a, b, GR_HERE);
}

/* --- logaddexp, logaddexp2 --- */

/* a - b where both are finite, 0 at equal infinities. */
static gr_tensor *difference(gr_tensor *a, gr_tensor *b)
{
    gr_tensor *zero = gr_scalar(gr_graph_of(a), gr_dtype_of(a), 0);
    gr_tensor *same = gr_logical_and(gr_equal(a, b), gr_isinf(a));
    return gr_where(same, zero, gr_sub(gr_where(same, zero, a), gr_where(same, zero, b)));
}

static void share(gr_pullback *p, double rate)
{
    gr_tensor *d = gr_scale(difference(p->x[0], p->x[1]), rate);
    if (p->wants[0]) p->dx[0] = gr_mul(p->dy[0], gr_sigmoid(d));
    if (p->wants[1]) p->dx[1] = gr_mul(p->dy[0], gr_sigmoid(gr_neg(d)));
}

/* |a - b|, 0 at equal infinities. */
#define APART(a, b) ((a) == (b) ? 0 : fabs((a) - (b)))

GR__BINARY(logaddexp, (a > b ? a : b) + gr__softplus(-APART(a, b)))

static void logaddexp_vjp(gr_pullback *p)
{
    share(p, 1);
}

static const gr_op logaddexp_op = {
    .name = "logaddexp",
    .family = "pair",
    .formula = "y = log(exp(a) + exp(b))",
    .derivation = "dy/da = e^a / (e^a + e^b), so da = dy sigmoid(a - b), db = dy sigmoid(b - a)",
    .ties = "a = b = Inf or -Inf: each gets dy/2, as for finite a = b (PyTorch 1.13 gives NaN)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(logaddexp),
    .vjp = logaddexp_vjp,
    .samples = pair_samples,
};

/* log(e^a + e^b), computed as max(a, b) + log(1 + exp(-|a - b|)) so that nothing overflows. */
gr_tensor *gr_logaddexp(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&logaddexp_op, a, b, GR_HERE);
}

#define LOGADDEXP_2(T, suffix)           \
    GR__TILE2(logaddexp2, T, T, suffix, \
              (a > b ? a : b) + gr__softplus(-(T)GR__LOG_2 * APART(a, b)) / (T)GR__LOG_2)
LOGADDEXP_2(float, f32)
LOGADDEXP_2(double, f64)

static void logaddexp2_vjp(gr_pullback *p)
{
    share(p, GR__LOG_2);
}

static const gr_op logaddexp2_op = {
    .name = "logaddexp2",
    .family = "pair",
    .formula = "y = log_2(2^a + 2^b)",
    .derivation = "dy/da = 2^a / (2^a + 2^b), so with d = (a - b) log 2: da = dy sigmoid(d), db = "
                  "dy sigmoid(-d)",
    .ties = "a = b = Inf or -Inf: each gets dy/2, as for finite a = b (PyTorch 1.13 gives NaN)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(logaddexp2),
    .vjp = logaddexp2_vjp,
    .samples = pair_samples,
};

/* log_2(2^a + 2^b), computed as logaddexp is. */
gr_tensor *gr_logaddexp2(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&logaddexp2_op, a, b, GR_HERE);
}

/* --- xlogy, squared_difference, copysign --- */

GR__BINARY(xlogy, a == 0 && b == b ? 0 : a * gr__log(b))

/* Where a = 0 and b <= 0 the logarithm counts as log 1. */
static void xlogy_vjp(gr_pullback *p)
{
    gr_tensor *a = p->x[0], *b = p->x[1], *none = is_zero(a);
    gr_tensor *zero = gr_scalar(p->graph, gr_dtype_of(b), 0);
    gr_tensor *log = gr_log(number_where(gr_logical_and(none, gr_less_equal(b, zero)), 1, b));
    if (p->wants[0]) p->dx[0] = gr_mul(p->dy[0], log);
    gr_tensor *divisor = number_where(gr_logical_and(none, is_zero(b)), 1, b);
    if (p->wants[1]) p->dx[1] = gr_mul(p->dy[0], gr_div(a, divisor));
}

static const gr_op xlogy_op = {
    .name = "xlogy",
    .family = "pair",
    .formula = "y = a log(b), 0 where a = 0",
    .derivation = "linear in a, a logarithm in b: da = dy log b, db = dy a/b",
    .ties = "a = 0 >= b: the derivative in a is 0 (PyTorch's choice); a = b = 0: that in b is 0 "
            "too (PyTorch 1.13 gives NaN)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(xlogy),
    .vjp = xlogy_vjp,
    .samples = second_positive_samples,
};

/* a log(b), with 0 log(b) = 0 for every b but NaN. */
gr_tensor *gr_xlogy(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&xlogy_op, a, b, GR_HERE);
}

GR__BINARY(squared_difference, (a - b) * (a - b))

static void squared_difference_vjp(gr_pullback *p)
{
    gr_tensor *da = gr_scale(gr_mul(p->dy[0], gr_sub(p->x[0], p->x[1])), 2);
    p->dx[0] = da;
    if (p->wants[1]) p->dx[1] = gr_neg(da);
}

static const gr_op squared_difference_op = {
    .name = "squared_difference",
    .family = "pair",
    .formula = "y = (a - b)^2",
    .derivation = "the square of a difference: da = 2 dy (a - b), db = -da",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(squared_difference),
    .vjp = squared_difference_vjp,
    .samples = pair_samples,
};

/* (a - b)^2, in one pass. */
gr_tensor *gr_squared_difference(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&squared_difference_op, a, b, GR_HERE);
}

static void copysign_branch(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
    gr__branch_at_zero(e, 1, b);
}

GR__BINARY(copysign, copysign(a, b))

static void copysign_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = gr_mul(p->dy[0], gr_mul(gr_sign(p->x[0]), gr_sign(p->y[0])));
}

static const gr_op copysign_op = {
    .name = "copysign",
    .family = "pair",
    .formula = "y = |a| if b >= 0 else -|a|",
    .derivation =
        "y is a or -a: da = dy times the sign of a times that of y; b only chooses, so db = 0",
    .ties = "a = 0: the derivative is 0; b = 0 counts by the sign of the zero (PyTorch's choices)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .tile = GR__TILES(copysign),
    .vjp = copysign_vjp,
    .branch = copysign_branch,
    .samples = pair_samples,
};

/* The magnitude of a with the sign of b, signed zeros included. */
gr_tensor *gr_copysign(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&copysign_op, a, b, GR_HERE);
}

const gr_op *const gr__pair_ops[] = {
    &atan2_op,    &hypot_op, &logaddexp_op, &logaddexp2_op, &xlogy_op, &squared_difference_op,
    &copysign_op, NULL,
};
