/* reduce.c - sums, means and maxima over axes.
 *
 *   y = sum_i x_i    dx_i = dy
 *   y = mean_i x_i   dx_i = dy / n
 *   y = max_i x_i    dx_i = dy [x_i = y] / (number of equal maxima)
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"
#include "kernels.h"
#include "reduce.h"
#include "strided.h"

#include <math.h>
#include <string.h>

typedef struct reduce_attrs {
    gr_axes axes;
    bool keepdim;
} reduce_attrs;

static const gr_field reduce_fields[] = {
    GR_FIELD(reduce_attrs, axes, GR_FIELD_AXES),
    GR_FIELD(reduce_attrs, keepdim, GR_FIELD_BOOL),
    {0},
};

/* Bit i for axis i; all of them where none is named. False when one is out of range. */
static bool axes_mask(const gr_axes *axes, int rank, unsigned *mask)
{
    *mask = axes->n == 0 ? (1u << rank) - 1 : 0;
    if (axes->n < 0 || axes->n > GR_MAX_RANK) return false;
    for (int i = 0; i < axes->n; i++) {
        int axis = axes->axis[i];
        if (!gr__axis(&axis, rank) || (*mask & 1u << axis)) return false;
        *mask |= 1u << axis;
    }
    return true;
}

static gr_shape reduced_shape(const gr_shape *x, unsigned mask, bool keepdim)
{
    gr_shape y = {0, {0}};
    for (int i = 0; i < x->rank; i++) {
        if (!(mask & 1u << i)) y.dim[y.rank++] = x->dim[i];
        else if (keepdim) y.dim[y.rank++] = 1;
    }
    return y;
}

static bool reduce_infer(gr_infer *c)
{
    const reduce_attrs *a = c->attrs;
    unsigned mask;
    if (!axes_mask(&a->axes, c->shape[0].rank, &mask))
        return gr_infer_fail(c, "an axis is out of range or repeated for %s", gr_infer_shape(c, 0));
    c->shape[0] = reduced_shape(gr_shape_of(c->in[0]), mask, a->keepdim);
    return true;
}

/* dy, stretched over what was reduced. */
static gr_tensor *spread(gr_pullback *p, gr_tensor *dy)
{
    const reduce_attrs *a = p->attrs;
    const gr_shape *x = gr_shape_of(p->x[0]);
    unsigned mask;
    axes_mask(&a->axes, x->rank, &mask);
    return gr_expand(gr_reshape(dy, reduced_shape(x, mask, true)), *x);
}

/* --- sum --- */

static bool sum_infer(gr_infer *c)
{
    if (!gr__is_float(c->dtype[0])) c->dtype[0] = GR_I64;
    return reduce_infer(c);
}

typedef void reduce_kernel(const gr__reduction *r, void *y, double *scratch);

static gr_status run_reduction(gr_exec *e, reduce_kernel *kernel)
{
    unsigned mask;
    axes_mask(&((const reduce_attrs *)e->attrs)->axes, e->in[0].shape->rank, &mask);
    gr__reduction r = gr__reduction_of(&e->in[0], mask);
    double *scratch = gr_exec_scratch(e, (size_t)gr__reduction_scratch(&r) * sizeof *scratch + 1);
    if (!scratch) return GR_ERR_MEMORY;
    kernel(&r, e->out[0].data, scratch);
    return GR_OK;
}

static gr_status sum_forward(gr_exec *e)
{
    return run_reduction(e, gr__kernels_for(e->in[0].dtype)->sum);
}

static int64_t integer_at(const gr_value *v, int64_t offset)
{
    return v->dtype == GR_I64 ? ((const int64_t *)v->data)[offset]
                              : ((const uint8_t *)v->data)[offset];
}

static int64_t advance(int64_t *at, const int64_t *dim, const int64_t *stride, int n)
{
    int64_t moved = 0;
    for (int i = n - 1; i >= 0; i--) {
        moved += stride[i];
        if (++at[i] < dim[i]) break;
        moved -= dim[i] * stride[i];
        at[i] = 0;
    }
    return moved;
}

