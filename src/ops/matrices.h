/* matrices.h - batches of matrices: the last two axes are rows and columns, the others count. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__MATRICES_H
#define GR__MATRICES_H

#include "family.h"
#include "lapack.h"

#define GR__MATRIX(m, n) {.shape = {2, {m, n}}}
#define GR__STACK(b, m, n) {.shape = {3, {b, m, n}}}

typedef struct gr__matrices {
    int64_t count, rows, columns;
} gr__matrices;

/* Of a rank of at least 2. */
static inline gr__matrices gr__matrices_of(const gr_shape *s)
{
    gr__matrices a = {1, s->dim[s->rank - 2], s->dim[s->rank - 1]};
    for (int i = 0; i < s->rank - 2; i++) a.count *= s->dim[i];
    return a;
}

static inline gr_tensor *gr__turned(gr_tensor *x)
{
    return gr_transpose(x, -2, -1);
}

/* --- shape rules (matrices.c) --- */

bool gr__infer_matrices(gr_infer *c, int input); /* rank >= 2, sizes that LAPACK can count */
bool gr__infer_square(gr_infer *c, int input);
/* in[1] is of the dtype of in[0] and holds as many matrices. */
bool gr__infer_beside(gr_infer *c);

/* --- kernels (matrices.c) --- */

/* Runs `body` over a batch. What it returns goes into `problem`, which has one %lld and reads on
 * from "matrix 3 of the batch". */
gr_status gr__run_matrices(gr_exec *e, gr__batch b, gr__matrix_fn *body, void *ctx,
                           const char *problem);

/* --- recording (matrices.c) --- */

gr_tensor *gr__half_lower(gr_tensor *x);              /* lower triangle, half of the diagonal */
gr_tensor *gr__plus_identity(gr_tensor *x, double a); /* x + a I */
gr_tensor *gr__spread_out(gr_tensor *x);              /* x + diag(4, 8, 12, ...) */
gr_tensor *gr__symmetric(gr_tensor *x);               /* (x + x^T) / 2 */
/* Stretches the axes in front of the matrices a and b to common ones; false, with the error set,
 * when there are none. Both are tensors of one graph. */
bool gr__match_batches(const char *name, gr_tensor **a, gr_tensor **b);

/* Records op on inputs of which the first is made far from singular. */
int gr__record_regular(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y);
/* Records op on inputs of which the first is made zero. */
int gr__record_zero(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y);

#endif
