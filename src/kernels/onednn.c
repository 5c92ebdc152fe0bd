/* onednn.c - matrix products by oneDNN (API 2.6), the one file that knows it; see onednn.h. */
/* SPDX-License-Identifier: MIT */
#include "onednn.h"
#include "base.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <string.h>

enum { KEPT = 64 }; /* products, each of one shape */

/* What one run takes; there are as many as there are threads. */
typedef struct slot {
    dnnl_memory_t a, b, c, scratch;
    dnnl_stream_t stream;
    void *space;
    size_t space_bytes;
    int busy; /* atomic */
} slot;

struct gr__onednn {
    gr__onednn_shape shape;
    dnnl_primitive_t primitive;
    int users; /* between get and put */
    int n;     /* slots */
    slot slot[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static gr__onednn *kept[KEPT];
static int oldest; /* where the next product goes when all are taken */
static dnnl_engine_t engine;
static bool forced;

/* --- one product --- */

typedef struct description {
    dnnl_memory_desc_t a, b, c;
    dnnl_primitive_desc_t product;
} description;

static bool describe_product(const description *d, bool add, dnnl_primitive_desc_t *product)
{
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t sum = NULL;
    if (dnnl_primitive_attr_create(&attr)) return false;
    bool done = !dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (add)
        done = done && !dnnl_post_ops_create(&sum) && !dnnl_post_ops_append_sum(sum, 1) &&
               !dnnl_primitive_attr_set_post_ops(attr, sum);
    done = done && !dnnl_matmul_desc_init(&matmul, &d->a, &d->b, NULL, &d->c) &&
           !dnnl_primitive_desc_create(product, &matmul, attr, engine, NULL);
    if (sum) dnnl_post_ops_destroy(sum);
    dnnl_primitive_attr_destroy(attr);
    return done;
}

static bool describe_matrix(int64_t rows, int64_t columns, int64_t row, int64_t column,
                            dnnl_data_type_t type, dnnl_memory_desc_t *d)
{
    const dnnl_dims_t size = {rows, columns}, strides = {row, column};
    return !dnnl_memory_desc_init_by_strides(d, 2, size, type, strides);
}

static bool describe(const gr__onednn_shape *s, description *d)
{
    return describe_matrix(s->m, s->k, s->a[0], s->a[1], dnnl_bf16, &d->a) &&
           describe_matrix(s->k, s->n, s->b[0], s->b[1], dnnl_bf16, &d->b) &&
           describe_matrix(s->m, s->n, s->ldc, 1, dnnl_f32, &d->c) &&
           describe_product(d, s->add, &d->product);
}

static bool slot_init(slot *s, const description *d)
{
    const dnnl_memory_desc_t *space = dnnl_primitive_desc_query_md(d->product,
                                                                   dnnl_query_scratchpad_md, 0);
    s->space_bytes = dnnl_memory_desc_get_size(space);
    s->space = gr__alloc(s->space_bytes + 1);
    return s->space && !dnnl_memory_create(&s->a, &d->a, engine, DNNL_MEMORY_NONE) &&
           !dnnl_memory_create(&s->b, &d->b, engine, DNNL_MEMORY_NONE) &&
           !dnnl_memory_create(&s->c, &d->c, engine, DNNL_MEMORY_NONE) &&
           !dnnl_memory_create(&s->scratch, space, engine, s->space) &&
           !dnnl_stream_create(&s->stream, engine, dnnl_stream_default_flags);
}

static void product_free(gr__onednn *p)
{
    for (int i = 0; p && i < p->n; i++) {
        const slot *s = &p->slot[i];
        dnnl_memory_t all[] = {s->a, s->b, s->c, s->scratch};
        for (int j = 0; j < 4; j++)
            if (all[j]) dnnl_memory_destroy(all[j]);
        if (s->stream) dnnl_stream_destroy(s->stream);
        gr__free(s->space);
    }
    if (p && p->primitive) dnnl_primitive_destroy(p->primitive);
    gr__free(p);
}

/* For one thread each: ours are the ones that share the work. */
static gr__onednn *product_new(const gr__onednn_shape *s, int n)
{
    description d = {.product = NULL};
    gr__onednn *p = gr__calloc(sizeof *p + (size_t)n * sizeof *p->slot);
    if (!p) return NULL;
    p->shape = *s;
    p->n = n;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    bool done = describe(s, &d) && !dnnl_primitive_create(&p->primitive, d.product);
    for (int i = 0; done && i < n; i++) done = slot_init(&p->slot[i], &d);
    omp_set_num_threads(threads);
    if (d.product) dnnl_primitive_desc_destroy(d.product);
    if (done) return p;
    product_free(p);
    return NULL;
}

/* --- the kept ones, under the lock --- */

static bool same(const gr__onednn_shape *a, const gr__onednn_shape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->ldc == b->ldc && a->add == b->add &&
           !memcmp(a->a, b->a, sizeof a->a) && !memcmp(a->b, b->b, sizeof a->b);
}

/* With enough slots; NULL: there is none. */
static gr__onednn *find(const gr__onednn_shape *s, int n)
{
    for (int i = 0; i < KEPT; i++)
        if (kept[i] && kept[i]->n >= n && same(&kept[i]->shape, s)) return kept[i];
    return NULL;
}

/* In place of the oldest that nobody uses. */
static gr__onednn *add(const gr__onednn_shape *s, int n)
{
    for (int i = 0; i < KEPT; i++) {
        int at = (oldest + i) % KEPT;
        if (kept[at] && kept[at]->users) continue;
        product_free(kept[at]);
        oldest = (at + 1) % KEPT;
        return kept[at] = product_new(s, n);
    }
    return NULL;
}

static bool has_engine(void)
{
    return engine || !dnnl_engine_create(&engine, dnnl_cpu, 0);
}

gr__onednn *gr__onednn_get(const gr__onednn_shape *s)
{
    gr__onednn *p = NULL;
    const int n = gr_threads();
    pthread_mutex_lock(&lock);
    if (has_engine()) p = find(s, n);
    if (!p && engine) p = add(s, n);
    if (p) p->users++;
    pthread_mutex_unlock(&lock);
    return p;
}

void gr__onednn_put(gr__onednn *p)
{
    if (!p) return;
    pthread_mutex_lock(&lock);
    p->users--;
    pthread_mutex_unlock(&lock);
}

/* --- running --- */

/* Threads of other graphs may be using them as well: then this one waits. */
static slot *claim(gr__onednn *p)
{
    for (int i = 0;; i = (i + 1) % p->n)
        if (!__atomic_exchange_n(&p->slot[i].busy, 1, __ATOMIC_ACQUIRE)) return &p->slot[i];
}

bool gr__onednn_run(gr__onednn *p, const uint16_t *a, const uint16_t *b, float *c)
{
    slot *s = claim(p);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, s->a},
                                    {DNNL_ARG_WEIGHTS, s->b},
                                    {DNNL_ARG_DST, s->c},
                                    {DNNL_ARG_SCRATCHPAD, s->scratch}};
    const int threads = omp_get_max_threads();
    if (threads > 1) omp_set_num_threads(1);
    bool done = !dnnl_memory_set_data_handle(s->a, (void *)a) &&
                !dnnl_memory_set_data_handle(s->b, (void *)b) &&
                !dnnl_memory_set_data_handle(s->c, c) &&
                !dnnl_primitive_execute(p->primitive, s->stream, 4, args) &&
                !dnnl_stream_wait(s->stream);
    if (threads > 1) omp_set_num_threads(threads);
    __atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE);
    return done;
}

static bool has_isa(dnnl_cpu_isa_t isa)
{
    return ((int)dnnl_get_effective_cpu_isa() & (int)isa) == (int)isa;
}

bool gr__onednn_pays(void)
{
    return forced || has_isa(dnnl_cpu_isa_avx512_core_amx);
}

bool gr__onednn_force(bool force)
{
    forced = force && has_isa(dnnl_cpu_isa_avx512_core_bf16);
    return forced == force;
}
