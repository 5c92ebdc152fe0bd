/* test_attention_rounding.c - attention that rounds the operands of its products to bfloat16, against
 * loops in double. */
/* SPDX-License-Identifier: MIT */
#include "rounded.h"
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What rounding the weights, or ds, changes a sum by, in parts of the sum of its terms' sizes; and
 * what computing them in float32 does. */
#define ROUNDING (1.0 / 256 + 2e-5)

typedef struct attention_case {
    int64_t heads, rows, keys, depth, width;
    bool causal;
    double scale;
} attention_case;

/* Blocks are of 32 rows and 96 keys. */
static const attention_case cases[] = {
    {2, 64, 64, 32, 32, false, 0},
    {3, 77, 131, 17, 19, false, 0},
    {2, 150, 150, 16, 40, true, 0.3},
    {2, 45, 300, 9, 64, true, 0}, /* keys that no row sees, of which 45 is odd */
    {1, 200, 97, 70, 8, true, 0},
    {1, 33, 96, 48, 33, false, 0.05},
};
enum { CASES = sizeof cases / sizeof *cases };

static gr_tensor *large_numbers(gr_dtype dtype, gr_shape shape, double phase)
{
    int64_t n = gr_shape_numel(&shape);
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = 1.3 * sin((double)i * 0.7 + phase);
    gr_tensor *t = make(dtype, x, shape);
    free(x);
    return t;
}

typedef struct operands {
    gr_tensor *q, *k, *v, *dy;
} operands;

static operands operands_of(const attention_case *c, gr_dtype dtype)
{
    return (operands){large_numbers(dtype, GR_SHAPE(c->heads, c->rows, c->depth), 0),
                      large_numbers(dtype, GR_SHAPE(c->heads, c->keys, c->depth), 1),
                      large_numbers(dtype, GR_SHAPE(c->heads, c->keys, c->width), 2),
                      large_numbers(dtype, GR_SHAPE(c->heads, c->rows, c->width), 3)};
}

static gr_tensor *attention(const attention_case *c, const operands *o)
{
    return gr_scaled_dot_product_attention(o->q, o->k, o->v, NULL,
                                           (gr_attention_options){.scale = c->scale,
                                                                  .causal = c->causal});
}

static double scale_of(const attention_case *c)
{
    return c->scale != 0 ? c->scale : 1 / sqrt((double)c->depth);
}

static int64_t keys_of(const attention_case *c, int64_t row)
{
    return c->causal && row + 1 < c->keys ? row + 1 : c->keys;
}

/* Sum of rounded a[i] b[i]. */
static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += rounded(a[i]) * rounded(b[i]);
    return sum;
}

/* Scores of a row; the scale is put to q in float32, before rounding. */
static void row_scores(const attention_case *c, const double *q, const double *k, int64_t row,
                       double *s)
{
    double scaled[128];
    for (int64_t i = 0; i < c->depth; i++) scaled[i] = (double)((float)q[i] * (float)scale_of(c));
    for (int64_t j = 0; j < keys_of(c, row); j++) s[j] = dot(scaled, k + j * c->depth, c->depth);
}

/* --- forwards --- */

static void check_row(const attention_case *c, const double *s, int64_t keys, const double *v,
                      const double *y, double lse)
{
    double most = -INFINITY, total = 0;
    for (int64_t j = 0; j < keys; j++) most = fmax(most, s[j]);
    for (int64_t j = 0; j < keys; j++) total += exp(s[j] - most);
    ck_assert_msg(fabs(lse - most - log(total)) <= 1e-5 * (1 + fabs(most)),
                  "lse: expected %.9g, got %.9g", most + log(total), lse);
    for (int64_t i = 0; i < c->width; i++) {
        double sum = 0, size = 0;
        for (int64_t j = 0; j < keys; j++) {
            double term = exp(s[j] - most) / total * rounded(v[j * c->width + i]);
            sum += term;
            size += fabs(term);
        }
        ck_assert_msg(fabs(y[i] - sum) <= ROUNDING * size, "y[%d]: expected %.9g, got %.9g", (int)i,
                      sum, y[i]);
    }
}

