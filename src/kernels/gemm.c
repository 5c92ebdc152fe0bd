/* gemm.c - matrix products of any strides: small ones by our kernels, large ones by BLAS. */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "base.h"
#include "kernels.h"

#include <cblas.h>
#include <omp.h>

/* How BLAS is to read a matrix: as it lies, or transposed; `lead` between its rows. */
typedef struct layout {
    CBLAS_TRANSPOSE trans;
    int64_t lead;
} layout;

static bool layout_of(const gr__matrix *a, int64_t m, int64_t n, layout *l)
{
    bool plain = (a->column == 1 || n <= 1) && (m <= 1 || a->row >= n);
    bool turned = (a->row == 1 || m <= 1) && (n <= 1 || a->column >= m);
    if (plain) *l = (layout){CblasNoTrans, m <= 1 ? (n > 0 ? n : 1) : a->row};
    else if (turned) *l = (layout){CblasTrans, n <= 1 ? (m > 0 ? m : 1) : a->column};
    return plain || turned;
}

bool gr__gemm_readable(const gr__matrix *a, int64_t m, int64_t n)
{
    layout l;
    return layout_of(a, m, n, &l) && l.lead <= INT32_MAX;
}

/* --- one block --- */

/* Multiplications up to which BLAS would use kernels that allocate at every call. */
enum { SMALL_WORK = 1000000 };

typedef struct product {
    gr_dtype dtype;
    int64_t m, n, k;
    gr__matrix a, b;
    double beta;
    char *c;
    int64_t ldc;
    int64_t rows, columns; /* of a block; one of them is all there are */
} product;

static void multiply(const product *p, int64_t m, int64_t n, const void *a, const void *b, void *c,
                     layout la, layout lb)
{
    if (m * n * p->k <= SMALL_WORK) {
        const gr__small_gemm small = {
            m, n, p->k, {a, p->a.row, p->a.column}, {b, p->b.row, p->b.column}, p->beta, c, p->ldc};
        gr__kernels_for(p->dtype)->small_gemm(&small);
        return;
    }
    if (p->dtype == GR_F32)
        cblas_sgemm(CblasRowMajor, la.trans, lb.trans, (int)m, (int)n, (int)p->k, 1, a,
                    (int)la.lead, b, (int)lb.lead, (float)p->beta, c, (int)p->ldc);
    else
        cblas_dgemm(CblasRowMajor, la.trans, lb.trans, (int)m, (int)n, (int)p->k, 1, a,
                    (int)la.lead, b, (int)lb.lead, p->beta, c, (int)p->ldc);
}

/* --- blocks --- */

/* A block is worth a thread: its multiplications, and a multiple of its rows or columns. Blocks are
 * cut by the sizes alone, so that the bits do not depend on the number of threads; and BLAS is kept
 * to one thread, since its own threading allocates at every call. */
enum { BLOCK_WORK = 1 << 21, BLOCK_STEP = 64 };

static int64_t block_of(int64_t size, int64_t work_per_unit)
{
    int64_t units = BLOCK_WORK / (work_per_unit + 1) + 1;
    int64_t block = (units + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
    return block < size ? block : size;
}

static void run_blocks(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const int64_t size = (int64_t)gr_dtype_size(p->dtype);
    layout la = {CblasNoTrans, 1}, lb = {CblasNoTrans, 1};
    layout_of(&p->a, p->m, p->k, &la);
    layout_of(&p->b, p->k, p->n, &lb);
    if (la.lead < 1) la.lead = 1;
    if (lb.lead < 1) lb.lead = 1;
    for (int64_t i = begin; i < end; i++) {
        int64_t row = p->rows < p->m ? i * p->rows : 0,
                column = p->rows < p->m ? 0 : i * p->columns;
        int64_t m = p->m - row < p->rows ? p->m - row : p->rows;
        int64_t n = p->n - column < p->columns ? p->n - column : p->columns;
        multiply(p, m, n, (const char *)p->a.data + row * p->a.row * size,
                 (const char *)p->b.data + column * p->b.column * size,
                 p->c + (row * p->ldc + column) * size, la, lb);
    }
}

void gr__gemm(gr_dtype dtype, int64_t m, int64_t n, int64_t k, gr__matrix a, gr__matrix b,
              double beta, void *c)
{
    product p = {dtype, m, n, k, a, b, beta, c, n, m, n};
    if (m == 0 || n == 0) return;
    if (m >= n) p.rows = block_of(m, n * k);
    else p.columns = block_of(n, m * k);
    int64_t blocks = p.rows < m ? (m + p.rows - 1) / p.rows : (n + p.columns - 1) / p.columns;
    if (blocks > 1) {
        gr__parallel_for(blocks, 1, run_blocks, &p);
        return;
    }
    int threads = omp_get_max_threads();
    if (threads > 1) omp_set_num_threads(1);
    run_blocks(&p, 0, 1);
    if (threads > 1) omp_set_num_threads(threads);
}
