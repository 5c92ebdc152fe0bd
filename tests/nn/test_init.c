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

/* Every element of a parameter or buffer is this number. */
static void all_are(gr_model *m, const char *name, double value)
{
    const gr_param *p = gr_model_find(m, name);
    ck_assert_msg(p != NULL, "no '%s'", name);
    moments s = moments_of(p);
    ck_assert_msg(s.least == value && s.most == value, "%s from %g to %g, expected %g", name,
                  s.least, s.most, value);
}

START_TEST(recurrent_layers_start_by_their_hidden_size)
{
    gr_model *m = gr_model_new();
    gr_lstm_layer(m, 30, 64, (gr_recurrent_options){.layers = 2, .bidirectional = true});
    expect_uniform(gr_model_find(m, "weight_ih_l0"), 1 / sqrt(64));
    expect_uniform(gr_model_find(m, "weight_hh_l1_reverse"), 1 / sqrt(64));
    moments s = moments_of(gr_model_find(m, "bias_hh_l1"));
    ck_assert(s.least >= -0.125 && s.most <= 0.125 && s.deviation > 0.06);
    gr_model_free(m);
}
END_TEST

START_TEST(embeddings_start_normal_but_for_their_padding)
{
    gr_model *m = gr_model_new();
    gr_embedding_layer(m, 200, 50, (gr_embedding_options){.padding = true, .padding_index = 199});
    const float *w = gr_param_data(gr_model_param(m, 0));
    for (int i = 199 * 50; i < 200 * 50; i++) ck_assert_float_eq(w[i], 0);
    moments s = moments_of(gr_model_param(m, 0));
    expect_moments(s, sqrt(199 / 200.0), 3);
    gr_model_free(m);
}
END_TEST

START_TEST(attention_starts_as_in_pytorch)
{
    gr_model *m = gr_model_new();
    gr_multihead_attention_layer(m, 64, 4, (gr_multihead_attention_options){0});
    expect_uniform(gr_model_find(m, "in_proj_weight"), sqrt(6.0 / (64 + 3 * 64)));
    expect_uniform(gr_model_find(m, "out_proj.weight"), 1 / sqrt(64));
    all_are(m, "in_proj_bias", 0);
    all_are(m, "out_proj.bias", 0);
    gr_model_free(m);
}
END_TEST

