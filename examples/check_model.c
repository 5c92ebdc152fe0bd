/* check_model.c - is the gradient of a function, of a whole model right? */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

/* [function] */
/* The energy of a chain of springs: (|x_0 - x_1| - 1)^2 + (|x_1 - x_2| - 1)^2 + ... */
static gr_tensor *energy(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    gr_tensor *left = gr_slice(x[0], 0, 0, 4, 1), *right = gr_slice(x[0], 0, 1, 5, 1);
    (void)g, (void)n, (void)user;
    return gr_sum_all(gr_square(gr_shift(gr_abs(gr_sub(right, left)), -1)));
}

static gr_verdict check_energy(gr_check_report *r)
{
    const double at[5] = {0, 1.2, 1.9, 3.3, 4};
    const gr_check_input x = {"x", GR_F64, GR_SHAPE(5), at};
    return gr_gradcheck(energy, NULL, &x, 1, (gr_check_options){.order = 2}, r);
}
/* [end] */

/* [model] */
static gr_tensor *loss(gr_tensor *y, void *labels)
{
    return gr_cross_entropy(y, gr_from_data(gr_graph_of(y), GR_I64, GR_SHAPE(3), labels));
}

static gr_verdict check_classifier(gr_check_report *r)
{
    const float batch[3][4] = {{0, 1, 0.5f, 0}, {0.25f, 0, 0, 1}, {1, 0.5f, 0, 0.75f}};
    int64_t labels[3] = {2, 0, 1};
    const gr_check_input x = {"batch", GR_F32, GR_SHAPE(3, 4), batch};
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m,
                                   GR_LIST(gr_linear_layer(m, 4, 16), gr_relu_layer(m),
                                           gr_dropout_layer(m, 0.25), gr_linear_layer(m, 16, 3)));
    gr_verdict verdict = gr_gradcheck_module(net, &x, loss, labels, (gr_check_options){0}, r);
    gr_model_free(m);
    return verdict;
}
/* [end] */

int main(void)
{
    gr_check_report energy_report, model_report;
    gr_verdict first = check_energy(&energy_report), second = check_classifier(&model_report);
    printf("energy:     %s, %s\n", gr_verdict_name(first), energy_report.message);
    printf("classifier: %s, %s\n", gr_verdict_name(second), model_report.message);
    return first != GR_PASS || second != GR_PASS;
}
