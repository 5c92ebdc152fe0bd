/* test_grad.c - gr_grad, gr_vjp, gr_jvp: several outputs and inputs, seeds, what cannot be used. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <math.h>
#include <string.h>

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part,
                  error ? error : "none");
    gr_graph_reset(g);
}

static gr_tensor *vector(double a, double b)
{
    return gr_from_data(g, GR_F64, GR_SHAPE(2), (const double[]){a, b});
}

static void assert_vector(gr_tensor *t, double a, double b, const char *what)
{
    const double *v = gr_data(t);
    ck_assert_msg(v != NULL, "%s: %s", what, gr_graph_error(g));
    ck_assert_msg(fabs(v[0] - a) < 1e-14 && fabs(v[1] - b) < 1e-14,
                  "%s is %.15g, %.15g, expected %.15g, %.15g", what, v[0], v[1], a, b);
}

/* --- several at once: y = (a b, a^2), with b unused by the second, c by both --- */

typedef struct example {
    gr_tensor *x[3], *y[2];
} example;

static example products(void)
{
    gr_tensor *a = vector(2, 3), *b = vector(5, 7), *c = vector(1, 1);
    return (example){{a, b, c}, {gr_mul(a, b), gr_square(a)}};
}

START_TEST(vjp_sums_over_outputs_by_their_seeds)
{
    example e = products();
    gr_tensor *dy[] = {vector(1, 10), vector(100, 1000)}, *dx[3];
    ck_assert_int_eq(gr_vjp(e.y, dy, 2, e.x, 3, dx), GR_OK);
    assert_vector(dx[0], 5 + 400, 70 + 6000, "da");
    assert_vector(dx[1], 2, 30, "db");
    assert_vector(dx[2], 0, 0, "dc");
}
END_TEST

START_TEST(jvp_gives_every_output_by_the_tangents_of_all_inputs)
{
    example e = products();
    gr_tensor *dx[] = {vector(1, 10), vector(100, 1000), vector(9, 9)}, *dy[2];
    ck_assert_int_eq(gr_jvp(e.y, 2, e.x, dx, 3, dy), GR_OK);
    assert_vector(dy[0], 5 + 200, 70 + 3000, "d(a b)");
    assert_vector(dy[1], 4, 60, "d(a^2)");
}
END_TEST

START_TEST(an_output_or_input_listed_twice_counts_twice_or_is_told_twice)
{
    example e = products();
    gr_tensor *y[] = {e.y[1], e.y[1]}, *one = vector(1, 1), *dy[] = {one, one}, *dx[2];
    gr_tensor *x[] = {e.x[0], e.x[0]};
    ck_assert_int_eq(gr_vjp(y, dy, 2, x, 2, dx), GR_OK);
    assert_vector(dx[0], 8, 12, "da");
    assert_vector(dx[1], 8, 12, "da again");
}
END_TEST

START_TEST(an_output_that_is_an_input_has_the_seed_for_gradient)
{
    gr_tensor *x = vector(2, 3), *y[] = {x, gr_square(x)}, *dy[] = {vector(1, 2), vector(1, 1)}, *d;
    ck_assert_int_eq(gr_vjp(y, dy, 2, &x, 1, &d), GR_OK);
    assert_vector(d, 1 + 4, 2 + 6, "dx");
}
END_TEST

START_TEST(forward_mode_of_forward_mode_is_the_second_derivative)
{
    gr_tensor *x = vector(0.5, -1), *one = vector(1, 1), *y = gr_sin(x), *d1, *d2;
    gr_jvp(&y, 1, &x, &one, 1, &d1);
    gr_jvp(&d1, 1, &x, &one, 1, &d2);
    assert_vector(d2, -sin(0.5), -sin(-1), "d2 sin");
}
END_TEST

START_TEST(both_modes_may_be_mixed_in_any_order)
{
    gr_tensor *x = vector(0.5, -1), *one = vector(1, 1), *y = gr_exp(gr_square(x)), *a, *b, *d;
    gr_grad(y, &x, 1, &d);
    gr_jvp(&d, 1, &x, &one, 1, &a);
    gr_jvp(&y, 1, &x, &one, 1, &d);
    gr_grad(d, &x, 1, &b);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq_tol(((const double *)gr_data(a))[i], ((const double *)gr_data(b))[i],
                                1e-14);
}
END_TEST

/* --- training steps --- */

enum { BATCH = 12, WIDTH = 4, PARTS = 3 };

static gr_param *parameter(const char *name, gr_shape shape, double phase)
{
    double w[WIDTH * WIDTH];
    for (int64_t i = 0; i < gr_shape_numel(&shape); i++) w[i] = sin(phase + 1.7 * (double)i);
    return gr_param_new(name, GR_F64, shape, w);
}

