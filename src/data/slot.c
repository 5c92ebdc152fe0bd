/* slot.c - one batch, put together. */
/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <stdio.h>
#include <string.h>

/* --- memory --- */

static int64_t longest(const gr_rows *rows, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        if (rows->begin[i + 1] - rows->begin[i] > most) most = rows->begin[i + 1] - rows->begin[i];
    return most;
}

/* Memory of n elements at *to; false when it is out. */
static bool get(void *to, int64_t n, size_t size)
{
    void **memory = to;
    return (*memory = gr__alloc((size_t)n * size)) != NULL;
}

static bool padded_init(gr__padded *p, const gr_rows *rows, int64_t n, int64_t batch)
{
    if (!rows) return true;
    int64_t most = longest(rows, n) * batch;
    return get(&p->ids, most, sizeof *p->ids) && get(&p->mask, most, sizeof *p->mask) &&
           get(&p->lengths, batch, sizeof *p->lengths);
}

gr_status gr__slot_init(gr__slot *s, const gr__maker *m)
{
    const gr_dataset *d = m->d;
    int64_t batch = m->o.batch < d->n ? m->o.batch : d->n;
    *s = (gr__slot){0};
    if (!m->copies) return GR_OK;
    bool mixes = m->o.augment.mixup > 0;
    bool done = get(&s->x, batch * gr__sample_numel(d), sizeof *s->x) &&
                get(&s->index, batch, sizeof *s->index) &&
                (!d->classes || get(&s->y, batch, sizeof *s->y)) &&
                (!d->has_target || get(&s->target, batch * gr__target_numel(d), sizeof *s->x)) &&
                (!mixes || get(&s->soft, batch * d->classes, sizeof *s->soft)) &&
                (!m->o.weights || get(&s->weight, batch, sizeof *s->weight)) &&
                padded_init(&s->in, d->in, d->n, batch) &&
                padded_init(&s->out, d->out, d->n, batch);
    return done ? GR_OK : GR_ERR_MEMORY;
}

static void padded_release(gr__padded *p)
{
    gr__free(p->ids);
    gr__free(p->mask);
    gr__free(p->lengths);
}

void gr__slot_release(gr__slot *s)
{
    gr__free(s->x);
    gr__free(s->y);
    gr__free(s->target);
    gr__free(s->soft);
    gr__free(s->weight);
    gr__free(s->index);
    padded_release(&s->in);
    padded_release(&s->out);
}

/* --- parts of a batch --- */

static gr_padded pad(const gr_rows *rows, const gr__padded *p, const int64_t *index, int64_t n)
{
    if (!rows) return (gr_padded){0};
    int64_t length = 0;
    for (int64_t i = 0; i < n; i++) {
        p->lengths[i] = rows->begin[index[i] + 1] - rows->begin[index[i]];
        if (p->lengths[i] > length) length = p->lengths[i];
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t *from = rows->ids + rows->begin[index[i]];
        for (int64_t k = 0; k < length; k++) {
            bool token = k < p->lengths[i];
            p->ids[i * length + k] = token ? from[k] : rows->pad;
            p->mask[i * length + k] = token ? 1 : 0;
        }
    }
    return (gr_padded){length, p->ids, p->mask, p->lengths};
}

static gr_status copy_sample(gr__maker *m, gr__slot *s, int64_t i)
{
    int64_t size = gr__sample_numel(m->d), learned = gr__target_numel(m->d);
    float *x = s->x + i * size, *target = s->target ? s->target + i * learned : NULL;
    gr_status status = gr__read_sample(m->d, s->index[i], x, s->y ? &s->y[i] : NULL, target);
    if (!status && m->o.scaler) status = gr_scaler_apply_sample(m->o.scaler, x, size);
    if (!status && m->augments) gr__augment_apply(&m->augment, m->o.seed, m->pass, s->index[i], x);
    if (s->weight) s->weight[i] = (float)gr__order_weight(&m->order, s->index[i]);
    return status;
}

/* a = share a + (1 - share) b, and b = share b + (1 - share) a: two mixed samples of two. */
static void mix(float *a, float *b, int64_t n, double share)
{
    for (int64_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        a[i] = (float)(share * x + (1 - share) * y);
        b[i] = (float)(share * y + (1 - share) * x);
    }
}

/* Samples i and n - 1 - i are mixed, in one ratio for the batch. */
static void mix_batch(const gr__maker *m, gr__slot *s, int64_t n)
{
    int64_t size = gr__sample_numel(m->d), classes = m->d->classes;
    uint64_t stream = gr__stream_of(m->o.seed, m->pass, GR__MIXES);
    double share = gr__mixup_share(m->o.augment.mixup, stream, m->made);
    memset(s->soft, 0, (size_t)(n * classes) * sizeof *s->soft);
    for (int64_t i = 0; i < n; i++) s->soft[i * classes + s->y[i]] = 1;
    for (int64_t i = 0, j = n - 1; i < j; i++, j--) {
        mix(s->x + i * size, s->x + j * size, size, share);
        mix(s->soft + i * classes, s->soft + j * classes, classes, share);
    }
}

/* --- batches --- */

static gr_batch batch_in_place(const gr__maker *m, int64_t n)
{
    const gr_dataset *d = m->d;
    gr_batch b = {.n = n, .x = d->x + m->at * gr__sample_numel(d)};
    if (d->y) b.y = d->y + m->at;
    if (d->target) b.target = d->target + m->at * gr__target_numel(d);
    return b;
}

static gr_status copy_batch(gr__maker *m, gr__slot *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->index[i] = m->order.index ? m->order.index[m->at + i] : m->at + i;
        gr_status status = copy_sample(m, s, i);
        if (status) return status;
    }
    if (s->soft) mix_batch(m, s, n);
    s->batch = (gr_batch){.n = n,
                          .x = s->x,
                          .y = s->y,
                          .target = s->target,
                          .soft = s->soft,
                          .weight = s->weight,
                          .index = s->index,
                          .in = pad(m->d->in, &s->in, s->index, n),
                          .out = pad(m->d->out, &s->out, s->index, n)};
    return GR_OK;
}

static void begin_pass(gr__maker *m)
{
    m->pass++;
    m->made = 0;
    m->at = 0;
    gr__order_begin(&m->order, m->pass);
}

void gr__make_batch(gr__maker *m, gr__slot *s)
{
    if (m->at < 0) begin_pass(m);
    int64_t left = m->d->n - m->at, n = left < m->o.batch ? left : m->o.batch;
    s->batch = (gr_batch){0};
    if (n == 0 || (n < m->o.batch && m->o.drop_last)) {
        m->at = -1;
        return;
    }
    if (m->copies) s->status = copy_batch(m, s, n);
    else s->batch = batch_in_place(m, n);
    if (s->status) snprintf(s->error, sizeof s->error, "%s", gr_last_error());
    m->at += n;
    m->made++;
}
