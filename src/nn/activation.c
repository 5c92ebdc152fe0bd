/* activation.c - activations, and other functions of one tensor, as layers. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

#include <math.h>

/* --- any function of one tensor --- */

typedef struct function {
    gr_tensor *(*f)(gr_tensor *);
} function;

static gr_tensor *function_forward(gr_module *self, gr_tensor *x)
{
    const function *s = gr_module_state(self);
    return s->f(x);
}

/* A layer that applies f: an op such as gr_exp, or a function of your own made of ops. `type` is
 * what it is called in errors and pictures. */
gr_module *gr_function_layer(gr_model *m, const char *type, gr_tensor *(*f)(gr_tensor *))
{
    gr_module *self = gr_module_new(m, type, function_forward, sizeof(function));
    function *s = gr_module_state(self);
    if (!s) return self;
    if (!f) gr_model_fail(m, "gr_function_layer: '%s' has no function", gr_module_type(self));
    s->f = f;
    return self;
}

gr_module *gr_relu_layer(gr_model *m)
{
    return gr_function_layer(m, "relu", gr_relu);
}

gr_module *gr_relu6_layer(gr_model *m)
{
    return gr_function_layer(m, "relu6", gr_relu6);
}

gr_module *gr_sigmoid_layer(gr_model *m)
{
    return gr_function_layer(m, "sigmoid", gr_sigmoid);
}

gr_module *gr_tanh_layer(gr_model *m)
{
    return gr_function_layer(m, "tanh", gr_tanh);
}

gr_module *gr_gelu_layer(gr_model *m)
{
    return gr_function_layer(m, "gelu", gr_gelu);
}

gr_module *gr_gelu_tanh_layer(gr_model *m)
{
    return gr_function_layer(m, "gelu_tanh", gr_gelu_tanh);
}

gr_module *gr_silu_layer(gr_model *m)
{
    return gr_function_layer(m, "silu", gr_silu);
}

gr_module *gr_mish_layer(gr_model *m)
{
    return gr_function_layer(m, "mish", gr_mish);
}

gr_module *gr_selu_layer(gr_model *m)
{
    return gr_function_layer(m, "selu", gr_selu);
}

gr_module *gr_softplus_layer(gr_model *m)
{
    return gr_function_layer(m, "softplus", gr_softplus);
}

gr_module *gr_softsign_layer(gr_model *m)
{
    return gr_function_layer(m, "softsign", gr_softsign);
}

gr_module *gr_logsigmoid_layer(gr_model *m)
{
    return gr_function_layer(m, "logsigmoid", gr_logsigmoid);
}

gr_module *gr_hardsigmoid_layer(gr_model *m)
{
    return gr_function_layer(m, "hardsigmoid", gr_hardsigmoid);
}

gr_module *gr_hardswish_layer(gr_model *m)
{
    return gr_function_layer(m, "hardswish", gr_hardswish);
}

gr_module *gr_tanhshrink_layer(gr_model *m)
{
    return gr_function_layer(m, "tanhshrink", gr_tanhshrink);
}

static gr_tensor *same(gr_tensor *x)
{
    return x;
}

/* What it is given: a branch of gr_parallel, or the place of a layer that is left out. */
gr_module *gr_identity_layer(gr_model *m)
{
    return gr_function_layer(m, "identity", same);
}

/* --- functions with numbers --- */

typedef struct number {
    gr_tensor *(*f)(gr_tensor *, double);
    double value;
} number;

static gr_tensor *number_forward(gr_module *self, gr_tensor *x)
{
    const number *s = gr_module_state(self);
    return s->f(x, s->value);
}

static gr_module *number_layer(gr_model *m, const char *type, const char *what,
                               gr_tensor *(*f)(gr_tensor *, double), double value)
{
    gr_module *self = gr_module_new(m, type, number_forward, sizeof(number));
    number *s = gr_module_state(self);
    if (s) *s = (number){f, value};
    if (!isfinite(value)) gr_model_fail(m, "%s: expected a finite %s, got %g", type, what, value);
    return self;
}

/* x > 0 ? x : slope x; PyTorch's default slope is 0.01. */
gr_module *gr_leaky_relu_layer(gr_model *m, double slope)
{
    return number_layer(m, "leaky_relu", "slope", gr_leaky_relu, slope);
}

/* x > 0 ? x : alpha (exp(x) - 1); PyTorch's default alpha is 1. */
gr_module *gr_elu_layer(gr_model *m, double alpha)
{
    return number_layer(m, "elu", "alpha", gr_elu, alpha);
}

/* x > 0 ? x : alpha (exp(x / alpha) - 1); PyTorch's default alpha is 1. */
gr_module *gr_celu_layer(gr_model *m, double alpha)
{
    return number_layer(m, "celu", "alpha", gr_celu, alpha);
}

/* |x| > lambda ? x : 0; PyTorch's default lambda is 0.5. */
gr_module *gr_hardshrink_layer(gr_model *m, double lambda)
{
    return number_layer(m, "hardshrink", "lambda", gr_hardshrink, lambda);
}

/* x moved by lambda towards 0, not past it; PyTorch's default lambda is 0.5. */
gr_module *gr_softshrink_layer(gr_model *m, double lambda)
{
    return number_layer(m, "softshrink", "lambda", gr_softshrink, lambda);
}

