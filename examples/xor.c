/* xor.c - a network learns exclusive or: the shortest useful program. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

int main(void)
{
    static const float inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    static const float targets[4][1] = {{0}, {1}, {1}, {0}};

    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 8), gr_tanh_layer(m),
                                              gr_linear_layer(m, 8, 1)));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.05});
    gr_graph *g = gr_graph_new();

    for (int step = 0; step <= 100; step++, gr_graph_reset(g)) {
        gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(4, 2), inputs);
        gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(4, 1), targets);
        gr_tensor *y = gr_forward(net, x), *loss = gr_mse(y, t);
        if (gr_backward(loss) || gr_step(opt)) break;
        if (step % 25 == 0) printf("step %3d  loss %.6f\n", step, gr_item(loss));
    }

    gr_tensor *y = gr_forward(net, gr_from_data(g, GR_F32, GR_SHAPE(4, 2), inputs));
    const float *p = gr_data(y);
    for (int i = 0; p && i < 4; i++)
        printf("%g xor %g = %.3f\n", (double)inputs[i][0], (double)inputs[i][1], (double)p[i]);

    const char *error = gr_graph_error(g);
    if (error) fprintf(stderr, "xor: %s\n", error);
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return error != NULL;
}
