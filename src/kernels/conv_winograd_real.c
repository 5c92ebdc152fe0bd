/* conv_winograd_real.c - tiles of Winograd's algorithm and their products; see conv_winograd.h.
 *
 * Vectors run over channels: a strip of an image is turned to [position][channel], transformed
 * along one axis, then the other, and stored as [point][tile][channel].
 */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"

enum { POINTS = 6 /* of a tile along an axis, at most */ };

/* --- channels to lanes and back --- */

/* Quarters are 16 bytes of a vector. In each: the first elements of two vectors in turn, the others. */
#if REAL_BYTES == 4
#define FIRST_OF(q) 4 * q, VEC_LANES + 4 * q, 4 * q + 1, VEC_LANES + 4 * q + 1
#define LAST_OF(q) 4 * q + 2, VEC_LANES + 4 * q + 2, 4 * q + 3, VEC_LANES + 4 * q + 3
#else
#define FIRST_OF(q) 2 * q, VEC_LANES + 2 * q
#define LAST_OF(q) 2 * q + 1, VEC_LANES + 2 * q + 1
#endif
#if VEC_BYTES == 64
#define EACH_QUARTER(of) of(0), of(1), of(2), of(3)
#define EVEN_QUARTERS 0, 1, 4, 5, 8, 9, 12, 13
#define ODD_QUARTERS 2, 3, 6, 7, 10, 11, 14, 15
#elif VEC_BYTES == 32
#define EACH_QUARTER(of) of(0), of(1)
#define EVEN_QUARTERS 0, 1, 4, 5
#define ODD_QUARTERS 2, 3, 6, 7
#else
#define EACH_QUARTER(of) of(0)
#define EVEN_QUARTERS 0, 1
#define ODD_QUARTERS 2, 3
#endif

enum { QUARTERS = VEC_BYTES / 16, QUARTER_LANES = VEC_LANES / QUARTERS };

/* Within each quarter: perfect shuffles of as many rows as it has lanes. */
static ALWAYS_INLINE void transpose_quarters(vec *v)
{
    vec t[VEC_LANES];
    UNROLL
    for (int n = 1; n < QUARTER_LANES; n *= 2) {
        UNROLL
        for (int i = 0; i < VEC_LANES / 2; i++) {
            const int a = i / (QUARTER_LANES / 2) * QUARTER_LANES + i % (QUARTER_LANES / 2);
            const vec x = v[a], y = v[a + QUARTER_LANES / 2];
            t[2 * i] = __builtin_shufflevector(x, y, EACH_QUARTER(FIRST_OF));
            t[2 * i + 1] = __builtin_shufflevector(x, y, EACH_QUARTER(LAST_OF));
        }
        UNROLL
        for (int i = 0; i < VEC_LANES; i++) v[i] = t[i];
    }
}

/* Squares of a quarter's side, then those change places: moves across quarters cost twice as much. */
static ALWAYS_INLINE void transpose_lanes(vec *v)
{
    typedef double halves __attribute__((vector_size(VEC_BYTES)));
    vec t[VEC_LANES];
    transpose_quarters(v);
    UNROLL
    for (int n = 1; n < QUARTERS; n *= 2) {
        UNROLL
        for (int i = 0; i < VEC_LANES / 2; i++) {
            const int a = i / QUARTER_LANES * 2 * QUARTER_LANES + i % QUARTER_LANES;
            const halves x = (halves)v[a], y = (halves)v[a + QUARTER_LANES];
            t[i] = (vec)__builtin_shufflevector(x, y, EVEN_QUARTERS);
            t[i + VEC_LANES / 2] = (vec)__builtin_shufflevector(x, y, ODD_QUARTERS);
        }
        UNROLL
        for (int i = 0; i < VEC_LANES; i++) v[i] = t[i];
    }
}

/* A square of as many rows and columns as there are lanes, rows `step` apart. */
static ALWAYS_INLINE void turn_lanes(const REAL *x, int64_t x_step, REAL *y, int64_t y_step)
{
    vec v[VEC_LANES];
    UNROLL
    for (int c = 0; c < VEC_LANES; c++) v[c] = vec_load(x + c * x_step);
    transpose_lanes(v);
    UNROLL
    for (int c = 0; c < VEC_LANES; c++) vec_store(y + c * y_step, v[c]);
}

