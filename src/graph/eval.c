/* eval.c - evaluation on demand: mark what is needed, run it in tape order, let go of the rest.
 *
 * A plan is one walk back from the newest target, which stops when nothing is outstanding, and one
 * walk forwards over what was marked. `uses` counts the reads of each value within the plan; after
 * the last one its buffer is free for the next node, unless a keep rule holds (tape.h, flags). A
 * value let go is a pending node again. Element-wise nodes run in groups (elementwise.h).
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "handover.h"

#include <math.h>

enum { AFTER = 8 };

typedef struct plan {
    gr_graph *g;
    gr_node *first; /* where to begin running; NULL when nothing is to be done */
    gr_node *last;
} plan;

static void count_use(gr_graph *g, gr_tensor *t)
{
    if (t->epoch != g->epoch) {
        t->epoch = g->epoch;
        t->uses = 0;
    }
    t->uses++;
}

/* Marks the node if t is pending; returns how many nodes that adds. */
static int require(gr_graph *g, gr_tensor *t)
{
    count_use(g, t);
    if (t->data || t->node->mark == g->epoch) return 0;
    t->node->mark = g->epoch;
    return 1;
}

/* A target counts one use that never ends, so that its value survives the plan. */
static plan make_plan(gr_graph *g, gr_tensor *const *targets, int n)
{
    plan p = {g, NULL, NULL};
    int64_t outstanding = 0;
    g->epoch++;
    for (int i = 0; i < n; i++) {
        if (gr__is_nil(targets[i])) continue;
        outstanding += require(g, targets[i]);
        if (!targets[i]->data && (!p.last || targets[i]->node->id > p.last->id))
            p.last = targets[i]->node;
    }
    for (gr_node *node = p.last; node && outstanding > 0; node = node->prev) {
        if (node->mark != g->epoch) continue;
        outstanding--;
        p.first = node;
        for (int i = 0; i < node->n_in; i++) outstanding += require(g, node->in[i]);
    }
    return p;
}

static bool releasable(const gr_graph *g, const gr_tensor *t)
{
    if (!t->buffer || (t->flags & GR__KEEP)) return false;
    return g->backward || !(t->flags & GR__SAVED);
}

static void release_after(gr_graph *g, gr_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *t = node->in[i];
        if (--t->uses == 0 && releasable(g, t)) gr__tensor_drop(t);
    }
    for (int i = 0; i < node->n_out; i++) {
        gr_tensor *t = &node->out[i];
        bool wanted = t->epoch == g->epoch && t->uses > 0;
        if (!wanted && releasable(g, t)) gr__tensor_drop(t);
    }
}

/* --- running a plan --- */

/* What has been put off: a group, and behind it small nodes that read what it will make. */
typedef struct backlog {
    gr__group group;
    int n_after;
    gr_node *after[AFTER];
} backlog;

static bool run_now(gr_graph *g, gr_node *node)
{
    if (!gr__run(node)) return false;
    release_after(g, node);
    return true;
}

/* Runs what was put off. */
static bool finish(gr_graph *g, backlog *b)
{
    if (!b->group.n) return true;
    gr_node *failed = NULL;
    if (!gr__group_run(&b->group, &failed)) return gr__run_failed(failed);
    if (g->anomaly && !gr__anomaly_group(&b->group)) return false;
    for (int k = 0; k < b->group.n; k++) release_after(g, b->group.node[k]);
    b->group.n = 0;
    for (int k = 0; k < b->n_after; k++)
        if (!run_now(g, b->after[k])) return false;
    b->n_after = 0;
    return true;
}

static bool reads_pending(const gr_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (!node->in[i]->data) return true;
    return false;
}

/* A node that may wait for the group instead of ending it: the mean after a sum, say. */
static bool put_behind(backlog *b, gr_node *node)
{
    if (b->n_after == AFTER) return false;
    for (int i = 0; i < node->n_out; i++)
        if (!(node->out[i].flags & GR__LITTLE)) return false;
    b->after[b->n_after++] = node;
    return true;
}

static bool reads_what_waits(const backlog *b, const gr_node *node)
{
    for (int k = 0; k < b->n_after; k++)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i]->node == b->after[k]) return true;
    return false;
}

static bool join(gr_graph *g, backlog *b, gr_node *node)
{
    if (!gr__params_current(node)) return gr__run_failed(node);
    if (reads_what_waits(b, node) && !finish(g, b)) return false;
    if (gr__group_add(&b->group, node)) return true;
    if (!finish(g, b)) return false;
    return gr__group_add(&b->group, node) || run_now(g, node);
}

