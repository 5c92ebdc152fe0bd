/* test_weight_norm.c - lengths, weights and matrices of length one. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void assert_values(gr_tensor *t, const double *want, double tolerance)
{
    const double *got = values(t);
    for (int64_t i = 0; i < gr_numel(t); i++) ck_assert_double_eq_tol(got[i], want[i], tolerance);
}

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

START_TEST(normalize_divides_by_the_norm_or_by_eps)
{
    static const double x[4] = {3, -4, 0, 0};
    static const struct {
        double p, eps, want[4];
    } cases[] = {
        {0, 0, {0.6, -0.8, 0, 0}},
        {1, 0, {3. / 7, -4. / 7, 0, 0}},
        {INFINITY, 0, {0.75, -1, 0, 0}},
        {2, 10, {0.3, -0.4, 0, 0}},
    };
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++)
        for (int i = 0; i < 4; i++) {
            gr_tensor *in = make((gr_dtype)dtype, x, GR_SHAPE(2, 2));
            assert_values(gr_normalize(in, cases[i].p, -1, cases[i].eps), cases[i].want, 1e-7);
        }
}
END_TEST

START_TEST(a_vector_of_zeros_has_a_finite_gradient)
{
    const double x[2] = {0, 0}, want[2] = {4, 4};
    gr_tensor *in = make(GR_F64, x, GR_SHAPE(2)), *d;
    ck_assert_int_eq(gr_grad(gr_normalize(in, 2, 0, 0.25), &in, 1, &d), GR_OK);
    assert_values(d, want, 1e-15);
    gr_tensor *none = gr_zeros(g, GR_F64, GR_SHAPE(0, 3));
    ck_assert_int_eq(gr_numel(gr_normalize(none, INFINITY, 0, 0)), 0);
}
END_TEST

START_TEST(weight_norm_gives_each_slice_its_length)
{
    const double v[6] = {3, 4, 0, 0, 5, 12}, lengths[2] = {10, 26};
    const double want[6] = {6, 8, 0, 0, 10, 24}, columns[3] = {3, sqrt(41), 12};
    gr_tensor *t = make(GR_F64, v, GR_SHAPE(2, 3));
    assert_values(gr_weight_norm(t, make(GR_F64, lengths, GR_SHAPE(2, 1)), 0), want, 1e-14);
    gr_tensor *same = gr_weight_norm(t, make(GR_F64, columns, GR_SHAPE(1, 3)), 1);
    assert_values(same, v, 1e-14); /* the lengths that the columns have */
}
END_TEST

/* W = diag(4, 3): singular vectors are the axes. */
START_TEST(spectral_norm_finds_the_largest_singular_value)
{
    const double w[4] = {4, 0, 0, 3}, u[2] = {0.6, 0.8}, want[4] = {1, 0, 0, 0.75};
    gr_tensor *t = make(GR_F64, w, GR_SHAPE(2, 2)), *next, *d;
    gr_tensor *y = gr_spectral_norm(t, make(GR_F64, u, GR_SHAPE(2)), 60, &next);
    assert_values(y, want, 1e-13);
    assert_values(next, (const double[]){1, 0}, 1e-6);
    const double c[4] = {1, 2, 3, 4}; /* dW = c / s - (sum c y / s) u v^T with s = 4 */
    ck_assert_int_eq(gr_grad(gr_mul(y, make(GR_F64, c, GR_SHAPE(2, 2))), &t, 1, &d), GR_OK);
    assert_values(d, (const double[]){0.25 - 4 / 4., 0.5, 0.75, 1}, 1e-6);
}
END_TEST

START_TEST(spectral_norm_without_iterations_keeps_u)
{
    const double w[6] = {1, 2, 3, 4, 5, 6}, u[2] = {0.6, 0.8};
    gr_tensor *t = make(GR_F32, w, GR_SHAPE(2, 3)), *start = make(GR_F32, u, GR_SHAPE(2)), *next;
    const double *y = values(gr_spectral_norm(t, start, 0, &next));
    assert_values(next, u, 1e-7);
    double sigma = 0, side;
    for (int j = 0; j < 3; j++) side = 0.6 * w[j] + 0.8 * w[3 + j], sigma += side * side;
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(y[i], w[i] / sqrt(sigma), 1e-6);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_normalize(gr_zeros(g, GR_F32, GR_SHAPE(3)), 2, 1, 0);
    assert_error("normalize: axis 1 is out of range for [3]");
    gr_weight_norm(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), gr_zeros(g, GR_F32, GR_SHAPE(2)), 0);
    assert_error("weight_norm: expected g of [2,1], got [2]");
    gr_spectral_norm(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), gr_zeros(g, GR_F32, GR_SHAPE(3)), 1, NULL);
    assert_error("spectral_norm: expected w of [m,...]");
    gr_spectral_norm(gr_ones(g, GR_F32, GR_SHAPE(2, 3)), gr_ones(g, GR_F32, GR_SHAPE(2)), -1, NULL);
    assert_error("spectral_norm: -1 iterations");
    gr_spectral_norm(NULL, NULL, 1, NULL);
}
END_TEST

SUITE("weight_norm", setup, teardown, normalize_divides_by_the_norm_or_by_eps,
      a_vector_of_zeros_has_a_finite_gradient, weight_norm_gives_each_slice_its_length,
      spectral_norm_finds_the_largest_singular_value, spectral_norm_without_iterations_keeps_u,
      what_does_not_fit_is_named)
