/* networks.c - layers and networks, most of them with kinks. */
/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <gradus/ops.h>

typedef gr_module *build_fn(trial *t, gr_model *m);

static gr_tensor *mean_square(gr_tensor *y, void *user)
{
    (void)user;
    return gr_mean_all(gr_square(y));
}

static void check_module(trial *t, build_fn *build)
{
    gr_model *m = gr_model_new();
    gr_model_seed(m, t->seed);
    gr_module *net = build(t, m);
    gr_gradcheck_module(net, &t->in[0], t->seed % 3 ? NULL : mean_square, NULL, t->options,
                        &t->report);
    gr_model_free(m);
}

static gr_module *random_activation(trial *t, gr_model *m)
{
    switch (trial_pick(t, 0, 7)) {
    case 0: return gr_relu_layer(m);
    case 1: return gr_leaky_relu_layer(m, 0.05);
    case 2: return gr_sigmoid_layer(m);
    case 3: return gr_tanh_layer(m);
    case 4: return gr_gelu_layer(m);
    case 5: return gr_softplus_layer(m);
    case 6: return gr_dropout_layer(m, 0.4);
    default: return gr_function_layer(m, "abs", gr_abs);
    }
}

static gr_module *build_layers(trial *t, gr_model *m)
{
    int64_t in = trial_pick(t, 1, 9), hidden = trial_pick(t, 1, 9);
    trial_floats(t, GR_SHAPE(trial_pick(t, 1, 8), in), -1, 1);
    gr_linear_options plain = {.no_bias = trial_pick(t, 0, 1)};
    return gr_sequential(m, GR_LIST(gr_linear_layer_with(m, in, hidden, plain),
                                    random_activation(t, m),
                                    gr_linear_layer(m, hidden, trial_pick(t, 1, 6)),
                                    random_activation(t, m)));
}

/* 64 rows through 2 times 240 relus: 30,720 kinks. */
static gr_module *build_deep_relu(trial *t, gr_model *m)
{
    trial_floats(t, GR_SHAPE(64, 20), -1, 1);
    return gr_sequential(m, GR_LIST(gr_linear_layer(m, 20, 240), gr_relu_layer(m),
                                    gr_linear_layer(m, 240, 240), gr_relu_layer(m),
                                    gr_linear_layer(m, 240, 10)));
}

static gr_module *build_dropout(trial *t, gr_model *m)
{
    trial_floats(t, GR_SHAPE(16, 12), -1, 1);
    return gr_sequential(m, GR_LIST(gr_dropout_layer(m, 0.2), gr_linear_layer(m, 12, 40),
                                    gr_relu_layer(m), gr_dropout_layer(m, 0.5),
                                    gr_linear_layer(m, 40, 30), gr_tanh_layer(m),
                                    gr_dropout_layer(m, 0.3), gr_linear_layer(m, 30, 4)));
}

/* The larger of the two halves of the features. */
static gr_tensor *maxout(gr_tensor *x)
{
    int64_t half = gr_shape_of(x)->dim[1] / 2;
    gr_tensor *a = gr_slice(x, 1, 0, half, 1), *b = gr_slice(x, 1, half, 2 * half, 1);
    return gr_sub(gr_maximum(a, b), gr_minimum(b, gr_scale(a, 0.3)));
}

static gr_module *build_maxout(trial *t, gr_model *m)
{
    trial_floats(t, GR_SHAPE(16, 12), -1, 1);
    return gr_sequential(m,
                         GR_LIST(gr_linear_layer(m, 12, 80), gr_function_layer(m, "maxout", maxout),
                                 gr_linear_layer(m, 40, 60), gr_function_layer(m, "maxout", maxout),
                                 gr_linear_layer(m, 30, 5)));
}

/* Pixels in [0, 1); every second batch has blank margins, where windows tie and relus see 0. */
static void add_images(trial *t, int64_t batch, int64_t size)
{
    trial_floats(t, GR_SHAPE(batch, 1, size, size), 0, 1);
    double *pixels = t->data[0];
    int64_t margin = t->seed % 2 ? size / 4 : 0;
    for (int64_t i = 0; i < batch * size * size; i++) {
        int64_t row = i / size % size, column = i % size;
        bool inside = row >= margin && row < size - margin && column >= margin;
        if (!inside) pixels[i] = 0;
    }
}

static gr_module *build_pooled(trial *t, gr_model *m)
{
    const gr_conv2d_layer_options same = {.conv = {.padding = {1, 1}}};
    add_images(t, 2, 12);
    return gr_sequential(m, GR_LIST(gr_conv2d_layer(m, 1, 6, 3, same), gr_relu_layer(m),
                                    gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}),
                                    gr_conv2d_layer(m, 6, 4, 3, same), gr_relu_layer(m),
                                    gr_avg_pool2d_layer(m, (gr_pool2d_options){.kernel = {3, 3}}),
                                    gr_flatten_layer(m), gr_dropout_layer(m, 0.25),
                                    gr_linear_layer(m, 16, 5)));
}

/* LeCun, Bottou, Bengio, Haffner 1998, with ReLU and maxima. */
static gr_module *build_lenet5(trial *t, gr_model *m)
{
    const gr_conv2d_layer_options same = {.conv = {.padding = {2, 2}}}, valid = {.no_bias = false};
    const gr_pool2d_options halve = {.kernel = {2, 2}};
    add_images(t, 2, 28);
    return gr_sequential(m,
                         GR_LIST(gr_conv2d_layer(m, 1, 6, 5, same), gr_relu_layer(m),
                                 gr_max_pool2d_layer(m, halve), gr_conv2d_layer(m, 6, 16, 5, valid),
                                 gr_relu_layer(m), gr_max_pool2d_layer(m, halve),
                                 gr_flatten_layer(m), gr_linear_layer(m, 400, 120),
                                 gr_relu_layer(m), gr_linear_layer(m, 120, 84), gr_relu_layer(m),
                                 gr_linear_layer(m, 84, 10)));
}

#define MODULE(NAME, BUILD)     \
    static void NAME(trial *t)  \
    {                           \
        check_module(t, BUILD); \
    }
MODULE(check_layers, build_layers)
MODULE(check_deep_relu, build_deep_relu)
MODULE(check_dropout, build_dropout)
MODULE(check_maxout, build_maxout)
MODULE(check_pooled, build_pooled)
MODULE(check_lenet5, build_lenet5)

const subject network_subjects[] = {
    {"layers", 60, check_layers, 0},
    {"dropout network", 15, check_dropout, 0},
    {"maxout network", 15, check_maxout, 1},
    {"pooling network", 15, check_pooled, 1},
    {"30,720 relus", 10, check_deep_relu, 1},
    {"LeNet-5", 5, check_lenet5, 1},
    {0},
};
