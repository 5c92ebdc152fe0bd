/* index.c - picking elements by number, and adding them back.
 *
 *   embedding   y[i...] = w[index[i...]]           dw[r] = sum of dy[i...] over index[i...] = r
 *   gather      y[i][j] = x[i][index[i][j]]        dx[i][k] = sum of dy[i][j] over index[i][j] = k
 *
 * An element that is picked twice gets both cotangents: backward is a scatter that adds, in the
 * order of the index, so that the bits do not depend on the threads. Picking and adding back are
 * transposes of each other, so each is the other's backward.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "kernels.h"

/* --- indices --- */

/* "[1,2]" for the element number `at` of an array; "" for a scalar. */
static void coordinates(const gr_shape *shape, int64_t at, char text[GR_SHAPE_TEXT])
{
    gr_shape position = *shape;
    for (int i = shape->rank - 1; i >= 0; i--) {
        position.dim[i] = at % shape->dim[i];
        at /= shape->dim[i];
    }
    text[0] = '\0';
    if (shape->rank) gr_shape_text(&position, text);
}

gr_status gr__check_index_but(gr_exec *e, int input, const char *name, int64_t limit,
                              const int64_t *exempt)
{
    const gr_value *v = &e->in[input];
    const int64_t *index = v->data, n = gr_shape_numel(v->shape), spare = exempt ? *exempt : 0;
    bool bad = false;
    for (int64_t i = 0; i < n; i++)
        bad |= (uint64_t)index[i] >= (uint64_t)limit && !(exempt && index[i] == spare);
    if (!bad) return GR_OK;
    int64_t at = 0;
    while ((uint64_t)index[at] < (uint64_t)limit || (exempt && index[at] == spare)) at++;
    char place[GR_SHAPE_TEXT];
    coordinates(v->shape, at, place);
    return gr_exec_fail(e, "%s%s is %lld, expected 0 <= %s < %lld", name, place,
                        (long long)index[at], name, (long long)limit);
}

gr_status gr__check_index(gr_exec *e, int input, const char *name, int64_t limit)
{
    return gr__check_index_but(e, input, name, limit, NULL);
}

bool gr__infer_index(gr_infer *c, int input, const char *name)
{
    gr_dtype dtype = gr_dtype_of(c->in[input]);
    if (dtype == GR_I64) return true;
    return gr_infer_fail(c, "the %s is %s, expected int64", name, gr_dtype_name(dtype));
}

bool gr__infer_alike(gr_infer *c, int axis)
{
    const gr_shape *a = gr_shape_of(c->in[0]), *b = gr_shape_of(c->in[1]);
    gr__axis(&axis, a->rank);
    bool fits = a->rank == b->rank;
    for (int i = 0; fits && i < a->rank; i++) fits = i == axis || a->dim[i] == b->dim[i];
    if (fits) return true;
    return gr_infer_fail(c, "expected an index of the shape of x but along axis %d, got %s with %s",
                         axis, gr_infer_shape(c, 0), gr_infer_shape(c, 1));
}

/* --- embedding --- */

static bool embedding_infer(gr_infer *c)
{
    const gr_shape *w = gr_shape_of(c->in[0]), *index = gr_shape_of(c->in[1]);
    if (!gr__infer_index(c, 1, "index")) return false;
    if (w->rank != 2)
        return gr_infer_fail(c, "expected a table [V,D], got %s", gr_infer_shape(c, 0));
    if (index->rank == GR_MAX_RANK)
        return gr_infer_fail(c, "the result would have more than %d axes", GR_MAX_RANK);
    c->shape[0] = *index;
    c->shape[0].dim[c->shape[0].rank++] = w->dim[1];
    return true;
}

static gr_status embedding_forward(gr_exec *e)
{
    const gr_shape *w = e->in[0].shape;
    int64_t n = gr_shape_numel(e->in[1].shape);
    gr__rows r = {w->dim[0], w->dim[1], n, e->in[1].data, e->in[0].data, e->out[0].data};
    if (gr__check_index(e, 1, "index", r.rows)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->in[0].dtype)->take_rows(&r);
    return GR_OK;
}

