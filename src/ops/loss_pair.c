/* loss_pair.c - how far two vectors are apart, and losses that pull pairs together or push them
 * apart.
 *
 *   cosine_similarity   a.b / (|a| |b|)
 *   pairwise_distance   (sum |a - b + eps|^p)^(1/p)
 *   cosine_embedding    t > 0 ? 1 - cos(a, b) : max(0, cos(a, b) - m)
 *   contrastive         ((1 - t) d^2 + t max(0, m - d)^2) / 2        d = |a - b|
 *   triplet_margin      max(0, d(anchor, positive) - d(anchor, negative) + m)
 *
 * The gradient of |x| is x / |x|, of length 1 however far the vectors are, and 0 at x = 0.
 */
/* SPDX-License-Identifier: MIT */
#include "loss.h"

#include <math.h>

#define M34 {.shape = {2, {3, 4}}}
#define CUBE {.shape = {3, {2, 5, 3}}}
#define LIST {.shape = {1, {5}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define FAR {.shape = {2, {3, 4}}, .low = 2, .high = 3}
#define SIDES {.shape = {1, {3}}, .integer = true, .values = (const int64_t[]){1, -1, 1}}
#define THREE {.shape = {1, {3}}, .low = 0.1, .high = 0.9}

/* --- pairs --- */

/* Both stretched to their common shape; false, with the graph in error, if there is none. */
static bool pair_of(const char *op, gr_tensor *const *x, gr_tensor **pair)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    const gr_shape *s = gr_shape_of(x[0]), *t = gr_shape_of(x[1]);
    gr_shape joined;
    if (!gr__shape_broadcast(s, t, &joined) || joined.rank == 0) {
        gr_fail(gr_graph_of(x[0]), "%s: expected vectors of one shape, got %s and %s", op,
                gr_shape_text(s, a), gr_shape_text(t, b));
        return false;
    }
    for (int i = 0; i < 2; i++)
        pair[i] = gr_shape_equal(gr_shape_of(x[i]), &joined) ? x[i] : gr_expand(x[i], joined);
    return true;
}

/* Vectors [...,D] of one shape with a target [...]. */
static bool pairs_fit(const char *op, gr_tensor *const *x)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT], c[GR_SHAPE_TEXT];
    gr_shape rows = *gr_shape_of(x[0]);
    if (rows.rank > 0) rows.rank--;
    if (gr_shape_of(x[0])->rank > 0 && gr_shape_equal(gr_shape_of(x[0]), gr_shape_of(x[1])) &&
        gr_shape_equal(gr_shape_of(x[2]), &rows))
        return true;
    gr_fail(gr_graph_of(x[0]), "%s: expected [...,D] twice with a target [...], got %s, %s and %s",
            op, gr_shape_text(gr_shape_of(x[0]), a), gr_shape_text(gr_shape_of(x[1]), b),
            gr_shape_text(gr_shape_of(x[2]), c));
    return false;
}

static gr_tensor *sum_last(gr_tensor *x)
{
    return gr_sum(x, GR_AXES(-1), false);
}

/* --- cosine_similarity --- */

typedef struct cosine_attrs {
    int axis;
    double eps;
} cosine_attrs;

static const gr_field cosine_fields[] = {
    GR_FIELD(cosine_attrs, axis, GR_FIELD_INT),
    GR_FIELD(cosine_attrs, eps, GR_FIELD_F64),
    {0},
};

/* x over its length along an axis, which counts as eps when less. */
static gr_tensor *direction(gr_tensor *x, int axis, double eps)
{
    gr_tensor *length = gr_norm(x, 2, GR_AXES(axis), true);
    return gr_div(x, gr_maximum(length, gr__loss_number(x, eps)));
}

