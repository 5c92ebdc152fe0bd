/* optim.h - optimizers: a rule is one tile function, run over all parameters in one pass. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_OPTIM_H
#define GRADUS_OPTIM_H

#include <gradus/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gr_optimizer gr_optimizer;

/* --- a rule: the library's and yours alike --- */

#define GR_RULE_STATES 4

/* n elements of one parameter; arrays are of the parameter's dtype. */
typedef struct gr_update {
    int64_t n;
    void *w;                      /* the parameter, changed in place */
    const void *g;                /* its gradient */
    void *state[GR_RULE_STATES];  /* zeroed before the first step */
    double lr;
    int64_t step;                 /* of this parameter, 1 at the first */
    const void *options;
} gr_update;

typedef struct gr_rule {
    const char *name;
    const char *formula;
    int n_states;
    const char *state_names[GR_RULE_STATES];
    size_t options_size;
    void (*tile[GR_DTYPES])(const gr_update *u); /* GR_F32 and GR_F64 */
} gr_rule;

GR_API gr_optimizer *gr_optimizer_new(gr_model *m, const gr_rule *rule, double lr, const void *options); /* copies both */
GR_API void gr_optimizer_free(gr_optimizer *opt);
GR_API gr_status gr_step(gr_optimizer *opt);      /* updates every parameter that has a gradient, and clears it */
GR_API gr_status gr_zero_grad(gr_optimizer *opt); /* clears without updating */
GR_API double gr_optimizer_lr(const gr_optimizer *opt);     /* of the last step, or of the first to come */
GR_API void gr_optimizer_set_lr(gr_optimizer *opt, double lr); /* the base rate, where there is a schedule */
GR_API int64_t gr_optimizer_steps(const gr_optimizer *opt); /* taken so far */
GR_API const char *gr_optimizer_error(const gr_optimizer *opt); /* NULL, or why it is inert */

/* --- optimizers; zero means the default --- */

typedef struct gr_sgd_options {
    double lr;           /* 0.01 */
    double momentum;     /* 0; v = momentum v + g, w -= lr v; v starts as the first g */
    double weight_decay; /* 0; L2: g + weight_decay w */
    bool nesterov;       /* w -= lr (g + momentum v); Sutskever et al. 2013 */
} gr_sgd_options;
GR_API gr_optimizer *gr_sgd(gr_model *m, gr_sgd_options o);

typedef struct gr_adam_options {
    double lr;           /* 0.001 */
    double beta1, beta2; /* 0.9, 0.999 */
    double eps;          /* 1e-8 */
    double weight_decay; /* 0; L2: g + weight_decay w */
} gr_adam_options;
GR_API gr_optimizer *gr_adam(gr_model *m, gr_adam_options o); /* Kingma, Ba 2015 */

/* --- schedules: the learning rate as a function of the step --- */

/* lr at `step` (0 is the first of the schedule) for a base rate; `self` is the schedule's own options. */
typedef struct gr_schedule {
    double (*lr)(const struct gr_schedule *self, double base_lr, int64_t step);
    int64_t total_steps;
    double warmup_fraction, div_factor, final_div_factor;
} gr_schedule;

/* One cycle (Smith, Topin 2018) with PyTorch's defaults: base_lr is the peak, reached after 30% of
 * the steps by a cosine from base_lr/25, then a cosine down to base_lr/25/10^4. */
GR_API gr_schedule gr_one_cycle(int64_t total_steps);
GR_API void gr_optimizer_schedule(gr_optimizer *opt, gr_schedule s); /* begins at the next gr_step */

#ifdef __cplusplus
}
#endif
#endif
