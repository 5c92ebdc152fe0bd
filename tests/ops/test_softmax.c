/* test_softmax.c - softmax and the losses against plain loops in double. */
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

/* Numbers between -size and size. */
static void fill(double *x, int64_t n, double size)
{
    for (int64_t i = 0; i < n; i++) x[i] = size * sin(2.3 * (double)i + 0.1 * sqrt((double)i));
}

/* --- softmax, log_softmax --- */

/* y over x of [outer, n, inner]. */
static void softmax_by_definition(const double *x, int64_t outer, int64_t n, int64_t inner,
                                  double *y)
{
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            const int64_t first = o * n * inner + i;
            double total = 0;
            for (int64_t k = 0; k < n; k++) total += exp(x[first + k * inner]);
            for (int64_t k = 0; k < n; k++)
                y[first + k * inner] = exp(x[first + k * inner]) / total;
        }
}

static void check_softmax(gr_shape shape, int axis, gr_dtype dtype, double tolerance)
{
    static double x[20000], want[20000];
    int64_t outer = 1, inner = 1, total = gr_shape_numel(&shape);
    int at = axis < 0 ? axis + shape.rank : axis;
    for (int i = 0; i < at; i++) outer *= shape.dim[i];
    for (int i = at + 1; i < shape.rank; i++) inner *= shape.dim[i];
    ck_assert_int_le(total, 20000);
    fill(x, total, 4);
    softmax_by_definition(x, outer, shape.dim[at], inner, want);
    const double *y = values(gr_softmax(make(dtype, x, shape), axis));
    const double *log_y = values(gr_log_softmax(make(dtype, x, shape), axis));
    for (int64_t i = 0; i < total; i++) {
        ck_assert_double_eq_tol(y[i], want[i], tolerance * want[i]);
        ck_assert_double_eq_tol(log_y[i], log(want[i]), tolerance * (4 + fabs(log(want[i]))));
    }
    gr_graph_reset(g);
}

static const char *const sets[] = {"baseline", "avx2", "avx512"};

START_TEST(softmax_along_any_axis_in_every_instruction_set)
{
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            double tolerance = dtype == GR_F32 ? 2e-6 : 1e-14;
            check_softmax(GR_SHAPE(7), 0, (gr_dtype)dtype, tolerance);
            check_softmax(GR_SHAPE(5, 37), -1, (gr_dtype)dtype, tolerance);
            check_softmax(GR_SHAPE(5, 37), 0, (gr_dtype)dtype, tolerance);
            check_softmax(GR_SHAPE(2, 3, 4, 5), 1, (gr_dtype)dtype, tolerance);
            check_softmax(GR_SHAPE(2, 9, 300), 1, (gr_dtype)dtype, tolerance); /* column pieces */
            check_softmax(GR_SHAPE(3, 5000), 1, (gr_dtype)dtype, tolerance);   /* stretches */
            check_softmax(GR_SHAPE(4, 1), 1, (gr_dtype)dtype, tolerance);
        }
    }
}
END_TEST

static gr_tensor *softmax_rows(gr_tensor *x) { return gr_softmax(x, -1); }
static gr_tensor *softmax_middle(gr_tensor *x) { return gr_softmax(x, 1); }
static gr_tensor *log_softmax_rows(gr_tensor *x) { return gr_log_softmax(x, -1); }
static gr_tensor *log_softmax_middle(gr_tensor *x) { return gr_log_softmax(x, 1); }

START_TEST(derivatives_agree_with_differences)
{
    double x[12];
    fill(x, 12, 2);
    derivative_check(g, "softmax", softmax_rows, GR_SHAPE(3, 4), x, 2);
    derivative_check(g, "softmax", softmax_middle, GR_SHAPE(2, 3, 2), x, 2);
    derivative_check(g, "log_softmax", log_softmax_rows, GR_SHAPE(3, 4), x, 2);
    derivative_check(g, "log_softmax", log_softmax_middle, GR_SHAPE(2, 3, 2), x, 2);
    derivative_check(g, "softmax of a scalar", softmax_rows, GR_SCALAR, x, 2);
}
END_TEST

