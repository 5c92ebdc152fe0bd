/* pass.c - batches entering a graph, what is measured of them, passes without gradients. */
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

static gr_tensor *borrow(gr_graph *g, gr_dtype dtype, gr_shape shape, const void *data)
{
    return data ? gr_borrow(g, dtype, shape, data) : NULL;
}

static gr_tensor *record_target(gr_graph *g, const gr_dataset *d, const gr_batch *b)
{
    const gr_shape samples = {1, {b->n}}, tokens = {2, {b->n, b->out.length}};
    if (b->out.ids) return borrow(g, GR_I64, tokens, b->out.ids);
    if (b->target) return borrow(g, GR_F32, batch_shape(b->n, &d->target_shape), b->target);
    return borrow(g, GR_I64, samples, b->y);
}

static int64_t count_tokens(const gr_batch *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < b->n; i++) n += b->out.lengths[i];
    return n;
}

gr__recorded gr__record_batch(gr_graph *g, gr_module *net, const gr_dataset *d, const gr_batch *b,
                              const void *site)
{
    const gr_shape samples = {1, {b->n}}, tokens = {2, {b->n, b->out.length}};
    const bool rows = b->out.ids != NULL;
    gr__recorded r = {.count = (double)(rows ? count_tokens(b) : b->n)};
    gr_site_begin(g, site);
    gr_tensor *x = b->in.ids ? borrow(g, GR_I64, (gr_shape){2, {b->n, b->in.length}}, b->in.ids)
                             : gr_borrow(g, GR_F32, batch_shape(b->n, &d->shape), b->x);
    r.target = record_target(g, d, b);
    r.soft = borrow(g, GR_F32, (gr_shape){2, {b->n, d->classes}}, b->soft);
    if (!rows) r.weight = borrow(g, GR_F32, samples, b->weight);
    else if (r.count < (double)gr_shape_numel(&tokens))
        r.weight = borrow(g, GR_F32, tokens, b->out.mask);
    r.output = gr_forward(net, x);
    gr_site_end(g);
    return r;
}

/* --- measuring --- */

gr_status gr__check_measures(const char *who, gr__measures *m)
{
    m->n_metrics = 0;
    while (m->metrics && m->metrics[m->n_metrics].name) {
        if (m->n_metrics == GR_METRICS)
            return gr__fail(GR_ERR_ARGUMENT, "%s: more than %d metrics", who, GR_METRICS);
        if (!m->metrics[m->n_metrics].record)
            return gr__fail(GR_ERR_ARGUMENT, "%s: metric '%s' has no record function", who,
                            m->metrics[m->n_metrics].name);
        m->n_metrics++;
    }
    if (!(m->label_smoothing >= 0 && m->label_smoothing < 1))
        return gr__fail(GR_ERR_ARGUMENT, "%s: expected 0 <= label_smoothing < 1, got %g", who,
                        m->label_smoothing);
    return GR_OK;
}

/* Logits [n, classes] or, of tokens, [n, length, vocabulary]. */
static gr_tensor *check_logits(gr_tensor *z, const gr_tensor *target, int64_t classes)
{
    char text[GR_SHAPE_TEXT], expected[GR_SHAPE_TEXT];
    gr_graph *g = gr_graph_of(z);
    gr_shape shape = *gr_shape_of(target);
    if (!g || gr_graph_status(g) || shape.rank + 1 > GR_MAX_RANK) return z;
    shape.dim[shape.rank++] = classes;
    if (gr_shape_equal(&shape, gr_shape_of(z))) return z;
    return gr_fail(g, "the network gives %s, expected %s: one logit per class",
                   gr_shape_text(gr_shape_of(z), text), gr_shape_text(&shape, expected));
}

static int64_t classes_of(const gr_dataset *d)
{
    return d->out ? d->out->vocabulary : d->classes;
}

/* sum(w l) over what counts: where weights are of samples, their mean is that of all samples. */
static gr_tensor *weighted_mean(gr_tensor *losses, gr__recorded r)
{
    gr_tensor *weight = gr_reshape(r.weight, *gr_shape_of(losses));
    return gr_scale(gr_sum_all(gr_mul(losses, weight)), 1 / r.count);
}

static gr_tensor *record_cross_entropy(const gr__measures *m, gr__recorded r, int64_t classes)
{
    gr_tensor *z = check_logits(r.output, r.target, classes), *t = r.soft ? r.soft : r.target;
    if (gr_graph_status(gr_graph_of(r.target))) return z;
    if (gr_shape_of(z)->rank > 2) {
        z = gr_reshape(z, (gr_shape){2, {-1, classes}});
        t = gr_reshape(t, (gr_shape){1, {-1}});
    }
    gr_cross_entropy_options o = {.label_smoothing = m->label_smoothing,
                                  .reduction = r.weight ? GR_REDUCTION_NONE : GR_REDUCTION_MEAN};
    gr_tensor *loss = gr_cross_entropy_loss(z, t, NULL, o);
    return r.weight ? weighted_mean(loss, r) : loss;
}

