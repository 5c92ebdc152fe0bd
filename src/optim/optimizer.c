/* optimizer.c - the life of an optimizer, its rates, schedule and groups of parameters. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Returned where even the optimizer could not be allocated. */
static gr_optimizer no_optimizer = {
    .status = GR_ERR_MEMORY,
    .message = "out of memory: the optimizer could not be allocated",
};

gr_status gr__optimizer_check(const gr_optimizer *opt, const char *call)
{
    if (gr__need(call, opt, "optimizer")) return GR_ERR_ARGUMENT;
    return opt->status ? gr__fail(opt->status, "%s", opt->message) : GR_OK;
}

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

static const char *problem_of(const gr_model *m, const gr_rule *rule, const void *options)
{
    if (!m) return "the model is NULL";
    if (!rule || !rule->name) return "the rule is NULL or has no name";
    if (rule->n_states < 0 || rule->n_states > GR_RULE_STATES)
        return "the rule has more than GR_RULE_STATES states";
    if (rule->options_size && !options) return "the rule's options are missing";
    return gr_model_error(m);
}

/* An optimizer over all parameters of m, also those that are added later.
 *
 * rule     copied, but for the texts in it, which stay the caller's
 * lr       0 or more
 * options  rule->options_size bytes, copied, which the rule finds in its gr_update
 *
 * To be freed with gr_optimizer_free. On failure an inert one: gr_optimizer_error says why. */
gr_optimizer *gr_optimizer_new(gr_model *m, const gr_rule *rule, double lr, const void *options)
{
    const char *problem = problem_of(m, rule, options);
    if (problem)
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "%s: %s",
                                   rule && rule->name ? rule->name : "gr_optimizer_new", problem);
    if (!(isfinite(lr) && lr >= 0))
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "%s: expected a finite lr >= 0, got %g",
                                   rule->name, lr);
    gr_optimizer *opt = gr__calloc(sizeof *opt);
    void *copy = gr__alloc(rule->options_size + 1);
    gr__group *groups = gr__calloc(sizeof *groups);
    if (!opt || !copy || !groups) {
        gr__free(opt);
        gr__free(copy);
        gr__free(groups);
        return gr__optimizer_inert(GR_ERR_MEMORY, "%s: out of memory", rule->name);
    }
    if (rule->options_size) memcpy(copy, options, rule->options_size);
    *opt = (gr_optimizer){
        .model = m, .rule = *rule, .options = copy, .base_lr = lr, .groups = groups, .n_groups = 1};
    gr__optimizer_rates(opt);
    return opt;
}

gr_optimizer *gr__optimizer_with(gr_model *m, const gr_rule *rule, double lr, const void *options,
                                 gr_param_group settings)
{
    gr_optimizer *opt = gr_optimizer_new(m, rule, lr, options);
    if (!opt->status) opt->groups[0].settings = settings;
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
    for (int k = 0; k < opt->n_groups; k++) gr__free(opt->groups[k].pattern);
    gr__free(opt->groups);
    gr__free(opt->partials);
    gr__free(opt->parts);
    gr__free(opt->slots);
    gr__free(opt->options);
    gr__lbfgs_free(opt->lbfgs);
    gr__free(opt);
}

/* --- rates --- */

/* Of the last step, or of the first to come; of parameters whose group has none of its own. */
double gr_optimizer_lr(const gr_optimizer *opt)
{
    return opt && opt->groups ? opt->groups[0].lr : 0;
}

/* Likewise the momentum, which is beta1 for Adam and its kin; 0 for a rule that has none. */
double gr_optimizer_momentum(const gr_optimizer *opt)
{
    return opt && opt->groups ? opt->groups[0].momentum : 0;
}

void gr__optimizer_rates(gr_optimizer *opt)
{
    const gr_schedule *s = &opt->schedule;
    int64_t at = opt->steps - opt->scheduled;
    for (int k = 0; k < opt->n_groups; k++) {
        gr__group *group = &opt->groups[k];
        double lr = gr__or(group->settings.lr, opt->base_lr);
        double momentum = gr__or(group->settings.momentum, opt->rule.momentum);
        group->lr = s->lr ? s->lr(s, lr, at) : lr;
        group->momentum = s->momentum ? s->momentum(s, momentum, at) : momentum;
    }
}

/* The rate of the steps to come, or where there is a schedule the rate that it scales. Groups with a
 * rate of their own keep it. */
gr_status gr_optimizer_set_lr(gr_optimizer *opt, double lr)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_set_lr");
    if (status) return status;
    if (!(isfinite(lr) && lr >= 0))
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_optimizer_set_lr: expected a finite rate of 0 or more, "
                        "got %g",
                        lr);
    opt->base_lr = lr;
    gr__optimizer_rates(opt);
    return GR_OK;
}

/* From now on the rate of each step is s.lr(&s, base rate, steps taken since now), and the momentum
 * likewise if s has one; a schedule whose lr is NULL ends that. The parts of a sequence are copied.
 * GR_ERR_ARGUMENT for a schedule that could not be made, or that moves the momentum of a rule which
 * has none. */
