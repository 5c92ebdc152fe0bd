/* sort.c - elements along an axis in order, the first few of them, the middle one.
 *
 *   sort, topk   y_k = x_{i_k}, i the order       dx_{i_k} = dy_k
 *   median       y = x_i, i in the middle         dx_i = dy
 *
 * Each y is a copy of one x, and output 1 says of which: backward adds dy back there. NaN counts as
 * larger than every number, -0 and 0 as equal, as in PyTorch; equals stay in the order they came in.
 */
/* SPDX-License-Identifier: MIT */
#include "axes.h"
#include "order.h"

#include <math.h>
#include <string.h>

#define M35 {.shape = {2, {3, 5}}}
#define CUBE {.shape = {3, {2, 5, 3}}}
#define FLAT {.shape = {0, {0}}}
#define NO_AXIS {.shape = {2, {3, 0}}}
#define WHOLE {.shape = {1, {4}}, .integer = true, .high = 3}

/* --- shared --- */

/* Copies element `from` of a line of x to place `to` of a line of m of out[0], its index to out[1]. */
static void copy_element(const gr_exec *e, const gr__along *a, int64_t line, int64_t m, int64_t to,
                         int64_t from)
{
    const size_t size = gr_dtype_size(e->in[0].dtype);
    int64_t x = gr__order_start(a, line, a->n) + from * a->inner;
    int64_t y = gr__order_start(a, line, m) + to * a->inner;
    memcpy((char *)e->out[0].data + (size_t)y * size, (const char *)e->in[0].data + (size_t)x * size,
           size);
    ((int64_t *)e->out[1].data)[y] = from;
}

/* dy goes back to where its y came from: y and its index have m elements along the axis. */
static void order_vjp(gr_pullback *p, int axis)
{
    int64_t n = gr__along_axis(gr_shape_of(p->x[0]), axis).n;
    if (p->dy[0]) p->dx[0] = gr__gather_grad(p->dy[0], p->y[1], axis, n);
}

static bool chosen(const int64_t *index, int64_t m, int64_t step, int64_t i)
{
    for (int64_t k = 0; k < m; k++)
        if (index[k * step] == i) return true;
    return false;
}

/* Which elements were taken in which order; how far neighbours lie apart, and those left out from
 * those taken. */
static void order_branch(const gr_exec *e, gr_branch *b, int axis)
{
    const gr__along a = gr__along_axis(e->in[0].shape, axis);
    const int64_t lines = a.outer * a.inner, all = gr_shape_numel(e->out[1].shape);
    const int64_t m = lines ? all / lines : 0;
    for (int64_t line = 0; line < lines; line++) {
        const int64_t x = gr__order_start(&a, line, a.n), y = gr__order_start(&a, line, m);
        const int64_t *index = (const int64_t *)e->out[1].data + y;
        for (int64_t k = 0; k < m; k++) {
            double v = gr__real_at(&e->out[0], y + k * a.inner), gap = INFINITY;
            if (k) gap = fabs(v - gr__real_at(&e->out[0], y + (k - 1) * a.inner));
            for (int64_t i = 0; i < a.n && m < a.n; i++)
                if (!chosen(index, m, a.inner, i))
                    gap = fmin(gap, fabs(v - gr__real_at(&e->in[0], x + i * a.inner)));
            gr_branch_add(b, (uint64_t)index[k * a.inner], gap);
        }
    }
}

/* --- sort, argsort --- */

typedef struct sort_attrs {
    int axis;
    bool descending;
} sort_attrs;

static const gr_field sort_fields[] = {
    GR_FIELD(sort_attrs, axis, GR_FIELD_INT),
    GR_FIELD(sort_attrs, descending, GR_FIELD_BOOL),
    {0},
};

static bool sort_infer(gr_infer *c)
{
    c->dtype[1] = GR_I64;
    return gr__along_infer(c, ((const sort_attrs *)c->attrs)->axis);
}

static void take_sorted(const gr_exec *e, const gr__along *a, int64_t line, const gr__ranked *ranked)
{
    for (int64_t k = 0; k < a->n; k++) copy_element(e, a, line, a->n, k, ranked[k].index);
}

