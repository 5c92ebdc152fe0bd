/* layer_table.c - every layer, with options that make it small. */
/* SPDX-License-Identifier: MIT */
#include "layer_table.h"

/* --- layers with what they need --- */

static const gr_pool1d_options pool1d = {.kernel = 2};
static const gr_pool2d_options pool2d = {.kernel = {2, 2}};
static const gr_pool3d_options pool3d = {.kernel = {2, 2, 2}};

static gr_module *linear(gr_model *m)
{
    return gr_linear_layer(m, 4, 3);
}
static gr_module *linear_without_bias(gr_model *m)
{
    return gr_linear_layer_with(m, 4, 3, (gr_linear_options){.no_bias = true});
}
static gr_module *bilinear(gr_model *m)
{
    return gr_bilinear_layer(m, 3, 2, 4, (gr_linear_options){0});
}
static gr_module *maxout(gr_model *m)
{
    return gr_maxout_layer(m, 4, 3, 2);
}
static gr_module *conv1d(gr_model *m)
{
    return gr_conv1d_layer(m, 2, 4, 3,
                           (gr_conv1d_layer_options){.conv = {.padding = 1, .groups = 2}});
}
static gr_module *conv1d_circular(gr_model *m)
{
    return gr_conv1d_layer(m, 2, 3, 3,
                           (gr_conv1d_layer_options){.conv = {.padding = 1},
                                                     .pad_mode = GR_PAD_CIRCULAR});
}
static gr_module *conv2d(gr_model *m)
{
    return gr_conv2d_layer(m, 2, 3, 3,
                           (gr_conv2d_layer_options){.conv = {.stride = {2, 1}},
                                                     .kernel_width = 2});
}
static gr_module *conv2d_reflect(gr_model *m)
{
    return gr_conv2d_layer(m, 2, 3, 3,
                           (gr_conv2d_layer_options){.conv = {.padding = {1, 1}},
                                                     .pad_mode = GR_PAD_REFLECT});
}
static gr_module *conv3d(gr_model *m)
{
    return gr_conv3d_layer(m, 2, 2, 2, (gr_conv3d_layer_options){0});
}
static gr_module *conv_transpose1d(gr_model *m)
{
    return gr_conv_transpose1d_layer(m, 2, 3, 3,
                                     (gr_conv_transpose1d_layer_options){.conv = {.stride = 2}});
}
static gr_module *conv_transpose2d(gr_model *m)
{
    return gr_conv_transpose2d_layer(m, 2, 4, 2,
                                     (gr_conv_transpose2d_layer_options){
                                         .conv = {.stride = {2, 2}, .groups = 2}});
}
static gr_module *conv_transpose3d(gr_model *m)
{
    return gr_conv_transpose3d_layer(m, 2, 2, 2, (gr_conv_transpose3d_layer_options){0});
}

