/* test_group.c - what groups of parameters ask for: rates, decay, sparse rows, constraints. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/optim.h>
#include <math.h>
#include <string.h>

enum { ROWS = 5000, COLUMNS = 12 };

static gr_model *m;
static gr_graph *g;
static gr_param *table, *bias;

static gr_tensor *no_forward(gr_module *self, gr_tensor *x)
{
    (void)self;
    return x;
}

static void setup(void)
{
    m = gr_model_new();
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    gr_module *module = gr_module_new(m, "words", no_forward, 0);
    table = gr_module_param(module, "table", GR_SHAPE(ROWS, COLUMNS),
                            (gr_init){.kind = GR_INIT_NORMAL, .a = 1});
    bias = gr_module_param(module, "bias", GR_SHAPE(COLUMNS),
                           (gr_init){.kind = GR_INIT_NORMAL, .a = 1});
}

static void teardown(void)
{
    gr_set_threads(0);
    gr_graph_free(g);
    gr_model_free(m);
}

static gr_tensor *loss_of(const int64_t *places, int64_t n)
{
    gr_tensor *rows = gr_from_data(g, GR_I64, GR_SHAPE(n), places);
    gr_tensor *x = gr_add(gr_embedding(gr_use(g, table), rows), gr_use(g, bias));
    return gr_sum_all(gr_square(x));
}

/* Gradients for three rows of the table, and for the bias; 1366 lies across two chunks. */
static const int64_t touched[] = {0, 1366, ROWS - 1};

static void backward(void)
{
    gr_graph_reset(g);
    ck_assert_msg(gr_backward(loss_of(touched, 3)) == GR_OK, "%s", gr_graph_error(g));
}

/* The same sums from two uses of the table, of which the parameter does not know the rows. */
static void backward_unlisted(void)
{
    gr_graph_reset(g);
    gr_tensor *loss = gr_add(loss_of(touched, 2), loss_of(touched + 2, 1));
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
}

static void step(gr_optimizer *opt)
{
    ck_assert_msg(gr_step(opt) == GR_OK, "%s", gr_last_error());
}

static float *copy_of(const gr_param *p)
{
    size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) * sizeof(float);
    float *copy = malloc(bytes);
    memcpy(copy, gr_param_data(p), bytes);
    return copy;
}

static const float *row(const float *x, int i)
{
    return x + i * COLUMNS;
}

static bool same_row(const float *a, const float *b, int i)
{
    return !memcmp(row(a, i), row(b, i), COLUMNS * sizeof(float));
}

