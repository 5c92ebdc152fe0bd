/* unary.c - functions of one variable, element by element: dx = dy f'(x).
 *
 *   y = exp x     dx = dy y              y = abs x     dx = dy sign x
 *   y = log x     dx = dy / x            y = sign x    dx = 0
 *   y = sqrt x    dx = dy / (2 y)        y = sin x     dx = dy cos x
 *   y = x^2       dx = 2 dy x            y = cos x     dx = -dy sin x
 *   y = erf x     dx = dy 2/sqrt(pi) exp(-x^2)
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "family.h"
#include "kink.h"

#include <tgmath.h>

#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define WHOLE {.shape = {2, {3, 4}}, .integer = true, .low = 1, .high = 5}
#define NOT_FLOAT {.name = "integers", .in = {WHOLE}, .n_in = 1, .error = "not defined for int64"}

static const gr_sample samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1},
    {.name = "wide", .in = {{.shape = {1, {20}}, .low = -3, .high = 3}}, .n_in = 1},
    {.name = "scalar", .in = {ONE}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    NOT_FLOAT,
    {0},
};

static const gr_sample positive_samples[] = {
    {.name = "matrix", .in = {{.shape = {2, {3, 4}}, .low = 0.5, .high = 2}}, .n_in = 1},
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = 0.5, .high = 2}}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    NOT_FLOAT,
    {0},
};

static const gr_sample kink_samples[] = {
    {.name = "above 0", .in = {{.shape = {2, {3, 4}}, .low = 0.1, .high = 1}}, .n_in = 1},
    {.name = "below 0", .in = {{.shape = {2, {3, 4}}, .low = -1, .high = -0.1}}, .n_in = 1},
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = 0.1, .high = 1}}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    NOT_FLOAT,
    {0},
};

/* --- exp, log --- */

GR__UNARY(exp, gr__exp(x))

static void exp_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], p->y[0]);
}

static const gr_op exp_op = {
    .name = "exp",
    .family = "unary",
    .formula = "y = exp(x)",
    .derivation = "exp is its own derivative: dy/dx = y, so dx = dy y",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(exp),
    .vjp = exp_vjp,
    .samples = samples,
};

/* e^x: Inf above 88.7 in float32, above 709.7 in float64. */
gr_tensor *gr_exp(gr_tensor *x)
{
    return gr__unary(&exp_op, x, NULL, GR_HERE);
}

GR__UNARY(log, gr__log(x))

static void log_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], p->x[0]);
}

static const gr_op log_op = {
    .name = "log",
    .family = "unary",
    .formula = "y = log(x)",
    .derivation = "x = exp(y) gives dx/dy = x, so dy/dx = 1/x and dx = dy/x",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(log),
    .vjp = log_vjp,
    .samples = positive_samples,
};

/* The natural logarithm: -Inf at 0, NaN below. */
gr_tensor *gr_log(gr_tensor *x)
{
    return gr__unary(&log_op, x, NULL, GR_HERE);
}

/* --- sqrt, square --- */

GR__UNARY(sqrt, sqrt(x))

static void sqrt_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(gr_div(p->dy[0], p->y[0]), 0.5);
}

static const gr_op sqrt_op = {
    .name = "sqrt",
    .family = "unary",
    .formula = "y = sqrt(x)",
    .derivation = "x = y^2 gives dx/dy = 2 y, so dy/dx = 1/(2 y) and dx = dy/(2 y)",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(sqrt),
    .vjp = sqrt_vjp,
    .samples = positive_samples,
};

/* The square root: NaN below 0; the derivative at 0 is Inf. */
gr_tensor *gr_sqrt(gr_tensor *x)
{
    return gr__unary(&sqrt_op, x, NULL, GR_HERE);
}

GR__UNARY(square, x *x)

static void square_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(gr_mul(p->dy[0], p->x[0]), 2);
}

static const gr_op square_op = {
    .name = "square",
    .family = "unary",
    .formula = "y = x^2",
    .derivation = "dy/dx = 2 x, so dx = 2 dy x",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(square),
    .vjp = square_vjp,
    .samples = samples,
};

