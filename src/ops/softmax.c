/* softmax.c - scores to probabilities, and the losses that compare them with the truth.
 *
 *   softmax        y_i = exp(x_i) / sum_j exp(x_j)         dx_i = y_i (dy_i - sum_j dy_j y_j)
 *   log_softmax    y_i = x_i - log sum_j exp(x_j)          dx_i = dy_i - exp(y_i) sum_j dy_j
 *   cross_entropy  y = -mean_n log softmax(x_n)[t_n]       dx_n = (p_n - e_n) dy / N
 *
 * p_n is softmax(x_n) and e_n has a 1 at t_n and 0 elsewhere. The Jacobian of softmax is
 * diag(y) - y y^T: raising one score lowers all other probabilities.
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

/* --- cross_entropy --- */

#define LOGITS {.shape = {2, {5, 4}}}
#define LABELS {.shape = {1, {5}}, .integer = true, .low = 0, .high = 4}
#define ONE {.shape = {0, {0}}}

/* [N,C] with [N], or [C] with a scalar. */
static bool logits_infer(gr_infer *c)
{
    const gr_shape *x = gr_shape_of(c->in[0]), *t = gr_shape_of(c->in[1]);
    if (!gr__infer_index(c, 1, "target")) return false;
    if ((x->rank == 1 && t->rank == 0) ||
        (x->rank == 2 && t->rank == 1 && t->dim[0] == x->dim[0]))
        return true;
    return gr_infer_fail(c, "expected logits [N,C] with a target [N], or [C] with a scalar, got %s "
                         "with %s", gr_infer_shape(c, 0), gr_infer_shape(c, 1));
}

static bool cross_entropy_infer(gr_infer *c)
{
    if (!logits_infer(c)) return false;
    c->shape[0] = GR_SCALAR;
    return true;
}

static int64_t rows_of(const gr_shape *x)
{
    return x->rank == 2 ? x->dim[0] : 1;
}

static gr__cross_entropy rows_and_targets(const gr_exec *e)
{
    const gr_shape *x = e->in[0].shape;
    return (gr__cross_entropy){rows_of(x), x->dim[x->rank - 1], e->in[0].data, e->in[1].data};
}

static void store(gr_value *v, double value)
{
    gr__set_scalar(v->data, v->dtype, value);
}

/* Rows are added in their order: the bits do not depend on the threads. */
static gr_status cross_entropy_forward(gr_exec *e)
{
    gr__cross_entropy c = rows_and_targets(e);
    if (gr__check_index(e, 1, "target", c.classes)) return GR_ERR_ARGUMENT;
    double total = 0, *loss = gr_exec_scratch(e, (size_t)c.rows * sizeof *loss + 1);
    if (!loss) return GR_ERR_MEMORY;
    gr__kernels_for(e->in[0].dtype)->cross_entropy(&c, loss);
    for (int64_t i = 0; i < c.rows; i++) total += loss[i];
    store(&e->out[0], total / (double)c.rows);
    return GR_OK;
}

static gr_tensor *cross_entropy_grad(gr_tensor *logits, gr_tensor *target, gr_tensor *dy);

static void cross_entropy_vjp(gr_pullback *p)
{
    p->dx[0] = cross_entropy_grad(p->x[0], p->x[1], p->dy[0]);
}

static const gr_sample cross_entropy_samples[] = {
    {.name = "batch", .in = {LOGITS, LABELS}, .n_in = 2},
    {.name = "wide scores", .in = {{.shape = {2, {5, 4}}, .low = -6, .high = 6}, LABELS}, .n_in = 2},
    {.name = "one row", .in = {{.shape = {1, {4}}}, {.integer = true, .high = 4}}, .n_in = 2},
    {.name = "one class", .in = {{.shape = {2, {3, 1}}}, {.shape = {1, {3}}, .integer = true, .high = 1}}, .n_in = 2},
    {.name = "wrong count", .in = {LOGITS, {.shape = {1, {4}}, .integer = true, .high = 4}}, .n_in = 2, .error = "got [5,4] with [4]"},
    {.name = "wrong rank", .in = {{.shape = {3, {2, 3, 4}}}, LABELS}, .n_in = 2, .error = "expected logits [N,C]"},
    {.name = "float target", .in = {LOGITS, {.shape = {1, {5}}}}, .n_in = 2, .error = "target is float64, expected int64"},
    {0},
};