START_TEST(large_scores_do_not_overflow)
{
    const double x[3] = {1000, 1001, -1e30};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        const double *y = values(gr_softmax(make((gr_dtype)dtype, x, GR_SHAPE(3)), 0));
        const double *log_y = values(gr_log_softmax(make((gr_dtype)dtype, x, GR_SHAPE(3)), 0));
        ck_assert_double_eq_tol(y[0], 0.2689414213699951, 1e-7);
        ck_assert_double_eq_tol(y[1], 0.7310585786300049, 1e-7);
        ck_assert_double_eq(y[2], 0);
        ck_assert_double_eq_tol(log_y[0], -1.3132616875182228, 2e-7);
        ck_assert_double_eq_tol(log_y[2], -1e30, 1e23);
    }
}
END_TEST

static gr_tensor *softmax_of_column(gr_tensor *row)
{
    return gr_transpose(gr_softmax(gr_transpose(row, 0, 1), 0), 0, 1);
}

START_TEST(a_masked_score_gets_nothing_and_an_undefined_row_is_nan)
{
    static const double mask[3] = {0, -INFINITY, 0}, want[3] = {0.5, 0, 0.5};
    static const double undefined[3][3] = {
        {-INFINITY, -INFINITY, -INFINITY}, {0, INFINITY, 0}, {0, NAN, 0}};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *x = make((gr_dtype)dtype, mask, GR_SHAPE(1, 3));
        const double *row = values(gr_softmax(x, 1)), *column = values(softmax_of_column(x));
        for (int j = 0; j < 3; j++) ck_assert(row[j] == want[j] && column[j] == want[j]);
        for (int i = 0; i < 3; i++) {
            x = make((gr_dtype)dtype, undefined[i], GR_SHAPE(1, 3));
            row = values(gr_softmax(x, 1));
            column = values(softmax_of_column(x));
            for (int j = 0; j < 3; j++) ck_assert(isnan(row[j]) && isnan(column[j]));
        }
    }
}
END_TEST

START_TEST(strided_inputs_scalars_and_nothing)
{
    double x[12], want[12];
    fill(x, 12, 3);
    softmax_by_definition(x, 1, 4, 3, want); /* columns of [4,3] */
    gr_tensor *t = gr_transpose(make(GR_F64, x, GR_SHAPE(4, 3)), 0, 1), *d;
    const double *y = values(gr_softmax(t, 1));
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(y[i], want[i % 4 * 3 + i / 4], 1e-15);
    gr_tensor *wide = gr_expand(make(GR_F64, x, GR_SHAPE(1)), GR_SHAPE(2, 5));
    const double *same = values(gr_softmax(wide, 1));
    for (int i = 0; i < 10; i++) ck_assert_double_eq_tol(same[i], 0.2, 1e-15);
    ck_assert_double_eq(gr_item(gr_softmax(gr_scalar(g, GR_F32, 3), 0)), 1);
    ck_assert_double_eq(gr_item(gr_log_softmax(gr_scalar(g, GR_F32, 3), -1)), 0);
    for (int axis = 0; axis < 2; axis++) {
        gr_tensor *none = gr_zeros(g, GR_F64, GR_SHAPE(0, 4));
        ck_assert_int_eq(gr_grad(gr_softmax(none, axis), &none, 1, &d), GR_OK);
        ck_assert_int_eq(gr_grad(gr_log_softmax(none, axis), &none, 1, &d), GR_OK);
        ck_assert_ptr_nonnull(gr_data(d));
    }
}
END_TEST

START_TEST(a_bad_axis_is_named)
{
    gr_softmax(gr_zeros(g, GR_F32, GR_SHAPE(3, 4)), 2);
    assert_error("softmax: axis 2 is out of range for [3,4]");
    gr_log_softmax(gr_zeros(g, GR_F32, GR_SHAPE(3, 4)), -3);
    assert_error("log_softmax: axis -3 is out of range for [3,4]");
    gr_softmax(gr_scalar(g, GR_F32, 0), 1);
    assert_error("softmax: axis 1 is out of range for []");
}
END_TEST

/* --- cross_entropy --- */

enum { ROWS = 6, CLASSES = 4 };

static const int64_t labels[ROWS] = {2, 0, 3, 3, 1, 0};

static gr_tensor *targets(void)
{
    return gr_from_data(g, GR_I64, GR_SHAPE(ROWS), labels);
}

