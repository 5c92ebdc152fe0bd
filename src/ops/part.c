/* part.c - single parts of a tensor, tensors piled up, elements repeated; all made of views.
 *
 *   select:  y = x[..., i, ...]         narrow:  y = x[..., start : start + length, ...]
 *   stack:   y[i] = x_i                 repeat:  y[i] = x[i mod n], dx sums over the copies
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"

#define CUBE {.shape = {3, {2, 3, 4}}}
#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}

/* --- select --- */

typedef struct select_attrs {
    int axis;
    int64_t index;
} select_attrs;

static gr_tensor *select_define(gr_tensor *const *x, int n, const void *attrs)
{
    const select_attrs *a = attrs;
    gr_shape to = *gr_shape_of(x[0]);
    int axis = a->axis;
    char text[GR_SHAPE_TEXT];
    (void)n;
    gr_shape_text(&to, text);
    if (!gr__axis(&axis, to.rank))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "select: axis %d is out of range for %s", a->axis, text);
    const int64_t size = to.dim[axis], at = a->index < 0 ? a->index + size : a->index;
    if (at < 0 || at >= size)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "select: index %lld is out of range for axis %d of %s",
                           (long long)a->index, axis, text);
    to.rank--;
    for (int i = axis; i < to.rank; i++) to.dim[i] = to.dim[i + 1];
    return gr_reshape(gr_slice(x[0], axis, at, at + 1, 1), to);
}

static const gr_field select_fields[] = {
    GR_FIELD(select_attrs, axis, GR_FIELD_INT),
    GR_FIELD(select_attrs, index, GR_FIELD_I64),
    {0},
};

#define PICK(axis, index) &(const select_attrs){axis, index}

static const gr_sample select_samples[] = {
    {.name = "row", .in = {M34}, .n_in = 1, .attrs = PICK(0, 1)},
    {.name = "last column", .in = {M34}, .n_in = 1, .attrs = PICK(-1, -1)},
    {.name = "plane", .in = {CUBE}, .n_in = 1, .attrs = PICK(1, 2)},
    {.name = "to a scalar", .in = {{.shape = {1, {5}}}}, .n_in = 1, .attrs = PICK(0, 3)},
    {.name = "empty", .in = {{.shape = {2, {3, 0}}}}, .n_in = 1, .attrs = PICK(0, 1)},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = PICK(2, 0), .error = "axis 2 is out of range for [3,4]"},
    {.name = "bad index", .in = {M34}, .n_in = 1, .attrs = PICK(0, 3), .error = "index 3 is out of range for axis 0 of [3,4]"},
    {.name = "bad negative index", .in = {M34}, .n_in = 1, .attrs = PICK(1, -5), .error = "index -5 is out of range"},
    {0},
};

static const gr_op select_op = {
    .name = "select",
    .family = "part",
    .formula = "y = x[..., index, ...], the axis gone",
    .derivation = "each y is one x, so dy is added into that part of dx; the rest of dx is 0",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(select_attrs),
    .fields = select_fields,
    .define = select_define,
    .samples = select_samples,
};

/* One index of an axis, which goes: gr_select(x, 0, 2) is the third row. A negative index counts
 * from the end; one out of range is an error. A view. */
gr_tensor *gr_select(gr_tensor *x, int axis, int64_t index)
{
    return gr__unary(&select_op, x, &(select_attrs){axis, index}, GR_HERE);
}

/* --- narrow --- */

typedef struct narrow_attrs {
    int axis;
    int64_t start, length;
} narrow_attrs;

static gr_tensor *narrow_define(gr_tensor *const *x, int n, const void *attrs)
{
    const narrow_attrs *a = attrs;
    const gr_shape *from = gr_shape_of(x[0]);
    int axis = a->axis;
    char text[GR_SHAPE_TEXT];
    (void)n;
    gr_shape_text(from, text);
    if (!gr__axis(&axis, from->rank))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "narrow: axis %d is out of range for %s", a->axis, text);
    const int64_t size = from->dim[axis], start = a->start < 0 ? a->start + size : a->start;
    if (start < 0 || start > size || a->length < 0 || a->length > size - start)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "narrow: %lld elements from %lld are not within axis %d of %s",
                           (long long)a->length, (long long)a->start, axis, text);
    return gr_slice(x[0], axis, start, start + a->length, 1);
}

static const gr_field narrow_fields[] = {
    GR_FIELD(narrow_attrs, axis, GR_FIELD_INT),
    GR_FIELD(narrow_attrs, start, GR_FIELD_I64),
    GR_FIELD(narrow_attrs, length, GR_FIELD_I64),
    {0},
};

#define NARROW(axis, start, length) &(const narrow_attrs){axis, start, length}

