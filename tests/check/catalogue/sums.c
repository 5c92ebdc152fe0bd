/* sums.c - contributions lost, and means for sums. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>
#include <string.h>

/* What others contributed is lost. */
static void overwrite(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) r->overwrites[i] = rule_wants(r, i) && r->sum[i];
}

/* What others contributed is added once more. */
static void add_again(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i) && r->sum[i]) r->dx[i] = gr_add(r->dx[i], r->sum[i]);
}

static bool has_more_inputs(const gr_op *op)
{
    return op->n_in != 1 && !op->define;
}

/* A tensor that is two inputs gets the contribution of the first alone. */
static void count_once(rule *r)
{
    for (int i = 1; i < r->p.n_in; i++)
        for (int j = 0; j < i; j++)
            if (r->x[i] == r->x[j]) r->dx[i] = NULL;
}

/* --- over a broadcast axis --- */

static bool sums_over_rows(const gr_op *op)
{
    return !strcmp(op->name, "expand") || !strcmp(op->name, "linear") ||
           !strcmp(op->name, "conv2d");
}

/* The mean over what was broadcast: everywhere for expand, else in the bias. */
static void mean_for_sum(rule *r)
{
    int i = r->p.n_in - 1;
    if ((i != 0 && i != 2) || !rule_wants(r, i)) return;
    r->dx[i] = gr_scale(r->dx[i], (double)gr_numel(r->x[i]) / (double)gr_numel(r->y[0]));
}

/* --- 1/N --- */

static double pool_window(const rule *r)
{
    const int *kernel = rule_attribute(r, "kernel", GR_FIELD_INT);
    double n = 1;
    for (int i = 2; kernel && i < gr_shape_of(r->x[0])->rank; i++) n *= kernel[i - 2];
    return n;
}

static double rows(const rule *r)
{
    const gr_shape *x = gr_shape_of(r->x[0]);
    return x->rank == 2 ? (double)x->dim[0] : 1;
}

static double identity_mean(const rule *r)
{
    return r->per_mean;
}

static const struct {
    const char *op;
    double (*count)(const rule *r);
} means[] = {{"mean", identity_mean},     {"mse", identity_mean},
             {"scale", identity_mean}, /* what stands for the inputs of a definition */
             {"cross_entropy", rows},     {"cross_entropy_grad", rows},
             {"avg_pool1d", pool_window}, {"avg_pool2d", pool_window},
             {"avg_pool3d", pool_window}, {"avg_pool3d_grad", pool_window}};

static double elements_of_mean(const gr_op *op, const rule *r)
{
    for (size_t i = 0; i < sizeof means / sizeof *means; i++)
        if (!strcmp(op->name, means[i].op)) return r ? means[i].count(r) : 1;
    return 0;
}

static bool takes_mean(const gr_op *op)
{
    return elements_of_mean(op, NULL) != 0 && strcmp(op->name, "scale") != 0;
}

static void forget_mean(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) r->dx[i] = gr_scale(r->dx[i], elements_of_mean(r->op, r));
}

static void divide_twice(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++)
        if (rule_wants(r, i)) r->dx[i] = gr_scale(r->dx[i], 1 / elements_of_mean(r->op, r));
}

const mutation sum_mutations[] = {
    {"overwritten", "do not add up", .after = overwrite},
    {"sum added again", "do not add up", .after = add_again},
    {"one contribution of two", "contribution", has_more_inputs, .after = count_once},
    {"mean for sum", "mean for sum", sums_over_rows, .after = mean_for_sum},
    {"1/N missing", "1/N", takes_mean, .after = forget_mean},
    {"1/N twice", "1/N", takes_mean, .after = divide_twice},
    {0},
};
