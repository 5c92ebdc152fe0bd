/* idx.c - IDX arrays, the format of MNIST.
 *
 *   00 00 type rank, then rank sizes of 32 bits, then the elements; all big-endian.
 */
/* SPDX-License-Identifier: MIT */
#include "gzip.h"

#include <gradus/data.h>
#include <string.h>

typedef struct element {
    unsigned char code; /* in the file */
    unsigned char bytes;
    gr_dtype dtype; /* in memory */
    const char *name;
} element;

static const element elements[] = {
    {0x08, 1, GR_U8, "uint8"},  {0x09, 1, GR_I64, "int8"},    {0x0B, 2, GR_I64, "int16"},
    {0x0C, 4, GR_I64, "int32"}, {0x0D, 4, GR_F32, "float32"}, {0x0E, 8, GR_F64, "float64"},
};

/* The bytes of a file, plain or compressed, read from begin to end. */
typedef struct source {
    const char *path;
    const unsigned char *data;
    size_t bytes, at;
    bool zipped;
    gr__gzip gzip;
} source;

/* --- bytes --- */

static gr_status source_open(source *s, const char *path, const void *data, size_t bytes)
{
    *s = (source){.path = path, .data = data, .bytes = bytes, .zipped = gr__gzip_is(data, bytes)};
    return s->zipped ? gr__gzip_open(&s->gzip, path, data, bytes) : GR_OK;
}

static gr_status source_read(source *s, void *out, size_t bytes, const char *what)
{
    size_t got = 0;
    if (s->zipped) {
        gr_status status = gr__gzip_read(&s->gzip, out, bytes, &got);
        if (status) return status;
    } else {
        got = s->bytes - s->at < bytes ? s->bytes - s->at : bytes;
        memcpy(out, s->data + s->at, got);
        s->at += got;
    }
    if (got < bytes)
        return gr__fail(GR_ERR_FORMAT, "%s: cut off: expected %zu bytes of %s, got %zu", s->path,
                        bytes, what, got);
    return GR_OK;
}

/* Whether so many bytes can be left, as far as is known without reading them. */
static gr_status source_expect(const source *s, size_t bytes)
{
    size_t left = s->zipped ? s->bytes : s->bytes - s->at;
    if (s->zipped && bytes / GR__GZIP_RATIO > left + GR__GZIP_SLACK / GR__GZIP_RATIO)
        return gr__fail(GR_ERR_FORMAT,
                        "%s: expected %zu bytes of data, more than %zu bytes of gzip"
                        " can hold",
                        s->path, bytes, left);
    if (!s->zipped && bytes != left)
        return gr__fail(GR_ERR_FORMAT, "%s: expected %zu bytes of data after the header, got %zu",
                        s->path, bytes, left);
    return GR_OK;
}

static void source_close(source *s)
{
    if (s->zipped) gr__gzip_close(&s->gzip);
}

/* --- elements --- */

static uint64_t big_endian(const unsigned char *b, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++) x = x << 8 | b[i];
    return x;
}

/* Integers of 1, 2 or 4 bytes with their sign. */
static int64_t signed_value(uint64_t x, int bytes)
{
    int64_t sign = (int64_t)1 << (8 * bytes - 1);
    return ((int64_t)x ^ sign) - sign;
}

static void convert(const element *e, const unsigned char *from, void *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = big_endian(from + i * e->bytes, e->bytes);
        uint32_t half = (uint32_t)x;
        if (e->dtype == GR_F32) memcpy((float *)to + i, &half, 4);
        else if (e->dtype == GR_F64) memcpy((double *)to + i, &x, 8);
        else ((int64_t *)to)[i] = signed_value(x, e->bytes);
    }
}

/* Bytes become elements; bytes that are elements already stay. Frees `raw` or gives it back. */
static void *elements_of(const element *e, void *raw, int64_t n)
{
    if (e->dtype == GR_U8) return raw;
    void *data = gr__alloc((size_t)n * gr_dtype_size(e->dtype));
    if (data) convert(e, raw, data, n);
    gr__free(raw);
    return data;
}

