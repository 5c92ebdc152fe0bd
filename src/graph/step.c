/* step.c - gr_backward: gradients into the parameters, and all that a training step leaves behind. */
/* SPDX-License-Identifier: MIT */
#include "backward.h"
#include "elementwise.h"
#include "handover.h"
#include "rows.h"
#include "strided.h"

#include <string.h>

enum { CLAIMED = 1, BOUND, DUE }; /* what gr_backward notes in a parameter's `busy` */

typedef struct leaves {
    gr_param **param;
    gr_tensor **x, **dx, **targets; /* n parameters; targets: dx, sinks, assigned values */
    int n, n_targets;
    bool repeated; /* two leaves are of the same parameter */
    bool bound;    /* some dx is to be computed right into its parameter's gradient */
} leaves;

/* A tensor that nothing consumes and that is still pending: an accuracy, say. */
static bool is_sink(const gr_node *node)
{
    if ((node->flags & GR__BACKWARD) && !(node->flags & GR__USER)) return false;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i].consumers) return false;
    return !node->out[0].data;
}

/* Where sinks may begin: NULL where nothing was left pending. */
static gr_node *first_unswept(const gr_graph *g)
{
    if (g->n_deferred == 0) return NULL;
    return g->swept ? g->swept : g->first;
}

static int count_targets(const gr_graph *g)
{
    int n = g->n_assigns + 1;
    for (const gr_node *node = first_unswept(g); node; node = node->next) n += is_sink(node);
    return n;
}

static bool gather_leaves(gr_graph *g, leaves *l)
{
    l->n = l->n_targets = 0;
    l->repeated = l->bound = false;
    size_t room = 0;
    for (gr_node *leaf = g->params; leaf; leaf = gr__leaf_of(leaf)->older)
        room += (leaf->out[0].flags & GR__GRAD) != 0;
    size_t targets = room + (size_t)count_targets(g);
    l->x = gr__arena_alloc(&g->nodes, (2 * room + targets + 1) * sizeof *l->x);
    l->param = gr__arena_alloc(&g->nodes, (room + 1) * sizeof *l->param);
    if (!l->x || !l->param) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_backward: out of memory");
        return false;
    }
    l->dx = l->x + room;
    l->targets = l->dx + room;
    l->n = (int)room; /* in recording order */
    for (gr_node *leaf = g->params; leaf; leaf = gr__leaf_of(leaf)->older) {
        if (!(leaf->out[0].flags & GR__GRAD)) continue;
        l->x[--room] = &leaf->out[0];
        l->param[room] = gr__leaf_of(leaf)->param;
    }
    return true;
}

static void gather_targets(gr_graph *g, leaves *l, gr_tensor *loss)
{
    loss->flags |= GR__KEEP;
    l->targets[l->n_targets++] = loss;
    for (gr_node *node = first_unswept(g); node; node = node->next) {
        if (!is_sink(node) || &node->out[0] == loss) continue;
        node->out[0].flags |= GR__KEEP;
        l->targets[l->n_targets++] = &node->out[0];
    }
    for (int i = 0; i < g->n_assigns; i++) l->targets[l->n_targets++] = g->assigns[i].value;
}

/* Whether an earlier leaf is of the same parameter: used again after an update. */
static bool repeats(const leaves *l, int i)
{
    for (int j = 0; j < i; j++)
        if (l->param[j] == l->param[i]) return true;
    return false;
}

/* Parameters are claimed, so that two threads adding into one is an error and not a race. */
static bool claim(gr_graph *g, leaves *l, const void *site)
{
    for (int i = 0; i < l->n; i++) {
        gr_param *p = l->param[i];
        if (!__atomic_exchange_n(&p->busy, CLAIMED, __ATOMIC_ACQUIRE)) continue;
        if (repeats(l, i)) {
            l->repeated = true;
            continue;
        }
        gr__fail_at(g, GR_ERR_STATE, site,
                    "gr_backward: another thread is in backward into "
                    "parameter '%s'; workers use gr_grad",
                    p->name);
        l->n = i; /* only those before are ours */
        return false;
    }
    return true;
}

static void unclaim(leaves *l)
{
    for (int i = 0; i < l->n; i++) __atomic_store_n(&l->param[i]->busy, 0, __ATOMIC_RELEASE);
}

bool gr__need_grad(gr_graph *g, gr_param *p)
{
    if (!p->grad) p->grad = gr__alloc((size_t)p->numel * gr__dtype_bytes[p->dtype] + 1);
    if (!p->grad) gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_backward: out of memory");
    return p->grad != NULL;
}

/* The first contribution is computed right into the parameter's gradient, where that can be. */
static bool bind_gradient(gr_param *p, gr_tensor *dx, uint32_t recorded)
{
    bool fresh = !p->has_grad && p->busy == CLAIMED && !dx->data && dx->node->id >= recorded &&
                 !dx->node->op->view;
    if (!fresh || (dx->flags & (GR__BOUND | GR__KEEP))) return false;
    gr__rows_forget(p);
    dx->flags |= GR__BOUND;
    dx->scalar.target = p->grad;
    p->busy = BOUND;
    return true;
}

