/* mnist.c - MNIST, and whatever comes in the same four files (Fashion-MNIST). */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <gradus/data.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 10 };

/* An array of bytes as the file has it. */
typedef struct part {
    char path[4096];
    gr_shape shape;
    unsigned char *data;
} part;

static bool exists(const char *path)
{
    int fd = gr__file_open(path, O_RDONLY, 0);
    if (fd >= 0) gr__file_close(fd);
    return fd >= 0;
}

/* folder/stem, or that with .gz. */
static gr_status find(const char *folder, const char *stem, char *path, size_t size)
{
    if (gr__need("mnist", folder, "folder")) return GR_ERR_ARGUMENT;
    int n = snprintf(path, size, "%s/%s", folder, stem);
    if (n < 0 || (size_t)n + 4 > size)
        return gr__fail(GR_ERR_FILE, "%.80s...: path too long", folder);
    if (exists(path)) return GR_OK;
    memcpy(path + n, ".gz", 4);
    if (exists(path)) return GR_OK;
    int cause = errno;
    path[n] = 0;
    return gr__fail(GR_ERR_FILE, "%s: cannot open it, nor with .gz: %s", path, strerror(cause));
}

static gr_status load(part *p, const char *folder, const char *stem, int rank)
{
    gr_dtype dtype;
    void *data;
    char text[GR_SHAPE_TEXT];
    gr_status status = find(folder, stem, p->path, sizeof p->path);
    if (!status) status = gr_idx_read(p->path, &dtype, &p->shape, &data);
    if (status) return status;
    p->data = data;
    if (dtype != GR_U8 || p->shape.rank != rank)
        return gr__fail(GR_ERR_FORMAT, "%s: expected uint8 of rank %d, got %s %s", p->path, rank,
                        gr_dtype_name(dtype), gr_shape_text(&p->shape, text));
    return GR_OK;
}

static gr_status check(const part *images, const part *labels)
{
    int64_t n = labels->shape.dim[0];
    if (images->shape.dim[0] != n)
        return gr__fail(GR_ERR_FORMAT,
                        "%s: expected a label for each of the %lld images in %s,"
                        " got %lld",
                        labels->path, (long long)images->shape.dim[0], images->path, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (labels->data[i] >= CLASSES)
            return gr__fail(GR_ERR_FORMAT, "%s: label %lld: expected 0 to %d, got %d", labels->path,
                            (long long)i, CLASSES - 1, labels->data[i]);
    return GR_OK;
}

static gr_dataset *combine(const part *images, const part *labels)
{
    const int64_t *dim = images->shape.dim;
    gr_dataset *d = gr_dataset_new(GR_SHAPE(1, dim[1], dim[2]), dim[0], CLASSES);
    if (!d) return NULL;
    int64_t pixels = gr_shape_numel(&images->shape);
    for (int64_t i = 0; i < pixels; i++) d->x[i] = (float)images->data[i] / 255;
    for (int64_t i = 0; i < d->n; i++) d->y[i] = labels->data[i];
    return d;
}

/* Loads MNIST, or a data set of the same form, from its IDX files.
 *
 * folder  holds train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-... for the test
 *         part, plain or with .gz behind their names
 * train   the training part (60,000 images), else the test part (10,000)
 *
 * Samples are [1, height, width] with pixels 0..1, labels 0..9. NULL on failure; the error names
 * the file, what was expected and what was found. The caller frees it with gr_dataset_free. */
gr_dataset *gr_mnist(const char *folder, bool train)
{
    part images = {.data = NULL}, labels = {.data = NULL};
    gr_dataset *d = NULL;
    if (!load(&images, folder, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte", 3) &&
        !load(&labels, folder, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte", 1) &&
        !check(&images, &labels))
        d = combine(&images, &labels);
    gr__free(images.data);
    gr__free(labels.data);
    if (d) strcpy(d->name, train ? "mnist-train" : "mnist-test");
    return d;
}
