/* spectral.c - eigenvalues of symmetric matrices, singular values.
 *
 *   A = V diag(w) V^T     dA = V (diag(dw) + F o (V^T dV)) V^T         F_ij = 1 / (w_j - w_i)
 *   A = U diag(s) V^T     dA = U (diag(ds) + (E o K(U^T dU)) S + S (E o K(V^T dV))) V^T
 *                              + (I - U U^T) dU S^-1 V^T + U S^-1 dV^T (I - V V^T)
 *                         E_ij = 1 / (s_j^2 - s_i^2)     K(X) = X - X^T
 *
 * with F_ii = E_ii = 0. Where two values are equal their vectors may be turned among each other at
 * will and have no derivative: F and E are infinite. M. B. Giles, "Collected matrix derivative
 * results for forward and reverse mode algorithmic differentiation", 2008; J. Townsend,
 * "Differentiating the singular value decomposition", 2016. All is computed in float64; float32
 * goes by conversion.
 */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool spectral_infer(gr_infer *c)
{
    if (!gr__infer_matrices(c, 0)) return false;
    gr__matrices a = gr__matrices_of(gr_shape_of(c->in[0]));
    if (least(a.rows, a.columns) <= GR__SPECTRAL_MOST) return true;
    return gr_infer_fail(c, "both sides of %s are above %d", gr_infer_shape(c, 0),
                         GR__SPECTRAL_MOST);
}

static const char no_convergence[] = "has values that do not converge: LAPACK returns";

typedef struct spectral_job {
    gr__matrices a;
    const double *x;
    double *y[3];
} spectral_job;

static spectral_job job_of(const gr_exec *e)
{
    spectral_job j = {.a = gr__matrices_of(e->in[0].shape), .x = e->in[0].data};
    for (int i = 0; i < e->n_out; i++) j.y[i] = e->out[i].data;
    return j;
}

/* [...,n] -> [...,1,n], to multiply columns */
static gr_tensor *as_row(gr_tensor *x)
{
    return gr_unsqueeze(x, -2);
}

/* [...,n] -> [...,n,1], to multiply rows */
static gr_tensor *as_column(gr_tensor *x)
{
    return gr_unsqueeze(x, -1);
}

/* 1 / x_ij, with 0 on the diagonal for the 0 there */
static gr_tensor *off_diagonal_reciprocal(gr_tensor *x)
{
    const gr_shape *s = gr_shape_of(x);
    const int64_t n = s->dim[s->rank - 1];
    gr_tensor *i = gr_eye(gr_graph_of(x), gr_dtype_of(x), n, n);
    return gr_sub(gr_div(gr_ones_like(x), gr_add(x, i)), i);
}

/* F_ij = 1 / (w_j - w_i) */
static gr_tensor *gaps(gr_tensor *w)
{
    return off_diagonal_reciprocal(gr_sub(as_row(w), as_column(w)));
}

static gr_tensor *sum_of(gr_tensor *a, gr_tensor *b)
{
    return a && b ? gr_add(a, b) : a ? a : b;
}

/* --- eigh --- */

static bool eigh_infer(gr_infer *c)
{
    if (!gr__infer_square(c, 0) || !spectral_infer(c)) return false;
    c->shape[0].rank--;
    return true;
}

static int64_t eigh_one(void *ctx, int64_t index, void *space)
{
    const spectral_job *j = ctx;
    const int64_t n = j->a.rows, at = index * n * n;
    return gr__eigh(n, j->x + at, j->y[0] + index * n, j->y[1] + at, space);
}

static gr_status eigh_forward(gr_exec *e)
{
    spectral_job j = job_of(e);
    const int64_t n = j.a.rows;
    if (j.a.count * n == 0) return GR_OK;
    gr__batch b = {j.a.count, 9 * n * n * n, gr__eigh_space(n)};
    return gr__run_matrices(e, b, eigh_one, &j, no_convergence);
}

static void eigh_vjp(gr_pullback *p)
{
    gr_tensor *w = p->y[0], *v = p->y[1], *dw = p->dy[0], *dv = p->dy[1];
    gr_tensor *by_values = dw ? gr_mul(v, as_row(dw)) : NULL;
    gr_tensor *by_vectors =
        dv ? gr_matmul(v, gr_mul(gaps(w), gr_matmul(gr__turned(v), dv))) : NULL;
    p->dx[0] = gr__symmetric(gr_matmul(sum_of(by_values, by_vectors), gr__turned(v)));
}

/* Eigenvalues, and the squares of eigenvectors, which do not depend on their signs. */
static int record_eigh(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__symmetric(gr__spread_out(x[0]));
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    y[1] = gr_square(gr_output(y[0], 1));
    return 2;
}

static int record_values(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__symmetric(gr__spread_out(x[0]));
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    return 1;
}

#define NO_MATRIX {.name = "vector", .in = {{.shape = {1, {3}}}}, .n_in = 1, .error = "expected matrices [...,m,n], got [3]"}
#define NOT_SQUARE {.name = "not square", .in = {GR__MATRIX(2, 3)}, .n_in = 1, .error = "expected square matrices [...,n,n], got [2,3]"}

