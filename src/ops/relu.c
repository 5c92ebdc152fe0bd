/* relu.c - bends at 0, element by element.
 *
 *   relu        y = max(x, 0)             dx = dy [x > 0]
 *   leaky_relu  y = x > 0 ? x : a x       dx = x > 0 ? dy : a dy
 *   prelu       y = x > 0 ? x : w x       dx = x > 0 ? dy : w dy     dw = x > 0 ? 0 : x dy
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kink.h"
#include "window.h"

#include <math.h>

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
    .family = "relu",
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
    .family = "relu",
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
    .family = "relu",
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

/* --- prelu: a slope that is learned --- */

/* s chooses, so that the backward of y = tilt(x, x, w) is tilt(x, dy, w). */
#define TILT(T, suffix)                                                                            \
    GR__CLONES static void tilt_##suffix(const gr_tile *t)                                         \
    {                                                                                              \
        const T *restrict s = t->x[0], *restrict x = t->x[1], *restrict w = t->x[2];               \
        T *restrict y = t->y;                                                                      \
        for (int64_t i = 0; i < t->n; i++) y[i] = s[i] > 0 ? x[i] : w[i] * x[i];                   \
    }
TILT(float, f32)
TILT(double, f64)

static gr_tensor *tilt(gr_tensor *s, gr_tensor *x, gr_tensor *w);

static void tilt_vjp(gr_pullback *p)
{
    gr_tensor *s = p->x[0], *x = p->x[1], *w = p->x[2], *dy = p->dy[0];
    const gr__window below = {.low = -INFINITY, .high = 0, .inside = 1, .closed = true};
    if (p->wants[1]) p->dx[1] = tilt(s, dy, w);
    if (p->wants[2]) p->dx[2] = gr__window_of(s, gr_mul(dy, x), &below);
}

static const gr_sample tilt_samples[] = {
    {.name = "above 0", .in = {ABOVE, M34, M34}, .n_in = 3},
    {.name = "below 0", .in = {BELOW, M34, M34}, .n_in = 3},
    {.name = "both sides", .in = {M34, M34, ROW}, .n_in = 3},
    {.name = "empty", .in = {EMPTY, ROW, ONE}, .n_in = 3},
    {.name = "integers", .in = {WHOLE, WHOLE, WHOLE}, .n_in = 3, .error = "not defined for int64"},
    {.name = "mixed", .in = {M34, M34, WHOLE}, .n_in = 3, .error = "cannot mix"},
    {0},
};

static const gr_op tilt_op = {
    .name = "tilt",
    .family = "relu",
    .formula = "y = s > 0 ? x : w x",
    .derivation =
        "the factor of x is 1 or w: dx = s > 0 ? dy : w dy, dw = s > 0 ? 0 : x dy; s only "
        "chooses, so ds = 0",
    .ties = "s = 0: the lower branch, y = w x",
    .n_in = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .tile = GR__TILES(tilt),
    .vjp = tilt_vjp,
    .branch = branch_at_zero,
    .samples = tilt_samples,
};

static gr_tensor *tilt(gr_tensor *s, gr_tensor *x, gr_tensor *w)
{
    gr_tensor *in[3] = {s, x, w};
    return gr__apply(NULL, &tilt_op, in, 3, NULL, GR_HERE);
}

/* [1] or [C] as [C, 1, ..., 1], so that it lies along axis 1 of x. */
static gr_tensor *prelu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    const gr_shape *shape = gr_shape_of(x[0]), *w = gr_shape_of(x[1]);
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    const int64_t channels = shape->rank > 1 ? shape->dim[1] : 1, given = gr_numel(x[1]);
    if (w->rank > 1 || (given != 1 && given != channels))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "prelu: a weight of shape %s does not fit %s; expected [1] or [%lld]",
                           gr_shape_text(w, a), gr_shape_text(shape, b), (long long)channels);
    gr_shape along = {shape->rank > 1 ? shape->rank - 1 : 0, {given}};
    for (int i = 1; i < along.rank; i++) along.dim[i] = 1;
    return tilt(x[0], x[0], gr_reshape(x[1], along));
}

#define WEIGHT(N) {.shape = {1, {N}}, .low = 0.1, .high = 0.5}

static const gr_sample prelu_samples[] = {
    {.name = "images", .in = {{.shape = {4, {2, 3, 2, 2}}}, WEIGHT(3)}, .n_in = 2},
    {.name = "one slope", .in = {M34, WEIGHT(1)}, .n_in = 2},
    {.name = "rows", .in = {M34, WEIGHT(4)}, .n_in = 2},
    {.name = "vector", .in = {{.shape = {1, {5}}}, WEIGHT(1)}, .n_in = 2},
    {.name = "scalar", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {EMPTY, WEIGHT(4)}, .n_in = 2},
    {.name = "another count", .in = {M34, WEIGHT(3)}, .n_in = 2, .error = "expected [1] or [4]"},
    {.name = "matrix of slopes", .in = {M34, M34}, .n_in = 2, .error = "does not fit"},
    {.name = "integers",
     .in = {WHOLE, {.shape = {1, {1}}, .integer = true, .high = 5}},
     .n_in = 2,
     .error = "not defined for int64"},
    {0},
};

static const gr_op prelu_op = {
    .name = "prelu",
    .family = "relu",
    .formula = "y = x > 0 ? x : w x, one w or one per channel",
    .derivation = "the factor of x is 1 or w: dx = x > 0 ? dy : w dy; w meets what is not above 0: "
                  "dw = sum of x dy there",
    .ties = "x = 0: the derivative is w (PyTorch's choice)",
    .n_in = 2,
    .define = prelu_define,
    .samples = prelu_samples,
};

/* x above 0, w x below. w is [1] or [C], for axis 1 of x, as in PyTorch.
 * He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015. */
gr_tensor *gr_prelu(gr_tensor *x, gr_tensor *w)
{
    return gr__binary(&prelu_op, x, w, GR_HERE);
}

const gr_op *const gr__relu_ops[] = {
    &gate_op, &relu_op, &leaky_relu_op, &tilt_op, &prelu_op, NULL,
};
