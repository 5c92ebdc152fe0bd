/* lookup.c - numbers to unit vectors, values to their place in a sorted list, masks to values.
 *
 *   one_hot       y[i][k] = [k = index[i]]
 *   searchsorted  y = the number of s_i < x (right: s_i <= x)
 *   masked_fill   y = mask ? value : x         dx = dy [not mask]
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "axes.h"

#include <string.h>

#define M34 {.shape = {2, {3, 4}}}

/* --- one_hot --- */

typedef struct one_hot_attrs {
    int64_t classes;
    gr_dtype dtype;
} one_hot_attrs;

static const gr_field one_hot_fields[] = {
    GR_FIELD(one_hot_attrs, classes, GR_FIELD_I64),
    GR_FIELD(one_hot_attrs, dtype, GR_FIELD_DTYPE),
    {0},
};

static bool one_hot_infer(gr_infer *c)
{
    const one_hot_attrs *a = c->attrs;
    gr_shape *y = &c->shape[0];
    if (!gr__infer_index(c, 0, "index")) return false;
    if (a->classes < 1)
        return gr_infer_fail(c, "%lld classes; expected at least 1", (long long)a->classes);
    if ((unsigned)a->dtype >= GR_DTYPES)
        return gr_infer_fail(c, "%d is not a dtype", (int)a->dtype);
    if (y->rank == GR_MAX_RANK)
        return gr_infer_fail(c, "the result would have more than %d axes", GR_MAX_RANK);
    y->dim[y->rank++] = a->classes;
    c->dtype[0] = a->dtype;
    return true;
}

static gr_status one_hot_forward(gr_exec *e)
{
    const one_hot_attrs *a = e->attrs;
    const int64_t *index = e->in[0].data, n = gr_shape_numel(e->in[0].shape);
    const size_t size = gr_dtype_size(a->dtype);
    char *y = e->out[0].data;
    if (gr__check_index(e, 0, "index", a->classes)) return GR_ERR_ARGUMENT;
    memset(y, 0, (size_t)(n * a->classes) * size);
    for (int64_t i = 0; i < n; i++)
        gr__set_scalar(y + (size_t)(i * a->classes + index[i]) * size, a->dtype, 1);
    return GR_OK;
}

#define LABELS(rank, ...) {.shape = {rank, {__VA_ARGS__}}, .integer = true, .high = 5}
#define CLASSES(n, dtype) &(const one_hot_attrs){n, dtype}

static const gr_sample one_hot_samples[] = {
    {.name = "list", .in = {LABELS(1, 4)}, .n_in = 1, .attrs = CLASSES(5, GR_F64)},
    {.name = "matrix", .in = {LABELS(2, 2, 3)}, .n_in = 1, .attrs = CLASSES(6, GR_F32)},
    {.name = "integers", .in = {LABELS(1, 4)}, .n_in = 1, .attrs = CLASSES(5, GR_I64)},
    {.name = "scalar", .in = {{.integer = true, .high = 5}}, .n_in = 1, .attrs = CLASSES(5, GR_F64)},
    {.name = "nothing", .in = {LABELS(1, 0)}, .n_in = 1, .attrs = CLASSES(5, GR_F64)},
    {.name = "out of range", .in = {{.shape = {1, {2}}, .integer = true, .values = (const int64_t[]){1, 5}}}, .n_in = 1, .attrs = CLASSES(5, GR_F64), .error = "index[1] is 5, expected 0 <= index < 5"},
    {.name = "no classes", .in = {LABELS(1, 4)}, .n_in = 1, .attrs = CLASSES(0, GR_F64), .error = "0 classes; expected at least 1"},
    {.name = "no dtype", .in = {LABELS(1, 4)}, .n_in = 1, .attrs = CLASSES(5, GR_DTYPES), .error = "is not a dtype"},
    {.name = "floats", .in = {M34}, .n_in = 1, .attrs = CLASSES(5, GR_F64), .error = "index is float64, expected int64"},
    {.name = "too many axes", .in = {LABELS(8, 1, 1, 1, 1, 1, 1, 1, 1)}, .n_in = 1, .attrs = CLASSES(5, GR_F64), .error = "more than 8 axes"},
    {.name = "too large", .in = {LABELS(1, 4)}, .n_in = 1, .attrs = CLASSES(INT64_MAX / 2, GR_F64), .error = "too large"},
    {0},
};

