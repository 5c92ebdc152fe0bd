/* record.c - applying an op: check, broadcast, infer, append. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <string.h>

/* --- checks --- */

/* Whether the inputs need no closer look: live tensors of one graph without error. */
static bool all_live(const gr_graph *g, gr_tensor *const *in, int n)
{
    const gr_graph *own = n > 0 && in[0] ? in[0]->graph : NULL;
    if (!own || own->status || (g && g != own)) return false;
    for (int i = 0; i < n; i++)
        if (!in[i] || in[i]->graph != own || in[i]->generation != own->generation) return false;
    return true;
}

/* Whether a call of an element-wise op on live inputs needs no closer look: they are of one shape,
 * of one dtype that the op has a tile for. */
static bool is_plain(const gr_op *op, gr_tensor *const *in, int n, const void *attrs)
{
    if (op->infer || op->define || n != op->n_in || n > GR_MAX_TILE_INPUTS) return false;
    const gr_tensor *x = in[0];
    if (!op->tile[x->dtype] || (op->attrs_size && !attrs)) return false;
    for (int i = 1; i < n; i++) {
        const gr_tensor *t = in[i];
        if (t->dtype != x->dtype || (t->shape != x->shape && !gr__shape_alike(t->shape, x->shape)))
            return false;
    }
    return true;
}

/* The graph of the operands, or NULL with the reason in `problem`. */
static gr_graph *common_graph(gr_graph *g, gr_tensor *const *in, int n, const char **problem)
{
    for (int i = 0; i < n; i++) {
        if (!in[i]) {
            *problem = "an input is NULL";
            return g;
        }
        if (!in[i]->graph) continue; /* inert, of no graph */
        if (g && in[i]->graph != g) *problem = "the inputs belong to different graphs";
        if (!g) g = in[i]->graph;
        if (gr__is_stale(in[i]))
            *problem = "an input is stale: its graph was reset, or its scratch ended, after it was "
                       "recorded";
    }
    if (!g && !*problem) *problem = n ? NULL : "an op without inputs needs a graph";
    return g;
}

static bool any_nil(gr_tensor *const *in, int n)
{
    for (int i = 0; i < n; i++)
        if (gr__is_nil(in[i])) return true;
    return false;
}

static bool computes(const gr_op *op, gr_dtype dtype)
{
    if (op->view || op->define || op == &gr__leaf_op || op == &gr__fill_op) return true;
    if (op->tile[dtype] || op->forward[dtype]) return true;
    return dtype == GR_F32 && (op->tile[GR_F64] || op->forward[GR_F64]);
}

/* --- broadcasting --- */

typedef struct operands {
    gr_tensor *in[GR_MAX_TILE_INPUTS];
} operands;

/* Stretches the inputs of an element-wise op to their common shape. */
static bool broadcast(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, operands *o,
                      const void *site)
{
    gr_shape shape = *in[0]->shape;
    bool equal = true;
    for (int i = 1; i < n; i++) {
        gr_shape joined;
        if (gr_shape_equal(&shape, in[i]->shape)) continue;
        equal = false;
        if (!gr__shape_broadcast(&shape, in[i]->shape, &joined)) {
            char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: cannot broadcast %s with %s", op->name,
                        gr_shape_text(&shape, a), gr_shape_text(in[i]->shape, b));
            return false;
        }
        shape = joined;
    }
    for (int i = 0; i < n; i++) {
        o->in[i] = in[i];
        if (equal || gr_shape_equal(in[i]->shape, &shape)) continue;
        o->in[i] = gr__apply(g, &gr__expand_op, &in[i], 1, &shape, site);
        if (gr__is_nil(o->in[i])) return false;
    }
    return true;
}

/* --- appending --- */

static gr_tensor *out_of_memory(gr_graph *g, const gr_op *op, const void *site)
{
    return gr__fail_at(g, GR_ERR_MEMORY, site, "%s: out of memory while recording", op->name);
}

static gr_node *new_node(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, int n_out,
                         const void *attrs, size_t attrs_size)
{
    size_t head = sizeof(gr_node) + (size_t)n * sizeof(gr_tensor *);
    gr_node *node = gr__arena_alloc(&g->nodes, head + attrs_size);
    gr_tensor *out = gr__arena_alloc(&g->tensors, (size_t)n_out * sizeof *out);
    if (!node || !out) return NULL;
    *node = (gr_node){.op = op, .out = out, .n_in = n, .n_out = (uint8_t)n_out};
    for (int i = 0; i < n; i++) node->in[i] = in[i];
    if (attrs_size) node->attrs = memcpy((char *)node + head, attrs, attrs_size);
    return node;
}

