/* conv.c - 2-D convolution: cross-correlation, as in every framework.
 *
 *   y[n,o,i,j]    = b[o] + sum_{c,p,q} w[o,c,p,q] x[n,c, i sh + p dh - ph, j sw + q dw - pw]
 *
 * with x zero outside its image, and c running over the channels of o's group. It is linear in x,
 * in w and in b, so each cotangent is the same sum with another factor taken out:
 *
 *   dx[n,c,r,s]   = sum_{o,p,q} w[o,c,p,q] dy[n,o,i,j]   r = i sh + p dh - ph, s = j sw + q dw - pw
 *   dw[o,c,p,q]   = sum_{n,i,j} x[n,c,r,s] dy[n,o,i,j]
 *   db[o]         = sum_{n,i,j} dy[n,o,i,j]
 *
 * Its adjoints are in conv_grad.c; what they share with it is declared in convolve.h.
 */
/* SPDX-License-Identifier: MIT */
#include "bf16_conv.h"
#include "convolve.h"

/* --- options --- */

static const gr_field conv2d_fields[] = {
    GR_FIELD_ARRAY(gr_conv2d_options, stride, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_conv2d_options, padding, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_conv2d_options, dilation, GR_FIELD_INT, 2),
    GR_FIELD(gr_conv2d_options, groups, GR_FIELD_INT),
    GR_FIELD(gr_conv2d_options, same, GR_FIELD_BOOL),
    {0},
};

gr_conv2d_options gr__conv2d_defaults(const gr_conv2d_options *given)
{
    gr_conv2d_options o = *given;
    for (int i = 0; i < 2; i++) {
        if (o.stride[i] == 0) o.stride[i] = 1;
        if (o.dilation[i] == 0) o.dilation[i] = 1;
    }
    if (o.groups == 0) o.groups = 1;
    return o;
}

/* `same` pads by dilation (taps - 1) zeros in all, an odd one of them at the end. */
static gr__conv_axis axis_of(int64_t in, int64_t taps, const gr_conv2d_options *o, int i)
{
    int64_t all = o->dilation[i] * (taps - 1), before = o->same ? all / 2 : o->padding[i];
    return gr__conv_axis_of(in, taps, o->stride[i], before, o->same ? all - before : before,
                            o->dilation[i]);
}

/* x: [N,C,H,W], w: [O,C/groups,KH,KW]; options with defaults filled in. */
static gr__conv geometry(const gr_shape *x, const gr_shape *w, const gr_conv2d_options *o)
{
    return (gr__conv){
        .batch = x->dim[0],
        .groups = o->groups,
        .in = w->dim[1],
        .out = w->dim[0] / o->groups,
        .h = axis_of(x->dim[2], w->dim[2], o, 0),
        .w = axis_of(x->dim[3], w->dim[3], o, 1),
    };
}

/* --- checks --- */

bool gr__conv2d_check_options(gr_infer *c, const gr_conv2d_options *o)
{
    for (int i = 0; i < 2; i++) {
        if (o->stride[i] < 1)
            return gr_infer_fail(c, "stride [%d,%d] must be positive", o->stride[0], o->stride[1]);
        if (o->dilation[i] < 1)
            return gr_infer_fail(c, "dilation [%d,%d] must be positive", o->dilation[0],
                                 o->dilation[1]);
        if (o->padding[i] < 0)
            return gr_infer_fail(c, "padding [%d,%d] must not be negative", o->padding[0],
                                 o->padding[1]);
        if (o->same && (o->stride[i] != 1 || o->padding[i] != 0))
            return gr_infer_fail(c,
                                 "same goes with stride [1,1] and without padding, got [%d,%d] "
                                 "and [%d,%d]",
                                 o->stride[0], o->stride[1], o->padding[0], o->padding[1]);
    }
    if (o->groups < 1) return gr_infer_fail(c, "groups must be positive, got %d", o->groups);
    return true;
}

bool gr__conv2d_check_input(gr_infer *c, int i, const char *what)
{
    if (gr_shape_of(c->in[i])->rank != 4)
        return gr_infer_fail(c, "expected %s, got %s", what, gr_infer_shape(c, i));
    return gr__same_dtype(c, 0, i);
}

