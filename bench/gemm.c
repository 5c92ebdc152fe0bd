/* gemm.c - matrix products of the workloads: ours, OpenBLAS and, where built in, oneDNN.
 *
 *   gemm [rounds] [threads] [part of a name]
 *
 * GFLOP/s, best of interleaved rounds. The forms are those of a linear layer of [out,in] weights:
 * y = x w^T, dx = dy w, dw = dy^T x.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "base.h"

#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- peers: row-major c [m,n] = a b, either transposed in memory --- */

typedef void peer_sgemm(bool turned_a, bool turned_b, int64_t m, int64_t n, int64_t k,
                        const float *a, int64_t lda, const float *b, int64_t ldb, float *c,
                        int64_t ldc);

static void openblas(bool turned_a, bool turned_b, int64_t m, int64_t n, int64_t k, const float *a,
                     int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc)
{
    cblas_sgemm(CblasRowMajor, turned_a ? CblasTrans : CblasNoTrans,
                turned_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)lda, b,
                (int)ldb, 0, c, (int)ldc);
}

#ifdef WITH_DNNL
#include <dnnl.h>

static void onednn(bool turned_a, bool turned_b, int64_t m, int64_t n, int64_t k, const float *a,
                   int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc)
{
    dnnl_sgemm(turned_a ? 'T' : 'N', turned_b ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, 0, c, ldc);
}

enum { PEERS = 2 };
#else
#define onednn NULL
enum { PEERS = 1 };
#endif

static const struct {
    const char *name;
    peer_sgemm *sgemm;
} peers[] = {{"OpenBLAS", openblas}, {"oneDNN", onednn}};

/* --- shapes --- */

typedef struct shape {
    const char *name;
    int64_t rows, out, in; /* of a linear layer; or of a product for each entry of a batch */
    int64_t batch;
} shape;

static const shape shapes[] = {
    {"W1 fc1", 128, 512, 784, 1},     {"W1 fc2", 128, 512, 512, 1},
    {"W1 fc3", 128, 10, 512, 1},      {"W5 inputs", 700, 800, 200, 1},
    {"W5 step", 20, 800, 200, 1},     {"W5 decoder", 700, 10000, 200, 1},
    {"W6 inputs", 2048, 768, 65, 1},  {"W6 step", 32, 768, 256, 1},
    {"W6 decoder", 2048, 65, 256, 1}, {"W7 attention", 1024, 384, 384, 1},
    {"W7 qkv", 1024, 1152, 384, 1},   {"W7 up", 1024, 1536, 384, 1},
    {"W7 down", 1024, 384, 1536, 1},  {"W7 head", 1024, 65, 384, 1},
    {"W7 scores", 256, 256, 64, 24},  {"W12 up", 256, 1536, 384, 1},
    {"one row", 1, 1536, 384, 1},     {"cube", 1024, 1024, 1024, 1},
    {"small", 16, 16, 16, 64},        {"tiny", 1, 16, 16, 1},
};

enum { FORMS = 3 };
static const char *const forms[FORMS] = {"y", "dx", "dw"};

/* c [m,n] = a b; turned: in memory it is the transpose. */
typedef struct operands {
    int64_t m, n, k;
    bool turned_a, turned_b;
} operands;

static operands operands_of(const shape *s, int form)
{
    const operands all[FORMS] = {
        {s->rows, s->out, s->in, false, true},
        {s->rows, s->in, s->out, false, false},
        {s->out, s->in, s->rows, true, false},
    };
    return all[form];
}

static float *numbers(int64_t n)
{
    float *x = aligned_alloc(64, ((size_t)n * sizeof *x + 63) / 64 * 64);
    for (int64_t i = 0; x && i < n; i++) x[i] = (float)(i % 13 - 6) / 8;
    return x;
}

typedef struct work {
    operands o;
    int64_t batch;
    float *a, *b, *c;
    void *scratch;
    gr__product p;
} work;

static void run_ours(const work *w)
{
    gr__gemm(&w->p, w->scratch);
}

static void run_peer(const work *w, peer_sgemm *sgemm)
{
    const operands *o = &w->o;
    for (int64_t i = 0; i < w->batch; i++)
        sgemm(o->turned_a, o->turned_b, o->m, o->n, o->k, w->a + i * o->m * o->k,
              o->turned_a ? o->m : o->k, w->b + i * o->k * o->n, o->turned_b ? o->k : o->n,
              w->c + i * o->m * o->n, o->n);
}

/* Seconds of one product, of as many as take a millisecond. */
static double seconds(const work *w, peer_sgemm *sgemm)
{
    const double flop = 2 * (double)(w->o.m * w->o.n * w->o.k * w->batch);
    const int times = 1 + (int)(2e8 / flop);
    const int64_t start = gr__nanoseconds();
    for (int i = 0; i < times; i++) {
        if (sgemm) run_peer(w, sgemm);
        else run_ours(w);
    }
    return 1e-9 * (double)(gr__nanoseconds() - start) / times;
}

static void measure(const shape *s, int form, int rounds)
{
    const operands o = operands_of(s, form);
    const int64_t a_size = o.m * o.k, b_size = o.k * o.n;
    work w = {o,
              s->batch,
              numbers(a_size * s->batch),
              numbers(b_size * s->batch),
              numbers(o.m * o.n * s->batch),
              NULL,
              {.dtype = GR_F32}};
    w.p.m = o.m;
    w.p.n = o.n;
    w.p.k = o.k;
    w.p.a = o.turned_a ? (gr__matrix){w.a, 1, o.m} : (gr__matrix){w.a, o.k, 1};
    w.p.b = o.turned_b ? (gr__matrix){w.b, 1, o.k} : (gr__matrix){w.b, o.n, 1};
    w.p.c = w.c;
    if (s->batch > 1) w.p.axes = 1;
    w.p.sizes = &s->batch;
    w.p.a_strides = &a_size;
    w.p.b_strides = &b_size;
    w.scratch = gr__alloc(gr__gemm_scratch(&w.p) + 1);
    double best[1 + PEERS];
    for (int i = 0; i <= PEERS; i++) best[i] = 1e9;
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i <= PEERS; i++) {
            double t = seconds(&w, i ? peers[i - 1].sgemm : NULL);
            if (t < best[i]) best[i] = t;
        }
    printf("%-13s %-2s %5lld x %5lld x %5lld", s->name, forms[form], (long long)o.m, (long long)o.n,
           (long long)o.k);
    for (int i = 0; i <= PEERS; i++)
        printf(" %8.1f", 2e-9 * (double)(o.m * o.n * o.k * s->batch) / best[i]);
    printf("\n");
    gr__free(w.scratch);
    free(w.a);
    free(w.b);
    free(w.c);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 9;
    const char *part = argc > 3 ? argv[3] : "";
    omp_set_num_threads(argc > 2 ? atoi(argv[2]) : 1);
    printf("%-38s %8s", "GFLOP/s: product m x n x k", "gradus");
    for (int i = 0; i < PEERS; i++) printf(" %8s", peers[i].name);
    printf("\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int form = 0; form < FORMS; form++)
            if (strstr(shapes[i].name, part)) measure(&shapes[i], form, rounds);
    return 0;
}
