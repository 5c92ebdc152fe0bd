/* test_tree.c - what a model lists: buffers, shared parameters, modes, copies, other dtypes. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "inject.h"
#include "suite.h"

#include <string.h>

static gr_module *small(gr_model *m)
{
    return gr_sequential(
        m,
        GR_LIST(gr_named("conv", gr_conv2d_layer(m, 1, 2, 3, (gr_conv2d_layer_options){0})),
                gr_named("norm", gr_batch_norm2d_layer(m, 2, (gr_batch_norm_options){0})),
                gr_relu_layer(m), gr_flatten_layer(m), gr_named("fc", gr_linear_layer(m, 8, 3))));
}

static void expect_states(gr_model *m, const char *const *names, int n)
{
    ck_assert_msg(!gr_model_error(m), "%s", gr_model_error(m));
    ck_assert_int_eq(gr_model_states(m), n);
    for (int i = 0; i < n; i++) {
        ck_assert_str_eq(gr_model_state_name(m, i), names[i]);
        ck_assert_ptr_eq(gr_model_find(m, names[i]), gr_model_state(m, i));
    }
}

static bool same_values(const gr_param *a, const gr_param *b)
{
    const size_t n = (size_t)gr_shape_numel(gr_param_shape(a));
    return gr_param_dtype(a) == gr_param_dtype(b) &&
           !memcmp(gr_param_data(a), gr_param_data(b), n * gr_dtype_size(gr_param_dtype(a)));
}

/* --- lists --- */

START_TEST(buffers_are_saved_but_are_no_parameters)
{
    static const char *const names[] = {
        "conv.weight",       "conv.bias",        "norm.weight",
        "norm.bias",         "fc.weight",        "fc.bias",
        "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"};
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    expect_states(m, names, 9);
    ck_assert_int_eq(gr_model_params(m), 6);
    ck_assert_int_eq(gr_model_buffers(m), 3);
    ck_assert_int_eq(gr_model_numel(m), 2 * 9 + 2 + 2 + 2 + 8 * 3 + 3);
    ck_assert_int_eq(gr_module_numel(net), gr_model_numel(m));
    ck_assert_int_eq(gr_module_numel(gr_model_module(m, "fc")), 27);
    ck_assert_int_eq(gr_param_dtype(gr_model_find(m, "norm.num_batches_tracked")), GR_I64);
    ck_assert(gr_param_frozen(gr_model_find(m, "norm.running_var")));
    gr_model_free(m);
}
END_TEST

START_TEST(unsaved_buffers_have_names_and_are_in_no_file)
{
    gr_model *m = gr_model_new();
    gr_position_layer(m, 5, 4, (gr_position_options){0});
    ck_assert_int_eq(gr_model_states(m), 0);
    ck_assert_int_eq(gr_model_buffers(m), 1);
    ck_assert_ptr_eq(gr_model_find(m, "table"), gr_model_buffer(m, 0));
    ck_assert_ptr_null(gr_model_buffer(m, 1));
    ck_assert_ptr_null(gr_model_state(m, 0));
    ck_assert_ptr_null(gr_model_state_name(m, 0));
    gr_model_free(m);
}
END_TEST

static gr_module *tied(gr_model *m)
{
    gr_module *words = gr_named("words", gr_embedding_layer(m, 7, 4, (gr_embedding_options){0}));
    const gr_linear_options o = {.no_bias = true, .shared = gr_model_param(m, 0)};
    return gr_sequential(m, GR_LIST(words, gr_named("head", gr_linear_layer_with(m, 4, 7, o))));
}

