/* softmax_real.c - softmax along one axis, for one dtype and instruction set.
 *
 * The largest element is taken off before exp, so that nothing overflows and the sum is at least
 * 1. Sums add in REAL over short stretches and in double across them. Where a logarithm follows, the
 * largest element is left out of the sum and log1p puts it back: a loss near 0 keeps its digits.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "elementary.h"
#include "instance.h"
#include "kernels.h"
#include "softmax.h"

enum {
    SOFTMAX_VECS = 4, /* added side by side */
    SOFTMAX_LANES = 16,
    SOFTMAX_LINE = 64 / sizeof(REAL), /* of the cache */
    SOFTMAX_STRETCH = 1024,           /* terms added in REAL */
    SOFTMAX_COLUMNS = 128 /* columns worked on at a time where the axis is not the last */
};

/* Tasks that one thread takes at a time, each over n elements. */
static int64_t softmax_grain(int64_t n)
{
    return n >= 16384 ? 1 : 16384 / (n + 1) + 1;
}

/* --- rows: the axis is the innermost one --- */

static ALWAYS_INLINE vec softmax_larger(const REAL *x, vec most)
{
    const vec v = vec_load(x);
    return vec_choose(v > most, v, most);
}

/* NaN may be passed over: it then turns up in the sum. */
static REAL softmax_max(const REAL *x, int64_t n)
{
    const vec none = (vec){0} - (REAL)INFINITY;
    vec most[SOFTMAX_VECS] = {none, none, none, none};
    REAL lane[VEC_LANES], largest = (REAL)-INFINITY;
    int64_t i = 0;
    for (; i + SOFTMAX_VECS * VEC_LANES <= n; i += SOFTMAX_VECS * VEC_LANES) {
        UNROLL
        for (int v = 0; v < SOFTMAX_VECS; v++)
            most[v] = softmax_larger(x + i + v * VEC_LANES, most[v]);
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) most[0] = softmax_larger(x + i, most[0]);
    for (int v = 1; v < SOFTMAX_VECS; v++)
        most[0] = vec_choose(most[v] > most[0], most[v], most[0]);
    vec_store(lane, most[0]);
    for (int l = 0; l < VEC_LANES; l++) largest = lane[l] > largest ? lane[l] : largest;
    for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static double softmax_sum(const REAL *x, int64_t n)
{
    vec sum[SOFTMAX_VECS] = {{0}};
    REAL lane[SOFTMAX_VECS * VEC_LANES];
    double total = 0;
    int64_t i = 0;
    for (; i + SOFTMAX_VECS * VEC_LANES <= n; i += SOFTMAX_VECS * VEC_LANES) {
        UNROLL
        for (int v = 0; v < SOFTMAX_VECS; v++) sum[v] += vec_load(x + i + v * VEC_LANES);
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) sum[0] += vec_load(x + i);
    memcpy(lane, sum, sizeof lane);
    for (int l = 0; l < SOFTMAX_VECS * VEC_LANES; l++) total += (double)lane[l];
    for (; i < n; i++) total += (double)x[i];
    return total;
}

/* y_i = exp(x_i - most); returns their sum. */
static double softmax_exp(const REAL *x, REAL most, int64_t n, REAL *y)
{
    double total = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        int64_t m = n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH;
        for (int64_t j = i; j < i + m; j++) y[j] = gr__exp_term(x[j] - most);
        total += softmax_sum(y + i, m);
    }
    return total;
}

/* Into the cache, while there is arithmetic to do. */
static void softmax_fetch(const REAL *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += SOFTMAX_LINE) __builtin_prefetch(x + i);
}

/* The sum of exp(x_i - most) over the x_i below most; *equal: how many are not. Meanwhile the row
 * `next` comes into the cache. */
