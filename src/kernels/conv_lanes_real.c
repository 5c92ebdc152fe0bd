/* conv_lanes_real.c - convolutions with images in the lanes; see conv_lanes.c.
 *
 * Needs conv_base_real.c, conv_input_real.c, conv_weight_real.c and conv_winograd_real.c before it.
 */
/* SPDX-License-Identifier: MIT */
#include "conv.h"
#include "instance.h"

/* --- images to lanes --- */

/* Channels of group g of up to VEC_LANES images from n on, in a tensor of images. */
typedef struct lane_images {
    int64_t first, end;  /* elements of the tensor before them, of all of it */
    int64_t count, step; /* images; elements from one to the next */
    int64_t channels, height, width;
} lane_images;

static lane_images images_at(const gr__conv_job *job, bool of_x, int64_t n, int64_t g)
{
    const gr__conv *c = &job->c;
    lane_images s = {.count = block_from(n, VEC_LANES, c->batch)};
    s.channels = of_x ? c->in : c->out;
    s.height = of_x ? c->h.in : c->h.out;
    s.width = of_x ? c->w.in : c->w.out;
    int64_t group = s.channels * s.height * s.width;
    s.step = c->groups * group;
    s.first = n * s.step + g * group;
    s.end = c->batch * s.step;
    return s;
}

/* Channel i to [position][lane]; y has room for a square more. */
static void read_channel(const lane_images *s, const REAL *x, int64_t i, REAL *y)
{
    int64_t size = s->height * s->width;
    channels_to_lanes(x + s->first + i * size, s->step, size, s->count, x + s->end, y);
}

static void read_lanes(const lane_images *s, const REAL *x, REAL *y)
{
    for (int64_t i = 0; i < s->channels; i++, y += s->height * s->width * VEC_LANES)
        read_channel(s, x, i, y);
}

/* To planes, zeros around the images: `above` rows, `before` columns. */
static void read_lane_planes(const gr__conv_job *job, const lane_images *s, int64_t above,
                             int64_t before, REAL *turned, REAL *y)
{
    int64_t width = s->width * VEC_LANES;
    if (job->plane == s->height * s->width) {
        read_lanes(s, job->a, y);
        return;
    }
    fill_zero(y, s->channels * job->plane * VEC_LANES);
    for (int64_t i = 0; i < s->channels; i++, y += job->plane * VEC_LANES) {
        REAL *row = y + (above * job->pitch + before) * VEC_LANES;
        read_channel(s, job->a, i, turned);
        for (int64_t j = 0; j < s->height; j++, row += job->pitch * VEC_LANES)
            memcpy(row, turned + j * width, (size_t)width * sizeof *row);
    }
}

/* --- y --- */

static void add_bias(REAL *run, int64_t n, REAL bias)
{
    for (int64_t i = 0; i < n; i++) run[i] += bias;
}

/* The results of `count` channels, `size` positions each, to the images. */
static void write_lanes(const lane_images *s, REAL *runs, int64_t channel, int64_t count,
                        const REAL *bias, REAL *y)
{
    int64_t size = s->height * s->width;
    for (int64_t r = 0; r < count; r++, runs += size * VEC_LANES) {
        if (bias) add_bias(runs, size * VEC_LANES, bias[r]);
        lanes_to_channels(runs, size, s->count, false, y + s->first + (channel + r) * size,
                          s->step);
    }
}

static void lanes_forward(const gr__conv_job *job, int64_t n, int64_t g, REAL *space)
{
    const gr__conv *c = &job->c;
    const lane_images x = images_at(job, true, n, g);
    const lane_images y = images_at(job, false, n, g);
    int64_t taps = c->in * c->h.taps * c->w.taps, size = block_size(c->out);
    int64_t row = y.width * VEC_LANES, run = y.height * row;
    REAL *turned = space + (c->in * job->plane + VEC_LANES) * VEC_LANES;
    REAL *runs = turned + (x.height * x.width + VEC_LANES) * VEC_LANES;
    read_lane_planes(job, &x, c->h.padding, c->w.padding, turned, space);
    for (int64_t o = 0; o < c->out; o += size) {
        int64_t count = block_from(o, size, c->out), channel = g * c->out + o;
        const REAL *w = (const REAL *)job->packed + channel * taps;
        for (int64_t i = 0; i < y.height; i++) {
            product p = {
                space + i * job->pitch * VEC_LANES, job->offset, taps, w, runs + i * row, run};
            multiply(&p, (int)count, row);
        }
        write_lanes(&y, runs, o, count, job->bias ? (const REAL *)job->bias + channel : NULL,
                    job->y);
    }
}

typedef void lanes_fn(const gr__conv_job *job, int64_t n, int64_t g, REAL *space);

/* A group of images, as many at a time as there are lanes. */
static void each_lanes(const gr__conv_job *job, int64_t task, lanes_fn *fn, REAL *space)
{
    int64_t g = task % job->c.groups, first = task / job->c.groups * GR__CONV_SLACK;
    int64_t end = first + block_from(first, GR__CONV_SLACK, job->c.batch);
    for (int64_t n = first; n < end; n += VEC_LANES) fn(job, n, g, space);
}

static void lanes_forward_task(const gr__conv_job *job, int64_t task, void *space)
{
    each_lanes(job, task, lanes_forward, space);
}

/* --- dx --- */

/* Taps [begin, end) of a row of dx that meet rows of dy. */
static void taps_of_row(const gr__conv_axis *h, int64_t row, int64_t *begin, int64_t *end)
{
    int64_t at = row + h->padding, below = at - h->out + 1;
    *begin = below > 0 ? (below + h->dilation - 1) / h->dilation : 0;
    *end = at / h->dilation + 1 < h->taps ? at / h->dilation + 1 : h->taps;
    if (*begin > *end) *begin = *end;
}

