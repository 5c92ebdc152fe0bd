/* fixed.h - how integers of 16 bits lie, for Winograd's algorithm; see conv_winograd_fixed.c.
 *
 * All are kept in elements of 32 bits: a unit, that is two integers that are neighbours in the sum,
 * or a scale in float32. A lane is a row of one operand or a column of the other.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FIXED_H
#define GR__FIXED_H

#include <stdint.h>

enum {
    GR__FIXED_LANES = 16,
    GR__FIXED_PIECE = 128 /* channels that share a scale: a multiple of two vectors */
};

static inline int64_t gr__fixed_up_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* A vector of lanes of n terms: units [n / 2][lanes], then a vector of scales, for each of the
 * pieces. */
static inline int64_t gr__fixed_lanes(int64_t n, int64_t pieces)
{
    return (gr__fixed_up_div(n, 2) + pieces) * GR__FIXED_LANES;
}

/* A lane of n channels: of each piece its units, to the end of a vector, then one that begins with
 * the scale. */
static inline int64_t gr__fixed_row(int64_t n)
{
    int64_t pieces = gr__fixed_up_div(n, GR__FIXED_PIECE);
    return (gr__fixed_up_div(n, 2 * GR__FIXED_LANES) + pieces) * GR__FIXED_LANES;
}

#endif
