/* attention.c - the memory that attention needs: linear in the sequence. */
/* SPDX-License-Identifier: MIT */
#include "attention.h"

/* The keys once more, transposed. */
int64_t gr__attention_scratch(const gr__attention *a)
{
    return a->batch * a->keys * a->depth;
}

/* A block of keys and one of values, transposed, for each of the batch. */
int64_t gr__attention_grad_scratch(const gr__attention *a)
{
    int64_t keys = a->keys < GR__ATTENTION_KEYS ? a->keys : GR__ATTENTION_KEYS;
    return a->batch * keys * (a->depth + a->width);
}
