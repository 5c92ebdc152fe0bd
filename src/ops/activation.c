/* activation.c - the bends of a network, element by element.
 *
 *   relu        y = max(x, 0)               dx = dy [x > 0]
 *   leaky_relu  y = x > 0 ? x : a x         dx = x > 0 ? dy : a dy
 *   sigmoid     y = 1 / (1 + exp(-x))       dx = dy y (1 - y)
 *   tanh        y = tanh x                  dx = dy (1 - y^2)
 *   softplus    y = log(1 + exp x)          dx = dy sigmoid(x)
 *   gelu        y = x P(x)                  dx = dy (P(x) + x p(x))
 *
 * P and p are distribution and density of the standard normal: P(x) = (1 + erf(x / sqrt 2)) / 2.
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "family.h"
#include "kink.h"

#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define ABOVE {.shape = {2, {3, 4}}, .low = 0.1, .high = 1}
#define BELOW {.shape = {2, {3, 4}}, .low = -1, .high = -0.1}
#define WHOLE {.shape = {2, {3, 4}}, .integer = true, .low = 1, .high = 5}

static const gr_sample smooth_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1},
    {.name = "wide", .in = {{.shape = {1, {20}}, .low = -4, .high = 4}}, .n_in = 1},
    {.name = "scalar", .in = {ONE}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .error = "not defined for int64"},
    {0},
};

typedef struct slope_attrs {
    double slope;
} slope_attrs;

static const gr_field slope_fields[] = {GR_FIELD(slope_attrs, slope, GR_FIELD_F64), {0}};

/* --- gate: the backward of relu and leaky_relu --- */

/* With slope 0 nothing passes, Inf and NaN included. */
#define GATE(T, suffix)                                                                            \
    GR__CLONES static void gate_##suffix(const gr_tile *t)                                         \
    {                                                                                              \
        const T *restrict s = t->x[0], *restrict dy = t->x[1];                                     \
        T *restrict y = t->y;                                                                      \
        const T slope = (T)((const slope_attrs *)t->attrs)->slope;                                 \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T below = slope == 0 ? 0 : slope * dy[i];                                        \
            y[i] = s[i] > 0 ? dy[i] : below;                                                       \
        }                                                                                          \
    }
GATE(float, f32)
GATE(double, f64)

static void branch_at_zero(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
}

static gr_tensor *gate(gr_tensor *s, gr_tensor *dy, double slope);

static void gate_vjp(gr_pullback *p)
{
    const slope_attrs *a = p->attrs;
    if (p->wants[1]) p->dx[1] = gate(p->x[0], p->dy[0], a->slope);
}

static const gr_sample gate_samples[] = {
    {.name = "above 0", .in = {ABOVE, M34}, .n_in = 2, .attrs = &(const slope_attrs){0}},
    {.name = "below 0", .in = {BELOW, M34}, .n_in = 2, .attrs = &(const slope_attrs){0.2}},
    {.name = "closed", .in = {BELOW, M34}, .n_in = 2, .attrs = &(const slope_attrs){0}},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = &(const slope_attrs){0}},
    {.name = "integers",
     .in = {WHOLE, WHOLE},
     .n_in = 2,
     .attrs = &(const slope_attrs){0},
     .error = "not defined for int64"},
    {0},
};

static const gr_op gate_op = {
    .name = "gate",
    .family = "activation",
    .formula = "y = s > 0 ? x : slope x",
    .derivation = "linear in x with the factor 1 or slope: dx = s > 0 ? dy : slope dy; s only "
                  "chooses, so ds = 0",
    .ties = "s = 0: the lower branch, y = slope x",
    .n_in = 2,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(slope_attrs),
    .fields = slope_fields,
    .tile = GR__TILES(gate),
    .vjp = gate_vjp,
    .branch = branch_at_zero,
    .samples = gate_samples,
};

static gr_tensor *gate(gr_tensor *s, gr_tensor *dy, double slope)
{
    gr_tensor *in[2] = {s, dy};
    return gr__apply(NULL, &gate_op, in, 2, &(slope_attrs){slope}, GR_HERE);
}

/* --- relu, leaky_relu --- */

GR__UNARY(relu, x <= 0 ? 0 : x)

/* y > 0 just where x > 0, and y is what the next layer keeps anyway. */
static void relu_vjp(gr_pullback *p)
{
    p->dx[0] = gate(p->y[0], p->dy[0], 0);
}

static const gr_sample relu_samples[] = {
    {.name = "above 0", .in = {ABOVE}, .n_in = 1},
    {.name = "below 0", .in = {BELOW}, .n_in = 1},
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = 0.1, .high = 1}}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .error = "not defined for int64"},
    {0},
};

