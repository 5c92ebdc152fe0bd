/* debugging.c - looking inside a program: values, tapes, scopes, where a NaN came from; and a loop
 * that runs long in little memory. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* [scopes] */
/* softmax(q k^T / sqrt(d)) v; what it records is named by the part it belongs to */
static gr_tensor *attend(gr_graph *g, gr_tensor *x, gr_param *wq, gr_param *wk)
{
    gr_scope_begin(g, "attention");
    gr_scope_begin(g, "scores");
    gr_tensor *q = gr_matmul(x, gr_use(g, wq)), *k = gr_matmul(x, gr_use(g, wk));
    gr_tensor *scores = gr_scale(gr_matmul(q, gr_transpose(k, 0, 1)), 1 / sqrt(4));
    gr_scope_end(g);
    gr_tensor *y = gr_matmul(gr_softmax(scores, 1), x);
    gr_scope_end(g);
    return y;
}
/* [end] */

/* [print] */
static void show(gr_graph *g, gr_tensor *y)
{
    gr_print(stdout, y);                  /* computes it, if it was not yet */
    gr_print_node(stdout, gr_node_of(y)); /* what made it, from what, and where */
    gr_print_tape(stdout, g);             /* all that was recorded, a line per node */
    char text[80];
    size_t length = gr_tensor_text(y, text, sizeof text); /* as snprintf */
    if (length >= sizeof text) puts("... and more");
}
/* [end] */

/* [anomaly] */
/* The standard deviation by rows: its derivative at a row of equal numbers divides by zero. */
static gr_tensor *deviation(gr_tensor *x)
{
    gr_tensor *centred = gr_sub(x, gr_mean(x, GR_AXES(1), true));
    return gr_sqrt(gr_mean(gr_square(centred), GR_AXES(1), false));
}

static const char *find_the_culprit(gr_graph *g, gr_param *w)
{
    const double rows[] = {1, 2, 3, 4, 0, 0, 0, 0};
    gr_graph_set_anomaly(g, true); /* or GRADUS_ANOMALY=1 in the environment */
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(2, 4), rows);
    gr_tensor *y = deviation(gr_matmul(x, gr_use(g, w)));
    gr_backward(gr_sum_all(y));
    return gr_graph_error(g);
}
/* [end] */

/* [loop] */
/* Ten thousand steps of a recurrent network: what a turn has recorded is forgotten at its end, the
 * state alone goes on. */
static gr_tensor *run_long(gr_graph *g, gr_tensor *h, gr_param *w, double *sum)
{
    gr_scratch_begin(g);
    for (int t = 0; t < 10000; t++) {
        h = gr_tanh(gr_shift(gr_matmul(h, gr_use(g, w)), 0.1));
        *sum += gr_item(gr_mean_all(h));
        gr_scratch_next(g, &h, 1);
    }
    gr_scratch_end(g, &h, 1); /* h is a tensor outside now, with the same value */
    return h;
}
/* [end] */

static gr_param *matrix(const char *name, double phase)
{
    double x[16];
    for (int i = 0; i < 16; i++) x[i] = 0.5 * sin(1.3 * i + phase);
    return gr_param_new(name, GR_F64, GR_SHAPE(4, 4), x);
}

int main(void)
{
    gr_graph *g = gr_graph_new();
    gr_param *wq = matrix("wq", 0), *wk = matrix("wk", 1);
    show(g, attend(g, gr_ones(g, GR_F64, GR_SHAPE(3, 4)), wq, wk));
    gr_graph_reset(g);
    double sum = 0;
    gr_print(stdout, run_long(g, gr_zeros(g, GR_F64, GR_SHAPE(1, 4)), wq, &sum));
    bool failed = gr_graph_error(g) != NULL || !isfinite(sum);
    gr_graph_reset(g);
    const char *error = find_the_culprit(g, wk);
    puts(error ? error : "no anomaly was found");
    failed |= !error || !strstr(error, "recorded by the backward rule of sqrt");
    gr_param_release(wq);
    gr_param_release(wk);
    gr_graph_free(g);
    return failed;
}
