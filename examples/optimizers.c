/* optimizers.c - a rule of one's own, groups, schedules, averages, LBFGS, and going on from files. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>

/* [rule] */
/* m = beta m + (1 - beta) g, w -= lr sign(m): signSGD with momentum, Bernstein et al. 2018 */
static void signum_f32(const gr_update *u)
{
    const float lr = (float)u->lr, beta = (float)u->momentum;
    const float *g = u->g;
    float *w = u->w, *m = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = beta * m[i] + (1 - beta) * g[i];
        w[i] -= lr * (float)((m[i] > 0) - (m[i] < 0));
    }
}

static gr_optimizer *signum(gr_model *m, double lr, double beta)
{
    const gr_rule rule = {.name = "signum",
                          .formula = "m = beta m + (1-beta) g, w -= lr sign(m)",
                          .n_states = 1,
                          .state_names = {"momentum"},
                          .momentum = beta,
                          .tile = {[GR_F32] = signum_f32}};
    return gr_optimizer_new(m, &rule, lr, NULL);
}
/* [end] */

enum { POINTS = 64, STEPS = 400 };

/* A network that learns sin on [-3, 3]. */
typedef struct task {
    gr_model *m;
    gr_module *net;
    gr_graph *g;
    float x[POINTS], y[POINTS];
} task;

static task begin(void)
{
    task t = {.m = gr_model_new(), .g = gr_graph_new()};
    t.net = gr_sequential(t.m, GR_LIST(gr_linear_layer(t.m, 1, 16), gr_tanh_layer(t.m),
                                       gr_linear_layer(t.m, 16, 1)));
    for (int i = 0; i < POINTS; i++) {
        t.x[i] = -3 + 6 * (float)i / (POINTS - 1);
        t.y[i] = sinf(t.x[i]);
    }
    return t;
}

static void end(task *t, gr_optimizer *opt)
{
    gr_optimizer_free(opt);
    gr_graph_free(t->g);
    gr_model_free(t->m);
}

static gr_tensor *loss_of(task *t)
{
    gr_graph_reset(t->g);
    gr_tensor *x = gr_from_data(t->g, GR_F32, GR_SHAPE(POINTS, 1), t->x);
    gr_tensor *y = gr_from_data(t->g, GR_F32, GR_SHAPE(POINTS, 1), t->y);
    return gr_mse(gr_forward(t->net, x), y);
}

static double report(task *t, const char *what)
{
    double loss = gr_item(loss_of(t));
    printf("%-28s loss %.2e\n", what, loss);
    return loss;
}

/* --- a rule of one's own, with a schedule --- */

static double own_rule(void)
{
    task t = begin();
    gr_optimizer *opt = signum(t.m, 0.01, 0.9);
    gr_optimizer_schedule(opt, gr_polynomial_schedule(STEPS, 1));
    /* [early] */
    for (int i = 0; i < STEPS; i++)
        if (gr_backward_step(opt, loss_of(&t))) break;
    /* [end] */
    double loss = report(&t, "signum, rate falls to 0");
    end(&t, opt);
    return loss;
}

/* --- decay for the weights alone, clipping, warm-up, averages --- */

static double groups(void)
{
    task t = begin();
    /* [groups] */
    gr_optimizer *opt = gr_adamw(t.m, (gr_adam_options){.lr = 0.02, .weight_decay = 1e-3});
    gr_optimizer_group(opt, "*.bias", (gr_param_group){0}); /* no decay */
    gr_optimizer_clip_norm(opt, 1);

    const gr_schedule parts[] = {gr_warmup(20, 0.1), gr_cosine_schedule(STEPS - 20, 0)};
    gr_optimizer_schedule(opt, gr_sequence(parts, (const int64_t[]){20, STEPS - 20}, 2));

    gr_ema *ema = gr_ema_new(t.m, (gr_ema_options){.decay = 0.98});
    for (int i = 0; i < STEPS; i++)
        if (gr_backward(loss_of(&t)) || gr_step(opt) || gr_ema_update(ema)) break;

    gr_ema_swap(ema); /* the averages are in the model */
    double loss = report(&t, "adamw, averaged weights");
    gr_ema_swap(ema); /* its own weights again */
    /* [end] */
    gr_ema_free(ema);
    end(&t, opt);
    return loss;
}

/* --- an update without an optimizer, a gradient at a time --- */

/* [each] */
/* w -= rate g */
static gr_status descend(void *rate, gr_param *p)
{
    const float *g = gr_param_grad(p), step = *(const float *)rate;
    float *w = gr_param_write(p);
    for (int64_t i = 0; i < gr_shape_numel(gr_param_shape(p)); i++) w[i] -= step * g[i];
    gr_param_clear_grad(p);
    return GR_OK;
}

static gr_status update(gr_model *m, gr_tensor *loss, float rate)
{
    gr_status status = gr_backward_each(loss, descend, &rate); /* large parameters, on the way */
    for (int i = 0; !status && i < gr_model_params(m); i++)    /* all others */
        if (gr_param_grad(gr_model_param(m, i))) status = descend(&rate, gr_model_param(m, i));
    return status;
}
/* [end] */

static double by_hand(void)
{
    task t = begin();
    for (int i = 0; i < 3 * STEPS; i++)
        if (update(t.m, loss_of(&t), 0.1f)) break;
    double loss = report(&t, "by hand");
    end(&t, NULL);
    return loss;
}

/* --- LBFGS --- */

/* [closure] */
static gr_status closure(void *user, double *loss)
{
    gr_tensor *y = loss_of(user); /* resets the graph, records the forward pass */
    gr_status status = gr_backward(y);
    *loss = gr_item(y);
    return status;
}

static double lbfgs(void)
{
    task t = begin();
    gr_optimizer *opt = gr_lbfgs(t.m, (gr_lbfgs_options){.strong_wolfe = true});
    for (int i = 0; i < STEPS / 20; i++)
        if (gr_step_closure(opt, closure, &t, NULL)) break;
    double loss = report(&t, "lbfgs");
    end(&t, opt);
    return loss;
}
/* [end] */

/* --- going on from files --- */

/* Half of the steps, then the other half with a new model and a new optimizer. */
static double resume(const char *weights, const char *state)
{
    task t = begin();
    gr_optimizer *opt = gr_nadam(t.m, (gr_nadam_options){.lr = 0.02});
    for (int i = 0; i < STEPS / 2; i++)
        if (gr_backward(loss_of(&t)) || gr_step(opt)) break;
    /* [save] */
    gr_save(t.m, weights, NULL);
    gr_save_optimizer(opt, state);
    /* [end] */
    end(&t, opt);

    t = begin();
    /* [load] */
    opt = gr_nadam(t.m, (gr_nadam_options){.lr = 0.02}); /* made as before */
    if (gr_load(t.m, weights) || gr_load_optimizer(opt, state))
        fprintf(stderr, "optimizers: %s\n", gr_last_error());
    /* [end] */
    for (int i = 0; i < STEPS / 2; i++)
        if (gr_backward(loss_of(&t)) || gr_step(opt)) break;
    double loss = report(&t, "nadam, resumed half-way");
    end(&t, opt);
    remove(weights);
    remove(state);
    return loss;
}

int main(void)
{
    enum { KINDS = 5 };
    double losses[KINDS] = {own_rule(), groups(), by_hand(), lbfgs(),
                            resume("optimizers.weights", "optimizers.state")};
    int failed = 0;
    for (int i = 0; i < KINDS; i++) failed += !(losses[i] < 1e-2);
    if (failed) fprintf(stderr, "optimizers: %s\n", gr_last_error());
    return failed;
}
