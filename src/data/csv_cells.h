/* csv_cells.h - comma-separated values taken apart, in place. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CSV_CELLS_H
#define GR__CSV_CELLS_H

#include "base.h"

typedef struct gr__cell {
    const char *text; /* unquoted; not ended by NUL */
    size_t bytes;
    bool quoted;
} gr__cell;

/* One row after the other (RFC 4180; \n or \r\n; a quoted cell may hold both). */
typedef struct gr__cells {
    const char *path;
    char *at, *end;
    char separator;
    int64_t line; /* of the row last read; the first is 1 */
    int64_t next; /* line that comes next */
    gr__cell *cells;
    int n, cap;
} gr__cells;

void gr__cells_begin(gr__cells *c, const char *path, char *text, size_t bytes, char separator);
/* Reads a row into cells; false at the end, and on failure, which *status tells. Empty lines are
 * passed over. */
bool gr__cells_next(gr__cells *c, gr_status *status);
void gr__cells_release(gr__cells *c);

#endif
