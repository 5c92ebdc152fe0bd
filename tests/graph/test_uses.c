/* test_uses.c - how long a graph holds the parameters that it used. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>

enum { MANY = 300, STEPS = 40 };

static gr_param *number(double value)
{
    return gr_param_new("p", GR_F64, GR_SCALAR, &value);
}

START_TEST(a_released_parameter_lives_as_long_as_its_tensor)
{
    gr_graph *g = gr_graph_new();
    gr_param *p = number(3);
    gr_tensor *t = gr_use(g, p);
    gr_param_release(p);
    ck_assert_double_eq(gr_item(t), 3);
    gr_graph_free(g);
}
END_TEST

START_TEST(a_parameter_is_given_back_by_the_first_reset_after_a_step_without_it)
{
    inject_begin();
    gr_graph *g = gr_graph_new();
    gr_param *kept = number(1), *p = number(2);
    gr_use(g, kept);
    gr_use(g, p);
    gr_graph_reset(g);
    const int64_t with = inject_live();
    gr_param_release(p);
    ck_assert_double_eq(gr_item(gr_use(g, kept)), 1);
    ck_assert_int_eq(inject_live(), with);
    gr_graph_reset(g);
    ck_assert_int_lt(inject_live(), with);
    ck_assert_double_eq(gr_item(gr_use(g, kept)), 1);
    gr_graph_free(g);
    gr_param_release(kept);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

/* Each step uses some of many and forgets others: the table of uses grows, shrinks and moves. */
START_TEST(any_parameters_come_and_go)
{
    inject_begin();
    gr_graph *g = gr_graph_new();
    gr_param *p[MANY];
    for (int i = 0; i < MANY; i++) p[i] = number(i);
    for (int step = 0; step < STEPS; step++) {
        gr_graph_reset(g);
        for (int i = 0; i < MANY; i++) {
            if ((i * 7 + step * step) % 5 > step % 4) continue;
            gr_tensor *t = gr_use(g, p[i]);
            ck_assert_ptr_eq(gr_use(g, p[i]), t);
            ck_assert_double_eq(gr_item(t), i);
        }
    }
    for (int i = 0; i < MANY; i++) gr_param_release(p[i]);
    gr_graph_reset(g);
    gr_graph_reset(g); /* of a step that used none */
    gr_param *last = number(-1);
    ck_assert_double_eq(gr_item(gr_use(g, last)), -1);
    gr_graph_free(g);
    gr_param_release(last);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(a_binding_ends_with_the_reset)
{
    gr_graph *g = gr_graph_new();
    gr_param *p = number(5);
    gr_tensor *t = gr_scalar(g, GR_F64, 7);
    gr_bind(g, p, t);
    ck_assert_ptr_eq(gr_use(g, p), t);
    gr_graph_reset(g);
    ck_assert_double_eq(gr_item(gr_use(g, p)), 5);
    gr_graph_free(g);
    gr_param_release(p);
}
END_TEST

SUITE("uses", NULL, NULL, a_released_parameter_lives_as_long_as_its_tensor,
      a_parameter_is_given_back_by_the_first_reset_after_a_step_without_it,
      any_parameters_come_and_go, a_binding_ends_with_the_reset)
