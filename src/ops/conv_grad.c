/* conv_grad.c - the two adjoints of conv2d: by its images and by its weights.
 *
 *   dx[n,c,r,s]   = sum_{o,p,q} w[o,c,p,q] dy[n,o,i,j]   r = i sh + p dh - ph, s = j sw + q dw - pw
 *   dw[o,c,p,q]   = sum_{n,i,j} x[n,c,r,s] dy[n,o,i,j]
 *
 * The three ops are closed under differentiation: a VJP of each is made of the other two.
 */
/* SPDX-License-Identifier: MIT */
#include "convolve.h"

static const gr_field grad_fields[] = {
    {"stride", GR_FIELD_INT, offsetof(gr__conv2d_grad_attrs, conv.stride), 2, NULL},
    {"padding", GR_FIELD_INT, offsetof(gr__conv2d_grad_attrs, conv.padding), 2, NULL},
    {"dilation", GR_FIELD_INT, offsetof(gr__conv2d_grad_attrs, conv.dilation), 2, NULL},
    {"groups", GR_FIELD_INT, offsetof(gr__conv2d_grad_attrs, conv.groups), 0, NULL},
    {"same", GR_FIELD_BOOL, offsetof(gr__conv2d_grad_attrs, conv.same), 0, NULL},
    GR_FIELD_ARRAY(gr__conv2d_grad_attrs, size, GR_FIELD_I64, 2),
    {0},
};

/* Whether input i is what the convolution of x by w gives. */
static bool check_cotangent(gr_infer *c, int i, const gr_shape *x, const gr_shape *w,
                            const gr_conv2d_options *o)
{
    gr_shape y;
    char text[GR_SHAPE_TEXT];
    if (!gr__conv2d_check_geometry(c, x, w, o, &y)) return false;
    if (gr_shape_equal(gr_shape_of(c->in[i]), &y)) return true;
    return gr_infer_fail(c, "expected dy of %s, got %s", gr_shape_text(&y, text),
                         gr_infer_shape(c, i));
}

/* --- the adjoints, as VJPs use them --- */

static const gr_op input_grad_op, weight_grad_op;

gr_tensor *gr__conv2d_input_grad(gr_tensor *dy, gr_tensor *w, const gr_conv2d_options *o,
                                 const gr_shape *x)
{
    const gr__conv2d_grad_attrs attrs = {*o, {x->dim[2], x->dim[3]}};
    return gr_apply(NULL, &input_grad_op, (gr_tensor *[]){dy, w}, 2, &attrs);
}

gr_tensor *gr__conv2d_weight_grad(gr_tensor *x, gr_tensor *dy, const gr_conv2d_options *o,
                                  const gr_shape *w)
{
    const gr__conv2d_grad_attrs attrs = {*o, {w->dim[2], w->dim[3]}};
    return gr_apply(NULL, &weight_grad_op, (gr_tensor *[]){x, dy}, 2, &attrs);
}

/* --- conv2d_input_grad: (dy, w) -> dx --- */

static gr_shape images_of(const gr_shape *dy, const gr_shape *w, const gr__conv2d_grad_attrs *a,
                          int groups)
{
    return GR_SHAPE(dy->dim[0], w->dim[1] * groups, a->size[0], a->size[1]);
}

static bool input_grad_infer(gr_infer *c)
{
    const gr__conv2d_grad_attrs *a = c->attrs;
    gr_conv2d_options o = gr__conv2d_defaults(&a->conv);
    if (!gr__conv2d_check_input(c, 0, "dy of [N,O,OH,OW]") ||
        !gr__conv2d_check_input(c, 1, "w of [O,C/groups,KH,KW]") ||
        !gr__conv2d_check_options(c, &o))
        return false;
    const gr_shape *w = gr_shape_of(c->in[1]);
    if (!gr__conv2d_sizes_fit(w)) return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0] = images_of(gr_shape_of(c->in[0]), w, a, o.groups);
    return check_cotangent(c, 0, &c->shape[0], w, &o);
}

