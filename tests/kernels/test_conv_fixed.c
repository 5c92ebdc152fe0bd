/* test_conv_fixed.c - Winograd's algorithm in integers of 16 bits: it errs less than bfloat16. */
/* SPDX-License-Identifier: MIT */
#include "conv_data.h"

#include <stdio.h>

/* --- cases --- */

typedef struct conv_case {
    const char *name;
    int batch, in, out;
    axis h, w;
} conv_case;

static const conv_case cases[] = {
    {"tiles of 4", 3, 64, 64, {12, 3, 1, 1, 1}, {9, 3, 1, 1, 1}},
    {"tiles of 2", 5, 50, 64, {2, 3, 1, 1, 1}, {2, 3, 1, 1, 1}},
    {"one pixel", 6, 64, 48, {1, 3, 1, 1, 1}, {1, 3, 1, 1, 1}},
    {"one tile", 1, 64, 64, {2, 3, 1, 1, 1}, {2, 3, 1, 1, 1}},
    {"one tile of 4", 1, 64, 64, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}},
    {"odd numbers of channels", 2, 45, 77, {7, 3, 1, 0, 1}, {6, 3, 1, 2, 1}},
    {"few channels in", 2, 32, 80, {5, 3, 1, 1, 1}, {6, 3, 1, 1, 1}},
    {"few channels out", 2, 90, 33, {5, 3, 1, 1, 1}, {6, 3, 1, 1, 1}},
    {"two pieces", 1, 131, 140, {6, 3, 1, 1, 1}, {5, 3, 1, 1, 1}},
    {"panels", 4, 270, 260, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}},
    {"stride 2", 2, 64, 48, {9, 3, 2, 1, 1}, {10, 3, 2, 0, 1}},
    {"stride 2, odd numbers", 1, 45, 63, {6, 3, 2, 2, 1}, {7, 3, 2, 2, 1}},
    {"blocks of images", 30, 48, 48, {8, 3, 1, 1, 1}, {4, 3, 1, 1, 1}},
};
enum { CASES = sizeof cases / sizeof *cases };

static gr__conv conv_of(const conv_case *c)
{
    return (gr__conv){c->batch, 1, c->in, c->out, axis_of(&c->h), axis_of(&c->w)};
}

static gr__winograd plan_of(const gr__conv *c, gr__conv_kind kind)
{
    gr__conv_job job = gr__conv_plan(c, kind, GR_F32);
    gr__conv_round(&job);
    return job.winograd;
}

/* --- which way --- */

START_TEST(integers_are_for_many_channels)
{
    const bool there = gr__fixed() != NULL;
    int panels[2][2] = {{0}};
    for (int k = 0; k < CASES; k++)
        for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
            gr__conv c = conv_of(&cases[k]);
            const gr__winograd w = plan_of(&c, (gr__conv_kind)kind);
            const bool expected = there && w.tile;
            ck_assert_msg(w.fixed == expected, "%s, %s: expected %d, got %d", cases[k].name,
                          kind_names[kind], expected, w.fixed);
            panels[kind == GR__CONV_WEIGHT_GRAD][w.by_panels] += w.fixed;
        }
    for (int i = 0; i < 4; i++) ck_assert(!there || panels[i / 2][i % 2] > 0);
    const gr__conv_axis a = gr__conv_axis_of(8, 3, 1, 1, 1, 1);
    ck_assert(!plan_of(&(gr__conv){2, 1, 16, 16, a, a}, GR__CONV_FORWARD).fixed);
    ck_assert(!plan_of(&(gr__conv){2, 1, 256, 16, a, a}, GR__CONV_FORWARD).fixed);
}
END_TEST

START_TEST(without_the_instructions_nothing_changes)
{
    static const char *const isas[] = {"baseline", "avx2"};
    const gr__conv c = conv_of(&cases[0]);
    data d = data_new(&c, false);
    for (int i = 0; i < 2; i++)
        for (int kind = 0; kind < GR__CONV_KINDS && gr__kernels_force(isas[i]); kind++) {
            float *plain = run_kind(&d, (gr__conv_kind)kind);
            float *asked = run_rounded(&d, (gr__conv_kind)kind);
            ck_assert_msg(memcmp(plain, asked, (size_t)d.n[result[kind]] * sizeof *plain) == 0,
                          "%s: other bits of %s", isas[i], kind_names[kind]);
            free(plain), free(asked);
        }
    gr__kernels_force(NULL);
    data_free(&d);
}
END_TEST

/* --- errors, compared with those of operands rounded to bfloat16 --- */

static float to_bfloat16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The results of rounded operands, in d->sizes. */
static void add_rounded(data *d)
{
    data r = data_new(&d->c, false);
    for (int t = 0; t < TENSORS; t++)
        for (int64_t i = 0; i < d->n[t]; i++) r.v[t][i] = to_bfloat16(d->v[t][i]);
    add_all(&r);
    for (int t = 0; t < TENSORS; t++)
        memcpy(d->sizes[t], r.exact[t], (size_t)d->n[t] * sizeof(double));
    data_free(&r);
}

