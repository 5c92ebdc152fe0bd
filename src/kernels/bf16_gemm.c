/* bf16_gemm.c - matrix products with operands rounded to bfloat16; see bf16.h. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16.h"
#include "onednn.h"

enum {
    LANES = GR__BF16_LANES,
    UNITS = 192,         /* along k of a tile: its columns of b stay in a first-level cache */
    BLOCK_ROWS = 64,     /* of a, packed by the task that reads them */
    LEAST_COLUMNS = 384, /* of a task where columns are cut, so that packing a is little of it */
    TASKS = 16,          /* that a large product is cut into */
    PACK_WORK = 1 << 16, /* elements that are worth packing in a task */
    LEAST_ROWS = 8,      /* fewer rows do not pay for packing b */
    LEAST_WORK = 1 << 16 /* multiplications, likewise */
};

typedef struct product {
    const gr__bf16_kernels *kernels;
    int64_t m, n, k;
    gr__matrix a, b;
    const float *add;
    int64_t add_row;
    float *c;
    uint32_t *b_panels;
    int64_t panels;        /* of b */
    int64_t rows, columns; /* blocks down c, columns of each: a task, by the sizes alone */
} product;

/* Units [first, first + n) along k, which a tile adds up. */
typedef struct stretch {
    int64_t first, n;
} stretch;

static stretch stretch_from(const product *p, int64_t first)
{
    return (stretch){first, gr__least(UNITS, gr__up_div(p->k, 2) - first)};
}

/* --- packing --- */

/* Of 16 of the `lines` of x from `line` on: rows of a, or columns of b. */
static void pack_panel(const product *p, const float *x, int64_t row, int64_t step, int64_t lines,
                       int64_t line, stretch s, uint32_t *panel)
{
    const int64_t next = line + (row == 1 ? 2 * LANES : LANES);
    const gr__bf16_source source = {
        .x = x + line * row + 2 * s.first * step,
        .next = next + LANES <= lines ? x + next * row + 2 * s.first * step : NULL,
        .row = row,
        .step = 2 * step,
        .second = step,
        .rows = gr__least(LANES, lines - line),
        .units = s.n,
        .whole = gr__least(s.n, p->k / 2 - s.first),
    };
    p->kernels->pack(&source, panel);
}

/* The panels of b lie together stretch by stretch, as they are read. */
static uint32_t *panel_of_b(const product *p, int64_t i, stretch s)
{
    return p->b_panels + (s.first * p->panels + i * s.n) * LANES;
}

/* A stretch of all panels at a time: in a matrix that lies across they are neighbours. */
static void pack_b(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (stretch s = stretch_from(p, 0); s.n > 0; s = stretch_from(p, s.first + s.n))
        for (int64_t i = begin; i < end; i++)
            pack_panel(p, p->b.data, p->b.column, p->b.row, p->n, i * LANES, s,
                       panel_of_b(p, i, s));
}

static void pack_a(const product *p, int64_t row, stretch s, uint32_t *panels)
{
    const int64_t last = gr__least(p->m, row + BLOCK_ROWS);
    for (int64_t i = row; i < last; i += LANES, panels += s.n * LANES)
        pack_panel(p, p->a.data, p->a.row, p->a.column, p->m, i, s, panels);
}

/* --- multiplying --- */

/* Rows of c from `row` on by those of the panels of a from `at` on. */
static void multiply_tile(const product *p, int64_t row, int64_t column, stretch s,
                          const uint32_t *a, int64_t at)
{
    const bool again = s.first > 0; /* to what the last stretch gave */
    float *c = p->c + (row + at) * p->n + column;
    gr__bf16_tile t = {
        .panel = a + at / LANES * LANES * s.n + at % LANES,
        .add = again ? c : p->add ? p->add + (row + at) * p->add_row + column : NULL,
        .c = c,
        .b_step = LANES,
        .add_row = again ? p->n : p->add_row,
        .ldc = p->n,
        .units = s.n,
        .rows = gr__least(GR__BF16_ROWS, p->m - row - at),
        .columns = gr__least(GR__BF16_COLUMNS, p->n - column),
    };
    for (int j = 0; j < GR__BF16_VECTORS; j++) t.b[j] = panel_of_b(p, column / LANES + j, s);
    p->kernels->tile(&t);
}

