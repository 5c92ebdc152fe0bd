/* metric.c - measures that are recorded beside the loss: means over samples. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <gradus/measure.h>
#include <math.h>

static gr_tensor *mean_of_hits(gr_tensor *hits)
{
    return gr_mean_all(gr_cast(hits, GR_F64));
}

static gr_tensor *record_accuracy(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    (void)self;
    return mean_of_hits(gr_equal(gr_argmax(output, 1), target));
}

gr_metric gr_metric_accuracy(void)
{
    return (gr_metric){.name = "accuracy", .record = record_accuracy};
}

/* The k largest of [n, classes], then whether the target is one of them: [n, k], at most one true. */
static gr_tensor *record_top_k(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    gr_tensor *largest = gr_output(gr_topk(output, self->k, 1, false), 1);
    gr_tensor *hits = gr_equal(largest, gr_unsqueeze(target, 1));
    return gr_scale(mean_of_hits(hits), self->k);
}

gr_metric gr_metric_top_k(int k)
{
    return (gr_metric){.name = "top_k", .record = record_top_k, .k = k};
}

static gr_tensor *record_cross_entropy(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    (void)self;
    return gr_cross_entropy(output, target);
}

/* exp of the mean cross-entropy over all samples, which is not the mean of the batches' own. */
gr_metric gr_metric_perplexity(void)
{
    return (
        gr_metric){.name = "perplexity", .record = record_cross_entropy, .finish = gr_perplexity};
}

static gr_tensor *record_mse(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    (void)self;
    return gr_mse(output, target);
}

gr_metric gr_metric_mse(void)
{
    return (gr_metric){.name = "mse", .record = record_mse};
}

static gr_tensor *record_mae(const gr_metric *self, gr_tensor *output, gr_tensor *target)
{
    (void)self;
    return gr_mean_all(gr_abs(gr_sub(output, target)));
}

gr_metric gr_metric_mae(void)
{
    return (gr_metric){.name = "mae", .record = record_mae};
}
