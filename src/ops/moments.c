/* moments.c - variance and standard deviation over axes.
 *
 *   m = mean_i x_i
 *   v = sum_i (x_i - m)^2 / (n - correction)   dx_i = dv 2 (x_i - m) / (n - correction)
 *   s = sqrt(v)                                dx_i = ds (x_i - m) / ((n - correction) s)
 *
 * The mean's own dependence on x drops out: the deviations sum to 0.
 */
/* SPDX-License-Identifier: MIT */
#include "fold.h"

#include <math.h>

typedef struct var_attrs {
    gr__axes_attrs over;
    int correction;
} var_attrs;

static const gr_field var_fields[] = {
    {"axes", GR_FIELD_AXES, offsetof(var_attrs, over.axes), 0, NULL},
    {"keepdim", GR_FIELD_BOOL, offsetof(var_attrs, over.keepdim), 0, NULL},
    GR_FIELD(var_attrs, correction, GR_FIELD_INT),
    {0},
};

static bool var_infer(gr_infer *c)
{
    if (((const var_attrs *)c->attrs)->correction < 0)
        return gr_infer_fail(c, "correction %d must not be negative",
                             ((const var_attrs *)c->attrs)->correction);
    if (!gr__axes_infer(c)) return false;
    c->shape[1] = c->shape[0];
    return true;
}

/* n - correction, at least 0: of too few elements the variance is 0/0 or x/0. */
static double divisor(double count, int correction)
{
    return fmax(count - correction, 0);
}

static void squared_deviations(double *x, int64_t n, double mean)
{
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - mean) * (x[i] - mean);
}

/* Two passes: no cancellation, however large the mean. */
static gr_status run_var(gr_exec *e, bool root)
{
    const double count = (double)gr__axes_reduction(e).count;
    const int correction = ((const var_attrs *)e->attrs)->correction;
    double *mean = gr__fold_run(e, &(gr__fold){.join = gr__fold_sum});
    if (!mean) return GR_ERR_MEMORY;
    int64_t outputs = gr_shape_numel(e->out[0].shape);
    for (int64_t i = 0; i < outputs; i++) mean[i] /= count;
    double *y = gr__fold_run(e, &(gr__fold){.map = squared_deviations, .join = gr__fold_sum,
                                        .constants = mean});
    if (!y) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < outputs; i++) {
        y[i] /= divisor(count, correction);
        if (root) y[i] = sqrt(y[i]);
    }
    gr__fold_store(e, 0, y);
    gr__fold_store(e, 1, mean);
    return GR_OK;
}

static gr_status var_forward(gr_exec *e)
{
    return run_var(e, false);
}

static gr_status std_forward(gr_exec *e)
{
    return run_var(e, true);
}

/* Adds what comes through the deviations, whose slope is given, and through the mean. */
static void moments_vjp(gr_pullback *p, gr_tensor *slope)
{
    gr_tensor *x = p->x[0];
    double results = (double)gr_numel(p->y[0]), count = (double)gr_numel(x) / results;
    if (slope)
        p->dx[0] = gr_mul(gr__axes_spread(p, slope), gr_sub(x, gr__axes_spread(p, p->y[1])));
    if (!p->dy[1]) return;
    gr_tensor *through_mean = gr_scale(gr__axes_spread(p, p->dy[1]), 1 / count);
    p->dx[0] = p->dx[0] ? gr_add(p->dx[0], through_mean) : through_mean;
}

static double divisor_of(const gr_pullback *p)
{
    double results = (double)gr_numel(p->y[0]), count = (double)gr_numel(p->x[0]) / results;
    return divisor(count, ((const var_attrs *)p->attrs)->correction);
}

static void var_vjp(gr_pullback *p)
{
    moments_vjp(p, p->dy[0] ? gr_scale(p->dy[0], 2 / divisor_of(p)) : NULL);
}

