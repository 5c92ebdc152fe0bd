/* entries.c - what modules own: parameters, buffers, shared parameters; the lists of a model. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <string.h>

/* --- adding --- */

/* Makes room in a list, so that adding cannot fail. */
static bool room_for_one(gr__entries *list)
{
    if (list->n < list->cap) return true;
    size_t size = sizeof *list->at, cap = list->cap ? 2 * (size_t)list->cap : 16;
    gr__entry *more = gr__grow(list->at, (size_t)list->n * size, cap * size);
    if (!more) return false;
    list->at = more;
    list->cap = (int)cap;
    return true;
}

bool gr__entry_add(gr_module *owner, gr__kind kind, const char *name, gr_param *p)
{
    gr__entries *list = &owner->model->entries[kind];
    const char *local = gr__model_strdup(owner->model, name);
    if (!local || !room_for_one(list)) {
        gr__model_fail(owner->model, GR_ERR_MEMORY, "out of memory while the model was built");
        gr_param_release(p);
        return false;
    }
    list->at[list->n++] = (gr__entry){p, owner, local, NULL};
    owner->model->settled = false;
    return true;
}

static bool has_name(const gr_module *module, const char *name)
{
    for (int kind = 0; kind < GR__KINDS; kind++) {
        const gr__entries *list = &module->model->entries[kind];
        for (int i = 0; i < list->n; i++)
            if (list->at[i].owner == module && !strcmp(list->at[i].local, name)) return true;
    }
    return false;
}

enum { INIT = 0x696e6974 }; /* keeps initial values apart from other uses of the same seed */

/* NULL, or why there can be no such entry. */
static const char *problem_of(const gr_module *module, const char *name, const gr_shape *shape)
{
    if (!gr__shape_valid(shape)) return "its shape cannot be used";
    if (!name || !*name) return "it has no name";
    if (has_name(module, name)) return "its name is used twice";
    return NULL;
}

static gr_param *add_new(gr_module *module, gr__kind kind, const char *name, gr_dtype dtype,
                         gr_shape shape, gr_init init)
{
    gr_model *m = module->model;
    const char *problem = module->state ? problem_of(module, name, &shape) : "out of memory";
    gr_status status = module->state ? GR_ERR_ARGUMENT : GR_ERR_MEMORY;
    gr_param *p = problem ? NULL : gr_param_new(name, dtype, shape, NULL);
    uint64_t number = (uint64_t)m->entries[kind].n;
    uint64_t stream = gr__hash_join(gr__hash_join(m->seed, INIT + (uint64_t)kind), number);
    if (p && !gr_param_data(p)) {
        problem = "out of memory";
        status = GR_ERR_MEMORY;
    }
    if (!problem && gr__is_float(dtype)) gr__init_fill(p, init, stream, &problem);
    if (!problem && gr__entry_add(module, kind, name, p)) return p;
    if (problem) gr_param_release(p);
    p = gr_param_new(name, GR_DTYPES, shape, NULL); /* inert */
    if (problem)
        gr__model_fail(m, status, "%s: %s '%s': %s", module->type,
                       kind == GR__PARAM ? "parameter" : "buffer", name ? name : "", problem);
    return p;
}

/* The module, for NULL the inert one. */
static gr_module *given(gr_module *module, const char *call)
{
    return gr__need(call, module, "module") ? &gr__null_model.nil : module;
}

/* Adds a parameter of the model's dtype to a module.
 *
 * name   in the module: "weight"
 * init   its first values, drawn from the model's seed and the number of the parameter
 *
 * Belongs to the model. On failure (a shape that cannot be, a name used before, memory) an inert
 * parameter, with the model in error. */
gr_param *gr_module_param(gr_module *module, const char *name, gr_shape shape, gr_init init)
{
    module = given(module, "gr_module_param");
    return add_new(module, GR__PARAM, name, module->model->dtype, shape, init);
}

gr_param *gr__module_buffer(gr_module *module, gr__kind kind, const char *name, gr_dtype dtype,
                            gr_shape shape, gr_init init)
{
    gr_param *p = add_new(module, kind, name, dtype, shape, init);
    gr_param_freeze(p, true);
    return p;
}

/* Adds a buffer of the model's dtype: state that the layer changes by gr_assign and no optimizer
 * does, saved together with the parameters, such as running statistics. Otherwise as
 * gr_module_param. */
gr_param *gr_module_buffer(gr_module *module, const char *name, gr_shape shape, gr_init init)
{
    module = given(module, "gr_module_buffer");
    return gr__module_buffer(module, GR__BUFFER, name, module->model->dtype, shape, init);
}

/* A buffer that is in no file: what can be computed again, or concerns one run only. */
gr_param *gr_module_unsaved_buffer(gr_module *module, const char *name, gr_shape shape,
                                   gr_init init)
{
    module = given(module, "gr_module_unsaved_buffer");
    return gr__module_buffer(module, GR__UNSAVED, name, module->model->dtype, shape, init);
}

static bool owns(const gr_model *m, const gr_param *p)
{
    for (int i = 0; i < m->entries[GR__PARAM].n; i++)
        if (m->entries[GR__PARAM].at[i].param == p) return true;
    return false;
}

