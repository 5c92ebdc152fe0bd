/* test_locate.c - which elements are said to be wrong, and what the error is said to be. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check.h>
#include <math.h>
#include <string.h>

/* --- a function whose gradient is wrong where we want --- */

enum { MOST = 16384 };

static double at[MOST], factor[MOST];
static gr_check_report report;

static void start(int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        at[i] = sin(0.7 * (double)i) + 0.1;
        factor[i] = 1;
    }
}

/* x, but with `factor` times its gradient. */
static gr_tensor *planted(gr_tensor *x)
{
    gr_tensor *f = gr_from_data(gr_graph_of(x), GR_F64, *gr_shape_of(x), factor);
    gr_tensor *rest = gr_sub(gr_ones(gr_graph_of(x), GR_F64, *gr_shape_of(x)), f);
    return gr_add(gr_mul(x, f), gr_mul(gr_detach(x), rest));
}

static gr_tensor *squares(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_square(planted(x[0]));
}

static void fails(gr_shape shape)
{
    const gr_check_input in = {"x", GR_F64, shape, at};
    gr_verdict v = gr_gradcheck(squares, NULL, &in, 1, (gr_check_options){.seed = 5}, &report);
    ck_assert_msg(v == GR_FAIL, "expected FAIL, got %s: %s", gr_verdict_name(v), report.message);
}

#define IS(word, text)                                                                       \
    do {                                                                                     \
        ck_assert_str_eq(report.diagnosis, word);                                            \
        ck_assert_msg(strstr(report.explanation, text) != NULL, "'%s'", report.explanation); \
        ck_assert_msg(strstr(report.message, text) != NULL, "'%s'", report.message);         \
    } while (0)

/* --- places --- */

START_TEST(one_wrong_element_of_16384_is_named_in_250_evaluations)
{
    for (int64_t wrong = 0; wrong < MOST; wrong += 5461) {
        start(MOST);
        factor[wrong] = 0.5;
        fails(GR_SHAPE(128, 128));
        IS("element", "0.5 times");
        ck_assert_int_eq(report.elements, 1);
        ck_assert_int_eq(report.wrong, 1);
        ck_assert_int_eq(report.element[0].index, wrong);
        ck_assert_double_eq_tol(report.element[0].analytic / report.element[0].numeric, 0.5, 1e-6);
        ck_assert_int_gt(report.search, 0);
        ck_assert_int_le(report.search, 250);
    }
    ck_assert_str_eq(report.element[0].where, "[127,127]");
}
END_TEST

START_TEST(a_few_wrong_elements_are_all_named)
{
    start(MOST);
    factor[17] = factor[1000] = 2;
    factor[16000] = -1;
    fails(GR_SHAPE(MOST));
    ck_assert_int_eq(report.elements, 3);
    ck_assert_int_eq(report.wrong, 3);
    ck_assert_int_eq(report.element[0].index, 17);
    ck_assert_int_eq(report.element[1].index, 1000);
    ck_assert_int_eq(report.element[2].index, 16000);
    IS("elements", "3 of 16384");
}
END_TEST

START_TEST(many_wrong_elements_are_estimated)
{
    start(MOST);
    for (int64_t i = 0; i < MOST; i++) factor[i] = i % 2 ? 1 : 3 + 0.001 * (double)i;
    fails(GR_SHAPE(MOST));
    ck_assert_int_eq(report.elements, GR_CHECK_ELEMENTS);
    ck_assert(report.estimated);
    ck_assert_int_gt(report.wrong, MOST / 4);
    ck_assert_int_lt(report.wrong, 3 * MOST / 4);
}
END_TEST

/* --- kinds --- */

static void fill_all(int64_t n, double value)
{
    start(n);
    for (int64_t i = 0; i < n; i++) factor[i] = value;
}

START_TEST(constant_ratios_are_told_apart)
{
    for (int64_t n = 12; n <= 3600; n *= 300) {
        fill_all(n, -1);
        fails(GR_SHAPE(n / 4, 4));
        IS("sign", "the sign is wrong");
        fill_all(n, 2);
        fails(GR_SHAPE(n / 4, 4));
        IS("factor", "2 times what it should be: a factor of 2");
        fill_all(n, 1.7);
        fails(GR_SHAPE(n / 4, 4));
        IS("factor", "1.7 times");
        fill_all(n, (double)n);
        fails(GR_SHAPE(n / 4, 4));
        IS("mean", "1/N");
        fill_all(n, 0);
        fails(GR_SHAPE(n / 4, 4));
        IS("zero", "the gradient is zero");
    }
}
END_TEST

START_TEST(a_border_is_recognised)
{
    start(40 * 30);
    for (int i = 0; i < 40; i++) factor[i * 30 + 29] = 0;
    fails(GR_SHAPE(40, 30));
    IS("border", "border 29 of axis 1");
}
END_TEST

static gr_tensor *swapped_roles(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    gr_tensor *right = gr_mul(x[0], gr_tanh(x[1])), *wrong = gr_mul(x[1], gr_tanh(x[0]));
    return gr_add(gr_detach(right), gr_sub(wrong, gr_detach(wrong)));
}

START_TEST(a_gradient_of_another_function_has_no_false_diagnosis)
{
    const gr_check_input in[] = {{"a", GR_F64, GR_SHAPE(5, 4), at},
                                 {"b", GR_F64, GR_SHAPE(5, 4), at + 20}};
    start(40);
    ck_assert_int_eq(gr_gradcheck(swapped_roles, NULL, in, 2, (gr_check_options){0}, &report),
                     GR_FAIL);
    ck_assert_str_eq(report.input, "a");
    ck_assert_str_eq(report.diagnosis, "");
    ck_assert_int_eq(report.wrong, 20);
}
END_TEST

SUITE("locate", NULL, NULL, one_wrong_element_of_16384_is_named_in_250_evaluations,
      a_few_wrong_elements_are_all_named, many_wrong_elements_are_estimated,
      constant_ratios_are_told_apart, a_border_is_recognised,
      a_gradient_of_another_function_has_no_false_diagnosis)
