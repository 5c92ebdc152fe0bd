/* measure.c - times the steps of a task. */
/* SPDX-License-Identifier: MIT */
#include "measure.h"
#include "numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOSS_STEPS = 10, LEAST_STEPS = 2 };

/* --- the command line --- */

/* How many words the option at argv[0] takes; 0: not understood. */
static int parse_option(char **argv, options *o)
{
    const char *value = argv[1] ? argv[1] : "";
    if (strcmp(*argv, "--unchecked") == 0) return o->unchecked = true;
    if (strcmp(*argv, "--bfloat16") == 0) return o->bfloat16 = true;
    if (strcmp(*argv, "--threads") == 0) return (o->threads = atoi(value)) > 0 ? 2 : 0;
    if (strcmp(*argv, "--steps") == 0) return (o->steps = atoi(value)) > 0 ? 2 : 0;
    if (strcmp(*argv, "--seconds") == 0) return (o->seconds = atof(value)) > 0 ? 2 : 0;
    if (**argv == '-' || o->name) return 0;
    o->name = *argv;
    return 1;
}

bool parse_options(int argc, char **argv, options *o)
{
    *o = (options){.threads = 1, .steps = 20000, .seconds = 1};
    for (int i = 1, words; i < argc; i += words)
        if (!(words = parse_option(argv + i, o))) return false;
    return o->name != NULL;
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

double idle_mb(void)
{
    return status_mb("VmRSS");
}

typedef struct measures {
    double *step; /* ms of each of n */
    int n;
    double cpu; /* ms of all threads together, the mean of the steps */
    double result;
} measures;

/* Trains for LOSS_STEPS, so that rounding errors have their time. False after an error. */
static bool check(const task *t, measures *m)
{
    for (int i = 0; t->trains && i < LOSS_STEPS; i++)
        if (isnan(t->step(t->state, i))) return false;
    m->result = t->result(t->state);
    return !isnan(m->result);
}

/* At least `least` steps, more until o->steps are done or the time is up. False after an error. */
static bool repeat(const task *t, const options *o, int least, double ms, measures *m)
{
    const double begun = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    double last = begun;
    for (m->n = 0; m->n < least || (m->n < o->steps && last - begun < ms); m->n++) {
        if (isnan(t->step(t->state, m->n))) return false;
        const double now = now_ms(CLOCK_MONOTONIC);
        m->step[m->n] = now - last;
        last = now;
    }
    m->cpu = (now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu) / m->n;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const task *t, const options *o, const measures *m, double idle)
{
    const int n = m->n;
    qsort(m->step, (size_t)n, sizeof *m->step, by_value);
    const double median = (m->step[(n - 1) / 2] + m->step[n / 2]) / 2, peak = status_mb("VmHWM");
    printf("{\"workload\": \"%s\", \"threads\": %d, \"steps\": %d, \"step_ms\": %.6g, "
           "\"step_ms_min\": %.6g, \"cpu_ms\": %.6g, ",
           o->name, o->threads, n, median, m->step[0], m->cpu);
    if (!o->unchecked) printf("\"loss10\": %.9g, ", m->result);
    printf("\"peak_mb\": %.1f, \"peak_minus_idle_mb\": %.1f, \"version\": \"%s\"}\n", peak,
           peak - idle, t->version);
}

bool measure(const task *t, const options *o, double idle)
{
    const double ms = 1e3 * o->seconds;
    measures m = {.step = allocate((size_t)o->steps * sizeof *m.step)};
    const bool warm = o->unchecked ? repeat(t, o, 1, ms / 3, &m) : check(t, &m);
    const int least = o->steps < LEAST_STEPS ? o->steps : LEAST_STEPS;
    const bool fine = warm && repeat(t, o, least, ms, &m);
    if (fine) report(t, o, &m, idle);
    free(m.step);
    return fine;
}
