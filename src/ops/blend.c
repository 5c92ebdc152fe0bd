/* blend.c - functions of three variables, element by element.
 *
 *   y = a + w (b - a)    da = dy (1 - w)    db = dy w        dw = dy (b - a)
 *   y = x + v a b        dx = dy            da = dy v b      db = dy v a
 *   y = x + v a / b      dx = dy            da = dy v / b    db = -dy v a / b^2
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"

#define AWAY RANGE(0.5, 2)
#define COLUMN {.shape = {2, {3, 1}}, .low = 0.5, .high = 2}
#define POINT {.shape = {0, {0}}, .low = 0.5, .high = 2}
#define ALL_ALIKE(ATTRS)                                                                           \
    {.name = "matrix", .in = {M34, M34, AWAY}, .n_in = 3, .attrs = ATTRS},                         \
    {.name = "scalars", .in = {ONE, ONE, POINT}, .n_in = 3, .attrs = ATTRS}
#define BLENDED(ATTRS)                                                                             \
    {.name = "broadcast", .in = {M34, ROW, COLUMN}, .n_in = 3, .attrs = ATTRS},                    \
    {.name = "grown", .in = {ONE, ROW, COLUMN}, .n_in = 3, .attrs = ATTRS},                        \
    {.name = "empty", .in = {EMPTY, ROW, POINT}, .n_in = 3, .attrs = ATTRS},                       \
    {.name = "integers", .in = {WHOLE, WHOLE, WHOLE}, .n_in = 3, .attrs = ATTRS,                   \
     .error = "not defined for int64"},                                                            \
    {.name = "mixed", .in = {M34, M34, WHOLE}, .n_in = 3, .attrs = ATTRS, .error = "cannot mix"},  \
    {.name = "no common shape", .in = {M34, {.shape = {1, {3}}}, M34}, .n_in = 3, .attrs = ATTRS,  \
     .error = "cannot broadcast"}

/* `expr` in a, b, c of the three inputs and v, the attribute. */
#define NO_VALUE(T)
#define VALUE(T) const T v = (T)((const value_attrs *)t->attrs)->value;
#define TILE3(NAME, T, suffix, ATTR, expr)                                                         \
    GR__CLONES static void NAME##_##suffix(const gr_tile *t)                                       \
    {                                                                                              \
        const T *restrict pa = t->x[0], *restrict pb = t->x[1], *restrict pc = t->x[2];            \
        T *restrict py = t->y;                                                                     \
        ATTR(T)                                                                                    \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T a = pa[i], b = pb[i], c = pc[i];                                               \
            py[i] = expr;                                                                          \
        }                                                                                          \
    }
#define TERNARY(NAME, ATTR, expr)                                                                  \
    TILE3(NAME, float, f32, ATTR, expr)                                                            \
    TILE3(NAME, double, f64, ATTR, expr)

static gr_tensor *ternary(const gr_op *op, gr_tensor *a, gr_tensor *b, gr_tensor *c,
                          const void *attrs, const void *site)
{
    gr_tensor *in[3] = {a, b, c};
    return gr__apply(NULL, op, in, 3, attrs, site);
}

/* --- lerp --- */

/* From the nearer end, so that both ends are met exactly. */
TERNARY(lerp, NO_VALUE, 2 * c < 1 ? a + c * (b - a) : b - (b - a) * (1 - c))

static void lerp_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0], *w = p->x[2];
    if (p->wants[0]) p->dx[0] = gr_mul(dy, gr_shift(gr_neg(w), 1));
    if (p->wants[1]) p->dx[1] = gr_mul(dy, w);
    if (p->wants[2]) p->dx[2] = gr_mul(dy, gr_sub(p->x[1], p->x[0]));
}

static const gr_sample lerp_samples[] = {
    {.name = "near a", .in = {M34, M34, RANGE(-0.3, 0.4)}, .n_in = 3},
    {.name = "near b", .in = {M34, M34, RANGE(0.6, 1.5)}, .n_in = 3},
    ALL_ALIKE(NULL),
    BLENDED(NULL),
    {0},
};

