/* conv_input_real.c - dx of a convolution; needs conv_base_real.c before it. */
/* SPDX-License-Identifier: MIT */
#include "conv.h"
#include "instance.h"

/* --- packing --- */

/* The taps of plane (a, b) of dx, and how many those of the planes before are. */
typedef struct plane_taps {
    int64_t h, w, before;
} plane_taps;

static int64_t taps_in(const gr__conv_axis *x, int64_t plane)
{
    return (x->taps - plane + x->planes - 1) / x->planes;
}

static plane_taps next_plane(const gr__conv *c, const plane_taps *last, int64_t a, int64_t b)
{
    return (plane_taps){taps_in(&c->h, a), taps_in(&c->w, b), last->before + last->h * last->w};
}

/* The weights from in channel i of group g, in the order of gradient_offsets. */
static void pack_input_channel(gr__conv_job *job, int64_t g, int64_t i)
{
    const gr__conv *c = &job->c;
    int64_t taps = c->h.taps * c->w.taps, step;
    const REAL *w = (const REAL *)job->b + (g * c->out * c->in + i) * taps;
    REAL *packed = (REAL *)job->packed + g * c->out * c->in * taps, odd = 0;
    plane_taps t = {0};
    for (int64_t a = 0; a < c->h.planes; a++)
        for (int64_t b = 0; b < c->w.planes; b++) {
            t = next_plane(c, &t, a, b);
            REAL *to = packed_at(packed + c->in * c->out * t.before, c->in, i, c->out * t.h * t.w,
                                 &step);
            for (int64_t kh = a; kh < c->h.taps; kh += c->h.planes)
                for (int64_t o = 0; o < c->out; o++)
                    for (int64_t kw = b; kw < c->w.taps; kw += c->w.planes, to += step) {
                        *to = w[o * c->in * taps + kh * c->w.taps + kw];
                        odd += *to * 0;
                    }
        }
    if (odd != 0 || odd != odd) __atomic_store_n(&job->exceptional, true, __ATOMIC_RELAXED);
}

static void input_grad_prepare(gr__conv_job *job, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) pack_input_channel(job, i / job->c.in, i % job->c.in);
}

/* Channel o of dy from `row` - reach on, zeros around it; before it `reach` zeros. */
static void read_cotangent(const gr__conv_job *job, const REAL *dy, int64_t row, REAL *y)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    fill_zero(y, w->reach);
    y += w->reach;
    for (int64_t i = row - h->reach; i < row + job->rows; i++, y += job->pitch) {
        bool inside = i >= 0 && i < h->out;
        if (inside) memcpy(y, dy + i * w->out, (size_t)w->out * sizeof *y);
        fill_zero(inside ? y + w->out : y, inside ? w->reach : job->pitch);
    }
}

/* The run of one channel of plane (a, b), to dx of that channel. */
static void write_plane(const gr__conv_job *job, const REAL *run, int64_t a, int64_t b, int64_t row,
                        int64_t rows, REAL *dx)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    column_range s = columns_of(w, b, job->pitch);
    int64_t at = row * h->stride + a * h->dilation % h->stride - h->padding;
    for (int64_t i = 0; i < rows; i++, at += h->stride, run += job->pitch)
        if (at >= 0 && at < h->in) write_row(run, w->stride, &s, dx + at * w->in);
}

/* The rows of dx that belong to a band: some of them may lie in no plane. */
static void clear_band(const gr__conv_job *job, int64_t row, int64_t rows, REAL *dx)
{
    const gr__conv *c = &job->c;
    int64_t begin = row * c->h.stride - c->h.padding;
    int64_t end = row + rows == job->end_row ? c->h.in : begin + rows * c->h.stride;
    if (begin < 0) begin = 0;
    for (int64_t i = 0; i < c->in; i++, dx += c->h.in * c->w.in)
        fill_zero(dx + begin * c->w.in, (end - begin) * c->w.in);
}

