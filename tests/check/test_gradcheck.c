/* test_gradcheck.c - verdicts over functions: right, wrong and broken. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"
#include "verdict.h"

/* --- right --- */

static gr_tensor *network(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    gr_tensor *(*activation)(gr_tensor *) = *(gr_tensor * (**)(gr_tensor *)) user;
    (void)g;
    (void)n;
    return gr_matmul(activation(gr_add(gr_matmul(x[0], x[1]), x[2])), x[3]);
}

/* [16, 8] -> 64 hidden units: 1024 kinks if the activation has one. */
static void check_networks(gr_tensor *(*activation)(gr_tensor *), int order, int seeds)
{
    for (uint64_t seed = 0; seed < (uint64_t)seeds; seed++) {
        const gr_check_input in[] = {drawn(0, GR_SHAPE(16, 8), seed),
                                     drawn(1, GR_SHAPE(8, 64), seed), drawn(2, GR_SHAPE(64), seed),
                                     drawn(3, GR_SHAPE(64, 3), seed)};
        EXPECT(check(network, &activation, in, 4, (gr_check_options){.seed = seed, .order = order}),
               GR_PASS);
    }
}

START_TEST(smooth_networks_pass)
{
    check_networks(gr_tanh, 2, 20);
    check_networks(gr_gelu, 2, 5);
    ck_assert_double_lt(report.worst, 1e-10);
}
END_TEST

START_TEST(networks_with_a_thousand_kinks_pass)
{
    check_networks(gr_relu, 1, 100);
    check_networks(gr_abs, 1, 20);
    check_networks(gr_relu, 2, 10);
}
END_TEST

static gr_tensor *dropped(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_dropout(gr_mul(gr_dropout(x[0], 0.3), x[0]), 0.5);
}

START_TEST(dropout_replays_its_mask)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        gr_check_input in = drawn(0, GR_SHAPE(50), seed);
        EXPECT(check(dropped, NULL, &in, 1, (gr_check_options){.seed = seed, .order = 2}), GR_PASS);
    }
}
END_TEST

static gr_tensor *total_probability(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_sum_all(gr_softmax(x[0], -1));
}

START_TEST(a_vanishing_gradient_passes_as_zero)
{
    gr_check_input in = drawn(0, GR_SHAPE(4, 5), 1);
    EXPECT(check(total_probability, NULL, &in, 1, (gr_check_options){.order = 2}), GR_PASS);
    SAYS("zero");
}
END_TEST

static gr_tensor *loss_of(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_cross_entropy(gr_scale(x[0], 3), x[1]);
}

START_TEST(integers_are_constants_and_float32_becomes_float64)
{
    const float logits[6] = {0.1f, -0.4f, 0.3f, 0.9f, -0.8f, 0.2f};
    const int64_t target[2] = {2, 0};
    const gr_check_input in[] = {{"logits", GR_F32, GR_SHAPE(2, 3), logits},
                                 {"target", GR_I64, GR_SHAPE(2), target}};
    EXPECT(check(loss_of, NULL, in, 2, (gr_check_options){.order = 2}), GR_PASS);
    ck_assert_int_eq(report.order, 2);
    ck_assert_int_gt(report.evaluations, 100);
    ck_assert_int_eq(gr_gradcheck(loss_of, NULL, in, 2, (gr_check_options){0}, NULL), GR_PASS);
}
END_TEST

/* --- wrong --- */

static gr_tensor *wrong_bias(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    gr_tensor *half_seen = gr_add(gr_scale(x[1], 0.5), gr_scale(gr_detach(x[1]), 0.5));
    return gr_tanh(gr_add(gr_square(x[0]), half_seen));
}

START_TEST(the_input_with_the_wrong_gradient_is_named)
{
    gr_check_input in[] = {drawn(0, GR_SHAPE(3, 4), 3), drawn(1, GR_SHAPE(4), 3)};
    in[0].name = "weight";
    in[1].name = "bias";
    EXPECT(check(wrong_bias, NULL, in, 2, (gr_check_options){0}), GR_FAIL);
    ck_assert_str_eq(report.stage, "S1");
    ck_assert_str_eq(report.input, "bias");
    SAYS("bias: ");
    SAYS("0.5 times");
    ck_assert_double_eq_tol(report.analytic / report.numeric, 0.5, 1e-6);
    EXPECT(check(wrong_bias, NULL, in, 2, (gr_check_options){.separate = true}), GR_FAIL);
    ck_assert_str_eq(report.input, "bias");
}
END_TEST

static gr_tensor *forgets_second_order(gr_graph *g, gr_tensor *const *x, int n, void *user);

static void first_order_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_scale(gr_detach(p->x[0]), 2));
}

static void square_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] * x[i];
}

static const gr_op first_order_op = {.name = "first_order",
                                     .n_in = 1,
                                     .tile = {[GR_F64] = square_f64},
                                     .vjp = first_order_vjp};

static gr_tensor *forgets_second_order(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)user;
    return gr_apply(g, &first_order_op, x, n, NULL);
}

START_TEST(an_error_in_the_second_derivative_alone_fails_at_order_2)
{
    gr_check_input in = drawn(0, GR_SHAPE(3, 4), 5);
    EXPECT(check(forgets_second_order, NULL, &in, 1, (gr_check_options){.order = 1}), GR_PASS);
    EXPECT(check(forgets_second_order, NULL, &in, 1, (gr_check_options){.order = 2}), GR_FAIL);
    ck_assert_str_eq(report.stage, "S3");
}
END_TEST

/* --- broken --- */

static gr_tensor *log_of(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_log(x[0]);
}

