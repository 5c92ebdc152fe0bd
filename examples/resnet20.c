/* resnet20.c - He et al.'s residual network (2016) on small images: resnet20 [EPOCHS [WIDTH]] */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>
#include <stdlib.h>

static gr_module *conv(gr_model *m, const char *name, int in, int out, int kernel, int stride)
{
    const gr_conv2d_layer_options o = {.no_bias = true,
                                       .conv = {.stride = {stride, stride},
                                                .padding = {kernel / 2, kernel / 2}},
                                       .weight = {.kind = GR_INIT_KAIMING_NORMAL,
                                                  .gain = 1.4142135623730951}};
    return gr_named(name, gr_conv2d_layer(m, in, out, kernel, o));
}

static gr_module *norm(gr_model *m, const char *name, int channels)
{
    return gr_named(name, gr_batch_norm2d_layer(m, channels, (gr_batch_norm_options){0}));
}

/* [block] */
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

static gr_module *basic_block(gr_model *m, int in, int out, int stride)
{
    gr_module *self = gr_module_new(m, "basic_block", block_forward, sizeof(block));
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
/* [end] */

static gr_module *stage(gr_model *m, const char *name, int in, int out, int stride)
{
    gr_module *first = basic_block(m, in, out, stride), *second = basic_block(m, out, out, 1);
    return gr_named(name, gr_sequential(m, GR_LIST(first, second, basic_block(m, out, out, 1))));
}

int main(int argc, char **argv)
{
    const int epochs = argc > 1 ? atoi(argv[1]) : 2, w = argc > 2 ? atoi(argv[2]) : 4;
    gr_dataset *digits = gr_digits();
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(conv(m, "conv1", 1, w, 3, 1), norm(m, "bn1", w),
                                              gr_relu_layer(m), stage(m, "layer1", w, w, 1),
                                              stage(m, "layer2", w, 2 * w, 2),
                                              stage(m, "layer3", 2 * w, 4 * w, 2),
                                              gr_global_avg_pool_layer(m), gr_flatten_layer(m),
                                              gr_named("fc", gr_linear_layer(m, 4 * w, 10))));
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.05, .momentum = 0.9});
    gr_history h = {0};
    gr_fit_options o = {.epochs = epochs, .batch = 32, .validation_split = 0.2, .one_cycle = true};
    gr_status status = gr_fit(net, opt, digits, o, &h);
    const double accuracy = h.n ? h.epochs[h.n - 1].val_accuracy : 0;
    if (status) fprintf(stderr, "resnet20: %s\n", gr_last_error());
    printf("validation accuracy %.3f\n", accuracy);
    gr_history_release(&h);
    gr_optimizer_free(opt);
    gr_model_free(m);
    gr_dataset_free(digits);
    return status != GR_OK || !(accuracy > 0.7);
}
