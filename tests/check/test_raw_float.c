/* test_raw_float.c - verdicts over a user's own functions in float32: what noise hides, and what not. */
/* SPDX-License-Identifier: MIT */
#include "raw_report.h"
#include "suite.h"

#include <math.h>

/* --- a layer, right or with a mistake --- */

typedef struct single {
    double factor, offset; /* of the gradient; of y */
} single;

enum { ROWS = 8, DEPTH = 12, WIDTH = 6 };

/* y = tanh(x w) + offset */
static void tanh_forward(const void *const *in, void *out, void *user)
{
    const float *x = in[0], *w = in[1];
    const single *s = user;
    float *y = out;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < WIDTH; j++) {
            float z = 0;
            for (int k = 0; k < DEPTH; k++) z += x[i * DEPTH + k] * w[k * WIDTH + j];
            y[i * WIDTH + j] = tanhf(z) + (float)s->offset;
        }
}

static void tanh_backward(const void *const *in, const void *out, const void *cotangent,
                          void *const *gradients, void *user)
{
    const float *x = in[0], *w = in[1], *y = out, *dy = cotangent;
    const single *s = user;
    float *dx = gradients[0], *dw = gradients[1];
    memset(dx, 0, ROWS * DEPTH * sizeof *dx);
    memset(dw, 0, DEPTH * WIDTH * sizeof *dw);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < WIDTH; j++) {
            float t = y[i * WIDTH + j] - (float)s->offset;
            float dz = dy[i * WIDTH + j] * (1 - t * t) * (float)s->factor;
            for (int k = 0; k < DEPTH; k++) {
                dx[i * DEPTH + k] += dz * w[k * WIDTH + j];
                dw[k * WIDTH + j] += dz * x[i * DEPTH + k];
            }
        }
}

static gr_raw float_layer(single *s)
{
    return (gr_raw){"tanh layer",
                    tanh_forward,
                    tanh_backward,
                    {{"x", .n = ROWS * DEPTH}, {"w", .n = DEPTH * WIDTH}},
                    .out = ROWS * WIDTH,
                    .float32 = true,
                    .user = s};
}

START_TEST(a_right_float_layer_passes)
{
    single s = {1, 0};
    gr_raw raw = float_layer(&s);
    int inconclusive = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        gr_verdict got = check_seed(&raw, seed);
        ck_assert_msg(got != GR_FAIL, "seed %d: %s", (int)seed, report.message);
        inconclusive += got == GR_INCONCLUSIVE;
    }
    ck_assert_int_le(inconclusive, 1);
}
END_TEST

START_TEST(a_wrong_float_layer_fails)
{
    static const double factors[] = {-1, 0, 0.5, 2, 1.05, 0.99, 1.003};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            single s = {factors[i], 0};
            gr_raw raw = float_layer(&s);
            gr_verdict got = check_seed(&raw, seed);
            ck_assert_msg(got == GR_FAIL, "factor %g, seed %d: %s %s", factors[i], (int)seed,
                          gr_verdict_name(got), report.message);
        }
}
END_TEST

START_TEST(gross_errors_show_under_noise)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        single s = {-1, 1000};
        gr_raw raw = float_layer(&s);
        EXPECT(&raw, seed, GR_FAIL);
        s.factor = 1;
        EXPECT(&raw, seed, GR_INCONCLUSIVE);
    }
}
END_TEST

START_TEST(what_float32_hides_is_inconclusive)
{
    static const double factors[] = {1, 0, -1, 100};
    for (size_t i = 0; i < 4; i++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            single s = {factors[i], 1e6};
            gr_raw raw = float_layer(&s);
            gr_verdict got = check_seed(&raw, seed);
            ck_assert_msg(got != GR_PASS, "factor %g: %s", factors[i], report.message);
            if (factors[i] == 1) ck_assert_msg(got == GR_INCONCLUSIVE, "%s", report.message);
        }
}
END_TEST

/* --- kinks --- */

enum { SIZE = 6 };

static void hinge_forward(const void *const *in, void *out, void *user)
{
    const float *x = in[0];
    float *y = out;
    (void)user;
    for (int i = 0; i < SIZE; i++) y[i] = x[i] > 0 ? 3 * x[i] : x[i];
}

static void hinge_backward(const void *const *in, const void *out, const void *cotangent,
                           void *const *gradients, void *user)
{
    const float *x = in[0], *dy = cotangent, factor = *(const float *)user;
    float *dx = gradients[0];
    (void)out;
    for (int i = 0; i < SIZE; i++) dx[i] = (x[i] > 0 ? 3 : 1) * dy[i] * factor;
}

START_TEST(kinks_in_float32_are_no_false_alarm)
{
    static const float zeros[SIZE];
    float factor = 1;
    gr_raw raw = {"hinge",     hinge_forward,   hinge_backward, {{"x", .n = SIZE}},
                  .out = SIZE, .float32 = true, .user = &factor};
    int passed = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        ck_assert_msg(check_seed(&raw, seed) != GR_FAIL, "%s", report.message);
        passed += report.verdict == GR_PASS;
    }
    ck_assert_int_ge(passed, 90);
    raw.in[0].at = zeros;
    ck_assert_msg(check_seed(&raw, 1) != GR_FAIL, "%s", report.message);
    raw.in[0].at = NULL;
    factor = 1.5f;
    for (uint64_t seed = 0; seed < 20; seed++)
        ck_assert_msg(check_seed(&raw, seed) != GR_PASS, "%s", report.message);
}
END_TEST

SUITE("raw, float32", NULL, NULL, a_right_float_layer_passes, a_wrong_float_layer_fails,
      gross_errors_show_under_noise, what_float32_hides_is_inconclusive,
      kinks_in_float32_are_no_false_alarm)
