/* softmax_real.c - softmax and cross-entropy, for one dtype and instruction set.
 *
 * The largest element is taken off before exp, so that nothing overflows and the sum is at least
 * 1. Sums add in REAL over short stretches and in double across them. Where a logarithm follows, the
 * largest element is left out of the sum and log1p puts it back: a loss near 0 keeps its digits.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "elementary.h"
#include "kernels.h"
#include "softmax.h"

enum {
    SOFTMAX_LANES = 16,
    SOFTMAX_STRETCH = 1024, /* terms added in REAL */
    SOFTMAX_COLUMNS = 128   /* columns worked on at a time where the axis is not the last */
};

/* Tasks that one thread takes at a time, each over n elements. */
static int64_t softmax_grain(int64_t n)
{
    return n >= 16384 ? 1 : 16384 / (n + 1) + 1;
}

/* --- rows: the axis is the innermost one --- */

/* NaN may be passed over: it then turns up in the sum. */
static REAL softmax_max(const REAL *x, int64_t n)
{
    REAL lane[SOFTMAX_LANES], most;
    for (int l = 0; l < SOFTMAX_LANES; l++) lane[l] = (REAL)-INFINITY;
    int64_t i = 0;
    for (; i + SOFTMAX_LANES <= n; i += SOFTMAX_LANES)
        for (int l = 0; l < SOFTMAX_LANES; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (int l = 0; i < n; i++, l++) lane[l] = x[i] > lane[l] ? x[i] : lane[l];
    most = lane[0];
    for (int l = 1; l < SOFTMAX_LANES; l++) most = lane[l] > most ? lane[l] : most;
    return most;
}

static double softmax_sum(const REAL *x, int64_t n)
{
    REAL lane[SOFTMAX_LANES] = {0};
    double total = 0;
    int64_t i = 0;
    for (; i + SOFTMAX_LANES <= n; i += SOFTMAX_LANES)
        for (int l = 0; l < SOFTMAX_LANES; l++) lane[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) lane[l] += x[i];
    for (int l = 0; l < SOFTMAX_LANES; l++) total += (double)lane[l];
    return total;
}

/* As softmax_sum, in stretches. */
static double softmax_total(const REAL *x, int64_t n)
{
    double total = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH)
        total += softmax_sum(x + i, n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH);
    return total;
}

/* y_i = exp(x_i - most); returns their sum. */
static double softmax_exp(const REAL *x, REAL most, int64_t n, REAL *y)
{
    double total = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        int64_t m = n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH;
        for (int64_t j = i; j < i + m; j++) y[j] = gr__exp(x[j] - most);
        total += softmax_sum(y + i, m);
    }
    return total;
}

/* The sum of exp(x_i - most) over the x_i below most; *equal: how many are not. */
static double softmax_rest(const REAL *x, REAL most, int64_t n, int64_t *equal)
{
    REAL stretch[SOFTMAX_STRETCH];
    double rest = 0;
    *equal = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        int64_t m = n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH;
        int count = 0;
        for (int64_t j = 0; j < m; j++) {
            REAL e = gr__exp(x[i + j] - most);
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

static double softmax_log_sum(const REAL *x, REAL most, int64_t n)
{
    int64_t equal;
    double rest = softmax_rest(x, most, n, &equal);
    return softmax_log(rest, equal, most);
}

static void softmax_rows(void *ctx, int64_t begin, int64_t end)
{
    const gr__softmax *s = ctx;
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)s->x + row * s->n;
        REAL *y = (REAL *)s->y + row * s->n, most = softmax_max(x, s->n);
        if (s->log) {
            REAL less = (REAL)softmax_log_sum(x, most, s->n);
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
            REAL v = x[k * s->inner + c], e = gr__exp(v - most[c]);
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
            for (int64_t i = 0; i < s->n; i++) dx[i] = dy[i] - gr__exp(y[i]) * total;
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
            dx[at] = s->log ? dy[at] - gr__exp(y[at]) * total[c] : y[at] * (dy[at] - total[c]);
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

/* --- cross-entropy: -log softmax(x)[target] = log sum exp(x - most) - (x[target] - most) --- */

typedef struct cross_entropy_job {
    const gr__cross_entropy *c;
    double *loss;        /* [rows] */
    const double *scale; /* [rows] */
    REAL *dx;
} cross_entropy_job;

static int cross_entropy_skips(const gr__cross_entropy *c, int64_t row)
{
    return c->ignored && c->target[row] == *c->ignored;
}

/* The mean over all classes of x_j - most. */
static double cross_entropy_below(const REAL *x, REAL most, int64_t n)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += (double)(x[i] - most);
    return total / (double)n;
}

static void cross_entropy_rows(void *ctx, int64_t begin, int64_t end)
{
    const cross_entropy_job *job = ctx;
    const gr__cross_entropy *c = job->c;
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)c->x + row * c->classes;
        job->loss[row] = 0;
        if (cross_entropy_skips(c, row)) continue;
        REAL most = softmax_max(x, c->classes);
        double right = (double)(x[c->target[row]] - most);
        if (c->smoothing != 0)
            right += c->smoothing * (cross_entropy_below(x, most, c->classes) - right);
        job->loss[row] = softmax_log_sum(x, most, c->classes) - right;
    }
}

/* The loss of each row, as double. */
static void cross_entropy(const gr__cross_entropy *c, double *loss)
{
    cross_entropy_job job = {.c = c, .loss = loss};
    gr__parallel_for(c->rows, softmax_grain(c->classes), cross_entropy_rows, &job);
}

static void cross_entropy_grad_rows(void *ctx, int64_t begin, int64_t end)
{
    const cross_entropy_job *job = ctx;
    const gr__cross_entropy *c = job->c;
    const REAL spread = (REAL)(c->smoothing / (double)c->classes);
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)c->x + row * c->classes;
        REAL *dx = job->dx + row * c->classes;
        if (cross_entropy_skips(c, row)) {
            for (int64_t i = 0; i < c->classes; i++) dx[i] = 0;
            continue;
        }
        REAL *right = &dx[c->target[row]];
        double total = softmax_exp(x, softmax_max(x, c->classes), c->classes, dx);
        const REAL factor = (REAL)(1 / total), scale = (REAL)job->scale[row];
        *right = 0; /* p - 1 as minus the others: no difference of two numbers near 1 */
        *right = (REAL)(c->smoothing * total - softmax_total(dx, c->classes));
        for (int64_t i = 0; i < c->classes; i++) dx[i] = (dx[i] * factor - spread) * scale;
    }
}

/* dx = scale[row] (softmax(x) - q). */
static void cross_entropy_grad(const gr__cross_entropy *c, const double *scale, void *dx)
{
    cross_entropy_job job = {.c = c, .scale = scale, .dx = dx};
    gr__parallel_for(c->rows, softmax_grain(c->classes), cross_entropy_grad_rows, &job);
}
