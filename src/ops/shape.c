/* shape.c - the same elements in another arrangement.
 *
 * Views cost nothing: an element's place is offset + sum_i index_i stride_i, and a view changes
 * offset and strides alone. Backward moves dy to where the elements came from:
 *
 *   reshape: reshape back      permute: the inverse permutation
 *   expand:  sum over what was stretched
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#define M34 {.shape = {2, {3, 4}}}

/* --- reshape --- */

/* Resolves a size of -1 from the number of elements. */
static bool reshape_infer(gr_infer *c)
{
    gr_shape shape = *(const gr_shape *)c->attrs;
    int64_t known = 1, have = gr_numel(c->in[0]);
    int open = -1;
    char text[GR_SHAPE_TEXT];
    if (shape.rank < 0 || shape.rank > GR_MAX_RANK)
        return gr_infer_fail(c, "%s is not a shape", gr_shape_text(&shape, text));
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] == -1 && open < 0) open = i;
        else if (shape.dim[i] < 0 || __builtin_mul_overflow(known, shape.dim[i], &known))
            return gr_infer_fail(c, "%s is not a shape", gr_shape_text(c->attrs, text));
    }
    if (open >= 0 && known > 0 && have % known == 0) {
        shape.dim[open] = have / known;
        known = have;
    }
    if (known != have || (open >= 0 && shape.dim[open] < 0))
        return gr_infer_fail(c, "cannot view %s (%lld elements) as %s", gr_infer_shape(c, 0),
                             (long long)have, gr_shape_text(c->attrs, text));
    c->shape[0] = shape;
    return true;
}

/* Walks both shapes from the inside: groups of axes of equal size must be dense in the input. */
static bool reshape_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    const gr_shape *from = e->in[0].shape, *to = e->out[0].shape;
    (void)offset;
    gr__shape_strides(to, strides);
    if (gr_shape_numel(to) <= 1) return true;
    int i = from->rank - 1, j = to->rank - 1;
    while (j >= 0) {
        while (i >= 0 && from->dim[i] == 1) i--;
        if (i < 0) break; /* what is left of `to` has size 1 */
        int64_t step = e->in[0].strides[i], left = from->dim[i], need = 1;
        int64_t dense = step;
        while (j >= 0) {
            if (to->dim[j] != 1 && need * to->dim[j] > left) {
                /* the group needs the next axis of `from`, which must continue this one */
                int next = i - 1;
                while (next >= 0 && from->dim[next] == 1) next--;
                if (next < 0 || e->in[0].strides[next] != from->dim[i] * e->in[0].strides[i])
                    return false;
                left *= from->dim[next];
                i = next;
                continue;
            }
            strides[j] = dense;
            dense *= to->dim[j];
            need *= to->dim[j--];
            if (need == left) break;
        }
        if (need != left) return false;
        i--;
    }
    return true;
}

static void reshape_vjp(gr_pullback *p)
{
    p->dx[0] = gr_reshape(p->dy[0], *gr_shape_of(p->x[0]));
}

static const gr_field shape_fields[] = {{"shape", GR_FIELD_SHAPE, 0, 0, NULL}, {0}};

static const gr_sample reshape_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 6}}},
    {.name = "open size", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){3, {2, -1, 3}}},
    {.name = "to scalar", .in = {{.shape = {1, {1}}}}, .n_in = 1, .attrs = &(const gr_shape){0, {0}}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 0}}},
    {.name = "wrong count", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){1, {7}}, .error = "cannot view [3,4]"},
    {.name = "no shape", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {-2, 3}}, .error = "is not a shape"},
    {0},
};

static const gr_op reshape_op = {
    .name = "reshape",
    .family = "shape",
    .formula = "y = x, its elements in row-major order under another shape",
    .derivation = "each y is one x, so dx is dy in the shape of x",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_shape),
    .fields = shape_fields,
    .infer = reshape_infer,
    .view = reshape_view,
    .vjp = reshape_vjp,
    .samples = reshape_samples,
};

/* The elements of x in row-major order under another shape of as many elements; one size may be
 * -1, which then follows. A view wherever the strides of x allow, else a copy. */
gr_tensor *gr_reshape(gr_tensor *x, gr_shape shape)
{
    if (x && gr_shape_equal(x->shape, &shape)) return x;
    return gr__unary(&reshape_op, x, &shape, GR_HERE);
}

