/* view.c - axes added, dropped, split, moved, turned round: the same elements, nothing copied.
 *
 *   flip:  y[..., i, ...] = x[..., n - 1 - i, ...]    a negative stride; dx is dy flipped
 *
 * The others are a reshape or a permute, by definition; their backward is the way back.
 */
/* SPDX-License-Identifier: MIT */
#include "axes.h"

#define CUBE {.shape = {3, {2, 3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {3, {2, 0, 4}}}

/* --- squeeze --- */

/* gr__axes_mask, but no bits where no axis is named. */
static bool named_axes(const gr_axes *axes, int rank, unsigned *mask)
{
    *mask = 0;
    return axes->n == 0 || gr__axes_mask(axes, rank, mask);
}

static gr_tensor *squeeze_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_axes *axes = attrs;
    const gr_shape *from = gr_shape_of(x[0]);
    gr_shape to = {0, {0}};
    unsigned mask;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (!named_axes(axes, from->rank, &mask))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "squeeze: axis %d is out of range or repeated for %s",
                           gr__axes_wrong(axes, mask), gr_shape_text(from, text));
    for (int i = 0; i < from->rank; i++) {
        const bool named = axes->n == 0 || (mask & 1u << i);
        if (!named || from->dim[i] != 1) to.dim[to.rank++] = from->dim[i];
    }
    return gr_reshape(x[0], to);
}

static const gr_field axes_fields[] = {{"axes", GR_FIELD_AXES, 0, 0, NULL}, {0}};

#define THIN {.shape = {4, {1, 3, 1, 2}}}

static const gr_sample squeeze_samples[] = {
    {.name = "all", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){0, {0}}},
    {.name = "one", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){1, {-2}}},
    {.name = "two", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){2, {0, 2}}},
    {.name = "not of size 1", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){2, {0, 1}}},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = &(const gr_axes){0, {0}}},
    {.name = "empty", .in = {{.shape = {2, {1, 0}}}}, .n_in = 1, .attrs = &(const gr_axes){1, {0}}},
    {.name = "bad axis", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){1, {4}}, .error = "axis 4 is out of range or repeated for [1,3,1,2]"},
    {.name = "repeated", .in = {THIN}, .n_in = 1, .attrs = &(const gr_axes){2, {0, -4}}, .error = "axis -4 is out of range or repeated"},
    {0},
};

static const gr_op squeeze_op = {
    .name = "squeeze",
    .family = "view",
    .formula = "y = x without its axes of size 1",
    .derivation = "each y is one x, so dx is dy in the shape of x",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_axes),
    .fields = axes_fields,
    .define = squeeze_define,
    .samples = squeeze_samples,
};

/* Drops the named axes that have size 1, GR_ALL: every one; a named axis of another size stays, as
 * in PyTorch. A view. An axis out of range or named twice is an error. */
gr_tensor *gr_squeeze(gr_tensor *x, gr_axes axes)
{
    return gr__unary(&squeeze_op, x, &axes, GR_HERE);
}

/* --- unsqueeze --- */

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

static gr_tensor *unsqueeze_define(gr_tensor *const *x, int n, const void *attrs)
{
    const int given = ((const axis_attrs *)attrs)->axis;
    gr_shape to = *gr_shape_of(x[0]);
    int axis = given;
    char text[GR_SHAPE_TEXT];
    (void)n;
    gr_shape_text(&to, text);
    if (!gr__axis(&axis, to.rank + 1))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "unsqueeze: axis %d is out of range for %s", given, text);
    if (to.rank == GR_MAX_RANK)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "unsqueeze: %s has %d axes, the most there can be", text, to.rank);
    for (int i = to.rank++; i > axis; i--) to.dim[i] = to.dim[i - 1];
    to.dim[axis] = 1;
    return gr_reshape(x[0], to);
}

#define AXIS(i) &(const axis_attrs){i}

static const gr_sample unsqueeze_samples[] = {
    {.name = "first", .in = {CUBE}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "within", .in = {CUBE}, .n_in = 1, .attrs = AXIS(2)},
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = AXIS(-1)},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = AXIS(0)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = AXIS(1)},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = AXIS(4), .error = "axis 4 is out of range for [2,3,4]"},
    {.name = "too many axes", .in = {{.shape = {8, {1, 1, 1, 2, 1, 1, 1, 1}}}}, .n_in = 1, .attrs = AXIS(0), .error = "the most there can be"},
    {0},
};

