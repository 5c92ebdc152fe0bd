/* evaluate.c - how good a network is, and what it says. */
/* SPDX-License-Identifier: MIT */
#include "evaluate.h"

#include <string.h>

/* --- evaluation --- */

typedef struct tally {
    double loss; /* summed over samples */
    int64_t hits, *confusion;
    int classes;
} tally;

static gr_status count_batch(void *ctx, int64_t first, const gr_batch *b, gr__recorded r)
{
    (void)first;
    tally *t = ctx;
    gr_tensor *asked[] = {gr_cross_entropy(r.logits, r.target), gr_argmax(r.logits, 1)};
    gr_status status = gr_eval(asked, 2);
    if (status) return status;
    const int64_t *predicted = gr_data(asked[1]);
    t->loss += gr_item(asked[0]) * (double)b->n;
    for (int64_t i = 0; i < b->n; i++) {
        t->hits += predicted[i] == b->y[i];
        if (t->confusion) t->confusion[b->y[i] * t->classes + predicted[i]]++;
    }
    return GR_OK;
}

gr_status gr__evaluate_on(gr_graph *g, gr_module *net, const gr_dataset *d, const void *site,
                          gr_evaluation *e, int64_t *confusion)
{
    tally t = {.confusion = confusion, .classes = d->classes};
    if (confusion)
        memset(confusion, 0, (size_t)d->classes * (size_t)d->classes * sizeof *confusion);
    gr_status status = gr__pass(g, net, d, site, count_batch, &t);
    if (status) return status;
    *e = (gr_evaluation){t.loss / (double)d->n, (double)t.hits / (double)d->n, d->n};
    return GR_OK;
}

/* The status of what was done with g, which is freed; its error becomes this thread's. */
static gr_status finish(const char *who, gr_graph *g, gr_status status)
{
    const char *error = gr_graph_error(g);
    if (error) status = gr__fail(gr_graph_status(g), "%s: %s", who, error);
    gr_graph_free(g);
    return status;
}

/* Mean cross-entropy and accuracy of net, whose output is one logit per class, over all of d, in
 * evaluation mode (the model's training flag is as before afterwards).
 *
 * confusion  [classes, classes] that gets the counts, rows the true class; or NULL
 *
 * On failure *e and confusion mean nothing. */
gr_status gr_evaluate(gr_module *net, const gr_dataset *d, gr_evaluation *e, int64_t *confusion)
{
    gr_status status = gr__check_dataset("gr_evaluate", d);
    if (status) return status;
    gr_graph *g = gr_graph_new();
    return finish("gr_evaluate", g, gr__evaluate_on(g, net, d, GR_HERE, e, confusion));
}

/* --- prediction --- */

typedef struct predictions {
    int64_t *classes;
    double *probability;
} predictions;

static gr_status take_batch(void *ctx, int64_t first, const gr_batch *b, gr__recorded r)
{
    const predictions *p = ctx;
    gr_tensor *chosen = gr_argmax(r.logits, 1);
    gr_tensor *share = gr_max(gr_softmax(r.logits, 1), (gr_axes){1, {1}}, false);
    gr_status status = gr_eval((gr_tensor *const[]){chosen, share}, p->probability ? 2 : 1);
    if (status) return status;
    memcpy(p->classes + first, gr_data(chosen), (size_t)b->n * sizeof *p->classes);
    const float *values = p->probability ? gr_data(share) : NULL;
    for (int64_t i = 0; values && i < b->n; i++) p->probability[first + i] = (double)values[i];
    return GR_OK;
}

/* The most probable class of each sample of d (its labels are not looked at but must be in range),
 * in evaluation mode.
 *
 * classes      [d->n] that gets them
 * probability  [d->n] that gets what softmax says of the chosen class; or NULL */
gr_status gr_predict(gr_module *net, const gr_dataset *d, int64_t *classes, double *probability)
{
    gr_status status = gr__check_dataset("gr_predict", d);
    if (status) return status;
    predictions p = {classes, probability};
    gr_graph *g = gr_graph_new();
    return finish("gr_predict", g, gr__pass(g, net, d, GR_HERE, take_batch, &p));
}
