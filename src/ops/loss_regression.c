/* loss_regression.c - losses between numbers and the numbers they should be, d = x - t.
 *
 *   mse           d^2                                        2 d
 *   l1            |d|                                        sign d
 *   huber         |d| < h ? d^2/2 : h (|d| - h/2)            d cut to [-h, h]
 *   smooth_l1     huber with h = beta, over beta             d/beta cut to [-1, 1]
 *
 * The right column is the derivative by x; mean and sum over the elements come on top.
 */
/* SPDX-License-Identifier: MIT */
#include "loss.h"
#include "squared_error.h"

#include <tgmath.h>

#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define HIGH {.shape = {2, {3, 4}}, .low = 2, .high = 3}
#define OTHER_SHAPE(...)                                                                           \
    {                                                                                              \
        .name = "other shape", .in = {{.shape = {2, {3, 1}}}, {.shape = {1, {3}}}}, .n_in = 2,     \
        .attrs = __VA_ARGS__, .error = "expected a target of the shape of x, [3,1], got [3]"       \
    }

/* --- mse, l1 --- */

static const gr_field loss_fields[] = {
    GR_FIELD_NAMED(gr_loss_options, reduction, gr__reductions),
    {0},
};

#define REDUCTION(r) &(const gr_loss_options){GR_REDUCTION_##r}

static const gr_sample difference_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "sum", .in = {{.shape = {1, {5}}}, {.shape = {1, {5}}}}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "none", .in = {M34, M34}, .n_in = 2, .attrs = REDUCTION(NONE)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "no reduction", .in = {M34, M34}, .n_in = 2, .attrs = &(const gr_loss_options){(gr_reduction)3}, .error = "reduction 3 is not mean, sum or none"},
    OTHER_SHAPE(REDUCTION(MEAN)),
    {0},
};

/* Of few elements, mean or sum, as one node; NULL: made of parts. */
static gr_tensor *mse_of_few(gr_tensor *x, gr_tensor *t, gr_reduction reduction)
{
    const bool mean = reduction == GR_REDUCTION_MEAN;
    if ((!mean && reduction != GR_REDUCTION_SUM) || !x->numel) return NULL;
    return gr__squared_error(x, t, mean ? 1 / (double)x->numel : 1);
}

static gr_tensor *mse_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_reduction reduction = ((const gr_loss_options *)attrs)->reduction;
    (void)n;
    if (!gr__loss_alike("mse", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *few = mse_of_few(x[0], x[1], reduction);
    return few ? few : gr__loss_reduce("mse", gr_square(gr_sub(x[0], x[1])), reduction);
}

static const gr_op mse_op = {
    .name = "mse",
    .family = "loss_regression",
    .formula = "y = mean (x - t)^2",
    .derivation = "through its parts: d/dx (x - t)^2 = 2 (x - t), a mean of n: "
                  "dx = 2 (x - t) dy / n and dt = -dx",
    .n_in = 2,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = mse_define,
    .samples = difference_samples,
};

/* The mean over all elements of (x - target)^2, a scalar. Both of one shape and dtype. */
gr_tensor *gr_mse(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&mse_op, x, target, &(gr_loss_options){0}, GR_HERE);
}

gr_tensor *gr_mse_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o)
{
    return gr__loss(&mse_op, x, target, &o, GR_HERE);
}

static gr_tensor *l1_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    if (!gr__loss_alike("l1", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *loss = gr_abs(gr_sub(x[0], x[1]));
    return gr__loss_reduce("l1", loss, ((const gr_loss_options *)attrs)->reduction);
}

static const gr_op l1_op = {
    .name = "l1",
    .family = "loss_regression",
    .formula = "y = mean |x - t|",
    .derivation = "|d| grows by 1 above 0 and falls by 1 below: dx = sign(x - t) dy / n, dt = -dx",
    .ties = "x = t: the derivative is 0 (PyTorch's choice)",
    .n_in = 2,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = l1_define,
    .samples = difference_samples,
};

/* The mean over all elements of |x - target|, a scalar. Both of one shape and dtype. */
gr_tensor *gr_l1(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&l1_op, x, target, &(gr_loss_options){0}, GR_HERE);
}

gr_tensor *gr_l1_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o)
{
    return gr__loss(&l1_op, x, target, &o, GR_HERE);
}

/* --- huber_penalty, and its slope as an op of its own --- */

typedef struct bend_attrs {
    double bend;
} bend_attrs;

