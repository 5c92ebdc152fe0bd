/* network.c - steps of training and of inference, the same for every network. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>
#include <string.h>

/* --- weights and batches that every program can make --- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Matrices and kernels in (-1/sqrt(fan_in), 1/sqrt(fan_in)), weights of norms around 1, biases
 * around 0. */
static void fill_model(gr_model *m)
{
    for (int i = 0; i < gr_model_params(m); i++) {
        gr_param *p = gr_model_param(m, i);
        const char *name = gr_model_param_name(m, i);
        const gr_shape *shape = gr_param_shape(p);
        const int64_t n = gr_shape_numel(shape);
        const double bound = shape->rank > 1 ? 1 / sqrt((double)(n / shape->dim[0])) : 0.1;
        float *w = gr_param_write(p);
        fill_uniform(w, name_stream(name), n, bound);
        if (shape->rank == 1 && ends_with(name, "weight"))
            for (int64_t k = 0; k < n; k++) w[k] += 1;
    }
}

static void *make_content(const content *c, uint64_t stream)
{
    const int64_t n = gr_shape_numel(&c->shape);
    if (c->below) {
        int64_t *indices = allocate((size_t)n * sizeof *indices);
        fill_indices(indices, stream, n, c->below);
        return indices;
    }
    float *numbers = allocate((size_t)n * sizeof *numbers);
    fill_uniform(numbers, stream, n, 1);
    return numbers;
}

void set_network(job *j, gr_model *m, gr_module *root, gr_optimizer *optimizer)
{
    j->model = m;
    j->root = root;
    j->optimizer = optimizer;
    fill_model(m);
    for (int b = 0; b < BATCHES; b++) {
        j->x[b] = make_content(&j->workload->input, INPUT_STREAM + (uint64_t)b);
        if (j->workload->loss)
            j->t[b] = make_content(&j->workload->target, TARGET_STREAM + (uint64_t)b);
    }
}

/* --- steps --- */

static gr_tensor *borrow(job *j, const content *c, const void *data)
{
    return gr_borrow(j->g, c->below ? GR_I64 : GR_F32, c->shape, data);
}

static gr_tensor *record_loss(job *j, int batch)
{
    const workload *w = j->workload;
    gr_tensor *x = borrow(j, &w->input, j->x[batch]), *t = borrow(j, &w->target, j->t[batch]);
    return w->loss(gr_forward(j->root, x), t);
}

/* One step of training, with a look at the loss, as a training loop has it. */
double train_step(job *j, int i)
{
    gr_graph_reset(j->g);
    gr_tensor *loss = record_loss(j, i % BATCHES);
    if (gr_backward_step(j->optimizer, loss)) return NAN;
    return gr_item(loss);
}

double train_result(job *j)
{
    gr_graph_reset(j->g);
    gr_no_grad_begin(j->g);
    gr_tensor *loss = record_loss(j, 0);
    gr_no_grad_end(j->g);
    return gr_item(loss);
}

/* The network's output for batch i; NULL after an error. */
static const float *infer(job *j, int i, int64_t *n)
{
    gr_graph_reset(j->g);
    gr_no_grad_begin(j->g);
    gr_tensor *y = gr_forward(j->root, borrow(j, &j->workload->input, j->x[i % BATCHES]));
    *n = gr_numel(y);
    return gr_data(y);
}

double infer_step(job *j, int i)
{
    int64_t n;
    return infer(j, i, &n) ? 0 : NAN;
}

double infer_result(job *j)
{
    int64_t n;
    const float *y = infer(j, 0, &n);
    return fingerprint(y, n);
}

gr_tensor *class_loss(gr_tensor *y, gr_tensor *target)
{
    const gr_shape *s = gr_shape_of(y);
    return gr_cross_entropy(s->rank > 2 ? gr_reshape(y, GR_SHAPE(-1, s->dim[s->rank - 1])) : y,
                            target);
}
