/* test_rounding.c - products and convolutions that round their operands to bfloat16. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "kernels.h"
#include "suite.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* The nearest bfloat16, ties to even, by its definition. */
static double rounded(double x)
{
    int exponent;
    double mantissa = frexp((double)(float)x, &exponent);
    return ldexp(nearbyint(ldexp(mantissa, 8)), exponent - 8);
}

static void bfloat16(void)
{
    gr_graph_set_precision(g, GR_PRECISION_BFLOAT16);
}

static void restore(void)
{
    gr__kernels_force(NULL);
    gr_set_threads(0);
    teardown();
}

static gr_tensor *numbers(gr_dtype dtype, gr_shape shape, double phase)
{
    int64_t n = gr_shape_numel(&shape);
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = sin((double)i * 0.7 + phase);
    gr_tensor *t = make(dtype, x, shape);
    gr_eval(&t, 1);
    free(x);
    return t;
}

/* --- products --- */

/* How a matrix may lie: as it is, transposed, every second column, repeated rows. */
enum { PLAIN, TURNED, STEPPED, REPEATED, LAYOUTS };

static gr_tensor *matrix(int64_t m, int64_t n, int layout, double phase)
{
    if (layout == TURNED) return gr_transpose(numbers(GR_F32, GR_SHAPE(n, m), phase), 0, 1);
    if (layout == STEPPED)
        return gr_slice(numbers(GR_F32, GR_SHAPE(m, 2 * n), phase), 1, 0, 2 * n, 2);
    if (layout == REPEATED)
        return gr_expand(numbers(GR_F32, GR_SHAPE(1, n), phase), GR_SHAPE(m, n));
    return numbers(GR_F32, GR_SHAPE(m, n), phase);
}

/* y[i][j] = sum_l a(i,l) b(l,j) of rounded operands, to what adding k terms in float32 may lose;
 * element (i, l) of a is a[i * ai + l * al], that of b b[l * bl + j * bj]. */
static void check_sums(const char *what, const double *y, int64_t m, int64_t n, int64_t k,
                       const double *a, int64_t ai, int64_t al, const double *b, int64_t bl,
                       int64_t bj)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int64_t l = 0; l < k; l++) {
                double term = rounded(a[i * ai + l * al]) * rounded(b[l * bl + j * bj]);
                sum += term;
                size += fabs(term);
            }
            ck_assert_msg(fabs(y[i * n + j] - sum) <= size * (double)k * FLT_EPSILON,
                          "%s of [%d,%d,%d] at [%d,%d]: expected %.9g, got %.9g", what, (int)m,
                          (int)k, (int)n, (int)i, (int)j, sum, y[i * n + j]);
        }
}

static void check_product(int64_t m, int64_t k, int64_t n, int la, int lb)
{
    bfloat16();
    gr_tensor *a = matrix(m, k, la, 0), *b = matrix(k, n, lb, 1), *in[2] = {a, b}, *d[2];
    gr_tensor *y = gr_matmul(a, b), *v = numbers(GR_F32, GR_SHAPE(m, n), 2);
    gr_vjp(&y, &v, 1, in, 2, d);
    const double *pa = values(a), *pb = values(b), *pv = values(v);
    check_sums("a b", values(y), m, n, k, pa, k, 1, pb, n, 1);
    check_sums("dy b^T", values(d[0]), m, k, n, pv, n, 1, pb, 1, n);
    check_sums("a^T dy", values(d[1]), k, n, m, pa, 1, k, pv, n, 1);
    gr_graph_reset(g);
}

START_TEST(products_are_those_of_rounded_operands)
{
    if (!gr_has_bfloat16()) return;
    const int64_t sizes[][3] = {{41, 40, 42}, {65, 333, 50}, {8, 300, 97}, {130, 47, 15}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int la = 0; la < LAYOUTS; la++)
            for (int lb = 0; lb < LAYOUTS; lb++)
                check_product(sizes[i][0], sizes[i][1], sizes[i][2], la, lb);
}
END_TEST

START_TEST(every_matrix_of_a_batch_is_rounded)
{
    if (!gr_has_bfloat16()) return;
    enum { BATCH = 3, M = 50, K = 60, N = 70 };
    bfloat16();
    gr_tensor *a = numbers(GR_F32, GR_SHAPE(BATCH, M, K), 0);
    gr_tensor *b = numbers(GR_F32, GR_SHAPE(BATCH, K, N), 1);
    const double *y = values(gr_matmul(a, b)), *pa = values(a), *pb = values(b);
    for (int i = 0; i < BATCH; i++)
        check_sums("a b", y + i * M * N, M, N, K, pa + i * M * K, K, 1, pb + i * K * N, N, 1);
}
END_TEST

START_TEST(the_bias_of_a_linear_map_is_not_rounded)
{
    if (!gr_has_bfloat16()) return;
    enum { ROWS = 64, IN = 64, OUT = 64 };
    bfloat16();
    gr_tensor *zeros = gr_zeros(g, GR_F32, GR_SHAPE(ROWS, IN));
    gr_tensor *bias = numbers(GR_F32, GR_SHAPE(OUT), 0);
    const double *y = values(gr_linear(zeros, numbers(GR_F32, GR_SHAPE(OUT, IN), 1), bias));
    const double *b = values(bias);
    for (int i = 0; i < ROWS * OUT; i++) ck_assert_double_eq(y[i], b[i % OUT]);
}
END_TEST

