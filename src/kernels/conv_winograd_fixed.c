/* conv_winograd_fixed.c - the products of Winograd's algorithm in integers of 16 bits, for graphs
 * that round their operands. Compiled once, with AVX512-VNNI, as a part of fixed_avx512.c.
 *
 * Transformed tiles are too coarse in bfloat16: sums and differences lose what the transform of
 * the results has to find again. In block floating point they are not. With a and b what is summed
 * over in a product, all channels of a tile or all tiles of a channel, and |a| the Euclidean norm:
 *
 *   a . b  ~  |a| |b| / N^2 sum_k round(N a_k / |a|) round(N b_k / |b|)         N = 32700
 *
 * No integer exceeds 16 bits, and by Cauchy and Schwarz no sum, nor a part of it, exceeds
 * N^2 = 2^30: any number of products may be added in 32 bits. Each rounding is off by at most 1/2,
 * so that products are off by |a| |b| / (N sqrt(6)) on average, whatever the terms are like.
 *
 * Weights are rounded as they are transformed. Their norms are not known then, but the norms of the
 * nine weights, transformed with the absolute values of all factors, bound them. Pieces of
 * GR__FIXED_PIECE channels have norms of their own, so that errors do not grow with their number.
 *
 * A norm that is Inf or NaN makes such scales, and those such results: conv_winograd.c finds them.
 */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"
#include "fixed.h"

#include <immintrin.h>

enum { PIECE = GR__FIXED_PIECE };

/* Squares of usual norms; others are lifted, or lowered, by LIFT first. */
#define LOW 0x1p-60f
#define HIGH 0x1p60f
#define LIFT 0x1p64f
#define NORM 32700.0f

/* --- scales --- */

typedef struct scaling {
    __m512 inverse, scale; /* of 16 lanes */
} scaling;

/* Lanes whose square of a norm is 0, too small or too large to be computed with. */
static ALWAYS_INLINE __mmask16 unusual(__m512 squares)
{
    return (__mmask16) ~(_mm512_cmp_ps_mask(squares, _mm512_set1_ps(LOW), _CMP_GT_OQ) &
                         _mm512_cmp_ps_mask(squares, _mm512_set1_ps(HIGH), _CMP_LT_OQ));
}

static ALWAYS_INLINE __m512 lift_of(__m512 squares)
{
    const __mmask16 small = _mm512_cmp_ps_mask(squares, _mm512_set1_ps(1), _CMP_LT_OQ);
    const __m512 lift = _mm512_mask_blend_ps(small, _mm512_set1_ps(1 / LIFT), _mm512_set1_ps(LIFT));
    return _mm512_mask_blend_ps(unusual(squares), _mm512_set1_ps(1), lift);
}

/* Of lanes that have been lifted. Of NaN and another the maximum is the second: NaN stays. */
static ALWAYS_INLINE scaling scaling_of(__m512 norm, __m512 lift)
{
    const __m512 some = _mm512_max_ps(_mm512_set1_ps(0x1p-63f), norm);
    return (scaling){_mm512_div_ps(_mm512_set1_ps(NORM), some),
                     _mm512_div_ps(_mm512_mul_ps(some, _mm512_set1_ps(1 / NORM)), lift)};
}

/* --- units --- */

/* x inverse, rounded to an integer, in the low half of each lane: 1.5 2^23 is added. */
static ALWAYS_INLINE __m512i rounded(__m512 x, __m512 inverse)
{
    return _mm512_castps_si512(_mm512_fmadd_ps(x, inverse, _mm512_set1_ps(0x1.8p23f)));
}

/* In each lane one integer of a, then one of b. */
static ALWAYS_INLINE __m512i paired(__m512i a, __m512i b)
{
    return _mm512_mask_mov_epi16(a, 0xaaaaaaaa, _mm512_slli_epi32(b, 16));
}

/* --- tiles of a vector of channels, summed over tiles --- */

/* x [n][lanes]. */
static ALWAYS_INLINE __m512 squares_of_lanes(const float *x, int64_t n)
{
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int64_t i = 0; i + 1 < n; i += 2) {
        const __m512 a = _mm512_loadu_ps(x + i * LANES), b = _mm512_loadu_ps(x + (i + 1) * LANES);
        even = _mm512_fmadd_ps(a, a, even);
        odd = _mm512_fmadd_ps(b, b, odd);
    }
    const __m512 last = n % 2 ? _mm512_loadu_ps(x + (n - 1) * LANES) : _mm512_setzero_ps();
    return _mm512_add_ps(_mm512_fmadd_ps(last, last, even), odd);
}

