/* matmul.c - matrix products.
 *
 *   Y = A B          dA = dY B^T         dB = A^T dY
 *   Y = X W^T + b    dX = dY W           dW = dY^T X        db = sum over rows of dY
 *
 * A transposed operand is a view with swapped strides, which BLAS reads as it lies.
 */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"
#include "family.h"
#include "gemm.h"
#include "strided.h"

#include <string.h>

/* Scratch for `count` products that are to round their operands; NULL: they are not. False when
 * memory is out. */
static bool rounding_space(gr_exec *e, int64_t count, int64_t m, int64_t n, int64_t k, char **space)
{
    *space = NULL;
    if (!gr__exec_rounds(e) || !gr__bf16_gemm_pays(m, n, k)) return true;
    *space = gr_exec_scratch(e, (size_t)count * gr__bf16_gemm_scratch(m, n, k));
    return *space;
}

/* --- matmul --- */

static bool sizes_fit(const gr_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] > INT32_MAX) return false;
    return true;
}

static bool matmul_infer(gr_infer *c)
{
    const gr_shape *a = gr_shape_of(c->in[0]), *b = gr_shape_of(c->in[1]);
    int r = a->rank;
    bool fit = r >= 2 && b->rank == r && a->dim[r - 1] == b->dim[r - 2];
    for (int i = 0; fit && i < r - 2; i++) fit = a->dim[i] == b->dim[i];
    if (!fit)
        return gr_infer_fail(c, "cannot multiply %s by %s", gr_infer_shape(c, 0),
                             gr_infer_shape(c, 1));
    if (gr_dtype_of(c->in[0]) != gr_dtype_of(c->in[1]))
        return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast", gr_dtype_name(c->dtype[0]),
                             gr_dtype_name(gr_dtype_of(c->in[1])));
    if (!sizes_fit(a) || !sizes_fit(b)) return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0].dim[r - 1] = b->dim[r - 1];
    return true;
}

/* One operand: its matrices, the axes of the batch in front of them. */
typedef struct operand {
    const char *data;
    gr__matrix matrix;
    int64_t strides[GR_MAX_RANK];
} operand;

/* Packs what BLAS cannot read as it lies. False when memory is out. */
static bool take_operand(gr_exec *e, int i, operand *o)
{
    gr_value v = e->in[i];
    int r = v.shape->rank;
    o->matrix = (gr__matrix){v.data, v.strides[r - 2], v.strides[r - 1]};
    memcpy(o->strides, v.strides, (size_t)r * sizeof *v.strides);
    o->data = v.data;
    if (gr__gemm_readable(&o->matrix, v.shape->dim[r - 2], v.shape->dim[r - 1])) return true;
    size_t bytes = (size_t)gr_shape_numel(v.shape) * gr_dtype_size(v.dtype);
    void *packed = gr_exec_scratch(e, bytes + 1);
    if (!packed) return false;
    gr__pack(&v, packed);
    gr__shape_strides(v.shape, o->strides);
    o->matrix = (gr__matrix){packed, v.shape->dim[r - 1], 1};
    o->data = packed;
    return true;
}

typedef struct matmul_job {
    gr_dtype dtype;
    const gr_shape *shape; /* of the result */
    int64_t m, n, k;
    operand a, b;
    char *y;
    char *space; /* of products that round their operands, else NULL */
} matmul_job;

static const char *matrix_at(const operand *o, const gr_shape *batch, int64_t index, size_t size)
{
    int64_t offset = 0;
    for (int i = batch->rank - 3; i >= 0; i--) {
        offset += index % batch->dim[i] * o->strides[i];
        index /= batch->dim[i];
    }
    return o->data + offset * (int64_t)size;
}

static void matmul_range(void *ctx, int64_t begin, int64_t end)
{
    const matmul_job *j = ctx;
    size_t size = gr_dtype_size(j->dtype);
    for (int64_t i = begin; i < end; i++) {
        gr__matrix a = j->a.matrix, b = j->b.matrix;
        a.data = matrix_at(&j->a, j->shape, i, size);
        b.data = matrix_at(&j->b, j->shape, i, size);
        void *y = j->y + (size_t)(i * j->m * j->n) * size;
        if (j->space)
            gr__bf16_gemm(j->m, j->n, j->k, a, b, false, y,
                          j->space + (size_t)i * gr__bf16_gemm_scratch(j->m, j->n, j->k));
        else gr__gemm(j->dtype, j->m, j->n, j->k, a, b, 0, y);
    }
}

