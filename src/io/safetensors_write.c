/* safetensors_write.c - named arrays into one file. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"
#include "json.h"

#include <gradus/io.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data is written as it lies in memory");

enum { PREFIX = 8, ALIGNMENT = 8 };

/* --- what can be written --- */

static bool is_text(const char *s)
{
    return s && gr__utf8_valid(s, strlen(s));
}

static gr_status check_array(const gr_array *a)
{
    if (!is_text(a->name) || !strcmp(a->name, "__metadata__"))
        return gr__fail(GR_ERR_ARGUMENT, "safetensors: an array needs a name in UTF-8, other than"
                                         " __metadata__");
    const gr__type *type = a->dtype ? gr__type_find(a->dtype) : NULL;
    if (!type)
        return gr__fail(GR_ERR_ARGUMENT, "safetensors: %s: unknown dtype '%s'", a->name,
                        a->dtype ? a->dtype : "");
    char text[GR_SHAPE_TEXT];
    size_t bytes = 0;
    if (!gr__type_bytes(type, &a->shape, &bytes) || bytes != a->bytes || (bytes && !a->data))
        return gr__fail(GR_ERR_ARGUMENT, "safetensors: %s: expected %zu bytes of %s %s, got %zu%s",
                        a->name, bytes, a->dtype, gr_shape_text(&a->shape, text), a->bytes,
                        a->data ? "" : " at NULL");
    return GR_OK;
}

static gr_status check_metadata(const char *const *metadata)
{
    for (int i = 0; metadata && metadata[i]; i += 2) {
        if (!is_text(metadata[i]) || !is_text(metadata[i + 1]))
            return gr__fail(GR_ERR_ARGUMENT, "safetensors: metadata must be pairs of UTF-8 text");
        for (int j = 0; j < i; j += 2)
            if (!strcmp(metadata[i], metadata[j]))
                return gr__fail(GR_ERR_ARGUMENT, "safetensors: metadata '%s' is there twice",
                                metadata[i]);
    }
    return GR_OK;
}

static int order_by_name(const void *a, const void *b)
{
    return strcmp(((const gr_array *)a)->name, ((const gr_array *)b)->name);
}

/* Larger elements first, so that all lie aligned; then by name. */
static int order_in_file(const void *a, const void *b)
{
    int x = gr__type_find(((const gr_array *)a)->dtype)->bits;
    int y = gr__type_find(((const gr_array *)b)->dtype)->bits;
    return x != y ? (x > y ? -1 : 1) : order_by_name(a, b);
}

static gr_status sort_arrays(const void **sorted, const gr_array *arrays, int n)
{
    for (int i = 0; i < n; i++) sorted[i] = &arrays[i];
    gr__sort(sorted, (size_t)n, order_by_name);
    for (int i = 1; i < n; i++)
        if (!order_by_name(sorted[i - 1], sorted[i]))
            return gr__fail(GR_ERR_ARGUMENT, "safetensors: %s: is there twice",
                            ((const gr_array *)sorted[i])->name);
    gr__sort(sorted, (size_t)n, order_in_file);
    return GR_OK;
}

/* --- the content --- */

static void describe(gr__json_writer *w, const gr_array *a, size_t *at)
{
    gr__json_object(w, a->name);
    gr__json_string(w, "dtype", a->dtype);
    gr__json_array(w, "shape");
    for (int i = 0; i < a->shape.rank; i++) gr__json_int(w, NULL, a->shape.dim[i]);
    gr__json_close(w);
    gr__json_array(w, "data_offsets");
    gr__json_int(w, NULL, (int64_t)*at);
    *at += a->bytes;
    gr__json_int(w, NULL, (int64_t)*at);
    gr__json_close(w);
    gr__json_close(w);
}

/* The header with its padding; gives the bytes of data that it describes. */
static size_t make_header(gr__text *header, const void *const *sorted, int n,
                          const char *const *metadata)
{
    gr__json_writer w = {.out = header};
    size_t bytes = 0;
    gr__json_object(&w, NULL);
    if (metadata && metadata[0]) {
        gr__json_object(&w, "__metadata__");
        for (int i = 0; metadata[i]; i += 2) gr__json_string(&w, metadata[i], metadata[i + 1]);
        gr__json_close(&w);
    }
    for (int i = 0; i < n; i++) describe(&w, sorted[i], &bytes);
    gr__json_close(&w);
    size_t over = header->len % ALIGNMENT;
    if (over) gr__text_add(header, "%*s", (int)(ALIGNMENT - over), "");
    return bytes;
}

static gr_status save(const char *path, const gr__text *header, const void *const *sorted, int n,
                      size_t data)
{
    size_t bytes = PREFIX + header->len + data;
    char *content = gr__alloc(bytes), *at = content;
    if (!content) return GR_ERR_MEMORY;
    for (int i = 0; i < PREFIX; i++) *at++ = (char)((uint64_t)header->len >> 8 * i & 0xFF);
    memcpy(at, header->data, header->len);
    at += header->len;
    for (int i = 0; i < n; i++) {
        const gr_array *a = sorted[i];
        if (a->bytes) memcpy(at, a->data, a->bytes);
        at += a->bytes;
    }
    gr_status status = gr__file_save(path, content, bytes);
    gr__free(content);
    return status;
}

/* Writes arrays as a safetensors file, as the reference implementation orders and pads them.
 *
 * path      complete afterwards, or as it was before
 * arrays    [n]; name, dtype (in the format's spelling), shape, data and bytes are read; the names
 *           must differ and bytes be what dtype and shape say
 * metadata  key, value, key, value, ..., NULL; or NULL for none
 *
 * GR_ERR_ARGUMENT, GR_ERR_MEMORY (a copy of all data is made), or GR_ERR_FILE. */
gr_status gr_safetensors_write(const char *path, const gr_array *arrays, int n,
                               const char *const *metadata)
{
    gr_status status = gr__need_array("safetensors", arrays, n, "list of arrays");
    if (!status) status = check_metadata(metadata);
    for (int i = 0; i < n && !status; i++) status = check_array(&arrays[i]);
    if (status) return status;
    const void **sorted = gr__alloc((size_t)(n < 0 ? 0 : n) * sizeof *sorted);
    if (!sorted) return GR_ERR_MEMORY;
    gr__text header = {0};
    status = sort_arrays(sorted, arrays, n);
    if (!status) {
        size_t data = make_header(&header, sorted, n, metadata);
        status = header.failed ? GR_ERR_MEMORY : save(path, &header, sorted, n, data);
    }
    gr__text_release(&header);
    gr__free(sorted);
    return status;
}