static double norm(const float *x)
{
    double sum = 0;
    for (int i = 0; i < COLUMNS; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* --- groups --- */

START_TEST(a_group_has_its_own_rate)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.5});
    ck_assert_int_eq(gr_optimizer_group(opt, "b*s", (gr_param_group){.lr = 0.25}), GR_OK);
    float *before[2] = {copy_of(table), copy_of(bias)}, gradient[2];
    backward();
    gradient[0] = ((const float *)gr_param_grad(table))[0];
    gradient[1] = ((const float *)gr_param_grad(bias))[0];
    step(opt);
    ck_assert_float_eq(((const float *)gr_param_data(table))[0], before[0][0] - 0.5f * gradient[0]);
    ck_assert_float_eq(((const float *)gr_param_data(bias))[0], before[1][0] - 0.25f * gradient[1]);
    free(before[0]);
    free(before[1]);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(rates_of_no_pattern_are_those_of_the_optimizer)
{
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_optimizer_group(opt, NULL, (gr_param_group){.lr = 0.5, .momentum = 0.25, .l1 = 1});
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.5);
    ck_assert_double_eq(gr_optimizer_momentum(opt), 0.25);
    ck_assert_double_eq(gr_optimizer_settings(opt).l1, 1);
    ck_assert_int_eq(gr_optimizer_set_lr(opt, 0.125), GR_OK);
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.125);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(the_last_group_that_fits_counts)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.5, .weight_decay = 0.5});
    gr_optimizer_group(opt, "*", (gr_param_group){.lr = 1});
    gr_optimizer_group(opt, "*i*", (gr_param_group){.lr = 2});
    float *before = copy_of(bias);
    backward();
    float gradient = ((const float *)gr_param_grad(bias))[3];
    step(opt);
    ck_assert_float_eq(((const float *)gr_param_data(bias))[3], before[3] - 2 * gradient);
    free(before);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(names_fit_patterns)
{
    static const struct {
        const char *pattern;
        gr_status status;
    } all[] = {{"bias", GR_OK},
               {"*", GR_OK},
               {"*bias", GR_OK},
               {"bias*", GR_OK},
               {"t*b*e", GR_OK},
               {"*a*a*", GR_ERR_ARGUMENT},
               {"", GR_ERR_ARGUMENT},
               {"bia", GR_ERR_ARGUMENT},
               {"bias.", GR_ERR_ARGUMENT},
               {"*.bias", GR_ERR_ARGUMENT}};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        gr_status got = gr_optimizer_group(opt, all[i].pattern, (gr_param_group){0});
        ck_assert_msg(got == all[i].status, "'%s': expected %d, got %d", all[i].pattern,
                      all[i].status, got);
    }
    ck_assert_str_eq(gr_last_error(), "gr_optimizer_group: no parameter's name fits '*.bias'; "
                                      "expected one such as 'table'");
    backward();
    step(opt); /* the group that was refused is forgotten */
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(numbers_that_cannot_be_are_refused)
{
    static const struct {
        gr_param_group group;
        const char *expected;
    } all[] = {{{.lr = -1}, "expected lr >= 0, got -1"},
               {{.weight_decay = NAN}, "expected weight_decay >= 0, got nan"},
               {{.max_norm = INFINITY}, "expected max_norm >= 0, got inf"},
               {{.momentum = 0.5}, "sgd was made without momentum, got 0.5"}};
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0}), *with = gr_adam(m, (gr_adam_options){0});
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        ck_assert_int_eq(gr_optimizer_group(opt, NULL, all[i].group), GR_ERR_ARGUMENT);
        ck_assert_msg(strstr(gr_last_error(), all[i].expected) != NULL, "expected %s, got %s",
                      all[i].expected, gr_last_error());
    }
    ck_assert_int_eq(gr_optimizer_group(with, NULL, (gr_param_group){.momentum = 1}),
                     GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_optimizer_clip_norm(opt, -1), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_optimizer_set_lr(opt, NAN), GR_ERR_ARGUMENT);
    ck_assert_double_eq(gr_optimizer_lr(opt), 0.01);
    gr_optimizer_free(opt);
    gr_optimizer_free(with);
}
END_TEST

/* --- sparse rows --- */

/* One step of Adam on the table from `start`; gives the table, to be freed. */
static float *adam_step(const float *start, bool sparse, void (*backward_by)(void), bool listed)
{
    int64_t n;
    memcpy(gr_param_write(table), start, ROWS * COLUMNS * sizeof(float));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.weight_decay = 0.1});
    gr_param_group o = gr_optimizer_settings(opt);
    o.sparse_rows = sparse;
    o.max_norm = 1;
    gr_optimizer_clip_norm(opt, 0.5);
    ck_assert_int_eq(gr_optimizer_group(opt, "table", o), GR_OK);
    ck_assert_int_eq(gr_optimizer_group(opt, "bias", (gr_param_group){.lr = 1e-30}), GR_OK);
    backward_by();
    ck_assert_int_eq(gr_param_grad_rows(table, &n) != NULL, listed);
    step(opt);
    gr_optimizer_free(opt);
    return copy_of(table);
}

/* Rows with a gradient move as they would alone; the others stay, where Adam's moments, the decay and
 * the largest norm would else move them. */
START_TEST(rows_without_gradient_stay)
{
    float *start = copy_of(table), *dense = adam_step(start, false, backward, true);
    float *sparse[2] = {adam_step(start, true, backward, true),
                        adam_step(start, true, backward_unlisted, false)};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < ROWS; i++) {
            bool moved = i == 0 || i == 1366 || i == ROWS - 1;
            ck_assert_msg(same_row(sparse[k], moved ? dense : start, i), "row %d, way %d", i, k);
            ck_assert_msg(!same_row(dense, start, i), "row %d of the dense step", i);
        }
        free(sparse[k]);
    }
    free(start);
    free(dense);
}
END_TEST

/* --- constraints and clipping --- */

