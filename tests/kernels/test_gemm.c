/* test_gemm.c - matrix products against the definition: every path, every instruction set. */
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
    gr_set_threads(1);
}

/* --- matrices --- */

/* A matrix in memory that ends where its last element does. */
typedef struct matrix {
    gr_dtype dtype;
    int64_t rows, columns, count;
    void *data;
    gr__matrix view;
} matrix;

enum { PLAIN, TURNED, PADDED, APART, BACKWARDS, ONE_ROW, ONE_COLUMN, LAYOUTS };

static const char *const layout_names[LAYOUTS] = {
    "plain", "turned", "padded", "apart", "backwards", "one row", "one column",
};

static double get(gr_dtype dtype, const void *data, int64_t i)
{
    return dtype == GR_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static void set(gr_dtype dtype, void *data, int64_t i, double x)
{
    if (dtype == GR_F64) ((double *)data)[i] = x;
    else ((float *)data)[i] = (float)x;
}

static void *elements(gr_dtype dtype, int64_t n)
{
    void *data = malloc((size_t)n * gr_dtype_size(dtype) + (n == 0));
    ck_assert_ptr_nonnull(data);
    return data;
}

static matrix make(gr_dtype dtype, int64_t rows, int64_t columns, int layout, double phase)
{
    const struct {
        int64_t row, column, first;
    } strides[LAYOUTS] = {
        [PLAIN] = {columns, 1, 0},
        [TURNED] = {1, rows, 0},
        [PADDED] = {columns + 3, 1, 0},
        [APART] = {2 * columns, 2, 0},
        [BACKWARDS] = {-columns, -1, rows * columns - 1},
        [ONE_ROW] = {0, 1, 0},
        [ONE_COLUMN] = {1, 0, 0},
    };
    const int64_t row = strides[layout].row, column = strides[layout].column;
    const int64_t first = strides[layout].first;
    int64_t last = first + (rows - 1) * row + (columns - 1) * column;
    if (rows == 0 || columns == 0) last = -1;
    matrix m = {dtype, rows, columns, (last > first ? last : first) + 1, NULL, {NULL, row, column}};
    if (last < 0 && layout != BACKWARDS) m.count = 0;
    m.data = elements(dtype, m.count);
    for (int64_t i = 0; i < m.count; i++) set(dtype, m.data, i, sin((double)i * 0.7 + phase));
    m.view.data = (char *)m.data + (m.count ? first : 0) * (int64_t)gr_dtype_size(dtype);
    return m;
}

static double at(const matrix *m, int64_t i, int64_t j)
{
    return get(m->dtype, m->view.data, i * m->view.row + j * m->view.column);
}

/* --- products --- */

enum { SCRATCH, NO_SCRATCH, PACKED, FETCHING, WAYS };

static const char *const way_names[WAYS] = {"scratch", "no scratch", "packed",
                                            "packed, with more to fetch"};

static void run(const gr__product *p, int way)
{
    gr__product q = *p;
    const int64_t size = (int64_t)gr_dtype_size(p->dtype);
    const gr__soon soon[] = {{p->c, p->m * p->n * size}, {p->b.data, size}, {0}};
    void *packed = malloc(gr__gemm_packed_size(p->dtype, p->k, p->n) + 1);
    if (way >= PACKED) {
        gr__gemm_pack(p->dtype, p->k, p->n, p->b, packed);
        q.packed = packed;
    }
    if (way == FETCHING) q.soon = soon;
    void *scratch = way == NO_SCRATCH ? NULL : malloc(gr__gemm_scratch(&q) + 1);
    gr__gemm(&q, scratch);
    free(scratch);
    free(packed);
}

static gr__product product_of(const matrix *a, const matrix *b, void *c)
{
    return (gr__product){.dtype = a->dtype,
                         .m = a->rows,
                         .n = b->columns,
                         .k = a->columns,
                         .a = a->view,
                         .b = b->view,
                         .c = c};
}

static void fill(gr_dtype dtype, void *c, int64_t n, double x)
{
    for (int64_t i = 0; i < n; i++) set(dtype, c, i, x);
}

/* c[i, j] = sum over k of a b + add, to what rounding may change: (k + 2) eps sum |a b|. Asserting
 * for each element would take most of the time. */
static void check_element(const matrix *a, const matrix *b, const void *c, int64_t i, int64_t j,
                          double add, const char *what)
{
    double sum = add, size = fabs(add);
    for (int64_t k = 0; k < a->columns; k++) {
        sum += at(a, i, k) * at(b, k, j);
        size += fabs(at(a, i, k) * at(b, k, j));
    }
    const double eps = a->dtype == GR_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    const double got = get(a->dtype, c, i * b->columns + j);
    if (fabs(got - sum) <= (double)(a->columns + 2) * eps * size) return;
    ck_abort_msg("%s, %s, %lld x %lld x %lld: element (%lld, %lld) is %.9g, expected %.9g",
                 gr__isa_name(), what, (long long)a->rows, (long long)b->columns,
                 (long long)a->columns, (long long)i, (long long)j, got, sum);
}

static void check_product(gr_dtype dtype, const int64_t *size, int layout_a, int layout_b)
{
    matrix a = make(dtype, size[0], size[2], layout_a, 0);
    matrix b = make(dtype, size[2], size[1], layout_b, 1);
    const int64_t n = size[0] * size[1];
    void *c = elements(dtype, n);
    for (int way = 0; way < WAYS; way++) {
        char what[80];
        snprintf(what, sizeof what, "%s, a %s, b %s, %s", gr_dtype_name(dtype),
                 layout_names[layout_a], layout_names[layout_b], way_names[way]);
        fill(dtype, c, n, NAN); /* what it held does not matter */
        const gr__product p = product_of(&a, &b, c);
        run(&p, way);
        for (int64_t i = 0; i < n; i += 1 + n / 5000) /* of a large one every so many */
            check_element(&a, &b, c, i / size[1], i % size[1], 0, what);
    }
    free(c);
    free(a.data);
    free(b.data);
}

/* m, n, k around the sizes of tiles, panels and pieces of every instance. */
static const int64_t sizes[][3] = {
    {1, 1, 1},    {1, 1, 50},   {1, 33, 7},    {2, 3, 4},     {3, 16, 5},    {5, 17, 20},
    {6, 8, 9},    {7, 32, 31},  {13, 15, 16},  {14, 64, 17},  {15, 31, 33},  {20, 40, 50},
    {29, 65, 10}, {50, 1, 40},  {1, 100, 400}, {43, 70, 385}, {10, 48, 770}, {130, 10, 64},
    {9, 5, 0},    {4, 300, 30}, {300, 4, 30},  {57, 33, 2},
};

static const char *const sets[] = {"baseline", "avx2", "avx512"};

#define FOR_INSTANCES(dtype)                \
    for (size_t set_ = 0; set_ < 3; set_++) \
        if (gr__kernels_force(sets[set_]))  \
            for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++)

