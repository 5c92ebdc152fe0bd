/* scratch.c - a part of the tape that is forgotten at its end, save what is kept.
 *
 * What is recorded inside lies in arenas of its own, so that forgetting it is a reset of these. Of
 * the arenas of a depth there are two sets, used by turns: a tensor of the scratch that has just
 * ended is still there to be recognised as stale.
 */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <string.h>

/* --- memory --- */

static void swap_memory(gr_graph *g, gr__memory *m)
{
    const gr__memory held = *m;
    *m = (gr__memory){g->nodes, g->tensors};
    g->nodes = held.nodes;
    g->tensors = held.tensors;
}

static void empty(gr__memory *m)
{
    gr__arena_reset(&m->nodes);
    gr__arena_reset(&m->tensors);
}

static gr__scratch *innermost(gr_graph *g)
{
    return &g->scratches[g->n_scratches - 1];
}

/* Where values of t belong: to what was recorded beside it. */
gr__arena *gr__scratch_arena(const gr_tensor *t)
{
    gr_graph *g = t->graph;
    int depth = g->n_scratches;
    while (depth > 0 && t->node->id < g->scratches[depth - 1].first_id) depth--;
    return depth == g->n_scratches ? &g->nodes : &g->scratches[depth].outer.nodes;
}

void gr__scratches_close(gr_graph *g)
{
    for (; g->n_scratches > 0; g->n_scratches--) swap_memory(g, &innermost(g)->outer);
    g->refused_scratches = 0;
}

void gr__scratches_release(gr_graph *g)
{
    for (int i = 0; i < GR__SCRATCHES; i++) {
        gr__memory *both[] = {&g->scratches[i].outer, &g->scratches[i].ended};
        for (int k = 0; k < 2; k++) {
            gr__arena_release(&both[k]->nodes);
            gr__arena_release(&both[k]->tensors);
        }
    }
}

/* --- begin --- */

/* While rules or kernels run, the tape is in use. */
static bool at_rest(gr_graph *g, const char *name, const void *site)
{
    if (!g->sweep_from && !g->running) return true;
    gr__fail_at(g, GR_ERR_STATE, site, "%s: called by a backward rule, a hook or an observer",
                name);
    return false;
}

/* What is recorded until the matching gr_scratch_end is forgotten there, with all its memory: for
 * loops that run long without a reset. Scratches nest, eight deep. */
void gr_scratch_begin(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_scratch_begin") || !at_rest(g, "gr_scratch_begin", GR_HERE)) return;
    if (g->n_scratches == GR__SCRATCHES) {
        g->refused_scratches++;
        gr__fail_at(g, GR_ERR_STATE, GR_HERE, "gr_scratch_begin: more than %d scratches are open",
                    GR__SCRATCHES);
        return;
    }
    gr__scratch *s = &g->scratches[g->n_scratches++];
    s->last = g->last;
    s->params = g->params;
    s->first_id = g->n_nodes;
    s->n_deferred = g->n_deferred;
    s->scope = g->scope;
    s->sections = g->sections;
    s->section = g->section;
    s->no_grad_depth = g->no_grad_depth;
    s->site = GR_HERE;
    empty(&s->outer);
    swap_memory(g, &s->outer);
}

/* --- what is kept --- */

static bool is_inside(const gr__scratch *s, const gr_tensor *t)
{
    return t->node->id >= s->first_id;
}

static bool check_kept(gr_graph *g, gr_tensor *const *keep, int n, const char *name,
                       const void *site)
{
    for (int i = 0; i < n && !g->status; i++) {
        const char *problem = NULL;
        if (!keep[i]) problem = "NULL";
        else if (gr__is_nil(keep[i])) problem = "the result of a failed call";
        else if (keep[i]->graph != g) problem = "of another graph";
        else if (gr__is_stale(keep[i])) problem = "stale";
        if (problem)
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: tensor %d to be kept is %s", name, i,
                        problem);
    }
    return !g->status;
}

