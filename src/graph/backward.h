/* backward.h - what the files of reverse mode share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BACKWARD_H
#define GR__BACKWARD_H

#include "tape.h"

/* dx[i]: the cotangent of x[i], NULL where no y depends on it. All arguments were checked. */
gr_status gr__sweep(gr_graph *g, gr_tensor *const *y, gr_tensor *const *dy, int n_y,
                    gr_tensor *const *x, int n_x, gr_tensor **dx);
/* The same for one y and the leaves of all trainable parameters: one walk less over the tape. */
gr_status gr__sweep_params(gr_graph *g, gr_tensor *y, gr_tensor *dy, gr_tensor *const *x, int n,
                           gr_tensor **dx);
/* Floating tensors of this graph, or the graph in error: "name: what i is ...". */
gr_status gr__check_tensors(gr_graph *g, gr_tensor *const *t, int n, const char *what,
                            const char *name, const void *site);
/* --- checkpointed sections (checkpoint.c), in a sweep --- */

gr__section *gr__sections_sweep(gr_graph *g); /* begins one: no twins yet; the newest section */
/* The innermost section of the node; nodes come from the newest to the oldest, and `newest` follows. */
gr__section *gr__section_of(gr__section **newest, const gr_node *node);
/* Records s and those around it again, up to the node, unless that has been done. */
void gr__section_enter(gr_graph *g, gr__section *s, const gr_node *node);
/* What takes t's place in s; t itself where s is NULL or t is kept anyway. */
gr_tensor *gr__twin(const gr__section *s, gr_tensor *t);
/* That x[i] may be differentiated by. */
gr_status gr__section_hold(gr_graph *g, gr_tensor *x, const char *name, int i, const void *site);

/* --- values computed again (recompute.c), in gr_backward's sweep --- */

typedef struct gr__recompute {
    gr_node **twin; /* by the id of the node that each takes the place of; NULL: there are none */
    uint32_t n;
} gr__recompute;

/* What the reader's VJP is to read for t: t itself, or another tensor of the same values. */
gr_tensor *gr__recomputed(gr__recompute *r, const gr_node *reader, gr_tensor *t);

/* The pullback of an op that gives its backward as a C function. */
void gr__raw_pullback(gr_pullback *p, const gr_node *node);

#endif
