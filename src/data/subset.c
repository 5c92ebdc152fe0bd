/* subset.c - some samples of a data set. */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"

#include <string.h>

/* --- samples in memory --- */

/* Rows of `size` bytes chosen by index, NULL when there are none to choose from. */
static gr_status choose(const void *from, size_t size, const int64_t *index, int64_t n, void *to)
{
    char **chosen = to;
    if (!from) return GR_OK;
    *chosen = gr__alloc((size_t)n * size);
    if (!*chosen) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        memcpy(*chosen + (size_t)i * size, (const char *)from + (size_t)index[i] * size, size);
    return GR_OK;
}

static gr_status choose_rows(const gr_rows *from, const int64_t *index, int64_t n, gr_rows **to)
{
    if (!from) return GR_OK;
    int64_t tokens = 0;
    for (int64_t i = 0; i < n; i++) tokens += from->begin[index[i] + 1] - from->begin[index[i]];
    gr_rows *rows = *to = gr_rows_new(n, tokens, from->vocabulary);
    if (!rows) return GR_ERR_MEMORY;
    rows->pad = from->pad;
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = from->begin[index[i]], length = from->begin[index[i] + 1] - begin;
        memcpy(rows->ids + rows->begin[i], from->ids + begin, (size_t)length * sizeof *rows->ids);
        rows->begin[i + 1] = rows->begin[i] + length;
    }
    return GR_OK;
}

/* --- samples read on demand --- */

typedef struct chosen {
    const gr_dataset *of;
    int64_t *index;
} chosen;

static gr_status read_chosen(void *user, int64_t index, float *x, int64_t *y, float *target)
{
    const chosen *c = user;
    return gr__read_sample(c->of, c->index[index], x, y, target);
}

static void release_chosen(void *user)
{
    chosen *c = user;
    gr__free(c->index);
    gr__free(c);
}

static gr_status choose_streamed(const gr_dataset *d, const int64_t *index, int64_t n,
                                 gr_dataset *part)
{
    if (!d->read) return GR_OK;
    chosen *c = gr__calloc(sizeof *c);
    if (!c) return GR_ERR_MEMORY;
    c->of = d;
    part->read = read_chosen;
    part->user = c;
    part->release = release_chosen;
    c->index = gr__alloc((size_t)n * sizeof *index);
    if (!c->index) return GR_ERR_MEMORY;
    memcpy(c->index, index, (size_t)n * sizeof *index);
    return GR_OK;
}

/* --- subsets --- */

static gr_status check_indices(const gr_dataset *d, const int64_t *index, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= d->n)
            return gr__fail(GR_ERR_ARGUMENT,
                            "dataset: index %lld of the subset is %lld, expected 0 to %lld",
                            (long long)i, (long long)index[i], (long long)d->n - 1);
    return GR_OK;
}

static gr_status fill(const gr_dataset *d, const int64_t *index, int64_t n, gr_dataset *part)
{
    size_t sample = (size_t)gr__sample_numel(d) * sizeof *d->x;
    size_t target = (size_t)gr__target_numel(d) * sizeof *d->target;
    part->target_shape = d->target_shape;
    part->has_target = d->has_target;
    memcpy(part->name, d->name, sizeof part->name);
    if (d->class_names && !(part->class_names = gr__names_copy(d->class_names, d->classes)))
        return GR_ERR_MEMORY;
    gr_status status = choose(d->x, sample, index, n, &part->x);
    if (!status) status = choose(d->y, sizeof *d->y, index, n, &part->y);
    if (!status) status = choose(d->target, target, index, n, &part->target);
    if (!status) status = choose_rows(d->in, index, n, &part->in);
    if (!status) status = choose_rows(d->out, index, n, &part->out);
    return status ? status : choose_streamed(d, index, n, part);
}

/* Copies some samples, in the order given, repeated ones repeatedly.
 *
 * index  [n] of 0 <= index < d->n
 *
 * NULL on failure: an index out of range, or no memory. The result is the caller's and does not
 * depend on d, unless d is read on demand: then its samples still are, and d must outlive it. */
gr_dataset *gr_dataset_subset(const gr_dataset *d, const int64_t *index, int64_t n)
{
    if (gr__need("dataset", d, "data set") || gr__need_array("dataset", index, n, "index") ||
        check_indices(d, index, n))
        return NULL;
    gr_dataset *part = gr__dataset_empty("dataset", d->shape, n, d->classes);
    if (!part || !fill(d, index, n, part)) return part;
    gr_dataset_free(part);
    return NULL;
}
