/* test_kinks.c - verdicts over functions close to a kink, on one and on many. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "verdict.h"

static gr_tensor *abs_of(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_abs(x[0]);
}

START_TEST(close_to_a_kink_steps_shrink)
{
    EXPECT(check_one(abs_of, valued(0, 3, (double[]){0.5, 1e-5, -0.7})), GR_PASS);
    ck_assert_double_lt(report.h, 1e-4);
    ck_assert(!report.kink);
}
END_TEST

START_TEST(closer_than_the_smallest_step_is_inconclusive)
{
    EXPECT(check_one(abs_of, valued(0, 2, (double[]){0.5, 1e-13})), GR_INCONCLUSIVE);
    SAYS("within 1e-9");
}
END_TEST

START_TEST(on_a_kink_a_subgradient_is_accepted)
{
    EXPECT(check_one(abs_of, valued(0, 3, (double[]){0.5, 0, -0.7})), GR_PASS);
    ck_assert(report.kink);
    SAYS("subgradient at a kink");
}
END_TEST

static gr_tensor *largest(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_max(x[0], GR_ALL, false);
}

START_TEST(equal_maxima_are_a_kink)
{
    EXPECT(check_one(largest, valued(0, 4, (double[]){0.25, 1, -3, 1})), GR_PASS);
    ck_assert(report.kink);
}
END_TEST

static gr_tensor *largest_of_copies(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_max(gr_expand(x[0], GR_SHAPE(5, 3)), GR_AXES(0), false);
}

START_TEST(a_tie_that_persists_is_no_kink)
{
    EXPECT(check_one(largest_of_copies, drawn(0, GR_SHAPE(1, 3), 1)), GR_PASS);
    ck_assert(!report.kink);
}
END_TEST

/* relu(x) - relu(2 x) + ... at 0: each op chose a side, and the sum proves nothing. */
static gr_tensor *many_kinks(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_sum_all(gr_add(gr_sin(gr_relu(x[0])), gr_relu(gr_scale(x[0], 3))));
}

START_TEST(on_many_kinks_the_point_beside_decides)
{
    double x[300] = {0};
    for (int i = 0; i < 100; i++) x[i] = i * 0.01 - 0.3;
    EXPECT(check_one(many_kinks, valued(0, 300, x)), GR_PASS);
    ck_assert(report.kink);
}
END_TEST

/* |x| as a user's op that tells nothing of its kink; the derivative at 0 is 1, or as given. */
static void bare_abs(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = fabs(x[i]);
}

static double at_zero = 1;

static void bare_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *zero = gr_zeros(p->graph, gr_dtype_of(x), *gr_shape_of(x));
    gr_tensor *slope = gr_where(gr_equal(x, zero), gr_shift(zero, at_zero), gr_sign(x));
    p->dx[0] = gr_mul(p->dy[0], slope);
}

static const gr_op bare_op = {.name = "bare_abs",
                              .n_in = 1,
                              .tile = {[GR_F64] = bare_abs},
                              .vjp = bare_vjp};

static gr_tensor *bare(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)user;
    return gr_apply(g, &bare_op, x, n, NULL);
}

START_TEST(kinks_without_signature_are_seen_by_second_differences)
{
    at_zero = 1;
    EXPECT(check_one(bare, valued(0, 3, (double[]){0.5, 2e-3, -0.7})), GR_PASS);
    EXPECT(check_one(bare, valued(0, 3, (double[]){0.5, 0, -0.7})), GR_PASS);
    ck_assert(report.kink);
    at_zero = 5;
    EXPECT(check_one(bare, valued(0, 3, (double[]){0.5, 0, -0.7})), GR_FAIL);
    SAYS("nearest one-sided");
}
END_TEST

SUITE("kinks", NULL, NULL, close_to_a_kink_steps_shrink,
      closer_than_the_smallest_step_is_inconclusive, on_a_kink_a_subgradient_is_accepted,
      equal_maxima_are_a_kink, a_tie_that_persists_is_no_kink,
      on_many_kinks_the_point_beside_decides,
      kinks_without_signature_are_seen_by_second_differences)