static bool check_pairs(gr_graph *g, const gr__scratch *s, const char *name, const void *site)
{
    if (g->scope != s->scope || g->lost_scopes)
        gr__fail_at(g, GR_ERR_STATE, site,
                    "%s: scopes begun inside have to end inside, and no others", name);
    if (g->no_grad_depth != s->no_grad_depth)
        gr__fail_at(g, GR_ERR_STATE, site,
                    "%s: no-grad scopes begun inside have to end inside, and no others", name);
    if (g->section != s->section)
        gr__fail_at(g, GR_ERR_STATE, site,
                    "%s: checkpointed sections begun inside have to end inside, and no others",
                    name);
    return !g->status;
}

/* Their values, as they are now, row-major. */
static bool settle(gr_graph *g, const gr__scratch *s, gr_tensor *const *keep, int n)
{
    if (gr_eval(keep, n)) return false;
    for (int i = 0; i < n; i++)
        if (is_inside(s, keep[i]) && !gr_data(keep[i])) return false;
    return !g->status;
}

/* A leaf with the value of t; large ones are not copied. */
static gr_tensor *leaf_like(gr_graph *g, gr_tensor *t, const void *site)
{
    const gr__leaf_attrs attrs = {NULL, 0, NULL};
    gr_tensor *leaf = gr__leaf(g, &gr__leaf_op, (gr_dtype)t->dtype, t->shape, &attrs, sizeof attrs,
                               site);
    if (gr__is_nil(leaf)) return leaf;
    if (t->buffer && !(t->flags & GR__PARAM)) {
        leaf->buffer = t->buffer;
        leaf->data = t->data;
        leaf->buffer->refs++;
        g->buffers_held++;
    } else if (gr__tensor_storage(leaf)) {
        memcpy(leaf->data, t->data, (size_t)gr_numel(t) * gr_dtype_size((gr_dtype)t->dtype));
    } else {
        return gr__fail_at(g, GR_ERR_MEMORY, site, "leaf: out of memory");
    }
    return leaf;
}

static void keep_leaves(gr_graph *g, const gr__scratch *s, gr_tensor **keep, int n,
                        const void *site)
{
    for (int i = 0; i < n; i++) {
        if (g->status) keep[i] = &g->nil;
        else if (is_inside(s, keep[i])) keep[i] = leaf_like(g, keep[i], site);
    }
}

/* --- what is forgotten --- */

/* Stands behind stale tensors, whose own node may be gone. */
static const gr__leaf_attrs no_attrs = {NULL, 0, NULL};
static gr_node gone = {.op = &gr__leaf_op, .attrs = &no_attrs};

static void forget_node(gr_graph *g, gr_node *node)
{
    for (int i = 0; i < node->n_in; i++) node->in[i]->consumers--;
    for (int i = 0; i < node->n_out; i++) {
        gr__tensor_drop(&node->out[i]);
        node->out[i] = g->nil;
        node->out[i].node = &gone;
    }
}

static void forget_params(gr_graph *g, const gr__scratch *s)
{
    for (gr_node *leaf = g->params; leaf != s->params; leaf = gr__leaf_of(leaf)->older)
        gr__forget_use(g, leaf);
    g->params = s->params;
}

static void forget_assigns(gr_graph *g)
{
    int n = 0;
    for (int i = 0; i < g->n_assigns; i++) {
        if (gr__is_stale(g->assigns[i].value)) gr_param_release(g->assigns[i].param);
        else g->assigns[n++] = g->assigns[i];
    }
    g->n_assigns = n;
}

