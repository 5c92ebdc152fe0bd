/* loss_margin.c - losses that ask for a distance from the border, t = -1 or 1.
 *
 *   soft_margin       log(1 + exp(-t x))           -t sigmoid(-t x)
 *   hinge             max(0, m - t x)              -t [t x < m]
 *   squared_hinge     max(0, m - t x)^2            -2 t max(0, m - t x)
 *   margin_ranking    max(0, m - t (a - b))        -t [t (a - b) < m]
 *
 * The right column is the derivative by x, or by a.
 */
/* SPDX-License-Identifier: MIT */
#include "loss.h"

#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define HIGH {.shape = {2, {3, 4}}, .low = 2, .high = 3}
#define LOW {.shape = {2, {3, 4}}, .low = -3, .high = -2}

/* --- soft_margin --- */

static const gr_field loss_fields[] = {
    GR_FIELD_NAMED(gr_loss_options, reduction, gr__reductions),
    {0},
};

#define REDUCTION(r) &(const gr_loss_options){GR_REDUCTION_##r}

static gr_tensor *soft_margin_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    if (!gr__loss_alike("soft_margin", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *loss = gr_softplus(gr_neg(gr_mul(x[0], x[1])));
    return gr__loss_reduce("soft_margin", loss, ((const gr_loss_options *)attrs)->reduction);
}

static const gr_sample soft_margin_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "sum", .in = {M34, HIGH}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "none", .in = {LOW, M34}, .n_in = 2, .attrs = REDUCTION(NONE)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = REDUCTION(MEAN), .error = "target of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op soft_margin_op = {
    .name = "soft_margin",
    .family = "loss_margin",
    .formula = "y = mean of log(1 + exp(-t x))",
    .derivation = "log(1 + exp(z)) has the slope sigmoid(z), here z = -t x: "
                  "dx = -t sigmoid(-t x) dy / n and dt = -x sigmoid(-t x) dy / n",
    .n_in = 2,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = soft_margin_define,
    .samples = soft_margin_samples,
};

/* Logistic loss of scores x with targets -1 and 1; finite for any x. */
gr_tensor *gr_soft_margin(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&soft_margin_op, x, target, &(gr_loss_options){0}, GR_HERE);
}

gr_tensor *gr_soft_margin_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o)
{
    return gr__loss(&soft_margin_op, x, target, &o, GR_HERE);
}

/* --- hinge, squared_hinge --- */

static const gr_field hinge_fields[] = {
    GR_FIELD_NAMED(gr_hinge_options, reduction, gr__reductions),
    GR_FIELD(gr_hinge_options, margin, GR_FIELD_F64),
    {0},
};

/* max(0, margin - z) */
static gr_tensor *short_of(gr_tensor *z, double margin)
{
    return gr_relu(gr_shift(gr_neg(z), margin));
}

static gr_tensor *hinge_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_hinge_options *o = attrs;
    (void)n;
    if (!gr__loss_alike("hinge", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *loss = short_of(gr_mul(x[0], x[1]), o->margin == 0 ? 1 : o->margin);
    return gr__loss_reduce("hinge", loss, o->reduction);
}

#define HINGE(r, ...) &(const gr_hinge_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample hinge_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2, .attrs = HINGE(MEAN, 0)},
    {.name = "sum", .in = {M34, HIGH}, .n_in = 2, .attrs = HINGE(SUM, 0.5)},
    {.name = "none", .in = {M34, LOW}, .n_in = 2, .attrs = HINGE(NONE, 2)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = HINGE(MEAN, 3)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = HINGE(SUM, 0)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = HINGE(MEAN, 0), .error = "target of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op hinge_op = {
    .name = "hinge",
    .family = "loss_margin",
    .formula = "y = mean of max(0, margin - t x)",
    .derivation = "where t x is short of the margin y falls by t for each x: dx = -t dy / n, "
                  "dt = -x dy / n; elsewhere 0",
    .ties = "t x = margin: the derivative is 0, that of relu",
    .n_in = 2,
    .attrs_size = sizeof(gr_hinge_options),
    .fields = hinge_fields,
    .define = hinge_define,
    .samples = hinge_samples,
};

/* Scores x with targets -1 and 1: no loss beyond the margin (0: 1) on the right side. */
gr_tensor *gr_hinge(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&hinge_op, x, target, &(gr_hinge_options){0}, GR_HERE);
}

