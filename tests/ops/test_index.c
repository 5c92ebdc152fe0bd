/* test_index.c - embedding and gather against plain loops. */
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

static void assert_error(const char *want)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, want), "expected '%s', got '%s'", want, error);
    gr_graph_reset(g);
}

static void fill(double *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = (i * 37 % 19 - 9) / 8.0; /* exact in float32, sums too */
}

/* --- embedding --- */

enum { V = 6, D = 3, PICKED = 8 };

static const int64_t picked[PICKED] = {2, 0, 5, 2, 2, 4, 0, 5}; /* 1 and 3 never */

static gr_tensor *grid(void)
{
    return gr_from_data(g, GR_I64, GR_SHAPE(2, 4), picked);
}

START_TEST(embedding_copies_rows_and_adds_their_cotangents)
{
    double w0[V * D], dy0[PICKED * D], want[V * D] = {0};
    fill(w0, V * D);
    fill(dy0, PICKED * D);
    for (int i = 0; i < PICKED * D; i++) want[picked[i / D] * D + i % D] += dy0[i];
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *w = make((gr_dtype)dtype, w0, GR_SHAPE(V, D)), *dw;
        gr_tensor *y = gr_embedding(w, grid()), *dy = make((gr_dtype)dtype, dy0, GR_SHAPE(2, 4, D));
        ck_assert(gr_shape_equal(gr_shape_of(y), &GR_SHAPE(2, 4, D)));
        for (int i = 0; i < PICKED * D; i++)
            ck_assert_double_eq(values(y)[i], w0[picked[i / D] * D + i % D]);
        ck_assert_int_eq(gr_vjp(&y, &dy, 1, &w, 1, &dw), GR_OK);
        for (int i = 0; i < V * D; i++) ck_assert_double_eq(values(dw)[i], want[i]);
    }
}
END_TEST

static gr_tensor *embed(gr_tensor *w) { return gr_embedding(w, grid()); }

static gr_tensor *embed_backward(gr_tensor *dy)
{
    gr_tensor *w = gr_zeros(gr_graph_of(dy), GR_F64, GR_SHAPE(V, D)), *y = embed(w), *dw;
    gr_vjp(&y, &dy, 1, &w, 1, &dw);
    return dw;
}

START_TEST(derivatives_of_embedding_agree_with_differences)
{
    double x[PICKED * D];
    fill(x, PICKED * D);
    derivative_check(g, "embedding", embed, GR_SHAPE(V, D), x, 2);
    derivative_check(g, "embedding_grad", embed_backward, GR_SHAPE(2, 4, D), x, 2);
}
END_TEST

START_TEST(embedding_of_one_index_of_none_and_of_a_strided_index)
{
    double w0[V * D];
    fill(w0, V * D);
    gr_tensor *w = make(GR_F64, w0, GR_SHAPE(V, D)), *d;
    gr_tensor *row = gr_embedding(w, gr_from_data(g, GR_I64, GR_SCALAR, &picked[2]));
    ck_assert(gr_shape_equal(gr_shape_of(row), &GR_SHAPE(D)));
    ck_assert_double_eq(values(row)[1], w0[5 * D + 1]);
    gr_tensor *none = gr_embedding(w, gr_zeros(g, GR_I64, GR_SHAPE(0)));
    ck_assert_int_eq(gr_grad(none, &w, 1, &d), GR_OK);
    for (int i = 0; i < V * D; i++) ck_assert_double_eq(values(d)[i], 0);
    gr_tensor *narrow = gr_zeros(g, GR_F32, GR_SHAPE(V, 0));
    ck_assert_int_eq(gr_grad(gr_embedding(narrow, grid()), &narrow, 1, &d), GR_OK);
    ck_assert_ptr_nonnull(gr_data(d));
    gr_tensor *turned = gr_embedding(gr_transpose(make(GR_F64, w0, GR_SHAPE(D, V)), 0, 1),
                                     gr_transpose(grid(), 0, 1));
    for (int i = 0; i < PICKED; i++)
        for (int j = 0; j < D; j++)
            ck_assert_double_eq(values(turned)[i * D + j], w0[j * V + picked[i % 2 * 4 + i / 2]]);
}
END_TEST

