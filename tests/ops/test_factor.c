/* test_factor.c - factorisations: they multiply to the matrix, and to what loops by hand find. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "matrix.h"
#include "suite.h"

static gr_tensor *turned(gr_tensor *x)
{
    return gr_transpose(x, -2, -1);
}

static gr_tensor *identity(int64_t n)
{
    return gr_eye(g, GR_F64, n, n);
}

/* A A^T + I of a batch. */
static gr_tensor *definite(int64_t n)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, n, n), 0.2);
    return gr_add(gr_matmul(a, turned(a)), identity(n));
}

static void orthonormal(gr_tensor *q, const char *what)
{
    const gr_shape *s = gr_shape_of(q);
    gr_shape square = *s;
    square.dim[s->rank - 2] = s->dim[s->rank - 1];
    matrix_same(gr_matmul(turned(q), q), gr_expand(identity(s->dim[s->rank - 1]), square), 1e-12, what);
}

/* --- cholesky --- */

START_TEST(cholesky_is_lower_and_multiplies_to_the_matrix)
{
    const int64_t sizes[] = {1, 3, 30};
    for (int i = 0; i < 3; i++) {
        gr_tensor *a = definite(sizes[i]), *l = gr_cholesky(a);
        matrix_same(gr_matmul(l, turned(l)), a, 1e-11, "L L^T");
        matrix_same(gr_tril(l, 0), l, 0, "lower");
        matrix_same(gr_cholesky(gr_tril(a, 0)), l, 0, "the upper half is not read");
        gr_tensor *b = matrix_of(GR_F64, GR_SHAPE(2, sizes[i], 2), 1);
        matrix_same(gr_cholesky_solve(b, l, false), gr_solve(a, b), 1e-10, "solution");
        matrix_same(gr_cholesky_solve(b, turned(l), true), gr_solve(a, b), 1e-10, "upper");
        matrix_same(gr_cast(gr_cholesky(gr_cast(a, GR_F32)), GR_F64), l, 1e-3, "float32");
    }
}
END_TEST

START_TEST(what_is_not_positive_definite_is_named)
{
    const double a[] = {4, 0, 0, 4, /* */ 1, 2, 2, 1};
    gr_tensor *m = gr_from_data(g, GR_F64, GR_SHAPE(2, 2, 2), a);
    matrix_error(gr_cholesky(m), "cholesky: matrix 1 of the batch is not positive definite, by its leading minor of order 2");
}
END_TEST

/* --- qr --- */

START_TEST(qr_multiplies_to_the_matrix_with_a_positive_diagonal)
{
    const int64_t sizes[][2] = {{1, 1}, {5, 3}, {3, 3}, {2, 5}, {40, 30}, {4, 1}, {1, 4}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, sizes[i][0], sizes[i][1]), 0.4);
        gr_tensor *q = gr_qr(a), *r = gr_output(q, 1);
        matrix_same(gr_matmul(q, r), a, 1e-12, "Q R");
        matrix_same(gr_triu(r, 0), r, 0, "upper");
        orthonormal(q, "Q^T Q");
        const double *d = values(gr_diagonal(r, 0, -2, -1));
        for (int64_t k = 0; k < gr_numel(gr_diagonal(r, 0, -2, -1)); k++) ck_assert(d[k] >= 0);
    }
}
END_TEST

