/* backward.c - gradients are more graph.
 *
 * Reverse mode in one loop: from y back to the oldest x, each node that depends on an x and has a
 * cotangent dy asks its op's VJP to record the cotangents of its inputs; contributions to one
 * tensor are summed. The order of the tape guarantees that a tensor's cotangent is complete when
 * its node is reached: all its consumers were recorded later.
 */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <string.h>

enum { FEW = 8 }; /* inputs of a node that most sweeps stay within */

/* --- contributions --- */

static bool suits(const gr_tensor *x, const gr_tensor *dx)
{
    return dx->dtype == x->dtype && (dx->shape == x->shape || gr__shape_alike(dx->shape, x->shape));
}

static bool is_live(const gr_graph *g, const gr_tensor *t)
{
    return t->graph == g && t->generation == g->generation;
}

static void refuse_cotangent(const gr_node *node, int i, const gr_tensor *dx)
{
    const gr_tensor *x = node->in[i];
    gr_graph *g = x->graph;
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (g->status) return;
    if (!is_live(g, dx)) /* the inert one is of no generation */
        gr__fail_at(g, GR_ERR_ARGUMENT, node->site,
                    "%s: its VJP gave a cotangent for input %d that is no tensor of this graph",
                    node->op->name, i);
    else
        gr__fail_at(g, GR_ERR_ARGUMENT, node->site,
                    "%s: its VJP gave a cotangent of %s %s for input %d, which is %s %s",
                    node->op->name, gr_dtype_name((gr_dtype)dx->dtype), gr_shape_text(dx->shape, a),
                    i, gr_dtype_name((gr_dtype)x->dtype), gr_shape_text(x->shape, b));
}

static inline bool check_cotangent(const gr_node *node, int i, const gr_tensor *dx)
{
    const gr_tensor *x = node->in[i];
    if (is_live(x->graph, dx) && suits(x, dx)) return x->graph->status == GR_OK;
    refuse_cotangent(node, i, dx);
    return false;
}

static void contribute(gr_tensor *x, gr_tensor *dx, const void *site)
{
    gr_tensor *both[2] = {x->cot, dx};
    x->cot = x->cot ? gr__apply(x->graph, &gr__acc_op, both, 2, NULL, site) : dx;
}

static bool listed_once(const gr_node *node, int i)
{
    for (int j = 0; j < node->n_in; j++)
        if (j != i && node->in[j] == node->in[i]) return false;
    return true;
}

/* Takes over what the rule left in dx and sum. */
static void collect(gr_node *node, gr_pullback *p, gr_tensor *const *before)
{
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        if (!p->wants[i]) continue;
        if (p->sum[i] != before[i] && p->sum[i] && check_cotangent(node, i, p->sum[i]))
            x->cot = p->sum[i];
        if (p->dx[i] && check_cotangent(node, i, p->dx[i])) contribute(x, p->dx[i], node->site);
    }
}

/* --- one node --- */

typedef struct pullback_space {
    gr_pullback p; /* for the rule; what is the same for each node is set once */
    gr_tensor **before, **x, *dy[GR_MAX_OUTPUTS], *y[GR_MAX_OUTPUTS];
    bool *wants;
    gr__recompute again;
    gr__section *newest, *section; /* where to look for the node's own; NULL: it lies in none */
} pullback_space;

/* By which tensors cotangents travel: those that depend on a listed x, or (sweep 0) on a trainable
 * parameter, which recording has noted. */
static bool travels(const gr_tensor *t, uint32_t sweep)
{
    return sweep ? t->reach == sweep && gr__is_float((gr_dtype)t->dtype)
                 : (t->flags & GR__GRAD) != 0;
}

/* For nodes of up to n inputs. */
static bool take_space(gr_graph *g, pullback_space *s, int n)
{
    size_t pointers = 4 * (size_t)n * sizeof(gr_tensor *);
    char *memory = gr__arena_alloc(&g->nodes, pointers + (size_t)n);
    if (!memory) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_grad: out of memory");
        return false;
    }
    memset(memory, 0, pointers + (size_t)n);
    gr_tensor **tensors = (gr_tensor **)memory;
    s->before = tensors + n;
    s->x = tensors + 2 * n;
    s->wants = (bool *)(memory + pointers);
    s->p = (gr_pullback){.graph = g,
                         .y = s->y,
                         .dy = s->dy,
                         .dx = tensors,
                         .sum = tensors + 3 * n,
                         .wants = s->wants};
    return true;
}

