/* select.c - choosing, comparing, converting.
 *
 *   y = max(a, b)     da = dy [a > b] + dy/2 [a = b]
 *   y = c ? a : b     da = dy [c]     db = dy [not c]
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <math.h>

#define M34 {.shape = {2, {3, 4}}}
#define ROW {.shape = {1, {4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}

static const gr_sample pair_samples[] = {
    {.name = "matrix", .in = {M34, M34}, .n_in = 2},
    {.name = "row broadcast", .in = {M34, ROW}, .n_in = 2},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {EMPTY, ROW}, .n_in = 2},
    {.name = "mixed", .in = {M34, {.shape = {2, {3, 4}}, .integer = true, .low = 0, .high = 3}}, .n_in = 2, .error = "cannot mix"},
    {.name = "no common shape", .in = {M34, {.shape = {1, {3}}}}, .n_in = 2, .error = "cannot broadcast"},
    {0},
};

/* --- kinks where a = b --- */

static double float_at(const gr_value *v, int64_t i)
{
    return v->dtype == GR_F32 ? (double)((const float *)v->data)[i] : ((const double *)v->data)[i];
}

/* Which of the two is larger, element by element. */
static void pair_branch(const gr_exec *e, gr_branch *b)
{
    if (!gr__is_float(e->in[0].dtype)) return;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        double d = float_at(&e->in[0], i) - float_at(&e->in[1], i);
        gr_branch_add(b, d > 0 ? 1 : d < 0 ? 2 : 3, fabs(d));
    }
}

/* --- maximum, minimum: NaN wins --- */

GR__BINARY(maximum, a > b || a != a ? a : b)
GR__BINARY(minimum, a < b || a != a ? a : b)

/* dy where `first` chose a, half of it at ties. */
static void choose_vjp(gr_pullback *p, gr_tensor *a_chosen, gr_tensor *b_chosen)
{
    gr_tensor *dy = p->dy[0];
    gr_tensor *zero = gr_zeros(p->graph, gr_dtype_of(dy), *gr_shape_of(dy));
    gr_tensor *tie = gr_equal(p->x[0], p->x[1]);
    gr_tensor *shared = gr_where(tie, gr_scale(dy, 0.5), zero);
    if (p->wants[0]) p->dx[0] = gr_where(a_chosen, dy, shared);
    if (p->wants[1]) p->dx[1] = gr_where(b_chosen, dy, shared);
}

static void maximum_vjp(gr_pullback *p)
{
    choose_vjp(p, gr_greater(p->x[0], p->x[1]), gr_less(p->x[0], p->x[1]));
}

static void minimum_vjp(gr_pullback *p)
{
    choose_vjp(p, gr_less(p->x[0], p->x[1]), gr_greater(p->x[0], p->x[1]));
}

static const gr_op maximum_op = {
    .name = "maximum",
    .family = "select",
    .formula = "y = max(a, b)",
    .derivation = "y moves with the larger one alone: da = dy where a > b, db = dy where b > a",
    .ties = "a = b: each gets dy/2 (PyTorch's choice)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(maximum),
    .vjp = maximum_vjp,
    .branch = pair_branch,
    .samples = pair_samples,
};

static const gr_op minimum_op = {
    .name = "minimum",
    .family = "select",
    .formula = "y = min(a, b)",
    .derivation = "y moves with the smaller one alone: da = dy where a < b, db = dy where b < a",
    .ties = "a = b: each gets dy/2 (PyTorch's choice)",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(minimum),
    .vjp = minimum_vjp,
    .branch = pair_branch,
    .samples = pair_samples,
};

gr_tensor *gr_maximum(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&maximum_op, a, b, GR_HERE);
}

gr_tensor *gr_minimum(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&minimum_op, a, b, GR_HERE);
}

/* --- where --- */

static bool where_infer(gr_infer *c)
{
    if (gr_dtype_of(c->in[0]) != GR_BOOL)
        return gr_infer_fail(c, "the condition is %s, expected bool",
                             gr_dtype_name(gr_dtype_of(c->in[0])));
    if (!gr__same_dtype(c, 1, 2)) return false;
    c->dtype[0] = gr_dtype_of(c->in[1]);
    return true;
}

