/* npy.c - NumPy's format for one array: a header, then the elements. */
/* SPDX-License-Identifier: MIT */
#include "npy.h"

#include <gradus/io.h>
#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64, PREFIX = 10 };

/* --- elements --- */

static uint64_t load(const unsigned char *b, int bytes, bool big_endian)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++) x = x << 8 | b[big_endian ? i : bytes - 1 - i];
    return x;
}

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. */
static float half(uint64_t x)
{
    int exponent = (int)(x >> 10 & 31), fraction = (int)(x & 1023);
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                : ldexpf((float)fraction, -24);
    return x >> 15 ? -size : size;
}

static int64_t with_sign(uint64_t x, int bytes)
{
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    return (int64_t)((x ^ sign) - sign);
}

static void store(const gr__npy_type *t, uint64_t x, char *to)
{
    float narrow = t->bytes == 2 && t->kind == 'f' ? half(x) : 0;
    uint32_t word = (uint32_t)x;
    int64_t whole = t->kind == 'i' ? with_sign(x, t->bytes) : (int64_t)x;
    if (t->dtype == GR_F32) memcpy(to, t->bytes == 2 ? (const void *)&narrow : &word, 4);
    else if (t->dtype == GR_F64) memcpy(to, &x, 8);
    else if (t->dtype == GR_I64) memcpy(to, &whole, 8);
    else *to = (char)(t->dtype == GR_BOOL ? x != 0 : x);
}

/* Where in the file the next element of the row-major order lies. */
typedef struct walk {
    int64_t at, index[GR_MAX_RANK], step[GR_MAX_RANK];
} walk;

static walk walk_begin(const gr__npy_header *h)
{
    walk w = {0};
    int64_t step = 1;
    if (!h->column_major) gr__shape_strides(&h->shape, w.step);
    for (int a = 0; a < h->shape.rank && h->column_major; step *= h->shape.dim[a++])
        w.step[a] = step;
    return w;
}

static void walk_on(walk *w, const gr_shape *shape)
{
    for (int a = shape->rank - 1; a >= 0; a--) {
        w->at += w->step[a];
        if (++w->index[a] < shape->dim[a]) return;
        w->at -= shape->dim[a] * w->step[a];
        w->index[a] = 0;
    }
}

static gr_status convert(const char *name, const gr__npy_header *h, const unsigned char *from,
                         char *to)
{
    int64_t n = gr_shape_numel(&h->shape);
    size_t size = gr_dtype_size(h->type->dtype);
    walk w = walk_begin(h);
    for (int64_t i = 0; i < n; i++, walk_on(&w, &h->shape)) {
        uint64_t x = load(from + w.at * h->type->bytes, h->type->bytes, h->big_endian);
        if (h->type->kind == 'u' && x > INT64_MAX)
            return gr__fail(GR_ERR_FORMAT, "%s: element %lld is %llu, more than int64 holds", name,
                            (long long)i, (unsigned long long)x);
        store(h->type, x, to + (size_t)i * size);
    }
    return GR_OK;
}

/* --- reading --- */

gr_status gr__npy_parse(const char *name, const char *content, size_t bytes, gr_dtype *dtype,
                        gr_shape *shape, void **data)
{
    gr__npy_header h;
    *data = NULL;
    gr_status status = gr__npy_read_header(name, content, bytes, &h);
    if (status) return status;
    size_t n = (size_t)gr_shape_numel(&h.shape), left = bytes - h.data;
    if (left / (size_t)h.type->bytes != n || left % (size_t)h.type->bytes) {
        char text[GR_SHAPE_TEXT];
        return gr__fail(GR_ERR_FORMAT, "%s: expected %zu elements %s of %d bytes, got %zu bytes",
                        name, n, gr_shape_text(&h.shape, text), h.type->bytes, left);
    }
    *data = gr__alloc(n * gr_dtype_size(h.type->dtype));
    if (!*data) return GR_ERR_MEMORY;
    *dtype = h.type->dtype;
    *shape = h.shape;
    status = convert(name, &h, (const unsigned char *)content + h.data, *data);
    if (!status) return GR_OK;
    gr__free(*data);
    *data = NULL;
    return status;
}

