/* test_group.c - element-wise nodes run together give the bits that they give one by one. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include "fixture.h"
#include "inject.h"
#include "suite.h"

#include <math.h>
#include <string.h>

enum { K = 40, PROGRAMS = 400, OPS = 40, RESULTS = 3 };

/* --- random programs of element-wise ops, with others between them --- */

/* float64 alone: float32 goes by conversion. */
static void bent_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] / (1 + x[i] * x[i]);
}

static void bent_vjp(gr_pullback *p)
{
    gr_tensor *square = gr_square(p->x[0]);
    p->dx[0] = gr_mul(p->dy[0],
                      gr_div(gr_shift(gr_neg(square), 1), gr_square(gr_shift(square, 1))));
}

static const gr_op bent_op = {
    .name = "bent",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = {[GR_F64] = bent_f64},
    .vjp = bent_vjp,
};

static gr_tensor *bent(gr_tensor *a, gr_tensor *b)
{
    (void)b;
    return gr_apply(NULL, &bent_op, &a, 1, NULL);
}

#define UNARY(NAME, EXPRESSION)                        \
    static gr_tensor *NAME(gr_tensor *a, gr_tensor *b) \
    {                                                  \
        (void)b;                                       \
        return EXPRESSION;                             \
    }
UNARY(tanh_of, gr_tanh(a))
UNARY(gate_of, gr_sigmoid(a))
UNARY(scaled, gr_scale(a, -0.75))
UNARY(turned, gr_transpose(a, 0, 1))
UNARY(about_its_mean, gr_sub(a, gr_mean(a, GR_AXES(1), true)))
UNARY(by_its_columns, gr_add(a, gr_scale(gr_sum(a, GR_AXES(0), false), 1.0 / K)))
UNARY(softened, gr_softmax(a, 1))
UNARY(half_flat, gr_reshape(gr_tanh(gr_reshape(a, GR_SHAPE(K / 2, 2 * K))), GR_SHAPE(K, K)))
UNARY(dropped, gr_dropout(a, 0.25))

static gr_tensor *product(gr_tensor *a, gr_tensor *b)
{
    return gr_tanh(gr_matmul(a, b));
}

static gr_tensor *chosen(gr_tensor *a, gr_tensor *b)
{
    return gr_where(gr_greater(a, b), gr_mul(a, b), gr_square(gr_tanh(b)));
}

static gr_tensor *(*const choices[])(gr_tensor *, gr_tensor *) = {
    gr_add,    gr_sub,  tanh_of,        gate_of, scaled,     gr_maximum,     chosen,
    bent,      turned,  about_its_mean, gr_mul,  gr_sub,     by_its_columns, softened,
    half_flat, dropped, product,        tanh_of, gr_minimum,
};

typedef enum mode { DEFERRED, EAGER, GUARDED, READ_BETWEEN, MODES } mode;

static uint64_t number(uint64_t program, uint64_t i)
{
    return gr__hash_join(gr__hash_join(program, i), 17);
}

static gr_tensor *record(uint64_t program, mode m, gr_tensor **pool)
{
    int n = 2;
    for (uint64_t i = 0; i < OPS; i++) {
        const uint64_t r = number(program, i);
        gr_tensor *a = pool[r % (uint64_t)n], *b = pool[(r >> 16) % (uint64_t)n];
        pool[n++] = choices[(r >> 32) % (sizeof choices / sizeof *choices)](a, b);
        const bool view =
            pool[n - 1]->node->op->view; /* row-major once read: BLAS rounds otherwise */
        if (m == READ_BETWEEN && r >> 60 == 0 && !view) gr_data(pool[n - 1]);
    }
    gr_tensor *loss = gr_mean_all(gr_square(gr_tanh(pool[n - 1])));
    for (int i = n - 1; i > n - 6; i--) loss = gr_add(loss, gr_mean_all(gr_tanh(pool[i])));
    return loss;
}

static double results[MODES][RESULTS][K * K];

/* The last value and both gradients, as bytes. */
static void run_program(uint64_t program, gr_dtype dtype, mode m)
{
    gr_tensor *pool[2 + OPS];
    gr_param *w[2];
    double start[K * K];
    for (int k = 0; k < 2; k++) {
        float narrow[K * K];
        for (int i = 0; i < K * K; i++) narrow[i] = (float)(start[i] = sin(1.3 * i + 2 * k + 0.1));
        w[k] = gr_param_new("w", dtype, GR_SHAPE(K, K), dtype == GR_F32 ? (void *)narrow : start);
    }
    gr_graph_seed(g, program);
    gr_graph_set_eager(g, m == EAGER);
    gr_graph_set_guarded(g, m == GUARDED);
    for (int k = 0; k < 2; k++) pool[k] = gr_use(g, w[k]);
    gr_tensor *loss = record(program, m, pool);
    ck_assert_msg(gr_backward(loss) == GR_OK, "program %d: %s", (int)program, gr_graph_error(g));
    memset(results[m], 0, sizeof results[m]);
    const size_t bytes = K * K * gr_dtype_size(dtype);
    memcpy(results[m][0], gr_data(pool[OPS + 1]), bytes);
    for (int k = 0; k < 2; k++)
        if (gr_param_grad(w[k])) memcpy(results[m][1 + k], gr_param_grad(w[k]), bytes);
    gr_graph_reset(g);
    for (int k = 0; k < 2; k++) gr_param_release(w[k]);
}

