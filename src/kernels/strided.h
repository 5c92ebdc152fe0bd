/* strided.h - reading arrays of any strides in row-major order. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STRIDED_H
#define GR__STRIDED_H

#include <gradus/op.h>

/* An array with axes joined where memory allows: rank 0 to 8, the last axis innermost. */
typedef struct gr__strided {
    int rank;
    int64_t dim[GR_MAX_RANK], stride[GR_MAX_RANK];
    size_t size; /* bytes of an element */
    const char *data;
} gr__strided;

gr__strided gr__strided_of(const gr_value *v);
bool gr__strided_contiguous(const gr__strided *s);
/* Elements first ... first+n-1 in row-major order, to dst. */
void gr__strided_read(const gr__strided *s, int64_t first, int64_t n, void *dst);
/* All of v, row-major, on all threads. */
void gr__pack(const gr_value *v, void *dst);

#endif
