/* gemm.h - matrix products of any strides: small ones by our kernels, large ones by BLAS. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__GEMM_H
#define GR__GEMM_H

#include <gradus/base.h>

/* A matrix: element (i, j) is data[i * row + j * column]. */
typedef struct gr__matrix {
    const void *data;
    int64_t row, column;
} gr__matrix;

/* Whether BLAS can read an m x n matrix as it lies: one of the strides is 1, the other wide. */
bool gr__gemm_readable(const gr__matrix *a, int64_t m, int64_t n);
/* c = a b + beta c with a [m,k], b [k,n] readable and c [m,n] row-major; sizes below 2^31. */
void gr__gemm(gr_dtype dtype, int64_t m, int64_t n, int64_t k, gr__matrix a, gr__matrix b,
              double beta, void *c);

/* What gemm_real.c gets: ldc between the rows of c; a and b of any strides. */
typedef struct gr__small_gemm {
    int64_t m, n, k;
    gr__matrix a, b;
    double beta;
    void *c;
    int64_t ldc;
} gr__small_gemm;

#endif
