/* reduce.c - sums, means, products and counts over axes.
 *
 *   y = sum_i x_i    dx_i = dy
 *   y = mean_i x_i   dx_i = dy / n
 *   y = prod_i x_i   dx_i = dy prod_{j != i} x_j
 */
/* SPDX-License-Identifier: MIT */
#include "axes.h"
#include "fold.h"
#include "kernels.h"

/* --- axes --- */

const gr_field gr__axes_fields[] = {
    GR_FIELD(gr__axes_attrs, axes, GR_FIELD_AXES),
    GR_FIELD(gr__axes_attrs, keepdim, GR_FIELD_BOOL),
    {0},
};

bool gr__axes_mask(const gr_axes *axes, int rank, unsigned *mask)
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

gr_shape gr__axes_reduced(const gr_shape *x, unsigned mask, bool keepdim)
{
    gr_shape y = {0, {0}};
    for (int i = 0; i < x->rank; i++) {
        if (!(mask & 1u << i)) y.dim[y.rank++] = x->dim[i];
        else if (keepdim) y.dim[y.rank++] = 1;
    }
    return y;
}

bool gr__axes_infer(gr_infer *c)
{
    const gr__axes_attrs *a = c->attrs;
    unsigned mask;
    if (!gr__axes_mask(&a->axes, c->shape[0].rank, &mask))
        return gr_infer_fail(c, "axis %d is out of range or repeated for %s",
                             gr__axes_wrong(&a->axes, mask), gr_infer_shape(c, 0));
    c->shape[0] = gr__axes_reduced(gr_shape_of(c->in[0]), mask, a->keepdim);
    return true;
}

gr__reduction gr__axes_reduction(const gr_exec *e)
{
    unsigned mask;
    gr__axes_mask(&((const gr__axes_attrs *)e->attrs)->axes, e->in[0].shape->rank, &mask);
    return gr__reduction_of(&e->in[0], mask);
}

gr_status gr__axes_run(gr_exec *e, gr__axes_kernel *kernel)
{
    gr__reduction r = gr__axes_reduction(e);
    double *scratch = gr_exec_scratch(e, (size_t)gr__reduction_scratch(&r) * sizeof *scratch + 1);
    if (!scratch) return GR_ERR_MEMORY;
    kernel(&r, e->out[0].data, scratch);
    return GR_OK;
}

gr_tensor *gr__axes_spread(gr_pullback *p, gr_tensor *dy)
{
    const gr__axes_attrs *a = p->attrs;
    const gr_shape *x = gr_shape_of(p->x[0]);
    unsigned mask;
    gr__axes_mask(&a->axes, x->rank, &mask);
    return gr_expand(gr_reshape(dy, gr__axes_reduced(x, mask, true)), *x);
}

#define CUBE {.shape = {3, {2, 3, 4}}}

const gr_sample gr__axes_samples[] = {
    {.name = "all", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {-1}}, false}},
    {.name = "first, kept", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, true}},
    {.name = "outer two", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {2, 0}}, false}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {1}}, false}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {3}}, false}, .error = "axis 3 is out of range or repeated for [2,3,4]"},
    {.name = "repeated axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {2, -1}}, false}, .error = "axis -1 is out of range or repeated"},
    {0},
};

/* --- sum --- */

static bool sum_infer(gr_infer *c)
{
    if (!gr__is_float(c->dtype[0])) c->dtype[0] = GR_I64;
    return gr__axes_infer(c);
}

static gr_status sum_forward(gr_exec *e)
{
    return gr__axes_run(e, gr__kernels_for(e->in[0].dtype)->sum);
}

static unsigned sum_axes(const void *attrs, int rank)
{
    const gr__axes_attrs *a = attrs;
    unsigned mask;
    gr__axes_mask(&a->axes, rank, &mask);
    return mask;
}

static int64_t integer_at(const gr_value *v, int64_t offset)
{
    return v->dtype == GR_I64 ? ((const int64_t *)v->data)[offset]
                              : ((const uint8_t *)v->data)[offset];
}

