/* shuffle.c - random choices and orders that can be repeated. */
/* SPDX-License-Identifier: MIT */
#include "shuffle.h"

int64_t gr__below(uint64_t stream, uint64_t index, int64_t n)
{
    int64_t i = (int64_t)(gr__random_uniform(stream, index) * (double)n);
    return i < n ? i : n - 1;
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t held = *a;
    *a = *b;
    *b = held;
}

/* Fisher and Yates. */
void gr__shuffle(uint64_t stream, int64_t *items, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--)
        swap(&items[i], &items[gr__below(stream, (uint64_t)i, i + 1)]);
}

/* --- sorting: heapsort --- */

static bool less(const int64_t *key, int64_t a, int64_t b)
{
    return key[a] < key[b] || (key[a] == key[b] && a < b);
}

static void sink(int64_t *items, int64_t at, int64_t n, const int64_t *key)
{
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && less(key, items[child], items[child + 1])) child++;
        if (!less(key, items[at], items[child])) return;
        swap(&items[at], &items[child]);
    }
}

void gr__sort_by(int64_t *items, int64_t n, const int64_t *key)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--) sink(items, i, n, key);
    for (int64_t i = n - 1; i > 0; i--) {
        swap(&items[0], &items[i]);
        sink(items, 0, i, key);
    }
}
