/* workloads.c - training steps to be timed; peer_torch.py runs the same ones in PyTorch. */
/* SPDX-License-Identifier: MIT */
#include <gradus/graph.h>
#include <gradus/nn.h>
#include <gradus/ops.h>
#include <gradus/optim.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOSS_STEPS = 10, /* before the loss that both programs must agree on */
    BATCHES = 8,     /* distinct ones, used in turn */
    CLASSES = 10,
    PARAM_STREAM = 100,
    INPUT_STREAM = 200,
    LABEL_STREAM = 300
};

typedef struct net {
    gr_model *model;
    gr_module *root;
    gr_optimizer *optimizer;
} net;

typedef struct workload {
    const char *name;
    net (*build)(void);
    gr_shape input; /* of a batch */
} workload;

typedef struct batches {
    float *x[BATCHES];
    int64_t *t[BATCHES];
} batches;

typedef struct options {
    const workload *workload;
    int threads, steps, warmup;
} options;

/* --- the workloads --- */

/* 784 - 512 - 512 - 10, Adam. */
static net build_mlp(void)
{
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, GR_LIST(gr_linear_layer(m, 784, 512), gr_relu_layer(m),
                                               gr_linear_layer(m, 512, 512), gr_relu_layer(m),
                                               gr_linear_layer(m, 512, CLASSES)));
    return (net){m, root, gr_adam(m, (gr_adam_options){.lr = 1e-3})};
}

/* LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, SGD with momentum. */
static net build_lenet(void)
{
    gr_pool2d_options half = {.kernel = {2, 2}};
    gr_conv2d_layer_options same = {.conv.padding = {2, 2}}, valid = {0};
    gr_model *m = gr_model_new();
    gr_module *root = gr_sequential(m, GR_LIST(gr_conv2d_layer(m, 1, 6, 5, same), gr_relu_layer(m),
                                               gr_max_pool2d_layer(m, half),
                                               gr_conv2d_layer(m, 6, 16, 5, valid),
                                               gr_relu_layer(m), gr_max_pool2d_layer(m, half),
                                               gr_flatten_layer(m), gr_linear_layer(m, 400, 120),
                                               gr_relu_layer(m), gr_linear_layer(m, 120, 84),
                                               gr_relu_layer(m), gr_linear_layer(m, 84, CLASSES)));
    return (net){m, root, gr_sgd(m, (gr_sgd_options){.lr = 0.01, .momentum = 0.9})};
}

static const workload workloads[] = {
    {"mlp", build_mlp, {2, {128, 784}}},
    {"lenet", build_lenet, {4, {64, 1, 28, 28}}},
};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

static const workload *find_workload(const char *name)
{
    for (int i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i].name, name) == 0) return &workloads[i];
    return NULL;
}

/* --- numbers that any language can make: SplitMix64 of (stream << 32) + i --- */

static uint64_t bits(uint64_t stream, int64_t i)
{
    uint64_t z = ((stream << 32) + (uint64_t)i) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) >> 40; /* the upper 24 */
}

/* n numbers in [-bound, bound). */
static void fill_uniform(float *x, uint64_t stream, int64_t n, double bound)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((2 * ((double)bits(stream, i) / (1 << 24)) - 1) * bound);
}

static void fill_labels(int64_t *t, uint64_t stream, int64_t n)
{
    for (int64_t i = 0; i < n; i++) t[i] = (int64_t)(bits(stream, i) % CLASSES);
}

/* Weights and biases alike in (-1/sqrt(fan_in), 1/sqrt(fan_in)), by order of creation. */
static void set_weights(gr_model *m)
{
    double bound = 0;
    for (int i = 0; i < gr_model_params(m); i++) {
        gr_param *p = gr_model_param(m, i);
        const gr_shape *shape = gr_param_shape(p);
        int64_t n = gr_shape_numel(shape);
        if (shape->rank > 1) bound = 1 / sqrt((double)(n / shape->dim[0]));
        fill_uniform(gr_param_write(p), PARAM_STREAM + (uint64_t)i, n, bound);
    }
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "workloads: out of memory\n");
        exit(1);
    }
    return memory;
}

static batches make_batches(const workload *w)
{
    batches data;
    int64_t rows = w->input.dim[0], numel = gr_shape_numel(&w->input);
    for (int b = 0; b < BATCHES; b++) {
        data.x[b] = allocate((size_t)numel * sizeof(float));
        data.t[b] = allocate((size_t)rows * sizeof(int64_t));
        fill_uniform(data.x[b], INPUT_STREAM + (uint64_t)b, numel, 1);
        fill_labels(data.t[b], LABEL_STREAM + (uint64_t)b, rows);
    }
    return data;
}

