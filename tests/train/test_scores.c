/* test_scores.c - metrics against published numbers, and against counting by hand. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "toy.h"

#include <gradus/measure.h>
#include <math.h>
#include <string.h>

#define NEAR(a, b) ck_assert_double_eq_tol((double)(a), (double)(b), 1e-12)

/* --- numbers from the documentation of scikit-learn --- */

START_TEST(precision_recall_and_f1_are_those_of_scikit_learn)
{
    const int64_t truth[] = {0, 1, 2, 0, 1, 2}, said[] = {0, 2, 1, 0, 0, 1};
    int64_t confusion[9];
    gr_score each[3];
    gr_confusion(said, truth, 6, 3, confusion);
    gr_scores s = gr_class_scores(confusion, 3, each);
    NEAR(gr_accuracy(said, truth, 6), 2.0 / 6);
    NEAR(s.accuracy, 2.0 / 6);
    NEAR(s.macro.precision, 2.0 / 9);
    NEAR(s.macro.recall, 1.0 / 3);
    NEAR(s.macro.f1, 0.8 / 3);
    NEAR(s.weighted.precision, 2.0 / 9);
    NEAR(each[0].f1, 0.8);
    NEAR(each[1].f1, 0);
    ck_assert_int_eq(each[2].support, 2);
    ck_assert_int_eq(s.macro.support, 6);
}
END_TEST

START_TEST(a_class_that_is_never_said_has_no_precision)
{
    const int64_t confusion[] = {3, 0, 1, 0};
    gr_score each[2];
    gr_class_scores(confusion, 2, each);
    NEAR(each[0].precision, 0.75);
    NEAR(each[0].recall, 1);
    NEAR(each[1].precision, 0);
    NEAR(each[1].f1, 0);
}
END_TEST

START_TEST(regression_scores_are_those_of_scikit_learn)
{
    const float truth[] = {3, -0.5f, 2, 7}, said[] = {2.5f, 0, 2, 8};
    gr_regression r = gr_regression_scores(said, truth, 4);
    NEAR(r.mse, 0.375);
    NEAR(r.mae, 0.5);
    ck_assert_double_eq_tol(r.r2, 0.948608137044968, 1e-12);
}
END_TEST

START_TEST(top_k_is_that_of_scikit_learn)
{
    const int64_t truth[] = {0, 1, 2, 2};
    const float scores[] = {0.5f, 0.2f, 0.2f, 0.3f, 0.4f, 0.2f, 0.2f, 0.4f, 0.3f, 0.7f, 0.2f, 0.1f};
    NEAR(gr_top_k(scores, truth, 4, 3, 2), 0.75);
    NEAR(gr_top_k(scores, truth, 4, 3, 1), 0.5);
    NEAR(gr_top_k(scores, truth, 4, 3, 3), 1);
}
END_TEST

START_TEST(of_equal_scores_the_first_class_is_higher)
{
    const int64_t truth[] = {0, 1, 7};
    const float scores[] = {1, 1, 1, 1, NAN, 1};
    NEAR(gr_top_k(scores, truth, 2, 2, 1), 0.5);
    NEAR(gr_top_k(scores + 4, truth + 2, 1, 2, 2), 0); /* a label out of range */
    NEAR(gr_top_k(scores + 4, truth, 1, 2, 2), 0);     /* a score that is no number */
}
END_TEST

START_TEST(perplexity_is_the_number_of_equal_choices)
{
    ck_assert_double_eq_tol(gr_perplexity(log(65)), 65, 1e-9);
}
END_TEST

START_TEST(nothing_has_no_score)
{
    const int64_t none[1] = {0};
    ck_assert(isnan(gr_accuracy(none, none, 0)));
    ck_assert(isnan(gr_top_k(NULL, none, 0, 3, 1)));
    ck_assert(isnan(gr_regression_scores(NULL, NULL, 0).mse));
    ck_assert(isnan(gr_class_scores(none, 1, NULL).accuracy));
    ck_assert(isnan(gr_corpus_bleu(NULL, NULL, 0, 1).score));
}
END_TEST

