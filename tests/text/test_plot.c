/* test_plot.c - pictures are well-formed, whole, and show what they were given. */
/* SPDX-License-Identifier: MIT */
#include "axis.h"
#include "inject.h"
#include "plot.h"
#include "scratch.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void curves_of(gr__text *out, const double *y, int n)
{
    gr__curve curve = {"a < b & \"c\"", y, n};
    gr__panel panel = {"Loss", "epoch", &curve, 1, false, 2, "best"};
    gr__svg_curves(out, "Title", &panel, 1);
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) n++;
    return n;
}

/* Every tag that opens closes, and no stray < or & is left. */
static void is_well_formed(const char *svg)
{
    static const char *const tags[] = {"svg", "text"};
    ck_assert_int_eq(strncmp(svg, "<svg ", 5), 0);
    ck_assert_str_eq(svg + strlen(svg) - 7, "</svg>\n");
    for (int i = 0; i < 2; i++) {
        char open[16], close[16];
        snprintf(open, sizeof open, "<%s ", tags[i]);
        snprintf(close, sizeof close, "</%s>", tags[i]);
        ck_assert_int_eq(occurrences(svg, open), occurrences(svg, close));
    }
    for (const char *s = svg; (s = strchr(s, '&')); s++)
        ck_assert(!strncmp(s, "&amp;", 5) || !strncmp(s, "&lt;", 4) || !strncmp(s, "&gt;", 4));
    ck_assert_ptr_eq(strstr(svg, "nan"), NULL);
    ck_assert_ptr_eq(strstr(svg, "inf"), NULL);
}

START_TEST(curves_are_well_formed_with_names_escaped)
{
    const double y[] = {2, 1, 0.5};
    gr__text t = {0};
    curves_of(&t, y, 3);
    is_well_formed(t.data);
    ck_assert_ptr_nonnull(strstr(t.data, ">a &lt; b &amp; \"c\"<"));
    ck_assert_ptr_nonnull(strstr(t.data, ">best<"));
    ck_assert_ptr_nonnull(strstr(t.data, ">2.0<"));
    gr__text_release(&t);
}
END_TEST

START_TEST(values_that_cannot_be_drawn_leave_a_gap)
{
    const double y[] = {1, NAN, INFINITY, 2, 3, -INFINITY, 1e308};
    gr__text t = {0};
    curves_of(&t, y, 7);
    is_well_formed(t.data);
    const char *path = strstr(t.data, " d=\"");
    ck_assert_ptr_nonnull(path);
    char d[64] = "";
    sscanf(path, " d=\"%63[^\"]", d);
    ck_assert_int_eq(occurrences(d, "M"), 2);
    ck_assert_int_eq(occurrences(d, "L"), 1);
    gr__text_release(&t);
}
END_TEST

