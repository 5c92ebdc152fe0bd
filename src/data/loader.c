/* loader.c - batches, in a new order and with new changes each pass.
 *
 * Order and changes are functions of (seed, pass) and (seed, pass, sample) alone, so that a run can
 * be repeated bit by bit, whatever the batch size and the number of threads.
 */
/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <string.h>

enum { DEFAULT_BATCH = 32 };

struct gr_loader {
    gr__maker maker;
    gr__slot slot;          /* without prefetch */
    gr__prefetch *prefetch; /* NULL until the first batch, and without prefetch */
    gr_status status;
};

/* --- options --- */

static gr_status check_batch(const gr_dataset *d, const gr_loader_options *o)
{
    if (o->batch < 1)
        return gr__fail(GR_ERR_ARGUMENT, "loader: expected a batch of at least 1, got %lld",
                        (long long)o->batch);
    if (d->n < 1) return gr__fail(GR_ERR_ARGUMENT, "loader: the data set '%s' is empty", d->name);
    if (o->drop_last && d->n < o->batch)
        return gr__fail(GR_ERR_ARGUMENT,
                        "loader: the data set '%s' has %lld samples, fewer than a batch of %lld,"
                        " and smaller batches are to be dropped",
                        d->name, (long long)d->n, (long long)o->batch);
    return GR_OK;
}

static gr_status check(const gr_dataset *d, const gr_loader_options *o)
{
    gr_status status = check_batch(d, o);
    if (status) return status;
    if (!(o->augment.mixup >= 0) || (o->augment.mixup > 0 && d->classes < 1))
        return gr__fail(GR_ERR_ARGUMENT,
                        "loader: mixup needs classes and an alpha of 0 or more, got"
                        " %d classes and %g",
                        d->classes, o->augment.mixup);
    if (o->bucket < 0 || (o->bucket && o->weights))
        return gr__fail(GR_ERR_ARGUMENT,
                        "loader: expected 0 or more batches to a bucket, and no weights with"
                        " buckets; got %lld%s",
                        (long long)o->bucket, o->weights ? " and weights" : "");
    return GR_OK;
}

static bool changes_image(const gr_loader_options *o)
{
    const gr_augment *a = &o->augment;
    return o->shift != 0 || a->flip != 0 || a->crop != 0 || a->rotate != 0 || a->elastic != 0 ||
           a->noise != 0;
}

/* --- lifetime --- */

static gr_status maker_init(gr__maker *m, const gr_dataset *d, const gr_loader_options *o)
{
    *m = (gr__maker){.d = d, .o = *o, .at = -1, .augments = changes_image(o)};
    m->copies = o->shuffle || m->augments || o->augment.mixup > 0 || o->weights || o->bucket ||
                o->scaler || d->read || d->in;
    gr_status status = gr__order_init(&m->order, d, o);
    if (!status && m->augments) status = gr__augment_init(&m->augment, &d->shape, o);
    return status;
}

/* Begins to draw batches from a data set.
 *
 * d  must outlive the loader; its numbers may change between batches (normalisation), its size not
 * o  batch      samples per batch, 0 counts as 32; the last batch of a pass may be smaller
 *    shuffle    a new order each pass, every order equally likely
 *    drop_last  leave out a last batch that is smaller
 *    seed       of order and changes: the same seed gives the same batches, bit by bit
 *    shift      move each image, by its last two axes, by up to so many pixels each way; the same
 *               for all its planes; less than height and width
 *    fill       the value that enters at the edge (in the units of the data, normalised or not)
 *    augment    further changes to images; mixup depends on the batches, the others do not
 *    weights    n draws with replacement in a pass, a sample's probability being p = its weight
 *               over the sum; b.weight then holds 1 / (n p), so that the mean of weighted losses
 *               estimates the mean over all samples (leave it out to learn from the other mixture)
 *    bucket     samples of like length come together: so many batches at a time are sorted by the
 *               length of their rows, then full batches are shuffled (with shuffle)
 *    scaler     applied to each sample, before it is changed
 *    prefetch   a thread makes the next batch while the caller works on this one; a function that
 *               reads samples is then called on that thread
 *
 * NULL on failure: an option out of range, an empty data set, one smaller than a batch with
 * drop_last, no memory. Batches are drawn without allocation. Free with gr_loader_free. */
