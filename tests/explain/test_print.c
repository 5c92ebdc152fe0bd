/* test_print.c - tensors, nodes and tapes in a terminal. What is expected of values is what NumPy
 * 1.24 writes. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static gr_graph *g;

static void setup(void)
{
    scratch_begin();
    g = gr_graph_new();
}

static void teardown(void)
{
    gr_graph_free(g);
    scratch_end();
}

/* --- what was printed --- */

static FILE *begin_print(void)
{
    FILE *out = fopen(scratch_path("out"), "w");
    ck_assert_ptr_nonnull(out);
    return out;
}

/* To be freed. */
static char *end_print(FILE *out)
{
    size_t bytes;
    fclose(out);
    return scratch_read("out", &bytes);
}

static void expect(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part), "expected '%s' in:\n%s", part, text);
}

static void expect_values(gr_tensor *x, gr_print_options o, const char *want)
{
    FILE *out = begin_print();
    ck_assert_msg(gr_print_with(out, x, o) == GR_OK, "%s", gr_last_error());
    char *got = end_print(out), *values = strchr(got, '\n') + 1;
    ck_assert_str_eq(values, want);
    free(got);
}

/* 0, 1, 2, ... times a factor */
static gr_tensor *counting(gr_dtype dtype, gr_shape shape, double factor)
{
    static double x[2000];
    ck_assert_int_le(gr_shape_numel(&shape), 2000);
    for (int i = 0; i < 2000; i++) x[i] = i * factor;
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

#define VALUES(dtype, ...)                                                    \
    gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(GR__COUNT(double, __VA_ARGS__)), \
                         (double[]){__VA_ARGS__}),                            \
            dtype)
static const gr_print_options as_numpy;

/* --- values --- */

START_TEST(columns_line_up_and_digits_are_as_few_as_needed)
{
    expect_values(gr_reshape(VALUES(GR_F64, 1, 2.5, -3, 4, 5, 6), GR_SHAPE(2, 3)), as_numpy,
                  "[[ 1.   2.5 -3. ]\n [ 4.   5.   6. ]]\n");
    expect_values(VALUES(GR_F32, 0.1, 1 / 3.0, 2 / 3.0), as_numpy,
                  "[0.1        0.33333334 0.6666667 ]\n");
    expect_values(VALUES(GR_I64, -1e15, 7), as_numpy, "[-1000000000000000                 7]\n");
    expect_values(VALUES(GR_U8, 1, 2, 255), as_numpy, "[  1   2 255]\n");
    expect_values(gr_reshape(VALUES(GR_BOOL, 1, 0, 0, 1), GR_SHAPE(2, 2)), as_numpy,
                  "[[ True False]\n [False  True]]\n");
    expect_values(gr_scalar(g, GR_F64, 3.5), as_numpy, "3.5\n");
    expect_values(gr_zeros(g, GR_F64, GR_SHAPE(0, 3)), as_numpy, "[]\n");
}
END_TEST

START_TEST(magnitudes_far_apart_are_written_with_exponents)
{
    expect_values(VALUES(GR_F64, 1e-6, 1, -1000), as_numpy, "[ 1.e-06  1.e+00 -1.e+03]\n");
    expect_values(VALUES(GR_F64, 1e100, 1, NAN), as_numpy, "[1.e+100 1.e+000     nan]\n");
    expect_values(VALUES(GR_F32, 1.25e9, 2.5), as_numpy, "[1.25e+09 2.50e+00]\n");
}
END_TEST

START_TEST(what_is_not_finite_lines_up_too)
{
    expect_values(VALUES(GR_F64, NAN, -INFINITY, 1.5, INFINITY), as_numpy,
                  "[ nan -inf  1.5  inf]\n");
    expect_values(VALUES(GR_F64, NAN, NAN), as_numpy, "[nan nan]\n");
}
END_TEST

START_TEST(rows_are_broken_and_blocks_set_apart)
{
    expect_values(gr_sqrt(counting(GR_F64, GR_SHAPE(20), 1)), as_numpy,
                  "[0.         1.         1.41421356 1.73205081 2.         2.23606798\n"
                  " 2.44948974 2.64575131 2.82842712 3.         3.16227766 3.31662479\n"
                  " 3.46410162 3.60555128 3.74165739 3.87298335 4.         4.12310563\n"
                  " 4.24264069 4.35889894]\n");
    expect_values(counting(GR_I64, GR_SHAPE(2, 2, 3), 1), as_numpy,
                  "[[[ 0  1  2]\n  [ 3  4  5]]\n\n [[ 6  7  8]\n  [ 9 10 11]]]\n");
}
END_TEST

