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
#define ONE {.shape = {0, {0}}}
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

static const gr_op softmax_grad_op, log_softmax_grad_op;

/* The VJP of both: the gradient as one op. */
static gr_tensor *backwards(const gr_op *op, const gr_pullback *p)
{
    return gr_apply(p->graph, op, (gr_tensor *[]){p->dy[0], p->y[0]}, 2, p->attrs);
}

static gr_status softmax_forward(gr_exec *e)
{
    run_softmax(e, false);
    return GR_OK;
}

static void softmax_vjp(gr_pullback *p)
{
    p->dx[0] = backwards(&softmax_grad_op, p);
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
    p->dx[0] = backwards(&log_softmax_grad_op, p);
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

/* --- softmin --- */

static gr_tensor *softmin_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    return gr_softmax(gr_neg(x[0]), ((const axis_attrs *)attrs)->axis);
}

static const gr_op softmin_op = {
    .name = "softmin",
    .family = "softmax",
    .formula = "y_i = exp(-x_i) / sum_j exp(-x_j)",
    .derivation = "softmax of -x, so dx_k = -y_k (dy_k - sum_i dy_i y_i)",
    .n_in = 1,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = softmin_define,
    .samples = axis_samples,
};

/* The softmax of -x along the axis: the smallest element gets the largest share. */
gr_tensor *gr_softmin(gr_tensor *x, int axis)
{
    return gr__unary(&softmin_op, x, &(axis_attrs){axis}, GR_HERE);
}

/* --- softmax_grad, log_softmax_grad: (dy, y) -> dx --- */

/* The sum along the axis, of size 1 there. */
static gr_tensor *sum_along(gr_tensor *x, const void *attrs)
{
    const int axis = ((const axis_attrs *)attrs)->axis;
    return gr_sum(x, gr_shape_of(x)->rank ? GR_AXES(axis) : GR_ALL, true);
}

static bool softmax_grad_infer(gr_infer *c)
{
    if (!gr__same_dtype(c, 0, 1)) return false;
    if (!gr_shape_equal(gr_shape_of(c->in[0]), gr_shape_of(c->in[1])))
        return gr_infer_fail(c, "expected dy of the shape of y, %s, got %s", gr_infer_shape(c, 1),
                             gr_infer_shape(c, 0));
    return softmax_infer(c);
}

static gr_status run_softmax_grad(gr_exec *e, bool log)
{
    gr__along a = gr__along_axis(e->in[0].shape, ((const axis_attrs *)e->attrs)->axis);
    gr__softmax_grad s = {a.outer, a.n, a.inner, e->in[0].data, e->in[1].data, e->out[0].data, log};
    gr__kernels_for(e->in[0].dtype)->softmax_grad(&s);
    return GR_OK;
}

static gr_status softmax_grad_forward(gr_exec *e)
{
    return run_softmax_grad(e, false);
}

/* u is the cotangent of dx: with s = sum dy y and t = sum u y, <u, dx> = sum u y dy - s t. */
static void softmax_grad_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->x[0], *y = p->x[1], *u = p->dy[0];
    if (p->wants[0])
        p->dx[0] = gr_apply(p->graph, &softmax_grad_op, (gr_tensor *[]){u, y}, 2, p->attrs);
    if (!p->wants[1]) return;
    gr_tensor *s = sum_along(gr_mul(dy, y), p->attrs), *t = sum_along(gr_mul(u, y), p->attrs);
    p->dx[1] = gr_sub(gr_mul(u, gr_sub(dy, s)), gr_mul(dy, t));
}

static const gr_sample softmax_grad_samples[] = {
    {.name = "rows", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(-1)},
    {.name = "columns", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {CUBE, CUBE}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "scalar", .in = {ONE, ONE}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {2, {0, 4}}}}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = AXIS(0), .error = "expected dy of the shape of y, [4], got [3,4]"},
    {.name = "bad axis", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "integers", .in = {M34, {.shape = {2, {3, 4}}, .integer = true, .high = 3}}, .n_in = 2, .attrs = AXIS(0), .error = "cannot mix float64 and int64"},
    {0},
};

static const gr_op softmax_grad_op = {
    .name = "softmax_grad",
    .family = "softmax",
    .formula = "dx_k = y_k (dy_k - s) with s = sum_i dy_i y_i",
    .derivation = "linear in dy with a symmetric matrix, diag(y) - y y^T: for a cotangent u of dx "
                  "it gives softmax_grad(u, y); and y_k gets u_k (dy_k - s) - dy_k sum_i u_i y_i",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = softmax_grad_infer,
    .forward = {[GR_F32] = softmax_grad_forward, [GR_F64] = softmax_grad_forward},
    .vjp = softmax_grad_vjp,
    .samples = softmax_grad_samples,
};

static gr_status log_softmax_grad_forward(gr_exec *e)
{
    return run_softmax_grad(e, true);
}

static void log_softmax_grad_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->x[0], *u = p->dy[0], *weighted = gr_mul(u, gr_exp(p->x[1]));
    if (p->wants[0]) p->dx[0] = gr_sub(u, sum_along(weighted, p->attrs));
    if (p->wants[1]) p->dx[1] = gr_neg(gr_mul(weighted, sum_along(dy, p->attrs)));
}

static const gr_op log_softmax_grad_op = {
    .name = "log_softmax_grad",
    .family = "softmax",
    .formula = "dx_k = dy_k - exp(y_k) sum_i dy_i",
    .derivation = "linear in dy: for a cotangent u of dx it gets u_k - sum_i u_i exp(y_i); exp is "
                  "its own derivative, so y_k gets -u_k exp(y_k) sum_i dy_i",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = softmax_grad_infer,
    .forward = {[GR_F32] = log_softmax_grad_forward, [GR_F64] = log_softmax_grad_forward},
    .vjp = log_softmax_grad_vjp,
    .samples = softmax_grad_samples,
};

const gr_op *const gr__softmax_ops[] = {
    &softmax_op, &log_softmax_op, &softmin_op, &softmax_grad_op, &log_softmax_grad_op, NULL,
};
