/* adam.c - rates by the moments of each element's gradient: Adam and its kin.
 *
 * m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2 start at 0; m^ = m / (1 - beta1^t) and
 * v^ = v / (1 - beta2^t) correct for that. What depends on t alone is computed once per parameter and
 * step: the `begin` of each rule. beta1 is the momentum that a schedule may move.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* 1 - beta^t */
static double corrected(double beta, int64_t t)
{
    return 1 - pow(beta, (double)t);
}

/* --- adam, adamw, adamax --- */

static void begin_adam(const gr_update *u, double *scalar)
{
    const gr_adam_options *o = u->options;
    scalar[0] = u->lr / corrected(u->momentum, u->step);
    scalar[1] = sqrt(corrected(o->beta2, u->step));
}

static gr_optimizer *adam(gr_model *m, const char *name, gr_adam_options o, gr_param_group settings)
{
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.999);
    o.eps = gr__or(o.eps, 1e-8);
    gr_rule rule = {.name = name,
                    .formula = "m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, "
                               "w -= lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)",
                    .n_states = 2,
                    .state_names = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
                    .momentum = o.beta1,
                    .options_size = sizeof o,
                    .begin = begin_adam,
                    .tile = GR__TILES(adam)};
    const gr_rule amsgrad = {.tile = GR__TILES(amsgrad)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS(name, {"beta1", o.beta1, GR__FRACTION},
                                          {"beta2", o.beta2, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    if (o.amsgrad) {
        rule.n_states = 3;
        rule.formula =
            "m and v as adam, u = max(u, v), w -= lr m/(1-b1^t) / (sqrt(u/(1-b2^t)) + eps)";
        for (int k = 0; k < GR_DTYPES; k++) rule.tile[k] = amsgrad.tile[k];
    }
    settings.maximize = o.maximize;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.001), &o, settings);
}

/* Adam: w -= lr m^ / (sqrt(v^) + eps). With amsgrad the largest v so far takes the place of v.
 *
 * o.lr            0 or more; 0 counts as 0.001
 * o.beta1, beta2  0 < beta < 1; 0 counts as 0.9 and 0.999
 * o.eps           above 0; 0 counts as 1e-8
 * o.weight_decay  0 or more: part of g
 *
 * Kingma, Ba: Adam: a method for stochastic optimization, ICLR 2015; Reddi, Kale, Kumar: On the
 * convergence of Adam and beyond, ICLR 2018. Free with gr_optimizer_free. */
gr_optimizer *gr_adam(gr_model *m, gr_adam_options o)
{
    return adam(m, "adam", o, (gr_param_group){.weight_decay = o.weight_decay});
}

/* Adam whose weight_decay, 0.01 where it is 0, shrinks w apart from the gradient:
 * w -= lr weight_decay w. Otherwise as gr_adam; without decay use that.
 *
 * Loshchilov, Hutter: Decoupled weight decay regularization, ICLR 2019. */
gr_optimizer *gr_adamw(gr_model *m, gr_adam_options o)
{
    o.weight_decay = gr__or(o.weight_decay, 0.01);
    return adam(m, "adamw", o, (gr_param_group){.decoupled_decay = o.weight_decay});
}

static void begin_adamax(const gr_update *u, double *scalar)
{
    scalar[0] = u->lr / corrected(u->momentum, u->step);
}

/* Adamax, Adam with the largest gradient in place of the mean square: u = max(beta2 u, |g| + eps),
 * w -= lr m^ / u.
 *
 * o.lr            0 or more; 0 counts as 0.002
 * o.beta1, beta2  0 < beta < 1; 0 counts as 0.9 and 0.999
 * o.eps           above 0; 0 counts as 1e-8
 * o.weight_decay  0 or more
 *
 * Kingma, Ba: Adam: a method for stochastic optimization, ICLR 2015, section 7. Free with
 * gr_optimizer_free. */
