/* peer_kann.c - the perceptrons in KANN: mlp and tiny. Not yet run: written from the documentation
 * of its release r549 and compared with its headers; the sources are yours to download. KANN has no
 * Adam and no plain SGD, so both stand here. One thread. */
/* SPDX-License-Identifier: MIT */
#include "measure.h"
#include "numbers.h"

#include <kann.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 3, BATCHES = 8 };

typedef struct net {
    const char *name;
    int sizes[LAYERS + 1], batch;
    kad_node_t *(*activation)(kad_node_t *x);
    bool classes; /* cross-entropy and Adam, else the squared error and SGD */
    float lr;
} net;

typedef struct job {
    const net *net;
    kann_t *ann;
    float *x[BATCHES], *t[BATCHES]; /* t one-hot where there are classes */
    float *m, *v;                   /* of Adam */
    int steps;
} job;

static const net nets[] = {
    {"mlp", {784, 512, 512, 10}, 128, kad_relu, true, 1e-3f},
    {"tiny", {2, 16, 16, 1}, 1, kad_tanh, false, 1e-2f},
};

/* --- the network --- */

static void build(job *j)
{
    const net *n = j->net;
    kad_node_t *y = kann_layer_input(n->sizes[0]), *w[LAYERS], *b[LAYERS];
    for (int l = 0; l < LAYERS; l++) {
        w[l] = kann_new_weight(n->sizes[l + 1], n->sizes[l]);
        b[l] = kann_new_bias(n->sizes[l + 1]);
        y = kad_add(kad_cmul(y, w[l]), b[l]);
        if (l + 1 < LAYERS) y = n->activation(y);
    }
    kad_node_t *truth = kad_feed(2, 1, n->sizes[LAYERS]);
    truth->ext_flag |= KANN_F_TRUTH;
    j->ann = kann_new(n->classes ? kad_ce_multi(kad_softmax(y), truth) : kad_mse(y, truth), 0);
    kann_set_batch_size(j->ann, n->batch);
    for (int l = 0; l < LAYERS; l++) { /* named as in a sequence with activations between */
        char name[32];
        snprintf(name, sizeof name, "%d.weight", 2 * l);
        fill_uniform(w[l]->x, name_stream(name), kad_len(w[l]), 1 / sqrt((double)n->sizes[l]));
        snprintf(name, sizeof name, "%d.bias", 2 * l);
        fill_uniform(b[l]->x, name_stream(name), kad_len(b[l]), 0.1);
    }
}

static float *one_hot(uint64_t stream, int batch, int classes)
{
    int64_t *index = allocate((size_t)batch * sizeof *index);
    float *t = allocate((size_t)(batch * classes) * sizeof *t);
    fill_indices(index, stream, batch, classes);
    for (int i = 0; i < batch * classes; i++) t[i] = index[i / classes] == i % classes;
    free(index);
    return t;
}

static float *uniform(uint64_t stream, int64_t n)
{
    float *x = allocate((size_t)n * sizeof *x);
    fill_uniform(x, stream, n, 1);
    return x;
}

static void make_batches(job *j)
{
    const net *n = j->net;
    const int out = n->sizes[LAYERS];
    for (int b = 0; b < BATCHES; b++) {
        const uint64_t stream = TARGET_STREAM + (uint64_t)b;
        j->x[b] = uniform(INPUT_STREAM + (uint64_t)b, (int64_t)n->batch * n->sizes[0]);
        j->t[b] = n->classes ? one_hot(stream, n->batch, out) : uniform(stream, n->batch * out);
    }
}

/* --- steps --- */

static double cost(job *j, int batch, int gradient)
{
    kann_feed_bind(j->ann, KANN_F_IN, 0, &j->x[batch]);
    kann_feed_bind(j->ann, KANN_F_TRUTH, 0, &j->t[batch]);
    return kann_cost(j->ann, 0, gradient);
}

static void sgd(float lr, int n, const float *g, float *w)
{
    for (int i = 0; i < n; i++) w[i] -= lr * g[i];
}

static void adam(job *j, int n, const float *g, float *w)
{
    const float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
    const double t = ++j->steps, c1 = 1 - pow(beta1, t), c2 = sqrt(1 - pow(beta2, t));
    const float rate = (float)(j->net->lr / c1), scale = (float)(1 / c2);
    for (int i = 0; i < n; i++) {
        j->m[i] = beta1 * j->m[i] + (1 - beta1) * g[i];
        j->v[i] = beta2 * j->v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= rate * j->m[i] / (sqrtf(j->v[i]) * scale + eps);
    }
}

static double step(void *state, int i)
{
    job *j = state;
    const int n = kann_size_var(j->ann);
    const double loss = cost(j, i % BATCHES, 1);
    if (j->net->classes) adam(j, n, j->ann->g, j->ann->x);
    else sgd(j->net->lr, n, j->ann->g, j->ann->x);
    return loss;
}

static double result(void *state)
{
    return cost(state, 0, 0);
}

static bool run(const net *n, const options *o)
{
    const double idle = idle_mb();
    job j = {.net = n};
    build(&j);
    make_batches(&j);
    const size_t bytes = (size_t)kann_size_var(j.ann) * sizeof(float);
    j.m = memset(allocate(bytes), 0, bytes);
    j.v = memset(allocate(bytes), 0, bytes);
    const task t = {&j, step, result, true, "KANN " KANN_VERSION};
    const bool fine = measure(&t, o, idle);
    kann_delete(j.ann); /* batches and moments end with the program */
    return fine;
}

int main(int argc, char **argv)
{
    options o;
    const net *n = NULL;
    const bool fine = parse_options(argc, argv, &o);
    for (size_t i = 0; fine && i < sizeof nets / sizeof *nets; i++)
        if (strcmp(nets[i].name, o.name) == 0) n = &nets[i];
    if (!n) {
        fprintf(stderr, "usage: peer_kann mlp|tiny [--steps MOST] [--seconds S] [--unchecked]\n");
        return 2;
    }
    return run(n, &o) ? 0 : 1;
}
