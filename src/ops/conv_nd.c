/* conv_nd.c - convolution along one and three axes, made of conv2d.
 *
 *   conv1d: images of height 1     y[n,o,i] = b[o] + sum_{c,p} w[o,c,p] x[n,c, i s + p d - pad]
 *   conv3d: the slices of a volume that the taps of a depth i see are the channels of one image:
 *
 *     x[n, i, (c, k)] = x[n,c, i sd + k dd - pd],  w[o, (c, k)] = w[o,c,k]     then conv2d
 *
 * which reads w as it lies and copies x once per tap of the depth.
 */
/* SPDX-License-Identifier: MIT */
#include "images.h"

#define S1(n) {.shape = {1, {n}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}

/* --- conv1d --- */

static gr_tensor *conv1d_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_conv1d_options *o = attrs;
    if (!gr__has_rank(x[0], 3, "conv1d", "x of [N,C,L]") ||
        !gr__has_rank(x[1], 3, "conv1d", "w of [O,C/groups,K]"))
        return gr_detach(x[0]); /* inert */
    const gr_conv2d_options wide = {.stride = {1, o->stride},
                                    .padding = {0, o->padding},
                                    .dilation = {1, o->dilation},
                                    .groups = o->groups,
                                    .same = o->same};
    return gr__from_rows(
        gr_conv2d(gr__as_rows(x[0]), gr__as_rows(x[1]), n < 3 ? NULL : x[2], wide));
}

#define OPTIONS(...) .attrs = &(const gr_conv1d_options){__VA_ARGS__}