/* Where so many channels are not there, or the last of them ends too soon. */
static void turn_some(const REAL *x, int64_t step, int64_t n, int64_t count, const REAL *end,
                      REAL *y)
{
    REAL rows[VEC_LANES * VEC_LANES] = {0};
    for (int64_t c = 0; c < VEC_LANES && c < count; c++) {
        const int64_t left = end - (x + c * step), used = left < n ? left : n;
        memcpy(rows + c * VEC_LANES, x + c * step, (size_t)used * sizeof *x);
    }
    turn_lanes(rows, VEC_LANES, y, VEC_LANES);
}

/* A line of each channel, which is read three squares later: so many streams no processor follows. */
static ALWAYS_INLINE void fetch_square(const REAL *x, int64_t step)
{
    enum { LATER = 3 * VEC_LANES };
    UNROLL
    for (int c = 0; c < VEC_LANES; c++) __builtin_prefetch(x + c * step + LATER);
}

/* n elements of each of `count` channels, `step` apart, to y [n][lanes], zero beyond the last
 * channel. What is read ends before `end`; y has room for a square more. */
static void channels_to_lanes(const REAL *x, int64_t step, int64_t n, int64_t count,
                              const REAL *end, REAL *y)
{
    for (int64_t i = 0; i < n; i += VEC_LANES, y += VEC_LANES * VEC_LANES) {
        const REAL *from = x + i;
        if (count >= VEC_LANES && end - from >= (VEC_LANES - 1) * step + VEC_LANES) {
            fetch_square(from, step);
            turn_lanes(from, step, y, VEC_LANES);
        } else turn_some(from, step, n - i < VEC_LANES ? n - i : VEC_LANES, count, end, y);
    }
}

/* The reverse, x having a square more, or with `add` to what y holds. */
static void lanes_to_channels(const REAL *x, int64_t n, int64_t count, bool add, REAL *y,
                              int64_t step)
{
    int64_t i = 0;
    if (count >= VEC_LANES && !add)
        for (; i + VEC_LANES <= n; i += VEC_LANES)
            turn_lanes(x + i * VEC_LANES, VEC_LANES, y + i, step);
    for (; i < n; i += VEC_LANES) {
        const int64_t used = n - i < VEC_LANES ? n - i : VEC_LANES;
        REAL rows[VEC_LANES * VEC_LANES];
        turn_lanes(x + i * VEC_LANES, VEC_LANES, rows, VEC_LANES);
        for (int64_t c = 0; c < VEC_LANES && c < count; c++)
            for (int64_t j = 0; j < used; j++)
                y[c * step + i + j] = rows[c * VEC_LANES + j] + (add ? y[c * step + i + j] : 0);
    }
}

/* --- the transforms of one axis, at the points 0, +-sqrt(1/2), +-sqrt(2), infinity ---
 *
 * Rounding errors are a fifth of those at the points 0, +-1, +-2. */

#define ROOT ((REAL)1.41421356237309504880)
#define HALF_ROOT ((REAL)0.70710678118654752440)

typedef void transform(const vec *x, vec *y);

static ALWAYS_INLINE void image_4(const vec *x, vec *y)
{
    const vec even_1 = x[4] - 2 * x[2], odd_1 = HALF_ROOT * (x[3] - 2 * x[1]);
    const vec even_2 = x[4] - (REAL)0.5 * x[2], odd_2 = ROOT * (x[3] - (REAL)0.5 * x[1]);
    y[0] = x[0] + x[4] - (REAL)2.5 * x[2];
    y[1] = even_1 + odd_1;
    y[2] = even_1 - odd_1;
    y[3] = even_2 + odd_2;
    y[4] = even_2 - odd_2;
    y[5] = x[1] + x[5] - (REAL)2.5 * x[3];
}

static ALWAYS_INLINE void weight_4(const vec *x, vec *y)
{
    const vec even_1 = -((REAL)2 / 3) * x[0] - ((REAL)1 / 3) * x[2], odd_1 = -(ROOT / 3) * x[1];
    const vec even_2 = ((REAL)1 / 6) * x[0] + ((REAL)1 / 3) * x[2], odd_2 = (ROOT / 6) * x[1];
    y[0] = x[0];
    y[1] = even_1 + odd_1;
    y[2] = even_1 - odd_1;
    y[3] = even_2 + odd_2;
    y[4] = even_2 - odd_2;
    y[5] = x[2];
}

