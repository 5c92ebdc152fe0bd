/* fit.c - training with one call.
 *
 * All epochs share one graph, which is reset for each batch: from the second batch on, a step
 * allocates nothing.
 */
/* SPDX-License-Identifier: MIT */
#include "fit.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_EPOCHS = 1000000, DEFAULT_BATCH = 32, MOST_ACCUMULATED = 1000000 };

/* --- options --- */

static gr_status check_options(const gr_fit_options *o)
{
    if (o->epochs < 1 || o->epochs > MOST_EPOCHS)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected 1 to %d epochs, got %d", MOST_EPOCHS,
                        o->epochs);
    if (o->batch < 1)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected a batch of at least 1, got %lld",
                        (long long)o->batch);
    if (!(o->validation_split >= 0 && o->validation_split < 1))
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_fit: expected a validation_split with 0 <= split < 1, "
                        "got %g",
                        o->validation_split);
    if (o->validation && o->validation_split > 0)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: both validation data and a validation_split");
    if (o->patience < 0)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected a patience of 0 or more, got %d",
                        o->patience);
    if (o->accumulate < 1 || o->accumulate > MOST_ACCUMULATED)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected to accumulate 1 to %d batches, got %d",
                        MOST_ACCUMULATED, o->accumulate);
    if (!(o->gradient_noise >= 0 && isfinite(o->gradient_noise)))
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected a gradient_noise of 0 or more, got %g",
                        o->gradient_noise);
    if (o->precision != GR_PRECISION_FLOAT32 && o->precision != GR_PRECISION_BFLOAT16)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: no precision %d", (int)o->precision);
    return GR_OK;
}

static gr_status check_validation(const gr_fit_options *o, const gr_dataset *train)
{
    if (!o->validation) return GR_OK;
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (!gr_shape_equal(&o->validation->shape, &train->shape) ||
        o->validation->classes != train->classes)
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_fit: validation samples are %s of %d classes, training "
                        "samples %s of %d",
                        gr_shape_text(&o->validation->shape, a), o->validation->classes,
                        gr_shape_text(&train->shape, b), train->classes);
    return gr__check_dataset("gr_fit: validation", o->validation);
}

static gr_status check(gr__fit *f)
{
    gr_status status = check_options(&f->o);
    if (!f->run.net || !f->run.opt)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: the %s is NULL",
                        f->run.net ? "optimizer" : "module");
    if (gr_optimizer_error(f->run.opt))
        return gr__fail(GR_ERR_STATE, "gr_fit: %s", gr_optimizer_error(f->run.opt));
    if (!status) status = gr__check_measures("gr_fit", &f->measures);
    if (!status) status = gr__check_dataset("gr_fit", f->train);
    for (int i = 0; i < f->n_callbacks && !status; i++)
        if (*f->callbacks[i].problem)
            status = gr__fail(GR_ERR_ARGUMENT, "gr_fit: %s: %s", f->callbacks[i].name,
                              f->callbacks[i].problem);
    return status ? status : check_validation(&f->o, f->train);
}

/* --- callbacks --- */

/* Those of the options, then what the options ask for in short. */
static gr_status gather_callbacks(gr__fit *f)
{
    int n = 0;
    while (f->o.callbacks && f->o.callbacks[n].name) n++;
    f->callbacks = gr__alloc((size_t)(n + 2) * sizeof *f->callbacks);
    if (!f->callbacks) {
        for (int i = 0; i < n; i++)
            if (f->o.callbacks[i].free) f->o.callbacks[i].free(f->o.callbacks[i].self);
        return GR_ERR_MEMORY;
    }
    if (f->o.progress) f->callbacks[f->n_callbacks++] = gr_progress();
    if (n) memcpy(f->callbacks + f->n_callbacks, f->o.callbacks, (size_t)n * sizeof *f->callbacks);
    f->n_callbacks += n;
    if (f->o.patience > 0)
        f->callbacks[f->n_callbacks++] = gr_early_stop(
            (gr_early_stop_options){.patience = f->o.patience});
    return GR_OK;
}

static gr_status call_begin(gr__fit *f)
{
    gr_status status = GR_OK;
    for (int i = 0; i < f->n_callbacks && !status; i++)
        if (f->callbacks[i].begin) status = f->callbacks[i].begin(f->callbacks[i].self, &f->run);
    return status;
}

static gr_status call_batch(gr__fit *f)
{
    gr_status status = GR_OK;
    for (int i = 0; i < f->n_callbacks && !status; i++)
        if (f->callbacks[i].batch) status = f->callbacks[i].batch(f->callbacks[i].self, &f->run);
    return status;
}