static gr_tensor *cosine_similarity_define(gr_tensor *const *x, int n, const void *attrs)
{
    const cosine_attrs *o = attrs;
    const double eps = o->eps == 0 ? 1e-8 : o->eps;
    char text[GR_SHAPE_TEXT];
    gr_tensor *pair[2];
    int axis = o->axis;
    (void)n;
    if (!pair_of("cosine_similarity", x, pair) ||
        !gr__loss_positive("cosine_similarity", x[0], "eps", eps))
        return gr__loss_failed(x[0]);
    if (!gr__axis(&axis, gr_shape_of(pair[0])->rank))
        return gr_fail(gr_graph_of(x[0]), "cosine_similarity: axis %d is out of range for %s",
                       o->axis, gr_shape_text(gr_shape_of(pair[0]), text));
    gr_tensor *product = gr_mul(direction(pair[0], axis, eps), direction(pair[1], axis, eps));
    return gr_sum(product, GR_AXES(axis), false);
}

#define COSINE(axis, eps) &(const cosine_attrs){axis, eps}

static const gr_sample cosine_similarity_samples[] = {
    {.name = "rows", .in = {M34, M34}, .n_in = 2, .attrs = COSINE(-1, 0)},
    {.name = "middle axis", .in = {CUBE, CUBE}, .n_in = 2, .attrs = COSINE(1, 0)},
    {.name = "one against all", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = COSINE(1, 0)},
    {.name = "short", .in = {M34, M34}, .n_in = 2, .attrs = COSINE(0, 1.3)},
    {.name = "list", .in = {LIST, LIST}, .n_in = 2, .attrs = COSINE(0, 0)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = COSINE(1, 0)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = COSINE(0, 0), .error = "expected vectors of one shape, got [] and []"},
    {.name = "other shape", .in = {M34, {.shape = {2, {4, 3}}}}, .n_in = 2, .attrs = COSINE(0, 0), .error = "got [3,4] and [4,3]"},
    {.name = "bad axis", .in = {M34, M34}, .n_in = 2, .attrs = COSINE(2, 0), .error = "axis 2 is out of range for [3,4]"},
    {.name = "negative eps", .in = {M34, M34}, .n_in = 2, .attrs = COSINE(0, -1), .error = "eps must be positive, got -1"},
    {0},
};

static const gr_op cosine_similarity_op = {
    .name = "cosine_similarity",
    .family = "loss_pair",
    .formula = "y = sum a b / (max(|a|, eps) max(|b|, eps)) along the axis",
    .derivation = "with the directions u = a/|a| and v = b/|b|, y = u.v; turning a moves y by the "
                  "part of v across u: da = (v - y u) dy / |a|, db = (u - y v) dy / |b|",
    .ties = "|a| = eps: half of the derivative of |a|; a = 0: da = v dy / eps (PyTorch's choice)",
    .n_in = 2,
    .attrs_size = sizeof(cosine_attrs),
    .fields = cosine_fields,
    .define = cosine_similarity_define,
    .samples = cosine_similarity_samples,
};

/* The cosine of the angle between vectors along an axis (PyTorch's default is 1), which is gone
 * from the result; shapes broadcast. Lengths below eps (0: 1e-8) count as eps. */
gr_tensor *gr_cosine_similarity(gr_tensor *a, gr_tensor *b, int axis, double eps)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &cosine_similarity_op, in, 2, &(cosine_attrs){axis, eps}, GR_HERE);
}

/* --- pairwise_distance --- */

static const gr_field distance_fields[] = {
    GR_FIELD(gr_distance_options, p, GR_FIELD_F64),
    GR_FIELD(gr_distance_options, eps, GR_FIELD_F64),
    GR_FIELD(gr_distance_options, keepdim, GR_FIELD_BOOL),
    {0},
};

/* p and eps with their defaults; false when the norm would be none. */
static bool norm_fits(const char *op, gr_tensor *x, double *p, double *eps)
{
    if (*p == 0) *p = 2;
    if (*eps == 0) *eps = 1e-6;
    if (*p >= 1) return true;
    gr_fail(gr_graph_of(x), "%s: p must be at least 1, got %g", op, *p);
    return false;
}

