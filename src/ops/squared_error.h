/* squared_error.h - for the family of losses that it serves. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SQUARED_ERROR_H
#define GR__SQUARED_ERROR_H

#include <gradus/op.h>

/* factor sum (x - t)^2 of few elements as one node; NULL: x and t are too many, or not alike. */
gr_tensor *gr__squared_error(gr_tensor *x, gr_tensor *t, double factor);

#endif
