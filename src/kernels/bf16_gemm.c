/* bf16_gemm.c - matrix products with operands rounded to bfloat16; see bf16.h. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16.h"

/* A task is a block of c whose panels of a fit a second-level cache; cut by the sizes alone. */
enum {
    LANES = GR__BF16_LANES,
    BLOCK_PANELS = 4,                       /* of a */
    BLOCK_COLUMNS = 4 * GR__BF16_COLUMNS,   /* of b */
    PACK_WORK = 1 << 16,                    /* elements that are worth packing in a task */
    LEAST_ROWS = 8,                         /* fewer rows do not pay for packing b */
    LEAST_WORK = 1 << 16                    /* multiplications, likewise */
};

static int64_t up_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

typedef struct product {
    const gr__bf16_kernels *kernels;
    int64_t m, n, k, pairs;
    gr__matrix a, b;
    bool add;
    float *c;
    uint32_t *a_panels, *b_panels;
    int64_t panels_of_a, rows; /* rows: blocks down a column of blocks */
} product;

/* --- packing --- */

/* Units from `pair` on of panel i of both operands, those of a first. */
static void pack_panel(const product *p, int64_t i, int64_t pair)
{
    bool of_a = i < p->panels_of_a;
    int64_t from = (of_a ? i : i - p->panels_of_a) * LANES;
    int64_t row = of_a ? p->a.row : p->b.column, step = of_a ? p->a.column : p->b.row;
    const float *x = of_a ? p->a.data : p->b.data;
    const gr__bf16_source s = {x + from * row + 2 * pair * step, row, step,
                               least(LANES, (of_a ? p->m : p->n) - from),
                               least(2 * GR__BF16_PAIRS, p->k - 2 * pair)};
    p->kernels->pack(&s, (of_a ? p->a_panels : p->b_panels) + from * p->pairs + pair * LANES);
}

/* A stretch of k of all panels at a time: in a matrix that lies across they are neighbours. */
static void pack_panels(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (int64_t pair = 0; pair < p->pairs; pair += GR__BF16_PAIRS)
        for (int64_t i = begin; i < end; i++) pack_panel(p, i, pair);
}

/* --- multiplying --- */

static void multiply_tile(const product *p, int64_t row, int64_t column, int64_t pair)
{
    const char *a = (const char *)(p->a_panels + row / LANES * LANES * p->pairs + pair * LANES +
                                   row % LANES);
    gr__bf16_tile t = {
        .b = p->b_panels + column * p->pairs + pair * LANES,
        .c = p->c + row * p->n + column,
        .a_step = LANES * (int64_t)sizeof(uint32_t),
        .b_panel = LANES * p->pairs,
        .ldc = p->n,
        .pairs = least(GR__BF16_PAIRS, p->pairs - pair),
        .rows = least(GR__BF16_ROWS, p->m - row),
        .columns = least(GR__BF16_COLUMNS, p->n - column),
        .add = p->add || pair > 0,
    };
    for (int r = 0; r < GR__BF16_ROWS; r++) t.a[r] = a + r * (int64_t)sizeof(uint32_t);
    p->kernels->tile(&t);
}

/* Each stretch of k is finished for three panels of b after three, which stay close meanwhile. */
static void multiply_block(const product *p, int64_t row, int64_t column)
{
    int64_t last_row = least(p->m, row + BLOCK_PANELS * LANES);
    int64_t last_column = least(p->n, column + BLOCK_COLUMNS);
    for (int64_t pair = 0; pair < p->pairs; pair += GR__BF16_PAIRS)
        for (int64_t j = column; j < last_column; j += GR__BF16_COLUMNS)
            for (int64_t i = row; i < last_row; i += GR__BF16_ROWS) multiply_tile(p, i, j, pair);
}

/* Down the rows first: the panels of b stay close. */
static void multiply_blocks(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (int64_t i = begin; i < end; i++)
        multiply_block(p, i % p->rows * BLOCK_PANELS * LANES, i / p->rows * BLOCK_COLUMNS);
}

/* --- the whole --- */

bool gr__bf16_gemm_pays(int64_t m, int64_t n, int64_t k)
{
    return m >= LEAST_ROWS && n >= LEAST_ROWS && m * n * k >= LEAST_WORK;
}

static int64_t panel_bytes(int64_t rows, int64_t k)
{
    return up_div(rows, LANES) * LANES * up_div(k, 2) * (int64_t)sizeof(uint32_t);
}

size_t gr__bf16_gemm_scratch(int64_t m, int64_t n, int64_t k)
{
    return (size_t)(panel_bytes(m, k) + panel_bytes(n, k));
}

void gr__bf16_gemm(int64_t m, int64_t n, int64_t k, gr__matrix a, gr__matrix b, bool add, float *c,
                   void *scratch)
{
    product p = {.kernels = gr__bf16(), .m = m, .n = n, .k = k, .pairs = up_div(k, 2), .a = a,
                 .b = b, .add = add, .c = c, .a_panels = scratch};
    p.b_panels = p.a_panels + panel_bytes(m, k) / (int64_t)sizeof(uint32_t);
    p.panels_of_a = up_div(m, LANES);
    p.rows = up_div(m, BLOCK_PANELS * LANES);
    gr__parallel_for(p.panels_of_a + up_div(n, LANES), up_div(PACK_WORK, LANES * k), pack_panels,
                     &p);
    gr__parallel_for(p.rows * up_div(n, BLOCK_COLUMNS), 1, multiply_blocks, &p);
}
