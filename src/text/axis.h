/* axis.h - round numbers along an axis. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__AXIS_H
#define GR__AXIS_H

#include "text.h"

#define GR__AXIS_LIMIT 1e300 /* |values| beyond it are not drawn */

/* Ticks lie at first + i step, 0 <= i < count; the axis reaches from lo to hi. With `decades` all
 * of these are exponents of ten. */
typedef struct gr__axis {
    double lo, hi, first, step;
    int count;
    bool decades;
} gr__axis;

/* About `wanted` ticks at 1, 2 or 5 times a power of ten, lo and hi extended to ticks. */
gr__axis gr__axis_values(double lo, double hi, int wanted);
/* At most `wanted` ticks over the whole numbers 1..n, n >= 1. */
gr__axis gr__axis_counts(int n, int wanted);
/* Logarithmic: about `wanted` ticks at powers of ten, lo and hi > 0 extended to powers of ten. */
gr__axis gr__axis_decades(double lo, double hi, int wanted);
bool gr__axis_shows(const gr__axis *a, double x); /* false for NaN, Inf; on a logarithm also <= 0 */
double gr__axis_tick(const gr__axis *a, int i);
double gr__axis_place(const gr__axis *a, double x, double from, double to); /* lo: from, hi: to */
/* "0.25", "25%", "2.5e+09" or, at a power of ten, "10⁻⁸". */
void gr__axis_label(const gr__axis *a, int i, bool percent, gr__text *out);
/* "3×10⁻⁸": x > 0 to one digit. */
void gr__axis_power(double x, gr__text *out);

#endif
