/* pool.c - recycled storage: a buffer given back waits in a list of its size class. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

enum {
    UP = 8,         /* classes: a factor of four */
    LARGE = 20 * 4, /* the class of 1 MB, from which on idle memory is worth giving up */
};

/* Classes grow by a quarter of a power of two, so that at most a fifth of a buffer is unused. */
static int class_of(size_t bytes, size_t *rounded)
{
    if (bytes < 256) bytes = 256;
    int log = 63 - __builtin_clzll((bytes - 1) | 1);
    size_t quarter = (size_t)1 << (log - 2);
    size_t steps = (bytes + quarter - 1) / quarter; /* 4 to 8 quarters of 2^log */
    *rounded = steps * quarter;
    return log * 4 + (int)(steps - 4);
}

/* The first shelf with an idle buffer, of up to four times the size; else that of the size. A step
 * that needs many sizes, one after the other, makes do with the memory of few. */
static int shelf_of(const gr__pool *pool, int size_class)
{
    int end = size_class + UP < GR__SIZE_CLASSES ? size_class + UP : GR__SIZE_CLASSES - 1;
    for (int i = size_class; i <= end; i++)
        if (pool->idle[i]) return i;
    return size_class;
}

/* Frees b, the first of its shelf. */
static void discard(gr__buffer *b)
{
    b->pool->idle[b->size_class] = b->next;
    gr__free(b->data);
    gr__free(b);
}

/* Before a new large buffer is made, idle ones that are too small for it, but not below a quarter,
 * are freed, the largest first, and up to its size: what they were for can take the new one next
 * time. Only a larger buffer that was missing costs an idle one, so that steps which repeat come to
 * make do with what there is. */
static void make_room(gr__pool *pool, int size_class, size_t bytes)
{
    int end = size_class - UP > LARGE ? size_class - UP : LARGE;
    size_t freed = 0;
    for (int i = size_class - 1; i >= end; i--)
        while (pool->idle[i] && freed < bytes) {
            freed += pool->idle[i]->bytes;
            discard(pool->idle[i]);
        }
}

static gr__buffer *make(gr__pool *pool, int size_class, size_t bytes)
{
    make_room(pool, size_class, bytes);
    gr__buffer *b = gr__alloc(sizeof *b);
    if (!b) return NULL;
    b->data = gr__alloc(bytes);
    if (!b->data) {
        gr__free(b);
        return NULL;
    }
    b->bytes = bytes;
    b->size_class = size_class;
    b->pool = pool;
    return b;
}

gr__buffer *gr__pool_get(gr__pool *pool, size_t bytes)
{
    size_t rounded;
    if (bytes > SIZE_MAX / 4) {
        gr__fail_memory(bytes);
        return NULL;
    }
    int size_class = class_of(bytes, &rounded);
    int shelf = shelf_of(pool, size_class);
    gr__buffer *b = pool->idle[shelf];
    if (b) pool->idle[shelf] = b->next;
    else b = make(pool, size_class, rounded);
    if (!b) return NULL;
    b->refs = 1;
    b->next = NULL;
    pool->bytes_live += b->bytes;
    if (pool->bytes_live > pool->bytes_peak) pool->bytes_peak = pool->bytes_live;
    return b;
}

void gr__buffer_unref(gr__buffer *b)
{
    if (!b || --b->refs > 0) return;
    gr__pool *pool = b->pool;
    b->next = pool->idle[b->size_class];
    pool->idle[b->size_class] = b;
    pool->bytes_live -= b->bytes;
}

void gr__pool_release(gr__pool *pool)
{
    for (int i = 0; i < GR__SIZE_CLASSES; i++)
        while (pool->idle[i]) discard(pool->idle[i]);
}
