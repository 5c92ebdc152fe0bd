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
#define GR_RULE_SCALARS 4

/* n elements of one parameter; arrays are of the parameter's dtype. */
typedef struct gr_update {
    int64_t n;
    void *w;                      /* the parameter, changed in place */
    const void *g;                /* its gradient: clipped, negated, with decay, as its group asks */
    void *state[GR_RULE_STATES];  /* all state_start before the first step */
    double lr, momentum;          /* of this step: by group and schedule */
    int64_t step;                 /* of this parameter, 1 at the first */
    const double *scalar;         /* as `begin` left them */
    const void *options;
} gr_update;

typedef struct gr_rule {
    const char *name;
    const char *formula;
    int n_states;
    const char *state_names[GR_RULE_STATES];
    double state_start[GR_RULE_STATES];
    double momentum; /* where u->momentum starts; a schedule may move it */
    size_t options_size;
    void (*begin)(const gr_update *u, double *scalar); /* NULL, or once per parameter and step; 0 at first, then kept */
    void (*tile[GR_DTYPES])(const gr_update *u);       /* GR_F32 and GR_F64 */
} gr_rule;

GR_API gr_optimizer *gr_optimizer_new(gr_model *m, const gr_rule *rule, double lr, const void *options); /* copies both; m has to live for all but gr_optimizer_free */
GR_API void gr_optimizer_free(gr_optimizer *opt);
GR_API gr_status gr_step(gr_optimizer *opt);      /* updates every parameter that has a gradient, and clears it */
GR_API gr_status gr_backward_step(gr_optimizer *opt, gr_tensor *loss); /* gr_backward and gr_step in less memory: each large gradient lives until its update */
GR_API gr_status gr_zero_grad(gr_optimizer *opt); /* clears without updating */
GR_API double gr_optimizer_lr(const gr_optimizer *opt);     /* of the last step, or of the first to come */
GR_API gr_status gr_optimizer_set_lr(gr_optimizer *opt, double lr); /* the base rate, where there is a schedule */
GR_API double gr_optimizer_momentum(const gr_optimizer *opt); /* likewise; beta1 of Adam and its kin */
GR_API int64_t gr_optimizer_steps(const gr_optimizer *opt); /* taken so far */
GR_API const char *gr_optimizer_name(const gr_optimizer *opt); /* of its rule: "adam" */
GR_API const char *gr_optimizer_error(const gr_optimizer *opt); /* NULL, or why it is inert */

/* Clears the gradients, runs forward and backward, gives the loss. */
typedef gr_status gr_closure(void *user, double *loss);
GR_API gr_status gr_step_closure(gr_optimizer *opt, gr_closure *closure, void *user, double *loss); /* loss: of the first call; may be NULL */

/* --- what every rule gets: decay, clipping, constraints, by group of parameters --- */

/* Zero: not. A row is w[i], or all of a vector. In this order: */
typedef struct gr_param_group {
    double lr, momentum;    /* 0: the optimizer's */
    double clip_value;      /* g cut to [-clip_value, clip_value] */
    bool maximize;          /* -g */
    double weight_decay;    /* g + weight_decay w: L2 */
    double l1;              /* g + l1 sign(w) */
    double decoupled_decay; /* w -= lr decoupled_decay w, before the rule; Loshchilov, Hutter 2019 */
    bool sparse_rows;       /* a row without any gradient stays, and so do its states */
    bool non_negative;      /* after the rule: w = max(w, 0) */
    bool unit_norm;         /* after the rule: every row has norm 1 */
    double max_norm;        /* after the rule: no row has a larger norm */
} gr_param_group;

/* Parameters whose name fits the pattern ('*': any text; NULL: all that fit no pattern); the last group that fits counts. */
GR_API gr_status gr_optimizer_group(gr_optimizer *opt, const char *pattern, gr_param_group group);
GR_API gr_param_group gr_optimizer_settings(const gr_optimizer *opt); /* of the parameters in no group */
GR_API gr_status gr_optimizer_clip_norm(gr_optimizer *opt, double max_norm); /* of all gradients as one vector; 0: no limit */
GR_API double gr_optimizer_grad_norm(gr_optimizer *opt); /* now, before clipping */

/* --- optimizers; zero means the default, which is PyTorch's --- */

typedef struct gr_sgd_options {
    double lr;           /* 0.01 */
    double momentum;     /* 0; v = momentum v + (1 - dampening) g, w -= lr v; v starts as the first g */
    double dampening;    /* 0 */
    double weight_decay; /* 0; L2: g + weight_decay w */
    bool nesterov;       /* w -= lr (g + momentum v); Sutskever et al. 2013 */
    bool maximize;
} gr_sgd_options;
GR_API gr_optimizer *gr_sgd(gr_model *m, gr_sgd_options o);

typedef struct gr_adagrad_options {
    double lr;                  /* 0.01 */
    double lr_decay;            /* 0; lr / (1 + (t - 1) lr_decay) */
    double initial_accumulator; /* 0 */
    double eps;                 /* 1e-10 */
    double weight_decay;        /* 0 */
    bool maximize;
} gr_adagrad_options;
GR_API gr_optimizer *gr_adagrad(gr_model *m, gr_adagrad_options o); /* Duchi, Hazan, Singer 2011 */

