/* elu.c - exponential below 0, straight above, element by element.
 *
 *   elu    y = x > 0 ? x : a (exp(x) - 1)            dx = x > 0 ? dy : dy a exp(x)
 *   celu   y = x > 0 ? x : a (exp(x / a) - 1)        dx = x > 0 ? dy : dy exp(x / a)
 *   selu   y = l elu(x) with a = 1.6733, l = 1.0507
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"
#include "kink.h"
#include "window.h"

#include <math.h>

static void branch_at_zero(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
}

/* scale (x > 0 ? x : alpha (exp(rate x) - 1)); scale and rate 0 count as 1. */
typedef struct elu_attrs {
    double alpha, scale, rate;
} elu_attrs;

static const gr_field elu_fields[] = {
    GR_FIELD(elu_attrs, alpha, GR_FIELD_F64),
    GR_FIELD(elu_attrs, scale, GR_FIELD_F64),
    GR_FIELD(elu_attrs, rate, GR_FIELD_F64),
    {0},
};

#define ELU(ALPHA, SCALE, RATE) &(const elu_attrs){ALPHA, SCALE, RATE}
#define ELU_SAMPLES                                                                                \
    {                                                                                              \
        MATRIX("both sides", -3, 3, ELU(1.5, 0, 0)), MATRIX("above", 0.1, 1, ELU(0.7, 1.3, 2)),    \
            MATRIX("below", -2, -0.1, ELU(0.7, 1.3, 2)), SCALAR(-1, -0.5, ELU(1, 0, 0)),           \
            NOTHING(ELU(1, 0, 0)), NOT_FLOAT(ELU(1, 0, 0)), {0},                                   \
    }

static const gr_sample elu_samples[] = ELU_SAMPLES;

#define ALPHA_SCALE_RATE(T)                                                                        \
    const elu_attrs *o = t->attrs;                                                                 \
    const T scale = (T)(o->scale == 0 ? 1 : o->scale), rate = (T)(o->rate == 0 ? 1 : o->rate);     \
    const T alpha = (T)o->alpha;

/* --- the derivative --- */

GR__TILE1(elu_slope, float, f32, ALPHA_SCALE_RATE,
          scale *(x > 0 ? 1 : alpha * rate * gr__exp(rate * x)))
GR__TILE1(elu_slope, double, f64, ALPHA_SCALE_RATE,
          scale *(x > 0 ? 1 : alpha * rate * gr__exp(rate * x)))

static void elu_slope_vjp(gr_pullback *p)
{
    const elu_attrs *a = p->attrs;
    const gr__window below = {.low = -INFINITY,
                              .high = 0,
                              .inside = a->rate == 0 ? 1 : a->rate,
                              .closed = true};
    p->dx[0] = gr__window_of(p->x[0], gr_mul(p->dy[0], p->y[0]), &below);
}

static const gr_op elu_slope_op = {
    .name = "elu_slope",
    .family = "elu",
    .formula = "y = scale (x > 0 ? 1 : alpha rate exp(rate x)), the derivative of elu",
    .derivation = "constant above 0, an exponential below: dx = x > 0 ? 0 : dy rate y",
    .ties = "x = 0, where y jumps unless alpha rate = 1: as below",
    .n_in = 1,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(elu_attrs),
    .fields = elu_fields,
    .tile = GR__TILES(elu_slope),
    .vjp = elu_slope_vjp,
    .branch = branch_at_zero,
    .samples = elu_samples,
};

/* --- elu, selu, celu --- */

GR__TILE1(elu, float, f32, ALPHA_SCALE_RATE, scale *(x > 0 ? x : alpha * gr__expm1(rate * x)))
GR__TILE1(elu, double, f64, ALPHA_SCALE_RATE, scale *(x > 0 ? x : alpha * gr__expm1(rate * x)))

static void elu_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&elu_slope_op, p->x[0], p->attrs, GR_HERE));
}

