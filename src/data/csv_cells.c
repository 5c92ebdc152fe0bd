/* csv_cells.c - comma-separated values taken apart, in place. */
/* SPDX-License-Identifier: MIT */
#include "csv_cells.h"

#include <string.h>

void gr__cells_begin(gr__cells *c, const char *path, char *text, size_t bytes, char separator)
{
    *c = (gr__cells){
        .path = path, .at = text, .end = text + bytes, .separator = separator, .next = 1};
    if (bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) c->at += 3; /* a byte order mark */
}

void gr__cells_release(gr__cells *c)
{
    gr__free(c->cells);
}

static bool at_line_end(const gr__cells *c)
{
    return c->at == c->end || *c->at == '\n' ||
           (*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n');
}

static void pass_line_end(gr__cells *c)
{
    if (c->at == c->end) return;
    c->at += *c->at == '\r' ? 2 : 1;
    c->next++;
}

/* --- cells --- */

/* From behind the opening quote to behind the closing one; doubled quotes become one. */
static gr_status read_quoted(gr__cells *c, gr__cell *cell)
{
    char *to = c->at;
    cell->text = to;
    cell->quoted = true;
    for (; c->at < c->end; *to++ = *c->at++) {
        if (*c->at == '\n') c->next++;
        if (*c->at != '"') continue;
        c->at++;
        if (c->at == c->end || *c->at != '"') {
            cell->bytes = (size_t)(to - cell->text);
            if (at_line_end(c) || *c->at == c->separator) return GR_OK;
            return gr__fail(GR_ERR_FORMAT,
                            "%s:%lld: expected '%c' or the end of the line behind a closing quote",
                            c->path, (long long)c->next, c->separator);
        }
    }
    return gr__fail(GR_ERR_FORMAT, "%s:%lld: a quote is never closed", c->path, (long long)c->line);
}

static void read_plain(gr__cells *c, gr__cell *cell)
{
    char *begin = c->at;
    while (!at_line_end(c) && *c->at != c->separator) c->at++;
    char *end = c->at;
    while (begin < end && (*begin == ' ' || *begin == '\t')) begin++;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *cell = (gr__cell){begin, (size_t)(end - begin), false};
}

static gr__cell *new_cell(gr__cells *c)
{
    if (c->n == c->cap) {
        size_t size = sizeof *c->cells, old = (size_t)c->cap;
        gr__cell *more = gr__grow(c->cells, old * size, (2 * old + 16) * size);
        if (!more) return NULL;
        c->cells = more;
        c->cap = 2 * c->cap + 16;
    }
    c->cells[c->n] = (gr__cell){0};
    return &c->cells[c->n++];
}

static gr_status read_cell(gr__cells *c)
{
    gr__cell *cell = new_cell(c);
    if (!cell) return GR_ERR_MEMORY;
    if (c->at < c->end && *c->at == '"') {
        c->at++;
        return read_quoted(c, cell);
    }
    read_plain(c, cell);
    return GR_OK;
}

/* --- rows --- */

bool gr__cells_next(gr__cells *c, gr_status *status)
{
    *status = GR_OK;
    c->n = 0;
    while (c->at < c->end && at_line_end(c)) pass_line_end(c);
    if (c->at == c->end) return false;
    c->line = c->next;
    for (;;) {
        *status = read_cell(c);
        if (*status) return false;
        if (at_line_end(c)) break;
        c->at++; /* the separator */
    }
    pass_line_end(c);
    return true;
}
