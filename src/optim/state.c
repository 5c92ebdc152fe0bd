/* state.c - all that an optimizer remembers from step to step, as named arrays. */
/* SPDX-License-Identifier: MIT */
#include "lbfgs.h"

/* Where a visit has come to; `name` is put together anew for each array. */
typedef struct tour {
    gr_visit *visit;
    void *user;
    gr__text name;
    gr_status status;
} tour;

/* NAME.PART, or NAME.PARTk for k >= 0. */
static void show(tour *t, const char *name, const char *part, int k, gr_dtype dtype,
                 const gr_shape *shape, void *data)
{
    if (t->status) return;
    t->name.len = 0;
    gr__text_add(&t->name, k < 0 ? "%s.%s" : "%s.%s%d", name, part, k);
    t->status = t->name.failed ? GR_ERR_MEMORY
                               : t->visit(t->user, t->name.data, dtype, shape, data);
}

static void show_number(tour *t, const char *name, const char *part, int k, gr_dtype dtype,
                        void *data)
{
    show(t, name, part, k, dtype, &GR_SCALAR, data);
}

static void show_slot(tour *t, const gr_optimizer *opt, int i)
{
    gr__slot *s = &opt->slots[i];
    const gr_rule *rule = &opt->rule;
    const gr_shape *shape = gr_param_shape(s->param);
    const char *name = gr_model_param_name(opt->model, i);
    gr_dtype dtype = gr_param_dtype(s->param);
    size_t bytes = (size_t)gr_shape_numel(shape) * gr_dtype_size(dtype);
    if (!name || !*name) t->status = gr__fail(GR_ERR_MEMORY, "gr_optimizer_states: out of memory");
    show_number(t, name, "step", -1, GR_I64, &s->steps);
    if (rule->begin) show(t, name, "scalars", -1, GR_F64, &GR_SHAPE(GR_RULE_SCALARS), s->scalars);
    for (int k = 0; k < rule->n_states; k++) {
        const char *part = rule->state_names[k];
        show(t, name, part ? part : "state", part ? -1 : k, dtype, shape,
             (char *)s->states + (size_t)k * bytes);
    }
}

static void show_lbfgs(tour *t, gr__lbfgs *l)
{
    int64_t vectors = 2 + 2 * (int64_t)l->o.history_size;
    int64_t numbers = (int64_t)(sizeof l->now / sizeof(double));
    show(t, "lbfgs", "vectors", -1, GR_F64, &GR_SHAPE(vectors, l->n), l->d);
    show(t, "lbfgs", "rho", -1, GR_F64, &GR_SHAPE(l->o.history_size), l->rho);
    show(t, "lbfgs", "numbers", -1, GR_F64, &GR_SHAPE(numbers), &l->now);
}

/* Visits every array that the next steps depend on: counts, base rates, and for each parameter its
 * steps and states, as "fc1.weight.exp_avg". What comes from the program is not among them: options,
 * groups, schedule. Written back into an optimizer made in the same way, they make it continue bit
 * for bit. Before the first step the states are allocated here. */
gr_status gr_optimizer_states(gr_optimizer *opt, gr_visit *visit, void *user)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_states");
    if (status) return status;
    if (gr__need("gr_optimizer_states", visit, "visitor")) return GR_ERR_ARGUMENT;
    tour t = {.visit = visit, .user = user};
    t.status = opt->lbfgs ? gr__lbfgs_need(opt) : gr__need_slots(opt);
    show_number(&t, "optimizer", "steps", -1, GR_I64, &opt->steps);
    show_number(&t, "optimizer", "scheduled", -1, GR_I64, &opt->scheduled);
    show_number(&t, "optimizer", "lr", -1, GR_F64, &opt->base_lr);
    for (int k = 0; k < opt->n_groups; k++)
        show_number(&t, "optimizer", "group_lr", k, GR_F64, &opt->groups[k].settings.lr);
    if (opt->lbfgs) {
        if (!t.status) show_lbfgs(&t, opt->lbfgs);
    } else
        for (int i = 0; i < opt->n_slots && !t.status; i++) show_slot(&t, opt, i);
    gr__text_release(&t.name);
    if (!t.status) gr__optimizer_rates(opt); /* a visitor may have written other ones */
    return t.status;
}
