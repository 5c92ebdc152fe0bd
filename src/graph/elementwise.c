/* elementwise.c - running element-wise ops: their inputs come contiguous and of the kernel's dtype.
 *
 * Several nodes with as many elements run together (tiles.c): a piece goes through all of them
 * while it is in the cache, and a sum at the end of a chain takes it from there. What one of them
 * reads of another is that piece; only what is read later, or kept, is written to memory. The
 * kernels see the same numbers either way, so the bits are the same.
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"

/* --- what a node asks for --- */

/* Brings an array into a slot, once for all who read it. */
static int load(gr__tiles *t, const void *key, const gr__strided *from)
{
    for (int k = 0; k < t->n_loads; k++)
        if (t->load[k].key == key) return t->load[k].slot;
    gr__tile_load *l = &t->load[t->n_loads];
    l->from = *from;
    l->key = key;
    l->slot = GR__TILE_STEPS + t->n_loads++;
    l->uniform = from->rank == 1 && from->stride[0] == 0;
    return l->slot;
}

/* strides NULL: row-major, the common case, cheaply. */
static gr__tile_input input_from(gr__tiles *t, const void *key, const gr_value *x, bool convert)
{
    gr__tile_input in = {x->data, gr_dtype_size(x->dtype), -1, convert && x->dtype == GR_F32};
    if (!x->strides) return in;
    const gr__strided s = gr__strided_of(x);
    if (gr__strided_contiguous(&s)) return in;
    in.data = NULL;
    in.slot = load(t, key, &s);
    return in;
}

/* The value of x; of y if that has taken over x's storage. */
static gr_value value_of(const gr_tensor *x, const gr_tensor *y)
{
    if (!x->data) x = y;
    return (gr_value){(gr_dtype)x->dtype, x->shape, x->strides, x->data};
}

/* The node of the group that makes t; -1: none. */
static int step_of(const gr__group *group, const gr_tensor *t)
{
    for (int k = group->n - 1; k >= 0; k--)
        if (t->node == group->node[k]) return k;
    return -1;
}

static void watch(gr__tile_step *s, gr_tensor *y)
{
    s->finite = NULL;
    if (!y->graph->anomaly || !gr__is_float((gr_dtype)y->dtype)) return;
    s->finite = gr__kernels_for((gr_dtype)y->dtype)->finite;
    s->unfit = &y->unfit;
    y->unfit = 0;
}

static void describe_inputs(gr__tiles *t, gr__tile_step *s, const gr__group *group,
                            const gr_node *node, bool convert)
{
    s->n_in = node->n_in;
    for (int i = 0; i < node->n_in; i++) {
        const gr_tensor *x = node->in[i];
        int step = x->data ? -1 : step_of(group, x);
        const gr_value v = value_of(x, &node->out[0]);
        if (step < 0 || step >= t->n_steps) s->in[i] = input_from(t, x, &v, convert);
        else
            s->in[i] = (gr__tile_input){.slot = t->step[step].slot,
                                        .widened = convert && x->dtype == GR_F32};
    }
}

static void describe(gr__tiles *t, const gr__group *group, gr_node *node)
{
    gr__tile_step *s = &t->step[t->n_steps];
    gr_tensor *y = &node->out[0];
    gr_dtype dtype = gr__kernel_dtype(node->in, node->n_in, (gr_dtype)y->dtype);
    bool convert = !node->op->tile[dtype];
    s->f = node->op->tile[convert ? GR_F64 : dtype];
    s->attrs = node->attrs;
    s->narrowed = convert && y->dtype == GR_F32;
    s->size = gr_dtype_size((gr_dtype)y->dtype);
    s->y = y->data;
    s->stream = NULL;
    watch(s, y);
    describe_inputs(t, s, group, node, convert);
}

/* --- one node --- */

static const gr__group nobody;

/* In bytes, of what the node reads and makes. */
static int64_t largest_element(const gr_node *node)
{
    int64_t most = (int64_t)gr_dtype_size((gr_dtype)node->out[0].dtype);
    for (int i = 0; i < node->n_in; i++) {
        int64_t size = (int64_t)gr_dtype_size((gr_dtype)node->in[i]->dtype);
        if (size > most) most = size;
    }
    return most;
}

static void run_one(gr_node *node)
{
    gr__tiles t;
    t.n = node->out[0].numel;
    t.stream = NULL;
    t.n_steps = t.n_loads = 0;
    t.element = largest_element(node);
    describe(&t, &nobody, node);
    t.step[0].slot = -1;
    t.n_steps = 1;
    gr__tiles_run(&t);
}

