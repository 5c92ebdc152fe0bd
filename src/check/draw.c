/* draw.c - random points, directions and cotangents. */
/* SPDX-License-Identifier: MIT */
#include "function.h"

#include <math.h>

void gr__draw_signs(uint64_t seed, double *u, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double size = exp(gr__random_uniform(seed, (uint64_t)(2 * i)) - 0.5);
        u[i] = gr__random_uniform(seed, (uint64_t)(2 * i + 1)) < 0.5 ? -size : size;
    }
}

/* One value in the middle half of each of n strata, shuffled (Fisher, Yates). */
void gr__draw_apart(uint64_t seed, double *x, int64_t n, double low, double high)
{
    for (int64_t i = 0; i < n; i++) {
        double place = (double)i + 0.25 + 0.5 * gr__random_uniform(seed, (uint64_t)(2 * i));
        x[i] = (double)(float)(low + (high - low) * place / (double)n);
    }
    for (int64_t i = n - 1; i > 0; i--) {
        double draw = gr__random_uniform(seed, (uint64_t)(2 * i + 1));
        int64_t j = (int64_t)(draw * (double)(i + 1));
        double other = x[j];
        x[j] = x[i];
        x[i] = other;
    }
}

double gr__rms(const double *x, int64_t n)
{
    double sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        sum += x[i] * x[i];
        finite++;
    }
    return finite ? sqrt(sum / (double)finite) : 0;
}

double gr__norm(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}
