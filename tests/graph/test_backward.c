/* test_backward.c - gradients as more graph. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static gr_tensor *scalar(double x)
{
    return gr_from_data(g, GR_F64, GR_SCALAR, &x);
}

static void assert_no_error(void)
{
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part, error);
}

START_TEST(backward_adds_both_uses_of_a_tensor)
{
    gr_tensor *x = scalar(3), *dx;
    gr_grad(gr_add(gr_mul(x, x), x), &x, 1, &dx);
    ck_assert_double_eq(gr_item(dx), 7);
}
END_TEST

START_TEST(gradients_can_be_differentiated_again_and_again)
{
    double x0 = 0.7, t = tanh(x0);
    gr_tensor *x = scalar(x0), *d1, *d2, *d3;
    gr_grad(gr_tanh(x), &x, 1, &d1);
    gr_grad(d1, &x, 1, &d2);
    gr_grad(d2, &x, 1, &d3);
    assert_no_error();
    ck_assert_double_eq_tol(gr_item(d1), 1 - t * t, 1e-15);
    ck_assert_double_eq_tol(gr_item(d2), -2 * t * (1 - t * t), 1e-15);
    ck_assert_double_eq_tol(gr_item(d3), (6 * t * t - 2) * (1 - t * t), 1e-14);
}
END_TEST

START_TEST(an_unused_input_has_zero_gradient)
{
    gr_tensor *x = scalar(2), *other = gr_ones(g, GR_F64, GR_SHAPE(2, 3)), *in[2] = {x, other},
              *d[2];
    ck_assert_int_eq(gr_grad(gr_square(x), in, 2, d), GR_OK);
    ck_assert_double_eq(gr_item(d[0]), 4);
    const double *zero = gr_data(d[1]);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(zero[i], 0);
}
END_TEST

START_TEST(gradient_of_an_intermediate_tensor)
{
    gr_tensor *x = scalar(2), *h = gr_square(x), *in[2] = {h, x}, *d[2];
    gr_grad(gr_mul(h, h), in, 2, d);
    ck_assert_double_eq(gr_item(d[0]), 8);
    ck_assert_double_eq(gr_item(d[1]), 32);
}
END_TEST

START_TEST(a_gradient_by_what_blocks_goes_no_further)
{
    gr_tensor *x = scalar(3), *in[2] = {x, gr_detach(x)}, *d[2];
    gr_grad(gr_mul(gr_square(in[1]), x), in, 2, d);
    assert_no_error();
    ck_assert_double_eq(gr_item(d[0]), 9);
    ck_assert_double_eq(gr_item(d[1]), 18);
    gr_no_grad_begin(g);
    in[1] = gr_square(x);
    gr_no_grad_end(g);
    gr_grad(gr_mul(in[1], x), in, 2, d);
    assert_no_error();
    ck_assert_double_eq(gr_item(d[0]), 9); /* and not 27 */
    ck_assert_double_eq(gr_item(d[1]), 3);
}
END_TEST

START_TEST(vjp_takes_several_outputs_and_their_cotangents)
{
    gr_tensor *x = scalar(2), *y[2] = {gr_square(x), gr_exp(x)}, *dy[2] = {scalar(10), scalar(1)},
              *dx;
    ck_assert_int_eq(gr_vjp(y, dy, 2, &x, 1, &dx), GR_OK);
    ck_assert_double_eq_tol(gr_item(dx), 40 + exp(2), 1e-12);
}
END_TEST

START_TEST(jvp_is_the_derivative_along_a_direction)
{
    double x0[3] = {0.3, -0.8, 1.1}, u0[3] = {1, -2, 0.5};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(3), x0),
              *u = gr_from_data(g, GR_F64, GR_SHAPE(3), u0);
    gr_tensor *y[2] = {gr_mul(gr_tanh(x), gr_sum_all(x)), gr_sum_all(gr_square(x))}, *dy[2];
    ck_assert_int_eq(gr_jvp(y, 2, &x, &u, 1, dy), GR_OK);
    double sum = 0.6, along = -0.5, squares = 0;
    const double *d = gr_data(dy[0]);
    for (int i = 0; i < 3; i++) {
        double t = tanh(x0[i]);
        ck_assert_double_eq_tol(d[i], (1 - t * t) * u0[i] * sum + t * along, 1e-14);
        squares += 2 * x0[i] * u0[i];
    }
    ck_assert_double_eq_tol(gr_item(dy[1]), squares, 1e-14);
}
END_TEST

