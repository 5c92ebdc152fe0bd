/* squared_error.c - the squared error of few elements, as one node; that of many is made of parts.
 *
 *   y = f sum (x - t)^2     dx = 2 f dy (x - t) = -dt     squared_error_grad
 */
/* SPDX-License-Identifier: MIT */
#include "squared_error.h"
#include "family.h"

typedef struct factor_attrs {
    double factor;
} factor_attrs;

static const gr_field factor_fields[] = {GR_FIELD(factor_attrs, factor, GR_FIELD_F64), {0}};

#define HALF &(const factor_attrs){0.5}
#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}

static double factor_of(const void *attrs)
{
    return ((const factor_attrs *)attrs)->factor;
}

/* Whether inputs i and i + 1 are of one shape and dtype. */
static bool are_alike(gr_infer *c, int i)
{
    if (!gr_shape_equal(c->in[i]->shape, c->in[i + 1]->shape))
        return gr_infer_fail(c, "expected x and t of one shape, got %s and %s",
                             gr_infer_shape(c, i), gr_infer_shape(c, i + 1));
    for (int k = 1; k < c->n_in; k++)
        if (!gr__same_dtype(c, 0, k)) return false;
    return true;
}

/* --- backward --- */

/* y = 2 f dy (x - t) for a scalar dy. */
#define GRAD(NAME, T)                                                                \
    static gr_status NAME(gr_exec *e)                                                \
    {                                                                                \
        const T *dy = e->in[0].data, *x = e->in[1].data, *t = e->in[2].data;         \
        const T slope = (T)(2 * factor_of(e->attrs)) * *dy;                          \
        T *y = e->out[0].data;                                                       \
        for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n; i++)         \
            y[i] = slope * (x[i] - t[i]);                                            \
        return GR_OK;                                                                \
    }
GRAD(grad_f32, float)
GRAD(grad_f64, double)

static bool grad_infer(gr_infer *c)
{
    if (c->in[0]->shape->rank)
        return gr_infer_fail(c, "expected a scalar dy, got %s", gr_infer_shape(c, 0));
    c->shape[0] = *c->in[1]->shape;
    return are_alike(c, 1);
}

static void grad_vjp(gr_pullback *p)
{
    gr_tensor *u = p->dy[0], *dy = p->x[0], *x = p->x[1], *t = p->x[2];
    const double twice = 2 * factor_of(p->attrs);
    if (p->wants[0]) p->dx[0] = gr_scale(gr_sum_all(gr_mul(u, gr_sub(x, t))), twice);
    if (!p->wants[1] && !p->wants[2]) return;
    gr_tensor *by_x = gr_scale(gr_mul(u, dy), twice);
    if (p->wants[1]) p->dx[1] = by_x;
    if (p->wants[2]) p->dx[2] = gr_neg(by_x);
}

static double grad_flops(const gr_exec *e)
{
    return 2 * (double)gr_shape_numel(e->out[0].shape);
}

static const gr_sample grad_samples[] = {
    {.name = "matrices", .in = {ONE, M34, M34}, .n_in = 3, .attrs = HALF},
    {.name = "scalars", .in = {ONE, ONE, ONE}, .n_in = 3, .attrs = HALF},
    {.name = "empty", .in = {ONE, EMPTY, EMPTY}, .n_in = 3, .attrs = HALF},
    {.name = "other shape",
     .in = {ONE, M34, ONE},
     .n_in = 3,
     .attrs = HALF,
     .error = "expected x and t of one shape, got [3,4] and []"},
    {.name = "many dy",
     .in = {M34, M34, M34},
     .n_in = 3,
     .attrs = HALF,
     .error = "expected a scalar dy"},
    {0},
};

static const gr_op grad_op = {
    .name = "squared_error_grad",
    .family = "squared_error",
    .formula = "dx = 2 factor dy (x - t), the backward of squared_error",
    .derivation = "a cotangent u of dx moves dy by 2 factor sum u (x - t), x by 2 factor dy u and t "
                  "by the opposite",
    .n_in = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .attrs_size = sizeof(factor_attrs),
    .fields = factor_fields,
    .infer = grad_infer,
    .forward = {[GR_F32] = grad_f32, [GR_F64] = grad_f64},
    .vjp = grad_vjp,
    .flops = grad_flops,
    .samples = grad_samples,
};

/* --- forward --- */

#define ERROR(NAME, T)                                                               \
    static gr_status NAME(gr_exec *e)                                                \
    {                                                                                \
        const T *x = e->in[0].data, *t = e->in[1].data;                              \
        double sum = 0;                                                              \
        for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {        \
            const double d = (double)(x[i] - t[i]);                                  \
            sum += d * d;                                                            \
        }                                                                            \
        *(T *)e->out[0].data = (T)(factor_of(e->attrs) * sum);                       \
        return GR_OK;                                                                \
    }
ERROR(error_f32, float)
ERROR(error_f64, double)

static bool error_infer(gr_infer *c)
{
    c->shape[0].rank = 0;
    return are_alike(c, 0);
}

static void error_vjp(gr_pullback *p)
{
    gr_tensor *in[3] = {p->dy[0], p->x[0], p->x[1]};
    gr_tensor *dx = gr__apply(NULL, &grad_op, in, 3, p->attrs, GR_HERE);
    if (p->wants[0]) p->dx[0] = dx;
    if (p->wants[1]) p->dx[1] = gr_neg(dx);
}

static double error_flops(const gr_exec *e)
{
    return 3 * (double)gr_shape_numel(e->in[0].shape);
}

static const gr_sample error_samples[] = {
    {.name = "matrices", .in = {M34, M34}, .n_in = 2, .attrs = HALF},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = HALF},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = HALF},
    {.name = "other shape",
     .in = {M34, ONE},
     .n_in = 2,
     .attrs = HALF,
     .error = "expected x and t of one shape, got [3,4] and []"},
    {0},
};

static const gr_op error_op = {
    .name = "squared_error",
    .family = "squared_error",
    .formula = "y = factor sum (x - t)^2",
    .derivation = "d/dx_i of factor (x_i - t_i)^2 is 2 factor (x_i - t_i): dx = 2 factor dy (x - "
                  "t) and dt = -dx",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(factor_attrs),
    .fields = factor_fields,
    .infer = error_infer,
    .forward = {[GR_F32] = error_f32, [GR_F64] = error_f64},
    .vjp = error_vjp,
    .flops = error_flops,
    .samples = error_samples,
};

gr_tensor *gr__squared_error(gr_tensor *x, gr_tensor *t, double factor)
{
    if (!(x->flags & t->flags & GR__LITTLE) || x->dtype != t->dtype ||
        !gr__is_float((gr_dtype)x->dtype))
        return NULL;
    gr_tensor *in[2] = {x, t};
    return gr__apply(NULL, &error_op, in, 2, &(factor_attrs){factor}, GR_HERE);
}

const gr_op *const gr__squared_error_ops[] = {&error_op, &grad_op, NULL};