static gr_tensor *record_loss(const gr__measures *m, gr__recorded r, const gr_dataset *d)
{
    if (m->loss) return m->loss(r.output, r.target);
    if (gr_dtype_of(r.target) == GR_F32) return gr_mse(r.output, r.target);
    return record_cross_entropy(m, r, classes_of(d));
}

/* What a function of the user's gave, in the graph of the batch. */
static gr_tensor *check_mean(gr_graph *g, const char *what, gr_tensor *t)
{
    char text[GR_SHAPE_TEXT];
    if (gr_graph_status(g)) return t;
    if (gr_graph_of(t) != g)
        return gr_fail(g, "the function of %s gave %s", what,
                       t ? "a tensor that is not of this graph" : "NULL");
    if (gr_numel(t) == 1) return t;
    return gr_fail(g, "%s is %s, expected one number: the mean over the batch", what,
                   gr_shape_text(gr_shape_of(t), text));
}

/* How many classes, or tokens that are no padding, have the largest logit; NULL: there are none. */
static gr_tensor *record_hits(gr__recorded r, int64_t classes)
{
    const gr_shape *z = gr_shape_of(r.output), *t = gr_shape_of(r.target);
    int axis = z->rank - 1;
    if (gr_dtype_of(r.target) != GR_I64 || axis != t->rank || z->dim[axis] != classes) return NULL;
    gr_tensor *hits = gr_equal(gr_argmax(r.output, axis), r.target);
    if (!r.weight || t->rank == 1) return gr_sum_all(hits);
    return gr_sum_all(gr_mul(gr_cast(hits, GR_F32), r.weight));
}

gr__measured gr__record_measures(const gr__measures *m, const gr_dataset *d, gr__recorded r,
                                 const void *site)
{
    gr_graph *g = gr_graph_of(r.target);
    gr__measured y = {.hits = NULL};
    gr_site_begin(g, site);
    y.loss = check_mean(g, "the loss", record_loss(m, r, d));
    if (!gr_graph_status(g)) y.hits = record_hits(r, classes_of(d));
    for (int i = 0; i < m->n_metrics; i++)
        y.metric[i] = check_mean(g, m->metrics[i].name,
                                 m->metrics[i].record(&m->metrics[i], r.output, r.target));
    gr_site_end(g);
    return y;
}

/* --- checks --- */

gr_status gr__check_samples(const char *who, const gr_dataset *d)
{
    if (!d || d->n < 1)
        return gr__fail(GR_ERR_ARGUMENT, "%s: the data set is %s", who, d ? "empty" : "NULL");
    for (int64_t i = 0; d->y && d->classes > 0 && i < d->n; i++)
        if (d->y[i] < 0 || d->y[i] >= d->classes)
            return gr__fail(GR_ERR_ARGUMENT, "%s: label %lld is %lld, expected 0 to %d", who,
                            (long long)i, (long long)d->y[i], d->classes - 1);
    return GR_OK;
}

gr_status gr__check_dataset(const char *who, const gr_dataset *d)
{
    gr_status status = gr__check_samples(who, d);
    if (status || d->classes > 0 || d->has_target || d->out) return status;
    return gr__fail(GR_ERR_ARGUMENT,
                    "%s: the data set '%s' has no classes, targets or tokens to be learned", who,
                    d->name);
}

/* --- a pass --- */

gr_loader *gr__pass_loader(const gr_dataset *d)
{
    return gr_loader_new(d, (gr_loader_options){.batch = BATCH});
}

gr_status gr__pass(gr_graph *g, gr_module *net, const gr_dataset *d, gr_loader *loader,
                   const void *site, gr__visit_fn *visit, void *ctx)
{
    gr_model *model = gr_module_model(net);
    bool training = gr_model_training(model);
    gr_status status = GR_OK;
    int64_t first = 0;
    gr_model_set_training(model, false);
    for (gr_batch b; !status && gr_next(loader, &b); first += b.n) {
        gr_graph_reset(g);
        gr_no_grad_begin(g);
        gr__recorded r = gr__record_batch(g, net, d, &b, site);
        gr_site_begin(g, site);
        status = gr_graph_status(g) ? gr_graph_status(g) : visit(ctx, first, &b, r);
        gr_site_end(g);
    }
    gr_model_set_training(model, training);
    return status ? status : gr_loader_status(loader);
}