START_TEST(a_broadcast_operand_gets_the_sum)
{
    gr_tensor *row = gr_ones(g, GR_F64, GR_SHAPE(4)), *m = gr_full(g, GR_F64, GR_SHAPE(3, 4), 2),
              *d;
    gr_grad(gr_mul(m, row), &row, 1, &d);
    ck_assert_int_eq(gr_shape_of(d)->rank, 1);
    for (int i = 0; i < 4; i++) ck_assert_double_eq(((const double *)gr_data(d))[i], 6);
}
END_TEST

START_TEST(detach_and_no_grad_stop_the_gradient)
{
    gr_tensor *x = scalar(3), *d;
    gr_grad(gr_mul(gr_detach(x), x), &x, 1, &d);
    ck_assert_double_eq(gr_item(d), 3);
    gr_no_grad_begin(g);
    gr_tensor *c = gr_square(x);
    gr_no_grad_end(g);
    gr_grad(gr_mul(c, x), &x, 1, &d);
    ck_assert_double_eq(gr_item(d), 9);
    gr_no_grad_end(g);
    assert_error("gr_no_grad_end: no scope is open");
}
END_TEST

START_TEST(backward_accumulates_until_cleared)
{
    double w0[2] = {1, 2};
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(2), w0);
    ck_assert_ptr_null(gr_param_grad(w));
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(gr_backward(gr_sum_all(gr_square(gr_use(g, w)))), GR_OK);
        const double *dw = gr_param_grad(w);
        ck_assert_double_eq(dw[0], 2 * i);
        ck_assert_double_eq(dw[1], 4 * i);
        gr_graph_reset(g);
    }
    gr_param_clear_grad(w);
    gr_backward(gr_sum_all(gr_square(gr_use(g, w))));
    ck_assert_double_eq(((const double *)gr_param_grad(w))[1], 4);
    gr_param_release(w);
}
END_TEST

/* Large ones take the path where the first contribution is computed into the gradient itself. */
START_TEST(large_gradients_accumulate_too)
{
    enum { N = 60 };
    static double one[N * N], two[N * N];
    for (int i = 0; i < N * N; i++) one[i] = sin(i), two[i] = cos(i);
    gr_param *a = gr_param_new("a", GR_F64, GR_SHAPE(N, N), one);
    gr_param *b = gr_param_new("b", GR_F64, GR_SHAPE(N, N), two);
    for (int round = 1; round <= 2; round++) {
        gr_tensor *sum = gr_add(gr_use(g, a), gr_use(g, b)); /* both get the very same cotangent */
        ck_assert_int_eq(gr_backward(gr_sum_all(gr_square(sum))), GR_OK);
        const double *da = gr_param_grad(a), *db = gr_param_grad(b);
        for (int i = 0; i < N * N; i++) {
            ck_assert_double_eq_tol(da[i], round * 2 * (one[i] + two[i]), 1e-12);
            ck_assert_double_eq(da[i], db[i]);
        }
        gr_graph_reset(g);
    }
    gr_param_release(a);
    gr_param_release(b);
}
END_TEST

START_TEST(a_frozen_parameter_gets_no_gradient)
{
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(2), NULL);
    gr_param *v = gr_param_new("v", GR_F64, GR_SHAPE(2), NULL);
    gr_param_freeze(w, true);
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_add(gr_use(g, w), gr_use(g, v)))), GR_OK);
    ck_assert_ptr_null(gr_param_grad(w));
    ck_assert_ptr_nonnull(gr_param_grad(v));
    gr_graph_reset(g);
    ck_assert_int_ne(gr_backward(gr_sum_all(gr_use(g, w))), GR_OK);
    assert_error("does not depend on any trainable parameter");
    gr_graph_reset(g);
    gr_param_release(w);
    gr_param_release(v);
}
END_TEST

