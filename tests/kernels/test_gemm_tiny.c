/* test_gemm_tiny.c - products too small for a plan: the definition, and the bits of those with one. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include "gemm.h"
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void start_over(void)
{
    gr__kernels_force(NULL);
}

enum { MOST = 512, SPACE = 4 * MOST };

static const char *const sets[] = {"baseline", "avx2", "avx512"};

#define FOR_INSTANCES(dtype)                \
    for (size_t set_ = 0; set_ < 3; set_++) \
        if (gr__kernels_force(sets[set_]))  \
            for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++)

/* Numbers of either type, and the same as double. */
typedef union numbers {
    float f32[SPACE];
    double f64[SPACE];
} numbers;

static double get(gr_dtype dtype, const numbers *x, int64_t i)
{
    return dtype == GR_F64 ? x->f64[i] : (double)x->f32[i];
}

static void set(gr_dtype dtype, numbers *x, int64_t i, double value)
{
    if (dtype == GR_F64) x->f64[i] = value;
    else x->f32[i] = (float)value;
}

static void fill(gr_dtype dtype, numbers *x, double phase)
{
    for (int64_t i = 0; i < SPACE; i++) set(dtype, x, i, sin(0.7 * (double)i + phase));
}

static numbers a, b, add, c, other;

/* --- layouts --- */

enum { PLAIN, TURNED, PADDED, APART, LAYOUTS };

static const char *const layout_names[LAYOUTS] = {"plain", "turned", "padded", "apart"};

static gr__matrix matrix(const numbers *x, int64_t rows, int64_t columns, int layout)
{
    const gr__matrix all[LAYOUTS] = {
        [PLAIN] = {x, columns, 1},
        [TURNED] = {x, 1, rows},
        [PADDED] = {x, columns + 3, 1},
        [APART] = {x, 2 * columns, 2},
    };
    return all[layout];
}

enum { NOTHING, MATRIX, ROW, ADDITIONS };

static const char *const addition_names[ADDITIONS] = {"nothing", "a matrix", "a row"};

static gr__product product_of(gr_dtype dtype, const int64_t *size, int layout_a, int layout_b,
                              int addition)
{
    return (gr__product){
        .dtype = dtype,
        .m = size[0],
        .n = size[1],
        .k = size[2],
        .a = matrix(&a, size[0], size[2], layout_a),
        .b = matrix(&b, size[2], size[1], layout_b),
        .add = addition == NOTHING ? NULL : &add,
        .add_row = addition == ROW ? 0 : size[1],
        .c = &c,
    };
}

static void fill_all(gr_dtype dtype)
{
    fill(dtype, &a, 0);
    fill(dtype, &b, 1);
    fill(dtype, &add, 2);
    fill(dtype, &c, 3); /* what it held does not matter */
}

/* m, n, k around the lanes of each set, and none of one of them. */
static const int64_t sizes[][3] = {
    {1, 1, 1},  {5, 33, 1},  {1, 1, 7}, {1, 16, 2},  {2, 3, 4},  {3, 5, 7}, {4, 4, 32}, {5, 17, 6},
    {2, 33, 7}, {1, 32, 16}, {9, 8, 7}, {16, 2, 16}, {3, 31, 5}, {6, 7, 0}, {0, 4, 3},  {4, 0, 3},
};

enum { SIZES = sizeof sizes / sizeof *sizes };

/* --- the definition --- */

static void check_element(const gr__product *p, int64_t i, int64_t j, const char *what)
{
    double sum = p->add ? get(p->dtype, &add, i * p->add_row + j) : 0, size = fabs(sum);
    for (int64_t k = 0; k < p->k; k++) {
        const double term = get(p->dtype, &a, i * p->a.row + k * p->a.column) *
                            get(p->dtype, &b, k * p->b.row + j * p->b.column);
        sum += term;
        size += fabs(term);
    }
    const double eps = p->dtype == GR_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    const double got = get(p->dtype, &c, i * p->n + j);
    ck_assert_msg(fabs(got - sum) <= (double)(p->k + 2) * eps * size,
                  "%s, %s, %s, %d x %d x %d: element (%d, %d) is %.9g, expected %.9g",
                  gr__isa_name(), gr_dtype_name(p->dtype), what, (int)p->m, (int)p->n, (int)p->k,
                  (int)i, (int)j, got, sum);
}

static void check_product(const gr__product *p, const char *what)
{
    const double behind = get(p->dtype, &c, p->m * p->n);
    gr__kernels_for(p->dtype)->gemm.tiny(p);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) check_element(p, i, j, what);
    const double got = get(p->dtype, &c, p->m * p->n);
    ck_assert_msg(got == behind, "%s, %s, %s: behind the result is %.9g, expected %.9g",
                  gr__isa_name(), gr_dtype_name(p->dtype), what, got, behind);
}

