/* gemm_real.c - matrix products by tiles of c that stay in registers, for one dtype and set.
 *
 *   c[i, j] = sum over k of a[i, k] b[k, j] + add[i, j]
 *
 * Every element is summed in the order of k, in pieces of the same length, whatever the tile that it
 * lies in and however a and b are read: the bits depend on the sizes alone.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

/* The sums of a tile fill the vector registers, beside a row of b and an element of a. */
enum {
    GEMM_VECS = 2,
    GEMM_ROWS = VEC_REGISTERS == 32 ? GR__GEMM_ROWS : 6,
    GEMM_COLUMNS = GEMM_VECS * VEC_LANES,
    GEMM_AHEAD = 48, /* rows of b that are fetched ahead, from where no processor foresees it */
    ROWS_AT = 3 /* rows of a that are reached from one pointer, so that these fit their registers */
};

/* --- tiles --- */

typedef struct gemm_tile {
    const REAL *a; /* element (r, k) is a[r * a_row + k * a_step] */
    int64_t a_row, a_step;
    const REAL *b; /* row k begins at b + k * b_step */
    int64_t b_step;
    int64_t depth;
    const REAL *add; /* or NULL */
    int64_t add_row;
    REAL *c;
    int64_t ldc;
    gemm_ahead *ahead; /* or NULL */
} gemm_tile;

static ALWAYS_INLINE void add_outer_product(vec sum[][GEMM_VECS], const REAL *const *a,
                                            int64_t a_row, const REAL *b, int64_t ahead,
                                            const int rows, const int vecs)
{
    vec row[GEMM_VECS];
    UNROLL
    for (int v = 0; v < vecs; v++) {
        row[v] = vec_load(b + v * VEC_LANES);
        __builtin_prefetch(b + ahead + v * VEC_LANES);
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        const REAL x = a[r / ROWS_AT][r % ROWS_AT * a_row];
        UNROLL
        for (int v = 0; v < vecs; v++) sum[r][v] += x * row[v];
    }
}

/* What sums will be added to, where much else was read since it was written. */
static ALWAYS_INLINE void fetch_add(const gemm_tile *t, const int rows, const int vecs)
{
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) __builtin_prefetch(t->add + r * t->add_row + v * VEC_LANES);
    }
}

static ALWAYS_INLINE void gemm_sums(const gemm_tile *t, const int rows, const int vecs)
{
    vec sum[GEMM_ROWS][GEMM_VECS] = {{{0}}};
    const REAL *a[(GEMM_ROWS + ROWS_AT - 1) / ROWS_AT], *b = t->b;
    const int64_t a_row = t->a_row, a_step = t->a_step, b_step = t->b_step;
    const int64_t length = t->ahead ? GEMM_STRIP : t->depth;
    if (t->ahead && t->add) fetch_add(t, rows, vecs);
    UNROLL
    for (int r = 0; r < rows; r += ROWS_AT) a[r / ROWS_AT] = t->a + r * a_row;
    for (int64_t left = t->depth; left > 0; left -= length) {
        if (t->ahead) fetch_lines(t->ahead);
        for (int64_t k = left < length ? left : length; k > 0; k--, b += b_step) {
            add_outer_product(sum, a, a_row, b, GEMM_AHEAD * b_step, rows, vecs);
            UNROLL
            for (int r = 0; r < rows; r += ROWS_AT) a[r / ROWS_AT] += a_step;
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vecs; v++) {
            if (t->add) sum[r][v] += vec_load(t->add + r * t->add_row + v * VEC_LANES);
            vec_store(t->c + r * t->ldc + v * VEC_LANES, sum[r][v]);
        }
    }
}

/* Tiles have an even number of rows. */
static ALWAYS_INLINE void multiply_rows(const gemm_tile *t, int64_t rows, const int vecs)
{
    if (rows == 2) gemm_sums(t, 2, vecs);
    else if (rows == 4) gemm_sums(t, 4, vecs);
    else if (GEMM_ROWS == 6 || rows == 6) gemm_sums(t, 6, vecs);
    else if (rows == 8) gemm_sums(t, 8, vecs);
    else if (rows == 10) gemm_sums(t, 10, vecs);
    else if (rows == 12) gemm_sums(t, 12, vecs);
    else gemm_sums(t, 14, vecs);
}

static int64_t tile_width(int64_t columns)
{
    return columns <= VEC_LANES ? VEC_LANES : GEMM_COLUMNS;
}

static void multiply_width(const gemm_tile *t, int64_t rows, int64_t width)
{
    if (width == VEC_LANES) multiply_rows(t, rows, 1);
    else multiply_rows(t, rows, GEMM_VECS);
}