void gr__add_gradient(gr_param *p, const gr_tensor *dx)
{
    const gr_value v = gr__tensor_value(dx);
    if (p->has_grad) gr__add_into(p->grad, &v);
    else if (dx->strides || !(dx->flags & GR__LITTLE)) gr__pack(&v, p->grad);
    else memcpy(p->grad, dx->data, (size_t)p->numel * gr__dtype_bytes[p->dtype]);
    gr__rows_forget(p);
    p->has_grad = true;
}

/* Parameters with a bound gradient come last: until then others may read their cotangent there. */
static void deliver(leaves *l)
{
    const int last = l->bound ? BOUND : CLAIMED;
    for (int claim = CLAIMED; claim <= last; claim++) {
        for (int i = 0; i < l->n; i++) {
            gr_param *p = l->param[i];
            if (!l->dx[i] || p->busy != claim) continue;
            if (l->dx[i]->data == p->grad) p->has_grad = true;
        }
        for (int i = 0; i < l->n; i++) {
            gr_param *p = l->param[i];
            if (!l->dx[i] || p->busy != claim || l->dx[i]->data == p->grad) continue;
            if (l->dx[i]->data) gr__add_gradient(p, l->dx[i]);
            else gr__rows_add(p, l->dx[i]);
        }
    }
}

static void unbind(leaves *l)
{
    for (int i = 0; l->bound && i < l->n; i++) {
        gr_tensor *dx = l->dx[i];
        if (!dx || !(dx->flags & GR__BOUND)) continue;
        dx->flags &= (uint8_t)~GR__BOUND;
        dx->data = NULL;
    }
}

static void drop_results(leaves *l)
{
    for (int i = 0; i < l->n; i++) {
        gr_tensor *dx = l->dx[i];
        if (dx && dx->buffer && !(dx->flags & GR__KEEP)) gr__tensor_drop(dx);
    }
}

/* What hooks recorded and nothing consumes: the norm of a cotangent, say. */
static bool gather_observed(gr_graph *g, leaves *l, gr_node *from)
{
    int n = 0;
    for (const gr_node *node = from; node; node = node->next) n += is_sink(node);
    gr_tensor **targets = gr__arena_alloc(&g->nodes, (size_t)(l->n_targets + n) * sizeof *targets);
    if (!targets) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_backward: out of memory");
        return false;
    }
    memcpy(targets, l->targets, (size_t)l->n_targets * sizeof *targets);
    l->targets = targets;
    for (gr_node *node = from; node; node = node->next) {
        if (!is_sink(node) || (node->out[0].flags & GR__BOUND)) continue;
        node->out[0].flags |= GR__KEEP;
        l->targets[l->n_targets++] = &node->out[0];
    }
    g->hooked = false;
    return true;
}

/* Asks for all gradients, or for the cotangents of a table's rows; gives the first of them. */
static gr_tensor **ask_for_gradients(leaves *l)
{
    gr_tensor **first = l->targets + l->n_targets;
    for (int i = 0; i < l->n; i++) {
        gr_tensor *dx = l->dx[i];
        if (!dx) continue;
        bool by_rows = gr__rows_apply(l->param[i], dx);
        l->targets[l->n_targets++] = by_rows ? dx->node->in[0] : dx;
    }
    return first;
}

/* Finds them a place; false: out of memory. */
static bool place_gradients(gr_graph *g, leaves *l, gr_tensor *const *asked, uint32_t recorded)
{
    for (int i = 0; i < l->n; i++) {
        gr_tensor *dx = l->dx[i];
        gr_param *p = l->param[i];
        if (!dx) continue;
        bool by_rows = *asked++ != dx;
        if (p->busy == DUE) continue;
        if (!gr__need_grad(g, p)) return false;
        if (!by_rows) l->bound |= bind_gradient(p, dx, recorded);
    }
    return true;
}

/* Which gradients go to the receiver early; none where a NaN in a later one is to stop all. */
static bool plan_handover(gr_graph *g, const leaves *l, gr__handover *h, uint32_t recorded)
{
    bool any = false;
    for (int i = 0; i < l->n; i++) any |= !(l->x[i]->flags & GR__LITTLE);
    if (!any || l->repeated || g->anomaly) return true;
    h->due = gr__arena_alloc(&g->nodes, (size_t)l->n * sizeof *h->due);
    if (!h->due) {
        gr__fail_at(g, GR_ERR_MEMORY, NULL, "gr_backward_each: out of memory");
        return false;
    }
    for (int i = l->n - 1; i >= 0; i--)
        if (l->dx[i]) gr__handover_offer(h, l->param[i], l->x[i], l->dx[i]);
    if (h->n && !gr__handover_plan(h, g, l->targets, l->n_targets, recorded)) return false;
    for (int i = 0; i < h->n; i++) h->due[i].param->busy = DUE;
    return true;
}

