/* test_guard.c - kernels that misbehave are caught in a guarded graph. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static gr_graph *g;

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_guarded(g, true);
}

static void teardown(void)
{
    gr_graph_free(g);
}

static int64_t flaw_at; /* -1: none */

static gr_status copy(gr_exec *e)
{
    memcpy(e->out[0].data, e->in[0].data, (size_t)gr_shape_numel(e->in[0].shape) * sizeof(double));
    return GR_OK;
}

static gr_status leaves_a_hole(gr_exec *e)
{
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        if (i != flaw_at) ((double *)e->out[0].data)[i] = ((const double *)e->in[0].data)[i];
    return GR_OK;
}

static gr_status writes_at(gr_exec *e)
{
    copy(e);
    ((double *)e->out[0].data)[flaw_at] = 1;
    return GR_OK;
}

static gr_status changes_its_input(gr_exec *e)
{
    copy(e);
    ((double *)e->in[0].data)[flaw_at] += 1;
    return GR_OK;
}

static const char *error_of(gr_status (*kernel)(gr_exec *), int64_t n, int64_t at)
{
    const gr_op op = {.name = "mine", .n_in = 1, .forward = {[GR_F64] = kernel}};
    double *values = calloc((size_t)n, sizeof *values);
    gr_graph_reset(g);
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(n), values);
    free(values);
    flaw_at = at;
    gr_data(gr_apply(NULL, &op, &x, 1, NULL));
    return gr_graph_error(g) ? gr_graph_error(g) : "no error";
}

START_TEST(each_flaw_is_named)
{
    for (int64_t n = 3; n < 3000; n *= 10) { /* small values and large ones */
        ck_assert_str_eq(error_of(copy, n, 0), "no error");
        ck_assert_ptr_nonnull(strstr(error_of(leaves_a_hole, n, 2),
                                     "mine: its kernel did not write element 2 of output 0"));
        ck_assert_ptr_nonnull(strstr(error_of(writes_at, n, -1),
                                     "mine: its kernel wrote in front of element 0 of output 0"));
        ck_assert_ptr_nonnull(
            strstr(error_of(writes_at, n, n), "mine: its kernel wrote behind the last"));
        ck_assert_ptr_nonnull(
            strstr(error_of(changes_its_input, n, 1), "mine: its kernel changed its input 0"));
    }
}
END_TEST

START_TEST(a_backward_in_c_is_named_by_its_op)
{
    const gr_op op = {.name = "mine",
                      .n_in = 1,
                      .forward = {[GR_F64] = copy},
                      .backward = {[GR_F64] = writes_at}};
    const double values[3] = {0};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(3), values), *dx;
    flaw_at = 3;
    gr_grad(gr_sum_all(gr_apply(NULL, &op, &x, 1, NULL)), &x, 1, &dx);
    ck_assert_ptr_null(gr_data(dx));
    ck_assert_msg(strstr(gr_graph_error(g), "raw_backward, recorded by the backward rule of mine: "
                                            "its kernel wrote behind the last of 3 elements"),
                  "got '%s'", gr_graph_error(g));
}
END_TEST

START_TEST(a_guarded_graph_computes_what_another_does)
{
    enum { N = 50 };
    static double x0[N * N], y[2][2 * N * N];
    for (int i = 0; i < N * N; i++) x0[i] = sin(i);
    for (int k = 0; k < 2; k++) {
        gr_graph_set_guarded(g, k);
        gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(N, N), x0), *d;
        gr_tensor *h = gr_softmax(gr_matmul(gr_transpose(x, 0, 1), gr_slice(x, 0, 0, N, 1)), 1);
        gr_tensor *f = gr_sum_all(
            gr_mul(gr_exp(h), gr_slice(gr_concat((gr_tensor *[]){h, x}, 2, 0), 0, 10, 10 + N, 1)));
        gr_grad(f, &x, 1, &d);
        ck_assert_msg(gr_data(d) != NULL, "%s", gr_graph_error(g));
        memcpy(y[k], gr_data(d), sizeof x0);
        memcpy(y[k] + N * N, gr_data(h), sizeof x0);
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(y[0], y[1], sizeof y[0]);
}
END_TEST

SUITE("guard", setup, teardown, each_flaw_is_named, a_backward_in_c_is_named_by_its_op,
      a_guarded_graph_computes_what_another_does)
