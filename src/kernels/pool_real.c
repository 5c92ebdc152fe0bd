/* pool_real.c - pooling one plane, for one dtype and instruction set; see pool.h. */
/* SPDX-License-Identifier: MIT */
#include "instance.h"
#include "pool.h"

/* --- windows --- */

enum { POOL_COLUMNS = 64 }; /* results of a row at a time */

/* Some of the results, or of the taps, of an axis. */
typedef struct pool_range {
    int64_t begin, end;
} pool_range;

static ALWAYS_INLINE int64_t pool_up_div(int64_t a, int64_t b)
{
    return b == 1 ? a : (a + b - 1) / b;
}

/* Results whose window has an element of the input at `tap`. Not of an adaptive axis. */
static pool_range results_at(const gr__pool_axis *a, int64_t tap)
{
    int64_t before = a->padding - tap * a->dilation,
            room = a->in - 1 + before; /* in: 0 <= i stride - before < in */
    pool_range r = {before > 0 ? pool_up_div(before, a->stride) : 0,
                    room < 0 ? 0 : room / a->stride + 1};
    if (r.end > a->out) r.end = a->out;
    if (r.begin > r.end) r.begin = r.end;
    return r;
}

/* Where the window of result i begins; its taps may lie outside the input. */
static int64_t window_at(const gr__pool_axis *a, int64_t i)
{
    return a->adaptive ? i * a->in / a->out : i * a->stride - a->padding;
}

