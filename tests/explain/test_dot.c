/* test_dot.c - pictures of a tape: what is drawn, and that it is drawn whole or not at all. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/explain.h>
#include <stdio.h>
#include <string.h>

static gr_model *m;
static gr_graph *g;
static gr_tensor *loss, *gradient[2];

/* Records the loss of a network with one layer, and its gradients. */
static void setup(void)
{
    scratch_begin();
    m = gr_model_new();
    g = gr_graph_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("fc", gr_linear_layer(m, 3, 2)),
                                              gr_relu_layer(m)));
    loss = gr_sum(gr_forward(net, gr_ones(g, GR_F32, GR_SHAPE(4, 3))), GR_AXES(0, 1), false);
    gr_tensor *w[] = {gr_use(g, gr_model_param(m, 0)), gr_use(g, gr_model_param(m, 1))};
    ck_assert_int_eq(gr_grad(loss, w, 2, gradient), GR_OK);
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_model_free(m);
    scratch_end();
}

/* Writes, and reads back; to be freed. */
static char *drawn(gr_dot_options o)
{
    size_t bytes;
    ck_assert_msg(gr_write_dot(g, scratch_path("t.dot"), o) == GR_OK, "%s", gr_last_error());
    return scratch_read("t.dot", &bytes);
}

static void expect(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part), "expected '%s' in:\n%s", part, text);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

START_TEST(every_node_is_drawn_once_and_every_edge_joins_two)
{
    char *text = drawn((gr_dot_options){0}), name[32];
    int nodes = 0;
    for (const gr_node *n = gr_node_first(g); n; n = gr_node_next(n), nodes++) {
        snprintf(name, sizeof name, "  n%lld [", (long long)gr_node_id(n));
        ck_assert_int_eq(count(text, name), 1);
    }
    for (const char *at = text; (at = strstr(at, " -> n"));) {
        at += strlen(" -> n");
        ck_assert_int_lt(atoi(at), nodes);
    }
    expect(text, "digraph tape {");
    ck_assert_str_eq(text + strlen(text) - 2, "}\n");
    free(text);
}
END_TEST

START_TEST(ops_have_shapes_dtypes_and_attributes)
{
    char *text = drawn((gr_dot_options){0});
    expect(text, "<b>linear</b><br/><font point-size=\"9\" color=\"#4b5563\">float32 [4,2]");
    expect(text, "<b>relu</b>");
    expect(text, "axes 0,1");
    free(text);
}
END_TEST

START_TEST(parameters_have_the_names_of_the_model)
{
    char *own = drawn((gr_dot_options){0}), *full = drawn((gr_dot_options){.model = m});
    expect(own, "<b>weight</b>");
    expect(full, "<b>fc.weight</b>");
    expect(full, "<b>fc.bias</b>");
    free(own);
    free(full);
}
END_TEST

START_TEST(labels_are_notes_and_text_is_escaped)
{
    const gr_label labels[] = {{loss, "loss < 1 & \"small\""}, {gradient[0], "d loss / d w"}};
    char *text = drawn((gr_dot_options){"<title>", NULL, labels, 2});
    expect(text, "loss &lt; 1 &amp; &quot;small&quot;");
    expect(text, "d loss / d w");
    expect(text, "&lt;title&gt;");
    ck_assert_int_eq(count(text, "shape=note"), 2);
    free(text);
}
END_TEST

START_TEST(backward_nodes_are_set_apart)
{
    char *text = drawn((gr_dot_options){0});
    int backward = 0;
    for (const gr_node *n = gr_node_first(g); n; n = gr_node_next(n))
        backward += gr_node_is_backward(n);
    ck_assert_int_gt(backward, 0);
    ck_assert_int_eq(count(text, "fillcolor=\"#fdf2f8\""),
                     backward + 1); /* and what they began with */
    free(text);
}
END_TEST

START_TEST(scopes_are_frames_around_forward_nodes)
{
    gr_scope_begin(g, "outer \"x\"");
    gr_scope_begin(g, "a<b");
    gr_tensor *y = gr_exp(gr_ones(g, GR_F32, GR_SHAPE(2)));
    gr_scope_end(g);
    gr_scope_end(g);
    char *text = drawn((gr_dot_options){0}), node[64];
    expect(text, "  subgraph \"cluster_fc\" { label=<fc>;");
    snprintf(node, sizeof node, "; n%d; } }\n", (int)gr_node_id(gr_node_of(y)));
    expect(text, node);
    expect(text, "subgraph \"cluster_outer _x_\" { label=<outer &quot;x&quot;>;");
    expect(text, "subgraph \"cluster_outer _x_/a<b\" { label=<a&lt;b>;");
    int inside = 0, frames = 0;
    for (const gr_node *n = gr_node_first(g); n; n = gr_node_next(n)) {
        char scope[32];
        inside += !gr_node_is_backward(n) && *gr_node_scope(n, scope, sizeof scope);
    }
    for (const char *at = text; (at = strstr(at, " }\n")); at++) frames++;
    ck_assert_int_eq(frames, inside);
    free(text);
}
END_TEST

START_TEST(a_graph_in_error_is_not_drawn)
{
    gr_add(gr_ones(g, GR_F32, GR_SHAPE(2)), gr_ones(g, GR_F32, GR_SHAPE(3)));
    ck_assert_int_eq(gr_write_dot(g, scratch_path("t.dot"), (gr_dot_options){0}), GR_ERR_STATE);
    ck_assert_int_eq(scratch_files(), 0);
}
END_TEST

START_TEST(what_fails_leaves_no_file)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_status status = gr_write_dot(g, scratch_path("t.dot"), (gr_dot_options){0});
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert_int_eq(scratch_files(), done);
    }
    remove(scratch_path("t.dot"));
    inject_file(INJECT_WRITE, 0);
    ck_assert_int_eq(gr_write_dot(g, scratch_path("t.dot"), (gr_dot_options){0}), GR_ERR_FILE);
    ck_assert_int_eq(scratch_files(), 0);
    inject_end();
    ck_assert_int_eq(gr_write_dot(g, "/nowhere/t.dot", (gr_dot_options){0}), GR_ERR_FILE);
}
END_TEST

SUITE("dot", setup, teardown, every_node_is_drawn_once_and_every_edge_joins_two,
      ops_have_shapes_dtypes_and_attributes, parameters_have_the_names_of_the_model,
      labels_are_notes_and_text_is_escaped, backward_nodes_are_set_apart,
      scopes_are_frames_around_forward_nodes, a_graph_in_error_is_not_drawn,
      what_fails_leaves_no_file)
