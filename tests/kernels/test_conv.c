/* test_conv.c - the ways to do a convolution in float32 against plain loops in float64. */
/* SPDX-License-Identifier: MIT */
#include "conv.h"
#include "kernels.h"
#include "suite.h"

#include <math.h>
#include <string.h>

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };
static const char *const kind_names[GR__CONV_KINDS] = {"y", "dx", "dw"};

/* --- cases --- */

typedef struct axis {
    int in, taps, stride, padding, dilation;
} axis;

typedef struct conv_case {
    const char *name;
    int batch, groups, in, out; /* channels are those of one group */
    axis h, w;
    bool winograd[GR__CONV_KINDS], lanes[GR__CONV_KINDS];
} conv_case;

#define ALL              \
    {                    \
        true, true, true \
    }
#define NOT_DX            \
    {                     \
        true, false, true \
    }
#define NONE                \
    {                       \
        false, false, false \
    }

static const conv_case cases[] = {
    {"padding 1", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {11, 3, 1, 1, 1}, ALL, NONE},
    {"no padding", 3, 1, 16, 32, {10, 3, 1, 0, 1}, {7, 3, 1, 0, 1}, ALL, NONE},
    {"padding 2", 1, 1, 13, 14, {6, 3, 1, 2, 1}, {5, 3, 1, 2, 1}, ALL, NONE},
    {"padding 0 and 2", 2, 1, 24, 30, {8, 3, 1, 0, 1}, {9, 3, 1, 2, 1}, ALL, NONE},
    {"padding 2 and 1", 1, 1, 45, 12, {23, 3, 1, 2, 1}, {5, 3, 1, 1, 1}, ALL, NONE},
    {"tiles of four", 9, 1, 31, 47, {2, 3, 1, 1, 1}, {2, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel", 5, 1, 14, 13, {1, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel of result", 5, 1, 14, 13, {3, 3, 1, 0, 1}, {3, 3, 1, 0, 1}, ALL, NONE},
    {"a row", 2, 1, 16, 16, {1, 3, 1, 1, 1}, {37, 3, 1, 1, 1}, ALL, NONE},
    {"a column", 2, 1, 16, 16, {37, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of images", 40, 1, 32, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of rows", 1, 1, 16, 16, {66, 3, 1, 1, 1}, {70, 3, 1, 1, 1}, ALL, NONE},
    {"panels", 3, 1, 180, 200, {5, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"panels of dw alone", 4, 1, 100, 90, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"stride 2", 2, 1, 16, 24, {13, 3, 2, 1, 1}, {10, 3, 2, 0, 1}, NOT_DX, NONE},
    {"stride 2, padding 2", 3, 1, 30, 13, {6, 3, 2, 2, 1}, {7, 3, 2, 2, 1}, ALL, NONE},
    {"stride 2, one row", 2, 1, 16, 16, {1, 3, 2, 1, 1}, {19, 3, 2, 1, 1}, NOT_DX, NONE},
    {"stride 2, panels", 9, 1, 330, 360, {5, 3, 2, 1, 1}, {4, 3, 2, 1, 1}, ALL, NONE},
    {"one tile", 1, 1, 32, 32, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, {false, false, true}, NONE},
    {"few channels", 2, 1, 3, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"lanes half empty", 2, 1, 17, 17, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"padding 3", 2, 1, 16, 16, {6, 3, 1, 3, 1}, {6, 3, 1, 1, 1}, NONE, NONE},
    {"stride", 2, 1, 16, 16, {9, 3, 2, 1, 1}, {9, 3, 1, 1, 1}, NONE, NONE},
    {"dilation", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {9, 3, 1, 1, 2}, NONE, NONE},
    {"groups", 2, 2, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"other taps", 2, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 5, 1, 2, 1}, NONE, NONE},
    {"no images", 0, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"only padding", 2, 1, 16, 16, {0, 3, 1, 2, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"stride 2, wide rows", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {75, 3, 2, 1, 1}, NONE, NONE},
    {"stride 2, a vector", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {32, 2, 2, 0, 1}, NONE, NONE},
    {"stride 2, and one more", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {34, 2, 2, 0, 1}, NONE, NONE},
    {"many images", 48, 1, 2, 3, {9, 5, 1, 2, 1}, {7, 5, 1, 2, 1}, NONE, ALL},
    {"a group not full", 57, 1, 6, 9, {8, 5, 1, 0, 1}, {6, 3, 1, 0, 1}, NONE, ALL},
    {"many images, dilation", 48, 2, 3, 2, {9, 3, 1, 2, 2}, {8, 2, 1, 1, 3}, NONE, ALL},
    {"many images, far taps", 48, 1, 2, 2, {2, 5, 1, 4, 2}, {3, 3, 1, 1, 1}, NONE, ALL},
    {"many images, padding 3", 48, 1, 2, 2, {4, 3, 1, 3, 1}, {5, 3, 1, 1, 1}, NONE, NOT_DX},
    {"many images, 1x1", 48, 1, 5, 11, {5, 1, 1, 0, 1}, {4, 1, 1, 0, 1}, NONE, ALL},
    {"chunks of groups", 275, 1, 2, 3, {3, 2, 1, 0, 1}, {3, 2, 1, 1, 1}, NONE, ALL},
    {"many images, stride", 48, 1, 2, 2, {9, 3, 2, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"two groups of images", 32, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"a group near empty", 50, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"large images", 48, 1, 2, 2, {90, 3, 1, 1, 1}, {40, 3, 1, 1, 1}, NONE, NONE},
};
enum { CASES = sizeof cases / sizeof *cases };

static gr__conv_axis axis_of(const axis *a)
{
    return gr__conv_axis_of(a->in, a->taps, a->stride, a->padding, a->padding, a->dilation);
}

static gr__conv conv_of(const conv_case *c)
{
    return (gr__conv){c->batch, c->groups, c->in, c->out, axis_of(&c->h), axis_of(&c->w)};
}

/* --- numbers --- */

static uint64_t state;

static float uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int64_t)(state >> 11) / (double)((int64_t)1 << 52) - 1);
}

/* Of x, w, y: operands in float32, and exact results with the sums of their terms' sizes. */
enum { X, W, Y, TENSORS };
static const int operand[GR__CONV_KINDS][2] = {{X, W}, {Y, W}, {X, Y}};
static const int result[GR__CONV_KINDS] = {Y, X, W};

typedef struct data {
    gr__conv c;
    int64_t n[TENSORS];
    float *v[TENSORS];
    double *exact[TENSORS], *sizes[TENSORS];
} data;

static void add_product(data *d, int64_t x, int64_t w, int64_t y)
{
    const double vx = d->v[X][x], vw = d->v[W][w], vy = d->v[Y][y];
    d->exact[Y][y] += vx * vw, d->sizes[Y][y] += fabs(vx * vw);
    d->exact[X][x] += vy * vw, d->sizes[X][x] += fabs(vy * vw);
    d->exact[W][w] += vx * vy, d->sizes[W][w] += fabs(vx * vy);
}

/* All taps of all channels of y at (i, j) of image n, channel o. */
static void add_taps(data *d, int64_t n, int64_t o, int64_t i, int64_t j, int64_t y)
{
    const gr__conv *c = &d->c;
    for (int64_t k = 0; k < c->in; k++)
        for (int64_t p = 0; p < c->h.taps; p++)
            for (int64_t q = 0; q < c->w.taps; q++) {
                int64_t row = i * c->h.stride + p * c->h.dilation - c->h.padding;
                int64_t column = j * c->w.stride + q * c->w.dilation - c->w.padding;
                if (row < 0 || row >= c->h.in || column < 0 || column >= c->w.in) continue;
                int64_t channel = (n * c->groups + o / c->out) * c->in + k;
                add_product(d, (channel * c->h.in + row) * c->w.in + column,
                            ((o * c->in + k) * c->h.taps + p) * c->w.taps + q, y);
            }
}

static void add_all(data *d)
{
    int64_t y = 0;
    for (int64_t n = 0; n < d->c.batch; n++)
        for (int64_t o = 0; o < d->c.groups * d->c.out; o++)
            for (int64_t i = 0; i < d->c.h.out; i++)
                for (int64_t j = 0; j < d->c.w.out; j++) add_taps(d, n, o, i, j, y++);
}

static data data_new(const gr__conv *c, bool plain_loops)
{
    data d = {.c = *c};
    d.n[X] = c->batch * c->groups * c->in * c->h.in * c->w.in;
    d.n[W] = c->groups * c->out * c->in * c->h.taps * c->w.taps;
    d.n[Y] = c->batch * c->groups * c->out * c->h.out * c->w.out;
    state = 1;
    for (int t = 0; t < TENSORS; t++) {
        size_t n = (size_t)d.n[t];
        d.v[t] = malloc(n * sizeof *d.v[t] + 1);
        d.exact[t] = calloc(n + 1, sizeof(double));
        d.sizes[t] = calloc(n + 1, sizeof(double));
        for (size_t i = 0; i < n; i++) d.v[t][i] = uniform();
    }
    if (plain_loops) add_all(&d);
    return d;
}

static void data_free(data *d)
{
    for (int t = 0; t < TENSORS; t++) free(d->v[t]), free(d->exact[t]), free(d->sizes[t]);
}

/* --- running --- */

/* Scratch and result are full of NaN before; free() the result. */
static void *run(const gr__conv *c, gr__conv_kind kind, gr_dtype dtype, const void *a,
                 const void *b, const void *bias, int64_t n)
{
    gr__conv_job job = gr__conv_plan(c, kind, dtype);
    size_t result_bytes = (size_t)n * gr_dtype_size(dtype);
    void *y = malloc(result_bytes + 1);
    for (bool done = false; !done;) {
        size_t bytes = gr__conv_scratch(&job);
        void *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
        memset(scratch, 0xff, bytes);
        memset(y, 0xff, result_bytes);
        done = gr__conv_run(&job, a, b, bias, y, scratch);
        free(scratch);
    }
    return y;
}

static float *run_kind(const data *d, gr__conv_kind kind)
{
    return run(&d->c, kind, GR_F32, d->v[operand[kind][0]], d->v[operand[kind][1]], NULL,
               d->n[result[kind]]);
}

static void with_every_isa(void (*check)(void))
{
    for (int i = 0; i < ISAS; i++)
        if (gr__kernels_force(isas[i])) check();
    gr__kernels_force(NULL);
}

/* --- which way --- */

START_TEST(winograd_is_for_3x3_of_many_channels_in_float32)
{
    for (int k = 0; k < CASES; k++)
        for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
            gr__conv c = conv_of(&cases[k]);
            bool single = gr__conv_plan(&c, (gr__conv_kind)kind, GR_F32).winograd.tile != 0;
            bool twice = gr__conv_plan(&c, (gr__conv_kind)kind, GR_F64).winograd.tile != 0;
            ck_assert_msg(single == cases[k].winograd[kind] && !twice,
                          "%s, %s: expected %d and 0, got %d and %d", cases[k].name,
                          kind_names[kind], cases[k].winograd[kind], single, twice);
        }
}
END_TEST

