/* catalogue.c - the ops of the library as JSON, for bindings and tools. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include <gradus/explain.h>

static void add_attribute(gr__json_writer *w, const gr_field *f)
{
    gr__json_object(w, NULL);
    gr__json_string(w, "name", f->name);
    gr__json_string(w, "type", gr_field_type_name(f->type));
    gr__json_int(w, "count", f->count > 0 ? f->count : 1);
    if (f->names) gr__json_array(w, "values");
    for (int i = 0; f->names && f->names[i]; i++) gr__json_string(w, NULL, f->names[i]);
    if (f->names) gr__json_close(w);
    gr__json_close(w);
}

static void add_op(gr__json_writer *w, const gr_op *op)
{
    gr__json_object(w, NULL);
    gr__json_string(w, "name", op->name);
    gr__json_string(w, "family", op->family);
    gr__json_int(w, "inputs", op->n_in);
    gr__json_int(w, "optional", op->optional);
    gr__json_int(w, "outputs", op->n_out ? op->n_out : 1);
    gr__json_array(w, "attributes");
    for (const gr_field *f = op->fields; f && f->name; f++) add_attribute(w, f);
    gr__json_close(w);
    gr__json_bool(w, "differentiable", gr_op_differentiable(op));
    gr__json_bool(w, "by_definition", op->define != NULL);
    gr__json_string(w, "formula", op->formula);
    gr__json_close(w);
}

/* The library's ops as one JSON object, {"ops":[...]}: of each its name, family, inputs (-1: any
 * number, at least one), how many of the last of them are optional, outputs, attributes (name,
 * type, count; the values of an enum), whether a gradient can flow through it, whether it is
 * recorded from other ops, and its formula.
 *
 * op    this one alone, a user's own too; NULL: all of the library
 * text  [size], gets as much as fits and a terminating NUL; NULL with size 0
 *
 * Returns the length of the whole, as snprintf does; 0 when memory is out. */
size_t gr_ops_json(const gr_op *op, char *text, size_t size)
{
    gr__text t = {0};
    gr__json_writer w = {.out = &t};
    gr__json_object(&w, NULL);
    gr__json_array(&w, "ops");
    if (op) add_op(&w, op);
    for (int i = 0, n = op ? 0 : gr_op_count(); i < n; i++) add_op(&w, gr_op_at(i));
    gr__json_close(&w);
    gr__json_close(&w);
    size_t length = gr__text_copy(&t, text, size);
    gr__text_release(&t);
    return length;
}