static const gr_op lerp_op = {
    .name = "lerp",
    .family = "blend",
    .formula = "y = a + w (b - a)",
    .derivation = "linear in each of the three: da = dy (1 - w), db = dy w, dw = dy (b - a)",
    .n_in = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .tile = GR__TILES(lerp),
    .vjp = lerp_vjp,
    .samples = lerp_samples,
};

/* a for w = 0, b for w = 1, on the line through them between and beyond. */
gr_tensor *gr_lerp(gr_tensor *a, gr_tensor *b, gr_tensor *w)
{
    return ternary(&lerp_op, a, b, w, NULL, GR_HERE);
}

/* --- addcmul, addcdiv --- */

typedef struct value_attrs {
    double value;
} value_attrs;

static const gr_field value_fields[] = {GR_FIELD(value_attrs, value, GR_FIELD_F64), {0}};

#define TIMES(X) &(const value_attrs){X}

static const gr_sample product_samples[] = {ALL_ALIKE(TIMES(-1.75)), BLENDED(TIMES(0.6)), {0}};

TERNARY(addcmul, VALUE, a + v * b * c)

static void addcmul_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[0];
    const double value = ((const value_attrs *)p->attrs)->value;
    p->dx[0] = dy;
    if (p->wants[1]) p->dx[1] = gr_scale(gr_mul(dy, p->x[2]), value);
    if (p->wants[2]) p->dx[2] = gr_scale(gr_mul(dy, p->x[1]), value);
}

static const gr_op addcmul_op = {
    .name = "addcmul",
    .family = "blend",
    .formula = "y = x + value a b",
    .derivation = "a sum and a product: dx = dy, da = dy value b, db = dy value a",
    .n_in = 3,
    .reads = GR_READS_IN(1) | GR_READS_IN(2),
    .attrs_size = sizeof(value_attrs),
    .fields = value_fields,
    .tile = GR__TILES(addcmul),
    .vjp = addcmul_vjp,
    .samples = product_samples,
};

/* x + value a b, in one pass. */
gr_tensor *gr_addcmul(gr_tensor *x, gr_tensor *a, gr_tensor *b, double value)
{
    return ternary(&addcmul_op, x, a, b, &(value_attrs){value}, GR_HERE);
}

/* Never all of one shape: x + v x / x does not depend on what its inputs get from the quotient. */
static const gr_sample quotient_samples[] = {
    {.name = "row",
     .in = {M34, M34, {.shape = {1, {4}}, .low = 0.5, .high = 2}},
     .n_in = 3,
     .attrs = TIMES(-1.75)},
    {.name = "matrix", .in = {ROW, M34, AWAY}, .n_in = 3, .attrs = TIMES(0.6)},
    {.name = "scalars", .in = {ONE, {.shape = {1, {1}}}, POINT}, .n_in = 3, .attrs = TIMES(2)},
    BLENDED(TIMES(1.3)),
    {0},
};

TERNARY(addcdiv, VALUE, a + v * b / c)

static void addcdiv_vjp(gr_pullback *p)
{
    gr_tensor *da = gr_scale(gr_div(p->dy[0], p->x[2]), ((const value_attrs *)p->attrs)->value);
    p->dx[0] = p->dy[0];
    p->dx[1] = da;
    if (p->wants[2]) p->dx[2] = gr_neg(gr_mul(da, gr_div(p->x[1], p->x[2])));
}

static const gr_op addcdiv_op = {
    .name = "addcdiv",
    .family = "blend",
    .formula = "y = x + value a / b",
    .derivation = "a sum and a quotient: dx = dy, da = dy value / b, db = -dy value a / b^2",
    .n_in = 3,
    .reads = GR_READS_IN(1) | GR_READS_IN(2),
    .attrs_size = sizeof(value_attrs),
    .fields = value_fields,
    .tile = GR__TILES(addcdiv),
    .vjp = addcdiv_vjp,
    .samples = quotient_samples,
};

/* x + value a / b, in one pass. */
gr_tensor *gr_addcdiv(gr_tensor *x, gr_tensor *a, gr_tensor *b, double value)
{
    return ternary(&addcdiv_op, x, a, b, &(value_attrs){value}, GR_HERE);
}

const gr_op *const gr__blend_ops[] = {
    &lerp_op,
    &addcmul_op,
    &addcdiv_op,
    NULL,
};
