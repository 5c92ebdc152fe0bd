/* study.h - how far differences are off at each step, and the Taylor residuals. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STUDY_H
#define GR__STUDY_H

#include "numeric.h"

enum { GR__STEPS = 97 }; /* six per decade, from 1e-16 to 1 */
#define GR__EXACT 1e-17  /* no error is given as smaller: a logarithm shows no 0 */

/* Of phi(t) = <v, f(x + t u)>, whose derivative at 0 is a = <vjp(v), u>. Errors are relative to
 * scale = max(|a|, ||vjp(v) o u||); NaN where a value is not finite. */
typedef struct gr__study {
    double h[GR__STEPS];
    double forward[GR__STEPS];  /* error of (phi(h) - phi(0)) / h */
    double central[GR__STEPS];  /* error of (phi(h) - phi(-h)) / 2h */
    double ridders[GR__STEPS];  /* error of Ridders' extrapolation from steps of at most h */
    double rounding[GR__STEPS]; /* what the rounding of phi alone may cause: eps sum|v y| / h */
    double first[GR__STEPS];    /* |phi(h) - phi(0)| */
    double second[GR__STEPS];   /* |phi(h) - phi(0) - h a| */
    double slope[2];            /* of first and second over h; NaN where rounding hides it */
    double a, scale;
    double kink; /* the smallest step that crosses a kink, 0: none */
} gr__study;

/* False: f->fault says why. */
bool gr__study_run(gr__study *s, gr__function *f, uint64_t seed);

#endif