START_TEST(a_bound_tensor_stands_for_its_parameter)
{
    float w0 = 3;
    gr_param *w = gr_param_new("w", GR_F32, GR_SCALAR, &w0);
    gr_tensor *wide = gr_bind(g, w, scalar(5)), *d;
    gr_grad(gr_square(gr_use(g, w)), &wide, 1, &d);
    assert_no_error();
    ck_assert_double_eq(gr_item(d), 10);
    gr_graph_reset(g);
    ck_assert_double_eq(gr_item(gr_use(g, w)), 3);
    gr_bind(g, w, gr_ones(g, GR_F64, GR_SHAPE(2)));
    assert_error("gr_bind: parameter 'w' is [], the tensor [2]");
    gr_param_release(w);
}
END_TEST

START_TEST(backward_computes_what_nothing_consumes)
{
    enum { N = 2000 };
    static double w0[N];
    for (int i = 0; i < N; i++) w0[i] = i;
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(N), w0);
    gr_tensor *u = gr_use(g, w), *accuracy = gr_mean_all(gr_scale(u, 3));
    gr_backward(gr_sum_all(gr_square(u)));
    ((double *)gr_param_write(w))[0] = 1e9; /* an optimizer's step */
    ck_assert_double_eq_tol(gr_item(accuracy), 3 * (N - 1) / 2.0, 1e-9);
    assert_no_error();
    gr_param_release(w);
}
END_TEST

START_TEST(assigned_state_is_written_last_and_once)
{
    double w0 = 2;
    gr_param *w = gr_param_new("w", GR_F64, GR_SCALAR, &w0),
             *mean = gr_param_new("m", GR_F64, GR_SCALAR, &w0);
    gr_tensor *u = gr_use(g, w);
    gr_assign(mean, gr_add(gr_use(g, mean), u));
    ck_assert_double_eq(*(const double *)gr_param_data(mean), 2);
    ck_assert_int_eq(gr_backward(gr_mul(u, gr_use(g, mean))), GR_OK);
    ck_assert_double_eq(*(const double *)gr_param_data(mean), 4);
    ck_assert_double_eq(*(const double *)gr_param_grad(w), 2);
    ck_assert_int_eq(gr_commit(g), GR_OK);
    ck_assert_double_eq(*(const double *)gr_param_data(mean), 4);
    gr_assign(mean, gr_ones(g, GR_F64, GR_SHAPE(2)));
    assert_error("gr_assign: parameter 'm' is float64 [], the value float64 [2]");
    gr_graph_reset(g);
    gr_param_release(w);
    gr_param_release(mean);
}
END_TEST

START_TEST(losses_that_cannot_be_differentiated_are_errors)
{
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(3), NULL);
    gr_backward(gr_use(g, w));
    assert_error("gr_backward: expected a loss of one element, got [3]");
    gr_graph_reset(g);
    gr_backward(gr_sum_all(gr_argmax(gr_use(g, w), 0)));
    assert_error("only float32 and float64 have derivatives");
    gr_graph_reset(g);
    gr_param_release(w);
}
END_TEST

/* An op with a backward in C: first derivatives, and a clear word on second ones. */
static void cube_tile(const gr_tile *t)
{
    const double *x = t->x[0];
    for (int64_t i = 0; i < t->n; i++) ((double *)t->y)[i] = x[i] * x[i] * x[i];
}

static gr_status cube_backward(gr_exec *e)
{
    const double *x = e->in[0].data, *dy = e->in[2].data;
    double *dx = e->out[0].data;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        dx[i] = 3 * x[i] * x[i] * dy[i];
    return GR_OK;
}

static const gr_op cube = {.name = "cube",
                           .n_in = 1,
                           .tile = {[GR_F64] = cube_tile},
                           .backward = {[GR_F64] = cube_backward}};

START_TEST(a_backward_in_c_serves_both_dtypes_and_refuses_a_second_derivative)
{
    float two = 2;
    gr_tensor *x = scalar(2), *d, *d2, *x32 = gr_from_data(g, GR_F32, GR_SCALAR, &two), *d32;
    gr_grad(gr_apply(NULL, &cube, &x, 1, NULL), &x, 1, &d);
    gr_grad(gr_apply(NULL, &cube, &x32, 1, NULL), &x32, 1, &d32);
    ck_assert_double_eq(gr_item(d), 12);
    ck_assert_double_eq(gr_item(d32), 12);
    ck_assert_int_ne(gr_grad(d, &x, 1, &d2), GR_OK);
    assert_error("cube: its backward is a C function, which cannot be differentiated again");
}
END_TEST