/* Field by field: compilers clear a struct of this size by a slow instruction. */
static void init_output(gr_tensor *t, gr_graph *g, gr_node *node)
{
    t->graph = g;
    t->node = node;
    t->strides = NULL;
    t->data = NULL;
    t->buffer = NULL;
    t->cot = NULL;
    t->generation = g->generation;
    t->epoch = t->reach = 0;
    t->uses = t->consumers = 0;
    t->index = t->flags = t->unfit = 0;
}

static void set_kind(gr_tensor *t, gr_dtype dtype, int64_t numel)
{
    t->dtype = (uint8_t)dtype;
    t->numel = numel;
    t->flags = numel * gr__dtype_bytes[dtype] <= GR__SMALL ? GR__LITTLE : 0;
}

/* The output of an element-wise op whose inputs are all alike. */
static void set_alike(gr_graph *g, gr_node *node)
{
    const gr_tensor *x = node->in[0];
    gr_tensor *y = &node->out[0];
    init_output(y, g, node);
    y->shape = x->shape;
    y->numel = x->numel;
    y->dtype = x->dtype;
    y->flags = x->flags & GR__LITTLE;
}

static const gr_shape *new_layout(gr_graph *g, const gr_shape *shape)
{
    gr__layout *layout = gr__arena_alloc(&g->nodes, sizeof *layout);
    if (!layout) return NULL;
    layout->shape = *shape;
    gr__shape_strides(shape, layout->strides);
    return &layout->shape;
}

/* The input that has this shape, which then is shared; NULL: none of the first ones. */
static const gr_tensor *alike(const gr_node *node, const gr_shape *shape)
{
    enum { LOOKED_AT = 3 };
    for (int i = 0; i < node->n_in && i < LOOKED_AT; i++)
        if (gr__shape_alike(shape, node->in[i]->shape)) return node->in[i];
    return NULL;
}

/* By what the shape rule gave; false, with the error set: too large, or memory is out. */
static bool set_outputs(gr_graph *g, gr_node *node, const gr_infer *c, const void *site)
{
    for (int i = 0; i < node->n_out; i++) {
        gr_tensor *t = &node->out[i];
        const gr_tensor *like = alike(node, &c->shape[i]);
        int64_t numel = like ? like->numel : 0;
        if (!like && !gr__shape_fits(&c->shape[i], &numel)) {
            gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: the result would be too large",
                        node->op->name);
            return false;
        }
        init_output(t, g, node);
        t->index = (uint8_t)i;
        t->shape = like ? like->shape : new_layout(g, &c->shape[i]);
        if (!t->shape) {
            out_of_memory(g, node->op, site);
            return false;
        }
        set_kind(t, c->dtype[i], numel);
    }
    return true;
}

/* What this node's VJP will read has to outlive an evaluation before backward. `flags` are those of
 * the inputs. */
static void note_gradient(gr_graph *g, gr_node *node, unsigned flags)
{
    if (g->no_grad_depth) node->flags |= GR__NO_GRAD;
    if (!(flags & GR__GRAD) || (node->flags & GR__NO_GRAD) || (node->op->flags & GR_OP_CONSTANT))
        return;
    for (int i = 0; i < node->n_out; i++)
        if (gr__is_float((gr_dtype)node->out[i].dtype)) node->out[i].flags |= GR__GRAD;
    if (g->section) return; /* recorded again before its VJP reads anything */
    bool in_c = !node->op->vjp && node->op->backward[GR_F64]; /* may read anything */
    unsigned reads = in_c ? ~0u : node->op->reads;
    for (int i = 0; i < node->n_in && i < 16; i++)
        if (reads & GR_READS_IN(i)) node->in[i]->flags |= GR__SAVED;
    for (int i = 0; i < node->n_out; i++)
        if (reads & GR_READS_OUT(i)) node->out[i].flags |= GR__SAVED;
}

static void append(gr_graph *g, gr_node *node, const void *site)
{
    node->site = g->site ? g->site : site;
    if (g->origin) {
        node->flags |= GR__BACKWARD;
        node->origin = g->origin;
    } else {
        node->scope = g->scope;
    }
    node->id = g->n_nodes++;
    node->prev = g->last;
    if (g->last) g->last->next = node;
    else g->first = node;
    g->last = node;
}

