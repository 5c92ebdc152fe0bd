/* test_assert.c - gradient checks as assertions: a user's suite that passes, and one that fails. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check_assert.h>
#include <gradus/gradus.h>
#include <string.h>

/* --- a user's functions, right or with the gradient times a factor --- */

static double factor = 1;

static void square_forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0];
    double *y = out;
    (void)user;
    for (int i = 0; i < 5; i++) y[i] = x[i] * x[i];
}

static void square_backward(const void *const *in, const void *out, const void *cotangent,
                            void *const *gradients, void *user)
{
    const double *x = in[0], *dy = cotangent;
    double *dx = gradients[0];
    (void)out;
    (void)user;
    for (int i = 0; i < 5; i++) dx[i] = factor * 2 * x[i] * dy[i];
}

static const gr_raw square_pair = {
    .name = "square",
    .forward = square_forward,
    .backward = square_backward,
    .in = {{"side", .n = 5}},
    .out = 5,
};

static void cube_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] * x[i] * x[i];
}

static void cube_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_scale(gr_square(p->x[0]), 3 * factor));
}

static const gr_op cube_op = {
    .name = "cube",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = {[GR_F64] = cube_f64},
    .vjp = cube_vjp,
    .samples = (const gr_sample[]){{"matrix", {{.shape = {2, {3, 4}}}}, .n_in = 1}, {0}},
};

static gr_tensor *cube(gr_tensor *x)
{
    return gr_apply(NULL, &cube_op, &x, 1, NULL);
}

static gr_tensor *sum_of_cubes(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_sum_all(cube(x[0]));
}

static const double values[4] = {0.5, -0.25, 0.75, 1};
static const gr_check_input input = {"edge", GR_F64, {1, {4}}, values};
static const gr_check_input batch = {"batch", GR_F64, {2, {2, 2}}, values};

/* --- the user's tests --- */

START_TEST(function)
{
    ck_assert_gradcheck(sum_of_cubes, NULL, &input, 1);
    ck_assert_gradcheck_with(sum_of_cubes, NULL, &input, 1,
                             (gr_check_options){.seed = 3, .order = 2});
}
END_TEST

START_TEST(op)
{
    ck_assert_gradcheck_op(&cube_op);
    ck_assert_gradcheck_op_with(&cube_op, (gr_check_options){.seed = 3, .order = 2});
}
END_TEST

START_TEST(module)
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 3),
                                              gr_function_layer(m, "cube", cube)));
    ck_assert_gradcheck_module(net, &batch, NULL, NULL);
    ck_assert_gradcheck_module_with(net, &batch, NULL, NULL,
                                    (gr_check_options){.seed = 3, .order = 2});
    gr_model_free(m);
}
END_TEST

START_TEST(raw)
{
    ck_assert_gradcheck_raw(&square_pair);
    ck_assert_gradcheck_raw_with(&square_pair, (gr_check_options){.seed = 3, .rounds = 8});
}
END_TEST

START_TEST(unusable)
{
    gr_raw half = square_pair;
    half.forward = NULL;
    ck_assert_gradcheck_raw(&half);
}
END_TEST

/* --- what becomes of them --- */

static SRunner *run(const TTest *test)
{
    Suite *suite = suite_create("a user's suite");
    TCase *one = tcase_create("gradients");
    tcase_add_test(one, test);
    suite_add_tcase(suite, one);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* the failures would end a test that does not fork */
    srunner_run_all(runner, CK_SILENT);
    return runner;
}

static void expect_pass(const TTest *test)
{
    SRunner *runner = run(test);
    ck_assert_int_eq(srunner_ntests_run(runner), 1);
    ck_assert_int_eq(srunner_ntests_failed(runner), 0);
    srunner_free(runner);
}

/* The one failure's message contains each text, and its place is in this file. */
static void expect_failure(const TTest *test, const char *const *says)
{
    SRunner *runner = run(test);
    ck_assert_int_eq(srunner_ntests_failed(runner), 1);
    TestResult **failures = srunner_failures(runner);
    for (int i = 0; says[i]; i++)
        ck_assert_msg(strstr(tr_msg(failures[0]), says[i]) != NULL, "no '%s' in: %s", says[i],
                      tr_msg(failures[0]));
    ck_assert_msg(strstr(tr_lfile(failures[0]), "test_assert.c") != NULL, "%s",
                  tr_lfile(failures[0]));
    ck_assert_int_gt(tr_lno(failures[0]), 80);
    free(failures);
    srunner_free(runner);
}

START_TEST(right_gradients_pass)
{
    factor = 1;
    expect_pass(function);
    expect_pass(op);
    expect_pass(module);
    expect_pass(raw);
}
END_TEST

START_TEST(wrong_gradients_fail_with_the_whole_report)
{
    factor = -1;
    expect_failure(function,
                   (const char *const[]){"gradient check of sum_of_cubes: FAIL in stage S1",
                                         "input edge", "analytic", "numeric", "bound", "step",
                                         NULL});
    expect_failure(op, (const char *const[]){"gradient check of &cube_op: FAIL", "matrix", NULL});
    expect_failure(module,
                   (const char *const[]){"gradient check of net: FAIL", "evaluations", NULL});
    expect_failure(raw, (const char *const[]){"gradient check of &square_pair: FAIL in stage S1",
                                              "input side", "sign", "element [", NULL});
    expect_failure(unusable, (const char *const[]){"forward is NULL", "stage S0", NULL});
}
END_TEST

SUITE("assert", NULL, NULL, right_gradients_pass, wrong_gradients_fail_with_the_whole_report)
