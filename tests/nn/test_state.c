/* test_state.c - layers that remember (running statistics, states), and those of many inputs. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <math.h>
#include <string.h>

static gr_model *model(void)
{
    gr_model *m = gr_model_new();
    gr_model_dtype(m, GR_F64);
    return m;
}

static double at(gr_model *m, const char *name, int i)
{
    const gr_param *p = gr_model_find(m, name);
    ck_assert_msg(p != NULL, "no '%s'", name);
    return gr_param_dtype(p) == GR_I64 ? (double)((const int64_t *)gr_param_data(p))[i]
                                       : ((const double *)gr_param_data(p))[i];
}

static void expect_error(const char *text)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, text), "expected '%s', got '%s'", text,
                  error ? error : "no error");
    gr_graph_reset(g);
}

/* --- batch norm --- */

/* channel 0: mean 2, unbiased variance 4; channel 1: mean 0, variance 1 */
static const double batch[] = {0, -1, 2, 0, 4, 1};

START_TEST(running_statistics_move_a_tenth_of_the_way)
{
    gr_model *m = model();
    gr_module *norm = gr_batch_norm1d_layer(m, 2, (gr_batch_norm_options){0});
    for (int step = 1; step <= 2; step++, gr_graph_reset(g)) {
        gr_forward(norm, make(GR_F64, batch, GR_SHAPE(3, 2)));
        ck_assert_double_eq(at(m, "num_batches_tracked", 0), step - 1);
        ck_assert_int_eq(gr_commit(g), GR_OK);
        ck_assert_double_eq(at(m, "num_batches_tracked", 0), step);
    }
    ck_assert_double_eq_tol(at(m, "running_mean", 0), 0.9 * 0.2 + 0.2, 1e-15);
    ck_assert_double_eq_tol(at(m, "running_mean", 1), 0, 1e-15);
    ck_assert_double_eq_tol(at(m, "running_var", 0), 0.9 * 1.3 + 0.4, 1e-14);
    ck_assert_double_eq_tol(at(m, "running_var", 1), 1, 1e-14);
    gr_model_free(m);
}
END_TEST

START_TEST(two_batches_on_one_tape_count_twice)
{
    gr_model *m = model();
    gr_module *norm = gr_batch_norm1d_layer(m, 2, (gr_batch_norm_options){0});
    for (int i = 0; i < 2; i++) gr_forward(norm, make(GR_F64, batch, GR_SHAPE(3, 2)));
    ck_assert_int_eq(gr_commit(g), GR_OK);
    ck_assert_double_eq(at(m, "num_batches_tracked", 0), 2);
    ck_assert_double_eq_tol(at(m, "running_mean", 0), 0.9 * 0.2 + 0.2, 1e-15);
    gr_model_free(m);
}
END_TEST

START_TEST(without_momentum_all_batches_count_alike)
{
    static const double other[] = {6, 0, 8, 0, 10, 0};
    gr_model *m = model();
    gr_module *norm = gr_batch_norm1d_layer(m, 2, (gr_batch_norm_options){.momentum = -1});
    const double *batches[] = {batch, other};
    for (int i = 0; i < 2; i++, gr_graph_reset(g)) {
        gr_forward(norm, make(GR_F64, batches[i], GR_SHAPE(3, 2)));
        gr_commit(g);
    }
    ck_assert_double_eq_tol(at(m, "running_mean", 0), (2 + 8) / 2.0, 1e-14);
    ck_assert_double_eq_tol(at(m, "running_var", 0), 4, 1e-14);
    gr_model_free(m);
}
END_TEST