static ALWAYS_INLINE void result_4(const vec *x, vec *y)
{
    const vec sum_1 = x[1] + x[2], sum_2 = x[3] + x[4];
    const vec difference_1 = HALF_ROOT * (x[1] - x[2]), difference_2 = ROOT * (x[3] - x[4]);
    y[0] = x[0] + sum_1 + sum_2;
    y[1] = difference_1 + difference_2;
    y[2] = (REAL)0.5 * sum_1 + 2 * sum_2;
    y[3] = (REAL)0.5 * difference_1 + 2 * difference_2 + x[5];
}

/* The adjoint of result_4. */
static ALWAYS_INLINE void cotangent_4(const vec *x, vec *y)
{
    const vec even_1 = x[0] + (REAL)0.5 * x[2], odd_1 = HALF_ROOT * (x[1] + (REAL)0.5 * x[3]);
    const vec even_2 = x[0] + 2 * x[2], odd_2 = ROOT * (x[1] + 2 * x[3]);
    y[0] = x[0];
    y[1] = even_1 + odd_1;
    y[2] = even_1 - odd_1;
    y[3] = even_2 + odd_2;
    y[4] = even_2 - odd_2;
    y[5] = x[3];
}

/* The adjoint of weight_4. */
static ALWAYS_INLINE void gradient_4(const vec *x, vec *y)
{
    const vec sum_1 = x[1] + x[2], sum_2 = x[3] + x[4];
    y[0] = x[0] - ((REAL)2 / 3) * sum_1 + ((REAL)1 / 6) * sum_2;
    y[1] = (ROOT / 6) * (x[3] - x[4]) - (ROOT / 3) * (x[1] - x[2]);
    y[2] = ((REAL)1 / 3) * (sum_2 - sum_1) + x[5];
}

/* --- the same at the points 0, 1, -1, infinity --- */

static ALWAYS_INLINE void image_2(const vec *x, vec *y)
{
    y[0] = x[0] - x[2];
    y[1] = x[2] + x[1];
    y[2] = x[2] - x[1];
    y[3] = x[3] - x[1];
}

static ALWAYS_INLINE void weight_2(const vec *x, vec *y)
{
    const vec even = (REAL)0.5 * (x[0] + x[2]), odd = (REAL)0.5 * x[1];
    y[0] = x[0];
    y[1] = even + odd;
    y[2] = even - odd;
    y[3] = x[2];
}

static ALWAYS_INLINE void result_2(const vec *x, vec *y)
{
    y[0] = x[0] + x[1] + x[2];
    y[1] = x[1] - x[2] + x[3];
}

static ALWAYS_INLINE void cotangent_2(const vec *x, vec *y)
{
    y[0] = x[0];
    y[1] = x[0] + x[1];
    y[2] = x[0] - x[1];
    y[3] = x[1];
}

static ALWAYS_INLINE void gradient_2(const vec *x, vec *y)
{
    y[0] = x[0] + (REAL)0.5 * (x[1] + x[2]);
    y[1] = (REAL)0.5 * (x[1] - x[2]);
    y[2] = x[3] + (REAL)0.5 * (x[1] + x[2]);
}

/* --- none: a tile of one result --- */

static ALWAYS_INLINE void same_1(const vec *x, vec *y)
{
    y[0] = x[0];
}

static ALWAYS_INLINE void same_3(const vec *x, vec *y)
{
    y[0] = x[0];
    y[1] = x[1];
    y[2] = x[2];
}

/* --- transforms of lines, squares and strips --- */

/* n vectors to m, each `step` apart. */
static ALWAYS_INLINE void line(const REAL *x, int64_t x_step, transform *f, const int n, REAL *y,
                               int64_t y_step, const int m)
{
    vec u[POINTS], v[POINTS];
    UNROLL
    for (int i = 0; i < n; i++) u[i] = vec_load(x + i * x_step);
    f(u, v);
    UNROLL
    for (int i = 0; i < m; i++) vec_store(y + i * y_step, v[i]);
}

