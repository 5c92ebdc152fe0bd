/* module.c - checking a model: every parameter and the input, together. */
/* SPDX-License-Identifier: MIT */
#include "stages.h"

#include <gradus/nn.h>

typedef struct module_loss {
    gr_module *net;
    gr_tensor *(*loss)(gr_tensor *y, void *user);
    void *user;
    const void *site; /* who asked for the check: the errors of layers point there */
} module_loss;

/* Buffers are constants; what is checked in float64 reads them so. */
static void bind_buffer(gr_graph *g, gr_param *p)
{
    if (gr_param_dtype(p) == GR_F32) gr_bind(g, p, gr_cast(gr_use(g, p), GR_F64));
}

/* x: the parameters in the model's order, then the input. */
static int record_module(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user)
{
    const module_loss *m = user;
    gr_model *model = gr_module_model(m->net);
    int n = gr_model_params(model);
    for (int i = 0; i < n; i++) gr_bind(g, gr_model_param(model, i), x[i]);
    for (int i = 0; i < gr_model_buffers(model); i++) bind_buffer(g, gr_model_buffer(model, i));
    gr_site_begin(g, m->site);
    y[0] = gr_forward(m->net, x[n]);
    gr_site_end(g);
    if (m->loss) y[0] = m->loss(y[0], m->user);
    return 1;
}

/* Frozen parameters are constants, but in float64 as all others. */
static void list_inputs(gr_model *model, int n, const gr_check_input *x, gr__input *in)
{
    for (int i = 0; i < n; i++) {
        gr_param *p = gr_model_param(model, i);
        in[i] = (gr__input){gr_model_param_name(model, i), gr_param_dtype(p), *gr_param_shape(p),
                            gr_param_data(p), gr_param_frozen(p)};
    }
    in[n] = (gr__input){x->name ? x->name : "input", x->dtype, x->shape, x->data, false};
}

/* Checks d loss / d p for every parameter of net's model and d loss / d x for the input, all in one
 * direction at first, as gr_gradcheck does. The parameters are bound to float64 copies of their
 * values and do not change; dropout acts as the model's training mode says. report may be NULL. */
gr_verdict gr_gradcheck_module(gr_module *net, const gr_check_input *x,
                               gr_tensor *(*loss)(gr_tensor *y, void *user), void *user,
                               gr_check_options o, gr_check_report *report)
{
    gr_check_report own;
    gr_model *model = gr_module_model(net);
    module_loss m = {net, loss, user, GR_HERE};
    if (!report) report = &own;
    *report = (gr_check_report){.verdict = GR_PASS};
    const char *problem = net ? gr_model_error(model) : "the module is NULL";
    if (!problem && !x) problem = "the input is NULL";
    if (problem) {
        gr__report(report, GR_FAIL, "S0", "%s", problem);
        return report->verdict;
    }
    int n = gr_model_params(model);
    gr__input *in = gr__alloc((size_t)(n + 1) * sizeof *in);
    if (!in) {
        gr__report(report, GR_FAIL, "S0", "out of memory");
        return report->verdict;
    }
    list_inputs(model, n, x, in);
    gr__check_function(in, n + 1, record_module, &m, o, report);
    gr__free(in);
    return report->verdict;
}
