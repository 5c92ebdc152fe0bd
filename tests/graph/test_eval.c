/* test_eval.c - when values are computed, kept, let go and computed again. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { N = 100 }; /* N x N floats are above the size that is computed at once */

static gr_graph *g;
static float data[N * N];
static int calls;

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    calls = 0;
    for (int i = 0; i < N * N; i++) data[i] = (float)((i * 37) % 101) / 101.0f - 0.5f;
}

static void teardown(void)
{
    gr_graph_free(g);
}

static gr_tensor *large(void)
{
    return gr_from_data(g, GR_F32, GR_SHAPE(N, N), data);
}

static void count_op(void *user, const gr_node *node, const gr_exec *e)
{
    (void)e;
    if (strcmp(gr_node_op(node)->name, user) == 0) calls++;
}

START_TEST(large_values_wait_until_somebody_looks)
{
    gr_graph_observe(g, count_op, "exp");
    gr_tensor *y = gr_exp(large());
    ck_assert_int_eq(calls, 0);
    ck_assert_ptr_nonnull(gr_data(y));
    gr_data(y);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(small_values_are_computed_at_once)
{
    gr_graph_observe(g, count_op, "exp");
    gr_exp(gr_from_data(g, GR_F32, GR_SHAPE(4), data));
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(eager_graphs_compute_everything_at_once)
{
    gr_graph_set_eager(g, true);
    gr_graph_observe(g, count_op, "exp");
    gr_exp(large());
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(what_nobody_needs_is_not_computed)
{
    gr_graph_observe(g, count_op, "exp");
    gr_tensor *x = large();
    gr_exp(x);
    gr_data(gr_square(x));
    ck_assert_int_eq(calls, 0);
}
END_TEST

/* The same program in every mode: values and gradients must agree in each bit. */
static void run_program(bool eager, bool read_first, float *out)
{
    gr_param *w = gr_param_new("w", GR_F32, GR_SHAPE(N, N), data);
    gr_graph_set_eager(g, eager);
    gr_tensor *x = large(), *h = gr_tanh(gr_matmul(x, gr_use(g, w)));
    gr_tensor *y = gr_mul(gr_exp(h), gr_add(h, gr_sum(x, GR_AXES(0), false)));
    gr_tensor *loss = gr_mean_all(gr_mul(y, gr_transpose(y, 0, 1)));
    if (read_first) gr_item(loss);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    memcpy(out, gr_data(y), sizeof data);
    memcpy(out + N * N, gr_param_grad(w), sizeof data);
    gr_graph_reset(g);
    gr_param_release(w);
}

START_TEST(deferred_and_eager_give_the_same_bits)
{
    static float a[2 * N * N], b[2 * N * N];
    run_program(false, false, a);
    run_program(true, false, b);
    ck_assert_mem_eq(a, b, sizeof a);
    run_program(false, true, b);
    ck_assert_mem_eq(a, b, sizeof a);
}
END_TEST

START_TEST(reading_the_loss_costs_no_second_forward_of_heavy_ops)
{
    gr_param *w = gr_param_new("w", GR_F32, GR_SHAPE(N, N), data);
    gr_graph_observe(g, count_op, "matmul");
    gr_tensor *h = gr_gelu(gr_matmul(large(), gr_use(g, w)));
    gr_tensor *loss = gr_mean_all(gr_square(gr_matmul(gr_relu(h), gr_use(g, w))));
    gr_item(loss);
    ck_assert_int_eq(calls, 2);
    gr_backward(loss);
    ck_assert_int_eq(calls, 2); /* the products of backward are matmul_nt and matmul_tn */
    gr_param_release(w);
}
END_TEST

START_TEST(a_value_let_go_is_computed_again)
{
    gr_tensor *h = gr_exp(large()), *y = gr_sqrt(h);
    gr_graph_observe(g, count_op, "exp");
    gr_data(y);
    const float *again = gr_data(h);
    ck_assert_int_eq(calls, 2);
    for (int i = 0; i < N * N; i++) ck_assert_float_eq_tol(again[i], expf(data[i]), 1e-6f);
}
END_TEST

START_TEST(a_kept_value_is_not_computed_again)
{
    gr_tensor *h = gr_keep(gr_exp(large())), *y = gr_sqrt(h);
    gr_graph_observe(g, count_op, "exp");
    gr_data(y);
    gr_data(h);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(a_value_read_stays_what_it_was)
{
    gr_tensor *y = gr_exp(large());
    const float *before = gr_data(y);
    float first = before[0];
    for (int i = 0; i < 20; i++) gr_data(gr_exp(gr_scale(y, 0.1)));
    ck_assert_ptr_eq(gr_data(y), before);
    ck_assert_float_eq(before[0], first);
}
END_TEST

START_TEST(a_changed_parameter_is_an_error_that_names_gr_keep)
{
    gr_param *w = gr_param_new("fc.weight", GR_F32, GR_SHAPE(N, N), data);
    gr_tensor *y = gr_exp(gr_use(g, w));
    gr_param_write(w);
    ck_assert_ptr_null(gr_data(y));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "parameter 'fc.weight' was updated"));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "gr_keep"));
    gr_param_release(w);
}
END_TEST

