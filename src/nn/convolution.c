/* convolution.c - layers over images [N, C, H, W]: convolution and pooling. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

/* --- convolution --- */

typedef struct conv2d {
    gr__affine affine;
    gr_conv2d_options o;
    int64_t in;
} conv2d;

static gr_tensor *conv2d_forward(gr_module *self, gr_tensor *x)
{
    const conv2d *c = gr_module_state(self);
    const gr_shape *shape = gr_shape_of(x);
    char text[GR_SHAPE_TEXT];
    if (shape->rank != 4 || shape->dim[1] != c->in)
        return gr_module_fail(self, x, "expected [N, %lld, H, W], got %s", (long long)c->in,
                              gr_shape_text(shape, text));
    gr__affine_tensors t;
    if (!gr__affine_use(&c->affine, self, x, &t)) return gr_detach(x); /* inert */
    return gr_conv2d(x, t.w, t.b, c->o);
}

/* A convolution: [N, in, H, W] -> [N, out, OH, OW] as gr_conv2d, with the parameters weight
 * [out, in/groups, kernel, kernel] and bias [out].
 *
 * in, out   channels, 1 or more, multiples of o.conv.groups
 * kernel    height and width of the window, 1 or more
 * o.weight  how the weight starts, by default from U(-b, b), b = 1/sqrt(in/groups kernel kernel);
 *           the bias always starts so */
gr_module *gr_conv2d_layer(gr_model *m, int64_t in, int64_t out, int kernel,
                           gr_conv2d_layer_options o)
{
    gr_module *self = gr_module_new(m, "conv2d", conv2d_forward, sizeof(conv2d));
    conv2d *c = gr_module_state(self);
    int groups = o.conv.groups ? o.conv.groups : 1;
    if (!c) return self;
    if (in < 1 || out < 1 || kernel < 1 || groups < 1 || in % groups || out % groups) {
        gr_model_fail(m,
                      "conv2d: expected positive sizes, channels divisible by the groups; got "
                      "%lld -> %lld channels, kernel %d, groups %d",
                      (long long)in, (long long)out, kernel, groups);
        return self;
    }
    c->in = in;
    c->o = o.conv;
    gr_shape shape = {4, {out, in / groups, kernel, kernel}};
    gr__affine_init(&c->affine, self, shape, o.no_bias, o.weight);
    return self;
}

/* --- pooling --- */

typedef gr_tensor *pool_fn(gr_tensor *x, gr_pool2d_options o);

typedef struct pool2d {
    pool_fn *pool;
    gr_pool2d_options o;
} pool2d;

static gr_tensor *pool2d_forward(gr_module *self, gr_tensor *x)
{
    const pool2d *p = gr_module_state(self);
    char text[GR_SHAPE_TEXT];
    if (gr_shape_of(x)->rank != 4)
        return gr_module_fail(self, x, "expected [N, C, H, W], got %s",
                              gr_shape_text(gr_shape_of(x), text));
    return p->pool(x, p->o);
}

static gr_module *pool2d_layer(gr_model *m, const char *type, pool_fn *pool, gr_pool2d_options o)
{
    gr_module *self = gr_module_new(m, type, pool2d_forward, sizeof(pool2d));
    pool2d *p = gr_module_state(self);
    if (!p) return self;
    *p = (pool2d){pool, o};
    if (o.kernel[0] < 1 || o.kernel[1] < 1)
        gr_model_fail(m, "%s: expected a kernel of at least [1,1], got [%d,%d]", type, o.kernel[0],
                      o.kernel[1]);
    return self;
}

/* Maximum over windows: [N, C, H, W] -> [N, C, OH, OW]; see gr_max_pool2d. */
gr_module *gr_max_pool2d_layer(gr_model *m, gr_pool2d_options o)
{
    return pool2d_layer(m, "max_pool2d", gr_max_pool2d, o);
}

/* Mean over windows: [N, C, H, W] -> [N, C, OH, OW]; see gr_avg_pool2d. */
gr_module *gr_avg_pool2d_layer(gr_model *m, gr_pool2d_options o)
{
    return pool2d_layer(m, "avg_pool2d", gr_avg_pool2d, o);
}
