/* gemm.c - matrix products of any strides: how they are cut, what is packed, who does what. */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "base.h"
#include "kernels.h"
#include "spaces.h"

enum {
    TINY_WORK = 512,     /* multiplications that are not worth a look at how they are cut */
    SMALL_WORK = 32768,  /* multiplications that are not worth a plan */
    TASK_WORK = 1 << 21, /* and those that are worth a task of their own */
    TASKS = 16,          /* that a large product is cut into */
    FEW_TASKS = 4,       /* of BLAS, where b is large; ours are as few as there are threads */
    ROWS_OF_FEW = 256,   /* or more of so many rows */
    RUN_ROWS = 192,      /* of a task where a lies across, in runs of so many elements */
    RUN_COLUMNS = 128,   /* or columns, in whose time such runs can be fetched */
    GROUP = 512 << 10,   /* bytes of b packed at a time, which stay in the second-level cache */
    WHOLE = 4 << 20      /* bytes of b that are packed at once for all threads */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t up_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t up_to(int64_t a, int64_t multiple)
{
    return up_div(a, multiple) * multiple;
}

static const gr__gemm_kernels *kernels_of(gr_dtype dtype)
{
    return &gr__kernels_for(dtype)->gemm;
}

/* --- batches --- */

int64_t gr__gemm_entries(const gr__product *p)
{
    int64_t n = 1;
    for (int i = 0; i < p->axes; i++) n *= p->sizes[i];
    return n;
}

static const char *element(const void *data, int64_t offset, int64_t size)
{
    return (const char *)data + offset * size;
}

/* Where the entry's a and b begin, in elements. */
static void entry_offsets(const gr__product *p, int64_t entry, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int i = p->axes - 1; i >= 0; i--) {
        *a += entry % p->sizes[i] * p->a_strides[i];
        *b += entry % p->sizes[i] * p->b_strides[i];
        entry /= p->sizes[i];
    }
}

gr__product gr__gemm_entry(const gr__product *p, int64_t entry)
{
    const int64_t size = (int64_t)gr_dtype_size(p->dtype), row = entry * p->m;
    int64_t a, b;
    gr__product one = *p;
    entry_offsets(p, entry, &a, &b);
    one.axes = 0;
    one.a.data = element(p->a.data, a, size);
    one.b.data = element(p->b.data, b, size);
    one.c = (char *)p->c + row * p->n * size;
    if (p->add) one.add = element(p->add, row * p->add_row, size);
    return one;
}

/* --- packing for many uses --- */

typedef struct packing {
    const gr__gemm_kernels *kernels;
    gr__matrix b;
    int64_t k, n, panel_bytes;
    char *packed;
} packing;

static void pack_panels(void *ctx, int64_t begin, int64_t end)
{
    const packing *p = ctx;
    for (int64_t i = begin; i < end; i++)
        p->kernels->pack(&p->b, p->k, p->n, i * p->kernels->columns,
                         p->packed + i * p->panel_bytes);
}

static int64_t packed_bytes(gr_dtype dtype, int64_t k, int64_t n)
{
    return up_to(n, kernels_of(dtype)->columns) * k * (int64_t)gr_dtype_size(dtype);
}

static void pack(gr_dtype dtype, int64_t k, int64_t n, gr__matrix b, void *packed)
{
    enum { GRAIN = 32768 };
    packing p = {kernels_of(dtype), b, k, n, 0, packed};
    p.panel_bytes = p.kernels->columns * k * (int64_t)gr_dtype_size(dtype);
    gr__parallel_for(up_div(n, p.kernels->columns), 1 + GRAIN / (p.kernels->columns * (k + 1)),
                     pack_panels, &p);
}

size_t gr__gemm_packed_size(gr_dtype dtype, int64_t k, int64_t n)
{
    return gr__gemm_by_blas() ? 0 : (size_t)packed_bytes(dtype, k, n);
}

void gr__gemm_pack(gr_dtype dtype, int64_t k, int64_t n, gr__matrix b, void *packed)
{
    if (!gr__gemm_by_blas()) pack(dtype, k, n, b, packed);
}

/* --- the plan: tasks end between tiles, which are the same however c is cut, so that the bits
 * depend on the sizes alone --- */

typedef struct plan {
    const gr__product *p;
    const gr__gemm_kernels *kernels;
    int64_t size;                  /* of an element */
    int64_t entries;               /* of the batch */
    int64_t rows, columns;         /* of a task's block of c */
    int64_t row_cuts, column_cuts; /* blocks in an entry */
    int64_t group, space_bytes, n_spaces, whole_bytes;
    bool by_blas, by_dots;
    const char *packed;
    gr__spaces spaces;
} plan;

