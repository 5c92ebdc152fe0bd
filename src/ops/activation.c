/* activation.c - smooth bends of a network, element by element.
 *
 *   sigmoid     y = 1 / (1 + exp(-x))    dx = dy y (1 - y)                 sigmoid_grad
 *   tanh        y = tanh x               dx = dy (1 - y^2)                 tanh_grad
 *   softplus    y = log(1 + exp x)       dx = dy sigmoid(x)
 *   logsigmoid  y = log sigmoid x        dx = dy sigmoid(-x)
 *   softsign    y = x / (1 + |x|)        dx = dy / (1 + |x|)^2
 *   silu        y = x s                  dx = dy s (1 + x (1 - s))        s = sigmoid x
 *   mish        y = x t                  dx = dy (t + x s (1 - t^2))      t = tanh softplus x
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"
#include "kink.h"

#include <tgmath.h>

static const gr_sample samples[] = SMOOTH(-4, 4);

/* Of what takes a cotangent and what the function gave. */
static const gr_sample grad_samples[] = {
    {.name = "matrices", .in = {RANGE(-2, 2), RANGE(-0.9, 0.9)}, .n_in = 2},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2},
    NO_FLOATS,
    MIXED,
    NO_COMMON_SHAPE,
    {0},
};

/* --- sigmoid, and its backward as an op of its own --- */

GR__BINARY(sigmoid_grad, a *(b - b * b))

static const gr_op sigmoid_grad_op;

static void sigmoid_grad_vjp(gr_pullback *p)
{
    gr_tensor *dz = p->dy[0], *dy = p->x[0], *y = p->x[1];
    if (p->wants[0]) p->dx[0] = gr__binary(&sigmoid_grad_op, dz, y, GR_HERE);
    if (p->wants[1]) p->dx[1] = gr_mul(gr_mul(dz, dy), gr_shift(gr_scale(y, -2), 1));
}

static const gr_op sigmoid_grad_op = {
    .name = "sigmoid_grad",
    .family = "activation",
    .formula = "z = dy y (1 - y), the backward of sigmoid",
    .derivation = "z is linear in dy: ddy = dz y (1 - y); dz/dy = dy (1 - 2 y) by y",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(sigmoid_grad),
    .vjp = sigmoid_grad_vjp,
    .samples = grad_samples,
};

GR__UNARY(sigmoid, gr__sigmoid(x))

static void sigmoid_vjp(gr_pullback *p)
{
    p->dx[0] = gr__binary(&sigmoid_grad_op, p->dy[0], p->y[0], GR_HERE);
}

static const gr_op sigmoid_op = {
    .name = "sigmoid",
    .family = "activation",
    .formula = "y = 1 / (1 + exp(-x))",
    .derivation = "dy/dx = exp(-x) / (1 + exp(-x))^2 = y (1 - y), so dx = dy (y - y^2)",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(sigmoid),
    .vjp = sigmoid_vjp,
    .samples = samples,
};

/* 1 / (1 + exp(-x)), computed from exp(-|x|) so that nothing overflows. */
gr_tensor *gr_sigmoid(gr_tensor *x)
{
    return gr__unary(&sigmoid_op, x, NULL, GR_HERE);
}

/* --- tanh, and its backward as an op of its own --- */

GR__BINARY(tanh_grad, a *(1 - b * b))

static const gr_op tanh_grad_op;

static void tanh_grad_vjp(gr_pullback *p)
{
    gr_tensor *dz = p->dy[0], *dy = p->x[0], *y = p->x[1];
    if (p->wants[0]) p->dx[0] = gr__binary(&tanh_grad_op, dz, y, GR_HERE);
    if (p->wants[1]) p->dx[1] = gr_scale(gr_mul(gr_mul(dz, dy), y), -2);
}

static const gr_op tanh_grad_op = {
    .name = "tanh_grad",
    .family = "activation",
    .formula = "z = dy (1 - y^2), the backward of tanh",
    .derivation = "z is linear in dy: ddy = dz (1 - y^2); and by y it grows by -2 dy y dz",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(tanh_grad),
    .vjp = tanh_grad_vjp,
    .samples = grad_samples,
};

