/* test_images.c - resampling, patches, pixel shuffles and local response normalisation against
 * plain loops and against numbers of PyTorch 1.13's documentation. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <string.h>

enum { MOST = 4096 };

static double xs[MOST];

static void setup(void)
{
    for (int i = 0; i < MOST; i++) xs[i] = (double)(float)sin(1.7 * i + 0.4);
}

static void check_close(const char *name, gr_tensor *t, gr_shape shape, const double *expected)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    double tolerance = gr_dtype_of(t) == GR_F32 ? 2e-6 : 1e-14;
    const double *got = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(got != NULL, "%s: %s", name, gr_graph_error(gr_graph_of(t)));
    ck_assert_msg(gr_shape_equal(gr_shape_of(t), &shape), "%s: expected %s, got %s", name,
                  gr_shape_text(&shape, a), gr_shape_text(gr_shape_of(t), b));
    for (int64_t i = 0; i < gr_numel(t); i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s (%s): element %lld: expected %.17g, got %.17g", name,
                         gr_dtype_name(gr_dtype_of(t)), (long long)i, expected[i], got[i]);
}

static gr_tensor *values(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return gr_cast(gr_from_data(g, GR_F64, shape, xs), dtype);
}

/* --- upsampling: the image [[1, 2], [3, 4]] doubled, as in the documentation of nn.Upsample --- */

static const double square[4] = {1, 2, 3, 4};

static void check_doubled(const char *name, gr_tensor *upsample(gr_tensor *, gr_upsample_options),
                          bool corners, const double *expected)
{
    for (int by_size = 0; by_size < 2; by_size++)
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            gr_graph *g = gr_graph_new();
            gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 2, 2), square), dtype);
            gr_upsample_options o = {.align_corners = corners};
            for (int i = 0; i < 2; i++) {
                if (by_size) o.size[i] = 4;
                else o.scale[i] = 2;
            }
            check_close(name, upsample(x, o), GR_SHAPE(1, 1, 4, 4), expected);
            gr_graph_free(g);
        }
}

START_TEST(upsampling_doubles_as_documented)
{
    const double nearest[16] = {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4};
    const double linear[16] = {1,   1.25, 1.75, 2,   1.5, 1.75, 2.25, 2.5,
                               2.5, 2.75, 3.25, 3.5, 3,   3.25, 3.75, 4};
    const double third = 1.0 / 3;
    double corners[16];
    for (int i = 0; i < 16; i++) corners[i] = 1 + i % 4 * third + 2 * (i / 4) * third;
    check_doubled("nearest", gr_upsample_nearest, false, nearest);
    check_doubled("linear", gr_upsample_linear, false, linear);
    check_doubled("corners", gr_upsample_linear, true, corners);
}
END_TEST

START_TEST(a_scale_that_is_no_integer_keeps_its_step)
{
    const double x[5] = {0, 1, 2, 3, 4};
    gr_graph *g = gr_graph_new();
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 5), x);
    const double scale = 1.5, nearest[7] = {0, 0, 1, 2, 2, 3, 4}; /* floor(7.5) elements */
    double linear[7];
    for (int i = 0; i < 7; i++) linear[i] = fmin(4, fmax(0, (i + 0.5) / scale - 0.5));
    check_close("nearest", gr_upsample_nearest(t, (gr_upsample_options){.scale = {scale}}),
                GR_SHAPE(1, 1, 7), nearest);
    check_close("linear", gr_upsample_linear(t, (gr_upsample_options){.scale = {scale}}),
                GR_SHAPE(1, 1, 7), linear);
    gr_graph_free(g);
}
END_TEST

START_TEST(a_neighbour_of_weight_zero_is_not_read)
{
    const double x[3] = {1, INFINITY, 2};
    gr_graph *g = gr_graph_new();
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 3), x);
    const double *y = gr_data(
        gr_upsample_linear(t, (gr_upsample_options){.size = {5}, .align_corners = true}));
    ck_assert(y[0] == 1 && isinf(y[1]) && isinf(y[2]) && isinf(y[3]) && y[4] == 2);
    gr_graph_free(g);
}
END_TEST

/* --- means --- */

