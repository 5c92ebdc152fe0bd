/* layers.h - the layers of networks; weights, names and defaults are PyTorch's. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_LAYERS_H
#define GRADUS_LAYERS_H

#include <gradus/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- modules made of modules; see also gr_sequential --- */

GR_API gr_module *gr_residual(gr_model *m, gr_module *body, gr_module *shortcut); /* body(x) + shortcut(x); shortcut NULL: x */
GR_API gr_module *gr_parallel(gr_model *m, int axis, gr_module *const *modules, int n); /* what each gives, side by side along an axis */

/* --- fully connected --- */

typedef struct gr_linear_options {
    bool no_bias;
    gr_init weight, bias; /* by default U(-1/sqrt(in), 1/sqrt(in)) */
    gr_param *shared;     /* use this [out,in] of another layer as weight */
} gr_linear_options;
GR_API gr_module *gr_linear_layer(gr_model *m, int64_t in, int64_t out); /* weight [out,in], bias [out] */
GR_API gr_module *gr_linear_layer_with(gr_model *m, int64_t in, int64_t out, gr_linear_options o);
GR_API gr_module *gr_bilinear_layer(gr_model *m, int64_t in1, int64_t in2, int64_t out, gr_linear_options o); /* weight [out,in1,in2]; gr_forward takes both as one [..., in1 + in2] */
GR_API gr_tensor *gr_bilinear_forward(gr_module *layer, gr_tensor *a, gr_tensor *b);
GR_API gr_module *gr_maxout_layer(gr_model *m, int64_t in, int64_t out, int pieces); /* the largest of `pieces` linear functions; weight [out pieces,in] */

/* --- convolution: weight [out, in/groups, kernel...], of a transposed one [in, out/groups, kernel...] --- */

typedef struct gr_conv1d_layer_options {
    bool no_bias;
    gr_conv1d_options conv;
    gr_pad_mode pad_mode; /* with what the padding is filled */
    gr_init weight; /* by default U(-b, b), b = 1/sqrt(in/groups kernel), the bias likewise */
} gr_conv1d_layer_options;
typedef struct gr_conv2d_layer_options {
    bool no_bias;
    gr_conv2d_options conv;
    gr_pad_mode pad_mode;
    int kernel_width; /* 0: as its height */
    gr_init weight;
} gr_conv2d_layer_options;
typedef struct gr_conv3d_layer_options {
    bool no_bias;
    gr_conv3d_options conv;
    gr_pad_mode pad_mode;
    int kernel_height, kernel_width; /* 0: as its depth */
    gr_init weight;
} gr_conv3d_layer_options;
GR_API gr_module *gr_conv1d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv1d_layer_options o);
GR_API gr_module *gr_conv2d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv2d_layer_options o);
GR_API gr_module *gr_conv3d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv3d_layer_options o);

typedef struct gr_conv_transpose1d_layer_options {
    bool no_bias;
    gr_conv_transpose1d_options conv;
    gr_init weight;
} gr_conv_transpose1d_layer_options;
typedef struct gr_conv_transpose2d_layer_options {
    bool no_bias;
    gr_conv_transpose2d_options conv;
    int kernel_width; /* 0: as its height */
    gr_init weight;
} gr_conv_transpose2d_layer_options;
typedef struct gr_conv_transpose3d_layer_options {
    bool no_bias;
    gr_conv_transpose3d_options conv;
    int kernel_height, kernel_width; /* 0: as its depth */
    gr_init weight;
} gr_conv_transpose3d_layer_options;
GR_API gr_module *gr_conv_transpose1d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv_transpose1d_layer_options o);
GR_API gr_module *gr_conv_transpose2d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv_transpose2d_layer_options o);
GR_API gr_module *gr_conv_transpose3d_layer(gr_model *m, int64_t in, int64_t out, int kernel, gr_conv_transpose3d_layer_options o);

/* --- pooling and other sizes --- */

