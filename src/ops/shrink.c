/* shrink.c - what is small becomes zero, element by element.
 *
 *   hardshrink  y = |x| > a ? x : 0                  dx = dy [|x| > a]
 *   softshrink  y = x - a, x + a or 0                dx = dy [|x| > a]
 *   tanhshrink  y = x - tanh x                       dx = dy tanh^2 x
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "elementwise.h"
#include "kink.h"
#include "window.h"

#include <math.h>

/* --- hardshrink, softshrink --- */

typedef struct shrink_attrs {
    double lambda;
} shrink_attrs;

static const gr_field shrink_fields[] = {GR_FIELD(shrink_attrs, lambda, GR_FIELD_F64), {0}};

static bool shrink_infer(gr_infer *c)
{
    const double lambda = ((const shrink_attrs *)c->attrs)->lambda;
    if (lambda >= 0 && lambda < INFINITY) return true;
    return gr_infer_fail(c, "lambda is %g, expected a finite number >= 0", lambda);
}

static void hardshrink_vjp(gr_pullback *p)
{
    const double lambda = ((const shrink_attrs *)p->attrs)->lambda;
    const gr__window beyond = {.low = -lambda, .high = lambda, .outside = 1, .closed = true};
    p->dx[0] = gr__window_of(p->x[0], p->dy[0], &beyond);
}

static void softshrink_vjp(gr_pullback *p)
{
    hardshrink_vjp(p);
}

static void shrink_branch(const gr_exec *e, gr_branch *b)
{
    const double lambda = ((const shrink_attrs *)e->attrs)->lambda;
    gr__branch_at(e, 0, (const double[]){-lambda, lambda}, 2, b);
}

#define LAMBDA(X) &(const shrink_attrs){X}

static const gr_sample shrink_samples[] = {
    MATRIX("all sides", -1, 1, LAMBDA(0.5)),
    MATRIX("above", 0.3, 1, LAMBDA(0.2)),
    MATRIX("below", -1, -0.3, LAMBDA(0.2)),
    MATRIX("small", -0.4, 0.4, LAMBDA(0.5)),
    SCALAR(0.6, 1, LAMBDA(0.5)),
    NOTHING(LAMBDA(0.5)),
    NOT_FLOAT(LAMBDA(0.5)),
    {.name = "negative",
     .in = {M34},
     .n_in = 1,
     .attrs = LAMBDA(-0.5),
     .error = "expected a finite"},
    {0},
};

GR__UNARY_A(hardshrink, ((x >= -a) & (x <= a)) ? 0 : x)

static const gr_op hardshrink_op = {
    .name = "hardshrink",
    .family = "shrink",
    .formula = "y = |x| > lambda ? x : 0",
    .derivation = "dy/dx is 1 beyond lambda and -lambda, 0 between, so dx = dy where |x| > lambda",
    .ties = "|x| = lambda: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(shrink_attrs),
    .fields = shrink_fields,
    .infer = shrink_infer,
    .tile = GR__TILES(hardshrink),
    .vjp = hardshrink_vjp,
    .branch = shrink_branch,
    .samples = shrink_samples,
};

/* x beyond lambda and -lambda, 0 between; NaN stays NaN. PyTorch's default lambda is 0.5; it is
 * finite and not negative. */
gr_tensor *gr_hardshrink(gr_tensor *x, double lambda)
{
    return gr__unary(&hardshrink_op, x, &(shrink_attrs){lambda}, GR_HERE);
}

GR__UNARY_A(softshrink, x > a ? x - a : x < -a ? x + a : x != x ? x : 0)

static const gr_op softshrink_op = {
    .name = "softshrink",
    .family = "shrink",
    .formula = "y = x - lambda above lambda, x + lambda below -lambda, 0 between",
    .derivation = "dy/dx is 1 beyond lambda and -lambda, 0 between, so dx = dy where |x| > lambda",
    .ties = "|x| = lambda: the derivative is 0 (PyTorch's choice)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .attrs_size = sizeof(shrink_attrs),
    .fields = shrink_fields,
    .infer = shrink_infer,
    .tile = GR__TILES(softshrink),
    .vjp = softshrink_vjp,
    .branch = shrink_branch,
    .samples = shrink_samples,
};

/* x moved by lambda towards 0, and not past it; NaN stays NaN (PyTorch 1.13 gives 0). PyTorch's
 * default lambda is 0.5; it is finite and not negative. */
gr_tensor *gr_softshrink(gr_tensor *x, double lambda)
{
    return gr__unary(&softshrink_op, x, &(shrink_attrs){lambda}, GR_HERE);
}

/* --- tanhshrink --- */

static const gr_sample samples[] = SMOOTH(-3, 3);

GR__UNARY(tanhshrink, gr__tanhshrink(x))

static void tanhshrink_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_square(gr_tanh(p->x[0])));
}

static const gr_op tanhshrink_op = {
    .name = "tanhshrink",
    .family = "shrink",
    .formula = "y = x - tanh(x)",
    .derivation = "tanh has the derivative 1 - tanh^2, so dx = dy tanh(x)^2",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(tanhshrink),
    .vjp = tanhshrink_vjp,
    .samples = samples,
};

/* x - tanh(x), with all its digits near 0. */
gr_tensor *gr_tanhshrink(gr_tensor *x)
{
    return gr__unary(&tanhshrink_op, x, NULL, GR_HERE);
}

const gr_op *const gr__shrink_ops[] = {
    &hardshrink_op,
    &softshrink_op,
    &tanhshrink_op,
    NULL,
};