static double softmax_rest(const REAL *x, REAL most, int64_t n, const REAL *next, int64_t *equal)
{
    REAL stretch[SOFTMAX_STRETCH];
    double rest = 0;
    *equal = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        int64_t m = n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH;
        int count = 0;
        softmax_fetch(next + i, m);
        for (int64_t j = 0; j < m; j++) {
            REAL e = gr__exp_term(x[i + j] - most);
            stretch[j] = x[i + j] == most ? 0 : e;
            count += x[i + j] == most;
        }
        rest += softmax_sum(stretch, m);
        *equal += count;
    }
    return rest;
}

/* log(rest + equal), NaN if the largest element is not finite. */
static double softmax_log(double rest, int64_t equal, REAL most)
{
    if (!isfinite(most)) return NAN;
    return equal == 1 ? log1p(rest) : log(rest + (double)equal);
}

static double softmax_log_sum(const REAL *x, REAL most, int64_t n, const REAL *next)
{
    int64_t equal;
    double rest = softmax_rest(x, most, n, next, &equal);
    return softmax_log(rest, equal, most);
}

static void softmax_rows(void *ctx, int64_t begin, int64_t end)
{
    const gr__softmax *s = ctx;
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)s->x + row * s->n;
        REAL *y = (REAL *)s->y + row * s->n, most = softmax_max(x, s->n);
        if (s->log) {
            const REAL *next = row + 1 < end ? x + s->n : x;
            REAL less = (REAL)softmax_log_sum(x, most, s->n, next);
            for (int64_t i = 0; i < s->n; i++) y[i] = (x[i] - most) - less;
        } else {
            REAL factor = (REAL)(1 / softmax_exp(x, most, s->n, y));
            for (int64_t i = 0; i < s->n; i++) y[i] *= factor;
        }
    }
}

/* --- columns: whole stretches of an inner axis at a time --- */

static void softmax_stretch(const gr__softmax *s, const REAL *x, REAL *y, int64_t width)
{
    REAL most[SOFTMAX_COLUMNS], last[SOFTMAX_COLUMNS];
    double total[SOFTMAX_COLUMNS] = {0};
    int32_t equal[SOFTMAX_COLUMNS] = {
        0}; /* to the largest; these are left out of the total of a log */
    for (int64_t c = 0; c < width; c++) most[c] = (REAL)-INFINITY;
    for (int64_t k = 0; k < s->n; k++)
        for (int64_t c = 0; c < width; c++) {
            REAL v = x[k * s->inner + c];
            most[c] = v > most[c] ? v : most[c];
        }
    for (int64_t k = 0; k < s->n; k++)
        for (int64_t c = 0; c < width; c++) {
            REAL v = x[k * s->inner + c], e = gr__exp_term(v - most[c]);
            const int largest = s->log && v == most[c];
            y[k * s->inner + c] = e;
            total[c] += largest ? 0 : (double)e;
            equal[c] += largest;
        }
    for (int64_t c = 0; c < width; c++)
        last[c] = (REAL)(s->log ? softmax_log(total[c], equal[c], most[c]) : 1 / total[c]);
    for (int64_t k = 0; k < s->n; k++)
        for (int64_t c = 0; c < width; c++) {
            REAL *at = y + k * s->inner + c;
            *at = s->log ? (x[k * s->inner + c] - most[c]) - last[c] : *at * last[c];
        }
}

static void softmax_columns(void *ctx, int64_t begin, int64_t end)
{
    const gr__softmax *s = ctx;
    int64_t pieces = (s->inner + SOFTMAX_COLUMNS - 1) / SOFTMAX_COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        int64_t column = i % pieces * SOFTMAX_COLUMNS, left = s->inner - column;
        int64_t first = i / pieces * s->n * s->inner + column;
        softmax_stretch(s, (const REAL *)s->x + first, (REAL *)s->y + first,
                        left < SOFTMAX_COLUMNS ? left : SOFTMAX_COLUMNS);
    }
}

/* --- gradient: dx = y (dy - sum dy y), of the logarithm dx = dy - exp(y) sum dy --- */