/* Integers and truth values, counted exactly. */
static gr_status sum_integers(gr_exec *e)
{
    unsigned mask;
    axes_mask(&((const reduce_attrs *)e->attrs)->axes, e->in[0].shape->rank, &mask);
    gr__reduction r = gr__reduction_of(&e->in[0], mask);
    int64_t *y = e->out[0].data, kept[GR_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        int64_t reduced[GR_MAX_RANK] = {0}, at = offset, total = 0;
        for (int64_t k = 0; k < r.count; k++) {
            total += integer_at(&e->in[0], at);
            at += advance(reduced, r.reduced, r.reduced_stride, r.n_reduced);
        }
        y[i] = total;
        offset += advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
    return GR_OK;
}

static void sum_vjp(gr_pullback *p)
{
    p->dx[0] = spread(p, p->dy[0]);
}

#define CUBE {.shape = {3, {2, 3, 4}}}

static const gr_sample reduce_samples[] = {
    {.name = "all", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{0, {0}}, false}},
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{1, {-1}}, false}},
    {.name = "first, kept", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{1, {0}}, true}},
    {.name = "outer two", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{2, {2, 0}}, false}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const reduce_attrs){{0, {0}}, false}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{1, {3}}, false}, .error = "out of range"},
    {.name = "repeated axis", .in = {CUBE}, .n_in = 1, .attrs = &(const reduce_attrs){{2, {2, -1}}, false}, .error = "repeated"},
    {0},
};

static const gr_op sum_op = {
    .name = "sum",
    .family = "reduce",
    .formula = "y = sum_i x_i over the reduced axes",
    .derivation = "dy/dx_i = 1, so every dx_i is the dy of its sum",
    .n_in = 1,
    .flags = GR_OP_LINEAR | GR_OP_STRIDED,
    .attrs_size = sizeof(reduce_attrs),
    .fields = reduce_fields,
    .infer = sum_infer,
    .forward = {sum_forward, sum_forward, sum_integers, sum_integers, sum_integers},
    .vjp = sum_vjp,
    .samples = reduce_samples,
};

/* Sums over the named axes; GR_ALL: over all. Integers and truth values give int64. The sum of
 * nothing is 0. */
gr_tensor *gr_sum(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&sum_op, x, &(reduce_attrs){axes, keepdim}, GR_HERE);
}

gr_tensor *gr_sum_all(gr_tensor *x)
{
    return gr__unary(&sum_op, x, &(reduce_attrs){GR_ALL, false}, GR_HERE);
}

/* --- mean --- */

static gr_tensor *mean_define(gr_tensor *const *x, int n, const void *attrs)
{
    const reduce_attrs *a = attrs;
    (void)n;
    if (!gr__is_float(gr_dtype_of(x[0])))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "mean: not defined for %s; use gr_cast", gr_dtype_name(gr_dtype_of(x[0])));
    gr_tensor *sum = gr_sum(x[0], a->axes, a->keepdim);
    return gr_scale(sum, (double)gr_numel(sum) / (double)gr_numel(x[0]));
}

static const gr_op mean_op = {
    .name = "mean",
    .family = "reduce",
    .formula = "y = sum_i x_i / n over the reduced axes",
    .derivation = "dy/dx_i = 1/n, so every dx_i is dy / n",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(reduce_attrs),
    .fields = reduce_fields,
    .define = mean_define,
    .samples = reduce_samples,
};

/* Means over the named axes; GR_ALL: over all. The mean of nothing is NaN. */
gr_tensor *gr_mean(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&mean_op, x, &(reduce_attrs){axes, keepdim}, GR_HERE);
}

gr_tensor *gr_mean_all(gr_tensor *x)
{
    return gr__unary(&mean_op, x, &(reduce_attrs){GR_ALL, false}, GR_HERE);
}

/* --- max --- */

static bool max_infer(gr_infer *c)
{
    if (!reduce_infer(c)) return false;
    if (gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to take the maximum of", gr_infer_shape(c, 0));
    return true;
}

static gr_status max_forward(gr_exec *e)
{
    return run_reduction(e, gr__kernels_for(e->in[0].dtype)->max);
}

static void max_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    gr_tensor *chosen = gr_cast(gr_equal(x, spread(p, p->y[0])), gr_dtype_of(x));
    const reduce_attrs *a = p->attrs;
    gr_tensor *ties = gr_sum(chosen, a->axes, a->keepdim);
    p->dx[0] = gr_mul(chosen, spread(p, gr_div(p->dy[0], ties)));
}

static double real_at(const gr_value *v, int64_t offset)
{
    return v->dtype == GR_F32 ? (double)((const float *)v->data)[offset]
                              : ((const double *)v->data)[offset];
}