static void lift_lanes(float *x, int64_t n, __m512 lift)
{
    for (int64_t i = 0; i < n * LANES; i += LANES)
        _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_loadu_ps(x + i), lift));
}

/* x [n][lanes] to units [n / 2][lanes] and a vector of scales. */
static ALWAYS_INLINE void pack_lanes(float *x, int64_t n, float *y)
{
    __m512 squares = squares_of_lanes(x, n), lift = _mm512_set1_ps(1);
    if (unusual(squares)) {
        lift = lift_of(squares);
        lift_lanes(x, n, lift);
        squares = squares_of_lanes(x, n);
    }
    const scaling s = scaling_of(_mm512_sqrt_ps(squares), lift);
    for (int64_t i = 0; i < n; i += 2, x += 2 * LANES, y += LANES) {
        const __m512 second = i + 1 < n ? _mm512_loadu_ps(x + LANES) : _mm512_setzero_ps();
        _mm512_storeu_si512(y, paired(rounded(_mm512_loadu_ps(x), s.inverse),
                                      rounded(second, s.inverse)));
    }
    _mm512_storeu_ps(y, s.scale);
}

/* The tiles of a dw go to `space` first, a vector of channels at a time: [point][tile][lane]. */
static tile_lanes lanes_of_dw(const gr__winograd *w, REAL *tiles, int64_t point, int64_t step,
                              REAL **space)
{
    const int64_t room = w->block_tiles * LANES + LANES;
    const tile_lanes to = {*space, room, LANES, tiles, point};
    (void)step;
    *space += w->points * room;
    return to;
}

static tile_lanes next_lanes(tile_lanes to, int64_t points, int64_t n)
{
    if (!to.packed) {
        to.y += LANES;
        return to;
    }
    for (int64_t k = 0; k < points; k++)
        pack_lanes(to.y + k * to.point, n, to.packed + k * to.packed_point);
    to.packed += gr__fixed_lanes(n, 1);
    return to;
}

/* --- tiles, summed over channels --- */

static ALWAYS_INLINE float squares_of_row(const float *x, int64_t n)
{
    __m512 even = _mm512_setzero_ps(), odd = even;
    int64_t i = 0;
    for (; i + LANES < n; i += 2 * LANES) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + LANES);
        even = _mm512_fmadd_ps(a, a, even);
        odd = _mm512_fmadd_ps(b, b, odd);
    }
    const __m512 last = i < n ? _mm512_loadu_ps(x + i) : _mm512_setzero_ps();
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_fmadd_ps(last, last, even), odd));
}

/* A piece of the channels of a tile, n of them, a multiple of a vector; what it is packed to. */
typedef struct tile_piece {
    float *x, *units;
    int64_t n;
} tile_piece;

/* Of a few pieces, after they have been lifted in memory. */
static __m512 lifted_squares(const tile_piece *piece, int64_t count, __m512 lift)
{
    float by[LANES], squares[LANES] = {0};
    _mm512_storeu_ps(by, lift);
    for (int64_t p = 0; p < count; p++) {
        for (int64_t i = 0; i < piece[p].n; i++) piece[p].x[i] *= by[p];
        squares[p] = squares_of_row(piece[p].x, piece[p].n);
    }
    return _mm512_loadu_ps(squares);
}

/* To units, neighbours in order, and a scale. */
static ALWAYS_INLINE void pack_piece(const tile_piece *piece, float inverse, float scale)
{
    static const uint16_t even[2 * LANES] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                             22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42,
                                             44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
    const __m512i order = _mm512_loadu_si512(even);
    const __m512 by = _mm512_set1_ps(inverse);
    const float *x = piece->x, *end = x + piece->n;
    float *y = piece->units;
    for (; x < end; x += 2 * LANES, y += LANES) {
        const __m512 first = _mm512_loadu_ps(x);
        const __m512 second = x + LANES < end ? _mm512_loadu_ps(x + LANES) : _mm512_setzero_ps();
        _mm512_storeu_si512(y, _mm512_permutex2var_epi16(rounded(first, by), order,
                                                         rounded(second, by)));
    }
    *y = scale;
}

