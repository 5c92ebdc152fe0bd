/* solve.c - linear systems.
 *
 *   A X = B      dB = A^-T dX      dA = -dB X^T
 *   Y = A^-1     dA = -Y^T dY Y^T
 *
 * From A X = B follows dA X + A dX = dB, so dX = A^-1 (dB - dA X): a cotangent of X is carried back
 * by one more system, with A^T. Of a triangular A only its triangle is read, so only there is
 * a gradient. M. B. Giles, "Collected matrix derivative results for forward and reverse mode
 * algorithmic differentiation", 2008.
 *
 * All is computed in float64; float32 goes by conversion.
 */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

#include <string.h>

/* --- solve_triangular --- */

static const gr_field triangular_fields[] = {
    GR_FIELD(gr_triangular_options, upper, GR_FIELD_BOOL),
    GR_FIELD(gr_triangular_options, transpose, GR_FIELD_BOOL),
    GR_FIELD(gr_triangular_options, unit, GR_FIELD_BOOL),
    GR_FIELD(gr_triangular_options, right, GR_FIELD_BOOL),
    {0},
};

/* A [...,n,n] beside B, [...,n,k], or [...,k,n] at its right. */
static bool infer_system(gr_infer *c, bool right)
{
    if (!gr__infer_square(c, 0) || !gr__infer_matrices(c, 1) || !gr__infer_beside(c)) return false;
    gr__matrices a = gr__matrices_of(gr_shape_of(c->in[0]));
    gr__matrices b = gr__matrices_of(gr_shape_of(c->in[1]));
    if (a.rows != (right ? b.columns : b.rows))
        return gr_infer_fail(c, "a system of %s does not suit a right-hand side of %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    c->shape[0] = *gr_shape_of(c->in[1]);
    return true;
}

static bool triangular_infer(gr_infer *c)
{
    return infer_system(c, ((const gr_triangular_options *)c->attrs)->right);
}

typedef struct system_job {
    const gr_exec *e;
    gr__matrices a, x;
    const double *matrix;
    double *result;
} system_job;

static system_job job_of(const gr_exec *e)
{
    return (system_job){e, gr__matrices_of(e->in[0].shape), gr__matrices_of(e->out[0].shape),
                        e->in[0].data, e->out[0].data};
}

static int64_t triangular_one(void *ctx, int64_t index, void *space)
{
    const system_job *j = ctx;
    const gr_triangular_options *o = j->e->attrs;
    const gr__triangular t = {o->upper, o->transpose, o->unit, o->right};
    const int64_t n = j->a.rows;
    const double *a = j->matrix + index * n * n;
    const int64_t zero = o->unit ? 0 : gr__zero_pivot(n, a);
    (void)space;
    if (!zero)
        gr__solve_triangular(t, j->x.rows, j->x.columns, a,
                             j->result + index * j->x.rows * j->x.columns);
    return zero;
}

static gr_status triangular_forward(gr_exec *e)
{
    system_job j = job_of(e);
    const int64_t numel = gr_shape_numel(e->out[0].shape);
    if (numel == 0) return GR_OK;
    memcpy(e->out[0].data, e->in[1].data, (size_t)numel * sizeof(double));
    gr__batch b = {j.a.count, j.a.rows * j.x.rows * j.x.columns, 0};
    return gr__run_matrices(e, b, triangular_one, &j, "is singular, by its diagonal element");
}

/* With N = op(A): N X = B gives dN = -dB X^T, X N = B gives dN = -X^T dB. */
static void triangular_vjp(gr_pullback *p)
{
    const gr_triangular_options *given = p->attrs;
    gr_triangular_options back = *given;
    back.transpose = !back.transpose;
    gr_tensor *x = p->y[0], *db = gr_solve_triangular(p->x[0], p->dy[0], back);
    if (p->wants[1]) p->dx[1] = db;
    if (!p->wants[0]) return;
    gr_tensor *dn = gr_neg(given->right ? gr_matmul(gr__turned(x), db)
                                        : gr_matmul(db, gr__turned(x)));
    gr_tensor *da = given->transpose ? gr__turned(dn) : dn;
    const int off = given->unit; /* the diagonal is not read */
    p->dx[0] = given->upper ? gr_triu(da, off) : gr_tril(da, -off);
}

#define SYSTEM(...) .n_in = 2, .attrs = &(const gr_triangular_options){__VA_ARGS__}
#define VECTOR(n) {.shape = {1, {n}}}

static const gr_sample triangular_samples[] = {
    {.name = "lower", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 2)}, SYSTEM(.upper = false), .record = gr__record_regular},
    {.name = "upper", .in = {GR__STACK(2, 3, 3), GR__STACK(2, 3, 3)}, SYSTEM(.upper = true), .record = gr__record_regular},
    {.name = "transposed", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 4)}, SYSTEM(.upper = true, .transpose = true), .record = gr__record_regular},
    {.name = "unit", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 2)}, SYSTEM(.unit = true)},
    {.name = "from the right", .in = {GR__MATRIX(3, 3), GR__MATRIX(2, 3)}, SYSTEM(.right = true), .record = gr__record_regular},
    {.name = "all", .in = {GR__MATRIX(3, 3), GR__MATRIX(2, 3)}, SYSTEM(.right = true, .transpose = true, .upper = true, .unit = true)},
    {.name = "one", .in = {GR__MATRIX(1, 1), GR__MATRIX(1, 1)}, SYSTEM(.upper = false), .record = gr__record_regular},
    {.name = "no systems", .in = {GR__STACK(0, 3, 3), GR__STACK(0, 3, 2)}, SYSTEM(.upper = false)},
    {.name = "singular", .in = {GR__STACK(2, 3, 3), GR__STACK(2, 3, 2)}, SYSTEM(.upper = false), .record = gr__record_zero, .error = "matrix 0 of the batch is singular, by its diagonal element 1"},
    {.name = "not square", .in = {GR__MATRIX(3, 4), GR__MATRIX(3, 2)}, SYSTEM(.upper = false), .error = "expected square matrices [...,n,n], got [3,4]"},
    {.name = "other height", .in = {GR__MATRIX(3, 3), GR__MATRIX(2, 3)}, SYSTEM(.upper = false), .error = "does not suit a right-hand side of [2,3]"},
    {.name = "vector", .in = {GR__MATRIX(3, 3), VECTOR(3)}, SYSTEM(.upper = false), .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op triangular_op = {
    .name = "solve_triangular",
    .family = "solve",
    .formula = "N X = B or X N = B, where N = A or A^T is triangular",
    .derivation = "dN X + N dX = dB, so dB = N^-T dX and dN = -dB X^T (from the right: -X^T dB), of "
                  "which dA gets the triangle that was read",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(gr_triangular_options),
    .fields = triangular_fields,
    .infer = triangular_infer,
    .forward = {[GR_F64] = triangular_forward},
    .vjp = triangular_vjp,
    .samples = triangular_samples,
};

/* Whether a and b are tensors of one graph: only these can be asked for their shapes. */
static bool together(const gr_tensor *a, const gr_tensor *b)
{
    return a && b && !gr__is_nil(a) && !gr__is_nil(b) && gr_graph_of(a) == gr_graph_of(b);
}

/* Records a system with its batches stretched; a right-hand side that is a vector is a column. */
static gr_tensor *system_of(const gr_op *op, gr_tensor *a, gr_tensor *b, const void *attrs,
                            const void *site)
{
    gr_tensor *in[2] = {a, b};
    if (!together(a, b)) return gr__apply(NULL, op, in, 2, attrs, site);
    gr_graph *g = gr_graph_of(a);
    const gr_shape shape = *gr_shape_of(b);
    gr_site_begin(g, site);
    if (shape.rank == 1) in[1] = gr_reshape(b, GR_SHAPE(shape.dim[0], 1));
    bool fit = gr__match_batches(op->name, &in[0], &in[1]);
    gr_tensor *y = gr__apply(g, op, in, 2, attrs, site);
    if (fit && shape.rank == 1 && !gr__is_nil(y)) {
        gr_shape column = *gr_shape_of(y);
        column.rank--;
        y = gr_reshape(y, column);
    }
    gr_site_end(g);
    return y;
}

/* The X of A X = B for a triangular A [...,n,n] and B [...,n,k] (or a vector [n]), the axes in
 * front broadcast. Options: `upper`: A is its upper triangle, else its lower one, the other half is
 * not read; `unit`: its diagonal counts as ones; `transpose`: A^T X = B; `right`: X A = B with B
 * [...,k,n]. A zero on the diagonal is an error when the value is computed. float32 or float64. */
gr_tensor *gr_solve_triangular(gr_tensor *a, gr_tensor *b, gr_triangular_options o)
{
    return system_of(&triangular_op, a, b, &o, GR_HERE);
}

/* --- solve --- */

typedef struct solve_attrs {
    bool transpose;
} solve_attrs;

static const gr_field solve_fields[] = {GR_FIELD(solve_attrs, transpose, GR_FIELD_BOOL), {0}};

static bool solve_infer(gr_infer *c)
{
    return infer_system(c, false);
}

/* Bytes for the factors of one matrix. */
static size_t factors_space(int64_t n)
{
    return (size_t)(n * n) * sizeof(double) + (size_t)n * sizeof(int);
}

/* The system with the given matrix, in place of the n x k right-hand side. */
static int64_t solve_in_place(int64_t n, int64_t k, const double *a, bool transpose, double *x,
                              void *space)
{
    double *lu = space;
    int *pivot = (int *)(lu + n * n);
    memcpy(lu, a, (size_t)(n * n) * sizeof *lu);
    if (!gr__all_finite(a, n * n)) {
        gr__fill_nan(x, n * k);
        return 0;
    }
    int64_t zero = gr__lu(n, lu, pivot);
    if (!zero) gr__lu_solve(n, k, lu, pivot, transpose, x);
    return zero;
}

static int64_t solve_one(void *ctx, int64_t index, void *space)
{
    const system_job *j = ctx;
    const int64_t n = j->a.rows, k = j->x.columns;
    return solve_in_place(n, k, j->matrix + index * n * n,
                          ((const solve_attrs *)j->e->attrs)->transpose, j->result + index * n * k,
                          space);
}

static const char zero_pivot[] = "is singular: there is no pivot";

static gr_status solve_forward(gr_exec *e)
{
    system_job j = job_of(e);
    const int64_t numel = gr_shape_numel(e->out[0].shape), n = j.a.rows;
    if (numel == 0) return GR_OK;
    memcpy(e->out[0].data, e->in[1].data, (size_t)numel * sizeof(double));
    gr__batch b = {j.a.count, n * n * (n + j.x.columns), factors_space(n)};
    return gr__run_matrices(e, b, solve_one, &j, zero_pivot);
}

static gr_tensor *solve(gr_tensor *a, gr_tensor *b, bool transpose);

/* With N = A or A^T: dN = -dB X^T. */
static void solve_vjp(gr_pullback *p)
{
    const bool transpose = ((const solve_attrs *)p->attrs)->transpose;
    gr_tensor *x = p->y[0], *db = solve(p->x[0], p->dy[0], !transpose);
    if (p->wants[1]) p->dx[1] = db;
    if (p->wants[0])
        p->dx[0] = gr_neg(transpose ? gr_matmul(x, gr__turned(db)) : gr_matmul(db, gr__turned(x)));
}

#define SOLVE(t) .n_in = 2, .attrs = &(const solve_attrs){t}

static const gr_sample solve_samples[] = {
    {.name = "two columns", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 2)}, SOLVE(false), .record = gr__record_regular},
    {.name = "batch", .in = {GR__STACK(2, 3, 3), GR__STACK(2, 3, 4)}, SOLVE(false), .record = gr__record_regular},
    {.name = "transposed", .in = {GR__MATRIX(4, 4), GR__MATRIX(4, 3)}, SOLVE(true), .record = gr__record_regular},
    {.name = "square", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 3)}, SOLVE(false), .record = gr__record_regular},
    {.name = "one", .in = {GR__MATRIX(1, 1), GR__MATRIX(1, 1)}, SOLVE(false), .record = gr__record_regular},
    {.name = "no columns", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 0)}, SOLVE(false), .record = gr__record_regular},
    {.name = "singular", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 2)}, SOLVE(false), .record = gr__record_zero, .error = "the matrix is singular: there is no pivot 1"},
    {.name = "not square", .in = {GR__MATRIX(3, 4), GR__MATRIX(3, 2)}, SOLVE(false), .error = "expected square matrices [...,n,n], got [3,4]"},
    {.name = "other height", .in = {GR__MATRIX(3, 3), GR__MATRIX(2, 3)}, SOLVE(false), .error = "a system of [3,3] does not suit a right-hand side of [2,3]"},
    {.name = "other batch", .in = {GR__STACK(2, 3, 3), GR__STACK(4, 3, 2)}, SOLVE(false), .error = "[2,3,3] and [4,3,2] are different batches"},
    {.name = "vector", .in = {VECTOR(3), GR__MATRIX(3, 2)}, SOLVE(false), .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op solve_op = {
    .name = "solve",
    .family = "solve",
    .formula = "A X = B, or A^T X = B",
    .derivation = "dA X + A dX = dB, so dX = A^-1 (dB - dA X): a cotangent goes back through A^-T, "
                  "dB = A^-T dX, and dA = -dB X^T",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(solve_attrs),
    .fields = solve_fields,
    .infer = solve_infer,
    .forward = {[GR_F64] = solve_forward},
    .vjp = solve_vjp,
    .samples = solve_samples,
};

static gr_tensor *solve(gr_tensor *a, gr_tensor *b, bool transpose)
{
    return system_of(&solve_op, a, b, &(solve_attrs){transpose}, GR_HERE);
}

/* The X of A X = B for A [...,n,n] and B [...,n,k], or a vector [n], the axes in front broadcast;
 * by LU with row exchanges. A matrix that is singular is an error when the value is computed,
 * naming the pivot that is exactly zero; one that is nearly so gives large numbers. NaN or Inf in A
 * gives NaN. float32 or float64. */
gr_tensor *gr_solve(gr_tensor *a, gr_tensor *b)
{
    return system_of(&solve_op, a, b, &(solve_attrs){false}, GR_HERE);
}

/* --- inverse --- */

static bool inverse_infer(gr_infer *c)
{
    return gr__infer_square(c, 0);
}

static int64_t inverse_one(void *ctx, int64_t index, void *space)
{
    const system_job *j = ctx;
    const int64_t n = j->a.rows;
    double *y = j->result + index * n * n;
    memset(y, 0, (size_t)(n * n) * sizeof *y);
    for (int64_t i = 0; i < n; i++) y[i * n + i] = 1;
    return solve_in_place(n, n, j->matrix + index * n * n, false, y, space);
}

static gr_status inverse_forward(gr_exec *e)
{
    system_job j = job_of(e);
    const int64_t n = j.a.rows;
    if (j.a.count * n == 0) return GR_OK;
    gr__batch b = {j.a.count, 2 * n * n * n, factors_space(n)};
    return gr__run_matrices(e, b, inverse_one, &j, zero_pivot);
}

static void inverse_vjp(gr_pullback *p)
{
    gr_tensor *turned = gr__turned(p->y[0]);
    p->dx[0] = gr_neg(gr_matmul(turned, gr_matmul(p->dy[0], turned)));
}

static const gr_sample inverse_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .record = gr__record_regular},
    {.name = "batch", .in = {GR__STACK(2, 4, 4)}, .n_in = 1, .record = gr__record_regular},
    {.name = "one", .in = {GR__MATRIX(1, 1)}, .n_in = 1, .record = gr__record_regular},
    {.name = "empty", .in = {GR__MATRIX(0, 0)}, .n_in = 1},
    {.name = "singular", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = gr__record_zero, .error = "matrix 0 of the batch is singular: there is no pivot 1"},
    {.name = "not square", .in = {GR__MATRIX(2, 3)}, .n_in = 1, .error = "expected square matrices [...,n,n], got [2,3]"},
    {.name = "vector", .in = {VECTOR(3)}, .n_in = 1, .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op inverse_op = {
    .name = "inverse",
    .family = "solve",
    .formula = "Y = A^-1",
    .derivation = "A Y = I gives dA Y + A dY = 0, so dY = -Y dA Y and the cotangent of A is "
                  "-Y^T dY Y^T",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .infer = inverse_infer,
    .forward = {[GR_F64] = inverse_forward},
    .vjp = inverse_vjp,
    .samples = inverse_samples,
};

/* The inverse of each matrix [...,n,n]. To solve a system, gr_solve is faster and more accurate.
 * A singular matrix is an error when the value is computed. NaN or Inf gives NaN. */
gr_tensor *gr_inverse(gr_tensor *a)
{
    return gr__unary(&inverse_op, a, NULL, GR_HERE);
}

const gr_op *const gr__solve_ops[] = {&triangular_op, &solve_op, &inverse_op, NULL};
