/* scan.c - running totals along an axis.
 *
 *   cumsum        y_i = x_0 + ... + x_i             dx_j = sum_{i>=j} dy_i
 *   cumprod       y_i = x_0 ... x_i                 dx_j = e_j r_j,  r_j = dy_j + x_{j+1} r_{j+1}
 *   linear_scan   y_i = a_i y_{i-1} + b_i           db_i = g_i,      g_i = dy_i + a_{i+1} g_{i+1}
 *                                                   da_i = g_i y_{i-1}
 *   logcumsumexp  y_i = log sum_{j<=i} exp(x_j)     dx_j = exp(x_j - y_j) h_j,
 *                                                   h_j = dy_j + exp(y_j - y_{j+1}) h_{j+1}
 *
 * e_j is the product of what is before x_j. Backward runs the other way in the same time: the
 * cotangent of a linear recurrence is a linear recurrence, and the others come down to one, without
 * division and so right at zeros.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "kernels.h"

#include <math.h>

/* --- shared --- */

typedef struct scan_attrs {
    int axis;
    gr_scan_options o;
} scan_attrs;

static const gr_field scan_fields[] = {
    GR_FIELD(scan_attrs, axis, GR_FIELD_INT),
    {"reverse", GR_FIELD_BOOL, offsetof(scan_attrs, o.reverse), 0, NULL},
    {"exclusive", GR_FIELD_BOOL, offsetof(scan_attrs, o.exclusive), 0, NULL},
    {0},
};

static bool scan_infer(gr_infer *c)
{
    return gr__along_infer(c, ((const scan_attrs *)c->attrs)->axis);
}

static gr__scan scan_of(const gr_exec *e, int axis)
{
    gr__along a = gr__along_axis(e->out[0].shape, axis);
    return (gr__scan){.outer = a.outer, .n = a.n, .inner = a.inner,
                      .x = e->in[e->n_in - 1].data, .y = e->out[0].data};
}

/* What each element has before it in the order of the scan; the first gets `first`, of size 1
 * along the axis. */
static gr_tensor *before(gr_tensor *x, int axis, bool reverse, gr_tensor *first)
{
    gr__along a = gr__along_axis(gr_shape_of(x), axis);
    if (a.n == 0) return x;
    if (a.n == 1) return first;
    gr_tensor *rest = gr_slice(x, axis, reverse, a.n - !reverse, 1);
    gr_tensor *parts[2] = {reverse ? rest : first, reverse ? first : rest};
    return gr_concat(parts, 2, axis);
}

static gr_tensor *zero_before(gr_tensor *x, int axis, bool reverse)
{
    gr_shape shape = *gr_shape_of(x);
    if (shape.rank && gr__axis(&axis, shape.rank)) shape.dim[axis] = 1;
    return before(x, axis, reverse, gr_zeros(gr_graph_of(x), gr_dtype_of(x), shape));
}

#define M35 {.shape = {2, {3, 5}}}
#define CUBE {.shape = {3, {2, 5, 3}}}
#define SCAN(axis, ...) &(const scan_attrs){axis, {__VA_ARGS__}}

static const gr_sample scan_samples[] = {
    {.name = "rows", .in = {M35}, .n_in = 1, .attrs = SCAN(-1, false, false)},
    {.name = "columns", .in = {M35}, .n_in = 1, .attrs = SCAN(0, false, true)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = SCAN(1, true, false)},
    {.name = "exclusive from the end", .in = {M35}, .n_in = 1, .attrs = SCAN(1, true, true)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = SCAN(0, false, false)},
    {.name = "one", .in = {{.shape = {2, {3, 1}}}}, .n_in = 1, .attrs = SCAN(1, false, true)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = SCAN(1, true, false)},
    {.name = "empty axis", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = SCAN(1, false, true)},
    {.name = "bad axis", .in = {M35}, .n_in = 1, .attrs = SCAN(2, false, false), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = SCAN(0, false, false), .error = "not defined for int64"},
    {0},
};

/* --- cumsum --- */

