/* test_diagonal.c - diagonals, traces, triangles; and what is made from nothing. */
/* SPDX-License-Identifier: MIT */
#include "counting.h"
#include "fixture.h"
#include "suite.h"

#include <math.h>

START_TEST(diagonals_are_found)
{
    gr_tensor *x = counting(g, GR_SHAPE(3, 4)), *cube = counting(g, GR_SHAPE(2, 3, 2));
    const counting_case cases[] = {
        {"main", gr_diagonal(x, 0, 0, 1), GR_SHAPE(3), {0, 5, 10}},
        {"above", gr_diagonal(x, 2, 0, 1), GR_SHAPE(2), {2, 7}},
        {"below", gr_diagonal(x, -1, 0, 1), GR_SHAPE(2), {4, 9}},
        {"turned", gr_diagonal(x, 1, 1, 0), GR_SHAPE(2), {4, 9}},
        {"corner", gr_diagonal(x, 3, 0, 1), GR_SHAPE(1), {3}},
        {"outside", gr_diagonal(x, 4, 0, 1), GR_SHAPE(0), {0}},
        {"far outside", gr_diagonal(x, INT64_MIN, 0, 1), GR_SHAPE(0), {0}},
        {"batch", gr_diagonal(cube, 0, -2, -1), GR_SHAPE(2, 2), {0, 3, 6, 9}},
        {"outer axes", gr_diagonal(cube, 0, 0, 2), GR_SHAPE(3, 2), {0, 7, 2, 9, 4, 11}},
        {"trace", gr_trace(x), GR_SCALAR, {15}},
        {"traces", gr_trace(cube), GR_SHAPE(2), {3, 15}},
        {"trace of int64", gr_trace(gr_cast(x, GR_I64)), GR_SCALAR, {15}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(diagonals_are_laid_out)
{
    gr_tensor *x = gr_shift(counting(g, GR_SHAPE(2)), 1), *rows = gr_shift(counting(g, GR_SHAPE(2, 2)), 1);
    const counting_case cases[] = {
        {"diag", gr_diag(x, 0), GR_SHAPE(2, 2), {1, 0, 0, 2}},
        {"diag above", gr_diag(x, 1), GR_SHAPE(3, 3), {0, 1, 0, 0, 0, 2, 0, 0, 0}},
        {"diag below", gr_diag(x, -1), GR_SHAPE(3, 3), {0, 0, 0, 1, 0, 0, 0, 2, 0}},
        {"diag of a matrix", gr_diag(rows, 0), GR_SHAPE(2), {1, 4}},
        {"batch", gr_diag_embed(rows, 0, -2, -1), GR_SHAPE(2, 2, 2), {1, 0, 0, 2, 3, 0, 0, 4}},
        {"batch last", gr_diag_embed(rows, 0, 0, 1), GR_SHAPE(2, 2, 2), {1, 3, 0, 0, 0, 0, 2, 4}},
        {"of bool", gr_diag(gr_cast(x, GR_BOOL), 0), GR_SHAPE(2, 2), {1, 0, 0, 1}},
    };
    COUNTING_VERIFY(g, cases);
    gr_diag(gr_zeros(g, GR_F32, GR_SCALAR), 0);
    counting_error(g, "diag: expected a vector or a matrix, got []");
    gr_diag_embed(gr_zeros(g, GR_F32, GR_SHAPE(2)), INT64_MAX, 0, 1);
    counting_error(g, "diag_embed: [2] is no diagonal");
}
END_TEST

START_TEST(triangles_keep_what_they_should)
{
    gr_tensor *x = gr_shift(counting(g, GR_SHAPE(2, 3)), 1), *tall = gr_shift(counting(g, GR_SHAPE(3, 2)), 1);
    const counting_case cases[] = {
        {"tril", gr_tril(x, 0), GR_SHAPE(2, 3), {1, 0, 0, 4, 5, 0}},
        {"tril above", gr_tril(x, 1), GR_SHAPE(2, 3), {1, 2, 0, 4, 5, 6}},
        {"tril below", gr_tril(x, -1), GR_SHAPE(2, 3), {0, 0, 0, 4, 0, 0}},
        {"triu", gr_triu(x, 0), GR_SHAPE(2, 3), {1, 2, 3, 0, 5, 6}},
        {"triu above", gr_triu(x, 1), GR_SHAPE(2, 3), {0, 2, 3, 0, 0, 6}},
        {"tall", gr_triu(tall, -1), GR_SHAPE(3, 2), {1, 2, 3, 4, 0, 6}},
        {"transposed", gr_tril(gr_transpose(x, 0, 1), 0), GR_SHAPE(3, 2), {1, 0, 2, 5, 3, 6}},
        {"bool", gr_tril(gr_ones(g, GR_BOOL, GR_SHAPE(2, 2)), 0), GR_SHAPE(2, 2), {1, 0, 1, 1}},
        {"nan is cut off", gr_triu(gr_tril(gr_full(g, GR_F64, GR_SHAPE(2, 2), NAN), -1), 0), GR_SHAPE(2, 2), {0, 0, 0, 0}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(ranges_are_made)
{
    const counting_case cases[] = {
        {"arange", gr_arange(g, GR_F64, 1, 4, 1), GR_SHAPE(3), {1, 2, 3}},
        {"halves", gr_arange(g, GR_F64, 0, 2, 0.5), GR_SHAPE(4), {0, 0.5, 1, 1.5}},
        {"down", gr_arange(g, GR_F32, 3, 0, -2), GR_SHAPE(2), {3, 1}},
        {"none", gr_arange(g, GR_F32, 3, 0, 1), GR_SHAPE(0), {0}},
        {"int64", gr_arange(g, GR_I64, -1, 6, 3), GR_SHAPE(3), {-1, 2, 5}},
        {"linspace", gr_linspace(g, GR_F64, 0, 1, 5), GR_SHAPE(5), {0, 0.25, 0.5, 0.75, 1}},
        {"one", gr_linspace(g, GR_F32, 3, 8, 1), GR_SHAPE(1), {3}},
        {"nothing", gr_linspace(g, GR_F32, 3, 8, 0), GR_SHAPE(0), {0}},
        {"eye", gr_eye(g, GR_F32, 2, 3), GR_SHAPE(2, 3), {1, 0, 0, 0, 1, 0}},
        {"eye of bool", gr_eye(g, GR_BOOL, 3, 2), GR_SHAPE(3, 2), {1, 0, 0, 1, 0, 0}},
        {"no rows", gr_eye(g, GR_F64, 0, 2), GR_SHAPE(0, 2), {0}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(a_long_range_is_right_to_its_end)
{
    enum { N = 200001 };
    gr_tensor *a = gr_arange(g, GR_I64, 5, 5 + N, 1), *b = gr_linspace(g, GR_F64, -1, 1, N);
    const int64_t *whole = gr_data(a);
    const double *real = gr_data(b);
    for (int i = 0; i < N; i++) ck_assert_int_eq(whole[i], i + 5);
    ck_assert(real[0] == -1 && real[N - 1] == 1 && real[N / 2] == 0);
    for (int i = 0; i < N; i++) ck_assert(real[i] == -real[N - 1 - i]);
}
END_TEST

START_TEST(likes_have_shape_and_dtype_of_another)
{
    gr_tensor *x = gr_zeros(g, GR_I64, GR_SHAPE(2, 2));
    ck_assert_int_eq(gr_dtype_of(gr_ones_like(x)), GR_I64);
    const counting_case cases[] = {
        {"full", gr_full_like(x, 3), GR_SHAPE(2, 2), {3, 3, 3, 3}},
        {"ones", gr_ones_like(x), GR_SHAPE(2, 2), {1, 1, 1, 1}},
        {"zeros", gr_zeros_like(x), GR_SHAPE(2, 2), {0, 0, 0, 0}},
    };
    COUNTING_VERIFY(g, cases);
    ck_assert_ptr_null(gr_data(gr_full_like(NULL, 1)));
}
END_TEST

START_TEST(sources_need_a_graph_and_a_shape_rule)
{
    ck_assert_ptr_null(gr_data(gr_arange(NULL, GR_F32, 0, 3, 1)));
    gr_apply(g, gr_op_find("fill"), NULL, 0, &(double){1});
    counting_error(g, "fill: has no shape rule");
}
END_TEST

SUITE("diagonal", setup, teardown, diagonals_are_found, diagonals_are_laid_out,
      triangles_keep_what_they_should, ranges_are_made, a_long_range_is_right_to_its_end,
      likes_have_shape_and_dtype_of_another, sources_need_a_graph_and_a_shape_rule)
