/* matrices.c - what the families of linear algebra share: shape rules, batches, triangles.
 *
 *   y_ij = x_ij below the diagonal, d x_ii on it, 0 above     dx is dy with the same factors
 */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

#include <stdio.h>
#include <string.h>

/* --- batches of matrices --- */

static const int64_t MOST = 1 << 24; /* rows or columns */

bool gr__infer_matrices(gr_infer *c, int input)
{
    const gr_shape *s = gr_shape_of(c->in[input]);
    if (s->rank < 2)
        return gr_infer_fail(c, "expected matrices [...,m,n], got %s", gr_infer_shape(c, input));
    gr__matrices a = gr__matrices_of(s);
    if (a.rows < MOST && a.columns < MOST) return true;
    return gr_infer_fail(c, "%s has a side above 2^24", gr_infer_shape(c, input));
}

bool gr__infer_square(gr_infer *c, int input)
{
    if (!gr__infer_matrices(c, input)) return false;
    gr__matrices a = gr__matrices_of(gr_shape_of(c->in[input]));
    if (a.rows == a.columns) return true;
    return gr_infer_fail(c, "expected square matrices [...,n,n], got %s", gr_infer_shape(c, input));
}

bool gr__infer_beside(gr_infer *c)
{
    const gr_shape *a = gr_shape_of(c->in[0]), *b = gr_shape_of(c->in[1]);
    bool fit = a->rank == b->rank;
    for (int i = 0; fit && i < a->rank - 2; i++) fit = a->dim[i] == b->dim[i];
    if (!fit)
        return gr_infer_fail(c, "%s and %s are different batches", gr_infer_shape(c, 0),
                             gr_infer_shape(c, 1));
    if (gr_dtype_of(c->in[1]) == gr_dtype_of(c->in[0])) return true;
    return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast",
                         gr_dtype_name(gr_dtype_of(c->in[0])),
                         gr_dtype_name(gr_dtype_of(c->in[1])));
}

gr_status gr__run_matrices(gr_exec *e, gr__batch b, gr__matrix_fn *body, void *ctx,
                           const char *problem)
{
    char of_batch[64] = "the matrix";
    int64_t which = 0;
    void *scratch = gr_exec_scratch(e, gr__batch_scratch(&b));
    if (!scratch) return GR_ERR_MEMORY;
    int64_t wrong = gr__batch_run(&b, body, ctx, scratch, &which);
    if (!wrong) return GR_OK;
    if (e->in[0].shape->rank > 2)
        snprintf(of_batch, sizeof of_batch, "matrix %lld of the batch", (long long)which);
    return gr_exec_fail(e, "%s %s %lld", of_batch, problem, (long long)wrong);
}

static gr_tensor *stretched(gr_tensor *x, const gr_shape *batch)
{
    gr_shape shape = *batch;
    gr__matrices own = gr__matrices_of(gr_shape_of(x));
    shape.dim[shape.rank - 2] = own.rows;
    shape.dim[shape.rank - 1] = own.columns;
    return gr_expand(x, shape);
}

/* What is no matrix is left to the op's own shape rule. */
bool gr__match_batches(const char *name, gr_tensor **a, gr_tensor **b)
{
    gr_shape x = *gr_shape_of(*a), y = *gr_shape_of(*b), batch;
    char ta[GR_SHAPE_TEXT], tb[GR_SHAPE_TEXT];
    if (x.rank < 2 || y.rank < 2) return true;
    x.dim[x.rank - 2] = x.dim[x.rank - 1] = y.dim[y.rank - 2] = y.dim[y.rank - 1] = 1;
    if (!gr__shape_broadcast(&x, &y, &batch)) {
        gr__fail_at(gr_graph_of(*a), GR_ERR_ARGUMENT, GR_HERE, "%s: cannot broadcast %s with %s",
                    name, gr_shape_text(gr_shape_of(*a), ta), gr_shape_text(gr_shape_of(*b), tb));
        return false;
    }
    *a = stretched(*a, &batch);
    *b = stretched(*b, &batch);
    return true;
}

/* --- triangle --- */

typedef struct triangle_attrs {
    bool upper;
    double diagonal;
} triangle_attrs;

