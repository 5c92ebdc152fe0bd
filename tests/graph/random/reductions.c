/* reductions.c - random steps that sum up. */
/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <math.h>

/* --- n variables to one --- */

static int sum_of(const int *x, int n)
{
    int y = n ? x[0] : variable(0);
    for (int i = 1; i < n; i++) y = s_add(y, x[i]);
    return y;
}

static int mean_of(const int *x, int n)
{
    return s_scale(sum_of(x, n), 1.0 / n);
}

static int product_of(const int *x, int n)
{
    int y = n ? x[0] : variable(1);
    for (int i = 1; i < n; i++) y = s_mul(y, x[i]);
    return y;
}

static int exp_of(int x)
{
    double y = exp(variable_value(x));
    return unary(y, x, y);
}

static int log_sum_exp_of(const int *x, int n)
{
    int y = variable(0);
    for (int i = 0; i < n; i++) y = s_add(y, exp_of(x[i]));
    return unary(log(variable_value(y)), y, 1 / variable_value(y));
}

static int variance_of(const int *x, int n)
{
    int mean = mean_of(x, n), y = variable(0);
    for (int i = 0; i < n; i++) {
        int d = s_add(x[i], s_scale(mean, -1));
        y = s_add(y, s_mul(d, d));
    }
    return s_scale(y, 1.0 / n);
}

static int most_of(const int *x, int n)
{
    return s_max(x, n, 1);
}
static int least_of(const int *x, int n)
{
    return s_max(x, n, -1);
}

static gr_tensor *t_variance(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr_var(x, axes, keepdim, 0);
}

static const struct reduction {
    const char *name;
    gr_tensor *(*record)(gr_tensor *x, gr_axes axes, bool keepdim);
    int (*f)(const int *x, int n);
    bool of_nothing; /* defined for no elements */
} reductions[] = {
    {"sum", gr_sum, sum_of, true},           {"mean", gr_mean, mean_of, false},
    {"prod", gr_prod, product_of, true},     {"max", gr_max, most_of, false},
    {"min", gr_min, least_of, false},        {"logsumexp", gr_logsumexp, log_sum_exp_of, false},
    {"var", t_variance, variance_of, false},
};

/* The variables of x that share the kept part of `index`; returns how many. */
static int gather_group(const array *x, const bool *reduced, const int64_t *index, int *group)
{
    int64_t own[RANK] = {0};
    int n = 0;
    for (int64_t i = 0; i < array_numel(x); i++, advance_index(x->rank, x->dim, own)) {
        bool same = true;
        for (int k = 0; k < x->rank; k++) same &= reduced[k] || own[k] == index[k];
        if (same) group[n++] = x->at[i];
    }
    return n;
}

static void step_reduce(program *p)
{
    const struct reduction *f = &reductions[draw(p, sizeof reductions / sizeof *reductions)];
    const value *x = draw_value(p);
    const bool keepdim = draw(p, 2);
    bool reduced[RANK] = {false};
    int64_t full[RANK], dim[RANK], index[RANK] = {0}, count = 1;
    int rank = 0, group[MOST_ELEMENTS];
    gr_axes axes = {0, {0}};
    if (x->a.rank == 0 || array_numel(&x->a) > 200) return;
    for (int i = 0; i < x->a.rank; i++)
        if ((reduced[i] = draw(p, 2))) axes.axis[axes.n++] = i;
    if (axes.n == 0) reduced[axes.axis[axes.n++] = 0] = true;
    for (int i = 0; i < x->a.rank; i++) {
        full[i] = reduced[i] ? 1 : x->a.dim[i];
        if (reduced[i]) count *= x->a.dim[i];
        if (keepdim || !reduced[i]) dim[rank++] = full[i];
    }
    if (count == 0 && !f->of_nothing) return;
    array y = array_new(rank, dim);
    for (int64_t i = 0; i < array_numel(&y); i++, advance_index(x->a.rank, full, index))
        y.at[i] = f->f(group, gather_group(&x->a, reduced, index, group));
    keep(p, f->name, f->record(x->t, axes, keepdim), y);
}

