/* extreme.c - the largest and the smallest: over axes, where they lie, and so far along an axis.
 *
 *   y = max_i x_i       dx_i = dy [x_i = y] / (number of equal maxima)
 *   y_i = max_{j<=i} x_j   dx_j = sum of dy_i over the i whose maximum is x_j
 *
 * A minimum is the same with the order turned round.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "fold.h"
#include "kernels.h"

#include <math.h>

#define CUBE {.shape = {3, {2, 3, 4}}}

/* --- max, min --- */

static bool extreme_infer(gr_infer *c)
{
    if (!gr__axes_infer(c)) return false;
    if (gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to choose from", gr_infer_shape(c, 0));
    return true;
}

/* dy, shared among the elements equal to y. */
static void extreme_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    gr_tensor *chosen = gr_cast(gr_equal(x, gr__axes_spread(p, p->y[0])), gr_dtype_of(x));
    const gr__axes_attrs *a = p->attrs;
    gr_tensor *ties = gr_sum(chosen, a->axes, a->keepdim);
    p->dx[0] = gr_mul(chosen, gr__axes_spread(p, gr_div(p->dy[0], ties)));
}

/* Which elements equal the extreme to 4 ulp, and how far from it the best other one lies. */
static void extreme_branch(const gr_exec *e, gr_branch *b)
{
    gr__reduction r = gr__axes_reduction(e);
    int64_t kept[GR_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        int64_t reduced[GR_MAX_RANK] = {0}, at = offset;
        double most = gr__real_at(&e->out[0], i), gap = INFINITY;
        double near = 4 * 2.2e-16 * fabs(most);
        for (int64_t k = 0; k < r.count; k++) {
            double off = fabs(most - gr__real_at(&e->in[0], at));
            bool chosen = off <= near;
            if (!chosen && off < gap) gap = off;
            gr_branch_add(b, (uint64_t)chosen, INFINITY);
            at += gr__advance(reduced, r.reduced, r.reduced_stride, r.n_reduced);
        }
        gr_branch_add(b, 2, gap);
        offset += gr__advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
}

static const gr_sample extreme_samples[] = {
    {.name = "all", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {-1}}, false}},
    {.name = "first, kept", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, true}},
    {.name = "outer two", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {2, 0}}, false}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {1}}, false}},
    {.name = "nothing", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, false}, .error = "no elements to choose from"},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {3}}, false}, .error = "out of range"},
    {.name = "repeated axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {2, -1}}, false}, .error = "repeated"},
    {0},
};

static gr_status max_forward(gr_exec *e)
{
    return gr__axes_run(e, gr__kernels_for(e->in[0].dtype)->max);
}

static const gr_op max_op = {
    .name = "max",
    .family = "extreme",
    .formula = "y = max_i x_i over the reduced axes",
    .derivation = "y moves with the largest x_i alone, so dx_i = dy there and 0 elsewhere",
    .ties = "equal maxima share dy equally (PyTorch's amax)",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .infer = extreme_infer,
    .forward = {[GR_F32] = max_forward, [GR_F64] = max_forward},
    .vjp = extreme_vjp,
    .branch = extreme_branch,
    .samples = extreme_samples,
};