/* Little values, as they lie: the kernel at once. False: not so. */
static bool run_little(const gr_node *node)
{
    const void *x[GR_MAX_TILE_INPUTS];
    const gr_tensor *y = &node->out[0];
    if (!(y->flags & GR__LITTLE)) return false;
    gr__tile_fn *f = node->op->tile[gr__kernel_dtype(node->in, node->n_in, (gr_dtype)y->dtype)];
    if (!f) return false;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i]->strides) return false;
        x[i] = node->in[i]->data ? node->in[i]->data : y->data; /* its storage was taken over */
    }
    gr_tile t = {y->numel, 0, x, y->data, node->attrs};
    f(&t);
    return true;
}

static bool storage(gr_node *node)
{
    if ((node->op->flags & GR_OP_INPLACE) && gr__take_over(node)) return true;
    return gr__tensor_storage(&node->out[0]);
}

bool gr__run_elementwise(gr_node *node)
{
    if (!storage(node)) return false;
    if (!run_little(node)) run_one(node);
    return true;
}

void gr__add_into(void *sum, const gr_value *x)
{
    const gr_value y = {x->dtype, x->shape, NULL, sum};
    gr__tiles t;
    t.n = gr_shape_numel(x->shape);
    t.stream = NULL;
    t.n_steps = 1;
    t.n_loads = 0;
    t.element = (int64_t)gr_dtype_size(x->dtype);
    t.step[0] = (gr__tile_step){
        .f = gr__acc_op.tile[x->dtype], .n_in = 2, .slot = -1, .y = sum, .size = (size_t)t.element};
    t.step[0].in[0] = input_from(&t, &y, &y, false);
    t.step[0].in[1] = input_from(&t, x, x, false);
    gr__tiles_run(&t);
}

/* --- several: taking nodes in --- */

static bool makes(const gr__group *group, const gr_tensor *t)
{
    return !t->data && step_of(group, t) >= 0;
}

static bool add(gr__group *group, gr_node *node)
{
    if (group->n == GR__TILE_STEPS) return false;
    group->node[group->n++] = node;
    return true;
}

/* Whether there is room for what has to be gathered. */
static bool note_load(gr__group *group, const gr_tensor *x)
{
    if (!x->strides) return true;
    for (int k = 0; k < group->n_loads; k++)
        if (group->loaded[k] == x) return true;
    if (group->n_loads == GR__TILE_LOADS) return false;
    group->loaded[group->n_loads++] = x;
    return true;
}

static bool add_elementwise(gr__group *group, gr_node *node)
{
    int64_t numel = gr_shape_numel(node->out[0].shape);
    if (group->n == 0) {
        group->numel = numel;
        group->n_loads = group->n_sums = 0;
    }
    if (numel != group->numel) return false;
    for (int i = 0; i < node->n_in; i++)
        if (!note_load(group, node->in[i])) return false;
    return add(group, node);
}

static bool stream_of(gr__stream *s, const gr_node *sum)
{
    const gr_tensor *x = sum->in[0];
    return gr__stream_of(s, (gr_dtype)x->dtype, x->shape,
                         sum->op->sums(sum->attrs, x->shape->rank));
}

/* A sum that nobody need wait for: its terms are being made here. */
static bool add_sum(gr__group *group, gr_node *node)
{
    const gr_tensor *x = node->in[0];
    gr__stream s;
    if (!gr__is_float((gr_dtype)x->dtype) || x->graph->anomaly || !makes(group, x)) return false;
    if (group->n_sums == GR__TILE_SUMS || !stream_of(&s, node)) return false;
    if (group->n_sums == 0) group->stream = s;
    if (s.unit != group->stream.unit || s.by_rows != group->stream.by_rows) return false;
    if (!add(group, node)) return false;
    group->n_sums++;
    return true;
}

bool gr__group_add(gr__group *group, gr_node *node)
{
    if (node->op->sums) return group->n && add_sum(group, node);
    if ((node->out[0].flags & GR__LITTLE) || !gr__is_elementwise(node->op)) return false;
    return add_elementwise(group, node);
}

/* --- several: running them --- */

/* The steps of a group while they are put together. */
typedef struct assembly {
    gr__tiles tiles;
    gr__stream stream[GR__TILE_SUMS];
    gr__buffer *partial[GR__TILE_SUMS];
    int n_sums;
    int last[GR__TILE_STEPS]; /* the last step that reads this one's result */
    uint32_t taken;           /* slots */
} assembly;

