/* attend.h - what attention and its gradient share; attention.c, attention_grad.c. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ATTEND_H
#define GR__ATTEND_H

#include "family.h"
#include "kernels.h"

/* Of the inputs, and of what they are differentiated to. */
enum { GR__Q, GR__K, GR__V, GR__MASK };

typedef struct gr__attend_attrs {
    double scale, dropout;
    bool causal;
    int64_t seed;
} gr__attend_attrs;

extern const gr_field gr__attend_fields[];

/* --- for shape rules --- */

/* Size of axis i from the end, 1 being the last. */
static inline int64_t gr__attend_size(const gr_tensor *t, int i)
{
    return gr_shape_of(t)->dim[gr_shape_of(t)->rank - i];
}

/* Of one number per row of q, [...,L]. */
gr_shape gr__attend_rows(const gr_tensor *q);
/* q, k and v are the inputs from `first` on, the mask input `mask` if there are so many. False with
 * the reason said. */
bool gr__attend_check(gr_infer *c, int first, int mask);

/* --- for kernels --- */

double gr__attend_scale(const gr__attend_attrs *a, int64_t depth); /* the default filled in */
/* Input i row-major; NULL: out of memory. */
const void *gr__attend_packed(gr_exec *e, int i);
/* Input i as matrices, where it lies if it can be. data NULL: out of memory. */
gr__attention_matrix gr__attend_matrix(gr_exec *e, int i);
/* Inputs as in gr__attend_check; all but results and scratch. False: out of memory. */
bool gr__attend_problem(gr_exec *e, int first, int mask, gr__attention *p);

/* Of products with k and with v, by q (or dq, [...,L,E]) and y (or dy, [...,L,V]). */
static inline double gr__attend_flops(const gr_shape *k, const gr_shape *q, double n_q,
                                      const gr_shape *y, double n_y)
{
    double keys = (double)k->dim[k->rank - 2];
    return 2 * keys * (n_q * (double)gr_shape_numel(q) + n_y * (double)gr_shape_numel(y));
}

/* --- the gradient, as attention's VJP uses it; delta: sum dy y less the cotangent of lse --- */

gr_tensor *gr__attend_grad(const gr_pullback *p, gr_tensor *dy,
                              gr_tensor *delta); /* dq, dk, dv */
gr_tensor *gr__attend_mask_grad(const gr_pullback *p, gr_tensor *dy, gr_tensor *delta);

#endif
