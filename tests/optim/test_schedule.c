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

SUITE("schedule", setup, teardown, one_cycle_follows_pytorch, a_schedule_sets_the_rate_of_each_step,
      the_base_rate_scales_a_schedule, a_schedule_of_ones_own_is_followed)
