/* factor.c - Cholesky and QR factorisations, and the systems that they solve.
 *
 *   A = L L^T    dA = sym(L^-T P(L^T dL) L^-1)
 *   A = Q R      dA = (dQ + Q sym'(R dR^T - dQ^T Q)) R^-T
 *
 * P(X) is the lower triangle of X with half of its diagonal, sym(X) = (X + X^T) / 2, and sym'(X)
 * is the symmetric matrix that has the lower triangle of X. For L: A = L L^T gives
 * L^-1 dA L^-T = L^-1 dL + (L^-1 dL)^T, the first being lower triangular: dL = L P(L^-1 dA L^-T).
 * I. Murray, "Differentiation of the Cholesky decomposition", 2016; S. F. Walter, L. Lehmann,
 * "Algorithmic differentiation of linear algebra functions with application in optimum
 * experimental design", 2010; for wide A: M. Seeger et al., "Auto-differentiating linear algebra",
 * 2017.
 */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct factor_job {
    gr__matrices a;
    const double *x;
    double *y[2];
} factor_job;

/* --- cholesky --- */

static bool cholesky_infer(gr_infer *c)
{
    return gr__infer_square(c, 0);
}

static int64_t cholesky_one(void *ctx, int64_t index, void *space)
{
    const factor_job *j = ctx;
    const int64_t n = j->a.rows, at = index * n * n;
    (void)space;
    return gr__cholesky(n, j->x + at, j->y[0] + at);
}

static gr_status cholesky_forward(gr_exec *e)
{
    factor_job j = {gr__matrices_of(e->in[0].shape), e->in[0].data, {e->out[0].data, NULL}};
    const int64_t n = j.a.rows;
    if (j.a.count * n == 0) return GR_OK;
    gr__batch b = {j.a.count, n * n * n / 3, 0};
    return gr__run_matrices(e, b, cholesky_one, &j,
                            "is not positive definite, by its leading minor of order");
}

static void cholesky_vjp(gr_pullback *p)
{
    gr_tensor *l = p->y[0];
    gr_tensor *inner = gr__half_lower(gr_matmul(gr__turned(l), p->dy[0]));
    gr_tensor *left = gr_solve_triangular(l, inner, (gr_triangular_options){.transpose = true});
    p->dx[0] = gr__symmetric(gr_solve_triangular(l, left, (gr_triangular_options){.right = true}));
}

/* A = X X^T + I */
static gr_tensor *positive_definite(gr_tensor *x)
{
    return gr__plus_identity(gr_matmul(x, gr__turned(x)), 1);
}

static int record_positive(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = positive_definite(x[0]);
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    return 1;
}

