/* test_reference.c - every optimizer, with every option, against PyTorch's.
 *
 * The numbers, and the losses again in Python, are in reference.py, which wrote trajectories.h.
 */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/optim.h>
#include <math.h>
#include <string.h>

#include "trajectories.h"

enum { STEPS = 20 };
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* --- a model of two parameters, and its losses --- */

typedef struct problem {
    gr_model *m;
    gr_param *w, *v;
    gr_graph *g;
    gr_tensor *(*loss)(struct problem *p, gr_tensor *w, gr_tensor *v);
} problem;

static gr_tensor *pair(gr_tensor *like, double a, double b)
{
    gr_graph *g = gr_graph_of(like);
    return gr_cast(gr_from_data(g, GR_F64, GR_SHAPE(2), (const double[]){a, b}), gr_dtype_of(like));
}

static gr_tensor *valley(problem *p, gr_tensor *w, gr_tensor *v)
{
    gr_tensor *quadratic = gr_mul(pair(w, 0.5, 1), gr_square(w));
    gr_tensor *linear = gr_mul(pair(w, 0.1, -0.3), w);
    gr_tensor *waves = gr_scale(gr_sin(gr_scale(w, 3)), 0.2);
    gr_tensor *joint = gr_scale(gr_mul(gr_sum_all(w), gr_sum_all(v)), 0.3);
    (void)p;
    return gr_add(gr_add(gr_sum_all(gr_add(gr_add(quadratic, linear), waves)), joint),
                  gr_scale(gr_sum_all(gr_square(v)), 0.4));
}

static gr_tensor *banana(problem *p, gr_tensor *w, gr_tensor *v)
{
    gr_tensor *x = gr_sum_all(gr_mul(pair(w, 1, 0), w)), *y = gr_sum_all(gr_mul(pair(w, 0, 1), w));
    gr_tensor *one = gr_ones(p->g, gr_dtype_of(w), GR_SCALAR);
    return gr_add(gr_add(gr_square(gr_sub(one, x)),
                         gr_scale(gr_square(gr_sub(y, gr_square(x))), 20)),
                  gr_square(gr_sub(gr_sum_all(v), y)));
}

static gr_tensor *no_forward(gr_module *self, gr_tensor *x)
{
    (void)self;
    return x;
}

static void store(gr_param *p, int i, double value)
{
    void *data = gr_param_write(p);
    if (gr_param_dtype(p) == GR_F64) ((double *)data)[i] = value;
    else ((float *)data)[i] = (float)value;
}

static double load(const gr_param *p, int i)
{
    const void *data = gr_param_data(p);
    return gr_param_dtype(p) == GR_F64 ? ((const double *)data)[i]
                                       : (double)((const float *)data)[i];
}

static problem begin(gr_dtype dtype)
{
    problem p = {.m = gr_model_new(), .g = gr_graph_new()};
    gr_model_dtype(p.m, dtype);
    gr_module *module = gr_module_new(p.m, "point", no_forward, 0);
    p.w = gr_module_param(module, "w", GR_SHAPE(2), (gr_init){0});
    p.v = gr_module_param(module, "v", GR_SHAPE(1), (gr_init){0});
    store(p.w, 0, 1);
    store(p.w, 1, -2);
    store(p.v, 0, 0.5);
    return p;
}

static void end(problem *p, gr_optimizer *opt)
{
    gr_optimizer_free(opt);
    gr_graph_free(p->g);
    gr_model_free(p->m);
}

static gr_status closure(void *user, double *loss)
{
    problem *p = user;
    gr_graph_reset(p->g);
    gr_tensor *y = p->loss(p, gr_use(p->g, p->w), gr_use(p->g, p->v));
    gr_status status = gr_backward(y);
    *loss = gr_item(y);
    return status;
}

/* --- optimizers by their options --- */

static gr_optimizer *make_sgd(gr_model *m, const void *o)
{
    return gr_sgd(m, *(const gr_sgd_options *)o);
}

static gr_optimizer *make_adagrad(gr_model *m, const void *o)
{
    return gr_adagrad(m, *(const gr_adagrad_options *)o);
}

static gr_optimizer *make_adadelta(gr_model *m, const void *o)
{
    return gr_adadelta(m, *(const gr_adadelta_options *)o);
}

static gr_optimizer *make_rmsprop(gr_model *m, const void *o)
{
    return gr_rmsprop(m, *(const gr_rmsprop_options *)o);
}

static gr_optimizer *make_adam(gr_model *m, const void *o)
{
    return gr_adam(m, *(const gr_adam_options *)o);
}

