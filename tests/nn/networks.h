/* networks.h - the layers and networks of reference.py, as they are made here. */
/* SPDX-License-Identifier: MIT */
#ifndef NETWORKS_H
#define NETWORKS_H

#include <gradus/nn.h>

static gr_module *mlp(gr_model *m)
{
    return gr_sequential(m, GR_LIST(gr_linear_layer(m, 5, 8), gr_tanh_layer(m),
                                    gr_linear_layer(m, 8, 8), gr_relu_layer(m),
                                    gr_linear_layer(m, 8, 3)));
}

static gr_module *conv(gr_model *m, const char *name, int64_t n_in, int64_t n_out, int kernel,
                       int stride)
{
    const int pad = kernel / 2;
    return gr_named(name,
                    gr_conv2d_layer(m, n_in, n_out, kernel,
                                    (gr_conv2d_layer_options){.no_bias = true,
                                                              .conv = {.stride = {stride, stride},
                                                                       .padding = {pad, pad}}}));
}

static gr_module *norm(gr_model *m, const char *name, int64_t channels)
{
    return gr_named(name, gr_batch_norm2d_layer(m, channels, (gr_batch_norm_options){0}));
}

/* relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the shortcut is its last child. */
static gr_tensor *block_forward(gr_module *self, gr_tensor *x)
{
    gr_tensor *y = x, *around = x;
    for (int i = 0; i < 4; i++) {
        y = gr_forward(gr_module_child(self, i), y);
        if (i == 1) y = gr_relu(y);
    }
    if (gr_module_children(self) > 4) around = gr_forward(gr_module_child(self, 4), x);
    return gr_relu(gr_add(y, around));
}

static gr_module *block(gr_model *m, int64_t before, int64_t after, int stride)
{
    gr_module *self = gr_module_new(m, "block", block_forward, 0);
    gr_module_add(self, NULL, conv(m, "conv1", before, after, 3, stride));
    gr_module_add(self, NULL, norm(m, "bn1", after));
    gr_module_add(self, NULL, conv(m, "conv2", after, after, 3, 1));
    gr_module_add(self, NULL, norm(m, "bn2", after));
    if (before != after)
        gr_module_add(self, "shortcut",
                      gr_sequential(m, GR_LIST(conv(m, "0", before, after, 1, stride),
                                               norm(m, "1", after))));
    return self;
}

static gr_module *stage(gr_model *m, const char *name, int64_t before, int64_t after, int stride)
{
    return gr_named(name, gr_sequential(m, GR_LIST(block(m, before, after, stride),
                                                   block(m, after, after, 1),
                                                   block(m, after, after, 1))));
}

static gr_module *resnet20(gr_model *m)
{
    return gr_sequential(m,
                         GR_LIST(conv(m, "conv1", 3, 2, 3, 1), norm(m, "bn1", 2), gr_relu_layer(m),
                                 stage(m, "layer1", 2, 2, 1), stage(m, "layer2", 2, 4, 2),
                                 stage(m, "layer3", 4, 8, 2), gr_global_avg_pool_layer(m),
                                 gr_flatten_layer(m), gr_named("fc", gr_linear_layer(m, 8, 5))));
}

static gr_module *norm1d(gr_model *m)
{
    return gr_batch_norm1d_layer(m, 3, (gr_batch_norm_options){0});
}

static gr_module *norm2d_mean_of_all(gr_model *m)
{
    return gr_batch_norm2d_layer(m, 3, (gr_batch_norm_options){.momentum = -1});
}

static gr_module *norm2d_eps(gr_model *m)
{
    return gr_batch_norm2d_layer(m, 3, (gr_batch_norm_options){.eps = 1e-3});
}

static gr_module *norm3d(gr_model *m)
{
    return gr_batch_norm3d_layer(m, 2, (gr_batch_norm_options){.no_affine = true, .momentum = 0.4});
}

static gr_module *lstm(gr_model *m)
{
    return gr_lstm_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .bidirectional = true});
}

static gr_module *gru(gr_model *m)
{
    return gr_gru_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .batch_first = true});
}

static gr_module *gru_both(gr_model *m)
{
    return gr_gru_layer(m, 3, 4, (gr_recurrent_options){.bidirectional = true, .no_bias = true});
}

static gr_module *rnn(gr_model *m)
{
    return gr_rnn_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .nonlinearity = GR_RNN_RELU});
}

static gr_module *attention(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 2, (gr_multihead_attention_options){0});
}

static gr_module *attention_batch_first(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 2,
                                        (gr_multihead_attention_options){.batch_first = true});
}

