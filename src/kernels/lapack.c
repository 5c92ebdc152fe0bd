/* lapack.c - factorisations of row-major float64 matrices, by LAPACK. */
/* SPDX-License-Identifier: MIT */
#include "lapack.h"
#include "base.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <string.h>

/* What OpenBLAS brings of LAPACK; its header for C declares none of it. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dgetrf_(const int *m, const int *n, double *a, const int *lda, int *pivot, int *info);
void dgelqf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorglq_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);
void dsyevd_(const char *job, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
             int *iwork, int *info);

/* --- batches --- */

enum { MOST_PIECES = 64, PIECE_WORK = 1 << 16 };

typedef struct piece {
    int64_t which, problem;
} piece;

typedef struct batch_job {
    const gr__batch *batch;
    gr__matrix_fn *body;
    void *ctx;
    char *space;
    int64_t grain;
    piece *pieces;
} batch_job;

/* Matrices of a piece: enough to be worth a thread, so many that there are few pieces. */
static int64_t grain_of(const gr__batch *b)
{
    const int64_t worth = 1 + PIECE_WORK / (b->work + 1);
    const int64_t few = (b->count + MOST_PIECES - 1) / MOST_PIECES;
    return worth > few ? worth : few;
}

static int64_t pieces_of(const gr__batch *b)
{
    return (b->count + grain_of(b) - 1) / grain_of(b);
}

static size_t space_of(const gr__batch *b)
{
    return (b->space + 63) / 64 * 64;
}

size_t gr__batch_scratch(const gr__batch *b)
{
    return (size_t)pieces_of(b) * space_of(b) + 1;
}

/* A piece has its scratch for itself, and stops at what fails. */
static void run_piece(void *ctx, int64_t begin, int64_t end)
{
    const batch_job *j = ctx;
    const int64_t number = begin / j->grain;
    piece *p = &j->pieces[number];
    for (int64_t i = begin; i < end && !p->problem; i++)
        *p = (piece){i, j->body(j->ctx, i, j->space + (size_t)number * space_of(j->batch))};
}

int64_t gr__batch_run(const gr__batch *b, gr__matrix_fn *body, void *ctx, void *scratch,
                      int64_t *which)
{
    piece pieces[MOST_PIECES] = {{0, 0}};
    batch_job j = {b, body, ctx, scratch, grain_of(b), pieces};
    const int threads = omp_get_max_threads();
    const int64_t n = b->count ? pieces_of(b) : 0;
    if (n == 1 && threads > 1) omp_set_num_threads(1); /* else LAPACK would use all */
    gr__parallel_for(b->count, j.grain, run_piece, &j);
    if (n == 1 && threads > 1) omp_set_num_threads(threads);
    for (int64_t i = 0; i < n; i++) {
        *which = pieces[i].which;
        if (pieces[i].problem) return pieces[i].problem;
    }
    return 0;
}

/* --- what does not go to LAPACK --- */

bool gr__all_finite(const double *a, int64_t n)
{
    double sum = 0; /* stays 0 unless an element is NaN or Inf */
    for (int64_t i = 0; i < n; i++) sum += a[i] * 0;
    return sum == 0;
}

void gr__fill_nan(double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) a[i] = NAN;
}

static void copy_lower(int64_t n, const double *a, double *y)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) y[i * n + j] = j <= i ? a[i * n + j] : 0;
}

/* --- cholesky --- */

int64_t gr__cholesky(int64_t n, const double *a, double *y)
{
    const int order = (int)n;
    int info = 0;
    copy_lower(n, a, y);
    if (gr__all_finite(y, n * n)) dpotrf_("U", &order, y, &order, &info);
    else gr__fill_nan(y, n * n);
    return info;
}

/* --- triangles --- */

void gr__solve_triangular(gr__triangular t, int64_t m, int64_t n, const double *a, double *b)
{
    cblas_dtrsm(CblasRowMajor, t.right ? CblasRight : CblasLeft, t.upper ? CblasUpper : CblasLower,
                t.transpose ? CblasTrans : CblasNoTrans, t.unit ? CblasUnit : CblasNonUnit, (int)m,
                (int)n, 1, a, (int)(t.right ? n : m), b, (int)n);
}

int64_t gr__zero_pivot(int64_t n, const double *a)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i * n + i] == 0) return i + 1;
    return 0;
}

/* --- LU: A^T = P L U as LAPACK sees it, so A = U^T L^T P^T with a unit diagonal in L^T --- */

int64_t gr__lu(int64_t n, double *a, int *pivot)
{
    const int order = (int)n;
    int info = 0;
    if (n == 0) return 0; /* LAPACK wants a leading dimension of at least 1 */
    dgetrf_(&order, &order, a, &order, pivot, &info);
    return info;
}

static void swap_rows(double *b, int64_t k, int64_t i, int64_t j)
{
    for (int64_t c = 0; c < k && i != j; c++) {
        const double t = b[i * k + c];
        b[i * k + c] = b[j * k + c];
        b[j * k + c] = t;
    }
}