START_TEST(backward_writes_statistics_and_evaluation_reads_them)
{
    gr_model *m = model();
    gr_module *norm = gr_batch_norm1d_layer(m, 2, (gr_batch_norm_options){.momentum = 1});
    gr_tensor *y = gr_forward(norm, make(GR_F64, batch, GR_SHAPE(3, 2)));
    ck_assert_int_eq(gr_backward(gr_mean_all(gr_square(y))), GR_OK);
    ck_assert_double_eq_tol(at(m, "running_var", 0), 4, 1e-14);
    gr_graph_reset(g);
    gr_model_set_training(m, false);
    const double x[] = {6, 3};
    const double *z = values(gr_forward(norm, make(GR_F64, x, GR_SHAPE(1, 2))));
    ck_assert_double_eq_tol(z[0], (6 - 2) / sqrt(4 + 1e-5), 1e-12);
    ck_assert_double_eq_tol(z[1], 3 / sqrt(1 + 1e-5), 1e-12);
    ck_assert_int_eq(gr_commit(g), GR_OK);
    ck_assert_double_eq(at(m, "num_batches_tracked", 0), 1);
    gr_model_free(m);
}
END_TEST

START_TEST(one_value_per_channel_is_no_batch)
{
    gr_model *m = model();
    gr_module *net =
        gr_sequential(m, GR_LIST(gr_batch_norm1d_layer(m, 2, (gr_batch_norm_options){0})));
    gr_forward(net, make(GR_F64, batch, GR_SHAPE(1, 2)));
    expect_error("fewer than 2 values");
    gr_forward(net, make(GR_F64, batch, GR_SHAPE(2, 3)));
    expect_error("batch_norm1d '0': expected [N, C] or [N, C, L] with C = 2, got [2,3]");
    gr_model_free(m);
}
END_TEST

/* --- dropout --- */

START_TEST(classic_dropout_scales_in_evaluation)
{
    gr_model *m = gr_model_new();
    gr_module *layer = gr_classic_dropout_layer(m, 0.25);
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(1000), 2);
    const float *y = gr_data(gr_forward(layer, x));
    int zeros = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert_msg(y[i] == 0 || fabsf(y[i] - 2) < 1e-6f, "got %g", (double)y[i]);
        zeros += y[i] == 0;
    }
    ck_assert_int_gt(zeros, 200);
    ck_assert_int_lt(zeros, 300);
    gr_model_set_training(m, false);
    y = gr_data(gr_forward(layer, x));
    for (int i = 0; i < 1000; i++) ck_assert_float_eq_tol(y[i], 1.5f, 1e-6f);
    gr_model_free(m);
}
END_TEST

/* --- embedding --- */

START_TEST(padding_is_zero_and_gets_no_gradient)
{
    static const int64_t words[] = {2, 0, 2};
    gr_model *m = model();
    gr_module *words_layer =
        gr_embedding_layer(m, 3, 2, (gr_embedding_options){.padding = true, .padding_index = 2});
    gr_tensor *y = gr_forward(words_layer, gr_from_data(g, GR_I64, GR_SHAPE(3), words));
    const double *v = values(y);
    ck_assert(v[0] == 0 && v[1] == 0 && v[2] != 0 && v[4] == 0);
    ck_assert_int_eq(gr_backward(gr_sum_all(y)), GR_OK);
    const double *d = gr_param_grad(gr_model_param(m, 0)), want[] = {1, 1, 0, 0, 0, 0};
    for (int i = 0; i < 6; i++) ck_assert_double_eq(d[i], want[i]);
    gr_forward(words_layer, gr_ones(g, GR_F64, GR_SHAPE(2)));
    expect_error("embedding: expected indices of int64, got float64");
    gr_model_free(m);
}
END_TEST

START_TEST(places_have_sines_and_cosines)
{
    gr_model *m = model();
    gr_module *layer = gr_position_layer(m, 9, 4, (gr_position_options){0});
    const double *y = values(gr_forward(layer, gr_zeros(g, GR_F64, GR_SHAPE(3, 1, 4))));
    const double want[] = {0,         1,         0,      1,      sin(1),    cos(1),
                           sin(0.01), cos(0.01), sin(2), cos(2), sin(0.02), cos(0.02)};
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(y[i], want[i], 1e-15);
    gr_forward(layer, gr_zeros(g, GR_F64, GR_SHAPE(10, 1, 4)));
    expect_error("position: expected [T, N, 4] with T up to 9, got [10,1,4]");
    gr_model_free(m);
}
END_TEST

