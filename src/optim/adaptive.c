/* adaptive.c - rates by the size of past gradients: Adagrad, Adadelta, RMSprop. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

/* Adagrad: s += g^2, w -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps). s starts as
 * initial_accumulator.
 *
 * o.lr                   0 or more; 0 counts as 0.01
 * o.lr_decay             0 or more
 * o.initial_accumulator  0 or more
 * o.eps                  above 0; 0 counts as 1e-10
 * o.weight_decay         0 or more
 *
 * Duchi, Hazan, Singer: Adaptive subgradient methods, JMLR 2011. Free with gr_optimizer_free. */
gr_optimizer *gr_adagrad(gr_model *m, gr_adagrad_options o)
{
    const gr_rule rule = {.name = "adagrad",
                          .formula = "s += g^2, w -= lr/(1+(t-1) lr_decay) g / (sqrt(s) + eps)",
                          .n_states = 1,
                          .state_names = {"sum"},
                          .state_start = {o.initial_accumulator},
                          .options_size = sizeof o,
                          .tile = GR__TILES(adagrad)};
    o.eps = gr__or(o.eps, 1e-10);
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("adagrad", {"lr_decay", o.lr_decay, GR__NOT_NEGATIVE},
                                          {"initial_accumulator", o.initial_accumulator,
                                           GR__NOT_NEGATIVE},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.01), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* Adadelta: each step has the size of the past ones, per unit of the past gradients:
 * s = rho s + (1 - rho) g^2, d = sqrt(u + eps) / sqrt(s + eps) g, u = rho u + (1 - rho) d^2,
 * w -= lr d.
 *
 * o.lr            0 or more; 0 counts as 1
 * o.rho           0 < rho < 1; 0 counts as 0.9
 * o.eps           above 0; 0 counts as 1e-6
 * o.weight_decay  0 or more
 *
 * Zeiler: ADADELTA, an adaptive learning rate method, 2012. Free with gr_optimizer_free. */
gr_optimizer *gr_adadelta(gr_model *m, gr_adadelta_options o)
{
    const gr_rule rule = {.name = "adadelta",
                          .formula = "s = rho s + (1-rho) g^2, d = sqrt(u+eps)/sqrt(s+eps) g, "
                                     "u = rho u + (1-rho) d^2, w -= lr d",
                          .n_states = 2,
                          .state_names = {"square_avg", "acc_delta"},
                          .options_size = sizeof o,
                          .tile = GR__TILES(adadelta)};
    o.rho = gr__or(o.rho, 0.9);
    o.eps = gr__or(o.eps, 1e-6);
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("adadelta", {"rho", o.rho, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 1), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}

/* RMSprop: w -= lr v with v = momentum v + g / (sqrt(s - a^2) + eps), s = alpha s + (1 - alpha) g^2
 * and, if centered, a = alpha a + (1 - alpha) g, else 0.
 *
 * o.lr            0 or more; 0 counts as 0.01
 * o.alpha         0 < alpha < 1; 0 counts as 0.99
 * o.eps           above 0; 0 counts as 1e-8
 * o.momentum      0 <= momentum < 1
 * o.weight_decay  0 or more
 *
 * Tieleman, Hinton: lecture 6.5 of Neural networks for machine learning, 2012; centered: Graves,
 * Generating sequences with recurrent neural networks, 2013. Free with gr_optimizer_free. */
gr_optimizer *gr_rmsprop(gr_model *m, gr_rmsprop_options o)
{
    gr_rule rule = {.name = "rmsprop",
                    .formula =
                        "s = alpha s + (1-alpha) g^2, a = alpha a + (1-alpha) g if centered, "
                        "v = momentum v + g / (sqrt(s - a^2) + eps), w -= lr v",
                    .state_names = {"square_avg"},
                    .n_states = 1,
                    .momentum = o.momentum,
                    .options_size = sizeof o,
                    .tile = GR__TILES(rmsprop)};
    if (o.centered) rule.state_names[rule.n_states++] = "grad_avg";
    if (o.momentum > 0) rule.state_names[rule.n_states++] = "momentum_buffer";
    o.alpha = gr__or(o.alpha, 0.99);
    o.eps = gr__or(o.eps, 1e-8);
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("rmsprop", {"alpha", o.alpha, GR__FRACTION},
                                          {"eps", o.eps, GR__POSITIVE},
                                          {"momentum", o.momentum, GR__BELOW_ONE},
                                          {"weight_decay", o.weight_decay, GR__NOT_NEGATIVE});
    if (bad) return bad;
    return gr__optimizer_with(m, &rule, gr__or(o.lr, 0.01), &o,
                              (gr_param_group){.weight_decay = o.weight_decay,
                                               .maximize = o.maximize});
}
