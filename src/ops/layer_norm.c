/* layer_norm.c - normalisation by the statistics of each sample: layer, RMS, group and instance norm.
 *
 *   y = (x - m) r w + b   with   m = mean x,   r = 1 / sqrt(mean (x - m)^2 + eps)
 *
 * They differ in what a mean is over: the trailing axes of each sample (layer; RMS, with m = 0), a
 * group of channels, one channel. All are the op standardize, on x seen as
 * [N,groups,channels,span]; it derives the gradient.
 */
/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include <float.h>

/* --- shared --- */

/* Records standardize on x in the given view and gives its y the shape of x again. */
static gr_tensor *standardize(gr_tensor *const *x, int n, gr_shape view,
                              gr__standardize_attrs attrs)
{
    gr_tensor *in[3] = {gr_reshape(x[0], view)};
    for (int i = 1; i < n; i++) in[i] = gr_reshape(x[i], GR_SHAPE(view.dim[1], view.dim[2]));
    return gr_reshape(gr_apply(NULL, &gr__standardize_op, in, n, &attrs), *gr_shape_of(x[0]));
}

/* NULL, or the failure: x must be floating, w and b of its dtype and of `shape`. */
static gr_tensor *check_operands(const char *name, gr_tensor *const *x, int n, gr_shape shape,
                                 double eps)
{
    gr_graph *g = gr_graph_of(x[0]);
    const gr_dtype dtype = gr_dtype_of(x[0]);
    char want[GR_SHAPE_TEXT], got[GR_SHAPE_TEXT];
    if (!gr__is_float(dtype)) return gr_fail(g, "%s: not defined for %s", name, gr_dtype_name(dtype));
    if (!(eps >= 0)) return gr_fail(g, "%s: eps is %g, expected at least 0", name, eps);
    for (int i = 1; i < n; i++) {
        if (gr_dtype_of(x[i]) != dtype)
            return gr_fail(g, "%s: cannot mix %s and %s; use gr_cast", name, gr_dtype_name(dtype),
                           gr_dtype_name(gr_dtype_of(x[i])));
        if (!gr_shape_equal(gr_shape_of(x[i]), &shape))
            return gr_fail(g, "%s: expected %s of %s, got %s", name, i == 1 ? "w" : "b",
                           gr_shape_text(&shape, want), gr_shape_text(gr_shape_of(x[i]), got));
    }
    return NULL;
}

/* x, w, b or x, w or x: a bias alone gets weights of 1. */
static gr_tensor *apply_affine(const gr_op *op, gr_tensor *x, gr_tensor *w, gr_tensor *b,
                               const void *attrs, const void *site)
{
    if (b && !w && gr_graph_of(b)) w = gr_ones(gr_graph_of(b), gr_dtype_of(b), *gr_shape_of(b));
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, op, in, b ? 3 : w ? 2 : 1, attrs, site);
}

