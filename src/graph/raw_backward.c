/* raw_backward.c - an op whose backward is a C function, as a node of the graph. */
/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <string.h>

typedef struct raw_attrs {
    const gr_op *op;
    const void *attrs;
} raw_attrs;

/* in = x..., y..., dy...; out = dx... */
static bool raw_infer(gr_infer *c)
{
    const raw_attrs *a = c->attrs;
    int n_x = c->n_in - 2 * (a->op->n_out ? a->op->n_out : 1);
    for (int i = 0; i < n_x && i < GR_MAX_OUTPUTS; i++) {
        c->shape[i] = *c->in[i]->shape;
        c->dtype[i] = (gr_dtype)c->in[i]->dtype;
    }
    return true;
}

static gr_status raw_forward(gr_exec *e)
{
    const raw_attrs *a = e->attrs;
    gr_exec inner = *e;
    gr_dtype dtype = GR_F64;
    for (int i = e->n_in - 1; i >= 0; i--)
        if (gr__is_float(e->in[i].dtype)) dtype = e->in[i].dtype;
    inner.op = a->op;
    inner.attrs = a->attrs;
    for (int i = 0; i < e->n_out; i++) /* a rule may leave what it does not reach */
        memset(e->out[i].data, 0,
               (size_t)gr_shape_numel(e->out[i].shape) * gr_dtype_size(e->out[i].dtype));
    return a->op->backward[dtype](&inner);
}

static void raw_vjp(gr_pullback *p)
{
    const raw_attrs *a = p->attrs;
    gr__fail_at(p->graph, GR_ERR_ARGUMENT, NULL,
                "%s: its backward is a C function, which cannot be differentiated again; give the "
                "op a vjp made of ops for second derivatives and forward mode",
                a->op->name);
}

#define RAW_OP(outputs, f32_forward)                                                     \
    {                                                                                    \
        .name = "raw_backward", .family = "core", .formula = "dx = backward(x, y, dy)",  \
        .derivation = "given by the op as a C function", .n_in = -1, .n_out = (outputs), \
        .attrs_size = sizeof(raw_attrs), .infer = raw_infer,                             \
        .forward = {[GR_F32] = f32_forward, [GR_F64] = raw_forward}, .vjp = raw_vjp      \
    }

/* Float32 goes by conversion unless the op gives a float32 backward: then so does this node. */
static const gr_op raw_ops[2][GR_MAX_OUTPUTS] = {
    {RAW_OP(1, NULL), RAW_OP(2, NULL), RAW_OP(3, NULL), RAW_OP(4, NULL)},
    {RAW_OP(1, raw_forward), RAW_OP(2, raw_forward), RAW_OP(3, raw_forward),
     RAW_OP(4, raw_forward)},
};

void gr__raw_pullback(gr_pullback *p, const gr_node *node)
{
    gr_tensor *in[3 * GR_MAX_OUTPUTS];
    const raw_attrs attrs = {node->op, node->attrs};
    int n = 0;
    if (p->n_in > GR_MAX_OUTPUTS) {
        gr__fail_at(p->graph, GR_ERR_ARGUMENT, node->site,
                    "%s: a backward in C takes at most %d inputs", node->op->name, GR_MAX_OUTPUTS);
        return;
    }
    for (int i = 0; i < p->n_in; i++) in[n++] = p->x[i];
    for (int i = 0; i < p->n_out; i++) in[n++] = p->y[i];
    for (int i = 0; i < p->n_out; i++)
        in[n++] = p->dy[i] ? p->dy[i]
                           : gr_zeros(p->graph, gr_dtype_of(p->y[i]), *gr_shape_of(p->y[i]));
    const gr_op *raw = &raw_ops[node->op->backward[GR_F32] != NULL][p->n_in - 1];
    gr_tensor *dx = gr__apply(p->graph, raw, in, n, &attrs, node->site);
    for (int i = 0; i < p->n_in; i++)
        if (p->wants[i]) p->dx[i] = gr_output(dx, i);
}