START_TEST(many_elements_are_summarised)
{
    expect_values(counting(GR_F64, GR_SHAPE(40, 50), 0.5), as_numpy,
                  "[[0.000e+00 5.000e-01 1.000e+00 ... 2.350e+01 2.400e+01 2.450e+01]\n"
                  " [2.500e+01 2.550e+01 2.600e+01 ... 4.850e+01 4.900e+01 4.950e+01]\n"
                  " [5.000e+01 5.050e+01 5.100e+01 ... 7.350e+01 7.400e+01 7.450e+01]\n"
                  " ...\n"
                  " [9.250e+02 9.255e+02 9.260e+02 ... 9.485e+02 9.490e+02 9.495e+02]\n"
                  " [9.500e+02 9.505e+02 9.510e+02 ... 9.735e+02 9.740e+02 9.745e+02]\n"
                  " [9.750e+02 9.755e+02 9.760e+02 ... 9.985e+02 9.990e+02 9.995e+02]]\n");
    expect_values(counting(GR_I64, GR_SHAPE(4, 4, 100), 1), (gr_print_options){.edge = 1},
                  "[[[   0 ...   99]\n  ...\n  [ 300 ...  399]]\n\n ...\n\n"
                  " [[1200 ... 1299]\n  ...\n  [1500 ... 1599]]]\n");
}
END_TEST

START_TEST(options_set_digits_and_length)
{
    gr_tensor *x = gr_sqrt(counting(GR_F64, GR_SHAPE(20), 1));
    expect_values(x, (gr_print_options){.precision = 3, .threshold = 5, .edge = 1},
                  "[0.    ... 4.359]\n");
    expect_values(gr_slice(x, 0, 2, 4, 1), (gr_print_options){.precision = 1000},
                  "[1.4142135623730951 1.7320508075688772]\n");
}
END_TEST

START_TEST(a_print_computes_and_names_dtype_and_shape)
{
    FILE *out = begin_print();
    ck_assert_int_eq(gr_print(out, gr_transpose(counting(GR_F32, GR_SHAPE(40, 50), 1), 0, 1)),
                     GR_OK);
    char *text = end_print(out);
    expect(text, "float32 [50,40]\n[[0.000e+00 5.000e+01 1.000e+02 ...");
    free(text);
}
END_TEST

START_TEST(a_text_is_cut_as_snprintf_does)
{
    gr_tensor *x = VALUES(GR_F64, 1, 2);
    const char whole[] = "float64 [2]\n[1. 2.]";
    char text[64];
    ck_assert_uint_eq(gr_tensor_text(x, NULL, 0), strlen(whole));
    for (size_t size = 1; size < sizeof whole + 2; size++) {
        memset(text, 'x', sizeof text);
        ck_assert_uint_eq(gr_tensor_text(x, text, size), strlen(whole));
        size_t n = size <= strlen(whole) ? size - 1 : strlen(whole);
        ck_assert_int_eq(strncmp(text, whole, n), 0);
        ck_assert_uint_eq(strlen(text), n);
        ck_assert_int_eq(text[size], 'x');
    }
}
END_TEST

START_TEST(a_tensor_without_value_says_why)
{
    char text[400];
    gr_tensor *bad = gr_add(VALUES(GR_F64, 1, 2), VALUES(GR_F64, 1, 2, 3));
    gr_tensor_text(bad, text, sizeof text);
    expect(text, "no value: add: cannot broadcast [2] with [3] (at test_print.c:");
    FILE *out = begin_print();
    ck_assert_int_eq(gr_print(out, bad), GR_ERR_ARGUMENT);
    free(end_print(out));
    gr_tensor_text(gr_tanh(NULL), text, sizeof text);
    expect(text, "no value: the tensor is of no graph");
    ck_assert_uint_gt(gr_tensor_text(NULL, text, sizeof text), 0);
}
END_TEST

/* --- nodes and tapes --- */

