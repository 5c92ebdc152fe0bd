/* test_utf8.c - checking, counting and writing UTF-8. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "text.h"

#include <string.h>

START_TEST(sequences_of_each_length_are_valid)
{
    const char text[] = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
    ck_assert(gr__utf8_valid(text, strlen(text)));
    ck_assert_uint_eq(gr__utf8_length(text, strlen(text)), 4);
    ck_assert(gr__utf8_valid("", 0));
}
END_TEST

START_TEST(malformed_sequences_are_not_valid)
{
    static const char *const bad[] = {
        "\x80",         "\xC3",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xE2\x82",     "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF",         "\xE2\x28\xA1", "\xF0\x9F\x98",     "\xF0\x9F\x28\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!gr__utf8_valid(bad[i], strlen(bad[i])), "case %zu was taken as valid", i);
}
END_TEST

START_TEST(an_invalid_byte_counts_as_one_character)
{
    ck_assert_uint_eq(gr__utf8_length("a\xFF\xC3\xA4", 4), 3);
}
END_TEST

START_TEST(every_character_encoded_is_valid_and_of_one)
{
    for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x900 ? 1 : 97) {
        if (code >= 0xD800 && code <= 0xDFFF) continue;
        char text[4];
        size_t n = gr__utf8_encode(code, text);
        ck_assert_uint_eq(gr__utf8_step(text, n), n);
    }
}
END_TEST

SUITE("utf8", NULL, NULL, sequences_of_each_length_are_valid, malformed_sequences_are_not_valid,
      an_invalid_byte_counts_as_one_character, every_character_encoded_is_valid_and_of_one)
