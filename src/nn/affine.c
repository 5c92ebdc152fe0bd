/* affine.c - weight and bias: how they start, how they enter a graph. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static gr_param *share(gr_module *module, gr_shape shape, gr_param *p)
{
    char want[GR_SHAPE_TEXT], got[GR_SHAPE_TEXT];
    if (!gr_shape_equal(gr_param_shape(p), &shape))
        gr_model_fail(gr_module_model(module), "%s: expected a shared weight of %s, got %s",
                      gr_module_type(module), gr_shape_text(&shape, want),
                      gr_shape_text(gr_param_shape(p), got));
    else gr_module_share(module, "weight", p);
    return p;
}

void gr__affine_init(gr__affine *a, gr_module *module, gr_shape shape, gr__affine_options o)
{
    double fan_in = o.fan_in ? (double)o.fan_in : 1;
    for (int i = 1; i < shape.rank && !o.fan_in; i++) fan_in *= (double)shape.dim[i];
    const gr_init uniform = {.kind = GR_INIT_UNIFORM, .a = 1 / sqrt(fan_in)};
    const gr_init weight = o.weight.kind ? o.weight : uniform;
    const gr_init bias = o.bias.kind ? o.bias : uniform;
    a->weight = o.shared ? share(module, shape, o.shared)
                         : gr_module_param(module, "weight", shape, weight);
    a->bias = o.no_bias ? NULL : gr_module_param(module, "bias", GR_SHAPE(o.out), bias);
}

void gr__affine_scale(gr__affine *a, gr_module *module, gr_shape shape)
{
    a->weight = gr_module_param(module, "weight", shape, (gr_init){.kind = GR_INIT_ONES});
    a->bias = gr_module_param(module, "bias", shape, (gr_init){.kind = GR_INIT_ZEROS});
}

bool gr__expect_dtype(gr_module *module, gr_tensor *x, gr_tensor *parameter)
{
    const gr_dtype own = gr_dtype_of(parameter), got = gr_dtype_of(x);
    if (gr_graph_status(gr_graph_of(x))) return false;
    if (got == own) return true;
    gr_module_fail(module, x, "expected %s, got %s; use gr_cast", gr_dtype_name(own),
                   gr_dtype_name(got));
    return false;
}

bool gr__affine_use(const gr__affine *a, gr_module *module, gr_tensor *x, gr__affine_tensors *t)
{
    gr_graph *g = gr_graph_of(x);
    t->w = a->weight ? gr_use(g, a->weight) : NULL;
    t->b = a->bias ? gr_use(g, a->bias) : NULL;
    return !gr_graph_status(g) && (!t->w || gr__expect_dtype(module, x, t->w));
}

bool gr__expect_shape(gr_module *module, gr_tensor *x, bool fits, const char *format, ...)
{
    if (fits || gr_graph_status(gr_graph_of(x))) return fits;
    char expected[200], got[GR_SHAPE_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof expected, format, args);
    va_end(args);
    gr_module_fail(module, x, "expected %s, got %s", expected, gr_shape_text(gr_shape_of(x), got));
    return false;
}
