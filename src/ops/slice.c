/* slice.c - parts of a tensor, and tensors joined.
 *
 *   slice:  y[..., i, ...] = x[..., start + i step, ...]     dy is added into that part of dx
 *   concat: y = x_0, x_1, ... along an axis                  dx_i is its part of dy
 */
/* SPDX-License-Identifier: MIT */
#include "addrun.h"
#include "strided.h"

#include <string.h>

#define M34 {.shape = {2, {3, 4}}}

/* --- slice --- */

typedef struct slice_attrs {
    int axis;
    int64_t start, stop, step;
} slice_attrs;

static const gr_field slice_fields[] = {
    GR_FIELD(slice_attrs, axis, GR_FIELD_INT),
    GR_FIELD(slice_attrs, start, GR_FIELD_I64),
    GR_FIELD(slice_attrs, stop, GR_FIELD_I64),
    GR_FIELD(slice_attrs, step, GR_FIELD_I64),
    {0},
};

/* An end of x[start:stop:step]: negative from the end, cut to where the steps can be. */
static int64_t cut_end(int64_t end, int64_t size, bool down)
{
    const int64_t low = down ? -1 : 0, high = down ? size - 1 : size;
    if (end < 0) end += size;
    return end < low ? low : end > high ? high : end;
}

/* Attributes as Python reads x[start:stop:step]. */
static bool resolve_slice(slice_attrs *a, const gr_shape *x)
{
    if (!gr__axis(&a->axis, x->rank) || a->step == 0) return false;
    const int64_t size = x->dim[a->axis];
    a->start = cut_end(a->start, size, a->step < 0);
    a->stop = cut_end(a->stop, size, a->step < 0);
    return true;
}

static int64_t slice_size(const slice_attrs *a)
{
    const int64_t toward = a->step > 0 ? 1 : -1, span = a->stop - a->start;
    return span * toward > 0 ? 1 + (span - toward) / a->step : 0;
}

static bool slice_infer(gr_infer *c)
{
    const slice_attrs *given = c->attrs;
    slice_attrs a = *given;
    if (!resolve_slice(&a, gr_shape_of(c->in[0])))
        return gr_infer_fail(c, "axis %d with step %lld does not suit %s", given->axis,
                             (long long)given->step, gr_infer_shape(c, 0));
    c->shape[0].dim[a.axis] = slice_size(&a);
    return true;
}

static void slice_strides(const slice_attrs *attrs, const gr_shape *shape, const int64_t *from,
                          int64_t *strides, int64_t *offset)
{
    slice_attrs a = *attrs;
    resolve_slice(&a, shape);
    memcpy(strides, from, (size_t)shape->rank * sizeof *strides);
    const int64_t size = slice_size(&a);
    *offset = size ? a.start * strides[a.axis] : 0;
    if (size > 1) strides[a.axis] *= a.step;
}

static bool slice_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    slice_strides(e->attrs, e->in[0].shape, e->in[0].strides, strides, offset);
    return true;
}

static gr_tensor *acc_slice(gr_tensor *sum, gr_tensor *piece, const slice_attrs *a);

/* Adds into what others contributed to dx, so that many slices of one x cost no padded copies. */
static void slice_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0];
    gr_tensor *sum = p->sum[0] ? p->sum[0] : gr_zeros(p->graph, gr_dtype_of(x), *gr_shape_of(x));
    p->sum[0] = acc_slice(sum, p->dy[0], p->attrs);
}

static const gr_sample slice_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){0, 1, 3, 1}},
    {.name = "steps", .in = {{.shape = {2, {2, 7}}}}, .n_in = 1, .attrs = &(const slice_attrs){-1, -6, 7, 2}},
    {.name = "nothing", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){1, 3, 2, 1}},
    {.name = "backwards", .in = {{.shape = {2, {2, 7}}}}, .n_in = 1, .attrs = &(const slice_attrs){1, -2, 0, -2}},
    {.name = "all reversed", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){0, INT64_MAX, INT64_MIN, -1}},
    {.name = "one giant step", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){1, 1, 4, INT64_MAX}},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){2, 0, 1, 1}, .error = "does not suit"},
    {.name = "bad step", .in = {M34}, .n_in = 1, .attrs = &(const slice_attrs){0, 0, 1, 0}, .error = "step 0"},
    {0},
};

static const gr_op slice_op = {
    .name = "slice",
    .family = "slice",
    .formula = "y[..., i, ...] = x[..., start + i step, ...]",
    .derivation = "each y is one x, so dy is added into that part of dx; the rest of dx is 0",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(slice_attrs),
    .fields = slice_fields,
    .infer = slice_infer,
    .view = slice_view,
    .vjp = slice_vjp,
    .samples = slice_samples,
};

