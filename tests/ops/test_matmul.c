/* test_matmul.c - matrix products against the definition. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static gr_tensor *numbers(gr_dtype dtype, gr_shape shape, double phase)
{
    int64_t n = gr_shape_numel(&shape);
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = sin((double)i * 0.7 + phase);
    gr_tensor *t = gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
    gr_eval(&t, 1);
    free(x);
    return t;
}

static const double *wide(gr_tensor *t)
{
    const double *p = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(p != NULL, "%s", gr_graph_error(g));
    return p;
}

/* How a matrix may lie: as it is, transposed, every second column, repeated rows. */
enum { PLAIN, TURNED, STEPPED, REPEATED, LAYOUTS };

static gr_tensor *matrix(gr_dtype dtype, int64_t m, int64_t n, int layout, double phase)
{
    if (layout == TURNED) return gr_transpose(numbers(dtype, GR_SHAPE(n, m), phase), 0, 1);
    if (layout == STEPPED) return gr_slice(numbers(dtype, GR_SHAPE(m, 2 * n), phase), 1, 0, 2 * n, 2);
    if (layout == REPEATED) return gr_expand(numbers(dtype, GR_SHAPE(1, n), phase), GR_SHAPE(m, n));
    return numbers(dtype, GR_SHAPE(m, n), phase);
}

static void check_product(gr_dtype dtype, int64_t m, int64_t k, int64_t n, int la, int lb, double tolerance)
{
    gr_tensor *a = matrix(dtype, m, k, la, 0), *b = matrix(dtype, k, n, lb, 1), *in[2] = {a, b}, *d[2];
    gr_tensor *y = gr_matmul(a, b), *v = numbers(dtype, GR_SHAPE(m, n), 2);
    gr_vjp(&y, &v, 1, in, 2, d);
    const double *pa = wide(a), *pb = wide(b), *py = wide(y), *pv = wide(v), *da = wide(d[0]), *db = wide(d[1]);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += pa[i * k + l] * pb[l * n + j];
            ck_assert_double_eq_tol(py[i * n + j], sum, tolerance);
        }
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < k; l++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++) sum += pv[i * n + j] * pb[l * n + j];
            ck_assert_double_eq_tol(da[i * k + l], sum, tolerance);
        }
    for (int64_t l = 0; l < k; l++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t i = 0; i < m; i++) sum += pv[i * n + j] * pa[i * k + l];
            ck_assert_double_eq_tol(db[l * n + j], sum, tolerance);
        }
    gr_graph_reset(g);
}

START_TEST(products_of_any_layout)
{
    const int64_t sizes[][3] = {{3, 4, 5}, {1, 7, 1}, {1, 1, 1}, {40, 1, 33}, {65, 50, 70}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int la = 0; la < LAYOUTS; la++)
            for (int lb = 0; lb < LAYOUTS; lb++) {
                check_product(GR_F64, sizes[i][0], sizes[i][1], sizes[i][2], la, lb, 1e-11);
                check_product(GR_F32, sizes[i][0], sizes[i][1], sizes[i][2], la, lb, 1e-3);
            }
}
END_TEST

START_TEST(a_product_over_nothing_is_zero)
{
    const double *p = wide(gr_matmul(gr_ones(g, GR_F64, GR_SHAPE(3, 0)), gr_ones(g, GR_F64, GR_SHAPE(0, 4))));
    for (int i = 0; i < 12; i++) ck_assert_double_eq(p[i], 0);
    gr_tensor *none = gr_matmul(gr_ones(g, GR_F64, GR_SHAPE(0, 3)), gr_ones(g, GR_F64, GR_SHAPE(3, 4)));
    ck_assert_int_eq(gr_numel(none), 0);
    ck_assert_ptr_nonnull(gr_data(none));
}
END_TEST

