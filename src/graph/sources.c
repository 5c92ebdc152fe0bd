/* sources.c - where values come from: data, constants, parameters. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <string.h>

/* --- data --- */

static gr_tensor *data_leaf(gr_graph *g, gr_dtype dtype, const gr_shape *shape, const void *data,
                            const char *name, const void *site)
{
    char text[GR_SHAPE_TEXT];
    if (gr__need(name, g, "graph")) return &gr__nil;
    if (!data && gr__shape_valid(shape) && gr_shape_numel(shape) > 0)
        return gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: data is NULL for a tensor of %s", name,
                           gr_shape_text(shape, text));
    const gr__leaf_attrs attrs = {NULL, 0, NULL};
    return gr__leaf(g, &gr__leaf_op, dtype, shape, &attrs, sizeof attrs, site);
}

/* A tensor that holds a copy of `data`: row-major, shape's number of elements, of dtype. */
gr_tensor *gr_from_data(gr_graph *g, gr_dtype dtype, gr_shape shape, const void *data)
{
    gr_tensor *t = data_leaf(g, dtype, &shape, data, "gr_from_data", GR_HERE);
    if (gr__is_nil(t)) return t;
    if (!gr__tensor_storage(t))
        return gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "gr_from_data: out of memory");
    if (data) memcpy(t->data, data, (size_t)gr_numel(t) * gr_dtype_size(dtype));
    return t;
}

/* As gr_from_data without the copy: `data` must stay and not change until the graph's reset. */
gr_tensor *gr_borrow(gr_graph *g, gr_dtype dtype, gr_shape shape, const void *data)
{
    gr_tensor *t = data_leaf(g, dtype, &shape, data, "gr_borrow", GR_HERE);
    if (!gr__is_nil(t)) t->data = data ? (void *)(uintptr_t)data : &t->scalar;
    return t;
}

/* --- constants --- */

gr_tensor *gr__fill(gr_graph *g, gr_dtype dtype, const gr_shape *shape, double value,
                    const void *site)
{
    if (gr__need("fill", g, "graph")) return &gr__nil;
    gr_tensor *t = gr__leaf(g, &gr__fill_op, dtype, shape, &value, sizeof value, site);
    if (gr__is_nil(t)) return t;
    gr__set_scalar(&t->scalar, dtype, value);
    t->data = &t->scalar;
    const int64_t strides[GR_MAX_RANK] = {0};
    if (!gr__tensor_set_strides(t, strides))
        return gr__fail_at(g, GR_ERR_MEMORY, site, "fill: out of memory");
    return t;
}

/* All elements equal `value`; takes the storage of one element. */
gr_tensor *gr_full(gr_graph *g, gr_dtype dtype, gr_shape shape, double value)
{
    return gr__fill(g, dtype, &shape, value, GR_HERE);
}

gr_tensor *gr_zeros(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return gr__fill(g, dtype, &shape, 0, GR_HERE);
}

gr_tensor *gr_ones(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return gr__fill(g, dtype, &shape, 1, GR_HERE);
}

gr_tensor *gr_scalar(gr_graph *g, gr_dtype dtype, double value)
{
    gr_shape shape = {0, {0}};
    return gr__fill(g, dtype, &shape, value, GR_HERE);
}

/* --- parameters in use --- */

/* The slot of p in the table of uses, free or taken; the table, 2^n slots, has a free one. */
static int slot_of(const gr_graph *g, const gr_param *p)
{
    const int last = g->cap_uses - 1;
    int i = (int)gr__hash64((uint64_t)(uintptr_t)p) & last;
    while (g->uses[i].param && g->uses[i].param != p) i = (i + 1) & last;
    return i;
}

void gr__forget_use(gr_graph *g, const gr_node *leaf)
{
    int i = slot_of(g, gr__leaf_of(leaf)->param);
    if (g->uses[i].tensor == &leaf->out[0]) g->uses[i].tensor = NULL;
}

/* Empties the slot; what would no longer be found behind it moves up. */
static void remove_use(gr_graph *g, int hole)
{
    const int last = g->cap_uses - 1;
    gr_param_release(g->uses[hole].param);
    g->n_uses--;
    g->uses[hole].param = NULL;
    for (int i = (hole + 1) & last; g->uses[i].param; i = (i + 1) & last) {
        const gr__use moved = g->uses[i];
        g->uses[i].param = NULL;
        g->uses[slot_of(g, moved.param)] = moved;
    }
}

void gr__uses_reset(gr_graph *g)
{
    for (int i = 0; i < g->cap_uses && g->n_uses > g->n_current; i++)
        while (g->uses[i].param && g->uses[i].generation != g->generation) remove_use(g, i);
    g->n_current = 0;
}

