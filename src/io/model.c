/* model.c - the weights of a model to a safetensors file and back. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <gradus/io.h>
#include <stdio.h>
#include <string.h>

static gr_status check_model(const gr_model *m, const char *call)
{
    if (gr__need(call, m, "model")) return GR_ERR_ARGUMENT;
    if (!gr_model_status(m)) return GR_OK;
    return gr__fail(GR_ERR_STATE, "the model is in error: %s", gr_model_error(m));
}

/* --- saving --- */

static gr_array array_of(gr_model *m, int i)
{
    const gr_param *p = gr_model_state(m, i);
    gr_array a = {.name = gr_model_state_name(m, i), .shape = *gr_param_shape(p)};
    const gr__type *type = gr__type_of(gr_param_dtype(p));
    a.dtype = type ? type->name : NULL;
    a.data = gr_param_data(p);
    a.bytes = (size_t)gr_shape_numel(&a.shape) * gr_dtype_size(gr_param_dtype(p));
    return a;
}

/* Saves all parameters and saved buffers of a model as a safetensors file.
 *
 * path      complete afterwards, or as it was before
 * metadata  key, value, ..., NULL; or NULL: text that goes into the file beside the weights
 *
 * The names are those of gr_model_state_name. GR_ERR_STATE for a model in error, else the errors
 * of gr_safetensors_write. */
gr_status gr_save(gr_model *m, const char *path, const char *const *metadata)
{
    gr_status status = check_model(m, "gr_save");
    if (status) return status;
    int n = gr_model_states(m);
    gr_array *arrays = gr__alloc((size_t)n * sizeof *arrays);
    if (!arrays) return GR_ERR_MEMORY;
    for (int i = 0; i < n && !status; i++) {
        arrays[i] = array_of(m, i);
        if (!*arrays[i].name) status = GR_ERR_MEMORY; /* it could not be put together */
    }
    if (!status) status = gr_safetensors_write(path, arrays, n, metadata);
    gr__free(arrays);
    return status;
}

/* --- what fits --- */

typedef struct loading {
    gr_model *m;
    const gr_safetensors *f;
    gr_load_options o;
} loading;

static const gr_array *array_at(const loading *l, int i)
{
    return gr_safetensors_find(l->f, gr_model_state_name(l->m, i));
}

static int state_of(const loading *l, const char *name)
{
    for (int i = 0; i < gr_model_states(l->m); i++)
        if (!strcmp(gr_model_state_name(l->m, i), name)) return i;
    return -1;
}

/* The first name that stands for the parameter of name i. */
static int first_of(const loading *l, int i)
{
    int first = 0;
    while (gr_model_state(l->m, first) != gr_model_state(l->m, i)) first++;
    return first;
}

/* A parameter of several names is missing when none of them is there; told at the first. */
static bool missing(const loading *l, int i)
{
    if (first_of(l, i) != i) return false;
    for (int j = i; j < gr_model_states(l->m); j++)
        if (gr_model_state(l->m, j) == gr_model_state(l->m, i) && array_at(l, j)) return false;
    return true;
}

static bool is_float(gr_dtype dtype)
{
    return dtype == GR_F32 || dtype == GR_F64;
}

static bool fits(const loading *l, const gr_array *a, const gr_param *p)
{
    const gr__type *type = gr__type_find(a->dtype);
    const gr_dtype dtype = gr_param_dtype(p);
    if (!type || !gr_shape_equal(&a->shape, gr_param_shape(p))) return false;
    return type->dtype == dtype || (l->o.convert && is_float(type->dtype) && is_float(dtype));
}

/* Whether two names of one parameter have different values in the file. */
static bool contradicts(const loading *l, int i)
{
    const gr_array *a = array_at(l, i), *b = array_at(l, first_of(l, i));
    return a && b && (a->bytes != b->bytes || memcmp(a->data, b->data, a->bytes) != 0);
}

/* --- the report --- */

enum { MOST_LISTED = 6 };

/* Names under a heading: "missing: a, b and 3 more". */
static void list_name(gr__text *t, const char *heading, int n, const char *name)
{
    if (n == 0) gr__text_add(t, "%s%s: %s", t->len ? "; " : "", heading, name);
    else if (n < MOST_LISTED) gr__text_add(t, ", %s", name);
}

static void list_rest(gr__text *t, int n)
{
    if (n > MOST_LISTED) gr__text_add(t, " and %d more", n - MOST_LISTED);
}

static int list_missing(gr__text *t, const loading *l)
{
    int n = 0;
    for (int i = 0; i < gr_model_states(l->m); i++)
        if (missing(l, i)) list_name(t, "missing in the file", n++, gr_model_state_name(l->m, i));
    list_rest(t, n);
    return n;
}

static int list_unexpected(gr__text *t, const loading *l)
{
    int n = 0;
    for (int i = 0; i < gr_safetensors_count(l->f); i++) {
        const char *name = gr_safetensors_at(l->f, i)->name;
        if (state_of(l, name) < 0) list_name(t, "not in the model", n++, name);
    }
    list_rest(t, n);
    return n;
}

