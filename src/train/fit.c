/* fit.c - training with one call.
 *
 * All epochs share one graph, which is reset for each batch: from the second batch on, a step
 * allocates nothing.
 */
/* SPDX-License-Identifier: MIT */
#include "evaluate.h"
#include "progress.h"
#include "snapshot.h"
#include "split.h"

#include <math.h>
#include <stdio.h>

enum { MOST_EPOCHS = 1000000 };

typedef struct fit {
    gr_module *net;
    gr_optimizer *opt;
    gr_fit_options o;
    const void *site;
    const gr_dataset *train, *validation; /* validation NULL: none */
    gr_dataset *rest, *part;              /* of a split; NULL: none */
    gr_loader *loader;
    gr_graph *graph;
    gr__snapshot best;
    gr_history history;
} fit;

/* --- options --- */

static gr_status check_options(const gr_fit_options *o)
{
    if (o->epochs < 1 || o->epochs > MOST_EPOCHS)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: expected 1 to %d epochs, got %d", MOST_EPOCHS,
                        o->epochs);
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

static gr_status check(const fit *f)
{
    gr_status status = check_options(&f->o);
    if (!f->net || !f->opt)
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: the %s is NULL", f->net ? "optimizer" : "module");
    if (gr_optimizer_error(f->opt))
        return gr__fail(GR_ERR_STATE, "gr_fit: %s", gr_optimizer_error(f->opt));
    if (!status) status = gr__check_dataset("gr_fit", f->train);
    return status ? status : check_validation(&f->o, f->train);
}

/* --- before and after --- */

static gr_status divide(fit *f)
{
    f->validation = f->o.validation;
    if (f->o.validation_split == 0) return GR_OK;
    gr_status status = gr__split(f->train, f->o.validation_split, f->o.seed, &f->rest, &f->part);
    if (status) return status;
    f->train = f->rest;
    f->validation = f->part;
    return GR_OK;
}

static gr_status prepare(fit *f)
{
    gr_status status = divide(f);
    if (status) return status;
    f->loader = gr_loader_new(f->train, (gr_loader_options){.batch = f->o.batch,
                                                            .shuffle = true,
                                                            .seed = f->o.seed,
                                                            .shift = f->o.shift,
                                                            .fill = f->o.fill});
    if (!f->loader) return GR_ERR_ARGUMENT;
    f->graph = gr_graph_new();
    gr_graph_seed(f->graph, f->o.seed);
    gr_graph_profile(f->graph, f->o.profile);
    f->history.epochs = gr__calloc((size_t)f->o.epochs * sizeof *f->history.epochs);
    if (!f->history.epochs) return GR_ERR_MEMORY;
    if (f->o.patience) status = gr__snapshot_init(&f->best, gr_module_model(f->net));
    if (f->o.one_cycle)
        gr_optimizer_schedule(f->opt, gr_one_cycle(f->o.epochs * gr_loader_batches(f->loader)));
    return status;
}

static void release(fit *f)
{
    if (f->o.one_cycle && f->opt) gr_optimizer_schedule(f->opt, (gr_schedule){0});
    gr_loader_free(f->loader);
    gr_graph_free(f->graph);
    gr_dataset_free(f->rest);
    gr_dataset_free(f->part);
    gr__snapshot_release(&f->best);
}

/* --- a batch --- */

typedef struct running {
    double loss; /* summed over samples */
    int64_t hits, n;
} running;

/* Puts the place into the error: which epoch, which batch. */
static gr_status fail_at(const fit *f, int epoch, int64_t batch, gr_status status)
{
    const char *error = gr_graph_error(f->graph);
    char text[900];
    snprintf(text, sizeof text, "%s", error ? error : gr_last_error());
    if (batch < 0) return gr__fail(status, "gr_fit: epoch %d, validation: %s", epoch, text);
    return gr__fail(status, "gr_fit: epoch %d, batch %lld: %s", epoch, (long long)batch, text);
}

static gr_status train_batch(fit *f, const gr_batch *b, running *sum)
{
    gr_graph *g = f->graph;
    gr_graph_reset(g);
    gr__recorded r = gr__record_batch(g, f->net, f->train, b, f->site);
    gr_site_begin(g, f->site);
    gr_tensor *loss = gr_cross_entropy(r.logits, r.target);
    gr_tensor *hits = gr_sum_all(gr_equal(gr_argmax(r.logits, 1), r.target));
    gr_site_end(g);
    gr_status status = gr_backward(loss);
    if (status) return status;
    double value = gr_item(loss);
    if (!isfinite(value))
        return gr__fail(GR_ERR_STATE, "the loss is %g; a lower learning rate may help", value);
    sum->loss += value * (double)b->n;
    sum->hits += (int64_t)gr_item(hits);
    sum->n += b->n;
    return gr_step(f->opt);
}

/* --- an epoch --- */

