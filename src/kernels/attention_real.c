/* attention_real.c - attention by blocks of scores that stay in cache, for one dtype and
 * instruction set.
 *
 * A block of queries meets the keys block by block and keeps, per query, the largest score m so far,
 * l = sum exp(s - m) and the sum of exp(s - m) v; when m grows, both are scaled by
 * exp(old m - new m) (Milakov, Gimelshein 2018; Dao et al., "FlashAttention", 2022).
 */
/* SPDX-License-Identifier: MIT */

/* One of each per query. */
typedef struct running_softmax {
    REAL most[QUERIES], factor[QUERIES]; /* factor: exp(old m - new m) */
    double total[QUERIES];
} running_softmax;

static void block_most(const REAL *s, int64_t keys, REAL *most)
{
    for (int i = 0; i < QUERIES; i += VEC_LANES) {
        vec m = vec_load(most + i);
        for (int64_t j = 0; j < keys; j++) {
            const vec v = vec_load(s + j * QUERIES + i);
            m = vec_choose((vec_bits)(v > m), v,
                           m); /* NaN is passed over: it turns up in the sum */
        }
        vec_store(most + i, m);
    }
}

static void block_sum(const REAL *p, int64_t keys, REAL *sum)
{
    for (int i = 0; i < QUERIES; i += VEC_LANES) {
        vec even = {0}, odd = {0};
        int64_t j = 0;
        for (; j + 2 <= keys; j += 2) {
            even += vec_load(p + j * QUERIES + i);
            odd += vec_load(p + (j + 1) * QUERIES + i);
        }
        if (j < keys) even += vec_load(p + j * QUERIES + i);
        vec_store(sum + i, even + odd);
    }
}

/* s becomes exp(s - m). */
static void block_soften(int64_t keys, REAL *s, running_softmax *run)
{
    REAL most[QUERIES], base[QUERIES], sum[QUERIES];
    memcpy(most, run->most, sizeof most);
    block_most(s, keys, most);
    for (int i = 0; i < QUERIES; i++) {
        base[i] = most[i] == (REAL)-INFINITY ? 0 : most[i]; /* nothing yet: all exp are 0 */
        run->factor[i] = gr__exp(run->most[i] - base[i]);
    }
    block_exp(base, keys, s);
    block_sum(s, keys, sum);
    for (int i = 0; i < QUERIES; i++)
        run->total[i] = run->total[i] * (double)run->factor[i] + (double)sum[i];
    memcpy(run->most, most, sizeof most);
}

/* A row that saw no key gets 0. */
static void block_finish(const gr__attention *a, const score_block *b, running_softmax *run,
                         REAL *y)
{
    const int64_t first = b->batch * a->rows + b->row;
    REAL *lse = (REAL *)a->lse + first;
    for (int64_t i = 0; i < QUERIES; i++) {
        const double total = run->total[i];
        run->factor[i] = total == 0 ? 0 : (REAL)(1 / total);
        if (i >= b->rows) continue;
        lse[i] = total == 0 ? (REAL)INFINITY : (REAL)((double)run->most[i] + log(total));
    }
    multiply_queries(run->factor, a->width, y);
    turn_back(y, b->rows, a->width, (REAL *)a->y + first * a->width);
}

static void attention_block(const gr__attention *a, int64_t batch, int64_t row, void *space)
{
    REAL s[KEYS * QUERIES], f[KEYS * QUERIES];
    running_softmax run;
    score_block b = {batch, row, a->rows - row < QUERIES ? a->rows - row : QUERIES, 0, 0};
    REAL *y = space, *x = y + a->width * QUERIES;
    const turned_block q = {x, (void *)(x + a->depth * QUERIES)};
    const int64_t last = a->causal && row + b.rows < a->keys ? row + b.rows : a->keys;
    for (int i = 0; i < QUERIES; i++) run.most[i] = (REAL)-INFINITY, run.total[i] = 0;
    for (int64_t i = 0; i < a->width * QUERIES; i++) y[i] = 0;
    block_queries(a, &b, &q);
    for (; b.key < last; b.key += KEYS) {
        b.keys = last - b.key < KEYS ? last - b.key : KEYS;
        block_scores(a, &b, &q, s);
        block_soften(b.keys, s, &run);
        if (b.key) multiply_queries(run.factor, a->width, y);
        if (a->drop) block_factors(a, &b, f);
        if (a->drop) block_multiply(f, b.keys, s);
        block_sums(a, &b, &a->v, a->rounded.v_columns, a->width, s, y);
    }
    block_finish(a, &b, &run, y);
}

static void attention_blocks(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention *a = ctx;
    const int64_t blocks = blocks_of(a->rows, QUERIES), task = begin / task_size(a->batch * blocks);
    char *space = (char *)a->scratch + task * (int64_t)gr__attention_space(a);
    for (int64_t i = begin; i < end; i++)
        attention_block(a, i / blocks, i % blocks * QUERIES, space);
}

static void attention(gr__attention *a)
{
    const int64_t blocks = a->batch * blocks_of(a->rows, QUERIES);
    if (a->rounds) gr__attention_round(a, false);
    gr__parallel_for(blocks, task_size(blocks), attention_blocks, a);
}