static const gr_sample eigh_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(4, 4)}, .n_in = 1, .record = record_eigh},
    {.name = "batch", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = record_eigh},
    {.name = "one", .in = {GR__MATRIX(1, 1)}, .n_in = 1, .record = record_eigh},
    {.name = "empty", .in = {GR__STACK(2, 0, 0)}, .n_in = 1},
    NOT_SQUARE,
    NO_MATRIX,
    {0},
};

static const gr_op eigh_op = {
    .name = "eigh",
    .family = "spectral",
    .formula = "A = V diag(w) V^T, V^T V = I, w ascending",
    .derivation = "V^T dA V = diag(dw) + (V^T dV) diag(w) - diag(w) (V^T dV), V^T dV being "
                  "antisymmetric: dw_i is its diagonal, (V^T dV)_ij (w_j - w_i) the rest; transposed: "
                  "dA = V (diag(dw) + F o V^T dV) V^T, made symmetric, F_ij = 1/(w_j - w_i)",
    .ties = "equal eigenvalues: no derivative through V, Inf or NaN as in PyTorch; through w alone "
            "that of the vectors found",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(0) | GR_READS_OUT(1),
    .infer = eigh_infer,
    .forward = {[GR_F64] = eigh_forward},
    .vjp = eigh_vjp,
    .samples = eigh_samples,
};

/* Eigenvalues w [...,n], ascending, and eigenvectors, the columns of V [...,n,n], of each symmetric
 * A [...,n,n], of which only the lower triangle is read. Returns w; V is gr_output(w, 1). Of each
 * eigenvector the element of largest size, the first of equals, is positive. The gradient is that
 * with respect to a symmetric A; through V it grows as 1 over the distance of eigenvalues. NaN or
 * Inf gives NaN. Computed in float64, float32 by conversion. */
gr_tensor *gr_eigh(gr_tensor *a)
{
    return gr__unary(&eigh_op, a, NULL, GR_HERE);
}

/* --- eigvalsh --- */

static gr_tensor *eigvalsh_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    return gr_eigh(x[0]);
}

static const gr_sample eigvalsh_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .record = record_values},
    {.name = "batch", .in = {GR__STACK(2, 3, 3)}, .n_in = 1, .record = record_values},
    NOT_SQUARE,
    NO_MATRIX,
    {0},
};

static const gr_op eigvalsh_op = {
    .name = "eigvalsh",
    .family = "spectral",
    .formula = "w of A = V diag(w) V^T, ascending",
    .derivation = "of eigh: dw_i = v_i^T dA v_i, so dA = V diag(dw) V^T",
    .n_in = 1,
    .define = eigvalsh_define,
    .samples = eigvalsh_samples,
};

/* The eigenvalues [...,n], ascending, of each symmetric A [...,n,n]; see gr_eigh. The gradient
 * exists at equal eigenvalues as long as they are used alike. */
gr_tensor *gr_eigvalsh(gr_tensor *a)
{
    return gr__unary(&eigvalsh_op, a, NULL, GR_HERE);
}

/* --- svd --- */

static bool svd_infer(gr_infer *c)
{
    if (!spectral_infer(c)) return false;
    const gr_shape *a = gr_shape_of(c->in[0]);
    const int64_t k = least(a->dim[a->rank - 2], a->dim[a->rank - 1]);
    c->shape[0].dim[a->rank - 1] = k;
    c->shape[1].dim[a->rank - 2] = k;
    c->shape[1].rank--;
    c->shape[2].dim[a->rank - 2] = k;
    return true;
}

static int64_t svd_one(void *ctx, int64_t index, void *space)
{
    const spectral_job *j = ctx;
    const int64_t m = j->a.rows, n = j->a.columns, k = least(m, n);
    return gr__svd(m, n, j->x + index * m * n, j->y[0] + index * m * k, j->y[1] + index * k,
                   j->y[2] + index * k * n, space);
}

static gr_status svd_forward(gr_exec *e)
{
    spectral_job j = job_of(e);
    const int64_t m = j.a.rows, n = j.a.columns;
    if (j.a.count * m * n == 0) return GR_OK;
    gr__batch b = {j.a.count, 16 * m * n * least(m, n), gr__svd_space(m, n)};
    return gr__run_matrices(e, b, svd_one, &j, no_convergence);
}

/* E o (X - X^T) with X = Q^T dQ */
static gr_tensor *turning(gr_tensor *q, gr_tensor *dq, gr_tensor *e)
{
    gr_tensor *x = gr_matmul(gr__turned(q), dq);
    return gr_mul(e, gr_sub(x, gr__turned(x)));
}

/* (I - Q Q^T) x */
static gr_tensor *outside(gr_tensor *q, gr_tensor *x)
{
    return gr_sub(x, gr_matmul(q, gr_matmul(gr__turned(q), x)));
}

