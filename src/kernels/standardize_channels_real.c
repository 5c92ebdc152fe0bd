/* standardize_channels_real.c - statistics over a batch, for one dtype and instruction set.
 *
 * A channel is `outer` runs of `span` elements. Where the runs are single elements the channels are
 * columns, and whole rows of them are worked on at a time. Moments as in standardize_real.c.
 */
/* SPDX-License-Identifier: MIT */
#include "standardize.h"

enum {
    CHANNEL_COLUMNS = 64, /* columns at a time */
    CHANNEL_ROWS = 64     /* rows whose sum is taken in REAL */
};

static double channel_unbiased(const norm_moments *m)
{
    return m->m2 / (m->count - 1);
}

/* --- runs --- */

/* How many runs make a piece. */
static int64_t runs_at_a_time(int64_t span)
{
    return span > 0 && span < NORM_PIECE ? NORM_PIECE / span : 1;
}

static norm_moments channel_moments(const REAL *x, int64_t outer, int64_t span, int64_t step)
{
    const int64_t most = runs_at_a_time(span);
    norm_moments m = {0, 0, 0};
    for (int64_t i = 0; i < outer; i += most) {
        const int64_t runs = outer - i < most ? outer - i : most;
        if (span > NORM_PIECE) norm_add(&m, x + i * step, span);
        else norm_add_piece(&m, (norm_piece){runs, span, step}, x + i * step);
    }
    return m;
}

static void standardize_runs(void *ctx, int64_t begin, int64_t end)
{
    const gr__standardize *s = ctx;
    const int64_t step = s->channels * s->span;
    for (int64_t c = begin; c < end; c++) {
        const REAL *x = (const REAL *)s->x + c * s->span;
        REAL *y = (REAL *)s->y + c * s->span;
        const REAL w = s->w ? ((const REAL *)s->w)[c] : 1, b = s->b ? ((const REAL *)s->b)[c] : 0;
        const norm_moments m = channel_moments(x, s->outer, s->span, step);
        norm_row r = norm_row_of(m.mean, norm_rstd(&m, s->eps));
        for (int64_t i = 0; i < s->outer; i++)
            norm_span(r, x + i * step, w, b, s->span, y + i * step);
        ((REAL *)s->mean)[c] = r.high;
        ((REAL *)s->rstd)[c] = r.rstd;
        ((REAL *)s->variance)[c] = (REAL)channel_unbiased(&m);
    }
}

static norm_sums channel_sums(const gr__standardize_grad *s, norm_row r, const REAL *dy,
                              const REAL *x)
{
    const int64_t step = s->channels * s->span, most = runs_at_a_time(s->span);
    norm_sums sums = {0, 0};
    for (int64_t i = 0; i < s->outer; i += most, dy += most * step, x += most * step) {
        const norm_piece p = {s->outer - i < most ? s->outer - i : most, s->span, step};
        const norm_sums piece = s->span > NORM_PIECE ? norm_dense_sums(r, dy, x, NULL, s->span)
                                                     : norm_piece_sums(r, p, dy, x, NULL);
        sums.g += piece.g;
        sums.gx += piece.gx;
    }
    return sums;
}

static void standardize_runs_grad(void *ctx, int64_t begin, int64_t end)
{
    const gr__standardize_grad *s = ctx;
    const int64_t step = s->channels * s->span;
    const double n = (double)(s->outer * s->span);
    for (int64_t c = begin; c < end; c++) {
        const int64_t first = c * s->span;
        const REAL *dy = (const REAL *)s->dy + first, *x = (const REAL *)s->x + first;
        norm_row r = {((const REAL *)s->mean)[c], 0, ((const REAL *)s->rstd)[c]};
        const norm_sums sums = channel_sums(s, r, dy, x);
        const REAL factor = s->w ? r.rstd * ((const REAL *)s->w)[c] : r.rstd;
        const REAL a = factor * (REAL)(sums.g / n), b = factor * r.rstd * (REAL)(sums.gx / n);
        for (int64_t i = 0; i < s->outer; i++)
            norm_span_grad(r, dy + i * step, x + i * step, factor, a, b, s->span,
                           (REAL *)s->dx + first + i * step);
        ((REAL *)s->dw)[c] = (REAL)sums.gx;
        ((REAL *)s->db)[c] = (REAL)sums.g;
    }
}

/* --- columns --- */

/* Of `width` columns, x being [rows, stride]. */
static void column_moments(const REAL *x, int64_t rows, int64_t stride, int64_t width,
                           norm_moments *m)
{
    for (int64_t c = 0; c < width; c++) m[c] = (norm_moments){0, 0, 0};
    for (int64_t row = 0; row < rows; row += CHANNEL_ROWS) {
        REAL about[CHANNEL_COLUMNS] = {0}, sum[CHANNEL_COLUMNS] = {0};
        REAL squares[CHANNEL_COLUMNS] = {0};
        const int64_t size = rows - row < CHANNEL_ROWS ? rows - row : CHANNEL_ROWS;
        const REAL *piece = x + row * stride;
        for (int64_t i = 0; i < size; i++)
            for (int64_t c = 0; c < width; c++) about[c] += piece[i * stride + c];
        for (int64_t c = 0; c < width; c++) about[c] /= (REAL)size;
        for (int64_t i = 0; i < size; i++)
            for (int64_t c = 0; c < width; c++) {
                const REAL d = piece[i * stride + c] - about[c];
                sum[c] += d;
                squares[c] += d * d;
            }
        for (int64_t c = 0; c < width; c++) {
            const double off = (double)sum[c] / (double)size;
            const double m2 = (double)squares[c] - (double)sum[c] * off;
            norm_join(&m[c], (norm_moments){(double)size, (double)about[c] + off, m2});
        }
    }
}

