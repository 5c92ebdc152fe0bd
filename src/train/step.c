/* step.c - one update: its batches, their losses and gradients, and what to say when one goes wrong. */
/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include <math.h>
#include <stdio.h>

enum { NOISE = 0x6e6f6973, BATCH = 0x62617463 }; /* keep streams of one seed apart */

/* --- what went wrong --- */

static int64_t first_not_finite(gr_dtype dtype, const void *data, int64_t n)
{
    const float *f = data;
    const double *d = data;
    for (int64_t i = 0; i < n; i++)
        if (dtype == GR_F32 ? !isfinite(f[i]) : dtype == GR_F64 && !isfinite(d[i])) return i;
    return -1;
}

const char *gr__spoiled_param(gr_model *m)
{
    for (int i = 0; i < gr_model_params(m); i++) {
        const gr_param *p = gr_model_param(m, i);
        int64_t n = gr_shape_numel(gr_param_shape(p));
        if (first_not_finite(gr_param_dtype(p), gr_param_data(p), n) >= 0)
            return gr_model_param_name(m, i);
    }
    return NULL;
}

/* Where a loss that is not finite comes from: samples, weights, or a sum that overflowed. */
static gr_status report_loss(gr__fit *f, const gr_batch *b, double loss)
{
    char where[200] = "inputs and weights are finite: a lower learning rate may help";
    const char *param = gr__spoiled_param(gr_module_model(f->run.net));
    int64_t size = gr_shape_numel(&f->train->shape);
    int64_t at = b->x ? first_not_finite(GR_F32, b->x, b->n * size) : -1;
    if (at >= 0)
        snprintf(where, sizeof where, "sample %lld of the batch holds %g", (long long)(at / size),
                 (double)b->x[at]);
    else if (param)
        snprintf(where, sizeof where, "%s is not finite: a lower learning rate may help", param);
    return gr__fail(GR_ERR_STATE, "the loss is %g; %s", loss, where);
}

/* --- a batch --- */

/* sum(w noise) has the noise as its gradient: Neelakantan et al., Adding gradient noise improves
 * learning for very deep networks, 2015. */
static gr_tensor *with_noise(const gr__fit *f, gr_tensor *loss)
{
    gr_model *m = gr_module_model(f->run.net);
    double deviation = sqrt(f->o.gradient_noise / pow(1 + (double)f->run.step, 0.55));
    gr_graph_seed(f->graph, gr__hash_join(gr__hash_join(f->o.seed, NOISE), (uint64_t)f->run.step));
    for (int i = 0; i < gr_model_params(m); i++) {
        gr_tensor *w = gr_use(f->graph, gr_model_param(m, i));
        gr_tensor *noise = gr_scale(gr_randn(f->graph, gr_dtype_of(w), *gr_shape_of(w)), deviation);
        loss = gr_add(loss, gr_sum_all(gr_mul(w, noise)));
    }
    return loss;
}

/* What is differentiated: the loss times the batch's share of the update. */
static gr_tensor *record_objective(const gr__fit *f, gr_tensor *loss, double share, bool last)
{
    gr_site_begin(f->graph, f->site);
    if (share != 1) loss = gr_scale(loss, share);
    if (last && f->o.gradient_noise > 0) loss = with_noise(f, loss);
    gr_site_end(f->graph);
    return loss;
}

static void add_to_sums(gr__fit *f, const gr__measured *y, double loss, double count, int64_t n)
{
    gr__sums *s = &f->sums;
    s->loss += loss * count;
    s->hits += y->hits ? gr_item(y->hits) : NAN;
    s->count += count;
    s->n += (double)n;
    for (int i = 0; i < f->measures.n_metrics; i++) s->metric[i] += gr_item(y->metric[i]) * count;
}

/* Adds the gradients of one batch; the last one of an update makes it. All that is random in it
 * follows seed and number alone, so that a run which goes on from a checkpoint draws the same. */
static gr_status train_batch(gr__fit *f, const gr_batch *b, double share, bool last)
{
    gr_graph *g = f->graph;
    uint64_t number = (uint64_t)f->history.n * (uint64_t)f->run.batches + (uint64_t)f->run.batch;
    gr_graph_reset(g);
    gr_graph_seed(g, gr__hash_join(gr__hash_join(f->o.seed, BATCH), number));
    gr__recorded r = gr__record_batch(g, f->run.net, f->train, b, f->site);
    if (gr_graph_status(g)) return gr_graph_status(g);
    gr__measured y = gr__record_measures(&f->measures, f->train, r, f->site);
    gr_tensor *objective = record_objective(f, y.loss, share, last);
    gr_status status = last ? gr_backward_step(f->run.opt, objective) : gr_backward(objective);
    if (gr_graph_status(g)) return gr_graph_status(g);
    double loss = gr_item(y.loss);
    if (!isfinite(loss)) return report_loss(f, b, loss);
    if (status) return status;
    add_to_sums(f, &y, loss, r.count, b->n);
    return GR_OK;
}

/* --- an update --- */

/* Samples of the update that begins now; the last one of an epoch may have fewer. */
static int64_t samples_of_update(const gr__fit *f)
{
    int64_t whole = f->run.batches * f->o.batch, all = f->train->n;
    int64_t left = (f->o.loader.drop_last ? whole : all) - (int64_t)f->sums.n;
    int64_t most = f->o.accumulate * f->o.batch;
    return left < most ? left : most;
}

static gr_status draw_batches(gr__fit *f)
{
    int64_t samples = samples_of_update(f), done = 0;
    gr_batch b;
    while (done < samples && gr_next(f->loader, &b)) {
        double share = b.n == samples ? 1 : (double)b.n / (double)samples;
        done += b.n;
        gr_status status = train_batch(f, &b, share, done >= samples);
        f->run.batch++;
        if (status) return status;
    }
    gr_status status = gr_loader_status(f->loader);
    if (status) f->run.batch++; /* the one that could not be drawn */
    return status || done >= samples ? status : gr_step(f->run.opt); /* of fewer than expected */
}

gr_status gr__fit_step(gr__fit *f, bool *more)
{
    gr_batch none;
    *more = f->run.batch < f->run.batches || gr_next(f->loader, &none); /* false: ends the pass */
    if (!*more) return GR_OK;
    gr_status status = draw_batches(f);
    if (status) gr_zero_grad(f->run.opt); /* nothing of a failed update is left behind */
    else f->run.step++;
    return status;
}
