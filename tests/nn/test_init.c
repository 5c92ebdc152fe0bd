/* test_init.c - initial values: their distributions and what they depend on. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/nn.h>
#include <math.h>
#include <string.h>

typedef struct moments {
    double mean, deviation, least, most;
    int64_t n;
} moments;

static moments moments_of(const gr_param *p)
{
    moments s = {0, 0, INFINITY, -INFINITY, gr_shape_numel(gr_param_shape(p))};
    const float *x = gr_param_data(p);
    for (int64_t i = 0; i < s.n; i++) {
        double v = (double)x[i];
        s.mean += v / (double)s.n;
        s.least = fmin(s.least, v);
        s.most = fmax(s.most, v);
    }
    for (int64_t i = 0; i < s.n; i++)
        s.deviation += ((double)x[i] - s.mean) * ((double)x[i] - s.mean) / (double)s.n;
    s.deviation = sqrt(s.deviation);
    return s;
}

/* Five standard errors: a right generator fails once in two million such tests. */
static void expect_moments(moments s, double deviation, double kurtosis)
{
    double n = (double)s.n;
    ck_assert_double_lt(fabs(s.mean), 5 * deviation / sqrt(n));
    ck_assert_double_lt(fabs(s.deviation / deviation - 1), 5 * sqrt((kurtosis - 1) / (4 * n)));
}

static void expect_uniform(const gr_param *p, double bound)
{
    moments s = moments_of(p);
    expect_moments(s, bound / sqrt(3), 1.8);
    ck_assert(s.least >= -bound && s.most <= bound);
    ck_assert(s.most > 0.99 * bound && s.least < -0.99 * bound);
}

static gr_param *draw(gr_model *m, gr_shape shape, gr_init init)
{
    gr_module *module = gr_flatten_layer(m);
    return gr_module_param(module, "w", shape, init);
}

START_TEST(layers_start_as_in_pytorch)
{
    gr_model *m = gr_model_new();
    gr_linear_layer(m, 100, 400);
    gr_conv2d_layer(m, 8, 100, 5, (gr_conv2d_layer_options){.conv.groups = 2});
    expect_uniform(gr_model_param(m, 0), 1 / sqrt(100));
    expect_uniform(gr_model_param(m, 2), 1 / sqrt(4 * 25));
    for (int i = 1; i < 4; i += 2) {
        moments s = moments_of(gr_model_param(m, i));
        ck_assert(s.least >= -0.1 && s.most <= 0.1 && s.deviation > 0.04);
    }
    gr_model_free(m);
}
END_TEST

START_TEST(initialisers_follow_their_formulas)
{
    const gr_shape weight = {4, {80, 10, 5, 4}}; /* fan_in 200, fan_out 1600 */
    gr_model *m = gr_model_new();
    expect_uniform(draw(m, weight, (gr_init){.kind = GR_INIT_UNIFORM, .a = 0.25}), 0.25);
    expect_uniform(draw(m, weight, (gr_init){.kind = GR_INIT_XAVIER_UNIFORM}), sqrt(6.0 / 1800));
    expect_uniform(draw(m, weight, (gr_init){.kind = GR_INIT_KAIMING_UNIFORM, .gain = 2}),
                   2 * sqrt(3.0 / 200));
    expect_moments(moments_of(draw(m, weight, (gr_init){.kind = GR_INIT_NORMAL, .a = 0.3})), 0.3,
                   3);
    expect_moments(moments_of(draw(m, weight, (gr_init){.kind = GR_INIT_XAVIER_NORMAL})),
                   sqrt(2.0 / 1800), 3);
    expect_moments(moments_of(
                       draw(m, weight, (gr_init){.kind = GR_INIT_KAIMING_NORMAL, .gain = sqrt(2)})),
                   sqrt(2.0 / 200), 3);
    ck_assert_ptr_null(gr_model_error(m));
    gr_model_free(m);
}
END_TEST

START_TEST(constants_are_constant)
{
    gr_model *m = gr_model_new();
    moments zeros = moments_of(draw(m, GR_SHAPE(7), (gr_init){.kind = GR_INIT_ZEROS}));
    moments by_default = moments_of(draw(m, GR_SHAPE(7), (gr_init){0}));
    moments ones = moments_of(draw(m, GR_SHAPE(7), (gr_init){.kind = GR_INIT_ONES}));
    ck_assert(zeros.least == 0 && zeros.most == 0);
    ck_assert(by_default.least == 0 && by_default.most == 0);
    ck_assert(ones.least == 1 && ones.most == 1);
    gr_model_free(m);
}
END_TEST

static gr_model *seeded(uint64_t seed)
{
    gr_model *m = gr_model_new();
    gr_model_seed(m, seed);
    gr_linear_layer(m, 20, 20);
    gr_linear_layer(m, 20, 20);
    return m;
}

static bool same(const gr_model *a, const gr_model *b, int i, int j)
{
    return !memcmp(gr_param_data(gr_model_param(a, i)), gr_param_data(gr_model_param(b, j)),
                   400 * sizeof(float));
}

START_TEST(values_depend_on_seed_and_number_alone)
{
    gr_model *a = seeded(7), *b = seeded(7), *c = seeded(8);
    ck_assert(same(a, b, 0, 0) && same(a, b, 2, 2));
    ck_assert(!same(a, c, 0, 0));
    ck_assert(!same(a, a, 0, 2));
    gr_model_free(a);
    gr_model_free(b);
    gr_model_free(c);
}
END_TEST

START_TEST(a_weight_can_be_given_another_start)
{
    gr_model *m = gr_model_new();
    gr_linear_options o = {.weight = {.kind = GR_INIT_KAIMING_UNIFORM, .gain = sqrt(2)}};
    gr_linear_layer_with(m, 150, 200, o);
    expect_uniform(gr_model_param(m, 0), sqrt(6.0 / 150));
    gr_model_free(m);
}
END_TEST

START_TEST(fans_need_a_matrix)
{
    gr_model *m = gr_model_new();
    draw(m, GR_SHAPE(7), (gr_init){.kind = GR_INIT_XAVIER_NORMAL});
    ck_assert_str_eq(gr_model_error(m), "flatten: parameter 'w': fan_in and fan_out need a weight "
                                        "of rank 2 or more");
    gr_model_free(m);
}
END_TEST

SUITE("init", NULL, NULL, layers_start_as_in_pytorch, initialisers_follow_their_formulas,
      constants_are_constant, values_depend_on_seed_and_number_alone,
      a_weight_can_be_given_another_start, fans_need_a_matrix)
