/* linear.c - linear layers.
 *
 *   Y = X W^T + b    dX = dY W           dW = dY^T X        db = sum over rows of dY: linear_grad
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"
#include "kernels.h"
#include "matmul.h"

#include <string.h>

static gr_tensor *product(const gr_op *op, gr_tensor *a, gr_tensor *b)
{
    return gr__binary(op, a, b, GR_HERE);
}

static bool linear_infer(gr_infer *c)
{
    const gr_shape *x = c->in[0]->shape, *w = c->in[1]->shape;
    if (x->rank < 1 || w->rank != 2 || x->dim[x->rank - 1] != w->dim[1])
        return gr_infer_fail(c, "x %s does not suit a weight of [out,in] = %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    if (c->n_in == 3) {
        const gr_shape *b = c->in[2]->shape;
        if (b->rank != 1 || b->dim[0] != w->dim[0])
            return gr_infer_fail(c, "bias %s does not suit a weight of [out,in] = %s",
                                 gr_infer_shape(c, 2), gr_infer_shape(c, 1));
    }
    for (int i = 1; i < c->n_in; i++)
        if ((gr_dtype)c->in[i]->dtype != c->dtype[0])
            return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast", gr_dtype_name(c->dtype[0]),
                                 gr_dtype_name(gr_dtype_of(c->in[i])));
    if (c->in[0]->numel > INT32_MAX || !gr__matrix_sizes_fit(w))
        return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0].dim[x->rank - 1] = w->dim[0];
    return true;
}

static gr_status linear_forward(gr_exec *e)
{
    const gr_shape *w = e->in[1].shape;
    const int64_t out = w->dim[0], in = w->dim[1], numel = gr_shape_numel(e->out[0].shape);
    const gr__product p = {.dtype = e->out[0].dtype,
                           .m = out ? numel / out : 0,
                           .n = out,
                           .k = in,
                           .a = {e->in[0].data, in, 1},
                           .b = {e->in[1].data, 1, in},
                           .packed = NULL,
                           .add = e->n_in == 3 ? e->in[2].data : NULL,
                           .add_row = 0,
                           .c = e->out[0].data,
                           .axes = 0,
                           .sizes = NULL,
                           .a_strides = NULL,
                           .b_strides = NULL,
                           .finish = NULL,
                           .finish_ctx = NULL};
    return gr__product_run(e, &p);
}

/* Of any rank, as the rows of one matrix. */
static gr_tensor *as_rows(gr_tensor *x, int64_t rows, int64_t columns)
{
    return x->shape->rank == 2 ? x : gr_reshape(x, GR_SHAPE(rows, columns));
}

static const gr_op linear_grad_op;

/* dW and db as one node where they are small; else the sum is left to those who make its terms. */
static void params_vjp(gr_pullback *p, gr_tensor *dy, gr_tensor *x)
{
    const bool wants_b = p->n_in == 3 && p->wants[2];
    if (p->wants[1] && wants_b && (dy->flags & GR__LITTLE)) {
        p->dx[1] = product(&linear_grad_op, dy, x);
        p->dx[2] = gr_output(p->dx[1], 1);
        return;
    }
    if (p->wants[1]) p->dx[1] = product(&gr__matmul_tn_op, dy, x);
    if (wants_b) p->dx[2] = gr_sum(dy, GR_AXES(0), false);
}

static void linear_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *w = p->x[1];
    const int64_t out = w->shape->dim[0], in = w->shape->dim[1];
    const int64_t rows = out ? p->dy[0]->numel / out : in ? x->numel / in : 0;
    gr_tensor *dy = as_rows(p->dy[0], rows, out);
    if (p->wants[0]) {
        gr_tensor *dx = product(&gr__matmul_op, dy, w);
        p->dx[0] = x->shape->rank == 2 ? dx : gr_reshape(dx, *x->shape);
    }
    params_vjp(p, dy, as_rows(x, rows, in));
}

static const gr_sample linear_samples[] = {
    {.name = "with bias", .in = {MAT(3, 4), MAT(2, 4), {.shape = {1, {2}}}}, .n_in = 3},
    {.name = "without bias", .in = {MAT(3, 4), MAT(2, 4)}, .n_in = 2},
    {.name = "sequence",
     .in = {{.shape = {3, {2, 3, 4}}}, MAT(5, 4), {.shape = {1, {5}}}},
     .n_in = 3},
    {.name = "vector", .in = {{.shape = {1, {4}}}, MAT(5, 4), {.shape = {1, {5}}}}, .n_in = 3},
    {.name = "empty batch", .in = {MAT(0, 4), MAT(2, 4), {.shape = {1, {2}}}}, .n_in = 3},
    {.name = "wrong width",
     .in = {MAT(3, 5), MAT(2, 4)},
     .n_in = 2,
     .error = "does not suit a weight"},
    {.name = "wrong bias",
     .in = {MAT(3, 4), MAT(2, 4), {.shape = {1, {3}}}},
     .n_in = 3,
     .error = "bias [3]"},
    {0},
};

