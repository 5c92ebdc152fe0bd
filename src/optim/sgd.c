/* sgd.c - one rate for all: gradient descent, with momentum, and by signs. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

/* Gradient descent: w -= lr v with v = momentum v + (1 - dampening) g; v starts as the first g.
 * With nesterov w -= lr (g + momentum v).
 *
 * o.lr            0 or more; 0 counts as 0.01
 * o.momentum      0 <= momentum < 1
 * o.dampening     0 <= dampening < 1
 * o.weight_decay  0 or more
 * o.nesterov      needs a momentum, and no dampening
 *
 * Polyak 1964; Sutskever, Martens, Dahl, Hinton, ICML 2013. Free with gr_optimizer_free. */
gr_optimizer *gr_sgd(gr_model *m, gr_sgd_options o)
{
    const gr_rule plain = {.name = "sgd",
                           .formula = "w -= lr g",
                           .options_size = sizeof o,
                           .tile = GR__TILES(sgd)};
    const gr_rule momentum = {.name = "sgd",
                              .formula = o.nesterov
                                             ? "v = momentum v + g, w -= lr (g + momentum v)"
                                             : "v = momentum v + (1 - dampening) g, w -= lr v",
                              .n_states = 1,
                              .state_names = {"momentum_buffer"},
                              .momentum = o.momentum,
                              .options_size = sizeof o,
                              .tile = GR__TILES(momentum)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("sgd", {"momentum", o.momentum, GR__BELOW_ONE},
                                          {"dampening", o.dampening, GR__BELOW_ONE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    if (o.nesterov && (o.momentum == 0 || o.dampening > 0))
        return gr__optimizer_inert(GR_ERR_ARGUMENT,
                                   "sgd: nesterov needs a momentum above 0 and no "
                                   "dampening, got %g and %g",
                                   o.momentum, o.dampening);
    return gr__optimizer_with(m, o.momentum > 0 ? &momentum : &plain, gr__or(o.lr, 0.01), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* Lion: w -= lr sign(beta1 m + (1 - beta1) g), then m = beta2 m + (1 - beta2) g: every element moves
 * by lr, so the rate is a third to a tenth of Adam's. The decay is decoupled.
 *
 * o.lr            0 or more; 0 counts as 0.0001
 * o.beta1, beta2  0 < beta < 1; 0 counts as 0.9 and 0.99
 * o.weight_decay  0 or more
 *
 * Chen et al.: Symbolic discovery of optimization algorithms, NeurIPS 2023. Free with
 * gr_optimizer_free. */
gr_optimizer *gr_lion(gr_model *m, gr_lion_options o)
{
    o.beta1 = gr__or(o.beta1, 0.9);
    o.beta2 = gr__or(o.beta2, 0.99);
    const gr_rule rule = {.name = "lion",
                          .formula = "w -= lr sign(b1 m + (1-b1) g), m = b2 m + (1-b2) g",
                          .n_states = 1,
                          .state_names = {"exp_avg"},
                          .momentum = o.beta1,
                          .options_size = sizeof o,
                          .tile = GR__TILES(lion)};
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("lion", {"beta1", o.beta1, GR__FRACTION},
                                          {"beta2", o.beta2, GR__FRACTION},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.0001), &o,
                              (gr_param_group){.decoupled_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* Resilient propagation: each element of w moves against the sign of its gradient by a step h of its
 * own, which grows while the sign stays and shrinks when it changes; after a change one step is
 * left out. Only the signs count, so the gradient must be that of the whole data set.
 *
 * o.lr                   0 or more; 0 counts as 0.01: the first h, changed by no schedule later
 * o.eta_minus, eta_plus  0 < eta_minus < 1 < eta_plus; 0 counts as 0.5 and 1.2
 * o.step_min, step_max   the bounds of h; 0 counts as 1e-6 and 50
 *
 * Riedmiller, Braun: A direct adaptive method for faster backpropagation learning, 1993; as PyTorch
 * does it. Free with gr_optimizer_free. */
gr_optimizer *gr_rprop(gr_model *m, gr_rprop_options o)
{
    const gr_rule rule = {.name = "rprop",
                          .formula = "h *= eta_plus or eta_minus, w -= h sign(g)",
                          .n_states = 2,
                          .state_names = {"prev", "step_size"},
                          .options_size = sizeof o,
                          .tile = GR__TILES(rprop)};
    o.eta_minus = gr__or(o.eta_minus, 0.5);
    o.eta_plus = gr__or(o.eta_plus, 1.2);
    o.step_min = gr__or(o.step_min, 1e-6);
    o.step_max = gr__or(o.step_max, 50);
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("rprop", {"eta_minus", o.eta_minus, GR__FRACTION},
                                          {"eta_plus - 1", o.eta_plus - 1, GR__POSITIVE},
                                          {"step_min", o.step_min, GR__POSITIVE},
                                          {"step_max - step_min", o.step_max - o.step_min,
                                           GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.01), &o,
                              (gr_param_group){.maximize = o.maximize});
}
