/* transforms.c - what second derivatives and checkpointed sections cost.
 *
 *   build/bench/transforms [ROUNDS]
 *
 * Prints the best of ROUNDS (default 10), forward pass included: a product with the Hessian of all
 * weights next to the gradient, in time and in computed nodes; a training step of 50 layers with
 * and without sections, in time and in the most memory that values took at a time. Time is that of
 * the processor, all threads together, which a busy machine disturbs least. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 128, CLASSES = 10, MOST = 256, LAYERS = 50, WIDTH = 256 };

static float images[BATCH * 784];
static int64_t labels[BATCH];

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* --- products with the Hessian --- */

static gr_module *mlp(gr_model *m)
{
    return gr_sequential(m, GR_LIST(gr_flatten_layer(m), gr_linear_layer(m, 784, 512),
                                    gr_tanh_layer(m), gr_linear_layer(m, 512, 512),
                                    gr_tanh_layer(m), gr_linear_layer(m, 512, CLASSES)));
}

static gr_module *lenet(gr_model *m)
{
    gr_conv2d_layer_options same = {.conv.padding = {2, 2}}, valid = {0};
    gr_pool2d_options half = {.kernel = {2, 2}};
    return gr_sequential(m,
                         GR_LIST(gr_conv2d_layer(m, 1, 6, 5, same), gr_tanh_layer(m),
                                 gr_max_pool2d_layer(m, half), gr_conv2d_layer(m, 6, 16, 5, valid),
                                 gr_tanh_layer(m), gr_max_pool2d_layer(m, half),
                                 gr_flatten_layer(m), gr_linear_layer(m, 400, 84), gr_tanh_layer(m),
                                 gr_linear_layer(m, 84, CLASSES)));
}

static void count(void *user, const gr_node *node, const gr_exec *e)
{
    (void)node, (void)e;
    ++*(long *)user;
}

/* Milliseconds of one gradient of all weights, or one product; INFINITY after an error. */
static double derive(gr_graph *g, gr_model *m, gr_module *net, bool product)
{
    const double start = now_ms();
    gr_tensor *x = gr_borrow(g, GR_F32, GR_SHAPE(BATCH, 1, 28, 28), images);
    gr_tensor *t = gr_borrow(g, GR_I64, GR_SHAPE(BATCH), labels);
    gr_tensor *w[MOST], *v[MOST], *d[MOST], *loss = gr_cross_entropy(gr_forward(net, x), t);
    const int n = gr_model_params(m);
    for (int i = 0; i < n; i++) {
        w[i] = gr_use(g, gr_model_param(m, i));
        v[i] = gr_ones_like(w[i]);
    }
    gr_status status = product ? gr_hvp(loss, w, v, n, d) : gr_grad(loss, w, n, d);
    const bool failed = status || gr_eval(d, n);
    if (failed) fprintf(stderr, "%s\n", gr_graph_error(g));
    gr_graph_reset(g);
    return failed ? INFINITY : now_ms() - start;
}

static void compare_products(const char *name, gr_module *build(gr_model *m), int rounds)
{
    gr_model *m = gr_model_new();
    gr_module *net = build(m);
    gr_graph *g = gr_graph_new();
    double best[2] = {INFINITY, INFINITY};
    long nodes[2] = {0, 0};
    for (int i = 0; i <= rounds; i++)
        for (int product = 0; product < 2; product++) {
            gr_graph_observe(g, i ? NULL : count, &nodes[product]);
            best[product] = fmin(best[product], derive(g, m, net, product));
        }
    printf(
        "%-6s gradient %8.3f ms %4ld nodes   product %8.3f ms %4ld nodes   %.2f and %.2f times\n",
        name, best[0], nodes[0], best[1], nodes[1], best[1] / best[0],
        (double)nodes[1] / (double)nodes[0]);
    gr_graph_free(g);
    gr_model_free(m);
}

/* --- sections --- */

typedef struct net {
    const char *name;
    bool normed;      /* layer norm, gelu and the way around; else a relu alone */
    int block, inner; /* layers in a section, and in the sections inside of it; 0: none */
} net;

static gr_module *layer(gr_model *m, bool normed)
{
    gr_module *linear = gr_linear_layer(m, WIDTH, WIDTH);
    if (!normed) return gr_sequential(m, GR_LIST(linear, gr_relu_layer(m)));
    gr_module *norm = gr_layer_norm_layer(m, GR_SHAPE(WIDTH), (gr_norm_options){0});
    return gr_residual(m, gr_sequential(m, GR_LIST(linear, norm, gr_gelu_layer(m))), NULL);
}

/* Layers from `from` to `to`, in sections. */
static gr_module *stack(gr_model *m, const net *n, int from, int to, int block, int inner)
{
    gr_module *all = gr_sequential(m, NULL, 0);
    for (int l = from; l < to; l += block ? block : 1) {
        const int end = l + block < to ? l + block : to;
        gr_module *part = block ? stack(m, n, l, end, inner, 0) : layer(m, n->normed);
        gr_module_checkpoint(part, block > 0);
        gr_module_add(all, NULL, part);
    }
    return all;
}

static double train(gr_graph *g, gr_module *root, gr_optimizer *opt)
{
    const double start = now_ms();
    gr_tensor *x = gr_borrow(g, GR_F32, GR_SHAPE(BATCH, WIDTH), images);
    const bool failed = gr_backward(gr_mean_all(gr_square(gr_forward(root, x)))) || gr_step(opt);
    if (failed) fprintf(stderr, "%s\n", gr_graph_error(g));
    gr_graph_reset(g);
    return failed ? INFINITY : now_ms() - start;
}

static void measure_sections(const net *n, int rounds)
{
    gr_model *m = gr_model_new();
    gr_module *root = stack(m, n, 0, LAYERS, n->block, n->inner);
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 1e-3});
    gr_graph *g = gr_graph_new();
    double best = INFINITY;
    for (int i = 0; i <= rounds; i++) best = fmin(best, train(g, root, opt));
    printf("%-34s %8.3f ms  %7.3f MB\n", n->name, best, 1e-6 * (double)gr_graph_memory(g).peak);
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
}

int main(int argc, char **argv)
{
    static const net nets[] = {
        {"linear, layer norm, gelu, residual", true, 0, 0},
        {"  in sections of 5", true, 5, 0},
        {"  in sections of 12, of 3 in these", true, 12, 3},
        {"linear, relu", false, 0, 0},
        {"  in sections of 7", false, 7, 0},
        {"  in sections of 12, of 3 in these", false, 12, 3},
    };
    const int rounds = argc > 1 ? atoi(argv[1]) : 10;
    for (int i = 0; i < BATCH * 784; i++) images[i] = (float)(i % 97) / 97;
    for (int i = 0; i < BATCH; i++) labels[i] = i % CLASSES;
    compare_products("mlp", mlp, rounds);
    compare_products("lenet", lenet, rounds);
    printf("\n50 layers of %d, batch %d, training step:\n", WIDTH, BATCH);
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) measure_sections(&nets[i], rounds);
    return EXIT_SUCCESS;
}
