/* gemm_pack_real.c - panels of matrices for gemm_real.c, for one dtype and instruction set.
 *
 * A panel holds `columns` columns of a matrix [depth, columns], element by element of depth:
 * [depth][width], with zeros beyond the last column.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

typedef REAL quad __attribute__((vector_size(16)));

enum { QUAD = 16 / sizeof(REAL), STRIP = 16 };

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

/* (a0 a1 ..), (b0 b1 ..) -> (a0 b0 ..), (a1 b1 ..), where two floats count as one. */
static ALWAYS_INLINE void turn_pairs(quad *a, quad *b)
{
    typedef double pair __attribute__((vector_size(16)));
    const pair x = (pair)*a, y = (pair)*b;
    *a = (quad)__builtin_shufflevector(x, y, 0, 2);
    *b = (quad)__builtin_shufflevector(x, y, 1, 3);
}

static ALWAYS_INLINE void turn_floats(quad *a, quad *b)
{
    typedef float four __attribute__((vector_size(16)));
    const four x = (four)*a, y = (four)*b;
    *a = (quad)__builtin_shufflevector(x, y, 0, 4, 2, 6);
    *b = (quad)__builtin_shufflevector(x, y, 1, 5, 3, 7);
}

/* QUAD x QUAD elements: to[i * width + j] = from[j * lead + i] */
static ALWAYS_INLINE void turn_square(const REAL *from, int64_t lead, REAL *to, int64_t width)
{
    quad q[QUAD];
    UNROLL
    for (int i = 0; i < QUAD; i++) q[i] = quad_load(from + i * lead);
    if (QUAD == 4) {
        turn_floats(&q[0], &q[1]);
        turn_floats(&q[QUAD - 2], &q[QUAD - 1]);
    }
    UNROLL
    for (int i = 0; i < QUAD / 2; i++) turn_pairs(&q[i], &q[i + QUAD / 2]);
    UNROLL
    for (int i = 0; i < QUAD; i++) quad_store(to + i * width, q[i]);
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
    const int64_t whole = depth - depth % QUAD, square = columns - columns % QUAD;
    for (int64_t d = 0; d < whole; d += STRIP) {
        int64_t end = whole - d < STRIP ? whole : d + STRIP;
        for (int64_t i = 0; i < square; i += QUAD)
            for (int64_t e = d; e < end; e += QUAD)
                turn_square(from + i * column + e, column, to + e * width + i, width);
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
