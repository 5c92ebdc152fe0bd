/* test_state.c - training goes on from files as if it had never stopped. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "optimizers.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <string.h>

/* --- a small training --- */

typedef struct training {
    gr_model *m;
    gr_module *net;
    gr_graph *g;
    gr_optimizer *opt;
} training;

static training begin(make_optimizer *make, int64_t hidden)
{
    training t = {.m = gr_model_new(), .g = gr_graph_new()};
    t.net = gr_sequential(t.m, GR_LIST(gr_linear_layer(t.m, 3, hidden), gr_tanh_layer(t.m),
                                       gr_linear_layer(t.m, hidden, 2)));
    t.opt = make(t.m);
    ck_assert_msg(!gr_optimizer_error(t.opt), "%s", gr_optimizer_error(t.opt));
    return t;
}

static void end(training *t)
{
    gr_optimizer_free(t->opt);
    gr_graph_free(t->g);
    gr_model_free(t->m);
}

static gr_status closure(void *user, double *loss)
{
    training *t = user;
    gr_graph_reset(t->g);
    gr_tensor *x = gr_from_data(t->g, GR_F32, GR_SHAPE(2, 3),
                                (const float[]){1, 2, 3, -1, 0.5f, 2});
    gr_tensor *y = gr_mean_all(gr_square(gr_shift(gr_forward(t->net, x), -0.7)));
    gr_status status = gr_backward(y);
    *loss = gr_item(y);
    return status;
}

static void train(training *t, int steps)
{
    for (int i = 0; i < steps; i++)
        ck_assert_msg(gr_step_closure(t->opt, closure, t, NULL) == GR_OK, "%s", gr_last_error());
}

static void expect_same_weights(const training *a, const training *b, const char *name)
{
    for (int i = 0; i < gr_model_params(a->m); i++) {
        const gr_param *p = gr_model_param(a->m, i), *q = gr_model_param(b->m, i);
        size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) * sizeof(float);
        ck_assert_msg(!memcmp(gr_param_data(p), gr_param_data(q), bytes), "%s: parameter %d", name,
                      i);
    }
}

/* --- every optimizer --- */

static gr_optimizer *lbfgs(gr_model *m)
{
    return gr_lbfgs(m, (gr_lbfgs_options){.max_iter = 2, .history_size = 3, .strong_wolfe = true});
}

static gr_optimizer *scheduled(gr_model *m)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.1, .momentum = 0.9});
    gr_optimizer_group(opt, "*.bias", (gr_param_group){.lr = 0.2});
    gr_optimizer_schedule(opt, gr_one_cycle(10));
    return opt;
}

static void go_on(const char *name, make_optimizer *make)
{
    training a = begin(make, 4), b = begin(make, 4);
    const char *weights = scratch_path("weights");
    const char *state = scratch_path("state");
    train(&a, 4);
    ck_assert_msg(gr_save(a.m, weights, NULL) == GR_OK, "%s", gr_last_error());
    ck_assert_msg(gr_save_optimizer(a.opt, state) == GR_OK, "%s: %s", name, gr_last_error());
    train(&a, 4);
    ck_assert_msg(gr_load(b.m, weights) == GR_OK, "%s", gr_last_error());
    ck_assert_msg(gr_load_optimizer(b.opt, state) == GR_OK, "%s: %s", name, gr_last_error());
    ck_assert_int_eq(gr_optimizer_steps(b.opt), 4);
    train(&b, 4);
    expect_same_weights(&a, &b, name);
    ck_assert_double_eq(gr_optimizer_lr(a.opt), gr_optimizer_lr(b.opt));
    end(&a);
    end(&b);
}

START_TEST(training_goes_on_bit_for_bit)
{
    for (int i = 0; i < RULES; i++) go_on(every_rule[i].name, every_rule[i].make);
    go_on("lbfgs", lbfgs);
    go_on("scheduled", scheduled);
}
END_TEST

START_TEST(rates_that_were_changed_are_restored)
{
    training a = begin(make_sgd, 4), b = begin(make_sgd, 4);
    gr_optimizer_set_lr(a.opt, 0.125);
    ck_assert_int_eq(gr_save_optimizer(a.opt, scratch_path("state")), GR_OK);
    ck_assert_int_eq(gr_load_optimizer(b.opt, scratch_path("state")), GR_OK);
    ck_assert_double_eq(gr_optimizer_lr(b.opt), 0.125);
    end(&a);
    end(&b);
}
END_TEST

