/* rows.h - a parameter's gradient kept by rows. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ROWS_H
#define GR__ROWS_H

#include "tape.h"

/* Whether dx, the cotangent of p, can be added by rows instead of being computed. */
bool gr__rows_apply(const gr_param *p, const gr_tensor *dx);
/* Adds it, once the cotangent of the rows has been computed. */
void gr__rows_add(gr_param *p, gr_tensor *dx);
void gr__rows_clear(gr_param *p);  /* back to 0 everywhere */
void gr__rows_forget(gr_param *p); /* the gradient is dense from here on, and about to be written */

#endif
