/* diagonal.c - diagonals and triangles of matrices.
 *
 *   diagonal:    y_i = x[i, i + k]                      dx is dy on that diagonal, 0 elsewhere
 *   diag_embed:  y[i, i + k] = x_i, 0 elsewhere         dx is that diagonal of dy
 *   tril, triu:  y_ij = x_ij where j - i <= k (>= k)    dx is the same triangle of dy
 *
 * A diagonal is a view: one step along it is a row and a column further.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "family.h"

#include <string.h>

#define M34 {.shape = {2, {3, 4}}}
#define M43 {.shape = {2, {4, 3}}}
#define CUBE {.shape = {3, {2, 3, 4}}}
#define ROW {.shape = {1, {4}}}
#define NO_ROWS {.shape = {2, {0, 4}}}

/* --- diagonal --- */

/* Which diagonal: elements [i, i + offset] of the plane of two axes; `rows` and `columns` are the
 * plane's size where it cannot be told from the diagonal, 0: square, as small as it can be. */
typedef struct diagonal_attrs {
    int64_t offset;
    int axis1, axis2;
    int64_t rows, columns;
} diagonal_attrs;

static const gr_field diagonal_fields[] = {
    GR_FIELD(diagonal_attrs, offset, GR_FIELD_I64),
    GR_FIELD(diagonal_attrs, axis1, GR_FIELD_INT),
    GR_FIELD(diagonal_attrs, axis2, GR_FIELD_INT),
    {0},
};

/* Where the diagonal begins in its plane, and how long it is. */
typedef struct diagonal {
    int64_t row, column, n;
} diagonal;

static diagonal diagonal_of(int64_t rows, int64_t columns, int64_t offset)
{
    diagonal d = {0, 0, 0};
    if (offset > columns || offset < -rows) return d;
    d.row = offset < 0 ? -offset : 0;
    d.column = offset > 0 ? offset : 0;
    d.n = rows - d.row < columns - d.column ? rows - d.row : columns - d.column;
    return d;
}

/* Two different axes of `rank`, made positive. */
static bool plane_axes(const diagonal_attrs *a, int rank, int *axis1, int *axis2)
{
    *axis1 = a->axis1;
    *axis2 = a->axis2;
    return gr__axis(axis1, rank) && gr__axis(axis2, rank) && *axis1 != *axis2;
}

/* The axes of a shape but for two: returns how many. */
static int other_axes(int rank, int axis1, int axis2, int *others)
{
    int n = 0;
    for (int i = 0; i < rank; i++)
        if (i != axis1 && i != axis2) others[n++] = i;
    return n;
}

static bool diagonal_infer(gr_infer *c)
{
    const diagonal_attrs *a = c->attrs;
    const gr_shape *x = gr_shape_of(c->in[0]);
    int axis1, axis2, others[GR_MAX_RANK];
    if (!plane_axes(a, x->rank, &axis1, &axis2))
        return gr_infer_fail(c, "expected two axes of %s, got %d and %d", gr_infer_shape(c, 0),
                             a->axis1, a->axis2);
    int n = other_axes(x->rank, axis1, axis2, others);
    for (int i = 0; i < n; i++) c->shape[0].dim[i] = x->dim[others[i]];
    c->shape[0].rank = n + 1;
    c->shape[0].dim[n] = diagonal_of(x->dim[axis1], x->dim[axis2], a->offset).n;
    return true;
}

/* Strides and offset of the diagonal of an array, its axis last. */
static void along_diagonal(const diagonal_attrs *a, const gr_shape *x, const int64_t *from,
                           int64_t *strides, int64_t *offset)
{
    int axis1, axis2, others[GR_MAX_RANK];
    plane_axes(a, x->rank, &axis1, &axis2);
    int n = other_axes(x->rank, axis1, axis2, others);
    for (int i = 0; i < n; i++) strides[i] = from[others[i]];
    strides[n] = from[axis1] + from[axis2];
    const diagonal d = diagonal_of(x->dim[axis1], x->dim[axis2], a->offset);
    *offset = d.n > 0 ? d.row * from[axis1] + d.column * from[axis2] : 0;
}

