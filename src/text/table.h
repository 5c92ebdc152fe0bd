/* table.h - tables for terminals: columns lined up, numbers at the right. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TABLE_H
#define GR__TABLE_H

#include "text.h"

#define GR__TABLE_COLUMNS 16

/* gr__table t = {.align = "lrr"};       one letter per column: l left, r right; at most 16
 * gr__table_cell(&t, "layer"); ...      cells row by row, the first row is the header
 * gr__table_rule(&t);                   a line above the next row (the header has one below)
 * gr__table_write(&t, &text); gr__table_release(&t); */
typedef struct gr__table {
    const char *align;
    gr__text cells; /* each with its terminating NUL */
    int64_t count;
    uint64_t rules; /* bit i: a line above row i, for rows below 64 */
} gr__table;

void gr__table_cell(gr__table *t, const char *format, ...) GR_PRINTF(2, 3);
void gr__table_rule(gr__table *t);
void gr__table_write(const gr__table *t, gr__text *out); /* a failed cell makes out fail */
void gr__table_release(gr__table *t);

#endif
