/* standardize_real.c - statistics and standardization of rows, for one dtype and instruction set.
 *
 * Moments are taken piece by piece, each about its own mean while it lies in cache, and joined as
 * in Chan, Golub, LeVeque (1979): one pass over memory, and a large mean costs no digits.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "instance.h"
#include "kernels.h"
#include "standardize.h"

#include <math.h>

enum {
    NORM_VECS = 4,
    NORM_STEP = NORM_VECS * VEC_LANES,
    NORM_PIECE = 1024, /* elements whose sum is taken in REAL */
    NORM_GRAIN = 16384 /* elements that are worth a task of their own */
};

/* --- moments --- */

typedef struct norm_moments {
    double count, mean, m2; /* m2: the sum of squares about the mean */
} norm_moments;

static void norm_join(norm_moments *a, norm_moments b)
{
    double count = a->count + b.count, delta = b.mean - a->mean;
    if (b.count == 0) return;
    a->mean += delta * (b.count / count);
    a->m2 += b.m2 + delta * delta * (a->count * b.count / count);
    a->count = count;
}

/* `runs` stretches of n elements, `step` apart. */
typedef struct norm_piece {
    int64_t runs, n, step;
} norm_piece;

static ALWAYS_INLINE REAL norm_total(const vec *sum)
{
    return vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static double norm_sum(norm_piece p, const REAL *x)
{
    vec sum[NORM_VECS] = {{0}};
    REAL rest = 0;
    for (int64_t run = 0; run < p.runs; run++, x += p.step) {
        int64_t i = 0;
        for (; i + NORM_STEP <= p.n; i += NORM_STEP) {
            UNROLL
            for (int v = 0; v < NORM_VECS; v++) sum[v] += vec_load(x + i + v * VEC_LANES);
        }
        for (; i + VEC_LANES <= p.n; i += VEC_LANES) sum[0] += vec_load(x + i);
        for (; i < p.n; i++) rest += x[i];
    }
    return (double)norm_total(sum) + (double)rest;
}

/* Sums of something and of its product with something else, or of its square. */
typedef struct norm_sums {
    double g, gx;
} norm_sums;

/* The sums of x - about and of its square. */
static norm_sums norm_spread(norm_piece p, const REAL *x, REAL about)
{
    vec sum[NORM_VECS] = {{0}}, squares[NORM_VECS] = {{0}};
    REAL rest = 0, rest_squares = 0;
    for (int64_t run = 0; run < p.runs; run++, x += p.step) {
        int64_t i = 0;
        for (; i + NORM_STEP <= p.n; i += NORM_STEP) {
            UNROLL
            for (int v = 0; v < NORM_VECS; v++) {
                const vec d = vec_load(x + i + v * VEC_LANES) - about;
                sum[v] += d;
                squares[v] += d * d;
            }
        }
        for (; i + VEC_LANES <= p.n; i += VEC_LANES) {
            const vec d = vec_load(x + i) - about;
            sum[0] += d;
            squares[0] += d * d;
        }
        for (; i < p.n; i++) {
            const REAL d = x[i] - about;
            rest += d;
            rest_squares += d * d;
        }
    }
    return (norm_sums){(double)norm_total(sum) + (double)rest,
                       (double)norm_total(squares) + (double)rest_squares};
}

/* A piece is seen about its mean as rounded sums give it, and what that is off is put right. */
static void norm_add_piece(norm_moments *m, norm_piece p, const REAL *x)
{
    const double size = (double)(p.runs * p.n);
    const REAL about = (REAL)(norm_sum(p, x) / size);
    const norm_sums s = norm_spread(p, x, about);
    const double off = s.g / size;
    norm_join(m, (norm_moments){size, (double)about + off, s.gx - s.g * off});
}

static void norm_add(norm_moments *m, const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += NORM_PIECE)
        norm_add_piece(m, (norm_piece){1, n - i < NORM_PIECE ? n - i : NORM_PIECE, 0}, x + i);
}

/* About 0. */
static void norm_add_squares(norm_moments *m, const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += NORM_PIECE) {
        const int64_t size = n - i < NORM_PIECE ? n - i : NORM_PIECE;
        norm_join(m, (norm_moments){(double)size, 0,
                                    norm_spread((norm_piece){1, size, 0}, x + i, 0).gx});
    }
}

static double norm_rstd(const norm_moments *m, double eps)
{
    return 1 / sqrt((m->count > 0 ? m->m2 / m->count : 0) + eps);
}

/* --- rows: y = (x - mean) rstd w + b --- */

/* The mean is taken off in two parts: rounded to REAL it would be too coarse. */
typedef struct norm_row {
    REAL high, low, rstd;
} norm_row;

