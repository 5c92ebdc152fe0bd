/* test_pool_nd.c - pooling over one to three axes with every option, adaptive pooling and
 * unpooling, against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <string.h>

enum { MOST = 4096 };

/* Sizes and options of three axes; those in front are 1 where an op has fewer. */
typedef struct pool_case {
    const char *name;
    int64_t planes, x[3], y[3]; /* y: as PyTorch 1.13 has it */
    int kernel[3], stride[3], padding[3], dilation[3];
    bool ceil_mode, exclude_padding;
} pool_case;

/* --- plain loops --- */

typedef struct window {
    int64_t at[64], n; /* elements that exist, in order */
    int64_t counted;   /* those of the padded input */
} window;

static void window_of(const pool_case *c, const int64_t *i, window *w)
{
    *w = (window){.n = 0};
    for (int64_t k = 0; k < c->kernel[0] * c->kernel[1] * c->kernel[2]; k++) {
        int64_t tap[3] = {k / (c->kernel[1] * c->kernel[2]), k / c->kernel[2] % c->kernel[1],
                          k % c->kernel[2]};
        bool real = true, padded = true;
        for (int a = 0; a < 3; a++) {
            tap[a] = i[a] * c->stride[a] + tap[a] * c->dilation[a] - c->padding[a];
            real &= tap[a] >= 0 && tap[a] < c->x[a];
            padded &= tap[a] < c->x[a] + c->padding[a];
        }
        w->counted += padded;
        if (real) w->at[w->n++] = (tap[0] * c->x[1] + tap[1]) * c->x[2] + tap[2];
    }
    if (c->exclude_padding) w->counted = w->n;
}

/* Maxima, their places and means of all planes; dx of both for a cotangent dy. */
typedef struct results {
    double max[MOST], avg[MOST], dx_max[MOST], dx_avg[MOST];
    int64_t place[MOST];
} results;

static int64_t volume(const int64_t *d)
{
    return d[0] * d[1] * d[2];
}

static void one_window(const window *w, const double *x, const double *dy, int64_t plane, int64_t y,
                       results *r)
{
    r->place[y] = w->at[0];
    r->avg[y] = 0;
    for (int64_t k = 0; k < w->n; k++) {
        if (x[plane + w->at[k]] > x[plane + r->place[y]]) r->place[y] = w->at[k];
        r->avg[y] += x[plane + w->at[k]] / (double)w->counted;
        r->dx_avg[plane + w->at[k]] += dy[y] / (double)w->counted;
    }
    r->max[y] = x[plane + r->place[y]];
    r->dx_max[plane + r->place[y]] += dy[y];
}

static void plain(const pool_case *c, const double *x, const double *dy, results *r)
{
    memset(r, 0, sizeof *r);
    for (int64_t y = 0; y < c->planes * volume(c->y); y++) {
        int64_t k = y % volume(c->y);
        int64_t i[3] = {k / (c->y[1] * c->y[2]), k / c->y[2] % c->y[1], k % c->y[2]};
        window w;
        window_of(c, i, &w);
        one_window(&w, x, dy, y / volume(c->y) * volume(c->x), y, r);
    }
}

/* --- comparing --- */

static double xs[MOST], dys[MOST];
static results r;

static void setup(void)
{
    for (int i = 0; i < MOST; i++) xs[i] = (double)(float)sin(1.7 * i + 0.4);
    for (int i = 0; i < MOST; i++) dys[i] = (double)(float)sin(2.3 * i + 1.1);
}

static void check_close(const char *name, const char *what, gr_tensor *t, const double *expected)
{
    double tolerance = gr_dtype_of(t) == GR_F32 ? 1e-6 : 1e-14;
    const double *got = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(got != NULL, "%s: %s", name, gr_graph_error(gr_graph_of(t)));
    for (int64_t i = 0; i < gr_numel(t); i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s: element %lld of %s: expected %.17g, got %.17g", name, (long long)i,
                         what, expected[i], got[i]);
}

static gr_shape shape_of(int64_t planes, const int64_t *size, int rank)
{
    gr_shape s = {.rank = rank + 2, .dim = {1, planes}};
    for (int i = 0; i < rank; i++) s.dim[2 + i] = size[3 - rank + i];
    return s;
}

