/* test_json_read.c - what the JSON reader takes and what it rejects. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include "suite.h"

#include <string.h>

/* A reader over a copy that ends exactly where the text ends, so that sanitizers see overreads. */
static char *copy;

static gr__json_reader reader_of(const char *text)
{
    gr__json_reader r;
    size_t n = strlen(text);
    free(copy);
    copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    gr__json_begin(&r, copy, n);
    return r;
}

static void clear(void)
{
    free(copy);
    copy = NULL;
}

static gr_status skim(const char *text)
{
    gr__json_reader r = reader_of(text);
    gr__json_skip(&r);
    return gr__json_end(&r);
}

START_TEST(values_are_read_in_order)
{
    gr__json_reader r = reader_of(
        " { \"n\" : [1, -20, 3] , \"s\":\"x\", \"b\":true, \"f\":2.5e1 } ");
    const char *key, *s;
    int64_t n[3];
    bool b;
    double f;
    int count = 0;
    ck_assert(gr__json_enter_object(&r) && gr__json_next_key(&r, &key));
    ck_assert_str_eq(key, "n");
    for (gr__json_enter_array(&r); gr__json_next_item(&r); count++)
        gr__json_read_int(&r, &n[count]);
    ck_assert_int_eq(count, 3);
    ck_assert_int_eq(n[0] * 10000 + n[1] * 100 + n[2], 10000 - 2000 + 3);
    ck_assert(gr__json_next_key(&r, &key) && gr__json_read_string(&r, &s));
    ck_assert_str_eq(s, "x");
    ck_assert(gr__json_next_key(&r, &key) && gr__json_read_bool(&r, &b) && b);
    ck_assert(gr__json_next_key(&r, &key) && gr__json_read_number(&r, &f));
    ck_assert_double_eq(f, 25);
    ck_assert(!gr__json_next_key(&r, &key));
    ck_assert_int_eq(gr__json_end(&r), GR_OK);
}
END_TEST

START_TEST(escapes_are_decoded_in_place)
{
    gr__json_reader r = reader_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\uDE00\"");
    const char *s;
    ck_assert(gr__json_read_string(&r, &s));
    ck_assert_str_eq(s, "\"\\/\b\f\n\r\t\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
    ck_assert_int_eq(gr__json_end(&r), GR_OK);
}
END_TEST

START_TEST(well_formed_texts_are_taken)
{
    static const char *const good[] = {
        "null",
        "true",
        "[]",
        "{}",
        "[[],[[]],{}]",
        "{\"a\":{\"b\":[1,2.0,\"c\",null]}}",
        "0",
        "-0",
        "1E+5",
        "-0.5e-3",
        "\"\"",
        "  [ 1 , 2 ]\n",
        "123456789012345678901234567890",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(skim(good[i]) == GR_OK, "%s: %s", good[i], gr_last_error());
}
END_TEST

START_TEST(malformed_texts_are_rejected)
{
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "tru",
        "nulls",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{}}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "{\"a\":1]",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "1 2",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "'a'",
        "\"\xFF\"",
        "[1]//",
        "\xEF\xBB\xBF[]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(skim(bad[i]) == GR_ERR_FORMAT, "%s was taken", bad[i]);
}
END_TEST

START_TEST(nesting_is_bounded)
{
    char deep[2 * GR__JSON_DEPTH + 3] = "";
    for (int i = 0; i < GR__JSON_DEPTH; i++) strcat(deep, "[");
    for (int i = 0; i < GR__JSON_DEPTH; i++) strcat(deep, "]");
    ck_assert_int_eq(skim(deep), GR_OK);
    memmove(deep + 1, deep, strlen(deep) + 1);
    ck_assert_int_eq(skim(deep), GR_ERR_FORMAT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "nested too deeply"));
}
END_TEST

static gr_status read_int(const char *text, int64_t *value)
{
    gr__json_reader r = reader_of(text);
    gr__json_read_int(&r, value);
    return gr__json_end(&r);
}

START_TEST(integers_are_told_from_floats_and_must_fit)
{
    int64_t x = 0;
    ck_assert_int_eq(read_int("9223372036854775807", &x), GR_OK);
    ck_assert_int_eq(x, INT64_MAX);
    ck_assert_int_eq(read_int("-9223372036854775808", &x), GR_OK);
    ck_assert_int_eq(x, INT64_MIN);
    static const char *const bad[] = {
        "9223372036854775808", "-9223372036854775809", "1.0", "1e3", "-0", "\"1\"", "true",
        "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(read_int(bad[i], &x) == GR_ERR_FORMAT, "%s was taken", bad[i]);
}
END_TEST

START_TEST(kinds_are_seen_before_reading)
{
    static const struct {
        const char *text;
        gr__json_kind kind;
    } cases[] = {{"1", GR__JSON_INT},     {"-1.5", GR__JSON_FLOAT}, {"\"\"", GR__JSON_STRING},
                 {"[", GR__JSON_ARRAY},   {"{", GR__JSON_OBJECT},   {"false", GR__JSON_BOOL},
                 {"null", GR__JSON_NULL}, {"", GR__JSON_NONE},      {"?", GR__JSON_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr__json_reader r = reader_of(cases[i].text);
        ck_assert_int_eq(gr__json_peek(&r), cases[i].kind);
    }
}
END_TEST

static gr_status read_fields(const char *text)
{
    static const char *const fields[] = {"a", "b"};
    gr__json_reader r = reader_of(text);
    uint32_t seen = 0;
    gr__json_enter_object(&r);
    while (gr__json_next_field(&r, fields, 2, &seen) >= 0) gr__json_skip(&r);
    return gr__json_end(&r);
}

START_TEST(fields_may_not_be_repeated_or_unknown)
{
    ck_assert_int_eq(read_fields("{\"b\":1,\"a\":{\"a\":2}}"), GR_OK);
    ck_assert_int_eq(read_fields("{\"a\":1,\"a\":2}"), GR_ERR_FORMAT);
    ck_assert_int_eq(read_fields("{\"a\":1,\"c\":2}"), GR_ERR_FORMAT);
    ck_assert_int_eq(read_fields("{\"a\":1,\"\\u0061\":2}"), GR_ERR_FORMAT);
}
END_TEST

START_TEST(the_first_error_sticks_and_names_its_place)
{
    gr__json_reader r = reader_of("[1, x]");
    int64_t a, b;
    const char *s;
    gr__json_enter_array(&r);
    ck_assert(gr__json_next_item(&r) && gr__json_read_int(&r, &a) && gr__json_next_item(&r));
    ck_assert(!gr__json_read_int(&r, &b));
    ck_assert_str_eq(gr_last_error(), "JSON, byte 4: expected an integer");
    ck_assert(!gr__json_next_item(&r) && !gr__json_read_string(&r, &s) && !gr__json_skip(&r));
    ck_assert_int_eq(gr__json_end(&r), GR_ERR_FORMAT);
    ck_assert_str_eq(gr_last_error(), "JSON, byte 4: expected an integer");
}
END_TEST

SUITE("json_read", NULL, clear, values_are_read_in_order, escapes_are_decoded_in_place,
      well_formed_texts_are_taken, malformed_texts_are_rejected, nesting_is_bounded,
      integers_are_told_from_floats_and_must_fit, kinds_are_seen_before_reading,
      fields_may_not_be_repeated_or_unknown, the_first_error_sticks_and_names_its_place)
