/* projected.h - stages S1 and S3: one number of the gradient against one of differences. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PROJECTED_H
#define GR__PROJECTED_H

#include "function.h"

/* Checks f's gradient at f->x in o.rounds rounds over all parts, then part by part where that
 * failed (or at once with o.separate). Adds to the report under `stage`. INCONCLUSIVE with the
 * report's kink set: x lies on kinks that cannot be told apart. */
void gr__check_projected(gr__function *f, const char *stage, gr_check_options o,
                         gr_check_report *report);

#endif