static gr_status train_epoch(fit *f, gr__progress *bar, gr_epoch *e)
{
    running sum = {0};
    int64_t batch = 0;
    for (gr_batch b; gr_next(f->loader, &b);) {
        gr_status status = train_batch(f, &b, &sum);
        if (status) return fail_at(f, e->epoch, batch + 1, status);
        batch++;
        gr__progress_show(bar, batch, "loss %.4f  accuracy %.2f%%", sum.loss / (double)sum.n,
                          100 * (double)sum.hits / (double)sum.n);
    }
    if (gr_loader_status(f->loader))
        return fail_at(f, e->epoch, batch + 1, gr_loader_status(f->loader));
    e->loss = sum.loss / (double)sum.n;
    e->accuracy = (double)sum.hits / (double)sum.n;
    e->lr = gr_optimizer_lr(f->opt);
    return GR_OK;
}

static gr_status validate(fit *f, gr_epoch *e)
{
    gr_evaluation v = {NAN, NAN, 0};
    gr_status status = GR_OK;
    if (f->validation) status = gr__evaluate_on(f->graph, f->net, f->validation, f->site, &v, NULL);
    e->val_loss = v.loss;
    e->val_accuracy = v.accuracy;
    return status ? fail_at(f, e->epoch, -1, status) : GR_OK;
}

static void report(const fit *f, gr__progress *bar, const gr_epoch *e)
{
    if (f->validation)
        gr__progress_end(bar, "loss %.4f  accuracy %6.2f%%  val_loss %.4f  val_accuracy %6.2f%%",
                         e->loss, 100 * e->accuracy, e->val_loss, 100 * e->val_accuracy);
    else gr__progress_end(bar, "loss %.4f  accuracy %6.2f%%", e->loss, 100 * e->accuracy);
    if (f->o.on_epoch) f->o.on_epoch(f->o.user, e);
}

static gr_status run_epoch(fit *f, gr_epoch *e)
{
    char title[64];
    gr__progress bar;
    int digits = snprintf(NULL, 0, "%d", f->o.epochs);
    snprintf(title, sizeof title, "epoch %*d/%d", digits, e->epoch, f->o.epochs);
    gr__progress_begin(&bar, f->o.progress ? stderr : NULL, title, gr_loader_batches(f->loader));
    double begun = gr__seconds();
    gr_model_set_training(gr_module_model(f->net), true);
    gr_status status = train_epoch(f, &bar, e);
    if (!status) status = validate(f, e);
    e->seconds = gr__seconds() - begun;
    if (status) gr__progress_end(&bar, "failed");
    else report(f, &bar, e);
    return status;
}

/* --- all epochs --- */

static double watched(const fit *f, int epoch)
{
    const gr_epoch *e = &f->history.epochs[epoch];
    return f->validation ? e->val_loss : e->loss;
}

/* Notes whether the last epoch was the best; true when patience has run out. */
static bool look_back(fit *f)
{
    gr_history *h = &f->history;
    int last = h->n - 1;
    if (last == 0 || watched(f, last) < watched(f, h->best)) {
        h->best = last;
        if (f->o.patience) gr__snapshot_take(&f->best);
    }
    return f->o.patience && last - h->best >= f->o.patience;
}

static gr_status run_epochs(fit *f)
{
    gr_history *h = &f->history;
    while (h->n < f->o.epochs && !h->stopped) {
        gr_epoch *e = &h->epochs[h->n];
        e->epoch = h->n + 1;
        gr_status status = run_epoch(f, e);
        if (status) return status;
        h->n++;
        h->stopped = look_back(f);
    }
    if (f->o.patience && h->best != h->n - 1) {
        gr__snapshot_restore(&f->best);
        h->restored = true;
    }
    return GR_OK;
}

/* Trains net, whose output is one logit per class, on samples and labels with cross-entropy.
 *
 * opt      over the model of net; with o.one_cycle its rate is the peak of that schedule, else it
 *          is left as it is
 * o        zero means the default that the header gives; epochs 0 counts as 10, batch 0 as 32
 * history  gets one entry per finished epoch, on failure too; gr_history_release it. NULL: nobody
 *          wants it
 *
 * Batches are drawn in a new order each epoch; order, shifts, dropout and split follow o.seed, so
 * that two runs with the same seeds and threads end with the same bits. The model's training flag
 * is as before afterwards.
 *
 * Errors, with gr_last_error saying epoch and batch: what cannot be recorded (a layer that refuses
 * the samples' shape), a loss that is not finite (the weights are those before that batch), memory.
 */
gr_status gr_fit(gr_module *net, gr_optimizer *opt, const gr_dataset *train, gr_fit_options o,
                 gr_history *history)
{
    fit f = {.net = net, .opt = opt, .o = o, .site = GR_HERE, .train = train};
    if (f.o.epochs == 0) f.o.epochs = 10;
    gr_status status = check(&f);
    if (!status) {
        bool training = gr_model_training(gr_module_model(net));
        status = prepare(&f);
        if (!status) status = run_epochs(&f);
        gr_model_set_training(gr_module_model(net), training);
        release(&f);
    }
    if (history) *history = f.history;
    else gr_history_release(&f.history);
    return status;
}

/* Frees what a history holds; a zeroed one is fine. */
void gr_history_release(gr_history *h)
{
    gr__free(h->epochs);
    *h = (gr_history){0};
}
