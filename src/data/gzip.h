/* gzip.h - reading gzip out of memory, piece by piece. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__GZIP_H
#define GR__GZIP_H

#include "base.h"

#include <zlib.h>

/* Deflate cannot shrink data by more than this (says zlib), so that a header which claims
 * more than bytes * GR__GZIP_RATIO + GR__GZIP_SLACK is known to lie before any allocation. */
#define GR__GZIP_RATIO 1032
#define GR__GZIP_SLACK 1024

typedef struct gr__gzip {
    z_stream stream;
    size_t left;      /* bytes that the stream has not been given yet */
    bool ended;       /* the end of the data was reached and its checksum was right */
    const char *name; /* in errors */
} gr__gzip;

bool gr__gzip_is(const void *data, size_t bytes); /* by the first bytes */
/* data must live until gr__gzip_close, which is also to be called after a failure. */
gr_status gr__gzip_open(gr__gzip *z, const char *name, const void *data, size_t bytes);
/* Up to `bytes` more into out; *got is less only at the end. */
gr_status gr__gzip_read(gr__gzip *z, void *out, size_t bytes, size_t *got);
/* Checks that the data ends here, and the file too. */
gr_status gr__gzip_finish(gr__gzip *z);
void gr__gzip_close(gr__gzip *z);

#endif
