/* gemm_blas.c - blocks of matrix products by BLAS, where our kernels have no wide vectors. */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "kernels.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>

/* Our kernels are at least as fast as OpenBLAS for AVX2 and AVX-512 (docs/performance.md); the
 * baseline's are not, on x86-64, and other processors have nothing else. */
bool gr__gemm_by_blas(void)
{
    return strcmp(gr__isa_name(), "baseline") == 0;
}

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
    if ((plain || turned) && l->lead < 1) l->lead = 1;
    return (plain || turned) && l->lead <= INT32_MAX;
}

/* Small products would go to kernels of OpenBLAS that allocate at every call. */
bool gr__gemm_blas_takes(const gr__product *p)
{
    enum { WORK = 1000000 };
    layout l;
    return gr__gemm_by_blas() && p->m * p->n * p->k > WORK && layout_of(&p->a, p->m, p->k, &l) &&
           layout_of(&p->b, p->k, p->n, &l);
}

static double beta_of(gr_dtype dtype, const gr__gemm_block *p)
{
    const size_t size = gr_dtype_size(dtype);
    for (int64_t i = 0; i < p->m && p->add && p->add != p->c; i++)
        memcpy((char *)p->c + (size_t)(i * p->ldc) * size,
               (const char *)p->add + (size_t)(i * p->add_row) * size, (size_t)p->n * size);
    return p->add ? 1 : 0;
}

static void multiply(gr_dtype dtype, const gr__gemm_block *p)
{
    layout a, b;
    layout_of(&p->a, p->m, p->k, &a);
    layout_of(&p->b, p->k, p->n, &b);
    const double beta = beta_of(dtype, p);
    if (dtype == GR_F32)
        cblas_sgemm(CblasRowMajor, a.trans, b.trans, (int)p->m, (int)p->n, (int)p->k, 1, p->a.data,
                    (int)a.lead, p->b.data, (int)b.lead, (float)beta, p->c, (int)p->ldc);
    else
        cblas_dgemm(CblasRowMajor, a.trans, b.trans, (int)p->m, (int)p->n, (int)p->k, 1, p->a.data,
                    (int)a.lead, p->b.data, (int)b.lead, beta, p->c, (int)p->ldc);
}

/* On this thread alone: the threading of OpenBLAS allocates, and its cuts depend on their number. */
void gr__gemm_blas_block(gr_dtype dtype, const gr__gemm_block *p)
{
    const int threads = omp_get_max_threads();
    if (threads > 1) omp_set_num_threads(1);
    multiply(dtype, p);
    if (threads > 1) omp_set_num_threads(threads);
}