static gr_status cumsum_forward(gr_exec *e)
{
    const scan_attrs *a = e->attrs;
    gr__scan s = scan_of(e, a->axis);
    s.reverse = a->o.reverse;
    s.exclusive = a->o.exclusive;
    gr__kernels_for(e->in[0].dtype)->scan_sum(&s);
    return GR_OK;
}

static void cumsum_vjp(gr_pullback *p)
{
    const scan_attrs *a = p->attrs;
    gr_scan_options back = {.reverse = !a->o.reverse, .exclusive = a->o.exclusive};
    p->dx[0] = gr_cumsum(p->dy[0], a->axis, back);
}

static const gr_op cumsum_op = {
    .name = "cumsum",
    .family = "scan",
    .formula = "y_i = sum_{j<=i} x_j along an axis (exclusive: j < i; reverse: j >= i)",
    .derivation = "x_j is a term of every y_i with i >= j, so dx_j = sum_{i>=j} dy_i: the running "
                  "sum from the other end",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(scan_attrs),
    .fields = scan_fields,
    .infer = scan_infer,
    .forward = {[GR_F32] = cumsum_forward, [GR_F64] = cumsum_forward},
    .vjp = cumsum_vjp,
    .samples = scan_samples,
};

/* Running sums along an axis, from its end with `reverse`; `exclusive`: of what is before each
 * element, so that the first is 0. Sums are carried in double. */
gr_tensor *gr_cumsum(gr_tensor *x, int axis, gr_scan_options o)
{
    return gr__unary(&cumsum_op, x, &(scan_attrs){axis, o}, GR_HERE);
}

/* --- linear_scan --- */

typedef struct linear_attrs {
    int axis;
    bool reverse;
    bool lag; /* y_i = a_{i-1} y_{i-1} + b_i */
} linear_attrs;

static const gr_field linear_fields[] = {
    GR_FIELD(linear_attrs, axis, GR_FIELD_INT),
    GR_FIELD(linear_attrs, reverse, GR_FIELD_BOOL),
    GR_FIELD(linear_attrs, lag, GR_FIELD_BOOL),
    {0},
};

static bool linear_infer(gr_infer *c)
{
    if (!gr__along_infer(c, ((const linear_attrs *)c->attrs)->axis)) return false;
    if (!gr__same_dtype(c, 0, 1)) return false;
    if (gr_shape_equal(gr_shape_of(c->in[0]), gr_shape_of(c->in[1]))) return true;
    return gr_infer_fail(c, "expected factors and terms of one shape, got %s and %s",
                         gr_infer_shape(c, 0), gr_infer_shape(c, 1));
}

static gr_status linear_forward(gr_exec *e)
{
    const linear_attrs *a = e->attrs;
    gr__scan s = scan_of(e, a->axis);
    s.a = e->in[0].data;
    s.reverse = a->reverse;
    s.lag = a->lag;
    gr__kernels_for(e->in[0].dtype)->scan_linear(&s);
    return GR_OK;
}

static gr_tensor *linear_scan(gr_tensor *a, gr_tensor *b, linear_attrs attrs);

/* The recurrence from the other end, g_i = dy_i + a_{i+1} g_{i+1}: what lags does not in turn. */
static void linear_vjp(gr_pullback *p)
{
    const linear_attrs *t = p->attrs;
    gr_tensor *y = p->y[0];
    gr_tensor *g = linear_scan(p->x[0], p->dy[0], (linear_attrs){t->axis, !t->reverse, !t->lag});
    p->dx[1] = g;
    if (p->wants[0])
        p->dx[0] = t->lag ? gr_mul(zero_before(g, t->axis, !t->reverse), y)
                          : gr_mul(g, zero_before(y, t->axis, t->reverse));
}

#define LINEAR(...) &(const linear_attrs){__VA_ARGS__}