/* x[start:stop:step] along one axis, as Python reads it: start and stop may be negative (from the
 * end) and are cut to the size; a negative step goes backwards, INT64_MIN as stop then through the
 * first element. A view. A step of 0 is an error. */
gr_tensor *gr_slice(gr_tensor *x, int axis, int64_t start, int64_t stop, int64_t step)
{
    return gr__unary(&slice_op, x, &(slice_attrs){axis, start, stop, step}, GR_HERE);
}

/* --- acc_slice --- */

static bool acc_slice_infer(gr_infer *c)
{
    slice_attrs a = *(const slice_attrs *)c->attrs;
    gr_shape part = *gr_shape_of(c->in[0]);
    if (!resolve_slice(&a, &part)) return gr_infer_fail(c, "axis or step do not suit");
    part.dim[a.axis] = slice_size(&a);
    if (!gr_shape_equal(&part, gr_shape_of(c->in[1])) || gr_dtype_of(c->in[1]) != c->dtype[0])
        return gr_infer_fail(c, "cannot add %s into that part of %s", gr_infer_shape(c, 1),
                             gr_infer_shape(c, 0));
    return true;
}

static gr_status acc_slice_forward(gr_exec *e)
{
    const gr_shape *shape = e->in[1].shape;
    int64_t strides[GR_MAX_RANK], offset, n = gr_shape_numel(shape);
    size_t size = gr_dtype_size(e->out[0].dtype);
    slice_strides(e->attrs, e->out[0].shape, e->out[0].strides, strides, &offset);
    const int inner = shape->rank - 1;
    const int64_t run = shape->dim[inner];
    for (int64_t first = 0; first < n; first += run) {
        int64_t at = offset, rest = first / run;
        for (int i = inner - 1; i >= 0; i--) {
            at += rest % shape->dim[i] * strides[i];
            rest /= shape->dim[i];
        }
        gr__add_run((char *)e->out[0].data + (size_t)at * size, strides[inner],
                    (const char *)e->in[1].data + (size_t)first * size, run, size);
    }
    return GR_OK;
}

static void acc_slice_vjp(gr_pullback *p)
{
    const slice_attrs *a = p->attrs;
    p->dx[0] = p->dy[0];
    if (p->wants[1]) p->dx[1] = gr_slice(p->dy[0], a->axis, a->start, a->stop, a->step);
}

static const gr_sample acc_slice_samples[] = {
    {.name = "rows", .in = {M34, {.shape = {2, {2, 4}}}}, .n_in = 2, .attrs = &(const slice_attrs){0, 1, 3, 1}},
    {.name = "steps", .in = {{.shape = {3, {2, 7, 2}}}, {.shape = {3, {2, 3, 2}}}}, .n_in = 2, .attrs = &(const slice_attrs){1, 1, 7, 2}},
    {.name = "backwards", .in = {{.shape = {2, {3, 5}}}, {.shape = {2, {3, 2}}}}, .n_in = 2, .attrs = &(const slice_attrs){-1, 3, -5, -2}},
    {.name = "nothing", .in = {M34, {.shape = {2, {0, 4}}}}, .n_in = 2, .attrs = &(const slice_attrs){0, 2, 2, 1}},
    {.name = "wrong part", .in = {M34, M34}, .n_in = 2, .attrs = &(const slice_attrs){0, 1, 3, 1}, .error = "cannot add"},
    {0},
};

static const gr_op acc_slice_op = {
    .name = "acc_slice",
    .family = "slice",
    .formula = "y = a; y[..., start + i step, ...] += b[..., i, ...]",
    .derivation = "da = dy; db is that part of dy",
    .n_in = 2,
    .flags = GR_OP_LINEAR | GR_OP_INPLACE,
    .attrs_size = sizeof(slice_attrs),
    .fields = slice_fields,
    .infer = acc_slice_infer,
    .forward = {[GR_F32] = acc_slice_forward, [GR_F64] = acc_slice_forward},
    .vjp = acc_slice_vjp,
    .samples = acc_slice_samples,
};

static gr_tensor *acc_slice(gr_tensor *sum, gr_tensor *piece, const slice_attrs *a)
{
    gr_tensor *in[2] = {sum, piece};
    return gr__apply(NULL, &acc_slice_op, in, 2, a, GR_HERE);
}

/* --- concat --- */

typedef struct concat_attrs {
    int axis;
} concat_attrs;