gr_loader *gr_loader_new(const gr_dataset *d, gr_loader_options o)
{
    if (o.batch == 0) o.batch = DEFAULT_BATCH;
    if (gr__need("loader", d, "data set") || check(d, &o)) return NULL;
    gr_loader *l = gr__calloc(sizeof *l);
    if (!l) return NULL;
    gr_status status = maker_init(&l->maker, d, &o);
    if (!status && !(o.prefetch && l->maker.copies)) status = gr__slot_init(&l->slot, &l->maker);
    if (!status) return l;
    gr_loader_free(l);
    return NULL;
}

/* Frees a loader, not its data set; NULL is fine. Batches drawn from it are no longer valid. */
void gr_loader_free(gr_loader *l)
{
    if (!l) return;
    gr__prefetch_free(l->prefetch);
    gr__slot_release(&l->slot);
    gr__order_release(&l->maker.order);
    gr__augment_release(&l->maker.augment);
    gr__free(l);
}

/* --- batches --- */

/* Number of batches in one pass. */
int64_t gr_loader_batches(const gr_loader *l)
{
    if (!l) return 0;
    int64_t n = l->maker.d->n, batch = l->maker.o.batch;
    return n / batch + (!l->maker.o.drop_last && n % batch ? 1 : 0);
}

/* Whether drawing has failed; the error is this thread's again. */
gr_status gr_loader_status(const gr_loader *l)
{
    return l ? l->status : gr__need("loader", l, "loader");
}

/* The slot with the next batch; NULL when the thread could not be started. */
static gr__slot *next_slot(gr_loader *l)
{
    if (!l->maker.o.prefetch || !l->maker.copies) {
        gr__make_batch(&l->maker, &l->slot);
        return &l->slot;
    }
    if (!l->prefetch) l->prefetch = gr__prefetch_new(&l->maker);
    return l->prefetch ? gr__prefetch_next(l->prefetch) : NULL;
}

/* Draws the next batch: true, and *b is filled; or false at the end of a pass, *b being empty.
 * The call after that begins the next pass:
 *
 *     for (int epoch = 0; epoch < 10; epoch++)
 *         for (gr_batch b; gr_next(loader, &b);) ...
 *
 * What *b points to belongs to the loader (or the data set) and is valid until the next call. When
 * a sample cannot be read, this and all later calls are false, gr_loader_status gives the status
 * and gr_last_error the reason. */
bool gr_next(gr_loader *l, gr_batch *b)
{
    if (gr__need("loader", b, "batch")) return false;
    *b = (gr_batch){0};
    if (gr_loader_status(l)) return false;
    const gr__slot *s = next_slot(l);
    l->status = s ? s->status : GR_ERR_MEMORY;
    if (s && s->status) gr__fail(s->status, "%s", s->error); /* of another thread, maybe */
    if (l->status) return false;
    *b = s->batch;
    return b->n > 0;
}

/* Goes to batch `batch` of pass `pass`, both counted from 0: what is drawn then is what a new
 * loader gives after so many passes and batches. To resume a training where it stopped, note how
 * much was drawn. GR_ERR_ARGUMENT when a pass has no such batch. */
gr_status gr_loader_seek(gr_loader *l, uint64_t pass, int64_t batch)
{
    if (gr__need("loader", l, "loader")) return GR_ERR_ARGUMENT;
    gr__maker *m = &l->maker;
    if (batch < 0 || batch > gr_loader_batches(l))
        return gr__fail(GR_ERR_ARGUMENT, "loader: cannot seek to batch %lld of a pass of %lld",
                        (long long)batch, (long long)gr_loader_batches(l));
    gr__prefetch_free(l->prefetch);
    l->prefetch = NULL;
    m->pass = pass + 1;
    m->made = (uint64_t)batch;
    m->at = batch * m->o.batch < m->d->n ? batch * m->o.batch : m->d->n;
    gr__order_begin(&m->order, m->pass);
    return GR_OK;
}
