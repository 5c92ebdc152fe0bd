/* conv_winograd_tasks_real.c - the steps of a convolution by Winograd's algorithm; needs before it
 * conv_winograd_real.c and the products: conv_winograd_plain_real.c or conv_winograd_fixed.c. */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"

/* --- strips of images --- */

/* Strips [first, end) of block `index`. */
typedef struct strip_range {
    int64_t first, end;
} strip_range;

static strip_range strips_of(const gr__winograd *w, int64_t index)
{
    int64_t first = index * w->per_block, left = w->strips - first;
    return (strip_range){first, first + (left < w->per_block ? left : w->per_block)};
}

static int64_t tiles_in(const gr__winograd *w, int64_t block)
{
    const strip_range range = strips_of(w, block);
    return (range.end - range.first) * w->across;
}

/* n rows of `channels` channels from `row` on, zeros outside the image, to y [n][width]. */
static void read_strip(const gr__winograd_plane *p, const REAL *x, int64_t channels,
                       const REAL *end, int64_t row, int64_t n, REAL *y)
{
    const int64_t before = row < 0 ? -row : 0, width = p->width * VEC_LANES;
    int64_t last = row + n < p->height ? n : p->height - row;
    if (last < before) last = before;
    fill_zero(y, before * width);
    channels_to_lanes(x + (row + before) * p->width, p->height * p->width,
                      (last - before) * p->width, channels, end, y + before * width);
    fill_zero(y + last * width, (n - last) * width);
}

/* The same of an image with zeros between its rows. */
static void read_spread_strip(const gr__winograd_plane *p, const REAL *x, int64_t channels,
                              const REAL *end, int64_t row, int64_t n, int64_t spread, REAL *y)
{
    const int64_t width = p->width * VEC_LANES;
    for (int64_t i = 0; i < n; i++, y += width) {
        int64_t from = (row + i) / spread;
        if (row + i < 0 || (row + i) % spread || from >= p->height) fill_zero(y, width);
        else
            channels_to_lanes(x + from * p->width, p->height * p->width, p->width, channels, end,
                              y);
    }
}

/* Which images are read, and as what: x (or dy of a dx) or dy of a dw. */
typedef struct reading {
    const gr__winograd_plane *plane;
    const REAL *x;
    int64_t channels, spread, step, padding, left;
    tile_lanes to;
} reading;

/* The tiles of a block, a vector of channels at a time. n rows of a strip give m of points. */
static ALWAYS_INLINE void read_tiles(const gr__conv_job *job, const reading *r, int64_t block,
                                     transform *f, const int n, const int m, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    const gr__winograd_plane *p = r->plane;
    const strip_range range = strips_of(w, block);
    const int64_t image = p->height * p->width;
    const REAL *end = r->x + job->c.batch * r->channels * image;
    tile_lanes to = r->to;
    strip s = {.x = space,
               .width = p->width,
               .left = r->left,
               .spread = r->spread,
               .step = r->step,
               .tiles = w->across,
               .pitch = w->pitch,
               .y_point = to.point,
               .y_tile = to.tile};
    s.half = space + (n * p->width + VEC_LANES) * VEC_LANES;
    fill_zero(s.half, m * s.pitch * VEC_LANES);
    for (int64_t c = 0; c < r->channels; c += VEC_LANES) {
        for (int64_t i = range.first; i < range.end; i++) {
            int64_t row = i % w->down * r->step - r->padding;
            const REAL *x = r->x + (i / w->down * r->channels + c) * image;
            int64_t count = block_from(c, VEC_LANES, r->channels);
            if (r->spread == 1) read_strip(p, x, count, end, row, n, space);
            else read_spread_strip(p, x, count, end, row, n, r->spread, space);
            s.y = to.y + (i - range.first) * w->across * to.tile;
            transform_strip(&s, f, n, m);
        }
        to = next_lanes(to, m * m, tiles_in(w, block));
    }
}

static void read_image_tiles(const gr__conv_job *job, int64_t block, tile_lanes to, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    const reading r = {&w->read, job->a, w->in, w->spread, w->step, w->padding_h, w->padding_w, to};
    if (w->tile == 4) read_tiles(job, &r, block, image_4, 6, 6, space);
    else if (w->tile == 2) read_tiles(job, &r, block, image_2, 4, 4, space);
    else read_tiles(job, &r, block, same_3, 3, 3, space);
}

/* --- y and dx --- */

