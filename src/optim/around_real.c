/* around_real.c - what happens around a rule, for one dtype: REAL, named DTYPE. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

/* clang makes the resolvers of cloned functions global: their names must differ by dtype. */
#define JOINED(name, dtype) name##_##dtype
#define NAMED(name, dtype) JOINED(name, dtype)
#define AROUND(name) NAMED(name, DTYPE)

GR__CLONES static void AROUND(tune)(const gr__tuning *t, int64_t n, const void *gradient,
                                    void *weights, void *tuned)
{
    const REAL scale = (REAL)t->scale, limit = (REAL)t->limit, keep = (REAL)t->keep;
    const REAL decay = (REAL)t->decay, l1 = (REAL)t->l1;
    const REAL *restrict g = gradient;
    REAL *restrict w = weights, *restrict d = tuned;
    for (int64_t i = 0; i < n; i++) {
        REAL x = scale * g[i]; /* NaN passes both comparisons */
        x = x > limit ? limit : x;
        x = x < -limit ? -limit : x;
        d[i] = x + (decay * w[i] + l1 * (REAL)((w[i] > 0) - (w[i] < 0)));
        w[i] *= keep;
    }
}

/* In eight sums, so that the loop can run on vectors. */
GR__CLONES static double AROUND(sum_squares)(int64_t n, const void *values)
{
    const REAL *x = values;
    double sums[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sums[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < 8; k++) sum += sums[k];
    return sum;
}

/* Stops after the first block of 32 that has something. */
GR__CLONES static bool AROUND(all_zero)(int64_t n, const void *values)
{
    const REAL *x = values;
    for (int64_t i = 0; i < n; i += 32) {
        int found = 0;
        for (int64_t k = i; k < n && k < i + 32; k++) found |= x[k] != 0;
        if (found) return false;
    }
    return true;
}

GR__CLONES static void AROUND(cut_negative)(int64_t n, void *weights)
{
    REAL *w = weights;
    for (int64_t i = 0; i < n; i++) w[i] = w[i] < 0 ? 0 : w[i];
}

GR__CLONES static void AROUND(scale_row)(int64_t n, void *weights, double factor)
{
    REAL *w = weights;
    for (int64_t i = 0; i < n; i++) w[i] *= (REAL)factor;
}

GR__CLONES static void AROUND(blend)(int64_t n, void *means, const void *weights, double rate)
{
    REAL *restrict mean = means;
    const REAL *restrict w = weights;
    for (int64_t i = 0; i < n; i++) mean[i] += (REAL)rate * (w[i] - mean[i]);
}

static void AROUND(fill)(int64_t n, void *values, double value)
{
    REAL *x = values;
    for (int64_t i = 0; i < n; i++) x[i] = (REAL)value;
}

const gr__around AROUND_RULES = {AROUND(tune),         AROUND(sum_squares), AROUND(all_zero),
                                 AROUND(cut_negative), AROUND(scale_row),   AROUND(blend),
                                 AROUND(fill)};
