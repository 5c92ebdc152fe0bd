/* print_tape.c - a tape as a table, a node in full. */
/* SPDX-License-Identifier: MIT */
#include "attributes.h"
#include "print.h"
#include "table.h"

#include <string.h>

/* --- what a node is --- */

static const struct state {
    unsigned flag;
    char letter;
    const char *meaning;
} states[] = {
    {GR_NODE_COMPUTED, 'c', "computed"},
    {GR_NODE_KEPT, 'k', "kept until reset"},
    {GR_NODE_SAVED, 's', "saved until backward"},
    {GR_NODE_GRADIENT, 'g', "a parameter feeds it"},
    {GR_NODE_NO_GRAD, 'n', "no gradient is wanted"},
    {GR_NODE_BACKWARD, 'b', "recorded by a backward rule"},
};
enum { STATES = sizeof states / sizeof *states, PLACE = 160 };

static void add_letters(gr__text *t, const gr_node *node)
{
    for (int i = 0; i < STATES; i++)
        if (gr_node_flags(node) & states[i].flag) gr__text_add(t, "%c", states[i].letter);
}

static void add_meanings(gr__text *t, const gr_node *node)
{
    for (int i = 0; i < STATES; i++)
        if (gr_node_flags(node) & states[i].flag) gr__text_add(t, ", %s", states[i].meaning);
}

/* What a leaf is: a parameter or data; of other nodes the attributes. */
static void add_attributes(gr__text *t, const gr_node *node)
{
    const gr_param *p = gr_node_param(node);
    if (p) gr__text_add(t, "parameter '%s'", gr_param_name(p));
    else gr__attributes_add(t, gr_node_op(node), gr_node_attrs(node));
}

static int output_index(const gr_tensor *x)
{
    const gr_node *maker = gr_node_of(x);
    int i = 0;
    while (i < gr_node_outputs(maker) && gr_node_output(maker, i) != x) i++;
    return i;
}

/* "3", or "3.1" for another output than the first. */
static void add_source(gr__text *t, const gr_tensor *x)
{
    int i = output_index(x);
    gr__text_add(t, "%lld", (long long)gr_node_id(gr_node_of(x)));
    if (i) gr__text_add(t, ".%d", i);
}

static void add_inputs(gr__text *t, const gr_node *node)
{
    for (int i = 0; i < gr_node_inputs(node); i++) {
        if (i) gr__text_add(t, " ");
        add_source(t, gr_node_input(node, i));
    }
}

static void add_shapes(gr__text *t, const gr_node *node)
{
    char shape[GR_SHAPE_TEXT];
    for (int i = 0; i < gr_node_outputs(node); i++)
        gr__text_add(t, "%s%s", i ? " " : "",
                     gr_shape_text(gr_shape_of(gr_node_output(node, i)), shape));
}

static void add_dtypes(gr__text *t, const gr_node *node)
{
    for (int i = 0; i < gr_node_outputs(node); i++)
        gr__text_add(t, "%s%s", i ? " " : "", gr_dtype_name(gr_dtype_of(gr_node_output(node, i))));
}

static void add_id(gr__text *t, const gr_node *node)
{
    gr__text_add(t, "%lld", (long long)gr_node_id(node));
}

static void add_op(gr__text *t, const gr_node *node)
{
    gr__text_add(t, "%s", gr_node_op(node)->name);
}

static void add_scope(gr__text *t, const gr_node *node)
{
    char text[PLACE];
    gr__text_add(t, "%s", gr_node_scope(node, text, sizeof text));
}

static void add_site(gr__text *t, const gr_node *node)
{
    char text[PLACE];
    gr__text_add(t, "%s", gr_node_site(node, text, sizeof text));
}

/* --- a tape --- */

