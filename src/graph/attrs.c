/* attrs.c - attributes by name: an op can be called without the C struct that it takes. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct gr_attrs {
    const gr_op *op; /* NULL: memory was out, nothing can be set */
    gr_status status;
    char message[400];
    const gr_field
        *seed; /* of a random op that was given none: drawn from the graph when applied */
    _Alignas(16) char values[];
};

static gr_attrs no_attrs = {.status = GR_ERR_MEMORY, .message = "attributes: out of memory"};

/* --- storing, by the type of the field; false: not such values --- */

static bool store_bools(const gr_field *f, char *at, const int64_t *values, int n)
{
    (void)f;
    for (int i = 0; i < n; i++)
        if (values[i] != 0 && values[i] != 1) return false;
    for (int i = 0; i < n; i++) ((bool *)at)[i] = values[i] != 0;
    return true;
}

static bool store_ints(const gr_field *f, char *at, const int64_t *values, int n)
{
    (void)f;
    for (int i = 0; i < n; i++)
        if (values[i] < INT_MIN || values[i] > INT_MAX) return false;
    for (int i = 0; i < n; i++) ((int *)at)[i] = (int)values[i];
    return true;
}

static bool store_i64s(const gr_field *f, char *at, const int64_t *values, int n)
{
    (void)f;
    for (int i = 0; i < n; i++) ((int64_t *)at)[i] = values[i];
    return true;
}

static bool store_whole_numbers(const gr_field *f, char *at, const int64_t *values, int n)
{
    (void)f;
    for (int i = 0; i < n; i++) ((double *)at)[i] = (double)values[i];
    return true;
}

static bool store_axes(const gr_field *f, char *at, const int64_t *values, int n)
{
    gr_axes axes = {.n = n};
    if (!store_ints(f, (char *)axes.axis, values, n)) return false;
    memcpy(at, &axes, sizeof axes);
    return true;
}

static bool store_shape(const gr_field *f, char *at, const int64_t *values, int n)
{
    (void)f;
    gr_shape shape = {.rank = n};
    for (int i = 0; i < n; i++) shape.dim[i] = values[i];
    memcpy(at, &shape, sizeof shape);
    return true;
}

static bool store_name(const gr_field *f, char *at, const char *text)
{
    for (int i = 0; f->names[i]; i++)
        if (!strcmp(f->names[i], text)) return store_ints(f, at, &(int64_t){i}, 1);
    return false;
}

static bool store_dtype(const gr_field *f, char *at, const char *text)
{
    (void)f;
    for (gr_dtype dtype = 0; dtype < GR_DTYPES; dtype++) {
        if (strcmp(gr_dtype_name(dtype), text) != 0) continue;
        memcpy(at, &dtype, sizeof dtype);
        return true;
    }
    return false;
}

static bool store_text(const gr_field *f, char *at, const char *text)
{
    size_t n = strlen(text);
    if (n >= (size_t)f->count) return false;
    memset(at, 0, (size_t)f->count);
    memcpy(at, text, n);
    return true;
}

static const struct kind {
    bool (*ints)(const gr_field *f, char *at, const int64_t *values, int n);
    bool (*text)(const gr_field *f, char *at, const char *text);
} kinds[] = {
    [GR_FIELD_BOOL] = {.ints = store_bools},  [GR_FIELD_INT] = {.ints = store_ints},
    [GR_FIELD_I64] = {.ints = store_i64s},    [GR_FIELD_F64] = {.ints = store_whole_numbers},
    [GR_FIELD_AXES] = {.ints = store_axes},   [GR_FIELD_SHAPE] = {.ints = store_shape},
    [GR_FIELD_DTYPE] = {.text = store_dtype}, [GR_FIELD_ENUM] = {.text = store_name},
    [GR_FIELD_TEXT] = {.text = store_text},
};

/* --- checks --- */

static gr_status fail(gr_attrs *a, const char *format, ...) GR_PRINTF(2, 3);
static gr_status fail(gr_attrs *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->message, sizeof a->message, format, args);
    va_end(args);
    a->status = GR_ERR_ARGUMENT;
    return gr__fail(a->status, "%s", a->message);
}

static gr_status fail_value(gr_attrs *a, const gr_field *f, const char *got)
{
    char expected[200];
    return fail(a, "%s: attribute %s: expected %s, got %s", a->op->name, f->name,
                gr_field_text(f, expected, sizeof expected), got);
}

