/* recorded.h - a function of tensors that records a graph, as a map between arrays. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__RECORDED_H
#define GR__RECORDED_H

#include "function.h"

/* Records the outputs y, at most GR_MAX_OUTPUTS of them, and returns their number. */
typedef int gr__recipe(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user);

/* What the recipe gets as x[i]: perturbed if floating and not fixed, else a constant. */
typedef struct gr__input {
    const char *name;
    gr_dtype dtype;
    gr_shape shape;
    const void *data;
    bool fixed;
} gr__input;

typedef struct gr__slot {
    gr_dtype dtype;
    gr_shape shape;
    const void *data; /* of a constant */
    int64_t first;    /* of a perturbed one: where in x; else -1 */
} gr__slot;

/* The function under check. After gr__recorded_raise it is (x, w) -> vjp(x, w) instead. */
typedef struct gr__recorded {
    gr__function f;
    gr_graph *graph;
    gr__recipe *recipe;
    void *user;
    uint64_t seed; /* of random ops: the same for every recording */
    int order;
    gr_dtype real; /* of all perturbed inputs: GR_F64 but for a comparison */
    bool eager;
    bool guarded; /* kernels are watched: slow */

    gr__slot *slots; /* the recipe's inputs; from n_in on: w, at order 2 */
    int n_in, n_slots, n_active;
    int64_t *sizes; /* elements of each of the outputs */
    int n_out;

    gr_tensor **x, **active, **y;   /* of the running recording */
    gr_tensor **all, **seeds, **dx; /* room for calls of gr_vjp */
    gr_branch side;
    int computed; /* nodes of the function that are no sources or views */
    bool in_c;    /* one of them gives its backward as a C function: no forward mode */
    bool observing;
    enum { GR__OFF, GR__NOTE, GR__COMPARE } noting; /* see trace.c: */
    uint64_t *sides;                                /* of each node with kinks */
    int n_sides, most_sides;
    char *owner; /* text: whose side has changed */
    size_t owner_size;
} gr__recorded;

/* Records once to learn the outputs. False: r->f.fault says why; release it in any case. */
bool gr__recorded_init(gr__recorded *r, const gr__input *in, int n, gr__recipe *recipe, void *user,
                       uint64_t seed);
void gr__recorded_release(gr__recorded *r);
bool gr__recorded_raise(gr__recorded *r);

/* dy of x moving along dx, in forward mode. */
bool gr__recorded_jvp(gr__recorded *r, const double *dx, double *dy);
/* dx with cotangents for the outputs whose bit is set in `given` alone. */
bool gr__recorded_vjp_of(gr__recorded *r, const double *v, uint64_t given, double *dx);
/* dx of f(x) with v1, f(x) once more with v2, and x itself with w, all from one x. */
bool gr__recorded_vjp_shared(gr__recorded *r, const double *v1, const double *v2, const double *w,
                             double *dx);

#endif
