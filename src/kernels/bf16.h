/* bf16.h - products of float32 matrices and images whose operands are rounded to bfloat16.
 *
 * A product c[i][j] = sum_k a[i][k] b[k][j] is computed from panels. A panel holds 16 rows of a (or
 * columns of b) as units of two neighbours along k, rounded to nearest even:
 *
 *   panel[k / 2][i] = (x[i][k], x[i][k+1])        32 bits; zeros beyond the last row and k
 *
 * so that one instruction multiplies 16 units by one unit and adds both products to 16 sums in
 * float32. Packing rounds: no bfloat16 array is ever written but the panels. As the instruction
 * does, it takes numbers below 1.2e-38 for zero.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BF16_H
#define GR__BF16_H

#include "gemm.h"

#include <stdbool.h>

enum {
    GR__BF16_LANES = 16,    /* rows or columns of a panel */
    GR__BF16_ROWS = 8,      /* of a tile of c */
    GR__BF16_COLUMNS = 48,  /* of a tile of c, at most: three panels */
    GR__BF16_PAIRS = 128    /* units along k of a tile: its panels of b fit a first-level cache */
};

/* --- what an instruction set provides --- */

/* Up to 16 rows (or columns) of n elements each, element k of row i at x[i * row + k * step]. */
typedef struct gr__bf16_source {
    const float *x;
    int64_t row, step, rows, n;
} gr__bf16_source;

/* c[i][j] (+)= sum over pairs of a[i] . b[j]: a unit of row i is a_step bytes from the next, and
 * panels of b are b_panel units apart. */
typedef struct gr__bf16_tile {
    const char *a[GR__BF16_ROWS];
    const uint32_t *b;
    float *c;
    int64_t a_step, b_panel, ldc;
    int64_t pairs, rows, columns;
    bool add;
} gr__bf16_tile;

typedef struct gr__bf16_kernels {
    void (*pack)(const gr__bf16_source *s, uint32_t *panel); /* (n + 1) / 2 rows of 16 units */
    void (*tile)(const gr__bf16_tile *t);
} gr__bf16_kernels;

/* Of the instruction set in use; NULL where it has no fast bfloat16. */
const gr__bf16_kernels *gr__bf16(void);

/* --- matrices --- */

/* Whether rounding the operands costs less than it saves; by the sizes alone. */
bool gr__bf16_gemm_pays(int64_t m, int64_t n, int64_t k);
/* Bytes of scratch that a product takes. */
size_t gr__bf16_gemm_scratch(int64_t m, int64_t n, int64_t k);
/* c = a b, or c += a b, with a [m,k] and b [k,n] of any strides and c [m,n] row-major, all float32;
 * only where gr__bf16() is not NULL. The bits do not depend on the number of threads. */
void gr__bf16_gemm(int64_t m, int64_t n, int64_t k, gr__matrix a, gr__matrix b, bool add, float *c,
                   void *scratch);

#endif
