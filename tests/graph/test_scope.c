/* test_scope.c - names of parts: who gets them, who shows them, and pairs that do not match. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>

static gr_tensor *ones(int64_t n)
{
    return gr_ones(g, GR_F32, GR_SHAPE(n));
}

static void assert_scope(const gr_node *node, const char *want)
{
    char scope[64];
    gr_node_scope(node, scope, sizeof scope);
    ck_assert_msg(strcmp(scope, want) == 0, "node %d (%s) is in '%s', expected '%s'",
                  (int)gr_node_id(node), gr_node_op(node)->name, scope, want);
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s' in '%s'", part,
                  error ? error : "no error");
}

START_TEST(scopes_nest_and_end)
{
    gr_tensor *before = ones(2);
    gr_scope_begin(g, "encoder");
    gr_tensor *outer = gr_exp(before);
    gr_scope_begin(g, "layer1");
    gr_scope_begin(g, "attn");
    gr_tensor *inner = gr_exp(outer);
    gr_scope_end(g);
    gr_tensor *middle = gr_exp(inner);
    gr_scope_end_named(g, "layer1");
    gr_scope_end(g);
    gr_tensor *after = gr_exp(middle);
    assert_scope(gr_node_of(before), "");
    assert_scope(gr_node_of(outer), "encoder");
    assert_scope(gr_node_of(inner), "encoder/layer1/attn");
    assert_scope(gr_node_of(middle), "encoder/layer1");
    assert_scope(gr_node_of(after), "");
    ck_assert_ptr_null(gr_graph_error(g));
}
END_TEST

START_TEST(names_are_copied)
{
    char name[] = "first";
    gr_scope_begin(g, name);
    gr_tensor *x = ones(1);
    strcpy(name, "other");
    assert_scope(gr_node_of(x), "first");
    gr_scope_end(g);
}
END_TEST

START_TEST(a_small_text_holds_the_beginning)
{
    gr_scope_begin(g, "abc");
    gr_scope_begin(g, "def");
    const gr_node *node = gr_node_of(ones(1));
    const char *const want[] = {"",      "a",      "ab",      "abc",    "abc/",
                                "abc/d", "abc/de", "abc/def", "abc/def"};
    for (size_t size = 1; size <= 9; size++) {
        char text[16] = "0123456789abcde";
        gr_node_scope(node, text, size);
        ck_assert_str_eq(text, want[size - 1]);
        ck_assert_int_eq(text[size], "0123456789abcde"[size]);
    }
    char untouched = 'x';
    gr_node_scope(node, &untouched, 0);
    ck_assert_int_eq(untouched, 'x');
}
END_TEST

START_TEST(backward_nodes_are_where_their_forward_node_is)
{
    gr_tensor *x = ones(3), *dx, *ddx;
    gr_scope_begin(g, "head");
    gr_tensor *y = gr_sin(x);
    gr_scope_end(g);
    gr_scope_begin(g, "elsewhere");
    gr_grad(y, &x, 1, &dx);
    gr_grad(dx, &x, 1, &ddx);
    gr_scope_end(g);
    int backward = 0;
    for (const gr_node *n = gr_node_first(g); n; n = gr_node_next(n)) {
        if (!gr_node_is_backward(n)) continue;
        assert_scope(n, "head");
        backward++;
    }
    ck_assert_int_ge(backward, 4); /* cos, mul; then of both, again */
}
END_TEST

START_TEST(modules_open_a_scope_of_their_name)
{
    gr_model *m = gr_model_new();
    gr_module *inner = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, 2), gr_relu_layer(m)));
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("encoder", inner),
                                              gr_named("head", gr_tanh_layer(m))));
    gr_scope_begin(g, "mine");
    gr_tensor *y = gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(1, 2)));
    gr_scope_end(g);
    ck_assert_ptr_null(gr_graph_error(g));
    const gr_node *head = gr_node_of(y), *relu = gr_node_of(gr_node_input(head, 0));
    assert_scope(head, "mine/head");
    assert_scope(relu, "mine/encoder/1");
    assert_scope(gr_node_of(gr_node_input(relu, 0)), "mine/encoder/0");
    gr_model_free(m);
}
END_TEST

static gr_tensor *leaves_a_scope_open(gr_module *self, gr_tensor *x)
{
    (void)self;
    gr_scope_begin(gr_graph_of(x), "forgotten");
    return gr_exp(x);
}

START_TEST(a_module_that_leaves_a_scope_open_is_an_error)
{
    gr_model *m = gr_model_new();
    gr_module *bad = gr_module_new(m, "careless", leaves_a_scope_open, 0);
    gr_forward(gr_named("bad", bad), ones(2));
    assert_error("cannot end 'bad': the innermost open scope is 'forgotten'");
    gr_model_free(m);
}
END_TEST