/* Joins the axes from `from_axis` on into one: [2,3,4] from 1 gives [2,12]. */
gr_tensor *gr_flatten(gr_tensor *x, int from_axis)
{
    if (!x || gr__is_nil(x)) return gr__unary(&reshape_op, x, &(gr_shape){0, {0}}, GR_HERE);
    gr_shape shape = *x->shape;
    const int given = from_axis;
    if (from_axis == shape.rank) { /* nothing to join: a size of 1 */
        if (shape.rank == GR_MAX_RANK)
            return gr__fail_at(x->graph, GR_ERR_ARGUMENT, GR_HERE, "flatten: rank above 8");
        shape.dim[shape.rank++] = 1;
        return gr__unary(&reshape_op, x, &shape, GR_HERE);
    }
    if (!gr__axis(&from_axis, shape.rank))
        return gr__fail_at(x->graph, GR_ERR_ARGUMENT, GR_HERE,
                           "flatten: axis %d is out of range for rank %d", given, shape.rank);
    for (int i = from_axis + 1; i < shape.rank; i++) shape.dim[from_axis] *= shape.dim[i];
    shape.rank = from_axis + 1;
    return gr__unary(&reshape_op, x, &shape, GR_HERE);
}

/* --- permute --- */

static bool permute_infer(gr_infer *c)
{
    const gr_axes *axes = c->attrs;
    const gr_shape *x = gr_shape_of(c->in[0]);
    unsigned seen = 0;
    if (axes->n != x->rank)
        return gr_infer_fail(c, "%d axes given for %s", axes->n, gr_infer_shape(c, 0));
    for (int i = 0; i < x->rank; i++) {
        int axis = axes->axis[i];
        if (!gr__axis(&axis, x->rank) || (seen & 1u << axis))
            return gr_infer_fail(c, "axis %d is out of range or repeated for %s", axes->axis[i],
                                 gr_infer_shape(c, 0));
        seen |= 1u << axis;
        c->shape[0].dim[i] = x->dim[axis];
    }
    return true;
}

static bool permute_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    const gr_axes *axes = e->attrs;
    (void)offset;
    for (int i = 0; i < axes->n; i++) {
        int axis = axes->axis[i];
        gr__axis(&axis, axes->n);
        strides[i] = e->in[0].strides[axis];
    }
    return true;
}

static void permute_vjp(gr_pullback *p)
{
    const gr_axes *axes = p->attrs;
    gr_axes inverse = {axes->n, {0}};
    for (int i = 0; i < axes->n; i++) {
        int axis = axes->axis[i];
        gr__axis(&axis, axes->n);
        inverse.axis[axis] = i;
    }
    p->dx[0] = gr_permute(p->dy[0], inverse);
}

static const gr_field permute_fields[] = {{"axes", GR_FIELD_AXES, 0, 0, NULL}, {0}};

static const gr_sample permute_samples[] = {
    {.name = "transpose", .in = {M34}, .n_in = 1, .attrs = &(const gr_axes){2, {1, 0}}},
    {.name = "rotate", .in = {{.shape = {3, {2, 3, 4}}}}, .n_in = 1, .attrs = &(const gr_axes){3, {2, 0, -2}}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr_axes){2, {1, 0}}},
    {.name = "repeated", .in = {M34}, .n_in = 1, .attrs = &(const gr_axes){2, {1, 1}}, .error = "repeated"},
    {.name = "too few", .in = {M34}, .n_in = 1, .attrs = &(const gr_axes){1, {0}}, .error = "1 axes given"},
    {0},
};

static const gr_op permute_op = {
    .name = "permute",
    .family = "shape",
    .formula = "y[i_a0, i_a1, ...] = x[i_0, i_1, ...]",
    .derivation = "each y is one x, so dx is dy under the inverse permutation",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_axes),
    .fields = permute_fields,
    .infer = permute_infer,
    .view = permute_view,
    .vjp = permute_vjp,
    .samples = permute_samples,
};

/* Axis i of the result is axis axes[i] of x; all axes are named, negative ones from the end. */
gr_tensor *gr_permute(gr_tensor *x, gr_axes axes)
{
    return gr__unary(&permute_op, x, &axes, GR_HERE);
}

