/* test_report.c - learning curves, and whether a network underfits or overfits. */
/* SPDX-License-Identifier: MIT */
#include "scratch.h"
#include "suite.h"
#include "toy.h"

#include <gradus/measure.h>
#include <math.h>
#include <string.h>

static gr_dataset *data, *noise;

static void setup(void)
{
    data = toy_stripes(120);
    noise = toy_stripes(120); /* labels that nothing can predict */
    for (int64_t i = 0; i < noise->n; i++) noise->y[i] = i * i * 7 % 11 % 3;
}

static void teardown(void)
{
    gr_dataset_free(data);
    gr_dataset_free(noise);
}

static toy trained(int epochs)
{
    toy t = toy_new(1, 0.05);
    gr_fit_options o = {.epochs = epochs};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, NULL), GR_OK);
    return t;
}

static void expect_verdict(toy *t, const gr_dataset *validation, gr_report_options o,
                           const char *verdict)
{
    gr_fit_report r;
    ck_assert_int_eq(gr_report_fit(t->net, data, validation, NULL, o, &r), GR_OK);
    ck_assert_msg(!strncmp(r.verdict, verdict, strlen(verdict)), "expected '%s', got '%s'", verdict,
                  r.verdict);
}

START_TEST(the_verdict_says_underfits_or_overfits)
{
    toy fresh = toy_new(1, 0.05), good = trained(60);
    gr_report_options some = {.tolerance = 0.1};
    expect_verdict(&good, data, some, "fits well");
    expect_verdict(&good, noise, some, "overfits");
    expect_verdict(&fresh, data, some, "underfits: ");
    expect_verdict(&fresh, data, (gr_report_options){.goal = 0.9}, "fits well");
    toy_free(&fresh);
    toy_free(&good);
}
END_TEST

START_TEST(bias_and_variance_are_differences_of_errors)
{
    toy t = trained(5);
    gr_fit_report r;
    char text[2000];
    gr_report_options o = {.goal = 0.01};
    ck_assert_int_eq(gr_report_fit(t.net, data, noise, data, o, &r), GR_OK);
    ck_assert_double_eq_tol(r.bias, 1 - r.train.accuracy - 0.01, 1e-12);
    ck_assert_double_eq_tol(r.variance, r.train.accuracy - r.validation.accuracy, 1e-12);
    ck_assert_double_eq(r.test.accuracy, r.train.accuracy);
    size_t n = gr_fit_report_text(&r, text, sizeof text);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_ptr_nonnull(strstr(text, "validation"));
    ck_assert_ptr_nonnull(strstr(text, r.verdict));
    ck_assert_int_eq(gr_report_fit(t.net, data, NULL, NULL, o, &r), GR_OK);
    ck_assert(isnan(r.variance));
    ck_assert_ptr_nonnull(strstr(r.verdict, "variance unknown"));
    ck_assert_int_ne(gr_report_fit(t.net, NULL, NULL, NULL, o, &r), GR_OK);
    toy_free(&t);
}
END_TEST

START_TEST(learning_curves_are_drawn)
{
    scratch_begin();
    toy t = toy_new(1, 0.05);
    gr_history h;
    size_t bytes;
    gr_fit_options o = {.epochs = 4, .validation = noise};
    ck_assert_int_eq(gr_fit(t.net, t.opt, data, o, &h), GR_OK);
    ck_assert_int_eq(gr_history_plot(&h, "stripes", scratch_path("curves.svg")), GR_OK);
    char *svg = scratch_read("curves.svg", &bytes);
    ck_assert_ptr_nonnull(strstr(svg, "validation"));
    ck_assert_ptr_nonnull(strstr(svg, "accuracy"));
    ck_assert_ptr_nonnull(strstr(svg, "best"));
    free(svg);
    ck_assert_int_ne(gr_history_plot(&h, NULL, scratch_path("no/such/folder")), GR_OK);
    gr_history_release(&h);
    ck_assert_int_eq(gr_history_plot(&h, NULL, scratch_path("none.svg")), GR_ERR_ARGUMENT);
    toy_free(&t);
    scratch_end();
}
END_TEST

SUITE("report", setup, teardown, the_verdict_says_underfits_or_overfits,
      bias_and_variance_are_differences_of_errors, learning_curves_are_drawn)
