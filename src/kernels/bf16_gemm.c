/* bf16_gemm.c - matrix products with operands rounded to bfloat16; see bf16.h. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16.h"
#include "onednn.h"

/* A task is a block of c whose panels of a fit a second-level cache; cut by the sizes alone. */
enum {
    LANES = GR__BF16_LANES,
    BLOCK_PANELS = 4,                     /* of a */
    BLOCK_COLUMNS = 4 * GR__BF16_COLUMNS, /* of b */
    PACK_WORK = 1 << 16,                  /* elements that are worth packing in a task */
    LEAST_ROWS = 8,                       /* fewer rows do not pay for packing b */
    LEAST_WORK = 1 << 16                  /* multiplications, likewise */
};

typedef struct product {
    const gr__bf16_kernels *kernels;
    int64_t m, n, k, units;
    gr__matrix a, b;
    bool add;
    float *c;
    uint32_t *a_panels, *b_panels;
    int64_t panels_of_a, rows; /* rows: blocks down a column of blocks */
} product;

/* --- packing --- */

/* Units from `first` on of panel i of both operands, those of a first. */
static void pack_panel(const product *p, int64_t i, int64_t first)
{
    bool of_a = i < p->panels_of_a;
    int64_t from = (of_a ? i : i - p->panels_of_a) * LANES, k = p->k - 2 * first;
    int64_t row = of_a ? p->a.row : p->b.column, step = of_a ? p->a.column : p->b.row;
    const float *x = of_a ? p->a.data : p->b.data;
    const gr__bf16_source s = {
        .x = x + from * row + 2 * first * step,
        .row = row,
        .step = 2 * step,
        .second = step,
        .rows = gr__least(LANES, (of_a ? p->m : p->n) - from),
        .units = gr__least(GR__BF16_UNITS, (k + 1) / 2),
        .whole = gr__least(GR__BF16_UNITS, k / 2),
    };
    p->kernels->pack(&s, (of_a ? p->a_panels : p->b_panels) + from * p->units + first * LANES);
}

/* A stretch of k of all panels at a time: in a matrix that lies across they are neighbours. */
static void pack_panels(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (int64_t first = 0; first < p->units; first += GR__BF16_UNITS)
        for (int64_t i = begin; i < end; i++) pack_panel(p, i, first);
}

/* --- multiplying --- */

static void multiply_tile(const product *p, int64_t row, int64_t column, int64_t first)
{
    const uint32_t *a = p->a_panels + row / LANES * LANES * p->units + first * LANES + row % LANES;
    const uint32_t *b = p->b_panels + column * p->units + first * LANES;
    gr__bf16_tile t = {
        .c = p->c + row * p->n + column,
        .a_step = LANES * (int64_t)sizeof(uint32_t),
        .b_step = LANES,
        .ldc = p->n,
        .units = gr__least(GR__BF16_UNITS, p->units - first),
        .rows = gr__least(GR__BF16_ROWS, p->m - row),
        .columns = gr__least(GR__BF16_COLUMNS, p->n - column),
        .add = p->add || first > 0,
    };
    for (int r = 0; r < GR__BF16_ROWS; r++) t.a[r] = a + r;
    for (int j = 0; j < GR__BF16_VECTORS; j++) t.b[j] = b + j * LANES * p->units;
    p->kernels->tile(&t);
}

/* Each stretch of k is finished for three panels of b after three, which stay close meanwhile. */
static void multiply_block(const product *p, int64_t row, int64_t column)
{
    int64_t last_row = gr__least(p->m, row + BLOCK_PANELS * LANES);
    int64_t last_column = gr__least(p->n, column + BLOCK_COLUMNS);
    for (int64_t first = 0; first < p->units; first += GR__BF16_UNITS)
        for (int64_t j = column; j < last_column; j += GR__BF16_COLUMNS)
            for (int64_t i = row; i < last_row; i += GR__BF16_ROWS) multiply_tile(p, i, j, first);
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
    return gr__up_div(rows, LANES) * LANES * gr__up_div(k, 2) * (int64_t)sizeof(uint32_t);
}

size_t gr__bf16_gemm_scratch(int64_t m, int64_t n, int64_t k)
{
    return (size_t)(panel_bytes(m, k) + panel_bytes(n, k) + 64);
}

void gr__bf16_gemm(int64_t m, int64_t n, int64_t k, gr__matrix a, gr__matrix b, bool add, float *c,
                   void *scratch)
{
    product p = {.kernels = gr__bf16(),
                 .m = m,
                 .n = n,
                 .k = k,
                 .units = gr__up_div(k, 2),
                 .a = a,
                 .b = b,
                 .add = add,
                 .c = c,
                 .a_panels = scratch};
    if (gr__onednn_pays() && gr__bf16_by_onednn(p.kernels, m, n, k, &a, &b, add, c, scratch))
        return;
    p.b_panels = p.a_panels + panel_bytes(m, k) / (int64_t)sizeof(uint32_t);
    p.panels_of_a = gr__up_div(m, LANES);
    p.rows = gr__up_div(m, BLOCK_PANELS * LANES);
    gr__parallel_for(p.panels_of_a + gr__up_div(n, LANES), gr__up_div(PACK_WORK, LANES * k),
                     pack_panels, &p);
    gr__parallel_for(p.rows * gr__up_div(n, BLOCK_COLUMNS), 1, multiply_blocks, &p);
}
