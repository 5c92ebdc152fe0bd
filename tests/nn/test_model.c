/* test_model.c - models: names, ownership, settings, errors. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/nn.h>
#include <string.h>

/* --- names --- */

static void expect_names(gr_model *m, const char *const *names, int n)
{
    ck_assert_ptr_null(gr_model_error(m));
    ck_assert_int_eq(gr_model_params(m), n);
    for (int i = 0; i < n; i++) {
        ck_assert_str_eq(gr_model_param_name(m, i), names[i]);
        ck_assert_ptr_eq(gr_model_find(m, names[i]), gr_model_param(m, i));
    }
}

START_TEST(children_of_a_sequential_are_numbered)
{
    static const char *const names[] = {"0.weight", "0.bias", "2.weight", "2.bias"};
    gr_model *m = gr_model_new();
    gr_sequential(m, GR_LIST(gr_linear_layer(m, 4, 3), gr_relu_layer(m), gr_linear_layer(m, 3, 2)));
    expect_names(m, names, 4);
    gr_model_free(m);
}
END_TEST

START_TEST(a_given_name_replaces_the_number)
{
    static const char *const names[] = {"fc1.weight", "fc1.bias", "1.weight"};
    gr_model *m = gr_model_new();
    gr_linear_options no_bias = {.no_bias = true};
    gr_sequential(m, GR_LIST(gr_named("fc1", gr_linear_layer(m, 4, 3)),
                             gr_linear_layer_with(m, 3, 2, no_bias)));
    expect_names(m, names, 3);
    gr_model_free(m);
}
END_TEST

START_TEST(names_are_paths_through_the_tree)
{
    static const char *const names[] = {"encoder.0.weight", "encoder.0.bias", "head.weight",
                                        "head.bias"};
    gr_model *m = gr_model_new();
    gr_module *encoder = gr_sequential(m, GR_LIST(gr_linear_layer(m, 4, 3)));
    gr_module *root = gr_sequential(m, NULL, 0);
    gr_module_add(root, "encoder", encoder);
    gr_module *head = gr_module_add(root, "head", gr_linear_layer(m, 3, 2));
    expect_names(m, names, 4);
    ck_assert_str_eq(gr_module_path(head), "head");
    ck_assert_str_eq(gr_module_path(gr_module_child(encoder, 0)), "encoder.0");
    ck_assert_int_eq(gr_module_children(root), 2);
    ck_assert_ptr_eq(gr_module_child(root, 1), head);
    ck_assert_ptr_null(gr_module_child(root, 2));
    gr_model_free(m);
}
END_TEST

START_TEST(a_single_root_adds_nothing_and_several_are_told_apart)
{
    static const char *const one[] = {"weight", "bias"};
    static const char *const two[] = {"a.weight", "a.bias", "1.weight", "1.bias"};
    gr_model *m = gr_model_new();
    gr_named("a", gr_linear_layer(m, 4, 3));
    expect_names(m, one, 2);
    gr_linear_layer(m, 3, 2);
    expect_names(m, two, 4);
    gr_model_free(m);
}
END_TEST

START_TEST(a_name_that_is_not_there_finds_nothing)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 4, 3);
    ck_assert_ptr_null(gr_model_find(m, "weigh"));
    ck_assert_ptr_null(gr_model_param(m, 2));
    ck_assert_ptr_null(gr_model_param(m, -1));
    ck_assert_ptr_null(gr_model_param_name(m, 2));
    gr_model_free(m);
}
END_TEST

START_TEST(elements_of_all_parameters_are_counted)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 4, 3);
    gr_conv2d_layer(m, 2, 6, 5, (gr_conv2d_layer_options){0});
    ck_assert_int_eq(gr_model_numel(m), 4 * 3 + 3 + 6 * 2 * 25 + 6);
    gr_model_free(m);
}
END_TEST

/* --- settings --- */

START_TEST(dtype_concerns_the_parameters_that_follow)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 2, 2);
    gr_model_dtype(m, GR_F64);
    gr_linear_layer(m, 2, 2);
    ck_assert_int_eq(gr_param_dtype(gr_model_param(m, 1)), GR_F32);
    ck_assert_int_eq(gr_param_dtype(gr_model_param(m, 2)), GR_F64);
    gr_model_dtype(m, GR_I64);
    ck_assert_str_eq(gr_model_error(m), "gr_model_dtype: expected float32 or float64, got int64");
    gr_model_free(m);
}
END_TEST

START_TEST(a_parameter_outlives_the_model_when_retained)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 2, 2);
    gr_param *p = gr_param_retain(gr_model_param(m, 0));
    gr_model_free(m);
    ck_assert_ptr_nonnull(gr_param_data(p));
    ck_assert_str_eq(gr_param_name(p), "weight");
    gr_param_release(p);
}
END_TEST

/* --- errors --- */

static void expect_error(gr_model *m, const char *text)
{
    ck_assert_ptr_nonnull(gr_model_error(m));
    ck_assert_msg(strstr(gr_model_error(m), text), "expected '%s', got '%s'", text,
                  gr_model_error(m));
    ck_assert_int_ne(gr_model_status(m), GR_OK);
    gr_model_free(m);
}

