/* test_attention.c - attention by blocks against attention made of parts. */
/* SPDX-License-Identifier: MIT */
#include "derivative.h"
#include "fixture.h"
#include "inject.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdlib.h>
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

static gr_tensor *waves(gr_dtype dtype, gr_shape shape, double size, double phase)
{
    const int64_t n = gr_shape_numel(&shape);
    double *x = malloc((size_t)(n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = size * sin(2.3 * (double)i + 0.1 * sqrt((double)i) + phase);
    gr_tensor *t = gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
    free(x);
    return t;
}

static const char *const sets[] = {"baseline", "avx2", "avx512"};

/* --- against its parts --- */

typedef enum mask_kind { NO_MASK, BIAS, BOOLEAN } mask_kind;

typedef struct attention_case {
    int64_t heads, rows, keys, depth, width;
    mask_kind mask;
    int64_t mask_heads, mask_rows, mask_keys;
    bool causal;
    double scale;
} attention_case;

/* Blocks are of 32 rows (16 of float64) and 96 keys. */
static const attention_case cases[] = {
    {2, 5, 7, 3, 4, NO_MASK, 0, 0, 0, false, 0},
    {3, 33, 130, 17, 9, NO_MASK, 0, 0, 0, false, 0},
    {2, 64, 256, 32, 32, NO_MASK, 0, 0, 0, false, 0.5},
    {1, 1, 300, 8, 40, NO_MASK, 0, 0, 0, false, 0},
    {1, 70, 1, 8, 3, NO_MASK, 0, 0, 0, true, 0},
    {2, 150, 150, 16, 16, NO_MASK, 0, 0, 0, true, 0},
    {2, 40, 300, 5, 6, NO_MASK, 0, 0, 0, true, 0}, /* keys that no row sees */
    {2, 300, 40, 5, 6, NO_MASK, 0, 0, 0, true, 0},
    {2, 35, 140, 6, 5, BIAS, 2, 35, 140, false, 0},
    {2, 35, 140, 6, 5, BIAS, 1, 35, 140, true, 0},
    {3, 35, 140, 6, 5, BIAS, 3, 1, 140, false, 0},
    {2, 35, 140, 6, 5, BOOLEAN, 2, 1, 140, false, 0},
    {2, 35, 140, 6, 5, BOOLEAN, 1, 35, 140, true, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct operands {
    gr_tensor *q, *k, *v, *mask, *dy;
} operands;

static operands operands_of(const attention_case *c, gr_dtype dtype)
{
    gr_shape m = GR_SHAPE(c->mask_heads, c->mask_rows, c->mask_keys);
    operands o = {
        waves(dtype, GR_SHAPE(c->heads, c->rows, c->depth), 1.5, 0),
        waves(dtype, GR_SHAPE(c->heads, c->keys, c->depth), 1.5, 1),
        waves(dtype, GR_SHAPE(c->heads, c->keys, c->width), 1, 2),
        NULL,
        waves(dtype, GR_SHAPE(c->heads, c->rows, c->width), 1, 4),
    };
    if (c->mask) o.mask = waves(dtype, m, 2, 3);
    if (c->mask == BOOLEAN)
        o.mask = gr_greater(o.mask, gr_scalar(g, dtype, -0.5));
    return o;
}

static gr_tensor *in_blocks(const attention_case *c, const operands *o)
{
    gr_attention_options options = {.scale = c->scale, .causal = c->causal};
    return gr_scaled_dot_product_attention(o->q, o->k, o->v, o->mask, options);
}

static gr_tensor *in_parts(const attention_case *c, const operands *o)
{
    const gr_dtype dtype = gr_dtype_of(o->q);
    const double scale = c->scale != 0 ? c->scale : 1 / sqrt((double)c->depth);
    gr_tensor *s = gr_scale(gr_matmul(o->q, gr_transpose(o->k, -1, -2)), scale);
    gr_tensor *never = gr_scalar(g, dtype, -INFINITY);
    if (c->mask == BIAS) s = gr_add(s, o->mask);
    if (c->mask == BOOLEAN) s = gr_where(o->mask, s, never);
    if (c->causal) {
        bool seen[300 * 300];
        for (int64_t i = 0; i < c->rows * c->keys; i++) seen[i] = i % c->keys <= i / c->keys;
        s = gr_where(gr_from_data(g, GR_BOOL, GR_SHAPE(c->rows, c->keys), seen), s, never);
    }
    return gr_matmul(gr_softmax(s, -1), o->v);
}

static void assert_close(int i, const char *what, gr_tensor *got, gr_tensor *want, double tolerance)
{
    const double *a = values(got), *b = values(want);
    for (int64_t k = 0, n = gr_numel(want); k < n; k++)
        ck_assert_msg(fabs(a[k] - b[k]) <= tolerance * (1 + fabs(b[k])),
                      "case %d, %s, element %d: %.12g for %.12g", i, what, (int)k, a[k], b[k]);
}

/* y, dq, dk, dv and, of a bias, dmask. */
static int results(const attention_case *c, gr_dtype dtype, bool parts, gr_tensor **r)
{
    operands o = operands_of(c, dtype);
    gr_tensor *x[4] = {o.q, o.k, o.v, o.mask};
    const int n = c->mask == BIAS ? 4 : 3;
    r[0] = (parts ? in_parts : in_blocks)(c, &o);
    ck_assert_int_eq(gr_grad(gr_mul(r[0], o.dy), x, n, r + 1), GR_OK);
    return 1 + n;
}

START_TEST(values_and_gradients_equal_those_of_the_parts)
{
    static const char *const names[5] = {"y", "dq", "dk", "dv", "dmask"};
    for (int s = 0; s < 3; s++) {
        if (!gr__kernels_force(sets[s])) continue;
        for (int i = 0; i < CASES; i++) {
            gr_tensor *want[5], *f64[5], *f32[5];
            results(&cases[i], GR_F64, true, want);
            results(&cases[i], GR_F64, false, f64);
            const int n = results(&cases[i], GR_F32, false, f32);
            for (int k = 0; k < n; k++) {
                assert_close(i, names[k], f64[k], want[k], 1e-13);
                assert_close(i, names[k], f32[k], want[k], 2e-5);
            }
            gr_graph_reset(g);
        }
    }
}
END_TEST

/* A row-major copy of x, which is a leaf. */
static gr_tensor *packed(gr_tensor *x)
{
    return gr_from_data(g, gr_dtype_of(x), *gr_shape_of(x), gr_data(x));
}

/* y, dq, dk, dv of causal attention. */
static void attend(gr_tensor *const *x, gr_tensor *dy, gr_tensor **r)
{
    const gr_attention_options o = {.causal = true};
    r[0] = gr_scaled_dot_product_attention(x[0], x[1], x[2], NULL, o);
    ck_assert_int_eq(gr_grad(gr_mul(r[0], dy), x, 3, r + 1), GR_OK);
}

/* [N,T,H,d] seen as [N,H,T,d], as layers make their heads. */
START_TEST(heads_within_rows_give_the_same_bits)
{
    enum { N = 2, T = 70, H = 3, D = 5 };
    for (gr_dtype dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *views[4], *copies[4], *got[4], *want[4];
        gr_tensor *all = waves(dtype, GR_SHAPE(N, T, 4 * H * D), 1.5, 0);
        for (int i = 0; i < 4; i++) {
            gr_tensor *part = gr_narrow(all, -1, i * H * D, H * D);
            part = gr_reshape(part, GR_SHAPE(N, T, H, D));
            views[i] = gr_permute(part, GR_AXES(0, 2, 1, 3));
            copies[i] = packed(views[i]);
        }
        attend(views, views[3], got);
        attend(copies, copies[3], want);
        for (int i = 0; i < 4; i++)
            ck_assert_msg(memcmp(gr_data(got[i]), gr_data(want[i]),
                                 N * H * T * D * gr_dtype_size(dtype)) == 0,
                          "%s, result %d", gr_dtype_name(dtype), i);
        gr_graph_reset(g);
    }
}
END_TEST

static gr_tensor *self_attention(gr_tensor *x)
{
    gr_attention_options o = {.causal = true};
    return gr_scaled_dot_product_attention(x, gr_scale(x, 0.5), gr_square(x), NULL, o);
}

static gr_tensor *lse_of(gr_tensor *x)
{
    return gr_output(gr_scaled_dot_product_attention(x, x, x, NULL, (gr_attention_options){0}), 1);
}

START_TEST(derivatives_agree_with_differences)
{
    double x[12];
    for (int i = 0; i < 12; i++) x[i] = sin(1.3 * i);
    derivative_check(g, "attention", self_attention, GR_SHAPE(2, 3, 2), x, 3);
    derivative_check(g, "lse", lse_of, GR_SHAPE(4, 3), x, 2);
}
END_TEST

/* --- masks --- */

START_TEST(a_row_without_keys_is_zero_and_passes_no_gradient)
{
    static const bool take[3 * 2] = {true, true, false, false, false, true};
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        gr_tensor *q = waves((gr_dtype)dtype, GR_SHAPE(3, 4), 1, 0);
        gr_tensor *k = waves((gr_dtype)dtype, GR_SHAPE(2, 4), 1, 1);
        gr_tensor *v = waves((gr_dtype)dtype, GR_SHAPE(2, 5), 1, 2), *d[3];
        gr_tensor *mask = gr_from_data(g, GR_BOOL, GR_SHAPE(3, 2), take);
        gr_tensor *y = gr_scaled_dot_product_attention(q, k, v, mask, (gr_attention_options){0});
        ck_assert_int_eq(gr_grad(y, (gr_tensor *[]){q, k, v}, 3, d), GR_OK);
        for (int c = 0; c < 5; c++) {
            ck_assert_double_eq(values(y)[5 + c], 0);
            ck_assert_double_eq(values(y)[10 + c], values(v)[5 + c]); /* one key: its value */
        }
        for (int c = 0; c < 4; c++) ck_assert_double_eq(values(d[0])[4 + c], 0);
        for (int c = 0; c < 8; c++) ck_assert(isfinite(values(d[1])[c]));
        ck_assert(values(gr_output(y, 1))[1] == INFINITY);
    }
}
END_TEST

START_TEST(a_mask_of_minus_infinity_hides_keys_and_large_scores_do_not_overflow)
{
    const double q[2] = {1000, -1000}, k[3] = {1, 2, 3}, v[3] = {10, 20, 30};
    const double hide[3] = {0, 0, -INFINITY};
    gr_tensor *tq = gr_from_data(g, GR_F64, GR_SHAPE(2, 1), q);
    gr_tensor *tk = gr_from_data(g, GR_F64, GR_SHAPE(3, 1), k);
    gr_tensor *tv = gr_from_data(g, GR_F64, GR_SHAPE(3, 1), v);
    gr_tensor *mask = gr_from_data(g, GR_F64, GR_SHAPE(3), hide);
    const double *y = values(
        gr_scaled_dot_product_attention(tq, tk, tv, mask, (gr_attention_options){0}));
    ck_assert(y[0] == 20 && y[1] == 10);
}
END_TEST

START_TEST(nan_stays_in_its_row)
{
    double q[6] = {1, 2, NAN, 1, 0, 1};
    gr_tensor *tq = gr_from_data(g, GR_F64, GR_SHAPE(3, 2), q);
    gr_tensor *k = waves(GR_F64, GR_SHAPE(4, 2), 1, 0), *v = waves(GR_F64, GR_SHAPE(4, 2), 1, 1);
    const double *y =
        values(gr_scaled_dot_product_attention(tq, k, v, NULL, (gr_attention_options){0}));
    for (int i = 0; i < 6; i++) ck_assert(isnan(y[i]) == (i / 2 == 1));
}
END_TEST

/* --- dropout --- */

/* v is the identity, so that y is the weights. */
static gr_tensor *dropped_weights(double p, int64_t n)
{
    double *one = calloc((size_t)(n * n), sizeof *one);
    for (int64_t i = 0; i < n; i++) one[i * n + i] = 1;
    gr_tensor *v = gr_from_data(g, GR_F64, GR_SHAPE(n, n), one);
    gr_tensor *q = gr_zeros(g, GR_F64, GR_SHAPE(n, 3));
    free(one);
    return gr_scaled_dot_product_attention(q, q, v, NULL, (gr_attention_options){.dropout = p});
}

START_TEST(dropout_keeps_the_mean_and_replays)
{
    enum { N = 200 };
    gr_graph_seed(g, 5);
    const double *y = values(dropped_weights(0.25, N));
    int64_t kept = 0;
    for (int i = 0; i < N * N; i++) {
        ck_assert(y[i] == 0 || fabs(y[i] - 1 / (0.75 * N)) < 1e-15);
        kept += y[i] != 0;
    }
    ck_assert_double_eq_tol((double)kept / (N * N), 0.75, 0.01);
    const double *again = values(dropped_weights(0.25, N));
    ck_assert(memcmp(y, again, N * N * sizeof *y) != 0); /* drawn anew */
    double *first = malloc(N * N * sizeof *first);
    memcpy(first, y, N * N * sizeof *first);
    gr_graph_reset(g);
    gr_graph_seed(g, 5);
    ck_assert(memcmp(first, values(dropped_weights(0.25, N)), N * N * sizeof *first) == 0);
    free(first);
}
END_TEST

/* --- memory, threads, errors --- */

START_TEST(memory_is_linear_in_the_sequence)
{
    enum { LONG = 2048, DEPTH = 16 };
    gr_graph_free(g);
    inject_begin();
    g = gr_graph_new();
    gr_tensor *q = waves(GR_F32, GR_SHAPE(LONG, DEPTH), 1, 0), *d;
    gr_attention_options o = {.causal = true};
    gr_tensor *y = gr_scaled_dot_product_attention(q, q, q, NULL, o);
    ck_assert_int_eq(gr_grad(y, &q, 1, &d), GR_OK);
    ck_assert(isfinite(((const float *)gr_data(d))[0]));
    /* the scores would be LONG * LONG * 4 = 16 MB */
    ck_assert_int_le(inject_live_bytes(), 40 * LONG * DEPTH * 4);
    gr_graph_free(g);
    inject_end();
    g = gr_graph_new();
}
END_TEST

static void run_large(int threads, float *out)
{
    enum { N = 200, E = 16, HEADS = 3 };
    gr_set_threads(threads);
    gr_tensor *q = waves(GR_F32, GR_SHAPE(HEADS, N, E), 1, 0), *d;
    gr_tensor *y = gr_scaled_dot_product_attention(q, q, q, NULL, (gr_attention_options){0});
    gr_grad(gr_square(y), &q, 1, &d);
    memcpy(out, gr_data(y), HEADS * N * E * sizeof *out);
    memcpy(out + HEADS * N * E, gr_data(d), HEADS * N * E * sizeof *out);
    gr_graph_reset(g);
}

START_TEST(the_same_bits_from_one_thread_and_two)
{
    static float one[2 * 3 * 200 * 16], two[2 * 3 * 200 * 16];
    int threads = gr_threads();
    run_large(1, one);
    run_large(2, two);
    gr_set_threads(threads);
    ck_assert(memcmp(one, two, sizeof one) == 0);
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    gr_tensor *q = gr_zeros(g, GR_F32, GR_SHAPE(3, 4)), *k = gr_zeros(g, GR_F32, GR_SHAPE(5, 4));
    gr_scaled_dot_product_attention(q, k, gr_zeros(g, GR_F64, GR_SHAPE(5, 4)), NULL,
                                    (gr_attention_options){0});
    assert_error("scaled_dot_product_attention: cannot mix float32 and float64; use gr_cast");
    q = gr_zeros(g, GR_F32, GR_SHAPE(3, 4)), k = gr_zeros(g, GR_F32, GR_SHAPE(5, 4));
    gr_scaled_dot_product_attention(q, k, k, gr_zeros(g, GR_BOOL, GR_SHAPE(2, 3, 5)),
                                    (gr_attention_options){0});
    assert_error("the mask [2,3,5] does not stretch to the scores [3,5]");
    gr_scaled_dot_product_attention(NULL, NULL, NULL, NULL, (gr_attention_options){.dropout = 0.5});
}
END_TEST

SUITE("attention", setup, reset, values_and_gradients_equal_those_of_the_parts,
      heads_within_rows_give_the_same_bits,
      derivatives_agree_with_differences, a_row_without_keys_is_zero_and_passes_no_gradient,
      a_mask_of_minus_infinity_hides_keys_and_large_scores_do_not_overflow, nan_stays_in_its_row,
      dropout_keeps_the_mean_and_replays, memory_is_linear_in_the_sequence,
      the_same_bits_from_one_thread_and_two, what_does_not_fit_is_named)
