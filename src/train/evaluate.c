/* evaluate.c - how good a network is, and what it says. */
/* SPDX-License-Identifier: MIT */
#include "evaluate.h"

#include <math.h>
#include <string.h>

/* --- evaluation --- */

typedef struct tally {
    const gr__measures *measures;
    const gr_dataset *data;
    const void *site;
    double loss, hits, metric[GR_METRICS], count; /* sums, and what they are over */
    int64_t *confusion;
} tally;

static gr_status count_confusion(const tally *t, const gr_batch *b, gr__recorded r)
{
    gr_tensor *chosen = gr_argmax(r.output, 1);
    const int64_t *predicted = gr_data(chosen);
    if (!predicted) return gr_graph_status(gr_graph_of(r.output));
    for (int64_t i = 0; i < b->n; i++) t->confusion[b->y[i] * t->data->classes + predicted[i]]++;
    return GR_OK;
}

static gr_status count_batch(void *ctx, int64_t first, const gr_batch *b, gr__recorded r)
{
    (void)first;
    tally *t = ctx;
    const gr__measures *m = t->measures;
    gr__measured y = gr__record_measures(m, t->data, r, t->site);
    gr_tensor *asked[2 + GR_METRICS] = {y.loss};
    int n = 1;
    if (y.hits) asked[n++] = y.hits;
    for (int i = 0; i < m->n_metrics; i++) asked[n++] = y.metric[i];
    gr_status status = gr_eval(asked, n);
    if (status) return status;
    t->count += r.count;
    t->loss += gr_item(y.loss) * r.count;
    t->hits += y.hits ? gr_item(y.hits) : NAN;
    for (int i = 0; i < m->n_metrics; i++) t->metric[i] += gr_item(y.metric[i]) * r.count;
    return t->confusion ? count_confusion(t, b, r) : GR_OK;
}

double gr__finish_metric(const gr__measures *m, int i, double mean)
{
    return m->metrics[i].finish ? m->metrics[i].finish(mean) : mean;
}

gr_status gr__evaluate_on(gr_graph *g, gr_module *net, const gr_dataset *d, gr_loader *loader,
                          const void *site, const gr__measures *m, gr_evaluation *e,
                          int64_t *confusion)
{
    tally t = {.measures = m, .data = d, .site = site, .confusion = confusion};
    if (confusion)
        memset(confusion, 0, (size_t)d->classes * (size_t)d->classes * sizeof *confusion);
    gr_status status = gr__pass(g, net, d, loader, site, count_batch, &t);
    if (status) return status;
    *e = (gr_evaluation){.loss = t.loss / t.count, .accuracy = t.hits / t.count, .n = d->n};
    for (int i = 0; i < m->n_metrics; i++)
        e->metric[i] = gr__finish_metric(m, i, t.metric[i] / t.count);
    return GR_OK;
}

/* The status of what was done with g; its error becomes this thread's, and both are freed. */
static gr_status finish(const char *who, gr_graph *g, gr_loader *loader, gr_status status)
{
    const char *error = gr_graph_error(g);
    if (error) status = gr__fail(gr_graph_status(g), "%s: %s", who, error);
    gr_graph_free(g);
    gr_loader_free(loader);
    return status;
}

static gr_status evaluate(gr_module *net, const gr_dataset *d, gr_evaluate_options o,
                          gr_evaluation *e, const void *site)
{
    gr__measures m = {.loss = o.loss, .metrics = o.metrics};
    gr_status status = gr__need("gr_evaluate", net, "module");
    if (!status) status = gr__need("gr_evaluate", e, "place for the result");
    if (!status) status = gr__check_measures("gr_evaluate", &m);
    if (!status) status = gr__check_dataset("gr_evaluate", d);
    if (!status && o.confusion && (d->classes < 1 || d->out))
        status = gr__fail(GR_ERR_ARGUMENT,
                          "gr_evaluate: a confusion matrix of data without classes");
    if (status) return status;
    gr_loader *loader = gr__pass_loader(d);
    if (!loader) return GR_ERR_MEMORY;
    gr_graph *g = gr_graph_new();
    status = gr__evaluate_on(g, net, d, loader, site, &m, e, o.confusion);
    return finish("gr_evaluate", g, loader, status);
}

