/* linear.c - the fully connected layer: y = x w^T + b. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

typedef struct linear {
    gr__affine affine;
    int64_t in;
} linear;

static gr_tensor *linear_forward(gr_module *self, gr_tensor *x)
{
    const linear *l = gr_module_state(self);
    const gr_shape *shape = gr_shape_of(x);
    char text[GR_SHAPE_TEXT];
    if (shape->rank < 1 || shape->dim[shape->rank - 1] != l->in)
        return gr_module_fail(self, x, "expected [..., %lld], got %s", (long long)l->in,
                              gr_shape_text(shape, text));
    gr__affine_tensors t;
    if (!gr__affine_use(&l->affine, self, x, &t)) return gr_detach(x); /* inert */
    return gr_linear(x, t.w, t.b);
}

/* A fully connected layer: [..., in] -> [..., out] by x w^T + b, with the parameters weight
 * [out, in] and bias [out].
 *
 * in, out   1 or more
 * o.weight  how the weight starts, by default from U(-1/sqrt(in), 1/sqrt(in)); the bias always
 *           starts so */
gr_module *gr_linear_layer_with(gr_model *m, int64_t in, int64_t out, gr_linear_options o)
{
    gr_module *self = gr_module_new(m, "linear", linear_forward, sizeof(linear));
    linear *l = gr_module_state(self);
    if (!l) return self;
    if (in < 1 || out < 1) {
        gr_model_fail(m, "linear: expected sizes of at least 1, got %lld -> %lld", (long long)in,
                      (long long)out);
        return self;
    }
    l->in = in;
    gr__affine_init(&l->affine, self, (gr_shape){2, {out, in}}, o.no_bias, o.weight);
    return self;
}

/* gr_linear_layer_with all defaults. */
gr_module *gr_linear_layer(gr_model *m, int64_t in, int64_t out)
{
    return gr_linear_layer_with(m, in, out, (gr_linear_options){0});
}