GR__UNARY(tanh, gr__tanh(x))

static void tanh_vjp(gr_pullback *p)
{
    p->dx[0] = gr__binary(&tanh_grad_op, p->dy[0], p->y[0], GR_HERE);
}

static const gr_op tanh_op = {
    .name = "tanh",
    .family = "activation",
    .formula = "y = tanh(x)",
    .derivation = "tanh = sinh/cosh, so dy/dx = 1 - tanh(x)^2 = 1 - y^2 and dx = dy - dy y^2",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(tanh),
    .vjp = tanh_vjp,
    .samples = samples,
};

/* The hyperbolic tangent. */
gr_tensor *gr_tanh(gr_tensor *x)
{
    return gr__unary(&tanh_op, x, NULL, GR_HERE);
}

/* --- softplus, logsigmoid --- */

/* [softplus] */
GR__UNARY(softplus, gr__softplus(x))

static void softplus_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_sigmoid(p->x[0]));
}

static const gr_op softplus_op = {
    .name = "softplus",
    .family = "activation",
    .formula = "y = log(1 + exp(x))",
    .derivation = "dy/dx = exp(x) / (1 + exp(x)) = sigmoid(x), so dx = dy sigmoid(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(softplus),
    .vjp = softplus_vjp,
    .samples = samples,
};

/* log(1 + exp x), computed as max(x, 0) + log(1 + exp(-|x|)) so that nothing overflows. */
gr_tensor *gr_softplus(gr_tensor *x)
{
    return gr__unary(&softplus_op, x, NULL, GR_HERE);
}
/* [end] */

GR__UNARY(logsigmoid, -gr__softplus(-x))

static void logsigmoid_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_sigmoid(gr_neg(p->x[0])));
}

static const gr_op logsigmoid_op = {
    .name = "logsigmoid",
    .family = "activation",
    .formula = "y = log(1 / (1 + exp(-x)))",
    .derivation = "y = -softplus(-x), so dy/dx = sigmoid(-x) and dx = dy sigmoid(-x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(logsigmoid),
    .vjp = logsigmoid_vjp,
    .samples = samples,
};

/* The logarithm of the sigmoid, computed as -softplus(-x): -Inf only at -Inf. */
gr_tensor *gr_logsigmoid(gr_tensor *x)
{
    return gr__unary(&logsigmoid_op, x, NULL, GR_HERE);
}

/* --- softsign --- */

static void branch_at_zero(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
}

#define SOFTSIGN_LIMIT(T) const T limit = x > 0 ? 1 : -1;

static const gr_sample softsign_samples[] = {
    MATRIX("above 0", 0.1, 4, NULL),
    MATRIX("below 0", -4, -0.1, NULL),
    SCALAR(0.1, 1, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

GR__UNARY_LET(softsign, SOFTSIGN_LIMIT, isinf(x) ? limit : x / (1 + fabs(x)))

static void softsign_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], gr_square(gr_shift(gr_abs(p->x[0]), 1)));
}

static const gr_op softsign_op = {
    .name = "softsign",
    .family = "activation",
    .formula = "y = x / (1 + |x|)",
    .derivation = "dy/dx = (1 + |x| - x sign(x)) / (1 + |x|)^2, so dx = dy / (1 + |x|)^2",
    .ties = "x = 0: the derivative is 1 from both sides; the second, which jumps there, is 0",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(softsign),
    .vjp = softsign_vjp,
    .branch = branch_at_zero,
    .samples = softsign_samples,
};

/* x / (1 + |x|); 1 at Inf and -1 at -Inf (PyTorch gives NaN). */
gr_tensor *gr_softsign(gr_tensor *x)
{
    return gr__unary(&softsign_op, x, NULL, GR_HERE);
}

/* --- silu, and its slope as an op of its own --- */

#define SILU_PARTS(T) const T s = gr__sigmoid(x);
GR__UNARY_LET(silu_slope, SILU_PARTS, s *(1 + x * (1 - s)))

