/* linear.c - fully connected layers: linear, bilinear, maxout. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"
#include "model.h"

static bool ends_in(const gr_tensor *x, int64_t size)
{
    const gr_shape *s = gr_shape_of(x);
    return s->rank >= 1 && s->dim[s->rank - 1] == size;
}

/* --- linear: y = x w^T + b --- */

typedef struct linear {
    gr__affine affine;
    int64_t in;
} linear;

static gr_tensor *linear_forward(gr_module *self, gr_tensor *x)
{
    const linear *l = gr_module_state(self);
    gr__affine_tensors t;
    if (!gr__expect_shape(self, x, ends_in(x, l->in), "[..., %lld]", (long long)l->in) ||
        !gr__affine_use(&l->affine, self, x, &t))
        return gr_detach(x); /* inert */
    return gr_linear(x, t.w, t.b);
}

/* A fully connected layer: [..., in] -> [..., out] by x w^T + b, with the parameters weight
 * [out, in] and bias [out].
 *
 * in, out   1 or more
 * o.weight, o.bias
 *           how they start, by default from U(-1/sqrt(in), 1/sqrt(in))
 * o.shared  a parameter [out, in] of another layer in the place of the weight: weight tying */
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
    gr__affine_init(&l->affine, self, GR_SHAPE(out, in),
                    (gr__affine_options){out, o.no_bias, o.weight, o.bias, o.shared, 0});
    return self;
}

/* gr_linear_layer_with all defaults. */
gr_module *gr_linear_layer(gr_model *m, int64_t in, int64_t out)
{
    return gr_linear_layer_with(m, in, out, (gr_linear_options){0});
}

/* --- bilinear: y_k = a^T w_k b + bias_k --- */

typedef struct bilinear {
    gr__affine affine;
    int64_t in1, in2;
} bilinear;

static gr_tensor *bilinear_apply(gr_module *self, gr_tensor *a, gr_tensor *b)
{
    const bilinear *l = gr_module_state(self);
    gr__affine_tensors t;
    if (!gr__expect_shape(self, a, ends_in(a, l->in1), "a of [..., %lld]", (long long)l->in1) ||
        !gr__expect_shape(self, b, ends_in(b, l->in2), "b of [..., %lld]", (long long)l->in2) ||
        !gr__affine_use(&l->affine, self, a, &t))
        return gr_detach(a); /* inert */
    return gr_bilinear(a, b, t.w, t.b);
}

static gr_tensor *bilinear_forward(gr_module *self, gr_tensor *x)
{
    const bilinear *l = gr_module_state(self);
    const int64_t both = l->in1 + l->in2;
    if (!gr__expect_shape(self, x, ends_in(x, both), "[..., %lld]", (long long)both))
        return gr_detach(x); /* inert */
    return bilinear_apply(self, gr_narrow(x, -1, 0, l->in1), gr_narrow(x, -1, l->in1, l->in2));
}

/* A layer of two inputs: a [..., in1], b [..., in2] -> [..., out] by a^T w_k b + bias_k, with the
 * parameters weight [out, in1, in2], by default from U(-1/sqrt(in1), 1/sqrt(in1)), and bias [out].
 * gr_bilinear_forward takes both; gr_forward takes them side by side, [..., in1 + in2]. */
gr_module *gr_bilinear_layer(gr_model *m, int64_t in1, int64_t in2, int64_t out,
                             gr_linear_options o)
{
    gr_module *self = gr_module_new(m, "bilinear", bilinear_forward, sizeof(bilinear));
    bilinear *l = gr_module_state(self);
    if (!l) return self;
    if (!gr__is_size(in1) || !gr__is_size(in2) || out < 1) {
        gr_model_fail(m, "bilinear: expected sizes of at least 1, got %lld, %lld -> %lld",
                      (long long)in1, (long long)in2, (long long)out);
        return self;
    }
    l->in1 = in1;
    l->in2 = in2;
    gr__affine_init(&l->affine, self, GR_SHAPE(out, in1, in2),
                    (gr__affine_options){out, o.no_bias, o.weight, o.bias, o.shared, in1});
    return self;
}

gr_tensor *gr_bilinear_forward(gr_module *layer, gr_tensor *a, gr_tensor *b)
{
    if (!gr__module_enter(layer, a, "gr_bilinear_forward", bilinear_forward, GR_HERE))
        return gr__inert(a);
    if (!b) return gr__module_leave(layer, a, gr_module_fail(layer, a, "b is NULL"));
    return gr__module_leave(layer, a, bilinear_apply(layer, a, b));
}

/* --- maxout: y_i = max over k of (x w^T + b)_{i pieces + k} --- */

typedef struct maxout {
    gr_module *linear;
    int pieces;
} maxout;

static gr_tensor *maxout_forward(gr_module *self, gr_tensor *x)
{
    const maxout *l = gr_module_state(self);
    return gr_maxout(gr_forward(l->linear, x), l->pieces, -1);
}

/* The largest of `pieces` linear functions of x for each output: [..., in] -> [..., out], with a
 * child "linear" of out pieces outputs. Goodfellow et al., "Maxout networks", 2013. */
gr_module *gr_maxout_layer(gr_model *m, int64_t in, int64_t out, int pieces)
{
    gr_module *self = gr_module_new(m, "maxout", maxout_forward, sizeof(maxout));
    maxout *l = gr_module_state(self);
    if (!l) return self;
    if (in < 1 || out < 1 || pieces < 1 || out > INT64_MAX / pieces) {
        gr_model_fail(m, "maxout: expected sizes of at least 1, got %lld -> %lld of %d pieces",
                      (long long)in, (long long)out, pieces);
        return self;
    }
    l->pieces = pieces;
    l->linear = gr_module_add(self, "linear", gr_linear_layer(m, in, out * pieces));
    return self;
}
