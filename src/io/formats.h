/* formats.h - what the file formats share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FORMATS_H
#define GR__FORMATS_H

#include "base.h"

/* --- types of elements, by their names in safetensors --- */

typedef struct gr__type {
    const char *name;
    int bits;
    gr_dtype dtype; /* GR_DTYPES: one that the library does not compute with */
} gr__type;

const gr__type *gr__type_find(const char *name); /* NULL when there is none */
const gr__type *gr__type_of(gr_dtype dtype);     /* NULL for no dtype */
/* Bytes of an array; false when they are too many, or no whole number. */
bool gr__type_bytes(const gr__type *type, const gr_shape *shape, size_t *bytes);

/* --- safetensors --- */

struct gr_safetensors;

/* gr_safetensors_open that says what kind of failure it was; *file is NULL then. */
gr_status gr__safetensors_read(const char *path, struct gr_safetensors **file);

#endif
