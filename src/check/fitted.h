/* fitted.h - stage S1 of functions that compute in float32. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FITTED_H
#define GR__FITTED_H

#include "function.h"

/* As gr__check_projected does, but with differences that are fitted instead of extrapolated. */
void gr__check_fitted(gr__function *f, const char *stage, gr_check_options o,
                      gr_check_report *report);

#endif