/* --- header --- */

static gr_status read_header(source *s, const element **e, gr_shape *shape)
{
    unsigned char magic[4], sizes[4 * GR_MAX_RANK];
    gr_status status = source_read(s, magic, 4, "header");
    if (status) return status;
    *e = NULL;
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (elements[i].code == magic[2]) *e = &elements[i];
    if (magic[0] || magic[1] || !*e)
        return gr__fail(GR_ERR_FORMAT,
                        "%s: not an IDX file: begins with %02x %02x %02x %02x,"
                        " expected 00 00, a type (08 09 0b 0c 0d 0e) and a rank",
                        s->path, magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] > GR_MAX_RANK)
        return gr__fail(GR_ERR_FORMAT, "%s: expected a rank of at most %d, got %d", s->path,
                        GR_MAX_RANK, magic[3]);
    status = source_read(s, sizes, 4u * magic[3], "sizes");
    if (status) return status;
    *shape = (gr_shape){.rank = magic[3]};
    for (int i = 0; i < shape->rank; i++) shape->dim[i] = (int64_t)big_endian(sizes + 4 * i, 4);
    if (!gr__shape_valid(shape)) {
        char text[GR_SHAPE_TEXT];
        return gr__fail(GR_ERR_FORMAT, "%s: too large: %s %s", s->path, gr_shape_text(shape, text),
                        (*e)->name);
    }
    return GR_OK;
}

/* Everything after the header; *data is NULL unless it succeeds. */
static gr_status read_elements(source *s, const element *e, const gr_shape *shape, void **data)
{
    int64_t n = gr_shape_numel(shape);
    size_t bytes = (size_t)n * e->bytes;
    gr_status status = source_expect(s, bytes);
    if (status) return status;
    void *raw = gr__alloc(bytes);
    if (!raw) return GR_ERR_MEMORY;
    status = source_read(s, raw, bytes, "data");
    if (!status && s->zipped) status = gr__gzip_finish(&s->gzip);
    if (status) {
        gr__free(raw);
        return status;
    }
    *data = elements_of(e, raw, n);
    return *data ? GR_OK : GR_ERR_MEMORY;
}

static gr_status decode(const char *path, const void *content, size_t bytes, gr_dtype *dtype,
                        gr_shape *shape, void **data)
{
    source s;
    const element *e;
    gr_status status = source_open(&s, path, content, bytes);
    if (!status) status = read_header(&s, &e, shape);
    if (!status) status = read_elements(&s, e, shape, data);
    if (!status) *dtype = e->dtype;
    source_close(&s);
    return status;
}

/* Reads one IDX array, plain or compressed with gzip (which the first bytes tell).
 *
 * path   the file; errors name it
 * dtype  uint8 stays GR_U8; int8, int16 and int32 become GR_I64; floats GR_F32 and GR_F64
 * shape  the sizes in the file, rank 0 to 8
 * data   [shape] row-major, in the order of this machine's bytes; the caller's, to be freed with
 *        gr_free_memory
 *
 * GR_ERR_FILE when it cannot be read, GR_ERR_FORMAT when it is no IDX file, is cut off, damaged or
 * followed by other bytes, GR_ERR_MEMORY; *data is then NULL. What a header claims is held against
 * the size of the file before anything is allocated for it. */
gr_status gr_idx_read(const char *path, gr_dtype *dtype, gr_shape *shape, void **data)
{
    void *content;
    size_t bytes;
    if (gr__need("idx", dtype, "place for the dtype") ||
        gr__need("idx", shape, "place for the shape") ||
        gr__need("idx", data, "place for the data"))
        return GR_ERR_ARGUMENT;
    *data = NULL;
    *dtype = GR_U8;
    *shape = (gr_shape){0};
    gr_status status = gr__file_load(path, &content, &bytes);
    if (status) return status;
    status = decode(path, content, bytes, dtype, shape, data);
    gr__free(content);
    return status;
}

/* Frees what gr_idx_read gave; NULL is fine. */
void gr_free_memory(void *data)
{
    gr__free(data);
}
