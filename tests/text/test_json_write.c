/* test_json_write.c - what the JSON writer writes. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "json.h"
#include "suite.h"

#include <math.h>

static void write_sample(gr__text *t, int indent)
{
    gr__json_writer w = {.out = t, .indent = indent};
    gr__json_object(&w, NULL);
    gr__json_int(&w, "epoch", -3);
    gr__json_array(&w, "loss");
    gr__json_number(&w, NULL, 0.5);
    gr__json_number(&w, NULL, NAN);
    gr__json_object(&w, NULL);
    gr__json_close(&w);
    gr__json_close(&w);
    gr__json_bool(&w, "done", true);
    gr__json_string(&w, "note", NULL);
    gr__json_close(&w);
}

START_TEST(nested_values_on_one_line)
{
    gr__text t = {0};
    write_sample(&t, 0);
    ck_assert_str_eq(t.data, "{\"epoch\":-3,\"loss\":[0.5,null,{}],\"done\":true,\"note\":null}");
    gr__text_release(&t);
}
END_TEST

START_TEST(nested_values_with_indentation)
{
    gr__text t = {0};
    write_sample(&t, 2);
    ck_assert_str_eq(t.data,
                     "{\n  \"epoch\": -3,\n  \"loss\": [\n    0.5,\n    null,\n    {}\n  ],\n"
                     "  \"done\": true,\n  \"note\": null\n}");
    gr__text_release(&t);
}
END_TEST

START_TEST(strings_are_escaped_and_made_valid)
{
    gr__text t = {0};
    gr__json_writer w = {.out = &t};
    gr__json_string(&w, NULL, "a\"b\\c\n\x01\xC3\xA4\xFF");
    ck_assert_str_eq(t.data, "\"a\\\"b\\\\c\\n\\u0001\xC3\xA4\xEF\xBF\xBD\"");
    gr__text_release(&t);
}
END_TEST

START_TEST(a_failed_allocation_shows_in_the_text_and_leaks_nothing)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr__text t = {0};
        inject_allocation(n);
        write_sample(&t, 2);
        done = !inject_happened();
        ck_assert_int_eq(t.failed, !done);
        gr__text_release(&t);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("json_write", NULL, NULL, nested_values_on_one_line, nested_values_with_indentation,
      strings_are_escaped_and_made_valid, a_failed_allocation_shows_in_the_text_and_leaks_nothing)
