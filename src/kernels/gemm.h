/* gemm.h - matrix products of any strides: by our kernels, or by BLAS where it is faster. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__GEMM_H
#define GR__GEMM_H

#include <gradus/base.h>

/* A matrix: element (i, j) is data[i * row + j * column]. */
typedef struct gr__matrix {
    const void *data;
    int64_t row, column;
} gr__matrix;

/* What is read or written after a product, and fetched meanwhile. */
typedef struct gr__soon {
    const void *data; /* NULL: the end of a list */
    int64_t bytes;
} gr__soon;

/* c = a b + add, or a batch of such products; sizes below 2^31. What is 0 or NULL is left out. */
typedef struct gr__product {
    gr_dtype dtype;
    int64_t m, n, k;
    gr__matrix a, b;    /* [m,k] and [k,n]; neither overlaps c */
    const void *packed; /* b from gr__gemm_pack, which is read in the place of b; not in a batch */
    const void *add;    /* [m,n] like c, or c itself */
    int64_t add_row;    /* elements between its rows; 0: one row for all */
    void *c;            /* [batch, m, n], row-major */
    int axes;           /* of the batch: their sizes, and the strides of a and b along them */
    const int64_t *sizes, *a_strides, *b_strides;
    const gr__soon *soon; /* a hint, which only products by a packed b take */
} gr__product;

/* Bytes of scratch for the product, often 0: they depend on all but the pointers, save on packed. With
 * NULL in place of scratch b is packed on the stack, more often than once: slower, the same bits. */
size_t gr__gemm_scratch(const gr__product *p);
void gr__gemm(const gr__product *p, void *scratch);
/* Does a small product, which needs no scratch; false: it is not small, and nothing is done. */
bool gr__gemm_at_once(const gr__product *p);
/* How many products a batch has, and one of them, which is no batch itself. */
int64_t gr__gemm_entries(const gr__product *p);
gr__product gr__gemm_entry(const gr__product *p, int64_t entry);

/* For a b that is used many times. Its packed form is the caller's and holds for one instruction
 * set; every product by it has the same bits as by b itself, which stays readable: where packing
 * does not pay (few rows, BLAS) b is read. */
size_t gr__gemm_packed_size(gr_dtype dtype, int64_t k, int64_t n); /* bytes */
void gr__gemm_pack(gr_dtype dtype, int64_t k, int64_t n, gr__matrix b, void *packed);

/* --- what gemm_real.c gets --- */

/* A block of c on one thread. Rows of add and c lie add_row and ldc apart. */
typedef struct gr__gemm_block {
    int64_t m, n, k;
    gr__matrix a, b;
    const void *packed; /* panels of columns [k][width], one after the other; or NULL */
    const void *add;
    int64_t add_row;
    void *c;
    int64_t ldc;
    int64_t group;     /* columns of b that are packed at a time, whole panels; 0: b lies well */
    const void *after; /* columns of b that this thread will probably pack after the block's */
    int64_t after_columns; /* as many; 0: none */
    void *space; /* GR__GEMM_DEPTH x group elements; NULL: on the stack, a panel at a time */
    const gr__soon *soon; /* of all of which this block fetches one part of `parts`; or NULL */
    int64_t part, parts;
} gr__gemm_block;

enum {
    GR__GEMM_FEW = 8,    /* rows or columns of c that are made of dot products, at most */
    GR__GEMM_ROWS = 14,  /* of a tile, at most */
    GR__GEMM_DEPTH = 384 /* of k at a time, at most: a panel of b fills the first-level cache */
};

typedef struct gr__gemm_kernels {
    int64_t columns; /* of a panel */
    void (*block)(const gr__gemm_block *p);
    void (*dot)(const gr__gemm_block *p); /* both dense along k, few rows or columns */
    void (*tiny)(const gr__product *p);   /* of no batch; as block would, at once */
    /* columns [first, first + columns) of b [k,n] */
    void (*pack)(const gr__matrix *b, int64_t k, int64_t n, int64_t first, void *panel);
} gr__gemm_kernels;

/* --- gemm_blas.c --- */

bool gr__gemm_by_blas(void); /* whether BLAS is the faster one */
bool gr__gemm_blas_takes(const gr__product *p);
void gr__gemm_blas_block(gr_dtype dtype, const gr__gemm_block *p);

/* --- within kernels of other topics --- */

/* A product of the size of a few tiles: c = a b + beta c, beta 0 or 1, ldc between rows of c. */
typedef struct gr__small_gemm {
    int64_t m, n, k;
    gr__matrix a, b;
    double beta;
    void *c;
    int64_t ldc;
} gr__small_gemm;

#endif
