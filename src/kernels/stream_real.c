/* stream_real.c - sums of what passes by piece by piece: the bits of reduce_real.c. */
/* SPDX-License-Identifier: MIT */

/* --- one piece --- */

static void stream_runs(const gr__stream *s, const REAL *x, int64_t first, int64_t n,
                        double total[LANES])
{
    const int64_t end = first + n, all = s->r.outputs * s->r.count;
    double *partial = (double *)s->partial + first / s->unit;
    if (s->unit <= n) {
        for (int64_t i = 0; i < n; i += s->unit) *partial++ = sum_dense(x + i, s->unit);
        return;
    }
    sum_lanes(x, n, total);
    if (end % s->unit && end != all) return;
    *partial = join_lanes(total);
    for (int l = 0; l < LANES; l++) total[l] = 0;
}

static void stream_rows(const gr__stream *s, const REAL *x, int64_t first, int64_t n)
{
    const int64_t width = s->r.outputs, end = first + n;
    while (first < end) {
        int64_t column = first % width, m = width - column;
        REAL *sum = (REAL *)s->partial + first / s->unit * width + column;
        bool begins = first % s->unit < width;
        if (m > end - first) m = end - first;
        for (int64_t i = 0; i < m; i++) sum[i] = (begins ? 0 : sum[i]) + x[i];
        x += m;
        first += m;
    }
}

/* Elements first ... first+n-1; pieces as gr__stream_piece has them, in order within a unit, whose
 * `lanes` are 0 at first. */
static void stream_sum(const gr__stream *s, const void *x, int64_t first, int64_t n, double *lanes)
{
    if (s->by_rows) stream_rows(s, x, first, n);
    else stream_runs(s, x, first, n, lanes);
}

/* --- the end --- */

static double end_run(const gr__stream *s, int64_t output)
{
    const gr__reduction *r = &s->r;
    const int64_t run = r->reduced[r->n_reduced - 1], per_run = (run + r->block - 1) / r->block;
    double sum = 0;
    for (int64_t from = 0; from < r->blocks; from += r->length) {
        int64_t to = from + r->length < r->blocks ? from + r->length : r->blocks;
        double piece = 0;
        for (int64_t i = from; i < to; i++) {
            int64_t at = (i / per_run * r->outputs + output) * per_run + i % per_run;
            piece += ((const double *)s->partial)[at];
        }
        sum = from ? sum + piece : piece;
    }
    return sum;
}

static void end_rows(const gr__stream *s, REAL *y)
{
    const int64_t width = s->r.outputs, units = (s->r.count + ROWS - 1) / ROWS;
    for (int64_t c = 0; c < width; c += COLUMNS) {
        double total[COLUMNS] = {0};
        int64_t m = width - c < COLUMNS ? width - c : COLUMNS;
        for (int64_t u = 0; u < units; u++) {
            const REAL *sum = (const REAL *)s->partial + u * width + c;
            for (int64_t i = 0; i < m; i++) total[i] += (double)sum[i];
        }
        for (int64_t i = 0; i < m; i++) y[c + i] = (REAL)total[i];
    }
}

static void stream_end(const gr__stream *s, void *y)
{
    if (s->by_rows) end_rows(s, y);
    for (int64_t i = 0; i < s->r.outputs && !s->by_rows; i++) ((REAL *)y)[i] = (REAL)end_run(s, i);
}
