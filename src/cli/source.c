/* source.c - the data sets that the command knows. */
/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <string.h>

enum { EVERY = 5, PLACE = 4, LAST = 360 };

bool source_is_digits(const char *data)
{
    return !strcmp(data, "digits");
}

bool source_has_harder(const char *data)
{
    return source_is_digits(data);
}

int64_t source_row(const char *data, int64_t i)
{
    return source_is_digits(data) ? EVERY * i + PLACE : i;
}

/* --- rows of the digits --- */

typedef bool held_fn(int64_t row, int64_t n);

/* Every fifth row, by writers who are learned from as well. */
static bool every_fifth(int64_t row, int64_t n)
{
    (void)n;
    return row % EVERY == PLACE;
}

/* The rows are in the order of the writers. */
static bool last_writers(int64_t row, int64_t n)
{
    return row >= n - LAST;
}

/* Copies the rows that are held out (or the others); NULL on failure. */
static gr_dataset *rows_of(const gr_dataset *d, held_fn *held, bool out)
{
    int64_t *index = gr__alloc((size_t)d->n * sizeof *index), n = 0;
    if (!index) return NULL;
    for (int64_t i = 0; i < d->n; i++)
        if (held(i, d->n) == out) index[n++] = i;
    gr_dataset *part = gr_dataset_subset(d, index, n);
    gr__free(index);
    return part;
}

static void split_digits(held_fn *held, split *s)
{
    gr_dataset *all = gr_digits();
    s->train = all ? rows_of(all, held, false) : NULL;
    s->test = all ? rows_of(all, held, true) : NULL;
    gr_dataset_free(all);
}

/* --- splits --- */

static gr_status scale(split *s)
{
    if (!s->train || !s->test) {
        split_release(s);
        return GR_ERR_FILE;
    }
    gr_dataset_mean_std(s->train, &s->scaling.mean, &s->scaling.std);
    gr_dataset_normalize(s->train, s->scaling.mean, s->scaling.std);
    gr_dataset_normalize(s->test, s->scaling.mean, s->scaling.std);
    return GR_OK;
}

gr_status source_split(const char *data, split *s)
{
    *s = (split){0};
    if (source_is_digits(data)) {
        split_digits(every_fifth, s);
    } else {
        s->train = gr_mnist(data, true);
        s->test = s->train ? gr_mnist(data, false) : NULL;
    }
    return scale(s);
}

gr_status source_harder(split *s)
{
    *s = (split){0};
    split_digits(last_writers, s);
    return scale(s);
}

void split_release(split *s)
{
    gr_dataset_free(s->train);
    gr_dataset_free(s->test);
    *s = (split){0};
}

gr_dataset *source_test(const char *data)
{
    if (!source_is_digits(data)) return gr_mnist(data, false);
    gr_dataset *all = gr_digits(), *test = all ? rows_of(all, every_fifth, true) : NULL;
    gr_dataset_free(all);
    return test;
}
