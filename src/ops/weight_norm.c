/* weight_norm.c - values over their own length: vectors, weights, matrices.
 *
 *   normalize       y = x / max(|x|_p, eps)     along an axis
 *   weight_norm     w = g v / |v|               length g and direction v, learnt apart
 *   spectral_norm   y = w / (u^T W v)           W of largest singular value 1
 *
 * Each is recorded from its parts, whose rules it inherits. With n = |x| and xh = x / n the length
 * takes the part along xh out of the gradient: dx = (dy - xh sum dy xh) / n.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define POSITIVE1(a) {.shape = {1, {a}}, .low = 0.5, .high = 1.5}
#define POSITIVE2(a, b) {.shape = {2, {a, b}}, .low = 0.5, .high = 1.5}
#define POSITIVE3(a, b, c) {.shape = {3, {a, b, c}}, .low = 0.5, .high = 1.5}

/* --- normalize --- */

typedef struct normalize_attrs {
    double p; /* 0: 2 */
    int axis;
    double eps; /* 0: 1e-12 */
} normalize_attrs;

static const gr_field normalize_fields[] = {
    GR_FIELD(normalize_attrs, p, GR_FIELD_F64),
    GR_FIELD(normalize_attrs, axis, GR_FIELD_INT),
    GR_FIELD(normalize_attrs, eps, GR_FIELD_F64),
    {0},
};

static gr_tensor *normalize_define(gr_tensor *const *x, int n, const void *attrs)
{
    const normalize_attrs *a = attrs;
    const gr_shape *s = gr_shape_of(x[0]);
    gr_graph *g = gr_graph_of(x[0]);
    const gr_dtype dtype = gr_dtype_of(x[0]);
    char text[GR_SHAPE_TEXT];
    int axis = a->axis;
    (void)n;
    if (!gr__is_float(dtype)) return gr_fail(g, "normalize: not defined for %s", gr_dtype_name(dtype));
    if (!gr__axis(&axis, s->rank ? s->rank : 1))
        return gr_fail(g, "normalize: axis %d is out of range for %s", a->axis,
                       gr_shape_text(s, text));
    if (!(a->p >= 0)) return gr_fail(g, "normalize: p is %g, expected a positive number", a->p);
    if (!(a->eps >= 0)) return gr_fail(g, "normalize: eps is %g, expected at least 0", a->eps);
    if (gr_numel(x[0]) == 0) return gr_scale(x[0], 1); /* nothing has no largest element */
    gr_tensor *length = gr_norm(x[0], a->p == 0 ? 2 : a->p, s->rank ? GR_AXES(axis) : GR_ALL, true);
    return gr_div(x[0], gr_maximum(length, gr_scalar(g, dtype, a->eps == 0 ? 1e-12 : a->eps)));
}

#define NORMALIZE(...) .attrs = &(const normalize_attrs){__VA_ARGS__}

static const gr_sample normalize_samples[] = {
    {.name = "rows", .in = {S2(3, 5)}, .n_in = 1, NORMALIZE(.axis = -1)},
    {.name = "columns", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 0, .p = 2)},
    {.name = "middle axis", .in = {S3(2, 4, 3)}, .n_in = 1, NORMALIZE(.axis = 1, .p = 3)},
    {.name = "absolute", .in = {POSITIVE2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 1, .p = 1)},
    {.name = "largest", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 1, .p = __builtin_inf())},
    {.name = "shorter than eps", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 1, .eps = 5)},
    {.name = "empty", .in = {S2(0, 4)}, .n_in = 1, NORMALIZE(.axis = 0, .p = __builtin_inf())},
    {.name = "bad axis", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "negative p", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 1, .p = -1), .error = "p is -1"},
    {.name = "negative eps", .in = {S2(3, 4)}, .n_in = 1, NORMALIZE(.axis = 1, .eps = -1), .error = "eps is -1"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, NORMALIZE(.axis = 0), .error = "not defined for int64"},
    {0},
};

static const gr_op normalize_op = {
    .name = "normalize",
    .family = "weight_norm",
    .formula = "y = x / max(|x|_p, eps) along the axis",
    .derivation = "y = x / n, n = |x|_p: dx = dy / n - (dn/dx) sum dy x / n^2; for p = 2, with "
                  "xh = x / n, dx = (dy - xh sum dy xh) / n",
    .ties = "of norm and maximum: |x| = eps halves what passes through the length (PyTorch's clamp "
            "passes all of it), x = 0 gives dy / eps",
    .n_in = 1,
    .attrs_size = sizeof(normalize_attrs),
    .fields = normalize_fields,
    .define = normalize_define,
    .samples = normalize_samples,
};

