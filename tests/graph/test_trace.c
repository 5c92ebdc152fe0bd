/* test_trace.c - what a tracer is told of each node: time, bytes, memory; and operations by formula. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static gr_graph *g;
static gr_run last;
static char names[256]; /* of the ops that were traced, each followed by a space */

static void note(void *user, const gr_node *node, const gr_run *run)
{
    (void)user;
    last = *run;
    strcat(names, gr_node_op(node)->name);
    strcat(names, " ");
}

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    names[0] = 0;
    gr_graph_trace(g, note, NULL);
}

static void teardown(void)
{
    gr_graph_free(g);
}

static void expect(double got, double expected, const char *what)
{
    ck_assert_msg(got == expected, "%s: expected %.17g, got %.17g", what, expected, got);
}

START_TEST(every_computed_node_is_told_once_in_order)
{
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(2, 3));
    gr_tensor *y = gr_exp(gr_add(x, x)), *dx;
    gr_grad(y, &x, 1, &dx);
    gr_data(dx);
    gr_data(y);
    ck_assert_str_eq(names, "add exp mul acc ");
    gr_graph_trace(g, NULL, NULL);
    gr_data(gr_tanh(x));
    ck_assert_str_eq(names, "add exp mul acc ");
}
END_TEST

static gr_tensor *data(gr_shape shape)
{
    static const double zeros[3000];
    return gr_from_data(g, GR_F64, shape, zeros);
}

START_TEST(bytes_are_those_in_memory)
{
    gr_tensor *x = data(GR_SHAPE(100, 30)), *b = data(GR_SHAPE(30));
    gr_data(gr_add(x, b)); /* b is there once, not once per row */
    expect((double)last.read, (3000 + 30) * 8, "read");
    expect((double)last.written, 3000 * 8, "written");
    gr_data(gr_greater(x, x));
    expect((double)last.read, 2 * 3000 * 8, "read");
    expect((double)last.written, 3000, "written");
    gr_data(gr_matmul(gr_transpose(x, 0, 1), x));
    expect((double)last.read, 2 * 3000 * 8, "read");
    expect((double)last.written, 900 * 8, "written");
}
END_TEST

START_TEST(a_view_moves_no_bytes)
{
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(100, 30));
    gr_eval(&(gr_tensor *){gr_transpose(x, 0, 1)}, 1);
    ck_assert_ptr_nonnull(strstr(names, "permute "));
    expect((double)(last.read + last.written), 0, "bytes");
}
END_TEST

START_TEST(the_peak_holds_what_lives_while_the_node_runs)
{
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(1 << 20), 0.5);
    gr_data(gr_sum_all(gr_exp(gr_sin(gr_exp(x)))));
    ck_assert_ptr_nonnull(strstr(names, "exp sin exp sum "));
    double values = (double)last.peak / (4 << 20); /* of sum: what exp left; x is a constant */
    ck_assert_msg(values >= 1 && values < 3, "expected 1 to 3 arrays alive, got %g", values);
}
END_TEST

START_TEST(time_goes_forwards)
{
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(1000));
    for (int i = 0; i < 100; i++) {
        int64_t before = i ? last.ended : 0;
        names[0] = 0;
        x = gr_sin(x);
        gr_data(x);
        ck_assert_msg(before <= last.begun && last.begun <= last.ended, "%lld, %lld, %lld",
                      (long long)before, (long long)last.begun, (long long)last.ended);
    }
}
END_TEST

static double flops_of(gr_tensor *t)
{
    ck_assert_msg(!gr_graph_error(g), "%s", gr_graph_error(g));
    return gr_node_flops(gr_node_of(t));
}

START_TEST(operations_are_counted_by_formula)
{
    gr_tensor *a = gr_ones(g, GR_F64, GR_SHAPE(5, 3, 4)),
              *b = gr_ones(g, GR_F64, GR_SHAPE(5, 4, 2));
    gr_tensor *w = gr_ones(g, GR_F64, GR_SHAPE(7, 4));
    expect(flops_of(gr_matmul(a, b)), 2 * 5 * 3 * 4 * 2, "matmul");
    expect(flops_of(gr_linear(a, w, NULL)), 2 * 15 * 4 * 7, "linear");
    expect(flops_of(gr_mul(a, a)), 60, "mul");
    expect(flops_of(gr_sum(a, GR_AXES(1), false)), 60, "sum");
    expect(flops_of(gr_reshape(a, GR_SHAPE(60))), 0, "a view");
    expect(flops_of(a), 0, "a constant");
    ck_assert(isnan(flops_of(gr_cumsum(a, 0, (gr_scan_options){0}))));
    gr_tensor *q = gr_ones(g, GR_F64, GR_SHAPE(2, 3, 8)),
              *k = gr_ones(g, GR_F64, GR_SHAPE(2, 5, 8));
    gr_tensor *v = gr_ones(g, GR_F64, GR_SHAPE(2, 5, 6));
    gr_tensor *y = gr_scaled_dot_product_attention(q, k, v, NULL, (gr_attention_options){0});
    expect(flops_of(y), 2 * 2 * 3 * 5 * (8 + 6), "attention");
}
END_TEST

START_TEST(the_three_convolutions_take_as_many_operations)
{
    gr_tensor *in[] = {gr_ones(g, GR_F64, GR_SHAPE(2, 4, 9, 8)),
                       gr_ones(g, GR_F64, GR_SHAPE(6, 2, 3, 2))};
    gr_tensor *y = gr_conv2d(in[0], in[1], NULL,
                             (gr_conv2d_options){.stride = {2, 1}, .groups = 2});
    gr_tensor *d[2];
    double expected = 2.0 * (2 * 6 * 4 * 7) *
                      (2 * 3 * 2); /* each output: C/groups KH KW products */
    expect(flops_of(y), expected, "conv2d");
    gr_grad(y, in, 2, d);
    expect(flops_of(d[0]), expected, "by the images");
    expect(flops_of(d[1]), expected, "by the weights");
}
END_TEST

SUITE("trace", setup, teardown, every_computed_node_is_told_once_in_order,
      bytes_are_those_in_memory, a_view_moves_no_bytes,
      the_peak_holds_what_lives_while_the_node_runs, time_goes_forwards,
      operations_are_counted_by_formula, the_three_convolutions_take_as_many_operations)
