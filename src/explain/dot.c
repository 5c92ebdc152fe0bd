/* dot.c - a tape as a picture, in the language of Graphviz.
 *
 * The forward nodes run down the left side, from the inputs to the loss; the nodes that the VJPs
 * recorded run up the right side, beside what they differentiate. Among these the edges are laid
 * out against their direction, which is what makes them climb. Scopes are frames around their
 * forward nodes.
 */
/* SPDX-License-Identifier: MIT */
#include "attributes.h"
#include "base.h"
#include "text.h"
#include <gradus/explain.h>

#include <string.h>

/* --- kinds of nodes --- */

typedef struct look {
    const char *shape, *fill, *line;
} look;

static const look op_look = {"box", "#eff6ff", "#3b82f6"};
static const look view_look = {"box", "#ffffff", "#93c5fd"};
static const look param_look = {"cylinder", "#fef3c7", "#d97706"};
static const look source_look = {"box, style=\"rounded,filled\"", "#f3f4f6", "#6b7280"};
static const look backward_look = {"box", "#fdf2f8", "#db2777"};
static const look label_look = {"note", "#ecfdf5", "#059669"};

enum { SCOPE = 160 }; /* a longer path is cut off */

typedef struct picture {
    gr__text text;
    const gr_graph *graph;
    gr_dot_options o;
    bool *forward; /* by id: part of the forward computation */
} picture;

/* Backward are the nodes of VJPs, and what only they read: the cotangent that all began with. */
static bool find_forward(picture *p)
{
    size_t n = 0;
    for (const gr_node *node = gr_node_first(p->graph); node; node = gr_node_next(node)) n++;
    p->forward = gr__calloc(n + 1);
    if (!p->forward) return false;
    for (const gr_node *node = gr_node_first(p->graph); node; node = gr_node_next(node)) {
        if (gr_node_is_backward(node)) continue;
        p->forward[gr_node_id(node)] = gr_node_inputs(node) > 0 || gr_node_param(node);
        for (int i = 0; i < gr_node_inputs(node); i++)
            p->forward[gr_node_id(gr_node_of(gr_node_input(node, i)))] = true;
    }
    return true;
}

static bool is_forward(const picture *p, const gr_node *node)
{
    return p->forward[gr_node_id(node)];
}

static const look *look_of(const picture *p, const gr_node *node)
{
    if (gr_node_param(node)) return &param_look;
    if (!is_forward(p, node)) return &backward_look;
    if (gr_node_inputs(node) == 0) return &source_look;
    return gr_node_op(node)->view ? &view_look : &op_look;
}

/* --- text --- */

/* HTML-like labels: what XML reserves, escaped; bytes that are not UTF-8, replaced. */
static void add_escaped(gr__text *t, const char *s)
{
    for (size_t n = strlen(s); n;) {
        size_t step = gr__utf8_step(s, n);
        if (*s == '<') gr__text_add(t, "&lt;");
        else if (*s == '>') gr__text_add(t, "&gt;");
        else if (*s == '&') gr__text_add(t, "&amp;");
        else if (*s == '"') gr__text_add(t, "&quot;");
        else if (!step || (unsigned char)*s < ' ') gr__text_add(t, "?");
        else gr__text_add_bytes(t, s, step);
        s += step ? step : 1;
        n -= step ? step : 1;
    }
}

/* Between quotes: what would end them is replaced. */
static void add_quoted(gr__text *t, const char *s)
{
    for (; *s; s++)
        gr__text_add(t, "%c", *s == '"' || *s == '\\' || (unsigned char)*s < ' ' ? '_' : *s);
}

static const char *param_name(gr_model *m, const gr_param *p)
{
    for (int i = 0; m && i < gr_model_params(m); i++)
        if (gr_model_param(m, i) == p) return gr_model_param_name(m, i);
    return *gr_param_name(p) ? gr_param_name(p) : "parameter";
}

static const char *title_of(const gr_node *node, gr_model *m)
{
    const gr_param *p = gr_node_param(node);
    if (p) return param_name(m, p);
    const char *name = gr_node_op(node)->name;
    return strcmp(name, "leaf") ? name : "data";
}

static void add_outputs(gr__text *t, const gr_node *node)
{
    char shape[GR_SHAPE_TEXT];
    for (int i = 0; i < gr_node_outputs(node); i++) {
        const gr_tensor *y = gr_node_output(node, i);
        gr__text_add(t, "<br/><font point-size=\"9\" color=\"#4b5563\">%s %s</font>",
                     gr_dtype_name(gr_dtype_of(y)), gr_shape_text(gr_shape_of(y), shape));
    }
}

static void add_attributes(gr__text *t, const gr_node *node)
{
    gr__text attributes = {0};
    gr__attributes_add(&attributes, gr_node_op(node), gr_node_attrs(node));
    if (attributes.failed) t->failed = true;
    if (attributes.len) {
        gr__text_add(t, "<br/><font point-size=\"9\" color=\"#9ca3af\">");
        add_escaped(t, attributes.data);
        gr__text_add(t, "</font>");
    }
    gr__text_release(&attributes);
}

/* --- nodes and edges --- */

static void begin_node(gr__text *t, char kind, int64_t id, const look *l)
{
    gr__text_add(t, "  %c%lld [shape=%s, fillcolor=\"%s\", color=\"%s\", label=<", kind,
                 (long long)id, l->shape, l->fill, l->line);
}

