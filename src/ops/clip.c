/* clip.c - straight lines cut at bounds, element by element.
 *
 *   clamp        y = min(max(x, a), b)           dx = dy [a <= x <= b]
 *   hardtanh     y = min(max(x, a), b)           dx = dy [a < x < b]
 *   relu6        y = min(max(x, 0), 6)           dx = dy [0 < x < 6]
 *   hardsigmoid  y = min(max(x + 3, 0), 6) / 6   dx = dy/6 [-3 < x < 3]
 *   hardswish    y = x hardsigmoid x             dx = dy (x/3 + 1/2) between -3 and 3, dy above
 *   threshold    y = x > a ? x : b               dx = dy [x > a]
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kink.h"
#include "window.h"

#include <math.h>

/* --- window: the backward of all that is cut --- */

#define WINDOW(T, suffix)                                                                          \
    GR__CLONES static void window_##suffix(const gr_tile *t)                                       \
    {                                                                                              \
        const T *restrict s = t->x[0], *restrict x = t->x[1];                                      \
        T *restrict y = t->y;                                                                      \
        const gr__window w = *(const gr__window *)t->attrs;                                        \
        const T low = (T)w.low, high = (T)w.high, in = (T)w.inside, out = (T)w.outside;            \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const bool open = (s[i] > low) & (s[i] < high);                                        \
            const bool on = (s[i] == low) | (s[i] == high);                                        \
            const bool within = open | (w.closed & on & (low <= high));                            \
            const T factor = within ? in : out;                                                    \
            y[i] = factor == 0 ? 0 : factor * x[i];                                                \
        }                                                                                          \
    }
WINDOW(float, f32)
WINDOW(double, f64)

static void window_vjp(gr_pullback *p)
{
    if (p->wants[1]) p->dx[1] = gr__window_of(p->x[0], p->dy[0], p->attrs);
}

static void window_branch(const gr_exec *e, gr_branch *b)
{
    const gr__window *w = e->attrs;
    gr__branch_at(e, 0, &w->low, 2, b);
}

static const gr_field window_fields[] = {
    GR_FIELD(gr__window, low, GR_FIELD_F64),     GR_FIELD(gr__window, high, GR_FIELD_F64),
    GR_FIELD(gr__window, inside, GR_FIELD_F64),  GR_FIELD(gr__window, outside, GR_FIELD_F64),
    GR_FIELD(gr__window, closed, GR_FIELD_BOOL), {0},
};

#define BOUNDS(...) &(const gr__window){__VA_ARGS__}

static const gr_sample window_samples[] = {
    {.name = "open", .in = {M34, M34}, .n_in = 2, .attrs = BOUNDS(-0.4, 0.6, 0.7, -0.3, false)},
    {.name = "closed", .in = {M34, M34}, .n_in = 2, .attrs = BOUNDS(-0.5, 0.2, 1, 0, true)},
    {.name = "outside", .in = {M34, ROW}, .n_in = 2, .attrs = BOUNDS(-0.5, 0.5, 0, 1, true)},
    {.name = "one bound", .in = {M34, M34}, .n_in = 2, .attrs = BOUNDS(-INFINITY, 0.1, 1, 0, true)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = BOUNDS(-2, 2, 1, 0, true)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = BOUNDS(-1, 1, 1, 0, true)},
    {.name = "integers",
     .in = {WHOLE, WHOLE},
     .n_in = 2,
     .attrs = BOUNDS(0, 1, 1, 0, true),
     .error = "not defined for int64"},
    {0},
};

static const gr_op window_op = {
    .name = "window",
    .family = "clip",
    .formula = "y = (low < s < high ? inside : outside) x; closed: the bounds are inside",
    .derivation = "linear in x with the factor inside or outside, so dx = that factor times dy; s "
                  "only chooses, so ds = 0",
    .ties = "s = low or s = high: inside if closed, else outside",
    .n_in = 2,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(gr__window),
    .fields = window_fields,
    .tile = GR__TILES(window),
    .vjp = window_vjp,
    .branch = window_branch,
    .samples = window_samples,
};

