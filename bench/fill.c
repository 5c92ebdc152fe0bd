/* fill.c - numbers that any language can make: SplitMix64 of (stream << 32) + i. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "workloads: out of memory\n");
        exit(1);
    }
    return memory;
}

static uint64_t bits(uint64_t stream, int64_t i)
{
    uint64_t z = ((stream << 32) + (uint64_t)i) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) >> 40; /* the upper 24 */
}

void fill_uniform(float *x, uint64_t stream, int64_t n, double bound)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((2 * ((double)bits(stream, i) / (1 << 24)) - 1) * bound);
}

void fill_indices(int64_t *t, uint64_t stream, int64_t n, int64_t below)
{
    for (int64_t i = 0; i < n; i++) t[i] = (int64_t)(bits(stream, i) % (uint64_t)below);
}

/* FNV-1a: a stream for each name. */
static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Matrices and kernels in (-1/sqrt(fan_in), 1/sqrt(fan_in)), weights of norms around 1, biases
 * around 0. */
void fill_model(gr_model *m)
{
    for (int i = 0; i < gr_model_params(m); i++) {
        gr_param *p = gr_model_param(m, i);
        const char *name = gr_model_param_name(m, i);
        const gr_shape *shape = gr_param_shape(p);
        const int64_t n = gr_shape_numel(shape);
        const double bound = shape->rank > 1 ? 1 / sqrt((double)(n / shape->dim[0])) : 0.1;
        float *w = gr_param_write(p);
        fill_uniform(w, hash(name), n, bound);
        if (shape->rank == 1 && ends_with(name, "weight"))
            for (int64_t k = 0; k < n; k++) w[k] += 1;
    }
}

double fingerprint(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; x && i < n; i++) sum += fabs((double)x[i]) * (double)(1 + i % 7);
    return x ? sum / (double)n : NAN;
}
