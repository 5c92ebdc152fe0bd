/* networks.c - the networks that the command knows by name.
 *
 * Their modules are named, so that the weights are fc1.weight and not 1.weight. Images of less than
 * 16 pixels get a network of the same kind in their size.
 */
/* SPDX-License-Identifier: MIT */
#include "networks.h"

#include <string.h>

static gr_module *linear(gr_model *m, const char *name, int64_t in, int64_t out)
{
    return gr_named(name, gr_linear_layer(m, in, out));
}

static gr_module *conv(gr_model *m, const char *name, int64_t in, int64_t out, int kernel,
                       int padding)
{
    gr_conv2d_layer_options o = {.conv.padding = {padding, padding}};
    return gr_named(name, gr_conv2d_layer(m, in, out, kernel, o));
}

static gr_module *halve(gr_model *m)
{
    return gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}});
}

static bool is_small(const gr_shape *sample)
{
    return sample->dim[sample->rank - 1] < 16;
}

/* --- mlp --- */

static gr_module *build_mlp(gr_model *m, const gr_shape *sample, int classes)
{
    const int64_t in = gr_shape_numel(sample), hidden = 512;
    const double drop = 0.1;
    return gr_sequential(m, GR_LIST(gr_flatten_layer(m), linear(m, "fc1", in, hidden),
                                    gr_relu_layer(m), gr_dropout_layer(m, drop),
                                    linear(m, "fc2", hidden, hidden), gr_relu_layer(m),
                                    gr_dropout_layer(m, drop), linear(m, "fc3", hidden, classes)));
}

/* --- lenet5 --- */

/* What a convolution without padding and a pooling leave of a size, twice. */
static int64_t after_pooling(int64_t size)
{
    return (size / 2 - 4) / 2;
}

/* LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998;
 * with ReLU for tanh and maxima for means. */
static gr_module *build_full_lenet5(gr_model *m, const gr_shape *sample, int classes)
{
    int64_t features = 16 * after_pooling(sample->dim[1]) * after_pooling(sample->dim[2]);
    return gr_sequential(m, GR_LIST(conv(m, "conv1", sample->dim[0], 6, 5, 2), gr_relu_layer(m),
                                    halve(m), conv(m, "conv2", 6, 16, 5, 0), gr_relu_layer(m),
                                    halve(m), gr_flatten_layer(m), linear(m, "fc1", features, 120),
                                    gr_relu_layer(m), linear(m, "fc2", 120, 84), gr_relu_layer(m),
                                    linear(m, "fc3", 84, classes)));
}

static gr_module *build_small_lenet5(gr_model *m, const gr_shape *sample, int classes)
{
    int64_t features = 32 * (sample->dim[1] / 2) * (sample->dim[2] / 2);
    return gr_sequential(m, GR_LIST(conv(m, "conv1", sample->dim[0], 16, 3, 1), gr_relu_layer(m),
                                    conv(m, "conv2", 16, 32, 3, 1), gr_relu_layer(m), halve(m),
                                    gr_flatten_layer(m), linear(m, "fc1", features, 128),
                                    gr_relu_layer(m), gr_dropout_layer(m, 0.3),
                                    linear(m, "fc2", 128, classes)));
}

static gr_module *build_lenet5(gr_model *m, const gr_shape *sample, int classes)
{
    return is_small(sample) ? build_small_lenet5(m, sample, classes)
                            : build_full_lenet5(m, sample, classes);
}

/* --- the list --- */

static const network networks[] = {
    {"mlp", "three fully connected layers with ReLU and dropout", build_mlp,
     .small = {.epochs = 60, .batch = 32, .lr = 4e-3, .shift = 1, .threads = 1},
     .large = {.epochs = 5, .batch = 128, .lr = 2e-3}},
    {"lenet5", "two convolutions, then fully connected layers", build_lenet5,
     .small = {.epochs = 40, .batch = 32, .lr = 4e-3, .shift = 1, .threads = 1},
     .large = {.epochs = 5, .batch = 64, .lr = 3e-3}},
};
enum { NETWORKS = sizeof networks / sizeof *networks };

const network *network_find(const char *name)
{
    for (int i = 0; i < NETWORKS; i++)
        if (!strcmp(networks[i].name, name)) return &networks[i];
    return NULL;
}

const char *network_names(void)
{
    return "mlp or lenet5";
}

/* --- a batch --- */

gr_tensor *network_loss(gr_graph *g, gr_module *net, const gr_dataset *d, int64_t n)
{
    gr_shape shape = {.rank = d->shape.rank + 1, .dim = {n < d->n ? n : d->n}};
    memcpy(shape.dim + 1, d->shape.dim, (size_t)d->shape.rank * sizeof *shape.dim);
    gr_tensor *x = gr_borrow(g, GR_F32, shape, d->x);
    gr_tensor *target = gr_borrow(g, GR_I64, (gr_shape){1, {shape.dim[0]}}, d->y);
    return gr_cross_entropy(gr_forward(net, x), target);
}
