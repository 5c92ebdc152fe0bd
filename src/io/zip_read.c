/* zip_read.c - files out of a zip (PKWARE's APPNOTE 6.3, without encryption and zip64).
 *
 * The directory at the end is what counts; a local header only tells where its data begin.
 */
/* SPDX-License-Identifier: MIT */
#include "zip.h"

#include <string.h>
#include <zlib.h>

enum { LOCAL = 30, ENTRY = 46, END = 22, MOST_COMMENT = 65535, RATIO = 1032, SLACK = 1024 };

void *gr__zip_alloc(void *user, unsigned items, unsigned size)
{
    (void)user;
    return gr__calloc((size_t)items * size);
}

void gr__zip_free(void *user, void *memory)
{
    (void)user;
    gr__free(memory);
}

static size_t u16(const unsigned char *b)
{
    return (size_t)b[0] | (size_t)b[1] << 8;
}

static size_t u32(const unsigned char *b)
{
    return u16(b) | u16(b + 2) << 16;
}

static gr_status damaged(const gr__zip *z, size_t at, const char *expected)
{
    return gr__fail(GR_ERR_FORMAT, "%s: byte %zu: expected %s", z->path, at, expected);
}

/* --- the directory --- */

/* Its end record, looked for from the end of the file. */
static bool find_end(const gr__zip *z, size_t *at)
{
    for (size_t back = END; back <= END + MOST_COMMENT && back <= z->bytes; back++) {
        *at = z->bytes - back;
        const unsigned char *b = z->content + *at;
        if (!memcmp(b, "PK\5\6", 4) && u16(b + 20) == back - END) return true;
    }
    return false;
}

gr_status gr__zip_begin(gr__zip *z, const char *path, const void *content, size_t bytes)
{
    size_t end;
    *z = (gr__zip){.path = path, .content = content, .bytes = bytes};
    if (!find_end(z, &end)) return damaged(z, bytes, "the end of a zip, which is not there");
    const unsigned char *b = z->content + end;
    size_t size = u32(b + 12);
    z->left = u16(b + 10);
    z->at = z->begin = z->unclaimed = u32(b + 16);
    if (u16(b + 4) || u16(b + 6) || u16(b + 8) != z->left)
        return damaged(z, end, "a zip that is one file");
    if (z->at > end || size != end - z->at)
        return damaged(z, end, "a directory that ends here (and no zip64)");
    return GR_OK;
}

static gr_status find_data(gr__zip *z, size_t local, gr__zip_member *m)
{
    const unsigned char *b = z->content + local;
    if (local > z->begin || z->begin - local < LOCAL || memcmp(b, "PK\3\4", 4))
        return damaged(z, local, "the header of a member");
    size_t header = LOCAL + u16(b + 26) + u16(b + 28);
    if (header > z->begin - local || m->packed > z->begin - local - header ||
        m->packed > z->unclaimed)
        return damaged(z, local, "a member that ends before the directory");
    z->unclaimed -= m->packed;
    m->data = b + header;
    return GR_OK;
}

static gr_status read_entry(gr__zip *z, gr__zip_member *m)
{
    const unsigned char *b = z->content + z->at;
    size_t left = z->bytes - END - z->at;
    if (left < ENTRY || memcmp(b, "PK\1\2", 4))
        return damaged(z, z->at, "an entry of the directory");
    size_t name = u16(b + 28), entry = ENTRY + name + u16(b + 30) + u16(b + 32);
    if (entry > left) return damaged(z, z->at, "an entry that ends before the file does");
    if (u16(b + 8) & 1) return damaged(z, z->at, "a member that is not encrypted");
    *m = (gr__zip_member){.name = (const char *)b + ENTRY,
                          .name_bytes = name,
                          .method = (int)u16(b + 10),
                          .crc = (uint32_t)u32(b + 16),
                          .packed = u32(b + 20),
                          .bytes = u32(b + 24)};
    if (m->method != 0 && m->method != 8)
        return damaged(z, z->at, "a member that is stored or deflated");
    z->at += entry;
    return find_data(z, u32(b + 42), m);
}

bool gr__zip_next(gr__zip *z, gr__zip_member *m, gr_status *status)
{
    *status = GR_OK;
    if (z->left == 0) return false;
    z->left--;
    *status = read_entry(z, m);
    return !*status;
}

/* --- unpacking --- */

static gr_status inflate_all(const gr__zip *z, const gr__zip_member *m, void *out)
{
    z_stream s = {.zalloc = gr__zip_alloc, .zfree = gr__zip_free};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return GR_ERR_MEMORY;
    s.next_in = (Bytef *)(uintptr_t)m->data; /* zlib does not write to it */
    s.avail_in = (unsigned)m->packed;
    s.next_out = out;
    s.avail_out = (unsigned)m->bytes;
    int code = inflate(&s, Z_FINISH);
    bool done = code == Z_STREAM_END && s.avail_in == 0 && s.avail_out == 0;
    inflateEnd(&s);
    if (code == Z_MEM_ERROR) return GR_ERR_MEMORY;
    return done ? GR_OK : damaged(z, (size_t)(m->data - z->content), "deflated data of its size");
}

gr_status gr__zip_unpack(const gr__zip *z, const gr__zip_member *m, void **data)
{
    size_t at = (size_t)(m->data - z->content);
    *data = NULL;
    if (m->method == 0 ? m->packed != m->bytes : m->bytes / RATIO > m->packed + SLACK)
        return damaged(z, at, "as many bytes as the directory says");
    void *out = gr__alloc(m->bytes);
    if (!out) return GR_ERR_MEMORY;
    gr_status status = GR_OK;
    if (m->method) status = inflate_all(z, m, out);
    else memcpy(out, m->data, m->bytes);
    if (!status && crc32(0, out, (unsigned)m->bytes) != m->crc)
        status = damaged(z, at, "data with the checksum of the directory");
    if (status) gr__free(out);
    else *data = out;
    return status;
}