START_TEST(a_changed_parameter_seen_through_a_view_is_an_error)
{
    gr_param *w = gr_param_new("w", GR_F32, GR_SHAPE(N, N), data);
    gr_tensor *y = gr_exp(gr_transpose(gr_use(g, w), 0, 1));
    gr_param_write(w);
    ck_assert_ptr_null(gr_data(y));
    gr_graph_reset(g);
    ck_assert_ptr_nonnull(gr_data(gr_exp(gr_use(g, w))));
    gr_param_release(w);
}
END_TEST

START_TEST(data_is_copied_unless_borrowed)
{
    float x[2] = {1, 2};
    gr_tensor *copy = gr_from_data(g, GR_F32, GR_SHAPE(2), x);
    gr_tensor *lent = gr_borrow(g, GR_F32, GR_SHAPE(2), x);
    x[0] = 5;
    ck_assert_float_eq(((const float *)gr_data(copy))[0], 1);
    ck_assert_float_eq(((const float *)gr_data(lent))[0], 5);
}
END_TEST

START_TEST(gr_data_of_a_view_is_row_major)
{
    gr_tensor *t = gr_transpose(large(), 0, 1);
    const float *p = gr_data(t);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) ck_assert_float_eq(p[i * N + j], data[j * N + i]);
}
END_TEST

START_TEST(float32_of_an_op_that_gives_only_float64_goes_by_conversion)
{
    gr_op op = *gr_op_find("exp");
    op.tile[GR_F32] = NULL;
    gr_tensor *x = gr_transpose(large(), 0, 1);
    const float *p = gr_data(gr_apply(NULL, &op, &x, 1, NULL));
    ck_assert_ptr_null(gr_graph_error(g));
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ck_assert_float_eq_tol(p[i * N + j], (float)exp((double)data[j * N + i]), 1e-7f);
}
END_TEST

/* Allocation fails at each place in turn: a clear error, nothing lost, nothing leaked. */
START_TEST(every_failed_allocation_is_reported_and_leaks_nothing)
{
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        inject_begin();
        inject_allocation(n);
        gr_param *w = gr_param_new("w", GR_F32, GR_SHAPE(N, N), data);
        gr_graph *own = gr_graph_new();
        gr_tensor *x = gr_from_data(own, GR_F32, GR_SHAPE(N, N), data);
        gr_tensor *y = gr_softmax(gr_matmul(gr_transpose(x, 0, 1), gr_use(own, w)), 1);
        gr_assign(w, gr_detach(y));
        gr_status status = gr_backward(gr_sum_all(gr_concat((gr_tensor *[]){y, gr_exp(y)}, 2, 0)));
        done = !inject_happened();
        ck_assert_msg(done == (status == GR_OK), "allocation %d: status %d, %s", (int)n, status,
                      gr_graph_error(own));
        if (!done) ck_assert_ptr_nonnull(gr_graph_error(own));
        inject_none();
        gr_graph_free(own);
        gr_param_release(w);
        ck_assert_int_eq(inject_live(), 0);
        inject_end();
        ck_assert_int_lt(n, 1000);
    }
}
END_TEST

SUITE("eval", setup, teardown, large_values_wait_until_somebody_looks,
      small_values_are_computed_at_once, eager_graphs_compute_everything_at_once,
      what_nobody_needs_is_not_computed, deferred_and_eager_give_the_same_bits,
      reading_the_loss_costs_no_second_forward_of_heavy_ops, a_value_let_go_is_computed_again,
      a_kept_value_is_not_computed_again, a_value_read_stays_what_it_was,
      a_changed_parameter_is_an_error_that_names_gr_keep,
      a_changed_parameter_seen_through_a_view_is_an_error, data_is_copied_unless_borrowed,
      gr_data_of_a_view_is_row_major, float32_of_an_op_that_gives_only_float64_goes_by_conversion,
      every_failed_allocation_is_reported_and_leaks_nothing)
