/* arena.c - bump allocation with O(1) reset. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

/* Blocks form a list in order of use; those after `current` are empty and kept for later. */
struct gr__block {
    gr__block *next;
    size_t bytes; /* of data */
    size_t unused[6];
    char data[];
};

enum { FIRST_BLOCK = 64 << 10, LARGEST_BLOCK = 4 << 20 };

static gr__block *block_new(size_t bytes)
{
    gr__block *b = gr__alloc(sizeof *b + bytes);
    if (!b) return NULL;
    b->next = NULL;
    b->bytes = bytes;
    return b;
}

static void take(gr__arena *a, gr__block *b)
{
    a->current = b;
    a->free = b->data;
    a->left = b->bytes;
}

/* Moves on to a block with room for `bytes`; false when memory is out. */
static bool next_block(gr__arena *a, size_t bytes)
{
    gr__block *b = a->current ? a->current->next : a->first;
    if (!b || b->bytes < bytes) {
        size_t size = a->current ? a->current->bytes * 2 : FIRST_BLOCK;
        if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
        if (size < bytes) size = bytes;
        gr__block *fresh = block_new(size);
        if (!fresh) return false;
        fresh->next = b;
        if (a->current) a->current->next = fresh;
        else a->first = fresh;
        b = fresh;
    }
    take(a, b);
    return true;
}

void *gr__arena_refill(gr__arena *a, size_t bytes)
{
    if ((!a->current || a->left < bytes) && !next_block(a, bytes)) return NULL;
    void *p = a->free;
    a->free += bytes;
    a->left -= bytes;
    return p;
}

void gr__arena_reset(gr__arena *a)
{
    if (a->first) take(a, a->first);
}

void gr__arena_release(gr__arena *a)
{
    for (gr__block *b = a->first, *next; b; b = next) {
        next = b->next;
        gr__free(b);
    }
    *a = (gr__arena){0};
}

size_t gr__arena_bytes(const gr__arena *a)
{
    size_t bytes = a->current ? a->current->bytes - a->left : 0;
    for (const gr__block *b = a->first; a->current && b != a->current; b = b->next)
        bytes += b->bytes;
    return bytes;
}