static bool diagonal_view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    along_diagonal(e->attrs, e->in[0].shape, e->in[0].strides, strides, offset);
    return true;
}

static gr_tensor *embed(gr_tensor *x, const diagonal_attrs *attrs, const void *site);

static void diagonal_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]);
    diagonal_attrs a = *(const diagonal_attrs *)p->attrs;
    plane_axes(&a, x->rank, &a.axis1, &a.axis2);
    a.rows = x->dim[a.axis1];
    a.columns = x->dim[a.axis2];
    if (gr_shape_numel(x)) p->dx[0] = embed(p->dy[0], &a, GR_HERE); /* of nothing it is nothing */
}

#define PLANE(offset, axis1, axis2, rows, columns) \
    &(const diagonal_attrs){offset, axis1, axis2, rows, columns}
#define DIAGONAL(offset, axis1, axis2) PLANE(offset, axis1, axis2, 0, 0)

static const gr_sample diagonal_samples[] = {
    {.name = "wide", .in = {M34}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1)},
    {.name = "tall", .in = {M43}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1)},
    {.name = "above", .in = {M34}, .n_in = 1, .attrs = DIAGONAL(2, 0, 1)},
    {.name = "below", .in = {M34}, .n_in = 1, .attrs = DIAGONAL(-1, 0, 1)},
    {.name = "outer axes", .in = {CUBE}, .n_in = 1, .attrs = DIAGONAL(1, 0, -1)},
    {.name = "axes swapped", .in = {CUBE}, .n_in = 1, .attrs = DIAGONAL(-1, 2, 1)},
    {.name = "outside", .in = {M34}, .n_in = 1, .attrs = DIAGONAL(5, 0, 1)},
    {.name = "empty", .in = {NO_ROWS}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1)},
    {.name = "one axis", .in = {CUBE}, .n_in = 1, .attrs = DIAGONAL(0, 1, -2), .error = "expected two axes of [2,3,4], got 1 and -2"},
    {.name = "no matrix", .in = {ROW}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1), .error = "expected two axes of [4]"},
    {0},
};

static const gr_op diagonal_op = {
    .name = "diagonal",
    .family = "diagonal",
    .formula = "y[..., i] = x[..., i, i + offset] of the plane of two axes",
    .derivation = "each y is one x, so dx is dy on that diagonal and 0 elsewhere",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(diagonal_attrs),
    .fields = diagonal_fields,
    .infer = diagonal_infer,
    .view = diagonal_view,
    .vjp = diagonal_vjp,
    .samples = diagonal_samples,
};

/* The elements [i, i + offset] of the plane of two axes; these go, the diagonal is the last axis:
 * the diagonals of [N,3,4] at axes -2, -1 are [N,3]. Outside of the plane it is empty. A view. */
gr_tensor *gr_diagonal(gr_tensor *x, int64_t offset, int axis1, int axis2)
{
    return gr__unary(&diagonal_op, x, &(diagonal_attrs){offset, axis1, axis2, 0, 0}, GR_HERE);
}

/* --- diag_embed --- */

static const gr_field embed_fields[] = {
    GR_FIELD(diagonal_attrs, offset, GR_FIELD_I64),
    GR_FIELD(diagonal_attrs, axis1, GR_FIELD_INT),
    GR_FIELD(diagonal_attrs, axis2, GR_FIELD_INT),
    GR_FIELD(diagonal_attrs, rows, GR_FIELD_I64),
    GR_FIELD(diagonal_attrs, columns, GR_FIELD_I64),
    {0},
};

/* The plane's size, resolved; false when there is none that has such a diagonal. */
static bool plane_size(const diagonal_attrs *a, int64_t n, int64_t *rows, int64_t *columns)
{
    const int64_t most = INT64_MAX / 64;
    if (a->offset > most || a->offset < -most) return false;
    const int64_t square = n + (a->offset < 0 ? -a->offset : a->offset);
    *rows = a->rows ? a->rows : square;
    *columns = a->columns ? a->columns : square;
    return *rows >= 0 && *columns >= 0 && diagonal_of(*rows, *columns, a->offset).n == n;
}