static void free_batches(batches *data)
{
    for (int b = 0; b < BATCHES; b++) {
        free(data->x[b]);
        free(data->t[b]);
    }
}

/* --- measuring --- */

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* VmHWM or VmRSS: unlike ru_maxrss, not inherited from the program that started us. */
static double status_mb(const char *key)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) kb = strtol(line + strlen(key) + 1, NULL, 10);
    fclose(f);
    return (double)kb / 1024;
}

static gr_tensor *record_loss(gr_graph *g, const net *n, const workload *w, const batches *data,
                              int b)
{
    gr_tensor *x = gr_borrow(g, GR_F32, w->input, data->x[b]);
    gr_tensor *t = gr_borrow(g, GR_I64, GR_SHAPE(w->input.dim[0]), data->t[b]);
    return gr_cross_entropy(gr_forward(n->root, x), t);
}

/* One step of training, with a look at the loss, as a training loop has it. */
static double train_step(gr_graph *g, const net *n, const workload *w, const batches *data, int i)
{
    gr_graph_reset(g);
    gr_tensor *loss = record_loss(g, n, w, data, i % BATCHES);
    if (gr_backward(loss) || gr_step(n->optimizer)) return NAN;
    return gr_item(loss);
}

/* The times of o->steps steps; returns the loss of batch 0 after LOSS_STEPS steps, or NaN. */
static double measure(gr_graph *g, const net *n, const batches *data, const options *o,
                      double *times)
{
    for (int i = 0; i < LOSS_STEPS; i++)
        if (isnan(train_step(g, n, o->workload, data, i))) return NAN;
    gr_graph_reset(g);
    double loss = gr_item(record_loss(g, n, o->workload, data, 0));
    for (int i = -o->warmup; i < o->steps; i++) {
        double start = now_ms();
        double step = train_step(g, n, o->workload, data, i + o->warmup + LOSS_STEPS);
        if (isnan(step)) return NAN;
        if (i >= 0) times[i] = now_ms() - start;
    }
    return loss;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const options *o, double *times, double loss, double idle_mb)
{
    int n = o->steps;
    qsort(times, (size_t)n, sizeof *times, by_value);
    double median = (times[(n - 1) / 2] + times[n / 2]) / 2, peak = status_mb("VmHWM");
    printf("{\"workload\": \"%s\", \"threads\": %d, \"step_ms\": %.4f, \"step_ms_min\": %.4f, "
           "\"loss10\": %.9g, \"peak_mb\": %.1f, \"peak_minus_idle_mb\": %.1f, "
           "\"version\": \"Gradus %s\"}\n",
           o->workload->name, o->threads, median, times[0], loss, peak, peak - idle_mb,
           gr_version());
}

/* The first thing that failed, whichever object it stuck to. */
static const char *failure(const net *n, gr_graph *g)
{
    const char *text = gr_model_error(n->model);
    if (!text) text = gr_optimizer_error(n->optimizer);
    if (!text) text = gr_graph_error(g);
    return text ? text : gr_last_error();
}

static bool run(const options *o)
{
    gr_set_threads(o->threads);
    double idle = status_mb("VmRSS");
    net n = o->workload->build();
    set_weights(n.model);
    batches data = make_batches(o->workload);
    double *times = allocate((size_t)o->steps * sizeof *times);
    gr_graph *g = gr_graph_new();

    double loss = measure(g, &n, &data, o, times);
    bool fine = !isnan(loss);
    if (fine) report(o, times, loss, idle);
    else fprintf(stderr, "workloads: %s\n", failure(&n, g));

    gr_graph_free(g);
    gr_optimizer_free(n.optimizer);
    gr_model_free(n.model);
    free_batches(&data);
    free(times);
    return fine;
}

/* --- the command line --- */

static bool parse(int argc, char **argv, options *o)
{
    const struct {
        const char *name;
        int *value, least;
    } numbers[] = {{"--threads", &o->threads, 1},
                   {"--steps", &o->steps, 1},
                   {"--warmup", &o->warmup, 0}};
    for (int i = 1; i < argc; i++) {
        int k = 0, known = sizeof numbers / sizeof *numbers;
        while (k < known && strcmp(argv[i], numbers[k].name) != 0) k++;
        if (k == known) o->workload = find_workload(argv[i]);
        else if (i + 1 < argc) *numbers[k].value = atoi(argv[++i]);
        if (k < known && *numbers[k].value < numbers[k].least) return false;
    }
    return o->workload != NULL;
}

int main(int argc, char **argv)
{
    options o = {.threads = 1, .steps = 200, .warmup = 30};
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: workloads mlp|lenet [--threads N] [--steps S] [--warmup W]\n");
        return 2;
    }
    return run(&o) ? 0 : 1;
}
