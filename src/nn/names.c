/* names.c - paths of modules and full names of parameters, from the tree. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

/* Its name, or its number among its siblings. */
static void add_name(gr__text *t, const gr_module *module, int number)
{
    if (module->name) gr__text_add(t, "%s", module->name);
    else gr__text_add(t, "%d", number);
}

static char *join(const char *path, const gr_module *last, int number)
{
    gr__text t = {0};
    gr__text_add(&t, "%s%s", path, *path ? "." : "");
    add_name(&t, last, number);
    if (t.failed) gr__text_release(&t);
    return t.data;
}

static bool set_path(gr_module *module, char *path)
{
    gr__free(module->path);
    module->path = path;
    return path != NULL;
}

static int count_roots(const gr_model *m)
{
    int n = 0;
    for (const gr_module *module = m->first; module; module = module->next) n += !module->parent;
    return n;
}

static bool settle_roots(gr_model *m)
{
    int n = count_roots(m), number = 0;
    for (gr_module *module = m->first; module; module = module->next) {
        if (module->parent) continue;
        char *path = n == 1 ? gr__strdup("") : join("", module, number++);
        if (!set_path(module, path)) return false;
    }
    return true;
}

/* The module after `module` below `root`, a parent before its children; NULL at the end. */
static gr_module *next_below(const gr_module *root, gr_module *module)
{
    if (module->first_child) return module->first_child;
    while (module != root && !module->sibling) module = module->parent;
    return module == root ? NULL : module->sibling;
}

static bool settle_below(gr_module *root)
{
    for (gr_module *module = root; module; module = next_below(root, module)) {
        int number = 0;
        for (gr_module *child = module->first_child; child; child = child->sibling)
            if (!set_path(child, join(module->path, child, number++))) return false;
    }
    return true;
}

static bool settle_params(gr_model *m)
{
    for (int i = 0; i < m->n_params; i++) {
        gr__entry *e = &m->params[i];
        gr__text t = {0};
        gr__text_add(&t, "%s%s%s", e->owner->path, *e->owner->path ? "." : "",
                     gr_param_name(e->param));
        if (t.failed) {
            gr__text_release(&t);
            return false;
        }
        gr__free(e->name);
        e->name = t.data;
    }
    return true;
}

bool gr__model_settle(gr_model *m)
{
    if (m->settled) return true;
    bool done = settle_roots(m);
    for (gr_module *module = m->first; module && done; module = module->next)
        if (!module->parent) done = settle_below(module);
    m->settled = done && settle_params(m);
    if (!m->settled) gr__fail(GR_ERR_MEMORY, "out of memory while parameters were named");
    return m->settled;
}
