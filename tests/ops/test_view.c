/* test_view.c - axes added, dropped, moved and turned round; slices that go backwards. */
/* SPDX-License-Identifier: MIT */
#include "counting.h"
#include "fixture.h"
#include "suite.h"

static gr_tensor *x23(void)
{
    return counting(g, GR_SHAPE(2, 3));
}

START_TEST(axes_come_and_go)
{
    gr_tensor *thin = counting(g, GR_SHAPE(1, 2, 1, 3)), *cube = counting(g, GR_SHAPE(2, 3, 2));
    const counting_case cases[] = {
        {"squeeze all", gr_squeeze(thin, GR_ALL), GR_SHAPE(2, 3), {0, 1, 2, 3, 4, 5}},
        {"squeeze one", gr_squeeze(thin, GR_AXES(-2)), GR_SHAPE(1, 2, 3), {0, 1, 2, 3, 4, 5}},
        {"squeeze none", gr_squeeze(thin, GR_AXES(1)), GR_SHAPE(1, 2, 1, 3), {0, 1, 2, 3, 4, 5}},
        {"squeeze to scalar", gr_squeeze(counting(g, GR_SHAPE(1, 1)), GR_ALL), GR_SCALAR, {0}},
        {"unsqueeze", gr_unsqueeze(x23(), 1), GR_SHAPE(2, 1, 3), {0, 1, 2, 3, 4, 5}},
        {"unsqueeze last", gr_unsqueeze(x23(), -1), GR_SHAPE(2, 3, 1), {0, 1, 2, 3, 4, 5}},
        {"unflatten", gr_unflatten(counting(g, GR_SHAPE(6)), 0, GR_SHAPE(-1, 3)), GR_SHAPE(2, 3), {0, 1, 2, 3, 4, 5}},
        {"movedim", gr_movedim(cube, 0, -1), GR_SHAPE(3, 2, 2), {0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}},
        {"movedim back", gr_movedim(cube, 2, 0), GR_SHAPE(2, 2, 3), {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

/* rot90 as in NumPy: [[0,1,2],[3,4,5]] once is [[2,5],[1,4],[0,3]]. */
START_TEST(flips_and_quarter_turns)
{
    const counting_case cases[] = {
        {"flip rows", gr_flip(x23(), GR_AXES(0)), GR_SHAPE(2, 3), {3, 4, 5, 0, 1, 2}},
        {"flip columns", gr_flip(x23(), GR_AXES(-1)), GR_SHAPE(2, 3), {2, 1, 0, 5, 4, 3}},
        {"flip all", gr_flip(x23(), GR_ALL), GR_SHAPE(2, 3), {5, 4, 3, 2, 1, 0}},
        {"flip twice", gr_flip(gr_flip(x23(), GR_ALL), GR_ALL), GR_SHAPE(2, 3), {0, 1, 2, 3, 4, 5}},
        {"rot90 0", gr_rot90(x23(), 0, 0, 1), GR_SHAPE(2, 3), {0, 1, 2, 3, 4, 5}},
        {"rot90 1", gr_rot90(x23(), 1, 0, 1), GR_SHAPE(3, 2), {2, 5, 1, 4, 0, 3}},
        {"rot90 2", gr_rot90(x23(), 2, 0, 1), GR_SHAPE(2, 3), {5, 4, 3, 2, 1, 0}},
        {"rot90 -1", gr_rot90(x23(), -1, 0, 1), GR_SHAPE(3, 2), {3, 0, 4, 1, 5, 2}},
        {"rot90 other way", gr_rot90(x23(), 1, 1, 0), GR_SHAPE(3, 2), {3, 0, 4, 1, 5, 2}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

/* Against what Python's list(range(size))[start:stop:step] does, by its rules for each index. */
static int64_t python_slice(int64_t size, int64_t start, int64_t stop, int64_t step, double *want)
{
    int64_t n = 0;
    if (start < 0) start += size;
    if (stop < 0) stop += size;
    for (int64_t i = step > 0 ? -20 : 20; step > 0 ? i < 20 : i > -20; i += step > 0 ? 1 : -1) {
        const int64_t first = step > 0 ? (start < 0 ? 0 : start) : (start >= size ? size - 1 : start);
        const bool reached = step > 0 ? i >= first : i <= first;
        const bool before_stop = step > 0 ? i < stop : i > stop && i >= 0;
        if (reached && before_stop && i >= 0 && i < size && (i - first) % step == 0) want[n++] = (double)i;
    }
    return n;
}

START_TEST(slices_follow_pythons_rules)
{
    for (int64_t size = 0; size < 6; size++)
        for (int64_t start = -7; start <= 7; start++)
            for (int64_t stop = -7; stop <= 7; stop++)
                for (int64_t step = -3; step <= 3; step++) {
                    counting_case c = {.name = "slice", .shape = GR_SHAPE(0)};
                    if (step == 0) continue;
                    c.shape.dim[0] = python_slice(size, start, stop, step, c.want);
                    c.y = gr_slice(counting(g, GR_SHAPE(size)), 0, start, stop, step);
                    counting_verify(g, &c);
                    gr_graph_reset(g);
                }
}
END_TEST

START_TEST(a_slice_may_reach_beyond_both_ends)
{
    gr_tensor *x = counting(g, GR_SHAPE(4));
    const counting_case cases[] = {
        {"all reversed", gr_slice(x, 0, INT64_MAX, INT64_MIN, -1), GR_SHAPE(4), {3, 2, 1, 0}},
        {"all", gr_slice(x, 0, INT64_MIN, INT64_MAX, 1), GR_SHAPE(4), {0, 1, 2, 3}},
        {"giant step", gr_slice(x, 0, 1, INT64_MAX, INT64_MAX), GR_SHAPE(1), {1}},
        {"giant step back", gr_slice(x, 0, -1, INT64_MIN, INT64_MIN), GR_SHAPE(1), {3}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

/* What reads by stride must read backwards too. */
START_TEST(reversed_tensors_feed_every_kind_of_kernel)
{
    gr_tensor *x = x23(), *turned = gr_flip(x, GR_ALL), *in[2] = {turned, x};
    const counting_case cases[] = {
        {"element-wise", gr_add(turned, x), GR_SHAPE(2, 3), {5, 5, 5, 5, 5, 5}},
        {"sum", gr_sum(turned, GR_AXES(0), false), GR_SHAPE(3), {7, 5, 3}},
        {"max", gr_max(turned, GR_AXES(1), false), GR_SHAPE(2), {5, 2}},
        {"argmax", gr_argmax(turned, 1), GR_SHAPE(2), {0, 0}},
        {"matmul", gr_matmul(turned, gr_transpose(turned, 0, 1)), GR_SHAPE(2, 2), {50, 14, 14, 5}},
        {"concat", gr_concat(in, 2, 0), GR_SHAPE(4, 3), {5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5}},
        {"reshape", gr_reshape(turned, GR_SHAPE(3, 2)), GR_SHAPE(3, 2), {5, 4, 3, 2, 1, 0}},
        {"reshape one axis", gr_reshape(gr_flip(x, GR_AXES(1)), GR_SHAPE(6)), GR_SHAPE(6), {2, 1, 0, 5, 4, 3}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(a_matrix_read_backwards_multiplies_as_its_copy_does)
{
    enum { N = 150 }; /* large enough for BLAS */
    static float x0[N * N];
    for (int i = 0; i < N * N; i++) x0[i] = (float)(i * 37 % 101) - 50;
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(N, N), x0);
    static float copy0[N * N];
    for (int i = 0; i < N * N; i++) copy0[i] = x0[N * N - 1 - i];
    gr_tensor *copy = gr_from_data(g, GR_F32, GR_SHAPE(N, N), copy0);
    const float *a = gr_data(gr_matmul(gr_flip(x, GR_ALL), x)), *b = gr_data(gr_matmul(copy, x));
    ck_assert_ptr_nonnull(a);
    ck_assert(memcmp(a, b, sizeof x0) == 0);
}
END_TEST

START_TEST(views_copy_nothing)
{
    const double x0[6] = {0};
    gr_tensor *x = gr_borrow(g, GR_F64, GR_SHAPE(1, 2, 3), x0);
    ck_assert_ptr_eq(gr_data(gr_squeeze(x, GR_ALL)), x0);
    ck_assert_ptr_eq(gr_data(gr_unsqueeze(x, 0)), x0);
    ck_assert_ptr_eq(gr_data(gr_unflatten(x, 2, GR_SHAPE(3, 1))), x0);
    ck_assert_ptr_eq(gr_data(gr_select(x, 1, 1)), x0 + 3);
    ck_assert_ptr_eq(gr_data(gr_narrow(x, 1, 1, 1)), x0 + 3);
}
END_TEST

START_TEST(any_dtype_is_turned)
{
    const int64_t i0[3] = {1, 2, 3};
    const uint8_t b0[3] = {1, 0, 0};
    const float f0[3] = {1, 2, 3};
    const counting_case cases[] = {
        {"int64", gr_flip(gr_from_data(g, GR_I64, GR_SHAPE(3), i0), GR_ALL), GR_SHAPE(3), {3, 2, 1}},
        {"bool", gr_flip(gr_from_data(g, GR_BOOL, GR_SHAPE(3), b0), GR_ALL), GR_SHAPE(3), {0, 0, 1}},
        {"float32", gr_flip(gr_from_data(g, GR_F32, GR_SHAPE(3), f0), GR_ALL), GR_SHAPE(3), {3, 2, 1}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

SUITE("view", setup, teardown, axes_come_and_go, flips_and_quarter_turns,
      slices_follow_pythons_rules, a_slice_may_reach_beyond_both_ends,
      reversed_tensors_feed_every_kind_of_kernel,
      a_matrix_read_backwards_multiplies_as_its_copy_does, views_copy_nothing, any_dtype_is_turned)
