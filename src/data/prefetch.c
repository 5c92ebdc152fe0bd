/* prefetch.c - batches made ahead by one thread.
 *
 * Two slots: the caller reads one while the thread fills the other, in turn. The thread alone
 * touches the maker, so that the batches are the same as without it.
 */
/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <pthread.h>

enum { SLOTS = 2 };

struct gr__prefetch {
    gr__maker *maker;
    gr__slot slots[SLOTS];
    int taken; /* the slot that the caller has, -1 before the first */
    bool stop;
    pthread_t thread;
    pthread_mutex_t lock; /* of stop and of each slot's full */
    pthread_cond_t changed;
};

/* Waits until the slot is full, or is not; false: the thread is to stop. */
static bool wait_for(gr__prefetch *p, const gr__slot *s, bool full)
{
    pthread_mutex_lock(&p->lock);
    while (s->full != full && !p->stop) pthread_cond_wait(&p->changed, &p->lock);
    bool go = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go;
}

static void set(gr__prefetch *p, bool *flag, bool value)
{
    pthread_mutex_lock(&p->lock);
    *flag = value;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *user)
{
    gr__prefetch *p = user;
    for (int i = 0; wait_for(p, &p->slots[i], false); i = (i + 1) % SLOTS) {
        gr__make_batch(p->maker, &p->slots[i]);
        bool failed = p->slots[i].status != GR_OK;
        set(p, &p->slots[i].full, true);
        if (failed) break;
    }
    return NULL;
}

gr__prefetch *gr__prefetch_new(gr__maker *m)
{
    gr__prefetch *p = gr__calloc(sizeof *p);
    if (!p) return NULL;
    p->maker = m;
    p->taken = -1;
    bool done = true;
    for (int i = 0; i < SLOTS; i++) done = done && !gr__slot_init(&p->slots[i], m);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (done && pthread_create(&p->thread, NULL, work, p)) {
        gr__fail(GR_ERR_STATE, "loader: the thread that prefetches could not be started");
        done = false;
    }
    if (done) return p;
    p->maker = NULL; /* there is no thread */
    gr__prefetch_free(p);
    return NULL;
}

void gr__prefetch_free(gr__prefetch *p)
{
    if (!p) return;
    if (p->maker) {
        set(p, &p->stop, true);
        pthread_join(p->thread, NULL);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    for (int i = 0; i < SLOTS; i++) gr__slot_release(&p->slots[i]);
    gr__free(p);
}

gr__slot *gr__prefetch_next(gr__prefetch *p)
{
    if (p->taken >= 0 && p->slots[p->taken].status) return &p->slots[p->taken];
    if (p->taken >= 0) set(p, &p->slots[p->taken].full, false);
    p->taken = (p->taken + 1) % SLOTS;
    wait_for(p, &p->slots[p->taken], true);
    return &p->slots[p->taken];
}
