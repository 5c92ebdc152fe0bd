/* machine.c - what this machine can do: multiply-adds and products in GFLOP/s, triad in GB/s, small
 * things without any library in ms. */
/* SPDX-License-Identifier: MIT */
#include "bare.h"
#include "peak.h"

#include <cblas.h>
#include <gradus/graph.h>
#include <gradus/ops.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZE = 1024, ROUNDS = 15, FMA_ROUNDS = 1 << 20 };
#define LENGTH ((int64_t)16 << 20) /* floats per array: 64 MiB, more than a cache holds */

/* Three arrays of LENGTH floats, which the matrices share. */
typedef struct work {
    float *a, *b, *c;
    gr_graph *g;
    const peak *peak;
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

/* Every thread for itself. */
static double fma_loop(work *w)
{
    double operations = 0;
#pragma omp parallel reduction(+ : operations)
    operations += w->peak->run(FMA_ROUNDS);
    return operations;
}

/* C = A B of SIZE x SIZE matrices: 2 SIZE^3 floating-point operations. */
static double openblas(work *w)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1, w->b, SIZE, w->c,
                SIZE, 0, w->a, SIZE);
    return 2.0 * SIZE * SIZE * SIZE;
}

/* The same product as a user of the library has it. */
static double matmul(work *w)
{
    gr_graph_reset(w->g);
    gr_tensor *b = gr_borrow(w->g, GR_F32, GR_SHAPE(SIZE, SIZE), w->b);
    gr_tensor *c = gr_borrow(w->g, GR_F32, GR_SHAPE(SIZE, SIZE), w->c);
    return gr_data(gr_matmul(b, c)) ? 2.0 * SIZE * SIZE * SIZE : 0;
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
    double rate = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now(), amount = run(w), once = amount / (now() - start);
        if (once > rate) rate = once;
    }
    return rate * 1e-9;
}

static void print_peaks(work *w)
{
    const char *comma = "";
    printf("\"fma_gflops\": {");
    for (w->peak = peaks; w->peak->name; w->peak++) {
        if (!w->peak->present()) continue;
        printf("%s\"%s\": %.1f", comma, w->peak->name, best(fma_loop, w));
        comma = ", ";
    }
    printf("}, ");
}

/* Milliseconds, the best of ROUNDS: a mean of `repeats` in each. */
static double bare_ms(double (*run)(void), int repeats)
{
    volatile double sink;
    double least = INFINITY;
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        for (int k = 0; k < repeats; k++) sink = run();
        least = fmin(least, (now() - start) / repeats);
    }
    (void)sink;
    return 1e3 * least;
}

static void measure(work *w, int threads)
{
    fill(w);
    printf("{\"threads\": %d, ", threads);
    print_peaks(w);
    printf("\"bare_ms\": {\"chain\": %.4g, \"tiny\": %.4g}, ", bare_ms(bare_chain, 1),
           bare_ms(bare_tiny, 1000));
    printf("\"openblas_gflops\": %.1f, \"gradus_gflops\": %.1f, \"triad_gbs\": %.2f, "
           "\"core\": \"%s\"}\n",
           best(openblas, w), best(matmul, w), best(triad, w), openblas_get_corename());
}

int main(int argc, char **argv)
{
    const int threads = argc == 3 && strcmp(argv[1], "--threads") == 0 ? atoi(argv[2]) : 0;
    if (threads < 1) {
        fprintf(stderr, "usage: machine --threads N\n");
        return 2;
    }
    gr_set_threads(threads);
    const size_t bytes = (size_t)LENGTH * sizeof(float);
    work w = {.a = malloc(bytes), .b = malloc(bytes), .c = malloc(bytes), .g = gr_graph_new()};
    const bool fine = w.a && w.b && w.c;
    if (fine) measure(&w, threads);
    else fprintf(stderr, "machine: out of memory\n");
    gr_graph_free(w.g);
    free(w.a);
    free(w.b);
    free(w.c);
    return !fine;
}