/* Tiles [points][tiles][panel] of a strip become its rows y [rows][width]. */
static ALWAYS_INLINE void results_of_strip(const gr__winograd *w, const REAL *x, transform *f,
                                           const int n, const int m, int64_t rows, REAL *y)
{
    const int64_t point = w->out_point, width = w->across * m * VEC_LANES;
    for (int64_t t = 0; t < w->across; t++)
        square(x + t * w->panel, n * point, point, f, n, y + t * m * VEC_LANES, width, VEC_LANES,
               m);
    for (int64_t i = 1; i < rows; i++)
        memmove(y + i * w->written.width * VEC_LANES, y + i * width,
                (size_t)(w->written.width * VEC_LANES) * sizeof *y);
}

/* Adds the bias, [count] or NULL; false if a result before that is Inf or NaN. */
static bool finish_results(REAL *y, int64_t n, const REAL *bias, int64_t count)
{
    vec odd = {0}, b = {0};
    if (bias) memcpy(&b, bias, (size_t)count * sizeof *bias);
    for (int64_t i = 0; i < n * VEC_LANES; i += VEC_LANES) {
        vec v = vec_load(y + i);
        odd += 0 * v;
        vec_store(y + i, v + b);
    }
    return vec_sum(odd) == 0;
}

/* Of a block, for lanes of channels from `channel` on, x being what multiply_weights made of them. */
static void write_tiles(gr__conv_job *job, int64_t block, const REAL *x, int64_t channel, REAL *y)
{
    const gr__winograd *w = &job->winograd;
    const gr__winograd_plane *p = &w->written;
    const strip_range range = strips_of(w, block);
    const int64_t image = p->height * p->width, count = block_from(channel, VEC_LANES, w->out);
    const REAL *bias = job->bias ? (const REAL *)job->bias + channel : NULL;
    bool fine = true;
    for (int64_t i = range.first; i < range.end; i++, x += w->across * w->panel) {
        int64_t row = i % w->down * w->tile, rows = block_from(row, w->tile, p->height);
        REAL *to = (REAL *)job->y + (i / w->down * w->out + channel) * image + row * p->width;
        if (w->tile == 4) results_of_strip(w, x, result_4, 6, 4, rows, y);
        else if (w->tile == 2) results_of_strip(w, x, result_2, 4, 2, rows, y);
        else results_of_strip(w, x, same_1, 1, 1, rows, y);
        fine &= finish_results(y, rows * p->width, bias, count);
        lanes_to_channels(y, rows * p->width, count, false, to, image);
    }
    if (!fine) __atomic_store_n(&job->exceptional, true, __ATOMIC_RELAXED);
}

/* A panel of results of a block, from its tiles and the panel's weights. */
static void results_of_tiles(gr__conv_job *job, int64_t block, int64_t panel, const REAL *tiles,
                             const REAL *weights, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    REAL *y = space + w->out_size;
    for (int64_t k = 0; k < w->points; k++) multiply_weights(w, k, tiles, weights, space);
    for (int64_t i = 0; i < w->panel && panel * w->panel + i < w->out; i += VEC_LANES)
        write_tiles(job, block, space + i, panel * w->panel + i, y);
}

/* The tiles of a block, as they are multiplied by weights. */
static void read_block(const gr__conv_job *job, int64_t block, REAL *tiles, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    read_image_tiles(job, block, (tile_lanes){tiles, w->in_point, w->in_step, NULL, 0}, space);
    pack_channels(w, tiles, tiles_in(w, block));
}

/* Either the tiles of a block or the weights of a panel are the task's own, the others are shared,
 * and prepared. */
static void winograd_prepare(gr__conv_job *job, int64_t i, void *space)
{
    const gr__winograd *w = &job->winograd;
    if (w->by_panels) read_block(job, w->first + i, (REAL *)w->shared + i * w->tiles_size, space);
    else read_weights(job, i, (REAL *)w->shared + i * w->weights_size, space);
}

static void winograd_task(gr__conv_job *job, int64_t i, void *space)
{
    const gr__winograd *w = &job->winograd;
    REAL *own = space, *rest = own + (w->by_panels ? w->weights_size : w->tiles_size);
    const REAL *shared = w->shared;
    if (w->by_panels) {
        read_weights(job, i, own, rest);
        for (int64_t b = 0; b < block_from(w->first, w->round, w->blocks); b++)
            results_of_tiles(job, w->first + b, i, shared + b * w->tiles_size, own, rest);
    } else {
        read_block(job, i, own, rest);
        for (int64_t p = 0; p < w->panels; p++)
            results_of_tiles(job, i, p, own, shared + p * w->weights_size, rest);
    }
}
