/* run.c - computing one node: its inputs as the kernel wants them, its outputs in storage. */
/* SPDX-License-Identifier: MIT */
#include "strided.h"
#include "tape.h"

#include <stdio.h>
#include <string.h>

enum { FEW = 8 }; /* inputs of a node described on the stack */

/* What a kernel asked for while it runs: scratch buffers, linked by `next`. */
typedef struct running {
    gr_node *node;
    gr__buffer *scratch;
} running;

void *gr_exec_scratch(gr_exec *e, size_t bytes)
{
    if (gr__need("gr_exec_scratch", e, "kernel's argument")) return NULL;
    running *r = e->internal;
    gr__buffer *b = gr__pool_get(&r->node->out[0].graph->pool, bytes);
    if (!b) return NULL;
    b->next = r->scratch;
    r->scratch = b;
    return b->data;
}

static void free_scratch(running *r)
{
    while (r->scratch) {
        gr__buffer *b = r->scratch;
        r->scratch = b->next;
        gr__buffer_unref(b);
    }
}

/* For kernels: reports a value that cannot be used, such as an index out of range. */
gr_status gr_exec_fail(gr_exec *e, const char *format, ...)
{
    if (gr__need("gr_exec_fail", e, "kernel's argument")) return GR_ERR_ARGUMENT;
    running *r = e->internal;
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    gr__fail_at(r->node->out[0].graph, GR_ERR_ARGUMENT, r->node->site, "%s: %s", e->op->name,
                message);
    return GR_ERR_ARGUMENT;
}

bool gr__exec_rounds(const gr_exec *e)
{
    const running *r = e->internal;
    return e->out[0].dtype == GR_F32 &&
           gr_graph_precision(r->node->out[0].graph) == GR_PRECISION_BFLOAT16;
}

static bool out_of_memory(gr_node *node)
{
    gr__fail_at(node->out[0].graph, GR_ERR_MEMORY, node->site, "%s: out of memory", node->op->name);
    return false;
}

/* --- views --- */

static void share(gr_tensor *y, gr_tensor *x, int64_t offset)
{
    y->data = (char *)x->data + offset * (int64_t)gr_dtype_size((gr_dtype)x->dtype);
    y->flags |= x->flags & GR__PARAM;
    y->buffer = x->buffer;
    if (!y->buffer) return;
    y->buffer->refs++;
    y->graph->buffers_held++;
}

static bool run_view(gr_node *node)
{
    gr_tensor *x = node->in[0], *y = &node->out[0];
    int64_t offset = 0;
    if (y->data) return true;
    gr_value in = gr__tensor_value(x), out = {(gr_dtype)y->dtype, y->shape, NULL, NULL};
    gr_exec e = {node->op, node->attrs, &in, &out, 1, 1, NULL};
    int64_t strides[GR_MAX_RANK];
    if (node->op->view(&e, strides, &offset)) {
        share(y, x, offset);
    } else { /* a row-major copy of x always can be viewed */
        gr_tensor packed = *x;
        packed.node = node; /* lives as long as y */
        if ((x->flags & GR__PARAM) && !gr__param_current(x)) return false;
        if (!gr__tensor_pack(&packed)) return out_of_memory(node);
        in = gr__tensor_value(&packed);
        bool fits = node->op->view(&e, strides, &offset);
        if (fits) share(y, &packed, offset);
        gr__tensor_drop(&packed);
        if (!fits) {
            gr__fail_at(y->graph, GR_ERR_STATE, node->site,
                        "%s: its view rule refuses a row-major input", node->op->name);
            return false;
        }
    }
    return gr__tensor_set_strides(y, strides) || out_of_memory(node);
}

/* --- other kernels --- */

/* The value of a tensor as a kernel gets it: row-major unless it takes any strides, float64 when converting. */
static bool prepare(gr_exec *e, gr_value *v, bool convert)
{
    bool widen = convert && v->dtype == GR_F32;
    gr__strided s = gr__strided_of(v);
    bool packed = gr__strided_contiguous(&s) || (e->op->flags & GR_OP_STRIDED);
    if (packed && !widen) return true;
    int64_t n = gr_shape_numel(v->shape);
    void *data = gr_exec_scratch(e, (size_t)n * (widen ? 8 : gr_dtype_size(v->dtype)) + 1);
    if (!data) return false;
    gr__pack(v, data);
    if (widen) /* from the end, since the narrow values lie in the same place */
        for (int64_t i = n - 1; i >= 0; i--) {
            float narrow;
            memcpy(&narrow, (char *)data + i * 4, 4);
            ((double *)data)[i] = (double)narrow;
        }
    if (widen) v->dtype = GR_F64;
    v->strides = gr__row_major(v->shape);
    v->data = data;
    return true;
}