#define WHERE(T, suffix)                                                                           \
    GR__CLONES static void where_##suffix(const gr_tile *t)                                        \
    {                                                                                              \
        const uint8_t *restrict c = t->x[0];                                                       \
        const T *restrict a = t->x[1], *restrict b = t->x[2];                                      \
        T *restrict y = t->y;                                                                      \
        for (int64_t i = 0; i < t->n; i++) y[i] = c[i] ? a[i] : b[i];                              \
    }
WHERE(float, f32)
WHERE(double, f64)

static void where_vjp(gr_pullback *p)
{
    gr_tensor *c = p->x[0], *dy = p->dy[0];
    gr_tensor *zero = gr_zeros(p->graph, gr_dtype_of(dy), *gr_shape_of(dy));
    if (p->wants[1]) p->dx[1] = gr_where(c, dy, zero);
    if (p->wants[2]) p->dx[2] = gr_where(c, zero, dy);
}

#define COND {.shape = {2, {3, 4}}, .boolean = true}

static const gr_sample where_samples[] = {
    {.name = "matrix", .in = {COND, M34, M34}, .n_in = 3},
    {.name = "broadcast", .in = {COND, ROW, ONE}, .n_in = 3},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}, .boolean = true}, ROW, ONE}, .n_in = 3},
    {.name = "no condition", .in = {M34, M34, M34}, .n_in = 3, .error = "expected bool"},
    {0},
};

static const gr_op where_op = {
    .name = "where",
    .family = "select",
    .formula = "y = c ? a : b",
    .derivation = "y is a where c, b elsewhere: da = dy where c, db = dy where not c",
    .n_in = 3,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(0),
    .infer = where_infer,
    .tile = GR__TILES(where),
    .vjp = where_vjp,
    .samples = where_samples,
};

/* cond is bool; a and b are of one floating dtype. */
gr_tensor *gr_where(gr_tensor *cond, gr_tensor *a, gr_tensor *b)
{
    gr_tensor *in[3] = {cond, a, b};
    return gr__apply(NULL, &where_op, in, 3, NULL, GR_HERE);
}

/* --- comparisons --- */

static bool compare_infer(gr_infer *c)
{
    if (!gr__same_dtype(c, 0, 1)) return false;
    c->dtype[0] = GR_BOOL;
    return true;
}

/* One comparison: its tiles for every dtype, its op and its function. */
#define COMPARE(NAME, SIGN, FORMULA)                                                               \
    GR__TILE2(NAME, float, uint8_t, f32, a SIGN b)                                                 \
    GR__TILE2(NAME, double, uint8_t, f64, a SIGN b)                                                \
    GR__TILE2(NAME, int64_t, uint8_t, i64, a SIGN b)                                               \
    GR__TILE2(NAME, uint8_t, uint8_t, u8, a SIGN b)                                                \
    static const gr_op NAME##_op = {                                                               \
        .name = #NAME,                                                                             \
        .family = "select",                                                                        \
        .formula = FORMULA,                                                                        \
        .derivation = "a truth value does not move with a or b: no gradient",                      \
        .ties = "the derivative is 0 wherever it exists",                                          \
        .n_in = 2,                                                                                 \
        .flags = GR_OP_CONSTANT,                                                                   \
        .infer = compare_infer,                                                                    \
        .tile = {NAME##_f32, NAME##_f64, NAME##_i64, NAME##_u8, NAME##_u8},                        \
        .branch = pair_branch,                                                                     \
        .samples = pair_samples,                                                                   \
    };

COMPARE(equal, ==, "y = [a = b]")
COMPARE(not_equal, !=, "y = [a != b]")
COMPARE(less, <, "y = [a < b]")
COMPARE(less_equal, <=, "y = [a <= b]")
COMPARE(greater, >, "y = [a > b]")
COMPARE(greater_equal, >=, "y = [a >= b]")

gr_tensor *gr_equal(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&equal_op, a, b, GR_HERE);
}

gr_tensor *gr_not_equal(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&not_equal_op, a, b, GR_HERE);
}

gr_tensor *gr_less(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&less_op, a, b, GR_HERE);
}

gr_tensor *gr_less_equal(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&less_equal_op, a, b, GR_HERE);
}

gr_tensor *gr_greater(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&greater_op, a, b, GR_HERE);
}

gr_tensor *gr_greater_equal(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&greater_equal_op, a, b, GR_HERE);
}

/* --- cast --- */

typedef struct cast_attrs {
    gr_dtype dtype;
} cast_attrs;

