/* conv_winograd.c - convolutions with 3x3 weights by Winograd's algorithm.
 *
 * A tile of t x t results needs (t + 2)^2 products per pair of channels instead of 9 t^2: 36
 * instead of 144 at t = 4, 16 instead of 36 at t = 2. With d a tile of the image that is read, g
 * the weights, and B, G, A fixed matrices that evaluate polynomials at t + 2 points (Lavin and
 * Gray 2016),
 *
 *   y  = A^T [sum_c (G g G^T) . (B^T d B)] A     per out channel; . is element-wise
 *   dw = G^T [sum over tiles (A dy A^T) . (B^T d B)] G
 *
 * so that at each point there is a matrix product over channels, or over tiles. dx is y of dy with
 * weights turned by half a turn. With a stride of 2, y and dw have tiles of one result, which are
 * read where they lie; dx has zeros between the elements of dy.
 *
 * In float32 results are off by at most 1e-6 times the largest sum of |x w| of any of them (4e-7
 * measured, 1 to 512 channels; the direct way: 1e-7). Inf, NaN and sums that overflow spread over a
 * tile: where a result is not finite, all are computed again in the direct way.
 *
 * Where operands may be rounded and channels are many, products are those of integers:
 * conv_winograd_fixed.c.
 */
/* SPDX-License-Identifier: MIT */
#include "conv_plan.h"
#include "fixed.h"
#include "kernels.h"

enum {
    LANES = GR__CONV_SLACK,
    TAPS = 9,
    FEW = 12,           /* channels below which transforms cost more than products */
    MANY = 128,         /* channels among which some more do no harm */
    PANEL = 2 * LANES,  /* channels of results at a time */
    HEIGHT = 4 * LANES, /* channels of x at a time, for dw */
    FILL = 4,           /* tiles of a block are a multiple, to fill registers */
    FULL = 12,          /* tiles of a block, at least, that are worth a task */
    SPREAD = 8,         /* tasks that a large job is cut into at least */
    CACHE = 1 << 17,    /* elements of a block that sit well in a second-level cache */
    WEIGHTS = 1 << 20,  /* elements of all weights that blocks may read again and again */
    SUMS = 1 << 18,     /* elements of a sum of all weights that stay in a cache */
    DEPTH = 64,         /* tiles of a block whose sums of products are long enough */
    SHARED = 1 << 21,   /* elements of tiles that are kept at a time */
    FEW_ROUNDED = 32,   /* channels below which units fill no vector */
    ROUNDED = 48 * 48,  /* pairs of channels from which integers save more than rounding costs */
    CHUNKS = 16         /* partial sums of dw, at most */
};

/* --- plan --- */

/* Products per pair of channels of an image by tiles of that size. */
static int64_t products(const gr__winograd *w, int64_t tile)
{
    return up_div(w->written.height, tile) * up_div(w->written.width, tile) * (tile + 2) *
           (tile + 2);
}

static void set_geometry(gr__winograd *w, const gr__conv *c, gr__conv_kind kind)
{
    bool back = kind == GR__CONV_INPUT_GRAD;
    const gr__winograd_plane x = {c->h.in, c->w.in}, y = {c->h.out, c->w.out};
    w->in = back ? c->out : c->in;
    w->out = back ? c->in : c->out;
    w->read = back ? y : x;
    w->written = back ? x : y;
    w->padding_h = back ? 2 - c->h.padding : c->h.padding;
    w->padding_w = back ? 2 - c->w.padding : c->w.padding;
    w->spread = back ? c->h.stride : 1;
    w->tile = c->h.stride > w->spread ? 1 : products(w, 4) <= products(w, 2) ? 4 : 2;
    w->step = w->tile > 1 ? w->tile : c->h.stride;
    w->points = (w->tile + 2) * (w->tile + 2);
    w->down = up_div(w->written.height, w->tile);
    w->across = up_div(w->written.width, w->tile);
    w->pitch = most((w->across - 1) * w->step + w->tile + 2,
                    w->read.width * w->spread + w->padding_w);
    w->strips = times(c->batch, w->down);
}

/* Blocks of strips whose tiles, per_tile elements each, stay in a cache; and enough of them for
 * all threads where there is work for so many. */
static void set_blocks(gr__winograd *w, int64_t per_tile)
{
    int64_t tiles = times(w->strips, w->across);
    int64_t work = times(times(w->points, w->in), times(w->out, tiles));
    int64_t by_work = least(SPREAD, least(work / GR__CONV_WORK, tiles / FULL));
    int64_t blocks = most(1, most(by_work, up_div(times(tiles, per_tile), CACHE)));
    w->per_block = up_div(w->strips, blocks);
    w->blocks = up_div(w->strips, w->per_block);
    w->block_tiles = up_to(w->per_block * w->across, FILL);
}