static void svd_vjp(gr_pullback *p)
{
    gr_tensor *u = p->y[0], *s = p->y[1], *vh = p->y[2], *v = gr__turned(vh), *row = as_row(s);
    gr_tensor *du = p->dy[0], *ds = p->dy[1], *dv = p->dy[2] ? gr__turned(p->dy[2]) : NULL;
    const gr__matrices a = gr__matrices_of(gr_shape_of(p->x[0]));
    gr_tensor *left = ds ? gr_mul(u, as_row(ds)) : NULL, *beside = NULL, *e = NULL;
    if (du || dv)
        e = off_diagonal_reciprocal(gr_mul(gr_sub(row, as_column(s)), gr_add(row, as_column(s))));
    if (du) left = sum_of(left, gr_matmul(u, gr_mul(turning(u, du, e), row)));
    if (dv) left = sum_of(left, gr_matmul(u, gr_mul(as_column(s), turning(v, dv, e))));
    if (du && a.rows > a.columns)
        left = sum_of(left, gr_div(outside(u, du), row));
    if (dv && a.columns > a.rows)
        beside = gr_matmul(gr_div(u, row), gr__turned(outside(v, dv)));
    p->dx[0] = sum_of(gr_matmul(left, vh), beside);
}

/* What does not depend on signs: singular values, squares of both kinds of vectors, U Vh. */
static int record_svd(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__spread_out(x[0]);
    gr_tensor *u = gr_apply(NULL, op, &a, 1, s->attrs), *vh = gr_output(u, 2);
    y[0] = gr_square(u);
    y[1] = gr_output(u, 1);
    y[2] = gr_square(vh);
    y[3] = gr_matmul(u, vh);
    return 4;
}

static int record_spread(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__spread_out(x[0]);
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    return 1;
}

static const gr_sample svd_samples[] = {
    {.name = "square", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .record = record_svd},
    {.name = "tall", .in = {GR__MATRIX(4, 2)}, .n_in = 1, .record = record_svd},
    {.name = "wide", .in = {GR__STACK(2, 2, 3)}, .n_in = 1, .record = record_svd},
    {.name = "row", .in = {GR__MATRIX(1, 3)}, .n_in = 1, .record = record_svd},
    {.name = "empty", .in = {GR__STACK(0, 3, 2)}, .n_in = 1},
    NO_MATRIX,
    {0},
};

static const gr_op svd_op = {
    .name = "svd",
    .family = "spectral",
    .formula = "A = U diag(s) Vh, U^T U = Vh Vh^T = I, s descending",
    .derivation = "U^T dA V = (U^T dU) S + dS - S (V^T dV) with U^T dU and V^T dV antisymmetric: "
                  "the diagonal is ds, the rest a system of two for each pair, of determinant "
                  "s_j^2 - s_i^2; what of dU is outside of U comes from (I - U U^T) dA V S^-1, of "
                  "dV likewise (Townsend 2016)",
    .ties = "equal singular values, and zero ones where A is not square: no derivative through U and "
            "Vh, Inf or NaN as in PyTorch; through s alone that of the vectors found",
    .n_in = 1,
    .n_out = 3,
    .reads = GR_READS_OUT(0) | GR_READS_OUT(1) | GR_READS_OUT(2),
    .infer = svd_infer,
    .forward = {[GR_F64] = svd_forward},
    .vjp = svd_vjp,
    .samples = svd_samples,
};

/* The reduced singular value decomposition A = U diag(s) Vh of each A [...,m,n]: U [...,m,k], s
 * [...,k], descending, Vh [...,k,n], k = min(m, n). Returns U; s is gr_output(u, 1), Vh
 * gr_output(u, 2). Of each column of U the element of largest size, the first of equals, is
 * positive. The gradient through U and Vh grows as 1 over the distance of singular values. NaN or
 * Inf gives NaN. Computed in float64, float32 by conversion. */
gr_tensor *gr_svd(gr_tensor *a)
{
    return gr__unary(&svd_op, a, NULL, GR_HERE);
}

/* --- svdvals --- */

static gr_tensor *svdvals_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    return gr_output(gr_svd(x[0]), 1);
}

static const gr_sample svdvals_samples[] = {
    {.name = "tall", .in = {GR__MATRIX(4, 3)}, .n_in = 1, .record = record_spread},
    {.name = "wide", .in = {GR__STACK(2, 2, 3)}, .n_in = 1, .record = record_spread},
    NO_MATRIX,
    {0},
};

static const gr_op svdvals_op = {
    .name = "svdvals",
    .family = "spectral",
    .formula = "s of A = U diag(s) Vh, descending",
    .derivation = "of svd: ds_i = u_i^T dA v_i, so dA = U diag(ds) Vh",
    .n_in = 1,
    .define = svdvals_define,
    .samples = svdvals_samples,
};

/* The singular values [...,min(m,n)], descending, of each A [...,m,n]; see gr_svd. */
gr_tensor *gr_svdvals(gr_tensor *a)
{
    return gr__unary(&svdvals_op, a, NULL, GR_HERE);
}

const gr_op *const gr__spectral_ops[] = {
    &eigh_op, &eigvalsh_op, &svd_op, &svdvals_op, NULL,
};