/* At most so many: fewer where a lies across or each of them reads a large b anew. */
static int64_t most_tasks(const plan *l)
{
    const gr__product *p = l->p;
    const int64_t threads = gr_threads();
    if (p->m >= p->n && packed_bytes(p->dtype, p->k, p->n) > WHOLE)
        return most(l->by_blas ? FEW_TASKS : threads, p->m / ROWS_OF_FEW);
    if (p->a.column == 1 || l->by_blas) return TASKS;
    if (p->m >= p->n) return up_to(most(1, p->m / RUN_ROWS), threads);
    return threads == 1 ? most(1, p->n / RUN_COLUMNS) : TASKS;
}

/* Rows are cut where there are more of them: then b is packed before, for all tasks. */
static void cut(plan *l)
{
    const gr__product *p = l->p;
    int64_t tasks = least(up_div(TASKS, l->entries), p->m * p->n * p->k / TASK_WORK);
    tasks = least(tasks, most_tasks(l));
    l->rows = p->m;
    l->columns = p->n;
    if (tasks > 1 && p->m >= p->n) l->rows = up_to(up_div(p->m, tasks), GR__GEMM_ROWS);
    else if (tasks > 1) l->columns = up_to(up_div(p->n, tasks), l->kernels->columns);
    l->row_cuts = up_div(p->m, l->rows);
    l->column_cuts = up_div(p->n, l->columns);
}

/* Few rows use a panel of b at once; else as much of b is packed as the cache keeps. */
static int64_t group_of(const plan *l)
{
    const int64_t panel = l->kernels->columns, depth = most(1, least(l->p->k, GR__GEMM_DEPTH));
    if (l->rows <= 3 * GR__GEMM_ROWS) return panel;
    return most(panel, GROUP / (depth * l->size) / panel * panel);
}

/* Few elements of c, each a dot product of what lies dense: they take any b where it lies. */
static bool has_dots(const gr__product *p)
{
    enum { LEAST_DEPTH = 8 };
    return p->k >= LEAST_DEPTH && p->a.column == 1 && p->b.row == 1 &&
           (p->m <= GR__GEMM_FEW || p->n <= GR__GEMM_FEW);
}

static bool is_packed(const plan *l)
{
    return l->p->packed && !gr__gemm_by_blas() && !l->by_dots;
}

static int64_t tasks_of(const plan *l)
{
    return l->entries * l->row_cuts * l->column_cuts;
}

/* Whether b is best read in place. Rows a multiple of a page apart share few sets of the caches:
 * many rows of c would fetch them again and again, so for them it is packed. */
static bool lies_well(const plan *l)
{
    enum { PAGE = 4096, MANY = 8 * GR__GEMM_ROWS };
    const gr__product *p = l->p;
    return p->b.column == 1 && (p->b.row * l->size % PAGE || p->m < MANY);
}

static void settle_packing(plan *l)
{
    const gr__product *p = l->p;
    const int64_t whole = packed_bytes(p->dtype, p->k, p->n);
    l->group = lies_well(l) ? 0 : group_of(l);
    if (is_packed(l) || l->by_blas || l->by_dots) l->group = 0;
    else if (l->row_cuts > 1 && l->entries == 1 && l->group && whole <= WHOLE)
        l->whole_bytes = whole;
    const int64_t columns = up_to(least(l->group, l->columns), l->kernels->columns);
    l->space_bytes = l->whole_bytes ? 0 : columns * GR__GEMM_DEPTH * l->size;
    l->n_spaces = l->space_bytes ? least(gr_threads(), tasks_of(l)) : 0;
}

/* Whether the product needs no plan. */
static bool is_small(const gr__product *p)
{
    return (p->axes ? gr__gemm_entries(p) : 1) * (p->m * p->n * p->k) <= SMALL_WORK && !p->packed;
}

/* Whether it does not even need to be told of as a block. */
static bool is_tiny(const gr__product *p)
{
    return !p->axes && p->m * p->n * p->k <= TINY_WORK && !p->packed;
}

static plan plan_product(const gr__product *p)
{
    plan l = {.p = p,
              .entries = gr__gemm_entries(p),
              .kernels = kernels_of(p->dtype),
              .size = (int64_t)gr_dtype_size(p->dtype),
              .by_dots = has_dots(p)};
    l.by_blas = !l.by_dots && gr__gemm_blas_takes(p);
    cut(&l);
    settle_packing(&l);
    return l;
}

