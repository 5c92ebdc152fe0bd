/* conv_transpose3d.c - transposed convolution of volumes, made of that of images.
 *
 *   t[n,i,(o,k)] = conv_transpose2d of slice i of x by w[c,(o,k)]
 *   y[n,o,r] = b[o] + sum of t[n,i,(o,k)] over the i, k with r = i sd + k dd - pd
 *
 * conv3d read backwards: the taps of the depth are channels of the result, and what each gives is
 * added where its slice lies, by fold.
 */
/* SPDX-License-Identifier: MIT */
#include "images.h"

typedef gr_conv_transpose3d_options options;

/* Along the depth; conv_transpose2d sees to the others. Sets the depth of the result. */
static bool check_depth(gr_tensor *x, const gr_shape *w, const options *o, int64_t *depth)
{
    const int stride = o->stride[0] ? o->stride[0] : 1;
    const int dilation = o->dilation[0] ? o->dilation[0] : 1;
    const int64_t slices = gr_shape_of(x)->dim[2], taps = w->dim[2];
    bool fits = stride > 0 && dilation > 0 && o->padding[0] >= 0 && o->output_padding[0] >= 0 &&
                o->output_padding[0] < stride && taps > 0 && taps <= INT32_MAX && slices > 0 &&
                slices <= INT32_MAX;
    *depth = fits ? (slices - 1) * stride - 2 * (int64_t)o->padding[0] + dilation * (taps - 1) +
                        o->output_padding[0] + 1
                  : 0;
    if (*depth > 0) return true;
    gr_fail(gr_graph_of(x),
            "conv_transpose3d: stride %d, padding %d, output_padding %d, dilation %d do not suit "
            "%lld slices and a kernel of depth %lld",
            o->stride[0], o->padding[0], o->output_padding[0], o->dilation[0], (long long)slices,
            (long long)taps);
    return false;
}

/* t, [N D, O taps, OH, OW], into [N, O, depth, OH, OW]. */
static gr_tensor *add_slices(gr_tensor *t, int64_t slices, int64_t taps, int64_t depth,
                             const options *o)
{
    const gr_shape s = *gr_shape_of(t);
    const int64_t batch = s.dim[0] / slices, plane = s.dim[2] * s.dim[3];
    const gr_unfold_options u = {.kernel = {(int)taps, 1},
                                 .stride = {o->stride[0], 1},
                                 .padding = {o->padding[0], 0},
                                 .dilation = {o->dilation[0], 1}};
    t = gr_permute(gr_reshape(t, GR_SHAPE(batch, slices, s.dim[1], plane)), GR_AXES(0, 2, 1, 3));
    t = gr_fold(gr_reshape(t, GR_SHAPE(batch, s.dim[1], slices * plane)), depth, plane, u);
    return gr_reshape(t, GR_SHAPE(batch, s.dim[1] / taps, depth, s.dim[2], s.dim[3]));
}

static gr_tensor *conv_transpose3d_define(gr_tensor *const *x, int n, const void *attrs)
{
    const options *o = attrs;
    const gr_shape s = *gr_shape_of(x[0]), w = *gr_shape_of(x[1]);
    int64_t depth;
    if (!gr__has_rank(x[0], 5, "conv_transpose3d", "x of [N,C,D,H,W]") ||
        !gr__has_rank(x[1], 5, "conv_transpose3d", "w of [C,O/groups,KD,KH,KW]") ||
        !check_depth(x[0], &w, o, &depth))
        return gr_detach(x[0]); /* inert */
    const gr_conv_transpose2d_options flat = {
        .stride = {o->stride[1], o->stride[2]},
        .padding = {o->padding[1], o->padding[2]},
        .output_padding = {o->output_padding[1], o->output_padding[2]},
        .dilation = {o->dilation[1], o->dilation[2]},
        .groups = o->groups};
    gr_tensor *images = gr_reshape(gr_permute(x[0], GR_AXES(0, 2, 1, 3, 4)),
                                   GR_SHAPE(s.dim[0] * s.dim[2], s.dim[1], s.dim[3], s.dim[4]));
    gr_tensor *taps =
        gr_reshape(x[1], GR_SHAPE(w.dim[0], w.dim[1] * w.dim[2], w.dim[3], w.dim[4]));
    gr_tensor *t = gr_conv_transpose2d(images, taps, NULL, flat);
    if (gr_graph_status(gr_graph_of(x[0]))) return gr_detach(x[0]); /* inert */
    gr_tensor *y = add_slices(t, s.dim[2], w.dim[2], depth, o);
    return n < 3 ? y : gr_add(y, gr_reshape(x[2], GR_SHAPE(1, gr_shape_of(y)->dim[1], 1, 1, 1)));
}

