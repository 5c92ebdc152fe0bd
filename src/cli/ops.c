/* ops.c - gradus ops: what the library can compute, as a table, one op in full, or JSON. */
/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "table.h"

#include <gradus/explain.h>
#include <stdio.h>

/* --- options --- */

typedef struct request {
    const char *name;
    bool json;
    const gr_op *op; /* NULL: all */
} request;

static const char more[] = "example:\n"
                           "  gradus ops | grep norm\n"
                           "  gradus ops conv2d\n"
                           "  gradus ops --json\n\n"
                           "exit status: 0 done, 1 failed, 2 wrong usage\n";

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {{"json", &option_flag, &q->json, NULL,
                               "one JSON object, for bindings and tools", 0, 0},
                              {0}};
    const usage u = {"ops",    "list the ops, or show one in full",
                     "[NAME]", "an op: its whole entry",
                     &q->name, options,
                     more};
    *q = (request){.name = NULL};
    int stop = options_parse(&u, argc, argv);
    if (stop || !q->name) return stop;
    q->op = gr_op_find(q->name);
    if (q->op) return DONE;
    return options_error(&u, "unknown op '%s': gradus ops lists all of them", q->name);
}

/* --- parts of an entry --- */

/* "2", "2 to 3", "any" */
static const char *inputs_text(const gr_op *op, char text[32])
{
    if (op->n_in < 0) return "any";
    if (op->optional) snprintf(text, 32, "%d to %d", op->n_in - op->optional, op->n_in);
    else snprintf(text, 32, "%d", op->n_in);
    return text;
}

static int outputs(const gr_op *op)
{
    return op->n_out ? op->n_out : 1;
}

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

/* --- reports --- */

static void report_json(const request *q, gr__text *t)
{
    size_t n = gr_ops_json(q->op, NULL, 0);
    char *room = n ? gr__text_room(t, n) : NULL;
    if (!room || !gr_ops_json(q->op, room, n + 1)) t->failed = true;
    gr__text_add(t, "\n");
}

static void report_all(const request *q, gr__text *t)
{
    static const char *const head[] = {"op", "family", "inputs", "outputs", "gradient", "formula"};
    gr__table table = {.align = "llrrll"};
    int differentiable = 0;
    char inputs[32];
    (void)q;
    for (int i = 0; i < 6; i++) gr__table_cell(&table, "%s", head[i]);
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        differentiable += gr_op_differentiable(op);
        gr__table_cell(&table, "%s", op->name);
        gr__table_cell(&table, "%s", op->family);
        gr__table_cell(&table, "%s", inputs_text(op, inputs));
        gr__table_cell(&table, "%d", outputs(op));
        gr__table_cell(&table, "%s", yes_no(gr_op_differentiable(op)));
        gr__table_cell(&table, "%s", op->formula);
    }
    gr__table_write(&table, t);
    gr__table_release(&table);
    gr__text_add(t, "%d ops, %d of them differentiable\n", gr_op_count(), differentiable);
}

static void add_line(gr__text *t, const char *what, const char *value)
{
    if (value) gr__text_add(t, "%-15s %s\n", what, value);
}

static void report_one(const request *q, gr__text *t)
{
    const gr_op *op = q->op;
    char text[32];
    add_line(t, "op", op->name);
    add_line(t, "family", op->family);
    add_line(t, "formula", op->formula);
    add_line(t, "derivation", op->derivation);
    add_line(t, "ties", op->ties);
    add_line(t, "inputs", inputs_text(op, text));
    snprintf(text, sizeof text, "%d", outputs(op));
    add_line(t, "outputs", text);
    add_line(t, "differentiable", yes_no(gr_op_differentiable(op)));
    add_line(t, "computed by", op->define ? "other ops" : "a kernel of its own");
    for (const gr_field *f = op->fields; f && f->name; f++) {
        char takes[200];
        gr__text_add(t, "%-15s %s: %s\n", f == op->fields ? "attributes" : "", f->name,
                     gr_field_text(f, takes, sizeof takes));
    }
}

int ops_run(int argc, char **argv)
{
    request q;
    gr__text t = {0};
    int stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    (q.json ? report_json : q.op ? report_one : report_all)(&q, &t);
    bool done = print_text(&t);
    gr__text_release(&t);
    return done ? DONE : fail("ops");
}
