/* conv_winograd_weight_real.c - dw by Winograd's algorithm; needs conv_winograd_tasks_real.c. */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"

/* The tiles of x and of dy of a block, one after the other. */
static void read_both_tiles(const gr__conv_job *job, int64_t block, REAL *y, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    const tile_lanes x = lanes_of_dw(w, y, w->in_point, w->in_step, &space);
    read_image_tiles(job, block, x, space);
    const reading r = {
        &w->written,
        job->b,
        w->out,
        1,
        w->tile,
        0,
        0,
        lanes_of_dw(w, y + w->points * w->in_point, w->out_point, w->out_step, &space)};
    if (w->tile == 4) read_tiles(job, &r, block, cotangent_4, 4, 6, space);
    else if (w->tile == 2) read_tiles(job, &r, block, cotangent_2, 2, 4, space);
    else read_tiles(job, &r, block, same_1, 1, 1, space);
}

/* sum [points][height][panel] += what a block's tiles give for these channels of x and dy. */
static void add_tiles(const gr__winograd *w, int64_t block, const REAL *tiles, int64_t in,
                      int64_t out, bool first, REAL *sum)
{
    const int64_t n = tiles_in(w, block);
    for (int64_t k = 0; k < w->points; k++) multiply_tiles(w, k, tiles, n, in, out, first, sum);
}

static ALWAYS_INLINE void weights_of_sum(const gr__winograd *w, const REAL *sum, int64_t n,
                                         transform *f, const int points, REAL *y)
{
    const int64_t point = w->weights_point;
    for (int64_t c = 0; c < n; c++, sum += w->panel, y += WEIGHTS * VEC_LANES)
        square(sum, points * point, point, f, points, y, 3 * VEC_LANES, VEC_LANES, 3);
}

/* The weights of such a sum become dw [out][in], or are added to it. */
static void write_weights(gr__conv_job *job, const REAL *sum, int64_t in, int64_t out, bool add,
                          REAL *dw, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    int64_t end = in + block_from(in, w->height, w->in),
            stop = out + block_from(out, w->panel, w->out);
    bool fine = true;
    for (int64_t o = out; o < stop; o += VEC_LANES)
        for (int64_t c = in; c < end; c += GR__CONV_TURNED) {
            const REAL *from = sum + (c - in) * w->panel + o - out;
            int64_t n = block_from(c, GR__CONV_TURNED, end), count = block_from(o, VEC_LANES, stop);
            if (w->tile == 4) weights_of_sum(w, from, n, gradient_4, 6, space);
            else if (w->tile == 2) weights_of_sum(w, from, n, gradient_2, 4, space);
            else weights_of_sum(w, from, n, same_3, 3, space);
            fine &= finish_results(space, n * WEIGHTS, NULL, 0);
            lanes_to_channels(space, n * WEIGHTS, count, add, dw + (o * w->in + c) * WEIGHTS,
                              w->in * WEIGHTS);
        }
    if (!fine) __atomic_store_n(&job->exceptional, true, __ATOMIC_RELAXED);
}

static void winograd_dw_prepare(gr__conv_job *job, int64_t i, void *space)
{
    const gr__winograd *w = &job->winograd;
    read_both_tiles(job, w->first + i, (REAL *)w->shared + i * w->tiles_size, space);
}

/* A panel of the blocks of a round, which are shared. */
static void panel_of_dw(gr__conv_job *job, int64_t i, REAL *sum)
{
    const gr__winograd *w = &job->winograd;
    int64_t in = i % w->heights * w->height, out = i / w->heights * w->panel;
    REAL *rest = sum + w->weights_size;
    for (int64_t b = 0; b < block_from(w->first, w->round, w->blocks); b++)
        add_tiles(w, w->first + b, (const REAL *)w->shared + b * w->tiles_size, in, out, b == 0,
                  sum);
    write_weights(job, sum, in, out, w->first > 0, job->y, rest);
}

/* All panels of a chunk of blocks: a partial sum. */
static void chunk_of_dw(gr__conv_job *job, int64_t i, REAL *sum)
{
    const gr__winograd *w = &job->winograd;
    const int64_t first = i * w->per_chunk,
                  end = first + block_from(first, w->per_chunk, w->blocks);
    REAL *tiles = sum + w->panels * w->weights_size, *rest = tiles + w->tiles_size;
    REAL *dw = w->chunks > 1 ? (REAL *)w->shared + i * w->out * w->in * WEIGHTS : job->y;
    for (int64_t b = first; b < end; b++) {
        read_both_tiles(job, b, tiles, rest);
        for (int64_t p = 0; p < w->panels; p++)
            add_tiles(w, b, tiles, 0, p * w->panel, b == first, sum + p * w->weights_size);
    }
    for (int64_t p = 0; p < w->panels; p++)
        write_weights(job, sum + p * w->weights_size, 0, p * w->panel, false, dw, rest);
}

static void winograd_dw_task(gr__conv_job *job, int64_t i, void *space)
{
    (job->winograd.by_panels ? panel_of_dw : chunk_of_dw)(job, i, space);
}

/* Chunks are added in order, one out channel at a time. */
static void winograd_dw_finish(gr__conv_job *job, int64_t i, void *space)
{
    const gr__winograd *w = &job->winograd;
    const int64_t n = w->in * WEIGHTS;
    REAL *dw = (REAL *)job->y + i * n;
    (void)space;
    for (int64_t chunk = 0; chunk < w->chunks; chunk++) {
        const REAL *part = (const REAL *)w->shared + (chunk * w->out + i) * n;
        for (int64_t j = 0; j < n; j++) dw[j] = (chunk ? dw[j] : 0) + part[j];
    }
}

/* --- all steps --- */

static const gr__winograd_kernels winograd_kernels[GR__CONV_KINDS] = {
    [GR__CONV_FORWARD] = {winograd_prepare, winograd_task, NULL},
    [GR__CONV_INPUT_GRAD] = {winograd_prepare, winograd_task, NULL},
    [GR__CONV_WEIGHT_GRAD] = {winograd_dw_prepare, winograd_dw_task, winograd_dw_finish},
};
