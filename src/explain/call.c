/* call.c - calling an op by name, its attributes from JSON. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include <gradus/explain.h>

#include <string.h>

enum { MOST_VALUES = 32 };

/* Numbers and truth values, one or an array of them; whole: none has a point or an exponent. */
typedef struct values {
    int64_t ints[MOST_VALUES];
    double numbers[MOST_VALUES];
    int n;
    bool whole;
} values;

static bool read_value(gr__json_reader *r, values *v)
{
    bool truth = false;
    if (v->n == MOST_VALUES) return gr__json_fail(r, "too many values"), false;
    int64_t *i = &v->ints[v->n];
    double *x = &v->numbers[v->n++];
    switch (gr__json_peek(r)) {
    case GR__JSON_BOOL:
        if (!gr__json_read_bool(r, &truth)) return false;
        *i = truth;
        *x = truth;
        return true;
    case GR__JSON_INT:
        if (!gr__json_read_int(r, i)) return false;
        *x = (double)*i;
        return true;
    default: v->whole = false; return gr__json_read_number(r, x);
    }
}

static bool read_values(gr__json_reader *r, values *v)
{
    *v = (values){.whole = true};
    if (gr__json_peek(r) != GR__JSON_ARRAY) return read_value(r, v);
    for (gr__json_enter_array(r); gr__json_next_item(r);)
        if (!read_value(r, v)) return false;
    return !r->status;
}

static gr_status set_field(gr__json_reader *r, gr_attrs *a, const char *name)
{
    values v;
    const char *text;
    if (gr__json_peek(r) == GR__JSON_STRING)
        return gr__json_read_string(r, &text) ? gr_attrs_set_text(a, name, text) : r->status;
    if (!read_values(r, &v)) return r->status;
    return v.whole ? gr_attrs_set_ints(a, name, v.ints, v.n)
                   : gr_attrs_set_numbers(a, name, v.numbers, v.n);
}

/* Whether this attribute was given before; unknown names are the setter's to refuse. */
static bool repeated(const gr_op *op, const char *name, uint64_t *seen)
{
    for (const gr_field *f = op->fields; f && f->name; f++) {
        if (strcmp(f->name, name) != 0) continue;
        uint64_t bit = (uint64_t)1 << (f - op->fields);
        bool before = *seen & bit;
        *seen |= bit;
        return before;
    }
    return false;
}

static gr_status set_fields(gr_attrs *a, const gr_op *op, char *json)
{
    gr__json_reader r;
    const char *name;
    uint64_t seen = 0;
    gr__json_begin(&r, json, strlen(json));
    for (gr__json_enter_object(&r); gr__json_next_key(&r, &name);) {
        if (repeated(op, name, &seen)) return gr__json_fail(&r, "an attribute is given twice");
        gr_status status = set_field(&r, a, name);
        if (status) return status;
    }
    return gr__json_end(&r);
}

static gr_tensor *apply(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, char *json)
{
    gr_attrs *a = gr_attrs_new(op);
    gr_tensor *y;
    if (!json) y = gr_fail(g, "%s: out of memory", op->name);
    else if (!gr_attrs_error(a) && set_fields(a, op, json) && !gr_attrs_error(a))
        y = gr_fail(g, "%s: its attributes: %s", op->name, gr_last_error());
    else y = gr_apply_attrs(g, op, in, n, a);
    gr_attrs_free(a);
    return y;
}

/* As gr_apply, by name and with attributes from JSON: gr_apply_json(g, "conv2d", in, 2,
 * "{\"stride\":[2,2]}"). What is left out is zero; NULL leaves out all. Errors stick to the graph:
 * an unknown op or attribute, values that it does not take, text that is no JSON, and all of
 * gr_apply. */
gr_tensor *gr_apply_json(gr_graph *g, const char *name, gr_tensor *const *in, int n,
                         const char *json)
{
    const gr_op *op = name ? gr_op_find(name) : NULL;
    if (gr__need_array("gr_apply_json", in, n, "array of inputs"))
        return gr_fail(g, "%s", gr_last_error());
    if (!g && n > 0) g = gr_graph_of(in[0]);
    gr_site_begin(g, GR_HERE);
    char *copy = gr__strdup(json ? json : "{}");
    gr_tensor *y = op ? apply(g, op, in, n, copy)
                      : gr_fail(g, "gr_apply_json: no op is called '%s'", name ? name : "NULL");
    gr_site_end(g);
    gr__free(copy);
    return y;
}
