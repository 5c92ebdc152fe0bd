/* networks.h - the networks that the command knows by name. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__NETWORKS_H
#define GR__NETWORKS_H

#include <gradus/data.h>
#include <gradus/nn.h>

/* How a network is trained on a kind of data unless options say otherwise. */
typedef struct recipe {
    int epochs, batch;
    double lr; /* the peak of one-cycle, for Adam */
    int shift;
    int threads; /* 0: one per core; the digits are too small for steps to be worth sharing */
} recipe;

/* What may be different in a network of a name. */
typedef struct variant {
    double dropout;  /* 0: the network's own; below 0: none */
    bool batch_norm; /* behind every layer with weights but the last */
} variant;

typedef struct network {
    const char *name, *summary;
    gr_module *(*build)(gr_model *m, const gr_shape *sample, int classes, variant v);
    recipe small, large; /* for the digits, for data sets like MNIST */
} network;

const network *network_find(const char *name); /* NULL when there is none */
const char *network_names(void);               /* "mlp, lenet5" */

/* The cross-entropy of net over the first n samples of d, or all if there are fewer; d must stay
 * until the graph's reset. */
gr_tensor *network_loss(gr_graph *g, gr_module *net, const gr_dataset *d, int64_t n);

#endif