START_TEST(a_bad_index_of_embedding_is_named)
{
    int64_t bad[PICKED];
    memcpy(bad, picked, sizeof bad);
    bad[6] = 9;
    gr_tensor *w = gr_zeros(g, GR_F32, GR_SHAPE(V, D));
    ck_assert_ptr_null(gr_data(gr_embedding(w, gr_from_data(g, GR_I64, GR_SHAPE(2, 4), bad))));
    assert_error("embedding: index[1,2] is 9, expected 0 <= index < 6");
    bad[0] = -1;
    w = gr_zeros(g, GR_F32, GR_SHAPE(V, D));
    gr_data(gr_embedding(w, gr_from_data(g, GR_I64, GR_SCALAR, bad)));
    assert_error("embedding: index is -1, expected 0 <= index < 6");
    gr_embedding(gr_zeros(g, GR_F32, GR_SHAPE(V)), grid());
    assert_error("embedding: expected a table [V,D], got [6]");
    gr_embedding(gr_zeros(g, GR_F32, GR_SHAPE(V, D)), gr_zeros(g, GR_F32, GR_SHAPE(2)));
    assert_error("embedding: the index is float32, expected int64");
    gr_embedding(gr_zeros(g, GR_I64, GR_SHAPE(V, D)), grid());
    assert_error("embedding: not defined for int64");
    gr_tensor *deep = gr_zeros(g, GR_I64, GR_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    gr_embedding(gr_zeros(g, GR_F32, GR_SHAPE(V, D)), deep);
    assert_error("embedding: the result would have more than 8 axes");
}
END_TEST

/* --- gather --- */

/* x is [2,4,3]; the index [2,5,3], in which 3 never comes. */
static void fill_index(int64_t *index)
{
    for (int i = 0; i < 30; i++) index[i] = i * 7 % 5 % 3;
}

static gr_tensor *choices(void)
{
    int64_t index[30];
    fill_index(index);
    return gr_from_data(g, GR_I64, GR_SHAPE(2, 5, 3), index);
}

START_TEST(gather_picks_and_adds_back)
{
    static const char *const sets[] = {"baseline", "avx2", "avx512"};
    double x0[24], dy0[30], want[24] = {0};
    int64_t from[30];
    fill(x0, 24);
    fill(dy0, 30);
    fill_index(from);
    for (int i = 0; i < 30; i++) { /* to where y[o][j][k] comes from in x */
        from[i] = i / 15 * 12 + from[i] * 3 + i % 3;
        want[from[i]] += dy0[i];
    }
    for (int s = 0; s < 3; s++)
        for (int dtype = GR_F32; dtype <= GR_F64 && gr__kernels_force(sets[s]); dtype++) {
            gr_tensor *x = make((gr_dtype)dtype, x0, GR_SHAPE(2, 4, 3)), *dx;
            gr_tensor *y = gr_gather(x, 1, choices()), *again = gr_gather(x, -2, choices());
            gr_tensor *dy = make((gr_dtype)dtype, dy0, GR_SHAPE(2, 5, 3));
            for (int i = 0; i < 30; i++) {
                ck_assert_double_eq(values(y)[i], x0[from[i]]);
                ck_assert_double_eq(values(again)[i], x0[from[i]]);
            }
            ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &dx), GR_OK);
            for (int i = 0; i < 24; i++) ck_assert_double_eq(values(dx)[i], want[i]);
        }
}
END_TEST

