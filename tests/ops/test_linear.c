/* test_linear.c - linear layers, and what their backward gives the parameters. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "matrix.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

/* --- linear --- */

START_TEST(linear_is_x_times_w_transposed_plus_b)
{
    gr_tensor *x = matrix_of(GR_F64, GR_SHAPE(2, 3, 4), 0),
              *w = matrix_of(GR_F64, GR_SHAPE(5, 4), 1);
    gr_tensor *b = matrix_of(GR_F64, GR_SHAPE(5), 2), *in[3] = {x, w, b}, *d[3], *e[3];
    gr_tensor *y = gr_linear(x, w, b), *z = gr_add(gr_matmul(x, gr_transpose(w, 0, 1)), b);
    matrix_same(y, z, 1e-13, "y");
    gr_grad(gr_square(y), in, 3, d);
    gr_grad(gr_square(z), in, 3, e);
    for (int k = 0; k < 3; k++) matrix_same(d[k], e[k], 1e-12, "gradient");
}
END_TEST

START_TEST(shapes_that_do_not_suit_the_weight_are_named)
{
    gr_linear(gr_ones(g, GR_F32, GR_SHAPE(2, 3)), gr_ones(g, GR_F32, GR_SHAPE(5, 4)), NULL);
    ck_assert_ptr_nonnull(
        strstr(gr_graph_error(g), "linear: x [2,3] does not suit a weight of [out,in] = [5,4]"));
}
END_TEST

/* --- linear_grad: dW = dY^T X, and the sums of the columns of dY --- */

static gr_tensor *linear_grad(gr_tensor *dy, gr_tensor *x)
{
    gr_tensor *in[2] = {dy, x};
    return gr_apply(NULL, gr_op_find("linear_grad"), in, 2, NULL);
}

/* As they lie, turned, every second column, one row again and again. */
enum { PLAIN, TURNED, STEPPED, REPEATED, LAYOUTS };

static gr_tensor *laid_out(gr_dtype dtype, int64_t rows, int64_t columns, int layout, double phase)
{
    if (layout == TURNED)
        return gr_transpose(matrix_of(dtype, GR_SHAPE(columns, rows), phase), 0, 1);
    if (layout == STEPPED)
        return gr_slice(matrix_of(dtype, GR_SHAPE(rows, 2 * columns), phase), 1, 0, 2 * columns, 2);
    if (layout == REPEATED)
        return gr_expand(matrix_of(dtype, GR_SHAPE(1, columns), phase), GR_SHAPE(rows, columns));
    return matrix_of(dtype, GR_SHAPE(rows, columns), phase);
}

static void expect_sum(const char *what, int64_t i, int64_t j, double got, double want,
                       double tolerance)
{
    ck_assert_msg(fabs(got - want) <= tolerance, "%s (%d, %d): expected %.12g, got %.12g", what,
                  (int)i, (int)j, want, got);
}

static void check_grad(gr_dtype dtype, const int64_t *size, int l_dy, int l_x)
{
    const int64_t rows = size[0], out = size[1], in = size[2];
    const double tolerance = dtype == GR_F64 ? 1e-13 : 1e-4;
    gr_tensor *dy = laid_out(dtype, rows, out, l_dy, 0), *x = laid_out(dtype, rows, in, l_x, 1);
    gr_tensor *dw = linear_grad(dy, x);
    const double *u = values(dy), *v = values(x), *pw = values(dw), *pb = values(gr_output(dw, 1));
    ck_assert_int_eq(gr_numel(dw), out * in);
    ck_assert_int_eq(gr_numel(gr_output(dw, 1)), out);
    for (int64_t o = 0; o < out; o++) {
        double db = 0;
        for (int64_t r = 0; r < rows; r++) db += u[r * out + o];
        expect_sum("db", o, 0, pb[o], db, tolerance);
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t r = 0; r < rows; r++) sum += u[r * out + o] * v[r * in + i];
            expect_sum("dW", o, i, pw[o * in + i], sum, tolerance);
        }
    }
    gr_graph_reset(g);
}

START_TEST(gradients_of_weight_and_bias_of_any_layout)
{
    static const int64_t sizes[][3] = {{4, 3, 2},    {1, 5, 7}, {1, 1, 1}, {17, 16, 33},
                                       {30, 40, 20}, {0, 3, 2}, {4, 0, 2}, {4, 3, 0}};
    for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int layout = 0; layout < LAYOUTS * LAYOUTS; layout++)
                check_grad(dtype, sizes[i], layout / LAYOUTS, layout % LAYOUTS);
}
END_TEST

/* Both outputs as one vector: they are to be differentiated together. */
static gr_tensor *both(gr_tensor *dw)
{
    gr_tensor *part[2] = {gr_flatten(dw, 0), gr_output(dw, 1)};
    return gr_concat(part, 2, 0);
}

