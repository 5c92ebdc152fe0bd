/* scatter.c - writing and adding elements, or whole slices, by number along an axis.
 *
 *   index_select  y[:, j] = x[:, index[j]]                dx[:, k] = sum of dy[:, j] over index[j] = k
 *   index_add     y = x; y[:, index[j]] += s[:, j]        dx = dy, ds[:, j] = dy[:, index[j]]
 *   scatter_add   y = x; y[i][index[i][j]] += s[i][j]     dx = dy, ds[i][j] = dy[i][index[i][j]]
 *   scatter       y = x; y[i][index[i][j]] = s[i][j]      the same, but 0 for what was written over
 *
 * for axis 1. Places are taken in the order of the index, so that the last of several writers wins
 * and sums have the same bits from any number of threads.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "kernels.h"

#include <string.h>

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

static int axis_of(const void *attrs)
{
    return ((const axis_attrs *)attrs)->axis;
}

#define AXIS(i) &(const axis_attrs){i}
#define M45 {.shape = {2, {4, 5}}}
#define CUBE {.shape = {3, {2, 5, 3}}}
#define LIST(n, most) {.shape = {1, {n}}, .integer = true, .high = most}
#define WHERE(most, rank, ...) {.shape = {rank, {__VA_ARGS__}}, .integer = true, .high = most}

/* --- slices by number --- */

static bool index_infer(gr_infer *c)
{
    if (!gr__infer_index(c, 1, "index") || !gr__along_infer(c, axis_of(c->attrs))) return false;
    if (gr_shape_of(c->in[1])->rank == 1) return true;
    return gr_infer_fail(c, "expected an index of one axis, got %s", gr_infer_shape(c, 1));
}

/* The shape of x with the length of the index along the axis; false for a scalar and another
 * length than 1, which has no shape. */
static bool selected_shape(gr_infer *c, gr_shape *shape)
{
    int axis = axis_of(c->attrs);
    int64_t m = gr_shape_of(c->in[1])->dim[0];
    *shape = *gr_shape_of(c->in[0]);
    if (gr__axis(&axis, shape->rank)) shape->dim[axis] = m;
    else if (m != 1)
        return gr_infer_fail(c, "a scalar takes an index of one element, got %s",
                             gr_infer_shape(c, 1));
    return true;
}

/* Between the array `whole` and slices `part` of it, by the index in[1]. */
static gr__gather slices_of(const gr_exec *e, const gr_value *whole, const gr_value *part)
{
    gr__along a = gr__along_axis(whole->shape, axis_of(e->attrs));
    return (gr__gather){a.outer, a.n, gr_shape_numel(e->in[1].shape), a.inner, e->in[1].data,
                        part->data, whole->data, NULL, NULL};
}

/* --- index_select --- */

static bool index_select_infer(gr_infer *c)
{
    return index_infer(c) && selected_shape(c, &c->shape[0]);
}

typedef struct select_job {
    gr__gather g;
    size_t bytes; /* of one slice */
} select_job;

static void select_range(void *ctx, int64_t begin, int64_t end)
{
    const select_job *j = ctx;
    for (int64_t row = begin; row < end; row++) {
        int64_t from = row / j->g.m * j->g.n + j->g.index[row % j->g.m];
        memcpy((char *)j->g.to + (size_t)row * j->bytes,
               (const char *)j->g.from + (size_t)from * j->bytes, j->bytes);
    }
}

static gr_status index_select_forward(gr_exec *e)
{
    select_job j = {.g = slices_of(e, &e->in[0], &e->out[0])};
    j.g.from = e->in[0].data;
    j.g.to = e->out[0].data;
    j.bytes = (size_t)j.g.inner * gr_dtype_size(e->in[0].dtype);
    if (gr__check_index(e, 1, "index", j.g.n)) return GR_ERR_ARGUMENT;
    gr__parallel_for(j.g.outer * j.g.m, 1 + 131072 / (int64_t)(j.bytes + 1), select_range, &j);
    return GR_OK;
}

/* Adds into what others contributed to dx, so that many selections of one x cost no padded copies. */
static void index_select_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    gr_tensor *sum = p->sum[0] ? p->sum[0] : gr_zeros(p->graph, gr_dtype_of(x), *gr_shape_of(x));
    if (p->wants[0]) p->sum[0] = gr_index_add(sum, axis_of(p->attrs), p->x[1], p->dy[0]);
}

