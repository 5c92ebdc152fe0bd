/* csv.h - comma-separated values (RFC 4180, lines end in \n). */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CSV_H
#define GR__CSV_H

#include "text.h"

/* gr__csv c = {&text}; gr__csv_text(&c, "epoch"); gr__csv_text(&c, "loss"); gr__csv_row(&c); */
typedef struct gr__csv {
    gr__text *out;
    bool begun; /* this row has a cell */
} gr__csv;

void gr__csv_text(gr__csv *c, const char *cell); /* quoted where needed */
void gr__csv_int(gr__csv *c, int64_t cell);
void gr__csv_number(gr__csv *c, double cell); /* reads back exactly; NaN: an empty cell */
void gr__csv_row(gr__csv *c);                 /* ends the row */

#endif