static gr_tensor *constant(gr_tensor *like, gr_shape shape)
{
    double x[64];
    matrix_fill(x, gr_shape_numel(&shape), 3);
    return gr_from_data(gr_graph_of(like), GR_F64, shape, x);
}

static gr_tensor *of_dy(gr_tensor *x)
{
    return both(linear_grad(x, constant(x, GR_SHAPE(2, 4))));
}
static gr_tensor *of_x(gr_tensor *x)
{
    return linear_grad(constant(x, GR_SHAPE(2, 4)), x);
}
static gr_tensor *of_both(gr_tensor *x)
{
    return both(linear_grad(x, gr_sin(x)));
}
static gr_tensor *bias_alone(gr_tensor *x)
{
    return gr_output(linear_grad(x, x), 1);
}

START_TEST(they_can_be_differentiated_again)
{
    static const double x[] = {0.3, -0.7, 0.2, 0.9, -0.4, 0.6};
    derivative_check(g, "by dy", of_dy, GR_SHAPE(2, 3), x, 2);
    derivative_check(g, "by x", of_x, GR_SHAPE(2, 3), x, 2);
    derivative_check(g, "by both", of_both, GR_SHAPE(2, 3), x, 3);
    derivative_check(g, "of the bias alone", bias_alone, GR_SHAPE(2, 3), x, 2);
}
END_TEST

/* The layer whose parameters are small takes the op; its derivatives of second order are those of
 * a layer put together from a product and a sum. */
static gr_tensor *layer(gr_tensor *x, bool whole)
{
    gr_tensor *w = gr_reshape(gr_narrow(x, 0, 0, 6), GR_SHAPE(2, 3)), *b = gr_narrow(x, 0, 6, 2);
    gr_tensor *in = constant(x, GR_SHAPE(4, 3));
    return gr_tanh(whole ? gr_linear(in, w, b) : gr_add(gr_matmul(in, gr_transpose(w, 0, 1)), b));
}

static gr_tensor *second(gr_tensor *x, bool whole)
{
    gr_tensor *d, *dd;
    gr_grad(gr_sum_all(layer(x, whole)), &x, 1, &d);
    gr_grad(gr_sum_all(gr_square(d)), &x, 1, &dd);
    return dd;
}

START_TEST(a_small_layer_has_the_second_derivatives_of_its_parts)
{
    gr_tensor *x = matrix_of(GR_F64, GR_SHAPE(8), 5);
    matrix_same(second(x, true), second(x, false), 1e-13, "second derivative");
}
END_TEST

/* Against a linear layer made of parts, whatever nodes its backward takes; once more differentiated. */
static void check_linear(int64_t n, int64_t out, int64_t in, bool wants_x)
{
    gr_tensor *x = matrix_of(GR_F64, GR_SHAPE(n, in), 0), *y[2], *d[2][3], *dd[2][3];
    gr_tensor *w = matrix_of(GR_F64, GR_SHAPE(out, in), 1), *b = matrix_of(GR_F64, GR_SHAPE(out), 2);
    gr_tensor *all[3] = {w, b, x};
    const int count = wants_x ? 3 : 2;
    y[0] = gr_linear(x, w, b);
    y[1] = gr_add(gr_matmul(x, gr_transpose(w, 0, 1)), b);
    for (int i = 0; i < 2; i++) {
        gr_tensor *length = gr_zeros(g, GR_F64, GR_SCALAR);
        gr_grad(gr_sum_all(gr_sin(y[i])), all, count, d[i]);
        for (int k = 0; k < count; k++) length = gr_add(length, gr_sum_all(gr_square(d[i][k])));
        gr_grad(length, all, count, dd[i]);
    }
    for (int k = 0; k < count; k++) {
        matrix_same(d[0][k], d[1][k], 1e-11, "gradient");
        matrix_same(dd[0][k], dd[1][k], 1e-10, "second derivative");
    }
    gr_graph_reset(g);
}

START_TEST(backward_of_linear_is_that_of_its_parts)
{
    static const int64_t sizes[][3] = {{1, 1, 1}, {1, 16, 2}, {1, 16, 16}, {1, 1, 16}, {3, 5, 2},
                                       {7, 4, 9}, {0, 4, 2},  {2, 0, 3},   {2, 3, 0},  {40, 20, 17}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int wants_x = 0; wants_x < 2; wants_x++)
            check_linear(sizes[i][0], sizes[i][1], sizes[i][2], wants_x);
}
END_TEST

SUITE("linear", setup, teardown, linear_is_x_times_w_transposed_plus_b,
      shapes_that_do_not_suit_the_weight_are_named, gradients_of_weight_and_bias_of_any_layout,
      they_can_be_differentiated_again,
      backward_of_linear_is_that_of_its_parts, a_small_layer_has_the_second_derivatives_of_its_parts)
