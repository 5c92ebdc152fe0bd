/* check_assert.h - gradient checks as assertions of Check (libcheck), for your own test suites.
 *
 *     START_TEST(my_layer_has_the_right_gradient)
 *     {
 *         ck_assert_gradcheck_raw(&my_layer);
 *     }
 *     END_TEST
 *
 * Anything but PASS fails the test, INCONCLUSIVE included, with all that the check found. Each has
 * a _with form whose last argument is a gr_check_options:
 *
 *     ck_assert_gradcheck_op_with(&my_op, (gr_check_options){.seed = 7, .order = 2});
 */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_CHECK_ASSERT_H
#define GRADUS_CHECK_ASSERT_H

#include <check.h>
#include <gradus/check.h>
#include <gradus/check_raw.h>
#include <stdio.h>

/* y = f(x), recorded as a graph: see gr_gradcheck */
#define ck_assert_gradcheck(f, user, inputs, n) \
    ck_assert_gradcheck_with(f, user, inputs, n, (gr_check_options){.seed = 0})
#define ck_assert_gradcheck_with(f, user, inputs, n, ...) \
    GR__CK_PASS(#f, gr_gradcheck((f), (user), (inputs), (n), (__VA_ARGS__), &gr__ck))

/* an op at its samples: see gr_gradcheck_op */
#define ck_assert_gradcheck_op(op) ck_assert_gradcheck_op_with(op, (gr_check_options){.seed = 0})
#define ck_assert_gradcheck_op_with(op, ...) \
    GR__CK_PASS(#op, gr_gradcheck_op((op), (__VA_ARGS__), &gr__ck))

/* a module with a batch and a loss (or NULL): see gr_gradcheck_module */
#define ck_assert_gradcheck_module(net, x, loss, user) \
    ck_assert_gradcheck_module_with(net, x, loss, user, (gr_check_options){.seed = 0})
#define ck_assert_gradcheck_module_with(net, x, loss, user, ...) \
    GR__CK_PASS(#net, gr_gradcheck_module((net), (x), (loss), (user), (__VA_ARGS__), &gr__ck))

/* a forward and backward pair of C functions: see gr_gradcheck_raw */
#define ck_assert_gradcheck_raw(raw) \
    ck_assert_gradcheck_raw_with(raw, (gr_check_options){.seed = 0})
#define ck_assert_gradcheck_raw_with(raw, ...) \
    GR__CK_PASS(#raw, gr_gradcheck_raw((raw), (__VA_ARGS__), &gr__ck))

/* --- inside --- */

#define GR__CK_PASS(what, call)                                                               \
    do {                                                                                      \
        gr_check_report gr__ck;                                                               \
        char gr__ck_report[2048];                                                             \
        if ((call) != GR_PASS) ck_abort_msg("%s", gr__ck_text(&gr__ck, what, gr__ck_report)); \
    } while (0)

/* The numbers are there where the check came as far as comparing with differences. */
static inline const char *gr__ck_text(const gr_check_report *r, const char *what, char text[2048])
{
    int n = snprintf(text, 2048, "gradient check of %.200s: %s in stage %s\n  %s\n", what,
                     gr_verdict_name(r->verdict), r->stage, r->message);
    n += snprintf(text + n, 2048 - (size_t)n, "  input %s, order %d, %lld evaluations%s",
                  r->input[0] ? r->input : "all", r->order, (long long)r->evaluations,
                  r->kink ? ", on a kink" : "");
    if (r->h > 0)
        n += snprintf(text + n, 2048 - (size_t)n,
                      "\n  analytic %.12g, numeric %.12g, bound %.3g of scale %.3g"
                      "\n  noise %.3g, error of the differences %.3g, step %.3g",
                      r->analytic, r->numeric, r->bound, r->scale, r->noise, r->error, r->h);
    for (int i = 0; i < r->elements && n < 1800; i++)
        n += snprintf(text + n, 2048 - (size_t)n, "\n  element %s: analytic %.12g, numeric %.12g",
                      r->element[i].where, r->element[i].analytic, r->element[i].numeric);
    return text;
}

#endif
