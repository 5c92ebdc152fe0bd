/* functions.c - gradients of single functions: one number through many ops, many through few. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>

enum { CHAIN = 100000, NUMBERS = 10000000 };

static double gradient(gr_tensor *y)
{
    return gr_backward(y) ? NAN : gr_item(y);
}

static void clear(job *j)
{
    gr_graph_reset(j->g);
    for (int i = 0; i < PARAMS; i++)
        if (j->param[i]) gr_param_clear_grad(j->param[i]);
}

/* --- one double through CHAIN steps --- */

static void build_chain(job *j)
{
    const double half = 0.5;
    j->param[0] = gr_param_new("y", GR_F64, GR_SCALAR, &half);
}

static double chain_step(job *j, int i)
{
    (void)i;
    clear(j);
    gr_tensor *y = gr_use(j->g, j->param[0]);
    for (int k = 0; k < CHAIN; k++) y = gr_sin(gr_shift(gr_scale(y, 1.0001), 0.1));
    return gradient(y);
}

static double chain_result(job *j)
{
    return chain_step(j, 0);
}

/* --- NUMBERS floats through few ops: sum(tanh(x w + b) sigmoid(x)) --- */

static void build_fused(job *j)
{
    static const char *const names[PARAMS] = {"x", "w", "b"};
    for (int i = 0; i < PARAMS; i++) {
        j->param[i] = gr_param_new(names[i], GR_F32, GR_SHAPE(NUMBERS), NULL);
        fill_uniform(gr_param_write(j->param[i]), PARAM_STREAM + (uint64_t)i, NUMBERS, 1);
    }
}

static double fused_step(job *j, int i)
{
    (void)i;
    clear(j);
    gr_tensor *x = gr_use(j->g, j->param[0]), *w = gr_use(j->g, j->param[1]),
              *b = gr_use(j->g, j->param[2]);
    return gradient(gr_sum_all(gr_mul(gr_tanh(gr_add(gr_mul(x, w), b)), gr_sigmoid(x))));
}

/* The sum as a mean, and the three gradients. */
static double fused_result(job *j)
{
    double result = fused_step(j, 0) / NUMBERS;
    for (int i = 0; i < PARAMS; i++) result += fingerprint(gr_param_grad(j->param[i]), NUMBERS);
    return result;
}

const workload function_workloads[] = {
    {.name = "chain", .build = build_chain, .step = chain_step, .result = chain_result},
    {.name = "fused", .build = build_fused, .step = fused_step, .result = fused_result},
    {0},
};
