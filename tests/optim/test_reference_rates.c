/* test_reference_rates.c - every schedule, with every option, against PyTorch's.
 *
 * The numbers are in trajectories.h, which reference.py wrote.
 */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/optim.h>
#include <math.h>
#include <string.h>

#include "trajectories.h"

enum { RATES = 40 };
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static const double *rates_of(const char *name)
{
    for (int i = 0; i < COUNT(rates); i++)
        if (!strcmp(rates[i].name, name)) return rates[i].rates[0];
    return NULL;
}

static void expect_rates(const char *name, gr_schedule s)
{
    const double *expected = rates_of(name);
    ck_assert_msg(expected && !*s.problem, "%s: %s", name, expected ? s.problem : "no such rates");
    for (int i = 0; i < RATES; i++) {
        double lr = s.lr(&s, 0.5, i), momentum = s.momentum ? s.momentum(&s, 0.9, i) : 0.9;
        ck_assert_msg(fabs(lr - expected[2 * i]) <= 1e-12, "%s: rate %d: expected %.17g, got %.17g",
                      name, i, expected[2 * i], lr);
        ck_assert_msg(fabs(momentum - expected[2 * i + 1]) <= 1e-12,
                      "%s: momentum %d: expected %.17g, got %.17g", name, i, expected[2 * i + 1],
                      momentum);
    }
}

START_TEST(schedules_follow_pytorch)
{
    const gr_schedule parts[] = {gr_warmup(8, 0.1), gr_cosine_schedule(20, 0.05),
                                 gr_step_schedule(4, 0.5)};
    const struct {
        const char *name;
        gr_schedule schedule;
    } all[] = {
        {"step", gr_step_schedule(7, 0.3)},
        {"multi-step", gr_multi_step_schedule((const int64_t[]){3, 11, 12, 30}, 4, 0.4)},
        {"exponential", gr_exponential_schedule(0.9)},
        {"inverse time", gr_inverse_time_schedule(0.2)},
        {"polynomial", gr_polynomial_schedule(25, 1.7)},
        {"linear", gr_linear_schedule(17, 0.9, 0.2)},
        {"warm-up", gr_warmup(9, 0.1)},
        {"cosine", gr_cosine_schedule(15, 0.02)},
        {"cosine, restarts", gr_cosine_restarts(6, 1, 0.01)},
        {"cosine, longer restarts", gr_cosine_restarts(5, 2, 0.01)},
        {"one cycle", gr_one_cycle_with((gr_one_cycle_options){
                          .total_steps = RATES, .base_momentum = 0.85, .max_momentum = 0.95})},
        {"one cycle, three phases",
         gr_one_cycle_with((gr_one_cycle_options){.total_steps = RATES,
                                                  .warmup_fraction = 0.4,
                                                  .div_factor = 10,
                                                  .final_div_factor = 100,
                                                  .linear = true,
                                                  .three_phase = true,
                                                  .base_momentum = 0.6,
                                                  .max_momentum = 0.8})},
        {"sequence", gr_sequence(parts, (const int64_t[]){8, 20, 12}, 3)},
    };
    ck_assert_int_eq(COUNT(all), COUNT(rates));
    for (int i = 0; i < COUNT(all); i++) expect_rates(all[i].name, all[i].schedule);
}
END_TEST

START_TEST(rates_fall_on_a_plateau_as_in_pytorch)
{
    const gr_plateau all[] = {
        {0},
        {.factor = 0.5, .patience = 2, .cooldown = 3, .min_lr = 0.01},
        {.factor = 0.5, .patience = 3, .threshold = 0.05, .absolute = true},
        {.maximize = true, .factor = 0.5, .patience = 3, .threshold = 0.02},
        {.maximize = true, .factor = 0.5, .patience = -1, .threshold = 0.02, .absolute = true},
    };
    ck_assert_int_eq(COUNT(all), COUNT(plateaus));
    for (int k = 0; k < COUNT(all); k++) {
        gr_model *m = gr_model_new();
        gr_plateau plateau = all[k];
        gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.5});
        for (int i = 0; i < RATES; i++) {
            double measure = 1 / (1 + 0.4 * i) + 0.3 * sin(1.3 * i);
            ck_assert_int_eq(gr_plateau_step(&plateau, opt, measure), GR_OK);
            ck_assert_msg(fabs(gr_optimizer_lr(opt) - plateaus[k].rates[i][0]) <= 1e-12,
                          "%s: rate %d: expected %.17g, got %.17g", plateaus[k].name, i,
                          plateaus[k].rates[i][0], gr_optimizer_lr(opt));
        }
        gr_optimizer_free(opt);
        gr_model_free(m);
    }
}
END_TEST

SUITE("reference_rates", NULL, NULL, schedules_follow_pytorch,
      rates_fall_on_a_plateau_as_in_pytorch)
