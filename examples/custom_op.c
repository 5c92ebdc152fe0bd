/* custom_op.c - an op of your own: defined, checked, trained with. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>

/* y = x sigmoid(x), "swish" (Ramachandran, Zoph, Le 2017) */
static void swish_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] / (1 + exp(-x[i]));
}

/* dy/dx = s + y (1 - s) with s = sigmoid(x); made of ops, so it can be differentiated again */
static void swish_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0], *s = gr_sigmoid(p->x[0]);
    p->dx[0] = gr_mul(p->dy[0], gr_add(s, gr_sub(y, gr_mul(y, s))));
}

static const gr_op swish_op = {
    .name = "swish",
    .n_in = 1,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .tile = {[GR_F64] = swish_f64}, /* float32 goes by conversion */
    .vjp = swish_vjp,
    .samples = (const gr_sample[]){{"matrix", {{.shape = {2, {3, 4}}}}, .n_in = 1}, {0}},
};

static gr_tensor *swish(gr_tensor *x)
{
    return gr_apply(NULL, &swish_op, &x, 1, NULL);
}

int main(void)
{
    gr_check_report r;
    gr_gradcheck_op(&swish_op, (gr_check_options){.order = 2}, &r);
    printf("swish: %s, worst error %.1e\n", gr_verdict_name(r.verdict), r.worst);
    gr_model *m = gr_model_new(); /* learns y = x^2 on [-1, 1] */
    gr_module *net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 1, 16),
                                              gr_function_layer(m, "swish", swish),
                                              gr_linear_layer(m, 16, 1)));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.02});
    gr_graph *g = gr_graph_new();
    const float x[9] = {-1, -0.75f, -0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f, 1};
    double loss = 0;
    for (int step = 0; step < 300; step++, gr_graph_reset(g)) {
        gr_tensor *in = gr_from_data(g, GR_F32, GR_SHAPE(9, 1), x);
        gr_tensor *error = gr_mse(gr_forward(net, in), gr_square(in));
        loss = gr_backward(error) || gr_step(opt) ? INFINITY : gr_item(error);
    }
    printf("mean squared error after training: %.6f\n", loss);
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return r.verdict != GR_PASS || loss > 1e-3;
}
