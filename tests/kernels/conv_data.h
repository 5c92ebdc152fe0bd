/* conv_data.h - numbers for convolutions, what plain loops make of them, and runs of them. */
/* SPDX-License-Identifier: MIT */
#ifndef CONV_DATA_H
#define CONV_DATA_H

#include "conv.h"
#include "kernels.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[GR__CONV_KINDS] = {"y", "dx", "dw"};

typedef struct axis {
    int in, taps, stride, padding, dilation;
} axis;

static inline gr__conv_axis axis_of(const axis *a)
{
    return gr__conv_axis_of(a->in, a->taps, a->stride, a->padding, a->padding, a->dilation);
}

/* --- numbers --- */

static uint64_t state;

static inline float uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int64_t)(state >> 11) / (double)((int64_t)1 << 52) - 1);
}

/* Of x, w, y: operands in float32, and exact results with the sums of their terms' sizes. */
enum { X, W, Y, TENSORS };
static const int operand[GR__CONV_KINDS][2] = {{X, W}, {Y, W}, {X, Y}};
static const int result[GR__CONV_KINDS] = {Y, X, W};

typedef struct data {
    gr__conv c;
    int64_t n[TENSORS];
    float *v[TENSORS];
    double *exact[TENSORS], *sizes[TENSORS];
} data;

static inline void add_product(data *d, int64_t x, int64_t w, int64_t y)
{
    const double vx = d->v[X][x], vw = d->v[W][w], vy = d->v[Y][y];
    d->exact[Y][y] += vx * vw, d->sizes[Y][y] += fabs(vx * vw);
    d->exact[X][x] += vy * vw, d->sizes[X][x] += fabs(vy * vw);
    d->exact[W][w] += vx * vy, d->sizes[W][w] += fabs(vx * vy);
}

/* All taps of all channels of y at (i, j) of image n, channel o. */
static inline void add_taps(data *d, int64_t n, int64_t o, int64_t i, int64_t j, int64_t y)
{
    const gr__conv *c = &d->c;
    for (int64_t k = 0; k < c->in; k++)
        for (int64_t p = 0; p < c->h.taps; p++)
            for (int64_t q = 0; q < c->w.taps; q++) {
                int64_t row = i * c->h.stride + p * c->h.dilation - c->h.padding;
                int64_t column = j * c->w.stride + q * c->w.dilation - c->w.padding;
                if (row < 0 || row >= c->h.in || column < 0 || column >= c->w.in) continue;
                int64_t channel = (n * c->groups + o / c->out) * c->in + k;
                add_product(d, (channel * c->h.in + row) * c->w.in + column,
                            ((o * c->in + k) * c->h.taps + p) * c->w.taps + q, y);
            }
}

/* Makes the results anew. */
static inline void add_all(data *d)
{
    int64_t y = 0;
    for (int t = 0; t < TENSORS; t++) {
        memset(d->exact[t], 0, (size_t)d->n[t] * sizeof(double));
        memset(d->sizes[t], 0, (size_t)d->n[t] * sizeof(double));
    }
    for (int64_t n = 0; n < d->c.batch; n++)
        for (int64_t o = 0; o < d->c.groups * d->c.out; o++)
            for (int64_t i = 0; i < d->c.h.out; i++)
                for (int64_t j = 0; j < d->c.w.out; j++) add_taps(d, n, o, i, j, y++);
}

static inline data data_new(const gr__conv *c, bool plain_loops)
{
    data d = {.c = *c};
    d.n[X] = c->batch * c->groups * c->in * c->h.in * c->w.in;
    d.n[W] = c->groups * c->out * c->in * c->h.taps * c->w.taps;
    d.n[Y] = c->batch * c->groups * c->out * c->h.out * c->w.out;
    state = 1;
    for (int t = 0; t < TENSORS; t++) {
        size_t n = (size_t)d.n[t];
        d.v[t] = malloc(n * sizeof *d.v[t] + 1);
        d.exact[t] = calloc(n + 1, sizeof(double));
        d.sizes[t] = calloc(n + 1, sizeof(double));
        for (size_t i = 0; i < n; i++) d.v[t][i] = uniform();
    }
    if (plain_loops) add_all(&d);
    return d;
}

static inline void data_free(data *d)
{
    for (int t = 0; t < TENSORS; t++) free(d->v[t]), free(d->exact[t]), free(d->sizes[t]);
}

static inline double *doubled(const float *v, int64_t n)
{
    double *d = malloc((size_t)n * sizeof *d + 1);
    for (int64_t i = 0; i < n; i++) d[i] = v[i];
    return d;
}

/* --- running --- */

/* Scratch and result are full of NaN before; free() the result. */
static inline void *run_job(gr__conv_job job, const void *a, const void *b, const void *bias,
                            int64_t n)
{
    size_t result_bytes = (size_t)n * gr_dtype_size(job.dtype);
    void *y = malloc(result_bytes + 1);
    for (bool done = false; !done;) {
        size_t bytes = gr__conv_scratch(&job);
        void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
        memset(scratch, 0xff, bytes);
        memset(y, 0xff, result_bytes);
        done = gr__conv_run(&job, a, b, bias, y, scratch);
        free(scratch);
    }
    return y;
}

static inline void *run(const gr__conv *c, gr__conv_kind kind, gr_dtype dtype, const void *a,
                        const void *b, const void *bias, int64_t n)
{
    return run_job(gr__conv_plan(c, kind, dtype), a, b, bias, n);
}

typedef float *way(const data *d, gr__conv_kind kind);

static inline float *run_kind(const data *d, gr__conv_kind kind)
{
    return run(&d->c, kind, GR_F32, d->v[operand[kind][0]], d->v[operand[kind][1]], NULL,
               d->n[result[kind]]);
}

/* As in graphs of bfloat16. */
static inline float *run_rounded(const data *d, gr__conv_kind kind)
{
    gr__conv_job job = gr__conv_plan(&d->c, kind, GR_F32);
    gr__conv_round(&job);
    return run_job(job, d->v[operand[kind][0]], d->v[operand[kind][1]], NULL, d->n[result[kind]]);
}

/* --- Inf and NaN --- */

static inline int class_of(double x)
{
    return isnan(x) ? 1 : isinf(x) ? (x > 0 ? 2 : 3) : 0;
}

/* Results are of the classes that they are of in float64, which goes the direct way. */
static inline void check_odd(way *of_kind, data *d, int t, int64_t place, float value)
{
    const float keep = d->v[t][place];
    d->v[t][place] = value;
    double *of[TENSORS];
    for (int i = 0; i < TENSORS; i++) of[i] = doubled(d->v[i], d->n[i]);
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        const int64_t n = d->n[result[kind]];
        double *expected = run(&d->c, (gr__conv_kind)kind, GR_F64, of[operand[kind][0]],
                               of[operand[kind][1]], NULL, n);
        float *got = of_kind(d, (gr__conv_kind)kind);
        for (int64_t i = 0; i < n; i++)
            if (class_of(got[i]) != class_of(expected[i]))
                ck_abort_msg("%g in %s (%s): %s[%lld]: expected %g, got %g", (double)value,
                             (const char *[]){"x", "w", "dy"}[t], gr__isa_name(), kind_names[kind],
                             (long long)i, expected[i], (double)got[i]);
        free(expected), free(got);
    }
    for (int i = 0; i < TENSORS; i++) free(of[i]);
    d->v[t][place] = keep;
}

#endif
