/* test_conv.c - the ways to do a convolution in float32 against plain loops in float64. */
/* SPDX-License-Identifier: MIT */
#include "conv_case.h"
#include "suite.h"

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

SUITE("kernels/conv", NULL, NULL, winograd_is_for_3x3_of_many_channels_in_float32,
      many_small_images_lie_in_lanes, small_images_get_small_tiles, values_match_plain_loops,
      doubles_match_plain_loops, a_bias_is_added_to_each_channel, rounds_of_images_make_one_sum,
      bits_do_not_depend_on_threads)