/* What is packed next, as it lies in memory: fetched while tiles are multiplied. */
typedef struct ahead {
    const float *x;
    int64_t lines, step, length;
} ahead;

/* The next stretch, or the first of a block that this thread is likely to take next. */
static ahead ahead_of(const product *p, int64_t row, stretch s)
{
    const bool along = p->a.column == 1;
    int64_t first = s.first + s.n;
    if (2 * first >= p->k) {
        row += gr_threads() * BLOCK_ROWS;
        first = 0;
    }
    if (row >= p->m || (!along && p->a.row != 1)) return (ahead){0};
    const int64_t rows = gr__least(BLOCK_ROWS, p->m - row);
    const int64_t terms = gr__least(2 * UNITS, p->k - 2 * first);
    const float *x = p->a.data;
    x += row * p->a.row + 2 * first * p->a.column;
    return along ? (ahead){x, rows, p->a.row, terms} : (ahead){x, terms, p->a.column, rows};
}

/* Part i of n. */
static void fetch(const ahead *f, int64_t i, int64_t n)
{
    enum { LINE = 16 };
    for (int64_t l = i * f->lines / n; l < (i + 1) * f->lines / n; l++)
        for (int64_t j = 0; j < f->length; j += LINE)
            __builtin_prefetch(f->x + l * f->step + j, 0, 2);
}

/* Columns [column, end) of c by a stretch of panels of a; three panels of b go by after three. */
static void multiply_stretch(const product *p, int64_t row, int64_t column, int64_t end, stretch s,
                             const uint32_t *a)
{
    const int64_t rows = gr__least(BLOCK_ROWS, p->m - row), down = gr__up_div(rows, GR__BF16_ROWS);
    const int64_t tiles = down * gr__up_div(end - column, GR__BF16_COLUMNS);
    const ahead next = ahead_of(p, row, s);
    for (int64_t i = 0; i < tiles; i++) {
        fetch(&next, i, tiles);
        multiply_tile(p, row, column + i / down * GR__BF16_COLUMNS, s, a, i % down * GR__BF16_ROWS);
    }
}

/* Panels of a are packed where they stay close. */
static void multiply_block(const product *p, int64_t row, int64_t column)
{
    _Alignas(64) uint32_t a[BLOCK_ROWS * UNITS];
    const int64_t end = gr__least(p->n, column + p->columns);
    for (stretch s = stretch_from(p, 0); s.n > 0; s = stretch_from(p, s.first + s.n)) {
        pack_a(p, row, s, a);
        multiply_stretch(p, row, column, end, s, a);
    }
}

static void multiply_blocks(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (int64_t i = begin; i < end; i++)
        multiply_block(p, i % p->rows * BLOCK_ROWS, i / p->rows * p->columns);
}

/* Only where rows do not give enough tasks are columns cut: each cut packs a again. */
static void cut(product *p)
{
    p->rows = gr__up_div(p->m, BLOCK_ROWS);
    const int64_t cuts = gr__least(gr__up_div(TASKS, p->rows), gr__up_div(p->n, LEAST_COLUMNS));
    p->columns = gr__up_div(gr__up_div(p->n, cuts), GR__BF16_COLUMNS) * GR__BF16_COLUMNS;
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
    return (size_t)(panel_bytes(n, k) + (gr__onednn_pays() ? panel_bytes(m, k) : 0) + 64);
}

void gr__bf16_gemm(const gr__product *p, void *scratch)
{
    product l = {.kernels = gr__bf16(),
                 .m = p->m,
                 .n = p->n,
                 .k = p->k,
                 .a = p->a,
                 .b = p->b,
                 .add = p->add,
                 .add_row = p->add_row,
                 .c = p->c,
                 .b_panels = scratch,
                 .panels = gr__up_div(p->n, LANES)};
    if (gr__onednn_pays() && gr__bf16_by_onednn(l.kernels, p, scratch)) return;
    cut(&l);
    gr__parallel_for(l.panels, gr__up_div(PACK_WORK, LANES * l.k), pack_b, &l);
    gr__parallel_for(l.rows * gr__up_div(l.n, l.columns), 1, multiply_blocks, &l);
}