gr_status gr_optimizer_schedule(gr_optimizer *opt, gr_schedule s)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_schedule");
    if (status) return status;
    if (*s.problem) return gr__fail(GR_ERR_ARGUMENT, "%s", s.problem);
    if (s.momentum && opt->rule.momentum == 0)
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_optimizer_schedule: the schedule moves the momentum, "
                        "which %s was made without",
                        opt->rule.name);
    gr_schedule *parts = NULL;
    if (s.parts) {
        size_t bytes = (size_t)s.n * sizeof *parts;
        parts = gr__alloc(bytes);
        if (!parts) return GR_ERR_MEMORY;
        memcpy(parts, s.parts, bytes);
        s.parts = parts;
    }
    gr__free(opt->parts);
    opt->parts = parts;
    opt->schedule = s;
    opt->scheduled = opt->steps;
    gr__optimizer_rates(opt);
    return GR_OK;
}

int64_t gr_optimizer_steps(const gr_optimizer *opt)
{
    return opt ? opt->steps : 0;
}

/* "" for an inert optimizer. */
const char *gr_optimizer_name(const gr_optimizer *opt)
{
    return opt && opt->rule.name ? opt->rule.name : "";
}

const char *gr_optimizer_error(const gr_optimizer *opt)
{
    if (!opt) return "the optimizer is NULL";
    return opt->status ? opt->message : NULL;
}

/* --- groups --- */

static gr_status check_group(const gr_optimizer *opt, const gr_param_group *o)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"lr", o->lr},
                   {"momentum", o->momentum},
                   {"clip_value", o->clip_value},
                   {"weight_decay", o->weight_decay},
                   {"l1", o->l1},
                   {"decoupled_decay", o->decoupled_decay},
                   {"max_norm", o->max_norm}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(isfinite(numbers[i].value) && numbers[i].value >= 0))
            return gr__fail(GR_ERR_ARGUMENT, "gr_optimizer_group: expected %s >= 0, got %g",
                            numbers[i].name, numbers[i].value);
    if (o->momentum > 0 && opt->rule.momentum == 0)
        return gr__fail(GR_ERR_ARGUMENT, "gr_optimizer_group: %s was made without momentum, got %g",
                        opt->rule.name, o->momentum);
    if (o->momentum >= 1)
        return gr__fail(GR_ERR_ARGUMENT, "gr_optimizer_group: expected momentum < 1, got %g",
                        o->momentum);
    if (opt->lbfgs)
        return gr__fail(GR_ERR_ARGUMENT, "gr_optimizer_group: lbfgs takes all parameters as one "
                                         "vector and has no groups");
    return GR_OK;
}

static gr_status add_group(gr_optimizer *opt, const char *pattern, gr_param_group settings)
{
    size_t bytes = (size_t)opt->n_groups * sizeof *opt->groups;
    char *copy = gr__strdup(pattern);
    gr__group *groups = copy ? gr__grow(opt->groups, bytes, bytes + sizeof *groups) : NULL;
    if (!groups) {
        gr__free(copy);
        return GR_ERR_MEMORY;
    }
    opt->groups = groups;
    groups[opt->n_groups++] = (gr__group){.pattern = copy, .settings = settings};
    return GR_OK;
}

/* The rates of the first group are the optimizer's. */
static void set_defaults(gr_optimizer *opt, gr_param_group group)
{
    opt->base_lr = gr__or(group.lr, opt->base_lr);
    opt->rule.momentum = gr__or(group.momentum, opt->rule.momentum);
    group.lr = group.momentum = 0;
    opt->groups[0].settings = group;
    gr__optimizer_rates(opt);
}

/* What is asked of some of the parameters; all of it at each call, nothing is inherited but the
 * rates. To change one number: gr_optimizer_settings, change it, and give it back.
 *
 * pattern  of full names, as gr_model_param_name gives them: "*.bias", "encoder.*"; '*' stands for
 *          any text. Of several that fit, the last group counts. NULL: the parameters of no group
 *
 * GR_ERR_ARGUMENT where a number is negative or not finite, or no parameter's name fits: the model
 * comes first. Nothing has changed then. */
gr_status gr_optimizer_group(gr_optimizer *opt, const char *pattern, gr_param_group group)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_group");
    if (status) return status;
    status = check_group(opt, &group);
    if (status) return status;
    if (!pattern) {
        set_defaults(opt, group);
        return GR_OK;
    }
    status = add_group(opt, pattern, group);
    if (status) return status;
    opt->regroup = true;
    status = gr__need_slots(opt);
    if (status) gr__free(opt->groups[--opt->n_groups].pattern);
    else gr__optimizer_rates(opt);
    return status;
}

gr_param_group gr_optimizer_settings(const gr_optimizer *opt)
{
    return opt && opt->groups ? opt->groups[0].settings : (gr_param_group){0};
}

/* Scales all gradients together so that their norm as one vector is at most max_norm, before each
 * step; 0 ends that. It is PyTorch's clip_grad_norm_ (Pascanu, Mikolov, Bengio, ICML 2013). */
gr_status gr_optimizer_clip_norm(gr_optimizer *opt, double max_norm)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_clip_norm");
    if (status) return status;
    if (!(isfinite(max_norm) && max_norm >= 0))
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_optimizer_clip_norm: expected a finite norm of 0 or "
                        "more, got %g",
                        max_norm);
    if (opt->lbfgs)
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_optimizer_clip_norm: lbfgs needs gradients as they are");
    opt->clip_norm = max_norm;
    return GR_OK;
}