/* Maxima over the named axes; GR_ALL: over all. NaN wins. Nothing to choose from is an error. */
gr_tensor *gr_max(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&max_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

static gr_status min_forward(gr_exec *e)
{
    double *y = gr__fold_run(e, &(gr__fold){.join = gr__fold_min, .start = INFINITY});
    if (!y) return GR_ERR_MEMORY;
    gr__fold_store(e, 0, y);
    return GR_OK;
}

static const gr_op min_op = {
    .name = "min",
    .family = "extreme",
    .formula = "y = min_i x_i over the reduced axes",
    .derivation = "y moves with the smallest x_i alone, so dx_i = dy there and 0 elsewhere",
    .ties = "equal minima share dy equally (PyTorch's amin)",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .infer = extreme_infer,
    .forward = {[GR_F32] = min_forward, [GR_F64] = min_forward},
    .vjp = extreme_vjp,
    .branch = extreme_branch,
    .samples = extreme_samples,
};

/* Minima over the named axes; GR_ALL: over all. NaN wins. Nothing to choose from is an error. */
gr_tensor *gr_min(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&min_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

/* --- argmax, argmin --- */

typedef struct arg_attrs {
    int axis;
} arg_attrs;

static bool arg_infer(gr_infer *c)
{
    const int given = ((const arg_attrs *)c->attrs)->axis;
    int axis = given;
    if (!gr__axis(&axis, c->shape[0].rank))
        return gr_infer_fail(c, "axis %d is out of range for %s", given, gr_infer_shape(c, 0));
    c->shape[0] = gr__axes_reduced(gr_shape_of(c->in[0]), 1u << axis, false);
    if (gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to choose from", gr_infer_shape(c, 0));
    c->dtype[0] = GR_I64;
    return true;
}

/* sign 1: of the largest, -1: of the smallest. */
static gr_status run_arg(gr_exec *e, double sign)
{
    int axis = ((const arg_attrs *)e->attrs)->axis;
    gr__axis(&axis, e->in[0].shape->rank);
    gr__reduction r = gr__reduction_of(&e->in[0], 1u << axis);
    int64_t *y = e->out[0].data, kept[GR_MAX_RANK] = {0}, offset = 0;
    int64_t stride = r.n_reduced ? r.reduced_stride[0] : 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        double most = sign * gr__real_at(&e->in[0], offset);
        y[i] = 0;
        for (int64_t k = 1; k < r.count && most == most; k++) {
            double v = sign * gr__real_at(&e->in[0], offset + k * stride);
            if (!(v > most) && v == v) continue;
            most = v;
            y[i] = k;
        }
        offset += gr__advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
    return GR_OK;
}

static gr_status argmax_forward(gr_exec *e)
{
    return run_arg(e, 1);
}

static gr_status argmin_forward(gr_exec *e)
{
    return run_arg(e, -1);
}

static const gr_field arg_fields[] = {GR_FIELD(arg_attrs, axis, GR_FIELD_INT), {0}};

static const gr_sample arg_samples[] = {
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const arg_attrs){-1}},
    {.name = "first", .in = {CUBE}, .n_in = 1, .attrs = &(const arg_attrs){0}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const arg_attrs){3}, .error = "out of range"},
    {.name = "nothing", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = &(const arg_attrs){1}, .error = "no elements"},
    {0},
};

static const gr_op argmax_op = {
    .name = "argmax",
    .family = "extreme",
    .formula = "y = the first i with x_i = max_j x_j",
    .derivation = "an index does not move with x: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT | GR_OP_STRIDED,
    .attrs_size = sizeof(arg_attrs),
    .fields = arg_fields,
    .infer = arg_infer,
    .forward = {[GR_F32] = argmax_forward, [GR_F64] = argmax_forward},
    .samples = arg_samples,
};

/* The index of the largest element along an axis, int64, the axis gone; the first of equals, the
 * first NaN before anything else. */
gr_tensor *gr_argmax(gr_tensor *x, int axis)
{
    return gr__unary(&argmax_op, x, &(arg_attrs){axis}, GR_HERE);
}

static const gr_op argmin_op = {
    .name = "argmin",
    .family = "extreme",
    .formula = "y = the first i with x_i = min_j x_j",
    .derivation = "an index does not move with x: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT | GR_OP_STRIDED,
    .attrs_size = sizeof(arg_attrs),
    .fields = arg_fields,
    .infer = arg_infer,
    .forward = {[GR_F32] = argmin_forward, [GR_F64] = argmin_forward},
    .samples = arg_samples,
};

/* The index of the smallest element along an axis, as gr_argmax. */
gr_tensor *gr_argmin(gr_tensor *x, int axis)
{
    return gr__unary(&argmin_op, x, &(arg_attrs){axis}, GR_HERE);
}

/* --- cummax, cummin --- */

typedef struct running_attrs {
    int axis;
} running_attrs;

static const gr_field running_fields[] = {GR_FIELD(running_attrs, axis, GR_FIELD_INT), {0}};

static bool running_infer(gr_infer *c)
{
    c->dtype[1] = GR_I64;
    return gr__along_infer(c, ((const running_attrs *)c->attrs)->axis);
}

