/* instance.c - all kernels for one dtype and instruction set; see kernels.h. */
/* SPDX-License-Identifier: MIT */
#include "instance.h"
#include "kernels.h"

#include "band_real.c"
#include "conv_base_real.c"
#include "conv_input_real.c"
#include "conv_weight_real.c"
#include "conv_winograd_real.c"
#include "conv_winograd_plain_real.c"
#include "conv_winograd_tasks_real.c"
#include "conv_winograd_weight_real.c"
#include "finite_real.c"
#include "gemm_dot_real.c"
#include "gemm_fetch_real.c"
#include "gemm_pack_real.c"
#include "gemm_real.c"
#include "gemm_tiny_real.c"
#include "index_real.c"
#include "pool_real.c"
#include "recurrent_real.c"
#include "reduce_real.c"
#include "scan_real.c"
#include "softmax_real.c"
#include "standardize_real.c"

/* These stand on the ones above. */
#include "attention_base_real.c"
#include "attention_grad_real.c"
#include "attention_real.c"
#include "conv_lanes_real.c"
#include "cross_entropy_real.c"
#include "patches_real.c"
#include "standardize_channels_real.c"
#include "stream_real.c"

extern const gr__kernels INSTANCE;

const gr__kernels INSTANCE = {
    .gemm = {GEMM_COLUMNS, gemm_block, gemm_dot, gemm_tiny, gemm_pack},
    .finite = finite,
    .sum = reduce_sum,
    .max = reduce_max,
    .stream_sum = stream_sum,
    .stream_end = stream_end,
    .scan_sum = scan_sum,
    .scan_product = scan_product,
    .scan_linear = scan_linear,
    .scan_logsumexp = scan_logsumexp,
    .scan_extreme = scan_extreme,
    .softmax = softmax,
    .softmax_grad = softmax_grad,
    .cross_entropy = cross_entropy,
    .cross_entropy_grad = cross_entropy_grad,
    .standardize_rows = standardize_rows,
    .standardize_rows_grad = standardize_rows_grad,
    .standardize_channels = standardize_channels,
    .standardize_channels_grad = standardize_channels_grad,
    .attention = attention,
    .attention_grad = attention_grad,
    .gather = gather,
    .scatter = scatter,
    .scatter_add = scatter_add,
    .scatter_put = scatter_put,
    .index_add = index_add,
    .take_rows = take_rows,
    .scatter_rows = scatter_rows,
    .conv =
        {
            [GR__CONV_FORWARD] = {forward_prepare, forward_task, NULL},
            [GR__CONV_INPUT_GRAD] = {input_grad_prepare, input_grad_task, input_grad_plain},
            [GR__CONV_WEIGHT_GRAD] = {weight_grad_prepare, weight_grad_task, weight_grad_finish},
        },
    .conv_lanes = VEC_LANES,
    .conv_in_lanes =
        {
            [GR__CONV_FORWARD] = {forward_prepare, lanes_forward_task, NULL},
            [GR__CONV_INPUT_GRAD] = {input_grad_prepare, lanes_input_grad_task, input_grad_plain},
            [GR__CONV_WEIGHT_GRAD] = {NULL, lanes_weight_grad_task, weight_grad_finish},
        },
    .winograd = winograd_kernels,
    .cell =
        {
            .rnn = rnn_row,
            .rnn_grad = rnn_grad_row,
            .lstm = lstm_row,
            .lstm_grad = lstm_grad_row,
            .gru = gru_row,
            .gru_grad = gru_grad_row,
        },
    .band = band,
    .unfold = unfold,
    .fold = fold,
    .max_pool = max_pool,
    .unpool = unpool,
    .pick = pick,
    .avg_pool = avg_pool,
    .avg_pool_grad = avg_pool_grad,
};