START_TEST(many_small_images_lie_in_lanes)
{
    for (int k = 0; k < CASES; k++)
        for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
            gr__conv c = conv_of(&cases[k]);
            bool got = gr__conv_plan(&c, (gr__conv_kind)kind, GR_F32).in_lanes;
            ck_assert_msg(got == cases[k].lanes[kind], "%s, %s: expected %d, got %d", cases[k].name,
                          kind_names[kind], cases[k].lanes[kind], got);
        }
}
END_TEST

START_TEST(small_images_get_small_tiles)
{
    static const int sizes[][2] = {{1, 2}, {2, 2}, {3, 4}, {4, 4}, {7, 4}, {32, 4}};
    for (int i = 0; i < 6; i++) {
        gr__conv_axis a = gr__conv_axis_of(sizes[i][0], 3, 1, 1, 1, 1);
        gr__conv c = {8, 1, 64, 64, a, a};
        gr__conv_job job = gr__conv_plan(&c, GR__CONV_FORWARD, GR_F32);
        ck_assert_msg(job.winograd.tile == sizes[i][1], "%d: expected %d, got %lld", sizes[i][0],
                      sizes[i][1], (long long)job.winograd.tile);
    }
}
END_TEST

/* --- values --- */

/* The bound that conv_winograd.c states; other ways are well within it. */
static void check_values(const data *d, const char *name, gr__conv_kind kind, const float *got)
{
    const int t = result[kind];
    double most = 0;
    for (int64_t i = 0; i < d->n[t]; i++) most = fmax(most, d->sizes[t][i]);
    for (int64_t i = 0; i < d->n[t]; i++)
        if (!(fabs(got[i] - d->exact[t][i]) <= 1e-6 * most))
            ck_abort_msg("%s (%s): %s[%lld]: expected %.9g, got %.9g, sum of sizes %g", name,
                         gr__isa_name(), kind_names[kind], (long long)i, d->exact[t][i], got[i],
                         most);
}

