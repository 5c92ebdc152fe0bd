/* plot_op.c - the picture of an op's gradient check. */
/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <gradus/check.h>
#include <stdio.h>

typedef struct op_call {
    const gr_op *op;
    const gr_sample *sample;
} op_call;

static gr_tensor *record(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const op_call *c = user;
    gr_tensor *y[GR_MAX_OUTPUTS];
    (void)n;
    return gr__sample_record(g, c->op, c->sample, x, y) > 0 ? y[0] : NULL;
}

/* The first that is there to be computed and has a floating element. */
static const gr_sample *first_sample(const gr_op *op)
{
    for (const gr_sample *s = op->samples; s && s->name; s++)
        for (int i = 0; i < s->n_in && !s->error; i++)
            if (gr__sample_dtype(&s->in[i]) == GR_F64 && gr_shape_numel(&s->in[i].shape) > 0)
                return s;
    return NULL;
}

/* gr_gradcheck_plot of an op's first output, at values drawn for the first of its samples. */
gr_status gr_gradcheck_plot_op(const gr_op *op, uint64_t seed, const char *path)
{
    if (gr__need("gradient check", op, "op")) return GR_ERR_ARGUMENT;
    op_call c = {op, first_sample(op)};
    gr_check_input in[GR_SAMPLE_INPUTS] = {{0}};
    gr__arena arena = {0};
    bool drawn = true;
    char title[256];
    if (!c.sample)
        return gr__fail(GR_ERR_ARGUMENT, "gradient check: %s has nothing to differentiate",
                        op->name);
    for (int i = 0; i < c.sample->n_in; i++) {
        const gr_sample_input *s = &c.sample->in[i];
        uint64_t stream = gr__hash_join(seed, (uint64_t)i);
        in[i] = (gr_check_input){.dtype = gr__sample_dtype(s), .shape = s->shape};
        in[i].data = gr__sample_draw(s, gr_shape_numel(&s->shape), stream, &arena);
        drawn &= in[i].data != NULL;
    }
    snprintf(title, sizeof title, "%s%s%s: differences against the backward rule", op->name,
             op->formula ? ", " : "", op->formula ? op->formula : "");
    gr_status status = drawn ? gr_gradcheck_plot(record, &c, in, c.sample->n_in, title, seed, path)
                             : GR_ERR_MEMORY;
    gr__arena_release(&arena);
    return status;
}
