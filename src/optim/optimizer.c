/* optimizer.c - runs a rule over all parameters of a model in one threaded pass.
 *
 * The elements of all parameters that have a gradient are thought of as one line, which is cut into
 * chunks of GRAIN elements: few large and many small parameters are the same work, and small models
 * stay on one thread.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GRAIN = 16384 };

/* A parameter with the states of the rule; w, g and n are those of the running step. */
typedef struct slot {
    gr_param *param; /* counted */
    void *states;    /* rule.n_states arrays of the parameter's size */
    int64_t steps;   /* taken with this parameter */
    void *w;
    const void *g;
    int64_t first, n; /* elements first .. first + n of the line; n 0: no gradient, no step */
} slot;

struct gr_optimizer {
    gr_model *model;
    gr_rule rule; /* a copy */
    void *options;
    slot *slots;
    int n_slots;
    double base_lr, lr;
    gr_schedule schedule; /* its lr NULL: none */
    int64_t scheduled;    /* the step at which it began */
    int64_t steps;
    gr_status status;
    char message[400];
};

/* Returned where even the optimizer could not be allocated. */
static gr_optimizer no_optimizer = {
    .status = GR_ERR_MEMORY,
    .message = "out of memory: the optimizer could not be allocated",
};

/* --- lifetime --- */

gr_optimizer *gr__optimizer_inert(gr_status status, const char *format, ...)
{
    gr_optimizer *opt = gr__calloc(sizeof *opt);
    if (!opt) return &no_optimizer;
    va_list args;
    va_start(args, format);
    vsnprintf(opt->message, sizeof opt->message, format, args);
    va_end(args);
    opt->status = gr__fail(status, "%s", opt->message);
    return opt;
}

static const char *problem_of(const gr_model *m, const gr_rule *rule, double lr,
                              const void *options)
{
    if (!m) return "the model is NULL";
    if (!rule || !rule->name) return "the rule is NULL or has no name";
    if (rule->n_states < 0 || rule->n_states > GR_RULE_STATES)
        return "the rule has more than GR_RULE_STATES states";
    if (rule->options_size && !options) return "the rule's options are missing";
    if (!(isfinite(lr) && lr >= 0)) return "expected a finite learning rate of 0 or more";
    return gr_model_error(m);
}

/* An optimizer over all parameters of m, also those that are added later.
 *
 * rule     copied; the library's own are behind gr_sgd and gr_adam
 * options  rule->options_size bytes, copied, which the rule finds in its gr_update
 *
 * To be freed with gr_optimizer_free. On failure an inert one: gr_optimizer_error says why. */
gr_optimizer *gr_optimizer_new(gr_model *m, const gr_rule *rule, double lr, const void *options)
{
    const char *problem = problem_of(m, rule, lr, options);
    if (problem)
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "%s: %s",
                                   rule && rule->name ? rule->name : "gr_optimizer_new", problem);
    gr_optimizer *opt = gr__calloc(sizeof *opt);
    void *copy = gr__alloc(rule->options_size + 1);
    if (!opt || !copy) {
        gr__free(opt);
        gr__free(copy);
        return gr__optimizer_inert(GR_ERR_MEMORY, "%s: out of memory", rule->name);
    }
    if (rule->options_size) memcpy(copy, options, rule->options_size);
    *opt = (gr_optimizer){.model = m, .rule = *rule, .options = copy, .base_lr = lr, .lr = lr};
    return opt;
}

/* Frees the optimizer, before or after its model; NULL is fine. */
void gr_optimizer_free(gr_optimizer *opt)
{
    if (!opt || opt == &no_optimizer) return;
    for (int i = 0; i < opt->n_slots; i++) {
        gr_param_release(opt->slots[i].param);
        gr__free(opt->slots[i].states);
    }
    gr__free(opt->slots);
    gr__free(opt->options);
    gr__free(opt);
}

/* --- asking and setting --- */

double gr_optimizer_lr(const gr_optimizer *opt)
{
    return opt->lr;
}

static void follow_schedule(gr_optimizer *opt)
{
    const gr_schedule *s = &opt->schedule;
    opt->lr = s->lr ? s->lr(s, opt->base_lr, opt->steps - opt->scheduled) : opt->base_lr;
}

void gr_optimizer_set_lr(gr_optimizer *opt, double lr)
{
    if (opt->status) return;
    opt->base_lr = lr;
    follow_schedule(opt);
}

/* From now on the rate of each step is s.lr(&s, base rate, steps taken since now); a schedule whose
 * lr is NULL ends that. */
void gr_optimizer_schedule(gr_optimizer *opt, gr_schedule s)
{
    if (opt->status) return;
    opt->schedule = s;
    opt->scheduled = opt->steps;
    follow_schedule(opt);
}

int64_t gr_optimizer_steps(const gr_optimizer *opt)
{
    return opt->steps;
}