/* --- recurrent --- */

static gr_tensor *sequence(int64_t steps)
{
    double x[60];
    for (int i = 0; i < 60; i++) x[i] = sin(1.3 * i);
    return gr_narrow(make(GR_F64, x, GR_SHAPE(10, 2, 3)), 0, 0, steps);
}

/* Pieces of 4 and 6 steps through `layer`, at the same places as the whole through `whole`. */
static void expect_carried(gr_module *layer, gr_module *whole, bool one_tape)
{
    double want[80], got[80];
    memcpy(want, values(gr_forward(whole, sequence(10))), sizeof want);
    gr_graph_reset(g);
    gr_tensor *y[2];
    for (int i = 0; i < 2; i++) {
        gr_tensor *x = sequence(10);
        y[i] = gr_forward(layer, gr_narrow(x, 0, i ? 4 : 0, i ? 6 : 4));
        memcpy(got + 32 * i, values(y[i]), (i ? 48 : 32) * sizeof *got);
        if (!one_tape) {
            ck_assert_int_eq(gr_backward(gr_sum_all(y[i])), GR_OK);
            gr_graph_reset(g);
        }
    }
    if (one_tape) ck_assert_int_eq(gr_commit(g), GR_OK);
    for (int i = 0; i < 80; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-12);
}

START_TEST(carried_states_go_on_where_the_last_batch_ended)
{
    typedef gr_module *layer_fn(gr_model * m, int64_t in, int64_t hidden, gr_recurrent_options o);
    static layer_fn *const kinds[] = {gr_rnn_layer, gr_lstm_layer, gr_gru_layer};
    for (int i = 0; i < 3; i++) {
        gr_model *m = model(), *same = model();
        gr_module *layer = kinds[i](m, 3, 4, (gr_recurrent_options){.layers = 2, .carry = 2});
        gr_module *whole = kinds[i](same, 3, 4, (gr_recurrent_options){.layers = 2});
        expect_carried(layer, whole, false);
        gr_recurrent_reset(layer);
        expect_carried(layer, whole, true);
        gr_forward(layer, gr_zeros(g, GR_F64, GR_SHAPE(4, 3, 3)));
        expect_error("expected batches of 2, whose state is carried, got [4,3,3]");
        gr_model_free(m);
        gr_model_free(same);
    }
}
END_TEST

START_TEST(gradients_end_where_a_state_was_carried)
{
    gr_model *m = model();
    gr_module *layer = gr_gru_layer(m, 3, 4, (gr_recurrent_options){.carry = 2});
    gr_tensor *x = sequence(4), *dx;
    gr_forward(layer, x);
    gr_tensor *second = gr_sum_all(gr_forward(layer, sequence(4)));
    ck_assert_int_eq(gr_grad(second, &x, 1, &dx), GR_OK);
    for (int i = 0; i < 24; i++) ck_assert_double_eq(values(dx)[i], 0);
    gr_model_free(m);
}
END_TEST

