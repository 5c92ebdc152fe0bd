/* memory.c - the one place where the library allocates. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 64 }; /* keeps the caller's part aligned, and holds the size */

static void *default_alloc(void *user, size_t bytes)
{
    (void)user;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void default_free(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static const gr_allocator standard = {default_alloc, default_free, NULL};
static gr_allocator hooks = {default_alloc, default_free, NULL};

void gr_set_allocator(const gr_allocator *allocator)
{
    hooks = allocator ? *allocator : standard;
}

void *gr__alloc(size_t bytes)
{
    if (bytes > SIZE_MAX / 4) {
        gr__fail_memory(bytes);
        return NULL;
    }
    char *block = hooks.alloc(hooks.user, bytes + HEADER);
    if (!block) {
        gr__fail_memory(bytes);
        return NULL;
    }
    memcpy(block, &bytes, sizeof bytes);
    return block + HEADER;
}

void *gr__calloc(size_t bytes)
{
    void *memory = gr__alloc(bytes);
    if (memory) memset(memory, 0, bytes);
    return memory;
}

void gr__free(void *memory)
{
    if (!memory) return;
    char *block = (char *)memory - HEADER;
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    hooks.free(hooks.user, block, bytes + HEADER);
}

void *gr__grow(void *memory, size_t old_bytes, size_t bytes)
{
    void *moved = gr__alloc(bytes);
    if (!moved) return NULL;
    if (memory) memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
    gr__free(memory);
    return moved;
}

char *gr__strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = gr__alloc(n);
    if (copy) memcpy(copy, text, n);
    return copy;
}