/* Up to as many pieces as there are lanes: what is slow is done for all at once. */
static void pack_pieces(const tile_piece *piece, int64_t count)
{
    float of[LANES], inverse[LANES], scale[LANES];
    _mm512_storeu_ps(of, _mm512_set1_ps(1));
    for (int64_t p = 0; p < count; p++) of[p] = squares_of_row(piece[p].x, piece[p].n);
    __m512 squares = _mm512_loadu_ps(of), lift = _mm512_set1_ps(1);
    if (unusual(squares)) {
        lift = lift_of(squares);
        squares = lifted_squares(piece, count, lift);
    }
    const scaling s = scaling_of(_mm512_sqrt_ps(squares), lift);
    _mm512_storeu_ps(inverse, s.inverse);
    _mm512_storeu_ps(scale, s.scale);
    for (int64_t p = 0; p < count; p++) pack_piece(&piece[p], inverse[p], scale[p]);
}

/* In place, piece by piece: units lie no later than what they are made of. */
static void pack_point(const gr__winograd *w, float *tiles, int64_t n)
{
    const int64_t lanes = w->in_lanes, step = w->in_step;
    tile_piece piece[LANES];
    int64_t count = 0;
    float *units = tiles;
    for (int64_t t = 0; t < n; t++, tiles += step)
        for (int64_t c = 0; c < lanes; c += PIECE) {
            const int64_t channels = block_from(c, PIECE, lanes);
            piece[count++] = (tile_piece){tiles + c, units, channels};
            units += gr__fixed_row(channels);
            if (count < LANES) continue;
            pack_pieces(piece, count);
            count = 0;
        }
    pack_pieces(piece, count);
}

static void pack_channels(const gr__winograd *w, REAL *tiles, int64_t n)
{
    for (int64_t k = 0; k < w->points; k++) pack_point(w, tiles + k * w->in_point, n);
}

/* --- weights, summed over in channels --- */

/* Of each of the nine, over n channels x [n][9][lanes]; the largest of them. */
static __m512 squares_of_weights(const float *x, int64_t n, __m512 squares[WEIGHTS])
{
    __m512 largest = _mm512_setzero_ps();
    UNROLL
    for (int i = 0; i < WEIGHTS; i++) squares[i] = _mm512_setzero_ps();
    for (int64_t c = 0; c < n; c++, x += WEIGHTS * LANES) {
        UNROLL
        for (int i = 0; i < WEIGHTS; i++) {
            const __m512 v = _mm512_loadu_ps(x + i * LANES);
            squares[i] = _mm512_fmadd_ps(v, v, squares[i]);
        }
    }
    for (int i = 0; i < WEIGHTS; i++) largest = _mm512_max_ps(largest, squares[i]);
    return largest;
}

/* Bounds of the norms at all points, [points][lanes]: at the first of a pair of points, +-p, all
 * terms of a sum have one sign where all weights have. */
static void bound_norms(const gr__conv_job *job, const __m512 squares[WEIGHTS], float *bound)
{
    const int64_t side = job->winograd.tile + 2;
    float norms[WEIGHTS * LANES], at[POINTS * POINTS * LANES];
    for (int i = 0; i < WEIGHTS; i++)
        _mm512_storeu_ps(norms + i * LANES, _mm512_sqrt_ps(squares[i]));
    transform_weight(job, norms, at, LANES);
    for (int64_t i = 0; i < side * side; i++) {
        int64_t row = i / side, column = i % side;
        if (side > 3 && row > 0 && row % 2 == 0) row--;
        if (side > 3 && column > 0 && column % 2 == 0) column--;
        const __m512 v = _mm512_loadu_ps(at + (row * side + column) * LANES);
        _mm512_storeu_ps(bound + i * LANES, _mm512_abs_ps(v));
    }
}

/* As `square`, of the weights of two channels at a time: y [m * m points], units. */
static ALWAYS_INLINE void square_of_two(weight_square s, transform *f, const int m,
                                        const float *inverse, float *y, int64_t point)
{
    float half[2][POINTS * 3 * LANES];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            line(s.x + i * WEIGHTS * LANES + j * s.column, s.row, f, 3, half[i] + j * LANES,
                 3 * LANES, m);
    for (int i = 0; i < m; i++) {
        vec u[3], v[2][POINTS];
        UNROLL
        for (int k = 0; k < 2; k++) {
            UNROLL
            for (int j = 0; j < 3; j++) u[j] = vec_load(half[k] + (i * 3 + j) * LANES);
            f(u, v[k]);
        }
        UNROLL
        for (int j = 0; j < m; j++) {
            const __m512 by = _mm512_loadu_ps(inverse + (i * m + j) * LANES);
            _mm512_storeu_si512(y + (i * m + j) * point,
                                paired(rounded((__m512)v[0][j], by), rounded((__m512)v[1][j], by)));
        }
    }
}

