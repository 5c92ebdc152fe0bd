/* test_report.c - what a report says, as text, as JSON and through a replay. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static gr_check_report report;
static char text[4096];

#define HAS(part) ck_assert_msg(strstr(text, part) != NULL, "no '%s' in:\n%s", part, text)

/* --- a function whose gradient is half of what it should be, in both elements --- */

static gr_tensor *half_seen(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    gr_tensor *y = gr_tanh(x[0]);
    return gr_add(gr_scale(y, 0.5), gr_detach(gr_scale(y, 0.5)));
}

static void fail_half(gr_check_options o)
{
    const double at[] = {0.5, -0.25};
    const gr_check_input in = {"weight", GR_F64, GR_SHAPE(1, 2), at};
    ck_assert_int_eq(gr_gradcheck(half_seen, NULL, &in, 1, o, &report), GR_FAIL);
}

START_TEST(text_has_all_there_is_to_know)
{
    fail_half((gr_check_options){.seed = 9});
    size_t n = gr_check_report_text(&report, text, sizeof text);
    ck_assert_uint_eq(n, strlen(text));
    HAS("FAIL (stage S1): weight: analytic");
    HAS("input      weight [1,2]");
    HAS("op         tanh, node 1, recorded at ");
    HAS("seed       9, round ");
    HAS("h-table");
    HAS("Taylor     slopes 1.00 and 1.00");
    HAS("wrong      [0,0]");
    HAS("ratio 0.5");
    HAS("diagnosis  factor: the gradient is 0.5 times what it should be");
    HAS("replay     with (gr_check_options){.seed = 9, .order = 1, .round = ");
    ck_assert_int_eq(report.rows, GR_CHECK_ROWS);
    ck_assert_double_eq_tol(report.taylor[0], 1, 0.05);
}
END_TEST

START_TEST(a_short_buffer_gets_what_fits)
{
    char little[12];
    fail_half((gr_check_options){.seed = 9});
    size_t n = gr_check_report_text(&report, little, sizeof little);
    ck_assert_uint_gt(n, 100);
    ck_assert_str_eq(little, "FAIL (stage");
    ck_assert_uint_eq(gr_check_report_text(&report, NULL, 0), n);
}
END_TEST

START_TEST(json_has_the_same)
{
    fail_half((gr_check_options){.seed = 9});
    size_t n = gr_check_report_json(&report, text, sizeof text);
    ck_assert_uint_eq(n, strlen(text));
    HAS("{\"verdict\":\"FAIL\",\"stage\":\"S1\",\"message\":\"weight: analytic ");
    HAS("\"op\":\"tanh\",\"node\":1,\"site\":\"");
    HAS("\"input\":\"weight\"");
    HAS("\"seed\":9");
    HAS("\"table\":[[0.02,");
    HAS("\"elements\":[{\"index\":0,\"where\":\"[0,0]\"");
    HAS("\"shape\":[1,2],\"wrong\":2,\"estimated\":false");
    HAS("\"diagnosis\":\"factor\"");
    ck_assert_int_eq(text[n - 1], '}');
}
END_TEST

START_TEST(a_round_replays_alone)
{
    fail_half((gr_check_options){.seed = 9});
    gr_check_report whole = report;
    ck_assert_int_ge(whole.round, 1);
    fail_half((gr_check_options){.seed = 9, .round = whole.round});
    ck_assert_int_eq(report.round, whole.round);
    ck_assert_double_eq(report.analytic, whole.analytic);
    ck_assert_double_eq(report.numeric, whole.numeric);
    ck_assert_int_lt(report.evaluations, whole.evaluations);
}
END_TEST

/* --- an op --- */

static void (*real_vjp)(gr_pullback *p);

static void negated_vjp(gr_pullback *p)
{
    real_vjp(p);
    if (p->dx[0]) p->dx[0] = gr_neg(p->dx[0]);
}

START_TEST(an_op_says_how_to_replay_it)
{
    gr_op op = *gr_op_find("tanh");
    real_vjp = op.vjp;
    op.vjp = negated_vjp;
    ck_assert_int_eq(gr_gradcheck_op(&op, (gr_check_options){.seed = 7}, &report), GR_FAIL);
    gr_check_report_text(&report, text, sizeof text);
    char want[100];
    snprintf(want, sizeof want,
             "gradus check --replay op=tanh:sample=1:layout=1:seed=7:order=1:round=%d\n",
             report.round);
    HAS(want);
    gr_check_report whole = report;
    gr_check_options one = {.seed = 7, .sample = 1, .layout = 1, .round = whole.round};
    ck_assert_int_eq(gr_gradcheck_op(&op, one, &report), GR_FAIL);
    ck_assert_double_eq(report.numeric, whole.numeric);
    one.sample = 99;
    ck_assert_int_eq(gr_gradcheck_op(&op, one, &report), GR_INCONCLUSIVE);
}
END_TEST

/* --- kinks --- */

static gr_tensor *two_kinks(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_abs(gr_add(x[0], gr_relu(gr_shift(x[0], 5))));
}

START_TEST(the_owner_of_a_kink_is_named)
{
    const double at[] = {-5, 3};
    const gr_check_input in = {"x", GR_F64, GR_SHAPE(2), at};
    gr_gradcheck(two_kinks, NULL, &in, 1, (gr_check_options){0}, &report);
    ck_assert(report.kink);
    ck_assert_msg(!strncmp(report.kink_owner, "relu, node 2, ", 14), "'%s'", report.kink_owner);
}
END_TEST

SUITE("report", NULL, NULL, text_has_all_there_is_to_know, a_short_buffer_gets_what_fits,
      json_has_the_same, a_round_replays_alone, an_op_says_how_to_replay_it,
      the_owner_of_a_kink_is_named)
