/* gelu.c - the Gaussian error linear unit, exact and by tanh.
 *
 *   gelu       y = x P(x)             dx = dy (P(x) + x p(x))
 *   gelu_tanh  y = x sigmoid(u(x))    dx = dy (s + x s (1 - s) u'(x)),  s = sigmoid(u)
 *
 * P and p are distribution and density of the standard normal: P(x) = (1 + erf(x / sqrt 2)) / 2.
 * u(x) = 2 sqrt(2/pi) (x + 0.044715 x^3); (1 + tanh(u / 2)) / 2 = sigmoid(u).
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"

#include <math.h>

static const gr_sample samples[] = SMOOTH(-4, 4);

/* --- gelu, and its slope as an op of its own --- */

GR__UNARY(gelu_slope, gr__normal_cdf(x) + x * gr__normal_pdf(x))

/* P' = p and p' = -x p, so (P + x p)' = p + p - x^2 p. */
static void gelu_slope_vjp(gr_pullback *p)
{
    gr_tensor *square = gr_square(p->x[0]);
    gr_tensor *density = gr_scale(gr_exp(gr_scale(square, -0.5)), GR__ONE_OVER_SQRT_2PI);
    p->dx[0] = gr_mul(p->dy[0], gr_mul(density, gr_shift(gr_neg(square), 2)));
}

static const gr_op gelu_slope_op = {
    .name = "gelu_slope",
    .family = "gelu",
    .formula = "y = P(x) + x p(x), the derivative of gelu",
    .derivation = "P' = p and p' = -x p, so dy/dx = p + p - x^2 p and dx = dy p(x) (2 - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu_slope),
    .vjp = gelu_slope_vjp,
    .samples = samples,
};

GR__UNARY(gelu, x *gr__normal_cdf(x))

static void gelu_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&gelu_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op gelu_op = {
    .name = "gelu",
    .family = "gelu",
    .formula = "y = x P(x) with P(x) = (1 + erf(x / sqrt 2)) / 2",
    .derivation = "P' is the density p(x) = exp(-x^2/2) / sqrt(2 pi), so dx = dy (P(x) + x p(x))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu),
    .vjp = gelu_vjp,
    .samples = samples,
};

/* x times the probability that a standard normal is below x: the exact form; by tanh: gr_gelu_tanh.
 * Hendrycks and Gimpel, "Gaussian error linear units", 2016. */
gr_tensor *gr_gelu(gr_tensor *x)
{
    return gr__unary(&gelu_op, x, NULL, GR_HERE);
}

/* --- gelu by tanh, and its slope --- */

#define RATE 1.59576912160573071176 /* 2 sqrt(2/pi) */
#define CUBIC 0.044715
#define TANH_ARGUMENT(T) const T u = (T)RATE * x * (1 + (T)CUBIC * x * x);
#define TANH_PARTS(T)                                                                              \
    TANH_ARGUMENT(T)                                                                               \
    const T s = gr__sigmoid(u), slope = (T)RATE * (1 + (T)(3 * CUBIC) * x * x);

GR__UNARY_LET(gelu_tanh_slope, TANH_PARTS, s + x * s * (1 - s) * slope)

static void gelu_tanh_slope_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *square = gr_square(x);
    gr_tensor *du = gr_scale(gr_shift(gr_scale(square, 3 * CUBIC), 1), RATE);
    gr_tensor *s = gr_sigmoid(gr_scale(gr_mul(x, gr_shift(gr_scale(square, CUBIC), 1)), RATE));
    gr_tensor *ds = gr_sub(s, gr_square(s)), *odd = gr_shift(gr_scale(s, -2), 1);
    gr_tensor *bend = gr_add(gr_mul(odd, gr_square(du)), gr_scale(x, 6 * CUBIC * RATE));
    p->dx[0] = gr_mul(p->dy[0], gr_mul(ds, gr_add(gr_scale(du, 2), gr_mul(x, bend))));
}

static const gr_op gelu_tanh_slope_op = {
    .name = "gelu_tanh_slope",
    .family = "gelu",
    .formula = "y = s + x s (1 - s) u'(x) with s = sigmoid(u(x)), the derivative of gelu_tanh",
    .derivation =
        "s' = s (1 - s) u' and s'' = s (1 - s) ((1 - 2 s) u'^2 + u''), so dx = dy (2 s' + x s'')",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu_tanh_slope),
    .vjp = gelu_tanh_slope_vjp,
    .samples = samples,
};

GR__UNARY_LET(gelu_tanh, TANH_ARGUMENT, x *gr__sigmoid(u))

static void gelu_tanh_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&gelu_tanh_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op gelu_tanh_op = {
    .name = "gelu_tanh",
    .family = "gelu",
    .formula = "y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2",
    .derivation = "y = x s with s = sigmoid(u(x)), so dx = dy (s + x s (1 - s) u'(x))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu_tanh),
    .vjp = gelu_tanh_vjp,
    .samples = samples,
};

/* gelu with the normal distribution approximated by tanh, as GPT-2 and BERT use it; PyTorch's
 * approximate='tanh'. Off by at most 5e-4. Hendrycks and Gimpel, "Gaussian error linear units",
 * 2016. */
gr_tensor *gr_gelu_tanh(gr_tensor *x)
{
    return gr__unary(&gelu_tanh_op, x, NULL, GR_HERE);
}

const gr_op *const gr__gelu_ops[] = {
    &gelu_slope_op, &gelu_op, &gelu_tanh_slope_op, &gelu_tanh_op, NULL,
};