void gr__lu_solve(int64_t n, int64_t k, const double *lu, const int *pivot, bool transpose,
                  double *b)
{
    const gr__triangular lower = {.transpose = transpose};
    const gr__triangular upper = {.upper = true, .unit = true, .transpose = transpose};
    for (int64_t i = 0; i < n && transpose; i++) swap_rows(b, k, i, pivot[i] - 1);
    gr__solve_triangular(transpose ? upper : lower, n, k, lu, b);
    gr__solve_triangular(transpose ? lower : upper, n, k, lu, b);
    for (int64_t i = n - 1; i >= 0 && !transpose; i--) swap_rows(b, k, i, pivot[i] - 1);
}

double gr__lu_sign(int64_t n, const double *lu, const int *pivot)
{
    double sign = 1;
    for (int64_t i = 0; i < n; i++) {
        const double d = lu[i * n + i];
        if (pivot[i] != i + 1) sign = -sign;
        sign *= d > 0 ? 1 : d < 0 ? -1 : d;
    }
    return sign;
}

/* --- QR: A^T = L Q' as LAPACK sees it, so Q = Q'^T and R = L^T lie row-major --- */

enum { BLOCK = 64 }; /* columns that LAPACK works on at a time, at most */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

size_t gr__qr_space(int64_t m, int64_t n)
{
    return (size_t)(m * n + least(m, n) + BLOCK * most(m, n)) * sizeof(double);
}

/* Row i of R and column i of Q change sign where R_ii is negative. */
static void make_diagonal_positive(int64_t m, int64_t n, double *q, double *r)
{
    const int64_t k = least(m, n);
    for (int64_t i = 0; i < k; i++) {
        if (!(r[i * n + i] < 0)) continue;
        for (int64_t j = i; j < n; j++) r[i * n + j] = -r[i * n + j];
        for (int64_t j = 0; j < m; j++) q[j * k + i] = -q[j * k + i];
    }
}

void gr__qr(int64_t m, int64_t n, const double *a, double *q, double *r, void *space)
{
    const int rows = (int)n, columns = (int)m, k = (int)least(m, n);
    const int lwork = (int)(BLOCK * most(m, n));
    double *f = space, *tau = f + m * n, *work = tau + k;
    int info;
    if (!gr__all_finite(a, m * n)) {
        gr__fill_nan(q, m * k);
        gr__fill_nan(r, k * n);
        return;
    }
    memcpy(f, a, (size_t)(m * n) * sizeof *f);
    dgelqf_(&rows, &columns, f, &rows, tau, work, &lwork, &info);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < n; j++) r[i * n + j] = j >= i ? f[i * n + j] : 0;
    dorglq_(&k, &columns, &k, f, &rows, tau, work, &lwork, &info);
    for (int64_t i = 0; i < m; i++) memcpy(q + i * k, f + i * n, (size_t)k * sizeof *q);
    make_diagonal_positive(m, n, q, r);
}

/* --- eigenvalues and singular values --- */

/* Whether the element of largest size of x, the first of equals, is negative. */
static bool points_down(const double *x, int64_t n, int64_t stride)
{
    double best = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabs(x[i * stride]) > fabs(best)) best = x[i * stride];
    return best < 0;
}

static void turn(double *x, int64_t n, int64_t stride)
{
    for (int64_t i = 0; i < n; i++) x[i * stride] = -x[i * stride];
}

static void transpose_square(int64_t n, double *a)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            const double t = a[i * n + j];
            a[i * n + j] = a[j * n + i];
            a[j * n + i] = t;
        }
}

static int64_t eigh_work(int64_t n)
{
    return 1 + (6 + BLOCK) * n + 2 * n * n;
}

size_t gr__eigh_space(int64_t n)
{
    return (size_t)eigh_work(n) * sizeof(double) + (size_t)(3 + 5 * n) * sizeof(int);
}

int64_t gr__eigh(int64_t n, const double *a, double *w, double *v, void *space)
{
    const int order = (int)n, lwork = (int)eigh_work(n), liwork = (int)(3 + 5 * n);
    double *work = space;
    int *iwork = (int *)(work + lwork), info = 0;
    copy_lower(n, a, v);
    if (!gr__all_finite(v, n * n)) {
        gr__fill_nan(w, n);
        gr__fill_nan(v, n * n);
        return 0;
    }
    dsyevd_("V", "U", &order, v, &order, w, work, &lwork, iwork, &liwork, &info);
    transpose_square(n, v); /* eigenvectors came as rows */
    for (int64_t i = 0; i < n; i++)
        if (points_down(v + i, n, n)) turn(v + i, n, n);
    return info;
}

static int64_t svd_work(int64_t m, int64_t n)
{
    const int64_t k = least(m, n);
    return 4 * k * k + 7 * k + BLOCK * (m + n);
}