/* Gram and Schmidt, column by column. */
START_TEST(qr_is_what_gram_and_schmidt_find)
{
    double q[12], r[9] = {0};
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(4, 3), 0.9), *got = gr_qr(a);
    memcpy(q, values(a), sizeof q);
    for (int j = 0; j < 3; j++) {
        for (int k = 0; k < j; k++) {
            for (int i = 0; i < 4; i++) r[k * 3 + j] += q[i * 3 + k] * q[i * 3 + j];
            for (int i = 0; i < 4; i++) q[i * 3 + j] -= r[k * 3 + j] * q[i * 3 + k];
        }
        for (int i = 0; i < 4; i++) r[j * 3 + j] += q[i * 3 + j] * q[i * 3 + j];
        r[j * 3 + j] = sqrt(r[j * 3 + j]);
        for (int i = 0; i < 4; i++) q[i * 3 + j] /= r[j * 3 + j];
    }
    matrix_same(got, gr_from_data(g, GR_F64, GR_SHAPE(4, 3), q), 1e-12, "Q");
    matrix_same(gr_output(got, 1), gr_from_data(g, GR_F64, GR_SHAPE(3, 3), r), 1e-12, "R");
}
END_TEST

START_TEST(least_squares_solve_the_normal_equations)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, 7, 3), 0), *b = matrix_of(GR_F64, GR_SHAPE(2, 7, 2), 1);
    gr_tensor *x = gr_lstsq(a, b);
    matrix_same(x, gr_solve(gr_matmul(turned(a), a), gr_matmul(turned(a), b)), 1e-11, "X");
    gr_tensor *v = matrix_of(GR_F64, GR_SHAPE(7), 2), *one = gr_select(a, 0, 1);
    matrix_same(gr_lstsq(one, v), gr_solve(gr_matmul(turned(one), one), gr_matmul(turned(one), v)), 1e-11, "vector");
}
END_TEST

/* --- eigh --- */

/* Eigenvalues of a symmetric matrix by Jacobi's rotations, ascending. */
static void jacobi(int n, double *a, double *w)
{
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double angle = 0.5 * atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]);
                double c = cos(angle), s = sin(angle);
                for (int k = 0; k < n; k++) {
                    double x = a[k * n + p], y = a[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
            }
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && w[at - 1] > a[i * n + i]; at--) w[at] = w[at - 1];
        w[at] = a[i * n + i];
    }
}

START_TEST(eigenvalues_are_those_of_jacobi)
{
    double a[64], w[8];
    for (int n = 1; n <= 8; n++) {
        gr_tensor *x = matrix_of(GR_F64, GR_SHAPE(n, n), 0.1);
        gr_tensor *m = gr_add(x, turned(x)), *got = gr_eigh(m), *v = gr_output(got, 1);
        memcpy(a, values(m), (size_t)(n * n) * sizeof *a);
        jacobi(n, a, w);
        gr_tensor *want = gr_from_data(g, GR_F64, GR_SHAPE(n), w);
        matrix_same(got, want, 1e-12, "w");
        matrix_same(gr_matmul(gr_mul(v, got), turned(v)), m, 1e-12, "V diag(w) V^T");
        orthonormal(v, "V^T V");
        matrix_same(gr_cast(gr_eigvalsh(gr_cast(m, GR_F32)), GR_F64), want, 1e-5, "float32");
    }
}
END_TEST

static void largest_is_positive(gr_tensor *v)
{
    const int64_t m = gr_shape_of(v)->dim[0], n = gr_shape_of(v)->dim[1];
    const double *p = values(v);
    for (int64_t j = 0; j < n; j++) {
        double best = 0;
        for (int64_t i = 0; i < m; i++)
            if (fabs(p[i * n + j]) > fabs(best)) best = p[i * n + j];
        ck_assert(best > 0);
    }
}

START_TEST(signs_are_chosen_by_the_largest_element)
{
    gr_tensor *x = matrix_of(GR_F64, GR_SHAPE(6, 6), 0.7);
    largest_is_positive(gr_output(gr_eigh(gr_add(x, turned(x))), 1));
    largest_is_positive(gr_svd(x));
    largest_is_positive(gr_svd(gr_slice(x, 0, 0, 2, 1)));
}
END_TEST