START_TEST(a_shared_weight_has_two_names_and_one_gradient)
{
    static const char *const names[] = {"words.weight", "head.weight"};
    static const int64_t words[] = {1, 4};
    gr_model *m = gr_model_new();
    gr_module *net = tied(m);
    expect_states(m, names, 2);
    ck_assert_ptr_eq(gr_model_state(m, 0), gr_model_state(m, 1));
    ck_assert_int_eq(gr_model_params(m), 1);
    ck_assert_int_eq(gr_model_numel(m), 28);
    gr_tensor *y = gr_forward(net, gr_from_data(g, GR_I64, GR_SHAPE(2), words));
    ck_assert_msg(gr_backward(gr_sum_all(y)) == GR_OK, "%s", gr_graph_error(g));
    /* sum y = sum_n e_n . s, s the sum of all rows: row k gets its count times s, plus sum_n e_n */
    const float *w = gr_param_data(gr_model_param(m, 0)), *d = gr_param_grad(gr_model_param(m, 0));
    for (int k = 0; k < 7; k++)
        for (int j = 0; j < 4; j++) {
            float s = 0, want = w[4 + j] + w[16 + j];
            for (int r = 0; r < 7; r++) s += w[4 * r + j];
            if (k == 1 || k == 4) want += s;
            ck_assert_float_eq_tol(d[4 * k + j], want, 1e-5f);
        }
    gr_model_free(m);
}
END_TEST

START_TEST(modules_are_found_by_their_path)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    ck_assert_ptr_eq(gr_model_module(m, ""), net);
    ck_assert_ptr_eq(gr_model_module(m, "norm"), gr_module_child(net, 1));
    ck_assert_ptr_null(gr_model_module(m, "nor"));
    ck_assert_ptr_null(gr_model_module(m, NULL));
    ck_assert_ptr_null(gr_model_find(m, NULL));
    gr_model_free(m);
}
END_TEST

/* --- modes --- */

START_TEST(a_part_can_stay_in_evaluation)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m), *norm = gr_model_module(m, "norm");
    ck_assert(gr_module_training(norm));
    gr_module_set_training(norm, false);
    ck_assert(!gr_module_training(norm) && gr_module_training(net));
    gr_model_set_training(m, false);
    gr_model_set_training(m, true);
    ck_assert(!gr_module_training(norm) && gr_module_training(net));
    gr_module_set_training(net, true);
    ck_assert(gr_module_training(norm));
    gr_model_free(m);
}
END_TEST

START_TEST(a_frozen_part_gets_no_gradient)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    gr_module_freeze(gr_model_module(m, "conv"), true);
    gr_tensor *x = gr_rand(g, GR_F32, GR_SHAPE(3, 1, 4, 4));
    ck_assert_int_eq(gr_backward(gr_mean_all(gr_square(gr_forward(net, x)))), GR_OK);
    ck_assert_ptr_null(gr_param_grad(gr_model_find(m, "conv.weight")));
    ck_assert_ptr_nonnull(gr_param_grad(gr_model_find(m, "norm.weight")));
    gr_module_freeze(net, false);
    ck_assert(!gr_param_frozen(gr_model_find(m, "conv.weight")));
    ck_assert(gr_param_frozen(gr_model_find(m, "norm.running_mean")));
    gr_model_free(m);
}
END_TEST

/* --- copies --- */

static void expect_same_output(gr_module *a, gr_module *b, bool same)
{
    gr_tensor *x = gr_rand(g, GR_F32, GR_SHAPE(3, 1, 4, 4));
    const float *ya = gr_data(gr_forward(a, x)), *yb = gr_data(gr_forward(b, x));
    ck_assert_msg(ya && yb, "%s", gr_graph_error(g));
    ck_assert_int_eq(memcmp(ya, yb, 9 * sizeof *ya) == 0, same);
    gr_graph_reset(g);
}

START_TEST(a_copy_of_a_model_is_the_same_and_shares_nothing)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    gr_module_set_training(gr_model_module(m, "norm"), false);
    gr_model *copy = gr_model_copy(m);
    ck_assert_int_eq(gr_model_states(copy), gr_model_states(m));
    for (int i = 0; i < gr_model_states(m); i++) {
        ck_assert_str_eq(gr_model_state_name(copy, i), gr_model_state_name(m, i));
        ck_assert(same_values(gr_model_state(copy, i), gr_model_state(m, i)));
        ck_assert_ptr_ne(gr_model_state(copy, i), gr_model_state(m, i));
    }
    gr_module *twin = gr_model_module(copy, "");
    ck_assert(!gr_module_training(gr_model_module(copy, "norm")));
    ck_assert(gr_param_frozen(gr_model_find(copy, "norm.running_mean")));
    expect_same_output(net, twin, true);
    *(float *)gr_param_write(gr_model_find(m, "fc.bias")) += 1;
    expect_same_output(net, twin, false);
    gr_model_free(m);
    ck_assert_ptr_nonnull(gr_data(gr_forward(twin, gr_ones(g, GR_F32, GR_SHAPE(3, 1, 4, 4)))));
    gr_graph_reset(g);
    gr_model_free(copy);
}
END_TEST