START_TEST(rows_keep_their_norm)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.01});
    gr_optimizer_group(opt, "table", (gr_param_group){.max_norm = 3});
    gr_optimizer_group(opt, "bias", (gr_param_group){.unit_norm = true});
    float *before = copy_of(table);
    backward();
    step(opt);
    const float *now = gr_param_data(table);
    for (int i = 0; i < ROWS; i++) {
        double expected = fmin(norm(row(before, i)), 3);
        if (i != 0 && i != 1366 && i != ROWS - 1)
            ck_assert_double_eq_tol(norm(row(now, i)), expected, 1e-5);
        ck_assert_double_le(norm(row(now, i)), 3.00001);
    }
    ck_assert_double_eq_tol(norm(gr_param_data(bias)), 1, 1e-6);
    free(before);
    gr_optimizer_free(opt);
}
END_TEST

START_TEST(the_norm_of_all_gradients_is_told)
{
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){0});
    backward();
    double sum = 0;
    for (int k = 0; k < 2; k++) {
        const gr_param *p = k ? bias : table;
        const float *x = gr_param_grad(p);
        for (int64_t i = 0; i < gr_shape_numel(gr_param_shape(p)); i++)
            sum += (double)x[i] * (double)x[i];
    }
    ck_assert_double_eq_tol(gr_optimizer_grad_norm(opt), sqrt(sum), 1e-9);
    gr_zero_grad(opt);
    ck_assert_double_eq(gr_optimizer_grad_norm(opt), 0);
    gr_optimizer_free(opt);
}
END_TEST

static void arrange_all(gr_optimizer *opt)
{
    gr_optimizer_clip_norm(opt, 0.5);
    gr_optimizer_group(opt, "table",
                       (gr_param_group){.weight_decay = 0.1, .l1 = 0.01, .max_norm = 3});
    gr_optimizer_group(opt, "bias", (gr_param_group){.clip_value = 0.1, .non_negative = true});
}

START_TEST(threads_do_not_change_the_result)
{
    float *start = copy_of(table), *first = copy_of(bias), *results[2];
    for (int k = 0; k < 2; k++) {
        gr_set_threads(k + 1);
        memcpy(gr_param_write(table), start, ROWS * COLUMNS * sizeof(float));
        memcpy(gr_param_write(bias), first, COLUMNS * sizeof(float));
        gr_optimizer *opt = gr_nadam(m, (gr_nadam_options){.lr = 0.1});
        arrange_all(opt);
        for (int i = 0; i < 3; i++) {
            backward();
            step(opt);
        }
        results[k] = copy_of(table);
        gr_optimizer_free(opt);
    }
    ck_assert_mem_eq(results[0], results[1], ROWS * COLUMNS * sizeof(float));
    ck_assert_mem_ne(results[0], start, ROWS * COLUMNS * sizeof(float));
    free(results[0]);
    free(results[1]);
    free(start);
    free(first);
}
END_TEST

START_TEST(steps_after_the_first_allocate_nothing)
{
    inject_begin();
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    arrange_all(opt);
    for (int i = 0; i < 3; i++) {
        backward();
        step(opt);
    }
    int64_t before = inject_allocations();
    for (int i = 0; i < 5; i++) {
        backward();
        step(opt);
    }
    ck_assert_int_eq(inject_allocations(), before);
    gr_optimizer_free(opt);
    inject_end();
}
END_TEST

START_TEST(memory_that_runs_out_leaves_the_groups_as_they_were)
{
    teardown();
    inject_begin();
    setup();
    backward();
    gr_model_param_name(m, 0); /* names stay with the model */
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
        inject_allocation(n);
        gr_status status = gr_optimizer_group(opt, "bias", (gr_param_group){.lr = 1});
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        backward();
        step(opt);
        gr_optimizer_free(opt);
    }
    teardown();
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
    setup();
}
END_TEST

SUITE("group", setup, teardown, a_group_has_its_own_rate,
      rates_of_no_pattern_are_those_of_the_optimizer, the_last_group_that_fits_counts,
      names_fit_patterns, numbers_that_cannot_be_are_refused, rows_without_gradient_stay,
      rows_keep_their_norm, the_norm_of_all_gradients_is_told, threads_do_not_change_the_result,
      steps_after_the_first_allocate_nothing, memory_that_runs_out_leaves_the_groups_as_they_were)