START_TEST(equal_eigenvalues_have_a_gradient_of_their_own_but_not_of_their_vectors)
{
    gr_tensor *m = gr_diag(gr_from_data(g, GR_F64, GR_SHAPE(3), (double[]){2, 2, 4}), 0), *d;
    gr_grad(gr_sum_all(gr_square(gr_eigvalsh(m))), &m, 1, &d);
    matrix_same(d, gr_scale(m, 2), 1e-12, "sum w^2 = |A|^2");
    gr_grad(gr_sum_all(gr_svdvals(m)), &m, 1, &d);
    matrix_same(d, identity(3), 1e-12, "sum s = trace");
    gr_grad(gr_sum_all(gr_output(gr_eigh(m), 1)), &m, 1, &d);
    ck_assert(!isfinite(values(d)[0]) || !isfinite(values(d)[1]));
}
END_TEST

/* --- svd --- */

START_TEST(svd_multiplies_to_the_matrix_and_descends)
{
    const int64_t sizes[][2] = {{1, 1}, {5, 3}, {3, 3}, {2, 5}, {30, 20}, {4, 1}, {1, 4}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, sizes[i][0], sizes[i][1]), 0.4);
        gr_tensor *u = gr_svd(a), *s = gr_output(u, 1), *vh = gr_output(u, 2);
        matrix_same(gr_matmul(gr_mul(u, gr_unsqueeze(s, -2)), vh), a, 1e-12, "U diag(s) Vh");
        orthonormal(u, "U^T U");
        orthonormal(turned(vh), "Vh Vh^T");
        const int64_t k = gr_shape_of(s)->dim[1];
        const double *p = values(s);
        for (int64_t j = 0; j < 2 * k; j++) ck_assert(p[j] >= 0 && (j % k == 0 || p[j] <= p[j - 1]));
        gr_tensor *gram = gr_matmul(a, turned(a));
        gr_tensor *w = gr_flip(gr_slice(gr_eigvalsh(gram), 1, sizes[i][0] - k, sizes[i][0], 1), GR_AXES(1));
        matrix_same(gr_square(gr_svdvals(a)), w, 1e-11, "s^2");
    }
}
END_TEST

START_TEST(what_is_not_finite_gives_nan_and_ends)
{
    const double bad[] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        const double a[] = {1, bad[i], bad[i], 2, /* then a finite one */ 3, 0, 0, 2};
        gr_tensor *m = gr_from_data(g, GR_F64, GR_SHAPE(2, 2, 2), a);
        gr_tensor *results[] = {gr_cholesky(m), gr_output(gr_qr(m), 1), gr_output(gr_eigh(m), 1), gr_svd(m)};
        for (int k = 0; k < 4; k++) {
            const double *p = values(results[k]);
            for (int j = 0; j < 4; j++) ck_assert(isnan(p[j]));
            for (int j = 4; j < 8; j++) ck_assert(isfinite(p[j]));
        }
        const double *w = values(gr_eigvalsh(m)), *s = values(gr_svdvals(m));
        ck_assert(isnan(w[0]) && isnan(s[1]) && w[2] == 2 && w[3] == 3 && s[2] == 3 && s[3] == 2);
    }
}
END_TEST

/* --- norms, powers --- */

START_TEST(norms_of_a_matrix_are_the_published_ones)
{
    /* numpy.linalg.norm of arange(9) - 4 in rows of 3, its documentation; the rest by hand */
    static const double want[] = {[GR_MATRIX_NORM_FRO] = 7.745966692414834, [GR_MATRIX_NORM_NUC] = 9.797958971132713,
                                  [GR_MATRIX_NORM_1] = 7, [GR_MATRIX_NORM_INF] = 9, [GR_MATRIX_NORM_2] = 7.3484692283495345,
                                  [GR_MATRIX_NORM_MINUS_1] = 6, [GR_MATRIX_NORM_MINUS_INF] = 2, [GR_MATRIX_NORM_MINUS_2] = 0};
    gr_tensor *a = gr_reshape(gr_arange(g, GR_F64, -4, 5, 1), GR_SHAPE(3, 3));
    for (int order = 0; order < 8; order++) {
        gr_tensor *y = gr_matrix_norm(a, (gr_matrix_norm_order)order, false);
        gr_tensor *kept = gr_matrix_norm(a, (gr_matrix_norm_order)order, true);
        ck_assert_double_eq_tol(gr_item(y), want[order], 1e-13);
        ck_assert(gr_shape_equal(gr_shape_of(kept), &GR_SHAPE(1, 1)) && gr_item(kept) == gr_item(y));
    }
}
END_TEST