static bool cast_infer(gr_infer *c)
{
    gr_dtype to = ((const cast_attrs *)c->attrs)->dtype;
    if ((unsigned)to >= GR_DTYPES) return gr_infer_fail(c, "%d is not a dtype", (int)to);
    c->dtype[0] = to;
    return true;
}

/* Out of range or NaN, a float gives the nearest integer there is, NaN 0: C leaves it undefined. */
static int64_t to_integer(double x, double low, double high)
{
    if (x != x) return 0;
    if (x <= low) return (int64_t)low;
    return x >= high ? (high > 1e18 ? INT64_MAX : (int64_t)high) : (int64_t)x;
}

#define CAST_LOOP(T, expr)                                                                         \
    {                                                                                              \
        T *restrict y = t->y;                                                                      \
        for (int64_t i = 0; i < t->n; i++) y[i] = (T)(expr);                                       \
        break;                                                                                     \
    }
#define CAST(FROM, suffix, TO_I64, TO_U8)                                                          \
    GR__CLONES static void cast_##suffix(const gr_tile *t)                                         \
    {                                                                                              \
        const FROM *restrict x = t->x[0];                                                          \
        switch (((const cast_attrs *)t->attrs)->dtype) {                                           \
        case GR_F32: CAST_LOOP(float, x[i])                                                        \
        case GR_F64: CAST_LOOP(double, x[i])                                                       \
        case GR_I64: CAST_LOOP(int64_t, TO_I64)                                                    \
        case GR_U8: CAST_LOOP(uint8_t, TO_U8)                                                      \
        case GR_BOOL: CAST_LOOP(uint8_t, x[i] != 0)                                                \
        case GR_DTYPES: break;                                                                     \
        }                                                                                          \
    }
CAST(float, f32, to_integer((double)x[i], -0x1p63, 0x1p63), to_integer((double)x[i], 0, 255))
CAST(double, f64, to_integer(x[i], -0x1p63, 0x1p63), to_integer(x[i], 0, 255))
CAST(int64_t, i64, x[i], x[i] < 0 ? 0 : x[i] > 255 ? 255 : x[i])
CAST(uint8_t, u8, x[i], x[i])

static void cast_vjp(gr_pullback *p)
{
    p->dx[0] = gr_cast(p->dy[0], gr_dtype_of(p->x[0]));
}

static const gr_field cast_fields[] = {GR_FIELD(cast_attrs, dtype, GR_FIELD_DTYPE), {0}};

static const gr_sample cast_samples[] = {
    {.name = "to float64", .in = {M34}, .n_in = 1, .attrs = &(const cast_attrs){GR_F64}},
    {.name = "to int64", .in = {M34}, .n_in = 1, .attrs = &(const cast_attrs){GR_I64}},
    {.name = "to bool", .in = {M34}, .n_in = 1, .attrs = &(const cast_attrs){GR_BOOL}},
    {.name = "from int64", .in = {{.shape = {1, {4}}, .integer = true, .low = -3, .high = 9}}, .n_in = 1, .attrs = &(const cast_attrs){GR_F64}},
    {.name = "no dtype", .in = {M34}, .n_in = 1, .attrs = &(const cast_attrs){GR_DTYPES}, .error = "is not a dtype"},
    {0},
};

static const gr_op cast_op = {
    .name = "cast",
    .family = "select",
    .formula = "y = x in another dtype",
    .derivation = "dy/dx = 1 between floating dtypes, so dx = dy in the dtype of x",
    .n_in = 1,
    .attrs_size = sizeof(cast_attrs),
    .fields = cast_fields,
    .infer = cast_infer,
    .tile = {cast_f32, cast_f64, cast_i64, cast_u8, cast_u8},
    .vjp = cast_vjp,
    .samples = cast_samples,
};

/* Floats become integers by dropping the fraction, cut to the range, NaN becomes 0; anything but
 * 0 is true. The gradient passes between float32 and float64, not through other dtypes. */
gr_tensor *gr_cast(gr_tensor *x, gr_dtype dtype)
{
    if (x && gr_dtype_of(x) == dtype) return x;
    return gr__unary(&cast_op, x, &(cast_attrs){dtype}, GR_HERE);
}

const gr_op *const gr__select_ops[] = {
    &maximum_op, &minimum_op, &where_op,   &equal_op,         &not_equal_op, &less_op,
    &less_equal_op, &greater_op, &greater_equal_op, &cast_op, NULL,
};