static void add_node(picture *p, const gr_node *node)
{
    gr__text *t = &p->text;
    begin_node(t, 'n', gr_node_id(node), look_of(p, node));
    gr__text_add(t, "<b>");
    add_escaped(t, title_of(node, p->o.model));
    gr__text_add(t, "</b>");
    add_outputs(t, node);
    add_attributes(t, node);
    gr__text_add(t, ">];\n");
}

/* One frame within another: "encoder/attn" is "attn" in "encoder". A frame that is opened again is
 * the same one to Graphviz. Returns how many were opened. */
static int open_frames(gr__text *t, char *scope)
{
    int depth = 0;
    for (char *end = scope; end; depth++) {
        char *name = depth ? end + 1 : scope;
        end = strchr(name, '/');
        if (end) *end = 0;
        gr__text_add(t, "  subgraph \"cluster_");
        add_quoted(t, scope);
        gr__text_add(t, "\" { label=<");
        add_escaped(t, name);
        gr__text_add(t, ">; fontsize=10; fontcolor=\"#6b7280\"; color=\"#d1d5db\";");
        if (end) *end = '/';
    }
    return depth;
}

static void add_frame(picture *p, const gr_node *node)
{
    char scope[SCOPE];
    if (!is_forward(p, node) || !*gr_node_scope(node, scope, sizeof scope)) return;
    int depth = open_frames(&p->text, scope);
    gr__text_add(&p->text, " n%lld;", (long long)gr_node_id(node));
    while (depth--) gr__text_add(&p->text, " }");
    gr__text_add(&p->text, "\n");
}

static void add_edge(picture *p, const gr_node *from, const gr_node *to)
{
    long long a = gr_node_id(from), b = gr_node_id(to);
    if (is_forward(p, to)) gr__text_add(&p->text, "  n%lld -> n%lld;\n", a, b);
    else if (is_forward(p, from))
        gr__text_add(&p->text,
                     "  n%lld -> n%lld [style=dashed, color=\"#94a3b8\", "
                     "constraint=false];\n",
                     a, b);
    else gr__text_add(&p->text, "  n%lld -> n%lld [dir=back, color=\"#db2777\"];\n", b, a);
}

static void add_edges(picture *p, const gr_node *node)
{
    for (int i = 0; i < gr_node_inputs(node); i++)
        add_edge(p, gr_node_of(gr_node_input(node, i)), node);
}

static void add_label(picture *p, int number, const gr_label *label)
{
    const gr_node *node = gr_node_of(label->tensor);
    if (!node) return; /* inert */
    long long id = gr_node_id(node);
    begin_node(&p->text, 'l', number, &label_look);
    add_escaped(&p->text, label->text);
    gr__text_add(&p->text, ">];\n");
    if (is_forward(p, node))
        gr__text_add(&p->text, "  n%lld -> l%d [color=\"#059669\"];\n", id, number);
    else gr__text_add(&p->text, "  l%d -> n%lld [dir=back, color=\"#059669\"];\n", number, id);
}

/* --- the picture --- */

static void add_head(picture *p)
{
    gr__text_add(&p->text, "digraph tape {\n"
                           "  graph [fontname=\"Helvetica\", fontsize=16, labelloc=t, nodesep=0.3, "
                           "ranksep=0.35, newrank=true");
    gr__text_add(&p->text, ", label=<<b>");
    add_escaped(&p->text, p->o.title ? p->o.title : "tape");
    gr__text_add(
        &p->text,
        "</b><br/><font point-size=\"10\"><font color=\"#3b82f6\">forward</font>, down;  "
        "<font color=\"#db2777\">recorded by the backward rules</font>, up;  "
        "<font color=\"#64748b\">dashed: the values that they read</font></font><br/> >];\n"
        "  node [fontname=\"Helvetica\", fontsize=11, style=filled, margin=\"0.12,0.06\"];\n"
        "  edge [color=\"#3b82f6\", arrowsize=0.7];\n");
}

static void draw(picture *p)
{
    add_head(p);
    for (const gr_node *n = gr_node_first(p->graph); n; n = gr_node_next(n)) add_node(p, n);
    for (const gr_node *n = gr_node_first(p->graph); n; n = gr_node_next(n)) add_frame(p, n);
    for (const gr_node *n = gr_node_first(p->graph); n; n = gr_node_next(n)) add_edges(p, n);
    for (int i = 0; i < p->o.n_labels; i++) add_label(p, i, &p->o.labels[i]);
    gr__text_add(&p->text, "}\n");
}

/* Writes all that g has recorded since its reset as a picture for Graphviz (dot -Tsvg): ops with
 * the shapes and dtypes of their outputs and their attributes, parameters by name as cylinders,
 * data as parallelograms, nodes recorded by VJPs apart from the others, scopes as frames.
 *
 * path      complete afterwards, or as it was before
 * o.labels  tensors of g with what to call them, drawn as notes
 *
 * Nothing is computed. GR_ERR_STATE for a graph in error, GR_ERR_FILE, GR_ERR_MEMORY. */
gr_status gr_write_dot(const gr_graph *g, const char *path, gr_dot_options o)
{
    if (gr__need("gr_write_dot", g, "graph")) return GR_ERR_ARGUMENT;
    if (gr_graph_status(g))
        return gr__fail(GR_ERR_STATE, "gr_write_dot: the graph is in error: %s", gr_last_error());
    picture p = {.graph = g, .o = o};
    if (!find_forward(&p)) return GR_ERR_MEMORY;
    draw(&p);
    gr_status status = gr__text_save(&p.text, path);
    gr__text_release(&p.text);
    gr__free(p.forward);
    return status;
}
