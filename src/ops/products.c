/* products.c - products of vectors and tensors.
 *
 *   dot        y = sum_i a_i b_i                da = dy b
 *   outer      Y_ij = a_i b_j                   da_i = sum_j dY_ij b_j
 *   cross      y = a x b                        da = b x dy      db = dy x a
 *   bilinear   y_k = sum_ij a_i w_kij b_j       linear in each of a, b and w
 *
 * All are recorded from matrix products, element-wise products and views.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <stdio.h>

#define VECTOR(n) {.shape = {1, {n}}}
#define MATRIX(m, n) {.shape = {2, {m, n}}}
#define STACK(b, m, n) {.shape = {3, {b, m, n}}}
#define ONE {.shape = {0, {0}}}

static gr_tensor *refuse(gr_tensor *const *x, const char *format)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    return gr_fail(gr_graph_of(x[0]), format, gr_shape_text(gr_shape_of(x[0]), a),
                   gr_shape_text(gr_shape_of(x[1]), b));
}

/* --- dot --- */

static gr_tensor *dot_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_shape *a = gr_shape_of(x[0]);
    (void)n, (void)attrs;
    if (a->rank != 1 || !gr_shape_equal(a, gr_shape_of(x[1])))
        return refuse(x, "dot: expected two vectors of one length, got %s and %s");
    return gr_matmul(x[0], x[1]);
}

static const gr_sample dot_samples[] = {
    {.name = "vectors", .in = {VECTOR(5), VECTOR(5)}, .n_in = 2},
    {.name = "empty", .in = {VECTOR(0), VECTOR(0)}, .n_in = 2},
    {.name = "lengths", .in = {VECTOR(3), VECTOR(4)}, .n_in = 2, .error = "expected two vectors of one length, got [3] and [4]"},
    {.name = "matrix", .in = {MATRIX(3, 3), MATRIX(3, 3)}, .n_in = 2, .error = "expected two vectors of one length"},
    {0},
};

static const gr_op dot_op = {
    .name = "dot",
    .family = "products",
    .formula = "y = sum_i a_i b_i",
    .derivation = "dy/da_i = b_i, so da = dy b and db = dy a",
    .n_in = 2,
    .define = dot_define,
    .samples = dot_samples,
};

/* The scalar product of two vectors [n], a scalar. */
gr_tensor *gr_dot(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&dot_op, a, b, GR_HERE);
}

/* --- vecdot --- */

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

#define AXIS(i) .n_in = 2, .attrs = &(const axis_attrs){i}

static gr_tensor *vecdot_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    return gr_sum(gr_mul(x[0], x[1]), GR_AXES(((const axis_attrs *)attrs)->axis), false);
}

static const gr_sample vecdot_samples[] = {
    {.name = "rows", .in = {MATRIX(3, 4), MATRIX(3, 4)}, AXIS(-1)},
    {.name = "columns, stretched", .in = {STACK(2, 3, 4), MATRIX(3, 1)}, AXIS(1)},
    {.name = "no rows", .in = {MATRIX(0, 4), VECTOR(4)}, AXIS(-1)},
    {.name = "no axis", .in = {MATRIX(3, 4), VECTOR(4)}, AXIS(2), .error = "out of range"},
    {.name = "other sizes", .in = {MATRIX(3, 4), VECTOR(3)}, AXIS(1), .error = "cannot broadcast [3,4] with [3]"},
    {0},
};

static const gr_op vecdot_op = {
    .name = "vecdot",
    .family = "products",
    .formula = "y = sum_i a_i b_i along an axis",
    .derivation = "dy/da_i = b_i, so da = dy b and db = dy a, dy stretched along the axis",
    .n_in = 2,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = vecdot_define,
    .samples = vecdot_samples,
};

/* Scalar products along one axis of the broadcast shape of a and b; the axis is gone. */
gr_tensor *gr_vecdot(gr_tensor *a, gr_tensor *b, int axis)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &vecdot_op, in, 2, &(axis_attrs){axis}, GR_HERE);
}

/* --- outer --- */

static gr_tensor *outer_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    if (gr_shape_of(x[0])->rank != 1 || gr_shape_of(x[1])->rank != 1)
        return refuse(x, "outer: expected two vectors, got %s and %s");
    return gr_mul(gr_unsqueeze(x[0], 1), x[1]);
}