static gr_status sort_forward(gr_exec *e)
{
    const sort_attrs *a = e->attrs;
    return gr__order_lines(e, a->axis, a->descending, take_sorted);
}

static void sort_vjp(gr_pullback *p)
{
    order_vjp(p, ((const sort_attrs *)p->attrs)->axis);
}

static void sort_branch(const gr_exec *e, gr_branch *b)
{
    order_branch(e, b, ((const sort_attrs *)e->attrs)->axis);
}

#define SORT(axis, descending) &(const sort_attrs){axis, descending}

static const gr_sample sort_samples[] = {
    {.name = "rows", .in = {M35}, .n_in = 1, .attrs = SORT(-1, false)},
    {.name = "columns", .in = {M35}, .n_in = 1, .attrs = SORT(0, true)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = SORT(1, false)},
    {.name = "descending", .in = {{.shape = {1, {40}}}}, .n_in = 1, .attrs = SORT(0, true)},
    {.name = "scalar", .in = {FLAT}, .n_in = 1, .attrs = SORT(0, false)},
    {.name = "empty axis", .in = {NO_AXIS}, .n_in = 1, .attrs = SORT(1, false)},
    {.name = "bad axis", .in = {M35}, .n_in = 1, .attrs = SORT(2, false), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = SORT(0, false), .error = "not defined for int64"},
    {0},
};

static const gr_op sort_op = {
    .name = "sort",
    .family = "sort",
    .formula = "y_0 <= y_1 <= ... the elements along an axis, y_k = x_{i_k}, and i",
    .derivation = "while the order stands, each y_k is a copy of one x: dx_{i_k} = dy_k",
    .ties = "equals stay in the order they came in, and so do their gradients (PyTorch's stable sort)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(sort_attrs),
    .fields = sort_fields,
    .infer = sort_infer,
    .forward = {[GR_F32] = sort_forward, [GR_F64] = sort_forward},
    .vjp = sort_vjp,
    .branch = sort_branch,
    .samples = sort_samples,
};

/* The elements along an axis in ascending order, or descending; gr_output(y, 1) is where each came
 * from, int64. Stable. NaN comes last, first when descending. */
gr_tensor *gr_sort(gr_tensor *x, int axis, bool descending)
{
    return gr__unary(&sort_op, x, &(sort_attrs){axis, descending}, GR_HERE);
}

static bool argsort_infer(gr_infer *c)
{
    c->dtype[0] = GR_I64;
    return gr__along_infer(c, ((const sort_attrs *)c->attrs)->axis);
}

static void take_order(const gr_exec *e, const gr__along *a, int64_t line, const gr__ranked *ranked)
{
    int64_t *y = (int64_t *)e->out[0].data + gr__order_start(a, line, a->n);
    for (int64_t k = 0; k < a->n; k++) y[k * a->inner] = ranked[k].index;
}

static gr_status argsort_forward(gr_exec *e)
{
    const sort_attrs *a = e->attrs;
    return gr__order_lines(e, a->axis, a->descending, take_order);
}

static const gr_op argsort_op = {
    .name = "argsort",
    .family = "sort",
    .formula = "y = the i for which x_{i_0} <= x_{i_1} <= ... along an axis",
    .derivation = "an order does not move with x: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(sort_attrs),
    .fields = sort_fields,
    .infer = argsort_infer,
    .forward = {[GR_F32] = argsort_forward, [GR_F64] = argsort_forward},
    .samples = sort_samples,
};

/* Output 1 of gr_sort alone. */
gr_tensor *gr_argsort(gr_tensor *x, int axis, bool descending)
{
    return gr__unary(&argsort_op, x, &(sort_attrs){axis, descending}, GR_HERE);
}

/* --- topk --- */

typedef struct topk_attrs {
    int64_t k;
    int axis;
    bool smallest;
} topk_attrs;

static const gr_field topk_fields[] = {
    GR_FIELD(topk_attrs, k, GR_FIELD_I64),
    GR_FIELD(topk_attrs, axis, GR_FIELD_INT),
    GR_FIELD(topk_attrs, smallest, GR_FIELD_BOOL),
    {0},
};

