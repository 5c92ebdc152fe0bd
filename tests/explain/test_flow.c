/* test_flow.c - norms of values and gradients, and what is said of them. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static gr_graph *g;
static gr_model *m;
static gr_flow f;

static void setup(void)
{
    scratch_begin();
    g = gr_graph_new();
    m = gr_model_new();
    f = (gr_flow){.n = 0};
}

static void teardown(void)
{
    gr_flow_release(&f);
    gr_graph_free(g);
    gr_model_free(m);
    scratch_end();
}

static void measure(gr_tensor *loss, gr_flow_by by)
{
    gr_flow_release(&f);
    ck_assert_msg(gr_flow_measure(loss, (gr_flow_options){.by = by}, &f) == GR_OK, "%s",
                  gr_last_error());
}

static const gr_flow_row *row(const char *name)
{
    for (int i = 0; i < f.n; i++)
        if (!strcmp(f.rows[i].name, name)) return &f.rows[i];
    ck_abort_msg("no row %s", name);
    return NULL;
}

static void expect(double got, double expected, const char *what)
{
    ck_assert_msg(fabs(got - expected) <= 1e-6 * fabs(expected), "%s: expected %g, got %g", what,
                  expected, got);
}

/* A parameter of n elements of one value, used on g. */
static gr_tensor *parameter(const char *name, int64_t n, double value)
{
    gr_param *p = gr_param_new(name, GR_F64, (gr_shape){1, {n}}, NULL);
    for (int64_t i = 0; i < n; i++) ((double *)gr_param_write(p))[i] = value;
    gr_tensor *t = gr_use(g, p);
    gr_param_release(p);
    return t;
}

START_TEST(norms_are_those_of_values_and_gradients)
{
    gr_tensor *x = parameter("x", 4, 3);
    measure(gr_sum_all(gr_square(x)), GR_FLOW_NODES);
    ck_assert_int_eq(f.n, 2);
    expect(row("square")->value, 18, "|x^2|");         /* 4 elements of 9 */
    expect(row("square")->gradient, 2, "|d / d x^2|"); /* 4 ones */
    expect(row("sum")->value, 36, "|sum|");
    expect(row("sum")->gradient, 1, "|d / d sum|");
    measure(gr_sum_all(gr_square(x)), GR_FLOW_PARAMS);
    ck_assert_int_eq(f.n, 1);
    expect(row("x")->value, 6, "|x|");
    expect(row("x")->gradient, 12, "|2 x|");
    ck_assert_int_eq(row("x")->numel, 4);
}
END_TEST

START_TEST(large_numbers_of_float32_do_not_overflow)
{
    gr_tensor *x = gr_full(g, GR_F32, GR_SHAPE(100), 1e30);
    measure(gr_sum_all(gr_neg(x)), GR_FLOW_NODES);
    expect(row("neg")->value, 1e31, "|-x|");
    ck_assert_int_eq(row("neg")->state, GR_FLOW_FINE);
}
END_TEST

/* n layers of y = f(a y). */
static gr_tensor *chain(int n, double a, gr_tensor *(*function)(gr_tensor *))
{
    gr_tensor *y = parameter("x", 8, 0.5);
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", i);
        gr_scope_begin(g, name);
        y = function(gr_scale(y, a));
        gr_scope_end(g);
    }
    return gr_sum_all(y);
}

START_TEST(saturated_layers_make_gradients_vanish)
{
    measure(chain(20, 1, gr_sigmoid), GR_FLOW_SCOPES);
    ck_assert_int_eq(f.n, 20);
    ck_assert_str_eq(f.rows[0].name, "layer0");
    ck_assert_int_eq(row("layer0")->state, GR_FLOW_VANISHING);
    ck_assert_int_eq(row("layer19")->state, GR_FLOW_FINE);
    expect(row("layer19")->relative, 1, "beside itself");
    ck_assert_int_gt(f.count[GR_FLOW_VANISHING], 5);
    for (int i = 1; i < f.n; i++) ck_assert_double_lt(f.rows[i - 1].gradient, f.rows[i].gradient);
}
END_TEST