size_t gr__svd_space(int64_t m, int64_t n)
{
    return (size_t)(m * n + svd_work(m, n)) * sizeof(double) +
           (size_t)(8 * least(m, n)) * sizeof(int);
}

/* A^T = V diag(s) U^T as LAPACK sees it; by columns V lies as Vh by rows, and U^T as U. */
int64_t gr__svd(int64_t m, int64_t n, const double *a, double *u, double *s, double *vh,
                void *space)
{
    const int rows = (int)n, columns = (int)m, k = (int)least(m, n), lwork = (int)svd_work(m, n);
    double *copy = space, *work = copy + m * n;
    int *iwork = (int *)(work + lwork), info = 0;
    if (!gr__all_finite(a, m * n)) {
        gr__fill_nan(u, m * k);
        gr__fill_nan(s, k);
        gr__fill_nan(vh, k * n);
        return 0;
    }
    memcpy(copy, a, (size_t)(m * n) * sizeof *copy);
    dgesdd_("S", &rows, &columns, copy, &rows, s, vh, &rows, u, &k, work, &lwork, iwork, &info);
    for (int64_t i = 0; i < k; i++) {
        if (!points_down(u + i, m, k)) continue;
        turn(u + i, m, k);
        turn(vh + i * n, n, 1);
    }
    return info;
}

/* --- cofactors --- */

static const double WELL_CONDITIONED = 1e-8; /* least pivot over largest: LU is good enough */

typedef struct cofactor_space {
    double *lu, *u, *s, *vh;
    int *pivot;
    void *svd;
} cofactor_space;

static cofactor_space split_space(int64_t n, void *space)
{
    double *at = space;
    cofactor_space c = {.lu = at, .u = at + n * n, .vh = at + 2 * n * n, .s = at + 3 * n * n};
    c.svd = c.s + n;
    c.pivot = (int *)((char *)c.svd + gr__svd_space(n, n));
    return c;
}

size_t gr__cofactor_space(int64_t n)
{
    return (size_t)(3 * n * n + n) * sizeof(double) + gr__svd_space(n, n) + (size_t)n * sizeof(int);
}

static bool well_conditioned(int64_t n, const double *lu)
{
    double low = INFINITY, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, fabs(lu[i * n + i]));
        high = fmax(high, fabs(lu[i * n + i]));
    }
    return low > WELL_CONDITIONED * high;
}

/* C = det(A) A^-T */
static void cofactor_by_lu(int64_t n, const double *lu, const int *pivot, double *c)
{
    double det = gr__lu_sign(n, lu, pivot);
    for (int64_t i = 0; i < n; i++) det *= fabs(lu[i * n + i]);
    memset(c, 0, (size_t)(n * n) * sizeof *c);
    for (int64_t i = 0; i < n; i++) c[i * n + i] = det;
    gr__lu_solve(n, n, lu, pivot, true, c);
}

/* +1 or -1, of an orthogonal matrix that is overwritten. */
static double orientation(int64_t n, double *q, int *pivot)
{
    gr__lu(n, q, pivot);
    return gr__lu_sign(n, q, pivot);
}

/* s_i becomes the product of all others. */
static void products_of_others(int64_t n, double *s, double *after)
{
    double before = 1;
    after[n - 1] = 1;
    for (int64_t i = n - 1; i > 0; i--) after[i - 1] = after[i] * s[i];
    for (int64_t i = 0; i < n; i++) {
        const double own = s[i];
        s[i] = before * after[i];
        before *= own;
    }
}

/* C = det(U) det(Vh) U diag(products of the other s) Vh, which needs no inverse */
static int64_t cofactor_by_svd(int64_t n, const double *a, cofactor_space w, double *c)
{
    const int64_t problem = gr__svd(n, n, a, w.u, w.s, w.vh, w.svd);
    if (problem) return problem;
    products_of_others(n, w.s, w.svd);
    memcpy(w.lu, w.u, (size_t)(n * n) * sizeof *w.lu);
    double sign = orientation(n, w.lu, w.pivot);
    memcpy(w.lu, w.vh, (size_t)(n * n) * sizeof *w.lu);
    sign *= orientation(n, w.lu, w.pivot);
    for (int64_t i = 0; i < n * n; i++) w.u[i] *= sign * w.s[i % n];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)n, (int)n, 1, w.u, (int)n,
                w.vh, (int)n, 0, c, (int)n);
    return 0;
}

int64_t gr__cofactor(int64_t n, const double *a, double *c, void *space)
{
    cofactor_space w = split_space(n, space);
    if (!gr__all_finite(a, n * n)) {
        gr__fill_nan(c, n * n);
        return 0;
    }
    memcpy(w.lu, a, (size_t)(n * n) * sizeof *w.lu);
    gr__lu(n, w.lu, w.pivot);
    if (!well_conditioned(n, w.lu)) return cofactor_by_svd(n, a, w, c);
    cofactor_by_lu(n, w.lu, w.pivot, c);
    return 0;
}
