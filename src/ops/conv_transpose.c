/* conv_transpose.c - transposed convolution: what conv2d does to cotangents, as a forward op.
 *
 *   y[n,o,r,s] = b[o] + sum_{c,p,q} w[c,o,p,q] x[n,c,i,j]   r = i sh + p dh - ph, s likewise
 *
 * That is the input gradient of a conv2d which has y for images, x for the cotangent of its result
 * and the same w; so it is recorded as that op, and its derivatives are conv2d's.
 */
/* SPDX-License-Identifier: MIT */
#include "convolve.h"
#include "images.h"

/* --- checks: false with the error set --- */

typedef gr_conv_transpose2d_options options;

static options with_defaults(const options *given)
{
    options o = *given;
    for (int i = 0; i < 2; i++) {
        if (o.stride[i] == 0) o.stride[i] = 1;
        if (o.dilation[i] == 0) o.dilation[i] = 1;
    }
    if (o.groups == 0) o.groups = 1;
    return o;
}

static bool check_options(gr_graph *g, const options *o)
{
    for (int i = 0; i < 2; i++) {
        const char *wrong = o->stride[i] < 1     ? "stride must be positive"
                            : o->dilation[i] < 1 ? "dilation must be positive"
                            : o->padding[i] < 0  ? "padding must not be negative"
                            : o->output_padding[i] < 0 || o->output_padding[i] >= o->stride[i]
                                ? "output_padding must be from 0 to below the stride"
                                : NULL;
        if (!wrong) continue;
        gr_fail(g,
                "conv_transpose2d: %s; got stride [%d,%d], dilation [%d,%d], padding [%d,%d], "
                "output_padding [%d,%d]",
                wrong, o->stride[0], o->stride[1], o->dilation[0], o->dilation[1], o->padding[0],
                o->padding[1], o->output_padding[0], o->output_padding[1]);
        return false;
    }
    return true;
}

static bool check_channels(gr_graph *g, const gr_shape *x, const gr_shape *w, int groups)
{
    char text[GR_SHAPE_TEXT];
    bool divide = groups > 0 && w->dim[0] % groups == 0;
    if (!divide)
        gr_fail(g, "conv_transpose2d: %d groups do not divide %lld channels", groups,
                (long long)w->dim[0]);
    else if (x->dim[1] != w->dim[0])
        gr_fail(g, "conv_transpose2d: weights of %s need %lld channels, got %lld",
                gr_shape_text(w, text), (long long)w->dim[0], (long long)x->dim[1]);
    return divide && x->dim[1] == w->dim[0];
}

static bool check_bias(gr_tensor *b, int64_t channels)
{
    char text[GR_SHAPE_TEXT];
    const gr_shape *s = gr_shape_of(b);
    if (s->rank == 1 && s->dim[0] == channels) return true;
    gr_fail(gr_graph_of(b), "conv_transpose2d: expected a bias of [%lld], got %s",
            (long long)channels, gr_shape_text(s, text));
    return false;
}

/* Sets the images that a conv2d would make x of: [N,O,OH,OW]. */
static bool result_shape(gr_graph *g, const gr_shape *x, const gr_shape *w, const options *o,
                         gr_shape *y)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    *y = GR_SHAPE(x->dim[0], w->dim[1] * o->groups, 0, 0);
    bool fits = gr__conv2d_sizes_fit(x) && gr__conv2d_sizes_fit(w);
    for (int i = 2; fits && i < 4; i++) {
        y->dim[i] = (x->dim[i] - 1) * o->stride[i - 2] - 2 * (int64_t)o->padding[i - 2] +
                    o->dilation[i - 2] * (w->dim[i] - 1) + o->output_padding[i - 2] + 1;
        fits = x->dim[i] > 0 && w->dim[i] > 0 && y->dim[i] > 0;
    }
    if (!fits)
        gr_fail(g, "conv_transpose2d: images of %s and weights of %s leave no usable result",
                gr_shape_text(x, a), gr_shape_text(w, b));
    return fits;
}

/* --- conv_transpose2d --- */

static gr_tensor *conv_transpose2d_define(gr_tensor *const *x, int n, const void *attrs)
{
    gr_graph *g = gr_graph_of(x[0]);
    const options o = with_defaults(attrs);
    const gr_shape *images = gr_shape_of(x[0]), *w = gr_shape_of(x[1]);
    gr_shape y;
    if (!gr__has_rank(x[0], 4, "conv_transpose2d", "x of [N,C,H,W]") ||
        !gr__has_rank(x[1], 4, "conv_transpose2d", "w of [C,O/groups,KH,KW]") ||
        !check_options(g, &o) || !check_channels(g, images, w, o.groups) ||
        !result_shape(g, images, w, &o, &y) || (n > 2 && !check_bias(x[2], y.dim[1])))
        return gr_detach(x[0]); /* inert */
    const gr_conv2d_options conv = {.stride = {o.stride[0], o.stride[1]},
                                    .padding = {o.padding[0], o.padding[1]},
                                    .dilation = {o.dilation[0], o.dilation[1]},
                                    .groups = o.groups};
    gr_tensor *product = gr__conv2d_input_grad(x[0], x[1], &conv, &y);
    return n < 3 ? product : gr_add(product, gr_reshape(x[2], GR_SHAPE(1, y.dim[1], 1, 1)));
}