static const gr_sample linear_samples[] = {
    {.name = "rows", .in = {M35, M35}, .n_in = 2, .attrs = LINEAR(-1, false, false)},
    {.name = "middle axis", .in = {CUBE, CUBE}, .n_in = 2, .attrs = LINEAR(1, true, false)},
    {.name = "lag", .in = {M35, M35}, .n_in = 2, .attrs = LINEAR(1, false, true)},
    {.name = "lag from the end", .in = {M35, M35}, .n_in = 2, .attrs = LINEAR(0, true, true)},
    {.name = "scalars", .in = {{.shape = {0, {0}}}, {.shape = {0, {0}}}}, .n_in = 2, .attrs = LINEAR(0, false, false)},
    {.name = "empty axis", .in = {{.shape = {2, {3, 0}}}, {.shape = {2, {3, 0}}}}, .n_in = 2, .attrs = LINEAR(1, false, true)},
    {.name = "other shape", .in = {M35, {.shape = {1, {5}}}}, .n_in = 2, .attrs = LINEAR(1, false, false), .error = "got [3,5] and [5]"},
    {.name = "mixed", .in = {M35, {.shape = {2, {3, 5}}, .integer = true, .high = 3}}, .n_in = 2, .attrs = LINEAR(1, false, false), .error = "cannot mix float64 and int64"},
    {.name = "bad axis", .in = {M35, M35}, .n_in = 2, .attrs = LINEAR(2, false, false), .error = "axis 2 is out of range for [3,5]"},
    {0},
};

static const gr_op linear_scan_op = {
    .name = "linear_scan",
    .family = "scan",
    .formula = "y_i = a_i y_{i-1} + b_i along an axis, y_0 = b_0 (lag: a_{i-1} for a_i)",
    .derivation = "y_i is used in the result and in y_{i+1}, so its whole cotangent is "
                  "g_i = dy_i + a_{i+1} g_{i+1}, a recurrence from the other end; then db_i = g_i "
                  "and da_i = g_i y_{i-1}",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(linear_attrs),
    .fields = linear_fields,
    .infer = linear_infer,
    .forward = {[GR_F32] = linear_forward, [GR_F64] = linear_forward},
    .vjp = linear_vjp,
    .samples = linear_samples,
};

static gr_tensor *linear_scan(gr_tensor *a, gr_tensor *b, linear_attrs attrs)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &linear_scan_op, in, 2, &attrs, GR_HERE);
}

/* The linear recurrence y_i = a_i y_{i-1} + b_i along an axis, from its end with `reverse`; a and
 * b are of one shape. The first element is b's, its factor is not used. Carried in double. */
gr_tensor *gr_linear_scan(gr_tensor *a, gr_tensor *b, int axis, bool reverse)
{
    return linear_scan(a, b, (linear_attrs){axis, reverse, false});
}

/* --- cumprod --- */

static gr_status cumprod_forward(gr_exec *e)
{
    const scan_attrs *a = e->attrs;
    gr__scan s = scan_of(e, a->axis);
    s.reverse = a->o.reverse;
    s.exclusive = a->o.exclusive;
    gr__kernels_for(e->in[0].dtype)->scan_product(&s);
    return GR_OK;
}

/* dx_j = e_j r_j with e_j the product before x_j and r_j = dy_j + x_{j+1} r_{j+1}; of exclusive
 * products r_j begins with dy_{j+1}. */
static void cumprod_vjp(gr_pullback *p)
{
    const scan_attrs *a = p->attrs;
    const bool back = !a->o.reverse, exclusive = a->o.exclusive;
    gr_scan_options leading = {.reverse = a->o.reverse, .exclusive = true};
    gr_tensor *e = exclusive ? p->y[0] : gr_cumprod(p->x[0], a->axis, leading);
    gr_tensor *r = linear_scan(p->x[0], p->dy[0], (linear_attrs){a->axis, back, !exclusive});
    p->dx[0] = gr_mul(e, exclusive ? zero_before(r, a->axis, back) : r);
}

