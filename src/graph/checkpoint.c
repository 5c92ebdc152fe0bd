/* checkpoint.c - sections whose values are computed again for backward instead of kept.
 *
 * A section is a stretch of the tape. Its first recording keeps nothing for the VJPs but what
 * comes from outside. When a sweep reaches it, its nodes are recorded once more behind the newest
 * one, as twins with the same attributes (seeds included, so the same bits), and the VJPs read
 * the twins. Evaluation in tape order does the rest: the twins are computed when backward gets
 * there, and let go of when it has passed. Cotangents travel along the first recording, so that
 * sums have the order that they have without a section.
 */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <gradus/transform.h>

#include <string.h>

enum { FEW = 8 }; /* inputs of a node that most stay within */

/* --- marking --- */

static gr_node *first_node(const gr_graph *g, const gr__section *s)
{
    return s->before ? s->before->next : g->first;
}

static bool carries_gradient(const gr_node *node)
{
    bool grad = false;
    for (int i = 0; i < node->n_out; i++) grad |= (node->out[i].flags & GR__GRAD) != 0;
    return grad;
}

/* A section starts over from what comes from outside: that outlives an evaluation before backward,
 * if there can be a backward. */
static void save_inputs(const gr_graph *g, const gr__section *s)
{
    bool grad = false;
    for (gr_node *node = first_node(g, s); node && !grad; node = node->next)
        grad = carries_gradient(node);
    for (gr_node *node = first_node(g, s); node && grad; node = node->next)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i]->node->id < s->first) node->in[i]->flags |= GR__SAVED;
}

/* From here to gr_checkpoint_end backward keeps no values: it computes them again when it gets
 * there, from what comes into the section. Gradients are the same bit by bit; sections nest, and may
 * hold random ops (the same numbers are drawn again) and gradients. A section of k of n equal layers
 * leaves n/k + k layers' values to be kept instead of n (Chen, Xu, Zhang, Guestrin, "Training deep
 * nets with sublinear memory cost", 2016), for one more forward. */
void gr_checkpoint_begin(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_checkpoint_begin") || g->status) return;
    gr__section *s = gr__arena_alloc(&g->nodes, sizeof *s);
    if (!s) {
        gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "gr_checkpoint_begin: out of memory");
        return;
    }
    *s = (gr__section){.older = g->sections,
                       .around = g->section,
                       .before = g->last,
                       .first = g->n_nodes,
                       .last = UINT32_MAX};
    g->sections = g->section = s;
}

/* Closes the innermost section; without an open one it is an error of the graph. */
void gr_checkpoint_end(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_checkpoint_end")) return;
    gr__section *s = g->section;
    if (!s && !g->status)
        gr__fail_at(g, GR_ERR_STATE, GR_HERE, "gr_checkpoint_end: no section is open");
    if (!s) return;
    g->section = s->around;
    s->last = g->n_nodes - 1;
    if (g->n_nodes == s->first) g->sections = s->older; /* empty: forgotten */
    else if (!s->around) save_inputs(g, s);
}

/* --- recording again --- */

/* What needs no twin: it stays until reset anyway. Sources are among these. */
static bool stays(const gr_tensor *t)
{
    return t->flags & (GR__KEEP | GR__LITTLE);
}

static bool has_twin(const gr_node *node)
{
    bool all = true;
    for (int i = 0; i < node->n_out; i++) all &= stays(&node->out[i]);
    return !all;
}

gr_tensor *gr__twin(const gr__section *s, gr_tensor *t)
{
    for (; s && !stays(t); s = s->around) {
        uint32_t at = t->node->id - s->first; /* beyond all for an older node */
        if (s->twin && at < s->n_twins && s->twin[at]) return &s->twin[at]->out[t->index];
    }
    return t;
}

/* The same op over the twins of the node's inputs. */
static gr_node *record_again(gr_graph *g, const gr__section *s, const gr_node *node)
{
    gr_tensor *few[FEW], **in = few;
    if (node->n_in > FEW) in = gr__arena_alloc(&g->nodes, (size_t)node->n_in * sizeof *in);
    if (!in) return NULL;
    for (int i = 0; i < node->n_in; i++) in[i] = gr__twin(s, node->in[i]);
    bool no_grad = node->flags & GR__NO_GRAD;
    const gr_node *outer = g->origin;
    g->no_grad_depth += no_grad;
    g->origin = node;
    gr_tensor *t = gr__apply(g, node->op, in, node->n_in, node->attrs, node->site);
    g->origin = outer;
    g->no_grad_depth -= no_grad;
    return gr__is_nil(t) ? NULL : t->node;
}

/* The nodes of s up to `last`, beyond which this sweep reads nothing. */
static void record_section(gr_graph *g, gr__section *s, const gr_node *last)
{
    uint32_t n = last->id - s->first + 1;
    s->twin = gr__arena_alloc(&g->nodes, n * sizeof *s->twin);
    if (!s->twin) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_grad: out of memory");
        return;
    }
    memset(s->twin, 0, n * sizeof *s->twin);
    s->n_twins = n;
    s->again |= g->no_grad_depth == 0;
    const gr_node *node = first_node(g, s);
    for (uint32_t i = 0; i < n && !g->status; i++, node = node->next)
        if (has_twin(node)) s->twin[i] = record_again(g, s, node);
}

/* --- in a sweep --- */

gr__section *gr__sections_sweep(gr_graph *g)
{
    for (gr__section *s = g->sections; s; s = s->older) s->twin = NULL;
    return g->sections;
}

/* The newest one begun before the node, or one around that, unless these ended before it. */
gr__section *gr__section_of(gr__section **newest, const gr_node *node)
{
    while (*newest && (*newest)->first > node->id) *newest = (*newest)->older;
    gr__section *s = *newest;
    while (s && (s->last < node->id || s->last == UINT32_MAX)) s = s->around;
    return s;
}

void gr__section_enter(gr_graph *g, gr__section *s, const gr_node *node)
{
    while (s && !s->twin && !g->status) {
        gr__section *outermost = s;
        for (gr__section *a = s->around; a && a->last != UINT32_MAX; a = a->around)
            if (!a->twin) outermost = a;
        record_section(g, outermost, node);
    }
}

/* An x inside a section stays itself, so that its twin does not hide what depends on it. */
gr_status gr__section_hold(gr_graph *g, gr_tensor *x, const char *name, int i, const void *site)
{
    gr__section *newest = g->sections;
    const gr__section *s = gr__section_of(&newest, x->node);
    bool hidden = s && s->again && !stays(x);
    if (hidden)
        gr__fail_at(g, GR_ERR_STATE, site,
                    "%s: input %d lies inside a checkpointed section that an earlier gradient has "
                    "recorded again; gr_keep() it before that",
                    name, i);
    else if (s) x->flags |= GR__KEEP;
    return g->status;
}
