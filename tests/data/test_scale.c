/* test_scale.c - scalers: fitted on one part, used for others, kept as text. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/data.h>
#include <math.h>
#include <string.h>

enum { N = 50, CHANNELS = 2, PLANE = 3, SIZE = CHANNELS * PLANE };

/* [N, 2, 3]: channel 1 is larger by far, element 5 is constant. */
static gr_dataset *sample(void)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(CHANNELS, PLANE), N, 1);
    ck_assert_ptr_nonnull(d);
    for (int i = 0; i < N * SIZE; i++)
        d->x[i] = i % SIZE == 5 ? 7 : (float)((i * 37) % 101) * (i % SIZE < PLANE ? 1 : 100);
    return d;
}

/* Mean, deviation, least and largest of elements begin .. begin + run of all samples. */
static void measure(const gr_dataset *d, int begin, int run, double m[4])
{
    double sum = 0, squares = 0, n = N * (double)run;
    m[2] = INFINITY, m[3] = -INFINITY;
    for (int i = 0; i < N; i++)
        for (int k = begin; k < begin + run; k++) {
            double x = (double)d->x[i * SIZE + k];
            sum += x;
            squares += x * x;
            m[2] = fmin(m[2], x);
            m[3] = fmax(m[3], x);
        }
    m[0] = sum / n;
    m[1] = sqrt(squares / n - m[0] * m[0]);
}

START_TEST(z_scores_have_mean_0_and_deviation_1_in_each_group)
{
    static const struct {
        gr_scaled per;
        int run;
    } cases[] = {{GR_PER_ELEMENT, 1}, {GR_PER_CHANNEL, PLANE}, {GR_PER_SET, SIZE}};
    for (int c = 0; c < 3; c++) {
        gr_dataset *d = sample();
        gr_scaler *s = gr_scaler_fit(d, GR_Z_SCORE, cases[c].per);
        ck_assert_msg(s && !gr_scaler_apply(s, d), "%s", gr_last_error());
        for (int begin = 0; begin < SIZE; begin += cases[c].run) {
            double m[4];
            measure(d, begin, cases[c].run, m);
            bool constant = cases[c].run == 1 && begin == 5;
            ck_assert_double_eq_tol(m[0], 0, 1e-6);
            ck_assert_double_eq_tol(m[1], constant ? 0 : 1, 1e-5);
        }
        gr_scaler_free(s);
        gr_dataset_free(d);
    }
}
END_TEST

START_TEST(min_max_fills_0_to_1)
{
    gr_dataset *d = sample();
    gr_scaler *s = gr_scaler_fit(d, GR_MIN_MAX, GR_PER_CHANNEL);
    ck_assert(s && !gr_scaler_apply(s, d));
    for (int c = 0; c < CHANNELS; c++) {
        double m[4];
        measure(d, c * PLANE, PLANE, m);
        ck_assert_double_eq(m[2], 0);
        ck_assert_double_eq_tol(m[3], 1, 1e-6);
    }
    gr_scaler_free(s);
    gr_dataset_free(d);
}
END_TEST

START_TEST(other_parts_are_scaled_by_what_training_saw)
{
    gr_dataset *train = gr_dataset_new(GR_SHAPE(1), 2, 1),
               *test = gr_dataset_new(GR_SHAPE(1), 1, 1);
    train->x[1] = 10;
    test->x[0] = 20;
    gr_scaler *s = gr_scaler_fit(train, GR_MIN_MAX, GR_PER_ELEMENT);
    ck_assert(s && !gr_scaler_apply(s, test));
    ck_assert_float_eq(test->x[0], 2);
    gr_scaler_free(s);
    gr_dataset_free(train);
    gr_dataset_free(test);
}
END_TEST

START_TEST(text_reads_back_to_the_same_bits)
{
    gr_dataset *a = sample(), *b = sample();
    gr_scaler *s = gr_scaler_fit(a, GR_Z_SCORE, GR_PER_ELEMENT);
    char *text = gr_scaler_text(s), *again;
    gr_scaler *parsed = gr_scaler_parse(text);
    ck_assert_msg(parsed != NULL, "%s", gr_last_error());
    ck_assert(!gr_scaler_apply(s, a) && !gr_scaler_apply(parsed, b));
    ck_assert_mem_eq(a->x, b->x, N * SIZE * sizeof(float));
    again = gr_scaler_text(parsed);
    ck_assert_str_eq(text, again);
    gr_free_memory(text);
    gr_free_memory(again);
    gr_scaler_free(s);
    gr_scaler_free(parsed);
    gr_dataset_free(a);
    gr_dataset_free(b);
}
END_TEST

START_TEST(what_is_no_scaler_is_refused)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"scaling\":\"z-score\",\"groups\":1,\"run\":1,\"shift\":[1]}",
        "{\"scaling\":\"other\",\"groups\":1,\"run\":1,\"shift\":[1],\"factor\":[1]}",
        "{\"scaling\":\"z-score\",\"groups\":2,\"run\":1,\"shift\":[1],\"factor\":[1,2]}",
        "{\"scaling\":\"z-score\",\"groups\":1,\"run\":1,\"shift\":[1,2],\"factor\":[1]}",
        "{\"scaling\":\"z-score\",\"groups\":9000000000000,\"run\":1,\"shift\":[1],\"factor\":[1]}",
        "{\"scaling\":\"z-score\",\"groups\":-1,\"run\":1,\"shift\":[],\"factor\":[]}",
        "{\"shift\":[1],\"scaling\":\"z-score\",\"groups\":1,\"run\":1,\"factor\":[1]}"};
    inject_begin();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_msg(!gr_scaler_parse(texts[i]), "taken: %s", texts[i]);
        ck_assert_int_eq(inject_live(), 0);
    }
    ck_assert_int_lt(inject_largest(), 10000);
    inject_end();
}
END_TEST

START_TEST(unusable_data_is_an_error)
{
    gr_dataset *d = sample(), *empty = gr_dataset_new(GR_SHAPE(2), 0, 1);
    gr_dataset *flat = gr_dataset_new(GR_SHAPE(SIZE + 1), 1, 1);
    ck_assert_ptr_null(gr_scaler_fit(empty, GR_Z_SCORE, GR_PER_SET));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "nothing to fit: 0 samples [2]"));
    ck_assert_ptr_null(gr_scaler_fit(flat, GR_Z_SCORE, GR_PER_CHANNEL));
    gr_scaler *s = gr_scaler_fit(d, GR_Z_SCORE, GR_PER_SET);
    ck_assert_int_eq(gr_scaler_apply(s, flat), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "samples of 6 elements, got one of 7"));
    d->x[8] = NAN;
    ck_assert_ptr_null(gr_scaler_fit(d, GR_MIN_MAX, GR_PER_SET));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "element 2 of sample 1 is nan"));
    gr_scaler_free(s);
    gr_dataset_free(d);
    gr_dataset_free(empty);
    gr_dataset_free(flat);
}
END_TEST

SUITE("scale", NULL, NULL, z_scores_have_mean_0_and_deviation_1_in_each_group, min_max_fills_0_to_1,
      other_parts_are_scaled_by_what_training_saw, text_reads_back_to_the_same_bits,
      what_is_no_scaler_is_refused, unusable_data_is_an_error)
