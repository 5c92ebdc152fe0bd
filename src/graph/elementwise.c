/* elementwise.c - running an element-wise op: pieces of its inputs, contiguous and of the kernel's
 * dtype, in chunks that the threads share. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "strided.h"
#include "tape.h"

enum {
    TILE = 512,   /* elements of a piece that has to be gathered or converted first */
    WATCHED = 2048, /* elements that are looked at while they are in cache */
    GRAIN = 32768  /* elements that one thread takes at a time */
};

typedef void tile_fn(const gr_tile *t);

typedef struct tile_input {
    gr__strided s;
    bool direct;  /* contiguous, of the kernel's dtype: no copy */
    bool widened; /* float32 read as float64 */
} tile_input;

typedef struct tile_job {
    tile_fn *f;
    const void *attrs;
    int n_in;
    bool all_direct, narrowed; /* narrowed: float64 results stored as float32 */
    size_t y_size;
    char *y;
    gr_tensor *watched; /* told of results that are not finite; NULL: nobody asks */
    tile_input in[GR_MAX_TILE_INPUTS];
} tile_job;

static const void *load(const tile_input *x, int64_t first, int64_t n, double *space)
{
    if (x->direct) return x->s.data + (size_t)first * x->s.size;
    if (!x->widened) {
        gr__strided_read(&x->s, first, n, space);
        return space;
    }
    float narrow[TILE];
    gr__strided_read(&x->s, first, n, narrow);
    for (int64_t i = 0; i < n; i++) space[i] = (double)narrow[i];
    return space;
}

static void run_tile(const tile_job *job, int64_t first, int64_t n)
{
    double space[GR_MAX_TILE_INPUTS][TILE], result[TILE];
    const void *x[GR_MAX_TILE_INPUTS];
    char *y = job->y + (size_t)first * job->y_size;
    for (int i = 0; i < job->n_in; i++) x[i] = load(&job->in[i], first, n, space[i]);
    gr_tile t = {n, first, x, job->narrowed ? (void *)result : y, job->attrs};
    job->f(&t);
    for (int64_t i = 0; job->narrowed && i < n; i++) ((float *)y)[i] = (float)result[i];
}

static void run_direct(const tile_job *job, int64_t first, int64_t n)
{
    const void *x[GR_MAX_TILE_INPUTS];
    for (int i = 0; i < job->n_in; i++) x[i] = job->in[i].s.data + (size_t)first * job->in[i].s.size;
    gr_tile t = {n, first, x, job->y + (size_t)first * job->y_size, job->attrs};
    job->f(&t);
}

static void run_tiles(void *ctx, int64_t begin, int64_t end)
{
    const tile_job *job = ctx;
    if (job->all_direct) {
        run_direct(job, begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i += TILE) run_tile(job, i, end - i < TILE ? end - i : TILE);
}

static void run_watched(void *ctx, int64_t begin, int64_t end)
{
    const tile_job *job = ctx;
    gr_dtype dtype = (gr_dtype)job->watched->dtype;
    for (int64_t i = begin; i < end; i += WATCHED) {
        int64_t n = end - i < WATCHED ? end - i : WATCHED;
        run_tiles(ctx, i, i + n);
        if (!gr__kernels_for(dtype)->finite(job->y + (size_t)i * job->y_size, n))
            __atomic_store_n(&job->watched->unfit, 1, __ATOMIC_RELAXED);
    }
}

/* Little values, as they lie: the kernel at once. False: not so. */
static bool run_little(const gr_node *node, tile_fn *f)
{
    const void *x[GR_MAX_TILE_INPUTS];
    const gr_tensor *y = &node->out[0];
    if (!(y->flags & GR__LITTLE)) return false;
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i]->strides) return false;
        x[i] = node->in[i]->data;
    }
    gr_tile t = {gr_shape_numel(y->shape), 0, x, y->data, node->attrs};
    f(&t);
    return true;
}

bool gr__run_elementwise(gr_node *node)
{
    gr_tensor *y = &node->out[0];
    gr_dtype dtype = gr__kernel_dtype(node->in, node->n_in, (gr_dtype)y->dtype);
    bool convert = !node->op->tile[dtype];
    if (!gr__tensor_storage(y)) return false;
    if (!convert && run_little(node, node->op->tile[dtype])) return true;
    tile_job job = {.f = node->op->tile[convert ? GR_F64 : dtype],
                    .attrs = node->attrs,
                    .n_in = node->n_in,
                    .all_direct = !convert,
                    .narrowed = convert && y->dtype == GR_F32,
                    .y_size = gr_dtype_size((gr_dtype)y->dtype)};
    job.y = y->data;
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        tile_input *in = &job.in[i];
        in->widened = convert && x->dtype == GR_F32;
        if (!x->strides) { /* the common case, cheaply */
            in->s.size = gr_dtype_size((gr_dtype)x->dtype);
            in->s.data = x->data;
            in->direct = !in->widened;
            if (in->widened) in->s.rank = 1, in->s.dim[0] = INT64_MAX, in->s.stride[0] = 1;
        } else {
            gr_value v = {(gr_dtype)x->dtype, x->shape, x->strides, x->data};
            in->s = gr__strided_of(&v);
            in->direct = !in->widened && gr__strided_contiguous(&in->s);
        }
        job.all_direct &= in->direct;
    }
    if (y->graph->anomaly && gr__is_float((gr_dtype)y->dtype)) {
        job.watched = y;
        y->unfit = 0;
    }
    gr__parallel_for(gr_shape_numel(y->shape), GRAIN, job.watched ? run_watched : run_tiles, &job);
    return true;
}