/* The mean over rows from first to last of the batch, which has BATCH of them. */
static gr_status backward_rows(gr_param *w, gr_param *v, int first, int n)
{
    double x[BATCH * WIDTH];
    for (int i = 0; i < BATCH * WIDTH; i++) x[i] = cos(0.3 * i);
    gr_tensor *in = gr_from_data(g, GR_F64, GR_SHAPE(n, WIDTH), x + first * WIDTH);
    gr_tensor *y = gr_linear(gr_tanh(gr_linear(in, gr_use(g, w), NULL)), gr_use(g, v), NULL);
    gr_status status = gr_backward(gr_scale(gr_sum_all(gr_square(y)), 1.0 / BATCH));
    gr_graph_reset(g);
    return status;
}

START_TEST(gradients_of_micro_batches_add_up_to_that_of_the_batch)
{
    gr_param *w = parameter("w", GR_SHAPE(WIDTH, WIDTH), 0),
             *v = parameter("v", GR_SHAPE(1, WIDTH), 1);
    double want[WIDTH * WIDTH];
    ck_assert_int_eq(backward_rows(w, v, 0, BATCH), GR_OK);
    memcpy(want, gr_param_grad(w), sizeof want);
    gr_param_clear_grad(w);
    gr_param_clear_grad(v);
    for (int part = 0; part < PARTS; part++)
        ck_assert_int_eq(backward_rows(w, v, part * BATCH / PARTS, BATCH / PARTS), GR_OK);
    const double *got = gr_param_grad(w);
    for (int i = 0; i < WIDTH * WIDTH; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-14);
    gr_param_release(w);
    gr_param_release(v);
}
END_TEST

START_TEST(a_parameter_frozen_for_some_steps_leaves_the_others_alone)
{
    gr_param *w = parameter("w", GR_SHAPE(WIDTH, WIDTH), 0),
             *v = parameter("v", GR_SHAPE(1, WIDTH), 1);
    double want[WIDTH];
    ck_assert_int_eq(backward_rows(w, v, 0, BATCH), GR_OK);
    memcpy(want, gr_param_grad(v), sizeof want);
    gr_param_clear_grad(w);
    gr_param_clear_grad(v);
    gr_param_freeze(w, true);
    ck_assert_int_eq(backward_rows(w, v, 0, BATCH), GR_OK);
    ck_assert_ptr_null(gr_param_grad(w));
    ck_assert_mem_eq(gr_param_grad(v), want, sizeof want);
    gr_param_freeze(w, false);
    ck_assert_int_eq(backward_rows(w, v, 0, BATCH), GR_OK);
    ck_assert_ptr_nonnull(gr_param_grad(w));
    gr_param_release(w);
    gr_param_release(v);
}
END_TEST

/* --- what cannot be used --- */

/* Both calls with y, its cotangent, x and its tangent as given, the last of several. */
static void expect_errors(gr_tensor *y, gr_tensor *dy, gr_tensor *x, gr_tensor *dx,
                          const char *vjp_error, const char *jvp_error)
{
    gr_tensor *fine = vector(1, 2), *twice = gr_scale(fine, 2);
    gr_tensor *ys[] = {twice, y ? y : twice}, *dys[] = {fine, dy ? dy : fine};
    gr_tensor *xs[] = {fine, x ? x : fine}, *dxs[] = {fine, dx ? dx : fine};
    gr_tensor *out[2] = {NULL, NULL};
    gr_status status = vjp_error ? gr_vjp(ys, dys, 2, xs, 2, out) : gr_jvp(ys, 2, xs, dxs, 2, out);
    ck_assert_int_ne(status, GR_OK);
    ck_assert_ptr_nonnull(out[0]); /* inert: usable in further calls */
    ck_assert_ptr_nonnull(gr_tanh(out[1]));
    assert_error(vjp_error ? vjp_error : jvp_error);
}

START_TEST(seeds_and_tangents_that_do_not_fit_are_named)
{
    expect_errors(NULL, gr_ones(g, GR_F64, GR_SHAPE(3)), NULL, NULL,
                  "gr_vjp: output 1 is float64 [2], its cotangent float64 [3]", NULL);
    expect_errors(NULL, gr_ones(g, GR_F32, GR_SHAPE(2)), NULL, NULL,
                  "gr_vjp: output 1 is float64 [2], its cotangent float32 [2]", NULL);
    expect_errors(NULL, NULL, NULL, gr_ones(g, GR_F64, GR_SHAPE(3)), NULL,
                  "gr_jvp: input 1 is float64 [2], its tangent float64 [3]");
    expect_errors(NULL, NULL, NULL, gr_ones(g, GR_I64, GR_SHAPE(2)), NULL,
                  "gr_jvp: tangent 1 is int64; only float32 and float64 have derivatives");
}
END_TEST