/* Row i of a is x[i] and zeros, b is all ones, so that the product is x[i], rounded. */
static const float *rounded_by_product(const float *x, int n)
{
    enum { K = 64, N = 64 };
    gr_tensor *column = gr_from_data(g, GR_F32, GR_SHAPE(n, 1), x);
    gr_tensor *zeros = gr_zeros(g, GR_F32, GR_SHAPE(n, K - 1));
    gr_tensor *a = gr_concat((gr_tensor *[]){column, zeros}, 2, 1);
    return gr_data(gr_matmul(a, gr_ones(g, GR_F32, GR_SHAPE(K, N))));
}

START_TEST(rounding_is_to_nearest_even)
{
    if (!gr_has_bfloat16()) return;
    const float x[][2] = {
        {1, 1},
        {1 + 0x1p-8f, 1},                     /* a tie: down to even */
        {1 + 3 * 0x1p-8f, 1 + 0x1p-6f},       /* a tie: up to even */
        {1 + 0x1p-8f + 0x1p-20f, 1 + 0x1p-7f},
        {-1 - 3 * 0x1p-8f, -1 - 0x1p-6f},
        {2 - 0x1p-9f, 2},                     /* carries into the exponent */
        {FLT_MAX, INFINITY},
        {-INFINITY, -INFINITY},
        {FLT_MIN, FLT_MIN},
        {FLT_MIN / 4, 0},                     /* subnormal numbers count as zero */
    };
    enum { COUNT = sizeof x / sizeof *x, ROWS = 32 };
    float in[ROWS] = {0};
    for (int i = 0; i < COUNT; i++) in[i] = x[i][0];
    bfloat16();
    const float *y = rounded_by_product(in, ROWS);
    ck_assert_msg(y != NULL, "%s", gr_graph_error(g));
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(y[i * 64] == x[i][1], "%a: expected %a, got %a", (double)x[i][0],
                      (double)x[i][1], (double)y[i * 64]);
}
END_TEST

START_TEST(not_a_number_stays_one)
{
    if (!gr_has_bfloat16()) return;
    const uint32_t bits[] = {0x7fc00000, 0x7f800001, 0xff800001, 0x7fffffff};
    float in[32] = {0};
    memcpy(in, bits, sizeof bits);
    bfloat16();
    const float *y = rounded_by_product(in, 32);
    ck_assert_msg(y != NULL, "%s", gr_graph_error(g));
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        ck_assert_msg(isnan(y[i * 64]), "NaN of bits %x: got %a", bits[i], (double)y[i * 64]);
    ck_assert(!isnan(y[4 * 64]));
}
END_TEST

/* --- what is not rounded --- */

/* The bits of a b in the graph's precision, for the caller to free. */
static void *product_bits(gr_dtype dtype, int64_t m, int64_t k, int64_t n, size_t *bytes)
{
    gr_tensor *y = gr_matmul(numbers(dtype, GR_SHAPE(m, k), 0), numbers(dtype, GR_SHAPE(k, n), 1));
    *bytes = (size_t)(m * n) * gr_dtype_size(dtype);
    void *copy = malloc(*bytes);
    const void *data = gr_data(y);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    memcpy(copy, data, *bytes);
    gr_graph_reset(g);
    return copy;
}

/* Whether asking for bfloat16 changes nothing. */
static bool same_bits(gr_dtype dtype, int64_t m, int64_t k, int64_t n)
{
    size_t bytes;
    gr_graph_set_precision(g, GR_PRECISION_FLOAT32);
    void *plain = product_bits(dtype, m, k, n, &bytes);
    bfloat16();
    void *asked = product_bits(dtype, m, k, n, &bytes);
    bool same = memcmp(plain, asked, bytes) == 0;
    free(plain);
    free(asked);
    return same;
}

START_TEST(float64_and_small_products_are_not_rounded)
{
    ck_assert(same_bits(GR_F64, 64, 64, 64));
    ck_assert(same_bits(GR_F32, 4, 5, 6));
    ck_assert(same_bits(GR_F32, 1, 1000, 1000));
    ck_assert(same_bits(GR_F32, 64, 64, 64) == !gr_has_bfloat16());
}
END_TEST

START_TEST(without_the_instructions_nothing_changes)
{
    const char *const sets[] = {"avx2", "baseline"};
    for (int i = 0; i < 2; i++) {
        if (!gr__kernels_force(sets[i])) continue;
        ck_assert(!gr_has_bfloat16());
        ck_assert(same_bits(GR_F32, 64, 64, 64));
        ck_assert_int_eq(gr_graph_precision(g), GR_PRECISION_FLOAT32);
        ck_assert_int_eq(gr_graph_status(g), GR_OK);
    }
}
END_TEST

/* --- bits --- */

START_TEST(bits_do_not_depend_on_threads_or_on_when)
{
    size_t bytes;
    bfloat16();
    gr_set_threads(1);
    void *one = product_bits(GR_F32, 200, 300, 400, &bytes);
    for (int threads = 2; threads <= 5; threads++) {
        gr_set_threads(threads);
        gr_graph_set_eager(g, threads % 2);
        void *more = product_bits(GR_F32, 200, 300, 400, &bytes);
        ck_assert_msg(memcmp(one, more, bytes) == 0, "other bits with %d threads", threads);
        free(more);
    }
    free(one);
}
END_TEST

SUITE("rounding", setup, restore, products_are_those_of_rounded_operands,
      every_matrix_of_a_batch_is_rounded, the_bias_of_a_linear_map_is_not_rounded,
      rounding_is_to_nearest_even, not_a_number_stays_one,
      float64_and_small_products_are_not_rounded, without_the_instructions_nothing_changes,
      bits_do_not_depend_on_threads_or_on_when)
