/* test_schedule.c - learning rates over the steps.
 *
 * The numbers are those of PyTorch 1.13:
 *   OneCycleLR(opt, max_lr=0.5, total_steps=n, cycle_momentum=False)
 */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/optim.h>

static const double ten[] = {0.020000000000000018,
                             0.26,
                             0.5,
                             0.47524231600673683,
                             0.40587282697488153,
                             0.30563101096814466,
                             0.19437098903185537,
                             0.094129173025118487,
                             0.024759683993263143,
                             2e-06};
static const double twenty_five[] = {0.020000000000000018,
                                     0.047490553843229644,
                                     0.12366446078452265,
                                     0.23107119673872251,
                                     0.34510517289020859,
                                     0.43964257956106428,
                                     0.49302603618225249,
                                     0.49899357752451579,
                                     0.49099075121110264,
                                     0.47524231600673683,
                                     0.4522544395767425,
                                     0.42276597118406722,
                                     0.38772469446604418,
                                     0.34825686488844926,
                                     0.30563101096814466,
                                     0.26121716272279843,
                                     0.21644281777885202,
                                     0.17274706042325755,
                                     0.13153430825041282,
                                     0.094129173025118487,
                                     0.061733886570563293,
                                     0.035389660048327082,
                                     0.015943218574936337,
                                     0.0040195867799311816,
                                     2e-06};
static const double one[] = {2e-06};

static void expect(const double *expected, int n)
{
    gr_schedule s = gr_one_cycle(n);
    for (int i = 0; i < n; i++) ck_assert_double_eq_tol(s.lr(&s, 0.5, i), expected[i], 1e-15);
    for (int i = n; i < 2 * n; i++)
        ck_assert_double_eq_tol(s.lr(&s, 0.5, i), expected[n - 1], 1e-15);
}

START_TEST(one_cycle_follows_pytorch)
{
    expect(ten, 10);
    expect(twenty_five, 25);
    expect(one, 1);
}
END_TEST

/* --- in an optimizer --- */

static gr_model *m;
static gr_graph *g;
static gr_module *net;

static void setup(void)
{
    m = gr_model_new();
    g = gr_graph_new();
    net = gr_linear_layer(m, 2, 1);
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_model_free(m);
}

static void step(gr_optimizer *opt)
{
    gr_graph_reset(g);
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(1, 2))))),
                     GR_OK);
    ck_assert_int_eq(gr_step(opt), GR_OK);
}

START_TEST(a_schedule_sets_the_rate_of_each_step)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.5});
    step(opt);
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.5);
    gr_optimizer_schedule(opt, gr_one_cycle(10)); /* counts from here */
    for (int i = 0; i < 10; i++) {
        step(opt);
        ck_assert_double_eq_tol(gr_optimizer_lr(opt), ten[i], 1e-15);
    }
    gr_optimizer_schedule(opt, (gr_schedule){0});
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.5);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(the_base_rate_scales_a_schedule)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.25});
    gr_optimizer_schedule(opt, gr_one_cycle(10));
    ck_assert_double_eq_tol(gr_optimizer_lr(opt), 0.01, 1e-15);
    gr_optimizer_set_lr(opt, 0.5);
    ck_assert_double_eq_tol(gr_optimizer_lr(opt), ten[0], 1e-15);
    gr_optimizer_free(opt);
}
END_TEST

/* lr halves every two steps. */
static double halving(const gr_schedule *self, double base_lr, int64_t at)
{
    (void)self;
    for (; at >= 2; at -= 2) base_lr /= 2;
    return base_lr;
}

