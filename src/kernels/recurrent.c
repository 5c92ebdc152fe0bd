/* recurrent.c - recurrent layers over time: a small matrix product and the cell, step by step.
 *
 * The part of the gates that comes from x was made before, for all steps at once. Rows of the batch
 * know nothing of each other, so each thread takes a few of them through all steps: nobody waits
 * for anybody, and the bits do not depend on the threads.
 */
/* SPDX-License-Identifier: MIT */
#include "recurrent.h"
#include "base.h"
#include "kernels.h"

#include <string.h>

enum { RNN_GATES = 1, LSTM_GATES = 4, LSTM_SAVED = 5, GRU_GATES = 3, GRU_SAVED = 4 };

/* --- where things lie --- */

static size_t row_bytes(const gr__recurrence *r)
{
    return (size_t)r->hidden * gr_dtype_size(r->dtype);
}

/* Row n of step t in an array [T,N,width H]. */
static void *row_at(const gr__recurrence *r, const void *data, int64_t t, int64_t n, int width)
{
    return (char *)data + (size_t)(t * r->batch + n) * (size_t)width * row_bytes(r);
}

static bool takes_part(const gr__recurrence *r, int64_t t, int64_t n)
{
    return !r->lengths || t < r->lengths[n];
}

/* The state from which row n went into step t: that of the step before, which lies `skip` units
 * into the rows of `data`, or the first one. */
static const void *state_before(const gr__recurrence *r, int64_t t, int64_t n, const void *data,
                                int width, int skip, const void *first)
{
    int64_t before = r->reverse ? t + 1 : t - 1;
    if (before < 0 || before >= r->steps || !takes_part(r, before, n))
        return row_at(r, first, 0, n, 1);
    return (char *)row_at(r, data, before, n, width) + (size_t)skip * row_bytes(r);
}

static const gr__cell_kernels *cell_of(const gr__recurrence *r)
{
    return &gr__kernels_for(r->dtype)->cell;
}

/* --- pieces of the batch --- */

enum {
    PIECE_ROWS = 16,      /* which a product has registers for, at once or in halves */
    CACHED = 1 << 20,     /* bytes of W_hh that stay in a core's cache */
    MANY_ROWS = 48,       /* where each piece reads W_hh anew */
    PIECE_WORK = 1 << 19, /* multiplications that are worth a thread */
};

/* An even number of pieces, for two threads to share. */
static int64_t rows_shared(const gr__recurrence *r, double weights, bool cached)
{
    const int64_t two = 2 * (cached ? PIECE_ROWS : MANY_ROWS);
    const int64_t pieces = (r->batch + two - 1) / two * 2;
    const int64_t rows = pieces ? (r->batch + pieces - 1) / pieces : 1;
    const int64_t least = (int64_t)(PIECE_WORK / (weights * (double)r->steps + 1));
    return rows > least ? rows : least;
}

/* Whether no piece has so few rows that its product is summed in another order. */
static bool all_by_tiles(int64_t batch, int64_t rows)
{
    const int64_t last = batch % rows;
    return !gr__gemm_by_blas() && rows > GR__GEMM_FEW && (last == 0 || last > GR__GEMM_FEW);
}

/* One thread alone takes several pieces at once, as it reads W_hh less often then: where that gives
 * the same bits. */
static int64_t rows_together(const gr__recurrence *r)
{
    const double weights = (double)(r->gates * r->hidden) * (double)r->hidden;
    const bool cached = weights * (double)gr_dtype_size(r->dtype) <= CACHED;
    const int64_t rows = rows_shared(r, weights, cached);
    const int64_t joined = rows < MANY_ROWS ? MANY_ROWS / rows * rows : rows;
    const bool joins = gr_threads() == 1 && all_by_tiles(r->batch, rows);
    return joins && all_by_tiles(r->batch, joined) ? joined : rows;
}

/* --- products: [rows,k] times W_hh or its transpose [k,n], packed once for all steps --- */

size_t gr__recurrence_packed(const gr__recurrence *r)
{
    const int64_t h = r->hidden, gates = r->gates * h;
    const size_t ahead = gr__gemm_packed_size(r->dtype, h, gates);
    const size_t back = gr__gemm_packed_size(r->dtype, gates, h);
    return ahead > back ? ahead : back;
}

/* Over a few rows, whose a and c are given; the rest is the same for all steps. */
static void multiply(gr__product p, int64_t rows, const void *a, void *c, const gr__soon *soon)
{
    p.soon = soon;
    p.m = rows;
    p.a.data = a;
    p.c = c;
    if (p.add_row) p.add = c;
    gr__gemm(&p, NULL);
}

/* --- what the rows of a step read and write, fetched while a product is computed --- */