static const gr_sample cholesky_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(4, 4)}, .n_in = 1, .record = record_positive},
    {.name = "batch", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = record_positive},
    {.name = "one", .in = {GR__MATRIX(1, 1)}, .n_in = 1, .record = record_positive},
    {.name = "empty", .in = {GR__STACK(2, 0, 0)}, .n_in = 1},
    {.name = "not definite", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = gr__record_zero, .error = "matrix 0 of the batch is not positive definite, by its leading minor of order 1"},
    {.name = "not square", .in = {GR__MATRIX(2, 3)}, .n_in = 1, .error = "expected square matrices [...,n,n], got [2,3]"},
    {.name = "vector", .in = {{.shape = {1, {3}}}}, .n_in = 1, .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op cholesky_op = {
    .name = "cholesky",
    .family = "factor",
    .formula = "A = L L^T with L lower triangular, its diagonal positive",
    .derivation = "L^-1 dA L^-T = S + S^T with S = L^-1 dL lower triangular, so S is its lower "
                  "triangle with half of the diagonal, P(.), and dL = L P(L^-1 dA L^-T); "
                  "transposed: dA = sym(L^-T P(L^T dL) L^-1)",
    .n_in = 1,
    .reads = GR_READS_OUT(0),
    .infer = cholesky_infer,
    .forward = {[GR_F64] = cholesky_forward},
    .vjp = cholesky_vjp,
    .samples = cholesky_samples,
};

/* The lower triangular L with A = L L^T of each symmetric positive definite A [...,n,n], of which
 * only the lower triangle is read; the gradient is that with respect to a symmetric A. One that is
 * not positive definite is an error when the value is computed. NaN or Inf gives NaN. Computed in
 * float64, float32 by conversion. */
gr_tensor *gr_cholesky(gr_tensor *a)
{
    return gr__unary(&cholesky_op, a, NULL, GR_HERE);
}

/* --- cholesky_solve --- */

typedef struct cholesky_solve_attrs {
    bool upper;
} cholesky_solve_attrs;

static const gr_field cholesky_solve_fields[] = {
    GR_FIELD(cholesky_solve_attrs, upper, GR_FIELD_BOOL), {0}};

static gr_tensor *cholesky_solve_define(gr_tensor *const *x, int n, const void *attrs)
{
    const bool upper = ((const cholesky_solve_attrs *)attrs)->upper;
    (void)n;
    gr_tensor *half = gr_solve_triangular(
        x[1], x[0], (gr_triangular_options){.upper = upper, .transpose = upper});
    return gr_solve_triangular(x[1], half,
                               (gr_triangular_options){.upper = upper, .transpose = !upper});
}

static int record_factor(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *in[2] = {x[0], gr__plus_identity(x[1], 3)};
    y[0] = gr_apply(NULL, op, in, 2, s->attrs);
    return 1;
}

static const gr_sample cholesky_solve_samples[] = {
    {.name = "lower", .in = {GR__MATRIX(3, 2), GR__MATRIX(3, 3)}, .n_in = 2, .attrs = &(const cholesky_solve_attrs){false}, .record = record_factor},
    {.name = "upper", .in = {GR__STACK(2, 3, 4), GR__MATRIX(3, 3)}, .n_in = 2, .attrs = &(const cholesky_solve_attrs){true}, .record = record_factor},
    {.name = "vector", .in = {{.shape = {1, {3}}}, GR__MATRIX(3, 3)}, .n_in = 2, .attrs = &(const cholesky_solve_attrs){false}, .record = record_factor},
    {.name = "not square", .in = {GR__MATRIX(3, 2), GR__MATRIX(3, 4)}, .n_in = 2, .attrs = &(const cholesky_solve_attrs){false}, .error = "expected square matrices [...,n,n], got [3,4]"},
    {0},
};

static const gr_op cholesky_solve_op = {
    .name = "cholesky_solve",
    .family = "factor",
    .formula = "L L^T X = B, or U^T U X = B",
    .derivation = "through its parts: two triangular systems, L Z = B and L^T X = Z",
    .n_in = 2,
    .attrs_size = sizeof(cholesky_solve_attrs),
    .fields = cholesky_solve_fields,
    .define = cholesky_solve_define,
    .samples = cholesky_solve_samples,
};

/* The X of A X = B for B [...,n,k], or a vector [n], given the factor L [...,n,n] of A = L L^T, of
 * which the lower triangle is read; or, where `upper`, U of A = U^T U. Order of arguments and
 * meaning as in torch.cholesky_solve. */
gr_tensor *gr_cholesky_solve(gr_tensor *b, gr_tensor *l, bool upper)
{
    gr_tensor *in[2] = {b, l};
    return gr__apply(NULL, &cholesky_solve_op, in, 2, &(cholesky_solve_attrs){upper}, GR_HERE);
}

/* --- qr --- */

static bool qr_infer(gr_infer *c)
{
    if (!gr__infer_matrices(c, 0)) return false;
    const gr_shape *a = gr_shape_of(c->in[0]);
    const int64_t k = least(a->dim[a->rank - 2], a->dim[a->rank - 1]);
    c->shape[0].dim[a->rank - 1] = k;
    c->shape[1].dim[a->rank - 2] = k;
    return true;
}

static int64_t qr_one(void *ctx, int64_t index, void *space)
{
    const factor_job *j = ctx;
    const int64_t m = j->a.rows, n = j->a.columns, k = least(m, n);
    gr__qr(m, n, j->x + index * m * n, j->y[0] + index * m * k, j->y[1] + index * k * n, space);
    return 0;
}

static gr_status qr_forward(gr_exec *e)
{
    factor_job j = {gr__matrices_of(e->in[0].shape), e->in[0].data,
                    {e->out[0].data, e->out[1].data}};
    const int64_t m = j.a.rows, n = j.a.columns;
    if (j.a.count * m * n == 0) return GR_OK;
    gr__batch b = {j.a.count, 4 * m * n * least(m, n), gr__qr_space(m, n)};
    return gr__run_matrices(e, b, qr_one, &j, "cannot be factored:");
}

/* (dQ + Q sym'(M)) R^-T with M = R dR^T - dQ^T Q, for a square R; either cotangent may be NULL. */
static gr_tensor *qr_gradient(gr_tensor *q, gr_tensor *r, gr_tensor *dq, gr_tensor *dr)
{
    gr_tensor *m = dr ? gr_matmul(r, gr__turned(dr)) : NULL;
    gr_tensor *n = dq ? gr_matmul(gr__turned(dq), q) : NULL;
    m = m && n ? gr_sub(m, n) : m ? m : gr_neg(n);
    gr_tensor *half = gr__half_lower(m);
    gr_tensor *sum = gr_matmul(q, gr_add(half, gr__turned(half)));
    if (dq) sum = gr_add(dq, sum);
    return gr_solve_triangular(
        r, sum, (gr_triangular_options){.upper = true, .transpose = true, .right = true});
}

/* A = [X Y] = Q [U V] with X square: X = Q U as before, and V = Q^T Y, so that dY = Q dV and Y dV^T
 * adds to dQ; Y is Q V. */
static gr_tensor *wide_qr_gradient(gr_tensor *q, gr_tensor *r, gr_tensor *dq, gr_tensor *dr)
{
    const gr__matrices size = gr__matrices_of(gr_shape_of(r));
    const int64_t m = size.rows, n = size.columns;
    gr_tensor *u = gr_slice(r, -1, 0, m, 1), *v = gr_slice(r, -1, m, n, 1);
    if (!dr) dr = gr_zeros(gr_graph_of(q), gr_dtype_of(q), *gr_shape_of(r));
    gr_tensor *du = gr_slice(dr, -1, 0, m, 1), *dv = gr_slice(dr, -1, m, n, 1);
    gr_tensor *through_v = gr_matmul(gr_matmul(q, v), gr__turned(dv));
    gr_tensor *both[2] = {qr_gradient(q, u, dq ? gr_add(dq, through_v) : through_v, du),
                          gr_matmul(q, dv)};
    return gr_concat(both, 2, gr_shape_of(q)->rank - 1);
}

static void qr_vjp(gr_pullback *p)
{
    const gr__matrices a = gr__matrices_of(gr_shape_of(p->x[0]));
    p->dx[0] = a.rows >= a.columns ? qr_gradient(p->y[0], p->y[1], p->dy[0], p->dy[1])
                                   : wide_qr_gradient(p->y[0], p->y[1], p->dy[0], p->dy[1]);
}

static int record_qr(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__plus_identity(x[0], 3);
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    y[1] = gr_output(y[0], 1);
    return 2;
}

static const gr_sample qr_samples[] = {
    {.name = "tall", .in = {GR__MATRIX(5, 3)}, .n_in = 1, .record = record_qr},
    {.name = "square", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = record_qr},
    {.name = "wide", .in = {GR__MATRIX(2, 4)}, .n_in = 1, .record = record_qr},
    {.name = "column", .in = {GR__MATRIX(3, 1)}, .n_in = 1, .record = record_qr},
    {.name = "row", .in = {GR__STACK(2, 1, 3)}, .n_in = 1, .record = record_qr},
    {.name = "empty", .in = {GR__STACK(0, 3, 2)}, .n_in = 1},
    {.name = "vector", .in = {{.shape = {1, {3}}}}, .n_in = 1, .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op qr_op = {
    .name = "qr",
    .family = "factor",
    .formula = "A = Q R, Q^T Q = I, R upper triangular with a diagonal that is not negative",
    .derivation = "Q^T dA R^-1 = Q^T dQ + dR R^-1, an antisymmetric and an upper triangular matrix, "
                  "which that splits; transposed: dA = (dQ + Q S) R^-T, S symmetric with the lower "
                  "triangle of R dR^T - dQ^T Q",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(0) | GR_READS_OUT(1),
    .infer = qr_infer,
    .forward = {[GR_F64] = qr_forward},
    .vjp = qr_vjp,
    .samples = qr_samples,
};

/* A = Q R of each A [...,m,n]: Q [...,m,k] with orthonormal columns, R [...,k,n] upper triangular,
 * k = min(m, n): PyTorch's mode "reduced". Returns Q; R is gr_output(q, 1). Signs are chosen such
 * that the diagonal of R is not negative, which makes the factors of a matrix of full rank unique
 * (LAPACK and PyTorch leave them as they come). The gradient exists where the first k columns are
 * independent; elsewhere it is an error. NaN or Inf gives NaN. Computed in float64, float32 by
 * conversion. */
gr_tensor *gr_qr(gr_tensor *a)
{
    return gr__unary(&qr_op, a, NULL, GR_HERE);
}

/* --- lstsq --- */

static gr_tensor *lstsq_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_tensor *a = x[0], *b = x[1];
    gr_graph *g = gr_graph_of(a);
    char ta[GR_SHAPE_TEXT], tb[GR_SHAPE_TEXT];
    gr_shape sa = *gr_shape_of(a), sb = *gr_shape_of(b);
    (void)n, (void)attrs;
    if (sb.rank == 1) b = gr_reshape(b, GR_SHAPE(sb.dim[0], 1));
    int64_t height = sb.rank == 1 ? sb.dim[0] : sb.rank ? sb.dim[sb.rank - 2] : -1;
    if (sa.rank < 2 || height != sa.dim[sa.rank - 2] || height < sa.dim[sa.rank - 1])
        return gr_fail(g, "lstsq: expected A [...,m,n] with m >= n and B [...,m,k], got %s and %s",
                       gr_shape_text(&sa, ta), gr_shape_text(&sb, tb));
    gr_tensor *q = gr_qr(a);
    gr_tensor *y = gr_solve_triangular(gr_output(q, 1), gr_matmul(gr__turned(q), b),
                                       (gr_triangular_options){.upper = true});
    if (sb.rank > 1 || gr__is_nil(y)) return y;
    gr_shape vector = *gr_shape_of(y);
    vector.rank--;
    return gr_reshape(y, vector);
}

static int record_lstsq(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *in[2] = {gr__plus_identity(x[0], 3), x[1]};
    y[0] = gr_apply(NULL, op, in, 2, s->attrs);
    return 1;
}

static const gr_sample lstsq_samples[] = {
    {.name = "tall", .in = {GR__MATRIX(5, 3), GR__MATRIX(5, 2)}, .n_in = 2, .record = record_lstsq},
    {.name = "batch", .in = {GR__STACK(2, 4, 2), GR__STACK(2, 4, 3)}, .n_in = 2, .record = record_lstsq},
    {.name = "vector", .in = {GR__MATRIX(4, 3), {.shape = {1, {4}}}}, .n_in = 2, .record = record_lstsq},
    {.name = "square", .in = {GR__MATRIX(3, 3), GR__MATRIX(3, 1)}, .n_in = 2, .record = record_lstsq},
    {.name = "wide", .in = {GR__MATRIX(2, 3), GR__MATRIX(2, 1)}, .n_in = 2, .error = "expected A [...,m,n] with m >= n and B [...,m,k], got [2,3] and [2,1]"},
    {.name = "other height", .in = {GR__MATRIX(4, 3), GR__MATRIX(3, 1)}, .n_in = 2, .error = "lstsq: expected A"},
    {0},
};

static const gr_op lstsq_op = {
    .name = "lstsq",
    .family = "factor",
    .formula = "X = argmin |A X - B|^2",
    .derivation = "through its parts: A = Q R, then R X = Q^T B",
    .n_in = 2,
    .define = lstsq_define,
    .samples = lstsq_samples,
};

/* The least-squares solution X [...,n,k] of A X = B for A [...,m,n], m >= n, of full rank and
 * B [...,m,k], or a vector [m]; by QR, which keeps the digits that A^T A X = A^T B would lose. The
 * axes in front broadcast. A matrix whose R has a zero on the diagonal is an error when the value
 * is computed. */
gr_tensor *gr_lstsq(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&lstsq_op, a, b, GR_HERE);
}

const gr_op *const gr__factor_ops[] = {
    &cholesky_op, &cholesky_solve_op, &qr_op, &lstsq_op, NULL,
};
