/* matmul.h - what the families of matrix products share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__MATMUL_H
#define GR__MATMUL_H

#include "gemm.h"
#include <gradus/op.h>

/* A matrix of a sample. */
#define MAT(m, n)              \
    {                          \
        .shape = { 2, {m, n} } \
    }

extern const gr_op gr__matmul_op, gr__matmul_nt_op, gr__matmul_tn_op; /* A B, A B^T, A^T B */

bool gr__matrix_sizes_fit(const gr_shape *s); /* each below 2^31 */
/* Shape rule and kernel of Y = A B where A and B are the inputs, or what they are when turned. */
bool gr__product_infer(gr_infer *c, bool turn_a, bool turn_b);
gr_status gr__product_forward(gr_exec *e, bool turn_a, bool turn_b);
gr_status gr__product_of(gr_exec *e, const gr_value *a, bool turn_a, const gr_value *b, bool turn_b,
                         const gr_value *y);
/* Rounds its operands where the graph's precision says so and it pays. */
gr_status gr__product_run(gr_exec *e, const gr__product *p);
double gr__matmul_flops(const gr_exec *e);
double gr__matmul_tn_flops(const gr_exec *e);

#endif
