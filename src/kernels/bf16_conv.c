/* bf16_conv.c - how a convolution of rounded operands is cut and computed; see bf16_conv.h. */
/* SPDX-License-Identifier: MIT */
#include "bf16_conv.h"
#include "base.h"

#include <string.h>

enum {
    MANY_CHANNELS = 32 * 32, /* in times out: so many are better left to Winograd's algorithm */
    LEAST_PAIRS = 4,         /* channels of x: of three, units would be a quarter empty */
    LANES = GR__BF16_LANES,
    COLUMNS = GR__BF16_COLUMNS,
    UNITS = GR__BF16_UNITS,
    SPREAD = 16,        /* tasks that a weight gradient is cut into at least */
    LEAST_CHANNELS = 8, /* fewer do not fill a tile */
    LEAST_TERMS = 16    /* fewer do not pay for gathering them */
};

/* --- plan --- */

/* Sizes whose products no memory holds are left to conv.c, which saturates. */
static bool holds(const gr__conv *c)
{
    double images = (double)c->batch * (double)c->groups * (double)(c->in + c->out);
    double planes = (double)(c->h.in + c->h.out + c->h.reach) * (double)(c->h.planes) *
                    (double)(c->w.in + c->w.out + c->w.reach) * (double)(c->w.planes);
    double weights = (double)c->groups * (double)c->in * (double)c->out * (double)gr__bf16_taps(c);
    return images * planes < 0x1p40 && weights < 0x1p40;
}

/* Measured on one thread, GFLOP/s of y (Winograd in float32 counted as the direct products it saves):
 * 16 channels 323 rounded, 235 by Winograd; 32 channels 358, 425; 64 and more 250-350, 480-550. Of
 * dw Winograd is faster from 16 channels on (274 against 224). */
bool gr__bf16_conv_pays(const gr__conv *c, gr__conv_kind kind, bool winograd)
{
    const bool dx = kind == GR__CONV_INPUT_GRAD, dw = kind == GR__CONV_WEIGHT_GRAD;
    const int64_t in = dx ? c->out : c->in, out = dx ? c->in : c->out;
    if (winograd && (dw || in * out >= MANY_CHANNELS)) return false;
    if (dx && (c->h.stride > 1 || c->w.stride > 1)) return false; /* there is none */
    const bool pairs = dw ? c->batch > 1 : in >= LEAST_PAIRS;
    return pairs && out >= LEAST_CHANNELS && in * gr__bf16_taps(c) >= LEAST_TERMS &&
           gr__bf16_results(c) > 0 && c->h.in > 0 && c->w.in > 0 && c->batch > 0 && holds(c);
}

/* Of dy, which is padded by as much as taps can reach beyond dx. */
static gr__conv_axis turned(const gr__conv_axis *a)
{
    return (gr__conv_axis){.in = a->out,
                           .taps = a->taps,
                           .out = a->in,
                           .stride = 1,
                           .padding = a->reach - a->padding,
                           .dilation = a->dilation,
                           .planes = 1,
                           .reach = a->reach};
}

static void plan_results(gr__bf16_conv *job)
{
    const gr__conv *c = &job->c;
    job->pairs = gr__up_div(c->in, 2);
    job->sets = c->batch * c->groups * job->pairs;
    job->terms = job->pairs * gr__bf16_taps(c);
    job->blocks = gr__up_div(c->batch * gr__bf16_results(c), COLUMNS);
    job->tasks = c->groups * job->blocks;
}

/* Chunks only as far as blocks of channels are too few for all threads. */
static void plan_weight_grad(gr__bf16_conv *job)
{
    const gr__conv *c = &job->c;
    job->pairs = gr__up_div(c->batch, 2);
    job->sets = job->pairs * c->groups * c->in;
    job->terms = c->in * gr__bf16_taps(c);
    job->blocks = gr__up_div(c->out, COLUMNS);
    job->per_chunk = gr__up_div(job->pairs, gr__up_div(SPREAD, c->groups * job->blocks));
    job->chunks = gr__up_div(job->pairs, job->per_chunk);
    job->tasks = c->groups * job->blocks * job->chunks;
}