START_TEST(products_are_those_of_the_definition)
{
    FOR_INSTANCES(dtype)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int layout = 0; layout < LAYOUTS * LAYOUTS; layout++)
            check_product(dtype, sizes[i], layout / LAYOUTS, layout % LAYOUTS);
}
END_TEST

START_TEST(large_products_are_those_of_the_definition)
{
    static const int64_t large[][3] = {
        {301, 50, 401}, {50, 301, 401}, {215, 700, 35}, {900, 41, 130}, {24, 800, 300},
    };
    FOR_INSTANCES(dtype)
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        for (int layout = 0; layout < 4; layout++)
            check_product(dtype, large[i], layout / 2, layout % 2);
}
END_TEST

/* --- what is added --- */

enum { ITSELF, MATRIX, ROW, ADDITIONS };

static const char *const addition_names[ADDITIONS] = {"c itself", "a matrix", "a row"};

static void check_addition(gr_dtype dtype, int64_t m, int64_t n, int64_t k, int addition)
{
    matrix a = make(dtype, m, k, PLAIN, 0), b = make(dtype, k, n, TURNED, 1);
    matrix d = make(dtype, addition == ROW ? 1 : m, n, PLAIN, 2);
    void *c = elements(dtype, m * n);
    for (int way = 0; way < WAYS; way++) {
        fill(dtype, c, m * n, NAN);
        if (addition == ITSELF) memcpy(c, d.data, (size_t)(m * n) * gr_dtype_size(dtype));
        gr__product p = product_of(&a, &b, c);
        p.add = addition == ITSELF ? c : d.data;
        p.add_row = addition == ROW ? 0 : n;
        run(&p, way);
        for (int64_t i = 0; i < m * n; i += 1 + m * n / 5000)
            check_element(&a, &b, c, i / n, i % n, at(&d, addition == ROW ? 0 : i / n, i % n),
                          addition_names[addition]);
    }
    free(c);
    free(a.data);
    free(b.data);
    free(d.data);
}