START_TEST(random_programs_give_the_same_bits_in_every_mode)
{
    static const char *const names[] = {"deferred", "eager", "guarded", "read between"};
    static const char *const what[] = {"value", "first gradient", "second gradient"};
    for (uint64_t program = 0; program < PROGRAMS; program++) {
        const gr_dtype dtype = program % 2 ? GR_F64 : GR_F32;
        for (mode m = DEFERRED; m < MODES; m++) {
            run_program(program, dtype, m);
            for (int r = 0; r < RESULTS; r++)
                ck_assert_msg(!memcmp(results[m][r], results[DEFERRED][r], sizeof results[m][r]),
                              "program %d, %s: deferred and %s differ", (int)program, what[r],
                              names[m]);
        }
    }
}
END_TEST

/* --- what a group does with memory --- */

enum { LARGE = 100000 };

static gr_tensor *large(void)
{
    static float x[LARGE];
    for (int i = 0; i < LARGE; i++) x[i] = (float)sin(0.01 * i);
    return gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x);
}

START_TEST(what_is_only_passed_on_gets_no_memory)
{
    gr_tensor *x = large(), *chain[20], *y = x;
    for (int i = 0; i < 20; i++) y = chain[i] = gr_tanh(gr_scale(y, 1.01));
    ck_assert_ptr_nonnull(gr_data(y));
    int held = 0;
    for (int i = 0; i < 19; i++) held += chain[i]->data != NULL;
    ck_assert_int_eq(held, 0);
    ck_assert_ptr_nonnull(gr_data(chain[7])); /* computed again */
    float want = ((const float *)gr_data(x))[12345];
    for (int i = 0; i <= 7; i++) want = tanhf(1.01f * want);
    ck_assert_float_eq_tol(((const float *)gr_data(chain[7]))[12345], want, 1e-5f);
}
END_TEST

START_TEST(what_is_asked_for_is_kept)
{
    gr_tensor *a = gr_tanh(large()), *b = gr_square(a), *c = gr_exp(b);
    gr_keep(a);
    gr_data(c);
    ck_assert_ptr_nonnull(a->data);
    ck_assert_ptr_null(b->data);
}
END_TEST

/* --- sums at the end of a chain --- */

static const struct sum_case {
    gr_shape shape;
    gr_axes axes;
    bool passes; /* its terms get no memory */
} sums[] = {
    {{1, {100001}}, {0, {0}}, true},        {{2, {700, 300}}, {1, {1}}, true},
    {{2, {1100, 90}}, {1, {0}}, true},      {{3, {20, 16, 784}}, {2, {0, 2}}, true},
    {{2, {3, 65536}}, {1, {1}}, true},      {{3, {7, 33000, 1}}, {2, {1, 2}}, false},
    {{2, {300, 1700}}, {1, {0}}, false},    {{2, {90000, 3}}, {1, {1}}, false},
    {{4, {6, 5, 4, 700}}, {1, {2}}, false}, {{3, {40, 600, 11}}, {2, {0, 1}}, true},
    {{2, {2000, 16}}, {1, {1}}, true},      {{3, {64, 50, 21}}, {2, {0, 2}}, true},
};
enum { SUMS = sizeof sums / sizeof *sums, MOST = 600000, BYTES = 3 * 90000 * 8 };

/* Two sums over one chain and a mean; the values as bytes. */
static void sum_chain(const struct sum_case *c, gr_dtype dtype, bool eager, char *result)
{
    static double wide[MOST];
    static float narrow[MOST];
    const int64_t n = gr_shape_numel(&c->shape);
    for (int i = 0; i < n; i++) narrow[i] = (float)(wide[i] = sin(0.37 * i) + 0.1);
    gr_graph_set_eager(g, eager);
    gr_tensor *x = gr_from_data(g, dtype, c->shape, dtype == GR_F32 ? (void *)narrow : wide);
    gr_tensor *terms = gr_mul(gr_tanh(x), x);
    gr_tensor *both[3] = {gr_sum(terms, c->axes, false), gr_sum(gr_scale(terms, 3), c->axes, true),
                          gr_mean(gr_add(terms, x), c->axes, false)};
    ck_assert_msg(gr_eval(both, 3) == GR_OK, "%s", gr_graph_error(g));
    if (!eager && c->passes) ck_assert_ptr_null(terms->data);
    for (int k = 0; k < 3; k++) {
        const size_t bytes = (size_t)gr_numel(both[k]) * gr_dtype_size(dtype);
        memcpy(result, gr_data(both[k]), bytes);
        result += bytes;
    }
    gr_graph_reset(g);
}

