/* expressions.c - ops by their samples, and random expressions of two inputs. */
/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <gradus/ops.h>

/* --- ops by their samples --- */

static void check_op(trial *t)
{
    const gr_op *op = gr_op_at((int)(t->seed % (uint64_t)gr_op_count()));
    if (!op->samples) op = gr_op_find("maximum"); /* for leaf and fill */
    gr_gradcheck_op(op, t->options, &t->report);
}

/* --- expressions --- */

static gr_tensor *slope_leaky(gr_tensor *x)
{
    return gr_leaky_relu(x, 0.1);
}

static gr_tensor *smooth_log(gr_tensor *x)
{
    return gr_log(gr_shift(gr_square(x), 0.5));
}

static gr_tensor *smooth_root(gr_tensor *x)
{
    return gr_sqrt(gr_shift(gr_square(x), 0.5));
}

static gr_tensor *bounded_exp(gr_tensor *x)
{
    return gr_exp(gr_tanh(x));
}

static gr_tensor *smaller(gr_tensor *a, gr_tensor *b)
{
    return gr_where(gr_less(a, b), gr_scale(a, 2), gr_sub(b, a));
}

static gr_tensor *quotient(gr_tensor *a, gr_tensor *b)
{
    return gr_div(a, gr_shift(gr_square(b), 0.5));
}

/* Two inputs whose shapes broadcast; six random steps. */
static gr_tensor *expression(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    static gr_tensor *(*const unary[])(
        gr_tensor *) = {gr_tanh,     gr_sin,  gr_cos,     gr_sigmoid,  gr_softplus,
                        gr_gelu,     gr_relu, gr_abs,     slope_leaky, smooth_log,
                        smooth_root, gr_erf,  bounded_exp};
    static gr_tensor *(*const binary[])(gr_tensor *,
                                        gr_tensor *) = {gr_add,     gr_sub,  gr_mul,  gr_maximum,
                                                        gr_minimum, smaller, quotient};
    trial *t = user;
    gr_tensor *a = x[0], *b = x[1];
    (void)g, (void)n;
    t->drawn = 1000000; /* the same steps at every recording */
    for (int step = 0; step < 3; step++) {
        a = unary[trial_pick(t, 0, 12)](a);
        b = unary[trial_pick(t, 0, 12)](b);
        gr_tensor *both = binary[trial_pick(t, 0, 6)](a, b);
        b = a;
        a = both;
    }
    return gr_mul(a, gr_sin(b));
}

static void check_expression(trial *t)
{
    int64_t m = trial_pick(t, 1, 6), k = trial_pick(t, 1, 8);
    int64_t form = trial_pick(t, 0, 3);
    trial_floats(t, GR_SHAPE(m, k), -1.5, 1.5);
    if (form == 0) trial_floats(t, GR_SHAPE(m, k), -1.5, 1.5);
    if (form == 1) trial_floats(t, GR_SHAPE(k), -1.5, 1.5);
    if (form == 2) trial_floats(t, GR_SHAPE(m, 1), -1.5, 1.5);
    if (form == 3) trial_floats(t, GR_SHAPE(2, m, k), -1.5, 1.5);
    trial_check(t, expression);
}

const subject expression_subjects[] = {
    {"ops", 360, check_op, 2},
    {"expressions", 150, check_expression, 0},
    {0},
};
