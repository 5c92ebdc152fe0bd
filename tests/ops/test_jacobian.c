/* test_jacobian.c - whole matrices of derivatives, against rows, products and differences. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "matrix.h"
#include "suite.h"

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part,
                  error ? error : "none");
    gr_graph_reset(g);
}

static void assert_shape(gr_tensor *t, gr_shape want)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    ck_assert_msg(gr_shape_equal(gr_shape_of(t), &want), "%s, expected %s (%s)",
                  gr_shape_text(gr_shape_of(t), a), gr_shape_text(&want, b),
                  gr_graph_error(g) ? gr_graph_error(g) : "no error");
}

static gr_tensor *tensor(gr_shape shape, double phase)
{
    return matrix_of(GR_F64, shape, phase);
}

/* --- Jacobians --- */

START_TEST(the_jacobian_of_a_matrix_product_is_the_matrix)
{
    const gr_shape shapes[] = {{2, {5, 2}}, {2, {2, 5}}, {2, {3, 3}}}; /* rows, columns, a tie */
    for (int k = 0; k < 3; k++) {
        gr_tensor *a = tensor(shapes[k], 1), *x = tensor(GR_SHAPE(shapes[k].dim[1], 1), 2);
        gr_tensor *j = gr_jacobian(gr_matmul(a, x), x);
        assert_shape(j, GR_SHAPE(shapes[k].dim[0], 1, shapes[k].dim[1], 1));
        matrix_same(gr_reshape(j, shapes[k]), a, 0, "J");
    }
}
END_TEST

START_TEST(shapes_of_output_and_input_follow_each_other)
{
    gr_tensor *x = tensor(GR_SHAPE(2, 3), 1);
    assert_shape(gr_jacobian(gr_sum_all(x), x), GR_SHAPE(2, 3));
    assert_shape(gr_jacobian(gr_sum(x, GR_AXES(1), false), x), GR_SHAPE(2, 2, 3));
    assert_shape(gr_jacobian(gr_outer(gr_reshape(x, GR_SHAPE(6)), tensor(GR_SHAPE(4), 2)), x),
                 GR_SHAPE(6, 4, 2, 3));
    gr_tensor *s = tensor(GR_SCALAR, 3);
    assert_shape(gr_jacobian(gr_exp(s), s), GR_SCALAR);
    assert_shape(gr_jacobian(gr_mul(x, s), s), GR_SHAPE(2, 3));
    assert_shape(gr_jacobian(gr_slice(x, 0, 0, 0, 1), x), GR_SHAPE(0, 3, 2, 3));
}
END_TEST

START_TEST(elements_that_do_not_depend_on_each_other_have_zero)
{
    gr_tensor *x = tensor(GR_SHAPE(3), 1), *none = gr_jacobian(gr_exp(tensor(GR_SHAPE(2), 2)), x);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(values(none)[i], 0);
    gr_tensor *j = gr_jacobian(gr_exp(x), x);
    for (int i = 0; i < 9; i++)
        ck_assert_double_eq(values(j)[i], i % 4 ? 0 : exp(values(x)[i / 4]));
}
END_TEST

START_TEST(a_jacobian_has_the_dtype_of_its_output)
{
    gr_tensor *x = tensor(GR_SHAPE(4), 1), *narrow = gr_cast(gr_square(x), GR_F32);
    gr_tensor *few = gr_sum_all(narrow), *tall = gr_expand(narrow, GR_SHAPE(3, 4));
    ck_assert_int_eq(gr_dtype_of(gr_jacobian(few, x)), GR_F32);
    ck_assert_int_eq(gr_dtype_of(gr_jacobian(tall, x)), GR_F32);
    matrix_same(gr_reshape(gr_jacobian(few, x), GR_SHAPE(4)), gr_scale(x, 2), 1e-6, "J");
}
END_TEST

