/* test_solve.c - systems, inverses and determinants against elimination by hand. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "matrix.h"
#include "suite.h"

/* --- solve, inverse --- */

static const double eps[] = {[GR_F32] = 2e-4, [GR_F64] = 1e-10};

static void check_system(int n, int k, gr_dtype dtype)
{
    static double a[1600], b[1600];
    gr_tensor *m = matrix_of(dtype, GR_SHAPE(n, n), 0.3), *r = matrix_of(dtype, GR_SHAPE(n, k), 1);
    memcpy(a, values(m), (size_t)(n * n) * sizeof *a);
    memcpy(b, values(r), (size_t)(n * k) * sizeof *b);
    double det = matrix_eliminate(n, a, k, b);
    const double *x = values(gr_solve(m, r));
    double size = 0;
    for (int i = 0; i < n * k; i++) size = fmax(size, fabs(b[i]));
    for (int i = 0; i < n * k; i++) ck_assert_double_eq_tol(x[i], b[i], eps[dtype] * size);
    double got = gr_item(gr_det(m)), sign = gr_item(gr_slogdet(m));
    ck_assert_double_eq_tol(got, det, eps[dtype] * fabs(det));
    ck_assert_double_eq(sign, det > 0 ? 1 : -1);
    ck_assert_double_eq_tol(gr_item(gr_output(gr_slogdet(m), 1)), log(fabs(det)), 10 * eps[dtype]);
    gr_graph_reset(g);
}