gr_optimizer *gr_adamax(gr_model *m, gr_adamax_options o)
{
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.999);
    o.eps = gr__or(o.eps, 1e-8);
    const gr_rule rule = {.name = "adamax",
                          .formula = "m = b1 m + (1-b1) g, u = max(b2 u, |g| + eps), "
                                     "w -= lr m/(1-b1^t) / u",
                          .n_states = 2,
                          .state_names = {"exp_avg", "exp_inf"},
                          .momentum = o.beta1,
                          .options_size = sizeof o,
                          .begin = begin_adamax,
                          .tile = GR__TILES(adamax)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("adamax", {"beta1", o.beta1, GR__FRACTION},
                                          {"beta2", o.beta2, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.002), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* --- nadam --- */

/* beta1 (1 - 0.96^(t momentum_decay) / 2): the weight of the past at step t. */
static double mu_at(const gr_update *u, int64_t t)
{
    const gr_nadam_options *o = u->options;
    return u->momentum * (1 - 0.5 * pow(0.96, (double)t * o->momentum_decay));
}

static void begin_nadam(const gr_update *u, double *scalar)
{
    const gr_nadam_options *o = u->options;
    double mu = mu_at(u, u->step), next = mu_at(u, u->step + 1);
    scalar[0] = (u->step == 1 ? 1 : scalar[0]) * mu;
    scalar[1] = u->lr * (1 - mu) / (1 - scalar[0]);
    scalar[2] = u->lr * next / (1 - scalar[0] * next);
    scalar[3] = corrected(o->beta2, u->step);
}

/* NAdam, Adam with Nesterov's look ahead, and a momentum that warms up:
 * mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2),
 * w -= lr ((1 - mu_t) g / (1 - mu_1..mu_t) + mu_t+1 m / (1 - mu_1..mu_t+1)) / (sqrt(v^) + eps).
 *
 * o.lr              0 or more; 0 counts as 0.002
 * o.beta1, beta2    0 < beta < 1; 0 counts as 0.9 and 0.999
 * o.eps             above 0; 0 counts as 1e-8
 * o.momentum_decay  above 0; 0 counts as 0.004
 * o.weight_decay    0 or more
 *
 * Dozat: Incorporating Nesterov momentum into Adam, 2016. Free with gr_optimizer_free. */
gr_optimizer *gr_nadam(gr_model *m, gr_nadam_options o)
{
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.999);
    o.eps = gr__or(o.eps, 1e-8);
    o.momentum_decay = gr__or(o.momentum_decay, 0.004);
    const gr_rule rule = {.name = "nadam",
                          .formula =
                              "mu_t = b1 (1 - 0.96^(t momentum_decay)/2), m and v as adam, "
                              "w -= lr ((1-mu_t) g/(1-prod mu) + mu_t+1 m/(1-prod mu mu_t+1))"
                              " / (sqrt(v/(1-b2^t)) + eps)",
                          .n_states = 2,
                          .state_names = {"exp_avg", "exp_avg_sq"},
                          .momentum = o.beta1,
                          .options_size = sizeof o,
                          .begin = begin_nadam,
                          .tile = GR__TILES(nadam)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("nadam", {"beta1", o.beta1, GR__FRACTION},
                                          {"beta2", o.beta2, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"momentum_decay", o.momentum_decay, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.002), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* --- radam --- */

static void begin_radam(const gr_update *u, double *scalar)
{
    const gr_radam_options *o = u->options;
    double rest = corrected(o->beta2, u->step), most = 2 / (1 - o->beta2) - 1;
    double r = most - 2 * (double)u->step * (1 - rest) / rest;
    scalar[0] = u->lr / corrected(u->momentum, u->step);
    scalar[1] = r > 5 ? sqrt(rest * (r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r)) : 0;
}

/* RAdam, Adam that leaves v out until enough gradients were seen to trust it, then trusts it by
 * degrees: with r_t = r - 2 t beta2^t / (1 - beta2^t), r = 2 / (1 - beta2) - 1,
 * w -= lr m^ sqrt((r_t-4) (r_t-2) r / ((r-4) (r-2) r_t)) / sqrt(v^)   while r_t > 5, else w -= lr m^.
 *
 * o.lr            0 or more; 0 counts as 0.001
 * o.beta1, beta2  0 < beta < 1; 0 counts as 0.9 and 0.999
 * o.eps           above 0; 0 counts as 1e-8: added to sqrt(v)
 * o.weight_decay  0 or more
 *
 * Liu et al.: On the variance of the adaptive learning rate and beyond, ICLR 2020. Free with
 * gr_optimizer_free. */
gr_optimizer *gr_radam(gr_model *m, gr_radam_options o)
{
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.999);
    o.eps = gr__or(o.eps, 1e-8);
    const gr_rule rule = {.name = "radam",
                          .formula = "m and v as adam, w -= lr m/(1-b1^t) rect(t) "
                                     "sqrt(1-b2^t) / (sqrt(v) + eps), at first w -= lr m/(1-b1^t)",
                          .n_states = 2,
                          .state_names = {"exp_avg", "exp_avg_sq"},
                          .momentum = o.beta1,
                          .options_size = sizeof o,
                          .begin = begin_radam,
                          .tile = GR__TILES(radam)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("radam", {"beta1", o.beta1, GR__FRACTION},
                                          {"beta2", o.beta2, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.001), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}
