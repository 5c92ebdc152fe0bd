/* test_module.c - whole models: every parameter and the input, in float64. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "expect.h"
#include "inject.h"

#include <string.h>

static float images[4 * 64];

/* [4, 1, 8, 8], an eighth of it filled: flat areas, as real images have. */
static gr_check_input image_batch(bool flat)
{
    for (int i = 0; i < 4 * 64; i++)
        images[i] = flat && i % 64 > 8 ? 0 : (float)gr__random_uniform(9, (uint64_t)i);
    return (gr_check_input){"images", GR_F32, GR_SHAPE(4, 1, 8, 8), images};
}

static const int64_t labels[4] = {0, 2, 1, 2};

static gr_tensor *class_loss(gr_tensor *y, void *user)
{
    (void)user;
    return gr_cross_entropy(y, gr_from_data(gr_graph_of(y), GR_I64, GR_SHAPE(4), labels));
}

static gr_module *convolutional(gr_model *m, gr_module *last)
{
    const gr_conv2d_layer_options same = {.conv = {.padding = {1, 1}}};
    return gr_sequential(m, GR_LIST(gr_conv2d_layer(m, 1, 4, 3, same), gr_relu_layer(m),
                                    gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}),
                                    gr_flatten_layer(m), gr_dropout_layer(m, 0.25),
                                    gr_linear_layer(m, 64, 8), last, gr_linear_layer(m, 8, 3)));
}

START_TEST(a_convolutional_network_passes)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        gr_model *m = gr_model_new();
        gr_model_seed(m, seed);
        gr_module *net = convolutional(m, gr_tanh_layer(m));
        gr_check_input x = image_batch(false);
        EXPECT(gr_gradcheck_module(net, &x, class_loss, NULL, (gr_check_options){.seed = seed},
                                   &report),
               GR_PASS);
        ck_assert(!report.kink);
        gr_model_free(m);
    }
}
END_TEST

START_TEST(flat_image_areas_raise_no_alarm)
{
    gr_model *m = gr_model_new();
    gr_module *net = convolutional(m, gr_relu_layer(m));
    gr_check_input x = image_batch(true);
    EXPECT(gr_gradcheck_module(net, &x, class_loss, NULL, (gr_check_options){.order = 2}, &report),
           GR_PASS);
    ck_assert(report.kink);
    gr_model_free(m);
}
END_TEST

START_TEST(parameters_stay_as_they_are)
{
    gr_model *m = gr_model_new();
    gr_module *net = convolutional(m, gr_gelu_layer(m));
    gr_check_input x = image_batch(false);
    float before[64];
    gr_param *p = gr_model_param(m, gr_model_params(m) - 2);
    memcpy(before, gr_param_data(p), 24 * sizeof(float));
    EXPECT(gr_gradcheck_module(net, &x, NULL, NULL, (gr_check_options){0}, &report), GR_PASS);
    ck_assert_mem_eq(gr_param_data(p), before, 24 * sizeof(float));
    ck_assert_ptr_null(gr_param_grad(p));
    gr_model_free(m);
}
END_TEST

START_TEST(a_frozen_parameter_is_a_constant)
{
    gr_model *m = gr_model_new();
    gr_module *net = convolutional(m, gr_sigmoid_layer(m));
    gr_check_input x = image_batch(false);
    gr_param_freeze(gr_model_param(m, 0), true);
    EXPECT(gr_gradcheck_module(net, &x, class_loss, NULL, (gr_check_options){0}, &report), GR_PASS);
    gr_model_free(m);
}
END_TEST

/* The gradient of what went through gr_detach is missing. */
static gr_tensor *half_detached(gr_tensor *x)
{
    return gr_add(gr_scale(x, 0.5), gr_scale(gr_detach(x), 0.5));
}

START_TEST(a_parameter_with_a_wrong_gradient_is_named)
{
    gr_model *m = gr_model_new();
    gr_module *net =
        gr_sequential(m, GR_LIST(gr_flatten_layer(m), gr_named("first", gr_linear_layer(m, 64, 5)),
                                 gr_function_layer(m, "half", half_detached), gr_tanh_layer(m),
                                 gr_named("second", gr_linear_layer(m, 5, 3))));
    gr_check_input x = image_batch(false);
    EXPECT(gr_gradcheck_module(net, &x, class_loss, NULL, (gr_check_options){0}, &report), GR_FAIL);
    ck_assert_str_eq(report.input, "first.weight");
    SAYS("0.5 times");
    gr_model_free(m);
}
END_TEST

START_TEST(errors_of_model_and_input_are_reported)
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_flatten_layer(m), gr_linear_layer(m, 7, 5)));
    gr_check_input x = image_batch(false);
    EXPECT(gr_gradcheck_module(net, &x, NULL, NULL, (gr_check_options){0}, &report), GR_FAIL);
    SAYS("linear");
    SAYS("(at test_module.c:");
    gr_model_free(m);
    m = gr_model_new();
    net = gr_sequential(m, GR_LIST(gr_linear_layer(m, -1, 5)));
    EXPECT(gr_gradcheck_module(net, &x, NULL, NULL, (gr_check_options){0}, &report), GR_FAIL);
    ck_assert_str_eq(report.message, gr_model_error(m));
    gr_model_free(m);
}
END_TEST

START_TEST(a_failed_allocation_is_a_failure_that_says_so)
{
    gr_model *m = gr_model_new();
    gr_module *net = convolutional(m, gr_tanh_layer(m));
    gr_check_input x = image_batch(false);
    gr_model_param_name(m, 0); /* names are made once */
    inject_begin();
    int64_t n = 0;
    for (bool happened = true; happened; n++) {
        inject_allocation(n);
        gr_verdict v = gr_gradcheck_module(net, &x, class_loss, NULL,
                                           (gr_check_options){.rounds = 1}, &report);
        happened = inject_happened();
        inject_none();
        ck_assert_int_eq(inject_live(), 0);
        EXPECT(v, happened ? GR_FAIL : GR_PASS);
        if (happened) SAYS("memory");
    }
    inject_end();
    ck_assert_int_gt(n, 3);
    gr_model_free(m);
}
END_TEST

SUITE("module", NULL, NULL, a_convolutional_network_passes, flat_image_areas_raise_no_alarm,
      parameters_stay_as_they_are, a_frozen_parameter_is_a_constant,
      a_parameter_with_a_wrong_gradient_is_named, errors_of_model_and_input_are_reported,
      a_failed_allocation_is_a_failure_that_says_so)
