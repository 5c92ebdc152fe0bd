/* ema.c - exponential moving averages of the weights.
 *
 *   mean_t = sum_i decay^(t-i) w_i / sum_i decay^(t-i)          i = 1 .. t
 *
 * is the average that starts at 0, with its bias corrected. It is kept as it is, corrected:
 *
 *   mean += rate (w - mean),   rate = (1 - decay) / (1 - decay^t)
 *
 * so that to swap it with the weights is to exchange two arrays. Without the correction it starts from
 * the weights, with rate = 1 - decay.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct average {
    gr_param *param; /* counted */
    void *mean;
} average;

struct gr_ema {
    gr_model *model;
    double decay;
    bool corrects, swapped;
    int64_t steps;
    average *averages;
    int n;
    gr_status status;
    char message[200];
};

/* Returned where even the average could not be allocated. */
static gr_ema no_ema = {
    .status = GR_ERR_MEMORY,
    .message = "ema: out of memory",
};

static size_t bytes_of(const gr_param *p)
{
    return (size_t)gr_shape_numel(gr_param_shape(p)) * gr_dtype_size(gr_param_dtype(p));
}

/* --- lifetime --- */

static gr_ema *refuse(gr_ema *e, gr_status status, const char *problem)
{
    e->status = gr__fail(status, "ema: %s", problem);
    snprintf(e->message, sizeof e->message, "%s", gr_last_error());
    return e;
}

static gr_status add_averages(gr_ema *e)
{
    int n = gr_model_params(e->model);
    e->averages = gr__calloc((size_t)n * sizeof *e->averages + 1);
    if (!e->averages) return GR_ERR_MEMORY;
    for (; e->n < n; e->n++) {
        gr_param *p = gr_model_param(e->model, e->n);
        void *mean = gr__calloc(bytes_of(p) + 1);
        if (!mean) return GR_ERR_MEMORY;
        if (!e->corrects) memcpy(mean, gr_param_data(p), bytes_of(p));
        e->averages[e->n] = (average){gr_param_retain(p), mean};
    }
    return GR_OK;
}

/* Averages of the parameters that the model has now.
 *
 * o.decay  0 < decay < 1; 0 counts as 0.999
 *
 * To be freed with gr_ema_free. On failure an inert one: gr_ema_error says why. */
gr_ema *gr_ema_new(gr_model *m, gr_ema_options o)
{
    gr_ema *e = gr__calloc(sizeof *e);
    if (!e) return &no_ema;
    char problem[100];
    double decay = gr__or(o.decay, 0.999);
    *e = (gr_ema){.model = m, .decay = decay, .corrects = !o.no_correction};
    if (!m) return refuse(e, GR_ERR_ARGUMENT, "the model is NULL");
    if (gr_model_error(m)) return refuse(e, GR_ERR_ARGUMENT, gr_model_error(m));
    snprintf(problem, sizeof problem, "expected 0 < decay < 1, got %g", decay);
    if (!(decay > 0 && decay < 1)) return refuse(e, GR_ERR_ARGUMENT, problem);
    if (add_averages(e)) return refuse(e, GR_ERR_MEMORY, "out of memory");
    return e;
}

/* Frees it; the model keeps the values that it has then. NULL is fine. */
void gr_ema_free(gr_ema *e)
{
    if (!e || e == &no_ema) return;
    for (int i = 0; i < e->n; i++) {
        gr_param_release(e->averages[i].param);
        gr__free(e->averages[i].mean);
    }
    gr__free(e->averages);
    gr__free(e);
}

const char *gr_ema_error(const gr_ema *e)
{
    if (!e) return "the average is NULL";
    return e->status ? e->message : NULL;
}

static gr_status check(const gr_ema *e, const char *call)
{
    if (gr__need(call, e, "average")) return GR_ERR_ARGUMENT;
    return e->status ? gr__fail(e->status, "%s", e->message) : GR_OK;
}

/* --- averaging --- */

typedef struct blending {
    const average *a;
    double rate;
} blending;

static void blend_range(void *ctx, int64_t begin, int64_t end)
{
    const blending *b = ctx;
    gr_dtype dtype = gr_param_dtype(b->a->param);
    size_t offset = (size_t)begin * gr_dtype_size(dtype);
    gr__around_of(dtype)->blend(end - begin, (char *)b->a->mean + offset,
                                (const char *)gr_param_data(b->a->param) + offset, b->rate);
}

/* Takes the weights as they are into the averages. GR_ERR_STATE while they are swapped in, and where
 * the model has got parameters since gr_ema_new. */
gr_status gr_ema_update(gr_ema *e)
{
    gr_status status = check(e, "gr_ema_update");
    if (status) return status;
    if (e->swapped)
        return gr__fail(GR_ERR_STATE,
                        "gr_ema_update: the averages are swapped in; gr_ema_swap first");
    if (gr_model_params(e->model) != e->n)
        return gr__fail(GR_ERR_STATE,
                        "gr_ema_update: the model has %d parameters, expected the %d of "
                        "gr_ema_new",
                        gr_model_params(e->model), e->n);
    e->steps++;
    double rate = 1 - e->decay;
    if (e->corrects) rate /= 1 - pow(e->decay, (double)e->steps);
    for (int i = 0; i < e->n; i++) {
        blending b = {&e->averages[i], rate};
        gr__parallel_for(gr_shape_numel(gr_param_shape(b.a->param)), GR__CHUNK, blend_range, &b);
    }
    return GR_OK;
}

/* In small pieces, through the stack. */
static void exchange(char *a, char *b, size_t bytes)
{
    char held[1024];
    for (size_t i = 0; i < bytes; i += sizeof held) {
        size_t n = bytes - i < sizeof held ? bytes - i : sizeof held;
        memcpy(held, a + i, n);
        memcpy(a + i, b + i, n);
        memcpy(b + i, held, n);
    }
}

/* Exchanges the model's weights and the averages: before an evaluation, and again after it, when
 * every bit is as it was. GR_ERR_STATE before the first update of corrected averages. */
gr_status gr_ema_swap(gr_ema *e)
{
    gr_status status = check(e, "gr_ema_swap");
    if (status) return status;
    if (e->corrects && e->steps == 0)
        return gr__fail(GR_ERR_STATE, "gr_ema_swap: there is no average before a gr_ema_update");
    for (int i = 0; i < e->n; i++) {
        average *a = &e->averages[i];
        exchange(gr_param_write(a->param), a->mean, bytes_of(a->param));
    }
    e->swapped = !e->swapped;
    return GR_OK;
}

/* --- state --- */

/* Visits "steps", int64 [], and each parameter's average by the parameter's name. GR_ERR_STATE while
 * they are swapped in. */
gr_status gr_ema_states(gr_ema *e, gr_visit *visit, void *user)
{
    const gr_shape scalar = {0, {0}};
    gr_status status = check(e, "gr_ema_states");
    if (status) return status;
    if (e->swapped)
        return gr__fail(GR_ERR_STATE,
                        "gr_ema_states: the averages are swapped in; gr_ema_swap first");
    if (gr__need("gr_ema_states", visit, "visitor")) return GR_ERR_ARGUMENT;
    status = visit(user, "ema.steps", GR_I64, &scalar, &e->steps);
    for (int i = 0; i < e->n && !status; i++) {
        const gr_param *p = e->averages[i].param;
        const char *name = gr_model_param_name(e->model, i);
        if (!name || !*name) return gr__fail(GR_ERR_MEMORY, "gr_ema_states: out of memory");
        status = visit(user, name, gr_param_dtype(p), gr_param_shape(p), e->averages[i].mean);
    }
    return status;
}
