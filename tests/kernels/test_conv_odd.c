/* test_conv_odd.c - Inf, NaN and large numbers: as in float64, which goes the direct way. */
/* SPDX-License-Identifier: MIT */
#include "conv_case.h"
#include "suite.h"

static void check_odd_values(void)
{
    for (int k = 0; k < CASES; k++) {
        if (cases[k].h.in > 13 || cases[k].in > 50 || !cases[k].winograd[GR__CONV_FORWARD])
            continue;
        gr__conv c = conv_of(&cases[k]);
        data d = data_new(&c, false);
        for (int t = 0; t < TENSORS; t++) {
            check_odd(run_kind, &d, t, 0, INFINITY);
            check_odd(run_kind, &d, t, d.n[t] / 2, NAN);
            check_odd(run_kind, &d, t, d.n[t] - 1, -INFINITY);
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

SUITE("kernels/conv_odd", NULL, NULL, odd_values_reach_what_they_should_and_nothing_else,
      odd_values_stay_in_their_image, numbers_near_the_largest_do_not_overflow_on_the_way)
