/* conv_base_real.c - planes, the product by weights, and y; for one dtype and instruction set. */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"
#include "instance.h"

/* Accumulators that fill the vector registers, beside one row of operands and a broadcast one. */
enum {
    BLOCK_ROWS = VEC_REGISTERS == 32 ? GR__CONV_MAX_ROWS : 4, /* result channels */
    BLOCK_VECS = 3                                            /* vectors of a run */
};

/* --- rows of images and rows of planes --- */

/* Columns [begin, end) of a plane's row, of n columns, that lie in an image's row; column j is
 * there at first + j * stride. */
typedef struct column_range {
    int64_t begin, end, first;
} column_range;

static column_range columns_of(const gr__conv_axis *w, int64_t plane, int64_t n)
{
    column_range s = {.first = plane * w->dilation % w->stride - w->padding};
    if (s.first < 0) s.begin = (w->stride - 1 - s.first) / w->stride;
    if (s.first < w->in) s.end = (w->in - 1 - s.first) / w->stride + 1;
    if (s.end > n) s.end = n;
    if (s.begin > s.end) s.begin = s.end;
    return s;
}

/* y[j] = x[2 j]. The last vector ends with the last element, and none reads beyond it. */
static void read_even(const REAL *x, int64_t n, REAL *y)
{
    if (n <= VEC_LANES) {
        for (int64_t j = 0; j < n; j++) y[j] = x[2 * j];
        return;
    }
    for (int64_t j = 0; j + VEC_LANES < n; j += VEC_LANES)
        vec_store(y + j, vec_even(vec_load(x + 2 * j), vec_load(x + 2 * j + VEC_LANES)));
    x += 2 * (n - VEC_LANES) - 1;
    vec_store(y + n - VEC_LANES, vec_odd(vec_load(x), vec_load(x + VEC_LANES)));
}

static void read_row(const REAL *row, int64_t stride, const column_range *s, int64_t n, REAL *y)
{
    const REAL *from = row + s->first + s->begin * stride;
    int64_t count = s->end - s->begin;
    fill_zero(y, s->begin);
    if (stride == 1) memcpy(y + s->begin, from, (size_t)count * sizeof *y);
    else if (stride == 2) read_even(from, count, y + s->begin);
    else
        for (int64_t j = 0; j < count; j++) y[s->begin + j] = from[j * stride];
    fill_zero(y + s->end, n - s->end);
}

static void write_row(const REAL *x, int64_t stride, const column_range *s, REAL *row)
{
    int64_t n = s->end - s->begin;
    if (stride == 1) memcpy(row + s->first + s->begin, x + s->begin, (size_t)n * sizeof *x);
    else
        for (int64_t j = s->begin; j < s->end; j++) row[s->first + j * stride] = x[j];
}

/* Plane (a, b) of a channel x of an image, from `row` on. */
static void read_plane(const gr__conv_job *job, const REAL *x, int64_t a, int64_t b, int64_t row,
                       REAL *y)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    column_range s = columns_of(w, b, job->pitch);
    int64_t at = row * h->stride + a * h->dilation % h->stride - h->padding;
    for (int64_t i = 0; i < job->rows + h->reach; i++, at += h->stride, y += job->pitch) {
        if (at < 0 || at >= h->in) fill_zero(y, job->pitch);
        else read_row(x + at * w->in, w->stride, &s, job->pitch, y);
    }
}

/* All planes of group g of image n. */
static void read_image(const gr__conv_job *job, int64_t n, int64_t g, int64_t row, REAL *y)
{
    const gr__conv *c = &job->c;
    const REAL *x = (const REAL *)job->a + (n * c->groups + g) * c->in * c->h.in * c->w.in;
    for (int64_t i = 0; i < c->in; i++, x += c->h.in * c->w.in)
        for (int64_t a = 0; a < c->h.planes; a++)
            for (int64_t b = 0; b < c->w.planes; b++, y += job->plane)
                read_plane(job, x, a, b, row, y);
}

/* --- y[r][i] = sum_k w[k][r] x[offset_k + i]: a block of rows and vectors --- */

typedef struct product {
    const REAL *x;
    const int64_t *offset; /* n of them */
    int64_t n;
    const REAL *w;
    REAL *y;
    int64_t y_pitch;
} product;