/* x [n][9][lanes] to units [n / 2][lanes] and a vector of scales, at each point. */
static void pack_weights(const gr__conv_job *job, float *x, int64_t n, float *y)
{
    const gr__winograd *w = &job->winograd;
    __m512 squares[WEIGHTS], lift = _mm512_set1_ps(1), largest = squares_of_weights(x, n, squares);
    float inverse[POINTS * POINTS * LANES];
    if (unusual(largest)) {
        lift = lift_of(largest);
        lift_lanes(x, n * WEIGHTS, lift);
        squares_of_weights(x, n, squares);
    }
    bound_norms(job, squares, inverse);
    for (int64_t k = 0; k < w->points; k++) {
        const scaling s = scaling_of(_mm512_loadu_ps(inverse + k * LANES), lift);
        _mm512_storeu_ps(inverse + k * LANES, s.inverse);
        _mm512_storeu_ps(y + k * w->weights_point + (n + 1) / 2 * LANES, s.scale);
    }
    for (int64_t c = 0; c < n; c += 2, x += 2 * WEIGHTS * LANES, y += LANES) {
        const weight_square s = square_of(job, x);
        if (w->tile == 4) square_of_two(s, weight_4, 6, inverse, y, w->weights_point);
        else if (w->tile == 2) square_of_two(s, weight_2, 4, inverse, y, w->weights_point);
        else square_of_two(s, same_3, 3, inverse, y, w->weights_point);
    }
}

/* The weights of a panel of out channels: y [points][vectors][in], zeros beyond the last. */
static void read_weights(const gr__conv_job *job, int64_t panel, REAL *y, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    const int64_t end = (panel + 1) * w->panel;
    for (int64_t channel = panel * w->panel; channel < end; channel += LANES) {
        int64_t count = block_from(channel, LANES, w->out);
        for (int64_t c = 0; c < w->in; c += PIECE) {
            const int64_t n = block_from(c, PIECE, w->in);
            turn_weights(job, channel, count < 0 ? 0 : count, c, n, space);
            if (n % 2) fill_zero(space + n * WEIGHTS * LANES, WEIGHTS * LANES);
            pack_weights(job, space, n, y);
            y += gr__fixed_lanes(n, 1);
        }
    }
}

/* --- products --- */

/* Tiles of a block times the weights of a panel, at point k. */
static void multiply_weights(const gr__winograd *w, int64_t k, const REAL *tiles,
                             const REAL *weights, REAL *y)
{
    const int64_t row = gr__fixed_row(w->in_lanes);
    unit_product p = {.a = tiles + k * w->in_point,
                      .a_row = row,
                      .a_lanes = LANES * row,
                      .a_unit = 1,
                      .b = weights + k * w->weights_point,
                      .b_lanes = gr__fixed_lanes(w->in, gr__fixed_up_div(w->in, PIECE)),
                      .y = y + k * w->out_point,
                      .y_row = w->panel,
                      .add = w->tile == 1 && k > 0};
    for (int64_t c = 0; c < w->in; c += PIECE) {
        const int64_t n = block_from(c, PIECE, w->in), units = gr__fixed_row(n);
        p.units = (n + 1) / 2;
        p.a_scale = p.a + units - LANES;
        multiply_units(&p, w->block_tiles, w->panel);
        p.a += units;
        p.b += gr__fixed_lanes(n, 1);
        p.add = true;
    }
}

/* sum += n tiles of x from channel `in` on, times those of dy from channel `out` on. */
static void multiply_tiles(const gr__winograd *w, int64_t k, const REAL *tiles, int64_t n,
                           int64_t in, int64_t out, bool first, REAL *sum)
{
    const int64_t lanes = gr__fixed_lanes(n, 1);
    unit_product p = {.a = tiles + k * w->in_point + in / LANES * lanes,
                      .a_row = 1,
                      .a_lanes = lanes,
                      .a_unit = LANES,
                      .b = tiles + w->points * w->in_point + k * w->out_point + out / LANES * lanes,
                      .b_lanes = lanes,
                      .y = sum + k * w->weights_point,
                      .y_row = w->panel,
                      .units = (n + 1) / 2,
                      .add = !first};
    p.a_scale = p.a + p.units * LANES;
    multiply_units(&p, block_from(in, w->height, w->in_lanes), w->panel);
}