START_TEST(errors_name_the_scope_and_the_line)
{
    char place[80];
    gr_scope_begin(g, "encoder");
    gr_scope_begin(g, "attn");
    int line = __LINE__ + 1;
    gr_add(ones(2), ones(3));
    gr_scope_end(g);
    gr_scope_end(g);
    snprintf(place, sizeof place, "(at test_scope.c:%d, in encoder/attn)", line);
    assert_error(place);
    gr_graph_reset(g);
    gr_add(ones(2), ones(3));
    ck_assert_ptr_null(strstr(gr_graph_error(g), ", in "));
}
END_TEST

START_TEST(errors_of_evaluation_name_the_scope_of_the_node)
{
    static const double zeros[64 * 64]; /* too large to be computed when recorded */
    gr_scope_begin(g, "solver");
    gr_tensor *x = gr_inverse(gr_from_data(g, GR_F64, GR_SHAPE(64, 64), zeros));
    gr_scope_end(g);
    gr_scope_begin(g, "elsewhere");
    ck_assert_ptr_null(gr_data(x));
    gr_scope_end(g);
    assert_error(", in solver)");
}
END_TEST

START_TEST(an_end_without_a_begin_is_an_error)
{
    gr_scope_begin(g, "a");
    gr_scope_end(g);
    gr_scope_end(g);
    assert_error("gr_scope_end: no scope is open (at test_scope.c:");
    gr_graph_reset(g);
    gr_scope_end_named(g, "b");
    assert_error("gr_scope_end_named: cannot end 'b': no scope is open");
    gr_graph_reset(g);
    gr_no_grad_end(g);
    assert_error("gr_no_grad_end: no scope is open");
}
END_TEST

START_TEST(an_end_out_of_order_is_an_error)
{
    gr_scope_begin(g, "a");
    gr_scope_begin(g, "b");
    gr_scope_end_named(g, "a");
    assert_error("gr_scope_end_named: cannot end 'a': the innermost open scope is 'b'");
    gr_graph_reset(g);
    gr_scope_begin(g, "a");
    gr_scope_end_named(g, NULL);
    assert_error("cannot end 'NULL'");
}
END_TEST

START_TEST(a_scope_left_open_is_an_error_after_the_reset)
{
    char place[64];
    gr_scope_begin(g, "a");
    int line = __LINE__ + 1;
    gr_scope_begin(g, "b");
    gr_graph_reset(g);
    assert_error("gr_graph_reset: the scope 'a/b' was left open");
    snprintf(place, sizeof place, "test_scope.c:%d", line);
    assert_error(place);
    gr_graph_reset(g); /* it was the error's scope, not that of what follows */
    ck_assert_ptr_null(gr_graph_error(g));
    assert_scope(gr_node_of(ones(1)), "");
}
END_TEST

START_TEST(whoever_leaves_because_of_an_error_may_leave_scopes_open)
{
    gr_scope_begin(g, "a");
    gr_add(ones(2), ones(3));
    gr_graph_reset(g);
    ck_assert_ptr_null(gr_graph_error(g));
}
END_TEST

START_TEST(a_scope_without_a_name_is_an_error_and_still_pairs)
{
    const char *const names[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        gr_scope_begin(g, "a");
        gr_scope_begin(g, names[i]);
        gr_scope_begin(g, "b");
        gr_scope_end_named(g, "b");
        gr_scope_end(g);
        gr_scope_end_named(g, "a");
        assert_error("gr_scope_begin: expected a name, got");
        gr_graph_reset(g);
        ck_assert_ptr_null(gr_graph_error(g));
    }
}
END_TEST

START_TEST(a_scope_that_finds_no_memory_is_an_error)
{
    inject_begin();
    gr_graph *own = gr_graph_new();
    inject_allocation(0);
    gr_scope_begin(own, "a");
    inject_none();
    ck_assert_int_eq(gr_graph_status(own), GR_ERR_MEMORY);
    gr_scope_end(own);
    gr_graph_free(own);
    ck_assert_int_eq(inject_live(), 0);
    inject_allocation(0);
    gr_graph *inert = gr_graph_new();
    inject_none();
    gr_scope_begin(inert, "a");
    gr_scope_end(inert);
    gr_scope_end_named(inert, "a");
    gr_graph_reset(inert);
    inject_end();
}
END_TEST

SUITE("scope", setup, teardown, scopes_nest_and_end, names_are_copied,
      a_small_text_holds_the_beginning, backward_nodes_are_where_their_forward_node_is,
      modules_open_a_scope_of_their_name, a_module_that_leaves_a_scope_open_is_an_error,
      errors_name_the_scope_and_the_line, errors_of_evaluation_name_the_scope_of_the_node,
      an_end_without_a_begin_is_an_error, an_end_out_of_order_is_an_error,
      a_scope_left_open_is_an_error_after_the_reset,
      whoever_leaves_because_of_an_error_may_leave_scopes_open,
      a_scope_without_a_name_is_an_error_and_still_pairs, a_scope_that_finds_no_memory_is_an_error)