/* Mean cross-entropy and accuracy of net, whose output is one logit per class, over all of d, in
 * evaluation mode (the model's training flag is as before afterwards).
 *
 * confusion  [classes, classes] that gets the counts, rows the true class; or NULL
 *
 * On failure *e and confusion mean nothing. */
gr_status gr_evaluate(gr_module *net, const gr_dataset *d, gr_evaluation *e, int64_t *confusion)
{
    return evaluate(net, d, (gr_evaluate_options){.confusion = confusion}, e, GR_HERE);
}

/* gr_evaluate with another loss, and metrics, each a mean over all samples. The accuracy is NaN where
 * the network does not give one output per class. */
gr_status gr_evaluate_with(gr_module *net, const gr_dataset *d, gr_evaluate_options o,
                           gr_evaluation *e)
{
    return evaluate(net, d, o, e, GR_HERE);
}

/* --- prediction --- */

typedef struct predictions {
    int64_t *classes;
    double *probability;
    float *outputs;
    int64_t size; /* of one output */
} predictions;

static gr_status take_classes(void *ctx, int64_t first, const gr_batch *b, gr__recorded r)
{
    const predictions *p = ctx;
    char text[GR_SHAPE_TEXT];
    if (gr_shape_of(r.output)->rank != 2) {
        gr_fail(gr_graph_of(r.output), "the network gives %s, expected one logit per class",
                gr_shape_text(gr_shape_of(r.output), text));
        return GR_ERR_ARGUMENT;
    }
    gr_tensor *chosen = gr_argmax(r.output, 1);
    gr_tensor *share = gr_max(gr_softmax(r.output, 1), (gr_axes){1, {1}}, false);
    gr_status status = gr_eval((gr_tensor *const[]){chosen, share}, p->probability ? 2 : 1);
    if (status) return status;
    memcpy(p->classes + first, gr_data(chosen), (size_t)b->n * sizeof *p->classes);
    const float *values = p->probability ? gr_data(share) : NULL;
    for (int64_t i = 0; values && i < b->n; i++) p->probability[first + i] = (double)values[i];
    return GR_OK;
}

static gr_status take_outputs(void *ctx, int64_t first, const gr_batch *b, gr__recorded r)
{
    const predictions *p = ctx;
    gr_graph *g = gr_graph_of(r.output);
    char text[GR_SHAPE_TEXT];
    if (gr_numel(r.output) != b->n * p->size) {
        gr_fail(g, "the network gives %s, expected %lld numbers for each of %lld samples",
                gr_shape_text(gr_shape_of(r.output), text), (long long)p->size, (long long)b->n);
        return GR_ERR_ARGUMENT;
    }
    const float *values = gr_data(gr_cast(r.output, GR_F32));
    if (!values) return gr_graph_status(g);
    memcpy(p->outputs + first * p->size, values, (size_t)(b->n * p->size) * sizeof *values);
    return GR_OK;
}

static gr_status predict(const char *who, gr_module *net, const gr_dataset *d, gr__visit_fn *take,
                         predictions p, const void *site)
{
    gr_status status = gr__need(who, net, "module");
    if (!status) status = gr__check_samples(who, d);
    if (!status && !p.classes && !p.outputs) status = gr__need(who, NULL, "place for the result");
    if (status) return status;
    gr_loader *loader = gr__pass_loader(d);
    if (!loader) return GR_ERR_MEMORY;
    gr_graph *g = gr_graph_new();
    return finish(who, g, loader, gr__pass(g, net, d, loader, site, take, &p));
}

/* The most probable class of each sample of d (its labels are not looked at but must be in range),
 * in evaluation mode.
 *
 * classes      [d->n] that gets them
 * probability  [d->n] that gets what softmax says of the chosen class; or NULL */
gr_status gr_predict(gr_module *net, const gr_dataset *d, int64_t *classes, double *probability)
{
    predictions p = {.classes = classes, .probability = probability};
    return predict("gr_predict", net, d, take_classes, p, GR_HERE);
}

/* All that net gives for each sample of d, in evaluation mode.
 *
 * outputs  [d->n, size] that gets it
 * size     numbers for each sample; another one than the network's is an error */
gr_status gr_predict_outputs(gr_module *net, const gr_dataset *d, float *outputs, int64_t size)
{
    predictions p = {.outputs = outputs, .size = size};
    return predict("gr_predict_outputs", net, d, take_outputs, p, GR_HERE);
}
