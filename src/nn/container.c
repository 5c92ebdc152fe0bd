/* container.c - modules made of modules: one after the other, around, side by side. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

static gr_module *add_all(gr_module *self, gr_module *const *modules, int n)
{
    if (n > 0 && !modules)
        gr_model_fail(self->model, "%s: the array of modules is NULL", self->type);
    for (int i = 0; i < n && modules; i++) gr_module_add(self, NULL, modules[i]);
    return self;
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
    return add_all(self, modules, n);
}

/* --- residual --- */

typedef struct residual {
    gr_module *body, *shortcut; /* shortcut NULL: the identity */
} residual;

static gr_tensor *residual_forward(gr_module *self, gr_tensor *x)
{
    const residual *r = gr_module_state(self);
    gr_tensor *y = gr_forward(r->body, x);
    gr_tensor *around = r->shortcut ? gr_forward(r->shortcut, x) : x;
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (gr_graph_status(gr_graph_of(x))) return gr_detach(x); /* inert */
    if (!gr_shape_equal(gr_shape_of(y), gr_shape_of(around)))
        return gr_module_fail(self, x, "its body gives %s, the way around it %s",
                              gr_shape_text(gr_shape_of(y), a),
                              gr_shape_text(gr_shape_of(around), b));
    return gr_add(y, around);
}

/* body(x) + shortcut(x), children "body" and "shortcut" unless gr_named says otherwise; shortcut
 * NULL stands for x itself. Both give one shape. He et al., "Deep residual learning", 2016. */
gr_module *gr_residual(gr_model *m, gr_module *body, gr_module *shortcut)
{
    gr_module *self = gr_module_new(m, "residual", residual_forward, sizeof(residual));
    residual *r = gr_module_state(self);
    if (!r) return self;
    r->body = gr_module_add(self, body && body->name ? NULL : "body", body);
    if (shortcut) r->shortcut = gr_module_add(self, shortcut->name ? NULL : "shortcut", shortcut);
    return self;
}

/* --- parallel --- */

typedef struct parallel {
    int axis;
} parallel;

enum { MOST_BRANCHES = 64 };

static gr_tensor *parallel_forward(gr_module *self, gr_tensor *x)
{
    const parallel *p = gr_module_state(self);
    gr_tensor *y[MOST_BRANCHES];
    int n = 0;
    for (gr_module *child = self->first_child; child && n < MOST_BRANCHES; child = child->sibling)
        y[n++] = gr_forward(child, x);
    return gr_concat(y, n, p->axis);
}

/* Applies n modules (1 to 64), its children, to the same input and puts what they give side by side
 * along an axis: branches of an Inception block, along the channels, axis 1. With gr_identity_layer
 * among them the input goes along, as in DenseNet. Szegedy et al., "Going deeper", 2015. */
gr_module *gr_parallel(gr_model *m, int axis, gr_module *const *modules, int n)
{
    gr_module *self = gr_module_new(m, "parallel", parallel_forward, sizeof(parallel));
    parallel *p = gr_module_state(self);
    if (!p) return self;
    p->axis = axis;
    if (n < 1 || n > MOST_BRANCHES)
        gr_model_fail(m, "parallel: expected 1 to %d modules, got %d", MOST_BRANCHES, n);
    return n > MOST_BRANCHES ? self : add_all(self, modules, n);
}
