/* pass.h - what fitting and evaluating share: batches entering a graph, passes without gradients. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PASS_H
#define GR__PASS_H

#include "base.h"
#include <gradus/measure.h>

/* A batch in a graph: what the network gives, and what it should have given. */
typedef struct gr__recorded {
    gr_tensor *output;
    gr_tensor
        *target; /* int64 [n] classes, float32 [n, shape], or int64 [n, length] tokens; or NULL */
    gr_tensor *soft; /* [n, classes] shares of classes, or NULL */
    gr_tensor
        *weight;  /* of samples [n] or, where some are padding, of tokens [n, length]; or NULL */
    double count; /* what a mean is over: samples, or tokens */
} gr__recorded;

/* What is to be measured of it. */
typedef struct gr__measures {
    gr_loss_fn *loss; /* NULL: cross-entropy of logits [n, classes] */
    double label_smoothing;
    const gr_metric *metrics; /* NULL, or ended by one without a name */
    int n_metrics;
} gr__measures;

typedef struct gr__measured {
    gr_tensor *loss, *hits; /* hits NULL: no classes */
    gr_tensor *metric[GR_METRICS];
} gr__measured;

/* Counts the metrics; an error that begins with `who` when they are too many or not whole. */
gr_status gr__check_measures(const char *who, gr__measures *m);

/* Records net over a batch of d, whose memory must stay until the graph's reset. On failure the
 * graph is in error. */
gr__recorded gr__record_batch(gr_graph *g, gr_module *net, const gr_dataset *d, const gr_batch *b,
                              const void *site);
gr__measured gr__record_measures(const gr__measures *m, const gr_dataset *d, gr__recorded r,
                                 const void *site);

/* Whether there are samples, with labels in range; `who` begins the message. */
gr_status gr__check_samples(const char *who, const gr_dataset *d);
/* And something to be learned of each. */
gr_status gr__check_dataset(const char *who, const gr_dataset *d);

/* --- a pass over a data set in order --- */

/* Called for samples first .. first + n; what it asks of the graph is valid until it returns. */
typedef gr_status gr__visit_fn(void *ctx, int64_t first, const gr_batch *b, gr__recorded r);

/* Runs net over all of d, in evaluation mode, recording no gradients. The loader draws d in order. */
gr_status gr__pass(gr_graph *g, gr_module *net, const gr_dataset *d, gr_loader *loader,
                   const void *site, gr__visit_fn *visit, void *ctx);
gr_loader *gr__pass_loader(const gr_dataset *d); /* NULL on failure */

#endif
