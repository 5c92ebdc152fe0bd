/* random.c - the generator of random ops, and dropout.
 *
 *   dropout        y_i = x_i m_i with m_i = 0 with probability p, else 1 / (1 - p)     dx_i = dy_i m_i
 *   alpha_dropout  y_i = a x_i + b, or with probability p a constant               dx_i = dy_i a or 0
 *
 * A factor is a function of the seed and of the element's index alone, so the op is pure: computed
 * again, in other pieces or by other threads, it gives the same. Backward is the same op on dy.
 */
/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <math.h>

/* --- Philox4x32-10 over consecutive counters: gr__philox as a loop that becomes vector code --- */

/* Words of 32 bits in lanes of 64, whose upper halves are not looked at: that suits the vector
 * instructions for products of 32 by 32 bits. */
GR__CLONES static void draw_blocks(uint64_t seed, uint32_t lane, uint64_t block, gr__numbers *r)
{
    const uint64_t low = 0xFFFFFFFFu;
    uint64_t word[4][GR__BLOCKS];
    for (int b = 0; b < GR__BLOCKS; b++) {
        const uint64_t counter = block + (uint64_t)b;
        uint64_t c0 = counter, c1 = counter >> 32, c2 = lane, c3 = 0, k0 = seed, k1 = seed >> 32;
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
    for (int b = 0; b < GR__BLOCKS; b++)
        for (int k = 0; k < 4; k++) r->u[b][k] = (uint32_t)word[k][b];
}

/* A piece may begin within a block, whose first numbers are then passed over. */
const uint32_t *gr__draw(uint64_t seed, uint32_t lane, int64_t first, gr__numbers *r)
{
    draw_blocks(seed, lane, (uint64_t)first / 4, r);
    return &r->u[0][0] + first % 4;
}

/* --- dropout --- */

static const gr_field dropout_fields[] = {
    GR_FIELD(gr__dropout_attrs, p, GR_FIELD_F64),
    GR_FIELD(gr__dropout_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool dropout_infer(gr_infer *c)
{
    double p = ((const gr__dropout_attrs *)c->attrs)->p;
    if (p >= 0 && p <= 1) return true;
    return gr_infer_fail(c, "p is %g, expected a probability, 0 <= p <= 1", p);
}

/* An element is kept where its number is not below this: of 2^32 numbers p 2^32 are. */
static uint64_t threshold_of(const gr__dropout_attrs *a)
{
    return (uint64_t)(a->p * 0x1p32);
}

static double scale_of(const gr__dropout_attrs *a)
{
    return a->p < 1 ? 1 / (1 - a->p) : 0;
}

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
        const gr__dropout_attrs *a = t->attrs;                                                         \
        const T *x = t->x[0];                                                                      \
        T *y = t->y;                                                                               \
        for (int64_t i = 0, m; i < t->n; i += m) {                                                 \
            gr__numbers r;                                                                         \
            const uint32_t *u = gr__draw((uint64_t)a->seed, 0, t->first + i, &r);                  \
            m = gr__piece(t->first + i, t->n - i);                                                 \
            keep_##suffix(x + i, y + i, m, u, threshold_of(a), (T)scale_of(a));                    \
        }                                                                                          \
    }
DROPOUT(float, f32)
DROPOUT(double, f64)

static gr_tensor *dropout(gr_tensor *x, const gr__dropout_attrs *attrs, const void *site);

static void dropout_vjp(gr_pullback *p)
{
    p->dx[0] = dropout(p->dy[0], p->attrs, GR_HERE);
}

#define M34 {.shape = {2, {3, 4}}}
#define DROP(p) &(const gr__dropout_attrs){p, 7}

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

const gr_op gr__dropout_op = {
    .name = "dropout",
    .family = "random",
    .formula = "y = x m with m = 0 with probability p, else 1 / (1 - p)",
    .derivation = "m does not depend on x and has the mean 1, so y has the mean x; dy/dx = m, so "
                  "dx = dy m, with the m that the seed gives again",
    .n_in = 1,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(gr__dropout_attrs),
    .fields = dropout_fields,
    .infer = dropout_infer,
    .tile = GR__TILES(dropout),
    .vjp = dropout_vjp,
    .samples = dropout_samples,
};

static gr_tensor *dropout(gr_tensor *x, const gr__dropout_attrs *attrs, const void *site)
{
    return gr__unary(&gr__dropout_op, x, attrs, site);
}

/* Each element becomes 0 with probability p, the others are scaled by 1 / (1 - p), so that the mean
 * stays; each call draws anew from the graph's seed. 0 <= p <= 1. NaN and Inf times 0 give NaN.
 * Srivastava et al., "Dropout", JMLR 15, 2014. */
gr_tensor *gr_dropout(gr_tensor *x, double p)
{
    const gr__dropout_attrs attrs = {p, (int64_t)gr_next_seed(x ? gr_graph_of(x) : NULL)};
    return dropout(x, &attrs, GR_HERE);
}

/* --- dropout_channels --- */

static gr_tensor *channels_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_shape shape = *gr_shape_of(x[0]);
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (shape.rank < 2)
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "dropout_channels: expected [N,C,...], got %s",
                           gr_shape_text(&shape, text));
    for (int i = 2; i < shape.rank; i++) shape.dim[i] = 1;
    gr_tensor *ones = gr_ones(gr_graph_of(x[0]), gr_dtype_of(x[0]), shape);
    return gr_mul(x[0], dropout(ones, attrs, GR_HERE));
}