START_TEST(values_are_those_of_rounded_operands)
{
    double s[300];
    if (!gr_has_bfloat16()) return;
    bfloat16();
    for (int i = 0; i < CASES; i++) {
        const attention_case *c = &cases[i];
        operands o = operands_of(c, GR_F32);
        gr_tensor *y = attention(c, &o);
        const double *q = values(o.q), *k = values(o.k), *v = values(o.v), *got = values(y);
        const double *lse = values(gr_output(y, 1));
        for (int64_t row = 0; row < c->heads * c->rows; row++) {
            const int64_t head = row / c->rows, at = row % c->rows;
            row_scores(c, q + row * c->depth, k + head * c->keys * c->depth, at, s);
            check_row(c, s, keys_of(c, at), v + head * c->keys * c->width, got + row * c->width,
                      lse[row]);
        }
        gr_graph_reset(g);
    }
}
END_TEST

/* --- backwards --- */

/* What a gradient is, and the sum of its terms' sizes with what float32 loses in each. */
typedef struct expected {
    double *sum, *size;
} expected;

static expected expect(int64_t n)
{
    return (expected){calloc((size_t)n, sizeof(double)), calloc((size_t)n, sizeof(double))};
}

/* Adds factor b[i] to n elements; the factor is rounded before, and known to `loose` only. */
static void add_terms(expected *e, int64_t at, double factor, double loose, const double *b,
                      int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        e->sum[at + i] += factor * rounded(b[i]);
        e->size[at + i] += (fabs(factor) + loose / ROUNDING) * fabs(b[i]);
    }
}

static void check_expected(int index, const char *what, const expected *e, gr_tensor *got)
{
    const double *x = values(got);
    for (int64_t i = 0; i < gr_numel(got); i++)
        ck_assert_msg(fabs(x[i] - e->sum[i]) <= ROUNDING * e->size[i] + 1e-30,
                      "case %d, %s[%d]: expected %.9g, got %.9g", index, what, (int)i, e->sum[i],
                      x[i]);
    free(e->sum);
    free(e->size);
}

typedef struct row {
    const double *q, *k, *v, *dy, *y;
    double lse;
    int64_t query, key; /* where dq and dk of its head begin, in rows */
} row;

/* All terms of the gradients that have to do with a row. */
static void add_row(const attention_case *c, const row *r, int64_t keys, const double *s,
                    expected *e)
{
    double delta = 0, size = 0;
    for (int64_t i = 0; i < c->width; i++) delta += r->dy[i] * r->y[i];
    for (int64_t i = 0; i < c->width; i++) size += fabs(r->dy[i]) * 1.3;
    for (int64_t j = 0; j < keys; j++) {
        const double p = exp(s[j] - r->lse), *k = r->k + j * c->depth;
        const double dp = dot(r->dy, r->v + j * c->width, c->width);
        const double ds = scale_of(c) * p * (dp - delta), loose = 1e-5 * scale_of(c) * p * size;
        add_terms(&e[0], r->query * c->depth, ds, loose, k, c->depth);
        add_terms(&e[1], (r->key + j) * c->depth, ds, loose, r->q, c->depth);
        add_terms(&e[2], (r->key + j) * c->width, p, 1e-5 * p, r->dy, c->width);
    }
}

static void check_gradients(const attention_case *c, int index)
{
    double s[300];
    operands o = operands_of(c, GR_F32);
    gr_tensor *y = attention(c, &o), *x[3] = {o.q, o.k, o.v}, *d[3];
    ck_assert_int_eq(gr_vjp(&y, &o.dy, 1, x, 3, d), GR_OK);
    const double *q = values(o.q), *k = values(o.k), *v = values(o.v), *dy = values(o.dy);
    const double *got = values(y), *lse = values(gr_output(y, 1));
    expected e[3] = {expect(gr_numel(o.q)), expect(gr_numel(o.k)), expect(gr_numel(o.v))};
    for (int64_t i = 0; i < c->heads * c->rows; i++) {
        const int64_t key = i / c->rows * c->keys;
        const row r = {q + i * c->depth,
                       k + key * c->depth,
                       v + key * c->width,
                       dy + i * c->width,
                       got + i * c->width,
                       lse[i],
                       i,
                       key};
        row_scores(c, r.q, r.k, i % c->rows, s);
        add_row(c, &r, keys_of(c, i % c->rows), s, e);
    }
    const char *const names[3] = {"dq", "dk", "dv"};
    for (int i = 0; i < 3; i++) check_expected(index, names[i], &e[i], d[i]);
    gr_graph_reset(g);
}