void gr__uses_release(gr_graph *g)
{
    for (int i = 0; i < g->cap_uses; i++) gr_param_release(g->uses[i].param);
    gr__free(g->uses);
}

/* --- parameters --- */

static bool room_for_use(gr_graph *g)
{
    if (2 * (g->n_uses + 1) <= g->cap_uses) return true;
    gr_graph old = *g;
    int cap = old.cap_uses ? 2 * old.cap_uses : 64;
    void *table = gr__calloc((size_t)cap * sizeof *g->uses);
    if (!table) return false;
    g->uses = table;
    g->cap_uses = cap;
    for (int i = 0; i < old.cap_uses; i++)
        if (old.uses[i].param) g->uses[slot_of(g, old.uses[i].param)] = old.uses[i];
    gr__free(old.uses);
    return true;
}

static gr_tensor *param_leaf(gr_graph *g, gr_param *p, const void *site)
{
    const gr__leaf_attrs attrs = {p, p->version, g->params};
    gr_tensor *t = gr__leaf_laid_out(g, &gr__leaf_op, p->dtype, &p->layout, p->numel, &attrs,
                                     sizeof attrs, site);
    if (gr__is_nil(t)) return t;
    g->params = t->node;
    t->data = p->data;
    t->flags |= GR__PARAM;
    if (!p->frozen && gr__is_float(p->dtype) && !g->no_grad_depth) t->flags |= GR__GRAD;
    return t;
}

static void remember(gr_graph *g, gr__use *use, gr_param *p, gr_tensor *t)
{
    if (!use->param) {
        use->param = gr_param_retain(p);
        use->generation = 0;
        g->n_uses++;
    }
    g->n_current += use->generation != g->generation;
    use->generation = g->generation;
    use->tensor = t;
}

static bool usable_param(gr_graph *g, const gr_param *p, const char *name, const void *site)
{
    if (gr__need(name, g, "graph") || g->status) return false;
    if (!p || !p->data) {
        gr__fail_at(g, GR_ERR_ARGUMENT, site, "%s: the parameter is %s", name,
                    p ? "inert: its creation failed" : "NULL");
        return false;
    }
    if (!room_for_use(g)) {
        gr__fail_at(g, GR_ERR_MEMORY, site, "%s: out of memory", name);
        return false;
    }
    return true;
}

/* Brings a parameter into the graph: its values as they are now, the same tensor at each call
 * until the parameter changes. gr_backward adds its gradient into the parameter. */
gr_tensor *gr_use(gr_graph *g, gr_param *p)
{
    if (!usable_param(g, p, "gr_use", GR_HERE)) return g ? &g->nil : &gr__nil;
    gr__use *use = &g->uses[slot_of(g, p)];
    gr_tensor *known = use->param && use->generation == g->generation ? use->tensor : NULL;
    if (known) {
        bool leaf = known->node->op == &gr__leaf_op && gr_node_param(known->node) == p;
        bool current = !leaf || ((const gr__leaf_attrs *)known->node->attrs)->version == p->version;
        bool grad = !leaf || (known->flags & GR__GRAD) || g->no_grad_depth || p->frozen;
        if (current && grad) return known;
    }
    gr_tensor *t = param_leaf(g, p, GR_HERE);
    if (!gr__is_nil(t)) remember(g, use, p, t);
    return t;
}

/* Until the reset gr_use(g, p) gives t, which has p's shape and any floating dtype: how a model is
 * differentiated by something else than its own parameters, or checked in float64. Returns t. */
gr_tensor *gr_bind(gr_graph *g, gr_param *p, gr_tensor *t)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (!usable_param(g, p, "gr_bind", GR_HERE)) return g ? &g->nil : &gr__nil;
    if (!t) return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "gr_bind: the tensor is NULL");
    if (gr__is_nil(t)) return &g->nil;
    if (t->graph != g || gr__is_stale(t))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "gr_bind: the tensor is not of this graph");
    if (g->n_scratches && t->node->id >= g->scratches[0].first_id)
        return gr__fail_at(g, GR_ERR_STATE, GR_HERE,
                           "gr_bind: the tensor is of a scratch, which "
                           "ends before the binding does; record it before the scratch");
    if (!gr_shape_equal(t->shape, &p->shape))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE,
                           "gr_bind: parameter '%s' is %s, the tensor %s", p->name,
                           gr_shape_text(&p->shape, a), gr_shape_text(t->shape, b));
    remember(g, &g->uses[slot_of(g, p)], p, t);
    return t;
}