START_TEST(gather_along_the_first_and_the_last_axis)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6};
    const int64_t i0[3] = {1, 0, 1}, i1[4] = {2, 2, 0, 1};
    gr_tensor *x = make(GR_F32, x0, GR_SHAPE(2, 3));
    const double *first = values(gr_gather(x, 0, gr_from_data(g, GR_I64, GR_SHAPE(1, 3), i0)));
    const double *last = values(gr_gather(x, 1, gr_from_data(g, GR_I64, GR_SHAPE(2, 2), i1)));
    ck_assert(first[0] == 4 && first[1] == 2 && first[2] == 6);
    ck_assert(last[0] == 3 && last[1] == 3 && last[2] == 4 && last[3] == 5);
}
END_TEST

static gr_tensor *pick(gr_tensor *x) { return gr_gather(x, 1, choices()); }

static gr_tensor *pick_backward(gr_tensor *dy)
{
    gr_tensor *x = gr_zeros(gr_graph_of(dy), GR_F64, GR_SHAPE(2, 4, 3)), *y = pick(x), *dx;
    gr_vjp(&y, &dy, 1, &x, 1, &dx);
    return dx;
}

START_TEST(derivatives_of_gather_agree_with_differences)
{
    double x[30];
    fill(x, 30);
    derivative_check(g, "gather", pick, GR_SHAPE(2, 4, 3), x, 2);
    derivative_check(g, "gather_grad", pick_backward, GR_SHAPE(2, 5, 3), x, 2);
}
END_TEST

START_TEST(gather_of_scalars_of_nothing_and_of_views)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6};
    const int64_t zero = 0, index[4] = {0, 1, 1, 0};
    gr_tensor *one = gr_scalar(g, GR_F64, 4), *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *d;
    gr_tensor *y = gr_gather(one, 0, gr_from_data(g, GR_I64, GR_SCALAR, &zero));
    ck_assert_double_eq(gr_item(y), 4);
    ck_assert_int_eq(gr_grad(y, &one, 1, &d), GR_OK);
    ck_assert_double_eq(gr_item(d), 1);
    gr_tensor *none = gr_gather(x, 1, gr_zeros(g, GR_I64, GR_SHAPE(2, 0)));
    ck_assert_int_eq(gr_grad(none, &x, 1, &d), GR_OK);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(values(d)[i], 0);
    gr_tensor *view = gr_transpose(gr_slice(x, 1, 0, 3, 2), 0, 1); /* 1 4 | 3 6 */
    gr_tensor *turned = gr_transpose(gr_from_data(g, GR_I64, GR_SHAPE(2, 2), index), 0, 1);
    const double *z = values(gr_gather(view, 1, turned)); /* index 0 1 | 1 0 */
    ck_assert(z[0] == 1 && z[1] == 4 && z[2] == 6 && z[3] == 3);
    gr_tensor *ones = gr_expand(gr_full(g, GR_I64, GR_SHAPE(1), 1), GR_SHAPE(2, 3));
    const double *same = values(gr_gather(view, 1, ones));
    for (int i = 0; i < 6; i++) ck_assert_double_eq(same[i], i < 3 ? 4 : 6);
}
END_TEST

START_TEST(gather_takes_a_smaller_index_and_take_along_broadcasts)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6};
    const int64_t index[3] = {2, 0, 1}, rows[2] = {1, 0};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2, 3)), *d;
    gr_tensor *y = gr_gather(x, 1, gr_from_data(g, GR_I64, GR_SHAPE(1, 3), index)); /* row 0 alone */
    ck_assert(gr_shape_equal(gr_shape_of(y), &GR_SHAPE(1, 3)));
    ck_assert(values(y)[0] == 3 && values(y)[1] == 1 && values(y)[2] == 2);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(values(d)[i], i < 3);
    gr_tensor *both = gr_take_along(x, gr_from_data(g, GR_I64, GR_SHAPE(1, 3), index), -1);
    ck_assert(gr_shape_equal(gr_shape_of(both), &GR_SHAPE(2, 3)));
    ck_assert(values(both)[3] == 6 && values(both)[4] == 4 && values(both)[5] == 5);
    gr_tensor *row = gr_slice(x, 0, 0, 1, 1), *column = gr_from_data(g, GR_I64, GR_SHAPE(2, 1), rows);
    gr_tensor *picked_two = gr_take_along(row, column, 1);
    ck_assert(gr_shape_equal(gr_shape_of(picked_two), &GR_SHAPE(2, 1)));
    ck_assert(values(picked_two)[0] == 2 && values(picked_two)[1] == 1);
    gr_take_along(x, gr_from_data(g, GR_I64, GR_SHAPE(3), index), 1);
    assert_error("gather: expected an index of the shape of x");
}
END_TEST

