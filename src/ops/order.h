/* order.h - the elements along an axis in order of size. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ORDER_H
#define GR__ORDER_H

#include "along.h"

typedef struct gr__ranked {
    uint64_t key; /* compares as the element does; equal for equal ones */
    int64_t index;
} gr__ranked;

/* What an element that is NaN has for a key: above all numbers, or below them when descending. */
static inline uint64_t gr__order_nan(bool descending)
{
    return descending ? 0 : UINT64_MAX;
}

/* Takes line number `line` of the array a, its n elements in order. Called on any thread. */
typedef void gr__order_take(const gr_exec *e, const gr__along *a, int64_t line,
                            const gr__ranked *ranked);

/* Puts each line of in[0], float32 or float64 and row-major, in order along the axis; equals stay in
 * the order they came in. */
gr_status gr__order_lines(gr_exec *e, int axis, bool descending, gr__order_take *take);

/* Where a line begins in an array with m elements along the axis; they are a->inner apart. */
static inline int64_t gr__order_start(const gr__along *a, int64_t line, int64_t m)
{
    return line / a->inner * m * a->inner + line % a->inner;
}

#endif