static const gr_op cumprod_op = {
    .name = "cumprod",
    .family = "scan",
    .formula = "y_i = prod_{j<=i} x_j along an axis (exclusive: j < i; reverse: j >= i)",
    .derivation = "x_j is a factor of every y_i with i >= j: dx_j = e_j sum_{i>=j} dy_i "
                  "x_{j+1} ... x_i with e_j = x_0 ... x_{j-1}, and the sum is the recurrence "
                  "r_j = dy_j + x_{j+1} r_{j+1}",
    .n_in = 1,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(scan_attrs),
    .fields = scan_fields,
    .infer = scan_infer,
    .forward = {[GR_F32] = cumprod_forward, [GR_F64] = cumprod_forward},
    .vjp = cumprod_vjp,
    .samples = scan_samples,
};

/* Running products along an axis, from its end with `reverse`; `exclusive`: of what is before each
 * element, so that the first is 1. Derivatives of any order are right with zeros in x. */
gr_tensor *gr_cumprod(gr_tensor *x, int axis, gr_scan_options o)
{
    return gr__unary(&cumprod_op, x, &(scan_attrs){axis, o}, GR_HERE);
}

/* --- logcumsumexp --- */

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

static gr_status logcumsumexp_forward(gr_exec *e)
{
    gr__scan s = scan_of(e, ((const axis_attrs *)e->attrs)->axis);
    gr__kernels_for(e->in[0].dtype)->scan_logsumexp(&s);
    return GR_OK;
}

static bool logcumsumexp_infer(gr_infer *c)
{
    return gr__along_infer(c, ((const axis_attrs *)c->attrs)->axis);
}

/* Where nothing but -inf has come, y_i counts as 0: all weights are 0 there, not NaN. */
static void logcumsumexp_vjp(gr_pullback *p)
{
    const int axis = ((const axis_attrs *)p->attrs)->axis;
    gr_tensor *y = p->y[0], *first = y;
    gr__along a = gr__along_axis(gr_shape_of(y), axis);
    gr_tensor *zero = gr_scalar(p->graph, gr_dtype_of(y), 0);
    gr_tensor *none = gr_equal(y, gr_scalar(p->graph, gr_dtype_of(y), -INFINITY));
    gr_tensor *level = gr_where(none, zero, y);
    if (a.n > 1) first = gr_slice(y, axis, 0, 1, 1);
    gr_tensor *kept = gr_exp(gr_sub(before(y, axis, false, first), level));
    gr_tensor *h = linear_scan(kept, p->dy[0], (linear_attrs){axis, true, true});
    p->dx[0] = gr_mul(gr_exp(gr_sub(p->x[0], level)), h);
}

#define AXIS(i) &(const axis_attrs){i}

static const gr_sample axis_samples[] = {
    {.name = "rows", .in = {M35}, .n_in = 1, .attrs = AXIS(-1)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "wide", .in = {{.shape = {1, {9}}, .low = -8, .high = 8}}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "empty axis", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "bad axis", .in = {M35}, .n_in = 1, .attrs = AXIS(2), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = AXIS(0), .error = "not defined for int64"},
    {0},
};

static const gr_op logcumsumexp_op = {
    .name = "logcumsumexp",
    .family = "scan",
    .formula = "y_i = log sum_{j<=i} exp(x_j) along an axis",
    .derivation = "dy_i/dx_j = exp(x_j - y_i) = exp(x_j - y_j) exp(y_j - y_i), so "
                  "dx_j = exp(x_j - y_j) h_j with h_j = dy_j + exp(y_j - y_{j+1}) h_{j+1}; no factor "
                  "is above 1",
    .n_in = 1,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = logcumsumexp_infer,
    .forward = {[GR_F32] = logcumsumexp_forward, [GR_F64] = logcumsumexp_forward},
    .vjp = logcumsumexp_vjp,
    .samples = axis_samples,
};

/* The logarithm of running sums of exp(x) along an axis, without overflow. Where only -Inf has come
 * it is -Inf, with gradient 0; the gradient past +Inf is NaN. */
gr_tensor *gr_logcumsumexp(gr_tensor *x, int axis)
{
    return gr__unary(&logcumsumexp_op, x, &(axis_attrs){axis}, GR_HERE);
}

const gr_op *const gr__scan_ops[] = {
    &cumsum_op, &linear_scan_op, &cumprod_op, &logcumsumexp_op, NULL,
};