static gr_optimizer *make_adamw(gr_model *m, const void *o)
{
    return gr_adamw(m, *(const gr_adam_options *)o);
}

static gr_optimizer *make_adamax(gr_model *m, const void *o)
{
    return gr_adamax(m, *(const gr_adamax_options *)o);
}

static gr_optimizer *make_nadam(gr_model *m, const void *o)
{
    return gr_nadam(m, *(const gr_nadam_options *)o);
}

static gr_optimizer *make_radam(gr_model *m, const void *o)
{
    return gr_radam(m, *(const gr_radam_options *)o);
}

static gr_optimizer *make_rprop(gr_model *m, const void *o)
{
    return gr_rprop(m, *(const gr_rprop_options *)o);
}

static gr_optimizer *make_lion(gr_model *m, const void *o)
{
    return gr_lion(m, *(const gr_lion_options *)o);
}

static gr_optimizer *make_lbfgs(gr_model *m, const void *o)
{
    return gr_lbfgs(m, *(const gr_lbfgs_options *)o);
}

/* --- what is asked besides the rule --- */

static gr_status clip_norm(gr_optimizer *opt)
{
    return gr_optimizer_clip_norm(opt, 0.8);
}

static gr_status clip_value(gr_optimizer *opt)
{
    return gr_optimizer_group(opt, NULL, (gr_param_group){.clip_value = 0.4});
}

static gr_status add_l1(gr_optimizer *opt)
{
    return gr_optimizer_group(opt, NULL, (gr_param_group){.l1 = 0.1});
}

static gr_status two_groups(gr_optimizer *opt)
{
    gr_param_group o = gr_optimizer_settings(opt);
    o.lr = 0.1;
    o.momentum = 0.5;
    o.weight_decay = 0.2;
    return gr_optimizer_group(opt, "v", o);
}

static gr_status non_negative(gr_optimizer *opt)
{
    return gr_optimizer_group(opt, "*", (gr_param_group){.non_negative = true});
}

static gr_status unit_norm(gr_optimizer *opt)
{
    return gr_optimizer_group(opt, NULL, (gr_param_group){.unit_norm = true});
}

static gr_status max_norm(gr_optimizer *opt)
{
    gr_param_group o = gr_optimizer_settings(opt);
    o.max_norm = 1.2;
    return gr_optimizer_group(opt, NULL, o);
}

static gr_status cycle_sgd(gr_optimizer *opt)
{
    return gr_optimizer_schedule(opt,
                                 gr_one_cycle_with((gr_one_cycle_options){.total_steps = STEPS + 1,
                                                                          .base_momentum = 0.85,
                                                                          .max_momentum = 0.95}));
}

static gr_status cycle_adam(gr_optimizer *opt)
{
    return gr_optimizer_schedule(opt,
                                 gr_one_cycle_with((gr_one_cycle_options){.total_steps = STEPS + 1,
                                                                          .base_momentum = 0.7,
                                                                          .max_momentum = 0.95}));
}

/* --- the trials --- */

#define SGD(...)                                         \
    .make = make_sgd, .options = &(const gr_sgd_options) \
    {                                                    \
        __VA_ARGS__                                      \
    }
#define ADAGRAD(...)                                             \
    .make = make_adagrad, .options = &(const gr_adagrad_options) \
    {                                                            \
        __VA_ARGS__                                              \
    }
#define ADADELTA(...)                                              \
    .make = make_adadelta, .options = &(const gr_adadelta_options) \
    {                                                              \
        __VA_ARGS__                                                \
    }
#define RMSPROP(...)                                             \
    .make = make_rmsprop, .options = &(const gr_rmsprop_options) \
    {                                                            \
        __VA_ARGS__                                              \
    }
#define ADAM(...)                                          \
    .make = make_adam, .options = &(const gr_adam_options) \
    {                                                      \
        __VA_ARGS__                                        \
    }
#define ADAMW(...)                                          \
    .make = make_adamw, .options = &(const gr_adam_options) \
    {                                                       \
        __VA_ARGS__                                         \
    }
#define ADAMAX(...)                                            \
    .make = make_adamax, .options = &(const gr_adamax_options) \
    {                                                          \
        __VA_ARGS__                                            \
    }
#define NADAM(...)                                           \
    .make = make_nadam, .options = &(const gr_nadam_options) \
    {                                                        \
        __VA_ARGS__                                          \
    }
#define RADAM(...)                                           \
    .make = make_radam, .options = &(const gr_radam_options) \
    {                                                        \
        __VA_ARGS__                                          \
    }
