/* test_record.c - what recording checks, infers and remembers. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>

static gr_tensor *numbers(int64_t rows, int64_t columns)
{
    float x[64];
    for (int i = 0; i < 64; i++) x[i] = (float)i * 0.5f - 3;
    return gr_from_data(g, GR_F32, GR_SHAPE(rows, columns), x);
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error != NULL, "expected an error with '%s', got none", part);
    ck_assert_msg(strstr(error, part) != NULL, "expected '%s' in '%s'", part, error);
}

START_TEST(shapes_broadcast_as_in_numpy)
{
    const struct {
        gr_shape a, b, y;
    } cases[] = {
        {GR_SHAPE(3, 4), GR_SHAPE(3, 4), GR_SHAPE(3, 4)},
        {GR_SHAPE(3, 4), GR_SHAPE(4), GR_SHAPE(3, 4)},
        {GR_SHAPE(3, 1), GR_SHAPE(1, 4), GR_SHAPE(3, 4)},
        {GR_SCALAR, GR_SHAPE(2), GR_SHAPE(2)},
        {GR_SCALAR, GR_SCALAR, GR_SCALAR},
        {GR_SHAPE(0, 4), GR_SHAPE(1, 4), GR_SHAPE(0, 4)},
        {GR_SHAPE(2, 1, 3), GR_SHAPE(5, 1), GR_SHAPE(2, 5, 3)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_tensor *y = gr_add(gr_ones(g, GR_F32, cases[i].a), gr_ones(g, GR_F32, cases[i].b));
        ck_assert_ptr_null(gr_graph_error(g));
        ck_assert(gr_shape_equal(gr_shape_of(y), &cases[i].y));
        const float *data = gr_data(y);
        for (int64_t k = 0; k < gr_numel(y); k++) ck_assert_float_eq(data[k], 2);
    }
}
END_TEST

START_TEST(the_first_error_sticks_and_names_shapes_and_line)
{
    int line = __LINE__ + 1;
    gr_tensor *bad = gr_matmul(numbers(2, 3), numbers(4, 5));
    gr_add(numbers(2, 3), numbers(3, 2)); /* a later one is not reported */
    char place[64];
    snprintf(place, sizeof place, "test_record.c:%d", line);
    assert_error("matmul: cannot multiply [2,3] by [4,5]");
    assert_error(place);
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_ARGUMENT);
    ck_assert_ptr_null(gr_data(bad));
    ck_assert_double_nan(gr_item(gr_sum_all(gr_tanh(bad))));
    ck_assert_int_ne(gr_backward(gr_sum_all(bad)), GR_OK);
}
END_TEST

START_TEST(a_reset_graph_forgets_its_error)
{
    gr_matmul(numbers(2, 3), numbers(4, 5));
    gr_graph_reset(g);
    ck_assert_ptr_null(gr_graph_error(g));
    ck_assert_double_eq_tol(gr_item(gr_sum_all(numbers(1, 2))), -5.5, 1e-6);
}
END_TEST

START_TEST(dtypes_are_not_mixed_silently)
{
    gr_add(gr_ones(g, GR_F32, GR_SHAPE(2)), gr_ones(g, GR_F64, GR_SHAPE(2)));
    assert_error("add: cannot mix float32 and float64; use gr_cast");
}
END_TEST

static bool last_two_alike(gr_infer *c)
{
    return gr_infer_same_dtype(c, 1, 2) && !gr_infer_same_dtype(c, 0, 3);
}

START_TEST(a_rule_can_ask_for_inputs_of_one_dtype)
{
    static const gr_op op = {.name = "pick", .n_in = 3, .infer = last_two_alike};
    gr_tensor *f32 = gr_ones(g, GR_F32, GR_SCALAR), *f64 = gr_ones(g, GR_F64, GR_SCALAR);
    gr_apply(g, &op, (gr_tensor *[]){f64, f32, f64}, 3, NULL);
    assert_error("pick: cannot mix float32 and float64; use gr_cast");
    gr_graph_reset(g);
    f32 = gr_ones(g, GR_F32, GR_SCALAR);
    f64 = gr_ones(g, GR_F64, GR_SCALAR);
    gr_apply(g, &op, (gr_tensor *[]){f64, f32, f32}, 3, NULL);
    assert_error("pick: not defined for float64");
}
END_TEST

START_TEST(ops_without_a_kernel_for_a_dtype_say_so)
{
    gr_tanh(gr_ones(g, GR_I64, GR_SHAPE(2)));
    assert_error("tanh: not defined for int64");
}
END_TEST

START_TEST(tensors_of_another_graph_are_refused)
{
    gr_graph *other = gr_graph_new();
    gr_tensor *foreign = gr_ones(other, GR_F32, GR_SHAPE(2));
    gr_add(gr_ones(g, GR_F32, GR_SHAPE(2)), foreign);
    assert_error("add: the inputs belong to different graphs");
    gr_graph_free(other);
}
END_TEST

