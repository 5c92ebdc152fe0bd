/* test_part.c - parts picked, tensors piled up and cut, elements repeated. */
/* SPDX-License-Identifier: MIT */
#include "counting.h"
#include "fixture.h"
#include "suite.h"

static gr_tensor *x23(void)
{
    return counting(g, GR_SHAPE(2, 3));
}

START_TEST(parts_are_picked)
{
    const counting_case cases[] = {
        {"row", gr_select(x23(), 0, -1), GR_SHAPE(3), {3, 4, 5}},
        {"column", gr_select(x23(), -1, 1), GR_SHAPE(2), {1, 4}},
        {"element", gr_select(gr_select(x23(), 0, 1), 0, 2), GR_SCALAR, {5}},
        {"narrow", gr_narrow(x23(), 1, 1, 2), GR_SHAPE(2, 2), {1, 2, 4, 5}},
        {"narrow from the end", gr_narrow(x23(), 1, -1, 1), GR_SHAPE(2, 1), {2, 5}},
        {"narrow to nothing", gr_narrow(x23(), 0, 2, 0), GR_SHAPE(0, 3), {0}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(tensors_are_stacked)
{
    gr_tensor *row = counting(g, GR_SHAPE(2)), *in[3] = {row, gr_shift(row, 2), gr_shift(row, 4)};
    gr_tensor *one = gr_scalar(g, GR_F64, 7);
    const counting_case cases[] = {
        {"rows", gr_stack(in, 3, 0), GR_SHAPE(3, 2), {0, 1, 2, 3, 4, 5}},
        {"columns", gr_stack(in, 3, -1), GR_SHAPE(2, 3), {0, 2, 4, 1, 3, 5}},
        {"scalars", gr_stack(&one, 1, 0), GR_SHAPE(1), {7}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(more_than_a_few_are_stacked)
{
    enum { N = 40 };
    gr_tensor *in[N];
    counting_case c = {.name = "many", .shape = GR_SHAPE(N)};
    for (int i = 0; i < N; i++) {
        in[i] = gr_scalar(g, GR_F64, i);
        c.want[i] = i;
    }
    c.y = gr_stack(in, N, 0);
    counting_verify(g, &c);
}
END_TEST

START_TEST(splits_have_the_sizes_asked_for)
{
    const int64_t sizes[4] = {2, 0, 1, 2};
    gr_tensor *x = counting(g, GR_SHAPE(2, 5)), *part[4], *d;
    ck_assert_int_eq(gr_split(x, -1, sizes, 4, part), GR_OK);
    const counting_case cases[] = {
        {"first", part[0], GR_SHAPE(2, 2), {0, 1, 5, 6}},
        {"empty", part[1], GR_SHAPE(2, 0), {0}},
        {"third", part[2], GR_SHAPE(2, 1), {2, 7}},
        {"last", part[3], GR_SHAPE(2, 2), {3, 4, 8, 9}},
    };
    COUNTING_VERIFY(g, cases);
    ck_assert_int_eq(gr_grad(gr_mul(part[0], part[3]), &x, 1, &d), GR_OK);
    const counting_case grad = {"gradient", d, GR_SHAPE(2, 5), {3, 4, 0, 0, 1, 8, 9, 0, 5, 6}};
    counting_verify(g, &grad);
}
END_TEST

START_TEST(splits_that_do_not_add_up_are_refused)
{
    static const int64_t sizes[4][2] = {{2, 2}, {3, 3}, {-1, 6}, {INT64_MAX, INT64_MAX}};
    gr_tensor *part[2];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_ne(gr_split(counting(g, GR_SHAPE(5)), 0, sizes[i], 2, part), GR_OK);
        ck_assert_ptr_null(gr_data(part[1]));
        counting_error(g, "split: the sizes do not add up to that axis of [5]");
    }
    ck_assert_int_ne(gr_split(counting(g, GR_SHAPE(5)), 1, sizes[0], 2, part), GR_OK);
    counting_error(g, "split: axis out of range of [5]");
    ck_assert_int_ne(gr_split(NULL, 0, sizes[0], 2, part), GR_OK);
    ck_assert_ptr_null(gr_data(part[0]));
}
END_TEST

START_TEST(chunks_are_as_even_as_in_pytorch)
{
    static const struct {
        int64_t size;
        int asked, made;
        int64_t last;
    } cases[] = {{6, 3, 3, 2}, {5, 4, 3, 1}, {7, 3, 3, 1}, {2, 4, 2, 1}, {0, 3, 3, 0}, {4, 1, 1, 4}};
    gr_tensor *part[4];
    for (int i = 0; i < 6; i++) {
        gr_tensor *x = counting(g, GR_SHAPE(cases[i].size, 2));
        ck_assert_int_eq(gr_chunk(x, 0, cases[i].asked, part), cases[i].made);
        ck_assert_int_eq(gr_shape_of(part[cases[i].made - 1])->dim[0], cases[i].last);
    }
    ck_assert_int_eq(gr_chunk(x23(), 0, 0, part), 0);
    counting_error(g, "chunk: less than 1 part of [2,3]");
    ck_assert_int_eq(gr_chunk(x23(), 2, 2, part), 0);
    counting_error(g, "chunk: axis out of range of [2,3]");
}
END_TEST

START_TEST(elements_are_repeated)
{
    gr_tensor *row = counting(g, GR_SHAPE(2)), *column = counting(g, GR_SHAPE(2, 1));
    const counting_case cases[] = {
        {"side by side", gr_repeat(row, GR_SHAPE(3)), GR_SHAPE(6), {0, 1, 0, 1, 0, 1}},
        {"two axes", gr_repeat(column, GR_SHAPE(2, 2)), GR_SHAPE(4, 2), {0, 0, 1, 1, 0, 0, 1, 1}},
        {"new axis", gr_repeat(row, GR_SHAPE(2, 1)), GR_SHAPE(2, 2), {0, 1, 0, 1}},
        {"fewer counts", gr_repeat(column, GR_SHAPE(2)), GR_SHAPE(2, 2), {0, 0, 1, 1}},
        {"no counts", gr_repeat(row, GR_SCALAR), GR_SHAPE(2), {0, 1}},
        {"never", gr_repeat(row, GR_SHAPE(0)), GR_SHAPE(0), {0}},
        {"in place", gr_repeat_interleave(row, 0, 3), GR_SHAPE(6), {0, 0, 0, 1, 1, 1}},
        {"rows in place", gr_repeat_interleave(x23(), 0, 2), GR_SHAPE(4, 3), {0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}},
        {"transposed", gr_repeat(gr_transpose(x23(), 0, 1), GR_SHAPE(1, 2)), GR_SHAPE(3, 4), {0, 3, 0, 3, 1, 4, 1, 4, 2, 5, 2, 5}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(a_shape_without_sense_is_refused)
{
    gr_repeat(x23(), (gr_shape){9, {0}});
    counting_error(g, "repeat: cannot repeat [2,3]");
    gr_repeat(x23(), (gr_shape){-1, {0}});
    counting_error(g, "repeat: cannot repeat [2,3]");
    gr_repeat_interleave(x23(), 0, INT64_MAX);
    counting_error(g, "repeat_interleave: cannot repeat axis 0");
    gr_narrow(x23(), 0, 1, INT64_MAX);
    counting_error(g, "narrow: 9223372036854775807 elements from 1");
}
END_TEST

SUITE("part", setup, teardown, parts_are_picked, tensors_are_stacked, more_than_a_few_are_stacked,
      splits_have_the_sizes_asked_for, splits_that_do_not_add_up_are_refused,
      chunks_are_as_even_as_in_pytorch, elements_are_repeated, a_shape_without_sense_is_refused)
