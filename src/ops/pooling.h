/* pooling.h - what max and mean pooling share: options, geometry, checks. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__POOLING_H
#define GR__POOLING_H

#include "family.h"
#include "kernels.h"

/* gr_pool1d_options, gr_pool2d_options or gr_pool3d_options with the defaults filled in; axes that
 * a rank lacks come first and have one element. */
typedef struct gr__windows {
    int rank; /* number of axes, 1 to 3 */
    gr_pool3d_options o;
} gr__windows;

extern const gr_field gr__pool1d_fields[], gr__pool2d_fields[], gr__pool3d_fields[];

gr__windows gr__windows_of(const void *options, int rank);
int gr__windows_rank(const gr_op *op); /* of an op whose first field has an element per axis */

/* x: [N,C,...] of that rank. */
gr__pooling gr__windows_pool(const gr_shape *x, const gr__windows *w);
int64_t gr__plane_size(const gr_shape *s); /* elements behind [N,C] */

/* For shape rules: false with the reason said. */
bool gr__windows_check_input(gr_infer *c, int i, int rank, const char *what); /* "x" or "dy" */
bool gr__windows_check_options(gr_infer *c, const gr__windows *w);
/* Sets y, the shape of the results. */
bool gr__windows_check_geometry(gr_infer *c, const gr_shape *x, const gr__windows *w, gr_shape *y);

/* x's cotangent for that of its maxima, which are at these places of its planes (max_unpool.c). */
gr_tensor *gr__unpool(gr_tensor *dy, gr_tensor *place, const gr_shape *x);

/* From planes of in[0] to planes of out[0]. */
gr_status gr__windows_run(gr_exec *e, const gr__pooling *p, gr__pool_fn *plane, int64_t *index);

#endif
