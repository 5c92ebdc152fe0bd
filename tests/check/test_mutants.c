/* test_mutants.c - errors planted in real backward rules: the gradient check must catch them all.
 *
 * A mutant is a copy of a descriptor whose vjp calls the real one and spoils what it gave.
 */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check.h>
#include <stdio.h>
#include <string.h>

enum { SEEDS = 3 };

typedef struct mutation {
    const char *name;
    void (*spoil)(gr_pullback *p);   /* after the real rule */
    void (*replace)(gr_pullback *p); /* or instead of it */
    bool (*suits)(const gr_op *op);  /* NULL: every op */
} mutation;

static const gr_op *original;
static const mutation *planted;

/* A contribution that the real rule added to `sum` is taken as dx, so that it can be spoilt. */
static void spoiled_vjp(gr_pullback *p)
{
    gr_tensor *sum[GR_SAMPLE_INPUTS] = {NULL};
    gr_pullback real = *p;
    if (planted->replace) {
        planted->replace(p);
        return;
    }
    real.sum = sum;
    original->vjp(&real);
    for (int i = 0; i < p->n_in; i++)
        if (sum[i]) p->dx[i] = sum[i];
    planted->spoil(p);
}

/* --- factors --- */

static void scale_all(gr_pullback *p, double factor)
{
    for (int i = 0; i < p->n_in; i++)
        if (p->wants[i] && p->dx[i]) p->dx[i] = gr_scale(p->dx[i], factor);
}

#define FACTOR(NAME, VALUE)          \
    static void NAME(gr_pullback *p) \
    {                                \
        scale_all(p, VALUE);         \
    }
FACTOR(negate, -1)
FACTOR(twice, 2)
FACTOR(half, 0.5)
FACTOR(off_by_1e_2, 1 + 1e-2)
FACTOR(off_by_1e_3, 1 + 1e-3)
FACTOR(off_by_1e_4, 1 + 1e-4)
FACTOR(off_by_1e_5, 1 + 1e-5)
FACTOR(off_by_1e_6, 1 + 1e-6)

static void nothing(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) p->dx[i] = NULL;
}

/* --- single elements --- */

/* The gradient of the element where x is largest, which no relu cuts off. */
static void zero_one(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) {
        if (!p->wants[i] || !p->dx[i] || gr_numel(p->x[i]) == 0) continue;
        gr_tensor *x = p->x[i], *dx = p->dx[i], *most = gr_max(x, GR_ALL, false);
        gr_tensor *zero = gr_zeros(p->graph, gr_dtype_of(dx), *gr_shape_of(dx));
        p->dx[i] = gr_where(gr_equal(x, most), zero, dx);
    }
}

static void swap_two(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) {
        if (!p->wants[i] || !p->dx[i] || gr_numel(p->x[i]) < 2) continue;
        gr_tensor *flat = gr_flatten(p->dx[i], 0);
        gr_tensor *pieces[] = {gr_slice(flat, 0, 1, 2, 1), gr_slice(flat, 0, 0, 1, 1),
                               gr_slice(flat, 0, 2, gr_numel(flat), 1)};
        p->dx[i] = gr_reshape(gr_concat(pieces, 3, 0), *gr_shape_of(p->x[i]));
    }
}

/* --- arrangement --- */

static void transpose(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) {
        int rank = gr_shape_of(p->x[i])->rank;
        if (!p->wants[i] || !p->dx[i] || rank < 2) continue;
        p->dx[i] = gr_reshape(gr_transpose(p->dx[i], rank - 2, rank - 1), *gr_shape_of(p->x[i]));
    }
}

static void give_to_the_other(gr_pullback *p)
{
    if (p->n_in < 2 || !p->dx[0] || !p->dx[1]) return;
    if (!gr_shape_equal(gr_shape_of(p->x[0]), gr_shape_of(p->x[1]))) return;
    gr_tensor *first = p->dx[0];
    p->dx[0] = p->dx[1];
    p->dx[1] = first;
}

/* --- cotangents and sums --- */

static void ignore_cotangent(gr_pullback *p)
{
    gr_tensor *dy[GR_MAX_OUTPUTS] = {NULL};
    gr_pullback q = *p;
    for (int i = 0; i < p->n_out; i++)
        if (p->dy[i]) dy[i] = gr_ones(p->graph, gr_dtype_of(p->y[i]), *gr_shape_of(p->y[i]));
    q.dy = dy;
    original->vjp(&q);
}

static void square_cotangent(gr_pullback *p)
{
    gr_tensor *dy[GR_MAX_OUTPUTS] = {NULL};
    gr_pullback q = *p;
    for (int i = 0; i < p->n_out; i++)
        if (p->dy[i]) dy[i] = gr_mul(gr_abs(p->dy[i]), p->dy[i]);
    q.dy = dy;
    original->vjp(&q);
}

/* What others contributed to dx is lost. */
static void overwrite(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) {
        if (!p->wants[i] || !p->dx[i]) continue;
        p->sum[i] = p->dx[i];
        p->dx[i] = NULL;
    }
}

/* The mean over what was broadcast instead of the sum. */
static void mean_for_sum(gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++)
        if (p->wants[i] && p->dx[i] && gr_numel(p->y[0]))
            p->dx[i] = gr_scale(p->dx[i], (double)gr_numel(p->x[i]) / (double)gr_numel(p->y[0]));
}

/* y dy alone, without the sum that couples the elements. */
static void drop_softmax_sum(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], p->y[0]);
}

