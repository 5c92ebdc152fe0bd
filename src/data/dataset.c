/* dataset.c - samples, and what is to be learned of each: in memory, or read on demand. */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"

#include <stdio.h>
#include <string.h>

/* --- sizes --- */

/* The batch axis comes before those of a sample. */
static bool fits(const gr_shape *sample, int64_t n)
{
    if (sample->rank < 0 || sample->rank >= GR_MAX_RANK) return false;
    gr_shape all = {.rank = sample->rank + 1, .dim = {n}};
    memcpy(all.dim + 1, sample->dim, sizeof(int64_t) * (size_t)sample->rank);
    return gr__shape_valid(&all);
}

int64_t gr__sample_numel(const gr_dataset *d)
{
    return gr_shape_numel(&d->shape);
}

int64_t gr__target_numel(const gr_dataset *d)
{
    return d->has_target ? gr_shape_numel(&d->target_shape) : 0;
}

/* --- names --- */

void gr__names_free(char **names, int n)
{
    for (int i = 0; names && i < n; i++) gr__free(names[i]);
    gr__free(names);
}

char **gr__names_copy(char *const *names, int n)
{
    char **copy = gr__calloc((size_t)n * sizeof *copy);
    for (int i = 0; copy && i < n; i++) {
        copy[i] = gr__strdup(names[i]);
        if (copy[i]) continue;
        gr__names_free(copy, n);
        return NULL;
    }
    return copy;
}

const char *gr__class_text(const gr_dataset *d, int64_t class, char text[128])
{
    if (d->class_names)
        snprintf(text, 128, "%lld ('%.90s')", (long long)class, d->class_names[class]);
    else snprintf(text, 128, "%lld", (long long)class);
    return text;
}

/* --- lifetime --- */

gr_dataset *gr__dataset_empty(const char *who, gr_shape sample, int64_t n, int classes)
{
    if (!fits(&sample, n) || classes < 0) {
        char text[GR_SHAPE_TEXT];
        gr__fail(GR_ERR_ARGUMENT,
                 "%s: cannot make %lld samples %s (rank at most %d) of %d"
                 " classes",
                 who, (long long)n, gr_shape_text(&sample, text), GR_MAX_RANK - 1, classes);
        return NULL;
    }
    gr_dataset *d = gr__calloc(sizeof *d);
    if (d) *d = (gr_dataset){.n = n, .shape = sample, .classes = classes};
    return d;
}

void gr__rows_free(gr_rows *rows)
{
    if (!rows) return;
    gr__free(rows->begin);
    gr__free(rows->ids);
    gr__free(rows);
}

/* Makes a data set of zeros, whose x and y are then to be filled.
 *
 * sample   shape of one sample, rank 0 to 7
 * n        number of samples, 0 or more
 * classes  number of classes, 1 or more; labels are 0 <= y < classes
 *
 * NULL on failure (a negative or too large size, or no memory). The caller frees it with
 * gr_dataset_free. */
gr_dataset *gr_dataset_new(gr_shape sample, int64_t n, int classes)
{
    gr_dataset *d = gr__dataset_empty("dataset", sample, n, classes < 1 ? -1 : classes);
    if (!d) return NULL;
    d->x = gr__calloc((size_t)(n * gr__sample_numel(d)) * sizeof *d->x);
    d->y = gr__calloc((size_t)n * sizeof *d->y);
    if (d->x && d->y) return d;
    gr_dataset_free(d);
    return NULL;
}

/* Makes a data set of zeros for regression: x [n, sample] and target [n, target_shape] are to be
 * filled, there are no classes. Errors and ownership as of gr_dataset_new. */
