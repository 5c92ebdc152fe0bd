/* loader.c - batches, in a new order and with new shifts each pass.
 *
 * Order and shifts are functions of (seed, pass) and (seed, pass, sample) alone, so that a run can
 * be repeated bit by bit, whatever the batch size and the number of threads.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <gradus/data.h>
#include <string.h>

enum { DEFAULT_BATCH = 32 };

struct gr_loader {
    const gr_dataset *data;
    gr_loader_options o;
    int64_t *order; /* [n], the samples of this pass; NULL without shuffling */
    float *x;       /* [batch, sample], NULL when batches lie in the data set itself */
    int64_t *y;     /* [batch] */
    int64_t sample; /* elements of one */
    int64_t at;     /* the next sample of this pass, -1 between two passes */
    uint64_t pass;  /* that was begun last; the first is 1 */
};

/* --- random choices of a pass --- */

enum stream { ORDER, SHIFTS };

static uint64_t stream_of(const gr_loader *l, enum stream which)
{
    return gr__hash_join(gr__hash_join(l->o.seed, l->pass), (uint64_t)which);
}

/* 0 <= result < n */
static int64_t below(uint64_t stream, uint64_t index, int64_t n)
{
    int64_t i = (int64_t)(gr__random_uniform(stream, index) * (double)n);
    return i < n ? i : n - 1;
}

/* Fisher and Yates: every order is equally likely. */
static void shuffle(gr_loader *l)
{
    uint64_t stream = stream_of(l, ORDER);
    for (int64_t i = 0; i < l->data->n; i++) l->order[i] = i;
    for (int64_t i = l->data->n - 1; i > 0; i--) {
        int64_t j = below(stream, (uint64_t)i, i + 1), held = l->order[i];
        l->order[i] = l->order[j];
        l->order[j] = held;
    }
}

/* --- samples --- */

/* Copies a plane [height, width] moved by down rows and right columns; `fill` enters. */
static void shift_plane(const float *from, float *to, int64_t height, int64_t width, int64_t down,
                        int64_t right, float fill)
{
    int64_t begin = right > 0 ? right : 0, end = right < 0 ? width + right : width;
    for (int64_t r = 0; r < height; r++, to += width) {
        bool outside = r - down < 0 || r - down >= height;
        for (int64_t c = 0; c < width; c++)
            if (outside || c < begin || c >= end) to[c] = fill;
        if (!outside)
            memcpy(to + begin, from + (r - down) * width + begin - right,
                   (size_t)(end - begin) * sizeof *to);
    }
}

static void shift_sample(const gr_loader *l, int64_t index, const float *from, float *to)
{
    const gr_shape *shape = &l->data->shape;
    int64_t height = shape->dim[shape->rank - 2], width = shape->dim[shape->rank - 1];
    int64_t reach = l->o.shift, choices = 2 * reach + 1, plane = height * width;
    uint64_t stream = stream_of(l, SHIFTS), first = 2 * (uint64_t)index;
    int64_t down = below(stream, first, choices) - reach;
    int64_t right = below(stream, first + 1, choices) - reach;
    for (int64_t i = 0; i < l->sample; i += plane)
        shift_plane(from + i, to + i, height, width, down, right, (float)l->o.fill);
}

static void copy_batch(gr_loader *l, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t index = l->order ? l->order[l->at + i] : l->at + i;
        const float *from = l->data->x + index * l->sample;
        float *to = l->x + i * l->sample;
        if (l->o.shift) shift_sample(l, index, from, to);
        else memcpy(to, from, (size_t)l->sample * sizeof *to);
        l->y[i] = l->data->y[index];
    }
}

/* --- lifetime --- */

static gr_status check(const gr_dataset *d, const gr_loader_options *o)
{
    if (o->batch < 1)
        return gr__fail(GR_ERR_ARGUMENT, "loader: expected a batch of at least 1, got %lld",
                        (long long)o->batch);
    if (!o->shift) return GR_OK;
    int rank = d->shape.rank;
    int64_t least = 0;
    if (rank >= 2) {
        int64_t height = d->shape.dim[rank - 2], width = d->shape.dim[rank - 1];
        least = height < width ? height : width;
    }
    if (o->shift < 0 || o->shift >= least) {
        char text[GR_SHAPE_TEXT];
        return gr__fail(GR_ERR_ARGUMENT, "loader: cannot shift samples %s by up to %d pixels",
                        gr_shape_text(&d->shape, text), o->shift);
    }
    return GR_OK;
}

/* Begins to draw batches from a data set.
 *
 * d  must outlive the loader; its numbers may change between batches (normalisation), its size not
 * o  batch      samples per batch, 0 counts as 32; the last batch of a pass may be smaller
 *    shuffle    a new order each pass, every order equally likely
 *    drop_last  leave out a last batch that is smaller
 *    seed       of order and shifts: the same seed gives the same batches, bit by bit
 *    shift      move each image, by its last two axes, by up to so many pixels each way; the same
 *               for all its planes; less than height and width
 *    fill       the value that enters at the edge (in the units of the data, normalised or not)
 *
 * NULL on failure. Batches are drawn without allocation. Free with gr_loader_free. */
gr_loader *gr_loader_new(const gr_dataset *d, gr_loader_options o)
{
    if (o.batch == 0) o.batch = DEFAULT_BATCH;
    if (check(d, &o)) return NULL;
    gr_loader *l = gr__calloc(sizeof *l);
    if (!l) return NULL;
    *l = (gr_loader){.data = d, .o = o, .sample = gr_shape_numel(&d->shape), .at = -1};
    if (!o.shuffle && !o.shift) return l;
    size_t most = (size_t)(o.batch < d->n ? o.batch : d->n);
    l->x = gr__alloc(most * (size_t)l->sample * sizeof *l->x);
    l->y = gr__alloc(most * sizeof *l->y);
    l->order = o.shuffle ? gr__alloc((size_t)d->n * sizeof *l->order) : NULL;
    if (l->x && l->y && (l->order || !o.shuffle)) return l;
    gr_loader_free(l);
    return NULL;
}

/* Frees a loader, not its data set; NULL is fine. Batches drawn from it are no longer valid. */
void gr_loader_free(gr_loader *l)
{
    if (!l) return;
    gr__free(l->order);
    gr__free(l->x);
    gr__free(l->y);
    gr__free(l);
}

/* Number of batches in one pass. */
int64_t gr_loader_batches(const gr_loader *l)
{
    int64_t n = l->data->n, batch = l->o.batch;
    return n / batch + (!l->o.drop_last && n % batch ? 1 : 0);
}

static void begin_pass(gr_loader *l)
{
    l->pass++;
    l->at = 0;
    if (l->order) shuffle(l);
}

/* Draws the next batch: true, and *b is filled; or false at the end of a pass, *b being empty.
 * The call after that begins the next pass:
 *
 *     for (int epoch = 0; epoch < 10; epoch++)
 *         for (gr_batch b; gr_next(loader, &b);) ...
 *
 * What *b points to belongs to the loader (or the data set) and is valid until the next call. */
bool gr_next(gr_loader *l, gr_batch *b)
{
    if (l->at < 0) begin_pass(l);
    int64_t left = l->data->n - l->at, n = left < l->o.batch ? left : l->o.batch;
    *b = (gr_batch){0};
    if (n == 0 || (n < l->o.batch && l->o.drop_last)) {
        l->at = -1;
        return false;
    }
    if (l->x) copy_batch(l, n);
    *b = (gr_batch){n, l->x ? l->x : l->data->x + l->at * l->sample,
                    l->x ? l->y : l->data->y + l->at};
    l->at += n;
    return true;
}
