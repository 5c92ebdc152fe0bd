/* transform.h - what is made of gradients, and what changes them on their way. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_TRANSFORM_H
#define GRADUS_TRANSFORM_H

#include <gradus/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- whole matrices of derivatives; tensors of the graph, to be differentiated again --- */

GR_API gr_status gr_hvp(gr_tensor *y, gr_tensor *const *x, gr_tensor *const *v, int n, gr_tensor **hv); /* hv_i = sum_j d^2 y / dx_i dx_j . v_j */
GR_API gr_tensor *gr_jacobian(gr_tensor *y, gr_tensor *x); /* d y / d x: [y's shape..., x's shape...] */
GR_API gr_tensor *gr_hessian(gr_tensor *y, gr_tensor *x);  /* d^2 y / dx dx of one element y: [x's shape..., x's shape...] */

/* --- less memory --- */

GR_API void gr_checkpoint_begin(gr_graph *g); /* from here backward computes values again instead of keeping them */
GR_API void gr_checkpoint_end(gr_graph *g);

/* --- the gradient on its way: y = x, but what comes back is changed --- */

/* Gets the cotangent of a tensor, complete; returns what takes its place, recorded with ops, or NULL. */
typedef gr_tensor *gr_hook_fn(void *user, gr_tensor *dy);
GR_API gr_tensor *gr_hook(gr_tensor *x, gr_hook_fn *fn, void *user);
GR_API gr_tensor *gr_scale_gradient(gr_tensor *x, double a); /* dx = a dy; -1 reverses */
GR_API gr_tensor *gr_stop_gradient(gr_tensor *x);            /* dx = 0: gr_detach */

#ifdef __cplusplus
}
#endif
#endif
