/* conv.c - how the work of a convolution is cut, what is shared, who does what; see conv.h. */
/* SPDX-License-Identifier: MIT */
#include "conv_plan.h"
#include "kernels.h"

enum {
    PIECE = 65536,    /* elements of a piece that sit well in a second-level cache */
    SPREAD = 16,      /* tasks that a large job is cut into at least */
    SPLIT = 16,       /* out channels that share the reading of images, at least */
    SUM = 512,        /* elements of a run that are worth adding up */
    PARTIAL = 1 << 22 /* elements of all partial sums of a weight gradient */
};

/* --- geometry --- */

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

gr__conv_axis gr__conv_axis_of(int64_t in, int64_t taps, int64_t stride, int64_t before,
                               int64_t after, int64_t dilation)
{
    int64_t room = in + before + after - (taps - 1) * dilation - 1;
    return (gr__conv_axis){
        .in = in,
        .taps = taps,
        .out = room < 0 ? 0 : room / stride + 1,
        .stride = stride,
        .padding = before,
        .dilation = dilation,
        .planes = least(taps, stride / common_divisor(stride, dilation)),
        .reach = (taps - 1) * dilation / stride,
    };
}

static int64_t taps_of(const gr__conv *c)
{
    return times(c->h.taps, c->w.taps);
}

/* --- cutting --- */

/* Bands of rows so that a piece fits the cache and there are tasks for all threads, but not so
 * narrow that most of a piece is shared with its neighbours. */
static void cut_bands(gr__conv_job *job, int64_t channels, int64_t planes)
{
    const gr__conv *c = &job->c;
    int64_t total = job->end_row - job->first_row,
            per_row = times(channels, times(planes, job->pitch));
    int64_t work = times(times(c->out, c->in), times(taps_of(c), times(total, job->pitch)));
    int64_t images = most(1, times(c->batch, c->groups));
    int64_t by_size = up_div(times(per_row, total + c->h.reach), PIECE);
    int64_t by_work = least(up_div(SPREAD, images), work / GR__CONV_WORK);
    int64_t bands = most(1, least(most(by_size, by_work), total / most(1, c->h.reach)));
    job->rows = most(1, up_div(total, bands));
    job->bands = up_div(total, job->rows);
    job->task_work = work / most(1, job->bands);
}

static void plan_forward(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    int64_t planes = c->h.planes * c->w.planes;
    job->end_row = c->h.out;
    cut_bands(job, c->in, planes);
    job->plane = times(job->rows + c->h.reach, job->pitch);
    job->tasks = times(times(c->batch, c->groups), job->bands);
    job->packed_size = weights_of(c);
    job->offset_count = times(c->in, taps_of(c));
    job->space_size = times(times(c->in, planes), job->plane) + GR__CONV_SLACK +
                      GR__CONV_MAX_ROWS * (times(job->rows, job->pitch) + GR__CONV_SLACK);
}

/* Row i of a plane of dx holds the rows i * stride + remainder - padding of dx. */
static void plan_input_grad(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    const gr__conv_axis *h = &c->h;
    job->first_row = h->padding / h->stride;
    job->end_row = least(h->out + h->reach, (h->in - 1 + h->padding) / h->stride + 1);
    if (h->in == 0 || c->w.in == 0) job->end_row = job->first_row;
    cut_bands(job, c->out, 1);
    job->plane = c->w.reach + times(job->rows + h->reach, job->pitch);
    job->tasks = times(times(c->batch, c->groups), job->bands);
    job->packed_size = weights_of(c);
    job->offset_count = times(c->out, taps_of(c));
    job->space_size = times(c->out, job->plane) + GR__CONV_SLACK +
                      GR__CONV_MAX_ROWS * (times(job->rows, job->pitch) + GR__CONV_SLACK);
}

/* Chunks of pieces make partial sums, as many as leave each a long sum; where that is not enough
 * for all threads the out channels are split as well, each part reading the images again. */
static void cut_chunks(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    int64_t pieces = times(c->batch, job->bands), length = times(pieces, job->run);
    int64_t chunks = least(length / SUM, PARTIAL / most(1, weights_of(c)));
    chunks = most(1, least(least(chunks, SPREAD), pieces));
    job->per_chunk = most(1, up_div(pieces, chunks));
    job->chunks = up_div(pieces, job->per_chunk);
    int64_t splits = up_div(SPREAD, most(1, times(job->chunks, c->groups)));
    splits = most(1, least(splits, c->out / SPLIT));
    job->split_rows = most(1, up_div(c->out, splits));
    job->splits = up_div(c->out, job->split_rows);
    job->task_work = times(job->task_work / most(1, job->splits), job->per_chunk);
}

