/* module.c - modules: a tree of forward functions with parameters and state. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <gradus/transform.h>

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
    if (gr__need(type ? type : "module", m, "model")) return &gr__null_model.nil;
    gr_module *module = gr__model_alloc(m, sizeof *module);
    char *copy = module ? gr__model_strdup(m, type ? type : "module") : NULL;
    void *state = copy ? gr__model_alloc(m, state_size + 1) : NULL;
    if (!state) return &m->nil;
    if (!forward)
        gr__model_fail(m, GR_ERR_ARGUMENT, "gr_module_new: '%s' has no forward function", copy);
    *module = (gr_module){
        .model = m, .type = copy, .forward = forward, .state_size = state_size, .state = state};
    return append(m, module);
}

/* The module's own memory, 16-byte aligned; NULL for an inert module. */
void *gr_module_state(gr_module *module)
{
    return gr__module_or_nil(module)->state;
}

gr_model *gr_module_model(gr_module *module)
{
    return gr__module_or_nil(module)->model;
}

const char *gr_module_type(const gr_module *module)
{
    return gr__module_or_nil(module)->type;
}

/* The names from the root to the module; valid until the next change of the tree. */
const char *gr_module_path(gr_module *module)
{
    return module && module->state && gr__model_settle(module->model) ? module->path : "";
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
    if (gr__need("gr_module_add", parent, "parent")) return child ? child : &gr__null_model.nil;
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
    snprintf(child->digits, sizeof child->digits, "%d", child->number);
    m->settled = false;
    return child;
}

/* Gives a module the name that it will have in its parent; returns the module. A name has no point
 * in it and is not empty. */
gr_module *gr_named(const char *name, gr_module *module)
{
    if (gr__need("gr_named", module, "module")) return &gr__null_model.nil;
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
    return gr__module_or_nil(module)->n_children;
}

/* Child i in the order in which they were added; NULL when out of range. */
gr_module *gr_module_child(const gr_module *module, int i)
{
    gr_module *child = i >= 0 ? gr__module_or_nil(module)->first_child : NULL;
    while (child && i-- > 0) child = child->sibling;
    return child;
}

/* --- modes --- */

/* In evaluation (false) dropout and batch norm of this part act as they do in use, also while the
 * model trains: how pretrained statistics are left alone. In training they follow the model. */
void gr_module_set_training(gr_module *module, bool training)
{
    if (gr__need("gr_module_set_training", module, "module")) return;
    for (gr_module *m = module->state ? module : NULL; m; m = gr__module_next(module, m))
        m->evaluating = !training;
}

bool gr_module_training(const gr_module *module)
{
    module = gr__module_or_nil(module);
    return module->model->training && !module->evaluating;
}

/* Backward computes what this module records again instead of keeping it; see gr_checkpoint_begin.
 * Names and results stay as they are. For each of the blocks of a deep model, say. */
void gr_module_checkpoint(gr_module *module, bool on)
{
    if (gr__need("gr_module_checkpoint", module, "module")) return;
    module->checkpointed = on && module->state; /* not of one that could not be made */
}

/* --- forward --- */

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
    return gr_fail(gr_graph_of(x), "%s%s%s%s: %s", gr_module_type(module), *path ? " '" : "", path,
                   *path ? "'" : "", what);
}

gr_tensor *gr__inert(gr_tensor *x)
{
    return x ? gr_detach(x) : gr_output(NULL, 0);
}

/* The name of the scope in which a module records, its name in its parent. NULL for a root without
 * a name, which opens none: then scopes are spelled as the names of parameters are. */
static const char *scope_of(const gr_module *module)
{
    return module->name || !module->parent ? module->name : module->digits;
}

static bool refuse(const gr_module *module, gr_graph *g, const char *call, gr_forward_fn *kind)
{
    if (!module) gr_fail(g, "%s: the module is NULL", call);
    else if (module->model->status)
        gr_fail(g, "%s: the model is in error: %s", call, module->model->message);
    else if (kind && module->forward != kind)
        gr_fail(g, "%s: not for modules of type %s", call, module->type);
    else return false;
    return true;
}

bool gr__module_enter(gr_module *module, const gr_tensor *x, const char *call, gr_forward_fn *kind,
                      const void *site)
{
    gr_graph *g = gr_graph_of(x);
    if (!x) gr_fail(NULL, "%s: the input is NULL", call);
    if (!g || gr_graph_status(g)) return false;
    gr_site_begin(g, site);
    if (refuse(module, g, call, kind)) {
        gr_site_end(g);
        return false;
    }
    const char *scope = scope_of(module);
    if (scope) gr_scope_begin(g, scope);
    if (module->checkpointed) gr_checkpoint_begin(g);
    if (module->model->trace) module->model->trace(module->model->trace_user, module, NULL);
    return true;
}

gr_tensor *gr__module_leave(gr_module *module, const gr_tensor *x, gr_tensor *y)
{
    gr_graph *g = gr_graph_of(x);
    const char *scope = scope_of(module);
    if (!y) y = gr_module_fail(module, x, "its forward function gave NULL");
    if (module->model->trace) module->model->trace(module->model->trace_user, module, y);
    if (module->checkpointed) gr_checkpoint_end(g);
    if (scope) gr_scope_end_named(g, scope);
    gr_site_end(g);
    return y;
}

/* Records what the module computes from x, and returns it. It is recorded in a scope of the
 * module's name; errors name the line of the outermost call. Where the model is in error, so is the
 * graph. */
gr_tensor *gr_forward(gr_module *module, gr_tensor *x)
{
    if (!gr__module_enter(module, x, "gr_forward", NULL, GR_HERE)) return gr__inert(x);
    return gr__module_leave(module, x, module->forward(module, x));
}