START_TEST(norms_and_prelu_start_constant_and_others_by_their_fans)
{
    gr_model *m = gr_model_new();
    gr_named("norm", gr_batch_norm2d_layer(m, 5, (gr_batch_norm_options){0}));
    gr_named("prelu", gr_prelu_layer(m, 3));
    gr_named("back",
             gr_conv_transpose2d_layer(m, 40, 20, 5, (gr_conv_transpose2d_layer_options){0}));
    gr_named("two", gr_bilinear_layer(m, 25, 40, 20, (gr_linear_options){0}));
    all_are(m, "norm.weight", 1);
    all_are(m, "norm.bias", 0);
    all_are(m, "norm.running_mean", 0);
    all_are(m, "norm.running_var", 1);
    all_are(m, "prelu.weight", 0.25);
    expect_uniform(gr_model_find(m, "back.weight"), 1 / sqrt(20 * 25));
    expect_uniform(gr_model_find(m, "two.weight"), 1 / sqrt(25));
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

START_TEST(draws_lie_around_their_mean_and_within_their_cut)
{
    gr_model *m = gr_model_new();
    gr_init init = {.kind = GR_INIT_TRUNCATED_NORMAL, .a = 0.5, .mean = 3};
    gr_param *p = draw(m, GR_SHAPE(20000), init);
    moments s = moments_of(p);
    ck_assert(s.least > 2 && s.least < 2.01 && s.most < 4 && s.most > 3.99);
    s.mean -= 3;
    expect_moments(s, 0.5 * 0.8796257, 2.366); /* of a normal cut at two deviations */
    init.cut = 0.5;
    s = moments_of(draw(m, GR_SHAPE(20000), init));
    ck_assert(s.least > 2.75 && s.most < 3.25 && s.most > 3.249);
    s = moments_of(draw(m, GR_SHAPE(20000), (gr_init){.kind = GR_INIT_UNIFORM, .a = 2, .mean = 5}));
    ck_assert(s.least > 3 && s.least < 3.01 && s.most < 7 && s.most > 6.99);
    s = moments_of(draw(m, GR_SHAPE(7), (gr_init){.kind = GR_INIT_CONSTANT, .a = -0.25}));
    ck_assert(s.least == -0.25 && s.most == -0.25);
    ck_assert_ptr_null(gr_model_error(m));
    gr_model_free(m);
}
END_TEST

START_TEST(scales_follow_the_fan_that_is_asked_for)
{
    const gr_shape weight = {4, {80, 10, 5, 4}}; /* fan_in 200, fan_out 1600 */
    gr_model *m = gr_model_new();
    gr_init init = {.kind = GR_INIT_KAIMING_UNIFORM, .gain = 2, .fan_out = true};
    expect_uniform(draw(m, weight, init), 2 * sqrt(3.0 / 1600));
    init.kind = GR_INIT_KAIMING_NORMAL;
    expect_moments(moments_of(draw(m, weight, init)), 2 * sqrt(1.0 / 1600), 3);
    expect_uniform(draw(m, weight, (gr_init){.kind = GR_INIT_LECUN_UNIFORM}), sqrt(3.0 / 200));
    moments s = moments_of(draw(m, weight, (gr_init){.kind = GR_INIT_LECUN_NORMAL}));
    expect_moments(s, 0.8796257 * sqrt(1.0 / 200), 2.366);
    gr_model_free(m);
}
END_TEST

/* --- weights as a whole --- */

/* Row i times row j of a matrix with `columns` columns, or with `down` column by column. */
static double product(const gr_param *p, int64_t rows, int64_t columns, int64_t i, int64_t j,
                      bool down)
{
    const float *x = gr_param_data(p);
    double sum = 0;
    for (int64_t k = 0; k < (down ? rows : columns); k++)
        sum += (double)(down ? x[k * columns + i] : x[i * columns + k]) *
               (double)(down ? x[k * columns + j] : x[j * columns + k]);
    return sum;
}

static void expect_orthogonal(const gr_param *p, int64_t rows, int64_t columns, double gain)
{
    bool down = rows > columns; /* the shorter side is orthogonal */
    int64_t n = down ? columns : rows;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            ck_assert_double_eq_tol(product(p, rows, columns, i, j, down), i == j ? gain * gain : 0,
                                    1e-5);
}

START_TEST(orthogonal_weights_are_orthogonal)
{
    gr_model *m = gr_model_new();
    gr_init init = {.kind = GR_INIT_ORTHOGONAL, .gain = 1.5};
    expect_orthogonal(draw(m, GR_SHAPE(20, 20), init), 20, 20, 1.5);
    expect_orthogonal(draw(m, GR_SHAPE(30, 7), init), 30, 7, 1.5);
    expect_orthogonal(draw(m, GR_SHAPE(6, 5, 3, 3), init), 6, 45, 1.5);
    gr_model_free(m);
}
END_TEST

/* Of columns of 10 rows ceil(0.33 10) = 4 are 0, in all rows alike: 0.4 of 5000, five errors wide. */
START_TEST(sparse_weights_have_their_zeros_in_every_column)
{
    gr_model *m = gr_model_new();
    gr_param *p = draw(m, GR_SHAPE(10, 5000), (gr_init){.kind = GR_INIT_SPARSE, .sparsity = 0.33});
    const float *x = gr_param_data(p);
    int rows[10] = {0};
    double squares = 0;
    for (int j = 0; j < 5000; j++) {
        int zeros = 0;
        for (int i = 0; i < 10; i++) {
            double v = (double)x[i * 5000 + j];
            zeros += v == 0;
            rows[i] += v == 0;
            squares += v * v;
        }
        ck_assert_int_eq(zeros, 4);
    }
    for (int i = 0; i < 10; i++) ck_assert_msg(abs(rows[i] - 2000) < 175, "row %d: %d", i, rows[i]);
    ck_assert_double_eq_tol(sqrt(squares / 30000), 0.01, 5 * 0.01 / sqrt(60000));
    gr_model_free(m);
}
END_TEST

START_TEST(identities_give_their_input)
{
    static const float eye[6] = {2, 0, 0, 0, 2, 0};
    gr_model *m = gr_model_new();
    gr_graph *g = gr_graph_new();
    gr_param *p = draw(m, GR_SHAPE(2, 3), (gr_init){.kind = GR_INIT_IDENTITY, .gain = 2});
    ck_assert_mem_eq(gr_param_data(p), eye, sizeof eye);
    p = draw(m, GR_SHAPE(4, 2, 3, 3), (gr_init){.kind = GR_INIT_DIRAC, .groups = 2});
    gr_tensor *x = gr_randn(g, GR_F32, GR_SHAPE(1, 4, 5, 6));
    gr_conv2d_options o = {.padding = {1, 1}, .groups = 2};
    gr_tensor *y = gr_conv2d(x, gr_use(g, p), NULL, o);
    ck_assert_msg(gr_data(y) != NULL, "%s", gr_graph_error(g));
    ck_assert_mem_eq(gr_data(y), gr_data(x), 4 * 5 * 6 * sizeof(float));
    gr_graph_free(g);
    gr_model_free(m);
}
END_TEST

START_TEST(gains_are_those_of_pytorch)
{
    ck_assert_double_eq(gr_gain("linear", 0), 1);
    ck_assert_double_eq(gr_gain("sigmoid", 0), 1);
    ck_assert_double_eq_tol(gr_gain("tanh", 0), 1.6666666666666667, 1e-15);
    ck_assert_double_eq_tol(gr_gain("relu", 0), 1.4142135623730951, 1e-15);
    ck_assert_double_eq_tol(gr_gain("leaky_relu", 0), 1.4141428569978354, 1e-15);
    ck_assert_double_eq_tol(gr_gain("leaky_relu", 0.2), 1.3867504905630728, 1e-15);
    ck_assert_double_eq(gr_gain("selu", 0), 0.75);
    ck_assert(isnan(gr_gain("rleu", 0)));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "got 'rleu'"));
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