START_TEST(adaptive_means_match_plain_loops)
{
    static const int64_t sizes[][4] = {
        {6, 8, 3, 4}, {7, 5, 3, 2}, {3, 4, 5, 7}, {70, 90, 1, 1}, {9, 7, 9, 2}};
    static double expected[MOST];
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        const int64_t *s = sizes[k / 2];
        gr_graph *g = gr_graph_new();
        gr_dtype dtype = k % 2 ? GR_F32 : GR_F64;
        static double large[8192];
        for (int64_t i = 0; i < s[0] * s[1]; i++) large[i] = (double)(float)sin(0.7 * (double)i);
        gr_tensor *x = gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(1, 1, s[0], s[1]), large), dtype);
        for (int64_t i = 0; i < s[2] * s[3]; i++) {
            int64_t top = i / s[3] * s[0] / s[2], left = i % s[3] * s[1] / s[3], n = 0;
            expected[i] = 0;
            for (int64_t a = top; a * s[2] < (i / s[3] + 1) * s[0]; a++)
                for (int64_t b = left; b * s[3] < (i % s[3] + 1) * s[1]; b++, n++)
                    expected[i] += large[a * s[1] + b];
            expected[i] /= (double)n;
        }
        check_close("adaptive", gr_adaptive_avg_pool2d(x, s[2], s[3]), GR_SHAPE(1, 1, s[2], s[3]),
                    expected);
        gr_graph_free(g);
    }
}
END_TEST

START_TEST(global_pools_take_whole_planes)
{
    const double x[6] = {1, 2, 6, -1, 4, 3}, mean[2] = {3, 2}, most[2] = {6, 4};
    gr_graph *g = gr_graph_new();
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(1, 2, 3, 1), x);
    check_close("mean", gr_global_avg_pool(t), GR_SHAPE(1, 2, 1, 1), mean);
    check_close("max", gr_global_max_pool(t), GR_SHAPE(1, 2, 1, 1), most);
    gr_graph_free(g);
}
END_TEST

/* --- patches --- */

typedef struct patch_case {
    int64_t x[4], oh, ow;
    gr_unfold_options o;
} patch_case;

static const patch_case patches[] = {
    {{2, 3, 5, 6}, 3, 5, {.kernel = {3, 2}}},
    {{1, 2, 7, 6}, 4, 7, {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}}},
    {{2, 1, 8, 9},
     5,
     4,
     {.kernel = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .padding = {0, 1}}},
    {{1, 1, 2, 2}, 5, 5, {.kernel = {2, 2}, .padding = {2, 2}}},
};

static int at_least_one(int option)
{
    return option ? option : 1;
}

/* Element (row, column) of the columns of image n comes from the returned element of x, or -1. */
static int64_t source(const patch_case *c, int64_t n, int64_t row, int64_t column)
{
    int64_t q = row % c->o.kernel[1], p = row / c->o.kernel[1] % c->o.kernel[0];
    int64_t channel = row / c->o.kernel[1] / c->o.kernel[0];
    int64_t r = column / c->ow * at_least_one(c->o.stride[0]) + p * at_least_one(c->o.dilation[0]);
    int64_t s = column % c->ow * at_least_one(c->o.stride[1]) + q * at_least_one(c->o.dilation[1]);
    r -= c->o.padding[0], s -= c->o.padding[1];
    if (r < 0 || s < 0 || r >= c->x[2] || s >= c->x[3]) return -1;
    return ((n * c->x[1] + channel) * c->x[2] + r) * c->x[3] + s;
}

