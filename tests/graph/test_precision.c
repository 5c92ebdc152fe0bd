/* test_precision.c - when a graph's precision may be set, and what is said of it. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <string.h>

START_TEST(a_new_graph_is_of_float32)
{
    ck_assert_int_eq(gr_graph_precision(g), GR_PRECISION_FLOAT32);
}
END_TEST

START_TEST(the_precision_in_effect_is_what_the_processor_has)
{
    gr_precision best = gr_has_bfloat16() ? GR_PRECISION_BFLOAT16 : GR_PRECISION_FLOAT32;
    gr_graph_set_precision(g, GR_PRECISION_BFLOAT16);
    ck_assert_int_eq(gr_graph_precision(g), best);
    gr_ones(g, GR_F32, GR_SHAPE(3));
    gr_graph_reset(g);
    ck_assert_int_eq(gr_graph_precision(g), best);
    gr_graph_set_precision(g, GR_PRECISION_FLOAT32);
    ck_assert_int_eq(gr_graph_precision(g), GR_PRECISION_FLOAT32);
    ck_assert_ptr_null(gr_graph_error(g));
}
END_TEST

START_TEST(it_is_not_changed_in_the_middle_of_a_tape)
{
    gr_ones(g, GR_F32, GR_SHAPE(3));
    gr_graph_set_precision(g, GR_PRECISION_FLOAT32); /* no change */
    ck_assert_int_eq(gr_graph_status(g), GR_OK);
    gr_graph_set_precision(g, GR_PRECISION_BFLOAT16);
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_STATE);
    ck_assert_msg(strstr(gr_graph_error(g), "after something was recorded") != NULL, "got %s",
                  gr_graph_error(g));
    gr_graph_reset(g);
    ck_assert_int_eq(gr_graph_precision(g), GR_PRECISION_FLOAT32);
}
END_TEST

START_TEST(no_graph_is_of_float32)
{
    gr_graph_set_precision(NULL, GR_PRECISION_BFLOAT16);
    ck_assert_int_eq(gr_graph_precision(NULL), GR_PRECISION_FLOAT32);
}
END_TEST

START_TEST(an_unknown_precision_is_an_error)
{
    gr_graph_set_precision(g, (gr_precision)7);
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_graph_precision(g), GR_PRECISION_FLOAT32);
}
END_TEST

SUITE("precision", setup, teardown, a_new_graph_is_of_float32,
      the_precision_in_effect_is_what_the_processor_has, it_is_not_changed_in_the_middle_of_a_tape,
      no_graph_is_of_float32, an_unknown_precision_is_an_error)