START_TEST(values_match_plain_loops)
{
    for (int k = 0; k < CASES; k++) {
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, true);
        for (int i = 0; i < ISAS; i++) {
            if (!gr__kernels_force(isas[i])) continue;
            for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
                float *got = run_kind(&d, (gr__conv_kind)kind);
                check_values(&d, cases[k].name, (gr__conv_kind)kind, got);
                free(got);
            }
        }
        data_free(&d);
    }
    gr__kernels_force(NULL);
}
END_TEST

static double *doubled(const float *v, int64_t n)
{
    double *d = malloc((size_t)n * sizeof *d + 1);
    for (int64_t i = 0; i < n; i++) d[i] = v[i];
    return d;
}

/* All kinds in float64, whose sums are exact but for 1e-14 of what is added. */
static void check_doubles(const data *d, const char *name, double *const *of)
{
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        const int t = result[kind];
        double *got = run(&d->c, (gr__conv_kind)kind, GR_F64, of[operand[kind][0]],
                          of[operand[kind][1]], NULL, d->n[t]);
        for (int64_t i = 0; i < d->n[t]; i++)
            if (!(fabs(got[i] - d->exact[t][i]) <= 1e-14 * d->sizes[t][i]))
                ck_abort_msg("%s (%s): %s[%lld]: expected %.17g, got %.17g", name, gr__isa_name(),
                             kind_names[kind], (long long)i, d->exact[t][i], got[i]);
        free(got);
    }
}

