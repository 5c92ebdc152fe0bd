/* gemm_tiny_real.c - matrix products too small to be prepared for, for one dtype and set.
 *
 * Every element is summed in the order of k, as in gemm_real.c: the bits are the same.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

/* As many columns as a vector has, of b's rows as they lie. */
static void tiny_vector(const gr__product *p, const REAL *a, const REAL *b, const REAL *add,
                        REAL *c)
{
    vec sum = {0};
    for (int64_t k = 0; k < p->k; k++) sum += a[k * p->a.column] * vec_load(b + k * p->b.row);
    vec_store(c, add ? sum + vec_load(add) : sum);
}

static void tiny_element(const gr__product *p, const REAL *a, const REAL *b, const REAL *add,
                         REAL *c)
{
    REAL sum = 0;
    for (int64_t k = 0; k < p->k; k++) sum += a[k * p->a.column] * b[k * p->b.row];
    *c = add ? sum + *add : sum;
}

static void gemm_tiny(const gr__product *p)
{
    const int64_t whole = p->b.column == 1 ? p->n - p->n % VEC_LANES : 0;
    const REAL *b = p->b.data;
    for (int64_t i = 0; i < p->m; i++) {
        const REAL *a = (const REAL *)p->a.data + i * p->a.row;
        const REAL *add = p->add ? (const REAL *)p->add + i * p->add_row : NULL;
        REAL *c = (REAL *)p->c + i * p->n;
        for (int64_t j = 0; j < whole; j += VEC_LANES)
            tiny_vector(p, a, b + j, add ? add + j : NULL, c + j);
        for (int64_t j = whole; j < p->n; j++)
            tiny_element(p, a, b + j * p->b.column, add ? add + j : NULL, c + j);
    }
}