static const gr_sample outer_samples[] = {
    {.name = "vectors", .in = {VECTOR(3), VECTOR(4)}, .n_in = 2},
    {.name = "of one length", .in = {VECTOR(3), VECTOR(3)}, .n_in = 2},
    {.name = "empty", .in = {VECTOR(0), VECTOR(4)}, .n_in = 2},
    {.name = "matrix", .in = {MATRIX(3, 3), VECTOR(3)}, .n_in = 2, .error = "expected two vectors, got [3,3] and [3]"},
    {0},
};

static const gr_op outer_op = {
    .name = "outer",
    .family = "products",
    .formula = "Y_ij = a_i b_j",
    .derivation = "dY_ij/da_i = b_j, so da_i = sum_j dY_ij b_j and db_j = sum_i dY_ij a_i",
    .n_in = 2,
    .define = outer_define,
    .samples = outer_samples,
};

/* All products of two vectors [m] and [n]: [m,n]. */
gr_tensor *gr_outer(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&outer_op, a, b, GR_HERE);
}

/* --- cross --- */

/* y_i = a_{i+1} b_{i+2} - a_{i+2} b_{i+1}, indices modulo 3 */
static gr_tensor *cross_define(gr_tensor *const *x, int n, const void *attrs)
{
    int axis = ((const axis_attrs *)attrs)->axis;
    gr_shape shape;
    (void)n;
    if (!gr__shape_broadcast(gr_shape_of(x[0]), gr_shape_of(x[1]), &shape) ||
        !gr__axis(&axis, shape.rank) || shape.dim[axis] != 3)
        return refuse(x, "cross: expected 3 elements along the axis, got %s and %s");
    gr_tensor *a = gr_expand(x[0], shape), *b = gr_expand(x[1], shape);
    return gr_sub(gr_mul(gr_roll(a, axis, -1), gr_roll(b, axis, -2)),
                  gr_mul(gr_roll(a, axis, -2), gr_roll(b, axis, -1)));
}

static const gr_sample cross_samples[] = {
    {.name = "vectors", .in = {VECTOR(3), VECTOR(3)}, AXIS(0)},
    {.name = "columns", .in = {STACK(2, 3, 4), MATRIX(3, 4)}, AXIS(1)},
    {.name = "rows, stretched", .in = {MATRIX(4, 3), VECTOR(3)}, AXIS(-1)},
    {.name = "none", .in = {MATRIX(0, 3), VECTOR(3)}, AXIS(1)},
    {.name = "four", .in = {VECTOR(4), VECTOR(4)}, AXIS(0), .error = "expected 3 elements along the axis, got [4] and [4]"},
    {.name = "no axis", .in = {VECTOR(3), VECTOR(3)}, AXIS(1), .error = "expected 3 elements along the axis"},
    {0},
};

static const gr_op cross_op = {
    .name = "cross",
    .family = "products",
    .formula = "y_i = a_{i+1} b_{i+2} - a_{i+2} b_{i+1}, indices modulo 3",
    .derivation = "<dy, a x b> is the determinant of dy, a, b, the same under rotation: "
                  "<a, b x dy> and <b, dy x a>, so da = b x dy and db = dy x a",
    .n_in = 2,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = cross_define,
    .samples = cross_samples,
};

/* The cross product along one axis, of size 3, of the broadcast shape of a and b. */
gr_tensor *gr_cross(gr_tensor *a, gr_tensor *b, int axis)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &cross_op, in, 2, &(axis_attrs){axis}, GR_HERE);
}

/* --- kron --- */

/* The sizes at every second place, 0 or 1 being the first, of a shape of twice the rank, with ones
 * between them. */
static gr_shape interleaved(const gr_shape *s, int rank, int place)
{
    gr_shape y = {2 * rank, {0}};
    for (int i = 0; i < rank; i++) {
        const int own = i - (rank - s->rank);
        y.dim[2 * i + place] = own < 0 ? 1 : s->dim[own];
        y.dim[2 * i + 1 - place] = 1;
    }
    return y;
}