START_TEST(batches_broadcast_and_vectors_count_as_row_or_column)
{
    const struct {
        gr_shape a, b, y;
    } cases[] = {
        {GR_SHAPE(2, 3, 4), GR_SHAPE(2, 4, 5), GR_SHAPE(2, 3, 5)},
        {GR_SHAPE(2, 3, 4), GR_SHAPE(4, 5), GR_SHAPE(2, 3, 5)},
        {GR_SHAPE(3, 4), GR_SHAPE(2, 4, 5), GR_SHAPE(2, 3, 5)},
        {GR_SHAPE(7, 1, 3, 4), GR_SHAPE(2, 4, 5), GR_SHAPE(7, 2, 3, 5)},
        {GR_SHAPE(4), GR_SHAPE(4, 5), GR_SHAPE(5)},
        {GR_SHAPE(3, 4), GR_SHAPE(4), GR_SHAPE(3)},
        {GR_SHAPE(4), GR_SHAPE(4), GR_SCALAR},
        {GR_SHAPE(2, 3, 4), GR_SHAPE(4), GR_SHAPE(2, 3)},
        {GR_SHAPE(4), GR_SHAPE(2, 4, 5), GR_SHAPE(2, 5)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_tensor *a = numbers(GR_F64, cases[i].a, 0), *b = numbers(GR_F64, cases[i].b, 1), *in[2] = {a, b}, *d[2];
        gr_tensor *y = gr_matmul(a, b);
        ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
        ck_assert_msg(gr_shape_equal(gr_shape_of(y), &cases[i].y), "case %d", (int)i);
        gr_grad(y, in, 2, d);
        ck_assert(gr_shape_equal(gr_shape_of(d[0]), &cases[i].a));
        ck_assert(gr_shape_equal(gr_shape_of(d[1]), &cases[i].b));
        wide(d[0]);
        wide(d[1]);
    }
}
END_TEST

START_TEST(a_batch_is_its_matrices_one_by_one)
{
    gr_tensor *a = numbers(GR_F64, GR_SHAPE(5, 3, 4), 0), *b = gr_permute(numbers(GR_F64, GR_SHAPE(6, 5, 4), 1), GR_AXES(1, 2, 0));
    const double *all = wide(gr_matmul(a, b));
    for (int i = 0; i < 5; i++) {
        gr_tensor *one = gr_matmul(gr_reshape(gr_slice(a, 0, i, i + 1, 1), GR_SHAPE(3, 4)), gr_reshape(gr_slice(b, 0, i, i + 1, 1), GR_SHAPE(4, 6)));
        const double *p = wide(one);
        for (int k = 0; k < 18; k++) ck_assert_double_eq_tol(all[i * 18 + k], p[k], 1e-13);
    }
}
END_TEST

/* --- the products that backward needs --- */

static gr_tensor *apply(const char *name, gr_tensor *a, gr_tensor *b)
{
    gr_tensor *in[2] = {a, b};
    return gr_apply(NULL, gr_op_find(name), in, 2, NULL);
}

static gr_tensor *by_turned(gr_tensor *a, gr_tensor *b)
{
    return apply("matmul_nt", a, b);
}

static gr_tensor *turned_by(gr_tensor *a, gr_tensor *b)
{
    return apply("matmul_tn", a, b);
}

/* Where elements of the operands lie, row-major: a [m,k] or [k,m], b [k,n] or [n,k]. */
static const struct turned {
    const char *name;
    gr_tensor *(*record)(gr_tensor *a, gr_tensor *b);
    bool a, b;
} turned_products[] = {
    {"matmul_nt", by_turned, false, true},
    {"matmul_tn", turned_by, true, false},
};

static int64_t at(bool turn, int64_t row, int64_t column, int64_t rows, int64_t columns)
{
    return turn ? column * rows + row : row * columns + column;
}

static void expect_element(const char *name, const char *what, int64_t i, int64_t j, double got,
                           double want, double tolerance)
{
    ck_assert_msg(fabs(got - want) <= tolerance, "%s, %s (%d, %d): expected %.12g, got %.12g", name,
                  what, (int)i, (int)j, want, got);
}

/* y = A B, dA = V B^T, dB = A^T V by plain loops; size: m, k, n. */
static void check_turned(const struct turned *t, gr_dtype dtype, const int64_t *size, int la, int lb,
                         double tolerance)
{
    const int64_t m = size[0], k = size[1], n = size[2];
    gr_tensor *a = t->a ? matrix(dtype, k, m, la, 0) : matrix(dtype, m, k, la, 0);
    gr_tensor *b = t->b ? matrix(dtype, n, k, lb, 1) : matrix(dtype, k, n, lb, 1);
    gr_tensor *in[2] = {a, b}, *d[2], *y = t->record(a, b), *v = numbers(dtype, GR_SHAPE(m, n), 2);
    gr_vjp(&y, &v, 1, in, 2, d);
    const double *pa = wide(a), *pb = wide(b), *py = wide(y), *pv = wide(v), *da = wide(d[0]),
                 *db = wide(d[1]);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += pa[at(t->a, i, l, m, k)] * pb[at(t->b, l, j, k, n)];
            expect_element(t->name, "y", i, j, py[i * n + j], sum, tolerance);
        }
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < k; l++) {
            double sum = 0;
            for (int64_t j = 0; j < n; j++) sum += pv[i * n + j] * pb[at(t->b, l, j, k, n)];
            expect_element(t->name, "dA", i, l, da[at(t->a, i, l, m, k)], sum, tolerance);
        }
    for (int64_t l = 0; l < k; l++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t i = 0; i < m; i++) sum += pa[at(t->a, i, l, m, k)] * pv[i * n + j];
            expect_element(t->name, "dB", l, j, db[at(t->b, l, j, k, n)], sum, tolerance);
        }
    gr_graph_reset(g);
}

