/* training.c - the digits with callbacks, metrics, a search for the rate, and a verdict. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

static gr_module *build(gr_model *m, int64_t hidden)
{
    return gr_sequential(m, GR_LIST(gr_flatten_layer(m), gr_linear_layer(m, 64, hidden),
                                    gr_relu_layer(m), gr_linear_layer(m, hidden, 10)));
}

/* [callback] */
/* Says what the best epoch so far was; whatever a callback needs stands behind self. */
static gr_status say_best(void *self, gr_training *run)
{
    const gr_epoch *best = &run->history->epochs[run->history->best];
    printf("%s: epoch %d  val_loss %.3f\n", (const char *)self, best->epoch, best->val_loss);
    return GR_OK;
}
/* [end] */

static gr_status fit(gr_module *net, gr_optimizer *opt, const gr_parts *parts, gr_history *h)
{
    /* [fit] */
    gr_callback best = {.name = "best", .epoch = say_best, .self = "best so far"};
    return gr_fit(net, opt, parts->train,
                  (gr_fit_options){.epochs = 12,
                                   .batch = 32,
                                   .validation = parts->validation,
                                   .metrics = GR_MEASURE(gr_metric_top_k(3)),
                                   .loader.augment = {.rotate = 5},
                                   .callbacks = GR_CALLBACKS(best, gr_stop_on_interrupt(),
                                                             gr_early_stop((gr_early_stop_options){
                                                                 .patience = 3}))},
                  h);
    /* [end] */
}

/* [search] */
/* A trial: x holds a learning rate and a width, budget the epochs. */
static gr_status trial(void *user, const double *x, int budget, double *score)
{
    const gr_parts *parts = user;
    gr_evaluation e;
    gr_model *m = gr_model_new();
    gr_module *net = build(m, (int64_t)x[1]);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = x[0]});
    gr_status status = gr_fit(net, opt, parts->train, (gr_fit_options){.epochs = budget}, NULL);
    if (!status) status = gr_evaluate(net, parts->validation, &e, NULL);
    if (!status) *score = e.loss;
    gr_optimizer_free(opt);
    gr_model_free(m);
    return status;
}

static gr_status search(gr_parts *parts)
{
    const gr_dimension space[] = {
        {.name = "lr", .low = 1e-4, .high = 1, .log = true},
        {.name = "hidden", .low = 8, .high = 64, .log = true, .whole = true}};
    char table[4096];
    gr_search_results r;
    gr_status status = gr_search(
        space, 2, trial, parts,
        (gr_search_options){.kind = GR_SEARCH_HALVING, .trials = 9, .budget = 3, .seed = 1}, &r);
    if (!status && gr_search_text(&r, table, sizeof table)) printf("%s", table);
    gr_search_release(&r);
    return status;
}
/* [end] */

static gr_status run(gr_parts *parts)
{
    gr_model *m = gr_model_new();
    gr_module *net = build(m, 64);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_history h;
    gr_status status = fit(net, opt, parts, &h);
    /* [report] */
    gr_fit_report r;
    char text[1024];
    if (!status)
        status = gr_report_fit(net, parts->train, parts->validation, parts->test,
                               (gr_report_options){0}, &r);
    if (!status && gr_fit_report_text(&r, text, sizeof text)) printf("%s", text);
    /* [end] */
    if (!status) status = search(parts);
    gr_history_release(&h);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return status;
}

int main(void)
{
    gr_parts parts = {0};
    gr_dataset *all = gr_digits();
    gr_split_options o = {.validation = 0.2, .test = 0.2, .stratified = true, .seed = 1};
    gr_status status = all ? gr_split_dataset(all, o, &parts) : GR_ERR_MEMORY;
    if (!status) status = run(&parts);
    if (status) fprintf(stderr, "training: %s\n", gr_last_error());
    gr_parts_release(&parts);
    gr_dataset_free(all);
    return status;
}