/* y = x^3 element by element: each Jacobian adds an axis, 6 on its diagonal at the third. */
START_TEST(a_jacobian_can_be_differentiated_again_and_again)
{
    gr_tensor *x = tensor(GR_SHAPE(3), 1), *y = gr_mul(gr_square(x), x);
    for (int order = 1; order <= 3; order++) y = gr_jacobian(y, x);
    assert_shape(y, GR_SHAPE(3, 3, 3, 3));
    const double *v = values(y);
    for (int i = 0; i < 81; i++) ck_assert_double_eq_tol(v[i], i % 40 ? 0 : 6, 1e-14);
}
END_TEST

/* --- a network of 3 layers --- */

enum { IN = 4, HIDDEN = 5, OUT = 3, ROWS = 6, WEIGHTS = HIDDEN * IN };

static gr_tensor *network(gr_tensor *w1)
{
    gr_tensor *x = tensor(GR_SHAPE(ROWS, IN), 1), *target = tensor(GR_SHAPE(ROWS, OUT), 2);
    gr_tensor *w2 = tensor(GR_SHAPE(HIDDEN, HIDDEN), 3), *w3 = tensor(GR_SHAPE(OUT, HIDDEN), 4);
    gr_tensor *h = gr_tanh(gr_linear(x, w1, NULL));
    h = gr_sigmoid(gr_linear(h, w2, NULL));
    return gr_mse(gr_linear(h, w3, NULL), target);
}

static gr_tensor *weights(void)
{
    return tensor(GR_SHAPE(HIDDEN, IN), 5);
}

START_TEST(the_hessian_of_a_network_is_the_jacobian_of_its_gradient_row_by_row)
{
    gr_tensor *w = weights(), *loss = network(w), *dw, *rows[WEIGHTS];
    gr_tensor *h = gr_hessian(loss, w);
    gr_grad(loss, &w, 1, &dw);
    assert_shape(h, GR_SHAPE(HIDDEN, IN, HIDDEN, IN));
    for (int i = 0; i < WEIGHTS; i++) {
        gr_tensor *one = gr_slice(gr_reshape(dw, GR_SHAPE(WEIGHTS)), 0, i, i + 1, 1);
        gr_grad(one, &w, 1, &rows[i]);
    }
    gr_tensor *want = gr_reshape(gr_stack(rows, WEIGHTS, 0), GR_SHAPE(HIDDEN, IN, HIDDEN, IN));
    matrix_same(h, want, 1e-10, "Hessian");
    matrix_same(h, gr_jacobian(dw, w), 1e-10, "Hessian and Jacobian");
    matrix_same(h, gr_permute(h, GR_AXES(2, 3, 0, 1)), 1e-10, "symmetry");
}
END_TEST

