/* test_recompute.c - what backward computes again instead of having it kept. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include "fixture.h"
#include "suite.h"

#include <math.h>
#include <string.h>

enum { N = 96, NUMEL = N * N };

static gr_param *weight[3];

static void begin(void)
{
    static float start[NUMEL];
    setup_deferred();
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < NUMEL; i++) start[i] = (float)sin(0.7 * i + k) / 8;
        weight[k] = gr_param_new("w", GR_F32, GR_SHAPE(N, N), start);
    }
}

static void end(void)
{
    for (int k = 0; k < 3; k++) gr_param_release(weight[k]);
    teardown();
}

static int count_nodes(const char *name)
{
    int n = 0;
    for (const gr_node *node = gr_node_first(g); node; node = gr_node_next(node))
        n += strcmp(gr_node_op(node)->name, name) == 0;
    return n;
}

/* A layer: the product with a weight, then f. */
static gr_tensor *layer(gr_tensor *x, int k, gr_tensor *(*f)(gr_tensor *x))
{
    return f(gr_matmul(x, gr_use(g, weight[k])));
}

static gr_tensor *network(gr_tensor *(*f)(gr_tensor *x), gr_tensor **middle)
{
    *middle = layer(gr_use(g, weight[0]), 1, f);
    return gr_mean_all(gr_square(gr_matmul(*middle, gr_use(g, weight[2]))));
}

/* The product is read by gelu's rule, gelu's result by the next product's. */
START_TEST(a_heavy_rule_reads_a_value_computed_again)
{
    gr_tensor *y, *loss = network(gr_gelu, &y);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("gelu"), 2);
    ck_assert_ptr_null(y->data);
}
END_TEST

/* tanh's rule reads its result, and nothing keeps what it read. */
START_TEST(a_value_of_what_is_not_kept_is_kept_itself)
{
    gr_tensor *y, *loss = network(gr_tanh, &y);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("tanh"), 1);
}
END_TEST

START_TEST(a_value_that_is_there_is_not_computed_again)
{
    gr_tensor *y, *loss = network(gr_gelu, &y);
    ck_assert(isfinite(gr_item(loss)));
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("gelu"), 1);
}
END_TEST

START_TEST(a_value_asked_for_is_kept_and_not_computed_again)
{
    gr_tensor *y, *loss = network(gr_gelu, &y);
    gr_keep(y);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("gelu"), 1);
    ck_assert_ptr_nonnull(y->data);
}
END_TEST

START_TEST(an_elementwise_rule_reads_the_value_itself)
{
    gr_tensor *x = gr_use(g, weight[0]);
    gr_tensor *y = gr_mul(gr_gelu(x), gr_exp(gr_use(g, weight[1])));
    ck_assert_msg(gr_backward(gr_sum_all(y)) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("gelu"), 1);
}
END_TEST

/* Five functions, each of which reads its input again, and products that read each of them. */
static gr_tensor *long_chain(void)
{
    gr_tensor *x = gr_matmul(gr_use(g, weight[0]), gr_use(g, weight[1])), *loss = NULL;
    for (int i = 0; i < 5; i++) {
        x = gr_gelu(gr_shift(x, 0.1));
        gr_tensor *y = gr_mean_all(gr_square(gr_matmul(x, gr_use(g, weight[2]))));
        loss = loss ? gr_add(loss, y) : y;
    }
    return loss;
}

static void gradients(gr_tensor *(*record)(void), bool eager, float (*result)[NUMEL])
{
    gr_graph_reset(g);
    gr_graph_set_eager(g, eager);
    ck_assert_msg(gr_backward(record()) == GR_OK, "%s", gr_graph_error(g));
    for (int k = 0; k < 3; k++) {
        memcpy(result[k], gr_param_grad(weight[k]), sizeof *result);
        gr_param_clear_grad(weight[k]);
    }
}

/* Through a norm, whose result is as cheap to compute again, a reshape and a dropout. */
static gr_tensor *mixed(void)
{
    gr_tensor *x = gr_matmul(gr_use(g, weight[0]), gr_use(g, weight[1]));
    gr_graph_seed(g, 7);
    x = gr_layer_norm(x, GR_SHAPE(N), NULL, NULL, 0);
    x = gr_reshape(gr_dropout(x, 0.25), GR_SHAPE(2, N / 2, N));
    return gr_mean_all(gr_gelu(gr_linear(x, gr_use(g, weight[2]), NULL)));
}

START_TEST(gradients_have_the_bits_that_they_have_with_all_values_kept)
{
    static float want[3][NUMEL], got[3][NUMEL];
    gr_tensor *(*const programs[])(void) = {long_chain, mixed};
    for (int i = 0; i < 2; i++) {
        gradients(programs[i], true, want);
        gradients(programs[i], false, got);
        ck_assert_msg(count_nodes(i ? "standardize" : "gelu") > (i ? 1 : 5),
                      "program %d: nothing was computed again", i);
        ck_assert_msg(!memcmp(want, got, sizeof want), "program %d: other bits", i);
    }
}
END_TEST

/* No recursion, nor one walk after another, as long as what there is to look at. */
START_TEST(a_long_chain_of_views_is_no_burden)
{
    gr_tensor *x = gr_gelu(gr_matmul(gr_use(g, weight[0]), gr_use(g, weight[1])));
    for (int i = 0; i < 100000; i++) x = gr_reshape(x, GR_SHAPE(i % 2 ? N / 2 : N * 2, -1));
    gr_tensor *y = gr_matmul(gr_reshape(x, GR_SHAPE(N, N)), gr_use(g, weight[2]));
    ck_assert_msg(gr_backward(gr_mean_all(y)) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(count_nodes("gelu"), 1);
}
END_TEST

SUITE("recompute", begin, end, a_heavy_rule_reads_a_value_computed_again,
      a_value_of_what_is_not_kept_is_kept_itself, a_value_that_is_there_is_not_computed_again,
      a_value_asked_for_is_kept_and_not_computed_again, an_elementwise_rule_reads_the_value_itself,
      gradients_have_the_bits_that_they_have_with_all_values_kept,
      a_long_chain_of_views_is_no_burden)