static gr_tensor *kron_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_shape *a = gr_shape_of(x[0]), *b = gr_shape_of(x[1]);
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    (void)n, (void)attrs;
    if (2 * rank > GR_MAX_RANK) return refuse(x, "kron: expected at most 4 axes, got %s and %s");
    gr_tensor *y = gr_mul(gr_reshape(x[0], interleaved(a, rank, 0)),
                          gr_reshape(x[1], interleaved(b, rank, 1)));
    gr_shape shape = {rank, {0}};
    const gr_shape *pairs = gr_shape_of(y);
    if (gr__is_nil(y)) return y;
    for (int i = 0; i < rank; i++) shape.dim[i] = pairs->dim[2 * i] * pairs->dim[2 * i + 1];
    return gr_reshape(y, shape);
}

static const gr_sample kron_samples[] = {
    {.name = "matrices", .in = {MATRIX(2, 3), MATRIX(4, 2)}, .n_in = 2},
    {.name = "other ranks", .in = {VECTOR(2), STACK(2, 1, 3)}, .n_in = 2},
    {.name = "of one shape", .in = {MATRIX(2, 2), MATRIX(2, 2)}, .n_in = 2},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {MATRIX(0, 2), MATRIX(2, 2)}, .n_in = 2},
    {.name = "five axes", .in = {{.shape = {5, {1, 1, 1, 1, 1}}}, VECTOR(2)}, .n_in = 2, .error = "expected at most 4 axes, got [1,1,1,1,1] and [2]"},
    {0},
};

static const gr_op kron_op = {
    .name = "kron",
    .family = "products",
    .formula = "y[i p + k, j q + l] = a_ij b_kl for b of [p,q], likewise for other ranks",
    .derivation = "each y is one product: da_ij = sum_kl dy b_kl over its block, db_kl = sum_ij dy "
                  "a_ij over all blocks",
    .n_in = 2,
    .define = kron_define,
    .samples = kron_samples,
};

/* The Kronecker product: every element of a times all of b. The one of lower rank gets axes of size
 * 1 in front; at most 4 axes. */
gr_tensor *gr_kron(gr_tensor *a, gr_tensor *b)
{
    return gr__binary(&kron_op, a, b, GR_HERE);
}

/* --- tensordot --- */

typedef struct tensordot_attrs {
    gr_axes axes_a, axes_b;
} tensordot_attrs;

static const gr_field tensordot_fields[] = {
    GR_FIELD(tensordot_attrs, axes_a, GR_FIELD_AXES),
    GR_FIELD(tensordot_attrs, axes_b, GR_FIELD_AXES),
    {0},
};

/* A tensor as a matrix of kept axes by summed ones, or the other way round. */
typedef struct fold {
    gr_axes kept, summed;
    int64_t n_kept, n_summed; /* elements */
} fold;

static bool fold_of(const gr_shape *s, const gr_axes *axes, fold *f)
{
    bool gone[GR_MAX_RANK] = {false};
    *f = (fold){.n_kept = 1, .n_summed = 1};
    if (axes->n < 0 || axes->n > s->rank) return false;
    for (int i = 0; i < axes->n; i++) {
        int axis = axes->axis[i];
        if (!gr__axis(&axis, s->rank) || gone[axis]) return false;
        gone[axis] = true;
        f->summed.axis[f->summed.n++] = axis;
        f->n_summed *= s->dim[axis];
    }
    for (int i = 0; i < s->rank; i++) {
        if (gone[i]) continue;
        f->kept.axis[f->kept.n++] = i;
        f->n_kept *= s->dim[i];
    }
    return true;
}

static gr_axes joined(gr_axes a, const gr_axes *b)
{
    for (int i = 0; i < b->n; i++) a.axis[a.n++] = b->axis[i];
    return a;
}

static bool pairs_fit(const gr_shape *a, const fold *fa, const gr_shape *b, const fold *fb)
{
    bool fit = fa->summed.n == fb->summed.n && fa->kept.n + fb->kept.n <= GR_MAX_RANK;
    for (int i = 0; fit && i < fa->summed.n; i++)
        fit = a->dim[fa->summed.axis[i]] == b->dim[fb->summed.axis[i]];
    return fit;
}

