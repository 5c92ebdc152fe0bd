/* copy.c - copies of models and of parts of them.
 *
 * A module's state is memory of its own kind, in which the pointers to its parameters and children
 * lie anywhere. They are found by what they are: a word of the state that is the address of a
 * copied module or parameter becomes the address of the copy; every other word is copied as it is.
 */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <string.h>

/* The addresses of what was copied, each beside its copy's. */
typedef struct twins {
    const void **old;
    void **fresh;
    int n, cap;
    const char *low, *high; /* no old address is outside of low .. high */
} twins;

static bool twins_init(twins *t, const gr_model *m)
{
    int n = 0;
    for (const gr_module *module = m->first; module; module = module->next) n++;
    for (int kind = 0; kind < GR__KINDS; kind++) n += m->entries[kind].n;
    *t = (twins){.cap = n};
    t->old = gr__alloc((size_t)n * sizeof *t->old + 1);
    t->fresh = gr__alloc((size_t)n * sizeof *t->fresh + 1);
    return t->old && t->fresh;
}

static void twins_release(twins *t)
{
    gr__free(t->old);
    gr__free(t->fresh);
}

static void twins_add(twins *t, const void *old, void *fresh)
{
    const char *address = old;
    if (t->n == 0 || address < t->low) t->low = address;
    if (t->n == 0 || address > t->high) t->high = address;
    t->old[t->n] = old;
    t->fresh[t->n++] = fresh;
}

/* The copy of what is at this address; NULL when that was not copied. */
static void *twin_of(const twins *t, const void *old)
{
    const char *address = old;
    if (t->n == 0 || address < t->low || address > t->high) return NULL;
    for (int i = 0; i < t->n; i++)
        if (t->old[i] == old) return t->fresh[i];
    return NULL;
}

/* --- values --- */

static void convert(gr_param *to, const gr_param *from)
{
    const int64_t n = gr_shape_numel(gr_param_shape(from));
    const void *x = gr_param_data(from);
    void *y = gr_param_write(to);
    if (gr_param_dtype(to) == gr_param_dtype(from))
        memcpy(y, x, (size_t)n * gr_dtype_size(gr_param_dtype(from)));
    else if (gr_param_dtype(to) == GR_F64)
        for (int64_t i = 0; i < n; i++) ((double *)y)[i] = ((const float *)x)[i];
    else
        for (int64_t i = 0; i < n; i++) ((float *)y)[i] = (float)((const double *)x)[i];
}

/* dtype GR_DTYPES: as it was. */
static gr_param *copy_param(const gr_param *p, gr_dtype dtype)
{
    if (dtype == GR_DTYPES || !gr__is_float(gr_param_dtype(p))) dtype = gr_param_dtype(p);
    gr_param *copy = gr_param_new(gr_param_name(p), dtype, *gr_param_shape(p), NULL);
    if (!gr_param_data(copy)) return NULL;
    convert(copy, p);
    gr_param_freeze(copy, gr_param_frozen(p));
    return copy;
}

/* --- modules --- */

/* What is copied: the modules at and below root, or all of them. */
typedef struct source {
    const gr_model *model;
    const gr_module *root, *last; /* root NULL: all; last: of the model before the copies came */
    gr_dtype dtype;               /* of the copy's floats; GR_DTYPES: as they were */
} source;

static const gr_module *next_of(const source *s, const gr_module *module)
{
    do {
        if (module == s->last) return NULL;
        module = module ? module->next : s->model->first;
    } while (s->root && !gr__module_within(s->root, module));
    return module;
}

static bool copy_module(gr_model *to, const source *s, const gr_module *module, twins *t)
{
    gr_module *copy = gr_module_new(to, module->type, module->forward, module->state_size);
    if (!copy->state) return false;
    memcpy(copy->state, module->state, module->state_size);
    copy->evaluating = module->evaluating;
    copy->checkpointed = module->checkpointed;
    if (module->name && module != s->root) copy->name = gr__model_strdup(to, module->name);
    twins_add(t, module, copy);
    return true;
}

static void copy_children(const gr_module *module, const twins *t)
{
    gr_module *parent = twin_of(t, module);
    for (const gr_module *child = module->first_child; child; child = child->sibling)
        gr_module_add(parent, NULL, twin_of(t, child));
}