START_TEST(tiny_products_are_those_of_the_definition)
{
    FOR_INSTANCES(dtype)
    {
        fill_all(dtype);
        for (int i = 0; i < SIZES * LAYOUTS * LAYOUTS * ADDITIONS; i++) {
            const int layout_a = i / ADDITIONS % LAYOUTS,
                      layout_b = i / ADDITIONS / LAYOUTS % LAYOUTS;
            char what[80];
            snprintf(what, sizeof what, "a %s, b %s, %s added", layout_names[layout_a],
                     layout_names[layout_b], addition_names[i % ADDITIONS]);
            const gr__product p = product_of(dtype, sizes[i / ADDITIONS / LAYOUTS / LAYOUTS],
                                             layout_a, layout_b, i % ADDITIONS);
            check_product(&p, what);
        }
    }
}
END_TEST

/* --- bits --- */

/* The same product as one block, without a plan. */
static void run_block(const gr__product *p, numbers *y)
{
    const gr__gemm_block block = {.m = p->m,
                                  .n = p->n,
                                  .k = p->k,
                                  .a = p->a,
                                  .b = p->b,
                                  .add = p->add,
                                  .add_row = p->add_row,
                                  .c = y,
                                  .ldc = p->n,
                                  .group = p->b.column == 1 ? 0 : p->n};
    gr__kernels_for(p->dtype)->gemm.block(&block);
}

static void check_bits(const gr__product *p)
{
    gr__kernels_for(p->dtype)->gemm.tiny(p);
    run_block(p, &other);
    for (int64_t i = 0; i < p->m * p->n; i++) {
        const double got = get(p->dtype, &c, i), expected = get(p->dtype, &other, i);
        ck_assert_msg(got == expected, "%s, %s, %d x %d x %d: element %d is %.17g, expected %.17g",
                      gr__isa_name(), gr_dtype_name(p->dtype), (int)p->m, (int)p->n, (int)p->k,
                      (int)i, got, expected);
    }
}

START_TEST(bits_are_those_of_a_block)
{
    FOR_INSTANCES(dtype)
    {
        fill_all(dtype);
        for (int i = 0; i < SIZES * LAYOUTS * ADDITIONS; i++) {
            const gr__product p = product_of(dtype, sizes[i / ADDITIONS / LAYOUTS], PLAIN,
                                             i / ADDITIONS % LAYOUTS, i % ADDITIONS);
            check_bits(&p);
        }
    }
}
END_TEST

START_TEST(a_product_is_added_to_its_own_place)
{
    FOR_INSTANCES(dtype)
    for (int i = 0; i < SIZES; i++) {
        fill_all(dtype);
        fill(dtype, &c, 2); /* as `add` */
        gr__product p = product_of(dtype, sizes[i], PLAIN, PLAIN, MATRIX);
        p.add = &c;
        check_product(&p, "c itself added");
    }
}
END_TEST

/* --- NaN and infinity --- */

/* Elements that are not finite reach their row and column, and no others. */
START_TEST(nan_and_infinity_stay_in_their_row_and_column)
{
    enum { M = 3, N = 35, K = 4 };
    FOR_INSTANCES(dtype)
    for (int layout = PLAIN; layout <= TURNED; layout++) {
        const int64_t size[] = {M, N, K};
        const gr__product p = product_of(dtype, size, PLAIN, layout, NOTHING);
        fill_all(dtype);
        set(dtype, &a, (M - 1) * K, NAN);
        set(dtype, &b, (K - 1) * p.b.row + (N - 1) * p.b.column, INFINITY);
        set(dtype, &a, K - 1, 0); /* 0 times infinity, in the first row */
        gr__kernels_for(dtype)->gemm.tiny(&p);
        for (int64_t i = 0; i < M * N; i++) {
            const double y = get(dtype, &c, i);
            const bool right = i % N == N - 1, nan = i / N == M - 1 || (i / N == 0 && right);
            ck_assert_msg(isnan(y) == nan && isfinite(y) == (!nan && !right),
                          "%s, %s, b %s: element (%d, %d) is %g", gr__isa_name(),
                          gr_dtype_name(dtype), layout_names[layout], (int)(i / N), (int)(i % N),
                          y);
        }
    }
}
END_TEST

SUITE("gemm_tiny", NULL, start_over, tiny_products_are_those_of_the_definition,
      bits_are_those_of_a_block, a_product_is_added_to_its_own_place,
      nan_and_infinity_stay_in_their_row_and_column)
