/* split.c - a data set divided at random. */
/* SPDX-License-Identifier: MIT */
#include "split.h"

enum { SPLIT = 0x73706c74 }; /* keeps it apart from other uses of the same seed */

/* Fills index so that its first n_part entries are a random subset of 0 .. n, the others the rest,
 * both in order: selection sampling, Knuth vol. 2, 3.4.2, algorithm S. */
static void choose(int64_t *index, int64_t n, int64_t n_part, uint64_t seed)
{
    uint64_t stream = gr__hash_join(seed, SPLIT);
    int64_t in = 0, out = n_part;
    for (int64_t i = 0; i < n; i++) {
        double u = gr__random_uniform(stream, (uint64_t)i);
        bool chosen = (double)(n - i) * u < (double)(n_part - in);
        index[chosen ? in++ : out++] = i;
    }
}

gr_status gr__split(const gr_dataset *d, double fraction, uint64_t seed, gr_dataset **rest,
                    gr_dataset **part)
{
    *rest = *part = NULL;
    int64_t n_part = (int64_t)((double)d->n * fraction + 0.5);
    if (n_part < 1) n_part = 1;
    if (n_part >= d->n)
        return gr__fail(GR_ERR_ARGUMENT, "cannot split %lld samples: %g of them leaves none",
                        (long long)d->n, fraction);
    int64_t *index = gr__alloc((size_t)d->n * sizeof *index);
    if (!index) return GR_ERR_MEMORY;
    choose(index, d->n, n_part, seed);
    *part = gr_dataset_subset(d, index, n_part);
    *rest = *part ? gr_dataset_subset(d, index + n_part, d->n - n_part) : NULL;
    gr__free(index);
    if (*rest) return GR_OK;
    gr_dataset_free(*part);
    *part = NULL;
    return GR_ERR_MEMORY;
}
