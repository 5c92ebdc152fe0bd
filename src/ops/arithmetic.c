/* arithmetic.c - sums, products, powers, element by element.
 *
 *   y = a + b     da = dy              db = dy
 *   y = a - b     da = dy              db = -dy
 *   y = a b       da = dy b            db = dy a
 *   y = a / b     da = dy / b          db = -dy y / b
 *   y = a^b       da = dy b a^(b-1)    db = dy y log a
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <tgmath.h>

#define M34 {.shape = {2, {3, 4}}}
#define ROW {.shape = {1, {4}}}
#define ONE {.shape = {0, {0}}}
#define AWAY_M34 {.shape = {2, {3, 4}}, .low = 0.5, .high = 2}
#define TRUTH {.shape = {2, {3, 4}}, .boolean = true}
#define AWAY_COLUMN {.shape = {2, {3, 1}}, .low = 0.5, .high = 2}

static const gr_sample binary_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2},
    {.name = "row broadcast", .in = {M34, ROW}, .n_in = 2},
    {.name = "outer broadcast", .in = {{.shape = {2, {3, 1}}}, {.shape = {2, {1, 4}}}}, .n_in = 2},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, ROW}, .n_in = 2},
    {.name = "no common shape", .in = {M34, {.shape = {1, {3}}}}, .n_in = 2, .error = "cannot broadcast"},
    {0},
};

static const gr_sample positive_samples[] = {
    {.name = "matrix", .in = {AWAY_M34, AWAY_M34}, .n_in = 2},
    {.name = "column broadcast", .in = {AWAY_M34, AWAY_COLUMN}, .n_in = 2},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, ROW}, .n_in = 2},
    {.name = "no common shape", .in = {M34, {.shape = {1, {3}}}}, .n_in = 2, .error = "cannot broadcast"},
    {0},
};

static const gr_sample unary_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1},
    {.name = "scalar", .in = {ONE}, .n_in = 1},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1},
    {.name = "booleans", .in = {TRUTH}, .n_in = 1, .error = "not defined for bool"},
    {0},
};

/* --- add, sub --- */

GR__BINARY(add, a + b)
GR__TILE2(add, int64_t, int64_t, i64, a + b)

static void add_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
    p->dx[1] = p->dy[0];
}

static const gr_op add_op = {
    .name = "add",
    .family = "arithmetic",
    .formula = "y = a + b",
    .derivation = "dy/da = 1 and dy/db = 1, so da = dy, db = dy",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .tile = {[GR_F32] = add_f32, [GR_F64] = add_f64, [GR_I64] = add_i64},
    .vjp = add_vjp,
    .samples = binary_samples,
};

gr_tensor *gr_add(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&add_op, a, b, GR_HERE);
}

GR__BINARY(sub, a - b)
GR__TILE2(sub, int64_t, int64_t, i64, a - b)

static void sub_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
    if (p->wants[1]) p->dx[1] = gr_neg(p->dy[0]);
}

static const gr_op sub_op = {
    .name = "sub",
    .family = "arithmetic",
    .formula = "y = a - b",
    .derivation = "dy/da = 1 and dy/db = -1, so da = dy, db = -dy",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .tile = {[GR_F32] = sub_f32, [GR_F64] = sub_f64, [GR_I64] = sub_i64},
    .vjp = sub_vjp,
    .samples = binary_samples,
};

gr_tensor *gr_sub(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&sub_op, a, b, GR_HERE);
}

/* --- mul, div --- */

GR__BINARY(mul, a *b)
GR__TILE2(mul, int64_t, int64_t, i64, a *b)

/* [mul] */
static void mul_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = gr_mul(p->dy[0], p->x[1]);
    if (p->wants[1]) p->dx[1] = gr_mul(p->dy[0], p->x[0]);
}
/* [end] */

static const gr_op mul_op = {
    .name = "mul",
    .family = "arithmetic",
    .formula = "y = a b",
    .derivation = "dy/da = b and dy/db = a, so da = dy b, db = dy a",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = {[GR_F32] = mul_f32, [GR_F64] = mul_f64, [GR_I64] = mul_i64},
    .vjp = mul_vjp,
    .samples = binary_samples,
};

gr_tensor *gr_mul(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&mul_op, a, b, GR_HERE);
}

GR__BINARY(div, a / b)

static void div_vjp(gr_pullback *p)
{
    gr_tensor *da = gr_div(p->dy[0], p->x[1]);
    p->dx[0] = da;
    if (p->wants[1]) p->dx[1] = gr_neg(gr_mul(da, p->y[0]));
}

static const gr_op div_op = {
    .name = "div",
    .family = "arithmetic",
    .formula = "y = a / b",
    .derivation = "dy/da = 1/b and dy/db = -a/b^2 = -y/b, so da = dy/b, db = -da y",
    .n_in = 2,
    .reads = GR_READS_IN(1) | GR_READS_OUT(0),
    .tile = GR__TILES(div),
    .vjp = div_vjp,
    .samples = positive_samples,
};

