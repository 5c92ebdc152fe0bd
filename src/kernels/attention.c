/* attention.c - the memory that attention needs: each task has a block of queries and what belongs
 * to it, turned. */
/* SPDX-License-Identifier: MIT */
#include "attention.h"

static int64_t tasks_of(int64_t most)
{
    return most < GR__ATTENTION_TASKS ? most : GR__ATTENTION_TASKS;
}

/* A block of q and of y, for as many blocks as run at a time. */
size_t gr__attention_scratch(const gr__attention *a)
{
    return (size_t)(tasks_of(a->batch * (a->rows + 1)) * (a->depth + a->width)) *
           GR__ATTENTION_BYTES;
}

/* A block of q, dq and dy, for as many of the batch. */
size_t gr__attention_grad_scratch(const gr__attention *a)
{
    return (size_t)(tasks_of(a->batch) * (2 * a->depth + a->width)) * GR__ATTENTION_BYTES;
}
