/* param.c - values that outlive graphs, and their gradients. */
/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <string.h>

static char no_name[] = "";

/* Returned where memory is out: inert, never freed. */
static gr_param no_param = {.name = no_name, .refs = 1};

/* NULL counts as that for calls that ask. */
static const gr_param *or_inert(const gr_param *p)
{
    return p ? p : &no_param;
}

static size_t bytes_of(const gr_param *p)
{
    return (size_t)p->numel * gr__dtype_bytes[p->dtype];
}

/* A parameter of this shape and dtype with a copy of `data` (NULL: zeros), counted once; release
 * it with gr_param_release. On failure an inert one, with gr_last_error; using it is an error. */
gr_param *gr_param_new(const char *name, gr_dtype dtype, gr_shape shape, const void *data)
{
    char text[GR_SHAPE_TEXT];
    if (!gr__shape_valid(&shape) || (unsigned)dtype >= GR_DTYPES) {
        gr__fail(GR_ERR_ARGUMENT, "gr_param_new: %s is not a usable shape",
                 gr_shape_text(&shape, text));
        return &no_param;
    }
    gr_param *p = gr__calloc(sizeof *p);
    if (!p) return &no_param;
    p->refs = 1;
    p->dtype = dtype;
    p->shape = shape;
    p->numel = gr_shape_numel(&shape);
    gr__shape_strides(&shape, p->layout.strides);
    p->name = gr__strdup(name ? name : "");
    p->data = gr__calloc(bytes_of(p) + 1);
    if (!p->name || !p->data) {
        gr_param_release(p);
        return &no_param;
    }
    if (data) memcpy(p->data, data, bytes_of(p));
    return p;
}

gr_param *gr_param_retain(gr_param *p)
{
    if (gr__need("gr_param_retain", p, "parameter")) return &no_param;
    if (p != &no_param) __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

/* Gives one count back; at zero the parameter is freed. A graph that uses it holds a count, until the
 * first of its resets since which it was not used again. */
void gr_param_release(gr_param *p)
{
    if (!p || p == &no_param || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    gr__free(p->name);
    gr__free(p->data);
    gr__free(p->grad);
    gr__free(p->rows);
    gr__free(p->seen);
    gr__free(p);
}

const char *gr_param_name(const gr_param *p)
{
    return or_inert(p)->name;
}

gr_dtype gr_param_dtype(const gr_param *p)
{
    return or_inert(p)->dtype;
}

const gr_shape *gr_param_shape(const gr_param *p)
{
    return &or_inert(p)->shape;
}

const void *gr_param_data(const gr_param *p)
{
    return or_inert(p)->data;
}

/* The values, to be changed by the caller. What was recorded with the old ones and is not computed
 * yet can no longer be, and says so. NULL for an inert parameter. */
void *gr_param_write(gr_param *p)
{
    if (gr__need("gr_param_write", p, "parameter")) return NULL;
    if (p->data) p->version++;
    return p->data;
}

/* The gradient, of the parameter's shape and dtype; NULL when no backward has reached it since it
 * was last cleared. */
const void *gr_param_grad(const gr_param *p)
{
    return p && p->has_grad ? p->grad : NULL;
}

void gr_param_clear_grad(gr_param *p)
{
    if (gr__need("gr_param_clear_grad", p, "parameter")) return;
    p->has_grad = false;
    if (p->by_rows) gr__rows_clear(p);
}

void gr_param_freeze(gr_param *p, bool frozen)
{
    if (gr__need("gr_param_freeze", p, "parameter")) return;
    if (p != &no_param) p->frozen = frozen;
}

bool gr_param_frozen(const gr_param *p)
{
    return or_inert(p)->frozen;
}

/* --- state written by the graph --- */

static bool can_assign(gr_graph *g, const gr_param *p, const gr_tensor *y, const void *site)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    if (y->dtype == p->dtype && gr_shape_equal(y->shape, &p->shape)) return true;
    gr__fail_at(g, GR_ERR_ARGUMENT, site, "gr_assign: parameter '%s' is %s %s, the value %s %s",
                p->name, gr_dtype_name(p->dtype), gr_shape_text(&p->shape, a),
                gr_dtype_name((gr_dtype)y->dtype), gr_shape_text(y->shape, b));
    return false;
}

/* Records that p becomes y: written by the next gr_backward or gr_commit, after everything else,
 * once. y has p's shape and dtype. A reset before that forgets it. */
void gr_assign(gr_param *p, gr_tensor *y)
{
    if (gr__need("gr_assign", y, "value") || gr__is_nil(y)) return;
    gr_graph *g = y->graph;
    if (!p) {
        gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "gr_assign: the parameter is NULL");
        return;
    }
    if (gr__is_stale(y)) {
        gr__fail_at(g, GR_ERR_STATE, GR_HERE, "gr_assign: the value is stale");
        return;
    }
    if (!can_assign(g, p, y, GR_HERE)) return;
    if (g->n_assigns == g->cap_assigns) {
        size_t old = (size_t)g->cap_assigns * sizeof *g->assigns;
        gr__assign *more = gr__grow(g->assigns, old, 2 * old + 16 * sizeof *more);
        if (!more) {
            gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "gr_assign: out of memory");
            return;
        }
        g->assigns = more;
        g->cap_assigns = 2 * g->cap_assigns + 16;
    }
    y->consumers++;
    g->assigns[g->n_assigns++] = (gr__assign){gr_param_retain(p), y};
}

/* Computes what was assigned since the last commit and writes it. Nothing is written on failure. */
gr_status gr_commit(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_commit") || g->status) return gr_graph_status(g);
    for (int i = 0; i < g->n_assigns; i++)
        if (!gr_data(g->assigns[i].value)) return g->status;
    for (int i = 0; i < g->n_assigns; i++) {
        gr__assign *a = &g->assigns[i];
        memcpy(gr_param_write(a->param), a->value->data, bytes_of(a->param));
        gr_param_release(a->param);
    }
    g->n_assigns = 0;
    return GR_OK;
}
