/* attention.h - scaled dot-product attention, block by block. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ATTENTION_H
#define GR__ATTENTION_H

#include "bf16.h"

enum {
    GR__ATTENTION_BYTES = 128, /* of a row of a block of scores: 32 queries of float32 */
    GR__ATTENTION_KEYS = 96,   /* of a block */
    GR__ATTENTION_TASKS = 64   /* that have scratch of their own */
};

/* Factors of dropout for n elements of the probabilities, [batch, rows, keys] in row-major order,
 * from `first` on: x times them to y. */
typedef void gr__attention_drop(const void *ctx, int64_t first, int64_t n, const void *x, void *y);

/* A matrix for each of the batch: element (b, i, j) is data[offset of b + i * row + j]. */
typedef struct gr__attention_matrix {
    const void *data;
    int64_t row, batch[GR_MAX_RANK]; /* strides */
} gr__attention_matrix;

/* Added to the scores, or bool: true where a key takes part. x.data NULL: none. Element (b, i, j) is
 * x.data[offset of b + i * x.row + j * column], column being 0 or 1. */
typedef struct gr__attention_mask {
    gr__attention_matrix x;
    int64_t column;
    bool boolean;
} gr__attention_mask;

/* Operands rounded and packed (bf16.h) for all the batch, by rows [keys] and by columns [depth or
 * width]. NULL: products are in full, or backwards alone or forwards alone reads it. */
typedef struct gr__attention_rounded {
    uint32_t *k_rows, *k_columns, *v_rows, *v_columns;
} gr__attention_rounded;

/* q [batch, rows, depth], k [batch, keys, depth], v [batch, keys, width] of any strides but that of
 * the last axis; y and lse row-major. lse is the logarithm of the sum of exp(scores), one per row;
 * +Inf for a row without keys, so that exp(score - lse) is 0. */
typedef struct gr__attention {
    int64_t batch, rows, keys, depth, width;
    int n_dims; /* axes that make the batch */
    int64_t dim[GR_MAX_RANK];
    double scale;
    bool causal; /* key j takes part in row i if j <= i */
    gr__attention_mask mask;
    gr__attention_drop *drop; /* NULL: none */
    const void *drop_ctx;
    gr__attention_matrix q, k, v;
    void *y, *lse;
    void *scratch;
    bool rounds; /* operands of products, which are float32 */
    gr__attention_rounded rounded;
} gr__attention;

/* dq, dk, dv, row-major, from dy; delta is one per row, sum dy y less the cotangent of lse. */
typedef struct gr__attention_grad {
    gr__attention a; /* y is not used */
    gr__attention_matrix dy;
    const void *delta;
    void *dq, *dk, *dv;
} gr__attention_grad;

/* Element (b, row, 0). */
static inline int64_t gr__attention_offset(const gr__attention *a, const gr__attention_matrix *m,
                                           int64_t batch, int64_t row)
{
    int64_t offset = row * m->row;
    for (int i = a->n_dims - 1; i >= 0; i--) {
        offset += batch % a->dim[i] * m->batch[i];
        batch /= a->dim[i];
    }
    return offset;
}

/* Bytes of scratch, and those of them that each task has. */
size_t gr__attention_scratch(const gr__attention *a);
size_t gr__attention_grad_scratch(const gr__attention *a);
size_t gr__attention_space(const gr__attention *a);
size_t gr__attention_grad_space(const gr__attention *a);

/* --- rounded operands --- */

/* Whether rounding costs less than it saves; by the sizes alone. */
bool gr__attention_rounding_pays(const gr__attention *a);
/* Fills `rounded` in the scratch, behind the spaces of the tasks; for backwards or for forwards. */
void gr__attention_round(gr__attention *a, bool backwards);

/* Of `lines` packed lines of n numbers, of one of the batch: from a line on that is a multiple of
 * 16, and from an even number on. */
static inline gr__bf16_panels gr__attention_panels(const uint32_t *packed, int64_t batch,
                                                   int64_t lines, int64_t n, int64_t line,
                                                   int64_t from)
{
    const int64_t units = gr__up_div(n, 2);
    return (gr__bf16_panels){packed + batch * gr__bf16_units(lines, n) + line * units +
                                 from / 2 * GR__BF16_LANES,
                             units * GR__BF16_LANES};
}

#endif