/* Twins for what the rule of a node outside of sections reads. */
static gr_tensor *const *show_recomputed(gr_node *node, pullback_space *s)
{
    const unsigned reads = node->op->reads;
    if (!reads || (!s->again.twin && gr__is_elementwise(node->op))) return node->in;
    for (int i = 0; i < node->n_out; i++)
        if (reads & GR_READS_OUT(i)) s->y[i] = gr__recomputed(&s->again, node, s->y[i]);
    memcpy(s->x, node->in, (size_t)node->n_in * sizeof *s->x);
    for (int i = 0; i < node->n_in && i < 16; i++)
        if ((reads & GR_READS_IN(i)) && !s->x[i]->data)
            s->x[i] = gr__recomputed(&s->again, node, s->x[i]);
    return s->x;
}

/* The values that the rule reads: the node's own, or their twins in a checkpointed section. */
static gr_tensor *const *show_values(gr_node *node, pullback_space *s, uint32_t sweep)
{
    for (int i = 0; i < node->n_out; i++) s->y[i] = &node->out[i];
    if (!s->section) return sweep ? node->in : show_recomputed(node, s);
    for (int i = 0; i < node->n_out; i++) s->y[i] = gr__twin(s->section, s->y[i]);
    for (int i = 0; i < node->n_in; i++) s->x[i] = gr__twin(s->section, node->in[i]);
    return s->x;
}

/* Whether nothing is differentiated through the node. */
static bool blocks(const gr_node *node)
{
    return (node->flags & GR__NO_GRAD) || (node->op->flags & GR_OP_CONSTANT);
}

/* A listed x has a cotangent that may have to go no further: nothing that travels made it. */
static bool passes_on(const gr_node *node, uint32_t sweep)
{
    if (!sweep) return true; /* who has a cotangent has a trainable input */
    bool passes = false;
    const int n = blocks(node) ? 0 : node->n_in;
    for (int i = 0; i < n && !passes; i++) passes = travels(node->in[i], sweep);
    return passes;
}

static void pull_back(gr_node *node, pullback_space *s, uint32_t sweep)
{
    gr_pullback *p = &s->p;
    gr_graph *g = p->graph;
    if (!node->op->vjp && !node->op->backward[GR_F64]) {
        gr__fail_at(g, GR_ERR_ARGUMENT, node->site, "%s: the op has no backward rule",
                    node->op->name);
        return;
    }
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        p->dx[i] = NULL;
        s->wants[i] = travels(x, sweep);
        s->before[i] = p->sum[i] = x->cot && listed_once(node, i) ? x->cot : NULL;
    }
    p->attrs = node->attrs;
    p->x = show_values(node, s, sweep);
    p->n_in = node->n_in;
    p->n_out = node->n_out;
    const gr_node *outer = g->origin;
    g->origin = node;
    gr_site_begin(g, node->site);
    if (node->op->vjp) node->op->vjp(p);
    else gr__raw_pullback(p, node);
    collect(node, p, s->before);
    gr_site_end(g);
    g->origin = outer;
}

/* --- the sweep --- */

/* Marks every tensor between the xs and the ys that depends on an x. */
static void mark_reach(gr_node *first, const gr_node *last, uint32_t sweep)
{
    for (gr_node *node = first; node; node = node->next) {
        bool reached = false;
        const int n = blocks(node) ? 0 : node->n_in;
        for (int i = 0; i < n && !reached; i++) reached = node->in[i]->reach == sweep;
        for (int i = 0; i < node->n_out && reached; i++) node->out[i].reach = sweep;
        if (node == last) break;
    }
}

static gr_node *oldest(gr_tensor *const *x, int n)
{
    gr_node *first = NULL;
    for (int i = 0; i < n; i++)
        if (!first || x[i]->node->id < first->id) first = x[i]->node;
    return first;
}