static gr_module *max1d(gr_model *m)
{
    return gr_max_pool1d_layer(m, pool1d);
}
static gr_module *max2d(gr_model *m)
{
    return gr_max_pool2d_layer(m, pool2d);
}
static gr_module *max3d(gr_model *m)
{
    return gr_max_pool3d_layer(m, pool3d);
}
static gr_module *avg1d(gr_model *m)
{
    return gr_avg_pool1d_layer(m, pool1d);
}
static gr_module *avg2d(gr_model *m)
{
    return gr_avg_pool2d_layer(m, pool2d);
}
static gr_module *avg3d(gr_model *m)
{
    return gr_avg_pool3d_layer(m, pool3d);
}
static gr_module *adaptive_max1d(gr_model *m)
{
    return gr_adaptive_max_pool1d_layer(m, 3);
}
static gr_module *adaptive_max2d(gr_model *m)
{
    return gr_adaptive_max_pool2d_layer(m, 3, 2);
}
static gr_module *adaptive_avg1d(gr_model *m)
{
    return gr_adaptive_avg_pool1d_layer(m, 3);
}
static gr_module *adaptive_avg2d(gr_model *m)
{
    return gr_adaptive_avg_pool2d_layer(m, 3, 2);
}
static gr_module *nearest(gr_model *m)
{
    return gr_upsample_nearest_layer(m, (gr_upsample_options){.scale = {2, 2}});
}
static gr_module *bilinear_up(gr_model *m)
{
    return gr_upsample_linear_layer(m, (gr_upsample_options){.size = {7, 9}});
}
static gr_module *layer_norm(gr_model *m)
{
    return gr_layer_norm_layer(m, GR_SHAPE(3, 4), (gr_norm_options){0});
}
static gr_module *rms_norm(gr_model *m)
{
    return gr_rms_norm_layer(m, GR_SHAPE(4), (gr_norm_options){0});
}
static gr_module *group_norm(gr_model *m)
{
    return gr_group_norm_layer(m, 2, 4, (gr_norm_options){0});
}
static gr_module *instance_norm(gr_model *m)
{
    return gr_instance_norm_layer(m, 2, (gr_instance_norm_options){.affine = true});
}
static gr_module *response_norm(gr_model *m)
{
    return gr_local_response_norm_layer(m, (gr_local_response_norm_options){.size = 3});
}
static gr_module *batch_norm1d(gr_model *m)
{
    return gr_batch_norm1d_layer(m, 4, (gr_batch_norm_options){0});
}
static gr_module *batch_norm2d(gr_model *m)
{
    return gr_batch_norm2d_layer(m, 2, (gr_batch_norm_options){.momentum = -1});
}
static gr_module *batch_norm3d(gr_model *m)
{
    return gr_batch_norm3d_layer(m, 2, (gr_batch_norm_options){.no_affine = true});
}
static gr_module *batch_norm_evaluated(gr_model *m)
{
    gr_module *norm = gr_batch_norm2d_layer(m, 2, (gr_batch_norm_options){0});
    gr_module_set_training(norm, false);
    return norm;
}
static gr_module *dropout(gr_model *m)
{
    return gr_dropout_layer(m, 0.4);
}
static gr_module *classic_dropout(gr_model *m)
{
    return gr_classic_dropout_layer(m, 0.4);
}
static gr_module *channel_dropout(gr_model *m)
{
    return gr_channel_dropout_layer(m, 0.4);
}
static gr_module *alpha_dropout(gr_model *m)
{
    return gr_alpha_dropout_layer(m, 0.4);
}
static gr_module *leaky_relu(gr_model *m)
{
    return gr_leaky_relu_layer(m, 0.1);
}
static gr_module *elu(gr_model *m)
{
    return gr_elu_layer(m, 0.7);
}
static gr_module *celu(gr_model *m)
{
    return gr_celu_layer(m, 0.7);
}
static gr_module *hardshrink(gr_model *m)
{
    return gr_hardshrink_layer(m, 0.3);
}
static gr_module *softshrink(gr_model *m)
{
    return gr_softshrink_layer(m, 0.3);
}
static gr_module *hardtanh(gr_model *m)
{
    return gr_hardtanh_layer(m, -0.4, 0.6);
}
static gr_module *threshold(gr_model *m)
{
    return gr_threshold_layer(m, 0.1, -2);
}
static gr_module *prelu(gr_model *m)
{
    return gr_prelu_layer(m, 4);
}
static gr_module *glu(gr_model *m)
{
    return gr_glu_layer(m, -1);
}
static gr_module *swiglu(gr_model *m)
{
    return gr_swiglu_layer(m, -1);
}
static gr_module *geglu(gr_model *m)
{
    return gr_geglu_layer(m, -1);
}
static gr_module *reglu(gr_model *m)
{
    return gr_reglu_layer(m, -1);
}
static gr_module *softmax(gr_model *m)
{
    return gr_softmax_layer(m, -1);
}
static gr_module *log_softmax(gr_model *m)
{
    return gr_log_softmax_layer(m, -1);
}
static gr_module *softmin(gr_model *m)
{
    return gr_softmin_layer(m, -1);
}
static gr_module *sines(gr_model *m)
{
    return gr_position_layer(m, 8, 4, (gr_position_options){0});
}
static gr_module *places(gr_model *m)
{
    return gr_position_layer(m, 8, 4, (gr_position_options){.learned = true, .batch_first = true});
}
static gr_module *rnn(gr_model *m)
{
    return gr_rnn_layer(m, 4, 3, (gr_recurrent_options){.layers = 2});
}
static gr_module *rnn_relu(gr_model *m)
{
    return gr_rnn_layer(m, 4, 3, (gr_recurrent_options){.nonlinearity = GR_RNN_RELU});
}
static gr_module *lstm(gr_model *m)
{
    return gr_lstm_layer(m, 4, 3, (gr_recurrent_options){.layers = 2, .bidirectional = true});
}
static gr_module *lstm_without_bias(gr_model *m)
{
    return gr_lstm_layer(m, 4, 3, (gr_recurrent_options){.no_bias = true});
}
static gr_module *gru(gr_model *m)
{
    return gr_gru_layer(m, 4, 3,
                        (gr_recurrent_options){.batch_first = true, .bidirectional = true});
}
static gr_module *multihead(gr_model *m)
{
    return gr_multihead_attention_layer(m, 4, 2, (gr_multihead_attention_options){0});
}
static gr_module *additive(gr_model *m)
{
    return gr_additive_attention_layer(m, 4, 4, 3, false);
}
static gr_module *dot(gr_model *m)
{
    return gr_dot_attention_layer(m, 0, true);
}
static gr_module *encoder_layer(gr_model *m)
{
    return gr_transformer_encoder_layer(
        m, 4, 2, (gr_transformer_options){.hidden = 6, .dropout = -1, .gelu = true});
}
static gr_module *encoder(gr_model *m)
{
    return gr_transformer_encoder(m, 2, 4, 2,
                                  (gr_transformer_options){.hidden = 6,
                                                           .norm_first = true,
                                                           .gelu = true,
                                                           .causal = true,
                                                           .final_norm = true});
}
static gr_module *residual(gr_model *m)
{
    return gr_residual(m, gr_linear_layer(m, 4, 3), gr_linear_layer(m, 4, 3));
}
static gr_module *parallel(gr_model *m)
{
    return gr_parallel(m, -1, GR_LIST(gr_linear_layer(m, 4, 2), gr_identity_layer(m)));
}

