/* test_checkpoint.c - modules that backward computes again: the same model in less memory. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <string.h>

enum { BATCH = 32, WIDTH = 64, BLOCKS = 12, SIZE = WIDTH * WIDTH };

/* Linear layers, batch norm (with statistics to be updated), dropout, in each block. */
static gr_module *network(gr_model *m, bool checkpoint)
{
    gr_module *blocks[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        gr_module *norm = gr_batch_norm1d_layer(m, WIDTH, (gr_batch_norm_options){0});
        blocks[b] = gr_sequential(m, GR_LIST(gr_linear_layer(m, WIDTH, WIDTH), norm,
                                             gr_tanh_layer(m), gr_dropout_layer(m, 0.2),
                                             gr_linear_layer(m, WIDTH, WIDTH), gr_tanh_layer(m),
                                             gr_linear_layer(m, WIDTH, WIDTH), gr_tanh_layer(m)));
        gr_module_checkpoint(blocks[b], checkpoint);
    }
    return gr_sequential(m, blocks, BLOCKS);
}

/* One backward; the peak of memory. */
static size_t step(gr_module *net)
{
    static float x[BATCH * WIDTH];
    for (int i = 0; i < BATCH * WIDTH; i++) x[i] = (float)(i * 37 % 101) / 101;
    gr_graph_free(g);
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    gr_graph_seed(g, 5);
    gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), x);
    gr_status status = gr_backward(gr_mean_all(gr_square(gr_forward(net, in))));
    ck_assert_msg(status == GR_OK, "%s", gr_graph_error(g));
    return gr_graph_memory(g).peak;
}

/* Bit by bit: names, gradients, running statistics. */
static void assert_same(gr_model *a, gr_model *b)
{
    ck_assert_int_eq(gr_model_states(a), gr_model_states(b));
    for (int i = 0; i < gr_model_states(a); i++) {
        const gr_param *p = gr_model_state(a, i), *q = gr_model_state(b, i);
        const size_t size = (size_t)gr_shape_numel(gr_param_shape(p)) *
                            gr_dtype_size(gr_param_dtype(p));
        const char *name = gr_model_state_name(a, i);
        ck_assert_str_eq(name, gr_model_state_name(b, i));
        ck_assert_msg(!memcmp(gr_param_data(p), gr_param_data(q), size), "%s: other values", name);
        ck_assert_msg(!gr_param_grad(p) == !gr_param_grad(q), "%s: only one has a gradient", name);
        ck_assert_msg(!gr_param_grad(p) || !memcmp(gr_param_grad(p), gr_param_grad(q), size),
                      "%s: other gradients", name);
    }
}

START_TEST(a_checkpointed_module_has_the_same_names_gradients_and_statistics)
{
    gr_model *plain = gr_model_new(), *sparing = gr_model_new();
    size_t all = step(network(plain, false)), some = step(network(sparing, true));
    ck_assert_ptr_nonnull(gr_param_grad(gr_model_find(plain, "0.0.weight")));
    assert_same(plain, sparing);
    ck_assert_msg(2 * some < all, "%zu bytes in sections, %zu without", some, all);
    gr_model_free(plain);
    gr_model_free(sparing);
}
END_TEST

START_TEST(a_copy_is_checkpointed_as_its_original)
{
    gr_model *m = gr_model_new();
    gr_module *net = network(m, true);
    gr_model *copy = gr_model_copy(m);
    size_t original = step(net), copied = step(gr_model_module(copy, ""));
    ck_assert_uint_eq(original, copied);
    assert_same(m, copy);
    gr_model_free(copy);
    gr_model_free(m);
}
END_TEST

START_TEST(checkpoints_can_be_taken_back)
{
    gr_model *m = gr_model_new();
    gr_module *net = network(m, false);
    size_t all = step(net);
    for (int b = 0; b < BLOCKS; b++) gr_module_checkpoint(gr_module_child(net, b), true);
    for (int i = 0; i < gr_model_params(m); i++) gr_param_clear_grad(gr_model_param(m, i));
    ck_assert_uint_lt(step(net), all);
    for (int b = 0; b < BLOCKS; b++) gr_module_checkpoint(gr_module_child(net, b), false);
    for (int i = 0; i < gr_model_params(m); i++) gr_param_clear_grad(gr_model_param(m, i));
    ck_assert_uint_eq(step(net), all);
    gr_model_free(m);
}
END_TEST

SUITE("checkpointed modules", setup, teardown,
      a_checkpointed_module_has_the_same_names_gradients_and_statistics,
      a_copy_is_checkpointed_as_its_original, checkpoints_can_be_taken_back)
