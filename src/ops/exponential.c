/* exponential.c - exponentials and logarithms, element by element.
 *
 *   y = e^x        dx = dy y            y = log x          dx = dy / x
 *   y = e^x - 1    dx = dy e^x          y = log(1 + x)     dx = dy / (1 + x)
 *   y = 2^x        dx = dy y log 2      y = log_b x        dx = dy / (x log b)
 *   y = log(x / (1 - x))                dx = dy / (x (1 - x))
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"

#include <tgmath.h>

#define ONE_OVER_LOG_2 1.44269504088896340736
#define ONE_OVER_LOG_10 0.43429448190325182765

static const gr_sample samples[] = SMOOTH(-3, 3);
static const gr_sample positive_samples[] = SMOOTH(0.5, 2);

/* --- exponentials --- */

GR__UNARY(exp, gr__exp(x))

static void exp_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], p->y[0]);
}

static const gr_op exp_op = {
    .name = "exp",
    .family = "exponential",
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

GR__UNARY(expm1, gr__expm1(x))

/* exp(x) anew: y + 1 has lost its digits where y is near -1. */
static void expm1_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_exp(p->x[0]));
}

static const gr_op expm1_op = {
    .name = "expm1",
    .family = "exponential",
    .formula = "y = exp(x) - 1",
    .derivation = "the constant drops out: dx = dy exp(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(expm1),
    .vjp = expm1_vjp,
    .samples = samples,
};

/* e^x - 1, with all its digits where e^x is near 1. */
gr_tensor *gr_expm1(gr_tensor *x)
{
    return gr__unary(&expm1_op, x, NULL, GR_HERE);
}

GR__UNARY(exp2, gr__exp2(x))

static void exp2_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(gr_mul(p->dy[0], p->y[0]), GR__LOG_2);
}

static const gr_op exp2_op = {
    .name = "exp2",
    .family = "exponential",
    .formula = "y = 2^x",
    .derivation = "2^x = exp(x log 2), so dy/dx = y log 2 and dx = dy y log 2",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(exp2),
    .vjp = exp2_vjp,
    .samples = samples,
};

/* 2^x: Inf from 128 on in float32, from 1024 on in float64. */
gr_tensor *gr_exp2(gr_tensor *x)
{
    return gr__unary(&exp2_op, x, NULL, GR_HERE);
}

/* --- logarithms --- */

GR__UNARY(log, gr__log(x))

static void log_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], p->x[0]);
}

static const gr_op log_op = {
    .name = "log",
    .family = "exponential",
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

static const gr_sample log1p_samples[] = SMOOTH(-0.5, 2);

GR__UNARY(log1p, gr__log1p(x))

static void log1p_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], gr_shift(p->x[0], 1));
}

static const gr_op log1p_op = {
    .name = "log1p",
    .family = "exponential",
    .formula = "y = log(1 + x)",
    .derivation = "the derivative of the logarithm at 1 + x: dx = dy / (1 + x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(log1p),
    .vjp = log1p_vjp,
    .samples = log1p_samples,
};

/* log(1 + x), with all its digits near 0: -Inf at -1, NaN below. */
gr_tensor *gr_log1p(gr_tensor *x)
{
    return gr__unary(&log1p_op, x, NULL, GR_HERE);
}

GR__UNARY(log2, gr__log2(x))

static void log2_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(gr_div(p->dy[0], p->x[0]), ONE_OVER_LOG_2);
}

static const gr_op log2_op = {
    .name = "log2",
    .family = "exponential",
    .formula = "y = log_2(x)",
    .derivation = "log_2 x = log x / log 2, so dx = dy / (x log 2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(log2),
    .vjp = log2_vjp,
    .samples = positive_samples,
};

/* The logarithm to base 2: -Inf at 0, NaN below. */
gr_tensor *gr_log2(gr_tensor *x)
{
    return gr__unary(&log2_op, x, NULL, GR_HERE);
}

GR__UNARY(log10, log10(x))

static void log10_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(gr_div(p->dy[0], p->x[0]), ONE_OVER_LOG_10);
}

static const gr_op log10_op = {
    .name = "log10",
    .family = "exponential",
    .formula = "y = log_10(x)",
    .derivation = "log_10 x = log x / log 10, so dx = dy / (x log 10)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(log10),
    .vjp = log10_vjp,
    .samples = positive_samples,
};

/* The logarithm to base 10: -Inf at 0, NaN below. */
gr_tensor *gr_log10(gr_tensor *x)
{
    return gr__unary(&log10_op, x, NULL, GR_HERE);
}

static const gr_sample probability_samples[] = SMOOTH(0.1, 0.9);

/* Above 1/4, 2x - 1 is exact, so that no digit is lost where y is near 0. */
GR__UNARY(logit, x > (float)0.25 ? gr__log1p((2 * x - 1) / (1 - x)) : gr__log(x / (1 - x)))

static void logit_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    p->dx[0] = gr_div(p->dy[0], gr_sub(x, gr_square(x)));
}

static const gr_op logit_op = {
    .name = "logit",
    .family = "exponential",
    .formula = "y = log(x / (1 - x))",
    .derivation = "y = log x - log(1 - x), so dy/dx = 1/x + 1/(1 - x) = 1 / (x (1 - x)) and "
                  "dx = dy / (x - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(logit),
    .vjp = logit_vjp,
    .samples = probability_samples,
};

/* The inverse of sigmoid: -Inf at 0, Inf at 1, NaN outside [0,1]. */
gr_tensor *gr_logit(gr_tensor *x)
{
    return gr__unary(&logit_op, x, NULL, GR_HERE);
}

const gr_op *const gr__exponential_ops[] = {
    &exp_op, &expm1_op, &exp2_op, &log_op, &log1p_op, &log2_op, &log10_op, &logit_op, NULL,
};