/* So many that the sums of a tile are long, if they fit the cache. */
static int64_t pieces_at_a_time(const gr__conv_job *job, int64_t image)
{
    int64_t runs = most(1, times(job->split_rows, job->run));
    int64_t n = least(up_div(4 * SUM, job->run), least(PIECE / runs, 8 * PIECE / image));
    return most(1, least(least(n, job->per_chunk), GR__CONV_MAX_PIECES));
}

static void plan_weight_grad(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    int64_t planes = c->h.planes * c->w.planes;
    job->end_row = c->h.out;
    cut_bands(job, c->in, planes);
    job->plane = times(job->rows + c->h.reach, job->pitch);
    job->run = up_to(times(job->rows - 1, job->pitch) + c->w.out, GR__CONV_SLACK);
    cut_chunks(job);
    job->tasks = times(times(job->chunks, c->groups), job->splits);
    int64_t image = up_to(times(times(c->in, planes), job->plane) + GR__CONV_SLACK, GR__CONV_SLACK);
    job->pieces = pieces_at_a_time(job, image);
    job->partial_size = job->chunks > 1 ? times(job->chunks, weights_of(c)) : 0;
    job->offset_count = times(c->in, taps_of(c)) + GR__CONV_SLACK;
    job->mask_size = times(2, job->run);
    job->space_size = times(job->pieces, image + times(job->split_rows, job->run));
}

gr__conv_job gr__conv_plan(const gr__conv *c, gr__conv_kind kind, gr_dtype dtype)
{
    static void (*const plan[GR__CONV_KINDS])(gr__conv_job *) = {
        [GR__CONV_FORWARD] = plan_forward,
        [GR__CONV_INPUT_GRAD] = plan_input_grad,
        [GR__CONV_WEIGHT_GRAD] = plan_weight_grad,
    };
    gr__conv_job job = {.c = *c, .kind = kind, .dtype = dtype, .pitch = c->w.out + c->w.reach};
    plan[kind](&job);
    if (!gr__winograd_plan(&job)) gr__lanes_plan(&job);
    return job;
}

/* --- offsets --- */

/* Tap (kh, kw) of channel c, in the planes of a piece of an image. */
static void image_offsets(gr__conv_job *job)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    int64_t *to = job->offset;
    for (int64_t c = 0; c < job->c.in; c++)
        for (int64_t kh = 0; kh < h->taps; kh++)
            for (int64_t kw = 0; kw < w->taps; kw++) {
                int64_t plane = (c * h->planes + kh % h->planes) * w->planes + kw % w->planes;
                int64_t row = kh * h->dilation / h->stride, column = kw * w->dilation / w->stride;
                *to++ = (plane * job->plane + row * job->pitch + column) * job->lanes;
            }
}

static void weight_grad_offsets(gr__conv_job *job)
{
    image_offsets(job);
    int64_t used = job->offset_count - GR__CONV_SLACK;
    for (int64_t i = used; i < job->offset_count; i++) job->offset[i] = 0;
}

/* For each plane (a, b) of dx its taps, of every out channel, in dy: rows of taps are outermost. */
static void gradient_offsets(gr__conv_job *job)
{
    const gr__conv_axis *h = &job->c.h, *w = &job->c.w;
    int64_t *to = job->offset, origin = w->reach + h->reach * job->pitch;
    for (int64_t a = 0; a < h->planes; a++)
        for (int64_t b = 0; b < w->planes; b++)
            for (int64_t kh = a; kh < h->taps; kh += h->planes)
                for (int64_t o = 0; o < job->c.out; o++)
                    for (int64_t kw = b; kw < w->taps; kw += w->planes) {
                        int64_t row = kh * h->dilation / h->stride;
                        int64_t column = kw * w->dilation / w->stride;
                        *to++ = (o * job->plane + origin - row * job->pitch - column) * job->lanes;
                    }
}

/* --- scratch --- */

static int64_t spaces_of(const gr__conv_job *job)
{
    return most(1, least(gr_threads(), up_div(job->tasks, grain_of(job->task_work))));
}