START_TEST(a_copy_of_shared_weights_shares_its_own)
{
    gr_model *m = gr_model_new();
    tied(m);
    gr_model *copy = gr_model_copy(m);
    ck_assert_int_eq(gr_model_states(copy), 2);
    ck_assert_ptr_eq(gr_model_state(copy, 0), gr_model_state(copy, 1));
    ck_assert_ptr_ne(gr_model_state(copy, 0), gr_model_state(m, 0));
    gr_model_free(m);
    ck_assert_float_eq(*(const float *)gr_param_data(gr_model_state(copy, 1)),
                       *(const float *)gr_param_data(gr_model_param(copy, 0)));
    gr_model_free(copy);
}
END_TEST

START_TEST(a_copied_module_joins_its_model)
{
    static const char *const names[] = {"a.0.weight", "a.0.bias", "1.0.weight", "1.0.bias"};
    gr_model *m = gr_model_new();
    gr_module *a = gr_named("a", gr_sequential(m, GR_LIST(gr_linear_layer(m, 4, 4))));
    gr_module *b = gr_module_copy(a);
    gr_module *net = gr_sequential(m, GR_LIST(a, b));
    expect_states(m, names, 4);
    ck_assert(same_values(gr_model_param(m, 0), gr_model_param(m, 2)));
    ck_assert_ptr_ne(gr_model_param(m, 0), gr_model_param(m, 2));
    gr_tensor *x = gr_ones(g, GR_F32, GR_SHAPE(2, 4));
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_forward(net, x))), GR_OK);
    for (int i = 0; i < 4; i++) ck_assert_ptr_nonnull(gr_param_grad(gr_model_param(m, i)));
    gr_model_free(m);
}
END_TEST

START_TEST(a_converted_model_computes_in_the_other_dtype)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    gr_model *wide = gr_model_convert(m, GR_F64), *back = gr_model_convert(wide, GR_F32);
    for (int i = 0; i < gr_model_states(m); i++)
        ck_assert(same_values(gr_model_state(m, i), gr_model_state(back, i)));
    ck_assert_int_eq(gr_param_dtype(gr_model_find(wide, "norm.running_var")), GR_F64);
    ck_assert_int_eq(gr_param_dtype(gr_model_find(wide, "norm.num_batches_tracked")), GR_I64);
    gr_tensor *x = gr_rand(g, GR_F32, GR_SHAPE(3, 1, 4, 4));
    gr_tensor *y = gr_forward(net, x);
    gr_tensor *z = gr_forward(gr_model_module(wide, ""), gr_cast(x, GR_F64));
    ck_assert_int_eq(gr_dtype_of(z), GR_F64);
    const double *a = values(y), *b = values(z);
    for (int i = 0; i < 9; i++) ck_assert_double_eq_tol(a[i], b[i], 1e-5);
    gr_model *none = gr_model_convert(m, GR_I64);
    ck_assert_str_eq(gr_model_error(none),
                     "gr_model_convert: expected float32 or float64, got int64");
    gr_model_free(none);
    gr_model_free(back);
    gr_model_free(wide);
    gr_model_free(m);
}
END_TEST

START_TEST(a_copy_of_a_model_in_error_is_in_error)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 0, 3);
    gr_model *copy = gr_model_copy(m);
    ck_assert_str_eq(gr_model_error(copy), gr_model_error(m));
    gr_model_free(copy);
    gr_model_free(m);
}
END_TEST

/* --- what cannot be --- */

static void expect_error(gr_model *m, const char *text)
{
    const char *error = gr_model_error(m);
    ck_assert_msg(error && strstr(error, text), "expected '%s', got '%s'", text,
                  error ? error : "no error");
    gr_model_free(m);
}

