/* workloads.c - runs one workload and prints a JSON line; peer_torch.py is the same in PyTorch. */
/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOSS_STEPS = 10 }; /* of training before the loss that all programs must agree on */

enum { LEAST_STEPS = 2 };

typedef struct options {
    const workload *workload;
    int threads;
    int steps;      /* at most; fewer when the time is up */
    double seconds; /* for what is timed, and a third of it before */
    bool unchecked; /* nothing before the warm-up: no result */
    bool bfloat16;
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

typedef struct measures {
    double *step; /* ms of each of n */
    int n;
    double cpu; /* ms of all threads together, the mean of the steps */
    double result;
} measures;

/* Trains for LOSS_STEPS, so that rounding errors had their time. False after an error. */
static bool check(job *j, measures *m)
{
    const int steps = j->optimizer ? LOSS_STEPS : 0;
    for (int i = 0; i < steps; i++)
        if (isnan(j->workload->step(j, i))) return false;
    m->result = j->workload->result(j);
    return !isnan(m->result);
}

/* At least `least` steps, more until o->steps are done or the time is up. False after an error. */
static bool repeat(job *j, const options *o, int least, double ms, measures *m)
{
    const double begun = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    double last = begun;
    for (m->n = 0; m->n < least || (m->n < o->steps && last - begun < ms); m->n++) {
        if (isnan(j->workload->step(j, m->n))) return false;
        const double now = now_ms(CLOCK_MONOTONIC);
        m->step[m->n] = now - last;
        last = now;
    }
    m->cpu = (now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu) / m->n;
    return true;
}

static bool measure(job *j, const options *o, measures *m)
{
    const double ms = 1e3 * o->seconds;
    const bool warm = o->unchecked ? repeat(j, o, 1, ms / 3, m) : check(j, m);
    return warm && repeat(j, o, LEAST_STEPS, ms, m);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const options *o, const measures *m, double idle_mb)
{
    const int n = m->n;
    qsort(m->step, (size_t)n, sizeof *m->step, by_value);
    const double median = (m->step[(n - 1) / 2] + m->step[n / 2]) / 2, peak = status_mb("VmHWM");
    printf("{\"workload\": \"%s\", \"threads\": %d, \"steps\": %d, \"step_ms\": %.6g, "
           "\"step_ms_min\": %.6g, \"cpu_ms\": %.6g, ",
           o->workload->name, o->threads, n, median, m->step[0], m->cpu);
    if (!o->unchecked) printf("\"loss10\": %.9g, ", m->result);
    printf("\"peak_mb\": %.1f, \"peak_minus_idle_mb\": %.1f, \"version\": \"Gradus %s\"}\n", peak,
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
    measures m = {.step = allocate((size_t)o->steps * sizeof *m.step)};
    if (o->bfloat16) gr_graph_set_precision(j.g, GR_PRECISION_BFLOAT16);
    o->workload->build(&j);
    const bool fine = measure(&j, o, &m);
    if (fine) report(o, &m, idle);
    else fprintf(stderr, "workloads: %s: %s\n", o->workload->name, failure(&j));
    release(&j);
    free(m.step);
    return fine;
}

/* --- the command line --- */

/* The option at argv[i], and its value if it has one: how many words, 0 for none known. */
static int parse_option(char **argv, options *o)
{
    const char *value = argv[1] ? argv[1] : "";
    if (strcmp(*argv, "--unchecked") == 0) return o->unchecked = true;
    if (strcmp(*argv, "--bfloat16") == 0) return o->bfloat16 = true;
    if (strcmp(*argv, "--threads") == 0) return (o->threads = atoi(value)) > 0 ? 2 : 0;
    if (strcmp(*argv, "--steps") == 0) return (o->steps = atoi(value)) > 0 ? 2 : 0;
    if (strcmp(*argv, "--seconds") == 0) return (o->seconds = atof(value)) > 0 ? 2 : 0;
    return (o->workload = find_workload(*argv)) != NULL;
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1, words; i < argc; i += words)
        if (!(words = parse_option(argv + i, o))) return false;
    return o->workload != NULL && o->steps >= LEAST_STEPS;
}

static void print_names(FILE *out)
{
    for (int i = 0; i < GROUPS; i++)
        for (const workload *w = groups[i]; w->name; w++) fprintf(out, " %s", w->name);
    fprintf(out, "\n");
}

int main(int argc, char **argv)
{
    options o = {.threads = 1, .steps = 1000, .seconds = 1};
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        print_names(stdout);
        return 0;
    }
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: workloads NAME [--threads N] [--steps MOST] [--seconds S] "
                        "[--unchecked] [--bfloat16]\n       workloads --list\nNAME:");
        print_names(stderr);
        return 2;
    }
    return run(&o) ? 0 : 1;
}
