/* matrices.c - what the families of linear algebra share; powers and norms of matrices. */
/* SPDX-License-Identifier: MIT */
#include "matrices.h"

#include <stdio.h>
#include <string.h>

/* --- batches of matrices --- */

static const int64_t MOST = 1 << 24; /* rows or columns */

bool gr__infer_matrices(gr_infer *c, int input)
{
    const gr_shape *s = gr_shape_of(c->in[input]);
    if (s->rank < 2)
        return gr_infer_fail(c, "expected matrices [...,m,n], got %s", gr_infer_shape(c, input));
    gr__matrices a = gr__matrices_of(s);
    if (a.rows < MOST && a.columns < MOST) return true;
    return gr_infer_fail(c, "%s has a side above 2^24", gr_infer_shape(c, input));
}

bool gr__infer_square(gr_infer *c, int input)
{
    if (!gr__infer_matrices(c, input)) return false;
    gr__matrices a = gr__matrices_of(gr_shape_of(c->in[input]));
    if (a.rows == a.columns) return true;
    return gr_infer_fail(c, "expected square matrices [...,n,n], got %s", gr_infer_shape(c, input));
}

bool gr__infer_beside(gr_infer *c)
{
    const gr_shape *a = gr_shape_of(c->in[0]), *b = gr_shape_of(c->in[1]);
    bool fit = a->rank == b->rank;
    for (int i = 0; fit && i < a->rank - 2; i++) fit = a->dim[i] == b->dim[i];
    if (!fit)
        return gr_infer_fail(c, "%s and %s are different batches", gr_infer_shape(c, 0),
                             gr_infer_shape(c, 1));
    return gr__same_dtype(c, 0, 1);
}

gr_status gr__run_matrices(gr_exec *e, gr__batch b, gr__matrix_fn *body, void *ctx,
                           const char *problem)
{
    char of_batch[64] = "the matrix";
    int64_t which = 0;
    void *scratch = gr_exec_scratch(e, gr__batch_scratch(&b));
    if (!scratch) return GR_ERR_MEMORY;
    int64_t wrong = gr__batch_run(&b, body, ctx, scratch, &which);
    if (!wrong) return GR_OK;
    if (e->in[0].shape->rank > 2)
        snprintf(of_batch, sizeof of_batch, "matrix %lld of the batch", (long long)which);
    return gr_exec_fail(e, "%s %s %lld", of_batch, problem, (long long)wrong);
}

static gr_tensor *stretched(gr_tensor *x, const gr_shape *batch)
{
    gr_shape shape = *batch;
    gr__matrices own = gr__matrices_of(gr_shape_of(x));
    shape.dim[shape.rank - 2] = own.rows;
    shape.dim[shape.rank - 1] = own.columns;
    return gr_expand(x, shape);
}

/* What is no matrix is left to the op's own shape rule. */
bool gr__match_batches(const char *name, gr_tensor **a, gr_tensor **b)
{
    gr_shape x = *gr_shape_of(*a), y = *gr_shape_of(*b), batch;
    char ta[GR_SHAPE_TEXT], tb[GR_SHAPE_TEXT];
    if (x.rank < 2 || y.rank < 2) return true;
    x.dim[x.rank - 2] = x.dim[x.rank - 1] = y.dim[y.rank - 2] = y.dim[y.rank - 1] = 1;
    if (!gr__shape_broadcast(&x, &y, &batch)) {
        gr__fail_at(gr_graph_of(*a), GR_ERR_ARGUMENT, GR_HERE, "%s: cannot broadcast %s with %s",
                    name, gr_shape_text(gr_shape_of(*a), ta), gr_shape_text(gr_shape_of(*b), tb));
        return false;
    }
    *a = stretched(*a, &batch);
    *b = stretched(*b, &batch);
    return true;
}

/* --- matrices from matrices --- */

gr_tensor *gr__half_lower(gr_tensor *x)
{
    return gr_scale(gr_add(gr_tril(x, 0), gr_tril(x, -1)), 0.5);
}

gr_tensor *gr__plus_identity(gr_tensor *x, double a)
{
    const gr__matrices size = gr__matrices_of(gr_shape_of(x));
    return gr_add(x, gr_scale(gr_eye(gr_graph_of(x), gr_dtype_of(x), size.rows, size.columns), a));
}

gr_tensor *gr__spread_out(gr_tensor *x)
{
    gr_graph *g = gr_graph_of(x);
    const gr_dtype dtype = gr_dtype_of(x);
    const gr__matrices a = gr__matrices_of(gr_shape_of(x));
    gr_tensor *steps = gr_arange(g, dtype, 4, 4 * (double)a.columns + 4, 4);
    return gr_add(x, gr_mul(gr_eye(g, dtype, a.rows, a.columns), steps));
}

gr_tensor *gr__symmetric(gr_tensor *x)
{
    return gr_scale(gr_add(x, gr__turned(x)), 0.5);
}

