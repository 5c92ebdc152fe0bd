/* gemm_real.c - small matrix products, for one dtype and instruction set.
 *
 * c = a b + beta c by tiles of c that stay in registers; columns of b are packed on the stack.
 * For products too small for BLAS to pay: its own kernels for them allocate at every call.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

enum {
    PANEL_VECS = 2,
    PANEL_ROWS = VEC_REGISTERS == 32 ? 12 : 6,
    PANEL_COLUMNS = PANEL_VECS * VEC_LANES,
    PANEL_DEPTH = 256 /* of k that is packed at a time */
};

/* Rows of a, read where they lie; those beyond the last repeat it and are not stored. */
typedef struct panel_rows {
    const REAL *row[PANEL_ROWS];
    int64_t step; /* from one k to the next */
} panel_rows;

static panel_rows panel_of_a(const gr__small_gemm *p, int64_t first, int64_t count, int64_t k)
{
    panel_rows a = {.step = p->a.column};
    for (int64_t r = 0; r < PANEL_ROWS; r++) {
        int64_t row = first + (r < count ? r : count - 1);
        a.row[r] = (const REAL *)p->a.data + row * p->a.row + k * p->a.column;
    }
    return a;
}

/* Columns of b: read where they lie if they fill the panel and are dense, else packed into space,
 * [depth][width] with zeros beyond the last. */
static const REAL *panel_of_b(const gr__small_gemm *p, int64_t first, int64_t count, int64_t k,
                              int64_t depth, int64_t width, REAL *space, int64_t *step)
{
    const REAL *b = (const REAL *)p->b.data + first * p->b.column + k * p->b.row;
    *step = p->b.row;
    if (p->b.column == 1 && count == width) return b;
    *step = width;
    for (int64_t i = 0; i < count; i++) {
        const REAL *from = b + i * p->b.column;
        for (int64_t d = 0; d < depth; d++) space[d * width + i] = from[d * p->b.row];
    }
    for (int64_t i = count; i < width; i++)
        for (int64_t d = 0; d < depth; d++) space[d * width + i] = 0;
    return space;
}

/* tile = sum over k of (column k of a) (row k of b) */
static ALWAYS_INLINE void multiply_tile(const panel_rows *a, const REAL *b, int64_t step,
                                        int64_t depth, REAL *tile, const int vecs)
{
    vec sum[PANEL_ROWS][PANEL_VECS] = {{{0}}};
    for (int64_t k = 0; k < depth; k++, b += step) {
        vec row[PANEL_VECS];
        UNROLL
        for (int v = 0; v < vecs; v++) row[v] = vec_load(b + v * VEC_LANES);
        UNROLL
        for (int r = 0; r < PANEL_ROWS; r++) {
            const REAL x = a->row[r][k * a->step];
            UNROLL
            for (int v = 0; v < vecs; v++) sum[r][v] += x * row[v];
        }
    }
    UNROLL
    for (int r = 0; r < PANEL_ROWS; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) vec_store(tile + (r * vecs + v) * VEC_LANES, sum[r][v]);
    }
}

/* c[rows, columns] = tile + beta c; at beta 0 what c holds does not matter. */
static void store_tile(const REAL *tile, int64_t width, int64_t rows, int64_t columns, REAL beta,
                       REAL *c, int64_t ldc)
{
    for (int64_t r = 0; r < rows; r++, tile += width, c += ldc) {
        if (beta == 0) memcpy(c, tile, (size_t)columns * sizeof *c);
        else
            for (int64_t j = 0; j < columns; j++) c[j] = tile[j] + beta * c[j];
    }
}

/* One panel of columns, at most `vecs` vectors wide. */
static ALWAYS_INLINE void multiply_panel(const gr__small_gemm *p, int64_t column, int64_t columns,
                                         const int vecs)
{
    REAL space[PANEL_DEPTH * PANEL_COLUMNS], tile[PANEL_ROWS * PANEL_COLUMNS];
    const int64_t width = vecs * VEC_LANES;
    for (int64_t k = 0; k < p->k || k == 0; k += PANEL_DEPTH) {
        int64_t depth = p->k - k < PANEL_DEPTH ? p->k - k : PANEL_DEPTH, step;
        const REAL *b = panel_of_b(p, column, columns, k, depth, width, space, &step);
        for (int64_t row = 0; row < p->m; row += PANEL_ROWS) {
            int64_t rows = p->m - row < PANEL_ROWS ? p->m - row : PANEL_ROWS;
            panel_rows a = panel_of_a(p, row, rows, k);
            multiply_tile(&a, b, step, depth, tile, vecs);
            store_tile(tile, width, rows, columns, k ? 1 : (REAL)p->beta,
                       (REAL *)p->c + row * p->ldc + column, p->ldc);
        }
    }
}

static void small_gemm(const gr__small_gemm *p)
{
    for (int64_t column = 0; column < p->n; column += PANEL_COLUMNS) {
        int64_t columns = p->n - column < PANEL_COLUMNS ? p->n - column : PANEL_COLUMNS;
        if (columns <= VEC_LANES) multiply_panel(p, column, columns, 1);
        else multiply_panel(p, column, columns, PANEL_VECS);
    }
}
