/* lapack.h - factorisations of row-major float64 matrices, by LAPACK.
 *
 * LAPACK reads columns: what it sees of a row-major A is A^T. Each factorisation below is chosen so
 * that its factors of A^T lie in memory as the wanted factors of A, without a transposition.
 *
 * A matrix that holds NaN or Inf is not given to LAPACK, whose iterations might not end on it: its
 * factors are NaN throughout.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LAPACK_H
#define GR__LAPACK_H

#include <gradus/base.h>

/* --- batches --- */

/* Matrices of one shape, each worth `work` multiplications and, while it is worked on, so many
 * bytes of scratch. */
typedef struct gr__batch {
    int64_t count, work;
    size_t space;
} gr__batch;

/* Works on one matrix: 0, or what is wrong with it, counted from 1. */
typedef int64_t gr__matrix_fn(void *ctx, int64_t index, void *space);

size_t gr__batch_scratch(const gr__batch *b); /* bytes that gr__batch_run needs */
/* All matrices, on all threads, each on one: the bits do not depend on the number of threads.
 * Returns what is wrong with the first one that fails, *which being its index, else 0. */
int64_t gr__batch_run(const gr__batch *b, gr__matrix_fn *body, void *ctx, void *scratch,
                      int64_t *which);

/* --- one matrix; sizes are positive (of LU also 0), below 2^24 --- */

/* The side of eigh, the smaller one of svd, at most: LAPACK counts its scratch in int. */
enum { GR__SPECTRAL_MOST = 16384 };

/* A = Y Y^T from the lower triangle of A; Y has zeros above. Returns 0 or the order of the leading
 * minor that is not positive. */
int64_t gr__cholesky(int64_t n, const double *a, double *y);

/* op(A) X = B, or X op(A) = B where `right`, in place of B [m,n]; A is triangular, its other half
 * is not read. */
typedef struct gr__triangular {
    bool upper, transpose, unit, right;
} gr__triangular;
void gr__solve_triangular(gr__triangular t, int64_t m, int64_t n, const double *a, double *b);
/* The first zero on the diagonal, counted from 1, or 0. */
int64_t gr__zero_pivot(int64_t n, const double *a);

/* A in place becomes L U, the unit diagonal being that of U, with columns exchanged: pivot[i] is
 * the column, from 1, that took turns with column i. Returns the first zero pivot, or 0. */
int64_t gr__lu(int64_t n, double *a, int *pivot);
/* A X = B, or A^T X = B, in place of B [n,k]. */
void gr__lu_solve(int64_t n, int64_t k, const double *lu, const int *pivot, bool transpose,
                  double *b);
/* det A = sign exp(log), of the factors. */
double gr__lu_sign(int64_t n, const double *lu, const int *pivot);

/* A [m,n] = Q R with Q [m,k], R [k,n], k = min(m, n), the diagonal of R not negative. */
size_t gr__qr_space(int64_t m, int64_t n);
void gr__qr(int64_t m, int64_t n, const double *a, double *q, double *r, void *space);

/* A = V diag(w) V^T from the lower triangle of A, w ascending; of each column of V the element of
 * largest size, the first of equals, is positive. Not 0: no convergence. */
size_t gr__eigh_space(int64_t n);
int64_t gr__eigh(int64_t n, const double *a, double *w, double *v, void *space);

/* A [m,n] = U diag(s) Vh with U [m,k], Vh [k,n], s descending; of each column of U the element of
 * largest size, the first of equals, is positive. Not 0: no convergence. */
size_t gr__svd_space(int64_t m, int64_t n);
int64_t gr__svd(int64_t m, int64_t n, const double *a, double *u, double *s, double *vh,
                void *space);

/* C_ij = dDet/dA_ij = (-1)^(i+j) times the minor without row i and column j; right for singular
 * matrices too. Not 0: no convergence. */
size_t gr__cofactor_space(int64_t n);
int64_t gr__cofactor(int64_t n, const double *a, double *c, void *space);

bool gr__all_finite(const double *a, int64_t n);
void gr__fill_nan(double *a, int64_t n);

#endif
