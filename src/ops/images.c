/* images.c - ops over [N,C,...] that are made of others: global pooling, pixel shuffle, local
 * response normalisation.
 */
/* SPDX-License-Identifier: MIT */
#include "images.h"

#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}

/* --- global_avg_pool, global_max_pool --- */

/* The axes behind [N,C]; none, with the error set, where there are none. */
static gr_axes plane_axes(gr_tensor *x, const char *name)
{
    gr_axes axes = {.n = 0};
    char text[GR_SHAPE_TEXT];
    for (int i = 2; i < gr_shape_of(x)->rank; i++) axes.axis[axes.n++] = i;
    if (axes.n == 0)
        gr_fail(gr_graph_of(x), "%s: expected x of [N,C,...], got %s", name,
                gr_shape_text(gr_shape_of(x), text));
    return axes;
}

static gr_tensor *global_avg_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    return gr_mean(x[0], plane_axes(x[0], "global_avg_pool"), true);
}

static gr_tensor *global_max_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n, (void)attrs;
    return gr_max(x[0], plane_axes(x[0], "global_max_pool"), true);
}

static const gr_sample global_samples[] = {
    {.name = "images", .in = {S4(2, 3, 4, 5)}, .n_in = 1},
    {.name = "rows", .in = {S3(2, 1, 7)}, .n_in = 1},
    {.name = "volumes", .in = {S5(1, 2, 2, 3, 2)}, .n_in = 1},
    {.name = "no images", .in = {S4(0, 3, 4, 5)}, .n_in = 1},
    {.name = "x of rank 2", .in = {S2(2, 3)}, .n_in = 1, .error = "_pool: expected x of [N,C,...], got [2,3]"},
    {0},
};

static const gr_op global_avg_op = {
    .name = "global_avg_pool",
    .family = "images",
    .formula = "y[n,c] = mean of x[n,c,...]",
    .derivation = "a mean: each element gets dy over their number",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .define = global_avg_define,
    .samples = global_samples,
};

static const gr_op global_max_op = {
    .name = "global_max_pool",
    .family = "images",
    .formula = "y[n,c] = max of x[n,c,...]",
    .derivation = "y moves with the largest element alone, so dx = dy there and 0 elsewhere",
    .ties = "equal maxima share dy equally (PyTorch's amax)",
    .n_in = 1,
    .define = global_max_define,
    .samples = global_samples,
};

/* The mean of each channel of x, [N,C,...]: [N,C,1,...] (Lin, Chen, Yan 2013, "Network in
 * network"). Without elements it is NaN. */
gr_tensor *gr_global_avg_pool(gr_tensor *x)
{
    return gr__unary(&global_avg_op, x, NULL, GR_HERE);
}

/* The maximum of each channel of x, [N,C,...]: [N,C,1,...]. NaN wins; no elements are an error. */
gr_tensor *gr_global_max_pool(gr_tensor *x)
{
    return gr__unary(&global_max_op, x, NULL, GR_HERE);
}

/* --- pixel_shuffle, pixel_unshuffle --- */

typedef struct shuffle_attrs {
    int factor;
} shuffle_attrs;

static const gr_field shuffle_fields[] = {GR_FIELD(shuffle_attrs, factor, GR_FIELD_INT), {0}};

/* Whether the sizes from `axis` to `last` are multiples of `unit`, factor or its square. */
static bool check_multiples(gr_tensor *x, int axis, int last, int factor, int64_t unit,
                            const char *name)
{
    char text[GR_SHAPE_TEXT];
    bool fits = factor > 0 && factor <= INT16_MAX && gr_shape_of(x)->dim[1] <= INT32_MAX;
    for (int i = axis; fits && i <= last; i++) fits = gr_shape_of(x)->dim[i] % unit == 0;
    if (!fits)
        gr_fail(gr_graph_of(x), "%s: factor %d does not suit %s", name, factor,
                gr_shape_text(gr_shape_of(x), text));
    return fits;
}

static gr_tensor *shuffle_define(gr_tensor *const *x, int n, const void *attrs)
{
    int r = ((const shuffle_attrs *)attrs)->factor;
    int64_t square = (int64_t)r * r;
    (void)n;
    if (!gr__has_rank(x[0], 4, "pixel_shuffle", "x of [N,C,H,W]") ||
        !check_multiples(x[0], 1, 1, r, square, "pixel_shuffle"))
        return gr_detach(x[0]); /* inert */
    const int64_t *d = gr_shape_of(x[0])->dim;
    gr_tensor *parts = gr_reshape(x[0], GR_SHAPE(d[0], d[1] / square, r, r, d[2], d[3]));
    return gr_reshape(gr_permute(parts, GR_AXES(0, 1, 4, 2, 5, 3)),
                      GR_SHAPE(d[0], d[1] / square, d[2] * r, d[3] * r));
}

