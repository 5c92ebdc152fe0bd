/* pass.c - batches entering a graph, and passes over a data set without gradients. */
/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <string.h>

enum { BATCH = 256 };

/* --- recording --- */

static gr_shape batch_shape(int64_t n, const gr_shape *sample)
{
    gr_shape shape = {.rank = sample->rank + 1, .dim = {n}};
    memcpy(shape.dim + 1, sample->dim, (size_t)sample->rank * sizeof *shape.dim);
    return shape;
}

static gr_tensor *check_logits(gr_graph *g, gr_tensor *z, int64_t n, int classes)
{
    char text[GR_SHAPE_TEXT];
    const gr_shape *shape = gr_shape_of(z);
    if (gr_graph_status(g)) return z;
    if (shape->rank == 2 && shape->dim[0] == n && shape->dim[1] == classes) return z;
    return gr_fail(g, "the network gives %s, expected [%lld,%d]: one logit per class",
                   gr_shape_text(shape, text), (long long)n, classes);
}

gr__recorded gr__record_batch(gr_graph *g, gr_module *net, const gr_dataset *d, const gr_batch *b,
                              const void *site)
{
    gr__recorded r;
    gr_site_begin(g, site);
    gr_tensor *x = gr_borrow(g, GR_F32, batch_shape(b->n, &d->shape), b->x);
    r.target = gr_borrow(g, GR_I64, (gr_shape){1, {b->n}}, b->y);
    r.logits = check_logits(g, gr_forward(net, x), b->n, d->classes);
    gr_site_end(g);
    return r;
}

/* --- checks --- */

gr_status gr__check_dataset(const char *who, const gr_dataset *d)
{
    if (!d || d->n < 1)
        return gr__fail(GR_ERR_ARGUMENT, "%s: the data set is %s", who, d ? "empty" : "NULL");
    if (d->classes < 1)
        return gr__fail(GR_ERR_ARGUMENT, "%s: the data set '%s' has no classes", who, d->name);
    for (int64_t i = 0; d->y && i < d->n; i++)
        if (d->y[i] < 0 || d->y[i] >= d->classes)
            return gr__fail(GR_ERR_ARGUMENT, "%s: label %lld is %lld, expected 0 to %d", who,
                            (long long)i, (long long)d->y[i], d->classes - 1);
    return GR_OK;
}

/* --- a pass --- */

static gr_status visit_batches(gr_graph *g, gr_module *net, const gr_dataset *d, gr_loader *l,
                               const void *site, gr__visit_fn *visit, void *ctx)
{
    int64_t first = 0;
    for (gr_batch b; gr_next(l, &b); first += b.n) {
        gr_graph_reset(g);
        gr_no_grad_begin(g);
        gr__recorded r = gr__record_batch(g, net, d, &b, site);
        gr_status status = gr_graph_status(g) ? gr_graph_status(g) : visit(ctx, first, &b, r);
        if (status) return status;
    }
    return gr_loader_status(l);
}

gr_status gr__pass(gr_graph *g, gr_module *net, const gr_dataset *d, const void *site,
                   gr__visit_fn *visit, void *ctx)
{
    gr_model *model = gr_module_model(net);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = BATCH});
    if (!l) return GR_ERR_MEMORY;
    bool training = gr_model_training(model);
    gr_model_set_training(model, false);
    gr_status status = visit_batches(g, net, d, l, site, visit, ctx);
    gr_model_set_training(model, training);
    gr_loader_free(l);
    return status;
}
