/* bf16.h - products of float32 matrices and images whose operands are rounded to bfloat16.
 *
 * A product c[i][j] = sum_k a[i][k] b[k][j] is computed from units: two numbers along k, rounded to
 * nearest even, in 32 bits. A panel holds those of 16 rows of a (or columns of b) together:
 *
 *   panel[k / 2][i] = (x[i][k], x[i][k+1])        zeros beyond the last row and the last k
 *
 * so that one instruction multiplies 16 units by one unit and adds both products to 16 sums in
 * float32. Packing rounds: there is no pass of conversion. As the instruction does, it takes
 * numbers below 1.2e-38 for zero.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BF16_H
#define GR__BF16_H

#include "gemm.h"

#include <stdbool.h>

enum {
    GR__BF16_LANES = 16,  /* rows or columns of a panel */
    GR__BF16_ROWS = 8,    /* of a tile of c */
    GR__BF16_VECTORS = 3, /* of columns of a tile of c, at most */
    GR__BF16_COLUMNS = GR__BF16_VECTORS * GR__BF16_LANES,
    GR__BF16_UNITS = 128 /* along k of a tile: its columns of b fit a first-level cache */
};

/* --- what an instruction set provides --- */

/* Units of up to 16 rows: the first half of unit u of row i is x[i * row + u * step], the other is
 * `second` behind it, or 0 from unit `whole` on. What lies likewise from `next` on (NULL: nothing) is
 * fetched meanwhile. */
typedef struct gr__bf16_source {
    const float *x, *next;
    int64_t row, step, second;
    int64_t rows, units, whole;
} gr__bf16_source;

/* Neighbours in a row of planes of units that become neighbours in a row of a gather. */
typedef struct gr__bf16_segment {
    int64_t from, to, count;
} gr__bf16_segment;

/* Row k of y: of each segment, from[offset[k] + segment.from ...]. */
typedef struct gr__bf16_gather {
    const uint32_t *from;
    const int64_t *offset;
    int64_t rows;
    const gr__bf16_segment *segment;
    int64_t segments;
    uint32_t *y; /* may be written up to 15 units beyond the end */
    int64_t y_step;
} gr__bf16_gather;

/* Rows of pairs of images as rows of units: element j of a row is at `stride` times j; zeros before
 * column `begin` and from column `end` of the `pitch` on. */
typedef struct gr__bf16_plane {
    const float *x, *second; /* column `begin` of the first row; second may be NULL */
    int64_t row, stride;     /* from a row to the next */
    int64_t rows, begin, end, pitch;
    uint32_t *y;
} gr__bf16_plane;

/* c[i][j] = sum of a[i] . b[j] (+ add[i][j]): the units of k are side by side in a panel from panel[k * 16] on, or
 * panel is NULL and that of row i is a[i][k]. Vectors of columns of b are at b[j] + k * b_step, or with
 * an offset at b[j] + offset[k]. */
typedef struct gr__bf16_tile {
    const uint32_t *panel, *a[GR__BF16_ROWS];
    const uint32_t *b[GR__BF16_VECTORS];
    const int64_t *offset; /* with a panel */
    const float *add; /* NULL: nothing; may be c */
    float *c;
    int64_t b_step, add_row, ldc;
    int64_t units, rows, columns;
} gr__bf16_tile;

/* y[j][i] = sum over parts of x[i][j]: up to 16 x 16 of them. */
typedef struct gr__bf16_turn {
    const float *x;
    int64_t x_step, part, parts; /* part: elements from one to the next */
    float *y;
    int64_t y_step, rows, columns; /* of y */
} gr__bf16_turn;

typedef struct gr__bf16_kernels {
    bool (*pack)(const gr__bf16_source *s, uint32_t *panel); /* whether all are finite */
    void (*round)(const float *x, int64_t n, uint16_t *y);
    void (*plane)(const gr__bf16_plane *p);
    void (*gather)(const gr__bf16_gather *g);
    void (*tile)(const gr__bf16_tile *t);
    void (*turn)(const gr__bf16_turn *t);
} gr__bf16_kernels;

static inline int64_t gr__up_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t gr__least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of the instruction set in use; NULL where it has no fast bfloat16. */
const gr__bf16_kernels *gr__bf16(void);

/* --- matrices --- */

/* Whether rounding the operands costs less than it saves; by the sizes alone. */
bool gr__bf16_gemm_pays(int64_t m, int64_t n, int64_t k);
/* Bytes of scratch that a product takes. */
size_t gr__bf16_gemm_scratch(int64_t m, int64_t n, int64_t k);
/* One product of float32, no batch; only where gr__bf16() is not NULL. `packed` is left to the
 * caller. The bits do not depend on the number of threads. */
void gr__bf16_gemm(const gr__product *p, void *scratch);

/* --- bf16_block.c: small products, of what is packed for several of them --- */

/* Lines of k numbers, rows of a or columns of b: [lines / 16][k / 2][16], with `panel` units from 16
 * lines to the next. */
typedef struct gr__bf16_panels {
    const uint32_t *units;
    int64_t panel;
} gr__bf16_panels;

static inline int64_t gr__bf16_units(int64_t lines, int64_t k)
{
    return gr__up_div(lines, GR__BF16_LANES) * GR__BF16_LANES * gr__up_div(k, 2);
}

/* Lines of x are `line` apart, numbers of a line `step`. */
gr__bf16_panels gr__bf16_pack(const gr__bf16_kernels *kernels, const float *x, int64_t line,
                              int64_t step, int64_t lines, int64_t k, uint32_t *units);

/* c [m,n] = a b, or c += a b, rows of c ldc apart. */
typedef struct gr__bf16_block {
    int64_t m, n, k;
    gr__bf16_panels a, b;
    bool add;
    float *c;
    int64_t ldc;
} gr__bf16_block;

void gr__bf16_multiply(const gr__bf16_kernels *kernels, const gr__bf16_block *p);

/* --- bf16_onednn.c --- */

/* False, with nothing done, where the strides do not suit oneDNN or memory is out. */
bool gr__bf16_by_onednn(const gr__bf16_kernels *kernels, const gr__product *p, void *scratch);

#endif