static gr_status input_grad_forward(gr_exec *e)
{
    const gr__conv2d_grad_attrs *a = e->attrs;
    return gr__conv2d_compute(e, GR__CONV_INPUT_GRAD, e->out[0].shape, e->in[1].shape, &a->conv);
}

static double input_grad_flops(const gr_exec *e)
{
    return gr__conv2d_flops(e->in[1].shape, e->in[0].shape);
}

/* dx is linear in dy and in w; u is the cotangent of dx. */
static void input_grad_vjp(gr_pullback *p)
{
    const gr_conv2d_options *o = &((const gr__conv2d_grad_attrs *)p->attrs)->conv;
    gr_tensor *dy = p->x[0], *w = p->x[1], *u = p->dy[0];
    if (p->wants[0]) p->dx[0] = gr_conv2d(u, w, NULL, *o);
    if (p->wants[1]) p->dx[1] = gr__conv2d_weight_grad(u, dy, o, gr_shape_of(w));
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define GRAD(h, w, ...) .attrs = &(const gr__conv2d_grad_attrs){{__VA_ARGS__}, {h, w}}

static const gr_sample input_grad_samples[] = {
    {.name = "plain", .in = {S4(1, 3, 2, 4), S4(3, 2, 3, 2)}, .n_in = 2, GRAD(4, 5, .groups = 0)},
    {.name = "stride and padding", .in = {S4(1, 2, 3, 2), S4(2, 2, 2, 3)}, .n_in = 2, GRAD(5, 6, .stride = {2, 3}, .padding = {1, 1})},
    {.name = "columns that no window reaches", .in = {S4(1, 3, 2, 2), S4(3, 2, 1, 1)}, .n_in = 2, GRAD(4, 5, .stride = {2, 3})},
    {.name = "stride and dilation", .in = {S4(1, 1, 3, 2), S4(1, 1, 3, 3)}, .n_in = 2, GRAD(7, 8, .stride = {2, 4}, .dilation = {3, 2}, .padding = {2, 1})},
    {.name = "groups", .in = {S4(1, 6, 2, 2), S4(6, 2, 2, 2)}, .n_in = 2, GRAD(3, 3, .groups = 2)},
    {.name = "same", .in = {S4(1, 2, 4, 3), S4(2, 1, 2, 3)}, .n_in = 2, GRAD(4, 3, .same = true, .dilation = {1, 2})},
    {.name = "no images", .in = {S4(0, 3, 2, 2), S4(3, 2, 3, 3)}, .n_in = 2, GRAD(4, 4, .groups = 0)},
    {.name = "other size", .in = {S4(1, 3, 2, 2), S4(3, 2, 3, 3)}, .n_in = 2, GRAD(5, 4, .groups = 0), .error = "expected dy of [1,3,3,2], got [1,3,2,2]"},
    {.name = "w of rank 2", .in = {S4(1, 3, 2, 2), {.shape = {2, {3, 2}}}}, .n_in = 2, GRAD(4, 4, .groups = 0), .error = "expected w of [O,C/groups,KH,KW], got [3,2]"},
    {0},
};

static const gr_op input_grad_op = {
    .name = "conv2d_input_grad",
    .family = "conv",
    .formula = "dx[n,c,r,s] = sum_{o,p,q} w[o,c,p,q] dy[n,o,r-p,s-q] "
               "(stride 1, no padding, no dilation)",
    .derivation = "linear in dy, with the transpose conv2d; linear in w: for a cotangent u of dx, "
                  "dw is conv2d_weight_grad(u, dy)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(gr__conv2d_grad_attrs),
    .fields = grad_fields,
    .infer = input_grad_infer,
    .forward = {[GR_F32] = input_grad_forward, [GR_F64] = input_grad_forward},
    .vjp = input_grad_vjp,
    .flops = input_grad_flops,
    .samples = input_grad_samples,
};

/* --- conv2d_weight_grad: (x, dy) -> dw --- */

static bool weight_grad_infer(gr_infer *c)
{
    const gr__conv2d_grad_attrs *a = c->attrs;
    gr_conv2d_options o = gr__conv2d_defaults(&a->conv);
    if (!gr__conv2d_check_input(c, 0, "x of [N,C,H,W]") ||
        !gr__conv2d_check_input(c, 1, "dy of [N,O,OH,OW]") || !gr__conv2d_check_options(c, &o))
        return false;
    const gr_shape *x = gr_shape_of(c->in[0]), *dy = gr_shape_of(c->in[1]);
    c->shape[0] = GR_SHAPE(dy->dim[1], x->dim[1] / o.groups, a->size[0], a->size[1]);
    return check_cotangent(c, 1, x, &c->shape[0], &o);
}

static gr_status weight_grad_forward(gr_exec *e)
{
    const gr__conv2d_grad_attrs *a = e->attrs;
    return gr__conv2d_compute(e, GR__CONV_WEIGHT_GRAD, e->in[0].shape, e->out[0].shape, &a->conv);
}

static double weight_grad_flops(const gr_exec *e)
{
    return gr__conv2d_flops(e->out[0].shape, e->in[1].shape);
}

/* dw is linear in x and in dy; v is the cotangent of dw. */
static void weight_grad_vjp(gr_pullback *p)
{
    const gr_conv2d_options *o = &((const gr__conv2d_grad_attrs *)p->attrs)->conv;
    gr_tensor *x = p->x[0], *dy = p->x[1], *v = p->dy[0];
    if (p->wants[0]) p->dx[0] = gr__conv2d_input_grad(dy, v, o, gr_shape_of(x));
    if (p->wants[1]) p->dx[1] = gr_conv2d(x, v, NULL, *o);
}

static const gr_sample weight_grad_samples[] = {
    {.name = "plain", .in = {S4(1, 2, 4, 5), S4(1, 3, 2, 4)}, .n_in = 2, GRAD(3, 2, .groups = 0)},
    {.name = "stride and padding", .in = {S4(2, 2, 5, 6), S4(2, 2, 3, 2)}, .n_in = 2, GRAD(2, 3, .stride = {2, 3}, .padding = {1, 1})},
    {.name = "stride and dilation", .in = {S4(1, 1, 7, 8), S4(1, 1, 3, 2)}, .n_in = 2, GRAD(3, 3, .stride = {2, 4}, .dilation = {3, 2}, .padding = {2, 1})},
    {.name = "depthwise", .in = {S4(1, 3, 4, 4), S4(1, 3, 4, 4)}, .n_in = 2, GRAD(3, 3, .groups = 3, .padding = {1, 1})},
    {.name = "same", .in = {S4(1, 1, 4, 3), S4(1, 2, 4, 3)}, .n_in = 2, GRAD(2, 3, .same = true, .dilation = {1, 2})},
    {.name = "no images", .in = {S4(0, 2, 4, 4), S4(0, 3, 2, 2)}, .n_in = 2, GRAD(3, 3, .groups = 0)},
    {.name = "other size", .in = {S4(1, 2, 4, 4), S4(1, 3, 2, 2)}, .n_in = 2, GRAD(2, 3, .groups = 0), .error = "expected dy of [1,3,3,2], got [1,3,2,2]"},
    {.name = "x of rank 3", .in = {{.shape = {3, {2, 4, 4}}}, S4(1, 3, 2, 2)}, .n_in = 2, GRAD(3, 3, .groups = 0), .error = "expected x of [N,C,H,W], got [2,4,4]"},
    {0},
};

static const gr_op weight_grad_op = {
    .name = "conv2d_weight_grad",
    .family = "conv",
    .formula = "dw[o,c,p,q] = sum_{n,i,j} x[n,c,i+p,j+q] dy[n,o,i,j] "
               "(stride 1, no padding, no dilation)",
    .derivation = "linear in dy: for a cotangent v of dw, conv2d(x, v); linear in x: "
                  "conv2d_input_grad(dy, v)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(gr__conv2d_grad_attrs),
    .fields = grad_fields,
    .infer = weight_grad_infer,
    .forward = {[GR_F32] = weight_grad_forward, [GR_F64] = weight_grad_forward},
    .vjp = weight_grad_vjp,
    .flops = weight_grad_flops,
    .samples = weight_grad_samples,
};

const gr_op *const gr__conv_grad_ops[] = {&input_grad_op, &weight_grad_op, NULL};
