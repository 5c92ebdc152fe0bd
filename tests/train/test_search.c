/* test_search.c - the search finds what is best, on the scale that was asked for. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/measure.h>
#include <math.h>
#include <string.h>

static gr_search_results r;

static void teardown(void)
{
    gr_search_release(&r);
}

/* Smallest at rate 0.01 and 3 layers; a larger budget gets nearer to it. */
static gr_status bowl(void *user, const double *x, int budget, double *score)
{
    int *calls = user;
    if (calls) ++*calls;
    double off = log10(x[0]) + 2;
    *score = off * off + fabs(x[1] - 3) + 1.0 / budget;
    return GR_OK;
}

static const double widths[] = {1, 2, 3, 4};
static const gr_dimension space[] = {{.name = "lr", .low = 1e-4, .high = 1, .log = true, .n = 5},
                                     {.name = "layers", .values = widths, .n = 4}};

static void expect_ok(gr_search_options o, gr_trial_fn *f, void *user)
{
    ck_assert_msg(gr_search(space, 2, f, user, o, &r) == GR_OK, "%s", gr_last_error());
}

START_TEST(a_grid_has_every_combination)
{
    int calls = 0;
    expect_ok((gr_search_options){.kind = GR_SEARCH_GRID}, bowl, &calls);
    ck_assert_int_eq(calls, 20);
    ck_assert_int_eq(r.n, 20);
    for (int i = 0; i < 20; i++) { /* equal ratios: 1e-4, 1e-3, ... */
        ck_assert_double_eq_tol(r.trials[i].x[0], pow(10, i / 4 - 4), 1e-12);
        ck_assert_double_eq(r.trials[i].x[1], widths[i % 4]);
    }
    ck_assert_double_eq_tol(r.trials[r.best].x[0], 0.01, 1e-12);
    ck_assert_double_eq(r.trials[r.best].x[1], 3);
}
END_TEST

START_TEST(random_points_are_even_on_a_log_scale)
{
    gr_search_options o = {.trials = 4000, .seed = 5};
    int decade[4] = {0}, layer[5] = {0};
    expect_ok(o, bowl, NULL);
    for (int i = 0; i < r.n; i++) {
        ck_assert_double_ge(r.trials[i].x[0], 1e-4);
        ck_assert_double_le(r.trials[i].x[0], 1);
        decade[(int)fmin(log10(r.trials[i].x[0]) + 4, 3)]++;
        layer[(int)r.trials[i].x[1]]++;
    }
    for (int i = 0; i < 4; i++) {
        ck_assert_int_ge(decade[i], 900); /* 1000 expected, deviation 27 */
        ck_assert_int_ge(layer[i + 1], 900);
    }
}
END_TEST

START_TEST(whole_numbers_are_even_up_to_both_ends)
{
    const gr_dimension whole[] = {{.name = "n", .low = 2, .high = 5, .whole = true},
                                  {.name = "x", .low = 1, .high = 1}};
    int count[6] = {0};
    ck_assert_int_eq(gr_search(whole, 2, bowl, NULL, (gr_search_options){.trials = 4000}, &r),
                     GR_OK);
    for (int i = 0; i < r.n; i++) {
        ck_assert_double_eq(r.trials[i].x[0], floor(r.trials[i].x[0]));
        count[(int)r.trials[i].x[0]]++;
        ck_assert_double_eq(r.trials[i].x[1], 1);
    }
    for (int i = 2; i <= 5; i++) ck_assert_int_ge(count[i], 900);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_points)
{
    double first[16];
    expect_ok((gr_search_options){.seed = 5}, bowl, NULL);
    for (int i = 0; i < 16; i++) first[i] = r.trials[i].x[0];
    gr_search_release(&r);
    expect_ok((gr_search_options){.seed = 5}, bowl, NULL);
    for (int i = 0; i < 16; i++) ck_assert_double_eq(r.trials[i].x[0], first[i]);
    gr_search_release(&r);
    expect_ok((gr_search_options){.seed = 6}, bowl, NULL);
    ck_assert_double_ne(r.trials[0].x[0], first[0]);
}
END_TEST

START_TEST(halving_gives_the_best_third_three_times_the_budget)
{
    gr_search_options o = {.kind = GR_SEARCH_HALVING, .trials = 27, .budget = 27};
    expect_ok(o, bowl, NULL);
    int count[28] = {0};
    double worst_kept = 0, best_dropped = INFINITY;
    for (int i = 0; i < r.n; i++) count[r.trials[i].budget]++;
    ck_assert_int_eq(r.n, 27 + 9 + 3 + 1);
    ck_assert(count[1] == 27 && count[3] == 9 && count[9] == 3 && count[27] == 1);
    for (int i = 0; i < 27; i++) {
        bool kept = false;
        for (int k = 27; k < 36; k++) kept |= r.trials[k].x[0] == r.trials[i].x[0];
        if (kept) worst_kept = fmax(worst_kept, r.trials[i].score);
        else best_dropped = fmin(best_dropped, r.trials[i].score);
    }
    ck_assert_double_le(worst_kept, best_dropped);
    ck_assert_int_eq(r.trials[r.best].budget, 27);
}
END_TEST

static gr_status fails_above(void *user, const double *x, int budget, double *score)
{
    (void)user;
    *score = x[0] > 0.1 ? NAN : x[0];
    return x[0] < 1e-3 && budget ? GR_ERR_STATE : GR_OK;
}