static gr_status call_epoch(gr__fit *f)
{
    gr_status status = GR_OK;
    for (int i = 0; i < f->n_callbacks && !status; i++)
        if (f->callbacks[i].epoch) status = f->callbacks[i].epoch(f->callbacks[i].self, &f->run);
    return status;
}

/* All of them, whatever happened; the first failure counts. */
static gr_status call_end(gr__fit *f, gr_status status)
{
    for (int i = 0; i < f->n_callbacks; i++) {
        if (!f->callbacks[i].end) continue;
        gr_status ended = f->callbacks[i].end(f->callbacks[i].self, &f->run, status);
        if (!status) status = ended;
    }
    return status;
}

/* --- before and after --- */

static gr_status divide(gr__fit *f)
{
    f->validation = f->o.validation;
    if (f->o.validation_split == 0) return GR_OK;
    const gr_split_options o = {.validation = f->o.validation_split, .seed = f->o.seed};
    gr_status status = gr_split_dataset(f->train, o, &f->parts);
    if (status) return status;
    f->train = f->parts.train;
    f->validation = f->parts.validation;
    return GR_OK;
}

static gr_status make_loaders(gr__fit *f)
{
    gr_loader_options o = f->o.loader;
    o.batch = f->o.batch;
    o.shuffle = true;
    o.seed = f->o.seed;
    if (f->o.shift) o.shift = f->o.shift;
    if (f->o.fill != 0) o.fill = f->o.fill;
    f->loader = gr_loader_new(f->train, o);
    if (!f->loader) return GR_ERR_ARGUMENT;
    f->run.batches = gr_loader_batches(f->loader);
    if (!f->validation) return GR_OK;
    f->val_loader = gr__pass_loader(f->validation);
    return f->val_loader ? GR_OK : GR_ERR_MEMORY;
}

static gr_status prepare(gr__fit *f)
{
    gr_status status = divide(f);
    if (!status) status = make_loaders(f);
    if (status) return status;
    f->graph = f->run.graph = gr_graph_new();
    gr_graph_set_precision(f->graph, f->o.precision);
    gr_graph_profile(f->graph, f->o.profile);
    f->history.epochs = gr__calloc((size_t)f->o.epochs * sizeof *f->history.epochs);
    if (!f->history.epochs) return GR_ERR_MEMORY;
    int64_t updates = (f->run.batches + f->o.accumulate - 1) / f->o.accumulate;
    if (f->o.one_cycle)
        status = gr_optimizer_schedule(f->run.opt, gr_one_cycle(f->o.epochs * updates));
    return status;
}

static void release(gr__fit *f)
{
    if (f->o.one_cycle && f->graph) gr_optimizer_schedule(f->run.opt, (gr_schedule){0});
    for (int i = 0; i < f->n_callbacks; i++)
        if (f->callbacks[i].free) f->callbacks[i].free(f->callbacks[i].self);
    gr__free(f->callbacks);
    gr_loader_free(f->loader);
    gr_loader_free(f->val_loader);
    gr_graph_free(f->graph);
    gr_parts_release(&f->parts);
}

/* --- an epoch --- */

/* Puts the place into the error: which epoch, which batch. */
static gr_status fail_at(const gr__fit *f, const char *where, gr_status status)
{
    const char *error = gr_graph_error(f->graph);
    char text[900], batch[48];
    snprintf(text, sizeof text, "%s", error ? error : gr_last_error());
    snprintf(batch, sizeof batch, "batch %lld", (long long)f->run.batch);
    return gr__fail(status, "gr_fit: epoch %d, %s: %s", f->run.now.epoch, where ? where : batch,
                    text);
}

/* What is known of the running epoch. */
static void look(gr__fit *f)
{
    const gr__sums *s = &f->sums;
    gr_epoch *e = &f->run.now;
    e->loss = s->loss / s->count;
    e->accuracy = s->hits / s->count;
    e->lr = gr_optimizer_lr(f->run.opt);
    for (int i = 0; i < f->measures.n_metrics; i++)
        e->metric[i] = gr__finish_metric(&f->measures, i, s->metric[i] / s->count);
}

static gr_status train_epoch(gr__fit *f)
{
    bool more = true;
    while (more && !f->run.stop) {
        gr_status status = gr__fit_step(f, &more);
        if (status) return fail_at(f, NULL, status);
        if (!more) break;
        look(f);
        status = call_batch(f);
        if (status) return status;
    }
    return GR_OK;
}