static const gr_field bend_fields[] = {GR_FIELD(bend_attrs, bend, GR_FIELD_F64), {0}};

#define BEND(h) &(const bend_attrs){h}

static const gr_sample bend_samples[] = {
    {.name = "both sides", .in = {{.shape = {2, {4, 5}}, .low = -2, .high = 2}}, .n_in = 1, .attrs = BEND(0.7)},
    {.name = "below", .in = {M34}, .n_in = 1, .attrs = BEND(1.5)},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = BEND(2)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = BEND(1)},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = BEND(1), .error = "not defined for int64"},
    {0},
};

static void bend_branch(const gr_exec *e, gr_branch *b)
{
    const gr_value *v = &e->in[0];
    const double bend = ((const bend_attrs *)e->attrs)->bend;
    const size_t size = gr_dtype_size(v->dtype);
    for (int64_t i = 0, n = gr_shape_numel(v->shape); i < n; i++) {
        double x = gr__get_scalar((const char *)v->data + (size_t)i * size, v->dtype);
        gr_branch_add(b, x < -bend ? 1 : x > bend ? 2 : 3, fabs(fabs(x) - bend));
    }
}

GR__UNARY_A(huber_slope, x < -a ? -a : x > a ? a : x)

static void huber_slope_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *dy = p->dy[0];
    gr_tensor *bend = gr__loss_number(x, ((const bend_attrs *)p->attrs)->bend);
    p->dx[0] = gr_where(gr_less(gr_abs(x), bend), dy, gr__loss_number(x, 0));
}

static const gr_op huber_slope_op = {
    .name = "huber_slope",
    .family = "loss_regression",
    .formula = "y = x cut to [-bend, bend], the derivative of huber_penalty",
    .derivation = "dy/dx is 1 within and 0 outside: dx = dy where |x| < bend",
    .ties = "|x| = bend: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(bend_attrs),
    .fields = bend_fields,
    .tile = GR__TILES(huber_slope),
    .vjp = huber_slope_vjp,
    .branch = bend_branch,
    .samples = bend_samples,
};

GR__UNARY_A(huber_penalty, x < -a || x > a ? a * (fabs(x) - a / 2) : x * x / 2)

static void huber_penalty_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&huber_slope_op, p->x[0], p->attrs, GR_HERE));
}

static const gr_op huber_penalty_op = {
    .name = "huber_penalty",
    .family = "loss_regression",
    .formula = "y = |x| <= bend ? x^2/2 : bend (|x| - bend/2)",
    .derivation = "dy/dx is x up to the bend and bend sign(x) beyond: x cut to [-bend, bend]",
    .ties = "|x| = bend: none, both sides have the derivative bend; it is the second that jumps, "
            "and counts as 0 there",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(bend_attrs),
    .fields = bend_fields,
    .tile = GR__TILES(huber_penalty),
    .vjp = huber_penalty_vjp,
    .branch = bend_branch,
    .samples = bend_samples,
};

static gr_tensor *penalty_of_difference(gr_tensor *const *x, double bend)
{
    return gr__unary(&huber_penalty_op, gr_sub(x[0], x[1]), &(bend_attrs){bend}, GR_HERE);
}

/* --- huber, smooth_l1 --- */

static const gr_field huber_fields[] = {
    GR_FIELD_NAMED(gr_huber_options, reduction, gr__reductions),
    GR_FIELD(gr_huber_options, delta, GR_FIELD_F64),
    {0},
};

static gr_tensor *huber_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_huber_options *o = attrs;
    double delta = o->delta == 0 ? 1 : o->delta;
    (void)n;
    if (!gr__loss_alike("huber", x[0], x[1]) || !gr__loss_positive("huber", x[0], "delta", delta))
        return gr__loss_failed(x[0]);
    return gr__loss_reduce("huber", penalty_of_difference(x, delta), o->reduction);
}

#define HUBER(r, ...) &(const gr_huber_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample huber_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2, .attrs = HUBER(MEAN, 0.5)},
    {.name = "default bend", .in = {{.shape = {1, {9}}, .low = -3, .high = 3}, {.shape = {1, {9}}}}, .n_in = 2, .attrs = HUBER(SUM, 0)},
    {.name = "none", .in = {M34, HIGH}, .n_in = 2, .attrs = HUBER(NONE, 2.5)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = HUBER(MEAN, 3)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = HUBER(SUM, 1)},
    {.name = "negative", .in = {M34, M34}, .n_in = 2, .attrs = HUBER(MEAN, -1), .error = "must be positive, got -1"},
    OTHER_SHAPE(HUBER(MEAN, 1)),
    {0},
};