/* Taps of result i that lie in the input. */
static pool_range taps_at(const gr__pool_axis *a, int64_t i)
{
    int64_t at = window_at(a, i), left = pool_up_div(a->in - at, a->dilation);
    if (a->adaptive) return (pool_range){0, pool_up_div((i + 1) * a->in, a->out) - at};
    return (pool_range){at < 0 ? pool_up_div(-at, a->dilation) : 0,
                        left < a->taps ? left : a->taps};
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

/* v, at `where` of each window, against the best so far. */
static ALWAYS_INLINE void take_tap(vec v, BITS where, vec *most, vec_bits *at)
{
    const vec_bits larger = (vec_bits)((v > *most) | (v != v));
    *most = vec_choose(larger, v, *most);
    *at = (larger & where) | (~larger & *at);
}

/* Element j * stride of x against the best of result j. Whole vectors: no branches at the end. */
static void take_larger(const REAL *x, int64_t stride, int64_t n, BITS where, best *b)
{
    REAL piece[POOL_COLUMNS];
    if (stride == 1) copy_strided(x, 1, n, piece);
    else if (stride == 2) copy_strided(x, 2, n, piece);
    else copy_strided(x, stride, n, piece);
    for (int64_t j = 0; j < n; j += VEC_LANES) {
        vec most = vec_load(b->value + j);
        vec_bits at;
        memcpy(&at, b->where + j, sizeof at);
        take_tap(vec_load(piece + j), where, &most, &at);
        vec_store(b->value + j, most);
        memcpy(b->where + j, &at, sizeof at);
    }
}

/* Where a window begins, as the index of its first element, or of where that would be. */
static int64_t pool_corner(const gr__pooling *p, int64_t i, int64_t j, int64_t k)
{
    int64_t row = window_at(&p->d, i) * p->h.in + window_at(&p->h, j);
    return row * p->w.in + window_at(&p->w, k);
}

/* n results, at most POOL_COLUMNS, from (i,j,k) on; all have the same taps. */
static void best_of(const gr__pooling *p, const REAL *x, int64_t i, int64_t j, int64_t k, int64_t n,
                    best *b)
{
    pool_range d = taps_at(&p->d, i), h = taps_at(&p->h, j), w = taps_at(&p->w, k);
    int64_t down = p->w.in * p->h.dilation, deep = p->w.in * p->h.in * p->d.dilation;
    int64_t whole = (n + VEC_LANES - 1) / VEC_LANES * VEC_LANES, at = pool_corner(p, i, j, k);
    BITS first = (BITS)(d.begin * deep + h.begin * down + w.begin * p->w.dilation);
    for (int64_t c = 0; c < whole; c++) b->value[c] = -(REAL)__builtin_inf();
    for (int64_t c = 0; c < whole; c++) b->where[c] = first;
    for (int64_t kd = d.begin; kd < d.end; kd++)
        for (int64_t kh = h.begin; kh < h.end; kh++)
            for (int64_t kw = w.begin; kw < w.end; kw++) {
                int64_t where = kd * deep + kh * down + kw * p->w.dilation;
                take_larger(x + at + where, p->w.stride, n, (BITS)where, b);
            }
}

/* How many results from k on have all their taps, or else 1. */
static int64_t stretch(const gr__pool_axis *w, int64_t k, int64_t inner)
{
    if (w->adaptive || window_at(w, k) < 0 || k >= inner) return 1;
    return inner - k < POOL_COLUMNS ? inner - k : POOL_COLUMNS;
}

static void largest_of_plane(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    int64_t inner = p->w.adaptive ? 0 : results_at(&p->w, p->w.taps - 1).end, at = 0;
    for (int64_t i = 0; i < p->d.out; i++)
        for (int64_t j = 0; j < p->h.out; j++)
            for (int64_t k = 0, n; k < p->w.out; k += n, at += n) {
                best b;
                int64_t corner = pool_corner(p, i, j, k);
                n = stretch(&p->w, k, inner);
                best_of(p, x, i, j, k, n, &b);
                memcpy((REAL *)y + at, b.value, (size_t)n * sizeof *b.value);
                for (int64_t c = 0; c < n; c++)
                    index[at + c] = corner + c * p->w.stride + b.where[c];
            }
}

/* Windows of 2 by 2, side by side: each element has one, in the order of best_of. */
static bool windows_halve(const gr__pool_axis *a)
{
    return a->taps == 2 && a->stride == 2 && a->dilation == 1 && a->padding == 0 && !a->adaptive &&
           2 * a->out <= a->in;
}

/* n results, at most POOL_COLUMNS, from two rows. */
static void halve_rows(const REAL *upper, const REAL *lower, int64_t width, int64_t n, best *b)
{
    REAL row[2][2 * POOL_COLUMNS];
    memcpy(row[0], upper, 2 * (size_t)n * sizeof *upper);
    memcpy(row[1], lower, 2 * (size_t)n * sizeof *lower);
    for (int64_t c = 0; c < n; c += VEC_LANES) {
        const vec u0 = vec_load(row[0] + 2 * c), u1 = vec_load(row[0] + 2 * c + VEC_LANES),
                  l0 = vec_load(row[1] + 2 * c), l1 = vec_load(row[1] + 2 * c + VEC_LANES);
        vec most = vec_even(u0, u1);
        vec_bits at = {0};
        take_tap(vec_odd(u0, u1), 1, &most, &at);
        take_tap(vec_even(l0, l1), (BITS)width, &most, &at);
        take_tap(vec_odd(l0, l1), (BITS)width + 1, &most, &at);
        vec_store(b->value + c, most);
        memcpy(b->where + c, &at, sizeof at);
    }
}

static void halve_plane(const gr__pooling *p, const REAL *x, int64_t *index, REAL *y)
{
    best b;
    for (int64_t j = 0; j < p->h.out; j++)
        for (int64_t k = 0, n; k < p->w.out; k += n, index += n, y += n) {
            const int64_t corner = 2 * j * p->w.in + 2 * k;
            n = p->w.out - k < POOL_COLUMNS ? p->w.out - k : POOL_COLUMNS;
            halve_rows(x + corner, x + corner + p->w.in, p->w.in, n, &b);
            memcpy(y, b.value, (size_t)n * sizeof *y);
            for (int64_t c = 0; c < n; c++) index[c] = corner + 2 * c + b.where[c];
        }
}

static void max_pool(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    if (p->d.in == 1 && p->d.out == 1 && windows_halve(&p->h) && windows_halve(&p->w))
        halve_plane(p, x, index, y);
    else largest_of_plane(p, x, index, y);
}

/* --- by index: `in` and `out` of w alone count --- */

/* y[index] += x */
static void unpool(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    memset(y, 0, (size_t)p->w.out * sizeof(REAL));
    for (int64_t i = 0; i < p->w.in; i++) ((REAL *)y)[index[i]] += ((const REAL *)x)[i];
}

static void pick(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    for (int64_t i = 0; i < p->w.out; i++) ((REAL *)y)[i] = ((const REAL *)x)[index[i]];
}

/* --- means --- */

/* Elements that the mean of window i counts: those that padding adds too, or not. */
static ALWAYS_INLINE int64_t counted(const gr__pool_axis *a, int64_t i, bool exclude_padding)
{
    pool_range r = taps_at(a, i);
    if (exclude_padding) return r.end - r.begin;
    int64_t left = pool_up_div(a->in + a->padding - window_at(a, i), a->dilation);
    return left < a->taps ? left : a->taps;
}

/* One row of results [begin, end), at most POOL_COLUMNS: the size of each one's window. */
static void window_sizes(const gr__pooling *p, int64_t i, int64_t j, int64_t begin, int64_t end,
                         REAL *size)
{
    int64_t rows = counted(&p->d, i, p->exclude_padding) * counted(&p->h, j, p->exclude_padding);
    for (int64_t k = begin; k < end; k++)
        size[k - begin] = (REAL)(rows * counted(&p->w, k, p->exclude_padding));
}

/* Calls f for each tap of the windows (i,j,[begin, end)): with the results that have an element
 * there, cut to [begin, end), and the index of the element of result 0, which may not exist. */
typedef void pool_tap_fn(void *ctx, pool_range results, int64_t at);

static ALWAYS_INLINE void each_tap(const gr__pooling *p, int64_t i, int64_t j, int64_t begin,
                                   int64_t end, pool_tap_fn *f, void *ctx)
{
    pool_range d = taps_at(&p->d, i), h = taps_at(&p->h, j);
    int64_t corner = pool_corner(p, i, j, 0);
    for (int64_t kd = d.begin; kd < d.end; kd++)
        for (int64_t kh = h.begin; kh < h.end; kh++)
            for (int64_t kw = 0; kw < p->w.taps; kw++) {
                int64_t row = kd * p->d.dilation * p->h.in + kh * p->h.dilation;
                pool_range r = results_at(&p->w, kw);
                if (r.begin < begin) r.begin = begin;
                if (r.end > end) r.end = end;
                f(ctx, r, corner + row * p->w.in + kw * p->w.dilation);
            }
}

typedef struct pool_row {
    const REAL *from; /* x, or for the gradient the shares of dy, from result `first` on */
    REAL *to;
    int64_t stride, first;
} pool_row;

static ALWAYS_INLINE void add_elements(void *ctx, pool_range r, int64_t at)
{
    const pool_row *row = ctx;
    for (int64_t k = r.begin; k < r.end; k++) row->to[k] += row->from[at + k * row->stride];
}

static ALWAYS_INLINE void add_shares(void *ctx, pool_range r, int64_t at)
{
    const pool_row *row = ctx;
    for (int64_t k = r.begin; k < r.end; k++)
        row->to[at + k * row->stride] += row->from[k - row->first];
}

static int64_t columns_end(const gr__pooling *p, int64_t begin)
{
    return p->w.out - begin < POOL_COLUMNS ? p->w.out : begin + POOL_COLUMNS;
}

/* One window that is all of the plane. */
static bool window_is_whole(const gr__pool_axis *a)
{
    return a->out == 1 && a->taps == a->in && a->dilation == 1 && a->padding == 0;
}

static bool plane_is_window(const gr__pooling *p)
{
    return window_is_whole(&p->d) && window_is_whole(&p->h) && window_is_whole(&p->w);
}

static REAL sum_of_plane(const REAL *x, int64_t n)
{
    vec even = {0}, odd = {0};
    int64_t i = 0;
    for (; i + 2 * VEC_LANES <= n; i += 2 * VEC_LANES) {
        even += vec_load(x + i);
        odd += vec_load(x + i + VEC_LANES);
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) even += vec_load(x + i);
    REAL rest = 0;
    for (; i < n; i++) rest += x[i];
    return vec_sum(even + odd) + rest;
}

static void avg_pool(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    REAL size[POOL_COLUMNS];
    pool_row row = {x, y, p->w.stride, 0};
    const int64_t n = p->d.in * p->h.in * p->w.in;
    (void)index;
    if (plane_is_window(p)) {
        *(REAL *)y = sum_of_plane(x, n) / (REAL)n;
        return;
    }
    for (int64_t i = 0; i < p->d.out; i++)
        for (int64_t j = 0; j < p->h.out; j++, row.to += p->w.out)
            for (int64_t begin = 0, end; begin < p->w.out; begin = end) {
                end = columns_end(p, begin);
                for (int64_t k = begin; k < end; k++) row.to[k] = 0;
                each_tap(p, i, j, begin, end, add_elements, &row);
                window_sizes(p, i, j, begin, end, size);
                for (int64_t k = begin; k < end; k++) row.to[k] /= size[k - begin];
            }
}

static void avg_pool_grad(const gr__pooling *p, const void *x, int64_t *index, void *y)
{
    REAL share[POOL_COLUMNS];
    const REAL *dy = x;
    const int64_t n = p->d.in * p->h.in * p->w.in;
    (void)index;
    if (plane_is_window(p)) {
        for (int64_t i = 0; i < n; i++) ((REAL *)y)[i] = *dy / (REAL)n;
        return;
    }
    memset(y, 0, (size_t)n * sizeof(REAL));
    for (int64_t i = 0; i < p->d.out; i++)
        for (int64_t j = 0; j < p->h.out; j++, dy += p->w.out)
            for (int64_t begin = 0, end; begin < p->w.out; begin = end) {
                end = columns_end(p, begin);
                window_sizes(p, i, j, begin, end, share);
                for (int64_t k = begin; k < end; k++) share[k - begin] = dy[k] / share[k - begin];
                pool_row row = {share, y, p->w.stride, begin};
                each_tap(p, i, j, begin, end, add_shares, &row);
            }
}
