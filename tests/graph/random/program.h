/* program.h - a random program, recorded by the library and by the naive interpreter at once. */
/* SPDX-License-Identifier: MIT */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "scalars.h"

#include <gradus/gradus.h>

enum { MOST_VALUES = 96, MOST_LEAVES = 48, MOST_ELEMENTS = 3000 };

/* One value, on both sides. */
typedef struct value {
    gr_tensor *t;
    array a;
} value;

typedef struct program {
    gr_graph *g;
    uint64_t state; /* of the generator */
    value values[MOST_VALUES];
    int n;
    int leaves[MOST_LEAVES]; /* which values are leaves */
    int n_leaves;
    char text[4096]; /* the steps, to be shown on failure */
} program;

int64_t draw(program *p, int64_t n); /* 0 .. n - 1 */
double draw_real(program *p);        /* (-1, 1) */
const value *draw_value(program *p);
value add_leaf(program *p, int rank, const int64_t *dim);
void keep(program *p, const char *name, gr_tensor *t,
          array a); /* adds a value, scaled down if large */
gr_shape shape_of(const array *a);
double largest(const array *a);

/* Does one thing to one or two values; does nothing where it does not apply. */
typedef void step_fn(program *p);
extern step_fn *const arithmetic_steps[], *const shape_steps[],
                                              *const reduction_steps[]; /* end with NULL */

#endif
