/* test_optimizer.c - the pass over all parameters: which, when, how often, with what memory. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/optim.h>
#include <string.h>

static gr_model *m;
static gr_graph *g;
static gr_module *net;

static void setup(void)
{
    m = gr_model_new();
    g = gr_graph_new();
    net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 200, 300), gr_relu_layer(m),
                                   gr_linear_layer(m, 300, 3)));
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_model_free(m);
}

static gr_status backward(void)
{
    gr_graph_reset(g);
    return gr_backward(
        gr_sum_all(gr_square(gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(2, 200))))));
}

static size_t bytes_of(int i)
{
    return (size_t)gr_shape_numel(gr_param_shape(gr_model_param(m, i))) * sizeof(float);
}

static void *copy_of(int i)
{
    void *copy = malloc(bytes_of(i));
    memcpy(copy, gr_param_data(gr_model_param(m, i)), bytes_of(i));
    return copy;
}

static bool unchanged(int i, const void *copy)
{
    return !memcmp(gr_param_data(gr_model_param(m, i)), copy, bytes_of(i));
}

START_TEST(a_step_changes_all_parameters_and_clears_gradients)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.01);
    for (int i = 0; i < 4; i++) {
        void *before = copy_of(i);
        ck_assert_int_eq(backward(), GR_OK);
        ck_assert_ptr_nonnull(gr_param_grad(gr_model_param(m, i)));
        ck_assert_int_eq(gr_step(opt), GR_OK);
        ck_assert_ptr_null(gr_param_grad(gr_model_param(m, i)));
        ck_assert(!unchanged(i, before));
        free(before);
    }
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(a_frozen_parameter_stays)
{
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_param_freeze(gr_model_param(m, 0), true);
    void *frozen = copy_of(0), *free_one = copy_of(2);
    ck_assert_int_eq(backward(), GR_OK);
    ck_assert_int_eq(gr_step(opt), GR_OK);
    ck_assert(unchanged(0, frozen));
    ck_assert(!unchanged(2, free_one));
    free(frozen);
    free(free_one);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(without_gradients_a_step_is_an_error)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    ck_assert_int_eq(gr_step(opt), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "no parameter has a gradient"));
    ck_assert_int_eq(backward(), GR_OK);
    ck_assert_int_eq(gr_zero_grad(opt), GR_OK);
    ck_assert_int_eq(gr_step(opt), GR_ERR_STATE);
    ck_assert_int_eq(gr_optimizer_steps(opt), 0);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(parameters_added_later_are_updated_too)
{
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    ck_assert_int_eq(backward(), GR_OK);
    ck_assert_int_eq(gr_step(opt), GR_OK);
    gr_module_add(net, NULL, gr_linear_layer(m, 3, 2));
    void *before = copy_of(4);
    ck_assert_int_eq(backward(), GR_OK);
    ck_assert_int_eq(gr_step(opt), GR_OK);
    ck_assert(!unchanged(4, before));
    free(before);
    gr_optimizer_free(opt);
}
END_TEST

/* Chunks do not depend on the number of threads, so neither do the results. */
START_TEST(threads_do_not_change_the_result)
{
    void *results[2];
    for (int k = 0; k < 2; k++) {
        gr_set_threads(k + 1);
        gr_model *own = m;
        m = gr_model_new();
        net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 200, 300), gr_linear_layer(m, 300, 3)));
        gr_optimizer *opt = gr_adam(m, (gr_adam_options){.weight_decay = 0.1});
        for (int i = 0; i < 3; i++) ck_assert(backward() == GR_OK && gr_step(opt) == GR_OK);
        results[k] = copy_of(0);
        gr_optimizer_free(opt);
        gr_graph_reset(g);
        gr_model_free(m);
        m = own;
    }
    ck_assert_mem_eq(results[0], results[1], 200 * 300 * sizeof(float));
    free(results[0]);
    free(results[1]);
}
END_TEST

START_TEST(options_that_cannot_be_make_an_inert_optimizer)
{
    static const char *const expected[] = {
        "sgd: expected 0 <= momentum < 1, got 1.5",
        "sgd: nesterov needs a momentum above 0 and no dampening, got 0 and 0",
        "sgd: expected a finite lr >= 0, got -1", "adam: expected 0 < beta2 < 1, got 1",
        "adam: expected weight_decay >= 0, got -1"};
    gr_optimizer *made[] = {gr_sgd(m, (gr_sgd_options){.momentum = 1.5}),
                            gr_sgd(m, (gr_sgd_options){.nesterov = true}),
                            gr_sgd(m, (gr_sgd_options){.lr = -1}),
                            gr_adam(m, (gr_adam_options){.beta2 = 1}),
                            gr_adam(m, (gr_adam_options){.weight_decay = -1})};
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq(gr_optimizer_error(made[i]), expected[i]);
        ck_assert_int_eq(backward(), GR_OK);
        ck_assert_int_ne(gr_step(made[i]), GR_OK);
        ck_assert_str_eq(gr_last_error(), expected[i]);
        gr_optimizer_free(made[i]);
    }
}
END_TEST

START_TEST(the_optimizer_may_be_freed_after_its_model)
{
    gr_model *own = gr_model_new();
    gr_module *layer = gr_linear_layer(own, 3, 2);
    gr_optimizer *opt = gr_adam(own, (gr_adam_options){0});
    gr_backward(gr_sum_all(gr_forward(layer, gr_ones(g, GR_F32, GR_SHAPE(2, 3)))));
    ck_assert_int_eq(gr_step(opt), GR_OK);
    gr_model_free(own);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(steps_after_the_first_allocate_nothing)
{
    inject_begin();
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    for (int i = 0; i < 3; i++) ck_assert(backward() == GR_OK && gr_step(opt) == GR_OK);
    int64_t before = inject_allocations();
    for (int i = 0; i < 10; i++) ck_assert(backward() == GR_OK && gr_step(opt) == GR_OK);
    ck_assert_int_eq(inject_allocations(), before);
    gr_optimizer_free(opt);
    inject_end();
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        ck_assert_int_eq(backward(), GR_OK);
        int64_t before = inject_live();
        void *weights = copy_of(0);
        inject_allocation(n);
        gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
        gr_status status = gr_step(opt);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert(done != unchanged(0, weights));
        ck_assert(done || gr_step(opt) == (gr_optimizer_error(opt) ? GR_ERR_MEMORY : GR_OK));
        gr_optimizer_free(opt);
        ck_assert_int_eq(inject_live(), before);
        free(weights);
    }
    inject_end();
}
END_TEST

SUITE("optimizer", setup, teardown, a_step_changes_all_parameters_and_clears_gradients,
      a_frozen_parameter_stays, without_gradients_a_step_is_an_error,
      parameters_added_later_are_updated_too, threads_do_not_change_the_result,
      options_that_cannot_be_make_an_inert_optimizer, the_optimizer_may_be_freed_after_its_model,
      steps_after_the_first_allocate_nothing, memory_that_runs_out_is_an_error_and_no_leak)