static gr_tensor *unshuffle_define(gr_tensor *const *x, int n, const void *attrs)
{
    int r = ((const shuffle_attrs *)attrs)->factor;
    (void)n;
    if (!gr__has_rank(x[0], 4, "pixel_unshuffle", "x of [N,C,H,W]") ||
        !check_multiples(x[0], 2, 3, r, r, "pixel_unshuffle"))
        return gr_detach(x[0]); /* inert */
    const int64_t *d = gr_shape_of(x[0])->dim;
    gr_tensor *parts = gr_reshape(x[0], GR_SHAPE(d[0], d[1], d[2] / r, r, d[3] / r, r));
    return gr_reshape(gr_permute(parts, GR_AXES(0, 1, 3, 5, 2, 4)),
                      GR_SHAPE(d[0], d[1] * r * r, d[2] / r, d[3] / r));
}

#define FACTOR(r) .attrs = &(const shuffle_attrs){r}

static const gr_sample shuffle_samples[] = {
    {.name = "two", .in = {S4(2, 8, 2, 3)}, .n_in = 1, FACTOR(2)},
    {.name = "three", .in = {S4(1, 9, 1, 2)}, .n_in = 1, FACTOR(3)},
    {.name = "no images", .in = {S4(0, 4, 2, 3)}, .n_in = 1, FACTOR(2)},
    {.name = "other channels", .in = {S4(1, 6, 2, 3)}, .n_in = 1, FACTOR(2), .error = "pixel_shuffle: factor 2 does not suit [1,6,2,3]"},
    {.name = "no factor", .in = {S4(1, 6, 2, 3)}, .n_in = 1, FACTOR(0), .error = "factor 0 does not suit"},
    {.name = "x of rank 3", .in = {S3(4, 2, 3)}, .n_in = 1, FACTOR(2), .error = "pixel_shuffle: expected x of [N,C,H,W], got [4,2,3]"},
    {0},
};

static const gr_sample unshuffle_samples[] = {
    {.name = "two", .in = {S4(2, 2, 4, 6)}, .n_in = 1, FACTOR(2)},
    {.name = "three", .in = {S4(1, 1, 3, 6)}, .n_in = 1, FACTOR(3)},
    {.name = "no images", .in = {S4(0, 1, 4, 6)}, .n_in = 1, FACTOR(2)},
    {.name = "other width", .in = {S4(1, 1, 4, 3)}, .n_in = 1, FACTOR(2), .error = "pixel_unshuffle: factor 2 does not suit [1,1,4,3]"},
    {.name = "negative factor", .in = {S4(1, 1, 4, 3)}, .n_in = 1, FACTOR(-1), .error = "factor -1 does not suit"},
    {.name = "x of rank 3", .in = {S3(4, 2, 2)}, .n_in = 1, FACTOR(2), .error = "pixel_unshuffle: expected x of [N,C,H,W], got [4,2,2]"},
    {0},
};

static const gr_op shuffle_op = {
    .name = "pixel_shuffle",
    .family = "images",
    .formula = "y[n,c,i r+p,j r+q] = x[n,(c r+p) r+q,i,j]",
    .derivation = "the same elements in another order, so dx = pixel_unshuffle(dy)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(shuffle_attrs),
    .fields = shuffle_fields,
    .define = shuffle_define,
    .samples = shuffle_samples,
};

static const gr_op unshuffle_op = {
    .name = "pixel_unshuffle",
    .family = "images",
    .formula = "y[n,(c r+p) r+q,i,j] = x[n,c,i r+p,j r+q]",
    .derivation = "the same elements in another order, so dx = pixel_shuffle(dy)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(shuffle_attrs),
    .fields = shuffle_fields,
    .define = unshuffle_define,
    .samples = unshuffle_samples,
};

/* Channels of x, [N, C r r, H, W], become the pixels of larger images: [N, C, H r, W r] (Shi et al.
 * 2016, sub-pixel convolution). Errors: another rank, channels that r r does not divide. */
gr_tensor *gr_pixel_shuffle(gr_tensor *x, int factor)
{
    return gr__unary(&shuffle_op, x, &(shuffle_attrs){factor}, GR_HERE);
}

/* Undoes gr_pixel_shuffle: [N, C, H r, W r] -> [N, C r r, H, W]. */
gr_tensor *gr_pixel_unshuffle(gr_tensor *x, int factor)
{
    return gr__unary(&unshuffle_op, x, &(shuffle_attrs){factor}, GR_HERE);
}

/* --- local_response_norm --- */