START_TEST(lengths_and_first_states_are_inputs)
{
    static const int64_t lengths[] = {4, 2};
    gr_model *m = model();
    gr_module *layer = gr_lstm_layer(m, 3, 4, (gr_recurrent_options){0});
    gr_tensor *x = sequence(4);
    gr_recurrent r = gr_recurrent_forward(
        layer, x, (gr_recurrent_inputs){.lengths = gr_from_data(g, GR_I64, GR_SHAPE(2), lengths)});
    gr_recurrent a = gr_recurrent_forward(layer, gr_narrow(x, 0, 0, 2), (gr_recurrent_inputs){0});
    gr_recurrent b = gr_recurrent_forward(layer, gr_narrow(x, 0, 2, 2),
                                          (gr_recurrent_inputs){.h = a.h, .c = a.c});
    double h[8];
    memcpy(h, values(r.h), sizeof h);
    for (int i = 0; i < 4; i++) {
        ck_assert_double_eq_tol(h[i], values(b.h)[i], 1e-14);
        ck_assert_double_eq_tol(h[4 + i], values(a.h)[4 + i], 1e-14);
        ck_assert_double_eq(values(r.y)[3 * 8 + 4 + i], 0);
    }
    r = gr_recurrent_forward(gr_linear_layer(m, 3, 3), x, (gr_recurrent_inputs){0});
    ck_assert_ptr_null(gr_data(r.y));
    expect_error("gr_recurrent_forward: not for modules of type linear");
    gr_model_free(m);
}
END_TEST

/* --- two inputs --- */

START_TEST(bilinear_takes_two_inputs)
{
    static const double a[] = {1, 2}, b[] = {3, 4, 5};
    gr_model *m = model();
    gr_module *layer = gr_bilinear_layer(m, 2, 3, 1, (gr_linear_options){0});
    double *w = gr_param_write(gr_model_param(m, 0));
    for (int i = 0; i < 6; i++) w[i] = i;
    *(double *)gr_param_write(gr_model_param(m, 1)) = 0.5;
    gr_tensor *x = make(GR_F64, a, GR_SHAPE(2)), *y = make(GR_F64, b, GR_SHAPE(3));
    /* (0 3 + 1 4 + 2 5) + 2 (3 3 + 4 4 + 5 5) + 0.5 */
    ck_assert_double_eq_tol(gr_item(gr_bilinear_forward(layer, x, y)), 114.5, 1e-12);
    gr_tensor *both[] = {x, y};
    ck_assert_double_eq_tol(gr_item(gr_forward(layer, gr_concat(both, 2, 0))), 114.5, 1e-12);
    gr_bilinear_forward(layer, y, y);
    expect_error("bilinear: expected a of [..., 2], got [3]");
    gr_model_free(m);
}
END_TEST

/* --- attention --- */

static gr_tensor *places(int64_t n, int64_t rows, int64_t size, double phase)
{
    double x[64];
    for (int i = 0; i < 64; i++) x[i] = sin(1.7 * i + phase);
    return make(GR_F64, x, GR_SHAPE(n, rows, size));
}

/* What a key that is masked holds changes nothing, and its weight is 0. */
static void expect_unseen(gr_module *layer, gr_attention_mask mask, int query, int key)
{
    double before[12], after[12];
    gr_tensor *q = places(3, 1, 4, 0), *k = places(3, 1, 4, 1), *w;
    memcpy(before, values(gr_attention_forward(layer, q, k, NULL, mask, &w)), sizeof before);
    const double *weights = values(w);
    ck_assert_double_eq_tol(weights[3 * query + key], 0, 1e-300);
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq_tol(weights[3 * i] + weights[3 * i + 1] + weights[3 * i + 2], 1, 1e-12);
    double x[12];
    memcpy(x, values(k), sizeof x);
    for (int i = 0; i < 4; i++) x[4 * key + i] += 5;
    gr_tensor *other = make(GR_F64, x, GR_SHAPE(3, 1, 4));
    memcpy(after, values(gr_attention_forward(layer, q, other, NULL, mask, NULL)), sizeof after);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(after[4 * query + i], before[4 * query + i], 1e-13);
}

static gr_tensor *bools(const double *x, gr_shape shape)
{
    return gr_cast(make(GR_F64, x, shape), GR_BOOL);
}

