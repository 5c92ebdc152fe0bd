/* test_draw.c - random numbers from a seed: their bits, their distribution, their independence. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "counting.h"
#include "drawn.h"
#include "suite.h"

enum { LARGE = 200000 };

static gr_graph *g;

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_seed(g, 2024);
}

static void teardown(void)
{
    gr_graph_free(g);
}

/* Fourth central moments from theory: the variance of the variance is (fourth - variance^2) / n. */
static const struct {
    const char *name;
    double mean, variance, fourth, low, high;
} laws[] = {
    {"rand", 0.5, 1.0 / 12, 1.0 / 80, 0, 1},
    {"randn", 0, 1, 3, -8.6, 8.6},
    {"rand_exponential", 1, 1, 9, 0, 37},
    {"rand_gumbel", 0.57721566490153286, 1.6449340668482264, 14.611363, -3.7, 37},
};

enum { LAWS = 4 };

static gr_tensor *drawn(const char *name, gr_dtype dtype, int64_t n, uint64_t seed)
{
    const gr_op *op = gr_op_find(name);
    return gr_apply(g, op, NULL, 0, drawn_attrs(op, dtype, GR_SHAPE(n), seed));
}

START_TEST(moments_and_ranges_are_those_of_the_law)
{
    for (int k = 0; k < LAWS; k++)
        for (int seed = 1; seed <= 3; seed++)
            for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
                const drawn_moments m = drawn_measure(drawn_values(drawn(laws[k].name, dtype, LARGE, (uint64_t)seed)), LARGE);
                const double variance = laws[k].variance, spread = laws[k].fourth - variance * variance;
                ck_assert_double_eq_tol(m.mean, laws[k].mean, 5 * sqrt(variance / LARGE));
                ck_assert_double_eq_tol(m.variance, variance, 5 * sqrt(spread / LARGE));
                ck_assert_double_eq_tol(m.neighbours, 0, 5 / sqrt(LARGE));
                ck_assert_msg(m.low >= laws[k].low && m.high <= laws[k].high && m.high != 1,
                              "%s: from %g to %g", laws[k].name, m.low, m.high);
            }
}
END_TEST

/* P(X <= x) at a few x, by the share of the numbers drawn. */
START_TEST(shares_below_a_bound_are_those_of_the_law)
{
    const double bounds[] = {-2.5, -1, -0.25, 0.1, 0.5, 0.9, 1.5, 3};
    for (int k = 0; k < LAWS; k++) {
        const double *y = drawn_values(drawn(laws[k].name, GR_F32, LARGE, 77));
        for (int b = 0; b < 8; b++) {
            const double x = bounds[b], unit = fmin(fmax(x, 0), 1);
            const double want[LAWS] = {unit, 0.5 * erfc(-x / sqrt(2)), x > 0 ? -expm1(-x) : 0, exp(-exp(-x))};
            double share = 0;
            for (int i = 0; i < LARGE; i++) share += y[i] <= x;
            ck_assert_double_eq_tol(share / LARGE, want[k], 5 * sqrt(want[k] * (1 - want[k]) / LARGE) + 1e-7);
        }
    }
}
END_TEST

START_TEST(rand_has_the_bits_of_the_generator)
{
    const float *y = drawn_data(drawn("rand", GR_F32, 3000, 5));
    for (uint64_t i = 0; i < 3000; i++) ck_assert(y[i] == (float)(gr__random_u32(5, i) >> 8) * 0x1p-24f);
}
END_TEST

/* float32 takes the upper bits of what float64 takes. */
START_TEST(both_dtypes_draw_the_same_numbers)
{
    for (int k = 0; k < LAWS; k++) {
        const double *wide = drawn_data(drawn(laws[k].name, GR_F64, LARGE, 9));
        const double *narrow = drawn_values(drawn(laws[k].name, GR_F32, LARGE, 9));
        for (int i = 0; i < LARGE; i++)
            ck_assert_msg(fabs(wide[i] - narrow[i]) <= 1e-4 * (1 + fabs(wide[i])) / (k == 1 ? 1 : 10) ,
                          "%s %d: %.9g and %.9g", laws[k].name, i, wide[i], narrow[i]);
    }
}
END_TEST

/* Any tile from `first` on gives what the whole does there. */
START_TEST(a_tile_may_begin_anywhere)
{
    enum { N = 1400 };
    static double whole[N], part[N];
    for (int k = 0; k < LAWS; k++)
        for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
            const gr_op *op = gr_op_find(laws[k].name);
            const void *attrs = drawn_attrs(op, dtype, GR_SHAPE(N), 99);
            const size_t size = gr_dtype_size(dtype);
            op->tile[dtype](&(gr_tile){N, 0, NULL, whole, attrs});
            for (int first = 0; first < 9; first++)
                for (int n = 0; first + n <= N; n = n < 10 ? n + 1 : 2 * n + 1) {
                    op->tile[dtype](&(gr_tile){n, first, NULL, part, attrs});
                    ck_assert_msg(memcmp(part, (char *)whole + (size_t)first * size, (size_t)n * size) == 0,
                                  "%s, first %d, n %d", laws[k].name, first, n);
                }
        }
}
END_TEST

