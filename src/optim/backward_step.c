/* backward_step.c - updates during backward: gradients need not all be in memory at a time. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* A step that is being taken. */
typedef struct early {
    gr_optimizer *opt;
    gr_tensor *loss;
    int at; /* the slot found last: gradients come in about the reverse order */
    bool begun;
} early;

static gr_status check_loss(gr_tensor *loss)
{
    double value = gr_item(loss);
    if (isfinite(value)) return GR_OK;
    return gr__fail(GR_ERR_STATE, "gr_backward_step: the loss is %g; nothing is updated", value);
}

/* Here and not in gr_backward: the error is of the line that called us. */
static gr_status check_shape(gr_tensor *loss, const void *site)
{
    if (!loss) return gr__fail(GR_ERR_ARGUMENT, "gr_backward_step: the loss is NULL");
    gr_graph *g = gr_graph_of(loss);
    if (gr_graph_status(g) || gr_numel(loss) == 1) return GR_OK;
    char text[GR_SHAPE_TEXT];
    gr_site_begin(g, site);
    gr_fail(
        g,
        "gr_backward_step: expected a loss of one element, got %s; reduce it with gr_mean_all or "
        "gr_sum_all",
        gr_shape_text(gr_shape_of(loss), text));
    gr_site_end(g);
    return gr_graph_status(g);
}

/* Nothing has been updated yet, and the loss is there. */
static gr_status begin(early *e)
{
    gr_status status = check_loss(e->loss);
    if (status) return status;
    gr__step_prepare(e->opt, 1);
    e->begun = true;
    return GR_OK;
}

static gr__slot *find_slot(early *e, const gr_param *p)
{
    const int n = e->opt->n_slots;
    for (int k = 0; k < n; k++) {
        e->at = e->at ? e->at - 1 : n - 1;
        if (e->opt->slots[e->at].param == p) return &e->opt->slots[e->at];
    }
    return NULL;
}

/* The gradients of other models stay, as do those of what has been frozen meanwhile. */
static gr_status update(void *user, gr_param *p)
{
    early *e = user;
    gr__slot *s = find_slot(e, p);
    gr_status status = e->begun || !s ? GR_OK : begin(e);
    if (status || !s) return status;
    gr__slot_place(e->opt, s, 0);
    if (!s->whole.n) return GR_OK;
    gr__step_slot(e->opt, s);
    gr_param_clear_grad(p);
    return GR_OK;
}

/* What is left: small parameters, and gradients from before that the loss does not reach. */
static gr_status update_rest(early *e)
{
    gr_optimizer *opt = e->opt;
    int64_t length = gr__line_up(opt);
    if (length > 0) gr__step_line(opt, length);
    return gr__step_end(opt);
}

static gr_status run(early *e)
{
    gr_status status = gr_backward_each(e->loss, update, e);
    if (!status && !e->begun) status = begin(e);
    return status ? status : update_rest(e);
}

/* For a limit on the norm of all gradients these have to be there before the first update. */
static gr_status run_clipped(gr_optimizer *opt, gr_tensor *loss)
{
    gr_status status = gr_backward(loss);
    if (!status) status = check_loss(loss);
    return status ? status : gr_step(opt);
}

/* gr_backward(loss), then gr_step(opt): the same bits, in less memory. A parameter of more than 4 KB
 * is updated during backward, as soon as its gradient is complete and nothing that is still to be
 * computed reads it; the gradient's memory is then the next one's. With gr_optimizer_clip_norm,
 * which needs all gradients at a time, and for what gr_backward_each leaves for the end, it is the
 * two calls.
 *
 * A loss that is NaN or infinite is an error (GR_ERR_STATE), and no parameter is updated. On any
 * failure the gradients of the optimizer's parameters are cleared, and gr_optimizer_steps has not
 * moved. If it comes in the middle of backward (memory, a value that a kernel refuses), parameters
 * that had been updated by then stay so, each as a whole; where that must not be, make the two
 * calls.
 *
 * Values that depend on parameters and are read afterwards: gr_keep, as with gr_step. */
gr_status gr_backward_step(gr_optimizer *opt, gr_tensor *loss)
{
    gr_status status = gr__step_check(opt, "gr_backward_step");
    if (status) return status;
    early e = {.opt = opt, .loss = loss};
    status = check_shape(loss, GR_HERE);
    if (!status) status = opt->clip_norm > 0 ? run_clipped(opt, loss) : run(&e);
    if (status) gr_zero_grad(opt);
    return status;
}