START_TEST(what_a_layer_cannot_be_puts_the_model_in_error)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 0, 3);
    expect_error(m, "linear: expected sizes of at least 1, got 0 -> 3");
    m = gr_model_new();
    gr_conv2d_layer(m, 3, 4, 3, (gr_conv2d_layer_options){.conv.groups = 2});
    expect_error(m, "divisible by the groups; got 3 -> 4 channels, kernel 3, groups 2");
    m = gr_model_new();
    gr_dropout_layer(m, 1);
    expect_error(m, "0 <= p < 1, got 1");
    m = gr_model_new();
    gr_max_pool2d_layer(m, (gr_pool2d_options){0});
    expect_error(m, "max_pool2d: expected a kernel of at least [1,1], got [0,0]");
    m = gr_model_new();
    gr_linear_layer(m, INT64_MAX, INT64_MAX);
    expect_error(m, "linear: parameter 'weight': its shape cannot be used");
}
END_TEST

START_TEST(the_first_error_stays)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 0, 3);
    gr_dropout_layer(m, 2);
    expect_error(m, "linear: expected sizes");
}
END_TEST

START_TEST(a_tree_that_is_none_is_refused)
{
    gr_model *m = gr_model_new(), *other = gr_model_new();
    gr_module *child = gr_relu_layer(m);
    gr_sequential(m, GR_LIST(child));
    gr_sequential(m, GR_LIST(child));
    expect_error(m, "sequential: cannot add relu: the module has a parent already");
    m = gr_model_new();
    gr_sequential(m, GR_LIST(gr_relu_layer(other)));
    expect_error(m, "the module belongs to another model");
    m = gr_model_new();
    gr_module *root = gr_sequential(m, NULL, 0);
    gr_module *inner = gr_module_add(root, NULL, gr_sequential(m, NULL, 0));
    gr_module_add(inner, NULL, root);
    expect_error(m, "the module would contain itself");
    m = gr_model_new();
    gr_sequential(m, GR_LIST(gr_named("a", gr_relu_layer(m)), gr_named("a", gr_relu_layer(m))));
    expect_error(m, "cannot add relu a: two children have the same name");
    m = gr_model_new();
    gr_sequential(m, GR_LIST(NULL));
    expect_error(m, "the module is NULL");
    m = gr_model_new();
    gr_named("a.b", gr_relu_layer(m));
    expect_error(m, "'a.b' cannot name a module");
    gr_model_free(other);
}
END_TEST

START_TEST(a_model_in_error_does_not_run)
{
    gr_model *m = gr_model_new();
    gr_graph *g = gr_graph_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 0, 3), gr_relu_layer(m)));
    gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(2, 4)));
    ck_assert_ptr_nonnull(gr_graph_error(g));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "the model is in error: linear: expected"));
    gr_graph_free(g);
    gr_model_free(m);
}
END_TEST

/* --- layers of the user --- */

typedef struct twice {
    gr_param *scale;
    gr_module *inner;
} twice;

static gr_tensor *twice_forward(gr_module *self, gr_tensor *x)
{
    const twice *s = gr_module_state(self);
    if (gr_shape_of(x)->rank != 2) return gr_module_fail(self, x, "expected rank 2");
    return gr_mul(gr_forward(s->inner, gr_forward(s->inner, x)), gr_use(gr_graph_of(x), s->scale));
}

static gr_module *twice_layer(gr_model *m, int64_t n)
{
    gr_module *self = gr_module_new(m, "twice", twice_forward, sizeof(twice));
    twice *s = gr_module_state(self);
    if (!s) return self;
    s->scale = gr_module_param(self, "scale", (gr_shape){1, {n}}, (gr_init){.kind = GR_INIT_ONES});
    s->inner = gr_module_add(self, "inner", gr_linear_layer(m, n, n));
    return self;
}

START_TEST(a_layer_of_ones_own_has_parameters_and_children)
{
    static const char *const names[] = {"mine.scale", "mine.inner.weight", "mine.inner.bias"};
    gr_model *m = gr_model_new();
    gr_graph *g = gr_graph_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("mine", twice_layer(m, 3))));
    expect_names(m, names, 3);
    gr_tensor *y = gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(2, 3)));
    ck_assert_ptr_nonnull(gr_data(y));
    gr_graph_reset(g);
    gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(3)));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "twice 'mine': expected rank 2"));
    gr_graph_free(g);
    gr_model_free(m);
}
END_TEST

/* --- memory --- */

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_model *m = gr_model_new();
        gr_module *net = gr_sequential(m, GR_LIST(gr_named("a", twice_layer(m, 3)),
                                                  gr_linear_layer(m, 3, 2), gr_relu_layer(m)));
        bool built = !inject_happened();
        gr_model_param_name(m, 0);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(gr_model_status(m), built ? GR_OK : GR_ERR_MEMORY);
        ck_assert(!built || strcmp(gr_model_param_name(m, 0), "a.scale") == 0);
        gr_graph *g = gr_graph_new();
        gr_tensor *y = gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(2, 3)));
        ck_assert(built == (gr_data(y) != NULL));
        gr_graph_free(g);
        gr_model_free(m);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("model", NULL, NULL, children_of_a_sequential_are_numbered, a_given_name_replaces_the_number,
      names_are_paths_through_the_tree, a_single_root_adds_nothing_and_several_are_told_apart,
      a_name_that_is_not_there_finds_nothing, elements_of_all_parameters_are_counted,
      dtype_concerns_the_parameters_that_follow, a_parameter_outlives_the_model_when_retained,
      what_a_layer_cannot_be_puts_the_model_in_error, the_first_error_stays,
      a_tree_that_is_none_is_refused, a_model_in_error_does_not_run,
      a_layer_of_ones_own_has_parameters_and_children, memory_that_runs_out_is_an_error_and_no_leak)
