/* linear.c - linear layers.
 *
 *   Y = X W^T + b    dX = dY W           dW = dY^T X        db = sum over rows of dY
 *
 * Small layers have dW and db as one node, linear_grad, or all three, linear_backward; those of
 * large ones are products and sums of their own, which evaluation runs when they are needed.
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

static bool one_dtype(gr_infer *c)
{
    for (int i = 1; i < c->n_in; i++)
        if (!gr__same_dtype(c, 0, i)) return false;
    return true;
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
    if (!one_dtype(c)) return false;
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
                           .b_strides = NULL}; /* in full: clearing takes longer */
    return gr__product_run(e, &p);
}

/* Of any rank, as the rows of one matrix. */
static gr_tensor *as_rows(gr_tensor *x, int64_t rows, int64_t columns)
{
    return x->shape->rank == 2 ? x : gr_reshape(x, GR_SHAPE(rows, columns));
}

static const gr_op linear_grad_op, linear_backward_op;

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

/* Whether all three are wanted, of matrices of few elements. */
static bool is_little(const gr_pullback *p)
{
    return p->n_in == 3 && p->wants[0] && p->wants[1] && p->wants[2] && p->x[0]->shape->rank == 2 &&
           (p->x[0]->flags & p->x[1]->flags & p->dy[0]->flags & GR__LITTLE);
}

static void linear_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *w = p->x[1];
    if (is_little(p)) {
        gr_tensor *in[3] = {p->dy[0], x, w};
        for (int i = 0; i < 3; i++)
            p->dx[i] = i ? gr_output(p->dx[0], i)
                         : gr__apply(NULL, &linear_backward_op, in, 3, NULL, GR_HERE);
        return;
    }
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

static gr_status sum_rows(gr_exec *e, const gr_value *dy, const gr_value *db)
{
    if (dy->shape->dim[0] == 1) { /* the sum of one row */
        memcpy(db->data, dy->data, (size_t)dy->shape->dim[1] * gr__dtype_bytes[dy->dtype]);
        return GR_OK;
    }
    gr__reduction r = gr__reduction_of(dy, 1);
    double *scratch = gr_exec_scratch(e, (size_t)gr__reduction_scratch(&r) * sizeof *scratch + 1);
    if (!scratch) return GR_ERR_MEMORY;
    gr__kernels_for(dy->dtype)->sum(&r, db->data, scratch);
    return GR_OK;
}

static gr_status linear_grad_forward(gr_exec *e)
{
    gr_status status = sum_rows(e, &e->in[0], &e->out[1]);
    return status ? status : gr__product_forward(e, true, false);
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

/* --- all that backward gives --- */

static bool linear_backward_infer(gr_infer *c)
{
    const gr_shape *dy = c->in[0]->shape, *x = c->in[1]->shape, *w = c->in[2]->shape;
    if (dy->rank != 2 || x->rank != 2 || w->rank != 2 || dy->dim[0] != x->dim[0] ||
        dy->dim[1] != w->dim[0] || x->dim[1] != w->dim[1])
        return gr_infer_fail(c, "%s is no cotangent of x %s and a weight of [out,in] = %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1), gr_infer_shape(c, 2));
    if (!one_dtype(c)) return false;
    if (!gr__matrix_sizes_fit(x) || !gr__matrix_sizes_fit(w))
        return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0] = *x;
    c->shape[1] = *w;
    c->shape[2] = (gr_shape){1, {w->dim[0]}};
    return true;
}

static gr_status linear_backward_forward(gr_exec *e)
{
    const gr_value *dy = &e->in[0], *x = &e->in[1], *w = &e->in[2];
    gr_status status = gr__product_of(e, dy, false, w, false, &e->out[0]);
    if (!status) status = gr__product_of(e, dy, true, x, false, &e->out[1]);
    return status ? status : sum_rows(e, dy, &e->out[2]);
}

/* U, V and c are the cotangents of dX, dW and db: dy moves as linear does. */
static void linear_backward_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->x[0], *x = p->x[1], *w = p->x[2];
    gr_tensor *u = p->dy[0], *v = p->dy[1], *c = p->dy[2], *by_x = NULL;
    if (p->wants[0]) {
        if (v) by_x = gr_linear(x, v, c);
        else if (c) by_x = gr_expand(c, *gr_shape_of(dy));
        gr_tensor *by_u = u ? product(&gr__matmul_nt_op, u, w) : NULL;
        p->dx[0] = by_u && by_x ? gr_add(by_u, by_x) : by_u ? by_u : by_x;
    }
    if (p->wants[1] && v) p->dx[1] = product(&gr__matmul_op, dy, v);
    if (p->wants[2] && u) p->dx[2] = product(&gr__matmul_tn_op, dy, u);
}

static double linear_backward_flops(const gr_exec *e)
{
    const int64_t *w = e->in[2].shape->dim;
    return 4 * (double)e->in[0].shape->dim[0] * (double)w[0] * (double)w[1];
}

static const gr_sample linear_backward_samples[] = {
    {.name = "matrices", .in = {MAT(4, 3), MAT(4, 2), MAT(3, 2)}, .n_in = 3},
    {.name = "one row", .in = {MAT(1, 3), MAT(1, 2), MAT(3, 2)}, .n_in = 3},
    {.name = "no row", .in = {MAT(0, 3), MAT(0, 2), MAT(3, 2)}, .n_in = 3},
    {.name = "empty", .in = {MAT(4, 0), MAT(4, 2), MAT(0, 2)}, .n_in = 3},
    {.name = "mismatch",
     .in = {MAT(2, 3), MAT(2, 5), MAT(3, 4)},
     .n_in = 3,
     .error = "[2,3] is no cotangent of x [2,5] and a weight of [out,in] = [3,4]"},
    {.name = "batch",
     .in = {{.shape = {3, {2, 4, 3}}}, {.shape = {3, {2, 4, 2}}}, MAT(3, 2)},
     .n_in = 3,
     .error = "is no cotangent"},
    {0},
};

static const gr_op linear_backward_op = {
    .name = "linear_backward",
    .family = "linear",
    .formula = "dX = dY W, dW = dY^T X, db = sum over rows of dY, the backward of a small linear",
    .derivation = "with U, V and c for the cotangents of dX, dW and db: dX_ri = sum_o dY_ro W_oi, "
                  "dW_oi = sum_r dY_ro X_ri and db_o = sum_r dY_ro, so that of dY is U W^T + X V^T "
                  "+ c, that of X is dY V and that of W is dY^T U",
    .n_in = 3,
    .n_out = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .infer = linear_backward_infer,
    .forward = {[GR_F32] = linear_backward_forward, [GR_F64] = linear_backward_forward},
    .vjp = linear_backward_vjp,
    .flops = linear_backward_flops,
    .samples = linear_backward_samples,
};

/* x w^T + b for x [..., in], w [out, in], b [out] or NULL: PyTorch's functional.linear. */
gr_tensor *gr_linear(gr_tensor *x, gr_tensor *w, gr_tensor *b)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &linear_op, in, b ? 3 : 2, NULL, GR_HERE);
}

const gr_op *const gr__linear_ops[] = {&linear_op, &linear_grad_op, &linear_backward_op, NULL};
