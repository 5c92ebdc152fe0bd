/* matmul.c - matrix products.
 *
 *   Y = A B          dA = dY B^T         dB = A^T dY        matmul
 *   Y = A B^T        dA = dY B           dB = dY^T A        matmul_nt
 *   Y = A^T B        dA = B dY^T         dB = A dY          matmul_tn
 *
 * The three products are each other's backward. A transposed operand is read as it lies, with its
 * strides swapped.
 */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"
#include "family.h"
#include "gemm.h"
#include "matmul.h"

/* --- one product, or a batch --- */

typedef struct rounding {
    const gr__product *p;
    char *space;
} rounding;

static void round_range(void *ctx, int64_t begin, int64_t end)
{
    const rounding *r = ctx;
    const size_t each = gr__bf16_gemm_scratch(r->p->m, r->p->n, r->p->k);
    for (int64_t i = begin; i < end; i++) {
        gr__product p = gr__gemm_entry(r->p, i);
        gr__bf16_gemm(&p, r->space + (size_t)i * each);
    }
}

/* Rounds its operands where the precision says so and it pays. */
gr_status gr__product_run(gr_exec *e, const gr__product *p)
{
    if (gr__gemm_at_once(p)) return GR_OK;
    const int64_t entries = gr__gemm_entries(p);
    const bool rounds = gr__exec_rounds(e) && gr__bf16_gemm_pays(p->m, p->n, p->k) && entries;
    const size_t bytes = rounds ? (size_t)entries * gr__bf16_gemm_scratch(p->m, p->n, p->k)
                                : gr__gemm_scratch(p);
    void *scratch = bytes ? gr_exec_scratch(e, bytes) : NULL;
    if (bytes && !scratch) return GR_ERR_MEMORY;
    rounding r = {p, scratch};
    if (!rounds) gr__gemm(p, scratch);
    else if (entries == 1) round_range(&r, 0, 1); /* which is spread over the threads */
    else gr__parallel_for(entries, 1 + 65536 / (p->m * p->n * (p->k + 1)), round_range, &r);
    return GR_OK;
}

/* --- matmul --- */

bool gr__matrix_sizes_fit(const gr_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] > INT32_MAX) return false;
    return true;
}

/* Y = A B where A and B are the inputs, or what they are when turned. */
bool gr__product_infer(gr_infer *c, bool turn_a, bool turn_b)
{
    const gr_shape *a = c->in[0]->shape, *b = c->in[1]->shape;
    const int r = a->rank, row = r - 2, column = r - 1;
    bool fit = r >= 2 && b->rank == r &&
               a->dim[turn_a ? row : column] == b->dim[turn_b ? column : row];
    for (int i = 0; fit && i < row; i++) fit = a->dim[i] == b->dim[i];
    if (!fit)
        return gr_infer_fail(c, "cannot multiply %s%s by %s%s", gr_infer_shape(c, 0),
                             turn_a ? "^T" : "", gr_infer_shape(c, 1), turn_b ? "^T" : "");
    if (!gr__same_dtype(c, 0, 1)) return false;
    if (!gr__matrix_sizes_fit(a) || !gr__matrix_sizes_fit(b)) return gr_infer_fail(c, "a size is above 2^31");
    c->shape[0].dim[row] = a->dim[turn_a ? column : row];
    c->shape[0].dim[column] = b->dim[turn_b ? row : column];
    return true;
}

/* The matrix of a value, or of each of a batch. */
static gr__matrix matrix_of(const gr_value *v, bool turn)
{
    const int64_t *last = v->strides + v->shape->rank - 2;
    return (gr__matrix){v->data, last[turn], last[!turn]};
}

gr_status gr__product_of(gr_exec *e, const gr_value *a, bool turn_a, const gr_value *b, bool turn_b,
                         const gr_value *out)
{
    const gr_shape *y = out->shape;
    const int r = y->rank;
    const gr__product p = {.dtype = out->dtype,
                           .m = y->dim[r - 2],
                           .n = y->dim[r - 1],
                           .k = a->shape->dim[turn_a ? r - 2 : r - 1],
                           .a = matrix_of(a, turn_a),
                           .b = matrix_of(b, turn_b),
                           .packed = NULL,
                           .add = NULL,
                           .add_row = 0,
                           .c = out->data,
                           .axes = r - 2,
                           .sizes = y->dim,
                           .a_strides = a->strides,
                           .b_strides = b->strides}; /* in full: clearing takes longer */
    return gr__product_run(e, &p);
}