/* --- the table --- */

#define M34      \
    {            \
        2,       \
        {        \
            3, 4 \
        }        \
    }
#define C1          \
    {               \
        3,          \
        {           \
            3, 2, 5 \
        }           \
    }
#define C2             \
    {                  \
        4,             \
        {              \
            2, 2, 5, 4 \
        }              \
    }
#define C3                \
    {                     \
        5,                \
        {                 \
            2, 2, 3, 4, 2 \
        }                 \
    }
#define SEQUENCE    \
    {               \
        3,          \
        {           \
            5, 3, 4 \
        }           \
    }

const layer every_layer[] = {
    {"linear", linear, M34, {2, {3, 3}}},
    {"linear without bias", linear_without_bias, M34, {2, {3, 3}}},
    {"bilinear", bilinear, {2, {3, 5}}, {2, {3, 4}}},
    {"maxout", maxout, M34, {2, {3, 3}}},
    {"conv1d", conv1d, C1, {3, {3, 4, 5}}},
    {"conv1d, circular", conv1d_circular, C1, {3, {3, 3, 5}}},
    {"conv2d", conv2d, C2, {4, {2, 3, 2, 3}}},
    {"conv2d, reflect", conv2d_reflect, C2, {4, {2, 3, 5, 4}}},
    {"conv3d", conv3d, C3, {5, {2, 2, 2, 3, 1}}},
    {"conv_transpose1d", conv_transpose1d, C1, {3, {3, 3, 11}}},
    {"conv_transpose2d", conv_transpose2d, C2, {4, {2, 4, 10, 8}}},
    {"conv_transpose3d", conv_transpose3d, C3, {5, {2, 2, 4, 5, 3}}},
    {"max_pool1d", max1d, C1, {3, {3, 2, 2}}},
    {"max_pool2d", max2d, C2, {4, {2, 2, 2, 2}}},
    {"max_pool3d", max3d, C3, {5, {2, 2, 1, 2, 1}}},
    {"avg_pool1d", avg1d, C1, {3, {3, 2, 2}}},
    {"avg_pool2d", avg2d, C2, {4, {2, 2, 2, 2}}},
    {"avg_pool3d", avg3d, C3, {5, {2, 2, 1, 2, 1}}},
    {"adaptive_max_pool1d", adaptive_max1d, C1, {3, {3, 2, 3}}},
    {"adaptive_max_pool2d", adaptive_max2d, C2, {4, {2, 2, 3, 2}}},
    {"adaptive_avg_pool1d", adaptive_avg1d, C1, {3, {3, 2, 3}}},
    {"adaptive_avg_pool2d", adaptive_avg2d, C2, {4, {2, 2, 3, 2}}},
    {"global_avg_pool", gr_global_avg_pool_layer, C2, {4, {2, 2, 1, 1}}},
    {"global_max_pool", gr_global_max_pool_layer, C2, {4, {2, 2, 1, 1}}},
    {"upsample_nearest", nearest, C2, {4, {2, 2, 10, 8}}},
    {"upsample_linear", bilinear_up, C2, {4, {2, 2, 7, 9}}},
    {"flatten", gr_flatten_layer, C2, {2, {2, 40}}},
    {"identity", gr_identity_layer, M34, M34},
    {"layer_norm", layer_norm, {3, {2, 3, 4}}, {3, {2, 3, 4}}},
    {"rms_norm", rms_norm, M34, M34},
    {"group_norm", group_norm, {3, {2, 4, 5}}, {3, {2, 4, 5}}},
    {"instance_norm", instance_norm, C2, C2},
    {"local_response_norm", response_norm, C2, C2},
    {"batch_norm1d", batch_norm1d, M34, M34},
    {"batch_norm1d of sequences", batch_norm1d, {3, {2, 4, 5}}, {3, {2, 4, 5}}},
    {"batch_norm2d", batch_norm2d, C2, C2},
    {"batch_norm3d", batch_norm3d, C3, C3},
    {"batch_norm2d in evaluation", batch_norm_evaluated, C2, C2},
    {"dropout", dropout, M34, M34},
    {"classic_dropout", classic_dropout, M34, M34},
    {"channel_dropout", channel_dropout, C2, C2},
    {"alpha_dropout", alpha_dropout, M34, M34},
    {"relu", gr_relu_layer, M34, M34},
    {"relu6", gr_relu6_layer, M34, M34},
    {"sigmoid", gr_sigmoid_layer, M34, M34},
    {"tanh", gr_tanh_layer, M34, M34},
    {"gelu", gr_gelu_layer, M34, M34},
    {"gelu_tanh", gr_gelu_tanh_layer, M34, M34},
    {"silu", gr_silu_layer, M34, M34},
    {"mish", gr_mish_layer, M34, M34},
    {"selu", gr_selu_layer, M34, M34},
    {"softplus", gr_softplus_layer, M34, M34},
    {"softsign", gr_softsign_layer, M34, M34},
    {"logsigmoid", gr_logsigmoid_layer, M34, M34},
    {"hardsigmoid", gr_hardsigmoid_layer, M34, M34},
    {"hardswish", gr_hardswish_layer, M34, M34},
    {"tanhshrink", gr_tanhshrink_layer, M34, M34},
    {"leaky_relu", leaky_relu, M34, M34},
    {"elu", elu, M34, M34},
    {"celu", celu, M34, M34},
    {"hardshrink", hardshrink, M34, M34},
    {"softshrink", softshrink, M34, M34},
    {"hardtanh", hardtanh, M34, M34},
    {"threshold", threshold, M34, M34},
    {"prelu", prelu, M34, M34},
    {"glu", glu, M34, {2, {3, 2}}},
    {"swiglu", swiglu, M34, {2, {3, 2}}},
    {"geglu", geglu, M34, {2, {3, 2}}},
    {"reglu", reglu, M34, {2, {3, 2}}},
    {"softmax", softmax, M34, M34},
    {"log_softmax", log_softmax, M34, M34},
    {"softmin", softmin, M34, M34},
    {"position", sines, SEQUENCE, SEQUENCE},
    {"position, learned", places, SEQUENCE, SEQUENCE},
    {"rnn", rnn, SEQUENCE, {3, {5, 3, 3}}},
    {"rnn of relu", rnn_relu, SEQUENCE, {3, {5, 3, 3}}},
    {"lstm", lstm, SEQUENCE, {3, {5, 3, 6}}},
    {"lstm without bias", lstm_without_bias, SEQUENCE, {3, {5, 3, 3}}},
    {"gru", gru, SEQUENCE, {3, {5, 3, 6}}},
    {"multihead_attention", multihead, SEQUENCE, SEQUENCE},
    {"additive_attention", additive, SEQUENCE, SEQUENCE},
    {"dot_attention", dot, SEQUENCE, SEQUENCE},
    {"transformer_encoder_layer", encoder_layer, SEQUENCE, SEQUENCE},
    {"transformer_encoder", encoder, SEQUENCE, SEQUENCE},
    {"residual", residual, M34, {2, {3, 3}}},
    {"parallel", parallel, M34, {2, {3, 6}}},
};

const int n_layers = sizeof every_layer / sizeof *every_layer;