static const gr_sample conv1d_samples[] = {
    {.name = "plain", .in = {S3(2, 2, 5), S3(3, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S3(1, 1, 6), S3(2, 1, 2), S1(2)}, .n_in = 3, OPTIONS(.stride = 2, .padding = 1)},
    {.name = "dilation and groups", .in = {S3(1, 4, 7), S3(2, 2, 3)}, .n_in = 2, OPTIONS(.dilation = 2, .groups = 2)},
    {.name = "same", .in = {S3(1, 2, 5), S3(2, 2, 4), S1(2)}, .n_in = 3, OPTIONS(.same = true)},
    {.name = "nothing", .in = {S3(0, 2, 5), S3(3, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "x of rank 2", .in = {{.shape = {2, {2, 5}}}, S3(3, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "conv1d: expected x of [N,C,L], got [2,5]"},
    {.name = "w of rank 4", .in = {S3(1, 2, 5), S4(3, 2, 1, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [O,C/groups,K], got [3,2,1,3]"},
    {.name = "other channels", .in = {S3(1, 3, 5), S3(3, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "need 2 channels, got 3"},
    {.name = "negative padding", .in = {S3(1, 2, 5), S3(3, 2, 3)}, .n_in = 2, OPTIONS(.padding = -1), .error = "must not be negative"},
    {.name = "large kernel", .in = {S3(1, 2, 3), S3(3, 2, 4)}, .n_in = 2, OPTIONS(.groups = 0), .error = "is larger than the padded input of [1,3]"},
    {0},
};

static const gr_field conv1d_fields[] = {
    GR_FIELD(gr_conv1d_options, stride, GR_FIELD_INT),
    GR_FIELD(gr_conv1d_options, padding, GR_FIELD_INT),
    GR_FIELD(gr_conv1d_options, dilation, GR_FIELD_INT),
    GR_FIELD(gr_conv1d_options, groups, GR_FIELD_INT),
    GR_FIELD(gr_conv1d_options, same, GR_FIELD_BOOL),
    {0},
};

static const gr_op conv1d_op = {
    .name = "conv1d",
    .family = "conv_nd",
    .formula =
        "y[n,o,i] = b[o] + sum_{c,p} w[o,c,p] x[n,c,i+p] (stride 1, no padding, no dilation)",
    .derivation =
        "conv2d over images of height 1, whose rules it takes: "
        "dx[n,c,r] = sum_{o,p} w[o,c,p] dy[n,o,r-p], dw[o,c,p] = sum_{n,i} x[n,c,i+p] dy[n,o,i]",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_conv1d_options),
    .fields = conv1d_fields,
    .define = conv1d_define,
    .samples = conv1d_samples,
};

/* Convolution of x, [N,C,L], by w, [O,C/groups,K], plus b, [O] (NULL: none): [N,O,OL], sizes and
 * options as in gr_conv2d, which computes it. */
gr_tensor *gr_conv1d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv1d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &conv1d_op, in, b ? 3 : 2, &o, GR_HERE);
}

/* --- conv3d --- */

/* Whether stride, dilation and padding of the depth are usable; conv2d sees to the others. */
static bool check_depth(gr_tensor *x, const gr_conv3d_options *o, int64_t taps)
{
    bool positive = o->stride[0] >= 0 && o->dilation[0] >= 0 && o->padding[0] >= 0 && taps > 0;
    bool fits = taps <= INT32_MAX && (!o->same || (o->stride[0] <= 1 && o->padding[0] == 0));
    if (!positive || !fits)
        gr_fail(gr_graph_of(x),
                "conv3d: stride %d, padding %d, dilation %d%s do not suit a kernel of depth %lld",
                o->stride[0], o->padding[0], o->dilation[0], o->same ? ", same" : "",
                (long long)taps);
    return positive && fits;
}

/* What the taps of each depth see, [N, C taps, OD, H, W]. */
static gr_tensor *unfold_depth(gr_tensor *x, const gr_conv3d_options *o, int64_t taps)
{
    const gr_shape s = *gr_shape_of(x);
    int64_t dilation = o->dilation[0] ? o->dilation[0] : 1, all = (taps - 1) * dilation;
    int64_t before = o->same ? (all + 1) / 2 : o->padding[0];
    const gr_unfold_options u = {.kernel = {(int)taps, 1},
                                 .stride = {o->stride[0], 1},
                                 .padding = {before <= INT32_MAX ? (int)before : INT32_MAX, 0},
                                 .dilation = {o->dilation[0], 1}};
    gr_tensor *image = gr_reshape(x, GR_SHAPE(s.dim[0], s.dim[1], s.dim[2], s.dim[3] * s.dim[4]));
    gr_tensor *columns = gr_unfold(image, u);
    int64_t found = gr_shape_of(columns)->dim[2], plane = s.dim[3] * s.dim[4];
    int64_t depth = plane ? found / plane : 0;
    gr_tensor *y = gr_reshape(columns,
                              GR_SHAPE(s.dim[0], s.dim[1] * taps, depth, s.dim[3], s.dim[4]));
    bool extra = o->same && all % 2; /* the odd zero goes to the end, not to both */
    return extra ? gr_slice(y, 2, 1, depth, 1) : y;
}

static gr_tensor *conv3d_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_conv3d_options *o = attrs;
    const gr_shape *w = gr_shape_of(x[1]);
    if (!gr__has_rank(x[0], 5, "conv3d", "x of [N,C,D,H,W]") ||
        !gr__has_rank(x[1], 5, "conv3d", "w of [O,C/groups,KD,KH,KW]") ||
        !check_depth(x[0], o, w->dim[2]))
        return gr_detach(x[0]); /* inert */
    const gr_conv2d_options flat = {.stride = {o->stride[1], o->stride[2]},
                                    .padding = {o->padding[1], o->padding[2]},
                                    .dilation = {o->dilation[1], o->dilation[2]},
                                    .groups = o->groups,
                                    .same = o->same};
    gr_tensor *seen = unfold_depth(x[0], o, w->dim[2]);
    const gr_shape *s = gr_shape_of(seen);
    int64_t batch = s->dim[0], depth = s->dim[2];
    gr_tensor *images = gr_reshape(gr_permute(seen, GR_AXES(0, 2, 1, 3, 4)),
                                   GR_SHAPE(batch * depth, s->dim[1], s->dim[3], s->dim[4]));
    gr_tensor *taps = gr_reshape(x[1],
                                 GR_SHAPE(w->dim[0], w->dim[1] * w->dim[2], w->dim[3], w->dim[4]));
    gr_tensor *y = gr_conv2d(images, taps, n < 3 ? NULL : x[2], flat);
    s = gr_shape_of(y);
    return gr_permute(gr_reshape(y, GR_SHAPE(batch, depth, s->dim[1], s->dim[2], s->dim[3])),
                      GR_AXES(0, 2, 1, 3, 4));
}

#undef OPTIONS
#define OPTIONS(...) .attrs = &(const gr_conv3d_options){__VA_ARGS__}

static const gr_sample conv3d_samples[] = {
    {.name = "plain", .in = {S5(1, 2, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S5(2, 1, 3, 2, 3), S5(2, 1, 3, 1, 2), S1(2)}, .n_in = 3, OPTIONS(.padding = {1, 0, 1})},
    {.name = "stride", .in = {S5(1, 1, 4, 3, 4), S5(2, 1, 2, 2, 2)}, .n_in = 2, OPTIONS(.stride = {2, 1, 3}, .padding = {1, 0, 1})},
    {.name = "dilation and groups", .in = {S5(1, 2, 4, 3, 4), S5(2, 1, 2, 2, 2)}, .n_in = 2, OPTIONS(.dilation = {2, 1, 3}, .groups = 2)},
    {.name = "same", .in = {S5(1, 1, 3, 2, 3), S5(2, 1, 2, 3, 2), S1(2)}, .n_in = 3, OPTIONS(.same = true)},
    {.name = "nothing", .in = {S5(0, 2, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "x of rank 4", .in = {S4(2, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "conv3d: expected x of [N,C,D,H,W], got [2,3,3,4]"},
    {.name = "w of rank 4", .in = {S5(1, 2, 3, 3, 4), S4(2, 2, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [O,C/groups,KD,KH,KW], got [2,2,2,3]"},
    {.name = "negative stride", .in = {S5(1, 2, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.stride = {-1, 1, 1}), .error = "stride -1, padding 0, dilation 0 do not suit a kernel of depth 2"},
    {.name = "same with a stride", .in = {S5(1, 2, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.stride = {2, 1, 1}, .same = true), .error = "dilation 0, same do not suit"},
    {.name = "deep kernel", .in = {S5(1, 2, 3, 3, 4), S5(2, 2, 4, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "larger than the padded images of [3,12]"},
    {.name = "other channels", .in = {S5(1, 3, 3, 3, 4), S5(2, 2, 2, 2, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "need 4 channels, got 6"},
    {0},
};

static const gr_field conv3d_fields[] = {
    GR_FIELD_ARRAY(gr_conv3d_options, stride, GR_FIELD_INT, 3),
    GR_FIELD_ARRAY(gr_conv3d_options, padding, GR_FIELD_INT, 3),
    GR_FIELD_ARRAY(gr_conv3d_options, dilation, GR_FIELD_INT, 3),
    GR_FIELD(gr_conv3d_options, groups, GR_FIELD_INT),
    GR_FIELD(gr_conv3d_options, same, GR_FIELD_BOOL),
    {0},
};

static const gr_op conv3d_op = {
    .name = "conv3d",
    .family = "conv_nd",
    .formula = "y[n,o,i,j,k] = b[o] + sum_{c,p,q,r} w[o,c,p,q,r] x[n,c,i+p,j+q,k+r] "
               "(stride 1, no padding, no dilation)",
    .derivation =
        "conv2d of images whose channels are (c, tap of the depth), whose rules it takes: "
        "dx[n,c,..] = sum_{o,p,q,r} w dy shifted by (p,q,r), dw = sum of x dy over the images",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_conv3d_options),
    .fields = conv3d_fields,
    .define = conv3d_define,
    .samples = conv3d_samples,
};

/* Convolution of volumes x, [N,C,D,H,W], by w, [O,C/groups,KD,KH,KW], plus b, [O] (NULL: none):
 * [N,O,OD,OH,OW], sizes and options as in gr_conv2d, which computes it from KD shifted copies of x. */
gr_tensor *gr_conv3d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv3d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &conv3d_op, in, b ? 3 : 2, &o, GR_HERE);
}

const gr_op *const gr__conv_nd_ops[] = {&conv1d_op, &conv3d_op, NULL};
