/* stages.h - all stages of one check, in order. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STAGES_H
#define GR__STAGES_H

#include "recorded.h"

/* Those of o.stages, S3 at order 2; consumes r, which must be released all the same. */
void gr__check_stages(gr__recorded *r, gr_check_options o, gr_check_report *report);

/* S1 or S3 at f->x, or beside it where x lies on kinks that tell nothing. */
void gr__check_gradient(gr__function *f, const char *stage, gr_check_options o,
                        gr_check_report *report);

/* S2, S4, S5, S6: each adds to the report what it finds wrong. */
void gr__check_forward_mode(gr__recorded *r, uint64_t seed, gr_check_report *report);
void gr__check_float32(gr__recorded *r, uint64_t seed, gr_check_report *report);
void gr__check_threads(gr__function *f, uint64_t seed, gr_check_report *report);
void gr__check_exhaustive(gr__function *f, gr_check_report *report);

/* Init, stages (by default S0 to S2, and at order 2 S3), release. */
void gr__check_function(const gr__input *in, int n, gr__recipe *recipe, void *user,
                        gr_check_options o, gr_check_report *report);

#endif
