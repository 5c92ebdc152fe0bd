/* unroll.h - what the recurrent families share: their attributes and checks, derivatives by parts,
 * sequences unrolled step by step, stacks of layers. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__UNROLL_H
#define GR__UNROLL_H

#include "along.h"
#include "kernels.h"

/* Of rnn, lstm and gru, and of their cells and sequences; lstm and gru have no nonlinearity. */
typedef struct gr__recurrent_attrs {
    gr_rnn_nonlinearity nonlinearity;
    bool reverse; /* from the last step to the first */
} gr__recurrent_attrs;

extern const gr_field gr__nonlinearity_fields[]; /* nonlinearity */
extern const gr_field gr__rnn_fields[];          /* nonlinearity, reverse */
extern const gr_field gr__direction_fields[];    /* reverse */

/* --- shape rules and kernels --- */

/* in[i] is of the dtype of in[0] and of that shape: "expected h0 of [2,3], got [3,2]". */
bool gr__expect_input(gr_infer *c, int i, const char *what, gr_shape shape);
/* For a sequence: in[0] [T,N,width H], in[1] = w_hh [gates H, H]; and the int64 lengths [N], which may
 * come last, after `required` others. Sets the sizes; the outputs get the dtype of in[0]. */
typedef struct gr__sizes {
    int64_t steps, batch, hidden;
} gr__sizes;
bool gr__sequence_infer(gr_infer *c, const char *what, int width, int gates, int required,
                        gr__sizes *s);
/* What all sequences have in common, with scratch; lengths are checked. */
gr_status gr__sequence_of(gr_exec *e, int required, gr__recurrence *r);
double gr__sequence_flops(const gr_exec *e); /* of the products with w_hh, which rule */
void gr__copy_value(const gr_value *from, gr_value *to);
/* The part of w_hh's cotangent that all steps make: d^T h_before, d being [T,N,GH]. */
gr_tensor *gr__weight_cotangent(const gr_pullback *p, gr_tensor *d, gr_tensor *y, gr_tensor *h0,
                                int required);
/* dy[i], zeros where there is none. */
gr_tensor *gr__cotangent(const gr_pullback *p, int i);

/* --- derivatives by parts --- */

/* Records from other ops what an op computes; sets y[0..]. */
typedef void gr__parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y);
/* A VJP: records the parts and differentiates those, by the cotangents of the outputs `from`, ...
 * Adds to what dx holds. */
void gr__vjp_by_parts(gr_pullback *p, gr__parts *parts, int from);

/* --- a sequence, step by step --- */

typedef struct gr__unrolled {
    gr__sizes size;
    bool reverse;
    gr_graph *graph;
    gr_dtype real;
    gr_tensor *active;           /* bool [T,N,1]; NULL: all are */
    gr_tensor **first, **second; /* lists of T tensors, to be filled */
} gr__unrolled;

gr__unrolled gr__unroll(gr_tensor *const *x, int n, int required, const void *attrs);
int64_t gr__unrolled_step(const gr__unrolled *u, int64_t k); /* the k-th step in time's direction */
gr_tensor *gr__piece(gr_tensor *x, int64_t first, int64_t width); /* x[..., first:first+width] */
gr_tensor *gr__step(gr_tensor *x, int64_t t);                     /* x[t] */
/* a in the rows that take part in step t, b (NULL: zeros) in the others. */
gr_tensor *gr__if_active(const gr__unrolled *u, int64_t t, gr_tensor *a, gr_tensor *b);
/* The state [N,H] from which step t started: that in x [T,N,...] one step earlier, from `at` on. */
gr_tensor *gr__state_before(const gr__unrolled *u, int64_t t, gr_tensor *x, int64_t at,
                            gr_tensor *first);
gr_tensor *gr__stack(const gr__unrolled *u, gr_tensor **list, int width); /* [T,N,width H] */

/* --- gates (recurrent_gates.c): outputs 0, 1, ... as their ops list them --- */

gr_tensor *gr__lstm_gates(gr_tensor *a, gr_tensor *c);            /* h', c', gates */
gr_tensor *gr__lstm_gates_grad(gr_tensor *const in[5]);           /* of gates, c, c', dh', dc': da, dc */
gr_tensor *gr__gru_gates(gr_tensor *a, gr_tensor *s, gr_tensor *h); /* h', gates */
gr_tensor *gr__gru_gates_grad(gr_tensor *gates, gr_tensor *h, gr_tensor *dh); /* da, ds, dh */

/* --- layers --- */

/* NULL when t is a tensor of that shape, else the failure "OP: expected WHAT of ..., got ...". */
gr_tensor *gr__expect(const char *op, gr_tensor *t, const char *what, gr_shape shape);
/* Both biases or none, and w_ih [GH,in], w_hh [GH,H], b_ih, b_hh [GH] in w[0..n). */
gr_tensor *gr__expect_weights(const char *op, int gates, int64_t in, int64_t hidden,
                              gr_tensor *const *w, int n);

/* One layer in one direction, an op given by definition: its inputs are x, w_ih, w_hh, h0, `states`
 * - 1 further states, then b_ih and b_hh or neither, then lengths or not. */
typedef struct gr__layer {
    gr_tensor *x, *w_ih, *w_hh, *h0, *c0, *b_ih, *b_hh, *lengths, *failure;
} gr__layer;
gr__layer gr__layer_of(const char *op, int gates, int states, gr_tensor *const *x, int n);

/* Layers one above the other, in one or both directions, each made by `op`. */
gr_recurrent gr__layers(const gr_op *op, int states, gr_tensor *x, gr_tensor *h0, gr_tensor *c0,
                        gr_tensor *lengths, const gr_rnn_weights *w, const gr_rnn_options *o,
                        const void *site);

#endif