/* Puts element-wise nodes, and sums of these, off until somebody else reads one of them, or too many
 * have come; not where they are to be seen one by one. */
static bool run_marked(gr_graph *g, backlog *b, gr_node *node)
{
    bool little = node->out[0].flags & GR__LITTLE;
    if (!g->single && gr__is_elementwise(node->op) && !little) return join(g, b, node);
    if (!b->group.n) return run_now(g, node);
    if (g->anomaly) return finish(g, b) && run_now(g, node); /* in tape order */
    if (!reads_pending(node)) return run_now(g, node);
    if (node->op->sums) return join(g, b, node);
    if (put_behind(b, node)) return true;
    return finish(g, b) && run_now(g, node);
}

/* Whether gradients that are due can be handed over, if there are any: nothing is put off. */
static bool hand_over(gr_graph *g, const backlog *b, const gr_node *node)
{
    const gr__handover *h = g->handover;
    if (!h || h->next == h->n || h->due[h->next].at > node->id || b->group.n) return true;
    return gr__hand_over(g, node->id);
}

gr_status gr__evaluate(gr_graph *g, gr_tensor *const *targets, int n, bool backward)
{
    if (g->status) return g->status;
    if (g->handover && g->handover->calling) return gr__handover_refuse(g);
    plan p = make_plan(g, targets, n);
    backlog b;
    b.group.n = b.n_after = 0;
    g->backward = backward;
    g->running = true;
    for (gr_node *node = p.first; node; node = node->next) {
        if (node->mark == g->epoch && (!run_marked(g, &b, node) || !hand_over(g, &b, node))) break;
        if (node == p.last) break;
    }
    if (!g->status) finish(g, &b);
    g->backward = g->running = false;
    return g->status;
}

/* --- what users call --- */

static gr_graph *usable(gr_tensor *t, const char *name, const void *site)
{
    if (!t) {
        gr__fail(GR_ERR_ARGUMENT, "%s: the tensor is NULL", name);
        return NULL;
    }
    if (gr__is_nil(t)) return NULL;
    gr_graph *g = t->graph;
    if (!gr__is_stale(t)) return g;
    gr__fail_at(g, GR_ERR_STATE, site,
                "%s: the tensor is stale: its graph was reset, or its scratch ended", name);
    return NULL;
}

/* Computes these tensors and all that they need, in one plan, and keeps their values until reset.
 * Returns the graph's status; tensors of one graph only. */
gr_status gr_eval(gr_tensor *const *tensors, int n)
{
    gr_graph *g = NULL;
    if (gr__need_array("gr_eval", tensors, n, "array of tensors")) return GR_ERR_ARGUMENT;
    for (int i = 0; i < n; i++) {
        gr_graph *own = usable(tensors[i], "gr_eval", GR_HERE);
        if (!own) return tensors[i] && tensors[i]->graph ? tensors[i]->graph->status : GR_ERR_STATE;
        if (g && own != g) {
            gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "gr_eval: tensors of different graphs");
            return g->status;
        }
        g = own;
        tensors[i]->flags |= GR__KEEP;
    }
    return g ? gr__evaluate(g, tensors, n, false) : GR_OK;
}

/* The values of t, row-major, computed if they were not yet; valid until reset. Elements are of
 * t's dtype. NULL after an error (gr_graph_error). At zero elements a pointer not to be read. */
const void *gr_data(gr_tensor *t)
{
    gr_graph *g = usable(t, "gr_data", GR_HERE);
    if (!g) return NULL;
    t->flags |= GR__KEEP;
    if (!t->data && gr__evaluate(g, &t, 1, false)) return NULL;
    if (g->status) return NULL;
    if ((t->flags & GR__PARAM) && !gr__param_current(t)) return NULL;
    if (!gr__tensor_contiguous(t) && !gr__tensor_repack(t)) {
        gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "gr_data: out of memory");
        return NULL;
    }
    return t->data;
}

/* The value of a tensor of exactly one element, as a double; NaN after an error. */
double gr_item(gr_tensor *t)
{
    gr_graph *g = usable(t, "gr_item", GR_HERE);
    if (!g) return NAN;
    if (gr_shape_numel(t->shape) != 1) {
        char text[GR_SHAPE_TEXT];
        gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                    "gr_item: expected one element, got a tensor of %s",
                    gr_shape_text(t->shape, text));
        return NAN;
    }
    const void *data = gr_data(t);
    return data ? gr__get_scalar(data, (gr_dtype)t->dtype) : NAN;
}

gr_tensor *gr_keep(gr_tensor *t)
{
    if (usable(t, "gr_keep", GR_HERE)) t->flags |= GR__KEEP;
    return t;
}
