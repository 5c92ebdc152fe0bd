/* attention_grad_real.c - the gradient of attention, for one dtype and instruction set.
 *
 * The probabilities are made again, p = exp(s - lse). With dropped d = p f and g = f (dy v^T),
 *
 *   dv = d^T dy     ds = scale p (g - delta)     dq = ds k     dk = ds^T q
 *
 * One of the batch is one task, block of queries by block of queries, which all add to its dk and dv.
 */
/* SPDX-License-Identifier: MIT */

/* Queries beyond the last have p = 0. */
static void block_lanes(const REAL *x, int64_t rows, REAL beyond, REAL *lane)
{
    for (int64_t i = 0; i < QUERIES; i++) lane[i] = i < rows ? x[i] : beyond;
}

/* p = exp(s - lse) to `p`, or d with dropout; ds to `ds`, which holds g before f. */
static void block_score_grads(const gr__attention_grad *g, const score_block *b, const REAL *f,
                              REAL *restrict p, REAL *restrict ds)
{
    const int64_t first = b->batch * g->a.rows + b->row;
    const REAL scale = (REAL)g->a.scale;
    REAL lse[QUERIES], delta[QUERIES];
    block_lanes((const REAL *)g->a.lse + first, b->rows, (REAL)INFINITY, lse);
    block_lanes((const REAL *)g->delta + first, b->rows, 0, delta);
    block_exp(lse, b->keys, p);
    if (f) block_multiply(f, b->keys, ds);
    for (int64_t j = 0; j < b->keys; j++)
        for (int64_t i = 0, at = j * QUERIES; i < QUERIES; i++, at++)
            ds[at] = scale * p[at] * (ds[at] - delta[i]);
    if (f) block_multiply(f, b->keys, p);
}

/* A block of queries, and of dy and dq, [depth or width][queries]. */
typedef struct grad_queries {
    REAL *q, *dy, *dq;
} grad_queries;

/* One block of scores: adds to dq, dk and dv. */
static void attention_block_grad(const gr__attention_grad *g, const score_block *b,
                                 const grad_queries *t)
{
    const gr__attention *a = &g->a;
    const int64_t depth = a->depth, width = a->width, key = b->batch * a->keys + b->key;
    const REAL *q = rows_of(a, &a->q, b->batch, b->row), *k = rows_of(a, &a->k, b->batch, b->key);
    const REAL *v = rows_of(a, &a->v, b->batch, b->key), *dy = rows_of(a, &g->dy, b->batch, b->row);
    REAL *dk = (REAL *)g->dk + key * depth, *dv = (REAL *)g->dv + key * width;
    REAL p[KEYS * QUERIES], ds[KEYS * QUERIES], f[KEYS * QUERIES];
    block_scores(a, b, t->q, p);
    small_gemm(&(gr__small_gemm){
        b->keys, QUERIES, width, {v, a->v.row, 1}, {t->dy, QUERIES, 1}, 0, ds, QUERIES});
    if (a->drop) block_factors(a, b, f);
    block_score_grads(g, b, a->drop ? f : NULL, p, ds);
    const gr__small_gemm sums[] = {
        {depth, QUERIES, b->keys, {k, 1, a->k.row}, {ds, QUERIES, 1}, 1, t->dq, QUERIES},
        {b->keys, depth, b->rows, {ds, QUERIES, 1}, {q, a->q.row, 1}, 1, dk, depth},
        {b->keys, width, b->rows, {p, QUERIES, 1}, {dy, g->dy.row, 1}, 1, dv, width},
    };
    for (int i = 0; i < 3; i++) small_gemm(&sums[i]);
}

/* A block of queries against all its keys. */
static void attention_queries_grad(const gr__attention_grad *g, score_block b,
                                   const grad_queries *t)
{
    const gr__attention *a = &g->a;
    const int64_t last = a->causal && b.row + b.rows < a->keys ? b.row + b.rows : a->keys;
    block_queries(a, &b, t->q);
    turn_queries(rows_of(a, &g->dy, b.batch, b.row), g->dy.row, b.rows, a->width, t->dy);
    memset(t->dq, 0, (size_t)(a->depth * QUERIES) * sizeof(REAL));
    for (; b.key < last; b.key += KEYS) {
        b.keys = last - b.key < KEYS ? last - b.key : KEYS;
        attention_block_grad(g, &b, t);
    }
    turn_back(t->dq, b.rows, a->depth, (REAL *)g->dq + (b.batch * a->rows + b.row) * a->depth);
}

static void attention_clear(void *x, int64_t batch, int64_t size)
{
    memset((REAL *)x + batch * size, 0, (size_t)size * sizeof(REAL));
}

static void attention_batches_grad(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention_grad *g = ctx;
    const gr__attention *a = &g->a;
    const int64_t task = begin / task_size(a->batch), depth = a->depth * QUERIES;
    REAL *space = (REAL *)a->scratch + task * (2 * depth + a->width * QUERIES);
    const grad_queries t = {space, space + 2 * depth, space + depth};
    for (int64_t batch = begin; batch < end; batch++) {
        attention_clear(g->dk, batch, a->keys * a->depth);
        attention_clear(g->dv, batch, a->keys * a->width);
        for (int64_t row = 0; row < a->rows; row += QUERIES) {
            const int64_t left = a->rows - row, rows = left < QUERIES ? left : QUERIES;
            attention_queries_grad(g, (score_block){batch, row, rows, 0, 0}, &t);
        }
    }
}

static void attention_grad(gr__attention_grad *g)
{
    gr__parallel_for(g->a.batch, task_size(g->a.batch), attention_batches_grad, g);
}