static gr_module *attention_four(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 4, (gr_multihead_attention_options){0});
}

static gr_module *attention_sizes(gr_model *m)
{
    return gr_multihead_attention_layer(
        m, 8, 2, (gr_multihead_attention_options){.keys = 3, .values = 5, .no_bias = true});
}

static const gr_transformer_options tiny = {.hidden = 6, .dropout = -1};

static gr_module *encoder_layer(gr_model *m)
{
    return gr_transformer_encoder_layer(m, 4, 2, tiny);
}

static gr_module *encoder_layer_norm_first(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = o.batch_first = o.gelu = true;
    return gr_transformer_encoder_layer(m, 4, 2, o);
}

static gr_module *encoder(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = o.final_norm = true;
    return gr_transformer_encoder(m, 2, 4, 2, o);
}

static gr_module *decoder_layer(gr_model *m)
{
    return gr_transformer_decoder_layer(m, 4, 2, tiny);
}

static gr_module *decoder_layer_norm_first(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = true;
    return gr_transformer_decoder_layer(m, 4, 2, o);
}

static gr_module *bilinear(gr_model *m)
{
    return gr_bilinear_layer(m, 3, 2, 4, (gr_linear_options){0});
}

static gr_module *conv1d(gr_model *m)
{
    const gr_conv1d_options o = {.stride = 2, .padding = 2, .dilation = 2, .groups = 2};
    return gr_conv1d_layer(m, 4, 6, 3, (gr_conv1d_layer_options){.conv = o});
}

static gr_module *conv1d_circular(gr_model *m)
{
    return gr_conv1d_layer(m, 2, 3, 3,
                           (gr_conv1d_layer_options){.conv.padding = 1,
                                                     .pad_mode = GR_PAD_CIRCULAR});
}

static gr_module *conv2d(gr_model *m)
{
    const gr_conv2d_options o = {.stride = {2, 1}, .padding = {1, 0}};
    return gr_conv2d_layer(m, 2, 3, 3, (gr_conv2d_layer_options){.conv = o, .kernel_width = 2});
}

static gr_module *conv2d_reflect(gr_model *m)
{
    return gr_conv2d_layer(m, 2, 3, 3,
                           (gr_conv2d_layer_options){.conv.padding = {2, 1},
                                                     .pad_mode = GR_PAD_REFLECT});
}

static gr_module *conv3d(gr_model *m)
{
    return gr_conv3d_layer(m, 2, 2, 2,
                           (gr_conv3d_layer_options){.conv.padding = {1, 1, 1},
                                                     .kernel_height = 3,
                                                     .kernel_width = 1});
}

static gr_module *conv_transpose1d(gr_model *m)
{
    const gr_conv_transpose1d_options o = {.stride = 2,
                                           .padding = 1,
                                           .output_padding = 1,
                                           .groups = 2};
    return gr_conv_transpose1d_layer(m, 4, 2, 3, (gr_conv_transpose1d_layer_options){.conv = o});
}

static gr_module *conv_transpose2d(gr_model *m)
{
    const gr_conv_transpose2d_options o = {.stride = {2, 2}, .padding = {1, 1}, .dilation = {2, 1}};
    return gr_conv_transpose2d_layer(m, 2, 3, 3,
                                     (gr_conv_transpose2d_layer_options){.conv = o,
                                                                         .kernel_width = 2});
}

static gr_module *conv_transpose3d(gr_model *m)
{
    const gr_conv_transpose3d_options o = {.stride = {2, 1, 2},
                                           .padding = {1, 0, 0},
                                           .output_padding = {1, 0, 1},
                                           .dilation = {1, 2, 1},
                                           .groups = 2};
    return gr_conv_transpose3d_layer(m, 4, 2, 3,
                                     (gr_conv_transpose3d_layer_options){.conv = o,
                                                                         .kernel_height = 2,
                                                                         .kernel_width = 1});
}

static gr_module *layer_norm(gr_model *m)
{
    return gr_layer_norm_layer(m, GR_SHAPE(3, 4), (gr_norm_options){0});
}

static gr_module *group_norm(gr_model *m)
{
    return gr_group_norm_layer(m, 2, 4, (gr_norm_options){0});
}

static gr_module *instance_norm(gr_model *m)
{
    return gr_instance_norm_layer(m, 3, (gr_instance_norm_options){.affine = true});
}

static gr_module *prelu(gr_model *m)
{
    return gr_prelu_layer(m, 3);
}

static gr_module *embedding(gr_model *m)
{
    return gr_embedding_layer(m, 6, 3, (gr_embedding_options){.padding = true, .padding_index = 2});
}

#endif