/* --- samples that need a special first matrix --- */

static int record_with(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor *a,
                       gr_tensor **y)
{
    gr_tensor *in[2] = {a, s->n_in > 1 ? x[1] : NULL};
    gr_tensor *t = gr_apply(NULL, op, in, s->n_in, s->attrs);
    const int n = op->n_out ? op->n_out : 1;
    for (int i = 0; i < n; i++) y[i] = n > 1 ? gr_output(t, i) : t;
    return n;
}

int gr__record_regular(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    return record_with(op, s, x, gr__plus_identity(x[0], 3), y);
}

int gr__record_zero(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    return record_with(op, s, x, gr_scale(x[0], 0), y);
}

/* --- matrix_power --- */

typedef struct power_attrs {
    int n;
} power_attrs;

static const gr_field power_fields[] = {GR_FIELD(power_attrs, n, GR_FIELD_INT), {0}};

static gr_tensor *identities(gr_tensor *x)
{
    const gr_shape *s = gr_shape_of(x);
    const int64_t n = s->dim[s->rank - 1];
    return gr_expand(gr_eye(gr_graph_of(x), gr_dtype_of(x), n, n), *s);
}

/* x^13 = x x^4 x^8: by the binary digits of the exponent. */
static gr_tensor *power_define(gr_tensor *const *in, int n_in, const void *attrs)
{
    const int given = ((const power_attrs *)attrs)->n;
    const gr_shape *s = gr_shape_of(in[0]);
    char text[GR_SHAPE_TEXT];
    (void)n_in;
    if (s->rank < 2 || s->dim[s->rank - 1] != s->dim[s->rank - 2])
        return gr_fail(gr_graph_of(in[0]),
                       "matrix_power: expected square matrices [...,n,n], got %s",
                       gr_shape_text(s, text));
    gr_tensor *x = given < 0 ? gr_inverse(in[0]) : in[0], *y = NULL;
    for (unsigned n = given < 0 ? 0u - (unsigned)given : (unsigned)given; n; n >>= 1) {
        if (n & 1) y = y ? gr_matmul(y, x) : x;
        if (n > 1) x = gr_matmul(x, x);
    }
    return y ? y : identities(in[0]);
}

#define POWER(n) .n_in = 1, .attrs = &(const power_attrs){n}

static const gr_sample power_samples[] = {
    {.name = "fifth", .in = {GR__MATRIX(3, 3)}, POWER(5)},
    {.name = "square", .in = {GR__STACK(2, 2, 2)}, POWER(2)},
    {.name = "first", .in = {GR__MATRIX(3, 3)}, POWER(1)},
    {.name = "zeroth", .in = {GR__STACK(2, 2, 2)}, POWER(0)},
    {.name = "inverse squared", .in = {GR__MATRIX(3, 3)}, POWER(-2), .record = gr__record_regular},
    {.name = "empty", .in = {GR__MATRIX(0, 0)}, POWER(3)},
    {.name = "not square", .in = {GR__MATRIX(2, 3)}, POWER(2), .error = "expected square matrices [...,n,n], got [2,3]"},
    {0},
};

static const gr_op power_op = {
    .name = "matrix_power",
    .family = "matrices",
    .formula = "Y = A A ... A, n times; for n < 0 of A^-1; I for n = 0",
    .derivation = "through its products: d(A A) = dA A + A dA",
    .n_in = 1,
    .attrs_size = sizeof(power_attrs),
    .fields = power_fields,
    .define = power_define,
    .samples = power_samples,
};

/* The nth power of each matrix [...,n,n], with about 2 log2 |n| products; a negative one is that of
 * the inverse. */
gr_tensor *gr_matrix_power(gr_tensor *x, int n)
{
    return gr__unary(&power_op, x, &(power_attrs){n}, GR_HERE);
}

/* --- matrix_norm --- */

typedef struct norm_attrs {
    gr_matrix_norm_order order;
    bool keepdim;
} norm_attrs;

static const char *const orders[] = {"fro", "nuc", "1", "inf", "2", "-1", "-inf", "-2", NULL};

static const gr_field norm_fields[] = {
    GR_FIELD_NAMED(norm_attrs, order, orders),
    GR_FIELD(norm_attrs, keepdim, GR_FIELD_BOOL),
    {0},
};

static gr_tensor *frobenius(gr_tensor *x)
{
    return gr_norm(x, 2, GR_AXES(-2, -1), true);
}

static gr_tensor *values_of(gr_tensor *x)
{
    return gr_unsqueeze(gr_svdvals(x), -1);
}

static gr_tensor *nuclear(gr_tensor *x)
{
    return gr_sum(values_of(x), GR_AXES(-2), true);
}

static gr_tensor *column_sums(gr_tensor *x)
{
    return gr_sum(gr_abs(x), GR_AXES(-2), true);
}

static gr_tensor *row_sums(gr_tensor *x)
{
    return gr_sum(gr_abs(x), GR_AXES(-1), true);
}

