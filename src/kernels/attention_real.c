/* attention_real.c - attention by blocks of scores that stay in cache, for one dtype and
 * instruction set.
 *
 * Forwards, a block of rows meets the keys block by block and keeps, per row, the largest score m so
 * far, l = sum exp(s - m) and the sum of exp(s - m) v; when m grows, both are scaled by
 * exp(old m - new m) (Milakov, Gimelshein 2018; Dao et al., "FlashAttention", 2022). Backwards, the
 * probabilities are exp(s - lse), made again.
 */
/* SPDX-License-Identifier: MIT */
#include "attention.h"
#include "base.h"
#include "elementary.h"
#include "instance.h"
#include "kernels.h"

enum { SCORE_ROWS = GR__ATTENTION_ROWS, SCORE_KEYS = GR__ATTENTION_KEYS };

/* Rows [row, row + rows) against keys [key, key + keys) of one of the batch. */
typedef struct score_block {
    int64_t batch, row, rows, key, keys;
} score_block;

typedef REAL score_rows[SCORE_ROWS][SCORE_KEYS];

/* --- scores --- */

/* to[n][m] = x[m][n]; consecutive blocks of keys lie one behind the other. */
static void attention_turn(const REAL *x, int64_t m, int64_t n, REAL *to)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) to[j * m + i] = x[i * n + j];
}

static int64_t mask_offset(const gr__attention_mask *m, int64_t batch)
{
    int64_t offset = 0;
    for (int i = m->n_batch - 1; i >= 0; i--) {
        offset += batch % m->batch[i] * m->batch_stride[i];
        batch /= m->batch[i];
    }
    return offset;
}

static void mask_row(const gr__attention_mask *m, int64_t at, int64_t keys, REAL *s)
{
    const REAL never = (REAL)-INFINITY;
    if (m->boolean) {
        const uint8_t *take = (const uint8_t *)m->data + at;
        for (int64_t j = 0; j < keys; j++) s[j] = take[j * m->column] ? s[j] : never;
    } else {
        const REAL *add = (const REAL *)m->data + at;
        for (int64_t j = 0; j < keys; j++) s[j] += add[j * m->column];
    }
}

/* s = scale q k^T, masked; turned_k is the block's [depth][keys]. */
static void attention_scores(const gr__attention *a, const score_block *b, const REAL *turned_k,
                             score_rows s)
{
    const REAL scale = (REAL)a->scale;
    const REAL *q = (const REAL *)a->q + (b->batch * a->rows + b->row) * a->depth;
    const gr__small_gemm gemm = {
        b->rows, b->keys, a->depth, {q, a->depth, 1}, {turned_k, b->keys, 1}, 0, s, SCORE_KEYS};
    const int64_t mask = a->mask.data ? mask_offset(&a->mask, b->batch) + b->row * a->mask.row +
                                            b->key * a->mask.column
                                      : 0;
    small_gemm(&gemm);
    for (int64_t i = 0; i < b->rows; i++) {
        for (int64_t j = 0; j < b->keys; j++) s[i][j] *= scale;
        if (a->mask.data) mask_row(&a->mask, mask + i * a->mask.row, b->keys, s[i]);
        if (!a->causal) continue;
        int64_t seen = b->row + i + 1 - b->key;
        for (int64_t j = seen > 0 ? seen : 0; j < b->keys; j++) s[i][j] = (REAL)-INFINITY;
    }
}

/* Row i of the block times its factors of dropout. */
static void attention_drop(const gr__attention *a, const score_block *b, int64_t i, const REAL *x,
                           REAL *y)
{
    int64_t first = (b->batch * a->rows + b->row + i) * a->keys + b->key;
    a->drop(a->drop_ctx, first, b->keys, x, y);
}

/* --- forwards --- */

typedef struct running_row {
    REAL most;
    double total;
} running_row;

/* s becomes exp(s - m); y is scaled to the new m. */
static void attention_soften(const score_block *b, score_rows s, running_row *row, REAL *y,
                             int64_t width)
{
    for (int64_t i = 0; i < b->rows; i++, y += width) {
        REAL block = softmax_max(s[i], b->keys), most = block > row[i].most ? block : row[i].most;
        const REAL base = most == (REAL)-INFINITY ? 0 : most; /* nothing yet: all exp are 0 */
        const REAL factor = gr__exp(row[i].most - base);
        row[i].total = row[i].total * (double)factor + softmax_exp(s[i], base, b->keys, s[i]);
        row[i].most = most;
        if (factor != 1)
            for (int64_t c = 0; c < width; c++) y[c] *= factor;
    }
}