START_TEST(gradients_are_those_of_rounded_operands)
{
    if (!gr_has_bfloat16()) return;
    bfloat16();
    for (int i = 0; i < CASES; i++) check_gradients(&cases[i], i);
}
END_TEST

/* --- bits --- */

/* y, dq, dk and dv in a row, for the caller to free; heads of [heads, rows, n] may lie in rows. */
static char *bits_of(const attention_case *c, gr_dtype dtype, bool strided, size_t *bytes)
{
    operands o = operands_of(c, dtype);
    gr_tensor *x[3] = {o.q, o.k, o.v}, *r[4];
    for (int i = 0; i < 3 && strided; i++)
        x[i] =
            gr_transpose(gr_keep(gr_add(gr_transpose(x[i], 0, 1), gr_zeros(g, dtype, GR_SHAPE(1)))),
                         0, 1);
    r[0] = attention(c, &(operands){x[0], x[1], x[2], o.dy});
    ck_assert_int_eq(gr_vjp(r, &o.dy, 1, x, 3, r + 1), GR_OK);
    char *all = NULL;
    *bytes = 0;
    for (int i = 0; i < 4; i++) {
        const size_t size = (size_t)gr_numel(r[i]) * gr_dtype_size(dtype);
        const void *data = gr_data(r[i]);
        ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
        all = realloc(all, *bytes + size);
        memcpy(all + *bytes, data, size);
        *bytes += size;
    }
    gr_graph_reset(g);
    return all;
}

/* Whether asking for bfloat16 changes no bit. */
static bool same_bits(const attention_case *c, gr_dtype dtype)
{
    size_t bytes;
    gr_graph_set_precision(g, GR_PRECISION_FLOAT32);
    char *plain = bits_of(c, dtype, false, &bytes);
    bfloat16();
    char *asked = bits_of(c, dtype, false, &bytes);
    bool same = memcmp(plain, asked, bytes) == 0;
    free(plain);
    free(asked);
    return same;
}

START_TEST(float64_and_small_attention_are_not_rounded)
{
    const attention_case small = {2, 16, 16, 8, 8, false, 0}, one = {2, 1, 300, 64, 64, false, 0};
    ck_assert(same_bits(&cases[0], GR_F64));
    ck_assert(same_bits(&small, GR_F32));
    ck_assert(same_bits(&one, GR_F32));
    ck_assert(same_bits(&cases[0], GR_F32) == !gr_has_bfloat16());
    if (!gr__kernels_force("avx2")) return;
    ck_assert(same_bits(&cases[0], GR_F32));
}
END_TEST

START_TEST(bits_do_not_depend_on_threads_layout_or_when)
{
    bfloat16();
    for (int i = 0; i < CASES; i++) {
        char *first = NULL;
        for (int threads = 1; threads <= 4; threads++) {
            size_t bytes;
            gr_set_threads(threads);
            gr_graph_set_eager(g, threads % 2);
            char *bits = bits_of(&cases[i], GR_F32, threads > 2, &bytes);
            ck_assert_msg(!first || memcmp(first, bits, bytes) == 0,
                          "case %d: other bits with %d threads", i, threads);
            if (first) free(bits);
            else first = bits;
        }
        free(first);
    }
}
END_TEST

/* --- NaN --- */

START_TEST(nan_in_a_query_stays_in_its_row)
{
    enum { ROWS = 64, N = 32, ODD = 37 };
    bfloat16();
    float q[ROWS * N];
    for (int i = 0; i < ROWS * N; i++) q[i] = i == ODD * N + 5 ? NAN : 0.25f;
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(ROWS, N), q);
    gr_tensor *k = large_numbers(GR_F32, GR_SHAPE(ROWS, N), 1),
              *v = large_numbers(GR_F32, GR_SHAPE(ROWS, N), 2);
    const double *y = values(
        gr_scaled_dot_product_attention(x, k, v, NULL, (gr_attention_options){0}));
    for (int i = 0; i < ROWS * N; i++)
        ck_assert_msg(isnan(y[i]) == (i / N == ODD), "row %d: got %g", i / N, y[i]);
}
END_TEST

SUITE("attention rounding", setup, restore, values_are_those_of_rounded_operands,
      gradients_are_those_of_rounded_operands, float64_and_small_attention_are_not_rounded,
      bits_do_not_depend_on_threads_layout_or_when, nan_in_a_query_stays_in_its_row)
