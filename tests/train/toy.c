/* toy.c - a data set that is learned in a moment. */
/* SPDX-License-Identifier: MIT */
#include "toy.h"

gr_dataset *toy_stripes(int64_t n)
{
    gr_dataset *d = gr_dataset_new((gr_shape){1, {2}}, n, 3);
    for (int64_t i = 0; d && i < n; i++) {
        d->x[2 * i] = (float)(i % 97) / 97;
        d->x[2 * i + 1] = (float)(i % 31) / 31;
        d->y[i] = (int64_t)(3 * (double)d->x[2 * i]);
    }
    return d;
}

toy toy_new(uint64_t seed, double lr)
{
    toy t = {.model = gr_model_new()};
    gr_model_seed(t.model, seed);
    t.net = gr_sequential(t.model,
                          GR_LIST(gr_linear_layer(t.model, 2, 16), gr_relu_layer(t.model),
                                  gr_dropout_layer(t.model, 0.1), gr_linear_layer(t.model, 16, 3)));
    t.opt = gr_adam(t.model, (gr_adam_options){.lr = lr});
    return t;
}

void toy_free(toy *t)
{
    gr_optimizer_free(t->opt);
    gr_model_free(t->model);
}