/* What was asked for; and hands over whatever is due at the end of it. */
static gr_status compute(gr_graph *g, leaves *l, gr__handover *h)
{
    g->handover = h;
    gr_status status = gr__evaluate(g, l->targets, l->n_targets, true);
    if (h && !status && !h->status) gr__hand_over(g, UINT32_MAX);
    g->handover = NULL;
    if (g->status) return g->status;
    return h ? h->status : GR_OK;
}

/* h: NULL, or who gets gradients early. */
static gr_status backward(gr_graph *g, gr_tensor *loss, leaves *l, gr__handover *h)
{
    uint32_t recorded = g->n_nodes;
    gr_tensor *one = gr__fill(g, (gr_dtype)loss->dtype, loss->shape, 1, loss->node->site);
    for (int i = 0; i < l->n; i++) l->dx[i] = NULL;
    g->no_grad_depth++; /* nobody differentiates these */
    gr_status status = g->status ? g->status : gr__sweep_params(g, loss, one, l->x, l->n, l->dx);
    g->no_grad_depth--;
    if (status) return status;
    gr_tensor **asked = ask_for_gradients(l);
    if (asked == l->targets + l->n_targets) {
        gr__fail_at(g, GR_ERR_ARGUMENT, loss->node->site,
                    "gr_backward: the loss does not depend on any trainable parameter");
        return g->status;
    }
    if (h && !plan_handover(g, l, h, recorded)) return g->status;
    if (!place_gradients(g, l, asked, recorded)) return g->status;
    if (g->hooked && !gather_observed(g, l, one->node)) return g->status;
    status = compute(g, l, h);
    if (!status) deliver(l);
    unbind(l);
    drop_results(l);
    return status;
}

static gr_status check_loss(gr_graph *g, gr_tensor *loss, const void *site)
{
    char text[GR_SHAPE_TEXT];
    if (g->sweep_from)
        gr__fail_at(g, GR_ERR_STATE, site, "gr_backward: called by a backward rule or a hook");
    if (gr__check_tensors(g, &loss, 1, "loss", "gr_backward", site)) return g->status;
    if (gr_shape_numel(loss->shape) != 1)
        gr__fail_at(g, GR_ERR_ARGUMENT, site,
                    "gr_backward: expected a loss of one element, got %s; "
                    "reduce it with gr_mean_all or gr_sum_all",
                    gr_shape_text(loss->shape, text));
    return g->status;
}

static gr_status backward_into(gr_tensor *loss, gr__handover *h, const void *site)
{
    gr_graph *g = loss->graph;
    if (!g) return GR_ERR_STATE;
    if (g->status || check_loss(g, loss, site)) return g->status;
    leaves l;
    gr_status status = GR_OK;
    if (!gather_leaves(g, &l)) return g->status;
    if (claim(g, &l, site)) {
        gather_targets(g, &l, loss);
        g->swept = g->last;
        g->n_deferred = 0;
        status = backward(g, loss, &l, h);
    }
    unclaim(&l);
    if (!status) status = g->status;
    return status ? status : gr_commit(g);
}

/* Adds d loss / d p into the gradient of every trainable parameter that the loss depends on; a
 * gradient that was cleared is written afresh. Also computes every recorded tensor that nothing
 * consumes, so that reading an accuracy after the optimizer's step gives the value before it, and
 * writes what was assigned. loss has one element. On failure no gradient has changed that was not
 * cleared, and the graph's status is returned. */
gr_status gr_backward(gr_tensor *loss)
{
    if (!loss) return gr__fail(GR_ERR_ARGUMENT, "gr_backward: the loss is NULL");
    return backward_into(loss, NULL, GR_HERE);
}

/* gr_backward that hands large gradients over one by one, so that they need not all be in memory at
 * a time.
 *
 * receive  is called with a parameter once the loss is computed, the parameter's gradient is
 *          complete (gr_param_grad, with what earlier calls of gr_backward left there) and nothing
 *          that is still to be computed reads the parameter, which may then be written. A gradient
 *          that it does not clear stays, as after gr_backward. It may neither record on the graph
 *          nor ask it for values that are not there yet. Anything but GR_OK ends the sweep and is
 *          returned
 * user     is passed to it
 *
 * It is not called, and gradients are left as gr_backward leaves them, for parameters of at most
 * 4 KB, for tables whose gradient is known by rows, for parameters that are assigned (gr_assign) or
 * needed at the end as they are, and in a graph that watches for anomalies.
 *
 * On failure, whoever reports it, those that it was called with before have been handed over; no
 * other gradient has changed that was not cleared, and nothing is assigned. */
gr_status gr_backward_each(gr_tensor *loss, gr_receiver *receive, void *user)
{
    gr__handover h = {.receive = receive, .user = user};
    if (!loss) return gr__fail(GR_ERR_ARGUMENT, "gr_backward_each: the loss is NULL");
    if (!receive) return gr__fail(GR_ERR_ARGUMENT, "gr_backward_each: the receiver is NULL");
    return backward_into(loss, &h, GR_HERE);
}