static const gr_op relu_op = {
    .name = "relu",
    .family = "activation",
    .formula = "y = max(x, 0)",
    .derivation = "dy/dx is 1 above 0 and 0 below, so dx = dy where x > 0 and 0 elsewhere",
    .ties = "x = 0: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .tile = GR__TILES(relu),
    .vjp = relu_vjp,
    .branch = branch_at_zero,
    .samples = relu_samples,
};

/* max(x, 0); NaN stays NaN. */
gr_tensor *gr_relu(gr_tensor *x)
{
    return gr__unary(&relu_op, x, NULL, GR_HERE);
}

GR__UNARY_A(leaky_relu, x > 0 ? x : a * x)

static void leaky_relu_vjp(gr_pullback *p)
{
    p->dx[0] = gate(p->x[0], p->dy[0], ((const slope_attrs *)p->attrs)->slope);
}

static const gr_sample leaky_relu_samples[] = {
    {.name = "above 0", .in = {ABOVE}, .n_in = 1, .attrs = &(const slope_attrs){0.01}},
    {.name = "below 0", .in = {BELOW}, .n_in = 1, .attrs = &(const slope_attrs){0.2}},
    {.name = "falling", .in = {BELOW}, .n_in = 1, .attrs = &(const slope_attrs){-0.5}},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = &(const slope_attrs){0.01}},
    {.name = "integers",
     .in = {WHOLE},
     .n_in = 1,
     .attrs = &(const slope_attrs){0.01},
     .error = "not defined for int64"},
    {0},
};

static const gr_op leaky_relu_op = {
    .name = "leaky_relu",
    .family = "activation",
    .formula = "y = x > 0 ? x : slope x",
    .derivation = "dy/dx is 1 above 0 and slope below, so dx = x > 0 ? dy : slope dy",
    .ties = "x = 0: the derivative is slope (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(slope_attrs),
    .fields = slope_fields,
    .tile = GR__TILES(leaky_relu),
    .vjp = leaky_relu_vjp,
    .branch = branch_at_zero,
    .samples = leaky_relu_samples,
};

/* x above 0, slope x below; PyTorch's default slope is 0.01. */
gr_tensor *gr_leaky_relu(gr_tensor *x, double slope)
{
    return gr__unary(&leaky_relu_op, x, &(slope_attrs){slope}, GR_HERE);
}

/* --- sigmoid, tanh, softplus --- */

GR__UNARY(sigmoid, gr__sigmoid(x))

static void sigmoid_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0];
    p->dx[0] = gr_mul(p->dy[0], gr_sub(y, gr_square(y)));
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
    .samples = smooth_samples,
};

/* 1 / (1 + exp(-x)), computed from exp(-|x|) so that nothing overflows. */
gr_tensor *gr_sigmoid(gr_tensor *x)
{
    return gr__unary(&sigmoid_op, x, NULL, GR_HERE);
}

/* [tanh] */
GR__UNARY(tanh, gr__tanh(x))

static void tanh_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0];
    p->dx[0] = gr_sub(dy, gr_mul(dy, gr_square(p->y[0])));
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
    .samples = smooth_samples,
};

/* The hyperbolic tangent. */
gr_tensor *gr_tanh(gr_tensor *x)
{
    return gr__unary(&tanh_op, x, NULL, GR_HERE);
}
/* [end] */

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
    .samples = smooth_samples,
};

/* log(1 + exp x), computed as max(x, 0) + log(1 + exp(-|x|)) so that nothing overflows. */
gr_tensor *gr_softplus(gr_tensor *x)
{
    return gr__unary(&softplus_op, x, NULL, GR_HERE);
}

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
    .family = "activation",
    .formula = "y = P(x) + x p(x), the derivative of gelu",
    .derivation = "P' = p and p' = -x p, so dy/dx = p + p - x^2 p and dx = dy p(x) (2 - x^2)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu_slope),
    .vjp = gelu_slope_vjp,
    .samples = smooth_samples,
};

GR__UNARY(gelu, x *gr__normal_cdf(x))

static void gelu_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&gelu_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op gelu_op = {
    .name = "gelu",
    .family = "activation",
    .formula = "y = x P(x) with P(x) = (1 + erf(x / sqrt 2)) / 2",
    .derivation = "P' is the density p(x) = exp(-x^2/2) / sqrt(2 pi), so dx = dy (P(x) + x p(x))",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(gelu),
    .vjp = gelu_vjp,
    .samples = smooth_samples,
};

/* x times the probability that a standard normal is below x: the exact form, not the one by tanh.
 * Hendrycks and Gimpel, "Gaussian error linear units", 2016. */
gr_tensor *gr_gelu(gr_tensor *x)
{
    return gr__unary(&gelu_op, x, NULL, GR_HERE);
}

const gr_op *const gr__activation_ops[] = {
    &gate_op,     &relu_op,       &leaky_relu_op, &sigmoid_op, &tanh_op,
    &softplus_op, &gelu_slope_op, &gelu_op,       NULL,
};
