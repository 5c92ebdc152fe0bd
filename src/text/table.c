/* table.c - tables for terminals. */
/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 2 };

void gr__table_cell(gr__table *t, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr__text_add_bytes(&t->cells, text, n < 0 ? 0 : strlen(text));
    gr__text_add_bytes(&t->cells, "", 1);
    t->count++;
}

void gr__table_rule(gr__table *t)
{
    int64_t row = t->count / (int64_t)strlen(t->align);
    if (row < 64) t->rules |= (uint64_t)1 << row;
}

/* Finds each column's width, gives the number of columns. */
static int measure(const gr__table *t, size_t width[GR__TABLE_COLUMNS])
{
    int columns = (int)strlen(t->align);
    assert(columns >= 1 && columns <= GR__TABLE_COLUMNS);
    memset(width, 0, sizeof(size_t) * GR__TABLE_COLUMNS);
    const char *cell = t->cells.data;
    for (int64_t i = 0; i < t->count; i++, cell += strlen(cell) + 1) {
        size_t n = gr__utf8_length(cell, strlen(cell));
        if (n > width[i % columns]) width[i % columns] = n;
    }
    return columns;
}

static void write_rule(gr__text *out, const size_t *width, int columns)
{
    size_t total = 0;
    for (int i = 0; i < columns; i++) total += width[i] + (i ? GAP : 0);
    while (total--) gr__text_add_bytes(out, "-", 1);
    gr__text_add_bytes(out, "\n", 1);
}

/* No spaces at the end of a line. */
static void write_cell(gr__text *out, const char *cell, char align, size_t width, bool last)
{
    size_t n = strlen(cell), length = gr__utf8_length(cell, n);
    int pad = (int)(width - length);
    gr__text_add(out, "%*s", align == 'r' ? pad : 0, "");
    gr__text_add_bytes(out, cell, n);
    gr__text_add(out, "%*s", last ? 0 : (align == 'r' ? 0 : pad) + GAP, "");
    if (last) gr__text_add_bytes(out, "\n", 1);
}

void gr__table_write(const gr__table *t, gr__text *out)
{
    size_t width[GR__TABLE_COLUMNS];
    if (t->cells.failed) out->failed = true;
    if (out->failed) return;
    int columns = measure(t, width);
    const char *cell = t->cells.data;
    for (int64_t i = 0; i < t->count; i++, cell += strlen(cell) + 1) {
        int column = (int)(i % columns);
        int64_t row = i / columns;
        bool rule = row == 1 || (row < 64 && t->rules >> row & 1);
        if (column == 0 && rule) write_rule(out, width, columns);
        write_cell(out, cell, t->align[column], width[column],
                   column == columns - 1 || i == t->count - 1);
    }
}

void gr__table_release(gr__table *t)
{
    gr__text_release(&t->cells);
    t->count = 0;
    t->rules = 0;
}