static const gr_op one_hot_op = {
    .name = "one_hot",
    .family = "lookup",
    .formula = "y[i][k] = 1 where k = index[i], 0 elsewhere",
    .derivation = "an index does not move: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(one_hot_attrs),
    .fields = one_hot_fields,
    .infer = one_hot_infer,
    .forward = {[GR_I64] = one_hot_forward},
    .samples = one_hot_samples,
};

/* Unit vectors: index int64 [...] gives [..., classes] of the given dtype. An index outside
 * [0, classes) is an error when the value is computed. */
gr_tensor *gr_one_hot(gr_tensor *index, int64_t classes, gr_dtype dtype)
{
    return gr__unary(&one_hot_op, index, &(one_hot_attrs){classes, dtype}, GR_HERE);
}

/* --- searchsorted --- */

typedef struct search_attrs {
    bool right;
} search_attrs;

static const gr_field search_fields[] = {GR_FIELD(search_attrs, right, GR_FIELD_BOOL), {0}};

static bool searchsorted_infer(gr_infer *c)
{
    const gr_shape *sorted = gr_shape_of(c->in[0]), *x = gr_shape_of(c->in[1]);
    if (!gr__same_dtype(c, 0, 1)) return false;
    bool fits = sorted->rank == 1 || (sorted->rank > 1 && sorted->rank == x->rank);
    for (int i = 0; fits && i + 1 < sorted->rank; i++) fits = sorted->dim[i] == x->dim[i];
    if (!fits)
        return gr_infer_fail(c, "expected one sorted list [n], or one for each row of the values, "
                             "got %s with %s", gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    c->shape[0] = *x;
    c->dtype[0] = GR_I64;
    return true;
}

/* The first of n places whose element is at least x, or with `right` above it; n for NaN. */
static int64_t place_of(const gr_value *sorted, int64_t first, int64_t n, double x, bool right)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        double s = gr__real_at(sorted, first + middle);
        if (right ? s > x : s >= x) high = middle;
        else low = middle + 1;
    }
    return low;
}

static void search_range(void *ctx, int64_t begin, int64_t end)
{
    const gr_exec *e = ctx;
    const bool right = ((const search_attrs *)e->attrs)->right;
    const gr_shape *lists = e->in[0].shape, *x = e->in[1].shape;
    const int64_t n = lists->dim[lists->rank - 1];
    const int64_t per_list = lists->rank > 1 ? x->dim[x->rank - 1] : INT64_MAX;
    int64_t *y = e->out[0].data;
    for (int64_t i = begin; i < end; i++)
        y[i] = place_of(&e->in[0], i / per_list * n, n, gr__real_at(&e->in[1], i), right);
}

static gr_status searchsorted_forward(gr_exec *e)
{
    gr__parallel_for(gr_shape_numel(e->out[0].shape), 4096, search_range, e);
    return GR_OK;
}

static int search_in_sorted(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *in[2] = {gr_sort(x[0], -1, false), x[1]};
    y[0] = gr_apply(NULL, op, in, 2, s->attrs);
    return 1;
}

#define SIDE(right) &(const search_attrs){right}

static const gr_sample search_samples[] = {
    {.name = "one list", .in = {{.shape = {1, {7}}}, M34}, .n_in = 2, .attrs = SIDE(false), .record = search_in_sorted},
    {.name = "lists, right", .in = {{.shape = {2, {3, 5}}}, M34}, .n_in = 2, .attrs = SIDE(true), .record = search_in_sorted},
    {.name = "scalar", .in = {{.shape = {1, {7}}}, {.shape = {0, {0}}}}, .n_in = 2, .attrs = SIDE(false), .record = search_in_sorted},
    {.name = "empty list", .in = {{.shape = {1, {0}}}, M34}, .n_in = 2, .attrs = SIDE(false), .record = search_in_sorted},
    {.name = "other rows", .in = {{.shape = {2, {2, 5}}}, M34}, .n_in = 2, .attrs = SIDE(false), .error = "got [2,5] with [3,4]"},
    {.name = "no list", .in = {{.shape = {0, {0}}}, M34}, .n_in = 2, .attrs = SIDE(false), .error = "got [] with [3,4]"},
    {.name = "mixed", .in = {{.shape = {1, {7}}}, {.shape = {1, {3}}, .integer = true, .high = 3}}, .n_in = 2, .attrs = SIDE(false), .error = "cannot mix float64 and int64"},
    {0},
};