/* What is made of the matrices, [...,m,n] -> [...,1,1] or more, and whether the largest or the
 * smallest of these counts. */
typedef struct norm_rule {
    gr_tensor *(*parts)(gr_tensor *x);
    gr_tensor *(*choice)(gr_tensor *x, gr_axes axes, bool keepdim);
} norm_rule;

static const norm_rule norm_rules[] = {
    [GR_MATRIX_NORM_FRO] = {frobenius, gr_sum},
    [GR_MATRIX_NORM_NUC] = {nuclear, gr_sum},
    [GR_MATRIX_NORM_1] = {column_sums, gr_max},
    [GR_MATRIX_NORM_INF] = {row_sums, gr_max},
    [GR_MATRIX_NORM_2] = {values_of, gr_max},
    [GR_MATRIX_NORM_MINUS_1] = {column_sums, gr_min},
    [GR_MATRIX_NORM_MINUS_INF] = {row_sums, gr_min},
    [GR_MATRIX_NORM_MINUS_2] = {values_of, gr_min},
};

static gr_tensor *norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    const norm_attrs *a = attrs;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (gr_shape_of(x[0])->rank < 2)
        return gr_fail(gr_graph_of(x[0]), "matrix_norm: expected matrices [...,m,n], got %s",
                       gr_shape_text(gr_shape_of(x[0]), text));
    if ((unsigned)a->order >= sizeof norm_rules / sizeof *norm_rules)
        return gr_fail(gr_graph_of(x[0]), "matrix_norm: there is no order %d", (int)a->order);
    const norm_rule *rule = &norm_rules[a->order];
    return rule->choice(rule->parts(x[0]), GR_AXES(-2, -1), a->keepdim);
}

static int record_apart(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y)
{
    gr_tensor *a = gr__spread_out(x[0]);
    y[0] = gr_apply(NULL, op, &a, 1, s->attrs);
    return 1;
}

#define NORM(order, keepdim) .n_in = 1, .attrs = &(const norm_attrs){order, keepdim}

static const gr_sample norm_samples[] = {
    {.name = "fro", .in = {GR__MATRIX(2, 3)}, NORM(GR_MATRIX_NORM_FRO, false)},
    {.name = "fro, kept", .in = {GR__STACK(2, 3, 2)}, NORM(GR_MATRIX_NORM_FRO, true)},
    {.name = "nuc", .in = {GR__MATRIX(2, 3)}, NORM(GR_MATRIX_NORM_NUC, false), .record = record_apart},
    {.name = "1", .in = {GR__MATRIX(3, 2)}, NORM(GR_MATRIX_NORM_1, false)},
    {.name = "inf", .in = {GR__MATRIX(3, 2)}, NORM(GR_MATRIX_NORM_INF, true)},
    {.name = "2", .in = {GR__STACK(2, 3, 2)}, NORM(GR_MATRIX_NORM_2, false), .record = record_apart},
    {.name = "-1", .in = {GR__MATRIX(3, 2)}, NORM(GR_MATRIX_NORM_MINUS_1, false)},
    {.name = "-inf", .in = {GR__MATRIX(3, 2)}, NORM(GR_MATRIX_NORM_MINUS_INF, false)},
    {.name = "-2", .in = {GR__MATRIX(2, 3)}, NORM(GR_MATRIX_NORM_MINUS_2, true), .record = record_apart},
    {.name = "vector", .in = {{.shape = {1, {3}}}}, NORM(GR_MATRIX_NORM_FRO, false), .error = "expected matrices [...,m,n], got [3]"},
    {.name = "no order", .in = {GR__MATRIX(2, 3)}, NORM((gr_matrix_norm_order)8, false), .error = "there is no order 8"},
    {0},
};

static const gr_op norm_op = {
    .name = "matrix_norm",
    .family = "matrices",
    .formula = "fro: (sum a_ij^2)^(1/2); nuc: sum s_i; 2, -2: max, min s_i; 1, -1: max, min_j "
               "sum_i |a_ij|; inf, -inf: max, min_i sum_j |a_ij|",
    .derivation = "through its parts: norm, svdvals, abs, sum, max and min",
    .n_in = 1,
    .attrs_size = sizeof(norm_attrs),
    .fields = norm_fields,
    .define = norm_define,
    .samples = norm_samples,
};

/* A norm of each matrix [...,m,n]: [...], or [...,1,1] with keepdim. The orders are those of
 * torch.linalg.matrix_norm; s are the singular values. At kinks as gr_norm, gr_abs, gr_max and
 * gr_svdvals choose: 0 for the Frobenius norm of zeros, equal maxima share. */
gr_tensor *gr_matrix_norm(gr_tensor *x, gr_matrix_norm_order order, bool keepdim)
{
    return gr__unary(&norm_op, x, &(norm_attrs){order, keepdim}, GR_HERE);
}

const gr_op *const gr__matrices_ops[] = {&power_op, &norm_op, NULL};
