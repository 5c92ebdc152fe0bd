/* transforms.c - what is made of gradients, what changes them, and what they cost in memory. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- second derivatives --- */

/* [newton] */
/* Rosenbrock's valley (1960), least at (1, 1): (1 - a)^2 + 100 (b - a^2)^2 */
static gr_tensor *valley(gr_tensor *x)
{
    gr_tensor *a = gr_slice(x, 0, 0, 1, 1), *b = gr_slice(x, 0, 1, 2, 1);
    gr_tensor *across = gr_square(gr_sub(b, gr_square(a)));
    return gr_sum_all(gr_add(gr_square(gr_shift(a, -1)), gr_scale(across, 100)));
}

/* x -= H^-1 dy/dx, some steps of Newton's method */
static gr_status newton(gr_graph *g, double x[2], int steps)
{
    for (int i = 0; i < steps; i++, gr_graph_reset(g)) {
        gr_tensor *at = gr_from_data(g, GR_F64, GR_SHAPE(2), x), *y = valley(at), *dy;
        gr_grad(y, &at, 1, &dy);
        const double *d = gr_data(gr_solve(gr_hessian(y, at), gr_reshape(dy, GR_SHAPE(2, 1))));
        if (!d) break;
        for (int k = 0; k < 2; k++) x[k] -= d[k];
    }
    return gr_graph_status(g);
}
/* [end] */

/* [sharpness] */
/* The largest curvature of the loss in any direction: the largest eigenvalue of its Hessian, by
 * power iteration. Each product costs a few gradients; the matrix itself is never made. */
static double sharpness(gr_tensor *loss, gr_tensor *w, int iterations)
{
    gr_tensor *v = gr_ones_like(w), *hv = v;
    for (int i = 0; i < iterations; i++) {
        v = gr_div(hv, gr_norm(hv, 2, GR_ALL, false));
        gr_hvp(loss, &w, &v, 1, &hv);
    }
    return gr_item(gr_sum_all(gr_mul(v, hv)));
}
/* [end] */

/* --- gradients on their way --- */

/* [hook] */
typedef struct watch {
    gr_tensor *norm; /* of the cotangent before it is cut */
    double most;
} watch;

/* Cuts a cotangent to a norm of at most `most`, and notes the norm that it had. */
static gr_tensor *cut(void *user, gr_tensor *dy)
{
    watch *w = user;
    w->norm = gr_norm(dy, 2, GR_ALL, false);
    return gr_mul(dy, gr_clamp(gr_reciprocal(gr_scale(w->norm, 1 / w->most)), 0, 1));
}
/* [end] */

/* [reversal] */
/* The classifier learns to tell the domains apart; what makes the features unlearns it. */
static gr_tensor *domain_loss(gr_module *classifier, gr_tensor *features, gr_tensor *domain)
{
    gr_tensor *z = gr_forward(classifier, gr_scale_gradient(features, -1));
    return gr_cross_entropy(z, domain);
}
/* [end] */

/* [accumulate] */
/* One step over a batch that is too large to be taken at once. */
static gr_status step_in_parts(gr_graph *g, gr_module *net, gr_optimizer *opt, const float *x,
                               const int64_t *t, int n, int part, int features)
{
    for (int i = 0; i < n; i += part, gr_graph_reset(g)) {
        const int rows = n - i < part ? n - i : part;
        gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(rows, features), x + i * features);
        gr_tensor *label = gr_from_data(g, GR_I64, GR_SHAPE(rows), t + i);
        gr_tensor *loss = gr_cross_entropy(gr_forward(net, in), label);
        if (gr_backward(gr_scale(loss, (double)rows / n))) return gr_graph_status(g);
    }
    return gr_step(opt);
}
/* [end] */

/* --- memory --- */

enum { LAYERS = 50, WIDTH = 128, BATCH = 64, BLOCK = 5, CLASSES = 10 };

