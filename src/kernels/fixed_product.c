/* fixed_product.c - products of integers of 16 bits, two to a unit; see conv_winograd_fixed.c. */
/* SPDX-License-Identifier: MIT */
#include "fixed.h"
#include "instance.h"

#include <immintrin.h>

enum { LANES = GR__FIXED_LANES, SIDE = 4 /* rows: a multiple, up to three times */, VECTORS = 2 };

/* Not __m512i, whose lanes have 64 bits: GCC 12 would move each sum twice in the loop. */
typedef int32_t int_vec __attribute__((vector_size(64)));
typedef int_vec sums[3 * SIDE][VECTORS];

/* y [rows][columns] of lanes a and lanes b. Row r of a: r % 16 * a_row + r / 16 * a_lanes. */
typedef struct unit_product {
    const float *a, *a_scale;
    int64_t a_row, a_lanes, a_unit;
    const float *b;
    int64_t b_lanes;
    float *y;
    int64_t y_row, units;
    bool add; /* to what y holds */
} unit_product;

static ALWAYS_INLINE int64_t row_of(const unit_product *p, int64_t r)
{
    return r % LANES * p->a_row + r / LANES * p->a_lanes;
}

static ALWAYS_INLINE void store(const unit_product *p, const int64_t from[3], int64_t r, int64_t i,
                                const int rows, const int vectors, const bool add, sums sum)
{
    const float *b = p->b + i * p->b_lanes + p->units * LANES;
    float *y = p->y + r * p->y_row + i * LANES;
    __m512 columns[VECTORS];
    UNROLL
    for (int c = 0; c < vectors; c++) columns[c] = _mm512_loadu_ps(b + c * p->b_lanes);
    UNROLL
    for (int k = 0; k < rows; k++) {
        const __m512 row = _mm512_set1_ps(p->a_scale[from[k / SIDE] + k % SIDE * p->a_row]);
        UNROLL
        for (int c = 0; c < vectors; c++) {
            float *to = y + k * p->y_row + c * LANES;
            const __m512 part = _mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)sum[k][c]), row);
            _mm512_storeu_ps(to, add ? _mm512_fmadd_ps(part, columns[c], _mm512_loadu_ps(to))
                                     : _mm512_mul_ps(part, columns[c]));
        }
    }
}

static ALWAYS_INLINE void unit_block(const unit_product *p, int64_t r, int64_t i, const int rows,
                                     const int vectors)
{
    const int64_t row = p->a_row, a_unit = p->a_unit, b_lanes = p->b_lanes;
    const float *a[3], *b = p->b + i * b_lanes, *end = b + p->units * LANES;
    int64_t from[3];
    sums sum;
    UNROLL
    for (int k = 0; k < rows; k++) {
        UNROLL
        for (int c = 0; c < vectors; c++) sum[k][c] = (int_vec){0};
    }
    UNROLL
    for (int k = 0; k < 3; k++) {
        from[k] = row_of(p, r + k * SIDE);
        a[k] = p->a + from[k];
    }
    do {
        __m512i v[VECTORS];
        UNROLL
        for (int c = 0; c < vectors; c++) v[c] = _mm512_loadu_si512(b + c * b_lanes);
        UNROLL
        for (int k = 0; k < rows; k++) {
            const __m512i x = (__m512i)_mm512_set1_ps(a[k / SIDE][k % SIDE * row]);
            UNROLL
            for (int c = 0; c < vectors; c++)
                sum[k][c] = (int_vec)_mm512_dpwssd_epi32((__m512i)sum[k][c], x, v[c]);
        }
        UNROLL
        for (int k = 0; k < 3; k++) a[k] += a_unit;
        b += LANES;
    } while (b < end);
    if (p->add) store(p, from, r, i, rows, vectors, true, sum);
    else store(p, from, r, i, rows, vectors, false, sum);
}

static ALWAYS_INLINE void unit_column(const unit_product *p, int64_t i, int64_t rows,
                                      const int vectors)
{
    int64_t r = 0;
    for (; rows - r >= 3 * SIDE; r += 3 * SIDE) unit_block(p, r, i, 3 * SIDE, vectors);
    if (rows - r == 2 * SIDE) unit_block(p, r, i, 2 * SIDE, vectors);
    else if (rows - r == SIDE) unit_block(p, r, i, SIDE, vectors);
}

/* rows: a multiple of SIDE. */
static void multiply_units(const unit_product *given, int64_t rows, int64_t columns)
{
    const unit_product p = *given; /* stores cannot change it */
    int64_t i = 0;
    for (; columns - i * LANES >= VECTORS * LANES; i += VECTORS) unit_column(&p, i, rows, VECTORS);
    if (i * LANES < columns) unit_column(&p, i, rows, 1);
}
