/* numbers.c - numbers that any language can make: SplitMix64 of (stream << 32) + i. */
/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "bench: out of memory\n");
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

uint32_t name_stream(const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

double fingerprint(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; x && i < n; i++) sum += fabs((double)x[i]) * (double)(1 + i % 7);
    return x ? sum / (double)n : NAN;
}