/* Elements between points of n each: an odd number of vectors, so that points lie in different
 * sets of a cache. */
static int64_t point_of(int64_t n)
{
    return (n / LANES | 1) * LANES;
}

/* Where there are many, tiles too lie in different sets. */
static int64_t step_of(int64_t channels)
{
    return channels < MANY ? channels : point_of(channels);
}

static void set_channels(gr__winograd *w)
{
    w->in_lanes = up_to(w->in, LANES);
    w->in_step = step_of(w->in_lanes);
    w->panel = w->out > LANES ? PANEL : LANES;
    w->panels = up_div(w->out, w->panel);
    w->out_step = step_of(w->panels * w->panel);
}

/* Elements of the tiles of a block at a point; as the integers of a dw, or not. */
static int64_t tiles_at_point(const gr__winograd *w, int64_t step, bool fixed)
{
    int64_t lanes = gr__fixed_lanes(w->block_tiles, 1);
    return point_of(fixed ? up_div(step, LANES) * lanes : w->block_tiles * step);
}

/* The other side of the products; tiles of one result have one point there, the sum of all. */
static void set_out(gr__winograd *w, int64_t point)
{
    w->out_point = w->tile > 1 ? point : 0;
    w->out_size = (w->tile > 1 ? w->points : 1) * point;
}

static int64_t reading_size(const gr__winograd *w)
{
    int64_t width = most(w->read.width, w->written.width);
    return ((w->tile + 2) * (width + w->pitch) + LANES) * LANES;
}

/* Tiles that are kept for all panels: in rounds, so that not all are kept at once. */
static void share_tiles(gr__winograd *w)
{
    w->round = most(1, least(w->blocks, SHARED / w->tiles_size));
    w->shared_size = times(w->round, w->tiles_size);
}

/* Many weights are transformed once, a panel at a time; few are kept, and tiles pass by. */
static void plan_results(gr__winograd *w)
{
    int64_t lanes = gr__fixed_lanes(w->in, up_div(w->in, GR__FIXED_PIECE));
    w->weights_point = point_of(w->fixed ? w->panel / LANES * lanes : w->in * w->panel);
    w->weights_size = w->points * w->weights_point;
    w->by_panels = times(w->panels, w->weights_size) > WEIGHTS;
    set_blocks(w, w->points * (w->panel + (w->by_panels ? 0 : w->in_step)));
    w->in_point = tiles_at_point(w, w->in_step, false);
    w->tiles_size = w->points * w->in_point;
    set_out(w, tiles_at_point(w, w->panel, false));
    int64_t writing = w->out_size + (w->tile * w->tile * w->across + LANES) * LANES;
    int64_t turning = w->fixed ? (GR__FIXED_PIECE * TAPS + LANES) * LANES : 0;
    w->space_size = (w->by_panels ? w->weights_size : w->tiles_size) +
                    most(most(reading_size(w), writing), turning);
    w->round = w->blocks;
    w->shared_size = w->panels * w->weights_size;
    if (w->by_panels) share_tiles(w);
}

/* Sums that fit a cache are partial sums of chunks of blocks, else they are a panel's of all. */
static void plan_weight_grad(gr__winograd *w)
{
    w->by_panels = w->points * w->in_step * w->out_step > SUMS;
    set_blocks(w, w->by_panels ? CACHE / DEPTH : w->points * (w->out_step + w->in_step));
    w->in_point = tiles_at_point(w, w->in_step, w->fixed);
    set_out(w, tiles_at_point(w, w->out_step, w->fixed));
    w->tiles_size = w->points * w->in_point + w->out_size;
    w->height = w->by_panels ? least(w->in_lanes, HEIGHT) : w->in_lanes;
    w->heights = up_div(w->in_lanes, w->height);
    w->weights_point = point_of(w->height * w->panel);
    w->weights_size = w->points * w->weights_point;
    int64_t unpacked = w->fixed ? 2 * w->points * (w->block_tiles + 1) * LANES : 0;
    w->space_size = most(reading_size(w) + unpacked, (GR__CONV_TURNED * TAPS + LANES) * LANES);
    w->round = w->blocks;
    w->per_chunk = up_div(w->blocks, CHUNKS);
    w->chunks = up_div(w->blocks, w->per_chunk);
    if (w->by_panels) {
        w->space_size += w->weights_size;
        share_tiles(w);
    } else {
        w->space_size += w->tiles_size + w->panels * w->weights_size;
        w->shared_size = w->chunks > 1 ? w->chunks * w->in * w->out * TAPS : 0;
    }
}

/* --- where it pays --- */