/* x^2. */
gr_tensor *gr_square(gr_tensor *x)
{
    return gr__unary(&square_op, x, NULL, GR_HERE);
}

/* --- abs, sign: a kink and a step at 0 --- */

static void branch_at_zero(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
}

GR__UNARY(abs, fabs(x))

static void abs_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_sign(p->x[0]));
}

static const gr_op abs_op = {
    .name = "abs",
    .family = "unary",
    .formula = "y = |x|",
    .derivation = "dy/dx is 1 above 0 and -1 below, so dx = dy sign(x)",
    .ties = "x = 0: the derivative is 0, between -1 and 1 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(abs),
    .vjp = abs_vjp,
    .branch = branch_at_zero,
    .samples = kink_samples,
};

/* |x|; its derivative at 0 counts as 0. */
gr_tensor *gr_abs(gr_tensor *x)
{
    return gr__unary(&abs_op, x, NULL, GR_HERE);
}

GR__UNARY(sign, x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x)

static const gr_op sign_op = {
    .name = "sign",
    .family = "unary",
    .formula = "y = sign(x), which is -1, 0 or 1",
    .derivation = "y does not move with x, save for a jump at 0: dx = 0",
    .ties = "x = 0: y = 0, and the derivative is 0 as everywhere (PyTorch's choice)",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .tile = GR__TILES(sign),
    .branch = branch_at_zero,
    .samples = kink_samples,
};

/* -1 below 0, 0 at 0, 1 above; NaN stays NaN. No gradient flows through it. */
gr_tensor *gr_sign(gr_tensor *x)
{
    return gr__unary(&sign_op, x, NULL, GR_HERE);
}

/* --- sin, cos --- */

GR__UNARY(sin, sin(x))

static void sin_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_cos(p->x[0]));
}

static const gr_op sin_op = {
    .name = "sin",
    .family = "unary",
    .formula = "y = sin(x)",
    .derivation = "dy/dx = cos(x), so dx = dy cos(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(sin),
    .vjp = sin_vjp,
    .samples = samples,
};

/* The sine of x in radians. */
gr_tensor *gr_sin(gr_tensor *x)
{
    return gr__unary(&sin_op, x, NULL, GR_HERE);
}

GR__UNARY(cos, cos(x))

static void cos_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(gr_mul(p->dy[0], gr_sin(p->x[0])));
}

static const gr_op cos_op = {
    .name = "cos",
    .family = "unary",
    .formula = "y = cos(x)",
    .derivation = "dy/dx = -sin(x), so dx = -dy sin(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(cos),
    .vjp = cos_vjp,
    .samples = samples,
};

/* The cosine of x in radians. */
gr_tensor *gr_cos(gr_tensor *x)
{
    return gr__unary(&cos_op, x, NULL, GR_HERE);
}

/* --- erf --- */

GR__UNARY(erf, gr__erf(x))

static void erf_vjp(gr_pullback *p)
{
    gr_tensor *bell = gr_exp(gr_neg(gr_square(p->x[0])));
    p->dx[0] = gr_mul(p->dy[0], gr_scale(bell, GR__TWO_OVER_SQRT_PI));
}

static const gr_op erf_op = {
    .name = "erf",
    .family = "unary",
    .formula = "y = erf(x) = 2/sqrt(pi) integral of exp(-t^2) from 0 to x",
    .derivation = "the integrand at its upper end: dx = dy 2/sqrt(pi) exp(-x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(erf),
    .vjp = erf_vjp,
    .samples = samples,
};

/* The error function; P(N(0,1) <= x) = (1 + erf(x / sqrt 2)) / 2. */
gr_tensor *gr_erf(gr_tensor *x)
{
    return gr__unary(&erf_op, x, NULL, GR_HERE);
}

const gr_op *const gr__unary_ops[] = {
    &exp_op, &log_op, &sqrt_op, &square_op, &abs_op, &sign_op, &sin_op, &cos_op, &erf_op, NULL,
};