/* --- files that do not fit --- */

static void expect_refused(training *t, const char *path, const char *part)
{
    gr_graph_reset(t->g);
    int64_t steps = gr_optimizer_steps(t->opt);
    ck_assert_int_eq(gr_load_optimizer(t->opt, path), GR_ERR_FORMAT);
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected %s, got %s", part,
                  gr_last_error());
    ck_assert_int_eq(gr_optimizer_steps(t->opt), steps);
}

START_TEST(a_state_of_another_kind_is_refused_and_changes_nothing)
{
    const char *path = scratch_path("state");
    training a = begin(make_adam, 4), b = begin(make_adamw, 4), c = begin(make_adam, 5),
             d = begin(make_adam, 4);
    train(&a, 2);
    train(&d, 1);
    ck_assert_int_eq(gr_save_optimizer(a.opt, path), GR_OK);
    expect_refused(&b, path, "expected the state of adamw, got that of adam");
    expect_refused(&c, path, "'0.weight.exp_avg' is F32 [4,3] in the file, expected F32 [5,3]");
    gr_optimizer_group(d.opt, "*.bias", (gr_param_group){0});
    expect_refused(&d, path, "'optimizer.group_lr1' is missing");
    ck_assert_int_eq(gr_save(a.m, path, NULL), GR_OK);
    expect_refused(&d, path, "4 arrays that nobody asks for");
    ck_assert_int_eq(gr_load_optimizer(d.opt, scratch_path("none")), GR_ERR_FILE);
    end(&a);
    end(&b);
    end(&c);
    end(&d);
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    const char *path = scratch_path("state");
    training t = begin(make_adam, 4);
    train(&t, 1);
    ck_assert_int_eq(gr_save_optimizer(t.opt, path), GR_OK);
    for (int load = 0; load < 2; load++) {
        inject_begin();
        for (int64_t n = 0, done = 0; !done; n++) {
            int64_t before = inject_live();
            inject_allocation(n);
            gr_status status = load ? gr_load_optimizer(t.opt, path)
                                    : gr_save_optimizer(t.opt, path);
            done = !inject_happened();
            inject_none();
            ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
            ck_assert_int_eq(inject_live(), before);
        }
        inject_end();
    }
    end(&t);
}
END_TEST

/* --- averages --- */

START_TEST(averages_are_restored)
{
    const char *path = scratch_path("ema");
    training t = begin(make_sgd, 4);
    gr_ema *a = gr_ema_new(t.m, (gr_ema_options){.decay = 0.5});
    gr_ema *b = gr_ema_new(t.m, (gr_ema_options){.decay = 0.5});
    for (int i = 0; i < 3; i++) {
        train(&t, 1);
        ck_assert_int_eq(gr_ema_update(a), GR_OK);
    }
    ck_assert_int_eq(gr_save_ema(a, path), GR_OK);
    ck_assert_int_eq(gr_load_ema(b, path), GR_OK);
    ck_assert_int_eq(gr_ema_swap(a), GR_OK);
    float mean[2][12];
    memcpy(mean[0], gr_param_data(gr_model_param(t.m, 0)), sizeof mean[0]);
    ck_assert_int_eq(gr_save_ema(a, path), GR_ERR_STATE);
    ck_assert_int_eq(gr_ema_swap(a), GR_OK);
    ck_assert_int_eq(gr_ema_swap(b), GR_OK);
    memcpy(mean[1], gr_param_data(gr_model_param(t.m, 0)), sizeof mean[1]);
    ck_assert_mem_eq(mean[0], mean[1], sizeof mean[0]);
    gr_ema_free(a);
    gr_ema_free(b);
    end(&t);
}
END_TEST

SUITE("state", scratch_begin, scratch_end, training_goes_on_bit_for_bit,
      rates_that_were_changed_are_restored, a_state_of_another_kind_is_refused_and_changes_nothing,
      memory_that_runs_out_is_an_error_and_no_leak, averages_are_restored)
