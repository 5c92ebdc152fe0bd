/* model.c - the weights of a model to a safetensors file and back. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <gradus/io.h>
#include <string.h>

static gr_status check_model(const gr_model *m)
{
    if (!gr_model_status(m)) return GR_OK;
    return gr__fail(GR_ERR_STATE, "the model is in error: %s", gr_model_error(m));
}

/* --- saving --- */

static gr_array array_of(gr_model *m, int i)
{
    const gr_param *p = gr_model_param(m, i);
    gr_array a = {.name = gr_model_param_name(m, i), .shape = *gr_param_shape(p)};
    const gr__type *type = gr__type_of(gr_param_dtype(p));
    a.dtype = type ? type->name : NULL;
    a.data = gr_param_data(p);
    a.bytes = (size_t)gr_shape_numel(&a.shape) * gr_dtype_size(gr_param_dtype(p));
    return a;
}

/* Saves all parameters of a model as a safetensors file.
 *
 * path      complete afterwards, or as it was before
 * metadata  key, value, ..., NULL; or NULL: text that goes into the file beside the weights
 *
 * The names are those of gr_model_param_name. GR_ERR_STATE for a model in error, else the errors
 * of gr_safetensors_write. */
gr_status gr_save(gr_model *m, const char *path, const char *const *metadata)
{
    gr_status status = check_model(m);
    if (status) return status;
    int n = gr_model_params(m);
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

/* --- loading --- */

enum { MOST_LISTED = 6 };

/* Names under a heading: "missing: a, b and 3 more". */
static void list_name(gr__text *t, const char *heading, int n, const char *name)
{
    if (n == 0) gr__text_add(t, "; %s: %s", heading, name);
    else if (n < MOST_LISTED) gr__text_add(t, ", %s", name);
}

static void list_rest(gr__text *t, int n)
{
    if (n > MOST_LISTED) gr__text_add(t, " and %d more", n - MOST_LISTED);
}

static int list_missing(gr__text *t, gr_model *m, const gr_safetensors *f)
{
    int n = 0;
    for (int i = 0; i < gr_model_params(m); i++) {
        const char *name = gr_model_param_name(m, i);
        if (!gr_safetensors_find(f, name)) list_name(t, "missing in the file", n++, name);
    }
    list_rest(t, n);
    return n;
}

static int list_unexpected(gr__text *t, gr_model *m, const gr_safetensors *f)
{
    int n = 0;
    for (int i = 0; i < gr_safetensors_count(f); i++) {
        const char *name = gr_safetensors_at(f, i)->name;
        if (!gr_model_find(m, name)) list_name(t, "not in the model", n++, name);
    }
    list_rest(t, n);
    return n;
}

static bool matches(const gr_array *a, const gr_param *p)
{
    const gr__type *type = gr__type_of(gr_param_dtype(p));
    return type && !strcmp(type->name, a->dtype) && gr_shape_equal(&a->shape, gr_param_shape(p));
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

static int list_mismatches(gr__text *t, gr_model *m, const gr_safetensors *f)
{
    int n = 0;
    for (int i = 0; i < gr_model_params(m); i++) {
        const gr_param *p = gr_model_param(m, i);
        const gr_array *a = gr_safetensors_find(f, gr_model_param_name(m, i));
        if (a && !matches(a, p)) list_mismatch(t, n++, a, p);
    }
    list_rest(t, n);
    return n;
}

static gr_status check_file(gr_model *m, const gr_safetensors *f, const char *path)
{
    gr__text t = {0};
    int n = list_missing(&t, m, f);
    n += list_unexpected(&t, m, f);
    n += list_mismatches(&t, m, f);
    gr_status status = GR_OK;
    if (n && t.failed) status = GR_ERR_MEMORY;
    else if (n) status = gr__fail(GR_ERR_FORMAT, "%s: does not fit the model%s", path, t.data);
    gr__text_release(&t);
    return status;
}

/* Loads all parameters of a model from a safetensors file, such as gr_save or PyTorch wrote.
 *
 * The file must hold every parameter by its name, with its shape and dtype (nothing is converted:
 * a float32 file does not load into a float64 model), and nothing else. Otherwise GR_ERR_FORMAT,
 * with a list of what is missing, unexpected or different, and the model is unchanged; so it is
 * when the file cannot be read. */
gr_status gr_load(gr_model *m, const char *path)
{
    gr_status status = check_model(m);
    if (status) return status;
    gr_safetensors *f;
    status = gr__safetensors_read(path, &f);
    if (status) return status;
    status = check_file(m, f, path);
    for (int i = 0; i < gr_model_params(m) && !status; i++) {
        const gr_array *a = gr_safetensors_find(f, gr_model_param_name(m, i));
        memcpy(gr_param_write(gr_model_param(m, i)), a->data, a->bytes);
    }
    gr_safetensors_close(f);
    return status;
}