static bool topk_infer(gr_infer *c)
{
    const topk_attrs *t = c->attrs;
    int axis = t->axis;
    if (!gr__along_infer(c, axis)) return false;
    int64_t n = gr__along_axis(gr_shape_of(c->in[0]), axis).n;
    if (t->k < 0 || t->k > n || (c->shape[0].rank == 0 && t->k == 0))
        return gr_infer_fail(c, "cannot take %lld of the %lld elements along axis %d of %s",
                             (long long)t->k, (long long)n, axis, gr_infer_shape(c, 0));
    if (gr__axis(&axis, c->shape[0].rank)) c->shape[0].dim[axis] = t->k;
    c->shape[1] = c->shape[0];
    c->dtype[1] = GR_I64;
    return true;
}

static void take_top(const gr_exec *e, const gr__along *a, int64_t line, const gr__ranked *ranked)
{
    const int64_t k = ((const topk_attrs *)e->attrs)->k;
    for (int64_t i = 0; i < k; i++) copy_element(e, a, line, k, i, ranked[i].index);
}

static gr_status topk_forward(gr_exec *e)
{
    const topk_attrs *t = e->attrs;
    return gr__order_lines(e, t->axis, !t->smallest, take_top);
}

static void topk_vjp(gr_pullback *p)
{
    order_vjp(p, ((const topk_attrs *)p->attrs)->axis);
}

static void topk_branch(const gr_exec *e, gr_branch *b)
{
    order_branch(e, b, ((const topk_attrs *)e->attrs)->axis);
}

#define TOP(k, axis, smallest) &(const topk_attrs){k, axis, smallest}

static const gr_sample topk_samples[] = {
    {.name = "rows", .in = {M35}, .n_in = 1, .attrs = TOP(2, -1, false)},
    {.name = "columns", .in = {{.shape = {2, {5, 3}}}}, .n_in = 1, .attrs = TOP(3, 0, true)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = TOP(4, 1, false)},
    {.name = "all", .in = {M35}, .n_in = 1, .attrs = TOP(5, 1, false)},
    {.name = "none", .in = {M35}, .n_in = 1, .attrs = TOP(0, 1, false)},
    {.name = "scalar", .in = {FLAT}, .n_in = 1, .attrs = TOP(1, 0, false)},
    {.name = "too many", .in = {M35}, .n_in = 1, .attrs = TOP(6, 1, false), .error = "cannot take 6 of the 5 elements along axis 1 of [3,5]"},
    {.name = "too few", .in = {M35}, .n_in = 1, .attrs = TOP(-1, 1, false), .error = "cannot take -1 of the 5"},
    {.name = "bad axis", .in = {M35}, .n_in = 1, .attrs = TOP(1, 2, false), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = TOP(1, 0, false), .error = "not defined for int64"},
    {0},
};

static const gr_op topk_op = {
    .name = "topk",
    .family = "sort",
    .formula = "y_0 >= y_1 >= ... the k largest (or smallest) along an axis, y_j = x_{i_j}, and i",
    .derivation = "while the order stands, each y_j is a copy of one x: dx_{i_j} = dy_j, 0 elsewhere",
    .ties = "of equals the first are taken, in the order they came in (PyTorch leaves it open)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(topk_attrs),
    .fields = topk_fields,
    .infer = topk_infer,
    .forward = {[GR_F32] = topk_forward, [GR_F64] = topk_forward},
    .vjp = topk_vjp,
    .branch = topk_branch,
    .samples = topk_samples,
};

/* The k largest elements along an axis, the largest first, or the k smallest, the smallest first;
 * gr_output(y, 1) is where each came from, int64. NaN counts as the largest. k is at most the size
 * of the axis. */
gr_tensor *gr_topk(gr_tensor *x, int64_t k, int axis, bool smallest)
{
    return gr__unary(&topk_op, x, &(topk_attrs){k, axis, smallest}, GR_HERE);
}

/* --- median --- */

typedef struct median_attrs {
    int axis;
    bool keepdim;
} median_attrs;