static int64_t product(const gr_shape *s, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= s->dim[i];
    return n;
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define INTEGERS(a, b) {.shape = {2, {a, b}}, .integer = true, .high = 5}

/* --- layer_norm, rms_norm --- */

typedef struct layer_norm_attrs {
    gr_shape shape;
    double eps;
} layer_norm_attrs;

static const gr_field layer_norm_fields[] = {
    GR_FIELD(layer_norm_attrs, shape, GR_FIELD_SHAPE),
    GR_FIELD(layer_norm_attrs, eps, GR_FIELD_F64),
    {0},
};

/* NULL, or the failure: x must end in the shape. */
static gr_tensor *check_trailing(const char *name, gr_tensor *x, const gr_shape *shape)
{
    const gr_shape *s = gr_shape_of(x);
    const int lead = s->rank - shape->rank;
    char want[GR_SHAPE_TEXT], got[GR_SHAPE_TEXT];
    bool fits = shape->rank > 0 && lead >= 0;
    for (int i = 0; fits && i < shape->rank; i++) fits = shape->dim[i] == s->dim[lead + i];
    if (fits) return NULL;
    if (shape->rank < 1 || shape->rank > GR_MAX_RANK)
        return gr_fail(gr_graph_of(x), "%s: expected a shape of 1 to %d axes, got %d", name,
                       GR_MAX_RANK, shape->rank);
    return gr_fail(gr_graph_of(x), "%s: expected x to end in the axes %s, got %s", name,
                   gr_shape_text(shape, want), gr_shape_text(s, got));
}

static gr_tensor *trailing_norm(const char *name, gr_tensor *const *x, int n, const void *attrs,
                                double usual_eps, bool rms)
{
    const layer_norm_attrs *a = attrs;
    gr_tensor *failed = check_trailing(name, x[0], &a->shape);
    if (!failed) failed = check_operands(name, x, n, a->shape, a->eps);
    if (failed) return failed;
    const gr_shape *s = gr_shape_of(x[0]);
    const int lead = s->rank - a->shape.rank;
    gr_shape view = GR_SHAPE(product(s, 0, lead), 1, product(s, lead, s->rank), 1);
    gr__standardize_attrs standard = {gr__norm_eps(a->eps, usual_eps), rms};
    return standardize(x, n, view, standard);
}

static gr_tensor *layer_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    return trailing_norm("layer_norm", x, n, attrs, 1e-5, false);
}

#define LAYER(e, ...) .attrs = &(const layer_norm_attrs){{GR__COUNT(int, __VA_ARGS__), {__VA_ARGS__}}, e}

static const gr_sample layer_norm_samples[] = {
    {.name = "rows", .in = {S2(3, 5), S1(5), S1(5)}, .n_in = 3, LAYER(0, 5)},
    {.name = "two axes", .in = {S3(2, 3, 4), S2(3, 4), S2(3, 4)}, .n_in = 3, LAYER(0.1, 3, 4)},
    {.name = "batches", .in = {S3(2, 3, 4), S1(4)}, .n_in = 2, LAYER(1e-3, 4)},
    {.name = "plain", .in = {S2(3, 4)}, .n_in = 1, LAYER(0.5, 4)},
    {.name = "one vector", .in = {S1(6), S1(6), S1(6)}, .n_in = 3, LAYER(0, 6)},
    {.name = "no rows", .in = {S2(0, 4), S1(4), S1(4)}, .n_in = 3, LAYER(0, 4)},
    {.name = "other axes", .in = {S2(3, 4)}, .n_in = 1, LAYER(0, 3), .error = "expected x to end in the axes [3], got [3,4]"},
    {.name = "other weight", .in = {S2(3, 4), S1(3)}, .n_in = 2, LAYER(0, 4), .error = "expected w of [4], got [3]"},
    {.name = "other bias", .in = {S2(3, 4), S1(4), S2(1, 4)}, .n_in = 3, LAYER(0, 4), .error = "expected b of [4], got [1,4]"},
    {.name = "negative eps", .in = {S2(3, 4)}, .n_in = 1, LAYER(-1e-3, 4), .error = "eps is -0.001"},
    {.name = "integers", .in = {INTEGERS(3, 4)}, .n_in = 1, LAYER(0, 4), .error = "not defined for int64"},
    {.name = "no axes", .in = {S2(3, 4)}, .n_in = 1, .attrs = &(const layer_norm_attrs){{0, {0}}, 0}, .error = "expected a shape of 1 to 8 axes, got 0"},
    {0},
};

static const gr_op layer_norm_op = {
    .name = "layer_norm",
    .family = "normalisation",
    .formula = "y = (x - m) r w + b, r = 1 / sqrt(mean (x - m)^2 + eps), m = mean x over the "
               "trailing axes",
    .derivation = "with xh = (x - m) r and g = dy w: m takes mean g out of the gradient, r takes "
                  "the part along xh: dx = r (g - mean g - xh mean(g xh)); dw = sum dy xh, "
                  "db = sum dy",
    .n_in = 3,
    .optional = 2,
    .attrs_size = sizeof(layer_norm_attrs),
    .fields = layer_norm_fields,
    .define = layer_norm_define,
    .samples = layer_norm_samples,
};