static const gr_sample index_select_samples[] = {
    {.name = "columns", .in = {M45, LIST(3, 5)}, .n_in = 2, .attrs = AXIS(-1)},
    {.name = "rows, repeated", .in = {M45, LIST(7, 4)}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {CUBE, LIST(4, 5)}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, LIST(1, 1)}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "nothing", .in = {M45, LIST(0, 4)}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "out of range", .in = {M45, {.shape = {1, {2}}, .integer = true, .values = (const int64_t[]){1, 4}}}, .n_in = 2, .attrs = AXIS(0), .error = "index[1] is 4, expected 0 <= index < 4"},
    {.name = "two axes", .in = {M45, WHERE(4, 2, 2, 2)}, .n_in = 2, .attrs = AXIS(0), .error = "expected an index of one axis, got [2,2]"},
    {.name = "float index", .in = {M45, {.shape = {1, {3}}}}, .n_in = 2, .attrs = AXIS(0), .error = "index is float64, expected int64"},
    {.name = "two of a scalar", .in = {{.shape = {0, {0}}}, LIST(2, 1)}, .n_in = 2, .attrs = AXIS(0), .error = "a scalar takes an index of one element"},
    {.name = "bad axis", .in = {M45, LIST(3, 4)}, .n_in = 2, .attrs = AXIS(2), .error = "axis 2 is out of range for [4,5]"},
    {0},
};

static const gr_op index_select_op = {
    .name = "index_select",
    .family = "scatter",
    .formula = "y[:, j] = x[:, index[j]] (for axis 1)",
    .derivation = "each slice of y is a copy of one of x, which gets the sum of the dy that came "
                  "from it: dx[:, k] = sum of dy[:, j] over index[j] = k",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = index_select_infer,
    .forward = {index_select_forward, index_select_forward, index_select_forward,
                index_select_forward, index_select_forward},
    .vjp = index_select_vjp,
    .samples = index_select_samples,
};

/* Slices of x, of any dtype, along an axis: y[:, j] = x[:, index[j]] for axis 1, index int64 [m]. An
 * index outside [0, size of the axis) is an error when the value is computed. */
gr_tensor *gr_index_select(gr_tensor *x, int axis, gr_tensor *index)
{
    gr_tensor *in[2] = {x, index};
    return gr__apply(NULL, &index_select_op, in, 2, &(axis_attrs){axis}, GR_HERE);
}

/* --- index_add --- */

static bool index_add_infer(gr_infer *c)
{
    gr_shape part;
    if (!index_infer(c) || !selected_shape(c, &part)) return false;
    if (gr_shape_equal(&part, gr_shape_of(c->in[2])) && gr_dtype_of(c->in[2]) == c->dtype[0])
        return true;
    return gr_infer_fail(c, "cannot add %s %s to slices %s of %s %s along axis %d",
                         gr_dtype_name(gr_dtype_of(c->in[2])), gr_infer_shape(c, 2),
                         gr_infer_shape(c, 1), gr_dtype_name(c->dtype[0]), gr_infer_shape(c, 0),
                         axis_of(c->attrs));
}

static gr_status index_add_forward(gr_exec *e)
{
    gr__gather g = slices_of(e, &e->out[0], &e->in[2]);
    if (gr__check_index(e, 1, "index", g.n)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->out[0].dtype)->index_add(&g);
    return GR_OK;
}

static void index_add_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
    if (p->wants[2]) p->dx[2] = gr_index_select(p->dy[0], axis_of(p->attrs), p->x[1]);
}