/* A row that saw no key gets 0. */
static void attention_finish(const gr__attention *a, const score_block *b, const running_row *row,
                             REAL *y)
{
    REAL *lse = (REAL *)a->lse + b->batch * a->rows + b->row;
    for (int64_t i = 0; i < b->rows; i++, y += a->width) {
        const bool none = row[i].total == 0;
        const REAL factor = none ? 0 : (REAL)(1 / row[i].total);
        for (int64_t c = 0; c < a->width; c++) y[c] *= factor;
        lse[i] = none ? (REAL)INFINITY : (REAL)((double)row[i].most + log(row[i].total));
    }
}

static void attention_block(const gr__attention *a, int64_t batch, int64_t row)
{
    score_rows s, dropped;
    running_row run[SCORE_ROWS];
    score_block b = {batch, row, a->rows - row < SCORE_ROWS ? a->rows - row : SCORE_ROWS, 0, 0};
    REAL *y = (REAL *)a->y + (batch * a->rows + row) * a->width;
    int64_t last = a->causal && row + b.rows < a->keys ? row + b.rows : a->keys;
    for (int i = 0; i < SCORE_ROWS; i++) run[i] = (running_row){(REAL)-INFINITY, 0};
    for (int64_t i = 0; i < b.rows * a->width; i++) y[i] = 0;
    for (b.key = 0; b.key < last; b.key += SCORE_KEYS) {
        const int64_t at = batch * a->keys + b.key;
        b.keys = a->keys - b.key < SCORE_KEYS ? a->keys - b.key : SCORE_KEYS;
        attention_scores(a, &b, (const REAL *)a->scratch + at * a->depth, s);
        attention_soften(&b, s, run, y, a->width);
        for (int64_t i = 0; i < b.rows && a->drop; i++) attention_drop(a, &b, i, s[i], dropped[i]);
        const gr__small_gemm gemm = {b.rows,
                                     a->width,
                                     b.keys,
                                     {a->drop ? dropped : s, SCORE_KEYS, 1},
                                     {(const REAL *)a->v + at * a->width, a->width, 1},
                                     1,
                                     y,
                                     a->width};
        small_gemm(&gemm);
    }
    attention_finish(a, &b, run, y);
}

static int64_t blocks_of(int64_t size, int64_t block)
{
    return (size + block - 1) / block;
}

static void attention_turn_keys(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention *a = ctx;
    const int64_t blocks = blocks_of(a->keys, SCORE_KEYS);
    for (int64_t i = begin; i < end; i++) {
        int64_t key = i % blocks * SCORE_KEYS, left = a->keys - key;
        int64_t at = (i / blocks * a->keys + key) * a->depth;
        attention_turn((const REAL *)a->k + at, left < SCORE_KEYS ? left : SCORE_KEYS, a->depth,
                       (REAL *)a->scratch + at);
    }
}

static void attention_blocks(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention *a = ctx;
    const int64_t blocks = blocks_of(a->rows, SCORE_ROWS);
    for (int64_t i = begin; i < end; i++) attention_block(a, i / blocks, i % blocks * SCORE_ROWS);
}

static void attention(gr__attention *a)
{
    enum { GRAIN = 1 << 17 }; /* multiplications that are worth a task of their own */
    const int64_t work = SCORE_ROWS * a->keys * (a->depth + a->width);
    gr__parallel_for(a->batch * blocks_of(a->keys, SCORE_KEYS), 4, attention_turn_keys, a);
    gr__parallel_for(a->batch * blocks_of(a->rows, SCORE_ROWS), GRAIN / (work + 1) + 1,
                     attention_blocks, a);
}

/* --- backwards: with p = exp(s - lse), dropped d = p f and g = f (dy v^T),
 *     dv = d^T dy,  ds = p (g - delta),  dq = scale ds k,  dk = scale ds^T q --- */

