/* trace.c - what computing a node costs: time, memory read and written, floating-point operations.
 *
 * A tracer is called after each node has been computed. Without one a graph pays a single branch.
 */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <math.h>

/* --- bytes --- */

/* What lies in memory: an axis of stride 0 is there once. */
static int64_t bytes_of(const gr_tensor *t)
{
    int64_t n = (int64_t)gr_dtype_size((gr_dtype)t->dtype);
    for (int i = 0; i < t->shape->rank; i++)
        if (!t->strides || t->strides[i] != 0 || t->shape->dim[i] == 0) n *= t->shape->dim[i];
    return n;
}

static bool shares_storage(const gr_node *node)
{
    return node->op->view && node->out[0].buffer == node->in[0]->buffer;
}

static void add_bytes(const gr_node *node, gr_run *r)
{
    if (shares_storage(node)) return;
    for (int i = 0; i < node->n_in; i++) r->read += bytes_of(node->in[i]);
    for (int i = 0; i < node->n_out; i++) r->written += bytes_of(&node->out[i]);
}

/* --- tracing --- */

bool gr__run_traced(gr_node *node, bool (*run)(gr_node *))
{
    gr_graph *g = node->out[0].graph;
    size_t peak = g->pool.bytes_peak;
    g->pool.bytes_peak = g->pool.bytes_live;
    gr_run r = {.begun = gr__nanoseconds()};
    bool done = run(node);
    r.ended = gr__nanoseconds();
    r.peak = (int64_t)g->pool.bytes_peak;
    if (peak > g->pool.bytes_peak) g->pool.bytes_peak = peak;
    if (!done) return false;
    add_bytes(node, &r);
    g->tracer(g->tracer_user, node, &r);
    return true;
}

/* Calls tracer after each node that is computed from here on, also when a value is computed a
 * second time; NULL: no longer. It may ask about the node, not record. */
void gr_graph_trace(gr_graph *g, gr_tracer *tracer, void *user)
{
    if (gr__lacks_graph(g, "gr_graph_trace")) return;
    g->tracer = tracer;
    g->tracer_user = user;
    gr__run_watch(g);
}

/* --- operations --- */

enum { FEW = 8 };

static void describe(gr_value *v, const gr_tensor *t)
{
    *v = (gr_value){(gr_dtype)t->dtype, t->shape, NULL, NULL};
}

/* Floating-point operations that computing the node takes, by the op's own formula; for
 * element-wise ops one per element, whatever the function, for views none. NaN: not known. */
double gr_node_flops(const gr_node *node)
{
    if (!node) return NAN;
    const gr_op *op = node->op;
    if (op->view || node->n_in == 0) return 0;
    if (!op->flops)
        return gr__is_elementwise(op) ? (double)gr_shape_numel(node->out[0].shape) : NAN;
    gr_value in[FEW], out[GR_MAX_OUTPUTS];
    gr_exec e = {op, node->attrs, in, out, node->n_in < FEW ? node->n_in : FEW, node->n_out, NULL};
    for (int i = 0; i < e.n_in; i++) describe(&in[i], node->in[i]);
    for (int i = 0; i < e.n_out; i++) describe(&out[i], &node->out[i]);
    return op->flops(&e);
}