START_TEST(large_weights_make_gradients_explode)
{
    measure(chain(10, 10, gr_neg), GR_FLOW_SCOPES);
    expect(row("layer0")->gradient, 1e9 * sqrt(8), "first gradient");
    ck_assert_int_eq(row("layer0")->state, GR_FLOW_EXPLODING);
    ck_assert_int_eq(f.count[GR_FLOW_EXPLODING], 5); /* beyond 10^4 */
}
END_TEST

START_TEST(thresholds_can_be_chosen)
{
    gr_tensor *loss = chain(3, 10, gr_neg);
    const gr_flow_options strict = {GR_FLOW_SCOPES, .exploding = 50};
    ck_assert_int_eq(gr_flow_measure(loss, strict, &f), GR_OK);
    ck_assert_int_eq(f.count[GR_FLOW_EXPLODING], 1);
    gr_flow_release(&f);
    const gr_flow_options wrong = {GR_FLOW_SCOPES, .vanishing = 2};
    ck_assert_int_eq(gr_flow_measure(loss, wrong, &f), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(
        strstr(gr_last_error(), "0 < vanishing < 1 < exploding, got 2 and 10000"));
}
END_TEST

START_TEST(dead_units_and_unused_parameters_get_no_gradient)
{
    gr_tensor *x = parameter("x", 4, -1), *unused = parameter("unused", 3, 1);
    gr_exp(x); /* leads nowhere */
    gr_tensor *loss = gr_add(gr_sum_all(gr_relu(x)), gr_sum_all(gr_detach(unused)));
    measure(loss, GR_FLOW_PARAMS);
    ck_assert_int_eq(f.count[GR_FLOW_NONE], 2);
    measure(loss, GR_FLOW_NODES);
    ck_assert_int_eq(row("relu")->state, GR_FLOW_FINE);
    expect(row("relu")->zeros, 1, "share of zeros");
    for (int i = 0; i < f.n; i++)
        ck_assert_msg(strcmp(f.rows[i].name, "exp"), "a row for what the loss does not follow");
}
END_TEST

START_TEST(what_is_not_finite_is_said)
{
    gr_tensor *x = parameter("x", 4, 0);
    measure(gr_sum_all(gr_sqrt(gr_neg(x))), GR_FLOW_PARAMS);
    ck_assert_int_eq(row("x")->state, GR_FLOW_NOT_FINITE);
    ck_assert_str_eq(gr_flow_state_name(row("x")->state), "not finite");
    ck_assert_str_eq(gr_flow_state_name((gr_flow_state)99), "?");
}
END_TEST

START_TEST(a_model_is_measured_by_layers_and_by_parameters)
{
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("fc1", gr_linear_layer(m, 3, 5)),
                                              gr_relu_layer(m),
                                              gr_named("fc2", gr_linear_layer(m, 5, 2))));
    gr_tensor *loss = gr_mean_all(gr_square(gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(4, 3)))));
    measure(loss, GR_FLOW_PARAMS);
    ck_assert_int_eq(f.n, 4);
    ck_assert_int_eq(row("fc1/weight")->numel, 15);
    ck_assert_double_gt(row("fc2/bias")->gradient, 0);
    measure(loss, GR_FLOW_SCOPES);
    ck_assert_int_eq(f.n, 3);
    ck_assert_int_eq(row("fc2")->numel, 8);
    ck_assert_int_eq(gr_backward(loss), GR_OK); /* is not disturbed */
}
END_TEST

/* --- reports --- */

START_TEST(the_table_has_a_line_per_row_and_a_sum)
{
    measure(chain(20, 1, gr_sigmoid), GR_FLOW_SCOPES);
    size_t n = gr_flow_text(&f, NULL, 0);
    char *text = malloc(n + 1);
    ck_assert_uint_eq(gr_flow_text(&f, text, n + 1), n);
    int lines = 0;
    for (const char *s = text; (s = strchr(s, '\n')); s++) lines++;
    ck_assert_int_eq(lines, 20 + 3);
    ck_assert_ptr_nonnull(strstr(text, "\nlayer0 "));
    ck_assert_ptr_nonnull(strstr(text, "vanishing\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n20 rows, "));
    free(text);
}
END_TEST