static gr_tensor *pool(const pool_case *c, int rank, bool mean, gr_tensor *x)
{
    const gr_pool1d_options one = {c->kernel[2],   c->stride[2], c->padding[2],
                                   c->dilation[2], c->ceil_mode, mean && c->exclude_padding};
    const gr_pool2d_options two = {{c->kernel[1], c->kernel[2]},
                                   {c->stride[1], c->stride[2]},
                                   {c->padding[1], c->padding[2]},
                                   {c->dilation[1], c->dilation[2]},
                                   c->ceil_mode,
                                   mean && c->exclude_padding};
    gr_pool3d_options three = {.ceil_mode = c->ceil_mode,
                               .exclude_padding = mean && c->exclude_padding};
    memcpy(three.kernel, c->kernel, sizeof c->kernel);
    memcpy(three.stride, c->stride, sizeof c->stride);
    memcpy(three.padding, c->padding, sizeof c->padding);
    memcpy(three.dilation, c->dilation, sizeof c->dilation);
    if (rank == 1) return mean ? gr_avg_pool1d(x, one) : gr_max_pool1d(x, one);
    if (rank == 2) return mean ? gr_avg_pool2d(x, two) : gr_max_pool2d(x, two);
    return mean ? gr_avg_pool3d(x, three) : gr_max_pool3d(x, three);
}

static void check_case(const pool_case *c, int rank, gr_dtype dtype)
{
    gr_graph *g = gr_graph_new();
    gr_shape ys = shape_of(c->planes, c->y, rank);
    gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, shape_of(c->planes, c->x, rank), xs), dtype);
    gr_tensor *dy = gr_cast(gr_from_data(g, GR_F64, ys, dys), dtype), *dx;
    for (int mean = 0; mean < 2; mean++) {
        gr_tensor *y = pool(c, rank, mean, x);
        ck_assert_msg(gr_shape_equal(gr_shape_of(y), &ys), "%s: %s", c->name, gr_graph_error(g));
        check_close(c->name, mean ? "means" : "maxima", y, mean ? r.avg : r.max);
        ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &dx), GR_OK);
        check_close(c->name, mean ? "dx of means" : "dx of maxima", dx, mean ? r.dx_avg : r.dx_max);
        const int64_t *place = mean ? NULL : gr_data(gr_output(y, 1));
        for (int64_t i = 0; place && i < gr_numel(y); i++) ck_assert_int_eq(place[i], r.place[i]);
    }
    gr_graph_free(g);
}

static const pool_case rows[] = {
    {"plain", 3, {1, 1, 9}, {1, 1, 4}, {1, 1, 2}, {1, 1, 2}, {0}, {1, 1, 1}, false, false},
    {"padding", 2, {1, 1, 9}, {1, 1, 5}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {1, 1, 1}, false, true},
    {"dilation",
     2,
     {1, 1, 12},
     {1, 1, 5},
     {1, 1, 3},
     {1, 1, 2},
     {0, 0, 1},
     {1, 1, 2},
     false,
     false},
    {"ceil", 2, {1, 1, 8}, {1, 1, 4}, {1, 1, 3}, {1, 1, 2}, {0}, {1, 1, 1}, true, false},
    {"ceil, window in the padding",
     1,
     {1, 1, 5},
     {1, 1, 3},
     {1, 1, 2},
     {1, 1, 2},
     {0, 0, 1},
     {1, 1, 1},
     true,
     false},
    {"long", 1, {1, 1, 300}, {1, 1, 300}, {1, 1, 5}, {1, 1, 1}, {0, 0, 2}, {1, 1, 1}, false, true},
};