/* Integers and truth values, counted exactly. */
static gr_status sum_integers(gr_exec *e)
{
    gr__reduction r = gr__axes_reduction(e);
    int64_t *y = e->out[0].data, kept[GR_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        int64_t reduced[GR_MAX_RANK] = {0}, at = offset, total = 0;
        for (int64_t k = 0; k < r.count; k++) {
            total += integer_at(&e->in[0], at);
            at += gr__advance(reduced, r.reduced, r.reduced_stride, r.n_reduced);
        }
        y[i] = total;
        offset += gr__advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
    return GR_OK;
}

static double sum_flops(const gr_exec *e)
{
    return (double)gr_shape_numel(e->in[0].shape);
}

static void sum_vjp(gr_pullback *p)
{
    p->dx[0] = gr__axes_spread(p, p->dy[0]);
}

static const gr_op sum_op = {
    .name = "sum",
    .family = "reduce",
    .formula = "y = sum_i x_i over the reduced axes",
    .derivation = "dy/dx_i = 1, so every dx_i is the dy of its sum",
    .n_in = 1,
    .flags = GR_OP_LINEAR | GR_OP_STRIDED,
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .infer = sum_infer,
    .forward = {sum_forward, sum_forward, sum_integers, sum_integers, sum_integers},
    .sums = sum_axes,
    .vjp = sum_vjp,
    .flops = sum_flops,
    .samples = gr__axes_samples,
};

/* Sums over the named axes; GR_ALL: over all. Integers and truth values give int64. The sum of
 * nothing is 0. */
gr_tensor *gr_sum(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&sum_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

gr_tensor *gr_sum_all(gr_tensor *x)
{
    return gr__unary(&sum_op, x, &(gr__axes_attrs){GR_ALL, false}, GR_HERE);
}

/* --- mean --- */

static gr_tensor *mean_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr__axes_attrs *a = attrs;
    (void)n;
    if (!gr__is_float(gr_dtype_of(x[0])))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "mean: not defined for %s; use gr_cast", gr_dtype_name(gr_dtype_of(x[0])));
    gr_tensor *sum = gr_sum(x[0], a->axes, a->keepdim);
    if (gr_numel(sum) == gr_numel(x[0])) return sum;
    return gr_scale(sum, (double)gr_numel(sum) / (double)gr_numel(x[0]));
}

static const gr_op mean_op = {
    .name = "mean",
    .family = "reduce",
    .formula = "y = sum_i x_i / n over the reduced axes",
    .derivation = "dy/dx_i = 1/n, so every dx_i is dy / n",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .define = mean_define,
    .samples = gr__axes_samples,
};

/* Means over the named axes; GR_ALL: over all. The mean of nothing is NaN. */
gr_tensor *gr_mean(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&mean_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

gr_tensor *gr_mean_all(gr_tensor *x)
{
    return gr__unary(&mean_op, x, &(gr__axes_attrs){GR_ALL, false}, GR_HERE);
}

/* --- prod --- */

static gr_status prod_forward(gr_exec *e)
{
    double *y = gr__fold_run(e, &(gr__fold){.join = gr__fold_product, .start = 1});
    if (!y) return GR_ERR_MEMORY;
    gr__fold_store(e, 0, y);
    return GR_OK;
}

/* The axes of x with the reduced ones last. */
static gr_axes reduced_last(int rank, unsigned mask)
{
    gr_axes order = {0, {0}};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < rank; i++)
            if ((mask >> i & 1u) == (unsigned)pass) order.axis[order.n++] = i;
    return order;
}

static gr_axes inverse_of(const gr_axes *order)
{
    gr_axes inverse = {order->n, {0}};
    for (int i = 0; i < order->n; i++) inverse.axis[order->axis[i]] = i;
    return inverse;
}

/* For each x_i the product of all others that are reduced with it: of those before it and those
 * after it, so that zeros do no harm. */
static gr_tensor *product_of_others(gr_tensor *x, const gr_axes *axes)
{
    const gr_shape *shape = gr_shape_of(x);
    unsigned mask;
    gr__axes_mask(axes, shape->rank, &mask);
    if (gr_numel(x) == 0) return x;
    gr_axes order = reduced_last(shape->rank, mask);
    gr_tensor *turned = gr_permute(x, order);
    gr_shape lines = gr__axes_reduced(shape, mask, false);
    lines.dim[lines.rank++] = -1;
    gr_tensor *line = gr_reshape(turned, lines);
    gr_tensor *before = gr_cumprod(line, -1, (gr_scan_options){.exclusive = true});
    gr_tensor *after = gr_cumprod(line, -1, (gr_scan_options){.exclusive = true, .reverse = true});
    gr_tensor *others = gr_reshape(gr_mul(before, after), *gr_shape_of(turned));
    return gr_permute(others, inverse_of(&order));
}

static void prod_vjp(gr_pullback *p)
{
    const gr__axes_attrs *a = p->attrs;
    gr_tensor *others = product_of_others(p->x[0], &a->axes);
    p->dx[0] = gr_mul(gr__axes_spread(p, p->dy[0]), others);
}

