/* image_folder.c - pictures in a folder per class: folder/cat/1.png, folder/dog/2.jpg. */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Names in a folder, sorted. */
typedef struct names {
    gr__text text; /* each with its NUL */
    const void **sorted;
    int64_t n;
} names;

/* All pictures. */
typedef struct album {
    char **paths; /* [n] */
    int64_t *y;   /* [n] */
    int64_t n, cap;
    gr_shape shape;
} album;

/* --- names --- */

static void note_name(void *ctx, const char *name)
{
    names *all = ctx;
    if (*name == '.') return;
    gr__text_add_bytes(&all->text, name, strlen(name) + 1);
    all->n++;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void names_release(names *all)
{
    gr__text_release(&all->text);
    gr__free(all->sorted);
}

static gr_status names_init(names *all, const char *folder)
{
    *all = (names){.n = 0};
    if (gr__need("image folder", folder, "folder")) return GR_ERR_ARGUMENT;
    if (gr__file_list(folder, note_name, all))
        return gr__fail(GR_ERR_FILE, "%s: cannot list this folder: %s", folder, strerror(errno));
    all->sorted = gr__alloc((size_t)all->n * sizeof *all->sorted);
    if (all->text.failed || !all->sorted) return GR_ERR_MEMORY;
    const char *at = all->text.data;
    for (int64_t i = 0; i < all->n; at += strlen(at) + 1) all->sorted[i++] = at;
    gr__sort(all->sorted, (size_t)all->n, compare);
    return GR_OK;
}

static gr_status join(const char *folder, const char *name, char path[4096])
{
    int n = snprintf(path, 4096, "%s/%s", folder, name);
    if (n >= 0 && n < 4096) return GR_OK;
    return gr__fail(GR_ERR_FILE, "%.80s...: path too long", folder);
}

/* --- the album --- */

static void album_free(void *user)
{
    album *a = user;
    if (!a) return;
    for (int64_t i = 0; i < a->n; i++) gr__free(a->paths[i]);
    gr__free(a->paths);
    gr__free(a->y);
    gr__free(a);
}

static bool album_grow(album *a)
{
    size_t n = (size_t)a->n, cap = 2 * n + 64;
    char **paths = gr__grow(a->paths, n * sizeof *paths, cap * sizeof *paths);
    if (!paths) return false;
    a->paths = paths;
    int64_t *y = gr__grow(a->y, n * sizeof *y, cap * sizeof *y);
    if (!y) return false;
    a->y = y;
    a->cap = (int64_t)cap;
    return true;
}

static gr_status add_picture(album *a, const char *path, int64_t class)
{
    if (a->n == a->cap && !album_grow(a)) return GR_ERR_MEMORY;
    char *copy = gr__strdup(path);
    if (!copy) return GR_ERR_MEMORY;
    a->paths[a->n] = copy;
    a->y[a->n++] = class;
    return GR_OK;
}

static gr_status add_class(album *a, const char *folder, int64_t class)
{
    names files;
    char path[4096];
    int64_t before = a->n;
    gr_status status = names_init(&files, folder);
    for (int64_t i = 0; i < files.n && !status; i++) {
        status = join(folder, files.sorted[i], path);
        if (!status) status = add_picture(a, path, class);
    }
    names_release(&files);
    if (!status && a->n == before)
        status = gr__fail(GR_ERR_FORMAT, "%s: no pictures of this class", folder);
    return status;
}

static gr_status add_classes(album *a, const char *folder, const names *classes)
{
    char path[4096];
    gr_status status = GR_OK;
    if (classes->n == 0)
        return gr__fail(GR_ERR_FORMAT, "%s: expected a folder per class, got none", folder);
    for (int64_t c = 0; c < classes->n && !status; c++) {
        status = join(folder, classes->sorted[c], path);
        if (!status) status = add_class(a, path, c);
    }
    return status;
}

/* --- samples --- */

static gr_status read_picture(const album *a, int64_t i, bool exact, float *x)
{
    gr__image image;
    const int64_t *dim = a->shape.dim;
    gr_status status = gr__image_load(a->paths[i], &image);
    if (status) return status;
    if (exact && (image.height != dim[1] || image.width != dim[2]))
        status = gr__fail(GR_ERR_FORMAT,
                          "%s: expected %lld x %lld pixels, as in %s, got %lld x %lld"
                          " (gr_images_options.height and width resize)",
                          a->paths[i], (long long)dim[2], (long long)dim[1], a->paths[0],
                          (long long)image.width, (long long)image.height);
    else gr__image_planes(&image, dim[0], dim[1], dim[2], x);
    gr__free(image.rgb);
    return status;
}

static gr_status read_resized(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    const album *a = user;
    (void)target;
    if (y) *y = a->y[index];
    return read_picture(a, index, false, x);
}

static gr_status read_exact(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    const album *a = user;
    (void)target;
    if (y) *y = a->y[index];
    return read_picture(a, index, true, x);
}

static gr_status find_shape(album *a, const gr_images_options *o)
{
    gr__image first = {.height = o->height, .width = o->width};
    if (o->height < 0 || o->width < 0 || !o->height != !o->width)
        return gr__fail(GR_ERR_ARGUMENT,
                        "images: expected both height and width, or neither, got %lld and %lld",
                        (long long)o->height, (long long)o->width);
    gr_status status = o->height ? GR_OK : gr__image_load(a->paths[0], &first);
    a->shape = GR_SHAPE(o->grey ? 1 : 3, first.height, first.width);
    gr__free(first.rgb);
    return status;
}

/* --- the data set --- */

/* Every picture into memory; the album is then no longer needed. */
static gr_status keep(gr_dataset *d)
{
    album *a = d->user;
    size_t size = (size_t)gr__sample_numel(d);
    d->x = gr__alloc((size_t)d->n * size * sizeof *d->x);
    d->y = gr__alloc((size_t)d->n * sizeof *d->y);
    if (!d->x || !d->y) return GR_ERR_MEMORY;
    gr_status status = GR_OK;
    for (int64_t i = 0; i < d->n && !status; i++)
        status = d->read(a, i, d->x + (size_t)i * size, &d->y[i], NULL);
    if (status) return status;
    album_free(a);
    d->read = NULL;
    d->release = NULL;
    d->user = NULL;
    return GR_OK;
}

static gr_dataset *make(album *a, const names *classes, const gr_images_options *o)
{
    gr_read_fn *read = o->height ? read_resized : read_exact;
    gr_dataset *d = gr_dataset_stream(a->shape, a->n, (int)classes->n, read, a);
    if (!d) {
        album_free(a);
        return NULL;
    }
    d->release = album_free;
    d->class_names = gr__names_copy((char *const *)classes->sorted, d->classes);
    if (d->class_names && (o->stream || !keep(d))) return d;
    gr_dataset_free(d);
    return NULL;
}

/* Loads PNG and JPEG pictures; the name of the folder that one lies in is its class.
 *
 * folder  holds a folder per class, and these only pictures; names that begin with a point are
 *         passed over
 * o       height, width  every picture is resized to that (each place averages what it covers); 0:
 *                        all must be as large as the first one
 *         grey           one channel, the luma; otherwise red, green, blue
 *         stream         pictures are read whenever they are needed, so that they need not fit
 *                        into memory
 *
 * Samples are [channels, height, width] of 0..1, classes in the order of their names. What shows
 * through is black. NULL on failure: a folder without pictures, a file that is neither PNG nor JPEG
 * or is damaged, a format that was not built in; the error names the file. The caller frees it with
 * gr_dataset_free. */
gr_dataset *gr_image_folder(const char *folder, gr_images_options o)
{
    names classes;
    gr_dataset *d = NULL;
    album *a = gr__calloc(sizeof *a);
    gr_status status = names_init(&classes, folder);
    if (!status && !a) status = GR_ERR_MEMORY;
    if (!status) status = add_classes(a, folder, &classes);
    if (!status) status = find_shape(a, &o);
    if (status) album_free(a);
    else d = make(a, &classes, &o);
    names_release(&classes);
    return d;
}
