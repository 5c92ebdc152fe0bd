/* gradient.c - the same values, another gradient.
 *
 *   scale_gradient:  y = x     dx = a dy, by decree; a = -1 is gradient reversal
 *   hook:            y = x     dx = f(dy), f a function of the user's
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <gradus/transform.h>

#define M34                    \
    {                          \
        .shape = { 2, {3, 4} } \
    }

/* --- scale_gradient --- */

typedef struct scale_attrs {
    double value;
} scale_attrs;

static const gr_field scale_fields[] = {GR_FIELD(scale_attrs, value, GR_FIELD_F64), {0}};

static void scale_gradient_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(p->dy[0], ((const scale_attrs *)p->attrs)->value);
}

/* Any other factor is not the derivative, which is what the gradient check looks for. */
static const gr_sample scale_gradient_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1, .attrs = &(const scale_attrs){1}},
    {0},
};

static const gr_op scale_gradient_op = {
    .name = "scale_gradient",
    .family = "gradient",
    .formula = "y = x, whose gradient is multiplied by a",
    .derivation = "dx = a dy by decree; the derivative of y = x is dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(scale_attrs),
    .fields = scale_fields,
    .view = gr__view_whole,
    .vjp = scale_gradient_vjp,
    .samples = scale_gradient_samples,
};

/* The values of x; the gradient that comes back is multiplied by a. Of what lies before, the part
 * of the loss that goes through here counts a times, in gradients of any order and in gr_jvp. At
 * a = -1 it is made worse where what lies behind is made better: Ganin and Lempitsky,
 * "Unsupervised domain adaptation by backpropagation", 2015. */
gr_tensor *gr_scale_gradient(gr_tensor *x, double a)
{
    return gr__unary(&scale_gradient_op, x, &(scale_attrs){a}, GR_HERE);
}

/* --- hook: known by pointer alone, since a function has no name --- */

typedef struct hook_attrs {
    gr_hook_fn *fn;
    void *user;
} hook_attrs;

/* The hooked tensor, for texts: "tanh (node 12)". */
static const gr_node *hooked_node(const gr_graph *g)
{
    return g->origin->in[0]->node;
}

static bool fits(gr_graph *g, const gr_tensor *given, const gr_tensor *dy)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    const gr_node *node = hooked_node(g);
    if (g->status) return false;
    if (gr__is_nil(given) || given->graph != g || given->generation != g->generation)
        gr__fail_at(g, GR_ERR_ARGUMENT, NULL,
                    "gr_hook: the function gave no tensor of this graph for the cotangent of %s "
                    "(node %u)",
                    node->op->name, node->id);
    else if (given->dtype != dy->dtype || !gr_shape_equal(given->shape, dy->shape))
        gr__fail_at(g, GR_ERR_ARGUMENT, NULL,
                    "gr_hook: the cotangent of %s (node %u) is %s %s, the function gave %s %s",
                    node->op->name, node->id, gr_dtype_name((gr_dtype)dy->dtype),
                    gr_shape_text(dy->shape, a), gr_dtype_name((gr_dtype)given->dtype),
                    gr_shape_text(given->shape, b));
    return g->status == GR_OK;
}

/* What the function recorded is the user's: gr_backward computes it, whether anything reads it or
 * not. So is dy, where the function asked to keep it. */
static void hook_vjp(gr_pullback *p)
{
    const hook_attrs *a = p->attrs;
    gr_graph *g = p->graph;
    gr_node *last = g->last;
    gr_tensor *dy = p->dy[0], *given = a->fn(a->user, dy);
    for (gr_node *node = last->next; node; node = node->next) node->flags |= GR__USER;
    if (dy->flags & GR__KEEP) dy->node->flags |= GR__USER;
    g->hooked = true;
    if (!given) p->dx[0] = dy;
    else if (fits(g, given, dy)) p->dx[0] = given;
}

static const gr_op hook_op = {
    .name = "hook",
    .family = "gradient",
    .formula = "y = x, whose cotangent goes through a function",
    .derivation = "dx = f(dy) by decree",
    .n_in = 1,
    .attrs_size = sizeof(hook_attrs),
    .view = gr__view_whole,
    .vjp = hook_vjp,
};

/* The values of x, to be used in its place: when a gradient is recorded and all that was made of
 * the result has contributed, fn gets the cotangent dy. It may record ops over it and return what
 * takes its place, of dy's shape and dtype; NULL leaves it. What fn records and nothing consumes is
 * computed by gr_backward, so that a norm can be read after the step; dy itself is, if fn calls
 * gr_keep on it. fn may read values (gr_item), which computes all that they need at once; it may not
 * begin a gradient or reset the graph. It is called once for each gradient that passes, within
 * gr_backward, gr_grad and the like. To hook a parameter: gr_bind(g, p, gr_hook(gr_use(g, p), ...)). */
gr_tensor *gr_hook(gr_tensor *x, gr_hook_fn *fn, void *user)
{
    if (!fn)
        return gr__fail_at(x ? x->graph : NULL, GR_ERR_ARGUMENT, GR_HERE,
                           "gr_hook: the function is NULL");
    return gr__unary(&hook_op, x, &(hook_attrs){fn, user}, GR_HERE);
}

const gr_op *const gr__gradient_ops[] = {&scale_gradient_op, NULL};
