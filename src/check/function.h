/* function.h - what is under check, seen as a map between arrays of doubles.
 *
 * All perturbed inputs, one after the other, make x; all floating outputs make y. The numerical
 * stages work on these arrays and know nothing of graphs.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FUNCTION_H
#define GR__FUNCTION_H

#include "base.h"
#include <gradus/check.h>

/* One perturbed input: x[first .. first + n). */
typedef struct gr__part {
    char name[64];
    int64_t first, n;
    gr_shape shape;
} gr__part;

typedef struct gr__function gr__function;
struct gr__function {
    double *x; /* the point at which it is checked */
    int64_t n_x, n_y;
    gr__part *parts;
    int n_parts;
    bool one_op;  /* nothing but one op, whose outputs have at most one kink each at x */
    bool single;  /* computed in float32 */
    double floor; /* y is rounded like numbers of this size, even where it is smaller */

    /* y = f(x) and the side of each kink; dx = v . df/dx. False: `fault` says why. */
    bool (*eval)(gr__function *f, const double *x, double *y, gr_branch *side);
    bool (*vjp)(gr__function *f, const double *x, const double *v, double *dx);
    /* For reports, may be NULL: the op that takes a part (-1: any), and the op whose kink lies between
     * x and another point. */
    void (*trace)(gr__function *f, int part, gr_check_report *report);
    bool (*blame_kink)(gr__function *f, const double *to, char *owner, size_t size);
    char fault[400];
    const char *fault_stage;

    gr__arena arena; /* of what lives as long as the function */
    int64_t evaluations;
};

static inline double *gr__doubles(gr__function *f, int64_t n)
{
    return gr__arena_alloc(&f->arena, (size_t)(n + 1) * sizeof(double));
}

/* --- draw.c --- */

/* Random signs times exp(U(-1/2, 1/2)): no lone error cancels, no regular pattern is hit. */
void gr__draw_signs(uint64_t seed, double *u, int64_t n);
/* Distinct values in (low, high), half a mean distance apart, each exact in float32. */
void gr__draw_apart(uint64_t seed, double *x, int64_t n, double low, double high);
double gr__rms(const double *x, int64_t n); /* over the finite elements */
double gr__norm(const double *x, int64_t n);

/* --- report.c --- */

/* Sets verdict, stage and message, once: what is FAIL or INCONCLUSIVE stays. */
void gr__report(gr_check_report *r, gr_verdict verdict, const char *stage, const char *format, ...)
    GR_PRINTF(4, 5);
void gr__report_fault(gr_check_report *r, const gr__function *f);
/* Adds a part's report to the whole's: the first failure stays, then the first INCONCLUSIVE, then
 * the worst round; `format` says which part it was. */
void gr__report_merge(gr_check_report *whole, const gr_check_report *part, const char *format, ...)
    GR_PRINTF(3, 4);

#endif