static gr_node *newest(gr_tensor *const *y, int n)
{
    gr_node *last = NULL;
    for (int i = 0; i < n; i++)
        if (!last || y[i]->node->id > last->id) last = y[i]->node;
    return last;
}

static bool take_cotangents(gr_node *node, gr_tensor **dy)
{
    bool any = false;
    for (int i = 0; i < node->n_out; i++) {
        dy[i] = node->out[i].cot;
        any |= dy[i] != NULL;
    }
    return any;
}

/* False, with the error set, when what the node's rule reads could not be recorded again. */
static bool enter_section(gr_graph *g, pullback_space *s, const gr_node *node)
{
    s->section = gr__section_of(&s->newest, node);
    if (s->section) gr__section_enter(g, s->section, node);
    return g->status == GR_OK;
}

static void walk_back(gr_graph *g, gr_node *first, gr_node *last, uint32_t sweep, pullback_space *s)
{
    int room = FEW;
    if (!take_space(g, s, room)) return;
    for (gr_node *node = last; node && !g->status; node = node->prev) {
        if (node->n_in && take_cotangents(node, s->dy) && passes_on(node, sweep)) {
            if (node->n_in > room && !take_space(g, s, room = node->n_in)) return;
            if (s->newest && !enter_section(g, s, node)) return;
            pull_back(node, s, sweep);
            for (int i = 0; i < node->n_out && !sweep; i++) node->out[i].cot = NULL;
        }
        if (node == first) break;
    }
}

/* Leaves in x[i]->cot the cotangents of the xs, given those of the ys (in y[i]->cot). Sweep 0 has
 * leaves for xs and forgets the other cotangents on its way. A rule may begin a sweep of its own
 * over what it has recorded. */
static void sweep_back(gr_graph *g, gr_node *first, gr_node *last, uint32_t sweep)
{
    const uint32_t around = g->sweep_from;
    pullback_space s;
    s.newest = around ? NULL : gr__sections_sweep(g);
    s.section = NULL;
    s.again.twin = NULL;
    if (!around) g->sweep_from = g->n_nodes;
    walk_back(g, first, last, sweep, &s);
    g->sweep_from = around;
}

/* Cotangents are scratch of one sweep: forget those of the nodes it visited. */
static void forget_cotangents(gr_node *first, const gr_node *last)
{
    for (gr_node *node = first; node; node = node->next) {
        for (int i = 0; i < node->n_out; i++) node->out[i].cot = NULL;
        if (node == last) break;
    }
}

gr_status gr__sweep(gr_graph *g, gr_tensor *const *y, gr_tensor *const *dy, int n_y,
                    gr_tensor *const *x, int n_x, gr_tensor **dx)
{
    uint32_t sweep = ++g->epoch;
    gr_node *first = oldest(x, n_x), *last = newest(y, n_y);
    for (int i = 0; i < n_x; i++) dx[i] = NULL;
    if (!first || !last || first->id > last->id) return g->status;
    for (int i = 0; i < n_x; i++) x[i]->reach = sweep;
    mark_reach(first, last, sweep);
    for (int i = 0; i < n_y; i++)
        if (y[i]->reach == sweep) contribute(y[i], dy[i], y[i]->node->site);
    sweep_back(g, first, last, sweep);
    for (int i = 0; i < n_x && !g->status; i++) dx[i] = x[i]->cot;
    forget_cotangents(first, last);
    return g->status;
}

gr_status gr__sweep_params(gr_graph *g, gr_tensor *y, gr_tensor *dy, gr_tensor *const *x, int n,
                           gr_tensor **dx)
{
    gr_node *first = oldest(x, n);
    for (int i = 0; i < n; i++) dx[i] = NULL;
    if (!first || first->id > y->node->id || !travels(y, 0)) return g->status;
    contribute(y, dy, y->node->site);
    sweep_back(g, first, y->node, 0);
    for (int i = 0; i < n; i++) {
        if (!g->status) dx[i] = x[i]->cot;
        x[i]->cot = NULL;
    }
    return g->status;
}