/* Each element has a weight of its own. */
static void norm_dense(norm_row s, const REAL *restrict x, const REAL *restrict w,
                       const REAL *restrict b, int64_t n, REAL *restrict y)
{
    if (!w)
        for (int64_t i = 0; i < n; i++) y[i] = ((x[i] - s.high) - s.low) * s.rstd;
    else if (!b)
        for (int64_t i = 0; i < n; i++) y[i] = ((x[i] - s.high) - s.low) * s.rstd * w[i];
    else
        for (int64_t i = 0; i < n; i++) y[i] = ((x[i] - s.high) - s.low) * s.rstd * w[i] + b[i];
}

/* All have the same. */
static void norm_span(norm_row s, const REAL *restrict x, REAL w, REAL b, int64_t n,
                      REAL *restrict y)
{
    const REAL factor = s.rstd * w;
    for (int64_t i = 0; i < n; i++) y[i] = ((x[i] - s.high) - s.low) * factor + b;
}

static norm_row norm_row_of(double mean, double rstd)
{
    const REAL high = (REAL)mean;
    return (norm_row){high, (REAL)(mean - (double)high), (REAL)rstd};
}

static void standardize_row(const gr__standardize *s, int64_t row)
{
    const int64_t size = s->channels * s->span, first = row % s->groups * s->channels;
    const REAL *x = (const REAL *)s->x + row * size;
    const REAL *w = s->w ? (const REAL *)s->w + first : NULL;
    const REAL *b = s->b ? (const REAL *)s->b + first : NULL;
    REAL *y = (REAL *)s->y + row * size;
    norm_moments m = {0, 0, 0};
    (s->rms ? norm_add_squares : norm_add)(&m, x, size);
    norm_row r = norm_row_of(m.mean, norm_rstd(&m, s->eps));
    ((REAL *)s->mean)[row] = r.high;
    ((REAL *)s->rstd)[row] = r.rstd;
    if (s->span == 1 || !w) norm_dense(r, x, w, b, size, y);
    else
        for (int64_t k = 0; k < s->channels; k++)
            norm_span(r, x + k * s->span, w[k], b ? b[k] : 0, s->span, y + k * s->span);
}

static void standardize_rows_range(void *ctx, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++) standardize_row(ctx, row);
}

static void standardize_rows(gr__standardize *s)
{
    gr__parallel_for(s->outer * s->groups, NORM_GRAIN / (s->channels * s->span + 1) + 1,
                     standardize_rows_range, s);
}

/* --- backward: with xh = (x - mean) rstd and g = dy w,
 *     dx = rstd (g - mean g - xh mean(g xh)), dw = sum dy xh, db = sum dy --- */

static ALWAYS_INLINE void norm_dot(vec v, vec x, vec *g, vec *gx)
{
    *g += v;
    *gx += v * x;
}

/* The sums of g = dy w and of g xh over a piece; w NULL: 1. */
static ALWAYS_INLINE norm_sums norm_piece_sums(norm_row s, norm_piece p, const REAL *dy,
                                               const REAL *x, const REAL *w)
{
    vec g[NORM_VECS] = {{0}}, gx[NORM_VECS] = {{0}};
    REAL rest = 0, rest_x = 0;
    for (int64_t run = 0; run < p.runs; run++, dy += p.step, x += p.step) {
        int64_t i = 0;
        for (; i + NORM_STEP <= p.n; i += NORM_STEP) {
            UNROLL
            for (int v = 0; v < NORM_VECS; v++) {
                const int64_t at = i + v * VEC_LANES;
                norm_dot(w ? vec_load(dy + at) * vec_load(w + at) : vec_load(dy + at),
                         vec_load(x + at) - s.high, &g[v], &gx[v]);
            }
        }
        for (; i + VEC_LANES <= p.n; i += VEC_LANES)
            norm_dot(w ? vec_load(dy + i) * vec_load(w + i) : vec_load(dy + i),
                     vec_load(x + i) - s.high, &g[0], &gx[0]);
        for (; i < p.n; i++) {
            const REAL v = w ? dy[i] * w[i] : dy[i];
            rest += v;
            rest_x += v * (x[i] - s.high);
        }
    }
    return (norm_sums){(double)norm_total(g) + (double)rest,
                       ((double)norm_total(gx) + (double)rest_x) * (double)s.rstd};
}

/* Over a row. */
static norm_sums norm_dense_sums(norm_row s, const REAL *dy, const REAL *x, const REAL *w,
                                 int64_t n)
{
    norm_sums sums = {0, 0};
    for (int64_t i = 0; i < n; i += NORM_PIECE) {
        const norm_piece p = {1, n - i < NORM_PIECE ? n - i : NORM_PIECE, 0};
        const norm_sums piece = w ? norm_piece_sums(s, p, dy + i, x + i, w + i)
                                  : norm_piece_sums(s, p, dy + i, x + i, NULL);
        sums.g += piece.g;
        sums.gx += piece.gx;
    }
    return sums;
}