static bool embed_infer(gr_infer *c)
{
    const diagonal_attrs *a = c->attrs;
    const gr_shape *x = gr_shape_of(c->in[0]);
    int axis1, axis2, others[GR_MAX_RANK];
    int64_t rows, columns;
    if (x->rank < 1 || x->rank >= GR_MAX_RANK)
        return gr_infer_fail(c, "expected 1 to %d axes, got %s", GR_MAX_RANK - 1,
                             gr_infer_shape(c, 0));
    if (!plane_axes(a, x->rank + 1, &axis1, &axis2))
        return gr_infer_fail(c, "expected two axes of a result of %d, got %d and %d", x->rank + 1,
                             a->axis1, a->axis2);
    if (!plane_size(a, x->dim[x->rank - 1], &rows, &columns))
        return gr_infer_fail(c, "%s is no diagonal %lld of [%lld,%lld]", gr_infer_shape(c, 0),
                             (long long)a->offset, (long long)a->rows, (long long)a->columns);
    int n = other_axes(x->rank + 1, axis1, axis2, others);
    for (int i = 0; i < n; i++) c->shape[0].dim[others[i]] = x->dim[i];
    c->shape[0].rank = x->rank + 1;
    c->shape[0].dim[axis1] = rows;
    c->shape[0].dim[axis2] = columns;
    return true;
}

static void scatter(char *y, int64_t stride, const char *x, int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++) memcpy(y + i * stride * (int64_t)size, x + i * (int64_t)size, size);
}

static gr_status embed_forward(gr_exec *e)
{
    const gr_shape *x = e->in[0].shape, *y = e->out[0].shape;
    const size_t size = gr_dtype_size(e->out[0].dtype);
    const int64_t run = x->dim[x->rank - 1], n = gr_shape_numel(x);
    int64_t strides[GR_MAX_RANK], offset;
    along_diagonal(e->attrs, y, e->out[0].strides, strides, &offset);
    memset(e->out[0].data, 0, (size_t)gr_shape_numel(y) * size);
    for (int64_t first = 0; first < n; first += run) {
        int64_t at = offset, rest = first / run;
        for (int i = x->rank - 2; i >= 0; i--) {
            at += rest % x->dim[i] * strides[i];
            rest /= x->dim[i];
        }
        scatter((char *)e->out[0].data + (size_t)at * size, strides[x->rank - 1],
                (const char *)e->in[0].data + (size_t)first * size, run, size);
    }
    return GR_OK;
}

static void embed_vjp(gr_pullback *p)
{
    const diagonal_attrs *a = p->attrs;
    p->dx[0] = gr_diagonal(p->dy[0], a->offset, a->axis1, a->axis2);
}

static const gr_sample embed_samples[] = {
    {.name = "matrix", .in = {ROW}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1)},
    {.name = "above", .in = {{.shape = {2, {3, 2}}}}, .n_in = 1, .attrs = DIAGONAL(1, -2, -1)},
    {.name = "below", .in = {{.shape = {2, {3, 2}}}}, .n_in = 1, .attrs = DIAGONAL(-2, 0, 2)},
    {.name = "axes swapped", .in = {{.shape = {2, {3, 2}}}}, .n_in = 1, .attrs = DIAGONAL(1, 1, 0)},
    {.name = "not square", .in = {{.shape = {2, {2, 3}}}}, .n_in = 1, .attrs = PLANE(-1, 1, 2, 4, 5)},
    {.name = "empty", .in = {{.shape = {2, {2, 0}}}}, .n_in = 1, .attrs = DIAGONAL(1, 1, 2)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = DIAGONAL(0, 0, 1), .error = "expected 1 to 7 axes, got []"},
    {.name = "one axis", .in = {ROW}, .n_in = 1, .attrs = DIAGONAL(0, 1, 1), .error = "expected two axes of a result of 2, got 1 and 1"},
    {.name = "too long", .in = {ROW}, .n_in = 1, .attrs = PLANE(1, 0, 1, 4, 4), .error = "[4] is no diagonal 1 of [4,4]"},
    {0},
};

static const gr_op embed_op = {
    .name = "diag_embed",
    .family = "diagonal",
    .formula = "y[..., i, i + offset] = x[..., i], 0 elsewhere",
    .derivation = "each x is one y, so dx is that diagonal of dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(diagonal_attrs),
    .fields = embed_fields,
    .infer = embed_infer,
    .forward = {embed_forward, embed_forward, embed_forward, embed_forward, embed_forward},
    .vjp = embed_vjp,
    .samples = embed_samples,
};

