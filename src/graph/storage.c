/* storage.c - where the values of tensors lie. */
/* SPDX-License-Identifier: MIT */
#include "strided.h"
#include "tape.h"

#include <string.h>

static gr__arena *arena_of(const gr_tensor *t)
{
    gr_graph *g = t->graph;
    return g->n_scratches ? gr__scratch_arena(t) : &g->nodes;
}

/* Memory for a value that does not fit into its tensor: small ones in the arena. */
static void *allocate(const gr_tensor *t, size_t bytes, gr__buffer **buffer)
{
    gr_graph *g = t->graph;
    size_t room = g->guarded ? bytes + 2 * GR__GUARD : bytes;
    void *data = NULL;
    *buffer = NULL;
    if (bytes <= GR__SMALL) {
        data = gr__arena_alloc(arena_of(t), room);
    } else if ((*buffer = gr__pool_get(&g->pool, room))) {
        data = (*buffer)->data;
        g->buffers_held++;
    }
    return data && g->guarded ? gr__guard_prepare(data, bytes) : data;
}

static size_t bytes_of(const gr_tensor *t)
{
    return (size_t)t->numel * gr__dtype_bytes[t->dtype];
}

bool gr__tensor_allocate(gr_tensor *t)
{
    size_t bytes = bytes_of(t);
    if (t->flags & GR__BOUND) t->data = t->scalar.target;
    else if (bytes <= sizeof t->scalar && !t->graph->guarded) t->data = &t->scalar;
    else t->data = allocate(t, bytes, &t->buffer);
    return t->data != NULL;
}

bool gr__tensor_pack(gr_tensor *t)
{
    gr_value v = gr__tensor_value(t);
    gr__buffer *buffer;
    void *data = allocate(t, bytes_of(t), &buffer);
    if (!data) return false;
    gr__pack(&v, data);
    t->data = data;
    t->buffer = buffer;
    t->strides = NULL;
    t->flags &= (uint8_t)~GR__PARAM;
    return true;
}

bool gr__tensor_repack(gr_tensor *t)
{
    gr_tensor packed = *t;
    if (!gr__tensor_pack(&packed)) return false;
    gr__tensor_drop(t);
    *t = packed;
    return true;
}

void gr__tensor_drop(gr_tensor *t)
{
    if (t->buffer) {
        gr__buffer_unref(t->buffer);
        t->graph->buffers_held--;
    }
    t->buffer = NULL;
    t->data = NULL;
}

static bool row_major(const gr_shape *shape, const int64_t *strides)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (shape->dim[i] == 0) return true;
        if (shape->dim[i] != 1 && strides[i] != step) return false;
        step *= shape->dim[i];
    }
    return true;
}

bool gr__tensor_contiguous(const gr_tensor *t)
{
    return !t->strides || row_major(t->shape, t->strides);
}

bool gr__tensor_set_strides(gr_tensor *t, const int64_t *strides)
{
    size_t bytes = (size_t)t->shape->rank * sizeof *strides;
    if (!t->strides && row_major(t->shape, strides)) return true;
    if (!t->strides) t->strides = gr__arena_alloc(arena_of(t), bytes);
    if (t->strides) memcpy(t->strides, strides, bytes);
    return t->strides != NULL;
}

void gr__set_scalar(void *data, gr_dtype dtype, double value)
{
    switch (dtype) {
    case GR_F32: *(float *)data = (float)value; break;
    case GR_F64: *(double *)data = value; break;
    case GR_I64: *(int64_t *)data = (int64_t)value; break;
    case GR_U8: *(uint8_t *)data = (uint8_t)value; break;
    case GR_BOOL: *(uint8_t *)data = value != 0; break;
    case GR_DTYPES: break;
    }
}

double gr__get_scalar(const void *data, gr_dtype dtype)
{
    switch (dtype) {
    case GR_F32: return *(const float *)data;
    case GR_F64: return *(const double *)data;
    case GR_I64: return (double)*(const int64_t *)data;
    case GR_U8:
    case GR_BOOL: return *(const uint8_t *)data;
    case GR_DTYPES: break;
    }
    return 0;
}