START_TEST(seeds_lanes_and_calls_are_independent)
{
    for (int k = 0; k < LAWS; k++) {
        const double *a = drawn_values(drawn(laws[k].name, GR_F64, LARGE, 4));
        const double *b = drawn_values(drawn(laws[k].name, GR_F64, LARGE, 5));
        double sum = 0;
        for (int i = 0; i < LARGE; i++) sum += (a[i] - laws[k].mean) * (b[i] - laws[k].mean);
        ck_assert_double_eq_tol(sum / LARGE / laws[k].variance, 0, 5 / sqrt(LARGE));
    }
    gr_tensor *x = gr_rand(g, GR_F32, GR_SHAPE(100)), *y = gr_rand(g, GR_F32, GR_SHAPE(100));
    ck_assert(memcmp(drawn_data(x), drawn_data(y), 100 * sizeof(float)) != 0);
}
END_TEST

/* In which order and how often things are computed does not matter, nor do threads. */
START_TEST(the_seed_replays_whatever_the_order)
{
    static float first[2][LARGE];
    const int threads = gr_threads();
    for (int round = 0; round < 2; round++) {
        gr_graph_reset(g);
        gr_graph_seed(g, 5);
        gr_set_threads(round + 1);
        gr_tensor *x[2] = {gr_randn(g, GR_F32, GR_SHAPE(LARGE)), gr_rand(g, GR_F32, GR_SHAPE(LARGE))};
        for (int k = 0; k < 2; k++) {
            const int which = round ? 1 - k : k;
            if (round == 0) memcpy(first[which], drawn_data(x[which]), sizeof first[which]);
            gr_sum_all(x[which]);
            ck_assert(memcmp(drawn_data(x[which]), first[which], sizeof first[which]) == 0);
        }
    }
    gr_set_threads(threads);
}
END_TEST

START_TEST(whole_numbers_come_equally_often)
{
    static int64_t count[7];
    const int64_t *y = drawn_data(gr_randint(g, -3, 4, GR_SHAPE(LARGE / 100, 100)));
    for (int i = 0; i < LARGE; i++) {
        ck_assert(y[i] >= -3 && y[i] < 4);
        count[y[i] + 3]++;
    }
    double chi = 0;
    for (int k = 0; k < 7; k++) chi += pow((double)count[k] - LARGE / 7.0, 2) / (LARGE / 7.0);
    ck_assert_double_lt(chi, 22.5); /* 6 degrees of freedom: 1 in 1000 */
    ck_assert_int_eq((int)gr_item(gr_randint(g, 41, 42, GR_SCALAR)), 41);
    const int64_t *far = drawn_data(gr_randint(g, INT64_MIN, INT64_MAX, GR_SHAPE(1000)));
    int negative = 0;
    for (int i = 0; i < 1000; i++) negative += far[i] < 0;
    ck_assert(negative > 400 && negative < 600);
    const int64_t *wide = drawn_data(gr_randint(g, 0, INT64_C(3) << 40, GR_SHAPE(1000)));
    int upper = 0;
    for (int i = 0; i < 1000; i++) upper += wide[i] >= INT64_C(1) << 41;
    ck_assert(upper > 250 && upper < 420); /* a third */
}
END_TEST

START_TEST(permutations_hold_every_number_once)
{
    static bool seen[5000];
    const int64_t sizes[] = {0, 1, 2, 513, 5000};
    for (int k = 0; k < 5; k++) {
        const int64_t *y = drawn_data(gr_randperm(g, sizes[k]));
        memset(seen, 0, sizeof seen);
        for (int64_t i = 0; i < sizes[k]; i++) {
            ck_assert(y[i] >= 0 && y[i] < sizes[k] && !seen[y[i]]);
            seen[y[i]] = true;
        }
    }
}
END_TEST

START_TEST(all_orders_are_equally_likely)
{
    enum { ROUNDS = 6000 };
    int count[27] = {0};
    for (int k = 0; k < ROUNDS; k++) {
        const int64_t *y = drawn_data(gr_randperm(g, 3));
        count[y[0] * 9 + y[1] * 3 + y[2]]++;
        if (k % 100 == 99) gr_graph_reset(g);
    }
    double chi = 0;
    for (int k = 0; k < 27; k++)
        if (count[k]) chi += pow(count[k] - ROUNDS / 6.0, 2) / (ROUNDS / 6.0);
    ck_assert_double_lt(chi, 20.5); /* 5 degrees of freedom: 1 in 1000 */
}
END_TEST

START_TEST(nothing_and_scalars_are_drawn)
{
    ck_assert_int_eq(gr_numel(gr_randn(g, GR_F32, GR_SHAPE(0, 3))), 0);
    ck_assert(isfinite(gr_item(gr_randn(g, GR_F32, GR_SCALAR))));
    ck_assert_ptr_null(gr_data(gr_rand(NULL, GR_F32, GR_SHAPE(2))));
    gr_randn(g, GR_I64, GR_SHAPE(2));
    counting_error(g, "randn: not defined for int64");
    gr_rand(g, GR_F32, GR_SHAPE(INT64_MAX, 2));
    counting_error(g, "rand: [9223372036854775807,2] is not a usable shape");
}
END_TEST

SUITE("draw", setup, teardown, moments_and_ranges_are_those_of_the_law,
      shares_below_a_bound_are_those_of_the_law, rand_has_the_bits_of_the_generator,
      both_dtypes_draw_the_same_numbers, a_tile_may_begin_anywhere,
      seeds_lanes_and_calls_are_independent, the_seed_replays_whatever_the_order,
      whole_numbers_come_equally_often, permutations_hold_every_number_once,
      all_orders_are_equally_likely, nothing_and_scalars_are_drawn)
