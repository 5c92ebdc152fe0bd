/* flow.c - gradus flow: where in a network values or gradients vanish or explode. */
/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "weights.h"

#include <gradus/profile.h>
#include <stdio.h>
#include <string.h>

/* --- options --- */

typedef struct request {
    const char *model, *weights, *data, *by, *plot;
    int64_t batch, seed;
    const network *network;
    gr_flow_options options;
} request;

static const char more[] =
    "Records the loss of a batch of training images and measures the norm of what each layer "
    "gives\n"
    "and of the gradient that comes back to it: of fresh weights, or of trained ones.\n\n"
    "example:\n"
    "  gradus flow lenet5 --by params\n"
    "  gradus flow lenet5 --weights out/model.safetensors --plot flow.svg\n\n"
    "exit status: 0 done, 1 failed, 2 wrong usage\n";

static const char *const measures[] = {
    [GR_FLOW_NODES] = "nodes", [GR_FLOW_SCOPES] = "layers", [GR_FLOW_PARAMS] = "params"};
enum { MEASURES = sizeof measures / sizeof *measures };

static int read_by(const usage *u, request *q)
{
    for (int i = 0; i < MEASURES; i++) {
        if (strcmp(q->by, measures[i])) continue;
        q->options.by = (gr_flow_by)i;
        return DONE;
    }
    return options_error(u, "--by: expected layers, params or nodes, got '%s'", q->by);
}

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {
        {"by", &option_text, &q->by, "WHAT", "layers, params or nodes (default: layers)", 0, 0},
        {"weights", &option_text, &q->weights, "FILE", "model.safetensors of gradus train", 0, 0},
        {"data", &option_text, &q->data, "digits|DIR", "where the batch comes from", 0, 0},
        {"batch", &option_whole, &q->batch, "N", "images in the batch (default 64)", 1, 65536},
        {"seed", &option_whole, &q->seed, "N", "of fresh weights and dropout (default 1)", 0, 9e15},
        {"plot", &option_text, &q->plot, "FILE", "draw the norms as bars (SVG)", 0, 0},
        {0}};
    const usage u = {"flow",       "where in a network values or gradients vanish or explode",
                     "mlp|lenet5", "the network",
                     &q->model,    options,
                     more};
    *q = (request){.data = "digits", .by = "layers", .batch = 64, .seed = 1};
    int stop = options_parse(&u, argc, argv);
    if (stop) return stop;
    if (!q->model) return options_error(&u, "which network? expected %s", network_names());
    q->network = network_find(q->model);
    if (q->network) return read_by(&u, q);
    return options_error(&u, "unknown network '%s': expected %s", q->model, network_names());
}

/* --- measuring --- */

/* The network with the weights asked for, in training mode. */
static gr_status get_network(const request *q, const gr_dataset *d, weights *w)
{
    gr_status status = GR_OK;
    *w = (weights){.network = q->network};
    if (q->weights) {
        status = weights_load(w, q->weights, q->model, d);
    } else {
        w->model = gr_model_new();
        gr_model_seed(w->model, (uint64_t)q->seed);
        w->net = q->network->build(w->model, &d->shape, d->classes, (variant){0});
    }
    if (!status) gr_model_set_training(w->model, true);
    return status;
}

static bool report(const gr_flow *f)
{
    gr__text t = {0};
    size_t n = gr_flow_text(f, NULL, 0);
    char *room = n ? gr__text_room(&t, n) : NULL;
    if (!room || !gr_flow_text(f, room, n + 1)) t.failed = true;
    bool printed = print_text(&t);
    gr__text_release(&t);
    return printed;
}

static gr_status measure(const request *q, const gr_dataset *d, const weights *w)
{
    char title[128];
    gr_flow f = {.n = 0};
    gr_graph *g = gr_graph_new();
    gr_graph_seed(g, (uint64_t)q->seed);
    gr_status status = gr_flow_measure(network_loss(g, w->net, d, q->batch), q->options, &f);
    if (gr_graph_error(g)) status = gr__fail(gr_graph_status(g), "%s", gr_graph_error(g));
    snprintf(title, sizeof title, "%s, %s, %s", q->network->name,
             q->weights ? "trained" : "fresh weights", q->by);
    if (!status && q->plot) status = gr_flow_plot(&f, title, q->plot);
    if (!status && !report(&f)) status = GR_ERR_FILE;
    gr_flow_release(&f);
    gr_graph_free(g);
    return status;
}

int flow_run(int argc, char **argv)
{
    request q;
    split s;
    weights w;
    int stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    if (source_split(q.data, &s)) return fail("flow");
    gr_status status = get_network(&q, s.train, &w);
    if (!status) status = measure(&q, s.train, &w);
    if (status) fail("flow");
    weights_release(&w);
    split_release(&s);
    return status ? FAILED : DONE;
}