bool gr__take_over(gr_node *node)
{
    gr_tensor *x = node->in[0], *y = &node->out[0];
    gr_graph *g = y->graph;
    bool dying = g->running && x->buffer && x->buffer->refs == 1 && x->epoch == g->epoch &&
                 x->uses == 1 && !(x->flags & GR__KEEP) &&
                 (g->backward || !(x->flags & GR__SAVED)) && gr__tensor_contiguous(x) &&
                 x->data == x->buffer->data;
    if (!dying || y->data || (y->flags & GR__BOUND)) return false;
    y->buffer = x->buffer;
    y->data = x->data;
    x->buffer = NULL;
    x->data = NULL;
    return true;
}

/* Takes over in[0]'s storage if nobody else will read it, else copies it. */
static bool inplace_output(gr_node *node)
{
    gr_tensor *x = node->in[0], *y = &node->out[0];
    if (gr__take_over(node)) return true;
    if (!gr__tensor_storage(y)) return false;
    gr_value v = gr__tensor_value(x);
    gr__pack(&v, y->data);
    return true;
}

static bool allocate_outputs(gr_node *node)
{
    int i = 0;
    if (node->op->flags & GR_OP_INPLACE) {
        if (!inplace_output(node)) return false;
        i = 1;
    }
    for (; i < node->n_out; i++)
        if (!gr__tensor_storage(&node->out[i])) return false;
    return true;
}

/* Float64 results of a converting call go to scratch first. */
static bool widen_outputs(gr_exec *e)
{
    for (int i = 0; i < e->n_out; i++) {
        gr_value *v = &e->out[i];
        if (v->dtype != GR_F32) continue;
        int64_t n = gr_shape_numel(v->shape);
        double *wide = gr_exec_scratch(e, (size_t)n * sizeof *wide + 1);
        if (!wide) return false;
        if (i == 0 && (e->op->flags & GR_OP_INPLACE))
            for (int64_t j = 0; j < n; j++) wide[j] = (double)((float *)v->data)[j];
        v->data = wide;
        v->dtype = GR_F64;
    }
    return true;
}

static void narrow_outputs(gr_node *node, const gr_exec *e)
{
    for (int i = 0; i < e->n_out; i++) {
        gr_tensor *y = &node->out[i];
        if (e->out[i].dtype == y->dtype) continue;
        const double *wide = e->out[i].data;
        float *narrow = y->data;
        for (int64_t j = 0, n = gr_shape_numel(y->shape); j < n; j++) narrow[j] = (float)wide[j];
    }
}

static bool call_kernel(gr_node *node, running *r, gr_value *in)
{
    gr_value out[GR_MAX_OUTPUTS];
    gr_dtype dtype = gr__kernel_dtype(node->in, node->n_in, (gr_dtype)node->out[0].dtype);
    bool convert = !node->op->forward[dtype];
    gr_exec e = {node->op, node->attrs, in, out, node->n_in, node->n_out, r};
    for (int i = 0; i < node->n_in; i++) {
        in[i] = gr__tensor_value(node->in[i]);
        if (i == 0 && (node->op->flags & GR_OP_INPLACE)) continue;
        if (!node->in[i]->strides && !convert) continue; /* as the kernel wants it */
        if (!prepare(&e, &in[i], convert)) return out_of_memory(node);
    }
    if (!allocate_outputs(node)) return out_of_memory(node);
    for (int i = 0; i < node->n_out; i++) out[i] = gr__tensor_value(&node->out[i]);
    if (convert && !widen_outputs(&e)) return out_of_memory(node);
    gr_graph *g = node->out[0].graph;
    gr_status status = node->op->forward[convert ? GR_F64 : dtype](&e);
    if (status && !g->status)
        gr__fail_at(g, status, node->site, "%s: %s", node->op->name,
                    status == GR_ERR_MEMORY ? "out of memory" : "its kernel failed");
    if (status) return false;
    if (convert) narrow_outputs(node, &e);
    return true;
}

static bool run_kernel(gr_node *node)
{
    running r = {node, NULL};
    gr_value few[FEW], *in = few;
    if (node->n_in > FEW) {
        gr_exec asking = {.internal = &r};
        in = gr_exec_scratch(&asking, (size_t)node->n_in * sizeof *in);
    }
    bool done = in ? call_kernel(node, &r, in) : out_of_memory(node);
    free_scratch(&r);
    return done;
}

