/* module.c - modules: a tree of forward functions with parameters and state. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdio.h>
#include <string.h>

/* --- creation --- */

static gr_module *append(gr_model *m, gr_module *module)
{
    if (m->last) m->last->next = module;
    else m->first = module;
    m->last = module;
    m->settled = false;
    return module;
}

/* A module without parent, parameters and children.
 *
 * type        what it is called in errors: "linear"; copied
 * forward     computes its output from its input (which may be any number of tensors deep in its
 *             state); it gets the module itself
 * state_size  bytes of zeroed memory for the module's own use, see gr_module_state
 *
 * It belongs to the model. When memory is out: an inert module, with the model in error. */
gr_module *gr_module_new(gr_model *m, const char *type, gr_forward_fn *forward, size_t state_size)
{
    if (!m) m = &gr__no_model;
    gr_module *module = gr__model_alloc(m, sizeof *module);
    char *copy = module ? gr__model_strdup(m, type ? type : "module") : NULL;
    void *state = copy ? gr__model_alloc(m, state_size + 1) : NULL;
    if (!state) return &m->nil;
    if (!forward)
        gr__model_fail(m, GR_ERR_ARGUMENT, "gr_module_new: '%s' has no forward function", copy);
    *module = (gr_module){.model = m, .type = copy, .forward = forward, .state = state};
    return append(m, module);
}

/* The module's own memory, 16-byte aligned; NULL for an inert module. */
void *gr_module_state(gr_module *module)
{
    return module->state;
}

gr_model *gr_module_model(gr_module *module)
{
    return module->model;
}

const char *gr_module_type(const gr_module *module)
{
    return module->type;
}

/* The names from the root to the module; valid until the next change of the tree. */
const char *gr_module_path(gr_module *module)
{
    return module->state && gr__model_settle(module->model) ? module->path : "";
}

/* --- parameters --- */

/* Makes room in the model's list, so that adding cannot fail. */
static bool room_for_param(gr_model *m)
{
    if (m->n_params < m->cap_params) return true;
    size_t size = sizeof *m->params, cap = m->cap_params ? 2 * (size_t)m->cap_params : 16;
    gr__entry *more = gr__grow(m->params, (size_t)m->n_params * size, cap * size);
    if (!more) return false;
    m->params = more;
    m->cap_params = (int)cap;
    return true;
}

static bool has_param(const gr_module *module, const char *name)
{
    const gr_model *m = module->model;
    for (int i = 0; i < m->n_params; i++)
        if (m->params[i].owner == module && !strcmp(gr_param_name(m->params[i].param), name))
            return true;
    return false;
}

enum { INIT = 0x696e6974 }; /* keeps initial values apart from other uses of the same seed */

/* Adds a parameter of the model's dtype to a module.
 *
 * name   in the module: "weight"
 * init   its first values, drawn from the model's seed and the number of the parameter
 *
 * Belongs to the model. On failure (a shape that cannot be, a name used before, memory) an inert
 * parameter, with the model in error. */
gr_param *gr_module_param(gr_module *module, const char *name, gr_shape shape, gr_init init)
{
    gr_model *m = module->model;
    bool room = module->state && room_for_param(m), usable = gr__shape_valid(&shape);
    gr_param *p = room && usable ? gr_param_new(name, m->dtype, shape, NULL) : NULL;
    const char *problem = NULL;
    uint64_t stream = gr__hash_join(gr__hash_join(m->seed, INIT), (uint64_t)m->n_params);
    if (!usable) problem = "its shape cannot be used";
    else if (!name || !*name) problem = "it has no name";
    else if (has_param(module, name)) problem = "its name is used twice";
    else if (!p || !gr_param_data(p)) problem = "out of memory";
    if (!problem && gr__init_fill(p, init, stream, &problem)) {
        m->params[m->n_params++] = (gr__entry){p, module, NULL};
        m->settled = false;
        return p;
    }
    gr_status status = usable && (!p || !gr_param_data(p)) ? GR_ERR_MEMORY : GR_ERR_ARGUMENT;
    gr_param_release(p);
    gr_param *inert = gr_param_new(name, GR_DTYPES, shape, NULL);
    gr__model_fail(m, status, "%s: parameter '%s': %s", module->type, name ? name : "", problem);
    return inert;
}

/* --- the tree --- */

static const char *problem_of(const gr_module *parent, const gr_module *child)
{
    if (!child) return "the module is NULL";
    if (child->model != parent->model) return "the module belongs to another model";
    if (child->parent) return "the module has a parent already";
    for (const gr_module *above = parent; above; above = above->parent)
        if (above == child) return "the module would contain itself";
    for (const gr_module *c = parent->first_child; c && child->name; c = c->sibling)
        if (c->name && !strcmp(c->name, child->name)) return "two children have the same name";
    return NULL;
}

