/* scalars.c - variables, their values and derivatives. */
/* SPDX-License-Identifier: MIT */
#include "scalars.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 22, MOST_PLACES = 1 << 22 };
static const double CLOSE = 1e-12;

typedef struct scalar {
    double value, grad, partial[2];
    int parent[2]; /* -1: none */
} scalar;

static scalar *scalars;
static int *places; /* storage of arrays */
static int n_scalars, n_places;
static bool too_close;

static void need(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "scalars: too many %s\n", what);
    abort();
}

void scalars_begin(void)
{
    if (!scalars) scalars = malloc(MOST * sizeof *scalars);
    if (!places) places = malloc(MOST_PLACES * sizeof *places);
    need(scalars && places, "bytes");
    n_scalars = n_places = 0;
    too_close = false;
}

bool scalars_too_close(void)
{
    return too_close;
}

/* --- variables --- */

int binary(double value, int a, double da, int b, double db)
{
    need(n_scalars < MOST, "variables");
    scalars[n_scalars] = (scalar){value, 0, {da, db}, {a, b}};
    return n_scalars++;
}

int unary(double value, int x, double dx)
{
    return binary(value, x, dx, -1, 0);
}

int variable(double value)
{
    return binary(value, -1, 0, -1, 0);
}

double variable_value(int v)
{
    return scalars[v].value;
}

double variable_grad(int v)
{
    return scalars[v].grad;
}

int s_add(int a, int b)
{
    return binary(scalars[a].value + scalars[b].value, a, 1, b, 1);
}

int s_mul(int a, int b)
{
    return binary(scalars[a].value * scalars[b].value, a, scalars[b].value, b, scalars[a].value);
}

int s_scale(int x, double a)
{
    return unary(a * scalars[x].value, x, a);
}

/* --- comparisons --- */

void s_apart(int x, double from)
{
    double gap = fabs(scalars[x].value - from);
    if (gap > 0 && gap < CLOSE) too_close = true;
}

/* Behind copies. */
static int original(int v)
{
    while (v >= 0 && scalars[v].parent[0] >= 0 && scalars[v].parent[1] < 0 &&
           scalars[v].partial[0] == 1 && scalars[v].value == scalars[scalars[v].parent[0]].value)
        v = scalars[v].parent[0];
    return v;
}

/* Whether a and b came from the same variables, from equal constants or zeros (of a relu, say) by
 * the same steps: equal to the last bit, whatever the rounding. Gives up after `budget` pairs. */
static bool same_origin(int a, int b, int *budget)
{
    a = original(a);
    b = original(b);
    if (a == b) return true;
    if (a < 0 || b < 0 || --*budget < 0 || scalars[a].value != scalars[b].value) return false;
    const int *p = scalars[a].parent, *q = scalars[b].parent;
    if (scalars[a].value == 0) return true;
    return same_origin(p[0], q[0], budget) && same_origin(p[1], q[1], budget);
}

static bool tie(int a, int b)
{
    double gap = fabs(scalars[a].value - scalars[b].value);
    int budget = 1000;
    if (gap < CLOSE && !same_origin(a, b, &budget)) too_close = true;
    return gap == 0;
}

bool s_above(int a, int b)
{
    return !tie(a, b) && scalars[a].value > scalars[b].value;
}

int s_max(const int *x, int n, int sign)
{
    int best = x[0], equal = 0;
    for (int i = 1; i < n; i++)
        if (sign * scalars[x[i]].value > sign * scalars[best].value) best = x[i];
    for (int i = 0; i < n; i++) equal += tie(best, x[i]);
    int y = -1;
    for (int i = 0; i < n; i++) {
        if (scalars[x[i]].value != scalars[best].value) continue;
        int share = s_scale(x[i], 1.0 / equal);
        y = y < 0 ? share : s_add(y, share);
    }
    scalars[y].value = scalars[best].value;
    return y;
}

/* --- arrays --- */

int64_t array_numel(const array *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->rank; i++) n *= x->dim[i];
    return n;
}

array array_new(int rank, const int64_t *dim)
{
    array y = {rank, {0}, places + n_places};
    memcpy(y.dim, dim, (size_t)rank * sizeof *dim);
    need(array_numel(&y) <= MOST_PLACES - n_places, "places");
    n_places += (int)array_numel(&y);
    return y;
}

int64_t offset_of(const array *x, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < x->rank; i++) at = at * x->dim[i] + index[i];
    return at;
}

int array_broadcast(const array *x, int rank, const int64_t *index)
{
    int64_t own[RANK];
    for (int i = 0; i < x->rank; i++) own[i] = x->dim[i] == 1 ? 0 : index[rank - x->rank + i];
    return x->at[offset_of(x, own)];
}

bool advance_index(int rank, const int64_t *dim, int64_t *index)
{
    for (int i = rank - 1; i >= 0; i--) {
        if (++index[i] < dim[i]) return true;
        index[i] = 0;
    }
    return false;
}

/* --- derivatives --- */

void seed_gradient(const array *y)
{
    for (int64_t i = 0; i < array_numel(y); i++) scalars[y->at[i]].grad += 1;
}

void propagate_gradients(void)
{
    for (int v = n_scalars - 1; v >= 0; v--)
        for (int k = 0; k < 2; k++)
            if (scalars[v].parent[k] >= 0)
                scalars[scalars[v].parent[k]].grad += scalars[v].partial[k] * scalars[v].grad;
}