/* --- BLEU: the sentences of NLTK's documentation --- */

enum { MOST_WORDS = 32, MOST_DISTINCT = 128 };

static const char *words[MOST_DISTINCT];
static int n_words;

static int64_t number_of(const char *word)
{
    for (int i = 0; i < n_words; i++)
        if (!strcmp(words[i], word)) return i;
    words[n_words] = word;
    return n_words++;
}

static gr_sentence sentence(char *text, int64_t *tokens)
{
    gr_sentence s = {tokens, 0};
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " ")) tokens[s.n++] = number_of(w);
    return s;
}

static int64_t tokens[8][MOST_WORDS];
static gr_sentence said[2], truth[2][3];

static void read_sentences(void)
{
    static char text[6][128] = {
        "It is a guide to action which ensures that the military always obeys the commands of the "
        "party",
        "he read the book because he was interested in world history",
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the "
        "command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
        "he was interested in world history because he read the book"};
    for (int i = 0; i < 2; i++) said[i] = sentence(text[i], tokens[i]);
    for (int i = 0; i < 3; i++) truth[0][i] = sentence(text[2 + i], tokens[2 + i]);
    truth[1][0] = truth[1][1] = truth[1][2] = sentence(text[5], tokens[5]);
}

START_TEST(bleu_is_that_of_nltk)
{
    read_sentences();
    gr_bleu one = gr_corpus_bleu(said, truth[0], 1, 3);
    ck_assert_double_eq_tol(one.score, 0.5045666840058485, 1e-12);
    NEAR(one.precision[0], 17.0 / 18);
    NEAR(one.brevity, 1);
    gr_bleu both = gr_corpus_bleu(said, truth[0], 2, 3);
    ck_assert_double_eq_tol(both.score, 0.5920778868801042, 1e-12);
}
END_TEST

START_TEST(bleu_counts_a_word_as_often_as_a_reference_has_it)
{
    const int64_t the[] = {7, 7, 7, 7, 7, 7, 7}, cat[] = {7, 1, 2, 3, 7, 4, 5};
    gr_bleu b = gr_corpus_bleu(&(gr_sentence){the, 7}, &(gr_sentence){cat, 7}, 1, 1);
    NEAR(b.precision[0], 2.0 / 7); /* the example of Papineni et al. */
    NEAR(b.score, 0);
}
END_TEST

START_TEST(bleu_makes_short_sentences_pay)
{
    const int64_t words_of_it[] = {1, 2, 3, 4, 5, 6, 7, 8};
    gr_bleu b = gr_corpus_bleu(&(gr_sentence){words_of_it, 4}, &(gr_sentence){words_of_it, 8}, 1,
                               1);
    NEAR(b.brevity, exp(-1));
    NEAR(b.score, exp(-1));
}
END_TEST

/* --- metrics that are recorded --- */

enum { N = 700 };

START_TEST(recorded_metrics_are_those_of_all_outputs)
{
    static float outputs[3 * N];
    gr_dataset *data = toy_stripes(N);
    toy t = toy_new(1, 0.02);
    gr_evaluation e, plain;
    gr_evaluate_options o = {
        .metrics = GR_MEASURE(gr_metric_accuracy(), gr_metric_top_k(2), gr_metric_perplexity())};
    ck_assert_msg(!gr_evaluate_with(t.net, data, o, &e), "%s", gr_last_error());
    ck_assert_int_eq(gr_evaluate(t.net, data, &plain, NULL), GR_OK);
    ck_assert_int_eq(gr_predict_outputs(t.net, data, outputs, 3), GR_OK);
    NEAR(e.metric[0], plain.accuracy);
    NEAR(e.metric[1], gr_top_k(outputs, data->y, N, 3, 2));
    ck_assert_double_eq_tol(e.metric[2], exp(plain.loss), 1e-6);
    ck_assert(e.metric[1] > e.metric[0]);
    gr_dataset_free(data);
    toy_free(&t);
}
END_TEST

