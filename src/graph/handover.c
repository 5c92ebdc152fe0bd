/* handover.c - gradients that are handed over while backward goes on.
 *
 * gr_backward computes all gradients before anybody sees one, so all of them are in memory at a
 * time. Here a large one goes to its receiver as soon as it is complete and no pending node reads
 * the parameter any more, which may then be written; its memory is the next one's. The order of
 * the tape tells when that is: after the later of the node that makes the gradient and the last
 * one that reads the parameter, be it through views. The rest waits for the end as ever: little
 * gradients, those of rows, and those of parameters that something else needs as they are.
 */
/* SPDX-License-Identifier: MIT */
#include "handover.h"
#include "rows.h"
#include "strided.h"

#include <string.h>

/* --- when --- */

/* Whose memory t lies in: a leaf's, if t is a view of a parameter. */
static const gr_node *root_of(const gr_tensor *t)
{
    while (t->node->op->view) t = t->node->in[0];
    return t->node;
}

void gr__handover_offer(gr__handover *h, gr_param *p, gr_tensor *leaf, gr_tensor *dx)
{
    if ((leaf->flags & GR__LITTLE) || p->by_rows || gr__rows_apply(p, dx)) return;
    h->due[h->n++] = (gr__due){.param = p, .leaf = leaf, .dx = dx};
}

static void withdraw(gr__handover *h, const gr_param *p, const gr_node *leaf)
{
    int n = 0;
    for (int i = 0; i < h->n; i++)
        if (h->due[i].param != p && h->due[i].leaf->node != leaf) h->due[n++] = h->due[i];
    h->n = n;
}

/* What is asked for may be a parameter itself, and gradients may: they are looked at in the end.
 * What is assigned is written then, before the optimizer's step. */
static void withdraw_needed(gr__handover *h, const gr_graph *g, gr_tensor *const *targets, int n)
{
    for (int i = 0; i < n; i++) withdraw(h, NULL, root_of(targets[i]));
    for (int i = 0; i < g->n_assigns; i++) withdraw(h, g->assigns[i].param, NULL);
}

static void sort(gr__handover *h)
{
    for (int i = 1; i < h->n; i++) { /* almost in order, from the newest leaf to the oldest */
        const gr__due due = h->due[i];
        int k = i;
        for (; k > 0 && h->due[k - 1].at > due.at; k--) h->due[k] = h->due[k - 1];
        h->due[k] = due;
    }
}

/* By the id of each node the newest one that reads it, be it through views. */
static void find_last_reads(const gr_graph *g, uint32_t *last_read)
{
    memset(last_read, 0, g->n_nodes * sizeof *last_read);
    for (const gr_node *node = g->first; node; node = node->next)
        for (int i = 0; i < node->n_in; i++) last_read[node->in[i]->node->id] = node->id;
    for (const gr_node *node = g->last; node; node = node->prev) {
        if (!node->op->view) continue;
        uint32_t *of_input = &last_read[node->in[0]->node->id];
        if (*of_input < last_read[node->id]) *of_input = last_read[node->id];
    }
}

bool gr__handover_plan(gr__handover *h, gr_graph *g, gr_tensor *const *targets, int n,
                       uint32_t floor)
{
    withdraw_needed(h, g, targets, n);
    if (!h->n) return true;
    uint32_t *last_read = gr__arena_alloc(&g->nodes, g->n_nodes * sizeof *last_read);
    if (!last_read) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_backward_each: out of memory");
        return false;
    }
    find_last_reads(g, last_read);
    for (int i = 0; i < h->n; i++) {
        gr__due *due = &h->due[i];
        due->at = last_read[due->leaf->node->id];
        if (due->at < due->dx->node->id) due->at = due->dx->node->id;
        if (due->at < floor) due->at = floor;
    }
    sort(h);
    return true;
}

/* --- handing over --- */

static bool call(gr_graph *g, gr__handover *h, gr_param *p)
{
    const bool running = g->running;
    g->running = false; /* should it record on the graph: nothing in place */
    h->calling = true;
    h->status = h->receive(h->user, p);
    h->calling = false;
    g->running = running;
    return !h->status && !g->status;
}

/* dx itself is the gradient for the time of the call; it is copied only where it stays. */
static bool lend(gr_graph *g, gr__handover *h, gr_param *p, const gr_tensor *dx)
{
    void *own = p->grad;
    p->grad = dx->data;
    p->has_grad = true;
    bool fine = call(g, h, p), stays = p->has_grad;
    p->grad = own;
    p->has_grad = false;
    if (!stays || !fine) return fine;
    if (!gr__need_grad(g, p)) return false;
    gr__add_gradient(p, dx);
    return true;
}

static bool add(gr_graph *g, gr__handover *h, gr_param *p, const gr_tensor *dx)
{
    if (!gr__need_grad(g, p)) return false;
    gr__add_gradient(p, dx);
    return call(g, h, p);
}

static void let_go(gr_tensor *dx)
{
    if (--dx->uses == 0 && dx->buffer && !(dx->flags & GR__KEEP)) gr__tensor_drop(dx);
}

bool gr__hand_over(gr_graph *g, uint32_t id)
{
    gr__handover *h = g->handover;
    bool fine = true;
    while (fine && h->next < h->n && h->due[h->next].at <= id) {
        gr__due *due = &h->due[h->next++];
        bool whole = due->param->has_grad || !gr__tensor_contiguous(due->dx);
        fine = (whole ? add : lend)(g, h, due->param, due->dx);
        let_go(due->dx);
    }
    return fine;
}

gr_status gr__handover_refuse(gr_graph *g)
{
    gr__fail_at(g, GR_ERR_STATE, NULL,
                "gr_backward_each: the receiver asks for a value that is not computed yet");
    return g->status;
}