/* --- observers --- */

static bool has_values(const gr_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (!node->in[i]->data) return false; /* an output took its memory over */
    for (int i = 0; i < node->n_out; i++)
        if (!node->out[i].data) return false;
    return true;
}

static bool observed_value(gr_exec *e, gr_tensor *t, gr_value *v)
{
    *v = gr__tensor_value(t);
    return prepare(e, v, false);
}

/* Shows the observer what the node read and made, unless an input was overwritten. False: memory is
 * out. */
static bool observe(gr_node *node)
{
    gr_graph *g = node->out[0].graph;
    running r = {node, NULL};
    gr_value in[FEW], out[GR_MAX_OUTPUTS];
    const gr_op plain = {.name = node->op->name}; /* without GR_OP_STRIDED: row-major */
    gr_exec e = {&plain,      node->attrs, in, out, node->n_in < FEW ? node->n_in : FEW,
                 node->n_out, &r};
    bool fine = true;
    if (!has_values(node)) return true;
    for (int i = 0; fine && i < e.n_in; i++) fine = observed_value(&e, node->in[i], &in[i]);
    for (int i = 0; fine && i < e.n_out; i++) fine = observed_value(&e, &node->out[i], &out[i]);
    e.op = node->op;
    if (fine) g->observer(g->observer_user, node, &e);
    free_scratch(&r);
    return fine || out_of_memory(node);
}

/* --- one node --- */

bool gr__param_current(gr_tensor *t)
{
    const gr_tensor *leaf = t;
    while (leaf->node->n_in) leaf = leaf->node->in[0];
    const gr__leaf_attrs *a = leaf->node->attrs;
    if (a->version == a->param->version) return true;
    gr__fail_at(t->graph, GR_ERR_STATE, leaf->node->site,
                "parameter '%s' was updated after this tensor was recorded and before a value that "
                "needs it was computed; read the value or gr_keep() it before the update",
                a->param->name);
    return false;
}

static bool run_op(gr_node *node)
{
    const gr_op *op = node->op;
    if (op->view) return run_view(node);
    if (!gr__is_elementwise(op)) return run_kernel(node);
    return gr__run_elementwise(node) || out_of_memory(node);
}

/* --- watched --- */

static bool compute(gr_node *node)
{
    return node->out[0].graph->tracer ? gr__run_traced(node, run_op) : run_op(node);
}

/* The same, watched; see guard.c. */
static bool compute_guarded(gr_node *node)
{
    gr_graph *g = node->out[0].graph;
    uint64_t *before = gr__arena_alloc(&g->nodes, (size_t)node->n_in * sizeof *before);
    bool inplace = node->op->flags & GR_OP_INPLACE;
    if (!before) return out_of_memory(node);
    for (int i = 0; i < node->n_in; i++) before[i] = gr__guard_hash(node->in[i]);
    for (int i = inplace ? 1 : 0; i < node->n_out; i++) {
        if (!gr__tensor_storage(&node->out[i])) return out_of_memory(node);
        gr__guard_fill(&node->out[i]);
    }
    return compute(node) && gr__guard_verdict(node, before);
}

bool gr__params_current(gr_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if ((node->in[i]->flags & GR__PARAM) && !gr__param_current(node->in[i])) return false;
    return true;
}

bool gr__run_failed(gr_node *node)
{
    if (!node->out[0].graph->status) out_of_memory(node);
    gr__scope_blame(node);
    return false;
}

static bool run_watched(gr_node *node)
{
    gr_graph *g = node->out[0].graph;
    bool done = gr__params_current(node) &&
                (g->guarded && !node->op->view ? compute_guarded(node) : compute(node));
    if (done && g->observer) done = observe(node);
    if (!done) return gr__run_failed(node);
    return !g->anomaly || gr__anomaly_verdict(node);
}

void gr__run_watch(gr_graph *g)
{
    g->single = g->guarded || g->observer || g->tracer;
    g->watched = g->single || g->anomaly;
}

bool gr__run_known(gr_node *node, unsigned flags)
{
    if (node->out[0].graph->watched) return run_watched(node);
    const bool reads = (flags & GR__PARAM) &&
                       !node->op->view; /* else who reads the view will look */
    return ((!reads || gr__params_current(node)) && run_op(node)) || gr__run_failed(node);
}

bool gr__run(gr_node *node)
{
    return gr__run_known(node, GR__PARAM);
}