START_TEST(tensors_of_another_graph_are_named)
{
    gr_graph *other = gr_graph_new();
    gr_tensor *foreign = gr_ones(other, GR_F64, GR_SHAPE(2));
    expect_errors(foreign, NULL, NULL, NULL, "gr_vjp: output 1 is a tensor of another graph", NULL);
    expect_errors(NULL, foreign, NULL, NULL, "gr_vjp: cotangent 1 is a tensor of another", NULL);
    expect_errors(NULL, NULL, foreign, NULL, "gr_vjp: input 1 is a tensor of another graph", NULL);
    expect_errors(foreign, NULL, NULL, NULL, NULL, "gr_jvp: output 1 is a tensor of another graph");
    expect_errors(NULL, NULL, NULL, foreign, NULL, "gr_jvp: tangent 1 is a tensor of another");
    gr_graph_free(other);
}
END_TEST

START_TEST(stale_and_inert_tensors_are_named)
{
    gr_tensor *stale = NULL, *inert = gr_tanh(NULL);
    for (int i = 0; i < 20; i++) stale = vector(1, 2);
    gr_graph_reset(g);
    expect_errors(NULL, NULL, stale, NULL, "gr_vjp: input 1 is stale: its graph was reset", NULL);
    expect_errors(stale, NULL, NULL, NULL, NULL, "gr_jvp: output 1 is stale: its graph was reset");
    expect_errors(NULL, inert, NULL, NULL, "gr_vjp: cotangent 1 is inert: an earlier call", NULL);
}
END_TEST

START_TEST(null_tensors_and_whole_numbers_are_errors)
{
    gr_tensor *x = vector(1, 2), *nothing = NULL, *d = NULL;
    gr_grad(gr_square(x), &nothing, 1, &d);
    ck_assert_ptr_nonnull(d);
    assert_error("gr_grad: input 0 is NULL");
    x = vector(1, 2);
    gr_grad(gr_argmax(x, 0), &x, 1, &d);
    assert_error("gr_grad: output 0 is int64; only float32 and float64 have derivatives");
    d = NULL;
    ck_assert_int_ne(gr_grad(NULL, &x, 1, &d), GR_OK);
    ck_assert_ptr_nonnull(d);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_grad: no output to differentiate"));
    ck_assert_int_ne(gr_vjp(NULL, NULL, 0, &x, 1, &d), GR_OK);
    ck_assert_ptr_null(gr_graph_error(g));
}
END_TEST

static gr_tensor *foreign_tensor;

static void foreign_vjp(gr_pullback *p)
{
    p->dx[0] = foreign_tensor;
}

static void copy_tile(const gr_tile *t)
{
    memcpy(t->y, t->x[0], (size_t)t->n * sizeof(double));
}

START_TEST(a_rule_that_gives_a_tensor_of_elsewhere_is_named)
{
    const gr_op op = {.name = "alien",
                      .n_in = 1,
                      .tile = {[GR_F64] = copy_tile},
                      .vjp = foreign_vjp};
    gr_graph *other = gr_graph_new();
    gr_tensor *given[] = {gr_ones(other, GR_F64, GR_SHAPE(2)), gr_tanh(NULL)};
    for (int i = 0; i < 2; i++) {
        gr_tensor *x = vector(1, 2), *d;
        foreign_tensor = given[i];
        gr_grad(gr_apply(NULL, &op, &x, 1, NULL), &x, 1, &d);
        assert_error("alien: its VJP gave a cotangent for input 0 that is no tensor of this graph");
    }
    gr_graph_free(other);
}
END_TEST

SUITE("grad", setup, teardown, vjp_sums_over_outputs_by_their_seeds,
      jvp_gives_every_output_by_the_tangents_of_all_inputs,
      an_output_or_input_listed_twice_counts_twice_or_is_told_twice,
      an_output_that_is_an_input_has_the_seed_for_gradient,
      forward_mode_of_forward_mode_is_the_second_derivative, both_modes_may_be_mixed_in_any_order,
      gradients_of_micro_batches_add_up_to_that_of_the_batch,
      a_parameter_frozen_for_some_steps_leaves_the_others_alone,
      seeds_and_tangents_that_do_not_fit_are_named, tensors_of_another_graph_are_named,
      stale_and_inert_tensors_are_named, null_tensors_and_whole_numbers_are_errors,
      a_rule_that_gives_a_tensor_of_elsewhere_is_named)
