/* right.c - an op and a pair of functions whose gradients are right. */
/* SPDX-License-Identifier: MIT */
#include <gradus/ops.h>
#include <gradus/plugin.h>
#include <math.h>

/* y = x sigmoid(x); dy/dx = s + y (1 - s) */
static void swish_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] / (1 + exp(-x[i]));
}

static void swish_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0], *s = gr_sigmoid(p->x[0]);
    p->dx[0] = gr_mul(p->dy[0], gr_add(s, gr_sub(y, gr_mul(y, s))));
}

static const gr_op swish = {
    .name = "swish",
    .n_in = 1,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .tile = {[GR_F64] = swish_f64},
    .vjp = swish_vjp,
    .samples = (const gr_sample[]){{"matrix", {{.shape = {2, {3, 4}}}}, .n_in = 1}, {0}},
};

static void square_forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0];
    double *y = out;
    (void)user;
    for (int i = 0; i < 5; i++) y[i] = x[i] * x[i];
}

static void square_backward(const void *const *in, const void *out, const void *cotangent,
                            void *const *gradients, void *user)
{
    const double *x = in[0], *dy = cotangent;
    double *dx = gradients[0];
    (void)out;
    (void)user;
    for (int i = 0; i < 5; i++) dx[i] = 2 * x[i] * dy[i];
}

static const gr_raw square = {
    .name = "square",
    .forward = square_forward,
    .backward = square_backward,
    .in = {{"x", .n = 5}},
    .out = 5,
};

const gr_abi gradus_abi = GR_ABI;
const gr_op *const gradus_ops[] = {&swish, NULL};
const gr_raw *const gradus_raws[] = {&square, NULL};