/* n x n vectors to m x m, by columns, then by rows. */
static ALWAYS_INLINE void square(const REAL *x, int64_t row, int64_t column, transform *f,
                                 const int n, REAL *y, int64_t y_row, int64_t y_column, const int m)
{
    REAL half[POINTS * POINTS * VEC_LANES];
    for (int j = 0; j < n; j++)
        line(x + j * column, row, f, n, half + j * VEC_LANES, n * VEC_LANES, m);
    for (int i = 0; i < m; i++)
        line(half + i * n * VEC_LANES, VEC_LANES, f, n, y + i * y_row, y_column, m);
}

/* A strip x [n][width] becomes tiles y [m * m points][tiles], beginning `step` columns after one
 * another; it stands at column `left` of `half` [m][pitch], `spread` apart, zero elsewhere. */
typedef struct strip {
    const REAL *x;
    int64_t width, left, spread, step, tiles, pitch;
    REAL *half, *y;
    int64_t y_point, y_tile;
} strip;

static ALWAYS_INLINE void transform_strip(const strip *s, transform *f, const int n, const int m)
{
    const int64_t pitch = s->pitch * VEC_LANES;
    REAL *half = s->half + s->left * VEC_LANES;
    for (int64_t j = 0; j < s->width * VEC_LANES; j += VEC_LANES)
        line(s->x + j, s->width * VEC_LANES, f, n, half + j * s->spread, pitch, m);
    for (int64_t t = 0; t < s->tiles; t++)
        for (int i = 0; i < m; i++)
            line(s->half + i * pitch + t * s->step * VEC_LANES, VEC_LANES, f, n,
                 s->y + i * m * s->y_point + t * s->y_tile, s->y_point, m);
}

/* Where a vector of channels of all tiles goes: y [points][tiles]; where it is packed, if it is. */
typedef struct tile_lanes {
    REAL *y;
    int64_t point, tile;
    REAL *packed;
    int64_t packed_point;
} tile_lanes;

/* --- weights --- */

enum { WEIGHTS = 9 /* of a pair of channels */ };

/* n elements, for later. */
static ALWAYS_INLINE void fetch(const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof *x) __builtin_prefetch(x + i);
}

enum { AHEAD = 4 /* channels: what is read of one lies far from the next */ };

/* Those of in channels [c, c + n) to lanes of out channels from `channel` on, of which there are
 * `count`: y [n][9][lanes], with room for a square more. They are [out][in], for dx [in][out]. */
static void turn_weights(const gr__conv_job *job, int64_t channel, int64_t count, int64_t c,
                         int64_t n, REAL *y)
{
    const gr__winograd *w = &job->winograd;
    const REAL *x = job->b, *end = x + w->out * w->in * WEIGHTS;
    if (job->kind != GR__CONV_INPUT_GRAD) {
        channels_to_lanes(x + (channel * w->in + c) * WEIGHTS, w->in * WEIGHTS, n * WEIGHTS, count,
                          end, y);
        return;
    }
    for (int64_t i = c; i < c + n; i++, y += WEIGHTS * VEC_LANES) {
        const REAL *from = x + (i * w->out + channel) * WEIGHTS;
        if (i + AHEAD < w->in) fetch(from + AHEAD * w->out * WEIGHTS, count * WEIGHTS);
        channels_to_lanes(from, WEIGHTS, WEIGHTS, count, end, y);
    }
}

/* Where 3 x 3 weights begin, turned by half a turn for dx. */
typedef struct weight_square {
    const REAL *x;
    int64_t row, column;
} weight_square;

static ALWAYS_INLINE weight_square square_of(const gr__conv_job *job, const REAL *x)
{
    const int64_t column = job->kind == GR__CONV_INPUT_GRAD ? -VEC_LANES : VEC_LANES;
    return (weight_square){column < 0 ? x + (WEIGHTS - 1) * VEC_LANES : x, 3 * column, column};
}

/* Lanes of weights x [9] to y [points], `point` apart. */
static void transform_weight(const gr__conv_job *job, const REAL *x, REAL *y, int64_t point)
{
    const int64_t tile = job->winograd.tile;
    const weight_square s = square_of(job, x);
    if (tile == 4) square(s.x, s.row, s.column, weight_4, 3, y, 6 * point, point, 6);
    else if (tile == 2) square(s.x, s.row, s.column, weight_2, 3, y, 4 * point, point, 4);
    else square(s.x, s.row, s.column, same_3, 3, y, 3 * point, point, 3);
}