/* Vectors along the axis over their p-norm, or over eps where that is larger; p 0 stands for 2,
 * INFINITY is the largest |x_i|, eps 0 stands for 1e-12. A vector of zeros stays 0. */
gr_tensor *gr_normalize(gr_tensor *x, double p, int axis, double eps)
{
    return gr__unary(&normalize_op, x, &(normalize_attrs){p, axis, eps}, GR_HERE);
}

/* --- weight_norm --- */

typedef struct weight_norm_attrs {
    int axis;
} weight_norm_attrs;

static const gr_field weight_norm_fields[] = {GR_FIELD(weight_norm_attrs, axis, GR_FIELD_INT), {0}};

/* The length of each slice of v along the axis, of size 1 elsewhere. */
static gr_tensor *lengths_along(gr_tensor *v, int axis)
{
    gr_axes others = {0, {0}};
    for (int i = 0; i < gr_shape_of(v)->rank; i++)
        if (i != axis) others.axis[others.n++] = i;
    return others.n ? gr_norm(v, 2, others, true) : gr_abs(v);
}

static gr_tensor *weight_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_shape *s = gr_shape_of(x[0]);
    const int given = ((const weight_norm_attrs *)attrs)->axis;
    char text[GR_SHAPE_TEXT], other[GR_SHAPE_TEXT];
    int axis = given;
    (void)n;
    if (!gr__axis(&axis, s->rank))
        return gr_fail(gr_graph_of(x[0]), "weight_norm: axis %d is out of range for %s", given,
                       gr_shape_text(s, text));
    gr_shape lengths = *s;
    for (int i = 0; i < s->rank; i++)
        if (i != axis) lengths.dim[i] = 1;
    if (!gr_shape_equal(gr_shape_of(x[1]), &lengths))
        return gr_fail(gr_graph_of(x[0]), "weight_norm: expected g of %s, got %s",
                       gr_shape_text(&lengths, text), gr_shape_text(gr_shape_of(x[1]), other));
    return gr_mul(x[0], gr_div(x[1], lengths_along(x[0], axis)));
}

#define AXIS(i) .attrs = &(const weight_norm_attrs){i}

static const gr_sample weight_norm_samples[] = {
    {.name = "matrix", .in = {S2(3, 4), S2(3, 1)}, .n_in = 2, AXIS(0)},
    {.name = "columns", .in = {S2(3, 4), S2(1, 4)}, .n_in = 2, AXIS(-1)},
    {.name = "kernel", .in = {S3(4, 2, 3), S3(4, 1, 1)}, .n_in = 2, AXIS(0)},
    {.name = "vector", .in = {POSITIVE1(4), S1(4)}, .n_in = 2, AXIS(0)},
    {.name = "no rows", .in = {S2(0, 4), S2(0, 1)}, .n_in = 2, AXIS(0)},
    {.name = "bad axis", .in = {S2(3, 4), S2(3, 1)}, .n_in = 2, AXIS(2), .error = "axis 2 is out of range for [3,4]"},
    {.name = "other lengths", .in = {S2(3, 4), S1(3)}, .n_in = 2, AXIS(0), .error = "expected g of [3,1], got [3]"},
    {0},
};

static const gr_op weight_norm_op = {
    .name = "weight_norm",
    .family = "weight_norm",
    .formula = "w = g v / |v| for each slice of v along the axis",
    .derivation = "with vh = v / |v|: dg = sum dw vh, and the length takes the part along vh out: "
                  "dv = g (dw - vh dg) / |v|",
    .ties = "v = 0 has no direction: w is NaN (as in PyTorch); along the axis of a vector |v| is "
            "the absolute value, with derivative 0 at 0",
    .n_in = 2,
    .attrs_size = sizeof(weight_norm_attrs),
    .fields = weight_norm_fields,
    .define = weight_norm_define,
    .samples = weight_norm_samples,
};

/* A weight from its direction v and, for each index of the axis, its length g: of the size of v
 * there, 1 elsewhere. A slice of zeros gives NaN. Salimans, Kingma, "Weight normalization", 2016. */
gr_tensor *gr_weight_norm(gr_tensor *v, gr_tensor *g, int axis)
{
    gr_tensor *in[2] = {v, g};
    return gr__apply(NULL, &weight_norm_op, in, 2, &(weight_norm_attrs){axis}, GR_HERE);
}

/* --- spectral_norm --- */

/* Whether u and v are the two sides of w, seen as a matrix [w.dim[0], rest]; v may be NULL. */
static bool sides_fit(gr_tensor *w, gr_tensor *u, gr_tensor *v)
{
    const gr_shape *s = gr_shape_of(w), *a = gr_shape_of(u);
    if (s->rank < 2 || gr_numel(w) == 0 || a->rank != 1 || a->dim[0] != s->dim[0]) return false;
    if (!v) return true;
    return gr_shape_of(v)->rank == 1 && gr_numel(v) == gr_numel(w) / s->dim[0];
}