static bool is_one_of(const gr_op *op, const char *const *names)
{
    while (*names && strcmp(*names, op->name) != 0) names++;
    return *names != NULL;
}

/* Where other elements of the gradient than 0 and 0 change places. */
static bool moves_elements(const gr_op *op)
{
    static const char *const sparse[] = {"dropout", "embedding", "gather", NULL};
    return !op->branch && !is_one_of(op, sparse);
}

/* Samples with matrices, and a gradient with two axes longer than 1. */
static bool has_matrices(const gr_op *op)
{
    return moves_elements(op) && strcmp(op->name, "expand") != 0;
}

/* Two inputs alike with gradients that differ. */
static bool has_two_sides(const gr_op *op)
{
    static const char *const pairs[] = {"sub", "mul", "div", "pow", "maximum", "minimum", NULL};
    return is_one_of(op, pairs);
}

static bool is_expand(const gr_op *op)
{
    return !strcmp(op->name, "expand");
}

static bool is_softmax(const gr_op *op)
{
    return !strcmp(op->name, "softmax");
}

static const mutation mutations[] = {
    {"negated", negate, NULL, NULL},
    {"factor 2", twice, NULL, NULL},
    {"factor 1/2", half, NULL, NULL},
    {"factor 1 + 1e-2", off_by_1e_2, NULL, NULL},
    {"factor 1 + 1e-3", off_by_1e_3, NULL, NULL},
    {"factor 1 + 1e-4", off_by_1e_4, NULL, NULL},
    {"factor 1 + 1e-5", off_by_1e_5, NULL, NULL},
    {"factor 1 + 1e-6", off_by_1e_6, NULL, NULL},
    {"zero", nothing, NULL, NULL},
    {"one element zeroed", zero_one, NULL, NULL},
    {"two elements swapped", swap_two, NULL, moves_elements},
    {"transposed", transpose, NULL, has_matrices},
    {"the other input's", give_to_the_other, NULL, has_two_sides},
    {"cotangent ignored", NULL, ignore_cotangent, NULL},
    {"cotangent squared", NULL, square_cotangent, NULL},
    {"overwritten", overwrite, NULL, NULL},
    {"mean for sum", mean_for_sum, NULL, is_expand},
    {"softmax's sum dropped", NULL, drop_softmax_sum, is_softmax},
};
enum { MUTATIONS = sizeof mutations / sizeof *mutations };

/* --- the table --- */

/* How many of SEEDS checks FAIL; what was said of one that did not is kept. */
static int kills(const mutation *m, const gr_op *op, char *escaped, size_t size)
{
    gr_op mutant = *op;
    int caught = 0;
    mutant.vjp = spoiled_vjp;
    original = op;
    planted = m;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        gr_check_report r;
        if (gr_gradcheck_op(&mutant, (gr_check_options){.seed = seed}, &r) == GR_FAIL) caught++;
        else snprintf(escaped, size, "%s %s, seed %d: %s", m->name, op->name, (int)seed, r.message);
    }
    return caught;
}

static bool has_rule(const gr_op *op)
{
    return op->vjp && op->samples && !(op->flags & GR_OP_CONSTANT);
}

START_TEST(every_planted_error_is_caught_in_every_op)
{
    char escaped[700] = "";
    for (size_t m = 0; m < MUTATIONS; m++) {
        int caught = 0, all = 0;
        for (int i = 0; i < gr_op_count(); i++) {
            const gr_op *op = gr_op_at(i);
            if (!has_rule(op) || (mutations[m].suits && !mutations[m].suits(op))) continue;
            caught += kills(&mutations[m], op, escaped, sizeof escaped);
            all += SEEDS;
        }
        printf("%-22s %d of %d\n", mutations[m].name, caught, all);
        ck_assert_int_gt(all, 0);
        ck_assert_msg(caught == all, "caught %d of %d; missed: %s", caught, all, escaped);
    }
}
END_TEST

START_TEST(a_constant_factor_is_named)
{
    static const struct {
        const char *name, *diagnosis;
    } cases[] = {{"negated", "sign is wrong"},
                 {"factor 2", "2 times what it should be"},
                 {"factor 1/2", "0.5 times what it should be"},
                 {"zero", "gradient is zero"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        gr_op mutant = *gr_op_find("tanh");
        gr_check_report r;
        original = gr_op_find("tanh");
        for (size_t m = 0; m < MUTATIONS; m++)
            if (!strcmp(mutations[m].name, cases[c].name)) planted = &mutations[m];
        mutant.vjp = spoiled_vjp;
        ck_assert_int_eq(gr_gradcheck_op(&mutant, (gr_check_options){0}, &r), GR_FAIL);
        ck_assert_str_eq(r.stage, "S1");
        ck_assert_msg(strstr(r.message, cases[c].diagnosis) != NULL, "%s", r.message);
    }
}
END_TEST

START_TEST(no_correct_op_raises_an_alarm)
{
    for (int i = 0; i < gr_op_count(); i++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            gr_check_report r;
            gr_verdict v = gr_gradcheck_op(gr_op_at(i),
                                           (gr_check_options){.seed = seed, .order = 2}, &r);
            ck_assert_msg(v == GR_PASS, "%s, seed %d: %s %s %s", gr_op_at(i)->name, (int)seed,
                          gr_verdict_name(v), r.stage, r.message);
        }
}
END_TEST

SUITE("mutants", NULL, NULL, every_planted_error_is_caught_in_every_op, a_constant_factor_is_named,
      no_correct_op_raises_an_alarm)
