/* order.c - the order of the samples in a pass: as they lie, shuffled, drawn by weight, by length. */
/* SPDX-License-Identifier: MIT */
#include "loader.h"
#include "shuffle.h"

#include <math.h>
#include <string.h>

/* --- weights --- */

static gr_status sum_weights(gr__order *o, const double *weights)
{
    double sum = 0;
    o->sum = gr__alloc((size_t)o->n * sizeof *o->sum);
    if (!o->sum) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < o->n; i++) {
        if (!(weights[i] >= 0 && isfinite(weights[i])))
            return gr__fail(GR_ERR_ARGUMENT,
                            "loader: weight %lld is %g, expected a finite number of 0"
                            " or more",
                            (long long)i, weights[i]);
        o->sum[i] = sum += weights[i];
    }
    if (sum > 0 && isfinite(sum)) return GR_OK;
    return gr__fail(GR_ERR_ARGUMENT, "loader: the weights add up to %g, expected more than 0", sum);
}

/* The first place whose running sum is above u: its weight is then not 0. */
static int64_t place_of(const gr__order *o, double u)
{
    int64_t low = 0, high = o->n - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (o->sum[middle] > u) high = middle;
        else low = middle + 1;
    }
    return low;
}

static void draw(gr__order *o, uint64_t stream)
{
    double all = o->sum[o->n - 1];
    for (int64_t i = 0; i < o->n; i++)
        o->index[i] = place_of(o, gr__random_uniform(stream, (uint64_t)i) * all);
}

double gr__order_weight(const gr__order *o, int64_t sample)
{
    double own = o->sum[sample] - (sample ? o->sum[sample - 1] : 0);
    return o->sum[o->n - 1] / ((double)o->n * own);
}

/* --- lengths --- */

static gr_status note_lengths(gr__order *o, const gr_dataset *d)
{
    if (!d->in)
        return gr__fail(GR_ERR_ARGUMENT, "loader: buckets are by the length of rows of tokens,"
                                         " which this data set does not have");
    o->length = gr__alloc((size_t)o->n * sizeof *o->length);
    o->spare = gr__alloc((size_t)o->n * sizeof *o->spare);
    if (!o->length || !o->spare) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < o->n; i++) {
        o->length[i] = d->in->begin[i + 1] - d->in->begin[i];
        if (d->out) o->length[i] += d->out->begin[i + 1] - d->out->begin[i];
    }
    return GR_OK;
}

/* Sorts each run of bucket * batch samples by length. */
static void sort_buckets(gr__order *o)
{
    int64_t run = o->bucket < o->n / o->batch ? o->bucket * o->batch : o->n;
    for (int64_t begin = 0; begin < o->n; begin += run) {
        int64_t left = o->n - begin;
        gr__sort_by(o->index + begin, left < run ? left : run, o->length);
    }
}

/* Full batches change places, so that short ones do not always come first. */
static void shuffle_batches(gr__order *o, uint64_t stream)
{
    int64_t full = o->n / o->batch, *places = o->spare;
    size_t bytes = (size_t)o->batch * sizeof *o->index;
    for (int64_t i = full - 1; i > 0; i--) {
        int64_t *a = o->index + i * o->batch;
        int64_t *b = o->index + gr__below(stream, (uint64_t)i, i + 1) * o->batch;
        if (a == b) continue;
        memcpy(places, a, bytes);
        memcpy(a, b, bytes);
        memcpy(b, places, bytes);
    }
}

/* --- a pass --- */

gr_status gr__order_init(gr__order *o, const gr_dataset *d, const gr_loader_options *options)
{
    gr_status status = GR_OK;
    *o = (gr__order){.n = d->n,
                     .batch = options->batch,
                     .bucket = options->bucket,
                     .seed = options->seed,
                     .shuffle = options->shuffle};
    if (!o->shuffle && !options->weights && !o->bucket) return GR_OK;
    o->index = gr__alloc((size_t)o->n * sizeof *o->index);
    if (!o->index) return GR_ERR_MEMORY;
    if (options->weights) status = sum_weights(o, options->weights);
    if (!status && o->bucket) status = note_lengths(o, d);
    return status;
}

void gr__order_begin(gr__order *o, uint64_t pass)
{
    if (!o->index) return;
    for (int64_t i = 0; i < o->n; i++) o->index[i] = i;
    if (o->sum) draw(o, gr__stream_of(o->seed, pass, GR__DRAWS));
    else if (o->shuffle) gr__shuffle(gr__stream_of(o->seed, pass, GR__ORDER), o->index, o->n);
    if (!o->bucket) return;
    sort_buckets(o);
    if (o->shuffle) shuffle_batches(o, gr__stream_of(o->seed, pass, GR__BATCHES));
}

void gr__order_release(gr__order *o)
{
    gr__free(o->index);
    gr__free(o->length);
    gr__free(o->spare);
    gr__free(o->sum);
}
