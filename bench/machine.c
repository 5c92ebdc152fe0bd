/* machine.c - what this machine can do: sgemm in GFLOP/s and triad in GB/s. */
/* SPDX-License-Identifier: MIT */
#include <cblas.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 1024, ROUNDS = 15 };
#define LENGTH ((int64_t)16 << 20) /* floats per array: 64 MiB, more than a cache holds */

/* Three arrays of LENGTH floats, which the matrices share. */
typedef struct work {
    float *a, *b, *c;
} work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Threads touch first what they will use, so that pages lie near them. */
static void fill(work *w)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < LENGTH; i++) {
        w->a[i] = 0;
        w->b[i] = (float)(i % 7) - 3;
        w->c[i] = (float)(i % 5) - 2;
    }
}

/* C = A B of SIZE x SIZE matrices: 2 SIZE^3 floating-point operations. */
static double sgemm(work *w)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1, w->b, SIZE, w->c,
                SIZE, 0, w->a, SIZE);
    return 2.0 * SIZE * SIZE * SIZE;
}

/* a = b + s c; bytes counted as STREAM does: two reads and one write per element. */
static double triad(work *w)
{
    float *a = w->a;
    const float *b = w->b, *c = w->c;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < LENGTH; i++) a[i] = b[i] + 1.5f * c[i];
    return 3.0 * sizeof(float) * (double)LENGTH;
}

/* The best of ROUNDS, in units of 1e9 a second: a peak is the run that nothing disturbed. */
static double best(double (*run)(work *w), work *w)
{
    double peak = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now(), amount = run(w), rate = amount / (now() - start);
        if (rate > peak) peak = rate;
    }
    return peak * 1e-9;
}

int main(int argc, char **argv)
{
    int threads = argc == 3 && strcmp(argv[1], "--threads") == 0 ? atoi(argv[2]) : 0;
    if (threads < 1) {
        fprintf(stderr, "usage: machine --threads N\n");
        return 2;
    }
    omp_set_num_threads(threads);
    size_t bytes = (size_t)LENGTH * sizeof(float);
    work w = {malloc(bytes), malloc(bytes), malloc(bytes)};
    if (!w.a || !w.b || !w.c) {
        fprintf(stderr, "machine: out of memory\n");
        return 1;
    }
    fill(&w);
    printf("{\"threads\": %d, \"sgemm_gflops\": %.1f, \"triad_gbs\": %.2f, \"core\": \"%s\"}\n",
           threads, best(sgemm, &w), best(triad, &w), openblas_get_corename());
    free(w.a);
    free(w.b);
    free(w.c);
    return 0;
}