gr_tensor *gr__window_of(gr_tensor *s, gr_tensor *x, const gr__window *w)
{
    gr_tensor *in[2] = {s, x};
    return gr__apply(NULL, &window_op, in, 2, w, GR_HERE);
}

/* --- clamp, hardtanh, relu6 --- */

typedef struct bounds_attrs {
    double min, max;
} bounds_attrs;

static const gr_field bounds_fields[] = {
    GR_FIELD(bounds_attrs, min, GR_FIELD_F64),
    GR_FIELD(bounds_attrs, max, GR_FIELD_F64),
    {0},
};

#define MIN_MAX(T)                                                                                 \
    const bounds_attrs *o = t->attrs;                                                              \
    const T min = (T)o->min, max = (T)o->max;
#define CUT(x) ((x) > max ? max : (x))
#define RAISED (x < min ? min : x)
GR__TILE1(clamp, float, f32, MIN_MAX, CUT(RAISED))
GR__TILE1(clamp, double, f64, MIN_MAX, CUT(RAISED))

static bool clamp_infer(gr_infer *c)
{
    const bounds_attrs *a = c->attrs;
    if (a->min == a->min && a->max == a->max) return true;
    return gr_infer_fail(c, "a bound is NaN; -INFINITY or INFINITY is none");
}

static bool hardtanh_infer(gr_infer *c)
{
    const bounds_attrs *a = c->attrs;
    if (a->min < a->max) return true;
    return gr_infer_fail(c, "the bounds are %g and %g, expected min < max", a->min, a->max);
}

static void bounds_branch(const gr_exec *e, gr_branch *b)
{
    const bounds_attrs *a = e->attrs;
    gr__branch_at(e, 0, &a->min, 2, b);
}

static gr_tensor *pass_between(gr_pullback *p, bool closed)
{
    const bounds_attrs *a = p->attrs;
    const gr__window w = {.low = a->min, .high = a->max, .inside = 1, .closed = closed};
    return gr__window_of(p->x[0], p->dy[0], &w);
}

static void clamp_vjp(gr_pullback *p)
{
    p->dx[0] = pass_between(p, true);
}

static void hardtanh_vjp(gr_pullback *p)
{
    p->dx[0] = pass_between(p, false);
}

#define MINMAX(MIN, MAX) &(const bounds_attrs){MIN, MAX}
#define BOUNDED_CASES                                                                              \
    MATRIX("all sides", -1, 1, MINMAX(-0.5, 0.3)), MATRIX("inside", -1, 1, MINMAX(-2, 1.5)),       \
        MATRIX("low", -1, -0.6, MINMAX(-0.5, 0.3)), MATRIX("high", 0.4, 1, MINMAX(-0.5, 0.3)),     \
        MATRIX("one bound", -1, 1, MINMAX(-INFINITY, 0.25)), SCALAR(-1, 1, MINMAX(-2, 2)),         \
        NOTHING(MINMAX(0, 1)), NOT_FLOAT(MINMAX(0, 1))

static const gr_sample clamp_samples[] = {
    BOUNDED_CASES,
    MATRIX("crossed", -1, 1, MINMAX(0.5, -0.5)),
    {.name = "no number", .in = {M34}, .n_in = 1, .attrs = MINMAX(NAN, 1), .error = "is NaN"},
    {0},
};

static const gr_sample hardtanh_samples[] = {
    BOUNDED_CASES,
    {.name = "crossed",
     .in = {M34},
     .n_in = 1,
     .attrs = MINMAX(1, -1),
     .error = "expected min < max"},
    {0},
};

static const gr_op clamp_op = {
    .name = "clamp",
    .family = "clip",
    .formula = "y = min(max(x, min), max)",
    .derivation = "dy/dx is 1 between the bounds and 0 beyond, so dx = dy where min <= x <= max",
    .ties = "x = min or x = max: the derivative is 1 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(bounds_attrs),
    .fields = bounds_fields,
    .infer = clamp_infer,
    .tile = GR__TILES(clamp),
    .vjp = clamp_vjp,
    .branch = bounds_branch,
    .samples = clamp_samples,
};

/* x cut to [min, max]; -INFINITY or INFINITY for no bound. Where min > max all become max and no
 * gradient flows. NaN stays NaN; a bound that is NaN is an error. */