START_TEST(a_schedule_of_ones_own_is_followed)
{
    static const double expected[] = {1, 1, 0.5, 0.5, 0.25};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 1});
    gr_optimizer_schedule(opt, (gr_schedule){.lr = halving});
    for (int i = 0; i < 5; i++) {
        step(opt);
        ck_assert_double_eq(gr_optimizer_lr(opt), expected[i]);
    }
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(a_sequence_is_copied_by_the_optimizer)
{
    static const double expected[] = {0.25, 0.5, 0.75, 1, 0.5, 0.25, 0.125};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 1});
    gr_schedule parts[] = {gr_linear_schedule(3, 0.25, 1), gr_exponential_schedule(0.5)};
    ck_assert_int_eq(gr_optimizer_schedule(opt, gr_sequence(parts, (const int64_t[]){3, 1}, 2)),
                     GR_OK);
    parts[0] = parts[1] = (gr_schedule){0};
    for (int i = 0; i < 7; i++) {
        step(opt);
        ck_assert_double_eq_tol(gr_optimizer_lr(opt), expected[i], 1e-15);
    }
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(a_schedule_moves_the_momentum_of_rules_that_have_one)
{
    gr_schedule s = gr_one_cycle_with((gr_one_cycle_options){
        .total_steps = 10, .base_momentum = 0.5, .max_momentum = 0.75, .linear = true});
    gr_optimizer *plain = gr_sgd(m, (gr_sgd_options){0}), *adam = gr_adam(m, (gr_adam_options){0});
    ck_assert_int_eq(gr_optimizer_schedule(plain, s), GR_ERR_ARGUMENT);
    ck_assert_str_eq(gr_last_error(), "gr_optimizer_schedule: the schedule moves the momentum, "
                                      "which sgd was made without");
    ck_assert_double_eq(gr_optimizer_momentum(adam), 0.9);
    ck_assert_int_eq(gr_optimizer_schedule(adam, s), GR_OK);
    ck_assert_double_eq(gr_optimizer_momentum(adam), 0.75);
    gr_optimizer_free(plain);
    gr_optimizer_free(adam);
}
END_TEST

START_TEST(schedules_that_cannot_be_are_refused)
{
    const gr_schedule fine = gr_warmup(3, 0), nested = gr_sequence(&fine, (const int64_t[]){1}, 1);
    const gr_schedule refused[] = {
        gr_step_schedule(0, 0.5),
        gr_multi_step_schedule((const int64_t[]){5, 3}, 2, 0.5),
        gr_multi_step_schedule(NULL, 2, 0.5),
        gr_exponential_schedule(-1),
        gr_inverse_time_schedule(-0.1),
        gr_polynomial_schedule(10, 0),
        gr_linear_schedule(10, -1, 1),
        gr_cosine_schedule(0, 0),
        gr_cosine_restarts(5, 0, 0),
        gr_one_cycle(0),
        gr_one_cycle_with((gr_one_cycle_options){.total_steps = 5, .warmup_fraction = 1}),
        gr_one_cycle_with((gr_one_cycle_options){.total_steps = 5, .base_momentum = 0.9}),
        gr_sequence(&fine, (const int64_t[]){1}, 0),
        gr_sequence((const gr_schedule[]){fine, nested}, (const int64_t[]){1, 1}, 2),
        gr_sequence((const gr_schedule[]){fine, gr_one_cycle(-1)}, (const int64_t[]){1, 1}, 2),
        gr_sequence((const gr_schedule[]){fine, fine}, (const int64_t[]){0, 1}, 2)};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        ck_assert_msg(*refused[i].problem, "schedule %zu was not refused", i);
        ck_assert_int_eq(gr_optimizer_schedule(opt, refused[i]), GR_ERR_ARGUMENT);
        ck_assert_str_eq(gr_last_error(), refused[i].problem);
        ck_assert_double_eq(refused[i].lr(&refused[i], 0.5, 3), 0.5);
    }
    ck_assert_str_eq(refused[1].problem,
                     "gr_multi_step_schedule: expected ascending steps, got 3 at place 1");
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.01);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(restarts_that_grow_stay_within_the_numbers)
{
    gr_schedule s = gr_cosine_restarts(INT64_MAX / 2, 1000000, 0.1);
    double lr = s.lr(&s, 0.5, INT64_MAX - 1);
    ck_assert(lr >= 0.1 && lr <= 0.5);
}
END_TEST

START_TEST(a_plateau_that_cannot_be_is_refused)
{
    gr_plateau p = {.factor = 1.5};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    ck_assert_int_eq(gr_plateau_step(&p, opt, 1), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_plateau_step(NULL, opt, 1), GR_ERR_ARGUMENT);
    gr_optimizer_free(opt);
}
END_TEST

SUITE("schedule", setup, teardown, one_cycle_follows_pytorch, a_schedule_sets_the_rate_of_each_step,
      the_base_rate_scales_a_schedule, a_schedule_of_ones_own_is_followed,
      a_sequence_is_copied_by_the_optimizer, a_schedule_moves_the_momentum_of_rules_that_have_one,
      schedules_that_cannot_be_are_refused, restarts_that_grow_stay_within_the_numbers,
      a_plateau_that_cannot_be_is_refused)
