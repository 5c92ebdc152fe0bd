/* names.c - paths of modules and full names of what they own, from the tree. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

/* --- the tree --- */

gr_module *gr__module_next(const gr_module *root, const gr_module *module)
{
    if (module->first_child) return module->first_child;
    while (module != root && !module->sibling) module = module->parent;
    return module == root ? NULL : module->sibling;
}

bool gr__module_within(const gr_module *root, const gr_module *module)
{
    while (module && module != root) module = module->parent;
    return module != NULL;
}

/* --- names --- */

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

static bool settle_below(gr_module *root)
{
    for (gr_module *module = root; module; module = gr__module_next(root, module)) {
        int number = 0;
        for (gr_module *child = module->first_child; child; child = child->sibling)
            if (!set_path(child, join(module->path, child, number++))) return false;
    }
    return true;
}

static bool settle_entries(gr__entries *entries)
{
    for (int i = 0; i < entries->n; i++) {
        gr__entry *e = &entries->at[i];
        gr__text t = {0};
        gr__text_add(&t, "%s%s%s", e->owner->path, *e->owner->path ? "." : "", e->local);
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
    for (int kind = 0; kind < GR__KINDS && done; kind++) done = settle_entries(&m->entries[kind]);
    m->settled = done;
    if (!done) gr__fail(GR_ERR_MEMORY, "out of memory while parameters were named");
    return done;
}
