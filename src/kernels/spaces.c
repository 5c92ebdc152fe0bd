/* spaces.c - memory for tasks: a space per thread, claimed by a task for its time. */
/* SPDX-License-Identifier: MIT */
#include "spaces.h"

int64_t gr__spaces_bytes(int64_t n, int64_t bytes)
{
    return n * (bytes + (int64_t)sizeof(int));
}

gr__spaces gr__spaces_in(void *memory, int64_t n, int64_t bytes)
{
    char *data = memory;
    gr__spaces s = {data, n, bytes, (int *)(void *)(data + n * bytes)};
    for (int64_t i = 0; i < n; i++) s.busy[i] = 0;
    return s;
}

void *gr__space_claim(gr__spaces *s)
{
    for (int64_t i = 0;; i = (i + 1) % s->n)
        if (!__atomic_exchange_n(&s->busy[i], 1, __ATOMIC_ACQUIRE)) return s->data + i * s->bytes;
}

void gr__space_release(gr__spaces *s, const void *space)
{
    const int64_t i = s->bytes ? ((const char *)space - s->data) / s->bytes : 0;
    __atomic_store_n(&s->busy[i], 0, __ATOMIC_RELEASE);
}
