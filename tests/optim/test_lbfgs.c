/* test_lbfgs.c - LBFGS: the closure, its errors, memory. Its numbers are in test_reference.c. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/optim.h>
#include <string.h>

static gr_model *m;
static gr_graph *g;
static gr_module *net;
static int calls, fail_at; /* of the closure; 0: never */
static bool without_backward;

static void setup(void)
{
    m = gr_model_new();
    g = gr_graph_new();
    net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 3, 8), gr_tanh_layer(m),
                                   gr_linear_layer(m, 8, 1)));
    calls = fail_at = 0;
    without_backward = false;
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_model_free(m);
}

static gr_status closure(void *user, double *loss)
{
    (void)user;
    if (++calls == fail_at) return GR_ERR_FILE;
    gr_graph_reset(g);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(2, 3), (const float[]){1, 2, 3, -1, 0.5f, 2});
    gr_tensor *y = gr_from_data(g, GR_F32, GR_SHAPE(2, 1), (const float[]){1, -2});
    gr_tensor *error = gr_mean_all(gr_square(gr_sub(gr_forward(net, x), y)));
    gr_status status = without_backward ? GR_OK : gr_backward(error);
    *loss = gr_item(error);
    return status;
}

static gr_optimizer *make(void)
{
    return gr_lbfgs(m, (gr_lbfgs_options){.strong_wolfe = true});
}

START_TEST(a_network_is_fitted_in_a_few_steps)
{
    gr_optimizer *opt = make();
    double first, last;
    ck_assert_int_eq(gr_step_closure(opt, closure, NULL, &first), GR_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(gr_step_closure(opt, closure, NULL, &last), GR_OK);
    ck_assert_double_gt(first, 0.1);
    ck_assert_double_lt(last, 1e-6);
    ck_assert_int_eq(gr_optimizer_steps(opt), 4);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(a_frozen_parameter_stays)
{
    gr_optimizer *opt = make();
    gr_param *p = gr_model_param(m, 0);
    float before[24];
    gr_param_freeze(p, true);
    memcpy(before, gr_param_data(p), sizeof before);
    ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_OK);
    ck_assert_mem_eq(gr_param_data(p), before, sizeof before);
    gr_param_freeze(p, false);
    ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_ERR_STATE);
    ck_assert_str_eq(gr_last_error(), "lbfgs: the model has 41 trainable elements, expected the 17 "
                                      "of the first step");
    gr_optimizer_free(opt);
}
END_TEST

/* Wherever the closure fails, the weights are those of the iteration's start: of a state in which the
 * loss is no higher than at first. */
START_TEST(a_closure_that_fails_ends_the_step)
{
    for (int n = 1; n < 8; n++) {
        teardown();
        setup();
        fail_at = n;
        gr_optimizer *opt = make();
        double before, loss, after;
        calls = -1000;
        ck_assert_int_eq(closure(NULL, &before), GR_OK);
        calls = 0;
        ck_assert_int_eq(gr_step_closure(opt, closure, NULL, &loss), GR_ERR_FILE);
        calls = -1000;
        ck_assert_int_eq(closure(NULL, &after), GR_OK);
        ck_assert_double_le(after, before);
        ck_assert_int_eq(gr_optimizer_steps(opt), 0);
        gr_optimizer_free(opt);
    }
}
END_TEST

START_TEST(what_lbfgs_cannot_do_says_so)
{
    gr_optimizer *opt = make();
    ck_assert_int_eq(gr_step(opt), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "use gr_step_closure"));
    ck_assert_int_eq(gr_step_closure(opt, NULL, NULL, NULL), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_optimizer_group(opt, NULL, (gr_param_group){.l1 = 1}), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_optimizer_clip_norm(opt, 1), GR_ERR_ARGUMENT);
    without_backward = true;
    ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the closure has to call gr_backward"));
    gr_optimizer_free(opt);
    opt = gr_lbfgs(m, (gr_lbfgs_options){.max_iter = -1});
    ck_assert_str_eq(gr_optimizer_error(opt), "lbfgs: expected max_iter > 0, got -1");
    ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_ERR_ARGUMENT);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(steps_after_the_first_allocate_nothing)
{
    inject_begin();
    gr_optimizer *opt = gr_lbfgs(m, (gr_lbfgs_options){.max_iter = 2, .history_size = 3});
    for (int i = 0; i < 3; i++) ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_OK);
    int64_t before = inject_allocations();
    for (int i = 0; i < 5; i++) ck_assert_int_eq(gr_step_closure(opt, closure, NULL, NULL), GR_OK);
    ck_assert_int_eq(inject_allocations(), before);
    gr_optimizer_free(opt);
    inject_end();
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    double loss;
    inject_begin();
    closure(NULL, &loss);
    for (int64_t n = 0, done = 0; !done; n++) {
        int64_t before = inject_live();
        inject_allocation(n);
        gr_optimizer *opt = make();
        gr_status status = gr_step_closure(opt, closure, NULL, NULL);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        gr_optimizer_free(opt);
        gr_graph_reset(g);
        ck_assert_int_le(inject_live(), before + (done ? 8 : 0));
    }
    inject_end();
}
END_TEST

SUITE("lbfgs", setup, teardown, a_network_is_fitted_in_a_few_steps, a_frozen_parameter_stays,
      a_closure_that_fails_ends_the_step, what_lbfgs_cannot_do_says_so,
      steps_after_the_first_allocate_nothing, memory_that_runs_out_is_an_error_and_no_leak)