/* Each sample, the trailing axes of x named by `shape`, gets mean 0 and variance 1, then weights w
 * and a bias b of that shape (NULL: none). The variance divides by the number of elements; eps 0
 * stands for 1e-5. x, w, b are of one floating dtype. A sample with NaN or Inf is NaN. Errors:
 * shapes that do not fit, a negative eps. Ba, Kiros, Hinton, "Layer normalization", 2016. */
gr_tensor *gr_layer_norm(gr_tensor *x, gr_shape shape, gr_tensor *w, gr_tensor *b, double eps)
{
    return apply_affine(&layer_norm_op, x, w, b, &(layer_norm_attrs){shape, eps}, GR_HERE);
}

static gr_tensor *rms_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    const double usual = gr_dtype_of(x[0]) == GR_F32 ? FLT_EPSILON : DBL_EPSILON;
    return trailing_norm("rms_norm", x, n, attrs, usual, true);
}

static const gr_sample rms_norm_samples[] = {
    {.name = "rows", .in = {S2(3, 5), S1(5)}, .n_in = 2, LAYER(0, 5)},
    {.name = "two axes", .in = {S3(2, 3, 4), S2(3, 4)}, .n_in = 2, LAYER(0.1, 3, 4)},
    {.name = "plain", .in = {S2(3, 4)}, .n_in = 1, LAYER(0.5, 4)},
    {.name = "one vector", .in = {S1(6), S1(6)}, .n_in = 2, LAYER(1e-3, 6)},
    {.name = "no rows", .in = {S2(0, 4), S1(4)}, .n_in = 2, LAYER(0, 4)},
    {.name = "other axes", .in = {S2(3, 4)}, .n_in = 1, LAYER(0, 2, 4), .error = "expected x to end in the axes [2,4], got [3,4]"},
    {.name = "other weight", .in = {S2(3, 4), S1(3)}, .n_in = 2, LAYER(0, 4), .error = "expected w of [4], got [3]"},
    {.name = "negative eps", .in = {S2(3, 4)}, .n_in = 1, LAYER(-1, 4), .error = "eps is -1"},
    {0},
};

static const gr_op rms_norm_op = {
    .name = "rms_norm",
    .family = "normalisation",
    .formula = "y = x r w, r = 1 / sqrt(mean x^2 + eps) over the trailing axes",
    .derivation = "with xh = x r and g = dy w: dr/dx = -r^3 x / n takes the part along xh out of "
                  "the gradient: dx = r (g - xh mean(g xh)); dw = sum dy xh",
    .n_in = 2,
    .optional = 1,
    .attrs_size = sizeof(layer_norm_attrs),
    .fields = layer_norm_fields,
    .define = rms_norm_define,
    .samples = rms_norm_samples,
};

/* Each sample, the trailing axes of x named by `shape`, over its root mean square, times w (NULL:
 * none). eps 0 stands for the epsilon of the dtype, as in PyTorch. Errors as gr_layer_norm. Zhang,
 * Sennrich, "Root mean square layer normalization", NeurIPS 2019. */
gr_tensor *gr_rms_norm(gr_tensor *x, gr_shape shape, gr_tensor *w, double eps)
{
    return apply_affine(&rms_norm_op, x, w, NULL, &(layer_norm_attrs){shape, eps}, GR_HERE);
}

/* --- group_norm, instance_norm --- */

typedef struct group_norm_attrs {
    int groups;
    double eps;
} group_norm_attrs;

typedef struct instance_norm_attrs {
    double eps;
} instance_norm_attrs;

static const gr_field group_norm_fields[] = {
    GR_FIELD(group_norm_attrs, groups, GR_FIELD_INT),
    GR_FIELD(group_norm_attrs, eps, GR_FIELD_F64),
    {0},
};

static const gr_field instance_norm_fields[] = {
    GR_FIELD(instance_norm_attrs, eps, GR_FIELD_F64),
    {0},
};

