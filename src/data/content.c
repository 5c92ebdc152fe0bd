/* content.c - whole files, plain or compressed with gzip (which the first bytes tell). */
/* SPDX-License-Identifier: MIT */
#include "content.h"
#include "gzip.h"

enum { FIRST = 1 << 16 };

/* Reads on into memory that doubles, so that no more is taken than twice what there is. */
static gr_status unpack(gr__gzip *z, char **data, size_t *bytes)
{
    size_t cap = 0, got = 0;
    for (bool more = true; more;) {
        size_t room = cap ? 2 * cap : FIRST;
        char *grown = gr__grow(*data, *bytes, room + 1);
        if (!grown) return GR_ERR_MEMORY;
        *data = grown;
        cap = room;
        gr_status status = gr__gzip_read(z, *data + *bytes, cap - *bytes, &got);
        if (status) return status;
        *bytes += got;
        more = *bytes == cap;
    }
    (*data)[*bytes] = 0;
    return gr__gzip_finish(z);
}

gr_status gr__content_load(const char *path, char **data, size_t *bytes)
{
    void *packed;
    size_t n;
    gr__gzip z;
    *data = NULL;
    *bytes = 0;
    gr_status status = gr__file_load(path, &packed, &n);
    if (status) return status;
    if (!gr__gzip_is(packed, n)) {
        *data = packed;
        *bytes = n;
        return GR_OK;
    }
    status = gr__gzip_open(&z, path, packed, n);
    if (!status) status = unpack(&z, data, bytes);
    gr__gzip_close(&z);
    gr__free(packed);
    if (!status) return GR_OK;
    gr__free(*data);
    *data = NULL;
    return status;
}