/* Whether to compute a node now whose inputs are there: small, as are the inputs, or a view, or the
 * graph is eager. */
static bool due(const gr_graph *g, const gr_node *node, unsigned flags)
{
    if (g->eager || node->op->view) return true;
    for (int i = 0; i < node->n_out; i++) flags &= node->out[i].flags;
    return flags & GR__LITTLE;
}

/* --- applying --- */

/* What to return instead of recording, NULL where all is well; finds the graph. */
static gr_tensor *check_inputs(gr_graph **graph, const gr_op *op, gr_tensor *const *in, int n,
                               const void *site)
{
    const char *problem = NULL;
    gr_graph *g = *graph = common_graph(*graph, in, n, &problem);
    if (problem) return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s", op->name, problem);
    if (!g) return &gr__nil;
    return g->status || any_nil(in, n) ? &g->nil : NULL;
}

static gr_tensor *check_call(gr_graph *g, const gr_op *op, int n, const void *attrs,
                             const void *site)
{
    bool count_fits = op->n_in < 0 ? n >= 1 : n <= op->n_in && n >= op->n_in - op->optional;
    if (!count_fits)
        return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: expected %d inputs, got %d", op->name,
                           op->n_in, n);
    if (n == 0 && !op->infer && !op->define)
        return gr__fail_at(g, GR_ERR_ARGUMENT, site,
                           "%s: has no shape rule; use gr_from_data or gr_full", op->name);
    if (op->attrs_size && !attrs)
        return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: its attributes are missing", op->name);
    if (gr__is_elementwise(op) && n > GR_MAX_TILE_INPUTS)
        return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: more than %d inputs", op->name,
                           GR_MAX_TILE_INPUTS);
    return NULL;
}

/* Fills c by the op's shape rule, or checks that the inputs are alike where it has none. */
static bool infer(gr_graph *g, gr_infer *c, int n_out, const void *site)
{
    char message[400];
    const gr_op *op = c->op;
    message[0] = 0;
    c->message = message;
    for (int i = 0; i < n_out && c->n_in; i++) {
        c->shape[i] = *c->in[0]->shape;
        c->dtype[i] = (gr_dtype)c->in[0]->dtype;
    }
    gr_dtype dtype = gr__kernel_dtype(c->in, c->n_in, GR_F32);
    bool fits = op->infer ? op->infer(c) : gr__infer_same(c);
    if (fits && c->n_in && !computes(op, dtype))
        fits = gr_infer_fail(c, "not defined for %s", gr_dtype_name(dtype));
    if (!fits) gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s", op->name, message);
    return fits;
}

/* Appends the node and computes it if it is due. */
static gr_tensor *record(gr_graph *g, gr_node *node, const void *site)
{
    unsigned any = 0, all = GR__LITTLE; /* flags of the inputs */
    bool ready = true;
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        x->consumers++;
        any |= x->flags;
        all &= x->flags;
        ready &= x->data != NULL;
    }
    append(g, node, site);
    note_gradient(g, node, any);
    if (!ready || !due(g, node, all)) g->n_deferred++;
    else if (!gr__run_known(node, any)) return &g->nil;
    return &node->out[0];
}

static gr_tensor *apply_plain(const gr_op *op, gr_tensor *const *in, int n, const void *attrs,
                              const void *site)
{
    gr_graph *g = in[0]->graph;
    gr_node *node = new_node(g, op, in, n, 1, attrs, op->attrs_size);
    if (!node) return out_of_memory(g, op, site);
    set_alike(g, node);
    return record(g, node, site);
}

gr_tensor *gr__apply(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, const void *attrs,
                     const void *site)
{
    gr_tensor *failed = NULL;
    if (!all_live(g, in, n)) failed = check_inputs(&g, op, in, n, site);
    else if (is_plain(op, in, n, attrs)) return apply_plain(op, in, n, attrs, site);
    else g = in[0]->graph;
    if (!failed) failed = check_call(g, op, n, attrs, site);
    if (failed) return failed;
    if (op->define) {
        gr_site_begin(g, site);
        gr_tensor *y = op->define(in, n, attrs);
        gr_site_end(g);
        return y;
    }
    operands o;
    if (n > 1 && gr__is_elementwise(op)) {
        if (!broadcast(g, op, in, n, &o, site)) return &g->nil;
        in = o.in;
    }
    gr_infer c; /* large: only what is used is set */
    c.op = op;
    c.attrs = attrs;
    c.in = in;
    c.n_in = n;
    const int n_out = op->n_out ? op->n_out : 1;
    if (!infer(g, &c, n_out, site)) return &g->nil;
    gr_node *node = new_node(g, op, in, n, n_out, attrs, op->attrs_size);
    if (!node) return out_of_memory(g, op, site);
    return set_outputs(g, node, &c, site) ? record(g, node, site) : &g->nil;
}

