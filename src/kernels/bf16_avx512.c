/* bf16_avx512.c - packing and tiles by the AVX512-BF16 instructions; see bf16.h. */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { LANES = GR__BF16_LANES, ROWS = GR__BF16_ROWS };

/* --- packing --- */

static ALWAYS_INLINE __mmask16 first(int64_t n)
{
    return n >= LANES ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

/* 16 of x and 16 of y, rounded: the lower and the upper half. */
static ALWAYS_INLINE __m512i round_pair(__m512 x, __m512 y)
{
    return (__m512i)_mm512_cvtne2ps_pbh(y, x);
}

/* Lanes are neighbours in memory: elements k and k + 1 of all rows are two vectors. */
static void pack_across(const gr__bf16_source *s, uint32_t *panel)
{
    static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i interleave = _mm512_loadu_si512(order);
    const __mmask16 used = first(s->rows);
    for (int64_t k = 0; k < s->n; k += 2, panel += LANES) {
        const float *x = s->x + k * s->step;
        __m512 low = _mm512_maskz_loadu_ps(used, x), high = _mm512_setzero_ps();
        if (k + 1 < s->n) high = _mm512_maskz_loadu_ps(used, x + s->step);
        _mm512_storeu_si512(panel, _mm512_permutexvar_epi16(interleave, round_pair(low, high)));
    }
}

/* v[i] lane j becomes v[j] lane i, of 32 bits. */
static ALWAYS_INLINE void transpose(__m512i v[LANES])
{
    __m512i t[LANES];
    UNROLL
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < LANES; i += 4) {
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

/* Elements of a row are neighbours in memory: 16 units of 16 rows at a time are turned. */
static void pack_along(const gr__bf16_source *s, uint32_t *panel)
{
    for (int64_t k = 0; k < s->n; k += 2 * LANES) {
        const __mmask16 low = first(s->n - k), high = first(s->n - k - LANES);
        __m512i v[LANES];
        UNROLL
        for (int i = 0; i < LANES; i++) {
            const float *x = s->x + (i < s->rows ? i * s->row : 0) + k;
            v[i] = round_pair(_mm512_maskz_loadu_ps(i < s->rows ? low : 0, x),
                              _mm512_maskz_loadu_ps(i < s->rows ? high : 0, x + LANES));
        }
        transpose(v);
        int64_t pairs = (s->n - k + 1) / 2;
        for (int i = 0; i < LANES && i < pairs; i++, panel += LANES)
            _mm512_storeu_si512(panel, v[i]);
    }
}

/* Any strides: by way of two rows. */
static void pack_any(const gr__bf16_source *s, uint32_t *panel)
{
    for (int64_t k = 0; k < s->n; k += 2, panel += LANES) {
        float x[2][LANES] = {{0}};
        const gr__bf16_source rows = {x[0], 1, LANES, LANES, 2};
        for (int64_t j = 0; j < 2 && k + j < s->n; j++)
            for (int64_t i = 0; i < s->rows; i++) x[j][i] = s->x[i * s->row + (k + j) * s->step];
        pack_across(&rows, panel);
    }
}

static void pack(const gr__bf16_source *s, uint32_t *panel)
{
    if (s->row == 1 || s->rows == 1) pack_across(s, panel);
    else if (s->step == 1) pack_along(s, panel);
    else pack_any(s, panel);
}

/* --- tiles --- */

/* All rows are unrolled, else the sums would go through memory. */
static ALWAYS_INLINE void store(const gr__bf16_tile *t, __m512 (*sum)[3], const int vectors)
{
    const __mmask16 last = first(t->columns - (vectors - 1) * LANES);
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        if (r >= t->rows) return;
        UNROLL
        for (int j = 0; j < vectors; j++) {
            float *c = t->c + r * t->ldc + j * LANES;
            const __mmask16 used = j == vectors - 1 ? last : 0xffff;
            if (t->add) sum[r][j] = _mm512_add_ps(_mm512_maskz_loadu_ps(used, c), sum[r][j]);
            _mm512_mask_storeu_ps(c, used, sum[r][j]);
        }
    }
}

static ALWAYS_INLINE void multiply(const gr__bf16_tile *t, const int vectors)
{
    __m512 sum[ROWS][3];
    const char *a0 = t->a[0], *a1 = t->a[1], *a2 = t->a[2], *a3 = t->a[3];
    const char *a4 = t->a[4], *a5 = t->a[5], *a6 = t->a[6], *a7 = t->a[7];
    const uint32_t *b = t->b;
    const int64_t step = t->a_step, panel = t->b_panel, end = t->pairs * step;
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int j = 0; j < vectors; j++) sum[r][j] = _mm512_setzero_ps();
    }
    for (int64_t at = 0; at < end; at += step, b += LANES) {
        const char *const a[ROWS] = {a0 + at, a1 + at, a2 + at, a3 + at,
                                     a4 + at, a5 + at, a6 + at, a7 + at};
        __m512bh v[3];
        UNROLL
        for (int j = 0; j < vectors; j++) v[j] = (__m512bh)_mm512_loadu_si512(b + j * panel);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            int unit;
            memcpy(&unit, a[r], sizeof unit);
            const __m512bh u = (__m512bh)_mm512_set1_epi32(unit);
            UNROLL
            for (int j = 0; j < vectors; j++) sum[r][j] = _mm512_dpbf16_ps(sum[r][j], u, v[j]);
        }
    }
    store(t, sum, vectors);
}

static void tile(const gr__bf16_tile *t)
{
    if (t->columns > 2 * LANES) multiply(t, 3);
    else if (t->columns > LANES) multiply(t, 2);
    else multiply(t, 1);
}

extern const gr__bf16_kernels gr__bf16_avx512;

const gr__bf16_kernels gr__bf16_avx512 = {pack, tile};