static const gr_sample channels_samples[] = {
    {.name = "images", .in = {{.shape = {4, {2, 5, 2, 3}}}}, .n_in = 1, .attrs = DROP(0.5)},
    {.name = "sequences", .in = {{.shape = {3, {3, 4, 2}}}}, .n_in = 1, .attrs = DROP(0.2)},
    {.name = "matrix", .in = {M34}, .n_in = 1, .attrs = DROP(0.3)},
    {.name = "all", .in = {{.shape = {3, {2, 2, 2}}}}, .n_in = 1, .attrs = DROP(1)},
    {.name = "empty", .in = {{.shape = {3, {0, 4, 2}}}}, .n_in = 1, .attrs = DROP(0.5)},
    {.name = "no probability", .in = {M34}, .n_in = 1, .attrs = DROP(-1), .error = "p is -1, expected a probability"},
    {.name = "no channels", .in = {{.shape = {1, {4}}}}, .n_in = 1, .attrs = DROP(0.5), .error = "expected [N,C,...], got [4]"},
    {0},
};

static const gr_op channels_op = {
    .name = "dropout_channels",
    .family = "random",
    .formula = "y[n,c,...] = x[n,c,...] m[n,c] with m = 0 with probability p, else 1 / (1 - p)",
    .derivation = "a product with factors that do not depend on x: dx = dy m",
    .n_in = 1,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(gr__dropout_attrs),
    .fields = dropout_fields,
    .define = channels_define,
    .samples = channels_samples,
};

/* Drops whole channels of x, [N,C,...], with probability p, each of each sample by itself; the others
 * are scaled by 1 / (1 - p). Dropout1d, 2d and 3d of PyTorch. Tompson et al., "Efficient object
 * localization using convolutional networks", CVPR 2015. */
gr_tensor *gr_dropout_channels(gr_tensor *x, double p)
{
    const gr__dropout_attrs attrs = {p, (int64_t)gr_next_seed(x ? gr_graph_of(x) : NULL)};
    return gr__unary(&channels_op, x, &attrs, GR_HERE);
}

/* --- alpha_dropout --- */

static const double FAR = 1.7580993408473766; /* minus what selu tends to: its scale times alpha */

/* The a of y = a x + b: variance 1 stays 1. */
static double alpha_scale(double p)
{
    return p < 1 ? 1 / sqrt((1 - p) * (1 + p * FAR * FAR)) : 0;
}

#define ALPHA(T, suffix)                                                                           \
    GR__CLONES static void alpha_piece_##suffix(const T *restrict x, T *restrict y, int64_t n,     \
                                                const uint32_t *restrict u, const gr__dropout_attrs *d)\
    {                                                                                              \
        const uint64_t threshold = threshold_of(d);                                                \
        const double scale = alpha_scale(d->p);                                                    \
        const T a = (T)scale, b = (T)(scale * FAR * d->p), c = (T)(scale * FAR * (d->p - 1));      \
        for (int64_t i = 0; i < n; i++) y[i] = u[i] < threshold ? x[i] * 0 + c : x[i] * a + b;     \
    }                                                                                              \
    static void alpha_##suffix(const gr_tile *t)                                                   \
    {                                                                                              \
        const gr__dropout_attrs *a = t->attrs;                                                         \
        const T *x = t->x[0];                                                                      \
        T *y = t->y;                                                                               \
        for (int64_t i = 0, m; i < t->n; i += m) {                                                 \
            gr__numbers r;                                                                         \
            const uint32_t *u = gr__draw((uint64_t)a->seed, 0, t->first + i, &r);                  \
            m = gr__piece(t->first + i, t->n - i);                                                 \
            alpha_piece_##suffix(x + i, y + i, m, u, a);                                           \
        }                                                                                          \
    }
ALPHA(float, f32)
ALPHA(double, f64)

static void alpha_vjp(gr_pullback *p)
{
    const gr__dropout_attrs *a = p->attrs;
    p->dx[0] = gr_scale(dropout(p->dy[0], a, GR_HERE), alpha_scale(a->p) * (1 - a->p));
}

static const gr_op alpha_op = {
    .name = "alpha_dropout",
    .family = "random",
    .formula = "y = a x + b, or with probability p its value at x = -1.758: a, b keep mean 0 and "
               "variance 1",
    .derivation = "dy/dx = a where x was kept and 0 where not: dx = dy a (1 - p) under dropout with "
                  "the same seed",
    .n_in = 1,
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(gr__dropout_attrs),
    .fields = dropout_fields,
    .infer = dropout_infer,
    .tile = GR__TILES(alpha),
    .vjp = alpha_vjp,
    .samples = dropout_samples,
};

/* Dropout for networks with selu: what is dropped becomes the value that selu tends to, and all is
 * scaled and shifted so that mean 0 and variance 1 stay. 0 <= p <= 1; p = 1 gives 0. Klambauer et al.,
 * "Self-normalizing neural networks", NIPS 2017. */
gr_tensor *gr_alpha_dropout(gr_tensor *x, double p)
{
    const gr__dropout_attrs attrs = {p, (int64_t)gr_next_seed(x ? gr_graph_of(x) : NULL)};
    return gr__unary(&alpha_op, x, &attrs, GR_HERE);
}

const gr_op *const gr__random_ops[] = {&gr__dropout_op, &channels_op, &alpha_op, NULL};
