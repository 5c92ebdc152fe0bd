/* test_stages.c - what each stage beyond S0 and S1 catches. */
/* SPDX-License-Identifier: MIT */
#include "expect.h"

#include <math.h>
#include <string.h>

/* --- y = x^2, with rules that are wrong in different ways --- */

static float single_factor = 1;
static double thread_factor;

static void square_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] * x[i] + thread_factor * gr_threads();
}

static void square_f32(const gr_tile *t)
{
    const float *x = t->x[0];
    float *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = single_factor * x[i] * x[i];
}

static void right_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_scale(p->x[0], 2));
}

/* Right, but its cotangent does not count as one that it depends on. */
static void detached_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(gr_detach(p->dy[0]), gr_scale(p->x[0], 2));
}

static void doubled_single_vjp(gr_pullback *p)
{
    double slip = gr_dtype_of(p->x[0]) == GR_F32 ? 2.0001 : 2;
    p->dx[0] = gr_mul(p->dy[0], gr_scale(p->x[0], slip));
}

static const gr_sample samples[] = {{"matrix", {{{2, {3, 4}}, .low = -1, .high = 1}}, .n_in = 1},
                                    {0}};

static gr_op square_with(void (*vjp)(gr_pullback *p))
{
    return (gr_op){.name = "my_square",
                   .n_in = 1,
                   .tile = {[GR_F64] = square_f64, [GR_F32] = square_f32},
                   .vjp = vjp,
                   .samples = samples};
}

static gr_verdict check(void (*vjp)(gr_pullback *p), unsigned stages)
{
    static gr_op op;
    op = square_with(vjp);
    return gr_gradcheck_op(&op, (gr_check_options){.seed = 3, .stages = stages}, &report);
}

START_TEST(a_right_op_passes_every_stage)
{
    EXPECT(check(right_vjp, 0), GR_PASS);
    for (unsigned stage = 1; stage < GR_CHECK_ALL; stage *= 2)
        EXPECT(check(right_vjp, stage), GR_PASS);
}
END_TEST

START_TEST(forward_mode_needs_the_cotangent)
{
    EXPECT(check(detached_vjp, GR_CHECK_STRUCTURE | GR_CHECK_GRADIENT), GR_PASS);
    EXPECT(check(detached_vjp, 0), GR_FAIL);
    ck_assert_str_eq(report.stage, "S2");
    ck_assert_str_eq(report.diagnosis, "forward mode");
    ck_assert_double_eq(report.analytic, 0);
}
END_TEST

START_TEST(a_wrong_float32_rule_fails)
{
    EXPECT(check(doubled_single_vjp, GR_CHECK_STRUCTURE | GR_CHECK_GRADIENT), GR_PASS);
    EXPECT(check(doubled_single_vjp, 0), GR_FAIL);
    ck_assert_str_eq(report.stage, "S4");
    EXPECT(check(doubled_single_vjp, GR_CHECK_FLOAT32), GR_FAIL);
    ck_assert_str_eq(report.diagnosis, "float32");
}
END_TEST

START_TEST(a_result_that_depends_on_the_threads_fails)
{
    const int before = gr_threads();
    thread_factor = 1e-3;
    EXPECT(check(right_vjp, GR_CHECK_STRUCTURE | GR_CHECK_GRADIENT), GR_PASS);
    EXPECT(check(right_vjp, GR_CHECK_THREADS), GR_FAIL);
    thread_factor = 0;
    ck_assert_str_eq(report.stage, "S5");
    ck_assert_str_eq(report.diagnosis, "threads");
    ck_assert_int_eq(gr_threads(), before);
}
END_TEST

static void one_element_vjp(gr_pullback *p)
{
    double factor[12] = {1, 1, 1, 1, 1, 1, 1, 1 + 1e-6, 1, 1, 1, 1};
    if (gr_numel(p->x[0]) != 12) {
        right_vjp(p);
        return;
    }
    gr_tensor *f = gr_cast(gr_from_data(p->graph, GR_F64, *gr_shape_of(p->x[0]), factor),
                           gr_dtype_of(p->x[0]));
    p->dx[0] = gr_mul(gr_mul(p->dy[0], gr_scale(p->x[0], 2)), f);
}

START_TEST(the_whole_jacobian_is_compared)
{
    EXPECT(check(one_element_vjp, GR_CHECK_EXHAUSTIVE), GR_FAIL);
    ck_assert_str_eq(report.stage, "S6");
    ck_assert_int_eq(report.elements, 1);
    ck_assert_int_eq(report.element[0].index, 7);
    ck_assert_str_eq(report.element[0].where, "[1,3]");
    ck_assert_double_eq_tol(report.element[0].analytic / report.element[0].numeric, 1 + 1e-6, 1e-8);
}
END_TEST

/* --- functions --- */

static gr_tensor *apply_detached(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    static gr_op op;
    (void)user;
    op = square_with(detached_vjp);
    return gr_apply(g, &op, x, n, NULL);
}

START_TEST(functions_run_the_stages_that_are_asked_for)
{
    const double at[] = {0.5, -0.25, 0.75};
    const gr_check_input in = {"x", GR_F64, GR_SHAPE(3), at};
    gr_check_options forward = {.stages = GR_CHECK_FORWARD}, usual = {0};
    EXPECT(gr_gradcheck(apply_detached, NULL, &in, 1, usual, &report), GR_FAIL);
    ck_assert_str_eq(report.stage, "S2");
    EXPECT(gr_gradcheck(apply_detached, NULL, &in, 1, forward, &report), GR_FAIL);
    ck_assert_str_eq(report.stage, "S2");
    gr_check_options all = {.stages = GR_CHECK_ALL & ~(unsigned)GR_CHECK_FORWARD};
    EXPECT(gr_gradcheck(apply_detached, NULL, &in, 1, all, &report), GR_PASS);
}
END_TEST

SUITE("stages", NULL, NULL, a_right_op_passes_every_stage, forward_mode_needs_the_cotangent,
      a_wrong_float32_rule_fails, a_result_that_depends_on_the_threads_fails,
      the_whole_jacobian_is_compared, functions_run_the_stages_that_are_asked_for)
