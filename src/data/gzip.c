/* gzip.c - reading gzip (RFC 1952) out of memory, with zlib. */
/* SPDX-License-Identifier: MIT */
#include "gzip.h"

#include <limits.h>

enum { GZIP_ONLY = 16 }; /* added to the window bits, see zlib's inflateInit2 */

static void *hook_alloc(void *user, unsigned items, unsigned size)
{
    (void)user;
    return gr__calloc((size_t)items * size);
}

static void hook_free(void *user, void *memory)
{
    (void)user;
    gr__free(memory);
}

static gr_status fail_zlib(const gr__gzip *z, int code)
{
    if (code == Z_MEM_ERROR) return GR_ERR_MEMORY; /* gr__alloc has said so */
    if (code == Z_BUF_ERROR)
        return gr__fail(GR_ERR_FORMAT, "%s: the gzip data is cut off", z->name);
    return gr__fail(GR_ERR_FORMAT, "%s: the gzip data is damaged: %s", z->name,
                    z->stream.msg ? z->stream.msg : "unexpected end");
}

bool gr__gzip_is(const void *data, size_t bytes)
{
    const unsigned char *b = data;
    return bytes >= 2 && b[0] == 0x1F && b[1] == 0x8B;
}

gr_status gr__gzip_open(gr__gzip *z, const char *name, const void *data, size_t bytes)
{
    *z = (gr__gzip){.name = name, .left = bytes};
    z->stream.zalloc = hook_alloc;
    z->stream.zfree = hook_free;
    z->stream.next_in = (Bytef *)(uintptr_t)data; /* zlib does not write to it */
    int code = inflateInit2(&z->stream, MAX_WBITS + GZIP_ONLY);
    return code == Z_OK ? GR_OK : fail_zlib(z, code);
}

/* zlib counts in unsigned int: hands over what fits. */
static unsigned piece(size_t bytes)
{
    return bytes < UINT_MAX ? (unsigned)bytes : UINT_MAX;
}

gr_status gr__gzip_read(gr__gzip *z, void *out, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes && !z->ended) {
        unsigned in = piece(z->left), room = piece(bytes - *got);
        z->stream.avail_in = in;
        z->stream.avail_out = room;
        z->stream.next_out = (Bytef *)out + *got;
        int code = inflate(&z->stream, Z_NO_FLUSH);
        z->left -= in - z->stream.avail_in;
        *got += room - z->stream.avail_out;
        z->ended = code == Z_STREAM_END;
        if (code != Z_OK && code != Z_STREAM_END) return fail_zlib(z, code);
    }
    return GR_OK;
}

gr_status gr__gzip_finish(gr__gzip *z)
{
    char more;
    size_t got;
    gr_status status = gr__gzip_read(z, &more, 1, &got);
    if (status) return status;
    if (got) return gr__fail(GR_ERR_FORMAT, "%s: more data than its header says", z->name);
    if (z->left)
        return gr__fail(GR_ERR_FORMAT, "%s: %zu bytes follow the end of the gzip data", z->name,
                        z->left);
    return GR_OK;
}

void gr__gzip_close(gr__gzip *z)
{
    inflateEnd(&z->stream);
}
