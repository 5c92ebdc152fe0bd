/* moves.h - elements moved along axes, each axis on its own; the functions are in roll.c.
 *
 *   y[i, j, ...] = x[s_0(i), s_1(j), ...]      s_a: where index i of axis a comes from, or nowhere
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__MOVES_H
#define GR__MOVES_H

#include "family.h"

/* Where index i of an axis of y, of n elements in x, comes from; negative: from nowhere. */
typedef int64_t gr__source(const void *attrs, int axis, int64_t i, int64_t n);

/* For kernels: out from in, `fill` where it comes from nowhere; any dtype. */
gr_status gr__move_elements(gr_exec *e, gr__source *source, const void *attrs, double fill);
/* The transpose, in is dy and out dx: adds each dy to where its y came from. */
gr_status gr__add_elements(gr_exec *e, gr__source *source, const void *attrs);

#endif
