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

/* A block of queries, of dy and of dq; the first two by columns too, where operands are rounded. */
typedef struct grad_queries {
    turned_block q, dy;
    REAL *dq;
    uint32_t *q_columns, *dy_columns;
} grad_queries;

/* dk += ds^T q and dv += p^T dy */
static void block_key_grads(const gr__attention_grad *g, const score_block *b, const REAL *p,
                            const REAL *ds, REAL *dk, REAL *dv)
{
    const gr__attention *a = &g->a;
    const REAL *q = rows_of(a, &a->q, b->batch, b->row), *dy = rows_of(a, &g->dy, b->batch, b->row);
    const gr__small_gemm sums[] = {
        {b->keys, a->depth, b->rows, {ds, QUERIES, 1}, {q, a->q.row, 1}, 1, dk, a->depth},
        {b->keys, a->width, b->rows, {p, QUERIES, 1}, {dy, g->dy.row, 1}, 1, dv, a->width},
    };
    for (int i = 0; i < 2; i++) small_gemm(&sums[i]);
}

/* The same of rounded operands: x is ds or p, to dx [keys, n] by the block's packed columns. */
static void block_key_grad_rounded(const score_block *b, const REAL *x, const uint32_t *columns,
                                   int64_t n, REAL *dx)
{
    uint32_t units[KEYS * QUERIES / 2];
    gr__bf16_multiply(gr__bf16(), &(gr__bf16_block){
                                      b->keys, n, b->rows,
                                      round_lines(x, QUERIES, 1, b->keys, b->rows, units),
                                      gr__attention_panels(columns, 0, n, b->rows, 0, 0), true,
                                      (void *)dx, n});
}

/* One block of scores: adds to dq, dk and dv. */
static void attention_block_grad(const gr__attention_grad *g, const score_block *b,
                                 const grad_queries *t)
{
    const gr__attention *a = &g->a;
    const int64_t key = b->batch * a->keys + b->key;
    REAL *dk = (REAL *)g->dk + key * a->depth, *dv = (REAL *)g->dv + key * a->width;
    REAL p[KEYS * QUERIES], ds[KEYS * QUERIES], f[KEYS * QUERIES];
    block_scores(a, b, &t->q, p);
    block_product(a, b, &a->v, a->rounded.v_rows, a->width, &t->dy, ds);
    if (a->drop) block_factors(a, b, f);
    block_score_grads(g, b, a->drop ? f : NULL, p, ds);
    block_sums(a, b, &a->k, a->rounded.k_columns, a->depth, ds, t->dq);
    if (a->rounds) {
        block_key_grad_rounded(b, ds, t->q_columns, a->depth, dk);
        block_key_grad_rounded(b, p, t->dy_columns, a->width, dv);
    } else block_key_grads(g, b, p, ds, dk, dv);
}

/* Of a block's q and dy. */
static void round_queries(const gr__attention_grad *g, const score_block *b, const grad_queries *t)
{
    const gr__attention *a = &g->a;
    round_lines(t->dy.x, 1, QUERIES, QUERIES, a->width, t->dy.rounded);
    round_lines(rows_of(a, &a->q, b->batch, b->row), 1, a->q.row, a->depth, b->rows, t->q_columns);
    round_lines(rows_of(a, &g->dy, b->batch, b->row), 1, g->dy.row, a->width, b->rows,
                t->dy_columns);
}

/* A block of queries against all its keys. */
static void attention_queries_grad(const gr__attention_grad *g, score_block b,
                                   const grad_queries *t)
{
    const gr__attention *a = &g->a;
    const int64_t last = a->causal && b.row + b.rows < a->keys ? b.row + b.rows : a->keys;
    block_queries(a, &b, &t->q);
    turn_queries(rows_of(a, &g->dy, b.batch, b.row), g->dy.row, b.rows, a->width, t->dy.x);
    if (a->rounds) round_queries(g, &b, t);
    memset(t->dq, 0, (size_t)(a->depth * QUERIES) * sizeof(REAL));
    for (; b.key < last; b.key += KEYS) {
        b.keys = last - b.key < KEYS ? last - b.key : KEYS;
        attention_block_grad(g, &b, t);
    }
    turn_back(t->dq, b.rows, a->depth, (REAL *)g->dq + (b.batch * a->rows + b.row) * a->depth);
}

static grad_queries grad_queries_in(const gr__attention *a, void *space)
{
    REAL *dq = space, *q = dq + a->depth * QUERIES, *dy = q + a->depth * QUERIES;
    uint32_t *rounded = (void *)(dy + a->width * QUERIES);
    grad_queries t = {.q = {q, rounded}, .dy = {dy, NULL}, .dq = dq};
    t.dy.rounded = t.q.rounded + gr__bf16_units(QUERIES, a->depth);
    t.q_columns = t.dy.rounded + gr__bf16_units(QUERIES, a->width);
    t.dy_columns = t.q_columns + gr__bf16_units(a->depth, QUERIES);
    return t;
}

static void attention_clear(void *x, int64_t batch, int64_t size)
{
    memset((REAL *)x + batch * size, 0, (size_t)size * sizeof(REAL));
}

static void attention_batches_grad(void *ctx, int64_t begin, int64_t end)
{
    const gr__attention_grad *g = ctx;
    const gr__attention *a = &g->a;
    const int64_t task = begin / task_size(a->batch);
    const grad_queries t =
        grad_queries_in(a, (char *)a->scratch + task * (int64_t)gr__attention_grad_space(a));
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
    if (g->a.rounds) gr__attention_round(&g->a, true);
    gr__parallel_for(g->a.batch, task_size(g->a.batch), attention_batches_grad, g);
}