gr_dataset *gr_dataset_new_targets(gr_shape sample, int64_t n, gr_shape target)
{
    gr_dataset *d = gr__dataset_empty("dataset", target, n, 0); /* checks the sizes of a target */
    gr_dataset_free(d);
    d = d ? gr__dataset_empty("dataset", sample, n, 0) : NULL;
    if (!d) return NULL;
    d->target_shape = target;
    d->has_target = true;
    d->x = gr__calloc((size_t)(n * gr__sample_numel(d)) * sizeof *d->x);
    d->target = gr__calloc((size_t)(n * gr__target_numel(d)) * sizeof *d->target);
    if (d->x && d->target) return d;
    gr_dataset_free(d);
    return NULL;
}

/* Copies samples x [n, sample] and labels y [n]. NULL on failure: as gr_dataset_new, and for a
 * label out of range. */
gr_dataset *gr_dataset_from(gr_shape sample, int64_t n, int classes, const float *x,
                            const int64_t *y)
{
    gr_dataset *d = gr_dataset_new(sample, n, classes);
    if (!d) return NULL;
    const int64_t elements = n * gr__sample_numel(d);
    if (gr__need_array("dataset", x, elements, "array of samples") ||
        gr__need_array("dataset", y, n, "array of labels")) {
        gr_dataset_free(d);
        return NULL;
    }
    if (elements) memcpy(d->x, x, (size_t)elements * sizeof *x);
    if (n) memcpy(d->y, y, (size_t)n * sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        if (y[i] >= 0 && y[i] < classes) continue;
        gr__fail(GR_ERR_ARGUMENT, "dataset: label %lld is %lld, expected 0 to %d", (long long)i,
                 (long long)y[i], classes - 1);
        gr_dataset_free(d);
        return NULL;
    }
    return d;
}

/* A data set that is never in memory as a whole: `read` is asked for each sample when a batch
 * needs it, and must give the same sample for the same index.
 *
 * sample   shape of one sample
 * n        how many there are
 * classes  number of classes; 0: what is to be learned are targets, set target_shape and has_target
 * user     handed to read; set release for it to be called at gr_dataset_free
 *
 * A status other than GR_OK ends the pass; read may say why with an error of its own, or leave the
 * loader to name the sample. */
gr_dataset *gr_dataset_stream(gr_shape sample, int64_t n, int classes, gr_read_fn *read, void *user)
{
    if (!read) {
        gr__fail(GR_ERR_ARGUMENT, "dataset: a stream needs a function that reads, got NULL");
        return NULL;
    }
    gr_dataset *d = gr__dataset_empty("dataset", sample, n, classes);
    if (!d) return NULL;
    d->read = read;
    d->user = user;
    return d;
}

static gr_status check_rows(const gr_rows *rows, int64_t n)
{
    if (rows->begin[0] != 0)
        return gr__fail(GR_ERR_ARGUMENT, "dataset: row 0 begins at %lld, expected 0",
                        (long long)rows->begin[0]);
    for (int64_t i = 0; i < n; i++)
        if (rows->begin[i + 1] < rows->begin[i])
            return gr__fail(GR_ERR_ARGUMENT,
                            "dataset: row %lld ends at %lld, before its begin %lld", (long long)i,
                            (long long)rows->begin[i + 1], (long long)rows->begin[i]);
    for (int64_t i = 0; i < rows->begin[n]; i++)
        if (rows->ids[i] < 0 || rows->ids[i] >= rows->vocabulary)
            return gr__fail(GR_ERR_ARGUMENT, "dataset: token %lld is %lld, expected 0 to %lld",
                            (long long)i, (long long)rows->ids[i], (long long)rows->vocabulary - 1);
    return GR_OK;
}

/* A data set of n rows of tokens, and of those to be learned (out; NULL: none).
 *
 * Takes both, made with gr__alloc or gr_new_rows, on failure too. NULL on failure: rows that do
 * not follow each other, a token out of range, no memory. */
gr_dataset *gr_dataset_rows(gr_rows *in, gr_rows *out, int64_t n)
{
    gr_dataset *d = gr__need("dataset", in, "list of rows")
                        ? NULL
                        : gr__dataset_empty("dataset", (gr_shape){1, {0}}, n, 0);
    if (!d || check_rows(in, n) || (out && check_rows(out, n)) || !(d->x = gr__alloc(0))) {
        gr_dataset_free(d);
        gr__rows_free(in);
        gr__rows_free(out);
        return NULL;
    }
    d->in = in;
    d->out = out;
    return d;
}

