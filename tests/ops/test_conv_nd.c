/* test_conv_nd.c - convolution of one and three axes, transposed and padded to the same size,
 * against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <string.h>

/* Sizes and options of three axes; those in front are 1 where an op has fewer. */
typedef struct conv_case {
    const char *name;
    int64_t n, c, o, x[3], w[3];
    int stride[3], before[3], after[3], dilation[3], groups;
} conv_case;

/* --- plain loops --- */

static int64_t out_size(const conv_case *c, int i)
{
    int64_t reach = (c->w[i] - 1) * c->dilation[i] + 1;
    return (c->x[i] + c->before[i] + c->after[i] - reach) / c->stride[i] + 1;
}

static int64_t volume(const int64_t *d)
{
    return d[0] * d[1] * d[2];
}

/* Index of `at` in a row-major volume; -1 outside. */
static int64_t place(const int64_t *size, const int64_t *at)
{
    for (int i = 0; i < 3; i++)
        if (at[i] < 0 || at[i] >= size[i]) return -1;
    return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

/* Each product x[..] w[..] -> y[..] of one image, out channel and in channel. */
static void products(const conv_case *c, const int64_t *ys, const double *x, const double *w,
                     double *y, double *dx, const double *dy)
{
    for (int64_t i = 0; i < volume(ys); i++)
        for (int64_t k = 0; k < volume(c->w); k++) {
            int64_t at[3] = {i / (ys[1] * ys[2]), i / ys[2] % ys[1], i % ys[2]};
            int64_t tap[3] = {k / (c->w[1] * c->w[2]), k / c->w[2] % c->w[1], k % c->w[2]};
            for (int a = 0; a < 3; a++)
                at[a] = at[a] * c->stride[a] + tap[a] * c->dilation[a] - c->before[a];
            int64_t p = place(c->x, at);
            if (p < 0) continue;
            if (y) y[i] += w[k] * x[p];
            else dx[p] += w[k] * dy[i];
        }
}

/* y of x and w, or with y NULL dx of dy and w. */
static void convolve(const conv_case *c, const double *x, const double *w, double *y, double *dx,
                     const double *dy)
{
    int64_t ys[3] = {out_size(c, 0), out_size(c, 1), out_size(c, 2)};
    int64_t in = c->c / c->groups, out = c->o / c->groups;
    for (int64_t n = 0; n < c->n; n++)
        for (int64_t o = 0; o < c->o; o++)
            for (int64_t k = 0; k < in; k++) {
                int64_t xi = (n * c->c + o / out * in + k) * volume(c->x);
                int64_t yi = (n * c->o + o) * volume(ys);
                products(c, ys, x ? x + xi : NULL, w + (o * in + k) * volume(c->w),
                         y ? y + yi : NULL, dx ? dx + xi : NULL, dy ? dy + yi : NULL);
            }
}

/* --- comparing --- */

enum { MOST = 4096 };

static void fill(double *v, double phase)
{
    for (int i = 0; i < MOST; i++) v[i] = (double)(float)sin(1.7 * i + phase);
}

static gr_tensor *tensor(gr_graph *g, gr_dtype dtype, gr_shape shape, const double *v)
{
    ck_assert_int_le(gr_shape_numel(&shape), MOST);
    return gr_cast(gr_from_data(g, GR_F64, shape, v), dtype);
}

static void check_close(const char *name, gr_tensor *t, gr_shape shape, const double *expected)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    double tolerance = gr_dtype_of(t) == GR_F32 ? 1e-5 : 1e-13;
    const double *got = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(got != NULL, "%s: %s", name, gr_graph_error(gr_graph_of(t)));
    ck_assert_msg(gr_shape_equal(gr_shape_of(t), &shape), "%s: expected %s, got %s", name,
                  gr_shape_text(&shape, a), gr_shape_text(gr_shape_of(t), b));
    for (int64_t i = 0; i < gr_numel(t); i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s (%s): element %lld: expected %.17g, got %.17g", name,
                         gr_dtype_name(gr_dtype_of(t)), (long long)i, expected[i], got[i]);
}

/* A bias of 1, 2, 3, ... added to [N, channels, size]. */
static void add_bias(double *y, int64_t n, int64_t channels, int64_t size)
{
    for (int64_t i = 0; i < n * channels * size; i++) y[i] += 1 + (double)(i / size % channels);
}

static gr_tensor *bias(gr_graph *g, gr_dtype dtype, int64_t channels)
{
    double b[64];
    for (int i = 0; i < 64; i++) b[i] = 1 + i;
    return tensor(g, dtype, GR_SHAPE(channels), b);
}

static double xs[MOST], ws[MOST], expected[MOST];

static const gr_dtype dtypes[2] = {GR_F64, GR_F32};

/* --- one axis --- */

static const conv_case rows[] = {
    {"plain", 2, 3, 4, {1, 1, 9}, {1, 1, 3}, {1, 1, 1}, {0}, {0}, {1, 1, 1}, 1},
    {"stride", 1, 2, 3, {1, 1, 12}, {1, 1, 4}, {1, 1, 3}, {0, 0, 2}, {0, 0, 2}, {1, 1, 1}, 1},
    {"dilation", 1, 4, 2, {1, 1, 11}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 1}, {1, 1, 3}, 2},
};