bool gr__conv2d_sizes_fit(const gr_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0 || s->dim[i] > INT32_MAX) return false;
    return true;
}

static bool check_channels(gr_infer *c, const gr_shape *x, const gr_shape *w, int groups)
{
    char text[GR_SHAPE_TEXT];
    if (x->dim[1] % groups || w->dim[0] % groups)
        return gr_infer_fail(c, "%d groups do not divide %lld channels in and %lld out", groups,
                             (long long)x->dim[1], (long long)w->dim[0]);
    if (x->dim[1] / groups != w->dim[1])
        return gr_infer_fail(c, "weights of %s in %d group%s need %lld channels, got %lld",
                             gr_shape_text(w, text), groups, groups == 1 ? "" : "s",
                             (long long)w->dim[1] * groups, (long long)x->dim[1]);
    return true;
}

/* Sets y, [N,O,OH,OW], or says why there is none. */
bool gr__conv2d_check_geometry(gr_infer *c, const gr_shape *x, const gr_shape *w,
                               const gr_conv2d_options *o, gr_shape *y)
{
    if (!gr__conv2d_sizes_fit(x) || !gr__conv2d_sizes_fit(w))
        return gr_infer_fail(c, "a size is negative or above 2^31");
    if (!check_channels(c, x, w, o->groups)) return false;
    if (w->dim[2] < 1 || w->dim[3] < 1) return gr_infer_fail(c, "the kernel has no elements");
    gr__conv g = geometry(x, w, o);
    if (g.h.out < 1 || g.w.out < 1)
        return gr_infer_fail(c,
                             "a kernel of [%lld,%lld] with dilation [%d,%d] is larger than the "
                             "padded input of [%lld,%lld]",
                             (long long)w->dim[2], (long long)w->dim[3], o->dilation[0],
                             o->dilation[1], (long long)x->dim[2] + 2 * (long long)o->padding[0],
                             (long long)x->dim[3] + 2 * (long long)o->padding[1]);
    *y = GR_SHAPE(x->dim[0], w->dim[0], g.h.out, g.w.out);
    return true;
}

/* --- running --- */

/* By rounded operands. False: it is not; `status` tells whether memory was out. */
static bool compute_rounded(gr_exec *e, const gr__conv_job *plain, gr_status *status)
{
    *status = GR_OK;
    if (!gr__exec_rounds(e) || !gr__bf16_conv_pays(&plain->c, plain->kind, plain->winograd.tile))
        return false;
    gr__bf16_conv job = gr__bf16_conv_plan(&plain->c, plain->kind);
    void *scratch = gr_exec_scratch(e, gr__bf16_conv_scratch(&job));
    if (!scratch) *status = GR_ERR_MEMORY;
    return scratch && gr__bf16_conv_run(&job, e->in[0].data, e->in[1].data,
                                        e->n_in > 2 ? e->in[2].data : NULL, e->out[0].data,
                                        scratch);
}

gr_status gr__conv2d_compute(gr_exec *e, gr__conv_kind kind, const gr_shape *x, const gr_shape *w,
                             const gr_conv2d_options *given)
{
    gr_conv2d_options o = gr__conv2d_defaults(given);
    gr__conv c = geometry(x, w, &o);
    gr__conv_job job = gr__conv_plan(&c, kind, e->out[0].dtype);
    gr_status status;
    if (compute_rounded(e, &job, &status) || status) return status;
    if (gr__exec_rounds(e)) gr__conv_round(&job);
    const void *bias = e->n_in > 2 ? e->in[2].data : NULL;
    for (bool done = false; !done;) {
        void *scratch = gr_exec_scratch(e, gr__conv_scratch(&job));
        if (!scratch) return GR_ERR_MEMORY;
        done = gr__conv_run(&job, e->in[0].data, e->in[1].data, bias, e->out[0].data, scratch);
    }
    return GR_OK;
}

/* --- conv2d --- */