START_TEST(stale_tensors_are_refused)
{
    gr_tensor *old = numbers(4, 4);
    gr_graph_reset(g);
    gr_tanh(old);
    assert_error("tanh: an input is stale");
    gr_graph_reset(g);
    ck_assert_ptr_null(gr_data(old));
    assert_error("gr_data: the tensor is stale");
}
END_TEST

START_TEST(null_arguments_are_errors_not_crashes)
{
    ck_assert_ptr_null(gr_data(NULL));
    ck_assert_int_ne(gr_backward(NULL), GR_OK);
    gr_add(numbers(2, 2), NULL);
    assert_error("add: an input is NULL");
    gr_tensor *inert = gr_tanh(NULL); /* no graph to tell: the thread's last error does */
    ck_assert_ptr_nonnull(inert);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "tanh: an input is NULL"));
    gr_graph_reset(g);
    gr_sum_all(
        gr_matmul(gr_reshape(NULL, GR_SHAPE(2)), gr_transpose(gr_sum_to(NULL, GR_SHAPE(1)), 0, 1)));
    gr_cast(gr_flatten(gr_expand(NULL, GR_SHAPE(2)), 0), GR_F64);
    gr_keep(gr_output(NULL, 0));
    ck_assert_int_eq(gr_numel(NULL), 1);
    gr_use(g, NULL);
    assert_error("gr_use: the parameter is NULL");
    gr_graph_reset(g);
    gr_from_data(g, GR_F32, GR_SHAPE(3), NULL);
    assert_error("gr_from_data: data is NULL for a tensor of [3]");
    gr_graph_reset(g);
    gr_tensor *x = numbers(2, 2);
    gr_apply(NULL, gr_op_find("no such op"), &x, 1, NULL);
    assert_error("gr_apply: the op is NULL");
    gr_apply(NULL, NULL, NULL, 0, NULL);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_apply: the op is NULL"));
}
END_TEST

static gr_status no_kernel(gr_exec *e)
{
    return gr_exec_fail(e, "is not to be reached");
}

static bool any_shape(gr_infer *c)
{
    return c->n_in == 1;
}

static void no_tile(const gr_tile *t)
{
    (void)t;
}