typedef struct gr_adadelta_options {
    double lr;           /* 1 */
    double rho;          /* 0.9 */
    double eps;          /* 1e-6 */
    double weight_decay; /* 0 */
    bool maximize;
} gr_adadelta_options;
GR_API gr_optimizer *gr_adadelta(gr_model *m, gr_adadelta_options o); /* Zeiler 2012 */

typedef struct gr_rmsprop_options {
    double lr;           /* 0.01 */
    double alpha;        /* 0.99 */
    double eps;          /* 1e-8 */
    double momentum;     /* 0 */
    double weight_decay; /* 0 */
    bool centered;       /* divides by the deviation of g, not by its size; Graves 2013 */
    bool maximize;
} gr_rmsprop_options;
GR_API gr_optimizer *gr_rmsprop(gr_model *m, gr_rmsprop_options o); /* Tieleman, Hinton 2012 */

typedef struct gr_adam_options {
    double lr;           /* 0.001 */
    double beta1, beta2; /* 0.9, 0.999 */
    double eps;          /* 1e-8 */
    double weight_decay; /* 0; L2: g + weight_decay w; of gr_adamw 0.01, decoupled */
    bool amsgrad;        /* divides by the largest v so far; Reddi, Kale, Kumar 2018 */
    bool maximize;
} gr_adam_options;
GR_API gr_optimizer *gr_adam(gr_model *m, gr_adam_options o);  /* Kingma, Ba 2015 */
GR_API gr_optimizer *gr_adamw(gr_model *m, gr_adam_options o); /* Loshchilov, Hutter 2019 */

typedef struct gr_adamax_options {
    double lr;           /* 0.002 */
    double beta1, beta2; /* 0.9, 0.999 */
    double eps;          /* 1e-8 */
    double weight_decay; /* 0 */
    bool maximize;
} gr_adamax_options;
GR_API gr_optimizer *gr_adamax(gr_model *m, gr_adamax_options o); /* Kingma, Ba 2015 */

typedef struct gr_nadam_options {
    double lr;             /* 0.002 */
    double beta1, beta2;   /* 0.9, 0.999 */
    double eps;            /* 1e-8 */
    double momentum_decay; /* 0.004 */
    double weight_decay;   /* 0 */
    bool maximize;
} gr_nadam_options;
GR_API gr_optimizer *gr_nadam(gr_model *m, gr_nadam_options o); /* Dozat 2016 */

typedef struct gr_radam_options {
    double lr;           /* 0.001 */
    double beta1, beta2; /* 0.9, 0.999 */
    double eps;          /* 1e-8 */
    double weight_decay; /* 0 */
    bool maximize;
} gr_radam_options;
GR_API gr_optimizer *gr_radam(gr_model *m, gr_radam_options o); /* Liu et al. 2020 */

typedef struct gr_rprop_options {
    double lr;                  /* 0.01: the first step of each element */
    double eta_minus, eta_plus; /* 0.5, 1.2 */
    double step_min, step_max;  /* 1e-6, 50 */
    bool maximize;
} gr_rprop_options;
GR_API gr_optimizer *gr_rprop(gr_model *m, gr_rprop_options o); /* Riedmiller, Braun 1993; whole batches only */

typedef struct gr_lion_options {
    double lr;           /* 0.0001 */
    double beta1, beta2; /* 0.9, 0.99 */
    double weight_decay; /* 0; decoupled */
    bool maximize;
} gr_lion_options;
GR_API gr_optimizer *gr_lion(gr_model *m, gr_lion_options o); /* Chen et al. 2023 */

typedef struct gr_lbfgs_options {
    double lr;                /* 1 */
    int max_iter;             /* 20: iterations per step */
    int max_eval;             /* 1.25 max_iter: calls of the closure per step */
    double tolerance_grad;    /* 1e-7: of the largest element */
    double tolerance_change;  /* 1e-9: of the loss, and of the largest element of a step */
    int history_size;         /* 100 */
    bool strong_wolfe;        /* searches along each direction; else goes lr of the way */
} gr_lbfgs_options;
GR_API gr_optimizer *gr_lbfgs(gr_model *m, gr_lbfgs_options o); /* Liu, Nocedal 1989; steps by gr_step_closure only */

/* --- schedules: the learning rate, and for some the momentum, as functions of the step --- */

#define GR_MILESTONES 16
#define GR_PROBLEM 120

/* `lr` gives the rate at `step` (0 is the first of the schedule) for a base rate, `momentum` likewise. The other
 * numbers are theirs; a schedule of your own may use any of them. */
