/* recompute.c - values that backward computes again instead of having them kept.
 *
 * What a heavy VJP reads would lie in memory from its use in forward until backward gets there. A
 * value made by an element-wise op, or one that says it is GR_OP_CHEAP, from what is kept anyway is
 * recorded once more at that place, as a twin with the same attributes, hence the same bits. Its
 * first value is then let go of early. Only where both are pending: a value that is there costs
 * nothing more. For element-wise VJPs nothing is recorded again: they run in one group with what
 * they read, or read the twin that a heavy one has had made.
 */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <string.h>

enum {
    FEW = GR_MAX_TILE_INPUTS,
    VIEWS = 15, /* of one chain, at most */
    VIEW = 1,   /* what a link costs */
    FUNCTION = VIEWS + 1,
    CHAIN = 3 * FUNCTION + VIEWS * VIEW /* and a chain, at most */
};

/* Whether x is there when backward reaches what was made of it. */
static bool is_held(const gr_tensor *x)
{
    for (int i = 0; i < VIEWS; i++) {
        if (!x->node->op->view || (x->flags & (GR__KEEP | GR__SAVED))) break;
        x = x->node->in[0];
    }
    return x->data ? !x->buffer || x->flags & (GR__KEEP | GR__SAVED)
                   : (x->flags & (GR__KEEP | GR__LITTLE | GR__SAVED)) != 0;
}

static bool is_worth_while(const gr_tensor *t)
{
    const gr_op *op = t->node->op;
    if (t->data || (t->flags & (GR__KEEP | GR__LITTLE | GR__BOUND)) || t->index) return false;
    return op->view || gr__is_elementwise(op) || (op->flags & GR_OP_CHEAP);
}

static gr_tensor *known(const gr__recompute *r, gr_tensor *t)
{
    uint32_t at = t->node->id;
    return r->twin && at < r->n && r->twin[at] ? &r->twin[at]->out[t->index] : NULL;
}

static bool make_room(gr__recompute *r, gr_graph *g)
{
    if (r->twin) return true;
    r->n = g->sweep_from;
    r->twin = gr__arena_alloc(&g->nodes, r->n * sizeof *r->twin);
    if (r->twin) memset(r->twin, 0, r->n * sizeof *r->twin);
    return r->twin != NULL;
}

static gr_tensor *twin_of(gr__recompute *r, gr_tensor *t, int chain);

/* The inputs of t's node, or twins of them; false where one would be neither held nor computed. */
static bool find_inputs(gr__recompute *r, const gr_tensor *t, int chain, gr_tensor **in)
{
    const gr_node *node = t->node;
    bool any = false;
    for (int i = 0; i < node->n_in; i++) {
        in[i] = is_held(node->in[i]) ? node->in[i] : twin_of(r, node->in[i], chain);
        if (!in[i]) return false;
        any |= in[i] != node->in[i];
    }
    return any || !node->op->view; /* a view of what is held costs nothing as it is */
}

/* NULL: t has to be kept. */
static gr_tensor *twin_of(gr__recompute *r, gr_tensor *t, int chain)
{
    gr_graph *g = t->graph;
    gr_node *node = t->node;
    gr_tensor *in[FEW], *twin = known(r, t);
    chain -= node->op->view ? VIEW : FUNCTION;
    if (twin || chain < 0 || node->n_in > FEW || !is_worth_while(t)) return twin;
    if (!find_inputs(r, t, chain, in) || !make_room(r, g)) return NULL;
    const gr_node *outer = g->origin;
    g->origin = node;
    twin = gr__apply(g, node->op, in, node->n_in, node->attrs, node->site);
    g->origin = outer;
    if (gr__is_nil(twin)) return NULL;
    r->twin[node->id] = twin->node;
    return twin;
}

gr_tensor *gr__recomputed(gr__recompute *r, const gr_node *reader, gr_tensor *t)
{
    bool heavy = !gr__is_elementwise(reader->op) && !reader->op->view;
    gr_tensor *twin = t->data ? NULL : heavy ? twin_of(r, t, CHAIN) : known(r, t);
    return twin ? twin : t;
}
