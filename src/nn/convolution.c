/* convolution.c - convolutions and transposed convolutions over one, two and three axes. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

/* What differs from kind to kind is how the op is called; `op` holds its own options. */
typedef struct convolution convolution;
typedef gr_tensor *apply_fn(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c);

struct convolution {
    gr__affine affine;
    int64_t in;
    int axes; /* besides batch and channels */
    apply_fn *apply;
    gr_pad_options border; /* added first; in `op` there is no padding then */
    bool padded;
    union {
        gr_conv1d_options conv1d;
        gr_conv2d_options conv2d;
        gr_conv3d_options conv3d;
        gr_conv_transpose1d_options transpose1d;
        gr_conv_transpose2d_options transpose2d;
        gr_conv_transpose3d_options transpose3d;
    } op;
};

static const char *const axis_names[] = {"", "L", "H, W", "D, H, W"};

static gr_tensor *convolution_forward(gr_module *self, gr_tensor *x)
{
    const convolution *c = gr_module_state(self);
    const gr_shape *s = gr_shape_of(x);
    gr__affine_tensors t;
    if (!gr__expect_shape(self, x, s->rank == c->axes + 2 && s->dim[1] == c->in, "[N, %lld, %s]",
                          (long long)c->in, axis_names[c->axes]) ||
        !gr__affine_use(&c->affine, self, x, &t))
        return gr_detach(x); /* inert */
    return c->apply(c->padded ? gr_pad(x, c->border) : x, t.w, t.b, c);
}

/* What the constructors share. */
typedef struct plan {
    const char *type;
    int axes;
    int64_t in, out;
    int64_t kernel[3];
    int groups;
    bool transposed; /* the weight is [in, out/groups, ...] */
    bool no_bias;
    gr_init weight;
    apply_fn *apply;
} plan;

static bool check(gr_model *m, const plan *p)
{
    bool fits = p->in > 0 && p->out > 0 && p->groups > 0;
    for (int i = 0; i < p->axes; i++) fits = fits && p->kernel[i] > 0;
    if (fits && p->in % p->groups == 0 && p->out % p->groups == 0) return true;
    gr_model_fail(m,
                  "%s: expected positive sizes, channels divisible by the groups; got "
                  "%lld -> %lld channels, kernel %lld, groups %d",
                  p->type, (long long)p->in, (long long)p->out, (long long)p->kernel[0], p->groups);
    return false;
}

/* The module; *state, for the options of its op, is NULL when it could not be made. */
static gr_module *make(gr_model *m, plan p, convolution **state)
{
    gr_module *self = gr_module_new(m, p.type, convolution_forward, sizeof(convolution));
    convolution *c = *state = gr_module_state(self);
    if (p.groups == 0) p.groups = 1;
    for (int i = 1; i < p.axes; i++)
        if (p.kernel[i] == 0) p.kernel[i] = p.kernel[0];
    if (!c || !check(m, &p)) return self;
    c->in = p.in;
    c->axes = p.axes;
    c->apply = p.apply;
    gr_shape shape = {p.axes + 2, {p.out, p.in / p.groups}};
    if (p.transposed) shape = (gr_shape){p.axes + 2, {p.in, p.out / p.groups}};
    for (int i = 0; i < p.axes; i++) shape.dim[i + 2] = p.kernel[i];
    gr__affine_init(&c->affine, self, shape,
                    (gr__affine_options){.out = p.out, .no_bias = p.no_bias, .weight = p.weight});
    return self;
}

/* Other padding than zeros goes around x before the op, which then adds none. */
static void pad_with(convolution *c, gr_pad_mode mode, int *padding)
{
    if (!c || mode == GR_PAD_CONSTANT) return;
    c->padded = true;
    c->border.mode = mode;
    for (int i = 0; i < c->axes; i++) {
        c->border.before[i + 2] = c->border.after[i + 2] = padding[i];
        padding[i] = 0;
    }
}

/* --- convolutions --- */

static gr_tensor *apply1d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv1d(x, w, b, c->op.conv1d);
}

static gr_tensor *apply2d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv2d(x, w, b, c->op.conv2d);
}

static gr_tensor *apply3d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv3d(x, w, b, c->op.conv3d);
}

/* A convolution: [N, in, L] -> [N, out, OL] as gr_conv1d, with the parameters weight
 * [out, in/groups, kernel] and bias [out]; see gr_conv2d_layer. */
