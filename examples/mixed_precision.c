/* mixed_precision.c - the same training with products of float32 and of bfloat16. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

/* [fit] */
/* The accuracy on data that was not trained on; below 0 when something failed. */
static double train(const gr_dataset *digits, gr_precision precision)
{
    gr_model *m = gr_model_new();
    gr_model_seed(m, 1);
    gr_module *net = gr_sequential(m, GR_LIST(gr_flatten_layer(m), gr_linear_layer(m, 64, 128),
                                              gr_relu_layer(m), gr_linear_layer(m, 128, 10)));
    gr_optimizer *adam = gr_adam(m, (gr_adam_options){0});
    gr_history h = {0};
    gr_status status = gr_fit(net, adam, digits,
                              (gr_fit_options){.batch = 128,
                                               .epochs = 10,
                                               .seed = 1,
                                               .validation_split = 0.2,
                                               .precision = precision},
                              &h);
    double accuracy = status ? -1 : h.epochs[h.n - 1].val_accuracy;
    gr_history_release(&h);
    gr_optimizer_free(adam);
    gr_model_free(m);
    return accuracy;
}
/* [end] */

/* [graph] */
/* How far a product of rounded operands is from 1. */
static double rounding_error(void)
{
    gr_graph *g = gr_graph_new();
    gr_graph_set_precision(g, GR_PRECISION_BFLOAT16); /* before anything is recorded */
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(64, 64), 1.0 / 64 + 1e-5);
    gr_tensor *y = gr_matmul(x, gr_ones(g, GR_F32, GR_SHAPE(64, 64)));
    double error = gr_item(gr_sub(gr_mean_all(y), gr_scalar(g, GR_F32, 1)));
    printf("products are of %s: 64 times 1/64 + 1e-5 is 1 + %.5f\n",
           gr_graph_precision(g) == GR_PRECISION_BFLOAT16 ? "bfloat16" : "float32", error);
    gr_graph_free(g);
    return error;
}
/* [end] */

int main(void)
{
    gr_dataset *digits = gr_digits();
    double plain = train(digits, GR_PRECISION_FLOAT32);
    double rounded = train(digits, GR_PRECISION_BFLOAT16);
    printf("accuracy with float32 %.2f%%, with bfloat16 %.2f%%\n", 100 * plain, 100 * rounded);
    gr_dataset_free(digits);
    return plain < 0.9 || rounded < 0.9 || rounding_error() > 0.01;
}