typedef struct gr_schedule gr_schedule;
struct gr_schedule {
    double (*lr)(const gr_schedule *self, double base_lr, int64_t step);
    double (*momentum)(const gr_schedule *self, double base_momentum, int64_t step); /* NULL: it stays */
    int64_t total_steps; /* or the steps of one period */
    double factor, power, from, to, least;
    double warmup_fraction, div_factor, final_div_factor, base_momentum, max_momentum;
    bool linear, three_phase;
    int n;
    int64_t at[GR_MILESTONES]; /* n steps, ascending */
    const gr_schedule *parts;  /* n of them, part i up to step at[i]; NULL: no sequence */
    char problem[GR_PROBLEM];  /* "": none; else gr_optimizer_schedule refuses it */
};

GR_API gr_schedule gr_step_schedule(int64_t every, double factor);                     /* lr factor^floor(t / every) */
GR_API gr_schedule gr_multi_step_schedule(const int64_t *at, int n, double factor);    /* lr factor^(how many at[i] <= t) */
GR_API gr_schedule gr_exponential_schedule(double factor);                             /* lr factor^t */
GR_API gr_schedule gr_inverse_time_schedule(double rate);                              /* lr / (1 + rate t) */
GR_API gr_schedule gr_polynomial_schedule(int64_t total_steps, double power);          /* lr (1 - t/T)^power, then 0 */
GR_API gr_schedule gr_linear_schedule(int64_t total_steps, double from, double to);    /* lr (from + (to - from) t/T), then lr to */
GR_API gr_schedule gr_warmup(int64_t total_steps, double from);                        /* gr_linear_schedule to 1 */
GR_API gr_schedule gr_cosine_schedule(int64_t total_steps, double least);              /* least + (lr - least) (1 + cos(pi t/T)) / 2 */
GR_API gr_schedule gr_cosine_restarts(int64_t first, int64_t longer, double least);    /* that, again after `first` steps, each time `longer` times as long */

typedef struct gr_one_cycle_options {
    int64_t total_steps;
    double warmup_fraction;             /* 0.3 */
    double div_factor;                  /* 25: starts at lr / div_factor */
    double final_div_factor;            /* 1e4: ends at lr / div_factor / final_div_factor */
    bool linear;                        /* lines instead of half cosines */
    bool three_phase;                   /* up, as long down to the start, then on down to the end */
    double base_momentum, max_momentum; /* 0: momentum stays; else it falls from max to base and returns */
} gr_one_cycle_options;
GR_API gr_schedule gr_one_cycle_with(gr_one_cycle_options o); /* Smith, Topin 2018: base_lr is the peak */
GR_API gr_schedule gr_one_cycle(int64_t total_steps);         /* defaults, momentum left alone */

/* Part i runs for lengths[i] steps and counts them from 0; the last one goes on. parts and lengths are read by gr_optimizer_schedule, which copies. */
GR_API gr_schedule gr_sequence(const gr_schedule *parts, const int64_t *lengths, int n);
GR_API gr_status gr_optimizer_schedule(gr_optimizer *opt, gr_schedule s); /* begins at the next gr_step */

/* Lowers the rates when a measure stops getting better; zero means the default. Keep it beside the optimizer. */
typedef struct gr_plateau {
    bool maximize;    /* better is larger */
    bool absolute;    /* threshold is a difference, not a part of the best */
    double factor;    /* 0.1 */
    int64_t patience; /* 10: so many steps without a better one are borne; negative: none */
    double threshold; /* 1e-4: less is not better */
    int64_t cooldown; /* 0: so many steps after a reduction do not count */
    double min_lr;    /* 0 */
    double eps;       /* 1e-8: smaller changes of a rate are left out */
    struct {
        bool begun;
        double best;
        int64_t bad, cooling;
    } now; /* kept by gr_plateau_step */
} gr_plateau;
GR_API gr_status gr_plateau_step(gr_plateau *p, gr_optimizer *opt, double measure); /* after each epoch */

/* --- averages of the weights --- */

typedef struct gr_ema gr_ema;
typedef struct gr_ema_options {
    double decay;     /* 0.999: mean = decay mean + (1 - decay) w */
    bool no_correction; /* starts from the weights; else from 0, corrected: mean / (1 - decay^t) */
} gr_ema_options;
GR_API gr_ema *gr_ema_new(gr_model *m, gr_ema_options o);
GR_API void gr_ema_free(gr_ema *e);
GR_API gr_status gr_ema_update(gr_ema *e); /* after each gr_step */
GR_API gr_status gr_ema_swap(gr_ema *e);   /* the model gets the means; once more: its weights again, bit for bit */
GR_API const char *gr_ema_error(const gr_ema *e); /* NULL, or why it is inert */

/* --- state as named arrays: gr_save_optimizer and gr_save_ema write them (io.h) --- */

/* Data may be read and written. Anything but GR_OK ends the visit. */
typedef gr_status gr_visit(void *user, const char *name, gr_dtype dtype, const gr_shape *shape, void *data);
GR_API gr_status gr_optimizer_states(gr_optimizer *opt, gr_visit *visit, void *user); /* "fc1.weight.exp_avg", ... */
GR_API gr_status gr_ema_states(gr_ema *e, gr_visit *visit, void *user);

#ifdef __cplusplus
}
#endif
#endif