static gr_status validate(gr__fit *f)
{
    gr_evaluation v = {.loss = NAN, .accuracy = NAN};
    gr_status status = GR_OK;
    for (int i = 0; i < GR_METRICS; i++) v.metric[i] = NAN;
    if (f->validation)
        status = gr__evaluate_on(f->graph, f->run.net, f->validation, f->val_loader, f->site,
                                 &f->measures, &v, NULL);
    f->run.now.val_loss = v.loss;
    f->run.now.val_accuracy = v.accuracy;
    memcpy(f->run.now.val_metric, v.metric, sizeof v.metric);
    return status ? fail_at(f, "validation", status) : GR_OK;
}

double gr__watched(const gr_training *run, int epoch)
{
    const gr_epoch *e = &run->history->epochs[epoch];
    return isnan(e->val_loss) ? e->loss : e->val_loss;
}

/* Puts the epoch into the history and makes room for the next one. */
static void close_epoch(gr__fit *f)
{
    gr_history *h = &f->history;
    h->epochs[h->n++] = f->run.now;
    if (gr__watched(&f->run, h->n - 1) < gr__watched(&f->run, h->best)) h->best = h->n - 1;
    f->sums = (gr__sums){0};
    f->run.batch = 0;
}

static gr_status run_epoch(gr__fit *f)
{
    double begun = gr__seconds();
    gr_model_set_training(gr_module_model(f->run.net), true);
    f->run.now = (gr_epoch){.epoch = f->history.n + 1};
    gr_status status = train_epoch(f);
    if (status || f->run.batch < f->run.batches) return status; /* failed, or stopped half-way */
    status = validate(f);
    f->run.now.seconds = gr__seconds() - begun;
    if (status) return status;
    close_epoch(f);
    return call_epoch(f);
}

/* --- all epochs --- */

static gr_status run_epochs(gr__fit *f)
{
    gr_status status = call_begin(f);
    if (!status && f->o.resume) status = gr__resume(f, f->o.resume);
    while (!status && f->history.n < f->o.epochs && !f->run.stop) status = run_epoch(f);
    if (!status && f->run.stop && !f->history.stopped)
        f->history.interrupted = f->history.n < f->o.epochs;
    return call_end(f, status);
}

static gr_status fit(gr__fit *f)
{
    bool training = gr_model_training(gr_module_model(f->run.net));
    gr_status status = prepare(f);
    if (!status) status = run_epochs(f);
    gr_model_set_training(gr_module_model(f->run.net), training);
    return status;
}

static void fill_in(gr_fit_options *o)
{
    if (o->epochs == 0) o->epochs = 10;
    if (o->batch == 0) o->batch = DEFAULT_BATCH;
    if (o->accumulate == 0) o->accumulate = 1;
}

/* Trains net on samples and labels: its output is one logit per class and the loss cross-entropy,
 * unless o.loss says otherwise.
 *
 * opt      over the model of net; with o.one_cycle its rate is the peak of that schedule, else it
 *          is left as it is
 * o        zero means the default that the header gives; what lies behind its pointers is only read
 *          until gr_fit returns, and its callbacks are freed then
 * history  gets one entry per finished epoch, on failure too; gr_history_release it. NULL: nobody
 *          wants it
 *
 * Batches are drawn in a new order each epoch; order, shifts, dropout and split follow o.seed, so
 * that two runs with the same seeds end with the same bits, and so does one that was stopped and
 * goes on by o.resume from the checkpoint that it left, with more epochs if asked for and at the rate
 * that it had. The model's training flag is as before afterwards.
 *
 * Errors, with gr_last_error saying epoch and batch: what cannot be recorded (a layer that refuses
 * the samples' shape), a loss that is not finite (the weights are those before that update, and a
 * checkpoint file stays as it is), a checkpoint of another network (nothing is changed), what a
 * callback returned, memory. What ends an update in its middle leaves whole parameters
 * (gr_backward_step). */
gr_status gr_fit(gr_module *net, gr_optimizer *opt, const gr_dataset *train, gr_fit_options o,
                 gr_history *history)
{
    gr__fit f = {.run = {.net = net, .opt = opt}, .o = o, .site = GR_HERE, .train = train};
    f.measures =
        (gr__measures){.loss = o.loss, .metrics = o.metrics, .label_smoothing = o.label_smoothing};
    fill_in(&f.o);
    f.run.options = &f.o;
    f.run.history = &f.history;
    gr_status status = gather_callbacks(&f);
    if (!status) status = check(&f);
    if (!status) status = fit(&f);
    release(&f);
    if (history) *history = f.history;
    else gr_history_release(&f.history);
    return status;
}

/* Frees what a history holds; a zeroed one is fine. */
void gr_history_release(gr_history *h)
{
    if (!h) return;
    gr__free(h->epochs);
    *h = (gr_history){0};
}
