/* reduce_real.c - sums and maxima, for one dtype and instruction set.
 *
 * Two ways through memory. Where the innermost reduced axis is the denser one, each result is a
 * walk over runs; else whole rows of results are combined at a time. Sums add in REAL over short
 * stretches and in double across them: the error stays that of a few dozen terms.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "kernels.h"
#include "reduce.h"

enum {
    LANES = 16,
    STRETCH = GR__SUM_STRETCH, /* terms added in REAL */
    COLUMNS = 256,             /* results combined at a time */
    ROWS = GR__SUM_ROWS,       /* rows added in REAL */
    FEW = 8                    /* results of a row from which on rows are worth while */
};

/* --- runs --- */

/* Adds n terms, whole stretches but for the last, to what the lanes hold. */
static void sum_lanes(const REAL *x, int64_t n, double total[LANES])
{
    for (int64_t i = 0; i < n; i += STRETCH) {
        REAL lane[LANES] = {0};
        int64_t m = n - i < STRETCH ? n - i : STRETCH, j = 0;
        for (; j + LANES <= m; j += LANES)
            for (int l = 0; l < LANES; l++) lane[l] += x[i + j + l];
        for (int l = 0; j < m; j++, l++) lane[l] += x[i + j];
        for (int l = 0; l < LANES; l++) total[l] += (double)lane[l];
    }
}

static double join_lanes(const double total[LANES])
{
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += total[l];
    return sum;
}

static double sum_dense(const REAL *x, int64_t n)
{
    double total[LANES] = {0};
    sum_lanes(x, n, total);
    return join_lanes(total);
}

static double sum_run(const REAL *x, int64_t stride, int64_t n)
{
    if (stride == 1) return sum_dense(x, n);
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += (double)x[i * stride];
    return total;
}

/* NaN wins, as in PyTorch. */
static double max_run(const REAL *x, int64_t stride, int64_t n)
{
    REAL most = x[0];
    bool nan = false;
    for (int64_t i = 0; i < n; i++) {
        REAL v = x[i * stride];
        nan |= v != v;
        most = v > most ? v : most;
    }
    return nan ? (double)__builtin_nan("") : (double)most;
}

typedef double run_fn(const REAL *x, int64_t stride, int64_t n);

/* --- walking --- */

static int64_t offset_at(int64_t index, const int64_t *dim, const int64_t *stride, int n)
{
    int64_t offset = 0;
    for (int i = n - 1; i >= 0; i--) {
        offset += index % dim[i] * stride[i];
        index /= dim[i];
    }
    return offset;
}

/* Blocks [begin, end) of what is reduced into one result. */
static double reduce_blocks(const gr__reduction *r, const REAL *x, int64_t begin, int64_t end,
                            run_fn *run, bool max)
{
    if (r->n_reduced == 0) return (double)x[0];
    int inner = r->n_reduced - 1;
    int64_t size = r->reduced[inner], per_run = (size + r->block - 1) / r->block;
    double total = max ? -__builtin_inf() : 0;
    for (int64_t i = begin; i < end; i++) {
        int64_t in = i % per_run * r->block, n = size - in < r->block ? size - in : r->block;
        int64_t offset = offset_at(i / per_run, r->reduced, r->reduced_stride, inner);
        offset += in * r->reduced_stride[inner];
        double part = run(x + offset, r->reduced_stride[inner], n);
        if (!max) total += part;
        else if (part > total || part != part) total = part;
        if (max && part != part) return part;
    }
    return total;
}

/* --- result by result --- */

typedef struct reduction_job {
    const gr__reduction *r;
    double *partial; /* [outputs][pieces] */
    REAL *y;
    run_fn *run;
    bool max;
} reduction_job;

static void by_result(void *ctx, int64_t begin, int64_t end)
{
    const reduction_job *j = ctx;
    const gr__reduction *r = j->r;
    for (int64_t i = begin; i < end; i++) {
        int64_t output = i / r->pieces, piece = i % r->pieces;
        const REAL *x = (const REAL *)r->x + offset_at(output, r->kept, r->kept_stride, r->n_kept);
        int64_t from = piece * r->length;
        int64_t to = from + r->length < r->blocks ? from + r->length : r->blocks;
        j->partial[i] = reduce_blocks(r, x, from, to, j->run, j->max);
    }
}