/* Makes rows of zeros: n of them, with so many tokens in all; begin and ids are to be filled.
 * NULL when memory is out. They go to gr_dataset_rows, which takes them. */
gr_rows *gr_rows_new(int64_t n, int64_t tokens, int64_t vocabulary)
{
    if (n < 0 || tokens < 0) {
        gr__fail(GR_ERR_ARGUMENT, "rows: cannot make %lld rows of %lld tokens", (long long)n,
                 (long long)tokens);
        return NULL;
    }
    gr_rows *rows = gr__calloc(sizeof *rows);
    if (!rows) return NULL;
    rows->vocabulary = vocabulary;
    rows->begin = gr__calloc((size_t)(n + 1) * sizeof *rows->begin);
    rows->ids = gr__calloc((size_t)tokens * sizeof *rows->ids);
    if (rows->begin && rows->ids) return rows;
    gr__rows_free(rows);
    return NULL;
}

/* Frees a data set with its samples; NULL is fine. Loaders of it must be freed before. */
void gr_dataset_free(gr_dataset *d)
{
    if (!d) return;
    if (d->release) d->release(d->user);
    gr__names_free(d->class_names, d->classes);
    gr__rows_free(d->in);
    gr__rows_free(d->out);
    gr__free(d->target);
    gr__free(d->x);
    gr__free(d->y);
    gr__free(d);
}

/* --- reading --- */

static gr_status check_label(const gr_dataset *d, int64_t index, int64_t y)
{
    if (y >= 0 && y < d->classes) return GR_OK;
    return gr__fail(GR_ERR_ARGUMENT, "dataset: label %lld is %lld, expected 0 to %d",
                    (long long)index, (long long)y, d->classes - 1);
}

static gr_status read_streamed(const gr_dataset *d, int64_t index, float *x, int64_t *y,
                               float *target)
{
    int64_t label = 0;
    gr_clear_error();
    gr_status status = d->read(d->user, index, x, d->classes ? &label : NULL, target);
    if (status && !*gr_last_error())
        return gr__fail(status, "dataset: sample %lld could not be read", (long long)index);
    if (!status && d->classes) status = check_label(d, index, label);
    if (y) *y = label;
    return status;
}

gr_status gr__read_sample(const gr_dataset *d, int64_t index, float *x, int64_t *y, float *target)
{
    if (d->read) return read_streamed(d, index, x, y, target);
    size_t size = (size_t)gr__sample_numel(d), learned = (size_t)gr__target_numel(d);
    memcpy(x, d->x + (size_t)index * size, size * sizeof *x);
    if (target && learned)
        memcpy(target, d->target + (size_t)index * learned, learned * sizeof *target);
    if (!y || !d->y) return GR_OK;
    *y = d->y[index];
    return check_label(d, index, *y);
}

static const int64_t *labels_in_memory(const gr_dataset *d)
{
    for (int64_t i = 0; i < d->n; i++)
        if (check_label(d, i, d->y[i])) return NULL;
    return d->y;
}

const int64_t *gr__labels(const gr_dataset *d, int64_t **held)
{
    *held = NULL;
    if (d->y) return labels_in_memory(d);
    size_t elements = (size_t)(gr__sample_numel(d) + gr__target_numel(d));
    float *x = gr__alloc(elements * sizeof *x);
    int64_t *y = x ? gr__alloc((size_t)d->n * sizeof *y) : NULL;
    gr_status status = y ? GR_OK : GR_ERR_MEMORY;
    for (int64_t i = 0; i < d->n && !status; i++)
        status = gr__read_sample(d, i, x, &y[i], d->has_target ? x + gr__sample_numel(d) : NULL);
    gr__free(x);
    if (status) {
        gr__free(y);
        return NULL;
    }
    return *held = y;
}
