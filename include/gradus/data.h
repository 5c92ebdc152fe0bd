/* data.h - data sets in memory and batches drawn from them. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_DATA_H
#define GRADUS_DATA_H

#include <gradus/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Samples x [n, shape...] float32 with integer labels y [n]. Belongs to the caller. */
typedef struct gr_dataset {
    int64_t n;
    gr_shape shape;    /* of one sample: [1,28,28] */
    float *x;          /* [n, shape] row-major */
    int64_t *y;        /* [n], 0 <= y < classes */
    int classes;
    char name[32];
} gr_dataset;

/* --- sources; NULL on failure, with gr_last_error --- */

GR_API gr_dataset *gr_dataset_new(gr_shape sample, int64_t n, int classes); /* zeros, to be filled */
GR_API void gr_dataset_free(gr_dataset *d);                                 /* NULL is fine */
GR_API gr_dataset *gr_digits(void); /* UCI optical digits: 1797 of [1,8,8], pixels 0..16 as 0..1, 10 classes; embedded */
GR_API gr_dataset *gr_mnist(const char *folder, bool train); /* the IDX files, plain or .gz; pixels 0..1 */
GR_API gr_dataset *gr_dataset_subset(const gr_dataset *d, const int64_t *index, int64_t n); /* copies these rows */

/* One IDX array, plain or gzip: *data is row-major of *dtype (uint8 stays uint8, integers become
 * int64, floats float32 or float64); free with gr_free_memory. */
GR_API gr_status gr_idx_read(const char *path, gr_dtype *dtype, gr_shape *shape, void **data);
GR_API void gr_free_memory(void *data);

/* --- preparation --- */

/* (x - mean) / std over all elements; the same numbers are to be used for other parts. */
GR_API void gr_dataset_mean_std(const gr_dataset *d, double *mean, double *std);
GR_API void gr_dataset_normalize(gr_dataset *d, double mean, double std);

/* --- batches --- */

typedef struct gr_batch {
    int64_t n;
    const float *x;   /* [n, shape], valid until the next gr_next */
    const int64_t *y; /* [n] */
} gr_batch;

typedef struct gr_loader gr_loader;
typedef struct gr_loader_options {
    int64_t batch; /* 32 */
    bool shuffle;  /* a new order each pass, from the seed */
    bool drop_last;
    uint64_t seed;
    int shift;     /* move each image by up to so many pixels in each direction, at random; 0: none */
    double fill;   /* what enters at the edge; 0 */
} gr_loader_options;

GR_API gr_loader *gr_loader_new(const gr_dataset *d, gr_loader_options o); /* d must outlive it; NULL on failure */
GR_API void gr_loader_free(gr_loader *l);
GR_API int64_t gr_loader_batches(const gr_loader *l); /* per pass */
/* The next batch, or false at the end of a pass: the call after that begins the next pass. */
GR_API bool gr_next(gr_loader *l, gr_batch *b);

#ifdef __cplusplus
}
#endif
#endif