static double combine(const double *partial, int64_t n, bool max)
{
    double total = partial[0];
    for (int64_t i = 1; i < n; i++) {
        if (!max) total += partial[i];
        else if (partial[i] > total || partial[i] != partial[i]) total = partial[i];
    }
    return total;
}

/* --- rows of results at a time: the innermost kept axis is dense --- */

static void add_rows(const reduction_job *j, const REAL *x, int64_t columns, REAL *y)
{
    const gr__reduction *r = j->r;
    double total[COLUMNS] = {0};
    for (int64_t row = 0; row < r->count; row += ROWS) {
        REAL sum[COLUMNS] = {0};
        int64_t last = row + ROWS < r->count ? row + ROWS : r->count;
        for (int64_t k = row; k < last; k++) {
            const REAL *p = x + offset_at(k, r->reduced, r->reduced_stride, r->n_reduced);
            for (int64_t c = 0; c < columns; c++) sum[c] += p[c];
        }
        for (int64_t c = 0; c < columns; c++) total[c] += (double)sum[c];
    }
    for (int64_t c = 0; c < columns; c++) y[c] = (REAL)total[c];
}

static void max_rows(const reduction_job *j, const REAL *x, int64_t columns, REAL *y)
{
    const gr__reduction *r = j->r;
    for (int64_t k = 0; k < r->count; k++) {
        const REAL *p = x + offset_at(k, r->reduced, r->reduced_stride, r->n_reduced);
        for (int64_t c = 0; c < columns; c++) {
            REAL most = k ? y[c] : p[c], v = p[c];
            y[c] = v > most || v != v ? v : most;
        }
    }
}

static void by_rows(void *ctx, int64_t begin, int64_t end)
{
    const reduction_job *j = ctx;
    const gr__reduction *r = j->r;
    int inner = r->n_kept - 1;
    int64_t width = r->kept[inner], tiles = (width + COLUMNS - 1) / COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        int64_t outer = i / tiles, column = i % tiles * COLUMNS;
        int64_t columns = width - column < COLUMNS ? width - column : COLUMNS;
        const REAL *x = (const REAL *)r->x + column +
                        offset_at(outer, r->kept, r->kept_stride, inner);
        REAL *y = j->y + outer * width + column;
        if (j->max) max_rows(j, x, columns, y);
        else add_rows(j, x, columns, y);
    }
}

/* --- entry --- */

static int64_t grain(int64_t per_task)
{
    return per_task >= 32768 ? 1 : 32768 / (per_task + 1) + 1;
}

static bool rows_suit(const gr__reduction *r)
{
    if (r->n_kept == 0 || r->n_reduced == 0) return false;
    bool dense = r->kept_stride[r->n_kept - 1] == 1 && r->reduced_stride[r->n_reduced - 1] != 1;
    return dense && (r->pieces == 1 || r->kept[r->n_kept - 1] >= FEW);
}

static void reduce(const gr__reduction *r, void *y, double *scratch, bool max)
{
    reduction_job j = {r, scratch, y, max ? max_run : sum_run, max};
    if (r->outputs == 0) return;
    if (r->count == 0) {
        for (int64_t i = 0; i < r->outputs; i++) j.y[i] = 0;
        return;
    }
    if (rows_suit(r)) {
        int64_t width = r->kept[r->n_kept - 1], tiles = (width + COLUMNS - 1) / COLUMNS;
        gr__parallel_for(r->outputs / width * tiles, grain(COLUMNS * r->count), by_rows, &j);
        return;
    }
    gr__parallel_for(r->outputs * r->pieces, grain(r->count / r->pieces), by_result, &j);
    for (int64_t i = 0; i < r->outputs; i++)
        j.y[i] = (REAL)combine(scratch + i * r->pieces, r->pieces, max);
}

static void reduce_sum(const gr__reduction *r, void *y, double *scratch)
{
    reduce(r, y, scratch, false);
}

static void reduce_max(const gr__reduction *r, void *y, double *scratch)
{
    reduce(r, y, scratch, true);
}
