/* transform.h - what is made of gradients, and what changes them on their way. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_TRANSFORM_H
#define GRADUS_TRANSFORM_H

#include <gradus/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- less memory --- */

GR_API void gr_checkpoint_begin(gr_graph *g); /* from here backward computes values again instead of keeping them */
GR_API void gr_checkpoint_end(gr_graph *g);

#ifdef __cplusplus
}
#endif
#endif