/* [T,N,width H]; no data: the end of a list */
typedef struct array {
    const void *data;
    int width;
} array;

enum { MOST_ARRAYS = 5 };

/* Rows [begin, end) of step t. */
static void list_rows(const gr__recurrence *r, const array *x, int64_t t, int64_t begin,
                      int64_t end, gr__soon *list)
{
    const int64_t units = (end - begin) * (int64_t)row_bytes(r);
    for (; x->data; x++)
        *list++ = (gr__soon){row_at(r, x->data, t, begin, x->width), x->width * units};
    *list = (gr__soon){0};
}

/* --- forwards --- */

typedef void forward_row(const gr__recurrence *r, int64_t t, int64_t n);

typedef struct forward_job {
    const gr__recurrence *r;
    forward_row *row;
    gr__product product;
    array arrays[MOST_ARRAYS];
} forward_job;

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const forward_job *j = ctx;
    const gr__recurrence *r = j->r;
    gr__soon soon[MOST_ARRAYS];
    for (int64_t k = 0; k < r->steps; k++) {
        const int64_t t = r->reverse ? r->steps - 1 - k : k;
        list_rows(r, j->arrays, t, begin, end, soon);
        multiply(j->product, end - begin, row_at(r, r->h, 0, begin, 1),
                 row_at(r, r->s, 0, begin, r->gates), soon);
        for (int64_t n = begin; n < end; n++) j->row(r, t, n);
    }
}

/* `saved` is how wide a row of that array is. */
static void forward(const gr__recurrence *r, forward_row *row, int saved)
{
    const int64_t h = r->hidden, gates = r->gates * h;
    const gr__matrix b = {r->w, 1, h}; /* W_hh^T */
    forward_job j = {
        .r = r,
        .row = row,
        .product = {.dtype = r->dtype, .n = gates, .k = h, .a = {NULL, h, 1}, .b = b},
        .arrays = {{r->a, r->gates}, {r->y, 1}, {r->saved, saved}},
    };
    gr__gemm_pack(r->dtype, h, gates, b, r->packed);
    j.product.packed = r->packed;
    gr__parallel_for(r->batch, rows_together(r), forward_rows, &j);
}

static void rnn_forward_row(const gr__recurrence *r, int64_t t, int64_t n)
{
    void *y = row_at(r, r->y, t, n, 1);
    if (!takes_part(r, t, n)) {
        memset(y, 0, row_bytes(r));
        return;
    }
    cell_of(r)->rnn(r->hidden, r->relu, row_at(r, r->a, t, n, RNN_GATES),
                    row_at(r, r->s, 0, n, RNN_GATES), y);
    memcpy(row_at(r, r->h, 0, n, 1), y, row_bytes(r));
}

static void lstm_forward_row(const gr__recurrence *r, int64_t t, int64_t n)
{
    void *y = row_at(r, r->y, t, n, 1), *c = row_at(r, r->c, 0, n, 1);
    char *saved = row_at(r, r->saved, t, n, LSTM_SAVED);
    if (!takes_part(r, t, n)) {
        memset(y, 0, row_bytes(r));
        memset(saved, 0, LSTM_SAVED * row_bytes(r));
        return;
    }
    cell_of(r)->lstm(r->hidden, row_at(r, r->a, t, n, LSTM_GATES),
                     row_at(r, r->s, 0, n, LSTM_GATES), c, saved, c, y);
    memcpy(saved + LSTM_GATES * row_bytes(r), c, row_bytes(r));
    memcpy(row_at(r, r->h, 0, n, 1), y, row_bytes(r));
}

static void gru_forward_row(const gr__recurrence *r, int64_t t, int64_t n)
{
    void *y = row_at(r, r->y, t, n, 1), *h = row_at(r, r->h, 0, n, 1);
    void *saved = row_at(r, r->saved, t, n, GRU_SAVED);
    if (!takes_part(r, t, n)) {
        memset(y, 0, row_bytes(r));
        memset(saved, 0, GRU_SAVED * row_bytes(r));
        return;
    }
    cell_of(r)->gru(r->hidden, row_at(r, r->a, t, n, GRU_GATES), row_at(r, r->s, 0, n, GRU_GATES),
                    r->b, h, saved, y);
    memcpy(h, y, row_bytes(r));
}

void gr__rnn_forward(const gr__recurrence *r)
{
    forward(r, rnn_forward_row, 0);
}

void gr__lstm_forward(const gr__recurrence *r)
{
    forward(r, lstm_forward_row, LSTM_SAVED);
}

void gr__gru_forward(const gr__recurrence *r)
{
    forward(r, gru_forward_row, GRU_SAVED);
}

/* --- backwards: a row sets its da (and ds) and leaves in dh what does not go through W_hh --- */

