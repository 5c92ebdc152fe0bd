/* images.c - networks of layers that know no time: perceptrons, LeNet-5, ResNet-20, VGG-16. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

enum { CLASSES = 10 };

/* 784 - 512 - 512 - 10, Adam. */
static void build_mlp(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, GR_LIST(gr_linear_layer(m, 784, 512), gr_relu_layer(m),
                                               gr_linear_layer(m, 512, 512), gr_relu_layer(m),
                                               gr_linear_layer(m, 512, CLASSES)));
    set_network(j, m, root, gr_adam(m, (gr_adam_options){.lr = 1e-3}));
}

/* 2 - 16 - 16 - 1, SGD: all cost is that of recording. */
static void build_tiny(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 16), gr_tanh_layer(m),
                                               gr_linear_layer(m, 16, 16), gr_tanh_layer(m),
                                               gr_linear_layer(m, 16, 1)));
    set_network(j, m, root, gr_sgd(m, (gr_sgd_options){.lr = 0.01}));
}

/* LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, SGD with momentum. */
static void build_lenet(job *j)
{
    gr_pool2d_options half = {.kernel = {2, 2}};
    gr_conv2d_layer_options same = {.conv.padding = {2, 2}}, valid = {0};
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, GR_LIST(gr_conv2d_layer(m, 1, 6, 5, same), gr_relu_layer(m),
                                               gr_max_pool2d_layer(m, half),
                                               gr_conv2d_layer(m, 6, 16, 5, valid),
                                               gr_relu_layer(m), gr_max_pool2d_layer(m, half),
                                               gr_flatten_layer(m), gr_linear_layer(m, 400, 120),
                                               gr_relu_layer(m), gr_linear_layer(m, 120, 84),
                                               gr_relu_layer(m), gr_linear_layer(m, 84, CLASSES)));
    set_network(j, m, root, gr_sgd(m, (gr_sgd_options){.lr = 0.01, .momentum = 0.9}));
}

/* --- ResNet-20 (He et al. 2016) --- */

static gr_module *conv(gr_model *m, const char *name, int in, int out, int kernel, int stride)
{
    const gr_conv2d_layer_options o = {.no_bias = true,
                                       .conv = {.stride = {stride, stride},
                                                .padding = {kernel / 2, kernel / 2}}};
    return gr_named(name, gr_conv2d_layer(m, in, out, kernel, o));
}

static gr_module *norm(gr_model *m, const char *name, int channels)
{
    return gr_named(name, gr_batch_norm2d_layer(m, channels, (gr_batch_norm_options){0}));
}

typedef struct block {
    gr_module *conv1, *bn1, *conv2, *bn2, *downsample; /* downsample NULL: sizes stay */
} block;

static gr_tensor *block_forward(gr_module *self, gr_tensor *x)
{
    const block *b = gr_module_state(self);
    gr_tensor *y = gr_relu(gr_forward(b->bn1, gr_forward(b->conv1, x)));
    y = gr_forward(b->bn2, gr_forward(b->conv2, y));
    return gr_relu(gr_add(y, b->downsample ? gr_forward(b->downsample, x) : x));
}

static gr_module *make_block(gr_model *m, int in, int out, int stride)
{
    gr_module *self = gr_module_new(m, "block", block_forward, sizeof(block));
    block *b = gr_module_state(self);
    if (!b) return self;
    b->conv1 = gr_module_add(self, NULL, conv(m, "conv1", in, out, 3, stride));
    b->bn1 = gr_module_add(self, NULL, norm(m, "bn1", out));
    b->conv2 = gr_module_add(self, NULL, conv(m, "conv2", out, out, 3, 1));
    b->bn2 = gr_module_add(self, NULL, norm(m, "bn2", out));
    if (in == out) return self;
    b->downsample = gr_sequential(m, GR_LIST(conv(m, "0", in, out, 1, stride), norm(m, "1", out)));
    gr_module_add(self, "downsample", b->downsample);
    return self;
}

static gr_module *stage(gr_model *m, const char *name, int in, int out, int stride)
{
    gr_module *all = gr_sequential(m, NULL, 0);
    for (int i = 0; i < 3; i++)
        gr_module_add(all, NULL, make_block(m, i ? out : in, out, i ? 1 : stride));
    return gr_named(name, all);
}

static gr_module *resnet20(gr_model *m)
{
    return gr_sequential(m, GR_LIST(conv(m, "conv1", 3, 16, 3, 1), norm(m, "bn1", 16),
                                    gr_relu_layer(m), stage(m, "layer1", 16, 16, 1),
                                    stage(m, "layer2", 16, 32, 2), stage(m, "layer3", 32, 64, 2),
                                    gr_global_avg_pool_layer(m), gr_flatten_layer(m),
                                    gr_named("fc", gr_linear_layer(m, 64, CLASSES))));
}

/* Small rates: at larger ones the loss after 10 steps tells rounding errors, in PyTorch too. */
static void build_resnet20(job *j)
{
    const gr_sgd_options o = {.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4};
    gr_model *m = gr_model_new();
    gr_module *root = resnet20(m);
    set_network(j, m, root, gr_sgd(m, o));
}

static void build_resnet20_infer(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = resnet20(m);
    gr_model_set_training(m, false);
    set_network(j, m, root, NULL);
}

/* VGG-16 (Simonyan, Zisserman 2015) with batch norm, on images of 32x32: one linear layer at the
 * end. */
static void build_vgg16(job *j)
{
    static const int channels[] = {64, 64,  0,   128, 128, 0,   256, 256, 256,
                                   0,  512, 512, 512, 0,   512, 512, 512, 0}; /* 0: max-pooling */
    const gr_conv2d_layer_options same = {.no_bias = true, .conv.padding = {1, 1}};
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, NULL, 0);
    int in = 3;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        const int out = channels[i];
        if (!out) {
            gr_module_add(root, NULL,
                          gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}));
            continue;
        }
        gr_module_add(root, NULL, gr_conv2d_layer(m, in, out, 3, same));
        gr_module_add(root, NULL, gr_batch_norm2d_layer(m, out, (gr_batch_norm_options){0}));
        gr_module_add(root, NULL, gr_relu_layer(m));
        in = out;
    }
    gr_module_add(root, NULL, gr_flatten_layer(m));
    gr_module_add(root, NULL, gr_linear_layer(m, in, CLASSES));
    set_network(j, m, root, gr_sgd(m, (gr_sgd_options){.lr = 1e-5, .momentum = 0.9}));
}

#define TRAIN(batch, ...)                                                         \
    .step = train_step, .result = train_result, .loss = class_loss,               \
    .input = {{GR__COUNT(int64_t, batch, __VA_ARGS__), {batch, __VA_ARGS__}}, 0}, \
    .target = {{1, {batch}}, CLASSES}

const workload image_workloads[] = {
    {"mlp", build_mlp, TRAIN(128, 784)},
    {"lenet", build_lenet, TRAIN(64, 1, 28, 28)},
    {"resnet20", build_resnet20, TRAIN(32, 3, 32, 32)},
    {"vgg16", build_vgg16, TRAIN(16, 3, 32, 32)},
    {"tiny",
     build_tiny,
     train_step,
     train_result,
     {{2, {1, 2}}, 0},
     {{2, {1, 1}}, 0},
     gr_mse,
     NULL},
    {"resnet20-infer", build_resnet20_infer, infer_step, infer_result,
     .input = {{4, {1, 3, 32, 32}}, 0}},
    {0},
};