static void multiply_plane(const gr__conv_job *job, int64_t g, int64_t a, int64_t b,
                           const plane_taps *t, int64_t row, int64_t rows, const REAL *dy,
                           REAL *runs, REAL *dx)
{
    const gr__conv *c = &job->c;
    int64_t n = c->out * t->h * t->w, size = block_size(c->in), taps = c->h.taps * c->w.taps;
    int64_t run = job->rows * job->pitch + GR__CONV_SLACK;
    const REAL *w = (const REAL *)job->packed + c->in * c->out * (g * taps + t->before);
    for (int64_t i = 0; i < c->in; i += size) {
        int64_t count = block_from(i, size, c->in);
        product p = {dy, job->offset + c->out * t->before, n, w + i * n, runs, run};
        multiply(&p, (int)count, rows * job->pitch);
        for (int64_t r = 0; r < count; r++)
            write_plane(job, runs + r * run, a, b, row, rows, dx + (i + r) * c->h.in * c->w.in);
    }
}

static void input_grad_task(const gr__conv_job *job, int64_t task, void *space)
{
    const gr__conv *c = &job->c;
    int64_t band = task % job->bands, image = task / job->bands;
    int64_t row = job->first_row + band * job->rows;
    int64_t rows = block_from(row, job->rows, job->end_row);
    REAL *planes = space, *runs = planes + c->out * job->plane + GR__CONV_SLACK;
    REAL *dx = (REAL *)job->y + image * c->in * c->h.in * c->w.in;
    const REAL *dy = (const REAL *)job->a + image * c->out * c->h.out * c->w.out;
    for (int64_t o = 0; o < c->out; o++)
        read_cotangent(job, dy + o * c->h.out * c->w.out, row, planes + o * job->plane);
    clear_band(job, row, rows, dx);
    plane_taps t = {0};
    for (int64_t a = 0; a < c->h.planes; a++)
        for (int64_t b = 0; b < c->w.planes; b++) {
            t = next_plane(c, &t, a, b);
            multiply_plane(job, image % c->groups, a, b, &t, row, rows, planes, runs, dx);
        }
}

/* One tap of dx by the definition. */
static void add_tap(const gr__conv *c, const REAL *dy, REAL w, int64_t kh, int64_t kw, REAL *dx)
{
    for (int64_t i = 0; i < c->h.out; i++) {
        int64_t row = i * c->h.stride + kh * c->h.dilation - c->h.padding;
        if (row < 0 || row >= c->h.in) continue;
        for (int64_t j = 0; j < c->w.out; j++) {
            int64_t column = j * c->w.stride + kw * c->w.dilation - c->w.padding;
            if (column >= 0 && column < c->w.in)
                dx[row * c->w.in + column] += w * dy[i * c->w.out + j];
        }
    }
}

/* With Inf or NaN in w, zeros around dy would spread NaN: no zeros here. */
static void input_grad_plain(const gr__conv_job *job, int64_t begin, int64_t end)
{
    const gr__conv *c = &job->c;
    int64_t in_size = c->h.in * c->w.in, out_size = c->h.out * c->w.out;
    for (int64_t image = begin; image < end; image++) {
        REAL *dx = (REAL *)job->y + image * c->in * in_size;
        const REAL *dy = (const REAL *)job->a + image * c->out * out_size;
        const REAL *w = (const REAL *)job->b +
                        image % c->groups * c->out * c->in * c->h.taps * c->w.taps;
        fill_zero(dx, c->in * in_size);
        for (int64_t o = 0; o < c->out; o++)
            for (int64_t i = 0; i < c->in; i++)
                for (int64_t kh = 0; kh < c->h.taps; kh++)
                    for (int64_t kw = 0; kw < c->w.taps; kw++)
                        add_tap(c, dy + o * out_size, *w++, kh, kw, dx + i * in_size);
    }
}