typedef struct two_numbers {
    gr_tensor *(*f)(gr_tensor *, double, double);
    double a, b;
} two_numbers;

static gr_tensor *two_numbers_forward(gr_module *self, gr_tensor *x)
{
    const two_numbers *s = gr_module_state(self);
    return s->f(x, s->a, s->b);
}

static gr_module *two_numbers_layer(gr_model *m, const char *type, two_numbers n)
{
    gr_module *self = gr_module_new(m, type, two_numbers_forward, sizeof(two_numbers));
    two_numbers *s = gr_module_state(self);
    if (s) *s = n;
    if (isnan(n.a) || isnan(n.b)) gr_model_fail(m, "%s: its bounds are not numbers", type);
    return self;
}

/* min(max(x, min), max), without gradient at the bounds; PyTorch's defaults are -1 and 1. */
gr_module *gr_hardtanh_layer(gr_model *m, double min, double max)
{
    if (!(min <= max))
        gr_model_fail(m, "hardtanh: expected bounds min <= max, got %g and %g", min, max);
    return two_numbers_layer(m, "hardtanh", (two_numbers){gr_hardtanh, min, max});
}

/* x > threshold ? x : value. */
gr_module *gr_threshold_layer(gr_model *m, double threshold, double value)
{
    return two_numbers_layer(m, "threshold", (two_numbers){gr_threshold, threshold, value});
}

/* --- functions along an axis --- */

typedef struct along {
    gr_tensor *(*f)(gr_tensor *, int);
    int axis;
} along;

static gr_tensor *along_forward(gr_module *self, gr_tensor *x)
{
    const along *s = gr_module_state(self);
    return s->f(x, s->axis);
}

static gr_module *along_layer(gr_model *m, const char *type, gr_tensor *(*f)(gr_tensor *, int),
                              int axis)
{
    gr_module *self = gr_module_new(m, type, along_forward, sizeof(along));
    along *s = gr_module_state(self);
    if (s) *s = (along){f, axis};
    return self;
}

/* a sigmoid(b), with the halves a, b of the axis. */
gr_module *gr_glu_layer(gr_model *m, int axis)
{
    return along_layer(m, "glu", gr_glu, axis);
}

/* silu(a) b, with the halves a, b of the axis. */
gr_module *gr_swiglu_layer(gr_model *m, int axis)
{
    return along_layer(m, "swiglu", gr_swiglu, axis);
}

/* gelu(a) b, with the halves a, b of the axis. */
gr_module *gr_geglu_layer(gr_model *m, int axis)
{
    return along_layer(m, "geglu", gr_geglu, axis);
}

/* relu(a) b, with the halves a, b of the axis. */
gr_module *gr_reglu_layer(gr_model *m, int axis)
{
    return along_layer(m, "reglu", gr_reglu, axis);
}

gr_module *gr_softmax_layer(gr_model *m, int axis)
{
    return along_layer(m, "softmax", gr_softmax, axis);
}

gr_module *gr_log_softmax_layer(gr_model *m, int axis)
{
    return along_layer(m, "log_softmax", gr_log_softmax, axis);
}

gr_module *gr_softmin_layer(gr_model *m, int axis)
{
    return along_layer(m, "softmin", gr_softmin, axis);
}

/* --- prelu --- */

typedef struct prelu {
    gr_param *weight;
} prelu;

static gr_tensor *prelu_forward(gr_module *self, gr_tensor *x)
{
    const prelu *s = gr_module_state(self);
    const int64_t channels = gr_param_shape(s->weight)->dim[0];
    const gr_shape *shape = gr_shape_of(x);
    gr_tensor *w = gr_use(gr_graph_of(x), s->weight);
    bool fits = channels == 1 || (shape->rank >= 2 && shape->dim[1] == channels);
    if (!gr__expect_shape(self, x, fits, "[N, %lld, ...]", (long long)channels) ||
        !gr__expect_dtype(self, x, w))
        return gr_detach(x); /* inert */
    return gr_prelu(x, w);
}

/* x > 0 ? x : w x with the parameter weight [channels], 0.25 at first: one for each channel of
 * [N, channels, ...], or one for all. He et al., "Delving deep into rectifiers", 2015. */
gr_module *gr_prelu_layer(gr_model *m, int64_t channels)
{
    gr_module *self = gr_module_new(m, "prelu", prelu_forward, sizeof(prelu));
    prelu *s = gr_module_state(self);
    if (!s) return self;
    if (channels < 1) {
        gr_model_fail(m, "prelu: expected 1 channel or more, got %lld", (long long)channels);
        return self;
    }
    const gr_init quarter = {.kind = GR_INIT_CONSTANT, .a = 0.25};
    s->weight = gr_module_param(self, "weight", GR_SHAPE(channels), quarter);
    return self;
}

/* --- shape --- */

static gr_tensor *flatten_forward(gr_module *self, gr_tensor *x)
{
    if (!gr__expect_shape(self, x, gr_shape_of(x)->rank >= 1, "[N, ...]")) return gr_detach(x);
    return gr_shape_of(x)->rank == 2 ? x : gr_flatten(x, 1);
}

/* [N, a, b, ...] -> [N, a b ...]: what comes between convolutions and linear layers. */
gr_module *gr_flatten_layer(gr_model *m)
{
    return gr_module_new(m, "flatten", flatten_forward, 0);
}