START_TEST(doubles_match_plain_loops)
{
    for (int k = 0; k < CASES; k++) {
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, true);
        double *of[TENSORS];
        for (int t = 0; t < TENSORS; t++) of[t] = doubled(d.v[t], d.n[t]);
        for (int i = 0; i < ISAS; i++)
            if (gr__kernels_force(isas[i])) check_doubles(&d, cases[k].name, of);
        for (int t = 0; t < TENSORS; t++) free(of[t]);
        data_free(&d);
    }
    gr__kernels_force(NULL);
}
END_TEST

enum { BIASES = 48 };

static void check_bias(const conv_case *k, const float *bias)
{
    gr__conv c = conv_of(k);
    data d = data_new(&c, false);
    float *plain = run_kind(&d, GR__CONV_FORWARD);
    float *got = run(&c, GR__CONV_FORWARD, GR_F32, d.v[X], d.v[W], bias, d.n[Y]);
    for (int64_t i = 0, image = c.h.out * c.w.out; i < d.n[Y]; i++) {
        const float expected = plain[i] + bias[i / image % (c.groups * c.out)];
        ck_assert_msg(got[i] == expected, "%s: %lld: expected %.9g, got %.9g", k->name,
                      (long long)i, expected, got[i]);
    }
    free(plain), free(got);
    data_free(&d);
}