gr_module *gr_conv1d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                           gr_conv1d_layer_options o)
{
    convolution *c;
    plan p = {"conv1d", 1, in, out, {kernel}, o.conv.groups, false, o.no_bias, o.weight, apply1d};
    gr_module *self = make(m, p, &c);
    pad_with(c, o.pad_mode, &o.conv.padding);
    if (c) c->op.conv1d = o.conv;
    return self;
}

/* A convolution: [N, in, H, W] -> [N, out, OH, OW] as gr_conv2d, with the parameters weight
 * [out, in/groups, kernel, kernel_width] and bias [out].
 *
 * in, out         channels, 1 or more, multiples of o.conv.groups
 * kernel          height of the window, 1 or more, and its width unless there is o.kernel_width
 * o.conv.padding  what is added at each side: zeros, or by o.pad_mode values of the input
 * o.weight        how the weight starts, by default from U(-b, b), b = 1/sqrt(in/groups kernel
 *                 kernel); the bias always starts so */
gr_module *gr_conv2d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                           gr_conv2d_layer_options o)
{
    convolution *c;
    plan p = {"conv2d",      2,     in,        out,      {kernel, o.kernel_width},
              o.conv.groups, false, o.no_bias, o.weight, apply2d};
    gr_module *self = make(m, p, &c);
    pad_with(c, o.pad_mode, o.conv.padding);
    if (c) c->op.conv2d = o.conv;
    return self;
}

/* A convolution: [N, in, D, H, W] -> [N, out, OD, OH, OW] as gr_conv3d, with the parameters weight
 * [out, in/groups, kernel, kernel_height, kernel_width] and bias [out]; see gr_conv2d_layer. */
gr_module *gr_conv3d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                           gr_conv3d_layer_options o)
{
    convolution *c;
    plan p = {"conv3d",      3,     in,        out,      {kernel, o.kernel_height, o.kernel_width},
              o.conv.groups, false, o.no_bias, o.weight, apply3d};
    gr_module *self = make(m, p, &c);
    pad_with(c, o.pad_mode, o.conv.padding);
    if (c) c->op.conv3d = o.conv;
    return self;
}

/* --- transposed convolutions --- */

static gr_tensor *transpose1d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv_transpose1d(x, w, b, c->op.transpose1d);
}

static gr_tensor *transpose2d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv_transpose2d(x, w, b, c->op.transpose2d);
}

static gr_tensor *transpose3d(gr_tensor *x, gr_tensor *w, gr_tensor *b, const convolution *c)
{
    return gr_conv_transpose3d(x, w, b, c->op.transpose3d);
}

/* A transposed convolution: [N, in, L] -> [N, out, OL] as gr_conv_transpose1d, with the parameters
 * weight [in, out/groups, kernel] and bias [out]; see gr_conv_transpose2d_layer. */
gr_module *gr_conv_transpose1d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                                     gr_conv_transpose1d_layer_options o)
{
    convolution *c;
    plan p = {"conv_transpose1d", 1,    in,        out,      {kernel},
              o.conv.groups,      true, o.no_bias, o.weight, transpose1d};
    gr_module *self = make(m, p, &c);
    if (c) c->op.transpose1d = o.conv;
    return self;
}

/* A transposed convolution, the way back of a convolution's shapes: [N, in, H, W] -> [N, out, OH,
 * OW] as gr_conv_transpose2d, with the parameters weight [in, out/groups, kernel, kernel_width] and
 * bias [out]. o.weight is by default from U(-b, b), b = 1/sqrt(out/groups kernel kernel), as in
 * PyTorch; otherwise see gr_conv2d_layer. */
gr_module *gr_conv_transpose2d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                                     gr_conv_transpose2d_layer_options o)
{
    convolution *c;
    plan p = {"conv_transpose2d", 2,    in,        out,      {kernel, o.kernel_width},
              o.conv.groups,      true, o.no_bias, o.weight, transpose2d};
    gr_module *self = make(m, p, &c);
    if (c) c->op.transpose2d = o.conv;
    return self;
}

/* A transposed convolution: [N, in, D, H, W] -> [N, out, OD, OH, OW] as gr_conv_transpose3d, with
 * the parameters weight [in, out/groups, kernel, kernel_height, kernel_width] and bias [out]; see
 * gr_conv_transpose2d_layer. */
gr_module *gr_conv_transpose3d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                                     gr_conv_transpose3d_layer_options o)
{
    convolution *c;
    plan p = {
        "conv_transpose3d", 3,    in,        out,      {kernel, o.kernel_height, o.kernel_width},
        o.conv.groups,      true, o.no_bias, o.weight, transpose3d};
    gr_module *self = make(m, p, &c);
    if (c) c->op.transpose3d = o.conv;
    return self;
}