static bool concat_infer(gr_infer *c)
{
    const int given = ((const concat_attrs *)c->attrs)->axis;
    int axis = given;
    if (!gr__axis(&axis, c->shape[0].rank))
        return gr_infer_fail(c, "axis %d is out of range for %s", given, gr_infer_shape(c, 0));
    for (int i = 1; i < c->n_in; i++) {
        gr_shape other = *gr_shape_of(c->in[i]);
        int64_t size = axis < other.rank ? other.dim[axis] : 0;
        if (axis < other.rank) other.dim[axis] = c->shape[0].dim[axis];
        if (!gr_shape_equal(&other, &c->shape[0]) || gr_dtype_of(c->in[i]) != c->dtype[0])
            return gr_infer_fail(c, "input %d of %s %s does not continue %s %s along axis %d", i,
                                 gr_dtype_name(gr_dtype_of(c->in[i])), gr_infer_shape(c, i),
                                 gr_dtype_name(c->dtype[0]), gr_infer_shape(c, 0), axis);
        if (__builtin_add_overflow(c->shape[0].dim[axis], size, &c->shape[0].dim[axis]))
            return gr_infer_fail(c, "the result would be too large");
    }
    return true;
}

typedef struct concat_job {
    gr__strided s;
    char *y;
    int64_t block, step; /* elements of one block of the input, and between blocks of y */
} concat_job;

static void concat_blocks(void *ctx, int64_t begin, int64_t end)
{
    const concat_job *job = ctx;
    for (int64_t i = begin; i < end; i++)
        gr__strided_read(&job->s, i * job->block, job->block,
                         job->y + (size_t)(i * job->step) * job->s.size);
}

static gr_status concat_forward(gr_exec *e)
{
    int axis = ((const concat_attrs *)e->attrs)->axis;
    const gr_shape *y = e->out[0].shape;
    gr__axis(&axis, y->rank);
    int64_t outer = 1, inner = 1, at = 0;
    for (int i = 0; i < axis; i++) outer *= y->dim[i];
    for (int i = axis + 1; i < y->rank; i++) inner *= y->dim[i];
    for (int i = 0; i < e->n_in; i++) {
        concat_job job = {.s = gr__strided_of(&e->in[i]),
                          .block = e->in[i].shape->dim[axis] * inner,
                          .step = y->dim[axis] * inner};
        job.y = (char *)e->out[0].data + (size_t)at * job.s.size;
        if (job.block) gr__parallel_for(outer, 1 + 32768 / job.block, concat_blocks, &job);
        at += job.block;
    }
    return GR_OK;
}

static void concat_vjp(gr_pullback *p)
{
    int axis = ((const concat_attrs *)p->attrs)->axis;
    int64_t at = 0;
    gr__axis(&axis, gr_shape_of(p->y[0])->rank);
    for (int i = 0; i < p->n_in; i++) {
        int64_t size = gr_shape_of(p->x[i])->dim[axis];
        if (p->wants[i]) p->dx[i] = gr_slice(p->dy[0], axis, at, at + size, 1);
        at += size;
    }
}

static const gr_field concat_fields[] = {GR_FIELD(concat_attrs, axis, GR_FIELD_INT), {0}};

static const gr_sample concat_samples[] = {
    {.name = "rows", .in = {M34, {.shape = {2, {1, 4}}}, M34}, .n_in = 3, .attrs = &(const concat_attrs){0}},
    {.name = "columns", .in = {M34, {.shape = {2, {3, 2}}}}, .n_in = 2, .attrs = &(const concat_attrs){-1}},
    {.name = "one", .in = {M34}, .n_in = 1, .attrs = &(const concat_attrs){1}},
    {.name = "with an empty one", .in = {M34, {.shape = {2, {0, 4}}}}, .n_in = 2, .attrs = &(const concat_attrs){0}},
    {.name = "does not fit", .in = {M34, {.shape = {2, {3, 2}}}}, .n_in = 2, .attrs = &(const concat_attrs){0}, .error = "does not continue"},
    {.name = "scalars", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = &(const concat_attrs){0}, .error = "out of range"},
    {0},
};

static const gr_op concat_op = {
    .name = "concat",
    .family = "slice",
    .formula = "y = x_0, x_1, ... one after the other along an axis",
    .derivation = "each y is one x, so dx_i is its part of dy",
    .n_in = -1,
    .flags = GR_OP_LINEAR | GR_OP_STRIDED,
    .attrs_size = sizeof(concat_attrs),
    .fields = concat_fields,
    .infer = concat_infer,
    .forward = {concat_forward, concat_forward, concat_forward, concat_forward, concat_forward},
    .vjp = concat_vjp,
    .samples = concat_samples,
};

/* Joins n tensors of one dtype, equal in all sizes but the axis'. */
gr_tensor *gr_concat(gr_tensor *const *x, int n, int axis)
{
    if (gr__need_array("concat", x, n, "array of inputs")) return &gr__nil;
    return gr__apply(NULL, &concat_op, x, n, &(concat_attrs){axis}, GR_HERE);
}

const gr_op *const gr__slice_ops[] = {&slice_op, &acc_slice_op, &concat_op, NULL};