static const gr_op searchsorted_op = {
    .name = "searchsorted",
    .family = "lookup",
    .formula = "y = the first i with s_i >= x (right: s_i > x), for s_0 <= s_1 <= ...",
    .derivation = "a place does not move with x: no gradient",
    .n_in = 2,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(search_attrs),
    .fields = search_fields,
    .infer = searchsorted_infer,
    .forward = {[GR_F32] = searchsorted_forward, [GR_F64] = searchsorted_forward},
    .samples = search_samples,
};

/* Where each x would go into a sorted list so that it stays sorted, int64, before its equals or with
 * `right` after them; NaN goes to the end. sorted is [n] for all of x, or [..., n] with x [..., m]:
 * one list for each row. That it is sorted is not checked. */
gr_tensor *gr_searchsorted(gr_tensor *sorted, gr_tensor *x, bool right)
{
    gr_tensor *in[2] = {sorted, x};
    return gr__apply(NULL, &searchsorted_op, in, 2, &(search_attrs){right}, GR_HERE);
}

/* --- masked_fill --- */

static const gr_field fill_fields[] = {{"value", GR_FIELD_F64, 0, 0, NULL}, {0}};

static gr_tensor *masked_fill_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_graph *g = gr_graph_of(x[0]);
    const gr_shape *shape = gr_shape_of(x[0]), *mask = gr_shape_of(x[1]);
    gr_dtype dtype = gr_dtype_of(x[0]), truth = gr_dtype_of(x[1]);
    gr_shape joined;
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    (void)n;
    if (truth != GR_BOOL)
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "masked_fill: the mask is %s, expected bool",
                           gr_dtype_name(truth));
    if (!gr__is_float(dtype))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "masked_fill: not defined for %s",
                           gr_dtype_name(dtype));
    if (!gr__shape_broadcast(mask, shape, &joined) || !gr_shape_equal(&joined, shape))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                           "masked_fill: a mask of %s does not stretch to %s",
                           gr_shape_text(mask, a), gr_shape_text(shape, b));
    return gr_where(x[1], gr_scalar(g, dtype, *(const double *)attrs), x[0]);
}

#define MASK(rank, ...) {.shape = {rank, {__VA_ARGS__}}, .boolean = true}
#define VALUE(v) &(const double){v}

static const gr_sample masked_fill_samples[] = {
    {.name = "matrix", .in = {M34, MASK(2, 3, 4)}, .n_in = 2, .attrs = VALUE(0.5)},
    {.name = "row", .in = {M34, MASK(1, 4)}, .n_in = 2, .attrs = VALUE(-2)},
    {.name = "column", .in = {M34, MASK(2, 3, 1)}, .n_in = 2, .attrs = VALUE(0)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, {.boolean = true}}, .n_in = 2, .attrs = VALUE(1)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, MASK(1, 4)}, .n_in = 2, .attrs = VALUE(1)},
    {.name = "larger mask", .in = {{.shape = {1, {4}}}, MASK(2, 3, 4)}, .n_in = 2, .attrs = VALUE(1), .error = "a mask of [3,4] does not stretch to [4]"},
    {.name = "float mask", .in = {M34, M34}, .n_in = 2, .attrs = VALUE(1), .error = "the mask is float64, expected bool"},
    {.name = "integers", .in = {LABELS(1, 4), MASK(1, 4)}, .n_in = 2, .attrs = VALUE(1), .error = "not defined for int64"},
    {0},
};

static const gr_op masked_fill_op = {
    .name = "masked_fill",
    .family = "lookup",
    .formula = "y = mask ? value : x",
    .derivation = "y is x where the mask is false and does not move elsewhere: dx = dy [not mask]",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(double),
    .fields = fill_fields,
    .define = masked_fill_define,
    .samples = masked_fill_samples,
};

/* x with a value wherever the mask, bool, is true; the mask stretches to the shape of x. */
gr_tensor *gr_masked_fill(gr_tensor *x, gr_tensor *mask, double value)
{
    gr_tensor *in[2] = {x, mask};
    return gr__apply(NULL, &masked_fill_op, in, 2, &value, GR_HERE);
}

const gr_op *const gr__lookup_ops[] = {&one_hot_op, &searchsorted_op, &masked_fill_op, NULL};