START_TEST(a_value_that_is_not_finite_fails)
{
    EXPECT(check_one(log_of, valued(0, 3, (double[]){1, -1, 2})), GR_FAIL);
    SAYS("not finite at x: element 1");
    EXPECT(check_one(log_of, valued(0, 3, (double[]){1, 3, 2})), GR_PASS);
}
END_TEST

static gr_tensor *root_of(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_sqrt(x[0]);
}

START_TEST(a_gradient_that_is_not_finite_fails)
{
    EXPECT(check_one(root_of, valued(0, 2, (double[]){1, 0})), GR_FAIL);
    SAYS("gradient of x is not finite: element 1");
}
END_TEST

START_TEST(steps_shrink_where_values_are_not_finite)
{
    EXPECT(check_one(log_of, valued(0, 2, (double[]){1, 1e-3})), GR_PASS);
    ck_assert_double_lt(report.h, 1e-3);
}
END_TEST

static gr_tensor *moody(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    static int calls;
    (void)g;
    (void)n;
    (void)user;
    return gr_scale(x[0], 1 + 1e-15 * calls++);
}

START_TEST(a_function_that_is_not_deterministic_fails)
{
    EXPECT(check_one(moody, drawn(0, GR_SHAPE(4), 1)), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0a");
    SAYS("not deterministic");
}
END_TEST

static gr_tensor *growing(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    static int calls;
    (void)g;
    (void)n;
    (void)user;
    return gr_slice(x[0], 0, 0, 1 + calls++, 1);
}

START_TEST(a_result_of_changing_size_fails)
{
    EXPECT(check_one(growing, drawn(0, GR_SHAPE(40), 1)), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0a");
}
END_TEST

static gr_tensor *mismatched(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)n;
    (void)user;
    return gr_matmul(x[0], gr_ones(g, GR_F64, GR_SHAPE(7, 7)));
}

static gr_tensor *index_of(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)n;
    (void)user;
    return gr_argmax(x[0], -1);
}

static gr_tensor *nothing(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)x;
    (void)n;
    (void)user;
    return NULL;
}

static gr_tensor *foreign(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g;
    (void)x;
    (void)n;
    return gr_scalar(user, GR_F64, 1);
}

START_TEST(errors_of_the_function_are_reported)
{
    gr_check_input in = drawn(0, GR_SHAPE(3, 4), 1);
    gr_graph *other = gr_graph_new();
    EXPECT(check_one(mismatched, in), GR_FAIL);
    SAYS("matmul: ");
    EXPECT(check_one(index_of, in), GR_FAIL);
    SAYS("int64");
    EXPECT(check_one(nothing, in), GR_FAIL);
    SAYS("NULL");
    EXPECT(check(foreign, other, &in, 1, (gr_check_options){0}), GR_FAIL);
    SAYS("not of its graph");
    gr_graph_free(other);
}
END_TEST

START_TEST(unusable_inputs_are_reported)
{
    const int64_t numbers[3] = {1, 2, 3};
    EXPECT(check_one(log_of, (gr_check_input){"x", GR_I64, GR_SHAPE(3), numbers}), GR_FAIL);
    SAYS("no floating input");
    EXPECT(check_one(log_of, (gr_check_input){"x", GR_F64, GR_SHAPE(3), NULL}), GR_FAIL);
    SAYS("data is NULL");
    EXPECT(check_one(log_of, (gr_check_input){"x", GR_F64, {1, {-3}}, numbers}), GR_FAIL);
    SAYS("[-3] of float64 is not a usable shape");
    EXPECT(check(log_of, NULL, NULL, 0, (gr_check_options){0}), GR_FAIL);
}
END_TEST

START_TEST(an_input_without_elements_passes)
{
    EXPECT(check_one(log_of, (gr_check_input){"x", GR_F64, GR_SHAPE(0, 3), NULL}), GR_PASS);
}
END_TEST

/* --- memory --- */

START_TEST(a_failed_allocation_is_a_failure_that_says_so)
{
    gr_check_input in[] = {drawn(0, GR_SHAPE(3, 4), 3), drawn(1, GR_SHAPE(4), 3)};
    inject_begin();
    int64_t n = 0;
    for (bool happened = true; happened; n++) {
        inject_allocation(n);
        gr_verdict v = check(wrong_bias, NULL, in, 2, (gr_check_options){.rounds = 1, .order = 2});
        happened = inject_happened();
        inject_none();
        EXPECT(v, GR_FAIL);
        if (happened) SAYS("memory");
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    ck_assert_int_gt(n, 3);
}
END_TEST

START_TEST(verdicts_have_names)
{
    ck_assert_str_eq(gr_verdict_name(GR_PASS), "PASS");
    ck_assert_str_eq(gr_verdict_name(GR_FAIL), "FAIL");
    ck_assert_str_eq(gr_verdict_name(GR_INCONCLUSIVE), "INCONCLUSIVE");
}
END_TEST

SUITE("gradcheck", NULL, NULL, smooth_networks_pass, networks_with_a_thousand_kinks_pass,
      dropout_replays_its_mask, a_vanishing_gradient_passes_as_zero,
      integers_are_constants_and_float32_becomes_float64,
      the_input_with_the_wrong_gradient_is_named,
      an_error_in_the_second_derivative_alone_fails_at_order_2, a_value_that_is_not_finite_fails,
      a_gradient_that_is_not_finite_fails, steps_shrink_where_values_are_not_finite,
      a_function_that_is_not_deterministic_fails, a_result_of_changing_size_fails,
      errors_of_the_function_are_reported, unusable_inputs_are_reported,
      an_input_without_elements_passes, a_failed_allocation_is_a_failure_that_says_so,
      verdicts_have_names)
