/* pass.h - what fitting and evaluating share: batches entering a graph, passes without gradients. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PASS_H
#define GR__PASS_H

#include "base.h"
#include <gradus/data.h>
#include <gradus/nn.h>

/* A batch in a graph: logits [n, classes] of the network, int64 targets [n]. */
typedef struct gr__recorded {
    gr_tensor *logits, *target;
} gr__recorded;

/* Records net over a batch of d, whose memory must stay until the graph's reset. On failure the
 * graph is in error. */
gr__recorded gr__record_batch(gr_graph *g, gr_module *net, const gr_dataset *d, const gr_batch *b,
                              const void *site);

/* Whether there are samples with labels in range; `who` begins the message. */
gr_status gr__check_dataset(const char *who, const gr_dataset *d);

/* Called for samples first .. first + n; what it asks of the graph is valid until it returns. */
typedef gr_status gr__visit_fn(void *ctx, int64_t first, const gr_batch *b, gr__recorded r);

/* Runs net over all of d in order, in evaluation mode, recording no gradients. */
gr_status gr__pass(gr_graph *g, gr_module *net, const gr_dataset *d, const void *site,
                   gr__visit_fn *visit, void *ctx);

#endif
