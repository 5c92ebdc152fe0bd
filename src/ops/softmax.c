/* softmax.c - scores to probabilities.
 *
 *   softmax        y_i = exp(x_i) / sum_j exp(x_j)         dx_i = y_i (dy_i - sum_j dy_j y_j)
 *   log_softmax    y_i = x_i - log sum_j exp(x_j)          dx_i = dy_i - exp(y_i) sum_j dy_j
 *
 * The Jacobian of softmax is diag(y) - y y^T: raising one score lowers all other probabilities.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "kernels.h"

/* --- softmax, log_softmax --- */

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

#define M34 {.shape = {2, {3, 4}}}
#define CUBE {.shape = {3, {2, 5, 3}}}
#define AXIS(i) &(const axis_attrs){i}

static const gr_sample axis_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = AXIS(-1)},
    {.name = "columns", .in = {M34}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "wide scores", .in = {{.shape = {1, {9}}, .low = -8, .high = 8}}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "empty axis", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = AXIS(2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = AXIS(0), .error = "not defined for int64"},
    {0},
};

static bool softmax_infer(gr_infer *c)
{
    return gr__along_infer(c, ((const axis_attrs *)c->attrs)->axis);
}

static void run_softmax(const gr_exec *e, bool log)
{
    gr__along a = gr__along_axis(e->in[0].shape, ((const axis_attrs *)e->attrs)->axis);
    gr__softmax s = {a.outer, a.n, a.inner, e->in[0].data, e->out[0].data, log};
    gr__kernels_for(e->in[0].dtype)->softmax(&s);
}

/* The sum along the axis, of size 1 there. */
static gr_tensor *sum_along(gr_tensor *x, int axis)
{
    return gr_sum(x, gr_shape_of(x)->rank ? GR_AXES(axis) : GR_ALL, true);
}

static gr_status softmax_forward(gr_exec *e)
{
    run_softmax(e, false);
    return GR_OK;
}

static void softmax_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0], *dy = p->dy[0];
    gr_tensor *mean = sum_along(gr_mul(dy, y), ((const axis_attrs *)p->attrs)->axis);
    p->dx[0] = gr_mul(y, gr_sub(dy, mean));
}

static const gr_op softmax_op = {
    .name = "softmax",
    .family = "softmax",
    .formula = "y_i = exp(x_i) / sum_j exp(x_j)",
    .derivation = "dy_i/dx_k = y_i ([i = k] - y_k), so dx_k = y_k (dy_k - sum_i dy_i y_i)",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = softmax_infer,
    .forward = {[GR_F32] = softmax_forward, [GR_F64] = softmax_forward},
    .vjp = softmax_vjp,
    .samples = axis_samples,
};

/* Probabilities from scores: exp(x) over its sum along the axis; -1 is the last. The largest score
 * is taken off first, so that nothing overflows; a row of -Inf alone, or with Inf, gives NaN. */
gr_tensor *gr_softmax(gr_tensor *x, int axis)
{
    return gr__unary(&softmax_op, x, &(axis_attrs){axis}, GR_HERE);
}

static gr_status log_softmax_forward(gr_exec *e)
{
    run_softmax(e, true);
    return GR_OK;
}

static void log_softmax_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0];
    gr_tensor *total = sum_along(dy, ((const axis_attrs *)p->attrs)->axis);
    p->dx[0] = gr_sub(dy, gr_mul(gr_exp(p->y[0]), total));
}

static const gr_op log_softmax_op = {
    .name = "log_softmax",
    .family = "softmax",
    .formula = "y_i = x_i - log sum_j exp(x_j)",
    .derivation = "dy_i/dx_k = [i = k] - exp(y_k), so dx_k = dy_k - exp(y_k) sum_i dy_i",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = softmax_infer,
    .forward = {[GR_F32] = log_softmax_forward, [GR_F64] = log_softmax_forward},
    .vjp = log_softmax_vjp,
    .samples = axis_samples,
};

/* The logarithm of gr_softmax, finite where the probability itself would round to 0. */
gr_tensor *gr_log_softmax(gr_tensor *x, int axis)
{
    return gr__unary(&log_softmax_op, x, &(axis_attrs){axis}, GR_HERE);
}

const gr_op *const gr__softmax_ops[] = {&softmax_op, &log_softmax_op, NULL};