/* A tile of which c has less: it goes through a whole one. */
static void multiply_edge(const gemm_tile *t, int64_t height, int64_t rows, int64_t columns)
{
    REAL whole[GEMM_ROWS * GEMM_COLUMNS];
    const int64_t width = tile_width(columns);
    gemm_tile inner = *t;
    inner.add = NULL;
    inner.c = whole;
    inner.ldc = width;
    multiply_width(&inner, height, width);
    for (int64_t r = 0; r < rows; r++) {
        const REAL *sum = whole + r * width, *add = t->add ? t->add + r * t->add_row : NULL;
        REAL *c = t->c + r * t->ldc;
        for (int64_t j = 0; j < columns; j++) c[j] = add ? sum[j] + add[j] : sum[j];
    }
}

/* --- panels --- */

/* A piece of the sum: elements [k, k + depth), of a block's columns [column, column + columns). */
typedef struct gemm_piece {
    const gr__gemm_block *p;
    REAL *space; /* of b */
    int64_t column, columns, k, depth;
    int64_t whole;   /* the depth of a block's first piece */
    const REAL *add; /* of the first row and column of the block */
    int64_t add_row;
    gemm_ahead *soon; /* of the block */
} gemm_piece;

/* Rows of a where they lie, however that is: packing them gains nothing. An odd number of rows gets
 * one of zeros; a single row is its own second. */
static void take_a(const gemm_piece *s, int64_t row, int64_t rows, int64_t height, REAL *space,
                   gemm_tile *t)
{
    const gr__matrix *a = &s->p->a;
    const REAL *from = (const REAL *)a->data + row * a->row + s->k * a->column;
    if (rows == height || rows == 1) {
        t->a = from;
        t->a_row = rows == 1 ? 0 : a->row;
        t->a_step = a->column;
        return;
    }
    pack_panel(from, a->column, a->row, s->depth, rows, space, height);
    t->a = space;
    t->a_row = 1;
    t->a_step = height;
}

/* Whether columns are read where they lie. */
static bool lies_well(const gr__gemm_block *p, int64_t columns)
{
    return !p->group && p->b.column == 1 && columns == tile_width(columns);
}

/* Columns [column, column + columns) of b, at most a panel. */
static void take_b(const gemm_piece *s, int64_t column, int64_t columns, gemm_tile *t)
{
    const gr__gemm_block *p = s->p;
    const int64_t width = tile_width(columns);
    t->b_step = width;
    if (p->packed) {
        t->b = (const REAL *)p->packed + column * p->k + s->k * width;
    } else if (lies_well(p, columns)) {
        t->b = (const REAL *)p->b.data + column + s->k * p->b.row;
        t->b_step = p->b.row;
    } else {
        t->b = s->space + (p->group ? column - s->column : 0) * s->depth;
    }
}

static void pack_b(const gemm_piece *s)
{
    const gr__gemm_block *p = s->p;
    const REAL *b = (const REAL *)p->b.data + s->k * p->b.row;
    for (int64_t i = 0; i < s->columns; i += GEMM_COLUMNS) {
        const int64_t left = s->columns - i, columns = left < GEMM_COLUMNS ? left : GEMM_COLUMNS;
        if (lies_well(p, columns)) continue;
        pack_panel(b + (s->column + i) * p->b.column, p->b.row, p->b.column, s->depth, columns,
                   s->space + (p->group ? i : 0) * s->depth, tile_width(columns));
    }
}

/* What is packed after this piece of b: its columns go on, then others begin. */
static gemm_ahead next_of_b(const gemm_piece *s)
{
    const gr__gemm_block *p = s->p;
    const int64_t end = s->k + s->depth, column = s->column + s->columns;
    const gr__matrix after = {p->after, p->b.row, p->b.column};
    if (p->packed || !p->group) return (gemm_ahead){0};
    if (end < p->k)
        return runs_of(&p->b, end, gemm_least(s->depth, p->k - end), s->column, s->columns);
    if (column < p->n)
        return runs_of(&p->b, 0, s->whole, column, gemm_least(s->columns, p->n - column));
    return runs_of(&after, 0, s->whole, 0, p->after_columns);
}

/* The rows of a after these: too many runs, or too short ones, for a processor to foresee. */
static gemm_ahead next_of_a(const gemm_piece *s, int64_t row, int64_t rows)
{
    enum { PANELS = 4 }; /* of b, in whose time it is worth it */
    const gr__gemm_block *p = s->p;
    if (s->columns < PANELS * GEMM_COLUMNS) return (gemm_ahead){0};
    return runs_of(&p->a, row + rows, gemm_least(rows, p->m - row - rows), s->k, s->depth);
}