static void expect_masks(gr_module *layer)
{
    static const double last[] = {0, 0, 1}, corner[] = {0, 0, 0, 1, 0, 0, 0, 0, 0};
    static const double minus[] = {0, 0, 0, -INFINITY, 0, 0, 0, 0, 0};
    gr_tensor *padding = bools(last, GR_SHAPE(1, 3)), *scores = bools(corner, GR_SHAPE(3, 3));
    gr_tensor *added = make(GR_F64, minus, GR_SHAPE(3, 3));
    expect_unseen(layer, (gr_attention_mask){.padding = padding}, 1, 2);
    expect_unseen(layer, (gr_attention_mask){.scores = scores}, 1, 0);
    expect_unseen(layer, (gr_attention_mask){.scores = added}, 1, 0);
    expect_unseen(layer, (gr_attention_mask){.scores = scores, .padding = padding}, 1, 0);
    expect_unseen(layer, (gr_attention_mask){.scores = added, .padding = padding}, 1, 2);
    expect_unseen(layer, (gr_attention_mask){.causal = true}, 1, 2);
    expect_unseen(layer, (gr_attention_mask){.scores = scores, .causal = true}, 1, 2);
}

START_TEST(masked_keys_are_not_seen)
{
    gr_model *m = model();
    expect_masks(gr_multihead_attention_layer(m, 4, 2, (gr_multihead_attention_options){0}));
    expect_masks(gr_dot_attention_layer(m, 1, false));
    expect_masks(gr_additive_attention_layer(m, 4, 4, 5, false));
    gr_model_free(m);
}
END_TEST

START_TEST(a_query_that_sees_nothing_gets_zeros)
{
    static const double all[] = {1, 1, 1};
    gr_model *m = model();
    gr_module *layers[] = {gr_dot_attention_layer(m, 1, false),
                           gr_additive_attention_layer(m, 4, 4, 5, false)};
    for (int i = 0; i < 2; i++) {
        gr_tensor *x = places(3, 1, 4, 0), *w;
        const gr_attention_mask mask = {.padding = bools(all, GR_SHAPE(1, 3))};
        const double *y = values(gr_attention_forward(layers[i], x, NULL, NULL, mask, &w));
        for (int j = 0; j < 12; j++) ck_assert_double_eq(y[j], 0);
        for (int j = 0; j < 9; j++) ck_assert_double_eq(values(w)[j], 0);
    }
    gr_model_free(m);
}
END_TEST

START_TEST(attention_takes_keys_and_values_of_other_sizes)
{
    gr_model *m = model();
    gr_module *layer = gr_multihead_attention_layer(
        m, 4, 2, (gr_multihead_attention_options){.batch_first = true, .keys = 3, .values = 5});
    gr_tensor *y = gr_attention_forward(layer, places(2, 3, 4, 0), places(2, 2, 3, 1),
                                        places(2, 2, 5, 2), (gr_attention_mask){0}, NULL);
    ck_assert_msg(gr_data(y) != NULL, "%s", gr_graph_error(g));
    ck_assert(gr_shape_equal(gr_shape_of(y), &GR_SHAPE(2, 3, 4)));
    ck_assert_ptr_nonnull(gr_model_find(m, "k_proj_weight"));
    ck_assert_ptr_null(gr_model_find(m, "in_proj_weight"));
    gr_model_free(m);
}
END_TEST