static gr_status always_fails(void *user, const double *x, int budget, double *score)
{
    (void)user, (void)x, (void)budget;
    *score = -1;
    return GR_ERR_STATE;
}

START_TEST(trials_that_fail_are_the_worst)
{
    expect_ok((gr_search_options){.kind = GR_SEARCH_GRID}, fails_above, NULL);
    ck_assert_double_eq_tol(r.trials[r.best].x[0], 1e-3, 1e-12);
    ck_assert(isnan(r.trials[0].score) && isnan(r.trials[19].score));
    gr_search_release(&r);
    expect_ok((gr_search_options){.kind = GR_SEARCH_HALVING, .budget = 9}, always_fails, NULL);
    ck_assert_int_eq(r.best, -1);
    ck_assert_int_eq(r.n, 16);
}
END_TEST

static void expect_error(gr_dimension d, gr_search_options o, const char *text)
{
    gr_search_release(&r);
    ck_assert_int_eq(gr_search(&d, 1, bowl, NULL, o, &r), GR_ERR_ARGUMENT);
    ck_assert_msg(strstr(gr_last_error(), text), "expected '%s', got '%s'", text, gr_last_error());
}

START_TEST(a_space_that_cannot_be_is_refused)
{
    gr_dimension good = {.name = "x", .low = 0, .high = 1};
    expect_error((gr_dimension){.low = 0, .high = 1}, (gr_search_options){0}, "has no name");
    expect_error((gr_dimension){.name = "x", .low = 2, .high = 1}, (gr_search_options){0},
                 "x: expected low <= high, got 2 and 1");
    expect_error((gr_dimension){.name = "x", .high = 1, .log = true}, (gr_search_options){0},
                 "a log scale begins above 0, got 0");
    expect_error((gr_dimension){.name = "x", .values = widths}, (gr_search_options){0},
                 "expected at least 1 value, got 0");
    expect_error(good, (gr_search_options){.trials = -1}, "expected 1 to 1000000 trials");
    expect_error(good, (gr_search_options){.eta = 1}, "an eta of 2 or more");
    ck_assert_int_eq(gr_search(&good, 0, bowl, NULL, (gr_search_options){0}, &r), GR_ERR_ARGUMENT);
    good.n = 2000000;
    expect_error(good, (gr_search_options){.kind = GR_SEARCH_GRID}, "more than 1000000 points");
}
END_TEST

START_TEST(results_become_a_table_and_files)
{
    char text[8192];
    size_t bytes;
    scratch_begin();
    expect_ok((gr_search_options){.kind = GR_SEARCH_GRID}, bowl, NULL);
    size_t n = gr_search_text(&r, text, sizeof text);
    ck_assert_uint_eq(n, strlen(text));
    ck_assert_ptr_nonnull(strstr(text, "layers"));
    const char *row = strchr(text, '\n') + 1;
    row = strchr(row, '\n') + 1;     /* below the head and its line */
    ck_assert_int_eq(atoi(row), 11); /* the best comes first */
    ck_assert_int_eq(gr_search_save(&r, scratch_path("r.json")), GR_OK);
    ck_assert_int_eq(gr_search_save(&r, scratch_path("r.csv")), GR_OK);
    ck_assert_int_eq(gr_search_save(&r, scratch_path("r.svg")), GR_OK);
    char *json = scratch_read("r.json", &bytes), *csv = scratch_read("r.csv", &bytes);
    char *svg = scratch_read("r.svg", &bytes);
    ck_assert_int_eq(strncmp(json, "{\n \"best\": 10,", 14), 0);
    ck_assert_int_eq(strncmp(csv, "lr,layers,budget,score,seconds\n", 31), 0);
    int circles = 0;
    for (const char *at = svg; (at = strstr(at, "<circle")); at++) circles++;
    ck_assert_int_eq(circles, 2 * 20);
    free(json);
    free(csv);
    free(svg);
    ck_assert_int_eq(gr_search_save(&r, scratch_path("r.txt")), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_search_save(&r, NULL), GR_ERR_ARGUMENT);
    scratch_end();
}
END_TEST

START_TEST(memory_that_runs_out_is_an_error)
{
    inject_begin();
    inject_allocation(0);
    ck_assert_int_eq(gr_search(space, 2, bowl, NULL, (gr_search_options){0}, &r), GR_ERR_MEMORY);
    inject_none();
    ck_assert_int_eq(gr_search(space, 2, bowl, NULL, (gr_search_options){0}, &r), GR_OK);
    for (int n = 0; n < 3; n++) {
        char text[64] = "x";
        inject_allocation(n);
        ck_assert_uint_eq(gr_search_text(&r, text, sizeof text), 0);
        ck_assert_str_eq(text, "");
    }
    inject_none();
    gr_search_release(&r);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

SUITE("search", NULL, teardown, a_grid_has_every_combination, random_points_are_even_on_a_log_scale,
      whole_numbers_are_even_up_to_both_ends, the_same_seed_gives_the_same_points,
      halving_gives_the_best_third_three_times_the_budget, trials_that_fail_are_the_worst,
      a_space_that_cannot_be_is_refused, results_become_a_table_and_files,
      memory_that_runs_out_is_an_error)