static gr_tensor *embedding_grad(gr_tensor *dy, gr_tensor *index, int64_t rows);

static void embedding_vjp(gr_pullback *p)
{
    if (p->wants[0])
        p->dx[0] = embedding_grad(p->dy[0], p->x[1], gr_shape_of(p->x[0])->dim[0]);
}

#define TABLE {.shape = {2, {6, 3}}}
#define LIST {.shape = {1, {5}}, .integer = true, .low = 0, .high = 6}
#define GRID {.shape = {2, {2, 4}}, .integer = true, .low = 0, .high = 6}
#define NUMBER {.shape = {0, {0}}, .integer = true, .low = 0, .high = 6}
#define NOTHING {.shape = {1, {0}}, .integer = true, .low = 0, .high = 6}

static const gr_sample embedding_samples[] = {
    {.name = "list", .in = {TABLE, LIST}, .n_in = 2},
    {.name = "grid", .in = {TABLE, GRID}, .n_in = 2},
    {.name = "one", .in = {TABLE, NUMBER}, .n_in = 2},
    {.name = "nothing", .in = {TABLE, NOTHING}, .n_in = 2},
    {.name = "empty rows", .in = {{.shape = {2, {6, 0}}}, LIST}, .n_in = 2},
    {.name = "no table", .in = {{.shape = {1, {6}}}, LIST}, .n_in = 2, .error = "expected a table [V,D], got [6]"},
    {.name = "float index", .in = {TABLE, {.shape = {1, {5}}}}, .n_in = 2, .error = "index is float64, expected int64"},
    {0},
};

static const gr_op embedding_op = {
    .name = "embedding",
    .family = "index",
    .formula = "y[i] = w[index[i]], whole rows of w",
    .derivation = "each y[i] is a copy of one row, so that row's cotangent is the sum of the dy[i] "
                  "that came from it: dw[r] = sum of dy[i] over index[i] = r",
    .n_in = 2,
    .reads = GR_READS_IN(1),
    .infer = embedding_infer,
    .forward = {[GR_F32] = embedding_forward, [GR_F64] = embedding_forward},
    .vjp = embedding_vjp,
    .samples = embedding_samples,
};

/* Rows of a table: w [V,D] and index int64 [...] give [..., D]. An index outside [0, V) is an error
 * when the value is computed. Into a
 * parameter gr_backward adds the gradient of w by rows (gr_param_grad_rows); elsewhere it is [V,D]. */
gr_tensor *gr_embedding(gr_tensor *w, gr_tensor *index)
{
    return gr__binary(&embedding_op, w, index, GR_HERE);
}

/* --- embedding_grad --- */

typedef struct embedding_grad_attrs {
    int64_t rows;
} embedding_grad_attrs;

static const gr_field embedding_grad_fields[] = {
    GR_FIELD(embedding_grad_attrs, rows, GR_FIELD_I64),
    {0},
};

static bool embedding_grad_infer(gr_infer *c)
{
    const gr_shape *dy = gr_shape_of(c->in[0]), *index = gr_shape_of(c->in[1]);
    bool fits = dy->rank == index->rank + 1;
    if (!gr__infer_index(c, 1, "index")) return false;
    for (int i = 0; fits && i < index->rank; i++) fits = dy->dim[i] == index->dim[i];
    if (!fits)
        return gr_infer_fail(c, "expected [...,D] with an index [...], got %s with %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    c->shape[0] = GR_SHAPE(((const embedding_grad_attrs *)c->attrs)->rows, dy->dim[dy->rank - 1]);
    return true;
}

static gr_status embedding_grad_forward(gr_exec *e)
{
    const gr_shape *dw = e->out[0].shape;
    int64_t n = gr_shape_numel(e->in[1].shape);
    gr__rows r = {dw->dim[0], dw->dim[1], n, e->in[1].data, e->in[0].data, e->out[0].data};
    if (gr__check_index(e, 1, "index", r.rows)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->in[0].dtype)->scatter_rows(&r);
    return GR_OK;
}

static void embedding_grad_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = gr_embedding(p->dy[0], p->x[1]);
}