START_TEST(the_norm_of_zeros_has_the_gradient_zero)
{
    gr_tensor *a = gr_zeros(g, GR_F64, GR_SHAPE(3, 2)), *d;
    gr_grad(gr_matrix_norm(a, GR_MATRIX_NORM_FRO, false), &a, 1, &d);
    const double *p = values(d);
    for (int i = 0; i < 6; i++) ck_assert(p[i] == 0);
}
END_TEST

START_TEST(powers_are_repeated_products)
{
    gr_tensor *a = gr_add(matrix_of(GR_F64, GR_SHAPE(3, 3), 0), identity(3)), *y = identity(3);
    for (int n = 0; n < 9; n++, y = gr_matmul(y, a)) {
        matrix_same(gr_matrix_power(a, n), y, 1e-11, "power");
        matrix_same(gr_matmul(gr_matrix_power(a, -n), y), identity(3), 1e-9, "inverse power");
    }
}
END_TEST

/* --- derivatives --- */

static gr_tensor *cholesky_of(gr_tensor *x) { return gr_cholesky(gr_add(gr_matmul(x, turned(x)), gr_eye(gr_graph_of(x), GR_F64, 3, 3))); }
static gr_tensor *q_of(gr_tensor *x) { return gr_qr(x); }
static gr_tensor *r_of(gr_tensor *x) { return gr_output(gr_qr(x), 1); }
static gr_tensor *vectors_of(gr_tensor *x) { return gr_output(gr_eigh(gr_add(x, turned(x))), 1); }
static gr_tensor *u_of(gr_tensor *x) { return gr_svd(x); }
static gr_tensor *vh_of(gr_tensor *x) { return gr_output(gr_svd(x), 2); }

START_TEST(derivatives_agree_with_differences)
{
    const double x[] = {3, 0.5, -0.2, 0.1, -2, 0.7, 0.4, -0.6, 5};
    derivative_check(g, "cholesky", cholesky_of, GR_SHAPE(3, 3), x, 2);
    derivative_check(g, "eigenvectors", vectors_of, GR_SHAPE(3, 3), x, 2);
    const gr_shape shapes[] = {GR_SHAPE(3, 3), GR_SHAPE(2, 3), GR_SHAPE(3, 2)};
    for (int i = 0; i < 3; i++) { /* signs stay as they are nearby */
        derivative_check(g, "q", q_of, shapes[i], x, 2);
        derivative_check(g, "r", r_of, shapes[i], x, 2);
        derivative_check(g, "u", u_of, shapes[i], x, 2);
        derivative_check(g, "vh", vh_of, shapes[i], x, 2);
    }
}
END_TEST

SUITE("factor", setup, teardown, cholesky_is_lower_and_multiplies_to_the_matrix,
      what_is_not_positive_definite_is_named, qr_multiplies_to_the_matrix_with_a_positive_diagonal,
      qr_is_what_gram_and_schmidt_find, least_squares_solve_the_normal_equations,
      eigenvalues_are_those_of_jacobi, signs_are_chosen_by_the_largest_element,
      equal_eigenvalues_have_a_gradient_of_their_own_but_not_of_their_vectors,
      svd_multiplies_to_the_matrix_and_descends, what_is_not_finite_gives_nan_and_ends,
      norms_of_a_matrix_are_the_published_ones, the_norm_of_zeros_has_the_gradient_zero,
      powers_are_repeated_products, derivatives_agree_with_differences)