GR_API gr_module *gr_max_pool1d_layer(gr_model *m, gr_pool1d_options o);
GR_API gr_module *gr_max_pool2d_layer(gr_model *m, gr_pool2d_options o);
GR_API gr_module *gr_max_pool3d_layer(gr_model *m, gr_pool3d_options o);
GR_API gr_module *gr_avg_pool1d_layer(gr_model *m, gr_pool1d_options o);
GR_API gr_module *gr_avg_pool2d_layer(gr_model *m, gr_pool2d_options o);
GR_API gr_module *gr_avg_pool3d_layer(gr_model *m, gr_pool3d_options o);
GR_API gr_module *gr_adaptive_max_pool1d_layer(gr_model *m, int64_t length);
GR_API gr_module *gr_adaptive_max_pool2d_layer(gr_model *m, int64_t height, int64_t width);
GR_API gr_module *gr_adaptive_avg_pool1d_layer(gr_model *m, int64_t length);
GR_API gr_module *gr_adaptive_avg_pool2d_layer(gr_model *m, int64_t height, int64_t width);
GR_API gr_module *gr_global_avg_pool_layer(gr_model *m);   /* [N,C,...] -> [N,C,1,...] */
GR_API gr_module *gr_global_max_pool_layer(gr_model *m);
GR_API gr_module *gr_upsample_nearest_layer(gr_model *m, gr_upsample_options o);
GR_API gr_module *gr_upsample_linear_layer(gr_model *m, gr_upsample_options o);
GR_API gr_module *gr_flatten_layer(gr_model *m);           /* [N, ...] -> [N, rest] */
GR_API gr_module *gr_identity_layer(gr_model *m);

/* --- normalisation --- */

typedef struct gr_norm_options {
    double eps;     /* 0: 1e-5; of rms_norm that of the dtype */
    bool no_affine; /* neither weight nor bias */
} gr_norm_options;
GR_API gr_module *gr_layer_norm_layer(gr_model *m, gr_shape shape, gr_norm_options o); /* over the trailing axes `shape` */
GR_API gr_module *gr_rms_norm_layer(gr_model *m, gr_shape shape, gr_norm_options o);   /* weight alone */
GR_API gr_module *gr_group_norm_layer(gr_model *m, int groups, int64_t channels, gr_norm_options o); /* [N,C,...] */

typedef struct gr_batch_norm_options {
    double eps;      /* 0: 1e-5 */
    double momentum; /* of the newest batch in running_mean, running_var; 0: 0.1; negative: the mean of all batches */
    bool no_affine;
    bool no_track;   /* statistics of the batch in evaluation too */
} gr_batch_norm_options;
GR_API gr_module *gr_batch_norm1d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o); /* [N,C] or [N,C,L] */
GR_API gr_module *gr_batch_norm2d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o); /* [N,C,H,W] */
GR_API gr_module *gr_batch_norm3d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o); /* [N,C,D,H,W] */

typedef struct gr_instance_norm_options {
    double eps;  /* 0: 1e-5 */
    bool affine; /* with weight and bias */
} gr_instance_norm_options;
GR_API gr_module *gr_instance_norm_layer(gr_model *m, int64_t channels, gr_instance_norm_options o); /* [N,C,...] */
GR_API gr_module *gr_local_response_norm_layer(gr_model *m, gr_local_response_norm_options o);

/* --- dropout: the identity (or a scale) unless training --- */

GR_API gr_module *gr_dropout_layer(gr_model *m, double p);          /* zero with probability p, else x / (1 - p) */
GR_API gr_module *gr_classic_dropout_layer(gr_model *m, double p);  /* zero with probability p, else x; in evaluation (1 - p) x */
GR_API gr_module *gr_channel_dropout_layer(gr_model *m, double p);  /* whole channels of [N,C,...] */
GR_API gr_module *gr_alpha_dropout_layer(gr_model *m, double p);    /* for selu */

/* --- activations --- */