static const pool_case images[] = {
    {"plain", 2, {1, 6, 8}, {1, 3, 2}, {1, 2, 3}, {1, 2, 3}, {0}, {1, 1, 1}, false, false},
    {"padding", 2, {1, 7, 8}, {1, 4, 5}, {1, 3, 2}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, false, true},
    {"ceil", 2, {1, 6, 7}, {1, 3, 4}, {1, 3, 3}, {1, 2, 2}, {0, 0, 1}, {1, 1, 1}, true, false},
    {"ceil without padding",
     1,
     {1, 6, 7},
     {1, 3, 4},
     {1, 3, 3},
     {1, 2, 2},
     {0, 0, 1},
     {1, 1, 1},
     true,
     true},
    {"dilation",
     1,
     {1, 9, 12},
     {1, 4, 8},
     {1, 2, 3},
     {1, 2, 1},
     {0, 1, 0},
     {1, 3, 2},
     false,
     false},
    {"wide", 1, {1, 4, 150}, {1, 3, 148}, {1, 2, 3}, {1, 1, 1}, {0}, {1, 1, 1}, false, false},
};

static const pool_case volumes[] = {
    {"plain", 2, {4, 6, 5}, {2, 3, 2}, {2, 2, 2}, {2, 2, 2}, {0}, {1, 1, 1}, false, false},
    {"padding", 2, {4, 5, 6}, {5, 3, 3}, {2, 3, 2}, {1, 2, 3}, {1, 1, 1}, {1, 1, 1}, false, true},
    {"ceil", 1, {5, 6, 4}, {3, 3, 2}, {2, 3, 2}, {2, 2, 2}, {0}, {1, 1, 1}, true, false},
    {"dilation", 1, {5, 4, 6}, {3, 4, 4}, {2, 1, 3}, {1, 1, 1}, {0, 0, 1}, {2, 1, 2}, false, false},
};

static void check_all(const pool_case *cases, int n, int rank)
{
    for (int k = 0; k < n; k++) {
        plain(&cases[k], xs, dys, &r);
        check_case(&cases[k], rank, GR_F64);
        check_case(&cases[k], rank, GR_F32);
    }
}

START_TEST(rows_match_plain_loops)
{
    check_all(rows, sizeof rows / sizeof *rows, 1);
}
END_TEST

START_TEST(images_match_plain_loops)
{
    check_all(images, sizeof images / sizeof *images, 2);
}
END_TEST

START_TEST(volumes_match_plain_loops)
{
    check_all(volumes, sizeof volumes / sizeof *volumes, 3);
}
END_TEST

/* --- adaptive, unpool --- */

START_TEST(adaptive_windows_cut_the_image_evenly)
{
    static const int64_t sizes[][4] = {{6, 8, 3, 4}, {7, 5, 3, 2}, {3, 4, 5, 7}, {5, 6, 1, 1}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const int64_t *s = sizes[k];
        gr_graph *g = gr_graph_new();
        gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(1, 1, s[0], s[1]), xs);
        gr_tensor *y = gr_adaptive_max_pool2d(x, s[2], s[3]);
        const double *v = gr_data(y);
        const int64_t *place = gr_data(gr_output(y, 1));
        ck_assert_msg(v != NULL, "%s", gr_graph_error(g));
        for (int64_t i = 0; i < s[2] * s[3]; i++) {
            int64_t top = i / s[3] * s[0] / s[2], left = i % s[3] * s[1] / s[3];
            int64_t best = top * s[1] + left;
            for (int64_t a = top; a * s[2] < (i / s[3] + 1) * s[0]; a++)
                for (int64_t b = left; b * s[3] < (i % s[3] + 1) * s[1]; b++)
                    if (xs[a * s[1] + b] > xs[best]) best = a * s[1] + b;
            ck_assert_int_eq(place[i], best);
            ck_assert(v[i] == xs[best]);
        }
        gr_graph_free(g);
    }
}
END_TEST

START_TEST(unpooling_puts_maxima_back)
{
    const double x[8] = {1, 5, 2, 3, 4, 0, 7, 6}, expected[8] = {0, 5, 0, 3, 4, 0, 7, 0};
    gr_graph *g = gr_graph_new();
    gr_tensor *y = gr_max_pool1d(gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 8), x),
                                 (gr_pool1d_options){.kernel = 2});
    check_close("unpool", "y", gr_max_unpool(y, gr_output(y, 1), GR_SHAPE(8)), expected);
    gr_graph_free(g);
}
END_TEST

SUITE("pool_nd", setup, NULL, rows_match_plain_loops, images_match_plain_loops,
      volumes_match_plain_loops, adaptive_windows_cut_the_image_evenly, unpooling_puts_maxima_back)