START_TEST(cross_entropy_is_the_mean_of_minus_log_probabilities)
{
    double x[ROWS * CLASSES], p[ROWS * CLASSES], want = 0;
    fill(x, ROWS * CLASSES, 3);
    softmax_by_definition(x, ROWS, CLASSES, 1, p);
    for (int i = 0; i < ROWS; i++) want -= log(p[i * CLASSES + labels[i]]) / ROWS;
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            double tolerance = dtype == GR_F32 ? 5e-7 : 1e-15;
            gr_tensor *z = make((gr_dtype)dtype, x, GR_SHAPE(ROWS, CLASSES)), *d;
            gr_tensor *y = gr_cross_entropy(z, targets());
            ck_assert_double_eq_tol(gr_item(y), want, 3 * tolerance);
            ck_assert_int_eq(gr_grad(y, &z, 1, &d), GR_OK);
            const double *dz = values(d);
            for (int i = 0; i < ROWS * CLASSES; i++) {
                double right = labels[i / CLASSES] == i % CLASSES;
                ck_assert_double_eq_tol(dz[i], (p[i] - right) / ROWS, tolerance);
            }
            gr_graph_reset(g);
        }
    }
}
END_TEST

START_TEST(equal_scores_cost_the_logarithm_of_the_number_of_classes)
{
    gr_tensor *z = gr_zeros(g, GR_F64, GR_SHAPE(ROWS, 10));
    ck_assert_double_eq_tol(gr_item(gr_cross_entropy(z, targets())), 2.302585092994046, 1e-15);
    const int64_t label = 7;
    gr_tensor *t = gr_from_data(g, GR_I64, GR_SCALAR, &label), *d;
    gr_tensor *one = gr_zeros(g, GR_F64, GR_SHAPE(10));
    ck_assert_double_eq_tol(gr_item(gr_cross_entropy(one, t)), 2.302585092994046, 1e-15);
    ck_assert_int_eq(gr_grad(gr_cross_entropy(one, t), &one, 1, &d), GR_OK);
    ck_assert_double_eq_tol(values(d)[7], -0.9, 1e-15);
    ck_assert_double_eq_tol(values(d)[0], 0.1, 1e-15);
}
END_TEST

START_TEST(cross_entropy_of_far_scores_stays_finite)
{
    const double x[4] = {-500, 500, 0, -1e4};
    const int64_t label[2] = {0, 1};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *z = make((gr_dtype)dtype, x, GR_SHAPE(2, 2)), *d;
        gr_tensor *y = gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SHAPE(2), label));
        ck_assert_double_eq_tol(gr_item(y), (1000 + 1e4) / 2, 1e-9);
        gr_grad(y, &z, 1, &d);
        const double *dz = values(d), want[4] = {-0.5, 0.5, 0.5, -0.5};
        for (int i = 0; i < 4; i++) ck_assert_double_eq(dz[i], want[i]);
    }
}
END_TEST

static gr_tensor *loss_of(gr_tensor *x) { return gr_cross_entropy(x, targets()); }

static gr_tensor *loss_of_one(gr_tensor *x)
{
    return gr_cross_entropy(x, gr_from_data(g, GR_I64, GR_SCALAR, labels));
}

START_TEST(derivatives_of_cross_entropy_agree_with_differences)
{
    double x[ROWS * CLASSES];
    fill(x, ROWS * CLASSES, 2);
    derivative_check(g, "cross_entropy", loss_of, GR_SHAPE(ROWS, CLASSES), x, 3);
    derivative_check(g, "cross_entropy", loss_of_one, GR_SHAPE(CLASSES), x, 3);
}
END_TEST

START_TEST(the_mean_of_no_rows_is_nan)
{
    gr_tensor *z = gr_zeros(g, GR_F32, GR_SHAPE(0, 4)), *d;
    gr_tensor *y = gr_cross_entropy(z, gr_zeros(g, GR_I64, GR_SHAPE(0)));
    ck_assert(isnan(gr_item(y)));
    ck_assert_int_eq(gr_grad(y, &z, 1, &d), GR_OK);
    ck_assert_ptr_nonnull(gr_data(d));
    ck_assert(isnan(gr_item(gr_mse(z, z))));
}
END_TEST

START_TEST(a_label_out_of_range_is_named)
{
    int64_t bad[ROWS];
    gr_tensor *z = gr_zeros(g, GR_F32, GR_SHAPE(ROWS, 10));
    memcpy(bad, labels, sizeof bad);
    bad[3] = 12;
    ck_assert(isnan(gr_item(gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SHAPE(ROWS), bad)))));
    assert_error("cross_entropy: target[3] is 12, expected 0 <= target < 10");
    bad[3] = 0;
    bad[0] = -1;
    z = gr_zeros(g, GR_F32, GR_SHAPE(ROWS, 10));
    gr_item(gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SHAPE(ROWS), bad)));
    assert_error("cross_entropy: target[0] is -1, expected 0 <= target < 10");
    z = gr_zeros(g, GR_F32, GR_SHAPE(10));
    gr_item(gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SCALAR, bad)));
    assert_error("cross_entropy: target is -1, expected 0 <= target < 10");
}
END_TEST

