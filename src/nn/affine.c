/* affine.c - weight and bias: how they start, how they enter a graph. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

#include <math.h>

void gr__affine_init(gr__affine *a, gr_module *module, gr_shape shape, bool no_bias, gr_init init)
{
    double fan_in = 1;
    for (int i = 1; i < shape.rank; i++) fan_in *= (double)shape.dim[i];
    const gr_init uniform = {.kind = GR_INIT_UNIFORM, .a = 1 / sqrt(fan_in)};
    const gr_shape per_output = {1, {shape.dim[0]}};
    a->weight = gr_module_param(module, "weight", shape, init.kind ? init : uniform);
    a->bias = no_bias ? NULL : gr_module_param(module, "bias", per_output, uniform);
}

bool gr__affine_use(const gr__affine *a, gr_module *module, gr_tensor *x, gr__affine_tensors *t)
{
    gr_graph *g = gr_graph_of(x);
    t->w = gr_use(g, a->weight);
    t->b = a->bias ? gr_use(g, a->bias) : NULL;
    if (gr_graph_status(g)) return false;
    if (gr_dtype_of(x) == gr_dtype_of(t->w)) return true;
    gr_module_fail(module, x, "expected %s, got %s; use gr_cast", gr_dtype_name(gr_dtype_of(t->w)),
                   gr_dtype_name(gr_dtype_of(x)));
    return false;
}