static const gr_sample index_add_samples[] = {
    {.name = "columns", .in = {M45, LIST(3, 5), {.shape = {2, {4, 3}}}}, .n_in = 3, .attrs = AXIS(-1)},
    {.name = "rows, repeated", .in = {M45, LIST(7, 4), {.shape = {2, {7, 5}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {CUBE, LIST(4, 5), {.shape = {3, {2, 4, 3}}}}, .n_in = 3, .attrs = AXIS(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, LIST(1, 1), {.shape = {0, {0}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "nothing", .in = {M45, LIST(0, 4), {.shape = {2, {0, 5}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "out of range", .in = {M45, {.shape = {1, {1}}, .integer = true, .values = (const int64_t[]){-1}}, {.shape = {2, {1, 5}}}}, .n_in = 3, .attrs = AXIS(0), .error = "index[0] is -1, expected 0 <= index < 4"},
    {.name = "other count", .in = {M45, LIST(3, 4), {.shape = {2, {2, 5}}}}, .n_in = 3, .attrs = AXIS(0), .error = "cannot add float64 [2,5] to slices [3] of float64 [4,5]"},
    {.name = "bad axis", .in = {M45, LIST(3, 4), {.shape = {2, {3, 5}}}}, .n_in = 3, .attrs = AXIS(2), .error = "axis 2 is out of range for [4,5]"},
    {0},
};

static const gr_op index_add_op = {
    .name = "index_add",
    .family = "scatter",
    .formula = "y = x; y[:, index[j]] += s[:, j] for each j (for axis 1)",
    .derivation = "s[:, j] is a term of y[:, index[j]] alone, so dx = dy and ds[:, j] = dy[:, index[j]]",
    .n_in = 3,
    .flags = GR_OP_LINEAR | GR_OP_INPLACE,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = index_add_infer,
    .forward = {[GR_F32] = index_add_forward, [GR_F64] = index_add_forward},
    .vjp = index_add_vjp,
    .samples = index_add_samples,
};

/* x with slices s added along an axis: s[:, j] to x[:, index[j]] for axis 1, in the order of index,
 * int64 [m]; s is of the shape of x but m along the axis. An index outside [0, size of the axis) is
 * an error when the value is computed. */
gr_tensor *gr_index_add(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s)
{
    gr_tensor *in[3] = {x, index, s};
    return gr__apply(NULL, &index_add_op, in, 3, &(axis_attrs){axis}, GR_HERE);
}

/* --- element by element --- */

static bool scatter_infer(gr_infer *c)
{
    int axis = axis_of(c->attrs);
    c->dtype[1] = GR_BOOL;
    c->shape[1] = *gr_shape_of(c->in[1]);
    if (!gr__infer_index(c, 1, "index") || !gr__along_infer(c, axis) || !gr__infer_alike(c, axis))
        return false;
    bool fits = gr_shape_equal(gr_shape_of(c->in[1]), gr_shape_of(c->in[2]));
    if (fits && gr_dtype_of(c->in[2]) == c->dtype[0]) return true;
    return gr_infer_fail(c, "expected %s values of the shape of the index, got %s %s with %s",
                         gr_dtype_name(c->dtype[0]), gr_dtype_name(gr_dtype_of(c->in[2])),
                         gr_infer_shape(c, 2), gr_infer_shape(c, 1));
}

static gr__gather elements_of(const gr_exec *e)
{
    gr__along a = gr__along_axis(e->out[0].shape, axis_of(e->attrs));
    int64_t m = gr__along_axis(e->in[1].shape, axis_of(e->attrs)).n;
    return (gr__gather){a.outer, a.n, m, a.inner, e->in[1].data, e->in[2].data, e->out[0].data,
                        NULL, NULL};
}

static const gr_sample scatter_samples[] = {
    {.name = "rows", .in = {M45, WHERE(5, 2, 4, 3), {.shape = {2, {4, 3}}}}, .n_in = 3, .attrs = AXIS(-1)},
    {.name = "columns, repeated", .in = {M45, WHERE(4, 2, 7, 5), {.shape = {2, {7, 5}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {CUBE, WHERE(5, 3, 2, 4, 3), {.shape = {3, {2, 4, 3}}}}, .n_in = 3, .attrs = AXIS(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, {.integer = true, .high = 1}, {.shape = {0, {0}}}}, .n_in = 3, .attrs = AXIS(0)},
    {.name = "nothing", .in = {M45, WHERE(5, 2, 4, 0), {.shape = {2, {4, 0}}}}, .n_in = 3, .attrs = AXIS(1)},
    {.name = "out of range", .in = {M45, {.shape = {2, {1, 5}}, .integer = true, .values = (const int64_t[]){0, 1, 4, 0, 0}}, {.shape = {2, {1, 5}}}}, .n_in = 3, .attrs = AXIS(0), .error = "index[0,2] is 4, expected 0 <= index < 4"},
    {.name = "other shape", .in = {M45, WHERE(5, 2, 3, 3), {.shape = {2, {3, 3}}}}, .n_in = 3, .attrs = AXIS(1), .error = "got [4,5] with [3,3]"},
    {.name = "other values", .in = {M45, WHERE(5, 2, 4, 3), {.shape = {2, {4, 2}}}}, .n_in = 3, .attrs = AXIS(1), .error = "got float64 [4,2] with [4,3]"},
    {.name = "float index", .in = {M45, M45, M45}, .n_in = 3, .attrs = AXIS(1), .error = "index is float64, expected int64"},
    {.name = "bad axis", .in = {M45, WHERE(4, 2, 4, 5), M45}, .n_in = 3, .attrs = AXIS(2), .error = "axis 2 is out of range for [4,5]"},
    {0},
};

/* --- scatter_add --- */

static gr_status scatter_add_forward(gr_exec *e)
{
    gr__gather g = elements_of(e);
    if (gr__check_index(e, 1, "index", g.n)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->out[0].dtype)->scatter_add(&g);
    return GR_OK;
}

static void scatter_add_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
    if (p->wants[2]) p->dx[2] = gr_gather(p->dy[0], axis_of(p->attrs), p->x[1]);
}

static const gr_op scatter_add_op = {
    .name = "scatter_add",
    .family = "scatter",
    .formula = "y = x; y[i][index[i][j]] += s[i][j] for each i, j (for axis 1)",
    .derivation = "s[i][j] is a term of y[i][index[i][j]] alone, so dx = dy and "
                  "ds[i][j] = dy[i][index[i][j]]",
    .n_in = 3,
    .flags = GR_OP_LINEAR | GR_OP_INPLACE,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = scatter_infer,
    .forward = {[GR_F32] = scatter_add_forward, [GR_F64] = scatter_add_forward},
    .vjp = scatter_add_vjp,
    .samples = scatter_samples,
};

/* x with elements added along an axis: s[i][j] to x[i][index[i][j]] for axis 1, in the order of the
 * index. index (int64) and s have the shape of x but along the axis. An index outside [0, size of
 * the axis) is an error when the value is computed. */
gr_tensor *gr_scatter_add(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s)
{
    gr_tensor *in[3] = {x, index, s};
    return gr__apply(NULL, &scatter_add_op, in, 3, &(axis_attrs){axis}, GR_HERE);
}

/* --- scatter --- */

static gr_status scatter_forward(gr_exec *e)
{
    gr__gather g = elements_of(e);
    if (gr__check_index(e, 1, "index", g.n)) return GR_ERR_ARGUMENT;
    g.stays = e->out[1].data;
    g.taken = gr_exec_scratch(e, (size_t)(g.outer * g.n * g.inner) + 1);
    if (!g.taken) return GR_ERR_MEMORY;
    gr__kernels_for(e->out[0].dtype)->scatter_put(&g);
    return GR_OK;
}

/* dy where x was not written over; to each value that stayed the dy of its place. */
static void scatter_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0], *index = p->x[1];
    const int axis = axis_of(p->attrs);
    if (p->wants[0]) {
        gr_tensor *zeros = gr_zeros(p->graph, gr_dtype_of(dy), *gr_shape_of(index));
        p->dx[0] = gr_scatter(dy, axis, index, zeros);
    }
    if (p->wants[2]) {
        gr_tensor *zero = gr_scalar(p->graph, gr_dtype_of(dy), 0);
        p->dx[2] = gr_where(p->y[1], gr_gather(dy, axis, index), zero);
    }
}

static const gr_op scatter_op = {
    .name = "scatter",
    .family = "scatter",
    .formula = "y = x; y[i][index[i][j]] = s[i][j] for each i, j in turn (for axis 1), and which stay",
    .derivation = "each y is one x or one s: dx = dy where nothing was written, ds[i][j] = "
                  "dy[i][index[i][j]] where no later value came, 0 elsewhere",
    .n_in = 3,
    .n_out = 2,
    .flags = GR_OP_LINEAR | GR_OP_INPLACE,
    .reads = GR_READS_IN(1) | GR_READS_OUT(1),
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .infer = scatter_infer,
    .forward = {[GR_F32] = scatter_forward, [GR_F64] = scatter_forward},
    .vjp = scatter_vjp,
    .samples = scatter_samples,
};

/* x with elements replaced along an axis: x[i][index[i][j]] by s[i][j] for axis 1. index (int64) and
 * s have the shape of x but along the axis. Where several go to one place the last wins, and it alone
 * gets the gradient (PyTorch leaves both open); gr_output(y, 1), bool, says which stayed. An index
 * outside [0, size of the axis) is an error when the value is computed. */
gr_tensor *gr_scatter(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s)
{
    gr_tensor *in[3] = {x, index, s};
    return gr__apply(NULL, &scatter_op, in, 3, &(axis_attrs){axis}, GR_HERE);
}

const gr_op *const gr__scatter_ops[] = {
    &index_select_op, &index_add_op, &scatter_add_op, &scatter_op, NULL,
};