/* Swaps two axes; gr_transpose(x, -2, -1) transposes matrices. */
gr_tensor *gr_transpose(gr_tensor *x, int a, int b)
{
    if (!x || gr__is_nil(x)) return gr__unary(&permute_op, x, &(gr_axes){0, {0}}, GR_HERE);
    int rank = x->shape->rank, first = a, second = b;
    if (!gr__axis(&first, rank) || !gr__axis(&second, rank))
        return gr__fail_at(x->graph, GR_ERR_ARGUMENT, GR_HERE,
                           "transpose: axes %d and %d are out of range for rank %d", a, b, rank);
    gr_axes axes = {rank, {0}};
    for (int i = 0; i < rank; i++) axes.axis[i] = i;
    axes.axis[first] = second;
    axes.axis[second] = first;
    return gr__unary(&permute_op, x, &axes, GR_HERE);
}

/* --- expand --- */

static bool expand_infer(gr_infer *c)
{
    const gr_shape *to = c->attrs;
    gr_shape joined;
    char text[GR_SHAPE_TEXT];
    if (!gr__shape_valid(to) || !gr__shape_broadcast(gr_shape_of(c->in[0]), to, &joined) ||
        !gr_shape_equal(&joined, to))
        return gr_infer_fail(c, "cannot stretch %s to %s", gr_infer_shape(c, 0),
                             gr_shape_text(to, text));
    c->shape[0] = *to;
    return true;
}

static bool expand_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    const gr_shape *from = e->in[0].shape, *to = e->out[0].shape;
    int extra = to->rank - from->rank;
    (void)offset;
    for (int i = 0; i < to->rank; i++)
        strides[i] = i < extra || from->dim[i - extra] != to->dim[i] ? 0 : e->in[0].strides[i - extra];
    return true;
}

static void expand_vjp(gr_pullback *p)
{
    p->dx[0] = gr_sum_to(p->dy[0], *gr_shape_of(p->x[0]));
}

static const gr_sample expand_samples[] = {
    {.name = "row", .in = {{.shape = {1, {4}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {3, 4}}},
    {.name = "column", .in = {{.shape = {2, {3, 1}}}}, .n_in = 1, .attrs = &(const gr_shape){3, {2, 3, 4}}},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 2}}},
    {.name = "to empty", .in = {{.shape = {2, {1, 4}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {0, 4}}},
    {.name = "not stretchable", .in = {{.shape = {1, {3}}}}, .n_in = 1, .attrs = &(const gr_shape){1, {4}}, .error = "cannot stretch [3] to [4]"},
    {0},
};

const gr_op gr__expand_op = {
    .name = "expand",
    .family = "shape",
    .formula = "y[..., i, ...] = x[..., 0, ...] along each stretched axis",
    .derivation = "one x feeds many y, so dx is the sum of dy over the stretched axes",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_shape),
    .fields = shape_fields,
    .infer = expand_infer,
    .view = expand_view,
    .vjp = expand_vjp,
    .samples = expand_samples,
};

/* Stretches sizes of 1 and adds axes in front, as broadcasting does; no copy is made. */
gr_tensor *gr_expand(gr_tensor *x, gr_shape shape)
{
    if (x && gr_shape_equal(x->shape, &shape)) return x;
    return gr__unary(&gr__expand_op, x, &shape, GR_HERE);
}

/* The sum of x over what stretching `shape` to the shape of x would repeat. */
gr_tensor *gr_sum_to(gr_tensor *x, gr_shape shape)
{
    gr_shape joined;
    gr_axes axes = {0, {0}};
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (!x || gr__is_nil(x)) return gr__unary(&reshape_op, x, &shape, GR_HERE);
    if (gr_shape_equal(x->shape, &shape)) return x;
    if (!gr__shape_valid(&shape) || !gr__shape_broadcast(&shape, x->shape, &joined) ||
        !gr_shape_equal(&joined, x->shape))
        return gr__fail_at(x->graph, GR_ERR_ARGUMENT, GR_HERE, "sum_to: %s does not stretch to %s",
                           gr_shape_text(&shape, a), gr_shape_text(x->shape, b));
    int extra = x->shape->rank - shape.rank;
    for (int i = 0; i < x->shape->rank; i++)
        if (i < extra || shape.dim[i - extra] != x->shape->dim[i]) axes.axis[axes.n++] = i;
    gr_site_begin(x->graph, GR_HERE);
    gr_graph *g = x->graph;
    gr_tensor *y = axes.n ? gr_sum(x, axes, false) : x;
    y = gr_reshape(y, shape);
    gr_site_end(g);
    return y;
}

const gr_op *const gr__shape_ops[] = {&reshape_op, &permute_op, &gr__expand_op, NULL};
