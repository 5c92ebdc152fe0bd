/* elementwise.h - element-wise nodes, computed together piece by piece, and sums of what they make. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ELEMENTWISE_H
#define GR__ELEMENTWISE_H

#include "tape.h"
#include "tiles.h"

/* Nodes in tape order that have been asked for and not run yet: element-wise ones, all with as many
 * elements, and sums over what these make. */
typedef struct gr__group {
    int n, n_loads, n_sums;
    int64_t numel;
    gr__stream stream; /* of the first sum, which the others are like */
    gr_node *node[GR__TILE_STEPS];
    const gr_tensor *loaded[GR__TILE_LOADS]; /* inputs that are no row-major arrays */
} gr__group;

/* Takes the node in; false: it is not of this kind, or of another size, or the group is full. */
bool gr__group_add(gr__group *group, gr_node *node);
/* Computes the nodes; false: out of memory, *failed could not be computed. What only the group
 * reads gets no memory and stays pending. */
bool gr__group_run(gr__group *group, gr_node **failed);

/* Gives the first n nodes of a group that has run their values in memory; false: out of memory. */
bool gr__group_show(const gr__group *group, int n, gr_node **failed);
bool gr__anomaly_group(
    const gr__group *group); /* as gr__anomaly_verdict, of a group that has run */

void gr__add_into(void *sum, const gr_value *x); /* sum: row-major, of the dtype of x */

#endif
