/* scan_real.c - running totals along an axis, for one dtype and instruction set.
 *
 * What runs is carried in double, for a stretch of neighbouring columns at a time; each step takes
 * one row of them.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "kernels.h"
#include "scan.h"

#include <math.h>

enum { SCAN_COLUMNS = 128, SCAN_WORK = 32768 };

/* One row of a stretch: it begins at element `at`, the one before it at `before`. */
typedef struct scan_row {
    int64_t at, before, k;
    bool first;
} scan_row;

typedef struct scan_state {
    double value[SCAN_COLUMNS];
    int64_t index[SCAN_COLUMNS];
} scan_state;

/* --- steps --- */

typedef void scan_step(const gr__scan *s, const scan_row *row, int64_t width, scan_state *state);

static ALWAYS_INLINE void sum_step(const gr__scan *s, const scan_row *row, int64_t width,
                                   scan_state *state)
{
    const REAL *x = (const REAL *)s->x + row->at;
    REAL *y = (REAL *)s->y + row->at;
    for (int64_t c = 0; c < width; c++) {
        double before = row->first ? 0 : state->value[c], total = before + (double)x[c];
        state->value[c] = total;
        y[c] = (REAL)(s->exclusive ? before : total);
    }
}

static ALWAYS_INLINE void product_step(const gr__scan *s, const scan_row *row, int64_t width,
                                       scan_state *state)
{
    const REAL *x = (const REAL *)s->x + row->at;
    REAL *y = (REAL *)s->y + row->at;
    for (int64_t c = 0; c < width; c++) {
        double before = row->first ? 1 : state->value[c], total = before * (double)x[c];
        state->value[c] = total;
        y[c] = (REAL)(s->exclusive ? before : total);
    }
}

static ALWAYS_INLINE void linear_step(const gr__scan *s, const scan_row *row, int64_t width,
                                      scan_state *state)
{
    const REAL *a = (const REAL *)s->a + (s->lag ? row->before : row->at);
    const REAL *x = (const REAL *)s->x + row->at;
    REAL *y = (REAL *)s->y + row->at;
    for (int64_t c = 0; c < width; c++) {
        double carried = row->first ? 0 : (double)a[c] * state->value[c];
        state->value[c] = carried + (double)x[c];
        y[c] = (REAL)state->value[c];
    }
}

/* log(exp a + exp b), without overflow. */
static double log_add(double a, double b)
{
    if (a == b) return a + 0.69314718055994530942;
    return (a > b ? a : b) + log1p(exp(-fabs(a - b)));
}

static ALWAYS_INLINE void logsumexp_step(const gr__scan *s, const scan_row *row, int64_t width,
                                         scan_state *state)
{
    const REAL *x = (const REAL *)s->x + row->at;
    REAL *y = (REAL *)s->y + row->at;
    for (int64_t c = 0; c < width; c++) {
        double v = (double)x[c];
        state->value[c] = row->first ? v : log_add(state->value[c], v);
        y[c] = (REAL)state->value[c];
    }
}

/* The last of equals; the last NaN, once there is one. */
static ALWAYS_INLINE void extreme_step(const gr__scan *s, const scan_row *row, int64_t width,
                                       scan_state *state)
{
    const REAL *x = (const REAL *)s->x + row->at;
    REAL *y = (REAL *)s->y + row->at;
    for (int64_t c = 0; c < width; c++) {
        double v = (double)x[c], most = state->value[c];
        if (row->first || v != v || (s->least ? v <= most : v >= most)) {
            state->value[c] = v;
            state->index[c] = row->k;
        }
        y[c] = (REAL)state->value[c];
        s->index[row->at + c] = state->index[c];
    }
}

/* --- walking --- */

static ALWAYS_INLINE void scan_stretch(const gr__scan *s, int64_t start, int64_t width,
                                       scan_step *step)
{
    scan_state state;
    scan_row row = {.first = true};
    for (int64_t c = 0; c < width; c++) {
        state.value[c] = 0;
        state.index[c] = 0;
    }
    for (int64_t i = 0; i < s->n; i++) {
        row.before = row.at;
        row.k = s->reverse ? s->n - 1 - i : i;
        row.at = start + row.k * s->inner;
        step(s, &row, width, &state);
        row.first = false;
    }
}

static ALWAYS_INLINE void scan_range(const gr__scan *s, int64_t begin, int64_t end, scan_step *step)
{
    int64_t pieces = (s->inner + SCAN_COLUMNS - 1) / SCAN_COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        int64_t column = i % pieces * SCAN_COLUMNS, left = s->inner - column;
        int64_t start = i / pieces * s->n * s->inner + column;
        if (s->inner == 1) scan_stretch(s, start, 1, step);
        else scan_stretch(s, start, left < SCAN_COLUMNS ? left : SCAN_COLUMNS, step);
    }
}

static void sum_range(void *ctx, int64_t begin, int64_t end)
{
    scan_range(ctx, begin, end, sum_step);
}

static void product_range(void *ctx, int64_t begin, int64_t end)
{
    scan_range(ctx, begin, end, product_step);
}

static void linear_range(void *ctx, int64_t begin, int64_t end)
{
    scan_range(ctx, begin, end, linear_step);
}

static void logsumexp_range(void *ctx, int64_t begin, int64_t end)
{
    scan_range(ctx, begin, end, logsumexp_step);
}

static void extreme_range(void *ctx, int64_t begin, int64_t end)
{
    scan_range(ctx, begin, end, extreme_step);
}

/* --- entry --- */

static void scan(gr__scan *s, gr__range_fn *range)
{
    int64_t pieces = (s->inner + SCAN_COLUMNS - 1) / SCAN_COLUMNS;
    int64_t width = s->inner < SCAN_COLUMNS ? s->inner : SCAN_COLUMNS;
    gr__parallel_for(s->outer * pieces, 1 + SCAN_WORK / (s->n * width + 1), range, s);
}

static void scan_sum(gr__scan *s)
{
    scan(s, sum_range);
}

static void scan_product(gr__scan *s)
{
    scan(s, product_range);
}

static void scan_linear(gr__scan *s)
{
    scan(s, linear_range);
}

static void scan_logsumexp(gr__scan *s)
{
    scan(s, logsumexp_range);
}

static void scan_extreme(gr__scan *s)
{
    scan(s, extreme_range);
}
