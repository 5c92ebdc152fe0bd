/* test_scatter.c - selecting, adding and writing by number, against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static void reset(void)
{
    gr__kernels_force(NULL);
    teardown();
}

static void assert_values(gr_tensor *t, const double *want)
{
    const double *got = values(t);
    for (int64_t i = 0; i < gr_numel(t); i++)
        ck_assert_msg(got[i] == want[i], "[%d]: %g for %g", (int)i, got[i], want[i]);
}

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

static void fill(double *x, int n, int seed)
{
    for (int i = 0; i < n; i++) x[i] = ((i + seed) * 37 % 19 - 9) / 8.0; /* exact in float32, sums too */
}

/* --- slices: x is [2,5,3], the index has 7 of the 5 --- */

enum { OUTER = 2, LENGTH = 5, INNER = 3, PICKED = 7, WHOLE = 30, PART = 42 };

static const int64_t picked[PICKED] = {2, 0, 4, 2, 2, 4, 0}; /* 1 and 3 never */

static int whole_of(int part)
{
    int outer = part / (PICKED * INNER), j = part / INNER % PICKED;
    return (outer * LENGTH + (int)picked[j]) * INNER + part % INNER;
}

static gr_tensor *list(void)
{
    return gr_from_data(g, GR_I64, GR_SHAPE(PICKED), picked);
}

START_TEST(slices_are_selected_and_added_back)
{
    static const char *const sets[] = {"baseline", "avx2", "avx512"};
    double x0[WHOLE], s0[PART], selected[PART], added[WHOLE], back[WHOLE] = {0};
    fill(x0, WHOLE, 0);
    fill(s0, PART, 5);
    memcpy(added, x0, sizeof x0);
    for (int i = 0; i < PART; i++) {
        selected[i] = x0[whole_of(i)];
        added[whole_of(i)] += s0[i];
        back[whole_of(i)] += s0[i];
    }
    for (int set = 0; set < 3; set++)
        for (int dtype = GR_F32; dtype <= GR_F64 && gr__kernels_force(sets[set]); dtype++) {
            gr_tensor *x = make((gr_dtype)dtype, x0, GR_SHAPE(OUTER, LENGTH, INNER)), *dx;
            gr_tensor *s = make((gr_dtype)dtype, s0, GR_SHAPE(OUTER, PICKED, INNER));
            gr_tensor *y = gr_index_select(x, 1, list());
            assert_values(y, selected);
            assert_values(gr_index_add(x, -2, list(), s), added);
            assert_values(x, x0);
            ck_assert_int_eq(gr_vjp(&y, &s, 1, &x, 1, &dx), GR_OK);
            assert_values(dx, back);
        }
}
END_TEST

START_TEST(selections_of_every_dtype_and_of_views)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6}, want[4] = {5, 2, 6, 3}; /* rows 1, 2 of the transpose, reversed */
    const int64_t two[2] = {1, 0}, middle[2] = {1, 2};
    for (int dtype = 0; dtype < GR_DTYPES; dtype++) {
        if (dtype == GR_BOOL) continue;
        gr_tensor *x = make((gr_dtype)dtype, x0, GR_SHAPE(2, 3));
        gr_tensor *rows = gr_index_select(gr_transpose(x, 0, 1), 0, gr_from_data(g, GR_I64, GR_SHAPE(2), middle));
        assert_values(gr_index_select(rows, 1, gr_from_data(g, GR_I64, GR_SHAPE(2), two)), want);
    }
    gr_tensor *one = gr_scalar(g, GR_F64, 4), *zero = gr_zeros(g, GR_I64, GR_SHAPE(1));
    ck_assert_double_eq(gr_item(gr_index_select(one, 0, zero)), 4);
    ck_assert_double_eq(gr_item(gr_index_add(one, 0, zero, one)), 8);
}
END_TEST

static gr_tensor *selection(gr_tensor *x)
{
    gr_tensor *y = gr_index_select(x, 1, list());
    return gr_mul(y, gr_exp(gr_index_select(x, 1, gr_zeros(g, GR_I64, GR_SHAPE(PICKED)))));
}

static gr_tensor *addition(gr_tensor *x)
{
    gr_tensor *squares = gr_index_select(gr_square(x), 1, list());
    return gr_index_add(x, 1, list(), squares);
}

START_TEST(derivatives_of_slices_agree_with_differences)
{
    double x[WHOLE];
    fill(x, WHOLE, 3);
    derivative_check(g, "index_select", selection, GR_SHAPE(OUTER, LENGTH, INNER), x, 2);
    derivative_check(g, "index_add", addition, GR_SHAPE(OUTER, LENGTH, INNER), x, 2);
}
END_TEST

/* --- elements: x is [2,4,3], the index [2,5,3], in which 3 never comes --- */

static int64_t choice(int i)
{
    return i * 7 % 5 % 3;
}

static gr_tensor *choices(void)
{
    int64_t index[30];
    for (int i = 0; i < 30; i++) index[i] = choice(i);
    return gr_from_data(g, GR_I64, GR_SHAPE(2, 5, 3), index);
}

static int place(int i)
{
    return i / 15 * 12 + (int)choice(i) * 3 + i % 3;
}

