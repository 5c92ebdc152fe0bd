/* test_catalogue.c - the list of ops as JSON. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "json.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>

/* To be freed. */
static char *listed(const gr_op *op)
{
    size_t n = gr_ops_json(op, NULL, 0);
    char *text = malloc(n + 1);
    ck_assert_uint_eq(gr_ops_json(op, text, n + 1), n);
    ck_assert_uint_eq(strlen(text), n);
    return text;
}

START_TEST(one_op_says_all_that_a_binding_needs)
{
    char *text = listed(gr_op_find("huber"));
    const char *expected =
        "{\"ops\":[{\"name\":\"huber\",\"family\":\"loss_regression\",\"inputs\":2,\"optional\":0,"
        "\"outputs\":1,\"attributes\":[{\"name\":\"reduction\",\"type\":\"enum\",\"count\":1,"
        "\"values\":[\"mean\",\"sum\",\"none\"]},{\"name\":\"delta\",\"type\":\"float64\","
        "\"count\":1}],\"differentiable\":true,\"by_definition\":true,\"formula\":\"";
    ck_assert_msg(!strncmp(text, expected, strlen(expected)), "expected %s..., got %s", expected,
                  text);
    free(text);
}
END_TEST

START_TEST(all_ops_are_listed_in_order)
{
    char *text = listed(NULL), *at = text;
    for (int i = 0; i < gr_op_count(); i++) {
        char head[96];
        snprintf(head, sizeof head, "{\"name\":\"%s\",\"family\":", gr_op_at(i)->name);
        char *found = strstr(at, head);
        ck_assert_msg(found != NULL, "expected %s after %.60s", head, at);
        at = found + 1;
    }
    free(text);
}
END_TEST

START_TEST(the_list_is_json)
{
    char *text = listed(NULL);
    gr__json_reader r;
    gr__json_begin(&r, text, strlen(text));
    gr__json_skip(&r);
    ck_assert_msg(gr__json_end(&r) == GR_OK, "%s", gr_last_error());
    free(text);
}
END_TEST

START_TEST(a_short_buffer_gets_the_beginning)
{
    char *whole = listed(gr_op_find("tanh")), text[9] = "????????";
    ck_assert_uint_eq(gr_ops_json(gr_op_find("tanh"), text, sizeof text), strlen(whole));
    ck_assert_str_eq(text, "{\"ops\":[");
    ck_assert_uint_eq(gr_ops_json(gr_op_find("tanh"), text, 1), strlen(whole));
    ck_assert_str_eq(text, "");
    free(whole);
}
END_TEST

START_TEST(a_failed_allocation_gives_0)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        size_t length = gr_ops_json(NULL, NULL, 0);
        done = !inject_happened();
        inject_none();
        ck_assert_msg((length > 0) == done, "allocation %d", (int)n);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("catalogue", NULL, NULL, one_op_says_all_that_a_binding_needs, all_ops_are_listed_in_order,
      the_list_is_json, a_short_buffer_gets_the_beginning, a_failed_allocation_gives_0)