typedef void backward_row(const gr__recurrence_grad *g, int64_t t, int64_t n);

typedef struct backward_job {
    const gr__recurrence_grad *g;
    backward_row *row;
    const void *through; /* the cotangent of h_before W_hh^T: da or ds */
    gr__product product;
    array arrays[MOST_ARRAYS];
} backward_job;

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const backward_job *j = ctx;
    const gr__recurrence *r = &j->g->of;
    gr__soon soon[MOST_ARRAYS];
    for (int64_t k = 0; k < r->steps; k++) {
        const int64_t t = r->reverse ? k : r->steps - 1 - k, next = r->reverse ? t + 1 : t - 1;
        const bool last = k + 1 == r->steps;
        for (int64_t n = begin; n < end; n++) j->row(j->g, t, n);
        if (!last) list_rows(r, j->arrays, next, begin, end, soon);
        multiply(j->product, end - begin, row_at(r, j->through, t, begin, r->gates),
                 row_at(r, j->g->dh, 0, begin, 1), last ? NULL : soon);
    }
}

static void backward(const gr__recurrence_grad *g, const void *through, backward_row *row,
                     int saved)
{
    const gr__recurrence *r = &g->of;
    const int64_t h = r->hidden, gates = r->gates * h;
    const gr__matrix b = {r->w, h, 1};
    const array kept = saved ? (array){r->saved, saved} : (array){r->y, 1};
    backward_job j = {
        .g = g,
        .row = row,
        .through = through,
        .product = {.dtype = r->dtype, .n = h, .k = gates, .a = {NULL, gates, 1}, .b = b},
        .arrays = {kept, {g->dy, 1}, {g->da, r->gates}, {g->ds, r->gates}},
    };
    gr__gemm_pack(r->dtype, gates, h, b, r->packed);
    j.product.packed = r->packed;
    j.product.add_row = h; /* to what dh holds */
    gr__parallel_for(r->batch, rows_together(r), backward_rows, &j);
}

static void rnn_backward_row(const gr__recurrence_grad *g, int64_t t, int64_t n)
{
    const gr__recurrence *r = &g->of;
    void *da = row_at(r, g->da, t, n, RNN_GATES), *dh = row_at(r, g->dh, 0, n, 1);
    if (!takes_part(r, t, n)) {
        memset(da, 0, row_bytes(r));
        return;
    }
    cell_of(r)->rnn_grad(r->hidden, r->relu, row_at(r, r->y, t, n, 1), row_at(r, g->dy, t, n, 1),
                         dh, da);
    memset(dh, 0, row_bytes(r));
}

static void lstm_backward_row(const gr__recurrence_grad *g, int64_t t, int64_t n)
{
    const gr__recurrence *r = &g->of;
    void *da = row_at(r, g->da, t, n, LSTM_GATES), *dh = row_at(r, g->dh, 0, n, 1);
    const char *saved = row_at(r, r->saved, t, n, LSTM_SAVED);
    if (!takes_part(r, t, n)) {
        memset(da, 0, LSTM_GATES * row_bytes(r));
        return;
    }
    cell_of(r)->lstm_grad(r->hidden, saved,
                          state_before(r, t, n, r->saved, LSTM_SAVED, LSTM_GATES, g->c0),
                          saved + LSTM_GATES * row_bytes(r), row_at(r, g->dy, t, n, 1), dh,
                          row_at(r, g->dc, 0, n, 1), da);
    memset(dh, 0, row_bytes(r));
}

static void gru_backward_row(const gr__recurrence_grad *g, int64_t t, int64_t n)
{
    const gr__recurrence *r = &g->of;
    void *da = row_at(r, g->da, t, n, GRU_GATES), *ds = row_at(r, g->ds, t, n, GRU_GATES);
    if (!takes_part(r, t, n)) {
        memset(da, 0, GRU_GATES * row_bytes(r));
        memset(ds, 0, GRU_GATES * row_bytes(r));
        return;
    }
    cell_of(r)->gru_grad(r->hidden, row_at(r, r->saved, t, n, GRU_SAVED),
                         state_before(r, t, n, r->y, 1, 0, g->h0), row_at(r, g->dy, t, n, 1),
                         row_at(r, g->dh, 0, n, 1), da, ds);
}

void gr__rnn_backward(const gr__recurrence_grad *g)
{
    backward(g, g->da, rnn_backward_row, 0);
}

void gr__lstm_backward(const gr__recurrence_grad *g)
{
    backward(g, g->da, lstm_backward_row, LSTM_SAVED);
}

void gr__gru_backward(const gr__recurrence_grad *g)
{
    backward(g, g->ds, gru_backward_row, GRU_SAVED);
}
