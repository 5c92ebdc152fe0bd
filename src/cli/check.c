/* check.c - gradus check: numerical against analytic gradients, of ops or of a trained network. */
/* SPDX-License-Identifier: MIT */
#include "check_so.h"
#include "findings.h"
#include "options.h"
#include "progress.h"
#include "replay.h"
#include "weights.h"

#include <gradus/check.h>
#include <stdio.h>
#include <string.h>

/* --- options --- */

typedef struct request {
    const char *op, *plot, *model, *weights, *data, *so, *dtype, *replay;
    int64_t order, seed, batch, threads, timeout;
    bool json, tap;
    gr_check_options options;
} request;

static const char more[] =
    "Without --model every op is checked at the samples that it comes with; with it a trained\n"
    "network, in float64, at a batch of test images; with --so the ops and C functions of a\n"
    "shared object of yours (see <gradus/plugin.h>), each in a process of its own.\n\n"
    "example:\n"
    "  gradus check --op tanh --order 2\n"
    "  gradus check --op tanh --plot tanh.svg\n"
    "  gradus check --model lenet5 --weights out/model.safetensors --data digits\n"
    "  gradus check --so ./my_op.so\n"
    "  gradus check --replay op=tanh:sample=2:layout=1:seed=7:order=1:round=3\n\n"
    "exit status: 0 all pass, 1 a gradient is wrong or the check failed, 2 wrong usage,\n"
    "3 nothing is wrong but something could not be decided\n";

static int check_request(const usage *u, const request *q)
{
    const char *subject = q->so ? "--so" : q->model ? "--model" : "--op";
    if (q->replay && (q->op || q->model || q->so))
        return options_error(u, "--replay and %s exclude each other: the case names its op",
                             subject);
    if (q->so && (q->op || q->model))
        return options_error(u, "--so and %s exclude each other", q->op ? "--op" : "--model");
    if (q->op && q->model) return options_error(u, "--op and --model exclude each other");
    if (q->op && !gr_op_find(q->op))
        return options_error(u, "--op: expected the name of an op, got '%s'", q->op);
    if (q->plot && !q->op) return options_error(u, "--plot needs --op NAME");
    if (q->model && !network_find(q->model))
        return options_error(u, "--model: expected %s, got '%s'", network_names(), q->model);
    if (q->model && !q->weights) return options_error(u, "--model needs --weights FILE");
    if (q->weights && !q->model) return options_error(u, "--weights needs --model NAME");
    if (q->json && q->tap) return options_error(u, "--json and --tap exclude each other");
    return DONE;
}

static int read_options(const usage *u, request *q)
{
    const gr_op *op;
    char wrong[64];
    const bool single = q->dtype && !strcmp(q->dtype, "float32");
    if (q->dtype && !single && strcmp(q->dtype, "float64") != 0)
        return options_error(u, "--dtype: expected float32 or float64, got '%s'", q->dtype);
    q->options = (gr_check_options){.seed = (uint64_t)q->seed, .order = (int)q->order};
    if (single) q->options.stages = GR_CHECK_FLOAT32;
    if (!q->replay) return DONE;
    if (!replay_parse(q->replay, &op, &q->options, wrong))
        return options_error(u, "--replay: expected a case as in a failing report, got '%s'",
                             wrong);
    q->op = op->name;
    return DONE;
}

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {
        {"op", &option_text, &q->op, "NAME", "this op only", 0, 0},
        {"plot", &option_text, &q->plot, "FILE", "draw the op's differences over the step (SVG)", 0,
         0},
        {"order", &option_whole, &q->order, "1|2", "2: second derivatives as well", 1, 2},
        {"seed", &option_whole, &q->seed, "N", "of the values and directions (default 1)", 0, 9e15},
        {"model", &option_text, &q->model, "mlp|lenet5", "a trained network instead of ops", 0, 0},
        {"weights", &option_text, &q->weights, "FILE", "model.safetensors of gradus train", 0, 0},
        {"data", &option_text, &q->data, "digits|DIR", "where its batch comes from", 0, 0},
        {"batch", &option_whole, &q->batch, "N", "images in the batch (default 8)", 1, 256},
        {"so", &option_text, &q->so, "FILE", "your compiled functions instead of the ops", 0, 0},
        {"timeout", &option_whole, &q->timeout, "S", "seconds for each of them (default 60)", 1,
         86400},
        {"threads", &option_whole, &q->threads, "N", "default: one per core", 1, 1024},
        {"dtype", &option_text, &q->dtype, "float32|float64",
         "float32: only that kernels agree with those of float64", 0, 0},
        {"replay", &option_text, &q->replay, "CASE", "one case, as a failing report names it", 0,
         0},
        {"json", &option_flag, &q->json, NULL,
         "a JSON object per line: what did not pass, last the sum", 0, 0},
        {"tap", &option_flag, &q->tap, NULL, "TAP, version 13", 0, 0},
        {0}};
    const usage u = {"check", "check the gradients of all ops, or of a trained network",
                     NULL,    NULL,
                     NULL,    options,
                     more};
    *q = (request){.data = "digits", .order = 1, .seed = 1, .batch = 8, .timeout = 60};
    int stop = options_parse(&u, argc, argv);
    if (stop) return stop;
    if (q->threads) gr_set_threads((int)q->threads);
    stop = check_request(&u, q);
    return stop ? stop : read_options(&u, q);
}

