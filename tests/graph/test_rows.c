/* test_rows.c - the gradient of a table, kept by rows: the same bits, and what was touched. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <string.h>

enum { ROWS = 50, COLUMNS = 300, N = 7 }; /* rows longer than what is read at a time */

static const int64_t places[N] = {3, 49, 3, 0, 17, 49, 3}, further[2] = {17, 20};

static gr_graph *g;
static gr_param *table;
static gr_dtype dtype;

static void make_table(gr_dtype type)
{
    dtype = type;
    gr_param_release(table);
    table = gr_param_new("table", dtype, GR_SHAPE(ROWS, COLUMNS), NULL);
    gr_init_param(table, (gr_init){.kind = GR_INIT_NORMAL, .a = 1}, 1);
}

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    table = NULL;
    make_table(GR_F32);
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_param_release(table);
}

static size_t bytes(void)
{
    return ROWS * COLUMNS * gr_dtype_size(dtype);
}

static gr_tensor *look_up(gr_tensor *w, const int64_t *index, int64_t n)
{
    return gr_embedding(w, gr_from_data(g, GR_I64, GR_SHAPE(n), index));
}

/* A loss whose cotangents differ from row to row. */
static gr_tensor *loss_of(gr_tensor *x)
{
    return gr_sum_all(gr_mul(gr_square(x), gr_sin(x)));
}

static void step(void)
{
    gr_graph_reset(g);
    gr_tensor *loss = loss_of(look_up(gr_use(g, table), places, N));
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
}

/* The gradient of the loss as a tensor, computed by the op's own kernel; free() it. */
static void *dense_gradient(void)
{
    gr_tensor *w, *dw;
    gr_graph_reset(g);
    w = gr_use(g, table);
    ck_assert_int_eq(gr_grad(loss_of(look_up(w, places, N)), &w, 1, &dw), GR_OK);
    void *copy = malloc(bytes());
    memcpy(copy, gr_data(dw), bytes());
    return copy;
}

static void expect_rows(const int64_t *expected, int64_t count)
{
    int64_t n;
    const int64_t *rows = gr_param_grad_rows(table, &n);
    ck_assert_ptr_nonnull(rows);
    ck_assert_int_eq(n, count);
    for (int64_t i = 0; i < n; i++) ck_assert_int_eq(rows[i], expected[i]);
}

static void expect_dense(void)
{
    int64_t n = -1;
    ck_assert_ptr_null(gr_param_grad_rows(table, &n));
    ck_assert_int_eq(n, 0);
    ck_assert_ptr_nonnull(gr_param_grad(table));
}

START_TEST(the_gradient_has_the_bits_of_the_dense_one)
{
    for (int type = GR_F32; type <= GR_F64; type++) {
        make_table((gr_dtype)type);
        void *expected = dense_gradient();
        for (int k = 0; k < 3; k++) {
            step();
            expect_rows((const int64_t[]){3, 49, 0, 17}, 4);
            ck_assert_mem_eq(gr_param_grad(table), expected, bytes());
            gr_param_clear_grad(table);
            ck_assert_ptr_null(gr_param_grad(table));
        }
        free(expected);
    }
}
END_TEST

START_TEST(cotangents_of_any_strides_are_added)
{
    gr_backward(gr_sum_all(look_up(gr_use(g, table), places, N))); /* an expanded scalar */
    const float *dw = gr_param_grad(table);
    for (int i = 0; i < ROWS; i++) {
        int times = 0;
        for (int k = 0; k < N; k++) times += places[k] == i;
        for (int j = 0; j < COLUMNS; j++) ck_assert_float_eq(dw[i * COLUMNS + j], (float)times);
    }
    gr_param_clear_grad(table);
    gr_graph_reset(g);
    float weights[COLUMNS * N];
    for (int i = 0; i < COLUMNS * N; i++) weights[i] = (float)i;
    gr_tensor *v = gr_from_data(g, GR_F32, GR_SHAPE(COLUMNS, N), weights);
    gr_tensor *x = gr_transpose(look_up(gr_use(g, table), places, N), 0, 1);
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_mul(x, v))), GR_OK);
    expect_rows((const int64_t[]){3, 49, 0, 17}, 4);
    dw = gr_param_grad(table);
    for (int j = 0; j < COLUMNS; j++) {
        ck_assert_float_eq(dw[17 * COLUMNS + j], weights[j * N + 4]);
        ck_assert_float_eq(dw[49 * COLUMNS + j], weights[j * N + 1] + weights[j * N + 5]);
    }
}
END_TEST

/* The cotangent of the rows is that of the other parameter too, and computed into its gradient. */
START_TEST(a_cotangent_may_be_another_gradient)
{
    gr_param *other = gr_param_new("other", GR_F32, GR_SHAPE(2, COLUMNS), NULL);
    gr_tensor *x = gr_add(look_up(gr_use(g, table), further, 2), gr_use(g, other));
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_square(x))), GR_OK);
    expect_rows(further, 2);
    const float *w = gr_param_data(table), *dw = gr_param_grad(table), *d = gr_param_grad(other);
    for (int i = 0; i < 2 * COLUMNS; i++) {
        int64_t at = further[i / COLUMNS] * COLUMNS + i % COLUMNS;
        ck_assert_float_eq(dw[at], 2 * w[at]);
        ck_assert_float_eq(d[i], 2 * w[at]);
    }
    gr_graph_reset(g);
    gr_param_release(other);
}
END_TEST

