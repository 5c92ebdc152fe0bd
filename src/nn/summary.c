/* summary.c - what a model consists of, as a table: recorded once, computed never. */
/* SPDX-License-Identifier: MIT */
#include "model.h"
#include "table.h"

#include <gradus/op.h>
#include <math.h>
#include <stdio.h>

typedef struct row {
    gr_module *module;
    gr_shape y;
    bool ran;
    double flops; /* of what it records itself, not in its children */
    int caller;   /* the row that was current when it began */
} row;

typedef struct summary {
    gr_graph *g;
    row *rows;
    int n, current;      /* current -1: none */
    const gr_node *last; /* the newest node that was counted */
} summary;

/* --- watching --- */

/* What was recorded since the last event is the current module's. */
static void count_nodes(summary *s)
{
    const gr_node *node = s->last ? gr_node_next(s->last) : gr_node_first(s->g);
    for (; node; node = gr_node_next(node)) {
        const double flops = gr_node_flops(node);
        if (s->current >= 0 && !isnan(flops)) s->rows[s->current].flops += flops;
        s->last = node;
    }
}

static int row_of(const summary *s, const gr_module *module)
{
    int i = 0;
    while (i < s->n && s->rows[i].module != module) i++;
    return i < s->n ? i : -1;
}

static void watch(void *user, gr_module *module, gr_tensor *y)
{
    summary *s = user;
    const int i = row_of(s, module);
    if (i < 0) return;
    count_nodes(s);
    if (!y) {
        s->rows[i].caller = s->current;
        s->current = i;
        return;
    }
    s->rows[i].y = *gr_shape_of(y);
    s->rows[i].ran = true;
    s->current = s->rows[i].caller;
}

static bool list_modules(summary *s, gr_module *net)
{
    for (gr_module *m = net; m; m = gr__module_next(net, m)) s->n++;
    s->rows = gr__calloc((size_t)s->n * sizeof *s->rows);
    if (!s->rows) return false;
    int i = 0;
    for (gr_module *m = net; m; m = gr__module_next(net, m)) s->rows[i++].module = m;
    return true;
}

/* false, with this thread's error, where forward refuses the input. */
static bool run(summary *s, gr_module *net, gr_dtype dtype, gr_shape input, const void *site)
{
    gr_model *m = net->model;
    gr_no_grad_begin(s->g);
    m->trace = watch;
    m->trace_user = s;
    gr_site_begin(s->g, site);
    gr_forward(net, gr_zeros(s->g, dtype, input));
    gr_site_end(s->g);
    m->trace = NULL;
    if (gr_graph_error(s->g))
        gr__fail(gr_graph_status(s->g), "gr_summary: %s", gr_graph_error(s->g));
    return !gr_graph_status(s->g);
}

/* --- the table --- */

static int64_t own_numel(const gr_module *module)
{
    const gr__entries *params = &module->model->entries[GR__PARAM];
    int64_t n = 0;
    for (int i = 0; i < params->n; i++)
        if (params->at[i].owner == module) n += gr_shape_numel(gr_param_shape(params->at[i].param));
    return n;
}

static void write_number(gr__table *t, double n)
{
    if (n > 0) gr__table_cell(t, "%.0f", n);
    else gr__table_cell(t, "-");
}

static void write_row(gr__table *t, const row *r, const char *path)
{
    char shape[GR_SHAPE_TEXT];
    gr__table_cell(t, "%s", *path ? path : "(model)");
    gr__table_cell(t, "%s", r->module->type);
    gr__table_cell(t, "%s", r->ran ? gr_shape_text(&r->y, shape) : "-");
    write_number(t, (double)own_numel(r->module));
    write_number(t, r->flops);
}

static void write_table(const summary *s, gr__text *out)
{
    static const char *const heads[] = {"layer", "type", "output", "parameters", "FLOPs"};
    gr__table t = {.align = "lllrr"};
    double flops = 0;
    for (int i = 0; i < 5; i++) gr__table_cell(&t, "%s", heads[i]);
    for (int i = 0; i < s->n; i++) {
        write_row(&t, &s->rows[i], gr_module_path(s->rows[i].module));
        flops += s->rows[i].flops;
    }
    gr__table_rule(&t);
    for (int i = 0; i < 3; i++) gr__table_cell(&t, "%s", i ? "" : "total");
    write_number(&t, (double)gr_module_numel(s->rows[0].module));
    write_number(&t, flops);
    gr__table_write(&t, out);
    gr__table_release(&t);
}

/* Tells what net consists of: one row for each module, in the order of the tree, with the shape of
 * its output, the number of its own parameters and the floating-point operations that it records
 * itself for an input of this shape, as far as its ops tell; and the totals.
 *
 * dtype   of the input: the model's, or int64 where it takes indices
 * buffer  gets at most size bytes of text, its terminating NUL included; NULL with size 0 too
 *
 * Gives the length of the whole text; 0, with gr_last_error, when net refuses the input or memory
 * is out. Nothing is computed and no state changes. */
size_t gr_summary(gr_module *net, gr_dtype dtype, gr_shape input, char *buffer, size_t size)
{
    summary s = {.g = gr_graph_new(), .current = -1};
    gr__text text = {0};
    if (!buffer) size = 0;
    if (size) *buffer = 0;
    if (!net) gr__fail(GR_ERR_ARGUMENT, "gr_summary: the module is NULL");
    bool done = net && net->state && gr__model_settle(net->model) && list_modules(&s, net) &&
                run(&s, net, dtype, input, GR_HERE);
    if (done) write_table(&s, &text);
    const size_t length = text.failed || !text.data ? 0 : text.len;
    if (length && size) snprintf(buffer, size, "%s", text.data);
    if (text.failed) gr__fail(GR_ERR_MEMORY, "gr_summary: out of memory");
    gr__text_release(&text);
    gr__free(s.rows);
    gr_graph_free(s.g);
    return length;
}