START_TEST(a_sum_gives_the_same_bits_in_a_group_and_by_itself)
{
    static char want[BYTES], got[BYTES];
    for (int i = 0; i < 2 * SUMS; i++) {
        const gr_dtype dtype = i % 2 ? GR_F64 : GR_F32;
        gr_set_threads(1);
        sum_chain(&sums[i / 2], dtype, true, want);
        for (int way = 0; way < 3; way++) {
            const bool eager = way == 2;
            gr_set_threads(way ? 2 : 1);
            sum_chain(&sums[i / 2], dtype, eager, got);
            ck_assert_msg(!memcmp(want, got, sizeof want), "sum %d of %s, %s, %d threads differs",
                          i / 2, gr_dtype_name(dtype), eager ? "alone" : "grouped", way ? 2 : 1);
        }
    }
}
END_TEST

START_TEST(a_mean_at_the_end_leaves_forward_and_backward_in_one_group)
{
    static float ones[LARGE];
    for (int i = 0; i < LARGE; i++) ones[i] = 1;
    gr_param *p = gr_param_new("p", GR_F32, GR_SHAPE(LARGE), ones);
    gr_tensor *y = gr_exp(gr_use(g, p)), *loss = gr_mean_all(y);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq((int64_t)g->pool.bytes_peak, 256); /* the partial sums alone */
    ck_assert_double_eq_tol(gr_item(loss), exp(1), 1e-6);
    ck_assert_float_eq_tol(((const float *)gr_param_grad(p))[LARGE / 3], expf(1) / LARGE, 1e-9f);
    gr_param_release(p);
}
END_TEST

/* Two sums and a mean of one chain, and its gradient; whether all went well. */
static bool run_sums(gr_graph *graph, gr_param *p)
{
    gr_tensor *y = gr_tanh(gr_use(graph, p)), *rows = gr_sum(y, GR_AXES(1), false);
    gr_tensor *loss = gr_add(gr_mean_all(y), gr_scale(gr_sum_all(gr_square(rows)), 0.5));
    const bool fine = gr_backward(loss) == GR_OK && gr_data(loss);
    ck_assert_msg(fine || strstr(gr_graph_error(graph), "out of memory"), "%s",
                  gr_graph_error(graph));
    return fine;
}

START_TEST(memory_that_is_out_amid_a_group_is_an_error_and_leaks_nothing)
{
    static float x[LARGE];
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_graph *graph = gr_graph_new();
        gr_param *p = gr_param_new("p", GR_F32, GR_SHAPE(LARGE / 100, 100), x);
        inject_allocation(n);
        const bool fine = run_sums(graph, p);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(fine, done);
        gr_graph_free(graph);
        gr_param_release(p);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(a_sum_takes_over_the_memory_of_what_dies)
{
    gr_param *p = gr_param_new("p", GR_F32, GR_SHAPE(LARGE), NULL);
    gr_tensor *x = gr_use(g, p), *y = gr_add(gr_mul(x, x), gr_mul(gr_sin(x), gr_cos(x)));
    ck_assert_msg(gr_backward(gr_sum_all(y)) == GR_OK, "%s", gr_graph_error(g));
    const float *d = gr_param_grad(p);
    for (int i = 0; i < LARGE; i += 999) ck_assert_float_eq(d[i], 1); /* 2 x + cos 2x at 0 */
    gr_param_release(p);
}
END_TEST

START_TEST(a_second_backward_adds)
{
    static float ones[LARGE];
    for (int i = 0; i < LARGE; i++) ones[i] = 1;
    gr_param *p = gr_param_new("p", GR_F32, GR_SHAPE(LARGE), ones);
    for (int k = 1; k <= 3; k++) {
        gr_backward(gr_sum_all(gr_square(gr_use(g, p))));
        ck_assert_float_eq(((const float *)gr_param_grad(p))[LARGE / 2], 2.0f * (float)k);
        gr_graph_reset(g);
    }
    gr_param_release(p);
}
END_TEST

START_TEST(a_parameter_changed_meanwhile_is_named)
{
    gr_param *p = gr_param_new("changed", GR_F32, GR_SHAPE(LARGE), NULL);
    gr_tensor *y = gr_tanh(gr_sin(gr_use(g, p)));
    gr_param_write(p);
    ck_assert_ptr_null(gr_data(y));
    ck_assert_msg(strstr(gr_graph_error(g), "'changed' was updated"), "%s", gr_graph_error(g));
    gr_param_release(p);
}
END_TEST

SUITE("group", setup_deferred, teardown, random_programs_give_the_same_bits_in_every_mode,
      a_sum_gives_the_same_bits_in_a_group_and_by_itself,
      a_mean_at_the_end_leaves_forward_and_backward_in_one_group,
      memory_that_is_out_amid_a_group_is_an_error_and_leaks_nothing,
      what_is_only_passed_on_gets_no_memory, what_is_asked_for_is_kept,
      a_sum_takes_over_the_memory_of_what_dies, a_second_backward_adds,
      a_parameter_changed_meanwhile_is_named)
