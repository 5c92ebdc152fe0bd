/* conv_lanes.c - convolutions of many small images, which lie side by side in the lanes.
 *
 * A group of images is turned to [channel][position][image], with the zeros around it. Every vector
 * then is full, whatever the width of the images, all loads are aligned, and the gradient of the
 * input leaves out the taps that meet zeros above and below. The products are those of planes, in
 * which neighbours lie a vector apart. Tasks are groups of images.
 */
/* SPDX-License-Identifier: MIT */
#include "conv_plan.h"

enum {
    IMAGES = GR__CONV_SLACK, /* of a group */
    GROUPS = 3,              /* of images, at least: they are the tasks */
    CHUNKS = 16,             /* partial sums of dw, at most */
    SPACE = 1 << 17          /* elements of a group that sit well in a second-level cache */
};

/* Rows or columns of a plane, zeros included. */
static int64_t plane_size(const gr__conv_axis *x, bool back)
{
    int64_t read = back ? x->out : x->in, written = back ? x->in : x->out;
    int64_t before = back ? x->reach - x->padding : x->padding;
    return most(before + read, written + x->reach);
}

/* Elements of a group: what is read, with one channel before it has zeros around, and a block of
 * results, or all of dy. */
static int64_t space_of(const gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    int64_t x = times(c->h.in, c->w.in), y = times(c->h.out, c->w.out);
    bool back = job->kind == GR__CONV_INPUT_GRAD;
    int64_t read = times(back ? c->out : c->in, job->plane) + (back ? y : x);
    int64_t results = job->kind == GR__CONV_WEIGHT_GRAD ? times(c->out, y)
                                                        : times(GR__CONV_MAX_ROWS, back ? x : y);
    return times(IMAGES, read + results + 3 * IMAGES);
}

static bool suits(const gr__conv *c, bool back)
{
    int64_t groups = up_div(c->batch, IMAGES);
    return c->h.stride == 1 && c->w.stride == 1 && c->h.in > 0 && c->w.in > 0 && c->h.out > 0 &&
           c->w.out > 0 && c->in > 0 && c->out > 0 && groups >= GROUPS &&
           groups * IMAGES * 7 <= c->batch * 8 &&
           !(back && (c->h.padding > c->h.reach || c->w.padding > c->w.reach));
}

static void cut_groups(gr__conv_job *job)
{
    const gr__conv *c = &job->c;
    int64_t groups = up_div(c->batch, IMAGES);
    int64_t chunks = job->kind == GR__CONV_WEIGHT_GRAD ? least(groups, CHUNKS) : groups;
    int64_t outputs = times(c->out, times(c->h.out, c->w.out));
    job->per_chunk = up_div(groups, chunks);
    job->chunks = up_div(groups, job->per_chunk);
    job->tasks = times(job->chunks, c->groups);
    job->task_work = times(times(IMAGES, job->per_chunk),
                           times(times(outputs, c->in), times(c->h.taps, c->w.taps)));
    if (job->kind == GR__CONV_WEIGHT_GRAD)
        job->partial_size = job->chunks > 1 ? times(job->chunks, weights_of(c)) : 0;
}

bool gr__lanes_plan(gr__conv_job *job)
{
    bool back = job->kind == GR__CONV_INPUT_GRAD;
    if (!suits(&job->c, back)) return false;
    gr__conv_job cut = *job;
    cut.in_lanes = true;
    cut.pitch = plane_size(&job->c.w, back);
    cut.plane = times(plane_size(&job->c.h, back), cut.pitch);
    cut.space_size = space_of(&cut);
    if (cut.space_size > SPACE) return false;
    cut_groups(&cut);
    cut.mask_size = 0;
    *job = cut;
    return true;
}