/* NULL, or the failure: x must be [N,C,...]. */
static gr_tensor *check_channels(const char *name, gr_tensor *x)
{
    char got[GR_SHAPE_TEXT];
    if (gr_shape_of(x)->rank >= 2) return NULL;
    return gr_fail(gr_graph_of(x), "%s: expected x of [N,C,...], got %s", name,
                   gr_shape_text(gr_shape_of(x), got));
}

static gr_tensor *group_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    const group_norm_attrs *a = attrs;
    gr_tensor *failed = check_channels("group_norm", x[0]);
    if (failed) return failed;
    const gr_shape *s = gr_shape_of(x[0]);
    const int64_t channels = s->dim[1];
    if (a->groups < 1 || channels % a->groups)
        return gr_fail(gr_graph_of(x[0]), "group_norm: %d groups do not divide %lld channels",
                       a->groups, (long long)channels);
    failed = check_operands("group_norm", x, n, GR_SHAPE(channels), a->eps);
    if (failed) return failed;
    gr_shape view = GR_SHAPE(s->dim[0], a->groups, channels / a->groups, product(s, 2, s->rank));
    return standardize(x, n, view, (gr__standardize_attrs){a->eps, false});
}

#define GROUPS(n, e) .attrs = &(const group_norm_attrs){n, e}

static const gr_sample group_norm_samples[] = {
    {.name = "images", .in = {S4(2, 4, 2, 3), S1(4), S1(4)}, .n_in = 3, GROUPS(2, 0)},
    {.name = "uneven", .in = {S3(2, 6, 5), S1(6), S1(6)}, .n_in = 3, GROUPS(3, 0.1)},
    {.name = "features", .in = {S2(3, 6), S1(6), S1(6)}, .n_in = 3, GROUPS(2, 1e-3)},
    {.name = "no bias", .in = {S3(2, 4, 3), S1(4)}, .n_in = 2, GROUPS(1, 0.5)},
    {.name = "plain", .in = {S3(2, 4, 3)}, .n_in = 1, GROUPS(4, 0)},
    {.name = "no samples", .in = {S3(0, 4, 3), S1(4)}, .n_in = 2, GROUPS(2, 0)},
    {.name = "rank 1", .in = {S1(4)}, .n_in = 1, GROUPS(2, 0), .error = "expected x of [N,C,...], got [4]"},
    {.name = "groups that do not divide", .in = {S3(2, 4, 3)}, .n_in = 1, GROUPS(3, 0), .error = "3 groups do not divide 4 channels"},
    {.name = "no groups", .in = {S3(2, 4, 3)}, .n_in = 1, GROUPS(0, 0), .error = "0 groups do not divide"},
    {.name = "other weight", .in = {S3(2, 4, 3), S1(3)}, .n_in = 2, GROUPS(2, 0), .error = "expected w of [4], got [3]"},
    {.name = "negative eps", .in = {S3(2, 4, 3)}, .n_in = 1, GROUPS(2, -1), .error = "eps is -1"},
    {0},
};

static const gr_op group_norm_op = {
    .name = "group_norm",
    .family = "normalisation",
    .formula = "y = (x - m) r w + b, r = 1 / sqrt(mean (x - m)^2 + eps), m = mean x over a group "
               "of channels of one sample",
    .derivation = "with xh = (x - m) r and g = dy w, means over the group: dx = r (g - mean g - "
                  "xh mean(g xh)); per channel dw = sum dy xh, db = sum dy",
    .n_in = 3,
    .optional = 2,
    .attrs_size = sizeof(group_norm_attrs),
    .fields = group_norm_fields,
    .define = group_norm_define,
    .samples = group_norm_samples,
};

/* The channels of x, [N,C,...], are cut into `groups` of equal size; each group of each sample gets
 * mean 0 and variance 1, then each channel a weight w and a bias b, [C] (NULL: none). eps 0 stands
 * for 1e-5. Errors: groups that do not divide C, shapes that do not fit, a negative eps. Wu, He,
 * "Group normalization", ECCV 2018. */