#define RPROP(...)                                           \
    .make = make_rprop, .options = &(const gr_rprop_options) \
    {                                                        \
        __VA_ARGS__                                          \
    }
#define LION(...)                                          \
    .make = make_lion, .options = &(const gr_lion_options) \
    {                                                      \
        __VA_ARGS__                                        \
    }
#define LBFGS(...)                                           \
    .make = make_lbfgs, .options = &(const gr_lbfgs_options) \
    {                                                        \
        __VA_ARGS__                                          \
    }

static const struct trial {
    const char *name;
    gr_optimizer *(*make)(gr_model *m, const void *options);
    const void *options;
    gr_status (*arrange)(gr_optimizer *opt);
    gr_tensor *(*loss)(problem *p, gr_tensor *w, gr_tensor *v); /* NULL: valley */
} trials[] = {
    {.name = "sgd", SGD(.lr = 0.05)},
    {.name = "sgd, weight decay", SGD(.lr = 0.05, .weight_decay = 0.2)},
    {.name = "sgd, maximize", SGD(.lr = 0.02, .maximize = true)},
    {.name = "sgd, momentum", SGD(.lr = 0.05, .momentum = 0.9)},
    {.name = "sgd, dampening",
     SGD(.lr = 0.05, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.1)},
    {.name = "sgd, nesterov",
     SGD(.lr = 0.05, .momentum = 0.8, .nesterov = true, .weight_decay = 0.1)},
    {.name = "sgd, nesterov, maximize",
     SGD(.lr = 0.005, .momentum = 0.8, .nesterov = true, .maximize = true)},
    {.name = "adagrad", ADAGRAD(.lr = 0)},
    {.name = "adagrad, all",
     ADAGRAD(.lr = 0.3, .lr_decay = 0.1, .weight_decay = 0.1, .initial_accumulator = 0.5,
             .eps = 1e-3)},
    {.name = "adagrad, maximize", ADAGRAD(.lr = 0.1, .maximize = true)},
    {.name = "adadelta", ADADELTA(.lr = 0)},
    {.name = "adadelta, all", ADADELTA(.lr = 2, .rho = 0.7, .eps = 1e-3, .weight_decay = 0.1)},
    {.name = "adadelta, maximize", ADADELTA(.maximize = true)},
    {.name = "rmsprop", RMSPROP(.lr = 0)},
    {.name = "rmsprop, centered", RMSPROP(.lr = 0.02, .alpha = 0.9, .centered = true)},
    {.name = "rmsprop, momentum", RMSPROP(.lr = 0.01, .momentum = 0.5)},
    {.name = "rmsprop, all",
     RMSPROP(.lr = 0.02, .alpha = 0.8, .eps = 1e-3, .weight_decay = 0.1, .momentum = 0.7,
             .centered = true)},
    {.name = "rmsprop, maximize", RMSPROP(.maximize = true)},
    {.name = "adam", ADAM(.lr = 0)},
    {.name = "adam, all",
     ADAM(.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1)},
    {.name = "adam, amsgrad", ADAM(.lr = 0.3, .beta2 = 0.7, .amsgrad = true, .weight_decay = 0.1)},
    {.name = "adam, maximize", ADAM(.lr = 0.1, .maximize = true)},
    {.name = "adamw", ADAMW(.lr = 0)},
    {.name = "adamw, all",
     ADAMW(.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.3)},
    {.name = "adamw, amsgrad, maximize",
     ADAMW(.lr = 0.1, .beta2 = 0.7, .weight_decay = 0.2, .amsgrad = true, .maximize = true)},
    {.name = "adamax", ADAMAX(.lr = 0)},
    {.name = "adamax, all",
     ADAMAX(.lr = 0.2, .beta1 = 0.8, .beta2 = 0.6, .eps = 1e-3, .weight_decay = 0.1)},
    {.name = "adamax, maximize", ADAMAX(.lr = 0.1, .maximize = true)},
    {.name = "nadam", NADAM(.lr = 0)},
    {.name = "nadam, all",
     NADAM(.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1,
           .momentum_decay = 0.05)},
    {.name = "nadam, maximize", NADAM(.lr = 0.1, .maximize = true)},
    {.name = "radam", RADAM(.lr = 0)},
    {.name = "radam, all",
     RADAM(.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1)},
    {.name = "radam, maximize", RADAM(.lr = 0.1, .maximize = true)},
    {.name = "rprop", RPROP(.lr = 0)},
    {.name = "rprop, all",
     RPROP(.lr = 0.2, .eta_minus = 0.4, .eta_plus = 1.5, .step_min = 0.05, .step_max = 0.6)},
    {.name = "rprop, maximize", RPROP(.maximize = true)},
    {.name = "lion", LION(.lr = 0)},
    {.name = "lion, all", LION(.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.1)},
    {.name = "lion, maximize", LION(.lr = 0.05, .maximize = true)},
    {.name = "lbfgs", LBFGS(.lr = 0.5, .max_iter = 2)},
    {.name = "lbfgs, defaults", LBFGS(.lr = 0)},
    {.name = "lbfgs, short history",
     LBFGS(.lr = 0.3, .max_iter = 1, .max_eval = 7, .history_size = 2)},
    {.name = "lbfgs, tolerances",
     LBFGS(.lr = 0.3, .max_iter = 2, .tolerance_grad = 1e-2, .tolerance_change = 1e-3)},
    {.name = "lbfgs, few evaluations",
     LBFGS(.max_iter = 9, .max_eval = 3, .strong_wolfe = true),
     .loss = banana},
    {.name = "lbfgs, strong wolfe", LBFGS(.max_iter = 1, .strong_wolfe = true), .loss = banana},
    {.name = "lbfgs, strong wolfe, all",
     LBFGS(.lr = 5, .max_iter = 2, .history_size = 3, .strong_wolfe = true),
     .loss = banana},
    {.name = "clip by norm", SGD(.lr = 0.1, .momentum = 0.5), .arrange = clip_norm},
    {.name = "clip by value", ADAM(.lr = 0.1), .arrange = clip_value},
    {.name = "l1", SGD(.lr = 0.05), .arrange = add_l1},
    {.name = "groups",
     SGD(.lr = 0.03, .momentum = 0.9, .weight_decay = 0.01),
     .arrange = two_groups},
    {.name = "non-negative", ADAM(.lr = 0.2), .arrange = non_negative},
    {.name = "unit norm", SGD(.lr = 0.1, .momentum = 0.9), .arrange = unit_norm},
    {.name = "max norm", SGD(.lr = 0.02, .maximize = true), .arrange = max_norm},
    {.name = "one cycle, sgd", SGD(.lr = 0.1, .momentum = 0.9), .arrange = cycle_sgd},
    {.name = "one cycle, adam", ADAM(.lr = 0.1), .arrange = cycle_adam},
};

