/* lbfgs.h - what lbfgs.c and its line search share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LBFGS_H
#define GR__LBFGS_H

#include "optimizer.h"

/* Vectors are of n float64: all trainable elements. */
struct gr__lbfgs {
    gr_lbfgs_options o;
    int64_t n;
    double *d, *before,
        *history;        /* the direction, the gradient where it began, pairs s, y; one block */
    double *rho, *alpha; /* 1 / s.y of each pair; scratch; one block */
    struct gr__lbfgs_now {
        double t, start; /* the step along d; H is start times I before the pairs */
        double iterations, evaluations;
        double pairs, next; /* how many; where the next one goes: the history is a ring */
    } now;                  /* numbers only, so that it can be saved as an array */
    double *x, *moved,
        *g[4]; /* scratch, one block: where a line begins, a point on it, gradients */
    double *partials;
};

/* A point x + t d, with the loss, its gradient, and the derivative along d. */
typedef struct gr__point {
    double t, f, slope;
    double *g;
} gr__point;

/* One call of gr_step_closure. */
typedef struct gr__search {
    gr_optimizer *opt;
    gr_closure *closure;
    void *user;
    int evaluations;
} gr__search;

double gr__lbfgs_dot(const gr__lbfgs *l, const double *x, double *y);
double gr__lbfgs_largest(const gr__lbfgs *l, const double *x);
/* Goes to x + t d and asks for loss and gradient there. */
gr_status gr__lbfgs_evaluate(gr__search *s, double t, gr__point *p);
/* Slots and vectors, as many as the model has. */
gr_status gr__lbfgs_need(gr_optimizer *opt);

/* Finds now.t along d from x, where the loss is *f, the gradient g[0] and its slope `slope`; begins at
 * now.t. Leaves loss and gradient of the point in *f and g[0]. (wolfe.c) */
gr_status gr__strong_wolfe(gr__search *s, double *f, double slope);

#endif
