/* band_real.c - weighted sums of neighbours along an axis; see band.h. */
/* SPDX-License-Identifier: MIT */
#include "band.h"
#include "instance.h"

enum { BAND_COLUMNS = 64 };

/* `count` rows of x, `pitch` apart, times their weights: n columns of y, at most BAND_COLUMNS. */
static ALWAYS_INLINE void band_sum(const REAL *x, int64_t pitch, const double *w, int64_t count,
                                   int64_t n, REAL *y)
{
    double sum[BAND_COLUMNS];
    for (int64_t j = 0; j < n; j++) sum[j] = 0;
    for (int64_t k = 0; k < count; k++)
        for (int64_t j = 0; j < n; j++) sum[j] += w[k] * (double)x[k * pitch + j];
    for (int64_t j = 0; j < n; j++) y[j] = (REAL)sum[j];
}

/* Of the outer indices [begin, end). */
static void band(void *ctx, int64_t begin, int64_t end)
{
    const gr__band *b = ctx;
    const int64_t inner = b->inner;
    for (int64_t o = begin; o < end; o++)
        for (int64_t i = 0; i < b->m; i++) {
            const REAL *x = (const REAL *)b->x + (o * b->n + b->begin[i]) * inner;
            REAL *y = (REAL *)b->y + (o * b->m + i) * inner;
            const double *w = b->weight + b->at[i];
            int64_t count = b->at[i + 1] - b->at[i];
            if (inner == 1) band_sum(x, 1, w, count, 1, y);
            else
                for (int64_t j = 0; j < inner; j += BAND_COLUMNS)
                    band_sum(x + j, inner, w, count,
                             inner - j < BAND_COLUMNS ? inner - j : BAND_COLUMNS, y + j);
        }
}