GR_API gr_module *gr_function_layer(gr_model *m, const char *type, gr_tensor *(*f)(gr_tensor *)); /* any op of one tensor */
GR_API gr_module *gr_relu_layer(gr_model *m);
GR_API gr_module *gr_relu6_layer(gr_model *m);
GR_API gr_module *gr_sigmoid_layer(gr_model *m);
GR_API gr_module *gr_tanh_layer(gr_model *m);
GR_API gr_module *gr_gelu_layer(gr_model *m);
GR_API gr_module *gr_gelu_tanh_layer(gr_model *m);
GR_API gr_module *gr_silu_layer(gr_model *m);
GR_API gr_module *gr_mish_layer(gr_model *m);
GR_API gr_module *gr_selu_layer(gr_model *m);
GR_API gr_module *gr_softplus_layer(gr_model *m);
GR_API gr_module *gr_softsign_layer(gr_model *m);
GR_API gr_module *gr_logsigmoid_layer(gr_model *m);
GR_API gr_module *gr_hardsigmoid_layer(gr_model *m);
GR_API gr_module *gr_hardswish_layer(gr_model *m);
GR_API gr_module *gr_tanhshrink_layer(gr_model *m);
GR_API gr_module *gr_leaky_relu_layer(gr_model *m, double slope);
GR_API gr_module *gr_elu_layer(gr_model *m, double alpha);
GR_API gr_module *gr_celu_layer(gr_model *m, double alpha);
GR_API gr_module *gr_hardshrink_layer(gr_model *m, double lambda);
GR_API gr_module *gr_softshrink_layer(gr_model *m, double lambda);
GR_API gr_module *gr_hardtanh_layer(gr_model *m, double min, double max);
GR_API gr_module *gr_threshold_layer(gr_model *m, double threshold, double value);
GR_API gr_module *gr_prelu_layer(gr_model *m, int64_t channels); /* weight [channels], 0.25 at first; 1: one for all */
GR_API gr_module *gr_glu_layer(gr_model *m, int axis);
GR_API gr_module *gr_swiglu_layer(gr_model *m, int axis);
GR_API gr_module *gr_geglu_layer(gr_model *m, int axis);
GR_API gr_module *gr_reglu_layer(gr_model *m, int axis);
GR_API gr_module *gr_softmax_layer(gr_model *m, int axis);
GR_API gr_module *gr_log_softmax_layer(gr_model *m, int axis);
GR_API gr_module *gr_softmin_layer(gr_model *m, int axis);

/* --- embedding and position --- */

typedef struct gr_embedding_options {
    bool padding;          /* the row padding_index is 0 at first and gets no gradient */
    int64_t padding_index;
    gr_init weight;        /* by default N(0, 1) */
} gr_embedding_options;
GR_API gr_module *gr_embedding_layer(gr_model *m, int64_t rows, int64_t size, gr_embedding_options o); /* int64 [...] -> [..., size]; weight [rows,size] */

typedef struct gr_position_options {
    bool batch_first; /* x is [N,T,size], else [T,N,size] */
    bool learned;     /* a parameter weight [length,size], else sines and cosines */
    gr_init weight;   /* of a learned one; by default N(0, 1) */
} gr_position_options;
GR_API gr_module *gr_position_layer(gr_model *m, int64_t length, int64_t size, gr_position_options o); /* x + a vector for each place, T <= length */

/* --- recurrent: weight_ih_l0 [G hidden,in], weight_hh_l0, bias_ih_l0, bias_hh_l0, ..., "_reverse" --- */