static char *plotted(void)
{
    size_t bytes;
    ck_assert_msg(gr_flow_plot(&f, "a <title>", scratch_path("f.svg")) == GR_OK, "%s",
                  gr_last_error());
    return scratch_read("f.svg", &bytes);
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

START_TEST(the_picture_has_two_bars_per_row)
{
    measure(chain(20, 1, gr_sigmoid), GR_FLOW_SCOPES);
    char *svg = plotted();
    ck_assert_int_eq(occurrences(svg, "height=\"12.0\""), 2 * 20);
    ck_assert_int_eq(occurrences(svg, "layer"), 20);
    ck_assert_ptr_nonnull(strstr(svg, "a &lt;title&gt;"));
    ck_assert_str_eq(svg + strlen(svg) - 7, "</svg>\n");
    free(svg);
}
END_TEST

START_TEST(nothing_and_what_is_not_finite_can_be_drawn_too)
{
    char *svg = plotted();
    ck_assert_ptr_nonnull(strstr(svg, "</svg>"));
    free(svg);
    measure(gr_sum_all(gr_log(gr_neg(parameter("x", 4, 1)))), GR_FLOW_NODES);
    svg = plotted();
    ck_assert_int_ge(occurrences(svg, "not finite"), 2);
    ck_assert_ptr_null(strstr(svg, "\"nan\""));
    free(svg);
}
END_TEST

/* --- failures --- */

START_TEST(a_loss_that_cannot_be_used_is_an_error)
{
    ck_assert_int_eq(gr_flow_measure(NULL, (gr_flow_options){0}, &f), GR_ERR_ARGUMENT);
    gr_tensor *x = parameter("x", 4, 1), *loss = gr_sum_all(x);
    gr_tensor *whole = gr_cast(x, GR_I64);
    ck_assert_int_eq(gr_flow_measure(whole, (gr_flow_options){0}, &f), GR_ERR_ARGUMENT);
    gr_graph_reset(g);
    ck_assert_int_ne(gr_flow_measure(loss, (gr_flow_options){0}, &f), GR_OK); /* stale */
    ck_assert_int_ne(gr_flow_measure(gr_sum_all(loss), (gr_flow_options){0}, &f), GR_OK);
    ck_assert_int_eq(f.n, 0);
    ck_assert_int_eq(gr_flow_plot(&f, NULL, scratch_path("none/f.svg")), GR_ERR_FILE);
}
END_TEST

START_TEST(failed_allocations_are_errors_and_leak_nothing)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_graph *own = gr_graph_new();
        gr_tensor *x = gr_ones(own, GR_F64, GR_SHAPE(2000));
        gr_tensor *loss = gr_sum_all(gr_tanh(gr_exp(x)));
        inject_allocation(n);
        gr_status status = gr_flow_measure(loss, (gr_flow_options){0}, &f);
        bool told = gr_flow_text(&f, NULL, 0) > 0;
        done = !inject_happened();
        inject_none();
        ck_assert_msg((status == GR_OK && told) == done, "allocation %d", (int)n);
        gr_flow_release(&f);
        gr_graph_free(own);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("flow", setup, teardown, norms_are_those_of_values_and_gradients,
      large_numbers_of_float32_do_not_overflow, saturated_layers_make_gradients_vanish,
      large_weights_make_gradients_explode, thresholds_can_be_chosen,
      dead_units_and_unused_parameters_get_no_gradient, what_is_not_finite_is_said,
      a_model_is_measured_by_layers_and_by_parameters, the_table_has_a_line_per_row_and_a_sum,
      the_picture_has_two_bars_per_row, nothing_and_what_is_not_finite_can_be_drawn_too,
      a_loss_that_cannot_be_used_is_an_error, failed_allocations_are_errors_and_leak_nothing)
