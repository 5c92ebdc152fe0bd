/* test_call.c - ops called by name, their attributes from JSON. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>

static gr_tensor *numbers(void)
{
    return gr_from_data(g, GR_F64, GR_SHAPE(2, 3), (const double[]){1, 2, 3, 4, 6, 9});
}

static gr_tensor *call(const char *op, const char *json)
{
    gr_tensor *x = numbers();
    return gr_apply_json(NULL, op, &x, 1, json);
}

static void expect_values(gr_tensor *y, const double *expected, int n)
{
    const double *got = gr_data(y);
    ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
    ck_assert_int_eq(gr_numel(y), n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(got[i] == expected[i], "element %d: expected %g, got %g", i, expected[i],
                      got[i]);
}

START_TEST(attributes_of_every_json_type_are_taken)
{
    expect_values(call("sum", "{\"axes\": [1], \"keepdim\": true}"), (const double[]){6, 19}, 2);
    expect_values(call("scale", "{\"value\": 0.5}"), (const double[]){.5, 1, 1.5, 2, 3, 4.5}, 6);
    expect_values(call("scale", "{\"value\": 2}"), (const double[]){2, 4, 6, 8, 12, 18}, 6);
    ck_assert_int_eq(gr_shape_of(call("argmax", "{\"axis\":-2}"))->dim[0], 3);
    ck_assert_int_eq(gr_dtype_of(call("cast", "{\"dtype\":\"int64\"}")), GR_I64);
    expect_values(call("square", NULL), (const double[]){1, 4, 9, 16, 36, 81}, 6);
    ck_assert_int_eq(gr_shape_of(call("sum", "{\"axes\":[],\"keepdim\":true}"))->rank, 2);
}
END_TEST

START_TEST(several_inputs_and_none_are_taken)
{
    gr_tensor *x = numbers(), *in[] = {x, x};
    expect_values(gr_apply_json(g, "einsum", in, 2, "{\"equation\":\"ij,ij->i\"}"),
                  (const double[]){14, 133}, 2);
    expect_values(gr_apply_json(g, "arange", NULL, 0,
                                "{\"dtype\":\"float64\",\"stop\":3,\"step\":1}"),
                  (const double[]){0, 1, 2}, 3);
}
END_TEST

static void expect_error(const char *op, const char *json, const char *expected)
{
    gr_graph_reset(g);
    call(op, json);
    const char *got = gr_graph_error(g) ? gr_graph_error(g) : "no error";
    ck_assert_msg(strstr(got, expected), "%s %s: expected '%s', got '%s'", op, json, expected, got);
}

START_TEST(what_cannot_be_used_is_an_error_of_the_graph)
{
    expect_error("sun", "{}", "gr_apply_json: no op is called 'sun'");
    expect_error(NULL, "{}", "gr_apply_json: no op is called 'NULL'");
    expect_error("sum", "{\"axis\":1}", "sum: no attribute 'axis'; its attributes: axes, keepdim");
    expect_error("sum", "{\"keepdim\":1.5}", "attribute keepdim: expected bool, got floating");
    expect_error("sum", "{\"keepdim\":\"yes\"}", "attribute keepdim: expected bool, got 'yes'");
    expect_error("sum", "{\"axes\":[1,[2]]}", "sum: its attributes: JSON, byte ");
    expect_error("sum", "{\"axes\":null}", "sum: its attributes: JSON, byte ");
    expect_error("sum", "{\"axes\":[1],\"axes\":[0]}", "an attribute is given twice");
    expect_error("sum", "{\"axes\":[1]", "sum: its attributes: JSON, byte 11");
    expect_error("sum", "{\"axes\":[1]} x", "sum: its attributes: JSON, byte 13");
    expect_error("sum", "[1]", "sum: its attributes: JSON, byte 0");
    expect_error("sum", "", "sum: its attributes: JSON, byte 0");
    expect_error("sum", "{\"axes\":[0,0,0,0,0,0,0,0,0]}",
                 "axes: expected at most 8 axes, got 9 values");
    char many[128] = "{\"axes\":[0";
    for (int i = 0; i < 40; i++) strcat(many, ",0");
    expect_error("sum", strcat(many, "]}"), "too many values");
}
END_TEST

START_TEST(an_error_names_the_line_of_the_caller)
{
    gr_tensor *x = numbers();
    char place[64];
    snprintf(place, sizeof place, "test_call.c:%d)", __LINE__ + 1);
    gr_apply_json(NULL, "sum", &x, 1, "{\"axes\":[7]}");
    const char *error = gr_graph_error(g);
    ck_assert_msg(strstr(error, place), "expected %s in %s", place, error);
}
END_TEST

START_TEST(failed_allocations_are_errors_and_leak_nothing)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_graph *own = gr_graph_new();
        gr_tensor *x = gr_ones(own, GR_F64, GR_SHAPE(2, 3));
        inject_allocation(n);
        gr_tensor *y = gr_apply_json(NULL, "sum", &x, 1, "{\"axes\":[1]}");
        done = !inject_happened();
        inject_none();
        ck_assert_msg((gr_graph_status(own) == GR_OK) == done, "allocation %d", (int)n);
        ck_assert_int_eq(gr_shape_of(y)->rank, done ? 1 : 0);
        gr_graph_free(own);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("call", setup, teardown, attributes_of_every_json_type_are_taken,
      several_inputs_and_none_are_taken, what_cannot_be_used_is_an_error_of_the_graph,
      an_error_names_the_line_of_the_caller, failed_allocations_are_errors_and_leak_nothing)
