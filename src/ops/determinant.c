/* determinant.c - determinants.
 *
 *   y = det A          dA = dy C(A)       C_ij = dy/dA_ij, the cofactors
 *   C = cofactors      dA = det(A) (<dC, W> W - W dC^T W)         with W = A^-T
 *   y = log |det A|    dA = dy A^-T
 *
 * Expanding the determinant by a row shows that it is linear in each element, with the cofactor as
 * its factor: the gradient is a polynomial and exists for singular matrices too. For regular ones C
 * = det(A) A^-T (Jacobi). All is computed in float64; float32 goes by conversion.
 */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

#include <math.h>
#include <string.h>

typedef struct det_job {
    int64_t n;
    const double *a;
    double *first, *second;
} det_job;

/* The LU factors of one matrix; what is not finite has NaN factors. */
static double *factors_of(const det_job *j, int64_t index, void *space, int **pivot)
{
    const int64_t n = j->n;
    double *lu = space;
    *pivot = (int *)(lu + n * n);
    memcpy(lu, j->a + index * n * n, (size_t)(n * n) * sizeof *lu);
    if (gr__all_finite(lu, n * n)) {
        gr__lu(n, lu, *pivot);
        return lu;
    }
    gr__fill_nan(lu, n * n);
    memset(*pivot, 0, (size_t)n * sizeof **pivot);
    return lu;
}

static gr_status run_lu(gr_exec *e, gr__matrix_fn *one, double *first, double *second)
{
    gr__matrices a = gr__matrices_of(e->in[0].shape);
    det_job j = {a.rows, e->in[0].data, first, second};
    gr__batch b = {a.count, a.rows * a.rows * a.rows / 3,
                   (size_t)(a.rows * a.rows) * sizeof(double) + (size_t)a.rows * sizeof(int)};
    return gr__run_matrices(e, b, one, &j, "has no determinant:");
}

/* One number for each matrix. */
static bool per_matrix(gr_infer *c)
{
    if (!gr__infer_square(c, 0)) return false;
    c->shape[0].rank -= 2;
    return true;
}

/* [...] -> [...,1,1] */
static gr_tensor *beside_matrices(gr_tensor *x)
{
    return gr_unsqueeze(gr_unsqueeze(x, -1), -1);
}

/* --- det --- */

static int64_t det_one(void *ctx, int64_t index, void *space)
{
    const det_job *j = ctx;
    int *pivot;
    const double *lu = factors_of(j, index, space, &pivot);
    double det = gr__lu_sign(j->n, lu, pivot);
    for (int64_t i = 0; i < j->n; i++) det *= fabs(lu[i * j->n + i]);
    j->first[index] = det;
    return 0;
}

static gr_status det_forward(gr_exec *e)
{
    return run_lu(e, det_one, e->out[0].data, NULL);
}

static gr_tensor *cofactor(gr_tensor *a);

static void det_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(beside_matrices(p->dy[0]), cofactor(p->x[0]));
}

static const gr_sample det_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .record = gr__record_regular},
    {.name = "batch", .in = {GR__STACK(2, 4, 4)}, .n_in = 1, .record = gr__record_regular},
    {.name = "one", .in = {GR__MATRIX(1, 1)}, .n_in = 1, .record = gr__record_regular},
    {.name = "no matrices", .in = {GR__STACK(0, 3, 3)}, .n_in = 1},
    {.name = "not square", .in = {GR__MATRIX(2, 3)}, .n_in = 1, .error = "expected square matrices [...,n,n], got [2,3]"},
    {.name = "vector", .in = {{.shape = {1, {3}}}}, .n_in = 1, .error = "expected matrices [...,m,n], got [3]"},
    {0},
};

static const gr_op det_op = {
    .name = "det",
    .family = "determinant",
    .formula = "y = det A",
    .derivation = "expanded by row i, det A = sum_j A_ij C_ij, and no C_ij of that row reads it: "
                  "dA = dy C",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .infer = per_matrix,
    .forward = {[GR_F64] = det_forward},
    .vjp = det_vjp,
    .samples = det_samples,
};

/* The determinant of each matrix [...,n,n]: [...]. That of 0 x 0 is 1. Its gradient, the cofactors,
 * is right for singular matrices too; the second derivative needs regular ones. NaN or Inf gives
 * NaN. Where the value may overflow, gr_slogdet does not. */
gr_tensor *gr_det(gr_tensor *a)
{
    return gr__unary(&det_op, a, NULL, GR_HERE);
}

/* --- cofactor --- */

static bool cofactor_infer(gr_infer *c)
{
    return gr__infer_square(c, 0);
}

static int64_t cofactor_one(void *ctx, int64_t index, void *space)
{
    const det_job *j = ctx;
    const int64_t at = index * j->n * j->n;
    return gr__cofactor(j->n, j->a + at, j->first + at, space);
}

