/* networks.c - the networks that the command knows by name.
 *
 * Their modules are named, so that the weights are fc1.weight and not 1.weight. Images of less than
 * 16 pixels get a network of the same kind in their size.
 */
/* SPDX-License-Identifier: MIT */
#include "networks.h"

#include <string.h>

/* The layers of a network in the making. */
enum { MOST_LAYERS = 32 };
typedef struct layers {
    gr_model *m;
    variant v;
    gr_module *at[MOST_LAYERS];
    int n;
} layers;

static void add(layers *l, gr_module *module)
{
    l->at[l->n++] = module;
}

static void add_linear(layers *l, const char *name, int64_t in, int64_t out)
{
    add(l, gr_named(name, gr_linear_layer(l->m, in, out)));
}

static void add_conv(layers *l, const char *name, int64_t in, int64_t out, int kernel, int padding)
{
    gr_conv2d_layer_options o = {.conv.padding = {padding, padding}};
    add(l, gr_named(name, gr_conv2d_layer(l->m, in, out, kernel, o)));
}

/* Batch norm where it is asked for ("bn1"), then ReLU. */
static void add_relu(layers *l, const char *norm, int64_t channels, bool image)
{
    gr_batch_norm_options o = {0};
    if (l->v.batch_norm)
        add(l, gr_named(norm, image ? gr_batch_norm2d_layer(l->m, channels, o)
                                    : gr_batch_norm1d_layer(l->m, channels, o)));
    add(l, gr_relu_layer(l->m));
}

/* `otherwise`: the rate of this network unless another one is asked for. */
static void add_dropout(layers *l, double otherwise)
{
    double p = l->v.dropout == 0 ? otherwise : l->v.dropout;
    if (p > 0) add(l, gr_dropout_layer(l->m, p));
}

static void add_halving(layers *l)
{
    add(l, gr_max_pool2d_layer(l->m, (gr_pool2d_options){.kernel = {2, 2}}));
}

static gr_module *finish(const layers *l)
{
    return gr_sequential(l->m, l->at, l->n);
}

static bool is_small(const gr_shape *sample)
{
    return sample->dim[sample->rank - 1] < 16;
}

/* --- mlp --- */

static gr_module *build_mlp(gr_model *m, const gr_shape *sample, int classes, variant v)
{
    const int64_t in = gr_shape_numel(sample), hidden = 512;
    layers l = {.m = m, .v = v};
    add(&l, gr_flatten_layer(m));
    add_linear(&l, "fc1", in, hidden);
    add_relu(&l, "bn1", hidden, false);
    add_dropout(&l, 0.1);
    add_linear(&l, "fc2", hidden, hidden);
    add_relu(&l, "bn2", hidden, false);
    add_dropout(&l, 0.1);
    add_linear(&l, "fc3", hidden, classes);
    return finish(&l);
}

/* --- lenet5 --- */

/* What a convolution without padding and a pooling leave of a size, twice. */
static int64_t after_pooling(int64_t size)
{
    return (size / 2 - 4) / 2;
}

/* LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998;
 * with ReLU for tanh and maxima for means. */
static gr_module *build_full_lenet5(gr_model *m, const gr_shape *sample, int classes, variant v)
{
    int64_t features = 16 * after_pooling(sample->dim[1]) * after_pooling(sample->dim[2]);
    layers l = {.m = m, .v = v};
    add_conv(&l, "conv1", sample->dim[0], 6, 5, 2);
    add_relu(&l, "bn1", 6, true);
    add_halving(&l);
    add_conv(&l, "conv2", 6, 16, 5, 0);
    add_relu(&l, "bn2", 16, true);
    add_halving(&l);
    add(&l, gr_flatten_layer(m));
    add_linear(&l, "fc1", features, 120);
    add_relu(&l, "bn3", 120, false);
    add_dropout(&l, 0);
    add_linear(&l, "fc2", 120, 84);
    add_relu(&l, "bn4", 84, false);
    add_linear(&l, "fc3", 84, classes);
    return finish(&l);
}

static gr_module *build_small_lenet5(gr_model *m, const gr_shape *sample, int classes, variant v)
{
    int64_t features = 32 * (sample->dim[1] / 2) * (sample->dim[2] / 2);
    layers l = {.m = m, .v = v};
    add_conv(&l, "conv1", sample->dim[0], 16, 3, 1);
    add_relu(&l, "bn1", 16, true);
    add_conv(&l, "conv2", 16, 32, 3, 1);
    add_relu(&l, "bn2", 32, true);
    add_halving(&l);
    add(&l, gr_flatten_layer(m));
    add_linear(&l, "fc1", features, 128);
    add_relu(&l, "bn3", 128, false);
    add_dropout(&l, 0.3);
    add_linear(&l, "fc2", 128, classes);
    return finish(&l);
}

static gr_module *build_lenet5(gr_model *m, const gr_shape *sample, int classes, variant v)
{
    return (is_small(sample) ? build_small_lenet5 : build_full_lenet5)(m, sample, classes, v);
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
