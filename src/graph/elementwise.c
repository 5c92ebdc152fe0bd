/* elementwise.c - running element-wise ops: pieces of their inputs, contiguous and of the kernel's
 * dtype, in chunks that the threads share.
 *
 * Several nodes with as many elements run together: a piece goes through all of them while it is in
 * the cache. What one of them reads of another is that piece; only what is read later, or kept, is
 * written to memory. The kernels see the same numbers either way, so the bits are the same.
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kernels.h"
#include "strided.h"

enum {
    TILE = 512,   /* elements of a piece that has to be gathered, converted, watched or passed on */
    GRAIN = 32768 /* elements that one thread takes at a time */
};

typedef void tile_fn(const gr_tile *t);

typedef struct tile_input {
    gr__strided s;
    int step;     /* the result of that earlier step; -1: memory, as s says */
    bool direct;  /* contiguous, of the kernel's dtype: no copy */
    bool widened; /* float32 read as float64 */
} tile_input;

/* One node. */
typedef struct tile_step {
    tile_fn *f;
    const void *attrs;
    int n_in;
    bool narrowed; /* float64 results stored as float32 */
    size_t y_size;
    char *y;                                  /* NULL: only later steps read it */
    bool (*finite)(const void *y, int64_t n); /* NULL: nobody asks */
    uint8_t *unfit;                           /* told of pieces that are not */
    tile_input in[GR_MAX_TILE_INPUTS];
} tile_step;

typedef struct tile_job {
    int n;
    bool whole; /* one step, all direct: no pieces */
    tile_step step[GR__GROUP];
} tile_job;

/* --- one piece --- */

/* What the steps make of a piece, where it has no place in memory. */
typedef double tile_results[GR__GROUP][TILE];

static const void *widen(const float *narrow, int64_t n, double *space)
{
    for (int64_t i = 0; i < n; i++) space[i] = (double)narrow[i];
    return space;
}

static const void *load(const tile_input *x, void *const *y, int64_t first, int64_t n,
                        double *space)
{
    if (x->step >= 0) return x->widened ? widen(y[x->step], n, space) : y[x->step];
    if (x->direct) return x->s.data + (size_t)first * x->s.size;
    if (!x->widened) {
        gr__strided_read(&x->s, first, n, space);
        return space;
    }
    float narrow[TILE];
    gr__strided_read(&x->s, first, n, narrow);
    return widen(narrow, n, space);
}

static void run_step(const tile_step *s, void *const *before, void *y, int64_t first, int64_t n)
{
    double space[GR_MAX_TILE_INPUTS][TILE], wide[TILE];
    const void *x[GR_MAX_TILE_INPUTS];
    for (int i = 0; i < s->n_in; i++) x[i] = load(&s->in[i], before, first, n, space[i]);
    gr_tile t = {n, first, x, s->narrowed ? wide : y, s->attrs};
    s->f(&t);
    for (int64_t i = 0; s->narrowed && i < n; i++) ((float *)y)[i] = (float)wide[i];
}

static void run_piece(const tile_job *job, int64_t first, int64_t n)
{
    tile_results space;
    void *y[GR__GROUP];
    for (int k = 0; k < job->n; k++) {
        const tile_step *s = &job->step[k];
        y[k] = s->y ? s->y + (size_t)first * s->y_size : (void *)space[k];
        run_step(s, y, y[k], first, n);
        if (s->finite && !s->finite(y[k], n)) __atomic_store_n(s->unfit, 1, __ATOMIC_RELAXED);
    }
}

static void run_whole(const tile_step *s, int64_t first, int64_t n)
{
    const void *x[GR_MAX_TILE_INPUTS];
    for (int i = 0; i < s->n_in; i++) x[i] = s->in[i].s.data + (size_t)first * s->in[i].s.size;
    gr_tile t = {n, first, x, s->y + (size_t)first * s->y_size, s->attrs};
    s->f(&t);
}

