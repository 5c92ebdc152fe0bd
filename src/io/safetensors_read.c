/* safetensors_read.c - named arrays out of one file that nobody vouches for.
 *
 *   u64 N | N bytes of JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...} | data
 *
 * Everything is little-endian. The file is read once, into one buffer; names and metadata are
 * strings decoded in place in its header, arrays are views of its data.
 */
/* SPDX-License-Identifier: MIT */
#include "formats.h"
#include "json.h"

#include <gradus/io.h>
#include <string.h>

enum { PREFIX = 8, MOST_HEADER = 100000000 };

typedef struct entry {
    gr_array array;
    int64_t begin, end; /* bytes, from where the data begins */
} entry;

typedef struct pair {
    const char *key, *value;
} pair;

/* Items of one size that grow in number. */
typedef struct list {
    void *items;
    size_t n, cap;
} list;

struct gr_safetensors {
    char *content; /* the whole file */
    size_t bytes, header;
    list entries, metadata; /* of entry, of pair; in the order of the header */
    const void **by_place;  /* [entries.n] by offset */
    const void **by_name;   /* [entries.n] */
    const void **by_key;    /* [metadata.n] */
};

/* What can go wrong says so through the reader, whose first error sticks. */
typedef struct header {
    gr_safetensors *file;
    gr__json_reader json;
    const char *name; /* of the entry being read */
} header;

/* --- lists --- */

/* A zeroed item at the end, or NULL when memory is out. */
static void *list_add(list *l, size_t size)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        void *items = gr__grow(l->items, l->n * size, cap * size);
        if (!items) return NULL;
        l->items = items;
        l->cap = cap;
    }
    return memset((char *)l->items + l->n++ * size, 0, size);
}

/* Pointers to the items in some order, or NULL when memory is out. */
static const void **list_sorted(const list *l, size_t size, gr__order_fn *order)
{
    const void **sorted = gr__alloc(l->n * sizeof *sorted);
    if (!sorted) return NULL;
    for (size_t i = 0; i < l->n; i++) sorted[i] = (const char *)l->items + i * size;
    gr__sort(sorted, l->n, order);
    return sorted;
}

/* Both entries and pairs begin with their name. */
static const char *name_of(const void *item)
{
    return *(const char *const *)item;
}

static int order_by_name(const void *a, const void *b)
{
    return strcmp(name_of(a), name_of(b));
}

/* By (begin, end); empty arrays at the same place by name, so that the order is a matter of the
 * file's content alone. */
static int order_by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return order_by_name(a, b);
}

static const char *find_repeated(const void **sorted, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!order_by_name(sorted[i - 1], sorted[i])) return name_of(sorted[i]);
    return NULL;
}