START_TEST(an_op_with_a_forgotten_or_impossible_member_is_refused)
{
    const struct {
        gr_op op;
        const void *attrs;
        const char *error;
    } cases[] = {
        {{.n_in = 1, .forward = {[GR_F64] = no_kernel}}, NULL, "gr_apply: the op has no name"},
        {{.name = "own",
          .n_in = 1,
          .n_out = GR_MAX_OUTPUTS + 1,
          .infer = any_shape,
          .forward = {[GR_F64] = no_kernel}},
         NULL,
         "own: its n_out is not one of 0 to 4"},
        {{.name = "own", .n_in = 1, .n_out = -1, .forward = {[GR_F64] = no_kernel}},
         NULL,
         "own: its n_out is not one of 0 to 4"},
        {{.name = "own", .n_in = 1, .n_out = 2, .tile = {[GR_F64] = no_tile}},
         NULL,
         "own: an element-wise op has one output"},
        {{.name = "own", .n_in = 1, .tile = {[GR_F64] = no_tile}},
         &(double){1},
         "own: it is given attributes, but its attrs_size is 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_tensor *x = numbers(2, 2);
        ck_assert_ptr_null(gr_data(gr_apply(NULL, &cases[i].op, &x, 1, cases[i].attrs)));
        assert_error(cases[i].error);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(impossible_shapes_are_refused)
{
    gr_ones(g, GR_F32, GR_SHAPE(-1, 3));
    assert_error("[-1,3]");
    gr_graph_reset(g);
    gr_ones(g, GR_F32, GR_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40));
    assert_error("not a usable shape");
    gr_graph_reset(g);
    gr_ones(g, GR_F32, ((gr_shape){9, {1}}));
    assert_error("not a usable shape");
    gr_graph_reset(g);
    gr_tensor *wide = gr_ones(g, GR_F32, GR_SHAPE(1, INT64_C(1) << 35));
    gr_tensor *tall = gr_ones(g, GR_F32, GR_SHAPE(INT64_C(1) << 35, 1));
    gr_add(wide, tall);
    assert_error("expand: ");
}
END_TEST

START_TEST(reshape_resolves_an_open_size_and_views_where_it_can)
{
    gr_tensor *x = numbers(4, 6);
    gr_tensor *y = gr_reshape(gr_transpose(gr_reshape(x, GR_SHAPE(2, 2, 6)), 0, 1),
                              GR_SHAPE(-1, 3));
    const float *p = gr_data(x), *q = gr_data(y);
    ck_assert_int_eq(gr_shape_of(y)->dim[0], 8);
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            for (int k = 0; k < 6; k++)
                ck_assert_float_eq(q[(a * 2 + b) * 6 + k], p[(b * 2 + a) * 6 + k]);
}
END_TEST

START_TEST(views_of_views_read_the_right_elements)
{
    gr_tensor *x = numbers(4, 6);
    gr_tensor *y = gr_slice(gr_transpose(gr_slice(x, 1, 1, 6, 2), 0, 1), 1, -3, 4, 2);
    const float *p = gr_data(x), *q = gr_data(y);
    ck_assert_int_eq(gr_shape_of(y)->dim[0], 3);
    ck_assert_int_eq(gr_shape_of(y)->dim[1], 2);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            ck_assert_float_eq(q[i * 2 + j], p[(1 + 2 * j) * 6 + 1 + 2 * i]);
}
END_TEST

static gr_status take(void *user, gr_param *p)
{
    (void)p;
    ++*(int *)user;
    return GR_OK;
}

/* None of them is followed to the parameter but the last. */
START_TEST(a_long_chain_of_views_of_a_parameter_is_no_burden)
{
    enum { N = 100000 };
    gr_param *p = gr_param_new("w", GR_F64, GR_SHAPE(32, 32), NULL);
    int calls = 0;
    gr_tensor *x = gr_use(g, p);
    for (int i = 0; i < N; i++) x = gr_reshape(x, GR_SHAPE(i % 2 ? 32 : 16, -1));
    ck_assert_int_eq(gr_backward_each(gr_mean_all(gr_square(x)), take, &calls), GR_OK);
    ck_assert_int_eq(calls, 1);
    gr_graph_reset(g);
    x = gr_transpose(gr_use(g, p), 0, 1);
    gr_param_write(p); /* a view is not read, what reads it is refused */
    gr_data(gr_square(gr_transpose(x, 0, 1)));
    assert_error("parameter 'w' was updated");
    gr_graph_reset(g);
    x = gr_transpose(gr_use(g, p), 0, 1);
    gr_param_write(p);
    gr_reshape(x, GR_SHAPE(1024)); /* takes a copy */
    assert_error("parameter 'w' was updated");
    gr_param_release(p);
}
END_TEST

START_TEST(a_site_names_the_outermost_call)
{
    gr_site_begin(g, GR_HERE);
    gr_tensor *t = gr_linear(numbers(2, 3), numbers(4, 3), NULL);
    gr_site_end(g);
    char a[128], b[128];
    gr_node_site(gr_node_of(t), a, sizeof a);
    gr_node_site(gr_node_of(gr_tanh(t)), b, sizeof b);
    ck_assert_str_ne(a, b);
    ck_assert_ptr_nonnull(strstr(b, "test_record.c"));
}
END_TEST

START_TEST(every_op_is_listed_once_with_its_texts)
{
    ck_assert_int_ge(gr_op_count(), 40);
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        ck_assert_msg(op->formula && op->derivation && op->family, "%s lacks a text", op->name);
        ck_assert_msg(gr_op_find(op->name) == op, "%s is listed twice", op->name);
        ck_assert_msg(op->n_in == 0 || op->samples || strcmp(op->name, "detach") == 0,
                      "%s has no samples", op->name);
        ck_assert_msg((op->branch != NULL) <= (op->ties != NULL), "%s: ties not told", op->name);
        ck_assert_msg(!op->attrs_size || op->fields || op->n_in == 0, "%s: fields missing",
                      op->name);
    }
    ck_assert_ptr_null(gr_op_at(gr_op_count()));
    ck_assert_ptr_null(gr_op_find("no such op"));
}
END_TEST

START_TEST(a_tensor_that_cannot_be_used_has_no_node)
{
    gr_tensor *t = numbers(2, 2), *inert = gr_matmul(numbers(2, 3), numbers(4, 5));
    ck_assert_ptr_nonnull(gr_node_of(t));
    ck_assert_ptr_null(gr_node_of(inert));
    ck_assert_ptr_null(gr_node_of(NULL));
    gr_graph_reset(g);
    ck_assert_ptr_null(gr_node_of(t));
    ck_assert_ptr_null(gr_node_first(g));
    ck_assert_ptr_null(gr_node_first(NULL));
    ck_assert_ptr_null(gr_node_next(NULL));
}
END_TEST

SUITE("record", setup, teardown, shapes_broadcast_as_in_numpy,
      the_first_error_sticks_and_names_shapes_and_line, a_reset_graph_forgets_its_error,
      dtypes_are_not_mixed_silently, a_rule_can_ask_for_inputs_of_one_dtype,
      ops_without_a_kernel_for_a_dtype_say_so, tensors_of_another_graph_are_refused,
      stale_tensors_are_refused, null_arguments_are_errors_not_crashes,
      an_op_with_a_forgotten_or_impossible_member_is_refused, impossible_shapes_are_refused,
      reshape_resolves_an_open_size_and_views_where_it_can, views_of_views_read_the_right_elements,
      a_long_chain_of_views_of_a_parameter_is_no_burden, a_site_names_the_outermost_call,
      every_op_is_listed_once_with_its_texts, a_tensor_that_cannot_be_used_has_no_node)
