/* optimizers.h - every rule of the library, with options that use all of its states. */
/* SPDX-License-Identifier: MIT */
#ifndef OPTIMIZERS_H
#define OPTIMIZERS_H

#include <gradus/gradus.h>

typedef gr_optimizer *make_optimizer(gr_model *m);

static inline gr_optimizer *make_sgd(gr_model *m)
{
    return gr_sgd(m, (gr_sgd_options){.lr = 0.01});
}

static inline gr_optimizer *make_momentum(gr_model *m)
{
    return gr_sgd(
        m, (gr_sgd_options){.lr = 0.01, .momentum = 0.9, .dampening = 0.1, .weight_decay = 0.1});
}

static inline gr_optimizer *make_nesterov(gr_model *m)
{
    return gr_sgd(m, (gr_sgd_options){.lr = 0.01, .momentum = 0.9, .nesterov = true});
}

static inline gr_optimizer *make_adagrad(gr_model *m)
{
    return gr_adagrad(m, (gr_adagrad_options){.lr_decay = 0.1, .initial_accumulator = 0.1});
}

static inline gr_optimizer *make_adadelta(gr_model *m)
{
    return gr_adadelta(m, (gr_adadelta_options){0});
}

static inline gr_optimizer *make_rmsprop(gr_model *m)
{
    return gr_rmsprop(m, (gr_rmsprop_options){.momentum = 0.5, .centered = true});
}

static inline gr_optimizer *make_adam(gr_model *m)
{
    return gr_adam(m, (gr_adam_options){0});
}

static inline gr_optimizer *make_amsgrad(gr_model *m)
{
    return gr_adam(m, (gr_adam_options){.amsgrad = true});
}

static inline gr_optimizer *make_adamw(gr_model *m)
{
    return gr_adamw(m, (gr_adam_options){0});
}

static inline gr_optimizer *make_adamax(gr_model *m)
{
    return gr_adamax(m, (gr_adamax_options){0});
}

static inline gr_optimizer *make_nadam(gr_model *m)
{
    return gr_nadam(m, (gr_nadam_options){0});
}

static inline gr_optimizer *make_radam(gr_model *m)
{
    return gr_radam(m, (gr_radam_options){0});
}

static inline gr_optimizer *make_rprop(gr_model *m)
{
    return gr_rprop(m, (gr_rprop_options){0});
}

static inline gr_optimizer *make_lion(gr_model *m)
{
    return gr_lion(m, (gr_lion_options){0});
}

typedef struct named_optimizer {
    const char *name;
    make_optimizer *make;
} named_optimizer;

/* All but lbfgs, which steps by gr_step_closure only. */
static const named_optimizer every_rule[] = {
    {"sgd", make_sgd},         {"momentum", make_momentum}, {"nesterov", make_nesterov},
    {"adagrad", make_adagrad}, {"adadelta", make_adadelta}, {"rmsprop", make_rmsprop},
    {"adam", make_adam},       {"amsgrad", make_amsgrad},   {"adamw", make_adamw},
    {"adamax", make_adamax},   {"nadam", make_nadam},       {"radam", make_radam},
    {"rprop", make_rprop},     {"lion", make_lion},
};

enum { RULES = sizeof every_rule / sizeof *every_rule };

#endif
