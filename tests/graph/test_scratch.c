/* test_scratch.c - parts of a tape that are forgotten: what stays, what goes, and that nothing grows. */
/* SPDX-License-Identifier: MIT */
#include "forgotten.h"
#include "inject.h"
#include "suite.h"

static int count_nodes(void)
{
    int n = 0;
    for (const gr_node *node = gr_node_first(g); node; node = gr_node_next(node)) n++;
    return n;
}

START_TEST(what_is_kept_stays_and_the_rest_leaves_the_tape)
{
    const int64_t sizes[] = {1, SMALL, LARGE};
    for (int i = 0; i < 3; i++) {
        gr_tensor *x = counting(sizes[i]);
        int before = count_nodes();
        gr_scratch_begin(g);
        gr_tensor *y = gr_square(x), *z = gr_neg(gr_exp(y));
        gr_tensor *keep[] = {gr_scale(y, 2), x};
        ck_assert_ptr_ne(z, keep[0]);
        ck_assert_int_eq(gr_scratch_end(g, keep, 2), GR_OK);
        assert_fine();
        ck_assert_int_eq(count_nodes(), before + 1);
        ck_assert_ptr_eq(keep[1], x); /* was outside already */
        for (int64_t k = 0; k < sizes[i]; k++)
            assert_value(keep[0], k, 2 * (double)((k + 1) * (k + 1)));
        ck_assert_int_eq(gr_node_id(gr_node_of(keep[0])), before);
        ck_assert_str_eq(gr_node_op(gr_node_of(keep[0]))->name, "leaf");
        ck_assert_int_eq(gr_node_inputs(gr_node_of(keep[0])), 0);
    }
}
END_TEST

START_TEST(any_arrangement_of_elements_is_kept_row_major)
{
    gr_model *m = gr_model_new();
    gr_module *layer = gr_linear_layer(m, 3, 2);
    gr_param *w = gr_model_find(m, "weight");
    ck_assert_ptr_nonnull(layer);
    float want[6];
    memcpy(want, gr_param_data(w), sizeof want);
    gr_tensor *x = counting(6);
    gr_scratch_begin(g);
    gr_tensor *keep[] = {gr_transpose(gr_reshape(x, GR_SHAPE(2, 3)), 0, 1),
                         gr_transpose(gr_use(g, w), 0, 1), gr_full(g, GR_F64, GR_SHAPE(4), 7),
                         gr_use(g, w), gr_zeros(g, GR_F64, GR_SHAPE(0, 3))};
    ck_assert_int_eq(gr_scratch_end(g, keep, 5), GR_OK);
    *(float *)gr_param_write(w) = 99; /* does not reach what was kept */
    gr_model_free(m);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            assert_value(keep[0], i * 2 + k, k * 3 + i + 1);
            ck_assert_float_eq(((const float *)gr_data(keep[1]))[i * 2 + k], want[k * 3 + i]);
        }
    }
    assert_value(keep[2], 3, 7);
    ck_assert_mem_eq(gr_data(keep[3]), want, sizeof want);
    ck_assert_int_eq(gr_shape_of(keep[4])->dim[1], 3);
    assert_fine();
}
END_TEST

/* x <- tanh(w x + i / n), in turns that are forgotten, or not. */
static void run_turns(bool forget, int turns, double *result)
{
    gr_graph_reset(g);
    gr_tensor *w = gr_scale(counting(LARGE), 1e-3), *x = counting(LARGE);
    if (forget) gr_scratch_begin(g);
    for (int i = 0; i < turns; i++) {
        x = gr_tanh(gr_shift(gr_mul(w, x), i / 100.0));
        if (forget) gr_scratch_next(g, &x, 1);
    }
    if (forget) gr_scratch_end(g, &x, 1);
    ck_assert_msg(gr_data(x) != NULL, "%s", gr_graph_error(g));
    memcpy(result, gr_data(x), LARGE * sizeof *result);
}

START_TEST(a_loop_that_forgets_gives_the_same_bits)
{
    static double with[LARGE], without[LARGE];
    run_turns(true, 50, with);
    run_turns(false, 50, without);
    ck_assert_mem_eq(with, without, sizeof with);
}
END_TEST

/* The memory that the library holds after so many turns with parameters, state, and outputs. */
static int64_t live_after(int turns, int64_t state, bool carry)
{
    inject_begin();
    gr_graph *own = gr_graph_new();
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, state, state), gr_tanh_layer(m)));
    gr_tensor *x = gr_ones(own, GR_F32, GR_SHAPE(1, state));
    double sum = 0;
    if (carry) gr_scratch_begin(own);
    for (int i = 0; i < turns; i++) {
        if (!carry) gr_scratch_begin(own);
        gr_tensor *y = gr_forward(net, x);
        sum += gr_item(gr_sum_all(y));
        if (carry) x = y;
        if (carry) gr_scratch_next(own, &x, 1);
        else gr_scratch_end(own, NULL, 0);
    }
    ck_assert_msg(isfinite(sum), "%s", gr_graph_error(own));
    int64_t live = inject_live_bytes();
    gr_graph_free(own);
    gr_model_free(m);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    return live;
}

