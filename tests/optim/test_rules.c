/* test_rules.c - a rule of the user's own. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/optim.h>
#include <string.h>

enum { N = 4, STEPS = 5 };

static const double a[N] = {0.5, 1, 2, 0.1}, b[N] = {0.1, -0.3, 0.2, 0.4}, w0[N] = {1, -2, 0.5, 3};

/* --- a parameter and its loss --- */

typedef struct problem {
    gr_model *m;
    gr_param *w;
    gr_graph *g;
} problem;

static gr_tensor *no_forward(gr_module *self, gr_tensor *x)
{
    (void)self;
    return x;
}

static void store(gr_param *p, const double values[N])
{
    void *data = gr_param_write(p);
    for (int i = 0; i < N; i++)
        if (gr_param_dtype(p) == GR_F64) ((double *)data)[i] = values[i];
        else ((float *)data)[i] = (float)values[i];
}

static double load(const gr_param *p, int i)
{
    const void *data = gr_param_data(p);
    return gr_param_dtype(p) == GR_F64 ? ((const double *)data)[i]
                                       : (double)((const float *)data)[i];
}

static problem begin(gr_dtype dtype)
{
    problem p = {gr_model_new(), NULL, gr_graph_new()};
    gr_model_dtype(p.m, dtype);
    gr_module *module = gr_module_new(p.m, "point", no_forward, 0);
    p.w = gr_module_param(module, "w", GR_SHAPE(N), (gr_init){0});
    store(p.w, w0);
    return p;
}

static void end(problem *p, gr_optimizer *opt)
{
    gr_optimizer_free(opt);
    gr_graph_free(p->g);
    gr_model_free(p->m);
}

static void descend(problem *p, gr_optimizer *opt)
{
    gr_dtype dtype = gr_param_dtype(p->w);
    gr_graph_reset(p->g);
    gr_tensor *w = gr_use(p->g, p->w);
    gr_tensor *x = gr_cast(gr_from_data(p->g, GR_F64, GR_SHAPE(N), a), dtype);
    gr_tensor *y = gr_cast(gr_from_data(p->g, GR_F64, GR_SHAPE(N), b), dtype);
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_mul(gr_add(gr_mul(x, w), y), w))), GR_OK);
    ck_assert_msg(gr_step(opt) == GR_OK, "%s", gr_last_error());
}

/* --- a rule of the user --- */

typedef struct sign_options {
    double scale;
} sign_options;

/* w -= lr scale sign(g), and a state that counts. */
static void sign_f64(const gr_update *u)
{
    const sign_options *o = u->options;
    const double *g = u->g;
    double *w = u->w, *count = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        w[i] -= u->lr * o->scale * (double)((g[i] > 0) - (g[i] < 0));
        count[i]++;
        ck_assert_double_eq(count[i], (double)u->step);
    }
}

static gr_optimizer *make_sign(gr_model *m)
{
    const gr_rule rule = {.name = "sign",
                          .formula = "w -= lr scale sign(g)",
                          .n_states = 1,
                          .options_size = sizeof(sign_options),
                          .tile = {[GR_F64] = sign_f64}};
    return gr_optimizer_new(m, &rule, 0.1, &(const sign_options){2});
}

START_TEST(a_rule_of_ones_own_runs)
{
    static const double expected[N] = {0, -1, -0.1, 2};
    problem p = begin(GR_F64);
    gr_optimizer *opt = make_sign(p.m);
    for (int i = 0; i < STEPS; i++) descend(&p, opt);
    for (int i = 0; i < N; i++) ck_assert_double_eq_tol(load(p.w, i), expected[i], 1e-13);
    ck_assert_int_eq(gr_optimizer_steps(opt), STEPS);
    end(&p, opt);
}
END_TEST

START_TEST(a_rule_that_does_not_know_the_dtype_says_so)
{
    problem p = begin(GR_F32);
    gr_optimizer *opt = make_sign(p.m);
    gr_tensor *w = gr_use(p.g, p.w);
    gr_backward(gr_sum_all(w));
    ck_assert_int_eq(gr_step(opt), GR_ERR_ARGUMENT);
    ck_assert_str_eq(gr_last_error(), "sign: no rule for float32, which parameter 'w' is");
    end(&p, opt);
}
END_TEST

SUITE("rules", NULL, NULL, a_rule_of_ones_own_runs, a_rule_that_does_not_know_the_dtype_says_so)
