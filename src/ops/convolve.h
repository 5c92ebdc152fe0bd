/* convolve.h - what conv2d, its adjoints and the ops made of them share; conv.c, conv_grad.c. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CONVOLVE_H
#define GR__CONVOLVE_H

#include "conv.h"
#include "family.h"

/* Of the two adjoints: `size` is what their inputs do not tell. */
typedef struct gr__conv2d_grad_attrs {
    gr_conv2d_options conv;
    int64_t size[2]; /* [H,W] of dx, [KH,KW] of dw */
} gr__conv2d_grad_attrs;

gr_conv2d_options gr__conv2d_defaults(const gr_conv2d_options *given);

/* --- for shape rules: false with the reason said --- */

bool gr__conv2d_check_options(gr_infer *c, const gr_conv2d_options *o); /* defaults filled in */
bool gr__conv2d_check_input(gr_infer *c, int i, const char *what);      /* rank 4, one dtype */
bool gr__conv2d_sizes_fit(const gr_shape *s);
/* Sets y, [N,O,OH,OW]. */
bool gr__conv2d_check_geometry(gr_infer *c, const gr_shape *x, const gr_shape *w,
                               const gr_conv2d_options *o, gr_shape *y);

/* --- for kernels --- */

gr_status gr__conv2d_compute(gr_exec *e, gr__conv_kind kind, const gr_shape *x, const gr_shape *w,
                             const gr_conv2d_options *given);

/* Of w, [O,C/groups,KH,KW], giving y, [N,O,OH,OW]; the adjoints take as many. */
static inline double gr__conv2d_flops(const gr_shape *w, const gr_shape *y)
{
    return 2 * (double)gr_shape_numel(y) * (double)(w->dim[1] * w->dim[2] * w->dim[3]);
}

/* --- the adjoints, as VJPs and the transposed convolution use them --- */

gr_tensor *gr__conv2d_input_grad(gr_tensor *dy, gr_tensor *w, const gr_conv2d_options *o,
                                 const gr_shape *x);
gr_tensor *gr__conv2d_weight_grad(gr_tensor *x, gr_tensor *dy, const gr_conv2d_options *o,
                                  const gr_shape *w);

#endif