static void check_errors(data *d, const char *name, const char *numbers)
{
    add_all(d);
    add_rounded(d);
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        const int t = result[kind];
        float *got = run_rounded(d, (gr__conv_kind)kind);
        double error = 0, allowed = 0;
        for (int64_t i = 0; i < d->n[t]; i++) {
            error += pow(got[i] - d->exact[t][i], 2);
            allowed += pow(d->sizes[t][i] - d->exact[t][i], 2);
        }
        ck_assert_msg(error <= allowed && allowed > 0,
                      "%s, %s: %s: expected an error of at most %g, got %g", name, numbers,
                      kind_names[kind], sqrt(allowed), sqrt(error));
        free(got);
    }
}

START_TEST(errors_are_below_those_of_bfloat16)
{
    for (int k = 0; k < CASES; k++) {
        const gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        check_errors(&d, cases[k].name, "uniform");
        data_free(&d);
    }
}
END_TEST

/* What element i of n is multiplied with or becomes; `row` elements make a channel. */
typedef float numbers_fn(float x, int64_t i, int64_t row);

static float rectified(float x, int64_t i, int64_t row)
{
    (void)i, (void)row;
    return x > 0 ? x : 0;
}

static float sparse(float x, int64_t i, int64_t row)
{
    (void)row;
    return i % 19 ? 0 : x;
}

static float smooth(float x, int64_t i, int64_t row)
{
    return (float)sin((double)(i / row)) + 0.1F * x;
}

/* Tails as heavy as those of 1 / x^2. */
static float heavy(float x, int64_t i, int64_t row)
{
    (void)i, (void)row;
    return x / (0.01F + x * x);
}

/* One in 200 is a hundred times as large. */
static float few_large(float x, int64_t i, int64_t row)
{
    (void)row;
    return i % 200 == 7 ? 100 * x : x;
}

static float uneven_channels(float x, int64_t i, int64_t row)
{
    return x * (float)exp2(5 * sin(2.3 * (double)(i / row)));
}

static float off_zero(float x, int64_t i, int64_t row)
{
    (void)i, (void)row;
    return 4 + x;
}

START_TEST(errors_are_below_those_of_bfloat16_on_other_numbers)
{
    static const struct {
        const char *name;
        numbers_fn *of;
    } numbers[] = {{"rectified", rectified}, {"sparse", sparse},
                   {"smooth", smooth},       {"heavy tails", heavy},
                   {"few large", few_large}, {"uneven channels", uneven_channels},
                   {"off zero", off_zero}};
    const gr__conv c = conv_of(&cases[0]);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        for (int both = 0; both < 2; both++) { /* of x, then of x and dy */
            data d = data_new(&c, false);
            for (int t = X; t <= Y; t += Y - X)
                for (int64_t i = 0; i < d.n[t] && (t == X || both); i++) {
                    const gr__conv_axis *h = &c.h, *w = &c.w;
                    d.v[t][i] = numbers[k].of(d.v[t][i], i,
                                              t == X ? h->in * w->in : h->out * w->out);
                }
            check_errors(&d, cases[0].name, numbers[k].name);
            data_free(&d);
        }
}
END_TEST

START_TEST(small_and_large_numbers_are_as_exact)
{
    static const float sizes[] = {1e-34F, 1e-30F, 1e-20F, 1e20F, 1e30F};
    for (int k = 0; k < 2; k++)
        for (int t = 0; t < TENSORS; t++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                const gr__conv c = conv_of(&cases[k]);
                data d = data_new(&c, false);
                for (int64_t i = 0; i < d.n[t]; i++) d.v[t][i] *= sizes[s];
                char numbers[32];
                snprintf(numbers, sizeof numbers, "%g in %d", (double)sizes[s], t);
                check_errors(&d, cases[k].name, numbers);
                data_free(&d);
            }
}
END_TEST

/* Cauchy's inequality is an equation here: x and w are the same all along the channels. Their signs
 * may alternate in the plane; of all channels one alone may not be 0. */