#define ROWS(n) &(const embedding_grad_attrs){n}

static const gr_sample embedding_grad_samples[] = {
    {.name = "list", .in = {{.shape = {2, {5, 3}}}, LIST}, .n_in = 2, .attrs = ROWS(6)},
    {.name = "grid", .in = {{.shape = {3, {2, 4, 3}}}, GRID}, .n_in = 2, .attrs = ROWS(6)},
    {.name = "one", .in = {{.shape = {1, {3}}}, NUMBER}, .n_in = 2, .attrs = ROWS(6)},
    {.name = "nothing", .in = {{.shape = {2, {0, 3}}}, NOTHING}, .n_in = 2, .attrs = ROWS(6)},
    {.name = "other count", .in = {{.shape = {2, {4, 3}}}, LIST}, .n_in = 2, .attrs = ROWS(6), .error = "got [4,3] with [5]"},
    {0},
};

static const gr_op embedding_grad_op = {
    .name = "embedding_grad",
    .family = "index",
    .formula = "y[r] = sum of x[i] over index[i] = r, for `rows` rows",
    .derivation = "x[i] goes into the row index[i] alone, so dx[i] = dy[index[i]]",
    .n_in = 2,
    .flags = GR_OP_LINEAR | GR_OP_ROWS,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(embedding_grad_attrs),
    .fields = embedding_grad_fields,
    .infer = embedding_grad_infer,
    .forward = {[GR_F32] = embedding_grad_forward, [GR_F64] = embedding_grad_forward},
    .vjp = embedding_grad_vjp,
    .samples = embedding_grad_samples,
};

static gr_tensor *embedding_grad(gr_tensor *dy, gr_tensor *index, int64_t rows)
{
    gr_tensor *in[2] = {dy, index};
    return gr__apply(NULL, &embedding_grad_op, in, 2, &(embedding_grad_attrs){rows}, GR_HERE);
}

/* --- gather --- */

typedef struct gather_attrs {
    int axis;
} gather_attrs;

static const gr_field gather_fields[] = {GR_FIELD(gather_attrs, axis, GR_FIELD_INT), {0}};

static bool gather_infer(gr_infer *c)
{
    int axis = ((const gather_attrs *)c->attrs)->axis;
    if (!gr__infer_index(c, 1, "index") || !gr__along_infer(c, axis) || !gr__infer_alike(c, axis))
        return false;
    c->shape[0] = *gr_shape_of(c->in[1]);
    return true;
}

static gr_status gather_forward(gr_exec *e)
{
    int axis = ((const gather_attrs *)e->attrs)->axis;
    gr__along x = gr__along_axis(e->in[0].shape, axis), y = gr__along_axis(e->in[1].shape, axis);
    gr__gather g = {x.outer, x.n, y.n, x.inner, e->in[1].data, e->in[0].data, e->out[0].data,
                    NULL, NULL};
    if (gr__check_index(e, 1, "index", g.n)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->in[0].dtype)->gather(&g);
    return GR_OK;
}

static void gather_vjp(gr_pullback *p)
{
    int axis = ((const gather_attrs *)p->attrs)->axis;
    int64_t n = gr__along_axis(gr_shape_of(p->x[0]), axis).n;
    if (p->wants[0]) p->dx[0] = gr__gather_grad(p->dy[0], p->x[1], axis, n);
}

#define AXIS(i) &(const gather_attrs){i}
#define CHOICE(a, b) {.shape = {2, {a, b}}, .integer = true, .low = 0, .high = 4}