START_TEST(elements_are_added_and_written_the_last_wins)
{
    static const char *const sets[] = {"baseline", "avx2", "avx512"};
    double x0[24], s0[30], added[24], written[24], dy0[24], dx[24], ds[30] = {0};
    int writer[24];
    fill(x0, 24, 0);
    fill(s0, 30, 5);
    fill(dy0, 24, 9);
    memset(writer, -1, sizeof writer);
    memcpy(added, x0, sizeof x0);
    memcpy(written, x0, sizeof x0);
    for (int i = 0; i < 30; i++) {
        added[place(i)] += s0[i];
        written[place(i)] = s0[i];
        writer[place(i)] = i;
    }
    for (int i = 0; i < 24; i++) {
        dx[i] = writer[i] < 0 ? dy0[i] : 0;
        if (writer[i] >= 0) ds[writer[i]] = dy0[i];
    }
    for (int set = 0; set < 3; set++)
        for (int dtype = GR_F32; dtype <= GR_F64 && gr__kernels_force(sets[set]); dtype++) {
            gr_tensor *x[2] = {make((gr_dtype)dtype, x0, GR_SHAPE(2, 4, 3)),
                               make((gr_dtype)dtype, s0, GR_SHAPE(2, 5, 3))}, *d[2];
            gr_tensor *dy = make((gr_dtype)dtype, dy0, GR_SHAPE(2, 4, 3));
            gr_tensor *y = gr_scatter(x[0], 1, choices(), x[1]);
            assert_values(gr_scatter_add(x[0], -2, choices(), x[1]), added);
            assert_values(y, written);
            ck_assert_int_eq(gr_vjp(&y, &dy, 1, x, 2, d), GR_OK);
            assert_values(d[0], dx);
            assert_values(d[1], ds);
            const uint8_t *stays = gr_data(gr_output(y, 1));
            for (int i = 0; i < 30; i++) ck_assert_int_eq(stays[i], writer[place(i)] == i);
        }
}
END_TEST

static gr_tensor *writing(gr_tensor *x)
{
    gr_tensor *s = gr_gather(gr_square(x), 1, choices());
    return gr_scatter(x, 1, choices(), s);
}

static gr_tensor *adding(gr_tensor *x)
{
    gr_tensor *s = gr_gather(gr_square(x), 1, choices());
    return gr_scatter_add(x, 1, choices(), s);
}

START_TEST(derivatives_of_elements_agree_with_differences)
{
    double x[24];
    fill(x, 24, 3);
    derivative_check(g, "scatter", writing, GR_SHAPE(2, 4, 3), x, 2);
    derivative_check(g, "scatter_add", adding, GR_SHAPE(2, 4, 3), x, 2);
}
END_TEST

START_TEST(bad_indices_and_shapes_are_named)
{
    const int64_t bad[2] = {0, 4};
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(4, 2)), *s = gr_zeros(g, GR_F32, GR_SHAPE(2, 2));
    ck_assert_ptr_null(gr_data(gr_index_select(x, 0, gr_from_data(g, GR_I64, GR_SHAPE(2), bad))));
    assert_error("index_select: index[1] is 4, expected 0 <= index < 4");
    x = gr_zeros(g, GR_F32, GR_SHAPE(4, 2)), s = gr_zeros(g, GR_F32, GR_SHAPE(2, 2));
    gr_data(gr_index_add(x, 0, gr_from_data(g, GR_I64, GR_SHAPE(2), bad), s));
    assert_error("index_add: index[1] is 4, expected 0 <= index < 4");
    x = gr_zeros(g, GR_F32, GR_SHAPE(4, 2)), s = gr_zeros(g, GR_F32, GR_SHAPE(1, 2));
    gr_data(gr_scatter(x, 0, gr_from_data(g, GR_I64, GR_SHAPE(1, 2), bad), s));
    assert_error("scatter: index[0,1] is 4, expected 0 <= index < 4");
    x = gr_zeros(g, GR_F32, GR_SHAPE(4, 2));
    gr_scatter_add(x, 0, gr_zeros(g, GR_I64, GR_SHAPE(3, 2)), gr_zeros(g, GR_F64, GR_SHAPE(3, 2)));
    assert_error("scatter_add: expected float32 values of the shape of the index, got float64 [3,2] with [3,2]");
    gr_index_select(gr_zeros(g, GR_F32, GR_SCALAR), 0, gr_zeros(g, GR_I64, GR_SHAPE(2)));
    assert_error("index_select: a scalar takes an index of one element, got [2]");
}
END_TEST

/* --- threads --- */

enum { ROWS = 200, COLUMNS = 3000 };

static void run_large(int threads, float *out)
{
    static float x0[ROWS * COLUMNS];
    static int64_t rows[900], places[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) x0[i] = sinf((float)i);
    for (int i = 0; i < 900; i++) rows[i] = i * 31 % ROWS;
    for (int i = 0; i < ROWS * COLUMNS; i++) places[i] = (int64_t)i * 7919 % 501;
    gr_set_threads(threads);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(ROWS, COLUMNS), x0);
    gr_tensor *index = gr_from_data(g, GR_I64, GR_SHAPE(900), rows);
    gr_tensor *y = gr_index_add(x, 0, index, gr_sin(gr_index_select(x, 0, index)));
    gr_tensor *z = gr_scatter_add(x, 1, gr_from_data(g, GR_I64, GR_SHAPE(ROWS, COLUMNS), places), gr_sin(x));
    memcpy(out, gr_data(y), sizeof x0);
    memcpy(out + ROWS * COLUMNS, gr_data(z), sizeof x0);
    gr_graph_reset(g);
}

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[2 * ROWS * COLUMNS], two[2 * ROWS * COLUMNS];
    int threads = gr_threads();
    run_large(1, one);
    run_large(2, two);
    gr_set_threads(threads);
    ck_assert(memcmp(one, two, sizeof one) == 0);
}
END_TEST

SUITE("scatter", setup, reset, slices_are_selected_and_added_back,
      selections_of_every_dtype_and_of_views, derivatives_of_slices_agree_with_differences,
      elements_are_added_and_written_the_last_wins, derivatives_of_elements_agree_with_differences,
      bad_indices_and_shapes_are_named, the_same_bits_from_one_thread_and_two)
