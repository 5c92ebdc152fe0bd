/* random.h - the numbers that random ops draw, in pieces; the generator is in random.c, the ops that
 * draw from a seed alone are in draw.c.
 *
 * Element i of an op has the numbers i of as many lanes as it needs: 32 bits each, functions of seed,
 * lane and i alone. Lane 0 is what gr__random_u32 gives.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__RANDOM_H
#define GR__RANDOM_H

#include "family.h"

enum { GR__BLOCKS = 128 }; /* Philox blocks made at a time, 4 numbers each */

typedef struct gr__numbers {
    uint32_t u[GR__BLOCKS][4];
} gr__numbers;

/* The numbers first, first + 1, ... of a lane: gr__piece of them, in r. */
const uint32_t *gr__draw(uint64_t seed, uint32_t lane, int64_t first, gr__numbers *r);

/* How many of n numbers from `first` on one draw gives. */
static inline int64_t gr__piece(int64_t first, int64_t n)
{
    const int64_t room = 4 * GR__BLOCKS - first % 4;
    return n < room ? n : room;
}

/* --- numbers from bits --- */

/* (0, 1), 52 bits: half a step away from both ends. */
static inline double gr__open_unit(uint32_t high, uint32_t low)
{
    return ((double)(((uint64_t)high << 32 | low) >> 12) + 0.5) * 0x1p-52;
}

/* [0, 1), 53 bits. */
static inline double gr__unit(uint32_t high, uint32_t low)
{
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

/* 0 ... n - 1, of 64 bits: off by at most n / 2^64 from equal shares. */
static inline int64_t gr__below(uint32_t high, uint32_t low, uint64_t n)
{
    const uint64_t part = (n & 0xFFFFFFFFu) * high + ((n & 0xFFFFFFFFu) * low >> 32);
    const uint64_t rest = (n >> 32) * low + (part & 0xFFFFFFFFu);
    return (int64_t)((n >> 32) * high + (part >> 32) + (rest >> 32));
}

/* --- ops without inputs (draw.c) --- */

typedef struct gr__draw_attrs {
    gr_dtype dtype;
    gr_shape shape;
    int64_t seed;
} gr__draw_attrs;

extern const gr_op gr__rand_op, gr__randn_op, gr__rand_exponential_op, gr__rand_gumbel_op;

/* One of these, of the dtype of x. */
static inline gr_tensor *gr__drawn_for(const gr_op *op, gr_tensor *x, const gr_shape *shape,
                                       int64_t seed)
{
    const gr__draw_attrs attrs = {gr_dtype_of(x), *shape, seed};
    return gr__apply(gr_graph_of(x), op, NULL, 0, &attrs, GR_HERE);
}

/* --- dropout by a given seed, for ops that drop elements within --- */

typedef struct gr__dropout_attrs {
    double p;
    int64_t seed;
} gr__dropout_attrs;

extern const gr_op gr__dropout_op;

#endif