gr_status gr__product_forward(gr_exec *e, bool turn_a, bool turn_b)
{
    return gr__product_of(e, &e->in[0], turn_a, &e->in[1], turn_b, &e->out[0]);
}

static bool matmul_infer(gr_infer *c)
{
    return gr__product_infer(c, false, false);
}

static gr_status matmul_forward(gr_exec *e)
{
    return gr__product_forward(e, false, false);
}

/* [flops] */
double gr__matmul_flops(const gr_exec *e)
{
    const gr_shape *a = e->in[0].shape;
    return 2 * (double)gr_shape_numel(e->out[0].shape) * (double)a->dim[a->rank - 1];
}
/* [end] */

static gr_tensor *product(const gr_op *op, gr_tensor *a, gr_tensor *b)
{
    return gr__binary(op, a, b, GR_HERE);
}

static void matmul_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = product(&gr__matmul_nt_op, p->dy[0], p->x[1]);
    if (p->wants[1]) p->dx[1] = product(&gr__matmul_tn_op, p->x[0], p->dy[0]);
}

static const gr_sample matmul_samples[] = {
    {.name = "matrices", .in = {MAT(3, 4), MAT(4, 2)}, .n_in = 2},
    {.name = "row by column", .in = {MAT(1, 5), MAT(5, 1)}, .n_in = 2},
    {.name = "batch", .in = {{.shape = {3, {2, 3, 4}}}, {.shape = {3, {2, 4, 2}}}}, .n_in = 2},
    {.name = "nothing inside", .in = {MAT(3, 0), MAT(0, 2)}, .n_in = 2},
    {.name = "empty", .in = {MAT(0, 4), MAT(4, 2)}, .n_in = 2},
    {.name = "mismatch",
     .in = {MAT(2, 3), MAT(4, 5)},
     .n_in = 2,
     .error = "cannot multiply [2,3] by [4,5]"},
    {.name = "vector",
     .in = {{.shape = {1, {3}}}, MAT(3, 5)},
     .n_in = 2,
     .error = "cannot multiply"},
    {0},
};

const gr_op gr__matmul_op = {
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
    .flops = gr__matmul_flops,
    .samples = matmul_samples,
};

/* --- Y = A B^T and Y = A^T B, which backward needs --- */

static bool matmul_nt_infer(gr_infer *c)
{
    return gr__product_infer(c, false, true);
}

static gr_status matmul_nt_forward(gr_exec *e)
{
    return gr__product_forward(e, false, true);
}

static void matmul_nt_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = product(&gr__matmul_op, p->dy[0], p->x[1]);
    if (p->wants[1]) p->dx[1] = product(&gr__matmul_tn_op, p->dy[0], p->x[0]);
}

static const gr_sample matmul_nt_samples[] = {
    {.name = "matrices", .in = {MAT(3, 4), MAT(2, 4)}, .n_in = 2},
    {.name = "row by row", .in = {MAT(1, 5), MAT(1, 5)}, .n_in = 2},
    {.name = "batch", .in = {{.shape = {3, {2, 3, 4}}}, {.shape = {3, {2, 2, 4}}}}, .n_in = 2},
    {.name = "nothing inside", .in = {MAT(3, 0), MAT(2, 0)}, .n_in = 2},
    {.name = "empty", .in = {MAT(0, 4), MAT(2, 4)}, .n_in = 2},
    {.name = "mismatch",
     .in = {MAT(2, 3), MAT(3, 5)},
     .n_in = 2,
     .error = "cannot multiply [2,3] by [3,5]^T"},
    {0},
};

const gr_op gr__matmul_nt_op = {
    .name = "matmul_nt",
    .family = "matmul",
    .formula = "Y = A B^T",
    .derivation = "Y_ij = sum_k A_ik B_jk, so dA_ik = sum_j dY_ij B_jk: dA = dY B, dB = dY^T A",
    .n_in = 2,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = matmul_nt_infer,
    .forward = {[GR_F32] = matmul_nt_forward, [GR_F64] = matmul_nt_forward},
    .vjp = matmul_nt_vjp,
    .flops = gr__matmul_flops,
    .samples = matmul_nt_samples,
};