START_TEST(batches_add_up_by_rows)
{
    void *one = dense_gradient();
    step();
    gr_graph_reset(g);
    gr_backward(gr_sum_all(look_up(gr_use(g, table), further, 2)));
    expect_rows((const int64_t[]){3, 49, 0, 17, 20}, 5);
    const float *dw = gr_param_grad(table), *first = one;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        bool again = i / COLUMNS == 17 || i / COLUMNS == 20;
        ck_assert_float_eq(dw[i], again ? first[i] + 1 : first[i]);
    }
    free(one);
}
END_TEST

/* In every order of dense uses, uses by rows and clearing the sum is right. */
START_TEST(other_uses_make_it_dense)
{
    for (int order = 0; order < 4; order++) {
        for (int k = 0; k < 2; k++) {
            gr_graph_reset(g);
            gr_tensor *w = gr_use(g, table);
            gr_backward((order >> k & 1) ? gr_sum_all(w) : gr_sum_all(look_up(w, further, 2)));
        }
        const float *dw = gr_param_grad(table);
        for (int i = 0; i < ROWS; i++) {
            bool listed = i == 17 || i == 20;
            float sum = 0;
            for (int k = 0; k < 2; k++) sum += (order >> k & 1) ? 1 : (float)listed;
            ck_assert_float_eq(dw[i * COLUMNS + 5], sum);
        }
        if (order) expect_dense();
        else expect_rows(further, 2);
        gr_param_clear_grad(table);
    }
}
END_TEST

START_TEST(two_uses_in_one_graph_are_dense)
{
    gr_tensor *w = gr_use(g, table);
    gr_tensor *both = gr_add(gr_sum_all(look_up(w, places, N)), gr_sum_all(look_up(w, further, 2)));
    ck_assert_int_eq(gr_backward(both), GR_OK);
    expect_dense();
    ck_assert_float_eq(((const float *)gr_param_grad(table))[17 * COLUMNS], 2);
}
END_TEST

START_TEST(many_rows_are_dense)
{
    int64_t index[ROWS / 2 + 1] = {0};
    gr_backward(gr_sum_all(look_up(gr_use(g, table), index, ROWS / 2 + 1)));
    expect_dense();
    gr_param_clear_grad(table);
    gr_graph_reset(g);
    gr_backward(gr_sum_all(look_up(gr_use(g, table), index, ROWS / 2)));
    expect_rows(index, 1);
}
END_TEST

START_TEST(a_row_that_is_not_there_is_an_error)
{
    step();
    gr_param_clear_grad(table);
    gr_graph_reset(g);
    gr_tensor *loss = gr_sum_all(look_up(gr_use(g, table), (const int64_t[]){1, ROWS}, 2));
    ck_assert_int_eq(gr_backward(loss), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "index[1] is 50, expected 0 <= index < 50"));
    ck_assert_ptr_null(gr_param_grad(table));
    step();
    void *expected = dense_gradient();
    ck_assert_mem_eq(gr_param_grad(table), expected, bytes());
    free(expected);
}
END_TEST

START_TEST(guarded_graphs_give_the_same)
{
    void *expected = dense_gradient();
    gr_graph_set_guarded(g, true);
    step();
    ck_assert_mem_eq(gr_param_grad(table), expected, bytes());
    free(expected);
}
END_TEST

START_TEST(steps_after_the_first_allocate_nothing)
{
    inject_begin();
    for (int i = 0; i < 3; i++, gr_param_clear_grad(table)) step();
    int64_t before = inject_allocations();
    for (int i = 0; i < 3; i++, gr_param_clear_grad(table)) step();
    ck_assert_int_eq(inject_allocations(), before);
    inject_end();
}
END_TEST

/* Where the list cannot be allocated, the gradient is dense. */
START_TEST(memory_that_runs_out_is_an_error_or_a_dense_gradient)
{
    void *expected = dense_gradient();
    step();
    teardown();
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        setup();
        inject_allocation(n);
        gr_tensor *loss = loss_of(look_up(gr_use(g, table), places, N));
        gr_status status = gr_backward(loss);
        done = !inject_happened();
        inject_none();
        ck_assert(status == GR_OK || (status == GR_ERR_MEMORY && !done));
        if (status == GR_OK) ck_assert_mem_eq(gr_param_grad(table), expected, bytes());
        teardown();
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
    free(expected);
    setup();
}
END_TEST

SUITE("rows", setup, teardown, the_gradient_has_the_bits_of_the_dense_one,
      cotangents_of_any_strides_are_added, a_cotangent_may_be_another_gradient,
      batches_add_up_by_rows, other_uses_make_it_dense, two_uses_in_one_graph_are_dense,
      many_rows_are_dense, a_row_that_is_not_there_is_an_error, guarded_graphs_give_the_same,
      steps_after_the_first_allocate_nothing, memory_that_runs_out_is_an_error_or_a_dense_gradient)