/* What is a step's no longer is the next one's. */
static void take_slot(assembly *a, int k)
{
    gr__tile_step *s = &a->tiles.step[k];
    s->slot = -1;
    if (!s->y && !s->stream) {
        s->slot = __builtin_ctz(~a->taken);
        a->taken |= 1u << s->slot;
    }
    for (int i = 0; i <= k; i++)
        if (a->last[i] == k && a->tiles.step[i].slot >= 0)
            a->taken &= ~(1u << a->tiles.step[i].slot);
}

static void find_last_reads(assembly *a, const gr__group *group)
{
    for (int k = 0; k < group->n; k++) {
        a->last[k] = k;
        for (int i = 0; i < group->node[k]->n_in; i++) {
            int step = step_of(group, group->node[k]->in[i]);
            if (step >= 0) a->last[step] = k;
        }
    }
}

/* False: out of memory. */
static bool describe_sum(assembly *a, const gr__group *group, gr_node *node)
{
    gr__tile_step *s = &a->tiles.step[a->tiles.n_steps];
    const gr_tensor *x = node->in[0];
    const gr_dtype dtype = (gr_dtype)x->dtype;
    gr__stream *stream = &a->stream[a->n_sums];
    stream_of(stream, node);
    gr__buffer *b = gr__pool_get(&x->graph->pool, gr__stream_bytes(stream, dtype));
    if (!b) return false;
    stream->partial = b->data;
    *s = (gr__tile_step){.stream = stream,
                         .sum = gr__kernels_for(dtype)->stream_sum,
                         .lanes = a->n_sums};
    a->partial[a->n_sums++] = b;
    a->tiles.stream = &a->stream[0];
    describe_inputs(&a->tiles, s, group, node, false);
    return true;
}

static bool assemble(assembly *a, const gr__group *group, gr_node **failed)
{
    a->tiles.n = group->numel;
    a->tiles.stream = NULL;
    a->tiles.n_steps = a->tiles.n_loads = a->n_sums = 0;
    a->tiles.element = 1;
    a->taken = 0;
    find_last_reads(a, group);
    for (int k = 0; k < group->n; k++) {
        gr_node *node = *failed = group->node[k];
        int64_t element = largest_element(node);
        if (element > a->tiles.element) a->tiles.element = element;
        if (!node->op->sums) describe(&a->tiles, group, node);
        else if (!describe_sum(a, group, node)) return false;
        take_slot(a, k);
        a->tiles.n_steps++;
    }
    return true;
}

/* Writes the sums. */
static void conclude(assembly *a, const gr__group *group)
{
    for (int k = 0; k < group->n; k++) {
        gr_tensor *y = &group->node[k]->out[0];
        const gr__stream *s = a->tiles.step[k].stream;
        if (s) gr__kernels_for((gr_dtype)y->dtype)->stream_end(s, y->data);
    }
}

/* Whether the group alone reads t in this plan, and nobody asked to keep it. */
static bool passes_on(const gr__group *group, const gr_tensor *t)
{
    const gr_graph *g = t->graph;
    int32_t reads = 0;
    if ((t->flags & (GR__KEEP | GR__BOUND)) || (!g->backward && (t->flags & GR__SAVED)))
        return false;
    for (int k = 0; k < group->n; k++)
        for (int i = 0; i < group->node[k]->n_in; i++) reads += group->node[k]->in[i] == t;
    return t->epoch == g->epoch && t->uses == reads;
}

bool gr__group_run(gr__group *group, gr_node **failed)
{
    assembly a;
    for (int k = 0; k < group->n; k++) {
        gr_node *node = *failed = group->node[k];
        if (!passes_on(group, &node->out[0]) && !storage(node)) return false;
    }
    bool fine = assemble(&a, group, failed);
    if (fine) gr__tiles_run(&a.tiles);
    if (fine) conclude(&a, group);
    for (int k = 0; k < a.n_sums; k++) gr__buffer_unref(a.partial[k]);
    return fine;
}

/* Ops are pure, and what a node has taken the memory of was read by it alone: so they can run
 * again. */
bool gr__group_show(const gr__group *group, int n, gr_node **failed)
{
    for (int k = 0; k < n; k++) {
        gr_node *node = *failed = group->node[k];
        if (node->out[0].data) continue;
        if (!gr__tensor_storage(&node->out[0])) return false;
        run_one(node);
    }
    return true;
}
