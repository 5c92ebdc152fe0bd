/* zip_write.c - files into a zip, without a date, so that the same content gives the same bytes. */
/* SPDX-License-Identifier: MIT */
#include "zip.h"

#include <string.h>
#include <zlib.h>

enum { VERSION = 20, STORED = 0, DEFLATED = 8, DAY = 0x21 /* 1 January 1980 */, MOST = 65535 };

static void add16(gr__text *t, size_t x)
{
    const unsigned char b[2] = {(unsigned char)x, (unsigned char)(x >> 8)};
    gr__text_add_bytes(t, b, sizeof b);
}

static void add32(gr__text *t, size_t x)
{
    add16(t, x & 0xFFFF);
    add16(t, x >> 16);
}

/* What the local header and the directory both say, from the version that is needed on. */
static void add_common(gr__text *t, int method, const char *name, uint32_t crc, size_t packed,
                       size_t bytes)
{
    add16(t, VERSION);
    add16(t, 0);
    add16(t, (size_t)method);
    add16(t, 0);
    add16(t, DAY);
    add32(t, crc);
    add32(t, packed);
    add32(t, bytes);
    add16(t, strlen(name));
    add16(t, 0);
}

static void add_entry(gr__zip_writer *w, int method, const char *name, uint32_t crc, size_t packed,
                      size_t bytes, size_t local)
{
    gr__text *d = &w->directory;
    gr__text_add_bytes(d, "PK\1\2", 4);
    add16(d, VERSION);
    add_common(d, method, name, crc, packed, bytes);
    add16(d, 0);
    add16(d, 0);
    add16(d, 0);
    add32(d, 0);
    add32(d, local);
    gr__text_add_bytes(d, name, strlen(name));
}

/* Deflates into new memory; *packed bytes. */
static gr_status pack(const void *data, size_t bytes, void **out, size_t *packed)
{
    z_stream s = {.zalloc = gr__zip_alloc, .zfree = gr__zip_free};
    if (deflateInit2(&s, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY))
        return GR_ERR_MEMORY;
    size_t room = deflateBound(&s, bytes);
    *out = gr__alloc(room);
    s.next_in = (Bytef *)(uintptr_t)data; /* zlib does not write to it */
    s.avail_in = (unsigned)bytes;
    s.next_out = *out;
    s.avail_out = (unsigned)room;
    bool done = *out && deflate(&s, Z_FINISH) == Z_STREAM_END;
    *packed = room - s.avail_out;
    deflateEnd(&s);
    return done ? GR_OK : GR_ERR_MEMORY;
}

gr_status gr__zip_add(gr__zip_writer *w, const char *name, const void *data, size_t bytes)
{
    void *squeezed = NULL;
    size_t packed = bytes, local = w->out.len;
    gr_status status = GR_OK;
    if (bytes > UINT32_MAX / 2 || local > UINT32_MAX / 2 || w->n == MOST || strlen(name) > MOST)
        return gr__fail(GR_ERR_ARGUMENT, "'%.80s': too much for a zip below 2 GB", name);
    if (w->compress) status = pack(data, bytes, &squeezed, &packed);
    if (!status) {
        int method = w->compress ? DEFLATED : STORED;
        uint32_t crc = (uint32_t)crc32(0, data, (unsigned)bytes);
        gr__text_add_bytes(&w->out, "PK\3\4", 4);
        add_common(&w->out, method, name, crc, packed, bytes);
        gr__text_add_bytes(&w->out, name, strlen(name));
        gr__text_add_bytes(&w->out, w->compress ? squeezed : data, packed);
        add_entry(w, method, name, crc, packed, bytes, local);
        w->n++;
    }
    gr__free(squeezed);
    return status ? status : w->out.failed || w->directory.failed ? GR_ERR_MEMORY : GR_OK;
}

gr_status gr__zip_save(gr__zip_writer *w, const char *path)
{
    size_t begin = w->out.len, n = (size_t)w->n;
    if (w->directory.len) gr__text_add_bytes(&w->out, w->directory.data, w->directory.len);
    gr__text_add_bytes(&w->out, "PK\5\6", 4);
    add32(&w->out, 0);
    add16(&w->out, n);
    add16(&w->out, n);
    add32(&w->out, w->directory.len);
    add32(&w->out, begin);
    add16(&w->out, 0);
    return w->out.failed ? GR_ERR_MEMORY : gr__file_save(path, w->out.data, w->out.len);
}

void gr__zip_release(gr__zip_writer *w)
{
    gr__text_release(&w->out);
    gr__text_release(&w->directory);
}