static void standardize_columns(const gr__standardize *s, int64_t first, int64_t width)
{
    norm_moments m[CHANNEL_COLUMNS];
    norm_row r[CHANNEL_COLUMNS];
    REAL high[CHANNEL_COLUMNS], low[CHANNEL_COLUMNS], factor[CHANNEL_COLUMNS];
    REAL shift[CHANNEL_COLUMNS];
    column_moments((const REAL *)s->x + first, s->outer, s->channels, width, m);
    for (int64_t c = 0; c < width; c++) {
        r[c] = norm_row_of(m[c].mean, norm_rstd(&m[c], s->eps));
        high[c] = r[c].high;
        low[c] = r[c].low;
        factor[c] = s->w ? r[c].rstd * ((const REAL *)s->w)[first + c] : r[c].rstd;
        shift[c] = s->b ? ((const REAL *)s->b)[first + c] : 0;
        ((REAL *)s->mean)[first + c] = r[c].high;
        ((REAL *)s->rstd)[first + c] = r[c].rstd;
        ((REAL *)s->variance)[first + c] = (REAL)channel_unbiased(&m[c]);
    }
    for (int64_t i = 0; i < s->outer; i++) {
        const REAL *x = (const REAL *)s->x + i * s->channels + first;
        REAL *y = (REAL *)s->y + i * s->channels + first;
        for (int64_t c = 0; c < width; c++)
            y[c] = ((x[c] - high[c]) - low[c]) * factor[c] + shift[c];
    }
}

/* g and gx: sums of dy and of dy xh. */
static void column_sums(const gr__standardize_grad *s, int64_t first, int64_t width, double *g,
                        double *gx)
{
    const REAL *mean = (const REAL *)s->mean + first;
    for (int64_t c = 0; c < width; c++) g[c] = gx[c] = 0;
    for (int64_t row = 0; row < s->outer; row += CHANNEL_ROWS) {
        REAL sum[CHANNEL_COLUMNS] = {0}, sum_x[CHANNEL_COLUMNS] = {0};
        const int64_t end = s->outer - row < CHANNEL_ROWS ? s->outer : row + CHANNEL_ROWS;
        for (int64_t i = row; i < end; i++) {
            const REAL *dy = (const REAL *)s->dy + i * s->channels + first;
            const REAL *x = (const REAL *)s->x + i * s->channels + first;
            for (int64_t c = 0; c < width; c++) {
                sum[c] += dy[c];
                sum_x[c] += dy[c] * (x[c] - mean[c]);
            }
        }
        for (int64_t c = 0; c < width; c++) {
            g[c] += (double)sum[c];
            gx[c] += (double)sum_x[c] * (double)((const REAL *)s->rstd)[first + c];
        }
    }
}

static void standardize_columns_grad(const gr__standardize_grad *s, int64_t first, int64_t width)
{
    double g[CHANNEL_COLUMNS], gx[CHANNEL_COLUMNS];
    REAL factor[CHANNEL_COLUMNS], a[CHANNEL_COLUMNS], b[CHANNEL_COLUMNS];
    const REAL *mean = (const REAL *)s->mean + first, *rstd = (const REAL *)s->rstd + first;
    column_sums(s, first, width, g, gx);
    for (int64_t c = 0; c < width; c++) {
        factor[c] = s->w ? rstd[c] * ((const REAL *)s->w)[first + c] : rstd[c];
        a[c] = factor[c] * (REAL)(g[c] / (double)s->outer);
        b[c] = factor[c] * rstd[c] * (REAL)(gx[c] / (double)s->outer);
        ((REAL *)s->dw)[first + c] = (REAL)gx[c];
        ((REAL *)s->db)[first + c] = (REAL)g[c];
    }
    for (int64_t i = 0; i < s->outer; i++) {
        const int64_t at = i * s->channels + first;
        const REAL *dy = (const REAL *)s->dy + at, *x = (const REAL *)s->x + at;
        REAL *dx = (REAL *)s->dx + at;
        for (int64_t c = 0; c < width; c++)
            dx[c] = dy[c] * factor[c] - a[c] - (x[c] - mean[c]) * b[c];
    }
}

static int64_t column_width(int64_t channels, int64_t tile)
{
    const int64_t left = channels - tile * CHANNEL_COLUMNS;
    return left < CHANNEL_COLUMNS ? left : CHANNEL_COLUMNS;
}

static void standardize_columns_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__standardize *s = ctx;
    for (int64_t i = begin; i < end; i++)
        standardize_columns(s, i * CHANNEL_COLUMNS, column_width(s->channels, i));
}

static void standardize_columns_grad_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__standardize_grad *s = ctx;
    for (int64_t i = begin; i < end; i++)
        standardize_columns_grad(s, i * CHANNEL_COLUMNS, column_width(s->channels, i));
}

/* --- entry --- */

static void channels_run(int64_t outer, int64_t channels, int64_t span, gr__range_fn *runs,
                         gr__range_fn *columns, void *ctx)
{
    const int64_t tiles = (channels + CHANNEL_COLUMNS - 1) / CHANNEL_COLUMNS;
    if (span != 1) gr__parallel_for(channels, NORM_GRAIN / (outer * span + 1) + 1, runs, ctx);
    else gr__parallel_for(tiles, NORM_GRAIN / (outer * CHANNEL_COLUMNS + 1) + 1, columns, ctx);
}

static void standardize_channels(gr__standardize *s)
{
    channels_run(s->outer, s->channels, s->span, standardize_runs, standardize_columns_range, s);
}

static void standardize_channels_grad(gr__standardize_grad *s)
{
    channels_run(s->outer, s->channels, s->span, standardize_runs_grad,
                 standardize_columns_grad_range, s);
}
