/* sgd.c - stochastic gradient descent, with momentum. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* w -= lr v with v = momentum v + g + weight_decay w; with nesterov w -= lr (g + ... + momentum v).
 * v starts as the first gradient. As PyTorch's SGD with dampening 0.
 *
 * o.lr            0 or more; 0 counts as 0.01
 * o.momentum      0 <= momentum < 1
 * o.weight_decay  0 or more
 * o.nesterov      needs a momentum
 *
 * Polyak, 1964; Sutskever, Martens, Dahl, Hinton, ICML 2013. Free with gr_optimizer_free. */
gr_optimizer *gr_sgd(gr_model *m, gr_sgd_options o)
{
    const gr_rule plain = {.name = "sgd",
                           .formula = "w -= lr (g + decay w)",
                           .options_size = sizeof o,
                           .tile = {[GR_F32] = gr__rules_f32.sgd, [GR_F64] = gr__rules_f64.sgd}};
    const gr_rule momentum = {
        .name = "sgd",
        .formula = o.nesterov ? "v = momentum v + g + decay w, w -= lr (g + decay w + momentum v)"
                              : "v = momentum v + g + decay w, w -= lr v",
        .n_states = 1,
        .state_names = {"momentum_buffer"},
        .options_size = sizeof o,
        .tile = {[GR_F32] = gr__rules_f32.momentum, [GR_F64] = gr__rules_f64.momentum}};
    if (!(o.momentum >= 0 && o.momentum < 1))
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "sgd: expected 0 <= momentum < 1, got %g",
                                   o.momentum);
    if (!(o.weight_decay >= 0 && isfinite(o.weight_decay)))
        return gr__optimizer_inert(GR_ERR_ARGUMENT,
                                   "sgd: expected a weight_decay of 0 or more, "
                                   "got %g",
                                   o.weight_decay);
    if (o.nesterov && o.momentum == 0)
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "sgd: nesterov needs a momentum above 0");
    return gr_optimizer_new(m, o.momentum > 0 ? &momentum : &plain, gr__or(o.lr, 0.01), &o);
}