static gr_tensor *embed(gr_tensor *x, const diagonal_attrs *attrs, const void *site)
{
    return gr__unary(&embed_op, x, attrs, site);
}

/* Square matrices, zero but for the diagonal [i, i + offset], which is the last axis of x: [N,3]
 * gives [N,3,3] with axes -2, -1, where the matrices lie in the result. */
gr_tensor *gr_diag_embed(gr_tensor *x, int64_t offset, int axis1, int axis2)
{
    return embed(x, &(diagonal_attrs){offset, axis1, axis2, 0, 0}, GR_HERE);
}

/* The matrix with x on a diagonal where x has one axis, the diagonal of x where it is a matrix. */
gr_tensor *gr_diag(gr_tensor *x, int64_t offset)
{
    const diagonal_attrs attrs = {offset, 0, 1, 0, 0};
    char text[GR_SHAPE_TEXT];
    const int rank = gr_shape_of(x)->rank;
    if (x && !gr__is_nil(x) && rank != 1 && rank != 2)
        return gr__fail_at(x->graph, GR_ERR_ARGUMENT, GR_HERE,
                           "diag: expected a vector or a matrix, got %s",
                           gr_shape_text(x->shape, text));
    return gr__unary(rank == 1 ? &embed_op : &diagonal_op, x, &attrs, GR_HERE);
}

/* --- trace --- */

static gr_tensor *trace_define(gr_tensor *const *x, int n, const void *attrs)
{
    char text[GR_SHAPE_TEXT];
    (void)n;
    (void)attrs;
    if (gr_shape_of(x[0])->rank < 2)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "trace: expected [..., m, n], got %s",
                           gr_shape_text(gr_shape_of(x[0]), text));
    return gr_sum(gr_diagonal(x[0], 0, -2, -1), GR_AXES(-1), false);
}

static const gr_sample trace_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1},
    {.name = "matrices", .in = {{.shape = {3, {2, 4, 3}}}}, .n_in = 1},
    {.name = "empty", .in = {NO_ROWS}, .n_in = 1},
    {.name = "no matrix", .in = {ROW}, .n_in = 1, .error = "expected [..., m, n], got [4]"},
    {0},
};

static const gr_op trace_op = {
    .name = "trace",
    .family = "diagonal",
    .formula = "y = sum_i x_ii",
    .derivation = "dy/dx_ij = [i = j], so dx is dy on the diagonal and 0 elsewhere",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .define = trace_define,
    .samples = trace_samples,
};

/* The sum of the diagonal of each matrix: [..., m, n] gives [...]. */
gr_tensor *gr_trace(gr_tensor *x)
{
    return gr__unary(&trace_op, x, NULL, GR_HERE);
}

/* --- tril, triu --- */

typedef struct triangle_attrs {
    int64_t offset;
} triangle_attrs;

static const gr_field triangle_fields[] = {GR_FIELD(triangle_attrs, offset, GR_FIELD_I64), {0}};

static bool triangle_infer(gr_infer *c)
{
    if (c->shape[0].rank >= 2) return true;
    return gr_infer_fail(c, "expected [..., m, n], got %s", gr_infer_shape(c, 0));
}

typedef struct triangle_job {
    const char *x;
    char *y;
    size_t size;
    int64_t rows, columns, offset;
    bool upper;
} triangle_job;

/* Rows of all matrices, one after the other: in each, `kept` elements of the lower part. */
static void triangle_rows(void *ctx, int64_t begin, int64_t end)
{
    const triangle_job *job = ctx;
    for (int64_t r = begin; r < end; r++) {
        const int64_t row = r % job->rows, below = job->upper ? 0 : 1;
        int64_t kept = job->offset > job->columns - row ? job->columns : row + job->offset + below;
        kept = kept < 0 ? 0 : kept > job->columns ? job->columns : kept;
        const size_t low = (size_t)kept * job->size, all = (size_t)job->columns * job->size;
        const char *x = job->x + (size_t)r * all;
        char *y = job->y + (size_t)r * all;
        if (job->upper) {
            memset(y, 0, low);
            memcpy(y + low, x + low, all - low);
        } else {
            memcpy(y, x, low);
            memset(y + low, 0, all - low);
        }
    }
}

