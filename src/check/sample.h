/* sample.h - values for the inputs of an op's samples. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SAMPLE_H
#define GR__SAMPLE_H

#include "base.h"
#include <gradus/op.h>

gr_dtype gr__sample_dtype(const gr_sample_input *in); /* float64, int64 or bool */
/* n values of that dtype, which live as long as the arena; NULL when memory is out. */
void *gr__sample_draw(const gr_sample_input *in, int64_t n, uint64_t seed, gr__arena *arena);
/* Records what the sample checks: sets y[0..] and returns how many. */
int gr__sample_record(gr_graph *g, const gr_op *op, const gr_sample *s, gr_tensor *const *x,
                      gr_tensor **y);

#endif
