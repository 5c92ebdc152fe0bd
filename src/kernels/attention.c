/* attention.c - the memory that attention needs, and its operands where they are rounded.
 *
 * Each task has a block of queries and what belongs to it, turned; k and v are rounded once for all
 * blocks of queries that read them.
 */
/* SPDX-License-Identifier: MIT */
#include "attention.h"
#include "base.h"

enum { QUERIES = GR__ATTENTION_BYTES / sizeof(float) };

/* --- scratch --- */

static int64_t tasks_of(int64_t most)
{
    return most < GR__ATTENTION_TASKS ? most : GR__ATTENTION_TASKS;
}

static size_t bytes_of(int64_t units)
{
    return (size_t)units * sizeof(uint32_t);
}

/* A block of q and of y; q rounded. */
size_t gr__attention_space(const gr__attention *a)
{
    const size_t full = (size_t)(a->depth + a->width) * GR__ATTENTION_BYTES;
    return full + (a->rounds ? bytes_of(gr__bf16_units(QUERIES, a->depth)) : 0);
}

/* A block of q, dq and dy; q and dy rounded by rows and by columns. */
size_t gr__attention_grad_space(const gr__attention *a)
{
    const size_t full = (size_t)(2 * a->depth + a->width) * GR__ATTENTION_BYTES;
    const int64_t rows = gr__bf16_units(QUERIES, a->depth) + gr__bf16_units(QUERIES, a->width);
    const int64_t columns = gr__bf16_units(a->depth, QUERIES) + gr__bf16_units(a->width, QUERIES);
    return full + (a->rounds ? bytes_of(rows + columns) : 0);
}

static int64_t rounded_rows(const gr__attention *a, int64_t n)
{
    return a->batch * gr__bf16_units(a->keys, n);
}

static int64_t rounded_columns(const gr__attention *a, int64_t n)
{
    return a->batch * gr__bf16_units(n, a->keys);
}

static size_t task_bytes(const gr__attention *a, bool backwards)
{
    if (backwards) return (size_t)tasks_of(a->batch) * gr__attention_grad_space(a);
    return (size_t)tasks_of(a->batch * (a->rows + 1)) * gr__attention_space(a);
}

size_t gr__attention_scratch(const gr__attention *a)
{
    const int64_t units = rounded_rows(a, a->depth) + rounded_columns(a, a->width);
    return task_bytes(a, false) + (a->rounds ? bytes_of(units) : 0);
}

size_t gr__attention_grad_scratch(const gr__attention *a)
{
    const int64_t rows = rounded_rows(a, a->depth) + rounded_rows(a, a->width);
    return task_bytes(a, true) + (a->rounds ? bytes_of(rows + rounded_columns(a, a->depth)) : 0);
}

/* --- rounded operands --- */

bool gr__attention_rounding_pays(const gr__attention *a)
{
    return gr__bf16_gemm_pays(a->rows, a->keys, a->depth) &&
           gr__bf16_gemm_pays(a->rows, a->width, a->keys);
}

/* Both forms of m of one of the batch, [keys, n], as far as they are wanted. */
static void round_matrix(const gr__attention *a, const gr__attention_matrix *m, int64_t batch,
                         int64_t n, uint32_t *rows, uint32_t *columns)
{
    const gr__bf16_kernels *kernels = gr__bf16();
    const float *x = (const float *)m->data + gr__attention_offset(a, m, batch, 0);
    if (rows)
        gr__bf16_pack(kernels, x, m->row, 1, a->keys, n, rows + batch * gr__bf16_units(a->keys, n));
    if (columns)
        gr__bf16_pack(kernels, x, 1, m->row, n, a->keys,
                      columns + batch * gr__bf16_units(n, a->keys));
}

static void round_batches(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention *a = ctx;
    const gr__attention_rounded *r = &a->rounded;
    for (int64_t batch = begin; batch < end; batch++) {
        round_matrix(a, &a->k, batch, a->depth, r->k_rows, r->k_columns);
        round_matrix(a, &a->v, batch, a->width, r->v_rows, r->v_columns);
    }
}

void gr__attention_round(gr__attention *a, bool backwards)
{
    enum { PACK_WORK = 1 << 16 }; /* elements worth a task */
    uint32_t *k = (uint32_t *)(void *)((char *)a->scratch + task_bytes(a, backwards));
    uint32_t *v = k + rounded_rows(a, a->depth);
    a->rounded = (gr__attention_rounded){.k_rows = k};
    if (backwards) {
        a->rounded.v_rows = v;
        a->rounded.k_columns = v + rounded_rows(a, a->width);
    } else a->rounded.v_columns = v;
    gr__parallel_for(a->batch, 1 + PACK_WORK / (a->keys * (a->depth + a->width) + 1),
                     round_batches, a);
}