START_TEST(no_values_and_one_value_make_a_picture_too)
{
    const double nothing[] = {NAN}, zero[] = {0}, one[] = {-3e12}, tiny[] = {1e-300, 2e-300};
    const struct {
        const double *y;
        int n;
    } cases[] = {{NULL, 0}, {nothing, 1}, {zero, 1}, {one, 1}, {tiny, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr__text t = {0};
        curves_of(&t, cases[i].y, cases[i].n);
        is_well_formed(t.data);
        gr__text_release(&t);
    }
}
END_TEST

START_TEST(ticks_are_round_and_cover_the_values)
{
    static const double cases[][2] = {{0, 1},     {0.013, 0.98},  {-5, 17}, {1e-7, 3e-7},
                                      {3e9, 5e9}, {0.97, 0.9701}, {-2, -2}, {0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr__axis a = gr__axis_values(cases[i][0], cases[i][1], 6);
        double lead = a.step / pow(10, floor(log10(a.step) + 1e-9));
        ck_assert_msg(a.lo <= cases[i][0] + 1e-9 * a.step && a.hi >= cases[i][1] - 1e-9 * a.step,
                      "case %zu: %g to %g", i, a.lo, a.hi);
        ck_assert_msg(fabs(lead - 1) < 1e-6 || fabs(lead - 2) < 1e-6 || fabs(lead - 5) < 1e-6,
                      "case %zu: step %g", i, a.step);
        ck_assert_int_ge(a.count, 2);
        ck_assert_int_le(a.count, 9);
    }
}
END_TEST

START_TEST(whole_numbers_get_whole_ticks)
{
    for (int n = 1; n < 2000; n++) {
        gr__axis a = gr__axis_counts(n, 8);
        double last = gr__axis_tick(&a, a.count - 1);
        ck_assert_msg(a.step >= 1 && fabs(a.step - round(a.step)) < 1e-9 && last <= n + 1e-9 &&
                          a.count >= 1 && a.count <= 10,
                      "%d: %d ticks by %g", n, a.count, a.step);
    }
}
END_TEST

START_TEST(powers_of_ten_cover_the_values_and_are_ticks)
{
    static const double cases[][2] = {{1e-16, 1},      {3e-9, 2e-3}, {1, 1},        {5, 7},
                                      {1e-290, 1e290}, {0.1, 10},    {1e-17, 4e-17}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr__axis a = gr__axis_decades(cases[i][0], cases[i][1], 9);
        ck_assert_msg(pow(10, a.lo) <= cases[i][0] * 1.001 && pow(10, a.hi) * 1.001 >= cases[i][1],
                      "case %zu: 1e%g to 1e%g", i, a.lo, a.hi);
        ck_assert_int_ge(a.count, 1);
        ck_assert_int_le(a.count, 10);
        for (int k = 0; k < a.count; k++) {
            double place = gr__axis_place(&a, gr__axis_tick(&a, k), 0, 1);
            ck_assert_msg(place > -1e-9 && place < 1 + 1e-9, "case %zu: tick %d", i, k);
        }
    }
}
END_TEST

START_TEST(powers_are_written_with_raised_digits)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {{1e-8, "10⁻⁸"}, {3.2e-12, "3×10⁻¹²"}, {9.7e4, "10⁵"}, {2e100, "2×10¹⁰⁰"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr__text t = {0};
        gr__axis_power(cases[i].x, &t);
        ck_assert_str_eq(t.data, cases[i].text);
        gr__text_release(&t);
    }
}
END_TEST

START_TEST(a_log_log_chart_is_well_formed_and_leaves_gaps)
{
    const double x[] = {1e-6, 1e-4, 1e-2, 1}, y[] = {1e-3, 0, NAN, 5}, none[] = {0, -1, NAN, 0};
    const gr__trace traces[] = {{"slope < 2", y, false}, {"nothing", none, true}};
    const gr__ring ring = {0, 1e-6, 1e-3};
    const gr__loglog charts[2] = {{"Error", "step", "left", "right", x, 4, traces, 2, &ring, 1,
                                   false, 1e-4, "kink"},
                                  {.x = x, .n = 0}};
    gr__text t = {0};
    gr__svg_loglog(&t, "Title", "under", charts, 2);
    is_well_formed(t.data);
    static const char *const parts[] = {">slope &lt; 2<", ">10⁻⁶<", ">kink<", ">under<", ">left<"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(t.data, parts[i]) != NULL, "%s is missing", parts[i]);
    ck_assert_int_eq(occurrences(t.data, "<circle"), 4); /* a ring and two lone points */
    gr__text_release(&t);
}
END_TEST

START_TEST(a_confusion_matrix_shows_counts_and_accuracy)
{
    static const int64_t counts[] = {8, 2, 1, 9};
    static const char *const names[] = {"cat", "<dog>"};
    gr__text t = {0};
    gr__svg_confusion(&t, "Test", counts, 2, names);
    is_well_formed(t.data);
    static const char *const parts[] = {">8<",    ">2<",         ">1<",
                                        ">9<",    ">cat<",       ">&lt;dog&gt;<",
                                        ">true<", ">predicted<", "accuracy 85.00% (17 of 20)"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(t.data, parts[i]) != NULL, "%s is missing", parts[i]);
    gr__text_release(&t);
}
END_TEST

START_TEST(an_empty_and_a_large_confusion_matrix_are_well_formed)
{
    static int64_t counts[200 * 200];
    for (int classes = 1; classes <= 200; classes += 199) {
        gr__text t = {0};
        gr__svg_confusion(&t, "Test", counts, classes, NULL);
        is_well_formed(t.data);
        gr__text_release(&t);
    }
}
END_TEST

static gr_status save_picture(const char *path)
{
    const double y[] = {3, 2, 1};
    gr__text t = {0};
    curves_of(&t, y, 3);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}

START_TEST(a_picture_is_saved_whole_or_not_at_all)
{
    const char *path = scratch_path("curves.svg");
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_status status = save_picture(path);
        done = !inject_happened();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert_int_eq(scratch_files(), (int)done);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("plot", scratch_begin, scratch_end, curves_are_well_formed_with_names_escaped,
      values_that_cannot_be_drawn_leave_a_gap, no_values_and_one_value_make_a_picture_too,
      ticks_are_round_and_cover_the_values, whole_numbers_get_whole_ticks,
      powers_of_ten_cover_the_values_and_are_ticks, powers_are_written_with_raised_digits,
      a_log_log_chart_is_well_formed_and_leaves_gaps, a_confusion_matrix_shows_counts_and_accuracy,
      an_empty_and_a_large_confusion_matrix_are_well_formed, a_picture_is_saved_whole_or_not_at_all)
