/* bf16_avx512.c - packing and tiles by the AVX512-BF16 instructions; see bf16.h. Compiled once. */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"
#include "instance.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = GR__BF16_LANES, ROWS = GR__BF16_ROWS, VECTORS = GR__BF16_VECTORS };

/* --- packing --- */

static ALWAYS_INLINE __mmask16 first(int64_t n)
{
    return (__mmask16)(n >= LANES ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
}

/* Which of 32 numbers are not finite: all bits of their exponents are set. */
static ALWAYS_INLINE __mmask32 odd_units(__m512i units)
{
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    return _mm512_cmpeq_epi16_mask(_mm512_and_si512(units, exponent), exponent);
}

/* 16 of x and 16 of y, rounded: the lower and the upper half. */
static ALWAYS_INLINE __m512i round_both(__m512 x, __m512 y)
{
    return (__m512i)_mm512_cvtne2ps_pbh(y, x);
}

/* 16 units (x[i], y[i]). */
static ALWAYS_INLINE __m512i units_of(__m512 x, __m512 y)
{
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), round_both(x, y));
}

/* Lines of both halves, for the second-level cache. */
static ALWAYS_INLINE void fetch(const float *x, int64_t second)
{
    __builtin_prefetch(x, 0, 2);
    __builtin_prefetch(x + second, 0, 2);
}

/* Rows are neighbours in memory: both halves of a unit of all rows are vectors. */
static bool pack_across(const gr__bf16_source *from, uint32_t *panel)
{
    const gr__bf16_source s = *from;
    const __mmask16 used = first(s.rows);
    const float *x = s.x, *next = s.next;
    __mmask32 odd = 0;
    for (int64_t u = 0; u < s.units; u++, x += s.step, panel += LANES) {
        const __mmask16 high = u < s.whole ? used : 0;
        const __m512i units =
            units_of(_mm512_maskz_loadu_ps(used, x), _mm512_maskz_loadu_ps(high, x + s.second));
        odd |= odd_units(units);
        _mm512_storeu_si512(panel, units);
        if (next) fetch(next + u * s.step, s.second);
    }
    return odd == 0;
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

/* 16 units of 16 rows at a time are turned. Halves alternate in memory, or each half's are neighbours. */
static ALWAYS_INLINE bool pack_turned(const gr__bf16_source *from, const bool alternate,
                                      uint32_t *panel)
{
    const gr__bf16_source s = *from;
    const int64_t second = alternate ? LANES : s.second;
    __mmask32 odd = 0;
    for (int64_t u = 0; u < s.units; u += LANES, panel += LANES * LANES) {
        const int64_t units = s.units - u, whole = s.whole - u, n = units + whole;
        const __mmask16 low = first(alternate ? n : units);
        const __mmask16 high = first(alternate ? n - LANES : whole);
        __m512i v[LANES];
        UNROLL
        for (int i = 0; i < LANES; i++) {
            const bool used = i < s.rows;
            const float *x = s.x + (used ? i * s.row : 0) + u * s.step;
            const __m512 a = _mm512_maskz_loadu_ps(used ? low : 0, x);
            const __m512 b = _mm512_maskz_loadu_ps(used ? high : 0, x + second);
            v[i] = alternate ? round_both(a, b) : units_of(a, b);
            odd |= odd_units(v[i]);
            if (s.next) fetch(s.next + i * s.row + u * s.step, second);
        }
        transpose(v);
        for (int i = 0; i < LANES && u + i < s.units; i++)
            _mm512_storeu_si512(panel + i * LANES, v[i]);
    }
    return odd == 0;
}

/* Any strides: by way of rows that are neighbours. */
static bool pack_any(const gr__bf16_source *s, uint32_t *panel)
{
    bool finite = true;
    for (int64_t u = 0; u < s->units; u++, panel += LANES) {
        float x[2][LANES] = {{0}};
        const gr__bf16_source rows = {.x = x[0],
                                      .row = 1,
                                      .step = 2 * LANES,
                                      .second = LANES,
                                      .rows = LANES,
                                      .units = 1,
                                      .whole = 1};
        for (int half = 0; half < (u < s->whole ? 2 : 1); half++)
            for (int64_t i = 0; i < s->rows; i++)
                x[half][i] = s->x[i * s->row + u * s->step + half * s->second];
        finite &= pack_across(&rows, panel);
    }
    return finite;
}

static bool pack(const gr__bf16_source *s, uint32_t *panel)
{
    if (s->row == 1) return pack_across(s, panel);
    if (s->step == 2 && s->second == 1) return pack_turned(s, true, panel);
    if (s->step == 1) return pack_turned(s, false, panel);
    return pack_any(s, panel);
}

static void round_all(const float *x, int64_t n, uint16_t *y)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const __mmask16 used = first(n - i);
        const __m256i half = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(used, x + i));
        _mm256_mask_storeu_epi16(y + i, used, half);
    }
}

/* --- planes --- */

/* Elements [0, n) of a row, `stride` apart: at most 16. */
static ALWAYS_INLINE __m512 columns(const float *x, int64_t stride, int64_t n)
{
    if (stride == 1) return _mm512_maskz_loadu_ps(first(n), x);
    float some[LANES] = {0};
    for (int64_t i = 0; i < n && i < LANES; i++) some[i] = x[i * stride];
    return _mm512_loadu_ps(some);
}

static ALWAYS_INLINE void fill_zero(uint32_t *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES)
        _mm512_mask_storeu_epi32(y + i, first(n - i), _mm512_setzero_si512());
}