static const gr_op elu_op = {
    .name = "elu",
    .family = "elu",
    .formula = "y = scale (x > 0 ? x : alpha (exp(rate x) - 1)); scale and rate 0 count as 1",
    .derivation = "above 0 the derivative is scale, below scale alpha rate exp(rate x)",
    .ties = "x = 0: the derivative from below, alpha (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(elu_attrs),
    .fields = elu_fields,
    .tile = GR__TILES(elu),
    .vjp = elu_vjp,
    .branch = branch_at_zero,
    .samples = elu_samples,
};

/* x above 0, alpha (exp(x) - 1) below; PyTorch's default alpha is 1.
 * Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear
 * units", 2015. */
gr_tensor *gr_elu(gr_tensor *x, double alpha)
{
    return gr__unary(&elu_op, x, &(elu_attrs){.alpha = alpha}, GR_HERE);
}

static gr_tensor *selu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    const elu_attrs a = {.alpha = 1.6732632423543772848, .scale = 1.0507009873554804934};
    return gr__unary(&elu_op, x[0], &a, GR_HERE);
}

static const gr_sample selu_samples[] = {
    MATRIX("both sides", -3, 3, NULL),
    MATRIX("below", -2, -0.1, NULL),
    SCALAR(0.1, 1, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

static const gr_op selu_op = {
    .name = "selu",
    .family = "elu",
    .formula = "y = 1.0507 (x > 0 ? x : 1.6733 (exp(x) - 1))",
    .derivation =
        "elu with alpha = 1.6733, times 1.0507: dx = 1.0507 dy (x > 0 ? 1 : 1.6733 exp(x))",
    .ties = "x = 0: the derivative from below, 1.7581 (PyTorch's choice)",
    .n_in = 1,
    .define = selu_define,
    .samples = selu_samples,
};

/* elu scaled so that mean 0 and variance 1 are a fixed point from layer to layer.
 * Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", 2017. */
gr_tensor *gr_selu(gr_tensor *x)
{
    return gr__unary(&selu_op, x, NULL, GR_HERE);
}

typedef struct celu_attrs {
    double alpha;
} celu_attrs;

static const gr_field celu_fields[] = {GR_FIELD(celu_attrs, alpha, GR_FIELD_F64), {0}};

static gr_tensor *celu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    const double alpha = ((const celu_attrs *)attrs)->alpha;
    if (!isfinite(alpha) || alpha == 0)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "celu: alpha is %g, expected a finite number other than 0", alpha);
    return gr__unary(&elu_op, x[0], &(elu_attrs){.alpha = alpha, .rate = 1 / alpha}, GR_HERE);
}

#define CELU(ALPHA) &(const celu_attrs){ALPHA}

static const gr_sample celu_samples[] = {
    MATRIX("both sides", -3, 3, CELU(1.5)),
    MATRIX("below", -2, -0.1, CELU(0.5)),
    SCALAR(0.1, 1, CELU(2)),
    NOTHING(CELU(1)),
    NOT_FLOAT(CELU(1)),
    {.name = "no alpha", .in = {M34}, .n_in = 1, .attrs = CELU(0), .error = "other than 0"},
    {0},
};

static const gr_op celu_op = {
    .name = "celu",
    .family = "elu",
    .formula = "y = x > 0 ? x : alpha (exp(x / alpha) - 1)",
    .derivation = "alpha cancels below: dx = x > 0 ? dy : dy exp(x / alpha)",
    .ties = "x = 0: 1 from both sides; the second derivative is that from below, 1/alpha",
    .n_in = 1,
    .attrs_size = sizeof(celu_attrs),
    .fields = celu_fields,
    .define = celu_define,
    .samples = celu_samples,
};

/* elu with a derivative that does not jump at 0; PyTorch's default alpha is 1, 0 is an error.
 * Barron, "Continuously differentiable exponential linear units", 2017. */
gr_tensor *gr_celu(gr_tensor *x, double alpha)
{
    return gr__unary(&celu_op, x, &(celu_attrs){alpha}, GR_HERE);
}

const gr_op *const gr__elu_ops[] = {
    &elu_slope_op, &elu_op, &selu_op, &celu_op, NULL,
};