/* --- optimizers --- */

static void expect_weights(const problem *p, const char *name, int step, const double expected[3],
                           double tolerance)
{
    for (int i = 0; i < 3; i++) {
        double got = i < 2 ? load(p->w, i) : load(p->v, 0);
        ck_assert_msg(fabs(got - expected[i]) <= tolerance,
                      "%s: weight %d after step %d: expected %.15g, got %.15g", name, i, step + 1,
                      expected[i], got);
    }
}

static void follow(const struct trial *t, const double expected[STEPS][3], gr_dtype dtype,
                   double tolerance)
{
    problem p = begin(dtype);
    p.loss = t->loss ? t->loss : valley;
    gr_optimizer *opt = t->make(p.m, t->options);
    ck_assert_msg(!gr_optimizer_error(opt), "%s: %s", t->name, gr_optimizer_error(opt));
    if (t->arrange) ck_assert_msg(t->arrange(opt) == GR_OK, "%s: %s", t->name, gr_last_error());
    for (int i = 0; i < STEPS; i++) {
        ck_assert_msg(gr_step_closure(opt, closure, &p, NULL) == GR_OK, "%s: %s", t->name,
                      gr_last_error());
        expect_weights(&p, t->name, i, expected[i], tolerance);
    }
    ck_assert_int_eq(gr_optimizer_steps(opt), STEPS);
    end(&p, opt);
}

START_TEST(optimizers_follow_pytorch_in_float64)
{
    ck_assert_int_eq(COUNT(trials), COUNT(trajectories));
    for (int i = 0; i < COUNT(trials); i++) {
        ck_assert_str_eq(trials[i].name, trajectories[i].name);
        follow(&trials[i], trajectories[i].weights, GR_F64, 1e-10);
    }
}
END_TEST

/* LBFGS in a bent valley magnifies what is rounded: that is left out. */
START_TEST(optimizers_follow_pytorch_in_float32)
{
    for (int i = 0; i < COUNT(trials); i++)
        if (!trials[i].loss) follow(&trials[i], trajectories[i].weights, GR_F32, 1e-4);
}
END_TEST

SUITE("reference", NULL, NULL, optimizers_follow_pytorch_in_float64,
      optimizers_follow_pytorch_in_float32)
