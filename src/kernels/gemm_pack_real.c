/* gemm_pack_real.c - panels of matrices for gemm_real.c, for one dtype and instruction set.
 *
 * A panel holds `columns` columns of a matrix [depth, columns], element by element of depth:
 * [depth][width], with zeros beyond the last column.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

typedef REAL quad __attribute__((vector_size(16)));
typedef REAL duo __attribute__((vector_size(32))); /* two quads */
typedef double pairs __attribute__((vector_size(32)));

enum { QUAD = 16 / sizeof(REAL), DUO = 2 * QUAD, STRIP = 16 };

static ALWAYS_INLINE quad quad_load(const REAL *p)
{
    quad q;
    memcpy(&q, p, sizeof q);
    return q;
}

static ALWAYS_INLINE void quad_store(REAL *p, quad q)
{
    memcpy(p, &q, sizeof q);
}

static ALWAYS_INLINE void duo_load(duo *d, const REAL *low, const REAL *high)
{
    typedef double pair __attribute__((vector_size(16)));
    const pair x = (pair)quad_load(low), y = (pair)quad_load(high);
    *d = (duo)__builtin_shufflevector(x, y, 0, 1, 2, 3);
}

/* In both quads: (a0 a1), (b0 b1) -> (a0 b0), (a1 b1), where two floats count as one. */
static ALWAYS_INLINE void turn_pairs(duo *a, duo *b)
{
    const pairs x = (pairs)*a, y = (pairs)*b;
    *a = (duo)__builtin_shufflevector(x, y, 0, 4, 2, 6);
    *b = (duo)__builtin_shufflevector(x, y, 1, 5, 3, 7);
}

static ALWAYS_INLINE void turn_floats(duo *a, duo *b)
{
    typedef float floats __attribute__((vector_size(32)));
    const floats x = (floats)*a, y = (floats)*b;
    *a = (duo)__builtin_shufflevector(x, y, 0, 8, 2, 10, 4, 12, 6, 14);
    *b = (duo)__builtin_shufflevector(x, y, 1, 9, 3, 11, 5, 13, 7, 15);
}

/* Two squares beside each other: to[i * width + j] = from[j * lead + i], i < QUAD, j < DUO. */
static ALWAYS_INLINE void turn_squares(const REAL *from, int64_t lead, REAL *to, int64_t width)
{
    duo d[QUAD];
    UNROLL
    for (int i = 0; i < QUAD; i++) duo_load(&d[i], from + i * lead, from + (QUAD + i) * lead);
    if (QUAD == 4) {
        turn_floats(&d[0], &d[1]);
        turn_floats(&d[QUAD - 2], &d[QUAD - 1]);
    }
    UNROLL
    for (int i = 0; i < QUAD / 2; i++) turn_pairs(&d[i], &d[i + QUAD / 2]);
    UNROLL
    for (int i = 0; i < QUAD; i++) memcpy(to + i * width, &d[i], sizeof d[i]);
}

/* to[d * width + i] = from[i * column + d * row], one by one */
static void pack_elements(const REAL *from, int64_t row, int64_t column, int64_t depth,
                          int64_t columns, REAL *to, int64_t width)
{
    for (int64_t d = 0; d < depth; d++)
        for (int64_t i = 0; i < columns; i++) to[d * width + i] = from[d * row + i * column];
}

/* Columns that lie dense, in squares; what is left of them one by one. */
static void pack_turned(const REAL *from, int64_t column, int64_t depth, int64_t columns, REAL *to,
                        int64_t width)
{
    const int64_t whole = depth - depth % QUAD, square = columns - columns % DUO;
    for (int64_t d = 0; d < whole; d += STRIP) {
        int64_t end = whole - d < STRIP ? whole : d + STRIP;
        for (int64_t i = 0; i < square; i += DUO)
            for (int64_t e = d; e < end; e += QUAD)
                turn_squares(from + i * column + e, column, to + e * width + i, width);
    }
    pack_elements(from + whole, 1, column, depth - whole, square, to + whole * width, width);
    pack_elements(from + square * column, 1, column, depth, columns - square, to + square, width);
}

/* Rows that lie dense. */
static void pack_rows(const REAL *from, int64_t row, int64_t depth, int64_t columns, REAL *to,
                      int64_t width)
{
    for (int64_t d = 0; d < depth; d++, from += row, to += width) {
        int64_t i = 0;
        for (; i + VEC_LANES <= columns; i += VEC_LANES) vec_store(to + i, vec_load(from + i));
        for (; i + QUAD <= columns; i += QUAD) quad_store(to + i, quad_load(from + i));
        for (; i < columns; i++) to[i] = from[i];
    }
}

static void pack_panel(const REAL *from, int64_t row, int64_t column, int64_t depth,
                       int64_t columns, REAL *to, int64_t width)
{
    for (int64_t d = 0; d < depth; d++)
        for (int64_t i = columns; i < width; i++) to[d * width + i] = 0;
    if (column == 1) pack_rows(from, row, depth, columns, to, width);
    else if (row == 1) pack_turned(from, column, depth, columns, to, width);
    else pack_elements(from, row, column, depth, columns, to, width);
}