START_TEST(conv1d_matches_plain_loops)
{
    for (int k = 0; k < 6; k++) {
        const conv_case *c = &rows[k / 2];
        gr_dtype dtype = dtypes[k % 2];
        gr_graph *g = gr_graph_new();
        gr_conv1d_options o = {.stride = c->stride[2],
                               .padding = c->before[2],
                               .dilation = c->dilation[2],
                               .groups = c->groups};
        gr_tensor *x = tensor(g, dtype, GR_SHAPE(c->n, c->c, c->x[2]), xs);
        gr_tensor *w = tensor(g, dtype, GR_SHAPE(c->o, c->c / c->groups, c->w[2]), ws);
        memset(expected, 0, sizeof expected);
        convolve(c, xs, ws, expected, NULL, NULL);
        add_bias(expected, c->n, c->o, out_size(c, 2));
        check_close(c->name, gr_conv1d(x, w, bias(g, dtype, c->o), o),
                    GR_SHAPE(c->n, c->o, out_size(c, 2)), expected);
        gr_graph_free(g);
    }
}
END_TEST

/* --- the same size --- */

static const conv_case equal[] = {
    {"odd", 2, 2, 3, {1, 5, 6}, {1, 3, 5}, {1, 1, 1}, {0, 1, 2}, {0, 1, 2}, {1, 1, 1}, 1},
    {"even", 1, 2, 2, {1, 5, 6}, {1, 2, 4}, {1, 1, 1}, {0, 0, 1}, {0, 1, 2}, {1, 1, 1}, 2},
    {"dilated", 1, 1, 2, {1, 5, 6}, {1, 2, 2}, {1, 1, 1}, {0, 1, 0}, {0, 2, 1}, {1, 3, 1}, 1},
};

START_TEST(same_padding_puts_the_odd_zero_at_the_end)
{
    for (int k = 0; k < 6; k++) {
        const conv_case *c = &equal[k / 2];
        gr_dtype dtype = dtypes[k % 2];
        gr_graph *g = gr_graph_new();
        gr_conv2d_options o = {.dilation = {c->dilation[1], c->dilation[2]},
                               .groups = c->groups,
                               .same = true};
        gr_tensor *x = tensor(g, dtype, GR_SHAPE(c->n, c->c, c->x[1], c->x[2]), xs);
        gr_tensor *w = tensor(g, dtype, GR_SHAPE(c->o, c->c / c->groups, c->w[1], c->w[2]), ws);
        gr_shape ys = GR_SHAPE(c->n, c->o, c->x[1], c->x[2]);
        memset(expected, 0, sizeof expected);
        convolve(c, xs, ws, expected, NULL, NULL);
        gr_tensor *y = gr_conv2d(x, w, NULL, o), *dy = tensor(g, dtype, ys, xs + 7), *dx;
        check_close(c->name, y, ys, expected);
        memset(expected, 0, sizeof expected);
        convolve(c, NULL, ws, NULL, expected, xs + 7);
        ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &dx), GR_OK);
        check_close(c->name, dx, *gr_shape_of(x), expected);
        gr_graph_free(g);
    }
}
END_TEST

/* --- three axes --- */

static const conv_case volumes[] = {
    {"plain", 2, 3, 2, {4, 5, 4}, {2, 3, 2}, {1, 1, 1}, {0}, {0}, {1, 1, 1}, 1},
    {"stride", 1, 2, 3, {6, 5, 7}, {3, 2, 2}, {2, 1, 3}, {1, 0, 1}, {1, 0, 1}, {1, 1, 1}, 1},
    {"dilation", 1, 4, 6, {6, 5, 7}, {2, 2, 3}, {1, 2, 1}, {2, 1, 0}, {2, 1, 0}, {3, 2, 2}, 2},
    {"same", 1, 2, 2, {4, 3, 5}, {2, 3, 4}, {1, 1, 1}, {0, 1, 1}, {1, 1, 2}, {1, 1, 1}, 1},
    {"same, dilated", 1, 1, 2, {5, 3, 4}, {3, 2, 1}, {1, 1, 1}, {2, 1, 0}, {2, 1, 0}, {2, 2, 1}, 1},
};

