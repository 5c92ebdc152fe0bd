/* loader.h - the parts of a loader: the order of a pass, changed samples, batches, a thread. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LOADER_H
#define GR__LOADER_H

#include "dataset.h"

/* --- random streams of a pass --- */

typedef enum gr__stream {
    GR__ORDER,
    GR__SHIFTS,
    GR__DRAWS,
    GR__BATCHES,
    GR__CHANGES,
    GR__MIXES
} gr__stream;

static inline uint64_t gr__stream_of(uint64_t seed, uint64_t pass, gr__stream which)
{
    return gr__hash_join(gr__hash_join(seed, pass), (uint64_t)which);
}

/* --- order.c: which samples, one after the other --- */

typedef struct gr__order {
    int64_t n, batch, bucket;
    uint64_t seed;
    bool shuffle;
    int64_t *index;  /* [n] of this pass; NULL: 0, 1, ... */
    int64_t *length; /* [n] with buckets: of each sample's rows, together */
    int64_t *spare;  /* [n] with buckets */
    double *sum;     /* [n] with weights: running sum of them */
} gr__order;

gr_status gr__order_init(gr__order *o, const gr_dataset *d, const gr_loader_options *options);
void gr__order_begin(gr__order *o, uint64_t pass);
double gr__order_weight(const gr__order *o, int64_t sample); /* 1 / (n p) */
void gr__order_release(gr__order *o);

/* --- augment.c: one image changed --- */

typedef struct gr__augment {
    gr_augment o;
    int shift;
    float fill;
    int64_t planes, height, width;
    float *field; /* [3, height, width]: displacements down and right, and room to smooth them */
    float *room;  /* [planes, height, width]: the image before */
    float *bell;  /* [2 reach + 1], weights of the smoothing, their sum is 1 */
    int64_t reach;
} gr__augment;

gr_status gr__augment_init(gr__augment *a, const gr_shape *sample, const gr_loader_options *o);
/* Changes x [planes, height, width] in place. */
void gr__augment_apply(gr__augment *a, uint64_t seed, uint64_t pass, int64_t sample, float *x);
void gr__augment_release(gr__augment *a);
/* The share of the first of two mixed samples. */
double gr__mixup_share(double alpha, uint64_t stream, uint64_t index);

/* --- slot.c: one batch --- */

typedef struct gr__padded {
    int64_t *ids, *lengths;
    float *mask;
} gr__padded;

/* Memory of a batch, and the batch that lies in it. */
typedef struct gr__slot {
    float *x, *target, *soft, *weight;
    int64_t *y, *index;
    gr__padded in, out;
    gr_batch batch; /* n is 0 at the end of a pass */
    gr_status status;
    char error[512];
    bool full; /* made, and not yet given out and returned; for the thread */
} gr__slot;

/* What makes batches. */
typedef struct gr__maker {
    const gr_dataset *d;
    gr_loader_options o;
    gr__order order;
    gr__augment augment;
    bool augments; /* an image is changed */
    bool copies;   /* batches do not lie in the data set itself */
    int64_t at;    /* the next sample of this pass, -1 between two passes */
    uint64_t pass; /* that was begun last; the first is 1 */
    uint64_t made; /* batches of this pass */
} gr__maker;

gr_status gr__slot_init(gr__slot *s, const gr__maker *m);
void gr__slot_release(gr__slot *s);
void gr__make_batch(gr__maker *m, gr__slot *s); /* the next one, into s; a failure is in s too */

/* --- prefetch.c: batches made ahead by a thread --- */

typedef struct gr__prefetch gr__prefetch;

gr__prefetch *gr__prefetch_new(gr__maker *m); /* NULL on failure */
void gr__prefetch_free(gr__prefetch *p);      /* NULL is fine; the thread has ended then */
gr__slot *gr__prefetch_next(gr__prefetch *p); /* valid until the next call */

#endif
