/* test_layers.c - layers: shapes, values, modes, and what they say of a wrong batch. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/nn.h>
#include <math.h>
#include <string.h>

static gr_model *m;
static gr_graph *g;

static void setup(void)
{
    m = gr_model_new();
    g = gr_graph_new();
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_model_free(m);
}

static gr_tensor *ones(gr_shape shape)
{
    return gr_ones(g, GR_F32, shape);
}

static void expect_shape(gr_tensor *y, gr_shape shape)
{
    char got[GR_SHAPE_TEXT], expected[GR_SHAPE_TEXT];
    ck_assert_msg(!gr_graph_error(g), "%s", gr_graph_error(g));
    ck_assert_str_eq(gr_shape_text(gr_shape_of(y), got), gr_shape_text(&shape, expected));
    ck_assert_ptr_nonnull(gr_data(y));
}

static void set(gr_param *p, const float *values)
{
    memcpy(gr_param_write(p), values, (size_t)gr_shape_numel(gr_param_shape(p)) * sizeof *values);
}

/* --- shapes and values --- */

START_TEST(linear_computes_x_wt_plus_b)
{
    static const float w[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20}, x[] = {1, 0, -1, 0.5, 0.5, 0.5};
    gr_module *layer = gr_linear_layer(m, 3, 2);
    set(gr_model_find(m, "weight"), w);
    set(gr_model_find(m, "bias"), b);
    gr_tensor *y = gr_forward(layer, gr_from_data(g, GR_F32, GR_SHAPE(2, 3), x));
    expect_shape(y, GR_SHAPE(2, 2));
    const float *got = gr_data(y), expected[] = {8, 18, 13, 27.5f};
    for (int i = 0; i < 4; i++) ck_assert_float_eq_tol(got[i], expected[i], 1e-5f);
}
END_TEST

START_TEST(linear_takes_any_number_of_axes)
{
    gr_module *layer = gr_linear_layer(m, 3, 2);
    expect_shape(gr_forward(layer, ones(GR_SHAPE(3))), GR_SHAPE(2));
    expect_shape(gr_forward(layer, ones(GR_SHAPE(5, 4, 3))), GR_SHAPE(5, 4, 2));
    expect_shape(gr_forward(layer, ones(GR_SHAPE(0, 3))), GR_SHAPE(0, 2));
}
END_TEST

START_TEST(lenet5_has_the_known_shapes)
{
    const gr_pool2d_options half = {.kernel = {2, 2}};
    gr_module *net = gr_sequential(
        m, GR_LIST(gr_conv2d_layer(m, 1, 6, 5, (gr_conv2d_layer_options){.conv.padding = {2, 2}}),
                   gr_max_pool2d_layer(m, half),
                   gr_conv2d_layer(m, 6, 16, 5, (gr_conv2d_layer_options){0}),
                   gr_avg_pool2d_layer(m, half), gr_flatten_layer(m), gr_linear_layer(m, 400, 10)));
    static const char *const shapes[] = {"[6,1,5,5]", "[6]",      "[16,6,5,5]",
                                         "[16]",      "[10,400]", "[10]"};
    char text[GR_SHAPE_TEXT];
    for (int i = 0; i < 6; i++)
        ck_assert_str_eq(gr_shape_text(gr_param_shape(gr_model_param(m, i)), text), shapes[i]);
    expect_shape(gr_forward(net, ones(GR_SHAPE(2, 1, 28, 28))), GR_SHAPE(2, 10));
}
END_TEST

START_TEST(activations_are_their_ops)
{
    static const struct {
        gr_module *(*layer)(gr_model *);
        gr_tensor *(*op)(gr_tensor *);
        const char *type;
    } cases[] = {{gr_relu_layer, gr_relu, "relu"},
                 {gr_sigmoid_layer, gr_sigmoid, "sigmoid"},
                 {gr_tanh_layer, gr_tanh, "tanh"},
                 {gr_gelu_layer, gr_gelu, "gelu"},
                 {gr_softplus_layer, gr_softplus, "softplus"}};
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(2), -0.75);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_module *layer = cases[i].layer(m);
        ck_assert_str_eq(gr_module_type(layer), cases[i].type);
        ck_assert_mem_eq(gr_data(gr_forward(layer, x)), gr_data(cases[i].op(x)), 2 * sizeof(float));
    }
    ck_assert_mem_eq(gr_data(gr_forward(gr_leaky_relu_layer(m, 0.1), x)),
                     gr_data(gr_leaky_relu(x, 0.1)), 2 * sizeof(float));
    ck_assert_mem_eq(gr_data(gr_forward(gr_function_layer(m, "exp", gr_exp), x)),
                     gr_data(gr_exp(x)), 2 * sizeof(float));
}
END_TEST

START_TEST(an_empty_sequential_is_the_identity)
{
    gr_tensor *x = ones(GR_SHAPE(2, 3));
    ck_assert_ptr_eq(gr_forward(gr_sequential(m, NULL, 0), x), x);
}
END_TEST

