/* order.c - the elements along an axis in order of size.
 *
 * The bits of a float, with the sign bit flipped for positive numbers and all bits for negative
 * ones, compare as unsigned integers do as the numbers compare. These keys are sorted by radix from
 * the lowest byte up, which is stable and takes linear time; bytes that all keys share are skipped.
 */
/* SPDX-License-Identifier: MIT */
#include "order.h"

#include <string.h>

enum {
    ORDER_FEW = 32,          /* so few are sorted by insertion */
    ORDER_BATCH = 1 << 19,   /* elements in scratch at a time, if that is a line for each thread */
    ORDER_BYTES = 8, ORDER_BYTE = 256
};

static uint64_t key_of(double x, bool descending)
{
    const uint64_t sign = 1ull << 63;
    uint64_t bits;
    if (x != x) return gr__order_nan(descending);
    x += 0.0; /* -0 is 0 */
    memcpy(&bits, &x, sizeof bits);
    bits = bits & sign ? ~bits : bits | sign;
    return descending ? ~bits : bits;
}

/* --- sorting one line --- */

static void sort_few(gr__ranked *r, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        gr__ranked moving = r[i];
        int64_t j = i;
        for (; j > 0 && r[j - 1].key > moving.key; j--) r[j] = r[j - 1];
        r[j] = moving;
    }
}

/* How many keys have each value of each byte. */
static void count_bytes(const gr__ranked *r, int64_t n, int64_t count[ORDER_BYTES][ORDER_BYTE])
{
    memset(count, 0, sizeof(int64_t[ORDER_BYTES][ORDER_BYTE]));
    for (int64_t i = 0; i < n; i++)
        for (int b = 0; b < ORDER_BYTES; b++) count[b][r[i].key >> (8 * b) & 255]++;
}

static void deal_out(const gr__ranked *from, int64_t n, int byte, int64_t *place, gr__ranked *to)
{
    int64_t start = 0;
    for (int v = 0; v < ORDER_BYTE; v++) {
        int64_t count = place[v];
        place[v] = start;
        start += count;
    }
    for (int64_t i = 0; i < n; i++) to[place[from[i].key >> (8 * byte) & 255]++] = from[i];
}

/* The sorted line is r or spare. */
static gr__ranked *sort_line(gr__ranked *r, gr__ranked *spare, int64_t n)
{
    int64_t count[ORDER_BYTES][ORDER_BYTE];
    if (n <= ORDER_FEW) {
        sort_few(r, n);
        return r;
    }
    count_bytes(r, n, count);
    for (int b = 0; b < ORDER_BYTES; b++) {
        if (count[b][r[0].key >> (8 * b) & 255] == n) continue;
        deal_out(r, n, b, count[b], spare);
        gr__ranked *sorted = spare;
        spare = r;
        r = sorted;
    }
    return r;
}

/* --- all lines --- */

typedef struct order_job {
    gr_exec *e;
    gr__along a;
    bool descending;
    gr__order_take *take;
    int64_t first;       /* line of the batch */
    gr__ranked *scratch; /* [lines of a batch][2 n] */
} order_job;

static void read_line(const order_job *j, int64_t line, gr__ranked *r)
{
    const gr_value *x = &j->e->in[0];
    const int64_t start = gr__order_start(&j->a, line, j->a.n), step = j->a.inner;
    const float *narrow = (const float *)x->data;
    const double *wide = (const double *)x->data;
    for (int64_t i = 0; i < j->a.n; i++) {
        int64_t at = start + i * step;
        double v = x->dtype == GR_F32 ? (double)narrow[at] : wide[at];
        r[i] = (gr__ranked){key_of(v, j->descending), i};
    }
}

static void order_range(void *ctx, int64_t begin, int64_t end)
{
    const order_job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        gr__ranked *r = j->scratch + i * 2 * j->a.n;
        read_line(j, j->first + i, r);
        j->take(j->e, &j->a, j->first + i, sort_line(r, r + j->a.n, j->a.n));
    }
}

gr_status gr__order_lines(gr_exec *e, int axis, bool descending, gr__order_take *take)
{
    order_job j = {.e = e, .a = gr__along_axis(e->in[0].shape, axis), .descending = descending,
                   .take = take};
    const int64_t lines = j.a.outer * j.a.inner;
    if (lines == 0 || j.a.n == 0) return GR_OK;
    int64_t batch = 1 + ORDER_BATCH / j.a.n;
    if (batch < gr_threads()) batch = gr_threads();
    if (batch > lines) batch = lines;
    j.scratch = gr_exec_scratch(e, (size_t)(batch * 2 * j.a.n) * sizeof *j.scratch);
    if (!j.scratch) return GR_ERR_MEMORY;
    for (; j.first < lines; j.first += batch) {
        int64_t n = lines - j.first < batch ? lines - j.first : batch;
        gr__parallel_for(n, 1 + 4096 / j.a.n, order_range, &j);
    }
    return GR_OK;
}