START_TEST(a_bias_is_added_to_each_channel)
{
    float bias[BIASES];
    for (int i = 0; i < BIASES; i++) bias[i] = uniform();
    for (int k = 0; k < CASES; k++)
        if (cases[k].groups * cases[k].out <= BIASES) check_bias(&cases[k], bias);
}
END_TEST

/* --- images beyond those whose tiles are kept at a time --- */

START_TEST(rounds_of_images_make_one_sum)
{
    gr__conv_axis a = gr__conv_axis_of(2, 3, 1, 1, 1, 1);
    gr__conv c = {1100, 1, 264, 256, a, a};
    data d = data_new(&c, false);
    double *of[TENSORS];
    for (int t = 0; t < TENSORS; t++) of[t] = doubled(d.v[t], d.n[t]);
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        gr__conv_job job = gr__conv_plan(&c, (gr__conv_kind)kind, GR_F32);
        ck_assert_int_lt(job.winograd.round, job.winograd.blocks);
        const int t = result[kind];
        double *exact = run(&c, (gr__conv_kind)kind, GR_F64, of[operand[kind][0]],
                            of[operand[kind][1]], NULL, d.n[t]);
        memcpy(d.exact[t], exact, (size_t)d.n[t] * sizeof *exact);
        for (int64_t i = 0; i < d.n[t]; i++)
            d.sizes[t][i] = kind == GR__CONV_WEIGHT_GRAD ? 700 : 250;
        float *got = run_kind(&d, (gr__conv_kind)kind);
        check_values(&d, "rounds", (gr__conv_kind)kind, got);
        free(got), free(exact);
    }
    for (int t = 0; t < TENSORS; t++) free(of[t]);
    data_free(&d);
}
END_TEST

/* --- threads --- */

START_TEST(bits_do_not_depend_on_threads)
{
    for (int k = 0; k < CASES; k++) {
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
            gr_set_threads(1);
            float *one = run_kind(&d, (gr__conv_kind)kind);
            for (int threads = 2; threads <= 3; threads++) {
                gr_set_threads(threads);
                float *many = run_kind(&d, (gr__conv_kind)kind);
                size_t bytes = (size_t)d.n[result[kind]] * sizeof *one;
                ck_assert_msg(memcmp(one, many, bytes) == 0, "%s: %s with %d threads",
                              cases[k].name, kind_names[kind], threads);
                free(many);
            }
            free(one);
        }
        data_free(&d);
    }
    gr_set_threads(1);
}
END_TEST

/* --- Inf, NaN and large numbers: as in float64, which goes the direct way --- */

static int class_of(double x)
{
    return isnan(x) ? 1 : isinf(x) ? (x > 0 ? 2 : 3) : 0;
}

static void check_odd(data *d, int t, int64_t place, float value)
{
    const float keep = d->v[t][place];
    d->v[t][place] = value;
    double *of[TENSORS];
    for (int i = 0; i < TENSORS; i++) of[i] = doubled(d->v[i], d->n[i]);
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        const int64_t n = d->n[result[kind]];
        double *expected = run(&d->c, (gr__conv_kind)kind, GR_F64, of[operand[kind][0]],
                               of[operand[kind][1]], NULL, n);
        float *got = run_kind(d, (gr__conv_kind)kind);
        for (int64_t i = 0; i < n; i++)
            if (class_of(got[i]) != class_of(expected[i]))
                ck_abort_msg("%g in %s (%s): %s[%lld]: expected %g, got %g", (double)value,
                             (const char *[]){"x", "w", "dy"}[t], gr__isa_name(), kind_names[kind],
                             (long long)i, expected[i], (double)got[i]);
        free(expected), free(got);
    }
    for (int i = 0; i < TENSORS; i++) free(of[i]);
    d->v[t][place] = keep;
}

static void check_odd_values(void)
{
    for (int k = 0; k < CASES; k++) {
        if (cases[k].h.in > 13 || cases[k].in > 50 || !cases[k].winograd[GR__CONV_FORWARD])
            continue;
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        for (int t = 0; t < TENSORS; t++) {
            check_odd(&d, t, 0, INFINITY);
            check_odd(&d, t, d.n[t] / 2, NAN);
            check_odd(&d, t, d.n[t] - 1, -INFINITY);
        }
        data_free(&d);
    }
}