/* Which elements equal the maximum to 4 ulp, and how far below it the best other one lies. */
static void max_branch(const gr_exec *e, gr_branch *b)
{
    unsigned mask;
    axes_mask(&((const reduce_attrs *)e->attrs)->axes, e->in[0].shape->rank, &mask);
    gr__reduction r = gr__reduction_of(&e->in[0], mask);
    int64_t kept[GR_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        int64_t reduced[GR_MAX_RANK] = {0}, at = offset;
        double most = real_at(&e->out[0], i), gap = INFINITY;
        double near = 4 * 2.2e-16 * fabs(most);
        for (int64_t k = 0; k < r.count; k++) {
            double below = most - real_at(&e->in[0], at);
            bool chosen = below <= near;
            if (!chosen && below < gap) gap = below;
            gr_branch_add(b, (uint64_t)chosen, INFINITY);
            at += advance(reduced, r.reduced, r.reduced_stride, r.n_reduced);
        }
        gr_branch_add(b, 2, gap);
        offset += advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
}

static const gr_op max_op = {
    .name = "max",
    .family = "reduce",
    .formula = "y = max_i x_i over the reduced axes",
    .derivation = "y moves with the largest x_i alone, so dx_i = dy there and 0 elsewhere",
    .ties = "equal maxima share dy equally (PyTorch's amax)",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(reduce_attrs),
    .fields = reduce_fields,
    .infer = max_infer,
    .forward = {[GR_F32] = max_forward, [GR_F64] = max_forward},
    .vjp = max_vjp,
    .branch = max_branch,
    .samples = reduce_samples,
};

/* Maxima over the named axes; GR_ALL: over all. NaN wins. Nothing to choose from is an error. */
gr_tensor *gr_max(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&max_op, x, &(reduce_attrs){axes, keepdim}, GR_HERE);
}

/* --- argmax --- */

typedef struct argmax_attrs {
    int axis;
} argmax_attrs;

static bool argmax_infer(gr_infer *c)
{
    const int given = ((const argmax_attrs *)c->attrs)->axis;
    int axis = given;
    if (!gr__axis(&axis, c->shape[0].rank))
        return gr_infer_fail(c, "axis %d is out of range for %s", given, gr_infer_shape(c, 0));
    c->shape[0] = reduced_shape(gr_shape_of(c->in[0]), 1u << axis, false);
    if (gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to choose from", gr_infer_shape(c, 0));
    c->dtype[0] = GR_I64;
    return true;
}

static gr_status argmax_forward(gr_exec *e)
{
    int axis = ((const argmax_attrs *)e->attrs)->axis;
    gr__axis(&axis, e->in[0].shape->rank);
    gr__reduction r = gr__reduction_of(&e->in[0], 1u << axis);
    int64_t *y = e->out[0].data, kept[GR_MAX_RANK] = {0}, offset = 0;
    int64_t stride = r.n_reduced ? r.reduced_stride[0] : 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        double most = real_at(&e->in[0], offset);
        y[i] = 0;
        for (int64_t k = 1; k < r.count && most == most; k++) {
            double v = real_at(&e->in[0], offset + k * stride);
            if (!(v > most) && v == v) continue;
            most = v;
            y[i] = k;
        }
        offset += advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
    return GR_OK;
}

static const gr_field argmax_fields[] = {GR_FIELD(argmax_attrs, axis, GR_FIELD_INT), {0}};

static const gr_sample argmax_samples[] = {
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const argmax_attrs){-1}},
    {.name = "first", .in = {CUBE}, .n_in = 1, .attrs = &(const argmax_attrs){0}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const argmax_attrs){3}, .error = "out of range"},
    {.name = "nothing", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = &(const argmax_attrs){1}, .error = "no elements"},
    {0},
};

static const gr_op argmax_op = {
    .name = "argmax",
    .family = "reduce",
    .formula = "y = the first i with x_i = max_j x_j",
    .derivation = "an index does not move with x: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT | GR_OP_STRIDED,
    .attrs_size = sizeof(argmax_attrs),
    .fields = argmax_fields,
    .infer = argmax_infer,
    .forward = {[GR_F32] = argmax_forward, [GR_F64] = argmax_forward},
    .samples = argmax_samples,
};

/* The index of the largest element along an axis, int64, the axis gone; the first of equals, the
 * first NaN before anything else. */
gr_tensor *gr_argmax(gr_tensor *x, int axis)
{
    return gr__unary(&argmax_op, x, &(argmax_attrs){axis}, GR_HERE);
}

const gr_op *const gr__reduce_ops[] = {&sum_op, &mean_op, &max_op, &argmax_op, NULL};