gr_tensor *gr_group_norm(gr_tensor *x, int groups, gr_tensor *w, gr_tensor *b, double eps)
{
    return apply_affine(&group_norm_op, x, w, b, &(group_norm_attrs){groups, eps}, GR_HERE);
}

static gr_tensor *instance_norm_define(gr_tensor *const *x, int n, const void *attrs)
{
    const instance_norm_attrs *a = attrs;
    char got[GR_SHAPE_TEXT];
    gr_tensor *failed = check_channels("instance_norm", x[0]);
    if (failed) return failed;
    const gr_shape *s = gr_shape_of(x[0]);
    const int64_t span = product(s, 2, s->rank);
    if (span == 1)
        return gr_fail(gr_graph_of(x[0]), "instance_norm: a channel of %s has one element, whose "
                       "deviation is always 0", gr_shape_text(s, got));
    failed = check_operands("instance_norm", x, n, GR_SHAPE(s->dim[1]), a->eps);
    if (failed) return failed;
    gr__standardize_attrs standard = {a->eps, false};
    return standardize(x, n, GR_SHAPE(s->dim[0], s->dim[1], 1, span), standard);
}

#define INSTANCE(e) .attrs = &(const instance_norm_attrs){e}

static const gr_sample instance_norm_samples[] = {
    {.name = "images", .in = {S4(2, 3, 2, 4), S1(3), S1(3)}, .n_in = 3, INSTANCE(0)},
    {.name = "signals", .in = {S3(2, 2, 5), S1(2)}, .n_in = 2, INSTANCE(0.1)},
    {.name = "plain", .in = {S3(2, 3, 4)}, .n_in = 1, INSTANCE(1e-3)},
    {.name = "no samples", .in = {S3(0, 3, 4), S1(3)}, .n_in = 2, INSTANCE(0)},
    {.name = "features", .in = {S2(3, 4)}, .n_in = 1, INSTANCE(0), .error = "a channel of [3,4] has one element"},
    {.name = "rank 1", .in = {S1(4)}, .n_in = 1, INSTANCE(0), .error = "expected x of [N,C,...], got [4]"},
    {.name = "other bias", .in = {S3(2, 3, 4), S1(3), S1(4)}, .n_in = 3, INSTANCE(0), .error = "expected b of [3], got [4]"},
    {.name = "negative eps", .in = {S3(2, 3, 4)}, .n_in = 1, INSTANCE(-1), .error = "eps is -1"},
    {0},
};

static const gr_op instance_norm_op = {
    .name = "instance_norm",
    .family = "normalisation",
    .formula = "y = (x - m) r w + b, r = 1 / sqrt(mean (x - m)^2 + eps), m = mean x over one "
               "channel of one sample",
    .derivation = "group_norm with a group per channel: with xh = (x - m) r and g = dy w, "
                  "dx = r (g - mean g - xh mean(g xh)), dw = sum dy xh, db = sum dy",
    .n_in = 3,
    .optional = 2,
    .attrs_size = sizeof(instance_norm_attrs),
    .fields = instance_norm_fields,
    .define = instance_norm_define,
    .samples = instance_norm_samples,
};

/* Each channel of each sample of x, [N,C,...], gets mean 0 and variance 1, then a weight w and a
 * bias b, [C] (NULL: none). eps 0 stands for 1e-5. Errors: channels of one element, as in PyTorch;
 * shapes that do not fit, a negative eps. Ulyanov, Vedaldi, Lempitsky, "Instance normalization",
 * 2016. */
gr_tensor *gr_instance_norm(gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps)
{
    return apply_affine(&instance_norm_op, x, w, b, &(instance_norm_attrs){eps}, GR_HERE);
}

const gr_op *const gr__layer_norm_ops[] = {
    &layer_norm_op, &rms_norm_op, &group_norm_op, &instance_norm_op, NULL,
};
