/* sample.c - values for the inputs of an op's samples. */
/* SPDX-License-Identifier: MIT */
#include "sample.h"
#include "function.h"

#include <math.h>

gr_dtype gr__sample_dtype(const gr_sample_input *in)
{
    return in->integer ? GR_I64 : in->boolean ? GR_BOOL : GR_F64;
}

void *gr__sample_draw(const gr_sample_input *in, int64_t n, uint64_t seed, gr__arena *arena)
{
    const bool bounded = in->low != 0 || in->high != 0;
    void *data = gr__arena_alloc(arena, (size_t)n * sizeof(double) + 1);
    if (!data) return NULL;
    if (!in->integer && !in->boolean)
        gr__draw_apart(seed, data, n, bounded ? in->low : -1, bounded ? in->high : 1);
    for (int64_t i = 0; i < n && (in->integer || in->boolean); i++) {
        double u = gr__random_uniform(seed, (uint64_t)i);
        if (in->boolean) ((uint8_t *)data)[i] = u < 0.5;
        else if (in->values) ((int64_t *)data)[i] = in->values[i % gr_shape_numel(&in->shape)];
        else ((int64_t *)data)[i] = (int64_t)floor(in->low + (in->high - in->low) * u);
    }
    return data;
}

int gr__sample_record(gr_graph *g, const gr_op *op, const gr_sample *s, gr_tensor *const *x,
                      gr_tensor **y)
{
    if (s->record) return s->record(op, s, x, y);
    gr_tensor *t = gr_apply(g, op, x, s->n_in, s->attrs);
    const int n = op->n_out ? op->n_out : 1;
    for (int i = 0; i < n; i++) y[i] = n > 1 ? gr_output(t, i) : t;
    return n;
}
