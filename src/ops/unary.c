/* unary.c - powers and absolute values, element by element: dx = dy f'(x).
 *
 *   y = sqrt x        dx = dy / (2 y)        y = x^2       dx = 2 dy x
 *   y = 1 / sqrt x    dx = -dy y^3 / 2       y = abs x     dx = dy sign x
 *   y = 1 / x         dx = -dy y^2           y = sign x    dx = 0
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kink.h"

#include <tgmath.h>

static const gr_sample samples[] = SMOOTH(-3, 3);
static const gr_sample positive_samples[] = SMOOTH(0.5, 2);

static const gr_sample kink_samples[] = {
    MATRIX("above 0", 0.1, 1, NULL),
    MATRIX("below 0", -1, -0.1, NULL),
    SCALAR(0.1, 1, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

/* --- powers --- */

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

GR__UNARY(rsqrt, 1 / sqrt(x))

static void rsqrt_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0];
    p->dx[0] = gr_scale(gr_mul(p->dy[0], gr_mul(y, gr_square(y))), -0.5);
}

static const gr_op rsqrt_op = {
    .name = "rsqrt",
    .family = "unary",
    .formula = "y = 1 / sqrt(x)",
    .derivation = "y = x^(-1/2), so dy/dx = -1/2 x^(-3/2) and dx = -dy y^3 / 2",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(rsqrt),
    .vjp = rsqrt_vjp,
    .samples = positive_samples,
};

/* One over the square root: Inf at 0, NaN below; the derivative at 0 is -Inf. */
gr_tensor *gr_rsqrt(gr_tensor *x)
{
    return gr__unary(&rsqrt_op, x, NULL, GR_HERE);
}

static const gr_sample reciprocal_samples[] = {
    MATRIX("above 0", 0.5, 2, NULL),
    MATRIX("below 0", -2, -0.5, NULL),
    SCALAR(0.5, 2, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

GR__UNARY(reciprocal, 1 / x)

static void reciprocal_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(gr_mul(p->dy[0], gr_square(p->y[0])));
}

static const gr_op reciprocal_op = {
    .name = "reciprocal",
    .family = "unary",
    .formula = "y = 1 / x",
    .derivation = "y = x^-1, so dy/dx = -x^-2 and dx = -dy y^2",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(reciprocal),
    .vjp = reciprocal_vjp,
    .samples = reciprocal_samples,
};

/* One over x: Inf with the sign of the zero at 0. */
gr_tensor *gr_reciprocal(gr_tensor *x)
{
    return gr__unary(&reciprocal_op, x, NULL, GR_HERE);
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

const gr_op *const gr__unary_ops[] = {
    &sqrt_op, &rsqrt_op, &reciprocal_op, &square_op, &abs_op, &sign_op, NULL,
};