static void lanes_input_grad(const gr__conv_job *job, int64_t n, int64_t g, REAL *space)
{
    const gr__conv *c = &job->c;
    const lane_images dy = images_at(job, false, n, g);
    const lane_images dx = images_at(job, true, n, g);
    int64_t per_row = c->out * c->w.taps, size = block_size(c->in), begin, end;
    int64_t row = dx.width * VEC_LANES, run = dx.height * row;
    REAL *turned = space + (c->out * job->plane + VEC_LANES) * VEC_LANES;
    REAL *runs = turned + (dy.height * dy.width + VEC_LANES) * VEC_LANES;
    read_lane_planes(job, &dy, c->h.reach - c->h.padding, c->w.reach - c->w.padding, turned, space);
    for (int64_t k = 0; k < c->in; k += size) {
        int64_t count = block_from(k, size, c->in);
        const REAL *w = (const REAL *)job->packed + (g * c->in + k) * per_row * c->h.taps;
        for (int64_t i = 0; i < dx.height; i++) {
            taps_of_row(&c->h, i, &begin, &end);
            product p = {space + i * job->pitch * VEC_LANES,
                         job->offset + begin * per_row,
                         (end - begin) * per_row,
                         w + begin * per_row * count,
                         runs + i * row,
                         run};
            multiply(&p, (int)count, row);
        }
        write_lanes(&dx, runs, k, count, NULL, job->y);
    }
}

static void lanes_input_grad_task(const gr__conv_job *job, int64_t task, void *space)
{
    each_lanes(job, task, lanes_input_grad, space);
}

/* --- dw --- */

/* Planes of x, runs of dy, and what of them is added up. */
typedef struct lane_sums {
    const REAL *x, *dy;
    int64_t height, width, pitch;
} lane_sums;

/* y[r][k] = sum over positions and lanes of dy[r][i] x[offset_k + i] */
static ALWAYS_INLINE void lanes_tile(const lane_sums *s, const int64_t *offset, int64_t row,
                                     const int rows, REAL *y)
{
    vec sum[TILE_ROWS][TILE_TAPS] = {{{0}}};
    const int64_t run = s->height * s->width * VEC_LANES;
    const REAL *dy = s->dy + row * run, *x = s->x;
    for (int64_t i = 0; i < s->height; i++, x += (s->pitch - s->width) * VEC_LANES)
        for (int64_t j = 0; j < s->width; j++, x += VEC_LANES, dy += VEC_LANES) {
            vec v[TILE_ROWS];
            UNROLL
            for (int r = 0; r < rows; r++) v[r] = vec_load(dy + r * run);
            UNROLL
            for (int k = 0; k < TILE_TAPS; k++) {
                vec u = vec_load(x + offset[k]);
                UNROLL
                for (int r = 0; r < rows; r++) sum[r][k] += v[r] * u;
            }
        }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int k = 0; k < TILE_TAPS; k++) y[r * TILE_TAPS + k] = vec_sum(sum[r][k]);
    }
}

static void lanes_tile_of(const lane_sums *s, const int64_t *offset, int64_t row, int64_t rows,
                          REAL *y)
{
    if (rows == 1) lanes_tile(s, offset, row, 1, y);
    else if (rows == 2) lanes_tile(s, offset, row, 2, y);
    else if (rows == 3) lanes_tile(s, offset, row, 3, y);
    else lanes_tile(s, offset, row, TILE_ROWS, y);
}

static void add_lanes(const gr__conv_job *job, const lane_sums *s, REAL *dw)
{
    int64_t taps = job->c.in * job->c.h.taps * job->c.w.taps;
    for (int64_t k = 0; k < taps; k += TILE_TAPS) {
        int64_t used = block_from(k, TILE_TAPS, taps);
        for (int64_t o = 0; o < job->c.out; o += TILE_ROWS) {
            REAL sum[TILE_ROWS * TILE_TAPS];
            int64_t rows = block_from(o, TILE_ROWS, job->c.out);
            lanes_tile_of(s, job->offset + k, o, rows, sum);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < used; i++)
                    dw[(o + r) * taps + k + i] += sum[r * TILE_TAPS + i];
        }
    }
}

static void lanes_weight_grad_task(const gr__conv_job *job, int64_t task, void *space)
{
    const gr__conv *c = &job->c;
    int64_t g = task % c->groups, chunk = task / c->groups;
    int64_t images = job->per_chunk * GR__CONV_SLACK, n = chunk * images;
    int64_t end = n + block_from(n, images, c->batch);
    int64_t weights = c->out * c->in * c->h.taps * c->w.taps;
    REAL *dw = (REAL *)job->partial + (chunk * c->groups + g) * weights;
    REAL *planes = space, *turned = planes + (c->in * job->plane + VEC_LANES) * VEC_LANES;
    REAL *runs = turned + (c->h.in * c->w.in + VEC_LANES) * VEC_LANES;
    fill_zero(dw, weights);
    for (; n < end; n += VEC_LANES) {
        const lane_images x = images_at(job, true, n, g);
        const lane_images dy = images_at(job, false, n, g);
        read_lane_planes(job, &x, c->h.padding, c->w.padding, turned, planes);
        read_lanes(&dy, job->b, runs);
        const lane_sums s = {planes, runs, dy.height, dy.width, job->pitch};
        add_lanes(job, &s, dw);
    }
}