static const gr_op huber_op = {
    .name = "huber",
    .family = "loss_regression",
    .formula = "y = mean of |d| <= delta ? d^2/2 : delta (|d| - delta/2), d = x - t",
    .derivation = "near 0 the slope is that of d^2/2, d; beyond delta it stays at delta sign(d): "
                  "dx = d cut to [-delta, delta], times dy / n; dt = -dx",
    .ties = "|x - t| = delta: none, both sides have the derivative delta; it is the second that "
            "jumps, and counts as 0 there",
    .n_in = 2,
    .attrs_size = sizeof(gr_huber_options),
    .fields = huber_fields,
    .define = huber_define,
    .samples = huber_samples,
};

/* Squared error for small differences, absolute error for large ones. P. J. Huber, "Robust
 * estimation of a location parameter", 1964. */
gr_tensor *gr_huber(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&huber_op, x, target, &(gr_huber_options){0}, GR_HERE);
}

gr_tensor *gr_huber_loss(gr_tensor *x, gr_tensor *target, gr_huber_options o)
{
    return gr__loss(&huber_op, x, target, &o, GR_HERE);
}

static const gr_field smooth_l1_fields[] = {
    GR_FIELD_NAMED(gr_smooth_l1_options, reduction, gr__reductions),
    GR_FIELD(gr_smooth_l1_options, beta, GR_FIELD_F64),
    {0},
};

static gr_tensor *smooth_l1_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_smooth_l1_options *o = attrs;
    double beta = o->beta == 0 ? 1 : o->beta;
    (void)n;
    if (!gr__loss_alike("smooth_l1", x[0], x[1]) ||
        !gr__loss_positive("smooth_l1", x[0], "beta", beta))
        return gr__loss_failed(x[0]);
    gr_tensor *loss = gr_scale(penalty_of_difference(x, beta), 1 / beta);
    return gr__loss_reduce("smooth_l1", loss, o->reduction);
}

#define SMOOTH(r, ...) &(const gr_smooth_l1_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample smooth_l1_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2, .attrs = SMOOTH(MEAN, 0.5)},
    {.name = "default bend", .in = {{.shape = {1, {9}}, .low = -3, .high = 3}, {.shape = {1, {9}}}}, .n_in = 2, .attrs = SMOOTH(SUM, 0)},
    {.name = "none", .in = {M34, HIGH}, .n_in = 2, .attrs = SMOOTH(NONE, 2.5)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = SMOOTH(MEAN, 3)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = SMOOTH(SUM, 1)},
    {.name = "negative", .in = {M34, M34}, .n_in = 2, .attrs = SMOOTH(MEAN, -1), .error = "must be positive, got -1"},
    OTHER_SHAPE(SMOOTH(MEAN, 1)),
    {0},
};

static const gr_op smooth_l1_op = {
    .name = "smooth_l1",
    .family = "loss_regression",
    .formula = "y = mean of |d| <= beta ? d^2/(2 beta) : |d| - beta/2, d = x - t",
    .derivation = "huber with delta = beta, over beta: dx = d/beta cut to [-1, 1], times dy / n; "
                  "dt = -dx",
    .ties = "|x - t| = beta: none, both sides have the derivative 1; it is the second that jumps, "
            "and counts as 0 there",
    .n_in = 2,
    .attrs_size = sizeof(gr_smooth_l1_options),
    .fields = smooth_l1_fields,
    .define = smooth_l1_define,
    .samples = smooth_l1_samples,
};

/* |x - target| with its corner rounded within beta; for beta towards 0 it becomes gr_l1. Girshick,
 * "Fast R-CNN", 2015. */
gr_tensor *gr_smooth_l1(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&smooth_l1_op, x, target, &(gr_smooth_l1_options){0}, GR_HERE);
}

gr_tensor *gr_smooth_l1_loss(gr_tensor *x, gr_tensor *target, gr_smooth_l1_options o)
{
    return gr__loss(&smooth_l1_op, x, target, &o, GR_HERE);
}

const gr_op *const gr__loss_regression_ops[] = {
    &mse_op, &l1_op, &huber_slope_op, &huber_penalty_op, &huber_op, &smooth_l1_op, NULL,
};
