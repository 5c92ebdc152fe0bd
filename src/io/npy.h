/* npy.h - NumPy's format for one array, in memory. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__NPY_H
#define GR__NPY_H

#include "base.h"

/* How the elements lie in a file. */
typedef struct gr__npy_type {
    char kind; /* 'f', 'i', 'u', 'b' */
    int bytes;
    gr_dtype dtype; /* in memory */
} gr__npy_type;

typedef struct gr__npy_header {
    const gr__npy_type *type;
    bool big_endian, column_major;
    gr_shape shape;
    size_t data; /* where the elements begin */
} gr__npy_header;

/* `name` begins the errors. */
gr_status gr__npy_read_header(const char *name, const char *content, size_t bytes,
                              gr__npy_header *h);
/* *data is row-major, to be freed with gr__free; NULL on failure. */
gr_status gr__npy_parse(const char *name, const char *content, size_t bytes, gr_dtype *dtype,
                        gr_shape *shape, void **data);
/* Appends the file. */
void gr__npy_format(gr__text *out, gr_dtype dtype, const gr_shape *shape, const void *data);

#endif
