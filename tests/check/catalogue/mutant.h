/* mutant.h - a real op whose backward rule has one planted error.
 *
 * A mutant is a copy of a descriptor. Its rule calls the real one and damages what goes in or what
 * comes out, by recording further ops. Each call compares the damaged gradient with the right one:
 * a mutant is alive in a check if that check saw them differ by more than 1e-7 of the right
 * gradient's norm, a tenth of the smallest planted error. A check without any difference ran a
 * correct op, and proves nothing.
 */
/* SPDX-License-Identifier: MIT */
#ifndef MUTANT_H
#define MUTANT_H

#include <gradus/check.h>

enum { RULE_INPUTS = 8, RULE_ATTRS = 256 };

/* One call of a rule: what it is given, in arrays that may be changed, and what it gave. */
typedef struct rule {
    const gr_op *op; /* the real one */
    gr_pullback p;   /* x, y, dy, attrs, dx and sum are those below */
    gr_tensor *x[RULE_INPUTS], *y[GR_MAX_OUTPUTS], *dy[GR_MAX_OUTPUTS];
    gr_tensor *dx[RULE_INPUTS];   /* all that the rule contributes, NULL where nothing */
    gr_tensor *sum[RULE_INPUTS];  /* what others contributed before */
    bool overwrites[RULE_INPUTS]; /* dx replaces the sum instead of adding to it */
    double per_mean;              /* how many elements share in each mean that the op takes */
    _Alignas(16) char attrs[RULE_ATTRS];
} rule;

/* One class of planted errors. */
typedef struct mutation {
    const char *name;
    const char *diagnosis; /* what a report should say; alternatives are split by '|'; NULL: any */
    bool (*suits)(const gr_op *op);   /* NULL: every op */
    void (*before)(rule *r);          /* damages what the real rule is given, */
    void (*after)(rule *r);           /* or what it gave */
    bool constant;                    /* for ops without gradient instead of those with one */
    int order;                        /* 2: shows in second derivatives alone */
    bool (*lives)(const rule *right); /* NULL: the damaged gradient differs from the right one */
} mutation;

typedef struct outcome {
    gr_check_report report;
    bool alive;
    char broken[200]; /* not empty: the damage itself failed, so the verdict means nothing */
} outcome;

bool mutant_possible(const gr_op *op, const mutation *m);
outcome mutant_check(const gr_op *op, const mutation *m, uint64_t seed);

/* --- for damages --- */

void rule_call(rule *r); /* the real rule, on what r holds; sets dx */
rule rule_copy(const rule *r);
double *rule_values(gr_tensor *t); /* in float64, to be freed; NULL when t is or holds nothing */
/* A fixed cotangent without a pattern: sin(1.7 i + 0.4). */
gr_tensor *rule_weights(gr_tensor *like);
/* The gradient of input i for fixed cotangents: a function of x alone. */
double *rule_sensitivity(const rule *r, int i);
const void *rule_attribute(const rule *r, const char *name, gr_field_type type); /* or NULL */
bool rule_wants(const rule *r, int i); /* input i has a gradient, with at least one element */

#endif