static void check_largest(bool alternating, bool alone)
{
    const gr__conv_axis a = gr__conv_axis_of(8, 3, 1, 0, 0, 1);
    const gr__conv c = {2, 1, 600, 48, a, a};
    const double expected = -0.75 * 9 * (alone ? 1 : 600);
    data d = data_new(&c, false);
    for (int64_t i = 0; i < d.n[X]; i++)
        d.v[X][i] = alone && i / 64 % 600 != 5 ? 0 : alternating && (i / 8 + i) % 2 ? -3 : 3;
    for (int64_t i = 0; i < d.n[W]; i++)
        d.v[W][i] = alone && i / 9 % 600 != 5 ? 0 : alternating && i % 9 % 2 ? 0.25F : -0.25F;
    float *y = run_rounded(&d, GR__CONV_FORWARD);
    for (int64_t i = 0; i < d.n[Y]; i++) {
        const double there = alternating && (i / 6 + i) % 2 ? -expected : expected;
        ck_assert_msg(fabs(y[i] - there) <= 1e-3 * fabs(there), "y[%lld]: expected %g, got %g",
                      (long long)i, there, (double)y[i]);
    }
    free(y);
    data_free(&d);
}

START_TEST(the_largest_sums_do_not_overflow)
{
    for (int i = 0; i < 4; i++) check_largest(i % 2, i / 2);
}
END_TEST

/* --- zeros, Inf and NaN --- */

static void check_zeros(const data *d, int zero)
{
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        if (operand[kind][0] != zero && operand[kind][1] != zero) continue;
        float *got = run_rounded(d, (gr__conv_kind)kind);
        for (int64_t i = 0; i < d->n[result[kind]]; i++)
            ck_assert_msg(got[i] == 0, "%s[%lld]: expected 0, got %g", kind_names[kind],
                          (long long)i, (double)got[i]);
        free(got);
    }
}

START_TEST(zeros_give_zeros)
{
    for (int k = 0; k < CASES; k++)
        for (int t = 0; t < TENSORS; t++) {
            const gr__conv c = conv_of(&cases[k]);
            data d = data_new(&c, false);
            memset(d.v[t], 0, (size_t)d.n[t] * sizeof(float));
            check_zeros(&d, t);
            data_free(&d);
        }
}
END_TEST

START_TEST(odd_values_reach_what_they_should_and_nothing_else)
{
    for (int k = 0; k < CASES; k++) {
        const gr__conv c = conv_of(&cases[k]);
        if (c.in > 100) continue;
        data d = data_new(&c, false);
        for (int t = 0; t < TENSORS; t++) {
            check_odd(run_rounded, &d, t, 0, INFINITY);
            check_odd(run_rounded, &d, t, d.n[t] / 2, NAN);
            check_odd(run_rounded, &d, t, d.n[t] - 1, -INFINITY);
        }
        data_free(&d);
    }
}
END_TEST

/* --- bits --- */

START_TEST(bits_do_not_depend_on_threads)
{
    for (int k = 0; k < CASES; k++) {
        const gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
            gr_set_threads(1);
            float *one = run_rounded(&d, (gr__conv_kind)kind);
            for (int threads = 2; threads <= 3; threads++) {
                gr_set_threads(threads);
                float *many = run_rounded(&d, (gr__conv_kind)kind);
                ck_assert_msg(memcmp(one, many, (size_t)d.n[result[kind]] * sizeof *one) == 0,
                              "%s: %s with %d threads", cases[k].name, kind_names[kind], threads);
                free(many);
            }
            free(one);
        }
        data_free(&d);
    }
    gr_set_threads(1);
}
END_TEST

/* Images beyond those whose tiles are kept at a time; each alone gives the same. */
START_TEST(rounds_of_images_make_one_sum)
{
    const gr__conv_axis a = gr__conv_axis_of(2, 3, 1, 1, 1, 1);
    const gr__conv c = {1100, 1, 372, 370, a, a};
    data d = data_new(&c, false);
    for (int kind = 0; kind < GR__CONV_KINDS; kind++) {
        const gr__winograd w = plan_of(&c, (gr__conv_kind)kind);
        ck_assert_msg(!w.fixed || w.round < w.blocks, "%s: one round of %lld", kind_names[kind],
                      (long long)w.blocks);
        float *got = run_rounded(&d, (gr__conv_kind)kind);
        float *plain = run_kind(&d, (gr__conv_kind)kind);
        double error = 0, size = 0;
        for (int64_t i = 0; i < d.n[result[kind]]; i++) {
            error += pow((double)got[i] - (double)plain[i], 2);
            size += pow((double)plain[i], 2);
        }
        ck_assert_msg(error <= 1e-6 * size, "%s: expected a relative error below 1e-3, got %g",
                      kind_names[kind], sqrt(error / size));
        free(got), free(plain);
    }
    data_free(&d);
}
END_TEST

SUITE("kernels/conv_fixed", NULL, NULL, integers_are_for_many_channels,
      without_the_instructions_nothing_changes, errors_are_below_those_of_bfloat16,
      errors_are_below_those_of_bfloat16_on_other_numbers, small_and_large_numbers_are_as_exact,
      the_largest_sums_do_not_overflow, zeros_give_zeros,
      odd_values_reach_what_they_should_and_nothing_else, bits_do_not_depend_on_threads,
      rounds_of_images_make_one_sum)
