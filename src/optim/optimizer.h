/* optimizer.h - what the files of src/optim share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__OPTIMIZER_H
#define GR__OPTIMIZER_H

#include "base.h"
#include "clones.h"
#include <gradus/optim.h>

enum { GR__CHUNK = 16384 }; /* elements that one thread takes at a time */

/* --- an optimizer --- */

/* What a group asks of a gradient g before the rule sees it:
 *   d = clamp(scale g, -limit, limit) + decay w + l1 sign(w), then w = keep w */
typedef struct gr__tuning {
    bool plain; /* d is g and w stays */
    double scale, limit, decay, l1, keep;
} gr__tuning;

typedef struct gr__group {
    char *pattern; /* NULL: of the first group, which holds what fits no other */
    gr_param_group settings;
    double lr, momentum; /* of the running step */
    gr__tuning tuning;
} gr__group;

/* A parameter with the states of the rule. */
typedef struct gr__slot {
    gr_param *param; /* counted */
    void *states;    /* rule.n_states arrays of the parameter's size */
    double scalars[GR_RULE_SCALARS];
    int64_t steps; /* taken with this parameter */
    int64_t numel; /* of the parameter */
    int group;
    gr_dtype dtype;
    /* Of the running step: */
    int64_t first, count; /* its place on the line */
    const int64_t *rows;  /* of which the line has the elements; NULL: all of them */
    gr_update whole;      /* n 0: no gradient, no step */
} gr__slot;

typedef struct gr__lbfgs gr__lbfgs;

struct gr_optimizer {
    gr_model *model;
    gr_rule rule; /* a copy */
    void *options;
    gr__slot *slots;
    int n_slots;
    gr__group *groups; /* at least one */
    int n_groups;
    bool regroup;     /* groups have changed since the slots were given theirs */
    double *partials; /* of sums over all gradients, one for each chunk */
    gr__lbfgs *lbfgs; /* NULL: the rule does it */
    double base_lr;
    double clip_norm;     /* 0: none */
    gr_schedule schedule; /* its lr NULL: none */
    gr_schedule *parts;   /* a copy of those of a sequence */
    int64_t scheduled;    /* the step at which it began */
    int64_t steps;
    gr_status status;
    char message[400];
};

/* An optimizer that does nothing but say why: what constructors return on failure. */
gr_optimizer *gr__optimizer_inert(gr_status status, const char *format, ...) GR_PRINTF(2, 3);
/* Whether a call can be: GR_OK, else the error is set, of NULL too. */
gr_status gr__optimizer_check(const gr_optimizer *opt, const char *call);
/* gr_optimizer_new with settings for all parameters. */
gr_optimizer *gr__optimizer_with(gr_model *m, const gr_rule *rule, double lr, const void *options,
                                 gr_param_group settings);
/* Leaves in each group the rates of the step to come. */
void gr__optimizer_rates(gr_optimizer *opt);

/* --- options --- */

/* Zero means the default. */
static inline double gr__or(double value, double otherwise)
{
    return value == 0 ? otherwise : value;
}

typedef struct gr__bound {
    const char *name;
    double value;
    enum { GR__NOT_NEGATIVE, GR__POSITIVE, GR__BELOW_ONE, GR__FRACTION } kind;
} gr__bound;

/* NULL, or an inert optimizer that names the first option out of its bounds. */
gr_optimizer *gr__out_of_bounds(const char *name, const gr__bound *bounds, int n);
#define GR__OUT_OF_BOUNDS(name, ...)                          \
    gr__out_of_bounds(name, (const gr__bound[]){__VA_ARGS__}, \
                      (int)(sizeof((const gr__bound[]){__VA_ARGS__}) / sizeof(gr__bound)))

/* --- slots.c --- */

/* One slot for each parameter of the model, those added since the last step too. */
gr_status gr__need_slots(gr_optimizer *opt);
/* Lays the slot on the line from place `first` on, if it has a gradient. */
void gr__slot_place(const gr_optimizer *opt, gr__slot *s, int64_t first);
/* Lays the parameters that have a gradient on the line; returns its length, -1 if none has. */
int64_t gr__line_up(gr_optimizer *opt);
int64_t gr__row_length(const gr__slot *s); /* of w[i], or all of a vector */
/* What lies at places at .. to of the slot's part of the line, as far as it lies together in the
 * parameter: elements *begin .. *end. Returns the place of the next. */
int64_t gr__run_at(const gr__slot *s, int64_t at, int64_t to, int64_t *begin, int64_t *end);
/* The last slot that begins at or before `at`: it, or one with elements after it, holds that. */
int gr__slot_at(const gr_optimizer *opt, int64_t at);
/* The square root of the sum of all squares on the line. */
double gr__line_norm(gr_optimizer *opt, int64_t length);

/* --- step.c: the parts of a step --- */

gr_status gr__step_check(gr_optimizer *opt, const char *name); /* that it can take one; slots */
void gr__step_prepare(gr_optimizer *opt, double clip);         /* rates, and what groups ask for */
void gr__step_line(gr_optimizer *opt, int64_t length);         /* updates what lies on the line */
void gr__step_slot(gr_optimizer *opt, gr__slot *s); /* or one parameter alone, at its place 0 */
gr_status gr__step_end(gr_optimizer *opt);          /* counts it and clears gradients */

/* --- lbfgs.c --- */

gr_status gr__lbfgs_step(gr_optimizer *opt, gr_closure *closure, void *user, double *loss);
void gr__lbfgs_free(gr__lbfgs *l);

/* --- rules_real.c, once per dtype --- */

typedef void gr__rule_fn(const gr_update *u);
typedef struct gr__rules {
    gr__rule_fn *sgd, *momentum, *adagrad, *adadelta, *rmsprop, *adam, *amsgrad, *adamax, *nadam,
        *radam, *rprop, *lion;
} gr__rules;

extern const gr__rules gr__rules_f32, gr__rules_f64;
#define GR__TILES(rule)                                              \
    {                                                                \
        [GR_F32] = gr__rules_f32.rule, [GR_F64] = gr__rules_f64.rule \
    }

/* --- around_real.c, once per dtype: what surrounds a rule --- */

typedef struct gr__around {
    void (*tune)(const gr__tuning *t, int64_t n, const void *g, void *w, void *d);
    double (*sum_squares)(int64_t n, const void *x);
    bool (*all_zero)(int64_t n, const void *x);
    void (*cut_negative)(int64_t n, void *w);
    void (*scale)(int64_t n, void *w, double factor);
    void (*blend)(int64_t n, void *mean, const void *w, double rate); /* mean += rate (w - mean) */
    void (*fill)(int64_t n, void *x, double value);
} gr__around;

extern const gr__around gr__around_f32, gr__around_f64;

static inline const gr__around *gr__around_of(gr_dtype dtype)
{
    return dtype == GR_F64 ? &gr__around_f64 : &gr__around_f32;
}

#endif
