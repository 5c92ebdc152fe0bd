/* attention_base_real.c - blocks of scores and their products, for one dtype and instruction set.
 *
 * A block of scores lies turned, [keys][queries]: a row of it has a fixed number of queries, whole
 * vectors, so that softmax over the keys needs no sums across lanes, and in both products of forward
 * k and v are the side of single elements, which are read where they lie.
 */
/* SPDX-License-Identifier: MIT */
#include "attention.h"
#include "base.h"
#include "elementary.h"
#include "instance.h"
#include "kernels.h"

enum { QUERIES = GR__ATTENTION_BYTES / sizeof(REAL), KEYS = GR__ATTENTION_KEYS };

/* A block of queries, or of dy, turned, [n][QUERIES]; and rounded by rows, where operands are. */
typedef struct turned_block {
    REAL *x;
    uint32_t *rounded;
} turned_block;

/* Rows [row, row + rows) against keys [key, key + keys) of one of the batch. */
typedef struct score_block {
    int64_t batch, row, rows, key, keys;
} score_block;

/* --- matrices of the batch --- */

static const REAL *rows_of(const gr__attention *a, const gr__attention_matrix *m, int64_t batch,
                           int64_t row)
{
    return (const REAL *)m->data + gr__attention_offset(a, m, batch, row);
}

/* to[j][query] = x[query][j]; 0 for queries beyond the last. */
static void turn_queries(const REAL *x, int64_t stride, int64_t rows, int64_t n, REAL *to)
{
    pack_panel(x, 1, stride, n, rows, to, QUERIES);
}

/* to[query][j] = x[j][query] */
static void turn_back(const REAL *x, int64_t rows, int64_t n, REAL *to)
{
    pack_panel(x, 1, QUERIES, rows, n, to, n);
}

/* x[j][query] *= f[query] */
static void multiply_queries(const REAL *restrict f, int64_t n, REAL *restrict x)
{
    for (int64_t j = 0; j < n; j++, x += QUERIES)
        for (int i = 0; i < QUERIES; i++) x[i] *= f[i];
}

/* --- scores --- */

static void mask_query(const gr__attention_mask *m, int64_t at, int64_t keys, REAL *s)
{
    const REAL never = (REAL)-INFINITY;
    if (m->boolean) {
        const uint8_t *take = (const uint8_t *)m->x.data + at;
        for (int64_t j = 0; j < keys; j++, s += QUERIES) *s = take[j * m->column] ? *s : never;
    } else {
        const REAL *add = (const REAL *)m->x.data + at;
        for (int64_t j = 0; j < keys; j++, s += QUERIES) *s += add[j * m->column];
    }
}

/* A query sees the keys up to its own place. */
static void mask_causal(const score_block *b, REAL *s)
{
    for (int64_t j = 0; j < b->keys; j++) {
        const int64_t before = b->key + j - b->row, unseen = before < QUERIES ? before : QUERIES;
        for (int64_t i = 0; i < unseen; i++) s[j * QUERIES + i] = (REAL)-INFINITY;
    }
}

/* Numbers that are float where operands are rounded, by lines, to panels. */
static gr__bf16_panels round_lines(const REAL *x, int64_t line, int64_t step, int64_t lines,
                                   int64_t n, uint32_t *units)
{
    return gr__bf16_pack(gr__bf16(), (const void *)x, line, step, lines, n, units);
}

/* s = m t, of the block's rows of m, n numbers each, which are packed where they are rounded. */
static void block_product(const gr__attention *a, const score_block *b,
                          const gr__attention_matrix *m, const uint32_t *rounded, int64_t n,
                          const turned_block *t, REAL *s)
{
    const REAL *x = rows_of(a, m, b->batch, b->key);
    if (rounded)
        gr__bf16_multiply(gr__bf16(),
                          &(gr__bf16_block){
                              b->keys, QUERIES, n,
                              gr__attention_panels(rounded, b->batch, a->keys, n, b->key, 0),
                              gr__attention_panels(t->rounded, 0, QUERIES, n, 0, 0), false,
                              (void *)s, QUERIES});
    else
        small_gemm(&(gr__small_gemm){
            b->keys, QUERIES, n, {x, m->row, 1}, {t->x, QUERIES, 1}, 0, s, QUERIES});
}