/* Of a block, its p to `p`, or d with dropout; scale ds to `s`, which holds the scores. */
static void attention_score_grads(const gr__attention_grad *g, const score_block *b,
                                  const REAL *turned_v, score_rows s, score_rows p)
{
    const gr__attention *a = &g->a;
    const int64_t first = b->batch * a->rows + b->row;
    const REAL *lse = (const REAL *)a->lse + first, *delta = (const REAL *)g->delta + first;
    const REAL *dy = (const REAL *)g->dy + first * a->width, scale = (REAL)a->scale;
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t j = 0; j < b->keys; j++) p[i][j] = gr__exp(s[i][j] - lse[i]);
    const gr__small_gemm gemm = {
        b->rows, b->keys, a->width, {dy, a->width, 1}, {turned_v, b->keys, 1}, 0, s, SCORE_KEYS};
    small_gemm(&gemm);
    for (int64_t i = 0; i < b->rows; i++) {
        REAL factored[SCORE_KEYS];
        if (a->drop) attention_drop(a, b, i, s[i], factored);
        const REAL *from = a->drop ? factored : s[i];
        for (int64_t j = 0; j < b->keys; j++) s[i][j] = scale * p[i][j] * (from[j] - delta[i]);
        if (a->drop) attention_drop(a, b, i, p[i], factored);
        if (a->drop) memcpy(p[i], factored, (size_t)b->keys * sizeof(REAL));
    }
}

/* One block of scores: adds to dq, dk and dv. */
static void attention_block_grad(const gr__attention_grad *g, const score_block *b,
                                 const REAL *turned_k, const REAL *turned_v)
{
    const gr__attention *a = &g->a;
    const int64_t row = b->batch * a->rows + b->row, key = b->batch * a->keys + b->key;
    score_rows ds, p;
    attention_scores(a, b, turned_k, ds);
    attention_score_grads(g, b, turned_v, ds, p);
    const gr__small_gemm gemms[] = {
        {b->rows,
         a->depth,
         b->keys,
         {ds, SCORE_KEYS, 1},
         {(const REAL *)a->k + key * a->depth, a->depth, 1},
         1,
         (REAL *)g->dq + row * a->depth,
         a->depth},
        {b->keys,
         a->depth,
         b->rows,
         {ds, 1, SCORE_KEYS},
         {(const REAL *)a->q + row * a->depth, a->depth, 1},
         1,
         (REAL *)g->dk + key * a->depth,
         a->depth},
        {b->keys,
         a->width,
         b->rows,
         {p, 1, SCORE_KEYS},
         {(const REAL *)g->dy + row * a->width, a->width, 1},
         1,
         (REAL *)g->dv + key * a->width,
         a->width},
    };
    for (int i = 0; i < 3; i++) small_gemm(&gemms[i]);
}

static void attention_clear(REAL *x, int64_t batch, int64_t size)
{
    memset(x + batch * size, 0, (size_t)size * sizeof *x);
}

static void attention_batch_grad(const gr__attention_grad *g, int64_t batch)
{
    const gr__attention *a = &g->a;
    const int64_t most = a->keys < SCORE_KEYS ? a->keys : SCORE_KEYS;
    REAL *turned_k = (REAL *)a->scratch + batch * most * (a->depth + a->width);
    REAL *turned_v = turned_k + most * a->depth;
    attention_clear(g->dq, batch, a->rows * a->depth);
    attention_clear(g->dk, batch, a->keys * a->depth);
    attention_clear(g->dv, batch, a->keys * a->width);
    for (int64_t key = 0; key < a->keys; key += SCORE_KEYS) {
        const int64_t keys = a->keys - key < SCORE_KEYS ? a->keys - key : SCORE_KEYS;
        const int64_t at = batch * a->keys + key;
        attention_turn((const REAL *)a->k + at * a->depth, keys, a->depth, turned_k);
        attention_turn((const REAL *)a->v + at * a->width, keys, a->width, turned_v);
        for (int64_t row = a->causal ? key / SCORE_ROWS * SCORE_ROWS : 0; row < a->rows;
             row += SCORE_ROWS) {
            const int64_t rows = a->rows - row < SCORE_ROWS ? a->rows - row : SCORE_ROWS;
            const score_block b = {batch, row, rows, key, keys};
            attention_block_grad(g, &b, turned_k, turned_v);
        }
    }
}

static void attention_batches_grad(void *ctx, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) attention_batch_grad(ctx, i);
}

static void attention_grad(gr__attention_grad *g)
{
    enum { GRAIN = 1 << 17 };
    const int64_t work = g->a.rows * g->a.keys * (g->a.depth + g->a.width);
    gr__parallel_for(g->a.batch, GRAIN / (work + 1) + 1, attention_batches_grad, g);
}
