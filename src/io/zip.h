/* zip.h - files in a zip, as npz needs them: stored or deflated, no encryption, below 4 GB. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ZIP_H
#define GR__ZIP_H

#include "base.h"

typedef struct gr__zip_member {
    const char *name; /* not ended by NUL */
    size_t name_bytes;
    int method; /* 0 stored, 8 deflated */
    uint32_t crc;
    const unsigned char *data;
    size_t packed, bytes; /* in the file, and unpacked */
} gr__zip_member;

/* Goes through the directory of a zip in memory. */
typedef struct gr__zip {
    const char *path; /* in errors */
    const unsigned char *content;
    size_t bytes;
    size_t at, left;  /* next entry of the directory, entries left */
    size_t begin;     /* of the directory: no member reaches beyond it */
    size_t unclaimed; /* bytes that no member has had yet: they do not overlap */
} gr__zip;

gr_status gr__zip_begin(gr__zip *z, const char *path, const void *content, size_t bytes);
bool gr__zip_next(gr__zip *z, gr__zip_member *m,
                  gr_status *status); /* false at the end and on failure */
/* Unpacks and checks; *data to be freed with gr__free, NULL on failure. */
gr_status gr__zip_unpack(const gr__zip *z, const gr__zip_member *m, void **data);

/* --- writing --- */

typedef struct gr__zip_writer {
    gr__text out, directory;
    int n;
    bool compress;
} gr__zip_writer;

gr_status gr__zip_add(gr__zip_writer *w, const char *name, const void *data, size_t bytes);
gr_status gr__zip_save(gr__zip_writer *w, const char *path);
void gr__zip_release(gr__zip_writer *w);

/* For z_stream, so that zlib too allocates where the library does. */
void *gr__zip_alloc(void *user, unsigned items, unsigned size);
void gr__zip_free(void *user, void *memory);

#endif