static void silu_slope_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *s = gr_sigmoid(x);
    gr_tensor *ds = gr_sub(s, gr_square(s)), *odd = gr_shift(gr_scale(s, -2), 1);
    p->dx[0] = gr_mul(p->dy[0], gr_mul(ds, gr_shift(gr_mul(x, odd), 2)));
}

static const gr_op silu_slope_op = {
    .name = "silu_slope",
    .family = "activation",
    .formula = "y = s (1 + x (1 - s)) with s = sigmoid(x), the derivative of silu",
    .derivation =
        "y = s + x s' with s' = s (1 - s), so dy/dx = 2 s' + x s'' = s (1 - s) (2 + x (1 - 2 s))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(silu_slope),
    .vjp = silu_slope_vjp,
    .samples = samples,
};

GR__UNARY(silu, x *gr__sigmoid(x))

static void silu_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&silu_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op silu_op = {
    .name = "silu",
    .family = "activation",
    .formula = "y = x sigmoid(x)",
    .derivation = "with s = sigmoid(x) and s' = s (1 - s): dx = dy (s + x s (1 - s))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(silu),
    .vjp = silu_vjp,
    .samples = samples,
};

/* x sigmoid(x), also called swish. Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2017. */
gr_tensor *gr_silu(gr_tensor *x)
{
    return gr__unary(&silu_op, x, NULL, GR_HERE);
}

/* --- mish, and its slope as an op of its own --- */

/* tanh(log(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1), e = exp x: `part` of `part + rest`. With
 * w = exp(-|x|) nothing overflows, and rest keeps the digits of 1 - t. */
#define MISH_PARTS(T)              \
    const T w = gr__exp(-fabs(x)); \
    const T part = x > 0 ? 1 + 2 * w : w * (w + 2), rest = 2 * (x > 0 ? w * w : 1);
#define MISH_SLOPE_PARTS(T) \
    MISH_PARTS(T)           \
    const T bent = part / (part + rest), s = (x < 0 ? w : 1) / (1 + w);

GR__UNARY_LET(mish_slope, MISH_SLOPE_PARTS, bent + x * s * (1 + bent) * (rest / (part + rest)))

static void mish_slope_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *s = gr_sigmoid(x), *t = gr_tanh(gr_softplus(x));
    gr_tensor *u = gr_mul(s, gr_shift(gr_neg(gr_square(t)), 1));
    gr_tensor *odd = gr_shift(gr_neg(gr_mul(s, gr_shift(gr_scale(t, 2), 1))), 1);
    p->dx[0] = gr_mul(p->dy[0], gr_mul(u, gr_shift(gr_mul(x, odd), 2)));
}

static const gr_op mish_slope_op = {
    .name = "mish_slope",
    .family = "activation",
    .formula = "y = t + x u with u = t' = s (1 - t^2), s = sigmoid(x), t = tanh(softplus(x)), the "
               "derivative of mish",
    .derivation = "u' = u (1 - s - 2 s t), so dy/dx = 2 u + x u' = u (2 + x (1 - s (1 + 2 t)))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(mish_slope),
    .vjp = mish_slope_vjp,
    .samples = samples,
};

GR__UNARY_LET(mish, MISH_PARTS, x *(part / (part + rest)))

static void mish_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&mish_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op mish_op = {
    .name = "mish",
    .family = "activation",
    .formula = "y = x tanh(softplus(x))",
    .derivation = "softplus has the derivative s = sigmoid(x): with t = tanh(softplus(x)), dx = dy "
                  "(t + x s (1 - t^2))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(mish),
    .vjp = mish_vjp,
    .samples = samples,
};

/* x tanh(log(1 + exp x)). Misra, "Mish: a self regularized non-monotonic activation function",
 * 2019. */
gr_tensor *gr_mish(gr_tensor *x)
{
    return gr__unary(&mish_op, x, NULL, GR_HERE);
}

const gr_op *const gr__activation_ops[] = {
    &sigmoid_grad_op, &sigmoid_op,    &tanh_grad_op, &tanh_op,       &softplus_op, &logsigmoid_op,
    &softsign_op,     &silu_slope_op, &silu_op,      &mish_slope_op, &mish_op,     NULL,
};
