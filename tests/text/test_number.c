/* test_number.c - numbers to text and back. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <string.h>

static void number_is(double x, const char *expected)
{
    char text[GR__NUMBER_TEXT];
    ck_assert_str_eq(gr__number_text(x, text), expected);
}

START_TEST(the_shortest_decimal_is_chosen)
{
    number_is(0, "0");
    number_is(0.1, "0.1");
    number_is(-2.5, "-2.5");
    number_is(1e300, "1e+300");
    number_is(1.0 / 3, "0.3333333333333333");
    number_is(NAN, "nan");
    number_is(-INFINITY, "-inf");
}
END_TEST

START_TEST(every_number_reads_back_exactly)
{
    double x[] = {DBL_MIN, DBL_MAX, -DBL_TRUE_MIN, 0.1 + 0.2, 1e23, 123456789.123456789, -0.0};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        char text[GR__NUMBER_TEXT];
        gr__number_text(x[i], text);
        double back = gr__number_parse(text, strlen(text));
        ck_assert_msg(!memcmp(&back, &x[i], sizeof back), "%a became %s, then %a", x[i], text,
                      back);
    }
}
END_TEST

START_TEST(fixed_decimals_have_no_negative_zero)
{
    gr__text t = {0};
    gr__text_fixed(&t, 1.005, 1);
    gr__text_add(&t, " ");
    gr__text_fixed(&t, -0.001, 2);
    gr__text_add(&t, " ");
    gr__text_fixed(&t, -12.5, 0);
    ck_assert_str_eq(t.data, "1.0 0.00 -12");
    gr__text_release(&t);
}
END_TEST

START_TEST(a_locale_with_a_comma_changes_nothing)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR", "nl_NL"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]) && strcmp(localeconv()->decimal_point, ".");
    number_is(2.5, "2.5"); /* in the C locale where no other is installed */
    ck_assert_double_eq(gr__number_parse("2.5", 3), 2.5);
    setlocale(LC_NUMERIC, "C");
}
END_TEST

SUITE("number", NULL, NULL, the_shortest_decimal_is_chosen, every_number_reads_back_exactly,
      fixed_decimals_have_no_negative_zero, a_locale_with_a_comma_changes_nothing)
