/* trigonometric.c - sine, cosine, tangent and their inverses, element by element.
 *
 *   y = sin x    dx = dy cos x         y = asin x    dx = dy / sqrt(1 - x^2)
 *   y = cos x    dx = -dy sin x        y = acos x    dx = -dy / sqrt(1 - x^2)
 *   y = tan x    dx = dy (1 + y^2)     y = atan x    dx = dy / (1 + x^2)
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"

#include <tgmath.h>

static const gr_sample samples[] = SMOOTH(-3, 3);
static const gr_sample inner_samples[] = SMOOTH(-0.8, 0.8);

/* --- sin, cos, tan --- */

/* Whether code that compilers vectorise will do for the angles. */
GR__CLONES static bool trigonometric_near(const float *x, int64_t n)
{
    int far = 0;
    for (int64_t i = 0; i < n; i++) far |= !(fabsf(x[i]) <= GR__FAR_ANGLE);
    return !far;
}

/* y = f(x) where it will not. */
static void trigonometric_far(const gr_tile *t, float (*f)(float))
{
    const float *x = t->x[0];
    float *y = t->y;
    if (trigonometric_near(x, t->n)) return;
    for (int64_t i = 0; i < t->n; i++)
        if (!(fabsf(x[i]) <= GR__FAR_ANGLE)) y[i] = f(x[i]);
}

GR__TILE1(sin_near, float, f32, GR__NO_ATTR, gr__sin_near(x))
GR__TILE1(sin, double, f64, GR__NO_ATTR, sin(x))

static void sin_f32(const gr_tile *t)
{
    sin_near_f32(t);
    trigonometric_far(t, sinf);
}

static void sin_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_cos(p->x[0]));
}

static const gr_op sin_op = {
    .name = "sin",
    .family = "trigonometric",
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

GR__TILE1(cos_near, float, f32, GR__NO_ATTR, gr__cos_near(x))
GR__TILE1(cos, double, f64, GR__NO_ATTR, cos(x))

static void cos_f32(const gr_tile *t)
{
    cos_near_f32(t);
    trigonometric_far(t, cosf);
}

static void cos_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(gr_mul(p->dy[0], gr_sin(p->x[0])));
}

static const gr_op cos_op = {
    .name = "cos",
    .family = "trigonometric",
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

static const gr_sample tan_samples[] = SMOOTH(-1.2, 1.2);

GR__TILE1(tan_near, float, f32, GR__NO_ATTR, gr__tan_near(x))
GR__TILE1(tan, double, f64, GR__NO_ATTR, tan(x))

static void tan_f32(const gr_tile *t)
{
    tan_near_f32(t);
    trigonometric_far(t, tanf);
}

static void tan_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0];
    p->dx[0] = gr_add(dy, gr_mul(dy, gr_square(p->y[0])));
}

static const gr_op tan_op = {
    .name = "tan",
    .family = "trigonometric",
    .formula = "y = tan(x)",
    .derivation = "tan = sin/cos, so dy/dx = 1 + tan(x)^2 and dx = dy + dy y^2",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(tan),
    .vjp = tan_vjp,
    .samples = tan_samples,
};

/* The tangent of x in radians. */
gr_tensor *gr_tan(gr_tensor *x)
{
    return gr__unary(&tan_op, x, NULL, GR_HERE);
}

/* --- asin, acos, atan --- */

/* 1 / sqrt(1 - x^2); 1 - x^2 as a product keeps its digits near 1 and -1. */
static gr_tensor *one_over_cosine(gr_tensor *x)
{
    return gr_rsqrt(gr_mul(gr_shift(gr_neg(x), 1), gr_shift(x, 1)));
}

GR__UNARY(asin, asin(x))

static void asin_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], one_over_cosine(p->x[0]));
}

static const gr_op asin_op = {
    .name = "asin",
    .family = "trigonometric",
    .formula = "y = asin(x)",
    .derivation = "x = sin(y) gives dx/dy = cos(y) = sqrt(1 - x^2), so dx = dy / sqrt(1 - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(asin),
    .vjp = asin_vjp,
    .samples = inner_samples,
};

/* The angle between -pi/2 and pi/2 whose sine is x: NaN beyond 1 and -1; the derivative there is
 * Inf. */
gr_tensor *gr_asin(gr_tensor *x)
{
    return gr__unary(&asin_op, x, NULL, GR_HERE);
}

GR__UNARY(acos, acos(x))

static void acos_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(gr_mul(p->dy[0], one_over_cosine(p->x[0])));
}

static const gr_op acos_op = {
    .name = "acos",
    .family = "trigonometric",
    .formula = "y = acos(x)",
    .derivation = "acos(x) = pi/2 - asin(x), so dx = -dy / sqrt(1 - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(acos),
    .vjp = acos_vjp,
    .samples = inner_samples,
};

/* The angle between 0 and pi whose cosine is x: NaN beyond 1 and -1; the derivative there is
 * -Inf. */
gr_tensor *gr_acos(gr_tensor *x)
{
    return gr__unary(&acos_op, x, NULL, GR_HERE);
}

GR__UNARY(atan, atan(x))

static void atan_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], gr_shift(gr_square(p->x[0]), 1));
}

static const gr_op atan_op = {
    .name = "atan",
    .family = "trigonometric",
    .formula = "y = atan(x)",
    .derivation = "x = tan(y) gives dx/dy = 1 + x^2, so dx = dy / (1 + x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(atan),
    .vjp = atan_vjp,
    .samples = samples,
};

/* The angle between -pi/2 and pi/2 whose tangent is x. */
gr_tensor *gr_atan(gr_tensor *x)
{
    return gr__unary(&atan_op, x, NULL, GR_HERE);
}

const gr_op *const gr__trigonometric_ops[] = {
    &sin_op, &cos_op, &tan_op, &asin_op, &acos_op, &atan_op, NULL,
};
