/* patches_real.c - patches as columns and back; see patches.h. */
/* SPDX-License-Identifier: MIT */
#include "instance.h"
#include "patches.h"

/* The results of one tap: a row of an image, every stride-th element, zeros outside. */
static void read_tap(const gr__pooling *p, const REAL *row, int64_t kw, REAL *y)
{
    pool_range r = results_at(&p->w, kw);
    const REAL *x = row + kw * p->w.dilation - p->w.padding;
    for (int64_t j = 0; j < r.begin; j++) y[j] = 0;
    if (p->w.stride == 1) memcpy(y + r.begin, x + r.begin, (size_t)(r.end - r.begin) * sizeof *y);
    else
        for (int64_t j = r.begin; j < r.end; j++) y[j] = x[j * p->w.stride];
    for (int64_t j = r.end; j < p->w.out; j++) y[j] = 0;
}

static void unfold(void *ctx, int64_t begin, int64_t end)
{
    const gr__patches *f = ctx;
    const gr__pooling *p = &f->p;
    const int64_t taps = p->h.taps * p->w.taps, row = p->w.out;
    REAL *y = (REAL *)f->y + begin * taps * p->h.out * row;
    for (int64_t k = begin * taps; k < end * taps; k++) {
        int64_t kh = k % taps / p->w.taps, kw = k % p->w.taps;
        pool_range r = results_at(&p->h, kh);
        const REAL *x = (const REAL *)f->x + k / taps * p->h.in * p->w.in;
        for (int64_t i = 0; i < p->h.out; i++, y += row) {
            int64_t at = window_at(&p->h, i) + kh * p->h.dilation;
            if (i >= r.begin && i < r.end) read_tap(p, x + at * p->w.in, kw, y);
            else memset(y, 0, (size_t)row * sizeof *y);
        }
    }
}

static void fold(void *ctx, int64_t begin, int64_t end)
{
    const gr__patches *f = ctx;
    const gr__pooling *p = &f->p;
    const int64_t taps = p->h.taps * p->w.taps, image = p->h.in * p->w.in;
    memset((REAL *)f->y + begin * image, 0, (size_t)((end - begin) * image) * sizeof(REAL));
    for (int64_t k = begin * taps; k < end * taps; k++) {
        int64_t kh = k % taps / p->w.taps, kw = k % p->w.taps;
        pool_range h = results_at(&p->h, kh), w = results_at(&p->w, kw);
        for (int64_t i = h.begin; i < h.end; i++) {
            int64_t at = window_at(&p->h, i) + kh * p->h.dilation;
            REAL *y = (REAL *)f->y + k / taps * image + at * p->w.in + kw * p->w.dilation -
                      p->w.padding;
            const REAL *x = (const REAL *)f->x + (k * p->h.out + i) * p->w.out;
            for (int64_t j = w.begin; j < w.end; j++) y[j * p->w.stride] += x[j];
        }
    }
}