START_TEST(a_bad_gather_is_named)
{
    const int64_t bad[4] = {0, 1, 3, 0};
    gr_gather(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 2, gr_zeros(g, GR_I64, GR_SHAPE(2, 3)));
    assert_error("gather: axis 2 is out of range for [2,3]");
    gr_gather(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 1, gr_zeros(g, GR_I64, GR_SHAPE(3, 3)));
    assert_error("gather: expected an index of the shape of x but along axis 1, "
                 "got [2,3] with [3,3]");
    gr_gather(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 1, gr_zeros(g, GR_I64, GR_SHAPE(2)));
    assert_error("got [2,3] with [2]");
    gr_gather(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 1, gr_zeros(g, GR_F64, GR_SHAPE(2, 3)));
    assert_error("gather: the index is float64, expected int64");
    gr_tensor *index = gr_from_data(g, GR_I64, GR_SHAPE(2, 2), bad);
    ck_assert_ptr_null(gr_data(gr_gather(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 1, index)));
    assert_error("gather: index[1,0] is 3, expected 0 <= index < 3");
}
END_TEST

/* --- threads --- */

enum { TABLE = 3000, WIDTH = 130, COUNT = 5000 };

static void run_large(int threads, float *out)
{
    static float w[TABLE * WIDTH];
    static int64_t index[COUNT], column[TABLE * 20];
    for (int i = 0; i < TABLE * WIDTH; i++) w[i] = sinf((float)i);
    for (int i = 0; i < COUNT; i++) index[i] = i * 7919 % 501; /* many come ten times */
    for (int i = 0; i < TABLE * 20; i++) column[i] = i * 31 % 7;
    gr_set_threads(threads);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(TABLE, WIDTH), w), *d[2];
    gr_tensor *y = gr_embedding(x, gr_from_data(g, GR_I64, GR_SHAPE(COUNT), index));
    gr_tensor *z = gr_gather(x, 1, gr_from_data(g, GR_I64, GR_SHAPE(TABLE, 20), column));
    gr_grad(gr_sin(y), &x, 1, &d[0]);
    gr_grad(gr_sin(z), &x, 1, &d[1]);
    memcpy(out, gr_data(d[0]), sizeof w);
    memcpy(out + TABLE * WIDTH, gr_data(d[1]), sizeof w);
    gr_graph_reset(g);
}

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[2 * TABLE * WIDTH], two[2 * TABLE * WIDTH];
    int threads = gr_threads();
    run_large(1, one);
    run_large(2, two);
    gr_set_threads(threads);
    ck_assert(memcmp(one, two, sizeof one) == 0);
}
END_TEST

SUITE("index", setup, reset, embedding_copies_rows_and_adds_their_cotangents,
      derivatives_of_embedding_agree_with_differences,
      embedding_of_one_index_of_none_and_of_a_strided_index, a_bad_index_of_embedding_is_named,
      gather_picks_and_adds_back, gather_along_the_first_and_the_last_axis,
      derivatives_of_gather_agree_with_differences, gather_of_scalars_of_nothing_and_of_views,
      gather_takes_a_smaller_index_and_take_along_broadcasts, a_bad_gather_is_named,
      the_same_bits_from_one_thread_and_two)