START_TEST(a_matrix_or_a_row_is_added)
{
    static const int64_t some[][3] = {{1, 5, 3},  {15, 37, 20},  {28, 64, 800},
                                      {31, 9, 0}, {250, 90, 60}, {90, 500, 390}};
    FOR_INSTANCES(dtype)
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        for (int addition = 0; addition < ADDITIONS; addition++)
            check_addition(dtype, some[i][0], some[i][1], some[i][2], addition);
}
END_TEST

/* --- batches --- */

START_TEST(a_batch_is_product_after_product)
{
    enum { OUTER = 3, INNER = 2, M = 15, N = 20, K = 9 };
    static const int64_t axes[] = {OUTER, INNER};
    FOR_INSTANCES(dtype)
    {
        /* a [INNER,OUTER,M,K] with its axes exchanged, b one [OUTER,K,N] for all inner ones */
        const int64_t a_strides[] = {M * K, OUTER * M * K}, b_strides[] = {K * N, 0};
        matrix a = make(dtype, OUTER * INNER * M, K, PLAIN, 0);
        matrix b = make(dtype, OUTER * K, N, PLAIN, 1);
        void *c = elements(dtype, OUTER * INNER * M * N);
        gr__product p = {.dtype = dtype,
                         .m = M,
                         .n = N,
                         .k = K,
                         .a = a.view,
                         .b = b.view,
                         .c = c,
                         .axes = 2,
                         .sizes = axes,
                         .a_strides = a_strides,
                         .b_strides = b_strides};
        for (int way = 0; way < PACKED; way++) {
            fill(dtype, c, OUTER * INNER * M * N, NAN);
            run(&p, way);
            for (int64_t i = 0; i < OUTER * INNER * M * N; i++) {
                const int64_t entry = i / (M * N), size = (int64_t)gr_dtype_size(dtype);
                matrix x = a, y = b;
                x.rows = M;
                y.rows = K;
                x.view.data = (char *)a.data +
                              (entry / INNER * M * K + entry % INNER * OUTER * M * K) * size;
                y.view.data = (char *)b.data + entry / INNER * K * N * size;
                check_element(&x, &y, (char *)c + entry * M * N * size, i / N % M, i % N, 0,
                              "batch");
            }
        }
        free(a.data);
        free(b.data);
        free(c);
    }
}
END_TEST

/* --- bits --- */