static int64_t offset_bytes(const gr__conv_job *job)
{
    return up_to(times(job->offset_count, sizeof(int64_t)), 64);
}

/* The tables, then the spaces and their marks. */
size_t gr__conv_scratch(const gr__conv_job *job)
{
    if (job->winograd.tile) return (size_t)gr__winograd_scratch(job);
    int64_t tables = bytes_of(job, job->packed_size) + bytes_of(job, job->partial_size) +
                     bytes_of(job, job->mask_size) + offset_bytes(job);
    int64_t each = bytes_of(job, job->space_size);
    return (size_t)(tables + times(spaces_of(job), each + (int64_t)sizeof(int)));
}

static gr__spaces lay_out(gr__conv_job *job, char *scratch)
{
    job->packed = take(&scratch, bytes_of(job, job->packed_size));
    job->partial = take(&scratch, bytes_of(job, job->partial_size));
    if (job->chunks == 1) job->partial = job->y;
    job->mask = take(&scratch, bytes_of(job, job->mask_size));
    job->offset = take(&scratch, offset_bytes(job));
    return gr__spaces_in(scratch, spaces_of(job), bytes_of(job, job->space_size));
}

/* --- running --- */

typedef struct running {
    gr__conv_job *job;
    const gr__conv_kernels *k;
    gr__spaces spaces;
} running;

static void prepare_range(void *ctx, int64_t begin, int64_t end)
{
    running *r = ctx;
    r->k->prepare(r->job, begin, end);
}

static void task_range(void *ctx, int64_t begin, int64_t end)
{
    running *r = ctx;
    void *space = gr__space_claim(&r->spaces);
    for (int64_t i = begin; i < end; i++) r->k->task(r->job, i, space);
    gr__space_release(&r->spaces, space);
}

static void finish_range(void *ctx, int64_t begin, int64_t end)
{
    running *r = ctx;
    r->k->finish(r->job, begin, end);
}

static void run(running *r, void (*offsets)(gr__conv_job *), int64_t prepared, int64_t work)
{
    offsets(r->job);
    gr__parallel_for(prepared, grain_of(work), prepare_range, r);
    if (!r->job->exceptional)
        gr__parallel_for(r->job->tasks, grain_of(r->job->task_work), task_range, r);
}

/* Rows of weights are packed one by one. */
static void run_forward(running *r)
{
    const gr__conv *c = &r->job->c;
    run(r, image_offsets, c->groups * c->out, c->in * taps_of(c));
}

static void run_input_grad(running *r)
{
    const gr__conv *c = &r->job->c;
    run(r, gradient_offsets, c->groups * c->in, c->out * taps_of(c));
    if (r->job->exceptional) gr__parallel_for(c->batch * c->groups, 1, finish_range, r);
}

static void run_weight_grad(running *r)
{
    run(r, weight_grad_offsets, r->job->in_lanes ? 0 : 2, r->job->run);
    if (r->job->chunks != 1)
        gr__parallel_for(weights_of(&r->job->c), GR__CONV_WORK / 16, finish_range, r);
}

/* Results of Winograd's algorithm that are not finite are computed directly. */
static bool run_winograd(gr__conv_job *job, void *scratch)
{
    gr__winograd_run(job, scratch);
    if (!job->exceptional) return true;
    job->exceptional = false;
    job->winograd.tile = 0;
    return false;
}

bool gr__conv_run(gr__conv_job *job, const void *a, const void *b, const void *bias, void *y,
                  void *scratch)
{
    static void (*const run_kind[GR__CONV_KINDS])(running *) = {
        [GR__CONV_FORWARD] = run_forward,
        [GR__CONV_INPUT_GRAD] = run_input_grad,
        [GR__CONV_WEIGHT_GRAD] = run_weight_grad,
    };
    job->a = a;
    job->b = b;
    job->bias = bias;
    job->y = y;
    if (job->winograd.tile) return run_winograd(job, scratch);
    const gr__kernels *k = gr__kernels_for(job->dtype);
    job->lanes = job->in_lanes ? k->conv_lanes : 1;
    running r = {job, job->in_lanes ? &k->conv_in_lanes[job->kind] : &k->conv[job->kind],
                 lay_out(job, scratch)};
    run_kind[job->kind](&r);
    return true;
}
