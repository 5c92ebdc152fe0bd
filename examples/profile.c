/* profile.c - where time and memory go in a training step, and where its gradients vanish. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

enum { BATCH = 64, IN = 256, DEPTH = 12 };

/* Twelve layers with a sigmoid each: what was tried before there were better activations. */
static gr_module *deep_network(gr_model *m)
{
    gr_module *layers[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", i + 1);
        layers[i] = gr_named(name, gr_sequential(m, GR_LIST(gr_linear_layer(m, IN, IN),
                                                            gr_sigmoid_layer(m))));
    }
    return gr_sequential(m, layers, DEPTH);
}

static gr_tensor *loss_of(gr_graph *g, gr_module *net)
{
    gr_tensor *x = gr_randn(g, GR_F32, GR_SHAPE(BATCH, IN));
    return gr_mse(gr_forward(net, x), gr_zeros(g, GR_F32, GR_SHAPE(BATCH, IN)));
}

/* [profile] */
static void profile_training(gr_module *net, gr_optimizer *opt)
{
    static char text[16384];
    gr_graph *g = gr_graph_new();
    gr_profile *p = gr_profile_new((gr_profile_options){0});
    gr_graph_profile(g, p);
    for (int step = 0; step < 5; step++, gr_graph_reset(g))
        if (gr_backward(loss_of(g, net)) || gr_step(opt)) break;
    gr_profile_text(p, text, sizeof text);
    puts(text);
    gr_graph_free(g);
    gr_profile_free(p);
}
/* [end] */

/* [flow] */
static int count_vanishing(gr_module *net)
{
    static char text[16384];
    gr_flow f;
    gr_graph *g = gr_graph_new();
    if (gr_flow_measure(loss_of(g, net), (gr_flow_options){.by = GR_FLOW_PARAMS}, &f))
        puts(gr_last_error());
    gr_flow_text(&f, text, sizeof text);
    puts(text);
    int vanishing = f.count[GR_FLOW_VANISHING];
    gr_flow_release(&f);
    gr_graph_free(g);
    return vanishing;
}
/* [end] */

int main(void)
{
    gr_model *m = gr_model_new();
    gr_module *net = deep_network(m);
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.1});
    int vanishing = count_vanishing(net);
    profile_training(net, opt);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return vanishing == 0; /* they do vanish */
}