START_TEST(solutions_and_determinants_are_those_of_elimination)
{
    const int sizes[][2] = {{1, 1}, {2, 3}, {3, 1}, {7, 5}, {20, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_system(sizes[i][0], sizes[i][1], GR_F64);
        if (sizes[i][0] < 10) check_system(sizes[i][0], sizes[i][1], GR_F32);
    }
}
END_TEST

START_TEST(an_inverse_times_its_matrix_is_the_identity)
{
    const int sizes[] = {1, 4, 40};
    for (int i = 0; i < 3; i++) {
        gr_tensor *a = gr_add(matrix_of(GR_F64, GR_SHAPE(2, sizes[i], sizes[i]), 0), gr_scale(gr_eye(g, GR_F64, sizes[i], sizes[i]), 8));
        gr_tensor *one = gr_expand(gr_eye(g, GR_F64, sizes[i], sizes[i]), *gr_shape_of(a));
        matrix_same(gr_matmul(a, gr_inverse(a)), one, 1e-12, "A A^-1");
        matrix_same(gr_matmul(gr_inverse(a), a), one, 1e-12, "A^-1 A");
    }
}
END_TEST

START_TEST(a_right_hand_side_may_be_a_vector_and_batches_stretch)
{
    gr_tensor *a = gr_add(matrix_of(GR_F64, GR_SHAPE(2, 3, 3), 0), gr_scale(gr_eye(g, GR_F64, 3, 3), 3));
    gr_tensor *v = matrix_of(GR_F64, GR_SHAPE(3), 1), *b = matrix_of(GR_F64, GR_SHAPE(5, 1, 3, 4), 2);
    matrix_same(gr_matmul(a, gr_unsqueeze(gr_solve(a, v), -1)), gr_expand(gr_unsqueeze(v, -1), GR_SHAPE(2, 3, 1)), 1e-13, "vector");
    matrix_same(gr_matmul(a, gr_solve(a, b)), gr_expand(b, GR_SHAPE(5, 2, 3, 4)), 1e-13, "batch");
    gr_tensor *turned = gr_transpose(a, -2, -1);
    matrix_same(gr_matmul(turned, gr_solve(turned, b)), gr_expand(b, GR_SHAPE(5, 2, 3, 4)), 1e-13, "strided");
    ck_assert_int_eq(gr_numel(gr_solve(gr_zeros(g, GR_F32, GR_SHAPE(0, 3, 3)), gr_zeros(g, GR_F32, GR_SHAPE(3)))), 0);
}
END_TEST

START_TEST(a_triangle_is_solved_in_every_position)
{
    for (int bits = 0; bits < 16; bits++) {
        gr_triangular_options o = {bits & 1, bits & 2, bits & 4, bits & 8};
        gr_tensor *a = gr_add(matrix_of(GR_F64, GR_SHAPE(5, 5), 0), gr_scale(gr_eye(g, GR_F64, 5, 5), 3));
        gr_tensor *b = matrix_of(GR_F64, o.right ? GR_SHAPE(3, 5) : GR_SHAPE(5, 3), 1);
        gr_tensor *t = o.upper ? gr_triu(a, o.unit) : gr_tril(a, -(int)o.unit);
        if (o.unit) t = gr_add(t, gr_eye(g, GR_F64, 5, 5));
        if (o.transpose) t = gr_transpose(t, 0, 1);
        gr_tensor *x = gr_solve_triangular(a, b, o);
        matrix_same(o.right ? gr_matmul(x, t) : gr_matmul(t, x), b, 1e-12, "triangle");
    }
}
END_TEST

START_TEST(many_small_matrices_are_done_one_by_one)
{
    gr_tensor *a = gr_add(matrix_of(GR_F64, GR_SHAPE(400, 3, 3), 0), gr_scale(gr_eye(g, GR_F64, 3, 3), 3));
    const double *all = values(gr_inverse(a));
    for (int i = 0; i < 400; i += 57) {
        const double *one = values(gr_inverse(gr_select(a, 0, i)));
        for (int k = 0; k < 9; k++) ck_assert(all[i * 9 + k] == one[k]);
    }
}
END_TEST

START_TEST(the_bits_do_not_depend_on_the_number_of_threads)
{
    double first[3 * 24 * 24];
    for (int threads = 1; threads <= 3; threads++) {
        gr_set_threads(threads);
        const double *y = values(gr_inverse(gr_add(matrix_of(GR_F64, GR_SHAPE(3, 24, 24), 0), gr_eye(g, GR_F64, 24, 24))));
        if (threads == 1) memcpy(first, y, sizeof first);
        ck_assert_mem_eq(first, y, sizeof first);
        gr_graph_reset(g);
    }
    gr_set_threads(0);
}
END_TEST

/* --- singular, not finite --- */

START_TEST(what_is_singular_is_named)
{
    const double a[] = {1, 2, 3, 4, 5, 6, 0, 0, 0, /* then a regular one */ 1, 0, 0, 0, 1, 0, 0, 0, 1};
    gr_tensor *m = gr_flip(gr_from_data(g, GR_F64, GR_SHAPE(2, 3, 3), a), GR_AXES(0));
    gr_tensor *ones = gr_ones(g, GR_F64, GR_SHAPE(3, 1));
    ck_assert_ptr_nonnull(gr_data(gr_solve(gr_select(m, 0, 0), ones)));
    matrix_error(gr_solve(m, ones), "solve: matrix 1 of the batch is singular");
    matrix_error(gr_inverse(gr_zeros(g, GR_F32, GR_SHAPE(2, 2))), "inverse: the matrix is singular: there is no pivot 1");
    m = gr_from_data(g, GR_F64, GR_SHAPE(3, 3), a);
    ck_assert_double_eq_tol(gr_item(gr_det(m)), 0, 1e-14);
    gr_tensor *zero = gr_zeros(g, GR_F64, GR_SHAPE(3, 3)), *sign = gr_slogdet(zero);
    ck_assert(gr_item(sign) == 0 && gr_item(gr_output(sign, 1)) == -INFINITY);
    matrix_error(gr_solve_triangular(m, gr_ones(g, GR_F64, GR_SHAPE(3)), (gr_triangular_options){.upper = true}), "by its diagonal element 3");
}
END_TEST

START_TEST(what_is_not_finite_gives_nan)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        const double a[] = {2, bad[i], 1, 3, /* then a finite one */ 1, 0, 0, 2};
        gr_tensor *m = gr_from_data(g, GR_F64, GR_SHAPE(2, 2, 2), a);
        const double *y = values(gr_inverse(m)), *x = values(gr_solve(m, gr_ones(g, GR_F64, GR_SHAPE(2))));
        ck_assert(isnan(y[0]) && isnan(y[3]) && y[4] == 1 && y[7] == 0.5);
        ck_assert(isnan(x[0]) && isnan(x[1]) && x[2] == 1 && x[3] == 0.5);
        const double *det = values(gr_det(m)), *sign = values(gr_slogdet(m));
        ck_assert(isnan(det[0]) && det[1] == 2 && isnan(sign[0]) && sign[1] == 1);
    }
}
END_TEST

/* --- the gradient of det --- */

