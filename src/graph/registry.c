/* registry.c - every op of the library, from the families' tables, and what is to be asked of one. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <stdio.h>
#include <string.h>

int gr_op_count(void)
{
    int n = 0;
    for (int f = 0; gr__families[f]; f++)
        for (int i = 0; gr__families[f][i]; i++) n++;
    return n;
}

const gr_op *gr_op_at(int index)
{
    for (int f = 0; gr__families[f]; f++)
        for (int i = 0; gr__families[f][i]; i++)
            if (index-- == 0) return gr__families[f][i];
    return NULL;
}

const gr_op *gr_op_find(const char *name)
{
    for (int f = 0; name && gr__families[f]; f++)
        for (int i = 0; gr__families[f][i]; i++)
            if (strcmp(gr__families[f][i]->name, name) == 0) return gr__families[f][i];
    return NULL;
}

/* --- asking --- */

static bool takes_floats(const gr_op *op)
{
    bool floats = false;
    for (const gr_sample *s = op->samples; s && s->name; s++)
        for (int i = 0; i < s->n_in; i++) floats |= !s->in[i].integer && !s->in[i].boolean;
    return floats;
}

/* Whether a gradient can flow through op: it has a backward rule or is recorded from ops that do,
 * and some sample of it has a floating input. Not so for an op that is constant by decree. */
bool gr_op_differentiable(const gr_op *op)
{
    if (!op) return false;
    bool rule = op->vjp || op->backward[GR_F64] || op->define;
    return rule && !(op->flags & GR_OP_CONSTANT) && takes_floats(op);
}

static const char *const field_types[] = {
    [GR_FIELD_BOOL] = "bool",   [GR_FIELD_INT] = "int",   [GR_FIELD_I64] = "int64",
    [GR_FIELD_F64] = "float64", [GR_FIELD_AXES] = "axes", [GR_FIELD_SHAPE] = "shape",
    [GR_FIELD_DTYPE] = "dtype", [GR_FIELD_ENUM] = "enum", [GR_FIELD_TEXT] = "text",
};

/* "float64"; "?" for what is no type. */
const char *gr_field_type_name(gr_field_type type)
{
    bool known = (unsigned)type < sizeof field_types / sizeof *field_types;
    return known ? field_types[type] : "?";
}

static const char *name_of_value(const gr_field *f, int i)
{
    if (f->type == GR_FIELD_ENUM) return f->names[i];
    return i < GR_DTYPES ? gr_dtype_name((gr_dtype)i) : NULL;
}

static void list_values(const gr_field *f, char *text, size_t size)
{
    size_t n = 0;
    for (int i = 0; name_of_value(f, i) && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "one of ",
                              name_of_value(f, i));
}

/* What such a field takes, in words: "2 of int", "one of mean, sum, none". Gives text. */
const char *gr_field_text(const gr_field *f, char *text, size_t size)
{
    if (!f || !text) return "?";
    const char *type = gr_field_type_name(f->type);
    switch (f->type) {
    case GR_FIELD_ENUM:
    case GR_FIELD_DTYPE: list_values(f, text, size); break;
    case GR_FIELD_TEXT: snprintf(text, size, "at most %d bytes of text", f->count - 1); break;
    case GR_FIELD_AXES: snprintf(text, size, "at most %d axes", GR_MAX_RANK); break;
    case GR_FIELD_SHAPE: snprintf(text, size, "at most %d sizes", GR_MAX_RANK); break;
    default:
        if (f->count <= 1) snprintf(text, size, "%s", type);
        else if (f->count == GR_MAX_RANK) snprintf(text, size, "at most %d of %s", f->count, type);
        else snprintf(text, size, "%d of %s", f->count, type);
    }
    return text;
}