START_TEST(a_weight_that_cannot_be_shared_is_an_error)
{
    gr_model *m = gr_model_new(), *other = gr_model_new();
    gr_linear_layer(other, 4, 3);
    gr_linear_layer_with(m, 4, 3, (gr_linear_options){.shared = gr_model_param(other, 0)});
    expect_error(m, "linear: shared parameter 'weight': it is no parameter of this model");
    m = gr_model_new();
    gr_linear_layer(m, 4, 3);
    gr_linear_layer_with(m, 3, 4, (gr_linear_options){.shared = gr_model_param(m, 0)});
    expect_error(m, "linear: expected a shared weight of [4,3], got [3,4]");
    m = gr_model_new();
    gr_module *layer = gr_linear_layer(m, 4, 3);
    gr_module_share(layer, "weight", gr_model_param(m, 0));
    expect_error(m, "linear: shared parameter 'weight': its name is used twice");
    gr_model_free(other);
}
END_TEST

START_TEST(a_name_cannot_be_a_parameter_and_a_buffer)
{
    gr_model *m = gr_model_new();
    gr_module_buffer(gr_linear_layer(m, 4, 3), "bias", GR_SHAPE(3), (gr_init){0});
    expect_error(m, "linear: buffer 'bias': its name is used twice");
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    gr_model *m = gr_model_new();
    gr_module *net = small(m);
    gr_model_find(m, "fc.weight"); /* names are made once */
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_model *copy = gr_model_copy(m);
        gr_param *p = gr_model_find(copy, "fc.weight");
        done = !inject_happened();
        inject_none();
        ck_assert(p || !done);
        ck_assert(p || gr_model_status(copy) == GR_OK || gr_model_status(copy) == GR_ERR_MEMORY);
        gr_model_free(copy);
        ck_assert_int_eq(inject_live(), 0);
    }
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        size_t length = gr_summary(net, GR_F32, GR_SHAPE(3, 1, 4, 4), NULL, 0);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(length > 0, done);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    gr_model_free(m);
}
END_TEST

/* --- the summary --- */

START_TEST(a_summary_lists_layers_shapes_and_counts)
{
    char text[1024];
    gr_model *m = gr_model_new();
    size_t n = gr_summary(small(m), GR_F32, GR_SHAPE(5, 1, 4, 4), text, sizeof text);
    ck_assert_msg(n > 0, "%s", gr_last_error());
    ck_assert_uint_eq(n, strlen(text));
    static const char *const parts[] = {"layer", "conv",         "conv2d", "[5,2,2,2]", "20", "720",
                                        "norm",  "batch_norm2d", "[5,3]",  "total",     "51"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]), "no '%s' in\n%s", parts[i], text);
    ck_assert_uint_eq(gr_summary(gr_model_module(m, ""), GR_F32, GR_SHAPE(5, 1, 4, 4), text, 10),
                      n);
    ck_assert_uint_eq(strlen(text), 9);
    const int64_t *batches = gr_param_data(gr_model_find(m, "norm.num_batches_tracked"));
    ck_assert_int_eq(*batches, 0);
    gr_model_free(m);
}
END_TEST

START_TEST(a_summary_of_a_wrong_input_names_the_layer)
{
    char text[64] = "old";
    gr_model *m = gr_model_new();
    ck_assert_uint_eq(gr_summary(small(m), GR_F32, GR_SHAPE(5, 3, 4, 4), text, sizeof text), 0);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "conv2d 'conv': expected [N, 1, H, W]"));
    ck_assert_msg(strstr(gr_last_error(), "(at test_tree.c:"), "got '%s'", gr_last_error());
    ck_assert_str_eq(text, "");
    gr_model_free(m);
}
END_TEST

SUITE("tree", setup, teardown, buffers_are_saved_but_are_no_parameters,
      unsaved_buffers_have_names_and_are_in_no_file, a_shared_weight_has_two_names_and_one_gradient,
      modules_are_found_by_their_path, a_part_can_stay_in_evaluation,
      a_frozen_part_gets_no_gradient, a_copy_of_a_model_is_the_same_and_shares_nothing,
      a_copy_of_shared_weights_shares_its_own, a_copied_module_joins_its_model,
      a_converted_model_computes_in_the_other_dtype, a_copy_of_a_model_in_error_is_in_error,
      a_weight_that_cannot_be_shared_is_an_error, a_name_cannot_be_a_parameter_and_a_buffer,
      memory_that_runs_out_is_an_error_and_no_leak, a_summary_lists_layers_shapes_and_counts,
      a_summary_of_a_wrong_input_names_the_layer)
