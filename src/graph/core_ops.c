/* core_ops.c - the ops that the graph itself records: sources, accumulation, detach.
 *
 *   acc:  y = a + b, in a's place when nobody else reads it       da = dy, db = dy
 */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <gradus/transform.h>
#include <string.h>

const gr_op gr__leaf_op = {
    .name = "leaf",
    .family = "core",
    .formula = "y = data",
    .derivation = "nothing feeds it",
    .attrs_size = sizeof(gr__leaf_attrs),
};

static const gr_field fill_fields[] = {{"value", GR_FIELD_F64, 0, 0, NULL}, {0}};

const gr_op gr__fill_op = {
    .name = "fill",
    .family = "core",
    .formula = "y = value",
    .derivation = "nothing feeds it",
    .attrs_size = sizeof(double),
    .fields = fill_fields,
};

/* --- acc --- */

/* y may be x[0]. */
#define ACC(NAME, T)                                           \
    static void NAME(const gr_tile *t)                         \
    {                                                          \
        const T *a = t->x[0], *b = t->x[1];                    \
        T *y = t->y;                                           \
        for (int64_t i = 0; i < t->n; i++) y[i] = a[i] + b[i]; \
    }
ACC(acc_f32, float)
ACC(acc_f64, double)

static double acc_flops(const gr_exec *e)
{
    return (double)gr_shape_numel(e->out[0].shape);
}

static void acc_vjp(gr_pullback *p)
{
    p->dx[0] = p->dy[0];
    p->dx[1] = p->dy[0];
}

static const gr_sample acc_samples[] = {
    {.name = "matrix", .in = {{.shape = {2, {3, 4}}}, {.shape = {2, {3, 4}}}}, .n_in = 2},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, {.shape = {0, {0}}}}, .n_in = 2},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {2, {0, 4}}}}, .n_in = 2},
    {.name = "other shape",
     .in = {{.shape = {1, {3}}}, {.shape = {1, {4}}}},
     .n_in = 2,
     .error = "cannot broadcast"},
    {0},
};

const gr_op gr__acc_op = {
    .name = "acc",
    .family = "core",
    .formula = "y = a + b",
    .derivation = "dy/da = dy/db = 1, so da = db = dy",
    .n_in = 2,
    .flags = GR_OP_INPLACE | GR_OP_LINEAR,
    .tile = {[GR_F32] = acc_f32, [GR_F64] = acc_f64},
    .vjp = acc_vjp,
    .flops = acc_flops,
    .samples = acc_samples,
};

/* --- detach --- */

bool gr__view_whole(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    (void)offset;
    memcpy(strides, e->in[0].strides, (size_t)e->in[0].shape->rank * sizeof *strides);
    return true;
}

static const gr_sample detach_samples[] = {
    {.name = "matrix", .in = {{.shape = {2, {3, 4}}}}, .n_in = 1},
    {0},
};

const gr_op gr__detach_op = {
    .name = "detach",
    .family = "core",
    .formula = "y = x, a constant to differentiation",
    .derivation = "dx = 0 by decree",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .view = gr__view_whole,
    .samples = detach_samples,
};

/* The values of x with no gradient behind them. */
gr_tensor *gr_detach(gr_tensor *x)
{
    return gr__apply(NULL, &gr__detach_op, &x, 1, NULL, GR_HERE);
}

/* gr_detach by the name it has elsewhere: the gradient ends here. */
gr_tensor *gr_stop_gradient(gr_tensor *x)
{
    return gr__apply(NULL, &gr__detach_op, &x, 1, NULL, GR_HERE);
}
