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
    NORM_LANES = 16,
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

static double norm_lanes(const REAL *lane)
{
    double total = 0;
    for (int l = 0; l < NORM_LANES; l++) total += (double)lane[l];
    return total;
}

static double norm_sum(const REAL *x, int64_t n)
{
    REAL lane[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int l = 0; l < NORM_LANES; l++) lane[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) lane[l] += x[i];
    return norm_lanes(lane);
}

/* The sums of x - about and of its square. */
static void norm_spread(const REAL *x, int64_t n, REAL about, double *sum, double *squares)
{
    REAL lane[NORM_LANES] = {0}, square[NORM_LANES] = {0};
    int64_t i = 0;
    for (; i + NORM_LANES <= n; i += NORM_LANES)
        for (int l = 0; l < NORM_LANES; l++) {
            const REAL d = x[i + l] - about;
            lane[l] += d;
            square[l] += d * d;
        }
    for (int l = 0; i < n; i++, l++) {
        const REAL d = x[i] - about;
        lane[l] += d;
        square[l] += d * d;
    }
    *sum = norm_lanes(lane);
    *squares = norm_lanes(square);
}

/* A piece is seen about its mean as rounded sums give it, and what that is off is put right. */
static void norm_add(norm_moments *m, const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += NORM_PIECE) {
        const int64_t size = n - i < NORM_PIECE ? n - i : NORM_PIECE;
        const REAL about = (REAL)(norm_sum(x + i, size) / (double)size);
        double sum, squares;
        norm_spread(x + i, size, about, &sum, &squares);
        const double off = sum / (double)size;
        norm_join(m, (norm_moments){(double)size, (double)about + off, squares - sum * off});
    }
}

/* About 0. */
static void norm_add_squares(norm_moments *m, const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += NORM_PIECE) {
        const int64_t size = n - i < NORM_PIECE ? n - i : NORM_PIECE;
        double sum, squares;
        norm_spread(x + i, size, 0, &sum, &squares);
        norm_join(m, (norm_moments){(double)size, 0, squares});
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

typedef struct norm_sums {
    double g, gx; /* of g and of g xh */
} norm_sums;

/* Sums of g and g xh over a row with a weight per element. */
static norm_sums norm_dense_sums(norm_row s, const REAL *restrict dy, const REAL *restrict x,
                                 const REAL *restrict w, int64_t n)
{
    norm_sums sums = {0, 0};
    for (int64_t i = 0; i < n; i += NORM_PIECE) {
        REAL g[NORM_LANES] = {0}, gx[NORM_LANES] = {0};
        const int64_t end = n - i < NORM_PIECE ? n : i + NORM_PIECE;
        int64_t j = i;
        for (; j + NORM_LANES <= end; j += NORM_LANES)
            for (int l = 0; l < NORM_LANES; l++) {
                const REAL v = w ? dy[j + l] * w[j + l] : dy[j + l];
                g[l] += v;
                gx[l] += v * (x[j + l] - s.high);
            }
        for (int l = 0; j < end; j++, l++) {
            const REAL v = w ? dy[j] * w[j] : dy[j];
            g[l] += v;
            gx[l] += v * (x[j] - s.high);
        }
        sums.g += norm_lanes(g);
        sums.gx += norm_lanes(gx) * (double)s.rstd;
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