gr_tensor *gr_hinge_loss(gr_tensor *x, gr_tensor *target, gr_hinge_options o)
{
    return gr__loss(&hinge_op, x, target, &o, GR_HERE);
}

static gr_tensor *squared_hinge_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_hinge_options *o = attrs;
    (void)n;
    if (!gr__loss_alike("squared_hinge", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *missing = short_of(gr_mul(x[0], x[1]), o->margin == 0 ? 1 : o->margin);
    return gr__loss_reduce("squared_hinge", gr_square(missing), o->reduction);
}

static const gr_op squared_hinge_op = {
    .name = "squared_hinge",
    .family = "loss_margin",
    .formula = "y = mean of max(0, margin - t x)^2",
    .derivation = "with m = max(0, margin - t x): dx = -2 t m dy / n and dt = -2 x m dy / n",
    .ties = "t x = margin: none, the derivative is 0 on both sides; it is the second that jumps, "
            "and counts as 0 there",
    .n_in = 2,
    .attrs_size = sizeof(gr_hinge_options),
    .fields = hinge_fields,
    .define = squared_hinge_define,
    .samples = hinge_samples,
};

gr_tensor *gr_squared_hinge(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&squared_hinge_op, x, target, &(gr_hinge_options){0}, GR_HERE);
}

gr_tensor *gr_squared_hinge_loss(gr_tensor *x, gr_tensor *target, gr_hinge_options o)
{
    return gr__loss(&squared_hinge_op, x, target, &o, GR_HERE);
}

/* --- margin_ranking --- */

static const gr_field margin_fields[] = {
    GR_FIELD_NAMED(gr_margin_options, reduction, gr__reductions),
    GR_FIELD(gr_margin_options, margin, GR_FIELD_F64),
    {0},
};

static gr_tensor *margin_ranking_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_margin_options *o = attrs;
    (void)n;
    if (!gr__loss_alike("margin_ranking", x[0], x[1]) ||
        !gr__loss_alike("margin_ranking", x[0], x[2]))
        return gr__loss_failed(x[0]);
    gr_tensor *loss = short_of(gr_mul(x[2], gr_sub(x[0], x[1])), o->margin);
    return gr__loss_reduce("margin_ranking", loss, o->reduction);
}

#define MARGIN(r, ...) &(const gr_margin_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample margin_ranking_samples[] = {
    {.name = "matrix", .in = {M34, HIGH, M34}, .n_in = 3, .attrs = MARGIN(MEAN, 0.2)},
    {.name = "no margin", .in = {M34, HIGH, M34}, .n_in = 3, .attrs = MARGIN(SUM, 0)},
    {.name = "none", .in = {M34, LOW, M34}, .n_in = 3, .attrs = MARGIN(NONE, 1)},
    {.name = "scalars", .in = {ONE, ONE, ONE}, .n_in = 3, .attrs = MARGIN(MEAN, 5)},
    {.name = "empty", .in = {EMPTY, EMPTY, EMPTY}, .n_in = 3, .attrs = MARGIN(SUM, 0)},
    {.name = "other shape", .in = {M34, M34, {.shape = {1, {4}}}}, .n_in = 3, .attrs = MARGIN(MEAN, 0), .error = "of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op margin_ranking_op = {
    .name = "margin_ranking",
    .family = "loss_margin",
    .formula = "y = mean of max(0, margin - t (a - b))",
    .derivation = "where the order falls short of the margin: da = -t dy / n, db = t dy / n and "
                  "dt = (b - a) dy / n; elsewhere 0",
    .ties = "t (a - b) = margin: the derivative is 0, that of relu (PyTorch's is that inside)",
    .n_in = 3,
    .attrs_size = sizeof(gr_margin_options),
    .fields = margin_fields,
    .define = margin_ranking_define,
    .samples = margin_ranking_samples,
};

/* Whether a is to be larger than b (target 1) or smaller (-1), by at least the margin (0). */
gr_tensor *gr_margin_ranking(gr_tensor *a, gr_tensor *b, gr_tensor *target)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &margin_ranking_op, in, 3, &(gr_margin_options){0}, GR_HERE);
}

gr_tensor *gr_margin_ranking_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target,
                                  gr_margin_options o)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &margin_ranking_op, in, 3, &o, GR_HERE);
}

const gr_op *const gr__loss_margin_ops[] = {
    &soft_margin_op, &hinge_op, &squared_hinge_op, &margin_ranking_op, NULL,
};