/* The label as a number in [n, 1], to be regressed on. */
static gr_tensor *as_number(gr_tensor *target)
{
    return gr_cast(gr_unsqueeze(target, 1), GR_F32);
}

static gr_tensor *squared_error(gr_tensor *output, gr_tensor *target)
{
    return gr_mse(output, as_number(target));
}

static gr_tensor *record_mae(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    return gr_metric_mae().record(self, output, as_number(target));
}

START_TEST(another_loss_makes_it_a_regression)
{
    static float outputs[N], truth_of[N];
    gr_dataset *data = toy_stripes(N);
    gr_model *m = gr_model_new();
    gr_module *net = gr_linear_layer(m, 2, 1);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.05});
    gr_metric mae = {.name = "mae", .record = record_mae};
    gr_history h;
    gr_fit_options o = {.epochs = 30, .loss = squared_error, .metrics = GR_MEASURE(mae)};
    ck_assert_msg(!gr_fit(net, opt, data, o, &h), "%s", gr_last_error());
    ck_assert(isnan(h.epochs[0].accuracy));
    ck_assert_double_lt(h.epochs[29].loss, h.epochs[0].loss / 2);
    gr_evaluation e;
    gr_evaluate_options asked = {.loss = squared_error, .metrics = GR_MEASURE(mae)};
    ck_assert_int_eq(gr_evaluate_with(net, data, asked, &e), GR_OK);
    ck_assert_int_eq(gr_predict_outputs(net, data, outputs, 1), GR_OK);
    for (int i = 0; i < N; i++) truth_of[i] = (float)data->y[i];
    gr_regression r = gr_regression_scores(outputs, truth_of, N);
    ck_assert_double_eq_tol(e.loss, r.mse, 1e-6);
    ck_assert_double_eq_tol(e.metric[0], r.mae, 1e-6);
    ck_assert_double_gt(r.r2, 0.8);
    gr_history_release(&h);
    gr_optimizer_free(opt);
    gr_model_free(m);
    gr_dataset_free(data);
}
END_TEST

static gr_tensor *not_a_mean(gr_tensor *output, gr_tensor *target)
{
    (void)target;
    return output;
}

START_TEST(measures_that_cannot_be_are_refused)
{
    gr_dataset *data = toy_stripes(10);
    toy t = toy_new(1, 0.02);
    gr_evaluation e;
    gr_metric a = gr_metric_accuracy();
    gr_evaluate_options many = {.metrics = GR_MEASURE(a, a, a, a, a)};
    ck_assert_int_ne(gr_evaluate_with(t.net, data, many, &e), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_evaluate: more than 4 metrics"));
    gr_evaluate_options loss = {.loss = not_a_mean};
    ck_assert_int_ne(gr_evaluate_with(t.net, data, loss, &e), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the loss is [10,3], expected one number"));
    float outputs[40];
    ck_assert_int_ne(gr_predict_outputs(t.net, data, outputs, 4), GR_OK);
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(), "gives [10,3], expected 4 numbers for each of 10"));
    gr_fit_options smooth = {.label_smoothing = 1};
    ck_assert_int_ne(gr_fit(t.net, t.opt, data, smooth, NULL), GR_OK);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "expected 0 <= label_smoothing < 1, got 1"));
    gr_dataset_free(data);
    toy_free(&t);
}
END_TEST

SUITE("scores", NULL, NULL, precision_recall_and_f1_are_those_of_scikit_learn,
      a_class_that_is_never_said_has_no_precision, regression_scores_are_those_of_scikit_learn,
      top_k_is_that_of_scikit_learn, of_equal_scores_the_first_class_is_higher,
      perplexity_is_the_number_of_equal_choices, nothing_has_no_score, bleu_is_that_of_nltk,
      bleu_counts_a_word_as_often_as_a_reference_has_it, bleu_makes_short_sentences_pay,
      recorded_metrics_are_those_of_all_outputs, another_loss_makes_it_a_regression,
      measures_that_cannot_be_are_refused)
