/* pool2d_real.c - pooling one plane, for one dtype and instruction set; see pool2d.h. */
/* SPDX-License-Identifier: MIT */
#include "instance.h"
#include "pool2d.h"

/* --- windows --- */

enum { POOL_COLUMNS = 64 }; /* results of a row at a time */

/* Results [begin, end) of an axis whose window has an element of the image at `tap`. */
typedef struct tap_range {
    int64_t begin, end;
} tap_range;

static tap_range results_at(const gr__pool2d_axis *a, int64_t tap)
{
    int64_t before = a->padding - tap,
            room = a->in - 1 + before; /* in: 0 <= i stride - before < in */
    tap_range r = {before > 0 ? (before + a->stride - 1) / a->stride : 0,
                   room < 0 ? 0 : room / a->stride + 1};
    if (r.end > a->out) r.end = a->out;
    if (r.begin > r.end) r.begin = r.end;
    return r;
}

/* Where the window of result i begins; its taps [0, taps) may lie outside the image. */
static int64_t window_at(const gr__pool2d_axis *a, int64_t i)
{
    return i * a->stride - a->padding;
}

/* Taps [begin, end) of result i that lie in the image. */
static tap_range taps_at(const gr__pool2d_axis *a, int64_t i)
{
    int64_t at = window_at(a, i), left = a->in - at;
    return (tap_range){at < 0 ? -at : 0, left < a->taps ? left : a->taps};
}

/* --- maxima --- */

/* The best so far of a stretch of results, and where in its window: tap row * width + tap column.
 * NaN wins, the last of several; else the first of equals. */
typedef struct best {
    REAL value[POOL_COLUMNS];
    BITS where[POOL_COLUMNS];
} best;

static ALWAYS_INLINE void copy_strided(const REAL *x, int64_t stride, int64_t n, REAL *y)
{
    for (int64_t j = 0; j < n; j++) y[j] = x[j * stride];
}

/* Element j * stride of x against the best of result j. Whole vectors: no branches at the end. */
static void take_larger(const REAL *x, int64_t stride, int64_t n, BITS where, best *b)
{
    REAL piece[POOL_COLUMNS];
    if (stride == 1) copy_strided(x, 1, n, piece);
    else if (stride == 2) copy_strided(x, 2, n, piece);
    else copy_strided(x, stride, n, piece);
    for (int64_t j = 0; j < n; j += VEC_LANES) {
        vec v = vec_load(piece + j), most = vec_load(b->value + j);
        vec_bits larger = (vec_bits)((v > most) | (v != v)), at;
        vec_store(b->value + j, vec_choose(larger, v, most));
        memcpy(&at, b->where + j, sizeof at);
        at = (larger & where) | (~larger & at);
        memcpy(b->where + j, &at, sizeof at);
    }
}

/* n results, at most POOL_COLUMNS, from window (row, column) on; all have the same taps. */
static void best_of(const gr__pool2d *p, const REAL *x, int64_t row, int64_t column, int64_t n,
                    tap_range h, tap_range w, best *b)
{
    BITS first = (BITS)(h.begin * p->w.in + w.begin);
    int64_t whole = (n + VEC_LANES - 1) / VEC_LANES * VEC_LANES;
    for (int64_t j = 0; j < whole; j++) b->value[j] = -(REAL)__builtin_inf();
    for (int64_t j = 0; j < whole; j++) b->where[j] = first;
    for (int64_t kh = h.begin; kh < h.end; kh++)
        for (int64_t kw = w.begin; kw < w.end; kw++)
            take_larger(x + (row + kh) * p->w.in + column + kw, p->w.stride, n,
                        (BITS)(kh * p->w.in + kw), b);
}

/* How many results from j on have all their taps, or else 1. */
static int64_t stretch(const gr__pool2d_axis *w, int64_t j, int64_t inner)
{
    if (window_at(w, j) < 0 || j >= inner) return 1;
    return inner - j < POOL_COLUMNS ? inner - j : POOL_COLUMNS;
}

static void max_pool(const gr__pool2d *p, const void *x, int64_t *index, void *y)
{
    int64_t inner = results_at(&p->w, p->w.taps - 1).end, at = 0;
    for (int64_t i = 0; i < p->h.out; i++)
        for (int64_t j = 0, n; j < p->w.out; j += n, at += n) {
            best b;
            int64_t row = window_at(&p->h, i), column = window_at(&p->w, j);
            n = stretch(&p->w, j, inner);
            best_of(p, x, row, column, n, taps_at(&p->h, i), taps_at(&p->w, j), &b);
            memcpy((REAL *)y + at, b.value, (size_t)n * sizeof *b.value);
            for (int64_t k = 0; k < n; k++)
                index[at + k] = row * p->w.in + column + k * p->w.stride + b.where[k];
        }
}

/* dx[index] += dy */
static void max_pool_grad(const gr__pool2d *p, const void *x, int64_t *index, void *y)
{
    const REAL *dy = x;
    REAL *dx = y;
    memset(dx, 0, (size_t)(p->h.in * p->w.in) * sizeof *dx);
    for (int64_t i = 0; i < p->h.out * p->w.out; i++) dx[index[i]] += dy[i];
}

static void max_pool_pick(const gr__pool2d *p, const void *x, int64_t *index, void *y)
{
    for (int64_t i = 0; i < p->h.out * p->w.out; i++) ((REAL *)y)[i] = ((const REAL *)x)[index[i]];
}

/* --- means --- */

static void avg_pool(const gr__pool2d *p, const void *x, int64_t *index, void *y)
{
    REAL area = (REAL)(p->h.taps * p->w.taps);
    (void)index;
    for (int64_t i = 0; i < p->h.out; i++) {
        REAL *to = (REAL *)y + i * p->w.out;
        tap_range rows = taps_at(&p->h, i);
        for (int64_t j = 0; j < p->w.out; j++) to[j] = 0;
        for (int64_t kh = rows.begin; kh < rows.end; kh++)
            for (int64_t kw = 0; kw < p->w.taps; kw++) {
                tap_range r = results_at(&p->w, kw);
                const REAL *at = (const REAL *)x + (window_at(&p->h, i) + kh) * p->w.in + kw -
                                 p->w.padding;
                for (int64_t j = r.begin; j < r.end; j++) to[j] += at[j * p->w.stride];
            }
        for (int64_t j = 0; j < p->w.out; j++) to[j] /= area;
    }
}

static void avg_pool_grad(const gr__pool2d *p, const void *x, int64_t *index, void *y)
{
    REAL area = (REAL)(p->h.taps * p->w.taps);
    (void)index;
    memset(y, 0, (size_t)(p->h.in * p->w.in) * sizeof(REAL));
    for (int64_t i = 0; i < p->h.out; i++) {
        const REAL *dy = (const REAL *)x + i * p->w.out;
        tap_range rows = taps_at(&p->h, i);
        for (int64_t kh = rows.begin; kh < rows.end; kh++)
            for (int64_t kw = 0; kw < p->w.taps; kw++) {
                tap_range r = results_at(&p->w, kw);
                REAL *at = (REAL *)y + (window_at(&p->h, i) + kh) * p->w.in + kw - p->w.padding;
                for (int64_t j = r.begin; j < r.end; j++) at[j * p->w.stride] += dy[j] / area;
            }
    }
}
