/* test_rules.c - the rules of the optimizers against PyTorch's.
 *
 * The numbers are those of PyTorch 1.13 in float64: five steps down sum(a w^2 + b w) from w0, with
 *
 *   torch.optim.SGD([w], lr=..., momentum=..., weight_decay=..., nesterov=...)
 *   torch.optim.Adam([w], lr=..., betas=..., eps=..., weight_decay=...)
 */
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

static void expect(gr_dtype dtype, gr_optimizer *(*make)(gr_model *), const double expected[N])
{
    problem p = begin(dtype);
    gr_optimizer *opt = make(p.m);
    for (int i = 0; i < STEPS; i++) descend(&p, opt);
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(load(p.w, i), expected[i], dtype == GR_F64 ? 1e-13 : 2e-6);
    ck_assert_int_eq(gr_optimizer_steps(opt), STEPS);
    end(&p, opt);
}

/* --- against PyTorch --- */

#define TRAJECTORY(name, make, ...)                      \
    static gr_optimizer *make_##name(gr_model *m)        \
    {                                                    \
        return make;                                     \
    }                                                    \
    START_TEST(name##_follows_pytorch)                   \
    {                                                    \
        static const double expected[N] = {__VA_ARGS__}; \
        expect(GR_F64, make_##name, expected);           \
        expect(GR_F32, make_##name, expected);           \
    }                                                    \
    END_TEST

TRAJECTORY(sgd, gr_sgd(m, (gr_sgd_options){.lr = 0.1}), 0.54953900000000011, -0.554512,
           -0.0072320000000000136, 2.5196039839999997)
TRAJECTORY(sgd_with_decay, gr_sgd(m, (gr_sgd_options){.lr = 0.1, .weight_decay = 0.2}),
           0.48837624320000006, -0.48044179679999993, -0.011675700800000017, 2.2614907903999999)
TRAJECTORY(momentum, gr_sgd(m, (gr_sgd_options){.lr = 0.1, .momentum = 0.9}), -0.132076,
           1.3979030000000001, -0.45095000000000002, 1.7465824639999998)
TRAJECTORY(momentum_with_decay,
           gr_sgd(m, (gr_sgd_options){.lr = 0.05, .momentum = 0.5, .weight_decay = 0.2}),
           0.54506493759999997, -0.54239383865000013, -0.055894798150000015, 2.3844444671999998)
TRAJECTORY(
    nesterov,
    gr_sgd(m, (gr_sgd_options){.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true}),
    0.19626731241390283, 0.43183784396558939, -0.2784836286689259, 1.9712108039762797)
TRAJECTORY(adam, gr_adam(m, (gr_adam_options){.lr = 0.1}), 0.50686370896508226, -1.5026918103983673,
           0.022958814325458085, 2.5009829523915084)
TRAJECTORY(adam_with_all_options,
           gr_adam(m,
                   (gr_adam_options){
                       .lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1}),
           0.75220084891215044, -1.7509675001522496, 0.2549984749716655, 2.7506205197859996)

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
    expect(GR_F64, make_sign, expected);
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

SUITE("rules", NULL, NULL, sgd_follows_pytorch, sgd_with_decay_follows_pytorch,
      momentum_follows_pytorch, momentum_with_decay_follows_pytorch, nesterov_follows_pytorch,
      adam_follows_pytorch, adam_with_all_options_follows_pytorch, a_rule_of_ones_own_runs,
      a_rule_that_does_not_know_the_dtype_says_so)
