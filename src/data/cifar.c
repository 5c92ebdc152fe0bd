/* cifar.c - CIFAR-10 in its binary form.
 *
 *   records of 3073 bytes: the label, then 32 x 32 pixels red, as many green, as many blue
 */
/* SPDX-License-Identifier: MIT */
#include "content.h"
#include "dataset.h"

#include <stdio.h>
#include <string.h>

enum { CLASSES = 10, SIDE = 32, PIXELS = 3 * SIDE * SIDE, RECORD = 1 + PIXELS, FILES = 5 };

static char *const names[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                     "dog",      "frog",       "horse", "ship", "truck"};

/* Which files a part has. */
typedef struct part {
    const char *name, *files[FILES];
    int n;
} part;

static const part parts[] = {
    {"cifar10-test", {"test_batch.bin"}, 1},
    {"cifar10-train",
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin"},
     FILES},
};

/* --- records --- */

static gr_status check(const char *path, const unsigned char *content, size_t bytes)
{
    if (bytes == 0 || bytes % RECORD)
        return gr__fail(GR_ERR_FORMAT, "%s: expected records of %d bytes, got %zu bytes", path,
                        RECORD, bytes);
    for (size_t at = 0; at < bytes; at += RECORD)
        if (content[at] >= CLASSES)
            return gr__fail(GR_ERR_FORMAT, "%s: byte %zu: expected a label of 0 to %d, got %d",
                            path, at, CLASSES - 1, content[at]);
    return GR_OK;
}

static void convert(const unsigned char *record, float *x, int64_t *y)
{
    *y = record[0];
    for (int i = 0; i < PIXELS; i++) x[i] = (float)record[1 + i] / 255;
}

static gr_dataset *make(int64_t n, const char *name)
{
    gr_dataset *d = gr_dataset_new(GR_SHAPE(3, SIDE, SIDE), n, CLASSES);
    if (!d) return NULL;
    snprintf(d->name, sizeof d->name, "%s", name);
    d->class_names = gr__names_copy(names, CLASSES);
    if (d->class_names) return d;
    gr_dataset_free(d);
    return NULL;
}

/* Loads one file of records, plain or compressed with gzip.
 *
 * Samples are [3, 32, 32] with pixels 0..1, labels 0..9 with their names. NULL on failure: the file
 * cannot be read, is no whole number of records, or has a label above 9; the error names the file
 * and the place. The caller frees it with gr_dataset_free. */
gr_dataset *gr_cifar10_file(const char *path)
{
    char *content;
    size_t bytes;
    if (gr__content_load(path, &content, &bytes)) return NULL;
    const unsigned char *records = (const unsigned char *)content;
    gr_dataset *d = NULL;
    if (!check(path, records, bytes)) d = make((int64_t)(bytes / RECORD), "cifar10");
    for (int64_t i = 0; d && i < d->n; i++)
        convert(records + i * RECORD, d->x + i * PIXELS, &d->y[i]);
    gr__free(content);
    return d;
}

/* --- the folder --- */

/* One after the other, in one data set. */
static gr_dataset *join(gr_dataset *const *pieces, int n, const char *name)
{
    int64_t all = 0, at = 0;
    for (int i = 0; i < n; i++) all += pieces[i]->n;
    gr_dataset *d = make(all, name);
    for (int i = 0; d && i < n; at += pieces[i++]->n) {
        memcpy(d->x + at * PIXELS, pieces[i]->x, (size_t)(pieces[i]->n * PIXELS) * sizeof *d->x);
        memcpy(d->y + at, pieces[i]->y, (size_t)pieces[i]->n * sizeof *d->y);
    }
    return d;
}

/* Loads CIFAR-10 (A. Krizhevsky, 2009) from the files of its binary version.
 *
 * folder  holds data_batch_1.bin to data_batch_5.bin and test_batch.bin
 * train   the training part (50,000 images), else the test part (10,000)
 *
 * As gr_cifar10_file otherwise. */
gr_dataset *gr_cifar10(const char *folder, bool train)
{
    const part *p = &parts[train];
    gr_dataset *pieces[FILES] = {0}, *d = NULL;
    char path[4096];
    int n = 0;
    if (gr__need("cifar10", folder, "folder")) return NULL;
    for (; n < p->n; n++) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, p->files[n]);
        if (length < 0 || (size_t)length >= sizeof path)
            gr__fail(GR_ERR_FILE, "%.80s...: path too long", folder);
        else pieces[n] = gr_cifar10_file(path);
        if (!pieces[n]) break;
    }
    if (n == p->n) d = join(pieces, n, p->name);
    for (int i = 0; i < FILES; i++) gr_dataset_free(pieces[i]);
    return d;
}