/* --- tasks --- */

/* Rows x columns of c from (row, column) on. Field by field: to clear and copy it takes longer than
 * a tiny product. */
static void set_block(gr__gemm_block *block, const gr__product *p, int64_t entry, int64_t row,
                      int64_t rows, int64_t column, int64_t columns)
{
    const int64_t size = (int64_t)gr_dtype_size(p->dtype), first = entry * p->m + row;
    int64_t a = 0, b = 0;
    if (p->axes) entry_offsets(p, entry, &a, &b);
    block->m = rows;
    block->n = columns;
    block->k = p->k;
    block->a = p->a;
    block->a.data = element(p->a.data, a + row * p->a.row, size);
    block->b = p->b;
    block->b.data = element(p->b.data, b + column * p->b.column, size);
    block->packed = NULL;
    block->add = p->add ? element(p->add, first * p->add_row + column, size) : NULL;
    block->add_row = p->add_row;
    block->c = (char *)p->c + (first * p->n + column) * size;
    block->ldc = p->n;
    block->group = p->b.column == 1 ? 0 : p->n;
    block->after = NULL;
    block->after_columns = 0;
    block->space = NULL;
    block->soon = NULL;
}

/* Tells of the columns of b that come when each thread has done a block. */
static void look_ahead(const plan *l, int64_t column, gr__gemm_block *block)
{
    const gr__product *p = l->p;
    const int64_t next = column + most(1, l->n_spaces) * l->columns;
    if (next >= p->n) return;
    const int64_t skip = (next - column) * p->b.column;
    block->after = element(block->b.data, skip, l->size);
    block->after_columns = least(least(l->columns, l->group), p->n - next);
}

static void run_task(plan *l, int64_t task, void *space)
{
    const gr__product *p = l->p;
    const int64_t row = task / l->column_cuts % l->row_cuts * l->rows;
    const int64_t column = task % l->column_cuts * l->columns;
    gr__gemm_block block;
    set_block(&block, p, task / l->column_cuts / l->row_cuts, row, least(l->rows, p->m - row),
              column, least(l->columns, p->n - column));
    block.group = l->group;
    block.space = space;
    look_ahead(l, column, &block);
    if (l->packed) block.packed = l->packed + column * p->k * l->size;
    block.soon = p->soon;
    block.part = task;
    block.parts = tasks_of(l);
    if (l->by_dots) l->kernels->dot(&block);
    else if (l->by_blas) gr__gemm_blas_block(p->dtype, &block);
    else l->kernels->block(&block);
}

static void run_tasks(void *ctx, int64_t begin, int64_t end)
{
    plan *l = ctx;
    void *space = l->spaces.n ? gr__space_claim(&l->spaces) : NULL;
    for (int64_t i = begin; i < end; i++) run_task(l, i, space);
    if (space) gr__space_release(&l->spaces, space);
}

/* --- products --- */

static void run_small(const gr__product *p)
{
    const gr__gemm_kernels *kernels = kernels_of(p->dtype);
    const bool dots = has_dots(p);
    if (!dots && is_tiny(p)) {
        kernels->tiny(p);
        return;
    }
    for (int64_t i = 0, n = gr__gemm_entries(p); i < n; i++) {
        gr__gemm_block block;
        set_block(&block, p, i, 0, p->m, 0, p->n);
        if (dots) kernels->dot(&block);
        else kernels->block(&block);
    }
}

bool gr__gemm_at_once(const gr__product *p)
{
    if (!is_small(p)) return false;
    if (p->m && p->n) run_small(p);
    return true;
}

size_t gr__gemm_scratch(const gr__product *p)
{
    if (p->m == 0 || p->n == 0 || is_small(p)) return 0;
    const plan l = plan_product(p);
    return (size_t)(l.whole_bytes + gr__spaces_bytes(l.n_spaces, l.space_bytes));
}

void gr__gemm(const gr__product *p, void *scratch)
{
    enum { GRAIN = 65536 };
    if (p->m == 0 || p->n == 0 || gr__gemm_at_once(p)) return;
    plan l = plan_product(p);
    if (is_packed(&l)) l.packed = p->packed;
    if (scratch && l.whole_bytes) {
        pack(p->dtype, p->k, p->n, p->b, scratch);
        l.packed = scratch;
    }
    if (scratch && l.n_spaces) l.spaces = gr__spaces_in(scratch, l.n_spaces, l.space_bytes);
    gr__parallel_for(tasks_of(&l), 1 + GRAIN / (l.rows * l.columns * (p->k + 1)), run_tasks, &l);
}