gr_tensor *gr_clamp(gr_tensor *x, double min, double max)
{
    return gr__unary(&clamp_op, x, &(bounds_attrs){min, max}, GR_HERE);
}

static const gr_op hardtanh_op = {
    .name = "hardtanh",
    .family = "clip",
    .formula = "y = min(max(x, min), max)",
    .derivation = "dy/dx is 1 between the bounds and 0 beyond, so dx = dy where min < x < max",
    .ties = "x = min or x = max: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(bounds_attrs),
    .fields = bounds_fields,
    .infer = hardtanh_infer,
    .tile = GR__TILES(clamp),
    .vjp = hardtanh_vjp,
    .branch = bounds_branch,
    .samples = hardtanh_samples,
};

/* x cut to [min, max], in PyTorch -1 and 1 by default; clamp with the other derivative at the
 * bounds. NaN stays NaN; min >= max is an error. */
gr_tensor *gr_hardtanh(gr_tensor *x, double min, double max)
{
    return gr__unary(&hardtanh_op, x, &(bounds_attrs){min, max}, GR_HERE);
}

static gr_tensor *relu6_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    return gr_hardtanh(x[0], 0, 6);
}

static const gr_sample relu6_samples[] = {
    MATRIX("all sides", -3, 9, NULL),
    MATRIX("above", 6.5, 9, NULL),
    SCALAR(1, 5, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

static const gr_op relu6_op = {
    .name = "relu6",
    .family = "clip",
    .formula = "y = min(max(x, 0), 6)",
    .derivation = "dy/dx is 1 between 0 and 6 and 0 beyond, so dx = dy where 0 < x < 6",
    .ties = "x = 0 or x = 6: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .define = relu6_define,
    .samples = relu6_samples,
};

/* relu that stops at 6. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010. */
gr_tensor *gr_relu6(gr_tensor *x)
{
    return gr__unary(&relu6_op, x, NULL, GR_HERE);
}

/* --- hardsigmoid, hardswish --- */

static void branch_at_three(const gr_exec *e, gr_branch *b)
{
    gr__branch_at(e, 0, (const double[]){-3, 3}, 2, b);
}

static const gr_sample hard_samples[] = {
    MATRIX("all sides", -6, 6, NULL),
    MATRIX("below", -6, -4, NULL),
    MATRIX("above", 4, 6, NULL),
    MATRIX("between", -2, 2, NULL),
    SCALAR(-2, 2, NULL),
    NOTHING(NULL),
    NOT_FLOAT(NULL),
    {0},
};

GR__UNARY(hardsigmoid, x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6)

static void hardsigmoid_vjp(gr_pullback *p)
{
    const gr__window w = {.low = -3, .high = 3, .inside = 1.0 / 6};
    p->dx[0] = gr__window_of(p->x[0], p->dy[0], &w);
}

static const gr_op hardsigmoid_op = {
    .name = "hardsigmoid",
    .family = "clip",
    .formula = "y = min(max(x + 3, 0), 6) / 6",
    .derivation = "dy/dx is 1/6 between -3 and 3 and 0 beyond, so dx = dy/6 where -3 < x < 3",
    .ties = "x = -3 or x = 3: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(hardsigmoid),
    .vjp = hardsigmoid_vjp,
    .branch = branch_at_three,
    .samples = hard_samples,
};

/* The sigmoid in three straight pieces; NaN stays NaN. */
gr_tensor *gr_hardsigmoid(gr_tensor *x)
{
    return gr__unary(&hardsigmoid_op, x, NULL, GR_HERE);
}

GR__UNARY(hardswish_slope, x<-3 ? 0 : x> 3 ? 1 : (2 * x + 3) / 6)

static void hardswish_slope_vjp(gr_pullback *p)
{
    const gr__window w = {.low = -3, .high = 3, .inside = 1.0 / 3, .closed = true};
    p->dx[0] = gr__window_of(p->x[0], p->dy[0], &w);
}

static const gr_op hardswish_slope_op = {
    .name = "hardswish_slope",
    .family = "clip",
    .formula = "y = x/3 + 1/2 between -3 and 3, 0 below, 1 above: the derivative of hardswish",
    .derivation = "the slope of the line, 1/3, between -3 and 3: dx = dy/3 there and 0 beyond",
    .ties = "x = -3 or x = 3, where y jumps: as between, y = -1/2 or 3/2, with derivative 1/3",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(hardswish_slope),
    .vjp = hardswish_slope_vjp,
    .branch = branch_at_three,
    .samples = hard_samples,
};

GR__UNARY(hardswish, x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6)

static void hardswish_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr__unary(&hardswish_slope_op, p->x[0], NULL, GR_HERE));
}

