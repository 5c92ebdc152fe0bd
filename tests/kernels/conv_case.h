/* conv_case.h - convolutions of every shape, run in every way, and the same by plain loops. */
/* SPDX-License-Identifier: MIT */
#ifndef CONV_CASE_H
#define CONV_CASE_H

#include "conv.h"
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };
static const char *const kind_names[GR__CONV_KINDS] = {"y", "dx", "dw"};

/* --- cases --- */

typedef struct axis {
    int in, taps, stride, padding, dilation;
} axis;

typedef struct conv_case {
    const char *name;
    int batch, groups, in, out; /* channels are those of one group */
    axis h, w;
    bool winograd[GR__CONV_KINDS], lanes[GR__CONV_KINDS];
} conv_case;

#define ALL              \
    {                    \
        true, true, true \
    }
#define NOT_DX            \
    {                     \
        true, false, true \
    }
#define NONE                \
    {                       \
        false, false, false \
    }

static const conv_case cases[] = {
    {"padding 1", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {11, 3, 1, 1, 1}, ALL, NONE},
    {"no padding", 3, 1, 16, 32, {10, 3, 1, 0, 1}, {7, 3, 1, 0, 1}, ALL, NONE},
    {"padding 2", 1, 1, 13, 14, {6, 3, 1, 2, 1}, {5, 3, 1, 2, 1}, ALL, NONE},
    {"padding 0 and 2", 2, 1, 24, 30, {8, 3, 1, 0, 1}, {9, 3, 1, 2, 1}, ALL, NONE},
    {"padding 2 and 1", 1, 1, 45, 12, {23, 3, 1, 2, 1}, {5, 3, 1, 1, 1}, ALL, NONE},
    {"tiles of four", 9, 1, 31, 47, {2, 3, 1, 1, 1}, {2, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel", 5, 1, 14, 13, {1, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel of result", 5, 1, 14, 13, {3, 3, 1, 0, 1}, {3, 3, 1, 0, 1}, ALL, NONE},
    {"a row", 2, 1, 16, 16, {1, 3, 1, 1, 1}, {37, 3, 1, 1, 1}, ALL, NONE},
    {"a column", 2, 1, 16, 16, {37, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of images", 40, 1, 32, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of rows", 1, 1, 16, 16, {66, 3, 1, 1, 1}, {70, 3, 1, 1, 1}, ALL, NONE},
    {"panels", 3, 1, 180, 200, {5, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"panels of dw alone", 4, 1, 100, 90, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"stride 2", 2, 1, 16, 24, {13, 3, 2, 1, 1}, {10, 3, 2, 0, 1}, NOT_DX, NONE},
    {"stride 2, padding 2", 3, 1, 30, 13, {6, 3, 2, 2, 1}, {7, 3, 2, 2, 1}, ALL, NONE},
    {"stride 2, one row", 2, 1, 16, 16, {1, 3, 2, 1, 1}, {19, 3, 2, 1, 1}, NOT_DX, NONE},
    {"stride 2, panels", 9, 1, 330, 360, {5, 3, 2, 1, 1}, {4, 3, 2, 1, 1}, ALL, NONE},
    {"one tile", 1, 1, 32, 32, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, {false, false, true}, NONE},
    {"few channels", 2, 1, 3, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"lanes half empty", 2, 1, 17, 17, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"padding 3", 2, 1, 16, 16, {6, 3, 1, 3, 1}, {6, 3, 1, 1, 1}, NONE, NONE},
    {"stride", 2, 1, 16, 16, {9, 3, 2, 1, 1}, {9, 3, 1, 1, 1}, NONE, NONE},
    {"dilation", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {9, 3, 1, 1, 2}, NONE, NONE},
    {"groups", 2, 2, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"other taps", 2, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 5, 1, 2, 1}, NONE, NONE},
    {"no images", 0, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"only padding", 2, 1, 16, 16, {0, 3, 1, 2, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"stride 2, wide rows", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {75, 3, 2, 1, 1}, NONE, NONE},
    {"stride 2, a vector", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {32, 2, 2, 0, 1}, NONE, NONE},
    {"stride 2, and one more", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {34, 2, 2, 0, 1}, NONE, NONE},
    {"many images", 48, 1, 2, 3, {9, 5, 1, 2, 1}, {7, 5, 1, 2, 1}, NONE, ALL},
    {"a group not full", 57, 1, 6, 9, {8, 5, 1, 0, 1}, {6, 3, 1, 0, 1}, NONE, ALL},
    {"many images, dilation", 48, 2, 3, 2, {9, 3, 1, 2, 2}, {8, 2, 1, 1, 3}, NONE, ALL},
    {"many images, far taps", 48, 1, 2, 2, {2, 5, 1, 4, 2}, {3, 3, 1, 1, 1}, NONE, ALL},
    {"many images, padding 3", 48, 1, 2, 2, {4, 3, 1, 3, 1}, {5, 3, 1, 1, 1}, NONE, NOT_DX},
    {"many images, 1x1", 48, 1, 5, 11, {5, 1, 1, 0, 1}, {4, 1, 1, 0, 1}, NONE, ALL},
    {"chunks of groups", 275, 1, 2, 3, {3, 2, 1, 0, 1}, {3, 2, 1, 1, 1}, NONE, ALL},
    {"many images, stride", 48, 1, 2, 2, {9, 3, 2, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"two groups of images", 32, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"a group near empty", 50, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"large images", 48, 1, 2, 2, {90, 3, 1, 1, 1}, {40, 3, 1, 1, 1}, NONE, NONE},
};
enum { CASES = sizeof cases / sizeof *cases };

static inline gr__conv_axis axis_of(const axis *a)
{
    return gr__conv_axis_of(a->in, a->taps, a->stride, a->padding, a->padding, a->dilation);
}

static inline gr__conv conv_of(const conv_case *c)
{
    return (gr__conv){c->batch, c->groups, c->in, c->out, axis_of(&c->h), axis_of(&c->w)};
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

static inline void add_all(data *d)
{
    int64_t y = 0;
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

/* All kinds in float64, whose sums are exact but for 1e-14 of what is added. */
/* --- running --- */

/* Scratch and result are full of NaN before; free() the result. */
static inline void *run(const gr__conv *c, gr__conv_kind kind, gr_dtype dtype, const void *a,
                        const void *b, const void *bias, int64_t n)
{
    gr__conv_job job = gr__conv_plan(c, kind, dtype);
    size_t result_bytes = (size_t)n * gr_dtype_size(dtype);
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

static inline float *run_kind(const data *d, gr__conv_kind kind)
{
    return run(&d->c, kind, GR_F32, d->v[operand[kind][0]], d->v[operand[kind][1]], NULL,
               d->n[result[kind]]);
}

static inline void with_every_isa(void (*check)(void))
{
    for (int i = 0; i < ISAS; i++)
        if (gr__kernels_force(isas[i])) check();
    gr__kernels_force(NULL);
}

#endif