#define FACTORS(...) {.shape = {__VA_ARGS__}, .low = 0.4, .high = 1.6}

static const gr_sample prod_samples[] = {
    {.name = "all", .in = {FACTORS(2, {3, 4})}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "both signs", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {-1}}, false}},
    {.name = "first, kept", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, true}},
    {.name = "outer two", .in = {FACTORS(3, {2, 3, 4})}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {2, 0}}, false}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {1}}, false}},
    {.name = "nothing", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, false}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {3}}, false}, .error = "out of range"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}, .error = "not defined for int64"},
    {0},
};

static const gr_op prod_op = {
    .name = "prod",
    .family = "reduce",
    .formula = "y = prod_i x_i over the reduced axes",
    .derivation = "y is linear in each x_i, and the product of the others is its slope: "
                  "dx_i = dy prod_{j != i} x_j, got without division from running products from both "
                  "ends, so that it holds for any number of zeros",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .infer = gr__axes_infer,
    .forward = {[GR_F32] = prod_forward, [GR_F64] = prod_forward},
    .vjp = prod_vjp,
    .samples = prod_samples,
};

/* Products over the named axes; GR_ALL: over all. The product of nothing is 1. Derivatives of any
 * order are right with zeros among the factors. */
gr_tensor *gr_prod(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&prod_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

/* --- counts and truth --- */

static gr_tensor *count_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr__axes_attrs *a = attrs;
    gr_dtype dtype = gr_dtype_of(x[0]);
    (void)n;
    if (dtype == GR_BOOL) return gr_sum(x[0], a->axes, a->keepdim);
    gr_tensor *zero = gr_scalar(gr_graph_of(x[0]), dtype, 0);
    return gr_sum(gr_not_equal(x[0], zero), a->axes, a->keepdim);
}

static gr_tensor *any_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_tensor *count = count_define(x, n, attrs);
    return gr_greater(count, gr_scalar(gr_graph_of(x[0]), GR_I64, 0));
}

static gr_tensor *all_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_tensor *count = count_define(x, n, attrs);
    int64_t results = gr_numel(count), each = results ? gr_numel(x[0]) / results : 0;
    return gr_equal(count, gr_scalar(gr_graph_of(x[0]), GR_I64, (double)each));
}

#define TRUTH {.shape = {3, {2, 3, 4}}, .boolean = true}
#define WHOLE {.shape = {2, {3, 4}}, .integer = true, .low = -1, .high = 2}

static const gr_sample count_samples[] = {
    {.name = "numbers", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{2, {0, 2}}, false}},
    {.name = "truth values", .in = {TRUTH}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {1}}, true}},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {-1}}, false}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {0}}, false}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const gr__axes_attrs){{0, {0}}, false}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr__axes_attrs){{1, {3}}, false}, .error = "out of range"},
    {0},
};

static const gr_op count_nonzero_op = {
    .name = "count_nonzero",
    .family = "reduce",
    .formula = "y = the number of i with x_i != 0, over the reduced axes",
    .derivation = "a count does not move with x: no gradient",
    .ties = "x_i = 0: the derivative is 0 as everywhere",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .define = count_define,
    .samples = count_samples,
};

static const gr_op any_op = {
    .name = "any",
    .family = "reduce",
    .formula = "y = whether some x_i != 0, over the reduced axes",
    .derivation = "a truth value does not move with x: no gradient",
    .ties = "x_i = 0: the derivative is 0 as everywhere",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .define = any_define,
    .samples = count_samples,
};

static const gr_op all_op = {
    .name = "all",
    .family = "reduce",
    .formula = "y = whether every x_i != 0, over the reduced axes",
    .derivation = "a truth value does not move with x: no gradient",
    .ties = "x_i = 0: the derivative is 0 as everywhere",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .define = all_define,
    .samples = count_samples,
};

/* How many elements are not 0, int64, over the named axes; GR_ALL: over all. NaN is not 0. */
gr_tensor *gr_count_nonzero(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&count_nonzero_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

/* Whether any element is not 0, bool, over the named axes; GR_ALL: over all. Of nothing: false. */
gr_tensor *gr_any(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&any_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

/* Whether no element is 0, bool, over the named axes; GR_ALL: over all. Of nothing: true. */
gr_tensor *gr_all(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&all_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

const gr_op *const gr__reduce_ops[] = {
    &sum_op, &mean_op, &prod_op, &count_nonzero_op, &any_op, &all_op, NULL,
};