static ALWAYS_INLINE void block(const product *p, int64_t i, const int rows, const int vecs)
{
    vec sum[GR__CONV_MAX_ROWS][BLOCK_VECS] = {{{0}}};
    const REAL *w = p->w;
    for (int64_t k = 0; k < p->n; k++, w += rows) {
        const REAL *x = p->x + p->offset[k] + i;
        vec v[BLOCK_VECS];
        UNROLL
        for (int c = 0; c < vecs; c++) v[c] = vec_load(x + c * VEC_LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            UNROLL
            for (int c = 0; c < vecs; c++) sum[r][c] += w[r] * v[c];
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int c = 0; c < vecs; c++)
            vec_store(p->y + r * p->y_pitch + i + c * VEC_LANES, sum[r][c]);
    }
}

/* The compiler makes a block of each size. */
static ALWAYS_INLINE void block_of(const product *p, int64_t i, int rows, const int vecs)
{
    if (rows == 1) block(p, i, 1, vecs);
    else if (rows == 2) block(p, i, 2, vecs);
    else if (rows == 3) block(p, i, 3, vecs);
    else if (BLOCK_ROWS == 4 || rows == 4) block(p, i, 4, vecs);
    else if (rows == 5) block(p, i, 5, vecs);
    else if (rows == 6) block(p, i, 6, vecs);
    else if (rows == 7) block(p, i, 7, vecs);
    else block(p, i, 8, vecs);
}

static void multiply(const product *p, int rows, int64_t length)
{
    int64_t i = 0, left = (length + VEC_LANES - 1) / VEC_LANES;
    for (; left >= BLOCK_VECS; left -= BLOCK_VECS, i += BLOCK_VECS * VEC_LANES)
        block_of(p, i, rows, BLOCK_VECS);
    if (left == 2) block_of(p, i, rows, 2);
    else if (left == 1) block_of(p, i, rows, 1);
}

/* --- blocks of channels: all of one size but the last --- */

static int64_t block_size(int64_t channels)
{
    int64_t blocks = (channels + BLOCK_ROWS - 1) / BLOCK_ROWS;
    return blocks ? (channels + blocks - 1) / blocks : 1;
}

/* Where weight k of channel r, of n weights per channel, is packed. */
static REAL *packed_at(REAL *packed, int64_t channels, int64_t r, int64_t n, int64_t *step)
{
    int64_t size = block_size(channels), first = r / size * size;
    *step = block_from(first, size, channels);
    return packed + first * n + r - first;
}

/* --- y --- */

static void forward_prepare(gr__conv_job *job, int64_t begin, int64_t end)
{
    const gr__conv *c = &job->c;
    int64_t n = c->in * c->h.taps * c->w.taps, step;
    for (int64_t i = begin; i < end; i++) {
        int64_t g = i / c->out;
        const REAL *w = (const REAL *)job->b + i * n;
        REAL *to = packed_at((REAL *)job->packed + g * c->out * n, c->out, i % c->out, n, &step);
        for (int64_t k = 0; k < n; k++, to += step) *to = w[k];
    }
}

/* The results of one channel in a run, to rows of y. */
static void write_results(const gr__conv_job *job, const REAL *run, int64_t rows, REAL bias,
                          REAL *y)
{
    int64_t width = job->c.w.out;
    for (int64_t i = 0; i < rows; i++, run += job->pitch, y += width)
        for (int64_t j = 0; j < width; j++) y[j] = run[j] + bias;
}

static void forward_task(const gr__conv_job *job, int64_t task, void *space)
{
    const gr__conv *c = &job->c;
    int64_t band = task % job->bands, image = task / job->bands, g = image % c->groups;
    int64_t row = band * job->rows, rows = block_from(row, job->rows, c->h.out);
    int64_t n = c->in * c->h.taps * c->w.taps, size = block_size(c->out);
    int64_t planes_size = c->in * c->h.planes * c->w.planes * job->plane;
    int64_t run = job->rows * job->pitch + GR__CONV_SLACK;
    REAL *planes = space, *runs = planes + planes_size + GR__CONV_SLACK;
    read_image(job, image / c->groups, g, row, planes);
    for (int64_t o = 0; o < c->out; o += size) {
        int64_t channel = g * c->out + o, count = block_from(o, size, c->out);
        product p = {planes, job->offset, n, (const REAL *)job->packed + channel * n, runs, run};
        multiply(&p, (int)count, (rows - 1) * job->pitch + c->w.out);
        for (int64_t r = 0; r < count; r++)
            write_results(job, runs + r * run, rows,
                          job->bias ? ((const REAL *)job->bias)[channel + r] : 0,
                          (REAL *)job->y + ((image * c->out + o + r) * c->h.out + row) * c->w.out);
    }
}