static gr_tensor *tensordot_define(gr_tensor *const *x, int n, const void *attrs)
{
    const tensordot_attrs *t = attrs;
    const gr_shape *a = gr_shape_of(x[0]), *b = gr_shape_of(x[1]);
    fold fa, fb;
    (void)n;
    if (!fold_of(a, &t->axes_a, &fa) || !fold_of(b, &t->axes_b, &fb) || !pairs_fit(a, &fa, b, &fb))
        return refuse(x, "tensordot: the axes do not pair those of %s with those of %s");
    gr_tensor *first = gr_permute(x[0], joined(fa.kept, &fa.summed));
    gr_tensor *second = gr_permute(x[1], joined(fb.summed, &fb.kept));
    gr_shape shape = {0, {0}};
    for (int i = 0; i < fa.kept.n; i++) shape.dim[shape.rank++] = a->dim[fa.kept.axis[i]];
    for (int i = 0; i < fb.kept.n; i++) shape.dim[shape.rank++] = b->dim[fb.kept.axis[i]];
    return gr_reshape(gr_matmul(gr_reshape(first, GR_SHAPE(fa.n_kept, fa.n_summed)),
                                gr_reshape(second, GR_SHAPE(fb.n_summed, fb.n_kept))),
                      shape);
}

#define AXES(...) .n_in = 2, .attrs = &(const tensordot_attrs){__VA_ARGS__}

static const gr_sample tensordot_samples[] = {
    {.name = "two axes", .in = {STACK(2, 3, 4), STACK(4, 5, 2)}, AXES({2, {0, 2}}, {2, {2, 0}})},
    {.name = "one axis", .in = {MATRIX(3, 4), STACK(2, 4, 5)}, AXES({1, {-1}}, {1, {1}})},
    {.name = "none", .in = {VECTOR(3), MATRIX(2, 2)}, AXES({0, {0}}, {0, {0}})},
    {.name = "all", .in = {MATRIX(3, 2), MATRIX(2, 3)}, AXES({2, {0, 1}}, {2, {1, 0}})},
    {.name = "nothing inside", .in = {MATRIX(3, 0), MATRIX(0, 2)}, AXES({1, {1}}, {1, {0}})},
    {.name = "other sizes", .in = {MATRIX(3, 4), MATRIX(3, 4)}, AXES({1, {0}}, {1, {1}}), .error = "the axes do not pair those of [3,4] with those of [3,4]"},
    {.name = "no axis", .in = {MATRIX(3, 4), MATRIX(3, 4)}, AXES({1, {2}}, {1, {1}}), .error = "the axes do not pair"},
    {.name = "repeated", .in = {MATRIX(3, 3), MATRIX(3, 3)}, AXES({2, {0, 0}}, {2, {0, 1}}), .error = "the axes do not pair"},
    {.name = "other count", .in = {MATRIX(3, 3), MATRIX(3, 3)}, AXES({1, {0}}, {2, {0, 1}}), .error = "the axes do not pair"},
    {0},
};

static const gr_op tensordot_op = {
    .name = "tensordot",
    .family = "products",
    .formula = "y[i, j] = sum_k a[i, k] b[k, j], each index standing for several axes",
    .derivation = "a product of matrices: da = dy b^T, db = a^T dy, their axes put back",
    .n_in = 2,
    .attrs_size = sizeof(tensordot_attrs),
    .fields = tensordot_fields,
    .define = tensordot_define,
    .samples = tensordot_samples,
};

/* Sums over axes_a[i] of a together with axes_b[i] of b, which are of one size; the result has the
 * other axes of a, then those of b, in their order. Without axes: all products. */
gr_tensor *gr_tensordot(gr_tensor *a, gr_tensor *b, gr_axes axes_a, gr_axes axes_b)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &tensordot_op, in, 2, &(tensordot_attrs){axes_a, axes_b}, GR_HERE);
}

/* --- bilinear --- */

static bool bilinear_fits(gr_tensor *const *x, int n)
{
    gr_shape a = *gr_shape_of(x[0]), b = *gr_shape_of(x[1]);
    const gr_shape *w = gr_shape_of(x[2]), *bias = n == 4 ? gr_shape_of(x[3]) : NULL;
    if (a.rank < 1 || b.rank != a.rank || w->rank != 3) return false;
    if (w->dim[1] != a.dim[a.rank - 1] || w->dim[2] != b.dim[b.rank - 1]) return false;
    a.dim[a.rank - 1] = b.dim[b.rank - 1];
    return gr_shape_equal(&a, &b) && (!bias || (bias->rank == 1 && bias->dim[0] == w->dim[0]));
}