/* dy / ((n - correction) s), and 0 where s = 0. */
static gr_tensor *std_slope(gr_pullback *p)
{
    gr_tensor *s = p->y[0];
    gr_tensor *zero = gr_scalar(p->graph, gr_dtype_of(s), 0);
    gr_tensor *one = gr_scalar(p->graph, gr_dtype_of(s), 1);
    gr_tensor *flat = gr_equal(s, zero);
    gr_tensor *slope = gr_div(p->dy[0], gr_scale(gr_where(flat, one, s), divisor_of(p)));
    return gr_where(flat, zero, slope);
}

static void std_vjp(gr_pullback *p)
{
    moments_vjp(p, p->dy[0] ? std_slope(p) : NULL);
}

/* Whether all elements are equal, and how far from it. */
static void std_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n; i++) {
        double s = gr__real_at(&e->out[0], i);
        gr_branch_add(b, s == 0, s);
    }
}

#define CUBE {.shape = {3, {2, 3, 4}}}
#define VAR(correction, keepdim, ...) &(const var_attrs){{{__VA_ARGS__}, keepdim}, correction}

static const gr_sample var_samples[] = {
    {.name = "all", .in = {CUBE}, .n_in = 1, .attrs = VAR(1, false, 0, {0})},
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = VAR(0, false, 1, {-1})},
    {.name = "middle, kept", .in = {CUBE}, .n_in = 1, .attrs = VAR(1, true, 1, {1})},
    {.name = "outer two", .in = {CUBE}, .n_in = 1, .attrs = VAR(2, false, 2, {2, 0})},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = VAR(1, false, 1, {1})},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = VAR(1, false, 1, {3}), .error = "out of range"},
    {.name = "negative", .in = {CUBE}, .n_in = 1, .attrs = VAR(-1, false, 1, {1}), .error = "correction -1 must not be negative"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = VAR(1, false, 0, {0}), .error = "not defined for int64"},
    {0},
};

static const gr_op var_op = {
    .name = "var",
    .family = "moments",
    .formula = "y = sum_i (x_i - m)^2 / (n - correction) over the reduced axes, and m = mean_i x_i",
    .derivation = "dy/dx_i = 2 (x_i - m) / (n - correction): what m moves cancels, since "
                  "sum_i (x_i - m) = 0; through output 1, dm/dx_i = 1/n",
    .n_in = 1,
    .n_out = 2,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(1),
    .attrs_size = sizeof(var_attrs),
    .fields = var_fields,
    .infer = var_infer,
    .forward = {[GR_F32] = var_forward, [GR_F64] = var_forward},
    .vjp = var_vjp,
    .samples = var_samples,
};

static const gr_op std_op = {
    .name = "std",
    .family = "moments",
    .formula = "y = sqrt(sum_i (x_i - m)^2 / (n - correction)) over the reduced axes, and m = mean_i x_i",
    .derivation = "y^2 is the variance, so 2 y dy/dx_i = 2 (x_i - m) / (n - correction); through "
                  "output 1, dm/dx_i = 1/n",
    .ties = "all x_i equal: y = 0 with derivative 0 (PyTorch's choice)",
    .n_in = 1,
    .n_out = 2,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0) | GR_READS_OUT(1),
    .attrs_size = sizeof(var_attrs),
    .fields = var_fields,
    .infer = var_infer,
    .forward = {[GR_F32] = std_forward, [GR_F64] = std_forward},
    .vjp = std_vjp,
    .branch = std_branch,
    .samples = var_samples,
};

/* Variances over the named axes; GR_ALL: over all. correction 1 estimates the variance of what x is
 * a sample of (Bessel), 0 gives that of x itself. gr_output(y, 1) is the mean. NaN where n is at
 * most the correction and all are equal, else Inf there. */
gr_tensor *gr_var(gr_tensor *x, gr_axes axes, bool keepdim, int correction)
{
    return gr__unary(&var_op, x, &(var_attrs){{axes, keepdim}, correction}, GR_HERE);
}

/* Standard deviations, as gr_var. */
gr_tensor *gr_std(gr_tensor *x, gr_axes axes, bool keepdim, int correction)
{
    return gr__unary(&std_op, x, &(var_attrs){{axes, keepdim}, correction}, GR_HERE);
}

const gr_op *const gr__moments_ops[] = {&var_op, &std_op, NULL};
