/* cross_entropy_real.c - cross-entropy of rows of scores, for one dtype and instruction set.
 *
 *   -log softmax(x)[target] = log sum_j exp(x_j - most) - (x[target] - most)
 *
 * A row is read twice, for its largest element and for the exponentials. The second time it lies in
 * cache, and there is arithmetic enough to fetch the next row meanwhile.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "elementary.h"
#include "instance.h"
#include "softmax.h"

typedef struct cross_entropy_job {
    const gr__cross_entropy *c;
    double *loss;        /* [rows] */
    const double *scale; /* [rows] */
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
        const REAL *next = row + 1 < end ? x + c->classes : x;
        job->loss[row] = 0;
        if (cross_entropy_skips(c, row)) continue;
        REAL most = softmax_max(x, c->classes);
        double right = (double)(x[c->target[row]] - most);
        if (c->smoothing != 0)
            right += c->smoothing * (cross_entropy_below(x, most, c->classes) - right);
        job->loss[row] = softmax_log_sum(x, most, c->classes, next) - right;
    }
}

/* The loss of each row, as double. */
static void cross_entropy(const gr__cross_entropy *c, double *loss)
{
    cross_entropy_job job = {.c = c, .loss = loss};
    gr__parallel_for(c->rows, softmax_grain(c->classes), cross_entropy_rows, &job);
}

/* x_j = exp(x_j - most), but 0 at the target; returns their sum, and in *right the one left out. */
static double cross_entropy_exp(REAL *x, int64_t n, int64_t target, const REAL *next, double *right)
{
    const REAL most = softmax_max(x, n);
    double others = 0;
    for (int64_t i = 0; i < n; i += SOFTMAX_STRETCH) {
        const int64_t m = n - i < SOFTMAX_STRETCH ? n - i : SOFTMAX_STRETCH;
        softmax_fetch(next + i, m);
        for (int64_t j = i; j < i + m; j++) x[j] = gr__exp_term(x[j] - most);
        if (target >= i && target < i + m) {
            *right = (double)x[target];
            x[target] = 0;
        }
        others += softmax_sum(x + i, m);
    }
    return others;
}

/* p - 1 at the target is minus the others: no difference of two numbers near 1. */
static void cross_entropy_grad_row(const gr__cross_entropy *c, int64_t target, double scale,
                                   REAL *x, const REAL *next)
{
    double right = 0;
    const double others = cross_entropy_exp(x, c->classes, target, next, &right);
    const double total = others + right;
    const REAL factor = (REAL)(scale / total);
    const REAL less = (REAL)(c->smoothing / (double)c->classes * scale);
    x[target] = (REAL)(c->smoothing * total - others);
    for (int64_t i = 0; i < c->classes; i++) x[i] = x[i] * factor - less;
}

static void cross_entropy_grad_rows(void *ctx, int64_t begin, int64_t end)
{
    const cross_entropy_job *job = ctx;
    const gr__cross_entropy *c = job->c;
    for (int64_t row = begin; row < end; row++) {
        REAL *x = (REAL *)c->x + row * c->classes, *next = row + 1 < end ? x + c->classes : x;
        if (cross_entropy_skips(c, row)) memset(x, 0, (size_t)c->classes * sizeof *x);
        else cross_entropy_grad_row(c, c->target[row], job->scale[row], x, next);
    }
}

/* x = scale[row] (softmax(x) - q) */
static void cross_entropy_grad(const gr__cross_entropy *c, const double *scale)
{
    cross_entropy_job job = {.c = c, .scale = scale};
    gr__parallel_for(c->rows, softmax_grain(c->classes), cross_entropy_grad_rows, &job);
}