/* "fc1.weight (the file has F64 [2,3], the model float32 [2,4])" */
static void list_mismatch(gr__text *t, int n, const gr_array *a, const gr_param *p)
{
    char file[GR_SHAPE_TEXT], model[GR_SHAPE_TEXT];
    list_name(t, "different", n, a->name);
    if (n < MOST_LISTED)
        gr__text_add(t, " (the file has %s %s, the model %s %s)", a->dtype,
                     gr_shape_text(&a->shape, file), gr_dtype_name(gr_param_dtype(p)),
                     gr_shape_text(gr_param_shape(p), model));
}

static int list_mismatches(gr__text *t, const loading *l)
{
    int n = 0;
    for (int i = 0; i < gr_model_states(l->m); i++) {
        const gr_array *a = array_at(l, i);
        if (a && !fits(l, a, gr_model_state(l->m, i)))
            list_mismatch(t, n++, a, gr_model_state(l->m, i));
        else if (contradicts(l, i)) {
            list_name(t, "different", n, a->name);
            if (n++ < MOST_LISTED)
                gr__text_add(t, " (shared with %s, of which the file has other values)",
                             gr_model_state_name(l->m, first_of(l, i)));
        }
    }
    list_rest(t, n);
    return n;
}

static gr_status make_report(const loading *l, const char *path, gr_load_report *r)
{
    gr__text t = {0};
    *r = (gr_load_report){.missing = list_missing(&t, l)};
    r->unexpected = list_unexpected(&t, l);
    r->mismatched = list_mismatches(&t, l);
    gr_status status = t.failed ? GR_ERR_MEMORY : GR_OK;
    if (!status && t.data && !l->o.partial)
        status = gr__fail(GR_ERR_FORMAT, "%s: does not fit the model; %s", path, t.data);
    if (t.data) snprintf(r->text, sizeof r->text, "%s", t.data);
    gr__text_release(&t);
    return status;
}

/* --- loading --- */

/* n elements at any address, between float32 and float64. */
static void convert(gr_dtype to, void *y, const char *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float f;
        double d;
        if (to == GR_F64) {
            memcpy(&f, x + i * (int64_t)sizeof f, sizeof f);
            ((double *)y)[i] = f;
        } else {
            memcpy(&d, x + i * (int64_t)sizeof d, sizeof d);
            ((float *)y)[i] = (float)d;
        }
    }
}

static void take(const gr_array *a, gr_param *p)
{
    const gr_dtype dtype = gr_param_dtype(p);
    void *y = gr_param_write(p);
    if (gr__type_find(a->dtype)->dtype == dtype) memcpy(y, a->data, a->bytes);
    else convert(dtype, y, a->data, gr_shape_numel(&a->shape));
}

static int take_all(const loading *l)
{
    int n = 0;
    for (int i = 0; i < gr_model_states(l->m); i++) {
        const gr_array *a = array_at(l, i);
        if (!a || !fits(l, a, gr_model_state(l->m, i)) || contradicts(l, i)) continue;
        take(a, gr_model_state(l->m, i));
        n++;
    }
    return n;
}

static gr_status check_names(gr_model *m)
{
    for (int i = 0; i < gr_model_states(m); i++)
        if (!*gr_model_state_name(m, i)) return GR_ERR_MEMORY; /* it could not be put together */
    return GR_OK;
}

/* Loads parameters and buffers of a model from a safetensors file, as gr_save and PyTorch write.
 *
 * o.partial  what is in the file under a name of the model, with its shape and dtype, is loaded,
 *            and the rest stays; else all of the file must fit all of the model
 * o.convert  floats of the other size fit too
 * report     what was loaded and what did not fit, also on failure; NULL: nobody asks
 *
 * Where it must fit and does not: GR_ERR_FORMAT, with a list of what is missing, unexpected or
 * different, and the model is unchanged; so it is when the file cannot be read. */
gr_status gr_load_with(gr_model *m, const char *path, gr_load_options o, gr_load_report *report)
{
    gr_load_report own;
    gr_safetensors *f;
    if (!report) report = &own;
    *report = (gr_load_report){0};
    gr_status status = check_model(m, "gr_load");
    if (!status) status = check_names(m);
    if (!status) status = gr__safetensors_read(path, &f);
    if (status) return status;
    const loading l = {m, f, o};
    status = make_report(&l, path, report);
    if (!status) report->loaded = take_all(&l);
    gr_safetensors_close(f);
    return status;
}

/* Loads all parameters and saved buffers of a model, all of which the file must hold under their
 * names, with their shapes and dtypes (nothing is converted: a float32 file does not load into a
 * float64 model), and nothing else: gr_load_with without options. */
gr_status gr_load(gr_model *m, const char *path)
{
    return gr_load_with(m, path, (gr_load_options){0}, NULL);
}