const char *gr_optimizer_error(const gr_optimizer *opt)
{
    return opt->status ? opt->message : NULL;
}

/* --- states --- */

static gr_status fill_slot(slot *s, const gr_rule *rule, gr_model *m, int i)
{
    gr_param *p = gr_model_param(m, i);
    size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) * gr_dtype_size(gr_param_dtype(p));
    if (!rule->tile[gr_param_dtype(p)])
        return gr__fail(GR_ERR_ARGUMENT, "%s: no rule for %s, which parameter '%s' is", rule->name,
                        gr_dtype_name(gr_param_dtype(p)), gr_model_param_name(m, i));
    void *states = gr__calloc((size_t)rule->n_states * bytes + 1);
    if (!states) return GR_ERR_MEMORY;
    *s = (slot){.param = gr_param_retain(p), .states = states};
    return GR_OK;
}

/* One slot for each parameter of the model, those added since the last step too. */
static gr_status need_slots(gr_optimizer *opt)
{
    int n = gr_model_params(opt->model);
    if (opt->n_slots == n) return GR_OK;
    slot *slots = gr__grow(opt->slots, (size_t)opt->n_slots * sizeof *slots,
                           (size_t)n * sizeof *slots);
    if (!slots) return GR_ERR_MEMORY;
    opt->slots = slots;
    for (int i = opt->n_slots; i < n; i++) {
        gr_status status = fill_slot(&slots[i], &opt->rule, opt->model, i);
        if (status) return status;
        opt->n_slots = i + 1;
    }
    return GR_OK;
}

/* --- a step --- */

/* Lays the parameters that have a gradient on the line; returns its length. */
static int64_t line_up(gr_optimizer *opt)
{
    int64_t length = 0;
    for (int i = 0; i < opt->n_slots; i++) {
        slot *s = &opt->slots[i];
        s->first = length;
        s->g = gr_param_frozen(s->param) ? NULL : gr_param_grad(s->param);
        s->n = s->g ? gr_shape_numel(gr_param_shape(s->param)) : 0;
        if (!s->g) continue;
        s->w = gr_param_write(s->param);
        s->steps++;
        length += s->n;
    }
    return length;
}

/* The last slot that begins at or before `at`: it, or one with elements after it, holds that. */
static int slot_at(const gr_optimizer *opt, int64_t at)
{
    int low = 0, high = opt->n_slots;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (opt->slots[middle].first <= at) low = middle;
        else high = middle;
    }
    return low;
}

/* Elements begin .. end of one parameter. */
static void update_piece(const gr_optimizer *opt, const slot *s, int64_t begin, int64_t end)
{
    gr_dtype dtype = gr_param_dtype(s->param);
    size_t size = gr_dtype_size(dtype), offset = (size_t)begin * size, whole = (size_t)s->n * size;
    gr_update u = {.n = end - begin,
                   .w = (char *)s->w + offset,
                   .g = (const char *)s->g + offset,
                   .lr = opt->lr,
                   .step = s->steps,
                   .options = opt->options};
    for (int k = 0; k < opt->rule.n_states; k++)
        u.state[k] = (char *)s->states + (size_t)k * whole + offset;
    opt->rule.tile[dtype](&u);
}

static void update_range(void *ctx, int64_t begin, int64_t end)
{
    const gr_optimizer *opt = ctx;
    for (int i = slot_at(opt, begin); i < opt->n_slots && opt->slots[i].first < end; i++) {
        const slot *s = &opt->slots[i];
        int64_t from = begin > s->first ? begin - s->first : 0;
        int64_t to = end - s->first < s->n ? end - s->first : s->n;
        if (from < to) update_piece(opt, s, from, to);
    }
}

/* Updates every parameter that has a gradient and is not frozen by the rule, at the rate of the
 * schedule if there is one, then clears all gradients. Without any gradient it is an error: a
 * gr_backward is missing. The first step allocates the rule's states; no other step allocates. */
gr_status gr_step(gr_optimizer *opt)
{
    if (opt->status) return gr__fail(opt->status, "%s", opt->message);
    gr_status status = need_slots(opt);
    if (status) return status;
    int64_t length = line_up(opt);
    if (length == 0)
        return gr__fail(GR_ERR_STATE, "gr_step: no parameter has a gradient; call gr_backward "
                                      "before, and see that not all are frozen");
    follow_schedule(opt);
    gr__parallel_for(length, GRAIN, update_range, opt);
    opt->steps++;
    return gr_zero_grad(opt);
}

/* Forgets the gradients of all parameters. */
gr_status gr_zero_grad(gr_optimizer *opt)
{
    if (opt->status) return gr__fail(opt->status, "%s", opt->message);
    for (int i = 0; i < gr_model_params(opt->model); i++)
        gr_param_clear_grad(gr_model_param(opt->model, i));
    return GR_OK;
}
