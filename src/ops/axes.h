/* axes.h - reductions over any axes: the attributes, shape rule and backward that they share; the
 * functions are in reduce.c. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__AXES_H
#define GR__AXES_H

#include "family.h"
#include "reduce.h"

/* The attributes of a reduction, or the first member of them. */
typedef struct gr__axes_attrs {
    gr_axes axes;
    bool keepdim;
} gr__axes_attrs;

extern const gr_field gr__axes_fields[];
extern const gr_sample gr__axes_samples[]; /* for floats */

/* Bit i for axis i; all of them where none is named. False when one is out of range or named twice:
 * the mask is then of those in front of it. */
bool gr__axes_mask(const gr_axes *axes, int rank, unsigned *mask);
/* Which one that is, as it was named. */
static inline int gr__axes_wrong(const gr_axes *axes, unsigned mask)
{
    return axes->axis[__builtin_popcount(mask)];
}
gr_shape gr__axes_reduced(const gr_shape *x, unsigned mask, bool keepdim);
/* Sets the shape of output 0, for attributes that begin with gr__axes_attrs. */
bool gr__axes_infer(gr_infer *c);
/* How in[0] falls apart. */
gr__reduction gr__axes_reduction(const gr_exec *e);
/* From in[0] to out[0] by a kernel. */
typedef void gr__axes_kernel(const gr__reduction *r, void *y, double *scratch);
gr_status gr__axes_run(gr_exec *e, gr__axes_kernel *kernel);
/* dy, stretched over what was reduced. */
gr_tensor *gr__axes_spread(gr_pullback *p, gr_tensor *dy);

/* Steps an odometer over n axes; returns how far that moves in memory. */
static inline int64_t gr__advance(int64_t *at, const int64_t *dim, const int64_t *stride, int n)
{
    int64_t moved = 0;
    for (int i = n - 1; i >= 0; i--) {
        moved += stride[i];
        if (++at[i] < dim[i]) break;
        moved -= dim[i] * stride[i];
        at[i] = 0;
    }
    return moved;
}

static inline double gr__real_at(const gr_value *v, int64_t offset)
{
    return v->dtype == GR_F32 ? (double)((const float *)v->data)[offset]
                              : ((const double *)v->data)[offset];
}

static inline void gr__set_real(const gr_value *v, int64_t i, double value)
{
    if (v->dtype == GR_F32) ((float *)v->data)[i] = (float)value;
    else ((double *)v->data)[i] = value;
}

#endif