START_TEST(conv3d_matches_plain_loops)
{
    for (int k = 0; k < 10; k++) {
        const conv_case *c = &volumes[k / 2];
        gr_dtype dtype = dtypes[k % 2];
        gr_graph *g = gr_graph_new();
        gr_conv3d_options o = {.groups = c->groups, .same = !strncmp(c->name, "same", 4)};
        for (int i = 0; i < 3; i++) {
            o.stride[i] = c->stride[i], o.dilation[i] = c->dilation[i];
            o.padding[i] = o.same ? 0 : c->before[i];
        }
        gr_shape xshape = GR_SHAPE(c->n, c->c, c->x[0], c->x[1], c->x[2]);
        gr_shape ys = GR_SHAPE(c->n, c->o, out_size(c, 0), out_size(c, 1), out_size(c, 2));
        gr_tensor *x = tensor(g, dtype, xshape, xs), *dy = tensor(g, dtype, ys, xs + 5), *dx;
        gr_tensor *w = tensor(g, dtype, GR_SHAPE(c->o, c->c / c->groups, c->w[0], c->w[1], c->w[2]),
                              ws);
        memset(expected, 0, sizeof expected);
        convolve(c, xs, ws, expected, NULL, NULL);
        add_bias(expected, c->n, c->o, ys.dim[2] * ys.dim[3] * ys.dim[4]);
        gr_tensor *y = gr_conv3d(x, w, bias(g, dtype, c->o), o);
        check_close(c->name, y, ys, expected);
        memset(expected, 0, sizeof expected);
        convolve(c, NULL, ws, NULL, expected, xs + 5);
        ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &dx), GR_OK);
        check_close(c->name, dx, xshape, expected);
        gr_graph_free(g);
    }
}
END_TEST

/* --- transposed: the case is that of the convolution whose images come out --- */

static const conv_case transposed[] = {
    {"plain", 2, 3, 4, {1, 6, 7}, {1, 2, 3}, {1, 1, 1}, {0}, {0}, {1, 1, 1}, 1},
    {"stride", 1, 2, 3, {1, 9, 8}, {1, 3, 2}, {1, 2, 3}, {0, 1, 0}, {0, 1, 0}, {1, 1, 1}, 1},
    {"output padding",
     1,
     2,
     3,
     {1, 10, 10},
     {1, 3, 2},
     {1, 2, 3},
     {0, 1, 1},
     {0, 1, 1},
     {1, 1, 1},
     1},
    {"dilation", 1, 4, 2, {1, 8, 9}, {1, 3, 2}, {1, 1, 2}, {0, 2, 1}, {0, 2, 1}, {1, 2, 3}, 2},
};

static int output_padding(const conv_case *c, int i)
{
    return (int)(c->x[i] - (out_size(c, i) - 1) * c->stride[i] + 2 * c->before[i] -
                 c->dilation[i] * (c->w[i] - 1) - 1);
}

START_TEST(conv_transpose2d_matches_plain_loops)
{
    for (int k = 0; k < 8; k++) {
        const conv_case *c = &transposed[k / 2];
        gr_dtype dtype = dtypes[k % 2];
        gr_graph *g = gr_graph_new();
        gr_conv_transpose2d_options o = {.groups = c->groups};
        for (int i = 0; i < 2; i++) {
            o.stride[i] = c->stride[i + 1], o.padding[i] = c->before[i + 1];
            o.dilation[i] = c->dilation[i + 1], o.output_padding[i] = output_padding(c, i + 1);
        }
        gr_shape x = GR_SHAPE(c->n, c->o, out_size(c, 1), out_size(c, 2));
        gr_shape w = GR_SHAPE(c->o, c->c / c->groups, c->w[1], c->w[2]);
        memset(expected, 0, sizeof expected);
        convolve(c, NULL, ws, NULL, expected, xs);
        add_bias(expected, c->n, c->c, volume(c->x));
        gr_tensor *y = gr_conv_transpose2d(tensor(g, dtype, x, xs), tensor(g, dtype, w, ws),
                                           bias(g, dtype, c->c), o);
        check_close(c->name, y, GR_SHAPE(c->n, c->c, c->x[1], c->x[2]), expected);
        gr_graph_free(g);
    }
}
END_TEST

START_TEST(conv_transpose1d_is_the_same_in_one_axis)
{
    static const conv_case c = {"row",     2,         4,         6,         {1, 1, 11}, {1, 1, 3},
                                {1, 1, 3}, {0, 0, 1}, {0, 0, 1}, {1, 1, 2}, 2};
    gr_graph *g = gr_graph_new();
    gr_conv_transpose1d_options o = {.stride = 3,
                                     .padding = 1,
                                     .output_padding = output_padding(&c, 2),
                                     .dilation = 2,
                                     .groups = 2};
    gr_tensor *x = tensor(g, GR_F64, GR_SHAPE(2, 6, out_size(&c, 2)), xs);
    memset(expected, 0, sizeof expected);
    convolve(&c, NULL, ws, NULL, expected, xs);
    check_close(c.name, gr_conv_transpose1d(x, tensor(g, GR_F64, GR_SHAPE(6, 2, 3), ws), NULL, o),
                GR_SHAPE(2, 4, 11), expected);
    gr_graph_free(g);
}
END_TEST

static void setup(void)
{
    fill(xs, 0.4);
    fill(ws, 2.1);
}

SUITE("conv_nd", setup, NULL, conv1d_matches_plain_loops, conv3d_matches_plain_loops,
      same_padding_puts_the_odd_zero_at_the_end, conv_transpose2d_matches_plain_loops,
      conv_transpose1d_is_the_same_in_one_axis)