START_TEST(unfold_and_fold_match_plain_loops)
{
    static double columns[MOST], images[MOST];
    for (size_t k = 0; k < 2 * sizeof patches / sizeof *patches; k++) {
        const patch_case *c = &patches[k / 2];
        gr_dtype dtype = k % 2 ? GR_F32 : GR_F64;
        int64_t rows = c->x[1] * c->o.kernel[0] * c->o.kernel[1], l = c->oh * c->ow;
        ck_assert_int_le(c->x[0] * rows * l, MOST);
        memset(images, 0, sizeof images);
        for (int64_t i = 0; i < c->x[0] * rows * l; i++) {
            int64_t from = source(c, i / l / rows, i / l % rows, i % l);
            columns[i] = from < 0 ? 0 : xs[from];
            if (from >= 0) images[from] += xs[i];
        }
        gr_graph *g = gr_graph_new();
        gr_shape xshape = GR_SHAPE(c->x[0], c->x[1], c->x[2], c->x[3]),
                 ys = GR_SHAPE(c->x[0], rows, l);
        check_close("unfold", gr_unfold(values(g, dtype, xshape), c->o), ys, columns);
        check_close("fold", gr_fold(values(g, dtype, ys), c->x[2], c->x[3], c->o), xshape, images);
        gr_graph_free(g);
    }
}
END_TEST

/* --- shuffles --- */

START_TEST(pixel_shuffle_and_its_inverse_move_elements)
{
    enum { N = 2, C = 3, R = 2, H = 3, W = 4 };
    static double expected[MOST];
    for (int n = 0; n < N; n++)
        for (int k = 0; k < C * R * R * H * W; k++) {
            int channel = k / (H * W), i = k / W % H, j = k % W;
            int c = channel / (R * R), p = channel / R % R, q = channel % R;
            int to = ((n * C + c) * H * R + i * R + p) * W * R + j * R + q;
            expected[to] = xs[n * C * R * R * H * W + k];
        }
    gr_graph *g = gr_graph_new();
    gr_tensor *x = values(g, GR_F64, GR_SHAPE(N, C * R * R, H, W)), *y = gr_pixel_shuffle(x, R);
    check_close("shuffle", y, GR_SHAPE(N, C, H * R, W * R), expected);
    check_close("unshuffle", gr_pixel_unshuffle(y, R), *gr_shape_of(x), xs);
    gr_graph_free(g);
}
END_TEST

/* --- local response normalisation --- */

START_TEST(response_norm_matches_plain_loops)
{
    enum { N = 2, C = 5, L = 6 };
    static double expected[MOST];
    for (int size = 1; size <= 7; size++) {
        for (int i = 0; i < N * C * L; i++) {
            int c = i / L % C;
            double sum = 0;
            for (int d = c - size / 2; d <= c + (size - 1) / 2; d++)
                if (d >= 0 && d < C) sum += xs[i + (d - c) * L] * xs[i + (d - c) * L];
            expected[i] = xs[i] / pow(2 + 0.5 * sum / size, 0.6);
        }
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            gr_graph *g = gr_graph_new();
            gr_local_response_norm_options o = {.size = size, .alpha = 0.5, .beta = 0.6, .k = 2};
            gr_tensor *x = values(g, (gr_dtype)dtype, GR_SHAPE(N, C, 2, 3));
            check_close("local_response_norm", gr_local_response_norm(x, o), GR_SHAPE(N, C, 2, 3),
                        expected);
            gr_graph_free(g);
        }
    }
}
END_TEST

/* --- errors --- */

START_TEST(huge_options_are_errors)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 2, 2));
    gr_unfold(x, (gr_unfold_options){.kernel = {1, 1}, .padding = {INT32_MAX, INT32_MAX}});
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "too large"));
    gr_graph_reset(g);
    x = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 2, 2));
    gr_upsample_nearest(x, (gr_upsample_options){.scale = {1e300, 1}});
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "expected a positive size or scale"));
    gr_graph_reset(g);
    x = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 2, 2));
    gr_pixel_unshuffle(x, INT32_MAX);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "does not suit"));
    gr_graph_reset(g);
    x = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 2, 2));
    gr_local_response_norm(x, (gr_local_response_norm_options){.size = INT32_MAX});
    ck_assert_ptr_nonnull(gr_graph_error(g));
    gr_graph_free(g);
}
END_TEST

SUITE("images", setup, NULL, upsampling_doubles_as_documented,
      a_scale_that_is_no_integer_keeps_its_step, a_neighbour_of_weight_zero_is_not_read,
      adaptive_means_match_plain_loops, global_pools_take_whole_planes,
      unfold_and_fold_match_plain_loops, pixel_shuffle_and_its_inverse_move_elements,
      response_norm_matches_plain_loops, huge_options_are_errors)
