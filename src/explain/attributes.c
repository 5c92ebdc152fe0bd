/* attributes.c - an op's attributes as text, from its table of fields. */
/* SPDX-License-Identifier: MIT */
#include "attributes.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

/* --- one value of each type --- */

typedef size_t print_fn(const void *value, char *text, size_t size);

static size_t print_bool(const void *value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%s", *(const bool *)value ? "yes" : "no");
}

static size_t print_int(const void *value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%d", *(const int *)value);
}

static size_t print_i64(const void *value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%lld", (long long)*(const int64_t *)value);
}

static size_t print_f64(const void *value, char *text, size_t size)
{
    char number[GR__NUMBER_TEXT];
    return (size_t)snprintf(text, size, "%s", gr__number_text(*(const double *)value, number));
}

static size_t print_axes(const void *value, char *text, size_t size)
{
    const gr_axes *axes = value;
    size_t n = axes->n ? 0 : (size_t)snprintf(text, size, "all");
    for (int i = 0; i < axes->n && i < GR_MAX_RANK && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%d", i ? "," : "", axes->axis[i]);
    return n;
}

static size_t print_shape(const void *value, char *text, size_t size)
{
    char shape[GR_SHAPE_TEXT];
    return (size_t)snprintf(text, size, "%s", gr_shape_text(value, shape));
}

static size_t print_text(const void *value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%s", (const char *)value);
}

static size_t print_dtype(const void *value, char *text, size_t size)
{
    return (size_t)snprintf(text, size, "%s", gr_dtype_name(*(const gr_dtype *)value));
}

static const struct type {
    size_t size;
    print_fn *print;
    bool zero_says_something;
} types[] = {
    [GR_FIELD_BOOL] = {sizeof(bool), print_bool, false},
    [GR_FIELD_INT] = {sizeof(int), print_int, false},
    [GR_FIELD_I64] = {sizeof(int64_t), print_i64, false},
    [GR_FIELD_F64] = {sizeof(double), print_f64, false},
    [GR_FIELD_AXES] = {sizeof(gr_axes), print_axes, true},
    [GR_FIELD_SHAPE] = {sizeof(gr_shape), print_shape, true},
    [GR_FIELD_DTYPE] = {sizeof(gr_dtype), print_dtype, true},
    [GR_FIELD_ENUM] = {sizeof(int), print_int, false},
    [GR_FIELD_TEXT] = {1, print_text, false},
};

/* --- all fields --- */

static bool all_zero(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i]) return false;
    return true;
}

static void add_field(gr__text *t, const gr_field *f, const char *value)
{
    const struct type *type = &types[f->type];
    const bool words = f->type == GR_FIELD_TEXT;
    size_t count = f->count > 0 && !words ? (size_t)f->count : 1;
    if (all_zero(value, count * type->size) && !type->zero_says_something) return;
    gr__text_add(t, "%s%s ", t->len ? "  " : "", f->name);
    for (size_t i = 0; i < count; i++) {
        char text[256];
        if (f->type == GR_FIELD_ENUM)
            snprintf(text, sizeof text, "%s", f->names[*(const int *)value]);
        else type->print(value + i * type->size, text, sizeof text);
        gr__text_add(t, "%s%s", i ? "," : "", text);
    }
}

void gr__attributes_add(gr__text *t, const gr_op *op, const void *attrs)
{
    gr__text own = {0};
    for (const gr_field *f = op->fields; attrs && f && f->name; f++)
        if (strcmp(f->name, "seed")) add_field(&own, f, (const char *)attrs + f->offset);
    if (own.failed) t->failed = true;
    if (own.len) gr__text_add(t, "%s", own.data);
    gr__text_release(&own);
}