static const gr_sample gather_samples[] = {
    {.name = "rows", .in = {{.shape = {2, {3, 4}}}, CHOICE(3, 2)}, .n_in = 2, .attrs = AXIS(-1)},
    {.name = "columns", .in = {{.shape = {2, {4, 3}}}, CHOICE(6, 3)}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "middle axis", .in = {{.shape = {3, {2, 4, 3}}}, {.shape = {3, {2, 5, 3}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, {.integer = true, .high = 1}}, .n_in = 2, .attrs = AXIS(0)},
    {.name = "nothing", .in = {{.shape = {2, {3, 4}}}, CHOICE(3, 0)}, .n_in = 2, .attrs = AXIS(1)},
    {.name = "other shape", .in = {{.shape = {2, {3, 4}}}, CHOICE(2, 2)}, .n_in = 2, .attrs = AXIS(1), .error = "got [3,4] with [2,2]"},
    {.name = "bad axis", .in = {{.shape = {2, {3, 4}}}, CHOICE(3, 4)}, .n_in = 2, .attrs = AXIS(2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "float index", .in = {{.shape = {2, {3, 4}}}, {.shape = {2, {3, 4}}}}, .n_in = 2, .attrs = AXIS(1), .error = "index is float64, expected int64"},
    {0},
};

static const gr_op gather_op = {
    .name = "gather",
    .family = "index",
    .formula = "y[i][j] = x[i][index[i][j]] (for axis 1)",
    .derivation = "each y is a copy of one x, so that x gets the sum of the dy that came from it: "
                  "dx[i][k] = sum of dy[i][j] over index[i][j] = k",
    .n_in = 2,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(gather_attrs),
    .fields = gather_fields,
    .infer = gather_infer,
    .forward = {[GR_F32] = gather_forward, [GR_F64] = gather_forward},
    .vjp = gather_vjp,
    .samples = gather_samples,
};

/* The part of x that an index smaller than x, save along the axis, reaches: as in PyTorch. */
static gr_tensor *within_index(gr_tensor *x, int axis, gr_tensor *index)
{
    const gr_shape *part = gr_shape_of(index);
    const int rank = gr_shape_of(x)->rank;
    if (!gr__axis(&axis, rank) || part->rank != rank) return x;
    for (int i = 0; i < rank; i++)
        if (i != axis && part->dim[i] < gr_shape_of(x)->dim[i])
            x = gr_slice(x, i, 0, part->dim[i], 1);
    return x;
}

/* Elements of x along an axis, chosen for each place: y[i][j] = x[i][index[i][j]] for axis 1. x and
 * index (int64) have as many axes, and index is at most as large but along the axis; y has the shape
 * of index. An index outside [0, size of the axis) is an error when the value is computed. */
gr_tensor *gr_gather(gr_tensor *x, int axis, gr_tensor *index)
{
    gr_tensor *in[2] = {x, index};
    if (x && index && gr_graph_of(x)) {
        gr_graph *g = gr_graph_of(x);
        gr_site_begin(g, GR_HERE);
        in[0] = within_index(x, axis, index);
        gr_tensor *y = gr__apply(NULL, &gather_op, in, 2, &(gather_attrs){axis}, GR_HERE);
        gr_site_end(g);
        return y;
    }
    return gr__apply(NULL, &gather_op, in, 2, &(gather_attrs){axis}, GR_HERE);
}

/* As gr_gather, but x and index stretch to a common shape but along the axis: take_along_axis of
 * NumPy and the array API. */
gr_tensor *gr_take_along(gr_tensor *x, gr_tensor *index, int axis)
{
    if (!x || !index || gr__is_nil(x) || gr__is_nil(index)) return gr_gather(x, axis, index);
    gr_shape from = *gr_shape_of(x), at = *gr_shape_of(index), joined;
    int along = axis;
    if (from.rank != at.rank || !gr__axis(&along, from.rank)) return gr_gather(x, axis, index);
    int64_t n = from.dim[along], m = at.dim[along];
    from.dim[along] = at.dim[along] = 1;
    if (!gr__shape_broadcast(&from, &at, &joined)) return gr_gather(x, axis, index);
    from = at = joined;
    from.dim[along] = n;
    at.dim[along] = m;
    gr_graph *g = gr_graph_of(x);
    gr_site_begin(g, GR_HERE);
    gr_tensor *y = gr_gather(gr_expand(x, from), axis, gr_expand(index, at));
    gr_site_end(g);
    return y;
}

/* --- gather_grad --- */

typedef struct gather_grad_attrs {
    int axis;
    int64_t n; /* size of the axis in the result */
} gather_grad_attrs;

static const gr_field gather_grad_fields[] = {
    GR_FIELD(gather_grad_attrs, axis, GR_FIELD_INT),
    GR_FIELD(gather_grad_attrs, n, GR_FIELD_I64),
    {0},
};

static bool gather_grad_infer(gr_infer *c)
{
    const gather_grad_attrs *a = c->attrs;
    int axis = a->axis;
    if (!gr__infer_index(c, 1, "index") || !gr__along_infer(c, axis)) return false;
    if (!gr_shape_equal(gr_shape_of(c->in[0]), gr_shape_of(c->in[1])))
        return gr_infer_fail(c, "expected an index of the shape of x, got %s with %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    if (gr__axis(&axis, c->shape[0].rank)) c->shape[0].dim[axis] = a->n;
    return true;
}

static gr_status gather_grad_forward(gr_exec *e)
{
    int axis = ((const gather_grad_attrs *)e->attrs)->axis;
    gr__along x = gr__along_axis(e->in[0].shape, axis), y = gr__along_axis(e->out[0].shape, axis);
    gr__gather g = {x.outer, y.n, x.n, x.inner, e->in[1].data, e->in[0].data, e->out[0].data,
                    NULL, NULL};
    if (gr__check_index(e, 1, "index", g.n)) return GR_ERR_ARGUMENT;
    gr__kernels_for(e->in[0].dtype)->scatter(&g);
    return GR_OK;
}

static void gather_grad_vjp(gr_pullback *p)
{
    if (p->wants[0])
        p->dx[0] = gr_gather(p->dy[0], ((const gather_grad_attrs *)p->attrs)->axis, p->x[1]);
}

#define BACK(axis, n) &(const gather_grad_attrs){axis, n}

static const gr_sample gather_grad_samples[] = {
    {.name = "rows", .in = {{.shape = {2, {3, 2}}}, CHOICE(3, 2)}, .n_in = 2, .attrs = BACK(-1, 4)},
    {.name = "columns", .in = {{.shape = {2, {6, 3}}}, CHOICE(6, 3)}, .n_in = 2, .attrs = BACK(0, 4)},
    {.name = "middle axis", .in = {{.shape = {3, {2, 5, 3}}}, {.shape = {3, {2, 5, 3}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = BACK(1, 4)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, {.integer = true, .high = 1}}, .n_in = 2, .attrs = BACK(0, 1)},
    {.name = "nothing", .in = {{.shape = {2, {3, 0}}}, CHOICE(3, 0)}, .n_in = 2, .attrs = BACK(1, 4)},
    {.name = "other shape", .in = {{.shape = {2, {3, 4}}}, CHOICE(3, 2)}, .n_in = 2, .attrs = BACK(1, 4), .error = "got [3,4] with [3,2]"},
    {0},
};

static const gr_op gather_grad_op = {
    .name = "gather_grad",
    .family = "index",
    .formula = "y[i][k] = sum of x[i][j] over index[i][j] = k (for axis 1, of size n in y)",
    .derivation = "x[i][j] goes into y[i][index[i][j]] alone, so dx[i][j] = dy[i][index[i][j]]",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(gather_grad_attrs),
    .fields = gather_grad_fields,
    .infer = gather_grad_infer,
    .forward = {[GR_F32] = gather_grad_forward, [GR_F64] = gather_grad_forward},
    .vjp = gather_grad_vjp,
    .samples = gather_grad_samples,
};

gr_tensor *gr__gather_grad(gr_tensor *dy, gr_tensor *index, int axis, int64_t n)
{
    gr_tensor *in[2] = {dy, index};
    return gr__apply(NULL, &gather_grad_op, in, 2, &(gather_grad_attrs){axis, n}, GR_HERE);
}

const gr_op *const gr__index_ops[] = {
    &embedding_op, &embedding_grad_op, &gather_op, &gather_grad_op, NULL,
};