/* dx = rstd (g - a - xh b), and what the row adds to dw and db. */
static void norm_dense_grad(norm_row s, const REAL *restrict dy, const REAL *restrict x,
                            const REAL *restrict w, REAL a, REAL b, int64_t n, REAL *restrict dx,
                            REAL *restrict dw, REAL *restrict db)
{
    for (int64_t i = 0; i < n; i++) {
        const REAL xh = (x[i] - s.high) * s.rstd, g = w ? dy[i] * w[i] : dy[i];
        dx[i] = s.rstd * (g - a - xh * b);
        dw[i] += dy[i] * xh;
        db[i] += dy[i];
    }
}

/* dx = factor dy - a - (x - mean) b */
static void norm_span_grad(norm_row s, const REAL *restrict dy, const REAL *restrict x, REAL factor,
                           REAL a, REAL b, int64_t n, REAL *restrict dx)
{
    for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * factor - a - (x[i] - s.high) * b;
}

static void dense_row_grad(const gr__standardize_grad *s, norm_row r, const REAL *dy, const REAL *x,
                           const REAL *w, REAL *dx, REAL *dw, REAL *db)
{
    const int64_t n = s->channels;
    norm_sums sums = norm_dense_sums(r, dy, x, w, n);
    norm_dense_grad(r, dy, x, w, s->rms ? 0 : (REAL)(sums.g / (double)n),
                    (REAL)(sums.gx / (double)n), n, dx, dw, db);
}

static void span_row_grad(const gr__standardize_grad *s, norm_row r, const REAL *dy, const REAL *x,
                          const REAL *w, REAL *dx, REAL *dw, REAL *db)
{
    const int64_t span = s->span;
    const double n = (double)(s->channels * span), rstd = (double)r.rstd;
    norm_sums row = {0, 0};
    for (int64_t k = 0; k < s->channels; k++) {
        norm_sums sums = norm_dense_sums(r, dy + k * span, x + k * span, NULL, span);
        double weight = w ? (double)w[k] : 1;
        row.g += weight * sums.g;
        row.gx += weight * sums.gx;
        dw[k] += (REAL)sums.gx;
        db[k] += (REAL)sums.g;
    }
    const REAL a = s->rms ? 0 : (REAL)(rstd * row.g / n), b = (REAL)(rstd * rstd * row.gx / n);
    for (int64_t k = 0; k < s->channels; k++)
        norm_span_grad(r, dy + k * span, x + k * span, w ? r.rstd * w[k] : r.rstd, a, b, span,
                       dx + k * span);
}

/* One chunk of outer rows, all their groups. */
static void standardize_rows_grad_chunk(const gr__standardize_grad *s, int64_t chunk)
{
    const int64_t weights = s->groups * s->channels, size = s->channels * s->span;
    const int64_t last = (chunk + 1) * s->chunk < s->outer ? (chunk + 1) * s->chunk : s->outer;
    REAL *dw = (REAL *)s->partial + chunk * 2 * weights, *db = dw + weights;
    memset(dw, 0, (size_t)(2 * weights) * sizeof *dw);
    for (int64_t row = chunk * s->chunk * s->groups; row < last * s->groups; row++) {
        const int64_t first = row % s->groups * s->channels, at = row * size;
        const REAL *w = s->w ? (const REAL *)s->w + first : NULL;
        norm_row r = {((const REAL *)s->mean)[row], 0, ((const REAL *)s->rstd)[row]};
        (s->span == 1 ? dense_row_grad : span_row_grad)(s, r, (const REAL *)s->dy + at,
                                                        (const REAL *)s->x + at, w,
                                                        (REAL *)s->dx + at, dw + first, db + first);
    }
}

static void standardize_rows_grad_range(void *ctx, int64_t begin, int64_t end)
{
    for (int64_t chunk = begin; chunk < end; chunk++) standardize_rows_grad_chunk(ctx, chunk);
}

/* to[i] = sum over chunks of from[chunk][i] */
static void norm_join_chunks(const REAL *from, int64_t chunks, int64_t stride, int64_t n, REAL *to)
{
    enum { COLUMNS_AT_A_TIME = 128 };
    for (int64_t i = 0; i < n; i += COLUMNS_AT_A_TIME) {
        double total[COLUMNS_AT_A_TIME] = {0};
        const int64_t size = n - i < COLUMNS_AT_A_TIME ? n - i : COLUMNS_AT_A_TIME;
        for (int64_t c = 0; c < chunks; c++)
            for (int64_t j = 0; j < size; j++) total[j] += (double)from[c * stride + i + j];
        for (int64_t j = 0; j < size; j++) to[i + j] = (REAL)total[j];
    }
}

static void standardize_rows_grad(gr__standardize_grad *s)
{
    const int64_t weights = s->groups * s->channels;
    const int64_t chunks = (s->outer + s->chunk - 1) / s->chunk;
    gr__parallel_for(chunks, 1, standardize_rows_grad_range, s);
    norm_join_chunks(s->partial, chunks, 2 * weights, weights, s->dw);
    norm_join_chunks((const REAL *)s->partial + weights, chunks, 2 * weights, weights, s->db);
}