static const struct column {
    const char *title;
    void (*add)(gr__text *t, const gr_node *node);
} columns[] = {
    {"id", add_id},         {"op", add_op},        {"attributes", add_attributes},
    {"inputs", add_inputs}, {"shape", add_shapes}, {"dtype", add_dtypes},
    {"flags", add_letters}, {"scope", add_scope},  {"place", add_site},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void add_cell(gr__table *table, const struct column *c, const gr_node *node)
{
    gr__text cell = {0};
    c->add(&cell, node);
    if (cell.failed) table->cells.failed = true;
    gr__table_cell(table, "%s", cell.len ? cell.data : "");
    gr__text_release(&cell);
}

static void add_legend(gr__text *t)
{
    gr__text_add(t, "\nflags:");
    for (int i = 0; i < STATES; i++)
        gr__text_add(t, "%s %c %s", i ? "," : "", states[i].letter, states[i].meaning);
}

/* Prints a table of all nodes that g has recorded since its reset: number, op, attributes, the
 * numbers of the nodes that it reads ("3.1": output 1 of node 3), shapes, dtypes, flags, scope and
 * place; and the graph's error if it has one. Nothing is computed. GR_ERR_MEMORY, GR_ERR_FILE. */
gr_status gr_print_tape(FILE *out, gr_graph *g)
{
    if (gr__need("gr_print_tape", g, "graph")) return GR_ERR_ARGUMENT;
    gr__table table = {.align = "rllllllll"};
    gr__text t = {0};
    for (int i = 0; i < COLUMNS; i++) gr__table_cell(&table, "%s", columns[i].title);
    for (const gr_node *node = gr_node_first(g); node; node = gr_node_next(node))
        for (int i = 0; i < COLUMNS; i++) add_cell(&table, &columns[i], node);
    gr__table_write(&table, &t);
    gr__table_release(&table);
    add_legend(&t);
    if (gr_graph_error(g)) gr__text_add(&t, "\nerror: %s", gr_graph_error(g));
    return gr__print_text(out, &t, "gr_print_tape", GR_OK);
}

/* --- a node --- */

static void add_tensor(gr__text *t, const char *what, int i, const gr_tensor *x)
{
    char shape[GR_SHAPE_TEXT];
    gr__text_add(t, "\n  %s %d: %s %s", what, i, gr_dtype_name(gr_dtype_of(x)),
                 gr_shape_text(gr_shape_of(x), shape));
}

static void add_line(gr__text *t, const char *title, void (*add)(gr__text *, const gr_node *),
                     const gr_node *node)
{
    gr__text line = {0};
    add(&line, node);
    if (line.failed) t->failed = true;
    if (line.len) gr__text_add(t, "\n  %s: %s", title, line.data);
    gr__text_release(&line);
}

/* Prints all there is to know of a node: op and formula, attributes, what it reads and makes, its
 * state, scope and place. Nothing is computed. GR_ERR_MEMORY, GR_ERR_FILE; GR_ERR_ARGUMENT for
 * NULL, which gr_node_of gives for inert and stale tensors. */
gr_status gr_print_node(FILE *out, const gr_node *node)
{
    gr__text t = {0};
    if (!node) return gr__fail(GR_ERR_ARGUMENT, "gr_print_node: the node is NULL");
    const gr_op *op = gr_node_op(node);
    gr__text_add(&t, "node %lld: %s", (long long)gr_node_id(node), op->name);
    add_meanings(&t, node);
    if (op->formula) gr__text_add(&t, "\n  formula: %s", op->formula);
    add_line(&t, "attributes", add_attributes, node);
    for (int i = 0; i < gr_node_inputs(node); i++) {
        add_tensor(&t, "input", i, gr_node_input(node, i));
        gr__text_add(&t, ", from node ");
        add_source(&t, gr_node_input(node, i));
        gr__text_add(&t, " (%s)", gr_node_op(gr_node_of(gr_node_input(node, i)))->name);
    }
    for (int i = 0; i < gr_node_outputs(node); i++)
        add_tensor(&t, "output", i, gr_node_output(node, i));
    add_line(&t, "scope", add_scope, node);
    add_line(&t, "place", add_site, node);
    return gr__print_text(out, &t, "gr_print_node", GR_OK);
}