static void check_bits(gr_dtype dtype, const int64_t *size, int layout_a, int layout_b)
{
    matrix a = make(dtype, size[0], size[2], layout_a, 0);
    matrix b = make(dtype, size[2], size[1], layout_b, 1);
    const size_t bytes = (size_t)(size[0] * size[1]) * gr_dtype_size(dtype);
    char *want = malloc(bytes), *got = malloc(bytes);
    gr__product p = product_of(&a, &b, want);
    gr_set_threads(1);
    run(&p, SCRATCH);
    p.c = got;
    for (int threads = 1; threads <= 3; threads += 2)
        for (int way = 0; way < WAYS; way++) {
            gr_set_threads(threads);
            memset(got, 0, bytes);
            run(&p, way);
            ck_assert_msg(memcmp(got, want, bytes) == 0,
                          "%s, %s: %d threads and %s give other bits for %lld x %lld x %lld",
                          gr__isa_name(), gr_dtype_name(dtype), threads, way_names[way],
                          (long long)size[0], (long long)size[1], (long long)size[2]);
        }
    free(want);
    free(got);
    free(a.data);
    free(b.data);
}

START_TEST(bits_depend_on_neither_threads_nor_packing)
{
    static const int64_t some[][3] = {
        {33, 70, 20},     {170, 100, 400}, {100, 160, 390}, {20, 800, 300},
        {1, 900, 500},    {600, 1, 700},   {130, 2048, 30}, /* rows of b whole pages apart */
        {400, 70, 390},   /* rows enough for a few tasks with long runs */
        {120, 110, 9600}, /* b too large to be packed for all tasks at once */
    };
    FOR_INSTANCES(dtype)
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        for (int layout = 0; layout < 4; layout++)
            check_bits(dtype, some[i], layout / 2, layout % 2);
}
END_TEST

/* --- NaN and infinity --- */

/* Elements that are not finite reach their rows and columns, and no others. */
static void check_exceptional(gr_dtype dtype, int64_t m, int64_t n, int64_t k, int layout_b)
{
    matrix a = make(dtype, m, k, PLAIN, 0.1), b = make(dtype, k, n, layout_b, 1.1);
    void *c = elements(dtype, m * n);
    set(dtype, a.data, (m - 1) * k, NAN); /* in the last row */
    set(dtype, b.data, (k - 1) * b.view.row + (n - 1) * b.view.column, INFINITY); /* last column */
    set(dtype, a.data, k - 1, 0); /* 0 times infinity, in the first row */
    const gr__product p = product_of(&a, &b, c);
    for (int way = 0; way < WAYS; way++) {
        run(&p, way);
        for (int64_t i = 0; i < m * n; i++) {
            const double y = get(dtype, c, i);
            const bool first = i / n == 0, last = i / n == m - 1, right = i % n == n - 1;
            const bool nan = last || (first && right), finite = !nan && !right;
            if (isnan(y) == nan && isfinite(y) == finite) continue;
            ck_abort_msg("%s, %s, %lld x %lld: element (%lld, %lld) is %g", gr__isa_name(),
                         way_names[way], (long long)m, (long long)n, (long long)(i / n),
                         (long long)(i % n), y);
        }
    }
    free(c);
    free(a.data);
    free(b.data);
}

START_TEST(nan_and_infinity_stay_in_their_rows_and_columns)
{
    FOR_INSTANCES(dtype)
    for (int layout = PLAIN; layout <= TURNED; layout++) {
        check_exceptional(dtype, 2, 2, 3, layout);
        check_exceptional(dtype, 15, 37, 11, layout);
        check_exceptional(dtype, 61, 330, 400, layout);
    }
}
END_TEST

/* --- nothing --- */

START_TEST(an_empty_result_is_no_work)
{
    gr__product p = {.dtype = GR_F32, .n = 5, .k = 3};
    ck_assert_uint_eq(gr__gemm_scratch(&p), 0);
    gr__gemm(&p, NULL);
    p = (gr__product){.dtype = GR_F32, .m = 5, .k = 3};
    ck_assert_uint_eq(gr__gemm_scratch(&p), 0);
    gr__gemm(&p, NULL);
}
END_TEST

SUITE("gemm", NULL, start_over, products_are_those_of_the_definition,
      large_products_are_those_of_the_definition, a_matrix_or_a_row_is_added,
      a_batch_is_product_after_product, bits_depend_on_neither_threads_nor_packing,
      nan_and_infinity_stay_in_their_rows_and_columns, an_empty_result_is_no_work)