static void check_cofactors(int n, const double *a)
{
    double minor[64], x[64];
    gr_tensor *m = gr_from_data(g, GR_F64, GR_SHAPE(n, n), a), *d;
    gr_grad(gr_det(m), &m, 1, &d);
    const double *got = values(d);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int k = 0;
            for (int r = 0; r < n; r++)
                for (int c = 0; c < n; c++)
                    if (r != i && c != j) minor[k++] = a[r * n + c];
            /* regular in these tests, or zero */
            double largest = 0;
            for (int e = 0; e < k; e++) largest = fmax(largest, fabs(minor[e]));
            double det = largest > 0 ? matrix_eliminate(n - 1, minor, 0, x) : n == 1;
            if (isnan(det)) det = 0;
            ck_assert_double_eq_tol(got[i * n + j], (i + j) % 2 ? -det : det, 1e-11);
        }
    gr_graph_reset(g);
}

START_TEST(the_gradient_of_det_is_the_cofactors_at_any_rank)
{
    const double one = 5, rank2[] = {1, 2, 3, 4, 5, 6, 5, 7, 9}, rank1[] = {1, 2, 3, 2, 4, 6, -1, -2, -3};
    const double regular[] = {2, -1, 0.5, 1, 3, -2, 0.3, 1, 1.5}, zero[9] = {0};
    const double corner[] = {0, 0, 0, 1};
    check_cofactors(1, &one);
    check_cofactors(3, regular);
    check_cofactors(3, rank2);
    check_cofactors(3, rank1);
    check_cofactors(3, zero);
    check_cofactors(2, corner);
}
END_TEST

static gr_tensor *det_of(gr_tensor *x) { return gr_det(x); }
static gr_tensor *inverse_of(gr_tensor *x) { return gr_inverse(x); }
static gr_tensor *log_det_of(gr_tensor *x) { return gr_output(gr_slogdet(x), 1); }
static gr_tensor *solve_of(gr_tensor *x) { return gr_solve(x, gr_slice(gr_square(x), 1, 0, 2, 1)); }

START_TEST(derivatives_agree_with_differences)
{
    const double x[] = {3, 0.5, -0.2, 0.1, -2.5, 0.7, 0.4, -0.6, 3.5};
    derivative_check(g, "det", det_of, GR_SHAPE(3, 3), x, 2);
    derivative_check(g, "inverse", inverse_of, GR_SHAPE(3, 3), x, 2);
    derivative_check(g, "slogdet", log_det_of, GR_SHAPE(3, 3), x, 2);
    derivative_check(g, "solve", solve_of, GR_SHAPE(3, 3), x, 2);
}
END_TEST

START_TEST(nothing_has_the_determinant_one)
{
    ck_assert_double_eq(gr_item(gr_det(gr_zeros(g, GR_F64, GR_SHAPE(0, 0)))), 1);
    gr_tensor *sign = gr_slogdet(gr_zeros(g, GR_F64, GR_SHAPE(0, 0)));
    ck_assert(gr_item(sign) == 1 && gr_item(gr_output(sign, 1)) == 0);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_named)
{
    gr_tensor *a = gr_ones(g, GR_F64, GR_SHAPE(3, 3));
    matrix_error(gr_solve(a, gr_ones(g, GR_F32, GR_SHAPE(3, 1))), "solve: cannot mix float64 and float32");
    matrix_error(gr_solve(gr_ones(g, GR_F64, GR_SHAPE(2, 3, 3)), gr_ones(g, GR_F64, GR_SHAPE(4, 3, 1))), "solve: cannot broadcast [2,3,3] with [4,3,1]");
    matrix_error(gr_det(gr_zeros(g, GR_I64, GR_SHAPE(2, 2))), "det: not defined for int64");
    matrix_error(gr_solve(gr_ones(g, GR_F64, GR_SHAPE(3)), gr_ones(g, GR_F64, GR_SHAPE(3))), "solve: ");
}
END_TEST

SUITE("solve", setup, teardown, solutions_and_determinants_are_those_of_elimination,
      an_inverse_times_its_matrix_is_the_identity,
      a_right_hand_side_may_be_a_vector_and_batches_stretch, a_triangle_is_solved_in_every_position,
      many_small_matrices_are_done_one_by_one, the_bits_do_not_depend_on_the_number_of_threads,
      what_is_singular_is_named, what_is_not_finite_gives_nan,
      the_gradient_of_det_is_the_cofactors_at_any_rank, derivatives_agree_with_differences,
      nothing_has_the_determinant_one, shapes_that_do_not_fit_are_named)