#define S1(n) {.shape = {1, {n}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}
#define OPTIONS(...) .attrs = &(const gr_conv_transpose3d_options){__VA_ARGS__}

static const gr_sample samples[] = {
    {.name = "plain", .in = {S5(1, 2, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S5(2, 1, 2, 2, 2), S5(1, 2, 3, 2, 1), S1(2)}, .n_in = 3, OPTIONS(.padding = {1, 0, 0})},
    {.name = "stride", .in = {S5(1, 2, 2, 1, 3), S5(2, 1, 3, 2, 2)}, .n_in = 2, OPTIONS(.stride = {2, 1, 3}, .padding = {1, 0, 1}, .output_padding = {1, 0, 2})},
    {.name = "dilation and groups", .in = {S5(1, 4, 2, 2, 1), S5(4, 1, 2, 1, 2), S1(2)}, .n_in = 3, OPTIONS(.dilation = {2, 1, 3}, .groups = 2)},
    {.name = "nothing", .in = {S5(0, 2, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "x of rank 4", .in = {S4(2, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "conv_transpose3d: expected x of [N,C,D,H,W], got [2,2,3,2]"},
    {.name = "w of rank 4", .in = {S5(1, 2, 2, 3, 2), S4(2, 3, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [C,O/groups,KD,KH,KW], got [2,3,1,2]"},
    {.name = "negative stride", .in = {S5(1, 2, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.stride = {-1, 1, 1}), .error = "stride -1, padding 0, output_padding 0, dilation 0 do not suit 2 slices"},
    {.name = "all padding", .in = {S5(1, 2, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.padding = {2, 0, 0}), .error = "padding 2"},
    {.name = "other channels", .in = {S5(1, 3, 2, 3, 2), S5(2, 3, 2, 1, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "need 2 channels, got 3"},
    {0},
};

static const gr_field fields[] = {
    GR_FIELD_ARRAY(gr_conv_transpose3d_options, stride, GR_FIELD_INT, 3),
    GR_FIELD_ARRAY(gr_conv_transpose3d_options, padding, GR_FIELD_INT, 3),
    GR_FIELD_ARRAY(gr_conv_transpose3d_options, output_padding, GR_FIELD_INT, 3),
    GR_FIELD_ARRAY(gr_conv_transpose3d_options, dilation, GR_FIELD_INT, 3),
    GR_FIELD(gr_conv_transpose3d_options, groups, GR_FIELD_INT),
    {0},
};

static const gr_op conv_transpose3d_op = {
    .name = "conv_transpose3d",
    .family = "conv_transpose3d",
    .formula = "y[n,o,r,s,t] = b[o] + sum_{c,p,q,u} w[c,o,p,q,u] x[n,c,r-p,s-q,t-u] "
               "(stride 1, no padding, no dilation)",
    .derivation = "conv_transpose2d of slices, whose results fold adds up; their rules it takes",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_conv_transpose3d_options),
    .fields = fields,
    .define = conv_transpose3d_define,
    .samples = samples,
};

/* Transposed convolution of volumes x, [N,C,D,H,W], by w, [C,O/groups,KD,KH,KW], plus b, [O] (NULL:
 * none): [N,O,OD,OH,OW] with sizes as in gr_conv_transpose2d, which computes it slice by slice. */
gr_tensor *gr_conv_transpose3d(gr_tensor *x, gr_tensor *w, gr_tensor *b,
                               gr_conv_transpose3d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &conv_transpose3d_op, in, b ? 3 : 2, &o, GR_HERE);
}

const gr_op *const gr__conv_transpose3d_ops[] = {&conv_transpose3d_op, NULL};
