/* conv_nd.c - convolution along one axis, made of conv2d.
 *
 *   conv1d: images of height 1     y[n,o,i] = b[o] + sum_{c,p} w[o,c,p] x[n,c, i s + p d - pad]
 */
/* SPDX-License-Identifier: MIT */
#include "images.h"

#define S1(n) {.shape = {1, {n}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}

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
    .formula = "y[n,o,i] = b[o] + sum_{c,p} w[o,c,p] x[n,c,i+p] (stride 1, no padding, no dilation)",
    .derivation = "conv2d over images of height 1, whose rules it takes: "
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

const gr_op *const gr__conv_nd_ops[] = {&conv1d_op, NULL};
