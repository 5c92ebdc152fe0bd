/* workload.h - what is timed: a table of workloads for each topic, and what they share. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "numbers.h"

#include <gradus/graph.h>
#include <gradus/nn.h>
#include <gradus/ops.h>
#include <gradus/optim.h>

enum {
    BATCHES = 8, /* distinct ones, used in turn */
    PARAMS = 3
};

typedef struct job job;

/* Of one batch: int64 below `below`, or float32 in [-1, 1). */
typedef struct content {
    gr_shape shape;
    int64_t below; /* 0: float32 */
} content;

typedef struct workload {
    const char *name;
    void (*build)(job *j);
    double (*step)(job *j, int i); /* what is timed, on batch i; NaN after an error */
    double (*result)(job *j);      /* what every program must agree on; NaN after an error */
    content input, target;         /* of a network */
    gr_tensor *(*loss)(gr_tensor *y, gr_tensor *target);
    const void *detail;
} workload;

struct job {
    const workload *workload;
    gr_graph *g;
    gr_model *model; /* of a network, else NULL */
    gr_module *root;
    gr_optimizer *optimizer;       /* NULL: nothing is trained */
    gr_param *param[PARAMS];       /* where there is no model */
    void *x[BATCHES], *t[BATCHES]; /* inputs and targets */
};

extern const workload image_workloads[], sequence_workloads[], function_workloads[],
    convolution_workloads[]; /* the last of each has no name */

/* --- networks (network.c) --- */

/* With weights and batches that every program can make. */
void set_network(job *j, gr_model *m, gr_module *root, gr_optimizer *optimizer);
double train_step(job *j, int i);
double train_result(job *j); /* the loss on batch 0 */
double infer_step(job *j, int i);
double infer_result(job *j);
/* Cross-entropy along the last axis, its mean over all others. */
gr_tensor *class_loss(gr_tensor *y, gr_tensor *target);

#endif