static const gr_op unsqueeze_op = {
    .name = "unsqueeze",
    .family = "view",
    .formula = "y = x with one more axis, of size 1",
    .derivation = "each y is one x, so dx is dy in the shape of x",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = unsqueeze_define,
    .samples = unsqueeze_samples,
};

/* Adds an axis of size 1, which becomes axis `axis` of the result; -1 is the last. A view. */
gr_tensor *gr_unsqueeze(gr_tensor *x, int axis)
{
    return gr__unary(&unsqueeze_op, x, &(axis_attrs){axis}, GR_HERE);
}

/* --- unflatten --- */

typedef struct unflatten_attrs {
    int axis;
    gr_shape sizes;
} unflatten_attrs;

/* Resolves a size of -1; whether the sizes multiply to n. */
static bool resolve_sizes(gr_shape *sizes, int64_t n)
{
    int64_t known = 1;
    int open = -1;
    if (sizes->rank < 1 || sizes->rank > GR_MAX_RANK) return false;
    for (int i = 0; i < sizes->rank; i++) {
        if (sizes->dim[i] == -1 && open < 0) open = i;
        else if (sizes->dim[i] < 0 || __builtin_mul_overflow(known, sizes->dim[i], &known))
            return false;
    }
    if (open < 0) return known == n;
    if (known == 0 || n % known) return false;
    sizes->dim[open] = n / known;
    return true;
}

static gr_tensor *unflatten_define(gr_tensor *const *x, int n, const void *attrs)
{
    const unflatten_attrs *a = attrs;
    const gr_shape *from = gr_shape_of(x[0]);
    gr_shape sizes = a->sizes, to = {0, {0}};
    int axis = a->axis;
    char text[2][GR_SHAPE_TEXT];
    (void)n;
    gr_shape_text(from, text[0]);
    if (!gr__axis(&axis, from->rank))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "unflatten: axis %d is out of range for %s", a->axis, text[0]);
    const bool fits = sizes.rank >= 0 && from->rank - 1 + sizes.rank <= GR_MAX_RANK;
    if (!fits || !resolve_sizes(&sizes, from->dim[axis]))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "unflatten: cannot make axis %d of %s into %s", axis, text[0],
                           gr_shape_text(&a->sizes, text[1]));
    for (int i = 0; i < axis; i++) to.dim[to.rank++] = from->dim[i];
    for (int i = 0; i < sizes.rank; i++) to.dim[to.rank++] = sizes.dim[i];
    for (int i = axis + 1; i < from->rank; i++) to.dim[to.rank++] = from->dim[i];
    return gr_reshape(x[0], to);
}

static const gr_field unflatten_fields[] = {
    GR_FIELD(unflatten_attrs, axis, GR_FIELD_INT),
    GR_FIELD(unflatten_attrs, sizes, GR_FIELD_SHAPE),
    {0},
};

#define SIZES(axis, ...) &(const unflatten_attrs){axis, __VA_ARGS__}

static const gr_sample unflatten_samples[] = {
    {.name = "last", .in = {{.shape = {2, {3, 6}}}}, .n_in = 1, .attrs = SIZES(-1, {2, {2, 3}})},
    {.name = "open size", .in = {{.shape = {3, {2, 6, 2}}}}, .n_in = 1, .attrs = SIZES(1, {3, {1, -1, 2}})},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = SIZES(1, {2, {3, 0}})},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = SIZES(3, {1, {4}}), .error = "axis 3 is out of range for [2,3,4]"},
    {.name = "other count", .in = {CUBE}, .n_in = 1, .attrs = SIZES(2, {2, {3, -1}}), .error = "cannot make axis 2 of [2,3,4] into [3,-1]"},
    {.name = "no sizes", .in = {CUBE}, .n_in = 1, .attrs = SIZES(2, {0, {0}}), .error = "cannot make axis 2 of [2,3,4] into []"},
    {.name = "too many axes", .in = {CUBE}, .n_in = 1, .attrs = SIZES(0, {7, {2, 1, 1, 1, 1, 1, 1}}), .error = "cannot make axis 0"},
    {0},
};