/* y += m^T s, of the block's rows of m, n numbers each, which are packed by columns where they are
 * rounded: [n][QUERIES]. */
static void block_sums(const gr__attention *a, const score_block *b, const gr__attention_matrix *m,
                       const uint32_t *rounded, int64_t n, const REAL *s, REAL *y)
{
    uint32_t units[KEYS / 2 * QUERIES];
    const REAL *x = rows_of(a, m, b->batch, b->key);
    if (rounded)
        gr__bf16_multiply(gr__bf16(),
                          &(gr__bf16_block){
                              n, QUERIES, b->keys,
                              gr__attention_panels(rounded, b->batch, n, a->keys, 0, b->key),
                              round_lines(s, 1, QUERIES, QUERIES, b->keys, units), true, (void *)y,
                              QUERIES});
    else
        small_gemm(&(gr__small_gemm){
            n, QUERIES, b->keys, {x, 1, m->row}, {s, QUERIES, 1}, 1, y, QUERIES});
}

/* The block's queries times the scale. */
static void block_queries(const gr__attention *a, const score_block *b, const turned_block *q)
{
    turn_queries(rows_of(a, &a->q, b->batch, b->row), a->q.row, b->rows, a->depth, q->x);
    for (int64_t i = 0; i < a->depth * QUERIES; i++) q->x[i] *= (REAL)a->scale;
    if (a->rounds) round_lines(q->x, 1, QUERIES, QUERIES, a->depth, q->rounded);
}

/* s = k q^T, masked; q from block_queries. */
static void block_scores(const gr__attention *a, const score_block *b, const turned_block *q,
                         REAL *s)
{
    block_product(a, b, &a->k, a->rounded.k_rows, a->depth, q, s);
    const int64_t at = a->mask.x.data ? gr__attention_offset(a, &a->mask.x, b->batch, b->row) : 0;
    for (int64_t i = 0; i < b->rows && a->mask.x.data; i++)
        mask_query(&a->mask, at + i * a->mask.x.row + b->key * a->mask.column, b->keys, s + i);
    if (a->causal) mask_causal(b, s);
}

/* The factors of dropout, [keys][queries]. */
static void block_factors(const gr__attention *a, const score_block *b, REAL *f)
{
    REAL one[KEYS], row[KEYS];
    for (int64_t j = 0; j < b->keys; j++) one[j] = 1;
    for (int64_t i = 0; i < QUERIES; i++) {
        const int64_t query = b->batch * a->rows + b->row + (i < b->rows ? i : 0);
        a->drop(a->drop_ctx, query * a->keys + b->key, b->keys, one, row);
        for (int64_t j = 0; j < b->keys; j++) f[j * QUERIES + i] = row[j];
    }
}

/* y *= f for all of a block. */
static void block_multiply(const REAL *restrict f, int64_t keys, REAL *restrict y)
{
    for (int64_t i = 0; i < keys * QUERIES; i++) y[i] *= f[i];
}

/* s = exp(s - x) */
static void block_exp(const REAL *restrict x, int64_t keys, REAL *restrict s)
{
    for (int64_t j = 0; j < keys; j++, s += QUERIES)
        for (int i = 0; i < QUERIES; i++) s[i] = gr__exp(s[i] - x[i]);
}

/* --- tasks --- */

static int64_t blocks_of(int64_t size, int64_t block)
{
    return (size + block - 1) / block;
}

/* How many of n go to one task, so that there are no more tasks than scratch is for. */
static int64_t task_size(int64_t n)
{
    return n > 0 ? blocks_of(n, GR__ATTENTION_TASKS) : 1;
}