static bool takes(const gr__conv_axis *a)
{
    return a->taps == 3 && a->stride <= 2 && a->dilation == 1 && a->padding <= 2 && a->in > 0 &&
           a->out > 0;
}

/* Not with few channels, nor where more than half of the lanes are empty; and a single tile of
 * 4 x 4 results is less work than to transform the weights for it. Spread images do not make up
 * for results that fill one vector only. Measured on a Zen 5 core with 1 to 512 channels of
 * images of 1 x 1 to 224 x 224. */
static bool pays(const gr__winograd *w, gr__conv_kind kind)
{
    int64_t used = times(w->in, w->out), lanes = times(up_to(w->in, LANES), up_to(w->out, LANES));
    return w->in >= FEW && w->out >= FEW && lanes < 2 * used &&
           (w->spread == 1 || w->out > LANES) &&
           (kind == GR__CONV_WEIGHT_GRAD || w->tile < 4 || times(w->strips, w->across) >= FILL);
}

/* Lays out tiles and weights. */
static void lay_out(gr__winograd *w, gr__conv_kind kind)
{
    set_channels(w);
    (kind == GR__CONV_WEIGHT_GRAD ? plan_weight_grad : plan_results)(w);
}

bool gr__winograd_plan(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    gr__winograd w = {0};
    if (job->dtype != GR_F32 || c->groups != 1 || c->batch == 0 || !takes(&c->h) || !takes(&c->w) ||
        c->h.stride != c->w.stride)
        return false;
    set_geometry(&w, c, job->kind);
    if (!pays(&w, job->kind)) return false;
    lay_out(&w, job->kind);
    job->winograd = w;
    return true;
}

void gr__conv_round(gr__conv_job *job)
{
    gr__winograd *w = &job->winograd;
    if (w->tile == 0 || !gr__fixed() || least(w->in, w->out) < FEW_ROUNDED ||
        times(w->in, w->out) < ROUNDED)
        return;
    w->fixed = true;
    lay_out(w, job->kind);
}

/* --- scratch --- */

/* At least as many as there are tasks at a time. */
static int64_t spaces_wanted(const gr__winograd *w)
{
    return least(gr_threads(), most(w->blocks, w->panels * most(1, w->heights)));
}

int64_t gr__winograd_scratch(const gr__conv_job *job)
{
    const gr__winograd *w = &job->winograd;
    int64_t each = bytes_of(job, w->space_size) + (int64_t)sizeof(int);
    return bytes_of(job, w->shared_size) + times(spaces_wanted(w), each);
}

/* --- running --- */

typedef struct running {
    gr__conv_job *job;
    gr__winograd_fn *step;
    gr__spaces spaces;
} running;

static void step_range(void *ctx, int64_t begin, int64_t end)
{
    running *r = ctx;
    void *space = gr__space_claim(&r->spaces);
    for (int64_t i = begin; i < end; i++) r->step(r->job, i, space);
    gr__space_release(&r->spaces, space);
}

static void run_step(running *r, gr__winograd_fn *step, int64_t n)
{
    r->step = step;
    gr__parallel_for(n, 1, step_range, r);
}

static void run_results(running *r, const gr__winograd_kernels *k)
{
    gr__winograd *w = &r->job->winograd;
    if (!w->by_panels) {
        run_step(r, k->prepare, w->panels);
        run_step(r, k->task, w->blocks);
        return;
    }
    for (w->first = 0; w->first < w->blocks; w->first += w->round) {
        run_step(r, k->prepare, least(w->round, w->blocks - w->first));
        run_step(r, k->task, w->panels);
    }
}

static void run_weight_grad(running *r, const gr__winograd_kernels *k)
{
    gr__winograd *w = &r->job->winograd;
    if (!w->by_panels) {
        run_step(r, k->task, w->chunks);
        if (w->chunks > 1) run_step(r, k->finish, w->out);
        return;
    }
    for (w->first = 0; w->first < w->blocks; w->first += w->round) {
        run_step(r, k->prepare, least(w->round, w->blocks - w->first));
        run_step(r, k->task, w->panels * w->heights);
    }
}

void gr__winograd_run(gr__conv_job *job, void *scratch)
{
    gr__winograd *w = &job->winograd;
    const gr__winograd_kernels *all = w->fixed ? gr__fixed()
                                               : gr__kernels_for(job->dtype)->winograd;
    const gr__winograd_kernels *k = &all[job->kind];
    char *rest = scratch;
    w->shared = take(&rest, bytes_of(job, w->shared_size));
    running r = {.job = job};
    r.spaces = gr__spaces_in(rest, spaces_wanted(w), bytes_of(job, w->space_size));
    (job->kind == GR__CONV_WEIGHT_GRAD ? run_weight_grad : run_results)(&r, k);
}