/* Division by zero gives Inf or NaN, as IEEE 754 says. */
gr_tensor *gr_div(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&div_op, a, b, GR_HERE);
}

/* --- pow --- */

GR__BINARY(pow, pow(a, b))

/* log a matters only where y does not vanish: 0^b with b > 0 has the derivative 0 in b. */
static void pow_vjp(gr_pullback *p)
{
    gr_tensor *a = p->x[0], *b = p->x[1], *y = p->y[0], *dy = p->dy[0];
    gr_tensor *zero = gr_zeros(p->graph, gr_dtype_of(y), *gr_shape_of(y));
    if (p->wants[0]) {
        gr_tensor *slope = gr_mul(b, gr_pow(a, gr_shift(b, -1)));
        p->dx[0] = gr_mul(dy, gr_where(gr_equal(b, zero), zero, slope));
    }
    if (p->wants[1]) {
        gr_tensor *slope = gr_mul(y, gr_log(a));
        p->dx[1] = gr_mul(dy, gr_where(gr_equal(y, zero), zero, slope));
    }
}

static const gr_op pow_op = {
    .name = "pow",
    .family = "arithmetic",
    .formula = "y = a^b",
    .derivation = "y = exp(b log a), so dy/da = b a^(b-1) and dy/db = y log a",
    .ties = "0^0 = 1 with derivative 0 in a; 0^b for b > 0 has derivative 0 in b (PyTorch's choice)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(0),
    .tile = GR__TILES(pow),
    .vjp = pow_vjp,
    .samples = positive_samples,
};

/* A negative a gives NaN unless b is an integer; the derivative in b is NaN there. */
gr_tensor *gr_pow(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&pow_op, a, b, GR_HERE);
}

/* --- with a number --- */

GR__UNARY(neg, -x)
GR__TILE1(neg, int64_t, i64, GR__NO_ATTR, (int64_t)(0 - (uint64_t)x))

static void neg_vjp(gr_pullback *p)
{
    p->dx[0] = gr_neg(p->dy[0]);
}

static const gr_op neg_op = {
    .name = "neg",
    .family = "arithmetic",
    .formula = "y = -x",
    .derivation = "dy/dx = -1, so dx = -dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .tile = {[GR_F32] = neg_f32, [GR_F64] = neg_f64, [GR_I64] = neg_i64},
    .vjp = neg_vjp,
    .samples = unary_samples,
};

/* -x; of int64 too, where the least number is its own negative. */
gr_tensor *gr_neg(gr_tensor *x)
{
    return gr__unary(&neg_op, x, NULL, GR_HERE);
}

typedef struct number_attrs {
    double value;
} number_attrs;

static const gr_field number_fields[] = {GR_FIELD(number_attrs, value, GR_FIELD_F64), {0}};

static const gr_sample number_samples[] = {
    {.name = "matrix", .in = {M34}, .n_in = 1, .attrs = &(const number_attrs){-1.75}},
    {.name = "zero", .in = {M34}, .n_in = 1, .attrs = &(const number_attrs){0}},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = &(const number_attrs){3}},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = &(const number_attrs){3}},
    {.name = "booleans", .in = {TRUTH}, .n_in = 1, .attrs = &(const number_attrs){3}, .error = "not defined for bool"},
    {0},
};

GR__UNARY_A(scale, a *x)

static void scale_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(p->dy[0], ((const number_attrs *)p->attrs)->value);
}

static const gr_op scale_op = {
    .name = "scale",
    .family = "arithmetic",
    .formula = "y = value x",
    .derivation = "dy/dx = value, so dx = value dy",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(number_attrs),
    .fields = number_fields,
    .tile = GR__TILES(scale),
    .vjp = scale_vjp,
    .samples = number_samples,
};

gr_tensor *gr_scale(gr_tensor *x, double a)
{
    return gr__unary(&scale_op, x, &(number_attrs){a}, GR_HERE);
}

GR__UNARY_A(shift, x + a)

static void shift_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
}

static const gr_op shift_op = {
    .name = "shift",
    .family = "arithmetic",
    .formula = "y = x + value",
    .derivation = "dy/dx = 1, so dx = dy",
    .n_in = 1,
    .attrs_size = sizeof(number_attrs),
    .fields = number_fields,
    .tile = GR__TILES(shift),
    .vjp = shift_vjp,
    .samples = number_samples,
};

gr_tensor *gr_shift(gr_tensor *x, double b)
{
    return gr__unary(&shift_op, x, &(number_attrs){b}, GR_HERE);
}

const gr_op *const gr__arithmetic_ops[] = {
    &add_op, &sub_op, &mul_op, &div_op, &pow_op, &neg_op, &scale_op, &shift_op, NULL,
};