static gr_tensor *misfit(gr_tensor *w, gr_tensor *u, const void *site)
{
    char text[GR_SHAPE_TEXT], other[GR_SHAPE_TEXT];
    return gr__fail_at(gr_graph_of(w), GR_ERR_ARGUMENT, site,
                       "spectral_norm: expected w of [m,...], not empty, with a vector for each "
                       "side, u of [m], got w %s and u %s",
                       gr_shape_text(gr_shape_of(w), text), gr_shape_text(gr_shape_of(u), other));
}

static gr_tensor *as_matrix(gr_tensor *w)
{
    return gr_reshape(w, GR_SHAPE(gr_shape_of(w)->dim[0], -1));
}

static gr_tensor *as_column(gr_tensor *x)
{
    return gr_reshape(x, GR_SHAPE(-1, 1));
}

static gr_tensor *spectral_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    if (!sides_fit(x[0], x[1], x[2])) return misfit(x[0], x[1], GR_HERE);
    gr_tensor *across = gr_matmul(as_matrix(x[0]), as_column(x[2]));
    return gr_div(x[0], gr_sum_all(gr_mul(as_column(x[1]), across)));
}

static const gr_sample spectral_norm_samples[] = {
    {.name = "matrix", .in = {POSITIVE2(3, 4), POSITIVE1(3), POSITIVE1(4)}, .n_in = 3},
    {.name = "kernel", .in = {POSITIVE3(2, 3, 2), POSITIVE1(2), POSITIVE1(6)}, .n_in = 3},
    {.name = "other side", .in = {S2(3, 4), S1(4), S1(4)}, .n_in = 3, .error = "u of [m], got w [3,4] and u [4]"},
    {.name = "vector", .in = {S1(3), S1(3), S1(3)}, .n_in = 3, .error = "expected w of [m,...]"},
    {0},
};

static const gr_op spectral_norm_op = {
    .name = "spectral_norm",
    .family = "weight_norm",
    .formula = "y = w / s with s = u^T W v, W being w as a matrix [m, rest]",
    .derivation = "s is linear in each: ds/dW = u v^T, so with t = -sum dy w / s^2: dw = dy / s + "
                  "t u v^T, du = t W v, dv = t W^T u",
    .n_in = 3,
    .define = spectral_norm_define,
    .samples = spectral_norm_samples,
};

/* w over an estimate of its largest singular value as a matrix W, [m, rest]: u^T W v, after so many
 * power iterations v = W^T u / |W^T u|, u = W v / |W v| from the given u, [m]. *next_u, if not NULL,
 * gets the u to begin with next time, to be kept with gr_assign; with 0 iterations, as in
 * evaluation, u stays. u and v count as constants in the gradient, as in PyTorch: at the singular
 * vectors s does not move with them. Errors: shapes that do not fit, a negative number of
 * iterations. Miyato et al., "Spectral normalization", ICLR 2018. */
gr_tensor *gr_spectral_norm(gr_tensor *w, gr_tensor *u, int iterations, gr_tensor **next_u)
{
    gr_tensor *in[3] = {w, u, u};
    if (next_u) *next_u = u;
    if (!w || !u || gr__is_nil(w) || gr__is_nil(u))
        return gr__apply(NULL, &spectral_norm_op, in, 3, NULL, GR_HERE);
    if (!sides_fit(w, u, NULL)) return misfit(w, u, GR_HERE);
    gr_graph *g = gr_graph_of(w);
    if (iterations < 0)
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "spectral_norm: %d iterations, expected at "
                           "least 0", iterations);
    gr_site_begin(g, GR_HERE);
    gr_tensor *matrix = gr_detach(as_matrix(w)), *turned = gr_transpose(matrix, 0, 1);
    gr_tensor *left = as_column(gr_detach(u));
    gr_tensor *right = gr_normalize(gr_matmul(turned, left), 2, 0, 0);
    for (int i = 0; i < iterations; i++) {
        if (i) right = gr_normalize(gr_matmul(turned, left), 2, 0, 0);
        left = gr_normalize(gr_matmul(matrix, right), 2, 0, 0);
    }
    in[1] = gr_reshape(left, GR_SHAPE(-1));
    in[2] = gr_reshape(right, GR_SHAPE(-1));
    if (next_u) *next_u = in[1];
    gr_tensor *y = gr__apply(g, &spectral_norm_op, in, 3, NULL, GR_HERE);
    gr_site_end(g);
    return y;
}

const gr_op *const gr__weight_norm_ops[] = {
    &normalize_op, &weight_norm_op, &spectral_norm_op, NULL,
};