static gr_tensor *bilinear_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)attrs;
    if (!bilinear_fits(x, n)) {
        char text[GR_SHAPE_TEXT], message[3 * GR_SHAPE_TEXT];
        gr_shape_text(gr_shape_of(x[2]), text);
        snprintf(message, sizeof message,
                 "bilinear: %%s and %%s do not suit a weight of [out,i,j] = %s or its bias", text);
        return refuse(x, message);
    }
    gr_shape shape = *gr_shape_of(x[0]);
    const gr_shape *w = gr_shape_of(x[2]);
    const int64_t out = w->dim[0], i = w->dim[1], j = w->dim[2];
    int64_t rows = 1;
    for (int k = 0; k < shape.rank - 1; k++) rows *= shape.dim[k];
    shape.dim[shape.rank - 1] = out;
    gr_tensor *by_a = gr_reshape(gr_permute(x[2], GR_AXES(1, 0, 2)), GR_SHAPE(i, out * j));
    gr_tensor *half = gr_matmul(gr_reshape(x[0], GR_SHAPE(rows, i)), by_a); /* [rows, out j] */
    gr_tensor *y = gr_matmul(gr_reshape(half, GR_SHAPE(rows, out, j)),
                             gr_reshape(x[1], GR_SHAPE(rows, j, 1)));
    y = gr_reshape(y, shape);
    return n == 4 ? gr_add(y, x[3]) : y;
}

static const gr_sample bilinear_samples[] = {
    {.name = "with bias", .in = {MATRIX(3, 2), MATRIX(3, 4), STACK(5, 2, 4), VECTOR(5)}, .n_in = 4},
    {.name = "without bias", .in = {STACK(2, 2, 3), STACK(2, 2, 3), STACK(2, 3, 3)}, .n_in = 3},
    {.name = "vectors", .in = {VECTOR(2), VECTOR(3), STACK(4, 2, 3)}, .n_in = 3},
    {.name = "no rows", .in = {MATRIX(0, 2), MATRIX(0, 3), STACK(4, 2, 3)}, .n_in = 3},
    {.name = "wrong width", .in = {MATRIX(3, 2), MATRIX(3, 4), STACK(5, 4, 2)}, .n_in = 3, .error = "[3,2] and [3,4] do not suit a weight of [out,i,j] = [5,4,2]"},
    {.name = "other rows", .in = {MATRIX(3, 2), MATRIX(4, 4), STACK(5, 2, 4)}, .n_in = 3, .error = "[3,2] and [4,4] do not suit"},
    {.name = "wrong bias", .in = {MATRIX(3, 2), MATRIX(3, 4), STACK(5, 2, 4), VECTOR(4)}, .n_in = 4, .error = "or its bias"},
    {0},
};

static const gr_op bilinear_op = {
    .name = "bilinear",
    .family = "products",
    .formula = "y_nk = sum_ij a_ni w_kij b_nj + bias_k",
    .derivation = "linear in each: da_ni = sum_kj dy_nk w_kij b_nj, db_nj = sum_ki dy_nk a_ni w_kij, "
                  "dw_kij = sum_n dy_nk a_ni b_nj, dbias_k = sum_n dy_nk",
    .n_in = 4,
    .optional = 1,
    .define = bilinear_define,
    .samples = bilinear_samples,
};

/* PyTorch's functional.bilinear: a [...,i], b [...,j], w [out,i,j], bias [out] or NULL give
 * [...,out]; the axes in front are the same. */
gr_tensor *gr_bilinear(gr_tensor *a, gr_tensor *b, gr_tensor *w, gr_tensor *bias)
{
    gr_tensor *in[4] = {a, b, w, bias};
    return gr__apply(NULL, &bilinear_op, in, bias ? 4 : 3, NULL, GR_HERE);
}

const gr_op *const gr__products_ops[] = {
    &dot_op,  &vecdot_op,    &outer_op,    &cross_op,
    &kron_op, &tensordot_op, &bilinear_op, NULL,
};