START_TEST(the_memory_of_ten_thousand_turns_is_that_of_ten)
{
    for (int carry = 0; carry < 2; carry++) {
        ck_assert_int_eq(live_after(10000, 8, carry), live_after(10, 8, carry));
        ck_assert_int_eq(live_after(2000, 64, carry), live_after(10, 64, carry));
    }
    ck_assert_int_eq(live_after(50, 1100, true), live_after(10, 1100, true)); /* in buffers */
}
END_TEST

START_TEST(tensors_from_inside_are_stale_afterwards)
{
    gr_tensor *x = counting(SMALL), *inside[3], *kept;
    gr_scratch_begin(g);
    for (int i = 0; i < 3; i++) inside[i] = gr_exp(i ? inside[i - 1] : x);
    kept = inside[2];
    gr_scratch_end(g, &kept, 1);
    assert_fine();
    const char *const want[] = {"tanh: an input is stale",
                                "gr_data: the tensor is stale",
                                "gr_output: the tensor is stale",
                                "gr_grad: ",
                                "gr_scratch_end: tensor 0 to be kept is stale",
                                "gr_assign: the value is stale"};
    for (int use = 0; use < 6; use++) {
        gr_graph_reset(g);
        x = counting(SMALL);
        gr_scratch_begin(g);
        gr_tensor *stale = gr_exp(x), *dx;
        gr_scratch_end(g, NULL, 0);
        ck_assert_ptr_null(gr_node_of(stale));
        ck_assert_int_eq(gr_shape_of(stale)->rank, 0);
        assert_fine();
        gr_param *p = gr_param_new("p", GR_F64, GR_SHAPE(SMALL), NULL);
        gr_scratch_begin(g); /* still stale within the next one, at whatever place it lies */
        gr_exp(x);
        if (use == 0) gr_tanh(stale);
        if (use == 1) gr_data(stale);
        if (use == 2) gr_output(stale, 0);
        if (use == 3) gr_grad(stale, &x, 1, &dx);
        if (use == 4) gr_scratch_end(g, &stale, 1);
        if (use == 5) gr_assign(p, stale);
        assert_error(want[use]);
        gr_param_release(p);
    }
}
END_TEST

START_TEST(what_a_turn_before_made_is_stale_in_the_next_turn)
{
    gr_tensor *x = counting(SMALL);
    gr_scratch_begin(g);
    for (int turn = 0; turn < 5; turn++) {
        gr_tensor *y = gr_exp(x), *before = x;
        x = gr_scale(y, 0.1);
        gr_scratch_next(g, &x, 1);
        assert_fine();
        ck_assert_ptr_null(gr_node_of(y));
        if (turn) ck_assert_ptr_null(gr_node_of(before));
    }
    gr_tensor *y = gr_exp(x);
    gr_scratch_end(g, &x, 1);
    gr_add(x, y);
    assert_error("add: an input is stale: its graph was reset, or its scratch ended");
}
END_TEST

START_TEST(values_outside_that_are_computed_inside_stay)
{
    const int64_t sizes[] = {SMALL, LARGE};
    for (int i = 0; i < 2; i++) {
        gr_graph_reset(g);
        gr_tensor *x = counting(LARGE), *pending = gr_square(x);
        gr_tensor *small = gr_slice(pending, 0, 0, sizes[i], 1), *y = gr_scale(small, 3);
        for (int turn = 0; turn < 4; turn++) {
            gr_scratch_begin(g);
            gr_tensor *inside = gr_add(y, y), *more = gr_add(inside, inside);
            assert_value(more, sizes[i] - 1, 12 * (double)(sizes[i] * sizes[i]));
            assert_value(y, 1, 12);
            gr_scratch_end(g, NULL, 0);
        }
        assert_value(y, sizes[i] - 1, 3 * (double)(sizes[i] * sizes[i]));
        assert_fine();
    }
}
END_TEST

START_TEST(scratches_nest)
{
    gr_tensor *x = counting(LARGE), *outer, *inner;
    gr_scratch_begin(g);
    outer = gr_scale(x, 2);
    gr_scratch_begin(g);
    inner = gr_add(outer, x); /* 3 x */
    ck_assert_int_eq(gr_scratch_end(g, &inner, 1), GR_OK);
    outer = gr_add(inner, outer); /* 5 x */
    gr_scratch_begin(g);
    gr_exp(outer);
    gr_scratch_end(g, NULL, 0);
    gr_scratch_end(g, &outer, 1);
    assert_value(outer, LARGE - 1, 5.0 * LARGE);
    ck_assert_ptr_null(gr_node_of(inner));
    ck_assert_int_eq(count_nodes(), 2);
}
END_TEST