gr_tensor *gr__leaf_laid_out(gr_graph *g, const gr_op *op, gr_dtype dtype, const gr__layout *layout,
                             int64_t numel, const void *attrs, size_t attrs_size, const void *site)
{
    if (g->status) return &g->nil;
    gr_node *node = new_node(g, op, NULL, 0, 1, attrs, attrs_size);
    gr__layout *own = node ? gr__arena_alloc(&g->nodes, sizeof *own) : NULL;
    if (!own) return out_of_memory(g, op, site);
    *own = *layout;
    gr_tensor *t = &node->out[0];
    init_output(t, g, node);
    t->shape = &own->shape;
    set_kind(t, dtype, numel);
    t->flags |= GR__KEEP;
    append(g, node, site);
    if (g->no_grad_depth) node->flags |= GR__NO_GRAD;
    return t;
}

gr_tensor *gr__leaf(gr_graph *g, const gr_op *op, gr_dtype dtype, const gr_shape *shape,
                    const void *attrs, size_t attrs_size, const void *site)
{
    if (g->status) return &g->nil;
    char text[GR_SHAPE_TEXT];
    int64_t numel;
    gr__layout layout;
    if ((unsigned)dtype >= GR_DTYPES || !gr__shape_fits(shape, &numel))
        return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s of %s is not a usable shape", op->name,
                           gr_shape_text(shape, text), gr_dtype_name(dtype));
    layout.shape = *shape;
    gr__shape_strides(shape, layout.strides);
    return gr__leaf_laid_out(g, op, dtype, &layout, numel, attrs, attrs_size, site);
}

/* What is wrong before anything is looked at closer, or NULL: gr_op_find gives NULL for a name that
 * there is not, and of an op of the user's, members may have been forgotten. */
static const char *flaw_of(const gr_op *op, gr_tensor *const *in, int n, const void *attrs)
{
    _Static_assert(GR_MAX_OUTPUTS == 4, "the text below says so");
    if (!op) return "the op is NULL";
    if (!op->name) return "the op has no name";
    if (!in && n > 0) return "the array of inputs is NULL";
    if (attrs && !op->attrs_size) return "it is given attributes, but its attrs_size is 0";
    if (op->n_out < 0 || op->n_out > GR_MAX_OUTPUTS) return "its n_out is not one of 0 to 4";
    if (op->n_out > 1 && gr__is_elementwise(op)) return "an element-wise op has one output";
    return NULL;
}

static gr_tensor *refuse(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n,
                         const char *flaw, const void *site)
{
    const char *problem = NULL;
    g = common_graph(g, in, in ? n : 0, &problem);
    return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: %s", op && op->name ? op->name : "gr_apply",
                       flaw);
}

/* Records op over n inputs and returns its output 0; the others are gr_output(t, 1), ...
 * g may be NULL when there are inputs: ops take their graph from their operands. attrs points to
 * the op's attributes struct, which is copied. Inputs of element-wise ops are broadcast.
 * Errors stick to the graph: no op, or one without a name, with an n_out that cannot be or attributes
 * of no size; another number of inputs, a foreign or stale input, shapes or dtypes that the op's rule
 * refuses, memory. */
gr_tensor *gr_apply(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, const void *attrs)
{
    const char *flaw = flaw_of(op, in, n, attrs);
    if (flaw) return refuse(g, op, in, n, flaw, GR_HERE);
    return gr__apply(g, op, in, n, attrs, GR_HERE);
}

gr_tensor *gr_output(gr_tensor *t, int index)
{
    if (gr__is_nil(t)) return t ? t : &gr__nil;
    if (gr__is_stale(t))
        return gr__fail_at(t->graph, GR_ERR_STATE, GR_HERE, "gr_output: the tensor is stale");
    if (index < 0 || index >= t->node->n_out)
        return gr__fail_at(t->graph, GR_ERR_ARGUMENT, GR_HERE,
                           "gr_output: %s has %d outputs, not %d", t->node->op->name,
                           t->node->n_out, index + 1);
    return &t->node->out[index];
}