static const gr_op unflatten_op = {
    .name = "unflatten",
    .family = "view",
    .formula = "y = x with one axis split into several, in row-major order",
    .derivation = "each y is one x, so dx is dy in the shape of x",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(unflatten_attrs),
    .fields = unflatten_fields,
    .define = unflatten_define,
    .samples = unflatten_samples,
};

/* Splits an axis into several whose sizes multiply to its size; one may be -1, which then follows:
 * [2,12] on axis 1 with GR_SHAPE(3, -1) gives [2,3,4]. Undoes gr_flatten. A view. */
gr_tensor *gr_unflatten(gr_tensor *x, int axis, gr_shape sizes)
{
    return gr__unary(&unflatten_op, x, &(unflatten_attrs){axis, sizes}, GR_HERE);
}

/* --- movedim --- */

typedef struct movedim_attrs {
    int from, to;
} movedim_attrs;

static gr_tensor *movedim_define(gr_tensor *const *x, int n, const void *attrs)
{
    const movedim_attrs *a = attrs;
    const int rank = gr_shape_of(x[0])->rank;
    gr_axes axes = {rank, {0}};
    int from = a->from, to = a->to;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (!gr__axis(&from, rank) || !gr__axis(&to, rank))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "movedim: axes %d and %d are out of range for %s", a->from, a->to,
                           gr_shape_text(gr_shape_of(x[0]), text));
    for (int i = 0, next = 0; i < rank; i++) {
        if (next == from) next++;
        axes.axis[i] = i == to ? from : next++;
    }
    return gr_permute(x[0], axes);
}

static const gr_field movedim_fields[] = {
    GR_FIELD(movedim_attrs, from, GR_FIELD_INT),
    GR_FIELD(movedim_attrs, to, GR_FIELD_INT),
    {0},
};

#define MOVE(from, to) &(const movedim_attrs){from, to}

static const gr_sample movedim_samples[] = {
    {.name = "to the end", .in = {CUBE}, .n_in = 1, .attrs = MOVE(0, -1)},
    {.name = "to the front", .in = {CUBE}, .n_in = 1, .attrs = MOVE(2, 0)},
    {.name = "one on", .in = {{.shape = {4, {2, 3, 4, 2}}}}, .n_in = 1, .attrs = MOVE(1, 2)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = MOVE(1, 0)},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = MOVE(0, 3), .error = "axes 0 and 3 are out of range for [2,3,4]"},
    {0},
};

static const gr_op movedim_op = {
    .name = "movedim",
    .family = "view",
    .formula = "y = x with axis `from` moved to place `to`, the others in their order",
    .derivation = "each y is one x, so dx is dy with the axis moved back",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(movedim_attrs),
    .fields = movedim_fields,
    .define = movedim_define,
    .samples = movedim_samples,
};

/* Moves one axis to another place; the others keep their order. gr_movedim(x, 1, -1) makes
 * [N,C,H,W] into [N,H,W,C]. A view. */
gr_tensor *gr_movedim(gr_tensor *x, int from, int to)
{
    return gr__unary(&movedim_op, x, &(movedim_attrs){from, to}, GR_HERE);
}

/* --- flip --- */

static bool flip_infer(gr_infer *c)
{
    unsigned mask;
    if (named_axes(c->attrs, c->shape[0].rank, &mask)) return true;
    return gr_infer_fail(c, "axis %d is out of range or repeated for %s",
                         gr__axes_wrong(c->attrs, mask), gr_infer_shape(c, 0));
}

static bool flip_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    const gr_axes *axes = e->attrs;
    const gr_shape *x = e->in[0].shape;
    const bool any = gr_shape_numel(x) > 0;
    unsigned mask;
    named_axes(axes, x->rank, &mask);
    for (int i = 0; i < x->rank; i++) {
        const bool turned = axes->n == 0 || (mask & 1u << i);
        const int64_t step = e->in[0].strides[i];
        strides[i] = turned ? -step : step;
        if (turned && any) *offset += (x->dim[i] - 1) * step;
    }
    return true;
}

static void flip_vjp(gr_pullback *p)
{
    p->dx[0] = gr_flip(p->dy[0], *(const gr_axes *)p->attrs);
}