/* [checkpoint] */
/* 50 layers in blocks; backward computes the values of a block again when it gets there. */
static gr_module *deep_network(gr_model *m, bool checkpoint)
{
    gr_module *blocks[LAYERS / BLOCK + 1];
    for (int b = 0; b < LAYERS / BLOCK; b++) {
        blocks[b] = gr_sequential(m, NULL, 0);
        for (int l = 0; l < BLOCK; l++) {
            gr_module *layer[] = {gr_linear_layer(m, WIDTH, WIDTH),
                                  gr_layer_norm_layer(m, GR_SHAPE(WIDTH), (gr_norm_options){0}),
                                  gr_gelu_layer(m)};
            gr_module_add(blocks[b], NULL, gr_residual(m, gr_sequential(m, layer, 3), NULL));
        }
        gr_module_checkpoint(blocks[b], checkpoint);
    }
    blocks[LAYERS / BLOCK] = gr_linear_layer(m, WIDTH, CLASSES);
    return gr_sequential(m, blocks, LAYERS / BLOCK + 1);
}
/* [end] */

typedef struct batch {
    float x[BATCH * WIDTH];
    int64_t t[BATCH];
} batch;

/* The loss after some steps, and the most memory that values took; NaN after an error. */
static double train(const batch *b, bool checkpoint, size_t *peak)
{
    gr_model *m = gr_model_new();
    gr_module *net = deep_network(m, checkpoint);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_graph *g = gr_graph_new();
    double loss = NAN;
    for (int step = 0; step < 3; step++, gr_graph_reset(g)) {
        gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), b->x);
        gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(BATCH), b->t);
        gr_tensor *y = gr_cross_entropy(gr_forward(net, x), t);
        loss = gr_backward(y) || gr_step(opt) ? NAN : gr_item(y);
        if (gr_graph_error(g)) fprintf(stderr, "%s\n", gr_graph_error(g));
    }
    *peak = gr_graph_memory(g).peak;
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return loss;
}

/* --- what they do --- */

static bool second_derivatives(gr_graph *g)
{
    double x[2] = {-1.2, 1};
    bool failed = newton(g, x, 6) != GR_OK;
    printf("Newton's method, 6 steps: (%.9f, %.9f)\n", x[0], x[1]);
    gr_tensor *at = gr_from_data(g, GR_F64, GR_SHAPE(2), x);
    double most = sharpness(valley(at), at, 10);
    printf("largest curvature there: %.4f\n", most);
    gr_graph_reset(g);
    return !failed && fabs(x[0] - 1) < 1e-6 && fabs(most - 1001.6) < 0.01;
}

static bool hooked(gr_graph *g)
{
    watch w = {.most = 1};
    gr_tensor *x = gr_full(g, GR_F64, GR_SHAPE(4), 3), *dx;
    gr_tensor *h = gr_hook(gr_square(x), cut, &w);
    gr_grad(gr_sum_all(gr_square(h)), &x, 1, &dx);
    const double norm = gr_item(w.norm), cut_to = gr_item(gr_norm(dx, 2, GR_ALL, false)) / 6;
    printf("cotangent of norm %.1f, cut to %.1f\n", norm, cut_to);
    gr_graph_reset(g);
    return fabs(norm - 36) < 1e-12 && fabs(cut_to - 1) < 1e-12;
}

static bool in_parts(gr_graph *g, const batch *b)
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_linear_layer(m, WIDTH, CLASSES);
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.1});
    bool fine = !step_in_parts(g, net, opt, b->x, b->t, BATCH, 24, WIDTH);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), b->x);
    fine &= isfinite(gr_item(domain_loss(net, x, gr_from_data(g, GR_I64, GR_SHAPE(BATCH), b->t))));
    gr_graph_reset(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return fine;
}

static bool less_memory(const batch *b)
{
    size_t all, some;
    double loss = train(b, false, &all), again = train(b, true, &some);
    printf("50 layers: %.1f MB, in checkpointed blocks %.1f MB (%.0f %%), the loss %s\n",
           1e-6 * (double)all, 1e-6 * (double)some, 100.0 * (double)some / (double)all,
           memcmp(&loss, &again, sizeof loss) == 0 ? "the same bit by bit" : "differs");
    return memcmp(&loss, &again, sizeof loss) == 0 && 4 * some <= all;
}

int main(void)
{
    static batch b;
    for (int i = 0; i < BATCH * WIDTH; i++) b.x[i] = sinf(0.7f * (float)i);
    for (int i = 0; i < BATCH; i++) b.t[i] = i % CLASSES;
    gr_graph *g = gr_graph_new();
    bool fine = second_derivatives(g) && hooked(g) && in_parts(g, &b);
    if (gr_graph_error(g)) fprintf(stderr, "%s\n", gr_graph_error(g));
    gr_graph_free(g);
    return fine && less_memory(&b) ? EXIT_SUCCESS : EXIT_FAILURE;
}
