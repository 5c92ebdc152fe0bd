/* conv_plan.h - what the plans of convolutions share: sizes that saturate, and scratch. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CONV_PLAN_H
#define GR__CONV_PLAN_H

#include "base.h"
#include "conv.h"
#include "spaces.h"

enum { GR__CONV_WORK = 262144 /* multiply-adds worth a task of their own */ };

/* --- sizes: they saturate at what no memory holds --- */

static inline int64_t times(int64_t a, int64_t b)
{
    const int64_t limit = (int64_t)1 << 48;
    return b > 0 && a > limit / b ? limit : a * b;
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t up_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t up_to(int64_t a, int64_t multiple)
{
    return up_div(a, multiple) * multiple;
}

static inline int64_t weights_of(const gr__conv *c)
{
    return times(times(c->groups, c->out), times(c->in, times(c->h.taps, c->w.taps)));
}

static inline int64_t bytes_of(const gr__conv_job *job, int64_t elements)
{
    return up_to(times(elements, (int64_t)gr_dtype_size(job->dtype)), 64);
}

static inline int64_t grain_of(int64_t work)
{
    return most(1, GR__CONV_WORK / most(1, work));
}

static inline void *take(char **scratch, int64_t bytes)
{
    void *taken = *scratch;
    *scratch += bytes;
    return taken;
}

/* --- conv_lanes.c --- */

bool gr__lanes_plan(gr__conv_job *job); /* false: not for this convolution */

/* --- conv_winograd.c --- */

bool gr__winograd_plan(gr__conv_job *job); /* false: not for this convolution, or slower */
int64_t gr__winograd_scratch(const gr__conv_job *job);
void gr__winograd_run(gr__conv_job *job, void *scratch);

#endif
