/* gemm_fetch_real.c - what products read later, fetched while tiles are multiplied. */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

enum {
    GEMM_STRIP = 16, /* elements of k after which lines of what is read later are fetched */
    GEMM_LINE = 64 / sizeof(REAL)
};

/* `runs` runs of `length` elements, and then a list of others. */
typedef struct gemm_ahead {
    const REAL *x;
    int64_t runs, step, length;
    int64_t at;    /* where the first of them goes on */
    int64_t lines; /* to fetch at each strip of k */
    const gr__soon *then;
    int64_t part, parts; /* of each of `then` */
} gemm_ahead;

static int64_t gemm_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows and columns of x from (row, column) on, in the runs in which they lie, if any. */
static gemm_ahead runs_of(const gr__matrix *x, int64_t row, int64_t rows, int64_t column,
                          int64_t columns)
{
    if (rows <= 0 || columns <= 0) return (gemm_ahead){0};
    const REAL *from = (const REAL *)x->data + row * x->row + column * x->column;
    if (x->column == 1)
        return (gemm_ahead){.x = from, .runs = rows, .step = x->row, .length = columns};
    if (x->row == 1)
        return (gemm_ahead){.x = from, .runs = columns, .step = x->column, .length = rows};
    return (gemm_ahead){0};
}

/* So many lines at a time that `tiles` of them do it all. */
static gemm_ahead spread(gemm_ahead f, int64_t depth, int64_t tiles)
{
    if (f.runs == 0) return f;
    const int64_t strips = tiles * ((depth + GEMM_STRIP - 1) / GEMM_STRIP);
    const int64_t lines = f.runs * ((f.length + GEMM_LINE - 1) / GEMM_LINE);
    f.lines = (lines + strips - 1) / strips;
    return f;
}

/* The part of what is next in the list, as one run. */
static void take_next(gemm_ahead *f)
{
    const gr__soon *x = f->then;
    const int64_t n = x->bytes / (int64_t)sizeof(REAL), from = n * f->part / f->parts;
    f->x = (const REAL *)x->data + from;
    f->runs = 1;
    f->length = n * (f->part + 1) / f->parts - from;
    f->then = x[1].data ? x + 1 : NULL;
}

/* The block's part of what is read soon, spread over its tiles. */
static gemm_ahead soon_of(const gr__gemm_block *p, int64_t tiles)
{
    int64_t bytes = 0;
    for (const gr__soon *x = p->soon; x && x->data; x++) bytes += x->bytes;
    if (bytes == 0 || p->k == 0) return (gemm_ahead){0};
    const int64_t length = bytes / p->parts / (int64_t)sizeof(REAL);
    gemm_ahead f = spread((gemm_ahead){.runs = 1, .length = length}, p->k, tiles);
    f.then = p->soon;
    f.part = p->part;
    f.parts = p->parts;
    take_next(&f);
    return f;
}

/* A line's worth of a run, by its end: where no line begins with it, the line it begins in is there,
 * with what was read before. */
static ALWAYS_INLINE void fetch_lines(gemm_ahead *f)
{
    for (int64_t n = f->lines; n > 0 && f->runs > 0; n--) {
        const int64_t end = gemm_least(f->at + GEMM_LINE, f->length);
        __builtin_prefetch(f->x + end - 1, 0, 2);
        f->at += GEMM_LINE;
        if (f->at < f->length) continue;
        f->at = 0;
        f->x += f->step;
        if (--f->runs == 0 && f->then) take_next(f);
    }
}