static const gr_op hardswish_op = {
    .name = "hardswish",
    .family = "clip",
    .formula = "y = x min(max(x + 3, 0), 6) / 6",
    .derivation =
        "y = (x^2 + 3 x) / 6 between -3 and 3 has the derivative x/3 + 1/2; below 0, above 1",
    .ties = "x = -3: the derivative is -1/2, x = 3: 3/2 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(hardswish),
    .vjp = hardswish_vjp,
    .branch = branch_at_three,
    .samples = hard_samples,
};

/* x hardsigmoid(x); NaN stays NaN, -Inf gives 0. Howard et al., "Searching for MobileNetV3",
 * 2019. */
gr_tensor *gr_hardswish(gr_tensor *x)
{
    return gr__unary(&hardswish_op, x, NULL, GR_HERE);
}

/* --- threshold --- */

typedef struct threshold_attrs {
    double threshold, value;
} threshold_attrs;

static const gr_field threshold_fields[] = {
    GR_FIELD(threshold_attrs, threshold, GR_FIELD_F64),
    GR_FIELD(threshold_attrs, value, GR_FIELD_F64),
    {0},
};

#define THRESHOLD_VALUE(T)                                                                         \
    const threshold_attrs *o = t->attrs;                                                           \
    const T threshold = (T)o->threshold, value = (T)o->value;
GR__TILE1(threshold, float, f32, THRESHOLD_VALUE, x <= threshold ? value : x)
GR__TILE1(threshold, double, f64, THRESHOLD_VALUE, x <= threshold ? value : x)

static void threshold_vjp(gr_pullback *p)
{
    const threshold_attrs *a = p->attrs;
    const gr__window w = {.low = -INFINITY, .high = a->threshold, .outside = 1, .closed = true};
    p->dx[0] = gr__window_of(p->x[0], p->dy[0], &w);
}

static void threshold_branch(const gr_exec *e, gr_branch *b)
{
    gr__branch_at(e, 0, &((const threshold_attrs *)e->attrs)->threshold, 1, b);
}

#define FROM(T, V) &(const threshold_attrs){T, V}

static const gr_sample threshold_samples[] = {
    MATRIX("both sides", -1, 1, FROM(0.25, -2)),
    MATRIX("above", 0.1, 1, FROM(0, 0.5)),
    MATRIX("below", -1, -0.1, FROM(0, 0.5)),
    SCALAR(-1, 1, FROM(-2, 1)),
    NOTHING(FROM(0, 0)),
    NOT_FLOAT(FROM(0, 0)),
    {0},
};

static const gr_op threshold_op = {
    .name = "threshold",
    .family = "clip",
    .formula = "y = x > threshold ? x : value",
    .derivation = "y moves with x above the threshold alone, so dx = dy there and 0 elsewhere",
    .ties = "x = threshold: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(threshold_attrs),
    .fields = threshold_fields,
    .tile = GR__TILES(threshold),
    .vjp = threshold_vjp,
    .branch = threshold_branch,
    .samples = threshold_samples,
};

/* x above the threshold, value elsewhere; NaN stays NaN. */
gr_tensor *gr_threshold(gr_tensor *x, double threshold, double value)
{
    return gr__unary(&threshold_op, x, &(threshold_attrs){threshold, value}, GR_HERE);
}

const gr_op *const gr__clip_ops[] = {
    &window_op,          &clamp_op,     &hardtanh_op,  &relu6_op, &hardsigmoid_op,
    &hardswish_slope_op, &hardswish_op, &threshold_op, NULL,
};