static format format_of(const request *q)
{
    return q->json ? AS_JSON : q->tap ? AS_TAP : AS_TABLE;
}

/* --- ops --- */

static int check_ops(const request *q)
{
    findings f;
    gr__progress bar;
    if (q->plot && gr_gradcheck_plot_op(gr_op_find(q->op), (uint64_t)q->seed, q->plot))
        return fail("check");
    findings_begin(&f, format_of(q), "op", "ops");
    gr__progress_begin(&bar, gr__is_terminal(stderr) ? stderr : NULL, "checking", gr_op_count());
    for (int i = 0; i < gr_op_count(); i++) {
        gr_check_report r;
        const gr_op *op = gr_op_at(i);
        if (q->op && strcmp(q->op, op->name)) continue;
        gr__progress_show(&bar, i, "%s", op->name);
        gr_gradcheck_op(op, q->options, &r);
        findings_add(&f, op->name, &r);
    }
    gr__progress_end(&bar, "%d ops", gr_op_count());
    return findings_finish(&f);
}

/* --- a trained network --- */

typedef struct labels {
    const int64_t *y;
    int64_t n;
} labels;

static gr_tensor *loss_of(gr_tensor *y, void *user)
{
    const labels *l = user;
    return gr_cross_entropy(y, gr_from_data(gr_graph_of(y), GR_I64, (gr_shape){1, {l->n}}, l->y));
}

/* The first images of the test set, in float64; to be freed. */
static double *first_images(const gr_dataset *d, int64_t n)
{
    int64_t numel = n * gr_shape_numel(&d->shape);
    double *x = gr__alloc((size_t)numel * sizeof *x);
    for (int64_t i = 0; x && i < numel; i++) x[i] = (double)d->x[i];
    return x;
}

static gr_status check_network(const request *q, const gr_dataset *d, const weights *w,
                               gr_check_report *r)
{
    labels l = {d->y, q->batch < d->n ? q->batch : d->n};
    double *x = first_images(d, l.n);
    if (!x) return GR_ERR_MEMORY;
    gr_check_input input = {.name = "images", .dtype = GR_F64, .data = x};
    input.shape = (gr_shape){.rank = d->shape.rank + 1, .dim = {l.n}};
    memcpy(input.shape.dim + 1, d->shape.dim, (size_t)d->shape.rank * sizeof *d->shape.dim);
    gr_gradcheck_module(w->net, &input, loss_of, &l, q->options, r);
    gr__free(x);
    return GR_OK;
}

static int check_model(const request *q)
{
    weights w;
    findings f;
    gr_check_report r;
    gr_dataset *d = source_test(q->data);
    if (!d) return fail("check");
    gr_status status = weights_load(&w, q->weights, q->model, d);
    if (!status) {
        gr_dataset_normalize(d, w.scaling.mean, w.scaling.std);
        status = check_network(q, d, &w, &r);
        weights_release(&w);
    }
    gr_dataset_free(d);
    if (status) return fail("check");
    findings_begin(&f, format_of(q), "network", "networks");
    findings_add(&f, q->model, &r);
    return findings_finish(&f);
}

/* --- a user's shared object --- */

static void add_found(void *ctx, const char *name, const gr_check_report *r)
{
    findings_add(ctx, name, r);
}

static int check_shared_object(const request *q)
{
    findings f;
    const so_request so = {q->so, q->options, (int)q->timeout, (int)q->threads};
    findings_begin(&f, format_of(q), "function", "functions");
    gr_status status = check_so(&so, add_found, &f);
    if (!status) return findings_finish(&f);
    findings_release(&f);
    return fail("check");
}

int check_run(int argc, char **argv)
{
    request q;
    int stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    if (q.so) return check_shared_object(&q);
    return q.model ? check_model(&q) : check_ops(&q);
}
