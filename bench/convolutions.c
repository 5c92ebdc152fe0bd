/* convolutions.c - single convolutions: the output, the gradients of the input and the weight. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>

typedef enum part { FORWARD, DATA, WEIGHT } part;

typedef struct convolution {
    part part;
    gr_shape x, w;
    gr_conv2d_options o;
} convolution;

enum { X, W, DY }; /* places in job.x */

static gr_shape out_shape(const convolution *c)
{
    const int64_t stride = c->o.stride[0] ? c->o.stride[0] : 1, kernel = c->w.dim[2];
    const int64_t size = (c->x.dim[2] + 2 * c->o.padding[0] - kernel) / stride + 1;
    return GR_SHAPE(c->x.dim[0], c->w.dim[0], size, size);
}

static void build(job *j)
{
    const convolution *c = j->workload->detail;
    const gr_shape shapes[] = {[X] = c->x, [W] = c->w, [DY] = out_shape(c)};
    for (int i = X; i <= DY; i++) {
        const int64_t n = gr_shape_numel(&shapes[i]);
        j->x[i] = allocate((size_t)n * sizeof(float));
        fill_uniform(j->x[i], INPUT_STREAM + (uint64_t)i, n, 1);
    }
}

/* The asked-for tensor, computed; NULL after an error. */
static const float *compute(job *j, int64_t *n)
{
    const convolution *c = j->workload->detail;
    gr_graph_reset(j->g);
    gr_tensor *x = gr_borrow(j->g, GR_F32, c->x, j->x[X]),
              *w = gr_borrow(j->g, GR_F32, c->w, j->x[W]);
    gr_tensor *y = gr_conv2d(x, w, NULL, c->o), *asked = y;
    if (c->part != FORWARD) {
        gr_tensor *dy = gr_borrow(j->g, GR_F32, out_shape(c), j->x[DY]);
        gr_vjp(&y, &dy, 1, c->part == DATA ? &x : &w, 1, &asked);
    }
    *n = gr_numel(asked);
    return gr_data(asked);
}

static double step(job *j, int i)
{
    (void)i;
    int64_t n;
    return compute(j, &n) ? 0 : NAN;
}

static double result(job *j)
{
    int64_t n;
    const float *y = compute(j, &n);
    return fingerprint(y, n);
}

#define CONVOLUTION(name, ...)                                                                    \
    {name "-forward", build, step, result, .detail = &(const convolution){FORWARD, __VA_ARGS__}}, \
        {name "-data", build, step, result, .detail = &(const convolution){DATA, __VA_ARGS__}},   \
    {                                                                                             \
        name "-weight", build, step, result, .detail = &(const convolution)                       \
        {                                                                                         \
            WEIGHT, __VA_ARGS__                                                                   \
        }                                                                                         \
    }

const workload convolution_workloads[] = {
    CONVOLUTION("conv16", {4, {32, 16, 32, 32}}, {4, {16, 16, 3, 3}}, {.padding = {1, 1}}),
    CONVOLUTION("conv64", {4, {16, 64, 32, 32}}, {4, {64, 64, 3, 3}}, {.padding = {1, 1}}),
    CONVOLUTION("conv256", {4, {8, 256, 14, 14}}, {4, {256, 256, 3, 3}}, {.padding = {1, 1}}),
    CONVOLUTION("conv7", {4, {8, 3, 224, 224}}, {4, {64, 3, 7, 7}},
                {.stride = {2, 2}, .padding = {3, 3}}),
    {0},
};