static gr_tensor *distance(gr_tensor *a, gr_tensor *b, double p, double eps, bool keepdim)
{
    return gr_norm(gr_shift(gr_sub(a, b), eps), p, GR_AXES(-1), keepdim);
}

static gr_tensor *pairwise_distance_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_distance_options o = *(const gr_distance_options *)attrs;
    gr_tensor *pair[2];
    (void)n;
    if (!pair_of("pairwise_distance", x, pair) ||
        !norm_fits("pairwise_distance", x[0], &o.p, &o.eps))
        return gr__loss_failed(x[0]);
    return distance(pair[0], pair[1], o.p, o.eps, o.keepdim);
}

#define DISTANCE(...) &(const gr_distance_options){__VA_ARGS__}

static const gr_sample pairwise_distance_samples[] = {
    {.name = "rows", .in = {M34, M34}, .n_in = 2, .attrs = DISTANCE(.p = 2)},
    {.name = "kept", .in = {CUBE, CUBE}, .n_in = 2, .attrs = DISTANCE(1, 0.1, true)},
    {.name = "cubes", .in = {FAR, {.shape = {1, {4}}}}, .n_in = 2, .attrs = DISTANCE(3, 0.2, false)},
    {.name = "largest", .in = {M34, M34}, .n_in = 2, .attrs = DISTANCE(.p = INFINITY)},
    {.name = "list", .in = {LIST, LIST}, .n_in = 2, .attrs = DISTANCE(.keepdim = true)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = DISTANCE(.p = 2)},
    {.name = "no norm", .in = {M34, M34}, .n_in = 2, .attrs = DISTANCE(.p = 0.5), .error = "p must be at least 1, got 0.5"},
    {.name = "other shape", .in = {M34, {.shape = {2, {4, 3}}}}, .n_in = 2, .attrs = DISTANCE(.p = 2), .error = "got [3,4] and [4,3]"},
    {0},
};

static const gr_op pairwise_distance_op = {
    .name = "pairwise_distance",
    .family = "loss_pair",
    .formula = "y = (sum |d|^p)^(1/p) along the last axis, d = a - b + eps",
    .derivation = "that of the norm: da = dy sign(d) (|d| / y)^(p-1), db = -da",
    .ties = "those of norm: y = 0 and, for p = 1, d = 0 give 0; equal maxima share dy for p = inf "
            "(PyTorch's choices)",
    .n_in = 2,
    .attrs_size = sizeof(gr_distance_options),
    .fields = distance_fields,
    .define = pairwise_distance_define,
    .samples = pairwise_distance_samples,
};

/* The p-norm (0: 2, at least 1, INFINITY for the largest) of a - b + eps along the last axis; eps
 * (0: 1e-6) keeps equal vectors off the kink at 0. Shapes broadcast. */
gr_tensor *gr_pairwise_distance(gr_tensor *a, gr_tensor *b, gr_distance_options o)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, &pairwise_distance_op, in, 2, &o, GR_HERE);
}

/* --- cosine_embedding --- */

static const gr_field margin_fields[] = {
    GR_FIELD_NAMED(gr_margin_options, reduction, gr__reductions),
    GR_FIELD(gr_margin_options, margin, GR_FIELD_F64),
    {0},
};

#define MARGIN(r, ...) &(const gr_margin_options){GR_REDUCTION_##r, __VA_ARGS__}

static gr_tensor *cosine_embedding_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_margin_options *o = attrs;
    (void)n;
    if (!pairs_fit("cosine_embedding", x)) return gr__loss_failed(x[0]);
    gr_tensor *cosine = sum_last(gr_mul(direction(x[0], -1, 1e-8), direction(x[1], -1, 1e-8)));
    gr_tensor *alike = gr_greater(x[2], gr__loss_number(x[2], 0));
    gr_tensor *loss = gr_where(alike, gr_shift(gr_neg(cosine), 1),
                               gr_relu(gr_shift(cosine, -o->margin)));
    return gr__loss_reduce("cosine_embedding", loss, o->reduction);
}