static gr_status cofactor_forward(gr_exec *e)
{
    gr__matrices a = gr__matrices_of(e->in[0].shape);
    det_job j = {a.rows, e->in[0].data, e->out[0].data, NULL};
    if (a.count * a.rows == 0) return GR_OK;
    if (a.rows > GR__SPECTRAL_MOST) return gr_exec_fail(e, "a side is above %d", GR__SPECTRAL_MOST);
    gr__batch b = {a.count, 2 * a.rows * a.rows * a.rows, gr__cofactor_space(a.rows)};
    return gr__run_matrices(e, b, cofactor_one, &j, "has singular values that do not converge:");
}

static void cofactor_vjp(gr_pullback *p)
{
    gr_tensor *dc = p->dy[0], *w = gr__turned(gr_inverse(p->x[0]));
    gr_tensor *along = gr_mul(w, gr_sum(gr_mul(dc, w), GR_AXES(-2, -1), true));
    gr_tensor *across = gr_matmul(w, gr_matmul(gr__turned(dc), w));
    p->dx[0] = gr_mul(beside_matrices(gr_det(p->x[0])), gr_sub(along, across));
}

static const gr_sample cofactor_samples[] = {
    {.name = "matrix", .in = {GR__MATRIX(3, 3)}, .n_in = 1, .record = gr__record_regular},
    {.name = "batch", .in = {GR__STACK(2, 4, 4)}, .n_in = 1, .record = gr__record_regular},
    {.name = "two", .in = {GR__MATRIX(2, 2)}, .n_in = 1, .record = gr__record_regular},
    {.name = "empty", .in = {GR__MATRIX(0, 0)}, .n_in = 1},
    {.name = "not square", .in = {GR__MATRIX(2, 3)}, .n_in = 1, .error = "expected square matrices [...,n,n], got [2,3]"},
    {0},
};

static const gr_op cofactor_op = {
    .name = "cofactor",
    .family = "determinant",
    .formula = "C_ij = (-1)^(i+j) det(A without row i and column j)",
    .derivation = "C = det(A) W with W = A^-T; d det = <C, dA> and dW = -W dA^T W, so "
                  "<dC, .> gives dA = det(A) (<dC, W> W - W dC^T W)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .infer = cofactor_infer,
    .forward = {[GR_F64] = cofactor_forward},
    .vjp = cofactor_vjp,
    .samples = cofactor_samples,
};

static gr_tensor *cofactor(gr_tensor *a)
{
    return gr__unary(&cofactor_op, a, NULL, GR_HERE);
}

/* --- slogdet --- */

static bool slogdet_infer(gr_infer *c)
{
    if (!per_matrix(c)) return false;
    c->shape[1] = c->shape[0];
    return true;
}

static int64_t slogdet_one(void *ctx, int64_t index, void *space)
{
    const det_job *j = ctx;
    int *pivot;
    const double *lu = factors_of(j, index, space, &pivot);
    double log_size = 0;
    for (int64_t i = 0; i < j->n; i++) log_size += log(fabs(lu[i * j->n + i]));
    j->first[index] = gr__lu_sign(j->n, lu, pivot);
    j->second[index] = log_size;
    return 0;
}

static gr_status slogdet_forward(gr_exec *e)
{
    return run_lu(e, slogdet_one, e->out[0].data, e->out[1].data);
}

static void slogdet_vjp(gr_pullback *p)
{
    if (p->dy[1])
        p->dx[0] = gr_mul(beside_matrices(p->dy[1]), gr__turned(gr_inverse(p->x[0])));
}

/* The signs; differences on both sides of a singular matrix say nothing. */
static void slogdet_branch(const gr_exec *e, gr_branch *b)
{
    for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n; i++) {
        const gr_value *v = &e->out[0];
        const char *sign = (const char *)v->data + (size_t)i * gr_dtype_size(v->dtype);
        gr_branch_add(b, gr__get_scalar(sign, v->dtype) > 0, INFINITY);
    }
}

static const gr_op slogdet_op = {
    .name = "slogdet",
    .family = "determinant",
    .formula = "sign = sgn det A, log = log |det A|",
    .derivation = "d log|det A| = d det A / det A = <C, dA> / det A with C = det(A) A^-T: "
                  "dA = dlog A^-T; the sign does not move",
    .ties = "at a singular matrix the logarithm is -Inf; its gradient is an error, for there is no "
            "inverse (PyTorch's gives Inf or NaN)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_IN(0),
    .infer = slogdet_infer,
    .forward = {[GR_F64] = slogdet_forward},
    .vjp = slogdet_vjp,
    .branch = slogdet_branch,
    .samples = det_samples,
};

/* The sign, -1, 0 or 1, of the determinant of each matrix [...,n,n] and the logarithm of its size:
 * both [...]. Returns the sign; the logarithm is gr_output(sign, 1). A singular matrix gives 0 and
 * -Inf, and has no gradient: an error. NaN or Inf gives NaN. */
gr_tensor *gr_slogdet(gr_tensor *a)
{
    return gr__unary(&slogdet_op, a, NULL, GR_HERE);
}

const gr_op *const gr__determinant_ops[] = {&det_op, &cofactor_op, &slogdet_op, NULL};