static const gr_sample narrow_samples[] = {
    {.name = "rows", .in = {{.shape = {2, {5, 3}}}}, .n_in = 1, .attrs = NARROW(0, 1, 3)},
    {.name = "from the end", .in = {CUBE}, .n_in = 1, .attrs = NARROW(-1, -3, 2)},
    {.name = "all", .in = {M34}, .n_in = 1, .attrs = NARROW(1, 0, 4)},
    {.name = "nothing", .in = {M34}, .n_in = 1, .attrs = NARROW(0, 3, 0)},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = NARROW(2, 0, 1), .error = "axis 2 is out of range for [3,4]"},
    {.name = "too long", .in = {M34}, .n_in = 1, .attrs = NARROW(1, 2, 3), .error = "3 elements from 2 are not within axis 1 of [3,4]"},
    {.name = "negative length", .in = {M34}, .n_in = 1, .attrs = NARROW(1, 2, -1), .error = "-1 elements from 2"},
    {.name = "before the first", .in = {M34}, .n_in = 1, .attrs = NARROW(1, -5, 1), .error = "1 elements from -5"},
    {0},
};

static const gr_op narrow_op = {
    .name = "narrow",
    .family = "part",
    .formula = "y[..., i, ...] = x[..., start + i, ...] for i < length",
    .derivation = "each y is one x, so dy is added into that part of dx; the rest of dx is 0",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(narrow_attrs),
    .fields = narrow_fields,
    .define = narrow_define,
    .samples = narrow_samples,
};

/* `length` elements of an axis from `start` on, negative: from the end. Unlike gr_slice it does not
 * cut: what does not fit is an error. A view. */
gr_tensor *gr_narrow(gr_tensor *x, int axis, int64_t start, int64_t length)
{
    return gr__unary(&narrow_op, x, &(narrow_attrs){axis, start, length}, GR_HERE);
}

/* --- stack --- */

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

static gr_tensor *stack_define(gr_tensor *const *x, int n, const void *attrs)
{
    const int axis = ((const axis_attrs *)attrs)->axis;
    gr_graph *g = gr_graph_of(x[0]);
    char text[2][GR_SHAPE_TEXT];
    gr_tensor **thick = gr__arena_alloc(&g->nodes, (size_t)n * sizeof *thick);
    if (!thick) return gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "stack: out of memory");
    for (int i = 0; i < n; i++) {
        if (!gr_shape_equal(gr_shape_of(x[i]), gr_shape_of(x[0])) ||
            gr_dtype_of(x[i]) != gr_dtype_of(x[0]))
            return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                               "stack: input %d is %s %s, the first %s %s", i,
                               gr_dtype_name(gr_dtype_of(x[i])),
                               gr_shape_text(gr_shape_of(x[i]), text[0]),
                               gr_dtype_name(gr_dtype_of(x[0])),
                               gr_shape_text(gr_shape_of(x[0]), text[1]));
        thick[i] = gr_unsqueeze(x[i], axis);
    }
    return gr_concat(thick, n, axis);
}

#define AXIS(i) &(const axis_attrs){i}

