/* numeric.h - the derivative of phi(t) = <v, f(x + t u)> at 0, by differences. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__NUMERIC_H
#define GR__NUMERIC_H

#include "function.h"

/* One direction and one cotangent. */
typedef struct gr__probe {
    gr__function *f;
    double *u, *v;
    double *y;                    /* f(x) */
    gr_branch side;               /* of the kinks at x */
    double size;                  /* sum |v y|: what phi is rounded like */
    double *like;                 /* y_i is rounded like numbers of this size */
    double *moved;                /* x + t u */
    double *plus, *minus, *spare; /* room for values of f */
} gr__probe;

enum { GR__ROWS = GR_CHECK_ROWS };
#define GR__FACTOR 1.6
#define GR__EPS 2.2e-16

typedef struct gr__slope {
    double n, e;                                      /* the derivative and its estimated error */
    double h;                                         /* the smallest step that it rests on */
    double step[GR__ROWS], table[GR__ROWS][GR__ROWS]; /* row i extrapolates from i + 1 steps */
    double second[GR__ROWS]; /* phi(h) - 2 phi(0) + phi(-h), h falling by GR__FACTOR */
} gr__slope;

typedef enum gr__footing {
    GR__CLEAN,   /* no kink within reach, as far as signatures tell */
    GR__CROSSED, /* the steps reach a kink or a value that is not finite */
    GR__BROKEN   /* the function failed */
} gr__footing;

/* Fills in p->like, given p->y and p->side: three evaluations. False: the function failed. */
bool gr__learn_rounding(gr__probe *p, uint64_t seed);
/* sum |v y|, each y counted as large as what it is rounded like. */
double gr__rounded_size(const gr__probe *p);

gr__footing gr__ridders(gr__probe *p, double h, gr__slope *s);
/* How far off phi's values are, as far as the table shows it: see numeric.c. */
double gr__shown_rounding(const gr__probe *p, const gr__slope *s);
/* The derivative along p->u from steps that keep clear of kinks, about ten evaluations, and how far
 * off it may be. False: there is none. */
bool gr__steady_slope(gr__probe *p, double *n, double *tolerance);
/* Slopes of |phi(h) - phi(0)| and |phi(h) - phi(0) - h a| over h; NaN where rounding hides them. */
void gr__taylor_slopes(gr__probe *p, double a, double slope[2]);

/* What the second differences tell of a function without signatures. */
typedef enum gr__shape_of_phi { GR__SMOOTH, GR__KINK_HERE, GR__KINK_NEAR } gr__shape_of_phi;
gr__shape_of_phi gr__smoothness(const gr__probe *p, const gr__slope *s);

/* Whether x lies exactly on a kink rather than close to one. */
bool gr__on_kink(gr__probe *p);

/* The interval of the one-sided derivatives along u: each output may choose its own side. */
typedef struct gr__interval {
    double low, high, tolerance;
} gr__interval;
gr__footing gr__one_sided(gr__probe *p, gr__interval *i);

#endif