static void plane(const gr__bf16_plane *p)
{
    const int64_t n = p->end - p->begin;
    for (int64_t r = 0; r < p->rows; r++) {
        const float *x = p->x + r * p->row, *second = p->second ? p->second + r * p->row : NULL;
        uint32_t *y = p->y + r * p->pitch;
        fill_zero(y, p->begin);
        for (int64_t j = 0; j < n; j += LANES) {
            const __m512 low = columns(x + j * p->stride, p->stride, n - j);
            const __m512 high = second ? columns(second + j * p->stride, p->stride, n - j)
                                       : _mm512_setzero_ps();
            _mm512_mask_storeu_epi32(y + p->begin + j, first(n - j), units_of(low, high));
        }
        fill_zero(y + p->end, p->pitch - p->end);
    }
}

/* --- gathering --- */

/* Vectors are copied whole: what is too much is written over by the next. */
static void gather(const gr__bf16_gather *g)
{
    for (int64_t k = 0; k < g->rows; k++) {
        const uint32_t *from = g->from + g->offset[k];
        uint32_t *y = g->y + k * g->y_step;
        for (const gr__bf16_segment *s = g->segment; s < g->segment + g->segments; s++)
            for (int64_t i = 0; i < s->count; i += LANES)
                _mm512_storeu_si512(y + s->to + i, _mm512_loadu_si512(from + s->from + i));
    }
}

static void turn(const gr__bf16_turn *t)
{
    const __mmask16 row = first(t->columns), column = first(t->rows);
    __m512i v[LANES];
    for (int64_t i = 0; i < LANES; i++) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t part = 0; i < t->columns && part < t->parts; part++)
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(column,
                                                           t->x + part * t->part + i * t->x_step));
        v[i] = (__m512i)sum;
    }
    transpose(v);
    for (int64_t i = 0; i < t->rows; i++) _mm512_mask_storeu_epi32(t->y + i * t->y_step, row, v[i]);
}

/* --- tiles --- */

typedef __m512 sums[ROWS][VECTORS];

static ALWAYS_INLINE void clear(sums sum, const int vectors)
{
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int j = 0; j < vectors; j++) sum[r][j] = _mm512_setzero_ps();
    }
}

/* Where the operands are: what the compiler knows when it makes the loop. */
typedef struct form {
    bool panel, indirect;
    int vectors;
} form;

/* Unit k of all rows times unit k of all columns. */
static ALWAYS_INLINE void add_unit(const gr__bf16_tile *t, const form f, int64_t k, sums sum)
{
    const int64_t offset = f.indirect ? t->offset[k] : k * t->b_step;
    __m512bh v[VECTORS];
    UNROLL
    for (int j = 0; j < f.vectors; j++) v[j] = (__m512bh)_mm512_loadu_si512(t->b[j] + offset);
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        const uint32_t *a = f.panel ? t->panel + k * LANES + r : t->a[r] + k;
        const __m512bh u = (__m512bh)_mm512_set1_epi32((int)*a);
        UNROLL
        for (int j = 0; j < f.vectors; j++) sum[r][j] = _mm512_dpbf16_ps(sum[r][j], u, v[j]);
    }
}

/* All rows are unrolled, else the sums would go through memory. */
static ALWAYS_INLINE void store_rows(const gr__bf16_tile *t, const bool adds, const int vectors,
                                     sums sum)
{
    const __mmask16 last = first(t->columns - (vectors - 1) * LANES);
    const int64_t rows = t->rows, ldc = t->ldc, add_row = t->add_row;
    const float *add = t->add;
    float *c = t->c;
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        if (r >= rows) return;
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const __mmask16 used = j == vectors - 1 ? last : 0xffff;
            if (adds)
                sum[r][j] = _mm512_add_ps(
                    _mm512_maskz_loadu_ps(used, add + r * add_row + j * LANES), sum[r][j]);
            _mm512_mask_storeu_ps(c + r * ldc + j * LANES, used, sum[r][j]);
        }
    }
}

static ALWAYS_INLINE void store(const gr__bf16_tile *t, const int vectors, sums sum)
{
    if (t->add) store_rows(t, true, vectors, sum);
    else store_rows(t, false, vectors, sum);
}

static ALWAYS_INLINE void multiply(const gr__bf16_tile *t, const form f)
{
    const gr__bf16_tile own = *t;
    sums sum;
    clear(sum, f.vectors);
    for (int64_t k = 0; k < own.units; k++) add_unit(&own, f, k, sum);
    store(t, f.vectors, sum);
}

/* One vector has too few sums to hide their latency: every second unit has sums of its own. */
static ALWAYS_INLINE void multiply_narrow(const gr__bf16_tile *t, const form f)
{
    const gr__bf16_tile own = *t;
    sums even, odd;
    clear(even, 1);
    clear(odd, 1);
    int64_t k = 0;
    for (; k + 1 < own.units; k += 2) {
        add_unit(&own, f, k, even);
        add_unit(&own, f, k + 1, odd);
    }
    if (k < own.units) add_unit(&own, f, k, even);
    UNROLL
    for (int r = 0; r < ROWS; r++) even[r][0] = _mm512_add_ps(even[r][0], odd[r][0]);
    store(t, 1, even);
}

static ALWAYS_INLINE void tile_of(const gr__bf16_tile *t, const bool panel, const bool indirect)
{
    if (t->columns > 2 * LANES) multiply(t, (form){panel, indirect, 3});
    else if (t->columns > LANES) multiply(t, (form){panel, indirect, 2});
    else multiply_narrow(t, (form){panel, indirect, 1});
}

static void tile(const gr__bf16_tile *t)
{
    if (!t->panel) tile_of(t, false, false);
    else if (t->offset) tile_of(t, true, true);
    else tile_of(t, true, false);
}

extern const gr__bf16_kernels INSTANCE;

const gr__bf16_kernels INSTANCE = {pack, round_all, plane, gather, tile, turn};
