/* hyperbolic.c - hyperbolic functions and their inverses, element by element; tanh: activation.c.
 *
 *   y = sinh x     dx = dy cosh x
 *   y = cosh x     dx = dy sinh x
 *   y = asinh x    dx = dy / sqrt(x^2 + 1)
 *   y = acosh x    dx = dy / sqrt(x^2 - 1)
 *   y = atanh x    dx = dy / (1 - x^2)
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"

#include <tgmath.h>

static const gr_sample samples[] = SMOOTH(-3, 3);
static const gr_sample inner_samples[] = SMOOTH(-0.8, 0.8);
static const gr_sample outer_samples[] = SMOOTH(1.3, 4);

GR__UNARY(sinh, sinh(x))

static void sinh_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_cosh(p->x[0]));
}

static const gr_op sinh_op = {
    .name = "sinh",
    .family = "hyperbolic",
    .formula = "y = sinh(x) = (e^x - e^-x) / 2",
    .derivation = "dy/dx = (e^x + e^-x) / 2 = cosh(x), so dx = dy cosh(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(sinh),
    .vjp = sinh_vjp,
    .samples = samples,
};

/* The hyperbolic sine. */
gr_tensor *gr_sinh(gr_tensor *x)
{
    return gr__unary(&sinh_op, x, NULL, GR_HERE);
}

GR__UNARY(cosh, cosh(x))

static void cosh_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_sinh(p->x[0]));
}

static const gr_op cosh_op = {
    .name = "cosh",
    .family = "hyperbolic",
    .formula = "y = cosh(x) = (e^x + e^-x) / 2",
    .derivation = "dy/dx = (e^x - e^-x) / 2 = sinh(x), so dx = dy sinh(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(cosh),
    .vjp = cosh_vjp,
    .samples = samples,
};

/* The hyperbolic cosine. */
gr_tensor *gr_cosh(gr_tensor *x)
{
    return gr__unary(&cosh_op, x, NULL, GR_HERE);
}

GR__UNARY(asinh, asinh(x))

static void asinh_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_rsqrt(gr_shift(gr_square(p->x[0]), 1)));
}

static const gr_op asinh_op = {
    .name = "asinh",
    .family = "hyperbolic",
    .formula = "y = asinh(x)",
    .derivation = "x = sinh(y) gives dx/dy = cosh(y) = sqrt(x^2 + 1), so dx = dy / sqrt(x^2 + 1)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(asinh),
    .vjp = asinh_vjp,
    .samples = samples,
};

/* The inverse of the hyperbolic sine. */
gr_tensor *gr_asinh(gr_tensor *x)
{
    return gr__unary(&asinh_op, x, NULL, GR_HERE);
}

GR__UNARY(acosh, acosh(x))

/* In two factors: NaN below 1, as y is, and no digits lost near it. */
static void acosh_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    p->dx[0] = gr_mul(p->dy[0], gr_mul(gr_rsqrt(gr_shift(x, -1)), gr_rsqrt(gr_shift(x, 1))));
}

static const gr_op acosh_op = {
    .name = "acosh",
    .family = "hyperbolic",
    .formula = "y = acosh(x)",
    .derivation = "x = cosh(y) gives dx/dy = sinh(y) = sqrt(x^2 - 1), so dx = dy / sqrt(x^2 - 1)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(acosh),
    .vjp = acosh_vjp,
    .samples = outer_samples,
};

/* The inverse of the hyperbolic cosine for x >= 1: NaN below; the derivative at 1 is Inf. */
gr_tensor *gr_acosh(gr_tensor *x)
{
    return gr__unary(&acosh_op, x, NULL, GR_HERE);
}

GR__UNARY(atanh, atanh(x))

static void atanh_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    p->dx[0] = gr_div(p->dy[0], gr_mul(gr_shift(gr_neg(x), 1), gr_shift(x, 1)));
}

static const gr_op atanh_op = {
    .name = "atanh",
    .family = "hyperbolic",
    .formula = "y = atanh(x)",
    .derivation = "x = tanh(y) gives dx/dy = 1 - x^2, so dx = dy / (1 - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(atanh),
    .vjp = atanh_vjp,
    .samples = inner_samples,
};

/* The inverse of the hyperbolic tangent: Inf at 1, -Inf at -1, NaN beyond. */
gr_tensor *gr_atanh(gr_tensor *x)
{
    return gr__unary(&atanh_op, x, NULL, GR_HERE);
}

const gr_op *const gr__hyperbolic_ops[] = {
    &sinh_op, &cosh_op, &asinh_op, &acosh_op, &atanh_op, NULL,
};
