/* special.c - error and gamma functions, element by element.
 *
 *   y = erf x              dx = dy 2/sqrt(pi) exp(-x^2)
 *   y = erfc x             dx = -dy 2/sqrt(pi) exp(-x^2)
 *   y = lgamma x           dx = dy digamma x
 *   y = digamma x          dx = dy polygamma(1, x)
 *   y = polygamma(n, x)    dx = dy polygamma(n + 1, x)
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"
#include "gamma.h"

#include <limits.h>
#include <math.h>

static const gr_sample samples[] = SMOOTH(-3, 3);

/* --- erf, erfc --- */

/* 2/sqrt(pi) exp(-x^2). */
static gr_tensor *bell(gr_tensor *x)
{
    return gr_scale(gr_exp(gr_neg(gr_square(x))), GR__TWO_OVER_SQRT_PI);
}

GR__UNARY(erf, gr__erf(x))

static void erf_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], bell(p->x[0]));
}

static const gr_op erf_op = {
    .name = "erf",
    .family = "special",
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

GR__TILE1(erfc, double, f64, GR__NO_ATTR, erfc(x))

static void erfc_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(gr_mul(p->dy[0], bell(p->x[0])));
}

static const gr_op erfc_op = {
    .name = "erfc",
    .family = "special",
    .formula = "y = erfc(x) = 1 - erf(x)",
    .derivation = "the constant drops out, the sign turns: dx = -dy 2/sqrt(pi) exp(-x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = {[GR_F64] = erfc_f64},
    .vjp = erfc_vjp,
    .samples = samples,
};

/* What the error function lacks to 1, with all its digits where erf(x) is near 1. */
gr_tensor *gr_erfc(gr_tensor *x)
{
    return gr__unary(&erfc_op, x, NULL, GR_HERE);
}

/* --- lgamma and its derivatives --- */

typedef struct polygamma_attrs {
    int n;
} polygamma_attrs;

static const gr_field polygamma_fields[] = {GR_FIELD(polygamma_attrs, n, GR_FIELD_INT), {0}};

#define LEFT_OF_0 MATRIX("between poles", -1.8, -1.2, NULL)
#define ORDER(N) &(const polygamma_attrs){N}

static const gr_sample gamma_samples[] = {
    MATRIX("matrix", 0.5, 4, NULL),
    MATRIX("far", 7, 30, NULL),
    LEFT_OF_0,
    SCALAR(0.5, 2, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

GR__TILE1(lgamma, double, f64, GR__NO_ATTR, lgamma(x))

static void lgamma_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_digamma(p->x[0]));
}

static const gr_op lgamma_op = {
    .name = "lgamma",
    .family = "special",
    .formula = "y = log |gamma(x)|",
    .derivation = "digamma is by definition the derivative of log gamma: dx = dy digamma(x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = {[GR_F64] = lgamma_f64},
    .vjp = lgamma_vjp,
    .samples = gamma_samples,
};

/* The logarithm of |gamma(x)|: Inf at 0 and at negative integers. */
gr_tensor *gr_lgamma(gr_tensor *x)
{
    return gr__unary(&lgamma_op, x, NULL, GR_HERE);
}

GR__TILE1(digamma, double, f64, GR__NO_ATTR, gr__digamma(x))

static void digamma_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_polygamma(1, p->x[0]));
}

static const gr_op digamma_op = {
    .name = "digamma",
    .family = "special",
    .formula = "y = digamma(x), the derivative of log gamma(x)",
    .derivation = "polygamma(1, x) is by definition its derivative: dx = dy polygamma(1, x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = {[GR_F64] = digamma_f64},
    .vjp = digamma_vjp,
    .samples = gamma_samples,
};

/* The derivative of log gamma: -Inf at 0, NaN at negative integers (as in PyTorch). Left of 0 it
 * is computed from the right by reflection, to an absolute error of rounding near its roots. */
gr_tensor *gr_digamma(gr_tensor *x)
{
    return gr__unary(&digamma_op, x, NULL, GR_HERE);
}

#define ORDER_ATTR(T) const int n = ((const polygamma_attrs *)t->attrs)->n;
GR__TILE1(polygamma, double, f64, ORDER_ATTR, gr__polygamma(n, x))

static bool polygamma_infer(gr_infer *c)
{
    const int n = ((const polygamma_attrs *)c->attrs)->n;
    if (n >= 0 && n < INT_MAX) return true; /* the derivative is of order n + 1 */
    return gr_infer_fail(c, "the order is %d, expected n >= 0 and below 2^31 - 1", n);
}

static void polygamma_vjp(gr_pullback *p)
{
    const polygamma_attrs *a = p->attrs;
    p->dx[0] = gr_mul(p->dy[0], gr_polygamma(a->n + 1, p->x[0]));
}

static const gr_sample polygamma_samples[] = {
    MATRIX("digamma", 0.5, 4, ORDER(0)),
    MATRIX("trigamma", 0.5, 4, ORDER(1)),
    MATRIX("third", 1, 6, ORDER(3)),
    MATRIX("between poles", -1.8, -1.2, ORDER(2)),
    MATRIX("far", 11, 30, ORDER(2)),
    SCALAR(0.5, 2, ORDER(1)),
    NOTHING(ORDER(1)),
    NOT_FLOAT(ORDER(1)),
    {.name = "negative order",
     .in = {M34},
     .n_in = 1,
     .attrs = ORDER(-1),
     .error = "expected n >= 0"},
    {0},
};

static const gr_op polygamma_op = {
    .name = "polygamma",
    .family = "special",
    .formula = "y = polygamma(n, x), the n-th derivative of digamma(x)",
    .derivation = "one derivative more: dx = dy polygamma(n + 1, x)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(polygamma_attrs),
    .fields = polygamma_fields,
    .infer = polygamma_infer,
    .tile = {[GR_F64] = polygamma_f64},
    .vjp = polygamma_vjp,
    .samples = polygamma_samples,
};

/* The n-th derivative of digamma, n >= 0: (-1)^(n+1) n! zeta(n+1, x) for n >= 1, where zeta is that
 * of Hurwitz. Infinite at 0 and at negative integers; factorials overflow from n = 171 on. */
gr_tensor *gr_polygamma(int n, gr_tensor *x)
{
    return gr__unary(&polygamma_op, x, &(polygamma_attrs){n}, GR_HERE);
}

const gr_op *const gr__special_ops[] = {
    &erf_op, &erfc_op, &lgamma_op, &digamma_op, &polygamma_op, NULL,
};