static const void *find_name(const void **sorted, size_t n, const char *name)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, name_of(sorted[middle]));
        if (order == 0) return sorted[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

/* --- the header --- */

/* An error about the entry being read. */
static gr_status fail(header *h, const char *what)
{
    if (h->json.status) return h->json.status;
    return h->json.status = gr__fail(GR_ERR_FORMAT, "%s: %s", h->name, what);
}

static void read_size(header *h, int64_t *value)
{
    if (gr__json_read_int(&h->json, value) && *value < 0) fail(h, "expected no negative number");
}

static void read_type(header *h, gr_array *a)
{
    const char *name;
    if (!gr__json_read_string(&h->json, &name)) return;
    const gr__type *type = gr__type_find(name);
    if (type) a->dtype = type->name;
    else h->json.status = gr__fail(GR_ERR_FORMAT, "%s: unknown dtype '%.40s'", h->name, name);
}

static void read_shape(header *h, gr_array *a)
{
    int64_t size = 0;
    for (gr__json_enter_array(&h->json); gr__json_next_item(&h->json);) {
        read_size(h, &size);
        if (a->shape.rank == GR_MAX_RANK) fail(h, "rank above 8 is not supported");
        else a->shape.dim[a->shape.rank++] = size;
    }
}

static void read_offsets(header *h, entry *e)
{
    int64_t offsets[2] = {0}, value = 0;
    int n = 0;
    for (gr__json_enter_array(&h->json); gr__json_next_item(&h->json); n++) {
        read_size(h, &value);
        if (n < 2) offsets[n] = value;
        else fail(h, "expected 2 data_offsets, got more");
    }
    if (n < 2) fail(h, "expected 2 data_offsets, got fewer");
    e->begin = offsets[0];
    e->end = offsets[1];
}

static void check_size(header *h, entry *e)
{
    gr_array *a = &e->array;
    char text[GR_SHAPE_TEXT];
    if (!gr__type_bytes(gr__type_find(a->dtype), &a->shape, &a->bytes))
        fail(h, "its size is too large or not in whole bytes");
    else if (e->end < e->begin || (size_t)(e->end - e->begin) != a->bytes)
        h->json.status = gr__fail(GR_ERR_FORMAT,
                                  "%s: data_offsets [%lld,%lld]: expected %zu bytes of %s %s",
                                  h->name, (long long)e->begin, (long long)e->end, a->bytes,
                                  a->dtype, gr_shape_text(&a->shape, text));
}

static void read_entry(header *h)
{
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    uint32_t seen = 0;
    entry *e = list_add(&h->file->entries, sizeof *e);
    if (!e) {
        h->json.status = GR_ERR_MEMORY;
        return;
    }
    e->array.name = h->name;
    gr__json_enter_object(&h->json);
    for (int f; (f = gr__json_next_field(&h->json, fields, 3, &seen)) >= 0;) {
        if (f == 0) read_type(h, &e->array);
        else if (f == 1) read_shape(h, &e->array);
        else read_offsets(h, e);
    }
    if (seen != 7) fail(h, "expected dtype, shape and data_offsets");
    if (!h->json.status) check_size(h, e);
}

static void read_metadata(header *h)
{
    const char *key, *value;
    for (gr__json_enter_object(&h->json); gr__json_next_key(&h->json, &key);) {
        if (!gr__json_read_string(&h->json, &value)) return;
        pair *p = list_add(&h->file->metadata, sizeof *p);
        if (p) *p = (pair){key, value};
        else h->json.status = GR_ERR_MEMORY;
    }
}

static gr_status read_header(gr_safetensors *f)
{
    header h = {.file = f};
    bool metadata = false;
    char *text = f->content + PREFIX;
    size_t n = f->header;
    if (n == 0 || text[0] != '{')
        return gr__fail(GR_ERR_FORMAT, "the header does not begin with '{'");
    while (text[n - 1] == ' ') n--;
    if (text[n - 1] != '}')
        return gr__fail(GR_ERR_FORMAT, "the header does not end with '}' and spaces");
    gr__json_begin(&h.json, text, n);
    for (gr__json_enter_object(&h.json); gr__json_next_key(&h.json, &h.name);) {
        if (strcmp(h.name, "__metadata__")) {
            read_entry(&h);
        } else if (metadata) {
            fail(&h, "is there twice");
        } else {
            metadata = true;
            read_metadata(&h);
        }
    }
    return gr__json_end(&h.json);
}

/* --- the whole file --- */

static uint64_t little_endian(const char *data)
{
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | (unsigned char)data[i];
    return x;
}

static gr_status read_prefix(gr_safetensors *f)
{
    if (f->bytes < PREFIX)
        return gr__fail(GR_ERR_FORMAT, "expected at least %d bytes, got %zu", PREFIX, f->bytes);
    uint64_t n = little_endian(f->content);
    if (n > MOST_HEADER || n > f->bytes - PREFIX)
        return gr__fail(GR_ERR_FORMAT,
                        "its header claims %llu bytes, but %zu follow (and at most %d may)",
                        (unsigned long long)n, f->bytes - PREFIX, MOST_HEADER);
    f->header = (size_t)n;
    return GR_OK;
}

static gr_status sort_names(gr_safetensors *f)
{
    f->by_place = list_sorted(&f->entries, sizeof(entry), order_by_place);
    f->by_name = list_sorted(&f->entries, sizeof(entry), order_by_name);
    f->by_key = list_sorted(&f->metadata, sizeof(pair), order_by_name);
    if (!f->by_place || !f->by_name || !f->by_key) return GR_ERR_MEMORY;
    const char *repeated = find_repeated(f->by_name, f->entries.n);
    if (!repeated) repeated = find_repeated(f->by_key, f->metadata.n);
    return repeated ? gr__fail(GR_ERR_FORMAT, "%s: is there twice", repeated) : GR_OK;
}

/* Arrays follow each other without holes and overlap, from the header to the end of the file. */
static gr_status check_places(const gr_safetensors *f)
{
    int64_t at = 0, all = (int64_t)(f->bytes - PREFIX - f->header);
    for (size_t i = 0; i < f->entries.n; i++) {
        const entry *e = f->by_place[i];
        if (e->begin != at || e->end > all)
            return gr__fail(GR_ERR_FORMAT,
                            "%s: data_offsets [%lld,%lld]: expected to begin at %lld and to end by"
                            " %lld",
                            e->array.name, (long long)e->begin, (long long)e->end, (long long)at,
                            (long long)all);
        at = e->end;
    }
    if (at == all) return GR_OK;
    return gr__fail(GR_ERR_FORMAT, "expected %lld bytes of data, got %lld", (long long)at,
                    (long long)all);
}

static void point_at_data(gr_safetensors *f)
{
    entry *entries = f->entries.items;
    const char *data = f->content + PREFIX + f->header;
    for (size_t i = 0; i < f->entries.n; i++) entries[i].array.data = data + entries[i].begin;
}

gr_status gr__safetensors_read(const char *path, gr_safetensors **file)
{
    void *content;
    *file = NULL;
    gr_safetensors *f = gr__calloc(sizeof *f);
    if (!f) return GR_ERR_MEMORY;
    gr_status status = gr__file_load(path, &content, &f->bytes);
    if (!status) {
        f->content = content;
        status = read_prefix(f);
        if (!status) status = read_header(f);
        if (!status) status = sort_names(f);
        if (!status) status = check_places(f);
        if (!status) point_at_data(f);
        if (status == GR_ERR_FORMAT) gr__fail(status, "%s: %s", path, gr_last_error());
    }
    if (status) gr_safetensors_close(f);
    else *file = f;
    return status;
}

/* Opens a safetensors file and reads all of it.
 *
 * Nothing is believed before it is checked: sizes, offsets, names and the JSON itself. Every type
 * of the format can be read, also those that the library does not compute with; a rank above 8
 * cannot. What the header claims causes no allocation beyond a small multiple of its own length.
 *
 * NULL on failure; the error names the file, the array, what was expected and what was found:
 * GR_ERR_FILE, GR_ERR_FORMAT or GR_ERR_MEMORY. The caller closes it with gr_safetensors_close,
 * which ends the life of all that it gave. */
gr_safetensors *gr_safetensors_open(const char *path)
{
    gr_safetensors *file;
    gr__safetensors_read(path, &file);
    return file;
}

/* Frees a file with its arrays, names and metadata; NULL is fine. */
void gr_safetensors_close(gr_safetensors *file)
{
    if (!file) return;
    gr__free(file->content);
    gr__free(file->entries.items);
    gr__free(file->metadata.items);
    gr__free(file->by_place);
    gr__free(file->by_name);
    gr__free(file->by_key);
    gr__free(file);
}

/* Number of arrays. */
int gr_safetensors_count(const gr_safetensors *file)
{
    return file ? (int)file->entries.n : 0;
}

/* Array i in the order of the data, 0 <= i < count; NULL beyond. Its data may lie at any address:
 * copy it, or check the alignment, before reading it as numbers. */
const gr_array *gr_safetensors_at(const gr_safetensors *file, int i)
{
    if (!file || i < 0 || (size_t)i >= file->entries.n) return NULL;
    return &((const entry *)file->by_place[i])->array;
}

/* The array of that name, or NULL. */
const gr_array *gr_safetensors_find(const gr_safetensors *file, const char *name)
{
    if (!file || !name) return NULL;
    const entry *e = find_name(file->by_name, file->entries.n, name);
    return e ? &e->array : NULL;
}

/* The value of a key of the metadata, or NULL. */
const char *gr_safetensors_metadata(const gr_safetensors *file, const char *key)
{
    if (!file || !key) return NULL;
    const pair *p = find_name(file->by_key, file->metadata.n, key);
    return p ? p->value : NULL;
}
