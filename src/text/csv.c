/* csv.c - comma-separated values. */
/* SPDX-License-Identifier: MIT */
#include "csv.h"

#include <math.h>
#include <string.h>

static void begin_cell(gr__csv *c)
{
    if (c->begun) gr__text_add_bytes(c->out, ",", 1);
    c->begun = true;
}

void gr__csv_text(gr__csv *c, const char *cell)
{
    begin_cell(c);
    if (!strpbrk(cell, ",\"\r\n")) {
        gr__text_add(c->out, "%s", cell);
        return;
    }
    gr__text_add_bytes(c->out, "\"", 1);
    for (; *cell; cell++)
        gr__text_add_bytes(c->out, *cell == '"' ? "\"\"" : cell, 1 + (*cell == '"'));
    gr__text_add_bytes(c->out, "\"", 1);
}

void gr__csv_int(gr__csv *c, int64_t cell)
{
    begin_cell(c);
    gr__text_add(c->out, "%lld", (long long)cell);
}

void gr__csv_number(gr__csv *c, double cell)
{
    char text[GR__NUMBER_TEXT];
    begin_cell(c);
    if (!isnan(cell)) gr__text_add(c->out, "%s", gr__number_text(cell, text));
}

void gr__csv_row(gr__csv *c)
{
    gr__text_add_bytes(c->out, "\n", 1);
    c->begun = false;
}