START_TEST(attention_says_what_does_not_fit)
{
    static const double two[] = {0, 1};
    gr_model *m = model();
    gr_module *layer = gr_multihead_attention_layer(m, 4, 2, (gr_multihead_attention_options){0});
    gr_module *net = gr_named("attn", layer);
    gr_sequential(m, GR_LIST(net));
    gr_tensor *w;
    gr_attention_forward(layer, places(3, 1, 5, 0), NULL, NULL, (gr_attention_mask){0}, &w);
    ck_assert_ptr_null(gr_data(w));
    expect_error("multihead_attention 'attn': expected query of [T, N, 4], got [3,1,5]");
    gr_attention_forward(layer, places(3, 1, 4, 0), places(3, 2, 4, 0), NULL,
                         (gr_attention_mask){0}, NULL);
    expect_error("expected key of the batch of the queries, got [3,2,4]");
    gr_attention_forward(layer, places(3, 1, 4, 0), places(3, 1, 4, 0), places(2, 1, 4, 0),
                         (gr_attention_mask){0}, NULL);
    expect_error("expected value of the batch of the queries, as many as keys, got [2,1,4]");
    gr_attention_forward(layer, places(3, 1, 4, 0), NULL, NULL,
                         (gr_attention_mask){.padding = bools(two, GR_SHAPE(1, 2))}, NULL);
    expect_error("expected a padding mask of bool [1,3], got bool [1,2]");
    gr_attention_forward(layer, places(3, 1, 4, 0), NULL, NULL,
                         (gr_attention_mask){.scores = bools(two, GR_SHAPE(2))}, NULL);
    expect_error("expected a mask of [T, S] or [N heads, T, S], got [2]");
    gr_attention_forward(layer, NULL, NULL, NULL, (gr_attention_mask){0}, &w);
    ck_assert_str_eq(gr_last_error(), "gr_attention_forward: the input is NULL");
    gr_model_free(m);
}
END_TEST

START_TEST(a_decoder_reads_an_encoder)
{
    const gr_transformer_options o = {.hidden = 6, .dropout = -1, .final_norm = true};
    const gr_attention_mask causal = {.causal = true}, none = {0};
    gr_model *m = model();
    gr_module *encoder = gr_named("encoder", gr_transformer_encoder(m, 2, 4, 2, o));
    gr_module *decoder = gr_named("decoder", gr_transformer_decoder(m, 2, 4, 2, o));
    ck_assert_ptr_nonnull(gr_model_find(m, "encoder.layers.1.self_attn.in_proj_weight"));
    ck_assert_ptr_nonnull(gr_model_find(m, "decoder.layers.0.multihead_attn.out_proj.bias"));
    ck_assert_ptr_nonnull(gr_model_find(m, "decoder.norm.weight"));
    gr_tensor *memory = gr_encoder_forward(encoder, places(5, 2, 4, 0), none);
    gr_tensor *y = gr_decoder_forward(decoder, places(3, 2, 4, 1), memory, causal, none);
    ck_assert_msg(gr_backward(gr_sum_all(gr_square(y))) == GR_OK, "%s", gr_graph_error(g));
    for (int i = 0; i < gr_model_params(m); i++)
        ck_assert_msg(gr_param_grad(gr_model_param(m, i)) != NULL, "%s has no gradient",
                      gr_model_param_name(m, i));
    gr_forward(decoder, places(3, 2, 4, 1));
    expect_error("transformer_decoder 'decoder': it reads an encoder's output");
    gr_decoder_forward(encoder, places(3, 2, 4, 1), places(5, 2, 4, 0), causal, none);
    expect_error("gr_decoder_forward: not for modules of type transformer_encoder");
    gr_decoder_forward(decoder, places(3, 2, 4, 1), NULL, causal, none);
    expect_error("gr_decoder_forward: memory is NULL");
    gr_model_free(m);
}
END_TEST

SUITE("state", setup, teardown, running_statistics_move_a_tenth_of_the_way,
      two_batches_on_one_tape_count_twice, without_momentum_all_batches_count_alike,
      backward_writes_statistics_and_evaluation_reads_them, one_value_per_channel_is_no_batch,
      classic_dropout_scales_in_evaluation, padding_is_zero_and_gets_no_gradient,
      places_have_sines_and_cosines, carried_states_go_on_where_the_last_batch_ended,
      gradients_end_where_a_state_was_carried, lengths_and_first_states_are_inputs,
      bilinear_takes_two_inputs, masked_keys_are_not_seen, a_query_that_sees_nothing_gets_zeros,
      attention_takes_keys_and_values_of_other_sizes, attention_says_what_does_not_fit,
      a_decoder_reads_an_encoder)