static bool conv2d_infer(gr_infer *c)
{
    gr_conv2d_options o = gr__conv2d_defaults(c->attrs);
    if (!gr__conv2d_check_input(c, 0, "x of [N,C,H,W]") ||
        !gr__conv2d_check_input(c, 1, "w of [O,C/groups,KH,KW]"))
        return false;
    const gr_shape *w = gr_shape_of(c->in[1]);
    if (!gr__conv2d_check_options(c, &o) ||
        !gr__conv2d_check_geometry(c, gr_shape_of(c->in[0]), w, &o, &c->shape[0]))
        return false;
    if (c->n_in < 3) return true;
    const gr_shape *b = gr_shape_of(c->in[2]);
    if (b->rank != 1 || b->dim[0] != w->dim[0])
        return gr_infer_fail(c, "expected a bias of [%lld], got %s", (long long)w->dim[0],
                             gr_infer_shape(c, 2));
    return gr__same_dtype(c, 0, 2);
}

static gr_status conv2d_forward(gr_exec *e)
{
    return gr__conv2d_compute(e, GR__CONV_FORWARD, e->in[0].shape, e->in[1].shape, e->attrs);
}

static double conv2d_flops(const gr_exec *e)
{
    return gr__conv2d_flops(e->in[1].shape, e->out[0].shape);
}

static void conv2d_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *w = p->x[1], *dy = p->dy[0];
    if (p->wants[0]) p->dx[0] = gr__conv2d_input_grad(dy, w, p->attrs, gr_shape_of(x));
    if (p->wants[1]) p->dx[1] = gr__conv2d_weight_grad(x, dy, p->attrs, gr_shape_of(w));
    if (p->n_in > 2 && p->wants[2]) p->dx[2] = gr_sum(dy, GR_AXES(0, 2, 3), false);
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S1(n) {.shape = {1, {n}}}
#define OPTIONS(...) .attrs = &(const gr_conv2d_options){__VA_ARGS__}