static const gr_field median_fields[] = {
    GR_FIELD(median_attrs, axis, GR_FIELD_INT),
    GR_FIELD(median_attrs, keepdim, GR_FIELD_BOOL),
    {0},
};

static gr_shape median_shape(const gr_shape *x, const median_attrs *m, bool keepdim)
{
    int axis = m->axis;
    return gr__axis(&axis, x->rank) ? gr__axes_reduced(x, 1u << axis, keepdim) : *x;
}

static bool median_infer(gr_infer *c)
{
    const median_attrs *m = c->attrs;
    if (!gr__along_infer(c, m->axis)) return false;
    c->shape[0] = c->shape[1] = median_shape(gr_shape_of(c->in[0]), m, m->keepdim);
    c->dtype[1] = GR_I64;
    if (gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to choose from", gr_infer_shape(c, 0));
    return true;
}

/* The lower of two in the middle, the first of equals; the first NaN before anything else. */
static void take_median(const gr_exec *e, const gr__along *a, int64_t line, const gr__ranked *ranked)
{
    int64_t k = ranked[a->n - 1].key == gr__order_nan(false) ? a->n - 1 : (a->n - 1) / 2;
    while (k > 0 && ranked[k - 1].key == ranked[k].key) k--;
    copy_element(e, a, line, 1, 0, ranked[k].index);
}

static gr_status median_forward(gr_exec *e)
{
    return gr__order_lines(e, ((const median_attrs *)e->attrs)->axis, false, take_median);
}

static void median_vjp(gr_pullback *p)
{
    const median_attrs *m = p->attrs;
    const gr_shape *x = gr_shape_of(p->x[0]);
    gr_shape kept = median_shape(x, m, true);
    if (!p->dy[0]) return;
    gr_tensor *dy = gr_reshape(p->dy[0], kept), *index = gr_reshape(p->y[1], kept);
    p->dx[0] = gr__gather_grad(dy, index, m->axis, gr__along_axis(x, m->axis).n);
}

static void median_branch(const gr_exec *e, gr_branch *b)
{
    order_branch(e, b, ((const median_attrs *)e->attrs)->axis);
}

#define MIDDLE(axis, keepdim) &(const median_attrs){axis, keepdim}

static const gr_sample median_samples[] = {
    {.name = "rows", .in = {M35}, .n_in = 1, .attrs = MIDDLE(-1, false)},
    {.name = "an even number, kept", .in = {{.shape = {2, {4, 3}}}}, .n_in = 1, .attrs = MIDDLE(0, true)},
    {.name = "middle axis", .in = {CUBE}, .n_in = 1, .attrs = MIDDLE(1, false)},
    {.name = "scalar", .in = {FLAT}, .n_in = 1, .attrs = MIDDLE(0, false)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = MIDDLE(1, false)},
    {.name = "nothing", .in = {NO_AXIS}, .n_in = 1, .attrs = MIDDLE(1, false), .error = "[3,0] has no elements to choose from"},
    {.name = "bad axis", .in = {M35}, .n_in = 1, .attrs = MIDDLE(2, false), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = MIDDLE(0, false), .error = "not defined for int64"},
    {0},
};

static const gr_op median_op = {
    .name = "median",
    .family = "sort",
    .formula = "y = x_i in the middle of the order along an axis, the lower of two, and i",
    .derivation = "while the order stands, y is a copy of one x: dx_i = dy, 0 elsewhere",
    .ties = "the first of equals gets the gradient (PyTorch leaves it open)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(median_attrs),
    .fields = median_fields,
    .infer = median_infer,
    .forward = {[GR_F32] = median_forward, [GR_F64] = median_forward},
    .vjp = median_vjp,
    .branch = median_branch,
    .samples = median_samples,
};

/* The median along an axis, the lower one of an even number of elements; gr_output(y, 1) is where it
 * lies, int64. NaN wins. Nothing to choose from is an error. */
gr_tensor *gr_median(gr_tensor *x, int axis, bool keepdim)
{
    return gr__unary(&median_op, x, &(median_attrs){axis, keepdim}, GR_HERE);
}

const gr_op *const gr__sort_ops[] = {&sort_op, &argsort_op, &topk_op, &median_op, NULL};