static const gr_sample cosine_embedding_samples[] = {
    {.name = "rows", .in = {M34, M34, SIDES}, .n_in = 3, .attrs = MARGIN(MEAN, 0)},
    {.name = "margin", .in = {FAR, M34, SIDES}, .n_in = 3, .attrs = MARGIN(NONE, -0.5)},
    {.name = "float target", .in = {M34, FAR, {.shape = {1, {3}}}}, .n_in = 3, .attrs = MARGIN(SUM, 0.1)},
    {.name = "one pair", .in = {LIST, LIST, ONE}, .n_in = 3, .attrs = MARGIN(MEAN, 0)},
    {.name = "empty", .in = {EMPTY, EMPTY, {.shape = {1, {0}}}}, .n_in = 3, .attrs = MARGIN(SUM, 0)},
    {.name = "wrong target", .in = {M34, M34, LIST}, .n_in = 3, .attrs = MARGIN(MEAN, 0), .error = "with a target [...], got [3,4], [3,4] and [5]"},
    {0},
};

static const gr_op cosine_embedding_op = {
    .name = "cosine_embedding",
    .family = "loss_pair",
    .formula = "y = mean of t > 0 ? 1 - cos(a, b) : max(0, cos(a, b) - margin)",
    .derivation = "with u = a/|a|, v = b/|b| and c = u.v: dc/da = (v - c u) / |a|; its sign is -1 "
                  "for t > 0, 1 beyond the margin, else the loss is flat. t only chooses",
    .ties = "cos(a, b) = margin: the derivative is 0, that of relu (PyTorch's is that outside)",
    .n_in = 3,
    .attrs_size = sizeof(gr_margin_options),
    .fields = margin_fields,
    .define = cosine_embedding_define,
    .samples = cosine_embedding_samples,
};

/* Vectors a and b [...,D] that are to point one way (target > 0, usually 1) or not (else, usually
 * -1; the cosine is then to stay below the margin); target [...] of any dtype. Lengths below 1e-8
 * count as 1e-8, where PyTorch adds 1e-12 to their squares. */
gr_tensor *gr_cosine_embedding(gr_tensor *a, gr_tensor *b, gr_tensor *target)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &cosine_embedding_op, in, 3, &(gr_margin_options){0}, GR_HERE);
}

gr_tensor *gr_cosine_embedding_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target,
                                    gr_margin_options o)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &cosine_embedding_op, in, 3, &o, GR_HERE);
}

/* --- contrastive --- */

static const gr_field contrastive_fields[] = {
    GR_FIELD_NAMED(gr_hinge_options, reduction, gr__reductions),
    GR_FIELD(gr_hinge_options, margin, GR_FIELD_F64),
    {0},
};

/* d^2 is summed apart from d, so that like pairs have a second derivative at d = 0. */
static gr_tensor *contrastive_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_hinge_options *o = attrs;
    const double margin = o->margin == 0 ? 1 : o->margin;
    gr_tensor *t = x[2];
    (void)n;
    if (!pairs_fit("contrastive", x)) return gr__loss_failed(x[0]);
    gr_tensor *apart = gr_sub(x[0], x[1]), *square = sum_last(gr_square(apart));
    gr_tensor *length = gr_norm(apart, 2, GR_AXES(-1), false);
    gr_tensor *missing = gr_square(gr_relu(gr_shift(gr_neg(length), margin)));
    gr_tensor *like = gr_mul(gr_shift(gr_neg(t), 1), square), *unlike = gr_mul(t, missing);
    return gr__loss_reduce("contrastive", gr_scale(gr_add(like, unlike), 0.5), o->reduction);
}