static gr_status run_extreme(gr_exec *e, bool least)
{
    gr__along a = gr__along_axis(e->in[0].shape, ((const running_attrs *)e->attrs)->axis);
    gr__scan s = {.outer = a.outer, .n = a.n, .inner = a.inner, .least = least,
                  .x = e->in[0].data, .y = e->out[0].data, .index = e->out[1].data};
    gr__kernels_for(e->in[0].dtype)->scan_extreme(&s);
    return GR_OK;
}

static gr_status cummax_forward(gr_exec *e)
{
    return run_extreme(e, false);
}

static gr_status cummin_forward(gr_exec *e)
{
    return run_extreme(e, true);
}

/* What each y was copied from gets its dy. */
static void running_vjp(gr_pullback *p)
{
    int axis = ((const running_attrs *)p->attrs)->axis;
    int64_t n = gr__along_axis(gr_shape_of(p->x[0]), axis).n;
    if (p->dy[0]) p->dx[0] = gr__gather_grad(p->dy[0], p->y[1], axis, n);
}

/* Which one each extreme is, and how far each element lies from the extreme before it. */
static void running_branch(const gr_exec *e, gr_branch *b)
{
    gr__along a = gr__along_axis(e->in[0].shape, ((const running_attrs *)e->attrs)->axis);
    const int64_t *index = e->out[1].data;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        bool first = i / a.inner % a.n == 0;
        double gap = first ? INFINITY
                           : fabs(gr__real_at(&e->in[0], i) - gr__real_at(&e->out[0], i - a.inner));
        gr_branch_add(b, (uint64_t)index[i], gap);
    }
}

#define ALONG(i) &(const running_attrs){i}

static const gr_sample running_samples[] = {
    {.name = "rows", .in = {{.shape = {2, {3, 5}}}}, .n_in = 1, .attrs = ALONG(-1)},
    {.name = "middle axis", .in = {{.shape = {3, {2, 5, 3}}}}, .n_in = 1, .attrs = ALONG(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = ALONG(0)},
    {.name = "empty axis", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = ALONG(1)},
    {.name = "bad axis", .in = {{.shape = {2, {3, 5}}}}, .n_in = 1, .attrs = ALONG(2), .error = "axis 2 is out of range for [3,5]"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = ALONG(0), .error = "not defined for int64"},
    {0},
};

static const gr_op cummax_op = {
    .name = "cummax",
    .family = "extreme",
    .formula = "y_i = max_{j<=i} x_j, and the j it is, along an axis",
    .derivation = "y_i is a copy of one x_j, so x_j gets the sum of the dy_i that came from it",
    .ties = "the last of equals gets the gradient (PyTorch's choice)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(running_attrs),
    .fields = running_fields,
    .infer = running_infer,
    .forward = {[GR_F32] = cummax_forward, [GR_F64] = cummax_forward},
    .vjp = running_vjp,
    .branch = running_branch,
    .samples = running_samples,
};

static const gr_op cummin_op = {
    .name = "cummin",
    .family = "extreme",
    .formula = "y_i = min_{j<=i} x_j, and the j it is, along an axis",
    .derivation = "y_i is a copy of one x_j, so x_j gets the sum of the dy_i that came from it",
    .ties = "the last of equals gets the gradient (PyTorch's choice)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(running_attrs),
    .fields = running_fields,
    .infer = running_infer,
    .forward = {[GR_F32] = cummin_forward, [GR_F64] = cummin_forward},
    .vjp = running_vjp,
    .branch = running_branch,
    .samples = running_samples,
};

/* The largest so far along an axis; gr_output(y, 1) says which it is, int64, the last of equals.
 * From the first NaN on all is NaN. */
gr_tensor *gr_cummax(gr_tensor *x, int axis)
{
    return gr__unary(&cummax_op, x, &(running_attrs){axis}, GR_HERE);
}

/* The smallest so far along an axis, as gr_cummax. */
gr_tensor *gr_cummin(gr_tensor *x, int axis)
{
    return gr__unary(&cummin_op, x, &(running_attrs){axis}, GR_HERE);
}

const gr_op *const gr__extreme_ops[] = {
    &max_op, &min_op, &argmax_op, &argmin_op, &cummax_op, &cummin_op, NULL,
};
