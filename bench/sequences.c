/* sequences.c - networks over time: an LSTM of words, a GRU and a transformer of letters. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

enum { WORDS = 10000, LETTERS = 65, CONTEXT = 256 };

/* Words [35,20], two layers of 200; the state goes on from batch to batch, without its gradient. */
static void build_lstm(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(
        m, GR_LIST(gr_embedding_layer(m, WORDS, 200, (gr_embedding_options){0}),
                   gr_lstm_layer(m, 200, 200, (gr_recurrent_options){.layers = 2, .carry = 20}),
                   gr_linear_layer(m, 200, WORDS)));
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 1});
    gr_optimizer_clip_norm(opt, 0.25);
    set_network(j, m, root, opt);
}

/* Letters [64,32], one layer of 256. */
static void build_gru(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root =
        gr_sequential(m, GR_LIST(gr_embedding_layer(m, LETTERS, 256, (gr_embedding_options){0}),
                                 gr_gru_layer(m, 256, 256, (gr_recurrent_options){0}),
                                 gr_linear_layer(m, 256, LETTERS)));
    set_network(j, m, root, gr_adam(m, (gr_adam_options){.lr = 1e-3}));
}

/* Letters [4,256], 6 layers of 6 heads, norms first, no dropout. */
static gr_module *gpt(gr_model *m)
{
    const gr_transformer_options o = {.hidden = 4 * 384,
                                      .dropout = -1,
                                      .gelu = true,
                                      .norm_first = true,
                                      .batch_first = true,
                                      .causal = true,
                                      .final_norm = true};
    const gr_position_options learned = {.batch_first = true, .learned = true};
    return gr_sequential(m, GR_LIST(gr_embedding_layer(m, LETTERS, 384, (gr_embedding_options){0}),
                                    gr_position_layer(m, CONTEXT, 384, learned),
                                    gr_transformer_encoder(m, 6, 384, 6, o),
                                    gr_linear_layer_with(m, 384, LETTERS,
                                                         (gr_linear_options){.no_bias = true})));
}

static void build_gpt(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = gpt(m);
    set_network(j, m, root, gr_adamw(m, (gr_adam_options){.lr = 3e-4}));
}

static void build_gpt_infer(job *j)
{
    gr_model *m = gr_model_new();
    gr_module *root = gpt(m);
    gr_model_set_training(m, false);
    set_network(j, m, root, NULL);
}

#define TRAIN(first, second, below)                                 \
    .step = train_step, .result = train_result, .loss = class_loss, \
    .input = {{2, {first, second}}, below}, .target = {{1, {(first) * (second)}}, below}

const workload sequence_workloads[] = {
    {"lstm", build_lstm, TRAIN(35, 20, WORDS)},
    {"gru", build_gru, TRAIN(64, 32, LETTERS)},
    {"gpt", build_gpt, TRAIN(4, CONTEXT, LETTERS)},
    {"gpt-infer", build_gpt_infer, infer_step, infer_result, .input = {{2, {1, CONTEXT}}, LETTERS}},
    {0},
};