static gr_status matmul_forward(gr_exec *e)
{
    const gr_shape *y = e->out[0].shape;
    int r = y->rank;
    matmul_job j = {.dtype = e->out[0].dtype,
                    .shape = y,
                    .m = y->dim[r - 2],
                    .n = y->dim[r - 1],
                    .k = e->in[0].shape->dim[r - 1],
                    .y = e->out[0].data};
    int64_t numel = gr_shape_numel(y);
    if (numel == 0) return GR_OK;
    if (!take_operand(e, 0, &j.a) || !take_operand(e, 1, &j.b)) return GR_ERR_MEMORY;
    int64_t batch = numel / (j.m * j.n), work = j.m * j.n * (j.k + 1);
    if (!rounding_space(e, batch, j.m, j.n, j.k, &j.space)) return GR_ERR_MEMORY;
    if (batch == 1) matmul_range(&j, 0, 1); /* BLAS spreads it over the threads */
    else gr__parallel_for(batch, 1 + 65536 / work, matmul_range, &j);
    return GR_OK;
}

/* [flops] */
static double matmul_flops(const gr_exec *e)
{
    const gr_shape *a = e->in[0].shape;
    return 2 * (double)gr_shape_numel(e->out[0].shape) * (double)a->dim[a->rank - 1];
}
/* [end] */

static void matmul_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = gr_matmul(p->dy[0], gr_transpose(p->x[1], -2, -1));
    if (p->wants[1]) p->dx[1] = gr_matmul(gr_transpose(p->x[0], -2, -1), p->dy[0]);
}

#define MAT(m, n) {.shape = {2, {m, n}}}

static const gr_sample matmul_samples[] = {
    {.name = "matrices", .in = {MAT(3, 4), MAT(4, 2)}, .n_in = 2},
    {.name = "row by column", .in = {MAT(1, 5), MAT(5, 1)}, .n_in = 2},
    {.name = "batch", .in = {{.shape = {3, {2, 3, 4}}}, {.shape = {3, {2, 4, 2}}}}, .n_in = 2},
    {.name = "nothing inside", .in = {MAT(3, 0), MAT(0, 2)}, .n_in = 2},
    {.name = "empty", .in = {MAT(0, 4), MAT(4, 2)}, .n_in = 2},
    {.name = "mismatch", .in = {MAT(2, 3), MAT(4, 5)}, .n_in = 2, .error = "cannot multiply [2,3] by [4,5]"},
    {.name = "vector", .in = {{.shape = {1, {3}}}, MAT(3, 5)}, .n_in = 2, .error = "cannot multiply"},
    {0},
};

static const gr_op matmul_op = {
    .name = "matmul",
    .family = "matmul",
    .formula = "Y = A B",
    .derivation = "Y_ij = sum_k A_ik B_kj, so dA_ik = sum_j dY_ij B_kj: dA = dY B^T, dB = A^T dY",
    .n_in = 2,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = matmul_infer,
    .forward = {[GR_F32] = matmul_forward, [GR_F64] = matmul_forward},
    .vjp = matmul_vjp,
    .flops = matmul_flops,
    .samples = matmul_samples,
};

static gr_tensor *product(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&matmul_op, a, b, GR_HERE);
}

/* Stretches the batch axes of x to those of `batch`. */
static gr_tensor *with_batch(gr_tensor *x, const gr_shape *batch)
{
    gr_shape shape = *batch;
    int r = gr_shape_of(x)->rank;
    shape.dim[shape.rank - 2] = gr_shape_of(x)->dim[r - 2];
    shape.dim[shape.rank - 1] = gr_shape_of(x)->dim[r - 1];
    return gr_expand(x, shape);
}

