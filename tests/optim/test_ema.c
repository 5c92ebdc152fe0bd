/* test_ema.c - moving averages of the weights, swapped in and out. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/optim.h>
#include <math.h>
#include <string.h>

enum { N = 40000 };

static gr_model *m;
static gr_param *w;

static gr_tensor *no_forward(gr_module *self, gr_tensor *x)
{
    (void)self;
    return x;
}

static void setup(void)
{
    m = gr_model_new();
    gr_model_dtype(m, GR_F64);
    gr_module *module = gr_module_new(m, "point", no_forward, 0);
    w = gr_module_param(module, "w", GR_SHAPE(N), (gr_init){.kind = GR_INIT_CONSTANT, .a = 2});
}

static void teardown(void)
{
    gr_model_free(m);
}

static double weight(int i)
{
    return ((const double *)gr_param_data(w))[i];
}

/* Weight i of step t, which is 1 at first. */
static double value_at(int i, int t)
{
    return sin(i + 1.7 * t);
}

static void move(int t)
{
    double *data = gr_param_write(w);
    for (int i = 0; i < N; i++) data[i] = value_at(i, t);
}

START_TEST(averages_have_their_bias_corrected)
{
    const double decay = 0.8;
    gr_ema *e = gr_ema_new(m, (gr_ema_options){.decay = decay});
    for (int t = 1; t <= 7; t++) {
        move(t);
        ck_assert_int_eq(gr_ema_update(e), GR_OK);
        ck_assert_int_eq(gr_ema_swap(e), GR_OK);
        for (int i = 0; i < N; i += 999) {
            double sum = 0, weights = 0;
            for (int k = 1; k <= t; k++) {
                sum += pow(decay, t - k) * value_at(i, k);
                weights += pow(decay, t - k);
            }
            ck_assert_double_eq_tol(weight(i), sum / weights, 1e-14);
        }
        ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    }
    gr_ema_free(e);
}
END_TEST

START_TEST(without_correction_they_start_from_the_weights)
{
    gr_ema *e = gr_ema_new(m, (gr_ema_options){.decay = 0.75, .no_correction = true});
    move(1);
    ck_assert_int_eq(gr_ema_update(e), GR_OK);
    ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    for (int i = 0; i < N; i += 999)
        ck_assert_double_eq_tol(weight(i), 0.75 * 2 + 0.25 * value_at(i, 1), 1e-15);
    gr_ema_free(e);
}
END_TEST

START_TEST(swapped_out_every_bit_of_the_weights_is_back)
{
    gr_ema *e = gr_ema_new(m, (gr_ema_options){0});
    for (int t = 1; t <= 3; t++) {
        move(t);
        ck_assert_int_eq(gr_ema_update(e), GR_OK);
    }
    double *before = malloc(N * sizeof *before);
    memcpy(before, gr_param_data(w), N * sizeof *before);
    ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    ck_assert_mem_ne(gr_param_data(w), before, N * sizeof *before);
    ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    ck_assert_mem_eq(gr_param_data(w), before, N * sizeof *before);
    free(before);
    gr_ema_free(e);
}
END_TEST

START_TEST(calls_at_the_wrong_time_say_so)
{
    gr_ema *e = gr_ema_new(m, (gr_ema_options){0});
    ck_assert_int_eq(gr_ema_swap(e), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "no average before a gr_ema_update"));
    ck_assert_int_eq(gr_ema_update(e), GR_OK);
    ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    ck_assert_int_eq(gr_ema_update(e), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "are swapped in"));
    ck_assert_int_eq(gr_ema_swap(e), GR_OK);
    gr_linear_layer(m, 2, 2);
    ck_assert_int_eq(gr_ema_update(e), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "has 3 parameters, expected the 1"));
    gr_ema_free(e);
}
END_TEST

START_TEST(a_decay_that_cannot_be_makes_an_inert_average)
{
    gr_ema *e = gr_ema_new(m, (gr_ema_options){.decay = 1});
    ck_assert_str_eq(gr_ema_error(e), "ema: expected 0 < decay < 1, got 1");
    ck_assert_int_eq(gr_ema_update(e), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_ema_swap(e), GR_ERR_ARGUMENT);
    gr_ema_free(e);
    e = gr_ema_new(NULL, (gr_ema_options){0});
    ck_assert_str_eq(gr_ema_error(e), "ema: the model is NULL");
    gr_ema_free(e);
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error_and_no_leak)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_ema *e = gr_ema_new(m, (gr_ema_options){0});
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(gr_ema_update(e), done ? GR_OK : GR_ERR_MEMORY);
        ck_assert(done == (gr_ema_error(e) == NULL));
        gr_ema_free(e);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("ema", setup, teardown, averages_have_their_bias_corrected,
      without_correction_they_start_from_the_weights, swapped_out_every_bit_of_the_weights_is_back,
      calls_at_the_wrong_time_say_so, a_decay_that_cannot_be_makes_an_inert_average,
      memory_that_runs_out_is_an_error_and_no_leak)
