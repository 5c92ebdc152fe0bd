/* test_rounding_conv.c - convolutions that round their operands to bfloat16. */
/* SPDX-License-Identifier: MIT */
#include "rounded.h"
#include "suite.h"

#include <float.h>
#include <string.h>

typedef struct convolution {
    int64_t batch, in, out, size[2], taps[2];
    gr_conv2d_options o;
    unsigned plain; /* results that are not rounded: 1 << DX */
} convolution;

enum { Y, DX, DW, RESULTS };

/* What each result is by the definition, of rounded operands, and the sum of its terms' sizes. */
typedef struct expected {
    double *sum, *size;
    bool plain;
} expected;

static void add_term(expected *e, int64_t at, double a, double b)
{
    double term = e->plain ? a * b : rounded(a) * rounded(b);
    e->sum[at] += term;
    e->size[at] += fabs(term);
}

/* All terms of y, dx and dw that have to do with y[n,o,i,j]. */
static void add_terms(const convolution *c, const double *x, const double *w, const double *dy,
                      const int64_t *at, const gr_shape *ys, expected *e)
{
    const gr_conv2d_options *f = &c->o;
    int64_t per_group = c->in / f->groups, group = at[1] / (c->out / f->groups);
    int64_t y = ((at[0] * c->out + at[1]) * ys->dim[2] + at[2]) * ys->dim[3] + at[3];
    for (int64_t k = 0; k < per_group; k++)
        for (int64_t p = 0; p < c->taps[0]; p++)
            for (int64_t q = 0; q < c->taps[1]; q++) {
                int64_t r = at[2] * f->stride[0] + p * f->dilation[0] - f->padding[0];
                int64_t s = at[3] * f->stride[1] + q * f->dilation[1] - f->padding[1];
                if (r < 0 || r >= c->size[0] || s < 0 || s >= c->size[1]) continue;
                int64_t i =
                    ((at[0] * c->in + group * per_group + k) * c->size[0] + r) * c->size[1] + s;
                int64_t j = ((at[1] * per_group + k) * c->taps[0] + p) * c->taps[1] + q;
                add_term(&e[Y], y, x[i], w[j]);
                add_term(&e[DX], i, dy[y], w[j]);
                add_term(&e[DW], j, dy[y], x[i]);
            }
}

static void expect_all(const convolution *c, const double *x, const double *w, const double *dy,
                       const gr_shape *ys, expected *e)
{
    int64_t at[4];
    for (at[0] = 0; at[0] < ys->dim[0]; at[0]++)
        for (at[1] = 0; at[1] < ys->dim[1]; at[1]++)
            for (at[2] = 0; at[2] < ys->dim[2]; at[2]++)
                for (at[3] = 0; at[3] < ys->dim[3]; at[3]++) add_terms(c, x, w, dy, at, ys, e);
}

static void check_result(const char *what, int index, const double *got, const expected *e,
                         int64_t n, double terms)
{
    for (int64_t i = 0; i < n; i++) {
        bool same = isnan(e->sum[i]) ? isnan(got[i])
                                     : fabs(got[i] - e->sum[i]) <= e->size[i] * terms * FLT_EPSILON;
        ck_assert_msg(same, "case %d, %s[%d]: expected %.9g, got %.9g", index, what, (int)i,
                      e->sum[i], got[i]);
    }
}

/* x holds a NaN at element `odd` where that is not negative. */
static void check_convolution(const convolution *c, int index, int64_t odd)
{
    static const char *const names[RESULTS] = {"y", "dx", "dw"};
    bfloat16();
    gr_shape xs = GR_SHAPE(c->batch, c->in, c->size[0], c->size[1]);
    gr_shape ws = GR_SHAPE(c->out, c->in / c->o.groups, c->taps[0], c->taps[1]);
    float *data = malloc((size_t)gr_shape_numel(&xs) * sizeof *data);
    for (int64_t i = 0; i < gr_shape_numel(&xs); i++)
        data[i] = i == odd ? NAN : sinf((float)i * 0.9f);
    gr_tensor *x = gr_from_data(g, GR_F32, xs, data), *w = numbers(GR_F32, ws, 1), *d[2];
    gr_tensor *y = gr_conv2d(x, w, NULL, c->o), *dy = numbers(GR_F32, *gr_shape_of(y), 2);
    gr_vjp(&y, &dy, 1, (gr_tensor *[]){x, w}, 2, d);
    gr_tensor *result[RESULTS] = {y, d[0], d[1]};
    expected e[RESULTS];
    for (int i = 0; i < RESULTS; i++)
        e[i] = (expected){calloc((size_t)gr_numel(result[i]), sizeof(double)),
                          calloc((size_t)gr_numel(result[i]), sizeof(double)), c->plain >> i & 1};
    expect_all(c, values(x), values(w), values(dy), gr_shape_of(y), e);
    double terms = (double)(gr_numel(w) + gr_numel(y));
    for (int i = 0; i < RESULTS; i++) {
        check_result(names[i], index, values(result[i]), &e[i], gr_numel(result[i]), terms);
        free(e[i].sum);
        free(e[i].size);
    }
    free(data);
    gr_graph_reset(g);
}