static const gr_field triangle_fields[] = {
    GR_FIELD(triangle_attrs, upper, GR_FIELD_BOOL),
    GR_FIELD(triangle_attrs, diagonal, GR_FIELD_F64),
    {0},
};

static bool triangle_infer(gr_infer *c)
{
    return gr__infer_square(c, 0);
}

static gr_status triangle_forward(gr_exec *e)
{
    const triangle_attrs *t = e->attrs;
    const gr__matrices a = gr__matrices_of(e->in[0].shape);
    const int64_t n = a.columns;
    const double *x = e->in[0].data;
    double *y = e->out[0].data;
    for (int64_t row = 0; row < a.count * n; row++, x += n, y += n) {
        const int64_t i = row % n, from = t->upper ? i + 1 : 0, to = t->upper ? n : i;
        memset(y, 0, (size_t)n * sizeof *y);
        memcpy(y + from, x + from, (size_t)(to - from) * sizeof *y);
        if (t->diagonal != 0) y[i] = t->diagonal * x[i];
    }
    return GR_OK;
}

static void triangle_vjp(gr_pullback *p)
{
    const triangle_attrs *t = p->attrs;
    p->dx[0] = gr__triangle(p->dy[0], t->upper, t->diagonal);
}

static const gr_sample triangle_samples[] = {
    {.name = "lower", .in = {GR__MATRIX(4, 4)}, .n_in = 1, .attrs = &(const triangle_attrs){false, 1}},
    {.name = "half of the diagonal", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .attrs = &(const triangle_attrs){true, 0.5}},
    {.name = "strict", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .attrs = &(const triangle_attrs){true, 0}},
    {.name = "empty", .in = {GR__MATRIX(0, 0)}, .n_in = 1, .attrs = &(const triangle_attrs){false, 1}},
    {.name = "not square", .in = {GR__MATRIX(3, 4)}, .n_in = 1, .attrs = &(const triangle_attrs){false, 1}, .error = "expected square matrices [...,n,n], got [3,4]"},
    {0},
};

static const gr_op triangle_op = {
    .name = "triangle",
    .family = "matrices",
    .formula = "y_ij = x_ij below (or above) the diagonal, d x_ii on it, 0 elsewhere",
    .derivation = "each x is multiplied by 1, d or 0, and so is its dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(triangle_attrs),
    .fields = triangle_fields,
    .infer = triangle_infer,
    .forward = {[GR_F64] = triangle_forward},
    .vjp = triangle_vjp,
    .samples = triangle_samples,
};

gr_tensor *gr__triangle(gr_tensor *x, bool upper, double diagonal)
{
    return gr__unary(&triangle_op, x, &(triangle_attrs){upper, diagonal}, GR_HERE);
}

gr_tensor *gr__identity(gr_graph *g, gr_dtype dtype, int64_t n)
{
    gr_tensor *ones = gr_ones(g, dtype, GR_SHAPE(n, n));
    return gr_sub(gr__triangle(ones, false, 1), gr__triangle(ones, false, 0));
}

gr_tensor *gr__plus_identity(gr_tensor *x, double a)
{
    const gr_shape *s = gr_shape_of(x);
    return gr_add(x, gr_scale(gr__identity(gr_graph_of(x), gr_dtype_of(x), s->dim[s->rank - 1]), a));
}

gr_tensor *gr__symmetric(gr_tensor *x)
{
    return gr_scale(gr_add(x, gr__turned(x)), 0.5);
}

/* --- samples that need a special first matrix --- */

static int record_with(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor *a,
                       gr_tensor **y)
{
    gr_tensor *in[2] = {a, s->n_in > 1 ? x[1] : NULL};
    gr_tensor *t = gr_apply(NULL, op, in, s->n_in, s->attrs);
    const int n = op->n_out ? op->n_out : 1;
    for (int i = 0; i < n; i++) y[i] = n > 1 ? gr_output(t, i) : t;
    return n;
}

int gr__record_regular(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    return record_with(op, s, x, gr__plus_identity(x[0], 3), y);
}

int gr__record_zero(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    return record_with(op, s, x, gr_scale(x[0], 0), y);
}

const gr_op *const gr__matrices_ops[] = {&triangle_op, NULL};