static const gr_sample stack_samples[] = {
    {.name = "rows", .in = {{.shape = {1, {4}}}, {.shape = {1, {4}}}, {.shape = {1, {4}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "last", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(-1)},
    {.name = "within", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "one", .in = {M34}, .n_in = 1, .attrs = AXIS(2)},
    {.name = "empty", .in = {{.shape = {1, {0}}}, {.shape = {1, {0}}}}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "bad axis", .in = {M34, M34}, .n_in = 2, .attrs = AXIS(3), .error = "axis 3 is out of range for [3,4]"},
    {.name = "other shape", .in = {M34, CUBE}, .n_in = 2, .attrs = AXIS(0), .error = "input 1 is float64 [2,3,4], the first float64 [3,4]"},
    {0},
};

static const gr_op stack_op = {
    .name = "stack",
    .family = "part",
    .formula = "y[..., i, ...] = x_i along a new axis",
    .derivation = "each y is one x, so dx_i is the part i of dy",
    .n_in = -1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = stack_define,
    .samples = stack_samples,
};

/* Piles n tensors of one shape and dtype up along a new axis, axis `axis` of the result. */
gr_tensor *gr_stack(gr_tensor *const *x, int n, int axis)
{
    if (gr__need_array("stack", x, n, "array of inputs")) return &gr__nil;
    return gr__apply(NULL, &stack_op, x, n, &(axis_attrs){axis}, GR_HERE);
}

/* --- split, chunk --- */

static gr_status fail_split(gr_tensor *x, int n, gr_tensor **part, const void *site,
                            const char *name, const char *problem)
{
    char text[GR_SHAPE_TEXT];
    gr_tensor *nil = gr__need(name, x, "tensor") ? &gr__nil : x;
    if (x && !gr__is_nil(x))
        nil = gr__fail_at(x->graph, GR_ERR_ARGUMENT, site, "%s: %s of %s", name, problem,
                          gr_shape_text(x->shape, text));
    for (int i = 0; i < n; i++) part[i] = nil;
    return x && x->graph ? gr_graph_status(x->graph) : GR_ERR_STATE;
}

/* Cuts an axis of x into n parts of the sizes given, which must add up to its size; part[i] is a
 * slice, a view. Returns the graph's status; after an error every part is inert. */
gr_status gr_split(gr_tensor *x, int axis, const int64_t *sizes, int n, gr_tensor **part)
{
    const bool usable = x && !gr__is_nil(x);
    int64_t at = 0, size;
    if (gr__need_array("split", part, n, "array of parts")) return GR_ERR_ARGUMENT;
    if (!usable || !gr__axis(&axis, x->shape->rank))
        return fail_split(x, n, part, GR_HERE, "split", "axis out of range");
    if (!sizes && n > 0)
        return fail_split(x, n, part, GR_HERE, "split", "the sizes are NULL for an axis");
    size = x->shape->dim[axis];
    for (int i = 0; i < n && at >= 0; i++) at = sizes[i] < 0 || sizes[i] > size - at ? -1 : at + sizes[i];
    if (at != size)
        return fail_split(x, n, part, GR_HERE, "split", "the sizes do not add up to that axis");
    gr_site_begin(x->graph, GR_HERE);
    at = 0;
    for (int i = 0; i < n; at += sizes[i++]) part[i] = gr_slice(x, axis, at, at + sizes[i], 1);
    gr_site_end(x->graph);
    return gr_graph_status(x->graph);
}

/* Cuts an axis of x into n parts of one size, the last one smaller, or fewer parts, where it does
 * not divide, as in PyTorch: 5 in 4 gives 2, 2, 1. part has room for n. Returns how many were made,
 * 0 after an error; an axis of size 0 gives n empty parts. Views. */
int gr_chunk(gr_tensor *x, int axis, int n, gr_tensor **part)
{
    if (gr__need_array("chunk", part, n, "array of parts")) return 0;
    if (!x || gr__is_nil(x) || n < 1 || !gr__axis(&axis, x->shape->rank)) {
        fail_split(x, n, part, GR_HERE, "chunk", n < 1 ? "less than 1 part" : "axis out of range");
        return 0;
    }
    const int64_t size = x->shape->dim[axis], each = size / n + (size % n != 0);
    int made = 0;
    gr_site_begin(x->graph, GR_HERE);
    for (int64_t at = 0; made < n && (at < size || size == 0); at += each)
        part[made++] = gr_slice(x, axis, at, at + each, 1);
    gr_site_end(x->graph);
    return gr_graph_status(x->graph) ? 0 : made;
}

/* --- repeat --- */

/* x with every block of `inner` elements k times in a row, as `to`. */
static gr_tensor *copies(gr_tensor *x, int64_t inner, int64_t k, gr_shape to)
{
    const int64_t n = gr_numel(x), outer = inner ? n / inner : 0;
    gr_tensor *thin = gr_reshape(x, GR_SHAPE(outer, 1, inner));
    return gr_reshape(gr_expand(thin, GR_SHAPE(outer, k, inner)), to);
}

/* Sets size *= k; false when k is negative or the result too large. */
static bool multiply_size(gr_shape *shape, int axis, int64_t k)
{
    return k >= 0 && !__builtin_mul_overflow(shape->dim[axis], k, &shape->dim[axis]) &&
           gr__shape_valid(shape);
}

/* The shape of x, with axes of size 1 in front up to the rank. */
static gr_shape thickened(const gr_shape *x, int rank)
{
    const int extra = rank > x->rank ? rank - x->rank : 0;
    gr_shape to = {x->rank + extra, {0}};
    for (int i = 0; i < to.rank; i++) to.dim[i] = i < extra ? 1 : x->dim[i - extra];
    return to;
}

static gr_tensor *cannot_repeat(gr_tensor *x, const gr_shape *times)
{
    char text[2][GR_SHAPE_TEXT];
    return gr__fail_at(gr_graph_of(x), GR_ERR_ARGUMENT, GR_HERE, "repeat: cannot repeat %s %s times",
                       gr_shape_text(gr_shape_of(x), text[0]), gr_shape_text(times, text[1]));
}

static gr_tensor *repeat_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_shape *times = attrs;
    (void)n;
    if (times->rank < 0 || times->rank > GR_MAX_RANK) return cannot_repeat(x[0], times);
    gr_shape to = thickened(gr_shape_of(x[0]), times->rank);
    gr_tensor *y = gr_reshape(x[0], to);
    for (int i = to.rank - times->rank; i < to.rank; i++) {
        const int64_t k = times->dim[i - (to.rank - times->rank)];
        const int64_t block = gr__along_axis(&to, i).inner * to.dim[i];
        if (!multiply_size(&to, i, k)) return cannot_repeat(x[0], times);
        if (k != 1) y = copies(y, block, k, to);
    }
    return y;
}

static const gr_field repeat_fields[] = {{"times", GR_FIELD_SHAPE, 0, 0, NULL}, {0}};

static const gr_sample repeat_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 1}}},
    {.name = "columns", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){1, {3}}},
    {.name = "both", .in = {{.shape = {2, {2, 3}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {3, 2}}},
    {.name = "new axis", .in = {{.shape = {1, {4}}}}, .n_in = 1, .attrs = &(const gr_shape){3, {2, 1, 2}}},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = &(const gr_shape){1, {3}}},
    {.name = "not at all", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 0}}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const gr_shape){2, {2, 3}}},
    {.name = "negative", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {1, -2}}, .error = "cannot repeat [3,4] [1,-2] times"},
    {.name = "too large", .in = {M34}, .n_in = 1, .attrs = &(const gr_shape){2, {INT64_MAX, 2}}, .error = "cannot repeat [3,4]"},
    {0},
};

