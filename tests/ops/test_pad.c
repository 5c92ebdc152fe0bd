/* test_pad.c - borders by every mode, and elements shifted round. */
/* SPDX-License-Identifier: MIT */
#include "counting.h"
#include "fixture.h"
#include "suite.h"

#include <math.h>

static gr_tensor *padded(gr_tensor *x, gr_pad_mode mode, int64_t before, int64_t after)
{
    return gr_pad(x, (gr_pad_options){.before = {before}, .after = {after}, .mode = mode, .value = 9});
}

/* The borders of 0 1 2 3 as torch.nn.functional.pad gives them. */
START_TEST(each_mode_has_its_border)
{
    gr_tensor *x = counting(g, GR_SHAPE(4));
    const counting_case cases[] = {
        {"constant", padded(x, GR_PAD_CONSTANT, 2, 1), GR_SHAPE(7), {9, 9, 0, 1, 2, 3, 9}},
        {"reflect", padded(x, GR_PAD_REFLECT, 3, 2), GR_SHAPE(9), {3, 2, 1, 0, 1, 2, 3, 2, 1}},
        {"replicate", padded(x, GR_PAD_REPLICATE, 2, 6), GR_SHAPE(12), {0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3}},
        {"circular", padded(x, GR_PAD_CIRCULAR, 2, 4), GR_SHAPE(10), {2, 3, 0, 1, 2, 3, 0, 1, 2, 3}},
        {"cut off", padded(x, GR_PAD_CONSTANT, -1, -2), GR_SHAPE(1), {1}},
        {"cut and pad", padded(x, GR_PAD_CONSTANT, -2, 1), GR_SHAPE(3), {2, 3, 9}},
        {"cut all", padded(x, GR_PAD_CONSTANT, -4, 2), GR_SHAPE(2), {9, 9}},
        {"circular, cut", padded(x, GR_PAD_CIRCULAR, 2, -3), GR_SHAPE(3), {2, 3, 0}},
        {"empty", padded(counting(g, GR_SHAPE(0)), GR_PAD_CONSTANT, 1, 1), GR_SHAPE(2), {9, 9}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(axes_are_padded_each_on_its_own)
{
    gr_tensor *x = counting(g, GR_SHAPE(2, 2));
    const gr_pad_options corner = {.before = {1, 1}}, round = {.before = {0, 1}, .after = {1, 0}, .mode = GR_PAD_REFLECT};
    const counting_case cases[] = {
        {"corner", gr_pad(x, corner), GR_SHAPE(3, 3), {0, 0, 0, 0, 0, 1, 0, 2, 3}},
        {"reflected", gr_pad(x, round), GR_SHAPE(3, 3), {1, 0, 1, 3, 2, 3, 1, 0, 1}},
        {"blocks", gr_pad(counting(g, GR_SHAPE(2, 3)), (gr_pad_options){.after = {1}, .mode = GR_PAD_CIRCULAR}), GR_SHAPE(3, 3), {0, 1, 2, 3, 4, 5, 0, 1, 2}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

/* A batch of images: large, so that threads share it; against index arithmetic. */
START_TEST(images_and_their_gradients_are_right_at_size)
{
    enum { N = 3, H = 70, W = 90, A = 2, B = 5, OH = H + 2 * A, OW = W + 2 * B };
    static float x0[N * H * W], dx0[N * H * W];
    for (int i = 0; i < N * H * W; i++) x0[i] = (float)(i % 1000);
    memset(dx0, 0, sizeof dx0);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(N, H, W), x0), *d;
    gr_tensor *y = gr_pad(x, (gr_pad_options){.before = {0, A, B}, .after = {0, A, B}, .mode = GR_PAD_REFLECT});
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const float *py = gr_data(y), *pd = gr_data(d);
    ck_assert_msg(py && pd, "%s", gr_graph_error(g));
    for (int n = 0; n < N; n++)
        for (int i = 0; i < OH; i++)
            for (int j = 0; j < OW; j++) {
                int r = abs(i - A), c = abs(j - B);
                if (r >= H) r = 2 * (H - 1) - r;
                if (c >= W) c = 2 * (W - 1) - c;
                int from = (n * H + r) * W + c;
                dx0[from] += 1;
                ck_assert(py[(n * OH + i) * OW + j] == x0[from]);
            }
    for (int i = 0; i < N * H * W; i++) ck_assert(pd[i] == dx0[i]);
}
END_TEST

START_TEST(any_dtype_is_padded)
{
    const uint8_t b0[2] = {1, 0};
    const int64_t i0[2] = {5, 6};
    const gr_pad_options o = {.before = {1}, .after = {1}, .value = 1};
    const counting_case cases[] = {
        {"bool", gr_pad(gr_from_data(g, GR_BOOL, GR_SHAPE(2), b0), o), GR_SHAPE(4), {1, 1, 0, 1}},
        {"int64", gr_pad(gr_from_data(g, GR_I64, GR_SHAPE(2), i0), o), GR_SHAPE(4), {1, 5, 6, 1}},
        {"float32", gr_pad(gr_ones(g, GR_F32, GR_SHAPE(2)), o), GR_SHAPE(4), {1, 1, 1, 1}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

START_TEST(a_border_of_infinity_does_not_reach_the_gradient)
{
    gr_tensor *x = counting(g, GR_SHAPE(2)), *d;
    gr_tensor *y = gr_pad(x, (gr_pad_options){.before = {1}, .value = -INFINITY});
    ck_assert(isinf(((const double *)gr_data(y))[0]));
    ck_assert_int_eq(gr_grad(gr_exp(y), &x, 1, &d), GR_OK);
    const counting_case c = {"gradient", d, GR_SHAPE(2), {1, exp(1)}};
    counting_verify(g, &c);
}
END_TEST

START_TEST(rolls_go_round)
{
    gr_tensor *x = counting(g, GR_SHAPE(2, 3));
    const counting_case cases[] = {
        {"columns", gr_roll(x, 1, 1), GR_SHAPE(2, 3), {2, 0, 1, 5, 3, 4}},
        {"back", gr_roll(x, -1, -1), GR_SHAPE(2, 3), {1, 2, 0, 4, 5, 3}},
        {"rows", gr_roll(x, -2, 1), GR_SHAPE(2, 3), {3, 4, 5, 0, 1, 2}},
        {"far", gr_roll(x, 1, 3000000001), GR_SHAPE(2, 3), {2, 0, 1, 5, 3, 4}},
        {"farthest", gr_roll(x, 1, INT64_MIN), GR_SHAPE(2, 3), {2, 0, 1, 5, 3, 4}},
        {"not at all", gr_roll(x, 0, 0), GR_SHAPE(2, 3), {0, 1, 2, 3, 4, 5}},
    };
    COUNTING_VERIFY(g, cases);
}
END_TEST

SUITE("pad", setup, teardown, each_mode_has_its_border, axes_are_padded_each_on_its_own,
      images_and_their_gradients_are_right_at_size, any_dtype_is_padded,
      a_border_of_infinity_does_not_reach_the_gradient, rolls_go_round)
