/* workloads.c - runs one workload and prints a JSON line; peer_torch.py is the same in PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOSS_STEPS = 10 }; /* of training before the loss that all programs must agree on */

typedef struct options {
    const workload *workload;
    int threads, steps, warmup;
} options;

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

/* --- measuring --- */

static double now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* VmHWM or VmRSS: unlike ru_maxrss, not inherited from the program that started us. */
static double status_mb(const char *key)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) kb = strtol(line + strlen(key) + 1, NULL, 10);
    fclose(f);
    return (double)kb / 1024;
}

typedef struct times {
    double *step; /* ms */
    double cpu;   /* ms of all threads together, the mean of the steps */
    double result;
} times;

/* False after an error. */
static bool measure(job *j, const options *o, times *t)
{
    const int first = j->optimizer ? LOSS_STEPS : 0;
    double last = 0, cpu = 0;
    for (int i = 0; i < first && !isnan(last); i++) last = j->workload->step(j, i);
    t->result = isnan(last) ? NAN : j->workload->result(j);
    if (isnan(t->result)) return false;
    for (int i = -o->warmup; i < o->steps; i++) {
        if (i == 0) cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
        const double start = now_ms(CLOCK_MONOTONIC);
        if (isnan(j->workload->step(j, i + o->warmup + first))) return false;
        if (i >= 0) t->step[i] = now_ms(CLOCK_MONOTONIC) - start;
    }
    t->cpu = (now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu) / o->steps;
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const options *o, const times *t, double idle_mb)
{
    const int n = o->steps;
    qsort(t->step, (size_t)n, sizeof *t->step, by_value);
    const double median = (t->step[(n - 1) / 2] + t->step[n / 2]) / 2, peak = status_mb("VmHWM");
    printf("{\"workload\": \"%s\", \"threads\": %d, \"step_ms\": %.6g, \"step_ms_min\": %.6g, "
           "\"cpu_ms\": %.6g, \"loss10\": %.9g, \"peak_mb\": %.1f, \"peak_minus_idle_mb\": %.1f, "
           "\"version\": \"Gradus %s\"}\n",
           o->workload->name, o->threads, median, t->step[0], t->cpu, t->result, peak,
           peak - idle_mb, gr_version());
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

static bool run(const options *o)
{
    gr_set_threads(o->threads);
    const double idle = status_mb("VmRSS");
    job j = {.workload = o->workload, .g = gr_graph_new()};
    times t = {.step = allocate((size_t)o->steps * sizeof *t.step)};
    o->workload->build(&j);
    const bool fine = measure(&j, o, &t);
    if (fine) report(o, &t, idle);
    else fprintf(stderr, "workloads: %s: %s\n", o->workload->name, failure(&j));
    release(&j);
    free(t.step);
    return fine;
}

/* --- the command line --- */

static bool parse(int argc, char **argv, options *o)
{
    const struct {
        const char *name;
        int *value, least;
    } numbers[] = {{"--threads", &o->threads, 1},
                   {"--steps", &o->steps, 1},
                   {"--warmup", &o->warmup, 0}};
    for (int i = 1; i < argc; i++) {
        int k = 0, known = sizeof numbers / sizeof *numbers;
        while (k < known && strcmp(argv[i], numbers[k].name) != 0) k++;
        if (k == known) o->workload = find_workload(argv[i]);
        else if (i + 1 < argc) *numbers[k].value = atoi(argv[++i]);
        if (k < known && *numbers[k].value < numbers[k].least) return false;
    }
    return o->workload != NULL;
}

static void usage(void)
{
    fprintf(stderr, "usage: workloads NAME [--threads N] [--steps S] [--warmup W]\nNAME:");
    for (int i = 0; i < GROUPS; i++)
        for (const workload *w = groups[i]; w->name; w++) fprintf(stderr, " %s", w->name);
    fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
    options o = {.threads = 1, .steps = 20, .warmup = 3};
    if (!parse(argc, argv, &o)) {
        usage();
        return 2;
    }
    return run(&o) ? 0 : 1;
}