typedef struct gr_recurrent_options {
    int layers;         /* 0 counts as 1 */
    bool bidirectional, batch_first, no_bias;
    double dropout;     /* between layers, while training */
    gr_rnn_nonlinearity nonlinearity; /* of gr_rnn_layer */
    int64_t carry;      /* not 0: of batches of so many rows the last state is where the next call goes on; see gr_recurrent_reset */
} gr_recurrent_options;
GR_API gr_module *gr_rnn_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o);
GR_API gr_module *gr_lstm_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o);
GR_API gr_module *gr_gru_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o);
typedef struct gr_recurrent_inputs {
    gr_tensor *h, *c;    /* [L D,N,hidden] or NULL: zeros, or what was carried; c of an LSTM */
    gr_tensor *lengths;  /* int64 [N] or NULL: all steps */
} gr_recurrent_inputs;
/* gr_forward gives y alone, [T,N,D hidden]; this gives the last states too, and takes first ones. */
GR_API gr_recurrent gr_recurrent_forward(gr_module *layer, gr_tensor *x, gr_recurrent_inputs in);
GR_API void gr_recurrent_reset(gr_module *module); /* carried states of it and all below become 0 */

/* --- attention and transformers: [T,N,size], with batch_first [N,T,size] --- */

/* Who sees whom; true (or -Inf) keeps a key from being seen, as in PyTorch's modules. */
typedef struct gr_attention_mask {
    gr_tensor *scores;  /* bool or float (added), stretches to [N,heads,T,S]: [T,S]; NULL: all see all */
    gr_tensor *padding; /* bool [N,S]: keys that nobody sees; NULL: none */
    bool causal;        /* each place sees those before it and itself */
} gr_attention_mask;

typedef struct gr_multihead_attention_options {
    bool batch_first, no_bias;
    double dropout;         /* of weights, while training */
    int64_t keys, values;   /* their sizes; 0: as the queries */
} gr_multihead_attention_options;
GR_API gr_module *gr_multihead_attention_layer(gr_model *m, int64_t size, int heads, gr_multihead_attention_options o); /* in_proj_weight, in_proj_bias, out_proj.weight, out_proj.bias */
GR_API gr_module *gr_additive_attention_layer(gr_model *m, int64_t queries, int64_t keys, int64_t hidden, bool batch_first); /* weights softmax(energy tanh(query q + key k)); Bahdanau 2015 */
GR_API gr_module *gr_dot_attention_layer(gr_model *m, double scale, bool batch_first); /* weights softmax(scale q k); scale 0: 1/sqrt(size); Luong 2015: 1 */
/* Of queries [T,N,..], keys [S,N,..], values (NULL: the keys); *weights, unless NULL, becomes
 * [N,T,S], the mean over the heads. gr_forward is attention of x to itself. */
GR_API gr_tensor *gr_attention_forward(gr_module *layer, gr_tensor *query, gr_tensor *key, gr_tensor *value, gr_attention_mask mask, gr_tensor **weights);

typedef struct gr_transformer_options {
    int64_t hidden;      /* of linear1; 0: 2048 */
    double dropout;      /* 0: 0.1; negative: none */
    double eps;          /* of the norms; 0: 1e-5 */
    bool gelu;           /* else relu */
    bool norm_first;     /* normalise before each part, else after it */
    bool batch_first;
    bool causal;         /* attention of x to itself, always */
    bool final_norm;     /* behind the last layer: norm */
} gr_transformer_options;
GR_API gr_module *gr_transformer_encoder_layer(gr_model *m, int64_t size, int heads, gr_transformer_options o); /* self_attn, linear1, linear2, norm1, norm2 */
GR_API gr_module *gr_transformer_decoder_layer(gr_model *m, int64_t size, int heads, gr_transformer_options o); /* multihead_attn and norm3 besides */
GR_API gr_module *gr_transformer_encoder(gr_model *m, int layers, int64_t size, int heads, gr_transformer_options o); /* layers.0, layers.1, ... */
GR_API gr_module *gr_transformer_decoder(gr_model *m, int layers, int64_t size, int heads, gr_transformer_options o);
/* Of a layer or a whole encoder or decoder. gr_forward of an encoder is this without a mask. */
GR_API gr_tensor *gr_encoder_forward(gr_module *module, gr_tensor *x, gr_attention_mask mask);
GR_API gr_tensor *gr_decoder_forward(gr_module *module, gr_tensor *x, gr_tensor *memory, gr_attention_mask mask, gr_attention_mask memory_mask);

#ifdef __cplusplus
}
#endif
#endif