static const gr_sample flip_samples[] = {
    {.name = "last", .in = {CUBE}, .n_in = 1, .attrs = &(const gr_axes){1, {-1}}},
    {.name = "two", .in = {CUBE}, .n_in = 1, .attrs = &(const gr_axes){2, {0, 2}}},
    {.name = "all", .in = {{.shape = {2, {3, 4}}}}, .n_in = 1, .attrs = &(const gr_axes){0, {0}}},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = &(const gr_axes){0, {0}}},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = &(const gr_axes){2, {0, 1}}},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = &(const gr_axes){1, {3}}, .error = "axis 3 is out of range or repeated for [2,3,4]"},
    {0},
};

static const gr_op flip_op = {
    .name = "flip",
    .family = "view",
    .formula = "y[..., i, ...] = x[..., n - 1 - i, ...] along each named axis of size n",
    .derivation = "each y is one x, so dx is dy, turned round the same way",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_axes),
    .fields = axes_fields,
    .infer = flip_infer,
    .view = flip_view,
    .vjp = flip_vjp,
    .samples = flip_samples,
};

/* Turns the order of the elements round along the named axes, GR_ALL: along all. A view, with
 * negative strides. */
gr_tensor *gr_flip(gr_tensor *x, gr_axes axes)
{
    return gr__unary(&flip_op, x, &axes, GR_HERE);
}

/* --- rot90 --- */

typedef struct rot90_attrs {
    int times, from, to;
} rot90_attrs;

static gr_tensor *rot90_define(gr_tensor *const *x, int n, const void *attrs)
{
    const rot90_attrs *a = attrs;
    const int rank = gr_shape_of(x[0])->rank, quarters = (a->times % 4 + 4) % 4;
    int from = a->from, to = a->to;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (!gr__axis(&from, rank) || !gr__axis(&to, rank) || from == to)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "rot90: expected two axes of %s, got %d and %d",
                           gr_shape_text(gr_shape_of(x[0]), text), a->from, a->to);
    if (quarters == 0) return x[0];
    if (quarters == 1) return gr_transpose(gr_flip(x[0], GR_AXES(to)), from, to);
    if (quarters == 2) return gr_flip(x[0], GR_AXES(from, to));
    return gr_flip(gr_transpose(x[0], from, to), GR_AXES(to));
}

static const gr_field rot90_fields[] = {
    GR_FIELD(rot90_attrs, times, GR_FIELD_INT),
    GR_FIELD(rot90_attrs, from, GR_FIELD_INT),
    GR_FIELD(rot90_attrs, to, GR_FIELD_INT),
    {0},
};

#define TURN(times, from, to) &(const rot90_attrs){times, from, to}

static const gr_sample rot90_samples[] = {
    {.name = "once", .in = {CUBE}, .n_in = 1, .attrs = TURN(1, 1, 2)},
    {.name = "twice", .in = {CUBE}, .n_in = 1, .attrs = TURN(2, 0, -1)},
    {.name = "back", .in = {CUBE}, .n_in = 1, .attrs = TURN(-1, 2, 0)},
    {.name = "all round", .in = {CUBE}, .n_in = 1, .attrs = TURN(4, 0, 1)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = TURN(1, 0, 1)},
    {.name = "one axis", .in = {CUBE}, .n_in = 1, .attrs = TURN(1, 1, -2), .error = "expected two axes of [2,3,4], got 1 and -2"},
    {0},
};

static const gr_op rot90_op = {
    .name = "rot90",
    .family = "view",
    .formula = "y[..., i, ..., j, ...] = x[..., j, ..., n - 1 - i, ...] for one quarter",
    .derivation = "each y is one x, so dx is dy turned back",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(rot90_attrs),
    .fields = rot90_fields,
    .define = rot90_define,
    .samples = rot90_samples,
};

/* Turns the plane of two axes by so many quarters, from the first axis towards the second; negative
 * ones turn back. gr_rot90(image, 1, -2, -1) turns an image against the clock. A view. */
gr_tensor *gr_rot90(gr_tensor *x, int times, int from, int to)
{
    return gr__unary(&rot90_op, x, &(rot90_attrs){times, from, to}, GR_HERE);
}

const gr_op *const gr__view_ops[] = {
    &squeeze_op, &unsqueeze_op, &unflatten_op, &movedim_op, &flip_op, &rot90_op, NULL,
};