gr__bf16_conv gr__bf16_conv_plan(const gr__conv *c, gr__conv_kind kind)
{
    gr__bf16_conv job = {.c = *c, .kind = kind, .kernels = gr__bf16()};
    if (kind == GR__CONV_INPUT_GRAD)
        job.c = (gr__conv){c->batch, c->groups, c->out, c->in, turned(&c->h), turned(&c->w)};
    const gr__conv_axis *h = &job.c.h, *w = &job.c.w;
    job.pitch = w->out + w->reach;
    job.plane = (h->out + h->reach) * job.pitch;
    job.set = h->planes * w->planes * job.plane;
    if (kind == GR__CONV_WEIGHT_GRAD) plan_weight_grad(&job);
    else plan_results(&job);
    return job;
}

/* --- scratch --- */

static int64_t up_to_line(int64_t bytes)
{
    return gr__up_div(bytes, 64) * 64;
}

static int64_t gathered_bytes(const gr__bf16_conv *job)
{
    bool weights = job->kind == GR__CONV_WEIGHT_GRAD;
    int64_t units = weights ? GR__BF16_ROWS * UNITS : UNITS * COLUMNS;
    return up_to_line((units + GR__BF16_SLACK) * (int64_t)sizeof(uint32_t));
}

static int64_t space_bytes(const gr__bf16_conv *job)
{
    bool weights = job->kind == GR__CONV_WEIGHT_GRAD;
    int64_t more = weights ? UNITS + LANES : gr__up_div(job->c.out, GR__BF16_ROWS) * GR__BF16_ROWS;
    return gathered_bytes(job) + more * COLUMNS * 4;
}

static int64_t threads_of(const gr__bf16_conv *job)
{
    return gr__least(gr_threads(), job->tasks);
}

static int64_t panel_units(const gr__bf16_conv *job)
{
    if (job->kind == GR__CONV_WEIGHT_GRAD) return 0;
    return job->c.groups * gr__up_div(job->c.out, LANES) * LANES * job->terms;
}

static int64_t partial_bytes(const gr__bf16_conv *job)
{
    return job->chunks * job->c.groups * job->blocks * job->terms * COLUMNS * 4;
}

size_t gr__bf16_conv_scratch(const gr__bf16_conv *job)
{
    int64_t bytes = up_to_line((job->sets * job->set + GR__BF16_SLACK) * 4) +
                    up_to_line(panel_units(job) * 4) + up_to_line(job->terms * 8) +
                    partial_bytes(job) + gr__spaces_bytes(threads_of(job), space_bytes(job));
    return (size_t)bytes;
}

static char *take(char **scratch, int64_t bytes)
{
    char *taken = *scratch;
    *scratch += up_to_line(bytes);
    return taken;
}

static void lay_out(gr__bf16_conv *job, char *scratch)
{
    job->planes = (uint32_t *)take(&scratch, (job->sets * job->set + GR__BF16_SLACK) * 4);
    job->panels = (uint32_t *)take(&scratch, panel_units(job) * 4);
    job->offset = (int64_t *)take(&scratch, job->terms * 8);
    job->partial = (float *)take(&scratch, partial_bytes(job));
    job->spaces = gr__spaces_in(scratch, threads_of(job), space_bytes(job));
    memset(job->planes + job->sets * job->set, 0, GR__BF16_SLACK * 4);
}

/* --- the whole --- */

static void run_tasks(void *ctx, int64_t begin, int64_t end)
{
    gr__bf16_conv *job = ctx;
    char *memory = gr__space_claim(&job->spaces);
    const gr__bf16_space s = {(uint32_t *)memory, {(float *)(memory + gathered_bytes(job))}};
    for (int64_t i = begin; i < end; i++) {
        if (job->kind == GR__CONV_WEIGHT_GRAD) gr__bf16_weights_task(job, i, &s);
        else gr__bf16_results_task(job, i, &s);
    }
    gr__space_release(&job->spaces, memory);
}

bool gr__bf16_conv_run(gr__bf16_conv *job, const float *a, const float *b, const float *bias,
                       float *y, void *scratch)
{
    job->a = a;
    job->b = b;
    job->bias = bias;
    job->y = y;
    lay_out(job, scratch);
    gr__bf16_find_offsets(job);
    bool weights = job->kind == GR__CONV_WEIGHT_GRAD;
    bool finite = weights || gr__bf16_pack_weights(job);
    if (job->kind == GR__CONV_INPUT_GRAD && !finite) return false;
    gr__bf16_read_planes(job);
    gr__parallel_for(job->tasks, 1, run_tasks, job);
    if (weights) gr__bf16_finish_weights(job);
    return true;
}