static const gr_op repeat_op = {
    .name = "repeat",
    .family = "part",
    .formula = "y[..., i, ...] = x[..., i mod n, ...] along each axis of size n",
    .derivation = "one x feeds many y, so dx is the sum of dy over the copies",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_shape),
    .fields = repeat_fields,
    .define = repeat_define,
    .samples = repeat_samples,
};

/* Lays copies of x side by side, times.dim[i] of them along axis i: [1,2] twice gives [1,2,1,2].
 * As torch.tile: both shapes are aligned at the right, missing entries count as 1 and missing axes
 * of x as size 1. Negative counts are an error. */
gr_tensor *gr_repeat(gr_tensor *x, gr_shape times)
{
    return gr__unary(&repeat_op, x, &times, GR_HERE);
}

typedef struct interleave_attrs {
    int axis;
    int64_t times;
} interleave_attrs;

static gr_tensor *interleave_define(gr_tensor *const *x, int n, const void *attrs)
{
    const interleave_attrs *a = attrs;
    gr_shape to = *gr_shape_of(x[0]);
    int axis = a->axis;
    char text[GR_SHAPE_TEXT];
    (void)n;
    gr_shape_text(&to, text);
    if (!gr__axis(&axis, to.rank))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "repeat_interleave: axis %d is out of range for %s", a->axis, text);
    if (!multiply_size(&to, axis, a->times))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "repeat_interleave: cannot repeat axis %d of %s %lld times", axis, text,
                           (long long)a->times);
    return copies(x[0], gr__along_axis(gr_shape_of(x[0]), axis).inner, a->times, to);
}

static const gr_field interleave_fields[] = {
    GR_FIELD(interleave_attrs, axis, GR_FIELD_INT),
    GR_FIELD(interleave_attrs, times, GR_FIELD_I64),
    {0},
};

#define TIMES(axis, times) &(const interleave_attrs){axis, times}

static const gr_sample interleave_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = TIMES(0, 2)},
    {.name = "last", .in = {{.shape = {2, {2, 3}}}}, .n_in = 1, .attrs = TIMES(-1, 3)},
    {.name = "within", .in = {CUBE}, .n_in = 1, .attrs = TIMES(1, 2)},
    {.name = "not at all", .in = {M34}, .n_in = 1, .attrs = TIMES(0, 0)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = TIMES(1, 2)},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = TIMES(2, 2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "negative", .in = {M34}, .n_in = 1, .attrs = TIMES(1, -1), .error = "cannot repeat axis 1 of [3,4] -1 times"},
    {0},
};

static const gr_op interleave_op = {
    .name = "repeat_interleave",
    .family = "part",
    .formula = "y[..., i, ...] = x[..., floor(i / times), ...]",
    .derivation = "one x feeds many y, so dx is the sum of dy over its copies",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(interleave_attrs),
    .fields = interleave_fields,
    .define = interleave_define,
    .samples = interleave_samples,
};

/* Repeats each element of an axis in its place: [1,2] twice gives [1,1,2,2]. times >= 0. */
gr_tensor *gr_repeat_interleave(gr_tensor *x, int axis, int64_t times)
{
    return gr__unary(&interleave_op, x, &(interleave_attrs){axis, times}, GR_HERE);
}

const gr_op *const gr__part_ops[] = {
    &select_op, &narrow_op, &stack_op, &repeat_op, &interleave_op, NULL,
};