/* Takes the nodes of s off the tape and returns the first; they stay as they are. */
static gr_node *cut(gr_graph *g, const gr__scratch *s)
{
    gr_node *first = s->last ? s->last->next : g->first;
    if (s->last) s->last->next = NULL;
    else g->first = NULL;
    bool swept_inside = g->swept && g->swept->id >= s->first_id;
    g->n_deferred = swept_inside ? 0 : s->n_deferred;
    if (swept_inside) g->swept = s->last;
    g->last = s->last;
    g->n_nodes = s->first_id;
    g->scope = s->scope;
    g->lost_scopes = 0;
    g->sections = s->sections;
    g->section = s->section;
    g->no_grad_depth = s->no_grad_depth;
    return first;
}

/* --- end --- */

/* Gives g the arenas of what comes next: fresh ones inside (`again`), or those around. Those that
 * it had stay untouched until the scratch after ends. */
static void turn_over(gr_graph *g, gr__scratch *s, bool again)
{
    if (again) {
        empty(&s->ended);
        swap_memory(g, &s->ended);
        return;
    }
    swap_memory(g, &s->outer);
    const gr__memory idle = s->ended;
    s->ended = s->outer;
    s->outer = idle;
    g->n_scratches--;
}

static gr_status end(gr_graph *g, gr_tensor **keep, int n, bool again, const char *name,
                     const void *site)
{
    gr__scratch *s = innermost(g);
    if (!g->status && check_pairs(g, s, name, site) && check_kept(g, keep, n, name, site))
        settle(g, s, keep, n);
    gr_node *first = cut(g, s);
    turn_over(g, s, again);
    keep_leaves(g, s, keep, n, site);
    forget_params(g, s);
    for (gr_node *node = first; node; node = node->next) forget_node(g, node);
    forget_assigns(g);
    return g->status;
}

/* How many tensors keep has: none where it is NULL, then an error of the graph. */
static int count_kept(gr_graph *g, gr_tensor **keep, int n, const char *name, const void *site)
{
    if (keep || n <= 0) return n;
    gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: the array of kept tensors is NULL", name);
    return 0;
}

static bool may_end(gr_graph *g, gr_tensor **keep, int n, const char *name, const void *site)
{
    if (!at_rest(g, name, site)) return false;
    if (g->refused_scratches) g->refused_scratches--;
    else if (g->n_scratches) return true;
    else gr__fail_at(g, GR_ERR_STATE, site, "%s: no scratch is open", name);
    for (int i = 0; i < n; i++) keep[i] = &g->nil;
    return false;
}

/* Forgets what was recorded since the matching gr_scratch_begin, with all its memory. Before that
 * the n tensors of keep are computed; those recorded inside are replaced in keep by tensors outside
 * with the same values, which are constants to differentiation. Any other tensor from inside is
 * stale from here on: its use is an error as long as the next scratch of this depth has not ended.
 * What gr_data gave for it is gone. What gr_assign recorded inside and no gr_commit or gr_backward
 * has written is forgotten, as by a reset. On failure all of keep is inert. Returns the graph's
 * status. */
gr_status gr_scratch_end(gr_graph *g, gr_tensor **keep, int n)
{
    if (gr__lacks_graph(g, "gr_scratch_end")) return gr_graph_status(g);
    n = count_kept(g, keep, n, "gr_scratch_end", GR_HERE);
    if (!may_end(g, keep, n, "gr_scratch_end", GR_HERE)) return g->status;
    return end(g, keep, n, false, "gr_scratch_end", GR_HERE);
}

/* An end and a begin in one, with what is kept inside of what begins: a loop that carries state
 * from one turn to the next then takes the memory of two turns, however long it runs. */
gr_status gr_scratch_next(gr_graph *g, gr_tensor **keep, int n)
{
    if (gr__lacks_graph(g, "gr_scratch_next")) return gr_graph_status(g);
    n = count_kept(g, keep, n, "gr_scratch_next", GR_HERE);
    if (!may_end(g, keep, n, "gr_scratch_next", GR_HERE)) return g->status;
    return end(g, keep, n, true, "gr_scratch_next", GR_HERE);
}