/* Gives a parameter that another module of the model owns a second name, in this module: files hold
 * it under both, as PyTorch's state dicts do, and are read if one of them is there. The layer uses
 * the parameter as its own. */
void gr_module_share(gr_module *module, const char *name, gr_param *p)
{
    if (gr__need("gr_module_share", module, "module")) return;
    if (!module->state || module->model->status) return;
    const char *problem = NULL;
    if (!p || !owns(module->model, p)) problem = "it is no parameter of this model";
    else problem = problem_of(module, name, gr_param_shape(p));
    if (!problem) gr__entry_add(module, GR__TIE, name, gr_param_retain(p));
    else
        gr__model_fail(module->model, GR_ERR_ARGUMENT, "%s: shared parameter '%s': %s",
                       module->type, name ? name : "", problem);
}

/* --- the model's lists --- */

static int count(const gr_model *m, gr__kind from, gr__kind to)
{
    int n = 0;
    for (int kind = from; m && kind <= (int)to; kind++) n += m->entries[kind].n;
    return n;
}

/* Entry i of the kinds `from` to `to`; NULL when out of range. */
static gr__entry *entry(const gr_model *m, gr__kind from, gr__kind to, int i)
{
    for (int kind = from; m && kind <= (int)to && i >= 0; kind++) {
        if (i < m->entries[kind].n) return &m->entries[kind].at[i];
        i -= m->entries[kind].n;
    }
    return NULL;
}

static gr_param *param_of(const gr__entry *e)
{
    return e ? e->param : NULL;
}

static const char *name_of(gr_model *m, const gr__entry *e)
{
    if (!e) return NULL;
    return gr__model_settle(m) ? e->name : "";
}

int gr_model_params(const gr_model *m)
{
    return count(m, GR__PARAM, GR__PARAM);
}

/* Parameter i in order of creation; NULL when out of range. Belongs to the model. */
gr_param *gr_model_param(const gr_model *m, int i)
{
    return param_of(entry(m, GR__PARAM, GR__PARAM, i));
}

/* The names of the modules from the root to the parameter, then its own, joined by points. A root
 * has no name of its own, unless there are several. NULL when out of range, "" when memory is out.
 * Valid until the next change of the tree. */
const char *gr_model_param_name(gr_model *m, int i)
{
    return name_of(m, entry(m, GR__PARAM, GR__PARAM, i));
}

int gr_model_buffers(const gr_model *m)
{
    return count(m, GR__BUFFER, GR__BUFFER) + count(m, GR__UNSAVED, GR__UNSAVED);
}

/* Buffer i, those that are saved first; NULL when out of range. */
gr_param *gr_model_buffer(const gr_model *m, int i)
{
    const int saved = count(m, GR__BUFFER, GR__BUFFER);
    if (i < saved) return param_of(entry(m, GR__BUFFER, GR__BUFFER, i));
    return param_of(entry(m, GR__UNSAVED, GR__UNSAVED, i - saved));
}

int gr_model_states(const gr_model *m)
{
    return count(m, GR__PARAM, GR__TIE);
}

/* What name i of the state dict stands for: several may stand for one parameter. */
gr_param *gr_model_state(const gr_model *m, int i)
{
    return param_of(entry(m, GR__PARAM, GR__TIE, i));
}

const char *gr_model_state_name(gr_model *m, int i)
{
    return name_of(m, entry(m, GR__PARAM, GR__TIE, i));
}

gr_param *gr_model_find(gr_model *m, const char *name)
{
    if (!m || !name || !gr__model_settle(m)) return NULL;
    for (int i = 0, n = count(m, GR__PARAM, GR__UNSAVED); i < n; i++) {
        const gr__entry *e = entry(m, GR__PARAM, GR__UNSAVED, i);
        if (!strcmp(e->name, name)) return e->param;
    }
    return NULL;
}

/* --- of a part of the tree --- */

static int64_t numel(const gr_model *m, const gr_module *root)
{
    int64_t n = 0;
    for (int i = 0; m && i < m->entries[GR__PARAM].n; i++) {
        const gr__entry *e = &m->entries[GR__PARAM].at[i];
        if (!root || gr__module_within(root, e->owner))
            n += gr_shape_numel(gr_param_shape(e->param));
    }
    return n;
}

int64_t gr_model_numel(const gr_model *m)
{
    return numel(m, NULL);
}

/* A shared parameter counts where it was made. */
int64_t gr_module_numel(const gr_module *module)
{
    return module && module->state ? numel(module->model, module) : 0;
}

/* A frozen parameter gets no gradient, so that no optimizer changes it; false makes it trainable
 * again. Buffers are never trained. */
void gr_module_freeze(gr_module *module, bool frozen)
{
    if (gr__need("gr_module_freeze", module, "module")) return;
    const gr__entries *params = &module->model->entries[GR__PARAM];
    for (int i = 0; i < params->n && module->state; i++)
        if (gr__module_within(module, params->at[i].owner))
            gr_param_freeze(params->at[i].param, frozen);
}