START_TEST(turned_products_of_any_layout)
{
    static const int64_t sizes[][3] = {{3, 4, 5},    {1, 7, 1}, {1, 1, 1}, {40, 1, 33},
                                       {65, 50, 70}, {2, 0, 3}, {0, 4, 2}, {3, 2, 0}};
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int la = 0; la < LAYOUTS; la++)
                for (int lb = 0; lb < LAYOUTS; lb++) {
                    check_turned(&turned_products[t], GR_F64, sizes[i], la, lb, 1e-11);
                    check_turned(&turned_products[t], GR_F32, sizes[i], la, lb, 1e-3);
                }
}
END_TEST

/* A batch of which one side lies the other way round and one is the same for all. */
START_TEST(turned_products_of_a_batch_are_those_of_its_matrices)
{
    for (int t = 0; t < 2; t++) {
        const struct turned *p = &turned_products[t];
        const gr_shape one = p->a ? GR_SHAPE(1, 4, 3) : GR_SHAPE(1, 3, 4);
        const gr_shape all = p->a ? GR_SHAPE(5, 4, 3) : GR_SHAPE(5, 3, 4);
        gr_tensor *a = gr_expand(numbers(GR_F64, one, 0), all);
        gr_tensor *b = p->b ? numbers(GR_F64, GR_SHAPE(6, 5, 4), 1) : numbers(GR_F64, GR_SHAPE(4, 5, 6), 1);
        b = gr_transpose(b, 0, 1);
        const double *y = wide(p->record(a, b));
        for (int i = 0; i < 5; i++) {
            const double *single = wide(p->record(gr_select(a, 0, i), gr_select(b, 0, i)));
            for (int k = 0; k < 18; k++)
                expect_element(p->name, "batch", i, k, y[i * 18 + k], single[k], 1e-13);
        }
    }
}
END_TEST

static gr_tensor *squared_nt(gr_tensor *x) { return by_turned(x, x); }
static gr_tensor *squared_tn(gr_tensor *x) { return turned_by(x, x); }

START_TEST(turned_products_can_be_differentiated_again)
{
    static const double x[] = {0.3, -0.7, 0.2, 0.9, -0.4, 0.6};
    derivative_check(g, "matmul_nt", squared_nt, GR_SHAPE(2, 3), x, 3);
    derivative_check(g, "matmul_tn", squared_tn, GR_SHAPE(2, 3), x, 3);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_named)
{
    gr_matmul(gr_ones(g, GR_F32, GR_SHAPE(2, 3, 4)), gr_ones(g, GR_F32, GR_SHAPE(3, 4, 5)));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "matmul: cannot multiply [2,3,4] by [3,4,5]"));
    gr_graph_reset(g);
    gr_matmul(gr_ones(g, GR_F32, GR_SCALAR), gr_ones(g, GR_F32, GR_SHAPE(3, 4)));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "matmul: cannot multiply [] by [3,4]"));
}
END_TEST

SUITE("matmul", setup, teardown, products_of_any_layout, a_product_over_nothing_is_zero,
      batches_broadcast_and_vectors_count_as_row_or_column, a_batch_is_its_matrices_one_by_one,
      turned_products_of_any_layout, turned_products_of_a_batch_are_those_of_its_matrices,
      turned_products_can_be_differentiated_again, shapes_that_do_not_fit_are_named)
