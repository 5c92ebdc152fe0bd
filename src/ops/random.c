/* random.c - ops that draw numbers.
 *
 *   dropout   y_i = x_i m_i with m_i = 0 with probability p, else 1 / (1 - p)      dx_i = dy_i m_i
 *
 * A factor is a function of the seed and of the element's index alone, so the op is pure: computed
 * again, in other pieces or by other threads, it gives the same. Backward is the same op on dy.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

enum { BLOCKS = 128 }; /* Philox blocks made at a time, 4 numbers each */

/* --- Philox4x32-10 over consecutive counters: gr__philox as a loop that becomes vector code --- */

typedef struct numbers {
    uint32_t u[BLOCKS][4]; /* as gr__random_u32 gives them, in order */
} numbers;

/* Words of 32 bits in lanes of 64, whose upper halves are not looked at: that suits the vector
 * instructions for products of 32 by 32 bits. */
GR__CLONES static void draw(uint64_t seed, uint64_t block, numbers *r)
{
    const uint64_t low = 0xFFFFFFFFu;
    uint64_t word[4][BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        const uint64_t counter = block + (uint64_t)b;
        uint64_t c0 = counter, c1 = counter >> 32, c2 = 0, c3 = 0, k0 = seed, k1 = seed >> 32;
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            const uint64_t p0 = 0xD2511F53u * (c0 & low), p1 = 0xCD9E8D57u * (c2 & low);
            c0 = (p1 >> 32) ^ c1 ^ k0;
            c2 = (p0 >> 32) ^ c3 ^ k1;
            c1 = p1;
            c3 = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        word[0][b] = c0;
        word[1][b] = c1;
        word[2][b] = c2;
        word[3][b] = c3;
    }
    for (int b = 0; b < BLOCKS; b++)
        for (int k = 0; k < 4; k++) r->u[b][k] = (uint32_t)word[k][b];
}

/* --- dropout --- */

typedef struct dropout_attrs {
    double p;
    int64_t seed;
} dropout_attrs;

static const gr_field dropout_fields[] = {
    GR_FIELD(dropout_attrs, p, GR_FIELD_F64),
    GR_FIELD(dropout_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool dropout_infer(gr_infer *c)
{
    double p = ((const dropout_attrs *)c->attrs)->p;
    if (p >= 0 && p <= 1) return true;
    return gr_infer_fail(c, "p is %g, expected a probability, 0 <= p <= 1", p);
}

/* An element is kept where its number is not below this: of 2^32 numbers p 2^32 are. */
static uint64_t threshold_of(const dropout_attrs *a)
{
    return (uint64_t)(a->p * 0x1p32);
}

static double scale_of(const dropout_attrs *a)
{
    return a->p < 1 ? 1 / (1 - a->p) : 0;
}

/* A tile may begin within a block, whose first numbers are then passed over. */
#define DROPOUT(T, suffix)                                                                         \
    GR__CLONES static void keep_##suffix(const T *restrict x, T *restrict y, int64_t n,            \
                                         const uint32_t *restrict u, uint64_t threshold, T scale)  \
    {                                                                                              \
        const uint32_t last = (uint32_t)(threshold - 1); /* the last that is dropped */            \
        if (threshold == 0)                                                                        \
            for (int64_t i = 0; i < n; i++) y[i] = x[i] * scale;                                   \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) y[i] = x[i] * (u[i] > last ? scale : 0);               \
    }                                                                                              \
    static void dropout_##suffix(const gr_tile *t)                                                 \
    {                                                                                              \
        const dropout_attrs *a = t->attrs;                                                         \
        const T *x = t->x[0];                                                                      \
        T *y = t->y;                                                                               \
        const uint64_t threshold = threshold_of(a), first = (uint64_t)t->first;                    \
        int64_t skip = (int64_t)(first % 4), block = (int64_t)(first / 4);                         \
        for (int64_t i = 0; i < t->n; block += BLOCKS) {                                           \
            numbers r;                                                                             \
            int64_t left = t->n - i, m = 4 * BLOCKS - skip < left ? 4 * BLOCKS - skip : left;      \
            draw((uint64_t)a->seed, (uint64_t)block, &r);                                          \
            keep_##suffix(x + i, y + i, m, &r.u[0][0] + skip, threshold, (T)scale_of(a));          \
            i += m;                                                                                \
            skip = 0;                                                                              \
        }                                                                                          \
    }
DROPOUT(float, f32)
DROPOUT(double, f64)

static gr_tensor *dropout(gr_tensor *x, const dropout_attrs *attrs, const void *site);

static void dropout_vjp(gr_pullback *p)
{
    p->dx[0] = dropout(p->dy[0], p->attrs, GR_HERE);
}

#define M34 {.shape = {2, {3, 4}}}
#define DROP(p) &(const dropout_attrs){p, 7}

static const gr_sample dropout_samples[] = {
    {.name = "half", .in = {{.shape = {2, {5, 9}}}}, .n_in = 1, .attrs = DROP(0.5)},
    {.name = "few", .in = {M34}, .n_in = 1, .attrs = DROP(0.1)},
    {.name = "none", .in = {M34}, .n_in = 1, .attrs = DROP(0)},
    {.name = "all", .in = {M34}, .n_in = 1, .attrs = DROP(1)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = DROP(0.25)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = DROP(0.5)},
    {.name = "no probability", .in = {M34}, .n_in = 1, .attrs = DROP(1.5), .error = "p is 1.5, expected a probability"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = DROP(0.5), .error = "not defined for int64"},
    {0},
};

static const gr_op dropout_op = {
    .name = "dropout",
    .family = "random",
    .formula = "y = x m with m = 0 with probability p, else 1 / (1 - p)",
    .derivation = "m does not depend on x and has the mean 1, so y has the mean x; dy/dx = m, so "
                  "dx = dy m, with the m that the seed gives again",
    .n_in = 1,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(dropout_attrs),
    .fields = dropout_fields,
    .infer = dropout_infer,
    .tile = GR__TILES(dropout),
    .vjp = dropout_vjp,
    .samples = dropout_samples,
};

static gr_tensor *dropout(gr_tensor *x, const dropout_attrs *attrs, const void *site)
{
    return gr__unary(&dropout_op, x, attrs, site);
}

/* Each element becomes 0 with probability p, the others are scaled by 1 / (1 - p), so that the mean
 * stays; each call draws anew from the graph's seed. 0 <= p <= 1. NaN and Inf times 0 give NaN.
 * Srivastava et al., "Dropout", JMLR 15, 2014. */
gr_tensor *gr_dropout(gr_tensor *x, double p)
{
    const dropout_attrs attrs = {p, (int64_t)gr_next_seed(x ? gr_graph_of(x) : NULL)};
    return dropout(x, &attrs, GR_HERE);
}

const gr_op *const gr__random_ops[] = {&dropout_op, NULL};
