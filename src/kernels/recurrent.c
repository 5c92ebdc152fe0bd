/* recurrent.c - recurrent layers over time: a small matrix product and the cell, step by step.
 *
 * The part of the gates that comes from x was made before, for all steps at once. Rows are worked on
 * independently of each other, in fixed pieces: the bits do not depend on the threads.
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

/* --- forwards --- */

typedef void forward_row(const gr__recurrence *r, int64_t t, int64_t n);

typedef struct forward_step {
    const gr__recurrence *r;
    forward_row *row;
    int64_t t;
} forward_step;

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const forward_step *s = ctx;
    for (int64_t n = begin; n < end; n++) s->row(s->r, s->t, n);
}

static void forward(const gr__recurrence *r, int gates, forward_row *row)
{
    const int64_t h = r->hidden;
    for (int64_t k = 0; k < r->steps; k++) {
        forward_step s = {r, row, r->reverse ? r->steps - 1 - k : k};
        const gr__product p = {.dtype = r->dtype,
                               .m = r->batch,
                               .n = gates * h,
                               .k = h,
                               .a = {r->h, h, 1},
                               .b = {r->w, 1, h},
                               .c = r->s};
        gr__gemm(&p, NULL);
        gr__parallel_for(r->batch, gr__cell_grain(h), forward_rows, &s);
    }
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
    forward(r, RNN_GATES, rnn_forward_row);
}

void gr__lstm_forward(const gr__recurrence *r)
{
    forward(r, LSTM_GATES, lstm_forward_row);
}

void gr__gru_forward(const gr__recurrence *r)
{
    forward(r, GRU_GATES, gru_forward_row);
}

/* --- backwards: a row sets its da (and ds) and leaves in dh what does not go through W_hh --- */

typedef void backward_row(const gr__recurrence_grad *g, int64_t t, int64_t n);

typedef struct backward_step {
    const gr__recurrence_grad *g;
    backward_row *row;
    int64_t t;
} backward_step;

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const backward_step *s = ctx;
    for (int64_t n = begin; n < end; n++) s->row(s->g, s->t, n);
}

/* through: the cotangent of h_before W_hh^T, da or ds. */
static void backward(const gr__recurrence_grad *g, int gates, const void *through,
                     backward_row *row)
{
    const gr__recurrence *r = &g->of;
    const int64_t h = r->hidden;
    for (int64_t k = 0; k < r->steps; k++) {
        backward_step s = {g, row, r->reverse ? k : r->steps - 1 - k};
        gr__parallel_for(r->batch, gr__cell_grain(h), backward_rows, &s);
        const gr__product p = {.dtype = r->dtype,
                               .m = r->batch,
                               .n = h,
                               .k = gates * h,
                               .a = {row_at(r, through, s.t, 0, gates), gates * h, 1},
                               .b = {r->w, h, 1},
                               .add = g->dh,
                               .add_row = h,
                               .c = g->dh};
        gr__gemm(&p, NULL);
    }
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
    backward(g, RNN_GATES, g->da, rnn_backward_row);
}

void gr__lstm_backward(const gr__recurrence_grad *g)
{
    backward(g, LSTM_GATES, g->da, lstm_backward_row);
}

void gr__gru_backward(const gr__recurrence_grad *g)
{
    backward(g, GRU_GATES, g->ds, gru_backward_row);
}
