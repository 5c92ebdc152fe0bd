/* handover.h - gradients that are handed over while backward goes on, one after the other. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__HANDOVER_H
#define GR__HANDOVER_H

#include "tape.h"

/* A parameter and its gradient dx, complete once the nodes up to `at` have run; none of those that
 * come then reads the parameter. */
typedef struct gr__due {
    gr_param *param;
    gr_tensor *leaf, *dx;
    uint32_t at;
} gr__due;

typedef struct gr__handover {
    gr_receiver *receive;
    void *user;
    gr__due *due; /* n of them, by `at`; those before `next` are done */
    int n, next;
    bool calling;     /* the receiver has the word */
    gr_status status; /* what it ended the sweep with */
} gr__handover;

/* Notes dx as the gradient of p, whose one leaf is given, unless that has to wait for the end. */
void gr__handover_offer(gr__handover *h, gr_param *p, gr_tensor *leaf, gr_tensor *dx);
/* Withdraws what another target needs as it is now. Settles when each of the rest is due: after
 * the node `floor` at least. False, with the error set: out of memory. */
bool gr__handover_plan(gr__handover *h, gr_graph *g, gr_tensor *const *targets, int n,
                       uint32_t floor);
/* Nodes up to `id` have run: hands over what is due. False: an error, or the receiver's end. */
bool gr__hand_over(gr_graph *g, uint32_t id);
/* That the receiver may not evaluate; gives the graph's status. */
gr_status gr__handover_refuse(gr_graph *g);

/* --- of gr_backward (step.c) --- */

bool gr__need_grad(gr_graph *g, gr_param *p);            /* its memory; false, with the error set */
void gr__add_gradient(gr_param *p, const gr_tensor *dx); /* dx has data */

#endif