/* Mean of s over channels c - size/2 to c + (size-1)/2, those that do not exist counting as 0. */
static gr_tensor *channel_means(gr_tensor *s, int size)
{
    const gr_shape shape = *gr_shape_of(s);
    int64_t inner = 1;
    for (int i = 2; i < shape.rank; i++) inner *= shape.dim[i];
    gr_tensor *image = gr_reshape(s, GR_SHAPE(shape.dim[0], 1, shape.dim[1], inner));
    const gr_pool2d_options o = {.kernel = {size, 1}, .stride = {1, 1}, .padding = {size / 2, 0}};
    gr_tensor *means = gr_avg_pool2d(image, o); /* one row too many where size is even */
    return gr_reshape(gr_slice(means, 2, 0, shape.dim[1], 1), shape);
}

static gr_tensor *response_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_local_response_norm_options *o = attrs;
    char text[GR_SHAPE_TEXT];
    const gr_shape *shape = gr_shape_of(x[0]);
    gr_dtype dtype = gr_dtype_of(x[0]);
    double alpha = o->alpha == 0 ? 1e-4 : o->alpha, beta = o->beta == 0 ? 0.75 : o->beta;
    (void)n;
    if (shape->rank < 3 || o->size < 1)
        return gr_fail(gr_graph_of(x[0]),
                       "local_response_norm: expected x of [N,C,...] and a positive "
                       "size, got %s and %d",
                       gr_shape_text(shape, text), o->size);
    gr_tensor *means = channel_means(gr_square(x[0]), o->size);
    gr_tensor *sum = gr_shift(gr_scale(means, alpha), o->k == 0 ? 1 : o->k);
    return gr_div(x[0], gr_pow(sum, gr_scalar(gr_graph_of(x[0]), dtype, beta)));
}

static const gr_field response_fields[] = {
    GR_FIELD(gr_local_response_norm_options, size, GR_FIELD_INT),
    GR_FIELD(gr_local_response_norm_options, alpha, GR_FIELD_F64),
    GR_FIELD(gr_local_response_norm_options, beta, GR_FIELD_F64),
    GR_FIELD(gr_local_response_norm_options, k, GR_FIELD_F64),
    {0},
};

#define RESPONSE(...) .attrs = &(const gr_local_response_norm_options){__VA_ARGS__}

static const gr_sample response_samples[] = {
    {.name = "images", .in = {S4(2, 5, 2, 3)}, .n_in = 1, RESPONSE(.size = 3, .alpha = 0.8)},
    {.name = "even", .in = {S4(1, 4, 2, 2)}, .n_in = 1, RESPONSE(.size = 2, .alpha = 1.5, .beta = 0.5, .k = 2)},
    {.name = "rows", .in = {S3(2, 3, 4)}, .n_in = 1, RESPONSE(.size = 5, .alpha = 0.7, .beta = 1.25)},
    {.name = "as is", .in = {S3(1, 3, 2)}, .n_in = 1, RESPONSE(.size = 2)},
    {.name = "no images", .in = {S4(0, 3, 2, 2)}, .n_in = 1, RESPONSE(.size = 3)},
    {.name = "x of rank 2", .in = {S2(2, 3)}, .n_in = 1, RESPONSE(.size = 3), .error = "expected x of [N,C,...] and a positive size, got [2,3] and 3"},
    {.name = "no size", .in = {S3(2, 3, 4)}, .n_in = 1, RESPONSE(.alpha = 1), .error = "got [2,3,4] and 0"},
    {0},
};

static const gr_op response_op = {
    .name = "local_response_norm",
    .family = "images",
    .formula =
        "y[c] = x[c] / (k + alpha s[c])^beta, s[c] = mean of x[d]^2 over `size` channels d about c",
    .derivation =
        "with t = k + alpha s: dx[c] = dy[c] t[c]^-beta - "
        "2 alpha beta / size x[c] sum_d dy[d] x[d] t[d]^(-beta-1) over the windows d that hold c",
    .n_in = 1,
    .attrs_size = sizeof(gr_local_response_norm_options),
    .fields = response_fields,
    .define = response_define,
    .samples = response_samples,
};

/* x, [N,C,...], divided by a power of the mean square of near channels (Krizhevsky, Sutskever, Hinton
 * 2012), as in PyTorch: channel c sees those from c - size/2 to c + (size - 1)/2, and channels that do
 * not exist count as zeros, so that the mean is always over `size`. */
gr_tensor *gr_local_response_norm(gr_tensor *x, gr_local_response_norm_options o)
{
    return gr__unary(&response_op, x, &o, GR_HERE);
}

const gr_op *const gr__images_ops[] = {
    &global_avg_op, &global_max_op, &shuffle_op, &unshuffle_op, &response_op, NULL,
};
