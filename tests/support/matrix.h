/* matrix.h - matrices for tests: numbers without a pattern, and elimination by hand. */
/* SPDX-License-Identifier: MIT */
#ifndef MATRIX_H
#define MATRIX_H

#include "fixture.h"

#include <math.h>
#include <string.h>

/* Between -1 and 1, as good as random: sines alone would make matrices of low rank. */
static inline void matrix_fill(double *x, int64_t n, double phase)
{
    for (int64_t i = 0; i < n; i++) {
        const double t = 43758.5453 * sin(12.9898 * (double)(i + 1) + 78.233 * phase);
        x[i] = 2 * (t - floor(t)) - 1;
    }
}

static inline gr_tensor *matrix_of(gr_dtype dtype, gr_shape shape, double phase)
{
    static double x[4096];
    ck_assert_int_le(gr_shape_numel(&shape), 4096);
    matrix_fill(x, gr_shape_numel(&shape), phase);
    return make(dtype, x, shape);
}

/* All elements of two tensors of one shape, to a tolerance. */
static inline void matrix_same(gr_tensor *a, gr_tensor *b, double tolerance, const char *what)
{
    const double *x = values(a), *y = values(b);
    ck_assert_msg(gr_shape_equal(gr_shape_of(a), gr_shape_of(b)), "%s: other shapes", what);
    for (int64_t i = 0; i < gr_numel(a); i++)
        ck_assert_msg(fabs(x[i] - y[i]) <= tolerance, "%s: element %d is %.12g, expected %.12g",
                      what, (int)i, x[i], y[i]);
}

static inline void matrix_error(gr_tensor *t, const char *want)
{
    gr_eval(&t, 1);
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want,
                  error ? error : "none");
    gr_graph_reset(g);
}

/* The determinant of a [n,n], by elimination with row exchanges; b [n,k] becomes the solution of
 * a x = b. Both are overwritten. */
static inline double matrix_eliminate(int n, double *a, int k, double *b)
{
    double det = 1;
    for (int c = 0; c < n; c++) {
        int best = c;
        for (int r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[best * n + c])) best = r;
        for (int j = 0; j < n && best != c; j++) {
            double t = a[c * n + j];
            a[c * n + j] = a[best * n + j];
            a[best * n + j] = t;
        }
        for (int j = 0; j < k && best != c; j++) {
            double t = b[c * k + j];
            b[c * k + j] = b[best * k + j];
            b[best * k + j] = t;
        }
        det *= best == c ? a[c * n + c] : -a[c * n + c];
        for (int r = 0; r < n; r++) {
            if (r == c) continue;
            double f = a[r * n + c] / a[c * n + c];
            for (int j = c; j < n; j++) a[r * n + j] -= f * a[c * n + j];
            for (int j = 0; j < k; j++) b[r * k + j] -= f * b[c * k + j];
        }
    }
    for (int r = 0; r < n; r++)
        for (int j = 0; j < k; j++) b[r * k + j] /= a[r * n + r];
    return det;
}

#endif