START_TEST(an_op_without_backward_says_so)
{
    const gr_op forward_only = {.name = "peek", .n_in = 1, .tile = {[GR_F64] = cube_tile}};
    gr_tensor *x = scalar(2), *d;
    gr_grad(gr_apply(NULL, &forward_only, &x, 1, NULL), &x, 1, &d);
    assert_error("peek: the op has no backward rule");
}
END_TEST

static void wrong_vjp(gr_pullback *p)
{
    p->dx[0] = gr_ones(p->graph, GR_F64, GR_SHAPE(7));
}

START_TEST(a_vjp_of_the_wrong_shape_is_named)
{
    const gr_op wrong = {.name = "wrong",
                         .n_in = 1,
                         .tile = {[GR_F64] = cube_tile},
                         .vjp = wrong_vjp};
    gr_tensor *x = scalar(2), *d;
    gr_grad(gr_apply(NULL, &wrong, &x, 1, NULL), &x, 1, &d);
    assert_error("wrong: its VJP gave a cotangent of float64 [7] for input 0, which is float64 []");
}
END_TEST

START_TEST(slices_of_one_tensor_share_one_cotangent)
{
    enum { T = 50, D = 40 };
    static double data[T * D];
    for (int i = 0; i < T * D; i++) data[i] = i * 0.01;
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(T, D), data), *sum = gr_scalar(g, GR_F64, 0),
              *d;
    for (int t = 0; t < T; t++)
        sum = gr_add(sum, gr_sum_all(gr_scale(gr_square(gr_slice(x, 0, t, t + 1, 1)), t)));
    gr_grad(sum, &x, 1, &d);
    const double *p = gr_data(d);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++)
            ck_assert_double_eq_tol(p[t * D + i], 2 * t * data[t * D + i], 1e-12);
}
END_TEST

/* --- size --- */

static void *million(void *failed)
{
    double x0 = 0.5, one = 1;
    gr_graph *own = gr_graph_new();
    gr_param *x = gr_param_new("x", GR_F64, GR_SCALAR, &x0);
    gr_tensor *y = gr_mul(gr_use(own, x), gr_from_data(own, GR_F64, GR_SCALAR, &one));
    for (int i = 0; i < 1000000; i++) y = gr_shift(y, 1e-6);
    gr_status status = gr_backward(y);
    const double *dx = gr_param_grad(x);
    *(bool *)failed = status != GR_OK || !dx || *dx != 1 || fabs(gr_item(y) - 1.5) > 1e-6;
    gr_graph_free(own);
    gr_param_release(x);
    return NULL;
}

START_TEST(a_chain_of_a_million_ops_runs_backward_on_a_small_stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool failed = true;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, million, &failed), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    ck_assert(!failed);
}
END_TEST

SUITE("backward", setup, teardown, backward_adds_both_uses_of_a_tensor,
      gradients_can_be_differentiated_again_and_again, an_unused_input_has_zero_gradient,
      gradient_of_an_intermediate_tensor, a_gradient_by_what_blocks_goes_no_further,
      vjp_takes_several_outputs_and_their_cotangents, jvp_is_the_derivative_along_a_direction,
      a_broadcast_operand_gets_the_sum, detach_and_no_grad_stop_the_gradient,
      backward_accumulates_until_cleared, large_gradients_accumulate_too,
      a_frozen_parameter_gets_no_gradient, a_bound_tensor_stands_for_its_parameter,
      backward_computes_what_nothing_consumes, assigned_state_is_written_last_and_once,
      losses_that_cannot_be_differentiated_are_errors,
      a_backward_in_c_serves_both_dtypes_and_refuses_a_second_derivative,
      an_op_without_backward_says_so, a_vjp_of_the_wrong_shape_is_named,
      slices_of_one_tensor_share_one_cotangent,
      a_chain_of_a_million_ops_runs_backward_on_a_small_stack)
