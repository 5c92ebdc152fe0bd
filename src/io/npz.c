/* npz.c - named arrays as NumPy keeps them: npy files in a zip. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"
#include "npy.h"
#include "zip.h"

#include <gradus/io.h>
#include <stdio.h>
#include <string.h>

struct gr_npz {
    gr_array *arrays; /* names and data are their own */
    int n;
};

static const char suffix[] = ".npy";

/* --- reading --- */

/* The member's name without .npy; NULL on failure. */
static char *name_of(const gr__zip *z, const gr__zip_member *m)
{
    size_t n = m->name_bytes, end = sizeof suffix - 1;
    if (n <= end || memcmp(m->name + n - end, suffix, end) || memchr(m->name, 0, n)) {
        gr__fail(GR_ERR_FORMAT, "%s: expected members named *.npy, got '%.*s'", z->path,
                 (int)(n < 80 ? n : 80), m->name);
        return NULL;
    }
    char *name = gr__alloc(n - end + 1);
    if (!name) return NULL;
    memcpy(name, m->name, n - end);
    name[n - end] = 0;
    return name;
}

static gr_status parse_member(const gr__zip *z, const gr__zip_member *m, gr_array *a)
{
    char label[300];
    void *content, *data;
    gr_dtype dtype;
    snprintf(label, sizeof label, "%.200s: %.80s", z->path, a->name);
    gr_status status = gr__zip_unpack(z, m, &content);
    if (status) return status;
    status = gr__npy_parse(label, content, m->bytes, &dtype, &a->shape, &data);
    gr__free(content);
    if (status) return status;
    a->data = data;
    a->dtype = gr__type_of(dtype)->name;
    a->bytes = (size_t)gr_shape_numel(&a->shape) * gr_dtype_size(dtype);
    return GR_OK;
}

static gr_status add_member(gr_npz *f, const gr__zip *z, const gr__zip_member *m)
{
    char *name = name_of(z, m);
    if (!name) return GR_ERR_FORMAT;
    if (gr_npz_find(f, name)) {
        gr__fail(GR_ERR_FORMAT, "%s: two arrays are named '%.80s'", z->path, name);
        gr__free(name);
        return GR_ERR_FORMAT;
    }
    gr_array *a = &f->arrays[f->n++];
    a->name = name;
    return parse_member(z, m, a);
}

static gr_status read_members(gr_npz *f, const char *path, const void *content, size_t bytes)
{
    gr__zip z;
    gr__zip_member m;
    gr_status status = gr__zip_begin(&z, path, content, bytes);
    if (status) return status;
    f->arrays = gr__calloc(z.left * sizeof *f->arrays);
    if (!f->arrays) return GR_ERR_MEMORY;
    while (!status && gr__zip_next(&z, &m, &status)) status = add_member(f, &z, &m);
    return status;
}

/* Reads all arrays of an npz file, as numpy.savez and savez_compressed write it.
 *
 * Elements are converted as gr_npy_read does, sizes and checksums are checked. NULL on failure; the
 * error names the file and the place. Close with gr_npz_close. */
gr_npz *gr_npz_open(const char *path)
{
    void *content;
    size_t bytes;
    if (gr__file_load(path, &content, &bytes)) return NULL;
    gr_npz *f = gr__calloc(sizeof *f);
    gr_status status = f ? read_members(f, path, content, bytes) : GR_ERR_MEMORY;
    gr__free(content);
    if (!status) return f;
    gr_npz_close(f);
    return NULL;
}

/* Frees the file with its arrays; NULL is fine. */
void gr_npz_close(gr_npz *file)
{
    for (int i = 0; file && i < file->n; i++) {
        gr__free((void *)(uintptr_t)file->arrays[i].name);
        gr__free((void *)(uintptr_t)file->arrays[i].data);
    }
    if (file) gr__free(file->arrays);
    gr__free(file);
}

/* Number of arrays. */
int gr_npz_count(const gr_npz *file)
{
    return file ? file->n : 0;
}

/* Array i in the order of the file; NULL when there is none. Its dtype is spelled as in safetensors,
 * its data are row-major and aligned. It belongs to the file. */
const gr_array *gr_npz_at(const gr_npz *file, int i)
{
    return file && i >= 0 && i < file->n ? &file->arrays[i] : NULL;
}

/* The array of that name (without .npy); NULL when there is none. */
const gr_array *gr_npz_find(const gr_npz *file, const char *name)
{
    for (int i = 0; file && name && i < file->n; i++)
        if (!strcmp(file->arrays[i].name, name)) return &file->arrays[i];
    return NULL;
}

/* --- writing --- */

static gr_status check_array(const gr_array *arrays, int i)
{
    const gr_array *a = &arrays[i];
    const gr__type *type = a->name && *a->name && a->dtype ? gr__type_find(a->dtype) : NULL;
    size_t bytes;
    if (!type || type->dtype == GR_DTYPES || !gr__type_bytes(type, &a->shape, &bytes) ||
        bytes != a->bytes)
        return gr__fail(GR_ERR_ARGUMENT,
                        "npz: array %d '%.80s': expected a name, dtype F32, F64, I64, U8 or BOOL,"
                        " and as many bytes as its shape has",
                        i, a->name ? a->name : "");
    for (int k = 0; k < i; k++)
        if (!strcmp(arrays[k].name, a->name))
            return gr__fail(GR_ERR_ARGUMENT, "npz: two arrays are named '%.80s'", a->name);
    return GR_OK;
}

static gr_status add_array(gr__zip_writer *w, const gr_array *a)
{
    gr__text npy = {0}, name = {0};
    gr__text_add(&name, "%s%s", a->name, suffix);
    gr__npy_format(&npy, gr__type_find(a->dtype)->dtype, &a->shape, a->data);
    gr_status status = GR_ERR_MEMORY;
    if (!npy.failed && !name.failed) status = gr__zip_add(w, name.data, npy.data, npy.len);
    gr__text_release(&npy);
    gr__text_release(&name);
    return status;
}

/* Writes arrays as an npz file, which numpy.load reads.
 *
 * path      complete afterwards, or as it was before
 * arrays    [n] as for gr_safetensors_write, of dtype F32, F64, I64, U8 or BOOL
 * compress  deflates them
 *
 * GR_ERR_ARGUMENT (2 GB at most), GR_ERR_MEMORY (copies are made), or GR_ERR_FILE. */
gr_status gr_npz_write(const char *path, const gr_array *arrays, int n, bool compress)
{
    gr__zip_writer w = {.compress = compress};
    gr_status status = gr__need_array("npz", arrays, n, "list of arrays");
    for (int i = 0; i < n && !status; i++) status = check_array(arrays, i);
    for (int i = 0; i < n && !status; i++) status = add_array(&w, &arrays[i]);
    if (!status) status = gr__zip_save(&w, path);
    gr__zip_release(&w);
    return status;
}