/* A layer, its loss and the gradient of its weight. */
static gr_tensor *record(gr_model **m)
{
    *m = gr_model_new();
    gr_module *net = gr_sequential(*m, GR_LIST(gr_named("fc", gr_linear_layer(*m, 3, 2))));
    gr_tensor *y = gr_forward(net, counting(GR_F32, GR_SHAPE(4, 3), 1));
    gr_tensor *loss = gr_sum(gr_square(y), GR_AXES(0, 1), false), *dw;
    gr_tensor *w = gr_use(g, gr_model_find(*m, "fc.weight"));
    ck_assert_int_eq(gr_grad(loss, &w, 1, &dw), GR_OK);
    return loss;
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

START_TEST(a_tape_is_a_table_with_a_line_per_node)
{
    gr_model *m;
    record(&m);
    FILE *out = begin_print();
    ck_assert_int_eq(gr_print_tape(out, g), GR_OK);
    char *text = end_print(out);
    int nodes = 0;
    for (const gr_node *n = gr_node_first(g); n; n = gr_node_next(n)) nodes++;
    ck_assert_int_eq(count_lines(text), nodes + 4); /* head, rule, empty, legend */
    expect(text, "id  op");
    expect(text, "parameter 'weight'");
    expect(text, "linear");
    expect(text, "axes 0,1");
    expect(text, " 1 2 3 ");
    expect(text, "[4,2]");
    expect(text, "  fc  ");
    expect(text, "test_print.c:");
    expect(text, "flags: c computed, k kept until reset");
    free(text);
    gr_model_free(m);
}
END_TEST

START_TEST(a_tape_in_error_is_printed_with_the_error)
{
    gr_add(VALUES(GR_F64, 1, 2), VALUES(GR_F64, 1, 2, 3));
    FILE *out = begin_print();
    ck_assert_int_eq(gr_print_tape(out, g), GR_OK);
    char *text = end_print(out);
    expect(text, "float64");
    expect(text, "\nerror: add: cannot broadcast");
    free(text);
}
END_TEST

START_TEST(a_node_is_printed_in_full)
{
    gr_model *m;
    const gr_node *node = gr_node_of(record(&m));
    FILE *out = begin_print();
    ck_assert_int_eq(gr_print_node(out, node), GR_OK);
    for (const gr_node *n = node; n; n = gr_node_next(n))
        if (!gr_node_next(n)) gr_print_node(out, n); /* the last one, recorded by a rule */
    char *text = end_print(out), head[64];
    snprintf(head, sizeof head, "node %d: sum, computed", (int)gr_node_id(node));
    expect(text, head);
    expect(text, "\n  formula: ");
    expect(text, "\n  attributes: axes 0,1");
    expect(text, "\n  input 0: float32 [4,2], from node ");
    expect(text, " (square)\n  output 0: float32 []");
    expect(text, "\n  place: test_print.c:");
    expect(text, "recorded by a backward rule");
    expect(text, "\n  scope: fc");
    free(text);
    gr_model_free(m);
}
END_TEST

START_TEST(outputs_of_a_node_are_told_apart)
{
    gr_cast(gr_output(gr_cummax(VALUES(GR_F64, 1, 3, 2), 0), 1), GR_F64);
    FILE *out = begin_print();
    gr_print_tape(out, g);
    char *text = end_print(out);
    expect(text, "[3] [3]");
    expect(text, "float64 int64");
    expect(text, ".1 ");
    free(text);
}
END_TEST

/* --- what fails --- */

START_TEST(what_cannot_be_written_is_an_error)
{
    gr_tensor *x = VALUES(GR_F64, 1, 2);
    scratch_write("closed", "x", 1);
    FILE *unwritable = fopen(scratch_path("closed"), "r");
    ck_assert_int_eq(gr_print(unwritable, x), GR_ERR_FILE);
    ck_assert_int_eq(gr_print_tape(unwritable, g), GR_ERR_FILE);
    ck_assert_int_eq(gr_print_node(unwritable, gr_node_of(x)), GR_ERR_FILE);
    fclose(unwritable);
    ck_assert_int_eq(gr_print(NULL, x), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_print_node(stdout, NULL), GR_ERR_ARGUMENT);
    expect(gr_last_error(), "gr_print_node: the node is NULL");
}
END_TEST

START_TEST(no_memory_is_an_error_and_nothing_leaks)
{
    gr_tensor *x = counting(GR_F64, GR_SHAPE(5, 5), 1);
    gr_data(x);
    FILE *out = begin_print();
    inject_begin();
    for (int which = 0; which < 3; which++) {
        for (int64_t n = 0, done = 0; !done; n++) {
            inject_allocation(n);
            gr_status status = which == 0   ? gr_print(out, x)
                               : which == 1 ? gr_print_tape(out, g)
                                            : gr_print_node(out, gr_node_of(x));
            done = !inject_happened();
            inject_none();
            ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
            ck_assert_int_eq(inject_live(), 0);
        }
    }
    inject_end();
    free(end_print(out));
}
END_TEST

SUITE("print", setup, teardown, columns_line_up_and_digits_are_as_few_as_needed,
      magnitudes_far_apart_are_written_with_exponents, what_is_not_finite_lines_up_too,
      rows_are_broken_and_blocks_set_apart, many_elements_are_summarised,
      options_set_digits_and_length, a_print_computes_and_names_dtype_and_shape,
      a_text_is_cut_as_snprintf_does, a_tensor_without_value_says_why,
      a_tape_is_a_table_with_a_line_per_node, a_tape_in_error_is_printed_with_the_error,
      a_node_is_printed_in_full, outputs_of_a_node_are_told_apart,
      what_cannot_be_written_is_an_error, no_memory_is_an_error_and_nothing_leaks)