#define PLAIN_OPTIONS .stride = {1, 1}, .dilation = {1, 1}, .groups = 1

static const convolution convolutions[] = {
    {3,
     10,
     11,
     {6, 16},
     {3, 3},
     {PLAIN_OPTIONS, .padding = {1, 1}},
     0},                                                               /* vectors from the planes */
    {4, 9, 10, {7, 9}, {3, 3}, {PLAIN_OPTIONS, .padding = {1, 1}}, 0}, /* gathered ones */
    {5, 11, 24, {4, 4}, {3, 3}, {PLAIN_OPTIONS, .padding = {1, 1}}, 0},
    {16, 9, 50, {2, 3}, {3, 3}, {PLAIN_OPTIONS, .padding = {1, 1}}, 0},
    {2, 11, 17, {7, 6}, {5, 4}, {PLAIN_OPTIONS, .padding = {0, 2}}, 0},
    {2, 40, 18, {6, 5}, {1, 1}, {PLAIN_OPTIONS}, 0},
    {2, 16, 17, {6, 7}, {1, 1}, {PLAIN_OPTIONS, .padding = {2, 1}}, 0},
    {3,
     8,
     12,
     {9, 20},
     {3, 3},
     {.stride = {2, 2}, .dilation = {1, 1}, .groups = 1, .padding = {1, 1}},
     1 << DX},
    {2, 8, 12, {11, 13}, {3, 2}, {.stride = {1, 3}, .dilation = {2, 1}, .groups = 1}, 1 << DX},
    {2,
     8,
     12,
     {12, 11},
     {3, 3},
     {.stride = {1, 1}, .dilation = {2, 3}, .groups = 1, .padding = {2, 3}},
     0},
    {3,
     20,
     30,
     {5, 16},
     {3, 3},
     {.stride = {1, 1}, .dilation = {1, 1}, .groups = 2, .padding = {1, 1}},
     0},
    {1, 8, 8, {3, 3}, {3, 3}, {PLAIN_OPTIONS}, 1 << DW},
};

START_TEST(convolutions_are_those_of_rounded_operands)
{
    if (!gr_has_bfloat16()) return;
    for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
        check_convolution(&convolutions[i], (int)i, -1);
}
END_TEST

START_TEST(not_a_number_reaches_what_reads_it_and_no_more)
{
    if (!gr_has_bfloat16()) return;
    for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
        check_convolution(&convolutions[i], (int)i, 19);
}
END_TEST

START_TEST(a_bias_is_added_to_rounded_convolutions)
{
    if (!gr_has_bfloat16()) return;
    bfloat16();
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(2, 8, 5, 5)),
              *bias = numbers(GR_F32, GR_SHAPE(9), 0);
    gr_tensor *w = numbers(GR_F32, GR_SHAPE(9, 8, 3, 3), 1);
    const double *y = values(gr_conv2d(x, w, bias, (gr_conv2d_options){.padding = {1, 1}}));
    const double *b = values(bias);
    for (int i = 0; i < 2 * 9 * 25; i++) ck_assert_double_eq(y[i], b[i / 25 % 9]);
}
END_TEST

/* The cotangent of x for a weight of which one element is w. */
static float *input_gradient(float w, int64_t *n)
{
    enum { IN = 8, OUT = 8 };
    float weights[OUT * IN * 9];
    for (int i = 0; i < OUT * IN * 9; i++) weights[i] = i == 100 ? w : 0.5f;
    gr_tensor *x = numbers(GR_F32, GR_SHAPE(2, IN, 6, 6), 0), *d;
    gr_tensor *k = gr_from_data(g, GR_F32, GR_SHAPE(OUT, IN, 3, 3), weights);
    gr_tensor *y = gr_conv2d(x, k, NULL, (gr_conv2d_options){.groups = 1});
    gr_tensor *dy = numbers(GR_F32, *gr_shape_of(y), 2);
    gr_vjp(&y, &dy, 1, &x, 1, &d);
    *n = gr_numel(d);
    float *copy = malloc((size_t)*n * sizeof *copy);
    const void *data = gr_data(d);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    memcpy(copy, data, (size_t)*n * sizeof *copy);
    gr_graph_reset(g);
    return copy;
}

START_TEST(an_infinite_weight_makes_no_nan_of_what_it_does_not_touch)
{
    const float weights[] = {INFINITY, -INFINITY, NAN, FLT_MAX};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        int64_t n;
        gr_graph_set_precision(g, GR_PRECISION_FLOAT32);
        float *plain = input_gradient(weights[i], &n);
        bfloat16();
        float *asked = input_gradient(weights[i], &n);
        for (int64_t j = 0; j < n; j++)
            ck_assert_msg(isnan(plain[j]) == isnan(asked[j]), "w %g, dx[%d]: expected %g, got %g",
                          (double)weights[i], (int)j, (double)plain[j], (double)asked[j]);
        free(plain);
        free(asked);
    }
}
END_TEST

SUITE("rounding, convolutions", setup, restore, convolutions_are_those_of_rounded_operands,
      not_a_number_reaches_what_reads_it_and_no_more, a_bias_is_added_to_rounded_convolutions,
      an_infinite_weight_makes_no_nan_of_what_it_does_not_touch)