static int64_t panels_of(const gemm_piece *s)
{
    return (s->columns + GEMM_COLUMNS - 1) / GEMM_COLUMNS;
}

static void multiply_panels(const gemm_piece *s, int64_t row, int64_t rows, gemm_ahead *next)
{
    const gr__gemm_block *p = s->p;
    const int64_t height = rows + rows % 2, end = s->column + s->columns;
    gemm_tile t = {.depth = s->depth, .add_row = s->add_row, .ldc = p->ldc};
    gemm_ahead after = spread(next_of_a(s, row, rows), s->depth, panels_of(s));
    REAL space[GEMM_ROWS * GR__GEMM_DEPTH];
    take_a(s, row, rows, height, space, &t);
    for (int64_t j = s->column; j < end; j += GEMM_COLUMNS) {
        const int64_t columns = end - j < GEMM_COLUMNS ? end - j : GEMM_COLUMNS;
        take_b(s, j, columns, &t);
        t.add = s->add ? s->add + row * s->add_row + j : NULL;
        t.c = (REAL *)p->c + row * p->ldc + j;
        t.ahead = next->runs ? next : after.runs ? &after : NULL;
        if (rows == height && columns == tile_width(columns)) multiply_width(&t, rows, columns);
        else multiply_edge(&t, height, rows, columns);
    }
}

/* Rows in panels of about the same height, which is even. */
static void multiply_piece(const gemm_piece *s)
{
    const gr__gemm_block *p = s->p;
    if (!p->packed) pack_b(s);
    int64_t panels = (p->m + GEMM_ROWS - 1) / GEMM_ROWS, rows;
    gemm_ahead next_b = spread(next_of_b(s), s->depth, panels * panels_of(s));
    gemm_ahead *next = s->soon->runs ? s->soon : &next_b;
    for (int64_t row = 0; row < p->m; row += rows, panels--) {
        rows = (p->m - row + panels - 1) / panels;
        rows += rows % 2;
        if (rows > p->m - row) rows = p->m - row;
        multiply_panels(s, row, rows, next);
    }
}

static int64_t tiles_of(const gr__gemm_block *p)
{
    const int64_t panels = (p->n + GEMM_COLUMNS - 1) / GEMM_COLUMNS;
    return (p->m + GEMM_ROWS - 1) / GEMM_ROWS * panels;
}

/* Groups of columns, and of these pieces of the sum. */
static void multiply_groups(const gr__gemm_block *p, REAL *space, int64_t group)
{
    const int64_t pieces = (p->k + GR__GEMM_DEPTH - 1) / GR__GEMM_DEPTH;
    const int64_t depth = pieces ? (p->k + pieces - 1) / pieces : 0;
    gemm_ahead soon = p->packed ? soon_of(p, tiles_of(p)) : (gemm_ahead){0};
    for (int64_t column = 0; column < p->n; column += group) {
        int64_t k = 0;
        gemm_piece s = {.p = p,
                        .space = space,
                        .column = column,
                        .columns = p->n - column < group ? p->n - column : group,
                        .whole = depth,
                        .add = p->add,
                        .add_row = p->add_row,
                        .soon = &soon};
        do {
            s.k = k;
            s.depth = p->k - k < depth ? p->k - k : depth;
            multiply_piece(&s);
            s.add = p->c;
            s.add_row = p->ldc;
            k += s.depth;
        } while (k < p->k);
    }
}

static void gemm_block(const gr__gemm_block *p)
{
    REAL space[GEMM_COLUMNS * GR__GEMM_DEPTH];
    if (!p->group) multiply_groups(p, space, p->n);
    else if (p->space) multiply_groups(p, p->space, p->group);
    else multiply_groups(p, space, GEMM_COLUMNS);
}

static void gemm_pack(const gr__matrix *b, int64_t k, int64_t n, int64_t first, void *panel)
{
    const int64_t columns = n - first < GEMM_COLUMNS ? n - first : GEMM_COLUMNS;
    pack_panel((const REAL *)b->data + first * b->column, b->row, b->column, k, columns, panel,
               tile_width(columns));
}

static void small_gemm(const gr__small_gemm *s)
{
    const gr__gemm_block p = {.m = s->m,
                              .n = s->n,
                              .k = s->k,
                              .a = s->a,
                              .b = s->b,
                              .add = s->beta == 0 ? NULL : s->c,
                              .add_row = s->ldc,
                              .c = s->c,
                              .ldc = s->ldc,
                              .group = s->b.column == 1 ? 0 : GEMM_COLUMNS};
    gemm_block(&p);
}
