/* network.h - a random network of heavy ops, recorded again and again in different circumstances. */
/* SPDX-License-Identifier: MIT */
#ifndef NETWORK_H
#define NETWORK_H

#include <gradus/gradus.h>

enum { MOST_MATRICES = 32, MOST_WEIGHTS = 96 };

/* All values are matrices; weights are made at the first recording, the same for every dtype. */
typedef struct network {
    gr_graph *g;
    gr_dtype dtype;
    uint64_t seed, state; /* state: of the generator */
    bool stops;           /* to compute some of the values amid the recording */
    gr_tensor *x[MOST_MATRICES];
    gr_param *weight[MOST_WEIGHTS];
    int n, used, n_weights; /* values; weights in this recording, and in all */
    char text[2048];        /* the steps, to be shown on failure */
} network;

/* Records the network of `seed`; returns its loss. */
gr_tensor *network_record(network *net);
void network_release(network *net);

#endif
