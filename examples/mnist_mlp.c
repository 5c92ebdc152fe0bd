/* mnist_mlp.c - two hidden layers of 500 for MNIST (its folder as argument; else the digits). */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    gr_dataset *train = argc > 1 ? gr_mnist(argv[1], true) : gr_digits();
    gr_dataset *test = train && argc > 1 ? gr_mnist(argv[1], false) : NULL;
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(
        m, GR_LIST(gr_flatten_layer(m), gr_linear_layer(m, argc > 1 ? 28 * 28 : 8 * 8, 500),
                   gr_relu_layer(m), gr_linear_layer(m, 500, 500), gr_relu_layer(m),
                   gr_linear_layer(m, 500, 10))); /* the loss, cross-entropy, has the softmax */
    gr_optimizer *adam = gr_adam(m, (gr_adam_options){0});
    gr_fit_options o = {.batch = 100, .epochs = 20, .progress = true, .validation = test};
    gr_history h = {0};
    if (argc == 1) o.validation_split = 0.2;
    gr_status status = test || argc == 1 ? gr_fit(net, adam, train, o, &h) : GR_ERR_FILE;
    if (status) fprintf(stderr, "mnist_mlp: %s\n", gr_last_error());
    else printf("accuracy %.2f%%\n", 100 * h.epochs[h.n - 1].val_accuracy);
    gr_history_release(&h);
    gr_optimizer_free(adam);
    gr_model_free(m);
    gr_dataset_free(train);
    gr_dataset_free(test);
    return status;
}