static bool matmul_tn_infer(gr_infer *c)
{
    return gr__product_infer(c, true, false);
}

static gr_status matmul_tn_forward(gr_exec *e)
{
    return gr__product_forward(e, true, false);
}

static void matmul_tn_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = product(&gr__matmul_nt_op, p->x[1], p->dy[0]);
    if (p->wants[1]) p->dx[1] = product(&gr__matmul_op, p->x[0], p->dy[0]);
}

double gr__matmul_tn_flops(const gr_exec *e)
{
    const gr_shape *a = e->in[0].shape;
    return 2 * (double)gr_shape_numel(e->out[0].shape) * (double)a->dim[a->rank - 2];
}

static const gr_sample matmul_tn_samples[] = {
    {.name = "matrices", .in = {MAT(4, 3), MAT(4, 2)}, .n_in = 2},
    {.name = "column by column", .in = {MAT(5, 1), MAT(5, 1)}, .n_in = 2},
    {.name = "batch", .in = {{.shape = {3, {2, 4, 3}}}, {.shape = {3, {2, 4, 2}}}}, .n_in = 2},
    {.name = "nothing inside", .in = {MAT(0, 3), MAT(0, 2)}, .n_in = 2},
    {.name = "empty", .in = {MAT(4, 0), MAT(4, 2)}, .n_in = 2},
    {.name = "mismatch",
     .in = {MAT(2, 3), MAT(3, 5)},
     .n_in = 2,
     .error = "cannot multiply [2,3]^T by [3,5]"},
    {0},
};

const gr_op gr__matmul_tn_op = {
    .name = "matmul_tn",
    .family = "matmul",
    .formula = "Y = A^T B",
    .derivation = "Y_ij = sum_k A_ki B_kj, so dA_ki = sum_j dY_ij B_kj: dA = B dY^T, dB = A dY",
    .n_in = 2,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .infer = matmul_tn_infer,
    .forward = {[GR_F32] = matmul_tn_forward, [GR_F64] = matmul_tn_forward},
    .vjp = matmul_tn_vjp,
    .flops = gr__matmul_tn_flops,
    .samples = matmul_tn_samples,
};

/* --- products of any rank --- */

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
    return product(&gr__matmul_op, with_batch(a, &batch), with_batch(b, &batch));
}

/* [..., m, k] times one [k, n]: the batch is more rows of one matrix. */
static gr_tensor *folded_product(gr_tensor *a, gr_tensor *b)
{
    gr_shape shape = *gr_shape_of(a);
    int64_t k = shape.dim[shape.rank - 1], rows = 1;
    for (int i = 0; i < shape.rank - 1; i++) rows *= shape.dim[i];
    gr_tensor *y = product(&gr__matmul_op, gr_reshape(a, GR_SHAPE(rows, k)), b);
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
    if (ra < 2 || rb < 2 || (ra == 2 && rb == 2)) return product(&gr__matmul_op, a, b);
    if (rb == 2 && sa.dim[ra - 1] == sb.dim[0]) return folded_product(a, b);
    return batched_product(a, b);
}

/* Matrix product of the last two axes, the axes in front broadcast; a vector counts as a row on
 * the left, as a column on the right, and its axis is gone from the result: as in NumPy.
 * float32 or float64, both alike. */
gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b)
{
    if (!a || !b) return product(&gr__matmul_op, a, b);
    gr_graph *g = gr_graph_of(a) ? gr_graph_of(a) : gr_graph_of(b);
    if (gr__is_nil(a) || gr__is_nil(b) || gr_graph_of(a) != gr_graph_of(b))
        return product(&gr__matmul_op, a, b);
    gr_site_begin(g, GR_HERE);
    gr_tensor *y = any_product(a, b);
    gr_site_end(g);
    return y;
}

const gr_op *const gr__matmul_ops[] = {&gr__matmul_op, &gr__matmul_nt_op, &gr__matmul_tn_op, NULL};