#define HINGE(r, ...) &(const gr_hinge_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample contrastive_samples[] = {
    {.name = "rows", .in = {M34, M34, THREE}, .n_in = 3, .attrs = HINGE(MEAN, 3)},
    {.name = "beyond the margin", .in = {M34, FAR, THREE}, .n_in = 3, .attrs = HINGE(NONE, 0)},
    {.name = "sum", .in = {CUBE, CUBE, {.shape = {2, {2, 5}}}}, .n_in = 3, .attrs = HINGE(SUM, 4)},
    {.name = "one pair", .in = {LIST, LIST, ONE}, .n_in = 3, .attrs = HINGE(MEAN, 5)},
    {.name = "empty", .in = {EMPTY, EMPTY, {.shape = {1, {0}}}}, .n_in = 3, .attrs = HINGE(SUM, 0)},
    {.name = "wrong target", .in = {M34, M34, LIST}, .n_in = 3, .attrs = HINGE(MEAN, 0), .error = "with a target [...], got [3,4], [3,4] and [5]"},
    {0},
};

static const gr_op contrastive_op = {
    .name = "contrastive",
    .family = "loss_pair",
    .formula = "y = mean of ((1 - t) d^2 + t max(0, margin - d)^2) / 2, d = |a - b|",
    .derivation = "with u = (a - b)/d, the way from b to a: like pairs are pulled by "
                  "da = (1 - t) (a - b) dy / n, unlike ones within the margin pushed by "
                  "da = -t (margin - d) u dy / n; db = -da",
    .ties = "a = b: the push, which could go any way, is 0; d = margin: none, the push is 0 on "
            "both sides",
    .n_in = 3,
    .attrs_size = sizeof(gr_hinge_options),
    .fields = contrastive_fields,
    .define = contrastive_define,
    .samples = contrastive_samples,
};

/* Vectors a and b [...,D] that are alike (target 0) and to be close, or not (target 1) and to be a
 * margin (0: 1) apart. Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an
 * invariant mapping", 2006. */
gr_tensor *gr_contrastive(gr_tensor *a, gr_tensor *b, gr_tensor *target)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &contrastive_op, in, 3, &(gr_hinge_options){0}, GR_HERE);
}

gr_tensor *gr_contrastive_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target, gr_hinge_options o)
{
    gr_tensor *in[3] = {a, b, target};
    return gr__apply(NULL, &contrastive_op, in, 3, &o, GR_HERE);
}

/* --- triplet_margin --- */

static const gr_field triplet_fields[] = {
    GR_FIELD_NAMED(gr_triplet_options, reduction, gr__reductions),
    GR_FIELD(gr_triplet_options, margin, GR_FIELD_F64),
    GR_FIELD(gr_triplet_options, p, GR_FIELD_F64),
    GR_FIELD(gr_triplet_options, eps, GR_FIELD_F64),
    GR_FIELD(gr_triplet_options, swap, GR_FIELD_BOOL),
    {0},
};

static bool triplet_fits(gr_tensor *const *x)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT], c[GR_SHAPE_TEXT];
    const gr_shape *s = gr_shape_of(x[0]);
    if (s->rank > 0 && gr_shape_equal(s, gr_shape_of(x[1])) &&
        gr_shape_equal(s, gr_shape_of(x[2])))
        return true;
    gr_fail(gr_graph_of(x[0]), "triplet_margin: expected three times [...,D], got %s, %s and %s",
            gr_shape_text(s, a), gr_shape_text(gr_shape_of(x[1]), b),
            gr_shape_text(gr_shape_of(x[2]), c));
    return false;
}