#define S1(n) {.shape = {1, {n}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define OPTIONS(...) .attrs = &(const gr_conv_transpose2d_options){__VA_ARGS__}

static const gr_sample transpose2d_samples[] = {
    {.name = "plain", .in = {S4(2, 3, 2, 4), S4(3, 2, 3, 2)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S4(1, 2, 3, 2), S4(2, 3, 2, 2), S1(3)}, .n_in = 3, OPTIONS(.stride = {2, 1})},
    {.name = "output padding", .in = {S4(1, 2, 3, 2), S4(2, 1, 3, 3)}, .n_in = 2, OPTIONS(.stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2})},
    {.name = "dilation", .in = {S4(1, 1, 3, 4), S4(1, 2, 2, 3), S1(2)}, .n_in = 3, OPTIONS(.dilation = {3, 2}, .padding = {1, 2})},
    {.name = "groups", .in = {S4(1, 4, 2, 3), S4(4, 3, 2, 2), S1(6)}, .n_in = 3, OPTIONS(.groups = 2, .stride = {1, 2})},
    {.name = "no images", .in = {S4(0, 2, 3, 2), S4(2, 3, 2, 2), S1(3)}, .n_in = 3, OPTIONS(.groups = 0)},
    {.name = "x of rank 3", .in = {S3(2, 3, 2), S4(2, 3, 2, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "conv_transpose2d: expected x of [N,C,H,W], got [2,3,2]"},
    {.name = "w of rank 1", .in = {S4(1, 2, 3, 2), S1(2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [C,O/groups,KH,KW], got [2]"},
    {.name = "other channels", .in = {S4(1, 3, 3, 2), S4(2, 3, 2, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "weights of [2,3,2,2] need 2 channels, got 3"},
    {.name = "groups that do not divide", .in = {S4(1, 3, 3, 2), S4(3, 3, 2, 2)}, .n_in = 2, OPTIONS(.groups = 2), .error = "2 groups do not divide 3 channels"},
    {.name = "output padding beyond the stride", .in = {S4(1, 2, 3, 2), S4(2, 3, 2, 2)}, .n_in = 2, OPTIONS(.stride = {2, 1}, .output_padding = {0, 1}), .error = "output_padding must be from 0 to below the stride"},
    {.name = "negative dilation", .in = {S4(1, 2, 3, 2), S4(2, 3, 2, 2)}, .n_in = 2, OPTIONS(.dilation = {1, -1}), .error = "dilation must be positive"},
    {.name = "padding that leaves nothing", .in = {S4(1, 2, 1, 2), S4(2, 3, 2, 2)}, .n_in = 2, OPTIONS(.padding = {1, 0}), .error = "leave no usable result"},
    {.name = "other bias", .in = {S4(1, 2, 3, 2), S4(2, 3, 2, 2), S1(2)}, .n_in = 3, OPTIONS(.groups = 0), .error = "expected a bias of [3], got [2]"},
    {0},
};

static const gr_field transpose2d_fields[] = {
    GR_FIELD_ARRAY(gr_conv_transpose2d_options, stride, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_conv_transpose2d_options, padding, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_conv_transpose2d_options, output_padding, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_conv_transpose2d_options, dilation, GR_FIELD_INT, 2),
    GR_FIELD(gr_conv_transpose2d_options, groups, GR_FIELD_INT),
    {0},
};

static const gr_op transpose2d_op = {
    .name = "conv_transpose2d",
    .family = "conv_transpose",
    .formula = "y[n,o,r,s] = b[o] + sum_{c,p,q} w[c,o,p,q] x[n,c,r-p,s-q] "
               "(stride 1, no padding, no dilation)",
    .derivation = "the transpose of conv2d, linear in x, w and b; transposed again, "
                  "dx = conv2d(dy, w) and dw = conv2d_weight_grad(dy, x); db[o] sums dy",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_conv_transpose2d_options),
    .fields = transpose2d_fields,
    .define = conv_transpose2d_define,
    .samples = transpose2d_samples,
};

/* Transposed convolution of images x, [N,C,H,W], by w, [C,O/groups,KH,KW], plus b, [O] (NULL:
 * none); all of one floating dtype (Zeiler et al. 2010, "Deconvolutional networks"). The result is
 * [N,O,OH,OW] with
 *     OH = (H - 1) stride[0] - 2 padding[0] + dilation[0] (KH - 1) + output_padding[0] + 1,
 * OW likewise: the images of which a conv2d with these options makes [N,C,H,W]. A stride leaves
 * several such sizes; output_padding, below the stride, chooses among them by rows and columns at
 * the end (PyTorch takes one up to a larger dilation too). Errors: shapes that do not fit, a result
 * without elements, negative options. */
gr_tensor *gr_conv_transpose2d(gr_tensor *x, gr_tensor *w, gr_tensor *b,
                               gr_conv_transpose2d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &transpose2d_op, in, b ? 3 : 2, &o, GR_HERE);
}

/* --- conv_transpose1d: rows of images of height 1 --- */

static gr_tensor *conv_transpose1d_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_conv_transpose1d_options *o = attrs;
    if (!gr__has_rank(x[0], 3, "conv_transpose1d", "x of [N,C,L]") ||
        !gr__has_rank(x[1], 3, "conv_transpose1d", "w of [C,O/groups,K]"))
        return gr_detach(x[0]); /* inert */
    const gr_conv_transpose2d_options wide = {.stride = {1, o->stride},
                                              .padding = {0, o->padding},
                                              .output_padding = {0, o->output_padding},
                                              .dilation = {1, o->dilation},
                                              .groups = o->groups};
    return gr__from_rows(
        gr_conv_transpose2d(gr__as_rows(x[0]), gr__as_rows(x[1]), n < 3 ? NULL : x[2], wide));
}

#undef OPTIONS
#define OPTIONS(...) .attrs = &(const gr_conv_transpose1d_options){__VA_ARGS__}

static const gr_sample transpose1d_samples[] = {
    {.name = "plain", .in = {S3(2, 3, 4), S3(3, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S3(1, 2, 3), S3(2, 3, 2), S1(3)}, .n_in = 3, OPTIONS(.stride = 2)},
    {.name = "output padding", .in = {S3(1, 2, 3), S3(2, 1, 4)}, .n_in = 2, OPTIONS(.stride = 3, .padding = 1, .output_padding = 2)},
    {.name = "dilation and groups", .in = {S3(2, 4, 3), S3(4, 1, 2), S1(2)}, .n_in = 3, OPTIONS(.dilation = 2, .groups = 2)},
    {.name = "nothing", .in = {S3(0, 2, 3), S3(2, 3, 2)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "x of rank 2", .in = {{.shape = {2, {2, 3}}}, S3(2, 3, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "conv_transpose1d: expected x of [N,C,L], got [2,3]"},
    {.name = "w of rank 4", .in = {S3(1, 2, 3), S4(2, 3, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [C,O/groups,K], got [2,3,1,2]"},
    {.name = "negative stride", .in = {S3(1, 2, 3), S3(2, 3, 2)}, .n_in = 2, OPTIONS(.stride = -1), .error = "stride must be positive"},
    {0},
};

static const gr_field transpose1d_fields[] = {
    GR_FIELD(gr_conv_transpose1d_options, stride, GR_FIELD_INT),
    GR_FIELD(gr_conv_transpose1d_options, padding, GR_FIELD_INT),
    GR_FIELD(gr_conv_transpose1d_options, output_padding, GR_FIELD_INT),
    GR_FIELD(gr_conv_transpose1d_options, dilation, GR_FIELD_INT),
    GR_FIELD(gr_conv_transpose1d_options, groups, GR_FIELD_INT),
    {0},
};

static const gr_op transpose1d_op = {
    .name = "conv_transpose1d",
    .family = "conv_transpose",
    .formula =
        "y[n,o,r] = b[o] + sum_{c,p} w[c,o,p] x[n,c,r-p] (stride 1, no padding, no dilation)",
    .derivation = "conv_transpose2d over images of height 1, whose rules it takes",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_conv_transpose1d_options),
    .fields = transpose1d_fields,
    .define = conv_transpose1d_define,
    .samples = transpose1d_samples,
};

/* Transposed convolution of x, [N,C,L], by w, [C,O/groups,K], plus b, [O] (NULL: none): [N,O,OL]
 * with OL as in gr_conv_transpose2d, which computes it. */
gr_tensor *gr_conv_transpose1d(gr_tensor *x, gr_tensor *w, gr_tensor *b,
                               gr_conv_transpose1d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &transpose1d_op, in, b ? 3 : 2, &o, GR_HERE);
}

const gr_op *const gr__conv_transpose_ops[] = {&transpose2d_op, &transpose1d_op, NULL};
