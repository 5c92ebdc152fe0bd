/* bf16_planes.c - images as planes of units, and where in them a result's terms are. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16_conv.h"

#include <string.h>

enum { SET_WORK = 1 << 14 }; /* units worth a task */

/* --- offsets --- */

/* Of each tap of each set of planes; of dx from the last tap to the first. */
void gr__bf16_find_offsets(gr__bf16_conv *job)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    const int64_t taps = gr__bf16_taps(&job->c);
    for (int64_t k = 0; k < job->terms; k++) {
        int64_t t = job->kind == GR__CONV_INPUT_GRAD ? taps - 1 - k % taps : k % taps;
        int64_t kh = t / w->taps, kw = t % w->taps;
        int64_t plane = kh % h->planes * w->planes + kw % w->planes;
        int64_t row = kh * h->dilation / h->stride, column = kw * w->dilation / w->stride;
        job->offset[k] = k / taps * job->set + plane * job->plane + row * job->pitch + column;
    }
}

/* --- planes --- */

/* The pair of images or channels that set i is made of; NULL: there is no other. */
typedef struct source {
    const float *x, *second;
} source;

static source source_of(const gr__bf16_conv *job, int64_t i)
{
    const gr__conv *c = &job->c;
    const int64_t image = c->h.in * c->w.in, channels = c->groups * c->in;
    if (job->kind == GR__CONV_WEIGHT_GRAD) { /* set i: of channel i % channels */
        const int64_t n = 2 * (i / channels);
        const float *x = job->a + (n * channels + i % channels) * image;
        return (source){x, n + 1 < c->batch ? x + channels * image : NULL};
    }
    const int64_t channel = 2 * (i % job->pairs);
    const float *x = job->a + (i / job->pairs * c->in + channel) * image;
    return (source){x, channel + 1 < c->in ? x + image : NULL};
}

/* The elements [begin, end) of a row or column of a plane that are in the image; others are 0. */
typedef struct range {
    int64_t begin, end, first; /* first: of the image, the one at `begin` */
} range;

static range range_of(const gr__conv_axis *a, int64_t plane, int64_t n)
{
    const int64_t first = plane * a->dilation % a->stride - a->padding;
    range r = {.begin = first < 0 ? (a->stride - 1 - first) / a->stride : 0,
               .end = first < a->in ? (a->in - 1 - first) / a->stride + 1 : 0};
    r.end = gr__least(r.end, n);
    r.begin = gr__least(r.begin, r.end);
    r.first = first + r.begin * a->stride;
    return r;
}

/* Plane (a, b) of a pair. */
static void read_plane(const gr__bf16_conv *job, source s, int64_t a, int64_t b, uint32_t *y)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    const range rows = range_of(h, a, h->out + h->reach), columns = range_of(w, b, job->pitch);
    const int64_t from = rows.first * w->in + columns.first;
    const bool any = rows.begin < rows.end && columns.begin < columns.end;
    const gr__bf16_plane p = {
        .x = any ? s.x + from : s.x,
        .second = s.second && any ? s.second + from : NULL,
        .row = h->stride * w->in,
        .stride = w->stride,
        .rows = rows.end - rows.begin,
        .begin = columns.begin,
        .end = columns.end,
        .pitch = job->pitch,
        .y = y + rows.begin * job->pitch,
    };
    memset(y, 0, (size_t)(rows.begin * job->pitch) * sizeof *y);
    job->kernels->plane(&p);
    memset(y + rows.end * job->pitch, 0, (size_t)(job->plane - rows.end * job->pitch) * sizeof *y);
}

static void read_sets(void *ctx, int64_t begin, int64_t end)
{
    const gr__bf16_conv *job = ctx;
    for (int64_t i = begin; i < end; i++) {
        const source s = source_of(job, i);
        uint32_t *y = job->planes + i * job->set;
        for (int64_t a = 0; a < job->c.h.planes; a++)
            for (int64_t b = 0; b < job->c.w.planes; b++, y += job->plane)
                read_plane(job, s, a, b, y);
    }
}

void gr__bf16_read_planes(const gr__bf16_conv *job)
{
    gr__parallel_for(job->sets, gr__up_div(SET_WORK, job->set), read_sets, (void *)job);
}

/* --- segments --- */

/* The results [first, first + n) of all images, row by row; pairs of images in dw. */
int64_t gr__bf16_segments(const gr__bf16_conv *job, int64_t first, int64_t n, int64_t image,
                          gr__bf16_segment *s)
{
    const int64_t width = job->c.w.out, results = gr__bf16_results(&job->c);
    int64_t count = 0;
    for (int64_t at = 0; at < n; count++) {
        const int64_t i = first + at, row = i % results / width, column = i % width;
        const int64_t length = gr__least(n - at, width - column);
        s[count] = (gr__bf16_segment){i / results * image + row * job->pitch + column, at, length};
        at += length;
    }
    return count;
}
