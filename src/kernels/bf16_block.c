/* bf16_block.c - small products of rounded operands that are packed before; see bf16.h. */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"

enum { LANES = GR__BF16_LANES, ROWS = GR__BF16_ROWS, COLUMNS = GR__BF16_COLUMNS };

gr__bf16_panels gr__bf16_pack(const gr__bf16_kernels *kernels, const float *x, int64_t line,
                              int64_t step, int64_t lines, int64_t k, uint32_t *units)
{
    const gr__bf16_panels p = {units, gr__up_div(k, 2) * LANES};
    for (int64_t i = 0; i < lines; i += LANES) {
        const int64_t next = i + LANES;
        const gr__bf16_source s = {.x = x + i * line,
                                   .next = next + LANES <= lines ? x + next * line : NULL,
                                   .row = line,
                                   .step = 2 * step,
                                   .second = step,
                                   .rows = gr__least(LANES, lines - i),
                                   .units = gr__up_div(k, 2),
                                   .whole = k / 2};
        kernels->pack(&s, units + i / LANES * p.panel);
    }
    return p;
}

/* Columns from `column` on, whose panels are found once for all rows. */
static void multiply_columns(const gr__bf16_kernels *kernels, const gr__bf16_block *p,
                             int64_t column)
{
    gr__bf16_tile t = {.b_step = LANES,
                       .add_row = p->ldc,
                       .ldc = p->ldc,
                       .units = gr__up_div(p->k, 2),
                       .columns = gr__least(COLUMNS, p->n - column)};
    for (int j = 0; j < GR__BF16_VECTORS; j++)
        t.b[j] = p->b.units + (column / LANES + j) * p->b.panel;
    for (int64_t row = 0; row < p->m; row += ROWS) {
        t.panel = p->a.units + row / LANES * p->a.panel + row % LANES;
        t.rows = gr__least(ROWS, p->m - row);
        t.c = p->c + row * p->ldc + column;
        t.add = p->add ? t.c : NULL;
        kernels->tile(&t);
    }
}

void gr__bf16_multiply(const gr__bf16_kernels *kernels, const gr__bf16_block *p)
{
    for (int64_t column = 0; column < p->n; column += COLUMNS)
        multiply_columns(kernels, p, column);
}