/* Makes `child` the next child of `parent`, so that its parameters are named "name. ..." in there.
 * name NULL: what gr_named gave it, else its number. Returns child. A child that has a parent
 * already, or belongs to another model, puts the model into error. */
gr_module *gr_module_add(gr_module *parent, const char *name, gr_module *child)
{
    gr_model *m = parent->model;
    if (!parent->state || (child && !child->state)) return child ? child : &m->nil;
    if (name && child) gr_named(name, child);
    const char *problem = problem_of(parent, child);
    if (problem) {
        gr__model_fail(m, GR_ERR_ARGUMENT, "%s: cannot add %s%s%s: %s", parent->type,
                       child ? child->type : "a module", child && child->name ? " " : "",
                       child && child->name ? child->name : "", problem);
        return child ? child : &m->nil;
    }
    child->parent = parent;
    if (parent->last_child) parent->last_child->sibling = child;
    else parent->first_child = child;
    parent->last_child = child;
    child->number = parent->n_children++;
    m->settled = false;
    return child;
}

/* Gives a module the name that it will have in its parent; returns the module. A name has no point
 * in it and is not empty. */
gr_module *gr_named(const char *name, gr_module *module)
{
    if (!module->state) return module;
    if (!name || !*name || strchr(name, '.'))
        gr__model_fail(module->model, GR_ERR_ARGUMENT,
                       "gr_named: '%s' cannot name a module: expected text without points",
                       name ? name : "NULL");
    else module->name = gr__model_strdup(module->model, name);
    module->model->settled = false;
    return module;
}

int gr_module_children(const gr_module *module)
{
    return module->n_children;
}

/* Child i in the order in which they were added; NULL when out of range. */
gr_module *gr_module_child(const gr_module *module, int i)
{
    gr_module *child = i >= 0 ? module->first_child : NULL;
    while (child && i-- > 0) child = child->sibling;
    return child;
}

/* --- forward --- */

/* Its forward function, in a scope of the module's name. A root without a name opens none: then
 * scopes are spelled as the names of parameters are. */
static gr_tensor *forward_in_scope(gr_module *module, gr_graph *g, gr_tensor *x)
{
    char number[16];
    const char *scope = module->name;
    if (!scope && module->parent) {
        snprintf(number, sizeof number, "%d", module->number);
        scope = number;
    }
    if (!scope) return module->forward(module, x);
    gr_scope_begin(g, scope);
    gr_tensor *y = module->forward(module, x);
    gr_scope_end_named(g, scope);
    return y;
}

/* Records what the module computes from x, and returns it. It is recorded in a scope of the
 * module's name; errors name the line of the outermost call. Where the model is in error, so is the
 * graph. */
gr_tensor *gr_forward(gr_module *module, gr_tensor *x)
{
    gr_graph *g = x ? gr_graph_of(x) : NULL;
    if (!x) return gr_fail(NULL, "gr_forward: the input is NULL");
    if (!g || gr_graph_status(g)) return gr_detach(x); /* inert */
    gr_site_begin(g, GR_HERE);
    gr_tensor *y = NULL;
    if (!module) y = gr_fail(g, "gr_forward: the module is NULL");
    else if (module->model->status)
        y = gr_fail(g, "gr_forward: the model is in error: %s", module->model->message);
    else y = forward_in_scope(module, g, x);
    if (!y) y = gr_module_fail(module, x, "its forward function gave NULL");
    gr_site_end(g);
    return y;
}

/* For forward functions: puts x's graph in error with "type 'path': what", and returns the inert
 * tensor; the first error of a graph stays. */
gr_tensor *gr_module_fail(gr_module *module, const gr_tensor *x, const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *path = gr_module_path(module);
    return gr_fail(gr_graph_of(x), "%s%s%s%s: %s", module->type, *path ? " '" : "", path,
                   *path ? "'" : "", what);
}

/* --- sequential --- */

static gr_tensor *sequential_forward(gr_module *self, gr_tensor *x)
{
    for (gr_module *child = self->first_child; child; child = child->sibling)
        x = gr_forward(child, x);
    return x;
}

/* A module that applies n modules one after the other; they become its children, named by gr_named
 * or "0", "1", ... Without any it is the identity. */
gr_module *gr_sequential(gr_model *m, gr_module *const *modules, int n)
{
    gr_module *self = gr_module_new(m, "sequential", sequential_forward, 0);
    for (int i = 0; i < n; i++) gr_module_add(self, NULL, modules[i]);
    return self;
}