/* Reads one array that NumPy saved.
 *
 * dtype  float64 and, of float32 and float16, float32; uint8; bool; int64 of the other integers
 * shape  the file's, rank 0 to 8
 * data   [shape] row-major, whichever order the file has; the caller's, to be freed with
 *        gr_free_memory
 *
 * GR_ERR_FILE when it cannot be read, GR_ERR_FORMAT when it is no npy file, of another type
 * (objects, text, records, complex numbers), cut off or followed by other bytes; *data is then
 * NULL. */
gr_status gr_npy_read(const char *path, gr_dtype *dtype, gr_shape *shape, void **data)
{
    void *content;
    size_t bytes;
    if (gr__need("npy", dtype, "place for the dtype") ||
        gr__need("npy", shape, "place for the shape") ||
        gr__need("npy", data, "place for the data"))
        return GR_ERR_ARGUMENT;
    *data = NULL;
    gr_status status = gr__file_load(path, &content, &bytes);
    if (status) return status;
    status = gr__npy_parse(path, content, bytes, dtype, shape, data);
    gr__free(content);
    return status;
}

/* --- writing --- */

static const char *const codes[GR_DTYPES] = {
    [GR_F32] = "<f4", [GR_F64] = "<f8", [GR_I64] = "<i8", [GR_U8] = "|u1", [GR_BOOL] = "|b1"};

/* The dict, padded so that the elements begin at a multiple of 64. */
static void add_dict(gr__text *dict, gr_dtype dtype, const gr_shape *shape)
{
    gr__text_add(dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", codes[dtype]);
    for (int a = 0; a < shape->rank; a++) gr__text_add(dict, "%lld, ", (long long)shape->dim[a]);
    gr__text_add(dict, "), }");
    size_t over = (PREFIX + dict->len + 1) % ALIGNMENT;
    gr__text_add(dict, "%*s\n", (int)(over ? ALIGNMENT - over : 0), "");
}

void gr__npy_format(gr__text *out, gr_dtype dtype, const gr_shape *shape, const void *data)
{
    gr__text dict = {0};
    add_dict(&dict, dtype, shape);
    unsigned char length[2] = {(unsigned char)dict.len, (unsigned char)(dict.len >> 8)};
    gr__text_add_bytes(out, "\x93NUMPY\x01", 8); /* version 1.0: the NUL counts */
    gr__text_add_bytes(out, length, 2);
    if (!dict.failed) gr__text_add_bytes(out, dict.data, dict.len);
    size_t bytes = (size_t)gr_shape_numel(shape) * gr_dtype_size(dtype);
    if (bytes) gr__text_add_bytes(out, data, bytes);
    out->failed = out->failed || dict.failed;
    gr__text_release(&dict);
}

/* Writes one array as an npy file, which NumPy loads.
 *
 * path  complete afterwards, or as it was before
 * data  [shape] of dtype, row-major
 *
 * GR_ERR_ARGUMENT for no dtype or shape, GR_ERR_MEMORY (a copy is made), or GR_ERR_FILE. */
gr_status gr_npy_write(const char *path, gr_dtype dtype, const gr_shape *shape, const void *data)
{
    char text[GR_SHAPE_TEXT];
    if (gr__need("npy", path, "path") || gr__need("npy", shape, "shape")) return GR_ERR_ARGUMENT;
    if ((unsigned)dtype >= GR_DTYPES || !gr__shape_valid(shape))
        return gr__fail(GR_ERR_ARGUMENT, "%s: cannot write an array %s of dtype %d", path,
                        gr_shape_text(shape, text), (int)dtype);
    if (gr__need_array(path, data, gr_shape_numel(shape), "array")) return GR_ERR_ARGUMENT;
    gr__text out = {0};
    gr__npy_format(&out, dtype, shape, data);
    gr_status status = out.failed ? GR_ERR_MEMORY : gr__file_save(path, out.data, out.len);
    gr__text_release(&out);
    return status;
}