START_TEST(a_parameter_used_inside_can_be_used_again)
{
    const double value = 3;
    gr_param *p = gr_param_new("p", GR_F64, GR_SCALAR, &value);
    for (int i = 0; i < 3; i++) {
        gr_scratch_begin(g);
        ck_assert_double_eq(gr_item(gr_square(gr_use(g, p))), 9 + 16 * (i > 0));
        gr_scratch_end(g, NULL, 0);
        *(double *)gr_param_write(p) = 5;
        ck_assert_double_eq(gr_item(gr_use(g, p)), 5);
        assert_fine();
    }
    gr_param_release(p);
    ck_assert_double_eq(gr_item(gr_scale(gr_use(g, p), 2)), 10); /* the graph held it */
}
END_TEST

START_TEST(backward_inside_gives_the_gradients_that_it_gives_outside)
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, SMALL, 4), gr_tanh_layer(m)));
    float gradient[2][4 * SMALL];
    for (int inside = 0; inside < 2; inside++) {
        gr_tensor *x = gr_ones(g, GR_F32, GR_SHAPE(2, SMALL)), *loss,
                  *accuracy = gr_exp(counting(LARGE));
        gr_param_clear_grad(gr_model_param(m, 0));
        if (inside) gr_scratch_begin(g);
        loss = gr_sum_all(gr_square(gr_forward(net, x)));
        ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
        if (inside) gr_scratch_end(g, &loss, 1);
        ck_assert(isfinite(gr_item(loss)));
        memcpy(gradient[inside], gr_param_grad(gr_model_param(m, 0)), sizeof gradient[inside]);
        assert_value(accuracy, 0, exp(1));
        loss = gr_sum_all(gr_square(gr_forward(net, x))); /* and the tape goes on */
        ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
        gr_graph_reset(g);
    }
    ck_assert_mem_eq(gradient[0], gradient[1], sizeof gradient[0]);
    gr_model_free(m);
}
END_TEST

START_TEST(what_was_assigned_inside_is_written_by_a_commit_or_forgotten)
{
    double value = 1;
    gr_param *p = gr_param_new("p", GR_F64, GR_SCALAR, &value);
    gr_param *q = gr_param_new("q", GR_F64, GR_SCALAR, &value);
    gr_assign(p, gr_scalar(g, GR_F64, 2));
    gr_scratch_begin(g);
    gr_assign(q, gr_scalar(g, GR_F64, 3));
    gr_scratch_end(g, NULL, 0);
    gr_commit(g);
    ck_assert_double_eq(*(const double *)gr_param_data(p), 2);
    ck_assert_double_eq(*(const double *)gr_param_data(q), 1);
    gr_scratch_begin(g);
    gr_assign(q, gr_scalar(g, GR_F64, 4));
    gr_commit(g);
    gr_scratch_end(g, NULL, 0);
    ck_assert_double_eq(*(const double *)gr_param_data(q), 4);
    assert_fine();
    gr_param_release(p);
    gr_param_release(q);
}
END_TEST

START_TEST(sections_and_scratches_nest_both_ways)
{
    for (int around = 0; around < 2; around++) {
        gr_graph_reset(g);
        gr_tensor *x = counting(LARGE), *y = x, *dx;
        if (!around) gr_scratch_begin(g);
        gr_checkpoint_begin(g);
        if (around) gr_scratch_begin(g);
        y = gr_square(gr_sin(y));
        if (around) gr_scratch_end(g, &y, 1);
        y = gr_mul(gr_sin(y), gr_sin(x));
        gr_checkpoint_end(g);
        gr_grad(y, &x, 1, &dx);
        double want = cos(1) * (around ? sin(sin(1) * sin(1)) : 0);
        if (!around)
            want = cos(1) * sin(sin(1) * sin(1)) +
                   cos(sin(1) * sin(1)) * 2 * sin(1) * cos(1) * sin(1);
        if (!around) gr_scratch_end(g, &dx, 1);
        const double *got = gr_data(dx);
        ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
        ck_assert_double_eq_tol(got[0], want, 1e-14);
        gr_grad(gr_exp(x), &x, 1, &dx); /* and the tape goes on */
        assert_value(dx, 0, exp(1));
    }
}
END_TEST

SUITE("scratch", setup, teardown, what_is_kept_stays_and_the_rest_leaves_the_tape,
      any_arrangement_of_elements_is_kept_row_major, a_loop_that_forgets_gives_the_same_bits,
      the_memory_of_ten_thousand_turns_is_that_of_ten, tensors_from_inside_are_stale_afterwards,
      what_a_turn_before_made_is_stale_in_the_next_turn,
      values_outside_that_are_computed_inside_stay, scratches_nest,
      a_parameter_used_inside_can_be_used_again,
      backward_inside_gives_the_gradients_that_it_gives_outside,
      what_was_assigned_inside_is_written_by_a_commit_or_forgotten,
      sections_and_scratches_nest_both_ways)