/* The sum of dy y, or of dy where y is NULL. */
static double softmax_dot(const REAL *dy, const REAL *y, int64_t n)
{
    double total = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        REAL lane[SOFTMAX_LANES] = {0};
        const int64_t end = n - i < SOFTMAX_STRETCH ? n : i + SOFTMAX_STRETCH;
        int64_t j = i;
        for (; j + SOFTMAX_LANES <= end; j += SOFTMAX_LANES)
            for (int l = 0; l < SOFTMAX_LANES; l++) lane[l] += y ? dy[j + l] * y[j + l] : dy[j + l];
        for (int l = 0; j < end; j++, l++) lane[l] += y ? dy[j] * y[j] : dy[j];
        for (int l = 0; l < SOFTMAX_LANES; l++) total += (double)lane[l];
    }
    return total;
}

static void softmax_grad_rows(void *ctx, int64_t begin, int64_t end)
{
    const gr__softmax_grad *s = ctx;
    for (int64_t row = begin; row < end; row++) {
        const REAL *dy = (const REAL *)s->dy + row * s->n, *y = (const REAL *)s->y + row * s->n;
        REAL *dx = (REAL *)s->dx + row * s->n;
        const REAL total = (REAL)softmax_dot(dy, s->log ? NULL : y, s->n);
        if (s->log)
            for (int64_t i = 0; i < s->n; i++) dx[i] = dy[i] - gr__exp_term(y[i]) * total;
        else
            for (int64_t i = 0; i < s->n; i++) dx[i] = y[i] * (dy[i] - total);
    }
}

static void softmax_grad_stretch(const gr__softmax_grad *s, int64_t first, int64_t width)
{
    const REAL *dy = (const REAL *)s->dy + first, *y = (const REAL *)s->y + first;
    REAL *dx = (REAL *)s->dx + first, total[SOFTMAX_COLUMNS];
    double sum[SOFTMAX_COLUMNS] = {0};
    for (int64_t k = 0; k < s->n; k++)
        for (int64_t c = 0, at = k * s->inner; c < width; c++, at++)
            sum[c] += (double)(s->log ? dy[at] : dy[at] * y[at]);
    for (int64_t c = 0; c < width; c++) total[c] = (REAL)sum[c];
    for (int64_t k = 0; k < s->n; k++)
        for (int64_t c = 0, at = k * s->inner; c < width; c++, at++)
            dx[at] = s->log ? dy[at] - gr__exp_term(y[at]) * total[c] : y[at] * (dy[at] - total[c]);
}

static void softmax_grad_columns(void *ctx, int64_t begin, int64_t end)
{
    const gr__softmax_grad *s = ctx;
    int64_t pieces = (s->inner + SOFTMAX_COLUMNS - 1) / SOFTMAX_COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        int64_t column = i % pieces * SOFTMAX_COLUMNS, left = s->inner - column;
        softmax_grad_stretch(s, i / pieces * s->n * s->inner + column,
                             left < SOFTMAX_COLUMNS ? left : SOFTMAX_COLUMNS);
    }
}

/* Rows, or columns in pieces, as tasks. */
static void softmax_tasks(int64_t outer, int64_t n, int64_t inner, gr__range_fn *rows,
                          gr__range_fn *columns, void *ctx)
{
    int64_t pieces = (inner + SOFTMAX_COLUMNS - 1) / SOFTMAX_COLUMNS;
    if (n == 0) return;
    if (inner == 1) gr__parallel_for(outer, softmax_grain(n), rows, ctx);
    else gr__parallel_for(outer * pieces, softmax_grain(n * SOFTMAX_COLUMNS), columns, ctx);
}

static void softmax(gr__softmax *s)
{
    softmax_tasks(s->outer, s->n, s->inner, softmax_rows, softmax_columns, s);
}

static void softmax_grad(gr__softmax_grad *s)
{
    softmax_tasks(s->outer, s->n, s->inner, softmax_grad_rows, softmax_grad_columns, s);
}