/* Of a shared parameter that is not copied itself, the copy shares the original. */
static gr_param *copy_entry(const source *s, gr__kind kind, const gr__entry *e, twins *t)
{
    gr_param *p = twin_of(t, e->param);
    if (p || kind == GR__TIE) return gr_param_retain(p ? p : e->param);
    p = copy_param(e->param, s->dtype);
    if (p) twins_add(t, e->param, p);
    return p;
}

static bool copy_entries(const source *s, twins *t)
{
    for (int kind = 0; kind < GR__KINDS; kind++) {
        const int n = s->model->entries[kind].n; /* the copies may join the same list */
        for (int i = 0; i < n; i++) {
            const gr__entry e = s->model->entries[kind].at[i];
            gr_module *owner = twin_of(t, e.owner);
            gr_param *p = owner ? copy_entry(s, (gr__kind)kind, &e, t) : NULL;
            if (owner && (!p || !gr__entry_add(owner, (gr__kind)kind, e.local, p))) return false;
        }
    }
    return true;
}

/* Puts the copies in the place of the originals. */
static void correct_state(gr_module *module, const twins *t)
{
    char *state = module->state;
    for (size_t at = 0; at + sizeof(void *) <= module->state_size; at += sizeof(void *)) {
        void *word, *twin;
        memcpy(&word, state + at, sizeof word);
        twin = twin_of(t, word);
        if (twin) memcpy(state + at, &twin, sizeof twin);
    }
}

static bool copy_all(gr_model *to, const source *s, twins *t)
{
    for (const gr_module *m = next_of(s, NULL); m; m = next_of(s, m))
        if (!copy_module(to, s, m, t)) return false;
    for (const gr_module *m = next_of(s, NULL); m; m = next_of(s, m)) copy_children(m, t);
    if (!copy_entries(s, t)) return false;
    for (const gr_module *m = next_of(s, NULL); m; m = next_of(s, m))
        correct_state(twin_of(t, m), t);
    return true;
}

/* The copy of root, the last module that was copied where root is NULL; NULL without memory. */
static gr_module *copy_into(gr_model *to, const source *s)
{
    twins t;
    bool done = twins_init(&t, s->model) && copy_all(to, s, &t);
    gr_module *copy = done && s->root ? twin_of(&t, s->root) : to->last;
    twins_release(&t);
    if (!done) gr__model_fail(to, GR_ERR_MEMORY, "out of memory while a model was copied");
    return done ? copy : NULL;
}

static gr_model *copy_model(const gr_model *m, gr_dtype dtype)
{
    gr_model *copy = gr_model_new();
    if (copy->status) return copy;
    m = gr__model_or_null(m);
    copy->training = m->training;
    copy->seed = m->seed;
    copy->dtype = dtype == GR_DTYPES ? m->dtype : dtype;
    if (m->status) gr__model_fail(copy, m->status, "%s", m->message);
    else if (m->first) copy_into(copy, &(source){m, NULL, m->last, dtype});
    return copy;
}

/* A model like m: modules, names, values and modes, sharing nothing with it. A module of the copy
 * is found by gr_model_module(copy, gr_module_path(module)).
 *
 * The state of modules is copied as it lies, pointers to modules and parameters of m in it becoming
 * those of the copy; what else a state points to is shared by both. To be freed with
 * gr_model_free. A copy of a model in error is in error too. */
gr_model *gr_model_copy(const gr_model *m)
{
    return copy_model(m, GR_DTYPES);
}

/* As gr_model_copy, with parameters and floating buffers in another dtype; float64 keeps every
 * value, float32 rounds. */
gr_model *gr_model_convert(const gr_model *m, gr_dtype dtype)
{
    if (gr__is_float(dtype)) return copy_model(m, dtype);
    gr_model *copy = gr_model_new();
    gr__model_fail(copy, GR_ERR_ARGUMENT, "gr_model_convert: expected float32 or float64, got %s",
                   gr_dtype_name(dtype));
    return copy;
}

/* A module like this one and all below it, in the same model and without a parent, with values of
 * its own that are equal at first: the layers of a stack. A parameter that another part of the
 * model owns stays shared. */
gr_module *gr_module_copy(gr_module *module)
{
    if (gr__need("gr_module_copy", module, "module")) return &gr__null_model.nil;
    gr_model *m = module->model;
    if (!module->state || m->status) return &m->nil;
    gr_module *copy = copy_into(m, &(source){m, module, m->last, GR_DTYPES});
    return copy ? copy : &m->nil;
}
