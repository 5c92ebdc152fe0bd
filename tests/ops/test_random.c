/* test_random.c - dropout against the generator it draws from. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { LARGE = 200000 };

static const void *data_of(gr_tensor *t)
{
    const void *data = gr_data(t);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    return data;
}

/* The attributes by name, as the descriptor lists them. */
static const void *attributes(const gr_op *op, double p, uint64_t seed)
{
    static _Alignas(16) char attrs[64];
    ck_assert_uint_le(op->attrs_size, sizeof attrs);
    for (const gr_field *f = op->fields; f->name; f++) {
        if (strcmp(f->name, "p") == 0) memcpy(attrs + f->offset, &p, sizeof p);
        if (strcmp(f->name, "seed") == 0) memcpy(attrs + f->offset, &seed, sizeof seed);
    }
    return attrs;
}

static gr_tensor *dropout_with(gr_tensor *x, double p, uint64_t seed)
{
    const gr_op *op = gr_op_find("dropout");
    return gr_apply(NULL, op, &x, 1, attributes(op, p, seed));
}

static gr_tensor *ones(gr_dtype dtype, int64_t n)
{
    return gr_ones(g, dtype, GR_SHAPE(n));
}

START_TEST(each_element_follows_its_own_number)
{
    enum { N = 5000 };
    static const uint64_t seeds[] = {0, 7, 0xfedcba9876543210u};
    for (int s = 0; s < 3; s++) {
        const double *wide = data_of(dropout_with(ones(GR_F64, N), 0.3, seeds[s]));
        const float *narrow = data_of(dropout_with(ones(GR_F32, N), 0.3, seeds[s]));
        for (int i = 0; i < N; i++) {
            bool kept = gr__random_u32(seeds[s], (uint64_t)i) >= 0.3 * 0x1p32;
            ck_assert_msg(wide[i] == (kept ? 1 / 0.7 : 0), "element %d: %g", i, wide[i]);
            ck_assert_msg(narrow[i] == (kept ? (float)(1 / 0.7) : 0), "element %d", i);
        }
    }
}
END_TEST

/* Any tile from `first` on gives what the whole does there. */
START_TEST(a_tile_may_begin_anywhere)
{
    enum { N = 1400 };
    static float x[N], whole[N], part[N];
    const gr_op *op = gr_op_find("dropout");
    for (int i = 0; i < N; i++) x[i] = (float)(i + 1);
    const void *in = x, *attrs = attributes(op, 0.5, 99);
    op->tile[GR_F32](&(gr_tile){N, 0, &in, whole, attrs});
    for (int first = 0; first < 13; first++)
        for (int n = 0; first + n <= N; n = n < 10 ? n + 1 : 2 * n + 1) {
            in = x + first;
            part[n] = -1;
            op->tile[GR_F32](&(gr_tile){n, first, &in, part, attrs});
            ck_assert_msg(memcmp(part, whole + first, (size_t)n * sizeof *part) == 0,
                          "first %d, n %d", first, n);
            ck_assert_msg(part[n] == -1, "first %d, n %d: wrote past the end", first, n);
        }
    const int64_t far = (INT64_C(1) << 36) + 3; /* beyond 32 bits of counter */
    in = x;
    op->tile[GR_F32](&(gr_tile){9, far, &in, part, attrs});
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(part[i] != 0, gr__random_u32(99, (uint64_t)(far + i)) >= 0x80000000u);
}
END_TEST

START_TEST(the_share_and_the_mean_are_right)
{
    static const double ps[] = {0.1, 0.5, 0.9};
    for (int k = 0; k < 3; k++) {
        const double *y = data_of(gr_dropout(ones(GR_F64, LARGE), ps[k]));
        double dropped = 0, mean = 0;
        for (int i = 0; i < LARGE; i++) {
            dropped += y[i] == 0;
            mean += y[i] / LARGE;
        }
        double sigma = sqrt(ps[k] * (1 - ps[k]) / LARGE);
        ck_assert_double_eq_tol(dropped / LARGE, ps[k], 5 * sigma);
        ck_assert_double_eq_tol(mean, 1, 5 * sigma / (1 - ps[k]));
    }
}
END_TEST

START_TEST(zero_keeps_all_and_one_drops_all)
{
    const double x0[4] = {1.5, -2, 3e300, -4};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(4), x0), *d;
    ck_assert(memcmp(data_of(gr_dropout(x, 0)), x0, sizeof x0) == 0);
    gr_tensor *y = gr_dropout(x, 1);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert(((const double *)data_of(y))[i] == 0);
        ck_assert(((const double *)data_of(d))[i] == 0);
    }
}
END_TEST

