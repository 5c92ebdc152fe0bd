/* reduce.c - how a reduction falls apart; the loops are in reduce_real.c. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "reduce.h"

enum { BLOCK = GR__REDUCTION_BLOCK };

/* Appends an axis, joined to the one before where memory continues. */
static void append(int64_t *dim, int64_t *stride, int *n, int64_t size, int64_t step)
{
    if (size == 1) return;
    if (*n && stride[*n - 1] == size * step) {
        dim[*n - 1] *= size;
        stride[*n - 1] = step;
    } else {
        dim[*n] = size;
        stride[(*n)++] = step;
    }
}

/* The cut depends on shapes alone, so that the bits do not depend on the threads. */
static void cut(gr__reduction *r)
{
    int64_t run = r->n_reduced ? r->reduced[r->n_reduced - 1] : 1;
    r->block = run < BLOCK ? run : BLOCK;
    r->blocks = run ? r->count / run * ((run + r->block - 1) / r->block) : 0;
    r->length = r->outputs >= 64 ? r->blocks : r->block ? BLOCK / r->block : 0;
    r->pieces = r->blocks ? (r->blocks + r->length - 1) / r->length : 1;
}

gr__reduction gr__reduction_of(const gr_value *x, unsigned axes)
{
    gr__reduction r = {.outputs = 1, .count = 1, .x = x->data};
    for (int i = 0; i < x->shape->rank; i++) {
        int64_t size = x->shape->dim[i], step = x->strides[i];
        if (axes & 1u << i) {
            append(r.reduced, r.reduced_stride, &r.n_reduced, size, step);
            r.count *= size;
        } else {
            append(r.kept, r.kept_stride, &r.n_kept, size, step);
            r.outputs *= size;
        }
    }
    cut(&r);
    return r;
}

int64_t gr__reduction_scratch(const gr__reduction *r)
{
    return r->outputs * r->pieces;
}

/* --- sums of what passes by --- */

/* The strides of the reduction are those of a row-major array, which is runs of kept and reduced
 * axes in turn. */
static bool sum_runs(gr__stream *s)
{
    const gr__reduction *r = &s->r;
    int64_t run = r->reduced[r->n_reduced - 1], all = r->outputs * r->count;
    bool even = run <= BLOCK || run % BLOCK == 0 || run == all; /* all units alike, save the last */
    if (r->reduced_stride[r->n_reduced - 1] != 1 || r->n_reduced > 2 || r->n_kept > 1) return false;
    s->unit = r->block;
    s->chunk = BLOCK / s->unit * s->unit;
    return even && run >= GR__SUM_LANES; /* else as much memory for partial sums as for the array */
}

static bool sum_rows(gr__stream *s)
{
    const gr__reduction *r = &s->r;
    if (r->n_reduced != 1 || r->n_kept != 1 || r->kept_stride[0] != 1) return false;
    s->by_rows = true;
    s->unit = GR__SUM_ROWS * r->outputs;
    s->chunk = s->unit < BLOCK ? BLOCK / s->unit * s->unit : s->unit;
    return r->outputs >= 8 && r->count >= 4 * GR__SUM_ROWS; /* enough chunks for the threads */
}

bool gr__stream_of(gr__stream *s, gr_dtype dtype, const gr_shape *x, unsigned axes)
{
    int64_t strides[GR_MAX_RANK];
    gr__shape_strides(x, strides);
    *s = (gr__stream){.r = gr__reduction_of(&(gr_value){dtype, x, strides, NULL}, axes)};
    if (s->r.n_reduced == 0 || s->r.count == 0 || s->r.outputs == 0) return false;
    return sum_runs(s) || sum_rows(s);
}

size_t gr__stream_bytes(const gr__stream *s, gr_dtype dtype)
{
    int64_t all = s->r.outputs * s->r.count, units = (all + s->unit - 1) / s->unit;
    if (s->by_rows) return (size_t)(units * s->r.outputs) * gr_dtype_size(dtype);
    return (size_t)units * sizeof(double);
}