static const gr_op cross_entropy_op = {
    .name = "cross_entropy",
    .family = "softmax",
    .formula = "y = -mean_n log softmax(x_n)[t_n]",
    .derivation = "-log softmax(x)[t] = log sum_j exp(x_j) - x_t has the gradient p - e_t with "
                  "p = softmax(x), so dx_n = (p_n - e_n) dy / N",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = cross_entropy_infer,
    .forward = {[GR_F32] = cross_entropy_forward, [GR_F64] = cross_entropy_forward},
    .vjp = cross_entropy_vjp,
    .samples = cross_entropy_samples,
};

/* The mean over rows of -log softmax(logits)[target], a scalar. logits: [N,C], unnormalised scores;
 * target: int64 [N], the index of the right class; or [C] with a scalar target. A target outside
 * [0, C) is an error when the value is computed. N = 0 gives NaN. */
gr_tensor *gr_cross_entropy(gr_tensor *logits, gr_tensor *target)
{
    return gr__binary(&cross_entropy_op, logits, target, GR_HERE);
}

/* --- cross_entropy_grad: its backward as an op, that has a backward itself --- */

static bool cross_entropy_grad_infer(gr_infer *c)
{
    if (!logits_infer(c)) return false;
    if (gr_shape_of(c->in[2])->rank == 0 && gr_dtype_of(c->in[2]) == gr_dtype_of(c->in[0]))
        return true;
    return gr_infer_fail(c, "expected a scalar %s cotangent, got %s %s",
                         gr_dtype_name(gr_dtype_of(c->in[0])),
                         gr_dtype_name(gr_dtype_of(c->in[2])), gr_infer_shape(c, 2));
}

static gr_status cross_entropy_grad_forward(gr_exec *e)
{
    gr__cross_entropy c = rows_and_targets(e);
    if (gr__check_index(e, 1, "target", c.classes)) return GR_ERR_ARGUMENT;
    double dy = gr__get_scalar(e->in[2].data, e->in[2].dtype);
    gr__kernels_for(e->in[0].dtype)->cross_entropy_grad(&c, dy / (double)c.rows, e->out[0].data);
    return GR_OK;
}

/* dz_n = (dy/N) (p_n - e_n); v is the cotangent of dz. */
static void cross_entropy_grad_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *target = p->x[1], *v = p->dy[0];
    double rows = (double)rows_of(gr_shape_of(x));
    if (p->wants[0]) {
        gr_tensor *prob = gr_softmax(x, -1), *weighted = gr_mul(v, prob);
        gr_tensor *centred = gr_sub(weighted, gr_mul(prob, sum_along(weighted, -1)));
        p->dx[0] = gr_mul(centred, gr_scale(p->x[2], 1 / rows));
    }
    if (p->wants[2]) {
        gr_tensor *one = gr_scalar(p->graph, gr_dtype_of(x), 1);
        p->dx[2] = gr_sum_all(gr_mul(v, cross_entropy_grad(x, target, one)));
    }
}

static const gr_sample cross_entropy_grad_samples[] = {
    {.name = "batch", .in = {LOGITS, LABELS, ONE}, .n_in = 3},
    {.name = "one row", .in = {{.shape = {1, {4}}}, {.integer = true, .high = 4}, ONE}, .n_in = 3},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {1, {0}}, .integer = true, .high = 4}, ONE}, .n_in = 3},
    {.name = "wrong cotangent", .in = {LOGITS, LABELS, {.shape = {1, {5}}}}, .n_in = 3, .error = "expected a scalar"},
    {0},
};

static const gr_op cross_entropy_grad_op = {
    .name = "cross_entropy_grad",
    .family = "softmax",
    .formula = "z_n = (softmax(x_n) - e_n) w / N, e_n being 1 at t_n and 0 elsewhere",
    .derivation = "through softmax, whose Jacobian is diag(p) - p p^T: dx_n = (w/N) p_n (dz_n - "
                  "sum_j dz_nj p_nj); linear in w: dw = sum dz (p - e) / N",
    .n_in = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .infer = cross_entropy_grad_infer,
    .forward = {[GR_F32] = cross_entropy_grad_forward, [GR_F64] = cross_entropy_grad_forward},
    .vjp = cross_entropy_grad_vjp,
    .samples = cross_entropy_grad_samples,
};

static gr_tensor *cross_entropy_grad(gr_tensor *logits, gr_tensor *target, gr_tensor *dy)
{
    gr_tensor *in[3] = {logits, target, dy};
    return gr__apply(NULL, &cross_entropy_grad_op, in, 3, NULL, GR_HERE);
}

const gr_op *const gr__softmax_ops[] = {
    &softmax_op, &log_softmax_op, &cross_entropy_op, &cross_entropy_grad_op, NULL,
};