/* --- modes --- */

START_TEST(dropout_acts_while_training_only)
{
    gr_module *layer = gr_dropout_layer(m, 0.5);
    gr_tensor *x = ones(GR_SHAPE(1000));
    const float *y = gr_data(gr_forward(layer, x));
    int zeros = 0;
    for (int i = 0; i < 1000; i++) {
        ck_assert(y[i] == 0 || y[i] == 2);
        zeros += y[i] == 0;
    }
    ck_assert_int_gt(zeros, 400);
    ck_assert_int_lt(zeros, 600);
    gr_model_set_training(m, false);
    ck_assert_ptr_eq(gr_forward(layer, x), x);
    ck_assert(!gr_model_training(m));
}
END_TEST

START_TEST(a_model_in_float64_computes_in_it)
{
    gr_model_dtype(m, GR_F64);
    gr_module *layer = gr_linear_layer(m, 3, 2);
    gr_tensor *y = gr_forward(layer, gr_ones(g, GR_F64, GR_SHAPE(2, 3)));
    expect_shape(y, GR_SHAPE(2, 2));
    ck_assert_int_eq(gr_dtype_of(y), GR_F64);
}
END_TEST

/* --- wrong batches --- */

static void expect_error(gr_module *net, gr_tensor *x, const char *text)
{
    gr_tensor *y = gr_forward(net, x);
    ck_assert_msg(gr_graph_error(g), "expected '%s', got no error", text);
    ck_assert_msg(strstr(gr_graph_error(g), text), "expected '%s', got '%s'", text,
                  gr_graph_error(g));
    ck_assert_ptr_null(gr_data(y));
    gr_graph_reset(g);
}

START_TEST(a_wrong_batch_names_the_layer)
{
    gr_module *net = gr_sequential(
        m, GR_LIST(gr_named("conv", gr_conv2d_layer(m, 1, 2, 3, (gr_conv2d_layer_options){0})),
                   gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}),
                   gr_flatten_layer(m), gr_named("fc1", gr_linear_layer(m, 8, 3))));
    expect_error(net, ones(GR_SHAPE(5, 64)), "conv2d 'conv': expected [N, 1, H, W], got [5,64]");
    expect_error(net, ones(GR_SHAPE(5, 3, 6, 6)),
                 "conv2d 'conv': expected [N, 1, H, W], got [5,3,6,6]");
    expect_error(net, ones(GR_SHAPE(5, 1, 8, 8)), "linear 'fc1': expected [..., 8], got [5,18]");
    expect_error(net, gr_ones(g, GR_I64, GR_SHAPE(5, 1, 6, 6)),
                 "conv2d 'conv': expected float32, got int64");
    expect_error(gr_module_child(net, 1), ones(GR_SHAPE(5, 6)),
                 "max_pool2d '1': expected [N, C, H, W], got [5,6]");
    expect_error(gr_module_child(net, 2), ones(GR_SCALAR),
                 "flatten '2': expected [N, ...], got []");
}
END_TEST

START_TEST(a_single_layer_is_named_by_its_type)
{
    expect_error(gr_linear_layer(m, 784, 10), ones(GR_SHAPE(32, 100)),
                 "linear: expected [..., 784], got [32,100]");
}
END_TEST

START_TEST(the_first_error_of_a_forward_stays)
{
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("a", gr_linear_layer(m, 4, 4)),
                                              gr_named("b", gr_linear_layer(m, 4, 4))));
    expect_error(net, ones(GR_SHAPE(2, 5)), "linear 'a': expected [..., 4], got [2,5]");
}
END_TEST

START_TEST(an_input_that_is_null_is_an_error)
{
    ck_assert_ptr_null(gr_data(gr_forward(gr_relu_layer(m), NULL)));
    ck_assert_str_eq(gr_last_error(), "gr_forward: the input is NULL");
}
END_TEST

/* The line of the caller is named where debug information can be read; else the function. */
__attribute__((noinline)) static void call_with_wrong_shape(gr_module *net)
{
    gr_forward(net, ones(GR_SHAPE(2, 5)));
}

START_TEST(an_error_points_at_the_call_of_forward)
{
    call_with_wrong_shape(gr_sequential(m, GR_LIST(gr_linear_layer(m, 4, 4))));
    const char *error = gr_graph_error(g);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(!strstr(error, "module.c") && !strstr(error, "linear.c"), "%s", error);
    ck_assert_msg(strstr(error, "test_layers"), "%s", error);
}
END_TEST

SUITE("layers", setup, teardown, linear_computes_x_wt_plus_b, linear_takes_any_number_of_axes,
      lenet5_has_the_known_shapes, activations_are_their_ops, an_empty_sequential_is_the_identity,
      dropout_acts_while_training_only, a_model_in_float64_computes_in_it,
      a_wrong_batch_names_the_layer, a_single_layer_is_named_by_its_type,
      the_first_error_of_a_forward_stays, an_input_that_is_null_is_an_error,
      an_error_points_at_the_call_of_forward)
