/* gemm_tiny_real.c - matrix products too small to be prepared for, for one dtype and set.
 *
 * Every element is summed in the order of k, as in gemm_real.c: the bits are the same.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

/* As many columns as a vector has, of b's rows as they lie. */
static ALWAYS_INLINE vec tiny_vector(const REAL *a, int64_t a_step, const REAL *b, int64_t b_step,
                                     int64_t k)
{
    vec sum = {0};
    for (; k > 0; k--, a += a_step, b += b_step) sum += *a * vec_load(b);
    return sum;
}

static ALWAYS_INLINE REAL tiny_element(const REAL *a, int64_t a_step, const REAL *b, int64_t b_step,
                                       int64_t k)
{
    REAL sum = 0;
    for (; k > 0; k--, a += a_step, b += b_step) sum += *a * *b;
    return sum;
}

/* Row i of c is a_i b, for a b of one row that lies dense. */
static void tiny_outer(const gr__product *p)
{
    const int64_t n = p->n, whole = n - n % VEC_LANES;
    const REAL *a = p->a.data, *b = p->b.data;
    REAL *c = p->c;
    for (int64_t i = 0; i < p->m; i++, a += p->a.row, c += n) {
        for (int64_t j = 0; j < whole; j += VEC_LANES)
            vec_store(c + j, (vec){0} + *a * vec_load(b + j));
        for (int64_t j = whole; j < n; j++) c[j] = 0 + *a * b[j];
    }
}

static void gemm_tiny(const gr__product *p)
{
    if (p->k == 1 && p->b.column == 1 && !p->add) {
        tiny_outer(p);
        return;
    }
    const int64_t n = p->n, k = p->k, a_step = p->a.column, b_step = p->b.row, next = p->b.column;
    const int64_t whole = next == 1 ? n - n % VEC_LANES : 0;
    const REAL *a = p->a.data, *b = p->b.data, *add = p->add;
    REAL *c = p->c;
    for (int64_t i = 0; i < p->m; i++, a += p->a.row, c += n) {
        for (int64_t j = 0; j < whole; j += VEC_LANES) {
            const vec sum = tiny_vector(a, a_step, b + j, b_step, k);
            vec_store(c + j, add ? sum + vec_load(add + j) : sum);
        }
        for (int64_t j = whole; j < n; j++) {
            const REAL sum = tiny_element(a, a_step, b + j * next, b_step, k);
            c[j] = add ? sum + add[j] : sum;
        }
        if (add) add += p->add_row;
    }
}