static const gr_sample conv2d_samples[] = {
    {.name = "plain", .in = {S4(1, 2, 4, 5), S4(3, 2, 3, 2)}, .n_in = 2, OPTIONS(.groups = 0)},
    {.name = "bias", .in = {S4(2, 1, 4, 4), S4(2, 1, 3, 3), S1(2)}, .n_in = 3, OPTIONS(.groups = 0)},
    {.name = "padding", .in = {S4(1, 1, 3, 4), S4(2, 1, 3, 3), S1(2)}, .n_in = 3, OPTIONS(.padding = {1, 2})},
    {.name = "stride", .in = {S4(1, 2, 5, 6), S4(2, 2, 2, 3)}, .n_in = 2, OPTIONS(.stride = {2, 3}, .padding = {1, 1})},
    {.name = "stride beyond the kernel", .in = {S4(1, 2, 5, 5), S4(3, 2, 1, 1), S1(3)}, .n_in = 3, OPTIONS(.stride = {2, 3})},
    {.name = "dilation", .in = {S4(1, 1, 6, 5), S4(2, 1, 3, 2)}, .n_in = 2, OPTIONS(.dilation = {2, 3}, .padding = {1, 0})},
    {.name = "stride and dilation", .in = {S4(1, 1, 7, 8), S4(1, 1, 3, 3)}, .n_in = 2, OPTIONS(.stride = {2, 4}, .dilation = {3, 2}, .padding = {2, 1})},
    {.name = "groups", .in = {S4(1, 4, 3, 3), S4(6, 2, 2, 2), S1(6)}, .n_in = 3, OPTIONS(.groups = 2)},
    {.name = "depthwise", .in = {S4(2, 3, 4, 4), S4(3, 1, 3, 3)}, .n_in = 2, OPTIONS(.groups = 3, .padding = {1, 1})},
    {.name = "pointwise", .in = {S4(2, 3, 2, 3), S4(4, 3, 1, 1), S1(4)}, .n_in = 3, OPTIONS(.groups = 0)},
    {.name = "no images", .in = {S4(0, 2, 4, 4), S4(3, 2, 3, 3), S1(3)}, .n_in = 3, OPTIONS(.groups = 0)},
    {.name = "same", .in = {S4(1, 2, 4, 3), S4(2, 2, 2, 3)}, .n_in = 2, OPTIONS(.same = true)},
    {.name = "same, dilated", .in = {S4(1, 1, 4, 5), S4(2, 1, 2, 4), S1(2)}, .n_in = 3, OPTIONS(.same = true, .dilation = {3, 1})},
    {.name = "x of rank 2", .in = {{.shape = {2, {3, 4}}}, S4(1, 1, 1, 1)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected x of [N,C,H,W], got [3,4]"},
    {.name = "w of rank 1", .in = {S4(1, 1, 3, 3), S1(9)}, .n_in = 2, OPTIONS(.groups = 0), .error = "expected w of [O,C/groups,KH,KW], got [9]"},
    {.name = "other channels", .in = {S4(1, 3, 4, 4), S4(2, 2, 3, 3)}, .n_in = 2, OPTIONS(.groups = 0), .error = "need 2 channels, got 3"},
    {.name = "groups that do not divide", .in = {S4(1, 4, 4, 4), S4(3, 2, 3, 3)}, .n_in = 2, OPTIONS(.groups = 2), .error = "2 groups do not divide 4 channels in and 3 out"},
    {.name = "large kernel", .in = {S4(1, 1, 3, 4), S4(1, 1, 6, 2)}, .n_in = 2, OPTIONS(.padding = {1, 0}), .error = "a kernel of [6,2] with dilation [1,1] is larger than the padded input of [5,4]"},
    {.name = "empty kernel", .in = {S4(1, 1, 3, 3), S4(1, 1, 0, 2)}, .n_in = 2, OPTIONS(.groups = 0), .error = "no elements"},
    {.name = "negative padding", .in = {S4(1, 1, 3, 3), S4(1, 1, 2, 2)}, .n_in = 2, OPTIONS(.padding = {0, -1}), .error = "padding [0,-1] must not be negative"},
    {.name = "negative stride", .in = {S4(1, 1, 3, 3), S4(1, 1, 2, 2)}, .n_in = 2, OPTIONS(.stride = {-1, 1}), .error = "stride [-1,1] must be positive"},
    {.name = "same with a stride", .in = {S4(1, 1, 3, 3), S4(1, 1, 2, 2)}, .n_in = 2, OPTIONS(.same = true, .stride = {1, 2}), .error = "same goes with stride [1,1] and without padding, got [1,2] and [0,0]"},
    {.name = "other bias", .in = {S4(1, 1, 3, 3), S4(2, 1, 2, 2), S1(3)}, .n_in = 3, OPTIONS(.groups = 0), .error = "expected a bias of [2], got [3]"},
    {0},
};

static const gr_op conv2d_op = {
    .name = "conv2d",
    .family = "conv",
    .formula = "y[n,o,i,j] = b[o] + sum_{c,p,q} w[o,c,p,q] x[n,c,i+p,j+q] "
               "(stride 1, no padding, no dilation)",
    .derivation =
        "y is linear in x, w and b: dx[n,c,r,s] = sum_{o,p,q} w[o,c,p,q] dy[n,o,r-p,s-q], "
        "dw[o,c,p,q] = sum_{n,i,j} x[n,c,i+p,j+q] dy[n,o,i,j], db[o] = sum_{n,i,j} dy[n,o,i,j]",
    .n_in = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(gr_conv2d_options),
    .fields = conv2d_fields,
    .infer = conv2d_infer,
    .forward = {[GR_F32] = conv2d_forward, [GR_F64] = conv2d_forward},
    .vjp = conv2d_vjp,
    .flops = conv2d_flops,
    .samples = conv2d_samples,
};

/* Convolution of images x, [N,C,H,W], by w, [O,C/groups,KH,KW], plus b, [O] (NULL: none); all of
 * one floating dtype. The result is [N,O,OH,OW] with
 *     OH = floor((H + 2 padding[0] - dilation[0] (KH - 1) - 1) / stride[0]) + 1, OW likewise.
 * `same` pads so that OH = H and OW = W, an odd zero going to the end (PyTorch's padding='same');
 * it takes no stride. Padding is zeros, which times Inf is NaN. With groups, channel o of the
 * result sees the C/groups channels of its own group. Errors: shapes that do not fit, a kernel
 * larger than the padded input, negative options. */
gr_tensor *gr_conv2d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv2d_options o)
{
    gr_tensor *in[3] = {x, w, b};
    return gr__apply(NULL, &conv2d_op, in, b ? 3 : 2, &o, GR_HERE);
}
const gr_op *const gr__conv_ops[] = {&conv2d_op, NULL};