static gr_tensor *batched_product(gr_tensor *a, gr_tensor *b)
{
    gr_shape x = *gr_shape_of(a), y = *gr_shape_of(b), batch;
    char ta[GR_SHAPE_TEXT], tb[GR_SHAPE_TEXT];
    x.dim[x.rank - 2] = x.dim[x.rank - 1] = y.dim[y.rank - 2] = y.dim[y.rank - 1] = 1;
    if (!gr__shape_broadcast(&x, &y, &batch))
        return gr__fail_at(gr_graph_of(a), GR_ERR_ARGUMENT, GR_HERE,
                           "matmul: cannot multiply %s by %s", gr_shape_text(gr_shape_of(a), ta),
                           gr_shape_text(gr_shape_of(b), tb));
    return product(with_batch(a, &batch), with_batch(b, &batch));
}

/* [..., m, k] times one [k, n]: the batch is more rows of one matrix. */
static gr_tensor *folded_product(gr_tensor *a, gr_tensor *b)
{
    gr_shape shape = *gr_shape_of(a);
    int64_t k = shape.dim[shape.rank - 1], rows = 1;
    for (int i = 0; i < shape.rank - 1; i++) rows *= shape.dim[i];
    gr_tensor *y = product(gr_reshape(a, GR_SHAPE(rows, k)), b);
    shape.dim[shape.rank - 1] = gr_shape_of(b)->dim[1];
    return gr__is_nil(y) ? y : gr_reshape(y, shape);
}

static gr_tensor *any_product(gr_tensor *a, gr_tensor *b)
{
    int ra = gr_shape_of(a)->rank, rb = gr_shape_of(b)->rank;
    gr_shape sa = *gr_shape_of(a), sb = *gr_shape_of(b);
    if (ra == 1 && rb >= 1) { /* a row, whose axis goes again */
        gr_tensor *y = any_product(gr_reshape(a, GR_SHAPE(1, sa.dim[0])), b);
        gr_shape s = *gr_shape_of(y);
        if (gr__is_nil(y)) return y;
        int gone = rb == 1 ? s.rank - 1 : s.rank - 2;
        for (int i = gone; i < s.rank - 1; i++) s.dim[i] = s.dim[i + 1];
        s.rank--;
        return gr_reshape(y, s);
    }
    if (rb == 1 && ra >= 1) { /* a column */
        gr_tensor *y = any_product(a, gr_reshape(b, GR_SHAPE(sb.dim[0], 1)));
        gr_shape s = *gr_shape_of(y);
        if (gr__is_nil(y)) return y;
        s.rank--;
        return gr_reshape(y, s);
    }
    if (ra < 2 || rb < 2 || (ra == 2 && rb == 2)) return product(a, b);
    if (rb == 2 && sa.dim[ra - 1] == sb.dim[0]) return folded_product(a, b);
    return batched_product(a, b);
}

/* Matrix product of the last two axes, the axes in front broadcast; a vector counts as a row on
 * the left, as a column on the right, and its axis is gone from the result: as in NumPy.
 * float32 or float64, both alike. */
gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b)
{
    if (!a || !b) return product(a, b);
    gr_graph *g = gr_graph_of(a) ? gr_graph_of(a) : gr_graph_of(b);
    if (gr__is_nil(a) || gr__is_nil(b) || gr_graph_of(a) != gr_graph_of(b)) return product(a, b);
    gr_site_begin(g, GR_HERE);
    gr_tensor *y = any_product(a, b);
    gr_site_end(g);
    return y;
}

/* --- linear --- */

static bool linear_infer(gr_infer *c)
{
    const gr_shape *x = gr_shape_of(c->in[0]), *w = gr_shape_of(c->in[1]);
    if (x->rank < 1 || w->rank != 2 || x->dim[x->rank - 1] != w->dim[1])
        return gr_infer_fail(c, "x %s does not suit a weight of [out,in] = %s",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    if (c->n_in == 3) {
        const gr_shape *b = gr_shape_of(c->in[2]);
        if (b->rank != 1 || b->dim[0] != w->dim[0])
            return gr_infer_fail(c, "bias %s does not suit a weight of [out,in] = %s",
                                 gr_infer_shape(c, 2), gr_infer_shape(c, 1));
    }
    for (int i = 1; i < c->n_in; i++)
        if (gr_dtype_of(c->in[i]) != c->dtype[0])
            return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast", gr_dtype_name(c->dtype[0]),
                                 gr_dtype_name(gr_dtype_of(c->in[i])));
    if (gr_numel(c->in[0]) > INT32_MAX || !sizes_fit(w))
        return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0].dim[x->rank - 1] = w->dim[0];
    return true;
}

