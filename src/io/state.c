/* state.c - whatever shows its arrays to a visitor, to a safetensors file and back. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <gradus/io.h>
#include <string.h>

static gr_status show_optimizer(void *object, gr_visit *visit, void *user)
{
    return gr_optimizer_states(object, visit, user);
}

static gr_status show_ema(void *object, gr_visit *visit, void *user)
{
    return gr_ema_states(object, visit, user);
}

/* --- saving --- */

typedef struct arrays {
    gr_array *at; /* names are copies */
    int n, cap;
} arrays;

static gr_status collect(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                         void *data)
{
    arrays *a = user;
    if (a->n == a->cap) {
        size_t size = sizeof *a->at, cap = 2 * (size_t)a->cap + 16;
        gr_array *more = gr__grow(a->at, (size_t)a->n * size, cap * size);
        if (!more) return GR_ERR_MEMORY;
        a->at = more;
        a->cap = (int)cap;
    }
    char *copy = gr__strdup(name);
    if (!copy) return GR_ERR_MEMORY;
    a->at[a->n++] = (gr_array){.name = copy,
                               .dtype = gr__type_of(dtype)->name,
                               .shape = *shape,
                               .data = data,
                               .bytes = (size_t)gr_shape_numel(shape) * gr_dtype_size(dtype)};
    return GR_OK;
}

/* Saves the arrays that show(object, visit, user) gives to visit; gr_load_states reads them back.
 *
 * kind  what they are of, in a word: it goes into the file and into messages
 *
 * path is complete afterwards, or as it was before. */
gr_status gr_save_states(gr_states_fn *show, void *object, const char *path, const char *kind)
{
    arrays a = {0};
    if (gr__need("gr_save_states", show, "function") || gr__need("gr_save_states", kind, "kind"))
        return GR_ERR_ARGUMENT;
    gr_status status = show(object, collect, &a);
    if (!status)
        status = gr_safetensors_write(path, a.at, a.n, (const char *[]){"gradus", kind, NULL});
    for (int i = 0; i < a.n; i++) gr__free((char *)a.at[i].name);
    gr__free(a.at);
    return status;
}

/* --- loading --- */

enum { MOST_LISTED = 6 };

typedef struct loading {
    const gr_safetensors *file;
    gr__text problems;
    int n_problems, n_found;
} loading;

static gr_status compare(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                         void *data)
{
    loading *l = user;
    const gr_array *a = gr_safetensors_find(l->file, name);
    char file[GR_SHAPE_TEXT], own[GR_SHAPE_TEXT];
    (void)data;
    l->n_found += a != NULL;
    if (a && !strcmp(a->dtype, gr__type_of(dtype)->name) && gr_shape_equal(&a->shape, shape))
        return GR_OK;
    if (l->n_problems++ >= MOST_LISTED) return GR_OK;
    if (a)
        gr__text_add(&l->problems, "; '%s' is %s %s in the file, expected %s %s", name, a->dtype,
                     gr_shape_text(&a->shape, file), gr__type_of(dtype)->name,
                     gr_shape_text(shape, own));
    else gr__text_add(&l->problems, "; '%s' is missing", name);
    return GR_OK;
}

static gr_status take(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                      void *data)
{
    const loading *l = user;
    (void)dtype, (void)shape;
    const gr_array *a = gr_safetensors_find(l->file, name);
    memcpy(data, a->data, a->bytes);
    return GR_OK;
}

static gr_status verdict(loading *l, const char *path, const char *kind)
{
    int unexpected = gr_safetensors_count(l->file) - l->n_found;
    const char *saved = gr_safetensors_metadata(l->file, "gradus");
    if (saved && strcmp(saved, kind) != 0)
        return gr__fail(GR_ERR_FORMAT, "%s: expected the state of %s, got that of %s", path, kind,
                        saved);
    if (unexpected > 0) gr__text_add(&l->problems, "; %d arrays that nobody asks for", unexpected);
    if (l->problems.failed) return GR_ERR_MEMORY;
    if (!l->problems.data) return GR_OK;
    return gr__fail(GR_ERR_FORMAT, "%s: is not the state of this %s%s", path, kind,
                    l->problems.data);
}

/* Writes what gr_save_states saved into the arrays that show gives. All of them must be in the file,
 * and no more: otherwise GR_ERR_FORMAT, with what differs, and the object is unchanged. show is called
 * twice, and must give the same arrays both times. */
gr_status gr_load_states(gr_states_fn *show, void *object, const char *path, const char *kind)
{
    gr_safetensors *file;
    if (gr__need("gr_load_states", show, "function") || gr__need("gr_load_states", kind, "kind"))
        return GR_ERR_ARGUMENT;
    gr_status status = gr__safetensors_read(path, &file);
    if (status) return status;
    loading l = {.file = file};
    status = show(object, compare, &l);
    if (!status) status = verdict(&l, path, kind);
    if (!status) status = show(object, take, &l);
    gr__text_release(&l.problems);
    gr_safetensors_close(file);
    return status;
}

/* --- what users call --- */

/* Saves all that an optimizer remembers (gr_optimizer_states), so that another one, made in the same
 * way over the same model, continues bit for bit after gr_load_optimizer. The weights go by gr_save.
 * path is complete afterwards, or as it was before. */
gr_status gr_save_optimizer(gr_optimizer *opt, const char *path)
{
    return gr_save_states(show_optimizer, opt, path, gr_optimizer_name(opt));
}

/* Loads what gr_save_optimizer wrote. All of it must be there, and no more: otherwise GR_ERR_FORMAT,
 * with what differs, and the optimizer is unchanged. */
gr_status gr_load_optimizer(gr_optimizer *opt, const char *path)
{
    return gr_load_states(show_optimizer, opt, path, gr_optimizer_name(opt));
}

/* Saves averages by the names of the parameters; not while they are swapped in. */
gr_status gr_save_ema(gr_ema *e, const char *path)
{
    return gr_save_states(show_ema, e, path, "ema");
}

/* Loads what gr_save_ema wrote, as gr_load_optimizer does. */
gr_status gr_load_ema(gr_ema *e, const char *path)
{
    return gr_load_states(show_ema, e, path, "ema");
}
