/* test_random_graphs.c - thousands of random programs, against a naive interpreter. */
/* SPDX-License-Identifier: MIT */
#include "draw.h"
#include "program.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GRAPHS = 10000 };
static const double TOLERANCE = 1e-9; /* of the largest element */

/* --- drawing --- */

int64_t draw(program *p, int64_t n)
{
    return draw_below(&p->state, n);
}

double draw_real(program *p)
{
    return draw_unit(&p->state);
}

/* The newest ones more often, so that programs grow deep. */
const value *draw_value(program *p)
{
    int64_t recent = p->n > 4 && draw(p, 2) ? 4 : p->n;
    return &p->values[p->n - 1 - draw(p, recent)];
}

/* --- both sides --- */

gr_shape shape_of(const array *a)
{
    gr_shape s = {a->rank, {0}};
    for (int i = 0; i < a->rank; i++) s.dim[i] = a->dim[i];
    return s;
}

double largest(const array *a)
{
    double most = 0;
    for (int64_t i = 0; i < array_numel(a); i++) most = fmax(most, fabs(variable_value(a->at[i])));
    return most;
}

static void note(program *p, const char *name, const array *a)
{
    char shape[GR_SHAPE_TEXT];
    gr_shape s = shape_of(a);
    size_t n = strlen(p->text);
    snprintf(p->text + n, sizeof p->text - n, "%s%s ", name, gr_shape_text(&s, shape));
}

value add_leaf(program *p, int rank, const int64_t *dim)
{
    double data[MOST_ELEMENTS];
    value v = {NULL, array_new(rank, dim)};
    for (int64_t i = 0; i < array_numel(&v.a); i++) v.a.at[i] = variable(data[i] = draw_real(p));
    v.t = gr_from_data(p->g, GR_F64, shape_of(&v.a), data);
    note(p, "leaf", &v.a);
    p->leaves[p->n_leaves++] = p->n;
    p->values[p->n++] = v;
    return v;
}

void keep(program *p, const char *name, gr_tensor *t, array a)
{
    value v = {t, a};
    double most = largest(&a);
    note(p, name, &a);
    if (most > 4) { /* towards 1, so that nothing overflows */
        v.t = gr_scale(t, 1 / most);
        v.a = array_new(a.rank, a.dim);
        for (int64_t i = 0; i < array_numel(&a); i++) v.a.at[i] = s_scale(a.at[i], 1 / most);
    }
    p->values[p->n++] = v;
}

/* Sizes 0 to 4, ones often; every 20th program has arrays too large to be computed when recorded. */
static void add_leaves(program *p, uint64_t seed)
{
    for (int64_t n = 1 + draw(p, 3); n > 0; n--) {
        int64_t dim[RANK];
        int rank = (int)draw(p, 4);
        for (int i = 0; i < rank; i++) dim[i] = draw(p, 3) ? 1 + draw(p, 4) : draw(p, 2);
        if (rank && seed % 20 == 0) dim[rank - 1] = 600 / (rank > 1 && dim[0] > 1 ? dim[0] : 1);
        for (int i = 1; i < rank - 1 && seed % 20 == 0; i++) dim[i] = 1;
        add_leaf(p, rank, dim);
    }
}

static void build(program *p, uint64_t seed)
{
    step_fn *const *const kinds[] = {arithmetic_steps, arithmetic_steps, shape_steps,
                                     reduction_steps};
    const int64_t steps = 5 + draw(p, 26);
    add_leaves(p, seed);
    for (int64_t i = 0; i < 2 * steps && p->n < p->leaves[p->n_leaves - 1] + 1 + steps; i++) {
        step_fn *const *kind = kinds[draw(p, 4)];
        int n = 0;
        while (kind[n]) n++;
        if (p->n < MOST_VALUES - 2 && p->n_leaves < MOST_LEAVES - 1) kind[draw(p, n)](p);
    }
}

/* --- comparing --- */

static void compare(const program *p, uint64_t seed, const char *what, int number, gr_tensor *t,
                    const array *a, double (*of)(int variable))
{
    const double *got = gr_data(t);
    gr_shape shape = shape_of(a);
    double most = 1;
    ck_assert_msg(got != NULL, "graph %d: %s", (int)seed, gr_graph_error(p->g));
    ck_assert_msg(gr_shape_equal(gr_shape_of(t), &shape),
                  "graph %d: the shape of %s %d is wrong: %s", (int)seed, what, number, p->text);
    for (int64_t i = 0; i < array_numel(a); i++) most = fmax(most, fabs(of(a->at[i])));
    for (int64_t i = 0; i < array_numel(a); i++)
        if (!(fabs(got[i] - of(a->at[i])) <= TOLERANCE * most))
            ck_abort_msg("graph %d, %s %d, element %d: expected %.12g, got %.12g: %s", (int)seed,
                         what, number, (int)i, of(a->at[i]), got[i], p->text);
}

/* The last value and one other are differentiated together. */
static void compare_gradients(program *p, uint64_t seed)
{
    gr_tensor *x[MOST_LEAVES], *dx[MOST_LEAVES], *one[2];
    const value *last = &p->values[p->n - 1], *other = draw_value(p);
    gr_tensor *y[2] = {last->t, other->t};
    for (int i = 0; i < p->n_leaves; i++) x[i] = p->values[p->leaves[i]].t;
    for (int i = 0; i < 2; i++) one[i] = gr_ones_like(y[i]);
    gr_vjp(y, one, 2, x, p->n_leaves, dx);
    seed_gradient(&last->a);
    seed_gradient(&other->a);
    propagate_gradients();
    for (int i = 0; i < p->n_leaves; i++)
        compare(p, seed, "gradient of leaf", i, dx[i], &p->values[p->leaves[i]].a, variable_grad);
}

/* Returns false where a choice hangs on rounding. */
static bool run_graph(program *p, uint64_t seed)
{
    gr_graph *g = p->g;
    gr_graph_reset(g);
    scalars_begin();
    *p = (program){.g = g, .state = seed};
    build(p, seed);
    ck_assert_msg(gr_graph_error(g) == NULL, "graph %d: %s: %s", (int)seed, gr_graph_error(g),
                  p->text);
    if (scalars_too_close()) return false;
    for (int i = 0; i < p->n && seed % 2; i++)
        compare(p, seed, "value", i, p->values[i].t, &p->values[i].a, variable_value);
    compare_gradients(p, seed);
    compare(p, seed, "value", p->n - 1, p->values[p->n - 1].t, &p->values[p->n - 1].a,
            variable_value);
    return true;
}

START_TEST(random_programs_agree_with_a_naive_interpreter)
{
    static program p;
    int compared = 0, undecided = 0;
    p.g = gr_graph_new();
    for (uint64_t seed = 0; compared < GRAPHS && undecided < GRAPHS / 20; seed++) {
        bool decided = run_graph(&p, seed);
        compared += decided;
        undecided += !decided;
    }
    gr_graph_free(p.g);
    ck_assert_int_eq(compared, GRAPHS);
}
END_TEST

SUITE("random graphs", NULL, NULL, random_programs_agree_with_a_naive_interpreter)