typedef struct bias_job {
    const char *bias;
    char *y;
    size_t row; /* bytes */
} bias_job;

static void copy_bias(void *ctx, int64_t begin, int64_t end)
{
    const bias_job *j = ctx;
    for (int64_t i = begin; i < end; i++) memcpy(j->y + (size_t)i * j->row, j->bias, j->row);
}

static gr_status linear_forward(gr_exec *e)
{
    const gr_shape *w = e->in[1].shape;
    int64_t out = w->dim[0], in = w->dim[1], numel = gr_shape_numel(e->out[0].shape);
    if (numel == 0) return GR_OK;
    int64_t rows = numel / out;
    gr_dtype dtype = e->out[0].dtype;
    bool bias = e->n_in == 3;
    gr__matrix x = {e->in[0].data, in, 1}, turned = {e->in[1].data, 1, in}; /* the weight's */
    char *space;
    if (!rounding_space(e, 1, rows, out, in, &space)) return GR_ERR_MEMORY;
    if (bias) {
        bias_job j = {e->in[2].data, e->out[0].data, (size_t)out * gr_dtype_size(dtype)};
        gr__parallel_for(rows, 1 + 32768 / out, copy_bias, &j);
    }
    if (space) gr__bf16_gemm(rows, out, in, x, turned, bias, e->out[0].data, space);
    else gr__gemm(dtype, rows, out, in, x, turned, bias ? 1 : 0, e->out[0].data);
    return GR_OK;
}

static void linear_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *w = p->x[1], *dy = p->dy[0];
    int64_t out = gr_shape_of(w)->dim[0], in = gr_shape_of(w)->dim[1];
    int64_t rows = out ? gr_numel(dy) / out : in ? gr_numel(x) / in : 0;
    dy = gr_reshape(dy, GR_SHAPE(rows, out));
    if (p->wants[0]) p->dx[0] = gr_reshape(gr_matmul(dy, w), *gr_shape_of(x));
    if (p->wants[1])
        p->dx[1] = gr_matmul(gr_transpose(dy, 0, 1), gr_reshape(x, GR_SHAPE(rows, in)));
    if (p->n_in == 3 && p->wants[2]) p->dx[2] = gr_sum(dy, GR_AXES(0), false);
}

static const gr_sample linear_samples[] = {
    {.name = "with bias", .in = {MAT(3, 4), MAT(2, 4), {.shape = {1, {2}}}}, .n_in = 3},
    {.name = "without bias", .in = {MAT(3, 4), MAT(2, 4)}, .n_in = 2},
    {.name = "sequence", .in = {{.shape = {3, {2, 3, 4}}}, MAT(5, 4), {.shape = {1, {5}}}}, .n_in = 3},
    {.name = "vector", .in = {{.shape = {1, {4}}}, MAT(5, 4), {.shape = {1, {5}}}}, .n_in = 3},
    {.name = "empty batch", .in = {MAT(0, 4), MAT(2, 4), {.shape = {1, {2}}}}, .n_in = 3},
    {.name = "wrong width", .in = {MAT(3, 5), MAT(2, 4)}, .n_in = 2, .error = "does not suit a weight"},
    {.name = "wrong bias", .in = {MAT(3, 4), MAT(2, 4), {.shape = {1, {3}}}}, .n_in = 3, .error = "bias [3]"},
    {0},
};

static const gr_op linear_op = {
    .name = "linear",
    .family = "matmul",
    .formula = "Y = X W^T + b",
    .derivation = "Y_ij = sum_k X_ik W_jk + b_j, so dX = dY W, dW = dY^T X, db_j = sum_i dY_ij",
    .n_in = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = linear_infer,
    .forward = {[GR_F32] = linear_forward, [GR_F64] = linear_forward},
    .vjp = linear_vjp,
    .flops = matmul_flops,
    .samples = linear_samples,
};

/* x w^T + b for x [..., in], w [out, in], b [out] or NULL: PyTorch's functional.linear. */
gr_tensor *gr_linear(gr_tensor *x, gr_tensor *w, gr_tensor *b)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &linear_op, in, b ? 3 : 2, NULL, GR_HERE);
}

const gr_op *const gr__matmul_ops[] = {&matmul_op, &linear_op, NULL};