/* --- along an axis --- */

/* Calls f for each line of x along the axis; y has the shape of x. */
static array along(const array *x, int64_t axis, void (*f)(const int *x, int n, int *y))
{
    bool line[RANK] = {false};
    int64_t full[RANK], index[RANK] = {0}, own[RANK];
    int in[MOST_ELEMENTS], out[MOST_ELEMENTS];
    array y = array_new(x->rank, x->dim);
    line[axis] = true;
    int64_t lines = 1;
    for (int i = 0; i < x->rank; i++) lines *= full[i] = i == axis ? 1 : x->dim[i];
    for (int64_t i = 0; i < lines && x->dim[axis]; i++, advance_index(x->rank, full, index)) {
        f(in, gather_group(x, line, index, in), out);
        for (int k = 0; k < x->rank; k++) own[k] = index[k];
        for (own[axis] = 0; own[axis] < x->dim[axis]; own[axis]++)
            y.at[offset_of(&y, own)] = out[own[axis]];
    }
    return y;
}

static void softmax_of(const int *x, int n, int *y)
{
    int total = variable(0);
    for (int i = 0; i < n; i++) total = s_add(total, y[i] = exp_of(x[i]));
    double s = variable_value(total);
    for (int i = 0; i < n; i++) {
        double e = variable_value(y[i]);
        y[i] = binary(e / s, y[i], 1 / s, total, -e / (s * s));
    }
}

static void log_softmax_of(const int *x, int n, int *y)
{
    int norm = log_sum_exp_of(x, n);
    for (int i = 0; i < n; i++)
        y[i] = binary(variable_value(x[i]) - variable_value(norm), x[i], 1, norm, -1);
}

static void running_sum_of(const int *x, int n, int *y)
{
    for (int i = 0; i < n; i++) y[i] = i ? s_add(y[i - 1], x[i]) : s_scale(x[0], 1);
}

static gr_tensor *t_running_sum(gr_tensor *x, int axis)
{
    return gr_cumsum(x, axis, (gr_scan_options){0});
}

static const struct line {
    const char *name;
    gr_tensor *(*record)(gr_tensor *x, int axis);
    void (*f)(const int *x, int n, int *y);
} lines[] = {
    {"softmax", gr_softmax, softmax_of},
    {"log_softmax", gr_log_softmax, log_softmax_of},
    {"cumsum", t_running_sum, running_sum_of},
};

static void step_line(program *p)
{
    const struct line *f = &lines[draw(p, sizeof lines / sizeof *lines)];
    const value *x = draw_value(p);
    if (x->a.rank == 0 || array_numel(&x->a) > 200) return;
    int64_t axis = draw(p, x->a.rank);
    keep(p, f->name, f->record(x->t, (int)axis), along(&x->a, axis, f->f));
}

/* --- matrix products --- */

static void step_matmul(program *p)
{
    const value *x = draw_value(p);
    const int rank = x->a.rank;
    if (rank < 2 || array_numel(&x->a) > 200) return;
    const int64_t m = x->a.dim[rank - 2], k = x->a.dim[rank - 1], n = draw(p, 4);
    value w = add_leaf(p, 2, (const int64_t[]){k, n});
    int64_t dim[RANK], batches = 1;
    for (int i = 0; i < rank - 2; i++) batches *= dim[i] = x->a.dim[i];
    dim[rank - 2] = m;
    dim[rank - 1] = n;
    array y = array_new(rank, dim);
    for (int64_t r = 0; r < batches * m; r++)
        for (int64_t c = 0; c < n; c++) {
            int sum = variable(0);
            for (int64_t i = 0; i < k; i++)
                sum = s_add(sum, s_mul(x->a.at[r * k + i], w.a.at[i * n + c]));
            y.at[r * n + c] = sum;
        }
    keep(p, "matmul", gr_matmul(x->t, w.t), y);
}

step_fn *const reduction_steps[] = {step_reduce, step_reduce, step_line, step_matmul, NULL};
