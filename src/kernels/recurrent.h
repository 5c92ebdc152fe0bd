/* recurrent.h - recurrent layers over time: one direction of one layer, forwards and backwards. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__RECURRENT_H
#define GR__RECURRENT_H

#include <gradus/base.h>

/* One row of a batch, n hidden units. `s` is h_before W_hh^T (NULL: a has it already), b a bias of
 * s or NULL; dy is a second cotangent of h, or NULL. Rows do not overlap, save that c_out may be c. */
typedef struct gr__cell_kernels {
    void (*rnn)(int64_t n, bool relu, const void *a, const void *s, void *h);
    void (*rnn_grad)(int64_t n, bool relu, const void *h, const void *dy, const void *dh, void *da);
    /* a, s, gates: [4n], i f g o; gates after their functions */
    void (*lstm)(int64_t n, const void *a, const void *s, const void *c, void *gates, void *c_out,
                 void *h);
    /* dc: in, the cotangent of c_out; out, that of c */
    void (*lstm_grad)(int64_t n, const void *gates, const void *c, const void *c_out,
                      const void *dy, const void *dh, void *dc, void *da);
    /* a, s, b: [3n], r z n; gates: [4n], r z n after their functions and s + b of n */
    void (*gru)(int64_t n, const void *a, const void *s, const void *b, const void *h, void *gates,
                void *h_out);
    /* dh: in, the cotangent of h_out; out, that of h but for what goes through s */
    void (*gru_grad)(int64_t n, const void *gates, const void *h, const void *dy, void *dh,
                     void *da, void *ds);
} gr__cell_kernels;

/* T steps of N rows with H units. A row takes part in the steps t < lengths[n] alone. */
typedef struct gr__recurrence {
    gr_dtype dtype;
    int64_t steps, batch, hidden;
    int gates; /* G */
    bool reverse, relu;
    const int64_t *lengths; /* [N], each from 0 to T; NULL: T */
    const void *w, *b;      /* W_hh [GH,H]; b_hh [GH] of the GRU */
    const void *a;          /* [T,N,GH], the part of the gates that x makes */
    void *y;                /* [T,N,H] */
    void *saved;            /* LSTM: [T,N,5H], gates and c; GRU: [T,N,4H], gates */
    void *h, *c;            /* [N,H], the state: the first one, then the last */
    void *s, *packed;       /* scratch: [N,GH] (forwards), gr__recurrence_packed bytes */
} gr__recurrence;

/* The same backwards; y and saved are read. */
typedef struct gr__recurrence_grad {
    gr__recurrence of;
    const void *dy;      /* [T,N,H] */
    const void *h0, *c0; /* [N,H], as far as the cell reads them */
    void *dh, *dc;       /* [N,H], cotangents of the last state, then of the first */
    void *da, *ds;       /* [T,N,GH]; ds of the GRU: of h_before W_hh^T + b_hh */
} gr__recurrence_grad;

/* Bytes that W_hh takes when packed, either way. */
size_t gr__recurrence_packed(const gr__recurrence *r);

void gr__rnn_forward(const gr__recurrence *r);
void gr__lstm_forward(const gr__recurrence *r);
void gr__gru_forward(const gr__recurrence *r);
void gr__rnn_backward(const gr__recurrence_grad *r);
void gr__lstm_backward(const gr__recurrence_grad *r);
void gr__gru_backward(const gr__recurrence_grad *r);

/* Rows that one thread takes at a time, each of n units. */
static inline int64_t gr__cell_grain(int64_t n)
{
    return 1 + 2048 / (n + 1);
}

#endif
