/* scalars.h - a naive interpreter: every element of every array is a variable of its own.
 *
 * Written against the definitions, not against the library: one double per variable, up to two
 * parents with their partial derivatives, one loop backwards. Views copy variables' numbers;
 * reductions are chains of binary sums. Slow, and simple enough to be believed.
 */
/* SPDX-License-Identifier: MIT */
#ifndef SCALARS_H
#define SCALARS_H

#include <stdbool.h>
#include <stdint.h>

enum { RANK = 4 };

/* A row-major array of variables. */
typedef struct array {
    int rank;
    int64_t dim[RANK];
    int *at; /* numbers of variables */
} array;

void scalars_begin(void); /* forgets all variables and arrays */
int64_t array_numel(const array *x);
double variable_value(int v);
double variable_grad(int v);
/* Whether two that were compared are so close that rounding might order them otherwise. */
bool scalars_too_close(void);

array array_new(int rank, const int64_t *dim); /* variables unset */
int variable(double value);
int unary(double value, int x, double dx);
int binary(double value, int a, double da, int b, double db);

int s_add(int a, int b);
int s_mul(int a, int b);
int s_scale(int x, double a);
int s_max(const int *x, int n, int sign); /* sign -1: the least; equals share */
bool s_above(int a, int b);               /* a > b */
void s_apart(int x, double from);         /* notes a kink at `from` */

/* Element `index` of x for a position in a shape that x broadcasts to. */
int array_broadcast(const array *x, int rank, const int64_t *index);
/* Next position in row-major order; false after the last. */
bool advance_index(int rank, const int64_t *dim, int64_t *index);
int64_t offset_of(const array *x, const int64_t *index);

void seed_gradient(const array *y); /* adds 1 to the gradient of each element */
void propagate_gradients(void);     /* from the seeds to every variable */

#endif
