/* trial.h - one check of correct code, and what is drawn for it. */
/* SPDX-License-Identifier: MIT */
#ifndef TRIAL_H
#define TRIAL_H

#include <gradus/check.h>

enum { TRIAL_INPUTS = 6 };

typedef struct trial {
    uint64_t seed;
    uint64_t drawn; /* numbers so far */
    gr_check_input in[TRIAL_INPUTS];
    void *data[TRIAL_INPUTS];
    int n;
    gr_check_options options;
    gr_check_report report;
    int64_t choice[8]; /* for the function under check */
} trial;

/* A kind of correct code. */
typedef struct subject {
    const char *name;
    int share; /* of 1000 checks */
    void (*check)(trial *t);
    int order; /* 0: 1 and 2 by turns */
} subject;

extern const subject expression_subjects[]; /* lists end with a NULL name */
extern const subject function_subjects[];
extern const subject network_subjects[];

double trial_uniform(trial *t);
int64_t trial_pick(trial *t, int64_t low, int64_t high); /* both included */
void trial_floats(trial *t, gr_shape shape, double low, double high);
void trial_indices(trial *t, gr_shape shape, int64_t end);
void trial_check(trial *t, gr_check_fn *f);

#endif
