/* adam.c - Adam: rates adapted to the moments of each parameter's gradient. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, both corrected for their start at 0,
 * then w -= lr m / (sqrt(v) + eps). As PyTorch's Adam; g includes weight_decay w.
 *
 * o.lr            0 or more; 0 counts as 0.001
 * o.beta1, beta2  0 < beta < 1; 0 counts as 0.9 and 0.999
 * o.eps           above 0; 0 counts as 1e-8
 * o.weight_decay  0 or more
 *
 * Kingma, Ba: Adam: a method for stochastic optimization, ICLR 2015. Free with
 * gr_optimizer_free. */
gr_optimizer *gr_adam(gr_model *m, gr_adam_options o)
{
    const gr_rule rule = {.name = "adam",
                          .formula = "m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, "
                                     "w -= lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps)",
                          .n_states = 2,
                          .state_names = {"exp_avg", "exp_avg_sq"},
                          .options_size = sizeof o,
                          .tile = {[GR_F32] = gr__rules_f32.adam, [GR_F64] = gr__rules_f64.adam}};
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.999);
    o.eps = gr__or(o.eps, 1e-8);
    if (!(o.beta1 > 0 && o.beta1 < 1 && o.beta2 > 0 && o.beta2 < 1))
        return gr__optimizer_inert(GR_ERR_ARGUMENT,
                                   "adam: expected betas between 0 and 1, got %g "
                                   "and %g",
                                   o.beta1, o.beta2);
    if (!(o.eps > 0 && isfinite(o.eps) && o.weight_decay >= 0 && isfinite(o.weight_decay)))
        return gr__optimizer_inert(GR_ERR_ARGUMENT,
                                   "adam: expected eps above 0 and weight_decay of "
                                   "0 or more, got %g and %g",
                                   o.eps, o.weight_decay);
    return gr_optimizer_new(m, &rule, gr__or(o.lr, 0.001), &o);
}
