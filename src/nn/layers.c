/* layers.c - layers without parameters: activations, flatten, dropout. */
/* SPDX-License-Identifier: MIT */
#include <gradus/nn.h>

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

gr_module *gr_softplus_layer(gr_model *m)
{
    return gr_function_layer(m, "softplus", gr_softplus);
}

/* --- functions with a number --- */

typedef struct number {
    double value;
} number;

static gr_module *number_layer(gr_model *m, const char *type, gr_forward_fn *forward, double value)
{
    gr_module *self = gr_module_new(m, type, forward, sizeof(number));
    number *s = gr_module_state(self);
    if (s) s->value = value;
    return self;
}

static gr_tensor *leaky_relu_forward(gr_module *self, gr_tensor *x)
{
    const number *slope = gr_module_state(self);
    return gr_leaky_relu(x, slope->value);
}

/* x > 0 ? x : slope x; PyTorch's default slope is 0.01. */
gr_module *gr_leaky_relu_layer(gr_model *m, double slope)
{
    gr_module *self = number_layer(m, "leaky_relu", leaky_relu_forward, slope);
    if (!isfinite(slope)) gr_model_fail(m, "leaky_relu: expected a finite slope, got %g", slope);
    return self;
}

static gr_tensor *dropout_forward(gr_module *self, gr_tensor *x)
{
    const number *p = gr_module_state(self);
    bool acts = gr_model_training(gr_module_model(self)) && p->value > 0;
    return acts ? gr_dropout(x, p->value) : x;
}

/* While the model is training, zeroes each element with probability p (0 <= p < 1) and scales the
 * others by 1 / (1 - p); else the identity. Srivastava et al., JMLR 2014. */
gr_module *gr_dropout_layer(gr_model *m, double p)
{
    gr_module *self = number_layer(m, "dropout", dropout_forward, p);
    if (!(p >= 0 && p < 1))
        gr_model_fail(m, "dropout: expected a probability p with 0 <= p < 1, got %g", p);
    return self;
}

/* --- shape --- */

static gr_tensor *flatten_forward(gr_module *self, gr_tensor *x)
{
    char text[GR_SHAPE_TEXT];
    if (gr_shape_of(x)->rank < 1)
        return gr_module_fail(self, x, "expected [N, ...], got %s",
                              gr_shape_text(gr_shape_of(x), text));
    return gr_shape_of(x)->rank == 2 ? x : gr_flatten(x, 1);
}

/* [N, a, b, ...] -> [N, a b ...]: what comes between convolutions and linear layers. */
gr_module *gr_flatten_layer(gr_model *m)
{
    return gr_module_new(m, "flatten", flatten_forward, 0);
}
