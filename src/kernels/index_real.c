/* index_real.c - gathering and scattering, for one dtype and instruction set.
 *
 * What is added to one place is added in the order of the index, by one thread: the bits do not
 * depend on how many there are.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "index.h"
#include "kernels.h"

enum { INDEX_WORK = 32768 }; /* elements that one thread takes at a time */

/* --- element by element --- */

static void gather_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__gather *g = ctx;
    for (int64_t row = begin; row < end; row++) {
        const REAL *x = (const REAL *)g->from + row / g->m * g->n * g->inner;
        const int64_t *index = g->index + row * g->inner;
        REAL *y = (REAL *)g->to + row * g->inner;
        for (int64_t i = 0; i < g->inner; i++) y[i] = x[index[i] * g->inner + i];
    }
}

static void gather(gr__gather *g)
{
    if (g->inner) gr__parallel_for(g->outer * g->m, 1 + INDEX_WORK / g->inner, gather_range, g);
}

static void add_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__gather *g = ctx;
    for (int64_t row = begin * g->m; row < end * g->m; row++) {
        REAL *y = (REAL *)g->to + row / g->m * g->n * g->inner;
        const REAL *x = (const REAL *)g->from + row * g->inner;
        const int64_t *index = g->index + row * g->inner;
        for (int64_t i = 0; i < g->inner; i++) y[index[i] * g->inner + i] += x[i];
    }
}

static void scatter_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__gather *g = ctx;
    const int64_t plane = g->n * g->inner;
    memset((REAL *)g->to + begin * plane, 0, (size_t)((end - begin) * plane) * sizeof(REAL));
    add_range(ctx, begin, end);
}

/* From the last to the first: who finds a place taken is written over. */
static void put_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__gather *g = ctx;
    const int64_t plane = g->n * g->inner;
    memset(g->taken + begin * plane, 0, (size_t)((end - begin) * plane));
    for (int64_t row = end * g->m - 1; row >= begin * g->m; row--) {
        const int64_t start = row / g->m * plane;
        for (int64_t i = 0; i < g->inner; i++) {
            int64_t from = row * g->inner + i, to = start + g->index[from] * g->inner + i;
            g->stays[from] = !g->taken[to];
            if (g->taken[to]) continue;
            g->taken[to] = 1;
            ((REAL *)g->to)[to] = ((const REAL *)g->from)[from];
        }
    }
}

static void scatter_by(gr__gather *g, gr__range_fn *range)
{
    int64_t work = (g->n + g->m) * g->inner;
    if (g->inner) gr__parallel_for(g->outer, 1 + INDEX_WORK / (work + 1), range, g);
}

/* Into zeros. */
static void scatter(gr__gather *g)
{
    scatter_by(g, scatter_range);
}

/* Into what is there. */
static void scatter_add(gr__gather *g)
{
    scatter_by(g, add_range);
}

/* Instead of what is there. */
static void scatter_put(gr__gather *g)
{
    scatter_by(g, put_range);
}

/* --- whole rows --- */

static void take_rows_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__rows *r = ctx;
    const size_t row = (size_t)r->columns;
    for (int64_t i = begin; i < end; i++)
        memcpy((REAL *)r->to + (size_t)i * row, (const REAL *)r->from + (size_t)r->index[i] * row,
               row * sizeof(REAL));
}

/* From the table to the list. */
static void take_rows(gr__rows *r)
{
    if (r->columns) gr__parallel_for(r->n, 1 + INDEX_WORK / r->columns, take_rows_range, r);
}

static void add_rows_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__rows *r = ctx;
    REAL *table = r->to;
    for (int64_t i = 0; i < r->rows; i++)
        memset(table + i * r->columns + begin, 0, (size_t)(end - begin) * sizeof(REAL));
    for (int64_t i = 0; i < r->n; i++) {
        const REAL *x = (const REAL *)r->from + i * r->columns;
        REAL *y = table + r->index[i] * r->columns;
        for (int64_t c = begin; c < end; c++) y[c] += x[c];
    }
}

/* From the list into a table of zeros. Columns are dealt out, rows may come more than once. */
static void scatter_rows(gr__rows *r)
{
    bool small = r->columns * (r->rows + r->n) <= 2 * INDEX_WORK;
    gr__parallel_for(r->columns, small ? r->columns : 64, add_rows_range, r);
}

/* --- slices: the index is [m] --- */

enum { INDEX_COLUMNS = 1024 }; /* of a slice that are added at a time */

static void add_slices_range(void *ctx, int64_t begin, int64_t end)
{
    const gr__gather *g = ctx;
    const int64_t pieces = (g->inner + INDEX_COLUMNS - 1) / INDEX_COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        int64_t outer = i / pieces, first = i % pieces * INDEX_COLUMNS;
        int64_t last = first + INDEX_COLUMNS < g->inner ? first + INDEX_COLUMNS : g->inner;
        for (int64_t j = 0; j < g->m; j++) {
            const REAL *x = (const REAL *)g->from + (outer * g->m + j) * g->inner;
            REAL *y = (REAL *)g->to + (outer * g->n + g->index[j]) * g->inner;
            for (int64_t c = first; c < last; c++) y[c] += x[c];
        }
    }
}

/* Into what is there. */
static void index_add(gr__gather *g)
{
    const int64_t pieces = (g->inner + INDEX_COLUMNS - 1) / INDEX_COLUMNS;
    const int64_t width = g->inner < INDEX_COLUMNS ? g->inner : INDEX_COLUMNS;
    gr__parallel_for(g->outer * pieces, 1 + INDEX_WORK / (g->m * width + 1), add_slices_range, g);
}
