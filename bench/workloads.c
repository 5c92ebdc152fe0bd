/* workloads.c - runs one workload and prints a JSON line; peer_torch.py is the same in PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "measure.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const workload *const groups[] = {image_workloads, sequence_workloads, function_workloads,
                                         convolution_workloads};
enum { GROUPS = sizeof groups / sizeof *groups };

static const workload *find_workload(const char *name)
{
    for (int i = 0; i < GROUPS; i++)
        for (const workload *w = groups[i]; w->name; w++)
            if (strcmp(w->name, name) == 0) return w;
    return NULL;
}

static double step(void *state, int i)
{
    job *j = state;
    return j->workload->step(j, i);
}

static double result(void *state)
{
    job *j = state;
    return j->workload->result(j);
}

/* The first thing that failed, whichever object it stuck to. */
static const char *failure(const job *j)
{
    const char *text = j->model ? gr_model_error(j->model) : NULL;
    if (!text && j->optimizer) text = gr_optimizer_error(j->optimizer);
    if (!text) text = gr_graph_error(j->g);
    return text ? text : gr_last_error();
}

static void release(job *j)
{
    gr_graph_free(j->g);
    gr_optimizer_free(j->optimizer);
    gr_model_free(j->model);
    for (int i = 0; i < PARAMS; i++) gr_param_release(j->param[i]);
    for (int b = 0; b < BATCHES; b++) {
        free(j->x[b]);
        free(j->t[b]);
    }
}

static bool run(const workload *w, const options *o)
{
    char version[32];
    snprintf(version, sizeof version, "Gradus %s", gr_version());
    gr_set_threads(o->threads);
    const double idle = idle_mb();
    job j = {.workload = w, .g = gr_graph_new()};
    if (o->bfloat16) gr_graph_set_precision(j.g, GR_PRECISION_BFLOAT16);
    w->build(&j);
    const task t = {&j, step, result, j.optimizer != NULL, version};
    const bool fine = measure(&t, o, idle);
    if (!fine) fprintf(stderr, "workloads: %s: %s\n", w->name, failure(&j));
    release(&j);
    return fine;
}

static void print_names(FILE *out)
{
    for (int i = 0; i < GROUPS; i++)
        for (const workload *w = groups[i]; w->name; w++) fprintf(out, " %s", w->name);
    fprintf(out, "\n");
}

int main(int argc, char **argv)
{
    options o;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        print_names(stdout);
        return 0;
    }
    const workload *w = parse_options(argc, argv, &o) ? find_workload(o.name) : NULL;
    if (!w) {
        fprintf(stderr, "usage: workloads NAME [--threads N] [--steps MOST] [--seconds S] "
                        "[--unchecked] [--bfloat16]\n       workloads --list\nNAME:");
        print_names(stderr);
        return 2;
    }
    return run(w, &o) ? 0 : 1;
}
