/* measure.h - the command line, the clock and the JSON line of every program that is compared. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NAME [--threads N] [--steps MOST] [--seconds S] [--unchecked] [--bfloat16] */
typedef struct options {
    const char *name; /* of the workload */
    int threads;
    int steps;      /* at most; fewer when the time is up */
    double seconds; /* for what is timed, and a third of it before */
    bool unchecked; /* nothing before the warm-up: no result */
    bool bfloat16;
} options;

/* What is timed; functions get `state`, and give NaN after an error. */
typedef struct task {
    void *state;
    double (*step)(void *state, int i);
    double (*result)(void *state); /* what every program must agree on */
    bool trains;                   /* then 10 steps come before the result */
    const char *version;
} task;

bool parse_options(int argc, char **argv, options *o); /* false: not understood */
double idle_mb(void);                                  /* what the process takes now */
bool measure(const task *t, const options *o,
             double idle); /* prints the line; false after an error */

#ifdef __cplusplus
}
#endif
#endif