START_TEST(shapes_and_dtypes_that_do_not_fit_are_named)
{
    gr_cross_entropy(gr_zeros(g, GR_F32, GR_SHAPE(5, 4)), targets());
    assert_error("cross_entropy: expected logits [N,C,...] with a target [N,...], or [C] with a scalar, "
                 "got [5,4] with [6]");
    gr_cross_entropy(gr_zeros(g, GR_F32, GR_SHAPE(6, 4)), gr_zeros(g, GR_F32, GR_SHAPE(6)));
    assert_error("cross_entropy: the target is float32, expected int64");
    gr_cross_entropy(gr_zeros(g, GR_I64, GR_SHAPE(6, 4)), targets());
    assert_error("cross_entropy: not defined for int64");
    gr_mse(gr_zeros(g, GR_F32, GR_SHAPE(6, 1)), gr_zeros(g, GR_F32, GR_SHAPE(6)));
    assert_error("mse: expected a target of the shape of x, [6,1], got [6]");
}
END_TEST

/* --- mse --- */

static gr_tensor *error_of(gr_tensor *x)
{
    const double t[3] = {1, 0.5, -2};
    return gr_mse(x, gr_from_data(g, GR_F64, GR_SHAPE(3), t));
}

START_TEST(mse_is_the_mean_of_squares)
{
    const double x0[3] = {1, 2, 3};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(3)), *d;
    gr_tensor *y = error_of(x);
    ck_assert_double_eq_tol(gr_item(y), (2.25 + 25) / 3, 1e-14);
    gr_grad(y, &x, 1, &d);
    ck_assert_double_eq_tol(values(d)[2], 10.0 / 3, 1e-15);
    derivative_check(g, "mse", error_of, GR_SHAPE(3), x0, 2);
}
END_TEST

/* --- threads --- */

enum { MANY = 300, WIDE = 1000 };

/* All results of one run over large inputs. */
static void run_large(int threads, float *out)
{
    static float x[MANY * WIDE];
    static int64_t t[MANY];
    const size_t bytes = sizeof x;
    for (int i = 0; i < MANY * WIDE; i++) x[i] = sinf((float)i * 0.7f) * 5;
    for (int i = 0; i < MANY; i++) t[i] = i * 7 % WIDE;
    gr_set_threads(threads);
    gr_tensor *z = gr_from_data(g, GR_F32, GR_SHAPE(MANY, WIDE), x), *d;
    gr_tensor *y = gr_cross_entropy(z, gr_from_data(g, GR_I64, GR_SHAPE(MANY), t));
    gr_grad(y, &z, 1, &d);
    memcpy(out, gr_data(gr_softmax(z, 1)), bytes);
    memcpy(out + MANY * WIDE, gr_data(gr_log_softmax(z, 0)), bytes);
    memcpy(out + 2 * MANY * WIDE, gr_data(d), bytes);
    out[3 * MANY * WIDE] = (float)gr_item(y);
    gr_graph_reset(g);
}

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[3 * MANY * WIDE + 1], two[3 * MANY * WIDE + 1];
    int threads = gr_threads();
    run_large(1, one);
    run_large(2, two);
    gr_set_threads(threads);
    ck_assert(memcmp(one, two, sizeof one) == 0);
}
END_TEST

SUITE("softmax", setup, reset, softmax_along_any_axis_in_every_instruction_set,
      derivatives_agree_with_differences, large_scores_do_not_overflow,
      a_masked_score_gets_nothing_and_an_undefined_row_is_nan,
      strided_inputs_scalars_and_nothing, a_bad_axis_is_named,
      cross_entropy_is_the_mean_of_minus_log_probabilities,
      equal_scores_cost_the_logarithm_of_the_number_of_classes,
      cross_entropy_of_far_scores_stays_finite, derivatives_of_cross_entropy_agree_with_differences,
      the_mean_of_no_rows_is_nan, a_label_out_of_range_is_named,
      shapes_and_dtypes_that_do_not_fit_are_named, mse_is_the_mean_of_squares,
      the_same_bits_from_one_thread_and_two)
