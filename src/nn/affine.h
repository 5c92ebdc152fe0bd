/* affine.h - what layers with a weight and a bias share. Layers use public headers only. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__AFFINE_H
#define GR__AFFINE_H

#include <gradus/nn.h>

typedef struct gr__affine {
    gr_param *weight, *bias; /* bias NULL: none */
} gr__affine;

/* weight of `shape` [out, ...] and bias [out]. Unless `init` says otherwise both start as in
 * PyTorch, U(-b, b) with b = 1 / sqrt(fan_in); its kaiming_uniform(a = sqrt 5) is the same. */
void gr__affine_init(gr__affine *a, gr_module *module, gr_shape shape, bool no_bias, gr_init init);

/* The parameters as tensors of x's graph; false, with the error set, if x's dtype is another. */
typedef struct gr__affine_tensors {
    gr_tensor *w, *b; /* b NULL: none */
} gr__affine_tensors;
bool gr__affine_use(const gr__affine *a, gr_module *module, gr_tensor *x, gr__affine_tensors *t);

#endif
