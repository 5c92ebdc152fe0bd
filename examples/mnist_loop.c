/* mnist_loop.c - the same network as in mnist_mlp.c, trained by a loop of its own. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

int main(void)
{
    gr_dataset *data = gr_digits();
    gr_loader *loader = gr_loader_new(data, (gr_loader_options){.batch = 100, .shuffle = true});
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 64, 500), gr_relu_layer(m),
                                              gr_linear_layer(m, 500, 500), gr_relu_layer(m),
                                              gr_linear_layer(m, 500, 10)));
    gr_optimizer *adam = gr_adam(m, (gr_adam_options){0});
    gr_graph *g = gr_graph_new();
    gr_status status = loader ? GR_OK : GR_ERR_MEMORY;
    for (int epoch = 1; epoch <= 5 && !status; epoch++) {
        double hits = 0;
        for (gr_batch b; !status && gr_next(loader, &b); gr_graph_reset(g)) {
            gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(b.n, 64), b.x);
            gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(b.n), b.y), *z = gr_forward(net, x);
            hits += gr_item(gr_sum_all(gr_equal(gr_argmax(z, 1), t)));
            if (!(status = gr_backward(gr_cross_entropy(z, t)))) status = gr_step(adam);
        }
        printf("epoch %d  accuracy %.2f%%\n", epoch, 100 * hits / (double)data->n);
    }
    if (status) fprintf(stderr, "mnist_loop: %s\n", gr_last_error());
    gr_graph_free(g);
    gr_optimizer_free(adam);
    gr_model_free(m);
    gr_loader_free(loader);
    gr_dataset_free(data);
    return status;
}
