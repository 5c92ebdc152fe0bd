/* sort.c - heap sort: in place and n log n at worst, which the C library's qsort need not be. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

/* Lets items[i] sink to where no child comes after it, in the heap items[0..n). */
static void sink(const void **items, size_t i, size_t n, gr__order_fn *order)
{
    const void *item = items[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && order(items[child], items[child + 1]) < 0) child++;
        if (order(item, items[child]) >= 0) break;
        items[i] = items[child];
    }
    items[i] = item;
}

void gr__sort(const void **items, size_t n, gr__order_fn *order)
{
    for (size_t i = n / 2; i-- > 0;) sink(items, i, n, order);
    while (n > 1) {
        const void *last = items[--n];
        items[n] = items[0];
        items[0] = last;
        sink(items, 0, n, order);
    }
}
