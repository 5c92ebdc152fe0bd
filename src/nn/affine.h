/* affine.h - what layers with a weight and a bias share. Layers use public headers only. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__AFFINE_H
#define GR__AFFINE_H

#include <gradus/nn.h>

typedef struct gr__affine {
    gr_param *weight, *bias; /* NULL: none */
} gr__affine;

typedef struct gr__affine_options {
    int64_t out; /* length of the bias */
    bool no_bias;
    gr_init weight, bias;
    gr_param *shared; /* not NULL: another module's, in the place of a weight of its own */
    int64_t fan_in;   /* 0: the product of all sizes of the weight but the first */
} gr__affine_options;

/* weight of `shape` and bias. Unless the options say otherwise both start as in PyTorch, U(-b, b)
 * with b = 1 / sqrt(fan_in); its kaiming_uniform(a = sqrt 5) is the same. */
void gr__affine_init(gr__affine *a, gr_module *module, gr_shape shape, gr__affine_options o);
/* weight and bias of `shape`, ones and zeros: the scale and shift of a norm. */
void gr__affine_scale(gr__affine *a, gr_module *module, gr_shape shape);

/* The parameters as tensors of x's graph; false, with the error set, if x's dtype is another. */
typedef struct gr__affine_tensors {
    gr_tensor *w, *b; /* NULL: none */
} gr__affine_tensors;
bool gr__affine_use(const gr__affine *a, gr_module *module, gr_tensor *x, gr__affine_tensors *t);

/* Whether x has the dtype of this parameter of the module; else the error is set. */
bool gr__expect_dtype(gr_module *module, gr_tensor *x, gr_tensor *parameter);
/* Gives `fits`; if not, the error is "type 'path': expected ..., got [shape of x]". */
bool gr__expect_shape(gr_module *module, gr_tensor *x, bool fits, const char *format, ...)
    GR_PRINTF(4, 5);

#endif
