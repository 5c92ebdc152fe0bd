/* draw.h - numbers drawn from a seed. */
/* SPDX-License-Identifier: MIT */
#ifndef DRAW_H
#define DRAW_H

#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t draw_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 .. n - 1 */
static inline int64_t draw_below(uint64_t *state, int64_t n)
{
    return (int64_t)(draw_bits(state) % (uint64_t)n);
}

/* (-1, 1) */
static inline double draw_unit(uint64_t *state)
{
    return 2 * ((double)(draw_bits(state) >> 11) + 0.5) / 9007199254740992.0 - 1;
}

#endif