static gr_status fail_name(gr_attrs *a, const char *name)
{
    char names[256] = "none";
    size_t n = 0;
    for (const gr_field *f = a->op->fields; f && f->name && n < sizeof names; f++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", f->name);
    return fail(a, "%s: no attribute '%s'; its attributes: %s", a->op->name, name ? name : "NULL",
                names);
}

/* The field to be set; NULL with the error set. */
static const gr_field *find(gr_attrs *a, const char *name)
{
    if (!a) gr__fail(GR_ERR_ARGUMENT, "attributes: they are NULL");
    if (!a) return NULL;
    for (const gr_field *f = a->op && !a->status ? a->op->fields : NULL; f && f->name; f++) {
        if (!name || strcmp(f->name, name) != 0) continue;
        if (a->seed == f) a->seed = NULL;
        return f;
    }
    if (!a->status) fail_name(a, name);
    return NULL;
}

static gr_status status_of(const gr_attrs *a)
{
    return a ? a->status : GR_ERR_ARGUMENT;
}

/* An array with one element per axis may be given for the first axes only. */
static bool count_fits(const gr_field *f, int n)
{
    int count = f->count > 0 ? f->count : 1;
    if (f->type == GR_FIELD_AXES || f->type == GR_FIELD_SHAPE) return n >= 0 && n <= GR_MAX_RANK;
    return n == count || (count == GR_MAX_RANK && n >= 0 && n < count);
}

static gr_status fail_count(gr_attrs *a, const gr_field *f, int n)
{
    char got[64];
    snprintf(got, sizeof got, n == 1 ? "%d value" : "%d values", n);
    return fail_value(a, f, got);
}

/* --- lifetime --- */

static const gr_field *seed_of(const gr_op *op)
{
    for (const gr_field *f = op->flags & GR_OP_RANDOM ? op->fields : NULL; f && f->name; f++)
        if (!strcmp(f->name, "seed") && f->type == GR_FIELD_I64) return f;
    return NULL;
}

/* Attributes of op, all zero: what the struct of its C function means by {0}. To be freed with
 * gr_attrs_free; may be changed and applied again. Inert where op is NULL or memory is out. */
gr_attrs *gr_attrs_new(const gr_op *op)
{
    if (!op) gr__fail(GR_ERR_ARGUMENT, "attributes: the op is NULL");
    gr_attrs *a = op ? gr__calloc(sizeof *a + op->attrs_size) : NULL;
    if (!a) return &no_attrs;
    a->op = op;
    a->seed = seed_of(op);
    return a;
}

void gr_attrs_free(gr_attrs *a)
{
    if (a != &no_attrs) gr__free(a);
}

/* NULL, or the first thing that could not be set. */
const char *gr_attrs_error(const gr_attrs *a)
{
    if (!a) return "the attributes are NULL";
    return a->status ? a->message : NULL;
}

/* --- setting --- */

/* Sets a bool (0 or 1), int, int64, axes, shape or float64 from whole numbers, n of them: the
 * field's count; of axes and a shape at most GR_MAX_RANK, and likewise of an array with an element
 * per axis. Errors stick to a and name what was expected. */
gr_status gr_attrs_set_ints(gr_attrs *a, const char *name, const int64_t *values, int n)
{
    char got[64];
    const gr_field *f = find(a, name);
    if (!f) return status_of(a);
    if (!kinds[f->type].ints) return fail_value(a, f, "whole numbers");
    if (!count_fits(f, n)) return fail_count(a, f, n);
    if (!values && n) return fail_value(a, f, "NULL");
    if (kinds[f->type].ints(f, a->values + f->offset, values, n)) return GR_OK;
    snprintf(got, sizeof got, "%lld", (long long)values[0]);
    return fail_value(a, f, n == 1 ? got : "a value out of range");
}

/* Sets a float64, or as many as its count. */
gr_status gr_attrs_set_numbers(gr_attrs *a, const char *name, const double *values, int n)
{
    const gr_field *f = find(a, name);
    if (!f) return status_of(a);
    if (f->type != GR_FIELD_F64) return fail_value(a, f, "floating numbers");
    if (!count_fits(f, n)) return fail_count(a, f, n);
    if (!values && n) return fail_value(a, f, "NULL");
    for (int i = 0; i < n; i++) ((double *)(a->values + f->offset))[i] = values[i];
    return GR_OK;
}

/* Sets a text, a value of an enum by its name, or a dtype by its name ("float64"). */
gr_status gr_attrs_set_text(gr_attrs *a, const char *name, const char *text)
{
    char got[80];
    const gr_field *f = find(a, name);
    if (!f) return status_of(a);
    if (text && kinds[f->type].text && kinds[f->type].text(f, a->values + f->offset, text))
        return GR_OK;
    snprintf(got, sizeof got, "'%.60s'", text ? text : "NULL");
    return fail_value(a, f, got);
}

/* --- applying --- */

/* As gr_apply, with attributes set by name; a may be NULL for an op without. A random op that was
 * given no seed draws from the graph's. Errors: those of a, attributes of another op, and all of
 * gr_apply. */
gr_tensor *gr_apply_attrs(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n,
                          const gr_attrs *a)
{
    gr_graph *own = g ? g : n > 0 && in && in[0] ? in[0]->graph : NULL;
    if (!in && n > 0)
        return gr__fail_at(own, GR_ERR_ARGUMENT, GR_HERE,
                           "gr_apply_attrs: the array of inputs is NULL");
    if (!op) return gr__fail_at(own, GR_ERR_ARGUMENT, GR_HERE, "gr_apply_attrs: the op is NULL");
    if (!a) return gr__apply(g, op, in, n, NULL, GR_HERE);
    if (a->status) return gr__fail_at(own, a->status, GR_HERE, "%s", a->message);
    if (a->op != op)
        return gr__fail_at(own, GR_ERR_ARGUMENT, GR_HERE, "%s: got the attributes of %s", op->name,
                           a->op->name);
    if (!a->seed) return gr__apply(g, op, in, n, a->values, GR_HERE);
    _Alignas(16) char seeded[512];
    if (op->attrs_size > sizeof seeded)
        return gr__fail_at(own, GR_ERR_ARGUMENT, GR_HERE, "%s: its seed must be set", op->name);
    uint64_t seed = gr_next_seed(own);
    memcpy(seeded, a->values, op->attrs_size);
    memcpy(seeded + a->seed->offset, &seed, sizeof seed);
    return gr__apply(g, op, in, n, seeded, GR_HERE);
}
