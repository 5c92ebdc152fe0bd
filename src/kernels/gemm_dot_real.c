/* gemm_dot_real.c - matrix products with few rows or columns as dot products, for one dtype and set.
 *
 * Where both operands lie dense along k, a vector of sums per element of c is added up at the end:
 * nothing is packed, and the larger operand is read once, as it lies.
 */
/* SPDX-License-Identifier: MIT */
#include "gemm.h"
#include "instance.h"

enum { DOT_SIDE = 4 };

/* c[i * c_few + j * c_many] = x_i . y_j, for few x and many y. */
typedef struct gemm_dots {
    const REAL *x, *y;
    int64_t x_step, y_step; /* from one x to the next */
    int64_t few, many, k;
    const REAL *add; /* or NULL */
    int64_t add_few, add_many;
    REAL *c;
    int64_t c_few, c_many;
} gemm_dots;

/* The first n elements, then zeros. */
static ALWAYS_INLINE vec vec_first(const REAL *p, int64_t n)
{
    REAL part[VEC_LANES] = {0};
    memcpy(part, p, (size_t)n * sizeof *p);
    return vec_load(part);
}

static ALWAYS_INLINE void add_products(vec sum[][DOT_SIDE], const vec *x, const vec *y,
                                       const int rows)
{
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < DOT_SIDE; j++) sum[i][j] += x[i] * y[j];
    }
}

/* `rows` of x by DOT_SIDE of y, of which the last ones may be the same. */
static ALWAYS_INLINE void dot_block(const REAL *const *x, const REAL *const *y, int64_t k,
                                    REAL dots[][DOT_SIDE], const int rows)
{
    vec sum[DOT_SIDE][DOT_SIDE] = {{{0}}}, u[DOT_SIDE], v[DOT_SIDE];
    int64_t d = 0;
    for (; d + VEC_LANES <= k; d += VEC_LANES) {
        UNROLL
        for (int i = 0; i < rows; i++) u[i] = vec_load(x[i] + d);
        UNROLL
        for (int j = 0; j < DOT_SIDE; j++) v[j] = vec_load(y[j] + d);
        add_products(sum, u, v, rows);
    }
    if (d < k) {
        for (int i = 0; i < rows; i++) u[i] = vec_first(x[i] + d, k - d);
        for (int j = 0; j < DOT_SIDE; j++) v[j] = vec_first(y[j] + d, k - d);
        add_products(sum, u, v, rows);
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < DOT_SIDE; j++) dots[i][j] = vec_sum(sum[i][j]);
    }
}

/* The block of c from (i, j) on. */
static void dot_square(const gemm_dots *p, int64_t i, int64_t j)
{
    const int64_t rows = p->few - i < DOT_SIDE ? p->few - i : DOT_SIDE;
    const int64_t columns = p->many - j < DOT_SIDE ? p->many - j : DOT_SIDE;
    const REAL *x[DOT_SIDE], *y[DOT_SIDE];
    REAL dots[DOT_SIDE][DOT_SIDE];
    for (int s = 0; s < DOT_SIDE; s++) {
        x[s] = p->x + (i + (s < rows ? s : rows - 1)) * p->x_step;
        y[s] = p->y + (j + (s < columns ? s : columns - 1)) * p->y_step;
    }
    if (rows == 1) dot_block(x, y, p->k, dots, 1);
    else dot_block(x, y, p->k, dots, DOT_SIDE);
    for (int64_t r = i; r < i + rows; r++)
        for (int64_t s = j; s < j + columns; s++) {
            const REAL dot = dots[r - i][s - j];
            p->c[r * p->c_few + s * p->c_many] =
                p->add ? dot + p->add[r * p->add_few + s * p->add_many] : dot;
        }
}

static void multiply_dots(const gemm_dots *p)
{
    for (int64_t j = 0; j < p->many; j += DOT_SIDE)
        for (int64_t i = 0; i < p->few; i += DOT_SIDE) dot_square(p, i, j);
}

static void gemm_dot(const gr__gemm_block *p)
{
    gemm_dots d = {p->a.data, p->b.data,  p->a.row, p->b.column, p->m,   p->n, p->k,
                   p->add,    p->add_row, 1,        p->c,        p->ldc, 1};
    if (p->m > GR__GEMM_FEW) {
        const gemm_dots turned = {d.y,   d.x,        d.y_step,  d.x_step, d.many,   d.few,  d.k,
                                  d.add, d.add_many, d.add_few, d.c,      d.c_many, d.c_few};
        d = turned;
    }
    multiply_dots(&d);
}