START_TEST(nan_is_not_hidden)
{
    const float x0[2] = {NAN, INFINITY};
    const float *y = data_of(gr_dropout(gr_from_data(g, GR_F32, GR_SHAPE(2), x0), 1));
    ck_assert(isnan(y[0]) && isnan(y[1]));
    y = data_of(gr_dropout(gr_from_data(g, GR_F32, GR_SHAPE(2), x0), 0));
    ck_assert(isnan(y[0]) && isinf(y[1]));
}
END_TEST

START_TEST(a_probability_beyond_0_and_1_is_an_error)
{
    static const double bad[] = {-0.1, 1.5, NAN};
    static const char *const texts[] = {"p is -0.1", "p is 1.5", "p is nan"};
    for (int i = 0; i < 3; i++) {
        gr_dropout(ones(GR_F32, 3), bad[i]);
        const char *error = gr_graph_error(g);
        ck_assert_msg(error && strstr(error, texts[i]) && strstr(error, "dropout: "), "%s", error);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(the_gradient_has_the_same_factors)
{
    enum { N = 3000 };
    gr_tensor *x = ones(GR_F32, N), *d, *dd;
    gr_tensor *y = gr_dropout(x, 0.4), *dy = gr_full(g, GR_F32, GR_SHAPE(N), 2);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &d), GR_OK);
    const float *factor = data_of(y), *dx = data_of(d);
    for (int i = 0; i < N; i++) ck_assert(dx[i] == 2 * factor[i]);
    gr_tensor *square = gr_square(gr_dropout(x, 0.4)); /* d2/dx2 = 2 m^2 */
    gr_grad(square, &x, 1, &d);
    ck_assert_int_eq(gr_grad(d, &x, 1, &dd), GR_OK);
    const float *first = data_of(d), *second = data_of(dd);
    for (int i = 0; i < N; i++) ck_assert(first[i] == second[i]);
}
END_TEST

static gr_tensor *half(gr_tensor *x) { return dropout_with(x, 0.5, 3); }

START_TEST(derivatives_agree_with_differences)
{
    const double x[6] = {0.4, -1, 2, 0.3, -0.7, 1.1};
    derivative_check(g, "dropout", half, GR_SHAPE(2, 3), x, 2);
}
END_TEST

START_TEST(the_seed_replays_and_each_call_draws_anew)
{
    float first[100], second[100];
    for (int round = 0; round < 2; round++) {
        gr_graph_seed(g, 5);
        const float *a = data_of(gr_dropout(ones(GR_F32, 100), 0.5));
        const float *b = data_of(gr_dropout(ones(GR_F32, 100), 0.5));
        ck_assert(memcmp(a, b, sizeof first) != 0);
        if (round == 0) {
            memcpy(first, a, sizeof first);
            memcpy(second, b, sizeof second);
        }
        ck_assert(memcmp(a, first, sizeof first) == 0 && memcmp(b, second, sizeof second) == 0);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(strided_inputs_scalars_and_nothing)
{
    const double x0[6] = {1, 2, 3, 4, 5, 6};
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 3), x0), *d;
    gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(0, 2));
    const double *y = data_of(dropout_with(gr_transpose(x, 0, 1), 0.5, 11));
    for (int i = 0; i < 6; i++) {
        bool kept = gr__random_u32(11, (uint64_t)i) >= 0x80000000u;
        ck_assert_double_eq(y[i], kept ? 2 * x0[i % 2 * 3 + i / 2] : 0);
    }
    ck_assert_double_eq(gr_item(gr_dropout(gr_scalar(g, GR_F32, 3), 0)), 3);
    ck_assert_int_eq(gr_grad(gr_dropout(none, 0.5), &none, 1, &d), GR_OK);
    ck_assert_int_eq(gr_numel(d), 0);
}
END_TEST

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[LARGE];
    int threads = gr_threads();
    gr_set_threads(1);
    memcpy(one, data_of(dropout_with(ones(GR_F32, LARGE), 0.25, 1)), sizeof one);
    gr_graph_reset(g);
    gr_set_threads(2);
    ck_assert(memcmp(one, data_of(dropout_with(ones(GR_F32, LARGE), 0.25, 1)), sizeof one) == 0);
    gr_set_threads(threads);
}
END_TEST

SUITE("random", setup, teardown, each_element_follows_its_own_number, a_tile_may_begin_anywhere,
      the_share_and_the_mean_are_right, zero_keeps_all_and_one_drops_all, nan_is_not_hidden,
      a_probability_beyond_0_and_1_is_an_error, the_gradient_has_the_same_factors,
      derivatives_agree_with_differences, the_seed_replays_and_each_call_draws_anew,
      strided_inputs_scalars_and_nothing, the_same_bits_from_one_thread_and_two)