static const gr_op linear_op = {
    .name = "linear",
    .family = "linear",
    .formula = "Y = X W^T + b",
    .derivation = "Y_ij = sum_k X_ik W_jk + b_j, so dX = dY W, dW = dY^T X, db_j = sum_i dY_ij",
    .n_in = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = linear_infer,
    .forward = {[GR_F32] = linear_forward, [GR_F64] = linear_forward},
    .vjp = linear_vjp,
    .flops = gr__matmul_flops,
    .samples = linear_samples,
};

/* --- what backward gives the parameters --- */

static bool linear_grad_infer(gr_infer *c)
{
    if (!gr__product_infer(c, true, false)) return false;
    if (c->in[0]->shape->rank != 2) return gr_infer_fail(c, "expected matrices");
    c->shape[1] = (gr_shape){1, {c->shape[0].dim[0]}};
    return true;
}

static gr_status linear_grad_forward(gr_exec *e)
{
    const gr_value *dy = &e->in[0], *db = &e->out[1];
    if (dy->shape->dim[0] == 1) { /* the sum of one row */
        memcpy(db->data, dy->data, (size_t)dy->shape->dim[1] * gr_dtype_size(dy->dtype));
        return gr__product_forward(e, true, false);
    }
    gr__reduction r = gr__reduction_of(dy, 1);
    double *scratch = gr_exec_scratch(e, (size_t)gr__reduction_scratch(&r) * sizeof *scratch + 1);
    if (!scratch) return GR_ERR_MEMORY;
    gr__kernels_for(dy->dtype)->sum(&r, db->data, scratch);
    return gr__product_forward(e, true, false);
}

/* With the cotangents V of dW and c of db, dy moves as linear does and x as its backward. */
static void linear_grad_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->x[0], *x = p->x[1], *v = p->dy[0], *c = p->dy[1];
    if (p->wants[0]) p->dx[0] = v ? gr_linear(x, v, c) : gr_expand(c, *gr_shape_of(dy));
    if (p->wants[1] && v) p->dx[1] = product(&gr__matmul_op, dy, v);
}

static const gr_sample linear_grad_samples[] = {
    {.name = "matrices", .in = {MAT(4, 3), MAT(4, 2)}, .n_in = 2},
    {.name = "one row", .in = {MAT(1, 3), MAT(1, 2)}, .n_in = 2},
    {.name = "no row", .in = {MAT(0, 3), MAT(0, 2)}, .n_in = 2},
    {.name = "empty", .in = {MAT(4, 0), MAT(4, 2)}, .n_in = 2},
    {.name = "mismatch",
     .in = {MAT(2, 3), MAT(3, 5)},
     .n_in = 2,
     .error = "cannot multiply [2,3]^T by [3,5]"},
    {.name = "batch",
     .in = {{.shape = {3, {2, 4, 3}}}, {.shape = {3, {2, 4, 2}}}},
     .n_in = 2,
     .error = "expected matrices"},
    {0},
};

static const gr_op linear_grad_op = {
    .name = "linear_grad",
    .family = "linear",
    .formula = "dW = dY^T X, db = sum over rows of dY, the backward of linear by W and b",
    .derivation =
        "with V and c for the cotangents of dW and db: dW_ij = sum_r dY_ri X_rj and db_i = "
        "sum_r dY_ri, so that of dY is X V^T + c and that of X is dY V",
    .n_in = 2,
    .n_out = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = linear_grad_infer,
    .forward = {[GR_F32] = linear_grad_forward, [GR_F64] = linear_grad_forward},
    .vjp = linear_grad_vjp,
    .flops = gr__matmul_tn_flops,
    .samples = linear_grad_samples,
};

/* x w^T + b for x [..., in], w [out, in], b [out] or NULL: PyTorch's functional.linear. */
gr_tensor *gr_linear(gr_tensor *x, gr_tensor *w, gr_tensor *b)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &linear_op, in, b ? 3 : 2, NULL, GR_HERE);
}

const gr_op *const gr__linear_ops[] = {&linear_op, &linear_grad_op, NULL};