/* Column by column in forward mode, and by differences of the gradient. */
START_TEST(the_hessian_of_a_network_agrees_with_forward_mode_and_with_differences)
{
    enum { STEPS = 2 };
    const double step = 1e-5;
    double at[WEIGHTS], moved[WEIGHTS], numeric[STEPS][WEIGHTS];
    static double h[WEIGHTS * WEIGHTS], forward[WEIGHTS];
    memcpy(at, values(weights()), sizeof at);
    gr_tensor *own = weights();
    memcpy(h, values(gr_hessian(network(own), own)), sizeof h);
    for (int j = 0; j < WEIGHTS; j++) {
        gr_tensor *w = weights(), *dw, *column, *e = gr_eye(g, GR_F64, WEIGHTS, WEIGHTS);
        gr_tensor *u = gr_reshape(gr_select(e, 0, j), GR_SHAPE(HIDDEN, IN));
        gr_grad(network(w), &w, 1, &dw);
        gr_jvp(&dw, 1, &w, &u, 1, &column);
        memcpy(forward, values(column), sizeof forward);
        for (int s = 0; s < STEPS; s++) {
            memcpy(moved, at, sizeof moved);
            moved[j] += s ? step : -step;
            w = gr_from_data(g, GR_F64, GR_SHAPE(HIDDEN, IN), moved);
            gr_grad(network(w), &w, 1, &dw);
            memcpy(numeric[s], values(dw), sizeof numeric[s]);
        }
        for (int i = 0; i < WEIGHTS; i++) {
            ck_assert_double_eq_tol(h[i * WEIGHTS + j], forward[i], 1e-10);
            ck_assert_double_eq_tol(h[i * WEIGHTS + j],
                                    (numeric[1][i] - numeric[0][i]) / (2 * step), 1e-8);
        }
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(a_hessian_vector_product_is_the_product_with_the_hessian)
{
    gr_tensor *w = weights(), *loss = network(w), *v = tensor(GR_SHAPE(HIDDEN, IN), 6), *hv;
    ck_assert_int_eq(gr_hvp(loss, &w, &v, 1, &hv), GR_OK);
    gr_tensor *h = gr_reshape(gr_hessian(loss, w), GR_SHAPE(WEIGHTS, WEIGHTS));
    gr_tensor *want = gr_matmul(h, gr_reshape(v, GR_SHAPE(WEIGHTS, 1)));
    matrix_same(hv, gr_reshape(want, GR_SHAPE(HIDDEN, IN)), 1e-12, "H v");
}
END_TEST

START_TEST(a_hessian_vector_product_of_several_inputs_has_the_mixed_derivatives)
{
    gr_tensor *a = tensor(GR_SHAPE(3), 1), *b = tensor(GR_SHAPE(3), 2),
              *unused = tensor(GR_SHAPE(2), 7);
    gr_tensor *u = tensor(GR_SHAPE(3), 3), *v = tensor(GR_SHAPE(3), 4);
    gr_tensor *y = gr_sum_all(gr_mul(gr_square(a), b)), *hv[3];
    gr_tensor *x[] = {a, b, unused}, *along[] = {u, v, unused};
    ck_assert_int_eq(gr_hvp(y, x, along, 3, hv), GR_OK);
    gr_tensor *cross = gr_scale(gr_mul(a, v), 2);
    matrix_same(hv[0], gr_add(gr_scale(gr_mul(b, u), 2), cross), 1e-14, "H v of a");
    matrix_same(hv[1], gr_scale(gr_mul(a, u), 2), 1e-14, "H v of b");
    matrix_same(hv[2], gr_zeros(g, GR_F64, GR_SHAPE(2)), 0, "H v of what is not used");
}
END_TEST

/* --- wrong use --- */

START_TEST(arguments_that_cannot_be_used_are_errors)
{
    gr_graph *other = gr_graph_new();
    gr_tensor *foreign = gr_ones(other, GR_F64, GR_SHAPE(2)), *x = tensor(GR_SHAPE(2), 1);
    gr_jacobian(x, foreign);
    assert_error("gr_jacobian: input 0 is a tensor of another graph");
    gr_jacobian(tensor(GR_SHAPE(2), 1), NULL);
    assert_error("gr_jacobian: input 0 is NULL");
    x = tensor(GR_SHAPE(2), 1);
    gr_jacobian(gr_argmax(x, 0), x);
    assert_error("gr_jacobian: output 0 is int64");
    x = tensor(GR_SHAPE(2), 1);
    gr_hessian(gr_square(x), x);
    assert_error("gr_hessian: expected an output of one element, got [2]");
    ck_assert_ptr_nonnull(gr_jacobian(NULL, x));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_jacobian: output 0 is NULL"));
    ck_assert_ptr_nonnull(gr_hessian(gr_tanh(NULL), x)); /* inert, of no graph */
    gr_graph_free(other);
}
END_TEST

START_TEST(a_stale_input_is_an_error_that_says_so)
{
    gr_tensor *x = NULL, *y;
    for (int i = 0; i < 5; i++) x = tensor(GR_SHAPE(2), 1);
    gr_graph_reset(g);
    y = tensor(GR_SHAPE(2), 1);
    gr_jacobian(y, x);
    assert_error("gr_jacobian: input 0 is stale: its graph was reset after it was recorded");
}
END_TEST

START_TEST(derivatives_of_more_axes_than_there_can_be_are_an_error)
{
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(1, 1, 1, 1, 1));
    gr_jacobian(gr_exp(x), x);
    assert_error("gr_jacobian: derivatives of [1,1,1,1,1] by [1,1,1,1,1]");
    x = gr_ones(g, GR_F64, GR_SHAPE(1, 1, 1, 1, 1));
    gr_hessian(gr_sum_all(x), x);
    assert_error("gr_hessian: derivatives of");
}
END_TEST

START_TEST(a_hessian_vector_product_names_what_does_not_fit)
{
    gr_tensor *x = tensor(GR_SHAPE(2), 1), *v = tensor(GR_SHAPE(3), 1), *hv = NULL;
    ck_assert_int_ne(gr_hvp(gr_sum_all(gr_square(x)), &x, &v, 1, &hv), GR_OK);
    ck_assert_ptr_nonnull(hv);
    assert_error("gr_hvp: input 0 is float64 [2], its direction float64 [3]");
    x = tensor(GR_SHAPE(2), 1);
    gr_hvp(gr_square(x), &x, &x, 1, &hv);
    assert_error("gr_hvp: expected an output of one element, got [2]");
}
END_TEST

static gr_status copy(gr_exec *e)
{
    memcpy(e->out[0].data, e->in[e->n_in - 1].data, 2 * sizeof(double));
    return GR_OK;
}

START_TEST(a_backward_in_c_gives_a_jacobian_and_says_that_it_has_no_hessian)
{
    static const gr_op op = {.name = "copy",
                             .n_in = 1,
                             .forward = {[GR_F64] = copy},
                             .backward = {[GR_F64] = copy}};
    gr_tensor *x = tensor(GR_SHAPE(2), 1), *y = gr_apply(NULL, &op, &x, 1, NULL), *hv;
    matrix_same(gr_jacobian(y, x), gr_eye(g, GR_F64, 2, 2), 0, "J");
    gr_hessian(gr_sum_all(gr_square(y)), x);
    assert_error("copy: its backward is a C function");
    x = tensor(GR_SHAPE(2), 1);
    gr_hvp(gr_sum_all(gr_square(gr_apply(NULL, &op, &x, 1, NULL))), &x, &x, 1, &hv);
    assert_error("copy: its backward is a C function");
}
END_TEST

START_TEST(a_failed_allocation_is_an_error_wherever_it_happens)
{
    gr_graph *before = g;
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        g = gr_graph_new();
        inject_allocation(n);
        gr_tensor *w = weights(), *loss = network(w), *hv;
        gr_hvp(loss, &w, &w, 1, &hv);
        const void *h = gr_data(gr_add(gr_hessian(loss, w), hv));
        done = !inject_happened();
        inject_none();
        ck_assert_msg(done == (h != NULL), "allocation %d: %s", (int)n,
                      h ? "a result" : gr_graph_error(g));
        gr_graph_free(g);
    }
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    g = before;
}
END_TEST

SUITE("jacobian", setup, teardown, the_jacobian_of_a_matrix_product_is_the_matrix,
      shapes_of_output_and_input_follow_each_other,
      elements_that_do_not_depend_on_each_other_have_zero, a_jacobian_has_the_dtype_of_its_output,
      a_jacobian_can_be_differentiated_again_and_again,
      the_hessian_of_a_network_is_the_jacobian_of_its_gradient_row_by_row,
      the_hessian_of_a_network_agrees_with_forward_mode_and_with_differences,
      a_hessian_vector_product_is_the_product_with_the_hessian,
      a_hessian_vector_product_of_several_inputs_has_the_mixed_derivatives,
      arguments_that_cannot_be_used_are_errors, a_stale_input_is_an_error_that_says_so,
      derivatives_of_more_axes_than_there_can_be_are_an_error,
      a_hessian_vector_product_names_what_does_not_fit,
      a_backward_in_c_gives_a_jacobian_and_says_that_it_has_no_hessian,
      a_failed_allocation_is_an_error_wherever_it_happens)
