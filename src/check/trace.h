/* trace.h - where in a recording a fault or a kink is. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TRACE_H
#define GR__TRACE_H

#include "recorded.h"

/* As gr__function's members of these names. */
void gr__recorded_trace(gr__function *f, int part, gr_check_report *report);
bool gr__recorded_blame_kink(gr__function *f, const double *to, char *owner, size_t size);
/* Called for every node with kinks, in recording order. */
void gr__note_side(gr__recorded *r, const gr_node *node, uint64_t side);

#endif