static void run_range(void *ctx, int64_t begin, int64_t end)
{
    const tile_job *job = ctx;
    if (job->whole) {
        run_whole(&job->step[0], begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i += TILE) run_piece(job, i, end - i < TILE ? end - i : TILE);
}

/* --- what a node asks for --- */

/* strides NULL: row-major, the common case, cheaply. */
static tile_input input_from(const gr_value *x, bool convert)
{
    tile_input in = {.step = -1, .widened = convert && x->dtype == GR_F32};
    if (x->strides) {
        in.s = gr__strided_of(x);
        in.direct = !in.widened && gr__strided_contiguous(&in.s);
        return in;
    }
    in.s.size = gr_dtype_size(x->dtype);
    in.s.data = x->data;
    in.direct = !in.widened;
    if (in.widened) in.s.rank = 1, in.s.dim[0] = INT64_MAX, in.s.stride[0] = 1;
    return in;
}

/* The value of x; of y if that has taken over x's storage. */
static gr_value value_of(const gr_tensor *x, const gr_tensor *y)
{
    if (!x->data) x = y;
    return (gr_value){(gr_dtype)x->dtype, x->shape, x->strides, x->data};
}

/* The step of the group that makes t; -1: none. */
static int step_of(const gr__group *group, const gr_tensor *t)
{
    for (int k = group->n - 1; k >= 0; k--)
        if (t->node == group->node[k]) return k;
    return -1;
}

static void watch(tile_step *s, gr_tensor *y)
{
    s->finite = NULL;
    if (!y->graph->anomaly || !gr__is_float((gr_dtype)y->dtype)) return;
    s->finite = gr__kernels_for((gr_dtype)y->dtype)->finite;
    s->unfit = &y->unfit;
    y->unfit = 0;
}

static void describe(tile_step *s, const gr__group *group, gr_node *node)
{
    gr_tensor *y = &node->out[0];
    gr_dtype dtype = gr__kernel_dtype(node->in, node->n_in, (gr_dtype)y->dtype);
    bool convert = !node->op->tile[dtype];
    s->f = node->op->tile[convert ? GR_F64 : dtype];
    s->attrs = node->attrs;
    s->n_in = node->n_in;
    s->narrowed = convert && y->dtype == GR_F32;
    s->y_size = gr_dtype_size((gr_dtype)y->dtype);
    s->y = y->data;
    watch(s, y);
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        int step = group->n > 1 ? step_of(group, x) : -1;
        gr_value v = value_of(x, y);
        if (step < 0) s->in[i] = input_from(&v, convert);
        else s->in[i] = (tile_input){.step = step, .widened = convert && x->dtype == GR_F32};
    }
}

static bool needs_pieces(const tile_step *s)
{
    for (int i = 0; i < s->n_in; i++)
        if (!s->in[i].direct) return true;
    return s->narrowed || s->finite;
}

static void run(const gr__group *group)
{
    tile_job job;
    job.n = group->n;
    for (int k = 0; k < group->n; k++) describe(&job.step[k], group, group->node[k]);
    job.whole = job.n == 1 && !needs_pieces(&job.step[0]);
    gr__parallel_for(group->numel, GRAIN, run_range, &job);
}

/* --- one node --- */

/* Little values, as they lie: the kernel at once. False: not so. */
static bool run_little(const gr_node *node)
{
    const void *x[GR_MAX_TILE_INPUTS];
    const gr_tensor *y = &node->out[0];
    if (!(y->flags & GR__LITTLE)) return false;
    tile_fn *f = node->op->tile[gr__kernel_dtype(node->in, node->n_in, (gr_dtype)y->dtype)];
    if (!f) return false;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i]->strides) return false;
        x[i] = node->in[i]->data;
    }
    gr_tile t = {gr_shape_numel(y->shape), 0, x, y->data, node->attrs};
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
    gr_tensor *y = &node->out[0];
    if (!storage(node)) return false;
    if (!run_little(node)) run(&(gr__group){1, gr_shape_numel(y->shape), {node}});
    return true;
}

void gr__add_into(void *sum, const gr_value *x)
{
    const gr_value y = {x->dtype, x->shape, NULL, sum};
    tile_job job;
    job.n = 1;
    job.step[0] = (tile_step){.f = gr__acc_op.tile[x->dtype],
                              .n_in = 2,
                              .y_size = gr_dtype_size(x->dtype),
                              .y = sum,
                              .in = {input_from(&y, false), input_from(x, false)}};
    job.whole = !needs_pieces(&job.step[0]);
    gr__parallel_for(gr_shape_numel(x->shape), GRAIN, run_range, &job);
}

/* --- several --- */

bool gr__group_add(gr__group *group, gr_node *node)
{
    const gr_tensor *y = &node->out[0];
    if ((y->flags & GR__LITTLE) || !gr__is_elementwise(node->op)) return false;
    int64_t numel = gr_shape_numel(y->shape);
    if (group->n == GR__GROUP || (group->n && numel != group->numel)) return false;
    group->numel = numel;
    group->node[group->n++] = node;
    return true;
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
    for (int k = 0; k < group->n; k++) {
        gr_tensor *y = &group->node[k]->out[0];
        if (passes_on(group, y) || storage(group->node[k])) continue;
        *failed = group->node[k];
        return false;
    }
    run(group);
    return true;
}

/* Ops are pure, and what a node has taken the memory of was read by it alone: so they can run
 * again. */
bool gr__group_show(const gr__group *group, int n, gr_node **failed)
{
    for (int k = 0; k < n; k++) {
        gr_node *node = *failed = group->node[k];
        if (node->out[0].data) continue;
        if (!gr__tensor_storage(&node->out[0])) return false;
        run(&(gr__group){1, group->numel, {node}});
    }
    return true;
}