static gr_tensor *triplet_margin_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_triplet_options o = *(const gr_triplet_options *)attrs;
    (void)n;
    if (!triplet_fits(x) || !norm_fits("triplet_margin", x[0], &o.p, &o.eps))
        return gr__loss_failed(x[0]);
    gr_tensor *near = distance(x[0], x[1], o.p, o.eps, false);
    gr_tensor *far = distance(x[0], x[2], o.p, o.eps, false);
    if (o.swap) far = gr_minimum(far, distance(x[1], x[2], o.p, o.eps, false));
    gr_tensor *loss = gr_relu(gr_shift(gr_sub(near, far), o.margin == 0 ? 1 : o.margin));
    return gr__loss_reduce("triplet_margin", loss, o.reduction);
}

#define TRIPLET(...) &(const gr_triplet_options){__VA_ARGS__}

static const gr_sample triplet_margin_samples[] = {
    {.name = "rows", .in = {M34, M34, FAR}, .n_in = 3, .attrs = TRIPLET(.margin = 4)},
    {.name = "default margin", .in = {M34, M34, M34}, .n_in = 3, .attrs = TRIPLET(.reduction = GR_REDUCTION_SUM)},
    {.name = "swapped", .in = {M34, FAR, M34}, .n_in = 3, .attrs = TRIPLET(GR_REDUCTION_NONE, 2, 3, 0.1, true)},
    {.name = "one", .in = {LIST, LIST, LIST}, .n_in = 3, .attrs = TRIPLET(.p = 1, .margin = 9)},
    {.name = "empty", .in = {EMPTY, EMPTY, EMPTY}, .n_in = 3, .attrs = TRIPLET(.reduction = GR_REDUCTION_SUM)},
    {.name = "no norm", .in = {M34, M34, M34}, .n_in = 3, .attrs = TRIPLET(.p = 0.5), .error = "p must be at least 1, got 0.5"},
    {.name = "other shape", .in = {M34, M34, {.shape = {1, {4}}}}, .n_in = 3, .attrs = TRIPLET(.p = 2), .error = "expected three times [...,D], got [3,4], [3,4] and [4]"},
    {0},
};

static const gr_op triplet_margin_op = {
    .name = "triplet_margin",
    .family = "loss_pair",
    .formula = "y = mean of max(0, d(a, p) - d(a, n) + margin), d the pairwise_distance",
    .derivation = "where the negative is not a margin farther than the positive, with u the "
                  "gradient of d(a, p) by a and v that of d(a, n): da = (u - v) dy / N, "
                  "dp = -u dy / N, dn = v dy / N; elsewhere 0",
    .ties = "d(a, n) = d(a, p) + margin: the derivative is 0, that of relu (PyTorch's is that "
            "inside); with swap, d(a, n) = d(p, n) share it",
    .n_in = 3,
    .attrs_size = sizeof(gr_triplet_options),
    .fields = triplet_fields,
    .define = triplet_margin_define,
    .samples = triplet_margin_samples,
};

/* An anchor is to be closer to its positive than to its negative, all [...,D], by a margin (0: 1)
 * of pairwise_distance with p and eps. swap takes the negative's distance to the positive where
 * that is less. Balntas et al., "Learning local feature descriptors with triplets and shallow
 * convolutional neural networks", 2016. */
gr_tensor *gr_triplet_margin(gr_tensor *anchor, gr_tensor *positive, gr_tensor *negative)
{
    gr_tensor *in[3] = {anchor, positive, negative};
    return gr__apply(NULL, &triplet_margin_op, in, 3, &(gr_triplet_options){0}, GR_HERE);
}

gr_tensor *gr_triplet_margin_loss(gr_tensor *anchor, gr_tensor *positive, gr_tensor *negative,
                                  gr_triplet_options o)
{
    gr_tensor *in[3] = {anchor, positive, negative};
    return gr__apply(NULL, &triplet_margin_op, in, 3, &o, GR_HERE);
}

const gr_op *const gr__loss_pair_ops[] = {
    &cosine_similarity_op, &pairwise_distance_op, &cosine_embedding_op, &contrastive_op,
    &triplet_margin_op, NULL,
};