START_TEST(a_parameter_can_be_drawn_anew)
{
    gr_model *a = seeded(1), *b = seeded(2);
    for (int i = 0; i < 2; i++) {
        gr_param *p = gr_model_param(i ? b : a, 0);
        ck_assert_int_eq(gr_init_param(p, (gr_init){.kind = GR_INIT_NORMAL, .a = 1}, 5), GR_OK);
    }
    ck_assert(same(a, b, 0, 0));
    gr_model_free(a);
    gr_model_free(b);
}
END_TEST

static void refuse(gr_shape shape, gr_init init, const char *expected)
{
    gr_param *p = gr_param_new("w", GR_F64, shape, NULL);
    ck_assert_int_eq(gr_init_param(p, init, 0), GR_ERR_ARGUMENT);
    ck_assert_msg(strstr(gr_last_error(), expected) != NULL, "expected %s, got %s", expected,
                  gr_last_error());
    gr_param_release(p);
}

START_TEST(what_does_not_suit_a_shape_is_refused)
{
    refuse(GR_SHAPE(7), (gr_init){.kind = GR_INIT_ORTHOGONAL}, "rank 2 or more");
    refuse(GR_SHAPE(2, 3, 4), (gr_init){.kind = GR_INIT_SPARSE}, "sparse needs a matrix");
    refuse(GR_SHAPE(2, 3), (gr_init){.kind = GR_INIT_SPARSE, .sparsity = 1.5}, "from 0 to 1");
    refuse(GR_SHAPE(2, 3), (gr_init){.kind = GR_INIT_DIRAC}, "of rank 3 to 5");
    refuse(GR_SHAPE(3, 3, 3), (gr_init){.kind = GR_INIT_DIRAC, .groups = 2}, "divide the channels");
    refuse(GR_SHAPE(7), (gr_init){.kind = GR_INIT_TRUNCATED_NORMAL, .a = 1, .cut = 0.01}, "0.1");
    refuse(GR_SHAPE(7), (gr_init){.kind = (gr_init_kind)99}, "no such initialiser");
    refuse(GR_SHAPE(2, 3), (gr_init){.kind = GR_INIT_XAVIER_NORMAL, .gain = gr_gain("x", 0)},
           "not finite");
    ck_assert_int_eq(gr_init_param(NULL, (gr_init){0}, 0), GR_ERR_ARGUMENT);
}
END_TEST

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

SUITE("init", NULL, NULL, layers_start_as_in_pytorch, recurrent_layers_start_by_their_hidden_size,
      embeddings_start_normal_but_for_their_padding, attention_starts_as_in_pytorch,
      norms_and_prelu_start_constant_and_others_by_their_fans, initialisers_follow_their_formulas,
      constants_are_constant, values_depend_on_seed_and_number_alone,
      a_weight_can_be_given_another_start, fans_need_a_matrix,
      draws_lie_around_their_mean_and_within_their_cut, scales_follow_the_fan_that_is_asked_for,
      orthogonal_weights_are_orthogonal, sparse_weights_have_their_zeros_in_every_column,
      identities_give_their_input, gains_are_those_of_pytorch, a_parameter_can_be_drawn_anew,
      what_does_not_suit_a_shape_is_refused)