START_TEST(odd_values_reach_what_they_should_and_nothing_else)
{
    with_every_isa(check_odd_values);
}
END_TEST

/* A kind of one image after the other, which do not lie in lanes; dw is their sum. */
static float *one_by_one(const data *d, gr__conv_kind kind)
{
    const int t = result[kind], left = operand[kind][0], right = operand[kind][1];
    float *all = calloc((size_t)d->n[t] + 1, sizeof *all);
    gr__conv c = d->c;
    c.batch = 1;
    for (int64_t n = 0; n < d->c.batch; n++) {
        int64_t step[TENSORS];
        for (int i = 0; i < TENSORS; i++) step[i] = i == W ? 0 : d->n[i] / d->c.batch;
        const int64_t size = t == W ? d->n[W] : step[t];
        float *one = run(&c, kind, GR_F32, d->v[left] + n * step[left],
                         d->v[right] + n * step[right], NULL, size);
        for (int64_t i = 0; i < size; i++) all[n * step[t] + i] += one[i];
        free(one);
    }
    return all;
}

static void check_odd_image(data *d, const char *name, int t, int64_t place, float value)
{
    const float keep = d->v[t][place];
    d->v[t][place] = value;
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        float *expected = one_by_one(d, (gr__conv_kind)kind),
              *got = run_kind(d, (gr__conv_kind)kind);
        for (int64_t i = 0; i < d->n[result[kind]]; i++)
            if (class_of(got[i]) != class_of(expected[i]))
                ck_abort_msg("%s (%s): %s[%lld]: expected %g, got %g", name, gr__isa_name(),
                             kind_names[kind], (long long)i, (double)expected[i], (double)got[i]);
        free(expected), free(got);
    }
    d->v[t][place] = keep;
}

static void check_odd_images(void)
{
    for (int k = 0; k < CASES; k++) {
        if (!cases[k].lanes[GR__CONV_FORWARD]) continue;
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        for (int t = 0; t < TENSORS; t++) {
            check_odd_image(&d, cases[k].name, t, 0, INFINITY);
            check_odd_image(&d, cases[k].name, t, d.n[t] / 2, NAN);
            check_odd_image(&d, cases[k].name, t, d.n[t] - 1, -INFINITY);
        }
        data_free(&d);
    }
}

START_TEST(odd_values_stay_in_their_image)
{
    with_every_isa(check_odd_images);
}
END_TEST

static void check_large_values(void)
{
    gr__conv c = conv_of(&cases[0]);
    data d = data_new(&c, false);
    for (int64_t i = 0; i < d.n[W]; i++) d.v[W][i] = 1e-3F;
    d.v[X][70] = 3e38F;
    float *y = run_kind(&d, GR__CONV_FORWARD);
    int large = 0;
    for (int64_t i = 0; i < d.n[Y]; i++) {
        ck_assert_msg(isfinite(y[i]), "y[%lld]: expected a number, got %g", (long long)i,
                      (double)y[i]);
        large += y[i] > 1e35F;
    }
    ck_assert_int_eq(large, 9 * c.out);
    free(y);
    data_free(&d);
}

START_TEST(numbers_near_the_largest_do_not_overflow_on_the_way)
{
    with_every_isa(check_large_values);
}
END_TEST

SUITE("kernels/conv", NULL, NULL, winograd_is_for_3x3_of_many_channels_in_float32,
      many_small_images_lie_in_lanes, small_images_get_small_tiles, values_match_plain_loops,
      doubles_match_plain_loops, a_bias_is_added_to_each_channel, rounds_of_images_make_one_sum,
      bits_do_not_depend_on_threads, odd_values_reach_what_they_should_and_nothing_else,
      odd_values_stay_in_their_image, numbers_near_the_largest_do_not_overflow_on_the_way)