static gr_status run_triangle(gr_exec *e, bool upper)
{
    const gr_shape *x = e->in[0].shape;
    const int64_t columns = x->dim[x->rank - 1], n = gr_shape_numel(x);
    triangle_job job = {e->in[0].data, e->out[0].data, gr_dtype_size(e->in[0].dtype),
                        x->dim[x->rank - 2], columns,
                        ((const triangle_attrs *)e->attrs)->offset, upper};
    if (n) gr__parallel_for(n / columns, 1 + 32768 / columns, triangle_rows, &job);
    return GR_OK;
}

static gr_status tril_forward(gr_exec *e)
{
    return run_triangle(e, false);
}

static gr_status triu_forward(gr_exec *e)
{
    return run_triangle(e, true);
}

static void tril_vjp(gr_pullback *p)
{
    p->dx[0] = gr_tril(p->dy[0], ((const triangle_attrs *)p->attrs)->offset);
}

static void triu_vjp(gr_pullback *p)
{
    p->dx[0] = gr_triu(p->dy[0], ((const triangle_attrs *)p->attrs)->offset);
}

#define OFFSET(k) &(const triangle_attrs){k}

static const gr_sample triangle_samples[] = {
    {.name = "wide", .in = {M34}, .n_in = 1, .attrs = OFFSET(0)},
    {.name = "tall", .in = {M43}, .n_in = 1, .attrs = OFFSET(0)},
    {.name = "above", .in = {CUBE}, .n_in = 1, .attrs = OFFSET(1)},
    {.name = "below", .in = {CUBE}, .n_in = 1, .attrs = OFFSET(-1)},
    {.name = "far above", .in = {M34}, .n_in = 1, .attrs = OFFSET(INT64_MAX)},
    {.name = "far below", .in = {M34}, .n_in = 1, .attrs = OFFSET(INT64_MIN)},
    {.name = "empty", .in = {NO_ROWS}, .n_in = 1, .attrs = OFFSET(0)},
    {.name = "no matrix", .in = {ROW}, .n_in = 1, .attrs = OFFSET(0), .error = "expected [..., m, n], got [4]"},
    {0},
};

static const gr_op tril_op = {
    .name = "tril",
    .family = "diagonal",
    .formula = "y_ij = x_ij where j - i <= offset, else 0",
    .derivation = "each y is one x or none, so dx is the same triangle of dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(triangle_attrs),
    .fields = triangle_fields,
    .infer = triangle_infer,
    .forward = {tril_forward, tril_forward, tril_forward, tril_forward, tril_forward},
    .vjp = tril_vjp,
    .samples = triangle_samples,
};

static const gr_op triu_op = {
    .name = "triu",
    .family = "diagonal",
    .formula = "y_ij = x_ij where j - i >= offset, else 0",
    .derivation = "each y is one x or none, so dx is the same triangle of dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(triangle_attrs),
    .fields = triangle_fields,
    .infer = triangle_infer,
    .forward = {triu_forward, triu_forward, triu_forward, triu_forward, triu_forward},
    .vjp = triu_vjp,
    .samples = triangle_samples,
};

/* The lower triangle of each matrix [..., m, n] up to the diagonal [i, i + offset]; exactly 0 above
 * it, whatever x holds there. Any dtype. */
gr_tensor *gr_tril(gr_tensor *x, int64_t offset)
{
    return gr__unary(&tril_op, x, &(triangle_attrs){offset}, GR_HERE);
}

/* The upper triangle of each matrix [..., m, n] from the diagonal [i, i + offset] on; exactly 0
 * below it, whatever x holds there. Any dtype. */
gr_tensor *gr_triu(gr_tensor *x, int64_t offset)
{
    return gr__unary(&triu_op, x, &(triangle_attrs){offset}, GR_HERE);
}

const gr_op *const gr__diagonal_ops[] = {
    &diagonal_op, &embed_op, &trace_op, &tril_op, &triu_op, NULL,
};
